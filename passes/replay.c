/* replay.c: values inside checkpoint, chunk and reversible regions, for backward.
 *
 * A rule for a node in such a region doesn't read the region's float nodes, which would keep them
 * alive from forward to backward. It reads replays:
 *
 * - Checkpoint, and chunk: clones of what it needs, computed again from values outside the region.
 * - Reversible: a stream's value before a step is its value after it, minus a clone of the step's
 *   delta, so that only the streams' last values are kept. The clone is made of other streams'
 *   values, which the steps after it have reconstructed.
 *
 *       old = next - delta'
 *       old = branch(c, next - delta', next)     of a step under a host branch
 *
 * Clones are made when backward arrives, one set per region, with a replay number of their own, so
 * that they are not consed with the originals. Some values are never computed again: ints, because
 * a routing decision is made once; what a step reads as its state, because a state is not started
 * twice; conditions of branches, which are known before launch. A draw gives the same bits again.
 */
#include "passes/sizes.h"
#include "passes/walk.h"

/* One checkpoint, chunk or reversible region during the walk. */
typedef struct Scope {
    struct Scope *up; /* the next one around it */
    int region;
    int replay;  /* of its clones */
    Edge *value; /* by node: what to read instead; node NULL: not made */
    int *step;   /* by node: region of the last step whose `old` it is; 0: none (reversible) */
    bool *next;  /* by node: a stream's value after a step (reversible) */
    bool *busy;  /* by node: being made; who meets it again reads the original */
} Scope;

struct Replay {
    Graph *g;
    int n;         /* forward nodes */
    Scope **scope; /* by region: the innermost scope around it, itself included; NULL: none */
    bool *decides; /* by node: a condition of a branch, or read by one */
};

/* ---- regions ---- */

/* A step can be undone if its stream is read as it is: each axis of old at one axis of the step. */
static bool invertible(const Region *r)
{
    uint64_t seen = 0;
    if (!r->old.node || r->old.node == r->next.node) return false; /* dropped; adds nothing */
    if (r->old.map->n != r->space->n) return false;
    for (int i = 0; i < r->old.map->n; i++) {
        int axis = ix_bare_axis(r->old.map->ix[i]);
        if (axis < 0 || seen >> axis & 1) return false;
        seen |= 1ull << axis;
    }
    return true;
}

static Scope *new_scope(Replay *r, int region, Scope *up, int replay)
{
    Scope *s = NEW(r->g->arena, Scope);
    *s = (Scope){.up = up, .region = region, .replay = replay};
    s->value = NEW_N(r->g->arena, Edge, r->n);
    s->busy = NEW_N(r->g->arena, bool, r->n);
    if (r->g->regions.v[region].kind == REGION_REVERSIBLE) {
        s->step = NEW_N(r->g->arena, int, r->n);
        s->next = NEW_N(r->g->arena, bool, r->n);
    }
    return s;
}

static void mark_decides(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    ((Replay *)ctx)->decides[e.node->id] = true;
}

static void find_conditions(Replay *r)
{
    r->decides = NEW_N(r->g->arena, bool, r->n);
    for (int i = r->n - 1; i >= 0; i--) {
        const Node *n = r->g->nodes.v[i];
        if (n->op == OP_branch) mark_decides(r, n->args[0], false);
        if (r->decides[i]) node_reads(n, mark_decides, r);
    }
}

Replay *replay_new(Graph *g)
{
    Replay *r = NEW(g->arena, Replay);
    *r = (Replay){.g = g, .n = g->nodes.n};
    r->scope = NEW_N(g->arena, Scope *, g->regions.n);
    find_conditions(r);
    int replay = 0;
    for (int i = 0; i < r->n; i++)
        if (g->nodes.v[i]->replay > replay) replay = g->nodes.v[i]->replay;
    for (int i = 1; i < g->regions.n; i++) { /* parents come first */
        const Region *q = &g->regions.v[i];
        Scope *up = r->scope[q->parent];
        bool replayed = q->kind == REGION_CHECKPOINT || q->kind == REGION_REVERSIBLE ||
                        (q->kind == REGION_CHUNK && !up); /* else what is around it replays it */
        r->scope[i] = replayed ? new_scope(r, i, up, ++replay) : up;
        if (q->kind != REGION_STEP || !invertible(q)) continue;
        while (up && !up->step) up = up->up;
        if (!up) continue;
        up->step[q->old.node->id] = i;
        up->next[q->next.node->id] = true;
    }
    return r;
}

void replay_enter(Replay *r, const Node *n)
{
    const Scope *s = r->scope[n->region];
    r->g->region = chunk_around(r->g, n->region);
    r->g->replay = s ? s->replay : 0;
}

/* ---- which node is read how ---- */

static bool inside(const Replay *r, const Scope *s, const Node *n)
{
    for (const Scope *q = r->scope[n->region]; q; q = q->up)
        if (q == s) return true;
    return false;
}

/* branch(first step, start, state): what the step reads as its state. */
static bool reads_state(const Node *m)
{
    return m->op == OP_branch &&
           (m->args[1].node->op == OP_state || m->args[2].node->op == OP_state);
}

/* The innermost of the scopes around `from` in which m is replayed; NULL: m is read itself. */
static Scope *scope_of(const Replay *r, Scope *from, const Node *m)
{
    if (m->dt == DT_INT || m->id >= r->n || r->decides[m->id] || reads_state(m)) return NULL;
    for (Scope *s = from; s; s = s->up) {
        if (s->step && s->step[m->id] && m->dt == DT_FLOAT) return s;
        if (s->next && s->next[m->id]) continue; /* what leaves the region is kept */
        if ((m->nargs || m->op == OP_rand) && inside(r, s, m)) return s;
    }
    return NULL;
}

static Edge itself(Replay *r, Node *m) { return edge_identity(r->g, m); }

/* m's value as seen from `from`, if it is known by now. */
static bool known(Replay *r, Scope *from, Node *m, Edge *e)
{
    Scope *s = scope_of(r, from, m);
    *e = s ? s->value[m->id] : itself(r, m);
    if (s && !e->node && s->busy[m->id]) *e = itself(r, m);
    return e->node != NULL;
}

/* ---- making one value, from known ones ---- */

static Edge clone(Replay *r, Scope *s, Node *m)
{
    Edge arg[MAX_ARGS];
    for (int i = 0; i < m->nargs; i++) {
        Edge a = m->args[i], e;
        known(r, s, a.node, &e);
        arg[i] = edge_comp(r->g, e, a.map, m->space);
    }
    if (m->op == OP_rand) return graph_rand(r->g, m->attr.site, m->space);
    return graph_renew(r->g, m, arg);
}

/* An edge over the step's space, as one over the out axes of the stream's node. */
static Edge over_stream(Replay *r, const Region *q, Edge e)
{
    const Node *m = q->old.node;
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < m->rank; i++) ix[ix_bare_axis(q->old.map->ix[i])] = ix_axis(r->g, i);
    return edge_comp(r->g, e, map_make(r->g, m->rank, ix), node_shape(r->g, m));
}

static Edge undo(Replay *r, Scope *s, const Region *q)
{
    Graph *g = r->g;
    Edge next, delta, old;
    known(r, s, q->next.node, &next);
    known(r, s, q->delta.node, &delta);
    next = edge_comp(g, next, q->next.map, q->space);
    delta = edge_comp(g, delta, q->delta.map, q->space);
    old = graph_pw2(g, OP_sub, q->space, next, delta);
    const Node *n = q->next.node;
    if (n->op == OP_branch && n->args[2].node == q->old.node)
        old = graph_branch(g, q->space, n->args[0], old, next);
    else if (n->op == OP_branch && n->args[1].node == q->old.node)
        old = graph_branch(g, q->space, n->args[0], next, old);
    return over_stream(r, q, old);
}

/* ---- making a value and all that it needs ---- */

typedef struct {
    Scope *scope;
    Node *node;
} Pending;
typedef VEC(Pending) PendingList;

static bool require(Replay *r, PendingList *pending, Scope *from, Node *m)
{
    Edge e;
    if (known(r, from, m, &e)) return true;
    vec_push(r->g->arena, pending, (Pending){scope_of(r, from, m), m});
    return false;
}

static bool ready(Replay *r, PendingList *pending, Pending t)
{
    int step = t.scope->step ? t.scope->step[t.node->id] : 0;
    bool all = true;
    if (step) {
        const Region *q = &r->g->regions.v[step];
        all &= require(r, pending, t.scope, q->next.node);
        return require(r, pending, t.scope, q->delta.node) && all;
    }
    for (int i = 0; i < t.node->nargs; i++)
        all &= require(r, pending, t.scope, t.node->args[i].node);
    return all;
}

static void make(Replay *r, Pending t)
{
    Graph *g = r->g;
    Loc loc = g->loc;
    int region = g->region, replay = g->replay,
        step = t.scope->step ? t.scope->step[t.node->id] : 0;
    g->loc = t.node->loc, g->region = chunk_around(g, t.node->region), g->replay = t.scope->replay;
    Edge e = step ? undo(r, t.scope, &g->regions.v[step]) : clone(r, t.scope, t.node);
    t.scope->value[t.node->id] = e;
    g->loc = loc, g->region = region, g->replay = replay;
}

Edge replay_value(Replay *r, const Node *reader, Node *m)
{
    PendingList pending = {0};
    Scope *from = r->scope[reader->region];
    Edge e;
    require(r, &pending, from, m);
    while (pending.n) { /* depth first, without recursion: regions can be deep */
        Pending t = pending.v[pending.n - 1];
        bool *busy = &t.scope->busy[t.node->id];
        bool fresh = !t.scope->value[t.node->id].node;
        *busy = true;
        if (fresh && !ready(r, &pending, t)) continue;
        if (fresh) make(r, t);
        *busy = false;
        pending.n--;
    }
    known(r, from, m, &e);
    return e;
}
