/* The laws of gradients at points where a derivative is a choice, what passes none, and the errors.
 */
#include "tests/ir/ir_test.h"
#include "passes/grad.h"

/* The gradient of `loss` by x[3] = v, of a graph in text. */
static Graph *differentiated(Diag *d, const char *body)
{
    Str s = {.arena = diag_arena(d)};
    str_printf(&s, "rtc-ir 1\nsym n\n%%0:f[3] = param \"x\"\n%s", body);
    Graph *g = graph_of(d, s.s);
    DIAG_TRY(d)
    {
        graph_grad(g);
        graph_verify(g, "grad");
    }
    DIAG_CATCH(d) { fail_msg("%s", diag_text(d)); }
    DIAG_END(d)
    return g;
}

static void expect_law(const char *body, const double *x, const double *grad)
{
    Diag *d = diag_new();
    Graph *g = differentiated(d, body);
    const Root *r = graph_find_root(g, ROOT_GRAD, "x");
    if (!r) fail_msg("no gradient reaches x:\n%s", body);
    Eval *ev = eval_new(g, (const int64_t[]){1}, 1, 1, false);
    set(ev, g, "x", SHAPE(3), x);
    Tensor t = eval_edge(ev, r->e, r->space);
    expect_values(&t, 3, grad);
    eval_free(ev);
    graph_free(g);
    diag_free(d);
}
#define THREE(...)                                                                                 \
    (const double[]) { __VA_ARGS__ }
#define SUM(id)                                                                                    \
    "%90:f = sum over [3] %" #id "[i0]\nparam \"x\" %0\nroot output \"loss\" %90 over []\n"

static void choices(void **state)
{
    (void)state;
    /* max(x, 0) and min(x, 0): at a tie, the second */
    expect_law("%1:f = const 0\n%2:f[3] = max %0[i0], %1\n" SUM(2), THREE(-1, 0, 2),
               THREE(0, 0, 1));
    expect_law("%1:f = const 0\n%2:f[3] = max %1, %0[i0]\n" SUM(2), THREE(-1, 0, 2),
               THREE(0, 1, 1));
    expect_law("%1:f = const 0\n%2:f[3] = min %0[i0], %1\n" SUM(2), THREE(-1, 0, 2),
               THREE(1, 0, 0));
    expect_law("%1:f[3] = abs %0[i0]\n" SUM(1), THREE(-3, 0, 2), THREE(-1, 0, 1));
    /* the first largest, the first smallest */
    expect_law("%1:f = rmax over [3] %0[i0]\nparam \"x\" %0\nroot output \"loss\" %1 over []\n",
               THREE(1, 5, 5), THREE(0, 1, 0));
    expect_law("%1:f = rmin over [3] %0[i0]\nparam \"x\" %0\nroot output \"loss\" %1 over []\n",
               THREE(7, 2, 2), THREE(0, 1, 0));
}

static void at_zero(void **state)
{
    (void)state;
    expect_law("%1:f[3] = sqrt %0[i0]\n" SUM(1), THREE(0, 1, 4), THREE(0, 0.5, 0.25));
    expect_law("%1:f = const 0.5\n%2:f[3] = pow %0[i0], %1\n" SUM(2), THREE(0, 1, 4),
               THREE(0, 0.5, 0.25));
    expect_law("%1:f = const 1\n%2:f[3] = pow %0[i0], %1\n" SUM(2), THREE(0, 1, -4),
               THREE(1, 1, 1));
    expect_law("%1:f = const 2\n%2:f[3] = pow %0[i0], %1\n" SUM(2), THREE(0, 1, -4),
               THREE(0, 2, -8));
    expect_law("%1:f = const 3\n%2:f[3] = pow %0[i0], %1\n" SUM(2), THREE(0, 1, -2),
               THREE(0, 3, 12));
    expect_law("%1:f = const -1\n%2:f[3] = pow %0[i0], %1\n" SUM(2), THREE(1, 2, -4),
               THREE(-1, -0.25, -0.0625));
    /* 2^x: the exponent's part */
    expect_law("%1:f = const 2\n%2:f[3] = pow %1, %0[i0]\n" SUM(2), THREE(0, 1, 3),
               THREE(log(2), 2 * log(2), 8 * log(2)));
    /* x^x */
    expect_law("%1:f[3] = pow %0[i0], %0[i0]\n" SUM(1), THREE(1, 2, 3),
               THREE(1, 4 * (1 + log(2)), 27 * (1 + log(3))));
}

static void no_gradient(void **state)
{
    (void)state;
    static const char *const none[] = {
        "%1:f = const 0\n%2:f[3] = pow %1, %0[i0]\n" SUM(2),
        "%1:f[3] = stop %0[i0]\n" SUM(1),
        "%1:f[3] = floor %0[i0]\n" SUM(1),
        "%1:f[3] = mod %0[i0], %0[i0]\n" SUM(1),
        "%1:f[3] = floordiv %0[i0], %0[i0]\n" SUM(1),
        "%1:f = const 1\n%2:b[3] = lt %0[i0], %1\n%3:f[3] = cast %2[i0]\n" SUM(3),
        "%1:i[3] = cast %0[i0]\n%2:f[3] = cast %1[i0]\n" SUM(2),
        "%1:i[3] = top over [3] %0[i1]\n%2:f[3] = cast %1[i0]\n" SUM(2),
    };
    for (int i = 0; i < COUNT(none); i++) {
        Diag *d = diag_new();
        Graph *g = differentiated(d, none[i]);
        assert_null(graph_find_root(g, ROOT_GRAD, "x"));
        graph_free(g);
        diag_free(d);
    }
    /* a state has none, its reader has */
    Diag *d = diag_new();
    Graph *g = differentiated(
        d, "%1:f[3] = state \"s\"\n%2:f[3] = mul %0[i0], %1[i0]\n%90:f = sum over [3] %2[i0]\n"
           "param \"x\" %0\nstate \"s\" %1\nroot output \"loss\" %90 over []\n");
    assert_non_null(graph_find_root(g, ROOT_GRAD, "x"));
    assert_null(graph_find_root(g, ROOT_GRAD, "s"));
    graph_free(g);
    diag_free(d);
}

/* The rules for a product read one operand each; what no wanted leaf needs is not computed. */
static void only_what_is_needed(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(
        d,
        "rtc-ir 1\n%0:f[3] = param \"x\"\n%1:f[3] = state \"s\"\n%2:f[3] = exp %1[i0]\n"
        "%3:f[3] = mul %0[i0], %2[i0]\n%4:f = sum over [3] %3[i0]\nparam \"x\" %0\nstate \"s\" %1\n"
        "root output \"loss\" %4 over []\n");
    int before = g->nodes.n;
    graph_grad(g);
    assert_ptr_equal(graph_find_root(g, ROOT_GRAD, "x")->e.node, g->nodes.v[2]);
    graph_dce(g);
    assert_int_equal(g->nodes.n, before);
    graph_free(g);
    diag_free(d);
}

static void errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"rtc-ir 1\n", "an output named `loss`"},
        {"rtc-ir 1\n%0:f[3] = param \"x\"\nparam \"x\" %0\nroot output \"loss\" %0[i0] over [3]\n",
         "has 1 axes"},
        {"rtc-ir 1\n%0:i = const 3\nroot output \"loss\" %0 over []\n", "must be float"},
    };
    for (volatile int i = 0; i < COUNT(wrong); i++) {
        Diag *d = diag_new();
        Graph *g = graph_of(d, wrong[i].text);
        EXPECT_ERROR(d, 1, wrong[i].words, graph_grad(g));
        graph_free(g);
        diag_free(d);
    }
}

/* Every backward node says where in the program it comes from. */
static void locations(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = graph_of(
        d,
        "rtc-ir 1\nsource 1 \"m.rt\"\n%0:f[3] = param \"x\" @1:1-2\n%1:f[3] = tanh %0[i0] "
        "@1:10-14\n"
        "%2:f = sum over [3] %1[i0] @1:20-24\nparam \"x\" %0\nroot output \"loss\" %2 over []\n");
    int before = g->nodes.n;
    graph_grad(g);
    assert_true(g->nodes.n > before + 2);
    for (int i = before; i < g->nodes.n; i++) assert_int_not_equal(g->nodes.v[i]->loc.file, 0);
    const Node *grad = graph_find_root(g, ROOT_GRAD, "x")->e.node;
    assert_int_equal(grad->loc.begin, 10);
    graph_free(g);
    diag_free(d);
}

/* A wrong gradient doesn't pass the check. */
static void check_finds_mistakes(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Graph *g = differentiated(d, "%1:f[3] = sin %0[i0]\n" SUM(1));
    int n;
    Arena *a = arena_new();
    GradError *e = graph_gradcheck(g, (const int64_t[]){1}, 1, 5, a, &n);
    assert_int_equal(n, 1);
    assert_string_equal(e[0].name, "x");
    assert_int_equal(e[0].probes, 8); /* 5 directions, 3 elements */
    assert_true(e[0].max_rel < 1e-9);
    for (int i = 0; i < g->roots.n; i++)
        if (g->roots.v[i].kind == ROOT_GRAD) {
            Edge off = graph_float(g, 1e-4);
            g->roots.v[i].e = graph_pw2(g, OP_add, g->roots.v[i].space, g->roots.v[i].e,
                                        (Edge){off.node, map_make(g, 0, NULL)});
        }
    e = graph_gradcheck(g, (const int64_t[]){1}, 1, 5, a, &n);
    assert_true(e[0].max_rel > 1e-5 && fabs(e[0].max_abs - 3e-4) < 1e-6);
    arena_free(a);
    graph_free(g);
    diag_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices),
        cmocka_unit_test(at_zero),
        cmocka_unit_test(no_gradient),
        cmocka_unit_test(only_what_is_needed),
        cmocka_unit_test(errors),
        cmocka_unit_test(locations),
        cmocka_unit_test(check_finds_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
