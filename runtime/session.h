/* session.h: a model with its parameters, ready to be compiled for training or for evaluation.
 *
 * The training program and the evaluation program differ (`training` is static), but the
 * parameters and states are the same: one Store serves the executables of a Session.
 */
#ifndef RTC_RUNTIME_SESSION_H
#define RTC_RUNTIME_SESSION_H

#include "runtime/exec.h"

typedef struct {
    const char *file;                /* FILE.rt */
    const char *library;             /* folder of the shipped models, or NULL */
    const char *model;               /* NULL: the last model of the file */
    const Override *set;
    int nset;
    uint64_t seed;                   /* of the initial parameters */
    /* device, pipeline, threads, cache, dumps; the rest is per compilation */
    CompileOptions compile;
} SessionOptions;

/* An input, an output, a parameter or a state, as a user reads about it. */
typedef struct {
    const char *name;
    DType dt;
    bool optional;
    int rank;
    int64_t shape[MAX_AXES];         /* 0 where the size isn't fixed */
    const char *dim[MAX_AXES];       /* each size as written: "batch", "512", "2*n" */
    const char *text;                /* x[batch, time]: int */
} ValueInfo;
ValueInfo value_info(Arena *a, Graph *g, const char *name, DType dt, const Space *shape);
typedef VEC(ValueInfo) ValueInfos;
ValueInfos program_inputs(Arena *a, const Program *p);
ValueInfos program_outputs(Arena *a, const Program *p);
ValueInfos program_params(Arena *a, const Program *p);
ValueInfos program_states(Arena *a, const Program *p);

typedef struct {
    Diag *diag;
    Arena *arena;
    SessionOptions options;
    /* of training; never compiled itself, so all of it can be read */
    Program *program;
    VEC(Program *) compiled;
    ValueInfos inputs, outputs;
    Store *store;
    Executable *train, *eval;        /* NULL until compiled */
} Session;

/* Loads the model and gives parameters and states their initial values. Errors are the
 * program's. */
Session *session_open(Diag *d, const SessionOptions *o);
void session_close(Session *s);

const ValueInfo *session_input(const Session *s, const char *name);     /* NULL: no such input */
/* Does anything read that input in this configuration? */
bool session_reads(const Session *s, const char *input);
bool session_has_output(const Session *s, const char *name);
/* The value of an int option of the model; `otherwise` if it has no such option. */
int64_t session_option(const Session *s, const char *name, int64_t otherwise);

/* The inputs without which `output` isn't computed, n of them. */
const char *const *session_needed(Session *s, const char *output, int *n);

typedef struct {
    bool training, want_grad;
    const char *const *given;        /* inputs that will be set */
    int ngiven;
    const char *const *outputs;      /* NULL: all that the given inputs allow */
    int noutputs;
    bool reports;                    /* what `report` statements show as well: see exec_program */
    /* for cost decisions: of the free dimensions named in size_names; may be NULL */
    const int64_t *sizes;
    const char *const *size_names;
    int nsizes;
    /* of given inputs, as they will be set: what the model refuses is said before compiling */
    const InputShape *shapes;
    int nshapes;
} SessionCompile;

/* Errors: an input that isn't given and isn't optional, a name that is no input, an optional input
 * that nothing reads, and the compiler's. The result belongs to the Session, which keeps one executable for training and one
 * for evaluation. */
Executable *session_compile(Session *s, const SessionCompile *c);

/* ---- token models: x[batch, time]: int, and with `targets` also targets[batch, time]: int ---- */

/* Errors, naming what the model has instead, unless the model can be fed with tokens. */
void session_require_tokens(Session *s, bool targets);
/* Whether the model reads a source and predicts a target: src[batch, source]: int and
 * tgt[batch, time]: int, perhaps src_mask and tgt_mask (bool) of the same shapes; all other inputs
 * optional. */
bool session_takes_pairs(const Session *s);
/* The training or evaluation program of a token model, with `loss` (and `aux_loss`) as outputs;
 * for training with gradients, for evaluation with reports. batch and time are the sizes to
 * optimise for. */
Executable *session_compile_tokens(Session *s, bool training, int64_t batch, int64_t time);
/* The program for `logits` alone. */
Executable *session_compile_logits(Session *s, int64_t time);
/* The instance for batch rows of time tokens. */
Instance *session_instance(Session *s, Executable *e, int64_t batch, int64_t time, bool targets);
/* A rank-0 float output of the last run; `otherwise` if the program doesn't compute it. */
double session_scalar(Instance *in, const char *name, double otherwise);
/* The *tokens logits of the last run at a row and a position. Errors: `logits` isn't
 * [batch, time, tokens], of so many rows and positions. */
const float *session_logits(Session *s, Instance *in, int64_t row, int64_t position, int *tokens);

#endif
