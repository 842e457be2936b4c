/* simplify.c: the pass that rebuilds everything the roots reach through the constructors, so that
 * every identity of ir/rules.def gets another chance: after differentiation new neighbours meet.
 *
 * Needs nothing, breaks groups.
 * Before  %9:f[i] = mul %8[i0], 1.0     (made while the rules were off)
 * After   %8 itself, wherever %9 was read
 */
#include "passes/passes.h"

enum { MOST_ROUNDS = 4 };

static int64_t hits(const Graph *g)
{
    int64_t n = 0;
    for (int r = 0; r < RW_COUNT; r++) n += g->hits[r];
    return n;
}

/* A rewrite can enable one among nodes already rebuilt, hence rounds; each is linear. */
void pass_simplify(Unit *u)
{
    int64_t before;
    int rounds = 0;
    do {
        before = hits(u->graph);
        graph_rewrite(u->graph, NULL, NULL);
    } while (hits(u->graph) != before && ++rounds < MOST_ROUNDS);
}
