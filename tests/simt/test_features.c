/* Each construct of kernel text, against plain C: in both orders and in the checked build. */
#include "simt_test.h"
#include <string.h>
#include "ir/rand.h"

static Bench bench;

static int open_bench(void **state)
{
    (void)state;
    bench = bench_open("features.cu");
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    bench_close(&bench);
    return 0;
}

/* Buffers live until the end of a test; n elements. */
#define IN(T, name, n)  T *name = simt_alloc(bench.s, #name, sizeof(T) * (n), true)
#define OUT(T, name, n) T *name = simt_alloc(bench.s, #name, sizeof(T) * (n), false)
#define ONE(n)          ((SimtDim){(n), 1, 1})
#define RUN(mode, kernel, grid, block, shared, args)                                               \
    run_well(&bench, mode, kernel, grid, block, shared, &(args), sizeof(args))
#define FOR_MODES(m) for (Mode m = 0; m < MODES; m++)

typedef struct {
    int *out;
    int stride_y, stride_z;
} IndexArgs;
static void indices_of_three_dimensions(void **state)
{
    (void)state;
    OUT(int, out, 8 * 6 * 4);
    IndexArgs a = {out, 8, 48};
    FOR_MODES(m)
    {
        simt_forget(bench.s, out);
        RUN(m, "index3", ((SimtDim){2, 3, 2}), ((SimtDim){4, 2, 2}), 0, a);
        for (int i = 0; i < 8 * 6 * 4; i++) assert_int_equal(out[i], 232 + i % 8 * 1000);
    }
    simt_release(bench.s, out);
}

typedef struct {
    const float *in[4];
    float *out;
    long long n;
    float scale[4];
} ArrayArgs;
static void arguments_with_arrays_and_a_table(void **state)
{
    (void)state;
    static const int primes[] = {2, 3, 5, 7, 11, 13, 17, 19};
    OUT(float, out, 50);
    ArrayArgs a = {.out = out, .n = 50, .scale = {1, 2, 3, 4}};
    float *in[4];
    for (int i = 0; i < 4; i++) {
        a.in[i] = in[i] = simt_alloc(bench.s, "in", sizeof(float) * 16, true);
        for (int k = 0; k < 16; k++) in[i][k] = (float)(i * 16 + k);
    }
    FOR_MODES(m)
    {
        simt_forget(bench.s, out);
        RUN(m, "array_arguments", ONE(1), ONE(64), 0, a);
        for (int i = 0; i < 50; i++)
            assert_float_equal(
                out[i], (float)(i % 4 * 16 + i / 4) * (float)(i % 4 + 1) + (float)primes[i % 8], 0);
    }
    for (int i = 0; i < 4; i++) simt_release(bench.s, in[i]);
    simt_release(bench.s, out);
}

static int ascending(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

typedef struct {
    const float *in;
    float *out;
} PairArgs;
static void local_arrays(void **state)
{
    (void)state;
    IN(float, in, 512);
    OUT(float, out, 64);
    PairArgs a = {in, out};
    for (int i = 0; i < 512; i++) in[i] = noise((uint32_t)i);
    FOR_MODES(m)
    {
        simt_forget(bench.s, out);
        RUN(m, "local_array", ONE(1), ONE(64), 0, a);
        for (int t = 0; t < 64; t++) {
            float v[8];
            memcpy(v, in + t * 8, sizeof v);
            qsort(v, 8, sizeof *v, ascending);
            assert_float_equal(out[t], v[t % 3 == 0 ? 0 : t % 3 == 1 ? 7 : t % 8], 0);
        }
    }
    simt_release(bench.s, in);
    simt_release(bench.s, out);
}

static void shared_memory(void **state)
{
    (void)state;
    IN(float, in, 64);
    OUT(float, out, 64);
    PairArgs a = {in, out};
    for (int i = 0; i < 64; i++) in[i] = (float)i;
    FOR_MODES(m)
    {
        simt_forget(bench.s, out);
        RUN(m, "shared_both", ONE(1), ONE(64), 64 * sizeof(float), a);
        for (int t = 0; t < 64; t++) assert_float_equal(out[t], 2.0f * (float)(63 - t), 0);
        RUN(m, "narrow", ONE(1), ONE(64), 0, a);
        for (int t = 0; t < 64; t++) {
            int other = 63 - t;
            assert_float_equal(out[t], (float)(other * 3 % 256) - 50.0f * (float)other + in[t], 0);
        }
    }
    simt_release(bench.s, in);
    simt_release(bench.s, out);
}

typedef struct {
    const float *f;
    const int *i;
    float *fo;
    int *io;
    unsigned *uo;
} VectorArgs;
static void vectors(void **state)
{
    (void)state;
    IN(float, f, 128);
    IN(int, in, 128);
    OUT(float, fo, 128);
    OUT(int, io, 128);
    OUT(unsigned, uo, 64);
    VectorArgs a = {f, in, fo, io, uo};
    for (int i = 0; i < 128; i++) f[i] = (float)i, in[i] = i * 10;
    FOR_MODES(m)
    {
        RUN(m, "vectors", ONE(1), ONE(32), 0, a);
        for (int t = 0; t < 32; t++) {
            int x = t * 4, y = t * 2;
            float last = f[x] + f[y] + f[y + 1];
            assert_true(fo[x] == f[x + 3] && fo[x + 1] == f[x + 2] && fo[x + 2] == f[x + 1] &&
                        fo[x + 3] == last);
            assert_true(io[x] == in[x + 3] && io[x + 1] == in[x + 2] && io[x + 2] == in[y + 1] &&
                        io[x + 3] == in[y]);
            assert_true(uo[y] == (unsigned)(in[x] + in[x + 1]) && uo[y + 1] == (unsigned)in[y] + 7);
        }
    }
    void *all[] = {f, in, fo, io, uo};
    for (int i = 0; i < COUNT(all); i++) simt_release(bench.s, all[i]);
}

/* ---- barriers, votes, shuffles ---- */

typedef struct {
    const int *in;
    int *out;
} IntArgs;

static IntArgs int_buffers(int n, int outputs)
{
    int *in = simt_alloc(bench.s, "in", sizeof(int) * (size_t)n, true);
    for (int i = 0; i < n; i++) in[i] = (int)(noise_bits((uint32_t)i) % 401) - 200;
    return (IntArgs){in, simt_alloc(bench.s, "out", sizeof(int) * (size_t)outputs, false)};
}

static void release_ints(IntArgs a)
{
    simt_release(bench.s, (int *)a.in);
    simt_release(bench.s, a.out);
}

static void votes_of_a_block(void **state)
{
    (void)state;
    IntArgs a = int_buffers(96, 96);
    int *in = (int *)a.in;
    for (int round = 0; round < 3; round++) {
        int count = 0, all = 1, any = 0;
        if (round == 1) in[40] = 77;
        for (int i = 0; i < 96; i++) {
            if (round == 2) in[i] = i;
            count += in[i] > 3, all &= in[i] >= 0, any |= in[i] == 77;
        }
        FOR_MODES(m)
        {
            RUN(m, "block_votes", ONE(1), ONE(96), 0, a);
            for (int i = 0; i < 96; i++)
                assert_int_equal(a.out[i], count + all * 1000 + any * 10000);
        }
    }
    release_ints(a);
}

static void shuffles(void **state)
{
    (void)state;
    IntArgs a = int_buffers(64, 512);
    FOR_MODES(m)
    {
        RUN(m, "shuffles", ONE(1), ONE(64), 0, a);
        for (int t = 0; t < 64; t++) {
            const int *in = a.in + t / 32 * 32, *o = a.out + t * 8;
            int l = t % 32;
            int expected[8] = {
                in[t * 7 % 32], in[l ^ 5], in[l < 3 ? l : l - 3],  in[l > 27 ? l : l + 4], in[9],
                in[l ^ 1],      in[l ^ 2], l < 16 ? in[l ^ 8] : -1};
            for (int i = 0; i < 8; i++) assert_int_equal(o[i], expected[i]);
        }
    }
    release_ints(a);
}

static void votes_and_sums_of_a_warp(void **state)
{
    (void)state;
    IntArgs a = int_buffers(32, 32 * 12);
    const int *in = a.in;
    unsigned e[11] = {0, 0, 1, 0, (unsigned)in[0], (unsigned)in[0], ~0u, 0, ~0u, 0, 0};
    for (int i = 0; i < 32; i++) {
        unsigned u = (unsigned)in[i];
        e[0] |= (unsigned)(in[i] > 10) << i;
        e[3] += u;
        if (in[i] < (int)e[4]) e[4] = u;
        if (in[i] > (int)e[5]) e[5] = u;
        if (u < e[6]) e[6] = u;
        if (u > e[7]) e[7] = u;
        e[8] &= u, e[9] |= u, e[10] ^= u;
    }
    FOR_MODES(m)
    {
        RUN(m, "warp_votes", ONE(1), ONE(32), 0, a);
        for (int t = 0; t < 32; t++) {
            for (int i = 0; i < 11; i++) assert_int_equal((unsigned)a.out[t * 12 + i], e[i]);
            assert_int_equal(a.out[t * 12 + 11], t < 7 ? 0x2a : 0);
        }
    }
    release_ints(a);
}

static void order_within_and_between_warps(void **state)
{
    (void)state;
    IntArgs a = int_buffers(128, 128);
    FOR_MODES(m)
    {
        int v[64];
        RUN(m, "warp_order", ONE(1), ONE(64), 0, a);
        for (int t = 0; t < 64; t++) v[t] = a.in[t / 16 * 16 + (t + 1) % 16];
        for (int t = 0; t < 64; t++) assert_int_equal(a.out[t], v[t ^ 31] * 2 + v[t]);
        RUN(m, "ring", ONE(1), ONE(128), 0, a);
        for (int t = 0; t < 128; t++) {
            int l = t % 32;
            assert_int_equal(a.out[t], a.in[l] + a.in[l + 32] + a.in[l + 64] + a.in[l + 96]);
        }
        RUN(m, "part_of_a_warp", ONE(1), ONE(40), 0, a);
        for (int t = 0; t < 40; t++) {
            int sum = t < 32 ? -1 : 0xff;
            for (int i = t / 32 * 32; i < (t < 32 ? 32 : 40); i++) sum += a.in[i];
            assert_int_equal(a.out[t], sum);
        }
    }
    release_ints(a);
}

typedef struct {
    const int *in;
    int *i;
    unsigned *u;
    float *f;
} AtomicArgs;
static void atomics(void **state)
{
    (void)state;
    IN(int, in, 256);
    IN(int, i, 8);
    IN(unsigned, u, 3);
    IN(float, f, 1);
    AtomicArgs a = {in, i, u, f};
    int sum = 0, least = 1 << 30, most = -(1 << 30), and = -1, or = 0;
    unsigned low = ~0u, high = 0;
    for (int k = 0; k < 256; k++) {
        int v = in[k] = (int)(noise_bits((uint32_t)k) % 2001) - 1000;
        sum += v, and &= v, or |= v;
        if (v < least) least = v;
        if (v > most) most = v;
        if ((unsigned)v < low) low = (unsigned)v;
        if ((unsigned)v > high) high = (unsigned)v;
    }
    FOR_MODES(m)
    {
        int start[8] = {0, 1 << 30, -(1 << 30), -1, 0, 0, 0, 0};
        memcpy(i, start, sizeof start);
        u[0] = 0, u[1] = ~0u, u[2] = 0, f[0] = 0.0f;
        RUN(m, "atomics", ONE(4), ONE(64), 0, a);
        int expected[8] = {sum, least, most, and, or, 0, 0, 0};
        assert_memory_equal(i, expected, sizeof expected);
        assert_true(u[0] == (unsigned)sum && u[1] == low && u[2] == high);
        assert_float_equal(f[0], (float)sum, 0);
    }
    void *all[] = {in, i, u, f};
    for (int k = 0; k < COUNT(all); k++) simt_release(bench.s, all[k]);
}

/* ---- numbers ---- */

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static void near_to(float found, double expected)
{
    if (fabs(found - expected) > 4e-6 * (1.0 + fabs(expected)))
        fail_msg("%.9g is not %.9g", (double)found, expected);
}

static void check_floats(const float *f, float x32, bool first)
{
    double x = x32, y = (double)(fabsf(x32) + 0.5f);
    double sum = fmin(x, y) + fmax(x, 0) + sqrt(y) + floor(x) + ceil(x) + rint(x);
    double expected[] = {x * y + 1.25,
                         x * x - y,
                         (x + y) * (x * y),
                         sum,
                         1 / sqrt(y),
                         exp2(x),
                         log2(y),
                         1 / y + 1 / sqrt(y),
                         exp(x) + log(y) + exp2(x) + log2(y),
                         sin(x) + cos(x) + tanh(x) + erf(x),
                         -x + y};
    for (int i = 0; i < 11; i++) near_to(f[i], expected[i]);
    if (first)
        assert_true(isinf(f[11]) && f[11] > 0);
    else
        near_to(f[11], pow(y, x));
}

static void check_bits(const unsigned *o, unsigned u, float x)
{
    unsigned ones = 0, zeros = 0, first = 0;
    for (int i = 0; i < 32; i++) ones += u >> i & 1;
    for (int i = 31; i >= 0 && !(u >> i & 1); i--) zeros++;
    for (int i = 31; i >= 0; i--)
        if (u >> i & 1) first = (unsigned)i + 1;
    assert_int_equal(o[0], ones);
    assert_int_equal(o[1], zeros);
    assert_int_equal(o[2], first);
    assert_int_equal(o[3], (unsigned)((uint64_t)u * 0xd2511f53u >> 32));
    assert_int_equal(o[4], (u & 0x8000u ? 0xffffu : 0u) | (u >> 31 ? 0xffff0000u : 0u));
    if (isfinite(float_of(u)) && (u & 0x7f800000u) && (u & 0x7fffffffu) < 0x7f7f0000u)
        assert_int_equal(o[5], bf16_bits(float_of(u)));
    assert_int_equal(o[6], bf16_bits(x) | (unsigned)bf16_bits(fabsf(x) + 0.5f) << 16);
    assert_int_equal(o[7], u << 16 ^ (u & 0xffff0000u));
    assert_true(fabsf(float_of(o[8]) - x) <= fabsf(x) * 0x1p-11f && !(o[8] & 0x1fffu));
    assert_int_equal(o[9], u << 16);
    assert_int_equal(o[10], (unsigned)((uint64_t)u * 0x9e3779b97f4a7c15ull >> 40));
    assert_int_equal(o[11],
                     (unsigned)(int32_t)((double)(int)u / 8.0 - ((int)u % 8 < 0 ? 1.0 : 0.0)));
}

typedef struct {
    const float *x;
    const unsigned *u;
    float *f;
    unsigned *o;
} NumberArgs;
static void numbers(void **state)
{
    (void)state;
    static const unsigned odd[] = {0,           1,           0x7f800000u, 0xff800000u,
                                   0x7fc00001u, 0x3f808000u, 0x3f818000u, 0x7f7fffffu,
                                   0x80000000u, 0xffffffffu, 0x00008000u, 0x7f800001u};
    static const unsigned rounded[] = {0,      0,      0x7f80, 0xff80, 0x7fff, 0x3f80,
                                       0x3f82, 0x7f80, 0x8000, 0x7fff, 0,      0x7fff};
    IN(float, x, 64);
    IN(unsigned, u, 64);
    OUT(float, f, 64 * 12);
    OUT(unsigned, o, 64 * 12);
    NumberArgs a = {x, u, f, o};
    for (int i = 0; i < 64; i++)
        x[i] = noise((uint32_t)i) * 4.0f, u[i] = noise_bits((uint32_t)i + 99);
    memcpy(u, odd, sizeof odd);
    FOR_MODES(m)
    {
        RUN(m, "numbers", ONE(1), ONE(64), 0, a);
        for (int i = 0; i < 64; i++) {
            check_floats(f + i * 12, x[i], i == 0);
            check_bits(o + i * 12, u[i], x[i]);
            if (i < COUNT(rounded)) assert_int_equal(o[i * 12 + 5], rounded[i]);
        }
    }
    void *all[] = {x, u, f, o};
    for (int k = 0; k < COUNT(all); k++) simt_release(bench.s, all[k]);
}

typedef struct {
    float *out;
    uint64_t seed, step, site;
} DrawArgs;
static void draws(void **state)
{
    (void)state;
    OUT(float, out, 256);
    DrawArgs a = {out, 7, 1ull << 40, 3};
    FOR_MODES(m)
    {
        RUN(m, "draws", ONE(4), ONE(64), 0, a);
        for (int i = 0; i < 256; i++)
            assert_float_equal(out[i], 2.0f * rtc_uniform(a.seed, a.step, a.site, (uint64_t)i), 0);
    }
    simt_release(bench.s, out);
}

/* ---- tensor cores, matrix loads, copies ---- */

typedef struct {
    const uint16_t *a, *b;
    const float *c;
    float *out;
} MmaArgs;
typedef struct {
    const float *a, *b, *c;
    float *out;
} MmaFloatArgs;
static void tensor_cores(void **state)
{
    (void)state;
    IN(uint16_t, a16, 16 * 16);
    IN(uint16_t, b16, 8 * 16);
    IN(float, a8, 16 * 8);
    IN(float, b8, 8 * 8);
    IN(float, c, 16 * 8);
    OUT(float, out, 16 * 8);
    for (uint32_t i = 0; i < 256; i++) a16[i] = bf16_bits(noise(i));
    for (uint32_t i = 0; i < 128; i++)
        b16[i] = bf16_bits(noise(i + 1000)), a8[i] = noise(i + 2000), c[i] = noise(i + 3000);
    for (uint32_t i = 0; i < 64; i++) b8[i] = noise(i + 4000);
    MmaArgs half = {a16, b16, c, out};
    MmaFloatArgs tf = {a8, b8, c, out};
    FOR_MODES(m)
    {
        RUN(m, "mma16", ONE(1), ONE(32), 0, half);
        for (int i = 0; i < 128; i++) {
            double sum = c[i];
            for (int k = 0; k < 16; k++)
                sum += (double)float_of((uint32_t)a16[i / 8 * 16 + k] << 16) *
                       float_of((uint32_t)b16[i % 8 * 16 + k] << 16);
            near_to(out[i], sum);
        }
        RUN(m, "mma8", ONE(1), ONE(32), 0, tf);
        for (int i = 0; i < 128; i++) {
            double sum = c[i];
            for (int k = 0; k < 8; k++)
                sum += (double)nearest_tf32(a8[i / 8 * 8 + k]) * nearest_tf32(b8[i % 8 * 8 + k]);
            near_to(out[i], sum);
        }
    }
    void *all[] = {a16, b16, a8, b8, c, out};
    for (int k = 0; k < COUNT(all); k++) simt_release(bench.s, all[k]);
}

typedef struct {
    const uint16_t *in;
    unsigned *out;
} MatrixArgs;
static void matrix_loads(void **state)
{
    (void)state;
    IN(uint16_t, in, 256);
    OUT(unsigned, out, 12 * 32);
    MatrixArgs a = {in, out};
    for (int i = 0; i < 256; i++) in[i] = (uint16_t)(i * 251);
    FOR_MODES(m)
    {
        simt_forget(bench.s, out);
        RUN(m, "matrices", ONE(1), ONE(32), 0, a);
        for (int r = 0; r < 12; r++) {
            bool transposed = (r >= 4 && r < 8) || r >= 10;
            const uint16_t *x = in + (r < 8 ? r % 4 : r % 2) * 64; /* the matrix */
            for (int l = 0; l < 32; l++) {
                int row = l / 4, column = l % 4 * 2;
                unsigned low = transposed ? x[column * 8 + row] : x[row * 8 + column];
                unsigned high = transposed ? x[(column + 1) * 8 + row] : x[row * 8 + column + 1];
                assert_int_equal(out[r * 32 + l], low | high << 16);
            }
        }
    }
    simt_release(bench.s, in);
    simt_release(bench.s, out);
}

static void asynchronous_copies(void **state)
{
    (void)state;
    IN(float, in, 224);
    OUT(float, out, 192);
    PairArgs a = {in, out};
    for (int i = 0; i < 224; i++) in[i] = (float)(i + 1);
    FOR_MODES(m)
    {
        simt_forget(bench.s, out);
        RUN(m, "copies", ONE(1), ONE(32), 0, a);
        for (int l = 0; l < 32; l++) {
            assert_float_equal(out[l], in[l * 4] + in[l * 4 + 3], 0);
            assert_float_equal(out[32 + l], in[128 + 63 - l] + in[192 + 31 - l], 0);
        }
        for (int i = 0; i < 128; i++) {
            float expected = (127 - i) / 4 % 3 ? 0.0f : in[127 - i];
            assert_float_equal(out[64 + i], expected, 0);
        }
    }
    simt_release(bench.s, in);
    simt_release(bench.s, out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_of_three_dimensions),
        cmocka_unit_test(arguments_with_arrays_and_a_table),
        cmocka_unit_test(local_arrays),
        cmocka_unit_test(shared_memory),
        cmocka_unit_test(vectors),
        cmocka_unit_test(votes_of_a_block),
        cmocka_unit_test(shuffles),
        cmocka_unit_test(votes_and_sums_of_a_warp),
        cmocka_unit_test(order_within_and_between_warps),
        cmocka_unit_test(atomics),
        cmocka_unit_test(numbers),
        cmocka_unit_test(draws),
        cmocka_unit_test(tensor_cores),
        cmocka_unit_test(matrix_loads),
        cmocka_unit_test(asynchronous_copies),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
