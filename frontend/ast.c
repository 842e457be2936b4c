/* ast.c: makes the nodes of the tree. Contract: node.h; what a node is: ast.h. */
#include "frontend/node.h"

/* ---- depth: counted here once, so that every later walk may recurse ---- */

static int deeper(int depth, const Expr *e) { return e && e->depth > depth ? e->depth : depth; }

static int deeper_exprs(int depth, ExprVec list)
{
    for (int i = 0; i < list.n; i++) depth = deeper(depth, list.v[i]);
    return depth;
}

static int deeper_ranges(int depth, RangeVec ranges)
{
    for (int i = 0; i < ranges.n; i++) depth = deeper(depth, ranges.v[i].extent);
    return depth;
}

static int deeper_indices(int depth, IndexVec indices)
{
    for (int i = 0; i < indices.n; i++) {
        depth = deeper(depth, indices.v[i].expr);
        depth = deeper_ranges(depth, indices.v[i].parts);
    }
    return depth;
}

static int deeper_args(int depth, ArgVec args)
{
    for (int i = 0; i < args.n; i++) depth = deeper(depth, args.v[i].value);
    return depth;
}

static int deeper_fn(int depth, const Fn *fn)
{
    for (int i = 0; i < fn->params.n; i++) {
        const Param *param = &fn->params.v[i];
        depth = deeper_ranges(depth, param->axes);
        depth = deeper(deeper(depth, param->value), param->type.length);
    }
    depth = deeper(depth, fn->value);
    return fn->body.depth > depth ? fn->body.depth : depth;
}

/* The depth of a node above children of depth `below`. */
static int depth_above(Parse *p, Loc loc, int below)
{
    if (below >= AST_DEPTH)
        user_error(p->d, loc, "nested too deeply: more than %d operations inside each other\n"
                              "hint: name parts of it with `let`", AST_DEPTH);
    return below + 1;
}

/* ---- expressions ---- */

static Expr *expr_new(Parse *p, ExprKind kind, Loc loc, int below)
{
    Expr *e = NEW(p->a, Expr);
    e->kind = kind;
    e->loc = loc;
    e->depth = depth_above(p, loc, below);
    return e;
}

Expr *expr_int(Parse *p, Loc loc, int64_t i)
{
    Expr *e = expr_new(p, EX_INT, loc, 0);
    e->i = i;
    return e;
}

Expr *expr_float(Parse *p, Loc loc, double f)
{
    Expr *e = expr_new(p, EX_FLOAT, loc, 0);
    e->f = f;
    return e;
}

Expr *expr_string(Parse *p, Loc loc, const char *s)
{
    Expr *e = expr_new(p, EX_STRING, loc, 0);
    e->s = s;
    return e;
}

Expr *expr_bool(Parse *p, Loc loc, bool b)
{
    Expr *e = expr_new(p, EX_BOOL, loc, 0);
    e->b = b;
    return e;
}

Expr *expr_name(Parse *p, Name name)
{
    Expr *e = expr_new(p, EX_NAME, name.loc, 0);
    e->s = name.s;
    return e;
}

Expr *expr_list(Parse *p, Loc loc, ExprVec list)
{
    Expr *e = expr_new(p, EX_LIST, loc, deeper_exprs(0, list));
    e->list = list;
    return e;
}

Expr *expr_alone(Parse *p, Loc loc, ExprVec list)
{
    return list.n == 1 ? list.v[0] : expr_list(p, loc, list);
}

Expr *expr_unary(Parse *p, Loc loc, UnaryOp op, Expr *x)
{
    Expr *e = expr_new(p, EX_UNARY, loc, x->depth);
    e->unary.op = op;
    e->unary.x = x;
    return e;
}

Expr *expr_binary(Parse *p, Loc loc, BinaryOp op, Expr *a, Expr *b)
{
    Expr *e = expr_new(p, EX_BINARY, loc, deeper(a->depth, b));
    e->binary.op = op;
    e->binary.a = a;
    e->binary.b = b;
    return e;
}

Expr *expr_access(Parse *p, Loc loc, Expr *base, IndexVec indices)
{
    Expr *e = expr_new(p, EX_ACCESS, loc, deeper_indices(base->depth, indices));
    e->access.base = base;
    e->access.indices = indices;
    return e;
}

Expr *expr_fill(Parse *p, Loc loc, Expr *access, Expr *fill)
{
    access->access.fill = fill;
    access->depth = depth_above(p, loc, deeper(access->depth - 1, fill));
    access->loc = loc;
    return access;
}

Expr *expr_reduce(Parse *p, Loc loc, ReduceKind kind, RangeVec over, Expr *rank, Expr *guard,
                  Expr *body)
{
    int below = deeper(deeper(deeper_ranges(body->depth, over), rank), guard);
    Expr *e = expr_new(p, EX_REDUCE, loc, below);
    e->reduce.kind = kind;
    e->reduce.over = over;
    e->reduce.rank = rank;
    e->reduce.guard = guard;
    e->reduce.body = body;
    return e;
}

Expr *expr_reduce_call(Parse *p, Loc loc, ReduceKind kind, ArgVec args)
{
    const char *word = reduce_name(kind);
    if (kind != RED_MAX && kind != RED_MIN)
        user_error(p->d, loc, "`%s` needs its indices: `%s[i] x[i]`\n"
                              "only `max(a, b)` and `min(a, b)` take arguments", word, word);
    Expr *e = expr_new(p, EX_REDUCE_CALL, loc, deeper_args(0, args));
    e->reduce_call.kind = kind;
    e->reduce_call.args = args;
    return e;
}

Expr *expr_member(Parse *p, Loc loc, Expr *base, Name name)
{
    Expr *e = expr_new(p, EX_MEMBER, loc, base->depth);
    e->member.base = base;
    e->member.name = name;
    return e;
}

Expr *expr_call(Parse *p, Loc loc, Expr *callee, ArgVec args)
{
    Expr *e = expr_new(p, EX_CALL, loc, deeper_args(callee->depth, args));
    e->call.callee = callee;
    e->call.args = args;
    return e;
}

Expr *expr_choice(Parse *p, Loc loc, Expr *cond, Expr *then, Expr *otherwise)
{
    Expr *e = expr_new(p, EX_CHOICE, loc, deeper(deeper(cond->depth, then), otherwise));
    e->choice.cond = cond;
    e->choice.then = then;
    e->choice.otherwise = otherwise;
    return e;
}

/* ---- functions and options ---- */

Type type_new(Parse *p, Loc loc, Name name, bool is_list, Expr *length)
{
    static const char *const names[] = {
#define TYPE(spelling, kind) spelling,
#include "frontend/keywords.def"
    };
    static const TypeKind kinds[] = {
#define TYPE(spelling, kind) kind,
#include "frontend/keywords.def"
    };
    for (int i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name.s) == 0) return (Type){kinds[i], is_list, length, loc};
    const char *near = nearest_word(name.s, names, COUNT(names));
    user_error(p->d, name.loc, "`%s` is not a type; types are `int` `float` `bool` `string`%s%s%s",
               name.s, near ? "\nhint: `" : "", near ? near : "", near ? "`?" : "");
}

Param param_new(Loc loc, Name name, const RangeVec *axes, Type type, Expr *value)
{
    return (Param){name, axes != NULL, axes ? *axes : (RangeVec){0}, type, value, loc};
}

Fn *fn_new(Parse *p, Loc loc, Name name, ParamVec params, Body body)
{
    Fn *fn = NEW(p->a, Fn);
    fn->name = name;
    fn->params = params;
    fn->body = body.block;
    fn->value = body.value;
    fn->loc = loc;
    return fn;
}

Option option_new(Loc loc, Name name, Type type, Expr *value)
{
    return (Option){.name = name, .type = type, .value = value, .loc = loc};
}

Option option_pass(Loc loc, Name prefix, Name module)
{
    return (Option){.is_pass = true, .name = prefix, .module = module, .loc = loc};
}

/* ---- statements ---- */

Place place_add(Parse *p, Place place, Step step)
{
    vec_push(p->a, &place.steps, step);
    place.loc = loc_join(place.loc, step.loc);
    return place;
}

Block block_add(Parse *p, Block block, Stmt *s)
{
    vec_push(p->a, &block.list, s);
    if (s->depth > block.depth) block.depth = s->depth;
    return block;
}

Block block_of(Parse *p, Stmt *s) { return block_add(p, (Block){.loc = s->loc}, s); }

static Stmt *stmt_new(Parse *p, StmtKind kind, Loc loc, int below)
{
    Stmt *s = NEW(p->a, Stmt);
    s->kind = kind;
    s->loc = loc;
    s->depth = depth_above(p, loc, below);
    return s;
}

Stmt *stmt_let(Parse *p, Loc loc, LhsVec lhs, Expr *value)
{
    int below = value->depth;
    for (int i = 0; i < lhs.n; i++) below = deeper_indices(below, lhs.v[i].indices);
    Stmt *s = stmt_new(p, ST_LET, loc, below);
    s->let.lhs = lhs;
    s->let.value = value;
    return s;
}

Stmt *stmt_assign(Parse *p, Loc loc, StmtKind kind, Lhs lhs, Expr *value)
{
    Stmt *s = stmt_new(p, kind, loc, deeper_indices(value->depth, lhs.indices));
    s->assign.lhs = lhs;
    s->assign.value = value;
    return s;
}

Stmt *stmt_declare(Parse *p, Loc loc, StmtKind kind, Name name, IndexVec dims, Start start)
{
    Stmt *s = stmt_new(p, kind, loc, deeper_indices(start.value->depth, dims));
    s->param.name = name;
    s->param.dims = dims;
    s->param.is_drawn = start.is_drawn;
    s->param.start = start.value;
    return s;
}

Stmt *stmt_use(Parse *p, Loc loc, Place place, Expr *value)
{
    int below = value->depth;
    for (int i = 0; i < place.steps.n; i++) below = deeper(below, place.steps.v[i].index);
    Stmt *s = stmt_new(p, ST_USE, loc, below);
    s->use.place = place;
    s->use.value = value;
    return s;
}

Stmt *stmt_aux(Parse *p, Loc loc, Expr *value)
{
    Stmt *s = stmt_new(p, ST_AUX, loc, value->depth);
    s->aux = value;
    return s;
}

Stmt *stmt_report(Parse *p, Loc loc, Lhs lhs, Expr *value, const char *text)
{
    Stmt *s = stmt_assign(p, loc, ST_REPORT, lhs, value);
    s->assign.text = text;
    return s;
}

Stmt *stmt_return(Parse *p, Loc loc, ExprVec values)
{
    Stmt *s = stmt_new(p, ST_RETURN, loc, deeper_exprs(0, values));
    s->returns = values;
    return s;
}

Stmt *stmt_require(Parse *p, Loc loc, Expr *cond, const char *message)
{
    Stmt *s = stmt_new(p, ST_REQUIRE, loc, cond->depth);
    s->require.cond = cond;
    s->require.message = message;
    return s;
}

static int deeper_block(int depth, Block below)
{
    return below.depth > depth ? below.depth : depth;
}

Stmt *stmt_if(Parse *p, Loc loc, Expr *cond, Block then, Block otherwise)
{
    int below = deeper_block(deeper_block(cond->depth, then), otherwise);
    Stmt *s = stmt_new(p, ST_IF, loc, below);
    s->branch.cond = cond;
    s->branch.then = then;
    s->branch.otherwise = otherwise;
    return s;
}

Stmt *stmt_for(Parse *p, Loc loc, Name name, Expr *from, Expr *to, Block body)
{
    Stmt *s = stmt_new(p, ST_FOR, loc, deeper_block(deeper(from->depth, to), body));
    s->loop.name = name;
    s->loop.from = from;
    s->loop.to = to;
    s->loop.body = body;
    return s;
}

Stmt *stmt_annotated(Parse *p, Loc loc, Name name, ArgVec args, Block body)
{
    Stmt *s = stmt_new(p, ST_ANNOTATED, loc, deeper_args(body.depth, args));
    s->annotated.name = name;
    s->annotated.args = args;
    s->annotated.body = body;
    return s;
}

Stmt *stmt_fn(Parse *p, Loc loc, Fn *fn)
{
    Stmt *s = stmt_new(p, ST_FN, loc, deeper_fn(0, fn));
    s->fn = fn;
    return s;
}

/* ---- files ---- */

static Item *item_new(Parse *p, ItemKind kind, Loc loc, int below)
{
    Item *item = NEW(p->a, Item);
    item->kind = kind;
    item->loc = loc;
    item->depth = depth_above(p, loc, below);
    return item;
}

Item *item_import(Parse *p, Loc loc, TokenValue path, Loc path_loc)
{
    Item *item = item_new(p, IT_IMPORT, loc, 0);
    item->import = (Name){path.s, path_loc};
    return item;
}

Item *item_module(Parse *p, Loc loc, Name name, bool is_model, OptionVec options, Block body)
{
    int below = body.depth;
    for (int i = 0; i < options.n; i++)
        below = deeper(deeper(below, options.v[i].value), options.v[i].type.length);
    Item *item = item_new(p, IT_MODULE, loc, below);
    item->module.name = name;
    item->module.is_model = is_model;
    item->module.options = options;
    item->module.body = body;
    return item;
}

Item *item_fn(Parse *p, Loc loc, Fn *fn)
{
    if (!fn->name.s)
        user_error(p->d, fn->name.loc, "a function at the top of a file needs a name: "
                                       "`fn NAME(...)`; one without is what a module does");
    Item *item = item_new(p, IT_FN, loc, deeper_fn(0, fn));
    item->fn = fn;
    return item;
}

Item *item_let(Parse *p, Loc loc, Lhs lhs, Expr *value)
{
    Item *item = item_new(p, IT_LET, loc, deeper_indices(value->depth, lhs.indices));
    item->let.lhs = lhs;
    item->let.value = value;
    return item;
}

Item *item_train(Parse *p, Loc loc, FieldVec fields)
{
    int below = 0;
    for (int i = 0; i < fields.n; i++) below = deeper(below, fields.v[i].value);
    Item *item = item_new(p, IT_TRAIN, loc, below);
    item->train = fields;
    return item;
}
