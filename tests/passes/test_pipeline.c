/* The driver: pipelines as text, their errors, order of passes, statistics, dumps, outputs,
 * plugins. */
#include "pass_test.h"

static Test layer(void)
{
    Test t = graph_test();
    axis(&t, 'i', 64);
    axis(&t, 'k', 64);
    axis(&t, 'o', 64);
    Edge w = param(&t, "w", "ok");
    Edge y = product(&t, "io", "k", input(&t, "x", "ik"), "ik", w, "ok");
    root(&t, ROOT_OUTPUT, "y", pw1(&t, OP_tanh, "io", y, "io"), "io");
    Edge sq = pw(&t, OP_mul, "io", y, "io", y, "io");
    root(&t, ROOT_OUTPUT, "loss", reduce(&t, OP_sum, "", "io", sq, "io"), "");
    return t;
}

static const char *failure(Test *t, const char *pipeline)
{
    DIAG_TRY(t->d) { pipeline_run(&t->u, pipeline); }
    DIAG_CATCH(t->d) { return diag_text(t->d); }
    DIAG_END(t->d)
    return "";
}

static void errors_say_what_to_write(void **state)
{
    (void)state;
    static const struct {
        const char *pipeline, *says;
    } c[] = {
        {"simplfy", "did you mean `simplify`?"},
        {"simplify,qqqqqqqqqq", "passes: simplify grad dce"},
        {"group", "pass `group` needs contractions: put `contract` before it"},
        {"contract,grad,group", "pass `grad` must come before `contract`"},
        {"contract,simplify", "pass `simplify` must come before `contract`"},
        {"group-none,dce", "pass `dce` must come before `group-none`"},
        {"grad,grad", "pass `grad` must come before `grad`"},
    };
    for (int i = 0; i < COUNT(c); i++) {
        Test t = layer();
        const char *text = failure(&t, c[i].pipeline);
        if (!strstr(text, c[i].says)) fail_msg("%s: %s", c[i].pipeline, text);
        assert_int_equal(t.u.stats.n, 0); /* nothing ran */
        test_done(&t);
    }
}

typedef struct {
    int n;
    char first[16];
} Dumps;

static void count_dump(void *ctx, const char *pass, const char *text)
{
    Dumps *d = ctx;
    if (!d->n++) snprintf(d->first, sizeof d->first, "%s", pass);
    assert_non_null(strstr(text, "root output \"y\""));
}

static void statistics_and_dumps(void **state)
{
    (void)state;
    Test t = layer();
    Dumps dumps = {0};
    t.u.want_grad = t.u.verify_each = true;
    t.u.dump = count_dump;
    t.u.dump_ctx = &dumps;
    t.u.dump_after = "grad";
    assert_string_equal(failure(&t, pipeline_default), "");
    assert_int_equal(dumps.n, 1);
    assert_string_equal(dumps.first, "grad");
    assert_int_equal(t.u.stats.n, 10);
    const PassStat *grad = &t.u.stats.v[2];
    assert_string_equal(grad->name, "grad");
    assert_true(grad->nodes_after > grad->nodes_before);
    assert_true(grad->rewrites > 0);
    assert_non_null(t.u.groups);
    assert_non_null(graph_find_root(t.g, ROOT_GRAD, "w"));
    test_done(&t);
    Test other = layer();
    other.u.dump_after = "group";
    assert_non_null(strstr(failure(&other, "simplify"), "doesn't run it"));
    test_done(&other);
}

static void only_wanted_outputs(void **state)
{
    (void)state;
    Test t = layer();
    t.u.outputs = (const char *const[]){"loss"};
    t.u.noutputs = 1;
    assert_string_equal(failure(&t, pipeline_default), "");
    assert_int_equal(t.g->roots.n, 1);
    for (int i = 0; i < t.g->nodes.n; i++) assert_int_not_equal(t.g->nodes.v[i]->op, OP_tanh);
    test_done(&t);
    Test bad = layer();
    bad.u.outputs = (const char *const[]){"los"};
    bad.u.noutputs = 1;
    assert_non_null(strstr(failure(&bad, "dce"), "did you mean `loss`?"));
    test_done(&bad);
}

/* A budget of rewrites is what --bisect narrows down: with none left, nothing is rewritten. */
static void budget_stops_rewriting(void **state)
{
    (void)state;
    int64_t rewrites[2];
    for (int i = 0; i < 2; i++) {
        Test t = layer();
        t.u.want_grad = true;
        if (i) t.g->budget = 0;
        assert_string_equal(failure(&t, "simplify,grad,simplify"), "");
        rewrites[i] = 0;
        for (int p = 0; p < t.u.stats.n; p++) rewrites[i] += t.u.stats.v[p].rewrites;
        test_done(&t);
    }
    assert_true(rewrites[0] > 0);
    assert_int_equal(rewrites[1], 0);
}

static void unfused_keeps_every_node(void **state)
{
    (void)state;
    Test t = layer();
    t.u.verify_each = true;
    assert_string_equal(failure(&t, "simplify,dce,group-none"), "");
    Grouping *gs = t.u.groups;
    for (int i = 0; i < gs->groups.n; i++) assert_int_equal(gs->groups.v[i].members.n, 1);
    for (int i = 0; i < t.g->nodes.n; i++)
        if (t.g->nodes.v[i]->op == OP_tanh || t.g->nodes.v[i]->op == OP_sum)
            assert_true(gs->buffer_of[i] >= 0);
    test_done(&t);
}

static void missing_plugin(void **state)
{
    (void)state;
    Test t = layer();
    PassRegistry none = {.arena = t.u.arena};
    const char *volatile text = "";
    DIAG_TRY(t.d) { pipeline_load(t.d, &none, "/nonexistent/plugin.so"); }
    DIAG_CATCH(t.d) { text = diag_text(t.d); }
    DIAG_END(t.d)
    assert_non_null(strstr(text, "can't load the plugin"));
    test_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_say_what_to_write), cmocka_unit_test(statistics_and_dumps),
        cmocka_unit_test(only_wanted_outputs),      cmocka_unit_test(budget_stops_rewriting),
        cmocka_unit_test(unfused_keeps_every_node), cmocka_unit_test(missing_plugin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
