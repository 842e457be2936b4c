/* build_expr.c: expressions, except accesses, reductions and calls. */
#include "frontend/build.h"

/* The text of e on one line, short enough for a message. */
const char *expr_text(Builder *b, const Expr *e)
{
    enum { LONGEST = 60 };
    const char *s = diag_slice(b->d, e->loc);
    Str out = {.arena = b->a};
    for (; *s && out.n < LONGEST; s++) {
        bool space = *s == ' ' || *s == '\n' || *s == '\t' || *s == '\r';
        if (!space)
            str_addn(&out, s, 1);
        else if (out.n && out.s[out.n - 1] != ' ')
            str_add(&out, " ");
    }
    if (*s) str_add(&out, " ...");
    return out.s ? out.s : "";
}

/* ---- reads ---- */

void opt_read(Builder *b, Opt *o)
{
    if (b->quiet_reads) return;
    if (b->capture) {
        for (int i = 0; i < b->capture->n; i++)
            if (b->capture->v[i] == o) return;
        vec_push(b->a, b->capture, o);
        return;
    }
    if (o->read) return;
    o->read = true;
    for (int i = 0; i < o->deps.n; i++) opt_read(b, o->deps.v[i]);
}

static void mark_name(void *ctx, const Expr *e)
{
    Frame *f = ctx;
    Var *v = e->kind == EX_NAME ? scope_find(f->scope, e->s) : NULL;
    if (v && v->opt) opt_read(f->b, v->opt);
}
void mark_reads(Frame *f, const Expr *e) { walk_expr(e, mark_name, f); }
void mark_block(Frame *f, const Block *block) { walk_block(block, mark_name, f); }

void none_error(Builder *b, Value none, Loc loc)
{
    if (none.none.loc.file && none.none.loc.begin != loc.begin)
        diag_note(b->d, none.none.loc, "it comes from here");
    if (none.none.absent)
        user_error(b->d, loc, "the input `%s` is needed here, and it is absent", none.none.absent);
    if (none.none.option)
        user_error(b->d, loc, "option `%s` is needed here, and has no value", none.none.option);
    user_error(b->d, loc, "this is `none`, and a value is needed here");
}

bool var_read(Frame *f, Var *v, Loc loc, Value *out)
{
    Builder *b = f->b;
    if (v->opt) opt_read(b, v->opt);
    if (v->kind == VAR_STATE && !v->read.file && !v->initialising) v->read = loc;
    if ((v->kind == VAR_PARAM || v->kind == VAR_STATE) && !f->in_start) leaf_read(f, v);
    *out = v->value;
    if (f->in_start) {
        if (v->kind == VAR_PARAM || v->kind == VAR_STATE || value_is_graph(*out))
            user_error(b->d, loc,
                       "a start is made from options, numbers and draws\nfound: `%s`, a tensor",
                       v->name);
        if (out->kind == V_SIZE) out->size.num = ix_port(b->init, b->main, out->size.num);
    }
    if (out->kind == V_NONE && !out->none.loc.file) out->none.loc = loc;
    return true;
}

static Value predeclared(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    if (!strcmp(e->s, "training")) return b->touched_training++, value_bool(b->o->training);
    if (!strcmp(e->s, "aux_loss")) return b->aux;
    if (!strcmp(e->s, "none")) return (Value){.kind = V_NONE, .none = {.loc = e->loc}};
    if (!strcmp(e->s, "lowest")) return value_float(LOWEST);
    if (!strcmp(e->s, "pi")) return value_float(3.14159265358979323846);
    if (inst_at(f, e, NULL))
        user_error(b->d, e->loc,
                   "`%s` is a module: call it, `%s(x)`, or read its parameter, `%s.weight`", e->s,
                   e->s, e->s);
    if (inst_fn(f->self, e->s) || strmap_get(&b->items, e->s) || is_builtin(e->s))
        user_error(b->d, e->loc, "`%s` is a function or module: call it, `%s(x)`", e->s, e->s);
    unknown_name(f, (Name){e->s, e->loc}, "the name");
}

static Value eval_name(Frame *f, const Expr *e)
{
    IndexVar *i = index_find(f, e->s);
    if (i) return axis_value(f, i->axis);
    Var *v = scope_find(f->scope, e->s);
    Value r;
    if (!v) return predeclared(f, e);
    var_read(f, v, e->loc, &r);
    return r;
}

static Value eval_member(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    Inst *m = inst_at(f, e->member.base, NULL);
    if (!m)
        user_error(b->d, e->member.base->loc,
                   "`%s` is not a module instance: only those have members",
                   expr_text(b, e->member.base));
    Value r;
    for (int i = 0; i < m->scope->vars.n; i++) {
        if (strcmp(m->scope->vars.v[i]->name, e->member.name.s)) continue;
        var_read(f, m->scope->vars.v[i], e->loc, &r);
        return r;
    }
    VEC(const char *) names = {0};
    for (int i = 0; i < m->scope->vars.n; i++) vec_push(b->a, &names, m->scope->vars.v[i]->name);
    user_error(b->d, e->member.name.loc, "module `%s` has no parameter `%s`%s",
               m->module->module.name.s, e->member.name.s,
               suggest_or_list(b, "it has", e->member.name.s, names.v, names.n));
}

/* ---- choices ---- */

bool cond_known(Frame *f, const Expr *e, bool *truth, Edge *cond)
{
    Builder *b = f->b;
    Value v = eval(f, e);
    if (v.kind == V_NONE) none_error(b, v, e->loc);
    if (v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_STRING || v.kind == V_LIST ||
        v.kind == V_SIZE)
        user_error(b->d, e->loc, "`if` takes a bool\nfound: %s", value_what(b, v));
    if (value_known(b, v, truth)) return true;
    bool scalar = v.kind == V_ELEM && v.elem.n == 0 && v.elem.e.node->dt == DT_BOOL;
    if (!scalar || !host_known(b, v.elem.e)) {
        const char *shape = v.kind == V_TENSOR ? indexed_text(b, "", v)
                            : v.kind == V_ELEM ? axes_text(b, v.elem.n, v.elem.axis)
                                               : "";
        const char *t = expr_text(b, e);
        user_error(
            b->d, e->loc,
            "`%s` is a tensor `%s`, known only on the device: `where(%s, ..)`; `if` takes options "
            "and sizes",
            t, shape, t);
    }
    *cond = v.elem.e;
    return false;
}

static Value eval_choice(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    bool truth;
    Edge cond;
    int before = b->touched_training;
    if (cond_known(f, e->choice.cond, &truth, &cond)) {
        if (b->touched_training != before)
            mark_reads(f, truth ? e->choice.otherwise : e->choice.then);
        return eval(f, truth ? e->choice.then : e->choice.otherwise);
    }
    ChangeVec then = {0}, otherwise = {0}, *outer = b->journal;
    host_enter(b, &then, cond, false);
    Value x = eval(f, e->choice.then);
    host_leave(b, &then, outer);
    host_enter(b, &otherwise, cond, true);
    Value y = eval(f, e->choice.otherwise);
    host_leave(b, &otherwise, outer);
    host_merge(b, cond, &then, &otherwise, e->loc);
    return value_branch(b, cond, x, y, e->loc);
}

static Value eval_logic(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    bool and = e->binary.op == BIN_AND, truth;
    int before = b->touched_training;
    Value x = eval(f, e->binary.a);
    if (x.kind != V_NONE && value_known(b, x, &truth) && truth != and) {
        if (b->touched_training != before) mark_reads(f, e->binary.b);
        return value_bool(truth);
    }
    Value y = eval(f, e->binary.b);
    if (x.kind == V_BOOL && y.kind != V_NONE && !(y.kind == V_BOOL) &&
        value_dtype(b, y, e->binary.b->loc) == DT_BOOL)
        return y;
    return value_binary(b, e->binary.op, x, y, e->loc);
}

static Value eval_in(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    Value x = eval_static(f, e->binary.a, "the left side of `in`");
    Value list = eval_static(f, e->binary.b, "the right side of `in`");
    if (list.kind != V_LIST)
        user_error(b->d, e->binary.b->loc, "`in` takes a list on its right\nfound: %s",
                   value_what(b, list));
    for (int i = 0; i < list.list.n; i++) {
        Value y = list.list.v[i];
        if (value_binary(b, BIN_EQ, x, y, e->loc).b) return value_bool(true);
    }
    return value_bool(false);
}

/* ---- the rest ---- */

static Value eval_list(Frame *f, const Expr *e)
{
    Value r = {.kind = V_LIST, .list = {e->list.n, NEW_N(f->b->a, Value, e->list.n + 1)}};
    for (int i = 0; i < e->list.n; i++)
        r.list.v[i] = eval_static(f, e->list.v[i], "an element of a list");
    return r;
}

static Value eval_reduce_call(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    const ArgVec *args = &e->reduce_call.args;
    const char *name = reduce_name(e->reduce_call.kind);
    Value r = {0};
    if (args->n < 2)
        user_error(b->d, e->loc,
                   "`%s(a, b)` takes two or more values\nhint: over an axis it is "
                   "`%s[i] x[i]`",
                   name, name);
    for (int i = 0; i < args->n; i++) {
        if (args->v[i].is_pass || args->v[i].name.s)
            user_error(b->d, args->v[i].loc, "`%s` takes plain values", name);
        Value v = eval(f, args->v[i].value);
        r = i ? value_minmax(b, e->reduce_call.kind == RED_MAX, r, v, e->loc) : v;
    }
    return r;
}

static Value eval_kind(Frame *f, const Expr *e)
{
    switch (e->kind) {
    case EX_INT:
        return value_int(e->i);
    case EX_FLOAT:
        return value_float(e->f);
    case EX_STRING:
        return value_string(e->s);
    case EX_BOOL:
        return value_bool(e->b);
    case EX_NAME:
        return eval_name(f, e);
    case EX_LIST:
        return eval_list(f, e);
    case EX_UNARY:
        return value_unary(f->b, e->unary.op, eval(f, e->unary.x), e->loc);
    case EX_BINARY:
        if (e->binary.op == BIN_AND || e->binary.op == BIN_OR) return eval_logic(f, e);
        if (e->binary.op == BIN_IN) return eval_in(f, e);
        break;
    case EX_ACCESS:
        return eval_access(f, e);
    case EX_REDUCE:
        return eval_reduce(f, e);
    case EX_REDUCE_CALL:
        return eval_reduce_call(f, e);
    case EX_MEMBER:
        return eval_member(f, e);
    case EX_CALL:
        return eval_call(f, e);
    case EX_CHOICE:
        return eval_choice(f, e);
    }
    Value x = eval(f, e->binary.a);
    return value_binary(f->b, e->binary.op, x, eval(f, e->binary.b), e->loc);
}

Value eval(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    if (++b->steps > MAX_STEPS)
        user_error(b->d, e->loc,
                   "the program grows without end: more than %d expressions were unfolded",
                   MAX_STEPS);
    if (b->g->nodes.n > MAX_NODES)
        user_error(b->d, e->loc,
                   "the program has more than %d operations\nhint: fewer layers, or shorter loops",
                   MAX_NODES);
    check_depth(b, e->loc);
    diag_poll(b->d);
    Loc before = b->g->loc;
    b->g->loc = e->loc;
    Value v = eval_kind(f, e);
    b->g->loc = before;
    if (f->element && v.kind == V_TENSOR) {
        const char *t = indexed_text(b, expr_text(b, e), v);
        user_error(b->d, e->loc, "`%s` is a whole tensor where an element is needed: `%s`", t, t);
    }
    return v;
}

Value eval_whole(Frame *f, const Expr *e)
{
    int visible = f->visible;
    bool element = f->element;
    f->visible = f->index.n, f->element = false;
    Value v = eval(f, e);
    f->visible = visible, f->element = element;
    return v;
}

Value eval_cached(Frame *f, const Expr *e)
{
    for (int i = 0; i < f->cache.n; i++)
        if (f->cache.v[i].e == e) return f->cache.v[i].v;
    Value v = eval_whole(f, e);
    vec_push(f->b->a, &f->cache, (Cached){e, v});
    return v;
}

Value eval_static(Frame *f, const Expr *e, const char *what)
{
    Value v = eval_whole(f, e);
    bool truth;
    if (v.kind == V_ELEM && value_known(f->b, v, &truth)) return value_bool(truth);
    if (value_is_static(v)) return v;
    if (v.kind == V_NONE) none_error(f->b, v, e->loc);
    user_error(f->b->d, e->loc,
               "%s must be known when the program is compiled: options and numbers\nfound: %s",
               what, value_what(f->b, v));
}
