/* ast_print.c: the tree as s-expressions. Contract: ast.h.
 *
 *     let y[b] = sum[d] x[b, d] * 2      (let (at y b) (sum (d) (* (at x b d) 2)))
 *
 * An expression stays on its line; statements and options have one each, indented by depth.
 */
#include "frontend/ast.h"
#include <stdio.h>
#include <stdlib.h>

const char *unary_name(UnaryOp op) { return op == UN_NEG ? "-" : "not"; }

const char *binary_name(BinaryOp op)
{
    static const char *const names[] = {
        [BIN_ADD] = "+", [BIN_SUB] = "-", [BIN_MUL] = "*", [BIN_DIV] = "/", [BIN_FLOORDIV] = "//",
        [BIN_MOD] = "%", [BIN_POW] = "^", [BIN_EQ] = "==", [BIN_NE] = "!=", [BIN_LT] = "<",
        [BIN_GT] = ">", [BIN_LE] = "<=", [BIN_GE] = ">=", [BIN_IN] = "in", [BIN_AND] = "and",
        [BIN_OR] = "or"};
    return names[op];
}

const char *reduce_name(ReduceKind kind)
{
    static const char *const names[] = {
#define REDUCTION(spelling, kind) [kind] = spelling,
#include "frontend/keywords.def"
    };
    return names[kind];
}

const char *type_name(TypeKind kind)
{
    static const char *const names[] = {
        [TY_NONE] = "",
#define TYPE(spelling, kind) [kind] = spelling,
#include "frontend/keywords.def"
    };
    return names[kind];
}

/* ---- expressions ---- */

static void print_exprs(Str *out, ExprVec list)
{
    for (int i = 0; i < list.n; i++) {
        str_add(out, " ");
        ast_print_expr(out, list.v[i]);
    }
}

static void print_range(Str *out, const Range *r)
{
    if (r->is_dots) {
        str_add(out, "..");
    } else if (r->extent) {
        str_printf(out, "(: %s ", r->name.s);
        ast_print_expr(out, r->extent);
        str_add(out, ")");
    } else {
        str_add(out, r->name.s);
    }
}

static void print_ranges(Str *out, RangeVec ranges)
{
    for (int i = 0; i < ranges.n; i++) {
        if (i) str_add(out, " ");
        print_range(out, &ranges.v[i]);
    }
}

static void print_indices(Str *out, IndexVec indices)
{
    for (int i = 0; i < indices.n; i++) {
        const Index *x = &indices.v[i];
        str_add(out, " ");
        switch (x->kind) {
        case IX_DOTS: str_add(out, ".."); break;
        case IX_EXPR: ast_print_expr(out, x->expr); break;
        case IX_NAMED:
            str_printf(out, "(: %s ", x->name.s);
            ast_print_expr(out, x->expr);
            str_add(out, ")");
            break;
        case IX_MERGED:
            str_add(out, "(merge ");
            print_ranges(out, x->parts);
            str_add(out, ")");
            break;
        }
    }
}

static void print_args(Str *out, ArgVec args)
{
    for (int i = 0; i < args.n; i++) {
        const Arg *arg = &args.v[i];
        const char *name = arg->name.s ? arg->name.s : "";
        str_add(out, " ");
        if (arg->is_pass) {
            str_printf(out, "%s..", name);
        } else {
            if (*name) str_printf(out, "(= %s ", name);
            ast_print_expr(out, arg->value);
            if (*name) str_add(out, ")");
        }
    }
}

/* `(word a b)`, b and c may be NULL. */
static void print_form(Str *out, const char *word, const Expr *a, const Expr *b, const Expr *c)
{
    const Expr *parts[] = {a, b, c};
    str_printf(out, "(%s", word);
    for (int i = 0; i < 3 && parts[i]; i++) {
        str_add(out, " ");
        ast_print_expr(out, parts[i]);
    }
    str_add(out, ")");
}

static void print_reduce(Str *out, const Expr *e)
{
    str_printf(out, "(%s (", reduce_name(e->reduce.kind));
    print_ranges(out, e->reduce.over);
    str_add(out, ")");
    if (e->reduce.rank) {
        str_add(out, " ");
        print_form(out, ";", e->reduce.rank, NULL, NULL);
    }
    if (e->reduce.guard) {
        str_add(out, " ");
        print_form(out, "|", e->reduce.guard, NULL, NULL);
    }
    str_add(out, " ");
    ast_print_expr(out, e->reduce.body);
    str_add(out, ")");
}

static void print_access(Str *out, const Expr *e)
{
    if (e->access.fill) str_add(out, "(else ");
    str_add(out, "(at ");
    ast_print_expr(out, e->access.base);
    print_indices(out, e->access.indices);
    str_add(out, ")");
    if (!e->access.fill) return;
    str_add(out, " ");
    ast_print_expr(out, e->access.fill);
    str_add(out, ")");
}

/* The shortest digits that read as f, with a `.` or an exponent to tell it from an Int. */
static void print_float(Str *out, double f)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f);
        if (strtod(text, NULL) == f) break;
    }
    str_printf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

void ast_print_expr(Str *out, const Expr *e)
{
    switch (e->kind) {
    case EX_INT: str_printf(out, "%lld", (long long)e->i); break;
    case EX_FLOAT: print_float(out, e->f); break;
    case EX_STRING: str_printf(out, "\"%s\"", e->s); break;
    case EX_BOOL: str_add(out, e->b ? "true" : "false"); break;
    case EX_NAME: str_add(out, e->s); break;
    case EX_LIST:
        str_add(out, "(list");
        print_exprs(out, e->list);
        str_add(out, ")");
        break;
    case EX_UNARY: print_form(out, unary_name(e->unary.op), e->unary.x, NULL, NULL); break;
    case EX_BINARY:
        print_form(out, binary_name(e->binary.op), e->binary.a, e->binary.b, NULL);
        break;
    case EX_ACCESS: print_access(out, e); break;
    case EX_REDUCE: print_reduce(out, e); break;
    case EX_REDUCE_CALL:
        str_printf(out, "(call %s", reduce_name(e->reduce_call.kind));
        print_args(out, e->reduce_call.args);
        str_add(out, ")");
        break;
    case EX_MEMBER:
        str_add(out, "(. ");
        ast_print_expr(out, e->member.base);
        str_printf(out, " %s)", e->member.name.s);
        break;
    case EX_CALL:
        str_add(out, "(call ");
        ast_print_expr(out, e->call.callee);
        print_args(out, e->call.args);
        str_add(out, ")");
        break;
    case EX_CHOICE:
        print_form(out, "if", e->choice.cond, e->choice.then, e->choice.otherwise);
        break;
    }
}

/* ---- statements ---- */

static void new_line(Str *out, int indent) { str_printf(out, "\n%*s", 2 * indent, ""); }

static void print_lhs(Str *out, const Lhs *lhs)
{
    if (!lhs->is_indexed) {
        str_add(out, lhs->name.s);
        return;
    }
    str_printf(out, "(at %s", lhs->name.s);
    print_indices(out, lhs->indices);
    str_add(out, ")");
}

static void print_type(Str *out, const Type *type)
{
    str_printf(out, " %s", type_name(type->kind));
    if (!type->is_list) return;
    str_add(out, "[");
    if (type->length) ast_print_expr(out, type->length);
    str_add(out, "]");
}

static void print_value(Str *out, const char *before, const Expr *e)
{
    if (!e) return;
    str_add(out, before);
    ast_print_expr(out, e);
}

static void print_stmt(Str *out, const Stmt *s, int indent);

static void print_block(Str *out, const Block *block, int indent)
{
    for (int i = 0; i < block->list.n; i++) {
        new_line(out, indent);
        print_stmt(out, block->list.v[i], indent);
    }
}

static void print_doc(Str *out, const char *doc, int indent)
{
    if (!doc) return;
    new_line(out, indent);
    str_printf(out, "(doc \"%s\")", doc);
}

static void print_fn(Str *out, const Fn *fn, int indent)
{
    str_printf(out, "(fn %s (", fn->name.s ? fn->name.s : "()");
    for (int i = 0; i < fn->params.n; i++) {
        const Param *param = &fn->params.v[i];
        str_printf(out, "%s(%s", i ? " " : "", param->name.s);
        if (param->is_tensor) {
            str_add(out, " (");
            print_ranges(out, param->axes);
            str_add(out, ")");
        }
        if (param->type.kind) print_type(out, &param->type);
        print_value(out, " = ", param->value);
        str_add(out, ")");
    }
    str_add(out, ")");
    print_doc(out, fn->doc, indent + 1);
    print_value(out, " = ", fn->value);
    print_block(out, &fn->body, indent + 1);
    str_add(out, ")");
}

static void print_place(Str *out, const Place *place)
{
    for (int i = 0; i < place->steps.n; i++) {
        const Step *step = &place->steps.v[i];
        if (step->name.s) {
            str_printf(out, "%s%s", i ? "." : "", step->name.s);
        } else {
            str_add(out, "[");
            ast_print_expr(out, step->index);
            str_add(out, "]");
        }
    }
}

static void print_assign(Str *out, const char *word, const Stmt *s)
{
    str_printf(out, "(%s ", word);
    print_lhs(out, &s->assign.lhs);
    print_value(out, " ", s->assign.value);
    str_add(out, ")");
}

static void print_if(Str *out, const Stmt *s, int indent)
{
    print_value(out, "(if ", s->branch.cond);
    print_block(out, &s->branch.then, indent + 1);
    if (s->branch.otherwise.list.n) {
        new_line(out, indent);
        str_add(out, "else");
        print_block(out, &s->branch.otherwise, indent + 1);
    }
    str_add(out, ")");
}

static void print_let(Str *out, const Stmt *s)
{
    str_add(out, "(let");
    for (int i = 0; i < s->let.lhs.n; i++) {
        str_add(out, " ");
        print_lhs(out, &s->let.lhs.v[i]);
    }
    print_value(out, " ", s->let.value);
    str_add(out, ")");
}

static void print_declare(Str *out, const char *word, const Stmt *s)
{
    str_printf(out, "(%s (%s", word, s->param.name.s);
    print_indices(out, s->param.dims);
    str_add(out, ")");
    print_value(out, s->param.is_drawn ? " ~ " : " = ", s->param.start);
    str_add(out, ")");
}

static void print_for(Str *out, const Stmt *s, int indent)
{
    str_printf(out, "(for %s", s->loop.name.s);
    print_value(out, " ", s->loop.from);
    print_value(out, " .. ", s->loop.to);
    print_block(out, &s->loop.body, indent + 1);
    str_add(out, ")");
}

static void print_stmt(Str *out, const Stmt *s, int indent)
{
    switch (s->kind) {
    case ST_LET: print_let(out, s); break;
    case ST_ASSIGN: print_assign(out, "=", s); break;
    case ST_INIT: print_assign(out, "init", s); break;
    case ST_UPDATE: print_assign(out, "update", s); break;
    case ST_PARAM: print_declare(out, "param", s); break;
    case ST_STATE: print_declare(out, "state", s); break;
    case ST_USE:
        str_add(out, "(use ");
        print_place(out, &s->use.place);
        print_value(out, " ", s->use.value);
        str_add(out, ")");
        break;
    case ST_REPORT:
        str_add(out, "(report ");
        print_lhs(out, &s->assign.lhs);
        print_value(out, " ", s->assign.value);
        if (s->assign.text) str_printf(out, " \"%s\"", s->assign.text);
        str_add(out, ")");
        break;
    case ST_AUX: print_form(out, "aux", s->aux, NULL, NULL); break;
    case ST_RETURN:
        str_add(out, "(return");
        print_exprs(out, s->returns);
        str_add(out, ")");
        break;
    case ST_REQUIRE:
        print_value(out, "(require ", s->require.cond);
        str_printf(out, " \"%s\")", s->require.message);
        break;
    case ST_IF: print_if(out, s, indent); break;
    case ST_FOR: print_for(out, s, indent); break;
    case ST_ANNOTATED:
        str_printf(out, "(@%s", s->annotated.name.s);
        print_args(out, s->annotated.args);
        print_block(out, &s->annotated.body, indent + 1);
        str_add(out, ")");
        break;
    case ST_FN: print_fn(out, s->fn, indent); break;
    }
}

/* ---- files ---- */

static void print_option(Str *out, const Option *o)
{
    new_line(out, 1);
    if (o->is_pass) {
        str_printf(out, "(option %s.. %s)", o->name.s ? o->name.s : "", o->module.s);
    } else {
        str_printf(out, "(option %s", o->name.s);
        print_type(out, &o->type);
        print_value(out, " = ", o->value);
        str_add(out, ")");
    }
    if (o->doc) str_printf(out, " (doc \"%s\")", o->doc);
}

static void print_item(Str *out, const Item *item)
{
    switch (item->kind) {
    case IT_IMPORT: str_printf(out, "(import \"%s\")", item->import.s); break;
    case IT_MODULE:
        str_printf(out, "(%s %s", item->module.is_model ? "model" : "module", item->module.name.s);
        print_doc(out, item->module.doc, 1);
        for (int i = 0; i < item->module.options.n; i++)
            print_option(out, &item->module.options.v[i]);
        print_block(out, &item->module.body, 1);
        str_add(out, ")");
        break;
    case IT_FN: print_fn(out, item->fn, 0); break;
    case IT_LET:
        str_add(out, "(let ");
        print_lhs(out, &item->let.lhs);
        print_value(out, " ", item->let.value);
        str_add(out, ")");
        break;
    case IT_TRAIN:
        str_add(out, "(train");
        for (int i = 0; i < item->train.n; i++) {
            new_line(out, 1);
            str_printf(out, "(%s", item->train.v[i].name.s);
            print_value(out, " ", item->train.v[i].value);
            str_add(out, ")");
        }
        str_add(out, ")");
        break;
    }
    str_add(out, "\n");
}

void ast_print(Str *out, const AstFile *file)
{
    str_add(out, "");
    for (int i = 0; i < file->items.n; i++) print_item(out, file->items.v[i]);
}
