/* The constructors: canonical axes, interning, guards that are decided, rebuilding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "ir/ir.h"

#define C(n) ix_const(g, n)
#define X(i) ix_axis(g, i)
static Diag *diag;
static Graph *fresh(void)
{
    diag = diag_new();
    return graph_new(diag);
}
static void done(Graph *g)
{
    graph_free(g);
    diag_free(diag);
}
static const Space *space(Graph *g, int n, ...)
{
    va_list ap;
    const Ix *e[MAX_AXES];
    va_start(ap, n);
    for (int i = 0; i < n; i++) e[i] = C(va_arg(ap, int));
    va_end(ap);
    return space_make(g, n, e);
}
static Edge at(Graph *g, Edge e, const Space *s, int n, ...)
{
    va_list ap;
    const Ix *ix[MAX_AXES];
    va_start(ap, n);
    for (int i = 0; i < n; i++) ix[i] = X(va_arg(ap, int));
    va_end(ap);
    return edge_comp(g, e, map_make(g, n, ix), s);
}

static void test_axes_are_canonical(void **state)
{
    (void)state;
    Graph *g = fresh();
    Edge x = graph_leaf(g, OP_input, "x", DT_FLOAT, space(g, 2, 3, 5));
    const Space *s = space(g, 3, 5, 7, 3), *t = space(g, 2, 3, 5);
    Edge a = graph_pw1(g, OP_exp, s, at(g, x, s, 2, 2, 0)), b = graph_pw1(g, OP_exp, t, at(g, x, t, 2, 0, 1));
    assert_ptr_equal(a.node, b.node);
    assert_ptr_equal(a.map->ix[0], X(2));
    assert_int_equal(b.node->rank, 2);
    Edge p = graph_pw2(g, OP_add, t, a = at(g, x, t, 2, 0, 1), b), q = graph_pw2(g, OP_add, t, b, a);
    assert_ptr_equal(p.node, q.node);
    Edge y = graph_leaf(g, OP_input, "y", DT_FLOAT, space(g, 2, 1, 5));
    const Space *one = space(g, 2, 1, 5);
    Edge e = graph_pw1(g, OP_exp, one, y);
    assert_int_equal(e.node->rank, 1);                 /* the axis of extent 1 is gone */
    done(g);
}

static void test_reductions(void **state)
{
    (void)state;
    Graph *g = fresh();
    Edge x = graph_leaf(g, OP_input, "x", DT_FLOAT, space(g, 2, 3, 5));
    const Space *s = space(g, 2, 5, 3);
    Edge e = graph_reduce(g, OP_sum, s, 1, at(g, x, s, 2, 1, 0));
    assert_int_equal(e.node->rank, 1);
    assert_int_equal(e.node->space->n, 2);
    assert_ptr_equal(e.node->args[0].map->ix[0], X(1));
    const Space *r = space(g, 3, 3, 5, 4);
    Edge t = graph_top(g, space(g, 2, 3, 5), 1, x, C(2));
    assert_int_equal(t.node->rank, 2);
    assert_int_equal(t.node->dt, DT_INT);
    const Ix *lo, *hi;
    assert_true(node_range(g, t.node, &lo, &hi));
    assert_ptr_equal(hi, C(4));
    Edge m = graph_reduce(g, OP_rmax, r, 1, at(g, x, r, 2, 0, 1));
    assert_int_equal(m.node->space->n, 2);             /* the axis of 4 doesn't matter to a maximum */
    done(g);
}

static void test_guards(void **state)
{
    (void)state;
    Graph *g = fresh();
    const Space *s = space(g, 1, 8);
    Edge x = graph_leaf(g, OP_input, "x", DT_FLOAT, s), z = graph_float(g, 0);
    const Ix *back[1] = {ix_sub(g, X(0), C(1))};
    Edge prev = graph_access(g, s, s, x, map_make(g, 1, back), &z);
    assert_int_equal(prev.node->op, OP_read);
    const Ix *ahead[1] = {ix_add(g, X(0), C(1))};
    const Space *short_ = space(g, 1, 7);
    Edge same = edge_comp(g, prev, map_make(g, 1, ahead), short_);
    assert_ptr_equal(same.node, x.node);               /* x[t + 1 - 1], inside: the guard is decided */
    assert_ptr_equal(same.map->ix[0], X(0));
    const Ix *far[1] = {ix_add(g, X(0), C(8))};
    assert_true(edge_eq(graph_access(g, s, s, x, map_make(g, 1, far), &z), z));
    done(g);
}

static Edge to_tanh(void *ctx, Graph *g, const Node *old, const Edge *args)
{
    (void)ctx;
    if (old->op == OP_exp) return graph_pw1(g, OP_tanh, old->space, args[0]);
    return graph_renew(g, old, args);
}

static void test_rewrite(void **state)
{
    (void)state;
    Graph *g = fresh();
    const Space *s = space(g, 2, 4, 6);
    Edge x = graph_leaf(g, OP_input, "x", DT_FLOAT, s);
    Edge top = graph_top(g, s, 1, graph_pw1(g, OP_exp, s, x), C(2));
    const Space *w = space(g, 2, 4, 2);
    const Ix *ix[2] = {X(0), ix_load(g, at(g, top, w, 2, 0, 1), w)};
    Edge picked = graph_pw1(g, OP_log, w, edge_comp(g, graph_pw1(g, OP_exp, s, x), map_make(g, 2, ix), w));
    graph_root(g, ROOT_OUTPUT, "y", picked, w, NO_LOC);
    graph_rewrite(g, to_tanh, NULL);
    bool exp_left = false, tanh_used = false;
    for (int i = 0; i < g->nodes.n; i++) {
        assert_int_equal(g->nodes.v[i]->id, i);
        exp_left |= g->nodes.v[i]->op == OP_exp;
        tanh_used |= g->nodes.v[i]->op == OP_tanh;
    }
    assert_false(exp_left);
    assert_true(tanh_used);
    int n = g->nodes.n;
    graph_rewrite(g, NULL, NULL);                      /* as is: nothing changes */
    assert_int_equal(g->nodes.n, n);
    done(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes_are_canonical), cmocka_unit_test(test_reductions), cmocka_unit_test(test_guards),
        cmocka_unit_test(test_rewrite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
