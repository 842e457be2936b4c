/* eval_ops.c: what each op computes: one small function per class of ops, rows of the iteration
 * space inside. The scalar meaning comes from the value columns of ops.def.
 *
 * An op works on doubles if its result or an operand is float, else on 32-bit ints (as uint32_t, so
 * that they wrap). An operand read outside its node counts as 0 and marks the result (Eval.bad).
 */
#include <stdlib.h>
#include "ir/eval_rows.h"
#include "ir/rand.h"
#include "ir/scalar.h"

/* ---- scalar ops, over rows ---- */

typedef struct { const double *a, *b, *c; } Floats;
typedef struct { const uint32_t *a, *b, *c; } Ints;

/* r[i] = op(a[i], b[i], c[i]) */
static void apply_float(Op op, int n, Floats x, double *r)
{
    switch (op) {
#define OP(name, nargs, cls, flags, dtype, vjp, fval, ival, text, cost)                            \
    case OP_##name:                                                                                \
        for (int i_ = 0; i_ < n; i_++) {                                                           \
            double a = x.a[i_], b = x.b[i_], c = x.c[i_];                                          \
            (void)a, (void)b, (void)c;                                                             \
            r[i_] = fval;                                                                          \
        }                                                                                          \
        break;
#include "ir/ops.def"
    case OP_COUNT: break;
    }
}

static void apply_int(Op op, int n, Ints x, uint32_t *r)
{
    switch (op) {
#define OP(name, nargs, cls, flags, dtype, vjp, fval, ival, text, cost)                            \
    case OP_##name:                                                                                \
        for (int i_ = 0; i_ < n; i_++) {                                                           \
            uint32_t a = x.a[i_], b = x.b[i_], c = x.c[i_];                                        \
            (void)a, (void)b, (void)c;                                                             \
            r[i_] = ival;                                                                          \
        }                                                                                          \
        break;
#include "ir/ops.def"
    case OP_COUNT: break;
    }
}

/* a = op(a, x[0]), then op(a, x[1]), ... */
static double fold_float(Op op, double a, const double *x, int n)
{
    switch (op) {
#define OP(name, nargs, cls, flags, dtype, vjp, fval, ival, text, cost)                            \
    case OP_##name:                                                                                \
        for (int i_ = 0; i_ < n; i_++) {                                                           \
            double b = x[i_], c = 0;                                                               \
            (void)b, (void)c;                                                                      \
            a = fval;                                                                              \
        }                                                                                          \
        break;
#include "ir/ops.def"
    case OP_COUNT: break;
    }
    return a;
}

static uint32_t fold_int(Op op, uint32_t a, const uint32_t *x, int n)
{
    switch (op) {
#define OP(name, nargs, cls, flags, dtype, vjp, fval, ival, text, cost)                            \
    case OP_##name:                                                                                \
        for (int i_ = 0; i_ < n; i_++) {                                                           \
            uint32_t b = x[i_], c = 0;                                                             \
            (void)b, (void)c;                                                                      \
            a = ival;                                                                              \
        }                                                                                          \
        break;
#include "ir/ops.def"
    case OP_COUNT: break;
    }
    return a;
}

/* Cuts toward 0; what doesn't fit goes to the nearest int, NaN to 0. */
static int32_t int_of(double x)
{
    if (isnan(x)) return 0;
    if (x >= 2147483647.0) return INT32_MAX;
    if (x <= -2147483648.0) return INT32_MIN;
    return (int32_t)x;
}

static void store_floats(Tensor *t, int64_t at, const double *v, int n)
{
    if (t->dt == DT_FLOAT) {
        memcpy((double *)t->data + at, v, sizeof(double) * (size_t)n);
    } else if (t->dt == DT_INT) {
        for (int i = 0; i < n; i++) ((int32_t *)t->data)[at + i] = int_of(v[i]);
    } else {
        for (int i = 0; i < n; i++) ((uint8_t *)t->data)[at + i] = v[i] != 0;
    }
}

static void store_ints(Tensor *t, int64_t at, const uint32_t *v, int n)
{
    if (t->dt == DT_FLOAT) {
        for (int i = 0; i < n; i++) ((double *)t->data)[at + i] = (int32_t)v[i];
    } else if (t->dt == DT_INT) {
        memcpy((int32_t *)t->data + at, v, sizeof(uint32_t) * (size_t)n);
    } else {
        for (int i = 0; i < n; i++) ((uint8_t *)t->data)[at + i] = v[i] != 0;
    }
}

double tensor_get(const Tensor *t, int64_t at)
{
    if (t->dt == DT_FLOAT) return ((const double *)t->data)[at];
    if (t->dt == DT_INT) return ((const int32_t *)t->data)[at];
    return ((const uint8_t *)t->data)[at];
}

/* ---- a node being computed ---- */

enum { NARG = MAX_ARGS };

typedef struct {
    Eval *ev;
    Op op;
    Tensor *out;
    uint8_t **bad;           /* of out */
    Box box;
    int nargs;
    Access *arg[NARG];
    bool floats;             /* computed in double */
    int64_t per;             /* REDUCE TOP: positions of the box per output element or row */
    int nguard;
    RowIx **guard;           /* READ: [nguard] */
    int64_t *guard_ext;
    RowIx *key[MAX_AXES];    /* SCAT: NULL where not keyed */
    int64_t out_stride[MAX_AXES];
    struct Ranked *ranked;   /* TOP: [per] */
    Row row;
} Work;

static void work_init(Work *w, Eval *ev, const Node *n, Tensor *out)
{
    *w = (Work){.ev = ev, .op = n->op, .out = out, .nargs = n->nargs};
    w->bad = &ev->bad[n->id];
    w->floats = out->dt == DT_FLOAT;
    box_of(ev, n->space, &w->box);
    for (int i = 0; i < n->nargs; i++)
        if (n->args[i].node->dt == DT_FLOAT) w->floats = true;
}

static void work_args(Work *w, const Node *n)
{
    for (int i = 0; i < n->nargs; i++) w->arg[i] = access_new(w->ev, n->args[i], &w->box);
}

static void work_run(Work *w, RowFn *fn)
{
    w->row.ev = w->ev;
    w->row.last = w->box.n - 1;
    w->row.any_bad = false;
    box_rows(&w->box, fn, w, w->ev->g->diag);
}

static void mark_out(Work *w, int64_t at)
{
    if (!*w->bad) *w->bad = arena_alloc(w->ev->arena, (size_t)w->out->count);
    (*w->bad)[at] = 1;
}

/* The row's bad positions are those of out[at + i / per]. */
static void row_done(Work *w, int64_t at, int n, int64_t per)
{
    if (!w->row.any_bad) return;
    for (int i = 0; i < n; i++)
        if (w->row.bad[i]) mark_out(w, (at + i) / per);
    w->row.any_bad = false;
}

/* ---- pointwise, and copies through a map ---- */

static void pointwise_row(void *ctx, const int64_t *pos, int64_t at, int n)
{
    Work *w = ctx;
    if (w->floats) {
        const double *x[NARG] = {0};
        double r[ROW];
        for (int i = 0; i < w->nargs; i++) x[i] = access_float(&w->row, w->arg[i], pos, n, NULL);
        for (int i = w->nargs; i < NARG; i++) x[i] = x[0];
        apply_float(w->op, n, (Floats){x[0], x[1], x[2]}, r);
        store_floats(w->out, at, r, n);
    } else {
        const uint32_t *x[NARG] = {0};
        uint32_t r[ROW];
        for (int i = 0; i < w->nargs; i++) x[i] = access_int(&w->row, w->arg[i], pos, n, NULL);
        for (int i = w->nargs; i < NARG; i++) x[i] = x[0];
        apply_int(w->op, n, (Ints){x[0], x[1], x[2]}, r);
        store_ints(w->out, at, r, n);
    }
    row_done(w, at, n, 1);
}

static void pointwise(Work *w, const Node *n)
{
    work_args(w, n);
    box_merge(&w->box, w->arg, w->nargs, w->box.n);
    work_run(w, pointwise_row);
}

void eval_gather(Eval *ev, Edge e, const Space *space, Tensor *out, uint8_t **bad)
{
    Work w = {.ev = ev, .op = OP_stop, .out = out, .bad = bad, .nargs = 1};
    w.floats = e.node->dt == DT_FLOAT;
    box_of(ev, space, &w.box);
    w.arg[0] = access_new(ev, e, &w.box);
    box_merge(&w.box, w.arg, 1, w.box.n);
    work_run(&w, pointwise_row);
}

/* ---- read ---- */

/* What happened where the mask is 0 didn't happen. */
static void row_hide(Row *r, const uint8_t *mask, int n)
{
    for (int i = 0; r->any_bad && i < n; i++) r->bad[i] &= mask[i];
}

static void read_row(void *ctx, const int64_t *pos, int64_t at, int n)
{
    Work *w = ctx;
    Row *r = &w->row;
    uint8_t inside[ROW], outside[ROW];
    memset(inside, 1, sizeof inside);
    for (int g = 0; g < w->nguard; g++) {
        /* a guard is only asked where those before it hold */
        const int64_t *v = row_ix_values(r, w->guard[g], pos, n);
        row_hide(r, inside, n);
        row_done(w, at, n, 1);
        for (int i = 0; i < n; i++) inside[i] &= v[i] >= 0 && v[i] < w->guard_ext[g];
    }
    for (int i = 0; i < n; i++) outside[i] = !inside[i];
    for (int k = 0; k < 2; k++) {
        const uint8_t *mask = k == 0 ? inside : outside;
        const double *f = NULL;
        const uint32_t *x = NULL;
        if (w->floats) f = access_float(r, w->arg[k], pos, n, mask);
        else x = access_int(r, w->arg[k], pos, n, mask);
        row_hide(r, mask, n);
        row_done(w, at, n, 1);
        for (int i = 0; i < n; i++) {
            if (!mask[i]) continue;
            if (w->floats) store_floats(w->out, at + i, &f[i], 1);
            else store_ints(w->out, at + i, &x[i], 1);
        }
    }
}

static void guarded_read(Work *w, const Node *n)
{
    work_args(w, n);
    IxEnv env = {.syms = w->ev->syms};
    w->nguard = n->attr.guard.n;
    w->guard = NEW_N(w->ev->scratch, RowIx *, w->nguard);
    w->guard_ext = NEW_N(w->ev->scratch, int64_t, w->nguard);
    for (int i = 0; i < w->nguard; i++) {
        w->guard[i] = row_ix(w->ev, n->attr.guard.g[i].ix, &w->box);
        w->guard_ext[i] = ix_eval(n->attr.guard.g[i].ext, &env);
    }
    work_run(w, read_row);
}

/* ---- reductions ---- */

static double empty_float(Op op) { return op == OP_rmax ? LOWEST : op == OP_rmin ? -LOWEST : 0; }

static uint32_t empty_int(Op op, DType dt)
{
    if (dt == DT_BOOL) return op == OP_rmin;
    return op == OP_rmax ? (uint32_t)INT32_MIN : op == OP_rmin ? INT32_MAX : 0;
}

/* A contraction's products are many and read once: they aren't stored. */
bool eval_product(Eval *ev, const Node *n, Edge factor[2])
{
    Edge e = n->args[0];
    if (n->op != OP_sum || e.node->op != OP_mul || e.node->dt != DT_FLOAT) return false;
    if (ev->done[e.node->id]) return false;
    for (int i = 0; i < 2; i++) factor[i] = edge_arg(ev->g, e, i, n->space);
    return true;
}

static const double *reduced_floats(Work *w, const int64_t *pos, int n, double *product)
{
    const double *x = access_float(&w->row, w->arg[0], pos, n, NULL);
    if (w->nargs == 1) return x;
    const double *y = access_float(&w->row, w->arg[1], pos, n, NULL);
    for (int i = 0; i < n; i++) product[i] = x[i] * y[i];
    return product;
}

static void reduce_row(void *ctx, const int64_t *pos, int64_t at, int n)
{
    Work *w = ctx;
    /* the row lies in one output element, unless nothing is reduced */
    int step = w->per == 1 ? 1 : n;
    if (w->floats) {
        double product[ROW];
        const double *x = reduced_floats(w, pos, n, product);
        double *out = (double *)w->out->data + at / w->per;
        for (int i = 0; i < n; i += step, out++) *out = fold_float(w->op, *out, x + i, step);
    } else {
        const uint32_t *x = access_int(&w->row, w->arg[0], pos, n, NULL);
        for (int i = 0; i < n; i += step) {
            int64_t o = (at + i) / w->per;
            uint32_t a = (uint32_t)(int64_t)tensor_get(w->out, o);
            a = fold_int(w->op, a, x + i, step);
            store_ints(w->out, o, &a, 1);
        }
    }
    row_done(w, at, n, w->per);
}

static void reduce(Work *w, const Node *n)
{
    for (int64_t i = 0; i < w->out->count; i++) {
        double f = empty_float(w->op);
        uint32_t v = empty_int(w->op, w->out->dt);
        if (w->floats) store_floats(w->out, i, &f, 1);
        else store_ints(w->out, i, &v, 1);
    }
    Edge factor[2];
    if (eval_product(w->ev, n, factor)) {
        w->nargs = 2;
        for (int i = 0; i < 2; i++) w->arg[i] = access_new(w->ev, factor[i], &w->box);
    } else {
        work_args(w, n);
    }
    w->per = 1;
    for (int i = n->rank; i < n->space->n; i++) w->per *= w->box.ext[i];
    box_merge(&w->box, w->arg, w->nargs, n->rank);
    work_run(w, reduce_row);
}

/* ---- top ---- */

typedef struct Ranked {
    double v;
    int32_t at;
} Ranked;

/* Best first: NaN, then the larger value, then the lower position. */
static int rank_order(const void *pa, const void *pb)
{
    const Ranked *a = pa, *b = pb;
    bool na = isnan(a->v), nb = isnan(b->v);
    if (na != nb) return na ? -1 : 1;
    if (!na && a->v != b->v) return a->v > b->v ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static void top_row(void *ctx, const int64_t *pos, int64_t at, int n)
{
    Work *w = ctx;
    int64_t o = at / w->per, from = at % w->per, width = w->out->shape[w->out->rank - 1];
    const double *x = access_float(&w->row, w->arg[0], pos, n, NULL);
    for (int i = 0; i < n; i++) w->ranked[from + i] = (Ranked){x[i], (int32_t)(from + i)};
    for (int64_t k = 0; w->row.any_bad && k < width; k++) mark_out(w, o * width + k);
    w->row.any_bad = false;
    if (from + n < w->per) return;
    qsort(w->ranked, (size_t)w->per, sizeof(Ranked), rank_order);
    for (int64_t k = 0; k < width; k++)
        ((int32_t *)w->out->data)[o * width + k] = w->ranked[k].at;
}

static void top(Work *w, const Node *n)
{
    int64_t width = w->out->shape[n->rank - 1];
    w->box.ext[n->rank - 1] = 1; /* the argument has no ranks */
    box_count(&w->box);
    w->per = w->box.ext[w->box.n - 1];
    if (width > w->per)
        user_error(w->ev->g->diag, n->loc, "%lld ranks are asked of an axis of %lld positions",
                   (long long)width, (long long)w->per);
    work_args(w, n);
    w->ranked = NEW_N(w->ev->scratch, Ranked, w->per);
    work_run(w, top_row);
}

/* ---- scat ---- */

static void scat_row(void *ctx, const int64_t *pos, int64_t at, int n)
{
    Work *w = ctx;
    const double *f = NULL;
    const uint32_t *x = NULL;
    int64_t to[ROW] = {0};
    (void)at;
    for (int d = 0; d < w->out->rank; d++) {
        const int64_t *key = w->key[d] ? row_ix_values(&w->row, w->key[d], pos, n) : NULL;
        for (int i = 0; i < n; i++) {
            int64_t t = key ? key[i] : pos[d] + (d == w->row.last ? i : 0);
            if (t < 0 || t >= w->out->shape[d]) to[i] = -1;
            if (to[i] >= 0) to[i] += t * w->out_stride[d];
        }
    }
    if (w->floats) f = access_float(&w->row, w->arg[0], pos, n, NULL);
    else x = access_int(&w->row, w->arg[0], pos, n, NULL);
    for (int i = 0; i < n; i++) {
        if (to[i] < 0) continue;
        if (w->floats) ((double *)w->out->data)[to[i]] += f[i];
        else ((uint32_t *)w->out->data)[to[i]] += x[i];
        if (w->row.any_bad && w->row.bad[i]) mark_out(w, to[i]);
    }
    w->row.any_bad = false;
}

static void scat(Work *w, const Node *n)
{
    memset(w->out->data, 0, (size_t)w->out->count * (w->floats ? sizeof(double) : sizeof(int32_t)));
    int64_t stride = 1;
    for (int d = n->rank - 1; d >= 0; d--) {
        w->out_stride[d] = stride;
        stride *= w->out->shape[d];
        if (n->attr.key[d]) w->box.ext[d] = 1;
    }
    box_count(&w->box);
    if (w->out->count == 0) return;
    work_args(w, n);
    for (int d = 0; d < n->rank; d++)
        if (n->attr.key[d]) w->key[d] = row_ix(w->ev, n->attr.key[d], &w->box);
    work_run(w, scat_row);
}

/* ---- scan ---- */

/* In place: line[k * stride] for k in [0, n) becomes the sum of those before it (and itself). */
static void prefix_float(double *line, int64_t n, int64_t stride, bool exclusive)
{
    double sum = 0;
    for (; n > 0; n--, line += stride) {
        double x = *line;
        *line = exclusive ? sum : sum + x;
        sum += x;
    }
}

static void prefix_int(uint32_t *line, int64_t n, int64_t stride, bool exclusive)
{
    uint32_t sum = 0;
    for (; n > 0; n--, line += stride) {
        uint32_t x = *line;
        *line = exclusive ? sum : sum + x;
        sum += x;
    }
}

static void prefix_bad(uint8_t *line, int64_t n, int64_t stride, bool exclusive)
{
    uint8_t any = 0;
    for (; n > 0; n--, line += stride) {
        uint8_t x = *line;
        *line = exclusive ? any : any | x;
        any |= x;
    }
}

static void scan(Work *w, const Node *n)
{
    int axis = n->attr.scan.axis;
    bool exclusive = n->attr.scan.exclusive;
    int64_t length = w->out->shape[axis], stride = 1;
    for (int d = axis + 1; d < n->rank; d++) stride *= w->out->shape[d];
    w->op = OP_stop;
    pointwise(w, n);
    if (w->out->count == 0) return;
    for (int64_t line = 0; line < w->out->count / length; line++) {
        int64_t at = line / stride * stride * length + line % stride;
        int64_t first = n->attr.scan.reverse ? at + (length - 1) * stride : at;
        int64_t step = n->attr.scan.reverse ? -stride : stride;
        if (w->floats) prefix_float((double *)w->out->data + first, length, step, exclusive);
        else prefix_int((uint32_t *)w->out->data + first, length, step, exclusive);
        if (*w->bad) prefix_bad(*w->bad + first, length, step, exclusive);
    }
}

/* ---- leaves that are computed ---- */

static void idx_row(void *ctx, const int64_t *pos, int64_t at, int n)
{
    Work *w = ctx;
    const int64_t *v = row_ix_values(&w->row, w->key[0], pos, n);
    for (int i = 0; i < n; i++) ((uint32_t *)w->out->data)[at + i] = (uint32_t)v[i];
    row_done(w, at, n, 1);
}

static void leaf(Work *w, const Node *n)
{
    Eval *ev = w->ev;
    double *f = w->out->data;
    switch (n->op) {
    case OP_const:
        if (w->floats) f[0] = n->attr.value.f;
        else store_ints(w->out, 0, &(uint32_t){(uint32_t)n->attr.value.i}, 1);
        break;
    case OP_fresh: memset(w->out->data, ev->fresh, (size_t)w->out->count); break;
    case OP_idx:
        w->key[0] = row_ix(ev, n->attr.ix, &w->box);
        work_run(w, idx_row);
        break;
    case OP_rand:
        for (int64_t i = 0; i < w->out->count; i++)
            f[i] = rtc_uniform(ev->seed, ev->step, n->attr.site, (uint64_t)i);
        break;
    default: diag_bug(ev->g->diag, "%s `%s` has no value", op_info[n->op].name, n->attr.leaf.name);
    }
}

void eval_compute(Eval *ev, Node *n, Tensor *out)
{
    Work w;
    work_init(&w, ev, n, out);
    switch (op_info[n->op].cls) {
    case CLASS_LEAF: leaf(&w, n); break;
    case CLASS_POINTWISE: pointwise(&w, n); break;
    case CLASS_READ: guarded_read(&w, n); break;
    case CLASS_REDUCE: reduce(&w, n); break;
    case CLASS_TOP: top(&w, n); break;
    case CLASS_SCAT: scat(&w, n); break;
    case CLASS_SCAN: scan(&w, n); break;
    case CLASS_BRANCH: {
        eval_gather(ev, n->args[eval_truth(ev, n->args[0]) ? 1 : 2], n->space, out, w.bad);
        break;
    }
    }
}
