/* nvrtc.h: CUDA text to machine code for a GPU that need not be there, by NVIDIA's run-time
 * compiler, which is looked for when it is wanted.
 *
 *     const char *why;
 *     Nvrtc *n = nvrtc_open(d, a, NULL, &why);
 *     if (n) Cubin *c = nvrtc_compile(n, a, "softmax.cu", text, "sm_90a");
 */
#ifndef RTC_RUNTIME_NVRTC_H
#define RTC_RUNTIME_NVRTC_H

#include "ir/diag.h"

typedef struct Nvrtc Nvrtc;

/* Loads `library`, or, if it is NULL, libnvrtc from where the loader finds it, $CUDA_PATH,
 * $CUDA_HOME or /usr/local/cuda. NULL: there is none that can be used, and *why says so (in the
 * arena). */
Nvrtc *nvrtc_open(Diag *d, Arena *a, const char *library, const char **why);
void nvrtc_close(Nvrtc *n);                    /* n may be NULL */
int nvrtc_version(const Nvrtc *n, int *minor); /* of the CUDA toolkit it belongs to */
/* Architectures it compiles for, ascending: 80 for sm_80. The number of them. */
int nvrtc_archs(const Nvrtc *n, const int **archs);

/* What a kernel takes of the GPU, as the assembler reports it. */
typedef struct {
    const char *name;
    int registers;                 /* of a thread */
    int stack;                     /* bytes of local memory of a thread */
    int spill_stores, spill_loads; /* bytes */
    int shared;                    /* bytes of static shared memory of a block */
} CubinKernel;

typedef struct {
    const char *bytes;
    size_t size;
    const CubinKernel *kernel;
    int nkernel;
    const char *log; /* warnings and the assembler's report */
} Cubin;

/* arch: sm_80, sm_90a. `text` stands alone (cuda_prelude() and kernels); its lines are counted from
 * the last `#line 1`. Floating-point products and sums are fused where the text says so only.
 * Errors: an architecture it doesn't know; text it refuses, with its log and the lines around each
 * error (a bug of whoever made the text). */
Cubin *nvrtc_compile(Nvrtc *n, Arena *a, const char *name, const char *text, const char *arch);

#endif
