/* contract.h: sums of products that a library computes, and how tensors are laid out for them.
 *
 * Used by pass_contract (operands become tensors) and pass_group (products become groups, orders
 * become those of buffers). Orders are permutations of a node's axes, outermost first.
 */
#ifndef RTC_PASSES_CONTRACT_H
#define RTC_PASSES_CONTRACT_H

#include "passes/sizes.h"

typedef struct {
    Node *sum;
    Edge a, b; /* over the sum's space */
    double alpha;
    uint64_t batch, m, n, k; /* which axes of the sum's space */
    double work;             /* multiply-adds at the hints */
} Contraction;

/* A value that lies in memory once stored: no constants, positions or draws, and every axis moves
 * it by a fixed step: indices are affine, or the digits of one axis (x // 64, x % 64). */
bool operand_is_plain(Graph *g, Edge e);
/* The dimensions of the operand that read the axis, as they must lie in memory, outermost first;
 * several are digits of it. *step: how many elements of the last of them it moves. 0 if the axis
 * isn't read, -1 if it moves by no fixed step. */
int axis_dims(Graph *g, Edge e, int axis, int *dims, const Ix **step);
/* A copy of e whose axes are split like the dimensions it reads, so that every reader shares it. */
Edge copy_by_digits(Graph *g, const Space *space, Edge e);
/* The axes of two factors under a sum, by role; false if they don't make a product, or one too
 * small. */
bool contraction_axes(Node *sum, uint64_t a, uint64_t b, const int64_t *syms, Contraction *c);
/* Is the node a sum over factors that make a product of two operands, whatever these are? a and b of
 * the result aren't set. */
bool contraction_like(Graph *g, Node *sum, const int64_t *syms, Contraction *c);
/* Is the node a sum over alpha * a * b? The two factors, over its space. */
bool contraction_factors(Graph *g, Node *sum, Edge *a, Edge *b, double *alpha);
/* Is the node a sum over mul(a, b) of plain operands, worth a library call? */
bool contraction_match(Graph *g, Node *sum, const int64_t *syms, Contraction *c);

typedef const int8_t *Order;

/* The orders that roots demand, by node id; NULL where none does. Leaves: as they are. */
Order *layout_fixed(Graph *g, Arena *a);
/* If the root's axes are the node's in some order: that order. Else NULL. */
Order root_order(Graph *g, Arena *a, const Root *r);
/* An order for every node, by id, so that the contractions (the heaviest first) find their axes
 * adjacent. votes, by node id: per axis, how much it is wanted as the contiguous one where
 * contractions don't care; NULL: not at all. */
Order *layout_choose(Graph *g, Arena *a, const int64_t *syms, const Contraction *c, int n,
                     const Order *fixed, double *const *votes);

typedef enum { PRODUCT_OK, PRODUCT_A, PRODUCT_B, PRODUCT_OUT } ProductFault;
/* The library call under these orders; or which of the three tensors lies wrongly in memory. */
ProductFault product_build(Graph *g, const int64_t *syms, const Contraction *c, const Order *order,
                           Product *out);

#endif
