/* What kernels stand on, compiled here: float functions against double, int ops, selection, draws.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* of OpenMP, which tests are not built with */
#include "codegen/prelude/kernel.h"
#include "codegen/prelude/math.h"
#include "codegen/prelude/select.h"
#include "ir/rand.h"
#include "codegen/prelude/draw.h"
#include "ir/scalar.h"

/* ---- float functions ---- */

/* Distance in units of the last place of the true value. */
static double ulps(float got, double want)
{
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isinf((float)want)) return got == (float)want ? 0 : INFINITY;
    if (fabs(want) < 1.2e-38) return fabs(got) <= 1.2e-38f ? 0 : INFINITY;
    return fabs((double)got - want) / ldexp(1, ilogb((float)want) - 23);
}

typedef struct {
    const char *name;
    float (*f)(float);
    double (*want)(double);
    float limit;
    double most;
} Function;

static float f_exp(float x) { return rtc_exp(x); }
static float f_log(float x) { return rtc_log(x); }
static float f_sin(float x) { return rtc_sin(x); }
static float f_cos(float x) { return rtc_cos(x); }
static float f_tanh(float x) { return rtc_tanh(x); }
static float f_erf(float x) { return rtc_erf(x); }
static float f_floor(float x) { return rtc_floor(x); }
static float f_sqrt(float x) { return rtc_sqrt(x); }

static const Function functions[] = {
    {"exp", f_exp, exp, INFINITY, 1.1},     {"log", f_log, log, INFINITY, 1.0},
    {"sin", f_sin, sin, 1e5f, 1.6},         {"cos", f_cos, cos, 1e5f, 1.6},
    {"tanh", f_tanh, tanh, INFINITY, 1.4},  {"erf", f_erf, erf, INFINITY, 1.2},
    {"floor", f_floor, floor, INFINITY, 0}, {"sqrt", f_sqrt, sqrt, INFINITY, 0.6},
};

/* Every 4099th float of all, both signs, NaN and infinities with them. */
static void float_functions(void **state)
{
    (void)state;
    for (int k = 0; k < COUNT(functions); k++) {
        const Function *f = &functions[k];
        for (uint64_t u = 0; u < 0x100000000u; u += 4099) {
            float x = rtc_float((uint32_t)u);
            if (fabsf(x) > f->limit || fpclassify(x) == FP_SUBNORMAL) continue;
            double off = ulps(f->f(x), f->want((double)x));
            if (!(off <= f->most)) fail_msg("%s(%.9g) is off by %g ulp", f->name, (double)x, off);
        }
    }
}

/* Angles of any size stay near: the error grows slowly. */
static void large_angles(void **state)
{
    (void)state;
    for (float x = 1e5f; x < 1e9f; x *= 1.01f) {
        assert_true(fabs(rtc_sin(x) - sin((double)x)) < 1e-6);
        assert_true(fabs(rtc_cos(x) - cos((double)x)) < 1e-6);
    }
}

static void powers(void **state)
{
    (void)state;
    srand(3);
    for (int i = 0; i < 1000000; i++) {
        float a = (float)(rand() % 20001 - 10000) / 1000, b = (float)(rand() % 2001 - 1000) / 50;
        if (i & 1) b = rintf(b);
        double want = pow((double)a, (double)b), off = ulps(rtc_pow(a, b), want);
        if (!(off <= 0.51)) fail_msg("%.9g ^ %.9g is off by %g ulp", (double)a, (double)b, off);
    }
    assert_true(isnan(rtc_pow(NAN, 2)) && isnan(rtc_pow(2, NAN)));
    assert_true(rtc_pow(NAN, 0) == 1 && rtc_pow(0, 0) == 1);
}

static void comparisons(void **state)
{
    (void)state;
    const float v[] = {-INFINITY, -1, -0.0f, 0, 2, INFINITY, NAN};
    for (int i = 0; i < COUNT(v); i++)
        for (int k = 0; k < COUNT(v); k++) {
            float a = v[i], b = v[k];
            float max = (float)scalar_float(OP_max, (double)a, (double)b, 0);
            float min = (float)scalar_float(OP_min, (double)a, (double)b, 0);
            assert_true(ulps(rtc_max(a, b), (double)max) == 0 &&
                        ulps(rtc_min(a, b), (double)min) == 0);
            assert_true(isnan(a) || isnan(b) ? isnan(rtc_rmax(a, b)) || !isnan(b)
                                             : rtc_rmax(a, b) == fmaxf(a, b));
        }
    assert_true(isnan(rtc_rmax(rtc_rmax(1, NAN), 2)) && isnan(rtc_rmin(rtc_rmin(1, NAN), 0)));
}

static void int_ops(void **state)
{
    (void)state;
    const int v[] = {INT32_MIN, INT32_MIN + 1, -7, -2, -1, 0, 1, 2, 3, 7, 31, INT32_MAX};
    for (int i = 0; i < COUNT(v); i++)
        for (int k = 0; k < COUNT(v); k++) {
            uint32_t a = (uint32_t)v[i], b = (uint32_t)v[k];
            assert_int_equal(rtc_ifloordiv(v[i], v[k]), (int)eval_floordiv(a, b));
            assert_int_equal(rtc_imod(v[i], v[k]), (int)eval_mod(a, b));
            assert_int_equal(rtc_ipow(v[i], v[k]), (int)eval_ipow(a, b));
            if (v[k] <= 0) continue;
            int64_t q = (int64_t)floor((double)v[i] / v[k]);
            assert_int_equal(rtc_quotient(v[i], v[k]), q);
            assert_int_equal(rtc_remainder(v[i], v[k]), v[i] - q * v[k]);
            assert_int_equal(rtc_quotient64(v[i], v[k]), q);
        }
    assert_int_equal(rtc_toint(-2.9f), -2);
    assert_int_equal(rtc_toint(3e9f), INT32_MAX);
    assert_int_equal(rtc_toint(-3e9f), INT32_MIN);
    assert_int_equal(rtc_toint(NAN), 0);
}

/* ---- selection ---- */

typedef struct {
    float v;
    int at;
} Ranked;

static int by_rank(const void *p, const void *q)
{
    const Ranked *a = p, *b = q;
    bool an = isnan(a->v), bn = isnan(b->v);
    if (an != bn) return an ? -1 : 1;
    if (!an && a->v != b->v) return a->v > b->v ? -1 : 1;
    return a->at - b->at;
}

static void selection(void **state)
{
    (void)state;
    enum { MOST = 3000 };
    static Ranked want[MOST];
    static uint32_t key[MOST];
    static int best[MOST];
    static char work[3 * 2048 * 4 + 16 * MOST];
    srand(1);
    for (int round = 0; round < 400; round++) {
        int n = 1 + rand() % (round < 300 ? 200 : MOST), w = 1 + rand() % n, kind = rand() % 4;
        for (int i = 0; i < n; i++) {
            float x = (float)(rand() % 2001 - 1000) / 37;
            if (kind == 1) x = (float)(rand() % 5 - 2); /* ties */
            if (kind == 2 && rand() % 3 == 0) x = rand() & 1 ? NAN : -0.0f;
            if (kind == 3) x = 1;
            want[i] = (Ranked){x, i};
            key[i] = rtc_key(x);
        }
        qsort(want, (size_t)n, sizeof *want, by_rank);
        rtc_top(key, n, w, best, work);
        for (int i = 0; i < w; i++) assert_int_equal(best[i], want[i].at);
    }
    assert_true(rtc_ikey(-1) < rtc_ikey(0) && rtc_ikey(0) < rtc_ikey(INT32_MAX));
}

/* ---- draws ---- */

static void draws(void **state)
{
    (void)state;
    static float room[600];
    const int64_t first[] = {0, 1, 2, 3, 4095, ((int64_t)1 << 34) - 5, -3};
    for (int i = 0; i < COUNT(first); i++)
        for (int n = 1; n < 500; n += 37) {
            const float *u =
                rtc_uniform_row(room, 12345678901234ull, (uint64_t)1 << 33, 77, first[i], n);
            assert_true(u + n <= room + n + 8);
            for (int k = 0; k < n; k++) {
                int64_t at = first[i] + k;
                if (at < 0) continue; /* behind a guard: any value */
                assert_true(u[k] ==
                            rtc_uniform(12345678901234ull, (uint64_t)1 << 33, 77, (uint64_t)at));
            }
        }
}

static void borders(void **state)
{
    (void)state;
    int cut[] = {0, 10, 7, -4, 25, 3};
    rtc_cuts(cut, 6, 10);
    const int want[] = {0, 0, 3, 7, 10, 10};
    assert_memory_equal(cut, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_functions), cmocka_unit_test(large_angles),
        cmocka_unit_test(powers),          cmocka_unit_test(comparisons),
        cmocka_unit_test(int_ops),         cmocka_unit_test(selection),
        cmocka_unit_test(draws),           cmocka_unit_test(borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
