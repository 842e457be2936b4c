/* Index expressions: normal form and what can be proved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "ir/ir.h"

static Graph *fresh(void **state)
{
    Diag *d = diag_new();
    *state = d;
    return graph_new(d);
}
static void done(void **state, Graph *g)
{
    graph_free(g);
    diag_free(*state);
}
#define C(n) ix_const(g, n)
#define X(i) ix_axis(g, i)

static void test_split_and_merge(void **state)
{
    Graph *g = fresh(state);
    const Ix *ext[2] = {C(8), C(64)};
    const Space *s = space_make(g, 2, ext);
    const Ix *e = ix_add(g, ix_scale(g, X(0), 64), X(1));
    assert_ptr_equal(ix_div(g, e, C(64), s), X(0));
    assert_ptr_equal(ix_mod(g, e, C(64), s), X(1));
    const Ix *one[1] = {C(512)};
    const Space *m = space_make(g, 1, one);
    const Ix *q = ix_div(g, X(0), C(64), m), *r = ix_mod(g, X(0), C(64), m);
    assert_int_not_equal(q->nterm, 0);
    assert_ptr_equal(ix_add(g, ix_scale(g, q, 64), r), X(0));
    assert_ptr_equal(ix_mod(g, ix_mod(g, X(0), C(64), m), C(8), m), ix_mod(g, X(0), C(8), m));
    assert_ptr_equal(ix_div(g, ix_div(g, X(0), C(8), m), C(8), m), q);
    done(state, g);
}

static void test_symbolic(void **state)
{
    Graph *g = fresh(state);
    const Ix *T = ix_sym(g, "time", NO_LOC), *B = ix_sym(g, "batch", NO_LOC);
    const Ix *ext[2] = {B, T};
    const Space *s = space_make(g, 2, ext);
    const Ix *e = ix_add(g, ix_mul(g, X(0), T), X(1));
    assert_ptr_equal(ix_div(g, e, T, s), X(0));
    assert_ptr_equal(ix_mod(g, e, T, s), X(1));
    assert_true(ix_proves_lt(g, e, ix_mul(g, B, T), s));
    assert_false(ix_proves_lt(g, e, ix_mul(g, B, ix_sub(g, T, C(1))), s));
    const Ix *flat[1] = {ix_mul(g, B, T)};
    const Space *f = space_make(g, 1, flat);
    const Ix *b = ix_div(g, X(0), T, f), *t = ix_mod(g, X(0), T, f);
    assert_true(ix_proves_lt(g, b, B, f));
    assert_true(ix_proves_lt(g, t, T, f));
    assert_ptr_equal(ix_add(g, ix_mul(g, b, T), t), X(0));
    done(state, g);
}

static void test_windows(void **state)
{
    Graph *g = fresh(state);
    const Ix *T = ix_sym(g, "time", NO_LOC);
    const Ix *n = ix_div(g, T, C(32), NULL);
    const Ix *ext[2] = {n, C(32)};
    const Space *s = space_make(g, 2, ext);
    const Ix *e = ix_add(g, ix_scale(g, X(0), 32), X(1));
    assert_true(ix_proves_lt(g, e, T, s));              /* 32*n + i < T although T need not divide */
    assert_false(ix_proves_lt(g, ix_add(g, e, C(1)), T, s));
    graph_fact_eq0(g, ix_mod(g, T, C(32), NULL));
    assert_ptr_equal(ix_mod(g, T, C(32), NULL), C(0));
    assert_ptr_equal(ix_mod(g, T, C(8), NULL), C(0));
    assert_ptr_equal(ix_scale(g, n, 32), T);
    /* padded length: a multiple by construction */
    const Ix *pad = ix_scale(g, ix_div(g, ix_add(g, T, C(6)), C(7), NULL), 7);
    assert_ptr_equal(ix_mod(g, pad, C(7), NULL), C(0));
    assert_true(ix_proves_ge0(g, ix_sub(g, pad, T), NULL));
    /* what lies before the c-th piece, which is nothing before the first */
    const Ix *c = ix_sub(g, ix_sym(g, "c", NO_LOC), C(1));
    const Ix *before = ix_mul(g, c, ix_div(g, ix_add(g, T, C(1)), C(2), NULL));
    assert_true(ix_proves_ge0(g, before, NULL));
    assert_false(ix_proves_ge0(g, ix_sub(g, before, C(1)), NULL));
    done(state, g);
}

static void test_min_max_facts(void **state)
{
    Graph *g = fresh(state);
    const Ix *T = ix_sym(g, "time", NO_LOC);
    const Ix *w = ix_min(g, C(128), T, NULL);
    const Ix *ext[1] = {w};
    const Space *s = space_make(g, 1, ext);
    assert_true(ix_proves_lt(g, X(0), T, s));
    assert_true(ix_proves_lt(g, X(0), C(128), s));
    assert_false(ix_proves_lt(g, X(0), C(127), s));
    assert_ptr_equal(ix_min(g, C(0), T, NULL), C(0));
    assert_false(ix_proves_ge0(g, ix_sub(g, C(512), T), NULL));
    graph_fact_ge0(g, ix_sub(g, C(512), T));
    assert_true(ix_proves_ge0(g, ix_sub(g, C(512), T), NULL));
    assert_true(ix_proves_ge0(g, ix_sub(g, C(1024), ix_scale(g, T, 2)), NULL));
    done(state, g);
}

/* No false proof: whatever is proved holds when sizes and positions are tried. */
static uint32_t rnd(uint32_t *s) { return *s = *s * 1664525u + 1013904223u, *s >> 8; }
static const Ix *random_ix(Graph *g, uint32_t *s, const Space *sp, int depth)
{
    switch (depth ? rnd(s) % 9 : rnd(s) % 3) {
    case 0: return C((int64_t)(rnd(s) % 9) - 4);
    case 1: return X((int)(rnd(s) % 2));
    case 2: return ix_sym(g, rnd(s) % 2 ? "m" : "n", NO_LOC);
    case 3: return ix_add(g, random_ix(g, s, sp, depth - 1), random_ix(g, s, sp, depth - 1));
    case 4: return ix_sub(g, random_ix(g, s, sp, depth - 1), random_ix(g, s, sp, depth - 1));
    case 5: return ix_mul(g, random_ix(g, s, sp, depth - 1), random_ix(g, s, sp, depth - 1));
    case 6: return ix_div(g, random_ix(g, s, sp, depth - 1), rnd(s) % 2 ? C(1 + rnd(s) % 4) : ix_sym(g, "m", NO_LOC), sp);
    case 7: return ix_mod(g, random_ix(g, s, sp, depth - 1), rnd(s) % 2 ? C(1 + rnd(s) % 4) : ix_sym(g, "n", NO_LOC), sp);
    default: return (rnd(s) % 2 ? ix_min : ix_max)(g, random_ix(g, s, sp, depth - 1), random_ix(g, s, sp, depth - 1), sp);
    }
}
/* A quotient with a factor that may be of any sign, or 0. */
static const Ix *random_quotient(Graph *g, uint32_t *s, const Space *sp)
{
    const Ix *q = ix_div(g, random_ix(g, s, sp, 1), C(2 + rnd(s) % 3), sp);
    return ix_add(g, ix_mul(g, random_ix(g, s, sp, 1), q), random_ix(g, s, sp, 0));
}
static void test_sound(void **state)
{
    Graph *g = fresh(state);
    uint32_t s = 7;
    int proved = 0;
    const Ix *m = ix_sym(g, "m", NO_LOC), *n = ix_sym(g, "n", NO_LOC);
    const Ix *ext[2] = {ix_add(g, m, C(1)), n};
    const Space *sp = space_make(g, 2, ext);
    for (int k = 0; k < 40000; k++) {
        const Ix *e = k % 2 ? random_quotient(g, &s, sp) : random_ix(g, &s, sp, 3);
        bool ok = ix_proves_ge0(g, e, sp);
        proved += ok;
        const Ix *up = ix_upper(g, e, sp);
        for (int64_t mm = 1; (ok || up) && mm < 4; mm++)
            for (int64_t nn = 1; nn < 4; nn++)
                for (int64_t i = 0; i <= mm; i++)
                    for (int64_t j = 0; j < nn; j++) {
                        IxEnv env = {.syms = (int64_t[]){mm, nn}, .axes = (int64_t[]){i, j}};
                        int64_t v = ix_eval(e, &env);
                        if (ok) assert_true(v >= 0);
                        if (up) assert_true(v <= ix_eval(up, &env));
                    }
    }
    assert_true(proved > 1000);
    done(state, g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_and_merge), cmocka_unit_test(test_symbolic), cmocka_unit_test(test_windows),
        cmocka_unit_test(test_min_max_facts), cmocka_unit_test(test_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
