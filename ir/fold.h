/* fold.h: what the two files of identities share. Private to ir/fold.c and ir/fold_sum.c. */
#ifndef RTC_IR_FOLD_H
#define RTC_IR_FOLD_H

#include "ir/ir.h"

enum { MAX_FACTORS = 24 };

static inline bool edge_op(Edge e, Op op) { return e.node->op == op; }

static inline Edge fold_const(Graph *g, DType dt, int v)
{
    if (dt == DT_FLOAT) return graph_float(g, v);
    return dt == DT_INT ? graph_int(g, v) : graph_bool(g, v != 0);
}

/* The factors of a product, seen through float `mul` nodes; one, if e is no product. Returns how
 * many, or 0 if there are more than MAX_FACTORS. */
int fold_factors(Graph *g, const Space *space, Edge e, Edge factor[MAX_FACTORS]);

/* select(c, a, 0) (*when true) or select(c, 0, a) (*when false): c and a. */
bool fold_masked(Graph *g, const Space *space, Edge e, Edge *c, Edge *a, bool *when);
Edge fold_mask(Graph *g, const Space *space, Edge c, Edge a, bool when);

/* The same under a sum or a scat: summed axes are those from nout on. */
static inline uint64_t fold_red(const Space *space, int nout)
{
    uint64_t all = space->n >= 64 ? ~0ull : (1ull << space->n) - 1;
    return all & ~((1ull << nout) - 1);
}

/* A space without some axes, and every old axis over it: a dropped one reads as 0, or as `at`. */
typedef struct {
    const Space *space;
    const Map *map;
} Narrow;
Narrow narrow(Graph *g, const Space *space, uint64_t gone);
Narrow narrow_at(Graph *g, const Space *space, int axis, const Ix *at); /* at: over the new space */

/* The product with factors that read a subset of another's axes multiplied into the smallest such:
 * a contraction stays a contraction of two. Returns how many groups there were; sorts f. */
int grouped_product(Graph *g, const Space *space, Edge *f, int n, Edge *product);
/* Puts factors that read axes of `red` first; returns how many do. */
int part_factors(Edge *f, int n, uint64_t red);

/* fold_exchange.c: the row sum_exchange. */
bool fold_exchange(Graph *g, const Space *space, int nout, Edge e, Edge *out);

#endif
