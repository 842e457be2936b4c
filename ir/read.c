/* read.c: a graph from its text (README.md; print.c writes it). Every line is checked against the
 * constraints of verify.c as it is read, and nothing is simplified: nodes are interned as they
 * stand, so that printing gives the same text again.
 */
#include "ir/intern.h"
#include "ir/read_lex.h"

/* ---- ends of lines ---- */

/* `@FILE:BEGIN-END`, or no place; then the line is over. */
static Loc place(Reader *r)
{
    Loc loc = NO_LOC;
    if (read_accept(r, "@")) {
        int64_t file = read_int(r, 1, INT32_MAX);
        if (file > r->files.n)
            read_error(r, "no `source` line has the number %lld", (long long)file);
        loc.file = r->files.v[file - 1];
        read_expect(r, ":");
        loc.begin = (uint32_t)read_int(r, 0, UINT32_MAX);
        read_expect(r, "-");
        loc.end = (uint32_t)read_int(r, 0, UINT32_MAX);
    }
    if (!read_at_end_of_line(r)) read_error(r, "expected `@FILE:BEGIN-END` or the end of the line");
    return loc;
}

static void refuse(Reader *r, uint32_t from, const char *flaw)
{
    if (flaw) user_error(r->d, read_loc(r, from), "%s", flaw);
}

/* ---- nodes ---- */

static DType dtype(Reader *r)
{
    const char *word = read_word(r, "a dtype: f, i or b");
    const char *at = word[1] ? NULL : strchr(text_dtypes, word[0]);
    if (!at) read_error(r, "`%s` is not a dtype: f, i or b", word);
    return (DType)(at - text_dtypes);
}

static Op op_name(Reader *r)
{
    const char *names[OP_COUNT];
    for (int i = 0; i < OP_COUNT; i++) names[i] = op_info[i].name;
    return (Op)read_choice(r, names, OP_COUNT, "an op");
}

static void const_value(Reader *r, Node *n)
{
    if (n->dt == DT_FLOAT) n->attr.value.f = read_float(r);
    else if (n->dt == DT_INT) n->attr.value.i = (int32_t)read_int(r, INT32_MIN, INT32_MAX);
    else if (read_accept(r, "true")) n->attr.value.i = 1;
    else read_expect(r, "false");
}

static void leaf_attr(Reader *r, Node *n)
{
    switch (n->op) {
    case OP_const: const_value(r, n); break;
    case OP_idx: n->attr.ix = read_ix(r, n->space); break;
    case OP_rand: n->attr.site = read_hex(r); break;
    default: n->attr.leaf.name = read_string(r, '"'); break;
    }
}

static void read_args(Reader *r, Node *n)
{
    VEC(Guard) guards = {0};
    n->args[0] = read_edge(r, n->space);
    read_expect(r, "if");
    do {
        Guard guard;
        read_expect(r, "0");
        read_expect(r, "<=");
        guard.ix = read_ix(r, n->space);
        read_expect(r, "<");
        guard.ext = read_ix(r, space_make(r->g, 0, NULL));
        vec_push(r->g->arena, &guards, guard);
    } while (read_accept(r, "and"));
    read_expect(r, "else");
    n->args[1] = read_edge(r, n->space);
    n->attr.guard.n = guards.n;
    n->attr.guard.g = guards.v;
}

static void scan_attr(Reader *r, Node *n)
{
    read_expect(r, "along");
    read_blank(r);
    if (r->at >= r->n || r->s[r->at] != 'i') read_error(r, "expected an axis");
    r->at++;
    n->attr.scan.axis = (int)read_int(r, 0, MAX_AXES - 1);
    n->attr.scan.exclusive = read_accept(r, "exclusive");
    n->attr.scan.reverse = read_accept(r, "reverse");
}

static void scat_keys(Reader *r, Node *n)
{
    const Ix **key = NEW_N(r->g->arena, const Ix *, n->rank);
    read_expect(r, "at");
    read_expect(r, "[");
    for (int i = 0; i < n->rank; i++) {
        if (i) read_expect(r, ",");
        uint32_t from = r->at;
        if (read_accept(r, "-") && (read_peek(r, ",") || read_peek(r, "]"))) continue;
        r->at = from;
        key[i] = read_ix(r, n->space);
    }
    read_expect(r, "]");
    n->attr.key = key;
}

/* What follows the name of the op. */
static void operands(Reader *r, Node *n)
{
    OpClass cls = op_info[n->op].cls;
    n->nargs = op_info[n->op].nargs;
    if (cls == CLASS_LEAF) leaf_attr(r, n);
    else if (cls == CLASS_READ) read_args(r, n);
    if (cls == CLASS_LEAF || cls == CLASS_READ) return;
    if (cls == CLASS_SCAN) scan_attr(r, n);
    for (int i = 0; i < n->nargs; i++) {
        if (i) read_expect(r, ",");
        n->args[i] = read_edge(r, n->space);
    }
    if (cls == CLASS_SCAT) scat_keys(r, n);
}

/* %NUMBER:DTYPE[EXTENTS] = OP [over [EXTENTS]] OPERANDS [replay N] [region N] */
static void node_line(Reader *r)
{
    Graph *g = r->g;
    const Ix *ext[MAX_AXES];
    Node n = {.id = g->nodes.n};
    uint32_t from = r->at;
    read_expect(r, "%");
    int64_t number = read_int(r, 0, INT32_MAX);
    if (r->nodes.n && r->nodes.v[r->nodes.n - 1].number >= number)
        user_error(r->d, read_loc(r, from), "nodes stand in the order of their numbers");
    read_expect(r, ":");
    n.dt = dtype(r);
    if (read_peek(r, "[")) n.rank = read_extents(r, ext, 0);
    read_expect(r, "=");
    n.op = op_name(r);
    int all = n.rank;
    if (read_accept(r, "over")) all = read_extents(r, ext, all);
    n.space = space_make(g, all, ext);
    operands(r, &n);
    if (read_accept(r, "replay")) n.replay = (int)read_int(r, 1, INT32_MAX);
    if (read_accept(r, "region")) n.region = (int)read_int(r, 1, INT32_MAX);
    uint32_t end = r->at;
    Loc loc = place(r);
    const char *flaw = node_flaw(g, &n);
    if (flaw) user_error(r->d, (Loc){r->file, from, end}, "%s", flaw);
    g->loc = loc;
    g->replay = n.replay;
    g->region = n.region;
    vec_push(g->arena, &r->nodes, (NodeName){number, node_intern(g, &n)});
}

/* ---- the other lines ---- */

static void source_line(Reader *r)
{
    read_int(r, r->files.n + 1, r->files.n + 1);
    const char *name = read_string(r, '"');
    uint32_t file = 1;
    for (; *diag_file(r->d, (Loc){file, 0, 0}); file++)
        if (!strcmp(diag_file(r->d, (Loc){file, 0, 0}), name)) break;
    if (!*diag_file(r->d, (Loc){file, 0, 0})) file = diag_source(r->d, name, "", 0);
    vec_push(r->g->arena, &r->files, file);
}

static void sym_line(Reader *r)
{
    read_blank(r);
    uint32_t from = r->at;
    const char *name =
        read_peek(r, "'") ? read_string(r, '\'') : read_word(r, "the name of a size");
    for (int i = 0; i < r->g->syms.n; i++)
        if (!strcmp(r->g->syms.v[i].name, name))
            user_error(r->d, read_loc(r, from), "the size `%s` is declared twice", name);
    ix_sym(r->g, name, place(r));
}

static void region_line(Reader *r, uint32_t from)
{
    Region region = {0};
    Graph *g = r->g;
    const Space *none = space_make(g, 0, NULL);
    read_int(r, g->regions.n, g->regions.n);
    region.kind = (RegionKind)read_choice(r, text_region, COUNT(text_region), "a kind of region");
    if (read_accept(r, "in")) region.parent = (int)read_int(r, 1, INT32_MAX);
    if (region.kind == REGION_CHUNK) {
        read_expect(r, "cut");
        region.chunk_extent = read_ix(r, none);
        read_expect(r, "pieces");
        region.chunks = read_ix(r, none);
    }
    region.loc = place(r);
    vec_push(g->arena, &g->regions, region);
    refuse(r, from, region_flaw(g, g->regions.n - 1));
}

/* `over` stands behind the edges whose space it is: read it first. */
static const Space *space_ahead(Reader *r)
{
    uint32_t from = r->at;
    char quote = 0;
    for (; r->at < r->n && r->s[r->at] != '\n'; r->at++) {
        char c = r->s[r->at];
        if (quote && c == '\\' && r->at + 1 < r->n) r->at++;
        else if (quote) quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'') quote = c;
        else if (c == ' ' && r->n - r->at > 5 && !memcmp(r->s + r->at, " over ", 6)) break;
    }
    const Space *space = read_over(r);
    r->at = from;
    return space;
}

static void step_line(Reader *r, uint32_t from)
{
    int number = (int)read_int(r, 1, r->g->regions.n - 1);
    Region *region = &r->g->regions.v[number];
    if (region->kind != REGION_STEP) read_error(r, "region %d is not a step", number);
    region->space = space_ahead(r);
    region->old = read_edge(r, region->space);
    read_expect(r, ",");
    region->delta = read_edge(r, region->space);
    read_expect(r, ",");
    region->next = read_edge(r, region->space);
    read_over(r);
    refuse(r, from, region_flaw(r->g, number));
}

static void root_line(Reader *r, uint32_t from)
{
    Root root = {.kind = (RootKind)read_choice(r, text_root, COUNT(text_root), "a kind of root")};
    root.name = read_string(r, '"');
    root.space = space_ahead(r);
    root.e = read_edge(r, root.space);
    read_over(r);
    root.loc = place(r);
    refuse(r, from, root_flaw(r->g, &root));
    vec_push(r->g->arena, &r->g->roots, root);
}

static void check_line(Reader *r, uint32_t from)
{
    const Space *none = space_make(r->g, 0, NULL);
    Check c = {0};
    int kind = read_choice(r, text_check, COUNT(text_check), "a kind of check");
    c.kind = kind;
    if (kind == CHECK_RANGE) {
        c.space = space_ahead(r);
        c.e = read_edge(r, c.space);
        read_over(r);
        read_expect(r, "<");
    }
    if (kind == CHECK_TRUE) c.e = read_edge(r, none);
    else c.ix = read_ix(r, none);
    c.text = read_string(r, '"');
    c.loc = place(r);
    refuse(r, from, check_flaw(r->g, &c));
    vec_push(r->g->arena, &r->g->checks, c);
}

static void named_line(Reader *r, Op op)
{
    Graph *g = r->g;
    Named n = {.name = read_string(r, '"')};
    n.node = read_node_name(r);
    n.optional = op == OP_input && read_accept(r, "optional");
    if (n.optional) n.fill = read_float(r);
    n.loc = place(r);
    if (op == OP_input) vec_push(g->arena, &g->inputs, n);
    else if (op == OP_param) vec_push(g->arena, &g->params, n);
    else vec_push(g->arena, &g->states, n);
}

static void fact_line(Reader *r)
{
    static const char *const kinds[] = {"eq0", "ge0"};
    const Space *none = space_make(r->g, 0, NULL);
    int kind = read_choice(r, kinds, COUNT(kinds), "a kind of fact");
    const Ix *e = read_ix(r, none);
    if (e->loads) read_error(r, "a fact is about sizes");
    if (kind == 0) graph_fact_eq0(r->g, e);
    else graph_fact_ge0(r->g, e);
}

static void assume_line(Reader *r)
{
    Node *n = read_node_name(r);
    if (n->dt != DT_INT) read_error(r, "an assumed range of a value that is not int");
    read_expect(r, "<");
    const Ix *ext = read_ix(r, space_make(r->g, 0, NULL));
    if (ext->loads) read_error(r, "C2: a size reads a value");
    vec_push(r->g->arena, &r->g->tables->ranges, (Assumed){n, ext});
}

static void line(Reader *r)
{
    static const char *const kinds[] = {"source", "sym",   "region", "step",   "root", "check",
                                        "input",  "param", "state",  "assume", "fact",
                                        "contracted"};
    if (read_at_end_of_line(r)) return;
    r->depth = 0;
    if (read_peek(r, "%")) {
        node_line(r);
        return;
    }
    uint32_t from = r->at;
    switch (read_choice(r, kinds, COUNT(kinds), "the kind of a line")) {
    case 0: source_line(r); break;
    case 1: sym_line(r); break;
    case 2: region_line(r, from); break;
    case 3: step_line(r, from); break;
    case 4: root_line(r, from); break;
    case 5: check_line(r, from); break;
    case 6: named_line(r, OP_input); break;
    case 7: named_line(r, OP_param); break;
    case 8: named_line(r, OP_state); break;
    case 9: assume_line(r); break;
    case 10: fact_line(r); break;
    default: r->g->contracted = true; break;
    }
}

static void free_graph(void *g) { graph_free(g); }

Graph *graph_parse(Diag *d, uint32_t source)
{
    const char *text = diag_slice(d, (Loc){source, 0, UINT32_MAX});
    Graph *g = graph_new(d);
    diag_defer(d, free_graph, g);
    Reader r = {.g = g, .d = d, .file = source, .s = text};
    r.n = (uint32_t)strlen(text);
    if (!read_accept(&r, TEXT_MAGIC)) read_error(&r, "IR text begins with `%s`", TEXT_MAGIC);
    while (r.at < r.n) {
        read_end_of_line(&r);
        line(&r);
    }
    const char *flaw = names_flaw(g);
    if (flaw) read_error(&r, "%s", flaw);
    g->loc = NO_LOC;
    g->replay = g->region = 0;
    diag_undefer(d);
    return g;
}
