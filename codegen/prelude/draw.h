/* draw.h: the random numbers of a row of elements, four from each call of Philox (ir/rand.h).
 *
 * The same bits as rtc_uniform, in a loop over calls that vectorises. Where 64-bit multiplication
 * is one instruction, words travel in 64 bits.
 */

#ifdef __AVX512DQ__
typedef uint64_t rtc_word;
#else
typedef uint32_t rtc_word;
#endif

RTC_FN float rtc_unit(rtc_word x) { return (float)(int)(x >> 8) * 5.9604644775390625e-8f; }

/* Elements first .. first + n - 1 are at the returned pointer; u has room for n + 8. */
static __attribute__((unused)) const float *rtc_uniform_row(float *restrict u, uint64_t seed,
                                                            uint64_t step, uint64_t site,
                                                            int64_t first, int n)
{
    const uint64_t key = rtc_rand_key(seed, site);
    const int64_t block = first >> 2;
    const int from = (int)(first & 3), blocks = (from + n + 3) >> 2;
#pragma omp simd
    for (int i = 0; i < blocks; i++) {
        const uint64_t at = (uint64_t)(block + i);
        rtc_word x0 = (uint32_t)at, x1 = at >> 32, x2 = (uint32_t)step, x3 = step >> 32;
        rtc_word k0 = (uint32_t)key, k1 = key >> 32;
        for (int round = 0; round < 10; round++) {
            const uint64_t a = (uint64_t)(x0 & 0xffffffffu) * 0xd2511f53u;
            const uint64_t b = (uint64_t)(x2 & 0xffffffffu) * 0xcd9e8d57u;
            x0 = (rtc_word)(b >> 32) ^ x1 ^ k0;
            x1 = (rtc_word)(b & 0xffffffffu);
            x2 = (rtc_word)(a >> 32) ^ x3 ^ k1;
            x3 = (rtc_word)(a & 0xffffffffu);
            k0 = (k0 + 0x9e3779b9u) & 0xffffffffu;
            k1 = (k1 + 0xbb67ae85u) & 0xffffffffu;
        }
        u[4 * i] = rtc_unit(x0);
        u[4 * i + 1] = rtc_unit(x1);
        u[4 * i + 2] = rtc_unit(x2);
        u[4 * i + 3] = rtc_unit(x3);
    }
    return u + from;
}

/* Borders of a lane loop in rising order: cut[0..n), all within 0 .. count. */
RTC_FN void rtc_cuts(int *cut, int n, int count)
{
    for (int i = 0; i < n; i++) cut[i] = rtc_most(0, rtc_least(cut[i], count));
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && cut[k] < cut[k - 1]; k--) {
            const int t = cut[k];
            cut[k] = cut[k - 1];
            cut[k - 1] = t;
        }
}
