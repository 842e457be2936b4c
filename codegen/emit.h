/* emit.h: private to codegen/: the writer of one loop kernel, and the plan being made.
 *
 * A kernel's text is
 *     void KERNEL(args, from, to, scratch) {            depth 0: pointers, integer arguments
 *         for (block = from; block < to; block++) {     depth 1: block positions x0, x1, ...
 *             { member 1: a Nest }
 *             { member 2: a Nest } } }
 * and a Nest is one perfect loop nest over a member's space: depth 2.. are its loops, the innermost
 * is the lane loop, which the compiler vectorises. A value is declared once, at the outermost depth
 * where all its axes are bound. Nothing in the text tells nodes or sizes apart that don't differ in
 * structure.
 */
#ifndef RTC_CODEGEN_EMIT_H
#define RTC_CODEGEN_EMIT_H

#include "codegen/codegen.h"

enum { MAX_DEPTH = MAX_AXES + 8, LANES = 64 };

/* ---- the plan being made (plan.c) ---- */

typedef struct {
    const void *a, *b;
    int c, value;
} PairSlot;
typedef struct {
    PairSlot *slot;
    int n, cap;
} PairTable; /* (pointer, pointer, int) -> int */
int pair_find(const PairTable *t, const void *a, const void *b, int c); /* -1: none */
void pair_add(Arena *a, PairTable *t, const void *p, const void *q, int c, int value);

/* Which positions of a scatter's summed axes have which key (list.c). */
typedef struct {
    const Ix *key; /* over space: kept axes, then summed ones */
    const Space *space;
    int nkept;
    const Ix *ext;    /* of the keys */
    const When *when; /* of the groups that it is made for */
    int nwhen;
    int first, slot;       /* plan buffers: [kept.., ext + 1], [kept.., summed positions] */
    int8_t axis[MAX_AXES]; /* of the scatter, per axis of space */
} List;

/* The piece that a loop is at, by its counter. */
typedef struct {
    const Ix *counter;   /* from 1 */
    const Ix *off, *len; /* positions of the axis before it, and in it */
    const Ix *size;      /* in all but the last, at least len */
} Piece;

typedef struct {
    Plan *p;
    Unit *u;
    Graph *g;
    Arena *a;
    PairTable ints;                 /* Ix -> index into p->ints */
    PairTable texts;                /* kernel by text hash */
    PairTable host;                 /* (node, map) -> PB_HOST buffer that holds the edge's value */
    VEC(int) buf_of;                /* by node id: plan buffer + 1, or 0 */
    VEC(const Ix *const *) strides; /* by plan buffer: per axis of its node */
    VEC(List *) lists;
    const Group *group; /* whose step is being made */
    VEC(const Ix *) starts; /* by plan buffer: elements before its piece; NULL: none */
    const Piece *piece;     /* by loop of the grouping */
    VEC(Step) host_steps;
    int known;     /* nodes that the grouping knows */
    bool host_now; /* a host step is being made: groups have stored nothing yet when it runs */
    const int64_t *hint; /* free dimensions for cost decisions */
} Planner;

int plan_int(Planner *pl, const Ix *e);
/* The buffer that n's values are read from, made on first use for leaves and host values; -1: n is
 * computed in place. */
int plan_buffer_of(Planner *pl, Node *n);
/* Element number, over the reader's axes, of plan buffer b's node read through m. */
const Ix *plan_address(Planner *pl, int b, const Map *m);
const Ix *row_major(Graph *g, const Space *s); /* element number over the axes of s */
double hinted(Planner *pl, const Ix *e);       /* a size at the hinted free dimensions */
double space_hint(Planner *pl, const Space *s);
bool is_light(const Node *n);             /* computed where it is read */
int plan_host_value(Planner *pl, Edge e); /* buffer of one bool or number known before launch */

bool is_true(Edge e); /* the bool constant */
/* The lists of a listed scatter; made by a step of their own before the first group that reads
 * them. */
const List *plan_list(Planner *pl, const Node *scat);
int plan_add_buffer(Planner *pl, PlanBuffer b, const Space *shape);

/* ---- values ---- */

typedef struct {
    const char *s; /* a name or a literal */
    int depth;     /* where it is declared; 0 for literals */
    DType dt;      /* bool values are int 0 or 1 in kernels */
} Val;

/* ---- one kernel ---- */

/* A member's values inside a block: an array in scratch over its inner out axes, then the lanes of
 * the tile. */
typedef struct {
    Node *node;
    const int8_t *axis;
    const Ix *stride[MAX_AXES]; /* NULL: a block axis */
    const Ix *start;            /* elements before the piece that a loop is at; NULL: none */
    const Ix *count, *bytes;    /* 1 + the largest element number of lane 0 */
    int number;                 /* name: s<number> */
    bool scalar;                /* no inner axes, no tile */
} Private;

typedef struct {
    Planner *pl;
    Graph *g;
    Arena *a;
    const Space *block;
    int tile; /* the block axis cut into lanes; -1: none */
    int tile_lanes;
    VEC(const Ix *) n; /* integer arguments */
    VEC(int) buf; /* buffer arguments: the written ones, then the others (renumbered at the end) */
    VEC(bool) written;
    VEC(Private) priv;
    struct CostMemo *costs; /* by member (loops.c) */
    const Ix *scratch;      /* bytes used so far */
    PairTable table_of;     /* (offsets, axes) -> index into table (tile.c) */
    VEC(const char *) table;
    const Ix *room; /* bytes that products pack operands into; NULL: none do */
    Str top, body;  /* depth 0; inside the block loop */
    int names;      /* counter */
    double cost;    /* per block, hinted */
    bool rand;
} Emit;

const char *emit_int(Emit *e,
                     const Ix *size); /* text of a size: literal if small, else an argument */
const char *emit_int_arg(Emit *e, const Ix *size); /* always an argument */
const char *emit_extent(Emit *e, const Ix *size);  /* of a loop: constants up to 256 are literals */
const char *emit_buffer(Emit *e, int buf, bool write); /* name of the pointer argument */
const char *emit_name(Emit *e, char kind);
/* Reserves scratch; returns the text of a char pointer. */
const char *emit_scratch(Emit *e, const Ix *bytes);
const char *c_type(DType dt);   /* of a value: float, int */
const char *c_stored(DType dt); /* of an element: float, int, unsigned char */

/* ---- what a member computes (members.c) ---- */

/* The axes of `space` may be finer than the node's: an axis that is only read in pieces of c is two
 * (split.c). `pos` gives the node's axes, so strides and block axes stay those of the node. */
typedef struct Work {
    Op op; /* of a reduction or selection; OP_stop: the value of e */
    const Space *space;
    int rank;           /* the first so many axes of space are out axes */
    Edge e;             /* over space */
    Node *node;         /* for attributes, and as self; NULL: none */
    const int8_t *axis; /* per axis of space: the block axis or -1; NULL: all -1 */
    DType dt;
    int buf; /* where it goes: plan buffer, or -1 and then priv */
    Private *priv;
    int out;                       /* out axes of the node */
    const int8_t *own_axis;        /* per axis of the node: block axis of the group */
    const Map *pos;                /* the node's axes over space */
    int last;                      /* private: the node's axis that is contiguous; -1: the last */
    const Ix *const *stride;       /* per out axis of the node; NULL: a block axis of a private */
    const Ix *const *key;          /* scatter: per out axis of the node, over space */
    const Ix *block_pos[MAX_AXES]; /* by block axis of the group: its position; NULL: has it not */
    const Ix *limit;               /* checks: e is compared with [0, limit) */
    const List *list;              /* a sum over lists; with makes_list: the step that makes them */
    bool makes_list;
    const Piece *piece; /* of a loop; NULL: it is in none */
    int cut;            /* ... the axis of the node's space that it cuts */
    const Ix *start;    /* elements before the piece where it goes; NULL: none */
    const Ix *more; /* sums are added to what is there if this isn't 0; NULL: nothing is there */
    const struct Work *stores; /* a reduction's operand, which it computes and stores (store.c) */
} Work;

/* The node whose value w computes where it is read, instead of loading it. */
static inline const Node *computed_by(const Work *w)
{
    return w->stores ? w->stores->node : w->node;
}
static inline bool in_block(const Work *w, int axis) { return w->axis && w->axis[axis] >= 0; }
void emit_work(Emit *e, const Work *w);
bool is_keyed(const Work *w, int axis); /* an axis of space that a scatter's key replaces */

/* ---- pieces.c ---- */

/* The loops of the grouping and their counters. */
void pieces_start(Planner *pl);
/* w, of a member of that loop, for one piece of the axis `cut` of its node's space. */
void pieces_cut(Planner *pl, Work *w, int loop, int cut);
/* Block axis b of a group has the extent of a piece; b < 0: none has. */
const Space *pieces_block(Planner *pl, const Space *block, int loop, int b);
/* The plan's loops, once steps are in their order. */
void pieces_loops(Planner *pl);

/* ---- one member (nest.c) ---- */

typedef struct {
    const char *var;
    int depth;
    const char *base;
    int base_depth;
} AxisVar; /* position = base + var */
typedef struct {
    const char *head;                 /* of a plain loop */
    const char *var, *count, *pragma; /* the lane loop: 0 <= var < count */
} Loop;
typedef struct {
    int parent;
    const char *key;
    Val cond;
    bool clamp;
} Ctx; /* where reads may touch memory: cond, if it has one */
typedef struct {
    const char *name, *from, *to;
} Cut; /* a condition that holds for lanes from .. to - 1: the lane loop is cut there */
typedef struct {
    const void *a, *b;
    int c;
    Val v;
} Memo;

enum { MAX_CUTS = 2 };

typedef struct {
    Emit *e;
    const Work *w;
    const Space *space;
    const Node *self; /* computed here even if it is stored */
    AxisVar axis[MAX_AXES];
    int depth;                 /* innermost so far */
    int lane_axis, lane_depth; /* -1: none */
    const char *lane_count;    /* of the lane loop */
    int count_depth;           /* where it is known */
    const Ix *most_lanes;
    const char *tile_var; /* position in the block's tile, once its loop is open */
    int tile_depth;
    Cut cut[MAX_CUTS];
    int ncut;
    Loop loop[MAX_DEPTH];
    Str code[MAX_DEPTH], tail[MAX_DEPTH];
    VEC(Ctx) ctx; /* [0]: everywhere */
    Memo *memo;
    int nmemo, memo_cap;
} Nest;

void nest_open(Nest *n, Emit *e, const Work *w);
void nest_loop(Nest *n, int axis, bool backwards); /* a plain loop over all of an axis */
/* A loop over chunks of an axis; its lane or inner loop follows. Returns the name of the chunk's
 * length. */
const char *nest_chunks(Nest *n, int axis, int size);
void nest_rows(Nest *n, int axis, const char *count); /* a plain loop over the chunk */
/* The lane loop: over the chunk (count, at most `most`), or all of an axis; with an OpenMP clause.
 */
void nest_chunk_lanes(Nest *n, int axis, const char *count, int most, const char *clause);
void nest_lanes(Nest *n, int axis, const char *clause);
void nest_tile_lanes(Nest *n); /* ... over the block's tile */
void nest_tile_plain(Nest *n); /* a plain loop over it, where another axis is the lane */
void nest_code(Nest *n, int depth, const char *fmt, ...) RTC_PRINTF(3, 4);
void nest_tail(Nest *n, int depth, const char *fmt, ...) RTC_PRINTF(3, 4);
void nest_head(Nest *n, const char *head);          /* a loop with this head */
void nest_bind(Nest *n, int axis, const char *var); /* its position is var, from this depth on */
void nest_close(Nest *n);                           /* appends the nest to the kernel's body */

static inline int deeper(int a, int b) { return a > b ? a : b; }
/* What was computed for (a, b, c); its v.s is NULL where nothing was. */
Memo *memo_slot(Nest *n, const void *a, const void *b, int c);
Val remember(Nest *n, const void *a, const void *b, int c, Val v);
const Ix *atom_ix(Graph *g, const Atom *f, const Space *s); /* the atom alone, over s */
/* The value of an index expression over the nest's space: int, or with wide 64 bits. */
Val ix_val(Nest *n, const Ix *e, int ctx, bool wide);
Val edge_val(Nest *n, Edge e, int ctx);
Val as_type(Nest *n, Val v, DType dt);
/* An element of `pointer` (a name valid at depth 0) at element number `at`: an lvalue, without its
 * guard. */
Val element(Nest *n, const char *pointer, const char *ctype, const Ix *at, const char *lane,
            int ctx);
Private *find_private(Emit *e, const Node *n);
/* A bug unless what a block axis of p is read at is w's own block position. */
void check_own_block(Graph *g, const Work *w, const Private *p, const Map *m);
const Ix *private_address(Graph *g, const Private *p, const Map *m); /* without the tile's lane */
bool is_word(const char *s);                                         /* a name or a number */
Val named(Nest *n, int depth, DType dt, const char *fmt, ...) RTC_PRINTF(4, 5);

/* ---- members.c, for list.c ---- */

/* The tile's lanes (unless they are the lane loop) and the inner out axes but `lane` and `skip`. */
void open_out(Nest *n, const Work *w, int lane, int skip);
/* Opens the loop over lane chunks where the lane is an inner axis; returns their count. */
const char *open_chunks(Nest *n, int lane, int *size);
void inner_lanes(Nest *n, int lane, const char *count);
/* A loop over lanes of its own, for what happens before and after the reduced loops. */
const char *lanes_text(Emit *e, const char *count, const char *statement);
Val emit_target(Nest *n, const Work *w); /* the element that w stores to */

/* ---- list.c ---- */

void emit_list(Emit *e, const Work *w);   /* makes a list */
void emit_listed(Emit *e, const Work *w); /* sums over lists */

/* ---- lanes.c ---- */

enum { NO_LANE = -1, TILE_LANE = -2 };

/* The axis of w's space that the innermost loop should run along, or one of the above. */
int best_lane(Emit *e, const Work *w, double *cost);
/* The out axis of w's node along which what w reads from memory is most contiguous; -1: none. */
int best_layout(Emit *e, const Work *w);
/* An axis that w reads in pieces: as quotient and remainder by *size, a constant that divides it.
 */
bool find_split(Emit *e, const Work *w, int *axis, int64_t *size);

/* Sets the numbers of the private arrays that w reads. */
void private_reads(Emit *e, const Work *w, bool *read);
/* Does w read or store by a quotient or remainder of the axis? */
bool reads_pieces(Emit *e, const Work *w, int axis);

int tile_axis_of(const Emit *e, const Work *w); /* the axis of w that is cut into the tile; -1 */
/* Element number that w stores to, without the tile's lane and its node's axis `skip` (or -1);
 * keyed: with keys instead of the axes they replace. */
const Ix *store_address(const Emit *e, const Work *w, int skip, bool keyed);

/* ---- split.c ---- */

typedef struct {
    int n;
    Work *w;
    const Space *block;
} WorkList; /* priv and stride of private works are set in loops.c */

/* Splits axes until no member reads one in pieces. */
void split_axes(Emit *e, WorkList *wl);
/* Joins inner axes of values and of sums over lists. */
void join_axes(Emit *e, WorkList *wl);

/* ---- tile.c ---- */

/* Where an operand of a small product lies: at = base + row + sum + lane, over w's space. */
typedef struct {
    Private *priv; /* or NULL, and then buf */
    int buf;
    const Ix *at; /* element number; a private one's without the tile's lane */
    const Ix *base, *row, *sum, *lane;
    bool contiguous; /* along the lanes */
} TileOperand;

/* c = scale * sum of a * b: only a moves with the rows, only b with the lanes. Sets of axes of w's
 * space, the last one fastest. */
typedef struct {
    bool tile; /* lanes are the block's tile; else inner out axes */
    uint64_t rows, sums, lanes;
    TileOperand a, b, c;
    Edge scale; /* a constant, or no node */
    double cost;
} Tile;

/* Is w a sum of products that is faster so than as loops? */
bool find_tile(Emit *e, const Work *w, Tile *t);
void emit_tile(Emit *e, const Work *w, const Tile *t);
double least_cost(Emit *e, const Work *w); /* of the better of the two */

/* ---- loops.c ---- */

/* A kernel for the works over the block space, as a step (kernel, arguments, blocks, scratch,
 * cost). */
Step loops_step(Planner *pl, const WorkList *wl, Loc loc);
/* Adds such a kernel to the plan, ahead of the step that is being made. */
void plan_step(Planner *pl, const WorkList *wl, const char *what);

/* ---- store.c ---- */

/* Lets the reduction compute and store `value`, the member before it, as it reads it, if it can and
 * that costs less. */
bool join_store(Emit *e, const Work *value, Work *reduction);
const Ix *stored_address(const Emit *e, const Work *reduction); /* over the reduction's axes */
void store_on_the_way(Nest *n, const Work *reduction, Val v);

/* ---- product.c ---- */

/* The library step of a product; false if its strides fit no library call. */
bool product_step(Planner *pl, const Group *gr, Step *out);

#endif
