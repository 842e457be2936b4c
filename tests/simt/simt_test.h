/* simt_test.h: kernel texts of this folder, on the machine in its three ways of running. */
#ifndef SIMT_TEST_H
#define SIMT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "runtime/simt.h"

typedef enum { FORWARD, REVERSE, CHECKED, MODES } Mode;
static const char *const mode_names[] = {"forward", "reverse", "checked"};

typedef struct {
    Diag *d;
    Simt *s;
    SimtModule *fast, *checked;
} Bench;

static inline char *read_kernels(Diag *d, const char *name)
{
    const char *path =
        arena_printf(diag_arena(d), "%s/tests/simt/kernels/%s", RTC_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    Str s = {.arena = diag_arena(d)};
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) str_addn(&s, part, n);
    fclose(f);
    return s.s;
}

static inline void bench_compile(Bench *b, const char *name, const char *text)
{
    CacheOptions cache = {.off = true};
    DIAG_TRY(b->d)
    {
        b->fast = simt_compile(b->s, name, text, SIMT_FAST, &cache);
        b->checked = simt_compile(b->s, name, text, SIMT_CHECKED_BUILD, &cache);
    }
    DIAG_CATCH(b->d) { fail_msg("%s", diag_text(b->d)); }
    DIAG_END(b->d)
}

static inline Bench bench_open(const char *file)
{
    Bench b = {.d = diag_new()};
    b.s = simt_new(b.d);
    if (file) bench_compile(&b, file, read_kernels(b.d, file));
    return b;
}

static inline void bench_close(Bench *b)
{
    simt_free(b->s);
    diag_free(b->d);
}

/* One launch of a kernel that there must be; the number of reports. */
static inline int run(Bench *b, Mode mode, const char *kernel, SimtDim grid, SimtDim block,
                      size_t shared, const void *args, size_t bytes)
{
    const SimtKernel *k = simt_kernel(mode == CHECKED ? b->checked : b->fast, kernel);
    assert_non_null(k);
    SimtLaunch l = {grid, block, shared,
                    args, bytes, mode == REVERSE ? SIMT_REVERSE : SIMT_FORWARD};
    int n = -1;
    DIAG_TRY(b->d) { n = simt_launch(b->s, k, &l); }
    DIAG_CATCH(b->d) { fail_msg("%s", diag_text(b->d)); }
    DIAG_END(b->d)
    return n;
}

static inline void run_well(Bench *b, Mode mode, const char *kernel, SimtDim grid, SimtDim block,
                            size_t shared, const void *args, size_t bytes)
{
    if (run(b, mode, kernel, grid, block, shared, args, bytes) == 0) return;
    fail_msg("%s: %s", mode_names[mode], simt_report(b->s, 0)->text);
}

/* Numbers that look random, the same every time. */
static inline uint32_t noise_bits(uint32_t i)
{
    i = (i ^ i >> 16) * 0x7feb352du;
    i = (i ^ i >> 15) * 0x846ca68bu;
    return i ^ i >> 16;
}
static inline float noise(uint32_t i) { return (float)noise_bits(i) * 0x1p-31f - 1.0f; }

/* Finite numbers rounded by arithmetic, not by bits: bf16 has 8 bits, ties go to even; tf32 has 11,
 * ties go away from 0. */
static inline float unit_of(float x, int bits)
{
    int e;
    (void)frexpf(x, &e);
    return ldexpf(1.0f, e - bits);
}
static inline float nearest_bf16(float x)
{
    return x == 0.0f ? x : rintf(x / unit_of(x, 8)) * unit_of(x, 8);
}
static inline float nearest_tf32(float x)
{
    return x == 0.0f ? x : roundf(x / unit_of(x, 11)) * unit_of(x, 11);
}
static inline uint16_t bf16_bits(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {nearest_bf16(x)};
    return (uint16_t)(v.u >> 16);
}

#endif
