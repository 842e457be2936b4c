/* group_keep.c: which nodes are computed once and kept, and what each of them reads.
 *
 * Kept: reductions and their relatives, copies, branches, roots, operands of library products, and
 * light values whose recomputation in every reader costs more than storing and loading them:
 *
 *     evaluations in readers * (operations + loads)  >  own positions * (operations + loads +
 * store)
 *                                                       + evaluations in readers * load
 *
 * Costs are in multiply-adds at the hints, per element: a store or load costs more the less likely
 * the tensor stays in a cache. What is stored also takes memory, between forward and backward for
 * long: hence a margin.
 */
#include <stdlib.h>
#include "passes/group.h"

typedef struct {
    Grouper *w;
    const Node *reader;
    double *evaluations;        /* by node id: how often readers evaluate it if it isn't kept */
    double *operations, *loads; /* of one evaluation, everything light below included */
} Costs;

static double load_cost(const Grouper *w, const Node *n)
{
    double bytes = bytes_at(n, w->syms);
    return bytes <= 256e3 ? 1 : bytes <= 8e6 ? 3 : 8;
}

#define MARGIN     1.4
#define LAUNCH     2e5 /* of one more kernel */
#define LEAST_WORK 4.0 /* less is not much more than a load */

/* A value below everything else in the tree is shared by all its uses there; the sum is a bound, so
 * cap it. */
#define MOST_OPERATIONS 1e4

static void add_cost(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Costs *c = ctx;
    int to = c->reader->id, from = e.node->id;
    if (c->w->kept[from] || is_stored_leaf(e.node)) {
        double share = elements_at(e.node, c->w->syms) / elements_at(c->reader, c->w->syms);
        c->loads[to] += load_cost(c->w, e.node) * (share < 1 ? share : 1);
    } else {
        c->operations[to] += c->operations[from];
        c->loads[to] += c->loads[from];
    }
    if (c->operations[to] > MOST_OPERATIONS) c->operations[to] = MOST_OPERATIONS;
    if (c->loads[to] > MOST_OPERATIONS) c->loads[to] = MOST_OPERATIONS;
}

static void add_evaluations(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Costs *c = ctx;
    const Node *r = c->reader;
    c->evaluations[e.node->id] +=
        c->w->kept[r->id] ? space_at(r->space, c->w->syms) : c->evaluations[r->id];
}

static bool pays_to_keep(const Costs *c, const Node *n)
{
    const Grouper *w = c->w;
    double own = elements_at(n, w->syms), times = c->evaluations[n->id];
    if (n->rank == 0 || times < 1.5 * own) return false;
    double work = c->operations[n->id] + c->loads[n->id], load = load_cost(w, n);
    if (work < LEAST_WORK) return false;
    double inlined = times * work, kept = own * (work + 2 * load) + times * load;
    return inlined > MARGIN * kept && inlined - kept > LAUNCH;
}

static void keep_operand(Grouper *w, Edge e)
{
    if (!is_stored_leaf(e.node)) w->kept[e.node->id] = true;
}

static int heavier(const void *pa, const void *pb)
{
    const Contraction *a = pa, *b = pb;
    if (a->work != b->work) return a->work < b->work ? 1 : -1;
    return a->sum->id - b->sum->id;
}

static void find_products(Grouper *w)
{
    for (int i = 0; i < w->g->nodes.n; i++) {
        Contraction c;
        w->product[i] = -1;
        if (w->inner.inner[i] && !w->unfused) continue;
        if (!w->device[i] || !contraction_match(w->g, w->g->nodes.v[i], w->syms, &c)) continue;
        vec_push(w->a, &w->products, c);
    }
    if (w->products.n) qsort(w->products.v, (size_t)w->products.n, sizeof *w->products.v, heavier);
    for (int i = 0; i < w->products.n; i++) {
        const Contraction *c = &w->products.v[i];
        w->product[c->sum->id] = i;
        keep_operand(w, c->a);
        keep_operand(w, c->b);
    }
}

/* What a product inside a kernel reads is a tensor, or code over scores that the kernel has in a
 * private array. */
static void keep_inner_operands(Grouper *w)
{
    for (int i = 0; i < w->g->nodes.n; i++) {
        Edge f[2];
        double alpha;
        if (!w->device[i] || !w->inner.inner[i] ||
            !contraction_factors(w->g, w->g->nodes.v[i], &f[0], &f[1], &alpha))
            continue;
        for (int k = 0; k < 2; k++) {
            int id = f[k].node->id;
            if (w->inner.over[id])
                w->operand[id] = true;
            else if (is_light(f[k].node) && f[k].node->nargs)
                w->kept[id] = true;
        }
    }
}

/* ---- running sums ---- */

enum { FAR_APART = 100 }; /* in nodes */

static void count_reader(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    ((int *)ctx)[e.node->id]++;
}

/* The sum of what is computed far apart (the gradient of a weight that several layers share) is
 * kept before each term that comes late: otherwise all terms would wait for the last. */
static void keep_running_sums(Grouper *w)
{
    Graph *g = w->g;
    int *readers = NEW_N(w->a, int, g->nodes.n);
    int *terms = NEW_N(w->a, int, g->nodes.n); /* that live until the node is computed */
    for (int i = 0; i < g->nodes.n; i++)
        if (w->device[i]) node_reads(g->nodes.v[i], count_reader, readers);
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.v[i];
        bool sum = w->device[i] && n->op == OP_add;
        for (int k = 0; k < 2 && sum; k++) {
            int x = n->args[k].node->id, y = n->args[1 - k].node->id;
            if (w->elements[x] != w->elements[i]) continue;
            if (y - x > FAR_APART && terms[x] > 1) {
                w->kept[x] = true;
                terms[x] = 1;
            }
            terms[i] += terms[x];
        }
        if (w->kept[i]) terms[i] = 1;
        if (readers[i] != 1 || w->root[i]) terms[i] = 0;
    }
}

/* A product reads its two operands and nothing under them. */
static void product_evaluations(Costs *c, const Contraction *p)
{
    add_evaluations(c, p->a, false);
    add_evaluations(c, p->b, false);
}

void group_keep(Grouper *w)
{
    Graph *g = w->g;
    int n = g->nodes.n;
    for (int i = 0; i < n; i++) {
        const Node *x = g->nodes.v[i];
        bool own = !is_stored_leaf(x) && x->op != OP_const && x->op != OP_fresh;
        w->kept[i] = w->device[i] && own && (!is_light(x) || w->root[i] || w->unfused);
    }
    find_products(w);
    if (w->unfused) return;
    keep_inner_operands(w);
    keep_running_sums(w);
    Costs c = {w, NULL, NEW_N(w->a, double, n), NEW_N(w->a, double, n), NEW_N(w->a, double, n)};
    for (int i = 0; i < n; i++) {
        c.reader = g->nodes.v[i];
        c.operations[i] = op_info[c.reader->op].cost;
        if (is_light(c.reader) && w->device[i]) device_reads(c.reader, add_cost, &c);
    }
    for (int i = n - 1; i >= 0; i--) {
        Node *x = g->nodes.v[i];
        c.reader = x;
        if (!w->device[i]) continue;
        if (is_light(x) && !w->kept[i] && !w->operand[i] && x->op != OP_const && x->op != OP_fresh)
            w->kept[i] = pays_to_keep(&c, x) || picks_from_large(w, x);
        if (w->product[i] >= 0)
            product_evaluations(&c, &w->products.v[w->product[i]]);
        else
            device_reads(x, add_evaluations, &c);
    }
}

/* ---- reads ---- */

typedef struct {
    Grouper *w;
    const Space *space; /* of the kept reader */
    const Map *map;     /* of the node being walked, over it; NULL: identity */
    Reads *out;
    Reads seen; /* light nodes walked, with their maps */
} Walk;

static void walk(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Walk *k = ctx;
    Grouper *w = k->w;
    const Map *map = k->map ? map_subst(w->g, e.map, k->map, k->space) : e.map;
    bool stored = w->kept[e.node->id] || is_stored_leaf(e.node);
    if (!stored && !e.node->nargs && e.node->op != OP_idx) return;
    Reads *list = stored ? k->out : &k->seen;
    for (int i = 0; i < list->n; i++)
        if (list->v[i].node == e.node && list->v[i].map == map) return;
    vec_push(w->a, list, (Read){e.node, map});
    if (stored) return;
    const Map *outer = k->map;
    k->map = map;
    device_reads(e.node, walk, k);
    k->map = outer;
}

void reads_under(Grouper *w, Edge e, const Space *space, Reads *out)
{
    Walk k = {.w = w, .space = space, .out = out};
    walk(&k, e, false);
    for (int i = 0; i < e.map->n; i++) ix_loads(e.map->ix[i], walk, &k);
}

static void add_reader(Grouper *w, int of, int reader)
{
    Ints *r = &w->readers[of];
    if (!r->n || r->v[r->n - 1] != reader) vec_push(w->a, r, reader);
}

void group_reads(Grouper *w)
{
    for (int i = 0; i < w->g->nodes.n; i++) {
        const Node *n = w->g->nodes.v[i];
        if (!w->kept[i]) continue;
        if (w->product[i] >= 0) {
            const Contraction *c = &w->products.v[w->product[i]];
            vec_push(w->a, &w->reads[i], (Read){c->a.node, c->a.map});
            vec_push(w->a, &w->reads[i], (Read){c->b.node, c->b.map});
        } else {
            Walk k = {.w = w, .space = n->space, .out = &w->reads[i]};
            device_reads(n, walk, &k);
        }
        for (int r = 0; r < w->reads[i].n; r++) add_reader(w, w->reads[i].v[r].node->id, i);
    }
}
