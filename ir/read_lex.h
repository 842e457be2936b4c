/* read_lex.h: the characters of IR text, for read.c and read_ix.c. Private to ir/. */
#ifndef RTC_IR_READ_LEX_H
#define RTC_IR_READ_LEX_H

#include "ir/text.h"

enum { MAX_NESTING = 64 };

typedef struct { int64_t number; Node *node; } NodeName;

typedef struct {
    Graph *g;
    Diag *d;
    uint32_t file;           /* of the IR text itself */
    const char *s;           /* the text, terminated */
    uint32_t at, n;
    VEC(uint32_t) files;     /* `source` lines */
    VEC(NodeName) nodes;     /* by ascending number */
    int depth;               /* of parentheses and brackets */
} Reader;

/* All skip blanks and comments first, never the end of the line. */
void read_blank(Reader *r);
bool read_at_end_of_line(Reader *r);
bool read_peek(Reader *r, const char *token);     /* a word, or punctuation */
bool read_accept(Reader *r, const char *token);
void read_expect(Reader *r, const char *token);
const char *read_word(Reader *r, const char *what);
/* The position of a word in a list of n words. */
int read_choice(Reader *r, const char *const *words, int n, const char *what);
int64_t read_int(Reader *r, int64_t lowest, int64_t highest);
uint64_t read_hex(Reader *r);
double read_float(Reader *r);
const char *read_string(Reader *r, char quote);
void read_end_of_line(Reader *r);
/* At `from` up to here. */
Loc read_loc(const Reader *r, uint32_t from);
RTC_NORETURN void read_error(Reader *r, const char *fmt, ...) RTC_PRINTF(2, 3);

/* read_ix.c: expressions, edges, spaces; `space` is what their axes lie in. */
const Ix *read_ix(Reader *r, const Space *space);
Edge read_edge(Reader *r, const Space *space);
Node *read_node_name(Reader *r);
int read_extents(Reader *r, const Ix **ext,
                 int from); /* [..], appended at ext[from]; the new count */
const Space *read_over(Reader *r);                       /* over [..] */

#endif
