/* Sampling: frequencies, cuts, ties, determinism, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "runtime/sampler.h"

static Diag *d;
static Arena *a;

static int setup(void **state)
{
    (void)state;
    d = diag_new();
    a = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    diag_free(d);
    arena_free(a);
    return 0;
}

enum { N = 5, DRAWS = 20000 };
static const float logits[N] = {0, 2, 1, 2, -3};

/* Frequencies of DRAWS draws. */
static void draw(SamplerOptions o, double *share)
{
    Sampler *s = sampler_new(d, a, o, N);
    for (int i = 0; i < N; i++) share[i] = 0;
    for (uint64_t i = 0; i < DRAWS; i++) share[sampler_pick(s, logits, i)] += 1.0 / DRAWS;
}

static void frequencies_are_the_softmax(void **state)
{
    (void)state;
    double share[N];
    for (int t = 1; t <= 2; t++) {
        draw((SamplerOptions){.temperature = t, .top_p = 1, .seed = 3}, share);
        double sum = 0;
        for (int i = 0; i < N; i++) sum += exp((double)logits[i] / t);
        for (int i = 0; i < N; i++) {
            assert_true(fabs(share[i] - exp((double)logits[i] / t) / sum) < 0.015);
        }
    }
}

static void cuts(void **state)
{
    (void)state;
    double share[N];
    draw((SamplerOptions){.temperature = 1, .top_k = 1, .top_p = 1}, share);
    assert_true(share[1] == 1 || fabs(share[1] - 1) < 1e-9);      /* the lower of two equals */
    draw((SamplerOptions){.temperature = 1, .top_k = 3, .top_p = 1}, share);
    assert_true(share[0] == 0 && share[4] == 0 && share[1] > 0.4 && share[2] > 0.1);
    draw((SamplerOptions){.temperature = 1, .top_k = 99, .top_p = 1}, share);
    assert_true(share[0] > 0 && share[4] > 0);
    draw((SamplerOptions){.temperature = 1, .top_p = 0.5}, share); /* 0.39 + 0.39 reach it */
    assert_true(fabs(share[1] + share[3] - 1) < 1e-9 && fabs(share[1] - 0.5) < 0.02);
    draw((SamplerOptions){.temperature = 1, .top_p = 0}, share);
    assert_true(fabs(share[1] - 1) < 1e-9);
    draw((SamplerOptions){.temperature = 0, .top_p = 1}, share);
    assert_true(fabs(share[1] - 1) < 1e-9);
    draw((SamplerOptions){.temperature = 1e-3, .top_p = 1}, share);
    assert_true(fabs(share[1] + share[3] - 1) < 1e-9);
}

static void same_seed_same_tokens(void **state)
{
    (void)state;
    SamplerOptions o = {.temperature = 1, .top_k = 4, .top_p = 0.99, .seed = 9}, other = o;
    other.seed = 10;
    Sampler *s = sampler_new(d, a, o, N), *t = sampler_new(d, a, o, N);
    Sampler *u = sampler_new(d, a, other, N);
    int differ = 0;
    for (uint64_t i = 0; i < 500; i++) {
        int token = sampler_pick(s, logits, i);
        assert_int_equal(token, sampler_pick(t, logits, i));
        differ += token != sampler_pick(u, logits, i);
    }
    assert_true(differ > 100);
}

static bool refused(SamplerOptions o, const float *row)
{
    DIAG_TRY(d) { sampler_pick(sampler_new(d, a, o, N), row, 0); }
    DIAG_CATCH(d) { return true; }
    DIAG_END(d)
    return false;
}

static void refusals(void **state)
{
    (void)state;
    const float bad[N] = {0, 1, NAN, 2, 3}, high[N] = {0, INFINITY, 0, 0, 0};
    SamplerOptions ok = {.temperature = 1, .top_p = 1};
    assert_false(refused(ok, logits));
    assert_true(refused(ok, bad));
    assert_non_null(strstr(diag_text(d), "token 2 is nan"));
    assert_true(refused(ok, high));
    assert_true(refused((SamplerOptions){.temperature = 0, .top_p = 1}, high));
    assert_true(refused((SamplerOptions){.temperature = -1, .top_p = 1}, logits));
    assert_true(refused((SamplerOptions){.temperature = NAN, .top_p = 1}, logits));
    assert_true(refused((SamplerOptions){.temperature = 1, .top_p = 1.5}, logits));
    assert_true(refused((SamplerOptions){.temperature = 1, .top_p = 1, .top_k = -1}, logits));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frequencies_are_the_softmax), TEST(cuts), TEST(same_seed_same_tokens), TEST(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
