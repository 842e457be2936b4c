/* build_draw.c: random numbers, and the functions that every file has.
 *
 * A draw is named by its site: the hash of the chain of calls and loop values that leads to it, and
 * its place in its function. Texts, options and the order of building don't shift it. There is one
 * number per point of the index space around the draw; inside a pointwise function, per point of
 * the axes over which its arguments vary.
 */
#include "frontend/build.h"
#include <math.h>

/* ---- sites ---- */

typedef struct {
    Builder *b;
    uint64_t n;
} Numbering;

static void number_call(void *ctx, const Expr *e)
{
    Numbering *n = ctx;
    if (e->kind == EX_CALL && !ptrmap_get(&n->b->ordinals, e))
        ptrmap_put(n->b, &n->b->ordinals, e, ++n->n);
}

/* The number of the call among the calls of its function. */
uint64_t call_ordinal(Frame *f, const Expr *call)
{
    Builder *b = f->b;
    uint64_t n = ptrmap_get(&b->ordinals, call);
    if (n) return n;
    Numbering all = {b, 0}, reports = {b, (uint64_t)1 << 32}; /* a report shifts no other draw */
    if (f->fn) walk_reports(&f->fn->body, number_call, &reports);
    if (f->fn) walk_fn(f->fn, number_call, &all);
    n = ptrmap_get(&b->ordinals, call);
    if (n) return n;
    number_call(&all, call); /* in the start of a parameter */
    return ptrmap_get(&b->ordinals, call);
}

static Value draw(Frame *f, uint64_t site)
{
    Builder *b = f->b;
    AxisSet s = f->around;
    for (int i = f->visible; i < f->index.n; i++) {
        const IndexVar *v = &f->index.v[i];
        if (v->axis) axes_add(b, &s, v->axis);
        for (int j = 0; v->dots && j < v->nmany; j++) axes_add(b, &s, v->many[j]);
    }
    axes_sort(&s);
    return value_elem(b, graph_rand(b->g, site, axes_space(b, &s)), &s);
}

static Value op1(Builder *b, Op op, Value v, Loc loc) { return value_op(b, op, 1, &v, loc); }

static Value uniform(Frame *f, uint64_t site, Value low, Value high, Loc loc)
{
    Builder *b = f->b;
    Value width = value_binary(b, BIN_SUB, high, low, loc);
    return value_binary(b, BIN_ADD, low, value_binary(b, BIN_MUL, width, draw(f, site), loc), loc);
}

/* Box-Muller; 1 - u lies in (0, 1]. */
static Value normal(Frame *f, uint64_t site, Value mean, Value std, Loc loc)
{
    Builder *b = f->b;
    Value u = value_binary(b, BIN_SUB, value_int(1), draw(f, hash_mix(site, 1)), loc);
    Value turn = value_binary(b, BIN_MUL, value_float(2 * 3.14159265358979323846),
                              draw(f, hash_mix(site, 2)), loc);
    Value r = op1(b, OP_sqrt,
                  value_binary(b, BIN_MUL, value_float(-2), op1(b, OP_log, u, loc), loc), loc);
    Value z = value_binary(b, BIN_MUL, r, op1(b, OP_cos, turn, loc), loc);
    return value_binary(b, BIN_ADD, mean, value_binary(b, BIN_MUL, std, z, loc), loc);
}

static Value bernoulli(Frame *f, uint64_t site, Value p, Loc loc)
{
    Builder *b = f->b;
    double x = p.kind == V_INT ? (double)p.i : p.f;
    if (p.kind == V_INT || p.kind == V_FLOAT) {
        if (!(x >= 0 && x <= 1))
            user_error(b->d, loc, "a probability lies in 0 to 1\nfound: %.9g", x);
        if (x == 0 || x == 1) return value_bool(x == 1);
    }
    return value_binary(b, BIN_LT, draw(f, site), p, loc);
}

/* ---- functions that every file has ---- */

typedef struct {
    const char *name;
    int nargs;
    Op op;
    double (*value)(double);
} Builtin;
static const Builtin builtins[] = {
    {"exp", 1, OP_exp, exp},         {"log", 1, OP_log, log},       {"sqrt", 1, OP_sqrt, sqrt},
    {"sin", 1, OP_sin, sin},         {"cos", 1, OP_cos, cos},       {"tanh", 1, OP_tanh, tanh},
    {"erf", 1, OP_erf, erf},         {"floor", 1, OP_floor, floor}, {"abs", 1, OP_abs, fabs},
    {"stop", 1, OP_stop, NULL},      {"int", 1, OP_cast, NULL},     {"len", 1, OP_idx, NULL},
    {"where", 3, OP_select, NULL},   {"uniform", 2, OP_rand, NULL}, {"normal", 2, OP_rand, NULL},
    {"bernoulli", 1, OP_rand, NULL},
};

static const Builtin *builtin_find(const char *name)
{
    for (int i = 0; i < COUNT(builtins); i++)
        if (!strcmp(builtins[i].name, name)) return &builtins[i];
    return NULL;
}
bool is_builtin(const char *name) { return builtin_find(name) != NULL; }

static Value math(Builder *b, const Builtin *fn, Value v, Loc loc)
{
    if (value_dtype(b, v, loc) == DT_BOOL && fn->op != OP_stop)
        user_error(b->d, loc, "`%s` takes a number\nfound: %s", fn->name, value_what(b, v));
    if (v.kind == V_INT && fn->op == OP_abs) {
        if (v.i == INT64_MIN) user_error(b->d, loc, "the result does not fit 64 bits");
        return value_int(v.i < 0 ? -v.i : v.i);
    }
    if (v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_BOOL) {
        if (!fn->value) return v;
        double x = v.kind == V_INT ? (double)v.i : v.f, y = fn->value(x);
        if (!isfinite(y)) user_error(b->d, loc, "`%s` of %.9g is not a finite number", fn->name, x);
        return value_float(y);
    }
    if (v.kind == V_SIZE && fn->op == OP_stop) return v;
    if (v.kind == V_SIZE && fn->op == OP_floor)
        return value_ratio(
            ix_div(b->g, v.size.num, ix_const(b->g, v.size.den ? v.size.den : 1), NULL), 1);
    return value_op(b, fn->op, 1, &v, loc);
}

/* The size of an axis of the parameters, of an index, of a list, or of a tensor's first axis. */
static Value len(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    if (e->kind == EX_NAME) {
        IndexVar *i = index_find(f, e->s);
        if (i && i->axis) return value_size(i->axis->ext);
        NamedAxis *a = named_axis(f, e->s);
        if (a) return a->ext ? value_size(a->ext) : a->none;
    }
    Value v = access_base(f, e, NULL);
    if (v.kind == V_NONE) return v;
    if (v.kind == V_LIST) return value_int(v.list.n);
    if (v.kind == V_TENSOR) return value_size(v.tensor.shape->ext[0]);
    user_error(b->d, e->loc, "`len` takes an axis, a list or a tensor\nfound: %s",
               value_what(b, v));
}

static Value call_draw(Frame *f, const Builtin *fn, const Value *x, const Expr *call)
{
    Builder *b = f->b;
    if (!f->fn && !f->in_start)
        user_error(b->d, call->loc, "a draw stands in a function, or in the start of a parameter");
    uint64_t site = hash_mix(f->site, call_ordinal(f, call));
    for (int i = 0; i < fn->nargs; i++) {
        if (x[i].kind == V_NONE) return x[i];
        if (x[i].kind == V_TENSOR || value_dtype(b, x[i], call->loc) == DT_BOOL)
            user_error(b->d, call->loc, "`%s` takes numbers\nfound: %s", fn->name,
                       value_what(b, x[i]));
    }
    if (fn->nargs == 1) return bernoulli(f, site, x[0], call->loc);
    return fn->name[0] == 'u' ? uniform(f, site, x[0], x[1], call->loc)
                              : normal(f, site, x[0], x[1], call->loc);
}

bool call_builtin(Frame *f, const char *name, const Expr *call, Value *r)
{
    Builder *b = f->b;
    const Builtin *fn = builtin_find(name);
    const ArgVec *args = &call->call.args;
    Value x[3];
    if (!fn) return false;
    if (args->n != fn->nargs)
        user_error(b->d, call->loc, "`%s` takes %d value%s\nfound: %d", name, fn->nargs,
                   fn->nargs == 1 ? "" : "s", args->n);
    for (int i = 0; i < args->n; i++)
        if (args->v[i].is_pass || args->v[i].name.s)
            user_error(b->d, args->v[i].loc, "`%s` takes plain values", name);
    if (fn->op == OP_idx) return *r = len(f, args->v[0].value), true;
    for (int i = 0; i < args->n; i++) {
        x[i] = eval(f, args->v[i].value);
        if (fn->op == OP_select && i == 0 &&
            x[0].kind == V_BOOL) { /* the other side is not built */
            return *r = eval(f, args->v[x[0].b ? 1 : 2].value), true;
        }
    }
    switch (fn->op) {
    case OP_rand:
        *r = call_draw(f, fn, x, call);
        return true;
    case OP_select:
        *r = value_where(b, x[0], x[1], x[2], call->loc);
        return true;
    case OP_cast:
        *r = value_int_of(b, x[0], call->loc);
        return true;
    default:
        *r = x[0].kind == V_NONE ? x[0] : math(b, fn, x[0], call->loc);
        return true;
    }
}
