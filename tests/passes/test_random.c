/* Random programs: whatever their shape, grouping gives what passes.h says (grouping_verify), fused
 * and unfused. */
#include "pass_test.h"

enum { PROGRAMS = 400, AXES = 5, MOST_VALUES = 60 };

typedef struct {
    Edge e;
    char axes[AXES + 1];
} Value;

typedef struct {
    Test t;
    uint64_t seed;
    Value value[MOST_VALUES];
    int n;
    Edge cond[2];
} Random;

static int below(Random *r, int n)
{
    r->seed = r->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (int)((r->seed >> 33) % (uint64_t)n);
}

static const char letters[AXES + 1] = "abcde";

/* Some axes in a random order. */
static void some_axes(Random *r, int least, char *out)
{
    char all[AXES + 1];
    memcpy(all, letters, sizeof all);
    int n = least + below(r, 4 - least);
    for (int i = 0; i < n; i++) {
        int k = i + below(r, AXES - i);
        char c = all[i];
        all[i] = all[k];
        all[k] = c;
        out[i] = all[i];
    }
    out[n] = 0;
}

/* A value over axes that all lie in `over`; NULL if the draws find none. */
static const Value *operand(Random *r, const char *over)
{
    for (int tries = 0; tries < 12; tries++) {
        int from = r->n > 8 && below(r, 3) ? r->n - 8 : 0;
        const Value *v = &r->value[from + below(r, r->n - from)];
        bool inside = true;
        for (const char *a = v->axes; *a; a++) inside &= strchr(over, *a) != NULL;
        if (inside) return v;
    }
    return NULL;
}

/* The operand over `over`: as it is, shifted along one axis, with one axis gathered, or along
 * another axis (a diagonal, a crop). */
static Edge read_somehow(Random *r, const Value *v, const char *over)
{
    Test *t = &r->t;
    int n = (int)strlen(v->axes);
    Edge e = at(t, v->e, v->axes, over);
    if (!n || below(r, 4)) return e;
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < n; i++) ix[i] = ix_axis(t->g, (int)(strchr(over, v->axes[i]) - over));
    int k = below(r, n);
    int how = below(r, 3);
    if (how == 0) {
        ix[k] = ix_sub(t->g, ix[k], ix_const(t->g, 1 + below(r, 2)));
    } else if (how == 1) {
        ix[k] = ix_axis(t->g, below(r, (int)strlen(over)));
    } else {
        Edge where = graph_leaf(t->g, OP_input, "where", DT_INT, space(t, "a"));
        const char *a = strchr(over, 'a');
        if (a) {
            Edge w = at(t, where, "a", over);
            ix[k] = ix_load(t->g, w, space(t, over));
        }
    }
    Edge zero = graph_float(t->g, 0);
    return graph_access(t->g, space(t, over), space(t, v->axes), v->e, map_make(t->g, n, ix),
                        &zero);
}

static void add(Random *r, Edge e, const char *axes)
{
    Value *v = &r->value[r->n++];
    v->e = e;
    snprintf(v->axes, sizeof v->axes, "%s", axes);
}

static void add_leaf(Random *r, int i)
{
    char axes[AXES + 1], name[16];
    some_axes(r, 1, axes);
    snprintf(name, sizeof name, "x%d", i);
    add(r, leaf(&r->t, i & 1 ? OP_param : OP_input, name, axes), axes);
}

static void add_pointwise(Random *r)
{
    static const Op ops[] = {OP_add, OP_mul, OP_sub, OP_max};
    char over[AXES + 1];
    some_axes(r, 1, over);
    const Value *a = operand(r, over), *b = operand(r, over);
    if (!a || !b) return;
    Test *t = &r->t;
    Edge ea = read_somehow(r, a, over), eb = read_somehow(r, b, over);
    int kind = below(r, 6);
    Edge e = kind < 4    ? graph_pw2(t->g, ops[kind], space(t, over), ea, eb)
             : kind == 4 ? graph_pw1(t->g, OP_exp, space(t, over), ea)
                         : graph_branch(t->g, space(t, over), r->cond[below(r, 2)], ea, eb);
    add(r, e, over);
}

static void add_reduction(Random *r)
{
    char over[AXES + 1];
    some_axes(r, 2, over);
    const Value *a = operand(r, over), *b = operand(r, over);
    if (!a || !b) return;
    Test *t = &r->t;
    int n = (int)strlen(over), out = 1 + below(r, n - 1);
    const Space *s = space(t, over);
    Edge e = graph_pw2(t->g, OP_mul, s, read_somehow(r, a, over), read_somehow(r, b, over));
    char kept[AXES + 1];
    snprintf(kept, sizeof kept, "%.*s", out, over);
    int kind = below(r, 6);
    if (kind < 3) {
        add(r, graph_reduce(t->g, OP_sum, s, out, e), kept);
    } else if (kind == 3) {
        add(r, graph_reduce(t->g, OP_rmax, s, out, e), kept);
    } else if (kind == 4) {
        add(r, graph_scan(t->g, s, below(r, n), false, false, e), over);
    } else {
        /* scattered along the first out axis to where an input says */
        const char last[] = {over[n - 1], 0}, name[] = {'t', 'o', last[0], 0};
        Edge where = graph_leaf(t->g, OP_input, name, DT_INT, space(t, last));
        const Ix *key[MAX_AXES] = {ix_load(t->g, at(t, where, last, over), s)};
        const Ix *body[MAX_AXES];
        for (int i = 0; i < n; i++) body[i] = i ? ix_axis(t->g, i) : ix_const(t->g, 0);
        Edge at0 = edge_comp(t->g, e, map_make(t->g, n, body), s);
        add(r, graph_scat(t->g, s, out, at0, key), kept);
    }
}

static void add_roots(Random *r)
{
    int roots = 1 + below(r, 10);
    for (int i = 0; i < roots; i++) {
        const Value *v = &r->value[i ? below(r, r->n) : r->n - 1];
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        root(&r->t, (RootKind[]){ROOT_OUTPUT, ROOT_GRAD, ROOT_UPDATE}[below(r, 3)], name, v->e,
             v->axes);
    }
}

static void make(Random *r)
{
    Test *t = &r->t;
    for (int i = 0; i < AXES; i++) {
        if (below(r, 4))
            axis(t, letters[i], 2 << below(r, 8));
        else
            free_axis(t, letters[i]);
    }
    const Space *none = space_make(t->g, 0, NULL);
    for (int i = 0; i < 2; i++) {
        Edge u = graph_rand(t->g, 77 + (uint64_t)i, none);
        r->cond[i] = graph_pw2(t->g, OP_lt, none, u, graph_float(t->g, 0.5));
    }
    int leaves = 2 + below(r, 4), ops = 3 + below(r, MOST_VALUES - 10);
    for (int i = 0; i < leaves; i++) add_leaf(r, i);
    while (ops-- > 0 && r->n < MOST_VALUES - 1) {
        if (below(r, 5) < 3)
            add_pointwise(r);
        else
            add_reduction(r);
    }
    add_roots(r);
}

typedef struct {
    int fused, apart;
} Counts;

static void one_program(int i, Counts *c)
{
    Random r = {.t = graph_test(), .seed = (uint64_t)i * 7919 + 1};
    Test *t = &r.t;
    t->u.hint_default = 1 << (i % 12);
    t->u.verify_each = true;
    DIAG_TRY(t->d)
    {
        make(&r);
        pipeline_run(&t->u, "simplify,dce,split,contract,group");
        c->fused += t->u.groups->groups.n;
        t->u.groups = NULL;
        pipeline_run(&t->u, "group-none");
        c->apart += t->u.groups->groups.n;
    }
    DIAG_CATCH(t->d) { fail_msg("program %d: %s", i, diag_text(t->d)); }
    DIAG_END(t->d)
    test_done(t);
}

static void groups_are_legal(void **state)
{
    (void)state;
    Counts c = {0, 0};
    for (int i = 0; i < PROGRAMS; i++) one_program(i, &c);
    if (getenv("RTC_SHOW")) fprintf(stderr, "%d groups fused, %d apart\n", c.fused, c.apart);
    assert_true(2 * c.fused < c.apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(groups_are_legal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
