/* group_needs.c: what kernels and the host must compute, under which conditions, and in which
 * phase.
 *
 * Everything is found by one walk over the nodes from the last to the first: readers come after
 * what they read.
 */
#include "passes/group.h"

void device_reads(const Node *n, void (*fn)(void *ctx, Edge e, bool as_index), void *ctx)
{
    if (n->op != OP_branch) {
        node_reads(n, fn, ctx);
        return;
    }
    for (int i = 1; i < 3; i++) {
        fn(ctx, n->args[i], false);
        for (int k = 0; k < n->args[i].map->n; k++) ix_loads(n->args[i].map->ix[k], fn, ctx);
    }
}

typedef struct {
    Grouper *w;
    const WhenSet *when;
    Phase phase;
    bool *phased; /* by node id: phase is set */
} Need;

/* ---- conditions ---- */

static const WhenSet *when_intern(Grouper *w, const WhenSet *s)
{
    for (int i = 0; i < w->whens.n; i++) {
        const WhenSet *o = w->whens.v[i];
        bool same = o->n == s->n;
        for (int k = 0; same && k < s->n; k++)
            same = edge_eq(o->w[k].cond, s->w[k].cond) && o->w[k].value == s->w[k].value;
        if (same) return o;
    }
    vec_push(w->a, &w->whens, s);
    return s;
}

static WhenSet *when_room(Grouper *w, int n)
{
    return arena_alloc(w->a, sizeof(WhenSet) + sizeof(When) * (size_t)n);
}

static bool when_has(const WhenSet *s, When x)
{
    for (int i = 0; i < s->n; i++)
        if (edge_eq(s->w[i].cond, x.cond) && s->w[i].value == x.value) return true;
    return false;
}

/* s and x, by rising node of the condition. */
static const WhenSet *when_and(Grouper *w, const WhenSet *s, When x)
{
    if (when_has(s, x)) return s;
    WhenSet *r = when_room(w, s->n + 1);
    int i = 0;
    for (; i < s->n && s->w[i].cond.node->id <= x.cond.node->id; i++) r->w[i] = s->w[i];
    r->w[i] = x;
    for (; i < s->n; i++) r->w[i + 1] = s->w[i];
    r->n = s->n + 1;
    return when_intern(w, r);
}

/* Needed under s or under t: what both demand. */
static const WhenSet *when_or(Grouper *w, const WhenSet *s, const WhenSet *t)
{
    if (!s || s == t) return t;
    WhenSet *r = when_room(w, s->n);
    for (int i = 0; i < s->n; i++)
        if (when_has(t, s->w[i])) r->w[r->n++] = s->w[i];
    return r->n == s->n ? s : when_intern(w, r);
}

/* ---- the walk ---- */

static void need(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Need *n = ctx;
    Grouper *w = n->w;
    int id = e.node->id;
    w->device[id] = true;
    w->when[id] = when_or(w, w->when[id], n->when);
    if (!n->phased[id] || n->phase < w->phase[id]) w->phase[id] = n->phase;
    n->phased[id] = true;
}

static void need_edge(Need *n, Edge e)
{
    need(n, e, false);
    for (int i = 0; i < e.map->n; i++) ix_loads(e.map->ix[i], need, n);
}

static void need_branch(Need *n, const Node *b)
{
    const WhenSet *own = n->when;
    for (int side = 1; side < 3; side++) {
        n->when = when_and(n->w, own, (When){b->args[0], side == 1});
        need_edge(n, b->args[side]);
    }
    n->when = own;
    n->w->host[b->args[0].node->id] = true;
}

static void on_host(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    ((Grouper *)ctx)->host[e.node->id] = true;
}

static Phase root_phase(RootKind kind)
{
    return kind == ROOT_GRAD ? PHASE_BACKWARD : kind == ROOT_UPDATE ? PHASE_UPDATE : PHASE_FORWARD;
}

void group_needs(Grouper *w)
{
    Graph *g = w->g;
    Need n = {.w = w, .phased = NEW_N(w->a, bool, g->nodes.n)};
    const WhenSet *always = when_intern(w, when_room(w, 0));
    for (int i = 0; i < g->roots.n; i++) {
        const Root *r = &g->roots.v[i];
        n.when = always;
        n.phase = root_phase(r->kind);
        need_edge(&n, r->e);
        w->root[r->e.node->id] = true;
        for (int k = 0; k < r->e.map->n; k++)
            if (r->e.map->ix[k]->loads) w->root[r->e.node->id] = true;
    }
    for (int i = 0; i < g->checks.n; i++)
        if (g->checks.v[i].e.node) {
            on_host(w, g->checks.v[i].e, false);
            for (int k = 0; k < g->checks.v[i].e.map->n; k++)
                ix_loads(g->checks.v[i].e.map->ix[k], on_host, w);
        }
    for (int i = g->nodes.n - 1; i >= 0; i--) {
        const Node *x = g->nodes.v[i];
        if (w->device[i]) {
            n.when = w->when[i];
            n.phase = w->phase[i];
            if (x->op == OP_branch)
                need_branch(&n, x);
            else
                device_reads(x, need, &n);
        }
        if (w->host[i]) node_reads(x, on_host, w);
    }
}
