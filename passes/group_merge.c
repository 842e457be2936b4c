/* group_merge.c: clusters of kept nodes, merged greedily while they can share a block.
 *
 * A block computes all members of its cluster at its own coordinates: positions along the *block
 * axes*. An axis can be one if it is an out axis of every member, is reduced by none, and if
 * members read each other only at the same position of it. So a new cluster has the out axes of its
 * node as block axes, and a merged one those pairs of axes that every read between the two
 * confirms:
 *
 *     softmax   s[b,i,j]   m[b,i] = max over j   z[b,i] = sum over j of exp(s - m)   p[b,i,j] =
 * exp(s - m) / z block axes b, i: m and z are read at [b,i] by p, which has j besides: j is looped
 * in the block
 *
 * The pairs with most to gain in memory traffic are tried first, twice over; a merge must leave
 * enough blocks, and no third cluster may lie between the two.
 */
#include <stdlib.h>
#include "passes/group.h"

enum {
    SIBLINGS_APART = 64,  /* in nodes; further apart, what they read would stay alive longer */
    ENOUGH_LARGE = 16,    /* of blocks with products inside: each is long work */
    ENOUGH_BLOCKS = 256,  /* keeps every core busy, also where lanes of a vector take several */
    SMALL_WORK = 1 << 15, /* evaluations that one core does in the time of a launch */
    MOST_MEMBERS = 40,
    FAR_APART = 150, /* in nodes */
    MOST_ROUNDS = 4,
    VECTOR = 16
};
#define ALIVE_BYTES 65536.0
#define TABLE_BYTES 65536.0
enum { UNSEEN = -2, NONE = -1 };

int group_find(const Grouper *w, int c)
{
    while (w->leader[c] != c) c = w->leader[c] = w->leader[w->leader[c]];
    return c;
}

/* ---- clusters of one node ---- */

static void new_cluster(Grouper *w, const Node *n)
{
    Cluster c = {.phase = w->phase[n->id], .when = w->when[n->id]};
    c.loop = w->loop[n->id], c.cut = NONE;
    c.product = w->product[n->id] >= 0;
    c.inner = w->inner.inner[n->id];
    vec_push(w->a, &c.members, n->id);
    int8_t *block = NEW_N(w->a, int8_t, n->space->n + 1);
    for (int i = 0; i < n->space->n; i++) {
        block[i] = NONE;
        if (c.product || !may_be_block(n, i)) continue;
        block[i] = (int8_t)c.nblock;
        if (i == w->cut[n->id]) c.cut = block[i];
        bool keep = w->inner.kept[n->id] >> i & 1 || i == scat_listed(n);
        if (!w->unfused && keep) c.protect |= 1ull << c.nblock;
        c.ext[c.nblock++] = n->space->ext[i];
    }
    w->block[n->id] = block;
    w->cluster[n->id] = w->clusters.n;
    vec_push(w->a, &w->clusters, c);
}

static void link_clusters(Grouper *w)
{
    int n = w->clusters.n, words = (n + 63) / 64;
    w->leader = NEW_N(w->a, int, n);
    w->reach = NEW_N(w->a, uint64_t *, n);
    uint64_t *bits = NEW_N(w->a, uint64_t, (size_t)n * (size_t)words);
    for (int i = 0; i < n; i++) {
        w->leader[i] = i;
        w->reach[i] = bits + (size_t)i * (size_t)words;
        const Reads *r = &w->reads[w->clusters.v[i].members.v[0]];
        for (int k = 0; k < r->n; k++) {
            int from = w->cluster[r->v[k].node->id];
            if (from < 0) continue;
            vec_push(w->a, &w->clusters.v[i].from, from);
            vec_push(w->a, &w->clusters.v[from].to, i);
        }
    }
    for (int i = n - 1; i >= 0; i--) { /* readers have higher numbers */
        const Ints *to = &w->clusters.v[i].to;
        for (int k = 0; k < to->n; k++) {
            set_bit(w->reach[i], to->v[k]);
            for (int j = 0; j < words; j++) w->reach[i][j] |= w->reach[to->v[k]][j];
        }
    }
}

/* ---- which block axes two clusters share ---- */

typedef struct {
    int8_t with[MAX_AXES]; /* block axis of a -> of b; NONE, UNSEEN */
    bool edges;            /* b reads a */
    bool table;            /* ... which is a large scatter */
} Pairing;

/* A scatter writes here and there: in a block it would be a row of keyed positions for each of the
 * other axes, in which every one of them walks all that is summed. */
static bool is_large_table(const Grouper *w, const Node *n)
{
    return n->op == OP_scat && scat_listed(n) < 0 && bytes_at(n, w->syms) > TABLE_BYTES;
}

/* b's member c reads a's member r.node: at its own position of which axes? */
static void confirm(Grouper *w, const Cluster *a, const Cluster *b, int c, const Read *r,
                    Pairing *p)
{
    const Node *reader = w->g->nodes.v[c];
    const int8_t *own = w->block[r->node->id];
    p->edges = true;
    p->table |= is_large_table(w, r->node);
    for (int d = 0; d < r->node->rank; d++) {
        int ba = own[d];
        if (ba < 0) continue;
        int x = ix_bare_axis(r->map->ix[d]);
        int bb = x >= 0 && x < reader->space->n ? w->block[c][x] : NONE;
        if (bb >= 0 && !ix_proves_eq(w->g, a->ext[ba], b->ext[bb])) bb = NONE;
        p->with[ba] = (int8_t)(p->with[ba] == UNSEEN || p->with[ba] == bb ? bb : NONE);
    }
}

static void pair_edges(Grouper *w, int a, int b, Pairing *p)
{
    const Cluster *ca = &w->clusters.v[a], *cb = &w->clusters.v[b];
    for (int i = 0; i < cb->members.n; i++) {
        int c = cb->members.v[i];
        for (int k = 0; k < w->reads[c].n; k++) {
            const Read *r = &w->reads[c].v[k];
            int from = w->cluster[r->node->id];
            if (from >= 0 && group_find(w, from) == a) confirm(w, ca, cb, c, r, p);
        }
    }
}

/* Two reads of one tensor: axes that walk it alike are best walked together. */
static void share(Grouper *w, int a, int b, int ma, const Read *ra, int mb, const Read *rb,
                  Pairing *p)
{
    for (int d = 0; d < ra->map->n; d++) {
        int xa = ix_bare_axis(ra->map->ix[d]), xb = ix_bare_axis(rb->map->ix[d]);
        if (xa < 0 || xb < 0) continue;
        int ba = w->block[ma][xa], bb = w->block[mb][xb];
        if (ba < 0 || bb < 0 || p->with[ba] != UNSEEN) continue;
        for (int k = 0; k < w->clusters.v[a].nblock; k++)
            if (p->with[k] == bb) bb = NONE;
        if (bb >= 0 && ix_proves_eq(w->g, w->clusters.v[a].ext[ba], w->clusters.v[b].ext[bb]))
            p->with[ba] = (int8_t)bb;
    }
}

static void pair_shared(Grouper *w, int a, int b, Pairing *p)
{
    const Ints *in_a = &w->clusters.v[a].members, *in_b = &w->clusters.v[b].members;
    for (int i = 0; i < in_a->n; i++)
        for (int j = 0; j < in_b->n; j++) {
            const Reads *ra = &w->reads[in_a->v[i]], *rb = &w->reads[in_b->v[j]];
            for (int k = 0; k < ra->n; k++)
                for (int l = 0; l < rb->n; l++)
                    if (ra->v[k].node == rb->v[l].node)
                        share(w, a, b, in_a->v[i], &ra->v[k], in_b->v[j], &rb->v[l], p);
        }
}

/* Nothing is read between the two: axes of equal extent may as well be walked together. */
static void pair_rest(Grouper *w, int a, int b, Pairing *p)
{
    const Cluster *ca = &w->clusters.v[a], *cb = &w->clusters.v[b];
    uint64_t taken = 0;
    for (int i = 0; i < ca->nblock; i++)
        if (p->with[i] >= 0) taken |= 1ull << p->with[i];
    for (int i = 0; i < ca->nblock; i++)
        for (int k = 0; k < cb->nblock && p->with[i] < 0; k++)
            if (!(taken >> k & 1) && ix_proves_eq(w->g, ca->ext[i], cb->ext[k])) {
                p->with[i] = (int8_t)k;
                taken |= 1ull << k;
            }
}

/* Blocks that run at once: within a loop over pieces, those of a piece. */
static double blocks_along(const Grouper *w, const Cluster *c, int axis)
{
    double n = size_at(c->ext[axis], w->syms);
    if (c->loop < 0 || axis != c->cut) return n;
    double piece = size_at(w->loops.v[c->loop].size, w->syms);
    return piece < n ? piece : n;
}

/* The shared block axes; two of a that meet one of b can't both be kept, nor can an axis that a
 * loop cuts in only one of the two. */
static double pair_clusters(Grouper *w, int a, int b, Pairing *p)
{
    const Cluster *ca = &w->clusters.v[a], *cb = &w->clusters.v[b];
    p->edges = p->table = false;
    memset(p->with, UNSEEN, sizeof p->with);
    pair_edges(w, a, b, p);
    if (!p->edges) {
        pair_shared(w, a, b, p);
        pair_rest(w, a, b, p);
    }
    double blocks = 1;
    uint64_t taken = 0;
    for (int i = 0; i < ca->nblock; i++) {
        bool cut_alike = (i == ca->cut) == (p->with[i] == cb->cut);
        if (p->with[i] < 0 || taken >> p->with[i] & 1 || !cut_alike) p->with[i] = NONE;
        if (p->with[i] < 0) continue;
        taken |= 1ull << p->with[i];
        blocks *= blocks_along(w, ca, i);
    }
    return blocks;
}

/* ---- may they merge? ---- */

double cluster_blocks(const Grouper *w, const Cluster *c)
{
    double n = 1;
    for (int i = 0; i < c->nblock; i++) n *= blocks_along(w, c, i);
    return n;
}

static double cluster_work(const Grouper *w, const Cluster *c)
{
    double work = 0;
    for (int i = 0; i < c->members.n; i++)
        work += space_at(w->g->nodes.v[c->members.v[i]]->space, w->syms);
    return work;
}

/* Bytes that c reads, which would stay alive if it ran at node `until`. */
static double kept_alive(const Grouper *w, const Cluster *c, int until)
{
    double bytes = 0;
    for (int i = 0; i < c->members.n; i++)
        for (int k = 0; k < w->reads[c->members.v[i]].n; k++) {
            const Node *n = w->reads[c->members.v[i]].v[k].node;
            const Ints *r = &w->readers[n->id];
            bool anyway = is_stored_leaf(n) || w->root[n->id] || r->v[r->n - 1] >= until;
            if (!anyway) bytes += bytes_at(n, w->syms);
        }
    return bytes;
}

static bool third_between(const Grouper *w, int a, int b)
{
    if (!bit(w->reach[a], b)) return false;
    const Ints *to = &w->clusters.v[a].to;
    for (int i = 0; i < to->n; i++) {
        int x = group_find(w, to->v[i]);
        if (x != a && x != b && bit(w->reach[x], b)) return true;
    }
    return false;
}

static const char *different_times(const Cluster *a, const Cluster *b)
{
    if (a->product && b->product) return "two library products";
    if (b->product) return "an operand of a library product is stored";
    if (a->product) return "the result of a library product is stored";
    if (a->loop != b->loop) return "only one of the two runs in this loop over pieces";
    if (a->phase != b->phase)
        return b->phase == PHASE_BACKWARD ? "forward and backward: stored in between"
                                          : "different phases of the step";
    if (a->when != b->when) return "only one of the two is skipped with a branch";
    return NULL;
}

/* Block axes of the cluster that the pairing keeps: bit per axis. */
static uint64_t kept_axes(const Grouper *w, int a, int cluster, const Pairing *p)
{
    uint64_t kept = 0;
    for (int i = 0; i < w->clusters.v[a].nblock; i++)
        if (p->with[i] >= 0) kept |= 1ull << (cluster == a ? i : p->with[i]);
    return kept;
}

/* Will the loops inside a block still run along memory? Either the contiguous axis of the cluster's
 * largest value is looped inside, or it is a block axis long enough for a vector, or nothing
 * changes. */
static bool runs_along_memory(const Grouper *w, int cluster, uint64_t kept)
{
    const Cluster *c = &w->clusters.v[cluster];
    if (kept == (1ull << c->nblock) - 1) return true;
    const Node *largest = w->g->nodes.v[c->members.v[0]];
    for (int i = 1; i < c->members.n; i++)
        if (w->elements[c->members.v[i]] > w->elements[largest->id])
            largest = w->g->nodes.v[c->members.v[i]];
    if (!largest->rank) return true;
    int last = w->order[largest->id][largest->rank - 1], b = w->block[largest->id][last];
    return b < 0 || !(kept >> b & 1) || size_at(largest->space->ext[last], w->syms) >= VECTOR;
}

/* b doesn't come before a. */
static const char *obstacle(Grouper *w, int a, int b, Pairing *p)
{
    const Cluster *ca = &w->clusters.v[a], *cb = &w->clusters.v[b];
    const char *why = different_times(ca, cb);
    if (why) return why;
    if (ca->members.n + cb->members.n > MOST_MEMBERS)
        return "the group would be too large to compile";
    if (third_between(w, a, b)) return "a third group lies between";
    int gap = cb->members.v[0] - ca->members.v[ca->members.n - 1];
    if (gap > FAR_APART && !ca->inner && kept_alive(w, ca, cb->members.v[0]) > ALIVE_BYTES)
        return "far apart: what the first reads would stay alive until the second runs";
    double blocks = pair_clusters(w, a, b, p);
    if (ca->protect & ~kept_axes(w, a, a, p) || cb->protect & ~kept_axes(w, a, b, p))
        return "an axis along which scores, or positions by key, lie apart would be lost";
    if (p->table) return "a scatter fills its whole table before it can be read";
    double need_a = cluster_blocks(w, ca), need_b = cluster_blocks(w, cb);
    double need = need_a > need_b ? need_a : need_b;
    double enough = ca->inner || cb->inner ? ENOUGH_LARGE : ENOUGH_BLOCKS;
    if (blocks < (need < enough ? need : enough) &&
        cluster_work(w, ca) + cluster_work(w, cb) > SMALL_WORK) {
        if (blocks <= 1) return "no block axis in common: one needs all positions of the other";
        return arena_printf(w->a, "common block axes leave only %.0f blocks", blocks);
    }
    if (ca->inner || cb->inner) return NULL;
    if (!p->edges && 2 * blocks < (need_a < need_b ? need_a : need_b))
        return "together they would have fewer blocks than either";
    if (!runs_along_memory(w, a, kept_axes(w, a, a, p)) ||
        !runs_along_memory(w, b, kept_axes(w, a, b, p)))
        return "common block axes leave loops that jump through memory";
    return NULL;
}

const char *group_obstacle(Grouper *w, int a, int b)
{
    Pairing p;
    return obstacle(w, a, b, &p);
}

/* ---- merging ---- */

static void renumber_blocks(Grouper *w, const Ints *members, const int8_t *to)
{
    for (int i = 0; i < members->n; i++) {
        int8_t *block = w->block[members->v[i]];
        int axes = w->g->nodes.v[members->v[i]]->space->n;
        for (int x = 0; x < axes; x++)
            if (block[x] >= 0) block[x] = to[block[x]];
    }
}

static void sorted_union(Grouper *w, Ints *into, const Ints *with)
{
    for (int i = 0; i < with->n; i++) {
        vec_push(w->a, into, with->v[i]);
        for (int k = into->n - 1; k > 0 && into->v[k - 1] > into->v[k]; k--) {
            int t = into->v[k];
            into->v[k] = into->v[k - 1];
            into->v[k - 1] = t;
        }
    }
}

static void merge_reach(Grouper *w, int a, int b)
{
    int n = w->clusters.n, words = (n + 63) / 64;
    for (int j = 0; j < words; j++) w->reach[a][j] |= w->reach[b][j];
    w->reach[a][a >> 6] &= ~(1ull << (a & 63));
    w->reach[a][b >> 6] &= ~(1ull << (b & 63));
    for (int i = 0; i < n; i++) { /* what reaches both has all that they reach */
        if (i == a || w->leader[i] != i || bit(w->reach[i], a) == bit(w->reach[i], b)) continue;
        set_bit(w->reach[i], a);
        for (int j = 0; j < words; j++) w->reach[i][j] |= w->reach[a][j];
    }
}

static void merge(Grouper *w, int a, int b, const Pairing *p)
{
    Cluster *ca = &w->clusters.v[a], *cb = &w->clusters.v[b];
    int8_t to_a[MAX_AXES], to_b[MAX_AXES];
    int n = 0;
    memset(to_a, NONE, sizeof to_a);
    memset(to_b, NONE, sizeof to_b);
    for (int i = 0; i < ca->nblock; i++) {
        if (p->with[i] < 0) continue;
        to_a[i] = to_b[p->with[i]] = (int8_t)n;
        ca->ext[n++] = ca->ext[i];
    }
    renumber_blocks(w, &ca->members, to_a);
    renumber_blocks(w, &cb->members, to_b);
    uint64_t protect = 0;
    for (int i = 0; i < MAX_AXES; i++) {
        if (ca->protect >> i & 1) protect |= 1ull << to_a[i];
        if (cb->protect >> i & 1) protect |= 1ull << to_b[i];
    }
    ca->protect = protect;
    ca->cut = ca->cut >= 0 ? to_a[ca->cut] : NONE;
    ca->nblock = n;
    ca->inner |= cb->inner;
    sorted_union(w, &ca->members, &cb->members);
    for (int i = 0; i < cb->from.n; i++) vec_push(w->a, &ca->from, cb->from.v[i]);
    for (int i = 0; i < cb->to.n; i++) vec_push(w->a, &ca->to, cb->to.v[i]);
    w->leader[b] = a;
    merge_reach(w, a, b);
}

/* ---- merging over what lies between ---- */

enum { MOST_BETWEEN = 8 };

/* Clusters that together become one, in topological order: a, what lies on paths from a to b, b. */
typedef struct {
    int n, cluster[MOST_BETWEEN + 2];
    int parent[(MOST_BETWEEN + 2) * MAX_AXES]; /* union-find over (cluster, block axis) */
    bool dead[(MOST_BETWEEN + 2) * MAX_AXES];
    bool table;
} Chain;

static int chain_at(const Chain *c, int cluster)
{
    for (int i = 0; i < c->n; i++)
        if (c->cluster[i] == cluster) return i;
    return -1;
}

/* False if too many lie between, or one that can't be merged with anything. */
static bool collect_between(Grouper *w, int from, int a, int b, Chain *c)
{
    const Ints *to = &w->clusters.v[from].to;
    for (int i = 0; i < to->n; i++) {
        int x = group_find(w, to->v[i]);
        if (x == a || x == b || !bit(w->reach[x], b) || chain_at(c, x) >= 0) continue;
        if (c->n > MOST_BETWEEN || different_times(&w->clusters.v[a], &w->clusters.v[x]))
            return false;
        c->cluster[c->n++] = x;
        if (!collect_between(w, x, a, b, c)) return false;
    }
    return true;
}

static void sort_chain(const Grouper *w, Chain *c)
{
    for (int i = 0; i < c->n; i++)
        for (int j = i + 1; j < c->n; j++)
            if (bit(w->reach[c->cluster[j]], c->cluster[i])) {
                int t = c->cluster[i];
                c->cluster[i] = c->cluster[j];
                c->cluster[j] = t;
                j = i; /* the new one may have others before it */
            }
}

static int chain_find(Chain *c, int x)
{
    while (c->parent[x] != x) x = c->parent[x] = c->parent[c->parent[x]];
    return x;
}

static void chain_read(Grouper *w, Chain *c, int at, int reader, const Read *r)
{
    int k = w->cluster[r->node->id], from = k < 0 ? -1 : chain_at(c, group_find(w, k));
    if (from < 0 || from == at) return;
    c->table |= is_large_table(w, r->node);
    for (int d = 0; d < r->node->rank; d++) {
        int p = w->block[r->node->id][d], x = ix_bare_axis(r->map->ix[d]);
        if (p < 0) continue;
        int q = x >= 0 ? w->block[reader][x] : NONE;
        bool same = q >= 0 && ix_proves_eq(w->g, w->clusters.v[c->cluster[from]].ext[p],
                                           w->clusters.v[c->cluster[at]].ext[q]);
        int own = from * MAX_AXES + p;
        if (same)
            c->parent[chain_find(c, own)] = chain_find(c, at * MAX_AXES + q);
        else
            c->dead[own] = true;
    }
}

/* Is the class one axis of every cluster, and read at other places by none? */
static bool shared_class(const Grouper *w, Chain *c, int root)
{
    for (int i = 0; i < c->n; i++) {
        int here = 0;
        for (int x = 0; x < w->clusters.v[c->cluster[i]].nblock; x++) {
            if (chain_find(c, i * MAX_AXES + x) != root) continue;
            here++;
            if (c->dead[i * MAX_AXES + x]) return false;
        }
        if (here != 1) return false;
    }
    return true;
}

static bool chain_has_blocks(Grouper *w, Chain *c)
{
    double need = 1, blocks = 1, work = 0, enough = ENOUGH_BLOCKS;
    int members = 0;
    for (int i = 0; i < COUNT(c->parent); i++) {
        c->parent[i] = i;
        c->dead[i] = false;
    }
    for (int i = 0; i < c->n; i++) {
        const Cluster *cl = &w->clusters.v[c->cluster[i]];
        double own = cluster_blocks(w, cl);
        if (own > need) need = own;
        work += cluster_work(w, cl);
        members += cl->members.n;
        if (cl->inner) enough = ENOUGH_LARGE;
        for (int m = 0; m < cl->members.n; m++)
            for (int k = 0; k < w->reads[cl->members.v[m]].n; k++)
                chain_read(w, c, i, cl->members.v[m], &w->reads[cl->members.v[m]].v[k]);
    }
    const Cluster *first = &w->clusters.v[c->cluster[0]];
    for (int x = 0; x < first->nblock; x++)
        if (shared_class(w, c, chain_find(c, x))) blocks *= blocks_along(w, first, x);
    if (need > enough) need = enough;
    return !c->table && members <= MOST_MEMBERS && (blocks >= need || work <= SMALL_WORK);
}

/* Small statistics between two large values (layer norm's mean) mustn't keep these apart. */
static bool merge_chain(Grouper *w, int a, int b)
{
    Chain c = {.n = 1, .cluster = {a}};
    if (different_times(&w->clusters.v[a], &w->clusters.v[b])) return false;
    if (!collect_between(w, a, a, b, &c) || c.n == 1) return false;
    c.cluster[c.n++] = b;
    sort_chain(w, &c);
    if (!chain_has_blocks(w, &c)) return false;
    bool merged = false;
    for (int i = 1; i < c.n; i++) {
        Pairing p;
        int x = group_find(w, c.cluster[i]), into = group_find(w, a);
        if (x == into || obstacle(w, into, x, &p)) continue;
        merge(w, into, x, &p);
        merged = true;
    }
    return merged;
}

/* ---- what to try ---- */

typedef struct {
    double gain; /* bytes that needn't cross memory */
    int a, b;    /* kept nodes */
} Candidate;
typedef VEC(Candidate) Candidates;

static int by_gain(const void *px, const void *py)
{
    const Candidate *x = px, *y = py;
    if (x->gain != y->gain) return x->gain < y->gain ? 1 : -1;
    return x->a != y->a ? x->a - y->a : x->b - y->b;
}

/* Walking the tensor together pays only if it is most of what each of them reads. */
static bool mostly_reads(const Grouper *w, int reader, double bytes)
{
    double most = 0;
    for (int k = 0; k < w->reads[reader].n; k++) {
        double b = bytes_at(w->reads[reader].v[k].node, w->syms);
        if (b > most) most = b;
    }
    return 2 * bytes >= most;
}

static void add_candidates(Grouper *w, int id, Candidates *out)
{
    const Ints *r = &w->readers[id];
    double bytes = bytes_at(w->g->nodes.v[id], w->syms);
    bool leaves = w->root[id] || r->n > 1;
    for (int i = 0; w->kept[id] && i < r->n; i++)
        vec_push(w->a, out, (Candidate){leaves ? bytes : 2 * bytes, id, r->v[i]});
    for (int i = 0; i + 1 < r->n; i++)
        if (mostly_reads(w, r->v[i], bytes) && mostly_reads(w, r->v[i + 1], bytes))
            vec_push(w->a, out, (Candidate){0.9 * bytes, r->v[i], r->v[i + 1]});
}

static bool try_merge(Grouper *w, const Candidate *c)
{
    int a = group_find(w, w->cluster[c->a]), b = group_find(w, w->cluster[c->b]);
    Pairing p;
    if (a == b) return false;
    if (bit(w->reach[b], a)) {
        int t = a;
        a = b;
        b = t;
    }
    if (third_between(w, a, b)) return merge_chain(w, a, b);
    if (obstacle(w, a, b, &p)) return false;
    merge(w, a, b, &p);
    return true;
}

/* Clusters with the same blocks (of one of them) that read one cluster (window sums of several
 * gradients) may as well be one kernel: fewer launches. */
static void merge_siblings(Grouper *w, int of, bool in_loops)
{
    const Ints *to = &w->clusters.v[of].to;
    for (int i = 0; i < to->n; i++)
        for (int k = i + 1; k < to->n; k++) {
            int a = group_find(w, to->v[i]), b = group_find(w, to->v[k]);
            Pairing p;
            if (a == b || a == of || b == of || bit(w->reach[a], b) || bit(w->reach[b], a))
                continue;
            if ((w->clusters.v[a].loop >= 0) != in_loops) continue;
            if (w->clusters.v[a].members.v[0] > w->clusters.v[b].members.v[0]) {
                int t = a;
                a = b, b = t;
            }
            const Ints *in_a = &w->clusters.v[a].members;
            int gap = w->clusters.v[b].members.v[0] - in_a->v[in_a->n - 1];
            if (gap > SIBLINGS_APART || obstacle(w, a, b, &p)) continue;
            bool whole_a = kept_axes(w, a, a, &p) == (1ull << w->clusters.v[a].nblock) - 1;
            bool whole_b = kept_axes(w, a, b, &p) == (1ull << w->clusters.v[b].nblock) - 1;
            if (whole_a || whole_b) merge(w, a, b, &p);
        }
}

static void merge_candidates(Grouper *w, const Candidates *all, bool in_loops)
{
    bool merged = true;
    for (int round = 0; merged && round < MOST_ROUNDS; round++) {
        merged = false;
        for (int i = 0; i < all->n; i++)
            if ((w->loop[all->v[i].a] >= 0) == in_loops) merged |= try_merge(w, &all->v[i]);
    }
    for (int i = 0; i < w->clusters.n; i++)
        if (group_find(w, i) == i && !w->clusters.v[i].product) merge_siblings(w, i, in_loops);
}

void group_merge(Grouper *w)
{
    for (int i = 0; i < w->g->nodes.n; i++)
        if (w->kept[i]) new_cluster(w, w->g->nodes.v[i]);
    link_clusters(w);
    if (w->unfused) return;
    Candidates all = {0};
    for (int i = 0; i < w->g->nodes.n; i++) add_candidates(w, i, &all);
    if (all.n) qsort(all.v, (size_t)all.n, sizeof *all.v, by_gain);
    merge_candidates(w, &all, true);
    for (int i = 0; i < w->loops.n; i++) pieces_close(w, i);
    merge_candidates(w, &all, false);
}
