/* Products for the library: which sums, which operands, how they lie in memory. */
#include "pass_test.h"
#include "passes/contract.h"

static const Product *product_of(const Grouping *gs, int nth)
{
    for (int i = 0; i < gs->groups.n; i++)
        if (gs->groups.v[i].kind == GROUP_PRODUCT && nth-- == 0) return &gs->groups.v[i].product;
    fail_msg("no such product");
    return NULL;
}

static int copies(const Test *t)
{
    int n = 0;
    for (int i = 0; i < t->g->nodes.n; i++) n += t->g->nodes.v[i]->op == OP_stop;
    return n;
}

/* Every order of indices of one product is one library call without copies. */
static void any_order_of_indices(void **state)
{
    (void)state;
    static const char *const a[] = {"ik", "ki"}, *const b[] = {"kj", "jk"},
                             *const c[] = {"ij", "ji"};
    for (int v = 0; v < 8; v++) {
        Test t = graph_test();
        axis(&t, 'i', 96);
        axis(&t, 'j', 80);
        axis(&t, 'k', 64);
        const char *pa = a[v & 1], *pb = b[v >> 1 & 1], *pc = c[v >> 2];
        Edge y = product(&t, pc, "k", input(&t, "a", pa), pa, input(&t, "b", pb), pb);
        root(&t, ROOT_OUTPUT, "y", y, pc);
        Grouping *gs = group(&t);
        assert_int_equal(gs->groups.n, 1);
        assert_int_equal(products(gs), 1);
        assert_int_equal(copies(&t), 0);
        test_done(&t);
    }
}

/* Heads: y[b,t,o] = sum over h, d; weights [o, (h d)]: one product with m = (b,t), k = (h,d). */
static void merged_axes(void **state)
{
    (void)state;
    Test t = graph_test();
    free_axis(&t, 'b');
    free_axis(&t, 't');
    axis(&t, 'h', 8);
    axis(&t, 'd', 64);
    axis(&t, 'o', 512);
    axis(&t, 'e', 512);
    const Ix *hd = ix_add(t.g, ix_scale(t.g, ix_axis(t.g, 1), 64), ix_axis(t.g, 2));
    Edge w = param(&t, "w", "oe");
    Edge w3 =
        edge_comp(t.g, w, map_make(t.g, 2, (const Ix *[]){ix_axis(t.g, 0), hd}), space(&t, "ohd"));
    Edge x = input(&t, "x", "bte");
    Edge in = edge_comp(t.g, param(&t, "win", "oe"),
                        map_make(t.g, 2, (const Ix *[]){hd, ix_axis(t.g, 0)}), space(&t, "ehd"));
    Edge v = product(&t, "bhtd", "e", x, "bte", in, "ehd");
    Edge y = product(&t, "bto", "hd", pw1(&t, OP_exp, "bhtd", v, "bhtd"), "bhtd", w3, "ohd");
    root(&t, ROOT_OUTPUT, "y", y, "bto");
    Grouping *gs = group(&t);
    show(&t);
    assert_int_equal(products(gs), 2);
    assert_int_equal(loops(gs), 1);
    assert_int_equal(copies(&t), 0);
    for (int i = 0; i < 2; i++) {
        const Product *p = product_of(gs, i);
        assert_int_equal(p->nbatch, 0);
        assert_int_equal(p->nm, 2);
        assert_int_equal(p->nn + p->nk, 3);
    }
    test_done(&t);
}

/* A gathered operand is copied; a light one is stored as itself. */
static void gathered_and_light_operands(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 'i', 128);
    axis(&t, 'j', 128);
    axis(&t, 'k', 64);
    axis(&t, 'v', 1000);
    Edge pick = graph_leaf(t.g, OP_input, "pick", DT_INT, space(&t, "j"));
    graph_assume_range(t.g, pick.node, ix_const(t.g, 1000), "in the table", NO_LOC);
    const Ix *at_pick = ix_load(t.g, at(&t, pick, "j", "jk"), space(&t, "jk"));
    Edge rows =
        edge_comp(t.g, param(&t, "table", "vk"),
                  map_make(t.g, 2, (const Ix *[]){at_pick, ix_axis(t.g, 1)}), space(&t, "jk"));
    Edge x = pw1(&t, OP_tanh, "ik", input(&t, "x", "ik"), "ik");
    root(&t, ROOT_OUTPUT, "y", product(&t, "ij", "k", x, "ik", rows, "jk"), "ij");
    Grouping *gs = group(&t);
    show(&t);
    assert_int_equal(products(gs), 1);
    assert_int_equal(loops(gs), 2);
    assert_int_equal(copies(&t), 1);
    test_done(&t);
}

/* sum over k of a[i,k] * m[i,k] * b[k,j] * s[j]: m goes to a, s to b. */
static void factors_join_operands(void **state)
{
    (void)state;
    Test t = graph_test();
    t.g->rules_on = false;
    axis(&t, 'i', 128);
    axis(&t, 'j', 128);
    axis(&t, 'k', 64);
    Edge b = pw(&t, OP_mul, "kj", input(&t, "b", "kj"), "kj", input(&t, "s", "k"), "k");
    Edge mb = pw(&t, OP_mul, "ikj", input(&t, "m", "ik"), "ik", b, "kj");
    Edge y = product(&t, "ij", "k", mb, "ikj", input(&t, "a", "ik"), "ik");
    root(&t, ROOT_OUTPUT, "y", y, "ij");
    Grouping *gs = group(&t);
    show(&t);
    assert_int_equal(products(gs), 1);
    assert_true(loops(gs) <= 2);
    test_done(&t);
}

/* Too little work, no second out axis, or positions summed by one factor only: loops. */
static void small_sums_stay_loops(void **state)
{
    (void)state;
    static const struct {
        const char *out, *a, *b;
    } c[] = {{"ij", "ik", "jk"}, {"I", "IK", "K"}, {"iJ", "iK", "JK"}};
    for (int v = 0; v < 3; v++) {
        Test t = graph_test();
        axis(&t, 'i', 3);
        axis(&t, 'j', 8);
        axis(&t, 'k', 8);
        axis(&t, 'I', 512);
        axis(&t, 'J', 512);
        axis(&t, 'K', 512);
        const char *k = strchr(c[v].a, 'K') ? "K" : "k";
        Edge y = product(&t, c[v].out, k, input(&t, "a", c[v].a), c[v].a, input(&t, "b", c[v].b),
                         c[v].b);
        root(&t, ROOT_OUTPUT, "y", y, c[v].out);
        Grouping *gs = group(&t);
        assert_int_equal(products(gs), 0);
        assert_int_equal(loops(gs), 1);
        test_done(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_indices),        cmocka_unit_test(merged_axes),
        cmocka_unit_test(gathered_and_light_operands), cmocka_unit_test(factors_join_operands),
        cmocka_unit_test(small_sums_stay_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
