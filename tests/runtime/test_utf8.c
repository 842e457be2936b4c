/* Whole characters only, and U+FFFD for the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "runtime/utf8.h"

#define BAD "\xef\xbf\xbd"

static void expect(const char *in, size_t n, const char *want)
{
    Arena *a = arena_new();
    Str out = {.arena = a};
    Utf8 u = {0};
    str_add(&out, "");
    for (size_t i = 0; i < n; i++) utf8_put(&u, (unsigned char)in[i], &out);
    utf8_flush(&u, &out);
    assert_string_equal(out.s, want);
    arena_free(a);
}
#define SAME(s) expect(s, sizeof(s) - 1, s)
#define GIVES(s, want) expect(s, sizeof(s) - 1, want)

static void whole_characters_pass(void **state)
{
    (void)state;
    SAME("");
    SAME("plain\r\n");
    SAME("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf \xf4\x8f\xbf\xbf \xef\xbb\xbf");
}

static void invalid_bytes_are_replaced(void **state)
{
    (void)state;
    GIVES("\x80", BAD);
    GIVES("a\xff" "b", "a" BAD "b");
    GIVES("\xc3", BAD);                               /* cut at the end */
    GIVES("\xc3(", BAD "(");
    GIVES("\xf0\x9f\x98", BAD);                       /* one for what began well */
    GIVES("\xf0\x9f\x98\xc3\xa9", BAD "\xc3\xa9");
    GIVES("\xc0\xaf", BAD BAD);                       /* overlong */
    GIVES("\xe0\x80\xaf", BAD BAD BAD);
    GIVES("\xed\xa0\x80", BAD BAD BAD);               /* a surrogate */
    GIVES("\xf4\x90\x80\x80", BAD BAD BAD BAD);       /* above U+10FFFF */
    GIVES("\xe2\x82\xe2\x82\xac", BAD "\xe2\x82\xac");
}

static void nothing_comes_out_early(void **state)
{
    (void)state;
    Arena *a = arena_new();
    Str out = {.arena = a};
    Utf8 u = {0};
    utf8_put(&u, 0xf0, &out);
    utf8_put(&u, 0x9f, &out);
    utf8_put(&u, 0x98, &out);
    assert_int_equal(out.n, 0);
    utf8_put(&u, 0x80, &out);
    assert_string_equal(out.s, "\xf0\x9f\x98\x80");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_characters_pass),
        cmocka_unit_test(invalid_bytes_are_replaced),
        cmocka_unit_test(nothing_comes_out_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
