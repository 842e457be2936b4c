/* simt.h: a machine on which CUDA kernel text runs on the host: every thread of a block, barriers,
 * warp operations, tensor-core and asynchronous-copy instructions, block after block.
 *
 *     Simt *s = simt_new(d);
 *     SimtModule *m = simt_compile(s, "softmax.cu", text, SIMT_CHECKED_BUILD, &cache);
 *     float *x = simt_alloc(s, "x", bytes, true);
 *     simt_launch(s, simt_kernel(m, "softmax"), &(SimtLaunch){.grid = {8, 1, 1}, .block = {128, 1,
 * 1}, .args = &args, ...}); for (int i = 0; i < simt_reports(s); i++) puts(simt_report(s,
 * i)->text);
 *
 * The text is the one that NVRTC compiles for a GPU (codegen/prelude/README.md says what it may
 * use). Two builds of it:
 *
 *   fast     for values. Reports what the machine itself sees: divergent barriers and warp
 * operations, deadlock, accesses that leave a buffer's pages. checked  two to twenty times slower.
 * Every access of a kernel is looked at: out of bounds to the byte, races within a block and
 * between blocks, reads of what was never written, misaligned vectors, copies in flight.
 *
 * and two orders of running, in which a missing barrier or wait gives different values. Neither
 * replaces the other: a wrong index inside a buffer is seen in values only, a race that happens to
 * be harmless by the checked build only.
 *
 * A machine runs one launch at a time, and so does a process: a launch takes over SIGSEGV, SIGBUS
 * and SIGFPE until it returns.
 */
#ifndef RTC_RUNTIME_SIMT_H
#define RTC_RUNTIME_SIMT_H

#include "codegen/prelude/simt_table.h"
#include "runtime/cache.h"

typedef struct Simt Simt;
typedef struct SimtModule SimtModule;
typedef struct SimtKernel SimtKernel;

Simt *simt_new(Diag *d);
/* Its modules' objects and its buffers go with it. */
void simt_free(Simt *s);

/* ---- kernels ---- */

typedef enum { SIMT_FAST, SIMT_CHECKED_BUILD } SimtBuild;

/* `name` stands for the text in reports. The checked build needs gcc. Errors: no compiler; the text
 * isn't C, or reads a local that isn't set on every path that the compiler sees: both are bugs of
 * whoever made the text, with the compiler's message. */
SimtModule *simt_compile(Simt *s, const char *name, const char *text, SimtBuild build,
                         const CacheOptions *cache);
const SimtKernel *simt_kernel(SimtModule *m, const char *name); /* NULL: there is none */

/* ---- buffers, each far from every other, with the host's address ---- */

/* Aligned to 16 bytes. What isn't `written` is filled with NaN, and reading it before a kernel or
 * simt_written wrote it is reported. Errors: no memory. */
void *simt_alloc(Simt *s, const char *name, size_t bytes, bool written);
void simt_release(Simt *s, void *p); /* p may be NULL */
void simt_written(Simt *s, const void *p,
                  size_t bytes);    /* the host wrote there; p within a buffer */
void simt_forget(Simt *s, void *p); /* the whole buffer is as if new, not written */

/* ---- launching ---- */

typedef enum {
    SIMT_FORWARD, /* threads and blocks in order; asynchronous copies as late as allowed */
    SIMT_REVERSE  /* the other way round; copies as early as allowed */
} SimtOrder;

typedef struct {
    SimtDim grid, block;
    size_t shared;    /* dynamic shared memory, bytes */
    const void *args; /* the kernel's argument struct */
    size_t bytes;     /* its size */
    SimtOrder order;
} SimtLaunch;

typedef enum {
    SIMT_OUT_OF_BOUNDS,
    SIMT_RACE,
    SIMT_UNINITIALISED,
    SIMT_MISALIGNED,
    SIMT_DIVERGENT, /* threads meet at different barriers or warp operations, or some never come */
    SIMT_DEADLOCK,
    SIMT_IN_FLIGHT, /* an asynchronous copy is touched before its wait, or never waited for */
    SIMT_ARITHMETIC /* a shift, division or conversion that the GPU and the host do differently */
} SimtFault;

typedef struct {
    SimtFault fault;
    SimtDim block, thread;
    char variable[64]; /* the buffer's name, the array's, the operand's text; "" when it isn't known
                        */
    int64_t offset;    /* bytes from its start */
    int line;          /* of the text; 0 when it isn't known */
    char text[400];    /* all of it in a line or two, for people */
} SimtReport;

/* Runs all blocks, or stops early: after an access out of bounds, a deadlock, or the eighth report.
 * The number of reports. A launch that a GPU would refuse (block too large for the kernel or too
 * much shared memory, wrong argument size) is a bug of the caller's. */
int simt_launch(Simt *s, const SimtKernel *k, const SimtLaunch *l);
int simt_reports(const Simt *s); /* of the last launch */
const SimtReport *simt_report(const Simt *s, int i);
const char *simt_fault_name(SimtFault f);

#endif
