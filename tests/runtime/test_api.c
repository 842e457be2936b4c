/* The C library: errors stay errors, inputs decide what is compiled, steps train, files come
 * back. */
#include "lab.h"
#include "runtime/rtc.h"

static const char *const small[] = {"dim=8", "max_seq_len=16", NULL};

static Rtc *open_tiny(const char *const *set)
{
    Rtc *m = rtc_open(&(RtcOptions){.file = LAB_TINY, .set = set, .seed = 3, .threads = 1});
    assert_non_null(m);
    if (rtc_status(m)) print_error("%s", rtc_error(m));
    assert_int_equal(rtc_status(m), 0);
    return m;
}

static void give(Rtc *m, const char *name, int64_t batch, int64_t time, int shift)
{
    int32_t x[64];
    int64_t shape[] = {batch, time};
    for (int64_t i = 0; i < batch * time; i++) x[i] = (int32_t)((i + shift) % 7);
    assert_int_equal(rtc_input(m, name, RTC_INT, 2, shape, x), 0);
}

static void it_learns(void **state)
{
    (void)state;
    Rtc *m = open_tiny(small);
    give(m, "x", 2, 16, 0);
    give(m, "targets", 2, 16, 1);
    assert_int_equal(rtc_step(m), 0);
    double first = rtc_scalar(m, "loss");
    assert_float_equal(first, log(256), 0.1);
    for (int i = 0; i < 60; i++) assert_int_equal(rtc_step(m), 0);
    assert_true(rtc_scalar(m, "loss") < first - 1);
    rtc_close(m);
}

static void inputs_decide_what_is_computed(void **state)
{
    (void)state;
    Rtc *m = open_tiny(small);
    RtcTensor t;
    give(m, "x", 2, 5, 0);
    assert_int_equal(rtc_run(m), 0);
    assert_int_equal(rtc_output(m, "logits", &t), 0);
    assert_int_equal(t.rank, 3);
    assert_int_equal(t.shape[0], 2);
    assert_int_equal(t.shape[1], 5);
    assert_int_equal(t.shape[2], 256);
    assert_int_equal(t.count, 2 * 5 * 256);
    assert_true(isnan(rtc_scalar(m, "loss")));       /* there were no targets */
    assert_non_null(strstr(rtc_error(m), "no output `loss`"));
    rtc_clear(m);
    give(m, "targets", 2, 5, 1);
    assert_int_equal(rtc_run(m), 0);
    assert_false(isnan(rtc_scalar(m, "loss")));
    give(m, "x", 1, 3, 0);                           /* other sizes need no compilation */
    give(m, "targets", 1, 3, 1);
    assert_int_equal(rtc_run(m), 0);
    assert_int_equal(rtc_output(m, "logits", &t), 0);
    assert_int_equal(t.shape[1], 3);
    assert_int_equal(rtc_input(m, "targets", RTC_INT, 0, NULL, NULL), 0);
    assert_int_equal(rtc_run(m), 0);
    assert_true(isnan(rtc_scalar(m, "loss")));
    rtc_close(m);
}

static void files_come_back(void **state)
{
    Lab *l = *state;
    const char *path = lab_path(l, "api.safetensors");
    Rtc *a = open_tiny(small), *b = open_tiny(small), *m[] = {a, b};
    for (int i = 0; i < 2; i++) {
        give(m[i], "x", 2, 16, 0);
        give(m[i], "targets", 2, 16, 1);
    }
    for (int i = 0; i < 5; i++) rtc_step(a);
    assert_int_equal(rtc_save(a, path), 0);
    assert_int_equal(rtc_load(b, path), 0);
    /* parameters, optimiser and draws: all goes on as it was */
    for (int i = 0; i < 3; i++) {
        rtc_step(a);
        rtc_step(b);
        assert_true(rtc_scalar(a, "loss") == rtc_scalar(b, "loss"));
    }
    RtcTensor p, q;
    assert_string_equal(rtc_param_name(a, 0), "token");
    assert_null(rtc_param_name(a, 99));
    assert_int_equal(rtc_param(a, "token", &p), 0);
    assert_int_equal(rtc_param(b, "token", &q), 0);
    assert_int_equal(p.count, 256 * 8);
    assert_memory_equal(p.data, q.data, (size_t)p.count * sizeof(float));
    assert_int_equal(rtc_param(a, "centre", &p), 0);
    assert_int_equal(p.rank, 1);
    rtc_close(a);
    rtc_close(b);
}

static void parameters_can_be_written(void **state)
{
    (void)state;
    Rtc *m = open_tiny(small);
    RtcTensor bias, logits;
    give(m, "x", 1, 1, 0);
    rtc_param(m, "bias", &bias);
    ((float *)bias.data)[200] = 50;
    rtc_run(m);
    assert_int_equal(rtc_output(m, "logits", &logits), 0);
    assert_true(((float *)logits.data)[200] > 40);
    rtc_close(m);
}

static void fails(Rtc *m, int status, const char *text)
{
    assert_int_equal(rtc_status(m), status);
    if (!strstr(rtc_error(m), text)) print_error("no `%s` in:\n%s", text, rtc_error(m));
    assert_non_null(strstr(rtc_error(m), text));
}

static void errors_are_told_and_stay(void **state)
{
    Lab *l = *state;
    Rtc *m = rtc_open(&(RtcOptions){.file = "nowhere.rt"});
    fails(m, 1, "nowhere.rt");
    assert_int_equal(rtc_run(m), 1);
    assert_int_equal(rtc_step(m), 1);
    rtc_clear(m);                                    /* there is nothing to go on with */
    assert_int_equal(rtc_status(m), 1);
    rtc_close(m);

    const char *const wrong[] = {"dimm=3", NULL};
    m = rtc_open(&(RtcOptions){.file = LAB_TINY, .set = wrong});
    fails(m, 1, "dimm");
    rtc_close(m);

    m = open_tiny(small);
    int64_t shape[] = {1, 2}, empty[] = {1, 0};
    int32_t x[] = {1, 300};
    assert_int_equal(rtc_run(m), 1);
    fails(m, 1, "needs the input x");
    assert_int_equal(rtc_input(m, "x", RTC_INT, 2, shape, x), 1);
    rtc_clear(m);
    assert_int_equal(rtc_status(m), 0);
    assert_string_equal(rtc_error(m), "");
    rtc_input(m, "y", RTC_INT, 2, shape, x);
    fails(m, 1, "no input `y`");
    rtc_clear(m);
    rtc_input(m, "x", RTC_INT, 2, empty, x);
    fails(m, 1, "the size 0");
    rtc_clear(m);
    rtc_input(m, "x", RTC_INT, 2, shape, x);
    rtc_run(m);
    fails(m, 1, "256 positions");
    rtc_clear(m);
    rtc_input(m, "x", RTC_INT, 1, shape, x);
    rtc_run(m);
    fails(m, 1, "x");
    rtc_clear(m);
    rtc_load(m, lab_write(l, "page.safetensors", "<html>"));
    fails(m, 1, "HTML");
    rtc_clear(m);
    give(m, "x", 1, 2, 0);
    assert_int_equal(rtc_run(m), 0);                 /* and it still works */
    rtc_close(m);
    rtc_close(NULL);
}

static void two_models_do_not_meet(void **state)
{
    (void)state;
    const char *const other[] = {"dim=4", NULL};
    Rtc *a = open_tiny(small), *b = open_tiny(other);
    RtcTensor p, q;
    give(a, "x", 1, 4, 0);
    give(b, "x", 2, 8, 0);
    rtc_run(a);
    rtc_run(b);
    assert_int_equal(rtc_output(a, "logits", &p), 0);
    assert_int_equal(rtc_output(b, "logits", &q), 0);
    assert_int_equal(p.shape[1], 4);
    assert_int_equal(q.shape[1], 8);
    rtc_close(a);
    assert_int_equal(rtc_run(b), 0);
    rtc_close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void)
{
    setenv("RTC_CACHE_DIR", LAB_CACHE, 1);
    const struct CMUnitTest tests[] = {
        TEST(it_learns),
        TEST(inputs_decide_what_is_computed),
        TEST(files_come_back),
        TEST(parameters_can_be_written),
        TEST(errors_are_told_and_stay),
        TEST(two_models_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
