/* explain.h: the fused program as data, for `rtc explain`: what runs, what is stored, what stayed
 * apart and why. */
#ifndef RTC_PASSES_EXPLAIN_H
#define RTC_PASSES_EXPLAIN_H

#include "passes/passes.h"

typedef struct {
    const char *file;
    int first, last; /* lines, 1-based */
} LineRange;

typedef struct {
    const char *name; /* k0, k1, ... for loops; p0, p1, ... for library products */
    int group;
    bool product;
    Phase phase;
    const char *what;  /* "softmax-like" facts: the ops of its members, in order */
    const char *block; /* block axes as text; for a product its m x n x k */
    double blocks;     /* at the sizes given */
    Cost cost;
    VEC(LineRange) lines; /* merged, sorted */
    bool conditional;     /* may be skipped with a branch */
    int loop;             /* over pieces, from 1; 0: none */
} ExplainKernel;

typedef struct {
    const char *name; /* of the parameter, root, ...; else %id */
    BufferClass cls;
    const char *shape; /* [b,t,512], in the order in which it lies in memory */
    double bytes;
    LineRange line;  /* file NULL: none */
    int first, last; /* groups between which it lives */
} ExplainTensor;

/* A producer and a consumer among values that are computed once. */
typedef struct {
    int from, to;                    /* node ids */
    const char *from_text, *to_text; /* file:line op */
    bool fused;
    const char *reason; /* why not; NULL if fused */
} ExplainPair;

typedef struct {
    VEC(ExplainKernel) kernels; /* in order of execution, products included */
    VEC(ExplainTensor) stored;  /* the largest first */
    VEC(ExplainPair) pairs;
    double flops, bytes;              /* sums over kernels */
    double class_bytes[BUF_TEMP + 1]; /* sums over stored tensors, by class */
    double temp_bytes;                /* of the arena of temporaries */
    double temp_bound;                /* the most bytes of them alive at one time */
    int peak;                         /* the first group that runs then */
} Explain;

/* From u->groups, at concrete sizes by symbol id (NULL: the hints). Everything lives in u->arena.
 */
Explain *explain_make(Unit *u, const int64_t *syms);
/* The tables, for people. */
void explain_print(const Unit *u, const Explain *x, Str *out);
/* The groups as a GraphViz digraph: groups are nodes, stored tensors edges. */
void explain_dot(const Unit *u, const Explain *x, Str *out);

const char *phase_name(Phase p);
const char *buffer_class_name(BufferClass c);

#endif
