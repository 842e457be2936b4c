/* The training log: rows, resuming, reading back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "runtime/csvlog.h"
#include "runtime/file.h"

static Diag *d;
static Arena *a;
static char path[64];
static const char *const columns[] = {"step", "loss", "valid"};

static int setup(void **state)
{
    (void)state;
    d = diag_new();
    a = arena_new();
    snprintf(path, sizeof path, "/tmp/rtc-log-%ld.csv", (long)getpid());
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

static const char *text(void) { return file_read(d, a, path, 1 << 20, NULL); }

static void write_steps(int64_t from, int64_t to, int64_t resume)
{
    CsvLog *log = csvlog_open(d, a, path, columns, 3, resume);
    for (int64_t i = from; i < to; i++) {
        csvlog_row(log, i, (double[]){1.0 / (double)(i + 1), i % 2 ? 7 : CSVLOG_NONE});
    }
    csvlog_close(log);
}

static void rows_are_on_the_disk_at_once(void **state)
{
    (void)state;
    CsvLog *log = csvlog_open(d, a, path, columns, 3, -1);
    assert_string_equal(text(), "step,loss,valid\n");
    csvlog_row(log, 10, (double[]){2.5, CSVLOG_NONE});
    assert_string_equal(text(), "step,loss,valid\n10,2.5,\n");
    csvlog_row(log, 20, (double[]){NAN, 1e-7});
    csvlog_close(log);
    assert_string_equal(text(), "step,loss,valid\n10,2.5,\n20,nan,1e-07\n");
}

static void resuming_reads_as_never_stopped(void **state)
{
    (void)state;
    write_steps(0, 9, -1);
    const char *whole = text();
    for (int64_t stop = 0; stop < 9; stop++) {
        write_steps(0, 9, -1);               /* ran on to 9, but saved last after `stop` */
        write_steps(stop + 1, 9, stop);
        assert_string_equal(text(), whole);
    }
}

static void a_cut_row_is_dropped(void **state)
{
    (void)state;
    write_steps(0, 3, -1);
    const char *whole = text();
    size_t n = strlen(whole);
    for (size_t cut = n - 1; cut > n - 9; cut--) {
        file_save(d, path, whole, cut);
        write_steps(2, 3, 5);
        assert_string_equal(text(), whole);
    }
}

static bool opens(const char *const *with, int n, int64_t resume)
{
    DIAG_TRY(d) { csvlog_close(csvlog_open(d, a, path, with, n, resume)); }
    DIAG_CATCH(d) { return false; }
    DIAG_END(d)
    return true;
}

static void other_columns_are_refused(void **state)
{
    (void)state;
    static const char *const other[] = {"step", "loss"};
    write_steps(0, 3, -1);
    const char *before = text();
    assert_false(opens(other, 2, 1));
    assert_non_null(strstr(diag_text(d), "other columns"));
    assert_string_equal(text(), before);
    unlink(path);
    assert_true(opens(other, 2, 1));
    assert_non_null(strstr(diag_warnings(d), "is missing"));
}

static bool reads(CsvTable *t)
{
    DIAG_TRY(d) { *t = csvlog_read(d, a, path); }
    DIAG_CATCH(d) { return false; }
    DIAG_END(d)
    return true;
}

static void reading_back(void **state)
{
    (void)state;
    CsvTable t = {0};
    write_steps(0, 4, -1);
    assert_true(reads(&t));
    assert_int_equal(t.nrows, 4);
    assert_int_equal(t.ncolumns, 3);
    assert_int_equal(csvlog_column(&t, "valid"), 2);
    assert_int_equal(csvlog_column(&t, "absent"), -1);
    assert_true(t.values[3 * 2 + 1] > 0.333 && t.values[3 * 2 + 1] < 0.334);
    assert_true(t.values[3 * 2 + 2] == CSVLOG_NONE && t.values[3 * 1 + 2] == 7);
    file_save(d, path, "step,loss\n1,2\n3,x\n", 18);
    assert_false(reads(&t));
    assert_non_null(strstr(diag_text(d), "csv:3: `x`"));
    file_save(d, path, "step,loss\n1,2,3\n", 16);
    assert_false(reads(&t));
    file_save(d, path, "step,loss\n1\n", 12);
    assert_false(reads(&t));
    file_save(d, path, "step,loss\n1,2\n3,", 16);
    assert_true(reads(&t));
    assert_int_equal(t.nrows, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_are_on_the_disk_at_once), TEST(resuming_reads_as_never_stopped),
        TEST(a_cut_row_is_dropped),         TEST(other_columns_are_refused),
        TEST(reading_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
