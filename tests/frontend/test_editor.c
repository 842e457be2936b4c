/* The editor files are what tools/gen_editor.sh makes of the keywords today. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>
#include "tests/frontend/wrong.h"

static void editor_files_are_fresh(void **state)
{
    (void)state;
    static const char *const files[] = {"rt.vim", "rt.tmLanguage.json"};
    char folder[] = "/tmp/rtc-editor-XXXXXX";
    assert_non_null(mkdtemp(folder));
    Arena *a = arena_new();
    const char *command = arena_printf(a, "sh '%s/tools/gen_editor.sh' %s", RTC_SOURCE_DIR, folder);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < COUNT(files); i++) {
        const char *fresh = arena_printf(a, "%s/%s", folder, files[i]);
        const char *kept = arena_printf(a, "%s/tools/editor/%s", RTC_SOURCE_DIR, files[i]);
        const char *text = wrong_read(a, fresh, NULL), *expected = wrong_read(a, kept, NULL);
        assert_non_null(text);
        assert_non_null(expected);
        assert_string_equal(text, expected);
        assert_non_null(strstr(text, "softmax"));
        unlink(fresh);
    }
    rmdir(folder);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(editor_files_are_fresh)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
