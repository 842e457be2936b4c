/* train.h: the training loop of a model of texts or pairs (feed.h): data, steps, validation,
 * checkpoints, curves. */
#ifndef RTC_RUNTIME_TRAIN_H
#define RTC_RUNTIME_TRAIN_H

#include "runtime/feed.h"
#include "runtime/interrupt.h"
#include "runtime/trainer.h"

typedef struct {
    const char *dir;                 /* the run directory, which exists; NULL: nothing is written */
    const Data *data;
    FeedSizes sizes;                 /* of micro-batches */
    int64_t save_every, eval_every, log_every;   /* steps */
    double seconds;                  /* stop and save after so long; 0: no limit */
    bool resume;                     /* the trainer stands where a checkpoint in `dir` says */
    FILE *out;                       /* progress and notes; NULL: silent */
    StopFlag *stop;                  /* may be NULL; asked for: finish the step, save, return */
    void (*after_step)(void *ctx, const TrainStep *s);    /* may be NULL */
    void *ctx;
} TrainOptions;

typedef struct {
    bool stopped;                    /* by the flag */
    double valid_before, valid_after; /* validation loss, nats per token; NaN: none */
    double seconds;
} TrainResult;

/* From t->state.step to t->steps. The session must be compiled (feed_compile) for training and, if
 * there is validation data, for evaluation. Errors: data too short, training breaks down
 * (trainer.h), cannot write; what was saved before stays. */
TrainResult train(Trainer *t, const TrainOptions *o);

#endif
