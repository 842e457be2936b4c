/* group_verify.c: is a Grouping what passes.h says? Looks at the result only, with none of the
 * analyses that made it, so that code generation may rely on it; diag_bug says what is wrong with
 * which node.
 *
 *   - every value that a member, a root or the host needs is a buffer written before, a member of
 * the same group computed before, or light
 *   - a member reads another member of its group at the block's own coordinates only
 *   - each member has every block axis exactly once, as an out axis, and reduces none
 *   - product operands are stored, and each axis list is one axis with one stride
 *   - buffers: orders are permutations, lifetimes cover every use
 *   - a group that runs under a condition is read only where that holds
 *   - a loop over pieces is a run of groups; its members are cut along an axis of its extent, read
 *     each other's at the same position only, and nothing outside reads a buffer for one piece
 */
#include "passes/group.h"

typedef struct {
    Unit *u;
    Graph *g;
    Grouping *gs;
    int *writer; /* by node id: group that stores it; -1: none; leaves: -2 */
    int *loop;   /* by node id: of the group that stores it; 0: none */
    int8_t *cut; /* ... and its cut there */
    int *place;  /* by node id: 1 + position among the current group's members; 0: none */
    int group;
    int reader_at; /* position of the member that is checked */
    const Member *reader;
    const Map *map; /* of the node being walked, over the reader's space; NULL: the reader itself */
    Reads seen;     /* light nodes walked for this reader */
} Verify;

RTC_NORETURN static void wrong(Verify *v, const Node *n, const char *what)
{
    Str s = {.arena = v->u->arena};
    node_print(v->g, n, &s);
    diag_bug(v->u->diag, "group %d: %s\n%s", v->group, what, s.s);
}

/* ---- what members read ---- */

static void own_block(Verify *v, const Member *p, const Map *map)
{
    const Group *gr = &v->gs->groups.v[v->group];
    for (int d = 0; d < p->node->rank; d++) {
        if (p->axis[d] < 0) continue;
        int x = ix_bare_axis(map->ix[d]);
        if (x < 0 || v->reader->axis[x] != p->axis[d])
            wrong(v, p->node, "a member is read at other places than the block's");
        if (!ix_proves_eq(v->g, gr->block->ext[p->axis[d]], v->reader->node->space->ext[x]))
            wrong(v, p->node, "a member is read along a cut axis");
    }
}

static void stored_before(Verify *v, const Node *n)
{
    const Buffer *b = &v->gs->buffers.v[v->gs->buffer_of[n->id]];
    if (v->writer[n->id] == -2) return;
    if (v->writer[n->id] >= v->group) wrong(v, n, "a value is read before it is stored");
    if (b->first > v->writer[n->id] || b->last < v->group)
        wrong(v, n, "a buffer is read outside its lifetime");
    const Group *w = &v->gs->groups.v[v->writer[n->id]], *r = &v->gs->groups.v[v->group];
    for (int i = 0; i < w->when.n; i++) {
        bool held = false;
        for (int k = 0; k < r->when.n; k++)
            held |= edge_eq(w->when.v[i].cond, r->when.v[k].cond) &&
                    w->when.v[i].value == r->when.v[k].value;
        if (!held && v->reader->node->op != OP_branch)
            wrong(v, n, "a value is read where its group may have been skipped");
    }
}

/* A member that the reader's own group has. */
static void own_place(Verify *v, const Node *n, const Map *map)
{
    const Member *p = &v->gs->groups.v[v->group].members.v[v->place[n->id] - 1];
    if (p->cut >= n->rank || ix_bare_axis(map->ix[p->cut]) != v->reader->cut)
        wrong(v, n, "a member is read outside the piece that a loop is at");
}

/* The reader sees n's values through map. */
static void own_piece(Verify *v, const Node *n, const Map *map)
{
    int cut = v->cut[n->id], own = v->gs->groups.v[v->group].loop;
    bool alike = own && v->loop[n->id] == own;
    const Buffer *b =
        v->gs->buffer_of[n->id] < 0 ? NULL : &v->gs->buffers.v[v->gs->buffer_of[n->id]];
    if (b && b->loop && (!alike || b->cut != cut || b->loop != own))
        wrong(v, n, "one piece of a value is read outside its loop");
    if (!alike) return;
    if (cut >= n->rank) wrong(v, n, "a sum over pieces is read before the last of them");
    if (ix_bare_axis(map->ix[cut]) != v->reader->cut)
        wrong(v, n, "a value is read outside the piece that a loop is at");
}

static void visit(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Verify *v = ctx;
    const Node *n = e.node;
    const Map *map = v->map ? map_subst(v->g, e.map, v->map, v->reader->node->space) : e.map;
    if (v->place[n->id]) {
        if (v->place[n->id] - 1 >= v->reader_at)
            wrong(v, n, "a member is read before it is computed");
        own_block(v, &v->gs->groups.v[v->group].members.v[v->place[n->id] - 1], map);
        if (v->gs->groups.v[v->group].loop) own_place(v, n, map);
        return;
    }
    if (v->gs->buffer_of[n->id] >= 0) {
        stored_before(v, n);
        own_piece(v, n, map);
        return;
    }
    if (!is_light(n)) wrong(v, n, "a value is needed that nobody computes");
    for (int i = 0; i < v->seen.n; i++)
        if (v->seen.v[i].node == n && v->seen.v[i].map == map) return;
    vec_push(v->u->arena, &v->seen, (Read){e.node, map});
    const Map *outer = v->map;
    v->map = map;
    device_reads(n, visit, v);
    v->map = outer;
}

/* ---- groups ---- */

static void check_axes(Verify *v, const Group *gr, const Member *m)
{
    uint64_t seen = 0;
    for (int x = 0; x < m->node->space->n; x++) {
        int b = m->axis[x];
        if (b < 0) continue;
        if (x >= m->node->rank || b >= gr->block->n || seen >> b & 1)
            wrong(v, m->node, "a block axis that is reduced, unknown or there twice");
        if (!ix_proves_eq(v->g, gr->block->ext[b], m->node->space->ext[x]))
            wrong(v, m->node, "a block axis of another extent");
        if (!may_be_block(m->node, x))
            wrong(v, m->node, "a block axis along which positions depend on each other");
        seen |= 1ull << b;
    }
    if (seen != (1ull << gr->block->n) - 1) wrong(v, m->node, "a member lacks a block axis");
}

static void check_cut(Verify *v, const Group *gr, const Member *m)
{
    const Node *n = m->node;
    if (!gr->loop) return;
    const Pieces *p = &v->gs->loops.v[gr->loop - 1];
    if (gr->id < p->first || gr->id > p->last) wrong(v, n, "a group is outside its loop");
    if (m->cut < 0 || m->cut >= n->space->n ||
        !ix_proves_eq(v->g, n->space->ext[m->cut], p->extent))
        wrong(v, n, "a member of a loop has no axis of its extent");
    bool inner = (n->op == OP_top && m->cut >= n->rank - 1) || n->op == OP_scat ||
                 (n->op == OP_scan && m->cut == n->attr.scan.axis);
    if ((m->cut >= n->rank && n->op != OP_sum) || inner)
        wrong(v, n, "a value can't be had by pieces");
    for (int i = 0; i < gr->members.n; i++) /* a block axis is cut in all members or in none */
        for (int x = 0; x < gr->members.v[i].node->rank && m->axis[m->cut] >= 0; x++)
            if (gr->members.v[i].axis[x] == m->axis[m->cut] && gr->members.v[i].cut != x)
                wrong(v, n, "a block axis is cut in one member and not in another");
}

static void check_member(Verify *v, const Group *gr, int at)
{
    const Member *m = &gr->members.v[at];
    v->reader = m;
    v->reader_at = at;
    v->map = NULL;
    v->seen.n = 0;
    check_axes(v, gr, m);
    check_cut(v, gr, m);
    if (!m->stored && !is_light(m->node) && v->writer[m->node->id] >= 0)
        wrong(v, m->node, "a value is computed twice");
    device_reads(m->node, visit, v);
}

static void check_list(Verify *v, const Product *p, const int8_t *axes, int n, uint64_t *seen)
{
    const Space *s = v->gs->groups.v[v->group].members.v[0].node->space;
    for (int i = 0; i < n; i++) {
        if (axes[i] < 0 || axes[i] >= s->n || *seen >> axes[i] & 1)
            wrong(v, p->a.node, "an axis of a product is unknown or there twice");
        *seen |= 1ull << axes[i];
    }
}

static void check_product(Verify *v, const Group *gr)
{
    const Product *p = &gr->product;
    const Member *m = &gr->members.v[0];
    uint64_t seen = 0;
    if (gr->members.n != 1 || !m->stored) wrong(v, m->node, "a product is one stored member");
    v->reader = m;
    check_cut(v, gr, m);
    for (int i = 0; i < 2; i++) {
        Edge e = i ? p->b : p->a;
        if (v->gs->buffer_of[e.node->id] < 0) wrong(v, e.node, "a product operand isn't stored");
        stored_before(v, e.node);
        own_piece(v, e.node, e.map);
    }
    check_list(v, p, p->batch, p->nbatch, &seen);
    check_list(v, p, p->m, p->nm, &seen);
    check_list(v, p, p->n, p->nn, &seen);
    check_list(v, p, p->k, p->nk, &seen);
    if (seen != (1ull << m->node->space->n) - 1 || !p->nm || !p->nn || !p->nk)
        wrong(v, m->node, "a product lacks an axis");
}

static void check_buffers(Verify *v)
{
    for (int i = 0; i < v->gs->buffers.n; i++) {
        const Buffer *b = &v->gs->buffers.v[i];
        uint64_t seen = 0;
        for (int d = 0; d < b->node->rank; d++) seen |= 1ull << b->order[d];
        if (b->id != i || v->gs->buffer_of[b->node->id] != i || seen != (1ull << b->node->rank) - 1)
            wrong(v, b->node, "a buffer's order is no permutation");
        if (b->cls == BUF_TEMP && v->writer[b->node->id] < 0)
            wrong(v, b->node, "nobody writes a buffer");
        for (int k = 0; k < v->gs->loops.n && !b->loop; k++) {
            const Pieces *p = &v->gs->loops.v[k];
            if ((p->first < b->first && b->first <= p->last) ||
                (p->first <= b->last && b->last < p->last))
                wrong(v, b->node, "a buffer doesn't live as long as a loop that comes back to it");
        }
    }
}

static void check_roots(Verify *v)
{
    Grouping *gs = v->gs;
    for (int i = 0; i < v->g->roots.n; i++) {
        const Node *n = v->g->roots.v[i].e.node;
        if (is_light(n) && !n->nargs) continue;
        if (gs->buffer_of[n->id] < 0) wrong(v, n, "a root isn't stored");
        if (gs->buffers.v[gs->buffer_of[n->id]].loop) wrong(v, n, "a root is one piece");
        const Buffer *b = &gs->buffers.v[gs->buffer_of[n->id]];
        if (b->last < gs->groups.n - 1) wrong(v, n, "a root doesn't live to the end");
    }
}

void grouping_verify(Unit *u)
{
    Graph *g = u->graph;
    int n = g->nodes.n;
    Verify v = {.u = u, .g = g, .gs = u->groups};
    v.writer = NEW_N(u->arena, int, n);
    v.place = NEW_N(u->arena, int, n);
    v.loop = NEW_N(u->arena, int, n);
    v.cut = NEW_N(u->arena, int8_t, n);
    for (int i = 0; i < n; i++) v.writer[i] = is_stored_leaf(g->nodes.v[i]) ? -2 : -1;
    for (v.group = 0; v.group < v.gs->groups.n; v.group++) {
        const Group *gr = &v.gs->groups.v[v.group];
        if (gr->id != v.group) wrong(&v, gr->members.v[0].node, "groups aren't in order");
        if (gr->loop < 0 || gr->loop > v.gs->loops.n)
            wrong(&v, gr->members.v[0].node, "there is no such loop");
        for (int i = 0; i < gr->members.n; i++) {
            int id = gr->members.v[i].node->id;
            if (!gr->members.v[i].stored) continue;
            if (v.writer[id] != -1) wrong(&v, gr->members.v[i].node, "two groups store a value");
            v.writer[id] = v.group;
            v.loop[id] = gr->loop;
            v.cut[id] = gr->members.v[i].cut;
        }
    }
    for (v.group = 0; v.group < v.gs->groups.n; v.group++) {
        const Group *gr = &v.gs->groups.v[v.group];
        for (int i = 0; i < gr->members.n; i++) v.place[gr->members.v[i].node->id] = i + 1;
        if (gr->kind == GROUP_PRODUCT)
            check_product(&v, gr);
        else
            for (int i = 0; i < gr->members.n; i++) check_member(&v, gr, i);
        for (int i = 0; i < gr->members.n; i++) v.place[gr->members.v[i].node->id] = 0;
    }
    v.group = v.gs->groups.n;
    check_buffers(&v);
    check_roots(&v);
}
