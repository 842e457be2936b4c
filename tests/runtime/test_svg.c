/* Plots: well-formed XML, ticks, what is left out, thinning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include "runtime/file.h"
#include "runtime/svg.h"

static Diag *d;
static Arena *a;
static char path[64];

static int setup(void **state)
{
    (void)state;
    d = diag_new();
    a = arena_new();
    snprintf(path, sizeof path, "/tmp/rtc-plot-%ld.svg", (long)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    diag_free(d);
    arena_free(a);
    return 0;
}

/* Plots and reads back, checking that every element closes and every number is one. */
static const char *plot(const char *title, bool log_y, const SvgCurve *c, int n)
{
    svg_plot(d, path, title, "step", "loss", log_y, c, n);
    const char *text = file_read(d, a, path, 1 << 22, NULL);
    int depth = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '<') depth += at[1] == '/' ? -1 : 1;
        if (*at == '/' && at[1] == '>') depth--;
    }
    assert_int_equal(depth, 0);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++) n++;
    return n;
}

static void two_curves(void **state)
{
    (void)state;
    double x[101], y[101], z[2] = {4, 2.5}, zx[2] = {0, 1000};
    for (int i = 0; i <= 100; i++) {
        x[i] = 10 * i;
        y[i] = 1 + 4 * exp(-i / 20.0);
    }
    SvgCurve c[] = {{"train", x, y, 101}, {"valid", zx, z, 2}};
    const char *s = plot("a <b> & c", false, c, 2);
    assert_non_null(strstr(s, ">a &lt;b> &amp; c<"));
    assert_non_null(strstr(s, ">train<"));
    assert_non_null(strstr(s, ">valid<"));
    assert_non_null(strstr(s, "prefers-color-scheme:dark"));
    static const char *const labels[] = {">200<", ">400<", ">1000<", ">1<", ">2<", ">5<"};
    for (int i = 0; i < COUNT(labels); i++) assert_non_null(strstr(s, labels[i]));
    assert_int_equal(count(s, "class=\"grid\""), 6 + 5);    /* 0 to 1000 by 200, 1 to 5 by 1 */
    assert_int_equal(count(s, "L"), 100 + 1);
    s = plot("t", true, c, 2);
    assert_non_null(strstr(s, ">5<"));
}

static void gaps_dots_and_logs(void **state)
{
    (void)state;
    double x[] = {0, 1, 2, 3, 4, 5}, y[] = {1, 10, NAN, 100, -5, INFINITY};
    SvgCurve c = {"y", x, y, 6};
    const char *s = plot("t", true, &c, 1);
    assert_non_null(strstr(s, ">10<"));
    assert_non_null(strstr(s, ">100<"));
    assert_int_equal(count(s, "h0"), 2);                    /* two runs: 1, 10 and 100 alone */
    s = plot("t", false, &c, 1);
    assert_int_equal(count(s, "h0"), 2);
}

static void few_or_flat_points(void **state)
{
    (void)state;
    double x[] = {7, 8}, y[] = {3, 3}, none[] = {NAN, NAN};
    SvgCurve one = {"y", x, y, 1}, flat = {"y", x, y, 2}, empty = {"y", x, y, 0};
    SvgCurve nothing = {"y", x, none, 2};
    for (int log_y = 0; log_y < 2; log_y++) {
        assert_null(strstr(plot("t", log_y, &one, 1), "no points yet"));
        assert_null(strstr(plot("t", log_y, &flat, 1), "no points yet"));
        assert_non_null(strstr(plot("t", log_y, &empty, 1), "no points yet"));
        assert_non_null(strstr(plot("t", log_y, &nothing, 1), "no points yet"));
    }
}

static void long_curves_are_thinned_but_keep_their_peaks(void **state)
{
    (void)state;
    int n = 200000;
    double *x = NEW_N(a, double, n), *y = NEW_N(a, double, n);
    for (int i = 0; i < n; i++) {
        x[i] = i;
        y[i] = 1 + (i == 123456);
    }
    SvgCurve c = {"y", x, y, n};
    const char *s = plot("t", false, &c, 1);
    assert_true(strlen(s) < 40000);
    assert_non_null(strstr(s, " 63.5L"));                   /* the peak: 5 % below the top edge */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_curves), TEST(gaps_dots_and_logs), TEST(few_or_flat_points),
        TEST(long_curves_are_thinned_but_keep_their_peaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
