/* build_access.c: reading tensors and lists at indices, and proofs that indices lie inside their
 * axes. */
#include "frontend/build.h"

typedef struct {
    Frame *f;
    const Expr *e; /* the access */
    Value base;
    const char *text;   /* of the base */
    int n;              /* dims so far */
    Value at[MAX_AXES]; /* the position along each */
    Loc loc[MAX_AXES];
    const Expr *expr[MAX_AXES]; /* NULL: an index variable or merged axes */
    bool safe[MAX_AXES];        /* inside, whatever happens */
} Read;

Value access_base(Frame *f, const Expr *base, const char **text)
{
    Value r;
    if (text) *text = expr_text(f->b, base);
    if (base->kind != EX_NAME) return eval_cached(f, base);
    if (index_find(f, base->s))
        user_error(f->b->d, base->loc, "`%s` is an index here: it has no axes to read", base->s);
    Var *v = scope_find(f->scope, base->s);
    if (!v && !strcmp(base->s, "none")) return (Value){.kind = V_NONE, .none = {.loc = base->loc}};
    if (!v && inst_at(f, base, NULL))
        user_error(f->b->d, base->loc, "`%s` is a module, not a tensor", base->s);
    if (!v) unknown_name(f, (Name){base->s, base->loc}, "the tensor");
    var_read(f, v, base->loc, &r);
    return r;
}

/* ---- proofs ---- */

static bool proves(Frame *f, const Ix *e, const AxisSet *axes, const Space *space)
{
    Graph *g = f->b->g;
    if (ix_proves_ge0(g, e, space)) return true;
    for (int i = 0; i < f->known.n; i++) {
        const Known *k = &f->known.v[i];
        AxisSet all = *axes;
        const Ix *m[MAX_AXES];
        for (int j = 0; j < k->axes.n; j++) {
            axes_add(f->b, &all, k->axes.v[j]);
            m[j] = ix_axis(g, axes_find(&all, k->axes.v[j]));
        }
        const Space *sp = axes_space(f->b, &all);
        const Ix *fact = ix_subst(g, k->ge0, map_make(g, k->axes.n, m), sp);
        if (ix_proves_ge0(g, ix_sub(g, e, fact), sp)) return true;
    }
    return false;
}

bool prove_inside(Frame *f, const Ix *ix, const AxisSet *axes, const Ix *ext, bool *low, bool *high)
{
    Graph *g = f->b->g;
    const Space *space = axes_space(f->b, axes);
    *low = proves(f, ix, axes, space);
    *high = proves(f, ix_sub(g, ix_sub(g, ext, ix), ix_const(g, 1)), axes, space);
    return *low && *high;
}

/* Pointwise from integer inputs of the model and constants: its values can be looked at before a
 * launch. */
static void add_read(void *ctx, Edge e, bool as_index);
typedef struct {
    bool ok, input;
    int depth;
} Origin;
static void origin(Origin *o, const Node *n)
{
    OpClass cls = op_info[n->op].cls;
    if (node_is(n, OP_input))
        o->input = true;
    else if (cls == CLASS_POINTWISE || cls == CLASS_READ)
        node_reads(n, add_read, o);
    else if (!node_is(n, OP_const) && !node_is(n, OP_idx))
        o->ok = false;
}
static void add_read(void *ctx, Edge e, bool as_index)
{
    Origin *o = ctx;
    (void)as_index;
    if (++o->depth > 64) o->ok = false; /* a big expression is no view of an input */
    if (o->ok) origin(o, e.node);
}
static bool from_inputs(const Node *n)
{
    Origin o = {.ok = true};
    origin(&o, n);
    return o.ok && o.input;
}

static const char *names_at(Builder *b, const Ix *ix, const AxisSet *axes, const char *where)
{
    Str s = {.arena = b->a};
    for (int i = 0; i < axes->n; i++)
        if (ix->axes >> i & 1) str_printf(&s, "%s%s %s", s.n ? ", " : "", axes->v[i]->name, where);
    return s.s ? s.s : "";
}

/* The position with every index at its first or last place. */
static const Ix *at_end(Builder *b, const Ix *ix, const AxisSet *axes, bool last)
{
    const Ix *m[MAX_AXES];
    for (int i = 0; i < axes->n; i++)
        m[i] = last ? ix_sub(b->g, axes->v[i]->ext, ix_const(b->g, 1)) : ix_const(b->g, 0);
    return ix_subst(b->g, ix, map_make(b->g, axes->n, m), space_make(b->g, 0, NULL));
}

RTC_NORETURN static void out_of_range(const Read *r, int k, const Ix *ix, const AxisSet *axes,
                                      bool low)
{
    Builder *b = r->f->b;
    Graph *g = b->g;
    const Ix *ext = r->base.tensor.shape->ext[k];
    const char *what = diag_slice(b->d, r->loc[k]), *access = indexed_text(b, r->text, r->base);
    const char *axis =
        r->base.tensor.dim && r->base.tensor.dim[k] ? r->base.tensor.dim[k] : "this axis";
    const char *hint = arena_printf(b->a, "\nhint: say what it is there: add `else VALUE`");
    const Ix *first = ix->loads ? NULL : at_end(b, ix, axes, false),
             *last = ix->loads ? NULL : at_end(b, ix, axes, true);
    if (!low && first && ix_is_const(first) && first->c < 0 && ix->axes)
        user_error(b->d, r->loc[k],
                   "`%s` is %lld at %s, outside `%s`: add `else VALUE`\nexpected: 0 to %s", what,
                   (long long)first->c, names_at(b, ix, axes, "= 0"), access,
                   ix_text(g, ix_sub(g, ext, ix_const(g, 1))));
    if (low && last && ix->axes && ix_proves_ge0(g, ix_sub(g, last, ext), NULL))
        user_error(b->d, r->loc[k],
                   "`%s` is %s at %s, outside `%s`: add `else VALUE`\nexpected: less than %s", what,
                   ix_text(g, last), names_at(b, ix, axes, "at its last position"), access,
                   ix_text(g, ext));
    if (ix_is_const(ix))
        user_error(b->d, r->loc[k], "index %lld is outside `%s`\nexpected: 0 to %s%s",
                   (long long)ix->c, access, ix_text(g, ix_sub(g, ext, ix_const(g, 1))), hint);
    user_error(
        b->d, r->loc[k],
        "`%s` can't be shown to lie inside `%s`\nexpected: 0 to %s along `%s`; %s is not sure%s",
        what, access, ix_text(g, ix_sub(g, ext, ix_const(g, 1))), axis,
        low ? "the upper end" : "at least 0", hint);
}

/* ---- positions along the dims ---- */

RTC_NORETURN static void extents_disagree(const Read *r, const Axis *a, const Ix *dim, Loc loc)
{
    Builder *b = r->f->b;
    int col, line = diag_line(b->d, a->loc, &col);
    Var *v =
        r->e->access.base->kind == EX_NAME ? scope_find(r->f->scope, r->e->access.base->s) : NULL;
    Str here = {.arena = b->a};
    str_printf(&here, "`%s`", r->text);
    if (v && v->loc.file) {
        int c, l = diag_line(b->d, v->loc, &c);
        str_printf(&here, ", %d:%d", l, c);
        diag_note(b->d, v->loc, "`%s` is declared here", v->name);
    }
    user_error(b->d, loc, "index `%s` is %s here (%s) and %s in `%s` (%d:%d)", a->name,
               ix_text(b->g, dim), here.s, ix_text(b->g, a->ext), a->from, line, col);
}

/* An index whose extent is written need only fit. */
static void use_written(Read *r, const Axis *a, const Ix *room, int k)
{
    Builder *b = r->f->b;
    Graph *g = b->g;
    r->safe[k] = true;
    if (ix_proves_ge0(g, room, NULL)) return;
    if (ix_proves_ge0(g, ix_sub(g, ix_const(g, -1), room), NULL))
        user_error(b->d, r->loc[k],
                   "index `%s` goes to %s, outside `%s`: add `else VALUE`\nexpected: at most %s",
                   a->name, ix_text(g, a->ext), expr_text(b, r->e),
                   ix_text(g, ix_add(g, room, a->ext)));
    graph_check(g, (Check){.kind = CHECK_GE0,
                           .ix = room,
                           .loc = r->loc[k],
                           .text = arena_printf(
                               g->arena, "index `%s` goes to %s, and `%s` has only %s", a->name,
                               ix_text(g, a->ext), r->text, ix_text(g, ix_add(g, room, a->ext)))});
    graph_fact_ge0(g, room);
}

/* A bare use: agrees with the extent of the index, or is checked when sizes are known. */
static void use_axis(Read *r, Axis *a, Loc loc)
{
    Builder *b = r->f->b;
    Graph *g = b->g;
    int k = r->n++;
    const Ix *dim = r->base.tensor.shape->ext[k];
    r->at[k] = axis_value(r->f, a), r->loc[k] = loc, r->expr[k] = NULL;
    if (r->e->access.fill) return;
    r->safe[k] = ix_proves_eq(g, a->ext, dim);
    if (r->safe[k]) return;
    const Ix *diff = ix_sub(g, dim, a->ext);
    if (a->written) {
        use_written(r, a, diff, k);
        return;
    }
    if (ix_is_const(diff)) extents_disagree(r, a, dim, loc);
    graph_check(
        g, (Check){.kind = CHECK_EQ0,
                   .ix = diff,
                   .loc = loc,
                   .text = arena_printf(g->arena, "index `%s` goes to %s in `%s` and to %s here",
                                        a->name, ix_text(g, a->ext), a->from, ix_text(g, dim))});
    assume_zero(g, diff);
    r->safe[k] = true;
}

static void use_merged(Read *r, const Index *ix)
{
    Frame *f = r->f;
    Builder *b = f->b;
    Graph *g = b->g;
    int k = r->n++;
    const Ix *dim = r->base.tensor.shape->ext[k], *all = ix_const(g, 1);
    Value x = value_int(0);
    for (int i = 0; i < ix->parts.n; i++) {
        const Range *p = &ix->parts.v[i];
        IndexVar *v = index_find(f, p->name.s);
        if (!v || !v->axis) unknown_name(f, p->name, "the index");
        x = value_binary(b, BIN_MUL, x, value_size(v->axis->ext), ix->loc);
        x = value_binary(b, BIN_ADD, x, axis_value(f, v->axis), ix->loc);
        all = ix_mul(g, all, v->axis->ext);
    }
    r->at[k] = x, r->loc[k] = ix->loc, r->expr[k] = NULL;
    r->safe[k] = ix_proves_eq(g, all, dim);
    if (r->safe[k] || r->e->access.fill) return;
    const Ix *diff = ix_sub(g, dim, all);
    if (ix_is_const(diff) ||
        ix_proves_ge0(g, ix_scale(g, ix_add(g, diff, ix_const(g, 1)), -1), NULL))
        user_error(b->d, ix->loc, "the parts %s make %s, and the axis has %s",
                   diag_slice(b->d, ix->loc), ix_text(g, all), ix_text(g, dim));
    graph_check(g, (Check){.kind = CHECK_EQ0,
                           .ix = diff,
                           .loc = ix->loc,
                           .text = arena_printf(
                               g->arena, "the parts %s make %s, and the axis has %s",
                               diag_slice(b->d, ix->loc), ix_text(g, all), ix_text(g, dim))});
    assume_zero(g, diff);
    r->safe[k] = true;
}

static void use_expr(Read *r, const Expr *e)
{
    Frame *f = r->f;
    Builder *b = f->b;
    int k = r->n++;
    bool element = f->element;
    f->element = true;
    Value v = eval(f, e);
    f->element = element;
    r->at[k] = v, r->loc[k] = e->loc, r->expr[k] = e;
    if (v.kind == V_NONE) return;
    if (value_dtype(b, v, e->loc) != DT_INT)
        user_error(b->d, e->loc, "an index must be an int\nfound: %s%s", value_what(b, v),
                   value_dtype(b, v, e->loc) == DT_FLOAT
                       ? "\nhint: `int(...)`, or `//` instead of `/`"
                       : "");
}

static void check_count(const Read *r)
{
    Builder *b = r->f->b;
    const IndexVec *ix = &r->e->access.indices;
    int rank = r->base.tensor.shape->n, ndots = 0;
    for (int i = 0; i < ix->n; i++) ndots += ix->v[i].kind == IX_DOTS;
    if (ndots > 1) user_error(b->d, r->e->loc, "`..` stands once in brackets");
    if (ndots ? ix->n - 1 <= rank : ix->n == rank) return;
    user_error(b->d, r->e->loc, "`%s` has %d ax%s %s\nfound: %d ind%s", r->text, rank,
               rank == 1 ? "is" : "es", shape_text(b, r->base.tensor.shape, r->base.tensor.dim),
               ix->n, ix->n == 1 ? "ex" : "ices");
}

static bool is_slice(Frame *f, const IndexVec *ix)
{
    for (int i = 0; i < ix->n; i++)
        if (ix->v[i].kind == IX_DOTS) return !index_find(f, "..");
    return false;
}

static void use_dots(Read *r, const Index *ix, int many)
{
    IndexVar *v = index_find(r->f, "..");
    if (v->nmany != many)
        user_error(r->f->b->d, ix->loc,
                   "`..` stands for %d axes here, and for %d axes of this statement", many,
                   v->nmany);
    for (int i = 0; i < many; i++) use_axis(r, v->many[i], ix->loc);
}

/* ---- whole reads ---- */

/* qkv[0, ..]: what is left when some indices are fixed. */
static Value read_slice(Read *r)
{
    Frame *f = r->f;
    Builder *b = f->b;
    const IndexVec *ix = &r->e->access.indices;
    const Space *shape = r->base.tensor.shape;
    const Ix *m[MAX_AXES], *ext[MAX_AXES];
    const char **dim = NEW_N(b->a, const char *, MAX_AXES);
    int rest = 0;
    bool low, high;
    if (f->element)
        user_error(
            b->d, r->e->loc,
            "`..` is not bound here: write `..` on the left-hand side too, or name the axes");
    if (r->e->access.fill) user_error(b->d, r->e->access.fill->loc, "a slice takes no `else`");
    for (int i = 0; i < ix->n; i++) {
        int k, many;
        dim_at(ix, i, shape->n, &k, &many);
        if (ix->v[i].kind == IX_DOTS) {
            for (int j = 0; j < many; j++, rest++) {
                m[k + j] = ix_axis(b->g, rest), ext[rest] = shape->ext[k + j];
                dim[rest] = r->base.tensor.dim ? r->base.tensor.dim[k + j] : NULL;
            }
            r->n += many;
            continue;
        }
        if (ix->v[i].kind != IX_EXPR)
            user_error(b->d, ix->v[i].loc, "a slice takes numbers and `..`");
        use_expr(r, ix->v[i].expr);
        if (r->at[k].kind == V_NONE) return r->at[k];
        if (!value_is_scalar(r->at[k]))
            user_error(b->d, ix->v[i].loc, "a slice takes numbers and `..`");
        m[k] = r->at[k].kind == V_ELEM ? ix_load(b->g, r->at[k].elem.e, space_make(b->g, 0, NULL))
                                       : size_of(b, r->at[k], r->loc[k], "an index");
        if (!prove_inside(f, m[k], &(AxisSet){0}, shape->ext[k], &low, &high))
            out_of_range(r, k, m[k], &(AxisSet){0}, low);
    }
    const Space *sp = space_make(b->g, rest, ext);
    return value_tensor(b, edge_comp(b->g, r->base.tensor.e, map_make(b->g, shape->n, m), sp), sp,
                        dim);
}

/* What failed when the `else` value is taken, if that is a single bound. */
static bool failed_bound(const Read *r, const Ix *const *m, const AxisSet *axes, Known *out)
{
    Graph *g = r->f->b->g;
    int open = 0;
    for (int k = 0; k < r->n; k++) {
        const Ix *ext = r->base.tensor.shape->ext[k];
        bool low, high;
        if (r->safe[k] || prove_inside(r->f, m[k], axes, ext, &low, &high)) continue;
        if (!low) out->ge0 = ix_sub(g, ix_const(g, -1), m[k]);
        if (!high) out->ge0 = ix_sub(g, m[k], ext);
        open += !low + !high;
    }
    out->axes = *axes;
    return open == 1 && !out->ge0->loads;
}

static Value read_fill(Read *r, const Ix *const *m, const AxisSet *axes)
{
    Frame *f = r->f;
    Known k;
    bool element = f->element, known = failed_bound(r, m, axes, &k);
    if (known) vec_push(f->b->a, &f->known, k);
    f->element = true;
    Value v = eval(f, r->e->access.fill);
    f->element = element;
    if (known) f->known.n--;
    return v;
}

static void check_inside(const Read *r, const Ix *const *m, const AxisSet *axes)
{
    Graph *g = r->f->b->g;
    for (int k = 0; k < r->n; k++) {
        const Ix *ext = r->base.tensor.shape->ext[k];
        bool low, high;
        if (r->safe[k] || prove_inside(r->f, m[k], axes, ext, &low, &high)) continue;
        Value at = r->at[k];
        if (at.kind != V_ELEM || !m[k]->loads || !from_inputs(at.elem.e.node))
            out_of_range(r, k, m[k], axes, low);
        graph_assume_range(g, at.elem.e.node, ext,
                           arena_printf(g->arena,
                                        "`%s` must lie inside axis %d of `%s`, which "
                                        "has %s positions",
                                        diag_slice(r->f->b->d, r->loc[k]), k + 1, r->text,
                                        ix_text(g, ext)),
                           r->loc[k]);
    }
}

static Value read_tensor(Read *r)
{
    Frame *f = r->f;
    Builder *b = f->b;
    Graph *g = b->g;
    AxisSet axes = {0};
    const Ix *m[MAX_AXES];
    const Space *shape = r->base.tensor.shape;
    for (int k = 0; k < r->n; k++) {
        if (r->at[k].kind == V_NONE) return r->at[k];
        axes_of(b, &axes, r->at[k]);
    }
    const Space *space = axes_space(b, &axes);
    for (int k = 0; k < r->n; k++)
        m[k] = value_is_graph(r->at[k])
                   ? ix_load(g, value_onto(b, r->at[k], &axes, space, DT_INT, r->loc[k]), space)
                   : size_of(b, r->at[k], r->loc[k], "an index");
    if (!r->e->access.fill) {
        check_inside(r, m, &axes);
        return value_elem(
            b, graph_access(g, space, shape, r->base.tensor.e, map_make(g, r->n, m), NULL), &axes);
    }
    Value fill = read_fill(r, m, &axes);
    if (fill.kind == V_NONE) return fill;
    DType x = r->base.tensor.e.node->dt, y = value_dtype(b, fill, r->e->access.fill->loc);
    if ((x == DT_BOOL) != (y == DT_BOOL))
        user_error(b->d, r->e->access.fill->loc,
                   "the value after `else` differs in type from `%s`\nfound: %s and %s", r->text,
                   value_what(b, r->base), value_what(b, fill));
    axes_of(b, &axes, fill);
    space = axes_space(b, &axes);
    Edge e = value_onto(b, fill, &axes, space, x, r->e->access.fill->loc);
    return value_elem(b, graph_access(g, space, shape, r->base.tensor.e, map_make(g, r->n, m), &e),
                      &axes);
}

/* A list read at an index: one of its values if the index is static, else a choice among them. */
static Value read_list(Frame *f, const Expr *e, Value list)
{
    Builder *b = f->b;
    const Index *ix = &e->access.indices.v[0];
    if (e->access.indices.n != 1 || ix->kind != IX_EXPR || e->access.fill)
        user_error(b->d, e->loc, "a list is read with one index: `%s[i]`",
                   expr_text(b, e->access.base));
    Value at = eval(f, ix->expr);
    if (at.kind == V_INT) {
        if (at.i < 0 || at.i >= list.list.n)
            user_error(b->d, ix->loc, "index %lld is outside the list\nexpected: 0 to %d",
                       (long long)at.i, list.list.n - 1);
        return list.list.v[at.i];
    }
    AxisSet axes = {0};
    axes_of(b, &axes, at);
    bool low, high;
    if (value_dtype(b, at, ix->loc) != DT_INT) user_error(b->d, ix->loc, "an index must be an int");
    const Ix *pos = ix_load(b->g, value_edge(b, at, DT_INT, ix->loc), axes_space(b, &axes));
    if (!prove_inside(f, pos, &axes, ix_const(b->g, list.list.n), &low, &high))
        user_error(b->d, ix->loc, "this index can't be shown to lie inside the list of %d",
                   list.list.n);
    Value r = list.list.v[list.list.n - 1];
    for (int i = list.list.n - 1; i-- > 0;)
        r = value_where(b, value_binary(b, BIN_EQ, at, value_int(i), ix->loc), list.list.v[i], r,
                        ix->loc);
    return r;
}

Value eval_access(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    Read r = {.f = f, .e = e};
    r.base = access_base(f, e->access.base, &r.text);
    const IndexVec *ix = &e->access.indices;
    if (r.base.kind == V_NONE) return r.base;
    if (r.base.kind == V_LIST) return read_list(f, e, r.base);
    if (r.base.kind == V_ELEM && !r.base.elem.n && ix->n == 1 && ix->v[0].kind == IX_DOTS)
        return r.base;
    if (r.base.kind != V_TENSOR)
        user_error(b->d, e->loc, "`%s` takes no indices\nfound: %s", r.text, value_what(b, r.base));
    check_count(&r);
    if (is_slice(f, ix)) return read_slice(&r);
    for (int i = 0; i < ix->n; i++) {
        int dim, many;
        const Index *x = &ix->v[i];
        dim_at(ix, i, r.base.tensor.shape->n, &dim, &many);
        const char *name = x->kind == IX_NAMED                              ? x->name.s
                           : x->kind == IX_EXPR && x->expr->kind == EX_NAME ? x->expr->s
                                                                            : NULL;
        IndexVar *v = name ? index_find(f, name) : NULL;
        if (x->kind == IX_DOTS)
            use_dots(&r, x, many);
        else if (x->kind == IX_MERGED)
            use_merged(&r, x);
        else if (v && v->axis)
            use_axis(&r, v->axis, x->loc);
        else if (x->kind == IX_NAMED)
            unknown_name(f, x->name, "the index");
        else
            use_expr(&r, x->expr);
    }
    return read_tensor(&r);
}
