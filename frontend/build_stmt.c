/* build_stmt.c: statements, and what an `if` known only to the host does to values.
 *
 * Both sides of such an `if` are built. What they rebind is written to a journal, undone, and
 * joined by a `branch` after both; `aux` and `update` inside remember the condition.
 */
#include "frontend/build.h"

/* ---- host choices ---- */

bool host_cond(Builder *b, Edge *cond)
{
    const Space *point = space_make(b->g, 0, NULL);
    for (int i = 0; i < b->ifs.n; i++)
        *cond = i ? graph_pw2(b->g, OP_and, point, *cond, b->ifs.v[i].cond) : b->ifs.v[i].cond;
    return b->ifs.n > 0;
}

void host_enter(Builder *b, ChangeVec *changes, Edge cond, bool negated)
{
    if (negated) cond = graph_pw1(b->g, OP_not, space_make(b->g, 0, NULL), cond);
    vec_push(b->a, &b->ifs, (HostIf){cond});
    b->journal = changes;
}

void host_leave(Builder *b, ChangeVec *changes, ChangeVec *outer)
{
    (void)vec_pop(&b->ifs);
    b->journal = outer;
    for (int i = 0; i < changes->n; i++) {
        Change *c = &changes->v[i];
        Value now = c->var->value;
        c->var->value = c->old, c->old = now;
    }
}

void rebind(Builder *b, Var *v, Value value)
{
    if (b->journal && v->born < b->ifs.n) {
        bool there = false;
        for (int i = 0; i < b->journal->n; i++) there = there || b->journal->v[i].var == v;
        if (!there) vec_push(b->a, b->journal, (Change){v, v->value});
    }
    v->value = value;
}

static Value changed(const ChangeVec *changes, Var *v)
{
    for (int i = 0; i < changes->n; i++)
        if (changes->v[i].var == v) return changes->v[i].old;
    return v->value;
}

void host_merge(Builder *b, Edge cond, const ChangeVec *then, const ChangeVec *otherwise, Loc loc)
{
    for (int side = 0; side < 2; side++) {
        const ChangeVec *c = side ? otherwise : then;
        for (int i = 0; i < c->n; i++) {
            Var *v = c->v[i].var;
            bool done = false;
            for (int j = 0; side && j < then->n; j++) done = done || then->v[j].var == v;
            if (!done)
                rebind(b, v, value_branch(b, cond, changed(then, v), changed(otherwise, v), loc));
        }
    }
}

static void run_if(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    bool truth;
    Edge cond;
    int before = b->touched_training;
    if (cond_known(f, s->branch.cond, &truth, &cond)) {
        if (b->touched_training != before)
            mark_block(f, truth ? &s->branch.otherwise : &s->branch.then);
        run_block(f, truth ? &s->branch.then : &s->branch.otherwise, true);
        return;
    }
    ChangeVec then = {0}, otherwise = {0}, *outer = b->journal;
    host_enter(b, &then, cond, false);
    run_block(f, &s->branch.then, true);
    host_leave(b, &then, outer);
    host_enter(b, &otherwise, cond, true);
    run_block(f, &s->branch.otherwise, true);
    host_leave(b, &otherwise, outer);
    host_merge(b, cond, &then, &otherwise, s->loc);
}

/* ---- loops ---- */

static void run_turn(Frame *f, const Stmt *s, Value v)
{
    Builder *b = f->b;
    Scope *outer = f->scope;
    uint64_t site = f->site, turn = v.kind == V_INT ? (uint64_t)v.i : (uint64_t)b->unrolled;
    if (++b->unrolled > MAX_UNROLL)
        user_error(b->d, s->loc, "the loops of this program make more than %d turns", MAX_UNROLL);
    f->scope = scope_new(b, outer);
    f->site = hash_mix(site, turn);
    scope_add(b, f->scope, VAR_LOOP, s->loop.name, v)->born = b->ifs.n;
    run_block(f, &s->loop.body, true);
    f->scope = outer, f->site = site;
}

static void run_for(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    Value from = eval_static(f, s->loop.from, "where a loop begins");
    if (!s->loop.to) {
        if (from.kind != V_LIST)
            user_error(b->d, s->loop.from->loc,
                       "`for %s in` takes a range `a..b` or a list\nfound: %s", s->loop.name.s,
                       value_what(b, from));
        for (int i = 0; i < from.list.n && !f->returned; i++) run_turn(f, s, from.list.v[i]);
        return;
    }
    Value to = eval_static(f, s->loop.to, "where a loop ends");
    if (from.kind != V_INT || to.kind != V_INT)
        user_error(b->d, loc_join(s->loop.from->loc, s->loop.to->loc),
                   "a loop counts with ints\nfound: %s .. %s", value_what(b, from),
                   value_what(b, to));
    for (int64_t i = from.i; i < to.i && !f->returned; i++) run_turn(f, s, value_int(i));
}

/* ---- let and = ---- */

static void check_not_index(Frame *f, Name name)
{
    for (int i = 0; i < f->axes.n; i++)
        if (!strcmp(f->axes.v[i].name, name.s))
            user_error(f->b->d, name.loc,
                       "`%s` names an axis of this function's parameters; take another name",
                       name.s);
}

static void declare(Frame *f, Name name, Value v)
{
    if (f->self && v.kind != V_NONE) {
        const char *path = arena_printf(f->b->a, "%s%s.", f->self->path, name.s);
        if (strmap_get(&f->b->insts, path))
            user_error(f->b->d, name.loc,
                       "`%s` is already a module instance here; take another name", name.s);
    }
    check_not_index(f, name);
    scope_add(f->b, f->scope, VAR_LET, name, v)->born = f->b->ifs.n;
}

static void run_let(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    const LhsVec *lhs = &s->let.lhs;
    if (lhs->n == 1) {
        const Lhs *l = &lhs->v[0];
        Value v =
            l->is_indexed ? assign_indexed(f, l, s->let.value, NULL) : eval_whole(f, s->let.value);
        if (v.kind == V_TUPLE)
            user_error(b->d, s->let.value->loc, "this gives %d values\nhint: `let a, b = ...`",
                       v.list.n);
        declare(f, l->name, v);
        return;
    }
    Value v = eval_whole(f, s->let.value);
    if (v.kind != V_TUPLE || v.list.n != lhs->n)
        user_error(b->d, s->let.value->loc, "%d names take %d values\nfound: %s", lhs->n, lhs->n,
                   value_what(b, v));
    for (int i = 0; i < lhs->n; i++) {
        if (lhs->v[i].is_indexed)
            user_error(b->d, lhs->v[i].loc,
                       "of several names none may have indices: they take whole values");
        declare(f, lhs->v[i].name, v.list.v[i]);
    }
}

static Var *assigned_var(Frame *f, const Lhs *l)
{
    Builder *b = f->b;
    Var *v = scope_find(f->scope, l->name.s);
    static const char *const why[] = {[VAR_LOOP] = "a loop counter",
                                      [VAR_OPTION] = "an option",
                                      [VAR_PARAM] = "a parameter",
                                      [VAR_STATE] = "a state"};
    if (!v) unknown_name(f, l->name, "the name");
    if (v->kind == VAR_LET || v->kind == VAR_ARG) {
        Scope *s = f->scope;
        for (; s && s != f->outermost; s = s->up)
            for (int i = 0; i < s->vars.n; i++)
                if (s->vars.v[i] == v) return v;
        user_error(b->d, l->name.loc,
                   "`%s` belongs to the module; a function can't replace its value", l->name.s);
    }
    diag_note(b->d, v->loc, "`%s` is declared here", l->name.s);
    user_error(b->d, l->name.loc, "`%s` is %s: its value can't be replaced%s", l->name.s,
               why[v->kind], v->kind == VAR_STATE ? "\nhint: `update` or `init`" : "");
}

static void run_assign(Frame *f, const Stmt *s)
{
    const Lhs *l = &s->assign.lhs;
    Var *v = assigned_var(f, l);
    Value old = v->value;
    if (old.kind == V_NONE && l->is_indexed) return;
    Value now = l->is_indexed ? assign_indexed(f, l, s->assign.value, &old)
                              : eval_whole(f, s->assign.value);
    if (now.kind == V_TUPLE)
        user_error(f->b->d, s->assign.value->loc, "this gives %d values, and one is replaced",
                   now.list.n);
    rebind(f->b, v, now);
}

/* ---- states ---- */

static Var *state_var(Frame *f, const Lhs *l, const char *word)
{
    Builder *b = f->b;
    Var *v = scope_find(f->scope, l->name.s);
    if (!v) unknown_name(f, l->name, "the state");
    if (v->kind != VAR_STATE)
        user_error(b->d, l->name.loc, "`%s` takes a state\nfound: `%s`, which is no `state`", word,
                   l->name.s);
    leaf_read(f, v);
    return v;
}

static Value state_value(Frame *f, const Stmt *s, Var *v)
{
    Builder *b = f->b;
    Value old = {.kind = V_TENSOR, .tensor = {edge_identity(b->g, v->node), v->shape, NULL}};
    if (!v->shape->n) old = value_elem(b, old.tensor.e, &(AxisSet){0});
    const Lhs *l = &s->assign.lhs;
    Value now = l->is_indexed ? assign_indexed(f, l, s->assign.value, &old)
                              : eval_whole(f, s->assign.value);
    if (now.kind == V_NONE) none_error(b, now, s->assign.value->loc);
    if (now.kind == V_TENSOR && old.kind == V_TENSOR)
        fit_shapes(b, old, now, s->assign.value->loc,
                   arena_printf(b->a, "state `%s` and its new value", v->name));
    else if (now.kind == V_TENSOR || !value_is_scalar(now))
        user_error(b->d, s->assign.value->loc, "state `%s` has shape %s\nfound: %s", v->name,
                   shape_text(b, v->shape, NULL), value_what(b, now));
    if (value_dtype(b, now, s->assign.value->loc) == DT_BOOL)
        user_error(b->d, s->assign.value->loc, "a state holds numbers\nfound: %s",
                   value_what(b, now));
    Edge e =
        graph_cast(b->g, DT_FLOAT, v->shape, value_edge(b, now, DT_FLOAT, s->assign.value->loc));
    return value_tensor(b, e, v->shape, NULL);
}

static void run_init(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    Graph *g = b->g;
    Var *v = state_var(f, &s->assign.lhs, "init");
    if (v->begun == INIT_NONE && v->read.file) {
        int col, line = diag_line(b->d, v->read, &col);
        diag_note(b->d, v->read, "it is read here");
        user_error(
            b->d, s->loc,
            "`%s` was read at %d:%d, before its `init`\nexpected: `init` comes before every other "
            "read of the state",
            v->name, line, col);
    }
    if (!b->o->training) {
        mark_reads(f, s->assign.value);
        v->begun = INIT_ALWAYS;
        return;
    }
    if (v->begun == INIT_ALWAYS) return;
    const Space *point = space_make(g, 0, NULL);
    v->initialising = true;
    Value start = state_value(f, s, v);
    start.tensor.e = graph_pw1(g, OP_stop, v->shape, start.tensor.e); /* a state has no gradient */
    v->initialising = false;
    Edge fresh = graph_leaf(g, OP_fresh, v->path, DT_BOOL, point), now, when = fresh;
    bool inside = host_cond(b, &now);
    if (v->begun == INIT_SOME)
        when = graph_pw2(g, OP_and, point, fresh, graph_pw1(g, OP_not, point, v->begun_if));
    rebind(b, v, value_branch(b, when, start, v->value, s->loc));
    if (!inside)
        v->begun = INIT_ALWAYS;
    else
        v->begun_if = v->begun == INIT_SOME ? graph_pw2(g, OP_or, point, v->begun_if, now) : now,
        v->begun = INIT_SOME;
}

static void run_update(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    Var *v = state_var(f, &s->assign.lhs, "update");
    if (!b->o->training) {
        mark_reads(f, s->assign.value);
        return;
    }
    Proposal p = {.var = v, .v = state_value(f, s, v), .loc = s->loc};
    p.always = !host_cond(b, &p.cond);
    vec_push(b->a, &b->updates, p);
}

/* The mean of what the calls of this step proposed; a state that no call reached keeps its value,
 * or is what `init` made of it. */
static Edge mean_of(Builder *b, Var *v)
{
    Graph *g = b->g;
    const Space *point = space_make(g, 0, NULL);
    Edge sum = graph_float(g, 0), count = graph_float(g, 0), any = graph_bool(g, false),
         old = value_edge(b, v->value, DT_FLOAT, v->loc);
    int n = 0;
    const Proposal *only = NULL;
    for (int i = 0; i < b->updates.n; i++)
        if (b->updates.v[i].var == v) n++, only = &b->updates.v[i];
    if (!n) return old;
    if (n == 1 && only->always) return value_edge(b, only->v, DT_FLOAT, only->loc);
    if (n == 1)
        return graph_branch(g, v->shape, only->cond, value_edge(b, only->v, DT_FLOAT, only->loc),
                            old);
    for (int i = 0; i < b->updates.n; i++) {
        const Proposal *p = &b->updates.v[i];
        if (p->var != v) continue;
        Edge c = p->always ? graph_bool(g, true) : p->cond, zero = graph_float(g, 0),
             one = graph_float(g, 1);
        Edge e = value_edge(b, p->v, DT_FLOAT, p->loc);
        sum = graph_pw2(g, OP_add, v->shape, sum,
                        p->always ? e : graph_branch(g, v->shape, c, e, zero));
        count = graph_pw2(g, OP_add, point, count,
                          p->always ? one : graph_branch(g, point, c, one, zero));
        any = graph_pw2(g, OP_or, point, any, c);
    }
    Edge least = graph_pw2(g, OP_max, point, count, graph_float(g, 1));
    Edge mean = graph_pw2(g, OP_div, v->shape, sum, least);
    return graph_branch(g, v->shape, any, mean, old);
}

void finish_updates(Builder *b)
{
    for (int i = 0; i < b->states.n && b->o->training; i++) {
        Var *v = b->states.v[i];
        Loc loc = v->begun != INIT_NONE ? v->loc : NO_LOC;
        for (int j = b->updates.n; j-- > 0;)
            if (b->updates.v[j].var == v) loc = b->updates.v[j].loc;
        if (!loc.file) continue;
        b->g->loc = loc;
        graph_root(b->g, ROOT_UPDATE, v->path, mean_of(b, v), v->shape, loc);
    }
}

/* ---- aux, require, return ---- */

static void run_aux(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    Edge cond;
    Value v = eval_whole(f, s->aux);
    if (v.kind == V_NONE) none_error(b, v, s->aux->loc);
    if (!value_is_scalar(v) || value_dtype(b, v, s->aux->loc) == DT_BOOL)
        user_error(b->d, s->aux->loc,
                   "`aux` takes one number\nfound: %s\nhint: `aux mean[i, j] e[i, j]`",
                   value_what(b, v));
    if (host_cond(b, &cond)) v = value_branch(b, cond, v, value_float(0), s->loc);
    b->aux = value_binary(b, BIN_ADD, b->aux, v, s->loc);
}

static bool is_size(Value v) { return v.kind == V_INT || (v.kind == V_SIZE && !v.size.den); }

/* A comparison of sizes becomes a check and a fact. */
static bool require_sizes(Frame *f, const Expr *e, const char *text)
{
    Builder *b = f->b;
    Graph *g = b->g;
    if (e->kind != EX_BINARY || e->binary.op < BIN_EQ || e->binary.op > BIN_GE ||
        e->binary.op == BIN_NE)
        return false;
    Value x = eval_whole(f, e->binary.a), y = eval_whole(f, e->binary.b);
    if (!is_size(x) || !is_size(y)) return false;
    const Ix *a = size_of(b, x, e->loc, ""), *c = size_of(b, y, e->loc, ""), *one = ix_const(g, 1);
    Check check = {.kind = CHECK_GE0, .text = text, .loc = e->loc};
    switch (e->binary.op) {
    case BIN_EQ:
        check.kind = CHECK_EQ0, check.ix = ix_sub(g, a, c);
        break;
    case BIN_LE:
        check.ix = ix_sub(g, c, a);
        break;
    case BIN_LT:
        check.ix = ix_sub(g, ix_sub(g, c, a), one);
        break;
    case BIN_GE:
        check.ix = ix_sub(g, a, c);
        break;
    default:
        check.ix = ix_sub(g, ix_sub(g, a, c), one);
    }
    graph_check(g, check);
    if (check.kind == CHECK_EQ0)
        assume_zero(g, check.ix);
    else
        graph_fact_ge0(g, check.ix);
    return true;
}

/* What stands on a side of a comparison, and what that is computed from; a literal says itself. */
static void found_side(Frame *f, const Expr *e, Str *out)
{
    Builder *b = f->b;
    if (e->kind == EX_INT || e->kind == EX_FLOAT) return;
    str_printf(out, "%s`%s` is %s", out->n ? ", " : "", expr_text(b, e),
               value_what(b, eval_whole(f, e)));
    if (e->kind != EX_BINARY) return;
    found_side(f, e->binary.a, out), found_side(f, e->binary.b, out);
}

RTC_NORETURN static void require_fails(Frame *f, const Expr *e, const char *text)
{
    Builder *b = f->b;
    Str found = {.arena = b->a};
    if (e->kind == EX_BINARY && e->binary.op >= BIN_EQ && e->binary.op <= BIN_IN)
        found_side(f, e->binary.a, &found), found_side(f, e->binary.b, &found);
    user_error(b->d, e->loc, "%s\nexpected: %s%s%s", text, expr_text(b, e),
               found.n ? "\nfound: " : "", found.n ? found.s : "");
}

static void run_require(Frame *f, const Expr *e, const char *text)
{
    Builder *b = f->b;
    Graph *g = b->g;
    bool truth;
    Edge cond;
    if (e->kind == EX_BINARY && e->binary.op == BIN_AND) {
        run_require(f, e->binary.a, text), run_require(f, e->binary.b, text);
        return;
    }
    Value v = eval_whole(f, e);
    if (v.kind == V_NONE) none_error(b, v, e->loc);
    if (value_dtype(b, v, e->loc) != DT_BOOL)
        user_error(b->d, e->loc, "`require` takes a condition\nfound: %s", value_what(b, v));
    bool inside = host_cond(b, &cond);
    if (value_known(b, v, &truth)) {
        if (truth) return;
        if (!inside) require_fails(f, e, text);
        v = value_elem(b, graph_bool(g, false), &(AxisSet){0});
    }
    if (v.kind != V_ELEM || v.elem.n || !host_known(b, v.elem.e))
        user_error(b->d, e->loc,
                   "`require` takes options and sizes\nfound: %s, known only on the device",
                   value_what(b, v));
    if (!inside && require_sizes(f, e, text)) return;
    const Space *point = space_make(g, 0, NULL);
    Edge holds = v.elem.e;
    if (inside) holds = graph_pw2(g, OP_or, point, graph_pw1(g, OP_not, point, cond), holds);
    graph_check(
        g, (Check){.kind = CHECK_TRUE, .e = holds, .space = point, .text = text, .loc = e->loc});
}

static void run_return(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    if (b->ifs.n > f->ifs_at_entry)
        user_error(b->d, s->loc,
                   "`return` can't stand in an `if` that only the host decides\nhint: assign to a "
                   "variable "
                   "in it, and return that after it");
    f->returns = s->returns;
    f->returned = true;
    if (s->returns.n == 1) {
        f->result = eval_whole(f, s->returns.v[0]);
        return;
    }
    f->result = (Value){.kind = V_TUPLE, .list = {s->returns.n, NEW_N(b->a, Value, s->returns.n)}};
    for (int i = 0; i < s->returns.n; i++) f->result.list.v[i] = eval_whole(f, s->returns.v[i]);
}

/* ---- all of them ---- */

static void check_place(Frame *f, const Stmt *s)
{
    static const char *const word[] = {"let",     "=",      "param", "state",  "use",
                                       "init",    "update", "aux",   "report", "return",
                                       "require", "if",     "for",   "@",      "fn"};
    Diag *d = f->b->d;
    const char *w = word[s->kind];
    bool module_only = s->kind == ST_PARAM || s->kind == ST_STATE || s->kind == ST_USE;
    bool writes = s->kind == ST_INIT || s->kind == ST_UPDATE || s->kind == ST_AUX;
    bool fn_only =
        writes || s->kind == ST_REPORT || s->kind == ST_RETURN || s->kind == ST_ANNOTATED;
    if (module_only && f->b->ifs.n > f->ifs_at_entry)
        user_error(
            d, s->loc, "`%s` can't stand in an `if` that only the host decides%s", w,
            f->b->lone
                ? "\nhint: this module is built alone: give its options values, `--set NAME=VALUE`"
                : "");
    if (module_only && !f->in_module)
        user_error(d, s->loc, "`%s` stands in a module, not in a function", w);
    if (fn_only && f->in_module)
        user_error(d, s->loc, "`%s` stands in a function: `fn (x[b, i]) { ... }`", w);
    if (s->kind == ST_FN && !f->in_module)
        user_error(d, s->loc,
                   "a function can't stand in a function\nhint: write it beside this one");
    if (writes && f->b->reporting)
        user_error(d, s->loc, "`%s` can't run for a `report`, which changes nothing", w);
    if (f->step_region && s->kind != ST_ASSIGN && s->kind != ST_IF && s->kind != ST_FOR)
        user_error(
            d, s->loc,
            "the body of `@reversible` has only steps `v = v + e`, `if` and `for`\nfound: `%s`", w);
}

void run_stmt(Frame *f, const Stmt *s)
{
    check_place(f, s);
    f->b->g->loc = s->loc;
    int cached = f->cache.n;
    switch (s->kind) {
    case ST_LET:
        run_let(f, s);
        break;
    case ST_ASSIGN:
        if (!f->step_region || !run_step(f, s)) run_assign(f, s);
        break;
    case ST_PARAM:
    case ST_STATE:
        run_declare(f, s);
        break;
    case ST_USE:
        run_use(f, s);
        break;
    case ST_INIT:
        run_init(f, s);
        break;
    case ST_UPDATE:
        run_update(f, s);
        break;
    case ST_AUX:
        run_aux(f, s);
        break;
    case ST_REPORT:
        run_report(f, s);
        break;
    case ST_RETURN:
        run_return(f, s);
        break;
    case ST_REQUIRE:
        run_require(f, s->require.cond, s->require.message);
        break;
    case ST_IF:
        run_if(f, s);
        break;
    case ST_FOR:
        run_for(f, s);
        break;
    case ST_ANNOTATED:
        run_annotated(f, s);
        break;
    case ST_FN:
        break; /* methods are known from the start */
    }
    f->cache.n = cached;
}

void run_block(Frame *f, const Block *block, bool scoped)
{
    Scope *outer = f->scope;
    if (scoped) f->scope = scope_new(f->b, outer);
    for (int i = 0; i < block->list.n && !f->returned; i++) run_stmt(f, block->list.v[i]);
    f->scope = outer;
}
