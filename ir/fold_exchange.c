/* fold_exchange.c: the order of two sums is exchanged where the other order is already there.
 *
 *     sum_j F_j * (sum_d u_d * v_jd)   is   sum_d u_d * Y_d   where   Y_d = sum_j F_j * v_jd exists
 *
 * In attention's backward F is p (with masks and dropout), the inner sum is dp = do . v, and Y is
 * the output o: the row sum becomes sum_d do_d * o_d, and needs no pass over the keys. F is
 * compared as a multiset of factors, seen through products, quotients and selects with 0. Y must be
 * older than the inner sum, so an exchange never comes back.
 */
#include "ir/fold.h"
#include "ir/intern.h"

/* ---- a product as a multiset ---- */

typedef enum { IS, INVERSE, WHERE, UNLESS } Role;
typedef struct {
    Role role;
    Edge e;
} Factor;
typedef struct {
    Factor f[MAX_FACTORS];
    int n;        /* -1: too many */
    double scale; /* product of its constants */
} Flat;

static void flat_add(Graph *g, const Space *sp, Flat *f, Role role, Edge e)
{
    Edge c, x;
    bool when;
    bool real = e.node->dt == DT_FLOAT && role == IS;
    if (f->n < 0) return;
    if (real && edge_op(e, OP_const)) {
        f->scale *= e.node->attr.value.f;
    } else if (real && edge_op(e, OP_mul)) {
        flat_add(g, sp, f, IS, edge_arg(g, e, 0, sp));
        flat_add(g, sp, f, IS, edge_arg(g, e, 1, sp));
    } else if (real && edge_op(e, OP_div)) {
        flat_add(g, sp, f, IS, edge_arg(g, e, 0, sp));
        flat_add(g, sp, f, INVERSE, edge_arg(g, e, 1, sp));
    } else if (real && fold_masked(g, sp, e, &c, &x, &when)) {
        flat_add(g, sp, f, when ? WHERE : UNLESS, c);
        flat_add(g, sp, f, IS, x);
    } else if (f->n == MAX_FACTORS) {
        f->n = -1;
    } else {
        f->f[f->n++] = (Factor){role, e};
    }
}

static Flat flatten(Graph *g, const Space *sp, Edge e)
{
    Flat f = {.scale = 1};
    flat_add(g, sp, &f, IS, e);
    return f;
}

/* ---- sums by the nodes that their products read ---- */

typedef struct {
    const Node *factor;
    VEC(Node *) sums;
} Row;

struct SumIndex {
    Table rows;
    int upto;         /* nodes before this one are in */
    const Node *last; /* nodes[upto - 1]: tells when nodes were renumbered */
};

static bool row_of(const void *row, const void *node) { return ((const Row *)row)->factor == node; }

static Row *index_row(Graph *g, struct SumIndex *x, const Node *factor, bool make)
{
    uint64_t h = hash_mix(7, (uintptr_t)factor);
    Row *r = (Row *)table_find(&x->rows, h, factor, row_of);
    if (!r && make) {
        r = NEW(g->arena, Row);
        r->factor = factor;
        table_add(g->arena, &x->rows, h, r);
    }
    return r;
}

static void index_product(Graph *g, struct SumIndex *x, Node *sum, const Node *n, int depth)
{
    bool inner = n->op == OP_mul || n->op == OP_div || n->op == OP_select;
    if (inner && depth < MAX_FACTORS) {
        for (int i = 0; i < n->nargs; i++) index_product(g, x, sum, n->args[i].node, depth + 1);
        return;
    }
    Row *r = index_row(g, x, n, true);
    if (!r->sums.n || r->sums.v[r->sums.n - 1] != sum) vec_push(g->arena, &r->sums, sum);
}

static struct SumIndex *sum_index(Graph *g)
{
    struct SumIndex *x = g->tables->sums;
    if (!x || x->upto > g->nodes.n || (x->upto && g->nodes.v[x->upto - 1] != x->last))
        x = g->tables->sums = NEW(g->arena, struct SumIndex);
    for (; x->upto < g->nodes.n; x->upto++) {
        Node *n = g->nodes.v[x->upto];
        x->last = n;
        if (n->op == OP_sum && n->dt == DT_FLOAT) index_product(g, x, n, n->args[0].node, 0);
    }
    return x;
}

/* ---- matching ---- */

typedef struct {
    Graph *g;
    const Space *wide; /* the outer sum's space, then the inner sum's summed axes */
    uint64_t red;      /* the outer sum's summed axes */
    const Flat *outer; /* the outer sum's factors, ... */
    int inner;         /* ... of which this one is the inner sum */
    Edge v;            /* over wide */
} Match;

/* Bare axes of Y's operand a stand where bare axes of b stand. */
static void pair_axes(int *axis, Edge a, Edge b)
{
    for (int i = 0; i < a.map->n; i++) {
        int y = ix_bare_axis(a.map->ix[i]), w = ix_bare_axis(b.map->ix[i]);
        if (y >= 0 && w >= 0 && axis[y] < 0) axis[y] = w;
    }
}

/* Which axis of wide each axis of Y is, if its factor w is v: then Y, over wide. */
static bool align(const Match *m, const Node *y, const Flat *fy, int w, const Map **map)
{
    Graph *g = m->g;
    int axis[MAX_AXES];
    const Ix *ix[MAX_AXES];
    uint64_t red = 0, free = 0;
    for (int i = 0; i < y->space->n; i++) axis[i] = -1;
    pair_axes(axis, fy->f[w].e, m->v);
    for (int q = 0; q < fy->n; q++)
        for (int t = 0; t < m->outer->n && q != w; t++) {
            const Factor *a = &fy->f[q], *b = &m->outer->f[t];
            if (t != m->inner && a->role == b->role && a->e.node == b->e.node)
                pair_axes(axis, a->e, b->e);
        }
    for (int i = 0; i < y->space->n; i++) {
        if (axis[i] < 0 || !ix_proves_eq(g, y->space->ext[i], m->wide->ext[axis[i]])) return false;
        *(i < y->rank ? &free : &red) |= 1ull << axis[i];
        ix[i] = ix_axis(g, axis[i]);
    }
    *map = map_make(g, y->space->n, ix);
    return red == m->red && !(free & m->red);
}

/* Through the map, Y's other factors are the outer sum's other factors. */
static bool same_factors(const Match *m, const Flat *fy, int w, const Map *map)
{
    bool used[MAX_FACTORS] = {false};
    if (!edge_eq(edge_comp(m->g, fy->f[w].e, map, m->wide), m->v)) return false;
    for (int q = 0; q < fy->n; q++) {
        if (q == w) continue;
        Edge e = edge_comp(m->g, fy->f[q].e, map, m->wide);
        bool found = false;
        for (int t = 0; t < m->outer->n && !found; t++) {
            const Factor *f = &m->outer->f[t];
            if (t == m->inner || used[t] || f->role != fy->f[q].role || !edge_eq(f->e, e)) continue;
            used[t] = found = true;
        }
        if (!found) return false;
    }
    return true;
}

static bool find_sum(const Match *m, const Node *before, Edge *y, double *scale)
{
    Graph *g = m->g;
    const Row *row = index_row(g, sum_index(g), m->v.node, false);
    for (int i = 0; row && i < row->sums.n; i++) {
        Node *n = row->sums.v[i];
        if (n->id >= before->id || n->space->n - n->rank != __builtin_popcountll(m->red)) continue;
        Flat fy = flatten(g, n->space, n->args[0]);
        if (fy.n != m->outer->n) continue;
        for (int w = 0; w < fy.n; w++) {
            const Map *map;
            if (fy.f[w].role != IS || fy.f[w].e.node != m->v.node) continue;
            if (!align(m, n, &fy, w, &map) || !same_factors(m, &fy, w, map)) continue;
            *y = (Edge){n, map_make(g, n->rank, map->ix)};
            *scale = fy.scale;
            return true;
        }
    }
    return false;
}

/* sum_d u_d * Y_d over the out axes and the inner sum's axes. */
static Edge exchanged(Graph *g, const Match *m, int nout, const Space *space, Edge u, Edge y)
{
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < m->wide->n; i++)
        ix[i] = i < nout       ? ix_axis(g, i)
                : i < space->n ? ix_const(g, 0)
                               : ix_axis(g, i - space->n + nout);
    const Map *map = map_make(g, m->wide->n, ix);
    const Space *to = space_concat(g, space_slice(g, space, 0, nout),
                                   space_slice(g, m->wide, space->n, m->wide->n));
    Edge body = graph_pw2(g, OP_mul, to, edge_comp(g, u, map, to), edge_comp(g, y, map, to));
    return graph_reduce(g, OP_sum, to, nout, body);
}

static bool exchange_at(Graph *g, const Space *space, int nout, const Flat *outer, int inner,
                        Edge *out)
{
    Edge e = outer->f[inner].e, y;
    Node *n = e.node;
    if (outer->f[inner].role != IS || n->op != OP_sum || n->args[0].node->op != OP_mul)
        return false;
    int nred = n->space->n - n->rank;
    if (space->n + nred > MAX_AXES) return false;
    const Space *wide = space_concat(g, space, space_slice(g, n->space, n->rank, n->space->n));
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < n->space->n; i++)
        ix[i] = i < n->rank ? e.map->ix[i] : ix_axis(g, space->n + i - n->rank);
    const Map *map = map_make(g, n->space->n, ix);
    Match m = {g, wide, fold_red(space, nout), outer, inner, {0}};
    for (int i = 0; i < 2; i++) {
        Edge u = edge_comp(g, edge_arg(g, n->args[0], i, n->space), map, wide);
        double scale;
        m.v = edge_comp(g, edge_arg(g, n->args[0], 1 - i, n->space), map, wide);
        if (edge_axes(u) & m.red || m.red & ~edge_axes(m.v)) continue;
        if (!find_sum(&m, n, &y, &scale) || scale == 0 || !graph_rule(g, RW_sum_exchange)) continue;
        Edge r = exchanged(g, &m, nout, space, u, y);
        *out = graph_pw2(g, OP_mul, space_slice(g, space, 0, nout), r,
                         graph_float(g, outer->scale / scale));
        return true;
    }
    return false;
}

bool fold_exchange(Graph *g, const Space *space, int nout, Edge e, Edge *out)
{
    if (e.node->dt != DT_FLOAT) return false;
    Flat outer = flatten(g, space, e);
    for (int i = 0; i < outer.n; i++)
        if (exchange_at(g, space, nout, &outer, i, out)) return true;
    return false;
}
