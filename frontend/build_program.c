/* build_program.c: a model as a program: its inputs, its outputs, its options and its `train`
 * block.
 *
 * A file without a model is built all the same, so that it can be checked: its last module, or its
 * last function, with free sizes where an int option has no default.
 */
#include "frontend/build.h"

/* ---- which item ---- */

static bool is_model(const Item *it) { return it->kind == IT_MODULE && it->module.is_model; }

static const Item *model_named(Builder *b, const char *name)
{
    VEC(const char *) names = {0};
    for (int i = 0; i < b->files.n; i++)
        for (int j = 0; j < b->files.v[i]->items.n; j++) {
            const Item *it = b->files.v[i]->items.v[j];
            if (!is_model(it)) continue;
            if (!strcmp(it->module.name.s, name)) return it;
            vec_push(b->a, &names, it->module.name.s);
        }
    diag_fail(b->d, "%s has no model `%s`%s", b->o->path, name, suggest(b, name, names.v, names.n));
}

static const Item *choose(Builder *b)
{
    if (b->o->model) return model_named(b, b->o->model);
    const Item *model = NULL, *module = NULL, *fn = NULL;
    const AstFile *main = b->files.v[b->files.n - 1];
    for (int j = 0; j < main->items.n; j++) {
        const Item *it = main->items.v[j];
        if (is_model(it))
            model = it;
        else if (it->kind == IT_MODULE)
            module = it;
        else if (it->kind == IT_FN)
            fn = it;
    }
    for (int i = b->files.n - 1; !model && !module && !fn && i-- > 0;)
        for (int j = 0; j < b->files.v[i]->items.n; j++)
            if (is_model(b->files.v[i]->items.v[j])) model = b->files.v[i]->items.v[j];
    b->lone = !model;
    if (model) return model;
    if (!module && !fn) diag_fail(b->d, "%s holds no model, module or function", b->o->path);
    return module ? module : fn;
}

/* ---- inputs ---- */

static bool is_absent(Builder *b, const char *name)
{
    for (int i = 0; i < b->o->nabsent; i++)
        if (!strcmp(b->o->absent[i], name)) return true;
    return false;
}

static const Ix *input_extent(Frame *f, const Param *p, const Range *r)
{
    Builder *b = f->b;
    NamedAxis *a = r->is_dots ? NULL : named_axis(f, r->name.s);
    if (r->is_dots) {
        if (!b->lone)
            user_error(b->d, r->loc, "the axes of a model's inputs have names: `%s[batch, time]`",
                       p->name.s);
        return ix_sym(b->g, "leading", r->loc);
    }
    if (a && a->ext) return a->ext;
    if (!r->extent) return ix_sym(b->g, r->name.s, r->loc);
    return extent_of(b, eval_whole(f, r->extent), r->extent->loc, "the extent of an axis");
}

static Value make_input(Frame *f, const Param *p, const Value *fill)
{
    static const DType dt[] = {DT_FLOAT, DT_INT, DT_FLOAT, DT_BOOL, DT_FLOAT};
    Builder *b = f->b;
    const Ix *ext[MAX_AXES];
    if (p->type.kind == TY_STRING || p->type.is_list)
        user_error(b->d, p->type.loc, "an input is a tensor of float, int or bool");
    if (p->axes.n > MAX_AXES) user_error(b->d, p->loc, "a tensor has at most %d axes", MAX_AXES);
    for (int i = 0; i < p->axes.n; i++) ext[i] = input_extent(f, p, &p->axes.v[i]);
    const Space *shape = space_make(b->g, p->axes.n, ext);
    b->g->loc = p->loc;
    Edge e = graph_leaf(b->g, OP_input, p->name.s, dt[p->type.kind], shape);
    Named *n = &b->g->inputs.v[b->g->inputs.n - 1];
    n->loc = p->loc, n->optional = fill != NULL;
    if (fill)
        n->fill = fill->kind == V_BOOL    ? fill->b
                  : fill->kind == V_INT   ? (double)fill->i
                  : fill->kind == V_FLOAT ? fill->f
                                          : 0;
    return value_tensor(b, e, shape, NULL);
}

/* The input, or what stands for it when it is absent. */
static Value input_value(Frame *f, const Param *p)
{
    Builder *b = f->b;
    Value d = {.kind = V_NONE};
    if (!p->value) {
        if (is_absent(b, p->name.s))
            diag_fail(b->d, "the input `%s` has no default: it must be given", p->name.s);
        return make_input(f, p, NULL);
    }
    if (p->value->kind == EX_NAME && !strcmp(p->value->s, "none")) {
        if (!is_absent(b, p->name.s)) return make_input(f, p, &d);
        return (Value){.kind = V_NONE, .none = {.absent = p->name.s, .loc = p->loc}};
    }
    d = eval_whole(f, p->value);
    if (is_absent(b, p->name.s)) return d;
    bool constant = d.kind == V_BOOL || d.kind == V_INT || d.kind == V_FLOAT;
    return make_input(f, p, constant ? &d : NULL);
}

static void bind_input(Frame *f, const Param *p)
{
    Builder *b = f->b;
    Value v;
    if (p->is_tensor) {
        v = input_value(f, p);
        bind_axes(f, p, &v, p->loc);
    } else if (!b->lone) {
        user_error(b->d, p->loc, "a model's inputs are tensors: `%s[batch]`", p->name.s);
    } else if (p->value) {
        v = eval_whole(f, p->value);
    } else if (p->type.kind == TY_INT && !p->type.is_list) {
        v = value_size(ix_sym(b->g, p->name.s, p->loc));
    } else if (p->type.kind == TY_NONE) {
        v = make_input(f, p, NULL);
    } else {
        user_error(b->d, p->loc,
                   "`%s` has no value here: this function can only be checked where it is called",
                   p->name.s);
    }
    scope_add(b, f->scope, VAR_ARG, p->name, v);
}

static void check_absent(Builder *b, const Fn *fn)
{
    VEC(const char *) names = {0};
    for (int i = 0; i < fn->params.n; i++) vec_push(b->a, &names, fn->params.v[i].name.s);
    for (int i = 0; i < b->o->nabsent; i++) {
        bool known = false;
        for (int j = 0; j < names.n; j++) known = known || !strcmp(names.v[j], b->o->absent[i]);
        if (!known)
            diag_fail(b->d, "there is no input `%s`%s", b->o->absent[i],
                      suggest(b, b->o->absent[i], names.v, names.n));
    }
}

/* ---- outputs ---- */

static void add_output(Builder *b, const char *name, Value v, Loc loc)
{
    Graph *g = b->g;
    if (v.kind == V_NONE && v.none.absent) {
        vec_push(b->a, &b->program->missing, (AbsentOutput){name, v.none.absent});
        return;
    }
    if (v.kind == V_NONE) none_error(b, v, loc);
    if (v.kind == V_STRING || v.kind == V_LIST || v.kind == V_TUPLE)
        user_error(b->d, loc, "an output is a tensor or a number\nfound: %s", value_what(b, v));
    if (graph_find_root(g, ROOT_OUTPUT, name))
        user_error(b->d, loc, "two outputs are named `%s`", name);
    const Space *shape = v.kind == V_TENSOR ? v.tensor.shape : space_make(g, 0, NULL);
    g->loc = loc;
    graph_root(g, ROOT_OUTPUT, name, value_edge(b, v, DT_INT, loc), shape, loc);
}

static const char *output_name(Builder *b, const Expr *e, int *unnamed)
{
    if (e && e->kind == EX_NAME) return e->s;
    int n = ++*unnamed;
    return n == 1 ? "output" : arena_printf(b->a, "output%d", n);
}

static void add_outputs(Builder *b, const Frame *f)
{
    Value v = f->result;
    int unnamed = 0;
    Loc loc = f->fn->value ? f->fn->value->loc : f->returns.n ? f->returns.v[0]->loc : f->fn->loc;
    const Expr *only = f->fn->value ? f->fn->value : f->returns.n == 1 ? f->returns.v[0] : NULL;
    if (v.kind == V_TUPLE) {
        bool named = f->returns.n == v.list.n; /* else the function returns what another returned */
        for (int i = 0; i < v.list.n; i++) {
            const Expr *e = named ? f->returns.v[i] : NULL;
            add_output(b, output_name(b, e, &unnamed), v.list.v[i], e ? e->loc : loc);
        }
    } else {
        add_output(b, output_name(b, only, &unnamed), v, loc);
    }
    if (!graph_find_root(b->g, ROOT_OUTPUT, "aux_loss")) {
        Value aux = value_is_graph(b->aux)
                        ? b->aux
                        : value_float(b->aux.kind == V_INT ? (double)b->aux.i : b->aux.f);
        add_output(b, "aux_loss", aux, loc);
    }
}

static void run_program(Builder *b, Inst *m, const Fn *fn)
{
    Frame *f = frame_new(b, NULL, m, fn);
    f->site = 0x52544331u; /* any constant: the root of all sites */
    check_absent(b, fn);
    for (int i = 0; i < fn->params.n; i++) bind_input(f, &fn->params.v[i]);
    run_body(f);
    add_outputs(b, f);
}

/* ---- --set ---- */

static void split_sets(Builder *b, const Item *module, GivenVec *given, SettingVec *settings)
{
    OptVec opts = {0};
    if (module->kind == IT_MODULE) options_list(b, module, &opts);
    for (int i = 0; i < b->o->nset; i++) {
        const Override *o = &b->o->set[i];
        bool option = false;
        for (int j = 0; j < opts.n; j++) option = option || !strcmp(opts.v[j]->name, o->name);
        StaticValue v = static_parse(b->d, b->a, o->name, o->value);
        if (!option) {
            vec_push(b->a, settings, (Setting){o->name, v, v.loc});
            continue;
        }
        Given g = {.name = arena_strdup(b->a, o->name),
                   .v = value_from_static(b, &v),
                   .loc = v.loc,
                   .by_user = true};
        for (int j = 0; j < given->n; j++)
            if (!strcmp(given->v[j].name, g.name))
                given->v[j].used = true, given->v[j].name = ""; /* the last one counts */
        vec_push(b->a, given, g);
    }
    int k = 0;
    for (int i = 0; i < given->n; i++)
        if (given->v[i].name[0]) given->v[k++] = given->v[i];
    given->n = k;
}

static void report_options(Builder *b, Inst *m)
{
    for (int i = 0; i < m->opts.n; i++) {
        Opt *o = m->opts.v[i];
        Value def = {.kind = V_NONE};
        OptVec ignored = {0}, *outer = b->capture;
        b->capture = &ignored;
        bool has = o->has_def || option_default(b, m, i, o, &def);
        b->capture = outer;
        if (o->has_def) def = o->def;
        OptionInfo info = {.name = o->name,
                           .type = o->type,
                           .doc = o->doc,
                           .set = o->by_user,
                           .fixed = o->fixed,
                           .idle = o->by_user && !o->read && o->idle,
                           .loc = o->decl->name.loc};
        info.value = value_to_static(b, o->value, o->loc);
        if (has) info.def = value_to_static(b, def, o->decl->value->loc);
        vec_push(b->a, &b->program->options, info);
    }
}

static void check_read(Builder *b, const Inst *m)
{
    for (int i = 0; i < m->opts.n; i++) {
        const Opt *o = m->opts.v[i];
        if (!o->by_user || o->read || o->idle) continue;
        diag_note(b->d, o->decl->name.loc, "the option is declared here");
        user_error(b->d, o->loc, "option `%s` is set, but nothing reads it in this configuration",
                   o->name);
    }
}

/* ---- the train block ---- */

static StaticValue setting_value(Frame *f, const Expr *e)
{
    Builder *b = f->b;
    bool call = e->kind == EX_CALL && e->call.callee->kind == EX_NAME &&
                !is_builtin(e->call.callee->s) && !strmap_get(&b->items, e->call.callee->s);
    if (call) {
        const ArgVec *args = &e->call.args;
        StaticValue r = {.kind = SV_CALL, .loc = e->loc, .s = e->call.callee->s, .n = args->n};
        r.v = NEW_N(b->a, StaticValue, r.n + 1), r.key = NEW_N(b->a, const char *, r.n + 1);
        for (int i = 0; i < r.n; i++) {
            if (args->v[i].is_pass) user_error(b->d, args->v[i].loc, "`..` has no meaning here");
            r.v[i] = setting_value(f, args->v[i].value), r.key[i] = args->v[i].name.s;
        }
        return r;
    }
    if (e->kind == EX_LIST) {
        StaticValue r = {.kind = SV_LIST,
                         .loc = e->loc,
                         .n = e->list.n,
                         .v = NEW_N(b->a, StaticValue, e->list.n + 1)};
        for (int i = 0; i < r.n; i++) r.v[i] = setting_value(f, e->list.v[i]);
        return r;
    }
    if (e->kind == EX_NAME && !scope_find(f->scope, e->s) && strcmp(e->s, "pi") != 0)
        return (StaticValue){.kind = SV_STRING, .loc = e->loc, .s = e->s};
    return value_to_static(b, eval_static(f, e, "a setting"), e->loc);
}

static Setting *setting_find(Builder *b, const char *name)
{
    for (int i = 0; i < b->program->train.n; i++)
        if (!strcmp(b->program->train.v[i].name, name)) return &b->program->train.v[i];
    return NULL;
}

static void put_setting(Builder *b, Setting s)
{
    Setting *old = setting_find(b, s.name);
    if (old)
        *old = s;
    else
        vec_push(b->a, &b->program->train, s);
}

/* optimizer.lr = 1e-3: an argument of a setting that is a call */
static void set_argument(Builder *b, const char *name, const char *key, Setting s)
{
    Setting *old = setting_find(b, name);
    if (!old || old->value.kind != SV_CALL)
        user_error(b->d, s.loc, "`%s.%s`: the train block has no `%s = NAME(...)`", name, key,
                   name);
    StaticValue *v = &old->value, more = *v;
    more.v = NEW_N(b->a, StaticValue, v->n + 1), more.key = NEW_N(b->a, const char *, v->n + 1);
    for (int i = 0; i < v->n; i++) {
        if (v->key[i] && !strcmp(v->key[i], key)) {
            v->v[i] = s.value;
            return;
        }
        more.v[i] = v->v[i], more.key[i] = v->key[i];
    }
    more.v[v->n] = s.value, more.key[v->n] = key, more.n = v->n + 1;
    *v = more;
}

RTC_NORETURN static void unknown_set(Builder *b, const Inst *m, const Setting *s)
{
    static const char *const known[] = {"optimizer", "schedule", "clip"};
    VEC(const char *) names = {0};
    for (int i = 0; m && i < m->opts.n; i++) vec_push(b->a, &names, m->opts.v[i]->name);
    for (int i = 0; i < COUNT(known); i++) vec_push(b->a, &names, known[i]);
    for (int i = 0; i < b->program->train.n; i++)
        vec_push(b->a, &names, b->program->train.v[i].name);
    diag_fail(b->d, "--set %s: `%s` has no such option%s", s->name, b->program->model,
              suggest(b, s->name, names.v, names.n));
}

static void read_train(Builder *b, Inst *m, const SettingVec *sets)
{
    static const char *const known[] = {"optimizer", "schedule", "clip"};
    Frame *f = frame_new(b, NULL, m, NULL);
    for (int i = 0; i < b->files.n; i++)
        for (int j = 0; j < b->files.v[i]->items.n; j++) {
            const Item *it = b->files.v[i]->items.v[j];
            for (int k = 0; it->kind == IT_TRAIN && k < it->train.n; k++) {
                const Field *x = &it->train.v[k];
                put_setting(b, (Setting){x->name.s, setting_value(f, x->value), x->name.loc});
            }
        }
    for (int i = 0; i < sets->n; i++) {
        const Setting *s = &sets->v[i];
        const char *dot = strchr(s->name, '.');
        const char *name = dot ? arena_strndup(b->a, s->name, (size_t)(dot - s->name))
                               : arena_strdup(b->a, s->name);
        bool ok = setting_find(b, name) != NULL;
        for (int j = 0; j < COUNT(known); j++) ok = ok || !strcmp(known[j], name);
        if (!ok) unknown_set(b, m, s);
        if (dot)
            set_argument(b, name, arena_strdup(b->a, dot + 1), *s);
        else
            put_setting(b, (Setting){name, s->value, s->loc});
    }
}

/* ---- all of it ---- */

static void run_file_lets(Builder *b)
{
    Frame *f = frame_new(b, NULL, NULL, NULL);
    f->scope = b->global, f->outermost = NULL;
    for (int i = 0; i < b->files.n; i++)
        for (int j = 0; j < b->files.v[i]->items.n; j++) {
            const Item *it = b->files.v[i]->items.v[j];
            if (it->kind != IT_LET) continue;
            if (it->let.lhs.is_indexed)
                user_error(b->d, it->let.lhs.loc, "a `let` of a file is a number, string or list");
            Value v = eval_static(f, it->let.value, "a `let` of a file");
            scope_add(b, b->global, VAR_LET, it->let.lhs.name, v);
        }
}

void build_program(Builder *b)
{
    Program *p = b->program;
    GivenVec given = {0};
    SettingVec sets = {0};
    load_files(b, b->o->path);
    const Item *it = choose(b);
    run_file_lets(b);
    check_names(b);
    p->model = it->kind == IT_MODULE ? it->module.name.s : it->fn->name.s;
    p->text = inline_text(b);
    split_sets(b, it, &given, &sets);
    Inst *m =
        it->kind == IT_MODULE ? inst_make(b, it, &given, "", NULL, it->module.name.loc) : NULL;
    const Fn *fn = m ? inst_fn(m, NULL) : it->fn;
    if (!fn && !b->lone)
        user_error(b->d, it->module.name.loc,
                   "a model needs a function: `fn (x[batch, i]) { ... }`");
    if (fn) run_program(b, m, fn);
    finish_updates(b);
    finish_reports(b);
    graph_dce(b->main);
    build_starts(b);
    read_train(b, m, &sets);
    count_reads(b);
    if (m) report_options(b, m);
    if (m) check_read(b, m);
}
