/* group_large.c: products that are much larger than what they are made of, and too large to store
 * whole, become loops over pieces with all that lies between them and what shrinks them again:
 *
 *   logits[t,v] = product of h, w        2048 rows at a time: logits, their
 *   m[t] = rmax over v, ...              softmax and gradient, the rows of h's
 *   d[t,v] = exp(logits - m) / z - ...   gradient, and w's gradient added up;
 *   dh[t,e] = product of d, w            nothing of [t,v] exists whole, and
 *   dw[v,e] = product of d, h            nothing is computed twice
 *
 * A piece costs its share of packing and of adding up the weights' gradients, about a hundredth of
 * its products (measured at 512 rows of 20000 columns); so values that fit stay whole.
 */
#include <stdlib.h>
#include "passes/group.h"

#define LARGE 256e6 /* bytes that aren't stored whole */
#define PIECE 128e6 /* bytes of a piece, at most */
enum {
    EXPANDS = 4,     /* times larger than both its operands */
    MOST_NODES = 64, /* that run in a loop */
    SHORTEST = 2     /* positions of an axis that can be cut */
};

typedef struct {
    Grouper *w;
    Node *product;
    bool *in, *below, *above; /* by node id: in the set; it or what reads it; it or what it reads */
    Ints nodes;
} Set;

static void add(Set *s, int id)
{
    if (s->in[id]) return;
    s->in[id] = true;
    vec_push(s->w->a, &s->nodes, id);
}

static bool may_join(const Grouper *w, int id)
{
    return w->kept[id] && w->loop[id] < 0 && w->phase[id] != PHASE_UPDATE;
}

/* What reads a value about as large as the product needs it whole, or is in the loop too. */
static bool add_readers(Set *s)
{
    const Grouper *w = s->w;
    int before = s->nodes.n;
    for (int i = 0; i < s->nodes.n && s->nodes.n <= MOST_NODES; i++) {
        int id = s->nodes.v[i];
        if (2 * w->elements[id] < w->elements[s->product->id]) continue;
        for (int k = 0; k < w->readers[id].n; k++)
            if (may_join(w, w->readers[id].v[k])) add(s, w->readers[id].v[k]);
    }
    return s->nodes.n > before;
}

/* What lies on a way from the set to the set must run within the loop, or splits it. */
static bool add_between(Set *s)
{
    const Grouper *w = s->w;
    int n = w->g->nodes.n, before = s->nodes.n;
    for (int i = 0; i < n; i++) {
        s->below[i] = s->in[i];
        for (int k = 0; k < w->reads[i].n; k++) s->below[i] |= s->below[w->reads[i].v[k].node->id];
    }
    for (int i = n - 1; i >= 0; i--) {
        s->above[i] = s->in[i];
        for (int k = 0; k < w->readers[i].n; k++) s->above[i] |= s->above[w->readers[i].v[k]];
    }
    for (int i = 0; i < n && s->nodes.n <= MOST_NODES; i++)
        if (s->above[i] && s->below[i] && may_join(w, i)) add(s, i);
    return s->nodes.n > before;
}

static int by_id(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static double bytes_of(const Grouper *w, const Node *n)
{
    return w->elements[n->id] * dtype_bytes(n->dt);
}

static bool is_large(const Grouper *w, const Contraction *c)
{
    double bytes = bytes_of(w, c->sum);
    return bytes >= LARGE && may_join(w, c->sum->id) && !w->root[c->sum->id] &&
           bytes >= EXPANDS * bytes_of(w, c->a.node) && bytes >= EXPANDS * bytes_of(w, c->b.node);
}

/* A value and what makes it small again: false if that is spread too far. */
static bool collect(Set *s)
{
    s->nodes.n = 0;
    memset(s->in, 0, (size_t)s->w->g->nodes.n * sizeof *s->in);
    add(s, s->product->id);
    while ((add_readers(s) || add_between(s)) && s->nodes.n <= MOST_NODES)
        ;
    qsort(s->nodes.v, (size_t)s->nodes.n, sizeof *s->nodes.v, by_id);
    return s->nodes.n <= MOST_NODES;
}

/* Along the outermost axis of at least that extent that all of them can run along, in so many
 * pieces or, where that is more than its positions, one position each. */
static bool cut(Set *s, double pieces, double least, int *class)
{
    Grouper *w = s->w;
    const Space *space = s->product->space;
    for (int x = 0; x < s->product->rank; x++) {
        double extent = size_at(space->ext[x], w->syms);
        int64_t size = 1;
        if (extent < least) continue;
        while (2 * (double)size * pieces <= extent) size *= 2;
        if (pieces_make(w, s->nodes, space->ext[x], ix_const(w->g, size), class, s->product))
            return true;
    }
    return false;
}

typedef struct {
    const Grouper *w;
    double least; /* bytes */
    bool found;
} Pick;

static void look(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Pick *p = ctx;
    p->found |= !is_stored_leaf(e.node) && bytes_of(p->w, e.node) >= p->least;
}

bool picks_from_large(const Grouper *w, const Node *n)
{
    double least = EXPANDS * bytes_of(w, n);
    Pick p = {w, least > LARGE ? least : LARGE, false};
    device_reads(n, look, &p);
    return p.found;
}

void group_large(Grouper *w, int *class)
{
    int n = w->g->nodes.n;
    Set s = {w, NULL, NEW_N(w->a, bool, n), NEW_N(w->a, bool, n), NEW_N(w->a, bool, n), {0}};
    for (int i = 0; i < w->products.n; i++) {
        if (!is_large(w, &w->products.v[i])) continue;
        s.product = w->products.v[i].sum;
        double pieces = bytes_of(w, s.product) / PIECE;
        if (collect(&s) && !cut(&s, pieces, pieces, class)) cut(&s, pieces, SHORTEST, class);
    }
}
