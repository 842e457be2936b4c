/* group_private.c: the members of a group in order, with light values that are worth computing once
 * per block.
 *
 * Softmax's exp(s - m) is read by the sum and by the quotient: inlined it would be computed twice,
 * stored it would cross memory. Inside one group it becomes a private row. A light value may become
 * private in several groups.
 *
 * Walks light values from the last to the first, so that a value under a private one counts once
 * per position of that, not of every reader.
 */
#include "passes/group.h"

enum { LEAST_OPERATIONS = 4 };
#define MOST_PRIVATE 65536.0   /* bytes of one private light value */
#define MOST_BLOCK   262144.0  /* bytes that all private values of a block may take */
#define MOST_SCORES  1048576.0 /* ... where products are among them */

typedef struct {
    const Node *reader;  /* kept member, or light value made private */
    const int8_t *block; /* per axis of the reader's space: block axis, or -1 */
    int cut;             /* the axis of the reader's space that a loop cuts; -1: none */
    const Map *map;
} Use;

typedef struct {
    Node *node;
    VEC(Use) uses;
    int8_t *block;     /* made private: per axis; else NULL */
    int cut;           /* ... and the axis that a loop cuts */
    double operations; /* of one evaluation, light values below included unless private */
} Light;

typedef struct {
    Grouper *w;
    int cluster;
    VEC(Light) lights; /* by rising id */
    const Node *reader;
    const int8_t *block;
    int cut;
    const Map *map; /* of the node being expanded over the reader's space; NULL: it is the reader */
} Private;

static int light_at(Private *p, Node *n)
{
    int lo = 0, hi = p->lights.n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (p->lights.v[mid].node->id < n->id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < p->lights.n && p->lights.v[lo].node == n) return lo;
    vec_push(p->w->a, &p->lights, (Light){.node = n, .operations = -1});
    for (int i = p->lights.n - 1; i > lo; i--) {
        Light t = p->lights.v[i];
        p->lights.v[i] = p->lights.v[i - 1];
        p->lights.v[i - 1] = t;
    }
    return lo;
}

/* Valid until the next light value comes in. */
static Light *light_of(Private *p, Node *n)
{
    int at = light_at(p, n);
    return &p->lights.v[at];
}

static void add_use(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Private *p = ctx;
    Grouper *w = p->w;
    if (w->kept[e.node->id] || is_stored_leaf(e.node)) return;
    if (!e.node->nargs && e.node->op != OP_idx && e.node->op != OP_rand) return;
    const Map *map = p->map ? map_subst(w->g, e.map, p->map, p->reader->space) : e.map;
    Light *l = light_of(p, e.node);
    for (int i = 0; i < l->uses.n; i++)
        if (l->uses.v[i].reader == p->reader && l->uses.v[i].map == map) return;
    vec_push(w->a, &l->uses, (Use){p->reader, p->block, p->cut, map});
}

/* ---- is it the same value for all readers of a block? ---- */

/* Which block axis each dimension of n is, if all uses agree and every block axis occurs once. */
static int8_t *block_axes(Private *p, const Light *l)
{
    Grouper *w = p->w;
    const Cluster *c = &w->clusters.v[p->cluster];
    const Node *n = l->node;
    int8_t *block = NEW_N(w->a, int8_t, n->rank + 1);
    for (int u = 0; u < l->uses.n; u++) {
        const Use *use = &l->uses.v[u];
        uint64_t seen = 0;
        for (int d = 0; d < n->rank; d++) {
            int x = ix_bare_axis(use->map->ix[d]);
            int b = x >= 0 ? use->block[x] : -1;
            if (b >= 0 && (seen >> b & 1 || !ix_proves_eq(w->g, c->ext[b], n->space->ext[d])))
                b = -1;
            if (u && block[d] != b) return NULL;
            block[d] = (int8_t)b;
            if (b >= 0) seen |= 1ull << b;
        }
        if (seen != (1ull << c->nblock) - 1) return NULL;
    }
    return block;
}

/* Members that n reads through light values must be read at the block's own coordinates too. */
static bool reads_own_block(Private *p, const Node *n, const int8_t *block)
{
    Grouper *w = p->w;
    Reads under = {0};
    reads_under(w, edge_identity(w->g, (Node *)n), n->space, &under);
    for (int i = 0; i < under.n; i++) {
        const Read *r = &under.v[i];
        int c = w->cluster[r->node->id];
        if (c < 0 || group_find(w, c) != p->cluster) continue;
        for (int d = 0; d < r->node->rank; d++) {
            int b = w->block[r->node->id][d], x = ix_bare_axis(r->map->ix[d]);
            if (b >= 0 && (x < 0 || block[x] != b)) return false;
        }
    }
    return true;
}

/* Where a loop runs over pieces, the axis of n that is the one it cuts, for all uses and in what n
 * reads of the loop; -1 if there is none. */
static int cut_axis(Private *p, const Light *l, int loop)
{
    Grouper *w = p->w;
    Reads under = {0};
    int cut = -1;
    for (int d = 0; d < l->node->rank && cut < 0; d++) {
        bool all = true;
        for (int u = 0; u < l->uses.n && all; u++) {
            int x = ix_bare_axis(l->uses.v[u].map->ix[d]);
            all = x >= 0 && x == l->uses.v[u].cut;
        }
        if (all) cut = d;
    }
    reads_under(w, edge_identity(w->g, l->node), l->node->space, &under);
    for (int i = 0; i < under.n && cut >= 0; i++) {
        int id = under.v[i].node->id, from = w->loop[id] == loop ? w->cut[id] : -1;
        if (from >= 0 && ix_bare_axis(under.v[i].map->ix[from]) != cut) cut = -1;
    }
    return cut;
}

double private_bytes(const Grouper *w, const Node *n, const int8_t *block)
{
    double bytes = dtype_bytes(n->dt);
    for (int d = 0; d < n->rank; d++)
        if (block[d] < 0) bytes *= size_at(n->space->ext[d], w->syms);
    return bytes;
}

static double operations(Private *p, Node *n);

typedef struct {
    Private *p;
    double sum;
} Sum;

static void sum_operations(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Sum *s = ctx;
    if (!s->p->w->kept[e.node->id] && is_light(e.node)) s->sum += operations(s->p, e.node);
    if (s->sum > 1e4) s->sum = 1e4;
}

static double operations(Private *p, Node *n)
{
    Light *l = light_of(p, n);
    if (l->operations >= 0) return l->operations;
    Sum s = {p, op_info[n->op].cost};
    device_reads(n, sum_operations, &s);
    light_of(p, n)->operations = s.sum;
    return s.sum;
}

/* Is the value needed whenever the group runs? One side of a branch isn't: what it reads may be
 * missing. */
static bool always_needed(const Private *p, const Node *n)
{
    const WhenSet *own = p->w->when[n->id], *group = p->w->clusters.v[p->cluster].when;
    for (int i = 0; i < own->n; i++) {
        bool held = false;
        for (int k = 0; k < group->n; k++)
            held |=
                edge_eq(own->w[i].cond, group->w[k].cond) && own->w[i].value == group->w[k].value;
        if (!held) return false;
    }
    return true;
}

static void decide(Private *p, int at)
{
    Grouper *w = p->w;
    Light *l = &p->lights.v[at];
    double own = elements_at(l->node, w->syms), times = 0;
    bool operand = w->operand[l->node->id];
    for (int i = 0; i < l->uses.n; i++) times += space_at(l->uses.v[i].reader->space, w->syms);
    if ((times < 1.5 * own && !operand) || !always_needed(p, l->node)) return;
    Node *n = l->node;
    double work = operations(p, n);
    l = light_of(p, n); /* others may have come in before it */
    bool gain = work >= LEAST_OPERATIONS && times * work > own * (work + 1) + times;
    if (!gain && !operand) return;
    int8_t *block = block_axes(p, l);
    if (!block) return;
    if (private_bytes(w, l->node, block) > (operand ? MOST_SCORES : MOST_PRIVATE)) return;
    int loop = w->clusters.v[p->cluster].loop;
    l->cut = loop >= 0 ? cut_axis(p, l, loop) : -1;
    if (loop >= 0 && l->cut < 0) return;
    if (reads_own_block(p, l->node, block)) l->block = block;
}

static void expand(Private *p, int at)
{
    Light l = p->lights.v[at];
    if (l.block) {
        p->reader = l.node;
        p->block = l.block;
        p->cut = l.cut;
        p->map = NULL;
        device_reads(l.node, add_use, p);
        return;
    }
    for (int i = 0; i < l.uses.n; i++) {
        p->reader = l.uses.v[i].reader;
        p->block = l.uses.v[i].block;
        p->cut = l.uses.v[i].cut;
        p->map = l.uses.v[i].map;
        device_reads(l.node, add_use, p);
    }
}

static void add_lights(Private *p, double *room)
{
    Grouper *w = p->w;
    for (int at = p->lights.n - 1; at >= 0;) {
        const Node *n = p->lights.v[at].node;
        decide(p, at);
        at = light_at(p, (Node *)n);
        Light *l = &p->lights.v[at];
        if (l->block) {
            double bytes = private_bytes(w, n, l->block);
            if (bytes > *room)
                l->block = NULL;
            else
                *room -= bytes;
        }
        expand(p, at);
        at = light_at(p, (Node *)n) - 1;
    }
}

/* ---- members ---- */

static bool read_outside(const Grouper *w, int id, int cluster)
{
    if (w->root[id]) return true;
    for (int i = 0; i < w->readers[id].n; i++)
        if (group_find(w, w->cluster[w->readers[id].v[i]]) != cluster) return true;
    return false;
}

static Member member(const Node *n, const int8_t *block, int cut, bool stored)
{
    Member m = {.node = (Node *)n, .stored = stored, .cut = (int8_t)cut};
    memset(m.axis, -1, sizeof m.axis);
    for (int i = 0; i < n->space->n; i++) m.axis[i] = block[i];
    return m;
}

/* Private values that don't fit a block's memory are stored, the largest first. Returns the room
 * left. */
static double spill(const Grouper *w, bool products, Group *out)
{
    for (;;) {
        double room = products ? MOST_SCORES : MOST_BLOCK, most = 0;
        int largest = -1;
        for (int i = 0; i < out->members.n; i++) {
            const Member *m = &out->members.v[i];
            double bytes = m->stored ? 0 : private_bytes(w, m->node, m->axis);
            room -= bytes;
            if (bytes > most) {
                most = bytes;
                largest = i;
            }
        }
        if (room >= 0 || largest < 0) return room;
        out->members.v[largest].stored = true;
    }
}

static void insert_lights(const Private *p, Group *out)
{
    Grouper *w = p->w;
    for (int i = 0; i < p->lights.n; i++) {
        const Light *l = &p->lights.v[i];
        if (!l->block) continue;
        Member m = member(l->node, l->block, l->cut, false);
        vec_push(w->a, &out->members, m);
        for (int k = out->members.n - 1; k > 0 && out->members.v[k - 1].node->id > l->node->id;
             k--) {
            out->members.v[k] = out->members.v[k - 1];
            out->members.v[k - 1] = m;
        }
    }
}

void group_members(Grouper *w, int cluster, Group *out)
{
    const Cluster *c = &w->clusters.v[cluster];
    for (int i = 0; i < c->members.n; i++) {
        int id = c->members.v[i];
        bool stored = c->product || w->unfused || read_outside(w, id, cluster);
        Member m = member(w->g->nodes.v[id], w->block[id], w->cut[id], stored);
        vec_push(w->a, &out->members, m);
    }
    if (c->product || w->unfused) return;
    double room = spill(w, c->inner, out);
    Private p = {.w = w, .cluster = cluster};
    for (int i = 0; i < c->members.n; i++) {
        p.reader = w->g->nodes.v[c->members.v[i]];
        p.block = w->block[p.reader->id];
        p.cut = w->cut[p.reader->id];
        device_reads(p.reader, add_use, &p);
    }
    add_lights(&p, &room);
    insert_lights(&p, out);
}
