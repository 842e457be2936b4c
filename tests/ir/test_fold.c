/* Identities: for every row of rules.def an expression where it applies, one where it must not, and
 * the same values as with all rules off. A row without both kinds of case fails. */
#include "tests/ir/ir_test.h"

typedef struct {
    Graph *g;
    const Ix *n, *m;  /* free sizes; the values below are 3 and 4 */
    const Space *nm;  /* [n, m] */
    const Space *out; /* of the result; [n, m] unless a case says otherwise */
} Make;

#define C(v) ix_const(k->g, v)
#define X(i) ix_axis(k->g, i)
#define SPACE(...)                                                                                 \
    space_make(k->g, COUNT(((const Ix *[]){__VA_ARGS__})), (const Ix *[]){__VA_ARGS__})
#define MAP(...) map_make(k->g, COUNT(((const Ix *[]){__VA_ARGS__})), (const Ix *[]){__VA_ARGS__})

static Edge leaf(Make *k, const char *name, DType dt, const Space *shape)
{
    return graph_leaf(k->g, OP_input, name, dt, shape);
}
static Edge fx(Make *k, const char *name) { return leaf(k, name, DT_FLOAT, k->nm); }
static Edge ix(Make *k, const char *name) { return leaf(k, name, DT_INT, k->nm); }
static Edge bx(Make *k, const char *name) { return leaf(k, name, DT_BOOL, k->nm); }
static Edge row(Make *k, const char *name) { return leaf(k, name, DT_FLOAT, SPACE(k->n)); }
static Edge op1(Make *k, Op op, Edge a) { return graph_pw1(k->g, op, k->nm, a); }
static Edge op2(Make *k, Op op, Edge a, Edge b) { return graph_pw2(k->g, op, k->nm, a, b); }
static Edge num(Make *k, double v) { return graph_float(k->g, v); }
static Edge sel(Make *k, Edge c, Edge a, Edge b) { return graph_select(k->g, k->nm, c, a, b); }
static Edge sum(Make *k, const Space *s, int nout, Edge e)
{
    return graph_reduce(k->g, OP_sum, s, nout, e);
}
static Edge row_sum(Make *k, Edge e) { return sum(k, k->nm, 1, e); }
static Edge pos(Make *k, int axis) { return graph_idx(k->g, X(axis), k->nm); }
static Edge over(Make *k, const Space *out, Edge e)
{
    k->out = out;
    return e;
}
static Edge rows_of(Make *k, Edge e) { return over(k, SPACE(k->n), e); }

/* ---- pointwise ---- */

static Edge const_fold_yes(Make *k)
{
    Edge e = op2(k, OP_mul, num(k, 3), op1(k, OP_exp, num(k, 0)));
    return op2(k, OP_add, fx(k, "x"), e);
}
static Edge const_fold_no(Make *k) /* not a number: computed where it is written */
{
    return op2(k, OP_add, fx(k, "x"), op2(k, OP_max, op1(k, OP_log, num(k, 0)), num(k, -5)));
}
static Edge neutral_yes(Make *k)
{
    Edge x = fx(k, "x"), c = bx(k, "c");
    x = op2(k, OP_add, op2(k, OP_sub, x, num(k, 0)), num(k, 0));
    x = op2(k, OP_pow, op2(k, OP_div, op2(k, OP_mul, num(k, 1), x), num(k, 1)), num(k, 1));
    c = op2(k, OP_and, op2(k, OP_or, graph_bool(k->g, false), c), graph_bool(k->g, true));
    return sel(k, op2(k, OP_and, c, c), op2(k, OP_max, x, x), op2(k, OP_sub, num(k, 0), x));
}
static Edge neutral_no(Make *k)
{
    return op2(k, OP_mul, op2(k, OP_sub, num(k, 1), fx(k, "x")),
               op2(k, OP_max, fx(k, "x"), fx(k, "y")));
}
static Edge annihilate_yes(Make *k)
{
    Edge x = fx(k, "x"), c = bx(k, "c");
    Edge never = op2(k, OP_and, c, graph_bool(k->g, false)),
         ever = op2(k, OP_or, graph_bool(k->g, true), c);
    Edge zero = op2(k, OP_add, op2(k, OP_mul, x, num(k, 0)), op2(k, OP_sub, x, x));
    return sel(k, never, x, sel(k, ever, zero, x));
}
static Edge annihilate_no(Make *k) /* positions differ */
{
    Edge x = leaf(k, "s", DT_FLOAT, SPACE(k->n, k->n));
    const Space *s = SPACE(k->n, k->n);
    return over(k, s, graph_pw2(k->g, OP_sub, s, x, edge_comp(k->g, x, MAP(X(1), X(0)), s)));
}
static Edge double_neg_yes(Make *k)
{
    Edge x = fx(k, "x"), y = fx(k, "y"), minus = op1(k, OP_neg, y);
    Edge a = op2(k, OP_add, x, minus), b = op2(k, OP_sub, minus, x), c = op1(k, OP_neg, minus);
    Edge d = op1(k, OP_neg, op2(k, OP_sub, x, y)), e = op2(k, OP_mul, minus, op1(k, OP_neg, x));
    Edge f = op1(k, OP_not, op1(k, OP_not, bx(k, "c"))), h = op2(k, OP_add, minus, x);
    return sel(k, f, op2(k, OP_mul, a, op2(k, OP_mul, b, c)),
               op2(k, OP_mul, d, op2(k, OP_mul, e, h)));
}
static Edge double_neg_no(Make *k) { return op1(k, OP_neg, op1(k, OP_abs, fx(k, "x"))); }
static Edge decided_yes(Make *k)
{
    Edge last = graph_idx(k->g, ix_sub(k->g, k->m, C(1)), k->nm),
         far = graph_idx(k->g, k->m, k->nm);
    Edge in = op2(k, OP_le, pos(k, 1), last), out = op2(k, OP_eq, pos(k, 1), far);
    Edge below = op2(k, OP_lt, far, pos(k, 1));
    return sel(k, in, sel(k, op2(k, OP_or, out, below), num(k, 7), fx(k, "x")), num(k, 5));
}
static Edge decided_no(Make *k)
{
    return sel(k, op2(k, OP_le, pos(k, 1), pos(k, 0)),
               sel(k, op2(k, OP_eq, ix(k, "i"), pos(k, 1)), num(k, 1), fx(k, "x")),
               sel(k, op2(k, OP_lt, fx(k, "x"), fx(k, "x")), num(k, 2), num(k, 3)));
}
static Edge select_known_yes(Make *k)
{
    Edge x = fx(k, "x"), y = fx(k, "y"), c = bx(k, "c");
    Edge a = sel(k, graph_bool(k->g, true), x, y), b = sel(k, c, y, y);
    Edge d = sel(k, op1(k, OP_not, c), x, y),
         e = sel(k, c, sel(k, c, x, num(k, 2)), sel(k, c, num(k, 2), y));
    return op2(k, OP_add, op2(k, OP_mul, a, b), op2(k, OP_mul, d, e));
}
static Edge select_known_no(Make *k)
{
    return sel(k, bx(k, "c"), fx(k, "x"), sel(k, bx(k, "d"), fx(k, "x"), fx(k, "y")));
}
static Edge away(Make *k, const char *name) /* from 0 */
{
    return op2(k, OP_add, op2(k, OP_mul, fx(k, name), fx(k, name)), num(k, 0.5));
}
static Edge common_denominator_yes(Make *k)
{
    Edge z = away(k, "z"), a = op2(k, OP_div, fx(k, "x"), z), b = op2(k, OP_div, fx(k, "y"), z);
    return op2(k, OP_mul, op2(k, OP_add, a, b), op2(k, OP_sub, b, a));
}
static Edge common_denominator_no(Make *k)
{
    return op2(k, OP_add, op2(k, OP_div, fx(k, "x"), away(k, "z")),
               op2(k, OP_div, fx(k, "y"), away(k, "w")));
}
static Edge cancel_quotient_yes(Make *k)
{
    Edge z = away(k, "z"), x = fx(k, "x");
    Edge a = op2(k, OP_mul, op2(k, OP_div, x, z), z), b = op2(k, OP_div, op2(k, OP_mul, z, x), z);
    return op2(k, OP_add, op2(k, OP_mul, a, b), op2(k, OP_div, z, z));
}
static Edge cancel_quotient_no(Make *k)
{
    return op2(k, OP_mul, op2(k, OP_div, fx(k, "x"), away(k, "z")), away(k, "w"));
}
static Edge reuse_quotient_yes(Make *k) /* e * (d / z) where p = e / z is there: d * p */
{
    Edge z = away(k, "z"), e = fx(k, "e"), p = op2(k, OP_div, e, z);
    return op2(k, OP_add, p, op2(k, OP_mul, e, op2(k, OP_div, fx(k, "d"), z)));
}
static Edge reuse_quotient_no(Make *k) /* the other one is older */
{
    Edge z = away(k, "z"), q = op2(k, OP_div, fx(k, "d"), z);
    return op2(k, OP_mul, fx(k, "e"), q);
}
static Edge reuse_select_yes(Make *k)
{
    Edge c = bx(k, "c"), zero = num(k, 0), p = sel(k, c, fx(k, "e"), zero);
    return op2(k, OP_add, p, op2(k, OP_mul, fx(k, "e"), sel(k, c, fx(k, "d"), zero)));
}
static Edge reuse_select_no(Make *k)
{
    Edge c = bx(k, "c"), p = sel(k, c, fx(k, "e"), num(k, 1));
    return op2(k, OP_add, p, op2(k, OP_mul, fx(k, "e"), sel(k, c, fx(k, "d"), num(k, 0))));
}
static Edge reciprocal_yes(Make *k) { return op2(k, OP_div, fx(k, "x"), num(k, 8)); }
static Edge reciprocal_no(Make *k)
{
    return op2(k, OP_min, num(k, 9),
               op2(k, OP_div, op2(k, OP_div, num(k, 8), away(k, "x")), num(k, 1e-320)));
}
static Edge gather_constants_yes(Make *k)
{
    return op2(k, OP_mul, num(k, 3), op2(k, OP_mul, fx(k, "x"), num(k, 0.5)));
}
static Edge gather_constants_no(Make *k)
{
    return op2(k, OP_mul, num(k, 3), op2(k, OP_add, fx(k, "x"), num(k, 0.5)));
}
static Edge power_yes(Make *k)
{
    Edge x = away(k, "x"), s = num(k, 0);
    static const double e[] = {2, 0.5, -0.5, -1, 0};
    for (int i = 0; i < COUNT(e); i++) s = op2(k, OP_add, s, op2(k, OP_pow, x, num(k, e[i])));
    return s;
}
static Edge power_no(Make *k)
{
    return op2(k, OP_add, op2(k, OP_pow, away(k, "x"), num(k, 3)),
               op2(k, OP_pow, num(k, 2), fx(k, "y")));
}

/* ---- under a sum ---- */

static Edge sum_invariant_yes(Make *k)
{
    Edge a = row_sum(k, row(k, "r"));
    return rows_of(k, graph_pw2(k->g, OP_mul, SPACE(k->n), a,
                                graph_reduce(k->g, OP_rmax, k->nm, 1, row(k, "r"))));
}
static Edge sum_invariant_no(Make *k) { return rows_of(k, row_sum(k, fx(k, "x"))); }
static Edge sum_hoist_yes(Make *k)
{
    Edge x = fx(k, "x"), z = leaf(k, "r", DT_FLOAT, SPACE(k->n));
    z = op2(k, OP_add, op2(k, OP_mul, z, z), num(k, 1));
    Edge a = row_sum(k, op2(k, OP_mul, num(k, 3), op2(k, OP_mul, z, x))),
         b = row_sum(k, op2(k, OP_div, x, z));
    return rows_of(k, graph_pw2(k->g, OP_add, SPACE(k->n), op2(k, OP_mul, a, b),
                                row_sum(k, op1(k, OP_neg, x))));
}
static Edge sum_hoist_no(Make *k)
{
    return rows_of(k, row_sum(k, op2(k, OP_mul, fx(k, "x"), fx(k, "y"))));
}

/* p[i,j] * v[j,d] with a third factor that has p's axes: it joins p. */
static Edge contraction(Make *k, Edge mask_or_none, bool masked)
{
    const Ix *w = C(5);
    const Space *s = SPACE(k->n, w, k->m);
    Edge p = edge_comp(k->g, fx(k, "p"), MAP(X(0), X(2)), s);
    Edge v = edge_comp(k->g, leaf(k, "v", DT_FLOAT, SPACE(k->m, w)), MAP(X(2), X(1)), s);
    Edge e = graph_pw2(k->g, OP_mul, s, p, v);
    if (mask_or_none.node) {
        Edge m = edge_comp(k->g, mask_or_none, MAP(X(0), X(2)), s);
        e = masked ? graph_select(k->g, s, m, e, num(k, 0)) : graph_pw2(k->g, OP_mul, s, e, m);
    }
    return sum(k, s, 2, e);
}
static Edge sum_factors_yes(Make *k)
{
    const Space *s = SPACE(k->n, C(5));
    return over(k, s,
                graph_pw2(k->g, OP_mul, s, contraction(k, fx(k, "q"), false),
                          contraction(k, bx(k, "c"), true)));
}
static Edge sum_factors_no(Make *k)
{
    return over(k, SPACE(k->n, C(5)), contraction(k, (Edge){0}, false));
}

static Edge softmax(Make *k, Edge x)
{
    Edge e = op1(k, OP_exp, x);
    return op2(k, OP_div, e, row_sum(k, e));
}
/* sum p * (v - sum p v), for a softmax over what c lets through: perhaps nothing. */
static Edge guarded_softmax(Make *k, Edge x)
{
    Edge c = op2(k, OP_and, bx(k, "c"), op2(k, OP_lt, pos(k, 0), graph_int(k->g, 2)));
    Edge e = sel(k, c, op1(k, OP_exp, x), num(k, 0)), z = row_sum(k, e);
    Edge some = op2(k, OP_lt, num(k, 0), z);
    return op2(k, OP_div, e, op2(k, OP_add, z, sel(k, some, num(k, 0), num(k, 1))));
}
static Edge sum_cancel_yes(Make *k)
{
    Edge v = fx(k, "v"), r[2], p[2] = {softmax(k, fx(k, "x")), guarded_softmax(k, fx(k, "x"))};
    for (int i = 0; i < 2; i++) {
        Edge d = row_sum(k, op2(k, OP_mul, p[i], v));
        r[i] = row_sum(k, op2(k, OP_mul, p[i], op2(k, OP_sub, v, d)));
    }
    return rows_of(k, op2(k, OP_add, r[0], r[1]));
}
static Edge sum_cancel_no(Make *k) /* e does not sum to 1 */
{
    Edge p = op1(k, OP_exp, fx(k, "x")), v = fx(k, "v"), d = row_sum(k, op2(k, OP_mul, p, v));
    return rows_of(k, row_sum(k, op2(k, OP_mul, p, op2(k, OP_sub, v, d))));
}

/* Attention's row sum: o = sum_j p v, dp = sum_d do v, D = sum_j f dp. */
static Edge row_sum_of(Make *k, bool same, double scale)
{
    Graph *g = k->g;
    const Ix *w = C(5);
    const Space *nwm = SPACE(k->n, w, k->m), *nmw = SPACE(k->n, k->m, w), *nw = SPACE(k->n, w);
    Edge p = softmax(k, fx(k, "x")), v = leaf(k, "v", DT_FLOAT, SPACE(k->m, w)),
         dout = leaf(k, "do", DT_FLOAT, nw);
    Edge c = bx(k, "c");
    p = op2(k, OP_mul, sel(k, c, p, num(k, 0)), num(k, scale));
    Edge o = sum(k, nwm, 2,
                 graph_pw2(g, OP_mul, nwm, edge_comp(g, p, MAP(X(0), X(2)), nwm),
                           edge_comp(g, v, MAP(X(2), X(1)), nwm)));
    Edge dp = sum(k, nmw, 2,
                  graph_pw2(g, OP_mul, nmw, edge_comp(g, dout, MAP(X(0), X(2)), nmw),
                            edge_comp(g, v, MAP(X(1), X(2)), nmw)));
    Edge d = row_sum(k, op2(k, OP_mul, dp, same ? p : op1(k, OP_abs, p)));
    return rows_of(k, graph_pw2(g, OP_add, SPACE(k->n), d, sum(k, nw, 1, o)));
}
static Edge sum_exchange_yes(Make *k) { return row_sum_of(k, true, 1.25); }
static Edge sum_exchange_no(Make *k) { return row_sum_of(k, false, 1); }

static Edge sum_choice_yes(Make *k)
{
    const Space *rows = SPACE(k->n);
    Edge x = fx(k, "x"), zero = num(k, 0), at = leaf(k, "at", DT_INT, rows), one = num(k, 1);
    Edge hit = op2(k, OP_eq, pos(k, 1), at),
         a = row_sum(k, sel(k, hit, x, zero)); /* may be outside */
    Edge b = row_sum(k, sel(k, op2(k, OP_and, bx(k, "c"), hit), x, zero));
    Edge c = row_sum(k, op2(k, OP_mul, sel(k, hit, one, zero), x)); /* one-hot */
    const Space *two = SPACE(k->n, C(2));
    Edge y = leaf(k, "y", DT_FLOAT, two),
         second = graph_pw2(k->g, OP_eq, two, graph_idx(k->g, X(1), two), graph_int(k->g, 1));
    Edge d = sum(k, two, 1, graph_select(k->g, two, second, zero, y)); /* the other one */
    Edge e = sum(k, two, 1, graph_select(k->g, two, second, y, zero));
    Edge s = graph_pw2(k->g, OP_add, rows, a, graph_pw2(k->g, OP_mul, rows, num(k, 3), b));
    s = graph_pw2(k->g, OP_add, rows, s, graph_pw2(k->g, OP_mul, rows, num(k, 7), c));
    s = graph_pw2(k->g, OP_add, rows, s, graph_pw2(k->g, OP_mul, rows, num(k, 5), d));
    return rows_of(k,
                   graph_pw2(k->g, OP_add, rows, s, graph_pw2(k->g, OP_mul, rows, num(k, 2), e)));
}
static Edge
sum_choice_no(Make *k) /* not one position: the int varies along the summed axis; or 1 elsewhere */
{
    Edge hit = op2(k, OP_eq, pos(k, 1), ix(k, "i"));
    Edge a = row_sum(k, sel(k, hit, fx(k, "x"), num(k, 0)));
    Edge b = row_sum(k, sel(k, op2(k, OP_eq, pos(k, 1), pos(k, 0)), fx(k, "x"), num(k, 1)));
    return rows_of(k, graph_pw2(k->g, OP_add, SPACE(k->n), a, b));
}

/* ---- under a scat ---- */

static Edge scat(Make *k, const Space *s, Edge e, const Ix *key)
{
    return graph_scat(k->g, s, 1, e, &key);
}
/* [5 keyed, n, m]: x over n, m; the key over n, or over n and m. */
static Edge scattered(Make *k, bool both)
{
    const Space *s = SPACE(C(5), k->n, k->m);
    Edge x = edge_comp(k->g, fx(k, "x"), MAP(X(1), X(2)), s);
    Edge key = both ? edge_comp(k->g, ix(k, "i"), MAP(X(1), X(2)), s)
                    : edge_comp(k->g, leaf(k, "at", DT_INT, SPACE(k->n)), MAP(X(1)), s);
    return over(k, SPACE(C(5)), scat(k, s, x, ix_load(k->g, key, s)));
}
static Edge scat_unkeyed_yes(Make *k) { return scattered(k, false); }
static Edge scat_unkeyed_no(Make *k) { return scattered(k, true); }
static Edge scat_keyless_yes(Make *k)
{
    const Space *s = SPACE(C(5));
    Edge x = leaf(k, "s", DT_FLOAT, space_make(k->g, 0, NULL)),
         at = leaf(k, "one", DT_INT, space_make(k->g, 0, NULL));
    return over(k, s, scat(k, s, x, ix_load(k->g, at, s)));
}
static Edge scat_keyless_no(Make *k) { return scattered(k, true); }

/* Memory slots stand before the sequence: the cotangent of what is scattered is 0 for them. */
static Edge after_slots(Make *k, bool zero_first)
{
    const Ix *len = ix_add(k->g, k->n, C(2));
    const Space *s = SPACE(C(5), len);
    Edge x = leaf(k, "r", DT_FLOAT, SPACE(k->n)), fill = num(k, zero_first ? 0 : 1);
    Edge at = edge_comp(k->g, leaf(k, "long", DT_INT, SPACE(len)), MAP(X(1)), s);
    Guard slots = {X(1), C(2)}, rest = {ix_sub(k->g, X(1), C(2)), k->n};
    Edge body = edge_comp(k->g, x, MAP(ix_sub(k->g, X(1), C(2))), s);
    Edge a = scat(k, s, graph_read(k->g, s, &slots, 1, fill, body), ix_load(k->g, at, s));
    Edge b = scat(k, s, graph_read(k->g, s, &rest, 1, body, fill), ix_load(k->g, at, s));
    return over(k, SPACE(C(5)), graph_pw2(k->g, OP_mul, SPACE(C(5)), a, b));
}
static Edge scat_shift_yes(Make *k) { return after_slots(k, true); }
static Edge scat_shift_no(Make *k) { return after_slots(k, false); }

/* ---- the table ---- */

typedef Edge (*Build)(Make *);
static const struct {
    Rewrite rule;
    Build yes, no;
} cases[] = {
#define RULE(name, text) {RW_##name, name##_yes, name##_no},
#include "ir/rules.def"
};

static Graph *built(Diag *d, Build build, bool rules)
{
    Graph *g = graph_new(d);
    Make make = {.g = g, .n = ix_sym(g, "n", NO_LOC), .m = ix_sym(g, "m", NO_LOC)}, *k = &make;
    k->out = k->nm = SPACE(make.n, make.m);
    g->rules_on = rules;
    DIAG_TRY(d)
    {
        Edge e = build(k);
        graph_root(g, ROOT_OUTPUT, "y", e, k->out, NO_LOC);
        graph_verify(g, "building");
    }
    DIAG_CATCH(d) { fail_msg("%s", diag_text(d)); }
    DIAG_END(d)
    return g;
}

static Tensor value(Eval *ev, Graph *g)
{
    IxEnv env = {.syms = (const int64_t[]){3, 4}};
    for (int i = 0; i < g->inputs.n; i++) {
        Node *n = g->inputs.v[i].node;
        double v[64];
        Tensor t = {.dt = DT_FLOAT, .rank = n->rank, .count = 1, .data = v};
        for (int j = 0; j < n->rank; j++) t.count *= t.shape[j] = ix_eval(n->space->ext[j], &env);
        for (int j = 0; j < t.count; j++) {
            double x = sin(3 * j + 7 * n->attr.leaf.name[0]);
            v[j] = n->dt == DT_FLOAT ? x : n->dt == DT_BOOL ? x > 0 : (j * 5 + 1) % 7;
        }
        eval_set(ev, n, &t);
    }
    const Root *r = graph_find_root(g, ROOT_OUTPUT, "y");
    return eval_edge(ev, r->e, r->space);
}

static void expect_equal(Graph *a, Graph *b, const char *what)
{
    Eval *ea = eval_new(a, SIZES(3, 4), 1, 1, false), *eb = eval_new(b, SIZES(3, 4), 1, 1, false);
    Tensor x = value(ea, a), y = value(eb, b);
    assert_int_equal(x.count, y.count);
    for (int64_t i = 0; i < x.count; i++)
        if (!(fabs(at(&x, i) - at(&y, i)) <= 1e-12 * (1 + fabs(at(&y, i)))))
            fail_msg("%s: element %d is %.17g, without rules %.17g", what, (int)i, at(&x, i),
                     at(&y, i));
    eval_free(ea);
    eval_free(eb);
}

static void run(Rewrite rule, Build build, bool applies)
{
    Diag *d = diag_new();
    Graph *on = built(d, build, true), *off = built(d, build, false);
    if ((on->hits[rule] > 0) != applies)
        fail_msg("%s is applied %d times", rewrite_name[rule], (int)on->hits[rule]);
    for (int i = 0; i < RW_COUNT; i++) assert_int_equal(off->hits[i], 0);
    expect_equal(on, off, rewrite_name[rule]);
    graph_rewrite(on, NULL, NULL);
    graph_verify(on, "rewriting");
    expect_equal(on, off, rewrite_name[rule]);
    graph_free(on);
    graph_free(off);
    diag_free(d);
}

static void every_rule(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(cases); i++) {
        run(cases[i].rule, cases[i].yes, true);
        run(cases[i].rule, cases[i].no, false);
    }
}

/* What the rules are for: the node that should not be there is not there. */
static void effects(void **state)
{
    (void)state;
    static const struct {
        Build build;
        Op gone;
    } effect[] = {
        {sum_cancel_yes, OP_sub}, {scat_keyless_yes, OP_scat}, {sum_choice_yes, OP_sum},
        {power_yes, OP_pow},      {reciprocal_yes, OP_div},    {annihilate_yes, OP_select},
    };
    for (int i = 0; i < COUNT(effect); i++) {
        Diag *d = diag_new();
        Graph *g = built(d, effect[i].build, true);
        graph_dce(g);
        for (int j = 0; j < g->nodes.n; j++)
            if (g->nodes.v[j]->op == effect[i].gone)
                fail_msg("case %d still has a %s", i, op_info[effect[i].gone].name);
        graph_free(g);
        diag_free(d);
    }
}

/* A rule that is switched off is not applied; a budget stops all of them after that many: for
 * bisecting. */
static void switches(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_new(d);
    Make make = {.g = g, .n = ix_const(g, 3), .m = ix_const(g, 4)}, *k = &make;
    k->nm = SPACE(make.n, make.m);
    Edge x = fx(k, "x");
    g->rule_off = 1ull << RW_neutral;
    assert_false(edge_eq(op2(k, OP_add, x, num(k, 0)), x));
    g->rule_off = 0;
    g->budget = 1;
    assert_true(edge_eq(op2(k, OP_sub, x, num(k, 0)), x));
    assert_false(edge_eq(op2(k, OP_mul, x, num(k, 1)), x));
    assert_int_equal(g->budget, 0);
    assert_int_equal(g->hits[RW_neutral], 1);
    graph_free(g);
    diag_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule),
        cmocka_unit_test(effects),
        cmocka_unit_test(switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
