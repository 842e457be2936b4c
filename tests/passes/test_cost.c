/* FLOPs and bytes of groups, and what `explain` says of them. */
#include "pass_test.h"
#include "passes/explain.h"

static void product_and_epilogue(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 'i', 128);
    axis(&t, 'j', 256);
    axis(&t, 'k', 64);
    Edge y = product(&t, "ij", "k", input(&t, "a", "ik"), "ik", input(&t, "b", "kj"), "kj");
    root(&t, ROOT_OUTPUT, "y", pw1(&t, OP_tanh, "ij", y, "ij"), "ij");
    Grouping *gs = group(&t);
    assert_int_equal(gs->groups.n, 2);
    Cost c = group_cost(&t.u, &gs->groups.v[0], NULL);
    assert_int_equal(c.flops, 2 * 128 * 256 * 64);
    assert_int_equal(c.bytes_read, 4 * (128 * 64 + 64 * 256));
    assert_int_equal(c.bytes_written, 4 * 128 * 256);
    c = group_cost(&t.u, &gs->groups.v[1], NULL);
    assert_int_equal(c.flops, 128 * 256);
    assert_int_equal(c.bytes_read, 4 * 128 * 256);
    test_done(&t);
}

/* A gather counts the elements it reads, not the table. */
static void gathered_rows(void **state)
{
    (void)state;
    Test t = graph_test();
    free_axis(&t, 't');
    axis(&t, 'v', 5000);
    axis(&t, 'd', 32);
    Edge ids = graph_leaf(t.g, OP_input, "ids", DT_INT, space(&t, "t"));
    graph_assume_range(t.g, ids.node, ix_const(t.g, 5000), "in the table", NO_LOC);
    const Ix *row = ix_load(t.g, at(&t, ids, "t", "td"), space(&t, "td"));
    const Ix *ix[] = {row, ix_axis(t.g, 1)};
    Edge x = edge_comp(t.g, param(&t, "table", "vd"), map_make(t.g, 2, ix), space(&t, "td"));
    root(&t, ROOT_OUTPUT, "y", pw1(&t, OP_exp, "td", x, "td"), "td");
    Grouping *gs = group(&t);
    Cost c = group_cost(&t.u, &gs->groups.v[0], (const int64_t[]){100});
    assert_int_equal(c.bytes_read, 4 * (100 * 32 + 100));
    assert_int_equal(c.bytes_written, 4 * 100 * 32);
    test_done(&t);
}

static void explained(void **state)
{
    (void)state;
    Test t = graph_test();
    static const char text[] = "let m = max s\nlet e = exp(s - m)\nlet y = e / sum e\n";
    uint32_t file = diag_source(t.d, "softmax.rt", text, sizeof text - 1);
    axis(&t, 'i', 512);
    axis(&t, 'j', 512);
    Edge s = input(&t, "s", "ij");
    t.g->loc = (Loc){file, 0, 13};
    Edge m = reduce(&t, OP_rmax, "i", "j", s, "ij");
    t.g->loc = (Loc){file, 14, 32};
    Edge e = pw1(&t, OP_exp, "ij", pw(&t, OP_sub, "ij", s, "ij", m, "i"), "ij");
    t.g->loc = (Loc){file, 33, 50};
    Edge y = pw(&t, OP_div, "ij", e, "ij", reduce(&t, OP_sum, "i", "j", e, "ij"), "i");
    root(&t, ROOT_OUTPUT, "y", y, "ij");
    root(&t, ROOT_UPDATE, "column", reduce(&t, OP_sum, "j", "i", y, "ij"), "j");
    group(&t);
    Explain *x = explain_make(&t.u, NULL);
    assert_int_equal(x->kernels.n, 2);
    assert_int_equal(x->kernels.v[0].lines.n, 1);
    assert_string_equal(x->kernels.v[0].lines.v[0].file, "softmax.rt");
    assert_int_equal(x->kernels.v[0].lines.v[0].first, 1);
    assert_int_equal(x->kernels.v[0].lines.v[0].last, 3);
    assert_int_equal(x->kernels.v[1].phase, PHASE_UPDATE);
    assert_int_equal(x->stored.n, 3);
    int fused = 0, apart = 0;
    for (int i = 0; i < x->pairs.n; i++) {
        fused += x->pairs.v[i].fused;
        if (x->pairs.v[i].fused) continue;
        apart++;
        assert_string_equal(x->pairs.v[i].reason, "different phases of the step");
        assert_string_equal(x->pairs.v[i].from_text, "softmax.rt:3 div");
    }
    assert_true(fused >= 4);
    assert_int_equal(apart, 1);
    Str table = {.arena = t.u.arena}, dot = {.arena = t.u.arena};
    explain_print(&t.u, x, &table);
    explain_dot(&t.u, x, &dot);
    assert_non_null(strstr(table.s, "softmax.rt:1-3"));
    assert_non_null(strstr(table.s, "2 kernels"));
    assert_non_null(strstr(dot.s, "g0 -> g1"));
    test_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_and_epilogue),
        cmocka_unit_test(gathered_rows),
        cmocka_unit_test(explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
