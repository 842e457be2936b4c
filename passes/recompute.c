/* recompute.c: the pass that computes scores again for readers that can't share a kernel with the
 * first ones.
 *
 * Needs nothing, breaks nothing; comes after `grad`, and drops `stop` nodes, whose work is done. A
 * score (inner.h) that is read before and after a library product would have to be stored between
 * the two. Instead the later readers get a copy of it, and of the light code between, under a
 * replay number of its own:
 *
 *   before  %5 = sum q*k   %6 = exp(%5 - m)   forward reads %6, backward reads %6
 *   after   %5, %6 as they were; %25 = sum q*k replay 1   %26 = exp(%25 - m) replay 1, for backward
 *
 * This is how FlashAttention (Dao et al. 2022) trades memory for operations.
 */
#include "passes/group.h"

typedef struct {
    Graph *g;
    Inner in;
    Ints *under; /* by old node id: which of in.twice it is, or is light code over */
    bool *root;
    Edge *again; /* by old node id: its copy, over its out axes; node NULL: none yet */
    int replay;
} Recompute;

static void add_score(Recompute *r, Ints *list, int score)
{
    for (int i = 0; i < list->n; i++)
        if (list->v[i] == score) return;
    vec_push(r->g->arena, list, score);
}

static void find_under(Recompute *r)
{
    Graph *g = r->g;
    r->under = NEW_N(g->arena, Ints, g->nodes.n);
    for (int i = 0; i < r->in.ntwice; i++) add_score(r, &r->under[r->in.twice[i]], i);
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.v[i];
        if (!is_light(n) || r->root[i]) continue;
        for (int k = 0; k < n->nargs; k++) {
            const Ints *from = &r->under[n->args[k].node->id];
            for (int j = 0; j < from->n; j++) add_score(r, &r->under[i], from->v[j]);
        }
    }
}

/* Does `reader` read m late, and m itself not? */
static bool reads_late(const Recompute *r, const Node *reader, const Node *m)
{
    const Ints *under = &r->under[m->id];
    for (int i = 0; i < under->n; i++)
        if (r->in.late[under->v[i]][reader->id] && !r->in.late[under->v[i]][m->id]) return true;
    return false;
}

/* The copy of m, an old node; made with what it reads copied first. Light code is shallow. */
static Edge copy_of(Recompute *r, const Node *m)
{
    Graph *g = r->g;
    Edge *again = &r->again[m->id], args[MAX_ARGS];
    if (again->node) return *again;
    for (int i = 0; i < m->nargs; i++) {
        const Node *a = m->args[i].node;
        Edge by = r->under[a->id].n ? copy_of(r, a) : (Edge){0};
        args[i] = graph_reread(g, m->args[i], m->space, by);
    }
    Loc loc = g->loc;
    int region = g->region, replay = g->replay;
    g->loc = m->loc, g->region = m->region, g->replay = r->replay;
    *again = graph_renew(g, m, args);
    g->loc = loc, g->region = region, g->replay = replay;
    return *again;
}

static Edge recompute_node(void *ctx, Graph *g, const Node *old, const Edge *args)
{
    Recompute *r = ctx;
    Edge now[MAX_ARGS];
    for (int i = 0; i < old->nargs; i++) {
        const Node *m = old->args[i].node;
        now[i] = reads_late(r, old, m) ? graph_reread(g, old->args[i], old->space, copy_of(r, m))
                                       : args[i];
    }
    return graph_renew(g, old, now);
}

static Edge drop_stop(void *ctx, Graph *g, const Node *old, const Edge *args)
{
    (void)ctx;
    return old->op == OP_stop ? args[0] : graph_renew(g, old, args);
}

void pass_recompute(Unit *u)
{
    Graph *g = u->graph;
    bool stops = false;
    for (int i = 0; i < g->nodes.n; i++) stops |= g->nodes.v[i]->op == OP_stop;
    if (stops) graph_rewrite(g, drop_stop, NULL);
    Recompute r = {.g = g, .in = inner_find(g, hint_syms(u)), .replay = 1};
    if (!r.in.ntwice) return;
    r.root = NEW_N(g->arena, bool, g->nodes.n);
    r.again = NEW_N(g->arena, Edge, g->nodes.n);
    for (int i = 0; i < g->roots.n; i++) r.root[g->roots.v[i].e.node->id] = true;
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.v[i]->replay >= r.replay) r.replay = g->nodes.v[i]->replay + 1;
    find_under(&r);
    graph_rewrite(g, recompute_node, &r);
}
