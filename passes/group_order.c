/* group_order.c: the order in which groups run.
 *
 * Topological; among what could run next, the group whose last node was made first, so layers
 * follow one another as written and a gradient is used soon after it is made. Groups that only
 * recompute (replay), or that prepare forward values for the backward pass, run just before their
 * first reader: until then, what they compute needs no memory.
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
        o.key[c] = first - 0.5;
    }
    return run(&o);
}
