/* command.h: what the commands of `rtc` share. One file per command, cmd_NAME.c; main.c calls
 * them from the table. */
#ifndef RTC_RUNTIME_COMMAND_H
#define RTC_RUNTIME_COMMAND_H

#include <stdio.h>
#include "runtime/checkpoint.h"
#include "runtime/feed.h"
#include "runtime/interrupt.h"
#include "runtime/options.h"
#include "runtime/progress.h"
#include "runtime/rundir.h"
#include "runtime/session.h"

/* The share of the data that is held out to validate on, where there is no --valid. */
#define HELD_OUT 0.1

struct Kept {
    void (*release)(void *);
    void *p;
};

typedef struct {
    Diag *diag;
    Arena *arena;
    const Options *options;
    StopFlag *stop;
    int argc;
    char *const *argv;
    bool quiet, verbose, json;
    VEC(struct Kept) kept;
    Progress *compiling;             /* of command_session; NULL before it */
} Command;

/* Each returns the exit status; errors unwind through the Diag. */
#define COMMAND(id, ...) int cmd_##id(Command *c);
#include "runtime/options.def"

/* release(p) when the command ends, well or not; the last kept goes first. */
void command_keep(Command *c, void (*release)(void *), void *p);
void command_release(Command *c);

/* ---- models ---- */

/* The folder of the shipped models: beside the installed program, or in the source tree; NULL:
 * neither is there. */
const char *command_library(Arena *a);
/* A model named on the command line: the path, or the shipped model of that name. Errors:
 * neither exists. */
const char *command_model(Command *c, const char *path);
/* The options that all commands over a model take. */
SessionOptions command_session(Command *c, const char *file);
Session *command_open_session(Command *c, const SessionOptions *o);
/* A model file of the command line, opened. */
Session *command_open(Command *c, const char *path);
/* What the passes make of a model file for sizes named by --size (otherwise 1 and `otherwise`,
 * see trial.h), with gradients if asked for. */
Unit *command_unit(Command *c, const char *path, bool training, bool grad);
CacheOptions command_cache(Command *c);
/* Data files, for the command's life: read as what the model takes. */
Data *command_data(Command *c, Session *s, const DataOptions *o);
Data *command_data_all(Command *c, OptionValues files, int64_t num_tokens);
/* A trained run: its model with its options, its parameters. */
typedef struct {
    const char *dir;
    RunConfig config;
    Session *session;
    TrainState state;
} Run;
/* `name` is the checkpoint's. Errors: not a run directory, nothing saved yet, other shapes. */
Run command_open_run(Command *c, const char *dir, const char *name);
uint64_t command_seed(const Command *c);

/* ---- saying things ---- */

/* To stderr, unless -q. */
void say(const Command *c, const char *fmt, ...) RTC_PRINTF(2, 3);
/* What the passes did, to stderr. */
void print_passes(const Unit *u);
/* With -v: the same, and what came out; in: an instance of e. */
void say_compiled(const Command *c, Executable *e, const Instance *in);
/* Collected warnings, once, to stderr. */
void say_warnings(Command *c);
/* "3.2 MiB", "812 B" */
const char *bytes_text(Arena *a, double bytes);
/* "1,234,567" */
const char *count_text(Arena *a, int64_t n);
/* The command line, quoted so that a shell reads it back; `more` is appended if it isn't there. */
const char *command_line(const Command *c, const char *more);
/* What the user calls rtc: for commands that are suggested. */
const char *command_program(const Command *c);
/* Prints a document (jansson's json_t, given away) to stdout. */
void print_json(Command *c, void *json);

#endif
