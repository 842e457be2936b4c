/* index.c: the algebra of index expressions, in normal form.
 *
 * An expression is constant + sum of coefficient * product of atoms, with products sorted and merged, so that
 * equal expressions are the same pointer. Quotients and remainders dissolve as far as ranges allow:
 *     (h*64 + d) // 64 = h,   (h*64 + d) % 64 = d    where 0 <= d < 64 is proved
 *     64*(e // 64) + e % 64 = e,                       also for symbolic divisors
 * prove.c answers the range questions.
 */
#include "ir/intern.h"

/* ---- tables ---- */

const void *table_find(const Table *t, uint64_t hash, const void *key, TableEq eq)
{
    if (!t->cap) return NULL;
    for (uint64_t i = hash & (uint64_t)(t->cap - 1);; i = (i + 1) & (uint64_t)(t->cap - 1)) {
        if (!t->slot[i].p) return NULL;
        if (t->slot[i].hash == hash && eq(t->slot[i].p, key)) return t->slot[i].p;
    }
}

static void table_put(Table *t, uint64_t hash, const void *p)
{
    uint64_t i = hash & (uint64_t)(t->cap - 1);
    while (t->slot[i].p) i = (i + 1) & (uint64_t)(t->cap - 1);
    t->slot[i].hash = hash, t->slot[i].p = p;
}

void table_add(Arena *a, Table *t, uint64_t hash, const void *p)
{
    if (2 * (t->n + 1) > t->cap) {
        Table big = {.cap = t->cap ? 2 * t->cap : 64, .n = t->n};
        big.slot = arena_alloc(a, sizeof *big.slot * (size_t)big.cap);
        for (int i = 0; i < t->cap; i++)
            if (t->slot[i].p) table_put(&big, t->slot[i].hash, t->slot[i].p);
        *t = big;
    }
    table_put(t, hash, p);
    t->n++;
}

/* ---- structural order ---- */

static int cmp_int(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int atom_cmp(const Atom *a, const Atom *b)
{
    if (a == b) return 0;
    if (a->kind != b->kind) return cmp_int(a->kind, b->kind);
    if (a->kind == AT_AXIS || a->kind == AT_SYM) return cmp_int(a->id, b->id);
    if (a->kind != AT_LOAD) {
        int c = ix_cmp(a->a, b->a);
        return c ? c : ix_cmp(a->b, b->b);
    }
    if (a->load.node != b->load.node) return cmp_int(a->load.node->id, b->load.node->id);
    for (int i = 0; i < a->load.map->n; i++) {
        int c = ix_cmp(a->load.map->ix[i], b->load.map->ix[i]);
        if (c) return c;
    }
    return 0;
}

static int product_cmp(const Term *a, const Term *b)
{
    if (a->n != b->n) return cmp_int(b->n, a->n);
    for (int i = 0; i < a->n; i++) {
        int c = atom_cmp(a->f[i], b->f[i]);
        if (c) return c;
    }
    return 0;
}

int ix_cmp(const Ix *a, const Ix *b)
{
    if (a == b) return 0;
    for (int i = 0; i < a->nterm && i < b->nterm; i++) {
        int c = product_cmp(&a->t[i], &b->t[i]);
        if (!c) c = cmp_int(a->t[i].coef, b->t[i].coef);
        if (c) return c;
    }
    if (a->nterm != b->nterm) return cmp_int(a->nterm, b->nterm);
    return cmp_int(a->c, b->c);
}

static uint64_t atom_hash_shape(const Atom *a)
{
    uint64_t h = hash_mix(17, (uint64_t)a->kind);
    if (a->kind == AT_SYM) return hash_mix(h, (uint64_t)a->id);
    if (a->kind == AT_AXIS) return h;
    if (a->kind != AT_LOAD) return hash_mix(hash_mix(h, ix_hash_shape(a->a)), ix_hash_shape(a->b));
    /* not the node's id: it changes when nodes are renumbered */
    for (int i = 0; i < a->load.map->n; i++) h = hash_mix(h, ix_hash_shape(a->load.map->ix[i]));
    return h;
}

uint64_t ix_hash_shape(const Ix *e)
{
    uint64_t h = (uint64_t)e->c;
    for (int i = 0; i < e->nterm; i++) {               /* the order of terms may depend on axis numbers: commute */
        uint64_t p = (uint64_t)e->t[i].coef;
        for (int j = 0; j < e->t[i].n; j++) p += 31 * atom_hash_shape(e->t[i].f[j]);
        h += hash_mix(5, p);
    }
    return hash_mix(3, h);
}

/* ---- atoms ---- */

static bool atom_same(const void *x, const void *y)
{
    const Atom *a = x, *b = y;
    return a->kind == b->kind && a->id == b->id && a->a == b->a && a->b == b->b && edge_eq(a->load, b->load);
}

static const Atom *atom_make(Graph *g, Atom a)
{
    uint64_t h = hash_mix((uint64_t)a.kind, (uint64_t)a.id);
    h = hash_mix(hash_mix(h, (uintptr_t)a.a), (uintptr_t)a.b);
    h = hash_mix(hash_mix(h, (uintptr_t)a.load.node), (uintptr_t)a.load.map);
    const Atom *old = table_find(&g->tables->atoms, h, &a, atom_same);
    if (old) return old;
    Atom *n = arena_copy(g->arena, &a, sizeof a);
    n->uid = g->tables->next_uid++;
    if (a.kind == AT_AXIS) n->axes = 1ull << a.id;
    if (a.a) n->axes = a.a->axes | a.b->axes, n->loads = a.a->loads || a.b->loads;
    if (a.kind == AT_LOAD) n->axes = a.load.map->axes, n->loads = true;
    table_add(g->arena, &g->tables->atoms, h, n);
    return n;
}

const Atom *atom_axis(Graph *g, int axis) { return atom_make(g, (Atom){.kind = AT_AXIS, .id = axis}); }

/* ---- building in normal form ---- */

enum { FEW_TERMS = 8, FEW_ATOMS = 32 };

/* In the making: nearly all of them turn out to exist already, so terms and products stay on the stack while they are
 * few; what is new is copied (poly_done). */
typedef struct {
    Graph *g;
    int64_t c;
    VEC(Term) t;
    Term few[FEW_TERMS];
    const Atom *room[FEW_ATOMS];
    int used;
} Poly;

static void poly_start(Poly *p, Graph *g, int64_t c)
{
    p->g = g, p->c = c, p->used = 0;
    p->t.v = p->few, p->t.n = 0, p->t.cap = FEW_TERMS;
}

static const Atom **poly_room(Poly *p, int n)
{
    if (n > FEW_ATOMS - p->used) return NEW_N(p->g->arena, const Atom *, n);
    const Atom **m = p->room + p->used;
    p->used += n;
    return m;
}

static int64_t checked(Graph *g, bool wrapped, int64_t v)
{
    if (!wrapped) return v;
    g->tables->overflow = true;
    if (!g->tables->quiet) user_error(g->diag, g->loc, "a size or position here does not fit 64 bits");
    return 0;
}
static int64_t add64(Graph *g, int64_t a, int64_t b)
{
    int64_t r;
    bool w = __builtin_add_overflow(a, b, &r);
    return checked(g, w, r);
}
static int64_t mul64(Graph *g, int64_t a, int64_t b)
{
    int64_t r;
    bool w = __builtin_mul_overflow(a, b, &r);
    return checked(g, w, r);
}

static void poly_term(Poly *p, int64_t coef, int n, const Atom *const *f)
{
    if (!coef) return;
    if (!n) {
        p->c = add64(p->g, p->c, coef);
        return;
    }
    Term t = {.coef = coef, .n = n, .f = f};
    for (int i = 0; i < p->t.n; i++) {
        if (product_cmp(&p->t.v[i], &t)) continue;
        p->t.v[i].coef = add64(p->g, p->t.v[i].coef, coef);
        if (!p->t.v[i].coef) p->t.v[i] = p->t.v[--p->t.n];
        return;
    }
    vec_push(p->g->arena, &p->t, t);
}

/* p += k * (product f of n atoms) * e */
static void poly_add_product(Poly *p, int64_t k, int n, const Atom *const *f, const Ix *e)
{
    if (e->c) poly_term(p, mul64(p->g, k, e->c), n, f);
    for (int i = 0; i < e->nterm; i++) {
        const Term *t = &e->t[i];
        const Atom **m = poly_room(p, n + t->n);
        int a = 0, b = 0, j = 0;
        while (a < n || b < t->n)
            m[j++] = b == t->n || (a < n && atom_cmp(f[a], t->f[b]) <= 0) ? f[a++] : t->f[b++];
        poly_term(p, mul64(p->g, k, t->coef), n + t->n, m);
    }
}
static void poly_add(Poly *p, int64_t k, const Ix *e)
{
    if (e->c) p->c = add64(p->g, p->c, mul64(p->g, k, e->c));
    for (int i = 0; i < e->nterm; i++)
        poly_term(p, mul64(p->g, k, e->t[i].coef), e->t[i].n, e->t[i].f);
}

static bool divides_known(Graph *g, const Ix *y, const Ix *c);
static const Atom *lone(const Ix *r);

/* The atoms of t without one occurrence of x. */
static const Atom *const *without(Poly *p, const Term *t, int skip)
{
    const Atom **m = poly_room(p, t->n);
    for (int i = 0, j = 0; i < t->n; i++)
        if (i != skip) m[j++] = t->f[i];
    return m;
}

/* coef * rest * (y % c) and coef * c * rest * ((y // c) % e) are coef * rest * (y % (c * e)); constants only.
 * Term i is the first, x its remainder. */
static bool recombine_digits(Poly *p, int i, const Atom *x, const Atom *const *rest)
{
    Graph *g = p->g;
    const Term t = p->t.v[i];
    int64_t c = x->b->c, coef, whole;
    if (!ix_is_const(x->b) || __builtin_mul_overflow(t.coef, c, &coef)) return false;
    for (int k = 0; k < p->t.n; k++) {
        const Term u = p->t.v[k];
        if (k == i || u.n != t.n || u.coef != coef) continue;
        for (int m = 0; m < u.n; m++) {
            const Atom *y = u.f[m], *q = y->kind == AT_MOD ? lone(y->a) : NULL;
            if (!q || q->kind != AT_DIV || q->a != x->a || q->b != x->b || !ix_is_const(y->b)) continue;
            const Atom *const *others = without(p, &u, m);
            if (u.n > 1 && memcmp(others, rest, sizeof *rest * (size_t)(u.n - 1))) continue;
            if (__builtin_mul_overflow(c, y->b->c, &whole)) continue;
            const Atom *a = atom_make(g, (Atom){.kind = AT_MOD, .a = x->a, .b = ix_const(g, whole)});
            Term one = {.coef = 1, .n = 1, .f = &a};
            Ix ae = {.nterm = 1, .t = &one};
            int hi = i > k ? i : k, lo = i > k ? k : i;
            p->t.v[hi] = p->t.v[--p->t.n];
            p->t.v[lo] = p->t.v[--p->t.n];
            poly_add_product(p, t.coef, t.n - 1, rest, &ae);
            return true;
        }
    }
    return false;
}

/* c * (y // c) + y % c = y, and c * (y // c) = y where c is known to divide y. One step; false when none applies. */
static bool recombine(Poly *p)
{
    Graph *g = p->g;
    for (int i = 0; i < p->t.n; i++) {
        for (int j = 0; j < p->t.v[i].n; j++) {
            const Atom *x = p->t.v[i].f[j];
            if (x->kind != AT_MOD && x->kind != AT_DIV) continue;
            Term t = p->t.v[i];
            const Atom *const *rest = without(p, &t, j);
            if (x->kind == AT_DIV) {
                if (!divides_known(g, x->a, x->b)) continue;
                /* coef * rest must contain c as a factor */
                if (ix_is_const(x->b) && t.coef % x->b->c == 0) {
                    p->t.v[i] = p->t.v[--p->t.n];
                    poly_add_product(p, t.coef / x->b->c, t.n - 1, rest, x->a);
                    return true;
                }
                if (x->b->c == 0 && x->b->nterm == 1 && x->b->t[0].n == 1 && t.coef % x->b->t[0].coef == 0) {
                    for (int k = 0; k < t.n - 1; k++) {
                        if (rest[k] != x->b->t[0].f[0]) continue;
                        Term r = {.n = t.n - 1, .f = rest};
                        p->t.v[i] = p->t.v[--p->t.n];
                        poly_add_product(p, t.coef / x->b->t[0].coef, t.n - 2, without(p, &r, k), x->a);
                        return true;
                    }
                }
                continue;
            }
            if (recombine_digits(p, i, x, rest)) return true;
            if (!ix_is_const(x->b) && (x->b->c || x->b->nterm != 1)) continue;
            /* look for coef * c * rest * (y // c) */
            const Atom *d = atom_make(g, (Atom){.kind = AT_DIV, .a = x->a, .b = x->b});
            Poly product, want;
            Term one = {.coef = 1, .n = 1, .f = &d};
            Ix quotient = {.nterm = 1, .t = &one};
            poly_start(&product, g, 0), poly_start(&want, g, 0);
            if (ix_is_const(x->b)) poly_add(&product, x->b->c, &quotient);
            else poly_add_product(&product, x->b->t[0].coef, x->b->t[0].n, x->b->t[0].f, &quotient);
            Ix whole = {.nterm = product.t.n, .t = product.t.v};
            poly_add_product(&want, t.coef, t.n - 1, rest, &whole);
            if (want.t.n != 1) continue;
            for (int k = 0; k < p->t.n; k++) {
                if (k == i || product_cmp(&p->t.v[k], &want.t.v[0]) || p->t.v[k].coef != want.t.v[0].coef) continue;
                int hi = i > k ? i : k, lo = i > k ? k : i;
                p->t.v[hi] = p->t.v[--p->t.n];
                p->t.v[lo] = p->t.v[--p->t.n];
                poly_add_product(p, t.coef, t.n - 1, rest, x->a);
                return true;
            }
        }
    }
    return false;
}

static bool ix_same(const void *x, const void *y)
{
    const Ix *a = x, *b = y;
    if (a->c != b->c || a->nterm != b->nterm) return false;
    for (int i = 0; i < a->nterm; i++) {
        if (a->t[i].coef != b->t[i].coef || a->t[i].n != b->t[i].n) return false;
        for (int j = 0; j < a->t[i].n; j++)
            if (a->t[i].f[j] != b->t[i].f[j]) return false;
    }
    return true;
}

static const Ix *poly_done(Poly *p)
{
    Graph *g = p->g;
    while (recombine(p)) {}
    for (int i = 1; i < p->t.n; i++)                   /* insertion sort: a handful of terms */
        for (int j = i; j > 0 && product_cmp(&p->t.v[j], &p->t.v[j - 1]) < 0; j--) {
            Term x = p->t.v[j];
            p->t.v[j] = p->t.v[j - 1], p->t.v[j - 1] = x;
        }
    Ix e = {.c = p->c, .nterm = p->t.n, .t = p->t.v};
    uint64_t h = hash_mix(11, (uint64_t)e.c);
    for (int i = 0; i < e.nterm; i++) {
        h = hash_mix(h, (uint64_t)e.t[i].coef);
        for (int j = 0; j < e.t[i].n; j++) {
            h = hash_mix(h, (uintptr_t)e.t[i].f[j]);
            e.axes |= e.t[i].f[j]->axes;
            e.loads |= e.t[i].f[j]->loads;
        }
    }
    const Ix *old = table_find(&g->tables->exprs, h, &e, ix_same);
    if (old) return old;
    e.uid = g->tables->next_uid++;
    Term *kept = arena_copy(g->arena, e.t, sizeof *e.t * (size_t)e.nterm);
    for (int i = 0; i < e.nterm; i++) kept[i].f = arena_copy(g->arena, kept[i].f, sizeof *kept[i].f * (size_t)kept[i].n);
    e.t = kept;
    const Ix *n = arena_copy(g->arena, &e, sizeof e);
    table_add(g->arena, &g->tables->exprs, h, n);
    return n;
}

const Ix *ix_product(Graph *g, int64_t coef, int n, const Atom *const *f)
{
    Poly p;
    poly_start(&p, g, 0);
    poly_term(&p, coef, n, f);
    return poly_done(&p);
}

static const Ix *ix_of_atom(Graph *g, const Atom *a)
{
    return ix_product(g, 1, 1, &a);
}

/* ---- public arithmetic ---- */

const Ix *ix_const(Graph *g, int64_t c)
{
    Poly p;
    poly_start(&p, g, c);
    return poly_done(&p);
}

const Ix *ix_axis(Graph *g, int axis)
{
    if (axis < 0 || axis >= MAX_AXES) user_error(g->diag, g->loc, "an expression has more than %d axes", MAX_AXES);
    const Ix **known = &g->tables->axis[axis];
    if (!*known) *known = ix_of_atom(g, atom_axis(g, axis));
    return *known;
}

const Ix *ix_sym(Graph *g, const char *name, Loc loc)
{
    int id = 0;
    while (id < g->syms.n && strcmp(g->syms.v[id].name, name)) id++;
    if (id == g->syms.n) vec_push(g->arena, &g->syms, (Symbol){arena_strdup(g->arena, name), loc, false});
    return ix_of_atom(g, atom_make(g, (Atom){.kind = AT_SYM, .id = id}));
}

const Ix *ix_counter(Graph *g, int i)
{
    const Ix *e = ix_sym(g, arena_printf(g->arena, "piece %d", i), NO_LOC);
    g->syms.v[e->t[0].f[0]->id].counter = true;
    return e;
}

const Ix *ix_add(Graph *g, const Ix *a, const Ix *b)
{
    if (ix_is(b, 0)) return a;
    if (ix_is(a, 0)) return b;
    Poly p;
    poly_start(&p, g, 0);
    poly_add(&p, 1, a);
    poly_add(&p, 1, b);
    return poly_done(&p);
}

const Ix *ix_sub(Graph *g, const Ix *a, const Ix *b)
{
    if (ix_is(b, 0)) return a;
    Poly p;
    poly_start(&p, g, 0);
    poly_add(&p, 1, a);
    poly_add(&p, -1, b);
    return poly_done(&p);
}

const Ix *ix_scale(Graph *g, const Ix *a, int64_t k)
{
    if (k == 1) return a;
    Poly p;
    poly_start(&p, g, 0);
    poly_add(&p, k, a);
    return poly_done(&p);
}

const Ix *ix_mul(Graph *g, const Ix *a, const Ix *b)
{
    if (ix_is_const(a)) return ix_scale(g, b, a->c);
    if (ix_is_const(b)) return ix_scale(g, a, b->c);
    Poly p;
    poly_start(&p, g, 0);
    if (a->c) poly_add(&p, a->c, b);
    for (int i = 0; i < a->nterm; i++) poly_add_product(&p, a->t[i].coef, a->t[i].n, a->t[i].f, b);
    return poly_done(&p);
}

/* ---- quotients ---- */

static int64_t floordiv64(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/* t = c * q with c a constant or a single product: the quotient's coefficient and atoms. */
static bool term_over(Poly *p, const Term *t, const Ix *c, int64_t *coef, int *n, const Atom *const **f)
{
    if (ix_is_const(c)) {
        *coef = t->coef / c->c, *n = t->n, *f = t->f;
        return t->coef % c->c == 0;
    }
    if (c->c || c->nterm != 1 || t->coef % c->t[0].coef) return false;
    const Term *d = &c->t[0];
    const Atom **m = poly_room(p, t->n);
    int j = 0, k = 0;
    for (int i = 0; i < t->n; i++) {                   /* both sorted: remove d's atoms from t's */
        if (k < d->n && t->f[i] == d->f[k]) k++;
        else m[j++] = t->f[i];
    }
    *coef = t->coef / d->coef, *n = j, *f = m;
    return k == d->n;
}

/* a = b * q + r with as much in q as the terms show. */
static void split(Graph *g, const Ix *a, const Ix *b, const Ix **q, const Ix **r)
{
    Poly pq, pr;
    poly_start(&pq, g, 0), poly_start(&pr, g, 0);
    for (int i = 0; i < a->nterm; i++) {
        int64_t coef;
        int n;
        const Atom *const *f;
        if (term_over(&pq, &a->t[i], b, &coef, &n, &f)) poly_term(&pq, coef, n, f);
        else poly_term(&pr, a->t[i].coef, a->t[i].n, a->t[i].f);
    }
    if (ix_is_const(b)) {
        pq.c = add64(g, pq.c, floordiv64(a->c, b->c));
        pr.c = a->c - floordiv64(a->c, b->c) * b->c;
    } else {
        pr.c = a->c;
    }
    *q = poly_done(&pq), *r = poly_done(&pr);
}

static bool in_range(Graph *g, const Ix *r, const Ix *b, const Space *space)
{
    return ix_proves_ge0(g, r, space) && ix_proves_lt(g, r, b, space);
}

/* r is exactly one atom */
static const Atom *lone(const Ix *r)
{
    return r->c == 0 && r->nterm == 1 && r->t[0].coef == 1 && r->t[0].n == 1 ? r->t[0].f[0] : NULL;
}

/* A fact says y % k == 0 for a multiple k of c. */
static bool divides_known(Graph *g, const Ix *y, const Ix *c)
{
    for (int i = 0; i < g->tables->eq0.n; i++) {
        const Atom *m = lone(g->tables->eq0.v[i]);
        if (!m || m->kind != AT_MOD || m->a != y) continue;
        if (m->b == c || (ix_is_const(m->b) && ix_is_const(c) && m->b->c % c->c == 0)) return true;
    }
    return false;
}

static void check_divisor(Graph *g, const Ix *b)
{
    if (ix_is_const(b) && b->c <= 0 && !g->tables->quiet)
        user_error(g->diag, g->loc, "a size is divided by %lld; sizes can only be divided by positive numbers",
                   (long long)b->c);
}

const Ix *ix_div(Graph *g, const Ix *a, const Ix *b, const Space *space)
{
    check_divisor(g, b);
    if (ix_is(b, 1)) return a;
    const Ix *q, *r;
    split(g, a, b, &q, &r);
    if (in_range(g, r, b, space)) return q;
    const Atom *x = lone(r);
    if (x && x->kind == AT_DIV) return ix_add(g, q, ix_div(g, x->a, ix_mul(g, x->b, b), space));
    if (x && x->kind == AT_MOD && ix_is_const(b) && ix_is_const(x->b) && x->b->c % b->c == 0)
        return ix_add(g, q, ix_mod(g, ix_div(g, x->a, b, space), ix_const(g, x->b->c / b->c), space));
    return ix_add(g, q, ix_of_atom(g, atom_make(g, (Atom){.kind = AT_DIV, .a = r, .b = b})));
}

const Ix *ix_mod(Graph *g, const Ix *a, const Ix *b, const Space *space)
{
    check_divisor(g, b);
    if (ix_is(b, 1)) return ix_const(g, 0);
    const Ix *q, *r;
    split(g, a, b, &q, &r);
    if (in_range(g, r, b, space)) return r;
    if (divides_known(g, r, b)) return ix_const(g, 0);
    const Atom *x = lone(r);
    if (x && x->kind == AT_MOD && (x->b == b || (ix_is_const(b) && ix_is_const(x->b) && x->b->c % b->c == 0)))
        return ix_mod(g, x->a, b, space);
    return ix_of_atom(g, atom_make(g, (Atom){.kind = AT_MOD, .a = r, .b = b}));
}

static const Ix *minmax(Graph *g, AtomKind kind, const Ix *a, const Ix *b)
{
    if (ix_cmp(a, b) > 0) {
        const Ix *t = a;
        a = b, b = t;
    }
    return ix_of_atom(g, atom_make(g, (Atom){.kind = kind, .a = a, .b = b}));
}

const Ix *ix_min(Graph *g, const Ix *a, const Ix *b, const Space *space)
{
    if (ix_proves_ge0(g, ix_sub(g, b, a), space)) return a;
    if (ix_proves_ge0(g, ix_sub(g, a, b), space)) return b;
    return minmax(g, AT_MIN, a, b);
}

const Ix *ix_max(Graph *g, const Ix *a, const Ix *b, const Space *space)
{
    if (ix_proves_ge0(g, ix_sub(g, b, a), space)) return b;
    if (ix_proves_ge0(g, ix_sub(g, a, b), space)) return a;
    return minmax(g, AT_MAX, a, b);
}

/* ---- loads ---- */

const Ix *ix_load(Graph *g, Edge e, const Space *space)
{
    const Node *n = e.node;
    if (n->op == OP_idx) return ix_subst(g, n->attr.ix, e.map, space);
    if (n->op == OP_const) return ix_const(g, n->attr.value.i);
    if (n->dt == DT_INT && op_info[n->op].cls == CLASS_POINTWISE && n->op != OP_select && n->op != OP_cast && n->nargs) {
        const Ix *x[MAX_ARGS];
        switch (n->op) {
        case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_floordiv: case OP_mod: break;
        default: goto atom;
        }
        for (int i = 0; i < n->nargs; i++) x[i] = ix_load(g, edge_arg(g, e, i, space), space);
        if (n->op == OP_neg) return ix_scale(g, x[0], -1);
        if (n->op == OP_add) return ix_add(g, x[0], x[1]);
        if (n->op == OP_sub) return ix_sub(g, x[0], x[1]);
        if (n->op == OP_mul && (ix_is_const(x[0]) || ix_is_const(x[1]))) return ix_mul(g, x[0], x[1]);
        bool divisor = (n->op == OP_floordiv || n->op == OP_mod) &&
                       (ix_is_const(x[1]) ? x[1]->c > 0 : !x[1]->axes && !x[1]->loads);
        if (divisor && n->op == OP_floordiv) return ix_div(g, x[0], x[1], space);
        if (divisor) return ix_mod(g, x[0], x[1], space);
    }
atom:
    return ix_of_atom(g, atom_make(g, (Atom){.kind = AT_LOAD, .load = e}));
}

/* ---- substitution ---- */

/* One atom renewed: axes through m (NULL: kept), loads through fn (NULL: kept). */
typedef struct {
    Graph *g;
    const Map *m;
    const Space *to;
    Edge (*fn)(void *, Edge);
    void *ctx;
} Renew;
static const Ix *renew(const Renew *r, const Ix *e);

static const Ix *renew_atom(const Renew *r, const Atom *a)
{
    Graph *g = r->g;
    switch (a->kind) {
    case AT_AXIS: return r->m ? r->m->ix[a->id] : ix_axis(g, a->id);
    case AT_SYM: return ix_of_atom(g, a);
    case AT_DIV: return ix_div(g, renew(r, a->a), renew(r, a->b), r->to);
    case AT_MOD: return ix_mod(g, renew(r, a->a), renew(r, a->b), r->to);
    case AT_MIN: return ix_min(g, renew(r, a->a), renew(r, a->b), r->to);
    case AT_MAX: return ix_max(g, renew(r, a->a), renew(r, a->b), r->to);
    case AT_LOAD: break;
    }
    Edge e = a->load;
    if (r->m) return ix_load(g, edge_comp(g, e, r->m, r->to), r->to);
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < e.map->n; i++) ix[i] = renew(r, e.map->ix[i]);
    e.map = map_make(g, e.map->n, ix);
    return ix_load(g, r->fn ? r->fn(r->ctx, e) : e, r->to);
}

static const Ix *renew(const Renew *r, const Ix *e)
{
    if (!(r->m && e->axes) && !(r->fn && e->loads)) return e;
    Poly p;
    poly_start(&p, r->g, e->c);
    for (int i = 0; i < e->nterm; i++) {
        const Term *t = &e->t[i];
        const Ix *prod = ix_const(r->g, t->coef);
        for (int j = 0; j < t->n; j++) prod = ix_mul(r->g, prod, renew_atom(r, t->f[j]));
        poly_add(&p, 1, prod);
    }
    return poly_done(&p);
}

const Ix *ix_subst(Graph *g, const Ix *e, const Map *m, const Space *to)
{
    if (!e->axes) return e;
    SubstMemo *memo = &g->tables->subst[hash_mix(hash_mix(e->uid, m->uid), to ? to->uid : 0) & (MEMO - 1)];
    if (memo->e == e && memo->by == m && memo->to == to) return memo->result;
    const Ix *r = renew(&(Renew){.g = g, .m = m, .to = to}, e);
    *memo = (SubstMemo){e, m, to, r};
    return r;
}

const Ix *ix_remap_loads(Graph *g, const Ix *e, Edge (*fn)(void *, Edge), void *ctx, const Space *space)
{
    return renew(&(Renew){.g = g, .to = space, .fn = fn, .ctx = ctx}, e);
}

/* ---- questions ---- */

int ix_bare_axis(const Ix *e)
{
    const Atom *a = lone(e);
    return a && a->kind == AT_AXIS ? a->id : -1;
}

bool ix_affine(Graph *g, const Ix *e, int axis, const Ix **coef, const Ix **rest)
{
    Poly pc, pr;
    poly_start(&pc, g, 0), poly_start(&pr, g, e->c);
    for (int i = 0; i < e->nterm; i++) {
        const Term *t = &e->t[i];
        int at = -1, uses = 0;
        for (int j = 0; j < t->n; j++) {
            if (!(t->f[j]->axes >> axis & 1)) continue;
            uses++;
            if (t->f[j]->kind == AT_AXIS) at = j;
        }
        if (!uses) poly_term(&pr, t->coef, t->n, t->f);
        else if (uses == 1 && at >= 0) poly_term(&pc, t->coef, t->n - 1, without(&pc, t, at));
        else return false;
    }
    *coef = poly_done(&pc), *rest = poly_done(&pr);
    return true;
}

static int64_t atom_eval(const Atom *a, const IxEnv *env)
{
    int64_t x, y;
    switch (a->kind) {
    case AT_AXIS: return env->axes[a->id];
    case AT_SYM: return env->syms[a->id];
    case AT_LOAD: return env->load ? env->load(env->ctx, a->load, env->axes) : 0;
    default: x = ix_eval(a->a, env), y = ix_eval(a->b, env);
    }
    switch (a->kind) {
    case AT_DIV: return y ? floordiv64(x, y) : 0;
    case AT_MOD: return y ? x - floordiv64(x, y) * y : 0;
    case AT_MIN: return x < y ? x : y;
    default: return x > y ? x : y;
    }
}

int64_t ix_eval(const Ix *e, const IxEnv *env)
{
    int64_t r = e->c;
    for (int i = 0; i < e->nterm; i++) {
        int64_t p = e->t[i].coef;
        for (int j = 0; j < e->t[i].n; j++) p = (int64_t)((uint64_t)p * (uint64_t)atom_eval(e->t[i].f[j], env));
        r = (int64_t)((uint64_t)r + (uint64_t)p);
    }
    return r;
}

void ix_loads(const Ix *e, void (*fn)(void *, Edge, bool), void *ctx)
{
    if (!e->loads) return;
    for (int i = 0; i < e->nterm; i++)
        for (int j = 0; j < e->t[i].n; j++) {
            const Atom *a = e->t[i].f[j];
            if (a->kind == AT_LOAD) {
                fn(ctx, a->load, true);
                for (int k = 0; k < a->load.map->n; k++) ix_loads(a->load.map->ix[k], fn, ctx);
            } else if (a->a) {
                ix_loads(a->a, fn, ctx);
                ix_loads(a->b, fn, ctx);
            }
        }
}

/* ---- maps and spaces ---- */

static bool map_same(const void *x, const void *y)
{
    const Map *a = x, *b = y;
    return a->n == b->n && !memcmp(a->ix, b->ix, sizeof(Ix *) * (size_t)a->n);
}

const Map *map_make(Graph *g, int n, const Ix *const *ix)
{
    Map *m = arena_alloc(g->arena, sizeof *m + sizeof(Ix *) * (size_t)n);
    uint64_t h = (uint64_t)n;
    m->n = n;
    for (int i = 0; i < n; i++) {
        m->ix[i] = ix[i];
        m->axes |= ix[i]->axes;
        h = hash_mix(h, (uintptr_t)ix[i]);
    }
    const Map *old = table_find(&g->tables->maps, h, m, map_same);
    if (old) return old;
    m->uid = g->tables->next_uid++;
    table_add(g->arena, &g->tables->maps, h, m);
    return m;
}

const Map *map_identity(Graph *g, int n)
{
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < n; i++) ix[i] = ix_axis(g, i);
    return map_make(g, n, ix);
}

const Map *map_subst(Graph *g, const Map *m, const Map *by, const Space *to)
{
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < m->n; i++) ix[i] = ix_subst(g, m->ix[i], by, to);
    return map_make(g, m->n, ix);
}

static bool space_same(const void *x, const void *y)
{
    const Space *a = x, *b = y;
    return a->n == b->n && !memcmp(a->ext, b->ext, sizeof(Ix *) * (size_t)a->n);
}

const Space *space_make(Graph *g, int n, const Ix *const *ext)
{
    if (n > MAX_AXES) user_error(g->diag, g->loc, "an expression has more than %d axes", MAX_AXES);
    Space *s = arena_alloc(g->arena, sizeof *s + sizeof(Ix *) * (size_t)n);
    uint64_t h = (uint64_t)n;
    s->n = n;
    for (int i = 0; i < n; i++) {
        s->ext[i] = ext[i];
        h = hash_mix(h, (uintptr_t)ext[i]);
    }
    const Space *old = table_find(&g->tables->spaces, h, s, space_same);
    if (old) return old;
    s->uid = g->tables->next_uid++;
    table_add(g->arena, &g->tables->spaces, h, s);
    return s;
}

const Space *space_concat(Graph *g, const Space *a, const Space *b)
{
    const Ix *ext[2 * MAX_AXES];
    memcpy(ext, a->ext, sizeof(Ix *) * (size_t)a->n);
    memcpy(ext + a->n, b->ext, sizeof(Ix *) * (size_t)b->n);
    return space_make(g, a->n + b->n, ext);
}

const Space *space_slice(Graph *g, const Space *s, int from, int to) { return space_make(g, to - from, s->ext + from); }

const Space *space_with(Graph *g, const Space *s, int axis, const Ix *ext)
{
    const Ix *all[MAX_AXES];
    for (int i = 0; i < s->n; i++) all[i] = i == axis ? ext : s->ext[i];
    return space_make(g, s->n, all);
}

const Ix *space_count(Graph *g, const Space *s)
{
    const Ix *c = ix_const(g, 1);
    for (int i = 0; i < s->n; i++) c = ix_mul(g, c, s->ext[i]);
    return c;
}

bool space_eq(Graph *g, const Space *a, const Space *b)
{
    if (a == b) return true;
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (!ix_proves_eq(g, a->ext[i], b->ext[i])) return false;
    return true;
}
