/* Grouping: what is fused, what is stored, and that groups are legal. */
#include "pass_test.h"

static Edge softmax(Test *t, Edge s, const char *axes, const char *out, const char *j)
{
    Edge m = reduce(t, OP_rmax, out, j, s, axes);
    Edge e = pw1(t, OP_exp, axes, pw(t, OP_sub, axes, s, axes, m, out), axes);
    Edge z = reduce(t, OP_sum, out, j, e, axes);
    return pw(t, OP_div, axes, e, axes, z, out);
}

static const Member *member_of(const Grouping *gs, Op op)
{
    for (int i = 0; i < gs->groups.n; i++)
        for (int m = 0; m < gs->groups.v[i].members.n; m++)
            if (gs->groups.v[i].members.v[m].node->op == op) return &gs->groups.v[i].members.v[m];
    return NULL;
}

static void softmax_is_one_group(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 'b', 8);
    axis(&t, 'i', 128);
    axis(&t, 'j', 256);
    Edge p = softmax(&t, input(&t, "s", "bij"), "bij", "bi", "j");
    root(&t, ROOT_OUTPUT, "p", p, "bij");
    Grouping *gs = group(&t);
    show(&t);
    assert_int_equal(gs->groups.n, 1);
    assert_int_equal(gs->groups.v[0].block->n, 2);
    assert_int_equal(gs->buffers.n, 2); /* s and p: no statistics, no exponentials */
    const Member *e = member_of(gs, OP_exp);
    assert_non_null(e); /* a private row, computed once */
    assert_false(e->stored);
    test_done(&t);
}

static void layer_norm_is_one_group(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 't', 1024);
    axis(&t, 'd', 512);
    Edge x = input(&t, "x", "td"), y = input(&t, "y", "td");
    Edge r = pw(&t, OP_add, "td", x, "td", y, "td");
    Edge n = graph_float(t.g, 1.0 / 512);
    Edge mean = pw(&t, OP_mul, "t", reduce(&t, OP_sum, "t", "d", r, "td"), "t", n, "");
    Edge c = pw(&t, OP_sub, "td", r, "td", mean, "t");
    Edge var =
        pw(&t, OP_mul, "t",
           reduce(&t, OP_sum, "t", "d", pw(&t, OP_mul, "td", c, "td", c, "td"), "td"), "t", n, "");
    Edge sd = pw1(&t, OP_sqrt, "t", pw(&t, OP_add, "t", var, "t", graph_float(t.g, 1e-5), ""), "t");
    Edge out = pw(&t, OP_mul, "td", pw(&t, OP_div, "td", c, "td", sd, "t"), "td",
                  param(&t, "gain", "d"), "d");
    root(&t, ROOT_OUTPUT, "residual", r, "td");
    root(&t, ROOT_OUTPUT, "normal", out, "td");
    Grouping *gs = group(&t);
    show(&t);
    assert_int_equal(gs->groups.n, 1);
    assert_int_equal(gs->buffers.n, 5);
    test_done(&t);
}

static void attention(void **state)
{
    (void)state;
    Test t = graph_test();
    free_axis(&t, 'b');
    axis(&t, 'h', 8);
    axis(&t, 'i', 256);
    axis(&t, 'j', 256);
    axis(&t, 'd', 64);
    axis(&t, 'o', 512);
    axis(&t, 'e', 512);
    Edge x = input(&t, "x", "bie");
    Edge q = product(&t, "bhid", "e", x, "bie", param(&t, "wq", "hde"), "hde");
    Edge k =
        product(&t, "bhjd", "e", at(&t, x, "bie", "bie"), "bje", param(&t, "wk", "hde"), "hde");
    Edge v = product(&t, "bhjd", "e", x, "bje", param(&t, "wv", "hde"), "hde");
    Edge s = product(&t, "bhij", "d", q, "bhid", k, "bhjd");
    Edge p = softmax(&t, s, "bhij", "bhi", "j");
    Edge y = product(&t, "bhid", "j", p, "bhij", v, "bhjd");
    Edge o = product(&t, "bio", "hd", y, "bhid", param(&t, "wo", "ohd"), "ohd");
    root(&t, ROOT_OUTPUT, "o", o, "bio");
    Grouping *gs = group(&t);
    show(&t);
    assert_int_equal(products(gs), 4); /* q, k, v; o */
    assert_int_equal(loops(gs), 1);    /* scores, softmax, weighted sum */
    test_done(&t);
}

static void backward_of_layer_norm(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 't', 1024);
    axis(&t, 'd', 512);
    Edge x = input(&t, "x", "td"), dy = input(&t, "dy", "td");
    Edge n = graph_float(t.g, 1.0 / 512);
    Edge mean = pw(&t, OP_mul, "t", reduce(&t, OP_sum, "t", "d", x, "td"), "t", n, "");
    Edge c = pw(&t, OP_sub, "td", x, "td", mean, "t");
    Edge sq = reduce(&t, OP_sum, "t", "d", pw(&t, OP_mul, "td", c, "td", c, "td"), "td");
    Edge var =
        pw(&t, OP_add, "t", pw(&t, OP_mul, "t", sq, "t", n, ""), "t", graph_float(t.g, 1e-5), "");
    Edge h = pw(&t, OP_div, "td", c, "td", pw1(&t, OP_sqrt, "t", var, "t"), "t");
    Edge y = pw(&t, OP_add, "td", pw(&t, OP_mul, "td", h, "td", param(&t, "gain", "d"), "d"), "td",
                param(&t, "bias", "d"), "d");
    Edge loss = reduce(&t, OP_sum, "", "td", pw(&t, OP_mul, "td", y, "td", dy, "td"), "td");
    root(&t, ROOT_OUTPUT, "y", y, "td");
    root(&t, ROOT_OUTPUT, "loss", loss, "");
    Grouping *gs = differentiated(&t);
    show(&t);
    assert_true(gs->groups.n <= 6);
    test_done(&t);
}

static void backward_of_attention(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 'b', 4);
    axis(&t, 'h', 8);
    axis(&t, 'i', 256);
    axis(&t, 'j', 256);
    axis(&t, 'd', 64);
    Edge q = input(&t, "q", "bhid"), k = input(&t, "k", "bhjd"), v = input(&t, "v", "bhjd");
    Edge s = product(&t, "bhij", "d", q, "bhid", k, "bhjd");
    Edge p = softmax(&t, s, "bhij", "bhi", "j");
    Edge y = product(&t, "bhid", "j", p, "bhij", v, "bhjd");
    Edge dy = input(&t, "dy", "bhid");
    Edge loss =
        reduce(&t, OP_sum, "", "bhid", pw(&t, OP_mul, "bhid", y, "bhid", dy, "bhid"), "bhid");
    root(&t, ROOT_OUTPUT, "loss", loss, "");
    Grouping *gs = differentiated(&t);
    show(&t);
    assert_int_equal(products(gs), 0);
    assert_int_equal(loops(gs), 4); /* forward; two of the loss; s, dp, dq, dk, dv */
    test_done(&t);
}

static void backward_of_cross_entropy(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 't', 512);
    axis(&t, 'v', 4096);
    axis(&t, 'e', 128);
    Edge w = param(&t, "w", "ve");
    Edge z = product(&t, "tv", "e", input(&t, "x", "te"), "te", w, "ve");
    Edge logits = pw(&t, OP_add, "tv", z, "tv", param(&t, "b", "v"), "v");
    Edge target = graph_leaf(t.g, OP_input, "target", DT_INT, space(&t, "t"));
    graph_assume_range(t.g, target.node, ix_const(t.g, 4096), "in the vocabulary", NO_LOC);
    Edge m = reduce(&t, OP_rmax, "t", "v", logits, "tv");
    Edge e = pw1(&t, OP_exp, "tv", pw(&t, OP_sub, "tv", logits, "tv", m, "t"), "tv");
    Edge lse = pw(&t, OP_add, "t", m, "t",
                  pw1(&t, OP_log, "t", reduce(&t, OP_sum, "t", "v", e, "tv"), "t"), "t");
    const Ix *to = ix_load(t.g, at(&t, target, "t", "t"), space(&t, "t"));
    Edge picked = edge_comp(t.g, logits, map_make(t.g, 2, (const Ix *[]){ix_axis(t.g, 0), to}),
                            space(&t, "t"));
    Edge nll = pw(&t, OP_sub, "t", lse, "t", picked, "t");
    root(&t, ROOT_OUTPUT, "loss", reduce(&t, OP_sum, "", "t", nll, "t"), "");
    Grouping *gs = differentiated(&t);
    show(&t);
    assert_int_equal(products(gs), 3);
    assert_true(loops(gs) <= 5);
    test_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_is_one_group),
        cmocka_unit_test(layer_norm_is_one_group),
        cmocka_unit_test(attention),
        cmocka_unit_test(backward_of_layer_norm),
        cmocka_unit_test(backward_of_attention),
        cmocka_unit_test(backward_of_cross_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
