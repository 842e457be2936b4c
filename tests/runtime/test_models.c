/* Pieces of models with their gradients on the cpu device, fused and not, against the evaluator. */
#include "exec_test.h"
#include "runtime/cc.h"

static void model_axes(Test *t)
{
    free_axis(t, 'b');
    free_axis(t, 't');
    t->ext['j'] = t->ext['u'] = t->ext['t'];
    axis(t, 'd', 24);
    axis(t, 'e', 40);
    axis(t, 'h', 3);
    axis(t, 'c', 5);
    axis(t, 'w', 8);
}

static Edge num(Test *t, double v) { return graph_float(t->g, v); }

static void finish(Test *t, Edge y, const char *axes)
{
    Edge w = input(t, "weight", axes);
    root(t, ROOT_OUTPUT, "y", y, axes);
    root(t, ROOT_OUTPUT, "loss",
         reduce(t, OP_sum, "", axes, pw(t, OP_mul, axes, y, axes, w, axes), axes), "");
}

static Edge softmax(Test *t, const char *out, const char *red, Edge s)
{
    char all[16];
    snprintf(all, sizeof all, "%s%s", out, red);
    Edge m = reduce(t, OP_rmax, out, red, s, all);
    Edge e = pw1(t, OP_exp, all, pw(t, OP_sub, all, s, all, m, out), all);
    return pw(t, OP_div, all, e, all, reduce(t, OP_sum, out, red, e, all), out);
}

/* Causal attention over heads with dropout. */
static void attention(Test *t, const void *arg)
{
    (void)arg;
    model_axes(t);
    Edge q = input(t, "q", "bhtd"), k = input(t, "k", "bhjd"), v = input(t, "v", "bhjd");
    Edge s = pw(t, OP_mul, "bhtj", product(t, "bhtj", "d", q, "bhtd", k, "bhjd"), "bhtj",
                num(t, 0.2), "");
    const Space *tj = space(t, "tj"), *all = space(t, "bhtj");
    Edge seen = graph_pw2(t->g, OP_le, tj, graph_idx(t->g, ix_axis(t->g, 1), tj),
                          graph_idx(t->g, ix_axis(t->g, 0), tj));
    s = graph_select(t->g, all, at(t, seen, "tj", "bhtj"), s, num(t, LOWEST));
    Edge p = softmax(t, "bht", "j", s), u = graph_rand(t->g, 5, all);
    Edge keep = graph_pw2(t->g, OP_le, all, num(t, 0.25), u);
    p = graph_select(t->g, all, keep, pw(t, OP_mul, "bhtj", p, "bhtj", num(t, 4 / 3.), ""),
                     num(t, 0));
    finish(t, product(t, "bhtd", "j", p, "bhtj", v, "bhjd"), "bhtd");
}

/* Embedding, layer norm, logits, log-softmax, the target's: mean over positions; an auxiliary
 * output. */
static void language_model(Test *t, const void *arg)
{
    (void)arg;
    model_axes(t);
    Graph *g = t->g;
    const Space *bt = space(t, "bt"), *btd = space(t, "btd"), *none = space(t, "");
    Edge x = graph_leaf(g, OP_input, "x", DT_INT, bt),
         target = graph_leaf(g, OP_input, "target", DT_INT, bt);
    graph_assume_range(g, x.node, t->ext['e'], "x is no token", NO_LOC);
    graph_assume_range(g, target.node, t->ext['e'], "target is no token", NO_LOC);
    Edge table = param(t, "embed", "ed"), head = param(t, "head", "ed"),
         gain = param(t, "gain", "d"), bias = param(t, "bias", "d");
    const Ix *row[] = {ix_load(g, at(t, x, "bt", "btd"), btd), ix_axis(g, 2)};
    Edge h = edge_comp(g, table, map_make(g, 2, row), btd);
    Edge mean =
        pw(t, OP_mul, "bt", reduce(t, OP_sum, "bt", "d", h, "btd"), "bt", num(t, 1 / 24.), "");
    Edge c = pw(t, OP_sub, "btd", h, "btd", mean, "bt");
    Edge var = reduce(t, OP_sum, "bt", "d", pw(t, OP_mul, "btd", c, "btd", c, "btd"), "btd");
    var = pw(t, OP_add, "bt", pw(t, OP_mul, "bt", var, "bt", num(t, 1 / 24.), ""), "bt",
             num(t, 1e-5), "");
    Edge y = pw(t, OP_div, "btd", c, "btd", pw1(t, OP_sqrt, "bt", var, "bt"), "bt");
    y = pw(t, OP_add, "btd", pw(t, OP_mul, "btd", y, "btd", gain, "d"), "btd", bias, "d");
    Edge s = product(t, "bte", "d", y, "btd", head, "ed");
    Edge top = reduce(t, OP_rmax, "bt", "e", s, "bte");
    Edge z = reduce(t, OP_sum, "bt", "e",
                    pw1(t, OP_exp, "bte", pw(t, OP_sub, "bte", s, "bte", top, "bt"), "bte"), "bte");
    Edge lse = pw(t, OP_add, "bt", pw1(t, OP_log, "bt", z, "bt"), "bt", top, "bt");
    const Ix *ix[] = {ix_axis(g, 0), ix_axis(g, 1), ix_load(g, target, bt)};
    Edge hit = edge_comp(g, s, map_make(g, 3, ix), bt);
    Edge n = graph_cast(g, DT_FLOAT, none, graph_idx(g, space_count(g, bt), none));
    Edge sum = reduce(t, OP_sum, "", "bt", pw(t, OP_sub, "bt", lse, "bt", hit, "bt"), "bt");
    root(t, ROOT_OUTPUT, "loss", graph_pw2(g, OP_div, none, sum, n), "");
    root(t, ROOT_OUTPUT, "logits", s, "bte");
}

/* The best positions of each cluster attend to each other; results are averaged where they came
 * from; k-means. */
static void routed(Test *t, const void *arg)
{
    (void)arg;
    model_axes(t);
    Graph *g = t->g;
    Edge q = input(t, "q", "btd"), v = input(t, "v", "btd"),
         means = leaf(t, OP_state, "means", "cd");
    Edge still = pw1(t, OP_stop, "btd", q, "btd");
    Edge sim = product(t, "bct", "d", still, "btd", means, "cd");
    axis(t, 'i', 6);
    axis(t, 'k', 6);
    Edge top = graph_top(g, space(t, "bct"), 2, sim, t->ext['i']);
    const Space *bci = space(t, "bci"), *bcid = space(t, "bcid"), *btd = space(t, "btd");
    const Ix *load = ix_load(g, edge_comp(g, top, map_identity(g, 3), bci), bci);
    const Ix *row[] = {ix_axis(g, 0), ix_subst(g, load, map_identity(g, 3), bcid), ix_axis(g, 3)};
    Edge qi = edge_comp(g, q, map_make(g, 3, row), bcid),
         vi = edge_comp(g, v, map_make(g, 3, row), bcid);
    Edge s = product(t, "bcik", "d", qi, "bcid", pw1(t, OP_sin, "bcid", qi, "bcid"), "bckd");
    Edge o = product(t, "bcid", "k", softmax(t, "bci", "k", s), "bcik", vi, "bckd");
    const Space *back = space(t, "btdci"), *count = space(t, "btci");
    const Ix *perm[] = {ix_axis(g, 0), ix_axis(g, 3), ix_axis(g, 4)};
    const Ix *key = ix_load(g, edge_comp(g, top, map_make(g, 3, perm), back), back);
    Edge y = graph_scat(g, back, 3, at(t, o, "bcid", "btdci"), (const Ix *[]){NULL, key, NULL});
    const Ix *perm2[] = {ix_axis(g, 0), ix_axis(g, 2), ix_axis(g, 3)};
    key = ix_load(g, edge_comp(g, top, map_make(g, 3, perm2), count), count);
    Edge n = graph_scat(g, count, 2, num(t, 1), (const Ix *[]){NULL, key});
    y = pw(t, OP_div, "btd", y, "btd", pw(t, OP_add, "bt", n, "bt", num(t, 1e-5), ""), "bt");
    finish(t, y, "btd");
    /* the means move to the vectors that are nearest to them */
    Edge near = graph_top(g, space(t, "btc"), 2, at(t, sim, "bct", "btc"), ix_const(g, 1));
    const Space *sums = space(t, "cdbt");
    const Ix *one[] = {ix_axis(g, 2), ix_axis(g, 3), ix_const(g, 0)};
    key = ix_load(g, edge_comp(g, near, map_make(g, 3, one), sums), sums);
    Edge moved = graph_scat(g, sums, 2, at(t, still, "btd", "cdbt"), (const Ix *[]){key, NULL});
    Edge next =
        graph_pw2(g, OP_add, space(t, "cd"), pw(t, OP_mul, "cd", means, "cd", num(t, 0.9), ""),
                  pw(t, OP_mul, "cd", moved, "cd", num(t, 0.1), ""));
    root(t, ROOT_UPDATE, "means", next, "cd");
    (void)btd;
}

/* Each window looks at itself and the one before; keys of no window are masked. */
static void local(Test *t, const void *arg)
{
    (void)arg;
    model_axes(t);
    Graph *g = t->g;
    const Ix *w = t->ext['w'], *time = ix_mul(g, w, t->ext['t']);
    const Space *btd = space_make(g, 3, (const Ix *[]){t->ext['b'], time, t->ext['d']});
    t->ext['n'] = t->ext['t'];
    t->ext['y'] = ix_scale(g, w, 2);
    const Space *over = space(t, "bnwyd"), *nwy = space(t, "bnwy"), *bnwdy = space(t, "bnwdy");
    Edge q = graph_leaf(g, OP_input, "q", DT_FLOAT, btd),
         k = graph_leaf(g, OP_input, "k", DT_FLOAT, btd);
    Edge v = graph_leaf(g, OP_input, "v", DT_FLOAT, btd), zero = num(t, 0);
    const Ix *row = ix_add(g, ix_mul(g, w, ix_axis(g, 1)), ix_axis(g, 2));
    const Ix *col = ix_sub(g, ix_add(g, ix_mul(g, w, ix_axis(g, 1)), ix_axis(g, 3)), w);
    const Map *mq = map_make(g, 3, (const Ix *[]){ix_axis(g, 0), row, ix_axis(g, 4)});
    const Map *mk = map_make(g, 3, (const Ix *[]){ix_axis(g, 0), col, ix_axis(g, 4)});
    Edge qi = graph_access(g, over, btd, q, mq, NULL),
         kj = graph_access(g, over, btd, k, mk, &zero);
    Edge vj = graph_access(g, over, btd, v, mk, &zero);
    Edge s = graph_reduce(g, OP_sum, over, 4, graph_pw2(g, OP_mul, over, qi, kj));
    Edge mask = graph_pw2(g, OP_le, nwy, graph_idx(g, col, nwy), graph_idx(g, row, nwy));
    mask = graph_pw2(g, OP_and, nwy, mask,
                     graph_pw2(g, OP_le, nwy, graph_int(g, 0), graph_idx(g, col, nwy)));
    Edge p = softmax(t, "bnw", "y", graph_select(g, nwy, mask, s, num(t, LOWEST)));
    const Ix *swap[] = {ix_axis(g, 0), ix_axis(g, 1), ix_axis(g, 2), ix_axis(g, 4), ix_axis(g, 3)};
    vj = edge_comp(g, vj, map_make(g, 5, swap), bnwdy);
    finish(t,
           graph_reduce(g, OP_sum, bnwdy, 4,
                        graph_pw2(g, OP_mul, bnwdy, at(t, p, "bnwy", "bnwdy"), vj)),
           "bnwd");
}

/* x[i ^ 1] with signs: rotary positions with computed angles. */
static void rotary(Test *t, const void *arg)
{
    (void)arg;
    model_axes(t);
    Graph *g = t->g;
    axis(t, 'p', 12);
    axis(t, 'r', 2);
    const Space *tpr = space(t, "tpr"), *tp = space(t, "tp"), *full = space(t, "td");
    Edge x = graph_leaf(g, OP_input, "x", DT_FLOAT, full);
    Edge angle =
        graph_pw2(g, OP_mul, tp, graph_cast(g, DT_FLOAT, tp, graph_idx(g, ix_axis(g, 0), tp)),
                  graph_pw2(g, OP_pow, tp, num(t, 10000),
                            graph_pw2(g, OP_mul, tp,
                                      graph_cast(g, DT_FLOAT, tp, graph_idx(g, ix_axis(g, 1), tp)),
                                      num(t, -1 / 12.))));
    Edge c = graph_pw1(g, OP_cos, tp, angle), s = graph_pw1(g, OP_sin, tp, angle);
    const Ix *pair = ix_scale(g, ix_axis(g, 1), 2);
    const Map *same = map_make(g, 2, (const Ix *[]){ix_axis(g, 0), ix_add(g, pair, ix_axis(g, 2))});
    const Map *flip = map_make(
        g, 2,
        (const Ix *[]){ix_axis(g, 0), ix_add(g, pair, ix_sub(g, ix_const(g, 1), ix_axis(g, 2)))});
    Edge first = graph_pw2(g, OP_eq, tpr, graph_idx(g, ix_axis(g, 2), tpr), graph_int(g, 0));
    Edge xf = edge_comp(g, x, flip, tpr),
         turned = graph_select(g, tpr, first, graph_pw1(g, OP_neg, tpr, xf), xf);
    Edge y = pw(t, OP_add, "tpr", pw(t, OP_mul, "tpr", edge_comp(g, x, same, tpr), "tpr", c, "tp"),
                "tpr", pw(t, OP_mul, "tpr", turned, "tpr", s, "tp"), "tpr");
    finish(t, y, "tpr");
}

/* Two layers that a draw may drop, a gated feed-forward each. */
static void dropped(Test *t, const void *arg)
{
    (void)arg;
    model_axes(t);
    Graph *g = t->g;
    const Space *none = space(t, ""), *btd = space(t, "btd");
    Edge x = input(t, "x", "btd");
    for (int l = 0; l < 2; l++) {
        char up[16], gate[20], down[20];
        snprintf(up, sizeof up, "%d.up", l), snprintf(gate, sizeof gate, "%d.gate", l),
            snprintf(down, sizeof down, "%d.down", l);
        Edge u = product(t, "bte", "d", x, "btd", param(t, up, "ed"), "ed");
        Edge z = product(t, "bte", "d", x, "btd", param(t, gate, "ed"), "ed");
        Edge cdf =
            pw1(t, OP_erf, "bte", pw(t, OP_mul, "bte", z, "bte", num(t, 0.70710678), ""), "bte");
        z = pw(t, OP_mul, "bte", z, "bte", pw(t, OP_add, "bte", cdf, "bte", num(t, 1), ""), "bte");
        Edge y = product(t, "btd", "e", pw(t, OP_mul, "bte", u, "bte", z, "bte"), "bte",
                         param(t, down, "de"), "de");
        y = pw(t, OP_mul, "btd", y, "btd", num(t, 1e-3), "");
        Edge coin = graph_pw2(g, OP_lt, none, graph_rand(g, (uint64_t)(77 + l), none), num(t, 0.5));
        x = graph_branch(g, btd, coin, x, graph_pw2(g, OP_add, btd, x, y));
    }
    finish(t, x, "btd");
}

/* Columns, rows and everything, over long axes. */
static void long_sums(Test *t, const void *arg)
{
    (void)arg;
    model_axes(t);
    Edge x = input(t, "x", "bte");
    Edge sq = pw(t, OP_mul, "bte", x, "bte", x, "bte");
    root(t, ROOT_OUTPUT, "columns", reduce(t, OP_sum, "e", "bt", sq, "bte"), "e");
    root(t, ROOT_OUTPUT, "rows", reduce(t, OP_sum, "b", "te", sq, "bte"), "b");
    root(t, ROOT_OUTPUT, "all", reduce(t, OP_sum, "", "bte", sq, "bte"), "");
    root(t, ROOT_OUTPUT, "most", reduce(t, OP_rmax, "t", "be", x, "bte"), "t");
    root(t, ROOT_OUTPUT, "turned", x, "bte");
}

static void both_sizes(const char *what, Builder b, How h)
{
    h.dims = (int64_t[]){2, 9};
    check_program(what, b, NULL, h);
    h.dims = (int64_t[]){1, 70};
    check_program(what, b, NULL, h);
}

static void test_attention(void **s)
{
    (void)s;
    both_sizes("attention", attention, (How){.grad = true, .seed = 3});
}
/* The same text for CPUs without vectors beyond SSE2, and for AVX2 where this one has it. */
static void test_instruction_sets(void **s)
{
    (void)s;
    const char *here = cc_isa_here();
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !strcmp(here, "baseline")) continue;
        How h = {.grad = true, .seed = 3, .isa = i ? "avx2" : "baseline"};
        both_sizes(h.isa, attention, h);
        both_sizes(h.isa, rotary, h);
    }
}
static void test_language_model(void **s)
{
    (void)s;
    both_sizes("language model", language_model, (How){.grad = true, .ints = 40, .rtol = 1e-4});
}
static void test_routed(void **s)
{
    (void)s;
    both_sizes("routed", routed, (How){.grad = true, .rtol = 1e-4, .atol = 1e-5});
}
static void test_local(void **s)
{
    (void)s;
    both_sizes("local", local, (How){.grad = true});
}
static void test_rotary(void **s)
{
    (void)s;
    both_sizes("rotary", rotary, (How){.grad = true});
}
static void test_dropped(void **s)
{
    (void)s;
    for (uint64_t seed = 0; seed < 4; seed++)
        both_sizes("dropped", dropped, (How){.grad = true, .seed = seed});
}
static void test_long_sums(void **s)
{
    (void)s;
    check_program("long sums", long_sums, NULL, (How){.dims = (int64_t[]){3, 5000}, .rtol = 2e-6});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_sums),      cmocka_unit_test(test_rotary),
        cmocka_unit_test(test_attention),      cmocka_unit_test(test_instruction_sets),
        cmocka_unit_test(test_language_model), cmocka_unit_test(test_local),
        cmocka_unit_test(test_routed),         cmocka_unit_test(test_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
