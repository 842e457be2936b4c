/* device.h: the small table of functions behind exec.h, and what devices see of executables and
 * instances. */
#ifndef RTC_RUNTIME_DEVICE_H
#define RTC_RUNTIME_DEVICE_H

#include "runtime/exec.h"

typedef struct {
    const char *name, *what;
    const char *pipeline; /* default; NULL: the graph is taken as it was differentiated */
    bool planned;         /* wants a Plan */
    /* After the pipeline: compiles kernels; e->dev is the device's. */
    void (*prepare)(Executable *e, const CompileOptions *o);
    /* For concrete sizes: tables, memory; in->dev is the device's. */
    void (*place)(Instance *in);
    /* Bytes that `place` would take; may be called before `prepare`, and be NULL. */
    double (*needs)(Instance *in);
    /* One run. Inputs lie in in->input, values of roots are found by in->root afterwards; gradients
     * of parameters and updates are added to the Store (the first run since store_begin writes
     * them). */
    void (*run)(Instance *in, const RunOptions *o);
    void (*drop)(Executable *e); /* may be NULL */
} Device;

extern const Device device_cpu, device_eval;
const Device *device_find(Diag *d, const char *name);

/* An input that the program reads. */
typedef struct {
    const char *name;
    Node *node;
    DType dt;
    const Space *space;
    bool optional;
} InputInfo;

struct Executable {
    Diag *diag;
    Arena *arena;
    const Device *device;
    Program *program;
    Store *store;
    Unit *unit;
    Plan *plan; /* NULL unless device->planned */
    int threads;
    int ninput;
    InputInfo *input;
    Instance *instances; /* list */
    double compile_seconds;
    bool cached;
    int kernels;
    void *dev;
};

typedef struct {
    void *data;
    int64_t count;
    int64_t shape[MAX_AXES];
    bool set;
} InputData;

struct Instance {
    Executable *e;
    Instance *next;
    Arena *arena; /* the executable's */
    int64_t *dims;
    InputData *input; /* by e->input */
    Value *root;      /* by plan root or graph root: data is NULL before the first run */
    void **root_data; /* room for the values of roots, for devices that need it */
    int runs;
    int64_t late; /* allocations in runs after the first */
    size_t arena_bytes, arena_lower;
    int launches, library_calls; /* per run */
    double seconds; /* to make it */
    int nprofile;
    StepProfile *profile;
    void *dev;
};

/* Roots of the compiled graph (without INIT), in the order of in->root. */
int exec_nroots(const Executable *e);
RootKind exec_root(const Executable *e, int i, const char **name, const Space **space, DType *dt);
/* Does the state take its `init` in a run? */
bool store_is_fresh(Store *s, const char *name, const RunOptions *o);
/* Adds what a run gave to the Store; reached: the gradient isn't trivially 0, the update not
 * trivially the old value. */
void store_add_grad(Store *s, const char *name, const float *g, int64_t n, bool reached);
void store_add_update(Store *s, const char *name, const void *v, bool reached);
/* An error message for a failed check, with its place. */
RTC_NORETURN void check_failed(Instance *in, const Check *c);

double seconds_now(void);

#endif
