/* layout.c: in which order the axes of a stored tensor lie in memory. Contract: contract.h.
 *
 * A library product wants each of its axis lists (m, n, k) to be one axis with one stride in both
 * tensors that have it, and a unit stride somewhere in each tensor. So the heaviest product first,
 * neighbours in a list are glued: "x directly outside y", in both tensors, unless an earlier
 * product glued otherwise. The glued runs of a tensor are then put into the order of the tensor it
 * is computed from, the run that products want contiguous last; where they don't care, the axis
 * that loops inside blocks walk along.
 */
#include "passes/contract.h"

/* What products ask of one node. */
typedef struct {
    int8_t next[MAX_AXES], prev[MAX_AXES]; /* glued: directly inside, directly outside; -1 */
    double contiguous[MAX_AXES];           /* work of the products that want this axis last */
} Wish;

typedef struct {
    Graph *g;
    Arena *arena;
    const int64_t *syms;
    const Order *fixed;
    Wish **wish; /* by node id */
    Order *order;
} Layout;

static bool is_stored_leaf(const Node *n)
{
    return n->op == OP_param || n->op == OP_state || n->op == OP_input;
}

static Order identity(Arena *a, int rank)
{
    int8_t *o = NEW_N(a, int8_t, rank + 1);
    for (int i = 0; i < rank; i++) o[i] = (int8_t)i;
    return o;
}

Order root_order(Graph *g, Arena *a, const Root *r)
{
    Node *n = r->e.node;
    if (op_info[n->op].cls == CLASS_LEAF || r->space->n != n->rank) return NULL;
    int8_t *o = NEW_N(a, int8_t, n->rank + 1);
    memset(o, -1, (size_t)n->rank + 1);
    for (int i = 0; i < n->rank; i++) {
        int axis = ix_bare_axis(r->e.map->ix[i]);
        if (axis < 0 || axis >= n->rank || o[axis] >= 0) return NULL;
        if (!ix_proves_eq(g, r->space->ext[axis], n->space->ext[i])) return NULL;
        o[axis] = (int8_t)i;
    }
    return o;
}

Order *layout_fixed(Graph *g, Arena *a)
{
    Order *fixed = NEW_N(a, Order, g->nodes.n);
    for (int i = 0; i < g->nodes.n; i++)
        if (is_stored_leaf(g->nodes.v[i])) fixed[i] = identity(a, g->nodes.v[i]->rank);
    for (int i = 0; i < g->roots.n; i++) {
        int id = g->roots.v[i].e.node->id;
        if (!fixed[id]) fixed[id] = root_order(g, a, &g->roots.v[i]);
    }
    return fixed;
}

/* ---- strides ---- */

static void node_strides(Graph *g, const Node *n, Order order, const Ix **stride)
{
    const Ix *s = ix_const(g, 1);
    for (int i = n->rank - 1; i >= 0; i--) {
        stride[order[i]] = s;
        s = ix_mul(g, s, n->space->ext[order[i]]);
    }
}

/* By how many elements the operand moves along each axis of the reader; NULL: by no fixed number.
 */
static void edge_strides(Graph *g, Edge e, Order order, int naxes, const Ix **out)
{
    const Ix *stride[MAX_AXES], *at = ix_const(g, 0), *rest;
    node_strides(g, e.node, order, stride);
    for (int d = 0; d < e.map->n; d++) at = ix_add(g, at, ix_mul(g, e.map->ix[d], stride[d]));
    for (int x = 0; x < naxes; x++)
        if (!ix_affine(g, at, x, &out[x], &rest) || out[x]->axes) out[x] = NULL;
}

/* ---- gluing ---- */

static Wish *wish_of(Layout *l, const Node *n)
{
    Wish **w = &l->wish[n->id];
    if (!*w) {
        *w = NEW(l->arena, Wish);
        memset((*w)->next, -1, sizeof(*w)->next);
        memset((*w)->prev, -1, sizeof(*w)->prev);
    }
    return *w;
}

typedef struct {
    Wish *w[2 * MAX_AXES];
    int8_t outer[2 * MAX_AXES];
    int n;
} Undo;

static void undo_glue(Undo *u)
{
    for (; u->n > 0; u->n--) {
        Wish *w = u->w[u->n - 1];
        int outer = u->outer[u->n - 1];
        w->prev[w->next[outer]] = -1;
        w->next[outer] = -1;
    }
}

static bool glue_dims(Layout *l, const Node *n, int outer, int inner, Undo *u)
{
    Order f = l->fixed[n->id];
    if (f) {
        for (int i = 0; i + 1 < n->rank; i++)
            if (f[i] == outer) return f[i + 1] == inner;
        return false;
    }
    Wish *w = wish_of(l, n);
    if (w->next[outer] == inner) return true;
    if (w->next[outer] >= 0 || w->prev[inner] >= 0) return false;
    for (int d = inner; d >= 0; d = w->next[d])
        if (d == outer) return false;
    w->next[outer] = (int8_t)inner;
    w->prev[inner] = (int8_t)outer;
    u->w[u->n] = w;
    u->outer[u->n++] = (int8_t)outer;
    return true;
}

/* Makes the digits of every axis follow each other. */
static void glue_digits(Layout *l, Edge e)
{
    Undo kept = {.n = 0};
    for (int x = 0; x < MAX_AXES; x++) {
        int dims[MAX_AXES], n;
        const Ix *step;
        if (!(e.map->axes >> x & 1)) continue;
        n = axis_dims(l->g, e, x, dims, &step);
        for (int i = 0; i + 1 < n; i++) {
            kept.n = 0;
            glue_dims(l, e.node, dims[i], dims[i + 1], &kept);
        }
    }
}

/* Can axes x, y of the reader be one axis x * ext(y) + y of the operand? Glues its dimensions if
 * need be. */
static bool joinable(Layout *l, Edge e, int x, int y, const Ix *ext_y, Undo *u)
{
    Graph *g = l->g;
    const Ix *cx, *cy;
    int dx[MAX_AXES], dy[MAX_AXES];
    int nx = axis_dims(g, e, x, dx, &cx), ny = axis_dims(g, e, y, dy, &cy);
    if (nx <= 0 || ny <= 0) return false;
    const Ix *step = ix_mul(g, ext_y, cy);
    if (dx[nx - 1] == dy[0]) return nx == 1 && ny == 1 && ix_proves_eq(g, cx, step);
    for (int i = 0; i < ny; i++) cx = ix_mul(g, cx, e.node->space->ext[dy[i]]);
    if (!ix_proves_eq(g, cx, step)) return false;
    return glue_dims(l, e.node, dx[nx - 1], dy[0], u);
}

/* Tries the axes in the order given; all or nothing. */
static bool glue_list(Layout *l, const Space *s, const int *axes, int n, Edge e, Edge f)
{
    Undo undo = {.n = 0};
    for (int i = 0; i + 1 < n; i++) {
        const Ix *ext = s->ext[axes[i + 1]];
        if (!joinable(l, e, axes[i], axes[i + 1], ext, &undo) ||
            !joinable(l, f, axes[i], axes[i + 1], ext, &undo)) {
            undo_glue(&undo);
            return false;
        }
    }
    return true;
}

static bool glue_permuted(Layout *l, const Space *s, int *axes, int from, int n, Edge e, Edge f)
{
    if (from == n) return glue_list(l, s, axes, n, e, f);
    for (int i = from; i < n; i++) {
        int t = axes[i];
        memmove(axes + from + 1, axes + from, sizeof *axes * (size_t)(i - from));
        axes[from] = t;
        if (glue_permuted(l, s, axes, from + 1, n, e, f)) return true;
        memmove(axes + from, axes + from + 1, sizeof *axes * (size_t)(i - from));
        axes[i] = t;
    }
    return false;
}

enum { MOST_PERMUTED = 5, NO_SYMBOL = 1 << 20 };

/* The first free dimension in a size: batch before time, as the program declares them. */
static int first_symbol(const Ix *e)
{
    int first = NO_SYMBOL;
    for (int i = 0; i < e->nterm; i++)
        for (int k = 0; k < e->t[i].n; k++) {
            const Atom *a = e->t[i].f[k];
            int id = a->kind == AT_SYM ? a->id : NO_SYMBOL;
            if (a->a) id = first_symbol(a->a);
            if (a->b && first_symbol(a->b) < id) id = first_symbol(a->b);
            if (id < first) first = id;
        }
    return first;
}

/* The axes of the mask become one in both tensors, if they can: outermost what varies with the
 * first free dimension, so that all tensors agree where any order would do. */
static void glue(Layout *l, const Space *s, uint64_t mask, Edge e, Edge f)
{
    int axes[MAX_AXES], n = 0;
    for (int x = 0; x < s->n; x++) {
        if (!(mask >> x & 1)) continue;
        int i = n++;
        for (; i > 0 && first_symbol(s->ext[axes[i - 1]]) > first_symbol(s->ext[x]); i--)
            axes[i] = axes[i - 1];
        axes[i] = x;
    }
    if (n > 1 && n <= MOST_PERMUTED) glue_permuted(l, s, axes, 0, n, e, f);
}

/* Axes of `mask` that the tensor reads with step 1 may lie last. */
static void want_contiguous(Layout *l, Edge e, uint64_t mask, double work)
{
    for (int x = 0; x < MAX_AXES; x++) {
        const Ix *step;
        int dims[MAX_AXES], n;
        if (!(mask >> x & 1)) continue;
        n = axis_dims(l->g, e, x, dims, &step);
        if (n > 0 && ix_is(step, 1)) wish_of(l, e.node)->contiguous[dims[n - 1]] += work;
    }
}

static void contraction_wishes(Layout *l, const Contraction *c)
{
    const Space *s = c->sum->space;
    Edge out = edge_identity(l->g, c->sum);
    glue_digits(l, c->a);
    glue_digits(l, c->b);
    glue(l, s, c->k, c->a, c->b);
    glue(l, s, c->m, c->a, out);
    glue(l, s, c->n, c->b, out);
    want_contiguous(l, c->a, c->m | c->k, c->work);
    want_contiguous(l, c->b, c->n | c->k, c->work);
    want_contiguous(l, out, c->n | c->m, c->work);
}

/* ---- orders ---- */

/* How far the index moves with the axis: of 64 * h + d, h is outside d. */
static double step(const Layout *l, const Ix *ix, int axis)
{
    const Ix *coef, *rest;
    if (!ix_affine(l->g, ix, axis, &coef, &rest) || coef->axes || coef->loads) return 1;
    return size_at(coef, l->syms);
}

/* Where in memory the axis moves within the operand: larger is further inside; -1 if it doesn't
 * occur. */
static double place(const Layout *l, Edge e, int axis)
{
    for (int p = e.map->n - 1; p >= 0; p--) {
        const Ix *ix = e.map->ix[l->order[e.node->id][p]];
        if (ix->axes >> axis & 1) return p + 1 / (1 + step(l, ix, axis));
    }
    return -1;
}

/* Axes sorted by where they lie in the tensor that the node is computed from. What it lacks follows
 * the axis before it; what a scatter keys stands where it sums. */
static void inherit(Layout *l, const Node *n, int8_t *order)
{
    const Edge *from = NULL;
    int most = -1;
    for (int i = 0; i < n->nargs; i++) {
        int axes = __builtin_popcountll(n->args[i].map->axes & ((1ull << n->rank) - 1));
        if (n->op == OP_branch && i == 0) continue;
        if (axes > most) {
            most = axes;
            from = &n->args[i];
        }
    }
    double key[MAX_AXES], summed = -1;
    for (int x = n->space->n - 1; x >= n->rank; x--) {
        double k = from ? place(l, *from, x) : -1;
        if (k >= 0 && (summed < 0 || k < summed)) summed = k;
    }
    for (int x = 0; x < n->rank; x++) {
        double k = from ? place(l, *from, x) : -1;
        bool keyed = n->op == OP_scat && n->attr.key[x];
        key[x] = keyed ? summed : k >= 0 ? k : x ? key[x - 1] : -1;
        if (n->op == OP_top && x == n->rank - 1) key[x] = 2 * MAX_AXES;
    }
    for (int i = 0; i < n->rank; i++) {
        int j = i;
        for (; j > 0 && key[order[j - 1]] > key[i]; j--) order[j] = order[j - 1];
        order[j] = (int8_t)i;
    }
}

static int run_tail(const Wish *w, int d)
{
    while (w->next[d] >= 0) d = w->next[d];
    return d;
}

/* Is run d better at the end than run e? Products decide, then a constant extent (activations keep
 * features contiguous, not time), then votes; -1 is none. */
static bool better_last(const Wish *w, const double *votes, const Node *n, int d, int e)
{
    if (e < 0) return true;
    int td = run_tail(w, d), te = run_tail(w, e);
    if (w->contiguous[td] != w->contiguous[te]) return w->contiguous[td] > w->contiguous[te];
    bool cd = ix_is_const(n->space->ext[td]), ce = ix_is_const(n->space->ext[te]);
    if (w->contiguous[td] > 0 && cd != ce) return cd;
    return !votes || votes[td] >= votes[te];
}

/* No contraction reads or makes it: the axis most wanted as the contiguous one becomes that. */
static void apply_votes(const double *votes, const Node *node, int8_t *order)
{
    int best = node->rank - 1;
    for (int i = 0; i < node->rank; i++)
        if (votes[order[i]] > votes[order[best]]) best = i;
    if (node->rank == 0) return;
    int8_t last = order[best];
    memmove(order + best, order + best + 1, (size_t)(node->rank - 1 - best));
    order[node->rank - 1] = last;
}

/* Runs in the order of their heads, the one whose tail is most wanted contiguous at the end. */
static void apply_wish(const Wish *w, const double *votes, const Node *node, int8_t *order)
{
    int rank = node->rank;
    int8_t plain[MAX_AXES];
    for (int i = 0; i < rank; i++) plain[i] = order[i];
    int last = -1, n = 0;
    for (int i = 0; i < rank; i++)
        if (w->prev[plain[i]] < 0 && better_last(w, votes, node, plain[i], last)) last = plain[i];
    for (int i = 0; i <= rank; i++) {
        int d = i < rank ? plain[i] : last;
        if (d < 0 || w->prev[d] >= 0 || (i < rank && d == last)) continue;
        for (; d >= 0; d = w->next[d]) order[n++] = (int8_t)d;
    }
}

Order *layout_choose(Graph *g, Arena *a, const int64_t *syms, const Contraction *c, int n,
                     const Order *fixed, double *const *votes)
{
    Layout l = {.g = g, .arena = a, .syms = syms, .fixed = fixed};
    l.wish = NEW_N(a, Wish *, g->nodes.n);
    l.order = NEW_N(a, Order, g->nodes.n);
    for (int i = 0; i < n; i++) contraction_wishes(&l, &c[i]);
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *node = g->nodes.v[i];
        if (fixed[i]) {
            l.order[i] = fixed[i];
            continue;
        }
        int8_t *order = NEW_N(a, int8_t, node->rank + 1);
        inherit(&l, node, order);
        if (l.wish[i])
            apply_wish(l.wish[i], votes ? votes[i] : NULL, node, order);
        else if (votes && votes[i])
            apply_votes(votes[i], node, order);
        l.order[i] = order;
    }
    return l.order;
}

/* ---- the library call ---- */

typedef struct {
    const Ix *a[MAX_AXES], *b[MAX_AXES], *c[MAX_AXES];
} Strides;

/* Axes of the mask, the widest stride outermost. */
static int list_axes(uint64_t mask, const Ix *const *stride, const int64_t *syms, int8_t *axes)
{
    int n = 0;
    for (int x = 0; x < MAX_AXES; x++) {
        if (!(mask >> x & 1)) continue;
        int i = n++;
        double s = size_at(stride[x], syms);
        for (; i > 0 && size_at(stride[axes[i - 1]], syms) < s; i--) axes[i] = axes[i - 1];
        axes[i] = (int8_t)x;
    }
    return n;
}

static bool one_axis(Graph *g, const Space *s, const Ix *const *stride, int outer, int inner)
{
    return ix_proves_eq(g, stride[outer], ix_mul(g, s->ext[inner], stride[inner]));
}

/* The longest run of axes[0, n) that is one axis in both tensors; the rest moves to batch. */
static int merged_run(Graph *g, const Space *s, const int64_t *syms, const Ix *const *p,
                      const Ix *const *q, int8_t *axes, int n, Product *out)
{
    int best = 0, best_n = 0, from = 0;
    double best_size = -1;
    for (int i = 1; i <= n; i++) {
        if (i < n && one_axis(g, s, p, axes[i - 1], axes[i]) &&
            one_axis(g, s, q, axes[i - 1], axes[i]))
            continue;
        double size = 1;
        for (int k = from; k < i; k++) size *= size_at(s->ext[axes[k]], syms);
        if (ix_is(p[axes[i - 1]], 1) && ix_is(q[axes[i - 1]], 1)) size *= 1.5;
        if (size > best_size) {
            best_size = size;
            best = from;
            best_n = i - from;
        }
        from = i;
    }
    for (int i = 0; i < n; i++)
        if (i < best || i >= best + best_n) out->batch[out->nbatch++] = axes[i];
    memmove(axes, axes + best, (size_t)best_n);
    return best_n;
}

static double list_count(const Space *s, const int8_t *x, int n, const int64_t *syms)
{
    double c = 1;
    for (int i = 0; i < n; i++) c *= size_at(s->ext[x[i]], syms);
    return c;
}

/* A matrix as libraries take it: one axis with step 1, the other stepping over whole rows of it. */
static bool is_matrix(const Space *s, const int64_t *syms, const Ix *const *stride, const int8_t *x,
                      int nx, const int8_t *y, int ny)
{
    const Ix *sx = stride[x[nx - 1]], *sy = stride[y[ny - 1]];
    return (ix_is(sx, 1) && size_at(sy, syms) >= list_count(s, x, nx, syms)) ||
           (ix_is(sy, 1) && size_at(sx, syms) >= list_count(s, y, ny, syms));
}

ProductFault product_build(Graph *g, const int64_t *syms, const Contraction *c, const Order *order,
                           Product *out)
{
    const Space *s = c->sum->space;
    Strides st;
    edge_strides(g, c->a, order[c->a.node->id], s->n, st.a);
    edge_strides(g, c->b, order[c->b.node->id], s->n, st.b);
    edge_strides(g, edge_identity(g, c->sum), order[c->sum->id], s->n, st.c);
    for (int x = 0; x < s->n; x++)
        if (!st.a[x] || !st.b[x]) return st.a[x] ? PRODUCT_B : PRODUCT_A;
    *out = (Product){.a = c->a, .b = c->b, .alpha = c->alpha};
    out->nbatch = list_axes(c->batch, st.c, syms, out->batch);
    int nm = list_axes(c->m, st.c, syms, out->m), nn = list_axes(c->n, st.c, syms, out->n);
    int nk = list_axes(c->k, st.a, syms, out->k);
    for (int i = 1; i < nk; i++) {
        bool in_a = one_axis(g, s, st.a, out->k[i - 1], out->k[i]);
        bool in_b = one_axis(g, s, st.b, out->k[i - 1], out->k[i]);
        if (!in_a || !in_b) {
            double size_a = elements_at(c->a.node, syms), size_b = elements_at(c->b.node, syms);
            return !in_a && (in_b || size_a <= size_b) ? PRODUCT_A : PRODUCT_B;
        }
    }
    out->nm = merged_run(g, s, syms, st.a, st.c, out->m, nm, out);
    out->nn = merged_run(g, s, syms, st.b, st.c, out->n, nn, out);
    out->nk = nk;
    if (!is_matrix(s, syms, st.a, out->m, out->nm, out->k, out->nk)) return PRODUCT_A;
    if (!is_matrix(s, syms, st.b, out->n, out->nn, out->k, out->nk)) return PRODUCT_B;
    if (!is_matrix(s, syms, st.c, out->m, out->nm, out->n, out->nn)) return PRODUCT_OUT;
    if (!ix_is(st.c[out->n[out->nn - 1]],
               1)) { /* the library writes rows: the transposed product */
        Product t = *out;
        out->a = t.b;
        out->b = t.a;
        out->nm = t.nn;
        out->nn = t.nm;
        memcpy(out->m, t.n, sizeof t.n);
        memcpy(out->n, t.m, sizeof t.m);
    }
    return PRODUCT_OK;
}
