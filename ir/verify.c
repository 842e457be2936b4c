/* verify.c: what a legal graph is. The constraints are numbered in README.md; messages name them.
 * The driver verifies after every pass, where a flaw is a bug of ours; read.c checks each line with
 * the same functions, where it is a mistake in the text.
 *
 * A `*_flaw` function returns what is wrong, or NULL.
 */
#include "ir/text.h"

#define FLAW(...) return arena_printf(g->arena, __VA_ARGS__)

/* ---- expressions and edges ---- */

/* What loads are checked against while walking an expression. */
typedef struct {
    Graph *g;
    int before;              /* nodes that may be read have smaller ids */
    const char *flaw;
} LoadCheck;

static bool in_graph(Graph *g, const Node *n, int before)
{
    return n && n->id >= 0 && n->id < before && n->id < g->nodes.n && g->nodes.v[n->id] == n;
}

static void load_flaw(void *ctx, Edge e, bool as_index)
{
    LoadCheck *c = ctx;
    Graph *g = c->g;
    (void)as_index;
    if (c->flaw) return;
    if (!in_graph(g, e.node, c->before))
        c->flaw = "C1: an index reads a node that does not come before";
    else if (e.map->n != e.node->rank)
        c->flaw = arena_printf(g->arena, "C3: an index reads %%%d, of rank %d, at %d indices",
                               e.node->id, e.node->rank, e.map->n);
    else if (e.node->dt != DT_INT)
        c->flaw = arena_printf(g->arena, "C5: an index reads %%%d, which is not int", e.node->id);
}

static const char *ix_flaw(Graph *g, const Ix *e, const Space *space, int before)
{
    LoadCheck c = {.g = g, .before = before};
    if (!e) return "C4: an index is missing";
    if (space->n < 64 && e->axes >> space->n)
        FLAW("C4: `%s` reads an axis that the space of %d axes does not have", ix_text(g, e),
             space->n);
    ix_loads(e, load_flaw, &c);
    return c.flaw;
}

static const char *size_flaw(Graph *g, const Ix *e)
{
    if (!e) return "C2: a size is missing";
    if (e->axes || e->loads) FLAW("C2: the size `%s` reads an axis or a value", ix_text(g, e));
    return NULL;
}

static const char *space_flaw(Graph *g, const Space *s)
{
    const char *flaw = NULL;
    if (!s) return "C2: the space is missing";
    for (int i = 0; i < s->n && !flaw; i++) flaw = size_flaw(g, s->ext[i]);
    return flaw;
}

static const char *edge_flaw(Graph *g, Edge e, const Space *space, int before)
{
    const char *flaw = NULL;
    if (!in_graph(g, e.node, before)) return "C1: it reads a node that does not come before";
    if (!e.map) return "C3: it reads a node without indices";
    if (e.map->n != e.node->rank)
        FLAW("C3: it reads %%%d, of rank %d, at %d indices", e.node->id, e.node->rank, e.map->n);
    for (int i = 0; i < e.map->n && !flaw; i++) flaw = ix_flaw(g, e.map->ix[i], space, before);
    return flaw;
}

/* ---- dtypes ---- */

static const char *const dtype_name[] = {"float", "int", "bool"};

/* The dtype that every operand from `from` on must have, or -1 if they only need to agree. */
static const char *operands_flaw(Graph *g, const Node *n, int from, int must)
{
    for (int i = from; i < n->nargs; i++) {
        DType dt = n->args[i].node->dt, want = must >= 0 ? (DType)must : n->args[from].node->dt;
        if (dt != want)
            FLAW("C8: operand %d of %s is %s, not %s", i, op_info[n->op].name, dtype_name[dt],
                 dtype_name[want]);
    }
    return NULL;
}

static const char *result_flaw(Graph *g, const Node *n, DType dt)
{
    if (n->dt == dt) return NULL;
    FLAW("C7: %s of these operands is %s, not %s", op_info[n->op].name, dtype_name[dt],
         dtype_name[n->dt]);
}

/* Conditions are bool; the others agree with the result. */
static const char *choice_flaw(Graph *g, const Node *n)
{
    if (n->args[0].node->dt != DT_BOOL)
        FLAW("C8: the condition of %s is %s", op_info[n->op].name,
             dtype_name[n->args[0].node->dt]);
    return operands_flaw(g, n, 1, (int)n->dt);
}

static const char *dtype_flaw(Graph *g, const Node *n)
{
    const OpInfo *info = &op_info[n->op];
    DType first = n->nargs ? n->args[0].node->dt : n->dt;
    bool logic = n->op == OP_not || n->op == OP_and || n->op == OP_or;
    bool any = n->op == OP_eq || n->op == OP_stop || n->op == OP_read || n->op == OP_rmax ||
               n->op == OP_rmin;
    const char *flaw;
    if (n->op == OP_cast) {
        if (first == n->dt) FLAW("C8: a cast from %s to itself", dtype_name[first]);
        return NULL;
    }
    if (n->op == OP_top) return result_flaw(g, n, DT_INT);
    if (info->dtype == RULE_CHOICE) return choice_flaw(g, n);
    if (info->cls == CLASS_LEAF)
        return info->dtype == RULE_GIVEN ? NULL
               : result_flaw(g, n, info->dtype == RULE_FLOAT ? DT_FLOAT
                                   : info->dtype == RULE_INT ? DT_INT
                                                             : DT_BOOL);
    int must = logic ? DT_BOOL : info->dtype == RULE_FLOAT ? DT_FLOAT : -1;
    if ((flaw = operands_flaw(g, n, 0, must))) return flaw;
    if (first == DT_BOOL && !logic && !any) FLAW("C8: %s of a bool", info->name);
    return result_flaw(g, n, info->dtype == RULE_BOOL ? DT_BOOL : first);
}

/* ---- axes ---- */

static uint64_t reads_axes(const Node *n)
{
    uint64_t axes = 0;
    for (int i = 0; i < n->nargs; i++) axes |= n->args[i].map->axes;
    if (n->op == OP_idx) axes |= n->attr.ix->axes;
    if (n->op == OP_read)
        for (int i = 0; i < n->attr.guard.n; i++) axes |= n->attr.guard.g[i].ix->axes;
    if (n->op == OP_scat)
        for (int i = 0; i < n->rank; i++) axes |= n->attr.key[i] ? n->attr.key[i]->axes : 0;
    return axes;
}

static uint64_t keyed_axes(const Node *n)
{
    uint64_t axes = 0;
    for (int i = 0; i < n->rank; i++)
        if (n->attr.key[i]) axes |= 1ull << i;
    return axes;
}

/* Only axes that something reads: those that the op itself gives a meaning to are exempt. */
static const char *canonical_flaw(Graph *g, const Node *n)
{
    uint64_t own = 0, reads = reads_axes(n);
    OpClass cls = op_info[n->op].cls;
    if (cls == CLASS_LEAF && n->op != OP_idx) return NULL;
    if (cls == CLASS_TOP) own = 1ull << (n->rank - 1);
    if (cls == CLASS_SCAT) own = keyed_axes(n);
    if (cls == CLASS_SCAN) own = 1ull << n->attr.scan.axis;
    for (int i = 0; i < n->rank; i++) {
        if (own >> i & 1) continue;
        if (!(reads >> i & 1)) FLAW("C9: nothing reads axis i%d", i);
        if (ix_is(n->space->ext[i], 1)) FLAW("C9: axis i%d has one position", i);
    }
    return NULL;
}

static const char *reduced_flaw(Graph *g, const Node *n)
{
    OpClass cls = op_info[n->op].cls;
    int red = n->space->n - n->rank;
    if (cls == CLASS_TOP) {
        if (red != 1 || n->rank < 1) FLAW("C11: top has one axis of ranks and one reduced axis");
        if (reads_axes(n) >> (n->rank - 1) & 1) FLAW("C11: the operand of top reads the ranks");
    } else if (cls == CLASS_REDUCE) {
        if (red == 0) FLAW("C10: %s reduces no axis", op_info[n->op].name);
    } else if (cls != CLASS_SCAT && red) {
        FLAW("C10: %s reduces no axes, but has %d", op_info[n->op].name, red);
    }
    return NULL;
}

/* ---- attributes ---- */

static const char *guards_flaw(Graph *g, const Node *n)
{
    const char *flaw = n->attr.guard.n > 0 ? NULL : "C14: a read without a guard";
    for (int i = 0; i < n->attr.guard.n && !flaw; i++) {
        flaw = ix_flaw(g, n->attr.guard.g[i].ix, n->space, n->id);
        if (!flaw) flaw = size_flaw(g, n->attr.guard.g[i].ext);
    }
    return flaw;
}

static const char *keys_flaw(Graph *g, const Node *n)
{
    const char *flaw = NULL;
    uint64_t keyed = keyed_axes(n);
    if (!keyed) return "C12: a scat without a key";
    if (reads_axes(n) & keyed) return "C12: a keyed axis is read";
    for (int i = 0; i < n->rank && !flaw; i++)
        if (n->attr.key[i]) flaw = ix_flaw(g, n->attr.key[i], n->space, n->id);
    return flaw;
}

static const char *attr_flaw(Graph *g, const Node *n)
{
    switch (n->op) {
    case OP_idx: return ix_flaw(g, n->attr.ix, n->space, n->id);
    case OP_const:
        if (n->rank) return "C16: a constant with axes";
        if (n->dt == DT_BOOL && n->attr.value.i >> 1) return "C16: a bool that is not 0 or 1";
        return NULL;
    case OP_param:
    case OP_state:
    case OP_input:
    case OP_fresh:
        return n->attr.leaf.name && *n->attr.leaf.name ? NULL : "C16: a leaf without a name";
    case OP_read: return guards_flaw(g, n);
    case OP_scat: return keys_flaw(g, n);
    case OP_scan:
        if (n->attr.scan.axis < 0 || n->attr.scan.axis >= n->rank)
            FLAW("C13: scan along i%d of rank %d", n->attr.scan.axis, n->rank);
        return NULL;
    case OP_branch:
        if (n->args[0].map->axes) return "C15: the condition of a branch reads an axis";
        return NULL;
    default: return NULL;
    }
}

const char *node_flaw(Graph *g, const Node *n)
{
    const char *flaw = space_flaw(g, n->space);
    if (flaw) return flaw;
    if (n->op >= OP_COUNT || n->nargs != op_info[n->op].nargs)
        FLAW("C6: %d operands", n->nargs);
    if (n->rank < 0 || n->rank > n->space->n || n->space->n > MAX_AXES)
        FLAW("C2: %d result axes of %d", n->rank, n->space->n);
    for (int i = 0; i < n->nargs; i++)
        if ((flaw = edge_flaw(g, n->args[i], n->space, n->id))) return flaw;
    if ((flaw = reduced_flaw(g, n)) || (flaw = attr_flaw(g, n))) return flaw;
    if ((flaw = dtype_flaw(g, n)) || (flaw = canonical_flaw(g, n))) return flaw;
    if (n->region < 0 || n->region >= g->regions.n) FLAW("C19: there is no region %d", n->region);
    if (n->replay < 0 || (n->replay && !n->nargs && n->op != OP_rand)) FLAW("C20: a leaf is replayed");
    return NULL;
}

/* ---- what hangs on the graph ---- */

const char *root_flaw(Graph *g, const Root *r)
{
    const char *flaw = space_flaw(g, r->space);
    if (!flaw) flaw = edge_flaw(g, r->e, r->space, g->nodes.n);
    if (flaw) FLAW("C17: root `%s`: %s", r->name, flaw);
    return NULL;
}

static const char *condition_flaw(Graph *g, const Check *c)
{
    const char *flaw = NULL;
    if (c->kind != CHECK_TRUE && (flaw = size_flaw(g, c->ix))) return flaw;
    if (c->kind == CHECK_EQ0 || c->kind == CHECK_GE0) return NULL;
    const Space *none = space_make(g, 0, NULL), *space = c->kind == CHECK_TRUE ? none : c->space;
    if ((flaw = space_flaw(g, space)) || (flaw = edge_flaw(g, c->e, space, g->nodes.n)))
        return flaw;
    DType must = c->kind == CHECK_TRUE ? DT_BOOL : DT_INT, dt = c->e.node->dt;
    if (dt != must) FLAW("its value is %s, not %s", dtype_name[dt], dtype_name[must]);
    return NULL;
}

const char *check_flaw(Graph *g, const Check *c)
{
    const char *flaw = condition_flaw(g, c);
    if (flaw) FLAW("C18: check `%s`: %s", c->text, flaw);
    return NULL;
}

static const char *annotation_flaw(Graph *g, const Region *r, int number)
{
    const char *flaw = NULL;
    if (r->parent < 0 || r->parent >= number)
        FLAW("it lies in region %d, which does not come before", r->parent);
    if (r->kind == REGION_CHUNK &&
        ((flaw = size_flaw(g, r->chunk_extent)) || (flaw = size_flaw(g, r->chunks))))
        return flaw;
    if (r->kind != REGION_STEP || !r->old.node) return NULL;
    if ((flaw = space_flaw(g, r->space)) || (flaw = edge_flaw(g, r->old, r->space, g->nodes.n)) ||
        (flaw = edge_flaw(g, r->delta, r->space, g->nodes.n)))
        return flaw;
    return edge_flaw(g, r->next, r->space, g->nodes.n);
}

const char *region_flaw(Graph *g, int number)
{
    const char *flaw = annotation_flaw(g, &g->regions.v[number], number);
    if (flaw) FLAW("C19: region %d: %s", number, flaw);
    return NULL;
}

/* Every leaf of the op stands once in the list, under its name, and no name twice. */
static const char *list_flaw(Graph *g, Op op, const Named *v, int n)
{
    const char *what = op_info[op].name;
    int leaves = 0;
    for (int i = 0; i < n; i++) {
        if (!in_graph(g, v[i].node, g->nodes.n) || v[i].node->op != op ||
            strcmp(v[i].node->attr.leaf.name, v[i].name))
            FLAW("C16: the entry of %s `%s` is not its leaf", what, v[i].name);
        for (int k = 0; k < i; k++)
            if (v[k].node == v[i].node || !strcmp(v[k].name, v[i].name))
                FLAW("C16: %s `%s` is there twice", what, v[i].name);
    }
    for (int i = 0; i < g->nodes.n; i++) leaves += g->nodes.v[i]->op == op;
    if (leaves != n) FLAW("C16: %d leaves %s, %d of them listed", leaves, what, n);
    return NULL;
}

const char *names_flaw(Graph *g)
{
    const char *flaw = list_flaw(g, OP_param, g->params.v, g->params.n);
    if (!flaw) flaw = list_flaw(g, OP_state, g->states.v, g->states.n);
    if (!flaw) flaw = list_flaw(g, OP_input, g->inputs.v, g->inputs.n);
    return flaw;
}

/* ---- the whole ---- */

void graph_verify(Graph *g, const char *stage)
{
    const char *flaw;
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.v[i];
        flaw = n->id == i ? node_flaw(g, n) : "C1: the number of a node is not its place";
        if (!flaw) continue;
        Str text = {.arena = g->arena};
        node_print(g, n, &text);
        diag_note(g->diag, n->loc, "the value comes from here");
        diag_bug(g->diag, "after %s, the graph is ill-formed: %s\n%s", stage, flaw, text.s);
    }
    flaw = NULL;
    for (int i = 0; i < g->roots.n && !flaw; i++) flaw = root_flaw(g, &g->roots.v[i]);
    for (int i = 0; i < g->checks.n && !flaw; i++) flaw = check_flaw(g, &g->checks.v[i]);
    for (int i = 1; i < g->regions.n && !flaw; i++) flaw = region_flaw(g, i);
    if (!flaw) flaw = names_flaw(g);
    if (flaw) diag_bug(g->diag, "after %s, the graph is ill-formed: %s", stage, flaw);
}
