/* tokens.h: the words of a file and the state of one parse; inside frontend/ only.
 *
 * The whole file becomes a vector of tokens before the parser sees the first: brackets are then
 * matched, and a message about a mistake may look around it in both directions. What is no token
 * at all becomes a BAD one that carries its message, and is reported when the parser gets there, so
 * that the first mistake in the text is the one reported.
 */
#ifndef RTC_FRONTEND_TOKENS_H
#define RTC_FRONTEND_TOKENS_H

#include "frontend/ast.h"

#define MOST_BYTES ((size_t)16 << 20)
#define MOST_TOKENS 1000000
#define MOST_NESTED 256 /* brackets open at once */

typedef union {
    const char *s; /* NAME, STRING; the message of BAD */
    int64_t i;
    double f;
    ReduceKind reduce;
} TokenValue;

typedef struct {
    int kind;            /* a token of parser.y or a character; 0 ends the file */
    int match;           /* of a bracket: the index of its partner, or -1 */
    uint32_t begin, end; /* bytes */
    TokenValue value;
} Token;

/* A `##` comment without its marks. */
typedef struct {
    const char *text;
    int line;
    bool alone; /* nothing else stands on its line */
} Doc;

typedef struct Parse {
    Diag *d;
    Arena *a;       /* of the tree */
    Arena *scratch; /* of this parse */
    uint32_t source;
    const char *text;
    uint32_t bytes;
    uint32_t offset; /* of the byte the lexer reads next */
    VEC(Token) tokens;
    VEC(Doc) docs;
    int at; /* the token that the parser is looking at */
    AstFile *file;  /* what the parse gives, */
    Expr *value;    /* or for rt_parse_value */
} Parse;

/* `first` is VALUE, a token without text that asks for a value, or 0. */
void tokens_scan(Parse *p, int first);

/* Called by the lexer. */
int token_word(Parse *p, const char *text, size_t n, TokenValue *value);
int token_int(Parse *p, const char *text, size_t n, TokenValue *value);
int token_float(Parse *p, const char *text, size_t n, TokenValue *value);
int token_string(Parse *p, const char *text, size_t n, TokenValue *value);
int token_open_string(Parse *p, const char *text, size_t n, TokenValue *value);
int token_bad_number(Parse *p, const char *text, size_t n, TokenValue *value);
int token_bad_char(Parse *p, const char *text, size_t n, TokenValue *value, Loc *loc);
int token_bad(Parse *p, TokenValue *value, const char *fmt, ...) RTC_PRINTF(3, 4);
void token_doc(Parse *p, Loc loc);

static inline Loc token_loc(const Parse *p, int i)
{
    return (Loc){p->source, p->tokens.v[i].begin, p->tokens.v[i].end};
}
int token_line(const Parse *p, int i);
const char *token_text(Parse *p, int first, int last); /* of the text from token first to last */
bool token_is_keyword(int kind);                       /* or a reduction */

/* The innermost bracket that is open before token i; -1 if none. */
int token_open(const Parse *p, int i);

/* mistakes.c: reports that token p->at can't stand there; expected[kind] says which could. */
RTC_NORETURN void mistake_report(Parse *p, const bool *expected);

#endif
