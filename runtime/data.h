/* data.h: what is trained and evaluated on: streams of tokens, or pairs (pairs.h).
 *
 * Texts are read as bytes (256 tokens). Files that end in .bin are token files: of llm.c (1024-byte
 * header, magic 20240520, version 1, uint16 tokens; the size must match) or of nanoGPT (bare
 * little-endian uint16). Files are mapped and joined in the order given; texts and token files
 * don't mix. Every token is checked against num_tokens when the data are opened. Files of pairs are
 * read as such where the model wants pairs; every line is checked when they are opened.
 *
 * Training windows are drawn without replacement: an epoch cuts the part into windows of `time`
 * from a shift of its own and visits them in an order of its own. Both are functions of the seed
 * and the epoch, so all there is to save is how many windows were taken.
 */
#ifndef RTC_RUNTIME_DATA_H
#define RTC_RUNTIME_DATA_H

#include "runtime/file.h"
#include "runtime/pairs.h"

typedef struct {
    const char *path;
    const unsigned char *tokens;    /* little-endian uint16 or bytes */
    size_t begin;                   /* its first token in the stream */
    size_t n;                       /* tokens */
} DataFile;

typedef struct {
    DataFile *files;
    int nfiles;
    int width;                      /* bytes per token: 1 or 2; of pairs 0 */
    size_t n;                       /* tokens of all files, or pairs */
    Pair *pairs;                    /* NULL: a stream of tokens */
    int64_t source, target;         /* tokens of the longest source, of the longest target */
} DataStream;

/* A range of a stream: what is trained on, or what is held out. */
typedef struct {
    const DataStream *stream;
    size_t begin, n;
    const char *name;               /* for messages: "training part of a.txt" */
    Diag *diag;
} DataPart;

typedef struct {
    const char *const *paths;       /* --data, at least one */
    int npaths;
    const char *const *valid_paths; /* --valid; none: the last part of the data is held out */
    int nvalid_paths;
    double valid_share;             /* of the data, when there are no valid_paths; in [0, 1] */
    int64_t num_tokens;             /* every id must be less */
    const PairRules *pairs;         /* the files are of pairs, and num_tokens is not looked at */
} DataOptions;

typedef struct {
    DataPart train, valid;          /* valid.n may be 0 */
    FileMap **maps;
    int nmaps;
} Data;

/* Everything but the maps lives in `a`; data_close in reverse order of opening (FileMap). */
Data *data_open(Diag *d, Arena *a, const DataOptions *o);
void data_close(Data *data);
/* Files as one part, nothing held out (`rtc eval`). */
Data *data_open_all(Diag *d, Arena *a, const char *const *paths, int npaths, int64_t num_tokens);

/* Fails, with the numbers, where the part is shorter than time + 1 tokens, or has no pair. */
void data_require(const DataPart *p, int64_t time);
/* Losses per token are losses per byte. */
static inline bool data_is_text(const DataPart *p) { return p->stream->width == 1; }

/* Windows taken..taken+batch-1 of the training order: x[batch, time], targets[batch, time], where
 * targets are x moved by one. The same (seed, taken) gives the same windows. */
void data_sample(const DataPart *p, uint64_t seed, uint64_t taken, int batch, int64_t time,
                 int32_t *x, int32_t *targets);

/* Evaluation: windows in order that cover each target once. Window `first` and the following go
 * to x[rows, *length] and targets[rows, *length], rows <= batch, all of one length: `time`, but
 * the last window, alone in its call, may be shorter. Returns rows; 0 when all are done. */
int data_window(const DataPart *p, size_t first, int batch, int64_t time, int64_t *length,
                int32_t *x, int32_t *targets);
/* How many windows there are, or pairs. */
size_t data_windows(const DataPart *p, int64_t time);

/* Tokens [from, from + n) of the part. */
void data_copy(const DataPart *p, size_t from, size_t n, int32_t *out);

/* Of a part of pairs: number i, and number `taken` of the training order. */
const Pair *data_pair(const DataPart *p, size_t i);
const Pair *data_sample_pair(const DataPart *p, uint64_t seed, uint64_t taken);

#endif
