/* ir_test.h: graphs from text, values as short lists: shared by the tests of ir/. */
#ifndef RTC_TESTS_IR_TEST_H
#define RTC_TESTS_IR_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <math.h>
#include <cmocka.h>
#include "ir/ir.h"

/* The graph of a text that must be right. */
static inline Graph *graph_of(Diag *d, const char *text)
{
    Graph *volatile g = NULL;
    DIAG_TRY(d) { g = graph_parse(d, diag_source(d, "test.ir", text, strlen(text))); }
    DIAG_CATCH(d) { fail_msg("%s", diag_text(d)); }
    DIAG_END(d)
    return g;
}

static inline const char *text_of(Graph *g)
{
    Str s = {.arena = g->arena};
    graph_print(g, &s);
    return s.s;
}

static inline Node *leaf_named(Graph *g, const char *name)
{
    for (int i = 0; i < g->nodes.n; i++) {
        Op op = g->nodes.v[i]->op;
        if ((op == OP_input || op == OP_param || op == OP_state) &&
            !strcmp(g->nodes.v[i]->attr.leaf.name, name))
            return g->nodes.v[i];
    }
    fail_msg("no leaf %s", name);
    return NULL;
}

/* Sets the leaf of that name to a row-major tensor. */
static inline void set(Eval *ev, Graph *g, const char *name, const int64_t *shape, int rank,
                       const double *v)
{
    Tensor t = {.dt = DT_FLOAT, .rank = rank, .count = 1, .data = (void *)v};
    for (int i = 0; i < rank; i++) t.count *= t.shape[i] = shape[i];
    eval_set(ev, leaf_named(g, name), &t);
}
#define SHAPE(...) (const int64_t[]){__VA_ARGS__}, COUNT(((const int64_t[]){__VA_ARGS__}))
#define SIZES(...) (const int64_t[]){__VA_ARGS__}

static inline double at(const Tensor *t, int64_t i)
{
    assert_in_range(i, 0, t->count - 1);
    if (t->dt == DT_FLOAT) return ((double *)t->data)[i];
    if (t->dt == DT_INT) return ((int32_t *)t->data)[i];
    return ((uint8_t *)t->data)[i];
}

static inline void expect_values(const Tensor *t, int n, const double *v)
{
    assert_int_equal(t->count, n);
    for (int i = 0; i < n; i++) {
        double x = at(t, i);
        bool same = isnan(v[i]) ? isnan(x) : fabs(x - v[i]) <= 1e-12 * (1 + fabs(v[i]));
        if (!same) fail_msg("element %d is %.17g, not %.17g", i, x, v[i]);
    }
}
#define EXPECT(t, ...)                                                                             \
    expect_values((t), COUNT(((const double[]){__VA_ARGS__})), (const double[]){__VA_ARGS__})

/* The message of an error that `body` must raise. */
#define EXPECT_ERROR(d, status, words, body)                                                       \
    do {                                                                                           \
        volatile bool raised_ = false;                                                             \
        DIAG_TRY(d) { body; }                                                                      \
        DIAG_CATCH(d) { raised_ = true; }                                                          \
        DIAG_END(d)                                                                                \
        if (!raised_) fail_msg("no error; expected: %s", words);                                   \
        if (!strstr(diag_text(d), words)) fail_msg("%s\nlacks: %s", diag_text(d), words);          \
        assert_int_equal(diag_status(d), status);                                                  \
    } while (0)

#endif
