/* build_region.c: annotations: how to compute, never what. Each is checked where it stands.
 *
 *   @checkpoint   what is inside is recomputed in the backward pass
 *   @chunk(t, n)  along axis t in n pieces; only what is pointwise along t
 *   @reversible   steps v = v + e, where e doesn't read v; streams are recomputed from their last
 * values
 */
#include "frontend/build.h"

static int region_push(Builder *b, Region r)
{
    Graph *g = b->g;
    if (!g->regions.n) vec_push(g->arena, &g->regions, (Region){0});
    r.parent = g->region;
    vec_push(g->arena, &g->regions, r);
    return g->region = g->regions.n - 1;
}

static void no_args(Builder *b, const Stmt *s)
{
    if (s->annotated.args.n)
        user_error(b->d, s->annotated.args.v[0].loc, "`@%s` takes nothing in parentheses",
                   s->annotated.name.s);
}

static void run_checkpoint(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    int outer = b->g->region;
    no_args(b, s);
    region_push(b, (Region){.kind = REGION_CHECKPOINT, .loc = s->loc});
    run_block(f, &s->annotated.body, false);
    b->g->region = outer;
}

/* ---- chunk ---- */

typedef struct {
    Builder *b;
    int region;
    const char *axis, *text;
    Loc loc;
    VEC(uint32_t) tags; /* by node: bit i, its out axis i runs along the cut axis */
    const Node *reader;
} Chunk;

static void tag(Chunk *c, const Node *n, int axis)
{
    while (c->tags.n <= n->id) vec_push(c->b->a, &c->tags, 0);
    c->tags.v[n->id] |= 1u << axis;
}

static bool inside(const Chunk *c, const Node *n)
{
    int r = n->region;
    while (r && r != c->region) r = c->b->g->regions.v[r].parent;
    return r != 0;
}

RTC_NORETURN static void crosses(const Chunk *c, const Node *n)
{
    Diag *d = c->b->d;
    const char *s = diag_slice(d, n->loc), *close = strchr(s, ']');
    OpClass cls = op_info[n->op].cls;
    diag_note(d, c->loc, "`%s` is here", c->text);
    if (close &&
        (cls == CLASS_REDUCE || cls == CLASS_TOP || cls == CLASS_SCAT || cls == CLASS_SCAN))
        user_error(d, n->loc,
                   "`%.*s` needs all of `%s`, which `%s` cuts\nexpected: only what is pointwise "
                   "along `%s`",
                   (int)(close - s + 1), s, c->axis, c->text, c->axis);
    user_error(
        d, n->loc,
        "this reads other positions along `%s`, which `%s` cuts\nexpected: only what is pointwise "
        "along `%s`",
        c->axis, c->text, c->axis);
}

static void follow(void *ctx, Edge e, bool as_index)
{
    Chunk *c = ctx;
    const Node *n = c->reader;
    (void)as_index;
    uint32_t tags = e.node->id < c->tags.n ? c->tags.v[e.node->id] : 0;
    for (int i = 0; i < e.node->rank; i++) {
        if (!(tags >> i & 1)) continue;
        int axis = ix_bare_axis(e.map->ix[i]);
        bool kept = axis >= 0 && axis < n->rank &&
                    !(node_is(n, OP_scan) && n->attr.scan.axis == axis) &&
                    !(node_is(n, OP_scat) && n->attr.key[axis]);
        if (kept)
            tag(c, n, axis);
        else if (inside(c, n))
            crosses(c, n);
    }
}

static void seed(Chunk *c, const Value *v)
{
    if (v->kind != V_TENSOR || !v->tensor.dim) return;
    Edge e = v->tensor.e;
    for (int k = 0; k < v->tensor.shape->n; k++) {
        if (!v->tensor.dim[k] || strcmp(v->tensor.dim[k], c->axis) != 0) continue;
        for (int i = 0; i < e.node->rank; i++)
            if (ix_bare_axis(e.map->ix[i]) == k) tag(c, e.node, i);
    }
}

static void check_chunk(Chunk *c, const ValueVec *seeds)
{
    Graph *g = c->b->g;
    for (int i = 0; i < seeds->n; i++) seed(c, &seeds->v[i]);
    for (int i = 0; i < g->nodes.n; i++) {
        c->reader = g->nodes.v[i];
        node_reads(g->nodes.v[i], follow, c);
    }
}

static void run_chunk(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    const ArgVec *args = &s->annotated.args;
    int outer = b->g->region;
    if (args->n != 2 || !args->v[0].value || args->v[0].value->kind != EX_NAME || !args->v[1].value)
        user_error(b->d, s->annotated.name.loc,
                   "`@chunk` takes an axis and a number of pieces: `@chunk(t, 4)`");
    Name axis = {args->v[0].value->s, args->v[0].value->loc};
    NamedAxis *a = named_axis(f, axis.s);
    if (!a) unknown_name(f, axis, "among the axes of this function's parameters");
    Value n = eval_static(f, args->v[1].value, "the number of pieces");
    if (n.kind != V_INT || n.i < 1)
        user_error(b->d, args->v[1].value->loc, "the number of pieces is an int from 1\nfound: %s",
                   value_what(b, n));
    if (n.i == 1 || !a->ext) {
        run_block(f, &s->annotated.body, false);
        return;
    }
    ValueVec seeds = {0};
    for (Scope *sc = f->scope; sc && sc != f->outermost; sc = sc->up)
        for (int i = 0; i < sc->vars.n; i++) vec_push(b->a, &seeds, sc->vars.v[i]->value);
    Chunk c = {.b = b,
               .axis = axis.s,
               .loc = s->annotated.name.loc,
               .text =
                   arena_printf(b->a, "@chunk(%s, %s)", axis.s, expr_text(b, args->v[1].value))};
    c.region = region_push(b, (Region){.kind = REGION_CHUNK,
                                       .loc = s->loc,
                                       .chunk_extent = a->ext,
                                       .chunks = ix_const(b->g, n.i)});
    run_block(f, &s->annotated.body, false);
    b->g->region = outer;
    check_chunk(&c, &seeds);
}

/* ---- reversible ---- */

typedef struct {
    const char *name;
    const Expr *at;
} NameSearch;
static void find_name(void *ctx, const Expr *e)
{
    NameSearch *s = ctx;
    if (!s->at && e->kind == EX_NAME && !strcmp(e->s, s->name)) s->at = e;
}

/* v = v + e as a step of the region: the host's choice is taken at once, so that `next` is all that
 * later steps see. */
bool run_step(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    Graph *g = b->g;
    const Lhs *l = &s->assign.lhs;
    const Expr *e = s->assign.value;
    bool is_sum = e->kind == EX_BINARY && e->binary.op == BIN_ADD && e->binary.a->kind == EX_NAME &&
                  !strcmp(e->binary.a->s, l->name.s);
    if (l->is_indexed || !is_sum)
        user_error(b->d, s->loc, "a reversible step is `%s = %s + F(others)`\nfound: `%s`",
                   l->name.s, l->name.s, diag_slice(b->d, s->loc));
    NameSearch reads = {.name = l->name.s};
    walk_expr(e->binary.b, find_name, &reads);
    if (reads.at)
        user_error(b->d, reads.at->loc,
                   "this step of `%s` reads `%s`; a reversible step is `%s = %s + F(others)`",
                   l->name.s, l->name.s, l->name.s, l->name.s);
    Var *v = scope_find(f->scope, l->name.s);
    if (!v) unknown_name(f, l->name, "the name");
    Value old = v->value;
    if (old.kind != V_TENSOR)
        user_error(b->d, l->name.loc, "a reversible step changes a whole tensor\nfound: %s",
                   value_what(b, old));
    int step = region_push(b, (Region){.kind = REGION_STEP, .loc = s->loc});
    Value delta = eval_whole(f, e->binary.b);
    g->region = f->step_region;
    if (delta.kind == V_NONE) none_error(b, delta, e->binary.b->loc);
    Value next = value_binary(b, BIN_ADD, old, delta, e->loc);
    const Space *point = space_make(g, 0, NULL);
    Edge cond = graph_bool(g, true);
    for (int i = f->step_ifs; i < b->ifs.n; i++)
        cond = graph_pw2(g, OP_and, point, cond, b->ifs.v[i].cond);
    next = value_branch(b, cond, next, old, s->loc);
    ChangeVec *journal = b->journal;
    b->journal = f->step_journal;
    rebind(b, v, next);
    b->journal = journal;
    if (edge_eq(next.tensor.e, old.tensor.e)) return true; /* nothing was added */
    Region *r = &g->regions.v[step];
    r->old = old.tensor.e, r->next = next.tensor.e, r->space = old.tensor.shape;
    r->delta = value_edge(b, delta, DT_FLOAT, e->loc);
    return true;
}

static void run_reversible(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    int outer = b->g->region;
    no_args(b, s);
    f->step_region = region_push(b, (Region){.kind = REGION_REVERSIBLE, .loc = s->loc});
    f->step_ifs = b->ifs.n, f->step_journal = b->journal;
    run_block(f, &s->annotated.body, false);
    f->step_region = 0;
    b->g->region = outer;
}

void run_annotated(Frame *f, const Stmt *s)
{
    static const char *const names[] = {"reversible", "checkpoint", "chunk"};
    static void (*const run[])(Frame *, const Stmt *) = {run_reversible, run_checkpoint, run_chunk};
    const Name *name = &s->annotated.name;
    for (int i = 0; i < COUNT(names); i++) {
        if (strcmp(name->s, names[i]) != 0) continue;
        run[i](f, s);
        return;
    }
    user_error(f->b->d, name->loc,
               "there is no annotation `@%s`\nexpected: @reversible, @checkpoint or @chunk(axis, "
               "pieces)%s",
               name->s, suggest(f->b, name->s, names, COUNT(names)));
}
