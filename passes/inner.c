/* inner.c: see inner.h.
 *
 * From every contraction that may be a score, walks through light nodes to its readers, and keeps
 * for each of its axes where that axis is in the node reached, if it is read bare all the way.
 */
#include "passes/group.h"

enum {
    LEAST_BLOCKS = 16,  /* along axes that both operands share: work for every core */
    LONGEST_SUM = 1024, /* of one score; more is work for a library */
    MOST_CONE = 64      /* light nodes between a score and its readers */
};
#define MOST_SCORES 262144.0 /* bytes of a block's scores: what a core's own cache holds */

int scat_listed(const Node *n)
{
    int keyed = -1, count = 0;
    for (int i = 0; n->op == OP_scat && i < n->rank; i++)
        if (n->attr.key[i]) keyed = i, count++;
    return count == 1 && n->space->n > n->rank ? keyed : -1;
}

bool may_be_block(const Node *n, int axis)
{
    if (axis >= n->rank) return false;
    if (n->op == OP_top) return axis != n->rank - 1;
    if (n->op == OP_scan) return axis != n->attr.scan.axis;
    if (n->op == OP_scat) return !n->attr.key[axis] || axis == scat_listed(n);
    return true;
}

/* ---- who reads what ---- */

typedef struct {
    Graph *g;
    Arena *a;
    const int64_t *syms;
    Ints *users; /* by node id: nodes that read it, rising, each once */
    bool *root;
    bool *forward;  /* an output needs it */
    Contraction *c; /* by node id: sum NULL: no contraction that a kernel could take */
    bool *barrier;  /* contractions for a library */
    bool *reached, *late, *queued; /* of one walk */
} Finder;

typedef struct {
    Finder *f;
    int user;
} UserOf;

static void add_user(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    UserOf *u = ctx;
    int n = u->f->users[e.node->id].n;
    if (!n || u->f->users[e.node->id].v[n - 1] != u->user)
        vec_push(u->f->a, &u->f->users[e.node->id], u->user);
}

static void find_users(Finder *f)
{
    Graph *g = f->g;
    f->users = NEW_N(f->a, Ints, g->nodes.n + 1);
    f->root = NEW_N(f->a, bool, g->nodes.n + 1);
    for (int i = 0; i < g->nodes.n; i++) {
        UserOf u = {f, i};
        node_reads(g->nodes.v[i], add_user, &u);
    }
    for (int i = 0; i < g->roots.n; i++) f->root[g->roots.v[i].e.node->id] = true;
}

static void mark_forward(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    ((Finder *)ctx)->forward[e.node->id] = true;
}

static void find_forward(Finder *f)
{
    Graph *g = f->g;
    f->forward = NEW_N(f->a, bool, g->nodes.n + 1);
    for (int i = 0; i < g->roots.n; i++) {
        const Root *r = &g->roots.v[i];
        if (r->kind != ROOT_OUTPUT) continue;
        mark_forward(f, r->e, false);
        for (int k = 0; k < r->e.map->n; k++) ix_loads(r->e.map->ix[k], mark_forward, f);
    }
    for (int i = g->nodes.n - 1; i >= 0; i--)
        if (f->forward[i]) node_reads(g->nodes.v[i], mark_forward, f);
}

static void find_contractions(Finder *f)
{
    Graph *g = f->g;
    f->c = NEW_N(f->a, Contraction, g->nodes.n + 1);
    f->barrier = NEW_N(f->a, bool, g->nodes.n + 1);
    for (int i = 0; i < g->nodes.n; i++) {
        Contraction c;
        Node *n = g->nodes.v[i];
        if (!contraction_like(g, n, f->syms, &c)) continue;
        f->barrier[i] = axes_at(n->space, c.batch, f->syms) < LEAST_BLOCKS;
        if (!f->barrier[i]) f->c[i] = c;
    }
}

/* ---- from a score to its readers ---- */

typedef struct {
    const Node *n;
    int8_t at[MAX_AXES]; /* per axis of the score: which axis of n it is; -1: none */
} Seen;

typedef struct {
    Finder *f;
    const Node *score;
    Seen seen[MOST_CONE];
    int n;
    VEC(Seen) reader;
    uint64_t kept[2]; /* axes that every early, every late reader keeps */
    int readers[2];
    bool lost;
} Cone;

static const Seen *seen_at(const Cone *c, const Node *n)
{
    for (int i = 0; i < c->n; i++)
        if (c->seen[i].n == n) return &c->seen[i];
    return NULL;
}

static int step_axis(const Cone *c, const Seen *from, int axis, const Node *reader, Edge e)
{
    int d = from->at[axis], x = d >= 0 ? ix_bare_axis(e.map->ix[d]) : -1;
    if (x < 0 || !ix_proves_eq(c->f->g, c->score->space->ext[axis], reader->space->ext[x]))
        return -1;
    return x;
}

typedef struct {
    Cone *c;
    Seen *to;
    bool first;
} Arrive;

static void arrive(void *ctx, Edge e, bool as_index)
{
    Arrive *a = ctx;
    const Seen *from = seen_at(a->c, e.node);
    if (!from) return;
    for (int i = 0; i < a->c->score->rank; i++) {
        int x = as_index ? -1 : step_axis(a->c, from, i, a->to->n, e);
        a->to->at[i] = (int8_t)(a->first || a->to->at[i] == x ? x : -1);
    }
    a->first = false;
}

static void meet_reader(Cone *c, const Seen *r, bool late)
{
    uint64_t kept = 0;
    for (int i = 0; i < c->score->rank; i++)
        if (r->at[i] >= 0 && may_be_block(r->n, r->at[i])) kept |= 1ull << i;
    c->kept[late] &= kept;
    c->readers[late]++;
    vec_push(c->f->a, &c->reader, *r);
}

/* Visits users in rising order, so that a node is complete when it is expanded. */
static void walk_cone(Cone *c)
{
    Finder *f = c->f;
    bool *queued = memset(f->queued, 0, (size_t)f->g->nodes.n);
    VEC(int) queue = {0};
    c->seen[0].n = c->score;
    for (int i = 0; i < MAX_AXES; i++) c->seen[0].at[i] = (int8_t)i;
    c->n = 1;
    int next = c->score->id;
    for (;;) {
        for (int i = 0; i < f->users[next].n; i++) {
            int u = f->users[next].v[i];
            if (queued[u]) continue;
            queued[u] = true;
            vec_push(f->a, &queue, u);
            for (int k = queue.n - 1; k > 0 && queue.v[k - 1] < queue.v[k]; k--) {
                int t = queue.v[k];
                queue.v[k] = queue.v[k - 1];
                queue.v[k - 1] = t;
            }
        }
        bool expand = false;
        while (queue.n && !expand) {
            next = vec_pop(&queue);
            Seen s = {.n = f->g->nodes.v[next]};
            Arrive a = {c, &s, true};
            node_reads(s.n, arrive, &a);
            expand = is_light(s.n) && !f->root[next];
            if (!expand) meet_reader(c, &s, f->late[next]);
            if (expand && c->n == MOST_CONE) c->lost = true;
            if (expand && c->n < MOST_CONE) c->seen[c->n++] = s;
        }
        if (!expand || c->lost) return;
    }
}

/* May the score be private to blocks along the axes that its readers keep? */
static bool fits(const Finder *f, const Node *score, uint64_t kept)
{
    const Contraction *c = &f->c[score->id];
    uint64_t out = (1ull << score->rank) - 1, inner = out & ~kept;
    const Space *sp = score->space;
    return inner && axes_at(sp, c->batch & kept, f->syms) >= LEAST_BLOCKS &&
           4 * axes_at(sp, inner, f->syms) <= MOST_SCORES &&
           axes_at(sp, c->k, f->syms) <= LONGEST_SUM;
}

/* Where paths from the score lead: late with a library product on them, or from forward to
 * backward. */
static void spread(Finder *f, const Node *score)
{
    int n = f->g->nodes.n;
    memset(f->reached, 0, (size_t)n);
    memset(f->late, 0, (size_t)n);
    f->reached[score->id] = true;
    for (int i = score->id; i < n; i++) {
        if (!f->reached[i] && !f->late[i]) continue;
        bool late = f->late[i] || f->barrier[i];
        for (int k = 0; k < f->users[i].n; k++) {
            int u = f->users[i].v[k];
            (late || (f->forward[score->id] && !f->forward[u]) ? f->late : f->reached)[u] = true;
        }
    }
}

static Finder *finder_new(Graph *g, Arena *a, const int64_t *syms)
{
    int n = g->nodes.n + 1;
    Finder *f = NEW(a, Finder);
    *f = (Finder){.g = g, .a = a, .syms = syms};
    f->reached = NEW_N(a, bool, n);
    f->late = NEW_N(a, bool, n);
    f->queued = NEW_N(a, bool, n);
    find_users(f);
    find_forward(f);
    find_contractions(f);
    return f;
}

/* The score's axes that stay, in itself and in its readers. */
static void set_kept(Inner *in, const Cone *c, uint64_t kept)
{
    for (int i = 0; i < c->score->rank; i++) {
        if (!(kept >> i & 1)) continue;
        in->kept[c->score->id] |= 1ull << i;
        for (int k = 0; k < c->reader.n; k++)
            in->kept[c->reader.v[k].n->id] |= 1ull << c->reader.v[k].at[i];
    }
}

/* True: n is a score, for some of its readers at least. */
static bool judge(Finder *f, Inner *in, Node *n)
{
    Cone c = {.f = f, .score = n, .kept = {~0ull, ~0ull}};
    spread(f, n);
    walk_cone(&c);
    if (c.lost || !c.readers[0] || !fits(f, n, c.kept[0])) return false;
    in->score[n->id] = !c.readers[1];
    if (!c.readers[1]) set_kept(in, &c, c.kept[0]);
    if (!c.readers[1] || !fits(f, n, c.kept[1])) return in->score[n->id];
    in->late[in->ntwice] = arena_copy(f->g->arena, f->late, (size_t)f->g->nodes.n);
    in->twice[in->ntwice++] = n->id;
    return true;
}

static void find_all(Finder *f, Inner *in)
{
    Graph *g = f->g;
    bool *scored = NEW_N(f->a, bool, g->nodes.n); /* a score for some, or light code over one */
    for (int i = 0; i < g->nodes.n; i++) {
        Node *x = g->nodes.v[i];
        bool reads = false, reads_some = false;
        for (int k = 0; k < x->nargs; k++) {
            reads |= in->score[x->args[k].node->id] || in->over[x->args[k].node->id];
            reads_some |= scored[x->args[k].node->id];
        }
        /* a sum over scores is what they are for, not a score itself */
        if (f->c[i].sum && !f->root[i] && !reads_some) scored[i] = judge(f, in, x);
        in->over[i] = reads && is_light(x);
        scored[i] |= reads_some && is_light(x);
        in->inner[i] = in->score[i] || (f->c[i].sum && reads);
    }
}

Inner inner_find(Graph *g, const int64_t *syms)
{
    int n = g->nodes.n + 1;
    Inner in = {.score = NEW_N(g->arena, bool, n),
                .inner = NEW_N(g->arena, bool, n),
                .kept = NEW_N(g->arena, uint64_t, n),
                .over = NEW_N(g->arena, bool, n),
                .twice = NEW_N(g->arena, int, n),
                .late = NEW_N(g->arena, bool *, n)};
    Arena *scratch = diag_scratch(g->diag);
    find_all(finder_new(g, scratch, syms), &in);
    diag_scratch_end(g->diag, scratch);
    return in;
}
