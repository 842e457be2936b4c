/* group_order.c: the order in which groups run.
 *
 * Topological; among what could run next, the group whose last node was made first, so layers
 * follow one another as written and a gradient is used soon after it is made. Groups that only
 * recompute (replay), or that prepare forward values for the backward pass, run just before their
 * first reader: until then, what they compute needs no memory. But not if what they read would take
 * more while they wait: a gradient of a weight runs when it can. A loop over pieces is a *unit*:
 * its groups run one after another.
 */
#include "passes/group.h"

typedef struct {
    double key;
    int unit;
} Ready;
typedef VEC(Ready) Heap;

static bool before(Ready a, Ready b) { return a.key != b.key ? a.key < b.key : a.unit < b.unit; }

static void heap_push(Arena *a, Heap *h, Ready r)
{
    vec_push(a, h, r);
    for (int i = h->n - 1; i > 0 && before(h->v[i], h->v[(i - 1) / 2]); i = (i - 1) / 2) {
        Ready t = h->v[i];
        h->v[i] = h->v[(i - 1) / 2];
        h->v[(i - 1) / 2] = t;
    }
}

static Ready heap_pop(Heap *h)
{
    Ready top = h->v[0], last = vec_pop(h);
    if (!h->n) return top;
    int i = 0;
    for (;;) {
        int c = 2 * i + 1;
        if (c + 1 < h->n && before(h->v[c + 1], h->v[c])) c++;
        if (c >= h->n || !before(h->v[c], last)) break;
        h->v[i] = h->v[c];
        i = c;
    }
    h->v[i] = last;
    return top;
}

/* Better late: it only recomputes, or is a part of the backward pass that reads forward values
 * alone. */
static bool can_wait(const Grouper *w, int cluster)
{
    const Cluster *c = &w->clusters.v[cluster];
    if (c->loop >= 0) return false;
    bool replays = true, early = c->phase == PHASE_FORWARD;
    for (int i = 0; i < c->members.n; i++)
        if (!w->g->nodes.v[c->members.v[i]]->replay) replays = false;
    for (int i = 0; i < c->from.n; i++) {
        int from = group_find(w, c->from.v[i]);
        if (from != cluster && w->clusters.v[from].phase != PHASE_FORWARD) early = true;
    }
    return replays || !early;
}

/* A unit is a leading cluster that no loop has, or the number of clusters and that of a loop. */
typedef struct {
    Grouper *w;
    double *key; /* by cluster */
    int units;
    Ints *in;   /* by unit: its leading clusters */
    int *waits; /* units it reads */
    Ints *to;   /* units that read it, once each */
} Order_;

static int unit_of(const Grouper *w, int cluster)
{
    int c = group_find(w, cluster), loop = w->clusters.v[c].loop;
    return loop >= 0 ? w->clusters.n + loop : c;
}

static void link_units(Order_ *o)
{
    Grouper *w = o->w;
    int *seen = NEW_N(w->a, int, o->units);
    for (int i = 0; i < w->clusters.n; i++)
        if (w->leader[i] == i) vec_push(w->a, &o->in[unit_of(w, i)], i);
    for (int u = 0; u < o->units; u++)
        for (int i = 0; i < o->in[u].n; i++) {
            const Cluster *c = &w->clusters.v[o->in[u].v[i]];
            for (int k = 0; k < c->from.n; k++) {
                int from = unit_of(w, c->from.v[k]);
                if (from == u || seen[from] == u + 1) continue;
                seen[from] = u + 1;
                o->waits[u]++;
                vec_push(w->a, &o->to[from], u);
            }
        }
}

static double unit_key(const Order_ *o, int unit)
{
    double key = o->key[o->in[unit].v[0]];
    for (int i = 1; i < o->in[unit].n; i++)
        if (o->key[o->in[unit].v[i]] > key) key = o->key[o->in[unit].v[i]];
    return key;
}

static bool reads_any(const Grouper *w, int cluster, const Ints *of)
{
    const Cluster *c = &w->clusters.v[cluster];
    for (int k = 0; k < c->from.n; k++)
        for (int i = 0; i < of->n; i++)
            if (of->v[i] != cluster && group_find(w, c->from.v[k]) == of->v[i]) return true;
    return false;
}

/* A loop's clusters: always the one of least key that reads none of those left. */
static void run_unit(const Order_ *o, int unit, Ints *order)
{
    Ints left = {0};
    for (int i = 0; i < o->in[unit].n; i++) vec_push(o->w->a, &left, o->in[unit].v[i]);
    while (left.n) {
        int next = -1;
        for (int i = 0; i < left.n; i++)
            if (!reads_any(o->w, left.v[i], &left) &&
                (next < 0 || o->key[left.v[i]] < o->key[left.v[next]]))
                next = i;
        if (next < 0) diag_bug(o->w->u->diag, "the groups of a loop read each other in a circle");
        vec_push(o->w->a, order, left.v[next]);
        left.v[next] = vec_pop(&left);
    }
}

/* Runs units by rising key; false keys of replays are fixed in a second run. */
static Ints run(Order_ *o)
{
    Grouper *w = o->w;
    Ints order = {0};
    Heap ready = {0};
    int *waits = arena_copy(w->a, o->waits, sizeof(int) * (size_t)o->units);
    for (int u = 0; u < o->units; u++)
        if (o->in[u].n && !waits[u]) heap_push(w->a, &ready, (Ready){unit_key(o, u), u});
    while (ready.n) {
        int u = heap_pop(&ready).unit;
        run_unit(o, u, &order);
        for (int k = 0; k < o->to[u].n; k++) {
            int t = o->to[u].v[k];
            if (--waits[t] == 0) heap_push(w->a, &ready, (Ready){unit_key(o, t), t});
        }
    }
    return order;
}

/* ---- what can wait ---- */

/* The last time that a node is read by others than the cluster; its own time if nobody else does.
 */
static double last_read(const Order_ *o, const Node *n, int but)
{
    const Grouper *w = o->w;
    double last = -1;
    int own = w->cluster[n->id] < 0 ? -1 : group_find(w, w->cluster[n->id]);
    if (own >= 0) last = o->key[own];
    for (int i = 0; i < w->readers[n->id].n; i++) {
        int c = group_find(w, w->cluster[w->readers[n->id].v[i]]);
        if (c != but && o->key[c] > last) last = o->key[c];
    }
    return last;
}

/* Bytes times groups that the cluster's results don't take if it runs at `then`, not at its key. */
static double saved(const Order_ *o, int cluster, double then)
{
    const Grouper *w = o->w;
    const Ints *m = &w->clusters.v[cluster].members;
    double bytes = 0;
    for (int i = 0; i < m->n; i++) {
        bool read = false;
        for (int k = 0; k < w->readers[m->v[i]].n && !read; k++)
            read = group_find(w, w->cluster[w->readers[m->v[i]].v[k]]) != cluster;
        if (read && !w->root[m->v[i]]) bytes += bytes_at(w->g->nodes.v[m->v[i]], w->syms);
    }
    return bytes * (then - o->key[cluster]);
}

static bool is_kept_anyway(const Grouper *w, const Node *n)
{
    return is_stored_leaf(n) || w->root[n->id];
}

/* ... that what it reads takes then. */
static double spent(const Order_ *o, int cluster, double then)
{
    const Grouper *w = o->w;
    const Ints *m = &w->clusters.v[cluster].members;
    double spent = 0;
    Reads seen = {0};
    for (int i = 0; i < m->n; i++)
        for (int k = 0; k < w->reads[m->v[i]].n; k++) {
            const Read *r = &w->reads[m->v[i]].v[k];
            bool again = is_kept_anyway(w, r->node);
            for (int s = 0; s < seen.n; s++) again |= seen.v[s].node == r->node;
            if (again ||
                (w->cluster[r->node->id] >= 0 && group_find(w, w->cluster[r->node->id]) == cluster))
                continue;
            vec_push(w->a, &seen, *r);
            double from = last_read(o, r->node, cluster);
            if (from < o->key[cluster]) from = o->key[cluster];
            if (from < then) spent += bytes_at(r->node, w->syms) * (then - from);
        }
    return spent;
}

Ints group_order(Grouper *w)
{
    int n = w->clusters.n, units = n + w->loops.n;
    Order_ o = {.w = w, .key = NEW_N(w->a, double, n), .units = units};
    o.in = NEW_N(w->a, Ints, units);
    o.waits = NEW_N(w->a, int, units);
    o.to = NEW_N(w->a, Ints, units);
    link_units(&o);
    bool any = false;
    for (int i = 0; i < n; i++) {
        const Ints *m = &w->clusters.v[i].members;
        o.key[i] = m->v[m->n - 1];
        any |= w->leader[i] == i && can_wait(w, i);
    }
    Ints order = run(&o);
    if (!any) return order;
    for (int i = 0; i < order.n; i++) o.key[order.v[i]] = i;
    for (int i = order.n - 1; i >= 0; i--) {
        int c = order.v[i];
        if (!can_wait(w, c) || !o.to[c].n) continue;
        double first = unit_key(&o, o.to[c].v[0]);
        for (int k = 1; k < o.to[c].n; k++)
            if (unit_key(&o, o.to[c].v[k]) < first) first = unit_key(&o, o.to[c].v[k]);
        first -= 0.5;
        if (first > o.key[c] && saved(&o, c, first) > spent(&o, c, first)) o.key[c] = first;
    }
    return run(&o);
}
