/* group.c: the pass that decides what is stored and what is computed together.
 *
 * Needs contractions, makes groups. The graph stays as it is; the result is Unit.groups:
 *
 *   before  %3 = sub %1[i0] %2        %4 = exp %3     %5 = sum over [i] %4     %6 = div %4[i0] %5
 *   after   one group, block = the axes that all four have: %5 and a private row of %4, then %6,
 * stored
 *
 * group-none is the same with every node kept and nothing merged.
 */
#include <stdlib.h>
#include "passes/group.h"

static Grouper *grouper_new(Unit *u, bool unfused)
{
    Graph *g = u->graph;
    Arena *a = u->arena;
    int n = g->nodes.n;
    Grouper *w = NEW(a, Grouper);
    *w = (Grouper){.u = u, .g = g, .a = a, .syms = hint_syms(u), .unfused = unfused};
    w->device = NEW_N(a, bool, n);
    w->host = NEW_N(a, bool, n);
    w->kept = NEW_N(a, bool, n);
    w->root = NEW_N(a, bool, n);
    w->phase = NEW_N(a, Phase, n);
    w->when = NEW_N(a, const WhenSet *, n);
    w->reads = NEW_N(a, Reads, n);
    w->readers = NEW_N(a, Ints, n);
    w->cluster = NEW_N(a, int, n);
    w->block = NEW_N(a, int8_t *, n);
    w->product = NEW_N(a, int, n);
    w->elements = NEW_N(a, double, n);
    w->operand = NEW_N(a, bool, n);
    w->inner = inner_find(g, w->syms);
    for (int i = 0; i < n; i++) {
        w->cluster[i] = w->product[i] = -1;
        w->elements[i] = elements_at(g->nodes.v[i], w->syms);
    }
    return w;
}

/* ---- orders in memory ---- */

enum { MANY_LANES = 64 };
static const double OWN_VOTE = 0.25; /* against the axes of loops that are known */

static void vote(Grouper *w, double **votes, const Node *n, int axis, double elements)
{
    if (!votes[n->id]) votes[n->id] = NEW_N(w->a, double, MAX_AXES);
    votes[n->id][axis] += elements;
}

/* May lanes run along the axis? What is looped inside a block may; so may the results of sums down
 * columns, where each block has a few of many columns. */
static bool may_run_along(const Grouper *w, const Node *n, const int8_t *block, int x)
{
    const Cluster *c = &w->clusters.v[group_find(w, w->cluster[n->id])];
    return block[x] < 0 || (c->nblock == 1 && size_at(n->space->ext[x], w->syms) >= MANY_LANES);
}

/* What lanes run along is best contiguous, in what the member reads and in itself. */
static void member_votes(Grouper *w, double **votes, const Node *n)
{
    const int8_t *block = w->block[n->id];
    int8_t rows[MAX_AXES];
    int keyed = scat_listed(n);
    if (keyed >= 0) { /* positions come from a list; what lies beside them is looped */
        for (int x = 0; x < n->space->n; x++)
            rows[x] =
                (int8_t)(x >= n->rank || x == keyed || n->attr.key[keyed]->axes >> x & 1 ? 0 : -1);
        block = rows;
    }
    double elements = space_at(n->space, w->syms);
    for (int x = 0; x < n->rank; x++)
        if (may_run_along(w, n, block, x)) vote(w, votes, n, x, elements);
    for (int k = 0; k < w->reads[n->id].n; k++) {
        const Read *r = &w->reads[n->id].v[k];
        for (int d = 0; d < r->map->n; d++)
            for (int x = 0; x < n->space->n; x++) {
                const Ix *coef, *rest;
                if (!(r->map->ix[d]->axes >> x & 1) || !may_run_along(w, n, block, x)) continue;
                if (ix_affine(w->g, r->map->ix[d], x, &coef, &rest) && ix_is(coef, 1))
                    vote(w, votes, r->node, d, elements);
            }
    }
}

/* Else what a value is read along fastest, as it lies in memory itself. */
static void own_votes(Grouper *w, double **votes, const Node *n)
{
    double elements = space_at(n->space, w->syms);
    for (int k = 0; k < w->reads[n->id].n; k++) {
        const Read *r = &w->reads[n->id].v[k];
        bool voted = false;
        for (int i = n->rank - 1; i >= 0 && !voted; i--)
            for (int d = 0; d < r->map->n && !voted; d++) {
                const Ix *coef, *rest;
                int x = w->order[n->id][i];
                if (!(r->map->ix[d]->axes >> x & 1)) continue;
                voted = ix_affine(w->g, r->map->ix[d], x, &coef, &rest) && ix_is(coef, 1);
                if (voted) vote(w, votes, r->node, d, OWN_VOTE * elements);
            }
    }
}

/* A contraction that no order suits is computed by loops. */
static void loops_instead(Grouper *w, const Node *sum)
{
    Cluster *c = &w->clusters.v[w->cluster[sum->id]];
    c->product = false;
    for (int x = 0; x < sum->rank; x++) {
        w->block[sum->id][x] = (int8_t)c->nblock;
        if (x == w->cut[sum->id]) c->cut = (int8_t)c->nblock;
        c->ext[c->nblock++] = sum->space->ext[x];
    }
    w->product[sum->id] = -1;
}

static void first_layout(Grouper *w)
{
    w->order = layout_choose(w->g, w->a, w->syms, w->products.v, w->products.n,
                             layout_fixed(w->g, w->a), NULL);
}

static void vote_layout(Grouper *w)
{
    Graph *g = w->g;
    double **votes = NEW_N(w->a, double *, g->nodes.n);
    for (int i = 0; i < g->nodes.n; i++)
        if (w->kept[i] && w->product[i] < 0) {
            member_votes(w, votes, g->nodes.v[i]);
            own_votes(w, votes, g->nodes.v[i]);
        }
    w->order =
        layout_choose(g, w->a, w->syms, w->products.v, w->products.n, layout_fixed(g, w->a), votes);
}

static void choose_layout(Grouper *w)
{
    Graph *g = w->g;
    vote_layout(w);
    vote_layout(w); /* what is read follows its readers */
    w->built = NEW_N(w->a, Product, w->products.n);
    for (int i = 0; i < w->products.n; i++)
        if (product_build(g, w->syms, &w->products.v[i], w->order, &w->built[i]) != PRODUCT_OK)
            loops_instead(w, w->products.v[i].sum);
}

/* ---- clusters to groups ---- */

/* Block axes outermost first, as they lie in the group's largest stored value: the last is the most
 * contiguous. */
static void sort_block(Grouper *w, Group *gr, const Cluster *c)
{
    const Member *largest = NULL;
    double most = -1;
    int n = 0;
    const Ix *ext[MAX_AXES];
    int8_t to[MAX_AXES];
    for (int i = 0; i < gr->members.n; i++) {
        const Member *m = &gr->members.v[i];
        double bytes = bytes_at(m->node, w->syms) * (m->stored ? 2 : 1);
        if (bytes > most) {
            most = bytes;
            largest = m;
        }
    }
    for (int i = 0; i < largest->node->rank; i++) {
        int b = largest->axis[w->order[largest->node->id][i]];
        if (b < 0) continue;
        to[b] = (int8_t)n;
        ext[n++] = c->ext[b];
    }
    gr->block = space_make(w->g, n, ext);
    for (int i = 0; i < gr->members.n; i++)
        for (int x = 0; x < gr->members.v[i].node->space->n; x++)
            if (gr->members.v[i].axis[x] >= 0)
                gr->members.v[i].axis[x] = to[gr->members.v[i].axis[x]];
}

enum { BLOCKS_LEFT = 256, LISTS_LEFT = 16, MOST_INNER = 4096, MOST_ROW_BYTES = 32768 };

static double private_total(const Grouper *w, const Group *gr)
{
    double bytes = 0;
    for (int i = 0; i < gr->members.n; i++)
        if (!gr->members.v[i].stored)
            bytes += private_bytes(w, gr->members.v[i].node, gr->members.v[i].axis);
    return bytes;
}

/* Where blocks abound, the innermost axes are better loops inside them: a block is then a row of
 * contiguous elements, not one. */
static void shorten_block(Grouper *w, Group *gr, const Cluster *c)
{
    double blocks = cluster_blocks(w, c), inner = 1;
    int n = gr->block->n, least = 0;
    for (int i = 0; i < gr->members.n; i++) {
        int keyed = scat_listed(gr->members.v[i].node);
        if (keyed >= 0 && gr->members.v[i].axis[keyed] >= least)
            least = gr->members.v[i].axis[keyed] + 1;
    }
    for (; n > least; n--) {
        double ext = size_at(gr->block->ext[n - 1], w->syms);
        if (blocks / ext < (least ? LISTS_LEFT : BLOCKS_LEFT) || inner * ext > MOST_INNER) break;
        if (private_total(w, gr) * inner * ext > MOST_ROW_BYTES) break;
        blocks /= ext;
        inner *= ext;
    }
    gr->block = space_slice(w->g, gr->block, 0, n);
    for (int i = 0; i < gr->members.n; i++)
        for (int x = 0; x < gr->members.v[i].node->space->n; x++)
            if (gr->members.v[i].axis[x] >= n) gr->members.v[i].axis[x] = -1;
}

static Group make_group(Grouper *w, int cluster, int id)
{
    const Cluster *c = &w->clusters.v[cluster];
    Group gr = {.kind = c->product ? GROUP_PRODUCT : GROUP_LOOPS, .id = id, .phase = c->phase};
    gr.loop = c->loop + 1;
    group_members(w, cluster, &gr);
    gr.loc = w->g->nodes.v[c->members.v[c->members.n - 1]]->loc;
    for (int i = 0; i < c->when->n; i++) vec_push(w->a, &gr.when, c->when->w[i]);
    if (c->product) {
        gr.product = w->built[w->product[c->members.v[0]]];
        gr.block = space_make(w->g, 0, NULL);
    } else {
        sort_block(w, &gr, c);
        if (!w->unfused && !c->inner) shorten_block(w, &gr, c);
    }
    return gr;
}

/* Every producer and consumer in different groups, once. */
static void explain_apart(Grouper *w, Grouping *out)
{
    VEC(struct Edge_) apart = {0};
    for (int i = 0; i < w->g->nodes.n; i++) {
        if (!w->kept[i]) continue;
        int a = group_find(w, w->cluster[i]);
        for (int k = 0; k < w->readers[i].n; k++) {
            int to = w->readers[i].v[k], b = group_find(w, w->cluster[to]);
            if (a == b) continue;
            const char *why = w->unfused ? "fusion is off" : group_obstacle(w, a, b);
            vec_push(w->a, &apart, (struct Edge_){i, to, why ? why : "nothing to gain"});
        }
    }
    out->apart = apart.v;
    out->napart = apart.n;
}

/* Loops in order of execution. */
static void number_loops(Grouper *w, Grouping *out)
{
    int *number = NEW_N(w->a, int, w->loops.n + 1);
    for (int i = 0; i < out->groups.n; i++) {
        Group *gr = &out->groups.v[i];
        if (!gr->loop) continue;
        int *k = &number[gr->loop - 1];
        if (!*k) {
            vec_push(w->a, &out->loops, w->loops.v[gr->loop - 1]);
            *k = out->loops.n;
            out->loops.v[*k - 1].first = i;
        }
        gr->loop = *k;
        out->loops.v[*k - 1].last = i;
    }
}

static void group_unit(Unit *u, bool unfused)
{
    Grouper *w = grouper_new(u, unfused);
    group_needs(w);
    group_keep(w);
    group_reads(w);
    group_pieces(w);
    first_layout(w);
    group_merge(w);
    choose_layout(w);
    Grouping *out = NEW(u->arena, Grouping);
    Ints order = group_order(w);
    for (int i = 0; i < order.n; i++)
        vec_push(u->arena, &out->groups, make_group(w, order.v[i], i));
    number_loops(w, out);
    out->buffer_of = NEW_N(u->arena, int, u->graph->nodes.n);
    out->host = w->host;
    group_buffers(w, out);
    explain_apart(w, out);
    u->groups = out;
}

void pass_group(Unit *u) { group_unit(u, false); }

void pass_group_none(Unit *u) { group_unit(u, true); }
