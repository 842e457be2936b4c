/* Progress: plain lines at intervals, one rewritten line on a terminal, durations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "runtime/progress.h"

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++) n++;
    return n;
}

/* 100 steps of a tenth of a second, 10 of them done before. */
static void run(Progress *p)
{
    for (int64_t i = 11; i <= 100; i++) {
        progress_step(p, p->start + 0.1 * (double)(i - 10), i, "loss %.2f", 1.0 / (double)i);
    }
}

static void plain_lines(void **state)
{
    (void)state;
    char text[4096] = "";
    FILE *f = tmpfile();
    Progress p = progress_begin(f, false, 10, 100, 25);
    assert_false(p.terminal);
    run(&p);
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    assert_int_equal(count(text, "\n"), 4);
    assert_null(strchr(text, '\r'));
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "step 25/100  loss 0.04  10 steps/s  8s left\n"));
    assert_non_null(strstr(text, "step 100/100  loss 0.01  10 steps/s  0s left\n"));
    fclose(f);
}

/* What has no steps: a line every five seconds, none for what is done before. */
static void now_and_then(void **state)
{
    (void)state;
    char text[4096] = "";
    FILE *f = tmpfile();
    Progress p = progress_begin(f, false, 0, 1, 1);
    for (int i = 1; i <= 24; i++) progress_say(&p, p.start + 0.5 * i, "part %d", i);
    progress_clear(&p);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    assert_string_equal(text, "part 10\npart 20\n");
    fclose(f);
}

static void quiet_says_nothing(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    Progress p = progress_begin(f, true, 10, 100, 25);
    run(&p);
    progress_say(&p, p.start + 60, "compiling");
    progress_pause(&p);
    assert_int_equal(ftell(f), 0);
    fclose(f);
}

/* A pseudo-terminal of 40 columns; NULL where there are none. */
static FILE *terminal(int *master)
{
    struct winsize size = {.ws_row = 24, .ws_col = 40};
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    if (*master < 0 || grantpt(*master) || unlockpt(*master)) return NULL;
    int fd = open(ptsname(*master), O_RDWR | O_NOCTTY);
    if (fd < 0 || ioctl(fd, TIOCSWINSZ, &size)) return NULL;
    return fdopen(fd, "w");
}

static void one_line_on_a_terminal(void **state)
{
    (void)state;
    int master;
    char text[16384] = "";
    FILE *f = terminal(&master);
    if (!f) skip();
    setenv("TERM", "xterm", 1);
    Progress p = progress_begin(f, false, 10, 100, 25);
    assert_true(p.terminal);
    assert_int_equal(p.width, 40);
    for (int64_t i = 11; i <= 100; i++) {    /* 100 steps a second: one line in ten */
        progress_step(&p, p.start + 0.0101 * (double)(i - 10), i, "loss %d", 7);
    }
    for (size_t n = 0; !strchr(text, '\n');) {       /* the last line alone has an end */
        ssize_t k = read(master, text + n, sizeof text - 1 - n);
        assert_true(k > 0);
        n += (size_t)k;
    }
    assert_int_equal(count(text, "\r\x1b") + count(text, "\rstep"), count(text, "\x1b[K"));
    assert_in_range(count(text, "\x1b[K"), 9, 11);
    assert_int_equal(count(text, "\n"), 1);
    for (char *at = text; (at = strstr(at, "step ")); at++) {
        assert_true(strcspn(at, "\x1b") < 40);
    }
    fclose(f);
    close(master);
}

static void a_dumb_terminal_gets_plain_lines(void **state)
{
    (void)state;
    int master;
    FILE *f = terminal(&master);
    if (!f) skip();
    setenv("TERM", "dumb", 1);
    assert_false(progress_begin(f, false, 0, 1, 1).terminal);
    fclose(f);
    close(master);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "0s"},          {59.4, "59s"},        {59.6, "1m00s"},
                 {200, "3m20s"},     {3720, "1h02m"},      {1e9, "100h00m"},
                 {0.0 / 0.0, "100h00m"}};
    for (int i = 0; i < COUNT(cases); i++) {
        char text[24];
        progress_duration(cases[i].seconds, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines),
        cmocka_unit_test(now_and_then), cmocka_unit_test(quiet_says_nothing),
        cmocka_unit_test(one_line_on_a_terminal),
        cmocka_unit_test(a_dumb_terminal_gets_plain_lines),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
