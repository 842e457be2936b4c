/* mistakes.h: what is wrong where the parser can't go on; inside frontend/ only.
 *
 * known.c knows what newcomers write, rule by rule; when no rule knows the mistake, mistakes.c says
 * what could have stood there, and which bracket is open.
 */
#ifndef RTC_FRONTEND_MISTAKES_H
#define RTC_FRONTEND_MISTAKES_H

#include "frontend/node.h"
#include "frontend/parser.h"

typedef struct {
    Parse *p;
    const Token *t;  /* all tokens */
    int at;          /* the one that can't stand there */
    int open;        /* the innermost bracket open before it, or -1 */
    const bool *can; /* by kind: what could */
} Mistake;

/* Reports the mistake if it is a known one. */
void mistake_known(const Mistake *m);

static inline bool kind_in(int kind, const char *chars)
{
    return kind > 0 && kind < 256 && strchr(chars, kind);
}

int mistake_kind(const Mistake *m, int i);          /* of token i; 0 outside the file */
const char *mistake_word(const Mistake *m, int i);  /* "`x`", "the end of the file" */
bool mistake_ends_value(const Mistake *m, int i);   /* may token i be the last one of a value? */
bool mistake_same_line(const Mistake *m, int a, int b);
/* "the `{` of module `m` at 1:20"; *head is the token that the construct begins with. */
const char *mistake_bracket(const Mistake *m, int open, int *head);
/* "\nhint: ..." about the first `}` indented unlike what it closes; "" if there is none. */
const char *mistake_indent(const Mistake *m);

RTC_NORETURN void mistake_say(const Mistake *m, int i, const char *fmt, ...) RTC_PRINTF(3, 4);

#endif
