/* fold_sum.c: identities of rules.def under a sum and a scat, applied by their constructors.
 *
 *     sum over [j] p[i,j] * (dp[i,j] - D[i])
 * is 0 where sum over [j] p is 1 (or p is 0) and D = sum over [j] p * dp.
 *
 * The space of a reduction is its out axes and then the summed ones, so what reads no summed axis
 * is at once an edge over the out axes. Each row makes the sum smaller, or moves a factor out of
 * it, or replaces a sum in it by an older one.
 */
#include "ir/fold.h"

typedef struct {
    Graph *g;
    Op op;
    const Space *space;
    int nout;
    uint64_t red; /* the summed axes */
    Edge e;
    Edge *out;
} Sum;

static bool becomes(Sum *s, Edge e)
{
    *s->out = e;
    return true;
}
static bool may(const Sum *s, Rewrite r) { return graph_rule(s->g, r); }
static const Space *outer(const Sum *s) { return space_slice(s->g, s->space, 0, s->nout); }
static Edge arg(const Sum *s, Edge e, int i) { return edge_arg(s->g, e, i, s->space); }
static Edge times(Graph *g, const Space *sp, Edge a, Edge b)
{
    return graph_pw2(g, OP_mul, sp, a, b);
}

/* ---- a space without some of its axes ---- */

Narrow narrow(Graph *g, const Space *space, uint64_t gone)
{
    const Ix *ext[MAX_AXES], *ix[MAX_AXES];
    int n = 0;
    for (int i = 0; i < space->n; i++) {
        bool keep = !(gone >> i & 1);
        ix[i] = keep ? ix_axis(g, n) : ix_const(g, 0);
        if (keep) ext[n++] = space->ext[i];
    }
    return (Narrow){space_make(g, n, ext), map_make(g, space->n, ix)};
}

Narrow narrow_at(Graph *g, const Space *space, int axis, const Ix *at)
{
    Narrow r = narrow(g, space, 1ull << axis);
    const Ix *ix[MAX_AXES];
    memcpy(ix, r.map->ix, sizeof(Ix *) * (size_t)r.map->n);
    ix[axis] = at;
    r.map = map_make(g, r.map->n, ix);
    return r;
}

static Edge reduce(const Sum *s, const Space *space, Edge e)
{
    return space->n == s->nout ? e : graph_reduce(s->g, s->op, space, s->nout, e);
}

/* ---- products in a canonical order ---- */

static int factor_cmp(Edge a, Edge b)
{
    int na = __builtin_popcountll(edge_axes(a)), nb = __builtin_popcountll(edge_axes(b));
    if (na != nb) return nb - na;
    if (a.node != b.node) return a.node->id < b.node->id ? -1 : 1;
    for (int i = 0; i < a.map->n; i++) {
        int c = ix_cmp(a.map->ix[i], b.map->ix[i]);
        if (c) return c;
    }
    return 0;
}

int grouped_product(Graph *g, const Space *space, Edge *f, int n, Edge *product)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && factor_cmp(f[j], f[j - 1]) < 0; j--) {
            Edge t = f[j];
            f[j] = f[j - 1], f[j - 1] = t;
        }
    int m = 0;
    for (int i = 0; i < n; i++) {
        int into = -1;
        for (int k = 0; k < m; k++)
            if (!(edge_axes(f[i]) & ~edge_axes(f[k]))) into = k;
        if (into >= 0)
            f[into] = times(g, space, f[into], f[i]);
        else
            f[m++] = f[i];
    }
    *product = f[0];
    for (int i = 1; i < m; i++) *product = times(g, space, *product, f[i]);
    return m;
}

/* ---- sum_choice ---- */

/* cond is `axis == c` for some summed axis. */
static bool pins_axis(const Sum *s, Edge cond, int *axis, const Ix **c)
{
    if (!edge_op(cond, OP_eq)) return false;
    Edge a = arg(s, cond, 0), b = arg(s, cond, 1);
    if (a.node->dt != DT_INT || b.node->dt != DT_INT) return false;
    Graph *g = s->g;
    const Ix *d = ix_sub(g, ix_load(g, a, s->space), ix_load(g, b, s->space)), *coef, *rest;
    for (int i = s->nout; i < s->space->n; i++) {
        if (!(d->axes >> i & 1) || !ix_affine(g, d, i, &coef, &rest)) continue;
        if (!ix_is(coef, 1) && !ix_is(coef, -1)) continue;
        *axis = i, *c = coef->c == 1 ? ix_scale(g, rest, -1) : rest;
        return true;
    }
    return false;
}

/* Splits a conjunction: the part that pins an axis, and whether others remain (*others is their
 * `and`). */
static bool find_pin(const Sum *s, Edge cond, int *axis, const Ix **c, Edge *others, bool *more)
{
    *more = false;
    if (pins_axis(s, cond, axis, c)) return true;
    if (!edge_op(cond, OP_and)) return false;
    for (int i = 0; i < 2; i++) {
        Edge rest, other = arg(s, cond, 1 - i);
        bool deeper;
        if (!find_pin(s, arg(s, cond, i), axis, c, &rest, &deeper)) continue;
        *others = deeper ? graph_pw2(s->g, OP_and, s->space, rest, other) : other;
        *more = true;
        return true;
    }
    return false;
}

static bool choose(Sum *s, Edge body, int axis, const Ix *c, bool inside)
{
    Graph *g = s->g;
    const Ix *ext = s->space->ext[axis];
    const Ix *at = ix_subst(g, c, narrow(g, s->space, 1ull << axis).map, NULL);
    Narrow n = narrow_at(g, s->space, axis, at);
    Edge e = edge_comp(g, body, n.map, n.space);
    if (!inside) {
        Guard guard = {at, ext};
        e = graph_read(g, n.space, &guard, 1, e, fold_const(g, body.node->dt, 0));
    }
    return becomes(s, reduce(s, n.space, e));
}

/* fold_masked, also where the mask is read through a guard with 0 outside: positions don't mind
 * being compared elsewhere. */
static bool masked(const Sum *s, Edge e, Edge *cond, Edge *x, bool *when)
{
    if (fold_masked(s->g, s->space, e, cond, x, when)) return true;
    const Node *n = e.node;
    if (n->op != OP_read || !edge_is_const(n->args[1], 0)) return false;
    Graph *g = s->g;
    Guard guards[2 * MAX_AXES];
    int axis;
    const Ix *c;
    Edge inner = edge_comp(g, n->args[0], e.map, s->space);
    if (!fold_masked(g, s->space, inner, cond, x, when) || !pins_axis(s, *cond, &axis, &c))
        return false;
    if (c->loads) return false;
    for (int i = 0; i < n->attr.guard.n; i++)
        guards[i] =
            (Guard){ix_subst(g, n->attr.guard.g[i].ix, e.map, s->space), n->attr.guard.g[i].ext};
    *x = graph_read(g, s->space, guards, n->attr.guard.n, *x, fold_const(g, x->node->dt, 0));
    return true;
}

static bool sum_choice(Sum *s)
{
    Edge f[MAX_FACTORS], cond, x, others;
    bool when, more;
    int axis, n = fold_factors(s->g, s->space, s->e, f);
    const Ix *c;
    for (int i = 0; i < n; i++) {
        if (!masked(s, f[i], &cond, &x, &when)) continue;
        if (!find_pin(s, cond, &axis, &c, &others, &more)) continue;
        const Ix *ext = s->space->ext[axis];
        bool inside = ix_proves_ge0(s->g, c, s->space) && ix_proves_lt(s->g, c, ext, s->space);
        if (!when) { /* of two positions, the other one */
            if (more || !inside || !ix_is(ext, 2)) continue;
            c = ix_sub(s->g, ix_const(s->g, 1), c);
        }
        if (!may(s, RW_sum_choice)) continue;
        if (more) x = fold_mask(s->g, s->space, others, x, true);
        for (int j = 0; j < n; j++)
            if (j != i) x = times(s->g, s->space, x, f[j]);
        return choose(s, x, axis, c, inside);
    }
    return false;
}

/* ---- sum_invariant, sum_hoist, sum_factors ---- */

static bool sum_invariant(Sum *s)
{
    uint64_t idle = s->red & ~edge_axes(s->e);
    for (int i = s->nout; i < s->space->n; i++)
        if (ix_is(s->space->ext[i], 1)) idle |= 1ull << i; /* read at 0 only */
    DType dt = s->e.node->dt;
    if (!idle || (s->op == OP_sum && dt == DT_BOOL)) return false;
    for (int i = s->nout; i < s->space->n && s->op != OP_sum; i++)
        if (idle >> i & 1 && !ix_proves_lt(s->g, ix_const(s->g, 0), s->space->ext[i], NULL))
            return false;
    if (!may(s, RW_sum_invariant)) return false;
    Narrow n = narrow(s->g, s->space, idle);
    Edge r = reduce(s, n.space, edge_comp(s->g, s->e, n.map, n.space));
    const Space *out = outer(s);
    for (int i = s->nout; i < s->space->n && s->op == OP_sum; i++) {
        if (!(idle >> i & 1)) continue;
        Edge count = graph_idx(s->g, s->space->ext[i], out);
        r = times(s->g, out, r, graph_cast(s->g, dt, out, count));
    }
    return becomes(s, r);
}

static bool hoist_sign(Sum *s)
{
    if (!edge_op(s->e, OP_neg) || !may(s, RW_sum_hoist)) return false;
    return becomes(s, graph_pw1(s->g, OP_neg, outer(s), reduce(s, s->space, arg(s, s->e, 0))));
}

static bool hoist_denominator(Sum *s)
{
    if (!edge_op(s->e, OP_div)) return false;
    Edge z = arg(s, s->e, 1);
    if (edge_axes(z) & s->red || !may(s, RW_sum_hoist)) return false;
    return becomes(s, graph_pw2(s->g, OP_div, outer(s), reduce(s, s->space, arg(s, s->e, 0)), z));
}

int part_factors(Edge *f, int n, uint64_t red)
{
    int m = 0;
    for (int i = 0; i < n; i++)
        if (edge_axes(f[i]) & red) {
            Edge t = f[i];
            f[i] = f[m], f[m++] = t;
        }
    return m;
}

static bool hoist_factors(Sum *s)
{
    Edge f[MAX_FACTORS], body;
    int n = fold_factors(s->g, s->space, s->e, f), m = part_factors(f, n, s->red);
    if (m == 0 || m == n || !may(s, RW_sum_hoist)) return false;
    grouped_product(s->g, s->space, f, m, &body);
    Edge r = reduce(s, s->space, body);
    for (int i = m; i < n; i++) r = times(s->g, outer(s), r, f[i]);
    return becomes(s, r);
}

static bool mask_smallest(Sum *s)
{
    Edge c, x, f[MAX_FACTORS], body;
    bool when, outside = false;
    if (s->e.node->dt != DT_FLOAT || !fold_masked(s->g, s->space, s->e, &c, &x, &when))
        return false;
    int n = fold_factors(s->g, s->space, x, f), best = -1;
    for (int i = 0; i < n; i++) {
        bool has = !(edge_axes(c) & ~edge_axes(f[i]));
        outside |= !has;
        int size = __builtin_popcountll(edge_axes(f[i]));
        if (has && (best < 0 || size < __builtin_popcountll(edge_axes(f[best])))) best = i;
    }
    if (n < 2 || best < 0 || !outside || !may(s, RW_sum_factors)) return false;
    f[best] = fold_mask(s->g, s->space, c, f[best], when);
    grouped_product(s->g, s->space, f, n, &body);
    return becomes(s, reduce(s, s->space, body));
}

static bool group_factors(Sum *s)
{
    Edge f[MAX_FACTORS], body;
    int n = fold_factors(s->g, s->space, s->e, f);
    if (n < 3 || grouped_product(s->g, s->space, f, n, &body) == n) return false;
    if (edge_eq(body, s->e) || !may(s, RW_sum_factors)) return false;
    return becomes(s, reduce(s, s->space, body));
}

/* ---- sum_cancel ---- */

/* e >= 0, by its ops. */
static bool never_negative(Edge e, int depth)
{
    const Node *n = e.node;
    if (n->op == OP_const) return n->dt == DT_FLOAT && n->attr.value.f >= 0;
    if (n->op == OP_exp || n->op == OP_sqrt || n->op == OP_abs || n->op == OP_rand) return true;
    bool keeps = n->op == OP_select || n->op == OP_mul || n->op == OP_div || n->op == OP_add;
    if (!keeps || depth == 0) return false;
    for (int i = n->op == OP_select; i < n->nargs; i++)
        if (!never_negative(n->args[i], depth - 1)) return false;
    return true;
}

/* w is z + (0 < z ? 0 : 1): z, or 1 where z is 0. */
static bool stands_in(Graph *g, const Space *space, Edge w, Edge z)
{
    if (!edge_op(w, OP_add)) return false;
    for (int i = 0; i < 2; i++) {
        Edge one = edge_arg(g, w, i, space);
        if (!edge_eq(edge_arg(g, w, 1 - i, space), z) || !edge_op(one, OP_select)) continue;
        Edge c = edge_arg(g, one, 0, space);
        if (!edge_is_const(edge_arg(g, one, 1, space), 0)) continue;
        if (!edge_is_const(edge_arg(g, one, 2, space), 1) || !edge_op(c, OP_lt)) continue;
        Edge zero = edge_arg(g, c, 0, space);
        if (edge_is_const(zero, 0) && edge_eq(edge_arg(g, c, 1, space), z)) return true;
    }
    return false;
}

/* u adds up to 1, or is all 0: a softmax, also one that may have nothing to choose from. */
static bool sums_to_one(const Sum *s, Edge u)
{
    Edge total = reduce(s, s->space, u);
    if (edge_is_const(total, 1)) return true;
    if (!edge_op(u, OP_div) || !edge_op(total, OP_div)) return false;
    const Space *out = outer(s);
    Edge z = edge_arg(s->g, total, 0, out), w = edge_arg(s->g, total, 1, out);
    return stands_in(s->g, out, w, z) && never_negative(u.node->args[0], 8);
}

static bool sum_cancel(Sum *s)
{
    if (!edge_op(s->e, OP_mul)) return false;
    for (int i = 0; i < 2; i++) {
        Edge diff = arg(s, s->e, i), u = arg(s, s->e, 1 - i);
        if (!edge_op(diff, OP_sub)) continue;
        Edge v = arg(s, diff, 0), w = arg(s, diff, 1);
        if (!(edge_axes(v) & s->red)) {
            Edge t = v;
            v = w, w = t;
        }
        if (edge_axes(w) & s->red || !(edge_axes(v) & s->red)) continue;
        if (!sums_to_one(s, u)) continue;
        if (!edge_eq(reduce(s, s->space, times(s->g, s->space, u, v)), w)) continue;
        if (may(s, RW_sum_cancel)) return becomes(s, fold_const(s->g, DT_FLOAT, 0));
    }
    return false;
}

bool fold_reduce(Graph *g, Op op, const Space *space, int nout, Edge e, Edge *out)
{
    static bool (*const rows[])(Sum *) = {
        sum_choice,    hoist_sign,    mask_smallest, hoist_denominator,
        hoist_factors, group_factors, sum_cancel,
    };
    Sum s = {g, op, space, nout, fold_red(space, nout), e, out};
    if (sum_invariant(&s)) return true;
    if (op != OP_sum || (e.node->dt != DT_FLOAT && e.node->dt != DT_INT)) return false;
    for (int i = 0; i < COUNT(rows); i++)
        if (rows[i](&s)) return true;
    return fold_exchange(g, space, nout, e, out);
}
