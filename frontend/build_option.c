/* build_option.c: hyper-parameters: which a module has, what was given, what is left to defaults.
 *
 * Every option remembers from which others its value was computed. Reading an option in the program
 * marks those too, so that "set, but nothing reads it" sees through `..` and through arguments.
 */
#include "frontend/build.h"
#include <math.h>

/* ---- which options there are ---- */

static const Option *listed_in(const Item *module, const char *name)
{
    for (int i = 0; i < module->module.options.n; i++) {
        const Option *o = &module->module.options.v[i];
        if (!o->is_pass && !strcmp(o->name.s, name)) return o;
    }
    return NULL;
}

static Opt *opt_find(const OptVec *opts, const char *name)
{
    for (int i = 0; i < opts->n; i++)
        if (!strcmp(opts->v[i]->name, name)) return opts->v[i];
    return NULL;
}

const Item *module_named(Builder *b, Name name, const char *what)
{
    const Item *m = strmap_get(&b->items, name.s);
    VEC(const char *) names = {0};
    for (int i = 0; i < b->items.cap; i++) {
        const Item *x = b->items.slot[i].value;
        if (b->items.slot[i].key && x->kind == IT_MODULE)
            vec_push(b->a, &names, b->items.slot[i].key);
    }
    if (!m)
        user_error(b->d, name.loc, "there is no module `%s`%s", name.s,
                   suggest(b, name.s, names.v, names.n));
    if (m->kind != IT_MODULE)
        user_error(b->d, name.loc, "`%s` is a function; %s takes a module", name.s, what);
    return m;
}

static const char *type_text(Builder *b, const Type *t)
{
    if (!t->is_list) return type_name(t->kind);
    return arena_printf(b->a, "%s[%s]", type_name(t->kind),
                        t->length ? expr_text(b, t->length) : "");
}

static void list_one(Builder *b, const Option *o, OptVec *out)
{
    Opt *old = opt_find(out, o->name.s);
    if (old && old->decl == o) return; /* a group before it brought it */
    if (old) user_error(b->d, o->name.loc, "option `%s` is listed twice", o->name.s);
    Opt *n = NEW(b->a, Opt);
    *n = (Opt){.name = o->name.s, .doc = o->doc, .type = type_text(b, &o->type), .prefix = ""};
    n->decl = o, n->listed = true, n->loc = o->name.loc;
    vec_push(b->a, out, n);
}

/* Does every `use` that passes options of the prefix on give this one itself? It is then no option
 * of the module's. */
typedef struct {
    const char *prefix, *name;
    int calls, given;
} GroupUse;
static void group_use(void *ctx, const Expr *e)
{
    GroupUse *u = ctx;
    bool passes = false, gives = false;
    for (int i = 0; e->kind == EX_CALL && i < e->call.args.n; i++) {
        const Arg *a = &e->call.args.v[i];
        const char *name = a->name.s ? a->name.s : "";
        passes = passes || (a->is_pass && !strcmp(name, u->prefix));
        gives = gives || (!a->is_pass && !strcmp(name, u->name));
    }
    u->calls += passes;
    u->given += passes && gives;
}

static bool is_fixed(const Item *module, const char *prefix, const char *name)
{
    GroupUse u = {.prefix = prefix, .name = name};
    walk_block(&module->module.body, group_use, &u);
    return u.calls && u.calls == u.given;
}

/* `..: m`: what the module lists itself, before or after, counts in place of m's. */
static void list_group(Builder *b, const Item *module, const Option *group, OptVec *out)
{
    OptVec inner = {0};
    const char *prefix = group->name.s ? group->name.s : "";
    options_list(b, module_named(b, group->module, "`..:`"), &inner);
    for (int i = 0; i < inner.n; i++) {
        Opt *n = inner.v[i];
        n->fixed = n->fixed || is_fixed(module, prefix, n->name);
        n->name = arena_printf(b->a, "%s%s", prefix, n->name);
        n->prefix = arena_printf(b->a, "%s%s", prefix, n->prefix);
        n->listed = false;
        const Option *own = listed_in(module, n->name);
        if (own)
            list_one(b, own, out);
        else if (!opt_find(out, n->name))
            vec_push(b->a, out, n);
    }
}

int options_list(Builder *b, const Item *module, OptVec *out)
{
    if (++b->calls > MAX_CALLS)
        user_error(b->d, module->loc,
                   "module `%s` takes the options of a module that takes its own",
                   module->module.name.s);
    for (int i = 0; i < module->module.options.n; i++) {
        const Option *o = &module->module.options.v[i];
        if (o->is_pass)
            list_group(b, module, o, out);
        else
            list_one(b, o, out);
    }
    b->calls--;
    return out->n;
}

/* ---- types ---- */

static Value typed_one(Builder *b, TypeKind t, Value v, Loc loc, const char *what)
{
    bool ok = false;
    switch (t) {
    case TY_INT:
        ok = v.kind == V_INT || (v.kind == V_SIZE && !v.size.den);
        break;
    case TY_FLOAT:
        if (v.kind == V_INT) return value_float((double)v.i);
        ok = v.kind == V_FLOAT || v.kind == V_SIZE;
        break;
    case TY_BOOL:
        ok = v.kind == V_BOOL;
        break;
    case TY_STRING:
        ok = v.kind == V_STRING;
        break;
    case TY_NONE:
        ok = true;
        break;
    }
    if (ok) return v;
    const char *hint = t == TY_INT && v.kind == V_FLOAT && v.f == floor(v.f) && fabs(v.f) < 1e15
                           ? arena_printf(b->a, "\nhint: write %.0f", v.f)
                       : t == TY_BOOL && v.kind == V_INT ? "\nhint: true or false"
                                                         : "";
    user_error(b->d, loc, "%s must be of type %s\nfound: %s%s", what, type_name(t),
               value_what(b, v), hint);
}

/* length: of a type like int[depth], else -1 */
Value typed_value(Builder *b, const Type *t, int64_t length, Value v, Loc loc, const char *what)
{
    if (!t->is_list) {
        if (v.kind == V_LIST)
            user_error(b->d, loc, "%s is one %s\nfound: a list of %d", what, type_name(t->kind),
                       v.list.n);
        return typed_one(b, t->kind, v, loc, what);
    }
    int64_t n = v.kind == V_LIST ? v.list.n : length < 0 ? 1 : length;
    if (v.kind == V_LIST && length >= 0 && n != length)
        user_error(b->d, loc,
                   "%s takes %lld values (%s)\nfound: %lld\nhint: a single value is repeated", what,
                   (long long)length, type_text(b, t), (long long)n);
    if (n > MAX_UNROLL) user_error(b->d, loc, "%s is a list of %lld: too long", what, (long long)n);
    Value r = {.kind = V_LIST, .list = {(int)n, NEW_N(b->a, Value, n + 1)}};
    for (int64_t i = 0; i < n; i++)
        r.list.v[i] = typed_one(b, t->kind, v.kind == V_LIST ? v.list.v[i] : v, loc, what);
    return r;
}

/* ---- values ---- */

/* The options before `at` as the module that declares option `o` names them. One that came by
 * `..: m`, without default, may stay without a value as long as nothing reads it. */
static Frame *default_frame(Builder *b, Inst *m, int at, const Opt *o)
{
    Frame *f = frame_new(b, NULL, NULL, NULL);
    size_t n = strlen(o->prefix);
    for (int i = 0; i < at; i++) {
        Opt *x = m->opts.v[i];
        if (strncmp(x->name, o->prefix, n) != 0) continue;
        Var *v = NEW(b->a, Var);
        *v = (Var){
            .name = x->name + n, .kind = VAR_OPTION, .value = x->value, .loc = x->loc, .opt = x};
        scope_put(b, f->scope, v);
    }
    return f;
}

static void check_static(Builder *b, Value v, Loc loc, const char *what)
{
    if (value_is_static(v) || (b->lone && v.kind == V_SIZE)) return;
    user_error(b->d, loc, "%s must be known when the program is compiled\nfound: %s", what,
               value_what(b, v));
}

static int64_t type_length(Frame *f, const Type *t)
{
    if (!t->is_list || !t->length) return -1;
    if (eval_whole(f, t->length).kind == V_NONE) return -1;
    Value n = eval_static(f, t->length, "the length of a list");
    if (n.kind != V_INT || n.i < 0)
        user_error(f->b->d, t->length->loc, "the length of a list is an int from 0\nfound: %s",
                   value_what(f->b, n));
    return n.i;
}

bool option_default(Builder *b, Inst *m, int at, Opt *o, Value *v)
{
    if (!o->decl->value) return false;
    Frame *f = default_frame(b, m, at, o);
    const char *what = arena_printf(b->a, "option `%s`", o->name);
    *v = eval_whole(f, o->decl->value);
    if (v->kind == V_NONE && v->none.option) return false;
    check_static(b, *v, o->decl->value->loc, what);
    *v = typed_value(b, &o->decl->type, type_length(f, &o->decl->type), *v, o->decl->value->loc,
                     what);
    return true;
}

static Given *given_for(GivenVec *given, const char *name)
{
    for (int i = 0; i < given->n; i++)
        if (!strcmp(given->v[i].name, name)) return &given->v[i];
    return NULL;
}

static void resolve_one(Builder *b, Inst *m, int at, GivenVec *given)
{
    Opt *o = m->opts.v[at];
    Given *g = given_for(given, o->name);
    OptVec *outer = b->capture;
    const char *what = arena_printf(b->a, "option `%s`", o->name);
    if (g) {
        g->used = true;
        b->capture = &o->deps;
        int64_t length = type_length(default_frame(b, m, at, o), &o->decl->type);
        o->value = typed_value(b, &o->decl->type, length, g->v, g->loc, what);
        o->set = true, o->by_user = g->by_user, o->loc = g->loc;
        for (int i = 0; i < g->deps.n; i++) opt_read(b, g->deps.v[i]);
    } else {
        b->capture = &o->deps;
        o->has_def = option_default(b, m, at, o, &o->value);
        o->def = o->value;
        if (!o->has_def && b->lone && !o->decl->type.is_list && o->decl->type.kind == TY_INT) {
            o->value = value_size(ix_sym(b->main, o->name, o->loc));
        } else if (!o->has_def && !o->listed) {
            o->value = (Value){.kind = V_NONE, .none = {.option = o->name, .loc = o->loc}};
        } else if (!o->has_def) {
            diag_note(b->d, o->loc, "it is declared here");
            user_error(
                b->d, m->loc,
                "option `%s` of module `%s` has no value, and no default\nhint: `%s%s = ...`",
                o->name, m->module->module.name.s, m->from ? "" : "--set ", o->name);
        }
    }
    b->capture = outer;
}

void options_resolve(Builder *b, Inst *m, GivenVec *given)
{
    options_list(b, m->module, &m->opts);
    for (int i = 0; i < m->opts.n; i++) {
        Opt *o = m->opts.v[i];
        resolve_one(b, m, i, given);
        scope_add(b, m->scope, VAR_OPTION, (Name){o->name, o->decl->name.loc}, o->value)->opt = o;
    }
    VEC(const char *) names = {0};
    for (int i = 0; i < m->opts.n; i++) vec_push(b->a, &names, m->opts.v[i]->name);
    for (int i = 0; i < given->n; i++)
        if (!given->v[i].used)
            user_error(b->d, given->v[i].loc, "%s `%s` has no option `%s`%s",
                       m->module->module.is_model ? "model" : "module", m->module->module.name.s,
                       given->v[i].name,
                       suggest_or_list(b, "its options", given->v[i].name, names.v, names.n));
}
