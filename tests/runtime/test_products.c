/* Products by the library: every order of the axes of both operands, several axes per role,
 * batches, odd sizes. */
#include "exec_test.h"

typedef struct {
    const char *out, *red, *a, *b;
    double alpha;
} Shape;

static void sizes(Test *t)
{
    free_axis(t, 'b');
    free_axis(t, 't');
    axis(t, 'd', 65);
    axis(t, 'e', 96);
    axis(t, 'h', 4);
    axis(t, 'k', 40);
}

static void product_of(Test *t, const void *arg)
{
    const Shape *s = arg;
    char all[16];
    sizes(t);
    Edge a = input(t, "a", s->a), b = input(t, "b", s->b);
    snprintf(all, sizeof all, "%s%s", s->out, s->red);
    Edge ab = pw(t, OP_mul, all, a, s->a, b, s->b);
    if (s->alpha != 1) ab = pw(t, OP_mul, all, ab, all, graph_float(t->g, s->alpha), "");
    root(t, ROOT_OUTPUT, "out", reduce(t, OP_sum, s->out, s->red, ab, all), s->out);
}

static const Shape shapes[] = {
    {"td", "e", "te", "ed", 1},      {"td", "e", "te", "de", 1},    {"td", "e", "et", "ed", 1},
    {"td", "e", "et", "de", 1},      {"dt", "e", "te", "ed", 1},    {"dt", "e", "et", "de", 0.125},
    {"btd", "e", "bte", "de", -2},   {"de", "bt", "btd", "bte", 1}, {"bthk", "e", "bte", "hke", 1},
    {"bte", "hk", "bthk", "ehk", 1}, {"btd", "e", "bet", "de", 1},  {"hkd", "bt", "bthk", "btd", 1},
    {"bhtk", "e", "bte", "hke", 1},  {"htd", "e", "hte", "hed", 1}, {"thd", "e", "the", "hde", 1},
    {"bhtd", "k", "bthk", "hdk", 1},
};

static void orders(void **state)
{
    (void)state;
    int calls = 0;
    for (int i = 0; i < COUNT(shapes); i++) {
        char what[64];
        const Shape *s = &shapes[i];
        snprintf(what, sizeof what, "%s over %s of %s %s", s->out, s->red, s->a, s->b);
        check_program(what, product_of, s, (How){.dims = (int64_t[]){3, 77}});
        check_program(what, product_of, s, (How){.dims = (int64_t[]){1, 1}});
        Run r = run_program(product_of, s,
                            &(How){.dims = (int64_t[]){3, 200},
                                   .threads = 2,
                                   .pipeline = "simplify,dce,split,contract,group"});
        calls += exec_stats(r.in).library_calls;
        run_done(&r);
    }
    assert_true(calls >= COUNT(shapes) - 2);
}

/* A window that overlaps itself: rows of A lie closer than they are long. */
static void overlapping(Test *t, const void *arg)
{
    (void)arg;
    sizes(t);
    Graph *g = t->g;
    const Space *long_row =
        space_make(g, 1, (const Ix *[]){ix_add(g, t->ext['t'], ix_const(g, 95))});
    Edge x = graph_leaf(g, OP_input, "x", DT_FLOAT, long_row), w = input(t, "w", "ed");
    const Space *tde = space(t, "tde");
    const Map *m = map_make(g, 1, (const Ix *[]){ix_add(g, ix_axis(g, 0), ix_axis(g, 2))});
    Edge xw = graph_pw2(g, OP_mul, tde, graph_access(g, tde, long_row, x, m, NULL),
                        at(t, w, "ed", "tde"));
    root(t, ROOT_OUTPUT, "out", graph_reduce(g, OP_sum, tde, 2, xw), "td");
}

static void test_overlapping(void **state)
{
    (void)state;
    check_program("overlapping", overlapping, NULL, (How){.dims = (int64_t[]){1, 130}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(orders),
                                       cmocka_unit_test(test_overlapping)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
