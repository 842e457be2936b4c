/* Checkpoint and reversible regions: the same gradients as without them, and backward reads none of
 * their float nodes: only what enters a checkpoint, and what leaves a reversible region. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "passes/grad.h"

enum { WIDTH = 4, TIME = 3 };
typedef enum { PLAIN, CHECKPOINT, NESTED, REVERSIBLE, REVERSIBLE_CHECKPOINT } Kind;

typedef struct {
    Diag *d;
    Graph *g;
    Kind kind;
    bool dropping;   /* layers stand under host branches */
    const Space *tw; /* [time, width] */
    int before;      /* nodes when grad began */
} Net;

static int open_region(Net *k, RegionKind kind)
{
    vec_push(k->g->arena, &k->g->regions, (Region){.kind = kind, .parent = k->g->region});
    return k->g->region = k->g->regions.n - 1;
}
static void close_region(Net *k) { k->g->region = k->g->regions.v[k->g->region].parent; }

static Edge read2(Net *k, Edge e, const Space *s, int i, int j)
{
    const Ix *ix[2] = {ix_axis(k->g, i), ix_axis(k->g, j)};
    return edge_comp(k->g, e, map_make(k->g, 2, ix), s);
}

/* A state over the width that starts as a function of h. */
static Edge state_of(Net *k, Edge h, const char *name)
{
    Graph *g = k->g;
    const Ix *ext[2] = {ix_const(g, WIDTH), ix_const(g, TIME)},
             *at[2] = {ix_axis(g, 1), ix_axis(g, 0)};
    const Space *wt = space_make(g, 2, ext), *w = space_make(g, 1, ext);
    Edge sum = graph_reduce(g, OP_sum, wt, 1, edge_comp(g, h, map_make(g, 2, at), wt));
    Edge fresh = graph_leaf(g, OP_fresh, "started", DT_BOOL, space_make(g, 0, NULL));
    char full[16];
    snprintf(full, sizeof full, "s.%s", name);
    Edge state = graph_leaf(g, OP_state, full, DT_FLOAT, w);
    Edge e = graph_branch(g, w, fresh, graph_pw1(g, OP_stop, w, sum), state);
    const Ix *axis[1] = {ix_axis(g, 1)};
    return edge_comp(g, e, map_make(g, 1, axis), k->tw);
}

/* A layer with all that a region must get right: a product, a state, a routing decision, a
 * draw, a comparison, a softmax. */
static Edge layer(Net *k, Edge x, const char *name, uint64_t site)
{
    Graph *g = k->g;
    const Ix *t = ix_const(g, TIME), *w = ix_const(g, WIDTH);
    const Space *twv = space_make(g, 3, (const Ix *[]){t, w, w}),
                *ww = space_make(g, 2, (const Ix *[]){w, w});
    Edge weight = graph_leaf(g, OP_param, name, DT_FLOAT, ww);
    Edge h = graph_reduce(
        g, OP_sum, twv, 2,
        graph_pw2(g, OP_mul, twv, read2(k, x, twv, 0, 2), read2(k, weight, twv, 2, 1)));
    h = graph_pw1(g, OP_tanh, k->tw, h);
    h = graph_pw2(g, OP_mul, k->tw, h, state_of(k, h, name));
    Edge top = graph_top(g, k->tw, 1, h, ix_const(g, 2));
    const Space *ranks = space_make(g, 2, (const Ix *[]){t, ix_const(g, 2)});
    const Ix *at[2] = {ix_axis(g, 0), ix_load(g, top, ranks)};
    Edge picked = graph_reduce(g, OP_sum, ranks, 1, edge_comp(g, h, map_make(g, 2, at), ranks));
    Edge keep = graph_pw2(g, OP_lt, k->tw, graph_float(g, 0.3), graph_rand(g, site, k->tw));
    h = graph_select(g, k->tw, keep, h, graph_float(g, 0));
    Edge e = graph_pw1(g, OP_exp, k->tw, h), z = graph_reduce(g, OP_sum, k->tw, 1, e);
    e = graph_pw2(g, OP_div, k->tw, e, z);
    e = graph_pw2(g, OP_mul, k->tw, e, picked);
    return graph_pw2(g, OP_max, k->tw, e, graph_pw2(g, OP_mul, k->tw, h, graph_float(g, 0.5)));
}

static Edge host_bool(Net *k, const char *name)
{
    return graph_leaf(k->g, OP_input, name, DT_BOOL, space_make(k->g, 0, NULL));
}

/* stream = stream + layer(of), or, dropped, stream as it is */
static Edge step(Net *k, Edge stream, Edge of, const char *name, uint64_t site)
{
    Graph *g = k->g;
    bool marked = k->kind == REVERSIBLE || k->kind == REVERSIBLE_CHECKPOINT;
    int id = marked ? open_region(k, REGION_STEP) : 0;
    if (k->kind == REVERSIBLE_CHECKPOINT) open_region(k, REGION_CHECKPOINT);
    Edge delta = layer(k, of, name, site);
    if (k->kind == REVERSIBLE_CHECKPOINT) close_region(k);
    Edge next = graph_pw2(g, OP_add, k->tw, stream, delta);
    if (k->dropping)
        next = graph_branch(g, k->tw, host_bool(k, name[1] == '0' ? "on" : "off"), next, stream);
    if (!marked) return next;
    Region *r = &g->regions.v[id];
    r->old = stream, r->delta = delta, r->next = next, r->space = k->tw;
    close_region(k);
    return next;
}

static Net net_new(Kind kind, bool dropping)
{
    Net n = {.d = diag_new(), .kind = kind, .dropping = dropping}, *k = &n;
    n.g = graph_new(n.d);
    Graph *g = n.g;
    n.tw = space_make(g, 2, (const Ix *[]){ix_const(g, TIME), ix_const(g, WIDTH)});
    Edge x = graph_pw1(g, OP_sin, n.tw, graph_leaf(g, OP_param, "x", DT_FLOAT, n.tw)), a = x, b = x;
    if (kind == REVERSIBLE || kind == REVERSIBLE_CHECKPOINT) open_region(k, REGION_REVERSIBLE);
    if (kind == NESTED) open_region(k, REGION_CHECKPOINT);
    for (int i = 0; i < 3; i++) {
        char name[16];
        if (kind == CHECKPOINT || kind == NESTED) open_region(k, REGION_CHECKPOINT);
        snprintf(name, sizeof name, "a%d", i);
        a = step(k, a, b, name, 10 + (uint64_t)i);
        snprintf(name, sizeof name, "b%d", i);
        b = step(k, b, a, name, 20 + (uint64_t)i);
        if (kind == CHECKPOINT || kind == NESTED) close_region(k);
    }
    g->region = 0;
    Edge y = graph_pw2(g, OP_add, n.tw, a,
                       graph_pw2(g, OP_mul, n.tw, b, graph_leaf(g, OP_state, "w", DT_FLOAT, n.tw)));
    graph_root(g, ROOT_OUTPUT, "loss", graph_reduce(g, OP_sum, n.tw, 0, y), space_make(g, 0, NULL),
               NO_LOC);
    n.before = g->nodes.n;
    DIAG_TRY(n.d)
    {
        graph_grad(g);
        graph_verify(g, "grad");
    }
    DIAG_CATCH(n.d) { fail_msg("%s", diag_text(n.d)); }
    DIAG_END(n.d)
    return n;
}

static void net_free(Net *k)
{
    graph_free(k->g);
    diag_free(k->d);
}

/* ---- values ---- */

static void set_leaf(Eval *ev, const Named *v)
{
    Tensor t = {.dt = v->node->dt, .rank = v->node->rank, .count = 1};
    for (int i = 0; i < t.rank; i++) t.count *= t.shape[i] = v->node->space->ext[i]->c;
    double f[64];
    uint8_t on = !strcmp(v->name, "on");
    t.data = t.dt == DT_BOOL ? (void *)&on : (void *)f;
    for (int i = 0; i < t.count && t.dt == DT_FLOAT; i++)
        f[i] = sin(3 * i + 5 * v->name[0] + v->name[1]);
    eval_set(ev, v->node, &t);
}

static Eval *evaluated(Net *k, bool fresh)
{
    Eval *ev = eval_new(k->g, NULL, 7, 1, fresh);
    for (int i = 0; i < k->g->params.n; i++) set_leaf(ev, &k->g->params.v[i]);
    for (int i = 0; i < k->g->states.n; i++) set_leaf(ev, &k->g->states.v[i]);
    for (int i = 0; i < k->g->inputs.n; i++) set_leaf(ev, &k->g->inputs.v[i]);
    return ev;
}

static void expect_same_step(Net *k, Net *plain, bool fresh, double tolerance)
{
    Eval *a = evaluated(k, fresh), *b = evaluated(plain, fresh);
    int compared = 0;
    for (int i = 0; i < plain->g->roots.n; i++) {
        const Root *p = &plain->g->roots.v[i], *r = graph_find_root(k->g, p->kind, p->name);
        if (!r) fail_msg("no root %s", p->name);
        Tensor x = eval_edge(a, r->e, r->space), y = eval_edge(b, p->e, p->space);
        assert_int_equal(x.count, y.count);
        for (int64_t j = 0; j < x.count; j++) {
            double u = ((double *)x.data)[j], v = ((double *)y.data)[j];
            if (!(fabs(u - v) <= tolerance * (1 + fabs(v))))
                fail_msg("%s: %.17g, plain %.17g", p->name, u, v);
        }
        compared++;
    }
    assert_int_equal(compared, 8); /* loss, x, a0..2, b0..2 */
    eval_free(a);
    eval_free(b);
}

static void expect_same(Net *k, Net *plain, double tolerance)
{
    expect_same_step(k, plain, false, tolerance);
    expect_same_step(k, plain, true, tolerance);
}

/* ---- what backward reads ---- */

typedef struct {
    Net *k;
    const Node *reader;
    bool *allowed; /* by node */
} Reads;

/* A bool of draws and positions is light and always the same; a state's value is kept. */
static bool is_kept(const Node *n)
{
    if (n->op == OP_branch && n->args[2].node->op == OP_state) return true;
    for (int i = 0; i < n->nargs; i++)
        if (n->args[i].node->nargs) return false;
    return n->dt == DT_BOOL;
}

static void check_read(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Reads *r = ctx;
    Node *n = e.node;
    if (n->id >= r->k->before || n->dt == DT_INT || is_kept(n) || !n->nargs || !n->region ||
        r->allowed[n->id])
        return;
    Str s = {.arena = r->k->g->arena};
    node_print(r->k->g, r->reader, &s);
    str_add(&s, "\nreads\n");
    node_print(r->k->g, n, &s);
    fail_msg("%s", s.s);
}

/* Of the regions, backward may read ints, the last values of streams, and what enters a checkpoint.
 */
static void no_activation_is_read(Net *k)
{
    Graph *g = k->g;
    bool *allowed = NEW_N(g->arena, bool, k->before), *old = NEW_N(g->arena, bool, k->before);
    for (int i = 1; i < g->regions.n; i++)
        if (g->regions.v[i].kind == REGION_STEP) old[g->regions.v[i].old.node->id] = true;
    for (int i = 1; i < g->regions.n; i++) {
        const Region *q = &g->regions.v[i];
        if (q->kind == REGION_STEP && !old[q->next.node->id]) allowed[q->next.node->id] = true;
    }
    for (int i = 0; k->kind == CHECKPOINT && i < k->before; i++) {
        const Node *n = g->nodes.v[i];
        for (int j = 0; j < n->nargs; j++)
            if (n->args[j].node->region != n->region) allowed[n->args[j].node->id] = true;
    }
    Reads r = {k, NULL, allowed};
    for (int i = k->before; i < g->nodes.n; i++) {
        r.reader = g->nodes.v[i];
        node_reads(g->nodes.v[i], check_read, &r);
    }
}

static int count_ops(const Graph *g, Op op)
{
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++) n += g->nodes.v[i]->op == op;
    return n;
}

static int starts(const Graph *g)
{
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++)
        n += g->nodes.v[i]->op == OP_branch && g->nodes.v[i]->args[0].node->op == OP_fresh;
    return n;
}

/* ---- tests ---- */

static void compare(Kind kind, bool dropping)
{
    Net k = net_new(kind, dropping), plain = net_new(PLAIN, dropping);
    expect_same(&k, &plain, kind == CHECKPOINT || kind == NESTED ? 1e-14 : 1e-12);
    no_activation_is_read(&k);
    assert_int_equal(count_ops(k.g, OP_top), 6); /* decided once */
    assert_int_equal(starts(k.g), 6);            /* started once */
    graph_rewrite(k.g, NULL, NULL);
    graph_verify(k.g, "rewriting");
    expect_same(&k, &plain, 1e-12);
    net_free(&k);
    net_free(&plain);
}

static void checkpoints(void **state)
{
    (void)state;
    compare(CHECKPOINT, false);
    compare(CHECKPOINT, true);
}
static void nested_checkpoints(void **state)
{
    (void)state;
    compare(NESTED, false);
}
static void reversible(void **state)
{
    (void)state;
    compare(REVERSIBLE, false);
    compare(REVERSIBLE_CHECKPOINT, false);
}
static void reversible_with_dropped_layers(void **state)
{
    (void)state;
    compare(REVERSIBLE, true);
}

/* The plain net does read its activations: the test above can fail. */
static void plain_reads_activations(void **state)
{
    (void)state;
    Net k = net_new(PLAIN, false);
    int reads = 0;
    for (int i = k.before; i < k.g->nodes.n; i++) {
        const Node *n = k.g->nodes.v[i];
        for (int j = 0; j < n->nargs; j++)
            reads += n->args[j].node->id < k.before && n->args[j].node->op == OP_tanh;
        assert_int_equal(n->replay, 0);
    }
    assert_true(reads >= 6);
    net_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(nested_checkpoints),
        cmocka_unit_test(reversible),
        cmocka_unit_test(reversible_with_dropped_layers),
        cmocka_unit_test(plain_reads_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
