/* transpose.c: the transposed read.
 *
 * y[p] = x[m(p)] for p in a space; then dx[t] = sum of dy[p] over all p with m(p) = t. Each
 * dimension of x gives an equation m_i(p) = t_i. Axes of p that the equations determine become
 * expressions in t (guarded by their extents), axes left over are summed, and equations that can't
 * be solved become the keys of a scat, which is right for any map but slower.
 *
 *     m = (c*n + j), j < c       n = t // c, j = t % c
 *     m = (i // c, i % c)        i = c*hi + lo first, then hi = t0, lo = t1
 *     m = (c*n + j), j < q*c     n = t // c - r, j = c*r + t % c, sum over r < q: windows overlap
 *     m = (b, idx[b,j])          b = t0, key idx[t0,j], sum over j
 */
#include "passes/grad.h"

/* One equation: y(p) = target. div and mod of one expression are joined: then there are two
 * dimensions. */
typedef struct {
    int dim, dim2;       /* dim2: -1, or the dimension of the remainder */
    const Ix *y, *radix; /* radix: y = radix * t[dim] + t[dim2] */
    bool done, keyed;
} Equation;

typedef struct {
    Graph *g;
    const Space *shape, *old; /* of the operand; of the positions p */
    const Map *m;             /* over old */
    Edge e;                   /* over old */
    Equation eq[MAX_AXES];
    int neq;
    /* axes of the result's space: those of shape, then every old axis, then residual ones; unused
     * ones go last */
    const Ix *value[MAX_AXES]; /* per old axis: over `wide`; NULL while not solved */
    const Ix *residual[MAX_AXES];
    int nresidual;
    Guard guard[4 * MAX_AXES];
    int nguard;
    const Space *wide;
} Solver;

/* ---- axes read through quotients and remainders are split ---- */

typedef struct {
    const Space *space;
    int axis; /* -1: none yet */
    const Ix *by;
    Graph *g;
} Divisor;

static bool divides(Graph *g, const Ix *c, const Ix *e, const Ix **q)
{
    *q = ix_div(g, e, c, NULL);
    return ix_proves_eq(g, ix_mul(g, *q, c), e);
}

/* The divisor of a bare axis that no other divisor found is a multiple of: splitting by it leaves
 * the others simple. */
static void find_divisor(Divisor *d, const Ix *e)
{
    for (int i = 0; i < e->nterm; i++)
        for (int k = 0; k < e->t[i].n; k++) {
            const Atom *x = e->t[i].f[k];
            const Ix *q;
            if (x->kind == AT_LOAD || !x->a) continue;
            find_divisor(d, x->a);
            find_divisor(d, x->b);
            int axis = x->kind == AT_DIV || x->kind == AT_MOD ? ix_bare_axis(x->a) : -1;
            if (axis < 0 || x->b->axes || x->b->loads) continue;
            const Ix *ext = d->space->ext[axis];
            if (ix_is(x->b, 1) || x->b == ext || !divides(d->g, x->b, ext, &q)) continue;
            if (d->axis >= 0 && (axis != d->axis || !divides(d->g, d->by, x->b, &q))) continue;
            d->axis = axis, d->by = x->b;
        }
}

/* axis = c * axis + new last axis */
static void split_axis(Solver *s, int axis, const Ix *c)
{
    Graph *g = s->g;
    int n = s->old->n;
    const Ix *ext[MAX_AXES], *ix[MAX_AXES];
    for (int i = 0; i < n; i++) ext[i] = s->old->ext[i], ix[i] = ix_axis(g, i);
    divides(g, c, ext[axis], &ext[axis]);
    ext[n] = c;
    ix[axis] = ix_add(g, ix_mul(g, c, ix_axis(g, axis)), ix_axis(g, n));
    const Space *to = space_make(g, n + 1, ext);
    const Map *by = map_make(g, n, ix);
    s->m = map_subst(g, s->m, by, to);
    s->e = edge_comp(g, s->e, by, to);
    s->old = to;
}

static void split_axes(Solver *s)
{
    while (s->old->n < MAX_AXES) {
        Divisor d = {s->old, -1, NULL, s->g};
        for (int i = 0; i < s->m->n; i++) find_divisor(&d, s->m->ix[i]);
        if (d.axis < 0) return;
        split_axis(s, d.axis, d.by);
    }
}

/* ---- equations ---- */

static const Atom *lone_atom(const Ix *e, AtomKind kind)
{
    if (e->c || e->nterm != 1 || e->t[0].coef != 1 || e->t[0].n != 1) return NULL;
    return e->t[0].f[0]->kind == kind ? e->t[0].f[0] : NULL;
}

/* y // c = t_i and y % c = t_j together say y = c * t_i + t_j. */
static void join_radix(Solver *s)
{
    for (int j = 0; j < s->neq; j++) {
        const Atom *mod = lone_atom(s->eq[j].y, AT_MOD);
        if (!mod || mod->b->axes || mod->b->loads || s->eq[j].dim2 >= 0) continue;
        const Ix *quotient = ix_div(s->g, mod->a, mod->b, s->old);
        for (int i = 0; i < s->neq; i++) {
            if (i == j || s->eq[i].y != quotient || s->eq[i].dim2 >= 0) continue;
            s->eq[i] = (Equation){s->eq[i].dim, s->eq[j].dim, mod->a, mod->b, false, false};
            s->eq[j] = s->eq[--s->neq];
            j = -1;
            break;
        }
    }
}

static const Ix *target(const Solver *s, const Equation *q)
{
    const Ix *t = ix_axis(s->g, q->dim);
    if (q->dim2 < 0) return t;
    return ix_add(s->g, ix_mul(s->g, q->radix, t), ix_axis(s->g, q->dim2));
}

static void add_guard(Solver *s, const Ix *ix, const Ix *ext)
{
    if (s->nguard == COUNT(s->guard)) diag_bug(s->g->diag, "too many guards in a transposed read");
    s->guard[s->nguard++] = (Guard){ix, ext};
}

/* An expression over old axes, all solved, as one over wide. */
static const Ix *solved(const Solver *s, const Ix *e)
{
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < s->old->n; i++) ix[i] = s->value[i] ? s->value[i] : ix_const(s->g, 0);
    return ix_subst(s->g, e, map_make(s->g, s->old->n, ix), s->wide);
}

static uint64_t unsolved_axes(const Solver *s, const Ix *e)
{
    uint64_t axes = e->axes;
    for (int i = 0; i < s->old->n; i++)
        if (s->value[i]) axes &= ~(1ull << i);
    return axes;
}

/* ---- one equation: sum of coef * digit + rest = target ---- */

typedef struct {
    int axis;
    const Ix *coef; /* >= 1 */
    bool down;      /* the axis is its last position minus the digit */
} Digit;

/* Takes y apart; false if an unsolved axis occurs other than affinely, with a size of known sign.
 */
static bool affine_parts(const Solver *s, const Ix *y, Digit *d, int *n, const Ix **rest)
{
    Graph *g = s->g;
    const Ix *one = ix_const(g, 1);
    uint64_t axes = unsolved_axes(s, y);
    *rest = y, *n = 0;
    for (int a = 0; a < s->old->n; a++) {
        const Ix *coef;
        if (!(axes >> a & 1)) continue;
        if (!ix_affine(g, *rest, a, &coef, rest) || coef->axes || coef->loads) return false;
        const Ix *minus = ix_scale(g, coef, -1);
        Digit x = {a, coef, false};
        if (ix_proves_lt(g, minus, ix_const(g, 0), NULL)) {
            d[(*n)++] = x;
        } else if (ix_proves_lt(g, coef, ix_const(g, 0), NULL)) {
            x.coef = minus, x.down = true;
            d[(*n)++] = x;
            *rest = ix_add(g, *rest, ix_mul(g, coef, ix_sub(g, s->old->ext[a], one)));
        } else {
            return false;
        }
    }
    return true;
}

/* Index of the digit whose stride exceeds all that the others add up to, or -1. */
static int coarsest(const Solver *s, const Digit *d, int n)
{
    Graph *g = s->g;
    for (int i = 0; i < n; i++) {
        const Ix *fine = ix_const(g, 0);
        for (int k = 0; k < n; k++) {
            const Ix *last = ix_sub(g, s->old->ext[d[k].axis], ix_const(g, 1));
            if (k != i) fine = ix_add(g, fine, ix_mul(g, d[k].coef, last));
        }
        if (ix_proves_lt(g, fine, d[i].coef, NULL)) return i;
    }
    return -1;
}

static void settle(Solver *s, Digit d, const Ix *digit)
{
    const Ix *ext = s->old->ext[d.axis];
    add_guard(s, digit, ext);
    if (d.down) digit = ix_sub(s->g, ix_sub(s->g, ext, ix_const(s->g, 1)), digit);
    s->value[d.axis] = digit;
}

static const Ix *new_residual(Solver *s, const Ix *ext)
{
    int axis = s->shape->n + s->old->n + s->nresidual;
    s->residual[s->nresidual++] = ext;
    s->wide = space_concat(s->g, s->wide, space_make(s->g, 1, &ext));
    return ix_axis(s->g, axis);
}

/* r = c * n + j where j may exceed c: j = c * k + r % c, n = r // c - k, for each k with c * k <
 * extent of j. */
static bool solve_overlap(Solver *s, const Digit *d, const Ix *r)
{
    Graph *g = s->g;
    const Ix *zero = ix_const(g, 0), *one = ix_const(g, 1);
    int j = ix_is(d[0].coef, 1) ? 0 : 1;
    if (!ix_is(d[j].coef, 1) || s->wide->n == MAX_AXES) return false;
    const Ix *length[2] = {s->old->ext[d[0].axis], s->old->ext[d[1].axis]};
    if (ix_is(d[0].coef, 1) && ix_is(d[1].coef, 1) && ix_proves_lt(g, length[1], length[0], NULL))
        j = 1;
    const Ix *c = d[1 - j].coef;
    const Ix *count = ix_div(g, ix_sub(g, ix_add(g, length[j], c), one), c, NULL);
    if (!ix_proves_lt(g, zero, c, NULL)) return false;
    const Ix *k = new_residual(s, count);
    settle(s, d[1 - j], ix_sub(g, ix_div(g, r, c, s->wide), k));
    settle(s, d[j], ix_add(g, ix_mul(g, c, k), ix_mod(g, r, c, s->wide)));
    return true;
}

/* The order in which digits are peeled off; false if they don't separate. overlap: the last two
 * together. */
static bool order_digits(const Solver *s, Digit *d, int n, bool *overlap)
{
    for (int i = 0; i < n; i++) {
        int c = coarsest(s, d + i, n - i);
        *overlap = c < 0;
        if (c < 0) return n - i == 2 && (ix_is(d[i].coef, 1) || ix_is(d[i + 1].coef, 1));
        Digit t = d[i];
        d[i] = d[i + c], d[i + c] = t;
    }
    return true;
}

/* Is 0 <= off, and does it stay below every stride together with all finer digits? Then it can stay
 * in the remainders, where its divisions are exact: (t - 1) // 64 would not be. */
static bool stays_in_remainder(const Solver *s, const Digit *d, int n, const Ix *off)
{
    Graph *g = s->g;
    if (n == 0 || ix_is(off, 0) || off->axes || off->loads || !ix_proves_ge0(g, off, NULL))
        return false;
    const Ix *fine = off, *one = ix_const(g, 1);
    for (int i = n - 1; i >= 0; i--) {
        if (!ix_proves_lt(g, fine, d[i].coef, NULL)) return false;
        fine = ix_add(g, fine, ix_mul(g, d[i].coef, ix_sub(g, s->old->ext[d[i].axis], one)));
    }
    return true;
}

static bool solve(Solver *s, const Equation *q)
{
    Graph *g = s->g;
    Digit d[MAX_AXES];
    const Ix *rest;
    int n;
    bool overlap = false;
    if (!affine_parts(s, q->y, d, &n, &rest) || unsolved_axes(s, rest)) return false;
    if (!order_digits(s, d, n, &overlap)) return false;
    if (overlap && s->shape->n + s->old->n + s->nresidual == MAX_AXES) return false;
    if (q->dim2 >= 0) add_guard(s, ix_axis(g, q->dim2), q->radix);
    const Ix *off = solved(s, rest), *r = target(s, q), *left = ix_const(g, 0);
    if (!overlap && stays_in_remainder(s, d, n, off))
        left = off;
    else
        r = ix_sub(g, r, off);
    if (n == 0) add_guard(s, r, ix_const(g, 1));
    for (int i = 0; i < n; i++) {
        if (overlap && i == n - 2) return solve_overlap(s, d + i, r);
        if (i == n - 1)
            add_guard(s, ix_sub(g, ix_mod(g, r, d[i].coef, s->wide), left), ix_const(g, 1));
        settle(s, d[i], ix_div(g, r, d[i].coef, s->wide));
        r = ix_mod(g, r, d[i].coef, s->wide);
    }
    return true;
}

/* Fewest unknown axes first: what they give may make the next one simple. */
static void solve_all(Solver *s)
{
    for (;;) {
        int best = -1, fewest = 0;
        for (int i = 0; i < s->neq; i++) {
            if (s->eq[i].done) continue;
            int n = __builtin_popcountll(unsolved_axes(s, s->eq[i].y));
            if (best < 0 || n < fewest) best = i, fewest = n;
        }
        if (best < 0) return;
        s->eq[best].done = true;
        s->eq[best].keyed = !solve(s, &s->eq[best]);
        if (s->eq[best].keyed) continue;
        for (int i = 0; i < s->neq; i++) /* it may be simple now */
            if (s->eq[i].keyed) s->eq[i].done = s->eq[i].keyed = false;
    }
}

/* ---- the result ---- */

/* The result's space: shape, the axes not solved, the residual ones. over: wide's axes over it. */
static const Space *compact(const Solver *s, const Map **over)
{
    Graph *g = s->g;
    const Ix *ext[MAX_AXES], *ix[MAX_AXES];
    int n = 0, wide = 0;
    for (int i = 0; i < s->shape->n; i++) ext[n] = s->shape->ext[i], ix[wide++] = ix_axis(g, n++);
    for (int i = 0; i < s->old->n; i++) {
        ix[wide++] = s->value[i] ? ix_const(g, 0) : ix_axis(g, n);
        if (!s->value[i]) ext[n++] = s->old->ext[i];
    }
    for (int i = 0; i < s->nresidual; i++) ext[n] = s->residual[i], ix[wide++] = ix_axis(g, n++);
    *over = map_make(g, wide, ix);
    return space_make(g, n, ext);
}

typedef struct {
    Graph *g;
    const Space *space;
    Edge key;
    bool changed;
} Inside;

static void guard_load(void *ctx, Edge e, bool as_index)
{
    Inside *x = ctx;
    Graph *g = x->g;
    Guard guard[MAX_AXES];
    int n = 0;
    (void)as_index;
    for (int i = 0; i < e.map->n; i++) {
        const Ix *ix = e.map->ix[i], *ext = e.node->space->ext[i];
        if (ix_proves_ge0(g, ix, x->space) && ix_proves_lt(g, ix, ext, x->space)) continue;
        guard[n++] = (Guard){ix, ext};
    }
    if (!n) return;
    x->key = graph_read(g, x->space, guard, n, x->key, graph_int(g, -1));
    x->changed = true;
}

/* The key -1, which is dropped, where a load in it lies outside: e is 0 there, since it was read
 * under a guard. */
static const Ix *key_inside(Graph *g, const Ix *key, const Space *to)
{
    Inside x = {g, to, graph_idx(g, key, to), false};
    ix_loads(key, guard_load, &x); /* outer loads first: reads of inner ones enclose theirs */
    return x.changed ? ix_load(g, x.key, to) : key;
}

static Edge finish(Solver *s)
{
    Graph *g = s->g;
    int k = s->shape->n;
    const Map *over;
    const Space *to = compact(s, &over);
    const Ix *at[MAX_AXES], *key[MAX_AXES] = {NULL};
    for (int i = 0; i < s->old->n; i++)
        at[i] = ix_subst(g, s->value[i] ? s->value[i] : ix_axis(g, k + i), over, to);
    const Map *m = map_make(g, s->old->n, at);
    for (int i = 0; i < s->nguard; i++) s->guard[i].ix = ix_subst(g, s->guard[i].ix, over, to);
    Edge e = edge_comp(g, s->e, m, to);
    if (s->nguard) e = graph_read(g, to, s->guard, s->nguard, e, graph_float(g, 0));
    bool keyed = false;
    for (int i = 0; i < s->neq; i++) {
        const Equation *q = &s->eq[i];
        if (!q->keyed) continue;
        const Ix *y = ix_subst(g, q->y, m, to);
        keyed = true;
        key[q->dim] = q->dim2 < 0 ? y : ix_div(g, y, q->radix, to);
        if (q->dim2 >= 0) key[q->dim2] = ix_mod(g, y, q->radix, to);
    }
    for (int i = 0; i < k; i++)
        if (key[i]) key[i] = key_inside(g, key[i], to);
    if (keyed) return graph_scat(g, to, k, e, key);
    return to->n > k ? graph_reduce(g, OP_sum, to, k, e) : e;
}

Edge edge_transpose(Graph *g, const Space *shape, const Map *m, const Space *space, Edge e)
{
    Solver s = {.g = g, .shape = shape, .old = space, .m = m, .e = e};
    split_axes(&s);
    if (shape->n + s.old->n > MAX_AXES)
        user_error(g->diag, g->loc, "the gradient here needs more than %d axes", MAX_AXES);
    s.wide = space_concat(g, shape, s.old);
    for (int i = 0; i < shape->n; i++)
        s.eq[s.neq++] = (Equation){i, -1, s.m->ix[i], NULL, false, false};
    join_radix(&s);
    solve_all(&s);
    return finish(&s);
}
