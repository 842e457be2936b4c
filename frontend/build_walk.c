/* build_walk.c: every expression of a tree, outside first. */
#include "frontend/build.h"

static void walk_ranges(const RangeVec *r, ExprFn fn, void *ctx)
{
    for (int i = 0; i < r->n; i++) walk_expr(r->v[i].extent, fn, ctx);
}

static void walk_indices(const IndexVec *ix, ExprFn fn, void *ctx)
{
    for (int i = 0; i < ix->n; i++) {
        walk_expr(ix->v[i].expr, fn, ctx);
        walk_ranges(&ix->v[i].parts, fn, ctx);
    }
}

static void walk_args(const ArgVec *args, ExprFn fn, void *ctx)
{
    for (int i = 0; i < args->n; i++) walk_expr(args->v[i].value, fn, ctx);
}

void walk_expr(const Expr *e, ExprFn fn, void *ctx)
{
    if (!e) return;
    fn(ctx, e);
    switch (e->kind) {
    case EX_LIST:
        for (int i = 0; i < e->list.n; i++) walk_expr(e->list.v[i], fn, ctx);
        break;
    case EX_UNARY:
        walk_expr(e->unary.x, fn, ctx);
        break;
    case EX_BINARY:
        walk_expr(e->binary.a, fn, ctx), walk_expr(e->binary.b, fn, ctx);
        break;
    case EX_ACCESS:
        walk_expr(e->access.base, fn, ctx);
        walk_indices(&e->access.indices, fn, ctx);
        walk_expr(e->access.fill, fn, ctx);
        break;
    case EX_REDUCE:
        walk_ranges(&e->reduce.over, fn, ctx);
        walk_expr(e->reduce.rank, fn, ctx);
        walk_expr(e->reduce.guard, fn, ctx);
        walk_expr(e->reduce.body, fn, ctx);
        break;
    case EX_REDUCE_CALL:
        walk_args(&e->reduce_call.args, fn, ctx);
        break;
    case EX_MEMBER:
        walk_expr(e->member.base, fn, ctx);
        break;
    case EX_CALL:
        walk_expr(e->call.callee, fn, ctx), walk_args(&e->call.args, fn, ctx);
        break;
    case EX_CHOICE:
        walk_expr(e->choice.cond, fn, ctx);
        walk_expr(e->choice.then, fn, ctx);
        walk_expr(e->choice.otherwise, fn, ctx);
        break;
    default:
        break;
    }
}

void walk_block(const Block *block, ExprFn fn, void *ctx)
{
    for (int i = 0; i < block->list.n; i++) walk_stmt(block->list.v[i], fn, ctx);
}

void walk_fn(const Fn *f, ExprFn fn, void *ctx)
{
    for (int i = 0; i < f->params.n; i++) {
        walk_ranges(&f->params.v[i].axes, fn, ctx);
        walk_expr(f->params.v[i].value, fn, ctx);
    }
    walk_expr(f->value, fn, ctx);
    walk_block(&f->body, fn, ctx);
}

void walk_stmt(const Stmt *s, ExprFn fn, void *ctx)
{
    switch (s->kind) {
    case ST_LET:
        for (int i = 0; i < s->let.lhs.n; i++) walk_indices(&s->let.lhs.v[i].indices, fn, ctx);
        walk_expr(s->let.value, fn, ctx);
        break;
    case ST_ASSIGN:
    case ST_INIT:
    case ST_UPDATE:
    case ST_REPORT:
        walk_indices(&s->assign.lhs.indices, fn, ctx);
        walk_expr(s->assign.value, fn, ctx);
        break;
    case ST_PARAM:
    case ST_STATE:
        walk_indices(&s->param.dims, fn, ctx);
        walk_expr(s->param.start, fn, ctx);
        break;
    case ST_USE:
        for (int i = 0; i < s->use.place.steps.n; i++)
            walk_expr(s->use.place.steps.v[i].index, fn, ctx);
        walk_expr(s->use.value, fn, ctx);
        break;
    case ST_AUX:
        walk_expr(s->aux, fn, ctx);
        break;
    case ST_RETURN:
        for (int i = 0; i < s->returns.n; i++) walk_expr(s->returns.v[i], fn, ctx);
        break;
    case ST_REQUIRE:
        walk_expr(s->require.cond, fn, ctx);
        break;
    case ST_IF:
        walk_expr(s->branch.cond, fn, ctx);
        walk_block(&s->branch.then, fn, ctx);
        walk_block(&s->branch.otherwise, fn, ctx);
        break;
    case ST_FOR:
        walk_expr(s->loop.from, fn, ctx), walk_expr(s->loop.to, fn, ctx);
        walk_block(&s->loop.body, fn, ctx);
        break;
    case ST_ANNOTATED:
        walk_args(&s->annotated.args, fn, ctx);
        walk_block(&s->annotated.body, fn, ctx);
        break;
    case ST_FN:
        walk_fn(s->fn, fn, ctx);
        break;
    }
}

void walk_reports(const Block *block, ExprFn fn, void *ctx)
{
    for (int i = 0; i < block->list.n; i++) {
        const Stmt *s = block->list.v[i];
        if (s->kind == ST_REPORT) walk_stmt(s, fn, ctx);
        if (s->kind == ST_IF) walk_reports(&s->branch.then, fn, ctx);
        if (s->kind == ST_IF) walk_reports(&s->branch.otherwise, fn, ctx);
        if (s->kind == ST_FOR) walk_reports(&s->loop.body, fn, ctx);
        if (s->kind == ST_ANNOTATED) walk_reports(&s->annotated.body, fn, ctx);
    }
}
