/* dce.c: the pass that drops what no root reaches, and first the outputs that nobody asked for.
 *
 * Needs nothing, breaks groups. Before: outputs logits, loss and 40 nodes; wanted: loss.
 * After: output loss and what it reads.
 */
#include "passes/passes.h"

static bool wanted(const Unit *u, const char *name)
{
    for (int i = 0; i < u->noutputs; i++)
        if (strcmp(u->outputs[i], name) == 0) return true;
    return false;
}

static void outputs_exist(Unit *u)
{
    Graph *g = u->graph;
    for (int i = 0; i < u->noutputs; i++) {
        if (graph_find_root(g, ROOT_OUTPUT, u->outputs[i])) continue;
        VEC(const char *) names = {0};
        for (int r = 0; r < g->roots.n; r++)
            if (g->roots.v[r].kind == ROOT_OUTPUT) vec_push(u->arena, &names, g->roots.v[r].name);
        const char *near = nearest_word(u->outputs[i], names.v, names.n);
        if (near)
            diag_fail(u->diag, "no output `%s`\nhint: did you mean `%s`?", u->outputs[i], near);
        diag_fail(u->diag, "no output `%s`", u->outputs[i]);
    }
}

void pass_dce(Unit *u)
{
    Graph *g = u->graph;
    if (u->outputs) {
        outputs_exist(u);
        int kept = 0;
        for (int r = 0; r < g->roots.n; r++) {
            Root root = g->roots.v[r];
            if (root.kind != ROOT_OUTPUT || wanted(u, root.name)) g->roots.v[kept++] = root;
        }
        g->roots.n = kept;
    }
    graph_dce(g);
}
