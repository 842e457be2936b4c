/* frontend.h: from a .rt file to a Program: the graph of one step, and how its parameters start. */
#ifndef RTC_FRONTEND_FRONTEND_H
#define RTC_FRONTEND_FRONTEND_H

#include "ir/ir.h"

/* A value known at compile time: an option, a setting of the `train` block. */
typedef enum { SV_NONE, SV_INT, SV_FLOAT, SV_BOOL, SV_STRING, SV_LIST, SV_CALL } StaticKind;
typedef struct StaticValue StaticValue;
struct StaticValue {
    StaticKind kind;
    Loc loc;
    int64_t i;               /* INT, BOOL */
    double f;                /* FLOAT */
    const char *s;           /* STRING; CALL: the name, as in adamw(lr = 3e-4) */
    int n;                   /* LIST: elements; CALL: arguments */
    StaticValue *v;
    const char **key;        /* CALL: argument names, NULL where positional */
};
void static_print(const StaticValue *v, Str *out);        /* as .rt text */
bool static_number(const StaticValue *v, double *x);      /* INT or FLOAT */

typedef struct {
    const char *name, *type, *doc; /* type as written: int, int[depth] */
    StaticValue value;             /* resolved; NONE: of a group, without default, and not needed */
    StaticValue def;               /* the default; NONE if there is none */
    bool set;                      /* given by --set */
    bool fixed;                    /* came by `..: m`, and the model itself says what it is */
    bool idle;                     /* set, but read only by parts of which nothing runs */
    Loc loc;
} OptionInfo;

typedef struct { const char *name; StaticValue value; Loc loc; } Setting; /* of `train { }` */
typedef struct { const char *name, *value; } Override;                   /* --set NAME=VALUE */
typedef struct { const char *output, *input; } AbsentOutput;

/* What a `report` statement shows: the output of that name in the graph. A number that is `lowest`
 * is missing. With a text the output is a bool, and the text is to be said where it holds. */
#define REPORT_PREFIX "report/"
typedef struct {
    const char *output;      /* REPORT_PREFIX, then the name */
    const char *name;        /* path of the module, name, and from the second on #2, #3 ... */
    const char *text;        /* NULL: numbers */
    int rank;
    int64_t shape[MAX_AXES];
    int64_t count;
    Loc loc;
} ReportInfo;

typedef struct {
    const char *model;       /* name of the model that was built */
    Graph *graph;            /* roots: OUTPUT per returned value and `aux_loss`, UPDATE per state */
    Graph *init;             /* one ROOT_INIT per param and state of graph, by name */
    VEC(OptionInfo) options; /* every hyper-parameter, in order of declaration */
    VEC(Setting) train;
    const char *text;        /* the model with its imports inlined: parses to the same program */
    VEC(ReportInfo) reports;     /* in order; empty unless LoadOptions.reports */
    VEC(const char *) unread; /* parameters and states that are declared, but that nothing reads */
    VEC(AbsentOutput) missing; /* outputs that were not built: they read an absent input */
    Arena *arena;
} Program;

typedef struct {
    const char *path;        /* FILE.rt; imports are looked up beside the importing file, */
    const char *library;     /* then in this folder of shipped models, or NULL */
    const char *model;       /* which model of the file; NULL: the last one */
    const Override *set;     /* `--set`: options, and settings of the train block (optimizer.lr) */
    int nset;
    bool training;           /* the static `training` */
    bool reports;            /* build what `report` statements show, as outputs */
    /* Optional inputs that will not be given: those with a constant default become it and fold,
     * and outputs that read one whose default is `none` are not built (Program.missing). */
    const char *const *absent;
    int nabsent;
} LoadOptions;

/* The program owns its graphs. Errors go to d (user_error with the place in the .rt text). */
Program *program_load(Diag *d, const LoadOptions *o);
void program_free(Program *p);
/* One value as on the command line: 4   1e-3   [a, b]   4,4,2,0   adamw(lr=1e-3)   gelu */
StaticValue static_parse(Diag *d, Arena *a, const char *name, const char *text);

#endif
