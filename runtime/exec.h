/* exec.h: programs compiled, given sizes, run.
 *
 *     Store *s = store_new(d, program);               parameters, gradients, states; shared by
 * executables store_init(s, program, seed); Executable *e = exec_compile(d, program, s, &options);
 *     Instance *in = exec_instance(e, dims);          for concrete free dimensions; memoised
 *     exec_input(in, "x", DT_INT, 2, shape, tokens);
 *     exec_run(in, &(RunOptions){.seed = 1, .step = 7});
 *     ... exec_output(in, "loss"), s->grad ...
 *     store_commit(s);                                the states become their updates
 *
 * One road for every device; device.h is the small table of functions behind it. Errors unwind
 * through the Diag given (diag.h). After the first run of an Instance, exec_run allocates nothing.
 */
#ifndef RTC_RUNTIME_EXEC_H
#define RTC_RUNTIME_EXEC_H

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "runtime/cache.h"

/* ---- parameters and states ---- */

typedef struct {
    const char *name; /* checkpoint name */
    DType dt;         /* param: float */
    int rank;
    int64_t shape[MAX_AXES];
    int64_t count;  /* elements */
    int64_t offset; /* of the first element in the flat array; a multiple of 16 */
    bool reached;   /* param: its gradient was computed since store_begin. state: it has an update
                       since */
    int proposals;  /* state: how many updates since store_begin */
    bool init;      /* state: the program has an `init` for it ... */
    bool fresh;     /* ... which no committed step has taken yet */
} StoreEntry;

/* Flat arrays of 4-byte elements; between entries there is padding that is 0 (also in grad). An int
 * state lies in state_value bit for bit, a bool state as count bytes from its offset; for both the
 * last proposal counts, not the mean. */
typedef struct Store {
    Diag *diag;
    Arena *arena;
    int nparam, nstate;
    StoreEntry *param, *state;        /* in the order of graph->params, graph->states */
    int64_t param_total, state_total; /* elements with padding */
    float *value;                     /* params */
    float *grad;        /* sums since store_begin; NULL until a compile wants gradients */
    float *state_value; /* what reads see */
    float *state_next;  /* sum of the proposed values since store_begin */
    int micro_steps;    /* runs since store_begin */
} Store;

/* Shapes of parameters and states are known at compile time; otherwise a bug. */
Store *store_new(Diag *d, const Program *p);
void store_free(Store *s);
/* Initial values from p->init by the evaluator; a parameter's draw depends only on seed and its
 * name. */
void store_init(Store *s, Program *p, uint64_t seed);
StoreEntry *store_param(Store *s, const char *name); /* NULL if there is none */
StoreEntry *store_state(Store *s, const char *name);
/* Starts a step: gradients and updates of the coming runs are summed from 0, nothing is reached. */
void store_begin(Store *s);
/* state = mean of the updates proposed since store_begin, for states that have one; of one that was
 * fresh the first: what several `init`s drew has no mean. It isn't fresh then. */
void store_commit(Store *s);

/* ---- compiling ---- */

typedef struct Executable Executable;
typedef struct Instance Instance;

typedef struct {
    const char *device; /* "cpu", "eval"; NULL: cpu */
    bool want_grad;     /* gradients of `loss` for parameters (into the Store) and float inputs */
    const char *const *outputs; /* wanted; NULL: all that can be computed */
    int noutputs;
    const char *const *absent; /* optional inputs that will not be given */
    int nabsent;
    const char *pipeline; /* NULL: the default of the device */
    const struct PassRegistry *registry; /* passes besides our own that it may name; NULL: none */
    int threads;          /* 0: the CPUs this process may use */
    const char *isa;      /* "avx512", "avx2", "baseline"; NULL: the best this CPU has */
    CacheOptions cache;
    int64_t hint_default;         /* 0: 1024; a free dimension for cost decisions ... */
    const char *const *hint_name; /* ... unless named here */
    const int64_t *hint_value;
    int nhint;
    /* sizes by free dimension of the program, or NULL: those that can't be had memory for are
     * refused before kernels are compiled, with what `advice` says, which may be NULL */
    const int64_t *dims;
    const char *(*advice)(void *ctx, Executable *e);
    void *advice_ctx;
    bool verify_each;
    const char *dump_after;
    void (*dump)(void *ctx, const char *stage, const char *text);
    void *dump_ctx;
    /* told how far it is; may be NULL. parts 0: the passes run; then `done` of the parts that the
     * compiler is given, which hold the program's kernels; done == parts: all is compiled */
    void (*progress)(void *ctx, int done, int parts, int kernels);
    void *progress_ctx;
} CompileOptions;

/* Consumes p->graph: the passes rewrite it. s gives parameters and states by name, and takes
 * gradients and updates; it must outlive the Executable. Errors of the program's, of the
 * compiler's, of the cache's. */
Executable *exec_compile(Diag *d, Program *p, Store *s, const CompileOptions *o);
void exec_free(Executable *e);

int exec_ndims(const Executable *e); /* free dimensions */
const char *exec_dim_name(const Executable *e, int i);
int exec_ninputs(const Executable *e); /* inputs that the program reads */
const char *exec_input_name(const Executable *e, int i, DType *dt, bool *optional);
int exec_noutputs(const Executable *e);
const char *exec_output_name(const Executable *e, int i);

/* ---- sizes ---- */

/* Does the program read an input of that name? */
bool exec_reads(const Executable *e, const char *name);

/* Free dimensions from the shapes of inputs; dims[i] is 1 where no shape tells: then nothing that
 * runs has it. Errors: a name that is no input, a rank or a size that doesn't fit, naming the
 * input. */
typedef struct {
    const char *name;
    int rank;
    const int64_t *shape;
} InputShape;
void exec_solve(Executable *e, const InputShape *in, int n, int64_t *dims);

/* dims by index of free dimension, each at least 1. Errors: a check of the program on sizes fails;
 * too large. */
Instance *exec_instance(Executable *e, const int64_t *dims);
/* Bytes that the first instance of these sizes would take, which isn't made. Errors: as there. */
double exec_needs(Executable *e, const int64_t *dims);

/* ---- running ---- */

/* Copied. int32 data may be given for any input, float for float inputs, uint8 for bool. Errors:
 * unknown name, dtype, rank or size, naming the input and what it should be. */
void exec_input(Instance *in, const char *name, DType dt, int rank, const int64_t *shape,
                const void *data);
/* The place the input's values lie in (float, int32 or uint8 by *dt), to be filled by the caller.
 */
void *exec_input_data(Instance *in, const char *name, DType *dt, int64_t *count);

typedef struct {
    uint64_t seed, step;
    bool fresh;   /* states that are fresh (see Store) take their `init` */
    bool profile; /* time every step: exec_profile */
} RunOptions;
/* Errors: an input that wasn't set; a check on values fails (with its .rt place). The Store is then
 * unchanged. */
void exec_run(Instance *in, const RunOptions *o);

/* A value of the last run: row-major; valid until the next exec_run of the same Executable. */
typedef struct {
    DType dt;
    int rank;
    int64_t shape[MAX_AXES];
    int64_t count;
    const void *data; /* float, int32_t or uint8_t (bool) */
} Value;
bool exec_output(Instance *in, const char *name, Value *v); /* false: no such output */
bool exec_grad(Instance *in, const char *name, Value *v);   /* of an input or a parameter */
bool exec_update(Instance *in, const char *name, Value *v); /* of a state */

/* ---- what it costs ---- */

typedef struct {
    int kernels;                     /* distinct */
    int launches, library_calls;     /* per run */
    size_t arena_bytes, arena_lower; /* of this instance */
    double compile_seconds;          /* passes, emission, compiler or cache */
    double instance_seconds;
    bool cached;         /* every object came from the cache */
    int64_t allocations; /* by rtc during exec_run: at most one, when gradients are first summed */
} ExecStats;
ExecStats exec_stats(const Instance *in);

typedef struct {
    const char *what;
    int group;
    Phase phase;
    double seconds;
    int runs;
    Loc loc;
} StepProfile;
int exec_profile(const Instance *in, const StepProfile **p); /* sums over profiled runs */
/* What was compiled: its graph is what the passes left, its options and reports are as loaded. */
const Program *exec_program(const Executable *e);
/* The compilation behind it, for explain, emit and bench. */
Unit *exec_unit(Executable *e);
const Plan *exec_plan(const Executable *e); /* NULL on eval */

#endif
