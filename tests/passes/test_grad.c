/* Gradients against differences of the evaluator: a loop over the op table, each op with operands
 * read through every kind of map. An op that has a rule and that no case covers fails. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "passes/walk.h"

#define SYMS 2
static const int64_t sizes[][SYMS] = {{2, 3}, {3, 1}}; /* a, b */

typedef struct {
    Diag *d;
    Graph *g;
    const Ix *a, *b;    /* free sizes */
    const Space *space; /* [a, 4 * b]: where patterns are read */
} Case;

#define C(n)      ix_const(k->g, n)
#define X(i)      ix_axis(k->g, i)
#define ADD(x, y) ix_add(k->g, x, y)
#define SUB(x, y) ix_sub(k->g, x, y)
#define MUL(x, y) ix_mul(k->g, x, y)
#define DIV(x, y) ix_div(k->g, x, y, k->space)
#define MOD(x, y) ix_mod(k->g, x, y, k->space)
#define SHAPE(...)                                                                                 \
    space_make(k->g, COUNT(((const Ix *[]){__VA_ARGS__})), (const Ix *[]){__VA_ARGS__})
#define MAP(...) map_make(k->g, COUNT(((const Ix *[]){__VA_ARGS__})), (const Ix *[]){__VA_ARGS__})

static Case case_new(void)
{
    Case c = {.d = diag_new()}, *k = &c;
    c.g = graph_new(c.d);
    c.a = ix_sym(c.g, "a", NO_LOC), c.b = ix_sym(c.g, "b", NO_LOC);
    c.space = SHAPE(c.a, MUL(C(4), c.b));
    return c;
}

static Edge param(Case *k, const char *name, const Space *shape)
{
    return graph_leaf(k->g, OP_param, name, DT_FLOAT, shape);
}

/* x read at m, everywhere inside. */
static Edge inside(Case *k, const char *x, const Space *shape, const Map *m)
{
    return graph_access(k->g, k->space, shape, param(k, x, shape), m, NULL);
}

static Edge guarded(Case *k, const char *x, const Space *shape, const Map *m, Edge fill)
{
    return graph_access(k->g, k->space, shape, param(k, x, shape), m, &fill);
}

/* An int input over `axis` of the space, with values below `limit`, as an index. */
static const Ix *index_input(Case *k, const char *name, int axis, const Ix *limit)
{
    const Space *shape = SHAPE(k->space->ext[axis]);
    Edge e = graph_leaf(k->g, OP_input, name, DT_INT, shape);
    graph_assume_range(k->g, e.node, limit, "range", NO_LOC);
    return ix_load(k->g, edge_comp(k->g, e, MAP(X(axis)), k->space), k->space);
}

/* ---- patterns: an operand of its own shape, read over [a, 4 * b] ---- */

static Edge p_same(Case *k, const char *x) { return inside(k, x, k->space, MAP(X(0), X(1))); }
static Edge p_transposed(Case *k, const char *x)
{
    return inside(k, x, SHAPE(MUL(C(4), k->b), k->a), MAP(X(1), X(0)));
}
static Edge p_rows(Case *k, const char *x) { return inside(k, x, SHAPE(k->a), MAP(X(0))); }
static Edge p_columns(Case *k, const char *x)
{
    return inside(k, x, SHAPE(MUL(C(4), k->b)), MAP(X(1)));
}
static Edge p_scalar(Case *k, const char *x)
{
    const Space *none = space_make(k->g, 0, NULL);
    return inside(k, x, none, map_make(k->g, 0, NULL));
}
static Edge p_constant(Case *k, const char *x)
{
    return inside(k, x, SHAPE(k->a, C(3)), MAP(X(0), C(2)));
}
static Edge p_split(Case *k, const char *x)
{
    return inside(k, x, SHAPE(k->a, k->b, C(4)), MAP(X(0), DIV(X(1), C(4)), MOD(X(1), C(4))));
}
static Edge p_split_by_size(Case *k, const char *x)
{
    return inside(k, x, SHAPE(k->a, C(4), k->b), MAP(X(0), DIV(X(1), k->b), MOD(X(1), k->b)));
}
static Edge p_split_in_three(Case *k, const char *x)
{
    const Ix *b2 = MUL(C(2), k->b);
    return inside(k, x, SHAPE(C(2), C(2), k->b),
                  MAP(DIV(X(1), b2), MOD(DIV(X(1), k->b), C(2)), MOD(X(1), k->b)));
}
static Edge p_split_uneven(Case *k, const char *x)
{
    const Ix *n = ix_div(k->g, ADD(MUL(C(4), k->b), C(2)), C(3), NULL);
    return inside(k, x, SHAPE(n, C(3)), MAP(DIV(X(1), C(3)), MOD(X(1), C(3))));
}
static Edge p_quotient(Case *k, const char *x)
{
    return inside(k, x, SHAPE(k->b), MAP(DIV(X(1), C(4))));
}
static Edge p_remainder(Case *k, const char *x)
{
    return inside(k, x, SHAPE(C(4)), MAP(MOD(X(1), C(4))));
}
static Edge p_merged(Case *k, const char *x)
{
    const Ix *w = MUL(C(4), k->b);
    return inside(k, x, SHAPE(MUL(k->a, w)), MAP(ADD(MUL(X(0), w), X(1))));
}
static Edge p_merged_and_split(Case *k, const char *x)
{
    const Ix *w = MUL(C(4), k->b), *y = ADD(MUL(X(0), w), X(1));
    return inside(k, x, SHAPE(MUL(MUL(C(2), k->a), k->b), C(2)), MAP(DIV(y, C(2)), MOD(y, C(2))));
}
static Edge p_reversed(Case *k, const char *x)
{
    const Ix *w = MUL(C(4), k->b);
    return inside(k, x, SHAPE(w), MAP(SUB(SUB(w, C(1)), X(1))));
}
static Edge p_strided(Case *k, const char *x)
{
    return inside(k, x, SHAPE(MUL(C(8), k->b)), MAP(ADD(MUL(C(2), X(1)), C(1))));
}
static Edge p_diagonal(Case *k, const char *x)
{
    return inside(k, x, SHAPE(k->a, k->a), MAP(X(0), X(0)));
}
static Edge p_sum_of_axes(Case *k, const char *x)
{
    return inside(k, x, SHAPE(ADD(k->a, MUL(C(4), k->b))), MAP(ADD(X(0), X(1))));
}
static Edge p_distance(Case *k, const char *x)
{
    const Ix *w = MUL(C(4), k->b);
    return inside(k, x, SHAPE(ADD(k->a, w)), MAP(ADD(SUB(X(0), X(1)), SUB(w, C(1)))));
}
static Edge p_windows(Case *k, const char *x)
{
    return inside(k, x, SHAPE(MUL(C(4), ADD(k->a, k->b))), MAP(ADD(MUL(C(4), X(0)), X(1))));
}
static Edge p_windows_uneven(Case *k, const char *x)
{
    return inside(k, x, SHAPE(ADD(MUL(C(3), k->a), MUL(C(4), k->b))),
                  MAP(ADD(MUL(C(3), X(0)), X(1))));
}
static Edge p_band(Case *k, const char *x)
{
    const Ix *w = MUL(C(4), k->b);
    return inside(k, x, SHAPE(k->a, ADD(k->a, w)), MAP(X(0), ADD(X(0), X(1))));
}
static Edge p_windows_before(Case *k, const char *x) /* the window before this one, 0 outside */
{
    const Ix *at = SUB(ADD(MUL(C(4), X(0)), X(1)), C(4));
    return guarded(k, x, SHAPE(MUL(C(4), k->a)), MAP(at), graph_float(k->g, 0));
}
static Edge p_shifted(Case *k, const char *x)
{
    return guarded(k, x, k->space, MAP(X(0), SUB(X(1), C(1))), graph_float(k->g, 0.5));
}
static Edge p_filled(Case *k, const char *x) /* another operand outside */
{
    Edge fill = inside(k, "fill", k->space, MAP(X(0), X(1)));
    return guarded(k, x, k->space, MAP(X(0), ADD(X(1), C(3))), fill);
}
static Edge p_concatenated(Case *k, const char *x)
{
    const Ix *half = MUL(C(2), k->b);
    Edge rest = guarded(k, "rest", SHAPE(half), MAP(SUB(X(1), half)), graph_float(k->g, 0));
    return guarded(k, x, SHAPE(half), MAP(X(1)), rest);
}
static Edge p_gather(Case *k, const char *x)
{
    return inside(k, x, SHAPE(C(5), k->a), MAP(index_input(k, "idx", 1, C(5)), X(0)));
}
static Edge p_gather_pair(Case *k, const char *x)
{
    const Ix *i = index_input(k, "idx", 1, C(3)), *j = index_input(k, "jdx", 0, C(2));
    return inside(k, x, SHAPE(C(3), C(2)), MAP(i, j));
}
static Edge p_gather_outside(Case *k, const char *x)
{
    return guarded(k, x, SHAPE(C(2), k->a), MAP(SUB(index_input(k, "idx", 1, C(4)), C(1)), X(0)),
                   graph_float(k->g, 0.25));
}
static Edge p_gather_offset(Case *k, const char *x) /* a window that starts where an input says */
{
    return inside(k, x, SHAPE(k->a, ADD(MUL(C(4), k->b), C(2))),
                  MAP(X(0), ADD(X(1), index_input(k, "start", 0, C(3)))));
}
static Edge p_gather_twice(Case *k, const char *x)
{
    Edge first = graph_leaf(k->g, OP_input, "first", DT_INT, SHAPE(C(4)));
    graph_assume_range(k->g, first.node, C(5), "range", NO_LOC);
    const Ix *at = index_input(k, "second", 1, C(4));
    const Ix *ix = ix_load(k->g, edge_comp(k->g, first, MAP(at), k->space), k->space);
    return inside(k, x, SHAPE(C(5)), MAP(ix));
}
static Edge p_clamped(Case *k, const char *x)
{
    const Ix *last = MUL(C(2), k->b);
    return inside(k, x, SHAPE(ADD(last, C(1))), MAP(ix_min(k->g, X(1), last, k->space)));
}
static Edge p_best(Case *k, const char *x) /* routed: the two best of each row, taken in turn */
{
    const Ix *w = MUL(C(4), k->b);
    Edge score = graph_pw1(k->g, OP_sin, k->space, param(k, "score", k->space));
    Edge top = graph_top(k->g, k->space, 1, score, C(2));
    Edge at = edge_comp(k->g, top, MAP(X(0), MOD(X(1), C(2))), k->space);
    return inside(k, x, SHAPE(k->a, w), MAP(X(0), ix_load(k->g, at, k->space)));
}

typedef Edge (*Pattern)(Case *, const char *x);
#define P(name, scatters)                                                                          \
    {                                                                                              \
#name, p_##name, scatters                                                                  \
    }
static const struct {
    const char *name;
    Pattern make;
    int scatters; /* in the gradient of mul over it */
} patterns[] = {
    P(same, 0),         P(transposed, 0),       P(rows, 0),
    P(columns, 0),      P(scalar, 0),           P(constant, 0),
    P(split, 0),        P(split_by_size, 0),    P(split_in_three, 0),
    P(split_uneven, 0), P(quotient, 0),         P(remainder, 0),
    P(merged, 0),       P(merged_and_split, 0), P(reversed, 0),
    P(strided, 0),      P(diagonal, 0),         P(sum_of_axes, 0),
    P(distance, 0),     P(windows, 0),          P(windows_uneven, 0),
    P(band, 0),         P(windows_before, 0),   P(shifted, 0),
    P(filled, 0),       P(concatenated, 0),     P(gather, 1),
    P(gather_pair, 1),  P(gather_outside, 1),   P(gather_offset, 0),
    P(gather_twice, 1), P(clamped, 1),          P(best, 1),
};

/* ---- one op over a pattern ---- */

static Edge other(Case *k, const char *name) { return p_same(k, name); }

/* Keeps away from 0 and below: log, sqrt, quotients and powers. */
static Edge positive(Case *k, Edge e)
{
    return graph_pw2(k->g, OP_add, k->space, graph_pw1(k->g, OP_exp, k->space, e),
                     graph_float(k->g, 0.1));
}

static Edge pointwise(Case *k, Op op, Edge x, int position)
{
    Edge a[MAX_ARGS];
    for (int i = 0; i < op_info[op].nargs; i++) a[i] = i == position ? x : other(k, i ? "y" : "z");
    if (op == OP_log || op == OP_sqrt) a[0] = positive(k, a[0]);
    if (op == OP_div) a[1] = positive(k, a[1]);
    if (op == OP_pow) a[0] = positive(k, a[0]), a[1] = graph_pw1(k->g, OP_sin, k->space, a[1]);
    if (op == OP_select) {
        a[0] = graph_pw2(k->g, OP_lt, k->space, other(k, "c"), other(k, "d"));
        if (position == 0) return (Edge){0};
    }
    if (op == OP_cast) {
        Edge on = graph_pw2(k->g, OP_lt, k->space, x, graph_float(k->g, 0.1));
        return graph_pw2(k->g, OP_mul, k->space, x, graph_cast(k->g, DT_FLOAT, k->space, on));
    }
    return graph_pw(k->g, op, k->space, a);
}

/* The value of op over x, over *out; node NULL: no such case. Variants differ per class. */
static Edge apply(Case *k, Op op, Edge x, int variant, const Space **out)
{
    Graph *g = k->g;
    const Space *s = k->space;
    *out = s;
    switch (op_info[op].cls) {
    case CLASS_POINTWISE:
        return variant < op_info[op].nargs ? pointwise(k, op, x, variant) : (Edge){0};
    case CLASS_READ: {
        Guard q = {SUB(X(1), C(2)), MUL(C(2), k->b)};
        if (variant > 1) return (Edge){0};
        return variant ? graph_read(g, s, &q, 1, other(k, "y"), x)
                       : graph_read(g, s, &q, 1, x, other(k, "y"));
    }
    case CLASS_REDUCE:
        if (variant > 1) return (Edge){0};
        *out = space_slice(g, s, 0, 1 - variant);
        return graph_reduce(g, op, s, 1 - variant, graph_pw2(g, OP_mul, s, x, other(k, "y")));
    case CLASS_SCAT: {
        if (variant > 1) return (Edge){0};
        const Space *to = SHAPE(k->a, C(5), MUL(C(4), k->b));
        const Ix *key =
            ix_subst(g, index_input(k, "key", 1, C(variant ? 9 : 5)), MAP(X(0), X(2)), to);
        x = edge_comp(g, graph_pw2(g, OP_mul, s, x, other(k, "y")), MAP(X(0), X(2)), to);
        *out = space_slice(g, to, 0, 2);
        return graph_scat(g, to, 2, x, (const Ix *[]){NULL, variant ? SUB(key, C(2)) : key});
    }
    case CLASS_SCAN:
        if (variant > 7) return (Edge){0};
        return graph_scan(g, s, variant >> 2, variant & 1, variant >> 1 & 1, x);
    case CLASS_BRANCH: {
        if (variant > 1) return (Edge){0};
        Edge c = graph_leaf(g, OP_input, "on", DT_BOOL, space_make(g, 0, NULL)), y = other(k, "y");
        return graph_branch(g, s, c, variant ? x : y, variant ? y : x);
    }
    default:
        return (Edge){0};
    }
}

/* loss = sum of value * random weights */
static void add_loss(Case *k, Edge value, const Space *out)
{
    Graph *g = k->g;
    Edge w = graph_leaf(g, OP_state, "weight", DT_FLOAT, out);
    Edge loss = graph_reduce(g, OP_sum, out, 0, graph_pw2(g, OP_mul, out, value, w));
    graph_root(g, ROOT_OUTPUT, "loss", loss, space_make(g, 0, NULL), NO_LOC);
}

static void expect_gradients(Case *k, const char *what)
{
    for (int s = 0; s < COUNT(sizes); s++) {
        int n;
        Arena *arena = arena_new();
        const GradError *e = graph_gradcheck(k->g, sizes[s], 1, 40, arena, &n);
        for (int i = 0; i < n; i++)
            if (!(e[i].max_rel < 1e-6))
                fail_msg("%s: gradient of %s is off by %g (relative %g)", what, e[i].name,
                         e[i].max_abs, e[i].max_rel);
        assert_true(n > 0);
        arena_free(arena);
    }
}

/* Is the rule of op on the way from the loss to a param? */
static bool covers(const Graph *g, Op op)
{
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.v[i]->op == op) return true;
    return false;
}

static bool run_case(Op op, int pattern, int variant, bool rules)
{
    Case c = case_new(), *k = &c;
    bool covered = false;
    char what[128];
    snprintf(what, sizeof what, "%s of %s, variant %d, rules %s", op_info[op].name,
             patterns[pattern].name, variant, rules ? "on" : "off");
    DIAG_TRY(c.d)
    {
        const Space *out;
        c.g->rules_on = rules;
        Edge e = apply(k, op, patterns[pattern].make(k, "x"), variant, &out);
        if (e.node && e.node->dt == DT_FLOAT) {
            add_loss(k, e, out);
            covered = covers(c.g, op);
            graph_grad(c.g);
            graph_verify(c.g, what);
            expect_gradients(k, what);
            if (rules) {
                graph_rewrite(c.g, NULL, NULL);
                graph_verify(c.g, "rewriting");
                expect_gradients(k, "rewritten");
            }
        }
    }
    DIAG_CATCH(c.d) { fail_msg("%s: %s", what, diag_text(c.d)); }
    DIAG_END(c.d)
    graph_free(c.g);
    diag_free(c.d);
    return covered;
}

/* Every op with a rule, over four patterns that differ from op to op; mul, sum and rmax over all.
 */
static void every_op(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        if (!vjp_rule[op]) continue;
        bool all = op == OP_mul || op == OP_sum || op == OP_rmax, covered = false;
        for (int p = 0; p < COUNT(patterns); p++) {
            if (!all && (p + op) % 8) continue;
            for (int v = 0; v < 8; v++) {
                covered |= run_case((Op)op, p, v, true);
                run_case((Op)op, p, v, false);
            }
        }
        if (!covered) fail_msg("no case covers the rule of %s", op_info[op].name);
    }
}

/* Maps that are affine, in themselves or after a split, need no scatter. */
static void scatters(void **state)
{
    (void)state;
    for (int p = 0; p < COUNT(patterns); p++) {
        Case c = case_new(), *k = &c;
        const Space *out;
        int found = 0;
        add_loss(k, apply(k, OP_mul, patterns[p].make(k, "x"), 0, &out), c.space);
        graph_grad(c.g);
        graph_dce(c.g);
        for (int i = 0; i < c.g->nodes.n; i++) found += c.g->nodes.v[i]->op == OP_scat;
        if (found != patterns[p].scatters) fail_msg("%s: %d scatters", patterns[p].name, found);
        graph_free(c.g);
        diag_free(c.d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op), cmocka_unit_test(scatters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
