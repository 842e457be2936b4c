/* codegen.h: from groups to a Plan: kernels as C text, and the steps that run them.
 *
 * A Plan is for all sizes. Whatever depends on the free dimensions (strides, extents, numbers of
 * blocks, bytes) is an entry of `ints`, an index expression without axes; a kernel gets them as
 * integer arguments, so groups of equal structure have byte-equal text and share one kernel. The
 * runtime evaluates `ints` for concrete sizes, places the buffers, and runs the steps in order.
 *
 * Ownership: a Plan lives in its Unit's arena and refers to the Unit's graph.
 */
#ifndef RTC_CODEGEN_CODEGEN_H
#define RTC_CODEGEN_CODEGEN_H

#include "passes/passes.h"

/* ---- what a kernel is called with (codegen/prelude.h declares the same to the emitted text) ----
 */

typedef struct {
    void *const *buf;    /* by the kernel's argument number */
    const int64_t *n;    /* integer arguments */
    uint64_t seed, step; /* of the random draws */
} KernelArgs;
/* Computes blocks [from, to); scratch: at least the step's bytes, 64-byte aligned, private to the
 * caller. */
typedef void (*KernelFn)(const KernelArgs *a, int64_t from, int64_t to, char *scratch);

typedef struct {
    const char *name; /* k0, k1, ... in the order of first use */
    const char *text; /* the function's C text; its own name in it is KERNEL */
    uint64_t hash;    /* of text */
    int nbuf, nint;
    VEC(Loc) lines; /* the .rt ranges it computes, over all its uses */
} Kernel;

/* ---- stored tensors ---- */

typedef enum {
    PB_PARAM,
    PB_STATE,
    PB_INPUT, /* read; by name */
    PB_FRESH, /* one bool: does the state of that name take its `init` in this run */
    PB_TEMP,  /* in the arena while live; also what backs a root: see PlanRoot */
    PB_HOST   /* written by a host step, read before launch; never shares its place */
} PlanBufferClass;

typedef struct {
    PlanBufferClass cls;
    const char *name; /* PARAM, STATE, INPUT, FRESH; NULL otherwise */
    Node *node;       /* whose values it holds; NULL: a copy of a root */
    DType dt;
    int count;       /* index into ints: elements */
    int first, last; /* steps that write it first and read it last; a root's last is the end */
    bool piece;      /* holds one piece at a time of what a loop cuts */
    bool root;       /* holds the value of a root */
} PlanBuffer;

/* A root's value: row-major over its space in buffer `buf`. */
typedef struct {
    RootKind kind;
    const char *name;
    DType dt;
    int buf;
    const Space *space;
    int reached; /* GRAD: a PB_HOST bool buffer that says whether the value isn't trivially 0;
                    UPDATE: whether it isn't trivially the old value; -1: it never is */
} PlanRoot;

/* ---- steps ---- */

enum { MAX_BATCH = 8 };

/* C = alpha * A B per batch; element strides, all indices into ints. A is m x k, B is k x n. */
typedef struct {
    double alpha;
    int batch[MAX_BATCH], a_batch[MAX_BATCH], b_batch[MAX_BATCH], c_batch[MAX_BATCH];
    int nbatch;
    int m, n, k;
    int a_m, a_k, b_k, b_n, c_m, c_n;
    int a0, b0, c0; /* offsets of the first elements */
    /* summed over `outer` such products as well, each further by these; -1: one */
    int outer, a_outer, b_outer;
    int more; /* not 0: added to what C holds; -1: never */
} PlanProduct;

typedef enum { STEP_KERNEL, STEP_PRODUCT } StepKind;
typedef struct {
    int buf;
    bool value;
} StepWhen; /* runs only if the PB_HOST bool has the value */

typedef struct {
    StepKind kind;
    int group; /* of the Grouping; -1: a step of ours (host value, check, copy of a root) */
    Phase phase;
    int kernel;
    int nbuf, nint;
    const int *buf;      /* buffers; PRODUCT: C, A, B */
    const int *arg;      /* indices into ints: the kernel's integer arguments */
    int nwrite;          /* the first nwrite of buf are written, the others read */
    int blocks, scratch; /* indices into ints: number of blocks, bytes of scratch per thread */
    double cost; /* scalar operations per block at the hinted sizes, to cut work into pieces */
    PlanProduct product;
    int loop; /* over pieces, that it is part of, from 1; 0: none */
    int nwhen;
    const StepWhen *when;
    const char *what; /* one line for plan.txt and profiles */
    Loc loc;
} Step;

/* Steps [first, last] run `pieces` times, as a whole, with the counter's symbol at 1, 2, ... */
typedef struct {
    int first, last;
    int pieces;    /* index into ints */
    int counter;   /* symbol id */
    VEC(int) ints; /* those that depend on the counter */
} PlanLoop;

/* A condition on sizes or values; `flag` is a PB_HOST bool that a host step sets to true where it
 * fails (RANGE, TRUE), or -1 and then ix decides (EQ0, GE0). */
typedef struct {
    const Check *check;
    int ix, flag;
} PlanCheck;

typedef struct {
    Unit *unit;
    Arena *arena;
    VEC(const Ix *) ints;
    VEC(PlanBuffer) buffers;
    VEC(Kernel) kernels;
    VEC(Step) steps;
    int host_steps; /* the first so many set PB_HOST buffers and run before the checks and
                       everything else */
    VEC(PlanLoop) loops; /* in order; loop 1 is loops.v[0] */
    VEC(PlanCheck) checks;
    VEC(PlanRoot) roots;
    int library_calls; /* steps that are products */
} Plan;

/* From u->groups. Errors: diag_bug when a group isn't what passes.h says. */
Plan *plan_make(Unit *u);

/* Is a gradient anything but 0 for sure, as a bool known on the host? It isn't where branches not
 * taken would give it. */
typedef struct Reached Reached;
Reached *reached_new(Graph *g, Arena *a);
Edge grad_reached(Reached *r, Node *n);
/* Is an update anything but the state as it was, as a bool known on the host? */
Edge update_reached(Graph *g, Arena *a, const Root *update);

/* What every kernel's text stands on: math, random numbers, selection (codegen/prelude*.h,
 * ir/rand.h as embedded text). */
const char *plan_prelude(void);
/* The same for CUDA kernel text (codegen/prelude/README.md): under NVRTC; on the host, as C. */
const char *cuda_prelude(void);
const char *simt_prelude(void);
/* The translation units to compile, at most n of about equal size: prelude, kernels, each kernel
 * under its name. */
int plan_sources(const Plan *p, int n, const char **text);
/* Kernels as readable C with the .rt lines they compute, and plan.txt with the steps, into an
 * existing directory. */
void plan_emit(const Plan *p, const char *dir);
void plan_print(const Plan *p, Str *out); /* plan.txt */

#endif
