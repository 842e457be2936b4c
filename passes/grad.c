/* grad.c: the reverse walk.
 *
 * Nodes are visited from the last to the first, so that when a node is reached, all its readers
 * have given their share. A cotangent is an edge over the node's out axes: broadcasting it costs
 * nothing, and fan-in is `add`. Only nodes on a path from a wanted leaf to a seed get one.
 *
 *     %3:f[i,d] = mul %1[i0,i1], %2[i0]
 *
 * gives %1 the product of %3's cotangent and %2, and %2 the sum over d of the one with %1.
 */
#include "passes/walk.h"

/* ---- what rules see ---- */

Edge vjp_value(Vjp *v)
{
    Edge e = replay_value(v->w->replay, v->n, (Node *)v->n);
    return edge_comp(v->g, e, map_identity(v->g, v->n->rank), v->space);
}

Edge vjp_arg(Vjp *v, int i)
{
    Edge a = v->n->args[i], e = replay_value(v->w->replay, v->n, a.node);
    return edge_comp(v->g, e, a.map, v->space);
}

bool vjp_wants(const Vjp *v, int i) { return v->w->need[v->n->args[i].node->id]; }

static void add_cotangent(Walk *w, Node *n, Edge e)
{
    Graph *g = w->g;
    Edge *cot = &w->cot[n->id];
    *cot = cot->node ? graph_pw2(g, OP_add, node_shape(g, n), *cot, e) : e;
}

static void give(Walk *w, Node *n, const Map *m, const Space *space, Edge e)
{
    if (!w->need[n->id] || edge_is_const(e, 0)) return;
    e = edge_transpose(w->g, node_shape(w->g, n), m, space, e);
    if (!edge_is_const(e, 0)) add_cotangent(w, n, e);
}

void vjp_give_over(Vjp *v, int i, const Map *m, const Space *space, Edge e)
{
    give(v->w, v->n->args[i].node, m, space, e);
}

void vjp_give(Vjp *v, int i, Edge e) { vjp_give_over(v, i, v->n->args[i].map, v->space, e); }

/* ---- the walk ---- */

/* Nodes that a wanted leaf reaches through float operands of ops with a rule. */
static void mark_needed(Walk *w, Node *const *wrt, int nwrt)
{
    for (int i = 0; i < nwrt; i++) w->need[wrt[i]->id] = wrt[i]->dt == DT_FLOAT;
    for (int i = 0; i < w->n; i++) {
        const Node *n = w->g->nodes.v[i];
        if (n->dt != DT_FLOAT || !vjp_rule[n->op]) continue;
        for (int k = 0; k < n->nargs; k++)
            if (n->args[k].node->dt == DT_FLOAT && w->need[n->args[k].node->id]) w->need[i] = true;
    }
}

void graph_vjp(Graph *g, const Seed *seed, int nseed, Node *const *wrt, int nwrt, Edge *grad)
{
    Loc loc = g->loc;
    int region = g->region, replay = g->replay;
    Walk w = {.g = g, .n = g->nodes.n, .replay = replay_new(g)};
    w.need = NEW_N(g->arena, bool, w.n);
    w.cot = NEW_N(g->arena, Edge, w.n);
    mark_needed(&w, wrt, nwrt);
    g->region = g->replay = 0;
    for (int i = 0; i < nseed; i++) {
        g->loc = seed[i].value.node->loc;
        if (seed[i].value.node->dt == DT_FLOAT)
            give(&w, seed[i].value.node, seed[i].value.map, seed[i].space, seed[i].cotangent);
    }
    for (int i = w.n - 1; i >= 0; i--) {
        const Node *n = g->nodes.v[i];
        if (!w.cot[i].node || !vjp_rule[n->op]) continue;
        g->loc = n->loc;
        replay_enter(w.replay, n);
        Vjp v = {&w, g, n, n->space, w.cot[i]};
        vjp_rule[n->op](&v);
    }
    for (int i = 0; i < nwrt; i++) grad[i] = w.cot[wrt[i]->id];
    g->loc = loc, g->region = region, g->replay = replay;
}

/* ---- the pass ---- */

static void collect(Graph *g, const Named *v, int n, Node **wrt, const char **name, int *count)
{
    for (int i = 0; i < n; i++) {
        if (v[i].node->dt != DT_FLOAT || v[i].node->id >= g->nodes.n) continue;
        wrt[*count] = v[i].node;
        name[(*count)++] = v[i].name;
    }
}

void graph_grad(Graph *g)
{
    const Root *root = graph_find_root(g, ROOT_OUTPUT, "loss");
    if (!root)
        diag_fail(g->diag, "there is nothing to differentiate\nexpected: an output named `loss`");
    if (root->space->n)
        user_error(g->diag, root->loc, "the loss is one number, but `loss` here has %d axes",
                   root->space->n);
    if (root->e.node->dt != DT_FLOAT)
        user_error(g->diag, root->loc, "the loss must be float to have a gradient");
    int most = g->params.n + g->inputs.n, n = 0;
    Node **wrt = NEW_N(g->arena, Node *, most);
    const char **name = NEW_N(g->arena, const char *, most);
    Edge *grad = NEW_N(g->arena, Edge, most);
    collect(g, g->params.v, g->params.n, wrt, name, &n);
    collect(g, g->inputs.v, g->inputs.n, wrt, name, &n);
    Loc loc = g->loc;
    g->loc = root->e.node->loc;
    Seed seed = {root->e, root->space, graph_float(g, 1)};
    g->loc = loc;
    graph_vjp(g, &seed, 1, wrt, n, grad);
    for (int i = 0; i < n; i++)
        if (grad[i].node)
            graph_root(g, ROOT_GRAD, name[i], grad[i], node_shape(g, wrt[i]), wrt[i]->loc);
}
