/* Programs that parse and mean nothing: each must be refused at its place, with a message that
 * helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "frontend/frontend.h"
#include "tests/frontend/wrong.h"
#include <dirent.h>
#include <unistd.h>

#define FOLDER RTC_SOURCE_DIR "/tests/frontend/wrong/"

/* The message that loading the text gives; "" if it loads. */
static const char *message_of(Arena *a, const char *text)
{
    char path[] = "/tmp/rtc-wrong-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    Diag *d = diag_new();
    const char *message = "";
    LoadOptions o = {.path = path, .library = RTC_SOURCE_DIR "/models", .training = true,
                     .reports = true};
    DIAG_TRY(d) { program_free(program_load(d, &o)); }
    DIAG_CATCH(d)
    {
        assert_int_equal(diag_status(d), 1);
        message = arena_strdup(a, diag_text(d));
    }
    DIAG_END(d)
    diag_free(d);
    unlink(path);
    return message;
}

static void check_file(const char *name, int *cases)
{
    Arena *a = arena_new();
    WrongVec w = wrong_load(a, arena_printf(a, FOLDER "%s", name));
    for (int i = 0; i < w.n; i++, ++*cases) {
        const char *problem = wrong_check(a, &w.v[i], message_of(a, w.v[i].text));
        if (problem) fail_msg("%s", problem);
    }
    arena_free(a);
}

/* 01 to 08 are the parser's; 09 to 18 are found here. */
static void test_wrong_programs(void **state)
{
    (void)state;
    int cases = 0;
    DIR *dir = opendir(FOLDER);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (strstr(e->d_name, ".rt")) check_file(e->d_name, &cases);
    closedir(dir);
    assert_true(cases >= 18);
}

static void test_mistakes_of_meaning(void **state)
{
    (void)state;
    int cases = 0;
    check_file("../meaning.rt", &cases);
    assert_true(cases >= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_programs),
        cmocka_unit_test(test_mistakes_of_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
