/* compile.c: a program becomes an executable: absent inputs, passes, plan, device. Contract:
 * exec.h, compile.h. */
#include <math.h>
#include <sched.h>

#include "runtime/compile.h"
#include "runtime/memory.h"

/* ---- inputs that will not be given ---- */

typedef struct {
    const CompileOptions *o;
    Graph *g;
} Absent;

static bool is_absent(const CompileOptions *o, const char *name)
{
    for (int i = 0; i < o->nabsent; i++)
        if (!strcmp(o->absent[i], name)) return true;
    return false;
}

static const Named *input_of(const Graph *g, const Node *n)
{
    for (int i = 0; i < g->inputs.n; i++)
        if (!strcmp(g->inputs.v[i].name, n->attr.leaf.name)) return &g->inputs.v[i];
    return NULL;
}

static Edge fill_absent(void *ctx, Graph *g, const Node *old, const Edge *args)
{
    const Absent *a = ctx;
    if (old->op == OP_input && is_absent(a->o, old->attr.leaf.name)) {
        const Named *in = input_of(g, old);
        if (in && !isnan(in->fill))
            return old->dt == DT_FLOAT ? graph_float(g, in->fill)
                   : old->dt == DT_INT ? graph_int(g, (int32_t)in->fill)
                                       : graph_bool(g, in->fill != 0);
    }
    return graph_renew(g, old, args);
}

typedef struct {
    Graph *g;
    const CompileOptions *o;
    char *seen;
    const char *found;
} Reach;

static void reach_absent(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Reach *r = ctx;
    if (r->found || r->seen[e.node->id]) return;
    r->seen[e.node->id] = 1;
    if (e.node->op == OP_input && is_absent(r->o, e.node->attr.leaf.name))
        r->found = e.node->attr.leaf.name;
    node_reads(e.node, reach_absent, r);
}

static const char *reads_absent(Arena *a, Graph *g, const CompileOptions *o, Edge e)
{
    Reach r = {g, o, NEW_N(a, char, g->nodes.n + 1), NULL};
    reach_absent(&r, e, false);
    return r.found;
}

/* Optional inputs take their fill; what reads an input without one isn't computed, and an error if
 * it was asked for. */
static void drop_absent(Executable *e, Graph *g, const CompileOptions *o)
{
    Absent ctx = {o, g};
    graph_rewrite(g, fill_absent, &ctx);
    int kept = 0;
    for (int i = 0; i < g->roots.n; i++) {
        Root r = g->roots.v[i];
        const char *input = reads_absent(e->arena, g, o, r.e);
        if (!input) {
            g->roots.v[kept++] = r;
            continue;
        }
        for (int k = 0; k < o->noutputs; k++)
            if (r.kind == ROOT_OUTPUT && !strcmp(o->outputs[k], r.name))
                diag_fail(e->diag, "output `%s` needs the input `%s`, which isn't given", r.name,
                          input);
    }
    g->roots.n = kept;
    kept = 0;
    for (int i = 0; i < g->checks.n; i++) {
        Check c = g->checks.v[i];
        if (!c.e.node || !reads_absent(e->arena, g, o, c.e)) g->checks.v[kept++] = c;
    }
    g->checks.n = kept;
}

/* ---- inputs that the program reads ---- */

static void mark_inputs(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Reach *r = ctx;
    if (r->seen[e.node->id]) return;
    r->seen[e.node->id] = 1;
    node_reads(e.node, mark_inputs, r);
}

static void find_inputs(Executable *e)
{
    Graph *g = e->unit->graph;
    Reach r = {g, NULL, NEW_N(e->arena, char, g->nodes.n + 1), NULL};
    for (int i = 0; i < g->roots.n; i++) mark_inputs(&r, g->roots.v[i].e, false);
    for (int i = 0; i < g->checks.n; i++)
        if (g->checks.v[i].e.node) mark_inputs(&r, g->checks.v[i].e, false);
    e->input = NEW_N(e->arena, InputInfo, g->inputs.n + 1);
    for (int i = 0; i < g->inputs.n; i++) {
        const Named *in = &g->inputs.v[i];
        if (r.seen[in->node->id])
            e->input[e->ninput++] =
                (InputInfo){in->name, in->node, in->node->dt, in->node->space, in->optional};
    }
}

/* ---- the road ---- */

const Device *device_find(Diag *d, const char *name)
{
    static const Device *const all[] = {&device_cpu, &device_eval};
    static const char *const names[] = {"cpu", "eval"};
    if (!name) return all[0];
    for (int i = 0; i < COUNT(all); i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    const char *near = nearest_word(name, names, COUNT(names));
    diag_fail(d, "no device `%s`\nexpected: cpu or eval%s%s%s", name,
              near ? "\nhint: did you mean `" : "", near ? near : "", near ? "`?" : "");
}

static Unit *unit_new(Executable *e, const CompileOptions *o)
{
    Unit *u = NEW(e->arena, Unit);
    Graph *g = e->program->graph;
    *u = (Unit){.diag = e->diag,
                .arena = e->arena,
                .graph = g,
                .registry = o->registry,
                .want_grad = o->want_grad,
                .outputs = o->outputs,
                .noutputs = o->noutputs,
                .hint_default = o->hint_default ? o->hint_default : 1024,
                .verify_each = o->verify_each,
                .dump_after = o->dump_after,
                .dump = o->dump,
                .dump_ctx = o->dump_ctx};
    int64_t *hint = NEW_N(e->arena, int64_t, g->syms.n + 1);
    for (int i = 0; i < g->syms.n; i++)
        for (int k = 0; k < o->nhint; k++)
            if (!strcmp(g->syms.v[i].name, o->hint_name[k])) hint[i] = o->hint_value[k];
    for (int i = 0; i < g->syms.n; i++)
        if (!hint[i]) hint[i] = u->hint_default;
    u->hint = hint;
    return u;
}

static int cpus_here(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n;
}

/* A pipeline of the user's own must still make what is asked for. */
static void check_pipeline(const Executable *e, const CompileOptions *o, const char *pipeline)
{
    if (e->device->planned && !e->unit->groups)
        diag_fail(e->diag, "the pipeline `%s` makes no groups, which the %s device needs\n"
                           "hint: end it with `group` or `group-none`", pipeline, e->device->name);
    bool grads = false;
    for (int i = 0; i < e->unit->graph->roots.n; i++)
        grads |= e->unit->graph->roots.v[i].kind == ROOT_GRAD;
    if (o->want_grad && !grads && graph_find_root(e->unit->graph, ROOT_OUTPUT, "loss") && e->unit->graph->params.n)
        diag_fail(e->diag, "the pipeline `%s` makes no gradients, which were asked for\n"
                           "hint: begin it with `simplify,grad`", pipeline);
}

static void require_room(Executable *e, const CompileOptions *o)
{
    double bytes = exec_needs(e, o->dims);
    if (bytes <= memory_available()) return;
    Str what = {.arena = e->arena};
    str_add(&what, "a run");
    for (int i = 0; i < exec_ndims(e); i++)
        str_printf(&what, "%s%s = %lld", i ? ", " : " with ", exec_dim_name(e, i),
                   (long long)o->dims[i]);
    const char *advice = o->advice ? o->advice(o->advice_ctx, e) : NULL;
    memory_require(e->diag, bytes, what.s, advice ? advice : "hint: smaller sizes need less");
}

Executable *exec_compile(Diag *d, Program *p, Store *s, const CompileOptions *o)
{
    double begin = seconds_now();
    const Device *device = device_find(d, o->device);
    Arena *a = arena_new();
    if (!a) diag_oom(d);
    arena_on_oom(a, diag_oom, d);
    Executable *e = NEW(a, Executable);
    *e = (Executable){.diag = d,
                      .arena = a,
                      .program = p,
                      .store = s,
                      .device = device,
                      .threads = o->threads > 0 ? o->threads : cpus_here()};
    diag_defer(d, (void (*)(void *))exec_free, e);
    if (o->progress) o->progress(o->progress_ctx, 0, 0, 0);
    if (o->nabsent) drop_absent(e, p->graph, o);
    e->unit = unit_new(e, o);
    const char *pipeline = o->pipeline           ? o->pipeline
                           : e->device->pipeline ? e->device->pipeline
                                                 : pipeline_default;
    pipeline_run(e->unit, pipeline);
    check_pipeline(e, o, pipeline);
    if (e->device->planned) e->plan = plan_make(e->unit);
    find_inputs(e);
    if (o->want_grad && s) store_want_grad(s);
    if (e->plan) e->kernels = e->plan->kernels.n;
    if (o->dims) require_room(e, o);
    e->device->prepare(e, o);
    if (o->progress) o->progress(o->progress_ctx, 1, 1, e->kernels);
    diag_undefer(d);
    e->compile_seconds = seconds_now() - begin;
    return e;
}

void exec_free(Executable *e)
{
    if (!e) return;
    if (e->device->drop) e->device->drop(e);
    arena_free(e->arena);
}
