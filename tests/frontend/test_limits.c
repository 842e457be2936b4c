/* What no program needs: texts too deep, too long or broken at random get a message, fast. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include "frontend/parse.h"
#include "tests/frontend/wrong.h"

/* The message about a text; "" if there is none. Fails when an error has no text. */
static const char *message(Arena *a, const char *text, size_t bytes)
{
    Diag *d = diag_new();
    Arena *nodes = arena_new();
    arena_on_oom(nodes, diag_oom, d);
    const char *said = "";
    DIAG_TRY(d)
    {
        Str printed = {.arena = nodes};
        ast_print(&printed, rt_parse(d, nodes, diag_source(d, "a.rt", text, bytes)));
    }
    DIAG_CATCH(d)
    {
        said = arena_strdup(a, diag_text(d));
        assert_int_equal(diag_status(d), 1);
        assert_non_null(strstr(said, "error: "));
    }
    DIAG_END(d)
    arena_free(nodes);
    diag_free(d);
    return said;
}

/* before, n times the middle, after. */
static const char *repeated(Arena *a, const char *before, const char *middle, int n,
                            const char *after)
{
    Str s = {.arena = a};
    str_add(&s, before);
    for (int i = 0; i < n; i++) str_add(&s, middle);
    str_add(&s, after);
    return message(a, s.s, s.n);
}

static void depth(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const char *deep = "nested too deeply";
    assert_non_null(strstr(repeated(a, "let a = ", "(", 256, "1"), "`(` at 1:264 is open"));
    assert_non_null(strstr(repeated(a, "let a = ", "(", 10000, "1"), "1:265: error: nested too"));
    assert_non_null(strstr(repeated(a, "fn f() {", "if a {", 300, ""), deep));
    assert_non_null(strstr(repeated(a, "let a = ", "-", 100000, "1"), deep));
    assert_non_null(strstr(repeated(a, "let a = ", "not ", 2000, "1"), deep));
    assert_non_null(strstr(repeated(a, "let a = ", "2^", 2000, "1"), deep));
    assert_non_null(strstr(repeated(a, "let a = ", "sum[i] ", 2000, "1"), deep));
    assert_non_null(strstr(repeated(a, "let a = 1", " + 1", 5000, ""), deep));
    assert_non_null(strstr(repeated(a, "let a = b", ".c", 5000, ""), deep));
    assert_non_null(strstr(repeated(a, "let a = b", "[i]", 5000, ""), deep));
    assert_non_null(strstr(repeated(a, "let a = ", "a[i] else ", 5000, "1"), deep));
    assert_non_null(strstr(repeated(a, "let a = ", "if c { 1 } else ", 5000, "{ 2 }"), deep));
    assert_non_null(strstr(repeated(a, "fn f() { ", "if c { } else ", 5000, "{ } }"), deep));
    assert_non_null(strstr(repeated(a, "fn f() { ", "@a ", 5000, "{ } }"), deep));
    assert_string_equal(repeated(a, "let a = 1", " + 1", 900, ""), "");
    assert_string_equal(repeated(a, "fn f() { ", "let a = 1 ", 20000, "}"), "");
    arena_free(a);
}

static void size(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const char *long_list = repeated(a, "let a = [", "1,", 500000, "1]");
    assert_non_null(strstr(long_list, "more than 1000000 words"));
    assert_string_equal(repeated(a, "#", "123456789abcdef", 1 << 20, ""), "");
    assert_string_equal(repeated(a, "#", "0123456789abcdef", 1 << 20, ""),
                        "error: a.rt: a source of 16777217 bytes is too large: at most 16777216\n");
    assert_non_null(strstr(repeated(a, "let a = ", "9", 100000, ""), "integer is too large"));
    assert_non_null(strstr(repeated(a, "let ", "a", 100000, ""), "expected `=` before the end"));
    arena_free(a);
}

/* ---- texts broken at random ---- */

static uint64_t random_next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* One to four edits of the text: bytes deleted, doubled, replaced by a byte or by a word. */
static size_t mutate(uint64_t *seed, const char *text, size_t bytes, char *out)
{
    static const char *const words[] = {"(", ")", "[", "]", "{", "}", ",", "=", "..", ":", "|", ";",
                                        " if ", " else ", " sum", " let ", " fn ", " @", "^", "-",
                                        " not ", "\"", "#", "##", " in ", "\n", "\xc3", "1e", "<"};
    memcpy(out, text, bytes);
    for (uint64_t edits = 1 + random_next(seed) % 4; edits > 0 && bytes > 0; edits--) {
        size_t at = random_next(seed) % bytes;
        size_t run = 1 + random_next(seed) % (bytes - at < 20 ? bytes - at : 20);
        const char *word = words[random_next(seed) % (uint64_t)COUNT(words)];
        switch (random_next(seed) % 4) {
        case 0:
            memmove(out + at, out + at + run, bytes - at - run);
            bytes -= run;
            break;
        case 1:
            memmove(out + at + run, out + at, bytes - at);
            bytes += run;
            break;
        case 2: out[at] = (char)random_next(seed); break;
        default:
            memmove(out + at + strlen(word), out + at, bytes - at);
            memcpy(out + at, word, strlen(word));
            bytes += strlen(word);
        }
    }
    return bytes;
}

static int mutate_all(const char *pattern)
{
    glob_t found;
    int tried = 0;
    if (glob(pattern, 0, NULL, &found) != 0) return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        Arena *a = arena_new();
        size_t bytes;
        const char *text = wrong_read(a, found.gl_pathv[i], &bytes);
        char *broken = arena_alloc(a, bytes + 4 * 20);
        uint64_t seed = 1 + i;
        for (int k = 0; k < 2000; k++, tried++) {
            Arena *said = arena_new();
            message(said, broken, mutate(&seed, text, bytes, broken));
            arena_free(said);
        }
        arena_free(a);
    }
    globfree(&found);
    return tried;
}

static void broken_texts(void **state)
{
    (void)state;
    mutate_all(RTC_SOURCE_DIR "/models/*.rt");
    assert_true(mutate_all(RTC_SOURCE_DIR "/tests/frontend/golden/*.rt") >= 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth),
        cmocka_unit_test(size),
        cmocka_unit_test(broken_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
