/* group_buffers.c: stored tensors: parameters, states and inputs, and the members that leave their
 * group.
 *
 * A node that roots read at its own axes gets the buffer class and the axis order of the first of
 * them; any other root is copied at the end from its temporary, which lives until then. What only
 * one loop over pieces reads has room for one piece.
 */
#include "passes/group.h"

static BufferClass leaf_class(const Node *n)
{
    return n->op == OP_param ? BUF_PARAM : n->op == OP_state ? BUF_STATE : BUF_INPUT;
}

static BufferClass root_class(RootKind kind)
{
    return kind == ROOT_GRAD ? BUF_GRAD : kind == ROOT_UPDATE ? BUF_UPDATE : BUF_OUTPUT;
}

static bool only_its_loop_reads(const Grouper *w, const Node *n)
{
    int loop = w->loop[n->id];
    if (loop < 0 || w->cut[n->id] >= n->rank || w->root[n->id]) return false;
    for (int i = 0; i < w->readers[n->id].n; i++)
        if (w->loop[w->readers[n->id].v[i]] != loop) return false;
    return true;
}

static Buffer *add_buffer(Grouper *w, Grouping *out, Node *n, int group)
{
    Buffer b = {.id = out->buffers.n, .node = n, .cls = BUF_TEMP, .first = group, .last = group};
    for (int i = 0; i < n->rank; i++) b.order[i] = w->order[n->id][i];
    b.count = space_count(w->g, node_shape(w->g, n));
    out->buffer_of[n->id] = b.id;
    vec_push(w->a, &out->buffers, b);
    return &out->buffers.v[b.id];
}

static void claim_roots(Grouper *w, Grouping *out, int end)
{
    for (int i = 0; i < w->g->roots.n; i++) {
        const Root *r = &w->g->roots.v[i];
        int at = out->buffer_of[r->e.node->id];
        if (at < 0) continue;
        Buffer *b = &out->buffers.v[at];
        b->last = end;
        if (b->cls != BUF_TEMP || !root_order(w->g, w->a, r)) continue;
        b->cls = root_class(r->kind);
        b->name = r->name;
    }
}

static void read_last(Grouper *w, Grouping *out, int group, const Node *reader)
{
    for (int k = 0; k < w->reads[reader->id].n; k++) {
        int b = out->buffer_of[w->reads[reader->id].v[k].node->id];
        if (b >= 0 && out->buffers.v[b].last < group) out->buffers.v[b].last = group;
    }
}

/* One piece at a time. */
static void shrink(Grouper *w, Grouping *out, Buffer *b)
{
    const Node *n = b->node;
    b->cut = w->cut[n->id];
    b->loop = out->groups.v[b->first].loop;
    const Ix *size = out->loops.v[b->loop - 1].size;
    b->count = space_count(w->g, space_with(w->g, node_shape(w->g, n), b->cut, size));
}

/* All that a loop writes or reads, but pieces, lives while it runs: it comes back. */
static void live_through_loops(Grouping *out)
{
    for (int i = 0; i < out->buffers.n; i++) {
        Buffer *b = &out->buffers.v[i];
        for (int k = 0; k < out->loops.n && !b->loop; k++) {
            const Pieces *p = &out->loops.v[k];
            if (p->first < b->first && b->first <= p->last) b->first = p->first;
            if (p->first <= b->last && b->last < p->last) b->last = p->last;
        }
    }
}

static void add_members(Grouper *w, Grouping *out, const Group *gr)
{
    for (int m = 0; m < gr->members.n; m++) {
        Node *n = gr->members.v[m].node;
        if (!gr->members.v[m].stored) continue;
        Buffer *b = add_buffer(w, out, n, gr->id);
        if (only_its_loop_reads(w, n)) shrink(w, out, b);
    }
}

/* ---- rows ---- */

enum { SAME_SETS = 1024 }; /* floats: rows this far apart begin in the same sets of a cache */

/* Innermost axes of constant extent, if something lies outside them. */
static int row_axes(const Buffer *b, int64_t *length)
{
    const Node *n = b->node;
    int row = 0;
    *length = 1;
    while (row < n->rank && ix_is_const(n->space->ext[b->order[n->rank - 1 - row]]))
        *length *= n->space->ext[b->order[n->rank - 1 - row++]]->c;
    return row < n->rank ? row : 0;
}

/* What a product reads down its columns would come from a few sets of the cache over and over (a
 * weight's gradient from activations 4096 wide took a fifth longer). */
static void pad_rows(Grouper *w, Grouping *out)
{
    for (int i = 0; i < w->products.n; i++) {
        const Contraction *c = &w->products.v[i];
        if (w->product[c->sum->id] < 0) continue; /* loops compute it after all */
        for (int k = 0; k < 2; k++) {
            int at = out->buffer_of[k ? c->b.node->id : c->a.node->id];
            Buffer *b = at >= 0 ? &out->buffers.v[at] : NULL;
            int64_t length;
            int row = b && b->cls == BUF_TEMP && !b->row ? row_axes(b, &length) : 0;
            if (!row || length % SAME_SETS) continue;
            b->row = row;
            const Ix *rows = ix_div(w->g, b->count, ix_const(w->g, length), NULL);
            b->count = ix_add(w->g, b->count, ix_scale(w->g, rows, ROW_PAD));
        }
    }
}

void group_buffers(Grouper *w, Grouping *out)
{
    int n = w->g->nodes.n, end = out->groups.n ? out->groups.n - 1 : 0;
    for (int i = 0; i < n; i++) {
        Node *x = w->g->nodes.v[i];
        out->buffer_of[i] = -1;
        if (!is_stored_leaf(x)) continue;
        Buffer *b = add_buffer(w, out, x, 0);
        b->cls = leaf_class(x);
        b->name = x->attr.leaf.name;
        b->last = end;
    }
    for (int gi = 0; gi < out->groups.n; gi++) add_members(w, out, &out->groups.v[gi]);
    for (int gi = 0; gi < out->groups.n; gi++)
        for (int m = 0; m < out->groups.v[gi].members.n; m++)
            read_last(w, out, gi, out->groups.v[gi].members.v[m].node);
    live_through_loops(out);
    claim_roots(w, out, end);
    pad_rows(w, out);
}
