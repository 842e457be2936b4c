/* scalar.h: the ops of ops.def on single values, for what is computed while compiling.
 *
 * Ints are 32-bit and wrap, so they travel as uint32_t; bools are 0 and 1.
 */
#ifndef RTC_IR_SCALAR_H
#define RTC_IR_SCALAR_H

#include <math.h>
#include "ir/ir.h"

/* Rounds down; by 0 gives 0; lowest / -1 wraps to lowest. */
static inline uint32_t eval_floordiv(uint32_t a, uint32_t b)
{
    int64_t x = (int32_t)a, y = (int32_t)b;
    if (y == 0) return 0;
    int64_t q = x / y;
    return (uint32_t)(q - (x % y != 0 && (x < 0) != (y < 0)));
}

/* a - b * (a // b); by 0 gives 0. */
static inline uint32_t eval_mod(uint32_t a, uint32_t b)
{
    return b == 0 ? 0 : a - b * eval_floordiv(a, b);
}

/* By squaring, wrapping. A negative power is 1 / a^-b cut toward 0: 0 unless a is 1 or -1. */
static inline uint32_t eval_ipow(uint32_t a, uint32_t b)
{
    if ((int32_t)b < 0) return a == 1 ? 1 : a != UINT32_MAX ? 0 : b & 1 ? UINT32_MAX : 1;
    uint32_t r = 1;
    for (; b; b >>= 1, a *= a)
        if (b & 1) r *= a;
    return r;
}

/* A pointwise op (cast and stop: the value) on floats. Comparisons and bools give 0 or 1. */
static inline double scalar_float(Op op, double a, double b, double c)
{
    (void)b, (void)c;
    switch (op) {
#define OP(name, nargs, cls, flags, dt, vjp, fval, ival, text, cost)                               \
    case OP_##name:                                                                                \
        return fval;
#include "ir/ops.def"
    default:
        return 0;
    }
}

/* The same on ints and bools. */
static inline uint32_t scalar_int(Op op, uint32_t a, uint32_t b, uint32_t c)
{
    (void)b, (void)c;
    switch (op) {
#define OP(name, nargs, cls, flags, dt, vjp, fval, ival, text, cost)                               \
    case OP_##name:                                                                                \
        return ival;
#include "ir/ops.def"
    default:
        return 0;
    }
}

#endif
