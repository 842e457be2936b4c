/* Axes read through quotients and remainders: split where it helps, with equal values. */
#include <math.h>
#include "pass_test.h"

/* y[t,x] = a[x // 8, t, x % 8] + c[t,x]: heads side by side. */
static Edge merged_heads(Test *t, Edge a, Edge c)
{
    const Space *s = space(t, "tx");
    const Ix *eight = ix_const(t->g, 8), *x = ix_axis(t->g, 1);
    const Ix *ix[] = {ix_div(t->g, x, eight, s), ix_axis(t->g, 0), ix_mod(t->g, x, eight, s)};
    return graph_pw2(t->g, OP_add, s, edge_comp(t->g, a, map_make(t->g, 3, ix), s), c);
}

static Test heads(void)
{
    Test t = graph_test();
    axis(&t, 'h', 4);
    axis(&t, 'd', 8);
    axis(&t, 'x', 32);
    axis(&t, 't', 64);
    axis(&t, 'o', 128);
    Edge y = merged_heads(&t, input(&t, "a", "htd"), input(&t, "c", "tx"));
    Edge z = product(&t, "to", "x", y, "tx", param(&t, "w", "ox"), "ox");
    root(&t, ROOT_OUTPUT, "z", z, "to");
    Edge sq = pw(&t, OP_mul, "to", z, "to", z, "to");
    root(&t, ROOT_OUTPUT, "loss", reduce(&t, OP_sum, "", "to", sq, "to"), "");
    return t;
}

static int quotients(const Graph *g)
{
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *x = g->nodes.v[i];
        for (int a = 0; a < x->nargs; a++)
            for (int d = 0; d < x->args[a].map->n; d++) {
                const Ix *e = x->args[a].map->ix[d];
                for (int k = 0; k < e->nterm; k++) n += e->t[k].f[0]->kind == AT_DIV;
            }
    }
    return n;
}

static void run(Test *t, const char *pipeline)
{
    DIAG_TRY(t->d) { pipeline_run(&t->u, pipeline); }
    DIAG_CATCH(t->d) { fail_msg("%s", diag_text(t->d)); }
    DIAG_END(t->d)
}

/* Every root's values, one after another. */
static double *values(Test *t, int *n)
{
    Eval *ev = eval_new(t->g, NULL, 1, 0, false);
    double *all = NEW_N(t->u.arena, double, 100000);
    *n = 0;
    for (int i = 0; i < t->g->nodes.n; i++) {
        Node *leaf = t->g->nodes.v[i];
        if (leaf->op != OP_input && leaf->op != OP_param) continue;
        Tensor in = {.dt = DT_FLOAT, .rank = leaf->rank, .count = 1};
        for (int d = 0; d < leaf->rank; d++) in.count *= in.shape[d] = leaf->space->ext[d]->c;
        double *v = NEW_N(t->u.arena, double, in.count);
        uint64_t seed = hash_str(leaf->attr.leaf.name);
        for (int64_t k = 0; k < in.count; k++) {
            seed = hash_mix(seed, (uint64_t)k);
            v[k] = (double)(seed >> 40) / (1 << 24) - 0.5;
        }
        in.data = v;
        eval_set(ev, leaf, &in);
    }
    for (int i = 0; i < t->g->roots.n; i++) {
        Tensor out = eval_edge(ev, t->g->roots.v[i].e, t->g->roots.v[i].space);
        assert_int_equal(out.dt, DT_FLOAT);
        for (int64_t k = 0; k < out.count; k++) all[(*n)++] = ((double *)out.data)[k];
    }
    eval_free(ev);
    return all;
}

static void same_values(void **state)
{
    (void)state;
    Test plain = heads(), split = heads();
    plain.u.want_grad = split.u.want_grad = true;
    run(&plain, "simplify,grad,simplify,dce");
    split.u.verify_each = true;
    run(&split, "simplify,grad,simplify,dce,digits,contract");
    int n, m;
    double *x = values(&plain, &n), *y = values(&split, &m);
    assert_int_equal(n, m);
    for (int i = 0; i < n; i++)
        if (fabs(x[i] - y[i]) > 1e-9 * (1 + fabs(x[i]))) fail_msg("%d: %g, %g", i, x[i], y[i]);
    test_done(&plain);
    test_done(&split);
}

/* The sum over x becomes one over heads and dimensions; the sum of a gradient keeps its axis. */
static void no_copies_and_no_quotients(void **state)
{
    (void)state;
    Test t = heads();
    run(&t, "simplify,dce,digits,contract,group");
    show(&t);
    assert_int_equal(quotients(t.g), 0);
    assert_int_equal(products(t.u.groups), 1);
    for (int i = 0; i < t.g->nodes.n; i++) assert_int_not_equal(t.g->nodes.v[i]->op, OP_stop);
    test_done(&t);
    Test g = heads();
    g.u.want_grad = g.u.verify_each = true;
    run(&g, "simplify,grad,simplify,dce,digits,contract,group");
    show(&g);
    assert_int_equal(products(g.u.groups), 3);
    for (int i = 0; i < g.g->nodes.n; i++) assert_int_not_equal(g.g->nodes.v[i]->op, OP_stop);
    test_done(&g);
}

static void digits_recombine(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 'x', 512);
    const Space *s = space(&t, "x");
    const Ix *x = ix_axis(t.g, 0), *two = ix_const(t.g, 2);
    const Ix *h = ix_div(t.g, x, ix_const(t.g, 64), s), *r = ix_mod(t.g, x, two, s);
    const Ix *i = ix_mod(t.g, ix_div(t.g, x, two, s), ix_const(t.g, 32), s);
    const Ix *low = ix_add(t.g, ix_scale(t.g, i, 2), r);
    assert_ptr_equal(low, ix_mod(t.g, x, ix_const(t.g, 64), s));
    assert_ptr_equal(ix_add(t.g, low, ix_scale(t.g, h, 64)), x);
    assert_ptr_equal(ix_add(t.g, ix_add(t.g, ix_scale(t.g, h, 64), ix_scale(t.g, i, 2)), r), x);
    test_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_values),
        cmocka_unit_test(no_copies_and_no_quotients),
        cmocka_unit_test(digits_recombine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
