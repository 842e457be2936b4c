/* Known answers of Philox4x32 (the vectors published with Random123) and the float map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "ir/philox.h"

typedef struct {
    Philox counter;
    uint32_t k0, k1;
    int rounds;
    Philox want;
} Known;

static const Known known[] = {
    {{{0, 0, 0, 0}}, 0, 0, 10, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
    {{{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, 10, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
    {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0, 10,
     {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    {{{0, 0, 0, 0}}, 0, 0, 7, {{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}}},
    {{{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, 7, {{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}}},
    {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0, 7,
     {{0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}}},
};

static void known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const Known *k = &known[i];
        Philox got = philox_rounds(k->counter, k->k0, k->k1, k->rounds);
        for (int j = 0; j < 4; j++) assert_int_equal(got.w[j], k->want.w[j]);
    }
}

static void key_is_low_word_first(void **state)
{
    (void)state;
    Philox got = philox(0x299f31d0a4093822ull, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344);
    assert_int_equal(got.w[0], 0xd16cfe09);
    assert_int_equal(got.w[3], 0x24126ea1);
}

static void floats_cover_the_half_open_interval(void **state)
{
    (void)state;
    assert_true(philox_float(0) == 0.0f);
    assert_true(philox_float(255) == 0.0f);
    assert_true(philox_float(0x80000000u) == 0.5f);
    assert_true(philox_float(~0u) == 1.0f - 0x1p-24f);
    double sum = 0, squares = 0;
    int n = 0;
    for (uint32_t i = 0; i < 25000; i++) {
        Philox x = philox(1, i, 0, 0, 0);
        for (int j = 0; j < 4; j++, n++) {
            double u = philox_float(x.w[j]);
            sum += u;
            squares += u * u;
        }
    }
    double mean = sum / n, variance = squares / n - mean * mean;
    assert_true(mean > 0.497 && mean < 0.503);             /* 3 standard errors are 0.0027 */
    assert_true(variance > 0.0823 && variance < 0.0843);
}

static void below_stays_below(void **state)
{
    (void)state;
    assert_int_equal(philox_below(~0u, 7), 6);
    assert_int_equal(philox_below(0, 7), 0);
    assert_int_equal(philox_below(~0u, ~0u), ~0u - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(key_is_low_word_first),
        cmocka_unit_test(floats_cover_the_half_open_interval),
        cmocka_unit_test(below_stays_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
