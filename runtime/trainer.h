/* trainer.h: one step of training: micro-batches run, gradients become a step of the optimiser,
 * states their updates.
 *
 *     trainer_begin(t);
 *     for each micro-batch { ...exec_input...; trainer_run(t, instance); }
 *     TrainStep s = trainer_end(t);
 */
#ifndef RTC_RUNTIME_TRAINER_H
#define RTC_RUNTIME_TRAINER_H

#include "runtime/checkpoint.h"
#include "runtime/settings.h"

enum { TRAINER_PATIENCE = 10 };      /* skipped steps in a row */

typedef struct {
    Session *session;
    TrainSettings settings;
    uint64_t seed;                   /* of dropout and whatever else the model draws */
    int64_t steps;                   /* of the whole run: where the schedule ends */
    int64_t accumulate;              /* micro-batches per step */
    TrainState state;
    OptimizerState moments;
    ParamRange *ranges;
    int runs;                        /* micro-batches of this step so far */
    double loss, aux_loss;           /* sums over them */
    int skipped_in_row;
} Trainer;

typedef struct {
    double loss;                     /* mean over the micro-batches, without the auxiliary loss */
    double aux_loss;
    double rate;                     /* the learning rate */
    double norm;                     /* of the mean gradient, before clipping */
    bool skipped;                    /* nothing was changed: */
    /* "the loss is nan", "the gradient of `out.weight` isn't finite" */
    const char *cause;
} TrainStep;

/* Everything lives in the session's arena. */
Trainer *trainer_new(Session *s, const TrainSettings *settings, uint64_t seed, int64_t steps,
                     int64_t accumulate);
void trainer_begin(Trainer *t);
/* Runs the training program on the inputs that were set, adding to gradients and updates. */
void trainer_run(Trainer *t, Instance *in);
/* A loss or gradient that isn't finite: the step is skipped; TRAINER_PATIENCE of them in a row
 * are an error. */
TrainStep trainer_end(Trainer *t);

#endif
