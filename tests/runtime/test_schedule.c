/* Learning-rate schedules at their corners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "runtime/schedule.h"

static void expect(const ScheduleStep *s, int n, int64_t step, double want)
{
    double got = schedule_rate(s, n, 0.1, step, 1000);
    if (fabs(got - want) > 1e-12) fail_msg("step %d: %.15g, not %.15g", (int)step, got, want);
}

static void warmup_then_cosine(void **state)
{
    (void)state;
    ScheduleStep s[] = {{SCHEDULE_WARMUP, 50, 0}, {SCHEDULE_COSINE, 0, 0.01}};
    expect(s, 2, 0, 0.1 / 50);
    expect(s, 2, 24, 0.05);
    expect(s, 2, 49, 0.1);
    expect(s, 2, 50, 0.1);
    expect(s, 2, 525, 0.055);
    expect(s, 2, 50 + 237, 0.01 + 0.09 * 0.5 * (1 + cos(M_PI * 237 / 950)));
    expect(s, 2, 1000, 0.01);
    expect(s, 2, 5000, 0.01);
    assert_true(schedule_rate(s, 2, 0.1, 999, 1000) > 0.01);
}

static void other_phases(void **state)
{
    (void)state;
    expect(NULL, 0, 0, 0.1);
    expect(NULL, 0, 9999, 0.1);
    ScheduleStep linear[] = {{SCHEDULE_CONSTANT, 100, 0}, {SCHEDULE_LINEAR, 200, 0}};
    expect(linear, 2, 99, 0.1);
    expect(linear, 2, 100, 0.1);
    expect(linear, 2, 200, 0.05);
    expect(linear, 2, 300, 0);
    expect(linear, 2, 999, 0);
    ScheduleStep decay[] = {{SCHEDULE_STEP, 100, 0.5}};
    expect(decay, 1, 99, 0.1);
    expect(decay, 1, 100, 0.05);
    expect(decay, 1, 950, 0.1 / 512);
    ScheduleStep chain[] = {{SCHEDULE_LINEAR, 10, 0.02}, {SCHEDULE_CONSTANT, 5, 0},
                            {SCHEDULE_COSINE, 10, 0.04}};
    expect(chain, 3, 5, 0.06);
    expect(chain, 3, 12, 0.02);
    expect(chain, 3, 20, 0.03);
    expect(chain, 3, 25, 0.04);
    ScheduleStep late[] = {{SCHEDULE_WARMUP, 2000, 0}, {SCHEDULE_LINEAR, 0, 0}};
    expect(late, 2, 999, 0.05);               /* the warmup is longer than the run */
    assert_true(isfinite(schedule_rate(late, 2, 0.1, 2000, 1000)));
}

static void errors(void **state)
{
    (void)state;
    int at = -1;
    ScheduleStep good[] = {{SCHEDULE_WARMUP, 5, 0}, {SCHEDULE_COSINE, 0, 0}};
    assert_null(schedule_error(good, 2, &at));
    assert_null(schedule_error(NULL, 0, &at));
    const ScheduleStep bad[] = {
        {SCHEDULE_WARMUP, 0, 0}, {SCHEDULE_WARMUP, -1, 0},     {SCHEDULE_COSINE, 5, NAN},
        {SCHEDULE_LINEAR, 5, -1}, {SCHEDULE_STEP, 0, 0.5},     {SCHEDULE_STEP, 5, INFINITY},
    };
    for (int i = 0; i < COUNT(bad); i++) assert_non_null(schedule_error(&bad[i], 1, &at));
    ScheduleStep early[] = {{SCHEDULE_COSINE, 0, 0}, {SCHEDULE_CONSTANT, 5, 0}};
    assert_non_null(schedule_error(early, 2, &at));
    assert_int_equal(at, 0);
    for (int k = 0; k < SCHEDULE_KINDS; k++) {
        assert_int_equal(schedule_named(schedule_name(k)), k);
    }
    assert_int_equal(schedule_named("cosin"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_then_cosine),
        cmocka_unit_test(other_phases),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
