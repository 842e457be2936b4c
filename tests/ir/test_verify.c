/* The verifier: legal graphs pass, and for every constraint of ir/README.md a graph that breaks it
 * is refused with its number. test_text.c shows the same constraints as mistakes in a text. */
#include "tests/ir/ir_test.h"

static const char legal[] =
    "rtc-ir 1\nsym t\n"
    "%0:f[t,4] = input \"x\"\n"
    "%1:i[t] = input \"k\"\n"
    "%2:b = fresh \"s\"\n"
    "%3:f = const 1\n"
    "%4:f[t,4] = add %3, %0[i0,i1]\n"
    "%5:f[t] = sum over [4] %4[i0,i1]\n"
    "%6:i[t,2] = top over [4] %4[i0,i2]\n"
    "%7:f[t] = scat over [t] %5[i1] at [%1[i1]]\n"
    "%8:f[t] = scan along i0 %5[i0]\n"
    "%9:f[t] = read %8[i0-1] if 0 <= i0-1 < t else %3\n"
    "%10:f[t] = branch %2, %9[i0], %8[i0]\n"
    "%11:f[t] = neg %0[%1[i0],3] replay 1\n"
    "%12:i[t] = idx 2*i0\n"
    "%13:f[t] = cast %12[i0]\n"
    "%14:b = const true\n"
    "region 1 reversible\nregion 2 step in 1\nregion 3 chunk cut t pieces 2\n"
    "input \"x\" %0\ninput \"k\" %1\n"
    "root output \"y\" %10[i0] over [t]\n"
    "check range %1[i0] over [t] < 4 \"k\"\n"
    "check ge0 t-2 \"t\"\n"
    "check true %14 \"ok\"\n"
    "step 2 %8[i0], %9[i0], %10[i0] over [t]\n";

/* What the broken graphs are made of. */
typedef struct {
    Graph *g;
    Node **n;
    const Ix *t, *i0, *i1, *i5;
    const Space *none;
} Parts;

static void own_place(Parts *p) { p->n[5]->id = 6; }
static void reads_later(Parts *p) { p->n[5]->args[0].node = p->n[6]; }
static void reads_itself(Parts *p) { p->n[5]->args[0].node = p->n[5]; }
static void reads_nothing(Parts *p) { p->n[5]->args[0].node = NULL; }
static void load_later(Parts *p)
{
    const Ix *at[2] = {p->i0, ix_const(p->g, 0)};
    const Ix *e = ix_load(p->g, (Edge){p->n[6], map_make(p->g, 2, at)}, NULL);
    const Ix *both[2] = {p->i0, e};
    p->n[5]->args[0].map = map_make(p->g, 2, both);
}
static void size_with_axis(Parts *p) { p->n[3]->space = space_make(p->g, 1, &p->i0); }
static void rank_too_large(Parts *p) { p->n[3]->rank = 1; }
static void too_few_indices(Parts *p) { p->n[5]->args[0].map = map_make(p->g, 1, &p->i0); }
static void foreign_axis(Parts *p)
{
    p->n[4]->args[1].map = map_make(p->g, 2, (const Ix *[]){p->i0, p->i5});
}
static void load_of_float(Parts *p) { p->n[1]->dt = DT_FLOAT; }
static void one_operand(Parts *p) { p->n[4]->nargs = 1; }
static void result_dtype(Parts *p) { p->n[5]->dt = DT_INT; }
static void operand_dtype(Parts *p) { p->n[3]->dt = DT_INT; }
static void condition_dtype(Parts *p)
{
    p->n[10]->args[0] = (Edge){p->n[3], map_make(p->g, 0, NULL)};
}
static void cast_to_itself(Parts *p) { p->n[13]->dt = DT_INT; }
static void unused_axis(Parts *p)
{
    p->n[4]->args[1].map = map_make(p->g, 2, (const Ix *[]){p->i0, p->i0});
}
static void single_axis(Parts *p)
{
    p->n[4]->space = space_make(p->g, 2, (const Ix *[]){p->t, ix_const(p->g, 1)});
}
static void reduces_nothing(Parts *p) { p->n[5]->rank = 2; }
static void pointwise_reduces(Parts *p) { p->n[4]->rank = 1; }
static void top_reads_ranks(Parts *p)
{
    p->n[6]->args[0].map = map_make(p->g, 2, (const Ix *[]){p->i0, p->i1});
}
static void no_key(Parts *p) { p->n[7]->attr.key = NEW_N(p->g->arena, const Ix *, 1); }
static void reads_keyed(Parts *p) { p->n[7]->args[0].map = map_make(p->g, 1, &p->i0); }
static void scan_axis(Parts *p) { p->n[8]->attr.scan.axis = 1; }
static void no_guard(Parts *p) { p->n[9]->attr.guard.n = 0; }
static void guard_axis(Parts *p)
{
    Guard *g = NEW(p->g->arena, Guard);
    *g = (Guard){p->i5, p->t};
    p->n[9]->attr.guard.g = g;
}
static void condition_axis(Parts *p)
{
    p->n[2]->rank = 1;
    p->n[2]->space = space_make(p->g, 1, &p->t);
    p->n[10]->args[0].map = map_make(p->g, 1, &p->i0);
}
static void same_name(Parts *p)
{
    p->n[1]->attr.leaf.name = "x";
    p->g->inputs.v[1].name = "x";
}
static void not_listed(Parts *p) { p->g->inputs.n = 1; }
static void no_name(Parts *p) { p->n[2]->attr.leaf.name = ""; }
static void odd_bool(Parts *p) { p->n[14]->attr.value.i = 2; }
static void root_axis(Parts *p) { p->g->roots.v[0].space = p->none; }
static void root_node(Parts *p)
{
    Node *other = arena_copy(p->g->arena, p->n[10], sizeof *other);
    p->g->roots.v[0].e.node = other;
}
static void check_dtype(Parts *p) { p->g->checks.v[0].e.node = p->n[8]; }
static void check_size(Parts *p) { p->g->checks.v[1].ix = p->i0; }
static void check_condition(Parts *p) { p->g->checks.v[2].e.node = p->n[3]; }
static void no_region(Parts *p) { p->n[4]->region = 9; }
static void region_parent(Parts *p) { p->g->regions.v[1].parent = 2; }
static void step_space(Parts *p) { p->g->regions.v[2].space = p->none; }
static void chunk_size(Parts *p) { p->g->regions.v[3].chunks = p->i0; }
static void leaf_replayed(Parts *p) { p->n[12]->replay = 1; }

static const struct {
    void (*break_it)(Parts *p);
    const char *number;
} broken[] = {
    {own_place, "C1:"},        {reads_later, "C1:"},     {reads_itself, "C1:"},
    {reads_nothing, "C1:"},    {load_later, "C1:"},      {size_with_axis, "C2:"},
    {rank_too_large, "C2:"},   {too_few_indices, "C3:"}, {foreign_axis, "C4:"},
    {load_of_float, "C5:"},    {one_operand, "C6:"},     {result_dtype, "C7:"},
    {operand_dtype, "C8:"},    {condition_dtype, "C8:"}, {cast_to_itself, "C8:"},
    {unused_axis, "C9:"},      {single_axis, "C9:"},     {reduces_nothing, "C10:"},
    {pointwise_reduces, "C10:"}, {top_reads_ranks, "C11:"}, {no_key, "C12:"},
    {reads_keyed, "C12:"},     {scan_axis, "C13:"},      {no_guard, "C14:"},
    {guard_axis, "C4:"},       {condition_axis, "C15:"}, {same_name, "C16:"},
    {not_listed, "C16:"},      {no_name, "C16:"},        {odd_bool, "C16:"},
    {root_axis, "C17: root `y`: C4:"}, {root_node, "C17: root `y`: C1:"},
    {check_dtype, "C18:"},     {check_size, "C18: check `t`: C2:"}, {check_condition, "C18:"},
    {no_region, "C19:"},       {region_parent, "C19:"},  {step_space, "C19:"},
    {chunk_size, "C19:"},      {leaf_replayed, "C20:"},
};

static void refused(void **state)
{
    (void)state;
    for (volatile int i = 0; i < COUNT(broken); i++) {
        Diag *d = diag_new();
        Graph *g = graph_of(d, legal);
        graph_verify(g, "reading");
        Parts p = {.g = g, .n = g->nodes.v, .i0 = ix_axis(g, 0), .i1 = ix_axis(g, 1)};
        p.i5 = ix_axis(g, 5);
        p.t = ix_sym(g, "t", NO_LOC);
        p.none = space_make(g, 0, NULL);
        broken[i].break_it(&p);
        EXPECT_ERROR(d, 70, broken[i].number, graph_verify(g, "breaking"));
        assert_non_null(strstr(diag_text(d), "after breaking, the graph is ill-formed: "));
        graph_free(g);
        diag_free(d);
    }
}

/* The message shows the node, and where in the program it comes from. */
static void message(void **state)
{
    (void)state;
    Diag *d = diag_new();
    uint32_t file = diag_source(d, "m.rt", "let y = -x\n", 11);
    Graph *g = graph_new(d);
    const Ix *t = ix_sym(g, "t", NO_LOC);
    const Space *s = space_make(g, 1, &t);
    Edge x = graph_leaf(g, OP_input, "x", DT_FLOAT, s);
    g->loc = (Loc){file, 8, 10};
    Edge y = graph_pw1(g, OP_neg, s, x);
    graph_verify(g, "building");
    y.node->dt = DT_BOOL;
    EXPECT_ERROR(
        d, 70,
        "after fuse, the graph is ill-formed: C7: neg of these operands is float, not bool\n"
        "%1:b[t] = neg %0[i0]\n",
        graph_verify(g, "fuse"));
    assert_non_null(strstr(diag_text(d), "m.rt:1:9: note: the value comes from here\n"));
    graph_free(g);
    diag_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
