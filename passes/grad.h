/* grad.h: reverse-mode differentiation of a Graph, and how it is checked.
 *
 *     grad.c       the walk: cotangents from the loss down to params and inputs
 *     vjp.c        one rule per op: from the cotangent of a node to those of its operands
 *     transpose.c  the transposed read: the cotangent of an operand read through a map
 *     replay.c     values inside checkpoint and reversible regions: recomputed, not saved
 *     gradcheck.c  gradients against finite differences
 */
#ifndef RTC_PASSES_GRAD_H
#define RTC_PASSES_GRAD_H

#include "ir/ir.h"

/* Adds a ROOT_GRAD, of the leaf's name and shape, for every param and float input that the output
 * `loss` reaches. User errors: there is no output `loss`, it has axes, or it is not float. */
void graph_grad(Graph *g);

/* A value (over space) and its cotangent (over the same). */
typedef struct {
    Edge value;
    const Space *space;
    Edge cotangent;
} Seed;

/* For each float leaf wrt[i]: grad[i] over its shape is the sum over seeds and positions of
 * cotangent * d value / d wrt[i]; grad[i].node is NULL if no seed reaches it. */
void graph_vjp(Graph *g, const Seed *seed, int nseed, Node *const *wrt, int nwrt, Edge *grad);

/* sum over positions of `space` where m (over space) equals the position in `shape`, of e (over
 * space): what an operand of that shape, read through m, receives. Float, over shape. */
Edge edge_transpose(Graph *g, const Space *shape, const Map *m, const Space *space, Edge e);

/* ---- gradcheck.c ---- */

typedef struct {
    const char *name; /* of the param or input */
    double max_abs;   /* largest |gradient - difference| over the probes */
    double max_rel;   /* largest of that over max(|gradient|, |difference|, scale of the tensor) */
    int probes;
} GradError;

/* Evaluates the graph (which has ROOT_GRADs and the output `loss`) at random params and inputs for
 * the free dimensions `syms`, and compares gradients with central differences: along random
 * directions of every tensor and at single elements, `probes` of each kind. Routing decisions (int
 * nodes that depend on what is perturbed) stay as at the base point. Returns one row per ROOT_GRAD,
 * *n of them, in arena. */
GradError *graph_gradcheck(Graph *g, const int64_t *syms, uint64_t seed, int probes, Arena *arena,
                           int *n);

#endif
