/* build_call.c: calls of functions, methods and module instances; how arguments become parameters.
 */
#include "frontend/build.h"

/* ---- instances ---- */

static const Expr *root_of(const Expr *e)
{
    while (e->kind == EX_MEMBER || e->kind == EX_ACCESS)
        e = e->kind == EX_MEMBER ? e->member.base : e->access.base;
    return e;
}

/* net.layers[i].attn as "net.layers.3.attn."; NULL if it has another form. */
static const char *place_path(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    const char *base;
    if (e->kind == EX_NAME) return arena_printf(b->a, "%s%s.", f->self->path, e->s);
    if (e->kind == EX_MEMBER) {
        base = place_path(f, e->member.base);
        return base ? arena_printf(b->a, "%s%s.", base, e->member.name.s) : NULL;
    }
    if (e->kind != EX_ACCESS || e->access.indices.n != 1 || e->access.indices.v[0].kind != IX_EXPR)
        return NULL;
    base = place_path(f, e->access.base);
    if (!base || e->access.fill) return NULL;
    Value i = eval_static(f, e->access.indices.v[0].expr, "the index of a module instance");
    if (i.kind != V_INT)
        user_error(b->d, e->access.indices.v[0].loc,
                   "the index of a module instance is an int\nfound: %s", value_what(b, i));
    return arena_printf(b->a, "%s%lld.", base, (long long)i.i);
}

Inst *inst_at(Frame *f, const Expr *e, const char **path)
{
    const Expr *root = root_of(e);
    if (path) *path = NULL;
    if (!f->self || root->kind != EX_NAME || index_find(f, root->s) ||
        scope_find(f->scope, root->s))
        return NULL;
    const char *p = place_path(f, e);
    if (path) *path = p;
    return p ? strmap_get(&f->b->insts, p) : NULL;
}

const Fn *inst_fn(const Inst *m, const char *name)
{
    for (int i = 0; m && i < m->fns.n; i++) {
        const char *s = m->fns.v[i]->name.s;
        if (name ? s && !strcmp(s, name) : !s) return m->fns.v[i];
    }
    return NULL;
}

static Value call_inst(Frame *f, Inst *m, const Expr *e)
{
    const Fn *fn = inst_fn(m, NULL);
    if (!fn)
        user_error(f->b->d, e->loc, "module `%s` can't be called: it has no `fn (...)`",
                   m->module->module.name.s);
    return call_fn(f, m, fn, &e->call.args, e, e->loc);
}

/* ---- frames ---- */

Frame *frame_new(Builder *b, Frame *up, Inst *self, const Fn *fn)
{
    Frame *f = NEW(b->a, Frame);
    f->b = b, f->up = up, f->self = self, f->fn = fn;
    if (self && fn) self->runs = true;
    f->outermost = self ? self->scope : b->global;
    f->scope = scope_new(b, f->outermost);
    f->ifs_at_entry = b->ifs.n;
    f->result.kind = V_NONE;
    return f;
}

Value run_body(Frame *f)
{
    if (f->fn->value) return f->result = eval(f, f->fn->value);
    run_block(f, &f->fn->body, true);
    if (!f->returned)
        user_error(f->b->d, f->fn->loc,
                   "this function returns nothing\nexpected: `return ...` at its end");
    return f->result;
}

/* ---- whole tensors ---- */

static void agree(Builder *b, const NamedAxis *a, const Ix *ext, const char *who, Loc loc)
{
    Graph *g = b->g;
    if (ix_proves_eq(g, a->ext, ext)) return;
    const Ix *diff = ix_sub(g, a->ext, ext);
    const char *where = a->from ? arena_printf(b->a, "in `%s`", a->from) : "as declared";
    const char *text = arena_printf(g->arena, "axis `%s` is %s %s and %s in `%s`", a->name,
                                    ix_text(g, a->ext), where, ix_text(g, ext), who);
    if (ix_is_const(diff)) user_error(b->d, loc, "%s", text);
    graph_check(g, (Check){.kind = CHECK_EQ0, .ix = diff, .loc = loc, .text = text});
    assume_zero(g, diff);
}

static NamedAxis *name_axis(Frame *nf, const Range *r, const char *from)
{
    NamedAxis *a = named_axis(nf, r->name.s);
    if (a) return a;
    Loc loc = r->loc;
    vec_push(nf->b->a, &nf->axes, (NamedAxis){.name = r->name.s, .loc = loc, .from = from});
    return &nf->axes.v[nf->axes.n - 1];
}

static void bind_axis(Frame *nf, const Range *r, const Ix *ext, const char *who, Loc loc)
{
    Builder *b = nf->b;
    NamedAxis *a = name_axis(nf, r, who);
    if (a->ext)
        agree(b, a, ext, who, loc);
    else
        a->ext = ext, a->from = who;
    if (!r->extent) return;
    Value n = eval_whole(nf, r->extent);
    if (n.kind == V_NONE) return;
    NamedAxis want = {.name = r->name.s, .ext = extent_of(b, n, r->extent->loc, "an extent")};
    agree(b, &want, ext, who, loc);
}

static void bind_dots(Frame *nf, const Param *p, const Space *shape, int from, int n, Loc loc)
{
    Builder *b = nf->b;
    if (!nf->has_dots) {
        nf->has_dots = true, nf->ndots = n, nf->dots = NEW_N(b->a, NamedAxis, n + 1);
        for (int i = 0; i < n; i++)
            nf->dots[i] = (NamedAxis){
                .name = "..", .ext = shape->ext[from + i], .loc = loc, .from = p->name.s};
        return;
    }
    if (n != nf->ndots)
        user_error(b->d, loc, "`..` stands for %d axes in `%s`, and for %d in another parameter", n,
                   p->name.s, nf->ndots);
    for (int i = 0; i < n; i++) agree(b, &nf->dots[i], shape->ext[from + i], p->name.s, loc);
}

static int dots_at(const Param *p)
{
    for (int i = 0; i < p->axes.n; i++)
        if (p->axes.v[i].is_dots) return i;
    return -1;
}

static Value bind_tensor(Frame *nf, const Param *p, Value v, Loc loc)
{
    Builder *b = nf->b;
    const Space *shape = v.tensor.shape;
    int dots = dots_at(p), many = shape->n - (p->axes.n - 1);
    const char **dim = NEW_N(b->a, const char *, shape->n + 1);
    if (dots < 0 ? shape->n != p->axes.n : many < 0)
        user_error(b->d, loc, "`%s` takes a tensor of %s%d axes, %s\nfound: shape %s", p->name.s,
                   dots < 0 ? "" : "at least ", dots < 0 ? p->axes.n : p->axes.n - 1,
                   diag_slice(b->d, p->loc), shape_text(b, shape, v.tensor.dim));
    for (int i = 0, k = 0; i < p->axes.n; i++) {
        const Range *r = &p->axes.v[i];
        if (r->is_dots) {
            bind_dots(nf, p, shape, k, many, loc);
            k += many;
        } else {
            dim[k] = r->name.s;
            bind_axis(nf, r, shape->ext[k++], p->name.s, loc);
        }
    }
    v.tensor.dim = dim;
    return v;
}

/* One value for the whole tensor: `mask[b, t]: bool = true`. */
static Value bind_constant(Frame *nf, const Param *p, Value v, Loc loc)
{
    Builder *b = nf->b;
    const Ix *ext[MAX_AXES];
    const char **dim = NEW_N(b->a, const char *, MAX_AXES);
    int n = 0;
    for (int i = 0; i < p->axes.n; i++) {
        const Range *r = &p->axes.v[i];
        if (r->is_dots && p->axes.n == 1 && !nf->has_dots) {
            nf->has_dots = true, nf->dots = NEW(b->a, NamedAxis);
            return v; /* no axes: one value */
        }
        if (r->is_dots && !nf->has_dots)
            user_error(b->d, loc,
                       "`%s` gets one value, and nothing says which axes `..` stands for",
                       p->name.s);
        for (int j = 0; r->is_dots && j < nf->ndots; j++) ext[n++] = nf->dots[j].ext;
        if (r->is_dots) continue;
        NamedAxis *a = name_axis(nf, r, p->name.s);
        if (!a->ext && a->none.kind == V_NONE && a->none.none.loc.file) return a->none;
        if (!a->ext && !r->extent)
            user_error(b->d, loc,
                       "`%s` gets one value, and nothing says how far its axis `%s` goes",
                       p->name.s, r->name.s);
        if (r->extent) {
            const Ix *e = extent_of(b, eval_whole(nf, r->extent), r->extent->loc, "an extent");
            bind_axis(nf, r, e, p->name.s, loc);
            a = name_axis(nf, r, p->name.s);
        }
        dim[n] = r->name.s;
        ext[n++] = a->ext;
    }
    return value_tensor(b, value_edge(b, v, DT_INT, loc), space_make(b->g, n, ext), dim);
}

static Value as_declared(Builder *b, const Param *p, Value v, Loc loc)
{
    static const DType want_of[] = {DT_FLOAT, DT_INT, DT_FLOAT, DT_BOOL, DT_FLOAT};
    DType want = want_of[p->type.kind], have = value_dtype(b, v, loc);
    static const char *const name[] = {"float", "int", "bool"};
    if (want == have) return v;
    if (want != DT_FLOAT || have != DT_INT)
        user_error(b->d, loc, "`%s` takes a tensor of %s\nfound: %s%s", p->name.s, name[want],
                   value_what(b, v),
                   p->type.kind == TY_NONE ? "\nhint: a parameter without a type is float" : "");
    return value_binary(b, BIN_DIV, v, value_int(1), loc);
}

void bind_axes(Frame *nf, const Param *p, Value *v, Loc loc)
{
    Builder *b = nf->b;
    if (v->kind == V_NONE) {
        for (int i = 0; i < p->axes.n; i++) {
            if (p->axes.v[i].is_dots) continue;
            NamedAxis *a = name_axis(nf, &p->axes.v[i], p->name.s);
            if (!a->ext) a->none = *v, a->none.none.loc = v->none.loc.file ? v->none.loc : loc;
        }
        return;
    }
    if (!value_is_scalar(*v) && v->kind != V_TENSOR)
        user_error(b->d, loc, "`%s` takes a whole tensor\nfound: %s", p->name.s, value_what(b, *v));
    *v = as_declared(b, p, *v, loc);
    *v = v->kind == V_TENSOR ? bind_tensor(nf, p, *v, loc) : bind_constant(nf, p, *v, loc);
}

/* ---- pointwise functions: no brackets, no axes of their own ---- */

static bool is_pointwise(const Fn *fn)
{
    for (int i = 0; i < fn->params.n; i++)
        if (fn->params.v[i].is_tensor) return false;
    return true;
}

typedef struct {
    const Value *shape;
    AxisSet axes;
} Spread;

/* Whole tensors as arguments: the function is applied at every position. */
static void spread_args(Frame *f, const Fn *fn, Value *arg, Spread *s, Loc loc)
{
    Builder *b = f->b;
    for (int i = 0; i < fn->params.n; i++) {
        if (arg[i].kind != V_TENSOR || fn->params.v[i].type.kind != TY_NONE) continue;
        if (!s->shape)
            s->shape = arena_copy(b->a, &arg[i], sizeof arg[i]);
        else
            fit_shapes(b, *s->shape, arg[i], loc,
                       fn->name.s ? arena_printf(b->a, "`%s`", fn->name.s) : "`fn`");
    }
    if (!s->shape) return;
    const Space *shape = s->shape->tensor.shape;
    for (int i = 0; i < shape->n; i++) {
        const char *name =
            s->shape->tensor.dim && s->shape->tensor.dim[i] ? s->shape->tensor.dim[i] : "..";
        axes_add(b, &s->axes, axis_new(b, name, shape->ext[i], false, loc, "an argument"));
    }
    for (int i = 0; i < fn->params.n; i++)
        if (arg[i].kind == V_TENSOR) arg[i] = value_elem(b, arg[i].tensor.e, &s->axes);
}

static Value gather_result(Builder *b, const Spread *s, Value v, Loc loc)
{
    if (v.kind == V_NONE || v.kind == V_STRING || v.kind == V_LIST) return v;
    if (v.kind == V_TUPLE) {
        for (int i = 0; i < v.list.n; i++) v.list.v[i] = gather_result(b, s, v.list.v[i], loc);
        return v;
    }
    const Space *shape = s->shape->tensor.shape;
    return value_tensor(b, value_onto(b, v, &s->axes, shape, DT_INT, loc), shape,
                        s->shape->tensor.dim);
}

/* Draws inside: over the axes of the arguments; of a function without any, over the indices around
 * the call. */
static AxisSet draw_axes(Frame *f, const Fn *fn, const Value *arg, const Spread *s)
{
    Builder *b = f->b;
    AxisSet around = s->axes;
    bool any = false;
    for (int i = 0; i < fn->params.n; i++) {
        if (fn->params.v[i].type.kind != TY_NONE) continue;
        any = true;
        axes_of(b, &around, arg[i]);
    }
    for (int i = 0; !any && i < f->around.n; i++) axes_add(b, &around, f->around.v[i]);
    for (int i = f->visible; !any && i < f->index.n; i++) {
        const IndexVar *v = &f->index.v[i];
        if (v->axis) axes_add(b, &around, v->axis);
        for (int j = 0; v->dots && j < v->nmany; j++) axes_add(b, &around, v->many[j]);
    }
    axes_sort(&around);
    return around;
}

/* ---- arguments ---- */

static const Arg *arg_for(Builder *b, const Fn *fn, const ArgVec *args, int param, Loc loc)
{
    const Arg *r = NULL;
    int position = 0;
    for (int i = 0; i < args->n; i++) {
        const Arg *a = &args->v[i];
        if (a->is_pass)
            user_error(b->d, a->loc,
                       "`..` passes options to a module in `use`; a function takes values");
        bool here = a->name.s ? !strcmp(a->name.s, fn->params.v[param].name.s) : position == param;
        position += !a->name.s;
        if (here && r)
            user_error(b->d, a->loc, "parameter `%s` is given twice", fn->params.v[param].name.s);
        if (here) r = a;
    }
    (void)loc;
    return r;
}

static void check_args(Builder *b, const Fn *fn, const ArgVec *args, Loc loc)
{
    int position = 0;
    const char *names[256];
    int n = fn->params.n < 256 ? fn->params.n : 256;
    for (int i = 0; i < n; i++) names[i] = fn->params.v[i].name.s;
    for (int i = 0; i < args->n; i++) {
        const Arg *a = &args->v[i];
        bool known = !a->name.s;
        for (int j = 0; !known && j < fn->params.n; j++)
            known = !strcmp(a->name.s, fn->params.v[j].name.s);
        if (!known)
            user_error(b->d, a->name.loc, "there is no parameter `%s`%s", a->name.s,
                       suggest(b, a->name.s, names, n));
        position += !a->name.s && !a->is_pass;
    }
    if (position <= fn->params.n) return;
    diag_note(b->d, fn->loc, "the function is here");
    user_error(b->d, loc, "too many values: the function takes %d\nfound: %d", fn->params.n,
               position);
}

Value typed_arg(Builder *b, const Param *p, Value v, Loc loc)
{
    if (v.kind == V_NONE) return v;
    bool truth;
    if (v.kind == V_ELEM && p->type.kind == TY_BOOL && value_known(b, v, &truth))
        v = value_bool(truth);
    bool host = v.kind == V_ELEM && !v.elem.n && host_known(b, v.elem.e);
    if (host && p->type.kind != TY_STRING && !p->type.is_list) return v;
    if (value_is_graph(v))
        user_error(b->d, loc,
                   "`%s: %s` takes a value known at compile time\nfound: %s\nhint: without a type "
                   "a parameter "
                   "is one element of a tensor",
                   p->name.s, type_name(p->type.kind), value_what(b, v));
    return typed_value(b, &p->type, -1, v, loc, arena_printf(b->a, "`%s`", p->name.s));
}

static Value read_arg(Frame *f, const Param *p, const Expr *e)
{
    if (p->is_tensor) return eval_whole(f, e);
    if (p->type.kind != TY_NONE) return typed_arg(f->b, p, eval_whole(f, e), e->loc);
    return eval(f, e);
}

static void bind_param(Frame *nf, const Param *p, Value v, Loc loc)
{
    Builder *b = nf->b;
    if (p->is_tensor)
        bind_axes(nf, p, &v, loc);
    else if (v.kind == V_TUPLE)
        user_error(b->d, loc, "`%s` takes one value\nfound: %s", p->name.s, value_what(b, v));
    for (int i = 0; i < nf->axes.n; i++)
        if (!strcmp(nf->axes.v[i].name, p->name.s))
            user_error(b->d, p->name.loc, "`%s` is both a parameter and an axis", p->name.s);
    scope_add(b, nf->scope, VAR_ARG, p->name, v)->born = b->ifs.n;
}

static void bind_params(Frame *f, Frame *nf, const ArgVec *args, const Value *arg, Loc loc)
{
    Builder *b = f->b;
    const Fn *fn = nf->fn;
    for (int i = 0; i < fn->params.n; i++) {
        const Param *p = &fn->params.v[i];
        const Arg *a = arg_for(b, fn, args, i, loc);
        if (a) {
            bind_param(nf, p, arg[i], a->loc);
            continue;
        }
        if (!p->value) {
            diag_note(b->d, p->loc, "it is declared here");
            user_error(b->d, loc, "parameter `%s` is not given, and has no default", p->name.s);
        }
        bind_param(nf, p, read_arg(nf, p, p->value), p->value->loc);
    }
}

void check_depth(Builder *b, Loc loc)
{
    ptrdiff_t used = b->stack - (const char *)__builtin_frame_address(0);
    if (b->calls > MAX_CALLS)
        user_error(b->d, loc, "calls are nested more than %d deep: does a function call itself?",
                   MAX_CALLS);
    if (used > MAX_STACK || used < -MAX_STACK)
        user_error(b->d, loc, "the program is nested too deeply");
}

Value call_fn(Frame *f, Inst *self, const Fn *fn, const ArgVec *args, const Expr *call, Loc loc)
{
    Builder *b = f->b;
    check_args(b, fn, args, loc);
    Value *arg = NEW_N(b->a, Value, fn->params.n + 1);
    Spread spread = {0};
    for (int i = 0; i < fn->params.n; i++) {
        const Arg *a = arg_for(b, fn, args, i, loc);
        if (a) arg[i] = read_arg(f, &fn->params.v[i], a->value);
    }
    Frame *nf = frame_new(b, f, self, fn);
    nf->site = hash_mix(f->site, call_ordinal(f, call));
    nf->in_start = f->in_start;
    if (is_pointwise(fn)) {
        spread_args(f, fn, arg, &spread, loc);
        nf->around = draw_axes(f, fn, arg, &spread);
    }
    b->calls++;
    check_depth(b, loc);
    bind_params(f, nf, args, arg, loc);
    Value v = run_body(nf);
    b->calls--;
    return spread.shape ? gather_result(b, &spread, v, loc) : v;
}

/* ---- what is called ---- */

static Value call_name(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    const char *name = e->call.callee->s;
    Loc loc = e->call.callee->loc;
    Value r;
    const Fn *fn = inst_fn(f->self, name);
    if (fn) return call_fn(f, f->self, fn, &e->call.args, e, e->loc);
    Inst *m = inst_at(f, e->call.callee, NULL);
    if (m) return call_inst(f, m, e);
    const Item *item = strmap_get(&b->items, name);
    if (item && item->kind == IT_FN) return call_fn(f, NULL, item->fn, &e->call.args, e, e->loc);
    if (call_builtin(f, name, e, &r)) return r;
    if (item)
        user_error(b->d, loc,
                   "`%s` is a module; it gets parameters where it is made, in a module's "
                   "body\nhint: `use NAME "
                   "= %s(...)`, then `NAME(x)`",
                   name, name);
    if (index_find(f, name) || scope_find(f->scope, name))
        user_error(b->d, loc,
                   "`%s` is a value, not a function\nhint: indices stand in brackets: `%s[i]`",
                   name, name);
    unknown_name(f, (Name){name, loc}, "the function");
}

static Value call_member(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    const Expr *callee = e->call.callee;
    const char *path = NULL;
    Inst *m = callee->kind == EX_MEMBER ? inst_at(f, callee->member.base, NULL) : NULL;
    const Fn *fn = m ? inst_fn(m, callee->member.name.s) : NULL;
    if (fn) return call_fn(f, m, fn, &e->call.args, e, e->loc);
    Inst *whole = inst_at(f, callee, &path);
    if (whole) return call_inst(f, whole, e);
    if (m) {
        VEC(const char *) names = {0};
        for (int i = 0; i < m->fns.n; i++)
            if (m->fns.v[i]->name.s) vec_push(b->a, &names, m->fns.v[i]->name.s);
        user_error(b->d, callee->member.name.loc, "module `%s` has no function `%s`%s",
                   m->module->module.name.s, callee->member.name.s,
                   suggest_or_list(b, "its functions", callee->member.name.s, names.v, names.n));
    }
    if (!path) user_error(b->d, callee->loc, "`%s` can't be called", expr_text(b, callee));
    const char *bare = arena_strndup(b->a, path, strlen(path) - 1);
    user_error(b->d, callee->loc, "no module instance `%s` was made%s", bare,
               suggest(b, path, b->insts_list.v, b->insts_list.n));
}

Value eval_call(Frame *f, const Expr *e)
{
    const Expr *callee = e->call.callee;
    if (callee->kind == EX_NAME) return call_name(f, e);
    if (callee->kind == EX_MEMBER || callee->kind == EX_ACCESS) return call_member(f, e);
    user_error(f->b->d, callee->loc, "what a call gives can't be called");
}
