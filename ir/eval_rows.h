/* eval_rows.h: how the evaluator walks an iteration space: in rows of at most ROW positions along
 * the last axis, with index expressions compiled for concrete sizes. Private to eval*.c.
 */
#ifndef RTC_IR_EVAL_ROWS_H
#define RTC_IR_EVAL_ROWS_H

#include "ir/ir.h"

enum { ROW = 512 };

struct Eval {
    Graph *g;
    Arena *arena;            /* values */
    Arena *scratch;          /* what one node's loops need */
    const int64_t *syms;
    uint64_t seed, step;
    bool fresh;
    double limit;            /* bytes of the arena; 0: none */
    int n;                   /* nodes known to the tables below */
    Tensor **value;          /* by node id; NULL: never computed */
    uint8_t **bad;           /* positions that depend on a read outside its operand; NULL: none */
    bool *done;              /* the value is current */
    bool *want;              /* marked by eval_node */
    bool *moved;             /* eval_set: depends on what was set */
    bool computed;           /* something was */
    bool *set;               /* given by eval_set: never computed */
};

/* A box of positions; n >= 1 (a space without axes gets one of extent 1). */
typedef struct {
    int n;
    int64_t ext[MAX_AXES];
    int64_t count;
} Box;

typedef struct RowIx RowIx;

/* A tensor read at index expressions over a box. */
typedef struct {
    const Tensor *t;
    const uint8_t *bad;      /* of t */
    bool direct;             /* offset = base + stride . position, proved inside */
    int64_t base, stride[MAX_AXES];
    RowIx **ix;              /* otherwise: one per dimension of t */
    int64_t *at;             /* [ROW] offsets into t, -1 outside */
    double *f;               /* [ROW] */
    uint32_t *i;             /* [ROW] */
} Access;

/* The row being computed: which of its positions read outside an operand. */
typedef struct {
    Eval *ev;
    int last;                /* number of the last axis of the box */
    bool any_bad;
    uint8_t bad[ROW];
} Row;

void box_of(Eval *ev, const Space *s, Box *b);
void box_count(Box *b);
/* Joins neighbouring axes that every access walks as one, and drops axes of extent 1. Axes before
 * `border` stay apart from those behind; returns how many of them are left. */
int box_merge(Box *b, Access *const *a, int n, int border);
/* Calls fn for each row: pos is its first position, `at` that position's row-major number. */
typedef void RowFn(void *ctx, const int64_t *pos, int64_t at, int n);
void box_rows(const Box *b, RowFn *fn, void *ctx, Diag *d); /* may be stopped: diag_poll */

RowIx *row_ix(Eval *ev, const Ix *e, const Box *b);
/* Values of e at pos, pos + 1, ... along the last axis; valid until e's next row. */
const int64_t *row_ix_values(Row *r, RowIx *e, const int64_t *pos, int n);

Access *access_new(Eval *ev, Edge e, const Box *b);           /* e.node has its value */
/* The row as double or as int; mask NULL or 0 where the access must not happen (value 0). */
const double *access_float(Row *r, Access *a, const int64_t *pos, int n, const uint8_t *mask);
const uint32_t *access_int(Row *r, Access *a, const int64_t *pos, int n, const uint8_t *mask);

static inline int64_t div_floor(int64_t a, int64_t b)
{
    if (b == 0) return 0;
    if (b == -1) return (int64_t)(0 - (uint64_t)a);
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

/* eval_ops.c: the value of n over its whole space; its operands have theirs. */
void eval_compute(Eval *ev, Node *n, Tensor *out);
void eval_gather(Eval *ev, Edge e, const Space *space, Tensor *out, uint8_t **bad);
void tensor_alloc(Eval *ev, Tensor *t, DType dt, int rank, const int64_t *shape);
double tensor_get(const Tensor *t, int64_t at);
/* n is the sum of a product that is not stored (yet): its factors, over n's space. */
bool eval_product(Eval *ev, const Node *n, Edge factor[2]);
bool eval_truth(Eval *ev, Edge host);    /* a bool edge without axes; computes it if needed */

#endif
