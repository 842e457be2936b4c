/* evaluate.h: the loss of a model over a whole part of the data, and how often its answers are
 * right. */
#ifndef RTC_RUNTIME_EVALUATE_H
#define RTC_RUNTIME_EVALUATE_H

#include "runtime/feed.h"
#include "runtime/interrupt.h"
#include "runtime/reports.h"

typedef struct {
    double loss;         /* nats per token, without the auxiliary loss */
    double aux_loss;     /* mean over the windows */
    int64_t tokens;      /* targets counted */
    int64_t left_out;    /* at the end, because the model takes no window that short */
    bool complete;       /* false: stopped before the end */
} Evaluation;

typedef struct {
    FeedSizes sizes;
    int64_t most;        /* about how many windows or pairs, evenly spread; 0: all */
    Reports *reports;    /* of the evaluation program: cleared and filled; may be NULL */
    StopFlag *stop;      /* may be NULL */
    void (*progress)(void *ctx, size_t done, size_t windows);    /* may be NULL */
    void *ctx;
} EvaluateOptions;

/* s->eval must have been compiled by feed_compile. Every target counts once. Errors: data too
 * short. */
Evaluation evaluate(Session *s, const DataPart *part, const EvaluateOptions *o);

static inline double bits_per_token(double nats) { return nats * 1.4426950408889634; }

#endif
