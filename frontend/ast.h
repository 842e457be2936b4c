/* ast.h: the syntax tree of one .rt file, as the parser leaves it.
 *
 *   File   = (Item* items)
 *   Item   = Import(string path) | Module(name, bool is_model, Option* options, Block body)
 *          | Fn(Fn) | Let(Lhs lhs, expr value) | Train(Field* fields)
 *   Option = Option(name, Type type, expr? value)            dim: int = 512
 *          | Pass(name? prefix, name module)                 ..: transformer   enc_..: transformer
 *   Type   = (int | float | bool | string, bool is_list, expr? length)     int   int[]   int[depth]
 *   Fn     = (name?, Param* params, Block body | expr value)
 *   Param  = (name, bool is_tensor, Range* axes, Type? type, expr? value)  x[b, i: ins]: int = none
 *   Block  = (Stmt* statements)
 *   Stmt   = Let(Lhs* lhs, expr value) | Assign(Lhs lhs, expr value)
 *          | Param(name, Index* dims, bool is_drawn, expr start) | State(the same)
 *          | Use(Place place, expr value) | Init(Lhs lhs, expr value) | Update(Lhs lhs, expr value)
 *          | Aux(expr) | Report(Lhs lhs, expr value, string? text)
 *          | Return(expr* values) | Require(expr cond, string message)
 *          | If(expr cond, Block then, Block otherwise)
 *          | For(name, expr from, expr? to, Block body)      no to: over the elements of a list
 *          | Annotated(name, Arg* args, Block body)          @chunk(t, 4) ...
 *          | Fn(Fn)
 *   Lhs    = (name, bool is_indexed, Index* indices)
 *   Place  = (Step* steps)     Step = Member(name) | At(expr)              net.layers[j].attn
 *   Index  = Dots | Expr(expr) | Named(name, expr extent) | Merged(Range* parts)
 *   Range  = Dots | Axis(name, expr? extent)
 *   Arg    = Value(name?, expr value) | Pass(name? prefix)   f(x, p = 1, .., enc_..)
 *   expr   = Int | Float | String | Bool | Name | List(expr*)
 *          | Unary(op, expr) | Binary(op, expr, expr)
 *          | Access(expr base, Index* indices, expr? fill)   x[b, t - 1] else 0
 *          | Reduce(kind, Range* over, expr? rank, expr? guard, expr body)
 *          | ReduceCall(kind, Arg* args)                     max(a, b) and min(a, b)
 *          | Member(expr base, name) | Call(expr callee, Arg* args)
 *          | Choice(expr cond, expr then, expr otherwise)    if c { a } else { b }
 *
 * Everything lies in the arena given to rt_parse, and every node has the byte range it came from.
 * `x?` is NULL (or a Name whose `s` is NULL) when absent. Parentheses leave no node: `(a + b)` is
 * the Binary, its range without the parentheses. An `else if` is an otherwise Block that holds the
 * one If; a statement after `@name` is a body Block that holds it.
 *
 * What the parser does not check: where a statement may stand (`param` in a module, `return` in a
 * function, ...), what an index on a left-hand side may be, names, types. What it promises: no path
 * from the root is longer than AST_DEPTH nodes, so that a walk may recurse; Int fits an int64_t;
 * a Type's name is one of the four; Float is finite; the Fn of an Item has a name; ReduceCall is
 * max or min; Place begins with a Member.
 */
#ifndef RTC_FRONTEND_AST_H
#define RTC_FRONTEND_AST_H

#include "ir/diag.h"

#define AST_DEPTH 1000

typedef struct Expr Expr;
typedef struct Stmt Stmt;

typedef struct {
    const char *s; /* NULL: absent */
    Loc loc;
} Name;

typedef VEC(Expr *) ExprVec;
typedef VEC(Stmt *) StmtVec;

/* An index variable that a bracket introduces, or a part of merged axes. */
typedef struct {
    bool is_dots; /* `..` */
    Name name;
    Expr *extent; /* `i: n`, or NULL */
    Loc loc;
} Range;
typedef VEC(Range) RangeVec;

typedef enum { IX_DOTS, IX_EXPR, IX_NAMED, IX_MERGED } IndexKind;
typedef struct {
    IndexKind kind;
    Name name;      /* IX_NAMED */
    Expr *expr;     /* IX_EXPR: the index (a bare `i` is an EX_NAME); IX_NAMED: the extent */
    RangeVec parts; /* IX_MERGED: two or more, none is dots */
    Loc loc;
} Index;
typedef VEC(Index) IndexVec;

typedef struct {
    bool is_pass; /* `..`, or `enc_..` with name = enc_ */
    Name name;    /* of a named argument, or the prefix */
    Expr *value;  /* NULL when is_pass */
    Loc loc;
} Arg;
typedef VEC(Arg) ArgVec;

/* ---- expressions ---- */

typedef enum {
    EX_INT, EX_FLOAT, EX_STRING, EX_BOOL, EX_NAME, EX_LIST, EX_UNARY, EX_BINARY, EX_ACCESS,
    EX_REDUCE, EX_REDUCE_CALL, EX_MEMBER, EX_CALL, EX_CHOICE
} ExprKind;

typedef enum { UN_NEG, UN_NOT } UnaryOp;
typedef enum {
    BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_FLOORDIV, BIN_MOD, BIN_POW,
    BIN_EQ, BIN_NE, BIN_LT, BIN_GT, BIN_LE, BIN_GE, BIN_IN, BIN_AND, BIN_OR
} BinaryOp;
typedef enum {
    RED_SUM, RED_MEAN, RED_MAX, RED_MIN, RED_ARGMAX, RED_ARGMIN, RED_SOFTMAX, RED_ANY, RED_ALL
} ReduceKind;

struct Expr {
    ExprKind kind;
    int depth; /* nodes on the longest path below, itself included */
    Loc loc;
    union {
        int64_t i;
        double f;
        const char *s; /* EX_STRING (no quotes, no escapes) and EX_NAME */
        bool b;
        ExprVec list;
        struct {
            UnaryOp op;
            Expr *x;
        } unary;
        struct {
            BinaryOp op;
            Expr *a, *b;
        } binary;
        struct {
            Expr *base;
            IndexVec indices;
            Expr *fill; /* after `else`, or NULL */
        } access;
        struct {
            ReduceKind kind;
            RangeVec over;
            Expr *rank;  /* after `;`, or NULL */
            Expr *guard; /* after `|`, or NULL */
            Expr *body;
        } reduce;
        struct {
            ReduceKind kind; /* RED_MAX or RED_MIN */
            ArgVec args;
        } reduce_call;
        struct {
            Expr *base;
            Name name;
        } member;
        struct {
            Expr *callee; /* EX_NAME, EX_MEMBER, EX_ACCESS (`layers[i](x)`) or EX_CALL */
            ArgVec args;
        } call;
        struct {
            Expr *cond, *then, *otherwise;
        } choice;
    };
};

/* ---- statements ---- */

typedef struct {
    StmtVec list;
    int depth;
    Loc loc; /* from `{` to `}`; of the statement when no braces were written */
} Block;

typedef struct {
    Name name;
    bool is_indexed; /* `y[b, t] = ...`, against `y = ...` */
    IndexVec indices;
    Loc loc;
} Lhs;
typedef VEC(Lhs) LhsVec;

typedef struct {
    Name name;   /* `.name` */
    Expr *index; /* `[index]` when name is absent */
    Loc loc;
} Step;
typedef struct {
    VEC(Step) steps;
    Loc loc;
} Place;

typedef enum { TY_NONE, TY_INT, TY_FLOAT, TY_BOOL, TY_STRING } TypeKind;
typedef struct {
    TypeKind kind; /* TY_NONE: no type was written */
    bool is_list;
    Expr *length; /* `int[depth]`; NULL for `int[]` */
    Loc loc;
} Type;

typedef struct {
    Name name;
    bool is_tensor; /* brackets were written: `x[..]` */
    RangeVec axes;
    Type type;
    Expr *value; /* default, or NULL */
    Loc loc;
} Param;
typedef VEC(Param) ParamVec;

typedef struct {
    Name name; /* absent: what calling the module does; its loc is then that of `fn` */
    ParamVec params;
    Block body;
    Expr *value; /* `fn f(x) = value`, or NULL and the body counts */
    const char *doc; /* as Option.doc */
    Loc loc;
} Fn;

typedef enum {
    ST_LET, ST_ASSIGN, ST_PARAM, ST_STATE, ST_USE, ST_INIT, ST_UPDATE, ST_AUX, ST_REPORT,
    ST_RETURN, ST_REQUIRE, ST_IF, ST_FOR, ST_ANNOTATED, ST_FN
} StmtKind;

struct Stmt {
    StmtKind kind;
    int depth;
    Loc loc;
    union {
        struct {
            LhsVec lhs; /* one or more */
            Expr *value;
        } let;
        struct {
            Lhs lhs;
            Expr *value;
            const char *text; /* REPORT: said where the value holds; NULL: a number, shown */
        } assign;             /* ST_ASSIGN, ST_INIT, ST_UPDATE, ST_REPORT */
        struct {
            Name name;
            IndexVec dims;
            bool is_drawn; /* `~ normal(0, 1)`, against `= 0` */
            Expr *start;
        } param; /* ST_PARAM, ST_STATE */
        struct {
            Place place;
            Expr *value; /* any expression: that it is the call of a module is checked later */
        } use;
        Expr *aux;
        ExprVec returns; /* one or more */
        struct {
            Expr *cond;
            const char *message;
        } require;
        struct {
            Expr *cond;
            Block then, otherwise; /* otherwise.list.n == 0: no else */
        } branch;
        struct {
            Name name;
            Expr *from, *to; /* to == NULL: `for x in list` */
            Block body;
        } loop;
        struct {
            Name name;
            ArgVec args;
            Block body;
        } annotated;
        Fn *fn;
    };
};

/* ---- files ---- */

typedef struct {
    bool is_pass; /* `..: module`, with a prefix in `name` if one was written */
    Name name;
    Type type;
    Expr *value;     /* default, or NULL */
    Name module;     /* is_pass */
    const char *doc; /* text of its `##` comments, lines joined by '\n'; or NULL */
    Loc loc;
} Option;
typedef VEC(Option) OptionVec;

typedef struct {
    Name name;
    Expr *value;
} Field;
typedef VEC(Field) FieldVec;

typedef enum { IT_IMPORT, IT_MODULE, IT_FN, IT_LET, IT_TRAIN } ItemKind;
typedef struct {
    ItemKind kind;
    int depth;
    Loc loc;
    union {
        Name import; /* s: the path as written; loc: of the string */
        struct {
            Name name;
            bool is_model;
            OptionVec options;
            Block body;
            const char *doc; /* as Option.doc */
        } module;
        Fn *fn;
        struct {
            Lhs lhs;
            Expr *value;
        } let;
        FieldVec train;
    };
} Item;

typedef struct {
    uint32_t source; /* the file number in diag */
    VEC(Item *) items;
} AstFile;

/* The tree as one s-expression per item, for golden tests and `--dump ast`. Ends in '\n'. */
void ast_print(Str *out, const AstFile *file);
void ast_print_expr(Str *out, const Expr *e);

/* As written in the language: "+", "and", "softmax", "int". */
const char *unary_name(UnaryOp op);
const char *binary_name(BinaryOp op);
const char *reduce_name(ReduceKind kind);
const char *type_name(TypeKind kind);

#endif
