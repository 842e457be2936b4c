/* Arenas, growable arrays and strings, hashing, nearest words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "ir/base.h"

static void arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    Arena *a = arena_new();
    for (size_t n = 0; n < 3000; n++) {
        unsigned char *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 0xee, n);
    }
    unsigned char *large = arena_alloc(a, 5 << 20);
    assert_int_equal(large[(5 << 20) - 1], 0);
    assert_true(arena_bytes(a) > (5 << 20));
    assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
    assert_string_equal(arena_strndup(a, "hello", 3), "hel");
    arena_free(a);
}

static jmp_buf no_memory;
static void jump_out(void *ctx) { longjmp(no_memory, *(int *)ctx); }

static void arena_calls_its_hook(void **state)
{
    (void)state;
    Arena *a = arena_new();
    int seven = 7;
    arena_on_oom(a, jump_out, &seven);
    int got = setjmp(no_memory);
    if (got == 0) arena_alloc(a, SIZE_MAX - 100);
    assert_int_equal(got, 7);
    arena_free(a);
}

static void vec_and_str_grow(void **state)
{
    (void)state;
    Arena *a = arena_new();
    VEC(int) v = {0};
    for (int i = 0; i < 10000; i++) vec_push(a, &v, i);
    for (int i = 0; i < 10000; i++) assert_int_equal(v.v[i], i);
    assert_int_equal(vec_pop(&v), 9999);
    assert_int_equal(v.n, 9999);
    Str s = {.arena = a};
    for (int i = 0; i < 1000; i++) str_printf(&s, "%d,", i % 10);
    assert_int_equal(s.n, 2000);
    assert_int_equal(strlen(s.s), 2000);
    str_printf(&s, "%0500d", 1);
    assert_int_equal(strlen(s.s), 2500);
    arena_free(a);
}

static void hashes_differ(void **state)
{
    (void)state;
    assert_true(hash_str("abc") == hash_str("abc"));
    assert_true(hash_str("abc") != hash_str("abd"));
    assert_true(hash_bytes("a\0", 2) != hash_bytes("a", 1));
    assert_true(hash_str("0123456789abcdef") != hash_str("0123456789abcdeg"));
}

static void nearest_words(void **state)
{
    (void)state;
    const char *const names[] = {"depth", "heads", "dim", "max_seq_len", "local_attn_window_size"};
    assert_string_equal(nearest_word("dpeth", names, COUNT(names)), "depth");
    assert_string_equal(nearest_word("head", names, COUNT(names)), "heads");
    assert_string_equal(nearest_word("max_sequence_len", names, COUNT(names)), "max_seq_len");
    assert_null(nearest_word("vocabulary", names, COUNT(names)));
    assert_null(nearest_word("x", names, COUNT(names)));
    assert_null(nearest_word("", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_memory), cmocka_unit_test(arena_calls_its_hook),
        cmocka_unit_test(vec_and_str_grow), cmocka_unit_test(hashes_differ),
        cmocka_unit_test(nearest_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
