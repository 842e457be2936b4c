/* pipeline.c: the table of passes, and the driver that runs a list of them given as text.
 *
 *     "simplify,grad,simplify,dce,contract,group"
 *
 * The whole text is checked before anything runs. Around every pass the driver times it, counts
 * nodes and rewrites, verifies (verify_each) and dumps (dump_after). Passes of plugins, from the
 * registry of the compilation, are looked up after our own.
 */
#include <dlfcn.h>
#include <time.h>
#include "passes/grad.h"
#include "passes/passes.h"

void pass_grad(Unit *u)
{
    if (u->want_grad) graph_grad(u->graph);
}

const Pass pass_table[] = {
    {"simplify", "rebuild through the constructors, so that identities meet new neighbours",
     pass_simplify, 0, HAS_CONTRACT | HAS_GROUPS, 0},
    {"grad", "add the gradient of `loss` by every parameter and float input", pass_grad, 0,
     HAS_GRAD | HAS_CONTRACT | HAS_GROUPS, HAS_GRAD},
    {"dce", "drop what no root reaches, and outputs that nobody asked for", pass_dce, 0, HAS_GROUPS,
     0},
    {"split", "make sums with few results into two sums, so that every core has work", pass_split,
     0, HAS_CONTRACT | HAS_GROUPS, 0},
    {"digits", "split axes that are read through quotients and remainders", pass_digits, 0,
     HAS_CONTRACT | HAS_GROUPS, 0},
    {"recompute", "compute scores of attention again where they would have to be stored",
     pass_recompute, 0, HAS_CONTRACT | HAS_GROUPS, 0},
    {"contract", "prepare products for the library: operands become stored tensors", pass_contract,
     0, HAS_CONTRACT | HAS_GROUPS, HAS_CONTRACT},
    {"group", "decide what is stored and what is computed together", pass_group, HAS_CONTRACT,
     HAS_GROUPS, HAS_GROUPS},
    {"group-none", "store everything, one loop nest per node: the unfused program", pass_group_none,
     0, HAS_GROUPS, HAS_GROUPS},
};
const int pass_count = COUNT(pass_table);
const char *const pipeline_default = "simplify,dce,grad,simplify,dce,digits,split,recompute,contract,group";

/* ---- plugins ---- */

void pipeline_load(Diag *d, PassRegistry *r, const char *so_path)
{
    /* without a slash, dlopen would look among the system's libraries */
    void *so = dlopen(strchr(so_path, '/') ? so_path : arena_printf(r->arena, "./%s", so_path),
                      RTLD_NOW | RTLD_LOCAL);
    if (!so) diag_fail(d, "can't load the plugin: %s", dlerror());
    const Pass *passes = dlsym(so, "rtc_passes");
    if (!passes) diag_fail(d, "%s has no `const Pass rtc_passes[]`", so_path);
    for (int i = 0; i < r->plugins.n; i++)
        if (r->plugins.v[i] == passes) return;
    vec_push(r->arena, &r->plugins, passes);
}

typedef VEC(const Pass *) PassList;

/* Our own, then those of plugins in the order of loading. */
static PassList all_passes(const Unit *u)
{
    PassList all = {0};
    for (int i = 0; i < pass_count; i++) vec_push(u->arena, &all, &pass_table[i]);
    for (int i = 0; u->registry && i < u->registry->plugins.n; i++)
        for (const Pass *row = u->registry->plugins.v[i]; row->name; row++)
            vec_push(u->arena, &all, row);
    return all;
}

static const Pass *pass_find(const PassList *all, const char *name)
{
    for (int i = 0; i < all->n; i++)
        if (strcmp(all->v[i]->name, name) == 0) return all->v[i];
    return NULL;
}

/* ---- the text ---- */

RTC_NORETURN static void unknown_pass(Unit *u, const PassList *passes, const char *name)
{
    VEC(const char *) names = {0};
    for (int i = 0; i < passes->n; i++) vec_push(u->arena, &names, passes->v[i]->name);
    const char *near = nearest_word(name, names.v, names.n);
    if (near) diag_fail(u->diag, "no pass `%s`\nhint: did you mean `%s`?", name, near);
    Str all = {.arena = u->arena};
    for (int i = 0; i < names.n; i++) str_printf(&all, " %s", names.v[i]);
    diag_fail(u->diag, "no pass `%s`\npasses:%s", name, all.s);
}

static PassList parse(Unit *u, const char *text)
{
    PassList all = all_passes(u), list = {0};
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ", \t\n");
        if (n) {
            const char *name = arena_strndup(u->arena, p, n);
            const Pass *pass = pass_find(&all, name);
            if (!pass) unknown_pass(u, &all, name);
            vec_push(u->arena, &list, pass);
        }
        p += n + (p[n] != 0);
    }
    return list;
}

static const char *state_text(Arena *a, unsigned state)
{
    static const char *const names[] = {"the gradient", "contractions", "groups"};
    Str s = {.arena = a};
    for (int i = 0; i < COUNT(names); i++)
        if (state >> i & 1) str_printf(&s, "%s%s", s.n ? ", " : "", names[i]);
    return s.s ? s.s : "";
}

static unsigned state_now(const Unit *u)
{
    unsigned state = (u->groups ? HAS_GROUPS : 0) | (u->graph->contracted ? HAS_CONTRACT : 0);
    for (int i = 0; i < u->graph->roots.n; i++)
        if (u->graph->roots.v[i].kind == ROOT_GRAD) state |= HAS_GRAD;
    return state;
}

static const char *maker_of(const PassList *list, int upto, unsigned state)
{
    for (int i = 0; i < upto; i++)
        if (list->v[i]->makes & state) return list->v[i]->name;
    return NULL;
}

static void check_order(Unit *u, const PassList *list)
{
    unsigned state = state_now(u);
    for (int i = 0; i < list->n; i++) {
        const Pass *p = list->v[i];
        unsigned missing = p->needs & ~state, broken = p->breaks & state;
        if (missing) {
            const char *maker = NULL;
            for (int k = 0; k < pass_count && !maker; k++)
                if (pass_table[k].makes & missing) maker = pass_table[k].name;
            diag_fail(u->diag, "pass `%s` needs %s%s%s%s", p->name, state_text(u->arena, missing),
                      maker ? ": put `" : "", maker ? maker : "", maker ? "` before it" : "");
        }
        if (broken) {
            const char *maker = maker_of(list, i, broken);
            if (maker)
                diag_fail(u->diag, "pass `%s` must come before `%s`: it would undo %s", p->name,
                          maker, state_text(u->arena, broken));
            diag_fail(u->diag, "pass `%s` can't run on a graph that has %s", p->name,
                      state_text(u->arena, broken));
        }
        state |= p->makes;
    }
}

/* ---- running ---- */

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int64_t rewrites(const Graph *g)
{
    int64_t n = 0;
    for (int r = 0; r < RW_COUNT; r++) n += g->hits[r];
    return n;
}

static void dump(Unit *u, const Pass *p)
{
    if (!u->dump_after || !u->dump) return;
    if (strcmp(u->dump_after, "all") != 0 && strcmp(u->dump_after, p->name) != 0) return;
    Str text = {.arena = u->arena};
    graph_print(u->graph, &text);
    u->dump(u->dump_ctx, p->name, text.s ? text.s : "");
}

static void dump_exists(Unit *u, const PassList *list)
{
    if (!u->dump_after || strcmp(u->dump_after, "all") == 0) return;
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->v[i]->name, u->dump_after) == 0) return;
    PassList all = all_passes(u);
    if (!pass_find(&all, u->dump_after)) unknown_pass(u, &all, u->dump_after);
    diag_fail(u->diag, "can't dump after `%s`: the pipeline doesn't run it", u->dump_after);
}

void pipeline_run(Unit *u, const char *pipeline)
{
    PassList list = parse(u, pipeline);
    check_order(u, &list);
    dump_exists(u, &list);
    for (int i = 0; i < list.n; i++) {
        const Pass *p = list.v[i];
        PassStat stat = {.name = p->name, .nodes_before = u->graph->nodes.n};
        int64_t before = rewrites(u->graph);
        double t = seconds_now();
        diag_poll(u->diag);
        p->run(u);
        if (p->makes & HAS_CONTRACT) u->graph->contracted = true;
        stat.seconds = seconds_now() - t;
        stat.nodes_after = u->graph->nodes.n;
        stat.rewrites = rewrites(u->graph) - before;
        vec_push(u->arena, &u->stats, stat);
        if (u->verify_each) graph_verify(u->graph, p->name);
        if (u->verify_each && u->groups) grouping_verify(u);
        dump(u, p);
    }
}
