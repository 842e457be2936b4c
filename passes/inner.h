/* inner.h: which products belong inside kernels, beside what reads them, rather than to a library.
 *
 * Attention's scores s[b,h,n,i,j] = sum over d of q[b,h,n,i,d] k[b,h,n,j,d] are larger than q and
 * k, and whoever reads them reduces i or j and keeps b, h, n. Computed in a block of (b, h, n) they
 * never reach memory (Dao et al. 2022). A library would store them.
 *
 *   score   a contraction whose readers all keep block axes that both operands have too, and
 *           reduce others; what lies between it and them is light
 *   inner   a score, or a contraction with an operand that is light code over a score
 *
 * Used by pass_recompute, pass_contract and pass_group, which must agree: all ask the same graph
 * form, so they get the same answer.
 */
#ifndef RTC_PASSES_INNER_H
#define RTC_PASSES_INNER_H

#include "passes/contract.h"

typedef struct {
    bool *score, *inner; /* by node id */
    uint64_t *kept; /* of a score: its axes that every reader keeps; of a reader: the same there */
    bool *over;     /* light code over a score */
    /* Scores for their early readers and for their late ones, apart. A reader is late if a path
     * leads to it from the score through a library product, or if it is of the backward pass and
     * the score isn't: the two can't share a kernel. */
    int ntwice;
    int *twice;  /* their node ids */
    bool **late; /* by node id, per score of `twice` */
} Inner;

/* In the graph's arena. */
Inner inner_find(Graph *g, const int64_t *syms);

/* May blocks differ in their position along the out axis? Not where positions depend on each other:
 * ranks of a selection, a scanned axis, keyed axes of a scatter. */
bool may_be_block(const Node *n, int axis);

#endif
