/* fold.c: pointwise identities of rules.def, applied by the constructor of pointwise nodes.
 *
 *     mul %p, div(%e, %z)   becomes   mul %e, %q    where %q = div(%p, %z) is already there
 *
 * Each function is one row: it looks, asks graph_rule() whether the row may be applied, and only
 * then builds. What it builds goes through the constructors again, so identities compose; they end
 * because each one removes a node, moves a sign or a constant outward, or replaces a node by an
 * older one.
 *
 * The reals are meant, not float bits: 0 * x and x - x are 0 and x / x is 1 also where x is NaN,
 * infinite or (the last) 0, and sums round differently in another order.
 */
#include "ir/fold.h"
#include "ir/scalar.h"

typedef struct {
    Graph *g;
    Op op;
    DType dt; /* of the result */
    const Space *space;
    Edge *arg;
    Edge *out;
} Pw;

static Edge as(const Pw *p, Edge e)
{
    return e.node->dt == p->dt ? e : graph_cast(p->g, p->dt, p->space, e);
}
static bool becomes(Pw *p, Edge e)
{
    *p->out = as(p, e);
    return true;
}
static bool may(Pw *p, Rewrite r) { return graph_rule(p->g, r); }
static Edge un(Pw *p, Op op, Edge a) { return graph_pw1(p->g, op, p->space, a); }
static Edge bin(Pw *p, Op op, Edge a, Edge b) { return graph_pw2(p->g, op, p->space, a, b); }
static Edge sub_arg(Pw *p, Edge e, int i) { return edge_arg(p->g, e, i, p->space); }
static bool is_const(Edge e) { return edge_op(e, OP_const); }

static double const_float(Edge e)
{
    return e.node->dt == DT_FLOAT ? e.node->attr.value.f : e.node->attr.value.i;
}

/* ---- const_fold ---- */

static bool cast_const(Pw *p, Edge e)
{
    double v = const_float(e);
    if (p->dt == DT_INT && !(v > -2147483649.0 && v < 2147483648.0)) return false;
    if (!may(p, RW_const_fold)) return false;
    if (p->dt == DT_FLOAT) return becomes(p, graph_float(p->g, v));
    return becomes(p, p->dt == DT_INT ? graph_int(p->g, (int32_t)v) : graph_bool(p->g, v != 0));
}

static bool const_fold(Pw *p)
{
    int n = op_info[p->op].nargs;
    bool real = p->dt == DT_FLOAT;
    for (int i = 0; i < n; i++) {
        if (!is_const(p->arg[i])) return false;
        real |= p->arg[i].node->dt == DT_FLOAT;
    }
    if (p->op == OP_select) return false; /* select_known */
    if (p->op == OP_cast) return cast_const(p, p->arg[0]);
    double f[MAX_ARGS] = {0}, r;
    uint32_t k[MAX_ARGS] = {0}, v = 0;
    for (int i = 0; i < n; i++) {
        f[i] = const_float(p->arg[i]);
        if (!real) k[i] = (uint32_t)p->arg[i].node->attr.value.i;
    }
    if (real) {
        r = scalar_float(p->op, f[0], f[1], f[2]);
        if (!isfinite(r)) return false; /* stays visible where it is computed */
    } else {
        v = scalar_int(p->op, k[0], k[1], k[2]);
        r = (int32_t)v;
    }
    if (!may(p, RW_const_fold)) return false;
    if (p->dt == DT_FLOAT) return becomes(p, graph_float(p->g, r));
    if (p->dt == DT_BOOL) return becomes(p, graph_bool(p->g, r != 0));
    return becomes(p, graph_int(p->g, (int32_t)r));
}

/* ---- neutral, annihilate ---- */

static bool neutral(Pw *p)
{
    Edge a = p->arg[0], b = p->arg[1];
    switch (p->op) {
    case OP_cast:
        if (a.node->dt == p->dt && may(p, RW_neutral)) return becomes(p, a);
        return false;
    case OP_add:
        if (edge_is_const(a, 0) && may(p, RW_neutral)) return becomes(p, b);
        if (edge_is_const(b, 0) && may(p, RW_neutral)) return becomes(p, a);
        return false;
    case OP_sub:
        if (edge_is_const(b, 0) && may(p, RW_neutral)) return becomes(p, a);
        if (edge_is_const(a, 0) && may(p, RW_neutral)) return becomes(p, un(p, OP_neg, as(p, b)));
        return false;
    case OP_mul:
        if (edge_is_const(a, 1) && may(p, RW_neutral)) return becomes(p, b);
        if (edge_is_const(b, 1) && may(p, RW_neutral)) return becomes(p, a);
        return false;
    case OP_div:
    case OP_pow:
        if (edge_is_const(b, 1) && may(p, RW_neutral)) return becomes(p, a);
        return false;
    case OP_floordiv:
        if (p->dt == DT_INT && edge_is_const(b, 1) && may(p, RW_neutral)) return becomes(p, a);
        return false;
    case OP_min:
    case OP_max:
        if (edge_eq(a, b) && may(p, RW_neutral)) return becomes(p, a);
        return false;
    case OP_and:
    case OP_or:
        for (int i = 0; i < 2; i++) {
            Edge x = p->arg[i], y = p->arg[1 - i];
            bool same = is_const(x) && (x.node->attr.value.i != 0) == (p->op == OP_and);
            if ((same || edge_eq(x, y)) && may(p, RW_neutral)) return becomes(p, y);
        }
        return false;
    default:
        return false;
    }
}

static bool annihilate(Pw *p)
{
    Edge a = p->arg[0], b = p->arg[1];
    bool zero = false;
    switch (p->op) {
    case OP_mul:
        zero = edge_is_const(a, 0) || edge_is_const(b, 0);
        break;
    case OP_sub:
        zero = edge_eq(a, b);
        break;
    case OP_div:
        zero = edge_is_const(a, 0);
        break;
    case OP_floordiv:
    case OP_mod:
        zero = p->dt == DT_INT && (edge_is_const(a, 0) || (p->op == OP_mod && edge_is_const(b, 1)));
        break;
    case OP_and:
    case OP_or:
        for (int i = 0; i < 2; i++) {
            Edge x = p->arg[i];
            bool wins = is_const(x) && (x.node->attr.value.i != 0) == (p->op == OP_or);
            if (wins && may(p, RW_annihilate)) return becomes(p, x);
        }
        return false;
    default:
        return false;
    }
    return zero && may(p, RW_annihilate) && becomes(p, fold_const(p->g, p->dt, 0));
}

/* ---- double_neg: signs move outward until they meet ---- */

static bool neg_of(Pw *p, Edge e, Edge *x)
{
    if (!edge_op(e, OP_neg)) return false;
    *x = sub_arg(p, e, 0);
    return true;
}

static bool double_neg(Pw *p)
{
    Edge a = p->arg[0], b = p->arg[1], x;
    switch (p->op) {
    case OP_not:
        if (edge_op(a, OP_not) && may(p, RW_double_neg)) return becomes(p, sub_arg(p, a, 0));
        return false;
    case OP_neg:
        if (neg_of(p, a, &x) && may(p, RW_double_neg)) return becomes(p, x);
        if (edge_op(a, OP_sub) && may(p, RW_double_neg))
            return becomes(p, bin(p, OP_sub, sub_arg(p, a, 1), sub_arg(p, a, 0)));
        return false;
    case OP_add:
        if (neg_of(p, b, &x) && may(p, RW_double_neg)) return becomes(p, bin(p, OP_sub, a, x));
        if (neg_of(p, a, &x) && may(p, RW_double_neg)) return becomes(p, bin(p, OP_sub, b, x));
        return false;
    case OP_sub:
        if (neg_of(p, b, &x) && may(p, RW_double_neg)) return becomes(p, bin(p, OP_add, a, x));
        if (neg_of(p, a, &x) && may(p, RW_double_neg))
            return becomes(p, un(p, OP_neg, bin(p, OP_add, x, b)));
        return false;
    case OP_mul:
    case OP_div:
        if (neg_of(p, a, &x) && may(p, RW_double_neg))
            return becomes(p, un(p, OP_neg, bin(p, p->op, x, b)));
        if (neg_of(p, b, &x) && may(p, RW_double_neg))
            return becomes(p, un(p, OP_neg, bin(p, p->op, a, x)));
        return false;
    default:
        return false;
    }
}

/* ---- decided, select_known ---- */

static bool decided(Pw *p)
{
    Edge a = p->arg[0], b = p->arg[1];
    if (p->op != OP_eq && p->op != OP_lt && p->op != OP_le) return false;
    if (a.node->dt != DT_INT || b.node->dt != DT_INT) return false;
    Graph *g = p->g;
    const Ix *one = ix_const(g, 1);
    const Ix *d = ix_sub(g, ix_load(g, b, p->space), ix_load(g, a, p->space)); /* b - a */
    const Ix *below = ix_sub(g, d, one);                                       /* >= 0: a < b */
    const Ix *above = ix_sub(g, ix_scale(g, d, -1), one);                      /* >= 0: a > b */
    int known = -1;
    if (p->op == OP_eq) {
        if (ix_is(d, 0))
            known = 1;
        else if (ix_proves_ge0(g, below, p->space) || ix_proves_ge0(g, above, p->space))
            known = 0;
    } else if (p->op == OP_lt) {
        if (ix_proves_ge0(g, below, p->space))
            known = 1;
        else if (ix_proves_ge0(g, ix_scale(g, d, -1), p->space))
            known = 0;
    } else {
        if (ix_proves_ge0(g, d, p->space))
            known = 1;
        else if (ix_proves_ge0(g, above, p->space))
            known = 0;
    }
    return known >= 0 && may(p, RW_decided) && becomes(p, graph_bool(g, known));
}

static bool select_known(Pw *p)
{
    if (p->op != OP_select) return false;
    Edge c = p->arg[0], a = p->arg[1], b = p->arg[2];
    if (is_const(c) && may(p, RW_select_known)) return becomes(p, c.node->attr.value.i ? a : b);
    if (edge_eq(a, b) && may(p, RW_select_known)) return becomes(p, a);
    if (edge_op(c, OP_not) && may(p, RW_select_known))
        return becomes(p, graph_select(p->g, p->space, sub_arg(p, c, 0), as(p, b), as(p, a)));
    if (edge_op(a, OP_select) && edge_eq(sub_arg(p, a, 0), c) && may(p, RW_select_known))
        return becomes(p, graph_select(p->g, p->space, c, as(p, sub_arg(p, a, 1)), as(p, b)));
    if (edge_op(b, OP_select) && edge_eq(sub_arg(p, b, 0), c) && may(p, RW_select_known))
        return becomes(p, graph_select(p->g, p->space, c, as(p, a), as(p, sub_arg(p, b, 2))));
    return false;
}

/* ---- quotients ---- */

static bool common_denominator(Pw *p)
{
    if (p->op != OP_add && p->op != OP_sub) return false;
    Edge a = p->arg[0], b = p->arg[1];
    if (!edge_op(a, OP_div) || !edge_op(b, OP_div)) return false;
    Edge z = sub_arg(p, a, 1);
    if (!edge_eq(z, sub_arg(p, b, 1)) || !may(p, RW_common_denominator)) return false;
    Edge sum = bin(p, p->op, sub_arg(p, a, 0), sub_arg(p, b, 0));
    return becomes(p, bin(p, OP_div, sum, z));
}

static bool cancel_quotient(Pw *p)
{
    Edge a = p->arg[0], b = p->arg[1];
    if (p->op == OP_mul)
        for (int i = 0; i < 2; i++) {
            Edge x = p->arg[i], y = p->arg[1 - i];
            if (edge_op(x, OP_div) && edge_eq(sub_arg(p, x, 1), y) && may(p, RW_cancel_quotient))
                return becomes(p, sub_arg(p, x, 0));
        }
    if (p->op != OP_div) return false;
    if (edge_eq(a, b) && may(p, RW_cancel_quotient)) return becomes(p, graph_float(p->g, 1));
    if (edge_op(a, OP_mul))
        for (int i = 0; i < 2; i++)
            if (edge_eq(sub_arg(p, a, i), b) && may(p, RW_cancel_quotient))
                return becomes(p, sub_arg(p, a, 1 - i));
    return false;
}

/* y/z must be older than the quotient that goes, or two quotients would replace each other for
 * ever. */
static bool reuse_quotient(Pw *p)
{
    if (p->op != OP_mul) return false;
    for (int i = 0; i < 2; i++) {
        Edge x = p->arg[i], y = p->arg[1 - i], h;
        if (!edge_op(x, OP_div)) continue;
        Edge z = sub_arg(p, x, 1);
        if (!graph_find(p->g, OP_div, p->space, (Edge[]){y, z}, &h)) continue;
        if (h.node->id < x.node->id && may(p, RW_reuse_quotient))
            return becomes(p, bin(p, OP_mul, sub_arg(p, x, 0), h));
    }
    return false;
}

static bool reuse_select(Pw *p)
{
    if (p->op != OP_mul) return false;
    for (int i = 0; i < 2; i++) {
        Edge x = p->arg[i], y = p->arg[1 - i], c, u, h;
        bool when;
        if (x.node->dt != DT_FLOAT || y.node->dt != DT_FLOAT) continue;
        if (!fold_masked(p->g, p->space, x, &c, &u, &when)) continue;
        Edge zero = fold_const(p->g, DT_FLOAT, 0);
        Edge masked[3] = {c, when ? y : zero, when ? zero : y};
        if (!graph_find(p->g, OP_select, p->space, masked, &h)) continue;
        if (h.node->id < x.node->id && may(p, RW_reuse_select))
            return becomes(p, bin(p, OP_mul, u, h));
    }
    return false;
}

/* ---- constants ---- */

static bool reciprocal(Pw *p)
{
    if (p->op != OP_div || !is_const(p->arg[1])) return false;
    double r = 1 / const_float(p->arg[1]);
    if (!isfinite(r) || r == 0 || !may(p, RW_reciprocal)) return false;
    return becomes(p, bin(p, OP_mul, as(p, p->arg[0]), graph_float(p->g, r)));
}

static bool gather_constants(Pw *p)
{
    if (p->op != OP_mul) return false;
    for (int i = 0; i < 2; i++) {
        Edge k = p->arg[i], y = p->arg[1 - i];
        if (!is_const(k) || !edge_op(y, OP_mul)) continue;
        for (int j = 0; j < 2; j++) {
            Edge c = sub_arg(p, y, j);
            if (is_const(c) && may(p, RW_gather_constants))
                return becomes(p, bin(p, OP_mul, bin(p, OP_mul, k, c), sub_arg(p, y, 1 - j)));
        }
    }
    return false;
}

static bool power(Pw *p)
{
    if (p->op != OP_pow || !is_const(p->arg[1])) return false;
    Edge x = as(p, p->arg[0]);
    double e = const_float(p->arg[1]);
    bool known = e == 0 || e == 2;
    if (p->dt == DT_FLOAT) known |= e == 0.5 || e == -0.5 || e == -1;
    if (!known || !may(p, RW_power)) return false;
    if (e == 0) return becomes(p, fold_const(p->g, p->dt, 1));
    if (e == 2) return becomes(p, bin(p, OP_mul, x, x));
    Edge y = e == -1 ? x : un(p, OP_sqrt, x);
    return becomes(p, e == 0.5 ? y : bin(p, OP_div, graph_float(p->g, 1), y));
}

bool fold_pw(Graph *g, Op op, DType dt, const Space *space, Edge *args, Edge *out)
{
    static bool (*const rows[])(Pw *) = {
        const_fold,     neutral,      annihilate,         double_neg,
        decided,        select_known, common_denominator, cancel_quotient,
        reuse_quotient, reuse_select, reciprocal,         gather_constants,
        power,
    };
    Edge arg[MAX_ARGS] = {{0}};
    memcpy(arg, args, sizeof(Edge) * (size_t)op_info[op].nargs);
    Pw p = {g, op, dt, space, arg, out};
    for (int i = 0; i < COUNT(rows); i++)
        if (rows[i](&p)) return true;
    return false;
}

/* ---- for fold_sum.c ---- */

int fold_factors(Graph *g, const Space *space, Edge e, Edge factor[MAX_FACTORS])
{
    int n = 1;
    factor[0] = e;
    for (int i = 0; i < n;) {
        Edge x = factor[i];
        if (!edge_op(x, OP_mul) || x.node->dt != DT_FLOAT) {
            i++;
        } else {
            if (n == MAX_FACTORS) return 0;
            factor[i] = edge_arg(g, x, 0, space);
            factor[n++] = edge_arg(g, x, 1, space);
        }
    }
    return n;
}

bool fold_masked(Graph *g, const Space *space, Edge e, Edge *c, Edge *a, bool *when)
{
    if (!edge_op(e, OP_select)) return false;
    Edge t = edge_arg(g, e, 1, space), f = edge_arg(g, e, 2, space);
    if (!edge_is_const(t, 0) && !edge_is_const(f, 0)) return false;
    *when = edge_is_const(f, 0);
    *a = *when ? t : f;
    *c = edge_arg(g, e, 0, space);
    return true;
}

Edge fold_mask(Graph *g, const Space *space, Edge c, Edge a, bool when)
{
    Edge zero = fold_const(g, a.node->dt, 0);
    return when ? graph_select(g, space, c, a, zero) : graph_select(g, space, c, zero, a);
}
