/* cmd_check.c: `rtc check`: what a model takes, gives, learns and keeps. */
#include <jansson.h>
#include "runtime/command.h"
#include "runtime/settings.h"

static int64_t numbers(const ValueInfo *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++) n *= v->shape[i];
    return n;
}

static int64_t numbers_of(const ValueInfos *all)
{
    int64_t n = 0;
    for (int i = 0; i < all->n; i++) n += numbers(&all->v[i]);
    return n;
}

static const char *value_text(Arena *a, const StaticValue *v)
{
    Str s = {.arena = a};
    if (v->kind != SV_NONE) static_print(v, &s);
    return s.s ? s.s : "";
}

/* ---- tables ---- */

static void print_values(const char *title, const ValueInfos *all)
{
    for (int i = 0; i < all->n; i++)
        printf("%-12s%s%s\n", i ? "" : title, all->v[i].text,
               all->v[i].optional ? "   (optional)" : "");
    if (!all->n) printf("%-12snone\n", title);
}

static void print_stored(Command *c, const char *title, const ValueInfos *all)
{
    int64_t n = numbers_of(all);
    printf("%-12s%d tensors, %s numbers, %s\n", title, all->n, count_text(c->arena, n),
           bytes_text(c->arena, 4 * (double)n));
    if (!c->verbose) return;
    for (int i = 0; i < all->n; i++) printf("%-12s%s\n", "", all->v[i].text);
}

static void print_reports(Command *c, const Program *p)
{
    int64_t numbers = 0, texts = 0;
    for (int i = 0; i < p->reports.n; i++) {
        if (p->reports.v[i].text) texts++;
        else numbers += p->reports.v[i].count;
    }
    if (!p->reports.n) return;
    printf("%-12s%s numbers, %lld texts\n", "reports", count_text(c->arena, numbers),
           (long long)texts);
    for (int i = 0; c->verbose && i < p->reports.n; i++)
        printf("%-12s%s%s%s\n", "", p->reports.v[i].name, p->reports.v[i].text ? ": " : "",
               p->reports.v[i].text ? p->reports.v[i].text : "");
}

static void print_options(const Program *p, Arena *a)
{
    int widest = 0;
    for (int i = 0; i < p->options.n; i++) {
        const OptionInfo *o = &p->options.v[i];
        if (o->fixed) continue;
        int n = (int)(strlen(o->name) + strlen(o->type)) + 2;
        if (n > widest) widest = n;
    }
    printf("\noptions (--set NAME=VALUE)\n");
    for (int i = 0; i < p->options.n; i++) {
        const OptionInfo *o = &p->options.v[i];
        if (o->fixed) continue;
        const char *value = value_text(a, &o->value), *def = value_text(a, &o->def);
        Str line = {.arena = a};
        str_printf(&line, "%s: %s", o->name, o->type);
        printf("  %-*s = %s", widest, line.s, value);
        if (o->set) printf("   (default %s)", *def ? def : "none");
        if (o->doc && *o->doc) printf("   %s", o->doc);
        putchar('\n');
    }
    if (!p->train.n) return;
    printf("\ntrain\n");
    for (int i = 0; i < p->train.n; i++)
        printf("  %s = %s\n", p->train.v[i].name, value_text(a, &p->train.v[i].value));
}

/* ---- JSON ---- */

static json_t *json_values(const ValueInfos *all, bool inputs)
{
    static const char *const types[] = {[DT_FLOAT] = "float", [DT_INT] = "int", [DT_BOOL] = "bool"};
    json_t *list = json_array();
    for (int i = 0; i < all->n; i++) {
        const ValueInfo *v = &all->v[i];
        json_t *shape = json_array();
        for (int k = 0; k < v->rank; k++)
            json_array_append_new(shape, v->shape[k] ? json_integer(v->shape[k])
                                                     : json_string(v->dim[k]));
        json_t *o = json_pack("{ss ss so}", "name", v->name, "type", types[v->dt], "shape", shape);
        if (inputs) json_object_set_new(o, "optional", json_boolean(v->optional));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_options(const Program *p, Arena *a)
{
    json_t *list = json_array();
    for (int i = 0; i < p->options.n; i++) {
        const OptionInfo *o = &p->options.v[i];
        if (o->fixed) continue;
        json_array_append_new(list, json_pack("{ss ss ss ss ss sb sb}", "name", o->name, "type",
                                              o->type, "value", value_text(a, &o->value), "default",
                                              value_text(a, &o->def), "doc", o->doc ? o->doc : "",
                                              "set", (int)o->set, "idle", (int)o->idle));
    }
    return list;
}

/* Parts that don't run here are described all the same: a checkpoint may hold them. */
static void print_idle(const Command *c, const Program *p)
{
    int n = 0;
    for (int i = 0; i < p->options.n; i++)
        if (p->options.v[i].idle)
            printf("%-12soption %s: only parts that don't run here read it\n",
                   n++ ? "" : "idle", p->options.v[i].name);
    for (int i = 0; c->verbose && i < p->unread.n; i++)
        printf("%-12s%s: nothing here reads it\n", n++ ? "" : "idle", p->unread.v[i]);
}

static json_t *json_reports(const Program *p)
{
    json_t *list = json_array();
    for (int i = 0; i < p->reports.n; i++) {
        const ReportInfo *r = &p->reports.v[i];
        json_t *shape = json_array();
        for (int k = 0; k < r->rank; k++) json_array_append_new(shape, json_integer(r->shape[k]));
        json_array_append_new(list, json_pack("{ss so ss?}", "name", r->name, "shape", shape,
                                              "text", r->text));
    }
    return list;
}

typedef struct {
    ValueInfos inputs, outputs, params, states;
    const Program *eval;             /* with its reports */
} Content;

static void print_document(Command *c, const Program *p, const Content *k)
{
    int64_t n = numbers_of(&k->params);
    json_t *root = json_pack("{ss so so sI sI so so so}", "model", p->model, "inputs",
                             json_values(&k->inputs, true), "outputs",
                             json_values(&k->outputs, false), "parameters", (json_int_t)n,
                             "parameter_bytes", (json_int_t)(4 * n), "parameter_tensors",
                             json_values(&k->params, false), "states",
                             json_values(&k->states, false), "reports",
                             json_reports(k->eval));
    if (root && options_given(c->options, OPTION_options))
        json_object_set_new(root, "options", json_options(p, c->arena));
    print_json(c, root);
}

static void release_program(void *p) { program_free(p); }

int cmd_check(Command *c)
{
    const char *file = command_model(c, c->options->arguments[0]);
    SessionOptions s = command_session(c, file);
    LoadOptions load = {.path = file, .library = s.library, .set = s.set, .nset = s.nset,
                        .reports = true};
    Program *eval = program_load(c->diag, &load);        /* the evaluation program must build too */
    command_keep(c, release_program, eval);
    diag_clear_warnings(c->diag);
    load.training = true, load.reports = false;
    Program *p = program_load(c->diag, &load);
    command_keep(c, release_program, p);
    train_settings(c->diag, p);                          /* the `train` block is checked as well */
    if (options_given(c->options, OPTION_pipeline) || options_given(c->options, OPTION_dump))
        command_unit(c, c->options->arguments[0], true, false);
    Content k = {program_inputs(c->arena, p), program_outputs(c->arena, p),
                 program_params(c->arena, p), program_states(c->arena, p), eval};
    if (c->json) {
        print_document(c, p, &k);
    } else {
        printf("model       %s (%s)\n", p->model, file);
        print_values("inputs", &k.inputs);
        print_values("outputs", &k.outputs);
        print_stored(c, "parameters", &k.params);
        print_stored(c, "states", &k.states);
        print_reports(c, k.eval);
        print_idle(c, p);
        if (options_given(c->options, OPTION_options)) print_options(p, c->arena);
    }
    return 0;
}
