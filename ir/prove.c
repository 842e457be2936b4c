/* prove.c: questions about ranges: is e >= 0 at every position of a space and for all sizes?
 *
 * Atoms are eliminated one by one, outermost first, each replaced by the end of its range that makes e smallest;
 * which end that is follows from the sign of its coefficient, itself proved. What is left is a polynomial in the
 * free dimensions, each at least 1: shifted by 1 it must have no negative coefficient. A proof may fail for
 * something true; it never holds for something false.
 *
 *     axis i           [0, extent - 1]
 *     a % c            [0, c - 1]
 *     a // c           from the definition of floor
 *     min, max         one of both operands
 *     load             the range of the int node (top: positions of its axis; checked inputs)
 */
#include "ir/intern.h"

enum { MAX_DEPTH = 40 };

static bool prove(Graph *g, const Ix *e, const Space *space, int depth);

/* e with every occurrence of atom x as a direct factor replaced by r. */
static const Ix *replace(Graph *g, const Ix *e, const Atom *x, const Ix *r)
{
    const Ix *sum = ix_const(g, e->c);
    for (int i = 0; i < e->nterm; i++) {
        const Term *t = &e->t[i];
        const Atom **f = NEW_N(g->arena, const Atom *, t->n);
        int n = 0, power = 0;
        for (int j = 0; j < t->n; j++) {
            if (t->f[j] == x) power++;
            else f[n++] = t->f[j];
        }
        const Ix *p = ix_product(g, t->coef, n, f);
        for (int k = 0; k < power; k++) p = ix_mul(g, p, r);
        sum = ix_add(g, sum, p);
    }
    return sum;
}

/* e = coef * x + rest; false when x occurs squared or inside another atom's factor. */
static bool linear(Graph *g, const Ix *e, const Atom *x, const Ix **coef, const Ix **rest)
{
    *rest = replace(g, e, x, ix_const(g, 0));
    const Ix *at1 = replace(g, e, x, ix_const(g, 1));
    *coef = ix_sub(g, at1, *rest);
    const Ix *at2 = replace(g, e, x, ix_const(g, 2));
    return ix_sub(g, at2, at1) == *coef;               /* no square */
}

/* Outermost first: quotients, loads.. over axes, then axes, then quotients of sizes; NULL when only symbols are left. */
static const Atom *pick(const Ix *e)
{
    const Atom *best = NULL;
    int rank = -1;
    for (int i = 0; i < e->nterm; i++)
        for (int j = 0; j < e->t[i].n; j++) {
            const Atom *a = e->t[i].f[j];
            int r = a->kind == AT_SYM ? -1 : a->kind == AT_AXIS ? 1 : a->axes || a->loads ? 2 : 0;
            if (r > rank || (r == rank && r >= 0 && a->uid > best->uid)) best = a, rank = r;
        }
    return best;
}

static bool prove_sizes(Graph *g, const Ix *e, int depth)
{
    const Ix *p = e;
    for (int s = 0; s < g->syms.n; s++) {
        const Ix *sym = ix_sym(g, g->syms.v[s].name, NO_LOC);
        p = replace(g, p, sym->t[0].f[0], ix_add(g, sym, ix_const(g, 1)));
    }
    bool ok = p->c >= 0;
    for (int i = 0; i < p->nterm; i++) ok = ok && p->t[i].coef > 0;
    if (ok || depth > MAX_DEPTH - 8) return ok;
    for (int i = 0; i < g->tables->ge0.n; i++) {       /* e - k * fact >= 0 for the k that removes a negative term */
        const Ix *f = g->tables->ge0.v[i];
        for (int a = 0; a < f->nterm; a++) {
            if (f->t[a].coef >= 0) continue;
            for (int b = 0; b < e->nterm; b++) {
                const Term *x = &f->t[a], *y = &e->t[b];
                if (y->coef >= 0 || x->n != y->n || memcmp(x->f, y->f, sizeof *x->f * (size_t)x->n)) continue;
                int64_t k = (-y->coef + -x->coef - 1) / -x->coef;
                if (prove(g, ix_sub(g, e, ix_scale(g, f, k)), NULL, depth + 8)) return true;
            }
        }
    }
    return false;
}

/* x lies between lo and hi (either may be NULL: unknown). */
static bool prove_between(Graph *g, const Ix *coef, const Ix *rest, int sign, const Ix *lo, const Ix *hi, const Space *sp, int depth)
{
    const Ix *end = sign > 0 ? lo : hi;
    return end && prove(g, ix_add(g, rest, ix_mul(g, coef, end)), sp, depth + 1);
}

static bool prove_choice(Graph *g, const Atom *x, const Ix *coef, const Ix *rest, int sign, const Space *sp, int depth)
{
    const Ix *pa = ix_add(g, rest, ix_mul(g, coef, x->a)), *pb = ix_add(g, rest, ix_mul(g, coef, x->b));
    bool both = (x->kind == AT_MIN) == (sign > 0);     /* min from below, max from above: it may be either */
    bool a = prove(g, pa, sp, depth + 1);
    if (both) return a && prove(g, pb, sp, depth + 1);
    return a || prove(g, pb, sp, depth + 1);
}

static bool prove_atom(Graph *g, const Ix *e, const Atom *x, const Space *sp, int depth)
{
    const Ix *coef, *rest, *lo, *hi;
    if (!linear(g, e, x, &coef, &rest)) return false;
    int sign = 0;
    if (ix_is_const(coef)) sign = coef->c > 0 ? 1 : -1;
    else if (prove(g, coef, sp, depth + 1)) sign = 1;
    else if (prove(g, ix_scale(g, coef, -1), sp, depth + 1)) sign = -1;
    if (x->kind == AT_AXIS) {
        if (!sp || x->id >= sp->n) return false;
        const Ix *last = ix_sub(g, sp->ext[x->id], ix_const(g, 1));
        if (sign) return prove_between(g, coef, rest, sign, ix_const(g, 0), last, sp, depth);
        return prove(g, rest, sp, depth + 1) && prove(g, ix_add(g, rest, ix_mul(g, coef, last)), sp, depth + 1);
    }
    if (!sign) return false;
    switch (x->kind) {
    case AT_MOD:
        if (prove_between(g, coef, rest, sign, ix_const(g, 0), ix_sub(g, x->b, ix_const(g, 1)), sp, depth)) return true;
        return sign < 0 && prove(g, x->a, sp, depth + 1) && prove_between(g, coef, rest, sign, NULL, x->a, sp, depth);
    case AT_DIV: {
        /* all are integers, so rest + k * (a // c) >= 0 follows from
         *   k <= 0:  c * (rest + 1) - 1 + k * a >= 0       k > 0:  c * (rest - k + 1) + k * a >= 0
         * and, where k may be 0, from                     k >= 0:  c * rest + k * (a - c + 1) >= 0 */
        const Ix *one = ix_const(g, 1), *ka = ix_mul(g, coef, x->a);
        if (sign < 0)
            return prove(g, ix_sub(g, ix_add(g, ix_mul(g, x->b, ix_add(g, rest, one)), ka), one), sp, depth + 1);
        if (prove(g, x->a, sp, depth + 1) && prove(g, rest, sp, depth + 1)) return true;
        const Ix *less = ix_sub(g, coef, one);
        if (prove(g, less, sp, depth + 1))
            return prove(g, ix_add(g, ix_mul(g, x->b, ix_sub(g, rest, less)), ka), sp, depth + 1);
        const Ix *tail = ix_mul(g, coef, ix_sub(g, x->b, one));
        return prove(g, ix_add(g, ix_mul(g, x->b, rest), ix_sub(g, ka, tail)), sp, depth + 1);
    }
    case AT_MIN:
    case AT_MAX: return prove_choice(g, x, coef, rest, sign, sp, depth);
    case AT_LOAD:
        if (!node_range(g, x->load.node, &lo, &hi)) return false;
        return prove_between(g, coef, rest, sign, lo, hi, sp, depth);
    default: return false;
    }
}

/* k * p + c >= 0 is p + floor(c / k) >= 0. */
static const Ix *reduce_gcd(Graph *g, const Ix *e)
{
    int64_t k = 0;
    for (int i = 0; i < e->nterm; i++) {
        int64_t a = e->t[i].coef < 0 ? -e->t[i].coef : e->t[i].coef;
        while (k) {
            int64_t r = a % k;
            a = k, k = r;
        }
        k = a;
    }
    if (k <= 1) return e;
    int64_t down = e->c / k - (e->c % k < 0);
    const Ix *p = ix_const(g, down);
    for (int i = 0; i < e->nterm; i++) p = ix_add(g, p, ix_product(g, e->t[i].coef / k, e->t[i].n, e->t[i].f));
    return p;
}

static bool prove(Graph *g, const Ix *e, const Space *space, int depth)
{
    if (g->tables->overflow || depth > MAX_DEPTH) return false;
    if (ix_is_const(e)) return e->c >= 0;
    e = reduce_gcd(g, e);
    if (!e->axes) space = NULL;
    int facts = g->tables->ge0.n + g->tables->ranges.n;
    ProofMemo *m = &g->tables->proof[hash_mix(e->uid, space ? space->uid : 0) & (MEMO - 1)];
    if (m->e == e && m->space == space && m->facts == facts) return m->holds;
    const Atom *x = pick(e);
    bool ok = x ? prove_atom(g, e, x, space, depth) : prove_sizes(g, e, depth);
    /* a failure near the depth limit may be the limit's: don't remember it */
    if (ok || depth < MAX_DEPTH / 2) *m = (ProofMemo){e, space, facts, ok};
    return ok;
}

bool ix_proves_ge0(Graph *g, const Ix *e, const Space *space)
{
    if (ix_is_const(e)) return e->c >= 0;
    bool before = g->tables->overflow;
    g->tables->overflow = false;
    g->tables->quiet++;
    bool ok = prove(g, e, space, 0) && !g->tables->overflow;
    g->tables->quiet--;
    g->tables->overflow = before;
    return ok;
}

bool ix_proves_lt(Graph *g, const Ix *a, const Ix *b, const Space *space)
{
    return ix_proves_ge0(g, ix_sub(g, ix_sub(g, b, a), ix_const(g, 1)), space);
}

bool ix_proves_eq(Graph *g, const Ix *a, const Ix *b)
{
    if (a == b) return true;
    const Ix *d = ix_sub(g, a, b);
    if (ix_is_const(d)) return d->c == 0;
    const Ix *minus = ix_scale(g, d, -1);
    for (int i = 0; i < g->tables->eq0.n; i++)
        if (g->tables->eq0.v[i] == d || g->tables->eq0.v[i] == minus) return true;
    return false;
}

/* ---- bounds ---- */

/* Replaces atoms that read axes or loads by their ends until only sizes are left. */
static const Ix *bound(Graph *g, const Ix *e, const Space *space, bool upper, int depth)
{
    while (e->axes || e->loads) {
        const Atom *x = pick(e);
        const Ix *coef, *rest, *lo = ix_const(g, 0), *hi = NULL;
        if (depth > 8 || !x || !linear(g, e, x, &coef, &rest)) return NULL;
        bool up = ix_proves_ge0(g, coef, space);
        if (!up && !ix_proves_ge0(g, ix_scale(g, coef, -1), space)) return NULL;
        switch (x->kind) {
        case AT_AXIS: hi = ix_sub(g, space->ext[x->id], ix_const(g, 1)); break;
        case AT_MOD: hi = ix_sub(g, x->b, ix_const(g, 1)); break;
        case AT_LOAD:
            if (!node_range(g, x->load.node, &lo, &hi)) return NULL;
            break;
        default:
            lo = bound(g, x->a, space, false, depth + 1), hi = bound(g, x->a, space, true, depth + 1);
            if (!lo || !hi || (x->kind == AT_DIV && x->b->axes)) return NULL;
            if (x->kind == AT_DIV) {
                lo = ix_div(g, lo, x->b, NULL), hi = ix_div(g, hi, x->b, NULL);
            } else {
                const Ix *bl = bound(g, x->b, space, false, depth + 1), *bh = bound(g, x->b, space, true, depth + 1);
                if (!bl || !bh) return NULL;
                lo = x->kind == AT_MIN ? ix_min(g, lo, bl, NULL) : ix_max(g, lo, bl, NULL);
                hi = x->kind == AT_MIN ? ix_min(g, hi, bh, NULL) : ix_max(g, hi, bh, NULL);
            }
        }
        e = ix_add(g, rest, ix_mul(g, coef, up == upper ? hi : lo));
    }
    return e;
}

static const Ix *quiet_bound(Graph *g, const Ix *e, const Space *space, bool upper)
{
    bool before = g->tables->overflow;
    g->tables->overflow = false;
    g->tables->quiet++;
    const Ix *b = bound(g, e, space, upper, 0);
    if (g->tables->overflow) b = NULL;
    g->tables->quiet--;
    g->tables->overflow = before;
    return b;
}
const Ix *ix_upper(Graph *g, const Ix *e, const Space *space) { return quiet_bound(g, e, space, true); }
const Ix *ix_lower(Graph *g, const Ix *e, const Space *space) { return quiet_bound(g, e, space, false); }

/* Both ends of what several nodes may give. */
static bool range_union(Graph *g, const Edge *e, int n, const Ix **lo, const Ix **hi)
{
    for (int i = 0; i < n; i++) {
        const Ix *l, *h;
        if (!node_range(g, e[i].node, &l, &h)) return false;
        *lo = i ? ix_min(g, *lo, l, NULL) : l;
        *hi = i ? ix_max(g, *hi, h, NULL) : h;
    }
    return true;
}

bool node_range(Graph *g, const Node *n, const Ix **lo, const Ix **hi)
{
    for (int i = 0; i < g->tables->ranges.n; i++)
        if (g->tables->ranges.v[i].node == n) {
            *lo = ix_const(g, 0);
            *hi = ix_sub(g, g->tables->ranges.v[i].ext, ix_const(g, 1));
            return true;
        }
    if (n->dt != DT_INT) return false;
    const Ix *al, *ah, *bl, *bh;
    switch (n->op) {
    case OP_const: *lo = *hi = ix_const(g, n->attr.value.i); return true;
    case OP_top:
        *lo = ix_const(g, 0), *hi = ix_sub(g, n->space->ext[n->rank], ix_const(g, 1));
        return true;
    case OP_idx:
        *lo = ix_lower(g, n->attr.ix, n->space), *hi = ix_upper(g, n->attr.ix, n->space);
        return *lo && *hi;
    case OP_read: return range_union(g, n->args, 2, lo, hi);
    case OP_select: return range_union(g, n->args + 1, 2, lo, hi);
    case OP_branch: return range_union(g, n->args + 1, 2, lo, hi);
    case OP_stop: return node_range(g, n->args[0].node, lo, hi);
    case OP_cast:
        *lo = ix_const(g, 0), *hi = ix_const(g, 1);
        return n->args[0].node->dt == DT_BOOL;
    case OP_rmax: case OP_rmin: return node_range(g, n->args[0].node, lo, hi);
    case OP_add: case OP_sub: case OP_min: case OP_max:
        if (!node_range(g, n->args[0].node, &al, &ah) || !node_range(g, n->args[1].node, &bl, &bh)) return false;
        if (n->op == OP_add) *lo = ix_add(g, al, bl), *hi = ix_add(g, ah, bh);
        if (n->op == OP_sub) *lo = ix_sub(g, al, bh), *hi = ix_sub(g, ah, bl);
        if (n->op == OP_min) *lo = ix_min(g, al, bl, NULL), *hi = ix_min(g, ah, bh, NULL);
        if (n->op == OP_max) *lo = ix_max(g, al, bl, NULL), *hi = ix_max(g, ah, bh, NULL);
        return true;
    default: return false;
    }
}

/* ---- facts ---- */

void graph_fact_ge0(Graph *g, const Ix *e) { vec_push(g->arena, &g->tables->ge0, e); }
void graph_fact_eq0(Graph *g, const Ix *e) { vec_push(g->arena, &g->tables->eq0, e); }

void graph_assume_range(Graph *g, Node *n, const Ix *ext, const char *text, Loc loc)
{
    const Ix *lo, *hi;
    if (node_range(g, n, &lo, &hi) && ix_proves_ge0(g, lo, NULL) && ix_proves_lt(g, hi, ext, NULL)) return;
    Edge e = edge_identity(g, n);
    graph_check(g, (Check){.kind = CHECK_RANGE, .ix = ext, .e = e, .space = node_shape(g, n), .text = text, .loc = loc});
    vec_push(g->arena, &g->tables->ranges, (Assumed){n, ext});
}
