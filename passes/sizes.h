/* sizes.h: how large things are taken to be in cost decisions: free dimensions get their hints. */
#ifndef RTC_PASSES_SIZES_H
#define RTC_PASSES_SIZES_H

#include "passes/passes.h"

/* The hints as concrete sizes by symbol id, in the unit's arena; each at least 1. */
const int64_t *hint_syms(const Unit *u);
/* The value at those sizes; at least 1. */
double size_at(const Ix *e, const int64_t *syms);
/* Positions of axes [from, to) of the space. */
double count_at(const Space *s, int from, int to, const int64_t *syms);
/* Positions of the axes whose bits are set. */
double axes_at(const Space *s, uint64_t axes, const int64_t *syms);
double space_at(const Space *s, const int64_t *syms);
/* Elements of the node's value, and its bytes when stored. */
double elements_at(const Node *n, const int64_t *syms);
double bytes_at(const Node *n, const int64_t *syms);
static inline int dtype_bytes(DType dt) { return dt == DT_BOOL ? 1 : 4; }

/* The innermost chunk region that the region is or lies in; 0: none. */
int chunk_around(const Graph *g, int region);
/* Is an axis of n, of extent ext, perhaps the one that a chunk region around n cuts? */
bool maybe_cut(Graph *g, const Node *n, const Ix *ext);

#endif
