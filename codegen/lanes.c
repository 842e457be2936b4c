/* lanes.c: along which axis a member's innermost loop runs. Contract: emit.h.
 *
 * Memory decides: every access costs 1 per element where it is contiguous along the lane axis,
 * nothing where it doesn't move, and STRIDED where it jumps or gathers. Short loops pay for their
 * start and end.
 */
#include "codegen/emit.h"

static const double STRIDED = 8, STILL = 0.05, SCALAR = 8, START = 12, OP = 0.25;

typedef struct {
    Emit *e;
    const Work *w;
    PairTable seen;
    VEC(const Ix *) buffers, privates; /* addresses over w's space */
    double ops;                        /* scalar operations of light nodes */
} Walk;

static void walk_edge(Walk *k, Edge x);

static void walk_load(void *ctx, Edge x, bool as_index)
{
    (void)as_index;
    walk_edge(ctx, x);
}

static void walk_light(Walk *k, Edge x)
{
    Graph *g = k->e->g;
    const Node *n = x.node;
    k->ops += op_info[n->op].cost;
    for (int i = 0; i < n->nargs; i++) walk_edge(k, edge_comp(g, n->args[i], x.map, k->w->space));
    if (n->op == OP_idx) ix_loads(ix_subst(g, n->attr.ix, x.map, k->w->space), walk_load, k);
    if (n->op != OP_read) return;
    for (int i = 0; i < n->attr.guard.n; i++)
        ix_loads(ix_subst(g, n->attr.guard.g[i].ix, x.map, k->w->space), walk_load, k);
}

static void walk_edge(Walk *k, Edge x)
{
    Emit *e = k->e;
    if (x.node->op == OP_const || pair_find(&k->seen, x.node, x.map, 0) >= 0) return;
    pair_add(e->a, &k->seen, x.node, x.map, 0, 1);
    for (int i = 0; i < x.map->n; i++) ix_loads(x.map->ix[i], walk_load, k);
    Private *p = x.node == k->w->node ? NULL : find_private(e, x.node);
    if (p) {
        if (!p->scalar) vec_push(e->a, &k->privates, private_address(e->g, p, x.map));
        return;
    }
    int buf = x.node == k->w->node && is_light(x.node) ? -1 : plan_buffer_of(e->pl, x.node);
    if (buf >= 0)
        vec_push(e->a, &k->buffers, plan_address(e->pl, buf, x.map));
    else
        walk_light(k, x);
}

/* Cost per position of one access if the lane runs along `axis`. */
static double access_cost(Graph *g, const Ix *at, int axis)
{
    const Ix *coef, *rest;
    if (!(at->axes >> axis & 1)) return STILL;
    if (!ix_affine(g, at, axis, &coef, &rest)) return STRIDED;
    return ix_is(coef, 1) ? 1 : STRIDED;
}

static int tile_axis(const Emit *e, const Work *w)
{
    for (int i = 0; i < w->rank; i++)
        if (w->axis && w->axis[i] >= 0 && w->axis[i] == e->tile) return i;
    return -1;
}

static const Ix *store_address(const Emit *e, const Work *w)
{
    const Ix *at = ix_const(e->g, 0);
    for (int i = 0; i < w->rank; i++)
        if (w->stride[i]) at = ix_add(e->g, at, ix_mul(e->g, ix_axis(e->g, i), w->stride[i]));
    return at;
}

static double axis_cost(Walk *k, int axis)
{
    const Work *w = k->w;
    Graph *g = k->e->g;
    double cost = OP * k->ops, n = hinted(k->e->pl, w->space->ext[axis]);
    for (int i = 0; i < k->buffers.n; i++) cost += access_cost(g, k->buffers.v[i], axis);
    for (int i = 0; i < k->privates.n; i++) cost += access_cost(g, k->privates.v[i], axis);
    if (op_info[w->op].cls == CLASS_REDUCE)
        cost += axis < w->rank ? 1 : 0.25;
    else if (w->op != OP_top)
        cost += access_cost(g, store_address(k->e, w), axis);
    return cost * (1 + START / n);
}

/* Along the lanes of the block tile: private arrays are contiguous there. */
static double tile_cost(Walk *k)
{
    const Work *w = k->w;
    Graph *g = k->e->g;
    int axis = tile_axis(k->e, w);
    double cost = OP * k->ops + k->privates.n, n = k->e->tile_lanes;
    if (axis >= 0) {
        double ext = hinted(k->e->pl, w->space->ext[axis]);
        if (ext < n) n = ext;
    }
    for (int i = 0; i < k->buffers.n; i++)
        cost += axis < 0 ? STILL : access_cost(g, k->buffers.v[i], axis);
    if (op_info[w->op].cls == CLASS_REDUCE)
        cost += 1;
    else
        cost += w->priv || axis < 0 ? 1 : access_cost(g, store_address(k->e, w), axis);
    return cost * (1 + START / n);
}

/* Out axes of scatters that keys replace, the scanned axis and the ranks of a selection are no
 * lanes. */
static bool may_be_lane(const Work *w, int axis)
{
    OpClass cls = op_info[w->op].cls;
    if (w->axis && w->axis[axis] >= 0) return false;
    if (cls == CLASS_SCAT) return axis < w->rank && !w->node->attr.key[axis];
    if (cls == CLASS_SCAN) return axis != w->node->attr.scan.axis;
    if (cls == CLASS_TOP) return axis == w->rank;
    return cls == CLASS_REDUCE || axis < w->rank;
}

int best_lane(Emit *e, const Work *w, double *cost)
{
    Walk k = {.e = e, .w = w};
    walk_edge(&k, w->e);
    if (op_info[w->op].cls == CLASS_SCAT)
        for (int i = 0; i < w->rank; i++)
            if (w->node->attr.key[i]) ix_loads(w->node->attr.key[i], walk_load, &k);
    int best = -1;
    double least = k.ops * OP * SCALAR + STRIDED * (k.buffers.n + k.privates.n + 1);
    if (e->tile >= 0 && w->op != OP_top && tile_cost(&k) < least) least = tile_cost(&k), best = -2;
    for (int i = 0; i < w->space->n; i++) {
        double c = may_be_lane(w, i) ? axis_cost(&k, i) : least;
        if (c < least) least = c, best = i;
    }
    if (cost) *cost = least * space_hint(e->pl, w->space);
    if (best == -1 && op_info[w->op].cls == CLASS_REDUCE && w->space->n > w->rank)
        best = w->space->n - 1;
    return best;
}
