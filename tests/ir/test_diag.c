/* Messages: layout, places, notes, unwinding, deferred actions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "ir/diag.h"

/* The message of user_error at [begin, end) of text. */
static const char *message(Diag *d, const char *text, uint32_t begin, uint32_t end, const char *say)
{
    uint32_t file = diag_source(d, "a.rt", text, strlen(text));
    DIAG_TRY(d) { user_error(d, (Loc){file, begin, end}, "%s", say); }
    DIAG_CATCH(d) { return diag_text(d); }
    DIAG_END(d)
    return NULL;
}

static void layout(void **state)
{
    (void)state;
    Diag *d = diag_new();
    assert_string_equal(message(d, "one\n  two three\n", 6, 15, "bad\nexpected four\nhint: 4"),
                        "a.rt:2:3: error: bad\n    two three\n    ^~~~~~~~~\n"
                        "expected four\nhint: 4\n");
    assert_int_equal(diag_status(d), 1);
    assert_string_equal(message(d, "\tx\ty\r\n", 3, 4, "tabs"),
                        "a.rt:1:4: error: tabs\n      x   y\n          ^\n");
    assert_string_equal(message(d, "\xef\xbb\xbf\xc3\xa9\xc3\xa9 y", 8, 9, "utf-8"),
                        "a.rt:1:4: error: utf-8\n  \xc3\xa9\xc3\xa9 y\n     ^\n");
    assert_string_equal(message(d, "ab\ncd\n", 1, 6, "two lines"),
                        "a.rt:1:2: error: two lines\n  ab\n   ^\n");
    assert_string_equal(message(d, "ab", 2, 2, "end"), "a.rt:1:3: error: end\n  ab\n    ^\n");
    assert_string_equal(message(d, "", 0, 0, "empty"), "a.rt:1:1: error: empty\n  \n  ^\n");
    assert_string_equal(message(d, "a", 9, 99, "past"), "a.rt:1:2: error: past\n  a\n   ^\n");
    diag_free(d);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    Diag *d = diag_new();
    char text[4001];
    memset(text, 'x', 4000);
    memcpy(text + 2000, "HERE", 4);
    text[4000] = 0;
    const char *m = message(d, text, 2000, 2004, "long");
    const char *line = strchr(m, '\n') + 1, *carets = strchr(line, '\n') + 1;
    assert_true(carets - line < 140);
    assert_memory_equal(line + (strchr(carets, '^') - carets), "HEREx", 5);
    assert_non_null(strstr(carets, "^~~~\n"));
    diag_free(d);
}

static void places(void **state)
{
    (void)state;
    Diag *d = diag_new();
    uint32_t file = diag_source(d, "b.rt", "a\nbcd\n", 6);
    int col;
    assert_int_equal(diag_line(d, (Loc){file, 3, 4}, &col), 2);
    assert_int_equal(col, 2);
    assert_int_equal(diag_line(d, (Loc){file, 6, 6}, &col), 3);
    assert_int_equal(diag_line(d, NO_LOC, NULL), 0);
    assert_string_equal(diag_slice(d, (Loc){file, 2, 4}), "bc");
    assert_string_equal(diag_file(d, (Loc){file, 0, 0}), "b.rt");
    assert_string_equal(diag_file(d, NO_LOC), "");
    Loc both = loc_join((Loc){file, 4, 5}, (Loc){file, 0, 1});
    assert_int_equal(both.begin, 0);
    assert_int_equal(both.end, 5);
    diag_free(d);
}

static void count_up(void *p) { ++*(int *)p; }

static void unwinding(void **state)
{
    (void)state;
    Diag *d = diag_new();
    uint32_t file = diag_source(d, "c.rt", "w = 1\n", 6);
    int outer = 0, inner = 0, dropped = 0;
    const char *text = NULL;
    DIAG_TRY(d)
    {
        diag_defer(d, count_up, &outer);
        DIAG_TRY(d)
        {
            diag_defer(d, count_up, &inner);
            diag_defer(d, count_up, &dropped);
            diag_undefer(d);
            diag_note(d, (Loc){file, 0, 1}, "`w` is declared here");
            diag_fail(d, "no file %d", 7);
        }
        DIAG_CATCH(d)
        {
            assert_int_equal(inner, 1);
            assert_int_equal(outer, 0);
            assert_string_equal(diag_text(d), "error: no file 7\n"
                                              "c.rt:1:1: note: `w` is declared here\n"
                                              "  w = 1\n  ^\n");
        }
        DIAG_END(d)
        diag_fail_status(d, 2, "again: %s", diag_text(d)); /* quotes the text it replaces */
    }
    DIAG_CATCH(d) { text = diag_text(d); }
    DIAG_END(d)
    assert_int_equal(outer, 1);
    assert_int_equal(dropped, 0);
    assert_int_equal(diag_status(d), 2);
    assert_memory_equal(text, "error: again: error: no file 7\n", 31);
    diag_reset(d);
    assert_string_equal(diag_text(d), "");
    assert_int_equal(diag_status(d), 0);
    diag_free(d);
}

static void bugs_warnings_and_memory(void **state)
{
    (void)state;
    Diag *d = diag_new();
    bool caught = false;
    DIAG_TRY(d) { diag_bug(d, "node %d", 3); }
    DIAG_CATCH(d) { caught = true; }
    DIAG_END(d)
    assert_true(caught);
    assert_int_equal(diag_status(d), 70);
    assert_memory_equal(diag_text(d), "internal error at ir/test_diag.c:", 33);
    diag_warn(d, NO_LOC, "slow");
    assert_string_equal(diag_warnings(d), "warning: slow\n");
    diag_clear_warnings(d);
    assert_string_equal(diag_warnings(d), "");
    caught = false;
    DIAG_TRY(d) { arena_alloc(diag_arena(d), SIZE_MAX / 2 + 2); }
    DIAG_CATCH(d) { caught = true; }
    DIAG_END(d)
    assert_true(caught);
    assert_non_null(strstr(diag_text(d), "out of memory"));
    diag_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),    cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(places),    cmocka_unit_test(unwinding),
        cmocka_unit_test(bugs_warnings_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
