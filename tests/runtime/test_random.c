/* Random programs on the cpu device, unfused and fused, with their gradients, against the
 * evaluator; some in a region that runs piece by piece as far as it can.
 *
 *     RTC_RANDOM=200 test_runtime_random     more of them; RTC_RANDOM_FROM=17 starts at a seed;
 *     RTC_RANDOM_PIECES=200                  more of those in pieces
 */
#include "exec_test.h"

enum { AXES = 5, MOST_VALUES = 40 };

typedef struct {
    Edge e;
    char axes[AXES + 1];
} Known;

typedef struct {
    Test *t;
    uint64_t seed;
    Known value[MOST_VALUES];
    int n, draws;
    Edge near; /* int over [b, t], in the range of t */
} Random;

static int below(Random *r, int n)
{
    r->seed = r->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (int)((r->seed >> 33) % (uint64_t)n);
}

static const char letters[] = "btdhw"; /* two free, three constant */

static void some_axes(Random *r, int least, int most, char *out)
{
    char all[AXES + 1];
    memcpy(all, letters, sizeof all);
    int n = least + below(r, most - least + 1);
    for (int i = 0; i < n; i++) {
        int k = i + below(r, AXES - i);
        char c = all[i];
        all[i] = all[k], all[k] = c;
        out[i] = all[i];
    }
    out[n] = 0;
}

static void add(Random *r, Edge e, const char *axes)
{
    if (r->n == MOST_VALUES) return;
    r->value[r->n].e = e;
    strcpy(r->value[r->n++].axes, axes);
}

/* A value whose axes all lie in `over`. */
static const Known *operand(Random *r, const char *over)
{
    for (int tries = 0; tries < 20; tries++) {
        const Known *v = &r->value[below(r, r->n)];
        if (strspn(v->axes, over) == strlen(v->axes)) return v;
    }
    return &r->value[0]; /* the scalar */
}

static int place(const char *over, char c) { return (int)(strchr(over, c) - over); }

/* v over `over`: as it is, shifted along one axis with 0 outside, or gathered along t. */
static Edge read_somehow(Random *r, const Known *v, const char *over)
{
    Test *t = r->t;
    Graph *g = t->g;
    int n = (int)strlen(v->axes), how = below(r, 4);
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < n; i++) ix[i] = ix_axis(g, place(over, v->axes[i]));
    const Space *to = space(t, over);
    Edge zero = graph_float(g, 0);
    if (how == 1 && n) {
        int k = below(r, n);
        ix[k] = ix_add(g, ix[k], ix_const(g, below(r, 5) - 2));
        return graph_access(g, to, space(t, v->axes), v->e, map_make(g, n, ix), &zero);
    }
    if (how == 2 && strchr(v->axes, 't') && strchr(over, 'b')) {
        ix[place(v->axes, 't')] = ix_load(g, at(t, r->near, "bt", over), to);
        return edge_comp(g, v->e, map_make(g, n, ix), to);
    }
    return at(t, v->e, v->axes, over);
}

static void add_pointwise(Random *r)
{
    static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_max, OP_min, OP_tanh,
                             OP_sin, OP_neg, OP_abs, OP_erf, OP_exp};
    Test *t = r->t;
    char over[AXES + 1];
    some_axes(r, 1, 4, over);
    const Space *s = space(t, over);
    Op op = ops[below(r, COUNT(ops))];
    Edge a = read_somehow(r, operand(r, over), over);
    if (op_info[op].nargs == 2) {
        add(r, graph_pw2(t->g, op, s, a, read_somehow(r, operand(r, over), over)), over);
        return;
    }
    if (op == OP_exp) a = graph_pw1(t->g, OP_tanh, s, a);
    add(r, graph_pw1(t->g, op, s, a), over);
}

/* out and red share out the axes of a product of one or two values */
static void add_sum(Random *r)
{
    Test *t = r->t;
    char over[AXES + 1];
    some_axes(r, 2, 4, over);
    const Space *s = space(t, over);
    int n = (int)strlen(over), out = below(r, n);
    Edge e = read_somehow(r, operand(r, over), over);
    if (below(r, 2)) e = graph_pw2(t->g, OP_mul, s, e, read_somehow(r, operand(r, over), over));
    Op op = below(r, 3) ? OP_sum : OP_rmax;
    if (op == OP_sum) e = graph_pw2(t->g, OP_mul, s, e, graph_float(t->g, 0.1));
    over[out] = 0;
    e = graph_reduce(t->g, op, s, out, e);
    add(r, e, over);
}

static void add_special(Random *r)
{
    Test *t = r->t;
    Graph *g = t->g;
    int how = below(r, 5);
    char over[AXES + 1];
    if (how == 0) { /* a scatter along t, of what stands at [b, t, d] */
        const Space *s = space(t, "btdu");
        Edge v = read_somehow(r, operand(r, "btd"), "btd");
        v = edge_comp(
            g, v, map_make(g, 3, (const Ix *[]){ix_axis(g, 0), ix_axis(g, 3), ix_axis(g, 2)}), s);
        const Ix *key = ix_load(g, at(t, r->near, "bu", "btdu"), s);
        add(r, graph_scat(g, s, 3, v, (const Ix *[]){NULL, key, NULL}), "btd");
        return;
    }
    some_axes(r, 2, 3, over);
    const Space *s = space(t, over);
    Edge e = read_somehow(r, operand(r, over), over);
    if (how == 1) {
        e = graph_scan(g, s, below(r, (int)strlen(over)), below(r, 2), below(r, 2), e);
    } else if (how == 2) {
        Edge u = graph_rand(g, (uint64_t)++r->draws, s);
        Edge keep = graph_pw2(g, OP_le, s, graph_float(g, 0.3), u);
        e = graph_select(g, s, keep, e, graph_float(g, 0));
    } else if (how == 3) {
        Edge u = graph_rand(g, (uint64_t)++r->draws, space(t, ""));
        Edge coin = graph_pw2(g, OP_lt, space(t, ""), u, graph_float(g, 0.5));
        e = graph_branch(g, s, coin, e, read_somehow(r, operand(r, over), over));
    } else { /* masked by position: causal, a band */
        int a = below(r, (int)strlen(over)), b = below(r, (int)strlen(over));
        Edge i = graph_idx(g, ix_axis(g, a), s), j = graph_idx(g, ix_axis(g, b), s);
        e = graph_select(g, s, graph_pw2(g, OP_le, s, i, j), e, graph_float(g, -1));
    }
    add(r, e, over);
}

/* Axes merged and split again: x[b, t, (h w)] as y[b, h, t, w]. */
static void add_view(Random *r)
{
    Test *t = r->t;
    Graph *g = t->g;
    t->ext['m'] = ix_mul(g, t->ext['h'], t->ext['w']);
    Edge x = read_somehow(r, operand(r, "bthw"), "bthw");
    const Space *merged = space(t, "btm"), *split = space(t, "bhtw");
    const Ix *i = ix_axis(g, 2), *w = t->ext['w'];
    const Map *down = map_make(g, 4,
                               (const Ix *[]){ix_axis(g, 0), ix_axis(g, 1), ix_div(g, i, w, merged),
                                              ix_mod(g, i, w, merged)});
    Edge y = graph_pw1(g, OP_tanh, merged, edge_comp(g, x, down, merged));
    const Ix *m = ix_add(g, ix_mul(g, ix_axis(g, 1), w), ix_axis(g, 3));
    const Map *up = map_make(g, 3, (const Ix *[]){ix_axis(g, 0), ix_axis(g, 2), m});
    add(r, edge_comp(g, y, up, split), "bhtw");
}

typedef struct {
    uint64_t seed;
    bool pieces;
} Choice;

/* Everything from here on may run in pieces, where it reads its own position of the axis. */
static void open_chunk(Test *t, uint64_t seed)
{
    Graph *g = t->g;
    Region q = {.kind = REGION_CHUNK, .chunk_extent = t->ext[(int)"btt"[seed % 3]]};
    q.chunks = ix_const(g, 2 + (int64_t)(seed % 4));
    vec_push(g->arena, &g->regions, q);
    g->region = g->regions.n - 1;
}

static void random_program(Test *t, const void *arg)
{
    const Choice *c = arg;
    Random r = {.t = t, .seed = c->seed * 77 + 5};
    free_axis(t, 'b');
    free_axis(t, 't');
    t->ext['u'] = t->ext['t'];
    axis(t, 'd', 6);
    axis(t, 'h', 3);
    axis(t, 'w', 16);
    Graph *g = t->g;
    Edge near = graph_leaf(g, OP_input, "near", DT_INT, space(t, "bt"));
    graph_assume_range(g, near.node, t->ext['t'], "no position", NO_LOC);
    r.near = near;
    add(&r, graph_float(g, 0.75), "");
    add(&r, input(t, "x", "btd"), "btd");
    add(&r, input(t, "y", "tb"), "tb");
    add(&r, param(t, "p", "dw"), "dw");
    add(&r, param(t, "q", "hw"), "hw");
    int steps = 4 + below(&r, 12);
    if (c->pieces) open_chunk(t, c->seed);
    for (int i = 0; i < steps; i++) {
        int k = below(&r, c->pieces ? 7 : 10); /* what reads other positions runs whole */
        if (k < 4)
            add_pointwise(&r);
        else if (k < 7)
            add_sum(&r);
        else if (k < 9)
            add_special(&r);
        else
            add_view(&r);
    }
    g->region = 0;
    Edge loss = graph_float(g, 0);
    for (int i = 0; i < 3; i++) {
        const Known *v = &r.value[r.n - 1 - (i ? below(&r, r.n / 2) : 0)];
        char name[] = {'o', (char)('0' + i), 0};
        root(t, ROOT_OUTPUT, name, v->e, v->axes);
        Edge some =
            reduce(t, OP_sum, "", v->axes, pw1(t, OP_tanh, v->axes, v->e, v->axes), v->axes);
        loss = graph_pw2(g, OP_add, space(t, ""), loss, some);
    }
    root(t, ROOT_OUTPUT, "loss", loss, "");
}

static int number_of(const char *name, int otherwise)
{
    const char *s = getenv(name);
    return s ? atoi(s) : otherwise;
}

static void check_choice(const char *kind, Choice c)
{
    int i = (int)c.seed;
    char what[32];
    snprintf(what, sizeof what, "%s %d", kind, i);
    int64_t dims[] = {1 + i % 3, 3 + i * 5 % 23};
    check_program(what, random_program, &c,
                  (How){.dims = dims,
                        .grad = true,
                        .seed = c.seed,
                        .ints = (int)dims[1],
                        .rtol = 2e-4,
                        .atol = 1e-5});
}

static void programs(void **state)
{
    (void)state;
    int n = number_of("RTC_RANDOM", 12), from = number_of("RTC_RANDOM_FROM", 0);
    for (int i = from; i < from + n; i++) check_choice("program", (Choice){(uint64_t)i, false});
}

static void pieces(void **state)
{
    (void)state;
    /* few are large enough for a loop; 364 reads a stored value where its guard is decided, 20092
     * has a guard that only the first piece fails */
    static const uint64_t always[] = {1, 9, 10, 25, 364, 20092};
    int n = number_of("RTC_RANDOM_PIECES", 0), from = number_of("RTC_RANDOM_FROM", 0);
    for (int i = 0; i < COUNT(always); i++) check_choice("pieces", (Choice){always[i], true});
    for (int i = from; i < from + n; i++) check_choice("pieces", (Choice){(uint64_t)i, true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs), cmocka_unit_test(pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
