/* build_arith.c: operators on values: static ones are computed, sizes stay exact, tensors become
 * nodes. */
#include "frontend/build.h"
#include <math.h>

/* ---- pointwise nodes ---- */

/* As written in the language. */
static const char *op_word(Op op)
{
    static const char *const word[OP_COUNT] = {
        [OP_add] = "`+`",       [OP_sub] = "`-`", [OP_mul] = "`*`",        [OP_div] = "`/`",
        [OP_floordiv] = "`//`", [OP_mod] = "`%`", [OP_pow] = "`^`",        [OP_min] = "`min`",
        [OP_max] = "`max`",     [OP_eq] = "`==`", [OP_lt] = "`<`",         [OP_le] = "`<=`",
        [OP_and] = "`and`",     [OP_or] = "`or`", [OP_select] = "`where`",
    };
    return word[op] ? word[op] : op_info[op].name;
}

static Value whole_op(Builder *b, Op op, int n, const Value *x, DType like, Loc loc)
{
    const Value *first = NULL;
    Edge arg[MAX_ARGS];
    for (int i = 0; i < n; i++) {
        if (x[i].kind == V_ELEM && x[i].elem.n)
            user_error(b->d, loc,
                       "a whole tensor meets an element\nfound: %s and %s\nhint: index the tensor: "
                       "`x[i, j]`",
                       value_what(b, x[i]), "a whole tensor");
        if (x[i].kind != V_TENSOR) continue;
        if (first)
            fit_shapes(b, *first, x[i], loc, op_word(op));
        else
            first = &x[i];
    }
    for (int i = 0; i < n; i++) arg[i] = value_edge(b, x[i], like, loc);
    return value_tensor(b, graph_pw(b->g, op, first->tensor.shape, arg), first->tensor.shape,
                        first->tensor.dim);
}

/* An int literal beside floats is a float at once. */
static DType meeting_dtype(Builder *b, Op op, int n, const Value *x, Loc loc)
{
    DType like = DT_INT;
    for (int i = op == OP_select; i < n; i++)
        if (value_dtype(b, x[i], loc) == DT_FLOAT) like = DT_FLOAT;
    if (op_info[op].dtype == RULE_FLOAT) like = DT_FLOAT;
    return like;
}

Value value_op(Builder *b, Op op, int n, const Value *x, Loc loc)
{
    AxisSet axes = {0};
    Edge arg[MAX_ARGS];
    DType like = meeting_dtype(b, op, n, x, loc);
    for (int i = 0; i < n; i++)
        if (x[i].kind == V_TENSOR) return whole_op(b, op, n, x, like, loc);
    for (int i = 0; i < n; i++) axes_of(b, &axes, x[i]);
    const Space *space = axes_space(b, &axes);
    for (int i = 0; i < n; i++) arg[i] = value_onto(b, x[i], &axes, space, like, loc);
    return value_elem(b, graph_pw(b->g, op, space, arg), &axes);
}

Value fit_shapes(Builder *b, Value like, Value v, Loc loc, const char *what)
{
    const Space *s = like.tensor.shape, *t = v.tensor.shape;
    bool same = s->n == t->n;
    for (int i = 0; same && i < s->n; i++) {
        if (ix_proves_eq(b->g, s->ext[i], t->ext[i])) continue;
        const Ix *diff = ix_sub(b->g, s->ext[i], t->ext[i]);
        if (ix_is_const(diff)) same = false;
    }
    if (!same)
        user_error(b->d, loc,
                   "two whole tensors of different shape meet in %s\nfound: %s and %s\nhint: whole "
                   "tensors are not stretched; write the indices: `let y[i, j] = a[i, j] + b[j]`",
                   what, shape_text(b, s, like.tensor.dim), shape_text(b, t, v.tensor.dim));
    for (int i = 0; i < s->n; i++) {
        if (ix_proves_eq(b->g, s->ext[i], t->ext[i])) continue;
        const Ix *diff = ix_sub(b->g, s->ext[i], t->ext[i]);
        graph_check(
            b->g, (Check){.kind = CHECK_EQ0,
                          .ix = diff,
                          .loc = loc,
                          .text = arena_printf(b->g->arena, "two tensors of shapes %s and %s meet",
                                               shape_text(b, s, like.tensor.dim),
                                               shape_text(b, t, v.tensor.dim))});
        assume_zero(b->g, diff);
    }
    return v;
}

/* ---- static arithmetic ---- */

static double number(Value v) { return v.kind == V_INT ? (double)v.i : v.f; }
static bool is_number(Value v) { return v.kind == V_INT || v.kind == V_FLOAT; }
static int64_t floordiv(int64_t a, int64_t c) { return a / c - (a % c != 0 && (a < 0) != (c < 0)); }

static Value int_power(Builder *b, int64_t a, int64_t n, Loc loc)
{
    int64_t r = 1;
    if (n < 0) return value_float(pow((double)a, (double)n));
    if (a == 0 || a == 1) return value_int(n == 0 ? 1 : a);
    if (a == -1) return value_int(n % 2 ? -1 : 1);
    for (int64_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(r, a, &r))
            user_error(b->d, loc, "the result does not fit 64 bits");
    return value_int(r);
}

static Value int_binary(Builder *b, BinaryOp op, int64_t a, int64_t c, Loc loc)
{
    int64_t r = 0;
    bool wraps = false;
    switch (op) {
    case BIN_ADD:
        wraps = __builtin_add_overflow(a, c, &r);
        break;
    case BIN_SUB:
        wraps = __builtin_sub_overflow(a, c, &r);
        break;
    case BIN_MUL:
        wraps = __builtin_mul_overflow(a, c, &r);
        break;
    case BIN_FLOORDIV:
    case BIN_MOD:
        if (c == 0) user_error(b->d, loc, "division by 0");
        if (c == -1)
            wraps = op == BIN_FLOORDIV && __builtin_sub_overflow(0, a, &r);
        else
            r = op == BIN_FLOORDIV ? floordiv(a, c) : a - c * floordiv(a, c);
        break;
    default:
        return int_power(b, a, c, loc);
    }
    if (wraps) user_error(b->d, loc, "the result does not fit 64 bits");
    return value_int(r);
}

static Value float_binary(Builder *b, BinaryOp op, double a, double c, Loc loc)
{
    double r = 0;
    switch (op) {
    case BIN_ADD:
        r = a + c;
        break;
    case BIN_SUB:
        r = a - c;
        break;
    case BIN_MUL:
        r = a * c;
        break;
    case BIN_DIV:
    case BIN_FLOORDIV:
    case BIN_MOD:
        if (c == 0) user_error(b->d, loc, "division by 0");
        r = op == BIN_DIV ? a / c : op == BIN_FLOORDIV ? floor(a / c) : a - c * floor(a / c);
        break;
    default:
        r = pow(a, c);
    }
    if (!isfinite(r))
        user_error(b->d, loc, "the result is not a finite number\nfound: `%s` of %.9g and %.9g",
                   binary_name(op), a, c);
    return value_float(r);
}

static bool is_comparison(BinaryOp op) { return op >= BIN_EQ && op <= BIN_GE; }
static bool is_logic(BinaryOp op) { return op == BIN_AND || op == BIN_OR; }

static Value truth_of_order(BinaryOp op, int order)
{
    switch (op) {
    case BIN_EQ:
        return value_bool(order == 0);
    case BIN_NE:
        return value_bool(order != 0);
    case BIN_LT:
        return value_bool(order < 0);
    case BIN_GT:
        return value_bool(order > 0);
    case BIN_LE:
        return value_bool(order <= 0);
    default:
        return value_bool(order >= 0);
    }
}

static bool static_equal(Value a, Value c)
{
    if (is_number(a) && is_number(c)) {
        if (a.kind == V_INT && c.kind == V_INT) return a.i == c.i;
        return number(a) == number(c);
    }
    if (a.kind != c.kind) return false;
    if (a.kind == V_BOOL) return a.b == c.b;
    if (a.kind == V_STRING) return !strcmp(a.s, c.s);
    if (a.list.n != c.list.n) return false;
    for (int i = 0; i < a.list.n; i++)
        if (!static_equal(a.list.v[i], c.list.v[i])) return false;
    return true;
}

RTC_NORETURN static void type_error(Builder *b, BinaryOp op, Value a, Value c, Loc loc)
{
    bool has_bool = a.kind == V_BOOL || c.kind == V_BOOL ||
                    (value_is_graph(a) && value_dtype(b, a, loc) == DT_BOOL) ||
                    (value_is_graph(c) && value_dtype(b, c, loc) == DT_BOOL);
    const char *hint = is_logic(op) ? "\nhint: `and` and `or` join bools, as comparisons give them"
                       : has_bool
                           ? "\nhint: a bool never becomes a number by itself: `where(c, 1, 0)`"
                           : "";
    user_error(b->d, loc, "`%s` can't join %s and %s%s", binary_name(op), value_what(b, a),
               value_what(b, c), hint);
}

static Value list_concat(Builder *b, Value a, Value c)
{
    Value r = {.kind = V_LIST,
               .list = {a.list.n + c.list.n, NEW_N(b->a, Value, a.list.n + c.list.n + 1)}};
    for (int i = 0; i < r.list.n; i++)
        r.list.v[i] = i < a.list.n ? a.list.v[i] : c.list.v[i - a.list.n];
    return r;
}

static Value static_binary(Builder *b, BinaryOp op, Value a, Value c, Loc loc)
{
    if (op == BIN_EQ || op == BIN_NE) {
        bool comparable = a.kind == c.kind || (is_number(a) && is_number(c));
        if (!comparable) type_error(b, op, a, c, loc);
        if (!is_number(a)) return value_bool(static_equal(a, c) == (op == BIN_EQ));
    }
    if (op == BIN_ADD && a.kind == V_LIST && c.kind == V_LIST) return list_concat(b, a, c);
    if (is_logic(op) && a.kind == V_BOOL && c.kind == V_BOOL)
        return value_bool(op == BIN_AND ? a.b && c.b : a.b || c.b);
    if (is_logic(op) || !is_number(a) || !is_number(c)) type_error(b, op, a, c, loc);
    bool ints = a.kind == V_INT && c.kind == V_INT;
    if (is_comparison(op)) {
        if (ints) return truth_of_order(op, (a.i > c.i) - (a.i < c.i));
        return truth_of_order(op, (number(a) > number(c)) - (number(a) < number(c)));
    }
    if (ints && op != BIN_DIV) return int_binary(b, op, a.i, c.i, loc);
    return float_binary(b, op, number(a), number(c), loc);
}

/* ---- positions: integer arithmetic on indices stays an index expression ---- */

static bool is_position(Value v)
{
    if (v.kind == V_INT || (v.kind == V_SIZE && !v.size.den)) return true;
    return v.kind == V_ELEM && v.elem.e.node->dt == DT_INT && node_is(v.elem.e.node, OP_idx);
}

bool value_index(Builder *b, Value v, const AxisSet *s, const Space *sp, const Ix **ix)
{
    if (!is_position(v)) return false;
    if (v.kind != V_ELEM) return *ix = size_of(b, v, b->g->loc, "a position"), true;
    Edge e = value_onto(b, v, s, sp, DT_INT, b->g->loc);
    *ix = ix_load(b->g, e, sp);
    return !(*ix)->loads;
}

static bool position_binary(Builder *b, BinaryOp op, Value a, Value c, Value *r)
{
    Graph *g = b->g;
    AxisSet s = {0};
    const Ix *x, *y;
    if (op > BIN_MOD || op == BIN_DIV || !is_position(a) || !is_position(c)) return false;
    axes_of(b, &s, a), axes_of(b, &s, c);
    const Space *sp = axes_space(b, &s);
    if (!value_index(b, a, &s, sp, &x) || !value_index(b, c, &s, sp, &y)) return false;
    switch (op) {
    case BIN_ADD:
        x = ix_add(g, x, y);
        break;
    case BIN_SUB:
        x = ix_sub(g, x, y);
        break;
    case BIN_MUL:
        x = ix_mul(g, x, y);
        break;
    default:
        if (y->axes || !ix_proves_ge0(g, ix_sub(g, y, ix_const(g, 1)), NULL)) return false;
        x = op == BIN_FLOORDIV ? ix_div(g, x, y, sp) : ix_mod(g, x, y, sp);
    }
    *r = value_elem(b, graph_idx(g, x, sp), &s);
    return true;
}

/* ---- operators ---- */

static Value truth(Builder *b, Value v) /* a constant of a tensor as the bool it is */
{
    bool t;
    return v.kind == V_ELEM && value_known(b, v, &t) ? value_bool(t) : v;
}

static Value logic(Builder *b, BinaryOp op, Value a, Value c, Loc loc)
{
    if (value_dtype(b, a, loc) != DT_BOOL || value_dtype(b, c, loc) != DT_BOOL)
        type_error(b, op, a, c, loc);
    return truth(b, value_op(b, op == BIN_AND ? OP_and : OP_or, 2, (Value[]){a, c}, loc));
}

static Value compare(Builder *b, BinaryOp op, Value a, Value c, Loc loc)
{
    bool bools = value_dtype(b, a, loc) == DT_BOOL,
         both = bools == (value_dtype(b, c, loc) == DT_BOOL);
    if (!both || (bools && op != BIN_EQ && op != BIN_NE)) type_error(b, op, a, c, loc);
    Value ac[2] = {a, c}, ca[2] = {c, a};
    switch (op) {
    case BIN_EQ:
        return truth(b, value_op(b, OP_eq, 2, ac, loc));
    case BIN_NE:
        return truth(b, value_op(b, OP_not, 1, (Value[]){value_op(b, OP_eq, 2, ac, loc)}, loc));
    case BIN_LT:
        return truth(b, value_op(b, OP_lt, 2, ac, loc));
    case BIN_GT:
        return truth(b, value_op(b, OP_lt, 2, ca, loc));
    case BIN_LE:
        return truth(b, value_op(b, OP_le, 2, ac, loc));
    default:
        return truth(b, value_op(b, OP_le, 2, ca, loc));
    }
}

static Value as_float(Builder *b, Value v, Loc loc)
{
    if (v.kind == V_INT) return value_float((double)v.i);
    if (value_dtype(b, v, loc) == DT_FLOAT) return v;
    if (v.kind == V_TENSOR)
        return value_tensor(b, graph_cast(b->g, DT_FLOAT, v.tensor.shape, v.tensor.e),
                            v.tensor.shape, v.tensor.dim);
    AxisSet s = {0};
    axes_of(b, &s, v);
    const Space *sp = axes_space(b, &s);
    return value_elem(b, graph_cast(b->g, DT_FLOAT, sp, value_onto(b, v, &s, sp, DT_INT, loc)), &s);
}

static Value arithmetic(Builder *b, BinaryOp op, Value a, Value c, Loc loc)
{
    static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_div, OP_floordiv, OP_mod, OP_pow};
    DType x = value_dtype(b, a, loc), y = value_dtype(b, c, loc);
    if (x == DT_BOOL || y == DT_BOOL) type_error(b, op, a, c, loc);
    bool int_pow = x == DT_INT && c.kind == V_INT && c.i >= 0;
    if (op == BIN_DIV || (op == BIN_POW && !int_pow))
        a = as_float(b, a, loc), c = as_float(b, c, loc);
    return value_op(b, ops[op], 2, (Value[]){a, c}, loc);
}

Value value_binary(Builder *b, BinaryOp op, Value a, Value c, Loc loc)
{
    Value r;
    if (a.kind == V_NONE) return a;
    if (c.kind == V_NONE) return c;
    if (a.kind == V_TUPLE || c.kind == V_TUPLE) type_error(b, op, a, c, loc);
    if (value_is_static(a) && value_is_static(c)) return static_binary(b, op, a, c, loc);
    if (a.kind == V_LIST || c.kind == V_LIST || a.kind == V_STRING || c.kind == V_STRING)
        type_error(b, op, a, c, loc);
    if (size_binary(b, op, a, c, loc, &r) || position_binary(b, op, a, c, &r)) return r;
    if (is_logic(op)) return logic(b, op, a, c, loc);
    if (is_comparison(op)) return compare(b, op, a, c, loc);
    return arithmetic(b, op, a, c, loc);
}

Value value_unary(Builder *b, UnaryOp op, Value a, Loc loc)
{
    if (a.kind == V_NONE) return a;
    if (op == UN_NOT) {
        if (a.kind == V_BOOL) return value_bool(!a.b);
        if (value_dtype(b, a, loc) != DT_BOOL)
            user_error(b->d, loc, "`not` takes a bool\nfound: %s", value_what(b, a));
        return truth(b, value_op(b, OP_not, 1, &a, loc));
    }
    if (a.kind == V_FLOAT) return value_float(-a.f);
    if (value_dtype(b, a, loc) == DT_BOOL)
        user_error(b->d, loc, "`-` takes a number\nfound: %s", value_what(b, a));
    Value r;
    if (a.kind == V_INT || a.kind == V_SIZE) return value_binary(b, BIN_SUB, value_int(0), a, loc);
    if (position_binary(b, BIN_SUB, value_int(0), a, &r)) return r;
    return value_op(b, OP_neg, 1, &a, loc);
}

Value value_where(Builder *b, Value c, Value x, Value y, Loc loc)
{
    if (c.kind == V_NONE) return c;
    if (value_dtype(b, c, loc) != DT_BOOL)
        user_error(b->d, loc,
                   "`where` takes a bool first: where(condition, if true, if false)\nfound: %s",
                   value_what(b, c));
    if (c.kind == V_BOOL) return c.b ? x : y;
    if (x.kind == V_NONE) return x;
    if (y.kind == V_NONE) return y;
    bool bools = value_dtype(b, x, loc) == DT_BOOL;
    if (bools != (value_dtype(b, y, loc) == DT_BOOL))
        user_error(b->d, loc,
                   "the two sides of `where` must both be numbers or both bools\nfound: %s and %s",
                   value_what(b, x), value_what(b, y));
    return value_op(b, OP_select, 3, (Value[]){c, x, y}, loc);
}

static bool position_minmax(Builder *b, bool max, Value x, Value y, Value *r)
{
    AxisSet s = {0};
    const Ix *i, *j;
    if (!is_position(x) || !is_position(y)) return false;
    axes_of(b, &s, x), axes_of(b, &s, y);
    const Space *sp = axes_space(b, &s);
    if (!value_index(b, x, &s, sp, &i) || !value_index(b, y, &s, sp, &j)) return false;
    const Ix *m = max ? ix_max(b->g, i, j, sp) : ix_min(b->g, i, j, sp);
    *r = s.n ? value_elem(b, graph_idx(b->g, m, sp), &s) : value_size(m);
    return true;
}

Value value_minmax(Builder *b, bool max, Value x, Value y, Loc loc)
{
    Value r;
    if (x.kind == V_NONE) return x;
    if (y.kind == V_NONE) return y;
    if (x.kind == V_INT && y.kind == V_INT) return value_int((x.i > y.i) == max ? x.i : y.i);
    if (is_number(x) && is_number(y))
        return value_float((number(x) > number(y)) == max ? number(x) : number(y));
    if (position_minmax(b, max, x, y, &r)) return r;
    if (value_dtype(b, x, loc) == DT_BOOL || value_dtype(b, y, loc) == DT_BOOL)
        user_error(b->d, loc, "`%s` takes numbers\nfound: %s and %s", max ? "max" : "min",
                   value_what(b, x), value_what(b, y));
    return value_op(b, max ? OP_max : OP_min, 2, (Value[]){x, y}, loc);
}

Value value_int_of(Builder *b, Value v, Loc loc)
{
    Graph *g = b->g;
    if (v.kind == V_NONE) return v;
    if (v.kind == V_FLOAT) {
        if (!(fabs(v.f) < 9e18)) user_error(b->d, loc, "%.9g does not fit an int", v.f);
        return value_int((int64_t)v.f);
    }
    if (v.kind == V_SIZE && v.size.den) {
        if (!ix_proves_ge0(g, v.size.num, NULL))
            user_error(b->d, loc, "int() of a size that may be negative: %s",
                       ix_text(g, v.size.num));
        return value_size(ix_div(g, v.size.num, ix_const(g, v.size.den), NULL));
    }
    if (value_dtype(b, v, loc) == DT_BOOL)
        user_error(b->d, loc, "int() takes a number\nfound: %s\nhint: `where(c, 1, 0)`",
                   value_what(b, v));
    if (value_dtype(b, v, loc) == DT_INT) return v;
    if (v.kind == V_TENSOR)
        return value_tensor(b, graph_cast(g, DT_INT, v.tensor.shape, v.tensor.e), v.tensor.shape,
                            v.tensor.dim);
    AxisSet s = {0};
    axes_of(b, &s, v);
    return value_elem(b, graph_cast(g, DT_INT, axes_space(b, &s), v.elem.e), &s);
}

/* Both sides were built; the host takes one. */
Value value_branch(Builder *b, Edge cond, Value x, Value y, Loc loc)
{
    if (x.kind == V_NONE || y.kind == V_NONE) return x.kind == V_NONE ? x : y;
    if (x.kind == y.kind && value_is_static(x) && static_equal(x, y)) return x;
    if (!value_is_scalar(x) && !value_is_graph(x))
        user_error(b->d, loc, "an `if` known only to the host can't choose between %s and %s",
                   value_what(b, x), value_what(b, y));
    DType like = value_dtype(b, x, loc) == DT_FLOAT || value_dtype(b, y, loc) == DT_FLOAT ? DT_FLOAT
                                                                                          : DT_INT;
    if ((value_dtype(b, x, loc) == DT_BOOL) != (value_dtype(b, y, loc) == DT_BOOL))
        user_error(b->d, loc, "the two sides of `if` differ in type: %s and %s", value_what(b, x),
                   value_what(b, y));
    if (x.kind == V_TENSOR || y.kind == V_TENSOR) {
        Value t = x.kind == V_TENSOR ? x : y, o = x.kind == V_TENSOR ? y : x;
        if (o.kind == V_TENSOR) fit_shapes(b, t, o, loc, "`if`");
        Edge e = graph_branch(b->g, t.tensor.shape, cond, value_edge(b, x, like, loc),
                              value_edge(b, y, like, loc));
        return value_tensor(b, e, t.tensor.shape, t.tensor.dim);
    }
    AxisSet s = {0};
    axes_of(b, &s, x), axes_of(b, &s, y);
    const Space *sp = axes_space(b, &s);
    return value_elem(b,
                      graph_branch(b->g, sp, cond, value_onto(b, x, &s, sp, like, loc),
                                   value_onto(b, y, &s, sp, like, loc)),
                      &s);
}
