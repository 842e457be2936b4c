/* kernel.h: what every emitted kernel is compiled behind: its arguments, int arithmetic,
 * comparisons.
 *
 * The text is compiled with -O3, -ffp-contract=fast, -fno-math-errno, -fno-trapping-math and never
 * -ffast-math: NaN is ordinary, and the order of float operations is the one written, except in
 * `omp simd` reductions. Bools are ints 0 and 1 in registers, bytes in memory.
 */
#include <stdint.h>

/* rtc compiles with -fopenmp-simd; without it the `omp simd` lines mean nothing, which is no fault. */
#pragma GCC diagnostic ignored "-Wunknown-pragmas"

#define RTC_FN     static inline __attribute__((always_inline, unused))
#define RTC_LOWEST (-3.4028234663852886e38f)

typedef struct {
    void *const *buf;
    const int64_t *n;
    uint64_t seed, step;
} rtc_args;

/* ---- bits ---- */

RTC_FN uint32_t rtc_bits(float x)
{
    uint32_t u;
    __builtin_memcpy(&u, &x, 4);
    return u;
}

RTC_FN float rtc_float(uint32_t u)
{
    float x;
    __builtin_memcpy(&x, &u, 4);
    return x;
}

RTC_FN float rtc_nan(void) { return rtc_float(0x7fc00000u); }
RTC_FN float rtc_inf(void) { return rtc_float(0x7f800000u); }

/* ---- sizes and indices: b > 0 ---- */

RTC_FN int rtc_least(int a, int b) { return a < b ? a : b; }
RTC_FN int rtc_most(int a, int b) { return a > b ? a : b; }
RTC_FN int64_t rtc_least64(int64_t a, int64_t b) { return a < b ? a : b; }
RTC_FN int64_t rtc_most64(int64_t a, int64_t b) { return a > b ? a : b; }
RTC_FN int64_t rtc_clamp(int64_t a, int64_t n) { return a < 0 ? 0 : a < n ? a : n - 1; }
RTC_FN int rtc_quotient(int a, int b) { return a / b - (a % b < 0); }
RTC_FN int rtc_remainder(int a, int b) { return a % b + (a % b < 0 ? b : 0); }
RTC_FN int64_t rtc_quotient64(int64_t a, int64_t b) { return a / b - (a % b < 0); }
RTC_FN int64_t rtc_remainder64(int64_t a, int64_t b) { return a % b + (a % b < 0 ? b : 0); }

/* ---- int ops: 32 bits, wrapping; division rounds down, by 0 gives 0 ---- */

RTC_FN int rtc_iabs(int a) { return a < 0 ? (int)(0u - (unsigned)a) : a; }

RTC_FN int rtc_ifloordiv(int a, int b)
{
    int64_t d = b == 0 ? 1 : b, q = a / d;
    q -= a % d != 0 && (a < 0) != (d < 0);
    return b == 0 ? 0 : (int)(uint32_t)q;
}

RTC_FN int rtc_imod(int a, int b)
{
    return b == 0 ? 0 : (int)((unsigned)a - (unsigned)b * (unsigned)rtc_ifloordiv(a, b));
}

RTC_FN int rtc_ipow(int a, int b)
{
    if (b < 0) return a == 1 ? 1 : a != -1 ? 0 : b & 1 ? -1 : 1;
    uint32_t r = 1, x = (uint32_t)a;
    for (; b; b >>= 1, x *= x)
        if (b & 1) r *= x;
    return (int)r;
}

/* Cuts toward 0; what doesn't fit is the nearest int, NaN is 0. */
RTC_FN int rtc_toint(float x)
{
    float in = x >= -2147483648.0f && x < 2147483648.0f ? x : 0.0f;
    int v = (int)in;
    return x >= 2147483648.0f ? 2147483647 : x < -2147483648.0f ? -2147483647 - 1 : v;
}

/* ---- float comparisons: NaN wins ---- */

RTC_FN float rtc_rmax(float a, float b) { return ((b > a) | (b != b)) ? b : a; }
RTC_FN float rtc_rmin(float a, float b) { return ((b < a) | (b != b)) ? b : a; }
RTC_FN float rtc_max(float a, float b) { return ((a > b) | (a != a)) ? a : b; }
RTC_FN float rtc_min(float a, float b) { return ((a < b) | (a != a)) ? a : b; }

#pragma omp declare reduction(rtc_rmax:float                                                       \
                              : omp_out = rtc_rmax(omp_out, omp_in))                               \
    initializer(omp_priv = RTC_LOWEST)
#pragma omp declare reduction(rtc_rmin:float                                                       \
                              : omp_out = rtc_rmin(omp_out, omp_in))                               \
    initializer(omp_priv = -RTC_LOWEST)
