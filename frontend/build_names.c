/* build_names.c: names in code that options switch off: each must be declared somewhere in its
 * function or module. */
#include "frontend/build.h"

typedef struct {
    Builder *b;
    StrMap *names;
    VEC(const char *) list; /* for "did you mean" */
} Names;

static void add(Names *n, const char *name)
{
    if (!name || strmap_get(n->names, name)) return;
    strmap_put(n->b, n->names, name, n->b); /* present: any pointer */
    vec_push(n->b->a, &n->list, name);
}

static void add_ranges(Names *n, const RangeVec *r)
{
    for (int i = 0; i < r->n; i++) add(n, r->v[i].name.s);
}

static void add_indices(Names *n, const IndexVec *ix)
{
    for (int i = 0; i < ix->n; i++) {
        add(n, ix->v[i].name.s);
        if (ix->v[i].kind == IX_EXPR && ix->v[i].expr->kind == EX_NAME) add(n, ix->v[i].expr->s);
        add_ranges(n, &ix->v[i].parts);
    }
}

static void add_reduction(void *ctx, const Expr *e)
{
    if (e->kind == EX_REDUCE) add_ranges(ctx, &e->reduce.over);
}

static void add_block(Names *n, const Block *block);

static void add_fn(Names *n, const Fn *fn)
{
    for (int i = 0; i < fn->params.n; i++) {
        add(n, fn->params.v[i].name.s);
        add_ranges(n, &fn->params.v[i].axes);
    }
    walk_fn(fn, add_reduction, n);
    add_block(n, &fn->body);
}

static void add_stmt(Names *n, const Stmt *s)
{
    walk_stmt(s, add_reduction, n);
    switch (s->kind) {
    case ST_LET:
        for (int i = 0; i < s->let.lhs.n; i++) {
            add(n, s->let.lhs.v[i].name.s);
            add_indices(n, &s->let.lhs.v[i].indices);
        }
        break;
    case ST_ASSIGN:
    case ST_INIT:
    case ST_UPDATE:
    case ST_REPORT:
        add_indices(n, &s->assign.lhs.indices);
        break;
    case ST_PARAM:
    case ST_STATE:
        add(n, s->param.name.s);
        for (int i = 0; i < s->param.dims.n; i++) add(n, s->param.dims.v[i].name.s);
        break;
    case ST_USE:
        add(n, s->use.place.steps.v[0].name.s);
        break;
    case ST_IF:
        add_block(n, &s->branch.then), add_block(n, &s->branch.otherwise);
        break;
    case ST_FOR:
        add(n, s->loop.name.s), add_block(n, &s->loop.body);
        break;
    case ST_ANNOTATED:
        add_block(n, &s->annotated.body);
        break;
    case ST_FN:
        add(n, s->fn->name.s), add_fn(n, s->fn);
        break;
    default:
        break;
    }
}

static void add_block(Names *n, const Block *block)
{
    for (int i = 0; i < block->list.n; i++) add_stmt(n, block->list.v[i]);
}

static void check_name(void *ctx, const Expr *e)
{
    Names *n = ctx;
    if (e->kind != EX_NAME || strmap_get(n->names, e->s)) return;
    user_error(n->b->d, e->loc, "the name `%s` is not declared anywhere here%s", e->s,
               suggest(n->b, e->s, n->list.v, n->list.n));
}

static Names file_names(Builder *b)
{
    static const char *const words[] = {
#define PREDECLARED(spelling) spelling,
#include "frontend/keywords.def"
        "exp", "log",  "sqrt", "sin", "cos",   "tanh",    "erf",    "floor",
        "abs", "stop", "int",  "len", "where", "uniform", "normal", "bernoulli",
    };
    Names n = {.b = b, .names = NEW(b->a, StrMap)};
    for (int i = 0; i < COUNT(words); i++) add(&n, words[i]);
    for (int i = 0; i < b->items.cap; i++) add(&n, b->items.slot[i].key);
    for (int i = 0; i < b->global->vars.n; i++) add(&n, b->global->vars.v[i]->name);
    return n;
}

static Names copied(const Names *from)
{
    Names n = {.b = from->b, .names = NEW(from->b->a, StrMap)};
    for (int i = 0; i < from->list.n; i++) add(&n, from->list.v[i]);
    return n;
}

/* ---- options that no text reads ---- */

typedef struct {
    const char *name;
    bool read;
} OptionUse;
static void use_name(void *ctx, const Expr *e)
{
    OptionUse *u = ctx;
    if (e->kind == EX_NAME && !strcmp(e->s, u->name)) u->read = true;
    const ArgVec *args = e->kind == EX_CALL ? &e->call.args : NULL;
    for (int i = 0; args && i < args->n; i++) {
        const char *prefix = args->v[i].name.s ? args->v[i].name.s : "";
        if (args->v[i].is_pass && !strncmp(u->name, prefix, strlen(prefix))) u->read = true;
    }
}

static void check_options(Builder *b, const Item *m)
{
    for (int i = 0; i < m->module.options.n; i++) {
        const Option *o = &m->module.options.v[i];
        OptionUse u = {.name = o->name.s};
        if (o->is_pass) continue;
        walk_block(&m->module.body, use_name, &u);
        for (int j = 0; j < m->module.options.n; j++) {
            walk_expr(m->module.options.v[j].value, use_name, &u);
            walk_expr(m->module.options.v[j].type.length, use_name, &u);
        }
        if (!u.read)
            user_error(b->d, o->name.loc, "nothing in module `%s` reads the option `%s`",
                       m->module.name.s, o->name.s);
    }
}

static void check_module(Builder *b, const Names *file, const Item *m)
{
    Names n = copied(file);
    OptVec opts = {0};
    options_list(b, m, &opts);
    for (int i = 0; i < opts.n; i++) add(&n, opts.v[i]->name);
    add_block(&n, &m->module.body);
    walk_block(&m->module.body, check_name, &n);
    for (int i = 0; i < m->module.options.n; i++) {
        walk_expr(m->module.options.v[i].value, check_name, &n);
        walk_expr(m->module.options.v[i].type.length, check_name, &n);
    }
}

void check_names(Builder *b)
{
    Names file = file_names(b);
    for (int i = 0; i < b->files.n; i++)
        for (int j = 0; j < b->files.v[i]->items.n; j++) {
            const Item *it = b->files.v[i]->items.v[j];
            if (it->kind == IT_MODULE) check_module(b, &file, it);
            if (it->kind != IT_FN) continue;
            Names n = copied(&file);
            add_fn(&n, it->fn);
            walk_fn(it->fn, check_name, &n);
        }
    for (int i = 0; i < b->files.n; i++)
        for (int j = 0; j < b->files.v[i]->items.n; j++)
            if (b->files.v[i]->items.v[j]->kind == IT_MODULE)
                check_options(b, b->files.v[i]->items.v[j]);
}
