/* parse.h: from the text of one .rt file to its syntax tree. */
#ifndef RTC_FRONTEND_PARSE_H
#define RTC_FRONTEND_PARSE_H

#include "frontend/ast.h"

/* Parses the registered source number `source` (diag_source) and leaves the tree in `a`. Imports
 * are left as items: nothing is read here. A mistake in the text is a user_error at its place.
 * Limits, each an error of its own: 16 MiB, 1,000,000 tokens, 256 open brackets, AST_DEPTH. */
AstFile *rt_parse(Diag *d, Arena *a, uint32_t source);

/* The same for a source that is one expression, as in `--set hidden=[64, 32]`; `4, 4, 2` is a List. */
Expr *rt_parse_value(Diag *d, Arena *a, uint32_t source);

#endif
