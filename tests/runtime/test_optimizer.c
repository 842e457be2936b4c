/* Optimisers against PyTorch's formulas in double, skipped parameters, clipping, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include "ir/philox.h"
#include "runtime/optimizer.h"

enum { N = 50000, RANGES = 5, STEPS = 12 };
static const ParamRange layout[RANGES] = {
    {0, 1, false}, {16, 8192, false}, {8208, 8193, false}, {16416, 30000, false}, {46416, 3, false},
};

typedef struct {
    float grad[N], value[N], m[N], v[N];
    int64_t steps[RANGES];
    double p[N], pm[N], pv[N];           /* the same in double */
    ParamRange ranges[RANGES];
} World;

static float draw(uint32_t i, uint32_t j)
{
    return 2 * philox_float(philox(5, i, j, 0, 0).w[0]) - 1;
}

/* One formula of PyTorch per kind, on element i of range r; t counts from 1. */
static void reference(const Optimizer *o, double rate, double scale, World *w, int i, int64_t t)
{
    double g = (double)w->grad[i] * scale;
    if (o->kind == OPTIMIZER_ADAMW) {
        w->p[i] *= 1 - rate * o->weight_decay;
    } else {
        g += o->weight_decay * w->p[i];
    }
    if (o->kind == OPTIMIZER_SGD) {
        double step = g;
        if (o->momentum != 0) {
            w->pm[i] = t == 1 ? g : o->momentum * w->pm[i] + g;
            step = o->nesterov ? g + o->momentum * w->pm[i] : w->pm[i];
        }
        w->p[i] -= rate * step;
    } else {
        w->pm[i] = o->beta1 * w->pm[i] + (1 - o->beta1) * g;
        w->pv[i] = o->beta2 * w->pv[i] + (1 - o->beta2) * g * g;
        double mhat = w->pm[i] / (1 - pow(o->beta1, (double)t));
        double vhat = w->pv[i] / (1 - pow(o->beta2, (double)t));
        w->p[i] -= rate * mhat / (sqrt(vhat) + o->eps);
    }
}

static World *new_world(void)
{
    World *w = calloc(1, sizeof *w);
    memcpy(w->ranges, layout, sizeof layout);
    for (int i = 0; i < N; i++) w->p[i] = w->value[i] = draw((uint32_t)i, 99);
    return w;
}

/* STEPS steps; the third range is skipped in some. Parallel to the reference where `check`. */
static void train(const Optimizer *o, World *w, bool check)
{
    OptimizerState s = {w->m, w->v, w->steps};
    for (uint32_t step = 0; step < STEPS; step++) {
        double rate = 0.01 / (1 + step), scale = step % 2 ? 0.5 : 1;
        for (int i = 0; i < N; i++) w->grad[i] = draw((uint32_t)i, step);
        w->ranges[2].skip = step % 3 == 1;
        optimizer_step(o, rate, scale, w->ranges, RANGES, w->grad, w->value, &s);
        for (int r = 0; check && r < RANGES; r++) {
            const ParamRange *range = &w->ranges[r];
            for (int64_t i = range->begin; !range->skip && i < range->begin + range->count; i++) {
                reference(o, rate, scale, w, (int)i, w->steps[r]);
            }
        }
    }
}

static void formulas(void **state)
{
    (void)state;
    const Optimizer all[] = {
        {.kind = OPTIMIZER_SGD},
        {.kind = OPTIMIZER_SGD, .weight_decay = 0.1},
        {.kind = OPTIMIZER_SGD, .momentum = 0.9},
        {.kind = OPTIMIZER_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1},
        optimizer_default(OPTIMIZER_ADAM),
        {OPTIMIZER_ADAM, 0, false, 0.8, 0.95, 1e-6, 0.1},
        optimizer_default(OPTIMIZER_ADAMW),
        {OPTIMIZER_ADAMW, 0, false, 0.9, 0.95, 1e-8, 0.1},
    };
    for (int k = 0; k < COUNT(all); k++) {
        World *w = new_world();
        const char *name;
        assert_null(optimizer_error(&all[k], &name));
        train(&all[k], w, true);
        assert_int_equal(w->steps[0], STEPS);
        assert_int_equal(w->steps[2], STEPS - STEPS / 3);
        double worst = 0, moved = 0;
        for (int i = 0; i < N; i++) {
            worst = fmax(worst, fabs((double)w->value[i] - w->p[i]));
            moved = fmax(moved, fabs((double)w->value[i] - (double)draw((uint32_t)i, 99)));
        }
        if (worst > 1e-6) fail_msg("optimiser %d is %g off", k, worst);
        assert_true(moved > 1e-3);
        for (int i = 1; i < 16; i++) {        /* padding belongs to no range */
            assert_true(w->value[i] == draw((uint32_t)i, 99));
            assert_true(w->m[i] == 0);
        }
        free(w);
    }
}

/* Two steps of torch.optim.Adam(lr=0.1) on 1 with gradients 1 and -3, worked out by hand. */
static void adam_by_hand(void **state)
{
    (void)state;
    Optimizer o = optimizer_default(OPTIMIZER_ADAM);
    ParamRange r = {0, 1, false};
    float value = 1, m = 0, v = 0, grad = 1;
    int64_t steps = 0;
    OptimizerState s = {&m, &v, &steps};
    optimizer_step(&o, 0.1, 1, &r, 1, &grad, &value, &s);
    assert_true(fabs(value - 0.9) < 1e-6);
    grad = -3;
    optimizer_step(&o, 0.1, 1, &r, 1, &grad, &value, &s);
    double mhat = (0.9 * 0.1 - 0.3) / 0.19, vhat = (0.999 * 0.001 + 0.009) / 0.001999;
    assert_true(fabs(value - (0.9 - 0.1 * mhat / sqrt(vhat))) < 1e-6);
}

static void skipped_parameters_keep_everything(void **state)
{
    (void)state;
    World *w = new_world(), *before = malloc(sizeof *before);
    Optimizer o = optimizer_default(OPTIMIZER_ADAMW);
    train(&o, w, false);
    memcpy(before, w, sizeof *w);
    for (int r = 0; r < RANGES; r++) w->ranges[r].skip = true;
    OptimizerState s = {w->m, w->v, w->steps};
    optimizer_step(&o, 0.1, 1, w->ranges, RANGES, w->grad, w->value, &s);
    assert_memory_equal(w->value, before->value, sizeof w->value);
    assert_memory_equal(w->m, before->m, sizeof w->m);
    assert_memory_equal(w->v, before->v, sizeof w->v);
    assert_memory_equal(w->steps, before->steps, sizeof w->steps);
    assert_true(optimizer_norm(w->ranges, RANGES, w->grad) == 0);
    free(w);
    free(before);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    int usual = omp_get_max_threads();
    Optimizer o = optimizer_default(OPTIMIZER_ADAMW);
    World *one = NULL;
    double norm = 0;
    for (int threads = 1; threads <= 4; threads++) {
        omp_set_num_threads(threads);
        World *w = new_world();
        train(&o, w, false);
        double now = optimizer_norm(w->ranges, RANGES, w->grad);
        if (!one) {
            one = w;
            norm = now;
            continue;
        }
        assert_memory_equal(w->value, one->value, sizeof w->value);
        assert_memory_equal(w->v, one->v, sizeof w->v);
        assert_true(now == norm);
        free(w);
    }
    omp_set_num_threads(usual);
    free(one);
}

static void norm_and_clipping(void **state)
{
    (void)state;
    World *w = new_world();
    double sum = 0;
    for (int i = 0; i < N; i++) w->grad[i] = draw((uint32_t)i, 3);
    w->ranges[1].skip = true;
    for (int r = 0; r < RANGES; r++) {
        for (int64_t i = 0; r != 1 && i < layout[r].count; i++) {
            sum += pow((double)w->grad[layout[r].begin + i], 2);
        }
    }
    double norm = optimizer_norm(w->ranges, RANGES, w->grad);
    assert_true(fabs(norm - sqrt(sum)) < 1e-9 * norm);
    w->grad[16416 + 20000] = NAN;
    assert_true(isnan(optimizer_norm(w->ranges, RANGES, w->grad)));
    w->grad[16416 + 20000] = INFINITY;
    assert_true(isinf(optimizer_norm(w->ranges, RANGES, w->grad)));
    assert_true(optimizer_clip(0.5, 1) == 1);
    assert_true(optimizer_clip(0, 1) == 1);
    assert_true(optimizer_clip(123, 0) == 1);
    assert_true(fabs(optimizer_clip(4, 1) - 1 / 4.000001) < 1e-15);
    free(w);
}

static void errors(void **state)
{
    (void)state;
    const char *name;
    for (int k = 0; k < OPTIMIZER_KINDS; k++) {
        Optimizer o = optimizer_default(k);
        assert_null(optimizer_error(&o, &name));
        assert_int_equal(optimizer_named(optimizer_name(k)), k);
        o.weight_decay = -1;
        assert_non_null(optimizer_error(&o, &name));
    }
    assert_int_equal(optimizer_named("adamax"), -1);
    Optimizer o = optimizer_default(OPTIMIZER_ADAM);
    assert_int_equal(optimizer_moments(&o), 2);
    o.beta2 = 1;
    assert_non_null(optimizer_error(&o, &name));
    o = (Optimizer){.kind = OPTIMIZER_SGD, .nesterov = true};
    assert_int_equal(optimizer_moments(&o), 0);
    assert_non_null(optimizer_error(&o, &name));
    assert_string_equal(name, "nesterov");
    o.momentum = 1;
    assert_non_null(optimizer_error(&o, &name));
    assert_string_equal(name, "momentum");
    o.momentum = 0.9;
    assert_null(optimizer_error(&o, &name));
    assert_int_equal(optimizer_moments(&o), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas),
        cmocka_unit_test(adam_by_hand),
        cmocka_unit_test(skipped_parameters_keep_everything),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(norm_and_clipping),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
