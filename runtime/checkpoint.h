/* checkpoint.h: where training stands, in one safetensors file (runtime/safetensors.h), written
 * whole or not at all.
 *
 *     NAME                        each parameter and each state
 *     NAME.initted                of a state that has an `init`: whether it has taken it (BOOL)
 *     optimizer.m/NAME, .v/NAME   the moments of each parameter
 *     optimizer.steps             I64 [parameters]: steps that reached each, in the model's order
 *     __metadata__                rtc.step, rtc.taken, rtc.skipped, rtc.best; rtc.model, rtc.options,
 *                                 rtc.seed, rtc.version: what it is of, for whoever finds it alone
 *
 * A file with only parameters (and states) is one too: for `rtc run --params`.
 */
#ifndef RTC_RUNTIME_CHECKPOINT_H
#define RTC_RUNTIME_CHECKPOINT_H

#include "runtime/optimizer.h"
#include "runtime/session.h"

typedef struct {
    int64_t step;                    /* steps done, skipped ones included */
    uint64_t taken;                  /* training windows drawn */
    int64_t skipped;
    double best;                     /* lowest validation loss; HUGE_VAL: none yet */
} TrainState;

/* Errors: as st_write. */
void checkpoint_save(Diag *d, const char *path, const Session *s, const TrainState *t,
                     const OptimizerState *o);
/* Fills s->store, and says which of its states are fresh. o NULL: parameters and states only, where states may be missing, and those of
 * layers that aren't kept may be there, with a warning; else everything has to be there. Errors:
 * as st_open; a table of the tensors that are missing, unknown or of another shape. The store may
 * have changed then. */
TrainState checkpoint_load(Diag *d, const char *path, Session *s, OptimizerState *o);

/* Whether the file holds more than parameters and states, so that training can go on from it. */
bool checkpoint_resumes(Diag *d, const char *path);

/* The first parameter or float state with a value that isn't finite; NULL: none. */
const char *checkpoint_broken(const Store *s);
/* Errors: there is one; `path` is the file that the store was loaded from. */
void checkpoint_require_finite(Diag *d, const char *path, const Store *s);

#endif
