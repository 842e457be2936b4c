/* training.h: what `rtc train` and `rtc demo` have in common. */
#ifndef RTC_RUNTIME_TRAINING_H
#define RTC_RUNTIME_TRAINING_H

#include "runtime/command.h"
#include "runtime/train.h"

typedef struct {
    const char *dir;
    RunConfig config;                /* time < 0: the longest the model takes, or the data have */
    SessionOptions session;
    bool resume;
    bool replace;                    /* a run that is there may be overwritten */
    int64_t save_every, eval_every, log_every;   /* steps */
    double seconds;                  /* as many steps as fit, up to config.steps; 0: all of them */
} TrainingPlan;

typedef struct {
    Session *session;
    Trainer *trainer;
    Data *data;
    TrainResult result;
} Training;

/* Opens, compiles, writes the run directory, and trains, saying on stderr what it does. */
Training command_train(Command *c, const TrainingPlan *plan);

#endif
