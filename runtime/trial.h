/* trial.h: random inputs that a program accepts: for `bench`, `gradcheck` and `opt --bisect`.
 *
 * Floats have mean 0 and variance 1; ints lie where the program's own checks want them (below 2
 * where nothing says); one bool in 16 is false. What an input gets depends on the seed, its name
 * and the position only.
 */
#ifndef RTC_RUNTIME_TRIAL_H
#define RTC_RUNTIME_TRIAL_H

#include "runtime/options.h"
#include "runtime/session.h"

/* Values of the leaf stay below this. syms: sizes by symbol id. */
int64_t trial_range(Graph *g, const Node *leaf, const int64_t *syms);
/* `count` values of type dt: float, int32_t or uint8_t. */
void trial_fill(const char *name, DType dt, int64_t range, uint64_t seed, int64_t count, void *out);

/* A size for each free dimension of the graph, by symbol id: as in `NAME=N` of `given`; else 1
 * for the first dimension of an input, `otherwise` for any other. Errors: a name that is no free
 * dimension, a size below 1. */
int64_t *trial_sizes(Diag *d, Arena *a, Graph *g, OptionValues given, int64_t otherwise);

/* The instance for those sizes, with every input of the executable filled. */
Instance *trial_instance(Session *s, Executable *e, OptionValues given, int64_t otherwise,
                         uint64_t seed);

#endif
