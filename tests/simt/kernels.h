/* kernels.h: the real kernels of this folder run at several sizes and compared with plain C. Each
 * function says whether a mode of running gives no report and the right values, and if not, why; so
 * that a test of the kernels and one of their mutants ask the same.
 */
#ifndef SIMT_KERNELS_H
#define SIMT_KERNELS_H

#include "simt_test.h"

enum { WHY = 512 };

/* Names of kernels get this suffix: mutants of one text share an object. */
static const char *kernel_suffix = "";

static inline bool launched(Bench *b, Mode m, const char *kernel, SimtDim grid, SimtDim block,
                            const void *args, size_t bytes, char *why)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", kernel, kernel_suffix);
    if (run(b, m, name, grid, block, 0, args, bytes) == 0) return true;
    snprintf(why, WHY, "%s", simt_report(b->s, 0)->text);
    return false;
}

static inline bool close_to(const float *found, const double *expected, size_t n, double tolerance,
                            char *why)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs(found[i] - expected[i]) <= tolerance * (1.0 + fabs(expected[i])))) {
            snprintf(why, WHY, "element %zu is %.8g, not %.8g", i, (double)found[i], expected[i]);
            return false;
        }
    return true;
}

/* ---- matmul.cu ---- */

typedef struct {
    const void *a, *b;
    float *c;
    int m, n, k;
} MatmulArgs;

static inline float rounded(const void *x, size_t i, bool half)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)((const uint16_t *)x)[i] << 16};
    return half ? v.f : nearest_tf32(((const float *)x)[i]);
}

static inline bool product_good(Bench *bench, Mode mode, bool half, int m, int n, int k, char *why)
{
    size_t size = half ? 2 : 4, na = (size_t)m * (size_t)k, nb = (size_t)n * (size_t)k,
           nc = (size_t)m * (size_t)n;
    void *a = simt_alloc(bench->s, "a", na * size, true),
         *b = simt_alloc(bench->s, "b", nb * size, true);
    float *c = simt_alloc(bench->s, "c", nc * sizeof(float), false);
    double *expected = calloc(nc, sizeof *expected);
    for (size_t i = 0; i < na + nb; i++) {
        float x = noise((uint32_t)i);
        size_t at = i < na ? i : i - na;
        void *to = i < na ? a : b;
        if (half)
            ((uint16_t *)to)[at] = bf16_bits(x);
        else
            ((float *)to)[at] = x;
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            for (int l = 0; l < k; l++)
                expected[i * n + j] += (double)rounded(a, (size_t)(i * k + l), half) *
                                       rounded(b, (size_t)(j * k + l), half);
    MatmulArgs args = {a, b, c, m, n, k};
    SimtDim grid = {(unsigned)(n + 63) / 64, (unsigned)(m + 63) / 64, 1};
    bool good = launched(bench, mode, half ? "matmul" : "matmul_tf32", grid, (SimtDim){128, 1, 1},
                         &args, sizeof args, why) &&
                close_to(c, expected, nc, 1e-5, why);
    free(expected);
    simt_release(bench->s, a);
    simt_release(bench->s, b);
    simt_release(bench->s, c);
    return good;
}

static inline bool matmul_good(Bench *b, Mode m, char *why)
{
    return product_good(b, m, true, 64, 64, 96, why) && product_good(b, m, true, 70, 81, 40, why);
}

static inline bool matmul_tf32_good(Bench *b, Mode m, char *why)
{
    return product_good(b, m, false, 64, 64, 48, why) && product_good(b, m, false, 70, 81, 20, why);
}

/* ---- softmax.cu ---- */

typedef struct {
    const float *x;
    float *y;
    int n;
} SoftmaxArgs;

static inline bool softmax_rows_good(Bench *b, Mode m, int rows, int n, char *why)
{
    size_t count = (size_t)rows * (size_t)n;
    float *x = simt_alloc(b->s, "x", count * sizeof *x, true),
          *y = simt_alloc(b->s, "y", count * sizeof *y, false);
    double *expected = malloc(count * sizeof *expected);
    for (int r = 0; r < rows; r++) {
        double sum = 0.0, shift = r % 3 == 0 ? 0.0 : -100.0 * r;
        /* One number so large in most rows that the sum overflows if the maximum passes it by. */
        int largest = r * 149 % n;
        for (int i = 0; i < n; i++) {
            int at = r * n + i;
            x[at] =
                noise((uint32_t)at) * 3.0f + (r > 1 && i == largest ? 110.0f : 0.0f) + (float)shift;
            sum += expected[at] = exp((double)x[at] - shift);
        }
        for (int i = 0; i < n; i++) expected[r * n + i] /= sum;
    }
    SoftmaxArgs args = {x, y, n};
    bool good = launched(b, m, "softmax", (SimtDim){(unsigned)rows, 1, 1}, (SimtDim){128, 1, 1},
                         &args, sizeof args, why) &&
                close_to(y, expected, count, 1e-5, why);
    free(expected);
    simt_release(b->s, x);
    simt_release(b->s, y);
    return good;
}

static inline bool softmax_good(Bench *b, Mode m, char *why)
{
    return softmax_rows_good(b, m, 12, 1024, why) && softmax_rows_good(b, m, 3, 340, why) &&
           softmax_rows_good(b, m, 9, 12, why);
}

/* ---- segments.cu ---- */

typedef struct {
    const float *x;
    const int *first, *list;
    float *out;
    int d;
} SegmentsArgs;

static inline bool segments_of_width_good(Bench *b, Mode m, int d, char *why)
{
    enum { ROWS = 700, SEGMENTS = 6 };
    static const int sizes[SEGMENTS] = {3,  0, 600, 1,
                                        64, 32}; /* all rows: one is the fetch's 256 twice over */
    size_t nx = (size_t)(ROWS * d), n = (size_t)(SEGMENTS * d);
    float *x = simt_alloc(b->s, "x", nx * sizeof *x, true),
          *out = simt_alloc(b->s, "out", n * sizeof *out, false);
    int *first = simt_alloc(b->s, "first", (SEGMENTS + 1) * sizeof *first, true);
    int *list = simt_alloc(b->s, "list", ROWS * sizeof *list, true);
    double *expected = calloc(n, sizeof *expected);
    first[0] = 0;
    for (int i = 0; i < SEGMENTS; i++) first[i + 1] = first[i] + sizes[i];
    for (int i = 0; i < ROWS; i++) list[i] = i * 333 % ROWS;
    for (size_t i = 0; i < nx; i++) x[i] = noise((uint32_t)i);
    for (int s = 0; s < SEGMENTS; s++)
        for (int i = first[s]; i < first[s + 1]; i++)
            for (int j = 0; j < d; j++) expected[s * d + j] += x[list[i] * d + j];
    SegmentsArgs args = {x, first, list, out, d};
    SimtDim grid = {SEGMENTS, (unsigned)(d + 31) / 32, 1};
    bool good = launched(b, m, "segments", grid, (SimtDim){256, 1, 1}, &args, sizeof args, why) &&
                close_to(out, expected, n, 1e-5, why);
    free(expected);
    void *all[] = {x, out, first, list};
    for (int i = 0; i < COUNT(all); i++) simt_release(b->s, all[i]);
    return good;
}

static inline bool segments_good(Bench *b, Mode m, char *why)
{
    return segments_of_width_good(b, m, 64, why) && segments_of_width_good(b, m, 21, why);
}

#endif
