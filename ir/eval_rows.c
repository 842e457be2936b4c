/* eval_rows.c: walking an iteration space in rows. Contract: eval_rows.h.
 *
 * With concrete sizes most index expressions are `constant + stride . position`. Where all of an
 * edge's are, and the extents prove them inside, the edge is one offset that moves by strides
 * (Access.direct), and axes that every operand walks without a gap become one long axis. Everything
 * else (quotients, remainders, minima, gathers, indices that only a guard keeps inside) is computed
 * row by row, one array of int64 per subexpression.
 */
#include "ir/eval_rows.h"

/* ---- boxes ---- */

void box_count(Box *b)
{
    b->count = 1;
    for (int i = 0; i < b->n; i++) b->count *= b->ext[i];
}

void box_of(Eval *ev, const Space *s, Box *b)
{
    IxEnv env = {.syms = ev->syms};
    b->n = s->n ? s->n : 1;
    b->ext[0] = 1;
    for (int i = 0; i < s->n; i++) b->ext[i] = ix_eval(s->ext[i], &env);
    box_count(b);
}

/* May axis `next`, right behind `axis`, continue it? */
static bool continues(const Box *b, Access *const *a, int n, int axis, int next)
{
    for (int k = 0; k < n; k++)
        if (a[k]->stride[axis] != a[k]->stride[next] * b->ext[next]) return false;
    return true;
}

static void move_axis(Box *b, Access *const *a, int n, int to, int from)
{
    b->ext[to] = b->ext[from];
    for (int k = 0; k < n; k++) a[k]->stride[to] = a[k]->stride[from];
}

int box_merge(Box *b, Access *const *a, int n, int border)
{
    for (int k = 0; k < n; k++)
        if (!a[k]->direct) return border;
    int left = 0, before = 0;
    for (int i = 0; i < b->n; i++) {
        if (b->ext[i] == 1) continue;
        int first = i < border ? 0 : before;
        if (left > first && continues(b, a, n, left - 1, i)) {
            int64_t longer = b->ext[left - 1] * b->ext[i];
            move_axis(b, a, n, left - 1, i);
            b->ext[left - 1] = longer;
        } else {
            move_axis(b, a, n, left++, i);
        }
        if (i < border) before = left;
    }
    if (left == 0) {
        b->ext[left++] = 1;
        for (int k = 0; k < n; k++) a[k]->stride[0] = 0;
    }
    b->n = left;
    return before;
}

void box_rows(const Box *b, RowFn *fn, void *ctx, Diag *d)
{
    int64_t pos[MAX_AXES] = {0}, at = 0;
    int last = b->n - 1;
    if (b->count == 0) return;
    for (int axis = last; axis >= 0;) {
        for (pos[last] = 0; pos[last] < b->ext[last]; pos[last] += ROW) {
            int64_t rest = b->ext[last] - pos[last];
            int n = rest < ROW ? (int)rest : ROW;
            fn(ctx, pos, at, n);
            diag_poll(d);
            at += n;
        }
        for (axis = last - 1; axis >= 0; axis--) {
            if (++pos[axis] < b->ext[axis]) break;
            pos[axis] = 0;
        }
    }
}

/* No row of the box is longer, also after box_merge. */
static int row_length(const Box *b) { return b->count < ROW ? (int)b->count : ROW; }

/* ---- index expressions ---- */

typedef struct RowAtom {
    AtomKind kind;
    int axis;
    RowIx *a, *b;
    Access *load;
    uint64_t axes;
} RowAtom;

typedef struct {
    int64_t coef;
    int n;
    RowAtom *f;
    uint64_t axes;
} RowTerm;

/* c + step . position + sum of terms */
struct RowIx {
    int64_t c, step[MAX_AXES];
    bool constant;           /* only c */
    uint64_t axes;           /* that it reads */
    int nterm;
    RowTerm *t;
    int64_t *row;            /* [ROW] */
};

static int64_t apply_atom(AtomKind kind, int64_t a, int64_t b)
{
    switch (kind) {
    case AT_DIV: return div_floor(a, b);
    case AT_MOD: return b == 0 ? 0 : a - b * div_floor(a, b);
    case AT_MIN: return a < b ? a : b;
    default: return a > b ? a : b;
    }
}

/* Either *k, or an atom that depends on the position. */
static bool atom_compile(Eval *ev, const Atom *f, const Box *b, int64_t *k, RowAtom *out)
{
    *out = (RowAtom){.kind = f->kind, .axis = f->id, .axes = f->axes};
    switch (f->kind) {
    case AT_SYM: *k = ev->syms[f->id]; return false;
    case AT_AXIS: return true;
    case AT_LOAD:
        out->load = access_new(ev, f->load, b);
        return true;
    default:
        out->a = row_ix(ev, f->a, b);
        out->b = row_ix(ev, f->b, b);
        if (!out->a->constant || !out->b->constant) return true;
        *k = apply_atom(f->kind, out->a->c, out->b->c);
        return false;
    }
}

RowIx *row_ix(Eval *ev, const Ix *e, const Box *b)
{
    RowIx *r = NEW(ev->scratch, RowIx);
    r->c = e->c;
    r->axes = e->axes;
    r->t = NEW_N(ev->scratch, RowTerm, e->nterm);
    for (int i = 0; i < e->nterm; i++) {
        const Term *t = &e->t[i];
        RowTerm *o = &r->t[r->nterm];
        *o = (RowTerm){.coef = t->coef, .f = NEW_N(ev->scratch, RowAtom, t->n)};
        for (int j = 0; j < t->n; j++) {
            int64_t k = 1;
            if (atom_compile(ev, t->f[j], b, &k, &o->f[o->n])) o->axes |= o->f[o->n++].axes;
            else o->coef *= k;
        }
        if (o->n == 0) r->c += o->coef;
        else if (o->n == 1 && o->f[0].kind == AT_AXIS) r->step[o->f[0].axis] += o->coef;
        else r->nterm++;
    }
    r->constant = e->axes == 0 && !e->loads;
    r->row = NEW_N(ev->scratch, int64_t, row_length(b));
    return r;
}

/* term *= atom */
static void atom_row(Row *r, RowAtom *f, const int64_t *pos, int n, int64_t *term)
{
    if (f->kind == AT_AXIS) {
        int64_t at = pos[f->axis], step = f->axis == r->last;
        for (int i = 0; i < n; i++) term[i] *= at + i * step;
    } else if (f->kind == AT_LOAD) {
        const uint32_t *v = access_int(r, f->load, pos, n, NULL);
        for (int i = 0; i < n; i++) term[i] *= (int32_t)v[i];
    } else {
        const int64_t *a = row_ix_values(r, f->a, pos, n), *b = row_ix_values(r, f->b, pos, n);
        if (f->b->constant && f->kind == AT_DIV)
            for (int i = 0; i < n; i++) term[i] *= div_floor(a[i], b[0]);
        else
            for (int i = 0; i < n; i++) term[i] *= apply_atom(f->kind, a[i], b[i]);
    }
}

const int64_t *row_ix_values(Row *r, RowIx *e, const int64_t *pos, int n)
{
    int64_t at = e->c, step = e->step[r->last];
    for (int i = 0; i <= r->last; i++) at += e->step[i] * pos[i];
    for (int i = 0; i < n; i++) e->row[i] = at + i * step;
    for (int k = 0; k < e->nterm; k++) {
        RowTerm *t = &e->t[k];
        /* a term that doesn't move along the row is computed once; a load may still be bad
         * everywhere */
        int once = (t->axes >> r->last & 1) == 0 ? 1 : n;
        bool was_bad = r->any_bad && r->bad[0];
        int64_t term[ROW];
        for (int i = 0; i < once; i++) term[i] = t->coef;
        for (int j = 0; j < t->n; j++) atom_row(r, &t->f[j], pos, once, term);
        for (int i = 0; i < n; i++) e->row[i] += term[once == 1 ? 0 : i];
        if (once == 1 && !was_bad && r->any_bad && r->bad[0]) memset(r->bad, 1, (size_t)n);
    }
    return e->row;
}

/* ---- accesses ---- */

/* base and strides of the edge, if its indices are affine and stay inside. */
static bool make_direct(Access *a, const Box *b)
{
    int64_t size = 1;
    for (int d = a->t->rank - 1; d >= 0; d--) {
        RowIx *e = a->ix[d];
        int64_t low = e->c, high = e->c;
        if (e->nterm) return false;
        for (int i = 0; i < b->n; i++) {
            int64_t far = e->step[i] * (b->ext[i] - 1);
            *(far < 0 ? &low : &high) += far;
            a->stride[i] += e->step[i] * size;
        }
        if (b->count && (low < 0 || high >= a->t->shape[d])) return false;
        a->base += e->c * size;
        size *= a->t->shape[d];
    }
    return true;
}

Access *access_new(Eval *ev, Edge e, const Box *b)
{
    Access *a = NEW(ev->scratch, Access);
    a->t = ev->value[e.node->id];
    a->bad = ev->bad[e.node->id];
    if (!a->t) diag_bug(ev->g->diag, "%%%d is read before it is computed", e.node->id);
    a->ix = NEW_N(ev->scratch, RowIx *, e.map->n);
    for (int d = 0; d < e.map->n; d++) a->ix[d] = row_ix(ev, e.map->ix[d], b);
    a->direct = make_direct(a, b);
    a->at = a->direct ? NULL : NEW_N(ev->scratch, int64_t, row_length(b));
    a->f = NEW_N(ev->scratch, double, row_length(b));
    a->i = NEW_N(ev->scratch, uint32_t, row_length(b));
    return a;
}

static void mark_bad(Row *r, int i)
{
    if (!r->any_bad) memset(r->bad, 0, sizeof r->bad);
    r->any_bad = true;
    r->bad[i] = 1;
}

/* Offsets of an access that is not direct; -1 where it must not or can't happen. */
static void offsets(Row *r, Access *a, const int64_t *pos, int n, const uint8_t *mask)
{
    for (int i = 0; i < n; i++) a->at[i] = mask && !mask[i] ? -2 : 0;
    for (int d = 0; d < a->t->rank; d++) {
        const int64_t *v = row_ix_values(r, a->ix[d], pos, n);
        int64_t ext = a->t->shape[d];
        for (int i = 0; i < n; i++) {
            if (a->at[i] < 0) continue;
            a->at[i] = v[i] < 0 || v[i] >= ext ? -1 : a->at[i] * ext + v[i];
        }
    }
    for (int i = 0; i < n; i++)
        if (a->at[i] == -1 || (a->bad && a->at[i] >= 0 && a->bad[a->at[i]])) mark_bad(r, i);
}

/* The first offset and the step between offsets of a direct access. */
static int64_t direct_at(Row *r, const Access *a, const int64_t *pos, int n, const uint8_t *mask)
{
    int64_t at = a->base, step = a->stride[r->last];
    for (int i = 0; i <= r->last; i++) at += a->stride[i] * pos[i];
    for (int i = 0; a->bad && i < n; i++)
        if ((!mask || mask[i]) && a->bad[at + i * step]) mark_bad(r, i);
    return at;
}

#define COPY(to, as, data)                                                                         \
    for (int k_ = 0; k_ < n; k_++) (to)[k_] = (as)(data)[at + k_ * step]
#define PICK(to, as, data)                                                                         \
    for (int k_ = 0; k_ < n; k_++) (to)[k_] = a->at[k_] < 0 ? 0 : (as)(data)[a->at[k_]]

const double *access_float(Row *r, Access *a, const int64_t *pos, int n, const uint8_t *mask)
{
    const double *f = a->t->data;
    const int32_t *w = a->t->data;
    const uint8_t *b = a->t->data;
    if (!a->direct) {
        offsets(r, a, pos, n, mask);
        if (a->t->dt == DT_FLOAT) PICK(a->f, double, f);
        else if (a->t->dt == DT_INT) PICK(a->f, double, w);
        else PICK(a->f, double, b);
        return a->f;
    }
    int64_t at = direct_at(r, a, pos, n, mask), step = a->stride[r->last];
    if (a->t->dt == DT_FLOAT && step == 1) return f + at;
    if (a->t->dt == DT_FLOAT) COPY(a->f, double, f);
    else if (a->t->dt == DT_INT) COPY(a->f, double, w);
    else COPY(a->f, double, b);
    return a->f;
}

const uint32_t *access_int(Row *r, Access *a, const int64_t *pos, int n, const uint8_t *mask)
{
    const uint32_t *w = a->t->data;
    const uint8_t *b = a->t->data;
    if (a->t->dt == DT_FLOAT) diag_bug(r->ev->g->diag, "a float is read as an int");
    if (!a->direct) {
        offsets(r, a, pos, n, mask);
        if (a->t->dt == DT_INT) PICK(a->i, uint32_t, w);
        else PICK(a->i, uint32_t, b);
        return a->i;
    }
    int64_t at = direct_at(r, a, pos, n, mask), step = a->stride[r->last];
    if (a->t->dt == DT_INT && step == 1) return w + at;
    if (a->t->dt == DT_INT) COPY(a->i, uint32_t, w);
    else COPY(a->i, uint32_t, b);
    return a->i;
}
