/* ir.h: what a program means.
 *
 * A Graph is a set of scalar ops, each over an iteration space; a value is a Node, an operand is an
 * Edge: a node and, for each of its dimensions, an index expression over the reader's iteration space.
 * Views, broadcasts, transposes, splits, merges, shifts and gathers are therefore never nodes, they live
 * in the maps of the edges. Everything here is interned: equal index expressions, maps, spaces and pure
 * nodes are the same pointer.
 *
 *     sum over d of q[b,h,i,d] * k[b,h,j,d]       %7:f = mul %1[i0,i1,i2,i3], %2[i0,i1,i4,i3]
 *                                                 %8:f[b,h,i,j] = sum over [d] %7[i0,i1,i2,i4,i3]
 *
 * Semantics (ir/eval.c is the definition):
 *   float  real numbers; the evaluator stores and sums in double, devices store float32. Sums run in any
 *          order. NaN is ordinary: comparisons with it are false, max and top count it as largest.
 *   int    32-bit, wraps. `//` and `%` round down, by 0 give 0.   bool  0 or 1.
 *   sizes  dimensions are index expressions without axes: polynomials over the free dimensions (symbols),
 *          each at least 1, with floor division, mod, min and max. 64-bit on the host.
 *   access every index an edge computes lies inside its operand, except under a `read` whose guard fails.
 *
 * Ownership: a Graph owns an arena; nodes, expressions, maps and spaces live as long as it.
 */
#ifndef RTC_IR_IR_H
#define RTC_IR_IR_H

#include "ir/base.h"
#include "ir/diag.h"

enum { MAX_AXES = 32, MAX_ARGS = 3 };

typedef enum { DT_FLOAT, DT_INT, DT_BOOL } DType;

typedef enum {
#define OP(name, ...) OP_##name,
#include "ir/ops.def"
    OP_COUNT
} Op;

typedef enum { CLASS_LEAF, CLASS_POINTWISE, CLASS_READ, CLASS_REDUCE, CLASS_TOP, CLASS_SCAT, CLASS_SCAN, CLASS_BRANCH } OpClass;
typedef enum { RULE_ARITH, RULE_FLOAT, RULE_BOOL, RULE_INT, RULE_FIRST, RULE_CHOICE, RULE_GIVEN } DTypeRule;
enum { OPF_COMM = 1, OPF_INTARG = 2 };

typedef struct {
    const char *name;
    int nargs;
    OpClass cls;
    unsigned flags;       /* OPF_ */
    DTypeRule dtype;
    const char *c_text;   /* scalar C with $0 $1 $2 */
    int cost;
} OpInfo;
extern const OpInfo op_info[OP_COUNT];

typedef struct Graph Graph;
typedef struct Node Node;
typedef struct Ix Ix;
typedef struct Map Map;
typedef struct Space Space;

typedef struct {
    Node *node;
    const Map *map;       /* node->rank expressions over the reader's space */
} Edge;

/* ---- index expressions (index.c): constant + sum of coefficient * product of atoms ---- */

typedef enum {
    AT_AXIS,              /* position along axis `id` of the reader's space */
    AT_SYM,               /* free dimension `id` of the graph, >= 1 */
    AT_DIV, AT_MOD,       /* floor(a / b), a - b * floor(a / b); b > 0 */
    AT_MIN, AT_MAX,       /* of a and b */
    AT_LOAD               /* the int value at `load` */
} AtomKind;

typedef struct {
    AtomKind kind;
    uint32_t uid;         /* creation number, for tables */
    int id;               /* AT_AXIS, AT_SYM */
    const Ix *a, *b;      /* AT_DIV .. AT_MAX */
    Edge load;            /* AT_LOAD */
    uint64_t axes;        /* bit i: reads axis i, also inside */
    bool loads;           /* contains AT_LOAD */
} Atom;

typedef struct {
    int64_t coef;         /* never 0 */
    int n;                /* atoms in the product, at least 1 */
    const Atom *const *f; /* in atom_cmp order, repeats allowed */
} Term;

struct Ix {
    uint32_t uid;
    int64_t c;            /* the constant */
    int nterm;
    const Term *t;        /* in a canonical structural order, no two of equal product */
    uint64_t axes;        /* bit i: reads axis i, also inside atoms */
    bool loads;
};

struct Map { uint32_t uid; int n; uint64_t axes; const Ix *ix[]; };
struct Space { uint32_t uid; int n; const Ix *ext[]; };   /* extents: no axes, no loads */

const Ix *ix_const(Graph *g, int64_t c);
const Ix *ix_axis(Graph *g, int axis);
const Ix *ix_sym(Graph *g, const char *name, Loc loc);    /* makes the free dimension on first use */
/* The i-th counter of a loop over pieces, from 1 (codegen): like a free dimension, but not given from outside. */
const Ix *ix_counter(Graph *g, int i);
const Ix *ix_add(Graph *g, const Ix *a, const Ix *b);
const Ix *ix_sub(Graph *g, const Ix *a, const Ix *b);
const Ix *ix_scale(Graph *g, const Ix *a, int64_t k);
const Ix *ix_mul(Graph *g, const Ix *a, const Ix *b);
/* The extents in `space` (NULL: no axes occur) decide when a quotient or remainder disappears. */
const Ix *ix_div(Graph *g, const Ix *a, const Ix *b, const Space *space);
const Ix *ix_mod(Graph *g, const Ix *a, const Ix *b, const Space *space);
const Ix *ix_min(Graph *g, const Ix *a, const Ix *b, const Space *space);
const Ix *ix_max(Graph *g, const Ix *a, const Ix *b, const Space *space);
/* The value at an int edge; idx, const, decided reads and affine int arithmetic dissolve into the expression. */
const Ix *ix_load(Graph *g, Edge e, const Space *space);
/* Every axis i replaced by m->ix[i], which is over space `to`. */
const Ix *ix_subst(Graph *g, const Ix *e, const Map *m, const Space *to);

static inline bool ix_is_const(const Ix *e) { return e->nterm == 0; }
static inline bool ix_is(const Ix *e, int64_t c) { return e->nterm == 0 && e->c == c; }
int ix_bare_axis(const Ix *e);                            /* the axis if e is exactly one, else -1 */
/* e = coef * axis + rest with neither reading the axis; false if the axis occurs otherwise. coef may be symbolic. */
bool ix_affine(Graph *g, const Ix *e, int axis, const Ix **coef, const Ix **rest);
int ix_cmp(const Ix *a, const Ix *b);                     /* structural order, stable under renumbering of nodes */
uint64_t ix_hash_shape(const Ix *e);                      /* structural, without the axis numbers */
/* Largest (smallest) value over the positions of `space`, as an expression of sizes; NULL if unknown. */
const Ix *ix_upper(Graph *g, const Ix *e, const Space *space);
const Ix *ix_lower(Graph *g, const Ix *e, const Space *space);
/* For all positions of `space` and all sizes: proved, or not known. */
bool ix_proves_ge0(Graph *g, const Ix *e, const Space *space);
bool ix_proves_lt(Graph *g, const Ix *a, const Ix *b, const Space *space);
bool ix_proves_eq(Graph *g, const Ix *a, const Ix *b);    /* sizes */
/* Smallest and largest value of an int node, over sizes only (no axes); false if unknown. */
bool node_range(Graph *g, const Node *n, const Ix **lo, const Ix **hi);
/* The value for concrete sizes; axes[i] positions, load() gives AT_LOAD values (NULL: none occur). */
typedef struct {
    const int64_t *syms;                                  /* by symbol id */
    const int64_t *axes;
    int64_t (*load)(void *ctx, Edge e, const int64_t *axes);
    void *ctx;
} IxEnv;
int64_t ix_eval(const Ix *e, const IxEnv *env);

const Map *map_make(Graph *g, int n, const Ix *const *ix);
const Map *map_identity(Graph *g, int n);
const Map *map_subst(Graph *g, const Map *m, const Map *by, const Space *to);
const Space *space_make(Graph *g, int n, const Ix *const *ext);
const Space *space_concat(Graph *g, const Space *a, const Space *b);
const Space *space_slice(Graph *g, const Space *s, int from, int to);
const Space *space_with(Graph *g, const Space *s, int axis, const Ix *ext); /* that axis of another extent */
const Ix *space_count(Graph *g, const Space *s);          /* number of positions */
bool space_eq(Graph *g, const Space *a, const Space *b);  /* proved equal extent by extent */

/* What a `require` or the shapes of inputs establish; used by the prover and by ix_mod. */
void graph_fact_ge0(Graph *g, const Ix *e);
void graph_fact_eq0(Graph *g, const Ix *e);

/* ---- nodes ---- */

typedef struct { const Ix *ix, *ext; } Guard;             /* holds where 0 <= ix < ext */

struct Node {
    int id;                  /* position in graph->nodes: creation order, topological */
    Op op;
    DType dt;
    int rank;                /* out axes; the first `rank` axes of space */
    const Space *space;      /* iteration space: out axes, then reduced axes */
    int nargs;
    Edge args[MAX_ARGS];     /* maps over `space` */
    union {
        struct { double f; int32_t i; } value;            /* const: f for float, i for int and bool */
        struct { const char *name; } leaf;                /* param state input; fresh: its state's name */
        const Ix *ix;                                     /* idx: the value at each position */
        uint64_t site;                                    /* rand: which draw: a hash of where it was written */
        struct { int n; const Guard *g; } guard;          /* read */
        /* top: positions of the `ext[rank-1]` largest along the one reduced axis, best first, ties to the
         * lower position; the argument doesn't use axis rank-1. */
        /* scat: out[..t..] = sum over positions whose key equals t; key[i] NULL where out axis i is not
         * keyed; argument and keys don't use keyed axes; a key outside its axis is dropped. */
        const Ix *const *key;
        struct { int axis; bool exclusive, reverse; } scan; /* prefix sum along out axis; no reduced axes */
    } attr;
    int replay;              /* 0, or which recomputation it belongs to: replays aren't consed with the original */
    int region;              /* innermost annotated region (0: none) */
    Loc loc;
};
/* sum, rmax, rmin: args[0] over out axes and reduced axes. Empty: 0; lowest / -lowest; int min/max; bool false/true.
 * branch: args[0] is a host bool of rank 0, known before launch: args[1] if true, else args[2]. */

#define LOWEST (-3.4028234663852886e38)

/* ---- annotated regions: how to compute, never what ---- */

typedef enum { REGION_CHECKPOINT, REGION_CHUNK, REGION_REVERSIBLE, REGION_STEP } RegionKind;
typedef struct {
    RegionKind kind;
    int parent;              /* 0: none */
    Loc loc;
    const Ix *chunk_extent;  /* CHUNK: extent of the cut axis */
    const Ix *chunks;        /* CHUNK: number of pieces */
    /* STEP of a reversible region: stream `next = old + delta`, delta doesn't read old */
    Edge old, delta, next;
    const Space *space;      /* STEP: over which the three edges are */
} Region;

/* ---- the graph ---- */

typedef enum { ROOT_OUTPUT, ROOT_GRAD, ROOT_UPDATE, ROOT_INIT } RootKind;
typedef struct {
    RootKind kind;
    const char *name;        /* output name; param or input name; state name */
    Edge e;
    const Space *space;      /* shape of the value: e->map is over it */
    Loc loc;
} Root;

/* A condition that could not be decided at compile time: checked when sizes are known. */
typedef struct {
    enum { CHECK_EQ0, CHECK_GE0, CHECK_RANGE, CHECK_TRUE } kind;
    const Ix *ix;            /* EQ0, GE0 */
    Edge e;                  /* RANGE: 0 <= e < ix for every position of space; TRUE: host bool of rank 0 */
    const Space *space;
    const char *text;        /* the message */
    Loc loc;
} Check;

typedef struct { const char *name; Loc loc; bool counter; } Symbol;
typedef struct {
    const char *name;
    Node *node;
    bool optional;           /* input: may be absent, then it takes fill */
    double fill;             /* value of an absent optional input (constants only) */
    Loc loc;
} Named;

/* Identities (fold.c, fold_sum.c): one row each, counted, switched and bisected. */
typedef enum {
#define RULE(name, text) RW_##name,
#include "ir/rules.def"
    RW_COUNT
} Rewrite;
extern const char *const rewrite_name[RW_COUNT];
extern const char *const rewrite_text[RW_COUNT];

struct Graph {
    Diag *diag;
    Arena *arena;
    VEC(Node *) nodes;
    VEC(Symbol) syms;
    VEC(Root) roots;
    VEC(Check) checks;
    VEC(Named) inputs;
    VEC(Named) params;       /* name is the checkpoint name */
    VEC(Named) states;
    VEC(Region) regions;     /* [0] unused */
    bool contracted;         /* sums of products are as a library wants them: identities would undo that (passes/) */
    /* builder state: what the next nodes get */
    Loc loc;
    int region, replay;
    /* identities */
    bool rules_on;           /* fold_pw, fold_reduce: on by default */
    uint64_t rule_off;       /* bit per Rewrite: switched off */
    int64_t budget;          /* rewrites still allowed; -1: no limit (bisect) */
    int64_t hits[RW_COUNT];
    int nsealed;             /* by node id: compositions don't look through it (graph_seal) */
    const bool *sealed;
    struct Tables *tables;   /* interning; graph.c and index.c */
};

/* How many of the symbols are free dimensions: they come first, then counters of loops. */
static inline int graph_ndims(const Graph *g)
{
    int n = g->syms.n;
    while (n > 0 && g->syms.v[n - 1].counter) n--;
    return n;
}

Graph *graph_new(Diag *d);
void graph_free(Graph *g);
bool graph_rule(Graph *g, Rewrite r);                     /* may this rewrite be applied? counts it */

/* Constructors (graph.c). `space` is the space their result is read in; operands are edges over it. They bring
 * axes into canonical order (only used axes, numbered by first appearance), apply identities, and intern. */
Edge graph_float(Graph *g, double v);
Edge graph_int(Graph *g, int32_t v);
Edge graph_bool(Graph *g, bool v);
Edge graph_leaf(Graph *g, Op op, const char *name, DType dt, const Space *shape); /* param state input fresh: identity edge */
Edge graph_idx(Graph *g, const Ix *value, const Space *space);
Edge graph_rand(Graph *g, uint64_t site, const Space *space);   /* uniform in [0,1), one draw per position, row-major element number */
Edge graph_pw(Graph *g, Op op, const Space *space, const Edge *args);
Edge graph_pw1(Graph *g, Op op, const Space *space, Edge a);
Edge graph_pw2(Graph *g, Op op, const Space *space, Edge a, Edge b);
Edge graph_select(Graph *g, const Space *space, Edge c, Edge a, Edge b);
Edge graph_cast(Graph *g, DType dt, const Space *space, Edge a);
/* e where all guards hold, else fill; decided guards vanish. */
Edge graph_read(Graph *g, const Space *space, const Guard *guards, int n, Edge e, Edge fill);
/* The value `e` over `shape`, accessed at m (over space); fill NULL: the access is proved or checked elsewhere. */
Edge graph_access(Graph *g, const Space *space, const Space *shape, Edge e, const Map *m, const Edge *fill);
/* Reductions: e is over `space` = out axes [0,nout) and reduced axes; the result is over the out axes. */
Edge graph_reduce(Graph *g, Op op, const Space *space, int nout, Edge e);
Edge graph_top(Graph *g, const Space *space, int nout, Edge e, const Ix *width); /* one reduced axis; result over out ++ [width] */
Edge graph_scat(Graph *g, const Space *space, int nout, Edge e, const Ix *const *key);
Edge graph_scan(Graph *g, const Space *space, int axis, bool exclusive, bool reverse, Edge e);
Edge graph_branch(Graph *g, const Space *space, Edge cond, Edge a, Edge b);

/* A stored copy of e (an OP_stop node that no identity removes): for operands that must be tensors. After differentiation only. */
Edge graph_copy(Graph *g, const Space *space, Edge e);

Edge edge_identity(Graph *g, Node *n);
Edge edge_comp(Graph *g, Edge e, const Map *m, const Space *to);  /* e read through m; decided reads dissolve */
/* From here on reads among these nodes (the first n, by id) stay, decided or not: they are stored, and what they
 * read may be gone by the time that they are read. */
void graph_seal(Graph *g, int n, const bool *sealed);
Edge edge_arg(Graph *g, Edge e, int i, const Space *space);       /* operand i of e's pointwise node, over the same space */
/* The already existing pure node op(args) over the space, without making it. */
bool graph_find(Graph *g, Op op, const Space *space, const Edge *args, Edge *found);
static inline bool edge_eq(Edge a, Edge b) { return a.node == b.node && a.map == b.map; }
static inline uint64_t edge_axes(Edge e) { return e.map->axes; }
bool edge_is_const(Edge e, double v);                             /* float or int constant of this value */
static inline bool node_is(const Node *n, Op op) { return n->op == op; }
const Space *node_shape(Graph *g, const Node *n);                 /* its out axes */
/* Every node that n reads: through arguments, loads in maps, guards, keys. Calls fn(ctx, edge, as_index). */
void node_reads(const Node *n, void (*fn)(void *ctx, Edge e, bool as_index), void *ctx);
void ix_loads(const Ix *e, void (*fn)(void *ctx, Edge e, bool as_index), void *ctx);

void graph_root(Graph *g, RootKind kind, const char *name, Edge e, const Space *space, Loc loc);
const Root *graph_find_root(const Graph *g, RootKind kind, const char *name);
void graph_check(Graph *g, Check c);
/* The int node's values lie in [0, ext): used by the prover, and checked on the host before launch. */
void graph_assume_range(Graph *g, Node *n, const Ix *ext, const char *text, Loc loc);
/* Rebuilds what the roots reach, in order, through `fn` (NULL: as is), and drops the rest. fn gets the node with its
 * operands already renewed (edges over the renewed node's space) and returns what replaces it, as an edge over
 * the node's out axes. Roots, checks and regions follow. */
typedef Edge (*RewriteFn)(void *ctx, Graph *g, const Node *old, const Edge *args);
void graph_rewrite(Graph *g, RewriteFn fn, void *ctx);            /* rewrite.c */
Edge graph_renew(Graph *g, const Node *old, const Edge *args);    /* the same op through the constructors */
/* While graph_rewrite runs: an old edge over `space` as it is now; with instead.node, one that reads `instead`, an
 * edge over the old node's out axes. */
Edge graph_reread(Graph *g, Edge old, const Space *space, Edge instead);
void graph_dce(Graph *g);                                         /* drops unreachable nodes, renumbers */

/* ---- identities (fold.c: pointwise; fold_sum.c: under a sum, a scat). True: *out is the result. ---- */
bool fold_pw(Graph *g, Op op, DType dt, const Space *space, Edge *args, Edge *out);
bool fold_reduce(Graph *g, Op op, const Space *space, int nout, Edge e, Edge *out);
bool fold_scat(Graph *g, const Space *space, int nout, Edge e, const Ix *const *key, Edge *out);

/* ---- verify.c ---- */
void graph_verify(Graph *g, const char *stage);                   /* diag_bug with the node's text if anything is ill-formed */

/* ---- print.c, read.c: text that parses back byte for byte ---- */
void graph_print(Graph *g, Str *out);
void node_print(Graph *g, const Node *n, Str *out);
void ix_print(Graph *g, const Ix *e, Str *out);
const char *ix_text(Graph *g, const Ix *e);
Graph *graph_parse(Diag *d, uint32_t source);

/* ---- eval.c: the definition of every op; double storage, one node after another ---- */
typedef struct {
    DType dt;
    int rank;
    int64_t shape[MAX_AXES];
    int64_t count;
    void *data;              /* double, int32_t or uint8_t (bool), row-major */
} Tensor;
typedef struct Eval Eval;
Eval *eval_new(Graph *g, const int64_t *syms, uint64_t seed, uint64_t step, bool fresh); /* own arena; fresh: value of the fresh leaves */
void eval_free(Eval *ev);
void eval_limit(Eval *ev, double bytes);               /* values that would take more memory are an error; at first nothing is */
void eval_set(Eval *ev, const Node *n, const Tensor *t);    /* copied; any dt, converted; a node that is no leaf is then not computed */
const Tensor *eval_node(Eval *ev, Node *n);                       /* computes what it needs; memoised */
Tensor eval_edge(Eval *ev, Edge e, const Space *space);           /* a root's value, in the Eval's arena */
void eval_checks(Eval *ev);                                       /* user_error for a check that fails */

#endif
