/* contract.c: the pass that prepares sums of products for the library.
 *
 * Needs nothing, breaks nothing but its own state; the gradient must be there already, since the
 * copies it makes stop differentiation. A sum whose body is a product of factors becomes the
 * product of two tensors:
 *
 *   before  %5 = mul %3[i0,i1] %4[i1,idx[i2]]                     %4 read at computed places
 *           %6[i,j] = sum over [k] %5[i0,i2,i1]
 *   after   %7[k,j] = stop %4[i0,idx[i1]]                          the operand as a tensor
 *           %8 = mul %3[i0,i1] %7[i1,i2]
 *           %6[i,j] = sum over [k] %8[i0,i2,i1]
 *
 * A constant that multiplies such a sum goes into its body: the library scales as it stores.
 * Factors beyond two are multiplied into the operand that has their axes. An operand gets a copy
 * when it is itself a product of factors, when an index isn't affine, or when no order of its axes
 * suits all its readers.
 */
#include <stdlib.h>
#include "passes/group.h"

enum { MOST_FACTORS = 8, LEAST_SIDE = 4, LEAST_WORK = 1 << 17, MOST_ROUNDS = 3 };

/* ---- what is a contraction ---- */

bool contraction_axes(Node *sum, uint64_t a, uint64_t b, const int64_t *syms, Contraction *c)
{
    uint64_t out = (1ull << sum->rank) - 1, all = (1ull << sum->space->n) - 1;
    c->sum = sum;
    c->alpha = 1;
    c->batch = a & b & out;
    c->m = a & ~b & out;
    c->n = b & ~a & out;
    c->k = all & ~out;
    if (!c->m || !c->n || !c->k || (c->k & ~(a & b)) || (out & ~(a | b))) return false;
    double m = axes_at(sum->space, c->m, syms), n = axes_at(sum->space, c->n, syms);
    double k = axes_at(sum->space, c->k, syms);
    c->work = m * n * k * axes_at(sum->space, c->batch, syms);
    return m >= LEAST_SIDE && n >= LEAST_SIDE && k >= LEAST_SIDE && c->work >= LEAST_WORK;
}

enum { MOST_DIGITS = 4 };

/* Do these dimensions, each a row of the next, make one affine index of the axis? */
static bool is_digits(Graph *g, Edge e, int axis, const int *dims, int n, const Ix **step)
{
    const Ix *at = ix_const(g, 0), *unit = ix_const(g, 1), *rest;
    for (int i = n - 1; i >= 0; i--) {
        at = ix_add(g, at, ix_mul(g, unit, e.map->ix[dims[i]]));
        unit = ix_mul(g, unit, e.node->space->ext[dims[i]]);
    }
    return ix_affine(g, at, axis, step, &rest) && !(*step)->axes;
}

static bool permute_digits(Graph *g, Edge e, int axis, int *dims, int from, int n, const Ix **step)
{
    if (from == n) return is_digits(g, e, axis, dims, n, step);
    for (int i = from; i < n; i++) {
        int t = dims[i];
        memmove(dims + from + 1, dims + from, sizeof *dims * (size_t)(i - from));
        dims[from] = t;
        if (permute_digits(g, e, axis, dims, from + 1, n, step)) return true;
        memmove(dims + from, dims + from + 1, sizeof *dims * (size_t)(i - from));
        dims[i] = t;
    }
    return false;
}

int axis_dims(Graph *g, Edge e, int axis, int *dims, const Ix **step)
{
    const Ix *rest;
    int n = 0;
    for (int d = 0; d < e.map->n; d++) {
        if (!(e.map->ix[d]->axes >> axis & 1)) continue;
        if (n == MOST_DIGITS) return -1;
        dims[n++] = d;
    }
    if (n == 0) return 0;
    if (n == 1)
        return ix_affine(g, e.map->ix[dims[0]], axis, step, &rest) && !(*step)->axes ? 1 : -1;
    return permute_digits(g, e, axis, dims, 0, n, step) ? n : -1;
}

bool operand_is_plain(Graph *g, Edge e)
{
    if (e.node->op == OP_const || e.node->op == OP_idx || e.node->op == OP_rand ||
        e.node->op == OP_fresh || e.node->dt != DT_FLOAT)
        return false;
    for (int d = 0; d < e.map->n; d++)
        if (e.map->ix[d]->loads) return false;
    for (int x = 0; x < MAX_AXES; x++) {
        int dims[MAX_AXES];
        const Ix *step;
        if (axis_dims(g, e, x, dims, &step) < 0) return false;
    }
    return true;
}

static bool is_product_sum(const Node *n)
{
    return n->op == OP_sum && n->dt == DT_FLOAT && n->args[0].node->op == OP_mul;
}

/* A constant factor of the body goes into *alpha; the rest is returned. */
static Edge strip_scale(Graph *g, Edge body, const Space *space, double *alpha)
{
    *alpha = 1;
    if (body.node->op != OP_mul) return body;
    for (int i = 0; i < 2; i++) {
        const Node *c = body.node->args[i].node;
        if (c->op != OP_const) continue;
        *alpha = c->attr.value.f;
        return edge_arg(g, body, 1 - i, space);
    }
    return body;
}

/* alpha * sum over the reduced axes of a * b; identities would take the constant out again. */
static Edge scaled_sum(Graph *g, const Space *space, int nout, double alpha, Edge a, Edge b)
{
    bool rules = g->rules_on;
    Edge body = graph_pw2(g, OP_mul, space, a, b);
    g->rules_on = rules && alpha == 1;
    if (alpha != 1) body = graph_pw2(g, OP_mul, space, graph_float(g, alpha), body);
    Edge sum = graph_reduce(g, OP_sum, space, nout, body);
    g->rules_on = rules;
    return sum;
}

bool contraction_factors(Graph *g, Node *sum, Edge *a, Edge *b, double *alpha)
{
    if (!is_product_sum(sum)) return false;
    Edge body = strip_scale(g, sum->args[0], sum->space, alpha);
    if (body.node->op != OP_mul) return false;
    *a = edge_arg(g, body, 0, sum->space), *b = edge_arg(g, body, 1, sum->space);
    return true;
}

bool contraction_match(Graph *g, Node *sum, const int64_t *syms, Contraction *c)
{
    double alpha;
    Edge a, b;
    if (!contraction_factors(g, sum, &a, &b, &alpha)) return false;
    if (!contraction_axes(sum, edge_axes(a), edge_axes(b), syms, c)) return false;
    c->a = a;
    c->b = b;
    c->alpha = alpha;
    return operand_is_plain(g, a) && operand_is_plain(g, b);
}

/* ---- factors to two operands ---- */

typedef struct {
    Edge f[MOST_FACTORS];
    int n;
} Factors;

static bool flatten(Graph *g, Edge e, const Space *space, Factors *out)
{
    if (e.node->op == OP_mul)
        return flatten(g, edge_arg(g, e, 0, space), space, out) &&
               flatten(g, edge_arg(g, e, 1, space), space, out);
    if (out->n == MOST_FACTORS) return false;
    out->f[out->n++] = e;
    return true;
}

typedef struct {
    Edge part[2][MOST_FACTORS];
    int n[2];
    uint64_t axes[2];
} Sides;

static void side_add(Sides *s, int side, Edge e)
{
    s->part[side][s->n[side]++] = e;
    s->axes[side] |= edge_axes(e);
}

static bool apart(const Sides *s, uint64_t out)
{
    return (s->axes[0] & ~s->axes[1] & out) && (s->axes[1] & ~s->axes[0] & out);
}

/* The side that factor e joins: the one that has its axes, else the one that grows less; -1: it
 * can't. */
static int side_for(const Sides *s, Edge e, const Node *sum, const int64_t *syms)
{
    int best = -1;
    double best_growth = 0, best_size = 0;
    for (int side = 0; side < 2; side++) {
        Sides with = *s;
        with.axes[side] |= edge_axes(e);
        if (!apart(&with, (1ull << sum->rank) - 1)) continue;
        double size = axes_at(sum->space, with.axes[side], syms);
        double growth = size - axes_at(sum->space, s->axes[side], syms);
        if (best < 0 || growth < best_growth || (growth == best_growth && size < best_size)) {
            best = side;
            best_growth = growth;
            best_size = size;
        }
    }
    return best;
}

/* Seeds i and j; the other factors in order of falling size. */
static bool sides_from(const Factors *f, int i, int j, const Node *sum, const int64_t *syms,
                       Sides *s)
{
    *s = (Sides){.n = {0, 0}};
    side_add(s, 0, f->f[i]);
    side_add(s, 1, f->f[j]);
    if (!apart(s, (1ull << sum->rank) - 1)) return false;
    bool used[MOST_FACTORS] = {false};
    used[i] = used[j] = true;
    for (int left = f->n - 2; left > 0; left--) {
        int next = -1;
        double size = -1;
        for (int k = 0; k < f->n; k++) {
            double c = used[k] ? -1 : axes_at(sum->space, edge_axes(f->f[k]), syms);
            if (c > size) {
                next = k;
                size = c;
            }
        }
        int side = side_for(s, f->f[next], sum, syms);
        if (side < 0) return false;
        side_add(s, side, f->f[next]);
        used[next] = true;
    }
    return true;
}

static bool pair_factors(const Factors *f, Node *sum, const int64_t *syms, Sides *best)
{
    Contraction c;
    double best_size = -1;
    for (int i = 0; i < f->n; i++)
        for (int j = i + 1; j < f->n; j++) {
            Sides s;
            if (!sides_from(f, i, j, sum, syms, &s)) continue;
            if (!contraction_axes(sum, s.axes[0], s.axes[1], syms, &c)) continue;
            double size =
                axes_at(sum->space, s.axes[0], syms) + axes_at(sum->space, s.axes[1], syms);
            if (best_size >= 0 && size >= best_size) continue;
            *best = s;
            best_size = size;
        }
    return best_size >= 0;
}

static bool find_sides(Graph *g, Node *sum, Edge body, const int64_t *syms, Sides *s)
{
    Factors two = {.n = 2}, all = {.n = 0};
    if (body.node->op != OP_mul) return false;
    for (int i = 0; i < 2; i++) two.f[i] = edge_arg(g, body, i, sum->space);
    return pair_factors(&two, sum, syms, s) ||
           (flatten(g, body, sum->space, &all) && pair_factors(&all, sum, syms, s));
}

bool contraction_like(Graph *g, Node *sum, const int64_t *syms, Contraction *c)
{
    double alpha;
    Sides s;
    if (!is_product_sum(sum)) return false;
    Edge body = strip_scale(g, sum->args[0], sum->space, &alpha);
    return find_sides(g, sum, body, syms, &s) &&
           contraction_axes(sum, s.axes[0], s.axes[1], syms, c);
}

/* ---- the pass ---- */

/* The axes of the operands of a sum that need another layout; 0: none. */
typedef struct {
    uint64_t a, b;
} Misplaced;

typedef struct {
    const int64_t *syms;
    const Misplaced *copy; /* by old node id; NULL: first round */
    const int *readers;    /* by old node id */
    Inner inner;           /* by old node id: products that stay inside kernels */
} Contract;

static Edge times(Graph *g, const Space *space, const Edge *part, int n)
{
    Edge e = part[0];
    for (int i = 1; i < n; i++) e = graph_pw2(g, OP_mul, space, e, part[i]);
    return e;
}

/* For a product inside a kernel with blocks along `kept`: light code that is read at gathered
 * places is computed there, where the kernel can have it private, not for all places beforehand. */
static Edge gathered(Graph *g, const Space *space, uint64_t kept, Edge e)
{
    bool loads = false;
    if (kept & ~edge_axes(e)) return e; /* every block along the others would compute it again */
    for (int i = 0; i < e.map->n; i++) loads |= e.map->ix[i]->loads;
    return loads && is_light(e.node) && e.node->nargs ? graph_copy(g, space, e) : e;
}

static Edge operand(Graph *g, const Space *space, const Edge *part, int n)
{
    if (n == 1) return operand_is_plain(g, part[0]) ? part[0] : copy_by_digits(g, space, part[0]);
    return graph_copy(g, space, times(g, space, part, n));
}

static Edge inner_sum(Graph *g, const Node *old, double alpha, uint64_t kept, const Sides *s)
{
    Edge f[2];
    for (int i = 0; i < 2; i++)
        f[i] = gathered(g, old->space, kept, times(g, old->space, s->part[i], s->n[i]));
    return scaled_sum(g, old->space, old->rank, alpha, f[0], f[1]);
}

static Edge contract_sum(Contract *ctx, Graph *g, const Node *old, const Edge *args)
{
    Node sum = *old;
    sum.args[0] = args[0];
    const Space *space = old->space;
    double alpha;
    Edge body = strip_scale(g, args[0], space, &alpha);
    Sides s;
    if (!find_sides(g, &sum, body, ctx->syms, &s)) return graph_renew(g, old, args);
    if (ctx->inner.inner[old->id]) return inner_sum(g, old, alpha, ctx->inner.kept[old->id], &s);
    Edge a = operand(g, space, s.part[0], s.n[0]), b = operand(g, space, s.part[1], s.n[1]);
    if (ctx->copy) {
        Misplaced m = ctx->copy[old->id];
        if (edge_axes(a) == m.a || edge_axes(a) == m.b) a = graph_copy(g, space, a);
        if (edge_axes(b) == m.a || edge_axes(b) == m.b) b = graph_copy(g, space, b);
    }
    return scaled_sum(g, space, old->rank, alpha, a, b);
}

/* constant * product, where nothing else reads the product: the library scales. */
static bool scale_product(Contract *ctx, Graph *g, const Node *old, const Edge *args, Edge *out)
{
    for (int i = 0; i < 2 && old->op == OP_mul; i++) {
        const Node *scale = args[i].node;
        Node *sum = args[1 - i].node;
        Contraction c;
        if (scale->op != OP_const || ctx->readers[old->args[1 - i].node->id] != 1) continue;
        if (ctx->inner.inner[old->args[1 - i].node->id]) continue;
        if (!contraction_match(g, sum, ctx->syms, &c)) continue;
        double alpha = c.alpha * scale->attr.value.f;
        Edge e = scaled_sum(g, sum->space, sum->rank, alpha, c.a, c.b);
        *out = edge_comp(g, e, args[1 - i].map, old->space);
        return true;
    }
    return false;
}

static void count_reader(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    ((int *)ctx)[e.node->id]++;
}

static int *count_readers(Unit *u)
{
    Graph *g = u->graph;
    int *readers = NEW_N(u->arena, int, g->nodes.n);
    for (int i = 0; i < g->nodes.n; i++) node_reads(g->nodes.v[i], count_reader, readers);
    for (int i = 0; i < g->roots.n; i++) readers[g->roots.v[i].e.node->id]++;
    for (int i = 0; i < g->checks.n; i++)
        if (g->checks.v[i].e.node) readers[g->checks.v[i].e.node->id]++;
    return readers;
}

static Edge contract_node(void *ctx, Graph *g, const Node *old, const Edge *args)
{
    Node now = *old;
    if (old->op == OP_stop && !((Contract *)ctx)->copy)
        return args[0]; /* nothing is differentiated any more */
    if (old->op == OP_stop) return graph_copy(g, old->space, args[0]);
    now.args[0] = args[0];
    Edge scaled;
    if (scale_product(ctx, g, old, args, &scaled)) return scaled;
    return is_product_sum(&now) ? contract_sum(ctx, g, old, args) : graph_renew(g, old, args);
}

static int by_work(const void *pa, const void *pb)
{
    const Contraction *a = pa, *b = pb;
    if (a->work != b->work) return a->work < b->work ? 1 : -1;
    return a->sum->id - b->sum->id;
}

/* Which operands lie wrongly however orders are chosen; false if none does. */
static bool misplaced(Unit *u, const int64_t *syms, const Inner *inner, Misplaced *copy)
{
    Graph *g = u->graph;
    VEC(Contraction) all = {0};
    for (int i = 0; i < g->nodes.n; i++) {
        Contraction c;
        if (!inner->inner[i] && contraction_match(g, g->nodes.v[i], syms, &c))
            vec_push(u->arena, &all, c);
    }
    if (!all.n) return false;
    qsort(all.v, (size_t)all.n, sizeof *all.v, by_work);
    Order *order = layout_choose(g, u->arena, syms, all.v, all.n, layout_fixed(g, u->arena), NULL);
    bool any = false;
    for (int i = 0; i < all.n; i++) {
        Product p;
        ProductFault f = product_build(g, syms, &all.v[i], order, &p);
        if (f != PRODUCT_A && f != PRODUCT_B) continue;
        Misplaced *m = &copy[all.v[i].sum->id];
        if (f == PRODUCT_A)
            m->a = edge_axes(all.v[i].a);
        else
            m->b = edge_axes(all.v[i].b);
        any = true;
    }
    return any;
}

void pass_contract(Unit *u)
{
    Graph *g = u->graph;
    Contract ctx = {.syms = hint_syms(u), .readers = count_readers(u)};
    ctx.inner = inner_find(g, ctx.syms);
    graph_rewrite(g, contract_node, &ctx);
    for (int round = 0; round < MOST_ROUNDS; round++) {
        Misplaced *copy = NEW_N(u->arena, Misplaced, g->nodes.n);
        ctx.inner = inner_find(g, ctx.syms);
        if (!misplaced(u, ctx.syms, &ctx.inner, copy)) break;
        ctx.copy = copy;
        ctx.readers = count_readers(u);
        graph_rewrite(g, contract_node, &ctx);
    }
}
