/* lanes.c: along which axis a member's innermost loop runs. Contract: emit.h.
 *
 * Memory decides: every access costs 1 per element where it is contiguous along the lane axis,
 * nothing where it doesn't move, and STRIDED where it jumps or gathers. Short loops pay for their
 * start and end.
 */
#include "codegen/emit.h"

static const double STRIDED = 8, SHUFFLED = 2, STILL = 0.05, SCALAR = 8, START = 12, OP = 0.25;

typedef struct {
    Emit *e;
    const Work *w;
    PairTable seen;
    VEC(const Ix *) buffers, privates; /* addresses over w's space */
    VEC(const Ix *) others;            /* other index expressions: guards, positions, draws */
    double ops;                        /* scalar operations of light nodes */
    bool *read;                        /* by number of a private array; NULL: nobody asks */
} Walk;

static void walk_edge(Walk *k, Edge x);

static void walk_load(void *ctx, Edge x, bool as_index)
{
    (void)as_index;
    walk_edge(ctx, x);
}

static void walk_index(Walk *k, const Ix *e, const Map *m)
{
    e = ix_subst(k->e->g, e, m, k->w->space);
    vec_push(k->e->a, &k->others, e);
    ix_loads(e, walk_load, k);
}

static void walk_light(Walk *k, Edge x)
{
    Graph *g = k->e->g;
    const Node *n = x.node;
    k->ops += op_info[n->op].cost;
    for (int i = 0; i < n->nargs; i++) walk_edge(k, edge_comp(g, n->args[i], x.map, k->w->space));
    if (n->op == OP_idx) walk_index(k, n->attr.ix, x.map);
    if (n->op == OP_rand) walk_index(k, row_major(g, n->space), x.map);
    if (n->op != OP_read) return;
    for (int i = 0; i < n->attr.guard.n; i++) walk_index(k, n->attr.guard.g[i].ix, x.map);
}

static void walk_edge(Walk *k, Edge x)
{
    Emit *e = k->e;
    if (x.node->op == OP_const || pair_find(&k->seen, x.node, x.map, 0) >= 0) return;
    pair_add(e->a, &k->seen, x.node, x.map, 0, 1);
    for (int i = 0; i < x.map->n; i++) ix_loads(x.map->ix[i], walk_load, k);
    const Node *self = computed_by(k->w);
    Private *p = x.node == self ? NULL : find_private(e, x.node);
    if (p) {
        if (k->read) k->read[p->number] = true;
        if (!p->scalar) vec_push(e->a, &k->privates, private_address(e->g, p, x.map));
        return;
    }
    int buf = x.node == self && is_light(x.node) ? -1 : plan_buffer_of(e->pl, x.node);
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
    if (ix_is(coef, 2) || ix_is(coef, -1)) return SHUFFLED;
    return ix_is(coef, 1) ? 1 : STRIDED;
}

int tile_axis_of(const Emit *e, const Work *w)
{
    for (int i = 0; i < w->rank; i++)
        if (w->axis && w->axis[i] >= 0 && w->axis[i] == e->tile) return i;
    return -1;
}

const Ix *store_address(const Emit *e, const Work *w, int skip, bool keyed)
{
    const Ix *at = ix_const(e->g, 0);
    for (int i = 0; i < w->out; i++) {
        if (!w->stride[i] || i == skip) continue;
        const Ix *pos = keyed && w->key && w->key[i] ? w->key[i] : w->pos->ix[i];
        at = ix_add(e->g, at, ix_mul(e->g, pos, w->stride[i]));
    }
    return w->start ? ix_sub(e->g, at, w->start) : at;
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
        cost += access_cost(g, store_address(k->e, w, -1, false), axis);
    return cost * (1 + START / n);
}

/* Along the lanes of the block tile: private arrays are contiguous there. */
static double tile_cost(Walk *k)
{
    const Work *w = k->w;
    Graph *g = k->e->g;
    int axis = tile_axis_of(k->e, w);
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
        cost += w->priv || axis < 0 ? 1 : access_cost(g, store_address(k->e, w, -1, false), axis);
    return cost * (1 + START / n);
}

/* Do positions along the axis have lists of their own? */
static bool reads_list_at(const Work *w, int axis)
{
    for (int i = 0; i < w->list->nkept; i++)
        if (w->pos->ix[w->list->axis[i]]->axes >> axis & 1) return true;
    return false;
}

/* Out axes of scatters that keys replace, the scanned axis and the ranks of a selection are no
 * lanes. */
static bool may_be_lane(const Work *w, int axis)
{
    OpClass cls = op_info[w->op].cls;
    if (w->axis && w->axis[axis] >= 0) return false;
    if (w->list) return axis < w->rank && !reads_list_at(w, axis);
    if (cls == CLASS_SCAT) return axis < w->rank && !is_keyed(w, axis);
    if (cls == CLASS_SCAN) return axis != ix_bare_axis(w->pos->ix[w->node->attr.scan.axis]);
    if (cls == CLASS_TOP) return axis == w->rank;
    return cls == CLASS_REDUCE || axis < w->rank;
}

static void walk_all(Walk *k)
{
    const Work *w = k->w;
    walk_edge(k, w->e);
    if (w->stores) vec_push(k->e->a, &k->buffers, stored_address(k->e, w));
    for (int i = 0; w->key && i < w->out; i++)
        if (w->key[i]) {
            vec_push(k->e->a, &k->others, w->key[i]);
            ix_loads(w->key[i], walk_load, k);
        }
}

static Walk walk_work(Emit *e, const Work *w)
{
    Walk k = {.e = e, .w = w};
    walk_all(&k);
    return k;
}

void private_reads(Emit *e, const Work *w, bool *read)
{
    Walk k = {.e = e, .w = w, .read = read};
    walk_all(&k);
}

int best_lane(Emit *e, const Work *w, double *cost)
{
    Walk k = walk_work(e, w);
    int best = NO_LANE;
    double least = k.ops * OP * SCALAR + STRIDED * (k.buffers.n + k.privates.n + 1);
    if (e->tile >= 0 && w->op != OP_top && !w->list && tile_cost(&k) < least)
        least = tile_cost(&k), best = TILE_LANE;
    for (int i = 0; i < w->space->n; i++) {
        double c = may_be_lane(w, i) ? axis_cost(&k, i) : least;
        if (c < least) least = c, best = i;
    }
    if (cost) *cost = least * space_hint(e->pl, w->space);
    if (best == NO_LANE && !w->list && op_info[w->op].cls == CLASS_REDUCE && w->space->n > w->rank)
        best = w->space->n - 1;
    return best;
}

int best_layout(Emit *e, const Work *w)
{
    Walk k = walk_work(e, w);
    double least = 0;
    int best = -1;
    for (int i = 0; i < w->out; i++) {
        int axis = ix_bare_axis(w->pos->ix[i]);
        if (axis < 0 || (w->axis && w->axis[axis] >= 0)) continue;
        double cost = 1 + START / hinted(e->pl, w->space->ext[axis]);
        double reads = 1;
        for (int b = 0; b < k.buffers.n; b++) reads += access_cost(e->g, k.buffers.v[b], axis);
        if (best < 0 || cost * reads < least) least = cost * reads, best = i;
    }
    return best;
}

/* ---- axes read in pieces ---- */

enum { SMALLEST_PIECE = 16 };

/* A quotient or remainder of a bare axis by a constant in e: the largest constant. */
static void pieces_in(const Ix *e, int *axis, int64_t *size)
{
    for (int i = 0; i < e->nterm; i++)
        for (int k = 0; k < e->t[i].n; k++) {
            const Atom *f = e->t[i].f[k];
            if (f->kind < AT_DIV || f->kind > AT_MAX) continue;
            int a = ix_bare_axis(f->a);
            bool piece = f->kind <= AT_MOD && a >= 0 && ix_is_const(f->b);
            if (piece && f->b->c >= SMALLEST_PIECE && f->b->c > *size) *axis = a, *size = f->b->c;
            pieces_in(f->a, axis, size);
            pieces_in(f->b, axis, size);
        }
}

static bool splittable(const Emit *e, const Work *w, int axis, int64_t size)
{
    Graph *g = e->g;
    OpClass cls = op_info[w->op].cls;
    if (cls == CLASS_SCAT && is_keyed(w, axis)) return false;
    if (w->list) return false;
    if (cls == CLASS_SCAN && axis == ix_bare_axis(w->pos->ix[w->node->attr.scan.axis]))
        return false;
    if (cls == CLASS_TOP && axis >= w->rank - 1) return false;
    return ix_is(ix_mod(g, w->space->ext[axis], ix_const(g, size), NULL), 0);
}

bool find_split(Emit *e, const Work *w, int *axis, int64_t *size)
{
    Walk k = walk_work(e, w);
    *axis = -1, *size = 0;
    for (int i = 0; i < k.buffers.n; i++) pieces_in(k.buffers.v[i], axis, size);
    for (int i = 0; i < k.privates.n; i++) pieces_in(k.privates.v[i], axis, size);
    for (int i = 0; i < k.others.n; i++) pieces_in(k.others.v[i], axis, size);
    return *axis >= 0 && splittable(e, w, *axis, *size);
}

static bool has_piece(const Ix *e, int axis)
{
    for (int i = 0; i < e->nterm; i++)
        for (int k = 0; k < e->t[i].n; k++) {
            const Atom *f = e->t[i].f[k];
            if (f->kind >= AT_DIV && f->kind <= AT_MAX && f->axes >> axis & 1) return true;
        }
    return false;
}

bool reads_pieces(Emit *e, const Work *w, int axis)
{
    Walk k = walk_work(e, w);
    bool any = has_piece(store_address(e, w, -1, false), axis);
    for (int i = 0; i < k.buffers.n; i++) any |= has_piece(k.buffers.v[i], axis);
    for (int i = 0; i < k.privates.n; i++) any |= has_piece(k.privates.v[i], axis);
    for (int i = 0; i < k.others.n; i++) any |= has_piece(k.others.v[i], axis);
    for (int i = 0; w->list && i < w->list->nkept; i++)
        any |= (w->pos->ix[w->list->axis[i]]->axes >> axis & 1);
    return any;
}
