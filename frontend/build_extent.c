/* build_extent.c: how far an index goes. The first of these that applies (README, "Extents"):
 *
 *   1  written: `i: n`
 *   2  an axis name of the function's parameters
 *   3  bare uses without `else`: x[.., i], and parts of merged axes, (h d), a single unknown part
 * by division 4  bare uses with `else`
 */
#include "frontend/build.h"

IndexVar *index_find(Frame *f, const char *name)
{
    for (int i = f->index.n; i-- > f->visible;)
        if (!strcmp(f->index.v[i].name, name)) return &f->index.v[i];
    return NULL;
}

NamedAxis *named_axis(Frame *f, const char *name)
{
    for (int i = 0; i < f->axes.n; i++)
        if (!strcmp(f->axes.v[i].name, name)) return &f->axes.v[i];
    return NULL;
}

int index_push(Frame *f, Name name, bool dots)
{
    Var *v = dots || named_axis(f, name.s) ? NULL : scope_find(f->scope, name.s);
    if (v) {
        if (v->loc.file) diag_note(f->b->d, v->loc, "`%s` is declared here", name.s);
        user_error(f->b->d, name.loc,
                   "`%s` is the name of a value, so it can't be an index here\nhint: take another "
                   "letter for the index",
                   name.s);
    }
    vec_push(f->b->a, &f->index,
             (IndexVar){.name = dots ? ".." : name.s, .dots = dots, .loc = name.loc});
    return f->index.n - 1;
}

Value axis_value(Frame *f, Axis *a)
{
    Builder *b = f->b;
    AxisSet s = {1, {a}};
    return value_elem(b, graph_idx(b->g, ix_axis(b->g, 0), axes_space(b, &s)), &s);
}

void dim_at(const IndexVec *ix, int i, int rank, int *dim, int *many)
{
    int dots = -1;
    for (int j = 0; j < ix->n; j++)
        if (ix->v[j].kind == IX_DOTS) dots = j;
    *many = i == dots ? rank - (ix->n - 1) : 1;
    *dim = dots >= 0 && i > dots ? i + rank - ix->n : i;
}

const Ix *split_extent(Frame *f, const Ix *total, const Ix *known, Loc loc, const char *axis,
                       const char *parts)
{
    Graph *g = f->b->g;
    if (ix_is(known, 0))
        user_error(f->b->d, loc, "an axis can't be split into parts of 0 (`%s`)", parts);
    const Ix *rest = ix_mod(g, total, known, NULL);
    if (!ix_is(rest, 0)) {
        if (ix_is_const(rest))
            user_error(f->b->d, loc, "axis `%s` has %s elements, not a multiple of %s (`%s`)", axis,
                       ix_text(g, total), ix_text(g, known), parts);
        graph_check(
            g, (Check){.kind = CHECK_EQ0,
                       .ix = rest,
                       .loc = loc,
                       .text = arena_printf(g->arena, "axis `%s` must be a multiple of %s (`%s`)",
                                            axis, ix_text(g, known), parts)});
        assume_zero(g, rest);
    }
    return ix_div(g, total, known, NULL);
}

/* ---- searching an expression for uses of one index ---- */

typedef struct {
    Frame *f;
    const char *name; /* ".." for leading axes */
    bool weak;        /* also accesses with `else` */
    const Ix *ext;    /* found */
    int nmany;
    const Ix *many[MAX_AXES];
    bool found, from_list;
    Loc loc;
    const char *text;
    Value none; /* kind V_TUPLE: unset */
} Search;

static bool search(Search *s, const Expr *e);

static bool is_bare(const Index *ix, const char *name)
{
    return ix->kind == IX_EXPR && ix->expr->kind == EX_NAME && !strcmp(ix->expr->s, name);
}

/* A part of merged axes whose size follows from the axis and the other parts. */
static const Ix *search_parts(Search *s, const Index *ix, const Ix *total, const char *axis)
{
    Frame *f = s->f;
    Builder *b = f->b;
    const Ix *known = ix_const(b->g, 1);
    Str parts = {.arena = b->a};
    bool mine = false;
    for (int i = 0; i < ix->parts.n; i++) {
        const Range *p = &ix->parts.v[i];
        bool is_mine = !strcmp(p->name.s, s->name);
        IndexVar *v = is_mine ? NULL : index_find(f, p->name.s);
        const Ix *ext = p->extent
                            ? extent_of(b, eval_whole(f, p->extent), p->extent->loc, "an extent")
                        : v && v->axis ? v->axis->ext
                                       : NULL;
        if (is_mine && ext) return ext;
        mine = mine || is_mine;
        if (is_mine) continue;
        if (!ext) return NULL;
        known = ix_mul(b->g, known, ext);
        str_printf(&parts, "%s%s", parts.n ? " " : "", p->name.s);
    }
    return mine ? split_extent(f, total, known, ix->loc, axis, parts.s) : NULL;
}

static const char *dim_name(Value v, int k)
{
    return v.tensor.dim && v.tensor.dim[k] ? v.tensor.dim[k] : "?";
}

static bool search_tensor(Search *s, const Expr *e, Value base)
{
    const IndexVec *ix = &e->access.indices;
    int rank = base.tensor.shape->n;
    bool dots = false;
    for (int i = 0; i < ix->n; i++) dots = dots || ix->v[i].kind == IX_DOTS;
    if (dots ? ix->n - 1 > rank : ix->n != rank) return false; /* an error when it is read */
    for (int i = 0; i < ix->n; i++) {
        int dim, many;
        dim_at(ix, i, rank, &dim, &many);
        const Index *x = &ix->v[i];
        if (x->kind == IX_DOTS && !strcmp(s->name, "..")) {
            s->nmany = many;
            for (int k = 0; k < many; k++) s->many[k] = base.tensor.shape->ext[dim + k];
            s->found = true;
        } else if (is_bare(x, s->name)) {
            s->ext = base.tensor.shape->ext[dim];
        } else if (x->kind == IX_NAMED && !strcmp(x->name.s, s->name)) {
            s->ext = extent_of(s->f->b, eval_whole(s->f, x->expr), x->expr->loc, "an extent");
        } else if (x->kind == IX_MERGED) {
            s->ext = search_parts(s, x, base.tensor.shape->ext[dim], dim_name(base, dim));
        }
        if (!s->ext && !s->found) continue;
        s->found = true, s->loc = x->loc, s->text = expr_text(s->f->b, e);
        return true;
    }
    return false;
}

static bool search_access(Search *s, const Expr *e)
{
    const IndexVec *ix = &e->access.indices;
    Value base = access_base(s->f, e->access.base, NULL);
    if (base.kind == V_NONE) return s->none = base, s->found = true;
    if (base.kind == V_ELEM && !base.elem.n && !strcmp(s->name, "..") && ix->n == 1 &&
        ix->v[0].kind == IX_DOTS)
        return s->found = true; /* no axes at all */
    if (!e->access.fill || s->weak) {
        if (base.kind == V_TENSOR && search_tensor(s, e, base)) return true;
        if (base.kind == V_LIST && ix->n == 1 && is_bare(&ix->v[0], s->name)) {
            s->ext = ix_const(s->f->b->g, base.list.n), s->loc = ix->v[0].loc;
            s->text = expr_text(s->f->b, e);
            return s->from_list = s->found = true;
        }
    }
    for (int i = 0; i < ix->n; i++)
        if (ix->v[i].kind == IX_EXPR && ix->v[i].expr->kind != EX_NAME && search(s, ix->v[i].expr))
            return true;
    return e->access.fill && search(s, e->access.fill);
}

static void mentions(void *ctx, const Expr *e)
{
    struct {
        Frame *f;
        bool hit;
    } *c = ctx;
    if (e->kind != EX_NAME) return;
    for (int i = 0; i < c->f->index.n; i++) c->hit = c->hit || !strcmp(c->f->index.v[i].name, e->s);
}

static bool search_choice(Search *s, const Expr *e)
{
    struct {
        Frame *f;
        bool hit;
    } c = {s->f, false};
    bool truth;
    walk_expr(e->choice.cond, mentions, &c);
    if (!c.hit) {
        Value v = eval_cached(s->f, e->choice.cond);
        if (v.kind != V_NONE && value_known(s->f->b, v, &truth))
            return search(s, truth ? e->choice.then : e->choice.otherwise);
    }
    return search(s, e->choice.then) || search(s, e->choice.otherwise);
}

static bool search_args(Search *s, const ArgVec *args)
{
    for (int i = 0; i < args->n; i++)
        if (args->v[i].value && search(s, args->v[i].value)) return true;
    return false;
}

static bool search(Search *s, const Expr *e)
{
    switch (e->kind) {
    case EX_UNARY:
        return search(s, e->unary.x);
    case EX_BINARY:
        return search(s, e->binary.a) || search(s, e->binary.b);
    case EX_ACCESS:
        return search_access(s, e);
    case EX_REDUCE:
        for (int i = 0; i < e->reduce.over.n && e->reduce.kind != RED_SOFTMAX; i++) {
            const Range *r = &e->reduce.over.v[i];
            if (!strcmp(r->is_dots ? ".." : r->name.s, s->name))
                return false; /* another index of this name */
        }
        return search(s, e->reduce.body) || (e->reduce.guard && search(s, e->reduce.guard));
    case EX_REDUCE_CALL:
        return search_args(s, &e->reduce_call.args);
    case EX_CALL:
        return search_args(s, &e->call.args);
    case EX_CHOICE:
        return search_choice(s, e);
    default:
        return false;
    }
}

/* ---- resolving ---- */

static void settle(Frame *f, IndexVar *v, const Search *s)
{
    Builder *b = f->b;
    if (!v->dots) {
        v->axis = axis_new(b, v->name, s->ext, false, s->loc, s->text);
        return;
    }
    v->nmany = s->nmany, v->many = NEW_N(b->a, Axis *, s->nmany + 1);
    for (int i = 0; i < s->nmany; i++)
        v->many[i] = axis_new(b, "..", s->many[i], false, s->loc, s->text);
}

/* Rule 2. True if the index is settled or, `none` set, belongs to an absent input. */
static bool by_name(Frame *f, IndexVar *v, Value *none)
{
    NamedAxis *a = v->dots ? NULL : named_axis(f, v->name);
    if (v->dots && f->has_dots) {
        v->nmany = f->ndots, v->many = NEW_N(f->b->a, Axis *, f->ndots + 1);
        for (int i = 0; i < f->ndots; i++)
            v->many[i] =
                axis_new(f->b, "..", f->dots[i].ext, false, f->dots[i].loc, f->dots[i].from);
        return true;
    }
    if (!a) return false;
    if (!a->ext)
        *none = a->none;
    else
        v->axis = axis_new(f->b, v->name, a->ext, false, a->loc, a->from);
    return true;
}

static bool settled(const IndexVar *v) { return v->dots ? v->many != NULL : v->axis != NULL; }

static bool by_use(Frame *f, int at, const Expr *const *in, int n, bool weak, Value *none)
{
    Search s = {.f = f, .name = f->index.v[at].name, .weak = weak, .none.kind = V_TUPLE};
    for (int i = 0; i < n && !s.found; i++) search(&s, in[i]);
    if (s.found && s.none.kind == V_NONE)
        *none = s.none;
    else if (s.found)
        settle(f, &f->index.v[at], &s);
    return s.found;
}

void index_resolve(Frame *f, int from, const Expr *const *in, int n, Value *none)
{
    none->kind = V_TUPLE;
    for (int i = from; i < f->index.n && none->kind != V_NONE; i++)
        if (!settled(&f->index.v[i])) by_name(f, &f->index.v[i], none);
    for (int weak = 0; weak < 2; weak++) {
        bool more = true;
        while (more && none->kind != V_NONE) {
            more = false;
            for (int i = from; i < f->index.n && none->kind != V_NONE; i++)
                if (!settled(&f->index.v[i]) && by_use(f, i, in, n, weak, none)) more = true;
            if (more) weak = 0;
        }
    }
    for (int i = from; i < f->index.n && none->kind != V_NONE; i++) {
        const IndexVar *v = &f->index.v[i];
        if (settled(v)) continue;
        if (v->dots)
            user_error(
                f->b->d, v->loc,
                "nothing says which axes `..` stands for here\nhint: a tensor must be read with "
                "`..`: `x[.., i]`");
        user_error(f->b->d, v->loc, "nothing says how far `%s` goes: write `%s: SIZE`", v->name,
                   v->name);
    }
}

/* Does the index run over a static list? Then a reduction over it is unfolded. */
bool index_over_list(Frame *f, const Range *r, const Expr *const *in, int n, int64_t *length)
{
    if (r->is_dots || r->extent || named_axis(f, r->name.s)) return false;
    Search s = {.f = f, .name = r->name.s, .none.kind = V_TUPLE};
    for (int i = 0; i < n && !s.found; i++) search(&s, in[i]);
    if (s.from_list) *length = s.ext->c;
    return s.from_list;
}
