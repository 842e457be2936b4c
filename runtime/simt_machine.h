/* simt_machine.h: the inside of the simt machine, shared by simt_*.c. What it is for: simt.h.
 *
 *   simt.c         machine, buffers, launches
 *   simt_fiber.c   one context per thread of a block, switched only where a thread has to wait
 *   simt_warp.c    barriers, warp operations, tensor-core instructions, atomics, copies
 *   simt_check.c   the checked build's look at every access: shadow memory and clocks
 *   simt_report.c  faults put into words: variables, lines
 *   simt_signal.c  faults of memory
 *   simt_module.c  text to objects
 *
 * Code that runs in a fiber must not unwind (diag.h): it reports and gives the machine back to the
 * host.
 */
#ifndef RTC_RUNTIME_SIMT_MACHINE_H
#define RTC_RUNTIME_SIMT_MACHINE_H

#include <signal.h>
#include "runtime/simt.h"
#if !defined(__x86_64__)
#define SIMT_UCONTEXT
#include <ucontext.h>
#endif

enum {
    THREADS = 1024, /* of a block, at most */
    WARPS = THREADS / 32,
    STACK = 64 << 10, /* of a thread, with a guard page below */
    COPIES = 128,     /* asynchronous ones that a thread may have under way */
    REPORTS = 8,      /* then a launch stops */
    BUFFERS = 1024,
    DYNAMIC = 256 << 10 /* room for dynamic shared memory */
};
#define SLOT_BITS                                                                                  \
    36 /* each buffer lies alone in 64 GiB: no 32-bit index leads from one to another */

/* ---- threads ---- */

typedef enum { FIBER_READY, FIBER_AT_BARRIER, FIBER_AT_WARP_OP, FIBER_DONE } FiberState;

typedef struct {
    char *to;
    const char *from;
    int bytes, fill, group, line;
} Copy;

typedef struct Warp Warp;
typedef struct {
    SimtThread here; /* first: the table's `now` points to it */
    void *sp;        /* of the context while it isn't running */
#ifdef SIMT_UCONTEXT
    ucontext_t context;
#endif
    Simt *simt;
    int index;
    FiberState state;
    int line; /* of the barrier or operation it is in */
    Warp *warp;
    uint64_t value; /* given to a barrier or warp operation, and what it gives back */
    unsigned source;
    void *d; /* operands of tile operations */
    const void *a, *b;
    const char *names;
    int ncopy, group; /* copies under way; groups committed */
    Copy copy[COPIES];
    uint32_t stamp;    /* simt_check.c */
    const char *frame; /* the kernel's own: above it lie its arguments */
    char *stack;
} Fiber;

/* Lanes that wait for each other: those of one mask. */
typedef struct {
    uint32_t arrived, mask;
    SimtWarpOp op;
    int line;
} Meeting;

struct Warp {
    uint32_t all, exited; /* lanes */
    Meeting meeting[32];
    uint32_t stamp;         /* of the last __syncwarp of all lanes */
    uint32_t known[32][32]; /* lane i is ordered after what lane j did at stamps <= known[i][j] */
};

/* ---- memory ---- */

/* What was done last to a piece of memory. Stamps say when (simt_check.c); 0: never. */
typedef struct {
    uint32_t write, read[2];
    uint16_t writer, reader[2];
    uint8_t atomic, in_flight;
} Cell;

typedef struct {
    uintptr_t begin, end;
    const char *name;
    bool shared, written; /* written: all of it, by the host */
    int shift;            /* a cell stands for 1 << shift bytes */
    Cell *cell;
    char *pages; /* buffers: what is mapped for reading and writing */
    size_t page_bytes;
} Memory;

typedef struct {
    uintptr_t begin, end;
    const char *name;
} SharedArray;

/* ---- modules ---- */

struct SimtKernel {
    SimtModule *module;
    const char *name;
    const SimtEntry *entry;
    SimtKernel *next;
};

struct SimtModule {
    Simt *simt;
    SimtModule *next;
    const char *name, *text; /* the kernel text alone: its lines are the ones in reports */
    bool checked;
    void *handle;
    const char *image; /* the object file */
    size_t image_bytes;
    uintptr_t base, begin, end; /* load address; what it maps */
    const SimtObject *object;
    Memory statics; /* all its __shared__ arrays */
    int narray;
    SharedArray *array; /* by address */
    SimtKernel *kernels;
};

/* ---- the machine ---- */

struct Simt {
    Diag *diag;
    Arena *arena;
    SimtTable table;
    SimtModule *modules;
    Memory *buffer[BUFFERS]; /* by slot, open addressing */
    int nbuffer;

    /* the launch */
    SimtModule *module;
    const SimtKernel *kernel;
    SimtOrder order;
    SimtDim block;
    int nthread, nwarp;
    const void *args;
    size_t dynamic_bytes;
    bool aborted;

    /* its threads */
    Fiber *host, *cur;
    Fiber *fiber;
    Warp *warp;
    char *stacks, *dynamic, *alternate;
    stack_t old_stack;
    struct sigaction old_segv, old_bus, old_fpe;
    int live, waiting, barrier_line, barrier_count;
    SimtBarrier barrier_kind;
    int queue[2 * THREADS];
    unsigned first, last;

    /* the checked build */
    uint32_t clock, launch_stamp, block_stamp, barrier_stamp;
    Memory dynamic_shared;
    Memory *recent;
    const SharedArray *recent_array;
    uint32_t *stack_stamp; /* a word of stack -> when it was written */

    /* what was found */
    int nreport;
    SimtReport report[REPORTS];
    uintptr_t place[REPORTS]; /* instruction whose line isn't resolved yet; 0: none */
};

/* simt_fiber.c. What doesn't return isn't declared so: AddressSanitizer would take it for the end
 * of the host's stack. */
void fibers_make(Simt *s); /* stacks, alternate signal stack */
void fibers_drop(Simt *s);
void fibers_run_block(Simt *s); /* all threads of s->block, or until aborted */
void fiber_block(Simt *s);      /* the current fiber can't go on: runs another */
void fiber_ready(Simt *s, Fiber *f);
void fiber_abort(Simt *s); /* gives up the launch: continues in the host, never returns */

/* simt_signal.c */
void signals_make(Simt *s);
void signals_take(Simt *s);
void signals_give_back(Simt *s);

/* simt_module.c */
void module_close(SimtModule *m);

/* simt_warp.c */
void warp_fill_table(Simt *s);
void warp_exit(Simt *s, Fiber *f); /* a thread has returned from the kernel */
void barrier_release(Simt *s);

/* simt_check.c */
void check_begin_launch(Simt *s);
void check_begin_block(Simt *s);
void check_barrier(Simt *s);
void check_order(Simt *s, Warp *w, uint32_t mask);
/* `line` or, if 0, the instruction after which `from` lies. Does nothing in the fast build. */
void check_access(Simt *s, Fiber *f, uintptr_t p, size_t bytes, SimtAccess kind, int line,
                  uintptr_t from);
/* An operand in a thread's own memory: `name` is its text. */
void check_operand(Simt *s, Fiber *f, const void *p, size_t bytes, SimtAccess kind, int line,
                   const char *name);
void check_reset(Simt *s); /* forgets everything about shared memory */
void memory_drop_cells(Memory *r);
void check_written(Simt *s, Memory *r, uintptr_t p, size_t bytes);
Memory *memory_find(Simt *s, uintptr_t p); /* NULL: no buffer, no shared memory */
Memory *buffer_near(Simt *s, uintptr_t p); /* whose slot p lies in */
const SharedArray *array_near(const SimtModule *m, uintptr_t p);

/* simt_report.c: variable may be NULL; line 0: the one of the instruction before `from`, if that
 * isn't 0. The text of fmt follows the thread. `stop`: gives up the launch. */
typedef struct {
    SimtFault fault;
    const char *variable;
    int64_t offset;
    int line;
    uintptr_t from;
    bool stop;
} Finding;
void report_add(Simt *s, const Fiber *f, Finding found, const char *fmt, ...) RTC_PRINTF(4, 5);
void report_mistake(Simt *s, SimtMistake what, int line, int column, uint64_t value);
void report_resolve(Simt *s); /* lines from instructions; on the host */
/* SIGSEGV or SIGBUS in a fiber; general: a protection fault that says no address. */
void report_fault(Simt *s, uintptr_t address, uintptr_t pc, bool general);
void report_division(Simt *s, uintptr_t pc); /* SIGFPE in a fiber */
/* The name of p's buffer or shared array and p's offset in it; NULL: in none. */
const char *variable_at(Simt *s, uintptr_t p, int64_t *offset);

#endif
