/* philox.h: the random numbers of rtc, on every device: Philox4x32 of Salmon, Moraes, Dror and
 * Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 *
 * A counter-based generator: four output words are a pure function of a 128-bit counter and a
 * 64-bit key. There is no state to save, any draw can be made again in any order, and therefore
 * recomputation, another device or a resumed run sees the same numbers.
 */
#ifndef RTC_IR_PHILOX_H
#define RTC_IR_PHILOX_H

#include <stdint.h>

typedef struct {
    uint32_t w[4];
} Philox;

/* `rounds` is 10 everywhere that quality matters most; 7 is the fewest that pass BigCrush. */
static inline Philox philox_rounds(Philox counter, uint32_t k0, uint32_t k1, int rounds)
{
    Philox x = counter;
    for (int i = 0; i < rounds; i++) {
        uint64_t a = (uint64_t)0xd2511f53u * x.w[0];
        uint64_t b = (uint64_t)0xcd9e8d57u * x.w[2];
        x = (Philox){{(uint32_t)(b >> 32) ^ x.w[1] ^ k0, (uint32_t)b,
                      (uint32_t)(a >> 32) ^ x.w[3] ^ k1, (uint32_t)a}};
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return x;
}

/* The four words at counter (c0, c1, c2, c3) of the stream `key`. */
static inline Philox philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    Philox counter = {{c0, c1, c2, c3}};
    return philox_rounds(counter, (uint32_t)key, (uint32_t)(key >> 32), 10);
}

/* A word as a float in [0, 1): its upper 24 bits, so every value is exact and 1 never comes. */
static inline float philox_float(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

/* A word as an index in [0, n), n > 0, by multiplication (bias below n / 2^32). */
static inline uint32_t philox_below(uint32_t word, uint32_t n)
{
    return (uint32_t)(((uint64_t)word * n) >> 32);
}

#endif
