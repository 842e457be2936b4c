/* build_size.c: arithmetic on sizes, known to the host before a step is launched.
 *
 * A size is an index expression; a float made of a size by constants is kept as an exact fraction,
 * so that int(len(n) * 1.25 / 4) is (5 * n) // 16 and no rounding decides a capacity.
 */
#include "frontend/build.h"
#include <math.h>

typedef struct {
    const Ix *num;
    int64_t den; /* > 0 */
    bool is_int;
} Ratio;

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t t = a % b;
        a = b, b = t;
    }
    return a < 0 ? -a : a;
}

/* The fraction of smallest denominator whose double is f; false if none is small. */
static bool fraction(double f, int64_t *num, int64_t *den)
{
    double x = fabs(f);
    int64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0;
    if (!(x < 1e9)) return false;
    for (int i = 0; i < 40; i++) {
        int64_t a = (int64_t)floor(x);
        int64_t p = a * p1 + p0, q = a * q1 + q0;
        if (q > 1000000 || p > 1000000000000) return false;
        p0 = p1, q0 = q1, p1 = p, q1 = q;
        if ((double)p / (double)q == fabs(f)) {
            *num = f < 0 ? -p : p, *den = q;
            return true;
        }
        x = 1 / (x - (double)a);
    }
    return false;
}

static bool to_ratio(Builder *b, Value v, Ratio *r)
{
    int64_t num, den;
    switch (v.kind) {
    case V_INT:
        *r = (Ratio){ix_const(b->g, v.i), 1, true};
        return true;
    case V_SIZE:
        *r = (Ratio){v.size.num, v.size.den ? v.size.den : 1, !v.size.den};
        return true;
    case V_FLOAT:
        if (!fraction(v.f, &num, &den)) return false;
        *r = (Ratio){ix_const(b->g, num), den, false};
        return true;
    default:
        return false;
    }
}

/* num / den in lowest terms, as far as the coefficients show. */
static Value reduced(Builder *b, const Ix *num, int64_t den, bool is_int)
{
    if (is_int) return value_size(num);
    int64_t k = gcd(den, num->c);
    for (int i = 0; i < num->nterm; i++) k = gcd(k, num->t[i].coef);
    if (k > 1) num = ix_div(b->g, num, ix_const(b->g, k), NULL), den /= k;
    return value_ratio(num, den);
}

static bool den_mul(int64_t x, int64_t y, int64_t *r)
{
    return !__builtin_mul_overflow(x, y, r) && *r < (int64_t)1 << 40;
}

bool size_less(Builder *b, const Ix *a, const Ix *c, bool *truth)
{
    if (ix_proves_lt(b->g, a, c, NULL)) return *truth = true, true;
    if (ix_proves_ge0(b->g, ix_sub(b->g, a, c), NULL)) return *truth = false, true;
    return false;
}

static bool size_equal(Builder *b, const Ix *a, const Ix *c, bool *truth)
{
    if (ix_proves_eq(b->g, a, c)) return *truth = true, true;
    *truth = false;
    return ix_proves_lt(b->g, a, c, NULL) || ix_proves_lt(b->g, c, a, NULL);
}

static Value host_compare(Builder *b, Op op, const Ix *a, const Ix *c)
{
    const Space *point = space_make(b->g, 0, NULL);
    Edge e = graph_pw2(b->g, op, point, graph_idx(b->g, a, point), graph_idx(b->g, c, point));
    return value_elem(b, e, &(AxisSet){0});
}

static Value size_compare(Builder *b, BinaryOp op, const Ix *a, const Ix *c)
{
    bool truth;
    switch (op) {
    case BIN_EQ:
        return size_equal(b, a, c, &truth) ? value_bool(truth) : host_compare(b, OP_eq, a, c);
    case BIN_NE:
        if (size_equal(b, a, c, &truth)) return value_bool(!truth);
        return value_op(b, OP_not, 1, (Value[]){host_compare(b, OP_eq, a, c)}, b->g->loc);
    case BIN_LT:
        return size_less(b, a, c, &truth) ? value_bool(truth) : host_compare(b, OP_lt, a, c);
    case BIN_GT:
        return size_less(b, c, a, &truth) ? value_bool(truth) : host_compare(b, OP_lt, c, a);
    case BIN_LE:
        return size_less(b, c, a, &truth) ? value_bool(!truth) : host_compare(b, OP_le, a, c);
    default:
        return size_less(b, a, c, &truth) ? value_bool(!truth) : host_compare(b, OP_le, c, a);
    }
}

static void positive(Builder *b, const Ix *c, Loc loc)
{
    if (ix_proves_ge0(b->g, ix_sub(b->g, c, ix_const(b->g, 1)), NULL)) return;
    user_error(b->d, loc,
               "the divisor `%s` can't be shown to be positive\nhint: `require ... > 0, \"...\"` "
               "before it",
               ix_text(b->g, c));
}

static bool size_quotient(Builder *b, BinaryOp op, Ratio x, Ratio y, Loc loc, Value *r)
{
    Graph *g = b->g;
    if (op != BIN_DIV && x.is_int && y.is_int) {
        positive(b, y.num, loc);
        *r = value_size(op == BIN_FLOORDIV ? ix_div(g, x.num, y.num, NULL)
                                           : ix_mod(g, x.num, y.num, NULL));
        return true;
    }
    if (op == BIN_MOD || !ix_is_const(y.num)) return false;
    int64_t k = y.num->c, den;
    if (k == 0) user_error(b->d, loc, "division by 0");
    if (!den_mul(x.den, k < 0 ? -k : k, &den)) return false;
    const Ix *num = ix_scale(g, x.num, k < 0 ? -y.den : y.den);
    *r = op == BIN_DIV ? reduced(b, num, den, false)
                       : value_ratio(ix_div(g, num, ix_const(g, den), NULL), 1);
    return true;
}

static bool size_power(Builder *b, Value a, Value c, Value *r)
{
    if (a.kind != V_SIZE || a.size.den || c.kind != V_INT || c.i < 0 || c.i > 8) return false;
    const Ix *p = ix_const(b->g, 1);
    for (int64_t i = 0; i < c.i; i++) p = ix_mul(b->g, p, a.size.num);
    *r = value_size(p);
    return true;
}

bool size_binary(Builder *b, BinaryOp op, Value a, Value c, Loc loc, Value *r)
{
    Graph *g = b->g;
    Ratio x, y;
    int64_t den;
    if (a.kind != V_SIZE && c.kind != V_SIZE) return false;
    if (op == BIN_POW) return size_power(b, a, c, r);
    if (!to_ratio(b, a, &x) || !to_ratio(b, c, &y) || !den_mul(x.den, y.den, &den)) return false;
    const Ix *left = ix_scale(g, x.num, y.den), *right = ix_scale(g, y.num, x.den);
    bool is_int = x.is_int && y.is_int;
    switch (op) {
    case BIN_ADD:
        *r = reduced(b, ix_add(g, left, right), den, is_int);
        return true;
    case BIN_SUB:
        *r = reduced(b, ix_sub(g, left, right), den, is_int);
        return true;
    case BIN_MUL:
        *r = reduced(b, ix_mul(g, x.num, y.num), den, is_int);
        return true;
    case BIN_DIV:
    case BIN_FLOORDIV:
    case BIN_MOD:
        return size_quotient(b, op, x, y, loc, r);
    case BIN_EQ:
    case BIN_NE:
    case BIN_LT:
    case BIN_GT:
    case BIN_LE:
    case BIN_GE:
        *r = size_compare(b, op, left, right);
        return true;
    default:
        return false;
    }
}

void assume_zero(Graph *g, const Ix *e)
{
    graph_fact_eq0(g, e);
    graph_fact_ge0(g, e); /* for what isn't equal, but follows */
    graph_fact_ge0(g, ix_scale(g, e, -1));
}

/* ---- what the host knows ---- */

static void read_known(void *ctx, Edge e, bool as_index)
{
    struct {
        Builder *b;
        bool known;
    } *c = ctx;
    (void)as_index;
    c->known = c->known && host_known(c->b, e);
}

bool host_known(Builder *b, Edge e)
{
    const Node *n = e.node;
    while (b->host.n <= n->id) vec_push(b->a, &b->host, 0);
    if (b->host.v[n->id]) return b->host.v[n->id] == 1;
    struct {
        Builder *b;
        bool known;
    } c = {b, true};
    if (node_is(n, OP_param) || node_is(n, OP_state) || node_is(n, OP_input))
        c.known = false;
    else
        node_reads(n, read_known, &c);
    b->host.v[n->id] = c.known ? 1 : 2;
    return c.known;
}
