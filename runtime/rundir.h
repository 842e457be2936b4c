/* rundir.h: what a training run leaves on the disk, and how it is found again.
 *
 *     model.rt                  the model with its imports inlined
 *     config.json               what was asked for: options, data, seed, sizes, version, command
 *     checkpoint.safetensors    where training stands (checkpoint.h)
 *     best.safetensors          the same, where the validation loss was lowest
 *     log.csv, loss.svg         the curves
 */
#ifndef RTC_RUNTIME_RUNDIR_H
#define RTC_RUNTIME_RUNDIR_H

#include "frontend/frontend.h"

typedef struct {
    const char *file;                /* the model as given on the command line */
    const char *model;               /* its name in model.rt */
    const Override *set;             /* as given */
    int nset;
    const char *const *data;         /* absolute paths */
    int ndata;
    const char *const *valid;
    int nvalid;
    uint64_t seed;
    int64_t steps, batch, time, accumulate;
    int64_t source;                  /* of pairs: tokens of the longest; time is the targets' */
    const char *command;             /* the command line, quoted for a shell */
} RunConfig;

#define RUN_CHECKPOINT "checkpoint.safetensors"
#define RUN_BEST "best.safetensors"
#define RUN_LOG "log.csv"
#define RUN_PLOT "loss.svg"

const char *rundir_path(Arena *a, const char *dir, const char *name);
/* something that rtc train wrote is there */
bool rundir_exists(Arena *a, const char *dir);
bool rundir_has(Arena *a, const char *dir, const char *name);
/* Absolute, or as it is where the system can't tell. */
const char *rundir_absolute(Arena *a, const char *path);

/* Errors unless a new run may begin here: nothing that anybody would miss may be overwritten. */
void rundir_require_free(Diag *d, Arena *a, const char *dir);
/* Makes the directory if need be, and takes it: of all processes one at a time may write there.
 * Temporary files that an earlier one left are removed.
 * The descriptor that holds the lock is for the caller to close, after the last file is written.
 * Errors: another process has it. */
int rundir_lock(Diag *d, const char *dir);
/* Writes model.rt and config.json, making the directory. */
void rundir_write(Diag *d, Arena *a, const char *dir, const Program *p, const RunConfig *c);
/* Errors: no such directory, not a run directory, a config.json that isn't ours. */
RunConfig rundir_read(Diag *d, Arena *a, const char *dir);
/* A run goes on only as what it was: else an error with a table of what differs. `steps` may
 * differ. */
void rundir_check(Diag *d, Arena *a, const char *dir, const Program *p, const RunConfig *c);

#endif
