/* Small matrix products inside kernels: every place that operands and result may lie in, by sizes
 * from 1 on, against the evaluator, on every instruction set that this CPU has.
 *
 * A pass of ours makes the groups: one per output, whose block axes the case gives.
 */
#include "exec_test.h"
#include "runtime/cc.h"

/* out = scale * sum over red of a * b. Operands are inputs, or private values computed in the
 * block; a gathered one is read at table[b, i] instead of i, or j. */
typedef struct {
    const char *block, *out, *red, *a, *b;
    int flags;
    double scale;
    const char *order; /* of the stored result; NULL: as out */
} Case;
enum {
    PRIVATE_A = 1,
    PRIVATE_B = 2,
    PRIVATE_C = 4,
    GATHER_A = 8,
    GATHER_B = 16,
    LOOPS = 32, /* what the case must become: not a product; */
    TILE = 64   /* one along the block's tile, not along an inner axis */
};

static const Case cases[] = {
    /* the lane is an inner axis */
    {"b", "bij", "d", "bid", "bjd", 0, 1, NULL},
    {"b", "bij", "d", "bid", "bdj", 0, 1, NULL},
    {"b", "bij", "d", "bdi", "bdj", 0, 1, "bji"},
    {"b", "bji", "d", "bid", "bdj", 0, 0.125, "ijb"},
    {"b", "bij", "d", "bid", "jd", PRIVATE_A, 1, NULL},
    {"b", "bij", "d", "di", "bjd", PRIVATE_B | PRIVATE_C, -2, NULL},
    {"b", "bij", "d", "bid", "bjd", PRIVATE_A | PRIVATE_B | PRIVATE_C, 0.5, NULL},
    {"b", "bie", "j", "bij", "bje", PRIVATE_A, 1, "ebi"},
    {"b", "bij", "de", "bide", "bjed", 0, 1, NULL},
    {"b", "bij", "de", "bedi", "bdej", PRIVATE_A, 1, "jbi"},
    {"b", "bhij", "d", "bhid", "bhjd", PRIVATE_C, 1, NULL},
    {"b", "bihj", "d", "bhdi", "bjhd", PRIVATE_B, 1, "bhji"},
    {"b", "bije", "d", "bid", "bjed", 0, 1, NULL},   /* two axes that only one has */
    {"b", "bije", "d", "bdje", "bid", 0, 1, "bjie"}, /* ... of either */
    {"b", "bij", "k", "bik", "bjk", PRIVATE_C, 1, NULL},
    {"b", "bij", "k", "bik", "bkj", 0, 1, NULL},
    /* ... gathers: along rows, lanes, sums */
    {"b", "bij", "d", "bid", "bjd", GATHER_A, 1, NULL},
    {"b", "bij", "d", "bid", "bjd", GATHER_B, 1, NULL},
    {"b", "bij", "d", "bid", "bdj", GATHER_A | GATHER_B, 1, "bji"},
    {"b", "bie", "j", "bij", "bje", PRIVATE_A | GATHER_B, 1, NULL},
    {"b", "bhij", "d", "bhid", "bhjd", GATHER_A | GATHER_B, 1, NULL},
    /* the lane is the block's tile */
    {"bi", "bij", "d", "bid", "bjd", TILE, 1, NULL},
    {"bi", "bij", "d", "bid", "bdj", TILE | PRIVATE_A | PRIVATE_C, 0.125, NULL},
    {"bi", "bij", "d", "bjd", "bid", TILE | PRIVATE_B | PRIVATE_C, 1, NULL},
    {"bi", "bie", "j", "bij", "bje", TILE | PRIVATE_A, 1, NULL},
    {"bi", "bie", "j", "bje", "bij", TILE | PRIVATE_B, 1, "ebi"},
    {"bi", "bie", "j", "bji", "je", TILE, 1, "bei"},
    {"bi", "bije", "d", "bid", "bjed", TILE | PRIVATE_A, 1, NULL},
    {"bi", "biej", "dh", "bihd", "bdjeh", TILE | PRIVATE_A | PRIVATE_C, 1, NULL},
    {"bi", "bij", "k", "bik", "bjk", TILE, 1, NULL},
    {"bi", "bij", "d", "bid", "bjd", TILE | GATHER_A, 1, NULL},
    {"bi", "bij", "d", "bjd", "bid", TILE | GATHER_A | GATHER_B | PRIVATE_C, 1, NULL},
    {"bi", "bie", "j", "bij", "bje", TILE | PRIVATE_A | GATHER_B, 1, NULL},
    {"bi", "bhij", "d", "bhid", "bhjd", TILE | GATHER_A | GATHER_B, 1, NULL},
    /* not products of matrices */
    {"b", "bij", "d", "bijd", "bijd", LOOPS, 1, NULL},
    {"bi", "bi", "d", "bid", "bd", LOOPS, 1, NULL},
    {"bij", "bij", "d", "bid", "bjd", LOOPS, 1, NULL},
};

static void sizes(Test *t)
{
    for (const char *c = "bijdeh"; *c; c++) free_axis(t, *c);
    axis(t, 'k', 1300);
    axis(t, 'x', 50); /* positions that are gathered from */
}

/* What axis i or j is read at: a table's value for the block, for h if there is one, and for it. */
static const Ix *gathered(Test *t, const char *over, char name)
{
    const bool h = strchr(over, 'h');
    const char key[] = {'b', name, h ? 'h' : 0, 0}, input[] = {name, h ? 'h' : 0, 0};
    Edge table =
        graph_leaf(t->g, OP_input, arena_strdup(t->g->arena, input), DT_INT, space(t, key));
    return ix_load(t->g, at(t, table, key, over), space(t, over));
}

/* An operand over `over`, whose axes are `own`. */
static Edge operand(Test *t, const char *name, const char *own, const char *over, bool gather,
                    bool private)
{
    char shape[16];
    const Ix *ix[MAX_AXES];
    snprintf(shape, sizeof shape, "%s", own);
    for (int i = 0; own[i]; i++) {
        ix[i] = ix_axis(t->g, (int)(strchr(over, own[i]) - over));
        if (!gather || (own[i] != 'i' && own[i] != 'j')) continue;
        ix[i] = gathered(t, over, own[i]);
        shape[i] = 'x';
    }
    Edge x = input(t, name, shape);
    if (private) return pw1(t, OP_sin, over, pw1(t, OP_tanh, own, x, own), own);
    const Map *m = map_make(t->g, (int)strlen(own), ix);
    return graph_access(t->g, space(t, over), space(t, shape), x, m, NULL);
}

/* Every *arg-th case. */
static void every_case(Test *t, const void *arg)
{
    sizes(t);
    t->g->rules_on = false; /* constants stay inside sums */
    for (int i = 0; i < COUNT(cases); i += *(const int *)arg) {
        const Case *c = &cases[i];
        char over[16], name[3][16];
        snprintf(over, sizeof over, "%s%s", c->out, c->red);
        snprintf(name[0], sizeof *name, "a%d", i), snprintf(name[1], sizeof *name, "b%d", i);
        snprintf(name[2], sizeof *name, "%d", i);
        Edge a = operand(t, name[0], c->a, over, c->flags & GATHER_A, c->flags & PRIVATE_A);
        Edge b = operand(t, name[1], c->b, over, c->flags & GATHER_B, c->flags & PRIVATE_B);
        Edge ab = graph_pw2(t->g, OP_mul, space(t, over), a, b);
        if (c->scale != 1)
            ab = graph_pw2(t->g, OP_mul, space(t, over), graph_float(t->g, c->scale), ab);
        Edge y = reduce(t, OP_sum, c->out, c->red, ab, over);
        if (c->flags & PRIVATE_C) y = pw(t, OP_add, c->out, y, c->out, graph_float(t->g, 3), "");
        const char *order = c->order ? c->order : c->out;
        root(t, ROOT_OUTPUT, arena_strdup(t->g->arena, name[2]), at(t, y, c->out, order), order);
    }
}

/* ---- groups: all of an output in one ---- */

typedef struct {
    Unit *u;
    Group group;
    const Node *root;
} Maker;

/* Sums, what is marked as private by its op, and the root itself, after what they read. */
static void add_member(void *ctx, Edge e, bool as_index)
{
    Maker *m = ctx;
    Node *n = e.node;
    if (as_index || op_info[n->op].cls == CLASS_LEAF) return;
    for (int i = 0; i < m->group.members.n; i++)
        if (m->group.members.v[i].node == n) return;
    node_reads(n, add_member, m);
    if (n->op != OP_sum && n->op != OP_sin && n != m->root) return;
    Member one = {.node = n, .stored = n == m->root};
    memset(one.axis, -1, sizeof one.axis);
    for (int k = 0; k < n->rank; k++)
        for (int b = 0; b < m->group.block->n; b++)
            if (n->space->ext[k] == m->group.block->ext[b]) one.axis[k] = (int8_t)b;
    vec_push(m->u->arena, &m->group.members, one);
}

static const Space *block_of(Graph *g, const char *axes)
{
    const Ix *ext[MAX_AXES];
    int n = 0;
    for (; axes[n]; n++) ext[n] = ix_sym(g, (char[]){axes[n], 0}, NO_LOC);
    return space_make(g, n, ext);
}

static void group_by_case(Unit *u)
{
    pass_group(u);
    Grouping *gs = u->groups;
    for (int i = 0; i < u->graph->nodes.n; i++)
        if (op_info[u->graph->nodes.v[i]->op].cls != CLASS_LEAF) {
            bool is_root = false;
            for (int r = 0; r < u->graph->roots.n; r++)
                is_root |= u->graph->roots.v[r].e.node == u->graph->nodes.v[i];
            if (!is_root) gs->buffer_of[i] = -1;
        }
    gs->groups.n = 0;
    for (int r = 0; r < u->graph->roots.n; r++) {
        const Root *root = &u->graph->roots.v[r];
        const Case *c = &cases[atoi(root->name)];
        Maker m = {.u = u, .root = root->e.node};
        m.group = (Group){.kind = GROUP_LOOPS, .id = r, .block = block_of(u->graph, c->block)};
        add_member(&m, root->e, false);
        vec_push(u->arena, &gs->groups, m.group);
    }
}

static const Pass passes[] = {
    {"group-by-case", "one group per output", group_by_case, 0, 0, HAS_GROUPS},
    {.name = NULL},
};

/* ---- values, texts ---- */

enum { SIZES = 5 };
static const int64_t dims[SIZES][6] = {/* b, i, j, d, e, h */
                                       {3, 5, 7, 17, 1, 2},
                                       {2, 63, 17, 7, 5, 3},
                                       {1, 1, 1, 1, 1, 1},
                                       {2, 16, 64, 32, 40, 1},
                                       {2, 33, 70, 20, 12, 2}};

static How how(const char *isa, int threads, int size)
{
    static const Pass *const plugin[] = {passes};
    static PassRegistry registry;
    registry.plugins.v = (const Pass **)plugin, registry.plugins.n = 1;
    return (How){.pipeline = "dce,group-by-case",
                 .registry = &registry,
                 .isa = isa,
                 .threads = threads,
                 .dims = dims[size],
                 .ints = 50,
                 .rtol = 1e-5,
                 .atol = 1e-6};
}

static void check_texts(const Plan *p, int every)
{
    assert_int_equal(p->steps.n, (COUNT(cases) + every - 1) / every);
    for (int i = 0; i < COUNT(cases); i += every) {
        const char *text = p->kernels.v[p->steps.v[i / every].kernel].text;
        const char *call = strstr(text, "rtc_product(");
        if ((call == NULL) != (cases[i].flags & LOOPS ? true : false))
            fail_msg("case %d is%s a product:\n%s", i, call ? "" : "n't", text);
        if (!call) continue;
        bool tile = strstr(call, ", lanes, ") && strstr(call, ", lanes, ") < strchr(call, '\n');
        if (tile != (cases[i].flags & TILE ? true : false))
            fail_msg("case %d runs along another axis:\n%s", i, text);
    }
}

static void check_isa(const char *isa, int every)
{
    for (int size = 0; size < SIZES; size++) {
        char what[64];
        How h = how(isa, 1, size), two = how(isa, 2, size), e = how(isa, 1, size);
        e.device = "eval", e.pipeline = NULL;
        Run want = run_program(every_case, &every, &e), a = run_program(every_case, &every, &h),
            b = run_program(every_case, &every, &two);
        check_texts(exec_plan(a.e), every);
        snprintf(what, sizeof what, "%s, size %d, output", isa, size);
        assert_true(compare_runs(what, &a, &want, &h) >= COUNT(cases) / every);
        compare_runs("2 threads", &b, &a, &(How){.rtol = 0});
        run_done(&want);
        run_done(&a);
        run_done(&b);
    }
}

static void values(void **state)
{
    (void)state;
    static const char *const isas[] = {"avx512", "avx2", "baseline"};
    int every = 0; /* lesser instruction sets differ in the prelude, not in kernels: few cases do */
    for (int i = 0; i < COUNT(isas); i++) {
        every = every ? 7 : !strcmp(isas[i], cc_isa_here());
        if (every) check_isa(isas[i], every);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
