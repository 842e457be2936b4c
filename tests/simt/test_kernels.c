/* Real kernels against plain C, in both orders and in the checked build, at sizes that fill tiles
 * and sizes that don't. */
#include "kernels.h"

static Bench bench;

static int close_bench(void **state)
{
    (void)state;
    bench_close(&bench);
    return 0;
}

static void check(const char *file, bool (*good)(Bench *, Mode, char *), const char *what)
{
    char why[512];
    bench = bench_open(file);
    for (Mode m = 0; m < MODES; m++)
        if (!good(&bench, m, why)) fail_msg("%s, %s: %s", what, mode_names[m], why);
}

static void products_of_bf16(void **state)
{
    (void)state;
    check("matmul.cu", matmul_good, "matmul");
}

static void products_of_floats(void **state)
{
    (void)state;
    check("matmul.cu", matmul_tf32_good, "matmul_tf32");
}

static void softmax_of_rows(void **state)
{
    (void)state;
    check("softmax.cu", softmax_good, "softmax");
}

static void sums_of_segments(void **state)
{
    (void)state;
    check("segments.cu", segments_good, "segments");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(products_of_bf16, close_bench),
        cmocka_unit_test_teardown(products_of_floats, close_bench),
        cmocka_unit_test_teardown(softmax_of_rows, close_bench),
        cmocka_unit_test_teardown(sums_of_segments, close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
