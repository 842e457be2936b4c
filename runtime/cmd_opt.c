/* cmd_opt.c: `rtc opt`: the pass laboratory. IR in, passes, IR out.
 *
 * --bisect looks for the first rewrite after which the program's values differ from those of the
 * program without any, by halving the number of rewrites that are allowed; both are computed by
 * the reference evaluator on random inputs of small sizes.
 */
#include <jansson.h>
#include <math.h>
#include "runtime/command.h"
#include "runtime/file.h"
#include "runtime/memory.h"
#include "runtime/trial.h"

/* of free dimensions that --size doesn't name: to group for, and to bisect with */
enum { LARGEST_IR = 1 << 30, OTHERWISE_SIZE = 1024, BISECT_SIZE = 16 };

/* ---- the program ---- */

typedef struct {
    Command *c;
    const char *path;
    bool ir;                         /* a .ir file; else a model */
    PassRegistry registry;           /* of --load */
} Source;

static bool has_suffix(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

static void release_graph(void *g) { graph_free(g); }
static void release_program(void *p) { program_free(p); }

/* A new graph each time, because passes rewrite it. */
static Graph *load(const Source *s)
{
    Diag *d = s->c->diag;
    if (s->ir) {
        size_t bytes;
        char *text = file_read(d, s->c->arena, s->path, LARGEST_IR, &bytes);
        Graph *g = graph_parse(d, diag_source(d, s->path, text, bytes));
        command_keep(s->c, release_graph, g);
        return g;
    }
    SessionOptions o = command_session(s->c, s->path);
    Program *p = program_load(d, &(LoadOptions){.path = s->path, .library = o.library,
                                                .set = o.set, .nset = o.nset, .training = true});
    command_keep(s->c, release_program, p);
    return p->graph;
}

static Unit *unit_for(const Source *s, Graph *g)
{
    Unit *u = NEW(s->c->arena, Unit);
    u->diag = s->c->diag;
    u->arena = s->c->arena;
    u->graph = g;
    u->registry = &s->registry;
    u->want_grad = graph_find_root(g, ROOT_OUTPUT, "loss") != NULL;
    u->hint_default = OTHERWISE_SIZE;
    u->hint = trial_sizes(u->diag, u->arena, g, options_values(s->c->options, OPTION_size),
                          OTHERWISE_SIZE);
    u->verify_each = options_given(s->c->options, OPTION_verify_each);
    return u;
}

static Unit *run_passes(const Source *s, const char *pipeline, int64_t budget)
{
    Graph *g = load(s);
    g->budget = budget;
    Unit *u = unit_for(s, g);
    SessionOptions o = command_session(s->c, s->path);
    u->dump_after = o.compile.dump_after;
    u->dump = o.compile.dump;
    u->dump_ctx = o.compile.dump_ctx;
    pipeline_run(u, pipeline);
    return u;
}

static int64_t rewrites_of(const Graph *g)
{
    int64_t n = 0;
    for (int r = 0; r < RW_COUNT; r++) n += g->hits[r];
    return n;
}

/* ---- bisecting ---- */

typedef struct {
    RootKind kind;
    const char *name;
    Tensor value;
} Computed;
typedef VEC(Computed) Values;

static void set_leaves(Command *c, Eval *ev, Graph *g, const Named *v, int n, const int64_t *sizes)
{
    for (int i = 0; i < n; i++) {
        Node *leaf = v[i].node;
        Tensor t = {.dt = leaf->dt, .rank = leaf->rank, .count = 1};
        for (int k = 0; k < leaf->rank; k++) {
            t.shape[k] = ix_eval(leaf->space->ext[k], &(IxEnv){.syms = sizes});
            t.count *= t.shape[k];
        }
        int64_t range = leaf->dt == DT_INT ? trial_range(g, leaf, sizes) : 2;
        size_t size = leaf->dt == DT_BOOL ? 1 : 4;
        void *data = arena_alloc(c->arena, (size_t)t.count * size + 1);
        trial_fill(v[i].name, leaf->dt, range, command_seed(c), t.count, data);
        t.data = data;
        if (leaf->dt == DT_FLOAT) {          /* the evaluator stores doubles */
            double *wide = NEW_N(c->arena, double, t.count + 1);
            for (int64_t k = 0; k < t.count; k++) wide[k] = ((float *)data)[k];
            t.data = wide;
        }
        eval_set(ev, leaf, &t);
    }
}

static Values compute(const Source *s, Graph *g)
{
    Command *c = s->c;
    OptionValues given = options_values(c->options, OPTION_size);
    int64_t *sizes = trial_sizes(c->diag, c->arena, g, given, BISECT_SIZE);
    Eval *ev = eval_new(g, sizes, command_seed(c), 0, false);
    eval_limit(ev, memory_available());
    set_leaves(c, ev, g, g->inputs.v, g->inputs.n, sizes);
    set_leaves(c, ev, g, g->params.v, g->params.n, sizes);
    set_leaves(c, ev, g, g->states.v, g->states.n, sizes);
    eval_checks(ev);
    Values all = {0};
    for (int i = 0; i < g->roots.n; i++) {
        const Root *r = &g->roots.v[i];
        Tensor t = eval_edge(ev, r->e, r->space);
        size_t size = t.dt == DT_FLOAT ? 8 : t.dt == DT_INT ? 4 : 1;
        t.data = arena_copy(c->arena, t.data, (size_t)t.count * size);
        vec_push(c->arena, &all, (Computed){r->kind, arena_strdup(c->arena, r->name), t});
    }
    eval_free(ev);
    return all;
}

static double element(const Tensor *t, int64_t i)
{
    return t->dt == DT_FLOAT ? ((double *)t->data)[i]
           : t->dt == DT_INT ? ((int32_t *)t->data)[i]
                             : ((uint8_t *)t->data)[i];
}

/* The name of the first root whose values differ by more than rounding; NULL: none. */
static const char *difference(const Values *a, const Values *b)
{
    for (int i = 0; i < a->n; i++) {
        const Computed *x = &a->v[i], *y = NULL;
        for (int k = 0; k < b->n && !y; k++)
            if (b->v[k].kind == x->kind && !strcmp(b->v[k].name, x->name)) y = &b->v[k];
        if (!y) continue;
        double scale = 0;
        for (int64_t k = 0; k < x->value.count; k++)
            scale = fmax(scale, fabs(element(&x->value, k)));
        for (int64_t k = 0; k < x->value.count; k++) {
            double p = element(&x->value, k), q = element(&y->value, k);
            bool same = (isnan(p) && isnan(q)) || fabs(p - q) <= 1e-6 * (scale + 1e-12);
            if (!same) return x->name;
        }
    }
    return NULL;
}

static int bisect(const Source *s, const char *pipeline)
{
    Values base = compute(s, run_passes(s, pipeline, 0)->graph);
    Graph *plain = load(s), *full = run_passes(s, pipeline, -1)->graph;
    int64_t before = rewrites_of(plain), total = rewrites_of(full) - before;
    Values all = compute(s, full);
    const char *name = difference(&base, &all);
    if (!name) {
        printf("none of %lld rewrites changes a value\n", (long long)total);
        return 0;
    }
    int64_t good = 0, bad = total;
    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;
        Values some = compute(s, run_passes(s, pipeline, middle)->graph);
        const char *differs = difference(&base, &some);
        if (differs) {
            bad = middle;
            name = differs;
        } else {
            good = middle;
        }
    }
    Graph *last = run_passes(s, pipeline, bad)->graph;
    Graph *prior = run_passes(s, pipeline, good)->graph;
    for (int r = 0; r < RW_COUNT; r++)
        if (last->hits[r] > prior->hits[r])
            printf("rewrite %lld of %lld, %s (%s), changes `%s`\n", (long long)bad,
                   (long long)total, rewrite_name[r], rewrite_text[r], name);
    return 1;
}

/* ---- the command ---- */

static void list_pass(Command *c, json_t *list, const Pass *p)
{
    if (c->json)
        json_array_append_new(list, json_pack("{ss ss}", "name", p->name, "what", p->what));
    else
        printf("%-12s %s\n", p->name, p->what);
}

static int list_passes(Command *c, const PassRegistry *r)
{
    json_t *list = json_array();
    for (int i = 0; i < pass_count; i++) list_pass(c, list, &pass_table[i]);
    for (int i = 0; i < r->plugins.n; i++)
        for (const Pass *p = r->plugins.v[i]; p->name; p++) list_pass(c, list, p);
    if (c->json) {
        print_json(c, list);
        return 0;
    }
    json_decref(list);
    printf("\nusual pipeline: %s\n\nrewrites\n", pipeline_default);
    for (int r = 0; r < RW_COUNT; r++) printf("%-20s %s\n", rewrite_name[r], rewrite_text[r]);
    return 0;
}

static void print_stats(Command *c, const Unit *u)
{
    print_passes(u);
    if (!c->verbose) return;
    for (int r = 0; r < RW_COUNT; r++)
        if (u->graph->hits[r])
            fprintf(stderr, "%-20s %8lld\n", rewrite_name[r], (long long)u->graph->hits[r]);
}

static void print_json_stats(Command *c, const Unit *u)
{
    json_t *passes = json_array(), *rewritten = json_object();
    for (int i = 0; i < u->stats.n; i++) {
        const PassStat *p = &u->stats.v[i];
        json_array_append_new(passes, json_pack(
            "{ss sf si si sI}", "name", p->name, "seconds", p->seconds, "nodes_before",
            p->nodes_before, "nodes_after", p->nodes_after, "rewrites",
            (json_int_t)p->rewrites));
    }
    for (int r = 0; r < RW_COUNT; r++)
        if (u->graph->hits[r])
            json_object_set_new(rewritten, rewrite_name[r], json_integer(u->graph->hits[r]));
    print_json(c, json_pack("{so so}", "passes", passes, "rewrites", rewritten));
}

/* What the table of options can't say. */
static void check_usage(Command *c)
{
    const Options *o = c->options;
    bool list = options_given(o, OPTION_list);
    if (!list && !o->narguments)
        diag_fail_status(c->diag, 2, "opt needs FILE.rt or FILE.ir, or --list");
    if (list && o->narguments)
        diag_fail_status(c->diag, 2, "--list lists the passes: %s has no effect with it",
                         o->arguments[0]);
    if (c->json && options_given(o, OPTION_stats) && !options_given(o, OPTION_opt_output))
        diag_fail_status(c->diag, 2, "--stats --json needs --output: both the program and the "
                                     "statistics would go to standard output");
}

static void find_source(Source *s)
{
    const char *path = s->c->options->arguments[0];
    s->ir = has_suffix(path, ".ir");
    s->path = s->ir ? path : command_model(s->c, path);
    if (s->ir && options_given(s->c->options, OPTION_set))
        diag_fail_status(s->c->diag, 2, "--set has no effect on %s: a graph has no options left\n"
                         "hint: set them where it is made: rtc opt MODEL.rt --set %s -o %s", path,
                         options_text(s->c->options, OPTION_set), path);
}

int cmd_opt(Command *c)
{
    const Options *o = c->options;
    Source s = {.c = c, .registry.arena = c->arena};
    check_usage(c);
    if (options_given(o, OPTION_load))
        pipeline_load(c->diag, &s.registry, options_text(o, OPTION_load));
    if (options_given(o, OPTION_list)) return list_passes(c, &s.registry);
    find_source(&s);
    const char *pipeline = options_text(o, OPTION_pipeline);
    if (options_given(o, OPTION_bisect)) return bisect(&s, pipeline ? pipeline : pipeline_default);
    Unit *u = pipeline ? run_passes(&s, pipeline, -1) : unit_for(&s, load(&s));
    if (options_given(o, OPTION_verify_each)) graph_verify(u->graph, "the end");
    Str text = {.arena = c->arena};
    graph_print(u->graph, &text);
    const char *out = options_text(o, OPTION_opt_output);
    if (out) file_save(c->diag, out, text.s, text.n);
    else fwrite(text.s, 1, text.n, stdout);
    if (options_given(o, OPTION_stats) && c->json) print_json_stats(c, u);
    else if (options_given(o, OPTION_stats) || c->verbose) print_stats(c, u);
    return 0;
}
