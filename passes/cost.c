/* cost.c: arithmetic and memory traffic of a group at concrete sizes, for explain and bench.
 *
 * FLOPs: one per float operation and position, a multiply-add of a library product two; light
 * values inlined in a member count once per position of the axes they depend on. Bytes: every
 * stored tensor that the group reads or writes, once; of a tensor read at computed places, as many
 * elements as there are reads.
 */
#include <math.h>
#include "passes/group.h"

typedef struct {
    const Unit *u;
    const Group *group;
    const int64_t *syms;
    const Node *reader; /* the member being counted */
    const Map *map;     /* of the node being walked, over the reader's space; NULL: the reader */
    Cost cost;
    Reads light; /* inlined values counted for this member */
    VEC(const Node *) tensors;
} Count;

static bool is_member(const Group *gr, const Node *n)
{
    for (int i = 0; i < gr->members.n; i++)
        if (gr->members.v[i].node == n) return true;
    return false;
}

static double positions(const Count *c, const Map *map)
{
    double n = 1;
    for (int x = 0; x < c->reader->space->n; x++)
        if (map->axes >> x & 1) n *= size_at(c->reader->space->ext[x], c->syms);
    return n;
}

static void count_tensor(Count *c, const Node *n, double reads)
{
    for (int i = 0; i < c->tensors.n; i++)
        if (c->tensors.v[i] == n) return;
    double elements = elements_at(n, c->syms);
    vec_push(c->u->arena, &c->tensors, n);
    c->cost.bytes_read += (reads < elements ? reads : elements) * dtype_bytes(n->dt);
}

static bool is_arithmetic(const Node *n)
{
    return n->dt == DT_FLOAT && op_info[n->op].cls == CLASS_POINTWISE && n->op != OP_stop &&
           n->op != OP_cast && n->op != OP_select;
}

static void count_read(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Count *c = ctx;
    const Node *n = e.node;
    const Map *map = c->map ? map_subst(c->u->graph, e.map, c->map, c->reader->space) : e.map;
    if (is_member(c->group, n)) return;
    if (c->u->groups->buffer_of[n->id] >= 0) {
        count_tensor(c, n, positions(c, map));
        return;
    }
    for (int i = 0; i < c->light.n; i++)
        if (c->light.v[i].node == n && c->light.v[i].map == map) return;
    vec_push(c->u->arena, &c->light, (Read){e.node, map});
    if (is_arithmetic(n)) c->cost.flops += positions(c, map);
    const Map *outer = c->map;
    c->map = map;
    device_reads(n, count_read, c);
    c->map = outer;
}

Cost group_cost(const Unit *u, const Group *gr, const int64_t *syms)
{
    Count c = {.u = u, .group = gr, .syms = syms};
    for (int i = 0; i < gr->members.n; i++) {
        const Member *m = &gr->members.v[i];
        const Node *n = m->node;
        if (m->stored) c.cost.bytes_written += bytes_at(n, syms);
        if (gr->kind == GROUP_PRODUCT) {
            c.cost.flops += 2 * space_at(n->space, syms);
            count_tensor(&c, gr->product.a.node, HUGE_VAL);
            count_tensor(&c, gr->product.b.node, HUGE_VAL);
            continue;
        }
        OpClass cls = op_info[n->op].cls;
        bool sums = cls == CLASS_REDUCE || cls == CLASS_SCAT || cls == CLASS_SCAN;
        if (is_arithmetic(n) || (sums && n->dt == DT_FLOAT))
            c.cost.flops += cls == CLASS_SCAT ? count_at(n->space, n->rank, n->space->n, syms)
                                              : space_at(n->space, syms);
        c.reader = n;
        c.map = NULL;
        c.light.n = 0;
        device_reads(n, count_read, &c);
    }
    return c.cost;
}
