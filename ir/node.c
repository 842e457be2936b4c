/* node.c: the graph as a container: interning of nodes, roots, checks, what a node reads. */
#include "ir/intern.h"

enum { FLAG_0 = 0, FLAG_COMM = OPF_COMM, FLAG_INTARG = OPF_INTARG };

const OpInfo op_info[OP_COUNT] = {
#define OP(name, nargs, cls, flags, dtype, vjp, fval, ival, ctext, cost)                                          \
    {#name, nargs, CLASS_##cls, FLAG_##flags, RULE_##dtype, ctext, cost},
#include "ir/ops.def"
};

const char *const rewrite_name[RW_COUNT] = {
#define RULE(name, text) #name,
#include "ir/rules.def"
};
const char *const rewrite_text[RW_COUNT] = {
#define RULE(name, text) text,
#include "ir/rules.def"
};

static void graph_oom(void *d) { diag_fail(d, "out of memory while building the program"); }

Graph *graph_new(Diag *d)
{
    Arena *a = arena_new();
    if (!a) graph_oom(d);
    arena_on_oom(a, graph_oom, d);
    Graph *g = NEW(a, Graph);
    g->diag = d, g->arena = a;
    g->rules_on = true, g->budget = -1;
    g->tables = NEW(a, struct Tables);
    g->tables->subst = NEW_N(a, SubstMemo, MEMO);
    g->tables->proof = NEW_N(a, ProofMemo, MEMO);
    vec_push(a, &g->regions, (Region){0});
    return g;
}

void graph_free(Graph *g)
{
    if (g) arena_free(g->arena);
}

bool graph_rule(Graph *g, Rewrite r)
{
    if (g->rule_off >> r & 1 || g->budget == 0) return false;
    if (g->budget > 0) g->budget--;
    g->hits[r]++;
    return true;
}

/* ---- interning ---- */

static bool is_named_leaf(Op op) { return op == OP_param || op == OP_state || op == OP_input || op == OP_fresh; }

static uint64_t attr_hash(const Node *n)
{
    uint64_t h = 1;
    if (is_named_leaf(n->op)) return hash_str(n->attr.leaf.name);
    switch (n->op) {
    case OP_const: {
        uint64_t bits;
        memcpy(&bits, &n->attr.value.f, sizeof bits);
        return hash_mix(bits, (uint32_t)n->attr.value.i);
    }
    case OP_idx: return (uintptr_t)n->attr.ix;
    case OP_rand: return n->attr.site;
    case OP_read:
        for (int i = 0; i < n->attr.guard.n; i++)
            h = hash_mix(hash_mix(h, (uintptr_t)n->attr.guard.g[i].ix), (uintptr_t)n->attr.guard.g[i].ext);
        return h;
    case OP_scat:
        for (int i = 0; i < n->rank; i++) h = hash_mix(h, (uintptr_t)n->attr.key[i]);
        return h;
    case OP_scan: return (uint64_t)(n->attr.scan.axis * 4 + n->attr.scan.exclusive * 2 + n->attr.scan.reverse);
    default: return h;
    }
}

static bool attr_same(const Node *a, const Node *b)
{
    if (is_named_leaf(a->op)) return !strcmp(a->attr.leaf.name, b->attr.leaf.name);
    switch (a->op) {
    case OP_const: return !memcmp(&a->attr.value.f, &b->attr.value.f, sizeof(double)) && a->attr.value.i == b->attr.value.i;
    case OP_idx: return a->attr.ix == b->attr.ix;
    case OP_rand: return a->attr.site == b->attr.site;
    case OP_read:
        return a->attr.guard.n == b->attr.guard.n &&
               !memcmp(a->attr.guard.g, b->attr.guard.g, sizeof(Guard) * (size_t)a->attr.guard.n);
    case OP_scat: return !memcmp(a->attr.key, b->attr.key, sizeof(Ix *) * (size_t)a->rank);
    case OP_scan:
        return a->attr.scan.axis == b->attr.scan.axis && a->attr.scan.exclusive == b->attr.scan.exclusive &&
               a->attr.scan.reverse == b->attr.scan.reverse;
    default: return true;
    }
}

static bool node_same(const void *x, const void *y)
{
    const Node *a = x, *b = y;
    if (a->op != b->op || a->dt != b->dt || a->rank != b->rank || a->space != b->space || a->nargs != b->nargs ||
        a->replay != b->replay || !attr_same(a, b))
        return false;
    for (int i = 0; i < a->nargs; i++)
        if (!edge_eq(a->args[i], b->args[i])) return false;
    return true;
}

static uint64_t node_hash(const Node *n)
{
    uint64_t h = hash_mix((uint64_t)n->op * 8 + (uint64_t)n->dt, (uintptr_t)n->space);
    h = hash_mix(h, (uint64_t)n->rank * 1024 + (uint64_t)n->replay);
    for (int i = 0; i < n->nargs; i++) h = hash_mix(hash_mix(h, (uintptr_t)n->args[i].node), (uintptr_t)n->args[i].map);
    return hash_mix(h, attr_hash(n));
}

/* Replays of leaves and constants are the leaves themselves, but for draws, which take memory and time. */
static int replay_of(const Graph *g, const Node *n) { return n->nargs || n->op == OP_rand ? g->replay : 0; }

/* The node equal to proto, made if there is none. */
Node *node_intern(Graph *g, const Node *proto)
{
    Node key = *proto;
    key.replay = replay_of(g, &key);
    uint64_t h = node_hash(&key);
    const Node *old = table_find(&g->tables->nodes, h, &key, node_same);
    if (old) return (Node *)old;
    Node *n = arena_copy(g->arena, &key, sizeof key);
    n->id = g->nodes.n;
    n->region = g->region;
    n->loc = g->loc;
    vec_push(g->arena, &g->nodes, n);
    table_add(g->arena, &g->tables->nodes, h, n);
    return n;
}

bool node_lookup(Graph *g, const Node *proto, Node **found)
{
    Node key = *proto;
    key.replay = replay_of(g, &key);
    *found = (Node *)table_find(&g->tables->nodes, node_hash(&key), &key, node_same);
    return *found != NULL;
}

void tables_reset_nodes(Graph *g)
{
    g->tables->nodes = (Table){0};
    for (int i = 0; i < g->nodes.n; i++) table_add(g->arena, &g->tables->nodes, node_hash(g->nodes.v[i]), g->nodes.v[i]);
}

/* ---- structure ---- */

const Space *node_shape(Graph *g, const Node *n) { return space_slice(g, n->space, 0, n->rank); }

Edge edge_identity(Graph *g, Node *n) { return (Edge){n, map_identity(g, n->rank)}; }

bool edge_is_const(Edge e, double v)
{
    if (e.node->op != OP_const || e.node->dt == DT_BOOL) return false;
    return e.node->dt == DT_FLOAT ? e.node->attr.value.f == v : e.node->attr.value.i == v;
}

void node_reads(const Node *n, void (*fn)(void *, Edge, bool), void *ctx)
{
    for (int i = 0; i < n->nargs; i++) {
        fn(ctx, n->args[i], false);
        for (int k = 0; k < n->args[i].map->n; k++) ix_loads(n->args[i].map->ix[k], fn, ctx);
    }
    if (n->op == OP_idx) ix_loads(n->attr.ix, fn, ctx);
    if (n->op == OP_read)
        for (int i = 0; i < n->attr.guard.n; i++) ix_loads(n->attr.guard.g[i].ix, fn, ctx);
    if (n->op == OP_scat)
        for (int i = 0; i < n->rank; i++)
            if (n->attr.key[i]) ix_loads(n->attr.key[i], fn, ctx);
}

/* ---- roots and checks ---- */

void graph_root(Graph *g, RootKind kind, const char *name, Edge e, const Space *space, Loc loc)
{
    Root r = {.kind = kind, .name = arena_strdup(g->arena, name), .e = e, .space = space, .loc = loc};
    vec_push(g->arena, &g->roots, r);
}

const Root *graph_find_root(const Graph *g, RootKind kind, const char *name)
{
    for (int i = 0; i < g->roots.n; i++)
        if (g->roots.v[i].kind == kind && !strcmp(g->roots.v[i].name, name)) return &g->roots.v[i];
    return NULL;
}

void graph_check(Graph *g, Check c)
{
    for (int i = 0; i < g->checks.n; i++) {
        const Check *o = &g->checks.v[i];
        if (o->kind == c.kind && o->ix == c.ix && edge_eq(o->e, c.e)) return;
    }
    vec_push(g->arena, &g->checks, c);
}
