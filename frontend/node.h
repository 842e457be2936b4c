/* node.h: the constructors that the parser calls, one per rule of the grammar; inside frontend/.
 *
 * A constructor copies what it is given into a node in p->a, and refuses (user_error) what ast.h
 * promises not to hold: trees deeper than AST_DEPTH, unknown types, `sum(a, b)`.
 */
#ifndef RTC_FRONTEND_NODE_H
#define RTC_FRONTEND_NODE_H

#include "frontend/tokens.h"

#define NO_NAME ((Name){NULL, NO_LOC})
#define NO_TYPE ((Type){TY_NONE, false, NULL, NO_LOC})

typedef struct {
    bool is_drawn;
    Expr *value;
} Start;

typedef struct {
    Block block;
    Expr *value; /* or NULL: the block counts */
} Body;

/* Runs the parser over p->tokens; the tree is then in p->file. */
void node_parse(Parse *p);

Expr *expr_int(Parse *p, Loc loc, int64_t i);
Expr *expr_float(Parse *p, Loc loc, double f);
Expr *expr_string(Parse *p, Loc loc, const char *s);
Expr *expr_bool(Parse *p, Loc loc, bool b);
Expr *expr_name(Parse *p, Name name);
Expr *expr_list(Parse *p, Loc loc, ExprVec list);
Expr *expr_alone(Parse *p, Loc loc, ExprVec list); /* the only one, or their list */
Expr *expr_unary(Parse *p, Loc loc, UnaryOp op, Expr *x);
Expr *expr_binary(Parse *p, Loc loc, BinaryOp op, Expr *a, Expr *b);
Expr *expr_access(Parse *p, Loc loc, Expr *base, IndexVec indices);
Expr *expr_fill(Parse *p, Loc loc, Expr *access, Expr *fill); /* changes the access */
Expr *expr_reduce(Parse *p, Loc loc, ReduceKind kind, RangeVec over, Expr *rank, Expr *guard,
                  Expr *body);
Expr *expr_reduce_call(Parse *p, Loc loc, ReduceKind kind, ArgVec args);
Expr *expr_member(Parse *p, Loc loc, Expr *base, Name name);
Expr *expr_call(Parse *p, Loc loc, Expr *callee, ArgVec args);
Expr *expr_choice(Parse *p, Loc loc, Expr *cond, Expr *then, Expr *otherwise);

Type type_new(Parse *p, Loc loc, Name name, bool is_list, Expr *length);
Param param_new(Loc loc, Name name, const RangeVec *axes, Type type, Expr *value);
Fn *fn_new(Parse *p, Loc loc, Name name, ParamVec params, Body body);
Option option_new(Loc loc, Name name, Type type, Expr *value);
Option option_pass(Loc loc, Name prefix, Name module);

Place place_add(Parse *p, Place place, Step step);
Block block_add(Parse *p, Block block, Stmt *s);
Block block_of(Parse *p, Stmt *s);

Stmt *stmt_let(Parse *p, Loc loc, LhsVec lhs, Expr *value);
Stmt *stmt_assign(Parse *p, Loc loc, StmtKind kind, Lhs lhs, Expr *value);
Stmt *stmt_declare(Parse *p, Loc loc, StmtKind kind, Name name, IndexVec dims, Start start);
Stmt *stmt_use(Parse *p, Loc loc, Place place, Expr *value);
Stmt *stmt_aux(Parse *p, Loc loc, Expr *value);
Stmt *stmt_report(Parse *p, Loc loc, Lhs lhs, Expr *value, const char *text);
Stmt *stmt_return(Parse *p, Loc loc, ExprVec values);
Stmt *stmt_require(Parse *p, Loc loc, Expr *cond, const char *message);
Stmt *stmt_if(Parse *p, Loc loc, Expr *cond, Block then, Block otherwise);
Stmt *stmt_for(Parse *p, Loc loc, Name name, Expr *from, Expr *to, Block body);
Stmt *stmt_annotated(Parse *p, Loc loc, Name name, ArgVec args, Block body);
Stmt *stmt_fn(Parse *p, Loc loc, Fn *fn);

Item *item_import(Parse *p, Loc loc, TokenValue path, Loc path_loc);
Item *item_module(Parse *p, Loc loc, Name name, bool is_model, OptionVec options, Block body);
Item *item_fn(Parse *p, Loc loc, Fn *fn);
Item *item_let(Parse *p, Loc loc, Lhs lhs, Expr *value);
Item *item_train(Parse *p, Loc loc, FieldVec fields);

#endif
