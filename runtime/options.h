/* options.h: the command line of rtc, from the one table in options.def.
 *
 *     Options *o = options_parse(d, a, argc, argv);
 *     o->command == COMMAND_train;  options_integer(o, OPTION_train_steps);
 */
#ifndef RTC_RUNTIME_OPTIONS_H
#define RTC_RUNTIME_OPTIONS_H

#include "ir/diag.h"

typedef enum {
#define COMMAND(id, ...) COMMAND_##id,
#include "runtime/options.def"
    COMMANDS
} CommandId;

typedef enum {
#define OPTION(id, ...) OPTION_##id,
#include "runtime/options.def"
    OPTIONS
} OptionId;

typedef enum {
    KIND_FLAG, KIND_TEXT, KIND_FILE, KIND_DIRECTORY, KIND_INTEGER, KIND_NUMBER, KIND_CHOICE,
    KIND_LIST, KIND_FILES,
} OptionKind;

typedef struct {
    const char *name, *arguments;
    int least, most;                 /* arguments */
    const char *summary, *details;
} CommandRow;

typedef struct {
    const char *name;                /* without the dashes */
    char letter;                     /* 0: none */
    OptionKind kind;
    const char *value;               /* NULL for a FLAG */
    double low, high;
    const char *preset;              /* NULL: none */
    uint32_t commands, required;     /* bit 1 << CommandId */
    const char *help;
} OptionRow;

extern const CommandRow command_info[COMMANDS];
extern const OptionRow option_info[OPTIONS];

static inline bool option_belongs(OptionId o, CommandId c)
{
    return option_info[o].commands >> c & 1;
}

typedef struct {
    const char **v;
    int n;
} OptionValues;

typedef struct {
    CommandId command;
    const char **arguments;
    int narguments;
    OptionValues values[OPTIONS];    /* as given; a FLAG has one, empty */
} Options;

/* Wrong usage is status 2, a value that is no number or out of range status 1. --help anywhere
 * becomes the command `help` with the command's name as its argument, --version `version`. The
 * strings are argv's own. */
Options *options_parse(Diag *d, Arena *a, int argc, char *const *argv);

bool options_given(const Options *o, OptionId id);
/* The last value given, or the preset. Text: NULL where there is neither. Numbers, where there is
 * neither: -1, which no range of the table holds. */
const char *options_text(const Options *o, OptionId id);
int64_t options_integer(const Options *o, OptionId id);
double options_number(const Options *o, OptionId id);
/* All values of a LIST or FILES in order. */
OptionValues options_values(const Options *o, OptionId id);

/* ---- what else the table says ---- */

/* The commands `help` and `version`: what their options ask for, on stdout. */
void help_print(Diag *d, Arena *a, const Options *o);
void version_print(const Options *o);


void help_overview(Str *out);
void help_command(Str *out, CommandId c);
void help_man(Str *out, const char *version);        /* a page in man macros */
void help_completion(Str *out, const char *shell);   /* "bash", "zsh" or "fish" */
int command_named(const char *name);                 /* a CommandId, or -1 */

#endif
