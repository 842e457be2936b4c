/* safetensors.h: tensors in a file: 8 bytes N, N bytes of JSON, packed little-endian data.
 *
 * Every file is hostile, our own checkpoints included: the reader checks all of the header against
 * the file's length before any tensor is visible, with the limits below, and each refusal names the
 * file and the reason. The data are mapped, not read; conversions copy them out.
 */
#ifndef RTC_RUNTIME_SAFETENSORS_H
#define RTC_RUNTIME_SAFETENSORS_H

#include "runtime/file.h"

#define ST_MAX_HEADER (16u << 20)   /* bytes */
#define ST_MAX_TENSORS 65536
#define ST_MAX_RANK 8
#define ST_MAX_NAME 256             /* bytes */

typedef enum {
    ST_F64, ST_F32, ST_BF16, ST_F16, ST_I64, ST_I32, ST_I16, ST_I8, ST_U8, ST_BOOL, ST_DTYPES,
} StDtype;

const char *st_dtype_name(StDtype t);   /* as in the file: "F32" */
size_t st_dtype_bytes(StDtype t);
static inline bool st_is_float(StDtype t) { return t <= ST_F16; }

typedef struct StFile StFile;

typedef struct {
    const char *name;
    StDtype dtype;
    int rank;                           /* 0: a scalar */
    int64_t shape[ST_MAX_RANK];
    size_t count;                       /* elements; 0 when a size is 0 */
    size_t bytes;
    const unsigned char *data;          /* in the map; of no particular alignment */
    const StFile *file;
} StTensor;

typedef struct {
    const char *key, *value;
} StMeta;

struct StFile {
    const char *path;
    StTensor *tensors;                  /* in the order of their data */
    int n;
    StMeta *meta;                       /* "__metadata__" */
    int nmeta;
    FileMap *map;
    int *slots;                         /* names to tensors, open addressing */
    uint32_t mask;
    Diag *diag;
};

/* Opens and checks. Everything but the map lives in `a`; close in reverse order of opening
 * (see FileMap). */
StFile *st_open(Diag *d, Arena *a, const char *path);
void st_close(StFile *f);
const StTensor *st_find(const StFile *f, const char *name);     /* NULL if it isn't there */
const char *st_meta(const StFile *f, const char *key);          /* NULL if it isn't there */

/* All elements, converted, in C order; out has t->count places. To an integer, every value must
 * be whole and fit: else an error that names the element. To bool: 0 is false, NaN an error. */
void st_read_f32(const StTensor *t, float *out);
void st_read_f64(const StTensor *t, double *out);
void st_read_i32(const StTensor *t, int32_t *out);
void st_read_i64(const StTensor *t, int64_t *out);
void st_read_bool(const StTensor *t, uint8_t *out);

/* "[2, 3]", for messages. */
const char *st_shape_text(Arena *a, int rank, const int64_t *shape);

/* Writes all of it, or nothing (file.h). Data are ordered by element size, then as given, so each
 * tensor is aligned to its element. A name twice, not UTF-8 or too long is an error. */
typedef struct {
    const char *name;
    StDtype dtype;
    int rank;
    int64_t shape[ST_MAX_RANK];
    const void *data;
} StEntry;
void st_write(Diag *d, const char *path, const StEntry *tensors, int n, const StMeta *meta,
              int nmeta);

/* ---- single elements ---- */

static inline float st_bf16_float(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Rounds to nearest, ties to even; NaN stays NaN. */
static inline uint16_t st_float_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if (f != f) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float st_f16_float(uint16_t h);

#endif
