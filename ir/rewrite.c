/* rewrite.c: passes rebuild what the roots reach; graph_dce drops the rest. */
#include <stdlib.h>
#include "ir/intern.h"

/* ---- reachability ---- */

typedef struct { Graph *g; bool *live; VEC(Node *) work; } Mark;

static void mark(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Mark *m = ctx;
    if (!e.node || m->live[e.node->id]) return;
    m->live[e.node->id] = true;
    vec_push(m->g->arena, &m->work, e.node);
}

static void mark_edge(Mark *m, Edge e)
{
    mark(m, e, false);
    if (e.node)
        for (int i = 0; i < e.map->n; i++) ix_loads(e.map->ix[i], mark, m);
    while (m->work.n) node_reads(vec_pop(&m->work), mark, m);
}

static bool *live_nodes(Graph *g)
{
    Mark m = {.g = g, .live = NEW_N(g->arena, bool, g->nodes.n)};
    for (int i = 0; i < g->roots.n; i++) mark_edge(&m, g->roots.v[i].e);
    for (int i = 0; i < g->checks.n; i++)
        if (g->checks.v[i].e.node) mark_edge(&m, g->checks.v[i].e);
    for (int i = 0; i < g->inputs.n; i++) mark_edge(&m, edge_identity(g, g->inputs.v[i].node));
    return m.live;
}

static void drop_named(const bool *live, Named *v, int *n)
{
    int k = 0;
    for (int i = 0; i < *n; i++)
        if (live[v[i].node->id]) v[k++] = v[i];
    *n = k;
}

void graph_dce(Graph *g)
{
    bool *live = live_nodes(g);
    drop_named(live, g->params.v, &g->params.n);
    drop_named(live, g->states.v, &g->states.n);
    for (int i = 1; i < g->regions.n; i++) {           /* regions don't keep nodes alive */
        Region *r = &g->regions.v[i];
        if (r->kind == REGION_STEP && r->old.node && !(live[r->old.node->id] && live[r->delta.node->id] && live[r->next.node->id]))
            r->old.node = r->delta.node = r->next.node = NULL;
    }
    int k = 0;
    for (int i = 0; i < g->tables->ranges.n; i++)
        if (live[g->tables->ranges.v[i].node->id]) g->tables->ranges.v[k++] = g->tables->ranges.v[i];
    g->tables->ranges.n = k;
    k = 0;
    for (int i = 0; i < g->nodes.n; i++)
        if (live[i]) g->nodes.v[k++] = g->nodes.v[i];
    g->nodes.n = k;
    for (int i = 0; i < k; i++) g->nodes.v[i]->id = i;
    tables_reset_nodes(g);
}

/* ---- rebuilding ---- */

typedef struct { Graph *g; const Edge *by; const Space *space; } Swap;

static Edge swap_load(void *ctx, Edge e)               /* e's own map is already renewed */
{
    Swap *s = ctx;
    if (!s->by) return e;                              /* graph_renew outside a rewrite */
    Edge by = s->by[e.node->id];
    return by.node ? edge_comp(s->g, by, e.map, s->space) : e;
}

static const Ix *swap_ix(Swap *s, const Ix *e) { return e ? ix_remap_loads(s->g, e, swap_load, s, s->space) : NULL; }

static Edge swap_edge(Swap *s, Edge e)
{
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < e.map->n; i++) ix[i] = swap_ix(s, e.map->ix[i]);
    e.map = map_make(s->g, e.map->n, ix);
    return swap_load(s, e);
}

static Edge rebuild(Graph *g, const Node *old, const Edge *a, Swap *s)
{
    const Space *sp = old->space;
    switch (op_info[old->op].cls) {
    case CLASS_LEAF:
        if (old->op == OP_idx) return graph_idx(g, swap_ix(s, old->attr.ix), sp);
        return edge_identity(g, (Node *)old);
    case CLASS_POINTWISE:
        if (old->op == OP_cast) return graph_cast(g, old->dt, sp, a[0]);
        return graph_pw(g, old->op, sp, a);
    case CLASS_READ: {
        Guard guards[2 * MAX_AXES];
        for (int i = 0; i < old->attr.guard.n; i++) guards[i] = (Guard){swap_ix(s, old->attr.guard.g[i].ix), old->attr.guard.g[i].ext};
        return graph_read(g, sp, guards, old->attr.guard.n, a[0], a[1]);
    }
    case CLASS_REDUCE: return graph_reduce(g, old->op, sp, old->rank, a[0]);
    case CLASS_TOP: {
        const Ix *ext[MAX_AXES], *ix[MAX_AXES];        /* the constructor's space has no rank axis */
        int k = old->rank - 1;
        for (int i = 0; i < k; i++) ext[i] = sp->ext[i], ix[i] = ix_axis(g, i);
        ext[k] = sp->ext[k + 1], ix[k] = ix_const(g, 0), ix[k + 1] = ix_axis(g, k);
        const Space *to = space_make(g, k + 1, ext);
        return graph_top(g, to, k, edge_comp(g, a[0], map_make(g, k + 2, ix), to), sp->ext[k]);
    }
    case CLASS_SCAT: {
        const Ix *key[MAX_AXES];
        for (int i = 0; i < old->rank; i++) key[i] = swap_ix(s, old->attr.key[i]);
        return graph_scat(g, sp, old->rank, a[0], key);
    }
    case CLASS_SCAN: return graph_scan(g, sp, old->attr.scan.axis, old->attr.scan.exclusive, old->attr.scan.reverse, a[0]);
    case CLASS_BRANCH: return graph_branch(g, sp, a[0], a[1], a[2]);
    }
    return edge_identity(g, (Node *)old);
}

Edge graph_renew(Graph *g, const Node *old, const Edge *args)
{
    Swap none = {g, g->tables->renewing, old->space};
    return rebuild(g, old, args, &none);
}

Edge graph_reread(Graph *g, Edge old, const Space *space, Edge instead)
{
    Swap s = {g, g->tables->renewing, space};
    if (!instead.node) return swap_edge(&s, old);
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < old.map->n; i++) ix[i] = swap_ix(&s, old.map->ix[i]);
    return edge_comp(g, instead, map_make(g, old.map->n, ix), space);
}

/* ---- order ---- */

static int by_age(const void *pa, const void *pb)
{
    const Node *const *a = pa, *const *b = pb;
    return (*a)->id - (*b)->id;
}

/* Nodes in the order of what they replace, each after what it reads: what a layer became stands
 * where the layer stood, although some of its nodes are new and others are not. */
static void keep_order(Graph *g, const Edge *by, int n)
{
    Mark m = {.g = g, .live = NEW_N(g->arena, bool, g->nodes.n)};
    VEC(Node *) order = {0}, found = {0};
    for (int i = 0; i < n; i++) {
        if (!by[i].node) continue;
        mark(&m, by[i], false);
        for (int k = 0; k < by[i].map->n; k++) ix_loads(by[i].map->ix[k], mark, &m);
        found.n = 0;
        while (m.work.n) {
            Node *x = vec_pop(&m.work);
            vec_push(g->arena, &found, x);
            node_reads(x, mark, &m);
        }
        if (found.n) qsort(found.v, (size_t)found.n, sizeof *found.v, by_age);
        for (int k = 0; k < found.n; k++) vec_push(g->arena, &order, found.v[k]);
    }
    for (int i = 0; i < g->nodes.n; i++)
        if (!m.live[i]) vec_push(g->arena, &order, g->nodes.v[i]);
    for (int i = 0; i < order.n; i++) {
        g->nodes.v[i] = order.v[i];
        order.v[i]->id = i;
    }
}

void graph_rewrite(Graph *g, RewriteFn fn, void *ctx)
{
    int n = g->nodes.n;
    bool *live = live_nodes(g);
    Edge *by = NEW_N(g->arena, Edge, n);
    Loc loc = g->loc;
    int region = g->region, replay = g->replay;
    const Edge *outer = g->tables->renewing;
    g->tables->renewing = by;
    for (int i = 0; i < n; i++) {
        Node *old = g->nodes.v[i];
        if (!live[i]) continue;
        diag_poll(g->diag);
        Swap s = {g, by, old->space};
        Edge args[MAX_ARGS];
        g->loc = old->loc, g->region = old->region, g->replay = old->replay;
        for (int k = 0; k < old->nargs; k++) args[k] = swap_edge(&s, old->args[k]);
        by[i] = fn ? fn(ctx, g, old, args) : rebuild(g, old, args, &s);
    }
    g->tables->renewing = outer;
    g->loc = loc, g->region = region, g->replay = replay;
    for (int i = 0; i < g->roots.n; i++) {
        Swap s = {g, by, g->roots.v[i].space};
        g->roots.v[i].e = swap_edge(&s, g->roots.v[i].e);
    }
    for (int i = 0; i < g->checks.n; i++) {
        Swap s = {g, by, g->checks.v[i].space};
        if (g->checks.v[i].e.node) g->checks.v[i].e = swap_edge(&s, g->checks.v[i].e);
    }
    for (int i = 1; i < g->regions.n; i++) {
        Region *r = &g->regions.v[i];
        Swap s = {g, by, r->space};
        if (r->kind != REGION_STEP || !r->old.node || !live[r->old.node->id] || !live[r->delta.node->id] || !live[r->next.node->id]) continue;
        r->old = swap_edge(&s, r->old), r->delta = swap_edge(&s, r->delta), r->next = swap_edge(&s, r->next);
    }
    for (int i = 0; i < g->tables->ranges.n; i++) {
        Assumed *a = &g->tables->ranges.v[i];
        if (a->node->id < n && by[a->node->id].node) a->node = by[a->node->id].node;
    }
    keep_order(g, by, n);
    graph_dce(g);
}
