/* simt_table.h: what kernel text compiled for the host asks of the simt machine, and what the
 * machine finds in it.
 *
 * The text has no undefined symbols of the machine's: it calls through one table, whose address the
 * machine stores into the loaded object. This header is part of that text (before simt.h) and is
 * included by runtime/simt_machine.h.
 */
#ifndef RTC_SIMT_TABLE_H
#define RTC_SIMT_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    unsigned x, y, z;
} SimtDim;

typedef enum { SIMT_SYNC_ALL, SIMT_SYNC_COUNT, SIMT_SYNC_AND, SIMT_SYNC_OR } SimtBarrier;

/* Warp operations on one value per lane; SIMT_ORDER is __syncwarp. */
typedef enum {
    SIMT_ORDER,
    SIMT_SHUFFLE,
    SIMT_BALLOT,
    SIMT_SUM,
    SIMT_MIN,
    SIMT_MAX,
    SIMT_UMIN,
    SIMT_UMAX,
    SIMT_AND,
    SIMT_OR,
    SIMT_XOR,
    SIMT_MMA_BF16,
    SIMT_MMA_TF32,
    SIMT_LDMATRIX2,
    SIMT_LDMATRIX4,
    SIMT_LDMATRIX2_T,
    SIMT_LDMATRIX4_T
} SimtWarpOp;

typedef enum {
    SIMT_ADD_FLOAT,
    SIMT_ADD_INT,
    SIMT_MIN_INT,
    SIMT_MAX_INT,
    SIMT_MIN_UINT,
    SIMT_MAX_UINT,
    SIMT_AND_INT,
    SIMT_OR_INT
} SimtAtomicOp;

/* SIMT_UNSET: a local begins its life. */
typedef enum {
    SIMT_READ,
    SIMT_WRITE,
    SIMT_ATOMIC,
    SIMT_UNSET,
    SIMT_COPY_ISSUED,
    SIMT_COPY_LANDED
} SimtAccess;

/* What the compiler's own checks find. */
typedef enum {
    SIMT_BAD_INDEX,
    SIMT_BAD_ADDRESS,
    SIMT_BAD_SHIFT,
    SIMT_BAD_DIVISION,
    SIMT_BAD_CONVERSION
} SimtMistake;

typedef struct {
    SimtDim index;
    unsigned lane;
} SimtThread;

typedef struct {
    void *machine;         /* the first argument of every function */
    const SimtThread *now; /* the thread that runs */
    SimtDim block, block_dim, grid_dim;
    void *dynamic_shared;
    int (*barrier)(void *m, SimtBarrier kind, int line, int predicate);
    uint64_t (*warp)(void *m, SimtWarpOp op, unsigned mask, int line, uint64_t value,
                     unsigned source);
    void (*tile)(void *m, SimtWarpOp op, int line, void *d, const void *a, const void *b,
                 const char *names);
    uint32_t (*atomic)(void *m, SimtAtomicOp op, int line, void *p, uint32_t value);
    void (*copy)(void *m, int line, void *shared, const void *global, int bytes, int fill);
    void (*copy_commit)(void *m);
    void (*copy_wait)(void *m, int line, int pending);
    /* The rest is called by the checked build only. */
    void (*enter)(void *m, const void *frame);
    void (*access)(void *m, const void *p, size_t bytes, SimtAccess kind, const void *from);
    void (*mistake)(void *m, SimtMistake what, int line, int column, uint64_t value);
} SimtTable;

/* NAME__simt of each kernel. */
typedef struct {
    void (*run)(const void *args);
    size_t bytes;     /* of its arguments */
    unsigned threads; /* a block may have at most */
} SimtEntry;

/* `simt_object` of each compiled text. */
typedef struct {
    SimtTable **table;
    char *shared, *shared_end; /* all __shared__ arrays of the text; NULL if it has none */
} SimtObject;

#endif
