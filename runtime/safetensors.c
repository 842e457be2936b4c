/* safetensors.c: see safetensors.h. The header is JSON read by jansson; all that it says about
 * places in the file is checked here. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include "runtime/safetensors.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[ST_DTYPES] = {
    [ST_F64] = {"F64", 8}, [ST_F32] = {"F32", 4}, [ST_BF16] = {"BF16", 2}, [ST_F16] = {"F16", 2},
    [ST_I64] = {"I64", 8}, [ST_I32] = {"I32", 4}, [ST_I16] = {"I16", 2},   [ST_I8] = {"I8", 1},
    [ST_U8] = {"U8", 1},   [ST_BOOL] = {"BOOL", 1},
};

const char *st_dtype_name(StDtype t) { return dtypes[t].name; }
size_t st_dtype_bytes(StDtype t) { return dtypes[t].bytes; }

const char *st_shape_text(Arena *a, int rank, const int64_t *shape)
{
    Str s = {.arena = a};
    str_add(&s, "[");
    for (int i = 0; i < rank; i++) str_printf(&s, "%s%lld", i ? ", " : "", (long long)shape[i]);
    str_add(&s, "]");
    return s.s;
}

/* ---- reading the header ---- */

typedef struct {
    Diag *d;
    Arena *a;
    StFile *f;
    size_t data;                         /* bytes after the header */
} Reader;

#define refuse(r, ...) refuse_((r), arena_printf((r)->a, __VA_ARGS__))
RTC_NORETURN static void refuse_(Reader *r, char *why)
{
    for (char *c = why; *c; c++) {           /* a hostile name must not drive the terminal */
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
    }
    diag_fail(r->d, "%s: not a valid safetensors file: %s", r->f->path, why);
}

static void free_json(void *json) { json_decref(json); }

static StDtype read_dtype(Reader *r, const char *name, json_t *json)
{
    const char *text = json_string_value(json);
    if (!text) refuse(r, "tensor `%s` has no dtype", name);
    for (int i = 0; i < ST_DTYPES; i++) {
        if (!strcmp(text, dtypes[i].name)) return (StDtype)i;
    }
    refuse(r, "tensor `%s` has the dtype `%.40s`, which rtc does not read", name, text);
}

static void read_shape(Reader *r, StTensor *t, json_t *json)
{
    if (!json_is_array(json)) refuse(r, "tensor `%s` has no shape", t->name);
    size_t rank = json_array_size(json);
    if (rank > ST_MAX_RANK) {
        refuse(r, "tensor `%s` has %zu axes; at most %d are read", t->name, rank, ST_MAX_RANK);
    }
    t->rank = (int)rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        json_t *size = json_array_get(json, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0) {
            refuse(r, "size %zu of tensor `%s` is not a whole number >= 0", i, t->name);
        }
        t->shape[i] = json_integer_value(size);
        if (!size_mul(t->count, (size_t)t->shape[i], &t->count)) {
            refuse(r, "the shape of tensor `%s` has more elements than can be counted", t->name);
        }
    }
    if (!size_mul(t->count, dtypes[t->dtype].bytes, &t->bytes)) {
        refuse(r, "the shape of tensor `%s` has more bytes than can be counted", t->name);
    }
}

static void read_offsets(Reader *r, StTensor *t, json_t *json)
{
    json_t *b = json_array_get(json, 0), *e = json_array_get(json, 1);
    if (json_array_size(json) != 2 || !json_is_integer(b) || !json_is_integer(e)) {
        refuse(r, "data_offsets of tensor `%s` are not two whole numbers", t->name);
    }
    json_int_t begin = json_integer_value(b), end = json_integer_value(e);
    if (begin < 0 || end < begin) {
        refuse(r, "data_offsets of tensor `%s` are [%lld, %lld]", t->name, (long long)begin,
               (long long)end);
    }
    if ((uint64_t)end > r->data) {
        refuse(r, "tensor `%s` ends at byte %lld of %zu bytes of data; the file is cut or damaged",
               t->name, (long long)end, r->data);
    }
    if ((uint64_t)(end - begin) != t->bytes) {
        refuse(r, "tensor `%s` is %s%s: %zu bytes, but its data_offsets span %lld", t->name,
               dtypes[t->dtype].name, st_shape_text(r->a, t->rank, t->shape), t->bytes,
               (long long)(end - begin));
    }
    t->data = r->f->map->p + r->f->map->bytes - r->data + begin;
}

static void read_tensor(Reader *r, const char *name, json_t *json)
{
    size_t length = strlen(name);
    if (length == 0) refuse(r, "a tensor has an empty name");
    if (length > ST_MAX_NAME) {
        refuse(r, "the tensor name `%.40s...` has %zu bytes; at most %d are read", name, length,
               ST_MAX_NAME);
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f) {
            refuse(r, "the tensor name `%s` has a control character", name);
        }
    }
    if (!json_is_object(json)) refuse(r, "the entry of tensor `%s` is not an object", name);
    StTensor *t = &r->f->tensors[r->f->n++];
    t->file = r->f;
    t->name = arena_strdup(r->a, name);
    t->dtype = read_dtype(r, name, json_object_get(json, "dtype"));
    read_shape(r, t, json_object_get(json, "shape"));
    read_offsets(r, t, json_object_get(json, "data_offsets"));
}

static void read_meta(Reader *r, json_t *json)
{
    const char *key;
    json_t *value;
    if (!json_is_object(json)) refuse(r, "`__metadata__` is not an object");
    r->f->meta = NEW_N(r->a, StMeta, json_object_size(json));
    json_object_foreach(json, key, value)
    {
        const char *text = json_string_value(value);
        if (!text) refuse(r, "`__metadata__` has a value that is not a string, at `%.40s`", key);
        r->f->meta[r->f->nmeta++] = (StMeta){arena_strdup(r->a, key), arena_strdup(r->a, text)};
    }
}

static int by_place(const void *a, const void *b)
{
    const StTensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The tensors must tile the data: from 0, no overlap, no hole, to the end of the file. */
static void check_tiling(Reader *r)
{
    StFile *f = r->f;
    const unsigned char *at = f->map->p + f->map->bytes - r->data;
    if (f->n) qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_place);
    for (int i = 0; i < f->n; i++) {
        StTensor *t = &f->tensors[i];
        if (t->data < at) {
            refuse(r, "tensors `%s` and `%s` overlap", f->tensors[i - 1].name, t->name);
        }
        if (t->data > at) {
            refuse(r, "%zu unused bytes before `%s`", (size_t)(t->data - at), t->name);
        }
        at = t->data + t->bytes;
    }
    size_t rest = (size_t)(f->map->p + f->map->bytes - at);
    if (rest) refuse(r, "%zu bytes after the last tensor", rest);
}

static void index_names(Reader *r)
{
    StFile *f = r->f;
    uint32_t size = 16;
    while (size < 2u * (uint32_t)f->n) size *= 2;
    f->mask = size - 1;
    f->slots = NEW_N(r->a, int, size);
    for (int i = 0; i < f->n; i++) {
        uint32_t at = (uint32_t)hash_str(f->tensors[i].name) & f->mask;
        while (f->slots[at]) at = (at + 1) & f->mask;
        f->slots[at] = i + 1;
    }
}

static size_t header_bytes(Reader *r)
{
    const FileMap *m = r->f->map;
    uint64_t n = 0;
    FileKind kind = file_kind(r->f->path);
    if (kind != FILE_SAFETENSORS && kind != FILE_BINARY) {
        refuse(r, "this is %s", file_kind_name(kind));
    }
    if (m->bytes < 8) refuse(r, "it has %zu bytes, the header's length alone needs 8", m->bytes);
    for (int i = 0; i < 8; i++) n |= (uint64_t)m->p[i] << 8 * i;
    if (n > ST_MAX_HEADER) {
        refuse(r, "its header claims %llu bytes; at most %u are read", (unsigned long long)n,
               ST_MAX_HEADER);
    }
    if (n > m->bytes - 8) {
        refuse(r, "its header claims %llu bytes, the file has %zu after the length",
               (unsigned long long)n, m->bytes - 8);
    }
    if (n < 2 || m->p[8] != '{') refuse(r, "its header is not a JSON object");
    return (size_t)n;
}

static void read_header(Reader *r)
{
    StFile *f = r->f;
    json_error_t error;
    const char *key;
    json_t *value;
    size_t bytes = header_bytes(r);
    r->data = f->map->bytes - 8 - bytes;
    json_t *root = json_loadb((const char *)f->map->p + 8, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root) refuse(r, "its header at byte %d: %s", 8 + error.position, error.text);
    diag_defer(r->d, free_json, root);
    size_t n = json_object_size(root);
    if (n > ST_MAX_TENSORS) refuse(r, "%zu tensors; at most %d are read", n, ST_MAX_TENSORS);
    f->tensors = NEW_N(r->a, StTensor, n);
    json_object_foreach(root, key, value)
    {
        if (!strcmp(key, "__metadata__")) {
            read_meta(r, value);
        } else {
            read_tensor(r, key, value);
        }
    }
    diag_undefer(r->d);
    json_decref(root);
    check_tiling(r);
    index_names(r);
}

StFile *st_open(Diag *d, Arena *a, const char *path)
{
    StFile *f = NEW(a, StFile);
    Reader r = {.d = d, .a = a, .f = f};
    f->diag = d;
    f->path = arena_strdup(a, path);
    f->map = file_map(d, a, path);
    read_header(&r);
    return f;
}

void st_close(StFile *f) { file_unmap(f->map); }

const StTensor *st_find(const StFile *f, const char *name)
{
    uint32_t at = (uint32_t)hash_str(name) & f->mask;
    for (; f->slots[at]; at = (at + 1) & f->mask) {
        const StTensor *t = &f->tensors[f->slots[at] - 1];
        if (!strcmp(t->name, name)) return t;
    }
    return NULL;
}

const char *st_meta(const StFile *f, const char *key)
{
    for (int i = 0; i < f->nmeta; i++) {
        if (!strcmp(f->meta[i].key, key)) return f->meta[i].value;
    }
    return NULL;
}

/* ---- conversion ---- */

float st_f16_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 0) {
        float f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    uint32_t u = sign | (exponent == 31 ? 0xffu : exponent + 112) << 23 | fraction << 13;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* One loop per stored type over the elements [from, to): out[i - from] = convert(raw element i). */
#define EACH(T, convert)                                                                           \
    for (size_t i = from; i < to; i++) {                                                           \
        T raw;                                                                                     \
        memcpy(&raw, t->data + i * sizeof raw, sizeof raw);                                        \
        out[i - from] = convert;                                                                   \
    }                                                                                              \
    break;

#define TO_FLOAT(T)                                                                                \
    switch (t->dtype) {                                                                            \
    case ST_F64: EACH(double, (T)raw)                                                              \
    case ST_F32: EACH(float, (T)raw)                                                               \
    case ST_BF16: EACH(uint16_t, (T)st_bf16_float(raw))                                            \
    case ST_F16: EACH(uint16_t, (T)st_f16_float(raw))                                              \
    case ST_I64: EACH(int64_t, (T)raw)                                                             \
    case ST_I32: EACH(int32_t, (T)raw)                                                             \
    case ST_I16: EACH(int16_t, (T)raw)                                                             \
    case ST_I8: EACH(int8_t, (T)raw)                                                               \
    case ST_U8: EACH(uint8_t, (T)raw)                                                              \
    case ST_BOOL: EACH(uint8_t, (T)(raw != 0))                                                     \
    case ST_DTYPES: break;                                                                         \
    }

static void to_f32(const StTensor *t, size_t from, size_t to, float *out) { TO_FLOAT(float) }
static void to_f64(const StTensor *t, size_t from, size_t to, double *out) { TO_FLOAT(double) }

void st_read_f32(const StTensor *t, float *out) { to_f32(t, 0, t->count, out); }
void st_read_f64(const StTensor *t, double *out) { to_f64(t, 0, t->count, out); }

RTC_NORETURN static void fail_element(const StTensor *t, size_t i, double value, const char *what)
{
    diag_fail(t->file->diag, "%s: element %zu of `%s` is %.17g, which is not %s", t->file->path, i,
              t->name, value, what);
}

static int64_t whole(const StTensor *t, size_t i, double x)
{
    if (!(x >= -0x1p63 && x < 0x1p63) || x != floor(x)) fail_element(t, i, x, "a 64-bit integer");
    return (int64_t)x;
}

static void to_i64(const StTensor *t, size_t from, size_t to, int64_t *out)
{
    switch (t->dtype) {
    case ST_F64: EACH(double, whole(t, i, raw))
    case ST_F32: EACH(float, whole(t, i, (double)raw))
    case ST_BF16: EACH(uint16_t, whole(t, i, (double)st_bf16_float(raw)))
    case ST_F16: EACH(uint16_t, whole(t, i, (double)st_f16_float(raw)))
    case ST_I64: EACH(int64_t, raw)
    case ST_I32: EACH(int32_t, raw)
    case ST_I16: EACH(int16_t, raw)
    case ST_I8: EACH(int8_t, raw)
    case ST_U8: EACH(uint8_t, raw)
    case ST_BOOL: EACH(uint8_t, raw != 0)
    case ST_DTYPES: break;
    }
}

void st_read_i64(const StTensor *t, int64_t *out) { to_i64(t, 0, t->count, out); }

enum { BLOCK = 512 };

static size_t block_end(const StTensor *t, size_t from)
{
    return t->count - from < BLOCK ? t->count : from + BLOCK;
}

void st_read_i32(const StTensor *t, int32_t *out)
{
    int64_t wide[BLOCK];
    for (size_t from = 0; from < t->count; from += BLOCK) {
        size_t to = block_end(t, from);
        to_i64(t, from, to, wide);
        for (size_t i = from; i < to; i++) {
            int64_t x = wide[i - from];
            if (x != (int32_t)x) fail_element(t, i, (double)x, "a 32-bit integer");
            out[i] = (int32_t)x;
        }
    }
}

void st_read_bool(const StTensor *t, uint8_t *out)
{
    double wide[BLOCK];
    for (size_t from = 0; from < t->count; from += BLOCK) {
        size_t to = block_end(t, from);
        to_f64(t, from, to, wide);
        for (size_t i = from; i < to; i++) {
            if (isnan(wide[i - from])) fail_element(t, i, wide[i - from], "true or false");
            out[i] = wide[i - from] != 0;
        }
    }
}

/* ---- writing ---- */

typedef struct {
    size_t bytes, begin;
} Place;

static size_t entry_bytes(Diag *d, const char *path, const StEntry *e)
{
    size_t n = dtypes[e->dtype].bytes;
    if (e->rank < 0 || e->rank > ST_MAX_RANK) diag_bug(d, "`%s` has rank %d", e->name, e->rank);
    for (int i = 0; i < e->rank; i++) {
        if (e->shape[i] < 0 || !size_mul(n, (size_t)e->shape[i], &n)) {
            diag_fail(d, "%s: tensor `%s` is too large to write", path, e->name);
        }
    }
    return n;
}

static json_t *entry_json(const StEntry *e, Place at)
{
    json_t *shape = json_array();
    for (int i = 0; i < e->rank; i++) json_array_append_new(shape, json_integer(e->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[e->dtype].name, "shape", shape,
                     "data_offsets", (json_int_t)at.begin, (json_int_t)(at.begin + at.bytes));
}

static void add_entry(Diag *d, const char *path, json_t *root, const StEntry *e, Place at)
{
    size_t n = strlen(e->name);
    if (n == 0 || n > ST_MAX_NAME || !strcmp(e->name, "__metadata__")) {
        diag_fail(d, "%s: cannot write a tensor named `%.300s`", path, e->name);
    }
    if (json_object_get(root, e->name)) diag_fail(d, "%s: tensor `%s` twice", path, e->name);
    if (json_object_set_new(root, e->name, entry_json(e, at)) != 0) {
        diag_fail(d, "%s: the tensor name `%s` is not UTF-8", path, e->name);
    }
}

static void add_meta(Diag *d, const char *path, json_t *root, const StMeta *meta, int n)
{
    json_t *object = json_object();
    json_object_set_new(root, "__metadata__", object);
    for (int i = 0; i < n; i++) {
        if (json_object_set_new(object, meta[i].key, json_string(meta[i].value)) != 0) {
            diag_fail(d, "%s: the metadata `%s` are not UTF-8", path, meta[i].key);
        }
    }
}

static void write_header(FileWriter *w, json_t *root, Diag *d, const char *path)
{
    char *text = json_dumps(root, JSON_COMPACT);
    if (!text) diag_fail(d, "%s: no memory for the header", path);
    size_t n = strlen(text), padded = (n + 7) / 8 * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    diag_defer(d, free, text);
    if (padded > ST_MAX_HEADER) diag_fail(d, "%s: %zu bytes of names are too many", path, padded);
    file_write(w, length, 8);
    file_write(w, text, n);
    file_write(w, "       ", padded - n);
    diag_undefer(d);
    free(text);
}

void st_write(Diag *d, const char *path, const StEntry *tensors, int n, const StMeta *meta,
              int nmeta)
{
    static const size_t sizes[] = {8, 4, 2, 1};
    size_t end = 0;
    if (n > ST_MAX_TENSORS - 1) diag_fail(d, "%s: %d tensors are too many", path, n);
    FileWriter *w = file_create(d, path);
    json_t *root = json_object();
    diag_defer(d, free_json, root);
    if (nmeta) add_meta(d, path, root, meta, nmeta);
    for (int s = 0; s < COUNT(sizes); s++) {
        for (int i = 0; i < n; i++) {
            if (dtypes[tensors[i].dtype].bytes != sizes[s]) continue;
            Place at = {entry_bytes(d, path, &tensors[i]), end};
            add_entry(d, path, root, &tensors[i], at);
            end += at.bytes;
        }
    }
    write_header(w, root, d, path);
    diag_undefer(d);
    json_decref(root);
    for (int s = 0; s < COUNT(sizes); s++) {
        for (int i = 0; i < n; i++) {
            if (dtypes[tensors[i].dtype].bytes != sizes[s]) continue;
            file_write(w, tensors[i].data, entry_bytes(d, path, &tensors[i]));
        }
    }
    file_commit(w);
}
