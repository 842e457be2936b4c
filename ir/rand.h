/* rand.h: which random number belongs to which element of which draw. One function for every
 * device: this text is compiled here and emitted into kernels (C and CUDA C++), so it needs nothing
 * but uint32_t and uint64_t. RTC_FN says how a function is declared there.
 *
 *   key      two words: rand_key(seed, site), one-to-one in the site for a fixed seed
 *   counter  four words: element / 4 (low, high), step (low, high)
 *   output   word number element % 4, its upper 24 bits as a float in [0, 1)
 *
 * Four neighbouring elements therefore share one call (rtc_uniform4), which is what a thread that
 * holds a quad of a row needs. The generator is Philox4x32-10, as in philox.h.
 */
#ifndef RTC_IR_RAND_H
#define RTC_IR_RAND_H

#ifndef RTC_FN
#include <stdint.h>
#define RTC_FN static inline
#endif

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits. */
RTC_FN uint64_t rtc_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

RTC_FN uint64_t rtc_rand_key(uint64_t seed, uint64_t site)
{
    return rtc_mix64(rtc_mix64(seed) + site);
}

/* The 32-bit words of elements 4 * block .. 4 * block + 3. */
RTC_FN void rtc_random4(uint64_t seed, uint64_t step, uint64_t site, uint64_t block, uint32_t *w)
{
    uint64_t key = rtc_rand_key(seed, site);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t x0 = (uint32_t)block, x1 = (uint32_t)(block >> 32);
    uint32_t x2 = (uint32_t)step, x3 = (uint32_t)(step >> 32);
    for (int i = 0; i < 10; i++) {
        uint64_t a = (uint64_t)0xd2511f53u * x0;
        uint64_t b = (uint64_t)0xcd9e8d57u * x2;
        x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    w[0] = x0;
    w[1] = x1;
    w[2] = x2;
    w[3] = x3;
}

/* 24 bits: every value is exact in float32 and 1 never comes. */
RTC_FN float rtc_word_float(uint32_t word) { return (float)(word >> 8) * 5.9604644775390625e-8f; }

RTC_FN void rtc_uniform4(uint64_t seed, uint64_t step, uint64_t site, uint64_t block, float *u)
{
    uint32_t w[4];
    rtc_random4(seed, step, site, block, w);
    for (int i = 0; i < 4; i++) u[i] = rtc_word_float(w[i]);
}

/* The draw of one element: its row-major number in the space of the `rand` node. */
RTC_FN float rtc_uniform(uint64_t seed, uint64_t step, uint64_t site, uint64_t element)
{
    uint32_t w[4];
    rtc_random4(seed, step, site, element >> 2, w);
    uint32_t even = element & 2 ? w[2] : w[0], odd = element & 2 ? w[3] : w[1];   /* loops over elements vectorise */
    return rtc_word_float(element & 1 ? odd : even);
}

#endif
