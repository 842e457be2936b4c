/* group_order.c: the order in which groups run.
 *
 * Topological; among what could run next, the group whose last node was made first, so layers
 * follow one another as written and a gradient is used soon after it is made. Groups that only
 * recompute (replay), or that prepare forward values for the backward pass, run just before their
 * first reader: until then, what they compute needs no memory. But not if what they read would take
 * more while they wait: a gradient of a weight runs when it can.
 */
#include "passes/group.h"

typedef struct {
    double key;
    int cluster;
} Ready;
typedef VEC(Ready) Heap;

static bool before(Ready a, Ready b)
{
    return a.key != b.key ? a.key < b.key : a.cluster < b.cluster;
}

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
    bool replays = true, early = c->phase == PHASE_FORWARD;
    for (int i = 0; i < c->members.n; i++)
        if (!w->g->nodes.v[c->members.v[i]]->replay) replays = false;
    for (int i = 0; i < c->from.n; i++) {
        int from = group_find(w, c->from.v[i]);
        if (from != cluster && w->clusters.v[from].phase != PHASE_FORWARD) early = true;
    }
    return replays || !early;
}

typedef struct {
    Grouper *w;
    double *key;
    int *waits; /* clusters it reads that haven't run */
    Ints *to;   /* leaders that read it, once each */
} Order_;

static void link_leaders(Order_ *o)
{
    Grouper *w = o->w;
    int *seen = NEW_N(w->a, int, w->clusters.n);
    for (int i = 0; i < w->clusters.n; i++) {
        const Cluster *c = &w->clusters.v[i];
        if (group_find(w, i) != i) continue;
        for (int k = 0; k < c->from.n; k++) {
            int from = group_find(w, c->from.v[k]);
            if (from == i || seen[from] == i + 1) continue;
            seen[from] = i + 1;
            o->waits[i]++;
            vec_push(w->a, &o->to[from], i);
        }
    }
}

/* Runs clusters by rising key; false keys of replays are fixed in a second run. */
static Ints run(Order_ *o)
{
    Grouper *w = o->w;
    Ints order = {0};
    Heap ready = {0};
    int *waits = arena_copy(w->a, o->waits, sizeof(int) * (size_t)w->clusters.n);
    for (int i = 0; i < w->clusters.n; i++)
        if (w->leader[i] == i && !waits[i]) heap_push(w->a, &ready, (Ready){o->key[i], i});
    while (ready.n) {
        int c = heap_pop(&ready).cluster;
        vec_push(w->a, &order, c);
        for (int k = 0; k < o->to[c].n; k++) {
            int t = o->to[c].v[k];
            if (--waits[t] == 0) heap_push(w->a, &ready, (Ready){o->key[t], t});
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
    int n = w->clusters.n;
    Order_ o = {w, NEW_N(w->a, double, n), NEW_N(w->a, int, n), NEW_N(w->a, Ints, n)};
    link_leaders(&o);
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
        double first = o.key[o.to[c].v[0]];
        for (int k = 1; k < o.to[c].n; k++)
            if (o.key[o.to[c].v[k]] < first) first = o.key[o.to[c].v[k]];
        first -= 0.5;
        if (first > o.key[c] && saved(&o, c, first) > spent(&o, c, first)) o.key[c] = first;
    }
    return run(&o);
}
