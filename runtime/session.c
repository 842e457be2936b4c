/* session.c: see session.h. */
#include "runtime/session.h"
#include "runtime/shapes.h"

/* ---- what a program has ---- */

ValueInfo value_info(Arena *a, Graph *g, const char *name, DType dt, const Space *shape)
{
    static const char *const types[] = {[DT_FLOAT] = "float", [DT_INT] = "int", [DT_BOOL] = "bool"};
    ValueInfo info = {.name = arena_strdup(a, name), .dt = dt, .rank = shape->n};
    Str text = {.arena = a};
    str_add(&text, name);
    for (int i = 0; i < shape->n; i++) {
        info.dim[i] = arena_strdup(a, ix_text(g, shape->ext[i]));
        info.shape[i] = ix_is_const(shape->ext[i]) ? shape->ext[i]->c : 0;
        str_printf(&text, "%s%s", i ? ", " : "[", info.dim[i]);
    }
    str_printf(&text, "%s: %s", shape->n ? "]" : "", types[dt]);
    info.text = text.s;
    return info;
}

static ValueInfos leaves(Arena *a, Graph *g, const Named *v, int n)
{
    ValueInfos all = {0};
    for (int i = 0; i < n; i++) {
        ValueInfo info = value_info(a, g, v[i].name, v[i].node->dt, node_shape(g, v[i].node));
        info.optional = v[i].optional;
        vec_push(a, &all, info);
    }
    return all;
}

ValueInfos program_inputs(Arena *a, const Program *p)
{
    return leaves(a, p->graph, p->graph->inputs.v, p->graph->inputs.n);
}

ValueInfos program_params(Arena *a, const Program *p)
{
    return leaves(a, p->graph, p->graph->params.v, p->graph->params.n);
}

ValueInfos program_states(Arena *a, const Program *p)
{
    return leaves(a, p->graph, p->graph->states.v, p->graph->states.n);
}

ValueInfos program_outputs(Arena *a, const Program *p)
{
    ValueInfos all = {0};
    for (int i = 0; i < p->graph->roots.n; i++) {
        const Root *r = &p->graph->roots.v[i];
        if (r->kind == ROOT_OUTPUT)
            vec_push(a, &all, value_info(a, p->graph, r->name, r->e.node->dt, r->space));
    }
    return all;
}

/* ---- opening ---- */

static Program *load(Session *s, bool training, bool reports, const char *const *absent,
                     int nabsent)
{
    const SessionOptions *o = &s->options;
    return program_load(s->diag, &(LoadOptions){.path = o->file, .library = o->library,
                                                .model = o->model, .set = o->set,
                                                .nset = o->nset, .training = training,
                                                .reports = reports,
                                                .absent = absent, .nabsent = nabsent});
}

static void describe(Session *s)
{
    s->inputs = program_inputs(s->arena, s->program);
    s->outputs = program_outputs(s->arena, s->program);
}

static void close_deferred(void *session) { session_close(session); }

Session *session_open(Diag *d, const SessionOptions *o)
{
    Arena *a = arena_new();
    if (!a) diag_oom(d);
    arena_on_oom(a, diag_oom, d);
    Session *s = NEW(a, Session);
    s->diag = d;
    s->arena = a;
    s->options = *o;
    diag_defer(d, close_deferred, s);
    s->program = load(s, true, false, NULL, 0);
    describe(s);
    s->store = store_new(d, s->program);
    store_init(s->store, s->program, o->seed);
    diag_undefer(d);
    return s;
}

void session_close(Session *s)
{
    if (!s) return;
    if (s->train) exec_free(s->train);
    if (s->eval) exec_free(s->eval);
    if (s->store) store_free(s->store);
    for (int i = 0; i < s->compiled.n; i++) program_free(s->compiled.v[i]);
    if (s->program) program_free(s->program);
    arena_free(s->arena);
}

/* ---- what the model has ---- */

const ValueInfo *session_input(const Session *s, const char *name)
{
    for (int i = 0; i < s->inputs.n; i++)
        if (!strcmp(s->inputs.v[i].name, name)) return &s->inputs.v[i];
    return NULL;
}

typedef struct {
    const char *input;
    char *seen;                      /* by node id */
    bool found;
} Reach;

static void reach(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Reach *r = ctx;
    if (r->found || r->seen[e.node->id]) return;
    r->seen[e.node->id] = 1;
    r->found = e.node->op == OP_input && !strcmp(e.node->attr.leaf.name, r->input);
    node_reads(e.node, reach, r);
}

bool session_reads(const Session *s, const char *input)
{
    const Graph *g = s->program->graph;
    Reach r = {input, NEW_N(s->arena, char, g->nodes.n + 1), false};
    for (int i = 0; i < g->roots.n; i++) reach(&r, g->roots.v[i].e, false);
    return r.found;
}

bool session_has_output(const Session *s, const char *name)
{
    for (int i = 0; i < s->outputs.n; i++)
        if (!strcmp(s->outputs.v[i].name, name)) return true;
    return false;
}

int64_t session_option(const Session *s, const char *name, int64_t otherwise)
{
    for (int i = 0; i < s->program->options.n; i++) {
        const OptionInfo *o = &s->program->options.v[i];
        if (!strcmp(o->name, name) && o->value.kind == SV_INT) return o->value.i;
    }
    return otherwise;
}

/* "x[batch, time]: int, mask[batch, time]: bool" */
static const char *inputs_text(Session *s)
{
    Str text = {.arena = s->arena};
    for (int i = 0; i < s->inputs.n; i++)
        str_printf(&text, "%s%s", i ? ", " : "", s->inputs.v[i].text);
    return text.s ? text.s : "none";
}

/* ---- compiling ---- */

static bool is_given(const SessionCompile *c, const char *name)
{
    for (int i = 0; i < c->ngiven; i++)
        if (!strcmp(c->given[i], name)) return true;
    return false;
}

/* What is required may be there for its shape alone. */
static void check_optional(Session *s, const ValueInfo *in)
{
    if (!in->optional || session_reads(s, in->name)) return;
    Str read = {.arena = s->arena};
    for (int i = 0; i < s->inputs.n; i++)
        if (session_reads(s, s->inputs.v[i].name))
            str_printf(&read, "%s%s", read.n ? ", " : "", s->inputs.v[i].text);
    diag_fail(s->diag, "input `%s` is given, but nothing in model %s reads it in this configuration"
                       "\nread are: %s\nhint: an option may make use of it: rtc check --options",
              in->name, s->program->model, read.s ? read.s : "none");
}

static void check_given(Session *s, const SessionCompile *c)
{
    for (int i = 0; i < c->ngiven; i++) {
        const ValueInfo *in = session_input(s, c->given[i]);
        if (in) {
            check_optional(s, in);
            continue;
        }
        const char **names = NEW_N(s->arena, const char *, s->inputs.n + 1);
        for (int k = 0; k < s->inputs.n; k++) names[k] = s->inputs.v[k].name;
        const char *near = nearest_word(c->given[i], names, s->inputs.n);
        diag_fail(s->diag, "model %s has no input `%s`\nits inputs: %s%s%s%s", s->program->model,
                  c->given[i], inputs_text(s), near ? "\nhint: did you mean `" : "",
                  near ? near : "", near ? "`?" : "");
    }
}

const char *const *session_needed(Session *s, const char *output, int *n)
{
    const char **needed = NEW_N(s->arena, const char *, s->inputs.n + 1);
    *n = 0;
    for (int i = 0; i < s->inputs.n; i++) {
        const ValueInfo *in = &s->inputs.v[i];
        bool missing = !in->optional;
        if (in->optional) {
            Program *without = load(s, true, false, &in->name, 1);
            for (int k = 0; k < without->missing.n; k++)
                missing = missing || !strcmp(without->missing.v[k].output, output);
            program_free(without);
        }
        if (missing) needed[(*n)++] = in->name;
    }
    return needed;
}

/* The inputs that aren't given; each must be optional. */
static const char **absent_inputs(Session *s, const SessionCompile *c, int *n)
{
    const char **absent = NEW_N(s->arena, const char *, s->inputs.n + 1);
    *n = 0;
    for (int i = 0; i < s->inputs.n; i++) {
        const ValueInfo *in = &s->inputs.v[i];
        if (is_given(c, in->name)) continue;
        if (!in->optional)
            diag_fail(s->diag, "model %s needs the input %s", s->program->model, in->text);
        absent[(*n)++] = in->name;
    }
    return absent;
}

static void check_outputs(Session *s, const SessionCompile *c, const Program *p)
{
    for (int k = 0; c->want_grad && k < p->missing.n; k++)
        if (!strcmp(p->missing.v[k].output, "loss"))
            diag_fail(s->diag, "a gradient is one of `loss`, which needs the input `%s`\n"
                               "and that isn't given", p->missing.v[k].input);
    for (int i = 0; i < c->noutputs; i++)
        for (int k = 0; k < p->missing.n; k++)
            if (!strcmp(c->outputs[i], p->missing.v[k].output))
                diag_fail(s->diag, "output `%s` needs the input `%s`, which isn't given",
                          c->outputs[i], p->missing.v[k].input);
}

/* Reports are outputs: where some outputs are wanted, they are wanted as well. */
static void add_reports(Session *s, const Program *p, CompileOptions *o)
{
    const char **names = NEW_N(s->arena, const char *, o->noutputs + p->reports.n + 1);
    int n = 0;
    for (; n < o->noutputs; n++) names[n] = o->outputs[n];
    for (int i = 0; i < p->reports.n; i++) names[n++] = p->reports.v[i].output;
    o->outputs = names;
    o->noutputs = n;
}

/* A free dimension that no shape tells is an absent input's. */
static const int64_t *check_shapes(Session *s, const SessionCompile *c, Graph *g)
{
    GivenShape *given = NEW_N(s->arena, GivenShape, c->nshapes + 1);
    int64_t *dims = NEW_N(s->arena, int64_t, g->syms.n + 1);
    int n = 0;
    for (int i = 0; i < c->nshapes; i++)
        for (int k = 0; k < g->inputs.n; k++)
            if (!strcmp(g->inputs.v[k].name, c->shapes[i].name))
                given[n++] = (GivenShape){c->shapes[i].name, node_shape(g, g->inputs.v[k].node),
                                          c->shapes[i].rank, c->shapes[i].shape};
    shapes_solve(g, s->arena, given, n, dims);
    for (int i = 0; i < g->syms.n; i++)
        if (!dims[i]) dims[i] = 1;
    shapes_check(g, s->arena, dims);
    return dims;
}

Executable *session_compile(Session *s, const SessionCompile *c)
{
    check_given(s, c);
    int nabsent;
    const char **absent = absent_inputs(s, c, &nabsent);
    CompileOptions o = s->options.compile;
    o.want_grad = c->want_grad;
    o.outputs = c->outputs;
    o.noutputs = c->noutputs;
    o.hint_name = c->size_names;
    o.hint_value = c->sizes;
    o.nhint = c->nsizes;

    Executable **keep = c->training ? &s->train : &s->eval;
    if (*keep) exec_free(*keep);
    *keep = NULL;
    Program *p = load(s, c->training, c->reports, absent, nabsent);
    vec_push(s->arena, &s->compiled, p);
    check_outputs(s, c, p);
    if (c->nshapes) o.dims = check_shapes(s, c, p->graph);
    if (c->outputs) add_reports(s, p, &o);
    *keep = exec_compile(s->diag, p, s->store, &o);
    return *keep;
}

/* ---- token models ---- */

static bool is_tokens(const ValueInfo *in)
{
    return in && in->dt == DT_INT && in->rank == 2 && !in->shape[0] && !in->shape[1];
}

/* A mask over the two axes of `ids`, if the model has it. */
static bool is_mask(const ValueInfo *in, const ValueInfo *ids)
{
    return !in || (in->dt == DT_BOOL && in->rank == 2 && !strcmp(in->dim[0], ids->dim[0]) &&
                   !strcmp(in->dim[1], ids->dim[1]));
}

bool session_takes_pairs(const Session *s)
{
    static const char *const own[] = {"src", "tgt", "src_mask", "tgt_mask"};
    const ValueInfo *src = session_input(s, "src"), *tgt = session_input(s, "tgt");
    if (!is_tokens(src) || !is_tokens(tgt)) return false;
    for (int i = 0; i < s->inputs.n; i++) {
        bool other = !s->inputs.v[i].optional;
        for (int k = 0; k < COUNT(own); k++)
            if (!strcmp(s->inputs.v[i].name, own[k])) other = false;
        if (other) return false;
    }
    return !strcmp(src->dim[0], tgt->dim[0]) && strcmp(src->dim[1], tgt->dim[1]) != 0 &&
           is_mask(session_input(s, "src_mask"), src) && is_mask(session_input(s, "tgt_mask"), tgt);
}

void session_require_tokens(Session *s, bool targets)
{
    const char *what = targets ? "x[batch, time]: int and targets[batch, time]: int"
                               : "x[batch, time]: int";
    bool fits = is_tokens(session_input(s, "x"));
    if (targets) fits = fits && is_tokens(session_input(s, "targets"));
    for (int i = 0; i < s->inputs.n; i++) {
        const ValueInfo *in = &s->inputs.v[i];
        if (!in->optional && strcmp(in->name, "x") && strcmp(in->name, "targets")) fits = false;
    }
    if (!fits)
        diag_fail(s->diag, "text can't be fed to model %s\nneeded: %s; all other inputs optional\n"
                           "or for pairs: src[batch, source]: int and tgt[batch, time]: int\n"
                           "found: %s\nhint: `rtc run` takes any inputs from a safetensors file",
                  s->program->model, what, inputs_text(s));
    const char *output = targets ? "loss" : "logits";
    if (!session_has_output(s, output))
        diag_fail(s->diag, "model %s returns no `%s`", s->program->model, output);
}

Executable *session_compile_tokens(Session *s, bool training, int64_t batch, int64_t time)
{
    session_require_tokens(s, true);
    const char *const given[] = {"x", "targets"};
    const char *const outputs[] = {"loss", "aux_loss"};
    const char *const *names = session_input(s, "x")->dim;
    int64_t sizes[] = {batch, time};
    InputShape shapes[] = {{"x", 2, sizes}, {"targets", 2, sizes}};
    return session_compile(s, &(SessionCompile){
        .training = training, .want_grad = training, .reports = !training,
        .given = given, .ngiven = 2, .shapes = shapes, .nshapes = 2,
        .outputs = outputs, .noutputs = session_has_output(s, "aux_loss") ? 2 : 1,
        .sizes = sizes, .size_names = names, .nsizes = 2});
}

Executable *session_compile_logits(Session *s, int64_t time)
{
    session_require_tokens(s, false);
    const char *const given[] = {"x"};
    const char *const outputs[] = {"logits"};
    const char *const *names = session_input(s, "x")->dim;
    int64_t sizes[] = {1, time};
    return session_compile(s, &(SessionCompile){.given = given, .ngiven = 1, .outputs = outputs,
                                                .noutputs = 1, .sizes = sizes,
                                                .size_names = names, .nsizes = 2});
}

Instance *session_instance(Session *s, Executable *e, int64_t batch, int64_t time, bool targets)
{
    int64_t shape[] = {batch, time};
    InputShape in[] = {{"x", 2, shape}, {"targets", 2, shape}};
    int64_t *dims = NEW_N(s->arena, int64_t, exec_ndims(e) + 1);
    exec_solve(e, in, targets ? 2 : 1, dims);
    return exec_instance(e, dims);
}

double session_scalar(Instance *in, const char *name, double otherwise)
{
    Value v;
    if (!exec_output(in, name, &v)) return otherwise;
    return v.dt == DT_FLOAT ? *(const float *)v.data : *(const int32_t *)v.data;
}

const float *session_logits(Session *s, Instance *in, int64_t row, int64_t position, int *tokens)
{
    Value v;
    if (!exec_output(in, "logits", &v))
        diag_fail(s->diag, "model %s returns no `logits`", s->program->model);
    if (v.dt != DT_FLOAT || v.rank != 3 || row >= v.shape[0] || position >= v.shape[1])
        diag_fail(s->diag, "`logits` of model %s isn't [batch, time, tokens]: float",
                  s->program->model);
    *tokens = (int)v.shape[2];
    return (const float *)v.data + (row * v.shape[1] + position) * v.shape[2];
}
