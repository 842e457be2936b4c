/* vjp.c: one rule per name in the VJP column of ops.def: given the cotangent of a node, what each
 * operand gets.
 *
 * A rule that the column names and this file lacks is a compile error. `none` means that the op
 * passes no gradient: ints, bools, comparisons, stop, top, floor. Rules read a node's own value
 * where that saves work.
 */
#include <math.h>
#include "passes/walk.h"

static Edge un(Vjp *v, Op op, Edge a) { return graph_pw1(v->g, op, v->space, a); }
static Edge bin(Vjp *v, Op op, Edge a, Edge b) { return graph_pw2(v->g, op, v->space, a, b); }
static Edge mul(Vjp *v, Edge a, Edge b) { return bin(v, OP_mul, a, b); }
static Edge num(Vjp *v, double x) { return graph_float(v->g, x); }
static Edge when(Vjp *v, Edge c, Edge a, Edge b) { return graph_select(v->g, v->space, c, a, b); }
/* A factor of the cotangent. */
static void scaled(Vjp *v, Edge factor) { vjp_give(v, 0, mul(v, v->c, factor)); }

/* ---- one operand ---- */

static void vjp_neg(Vjp *v) { vjp_give(v, 0, un(v, OP_neg, v->c)); }

static void vjp_abs(Vjp *v) /* 0 at 0 */
{
    Edge a = vjp_arg(v, 0), zero = num(v, 0);
    Edge below = when(v, bin(v, OP_lt, a, zero), un(v, OP_neg, v->c), zero);
    vjp_give(v, 0, when(v, bin(v, OP_lt, zero, a), v->c, below));
}

static void vjp_exp(Vjp *v) { scaled(v, vjp_value(v)); }
static void vjp_log(Vjp *v) { vjp_give(v, 0, bin(v, OP_div, v->c, vjp_arg(v, 0))); }

static void vjp_sqrt(Vjp *v) /* 0 at 0 */
{
    Edge y = vjp_value(v), zero = num(v, 0);
    Edge d = bin(v, OP_div, mul(v, v->c, num(v, 0.5)), y);
    vjp_give(v, 0, when(v, bin(v, OP_lt, zero, y), d, zero));
}

static void vjp_sin(Vjp *v) { scaled(v, un(v, OP_cos, vjp_arg(v, 0))); }
static void vjp_cos(Vjp *v)
{
    vjp_give(v, 0, un(v, OP_neg, mul(v, v->c, un(v, OP_sin, vjp_arg(v, 0)))));
}

static void vjp_tanh(Vjp *v)
{
    Edge y = vjp_value(v);
    scaled(v, bin(v, OP_sub, num(v, 1), mul(v, y, y)));
}

static void vjp_erf(Vjp *v)
{
    Edge a = vjp_arg(v, 0);
    scaled(v, mul(v, num(v, 2 / sqrt(acos(-1))), un(v, OP_exp, un(v, OP_neg, mul(v, a, a)))));
}

static void vjp_cast(Vjp *v)
{
    vjp_give(v, 0, v->c);
} /* reaches floats only: vjp_give sees to it */

/* ---- two operands ---- */

static void vjp_add(Vjp *v)
{
    vjp_give(v, 0, v->c);
    vjp_give(v, 1, v->c);
}

static void vjp_sub(Vjp *v)
{
    vjp_give(v, 0, v->c);
    if (vjp_wants(v, 1)) vjp_give(v, 1, un(v, OP_neg, v->c));
}

static void vjp_mul(Vjp *v)
{
    if (edge_eq(v->n->args[0], v->n->args[1])) {
        scaled(v, mul(v, num(v, 2), vjp_arg(v, 0)));
        return;
    }
    for (int i = 0; i < 2; i++)
        if (vjp_wants(v, i)) vjp_give(v, i, mul(v, v->c, vjp_arg(v, 1 - i)));
}

static void vjp_div(Vjp *v) /* y = a / b: 1/b, -y/b */
{
    Edge b = vjp_arg(v, 1);
    vjp_give(v, 0, bin(v, OP_div, v->c, b));
    if (vjp_wants(v, 1))
        vjp_give(v, 1, un(v, OP_neg, bin(v, OP_div, mul(v, v->c, vjp_value(v)), b)));
}

/* b * a^(b-1), but 0 where b is 0, and at a = 0 where b < 1. */
static void vjp_pow(Vjp *v)
{
    Edge zero = num(v, 0), one = num(v, 1), a = vjp_arg(v, 0), b = vjp_arg(v, 1);
    if (vjp_wants(v, 0) && !edge_is_const(b, 0)) {
        Edge d = mul(v, b, bin(v, OP_pow, a, bin(v, OP_sub, b, one)));
        Edge flat = bin(v, OP_and, bin(v, OP_eq, a, zero), bin(v, OP_lt, b, one));
        flat = bin(v, OP_or, flat, bin(v, OP_eq, b, zero));
        scaled(v, when(v, flat, zero, d));
    }
    if (!vjp_wants(v, 1)) return;
    Edge d = mul(v, vjp_value(v), un(v, OP_log, a));
    vjp_give(v, 1, mul(v, v->c, when(v, bin(v, OP_lt, zero, a), d, zero)));
}

static void choice(Vjp *v, Edge first)
{
    Edge zero = num(v, 0);
    if (vjp_wants(v, 0)) vjp_give(v, 0, when(v, first, v->c, zero));
    if (vjp_wants(v, 1)) vjp_give(v, 1, when(v, first, zero, v->c));
}
static void vjp_max(Vjp *v) { choice(v, bin(v, OP_lt, vjp_arg(v, 1), vjp_arg(v, 0))); }
static void vjp_min(Vjp *v) { choice(v, bin(v, OP_lt, vjp_arg(v, 0), vjp_arg(v, 1))); }

/* ---- choice and guarded access ---- */

static void vjp_select(Vjp *v)
{
    Edge zero = num(v, 0), c = vjp_arg(v, 0);
    if (vjp_wants(v, 1)) vjp_give(v, 1, when(v, c, v->c, zero));
    if (vjp_wants(v, 2)) vjp_give(v, 2, when(v, c, zero, v->c));
}

static void vjp_read(Vjp *v)
{
    const Guard *q = v->n->attr.guard.g;
    int n = v->n->attr.guard.n;
    if (vjp_wants(v, 0)) vjp_give(v, 0, graph_read(v->g, v->space, q, n, v->c, num(v, 0)));
    if (vjp_wants(v, 1)) vjp_give(v, 1, graph_read(v->g, v->space, q, n, num(v, 0), v->c));
}

static void vjp_branch(Vjp *v)
{
    Edge zero = num(v, 0), c = vjp_arg(v, 0);
    if (vjp_wants(v, 1)) vjp_give(v, 1, graph_branch(v->g, v->space, c, v->c, zero));
    if (vjp_wants(v, 2)) vjp_give(v, 2, graph_branch(v->g, v->space, c, zero, v->c));
}

/* ---- reductions and their relatives ---- */

static void vjp_sum(Vjp *v) { vjp_give(v, 0, v->c); }

/* The position of the largest along all reduced axes, taken as one axis in row-major order; and
 * where each position of the node's space stands on it. */
static Edge first_largest(Vjp *v, Edge e, const Ix **linear)
{
    Graph *g = v->g;
    int k = v->n->rank, n = v->space->n;
    const Ix *ext[MAX_AXES], *ix[MAX_AXES], *stride = ix_const(g, 1);
    for (int i = 0; i < k; i++) ext[i] = v->space->ext[i], ix[i] = ix_axis(g, i);
    ext[k] = space_count(g, space_slice(g, v->space, k, n));
    const Space *flat = space_make(g, k + 1, ext);
    *linear = ix_const(g, 0);
    for (int i = n - 1; i >= k; i--) {
        const Ix *at = ix_div(g, ix_axis(g, k), stride, flat);
        ix[i] = i == k ? at : ix_mod(g, at, v->space->ext[i], flat);
        *linear = ix_add(g, *linear, ix_mul(g, stride, ix_axis(g, i)));
        stride = ix_mul(g, stride, v->space->ext[i]);
    }
    e = edge_comp(g, e, map_make(g, n, ix), flat);
    Edge top = graph_top(g, flat, k, e, ix_const(g, 1));
    const Ix *first[MAX_AXES];
    for (int i = 0; i < k; i++) first[i] = ix_axis(g, i);
    first[k] = ix_const(g, 0);
    return edge_comp(g, top, map_make(g, k + 1, first), v->space);
}

static void largest(Vjp *v, Edge e)
{
    const Ix *linear;
    Edge top = first_largest(v, e, &linear);
    Edge hit = bin(v, OP_eq, top, graph_idx(v->g, linear, v->space));
    vjp_give(v, 0, when(v, hit, v->c, num(v, 0)));
}
static void vjp_rmax(Vjp *v) { largest(v, vjp_arg(v, 0)); }
static void vjp_rmin(Vjp *v) { largest(v, un(v, OP_neg, vjp_arg(v, 0))); }

/* The cotangent read at the keys; the operand's space has no keyed axes. */
static void vjp_scat(Vjp *v)
{
    Graph *g = v->g;
    const Ix *ext[MAX_AXES], *ix[MAX_AXES], *at[MAX_AXES];
    Guard guard[MAX_AXES];
    int n = 0, guards = 0;
    for (int i = 0; i < v->space->n; i++) {
        bool keyed = i < v->n->rank && v->n->attr.key[i];
        ix[i] = keyed ? ix_const(g, 0) : ix_axis(g, n);
        if (!keyed) ext[n++] = v->space->ext[i];
    }
    const Space *to = space_make(g, n, ext);
    const Map *m = map_make(g, v->space->n, ix);
    for (int i = 0; i < v->n->rank; i++) {
        const Ix *key = v->n->attr.key[i];
        at[i] = key ? ix_subst(g, key, m, to) : ix[i];
        if (key) guard[guards++] = (Guard){at[i], v->space->ext[i]};
    }
    Edge c = edge_comp(g, v->c, map_make(g, v->n->rank, at), to);
    c = graph_read(g, to, guard, guards, c, num(v, 0));
    vjp_give_over(v, 0, map_subst(g, v->n->args[0].map, m, to), to, c);
}

static void vjp_scan(Vjp *v)
{
    bool exclusive = v->n->attr.scan.exclusive, reverse = v->n->attr.scan.reverse;
    vjp_give(v, 0, graph_scan(v->g, v->space, v->n->attr.scan.axis, exclusive, !reverse, v->c));
}

#define vjp_none NULL
const VjpRule vjp_rule[OP_COUNT] = {
#define OP(name, nargs, cls, flags, dtype, vjp, fval, ival, ctext, cost) [OP_##name] = vjp_##vjp,
#include "ir/ops.def"
};
