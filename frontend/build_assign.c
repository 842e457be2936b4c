/* build_assign.c: y[b, t, (h d)] = ...: an element for every position becomes a whole tensor. */
#include "frontend/build.h"

typedef struct {
    int from, to;
} Group; /* index[from..to) makes one axis */

static void written_extent(Frame *f, int at, const Expr *extent)
{
    Builder *b = f->b;
    const char *name = f->index.v[at].name;
    Value n = eval_whole(f, extent);
    if (n.kind == V_NONE) none_error(b, n, extent->loc);
    const Ix *ext = extent_of(b, n, extent->loc, arena_printf(b->a, "the extent of `%s`", name));
    f->index.v[at].axis = axis_new(b, name, ext, true, extent->loc, expr_text(b, extent));
}

static void push_index(Frame *f, Name name, const Expr *extent, int from)
{
    for (int i = from; i < f->index.n; i++)
        if (!strcmp(f->index.v[i].name, name.s))
            user_error(f->b->d, name.loc, "index `%s` stands twice on the left", name.s);
    int at = index_push(f, name, false);
    if (extent) written_extent(f, at, extent);
}

static void push_left(Frame *f, const IndexVec *ix, Group *group, int from)
{
    Diag *d = f->b->d;
    bool dots = false;
    for (int i = 0; i < ix->n; i++) {
        const Index *x = &ix->v[i];
        group[i].from = f->index.n;
        switch (x->kind) {
        case IX_DOTS:
            if (dots) user_error(d, x->loc, "`..` stands once in brackets");
            dots = true;
            index_push(f, (Name){"..", x->loc}, true);
            break;
        case IX_NAMED:
            push_index(f, x->name, x->expr, from);
            break;
        case IX_MERGED:
            for (int j = 0; j < x->parts.n; j++)
                push_index(f, x->parts.v[j].name, x->parts.v[j].extent, from);
            break;
        case IX_EXPR:
            if (x->expr->kind != EX_NAME)
                user_error(d, x->loc,
                           "on the left an index is a new name, with or without its extent: `i` or "
                           "`i: 4`\n"
                           "found: `%s`",
                           expr_text(f->b, x->expr));
            push_index(f, (Name){x->expr->s, x->loc}, NULL, from);
        }
        group[i].to = f->index.n;
    }
}

static void keep_axis(Frame *f, int at, const Ix *ext, Loc loc, const char *name)
{
    IndexVar *v = &f->index.v[at];
    if (!v->axis) v->axis = axis_new(f->b, v->name, ext, false, loc, name);
}

/* The tensor that is replaced gives the extents. */
static void keep_shape(Frame *f, const Lhs *lhs, const Group *group, const Value *old)
{
    Builder *b = f->b;
    const IndexVec *ix = &lhs->indices;
    if (old->kind == V_ELEM && !old->elem.n && ix->n == 1 && ix->v[0].kind == IX_DOTS) return;
    if (old->kind != V_TENSOR)
        user_error(b->d, lhs->loc,
                   "`%s` is no tensor: it can't be replaced index by index\nfound: %s", lhs->name.s,
                   value_what(b, *old));
    const Space *shape = old->tensor.shape;
    bool dots = false;
    for (int i = 0; i < ix->n; i++) dots = dots || ix->v[i].kind == IX_DOTS;
    if (dots ? ix->n - 1 > shape->n : ix->n != shape->n)
        user_error(b->d, lhs->loc, "`%s` has shape %s\nfound: %d indices", lhs->name.s,
                   shape_text(b, shape, old->tensor.dim), ix->n);
    for (int i = 0; i < ix->n; i++) {
        int k, many;
        dim_at(ix, i, shape->n, &k, &many);
        if (ix->v[i].kind == IX_DOTS) {
            IndexVar *v = &f->index.v[group[i].from];
            v->nmany = many, v->many = NEW_N(b->a, Axis *, many + 1);
            for (int j = 0; j < many; j++)
                v->many[j] = axis_new(b, "..", shape->ext[k + j], false, ix->v[i].loc, lhs->name.s);
        } else if (ix->v[i].kind != IX_MERGED) {
            keep_axis(f, group[i].from, shape->ext[k], ix->v[i].loc, lhs->name.s);
        }
    }
}

typedef struct {
    int n;
    const Ix *ext[MAX_AXES];
    const char **dim;
    AxisSet axes;           /* the indices on the left */
    const Ix *at[MAX_AXES]; /* each as an expression of the result's axes */
} Left;

static void left_axis(Frame *f, Left *l, Axis *a)
{
    axes_add(f->b, &l->axes, a);
    if (l->n == MAX_AXES)
        user_error(f->b->d, f->b->g->loc, "a tensor has at most %d axes", MAX_AXES);
    l->dim[l->n] = strcmp(a->name, "..") ? a->name : NULL;
    l->ext[l->n++] = a->ext;
}

/* (h d): the axis is h * len(d) + d. The quotients are taken once all extents are known. */
static void left_merged(Frame *f, Left *l, const Group *g, Loc loc)
{
    Builder *b = f->b;
    const Ix *all = ix_const(b->g, 1);
    for (int i = g->from; i < g->to; i++) {
        axes_add(b, &l->axes, f->index.v[i].axis);
        all = ix_mul(b->g, all, f->index.v[i].axis->ext);
    }
    extent_of(b, value_size(all), loc, "the extent of merged axes");
    l->dim[l->n] = diag_slice(b->d, loc);
    l->ext[l->n++] = all;
}

static void left_positions(Frame *f, Left *l, const IndexVec *ix, const Group *group)
{
    Graph *g = f->b->g;
    const Space *space = space_make(g, l->n, l->ext);
    int axis = 0, dim = 0;
    for (int i = 0; i < ix->n; i++) {
        if (ix->v[i].kind != IX_MERGED) {
            int many = ix->v[i].kind == IX_DOTS ? f->index.v[group[i].from].nmany : 1;
            while (many--) l->at[axis++] = ix_axis(g, dim++);
            continue;
        }
        const Ix *rest = ix_axis(g, dim++), *at[MAX_AXES];
        int n = group[i].to - group[i].from;
        for (int j = n; j-- > 1;) {
            const Ix *ext = f->index.v[group[i].from + j].axis->ext;
            bool empty = ix_is(ext, 0);
            at[j] = empty ? ix_const(g, 0) : ix_mod(g, rest, ext, space);
            rest = empty ? rest : ix_div(g, rest, ext, space);
        }
        at[0] = rest;
        for (int j = 0; j < n; j++) l->at[axis++] = at[j];
    }
}

static Value gather_left(Frame *f, const Lhs *lhs, const Group *group, Value v, Loc loc)
{
    Builder *b = f->b;
    Graph *g = b->g;
    const IndexVec *ix = &lhs->indices;
    Left l = {.dim = NEW_N(b->a, const char *, MAX_AXES)};
    for (int i = 0; i < ix->n; i++) {
        if (ix->v[i].kind == IX_MERGED) {
            left_merged(f, &l, &group[i], ix->v[i].loc);
        } else if (ix->v[i].kind == IX_DOTS) {
            const IndexVar *d = &f->index.v[group[i].from];
            for (int j = 0; j < d->nmany; j++) left_axis(f, &l, d->many[j]);
        } else {
            left_axis(f, &l, f->index.v[group[i].from].axis);
        }
    }
    left_positions(f, &l, ix, group);
    const Space *shape = space_make(g, l.n, l.ext);
    if (v.kind == V_TENSOR) v = value_elem(b, v.tensor.e, &(AxisSet){0});
    Edge e = value_edge(b, v, DT_INT, loc);
    if (v.kind == V_ELEM) {
        const Ix *m[MAX_AXES];
        for (int i = 0; i < v.elem.n; i++) {
            int at = axes_find(&l.axes, v.elem.axis[i]);
            if (at < 0)
                user_error(b->d, loc, "the value varies over `%s`, which is no index on the left",
                           v.elem.axis[i]->name);
            m[i] = l.at[at];
        }
        e = edge_comp(g, e, map_make(g, v.elem.n, m), shape);
    }
    return value_tensor(b, e, shape, l.dim);
}

static void check_replaced(Frame *f, const Lhs *lhs, Value old, Value now, Loc loc)
{
    Builder *b = f->b;
    if (old.kind == V_TENSOR && now.kind == V_TENSOR) fit_shapes(b, old, now, lhs->loc, "`=`");
    if ((value_dtype(b, old, loc) == DT_BOOL) != (value_dtype(b, now, loc) == DT_BOOL))
        user_error(b->d, loc, "a value is replaced by one of another type\nfound: %s for %s",
                   value_what(b, now), value_what(b, old));
}

Value assign_indexed(Frame *f, const Lhs *lhs, const Expr *e, const Value *old)
{
    Builder *b = f->b;
    int from = f->index.n, visible = f->visible;
    bool element = f->element;
    Value none, v;
    Group *group = NEW_N(b->a, Group, lhs->indices.n);
    push_left(f, &lhs->indices, group, from);
    if (old) keep_shape(f, lhs, group, old);
    f->visible = from, f->element = true;
    index_resolve(f, from, &e, 1, &none);
    v = none.kind == V_NONE ? none : eval(f, e);
    f->visible = visible, f->element = element;
    if (v.kind == V_STRING || v.kind == V_LIST || v.kind == V_TUPLE)
        user_error(b->d, e->loc, "an element is a number or a bool\nfound: %s", value_what(b, v));
    if (v.kind != V_NONE) {
        v = gather_left(f, lhs, group, v, e->loc);
        if (old) check_replaced(f, lhs, *old, v, e->loc);
    }
    f->index.n = from;
    return v;
}
