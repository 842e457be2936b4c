/* trial.c: see trial.h. */
#include <stdlib.h>
#include "ir/philox.h"
#include "runtime/trial.h"

/* ---- ranges ---- */

typedef struct {
    const Node *leaf;
    signed char *known;              /* by node id: 0 unknown, 1 depends on leaf, -1 doesn't */
    bool found;
} Search;

static bool depends(Search *s, const Node *n);

static void visit(void *ctx, Edge e, bool as_index)
{
    Search *s = ctx;
    (void)as_index;
    if (!s->found && depends(s, e.node)) s->found = true;
}

static bool depends(Search *s, const Node *n)
{
    if (n == s->leaf) return true;
    if (s->known[n->id]) return s->known[n->id] > 0;
    Search inner = {.leaf = s->leaf, .known = s->known};
    node_reads(n, visit, &inner);
    s->known[n->id] = inner.found ? 1 : -1;
    return inner.found;
}

int64_t trial_range(Graph *g, const Node *leaf, const int64_t *syms)
{
    int64_t least = 0;
    Search s = {.leaf = leaf, .known = calloc((size_t)g->nodes.n + 1, 1)};
    if (!s.known) diag_oom(g->diag);
    for (int i = 0; i < g->checks.n; i++) {
        const Check *c = &g->checks.v[i];
        if (c->kind != CHECK_RANGE || !depends(&s, c->e.node)) continue;
        int64_t range = ix_eval(c->ix, &(IxEnv){.syms = syms});
        if (range > 0 && (!least || range < least)) least = range;
    }
    free(s.known);
    return least ? least : 2;
}

/* ---- values ---- */

void trial_fill(const char *name, DType dt, int64_t range, uint64_t seed, int64_t count, void *out)
{
    uint64_t key = hash_mix(hash_str(name), seed);
    for (int64_t i = 0; i < count; i++) {
        uint32_t w = philox(key, (uint32_t)i, (uint32_t)(i >> 32), 0, 0).w[0];
        if (dt == DT_FLOAT) ((float *)out)[i] = (2 * philox_float(w) - 1) * 1.7320508f;
        else if (dt == DT_INT) ((int32_t *)out)[i] = (int32_t)philox_below(w, (uint32_t)range);
        else ((uint8_t *)out)[i] = w >> 28 != 0;
    }
}

/* ---- sizes ---- */

static bool is_first_axis(const Graph *g, int sym)
{
    for (int i = 0; i < g->inputs.n; i++) {
        const Node *n = g->inputs.v[i].node;
        if (!n->rank) continue;
        const Ix *e = n->space->ext[0];
        if (e->nterm == 1 && !e->c && e->t[0].n == 1 && e->t[0].f[0]->kind == AT_SYM &&
            e->t[0].f[0]->id == sym)
            return true;
    }
    return false;
}

static int find_sym(Graph *g, const char *name, size_t n)
{
    for (int i = 0; i < g->syms.n; i++)
        if (strlen(g->syms.v[i].name) == n && !strncmp(g->syms.v[i].name, name, n)) return i;
    return -1;
}

int64_t *trial_sizes(Diag *d, Arena *a, Graph *g, OptionValues sizes_given, int64_t otherwise)
{
    const char *const *given = sizes_given.v;
    int64_t *sizes = NEW_N(a, int64_t, g->syms.n + 1);
    for (int i = 0; i < g->syms.n; i++) sizes[i] = is_first_axis(g, i) ? 1 : otherwise;
    for (int i = 0; i < sizes_given.n; i++) {
        const char *equals = strchr(given[i], '=');
        if (!equals) diag_fail_status(d, 2, "--size takes NAME=N, got `%s`", given[i]);
        int sym = find_sym(g, given[i], (size_t)(equals - given[i]));
        char *end;
        long long value = strtoll(equals + 1, &end, 10);
        if (sym < 0) {
            Str names = {.arena = a};
            for (int k = 0; k < g->syms.n; k++)
                str_printf(&names, "%s%s", k ? ", " : "", g->syms.v[k].name);
            diag_fail(d, "the model has no free dimension `%.*s`\nits free dimensions: %s",
                      (int)(equals - given[i]), given[i], names.s ? names.s : "none");
        }
        if (*end || end == equals + 1 || value < 1 || value >= 1ll << 31)
            diag_fail(d, "--size %s: a size is a number from 1 to 2147483647", given[i]);
        sizes[sym] = value;
    }
    return sizes;
}

/* ---- a whole instance ---- */

Instance *trial_instance(Session *s, Executable *e, OptionValues given, int64_t otherwise,
                         uint64_t seed)
{
    Graph *g = s->program->graph;        /* as loaded: its symbols by name, its checks */
    int64_t *sizes = trial_sizes(s->diag, s->arena, g, given, otherwise);
    int64_t *dims = NEW_N(s->arena, int64_t, exec_ndims(e) + 1);
    for (int i = 0; i < exec_ndims(e); i++) {
        const char *name = exec_dim_name(e, i);
        int sym = find_sym(g, name, strlen(name));
        dims[i] = sym < 0 ? 1 : sizes[sym];
    }
    Instance *in = exec_instance(e, dims);
    for (int i = 0; i < exec_ninputs(e); i++) {
        DType dt;
        bool optional;
        int64_t count, range = 2;
        const char *name = exec_input_name(e, i, &dt, &optional);
        void *data = exec_input_data(in, name, &dt, &count);
        for (int k = 0; k < g->inputs.n; k++)
            if (dt == DT_INT && !strcmp(g->inputs.v[k].name, name))
                range = trial_range(g, g->inputs.v[k].node, sizes);
        trial_fill(name, dt, range, seed, count, data);
    }
    return in;
}
