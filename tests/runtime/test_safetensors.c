/* Safetensors: round trips, conversions, and a table of bad files, each refused with its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "runtime/safetensors.h"

typedef struct {
    Diag *d;
    Arena *a;
    char path[64];
} World;

static int setup(void **state)
{
    World *w = calloc(1, sizeof *w);
    w->d = diag_new();
    w->a = arena_new();
    snprintf(w->path, sizeof w->path, "/tmp/rtc-st-%ld.safetensors", (long)getpid());
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    World *w = *state;
    unlink(w->path);
    diag_free(w->d);
    arena_free(w->a);
    free(w);
    return 0;
}

static void write_bytes(World *w, const void *p, size_t n) { file_save(w->d, w->path, p, n); }

/* A file of a header (its length written as `claims`) and `data` zero bytes. */
static void write_file(World *w, const char *header, size_t bytes, uint64_t claims, size_t data)
{
    unsigned char *p = arena_alloc(w->a, 8 + bytes + data);
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(claims >> 8 * i);
    memcpy(p + 8, header, bytes);
    write_bytes(w, p, 8 + bytes + data);
}

/* NULL when the file is accepted. */
static const char *refusal(World *w)
{
    DIAG_TRY(w->d) { st_close(st_open(w->d, w->a, w->path)); }
    DIAG_CATCH(w->d) { return diag_text(w->d); }
    DIAG_END(w->d)
    return NULL;
}

static void expect_refusal(World *w, const char *why)
{
    const char *text = refusal(w);
    if (!text) fail_msg("accepted, though: %s", why);
    if (!strstr(text, why)) fail_msg("expected `%s`, got `%s`", why, text);
    assert_non_null(strstr(text, w->path));
    assert_int_equal(diag_status(w->d), 1);
}

#define T8 "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"
#define MAX "18446744073709551615"

static const struct {
    const char *header;
    size_t data;
    const char *why;      /* NULL: a good file */
} headers[] = {
    {"{\"a\":{" T8 "}}", 8, NULL},
    {"{}", 0, NULL},
    {"{\"a\":{" T8 "}}   \n", 8, NULL},
    {"{\"a\":{" T8 ",\"more\":1}}", 8, NULL},
    {"{\"__metadata__\":{\"k\":\"v\"},\"a\":{" T8 "}}", 8, NULL},
    {"{\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, NULL},
    {"{\"z\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
     "\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, NULL},
    {"{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},\"a\":{" T8 "}}", 12, NULL},
    {"[1]", 0, "not a JSON object"},
    {" {}", 0, "not a JSON object"},
    {"{\"a\":}", 0, "unexpected token"},
    {"{} x", 0, "end of file expected"},
    {"{\"a\":{" T8 "}", 8, "its header"},
    {"{\"a\":{" T8 "},\"a\":{" T8 "}}", 8, "duplicate object key"},
    {"{\"a\":{\"shape\":[2],\"shape\":[2]}}", 8, "duplicate object key"},
    {"{\"a\":1}", 0, "not an object"},
    {"{\"a\\u0000\":{" T8 "}}", 8, "\\u0000"},
    {"{\"\xff\":{" T8 "}}", 8, "byte 0xff"},
    {"{\"\":{" T8 "}}", 8, "empty name"},
    {"{\"a\\u001b[2J\":{" T8 "}}", 8, "`a?[2J` has a control character"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "has no dtype"},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "has no dtype"},
    {"{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype `F31`"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}", 8, "whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[" MAX "],\"data_offsets\":[0,8]}}", 8, "too big"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8,
     "more elements than can be counted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
     "more bytes than can be counted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
     "has 9 axes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "two whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "two whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", 8, "two whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,\"8\"]}}", 8, "two whole"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "are [-8, 0]"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "are [8, 0]"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "cut or damaged"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "12 bytes, but"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "4 unused bytes"},
    {"{\"a\":{" T8 "}}", 9, "1 bytes after the last tensor"},
    {"{\"a\":{" T8 "},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
     "overlap"},
    {"{\"a\":{" T8 "},\"b\":{" T8 "}}", 8, "overlap"},
    {"{\"a\":{" T8 "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16,
     "4 unused bytes before `b`"},
    {"{\"a\":{" T8 "},\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}", 8,
     "overlap"},
    {"{\"__metadata__\":[],\"a\":{" T8 "}}", 8, "`__metadata__` is not an object"},
    {"{\"__metadata__\":{\"k\":1},\"a\":{" T8 "}}", 8, "not a string"},
};

static void table_of_headers(void **state)
{
    World *w = *state;
    for (int i = 0; i < COUNT(headers); i++) {
        size_t n = strlen(headers[i].header);
        write_file(w, headers[i].header, n, n, headers[i].data);
        if (headers[i].why) {
            expect_refusal(w, headers[i].why);
        } else if (refusal(w)) {
            fail_msg("%s: %s", headers[i].header, diag_text(w->d));
        }
    }
}

static void lengths_and_wrong_kinds(void **state)
{
    World *w = *state;
    write_bytes(w, "", 0);
    expect_refusal(w, "this is an empty file");
    write_bytes(w, "\x02\0\0", 3);
    expect_refusal(w, "it has 3 bytes");
    write_file(w, "{}", 2, 3, 0);
    expect_refusal(w, "claims 3 bytes, the file has 2");
    write_file(w, "{}", 2, 0, 0);
    expect_refusal(w, "not a JSON object");
    write_file(w, "{}", 2, UINT64_MAX, 0);
    expect_refusal(w, "at most 16777216 are read");
    write_file(w, "{}", 2, UINT64_MAX - 7, 0);
    expect_refusal(w, "at most 16777216 are read");
    write_bytes(w, "<!doctype html><html></html>", 28);
    expect_refusal(w, "this is an HTML page");
    write_bytes(w, "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", 56);
    expect_refusal(w, "git-lfs pointer");
    write_bytes(w, "PK\x03\x04\x14\0\0\0\0\0\0\0", 12);
    expect_refusal(w, "PyTorch file (.pt)");
    write_bytes(w, "\x80\x02}q\0.", 6);
    expect_refusal(w, "Python pickle");
    write_bytes(w, "once upon a time", 16);
    expect_refusal(w, "this is a text");
    unlink(w->path);
    const char *why = refusal(w);
    assert_non_null(why);
    assert_non_null(strstr(why, "No such file"));
}

static void limits(void **state)
{
    World *w = *state;
    char name[ST_MAX_NAME + 2] = {0};
    memset(name, 'n', ST_MAX_NAME + 1);
    char *header = arena_printf(w->a, "{\"%s\":{" T8 "}}", name);
    write_file(w, header, strlen(header), strlen(header), 8);
    expect_refusal(w, "has 257 bytes");
    Str s = {.arena = w->a};
    for (int i = 0; i <= ST_MAX_TENSORS; i++) {
        str_printf(&s, "%c\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                   i ? ',' : '{', i);
    }
    str_add(&s, "}");
    write_file(w, s.s, s.n, s.n, 0);
    clock_t start = clock();
    expect_refusal(w, "65537 tensors");
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 2.0);
    Str deep = {.arena = w->a};
    str_add(&deep, "{\"a\":");
    for (int i = 0; i < 1000000; i++) str_add(&deep, "[");
    write_file(w, deep.s, deep.n, deep.n, 0);
    expect_refusal(w, "maximum parsing depth");
}

/* Cut and flipped copies of a good file are refused or read; no copy may crash. */
static void every_cut_is_refused(void **state)
{
    World *w = *state;
    static const float v[3] = {1, 2, 3};
    StEntry e = {"weights", ST_F32, 1, {3}, v};
    size_t n;
    st_write(w->d, w->path, &e, 1, NULL, 0);
    char *good = file_read(w->d, w->a, w->path, 1 << 20, &n);
    for (size_t cut = 0; cut < n; cut++) {
        write_bytes(w, good, cut);
        if (!refusal(w)) fail_msg("cut to %zu bytes, and accepted", cut);
    }
    int refused = 0;
    for (size_t at = 0; at < n; at++) {
        good[at] ^= 0x15;
        write_bytes(w, good, n);
        refused += refusal(w) != NULL;
        good[at] ^= 0x15;
    }
    assert_true(refused > 40);
}

static void round_trip(void **state)
{
    World *w = *state;
    static const double f64[2] = {1e300, -0.5};
    static const float f32[6] = {1, -2, 3.5f, 0, 1e-20f, INFINITY};
    static const int64_t i64[2] = {INT64_MIN, 1ll << 40};
    static const int32_t i32[3] = {-7, 0, INT32_MAX};
    static const int16_t i16[1] = {-300};
    static const int8_t i8[3] = {-128, 0, 127};
    static const uint8_t u8[3] = {0, 200, 255}, yes[3] = {1, 0, 1};
    const StEntry in[] = {
        {"flag", ST_BOOL, 1, {3}, yes}, {"f32", ST_F32, 2, {2, 3}, f32}, {"u8", ST_U8, 1, {3}, u8},
        {"f64", ST_F64, 1, {2}, f64},   {"i64", ST_I64, 1, {2}, i64},    {"i8", ST_I8, 1, {3}, i8},
        {"i16", ST_I16, 1, {1}, i16},   {"i32", ST_I32, 1, {3}, i32},
        {"none", ST_F32, 1, {0}, 0},
        {"scalar/\xc3\xa9\"\\", ST_F32, 0, {0}, f32},
    };
    const StMeta meta[] = {{"format", "rtc"}, {"note", "a \"quoted\"\nline"}};
    st_write(w->d, w->path, in, COUNT(in), meta, COUNT(meta));
    StFile *f = st_open(w->d, w->a, w->path);
    assert_int_equal(f->n, COUNT(in));
    assert_string_equal(st_meta(f, "note"), meta[1].value);
    assert_null(st_meta(f, "absent"));
    assert_null(st_find(f, "absent"));
    for (int i = 0; i < COUNT(in); i++) {
        const StTensor *t = st_find(f, in[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, in[i].dtype);
        assert_int_equal(t->rank, in[i].rank);
        for (int j = 0; j < t->rank; j++) assert_int_equal(t->shape[j], in[i].shape[j]);
        assert_int_equal((uintptr_t)t->data % st_dtype_bytes(t->dtype), 0);
        if (t->bytes) assert_memory_equal(t->data, in[i].data, t->bytes);
    }
    float a[6];
    double b[6];
    int32_t c[6];
    int64_t e[6];
    st_read_f32(st_find(f, "f32"), a);
    assert_memory_equal(a, f32, sizeof f32);
    st_read_f64(st_find(f, "i64"), b);
    assert_true(b[1] == 0x1p40);
    st_read_i32(st_find(f, "i8"), c);
    assert_int_equal(c[0], -128);
    st_read_i64(st_find(f, "u8"), e);
    assert_int_equal(e[2], 255);
    uint8_t truth[3];
    st_read_bool(st_find(f, "u8"), truth);
    assert_int_equal(truth[0] * 4 + truth[1] * 2 + truth[2], 3);
    assert_string_equal(st_shape_text(w->a, 2, st_find(f, "f32")->shape), "[2, 3]");
    st_close(f);
}

static void half_precision(void **state)
{
    World *w = *state;
    static const uint16_t f16[] = {0x3c00, 0xc000, 0x0001, 0x8000, 0x7c00, 0x7e00, 0x7bff, 0x03ff};
    uint16_t bf16[4] = {st_float_bf16(1.0f), st_float_bf16(-3.0f), st_float_bf16(NAN),
                        st_float_bf16(INFINITY)};
    const StEntry in[] = {{"h", ST_F16, 1, {8}, f16}, {"b", ST_BF16, 1, {4}, bf16}};
    st_write(w->d, w->path, in, 2, NULL, 0);
    StFile *f = st_open(w->d, w->a, w->path);
    float h[8];
    double b[4];
    st_read_f32(st_find(f, "h"), h);
    assert_true(h[0] == 1 && h[1] == -2 && h[2] == 0x1p-24f && h[3] == 0 && signbit(h[3]));
    assert_true(h[4] == INFINITY && isnan(h[5]) && h[6] == 65504 && h[7] == 1023 * 0x1p-24f);
    st_read_f64(st_find(f, "b"), b);
    assert_true(b[0] == 1 && b[1] == -3 && isnan(b[2]) && b[3] == INFINITY);
    st_close(f);
    assert_int_equal(st_float_bf16(1.00390625f), 0x3f80);   /* a tie goes to even */
    assert_int_equal(st_float_bf16(1.01171875f), 0x3f82);
    assert_int_equal(st_float_bf16(1.00390637f), 0x3f81);
}

static const char *i32_refusal(World *w, const char *name, int32_t *out)
{
    DIAG_TRY(w->d) { st_read_i32(st_find(st_open(w->d, w->a, w->path), name), out); }
    DIAG_CATCH(w->d) { return diag_text(w->d); }
    DIAG_END(w->d)
    return "read";
}

static void bad_elements(void **state)
{
    World *w = *state;
    float *v = NEW_N(w->a, float, 1000);
    int64_t *big = NEW_N(w->a, int64_t, 1000);
    int32_t *out = NEW_N(w->a, int32_t, 1000);
    v[700] = 2.5f;
    big[800] = 1ll << 40;
    const StEntry in[] = {{"v", ST_F32, 1, {1000}, v}, {"big", ST_I64, 1, {1000}, big}};
    st_write(w->d, w->path, in, 2, NULL, 0);
    assert_non_null(strstr(i32_refusal(w, "v", out), "element 700 of `v` is 2.5, which is not a"));
    assert_non_null(strstr(i32_refusal(w, "big", out), "element 800 of `big` is 1099511627776"));
}

static const char *write_refusal(World *w, const StEntry *e, int n)
{
    DIAG_TRY(w->d) { st_write(w->d, w->path, e, n, NULL, 0); }
    DIAG_CATCH(w->d) { return diag_text(w->d); }
    DIAG_END(w->d)
    return "written";
}

static void writer_refuses(void **state)
{
    World *w = *state;
    static const float v[1] = {1};
    const StEntry twice[] = {{"a", ST_F32, 1, {1}, v}, {"a", ST_F32, 1, {1}, v}};
    const StEntry bad[] = {{"\xff", ST_F32, 1, {1}, v}};
    const StEntry reserved[] = {{"__metadata__", ST_F32, 1, {1}, v}};
    assert_non_null(strstr(write_refusal(w, twice, 2), "twice"));
    assert_non_null(strstr(write_refusal(w, bad, 1), "UTF-8"));
    assert_non_null(strstr(write_refusal(w, reserved, 1), "cannot write"));
    assert_int_equal(file_kind(w->path), FILE_MISSING);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(table_of_headers), TEST(lengths_and_wrong_kinds), TEST(limits),
        TEST(every_cut_is_refused), TEST(round_trip), TEST(half_precision),
        TEST(bad_elements), TEST(writer_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
