/* Every op of the op table on the cpu device, over odd shapes and all its dtypes. An op without a
 * case fails. */
#include "exec_test.h"

typedef struct {
    Op op;
    DType dt;
    int variant;
} Case;

static Edge typed(Test *t, const char *name, DType dt, const char *axes)
{
    return graph_leaf(t->g, OP_input, name, dt, space(t, axes));
}

static void sizes(Test *t)
{
    free_axis(t, 'b');
    free_axis(t, 'n');
    axis(t, 'h', 3);
    axis(t, 'w', 5);
}

static const int64_t dims[] = {7, 83};

/* Values in the range where the op is interesting. */
static Edge suited(Test *t, Op op, Edge x, const Space *s)
{
    Graph *g = t->g;
    if (op == OP_log || op == OP_sqrt) return graph_pw1(g, OP_abs, s, x);
    if (op == OP_sin || op == OP_cos) return graph_pw2(g, OP_mul, s, x, graph_float(g, 32768));
    if (op == OP_exp) return graph_pw2(g, OP_mul, s, x, graph_float(g, 16));
    return x;
}

/* out[b,n,h] = op(x[b,n,h], y[n,b] transposed, z[h]) */
static void pointwise(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    const Space *s = space(t, "bnh");
    int n = op_info[c->op].nargs;
    Edge a[3];
    if (c->op == OP_select) {
        a[0] = typed(t, "c", DT_BOOL, "bnh");
        a[1] = at(t, typed(t, "y", c->dt, "nb"), "nb", "bnh");
        a[2] = at(t, typed(t, "z", c->dt, "h"), "h", "bnh");
    } else {
        a[0] = suited(t, c->op, typed(t, "x", c->dt, "bnh"), s);
        a[1] = at(t, typed(t, "y", c->dt, "nb"), "nb", "bnh");
        if (c->op == OP_pow && c->dt == DT_FLOAT) a[0] = graph_pw1(t->g, OP_abs, s, a[0]);
    }
    Edge e = c->op == OP_cast ? graph_cast(t->g, (DType)c->variant, s, a[0])
                              : graph_pw(t->g, c->op, s, a);
    (void)n;
    root(t, ROOT_OUTPUT, "out", e, "bnh");
}

/* Shifted beyond both ends; the fill is a constant, or another read where the first fails. */
static void reading(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    Graph *g = t->g;
    const Space *s = space(t, "bnh"), *shape = space(t, "bn");
    Edge x = typed(t, "x", c->dt, "bn"), m = typed(t, "m", c->dt, "bw");
    const Ix *n = ix_axis(g, 1), *h = ix_axis(g, 2);
    Edge fill = c->dt == DT_FLOAT ? graph_float(g, -1)
                : c->dt == DT_INT ? graph_int(g, -1)
                                  : graph_bool(g, true);
    if (c->variant == 0) {
        const Ix *ix[] = {ix_axis(g, 0), ix_sub(g, n, ix_scale(g, h, 40))};
        root(t, ROOT_OUTPUT, "out", graph_access(g, s, shape, x, map_make(g, 2, ix), &fill), "bnh");
    } else { /* m[b, n] else x[b, n - 5]: concatenation */
        const Ix *mem[] = {ix_axis(g, 0), n},
                 *rest[] = {ix_axis(g, 0), ix_sub(g, n, ix_const(g, 5))};
        Edge tail = graph_access(g, s, shape, x, map_make(g, 2, rest), &fill);
        root(t, ROOT_OUTPUT, "out",
             graph_access(g, s, space(t, "bw"), m, map_make(g, 2, mem), &tail), "bnh");
    }
}

static const char *const red_order[][2] = {{"bh", "n"}, {"n", "bh"}, {"", "bnh"},
                                           {"hnb", ""}, {"h", "nb"}, {"nb", "h"}};

static void reducing(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    const char *const *o = red_order[c->variant];
    root(t, ROOT_OUTPUT, "out", reduce(t, c->op, o[0], o[1], typed(t, "x", c->dt, "bnh"), "bnh"),
         o[0]);
}

static void selecting(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    Graph *g = t->g;
    int width[] = {1, 2, 5, 40, 83};
    t->ext['k'] = ix_const(g, width[c->variant % 5]);
    Edge x = typed(t, "x", c->dt, "bnh");
    if (c->variant >= 5) x = graph_pw1(g, OP_floor, space(t, "bnh"), x); /* many ties */
    Edge e = graph_top(g, space(t, "bhn"), 2, at(t, x, "bnh", "bhn"), t->ext['k']);
    root(t, ROOT_OUTPUT, "out", e, "bhk");
}

/* out[b,w,h] = sum over n of x[b,n,h] where key[b,n] == w; or both w and h keyed */
static void scattering(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    Graph *g = t->g;
    const Space *s = space(t, "bwhn");
    Edge x = at(t, typed(t, "x", c->dt, "bn"), "bn", "bwhn"),
         key = at(t, typed(t, "key", DT_INT, "bn"), "bn", "bwhn");
    if (c->variant == 1) x = at(t, typed(t, "y", c->dt, "bhn"), "bhn", "bwhn");
    const Ix *k[] = {NULL, ix_load(g, key, s), NULL};
    if (c->variant == 2) k[2] = ix_load(g, at(t, typed(t, "key2", DT_INT, "n"), "n", "bwhn"), s);
    root(t, ROOT_OUTPUT, "out", graph_scat(g, s, 3, x, k), "bwh");
}

static void scanning(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    Edge x = typed(t, "x", c->dt, "bnh");
    root(t, ROOT_OUTPUT, "out",
         graph_scan(t->g, space(t, "bnh"), c->variant & 4 ? 0 : 1, c->variant & 1, c->variant & 2,
                    x),
         "bnh");
}

/* A draw decides on the host. */
static void branching(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    Graph *g = t->g;
    const Space *none = space(t, ""), *s = space(t, "bn");
    Edge coin =
        graph_pw2(g, OP_lt, none, graph_rand(g, (uint64_t)c->variant, none), graph_float(g, 0.5));
    Edge x = typed(t, "x", c->dt, "bn"), y = at(t, typed(t, "y", c->dt, "n"), "n", "bn");
    Edge e = graph_branch(g, s, coin, x, y);
    root(t, ROOT_OUTPUT, "out", e, "bn");
    root(t, ROOT_OUTPUT, "sum", reduce(t, OP_rmax, "b", "n", e, "bn"), "b");
}

static void leaves(Test *t, const void *arg)
{
    const Case *c = arg;
    sizes(t);
    Graph *g = t->g;
    const Space *s = space(t, "bnh");
    Edge e = {0};
    switch (c->op) {
    case OP_const:
        e = at(t, graph_float(g, 2.5), "", "bnh");
        break;
    case OP_input:
        e = typed(t, "x", c->dt, "bnh");
        break;
    case OP_param:
        e = at(t, param(t, "w", "hw"), "hw", "hwb");
        root(t, ROOT_OUTPUT, "out", e, "hwb");
        return;
    case OP_state:
        e = at(t, graph_leaf(g, OP_state, "s", c->dt, space(t, "wh")), "wh", "hw");
        root(t, ROOT_OUTPUT, "out", e, "hw");
        root(t, ROOT_UPDATE, "s", graph_leaf(g, OP_state, "s", c->dt, space(t, "wh")), "wh");
        return;
    case OP_fresh:
        root(t, ROOT_OUTPUT, "old", graph_leaf(g, OP_state, "s", DT_FLOAT, space(t, "wh")), "wh");
        e = at(t, graph_leaf(g, OP_fresh, "s", DT_BOOL, space(t, "")), "", "bnh");
        break;
    case OP_idx: {
        const Ix *n = ix_axis(g, 1), *ten = ix_const(g, 10);
        const Ix *parts = ix_add(g, ix_div(g, n, ten, s), ix_scale(g, ix_mod(g, n, ten, s), 100));
        const Ix *all = ix_add(
            g, parts, ix_min(g, ix_scale(g, ix_axis(g, 0), 7), ix_max(g, n, ix_axis(g, 2), s), s));
        e = graph_idx(g, ix_sub(g, all, ix_mul(g, n, ix_axis(g, 2))), s);
        break;
    }
    default:
        e = graph_rand(g, 0xfeedfacecafebeefull, s);
    }
    root(t, ROOT_OUTPUT, "out", e, "bnh");
}

static void try_case(Builder b, Op op, DType dt, int variant)
{
    static const char *const type[] = {"float", "int", "bool"};
    char what[64];
    Case c = {op, dt, variant};
    snprintf(what, sizeof what, "%s %s %d", op_info[op].name, type[dt], variant);
    bool exact = op == OP_rand || op == OP_const || op == OP_param || op == OP_read ||
                 op == OP_select || op == OP_floor;
    check_program(what, b, &c,
                  (How){.dims = dims, .seed = 5, .fresh = true, .rtol = exact ? 1e-7 : 1e-5});
}

static void try_pointwise(Op op)
{
    const OpInfo *i = &op_info[op];
    bool only_bool = op == OP_not || op == OP_and || op == OP_or;
    if (op == OP_cast) {
        for (int to = DT_FLOAT; to <= DT_BOOL; to++)
            for (int from = DT_FLOAT; from <= DT_BOOL; from++)
                try_case(pointwise, op, (DType)from, to);
        return;
    }
    if (!only_bool) try_case(pointwise, op, DT_FLOAT, 0);
    if (!only_bool && i->dtype != RULE_FLOAT) try_case(pointwise, op, DT_INT, 0);
    if (only_bool || op == OP_select || op == OP_eq) try_case(pointwise, op, DT_BOOL, 0);
}

static void every_op(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        Op op = (Op)i;
        switch (op_info[i].cls) {
        case CLASS_LEAF:
            try_case(leaves, op, DT_FLOAT, 0);
            if (op == OP_input || op == OP_state)
                try_case(leaves, op, DT_INT, 0), try_case(leaves, op, DT_BOOL, 0);
            break;
        case CLASS_POINTWISE:
            try_pointwise(op);
            break;
        case CLASS_READ:
            for (int dt = 0; dt < 3; dt++)
                for (int v = 0; v < 2; v++) try_case(reading, op, (DType)dt, v);
            break;
        case CLASS_REDUCE:
            for (int v = 0; v < COUNT(red_order); v++)
                for (int dt = 0; dt < (op == OP_sum ? 2 : 3); dt++)
                    try_case(reducing, op, (DType)dt, v);
            break;
        case CLASS_TOP:
            for (int v = 0; v < 10; v++) try_case(selecting, op, DT_FLOAT, v);
            try_case(selecting, op, DT_INT, 2);
            break;
        case CLASS_SCAT:
            for (int v = 0; v < 3; v++)
                for (int dt = 0; dt < 2; dt++) try_case(scattering, op, (DType)dt, v);
            break;
        case CLASS_SCAN:
            for (int v = 0; v < 8; v++) try_case(scanning, op, v & 1 ? DT_INT : DT_FLOAT, v);
            break;
        case CLASS_BRANCH:
            for (int v = 0; v < 4; v++) try_case(branching, op, v & 1 ? DT_INT : DT_FLOAT, v);
            break;
        default:
            fail_msg("no case for op %s", op_info[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
