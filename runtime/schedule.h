/* schedule.h: the learning rate over the steps of a run.
 *
 * A schedule is a list of phases, one after the other, each beginning at the rate where the one
 * before it ended: [warmup(50), cosine(to = 1e-4)]. An empty list is the base rate throughout.
 */
#ifndef RTC_RUNTIME_SCHEDULE_H
#define RTC_RUNTIME_SCHEDULE_H

#include "ir/base.h"

typedef enum {
    SCHEDULE_WARMUP,     /* n steps: rate * (t + 1) / n */
    SCHEDULE_CONSTANT,   /* n steps, or all that remain, at the rate reached */
    SCHEDULE_LINEAR,     /* in n steps, or all that remain, straight to `to` */
    SCHEDULE_COSINE,     /* the same along half a cosine */
    SCHEDULE_STEP,       /* all that remain: every n steps the rate is multiplied by `to` */
    SCHEDULE_KINDS,
} ScheduleKind;

typedef struct {
    ScheduleKind kind;
    int64_t n;           /* 0: not given */
    double to;           /* a rate, but for STEP a factor */
} ScheduleStep;

/* "warmup" and so on; the kind of a name, or -1. */
const char *schedule_name(ScheduleKind kind);
int schedule_named(const char *name);

/* NULL, or what is wrong with phase *at, as the end of a sentence that begins with its name. */
const char *schedule_error(const ScheduleStep *phases, int n, int *at);

/* The rate of step 0 <= step of a run of `total` steps. Past the last phase its last rate holds. */
double schedule_rate(const ScheduleStep *phases, int n, double base, int64_t step, int64_t total);

#endif
