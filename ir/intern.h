/* intern.h: private to ir/: the tables behind a Graph's interning. */
#ifndef RTC_IR_INTERN_H
#define RTC_IR_INTERN_H

#include "ir/ir.h"

/* Open addressing; entries are never removed except by a whole reset. */
typedef struct {
    struct { uint64_t hash; const void *p; } *slot;
    int n, cap;               /* cap: 0 or a power of two */
} Table;
typedef bool (*TableEq)(const void *a, const void *b);
const void *table_find(const Table *t, uint64_t hash, const void *key, TableEq eq);
void table_add(Arena *a, Table *t, uint64_t hash, const void *p);

enum { MEMO = 1 << 14 };
typedef struct { const Ix *e; const void *by; const Space *to; const Ix *result; } SubstMemo;
typedef struct { const Ix *e; const Space *space; int facts; bool holds; } ProofMemo;
typedef struct { Node *node; const Ix *ext; } Assumed;

struct Tables {
    Table atoms, exprs, maps, spaces, nodes;
    uint32_t next_uid;
    VEC(const Ix *) ge0, eq0;          /* facts */
    VEC(Assumed) ranges;               /* nodes whose values are checked before launch */
    const Ix *axis[MAX_AXES];          /* once asked for */
    SubstMemo *subst;                  /* MEMO entries, direct mapped */
    ProofMemo *proof;
    int quiet;                         /* > 0 while proving: overflow is a failed proof, not an error */
    bool overflow;
    struct SumIndex *sums;             /* fold_exchange.c: sums by the nodes they multiply */
    const Edge *renewing;              /* while graph_rewrite runs: what replaces each old node */
};

const Atom *atom_axis(Graph *g, int axis);
const Ix *ix_product(Graph *g, int64_t coef, int n, const Atom *const *f); /* coef * atoms, in atom order */
Node *node_intern(Graph *g, const Node *proto);
bool node_lookup(Graph *g, const Node *proto, Node **found);
void tables_reset_nodes(Graph *g);     /* after nodes were renumbered */
const Ix *ix_remap_loads(Graph *g, const Ix *e, Edge (*fn)(void *ctx, Edge e), void *ctx, const Space *space);

#endif
