/* index.c: values with names, and index expressions as sums of parts at the depths where they are
 * known. Contract: emit.h.
 */
#include "codegen/emit.h"

Val named(Nest *n, int depth, DType dt, const char *fmt, ...)
{
    const char *name = emit_name(n->e, 'v');
    va_list ap;
    va_start(ap, fmt);
    nest_code(n, depth, "const %s %s = %s;\n", c_type(dt), name, arena_vprintf(n->e->a, fmt, ap));
    va_end(ap);
    return (Val){name, depth, dt};
}

/* ---- memo: (pointer, pointer, number) -> Val ---- */

Memo *memo_slot(Nest *n, const void *a, const void *b, int c)
{
    if (2 * (n->nmemo + 1) > n->memo_cap) {
        Memo *old = n->memo;
        int cap = n->memo_cap;
        n->memo_cap = cap ? 2 * cap : 64;
        n->memo = NEW_N(n->e->a, Memo, n->memo_cap);
        n->nmemo = 0;
        for (int i = 0; i < cap; i++)
            if (old[i].v.s) *memo_slot(n, old[i].a, old[i].b, old[i].c) = old[i], n->nmemo++;
    }
    uint64_t h = hash_mix(hash_mix((uintptr_t)a, (uintptr_t)b), (uint64_t)c);
    for (uint64_t i = h & (uint64_t)(n->memo_cap - 1);; i = (i + 1) & (uint64_t)(n->memo_cap - 1)) {
        Memo *m = &n->memo[i];
        if (!m->v.s || (m->a == a && m->b == b && m->c == c)) return m;
    }
}

Val remember(Nest *n, const void *a, const void *b, int c, Val v)
{
    *memo_slot(n, a, b, c) = (Memo){a, b, c, v};
    n->nmemo++;
    return v;
}

/* ---- index expressions ---- */

typedef struct {
    int depth;
    const char *text;
} Part;
typedef VEC(Part) Parts;

/* coef * text, left out where it is 1 * or * 1 */
static const char *times(Emit *e, const Ix *coef, const char *text, bool wide)
{
    if (!text)
        return wide || ix_is_const(coef) ? emit_int(e, coef)
                                         : arena_printf(e->a, "(int)%s", emit_int(e, coef));
    if (ix_is(coef, 1)) return text;
    if (ix_is(coef, -1)) return arena_printf(e->a, "-%s", text);
    const char *c = emit_int(e, coef);
    return arena_printf(e->a, wide ? "%s * %s" : *c == 'n' ? "(int)%s * %s" : "%s * %s", c, text);
}

static Val atom_val(Nest *n, const Atom *f, int ctx, bool wide)
{
    Arena *a = n->e->a;
    Graph *g = n->e->g;
    if (f->kind == AT_AXIS) {
        AxisVar *x = &n->axis[f->id];
        if (!x->var) diag_bug(g->diag, "axis i%d is read outside its loop", f->id);
        return (Val){x->base ? arena_printf(a, "(%s + %s)", x->base, x->var) : x->var, x->depth,
                     DT_INT};
    }
    if (f->kind == AT_LOAD) return edge_val(n, f->load, ctx);
    Val p = ix_val(n, f->a, ctx, wide), q;
    bool constant = ix_is_const(f->b);
    q = constant ? (Val){arena_printf(a, "%lld", (long long)f->b->c), 0, DT_INT}
                 : ix_val(n, f->b, ctx, wide);
    int depth = deeper(p.depth, q.depth);
    if (f->kind == AT_MIN || f->kind == AT_MAX) {
        const char *fn = f->kind == AT_MIN ? "rtc_least" : "rtc_most";
        return (Val){arena_printf(a, "%s%s(%s, %s)", fn, wide ? "64" : "", p.s, q.s), depth,
                     DT_INT};
    }
    bool plain = ix_proves_ge0(g, f->a, n->space);
    const char *op = f->kind == AT_DIV ? "/" : "%";
    if (plain) return (Val){arena_printf(a, "(%s %s %s)", p.s, op, q.s), depth, DT_INT};
    return (Val){arena_printf(a, "%s%s(%s, %s)",
                              f->kind == AT_DIV ? "rtc_quotient" : "rtc_remainder",
                              wide ? "64" : "", p.s, q.s),
                 depth, DT_INT};
}

static bool is_size(const Atom *f) { return f->axes == 0 && !f->loads; }

const Ix *atom_ix(Graph *g, const Atom *f, const Space *s)
{
    switch (f->kind) {
    case AT_AXIS:
        return ix_axis(g, f->id);
    case AT_SYM:
        return ix_sym(g, g->syms.v[f->id].name, NO_LOC);
    case AT_DIV:
        return ix_div(g, f->a, f->b, s);
    case AT_MOD:
        return ix_mod(g, f->a, f->b, s);
    case AT_MIN:
        return ix_min(g, f->a, f->b, s);
    case AT_MAX:
        return ix_max(g, f->a, f->b, s);
    case AT_LOAD:
        return ix_load(g, f->load, s);
    }
    diag_bug(g->diag, "an index of unknown kind");
}

/* Splits a term into a size and the positions it is multiplied with. */
static const Ix *split_term(Graph *g, const Term *t, const Atom **pos, int *npos)
{
    const Ix *coef = ix_const(g, t->coef);
    *npos = 0;
    for (int i = 0; i < t->n; i++)
        if (is_size(t->f[i]))
            coef = ix_mul(g, coef, atom_ix(g, t->f[i], NULL));
        else
            pos[(*npos)++] = t->f[i];
    return coef;
}

static bool same_atoms(const Atom **p, int np, const Atom **q, int nq)
{
    if (np != nq) return false;
    for (int i = 0; i < np; i++)
        if (p[i] != q[i]) return false;
    return true;
}

enum { MAX_FACTORS = 16 };

/* The parts of e: for every product of positions, its coefficient (a size) times it, at its depth.
 */
static void gather_parts(Nest *n, const Ix *e, int ctx, bool wide, Parts *out)
{
    Emit *em = n->e;
    Graph *g = em->g;
    bool *done = NEW_N(em->a, bool, e->nterm + 1);
    const Ix *constant = ix_const(g, e->c);
    for (int i = 0; i < e->nterm; i++) {
        const Atom *pos[MAX_FACTORS], *other[MAX_FACTORS];
        int npos, nother;
        if (done[i]) continue;
        if (e->t[i].n > MAX_FACTORS)
            diag_bug(g->diag, "an index multiplies more than %d factors", MAX_FACTORS);
        const Ix *coef = split_term(g, &e->t[i], pos, &npos);
        for (int j = i + 1; j < e->nterm; j++) {
            if (done[j] || e->t[j].n > MAX_FACTORS) continue;
            const Ix *more = split_term(g, &e->t[j], other, &nother);
            if (same_atoms(pos, npos, other, nother)) coef = ix_add(g, coef, more), done[j] = true;
        }
        if (npos == 0) {
            constant = ix_add(g, constant, coef);
            continue;
        }
        AxisVar *x = npos == 1 && pos[0]->kind == AT_AXIS ? &n->axis[pos[0]->id] : NULL;
        if (x && x->base) {
            vec_push(em->a, out, (Part){x->base_depth, times(em, coef, x->base, wide)});
            vec_push(em->a, out, (Part){x->depth, times(em, coef, x->var, wide)});
            continue;
        }
        Val v = atom_val(n, pos[0], ctx, wide);
        for (int k = 1; k < npos; k++) {
            Val w = atom_val(n, pos[k], ctx, wide);
            v = (Val){arena_printf(em->a, wide ? "%s * (int64_t)%s" : "%s * %s", v.s, w.s),
                      deeper(v.depth, w.depth), DT_INT};
        }
        vec_push(em->a, out, (Part){v.depth, times(em, coef, v.s, wide)});
    }
    if (!ix_is(constant, 0) || out->n == 0)
        vec_push(em->a, out, (Part){0, times(em, constant, NULL, wide)});
}

static const char *index_type(bool wide) { return wide ? "int64_t" : "int"; }

bool is_word(const char *s)
{
    for (; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_')) return false;
    return true;
}

/* Adds up parts from the outermost depth inwards, naming each partial sum where it is known. */
static Val sum_parts(Nest *n, const Parts *parts, bool wide)
{
    Emit *e = n->e;
    int last = 0;
    for (int i = 0; i < parts->n; i++) last = deeper(last, parts->v[i].depth);
    const char *sum = NULL;
    for (int d = 0; d <= last; d++) {
        bool any = false;
        for (int i = 0; i < parts->n; i++) {
            if (parts->v[i].depth != d) continue;
            const char *t = parts->v[i].text;
            sum = !sum        ? t
                  : *t == '-' ? arena_printf(e->a, "%s - %s", sum, t + 1)
                              : arena_printf(e->a, "%s + %s", sum, t);
            any = true;
        }
        if (!any || is_word(sum)) continue;
        const char *name = emit_name(e, 't');
        nest_code(n, d, "const %s %s = %s;\n", index_type(wide), name, sum);
        sum = name;
    }
    return (Val){sum, last, DT_INT};
}

Val ix_val(Nest *n, const Ix *e, int ctx, bool wide)
{
    int key = wide ? -1 : -2;
    if (e->loads) key -= 2 * ctx;
    Memo *m = memo_slot(n, e, NULL, key);
    if (m->v.s) return m->v;
    Parts parts = {0};
    gather_parts(n, e, ctx, wide, &parts);
    return remember(n, e, NULL, key, sum_parts(n, &parts, wide));
}

/* ---- elements ---- */

/* pointer[at], where `lane` (or NULL) is added to the number: base pointer outside the lane loop
 * where possible. */
Val element(Nest *n, const char *pointer, const char *ctype, const Ix *at, const char *lane,
            int ctx)
{
    Emit *e = n->e;
    int axis = n->lane_axis, depth = 0;
    const Ix *coef = NULL, *rest = at;
    bool linear = n->lane_depth > 0 && axis >= 0 && at->axes >> axis & 1 &&
                  ix_affine(e->g, at, axis, &coef, &rest) && coef->axes == 0 && !coef->loads;
    if (!linear && n->lane_depth > 0 && axis >= 0 && at->axes >> axis & 1) {
        Val whole = ix_val(n, at, ctx, true);
        return (Val){arena_printf(e->a, lane ? "%s[%s + %s]" : "%s[%s]", pointer, whole.s, lane),
                     deeper(whole.depth, lane ? n->tile_depth : 0), DT_INT};
    }
    if (linear && n->axis[axis].base) { /* the chunk's start belongs to the pointer */
        Parts parts = {0};
        gather_parts(n, rest, ctx, true, &parts);
        vec_push(e->a, &parts,
                 (Part){n->axis[axis].base_depth, times(e, coef, n->axis[axis].base, true)});
        Val base = sum_parts(n, &parts, true);
        rest = NULL;
        depth = base.depth;
        const char *p = emit_name(e, 'p');
        nest_code(n, depth, "%s *const %s = %s + (%s);\n", ctype, p, pointer, base.s);
        pointer = p;
    }
    if (rest) {
        Val base = ix_val(n, rest, ctx, true);
        depth = base.depth;
        if (strcmp(base.s, "0") && (linear || lane) && depth < n->lane_depth) {
            const char *p = emit_name(e, 'p');
            nest_code(n, depth, "%s *const %s = %s + %s;\n", ctype, p, pointer, base.s);
            pointer = p;
        } else if (!linear && !lane) {
            return (Val){arena_printf(e->a, "%s[%s]", pointer, base.s), depth, DT_INT};
        } else if (strcmp(base.s, "0")) {
            pointer = arena_printf(e->a, "(%s + %s)", pointer, base.s);
        }
    }
    const char *step = linear ? times(e, coef, n->axis[axis].var, true) : NULL;
    if (linear) depth = deeper(depth, n->axis[axis].depth);
    if (lane) depth = deeper(depth, n->tile_depth);
    const char *inside = step && lane ? arena_printf(e->a, "%s + %s", step, lane)
                         : step       ? step
                         : lane       ? lane
                                      : "0";
    return (Val){arena_printf(e->a, "%s[%s]", pointer, inside), depth, DT_INT};
}
