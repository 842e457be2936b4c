/* help.c: `rtc help`, `rtc help COMMAND` and the man page, from the table in options.def. */
#include <jansson.h>
#include <stdio.h>
#include <xxhash.h>
#include "runtime/options.h"

typedef struct {
    const char *name, *text;
} Note;

static const Note examples[] = {
#define EXAMPLE(line, text) {line, text},
#include "runtime/options.def"
};
static const Note named_files[] = {
#define NAMED(name, text) {name, text},
#include "runtime/options.def"
};
static const Note variables[] = {
#define VARIABLE(name, text) {name, text},
#include "runtime/options.def"
};
static const struct {
    int status;
    const char *text;
} statuses[] = {
#define STATUS(status, text) {status, text},
#include "runtime/options.def"
};

enum { TEXT_WIDTH = 88, INDENT = 26 };

/* `text` in lines of TEXT_WIDTH, the first of which has begun at column `at`. */
static void wrap(Str *out, int at, int indent, const char *text)
{
    int column = at;
    if (at > indent - 2) {
        str_add(out, "\n");
        column = 0;
    }
    str_printf(out, "%*s", indent - column, "");
    column = indent;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column > indent && column + 1 + word > TEXT_WIDTH) {
            str_printf(out, "\n%*s", indent, "");
            column = indent;
        }
        str_printf(out, "%s%.*s", column > indent ? " " : "", word, text);
        column += word + (column > indent);
        text += word + (text[word] == ' ');
    }
    str_add(out, "\n");
}

static void entry(Str *out, int indent, const char *name, const char *text)
{
    str_printf(out, "  %s", name);
    wrap(out, 2 + (int)strlen(name), indent, text);
}

/* "--set NAME=VALUE (default: x)" needs no more than what the row says. */
static char *option_help(Arena *a, const OptionRow *o)
{
    Str s = {.arena = a};
    str_add(&s, o->help);
    if (o->preset && *o->preset) str_printf(&s, " (default: %s)", o->preset);
    if (o->kind == KIND_LIST) str_add(&s, "; may be repeated");
    return s.s;
}

static char *option_names(Arena *a, const OptionRow *o)
{
    Str s = {.arena = a};
    if (o->letter) str_printf(&s, "-%c, ", o->letter);
    str_printf(&s, "--%s", o->name);
    if (o->value) str_printf(&s, " %s", o->value);
    return s.s;
}

/* Common options are those of most commands; they come last in a command's help. */
static bool is_common(const OptionRow *o)
{
    return __builtin_popcount(o->commands) > 3;
}

static void option_entries(Str *out, CommandId c, bool common)
{
    for (int i = 0; i < OPTIONS; i++) {
        const OptionRow *o = &option_info[i];
        if (!option_belongs(i, c) || is_common(o) != common) continue;
        entry(out, INDENT, option_names(out->arena, o), option_help(out->arena, o));
    }
}

static bool has_own_options(CommandId c)
{
    for (int i = 0; i < OPTIONS; i++) {
        if (option_belongs(i, c) && !is_common(&option_info[i])) return true;
    }
    return false;
}

static void usage_line(Str *out, CommandId c)
{
    const CommandRow *info = &command_info[c];
    str_printf(out, "rtc %s%s%s", info->name, *info->arguments ? " " : "", info->arguments);
    for (int i = 0; i < OPTIONS; i++) {
        if (option_info[i].required >> c & 1) {
            str_printf(out, " --%s %s", option_info[i].name, option_info[i].value);
        }
    }
    str_add(out, " [OPTION]...");
}

void help_command(Str *out, CommandId c)
{
    const CommandRow *info = &command_info[c];
    str_printf(out, "rtc %s: %s\n\nUsage: ", info->name, info->summary);
    usage_line(out, c);
    str_add(out, "\n\n");
    wrap(out, 0, 2, info->details);
    if (has_own_options(c)) {
        str_add(out, "\nOptions:\n");
        option_entries(out, c, false);
    }
    str_add(out, "\nCommon options:\n");
    option_entries(out, c, true);
}

void help_overview(Str *out)
{
    str_add(out, "rtc compiles a model written in .rt into fused kernels, and trains, samples and "
                 "runs it.\n\nUsage: rtc COMMAND [ARGUMENT]... [OPTION]...\n\nCommands:\n");
    for (int c = 0; c < COMMANDS; c++) {
        entry(out, 14, command_info[c].name, command_info[c].summary);
    }
    str_add(out, "\nExamples:\n");
    for (int i = 0; i < COUNT(examples); i++) {
        str_printf(out, "  %s\n      %s\n", examples[i].name, examples[i].text);
    }
    str_add(out, "\nExit status:\n");
    for (int i = 0; i < COUNT(statuses); i++) {
        entry(out, 8, arena_printf(out->arena, "%d", statuses[i].status), statuses[i].text);
    }
    str_add(out, "\n`rtc help COMMAND` says more of each, `rtc help --man | man -l -` all.\n");
}

/* ---- the man page ---- */

/* Text with what roff takes for itself escaped. */
static void roff(Str *out, const char *text)
{
    if (*text == '.' || *text == '\'') str_add(out, "\\&");
    for (; *text; text++) {
        switch (*text) {
        case '\\': str_add(out, "\\e"); break;
        case '-': str_add(out, "\\-"); break;
        default: str_addn(out, text, 1);
        }
    }
}

static void roff_entry(Str *out, const char *name, const char *text)
{
    str_add(out, ".TP\n\\fB");
    roff(out, name);
    str_add(out, "\\fR\n");
    roff(out, text);
    str_add(out, "\n");
}

static void roff_options(Str *out, CommandId c)
{
    for (int i = 0; i < OPTIONS; i++) {
        const OptionRow *o = &option_info[i];
        if (!option_belongs(i, c) || is_common(o)) continue;
        roff_entry(out, option_names(out->arena, o), option_help(out->arena, o));
    }
}

/* "check, run, train" */
static char *command_list(Arena *a, uint32_t commands)
{
    Str s = {.arena = a};
    for (int c = 0; c < COMMANDS; c++) {
        if (commands >> c & 1) str_printf(&s, "%s%s", s.n ? ", " : "", command_info[c].name);
    }
    return s.s;
}

static void roff_common(Str *out)
{
    uint32_t all = (1u << COMMANDS) - 1;
    str_add(out, ".SH COMMON OPTIONS\n");
    for (int i = 0; i < OPTIONS; i++) {
        const OptionRow *o = &option_info[i];
        if (!is_common(o)) continue;
        char *text = option_help(out->arena, o);
        if (o->commands != all) {
            text = arena_printf(out->arena, "%s. With %s.", text,
                                command_list(out->arena, o->commands));
        }
        roff_entry(out, option_names(out->arena, o), text);
    }
}

static void roff_commands(Str *out)
{
    str_add(out, ".SH COMMANDS\n");
    for (int c = 0; c < COMMANDS; c++) {
        Str line = {.arena = out->arena};
        usage_line(&line, c);
        str_add(out, ".SS \"");
        roff(out, line.s);
        str_add(out, "\"\n");
        roff(out, arena_printf(out->arena, "%s. %s", command_info[c].summary,
                               command_info[c].details));
        str_add(out, "\n");
        roff_options(out, c);
    }
}

static void roff_notes(Str *out, const char *title, const Note *notes, int n)
{
    str_printf(out, ".SH %s\n", title);
    for (int i = 0; i < n; i++) roff_entry(out, notes[i].name, notes[i].text);
}

void help_man(Str *out, const char *version)
{
    str_printf(out, ".TH RTC 1 \"\" \"rtc %s\" \"User Commands\"\n", version);
    str_add(out, ".SH NAME\nrtc \\- compile, train and run models of the Routing Transformer\n"
                 ".SH SYNOPSIS\n.B rtc\n.I COMMAND\n[\\fIARGUMENT\\fR]... [\\fIOPTION\\fR]...\n"
                 ".SH DESCRIPTION\nrtc compiles a model written in .rt into fused kernels, and "
                 "trains, samples and runs it.\nResults go to standard output, everything else to "
                 "standard error. Long options take \\-\\-name value or \\-\\-name=value.\n");
    roff_commands(out);
    roff_common(out);
    str_add(out, ".SH EXIT STATUS\n");
    for (int i = 0; i < COUNT(statuses); i++) {
        roff_entry(out, arena_printf(out->arena, "%d", statuses[i].status), statuses[i].text);
    }
    roff_notes(out, "FILES IN A RUN DIRECTORY", named_files, COUNT(named_files));
    roff_notes(out, "ENVIRONMENT", variables, COUNT(variables));
    roff_notes(out, "EXAMPLES", examples, COUNT(examples));
}

/* ---- the commands ---- */

void help_print(Diag *d, Arena *a, const Options *o)
{
    Str out = {.arena = a};
    if (options_given(o, OPTION_man)) {
        help_man(&out, RTC_VERSION);
    } else if (options_given(o, OPTION_completion)) {
        help_completion(&out, options_text(o, OPTION_completion));
    } else if (o->narguments == 0) {
        help_overview(&out);
    } else {
        int c = command_named(o->arguments[0]);
        if (c < 0) {
            diag_fail_status(d, 2, "`%s` is not a command of rtc\n`rtc help` lists them",
                             o->arguments[0]);
        }
        help_command(&out, (CommandId)c);
    }
    fputs(out.s, stdout);
}

void version_print(const Options *o)
{
    printf("rtc %s\n", RTC_VERSION);
    if (options_given(o, OPTION_verbose)) {
        unsigned xxhash = XXH_versionNumber();
        printf("jansson %s\nxxhash %u.%u.%u\ncompiled by %s\n", JANSSON_VERSION, xxhash / 10000,
               xxhash / 100 % 100, xxhash % 100, __VERSION__);
    }
}
