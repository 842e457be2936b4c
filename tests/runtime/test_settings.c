/* The `train` block: what it may hold, and where a mistake in it is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "runtime/settings.h"

#define MODEL "model m() {\n  param w[2] ~ normal(0, 1)\n  fn (x[b,i: 2]) {\n" \
              "    let y[b] = sum[i] x[b,i] * w[i]\n    return y\n  }\n}\n"

static void drop_program(void *p) { program_free(p); }

/* The settings of a model with this train block; on an error its text, else NULL. */
static const char *settings_of(const char *block, const Override *set, int nset, TrainSettings *t)
{
    static char text[4096];
    char path[] = "/tmp/rtc-settings-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    fprintf(f, "%s%s", MODEL, block);
    fclose(f);
    Diag *d = diag_new();
    const char *volatile error = NULL;
    DIAG_TRY(d)
    {
        Program *p = program_load(d, &(LoadOptions){.path = path, .set = set, .nset = nset});
        diag_defer(d, drop_program, p);
        *t = train_settings(d, p);
        static ScheduleStep phases[8];           /* they outlive the program */
        for (int i = 0; i < t->nphases; i++) phases[i] = t->phases[i];
        t->phases = phases;
        diag_undefer(d);
        program_free(p);
    }
    DIAG_CATCH(d)
    {
        snprintf(text, sizeof text, "%s", diag_text(d));
        error = text;
    }
    DIAG_END(d)
    unlink(path);
    diag_free(d);
    return error;
}

static TrainSettings good(const char *block)
{
    TrainSettings t;
    const char *error = settings_of(block, NULL, 0, &t);
    if (error) print_error("%s", error);
    assert_null(error);
    return t;
}

static void bad(const char *block, const char *where, const char *message)
{
    TrainSettings t;
    const char *error = settings_of(block, NULL, 0, &t);
    if (!error) fail_msg("no error, so no `%s`", message);
    else if (!strstr(error, message) || !strstr(error, where))
        fail_msg("no `%s` at `%s` in:\n%s", message, where, error);
}

static void everything_is_read(void **state)
{
    (void)state;
    TrainSettings t = good("train {\n optimizer = adamw(lr = 3e-4, betas = [0.8, 0.95], "
                           "eps = 1e-6, weight_decay = 0.2)\n"
                           " schedule = [warmup(50), cosine(to = 1e-4)]\n"
                           " clip = 1\n}\n");
    assert_int_equal(t.optimizer.kind, OPTIMIZER_ADAMW);
    assert_float_equal(t.rate, 3e-4, 0);
    assert_float_equal(t.optimizer.beta1, 0.8, 0);
    assert_float_equal(t.optimizer.beta2, 0.95, 0);
    assert_float_equal(t.optimizer.eps, 1e-6, 0);
    assert_float_equal(t.optimizer.weight_decay, 0.2, 0);
    assert_int_equal(t.nphases, 2);
    assert_int_equal(t.phases[0].kind, SCHEDULE_WARMUP);
    assert_int_equal(t.phases[0].n, 50);
    assert_int_equal(t.phases[1].kind, SCHEDULE_COSINE);
    assert_float_equal(t.phases[1].to, 1e-4, 0);
    assert_float_equal(t.clip, 1, 0);
}

static void other_optimizers(void **state)
{
    (void)state;
    TrainSettings t = good("train { optimizer = sgd(0.1, momentum = 0.9, nesterov = true) }");
    assert_int_equal(t.optimizer.kind, OPTIMIZER_SGD);
    assert_float_equal(t.rate, 0.1, 0);
    assert_float_equal(t.optimizer.momentum, 0.9, 0);
    assert_true(t.optimizer.nesterov);
    assert_int_equal(t.nphases, 0);
    assert_float_equal(t.clip, 0, 0);
    assert_int_equal(good("train { optimizer = adam(lr = 1) }").optimizer.kind, OPTIMIZER_ADAM);
    t = good("train { optimizer = adam(lr = 1) schedule = cosine(20, to = 0) }");
    assert_int_equal(t.nphases, 1);
    assert_int_equal(t.phases[0].n, 20);
}

static void without_a_block_there_is_a_default(void **state)
{
    (void)state;
    TrainSettings t = good("");
    assert_int_equal(t.optimizer.kind, OPTIMIZER_ADAMW);
    assert_float_equal(t.rate, 3e-4, 0);
}

static void overrides_reach_it(void **state)
{
    (void)state;
    TrainSettings t;
    Override set[] = {{"optimizer.lr", "0.5"}, {"clip", "2"}};
    assert_null(settings_of("train { optimizer = sgd(lr = 1) clip = 1 }", set, 2, &t));
    assert_float_equal(t.rate, 0.5, 0);
    assert_float_equal(t.clip, 2, 0);
    Override whole[] = {{"optimizer", "adamw(lr=1e-3, betas=[0.9, 0.95], weight_decay=0.1)"},
                        {"schedule", "[warmup(50), cosine(to=1e-4)]"}};
    assert_null(settings_of("train { optimizer = sgd(lr = 1) schedule = [] }", whole, 2, &t));
    assert_int_equal(t.optimizer.kind, OPTIMIZER_ADAMW);
    assert_float_equal(t.optimizer.beta2, 0.95, 0);
    assert_int_equal(t.nphases, 2);
}

static void mistakes_are_shown_in_place(void **state)
{
    (void)state;
    bad("train {\n optimiser = adam(lr = 1)\n}", ":9:", "did you mean `optimizer`");
    bad("train {\n optimizer = adamx(lr = 1)\n}", ":9:", "did you mean `adam`");
    bad("train {\n optimizer = adam(rate = 1)\n}", ":9:", "no argument of `adam` named");
    bad("train {\n optimizer = adam(lr = true)\n}", ":9:", "must be a number");
    bad("train {\n optimizer = adam(eps = 1)\n}", ":9:", "needs its learning rate");
    bad("train {\n optimizer = adam(1, lr = 2)\n}", ":9:", "given twice");
    bad("train {\n optimizer = adam(lr = -1)\n}", ":9:", "0 or more");
    bad("train {\n optimizer = adam(lr = 1, betas = [1, 2])\n}", ":9:", "`betas` must both");
    bad("train {\n optimizer = sgd(lr = 1, momentum = 5)\n}", ":9:", "`momentum` must be at least 0");
    bad("train {\n optimizer = adam(lr = 1, betas = 1)\n}", ":9:", "two numbers");
    bad("train {\n optimizer = sgd(lr = 1, nesterov = true)\n}", ":9:", "needs a momentum");
    bad("train {\n optimizer = 3\n}", ":9:", "must be one of");
    bad("train {\n schedule = [warmup]\n}", ":9:", "written as a call");
    bad("train {\n schedule = [warmup()]\n}", ":9:", "needs a number of steps");
    bad("train {\n schedule = [cosinus(to = 1)]\n}", ":9:", "did you mean `cosine`");
    bad("train {\n schedule = [cosine()]\n}", ":9:", "needs `to`");
    bad("train {\n schedule = [cosine(to = 0), warmup(3)]\n}", ":9:", "no phase can follow");
    bad("train {\n schedule = 3\n}", ":9:", "list of phases");
    bad("train {\n clip = -1\n}", ":9:", "0 or more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(other_optimizers),
        cmocka_unit_test(without_a_block_there_is_a_default),
        cmocka_unit_test(overrides_reach_it),
        cmocka_unit_test(mistakes_are_shown_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
