/* settings.c: see settings.h. */
#include <math.h>
#include "runtime/settings.h"

/* ---- arguments of a call: each has a name, and a place where it may stand without one ---- */

typedef struct {
    Diag *d;
    const StaticValue *call;
    const char *const *names;
    int n;
} Arguments;

RTC_NORETURN static void unknown(Diag *d, Loc loc, const char *kind, const char *name,
                                 const char *const *names, int n)
{
    Str all = {.arena = diag_arena(d)};
    for (int i = 0; i < n; i++) str_printf(&all, "%s%s", i ? ", " : "", names[i]);
    const char *near = nearest_word(name, names, n);
    if (near)
        user_error(d, loc, "no %s `%s`\nhint: did you mean `%s`? There are: %s", kind, name, near,
                   all.s);
    user_error(d, loc, "no %s `%s`\nhint: there are: %s", kind, name, all.s);
}

static int place_of(const Arguments *a, int i)
{
    const char *key = a->call->key ? a->call->key[i] : NULL;
    if (!key) return i;
    for (int k = 0; k < a->n; k++)
        if (!strcmp(a->names[k], key)) return k;
    unknown(a->d, a->call->v[i].loc, arena_printf(diag_arena(a->d), "argument of `%s` named",
                                                  a->call->s), key, a->names, a->n);
}

/* Every argument has a place of its own. */
static void check_arguments(const Arguments *a)
{
    unsigned taken = 0;
    for (int i = 0; i < a->call->n; i++) {
        int place = place_of(a, i);
        if (place >= a->n)
            user_error(a->d, a->call->v[i].loc, "`%s` takes at most %d arguments", a->call->s,
                       a->n);
        if (taken >> place & 1)
            user_error(a->d, a->call->v[i].loc, "`%s` of `%s` is given twice", a->names[place],
                       a->call->s);
        taken |= 1u << place;
    }
}

static const StaticValue *argument(const Arguments *a, const char *name)
{
    for (int i = 0; i < a->call->n; i++)
        if (!strcmp(a->names[place_of(a, i)], name)) return &a->call->v[i];
    return NULL;
}

static double number(Diag *d, const StaticValue *v, const char *what)
{
    double x;
    if (!static_number(v, &x) || !isfinite(x)) user_error(d, v->loc, "`%s` must be a number", what);
    return x;
}

static double number_argument(const Arguments *a, const char *name, double otherwise)
{
    const StaticValue *v = argument(a, name);
    return v ? number(a->d, v, name) : otherwise;
}

/* ---- optimizer ---- */

static void read_betas(const Arguments *a, Optimizer *o)
{
    const StaticValue *v = argument(a, "betas");
    if (!v) return;
    if (v->kind != SV_LIST || v->n != 2)
        user_error(a->d, v->loc, "`betas` must be two numbers: [0.9, 0.999]");
    o->beta1 = number(a->d, &v->v[0], "betas");
    o->beta2 = number(a->d, &v->v[1], "betas");
}

static void read_optimizer(Diag *d, const StaticValue *v, TrainSettings *t)
{
    static const char *const of_sgd[] = {"lr", "momentum", "weight_decay", "nesterov"};
    static const char *const of_adam[] = {"lr", "betas", "eps", "weight_decay"};
    const char *names[OPTIMIZER_KINDS];
    for (int i = 0; i < OPTIMIZER_KINDS; i++) names[i] = optimizer_name((OptimizerKind)i);
    if (v->kind != SV_CALL)
        user_error(d, v->loc, "`optimizer` must be one of adamw(lr = ..), adam(lr = ..), "
                              "sgd(lr = ..)");
    int kind = optimizer_named(v->s);
    if (kind < 0) unknown(d, v->loc, "optimizer", v->s, names, OPTIMIZER_KINDS);
    bool sgd = kind == OPTIMIZER_SGD;
    Arguments a = {d, v, sgd ? of_sgd : of_adam, 4};
    check_arguments(&a);
    Optimizer o = optimizer_default((OptimizerKind)kind);
    if (!argument(&a, "lr"))
        user_error(d, v->loc, "`%s` needs its learning rate: %s(lr = 3e-4)", v->s, v->s);
    t->rate = number_argument(&a, "lr", 0);
    if (t->rate < 0) user_error(d, argument(&a, "lr")->loc, "`lr` must be 0 or more");
    o.weight_decay = number_argument(&a, "weight_decay", o.weight_decay);
    if (sgd) {
        const StaticValue *nesterov = argument(&a, "nesterov");
        o.momentum = number_argument(&a, "momentum", o.momentum);
        if (nesterov && nesterov->kind != SV_BOOL)
            user_error(d, nesterov->loc, "`nesterov` must be true or false");
        o.nesterov = nesterov && nesterov->i;
    } else {
        o.eps = number_argument(&a, "eps", o.eps);
        read_betas(&a, &o);
    }
    const char *name, *wrong = optimizer_error(&o, &name);
    const StaticValue *given = wrong ? argument(&a, name) : NULL;
    if (wrong) user_error(d, given ? given->loc : v->loc, "`%s` %s", name, wrong);
    t->optimizer = o;
}

/* ---- schedule ---- */

static ScheduleStep read_phase(Diag *d, const StaticValue *v)
{
    static const char *const arguments[] = {"steps", "to"};
    const char *names[SCHEDULE_KINDS];
    for (int i = 0; i < SCHEDULE_KINDS; i++) names[i] = schedule_name((ScheduleKind)i);
    if (v->kind != SV_CALL)
        user_error(d, v->loc, "a phase of the schedule is written as a call: warmup(100)");
    int kind = schedule_named(v->s);
    if (kind < 0) unknown(d, v->loc, "phase", v->s, names, SCHEDULE_KINDS);
    bool aims = kind == SCHEDULE_LINEAR || kind == SCHEDULE_COSINE || kind == SCHEDULE_STEP;
    Arguments a = {d, v, arguments, aims ? 2 : 1};
    check_arguments(&a);
    const StaticValue *steps = argument(&a, "steps");
    if (steps && steps->kind != SV_INT)
        user_error(d, steps->loc, "`steps` of `%s` must be a whole number", v->s);
    return (ScheduleStep){.kind = (ScheduleKind)kind, .n = steps ? steps->i : 0,
                          .to = aims ? number_argument(&a, "to", NAN) : 0};
}

static void read_schedule(Diag *d, Arena *arena, const StaticValue *v, TrainSettings *t)
{
    bool single = v->kind == SV_CALL;
    if (!single && v->kind != SV_LIST)
        user_error(d, v->loc, "`schedule` must be a list of phases: [warmup(100), cosine(to = 0)]");
    int n = single ? 1 : v->n;
    const StaticValue *items = single ? v : v->v;
    ScheduleStep *phases = NEW_N(arena, ScheduleStep, n + 1);
    for (int i = 0; i < n; i++) phases[i] = read_phase(d, &items[i]);
    int at;
    const char *wrong = schedule_error(phases, n, &at);
    if (wrong) user_error(d, items[at].loc, "`%s` %s", items[at].s, wrong);
    t->phases = phases;
    t->nphases = n;
}

/* ---- the block ---- */

TrainSettings train_settings(Diag *d, const Program *p)
{
    static const char *const names[] = {"optimizer", "schedule", "clip"};
    TrainSettings t = {.optimizer = optimizer_default(OPTIMIZER_ADAMW), .rate = 3e-4};
    for (int i = 0; i < p->train.n; i++) {
        const Setting *s = &p->train.v[i];
        if (!strcmp(s->name, "optimizer")) {
            read_optimizer(d, &s->value, &t);
        } else if (!strcmp(s->name, "schedule")) {
            read_schedule(d, p->arena, &s->value, &t);
        } else if (!strcmp(s->name, "clip")) {
            t.clip = number(d, &s->value, "clip");
            if (t.clip < 0) user_error(d, s->value.loc, "`clip` must be 0 or more");
        } else {
            unknown(d, s->loc, "setting", s->name, names, COUNT(names));
        }
    }
    return t;
}
