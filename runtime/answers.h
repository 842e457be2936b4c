/* answers.h: how often a model of pairs gives the very answer. */
#ifndef RTC_RUNTIME_ANSWERS_H
#define RTC_RUNTIME_ANSWERS_H

#include "runtime/feed.h"
#include "runtime/interrupt.h"

typedef struct {
    int64_t pairs;       /* that were looked at */
    int64_t exact;       /* whose target is what `generate` makes of the source at temperature 0 */
    bool complete;       /* false: stopped before the end */
} Answers;

typedef struct {
    FeedSizes sizes;     /* of batches, as the model was trained on */
    StopFlag *stop;      /* may be NULL */
    void (*progress)(void *ctx, size_t done, size_t pairs);      /* may be NULL */
    void *ctx;
} AnswersOptions;

/* s->eval must have been compiled by feed_compile_logits. Errors: as generate's. */
Answers answers_count(Session *s, const DataPart *part, const AnswersOptions *o);

#endif
