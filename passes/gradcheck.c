/* gradcheck.c: gradients against differences of the loss, on the evaluator, in double.
 *
 *     (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h      off by about h^4 and by 1e-16 |f| / h
 *
 * What the program decides (int and bool nodes: routing, comparisons) is taken at the base point
 * and given to the perturbed evaluations, because that is what a gradient means here; else a step
 * over a tie would count as a mistake.
 */
#include <math.h>
#include "passes/grad.h"

static const double steps[] = {2e-4, 1e-5, 5e-7}; /* the next where one may have crossed a kink */

typedef struct {
    Graph *g;
    Arena *arena;
    const int64_t *syms;
    uint64_t random;
    Eval *base, *moved;
    const Root *loss;
    double *moved_to; /* room for the tensor that is perturbed */
    double value;     /* of the loss */
} Probe;

/* ---- random values ---- */

static uint64_t next_random(Probe *c) /* splitmix64 */
{
    uint64_t z = c->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}
static double uniform(Probe *c) { return (double)(next_random(c) >> 11) * 0x1p-53; }

static void reaches(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    bool *hit = ctx;
    hit[e.node->id] = true;
}

/* An int input stands where a check wants 0 <= e < ix for an e made of it: below the smallest such
 * ix. */
static int64_t int_limit(Probe *c, const Node *leaf)
{
    Graph *g = c->g;
    int64_t limit = INT32_MAX;
    IxEnv env = {.syms = c->syms};
    for (int i = 0; i < g->checks.n; i++) {
        const Check *q = &g->checks.v[i];
        if (q->kind != CHECK_RANGE) continue;
        bool *hit = NEW_N(c->arena, bool, g->nodes.n);
        hit[q->e.node->id] = true;
        for (int k = q->e.node->id; k > leaf->id; k--)
            if (hit[k]) node_reads(g->nodes.v[k], reaches, hit);
        int64_t ext = ix_eval(q->ix, &env);
        if (hit[leaf->id] && ext < limit) limit = ext;
    }
    return limit == INT32_MAX ? 3 : limit;
}

static Tensor random_tensor(Probe *c, const Node *n)
{
    Tensor t = {.dt = n->dt, .rank = n->rank, .count = 1};
    IxEnv env = {.syms = c->syms};
    for (int i = 0; i < n->rank; i++) t.count *= t.shape[i] = ix_eval(n->space->ext[i], &env);
    int64_t limit = n->dt == DT_INT ? int_limit(c, n) : 2;
    double *f = t.data = NEW_N(c->arena, double, t.count);
    for (int64_t i = 0; i < t.count; i++) {
        double u = uniform(c);
        if (n->dt == DT_FLOAT)
            f[i] = 2 * u - 1;
        else if (n->dt == DT_INT)
            ((int32_t *)t.data)[i] = (int32_t)(u * (double)limit);
        else
            ((uint8_t *)t.data)[i] = u < 0.75; /* masks let most through */
    }
    return t;
}

static void set_both(Probe *c, const Node *n, const Tensor *t)
{
    eval_set(c->base, n, t);
    eval_set(c->moved, n, t);
}

/* ---- decisions ---- */

typedef struct {
    Probe *c;
    bool *live;
} Live;

static void live_edge(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    ((Live *)ctx)->live[e.node->id] = true;
}

/* Gives the moved evaluation every int and bool that the loss depends on. Of a branch, only the
 * side taken. */
static void freeze_decisions(Probe *c)
{
    Graph *g = c->g;
    Live l = {c, NEW_N(c->arena, bool, g->nodes.n)};
    l.live[c->loss->e.node->id] = true;
    for (int i = g->nodes.n - 1; i >= 0; i--) {
        Node *n = g->nodes.v[i];
        if (!l.live[i]) continue;
        if (n->dt != DT_FLOAT && n->nargs) eval_set(c->moved, n, eval_node(c->base, n));
        if (n->op != OP_branch) {
            node_reads(n, live_edge, &l);
            continue;
        }
        Tensor cond = eval_edge(c->base, n->args[0], space_make(g, 0, NULL));
        Edge side = n->args[((uint8_t *)cond.data)[0] ? 1 : 2];
        live_edge(&l, n->args[0], false);
        live_edge(&l, side, false);
        for (int k = 0; k < side.map->n; k++) ix_loads(side.map->ix[k], live_edge, &l);
    }
}

/* ---- probes ---- */

static double loss_at(Probe *c, Eval *ev)
{
    Tensor t = eval_edge(ev, c->loss->e, c->loss->space);
    return ((double *)t.data)[0];
}

/* The loss at x + by * d. */
static double loss_along(Probe *c, const Node *leaf, const Tensor *x, const double *d, double by)
{
    Tensor y = *x;
    double *v = y.data = c->moved_to;
    for (int64_t i = 0; i < x->count; i++) v[i] = ((double *)x->data)[i] + by * d[i];
    eval_set(c->moved, leaf, &y);
    return loss_at(c, c->moved);
}

static double slope(Probe *c, const Node *leaf, const Tensor *x, const double *d, double h)
{
    double near = loss_along(c, leaf, x, d, h) - loss_along(c, leaf, x, d, -h);
    double far = loss_along(c, leaf, x, d, 2 * h) - loss_along(c, leaf, x, d, -2 * h);
    return (8 * near - far) / (12 * h);
}

static void probe_along(Probe *c, GradError *r, const Node *leaf, const Tensor *x,
                        const Tensor *grad, const double *d)
{
    double is = 0, largest = 0, off = INFINITY, rel = INFINITY;
    for (int64_t i = 0; i < grad->count; i++) {
        double gi = ((double *)grad->data)[i];
        is += gi * d[i];
        largest = fmax(largest, fabs(gi));
    }
    for (int i = 0; i < COUNT(steps) && !(rel < 1e-7); i++) {
        double want = slope(c, leaf, x, d, steps[i]), scale = fmax(fabs(is), fabs(want));
        scale = fmax(scale, fmax(1e-3 * largest, 1e-6 * fabs(c->value)));
        double miss = fabs(is - want);
        if (miss < off) off = miss, rel = miss == 0 ? 0 : miss / scale;
    }
    if (off > r->max_abs) r->max_abs = off;
    if (rel > r->max_rel) r->max_rel = rel;
    r->probes++;
}

/* Along `probes` random signs, and at `probes` elements: all of them, if they are that few. */
static void check_tensor(Probe *c, GradError *r, const Node *leaf, const Root *root, int probes)
{
    Tensor x = *eval_node(c->base, (Node *)leaf), grad = eval_edge(c->base, root->e, root->space);
    double *d = NEW_N(c->arena, double, x.count);
    c->moved_to = NEW_N(c->arena, double, x.count);
    for (int p = 0; p < probes && x.count > 1; p++) {
        for (int64_t i = 0; i < x.count; i++) d[i] = next_random(c) & 1 ? 1 : -1;
        probe_along(c, r, leaf, &x, &grad, d);
    }
    memset(d, 0, sizeof *d * (size_t)x.count);
    for (int64_t p = 0; p < probes && p < x.count; p++) {
        int64_t i = x.count <= probes ? p : (int64_t)(uniform(c) * (double)x.count);
        d[i] = 1;
        probe_along(c, r, leaf, &x, &grad, d);
        d[i] = 0;
    }
    eval_set(c->moved, leaf, &x);
}

/* ---- the whole graph ---- */

static void set_leaves(Probe *c, const Named *v, int n)
{
    for (int i = 0; i < n; i++) {
        Tensor t = random_tensor(c, v[i].node);
        set_both(c, v[i].node, &t);
    }
}

static const Node *leaf_of(const Graph *g, const char *name)
{
    for (int i = 0; i < g->params.n; i++)
        if (!strcmp(g->params.v[i].name, name)) return g->params.v[i].node;
    for (int i = 0; i < g->inputs.n; i++)
        if (!strcmp(g->inputs.v[i].name, name)) return g->inputs.v[i].node;
    return NULL;
}

GradError *graph_gradcheck(Graph *g, const int64_t *syms, uint64_t seed, int probes, Arena *arena,
                           int *n)
{
    Probe c = {.g = g, .arena = arena, .syms = syms, .random = seed};
    c.loss = graph_find_root(g, ROOT_OUTPUT, "loss");
    if (!c.loss || c.loss->space->n)
        diag_fail(g->diag, "gradients are checked against an output `loss` without axes");
    c.base = eval_new(g, syms, seed, 0, false);
    c.moved = eval_new(g, syms, seed, 0, false);
    set_leaves(&c, g->params.v, g->params.n);
    set_leaves(&c, g->states.v, g->states.n);
    set_leaves(&c, g->inputs.v, g->inputs.n);
    eval_checks(c.base);
    c.value = loss_at(&c, c.base);
    freeze_decisions(&c);
    GradError *rows = NEW_N(arena, GradError, g->roots.n);
    *n = 0;
    for (int i = 0; i < g->roots.n; i++) {
        const Root *root = &g->roots.v[i];
        const Node *leaf = root->kind == ROOT_GRAD ? leaf_of(g, root->name) : NULL;
        if (!leaf) continue;
        rows[*n].name = root->name;
        check_tensor(&c, &rows[(*n)++], leaf, root, probes);
    }
    eval_free(c.base);
    eval_free(c.moved);
    return rows;
}
