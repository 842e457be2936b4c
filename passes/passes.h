/* passes.h: Graph to Graph, and at the end Graph to Grouping: which nodes are computed together.
 *
 * A pass is a row of the table in pipeline.c: {name, what it does, function, needs, breaks, makes}. A pipeline is
 * text ("simplify,grad,simplify,dce,contract,group"); the driver checks the columns, verifies, times, counts
 * rewrites and dumps.
 */
#ifndef RTC_PASSES_PASSES_H
#define RTC_PASSES_PASSES_H

#include "ir/ir.h"

/* ---- the result of grouping ---- */

typedef enum { PHASE_FORWARD, PHASE_BACKWARD, PHASE_UPDATE } Phase;

/* A host bool that must have this value for a group to run (branches not taken are skipped). */
typedef struct { Edge cond; bool value; } When;

/* One value that a group computes. Light nodes (pointwise, reads, idx, rand) that aren't members are inlined
 * where they are read, through the composed maps. */
typedef struct {
    Node *node;
    bool stored;              /* leaves the group: has a Buffer. Otherwise private to a block: one value per inner out position */
    int8_t axis[MAX_AXES];    /* per axis of the node's space: the block axis it is, or -1: looped inside the block */
    int8_t cut;               /* in a loop over pieces: the axis of the node's space that is cut */
} Member;

/* sum over k of a[batch,m,k] * b[batch,k,n] * alpha, for a library. Operands are stored nodes (or params, inputs, states)
 * read through maps that are affine in every axis, so that each axis list has one stride. */
typedef struct {
    Edge a, b;                /* over the sum's space */
    double alpha;
    int nbatch, nm, nn, nk;
    int8_t batch[MAX_AXES], m[MAX_AXES], n[MAX_AXES], k[MAX_AXES];   /* axes of the sum's space */
} Product;

typedef enum {
    GROUP_LOOPS,              /* for every block (in parallel): its members, one after another */
    GROUP_PRODUCT             /* one member, a library product */
} GroupKind;

typedef struct {
    GroupKind kind;
    int id;                   /* position in the order of execution */
    Phase phase;
    const Space *block;       /* extents of the block axes (LOOPS) */
    VEC(Member) members;      /* in order of computation */
    Product product;          /* PRODUCT */
    VEC(When) when;           /* all must hold */
    int loop;                 /* over pieces, that it is part of, from 1; 0: none */
    Loc loc;
} Group;

/* Groups [first, last] run one after another for the positions [0, size) of an axis, then all of them for
 * [size, 2 size), and so on up to extent; the last piece may be short. A member has the axis as its `cut`: as an
 * out axis, then its values at these positions are computed and nothing else is read of values with a cut that
 * the loop computes; or as a reduced axis of a sum, then each piece is added to what is there, and
 * nothing in the loop reads the value. */
typedef struct {
    int first, last;
    const Ix *extent, *size;
} Pieces;

typedef enum { BUF_PARAM, BUF_STATE, BUF_INPUT, BUF_OUTPUT, BUF_GRAD, BUF_UPDATE, BUF_TEMP } BufferClass;

/* A stored tensor. Row-major over its axes in `order` (outermost first), ROW_PAD elements after each
 * row of the innermost `row` axes. */
enum { ROW_PAD = 16 };
typedef struct {
    int id;
    Node *node;
    BufferClass cls;          /* a node that is several roots is stored once, and copied to the others */
    const char *name;         /* of the leaf or root */
    int8_t order[MAX_AXES];
    int row;                  /* 0: none is padded */
    const Ix *count;          /* elements, those of the padding included */
    int first, last;          /* groups that write it first and read it last (TEMP) */
    int loop;                 /* 0: holds all of the value; else one piece at a time of this loop ... */
    int8_t cut;               /* ... along this axis of the node */
} Buffer;

typedef struct {
    VEC(Group) groups;
    VEC(Buffer) buffers;
    VEC(Pieces) loops;        /* in order of execution; loop 1 is loops.v[0] */
    int *buffer_of;           /* by node id: buffer, or -1 */
    bool *host;               /* by node id: evaluated on the host before launch (conditions, and what they need) */
    /* every producer and consumer that stayed apart, and why (explain) */
    struct Edge_ { int from, to; const char *reason; } *apart;   /* node ids */
    int napart;
} Grouping;

/* The keyed out axis of a scatter that can be computed as sums over lists of positions, so that the axis may be a
 * block axis; -1: several axes are keyed, or the node is no scatter. */
int scat_listed(const Node *n);

/* ---- one compilation ---- */

typedef struct PassStat {
    const char *name;
    double seconds;
    int nodes_before, nodes_after;
    int64_t rewrites;         /* applied during the pass */
} PassStat;

typedef struct {
    Diag *diag;
    Arena *arena;             /* of the compilation */
    Graph *graph;
    const struct PassRegistry *registry; /* passes besides our own; NULL: none */
    Grouping *groups;         /* NULL until `group` ran */
    bool want_grad;           /* add ROOT_GRAD for every parameter and float input */
    const char *const *outputs; /* names wanted; NULL: all */
    int noutputs;
    int64_t hint_default;     /* a free dimension is taken to be this large in cost decisions, unless ... */
    const int64_t *hint;      /* ... given, by symbol id; NULL: none */
    bool verify_each;
    const char *dump_after;   /* pass name, or "all"; dump() gets the text */
    void (*dump)(void *ctx, const char *pass, const char *text);
    void *dump_ctx;
    VEC(PassStat) stats;
} Unit;

typedef enum { HAS_GRAD = 1, HAS_CONTRACT = 2, HAS_GROUPS = 4 } UnitState;
typedef struct {
    const char *name, *what;
    void (*run)(Unit *u);
    /* UnitState: what must hold before it runs; what it would destroy, so that it can't run once that holds; what
     * holds after it. */
    unsigned needs, breaks, makes;
} Pass;

extern const Pass pass_table[];
extern const int pass_count;
extern const char *const pipeline_default;          /* what the devices use */
/* Passes that plugins brought, for the units that point to it: each a table that a NULL name ends. Its owner gives it
 * an arena that outlives those units. */
typedef struct PassRegistry {
    Arena *arena;
    VEC(const Pass *) plugins;
} PassRegistry;
/* Adds the passes of a shared object, its `const Pass rtc_passes[]`; the object stays in the process. Errors: no
 * shared object, no such table in it. */
void pipeline_load(Diag *d, PassRegistry *r, const char *so_path);
/* Runs a pipeline; unknown names and unmet needs are errors that say so. */
void pipeline_run(Unit *u, const char *pipeline);

/* the passes (one file each) */
void pass_simplify(Unit *u);     /* rebuilds through the constructors: identities of ir/rules.def */
void pass_grad(Unit *u);         /* reverse-mode differentiation of the `loss` output */
void pass_dce(Unit *u);          /* what no root reaches goes; unwanted outputs and outputs of absent inputs too */
void pass_split(Unit *u);
void pass_recompute(Unit *u);    /* scores are computed again where they would have to be stored; drops stop nodes */
void pass_digits(Unit *u);       /* axes read through quotients and remainders become two axes */
void pass_contract(Unit *u);     /* products worth a library call: their operands become stored, affinely read tensors */
void pass_group(Unit *u);        /* nodes to groups and buffers */
void pass_group_none(Unit *u);   /* every node its own group: the unfused program, for comparison */
void grouping_verify(Unit *u);   /* diag_bug unless u->groups is what this file says (group_verify.c) */

/* memplan.c: offsets for buffers that live [first, last], greedy by size; 64-byte aligned. */
typedef struct { size_t bytes; int first, last; size_t offset; } Extent;
size_t memplan(Extent *e, int n, Arena *scratch);             /* returns the bytes of the arena */
size_t memplan_lower_bound(const Extent *e, int n, Arena *scratch); /* most bytes alive at one time */

/* cost.c: FLOPs and bytes of a group for concrete sizes (explain, bench). */
typedef struct { double flops, bytes_read, bytes_written; } Cost;
Cost group_cost(const Unit *u, const Group *gr, const int64_t *syms);

#endif
