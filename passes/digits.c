/* digits.c: the pass that splits an axis which is read through quotients and remainders.
 *
 * Needs nothing, breaks nothing; must come before `contract`.
 *
 *   before  %5[b,t,512] = add %3[i0,i1,i2] %4[i0,(i2//64),i1,(i2%64)]        heads side by side
 *   after   %6[b,t,8,64] = add %3[i0,i1,64*i2+i3] %4[i0,i2,i1,i3]
 *           and where %5[b,t,x] was read: %6[b,t,(x//64),(x%64)]
 *
 * Its readers are split next, until the quotients meet a sum over the axis (which becomes a sum
 * over two) or a product's result. Merged heads, rotary pairs and their gradients then need no
 * division per element, and the operands of products lie as they were computed. Only constant axes
 * and divisors: each divisor must divide the next larger one, and the axis.
 */
#include "passes/contract.h"

enum { MOST_DIGITS = 4 };

typedef struct {
    const int64_t *syms;
    const bool *root; /* by old node id: its own axes are a root's */
} Digits;

/* Divisors of one axis, rising. */
typedef struct {
    int axis;
    int64_t c[MOST_DIGITS];
    int n;
    bool odd; /* more divisors than that */
} Divisors;

static void add_divisor(Divisors *d, int64_t c)
{
    int i = 0;
    while (i < d->n && d->c[i] < c) i++;
    if (i < d->n && d->c[i] == c) return;
    if (d->n == MOST_DIGITS) {
        d->odd = true;
        return;
    }
    for (int k = d->n++; k > i; k--) d->c[k] = d->c[k - 1];
    d->c[i] = c;
}

static const Atom *lone_atom(const Ix *e)
{
    if (e->c != 0 || e->nterm != 1 || e->t[0].coef != 1 || e->t[0].n != 1) return NULL;
    return e->t[0].f[0];
}

/* x // c, x % c, (x // c) % e, (x % c) // e: by what is x divided? */
static void atom_divisors(const Atom *a, Divisors *d)
{
    if (a->kind != AT_DIV && a->kind != AT_MOD) return;
    if (!ix_is_const(a->b)) return;
    if (ix_bare_axis(a->a) == d->axis) {
        add_divisor(d, a->b->c);
        return;
    }
    const Atom *in = lone_atom(a->a);
    if (!in || (in->kind != AT_DIV && in->kind != AT_MOD)) return;
    if (ix_bare_axis(in->a) != d->axis || !ix_is_const(in->b)) return;
    add_divisor(d, in->b->c);
    add_divisor(d, in->kind == AT_DIV ? in->b->c * a->b->c : a->b->c);
}

static void ix_divisors(const Ix *e, Divisors *d)
{
    if (!(e->axes >> d->axis & 1)) return;
    for (int i = 0; i < e->nterm; i++)
        for (int k = 0; k < e->t[i].n; k++) {
            const Atom *a = e->t[i].f[k];
            if (!(a->axes >> d->axis & 1)) continue;
            if (a->kind == AT_LOAD)
                for (int m = 0; m < a->load.map->n; m++) ix_divisors(a->load.map->ix[m], d);
            atom_divisors(a, d);
            if (a->kind != AT_LOAD && a->a) {
                ix_divisors(a->a, d);
                ix_divisors(a->b, d);
            }
        }
}

/* Only chains of divisors make digits. */
static bool usable(const Divisors *d, const Ix *ext)
{
    if (!d->n || d->odd || !ix_is_const(ext)) return false;
    for (int i = 0; i < d->n; i++) {
        int64_t next = i + 1 < d->n ? d->c[i + 1] : ext->c;
        if (d->c[i] <= 1 || d->c[i] >= ext->c || next % d->c[i]) return false;
    }
    return true;
}

static void node_divisors(const Node *n, const Edge *args, Divisors *d)
{
    for (int i = 0; i < n->nargs; i++)
        for (int k = 0; k < args[i].map->n; k++) ix_divisors(args[i].map->ix[k], d);
    if (n->op == OP_read)
        for (int i = 0; i < n->attr.guard.n; i++) ix_divisors(n->attr.guard.g[i].ix, d);
}

/* A library product's result keeps its axes: those of a gradient are fixed. */
static bool is_product(const Digits *ctx, Graph *g, const Node *n, Edge body)
{
    Node sum = *n;
    Contraction c;
    if (n->op != OP_sum || body.node->op != OP_mul) return false;
    return contraction_axes(&sum, edge_axes(edge_arg(g, body, 0, n->space)),
                            edge_axes(edge_arg(g, body, 1, n->space)), ctx->syms, &c);
}

static bool may_split(const Digits *ctx, Graph *g, const Node *n, const Edge *args, int axis)
{
    switch (op_info[n->op].cls) {
    case CLASS_REDUCE:
        return axis >= n->rank || (!ctx->root[n->id] && !is_product(ctx, g, n, args[0]));
    case CLASS_POINTWISE:
        return !ctx->root[n->id];
    case CLASS_READ:
        for (int i = 0; i < n->attr.guard.n; i++)
            if (n->attr.guard.g[i].ix->loads) return false;
        return !ctx->root[n->id];
    default:
        return false;
    }
}

/* ---- splitting ---- */

typedef struct {
    const Space *space;   /* with digits instead of the axes split */
    int nout;             /* out axes of it */
    const Map *to_digits; /* old axes over space */
    const Map *to_old;    /* digits of out axes over the old out axes */
} Splitting;

static Splitting make_splitting(Graph *g, const Node *n, const Divisors *d)
{
    const Ix *ext[MAX_AXES], *old[MAX_AXES], *digit[MAX_AXES];
    Splitting s = {.nout = 0};
    int k = 0;
    for (int x = 0; x < n->space->n; x++) {
        const Ix *e = n->space->ext[x];
        old[x] = ix_const(g, 0);
        for (int i = d[x].n; i >= 0; i--) { /* the coarsest digit first */
            int64_t unit = i ? d[x].c[i - 1] : 1;
            const Ix *u = ix_const(g, unit);
            ext[k] = d[x].n == 0 ? e : ix_const(g, (i < d[x].n ? d[x].c[i] : e->c) / unit);
            old[x] = ix_add(g, old[x], ix_scale(g, ix_axis(g, k), unit));
            digit[k] = ix_div(g, ix_axis(g, x), u, n->space);
            if (i < d[x].n) digit[k] = ix_mod(g, digit[k], ext[k], n->space);
            k++;
        }
        if (x < n->rank) s.nout = k;
    }
    s.space = space_make(g, k, ext);
    s.to_digits = map_make(g, n->space->n, old);
    s.to_old = map_make(g, s.nout, digit);
    return s;
}

static Edge rebuild(Graph *g, const Node *n, const Edge *args, const Splitting *s)
{
    Edge a[MAX_ARGS];
    for (int i = 0; i < n->nargs; i++) a[i] = edge_comp(g, args[i], s->to_digits, s->space);
    if (n->op == OP_cast) return graph_cast(g, n->dt, s->space, a[0]);
    if (op_info[n->op].cls == CLASS_REDUCE) return graph_reduce(g, n->op, s->space, s->nout, a[0]);
    if (n->op != OP_read) return graph_pw(g, n->op, s->space, a);
    Guard guards[2 * MAX_AXES];
    for (int i = 0; i < n->attr.guard.n; i++) {
        const Guard *q = &n->attr.guard.g[i];
        guards[i] = (Guard){ix_subst(g, q->ix, s->to_digits, s->space), q->ext};
    }
    return graph_read(g, s->space, guards, n->attr.guard.n, a[0], a[1]);
}

static Edge digits_node(void *ctx, Graph *g, const Node *old, const Edge *args)
{
    Divisors d[MAX_AXES];
    int axes = old->space->n;
    bool any = false;
    for (int x = 0; x < old->space->n; x++) {
        d[x] = (Divisors){.axis = x};
        if (ix_is_const(old->space->ext[x]) && may_split(ctx, g, old, args, x) &&
            !maybe_cut(g, old, old->space->ext[x]))
            node_divisors(old, args, &d[x]);
        if (!usable(&d[x], old->space->ext[x])) d[x].n = 0;
        axes += d[x].n;
        any |= d[x].n > 0;
    }
    if (!any || axes > MAX_AXES) return graph_renew(g, old, args);
    Splitting s = make_splitting(g, old, d);
    Edge e = rebuild(g, old, args, &s);
    return edge_comp(g, e, s.to_old, node_shape(g, old));
}

Edge copy_by_digits(Graph *g, const Space *space, Edge e)
{
    Divisors d[MAX_AXES];
    Node over = {.space = space, .rank = space->n};
    int axes = space->n;
    for (int x = 0; x < space->n; x++) {
        int dims[MAX_AXES];
        const Ix *step;
        d[x] = (Divisors){.axis = x};
        int n = ix_is_const(space->ext[x]) ? axis_dims(g, e, x, dims, &step) : 0;
        int64_t unit = 1;
        for (int i = n - 1; i > 0 && ix_is_const(e.node->space->ext[dims[i]]); i--)
            add_divisor(&d[x], unit *= e.node->space->ext[dims[i]]->c);
        if (!usable(&d[x], space->ext[x])) d[x].n = 0;
        axes += d[x].n;
    }
    if (axes > MAX_AXES) return graph_copy(g, space, e);
    Splitting s = make_splitting(g, &over, d);
    Edge copy = graph_copy(g, s.space, edge_comp(g, e, s.to_digits, s.space));
    return edge_comp(g, copy, s.to_old, space);
}

void pass_digits(Unit *u)
{
    Graph *g = u->graph;
    bool *root = NEW_N(u->arena, bool, g->nodes.n);
    for (int i = 0; i < g->roots.n; i++) root[g->roots.v[i].e.node->id] = true;
    Digits ctx = {hint_syms(u), root};
    graph_rewrite(g, digits_node, &ctx);
}
