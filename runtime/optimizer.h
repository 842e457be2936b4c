/* optimizer.h: one step of SGD, Adam or AdamW over flat arrays, by the formulas of PyTorch.
 *
 * Parameters lie one after the other in a float array, gradients and moments likewise; a range is
 * one parameter. A parameter that the step didn't reach (`skip`: its layer was dropped) keeps its
 * value, its moments and its own count of steps, as in PyTorch where its gradient is None.
 *
 * Work is cut into fixed blocks, so that any number of threads gives the same bits. Nothing is
 * allocated.
 */
#ifndef RTC_RUNTIME_OPTIMIZER_H
#define RTC_RUNTIME_OPTIMIZER_H

#include "ir/base.h"

typedef enum { OPTIMIZER_SGD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW, OPTIMIZER_KINDS } OptimizerKind;

typedef struct {
    OptimizerKind kind;
    double momentum;         /* sgd */
    bool nesterov;           /* sgd */
    double beta1, beta2, eps; /* adam, adamw */
    double weight_decay;     /* sgd and adam: added to the gradient; adamw: decoupled */
} Optimizer;

/* The defaults of PyTorch. */
Optimizer optimizer_default(OptimizerKind kind);
const char *optimizer_name(OptimizerKind kind);   /* "sgd" */
int optimizer_named(const char *name);            /* -1: none */
/* NULL, or what is wrong with the argument of that name, as the rest of a sentence. */
const char *optimizer_error(const Optimizer *o, const char **argument);
/* How many moments per parameter element it keeps: 0 to 2 (m, then v). */
int optimizer_moments(const Optimizer *o);

typedef struct {
    int64_t begin, count;    /* elements */
    bool skip;
} ParamRange;

/* All 0 before the first step. */
typedef struct {
    float *m, *v;            /* as long as the parameters; NULL where there is no such moment */
    int64_t *steps;          /* [ranges]: steps that reached the parameter */
} OptimizerState;

/* The 2-norm of all gradients but the skipped, summed in double; inf or NaN when one of them is. */
double optimizer_norm(const ParamRange *ranges, int n, const float *grad);

/* The factor that clips to `most`, PyTorch's: min(1, most / (norm + 1e-6)); 1 where most is 0. */
double optimizer_clip(double norm, double most);

/* value moves against scale * grad at the rate given. */
void optimizer_step(const Optimizer *o, double rate, double scale, const ParamRange *ranges, int n,
                    const float *grad, float *value, OptimizerState *state);

#endif
