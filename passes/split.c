/* split.c: the pass that makes a reduction with few results into two, so that every core has work.
 *
 * Needs nothing, breaks nothing; must come before `contract`. One reduced axis becomes an out axis
 * of a partial reduction, and a second one finishes:
 *
 *   before  %3[] = sum over [b, t] %2[i0,i1]
 *   after   %4[b] = sum over [t] %2[i0,i1]         %5[] = sum over [b] %4[i0]
 *
 * Where no axis has a good extent, a long one is cut into a fixed number of pieces (the last may be
 * short): x = piece * ceil(n / PIECES) + i. Which positions are summed together depends on sizes
 * only, never on threads, so results don't either.
 */
#include "passes/contract.h"

enum {
    FEW = 64,        /* fewer results than this leave cores idle */
    LONG = 1 << 15,  /* positions that are worth a second reduction */
    LEAST_EACH = 32, /* positions that a partial result covers at least */
    PIECES = 64
};

typedef struct {
    const int64_t *syms;
} Split;

static bool is_library_product(Graph *g, const Node *n, Edge body, const int64_t *syms)
{
    Node sum = *n;
    Contraction c;
    if (n->op != OP_sum || body.node->op != OP_mul) return false;
    return contraction_axes(&sum, edge_axes(edge_arg(g, body, 0, n->space)),
                            edge_axes(edge_arg(g, body, 1, n->space)), syms, &c);
}

/* The first reduced axis that makes enough partial results, -1 if none does: axes are numbered as
 * they appear in operands, so the last ones are those along which tensors are contiguous. */
static int axis_to_move(const Node *n, double out, double reduced, const int64_t *syms)
{
    for (int x = n->rank; x < n->space->n; x++) {
        double e = size_at(n->space->ext[x], syms);
        if (out * e >= FEW && reduced / e >= LEAST_EACH) return x;
    }
    return -1;
}

static int longest_axis(const Node *n, const int64_t *syms)
{
    int best = n->rank;
    for (int x = n->rank; x < n->space->n; x++)
        if (size_at(n->space->ext[x], syms) > size_at(n->space->ext[best], syms)) best = x;
    return best;
}

/* The body over out axes ++ [moved] ++ the other reduced axes: reduced twice. */
static Edge reduce_twice(Graph *g, const Node *n, const Space *part, const Map *to_part, Edge body)
{
    Edge partial = graph_reduce(g, n->op, part, n->rank + 1, edge_comp(g, body, to_part, part));
    return graph_reduce(g, n->op, space_slice(g, part, 0, n->rank + 1), n->rank, partial);
}

static Edge move_axis(Graph *g, const Node *n, int axis, Edge body)
{
    const Ix *ext[MAX_AXES], *ix[MAX_AXES];
    int k = n->rank;
    for (int x = 0; x < n->rank; x++) {
        ext[x] = n->space->ext[x];
        ix[x] = ix_axis(g, x);
    }
    ext[k] = n->space->ext[axis];
    ix[axis] = ix_axis(g, k++);
    for (int x = n->rank; x < n->space->n; x++) {
        if (x == axis) continue;
        ext[k] = n->space->ext[x];
        ix[x] = ix_axis(g, k++);
    }
    const Space *part = space_make(g, k, ext);
    return reduce_twice(g, n, part, map_make(g, n->space->n, ix), body);
}

static Edge cut_axis(Graph *g, const Node *n, int axis, Edge body)
{
    const Ix *ext[MAX_AXES], *ix[MAX_AXES], *whole = n->space->ext[axis];
    const Ix *each =
        ix_div(g, ix_add(g, whole, ix_const(g, PIECES - 1)), ix_const(g, PIECES), NULL);
    int k = n->rank + 1;
    for (int x = 0; x < n->space->n; x++) {
        int to = x < n->rank ? x : k++;
        ext[to] = x == axis ? each : n->space->ext[x];
        ix[x] = ix_axis(g, to);
    }
    ext[n->rank] = ix_const(g, PIECES);
    ix[axis] = ix_add(g, ix_mul(g, ix_axis(g, n->rank), each), ix[axis]);
    const Space *part = space_make(g, k, ext);
    const Map *to_part = map_make(g, n->space->n, ix);
    Guard inside = {ix[axis], whole};
    Edge zero = n->dt == DT_INT ? graph_int(g, 0) : graph_float(g, 0);
    Edge guarded = graph_read(g, part, &inside, 1, edge_comp(g, body, to_part, part), zero);
    return reduce_twice(g, n, part, map_identity(g, part->n), guarded);
}

static Edge split_node(void *ctx, Graph *g, const Node *old, const Edge *args)
{
    const int64_t *syms = ((Split *)ctx)->syms;
    if (op_info[old->op].cls != CLASS_REDUCE) return graph_renew(g, old, args);
    double out = elements_at(old, syms);
    double reduced = count_at(old->space, old->rank, old->space->n, syms);
    if (out >= FEW || reduced < LONG || is_library_product(g, old, args[0], syms))
        return graph_renew(g, old, args);
    int axis = axis_to_move(old, out, reduced, syms);
    if (axis >= 0) return move_axis(g, old, axis, args[0]);
    axis = longest_axis(old, syms);
    bool can_cut = old->op == OP_sum && old->space->n < MAX_AXES &&
                   !maybe_cut(g, old, old->space->ext[axis]) &&
                   size_at(old->space->ext[axis], syms) >= PIECES * (double)LEAST_EACH;
    return can_cut ? cut_axis(g, old, axis, args[0]) : graph_renew(g, old, args);
}

void pass_split(Unit *u)
{
    Split ctx = {hint_syms(u)};
    graph_rewrite(u->graph, split_node, &ctx);
}
