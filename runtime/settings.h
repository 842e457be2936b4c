/* settings.h: the `train` block of a program as numbers.
 *
 *     optimizer = adamw(lr = 3e-4, betas = [0.9, 0.95], eps = 1e-8, weight_decay = 0.1)
 *               | adam(...) | sgd(lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 0)
 *     schedule  = [warmup(100), cosine(to = 3e-5)]
 *                 also constant(N), linear(to = R), step(N, to = FACTOR)
 *     clip      = 0.5                                    of the gradient's norm; 0: none
 */
#ifndef RTC_RUNTIME_SETTINGS_H
#define RTC_RUNTIME_SETTINGS_H

#include "frontend/frontend.h"
#include "runtime/optimizer.h"
#include "runtime/schedule.h"

typedef struct {
    Optimizer optimizer;
    double rate;                     /* lr: what the schedule starts from */
    const ScheduleStep *phases;
    int nphases;
    double clip;                     /* 0: none */
} TrainSettings;

/* Without a `train` block: adamw(lr = 3e-4). Errors, with their place: unknown names (and the
 * nearest), arguments that are missing or have the wrong type or range. */
TrainSettings train_settings(Diag *d, const Program *p);

#endif
