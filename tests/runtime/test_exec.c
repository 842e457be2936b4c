/* The cpu device against the evaluator: whole small models, fused and not, with gradients. */
#include "exec_test.h"

static void softmax_rows(Test *t, const void *arg)
{
    (void)arg;
    free_axis(t, 'b');
    axis(t, 'j', 37);
    Edge x = input(t, "x", "bj");
    Edge m = reduce(t, OP_rmax, "b", "j", x, "bj");
    Edge e = pw1(t, OP_exp, "bj", pw(t, OP_sub, "bj", x, "bj", m, "b"), "bj");
    Edge p = pw(t, OP_div, "bj", e, "bj", reduce(t, OP_sum, "b", "j", e, "bj"), "b");
    root(t, ROOT_OUTPUT, "p", p, "bj");
}

static void test_softmax(void **state)
{
    (void)state;
    check_program("softmax", softmax_rows, NULL, (How){.dims = (int64_t[]){13}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
