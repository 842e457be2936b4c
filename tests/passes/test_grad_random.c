/* Random programs: with identities, without, and rebuilt, they have the same values and the same
 * gradients; some of the gradients are also compared with differences. */
#include <math.h>
#include "pass_test.h"
#include "passes/grad.h"

enum { PROGRAMS = 300, LENGTH = 14, AXES = 3 };
static const int64_t sizes[] = {2, 3}; /* n, m */

typedef struct {
    Graph *g;
    uint64_t seed;
    const Space *space; /* [n, m, 2] */
    VEC(Edge) pool;     /* float values over space */
} Random;

static int below(Random *r, int n)
{
    r->seed = r->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (int)((r->seed >> 33) % (uint64_t)n);
}
static Edge any(Random *r)
{
    return r->pool.v[r->pool.n - 1 - below(r, r->pool.n < 6 ? r->pool.n : 6)];
}
static Edge op1(Random *r, Op op, Edge a) { return graph_pw1(r->g, op, r->space, a); }
static Edge op2(Random *r, Op op, Edge a, Edge b) { return graph_pw2(r->g, op, r->space, a, b); }
static Edge num(Random *r, double v) { return graph_float(r->g, v); }

/* At least 0.5, and tame. */
static Edge positive(Random *r, Edge e)
{
    e = op1(r, OP_tanh, e);
    return op2(r, OP_add, op2(r, OP_mul, e, e), num(r, 0.5));
}

static Edge condition(Random *r)
{
    Edge at[2] = {graph_idx(r->g, ix_axis(r->g, below(r, AXES)), r->space),
                  graph_int(r->g, below(r, 3))};
    switch (below(r, 4)) {
    case 0:
        return op2(r, OP_eq, at[0], at[1]);
    case 1:
        return op2(r, OP_le, at[0], graph_idx(r->g, ix_axis(r->g, below(r, AXES)), r->space));
    case 2: {
        Edge in = graph_leaf(r->g, OP_input, "int", DT_INT, space_slice(r->g, r->space, 0, 1));
        return op2(r, OP_eq, at[0], edge_comp(r->g, in, map_identity(r->g, 1), r->space));
    }
    default:
        return op1(r, OP_not, op2(r, OP_lt, any(r), num(r, 0.1)));
    }
}

/* The space with `axis` last, and every axis of the one over the other. */
static const Space *moved_last(Random *r, int axis, const Map **there, const Map **back)
{
    const Ix *ext[AXES], *to[AXES], *from[AXES];
    int n = 0;
    for (int i = 0; i < AXES; i++) {
        int k = i == axis ? AXES - 1 : n++;
        ext[k] = r->space->ext[i];
        to[i] = ix_axis(r->g, k);
        from[k] = ix_axis(r->g, i);
    }
    *there = map_make(r->g, AXES, to);
    *back = map_make(r->g, AXES - 1, from);
    return space_make(r->g, AXES, ext);
}

/* Summed (or the largest) along an axis, and read back over all of it. */
static Edge reduced(Random *r, Op op, Edge e, int axis)
{
    const Map *there, *back;
    const Space *s = moved_last(r, axis, &there, &back);
    e = graph_reduce(r->g, op, s, AXES - 1, edge_comp(r->g, e, there, s));
    return edge_comp(r->g, e, back, r->space);
}

static Edge shifted(Random *r, Edge e)
{
    const Ix *ix[AXES];
    int axis = below(r, AXES), by = below(r, 3) - 1;
    for (int i = 0; i < AXES; i++) ix[i] = ix_axis(r->g, i);
    if (below(r, 2))
        ix[axis] = ix_sub(r->g, ix_sub(r->g, r->space->ext[axis], ix_const(r->g, 1)), ix[axis]);
    ix[axis] = ix_add(r->g, ix[axis], ix_const(r->g, by));
    Edge fill = num(r, below(r, 2));
    return graph_access(r->g, r->space, r->space, e, map_make(r->g, AXES, ix), &fill);
}

/* Along the second axis to where an input says, and read back. */
static Edge scattered(Random *r, Edge e)
{
    Graph *g = r->g;
    const Ix *ext[4] = {r->space->ext[0], r->space->ext[1], r->space->ext[2], r->space->ext[1]};
    const Space *s = space_make(g, 4, ext);
    Edge in = graph_leaf(g, OP_input, "key", DT_INT, space_slice(g, r->space, 0, 2));
    const Ix *ix[3] = {ix_axis(g, 0), ix_axis(g, 3), ix_axis(g, 2)};
    const Ix *key[3] = {NULL, ix_load(g, edge_comp(g, in, map_make(g, 2, ix), s), s), NULL};
    return graph_scat(g, s, 3, edge_comp(g, e, map_make(g, 3, ix), s), key);
}

static Edge gathered(Random *r, Edge e)
{
    Graph *g = r->g;
    Edge in = graph_leaf(g, OP_input, "at", DT_INT, space_slice(g, r->space, 0, 2));
    const Ix *ix[3] = {ix_axis(g, 0),
                       ix_load(g, edge_comp(g, in, map_identity(g, 2), r->space), r->space),
                       ix_axis(g, 2)};
    Edge zero = num(r, 0);
    return graph_access(g, r->space, r->space, e, map_make(g, 3, ix), &zero);
}

static Edge next(Random *r)
{
    Edge a = any(r), b = any(r);
    switch (below(r, 17)) {
    case 0:
        return op2(r, OP_add, a, b);
    case 1:
        return op2(r, OP_sub, a, b);
    case 2:
    case 3:
        return op2(r, OP_mul, a, b);
    case 4:
        return op2(r, OP_div, a, positive(r, b));
    case 5:
        return op1(r, OP_neg, a);
    case 6:
        return op1(r, OP_tanh, a);
    case 7:
        return graph_select(r->g, r->space, condition(r), a, num(r, 0));
    case 8:
        return graph_select(r->g, r->space, condition(r), num(r, 0), a);
    case 9:
    case 10:
        return reduced(r, OP_sum, op2(r, OP_mul, a, b), below(r, AXES));
    case 11:
        return reduced(r, OP_rmax, a, below(r, AXES));
    case 12:
        return shifted(r, a);
    case 13:
        return op2(r, OP_mul, scattered(r, a), num(r, 0.5));
    case 14:
        return gathered(r, a);
    case 15: { /* softmax along an axis */
        int axis = below(r, AXES);
        Edge e = op1(r, OP_exp, op1(r, OP_tanh, a));
        return op2(r, OP_div, e, reduced(r, OP_sum, e, axis));
    }
    default: {
        static const double c[] = {0, 1, 2, -1, 0.5};
        return op2(r, OP_mul, a, num(r, c[below(r, COUNT(c))]));
    }
    }
}

static Edge leaf_value(Random *r, const char *name, int from, int to)
{
    const Ix *ix[AXES];
    for (int i = from; i < to; i++) ix[i - from] = ix_axis(r->g, i);
    Edge e = graph_leaf(r->g, OP_param, name, DT_FLOAT, space_slice(r->g, r->space, from, to));
    return edge_comp(r->g, e, map_make(r->g, to - from, ix), r->space);
}

static Graph *program(Diag *d, uint64_t seed, bool rules)
{
    Random random = {.g = graph_new(d), .seed = seed}, *r = &random;
    Graph *g = r->g;
    g->rules_on = rules;
    const Ix *ext[AXES] = {ix_sym(g, "n", NO_LOC), ix_sym(g, "m", NO_LOC), ix_const(g, 2)};
    r->space = space_make(g, AXES, ext);
    vec_push(g->arena, &r->pool, leaf_value(r, "all", 0, 3));
    vec_push(g->arena, &r->pool, leaf_value(r, "rows", 0, 2));
    vec_push(g->arena, &r->pool, leaf_value(r, "columns", 1, 3));
    for (int i = 0; i < LENGTH; i++) {
        Edge e = next(r);
        vec_push(g->arena, &r->pool, e);
    }
    Edge y = op1(r, OP_tanh, any(r));
    y = op2(r, OP_mul, op2(r, OP_add, y, leaf_value(r, "columns", 1, 3)),
            leaf_value(r, "all", 0, 3));
    graph_root(g, ROOT_OUTPUT, "loss", graph_reduce(g, OP_sum, r->space, 0, y),
               space_make(g, 0, NULL), NO_LOC);
    graph_grad(g);
    graph_verify(g, "grad");
    return g;
}

static Eval *evaluated(Graph *g)
{
    Eval *ev = eval_new(g, sizes, 1, 1, false);
    for (int i = 0; i < g->params.n + g->inputs.n; i++) {
        Node *n = i < g->params.n ? g->params.v[i].node : g->inputs.v[i - g->params.n].node;
        double v[64];
        Tensor t = {.dt = DT_FLOAT, .rank = n->rank, .count = 1, .data = v};
        IxEnv env = {.syms = sizes};
        for (int k = 0; k < n->rank; k++) t.count *= t.shape[k] = ix_eval(n->space->ext[k], &env);
        for (int k = 0; k < t.count; k++)
            v[k] = n->dt == DT_FLOAT ? sin(5 * k + n->attr.leaf.name[0]) : (k * 3 + 1) % 4 - 1;
        eval_set(ev, n, &t);
    }
    return ev;
}

static void expect_same(Graph *a, Graph *b, uint64_t seed)
{
    Eval *ea = evaluated(a), *eb = evaluated(b);
    for (int i = 0; i < b->roots.n; i++) {
        const Root *q = &b->roots.v[i], *p = graph_find_root(a, q->kind, q->name);
        Tensor y = eval_edge(eb, q->e, q->space), x = {0};
        if (p) x = eval_edge(ea, p->e, p->space); /* none: identically 0 */
        for (int64_t k = 0; k < y.count; k++) {
            double u = p ? ((double *)x.data)[k] : 0, v = ((double *)y.data)[k];
            if (!(fabs(u - v) <= 1e-9 * (1 + fabs(v))))
                fail_msg("program %d: %s is %.17g, without rules %.17g", (int)seed, q->name, u, v);
        }
    }
    eval_free(ea);
    eval_free(eb);
}

static void expect_slopes(Graph *g, uint64_t seed)
{
    int n;
    Arena *a = arena_new();
    const GradError *e = graph_gradcheck(g, sizes, seed, 3, a, &n);
    for (int i = 0; i < n; i++)
        if (!(e[i].max_rel < 1e-5 || e[i].max_abs < 1e-10))
            fail_msg("program %d: gradient of %s is off by %g (%g)", (int)seed, e[i].name,
                     e[i].max_abs, e[i].max_rel);
    arena_free(a);
}

static void random_programs(void **state)
{
    (void)state;
    int64_t hits[RW_COUNT] = {0};
    for (volatile int i = 1; i <= PROGRAMS; i++) {
        const uint64_t seed = (uint64_t)i;
        Diag *d = diag_new();
        Graph *volatile on = NULL, *volatile off = NULL;
        DIAG_TRY(d)
        {
            on = program(d, seed, true);
            off = program(d, seed, false);
            expect_same(on, off, seed);
            if (seed % 3 == 0) expect_slopes(on, seed);
            off->rules_on = true;
            graph_rewrite(off, NULL, NULL); /* all identities at once */
            graph_verify(off, "rewriting");
            graph_rewrite(on, NULL, NULL);
            graph_verify(on, "rewriting");
            expect_same(on, off, seed);
        }
        DIAG_CATCH(d) { fail_msg("program %d: %s", (int)seed, diag_text(d)); }
        DIAG_END(d)
        for (int k = 0; k < RW_COUNT; k++) hits[k] += on->hits[k] + off->hits[k];
        graph_free(on);
        graph_free(off);
        diag_free(d);
    }
    int seen = 0;
    for (int i = 0; i < RW_COUNT; i++) seen += hits[i] > 0;
    assert_true(seen >= 15); /* the programs are not too tame */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
