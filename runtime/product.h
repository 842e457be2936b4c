/* product.h: matrix products by oneDNN, cut into pieces that depend on shapes only.
 *
 * Each piece is one single-threaded library call, so results are bit for bit the same for any
 * number of threads.
 */
#ifndef RTC_RUNTIME_PRODUCT_H
#define RTC_RUNTIME_PRODUCT_H

#include "codegen/codegen.h"

/* C[m,n] = alpha * sum over k of A[m,k] B[k,n], by element strides, for every batch position;
 * summed over `outer` such products, and added to what C holds if `more`. */
typedef struct {
    float alpha;
    int nbatch;
    int64_t batch[MAX_BATCH], a_batch[MAX_BATCH], b_batch[MAX_BATCH], c_batch[MAX_BATCH];
    int64_t m, n, k, a_m, a_k, b_k, b_n, c_m, c_n, a0, b0, c0;
    int64_t outer, a_outer, b_outer;
    bool more;
    int64_t m_step, n_step; /* rows and columns of a piece */
    int64_t m_pieces, n_pieces, pieces;
} ProductCall;

ProductCall product_call(const PlanProduct *p, const int64_t *ints);
int64_t product_chunk(const ProductCall *p); /* pieces worth handing out at once */
void product_piece(const ProductCall *p, const float *a, const float *b, float *c, int64_t piece);

#endif
