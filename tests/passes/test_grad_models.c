/* Gradients of whole pieces of models with free sizes: right, and as few nodes as mathematics
 * needs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/passes/pass_test.h"
#include "passes/grad.h"

/* Axes named by letters: b batch, t time (free); the others fixed. */
static Test model_new(void)
{
    Test t = graph_test();
    free_axis(&t, 'b');
    free_axis(&t, 't');
    t.ext['j'] = t.ext['u'] = t.ext['t'];
    axis(&t, 'd', 3);
    axis(&t, 'e', 3);
    axis(&t, 'h', 2);
    axis(&t, 'c', 4);
    axis(&t, 'w', 4);
    axis(&t, 'r', 2);
    return t;
}

static Edge num(Test *t, double v) { return graph_float(t->g, v); }

/* Weighs the value, sums it to `loss`, differentiates, verifies and checks. */
static void finish(Test *t, Edge y, const char *axes, int64_t b, int64_t n)
{
    Edge w = leaf(t, OP_state, "weight", axes);
    Edge loss = reduce(t, OP_sum, "", axes, pw(t, OP_mul, axes, y, axes, w, axes), axes);
    root(t, ROOT_OUTPUT, "loss", loss, "");
    DIAG_TRY(t->d)
    {
        graph_rewrite(t->g, NULL, NULL);
        graph_grad(t->g);
        graph_dce(t->g);
        graph_verify(t->g, "grad");
        for (int round = 0; round < 2; round++) {
            int rows;
            const GradError *e =
                graph_gradcheck(t->g, (const int64_t[]){b, n}, 3, 6, t->u.arena, &rows);
            assert_true(rows > 0);
            for (int i = 0; i < rows; i++)
                if (!(e[i].max_rel < 1e-6))
                    fail_msg("%s is off by %g (%g)", e[i].name, e[i].max_abs, e[i].max_rel);
            graph_rewrite(t->g, NULL, NULL);
            graph_verify(t->g, "rewriting");
        }
    }
    DIAG_CATCH(t->d) { fail_msg("%s", diag_text(t->d)); }
    DIAG_END(t->d)
    if (getenv("RTC_SHOW")) {
        Str s = {.arena = t->u.arena};
        graph_print(t->g, &s);
        fputs(s.s, stderr);
    }
}

static int ops(const Test *t, Op op)
{
    int n = 0;
    for (int i = 0; i < t->g->nodes.n; i++) n += t->g->nodes.v[i]->op == op;
    return n;
}

static Edge softmax(Test *t, const char *out, const char *red, Edge s)
{
    char all[16];
    snprintf(all, sizeof all, "%s%s", out, red);
    Edge m = reduce(t, OP_rmax, out, red, s, all);
    Edge e = pw1(t, OP_exp, all, pw(t, OP_sub, all, s, all, m, out), all);
    return pw(t, OP_div, all, e, all, reduce(t, OP_sum, out, red, e, all), out);
}

/* Causal attention over heads, with dropout: sums in backward are the four products and one row
 * sum. */
static void attention(void **state)
{
    (void)state;
    Test m = model_new(), *t = &m;
    Edge q = param(t, "q", "bhtd"), k = param(t, "k", "bhjd"), v = param(t, "v", "bhjd");
    Edge s = product(t, "bhtj", "d", q, "bhtd", k, "bhjd");
    s = pw(t, OP_mul, "bhtj", s, "bhtj", num(t, 0.5), "");
    const Space *tj = space(t, "tj");
    Edge seen = graph_pw2(t->g, OP_le, tj, graph_idx(t->g, ix_axis(t->g, 1), tj),
                          graph_idx(t->g, ix_axis(t->g, 0), tj));
    s = graph_select(t->g, space(t, "bhtj"), at(t, seen, "tj", "bhtj"), s, num(t, LOWEST));
    Edge p = softmax(t, "bht", "j", s), u = graph_rand(t->g, 5, space(t, "bhtj"));
    Edge keep = graph_pw2(t->g, OP_le, space(t, "bhtj"), num(t, 0.25), u);
    p = graph_select(t->g, space(t, "bhtj"), keep,
                     pw(t, OP_mul, "bhtj", p, "bhtj", num(t, 4 / 3.), ""), num(t, 0));
    Edge o = product(t, "bhtd", "j", p, "bhtj", v, "bhjd");
    finish(t, o, "bhtd", 2, 5);
    assert_int_equal(ops(t, OP_top), 0); /* the max gets no gradient */
    assert_int_equal(ops(t, OP_scat), 0);
    /* s, z, o; dv, dp, dq, dk; the row sum do . o; the loss */
    assert_int_equal(ops(t, OP_sum), 9);
    assert_true(t->g->hits[RW_sum_exchange] > 0);
    assert_true(t->g->hits[RW_sum_cancel] > 0);
    test_done(t);
}

/* A softmax over what a condition lets through: row 0 has nothing to choose from, its gradient is
 * 0. */
static void guarded_attention(void **state)
{
    (void)state;
    Test m = model_new(), *t = &m;
    Graph *g = t->g;
    const Space *tj = space(t, "tj"), *btj = space(t, "btj"), *bt = space(t, "bt");
    Edge s = product(t, "btj", "d", param(t, "q", "btd"), "btd", param(t, "k", "bjd"), "bjd");
    Edge before =
        graph_pw2(g, OP_lt, tj, graph_idx(g, ix_axis(g, 1), tj), graph_idx(g, ix_axis(g, 0), tj));
    before = at(t, before, "tj", "btj");
    Edge top =
        reduce(t, OP_rmax, "bt", "j", graph_select(g, btj, before, s, num(t, LOWEST)), "btj");
    Edge x = graph_select(g, btj, before, s, num(t, LOWEST));
    Edge e = pw1(t, OP_exp, "btj", pw(t, OP_sub, "btj", x, "btj", top, "bt"), "btj");
    e = graph_select(g, btj, before, e, num(t, 0));
    Edge z = reduce(t, OP_sum, "bt", "j", e, "btj");
    Edge one = graph_select(g, bt, graph_pw2(g, OP_lt, bt, num(t, 0), z), num(t, 0), num(t, 1));
    Edge p = pw(t, OP_div, "btj", e, "btj", pw(t, OP_add, "bt", z, "bt", one, "bt"), "bt");
    finish(t, product(t, "btd", "j", p, "btj", param(t, "v", "bjd"), "bjd"), "btd", 2, 4);
    assert_int_equal(ops(t, OP_top), 0);
    test_done(t);
}

/* Logits of tokens, log-softmax, the target's. */
static void cross_entropy(void **state)
{
    (void)state;
    Test m = model_new(), *t = &m;
    Edge x = param(t, "x", "btd"), w = param(t, "w", "dc");
    Edge s = product(t, "btc", "d", x, "btd", w, "dc");
    Edge top = reduce(t, OP_rmax, "bt", "c", s, "btc");
    Edge z = reduce(t, OP_sum, "bt", "c",
                    pw1(t, OP_exp, "btc", pw(t, OP_sub, "btc", s, "btc", top, "bt"), "btc"), "btc");
    Edge lse = pw(t, OP_add, "bt", pw1(t, OP_log, "bt", z, "bt"), "bt", top, "bt");
    Edge target = graph_leaf(t->g, OP_input, "target", DT_INT, space(t, "bt"));
    graph_assume_range(t->g, target.node, t->ext['c'], "a class", NO_LOC);
    const Ix *ix[3] = {ix_axis(t->g, 0), ix_axis(t->g, 1), ix_load(t->g, target, space(t, "bt"))};
    Edge hit = edge_comp(t->g, s, map_make(t->g, 3, ix), space(t, "bt"));
    finish(t, pw(t, OP_sub, "bt", lse, "bt", hit, "bt"), "bt", 2, 3);
    assert_int_equal(ops(t, OP_top), 0);
    /* dlogits = p - [c == target]: no scatter of a single position */
    assert_int_equal(ops(t, OP_scat), 0);
    test_done(t);
}

static void layer_norm(void **state)
{
    (void)state;
    Test m = model_new(), *t = &m;
    Edge x = param(t, "x", "btd"), g = param(t, "g", "d"), b = param(t, "b", "d");
    Edge mean = pw(t, OP_div, "bt", reduce(t, OP_sum, "bt", "d", x, "btd"), "bt", num(t, 3), "");
    Edge c = pw(t, OP_sub, "btd", x, "btd", mean, "bt");
    Edge var = reduce(t, OP_sum, "bt", "d", pw(t, OP_mul, "btd", c, "btd", c, "btd"), "btd");
    var =
        pw(t, OP_add, "bt", pw(t, OP_div, "bt", var, "bt", num(t, 3), ""), "bt", num(t, 1e-5), "");
    Edge y = pw(t, OP_div, "btd", c, "btd", pw1(t, OP_sqrt, "bt", var, "bt"), "bt");
    y = pw(t, OP_add, "btd", pw(t, OP_mul, "btd", y, "btd", g, "d"), "btd", b, "d");
    finish(t, y, "btd", 2, 3);
    assert_in_range(t->g->nodes.n, 20, 50);
    test_done(t);
}

/* Routed: the best positions of each cluster attend to each other, results are averaged where they
 * came from. */
static void routed(void **state)
{
    (void)state;
    Test m = model_new(), *t = &m;
    Graph *g = t->g;
    Edge q = param(t, "q", "btd"), v = param(t, "v", "btd"),
         means = leaf(t, OP_state, "means", "cd");
    Edge sim = product(t, "bct", "d", pw1(t, OP_stop, "btd", q, "btd"), "btd", means, "cd");
    const Ix *two = ix_const(g, 2);
    Edge top = graph_top(g, space(t, "bct"), 2, sim, two); /* [b, c, 2] */
    axis(t, 'i', 2);
    axis(t, 'k', 2);
    const Space *bci = space(t, "bci"), *bcid = space(t, "bcid");
    const Ix *at_i[3] = {ix_axis(g, 0), ix_load(g, edge_comp(g, top, map_identity(g, 3), bci), bci),
                         ix_axis(g, 3)};
    at_i[1] = ix_subst(g, at_i[1], map_identity(g, 3), bcid);
    Edge qi = edge_comp(g, q, map_make(g, 3, at_i), bcid),
         vi = edge_comp(g, v, map_make(g, 3, at_i), bcid);
    Edge s = product(t, "bcik", "d", qi, "bcid", pw1(t, OP_sin, "bcid", qi, "bcid"), "bckd");
    Edge p = softmax(t, "bci", "k", s), o = product(t, "bcid", "k", p, "bcik", vi, "bckd");
    /* out[b,t,d] = sum over c,i of o where top[b,c,i] == t, over (count + 1e-5) */
    const Space *back = space(t, "btdci");
    const Ix *perm[3] = {ix_axis(g, 0), ix_axis(g, 3), ix_axis(g, 4)};
    const Ix *key = ix_load(g, edge_comp(g, top, map_make(g, 3, perm), back), back);
    Edge y = graph_scat(g, back, 3, at(t, o, "bcid", "btdci"), (const Ix *[]){NULL, key, NULL});
    const Space *count = space(t, "btci");
    const Ix *perm2[3] = {ix_axis(g, 0), ix_axis(g, 2), ix_axis(g, 3)};
    key = ix_load(g, edge_comp(g, top, map_make(g, 3, perm2), count), count);
    Edge n = graph_scat(g, count, 2, num(t, 1), (const Ix *[]){NULL, key});
    y = pw(t, OP_div, "btd", y, "btd", pw(t, OP_add, "bt", n, "bt", num(t, 1e-5), ""), "bt");
    finish(t, y, "btd", 2, 5);
    assert_int_equal(ops(t, OP_top), 1);  /* routed once */
    assert_int_equal(ops(t, OP_scat), 5); /* y, count, dq as query and as key, dv */
    test_done(t);
}

/* Local attention: each window looks at itself and the one before; keys of no window are masked. */
static void local(void **state)
{
    (void)state;
    Test m = model_new(), *t = &m;
    Graph *g = t->g;
    const Ix *w = t->ext['w'], *time = ix_mul(g, w, t->ext['t']);
    const Space *btd = space_make(g, 3, (const Ix *[]){t->ext['b'], time, t->ext['d']});
    t->ext['n'] = t->ext['t'];
    t->ext['y'] = ix_scale(g, w, 2);
    const Space *over = space(t, "bnwyd");
    Edge q = graph_leaf(g, OP_param, "q", DT_FLOAT, btd),
         k = graph_leaf(g, OP_param, "k", DT_FLOAT, btd);
    Edge v = graph_leaf(g, OP_param, "v", DT_FLOAT, btd), zero = num(t, 0);
    const Ix *row = ix_add(g, ix_mul(g, w, ix_axis(g, 1)), ix_axis(g, 2));
    const Ix *col = ix_sub(g, ix_add(g, ix_mul(g, w, ix_axis(g, 1)), ix_axis(g, 3)), w);
    const Map *mq = map_make(g, 3, (const Ix *[]){ix_axis(g, 0), row, ix_axis(g, 4)});
    const Map *mk = map_make(g, 3, (const Ix *[]){ix_axis(g, 0), col, ix_axis(g, 4)});
    Edge qi = graph_access(g, over, btd, q, mq, NULL),
         kj = graph_access(g, over, btd, k, mk, &zero);
    Edge vj = graph_access(g, over, btd, v, mk, &zero);
    Edge s = graph_reduce(g, OP_sum, over, 4, graph_pw2(g, OP_mul, over, qi, kj));
    const Space *nwy = space(t, "bnwy");
    Edge mask = graph_pw2(g, OP_le, nwy, graph_idx(g, col, nwy), graph_idx(g, row, nwy));
    mask = graph_pw2(g, OP_and, nwy, mask,
                     graph_pw2(g, OP_le, nwy, graph_int(g, 0), graph_idx(g, col, nwy)));
    s = graph_select(g, nwy, mask, s, num(t, LOWEST));
    Edge p = softmax(t, "bnw", "y", s);
    const Space *bnwdy = space(t, "bnwdy");
    const Ix *swap[5] = {ix_axis(g, 0), ix_axis(g, 1), ix_axis(g, 2), ix_axis(g, 4), ix_axis(g, 3)};
    vj = edge_comp(g, vj, map_make(g, 5, swap), bnwdy);
    Edge o = graph_reduce(g, OP_sum, bnwdy, 4,
                          graph_pw2(g, OP_mul, bnwdy, at(t, p, "bnwy", "bnwdy"), vj));
    finish(t, o, "bnwd", 2, 3);
    assert_int_equal(ops(t, OP_scat), 0); /* windows overlap affinely */
    assert_int_equal(ops(t, OP_top), 0);
    test_done(t);
}

/* x[i ^ 1] with signs, twice: rotary positions. */
static void rotary(void **state)
{
    (void)state;
    Test m = model_new(), *t = &m;
    Graph *g = t->g;
    axis(t, 'p', 3);
    const Space *tdr = space(t, "tpr"),
                *full = space_make(g, 2, (const Ix *[]){t->ext['t'], ix_const(g, 6)});
    Edge x = graph_leaf(g, OP_param, "x", DT_FLOAT, full), c = input(t, "cos", "tp"),
         s = input(t, "sin", "tp");
    const Ix *pair = ix_scale(g, ix_axis(g, 1), 2);
    const Map *same = map_make(g, 2, (const Ix *[]){ix_axis(g, 0), ix_add(g, pair, ix_axis(g, 2))});
    const Map *flip = map_make(
        g, 2,
        (const Ix *[]){ix_axis(g, 0), ix_add(g, pair, ix_sub(g, ix_const(g, 1), ix_axis(g, 2)))});
    Edge first = graph_pw2(g, OP_eq, tdr, graph_idx(g, ix_axis(g, 2), tdr), graph_int(g, 0));
    Edge xf = edge_comp(g, x, flip, tdr),
         turned = graph_select(g, tdr, first, graph_pw1(g, OP_neg, tdr, xf), xf);
    Edge y = pw(t, OP_add, "tpr", pw(t, OP_mul, "tpr", edge_comp(g, x, same, tdr), "tpr", c, "tp"),
                "tpr", pw(t, OP_mul, "tpr", turned, "tpr", s, "tp"), "tpr");
    finish(t, y, "tpr", 1, 4);
    assert_int_equal(ops(t, OP_sum), 3); /* dcos, dsin, the loss; dx is pointwise */
    assert_int_equal(ops(t, OP_scat), 0);
    test_done(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention),     cmocka_unit_test(guarded_attention),
        cmocka_unit_test(cross_entropy), cmocka_unit_test(layer_norm),
        cmocka_unit_test(routed),        cmocka_unit_test(local),
        cmocka_unit_test(rotary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
