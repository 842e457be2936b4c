/* data.c: see data.h. */
#include "ir/philox.h"
#include "runtime/data.h"

/* ---- opening ---- */

typedef struct {
    Diag *d;
    Arena *a;
    Data *data;
    int64_t num_tokens;
    const PairRules *pairs;
} Opener;

static uint32_t u32_at(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_token_file(const char *path)
{
    size_t n = strlen(path);
    return n >= 4 && !strcmp(path + n - 4, ".bin");
}

enum { LLMC_MAGIC = 20240520, LLMC_MAGIC_LLAMA3 = 20240801, LLMC_HEADER = 1024 };

static void open_llmc(Opener *o, DataFile *f, const FileMap *m)
{
    if (m->bytes < LLMC_HEADER) {
        diag_fail(o->d, "%s: an llm.c token file of %zu bytes is shorter than its %d-byte header",
                  f->path, m->bytes, LLMC_HEADER);
    }
    uint32_t version = u32_at(m->p + 4), n = u32_at(m->p + 8);
    if (u32_at(m->p) != LLMC_MAGIC || version != 1) {
        diag_fail(o->d, "%s: llm.c token file of magic %u, version %u\n"
                        "rtc reads magic %d, version 1 (uint16 tokens)",
                  f->path, u32_at(m->p), version, LLMC_MAGIC);
    }
    if ((uint64_t)LLMC_HEADER + 2 * (uint64_t)n != m->bytes) {
        diag_fail(o->d, "%s: its header says %u tokens, so it should have %llu bytes; it has %zu",
                  f->path, n, (unsigned long long)LLMC_HEADER + 2ull * n, m->bytes);
    }
    f->tokens = m->p + LLMC_HEADER;
    f->n = n;
}

static void open_tokens(Opener *o, DataFile *f, const FileMap *m)
{
    uint32_t magic = m->bytes >= 4 ? u32_at(m->p) : 0;
    bool sized = m->bytes > LLMC_HEADER && LLMC_HEADER + 2ull * u32_at(m->p + 8) == m->bytes;
    if (magic == LLMC_MAGIC || magic == LLMC_MAGIC_LLAMA3 || sized) {
        open_llmc(o, f, m);
    } else {
        if (m->bytes % 2) {
            diag_fail(o->d, "%s: %zu bytes are not a whole number of 16-bit tokens", f->path,
                      m->bytes);
        }
        f->tokens = m->p;
        f->n = m->bytes / 2;
    }
}

static void refuse_wrong_kind(Opener *o, const char *path)
{
    switch (file_kind(path)) {
    case FILE_PICKLE:
    case FILE_GZIP:
        if (is_token_file(path)) break;      /* two bytes that a first token may well have */
        /* fall through */
    case FILE_EMPTY:
    case FILE_LFS_POINTER:
    case FILE_SAFETENSORS:
    case FILE_ZIP:
        diag_fail(o->d, "%s: this is %s; %s is needed", path, file_kind_name(file_kind(path)),
                  o->pairs ? "a text of pairs" : "a text or a .bin token file");
    case FILE_HTML:
        if (is_token_file(path))
            diag_fail(o->d, "%s: this is %s, not a token file", path, file_kind_name(FILE_HTML));
        diag_warn(o->d, NO_LOC, "%s: this is an HTML page; it is read as text, tags included",
                  path);
        break;
    case FILE_LLMC_TOKENS:
        if (is_token_file(path)) break;
        diag_fail(o->d, "%s: a token file of llm.c; its name must end in .bin to be read as one",
                  path);
    default: break;
    }
}

/* The first token of f that is num_tokens or more is an error that says where. */
static void check_ids(Opener *o, const DataFile *f, const FileMap *m, int width)
{
    const unsigned char *p = f->tokens;
    if (o->num_tokens >= (width == 1 ? 256 : 65536)) return;
    unsigned limit = (unsigned)o->num_tokens;
    for (size_t i = 0; i < f->n; i++) {
        unsigned id = width == 1 ? p[i] : p[2 * i] | (unsigned)p[2 * i + 1] << 8;
        if (id < limit) continue;
        size_t offset = (size_t)(p - m->p) + i * (size_t)width;
        diag_fail(o->d, "%s: token %u at byte %zu, but num_tokens is %u\n"
                        "ids must be less: use --set num_tokens=%s",
                  f->path, id, offset, limit, width == 1 ? "256" : "the size of its vocabulary");
    }
}

static void open_file(Opener *o, DataStream *s, DataFile *f, const FileMap *m)
{
    f->begin = s->n;
    f->tokens = m->p;
    if (o->pairs) {
        f->n = pairs_count(m->p, m->bytes);
    } else {
        f->n = m->bytes;
        if (s->width == 2) open_tokens(o, f, m);
        check_ids(o, f, m, s->width);
    }
    s->n += f->n;
}

static void read_pairs(Opener *o, DataStream *s, FileMap *const *maps)
{
    s->pairs = NEW_N(o->a, Pair, s->n + 1);
    for (int i = 0; i < s->nfiles; i++) {
        const DataFile *f = &s->files[i];
        pairs_split(o->d, f->path, maps[i]->p, maps[i]->bytes, o->pairs, s->pairs + f->begin);
    }
    for (size_t i = 0; i < s->n; i++) {
        const Pair *p = &s->pairs[i];
        int64_t source = pair_source_tokens(p), target = pair_target_tokens(p);
        if (source > s->source) s->source = source;
        if (target > s->target) s->target = target;
    }
}

static const DataStream *open_stream(Opener *o, const char *const *paths, int n)
{
    DataStream *s = NEW(o->a, DataStream);
    FileMap **maps = o->data->maps + o->data->nmaps;
    s->files = NEW_N(o->a, DataFile, n);
    s->nfiles = n;
    s->width = o->pairs ? 0 : n && is_token_file(paths[0]) ? 2 : 1;
    for (int i = 0; i < n; i++) {
        DataFile *f = &s->files[i];
        f->path = arena_strdup(o->a, paths[i]);
        if (o->pairs && is_token_file(f->path))
            diag_fail(o->d, "%s is a token file; the model needs a text of pairs", f->path);
        if (!o->pairs && is_token_file(f->path) != (s->width == 2)) {
            diag_fail(o->d, "%s is %s and %s is not: token files and texts do not mix", paths[0],
                      s->width == 2 ? "a token file" : "a text", f->path);
        }
        maps[i] = file_map(o->d, o->a, f->path);
        o->data->nmaps++;
        refuse_wrong_kind(o, f->path);
        open_file(o, s, f, maps[i]);
    }
    if (o->pairs) read_pairs(o, s, maps);
    return s;
}

static DataPart whole(Opener *o, const DataStream *s, const char *what)
{
    const char *name = arena_printf(o->a, "%s%s%s", what, s->nfiles ? s->files[0].path : "",
                                    s->nfiles > 1 ? " and the files after it" : "");
    return (DataPart){s, 0, s->n, name, o->d};
}

Data *data_open(Diag *d, Arena *a, const DataOptions *opt)
{
    Opener o = {d, a, NEW(a, Data), opt->num_tokens, opt->pairs};
    o.data->maps = NEW_N(a, FileMap *, opt->npaths + opt->nvalid_paths);
    if (!o.pairs && o.num_tokens < 1) diag_fail(d, "num_tokens is %lld", (long long)o.num_tokens);
    const DataStream *s = open_stream(&o, opt->paths, opt->npaths);
    o.data->train = whole(&o, s, "the training part of ");
    if (opt->nvalid_paths) {
        const DataStream *v = open_stream(&o, opt->valid_paths, opt->nvalid_paths);
        if (v->width != s->width) {
            diag_fail(d, "%s and %s: token files and texts do not mix", opt->paths[0],
                      opt->valid_paths[0]);
        }
        o.data->valid = whole(&o, v, "the validation data ");
    } else {
        o.data->train.n = (size_t)((double)s->n * (1 - opt->valid_share));
        o.data->valid = whole(&o, s, opt->valid_share < 1 ? "the validation part of " : "");
        o.data->valid.begin = o.data->train.n;
        o.data->valid.n = s->n - o.data->train.n;
    }
    return o.data;
}

Data *data_open_all(Diag *d, Arena *a, const char *const *paths, int npaths, int64_t num_tokens)
{
    return data_open(d, a, &(DataOptions){.paths = paths, .npaths = npaths, .valid_share = 1,
                                          .num_tokens = num_tokens});
}

void data_close(Data *data)
{
    while (data->nmaps) file_unmap(data->maps[--data->nmaps]);
}

void data_require(const DataPart *p, int64_t time)
{
    if (p->stream->pairs && p->n) return;
    if (p->stream->pairs)
        diag_fail(p->diag, "%s has no pair (of %zu in all)", p->name, p->stream->n);
    if (time >= 1 && p->n > (uint64_t)time) return;
    diag_fail(p->diag, "%s has %zu tokens (of %zu in all); windows of --time %lld need %lld\n"
                       "give a smaller --time or more data",
              p->name, p->n, p->stream->n, (long long)time, (long long)time + 1);
}

/* ---- copying ---- */

void data_copy(const DataPart *p, size_t from, size_t n, int32_t *out)
{
    const DataStream *s = p->stream;
    size_t at = p->begin + from;
    int low = 0, high = s->nfiles - 1;
    while (low < high) {                     /* the last file that begins at or before `at` */
        int middle = (low + high + 1) / 2;
        if (s->files[middle].begin <= at) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    for (int f = low; n > 0; f++) {
        const DataFile *file = &s->files[f];
        size_t i = at - file->begin, some = file->n - i < n ? file->n - i : n;
        const unsigned char *q = file->tokens + i * (size_t)s->width;
        for (size_t j = 0; j < some; j++) {
            out[j] = s->width == 1 ? q[j] : q[2 * j] | q[2 * j + 1] << 8;
        }
        out += some;
        at += some;
        n -= some;
    }
}

/* x[time] and targets[time] of the window that begins at `from`. */
static void copy_window(const DataPart *p, size_t from, int64_t time, int32_t *x, int32_t *targets)
{
    data_copy(p, from, (size_t)time, x);
    data_copy(p, from + 1, (size_t)time, targets);
}

/* ---- the training order ---- */

/* Keeps these draws apart from a model's own under the same seed. */
#define DATA_KEY 0x64617461ull

static Philox draw(uint64_t seed, uint64_t epoch, uint32_t a, uint32_t b)
{
    return philox(seed ^ DATA_KEY, a, b, (uint32_t)epoch, (uint32_t)(epoch >> 32));
}

/* A permutation of [0, n): a Feistel network of Philox on the next power of four, walked along its
 * cycle until it falls below n (under 4 tries on average). */
static uint64_t permute(uint64_t seed, uint64_t epoch, uint64_t i, uint64_t n)
{
    int half = 1;
    while (half < 32 && n > 1ull << 2 * half) half++;
    uint32_t mask = half == 32 ? ~0u : (1u << half) - 1;
    do {
        uint32_t left = (uint32_t)(i >> half) & mask, right = (uint32_t)i & mask;
        for (uint32_t round = 0; round < 6; round++) {
            Philox x = draw(seed, epoch, right, round);
            uint32_t next = left ^ (x.w[0] & mask);
            left = right;
            right = next;
        }
        i = (uint64_t)left << half | right;
    } while (i >= n);
    return i;
}

/* Where window number `taken` begins. */
static size_t place(const DataPart *p, uint64_t seed, uint64_t taken, int64_t time)
{
    size_t windows = (p->n - 1) / (size_t)time, spare = (p->n - 1) % (size_t)time;
    uint64_t epoch = taken / windows;
    Philox x = draw(seed, epoch, ~0u, ~0u);
    size_t shift = (((uint64_t)x.w[0] << 32) | x.w[1]) % (spare + 1);
    return shift + (size_t)time * permute(seed, epoch, taken % windows, windows);
}

void data_sample(const DataPart *p, uint64_t seed, uint64_t taken, int batch, int64_t time,
                 int32_t *x, int32_t *targets)
{
    data_require(p, time);
    for (int i = 0; i < batch; i++) {
        copy_window(p, place(p, seed, taken + (uint64_t)i, time), time, x + i * time,
                    targets + i * time);
    }
}

/* ---- evaluation ---- */

size_t data_windows(const DataPart *p, int64_t time)
{
    if (p->stream->pairs) return p->n;
    return p->n < 2 ? 0 : (p->n - 2) / (size_t)time + 1;
}

int data_window(const DataPart *p, size_t first, int batch, int64_t time, int64_t *length,
                int32_t *x, int32_t *targets)
{
    size_t windows = data_windows(p, time), whole = windows ? (p->n - 1) / (size_t)time : 0;
    if (first >= windows) return 0;
    int rows = whole - first < (size_t)batch ? (int)(whole - first) : batch;
    *length = time;
    if (first == whole) {
        rows = 1;
        *length = (int64_t)(p->n - 1 - whole * (size_t)time);
    }
    for (int i = 0; i < rows; i++) {
        copy_window(p, (first + (size_t)i) * (size_t)time, *length, x + i * time,
                    targets + i * time);
    }
    return rows;
}

/* ---- pairs ---- */

const Pair *data_pair(const DataPart *p, size_t i) { return &p->stream->pairs[p->begin + i]; }

const Pair *data_sample_pair(const DataPart *p, uint64_t seed, uint64_t taken)
{
    return data_pair(p, permute(seed, taken / p->n, taken % p->n, p->n));
}
