/* options.c: the table of options.def, and the parser of argv. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "runtime/options.h"

const CommandRow command_info[COMMANDS] = {
#define COMMAND(id, arguments, least, most, summary, details)                                      \
    [COMMAND_##id] = {#id, arguments, least, most, summary, details},
#include "runtime/options.def"
};

#define ON(c) | 1u << COMMAND_##c
const OptionRow option_info[OPTIONS] = {
#define OPTION(id, name, letter, kind, value, low, high, preset, commands, required, help)         \
    [OPTION_##id] = {name,   letter,     KIND_##kind, value, low, high,                            \
                     preset, 0 commands, 0 required,  help},
#include "runtime/options.def"
};

/* What an option has no effect without (clash: with). */
typedef struct {
    OptionId option, other, or;
    uint32_t commands;
    bool clash;
} Relation;

static const Relation relations[] = {
#define NEEDS(option, commands, other, or)                                                         \
    {OPTION_##option, OPTION_##other, OPTION_##or, 0 commands, false},
#define CLASH(option, commands, other)                                                             \
    {OPTION_##option, OPTION_##other, OPTION_##other, 0 commands, true},
#include "runtime/options.def"
};

int command_named(const char *name)
{
    for (int c = 0; c < COMMANDS; c++) {
        if (!strcmp(command_info[c].name, name)) return c;
    }
    return -1;
}

/* ---- parsing ---- */

typedef struct {
    Diag *d;
    Arena *a;
    Options *o;
    char *const *argv;
    int argc, at;                    /* the argument that comes next */
} Parser;

#define command_name(p) (command_info[(p)->o->command].name)

RTC_NORETURN static void usage(Parser *p, const char *what)
{
    diag_fail_status(p->d, 2, "%s\n`rtc %s --help` lists what it takes", what, command_name(p));
}
#define wrong_usage(p, ...) usage((p), arena_printf((p)->a, __VA_ARGS__))

/* "; did you mean --steps?" or nothing. */
static const char *suggestion(Parser *p, const char *word)
{
    const char *names[OPTIONS];
    int n = 0;
    for (int i = 0; i < OPTIONS; i++) {
        if (option_belongs(i, p->o->command)) names[n++] = option_info[i].name;
    }
    const char *near = nearest_word(word, names, n);
    return near ? arena_printf(p->a, "; did you mean --%s?", near) : "";
}

RTC_NORETURN static void unknown_option(Parser *p, const char *name)
{
    Str others = {.arena = p->a};
    for (int i = 0; i < OPTIONS; i++) {
        for (int c = 0; c < COMMANDS && !strcmp(option_info[i].name, name); c++) {
            if (!option_belongs(i, c)) continue;
            str_printf(&others, "%s%s", others.n ? ", " : "", command_info[c].name);
        }
    }
    if (others.n) {
        wrong_usage(p, "`rtc %s` has no option --%s; it belongs to: %s", command_name(p), name,
                    others.s);
    }
    wrong_usage(p, "`rtc %s` has no option --%s%s", command_name(p), name, suggestion(p, name));
}

static OptionId find_long(Parser *p, const char *name)
{
    for (int i = 0; i < OPTIONS; i++) {
        if (option_belongs(i, p->o->command) && !strcmp(option_info[i].name, name)) return i;
    }
    unknown_option(p, name);
}

static OptionId find_letter(Parser *p, char letter)
{
    for (int i = 0; i < OPTIONS; i++) {
        if (option_belongs(i, p->o->command) && option_info[i].letter == letter) return i;
    }
    wrong_usage(p, "`rtc %s` has no option -%c", command_name(p), letter);
}

static void check_number(Parser *p, const OptionRow *info, const char *text)
{
    char *end;
    errno = 0;
    double x = info->kind == KIND_INTEGER ? (double)strtoll(text, &end, 10) : strtod(text, &end);
    bool blank = *text == 0 || *text == ' ';
    if (blank || *end || !isfinite(x)) {
        diag_fail(p->d, "--%s: `%s` is not %s", info->name, text,
                  info->kind == KIND_INTEGER ? "a whole number" : "a number");
    }
    if (x < info->low || x > info->high || errno == ERANGE) {
        diag_fail(p->d, "--%s: %s is out of range; it must be from %.15g to %.15g", info->name,
                  text, info->low, info->high);
    }
}

static void check_choice(Parser *p, const OptionRow *info, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = info->value; *at;) {
        size_t k = strcspn(at, "|");
        if (k == n && !memcmp(at, text, n)) return;
        at += k + (at[k] == '|');
    }
    diag_fail(p->d, "--%s: `%s` is not one of %s", info->name, text, info->value);
}

static void add_value(Parser *p, OptionId id, const char *text)
{
    const OptionRow *info = &option_info[id];
    OptionValues *values = &p->o->values[id];
    if (info->kind == KIND_INTEGER || info->kind == KIND_NUMBER) check_number(p, info, text);
    if (info->kind == KIND_CHOICE) check_choice(p, info, text);
    if (!values->v) values->v = NEW_N(p->a, const char *, p->argc);
    values->v[values->n++] = text;
}

static bool is_option(const char *s) { return s[0] == '-' && s[1] != 0; }

/* The value of an option that stands in the next argument. A number may begin with a minus. */
static const char *next_value(Parser *p, OptionId id)
{
    const OptionRow *info = &option_info[id];
    const char *next = p->at < p->argc ? p->argv[p->at] : NULL;
    bool number = info->kind == KIND_INTEGER || info->kind == KIND_NUMBER;
    if (!next || (is_option(next) && !(number && strchr("0123456789.", next[1])))) {
        wrong_usage(p, "--%s needs a value: --%s %s%s", info->name, info->name, info->value,
                    next ? arena_printf(p->a, " (for a value that begins with a dash: --%s=%s)",
                                        info->name, next)
                         : "");
    }
    p->at++;
    return next;
}

static void take_option(Parser *p, OptionId id, const char *attached)
{
    const OptionRow *info = &option_info[id];
    if (info->kind == KIND_FLAG) {
        if (attached) wrong_usage(p, "--%s takes no value", info->name);
        add_value(p, id, "");
        return;
    }
    add_value(p, id, attached ? attached : next_value(p, id));
    while (info->kind == KIND_FILES && p->at < p->argc && !is_option(p->argv[p->at])) {
        add_value(p, id, p->argv[p->at++]);
    }
}

static void take(Parser *p, char *arg)
{
    if (arg[1] != '-') {
        take_option(p, find_letter(p, arg[1]), arg[2] ? arg + 2 : NULL);
    } else {
        char *equal = strchr(arg, '=');
        char *name = equal ? arena_strndup(p->a, arg + 2, (size_t)(equal - arg - 2)) : arg + 2;
        take_option(p, find_long(p, name), equal ? equal + 1 : NULL);
    }
}

static void check_complete(Parser *p)
{
    const CommandRow *c = &command_info[p->o->command];
    if (p->o->narguments < c->least) {
        bool swallowed = options_values(p->o, OPTION_data).n > 1;
        wrong_usage(p, "`rtc %s` needs %s%s", c->name, c->arguments,
                    swallowed ? " before --data, which takes all that follows it" : "");
    }
    if (p->o->narguments > c->most) {
        wrong_usage(p, "`%s` is one argument too many", p->o->arguments[c->most]);
    }
    for (int i = 0; i < OPTIONS; i++) {
        const OptionRow *info = &option_info[i];
        if ((info->required >> p->o->command & 1) && !options_given(p->o, i)) {
            wrong_usage(p, "`rtc %s` needs --%s %s", c->name, info->name, info->value);
        }
    }
}

static void check_together(Parser *p)
{
    for (int i = 0; i < COUNT(relations); i++) {
        const Relation *r = &relations[i];
        bool other = options_given(p->o, r->other) || options_given(p->o, r->or);
        if (!(r->commands >> p->o->command & 1) || !options_given(p->o, r->option) ||
            other == !r->clash)
            continue;
        const char *or = r->or == r->other ? "" : arena_printf(p->a, " or --%s",
                                                               option_info[r->or].name);
        wrong_usage(p, "--%s has no effect %s --%s%s", option_info[r->option].name,
                    r->clash ? "with" : "without", option_info[r->other].name, or);
    }
}

/* --help wins over everything else that is wrong with the line. */
static bool asks_for_help(const Parser *p)
{
    for (int i = 1; i < p->argc && strcmp(p->argv[i], "--"); i++) {
        if (!strcmp(p->argv[i], "--help") || !strcmp(p->argv[i], "-h")) return true;
    }
    return false;
}

static CommandId find_command(Parser *p)
{
    const char *names[COMMANDS], *word = p->argv[1];
    int c = command_named(word);
    if (c >= 0) return c;
    for (int i = 0; i < COMMANDS; i++) names[i] = command_info[i].name;
    const char *near = nearest_word(word, names, COMMANDS);
    diag_fail_status(p->d, 2, "`%s` is not a command of rtc%s\n`rtc help` lists them", word,
                     near ? arena_printf(p->a, "; did you mean `%s`?", near) : "");
}

Options *options_parse(Diag *d, Arena *a, int argc, char *const *argv)
{
    Parser p = {d, a, NEW(a, Options), argv, argc, 2};
    p.o->arguments = NEW_N(a, const char *, argc + 1);
    if (argc < 2) diag_fail_status(d, 2, "rtc needs a command\n`rtc help` lists them");
    if (!strcmp(argv[1], "--version")) {
        p.o->command = COMMAND_version;
    } else if (is_option(argv[1]) && asks_for_help(&p)) {
        p.o->command = COMMAND_help;
        return p.o;
    } else {
        p.o->command = find_command(&p);
    }
    if (asks_for_help(&p)) {
        if (p.o->command != COMMAND_help) p.o->narguments = 1;
        p.o->arguments[0] = command_name(&p);
        p.o->command = COMMAND_help;
        return p.o;
    }
    bool only_arguments = false;
    while (p.at < argc) {
        char *arg = argv[p.at++];
        if (only_arguments || !is_option(arg)) {
            p.o->arguments[p.o->narguments++] = arg;
        } else if (!strcmp(arg, "--")) {
            only_arguments = true;
        } else {
            take(&p, arg);
        }
    }
    check_complete(&p);
    check_together(&p);
    return p.o;
}

/* ---- what was given ---- */

bool options_given(const Options *o, OptionId id) { return o->values[id].n > 0; }

const char *options_text(const Options *o, OptionId id)
{
    const OptionValues *values = &o->values[id];
    return values->n ? values->v[values->n - 1] : option_info[id].preset;
}

int64_t options_integer(const Options *o, OptionId id)
{
    const char *text = options_text(o, id);
    return text ? strtoll(text, NULL, 10) : -1;
}

double options_number(const Options *o, OptionId id)
{
    const char *text = options_text(o, id);
    return text ? strtod(text, NULL) : -1;
}

OptionValues options_values(const Options *o, OptionId id) { return o->values[id]; }
