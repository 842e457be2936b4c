/* group.h: what the files of grouping share; private to passes/.
 *
 *   group.c          the pass: clusters to groups
 *   group_needs.c    what kernels and the host must compute, when, and in which phase
 *   group_keep.c     which nodes are computed once and kept; what each reads
 *   group_pieces.c   kept nodes that run in a loop over pieces of an axis
 *   group_large.c    ... and those around a value that is too large to store whole
 *   group_merge.c    clusters of kept nodes, merged while their block axes agree
 *   group_order.c    order of execution
 *   group_private.c  light values worth a private array inside a group
 *   group_buffers.c  stored tensors, their order and lifetime
 *
 * Words: a *kept* node has its value computed in exactly one group, once. A *light* node
 * (pointwise, read, idx, rand, const) that isn't kept is inlined in its readers. A *cluster* is a
 * group in the making.
 */
#ifndef RTC_PASSES_GROUP_H
#define RTC_PASSES_GROUP_H

#include "passes/inner.h"

/* Kept node or stored leaf `node`, read at `map` over the reader's space. */
typedef struct {
    Node *node;
    const Map *map;
} Read;
typedef VEC(Read) Reads;
typedef VEC(int) Ints;

/* Conditions that all must hold; interned, so that equal sets are one pointer. */
typedef struct WhenSet {
    int n;
    When w[];
} WhenSet;

typedef struct {
    Ints members; /* kept nodes by rising id */
    int nblock;
    const Ix *ext[MAX_AXES]; /* of block axes */
    Ints from, to; /* clusters it reads, clusters that read it; by number at the time of adding */
    Phase phase;
    const WhenSet *when;
    bool product;
    bool inner;       /* has a product of its own */
    uint64_t protect; /* block axes that no merge may lose: of scores, and of keys (scat_listed) */
    int loop;         /* over pieces; -1: none */
    int8_t cut;       /* block axis that the loop cuts; -1: none */
} Cluster;

typedef struct {
    Unit *u;
    Graph *g;
    Arena *a;
    const int64_t *syms;
    bool unfused; /* keep everything, merge nothing */

    /* by node id */
    bool *device, *host; /* needed by kernels; evaluated before launch */
    bool *kept, *root;
    Phase *phase;
    const WhenSet **when; /* NULL: not needed */
    Reads *reads;         /* of kept nodes */
    Ints *readers;        /* kept nodes that read a kept node or leaf */
    int *cluster;         /* of a kept node, before group_find; -1 */
    int8_t **block;       /* of a kept node: per axis the cluster's block axis, or -1 */
    double *elements;     /* at the hints */
    int *product;         /* of a sum: index into products, or -1 */

    VEC(Pieces) loops; /* groups aren't known yet */
    int *loop;         /* of a kept node: index into loops, or -1 */
    int8_t *cut;       /* ... and the axis of its space that is cut */

    Inner inner;            /* products that aren't the library's */
    bool *operand;          /* by node id: light, an operand of one of these */
    VEC(Contraction) products;
    Product *built; /* as library calls */
    Order *order;   /* of every node's axes in memory; before merging, a first guess */
    VEC(Cluster) clusters;
    int *leader;      /* union-find over clusters */
    uint64_t **reach; /* by leading cluster: bit per leading cluster that depends on it */
    VEC(const WhenSet *) whens;
} Grouper;

static inline bool is_light(const Node *n)
{
    OpClass c = op_info[n->op].cls;
    return (c == CLASS_POINTWISE && n->op != OP_stop) || c == CLASS_READ || n->op == OP_idx ||
           n->op == OP_rand || n->op == OP_const || n->op == OP_fresh;
}
static inline bool bit(const uint64_t *set, int i) { return set[i >> 6] >> (i & 63) & 1; }
static inline void set_bit(uint64_t *set, int i) { set[i >> 6] |= 1ull << (i & 63); }

static inline bool is_stored_leaf(const Node *n)
{
    return n->op == OP_param || n->op == OP_state || n->op == OP_input;
}

/* What a kernel for n reads; a branch's condition isn't. */
void device_reads(const Node *n, void (*fn)(void *ctx, Edge e, bool as_index), void *ctx);

/* What roots and conditions need, when, and in which phase. */
void group_needs(Grouper *w);
void group_keep(Grouper *w);
void group_reads(Grouper *w);
/* The kept nodes and leaves under edge e (over `space`) that are read through light nodes. */
void reads_under(Grouper *w, Edge e, const Space *space, Reads *out);

/* Which kept nodes run in loops over pieces: those of chunk regions, and around values that are too
 * large to store whole. */
void group_pieces(Grouper *w);
void group_large(Grouper *w, int *class);
/* Does n take some elements of a value that may run in pieces? Then it had better do so in the loop:
 * its readers may not fit in. */
bool picks_from_large(const Grouper *w, const Node *n);
/* Loops over pieces of `size` positions of an axis of that extent, of what of the nodes can; with
 * `must`, only if one loop will do, and nothing outside it reads that one's value. Says whether it made any.
 * `class`, by node and axis, belongs to itself everywhere, before and after. */
bool pieces_make(Grouper *w, Ints nodes, const Ix *extent, const Ix *size, int *class,
                 const Node *must);
/* From here on the loop is one: what reads a part of it depends on all of it. Its clusters are
 * merged. */
void pieces_close(Grouper *w, int loop);

void group_merge(Grouper *w);
int group_find(const Grouper *w, int cluster);
/* Blocks of the cluster that run at once: within a loop over pieces, those of a piece. */
double cluster_blocks(const Grouper *w, const Cluster *c);
/* NULL if clusters a and b (leaders; a reads nothing of b) may become one; else why not. */
const char *group_obstacle(Grouper *w, int a, int b);

/* Leading clusters in order of execution. */
Ints group_order(Grouper *w);
/* Members of the cluster in order, with light values that pay inside it. */
void group_members(Grouper *w, int cluster, Group *out);
/* Of n's values in one block, if block[] are its block axes. */
double private_bytes(const Grouper *w, const Node *n, const int8_t *block);
void group_buffers(Grouper *w, Grouping *out);

#endif
