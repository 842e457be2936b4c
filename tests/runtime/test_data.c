/* Token streams: formats, refusals, the held-out part, the training order, evaluation windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "runtime/data.h"

typedef struct {
    Diag *d;
    Arena *a;
    char dir[64];
} World;

static int setup(void **state)
{
    World *w = calloc(1, sizeof *w);
    w->d = diag_new();
    w->a = arena_new();
    strcpy(w->dir, "/tmp/rtc-data-XXXXXX");
    *state = w;
    return mkdtemp(w->dir) ? 0 : -1;
}

static int teardown(void **state)
{
    World *w = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
    int r = system(command);
    diag_free(w->d);
    arena_free(w->a);
    free(w);
    return r;
}

static const char *put(World *w, const char *name, const void *p, size_t n)
{
    const char *path = arena_printf(w->a, "%s/%s", w->dir, name);
    file_save(w->d, path, p, n);
    return path;
}

/* n tokens 0, 1, 2, ... as nanoGPT writes them, or llm.c where `header` is set. */
static const char *put_tokens(World *w, const char *name, int n, bool header)
{
    unsigned char *p = arena_alloc(w->a, 1024 + 2 * (size_t)n);
    int32_t *h = (int32_t *)(void *)p;
    h[0] = 20240520;
    h[1] = 1;
    h[2] = n;
    for (int i = 0; i < n; i++) {
        p[1024 + 2 * i] = (unsigned char)i;
        p[1025 + 2 * i] = (unsigned char)(i >> 8);
    }
    return header ? put(w, name, p, 1024 + 2 * (size_t)n) : put(w, name, p + 1024, 2 * (size_t)n);
}

static Data *open_files(World *w, int n, const char *const *paths, int64_t num_tokens)
{
    DataOptions o = {.paths = paths, .npaths = n, .valid_share = 0.1, .num_tokens = num_tokens};
    Data *volatile data = NULL;
    DIAG_TRY(w->d) { data = data_open(w->d, w->a, &o); }
    DIAG_CATCH(w->d) { return NULL; }
    DIAG_END(w->d)
    return data;
}

static void expect_refusal(World *w, const char *path, int64_t num_tokens, const char *why)
{
    if (open_files(w, 1, &path, num_tokens)) fail_msg("accepted, though: %s", why);
    if (!strstr(diag_text(w->d), why)) fail_msg("expected `%s`, got %s", why, diag_text(w->d));
    assert_non_null(strstr(diag_text(w->d), path));
}

static void text_is_bytes(void **state)
{
    World *w = *state;
    const char *paths[] = {put(w, "a.txt", "\xef\xbb\xbfhi\r\n", 7),
                           put(w, "b", "0123456789abc", 13)};
    Data *data = open_files(w, 2, paths, 256);
    int32_t all[20];
    assert_int_equal(data->train.n, 18);
    assert_int_equal(data->valid.n, 2);
    data_copy(&data->train, 0, 18, all);
    data_copy(&data->valid, 0, 2, all + 18);
    for (int i = 0; i < 7; i++) assert_int_equal(all[i], (unsigned char)"\xef\xbb\xbfhi\r\n"[i]);
    for (int i = 0; i < 13; i++) assert_int_equal(all[7 + i], "0123456789abc"[i]);
    data_close(data);
}

static void token_files(void **state)
{
    World *w = *state;
    const char *paths[] = {put_tokens(w, "n.bin", 300, false), put_tokens(w, "l.bin", 700, true)};
    Data *data = open_files(w, 2, paths, 700);
    assert_int_equal(data->train.n + data->valid.n, 1000);
    int32_t got[4];
    data_copy(&data->train, 298, 4, got);
    assert_int_equal(got[0], 298);
    assert_int_equal(got[1], 299);
    assert_int_equal(got[2], 0);
    assert_int_equal(got[3], 1);
    data_copy(&data->valid, 99, 1, got);
    assert_int_equal(got[0], 699);
    data_close(data);
}

static void refusals(void **state)
{
    World *w = *state;
    unsigned char header[1024] = {0};
    expect_refusal(w, put(w, "odd.bin", "abc", 3), 50257, "3 bytes are not a whole number");
    expect_refusal(w, put_tokens(w, "n.bin", 300, false), 299, "token 299 at byte 598, but");
    expect_refusal(w, put_tokens(w, "l.bin", 300, true), 299, "token 299 at byte 1622");
    expect_refusal(w, put(w, "t.txt", "ab\xe9z", 4), 128, "token 233 at byte 2");
    expect_refusal(w, put(w, "e.txt", "", 0), 256, "an empty file");
    expect_refusal(w, put(w, "e.bin", "", 0), 256, "an empty file");
    expect_refusal(w, put(w, "m.pt", "PK\x03\x04zz", 6), 256, "PyTorch file (.pt)");
    expect_refusal(w, put(w, "m.pkl", "\x80\x02}q", 4), 256, "Python pickle");
    expect_refusal(w, put(w, "t.gz", "\x1f\x8b\x08 ", 4), 256, "gzip");
    expect_refusal(w, put(w, "p", "version https://git-lfs.github.com", 34), 256, "git-lfs");
    expect_refusal(w, put(w, "s.txt", "\x02\0\0\0\0\0\0\0{}", 10), 256, "safetensors");
    expect_refusal(w, put(w, "l.txt", "\x88\xd8\x34\x01\x01\0\0\0", 8), 256, "must end in .bin");
    expect_refusal(w, put(w, "s.bin", "\x88\xd8\x34\x01\x01\0\0\0", 8), 256, "shorter than its");
    memcpy(header, "\xa1\xd9\x34\x01\x07\0\0\0", 8);
    expect_refusal(w, put(w, "l3.bin", header, 1024), 256, "magic 20240801, version 7");
    memcpy(header, "\x88\xd8\x34\x01\x02\0\0\0", 8);
    expect_refusal(w, put(w, "v2.bin", header, 1024), 256, "version 2");
    memcpy(header, "\x88\xd8\x34\x01\x01\0\0\0\x05\0\0\0", 12);
    expect_refusal(w, put(w, "cut.bin", header, 1024), 256, "should have 1034 bytes; it has 1024");
    memcpy(header + 8, "\xff\xff\xff\xff", 4);
    expect_refusal(w, put(w, "big.bin", header, 1024), 256, "4294967295 tokens");
    expect_refusal(w, w->dir, 256, "this is a directory");
    expect_refusal(w, "/nonexistent/a.txt", 256, "No such file");
    const char *mixed[] = {put_tokens(w, "n.bin", 30, false), put(w, "b.txt", "hello", 5)};
    assert_null(open_files(w, 2, mixed, 300));
    assert_non_null(strstr(diag_text(w->d), "do not mix"));
}

static void html_is_read_with_a_warning(void **state)
{
    World *w = *state;
    const char *path = put(w, "a.html", "<html><p>x", 10);
    Data *data = open_files(w, 1, &path, 256);
    assert_non_null(data);
    assert_non_null(strstr(diag_warnings(w->d), "an HTML page"));
    data_close(data);
    const char *tokens = put(w, "p.bin", "\x80\x02}q", 4);   /* looks like a pickle, is tokens */
    data = open_files(w, 1, &tokens, 65536);
    assert_non_null(data);
    data_close(data);
}

static void held_out_part(void **state)
{
    World *w = *state;
    char *p = arena_alloc(w->a, 1115394);    /* as long as tiny shakespeare */
    const char *path = put(w, "s.txt", p, 1115394), *other = put(w, "v.txt", "xyz", 3);
    Data *data = open_files(w, 1, &path, 256);
    assert_int_equal(data->train.n, 1003854);
    assert_int_equal(data->valid.n, 111540);
    data_close(data);
    DataOptions o = {.paths = &path, .npaths = 1, .valid_paths = &other, .nvalid_paths = 1,
                     .valid_share = 0.1, .num_tokens = 256};
    data = data_open(w->d, w->a, &o);
    assert_int_equal(data->train.n, 1115394);
    assert_int_equal(data->valid.n, 3);
    data_close(data);
    data = data_open_all(w->d, w->a, &path, 1, 256);
    assert_int_equal(data->valid.n, 1115394);
    data_close(data);
}

static void too_short(void **state)
{
    World *w = *state;
    const char *path = put(w, "a.txt", "0123456789", 10);
    Data *data = open_files(w, 1, &path, 256);
    data_require(&data->train, 8);
    bool failed = false;
    DIAG_TRY(w->d) { data_require(&data->train, 9); }
    DIAG_CATCH(w->d) { failed = true; }
    DIAG_END(w->d)
    assert_true(failed);
    assert_non_null(strstr(diag_text(w->d), "has 9 tokens (of 10 in all)"));
    assert_non_null(strstr(diag_text(w->d), "windows of --time 9 need 10"));
    data_close(data);
}

/* Begins of the windows first..first+n-1, from tokens that number themselves. */
static void begins(const DataPart *p, uint64_t seed, uint64_t first, int n, int time, int32_t *out)
{
    int32_t x[64], y[64];
    for (int i = 0; i < n; i++) {
        data_sample(p, seed, first + (uint64_t)i, 1, time, x, y);
        for (int t = 0; t < time; t++) {
            assert_int_equal(x[t], x[0] + t);
            assert_int_equal(y[t], x[t] + 1);
        }
        out[i] = x[0];
    }
}

static void an_epoch_visits_every_window_once(void **state)
{
    World *w = *state;
    enum { N = 1000, TIME = 7 };
    const char *path = put_tokens(w, "n.bin", N, false);
    DataOptions o = {.paths = &path, .npaths = 1, .num_tokens = N};
    Data *data = data_open(w->d, w->a, &o);
    int windows = (N - 1) / TIME, moved = 0;
    int32_t one[N], two[N];
    for (uint64_t seed = 0; seed < 20; seed++) {
        begins(&data->train, seed, 0, windows, TIME, one);
        begins(&data->train, seed, (uint64_t)windows, windows, TIME, two);
        char seen[2][N] = {{0}};
        for (int i = 0; i < windows; i++) {
            assert_int_equal(one[i] % TIME, one[0] % TIME);
            assert_int_equal(seen[0][one[i]]++ + seen[1][two[i]]++, 0);
            moved += one[i] / TIME != two[i] / TIME;
        }
    }
    assert_true(moved > 20 * windows * 9 / 10);   /* another epoch has another order */
    begins(&data->train, 0, 0, windows, TIME, one);
    begins(&data->train, 1, 0, windows, TIME, two);
    assert_memory_not_equal(one, two, sizeof one[0] * (size_t)windows);
    data_close(data);
}

static void resuming_gives_the_same_batches(void **state)
{
    World *w = *state;
    const char *path = put_tokens(w, "n.bin", 5000, false);
    Data *data = open_files(w, 1, &path, 5000);
    enum { B = 4, T = 16 };
    int32_t x[B * T], y[B * T], x2[B * T], y2[B * T], row[T];
    for (uint64_t step = 0; step < 200; step++) {
        data_sample(&data->train, 7, step * B, B, T, x, y);
        data_sample(&data->train, 7, step * B, B, T, x2, y2);
        assert_memory_equal(x, x2, sizeof x);
        assert_memory_equal(y, y2, sizeof y);
        data_sample(&data->train, 7, step * B + 2, 1, T, row, y2);
        assert_memory_equal(row, x + 2 * T, sizeof row);
        for (int i = 0; i < B * T; i++) assert_true(y[i] < 4500);
    }
    data_close(data);
}

static void evaluation_covers_each_target_once(void **state)
{
    World *w = *state;
    enum { B = 3, T = 8 };
    for (int n = 1; n < 80; n++) {
        const char *path = put_tokens(w, "n.bin", n, false);
        Data *data = data_open_all(w->d, w->a, &path, 1, 80);
        int32_t x[B * T], y[B * T];
        int64_t length;
        char seen[81] = {0};
        size_t first = 0;
        for (int rows; (rows = data_window(&data->valid, first, B, T, &length, x, y)) > 0;) {
            assert_true(rows <= B && length >= 1 && length <= T);
            for (int i = 0; i < rows * (int)length; i++) {
                assert_int_equal(y[i], x[i] + 1);
                seen[y[i]]++;
            }
            first += (size_t)rows;
        }
        assert_int_equal(first, data_windows(&data->valid, T));
        for (int i = 0; i < n; i++) assert_int_equal(seen[i], i > 0);
        data_close(data);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_is_bytes),
        TEST(token_files),
        TEST(refusals),
        TEST(html_is_read_with_a_warning),
        TEST(held_out_part),
        TEST(too_short),
        TEST(an_epoch_visits_every_window_once),
        TEST(resuming_gives_the_same_batches),
        TEST(evaluation_covers_each_target_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
