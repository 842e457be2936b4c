/* cc.h: C text to functions in this process, by the system's compiler. */
#ifndef RTC_RUNTIME_CC_H
#define RTC_RUNTIME_CC_H

#include "runtime/cache.h"

/* Which vector instructions kernels may use: "avx512", "avx2", "baseline". */
const char *cc_isa_here(void);

typedef struct {
    const char *isa; /* NULL: cc_isa_here(); more than this CPU has is an error */
    CacheOptions cache;
    int jobs;             /* compilers at once; 0: 2 */
    const char *compiler; /* NULL: $CC, or cc, gcc, clang */
    const char *const
        *flags;       /* how to compile, ends with NULL; NULL: as the cpu device's kernels */
    bool keep_images; /* fill CcObjects.image */
    /* told before and after each unit that the cache doesn't have; may be NULL */
    void (*progress)(void *ctx, int done, int units);
    void *progress_ctx;
} CcOptions;

typedef struct {
    void **handle; /* by unit: dlopen handles; cc_close */
    int n;
    double seconds;
    int compiled; /* units that the cache didn't have */
    char **image; /* by unit: the object file's bytes, in the arena; NULL unless asked for */
    size_t *image_bytes;
} CcObjects;

/* Compiles n units, or takes them from the cache, and loads them. Errors: no compiler (names the
 * package), what the compiler says about the text (a bug of ours), no place for temporary files. */
CcObjects cc_compile(Diag *d, Arena *a, const CcOptions *o, const char *const *text, int n);
void *cc_symbol(const CcObjects *c, const char *name); /* NULL: none */
void cc_close(CcObjects *c);

/* For doctor: the compiler's path and first line of its version; NULL if there is none. */
const char *cc_version(Diag *d, Arena *a, const char **path);

#endif
