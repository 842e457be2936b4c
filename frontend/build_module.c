/* build_module.c: module instances, their parameters and states, and how those start. */
#include "frontend/build.h"

/* ---- instances ---- */

static void add_method(Builder *b, Inst *m, const Fn *fn)
{
    const Fn *old = inst_fn(m, fn->name.s);
    if (old) {
        diag_note(b->d, old->loc, "the first is here");
        user_error(b->d, fn->loc,
                   fn->name.s ? "function `%s` is declared twice"
                              : "a module has one function without a name",
                   fn->name.s);
    }
    vec_push(b->a, &m->fns, fn);
}

Inst *inst_make(Builder *b, const Item *module, GivenVec *given, const char *path, const Stmt *from,
                Loc loc)
{
    Inst *m = NEW(b->a, Inst);
    *m = (Inst){
        .path = path, .module = module, .scope = scope_new(b, b->global), .from = from, .loc = loc};
    b->calls++;
    check_depth(b, loc);
    options_resolve(b, m, given);
    strmap_put(b, &b->insts, path, m);
    vec_push(b->a, &b->insts_list, path);
    Frame *f = frame_new(b, NULL, m, NULL);
    f->scope = m->scope, f->outermost = b->global, f->in_module = true;
    for (int i = 0; i < module->module.body.list.n; i++) {
        const Stmt *s = module->module.body.list.v[i];
        if (s->kind == ST_FN) add_method(b, m, s->fn);
    }
    OptVec *outer = b->capture;
    b->capture = &m->reads;
    run_block(f, &module->module.body, false);
    b->capture = outer;
    b->calls--;
    return m;
}

static void mark_idle(Opt *o)
{
    if (o->read || o->idle) return;
    o->idle = true;
    for (int i = 0; i < o->deps.n; i++) mark_idle(o->deps.v[i]);
}

void count_reads(Builder *b)
{
    for (int idle = 0; idle < 2; idle++)
        for (int i = 0; i < b->insts_list.n; i++) {
            Inst *m = strmap_get(&b->insts, b->insts_list.v[i]);
            if (m->runs == idle) continue;
            for (int k = 0; k < m->reads.n; k++)
                if (idle) mark_idle(m->reads.v[k]);
                else opt_read(b, m->reads.v[k]);
        }
}

/* ---- use ---- */

static bool same_options(Builder *b, const Inst *m, GivenVec *given)
{
    Inst *again = NEW(b->a, Inst);
    *again = (Inst){
        .module = m->module, .scope = scope_new(b, b->global), .from = m->from, .loc = m->loc};
    options_resolve(b, again, given);
    bool same = true;
    for (int i = 0; i < m->opts.n; i++) {
        StaticValue x = value_to_static(b, m->opts.v[i]->value, m->loc);
        StaticValue y = value_to_static(b, again->opts.v[i]->value, m->loc);
        Str s = {.arena = b->a}, t = {.arena = b->a};
        static_print(&x, &s), static_print(&y, &t);
        same = same && !strcmp(s.s, t.s);
        for (int j = 0; j < again->opts.v[i]->deps.n;
             j++) /* one instance, read once for all its users */
            vec_push(b->a, &m->opts.v[i]->deps, again->opts.v[i]->deps.v[j]);
    }
    return same;
}

static void give(Builder *b, GivenVec *given, Given g)
{
    for (int i = 0; i < given->n; i++)
        if (!strcmp(given->v[i].name, g.name))
            user_error(b->d, g.loc, "option `%s` is given twice", g.name);
    vec_push(b->a, given, g);
}

static void give_args(Frame *f, const Item *module, const ArgVec *args, const OptVec *opts,
                      GivenVec *given)
{
    Builder *b = f->b;
    int position = 0;
    for (int i = 0; i < args->n; i++) {
        const Arg *a = &args->v[i];
        if (a->is_pass) continue;
        if (!a->name.s && position >= opts->n)
            user_error(b->d, a->loc, "module `%s` has %d options", module->module.name.s, opts->n);
        Given g = {.name = a->name.s ? a->name.s : opts->v[position++]->name, .loc = a->value->loc};
        if (a->name.s) g.loc = a->loc;
        OptVec *outer = b->capture;
        b->capture = &g.deps;
        g.v = eval_whole(f, a->value);
        b->capture = outer;
        if (!value_is_static(g.v) && !(b->lone && g.v.kind == V_SIZE))
            user_error(b->d, a->value->loc,
                       "an option must be known when the program is compiled\nfound: %s",
                       value_what(b, g.v));
        give(b, given, g);
    }
}

/* `..` passes on what was set, or is declared in full here; the rest is left to the callee's own
 * defaults. */
static void give_passed(Frame *f, const Arg *a, const OptVec *opts, GivenVec *given)
{
    Builder *b = f->b;
    const char *prefix = a->name.s ? a->name.s : "";
    int matches = 0;
    for (int i = 0; i < opts->n; i++) {
        const char *name = arena_printf(b->a, "%s%s", prefix, opts->v[i]->name);
        Opt *mine = NULL;
        bool named = false;
        for (int j = 0; j < f->self->opts.n; j++)
            if (!strcmp(f->self->opts.v[j]->name, name)) mine = f->self->opts.v[j];
        if (!mine) continue;
        matches++;
        for (int j = 0; j < given->n; j++)
            named = named || !strcmp(given->v[j].name, opts->v[i]->name);
        if (named || !(mine->set || mine->listed)) continue;
        Given g = {
            .name = opts->v[i]->name, .v = mine->value, .loc = mine->loc, .by_user = mine->by_user};
        vec_push(b->a, &g.deps, mine);
        vec_push(b->a, given, g);
    }
    if (!matches)
        user_error(b->d, a->loc, "`%s..` passes nothing on: no option here is named like one there",
                   prefix);
}

/* What is left to the instance's own defaults, or said by this module, is what the instance took.
 */
static void take_defaults(Frame *f, const Arg *pass, const Inst *made)
{
    const char *prefix = pass->name.s ? pass->name.s : "";
    size_t n = strlen(prefix);
    for (int i = 0; i < f->self->opts.n; i++) {
        Opt *mine = f->self->opts.v[i];
        if (mine->set || mine->listed || strncmp(mine->name, prefix, n) != 0) continue;
        for (int j = 0; j < made->opts.n; j++) {
            const Opt *o = made->opts.v[j];
            if (strcmp(o->name, mine->name + n) != 0 || (o->set && !mine->fixed)) continue;
            mine->value = o->value;
            if (mine->decl->value) mine->def = o->value, mine->has_def = true;
        }
    }
}

static const char *use_path(Frame *f, const Place *place)
{
    Builder *b = f->b;
    Str s = {.arena = b->a};
    str_add(&s, f->self->path);
    for (int i = 0; i < place->steps.n; i++) {
        const Step *step = &place->steps.v[i];
        if (step->name.s) {
            str_printf(&s, "%s.", step->name.s);
            continue;
        }
        Value v = eval_static(f, step->index, "the index of a module instance");
        if (v.kind != V_INT || v.i < 0)
            user_error(b->d, step->index->loc,
                       "the index of a module instance is an int from 0\nfound: %s",
                       value_what(b, v));
        str_printf(&s, "%lld.", (long long)v.i);
    }
    return s.s;
}

void run_use(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    const Expr *call = s->use.value;
    if (call->kind != EX_CALL || call->call.callee->kind != EX_NAME)
        user_error(b->d, call->loc,
                   "`use` takes a module with its options: `use NAME = linear(dim, dim)`");
    Name name = {call->call.callee->s, call->call.callee->loc};
    const Item *module = module_named(b, name, "`use`");
    const char *path = use_path(f, &s->use.place);
    Name root = s->use.place.steps.v[0].name;
    if (scope_find(f->scope, root.s))
        user_error(b->d, root.loc, "`%s` is already the name of a value here", root.s);
    OptVec opts = {0};
    GivenVec given = {0};
    options_list(b, module, &opts);
    give_args(f, module, &call->call.args, &opts, &given);
    for (int i = 0; i < call->call.args.n; i++)
        if (call->call.args.v[i].is_pass) give_passed(f, &call->call.args.v[i], &opts, &given);
    Inst *old = strmap_get(&b->insts, path);
    if (!old) {
        const Inst *made = inst_make(b, module, &given, path, s, call->loc);
        for (int i = 0; i < call->call.args.n; i++)
            if (call->call.args.v[i].is_pass) take_defaults(f, &call->call.args.v[i], made);
        return;
    }
    const char *bare = arena_strndup(b->a, path, strlen(path) - 1);
    if (old->from == s && old->module == module && same_options(b, old, &given)) return;
    diag_note(b->d, old->loc, "the first is here");
    user_error(
        b->d, s->loc,
        old->from == s
            ? "instance `%s` is used again with other options"
            : "instance `%s` is made twice\nhint: sharing is an equal path from one statement",
        bare);
}

/* ---- parameters and states ---- */

/* 2^40 elements are more than a machine holds, and sizes of a few of them still fit 64 bits. */
static void require_countable(Builder *b, const Ix *const *ext, int n, const Stmt *s)
{
    int64_t count = 1, most = (int64_t)1 << 40;
    for (int i = 0; i < n; i++) {
        if (!ix_is_const(ext[i])) continue;
        if (ext[i]->c > 0 && count > most / ext[i]->c)
            user_error(b->d, s->param.name.loc,
                       "`%s` has too many elements\nexpected: at most 2^40", s->param.name.s);
        count *= ext[i]->c;
    }
}

void run_declare(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    const IndexVec *dims = &s->param.dims;
    const Ix *ext[MAX_AXES];
    if (dims->n > MAX_AXES) user_error(b->d, s->loc, "a tensor has at most %d axes", MAX_AXES);
    for (int i = 0; i < dims->n; i++) {
        const Index *x = &dims->v[i];
        if (x->kind != IX_EXPR && x->kind != IX_NAMED)
            user_error(b->d, x->loc, "the axes of a parameter are sizes: `param w[outs, ins]`");
        Value v = eval_whole(f, x->expr);
        ext[i] = extent_of(b, v, x->expr->loc, "the size of an axis");
        if (!ix_is_const(ext[i]) && !b->lone)
            user_error(
                b->d, x->expr->loc,
                "the size of a parameter must be known when the program is compiled\nfound: %s",
                value_what(b, v));
    }
    require_countable(b, ext, dims->n, s);
    const char *path = arena_printf(b->a, "%s%s", f->self->path, s->param.name.s);
    if (strmap_get(&b->insts, arena_printf(b->a, "%s.", path)))
        user_error(b->d, s->param.name.loc, "`%s` is already a module instance here",
                   s->param.name.s);
    Var *v = scope_add(b, f->self->scope, s->kind == ST_PARAM ? VAR_PARAM : VAR_STATE,
                       s->param.name, (Value){0});
    v->path = path, v->decl = s, v->owner = f->self, v->shape = space_make(b->main, dims->n, ext);
    vec_push(b->a, &b->declared, v);
}

static const char *const *dim_names(Builder *b, const IndexVec *dims)
{
    const char **dim = NEW_N(b->a, const char *, dims->n + 1);
    for (int i = 0; i < dims->n; i++) {
        const Index *x = &dims->v[i];
        if (x->kind == IX_NAMED)
            dim[i] = x->name.s;
        else if (x->expr->kind == EX_NAME)
            dim[i] = x->expr->s;
    }
    return dim;
}

Value leaf_read(Frame *f, Var *v)
{
    Builder *b = f->b;
    v->owner->runs = true;
    if (v->node) return v->value;
    Loc before = b->main->loc;
    b->main->loc = v->loc;
    Edge e = graph_leaf(b->main, v->kind == VAR_PARAM ? OP_param : OP_state, v->path, DT_FLOAT,
                        v->shape);
    b->main->loc = before;
    v->node = e.node;
    v->value = value_tensor(b, e, v->shape, dim_names(b, &v->decl->param.dims));
    if (v->kind == VAR_PARAM)
        vec_push(b->a, &b->params, v);
    else
        vec_push(b->a, &b->states, v);
    return v->value;
}

/* ---- starts: a graph of their own, without free dimensions ---- */

const Ix *ix_port(Graph *to, const Graph *from, const Ix *e)
{
    const Ix *sum = ix_const(to, e->c);
    for (int i = 0; i < e->nterm; i++) {
        const Ix *p = ix_const(to, e->t[i].coef);
        for (int j = 0; j < e->t[i].n; j++) {
            const Atom *a = e->t[i].f[j];
            if (a->kind == AT_SYM) {
                p = ix_mul(to, p, ix_sym(to, from->syms.v[a->id].name, from->syms.v[a->id].loc));
                continue;
            }
            const Ix *x = ix_port(to, from, a->a), *y = ix_port(to, from, a->b);
            p = ix_mul(to, p,
                       a->kind == AT_DIV   ? ix_div(to, x, y, NULL)
                       : a->kind == AT_MOD ? ix_mod(to, x, y, NULL)
                       : a->kind == AT_MIN ? ix_min(to, x, y, NULL)
                                           : ix_max(to, x, y, NULL));
        }
        sum = ix_add(to, sum, p);
    }
    return sum;
}

static void build_start(Builder *b, const Var *v)
{
    Graph *g = b->g;
    const IndexVec *dims = &v->decl->param.dims;
    const Expr *start = v->decl->param.start;
    Frame *f = frame_new(b, NULL, v->owner, NULL);
    AxisSet s = {0};
    f->in_start = f->element = true;
    f->site = hash_str(v->path);
    for (int i = 0; i < dims->n; i++) {
        const Index *x = &dims->v[i];
        const Ix *ext = ix_port(g, b->main, v->shape->ext[i]);
        Name name = x->kind == IX_NAMED ? x->name : (Name){"", x->loc};
        int at = index_push(f, name, false);
        f->index.v[at].axis = axis_new(b, name.s, ext, true, x->loc, "");
        axes_add(b, &s, f->index.v[at].axis);
    }
    Value x = eval(f, start);
    if (x.kind == V_NONE || x.kind == V_STRING || x.kind == V_LIST ||
        value_dtype(b, x, start->loc) == DT_BOOL)
        user_error(b->d, start->loc, "`%s` starts with a number\nfound: %s", v->name,
                   value_what(b, x));
    const Space *shape = axes_space(b, &s);
    Edge e = graph_cast(g, DT_FLOAT, shape, value_onto(b, x, &s, shape, DT_FLOAT, start->loc));
    graph_root(g, ROOT_INIT, v->path, e, shape, v->loc);
}

static bool still_there(const Named *v, int n, const char *path)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(v[i].name, path)) return true;
    return false;
}

void build_starts(Builder *b)
{
    b->g = b->init;
    for (int i = 0; i < b->params.n; i++)
        if (still_there(b->main->params.v, b->main->params.n, b->params.v[i]->path))
            build_start(b, b->params.v[i]);
    for (int i = 0; i < b->states.n; i++)
        if (still_there(b->main->states.v, b->main->states.n, b->states.v[i]->path))
            build_start(b, b->states.v[i]);
    b->g = b->main;
    for (int i = 0; i < b->declared.n; i++) {
        const char *path = b->declared.v[i]->path;
        if (!still_there(b->main->params.v, b->main->params.n, path) &&
            !still_there(b->main->states.v, b->main->states.n, path))
            vec_push(b->a, &b->program->unread, path);
    }
}
