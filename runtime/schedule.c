/* schedule.c: see schedule.h. */
#include <math.h>
#include "runtime/schedule.h"

static const char *const names[SCHEDULE_KINDS] = {
    [SCHEDULE_WARMUP] = "warmup", [SCHEDULE_CONSTANT] = "constant", [SCHEDULE_LINEAR] = "linear",
    [SCHEDULE_COSINE] = "cosine", [SCHEDULE_STEP] = "step",
};

const char *schedule_name(ScheduleKind kind) { return names[kind]; }

int schedule_named(const char *name)
{
    for (int i = 0; i < SCHEDULE_KINDS; i++) {
        if (!strcmp(names[i], name)) return i;
    }
    return -1;
}

const char *schedule_error(const ScheduleStep *phases, int n, int *at)
{
    for (int i = 0; i < n; i++) {
        const ScheduleStep *p = &phases[i];
        bool periodic = p->kind == SCHEDULE_STEP, aims = periodic || p->kind == SCHEDULE_LINEAR ||
                                                         p->kind == SCHEDULE_COSINE;
        *at = i;
        if (p->n < 0) return "needs a number of steps that is not negative";
        if (p->n == 0 && (periodic || p->kind == SCHEDULE_WARMUP)) return "needs a number of steps";
        if (aims && !(p->to >= 0 && isfinite(p->to))) return "needs `to`, a number >= 0";
        if (i < n - 1 && (p->n == 0 || periodic)) {
            return "takes all steps that remain, so no phase can follow it";
        }
    }
    return NULL;
}

/* The rate at step t of a phase of `length` steps that begins at `from`; t = length is its end. */
static double rate_in(const ScheduleStep *p, double from, double base, int64_t t, int64_t length)
{
    double part = (double)t / (double)length;
    switch (p->kind) {
    case SCHEDULE_WARMUP: return t < length ? base * (double)(t + 1) / (double)length : base;
    case SCHEDULE_LINEAR: return from + (p->to - from) * part;
    case SCHEDULE_COSINE: return p->to + (from - p->to) * 0.5 * (1 + cos(acos(-1.0) * part));
    case SCHEDULE_STEP: return from * pow(p->to, (double)(t / p->n));
    default: return from;
    }
}

double schedule_rate(const ScheduleStep *phases, int n, double base, int64_t step, int64_t total)
{
    double rate = base;
    int64_t begin = 0;
    for (int i = 0; i < n; i++) {
        const ScheduleStep *p = &phases[i];
        bool rest = p->n == 0 || p->kind == SCHEDULE_STEP;
        int64_t length = !rest ? p->n : total > begin ? total - begin : 1;
        if (step - begin < length) return rate_in(p, rate, base, step - begin, length);
        rate = rate_in(p, rate, base, length, length);
        begin += length;
    }
    return rate;
}
