/* shapes.h: sizes of free dimensions, read off the shapes of inputs. Before a program is compiled,
 * so that what can't run is said at once, and before it runs.
 */
#ifndef RTC_RUNTIME_SHAPES_H
#define RTC_RUNTIME_SHAPES_H

#include "ir/ir.h"

typedef struct {
    const char *name;
    const Space *space;      /* the input's, over free dimensions */
    int rank;
    const int64_t *shape;    /* what is given for it */
} GivenShape;

/* dims by symbol id; 0 where no shape tells. Errors: another rank, a size of 0, one that doesn't
 * fit or contradicts another input's, naming the input. */
void shapes_solve(Graph *g, Arena *a, const GivenShape *in, int n, int64_t *dims);
void shapes_require_rank(Graph *g, Arena *a, const GivenShape *in);
/* Errors: a size that is no size, a check of the program on sizes that fails. */
void shapes_check(Graph *g, Arena *a, const int64_t *dims);
/* The first element of an int input that lies outside [0, limit), as a line for a message; "" if
 * none does. */
const char *shapes_outside(Arena *a, const char *input, const int32_t *v, int rank,
                           const int64_t *shape, int64_t limit);

const char *shapes_text(Arena *a, int rank, const int64_t *shape);        /* [2, 64] */
const char *shapes_space_text(Graph *g, Arena *a, const Space *sp);             /* [batch, time] */

#endif
