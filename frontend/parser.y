/* The grammar of .rt: LALR(1), no conflicts. Where a statement may stand (param in a module, aux in
 * a function, ...) is checked after parsing: the messages are better. Explained in grammar.md. */
%code requires {
#include "frontend/node.h"
}
%code {
#define YYLLOC_DEFAULT(now, rhs, n)                                                               \
    do {                                                                                          \
        if (n) (now) = loc_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n));                              \
        else (now) = (Loc){YYRHSLOC(rhs, 0).file, YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end};    \
    } while (0)
#define ADD(out, list, ...) ((out) = (list), vec_push(p->a, &(out), __VA_ARGS__))
static void rt_yyerror(Loc *loc, Parse *p, const char *message);
}

%expect 0
%define api.pure full
%define api.push-pull push
%define api.prefix {rt_yy}
%define api.location.type {Loc}
%define parse.error custom
%define parse.lac full
%locations
%parse-param {Parse *p}

%union {
    TokenValue token;
    Name name;
    StmtKind declares;
    Start start;
    Expr *expr;
    ExprVec exprs;
    Stmt *stmt;
    Block block;
    Lhs lhs;
    LhsVec lhss;
    Place place;
    Step step;
    Index index;
    IndexVec indices;
    Range range;
    RangeVec ranges;
    Arg arg;
    ArgVec args;
    Type type;
    Param param;
    ParamVec params;
    Fn *fn;
    Body body;
    Option option;
    OptionVec options;
    FieldVec fields;
    Item *item;
}

%token IMPORT "`import`" MODULE "`module`" MODEL "`model`" TRAIN "`train`" FN "`fn`" LET "`let`"
%token PARAM "`param`" STATE "`state`" USE "`use`" IF "`if`" ELSE "`else`" FOR "`for`" IN "`in`"
%token RETURN "`return`" REQUIRE "`require`" AUX "`aux`" UPDATE "`update`" INIT "`init`"
%token REPORT "`report`"
%token AND "`and`" OR "`or`" NOT "`not`" TRUE "`true`" FALSE "`false`"
%token <name> NAME "a name"
%token <token> INT "an integer" FLOAT "a number" STRING "a string"
%token <token> REDUCE "a reduction" BAD "what is no word"
%token DOTS "`..`" EQ "`==`" NE "`!=`" LE "`<=`" GE "`>=`" FLOORDIV "`//`"
%token VALUE "a value alone"
%token END 0 "the end of the file"

%type <expr> expr conj neg comp sum term reduction prod unary power atom fill otherwise postfix
%type <expr> access rank guard default
%type <exprs> expr_list
%type <declares> declares
%type <start> start
%type <stmt> stmt if_stmt
%type <block> block stmts held
%type <lhs> lhs
%type <lhss> lhs_list
%type <place> place
%type <index> index
%type <indices> indices
%type <range> range part
%type <ranges> ranges parts
%type <arg> arg
%type <args> args arg_list annotation_args
%type <type> type
%type <param> param
%type <params> params param_list
%type <fn> function
%type <body> body
%type <option> option
%type <options> options option_list
%type <fields> fields
%type <item> item

%%

input : file
      | VALUE expr_list                     { p->value = expr_alone(p, @2, $2); }
      ;

file : %empty
     | file item                            { vec_push(p->a, &p->file->items, $2); }
     ;

item : IMPORT STRING                        { $$ = item_import(p, @$, $2, @2); }
     | MODULE NAME '(' options ')' block    { $$ = item_module(p, @$, $2, false, $4, $6); }
     | MODEL NAME '(' options ')' block     { $$ = item_module(p, @$, $2, true, $4, $6); }
     | TRAIN '{' fields '}'                 { $$ = item_train(p, @$, $3); }
     | function                             { $$ = item_fn(p, @$, $1); }
     | LET lhs '=' expr                     { $$ = item_let(p, @$, $2, $4); }
     ;

fields : %empty                             { $$ = (FieldVec){0}; }
       | fields NAME '=' expr               { ADD($$, $1, (Field){$2, $4}); }
       ;

/* hyper-parameters */

options : %empty                            { $$ = (OptionVec){0}; }
        | option_list
        | option_list ','                   { $$ = $1; }
        ;
option_list : option                        { ADD($$, (OptionVec){0}, $1); }
            | option_list ',' option        { ADD($$, $1, $3); }
            ;
option : NAME ':' type default              { $$ = option_new(@$, $1, $3, $4); }
       | DOTS ':' NAME                      { $$ = option_pass(@$, NO_NAME, $3); }
       | NAME DOTS ':' NAME                 { $$ = option_pass(@$, $1, $4); }
       ;
default : %empty                            { $$ = NULL; }
        | '=' expr                          { $$ = $2; }
        ;
type : NAME                                 { $$ = type_new(p, @$, $1, false, NULL); }
     | NAME '[' ']'                         { $$ = type_new(p, @$, $1, true, NULL); }
     | NAME '[' expr ']'                    { $$ = type_new(p, @$, $1, true, $3); }
     ;

/* functions */

function : FN '(' params ')' body           { $$ = fn_new(p, @$, (Name){NULL, @1}, $3, $5); }
         | FN NAME '(' params ')' body      { $$ = fn_new(p, @$, $2, $4, $6); }
         ;
body : block                                { $$ = (Body){$1, NULL}; }
     | '=' expr                             { $$ = (Body){{.loc = @2}, $2}; }
     ;
params : %empty                             { $$ = (ParamVec){0}; }
       | param_list
       ;
param_list : param                          { ADD($$, (ParamVec){0}, $1); }
           | param_list ',' param           { ADD($$, $1, $3); }
           ;
param : NAME default                        { $$ = param_new(@$, $1, NULL, NO_TYPE, $2); }
      | NAME ':' type default               { $$ = param_new(@$, $1, NULL, $3, $4); }
      | NAME '[' ranges ']' default         { $$ = param_new(@$, $1, &$3, NO_TYPE, $5); }
      | NAME '[' ranges ']' ':' type default { $$ = param_new(@$, $1, &$3, $6, $7); }
      ;

/* index variables that a bracket introduces: parameters, reductions */

ranges : range                              { ADD($$, (RangeVec){0}, $1); }
       | ranges ',' range                   { ADD($$, $1, $3); }
       ;
range : DOTS                                { $$ = (Range){.is_dots = true, .loc = @$}; }
      | part
      ;
part : NAME                                 { $$ = (Range){false, $1, NULL, @$}; }
     | NAME ':' expr                        { $$ = (Range){false, $1, $3, @$}; }
     ;

/* statements */

block : '{' stmts '}'                       { $$ = $2; $$.loc = @$; }
      ;
stmts : %empty                              { $$ = (Block){.loc = @$}; }
      | stmts stmt                          { $$ = block_add(p, $1, $2); }
      ;

stmt : LET lhs_list '=' expr                { $$ = stmt_let(p, @$, $2, $4); }
     | lhs '=' expr                         { $$ = stmt_assign(p, @$, ST_ASSIGN, $1, $3); }
     | INIT lhs '=' expr                    { $$ = stmt_assign(p, @$, ST_INIT, $2, $4); }
     | UPDATE lhs '=' expr                  { $$ = stmt_assign(p, @$, ST_UPDATE, $2, $4); }
     | declares NAME '[' indices ']' start  { $$ = stmt_declare(p, @$, $1, $2, $4, $6); }
     | USE place '=' expr                   { $$ = stmt_use(p, @$, $2, $4); }
     | AUX expr                             { $$ = stmt_aux(p, @$, $2); }
     | REPORT lhs '=' expr                  { $$ = stmt_report(p, @$, $2, $4, NULL); }
     | REPORT lhs '=' expr ',' STRING       { $$ = stmt_report(p, @$, $2, $4, $6.s); }
     | RETURN expr_list                     { $$ = stmt_return(p, @$, $2); }
     | REQUIRE expr ',' STRING              { $$ = stmt_require(p, @$, $2, $4.s); }
     | if_stmt
     | FOR NAME IN expr block               { $$ = stmt_for(p, @$, $2, $4, NULL, $5); }
     | FOR NAME IN expr DOTS expr block     { $$ = stmt_for(p, @$, $2, $4, $6, $7); }
     | '@' NAME annotation_args held        { $$ = stmt_annotated(p, @$, $2, $3, $4); }
     | function                             { $$ = stmt_fn(p, @$, $1); }
     ;
declares : PARAM                            { $$ = ST_PARAM; }
         | STATE                            { $$ = ST_STATE; }
         ;
start : '~' expr                            { $$ = (Start){true, $2}; }
      | '=' expr                            { $$ = (Start){false, $2}; }
      ;
annotation_args : %empty                    { $$ = (ArgVec){0}; }
                | '(' args ')'              { $$ = $2; }
                ;
held : block
     | stmt                                 { $$ = block_of(p, $1); }
     ;

if_stmt : IF expr block                     { $$ = stmt_if(p, @$, $2, $3, (Block){.loc = @3}); }
        | IF expr block ELSE block          { $$ = stmt_if(p, @$, $2, $3, $5); }
        | IF expr block ELSE if_stmt        { $$ = stmt_if(p, @$, $2, $3, block_of(p, $5)); }
        ;

lhs_list : lhs                              { ADD($$, (LhsVec){0}, $1); }
         | lhs_list ',' lhs                 { ADD($$, $1, $3); }
         ;
lhs : NAME                                  { $$ = (Lhs){.name = $1, .loc = @$}; }
    | NAME '[' indices ']'                  { $$ = (Lhs){$1, true, $3, @$}; }
    ;

place : NAME                                { $$ = place_add(p, (Place){0}, (Step){$1, NULL, @1}); }
      | place '.' NAME                      { $$ = place_add(p, $1, (Step){$3, NULL, @3}); }
      | place '[' expr ']'                  { $$ = place_add(p, $1, (Step){NO_NAME, $3, @3}); }
      ;

/* indices of an access or of a left-hand side */

indices : index                             { ADD($$, (IndexVec){0}, $1); }
        | indices ',' index                 { ADD($$, $1, $3); }
        ;
index : DOTS                                { $$ = (Index){IX_DOTS, NO_NAME, NULL, {0}, @$}; }
      | expr                                { $$ = (Index){IX_EXPR, NO_NAME, $1, {0}, @$}; }
      | NAME ':' expr                       { $$ = (Index){IX_NAMED, $1, $3, {0}, @$}; }
      | '(' parts ')'                       { $$ = (Index){IX_MERGED, NO_NAME, NULL, $2, @$}; }
      ;
parts : part part                           { ADD($$, (RangeVec){0}, $1); ADD($$, $$, $2); }
      | parts part                          { ADD($$, $1, $2); }
      ;

/* expressions, loosest first */

expr_list : expr                            { ADD($$, (ExprVec){0}, $1); }
          | expr_list ',' expr              { ADD($$, $1, $3); }
          ;

expr : conj
     | expr OR conj                         { $$ = expr_binary(p, @$, BIN_OR, $1, $3); }
     ;
conj : neg
     | conj AND neg                         { $$ = expr_binary(p, @$, BIN_AND, $1, $3); }
     ;
neg : comp
    | NOT neg                               { $$ = expr_unary(p, @$, UN_NOT, $2); }
    ;
comp : sum
     | sum EQ sum                           { $$ = expr_binary(p, @$, BIN_EQ, $1, $3); }
     | sum NE sum                           { $$ = expr_binary(p, @$, BIN_NE, $1, $3); }
     | sum '<' sum                          { $$ = expr_binary(p, @$, BIN_LT, $1, $3); }
     | sum '>' sum                          { $$ = expr_binary(p, @$, BIN_GT, $1, $3); }
     | sum LE sum                           { $$ = expr_binary(p, @$, BIN_LE, $1, $3); }
     | sum GE sum                           { $$ = expr_binary(p, @$, BIN_GE, $1, $3); }
     | sum IN sum                           { $$ = expr_binary(p, @$, BIN_IN, $1, $3); }
     ;
sum : term
    | sum '+' term                          { $$ = expr_binary(p, @$, BIN_ADD, $1, $3); }
    | sum '-' term                          { $$ = expr_binary(p, @$, BIN_SUB, $1, $3); }
    ;

term : prod
     | reduction
     | prod '*' reduction                   { $$ = expr_binary(p, @$, BIN_MUL, $1, $3); }
     | prod '/' reduction                   { $$ = expr_binary(p, @$, BIN_DIV, $1, $3); }
     ;
reduction : REDUCE '[' ranges rank guard ']' term
                                            { $$ = expr_reduce(p, @$, $1.reduce, $3, $4, $5, $7); }
          | '-' reduction                   { $$ = expr_unary(p, @$, UN_NEG, $2); }
          ;
rank : %empty                               { $$ = NULL; }
     | ';' expr                             { $$ = $2; }
     ;
guard : %empty                              { $$ = NULL; }
      | '|' expr                            { $$ = $2; }
      ;

prod : unary
     | prod '*' unary                       { $$ = expr_binary(p, @$, BIN_MUL, $1, $3); }
     | prod '/' unary                       { $$ = expr_binary(p, @$, BIN_DIV, $1, $3); }
     | prod FLOORDIV unary                  { $$ = expr_binary(p, @$, BIN_FLOORDIV, $1, $3); }
     | prod '%' unary                       { $$ = expr_binary(p, @$, BIN_MOD, $1, $3); }
     ;
unary : power
      | '-' unary                           { $$ = expr_unary(p, @$, UN_NEG, $2); }
      ;
power : atom
      | atom '^' unary                      { $$ = expr_binary(p, @$, BIN_POW, $1, $3); }
      ;

atom : postfix
     | access ELSE fill                     { $$ = expr_fill(p, @$, $1, $3); }
     | INT                                  { $$ = expr_int(p, @$, $1.i); }
     | FLOAT                                { $$ = expr_float(p, @$, $1.f); }
     | STRING                               { $$ = expr_string(p, @$, $1.s); }
     | TRUE                                 { $$ = expr_bool(p, @$, true); }
     | FALSE                                { $$ = expr_bool(p, @$, false); }
     | '(' expr ')'                         { $$ = $2; }
     | '[' ']'                              { $$ = expr_list(p, @$, (ExprVec){0}); }
     | '[' expr_list ']'                    { $$ = expr_list(p, @$, $2); }
     | IF expr '{' expr '}' ELSE otherwise  { $$ = expr_choice(p, @$, $2, $4, $7); }
     | REDUCE '(' args ')'                  { $$ = expr_reduce_call(p, @$, $1.reduce, $3); }
     ;
fill : atom
     | '-' atom                             { $$ = expr_unary(p, @$, UN_NEG, $2); }
     ;
otherwise : '{' expr '}'                    { $$ = $2; }
          | IF expr '{' expr '}' ELSE otherwise { $$ = expr_choice(p, @$, $2, $4, $7); }
          ;

postfix : NAME                              { $$ = expr_name(p, $1); }
        | access
        | postfix '.' NAME                  { $$ = expr_member(p, @$, $1, $3); }
        | postfix '(' args ')'              { $$ = expr_call(p, @$, $1, $3); }
        ;
access : postfix '[' indices ']'            { $$ = expr_access(p, @$, $1, $3); }
       ;

args : %empty                               { $$ = (ArgVec){0}; }
     | arg_list
     ;
arg_list : arg                              { ADD($$, (ArgVec){0}, $1); }
         | arg_list ',' arg                 { ADD($$, $1, $3); }
         ;
arg : expr                                  { $$ = (Arg){false, NO_NAME, $1, @$}; }
    | NAME '=' expr                         { $$ = (Arg){false, $1, $3, @$}; }
    | DOTS                                  { $$ = (Arg){true, NO_NAME, NULL, @$}; }
    | NAME DOTS                             { $$ = (Arg){true, $1, NULL, @$}; }
    ;

%%

/* Which tokens could have come, by token and not by bison's inner numbers. */
static int yyreport_syntax_error(const yypcontext_t *context, Parse *p)
{
    bool expected[BAD + 64] = {false};
    yysymbol_kind_t kinds[YYNTOKENS];
    int n = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
    for (int token = 0; token < COUNT(expected); token++)
        for (int i = 0; i < n; i++)
            if (YYTRANSLATE(token) == kinds[i]) expected[token] = true;
    mistake_report(p, expected);
}

/* Only bison's own limit gets here: what is wrong in the text goes the way above. */
static void rt_yyerror(Loc *loc, Parse *p, const char *message)
{
    (void)message;
    user_error(p->d, *loc, "nested too deeply");
}

static void free_parser(void *state) { rt_yypstate_delete(state); }

void node_parse(Parse *p)
{
    rt_yypstate *state = rt_yypstate_new();
    if (!state) diag_oom(p->d);
    diag_defer(p->d, free_parser, state);
    int status = YYPUSH_MORE;
    for (p->at = 0; status == YYPUSH_MORE; p->at++) {
        Loc loc = token_loc(p, p->at);
        const Token *t = &p->tokens.v[p->at];
        if (t->kind == BAD) user_error(p->d, loc, "%s", t->value.s);
        YYSTYPE value = {.token = t->value};
        if (t->kind == NAME) value.name = (Name){t->value.s, loc};
        status = rt_yypush_parse(state, t->kind, &value, &loc, p);
    }
    diag_undefer(p->d);
    free_parser(state);
    if (status != 0) diag_bug(p->d, "the parser stopped with %d and no message", status);
}
