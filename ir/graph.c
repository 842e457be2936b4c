/* graph.c: the constructors. Each infers dtypes (mixed operands get explicit casts), applies the identities,
 * brings axes into canonical order and interns.
 *
 * Canonical order: only axes that some operand uses; numbered by first appearance, walking the operands in order;
 * axes of extent 1 read as 0. So equal computations are one node whatever their axes were called, and the result
 * is an edge: the node and which of the reader's axes its axes are.
 */
#include "ir/intern.h"

/* ---- canonical axes ---- */

typedef struct {
    Graph *g;
    const Space *space;      /* the reader's */
    uint64_t seen;
    int order[MAX_AXES], n;  /* axes of space in order of appearance */
} Canon;

static void see_axis(Canon *c, int axis)
{
    if (c->seen >> axis & 1) return;
    c->seen |= 1ull << axis;
    if (ix_is(c->space->ext[axis], 1)) return;         /* its only position is 0 */
    c->order[c->n++] = axis;
}

static void see_ix(Canon *c, const Ix *e)
{
    uint64_t key[64];
    int at[64], n = 0;
    if (!e->axes) return;
    for (int i = 0; i < e->nterm && n < 64; i++) {     /* larger coefficients first, whatever the axis numbers */
        Ix one = {.nterm = 1, .t = &e->t[i]};
        uint64_t h = ix_hash_shape(&one) & 0xffffffff;
        int64_t coef = e->t[i].coef < INT32_MAX ? (e->t[i].coef > -INT32_MAX ? e->t[i].coef : -INT32_MAX) : INT32_MAX;
        uint64_t k = ((uint64_t)(INT32_MAX - coef) << 32) | h;
        int j = n++;
        for (; j > 0 && key[j - 1] > k; j--) key[j] = key[j - 1], at[j] = at[j - 1];
        key[j] = k, at[j] = i;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < e->t[at[i]].n; j++) {
            const Atom *a = e->t[at[i]].f[j];
            if (a->kind == AT_AXIS) see_axis(c, a->id);
            else if (a->kind == AT_LOAD)
                for (int k = 0; k < a->load.map->n; k++) see_ix(c, a->load.map->ix[k]);
            else if (a->a) see_ix(c, a->a), see_ix(c, a->b);
        }
}

static void see_edge(Canon *c, Edge e)
{
    for (int i = 0; i < e.map->n; i++) see_ix(c, e.map->ix[i]);
}

/* The new space, how old axes are read over it, and how the reader addresses it. */
typedef struct {
    const Space *space;
    const Map *down;         /* old axis -> expression over the new space */
    const Map *up;           /* new axis -> expression over the old space */
} Renumber;

static Renumber renumber(Canon *c)
{
    Graph *g = c->g;
    const Ix *ext[MAX_AXES], *down[MAX_AXES], *up[MAX_AXES];
    for (int i = 0; i < c->space->n; i++) down[i] = ix_const(g, 0);
    for (int i = 0; i < c->n; i++) {
        ext[i] = c->space->ext[c->order[i]];
        down[c->order[i]] = ix_axis(g, i);
        up[i] = ix_axis(g, c->order[i]);
    }
    return (Renumber){space_make(g, c->n, ext), map_make(g, c->space->n, down), map_make(g, c->n, up)};
}

/* Out axes first, then reduced ones, each in order of appearance. Returns the number of out axes. */
static int out_first(Canon *c, int nout)
{
    int sorted[MAX_AXES], n = 0;
    for (int i = 0; i < c->n; i++)
        if (c->order[i] < nout) sorted[n++] = c->order[i];
    int k = n;
    for (int i = 0; i < c->n; i++)
        if (c->order[i] >= nout) sorted[n++] = c->order[i];
    memcpy(c->order, sorted, sizeof(int) * (size_t)n);
    return k;
}

/* ---- constants and leaves ---- */

static Edge make_const(Graph *g, DType dt, double f, int32_t i)
{
    Node n = {.op = OP_const, .dt = dt, .space = space_make(g, 0, NULL)};
    n.attr.value.f = f, n.attr.value.i = i;
    return edge_identity(g, node_intern(g, &n));
}
Edge graph_float(Graph *g, double v) { return make_const(g, DT_FLOAT, v, 0); }
Edge graph_int(Graph *g, int32_t v) { return make_const(g, DT_INT, 0, v); }
Edge graph_bool(Graph *g, bool v) { return make_const(g, DT_BOOL, 0, v); }

Edge graph_leaf(Graph *g, Op op, const char *name, DType dt, const Space *shape)
{
    Node n = {.op = op, .dt = op == OP_fresh ? DT_BOOL : dt, .rank = shape->n, .space = shape};
    n.attr.leaf.name = arena_strdup(g->arena, name);
    int before = g->nodes.n;
    Node *leaf = node_intern(g, &n);
    if (g->nodes.n > before) {
        Named entry = {.name = leaf->attr.leaf.name, .node = leaf, .loc = g->loc};
        if (op == OP_param) vec_push(g->arena, &g->params, entry);
        if (op == OP_state) vec_push(g->arena, &g->states, entry);
        if (op == OP_input) vec_push(g->arena, &g->inputs, entry);
    }
    return edge_identity(g, leaf);
}

Edge graph_idx(Graph *g, const Ix *value, const Space *space)
{
    Canon c = {.g = g, .space = space};
    see_ix(&c, value);
    Renumber r = renumber(&c);
    value = ix_subst(g, value, r.down, r.space);
    if (ix_is_const(value)) return graph_int(g, (int32_t)value->c);
    Node n = {.op = OP_idx, .dt = DT_INT, .rank = r.space->n, .space = r.space, .attr.ix = value};
    return (Edge){node_intern(g, &n), r.up};
}

Edge graph_rand(Graph *g, uint64_t site, const Space *space)
{
    Node n = {.op = OP_rand, .dt = DT_FLOAT, .rank = space->n, .space = space, .attr.site = site};
    return edge_identity(g, node_intern(g, &n));
}

/* ---- pointwise ---- */

static DType common(const Edge *e, int n)
{
    DType dt = e[0].node->dt;
    for (int i = 1; i < n; i++)
        if (e[i].node->dt == DT_FLOAT || dt == DT_BOOL) dt = e[i].node->dt == DT_BOOL ? dt : e[i].node->dt;
    return dt;
}

Edge graph_cast(Graph *g, DType dt, const Space *space, Edge a)
{
    if (a.node->dt == dt) return a;
    if (a.node->op == OP_const) {
        double v = a.node->dt == DT_FLOAT ? a.node->attr.value.f : a.node->attr.value.i;
        Edge k = dt == DT_FLOAT ? graph_float(g, v) : dt == DT_INT ? graph_int(g, (int32_t)v) : graph_bool(g, v != 0);
        return (Edge){k.node, map_make(g, 0, NULL)};
    }
    Canon c = {.g = g, .space = space};
    see_edge(&c, a);
    Renumber r = renumber(&c);
    Node n = {.op = OP_cast, .dt = dt, .rank = r.space->n, .space = r.space, .nargs = 1};
    n.args[0] = edge_comp(g, a, r.down, r.space);
    return (Edge){node_intern(g, &n), r.up};
}

/* The dtype of the result, and casts so that operands of one kind have one dtype. */
static DType infer(Graph *g, Op op, const Space *space, Edge *a)
{
    const OpInfo *info = &op_info[op];
    DType in = DT_BOOL, out;
    switch (op) {
    case OP_not: case OP_and: case OP_or:
        for (int i = 0; i < info->nargs; i++)
            if (a[i].node->dt != DT_BOOL) diag_bug(g->diag, "%s of an operand that is not bool", info->name);
        return DT_BOOL;
    case OP_select:
        if (a[0].node->dt != DT_BOOL) diag_bug(g->diag, "select by a condition that is not bool");
        out = common(a + 1, 2);
        for (int i = 1; i < 3; i++) a[i] = graph_cast(g, out, space, a[i]);
        return out;
    case OP_stop: return a[0].node->dt;
    case OP_pow: {
        bool whole = a[0].node->dt == DT_INT && a[1].node->op == OP_const && a[1].node->dt == DT_INT && a[1].node->attr.value.i >= 0;
        in = out = whole ? DT_INT : DT_FLOAT;
        break;
    }
    default:
        in = info->dtype == RULE_FLOAT ? DT_FLOAT : common(a, info->nargs);
        if (in == DT_BOOL && op != OP_eq) in = DT_INT;
        out = info->dtype == RULE_FLOAT ? DT_FLOAT : info->dtype == RULE_BOOL ? DT_BOOL : in;
    }
    for (int i = 0; i < info->nargs; i++) a[i] = graph_cast(g, in, space, a[i]);
    return out;
}

/* Arithmetic on positions stays an index expression. */
static bool fold_index(Graph *g, Op op, const Space *space, const Edge *a, Edge *out)
{
    const Ix *x[2] = {NULL, NULL}, *r = NULL;
    int n = op_info[op].nargs;
    if (n > 2 || op == OP_cast || op == OP_stop) return false;
    bool index = false;
    for (int i = 0; i < n; i++) {
        if (a[i].node->op != OP_idx && a[i].node->op != OP_const) return false;
        if (a[i].node->dt != DT_INT) return false;
        index |= a[i].node->op == OP_idx;
        x[i] = ix_load(g, a[i], space);
    }
    if (!index) return false;
    switch (op) {
    case OP_add: r = ix_add(g, x[0], x[1]); break;
    case OP_sub: r = ix_sub(g, x[0], x[1]); break;
    case OP_neg: r = ix_scale(g, x[0], -1); break;
    case OP_mul: r = ix_mul(g, x[0], x[1]); break;
    case OP_floordiv:
        if (!x[1]->axes && ix_proves_lt(g, ix_const(g, 0), x[1], NULL)) r = ix_div(g, x[0], x[1], space);
        break;
    case OP_mod:
        if (!x[1]->axes && ix_proves_lt(g, ix_const(g, 0), x[1], NULL)) r = ix_mod(g, x[0], x[1], space);
        break;
    case OP_min: r = ix_min(g, x[0], x[1], space); break;
    case OP_max: r = ix_max(g, x[0], x[1], space); break;
    default: break;
    }
    if (!r) return false;
    *out = graph_idx(g, r, space);
    return true;
}

static bool edge_before(Edge a, Edge b)
{
    if (a.node != b.node) return a.node->id < b.node->id;
    for (int i = 0; i < a.map->n; i++) {
        uint64_t x = ix_hash_shape(a.map->ix[i]), y = ix_hash_shape(b.map->ix[i]);
        if (x != y) return x < y;
    }
    for (int i = 0; i < a.map->n; i++) {
        int c = ix_cmp(a.map->ix[i], b.map->ix[i]);
        if (c) return c < 0;
    }
    return false;
}

/* The canonical node of op over `a`, not yet interned. */
static Node pointwise(Graph *g, Op op, DType dt, const Space *space, Edge *a, Renumber *r)
{
    Node n = {.op = op, .dt = dt, .nargs = op_info[op].nargs};
    if (op_info[op].flags & OPF_COMM && edge_before(a[1], a[0])) {
        Edge t = a[0];
        a[0] = a[1], a[1] = t;
    }
    Canon c = {.g = g, .space = space};
    for (int i = 0; i < n.nargs; i++) see_edge(&c, a[i]);
    *r = renumber(&c);
    n.rank = r->space->n, n.space = r->space;
    for (int i = 0; i < n.nargs; i++) n.args[i] = edge_comp(g, a[i], r->down, r->space);
    return n;
}

Edge graph_pw(Graph *g, Op op, const Space *space, const Edge *args)
{
    Edge a[MAX_ARGS], out;
    memcpy(a, args, sizeof(Edge) * (size_t)op_info[op].nargs);
    if (op_info[op].cls != CLASS_POINTWISE || op == OP_cast)
        diag_bug(g->diag, "graph_pw on %s", op_info[op].name);
    DType dt = infer(g, op, space, a);
    if (fold_index(g, op, space, a, &out)) return out;
    if (g->rules_on && fold_pw(g, op, dt, space, a, &out)) return out;
    Renumber r;
    Node n = pointwise(g, op, dt, space, a, &r);
    return (Edge){node_intern(g, &n), r.up};
}
Edge graph_pw1(Graph *g, Op op, const Space *space, Edge a) { return graph_pw(g, op, space, (Edge[]){a}); }
Edge graph_pw2(Graph *g, Op op, const Space *space, Edge a, Edge b) { return graph_pw(g, op, space, (Edge[]){a, b}); }
Edge graph_select(Graph *g, const Space *space, Edge c, Edge a, Edge b)
{
    return graph_pw(g, OP_select, space, (Edge[]){c, a, b});
}

bool graph_find(Graph *g, Op op, const Space *space, const Edge *args, Edge *found)
{
    Edge a[MAX_ARGS];
    Node *node;
    memcpy(a, args, sizeof(Edge) * (size_t)op_info[op].nargs);
    DType dt = infer(g, op, space, a);
    Renumber r;
    Node n = pointwise(g, op, dt, space, a, &r);
    if (!node_lookup(g, &n, &node)) return false;
    *found = (Edge){node, r.up};
    return true;
}

Edge graph_copy(Graph *g, const Space *space, Edge e)
{
    Renumber r;
    Node n = pointwise(g, OP_stop, e.node->dt, space, &e, &r);
    return (Edge){node_intern(g, &n), r.up};
}

/* ---- access ---- */

typedef enum { INSIDE, OUTSIDE, UNKNOWN } Decision;

static Decision decide(Graph *g, const Ix *ix, const Ix *ext, const Space *space)
{
    if (ix_proves_ge0(g, ix, space) && ix_proves_lt(g, ix, ext, space)) return INSIDE;
    if (ix_proves_lt(g, ix, ix_const(g, 0), space) || ix_proves_ge0(g, ix_sub(g, ix, ext), space)) return OUTSIDE;
    return UNKNOWN;
}

static bool is_sealed(const Graph *g, const Node *n) { return n->id < g->nsealed && g->sealed[n->id]; }

void graph_seal(Graph *g, int n, const bool *sealed)
{
    g->nsealed = n, g->sealed = sealed;
    memset(g->tables->subst, 0, sizeof *g->tables->subst * MEMO); /* maps with loads that were looked through */
}

Edge edge_comp(Graph *g, Edge e, const Map *m, const Space *to)
{
    e.map = map_subst(g, e.map, m, to);
    while (e.node->op == OP_read && !is_sealed(g, e.node)) { /* a guard that is decided here falls away */
        Decision all = INSIDE;
        for (int i = 0; i < e.node->attr.guard.n && all != OUTSIDE; i++) {
            const Guard *q = &e.node->attr.guard.g[i];
            Decision d = decide(g, ix_subst(g, q->ix, e.map, to), q->ext, to);
            if (d != INSIDE) all = d;
            if (d == UNKNOWN) break;
        }
        if (all == UNKNOWN) break;
        Edge x = e.node->args[all == INSIDE ? 0 : 1];
        x.map = map_subst(g, x.map, e.map, to);
        e = x;
    }
    return e;
}

Edge edge_arg(Graph *g, Edge e, int i, const Space *space) { return edge_comp(g, e.node->args[i], e.map, space); }

Edge graph_read(Graph *g, const Space *space, const Guard *guards, int n, Edge e, Edge fill)
{
    Guard keep[MAX_AXES * 2];
    Edge both[2] = {e, fill};
    int k = 0;
    for (int i = 0; i < n; i++) {
        Decision d = decide(g, guards[i].ix, guards[i].ext, space);
        if (d == OUTSIDE) return fill;
        bool twice = d == INSIDE;
        for (int j = 0; j < k; j++) twice |= keep[j].ix == guards[i].ix && keep[j].ext == guards[i].ext;
        if (!twice && k < COUNT(keep)) keep[k++] = guards[i];
    }
    if (!k || edge_eq(e, fill)) return e;
    DType dt = common(both, 2);
    for (int i = 0; i < 2; i++) both[i] = graph_cast(g, dt, space, both[i]);
    if (edge_eq(both[0], both[1])) return both[0];
    Canon c = {.g = g, .space = space};
    see_edge(&c, both[0]);
    see_edge(&c, both[1]);
    for (int i = 0; i < k; i++) see_ix(&c, keep[i].ix);
    Renumber r = renumber(&c);
    Node node = {.op = OP_read, .dt = dt, .rank = r.space->n, .space = r.space, .nargs = 2};
    for (int i = 0; i < 2; i++) node.args[i] = edge_comp(g, both[i], r.down, r.space);
    for (int i = 0; i < k; i++) keep[i].ix = ix_subst(g, keep[i].ix, r.down, r.space);
    node.attr.guard.n = k;
    node.attr.guard.g = arena_copy(g->arena, keep, sizeof(Guard) * (size_t)k);
    return (Edge){node_intern(g, &node), r.up};
}

Edge graph_access(Graph *g, const Space *space, const Space *shape, Edge e, const Map *m, const Edge *fill)
{
    if (!fill) return edge_comp(g, e, m, space);
    Guard guards[MAX_AXES];
    for (int i = 0; i < shape->n; i++) {
        guards[i] = (Guard){m->ix[i], shape->ext[i]};
        if (decide(g, m->ix[i], shape->ext[i], space) == OUTSIDE || ix_is(shape->ext[i], 0)) return *fill;
    }
    return graph_read(g, space, guards, shape->n, edge_comp(g, e, m, space), *fill);
}

/* ---- reductions ---- */

Edge graph_reduce(Graph *g, Op op, const Space *space, int nout, Edge e)
{
    Edge out;
    if (op == OP_sum && e.node->dt == DT_BOOL) e = graph_cast(g, DT_INT, space, e);
    if (g->rules_on && fold_reduce(g, op, space, nout, e, &out)) return out;
    Canon c = {.g = g, .space = space};
    see_edge(&c, e);
    for (int i = nout; i < space->n; i++) {            /* a sum counts positions that its body doesn't name */
        bool once = op != OP_sum && ix_proves_lt(g, ix_const(g, 0), space->ext[i], NULL);
        if (!once) see_axis(&c, i);
    }
    int k = out_first(&c, nout);
    Renumber r = renumber(&c);
    if (k == c.n)                                      /* only axes of one position are reduced: e at 0 */
        return edge_comp(g, edge_comp(g, e, r.down, r.space), r.up, space_slice(g, space, 0, nout));
    Node n = {.op = op, .dt = e.node->dt, .rank = k, .space = r.space, .nargs = 1};
    n.args[0] = edge_comp(g, e, r.down, r.space);
    return (Edge){node_intern(g, &n), map_make(g, k, r.up->ix)};
}

Edge graph_top(Graph *g, const Space *space, int nout, Edge e, const Ix *width)
{
    const Ix *axis = space->ext[nout], *left = ix_sub(g, axis, width);
    if (ix_proves_lt(g, left, ix_const(g, 0), NULL))
        user_error(g->diag, g->loc, "more ranks are asked for than there are positions\nexpected: at most %s\nfound: %s",
                   ix_text(g, axis), ix_text(g, width));
    if (!ix_proves_ge0(g, left, NULL))
        graph_check(g, (Check){.kind = CHECK_GE0, .ix = left, .text = "more ranks are asked for than there are positions", .loc = g->loc});
    Canon c = {.g = g, .space = space};
    see_edge(&c, e);
    int k = 0;
    for (int i = 0; i < c.n; i++)
        if (c.order[i] < nout) c.order[k++] = c.order[i];
    /* space: used out axes, the ranks, the reduced axis */
    const Ix *ext[MAX_AXES], *down[MAX_AXES], *up[MAX_AXES];
    if (k + 2 > MAX_AXES) user_error(g->diag, g->loc, "an expression has more than %d axes", MAX_AXES);
    for (int i = 0; i < space->n; i++) down[i] = ix_const(g, 0);
    for (int i = 0; i < k; i++) ext[i] = space->ext[c.order[i]], down[c.order[i]] = ix_axis(g, i), up[i] = ix_axis(g, c.order[i]);
    ext[k] = width, ext[k + 1] = axis;
    down[nout] = ix_axis(g, k + 1), up[k] = ix_axis(g, nout);
    Node n = {.op = OP_top, .dt = DT_INT, .rank = k + 1, .space = space_make(g, k + 2, ext), .nargs = 1};
    n.args[0] = edge_comp(g, e, map_make(g, space->n, down), n.space);
    return (Edge){node_intern(g, &n), map_make(g, k + 1, up)};
}

Edge graph_scat(Graph *g, const Space *space, int nout, Edge e, const Ix *const *key)
{
    Edge out;
    if (e.node->dt == DT_BOOL) e = graph_cast(g, DT_INT, space, e);
    if (edge_is_const(e, 0)) return e;
    if (g->rules_on && fold_scat(g, space, nout, e, key, &out)) return out;
    Canon c = {.g = g, .space = space};
    see_edge(&c, e);
    for (int i = 0; i < nout; i++)
        if (key[i]) see_ix(&c, key[i]);
    for (int i = nout; i < space->n; i++) see_axis(&c, i);
    int k = out_first(&c, nout), red = c.n - k, keyed = 0, tail[MAX_AXES];
    memcpy(tail, c.order + k, sizeof(int) * (size_t)red);
    for (int i = 0; i < nout; i++)
        if (key[i]) c.order[k + keyed++] = i;          /* keyed axes stand behind the free ones, extent 1 or not */
    memcpy(c.order + k + keyed, tail, sizeof(int) * (size_t)red);
    c.n = k + keyed + red;
    if (c.n > MAX_AXES) user_error(g->diag, g->loc, "an expression has more than %d axes", MAX_AXES);
    Renumber r = renumber(&c);
    const Ix **nk = NEW_N(g->arena, const Ix *, k + keyed);
    for (int i = k; i < k + keyed; i++) nk[i] = ix_subst(g, key[c.order[i]], r.down, r.space);
    Node n = {.op = OP_scat, .dt = e.node->dt, .rank = k + keyed, .space = r.space, .nargs = 1};
    n.args[0] = edge_comp(g, e, r.down, r.space);
    n.attr.key = nk;
    return (Edge){node_intern(g, &n), map_make(g, n.rank, r.up->ix)};
}

Edge graph_scan(Graph *g, const Space *space, int axis, bool exclusive, bool reverse, Edge e)
{
    if (e.node->dt == DT_BOOL) e = graph_cast(g, DT_INT, space, e);
    if (edge_is_const(e, 0)) return e;
    Canon c = {.g = g, .space = space};
    see_edge(&c, e);
    if (!(c.seen >> axis & 1) || ix_is(space->ext[axis], 1)) c.order[c.n++] = axis;
    Renumber r = renumber(&c);
    Node n = {.op = OP_scan, .dt = e.node->dt, .rank = c.n, .space = r.space, .nargs = 1};
    for (int i = 0; i < c.n; i++)
        if (c.order[i] == axis) n.attr.scan.axis = i;
    n.attr.scan.exclusive = exclusive, n.attr.scan.reverse = reverse;
    n.args[0] = edge_comp(g, e, r.down, r.space);
    return (Edge){node_intern(g, &n), r.up};
}

Edge graph_branch(Graph *g, const Space *space, Edge cond, Edge a, Edge b)
{
    Edge side[2] = {a, b};
    if (cond.node->dt != DT_BOOL) diag_bug(g->diag, "branch by a condition that is not bool");
    if (cond.node->op == OP_const) return cond.node->attr.value.i ? a : b;
    DType dt = common(side, 2);
    for (int i = 0; i < 2; i++) side[i] = graph_cast(g, dt, space, side[i]);
    if (edge_eq(side[0], side[1])) return side[0];
    if (cond.map->axes) diag_bug(g->diag, "branch by a condition that has axes");
    Canon c = {.g = g, .space = space};
    for (int i = 0; i < 2; i++) see_edge(&c, side[i]);
    Renumber r = renumber(&c);
    Node n = {.op = OP_branch, .dt = dt, .rank = c.n, .space = r.space, .nargs = 3};
    n.args[0] = cond;
    for (int i = 0; i < 2; i++) n.args[1 + i] = edge_comp(g, side[i], r.down, r.space);
    return (Edge){node_intern(g, &n), r.up};
}
