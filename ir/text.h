/* text.h: what print.c, read.c and verify.c share: words, and the constraints of README.md one by
 * one. Private to ir/. */
#ifndef RTC_IR_TEXT_H
#define RTC_IR_TEXT_H

#include "ir/ir.h"

#define TEXT_MAGIC "rtc-ir 1"

static const char text_dtypes[] = "fib";                                   /* by DType */
static const char *const text_region[] = {"checkpoint", "chunk", "reversible", "step"};
static const char *const text_root[] = {"output", "grad", "update", "init"};
static const char *const text_check[] = {"eq0", "ge0", "range", "true"};

/* verify.c: what is wrong, in words that begin with the constraint (in g's arena); NULL if nothing
 * is. The node need not be in the graph yet; then its id is the one that it would get. */
const char *node_flaw(Graph *g, const Node *n);
const char *root_flaw(Graph *g, const Root *r);
const char *check_flaw(Graph *g, const Check *c);
const char *region_flaw(Graph *g, int number);
const char *names_flaw(Graph *g);

bool text_is_axis(const char *s, size_t n);      /* i0, i1, .. */
bool text_is_word(char c, bool first);           /* may c (begin and) continue a word? */

#endif
