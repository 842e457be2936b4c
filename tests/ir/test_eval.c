/* The evaluator: known answers for every op, and the loops against the definition of an index. */
#include "tests/ir/ir_test.h"
#include "ir/philox.h"
#include "ir/rand.h"

#define NAN_ (0.0 / 0.0)

/* ---- scalar ops ---- */

typedef struct {
    Op op;
    DType dt;                /* of the operands: float or int; cast: to the other */
    double a, b, c, r;
} Known;

static const Known known[] = {
    {OP_neg, DT_FLOAT, 1.5, 0, 0, -1.5},
    {OP_neg, DT_INT, INT32_MIN, 0, 0, INT32_MIN},
    {OP_abs, DT_FLOAT, -1.5, 0, 0, 1.5},
    {OP_abs, DT_INT, -7, 0, 0, 7},
    {OP_exp, DT_FLOAT, 1, 0, 0, 2.718281828459045},
    {OP_log, DT_FLOAT, 10, 0, 0, 2.302585092994046},
    {OP_sqrt, DT_FLOAT, 2, 0, 0, 1.4142135623730951},
    {OP_sin, DT_FLOAT, 1, 0, 0, 0.8414709848078965},
    {OP_cos, DT_FLOAT, 1, 0, 0, 0.5403023058681398},
    {OP_tanh, DT_FLOAT, 0.5, 0, 0, 0.46211715726000979},
    {OP_erf, DT_FLOAT, 0.5, 0, 0, 0.52049987781304652},
    {OP_floor, DT_FLOAT, -1.5, 0, 0, -2},
    {OP_not, DT_BOOL, 1, 0, 0, 0},
    {OP_not, DT_BOOL, 0, 0, 0, 1},
    {OP_cast, DT_FLOAT, -2.9, 0, 0, -2},
    {OP_cast, DT_FLOAT, 1e30, 0, 0, INT32_MAX},
    {OP_cast, DT_FLOAT, NAN_, 0, 0, 0},
    {OP_cast, DT_INT, -3, 0, 0, -3},
    {OP_stop, DT_FLOAT, 0.25, 0, 0, 0.25},
    {OP_stop, DT_INT, 4, 0, 0, 4},
    {OP_add, DT_FLOAT, 0.5, 0.25, 0, 0.75},
    {OP_add, DT_INT, INT32_MAX, 1, 0, INT32_MIN},
    {OP_sub, DT_FLOAT, 0.5, 0.25, 0, 0.25},
    {OP_sub, DT_INT, INT32_MIN, 1, 0, INT32_MAX},
    {OP_mul, DT_FLOAT, 0.5, 0.25, 0, 0.125},
    {OP_mul, DT_INT, 65536, 65537, 0, 65536},
    {OP_div, DT_FLOAT, 1, 3, 0, 0.33333333333333331},
    {OP_floordiv, DT_FLOAT, -1, 0.4, 0, -3},
    {OP_floordiv, DT_INT, -7, 2, 0, -4},
    {OP_floordiv, DT_INT, 7, -2, 0, -4},
    {OP_floordiv, DT_INT, 7, 0, 0, 0},
    {OP_floordiv, DT_INT, INT32_MIN, -1, 0, INT32_MIN},
    {OP_mod, DT_FLOAT, -1, 0.75, 0, 0.5},
    {OP_mod, DT_INT, -7, 3, 0, 2},
    {OP_mod, DT_INT, 7, -3, 0, -2},
    {OP_mod, DT_INT, 7, 0, 0, 0},
    {OP_mod, DT_INT, INT32_MIN, -1, 0, 0},
    {OP_pow, DT_FLOAT, 2, -0.5, 0, 0.70710678118654757},
    {OP_pow, DT_INT, -3, 3, 0, -27},
    {OP_pow, DT_INT, 5, 0, 0, 1},
    {OP_min, DT_FLOAT, 1, 2, 0, 1},
    {OP_min, DT_FLOAT, NAN_, 2, 0, NAN_},
    {OP_min, DT_INT, -1, 2, 0, -1},
    {OP_max, DT_FLOAT, 1, 2, 0, 2},
    {OP_max, DT_FLOAT, 1, NAN_, 0, NAN_},
    {OP_max, DT_INT, -1, 2, 0, 2},
    {OP_eq, DT_FLOAT, 2, 2, 0, 1},
    {OP_eq, DT_FLOAT, NAN_, NAN_, 0, 0},
    {OP_eq, DT_INT, 2, 3, 0, 0},
    {OP_lt, DT_FLOAT, 1, 2, 0, 1},
    {OP_lt, DT_FLOAT, NAN_, 2, 0, 0},
    {OP_lt, DT_INT, -1, 1, 0, 1},
    {OP_le, DT_FLOAT, 2, 2, 0, 1},
    {OP_le, DT_INT, 2, 1, 0, 0},
    {OP_and, DT_BOOL, 1, 1, 0, 1},
    {OP_and, DT_BOOL, 1, 0, 0, 0},
    {OP_or, DT_BOOL, 0, 1, 0, 1},
    {OP_or, DT_BOOL, 0, 0, 0, 0},
    {OP_select, DT_FLOAT, 1, 2, 3, 2},
    {OP_select, DT_FLOAT, 0, 2, NAN_, NAN_},
    {OP_select, DT_INT, 0, 2, 3, 3},
};

/* One op on three inputs `a`, `b`, `c` of shape [t]. */
static double op_once(Diag *d, const Known *k)
{
    const OpInfo *info = &op_info[k->op];
    static const char *const dt[] = {"f", "i", "b"};
    DType out = info->dtype == RULE_BOOL ? DT_BOOL : k->dt;
    if (k->op == OP_cast) out = k->dt == DT_FLOAT ? DT_INT : DT_FLOAT;
    Str s = {.arena = diag_arena(d)};
    str_printf(&s, "rtc-ir 1\nsym t\n");
    for (int i = 0; i < info->nargs; i++)
        str_printf(&s, "%%%d:%s[t] = input \"%c\"\n", i,
                   dt[k->op == OP_select && i == 0 ? DT_BOOL : k->dt], 'a' + i);
    str_printf(&s, "%%3:%s[t] = %s", dt[out], info->name);
    for (int i = 0; i < info->nargs; i++) str_printf(&s, "%s %%%d[i0]", i ? "," : "", i);
    str_add(&s, "\n");
    for (int i = 0; i < info->nargs; i++) str_printf(&s, "input \"%c\" %%%d\n", 'a' + i, i);
    Graph *g = graph_of(d, s.s);
    Eval *ev = eval_new(g, SIZES(2), 0, 0, false);
    for (int i = 0; i < info->nargs; i++) {
        double v[2] = {0, i == 0 ? k->a : i == 1 ? k->b : k->c};
        set(ev, g, i == 0 ? "a" : i == 1 ? "b" : "c", SHAPE(2), v);
    }
    double r = at(eval_node(ev, g->nodes.v[info->nargs]), 1);
    eval_free(ev);
    graph_free(g);
    return r;
}

static void scalar_ops(void **state)
{
    (void)state;
    Diag *d = diag_new();
    bool seen[OP_COUNT] = {false};
    for (int i = 0; i < COUNT(known); i++) {
        double r = op_once(d, &known[i]);
        seen[known[i].op] = true;
        bool same = isnan(known[i].r) ? isnan(r) : fabs(r - known[i].r) <= 1e-15 * fabs(r);
        if (!same)
            fail_msg("row %d: %s is %.17g, not %.17g", i, op_info[known[i].op].name, r,
                     known[i].r);
    }
    for (int op = 0; op < OP_COUNT; op++)
        if (op_info[op].cls == CLASS_POINTWISE && !seen[op])
            fail_msg("%s has no known answer", op_info[op].name);
    diag_free(d);
}

/* ---- accesses ---- */

static void contraction(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(d, "rtc-ir 1\nsym n\nsym k\n"
                           "%0:f[n,k] = input \"a\"\n%1:f[k,n] = input \"b\"\n"
                           "%2:f[n,k,n] = mul %0[i0,i1], %1[i1,i2]\n"
                           "%3:f[n,n] = sum over [k] %2[i0,i2,i1]\n"
                           "%4:f[n,n] = rmax over [k] %2[i1,i2,i0]\n"
                           "input \"a\" %0\ninput \"b\" %1\n");
    Eval *ev = eval_new(g, SIZES(2, 3), 0, 0, false);
    set(ev, g, "a", SHAPE(2, 3), (double[]){1, 2, 3, 4, 5, 6});
    set(ev, g, "b", SHAPE(3, 2), (double[]){1, -1, 0, 2, 3, 1});
    EXPECT(eval_node(ev, g->nodes.v[3]), 10, 6, 22, 12);
    EXPECT(eval_node(ev, g->nodes.v[4]), 9, 18, 4, 10);
    set(ev, g, "b", SHAPE(3, 2), (double[]){0, 0, 0, 0, 1, 0});
    EXPECT(eval_node(ev, g->nodes.v[3]), 3, 0, 6, 0);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

/* A pseudo-random whole number in [0, n). */
static int dice(uint64_t *seed, int n)
{
    *seed = rtc_mix64(*seed);
    return (int)(*seed % (uint64_t)n);
}

/* An index into an axis of 12 over axes of 5, 4, 7: in range by its last step. */
static const Ix *random_ix(Graph *g, uint64_t *seed, const Space *s, Edge table, int depth)
{
    const Ix *a = ix_axis(g, dice(seed, 3)), *b, *c;
    if (depth == 0) return dice(seed, 4) ? a : ix_const(g, dice(seed, 5));
    b = random_ix(g, seed, s, table, depth - 1);
    c = random_ix(g, seed, s, table, depth - 1);
    switch (dice(seed, 8)) {
    case 0: return ix_add(g, b, c);
    case 1: return ix_mul(g, b, a);
    case 2: return ix_div(g, b, ix_const(g, 1 + dice(seed, 3)), s);
    case 3: return ix_mod(g, ix_sub(g, b, c), ix_sym(g, "m", NO_LOC), s);
    case 4: return ix_min(g, b, c, s);
    case 5: return ix_max(g, b, ix_sub(g, a, c), s);
    case 6:
        b = ix_mod(g, b, ix_const(g, 12), s);
        return ix_load(g, (Edge){table.node, map_make(g, 1, &b)}, s);
    default: return ix_scale(g, b, dice(seed, 7) - 3);
    }
}

static const int32_t table_values[12] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};

static int64_t table_load(void *ctx, Edge e, const int64_t *axes)
{
    return table_values[ix_eval(e.map->ix[0], &(IxEnv){ctx, axes, table_load, ctx})];
}

/* Rows of positions agree with ix_eval, position by position, for random index expressions. */
static void random_indices(void **state)
{
    (void)state;
    Diag *d = diag_new();
    uint64_t seed = 1;
    int64_t syms[1] = {3};
    double table[12];
    for (int i = 0; i < 12; i++) table[i] = table_values[i];
    for (int round = 0; round < 300; round++) {
        Graph *g = graph_new(d);
        g->rules_on = false;
        const Ix *twelve = ix_const(g, 12);
        ix_sym(g, "m", NO_LOC);
        const Space *s =
            space_make(g, 3, (const Ix *[]){ix_const(g, 5), ix_const(g, 4), ix_const(g, 7)});
        Edge t = graph_leaf(g, OP_input, "t", DT_INT, space_make(g, 1, &twelve));
        const Ix *e = ix_mod(g, random_ix(g, &seed, s, t, 3), twelve, s);
        Edge read = {t.node, map_make(g, 1, &e)};
        Edge whole = graph_pw1(g, OP_stop, s, read);
        Eval *ev = eval_new(g, syms, 0, 0, false);
        set(ev, g, "t", SHAPE(12), table);
        Tensor r = eval_edge(ev, whole, s);
        for (int64_t i = 0; i < r.count; i++) {
            int64_t axes[3] = {i / 28, i / 7 % 4, i % 7};
            int64_t want = ix_eval(e, &(IxEnv){syms, axes, table_load, syms});
            if (at(&r, i) != table_values[want])
                fail_msg("round %d: %s at %d", round, ix_text(g, e), (int)i);
        }
        eval_free(ev);
        graph_free(g);
    }
    diag_free(d);
}

/* Rows longer than one chunk, merged axes, and axes that can't merge. */
static void long_rows(void **state)
{
    (void)state;
    enum { N = 1300, M = 3 };
    Diag *d = diag_new();
    Graph *g =
        graph_of(d, "rtc-ir 1\nsym n\nsym m\n%0:f[m,n] = input \"x\"\n%1:f[n] = input \"y\"\n"
                    "%2:f[m,n] = neg %0[i0,i1]\n%3:f[m,n] = add %1[i1], %2[i0,i1]\n"
                    "%4:f[n,m] = mul %2[i1,i0], %3[i1,n-i0-1]\n"
                    "%5:f[m] = sum over [n] %4[i1,i0]\n%6:f[n] = sum over [m] %4[i0,i1]\n"
                    "%7:f = sum over [n,m] %4[i0,i1]\n"
                    "%8:f[n,m] = stop %0[((i0*m+i1)//n),((i0*m+i1)%n)]\n"
                    "input \"x\" %0\ninput \"y\" %1\n");
    static double x[M * N], y[N];
    uint64_t seed = 5;
    for (int i = 0; i < M * N; i++) x[i] = dice(&seed, 100);
    for (int i = 0; i < N; i++) y[i] = dice(&seed, 100);
    Eval *ev = eval_new(g, SIZES(N, M), 0, 0, false);
    set(ev, g, "x", SHAPE(M, N), x);
    set(ev, g, "y", SHAPE(N), y);
    const Tensor *rows = eval_node(ev, g->nodes.v[5]), *columns = eval_node(ev, g->nodes.v[6]);
    const Tensor *flat = eval_node(ev, g->nodes.v[8]);
    double all = 0, row[M] = {0};
    for (int i = 0; i < N; i++) {
        double column = 0;
        for (int j = 0; j < M; j++) {
            double v = -x[j * N + i] * (y[N - 1 - i] - x[j * N + N - 1 - i]);
            column += v;
            row[j] += v;
            assert_true(at(flat, i * M + j) == x[i * M + j]);
        }
        assert_true(at(columns, i) == column);
        all += column;
    }
    for (int j = 0; j < M; j++) assert_true(at(rows, j) == row[j]);
    assert_true(at(eval_node(ev, g->nodes.v[7]), 0) == all);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

static void guarded(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(
        d, "rtc-ir 1\nsym t\n%0:f[t] = input \"x\"\n%1:i[t] = input \"k\"\n%2:f = const 9\n"
           "%3:f[t] = read %0[i0-1] if 0 <= i0-1 < t else %2\n"
           "%4:f[t] = neg %0[i0-1]\n"
           "%5:f[t] = read %4[i0] if 0 <= i0-1 < t else %2\n"
           "%6:f[t,t] = read %0[i0+2*i1-2] if 0 <= i0+2*i1-2 < t and 0 <= i0 < 2 else %2\n"
           "%7:f[t] = read %0[%1[i0]] if 0 <= %1[i0] < t else %2\n"
           "%8:f[t] = read %0[%1[i0-1]] if 0 <= i0-1 < t and 0 <= %1[i0-1] < t else %2\n"
           "input \"x\" %0\ninput \"k\" %1\n");
    Eval *ev = eval_new(g, SIZES(3), 0, 0, false);
    const Space *s = node_shape(g, g->nodes.v[0]);
    set(ev, g, "x", SHAPE(3), (double[]){1, 2, 3});
    set(ev, g, "k", SHAPE(3), (double[]){2, -1, 5});
    EXPECT(eval_node(ev, g->nodes.v[3]), 9, 1, 2);
    Tensor hidden = eval_edge(ev, edge_identity(g, g->nodes.v[5]), s);
    EXPECT(&hidden, 9, -1, -2);
    EXPECT(eval_node(ev, g->nodes.v[6]), 9, 1, 3, 9, 2, 9, 9, 9, 9);
    EXPECT(eval_node(ev, g->nodes.v[7]), 3, 9, 9);
    Tensor chained = eval_edge(ev, edge_identity(g, g->nodes.v[8]), s);
    EXPECT(&chained, 9, 3, 9);
    EXPECT_ERROR(d, 70, "%4:f[t] = neg %0[i0-1]",
                 eval_edge(ev, edge_identity(g, g->nodes.v[4]), s));
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

/* ---- reductions and their relatives ---- */

static void empty_reductions(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(d, "rtc-ir 1\nsym t\n%0:f[t-1] = input \"x\"\n%1:i[t-1] = input "
                           "\"k\"\n%2:b[t-1] = input \"m\"\n"
                           "%3:f = sum over [t-1] %0[i0]\n%4:f = rmax over [t-1] %0[i0]\n"
                           "%5:f = rmin over [t-1] %0[i0]\n%6:i = sum over [t-1] %1[i0]\n"
                           "%7:i = rmax over [t-1] %1[i0]\n%8:i = rmin over [t-1] %1[i0]\n"
                           "%9:b = rmax over [t-1] %2[i0]\n%10:b = rmin over [t-1] %2[i0]\n"
                           "%11:f = const 2\n%12:f = sum over [t] %11\n"
                           "input \"x\" %0\ninput \"k\" %1\ninput \"m\" %2\n");
    Eval *ev = eval_new(g, SIZES(1), 0, 0, false);
    set(ev, g, "x", SHAPE(0), NULL);
    set(ev, g, "k", SHAPE(0), NULL);
    set(ev, g, "m", SHAPE(0), NULL);
    double empty[] = {0, LOWEST, -LOWEST, 0, INT32_MIN, INT32_MAX, 0, 1};
    for (int i = 0; i < COUNT(empty); i++) EXPECT(eval_node(ev, g->nodes.v[3 + i]), empty[i]);
    eval_free(ev);
    ev = eval_new(g, SIZES(4), 0, 0, false);
    set(ev, g, "x", SHAPE(3), (double[]){-3, NAN_, 5});
    set(ev, g, "k", SHAPE(3), (double[]){INT32_MAX, -3, 5});
    set(ev, g, "m", SHAPE(3), (double[]){0, 1, 0});
    double full[] = {NAN_, NAN_, NAN_, INT32_MIN + 1, INT32_MAX, -3, 1, 0, 2, 8};
    for (int i = 0; i < COUNT(full); i++) EXPECT(eval_node(ev, g->nodes.v[3 + i]), full[i]);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

static void top_ranks(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(d, "rtc-ir 1\nsym w\nsym t\n%0:f[t,2] = input \"x\"\n"
                           "%1:i[2,w] = top over [t] %0[i2,i0]\ninput \"x\" %0\n");
    double x[] = {1, 5, 2, NAN_, 2, 7, 0, NAN_, 2, -1};
    Eval *ev = eval_new(g, SIZES(4, 5), 0, 0, false);
    set(ev, g, "x", SHAPE(5, 2), x);
    EXPECT(eval_node(ev, g->nodes.v[1]), 1, 2, 4, 0, 1, 3, 2, 0);
    eval_free(ev);
    ev = eval_new(g, SIZES(6, 5), 0, 0, false);
    set(ev, g, "x", SHAPE(5, 2), x);
    EXPECT_ERROR(d, 1, "6 ranks are asked of an axis of 5 positions", eval_node(ev, g->nodes.v[1]));
    eval_free(ev);
    enum { N = 2000 };
    static double many[2 * N];
    uint64_t seed = 3;
    for (int i = 0; i < 2 * N; i++) many[i] = dice(&seed, 300);
    ev = eval_new(g, SIZES(N, N), 0, 0, false);
    set(ev, g, "x", SHAPE(N, 2), many);
    const Tensor *t = eval_node(ev, g->nodes.v[1]);
    for (int i = 1; i < N; i++) {
        int a = (int)at(t, i - 1), b = (int)at(t, i);
        assert_true(many[2 * a] > many[2 * b] || (many[2 * a] == many[2 * b] && a < b));
    }
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

static void scatter(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g =
        graph_of(d, "rtc-ir 1\nsym n\nsym t\n%0:f[2,n] = input \"x\"\n%1:i[2,n] = input \"k\"\n"
                    "%2:f[2,t] = scat over [n] %0[i0,i2] at [-,%1[i0,i2]]\n"
                    "%3:f[t,2] = scat over [2,n] %0[i2,i3] at [%1[i2,i3],1-i2]\n"
                    "%4:i[t] = scat over [n] %1[0,i1] at [i1-1]\n"
                    "input \"x\" %0\ninput \"k\" %1\n");
    Eval *ev = eval_new(g, SIZES(4, 3), 0, 0, false);
    set(ev, g, "x", SHAPE(2, 4), (double[]){1, 2, 3, 4, 5, 6, 7, 8});
    set(ev, g, "k", SHAPE(2, 4), (double[]){0, 2, 0, 3, -1, 1, 1, 2});
    EXPECT(eval_node(ev, g->nodes.v[2]), 4, 0, 2, 0, 13, 8);
    EXPECT(eval_node(ev, g->nodes.v[3]), 0, 4, 13, 0, 8, 2);
    EXPECT(eval_node(ev, g->nodes.v[4]), 2, 0, 3);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

static void scans(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(d, "rtc-ir 1\nsym n\n%0:f[n,2] = input \"x\"\n%1:i[n] = input \"k\"\n"
                           "%2:f[n,2] = scan along i0 %0[i0,i1]\n"
                           "%3:f[n,2] = scan along i0 exclusive %0[i0,i1]\n"
                           "%4:f[n,2] = scan along i0 exclusive reverse %0[i0,i1]\n"
                           "%5:f[n,2] = scan along i1 reverse %0[i0,i1]\n"
                           "%6:i[n] = scan along i0 %1[i0]\n"
                           "input \"x\" %0\ninput \"k\" %1\n");
    Eval *ev = eval_new(g, SIZES(3), 0, 0, false);
    set(ev, g, "x", SHAPE(3, 2), (double[]){1, 10, 2, 20, 3, 30});
    set(ev, g, "k", SHAPE(3), (double[]){INT32_MAX, 1, 1});
    EXPECT(eval_node(ev, g->nodes.v[2]), 1, 10, 3, 30, 6, 60);
    EXPECT(eval_node(ev, g->nodes.v[3]), 0, 0, 1, 10, 3, 30);
    EXPECT(eval_node(ev, g->nodes.v[4]), 5, 50, 3, 30, 0, 0);
    EXPECT(eval_node(ev, g->nodes.v[5]), 11, 10, 22, 20, 33, 30);
    EXPECT(eval_node(ev, g->nodes.v[6]), INT32_MAX, INT32_MIN, INT32_MIN + 1);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

static void branches_are_lazy(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(
        d, "rtc-ir 1\nsym t\n%0:b = fresh \"s\"\n%1:f[t] = state \"s\"\n%2:f[t] = input \"x\"\n"
           "%3:f[t] = neg %1[i0]\n%4:f[t] = exp %2[i0]\n"
           "%5:f[t] = branch %0, %4[i0], %3[t-i0-1]\n%6:f[t] = neg %5[i0]\n"
           "input \"x\" %2\nstate \"s\" %1\n");
    Eval *ev = eval_new(g, SIZES(2), 0, 0, true);
    set(ev, g, "x", SHAPE(2), (double[]){0, 0});
    EXPECT(eval_node(ev, g->nodes.v[6]), -1, -1);
    eval_free(ev);
    ev = eval_new(g, SIZES(2), 0, 0, false);
    set(ev, g, "s", SHAPE(2), (double[]){4, 5});
    EXPECT(eval_node(ev, g->nodes.v[6]), 5, 4);
    EXPECT_ERROR(d, 1, "input `x` has no value", eval_node(ev, g->nodes.v[4]));
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

/* ---- random numbers ---- */

static void draws(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(d, "rtc-ir 1\nsym n\n%0:f[n,3] = rand 0x00000000000000a5\n");
    Eval *ev = eval_new(g, SIZES(1000), 7, 11, false);
    const Tensor *t = eval_node(ev, g->nodes.v[0]);
    double mean = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        Philox w = philox(rtc_rand_key(7, 0xa5), (uint32_t)(i / 4), 0, 11, 0);
        double u = at(t, (int64_t)i);
        assert_true(u == philox_float(w.w[i % 4]));
        assert_true(u >= 0 && u < 1 && u * 16777216 == floor(u * 16777216));
        mean += u / 3000;
    }
    assert_true(fabs(mean - 0.5) < 0.02);
    float quad[4];
    rtc_uniform4(7, 11, 0xa5, 5, quad);
    for (int i = 0; i < 4; i++) assert_true(at(t, 20 + i) == quad[i]);
    uint64_t far = 3ull << 40, late = 1ull << 33;
    Philox w = philox(rtc_rand_key(7, 0xa5), 0, 3u << 6, 0, 2);
    assert_true(rtc_uniform(7, late, 0xa5, far + 1) == philox_float(w.w[1]));
    assert_true(rtc_uniform(7, 0, 1, 0) != rtc_uniform(7, 0, 2, 0));
    assert_true(rtc_uniform(7, 0, 1, 0) != rtc_uniform(8, 0, 1, 0));
    assert_true(rtc_uniform(7, 0, 1, 0) != rtc_uniform(7, 1, 1, 0));
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

/* ---- inputs and checks ---- */

static void inputs(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(
        d,
        "rtc-ir 1\nsym t\n%0:b[t] = input \"mask\"\n%1:i[t] = input \"x\"\n%2:b[t] = not %0[i0]\n"
        "input \"mask\" %0 optional 1\ninput \"x\" %1\n");
    Eval *ev = eval_new(g, SIZES(2), 0, 0, false);
    EXPECT(eval_node(ev, g->nodes.v[2]), 0, 0);
    set(ev, g, "mask", SHAPE(2), (double[]){0, 5});
    EXPECT(eval_node(ev, g->nodes.v[2]), 1, 0);
    EXPECT_ERROR(d, 1, "input `mask` has shape [2]; [3] was given",
                 set(ev, g, "mask", SHAPE(3), (double[]){0, 1, 2}));
    EXPECT_ERROR(d, 1, "input `x` is int; 3e+09 was given",
                 set(ev, g, "x", SHAPE(2), (double[]){0, 3e9}));
    EXPECT_ERROR(d, 1, "input `x` has no value", eval_node(ev, g->nodes.v[1]));
    eval_free(ev);
    EXPECT_ERROR(d, 1, "the size `t` is 0", eval_new(g, SIZES(0), 0, 0, false));
    graph_free(g);
    diag_free(d);
}

/* A value that is set again is seen by all that depends on it, and by nothing else; an inner node
 * that is set keeps its value. */
static void set_again(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(d, "rtc-ir 1\nsym t\n%0:f[t] = input \"x\"\n%1:f[t] = input \"y\"\n"
                           "%2:i[t] = cast %0[i0]\n%3:f[t] = neg %1[%2[i0]]\n"
                           "%4:f[t] = mul %0[i0], %3[i0]\n%5:f = sum over [t] %4[i0]\n"
                           "input \"x\" %0\ninput \"y\" %1\n");
    Eval *ev = eval_new(g, SIZES(2), 0, 0, false);
    set(ev, g, "x", SHAPE(2), (double[]){1, 0});
    set(ev, g, "y", SHAPE(2), (double[]){10, 20});
    EXPECT(eval_node(ev, g->nodes.v[5]), -20);
    set(ev, g, "x", SHAPE(2), (double[]){0.5, 1.5});
    EXPECT(eval_node(ev, g->nodes.v[5]), -35);
    Tensor pinned = {.dt = DT_INT, .rank = 1, .shape = {2}, .count = 2, .data = (int32_t[]){0, 0}};
    eval_set(ev, g->nodes.v[2], &pinned);
    EXPECT(eval_node(ev, g->nodes.v[5]), -20);
    set(ev, g, "x", SHAPE(2), (double[]){1, 1});
    EXPECT(eval_node(ev, g->nodes.v[5]), -20);
    set(ev, g, "y", SHAPE(2), (double[]){1, 20});
    EXPECT(eval_node(ev, g->nodes.v[5]), -2);
    EXPECT(eval_node(ev, g->nodes.v[2]), 0, 0);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

static void checks(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g =
        graph_of(d, "rtc-ir 1\nsym b\nsym t\n%0:i[b,t] = input \"x\"\n%1:b = input \"ok\"\n"
                    "input \"x\" %0\ninput \"ok\" %1\n"
                    "check eq0 (t%4) \"time is cut into windows of 4\"\n"
                    "check ge0 t-b \"batch is too large\"\n"
                    "check range %0[i0,i1] over [b,t] < 256 \"a token is not in the vocabulary\"\n"
                    "check true %1 \"not ok\"\n");
    double x[16] = {0};
    Eval *ev = eval_new(g, SIZES(1, 6), 0, 0, false);
    EXPECT_ERROR(d, 1,
                 "time is cut into windows of 4\nwith b = 1, t = 6, `(t%4)` is 2; it must be 0\n",
                 eval_checks(ev));
    eval_free(ev);
    ev = eval_new(g, SIZES(9, 8), 0, 0, false);
    EXPECT_ERROR(d, 1,
                 "batch is too large\nwith b = 9, t = 8, `-b+t` is -1; it must be at least 0\n",
                 eval_checks(ev));
    eval_free(ev);
    ev = eval_new(g, SIZES(2, 8), 0, 0, false);
    x[11] = 300;
    set(ev, g, "x", SHAPE(2, 8), x);
    set(ev, g, "ok", NULL, 0, (double[]){0});
    EXPECT_ERROR(d, 1, "input `x` holds 300 at [1,3], outside 0..255\n", eval_checks(ev));
    x[11] = 255;
    set(ev, g, "x", SHAPE(2, 8), x);
    EXPECT_ERROR(d, 1, "not ok\nwith b = 2, t = 8\n", eval_checks(ev));
    set(ev, g, "ok", NULL, 0, (double[]){1});
    eval_checks(ev);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_ops),
        cmocka_unit_test(contraction),
        cmocka_unit_test(random_indices),
        cmocka_unit_test(long_rows),
        cmocka_unit_test(guarded),
        cmocka_unit_test(empty_reductions),
        cmocka_unit_test(top_ranks),
        cmocka_unit_test(scatter),
        cmocka_unit_test(scans),
        cmocka_unit_test(branches_are_lazy),
        cmocka_unit_test(draws),
        cmocka_unit_test(inputs),
        cmocka_unit_test(set_again),
        cmocka_unit_test(checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
