/* print.c: a graph as text. The form is specified in README.md; read.c reads it back, and printing
 * what was read gives the same bytes. One line per thing, nodes in their order:
 *
 *     %8:f[b,h,i,j] = sum over [d] %7[i0,i1,i2,i4,i3] region 1 @1:40-52
 *
 * What the prover knows (facts, assumed ranges) comes last, so that reading can't simplify an
 * expression further than it was when printed.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "ir/intern.h"
#include "ir/text.h"

/* ---- words ---- */

bool text_is_axis(const char *s, size_t n)
{
    if (n < 2 || s[0] != 'i') return false;
    for (size_t i = 1; i < n; i++)
        if (s[i] < '0' || s[i] > '9') return false;
    return true;
}

bool text_is_word(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static void quote(Str *out, const char *s, char with)
{
    str_addn(out, &with, 1);
    for (; s && *s; s++) {
        if (*s == with || *s == '\\') str_printf(out, "\\%c", *s);
        else if (*s == '\n') str_add(out, "\\n");
        else if ((unsigned char)*s < 32 || *s == 127) str_printf(out, "\\x%02x", (unsigned)*s);
        else str_addn(out, s, 1);
    }
    str_addn(out, &with, 1);
}

static void symbol(Str *out, const char *s)
{
    size_t n = strlen(s);
    bool plain = n > 0 && !text_is_axis(s, n) && strcmp(s, "min") && strcmp(s, "max");
    for (size_t i = 0; plain && i < n; i++) plain = text_is_word(s[i], i == 0);
    if (plain) str_add(out, s);
    else quote(out, s, '\'');
}

/* The shortest decimal text that reads back as x. */
static void number(Str *out, double x)
{
    char text[40];
    if (isnan(x)) {
        str_add(out, "nan");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    str_add(out, text);
}

/* ---- index expressions ---- */

static void edge_print(Graph *g, Edge e, Str *out)
{
    if (!e.node || !e.map) {
        str_add(out, "%?"); /* ill-formed: the verifier shows it */
        return;
    }
    str_printf(out, "%%%d", e.node->id);
    for (int i = 0; i < e.map->n; i++) {
        str_add(out, i ? "," : "[");
        ix_print(g, e.map->ix[i], out);
    }
    if (e.map->n) str_add(out, "]");
}

/* An operand of // and %: in parentheses unless it is one atom or a number. */
static void operand(Graph *g, const Ix *e, Str *out)
{
    bool lone = e->nterm == 0 ? e->c >= 0
                              : e->c == 0 && e->nterm == 1 && e->t[0].coef == 1 && e->t[0].n == 1;
    if (!lone) str_add(out, "(");
    ix_print(g, e, out);
    if (!lone) str_add(out, ")");
}

static void atom_print(Graph *g, const Atom *a, Str *out)
{
    switch (a->kind) {
    case AT_AXIS: str_printf(out, "i%d", a->id); break;
    case AT_SYM: symbol(out, g->syms.v[a->id].name); break;
    case AT_DIV:
    case AT_MOD:
        str_add(out, "(");
        operand(g, a->a, out);
        str_add(out, a->kind == AT_DIV ? "//" : "%");
        operand(g, a->b, out);
        str_add(out, ")");
        break;
    case AT_MIN:
    case AT_MAX:
        str_add(out, a->kind == AT_MIN ? "min(" : "max(");
        ix_print(g, a->a, out);
        str_add(out, ",");
        ix_print(g, a->b, out);
        str_add(out, ")");
        break;
    case AT_LOAD: edge_print(g, a->load, out); break;
    }
}

void ix_print(Graph *g, const Ix *e, Str *out)
{
    for (int i = 0; i < e->nterm; i++) {
        const Term *t = &e->t[i];
        str_add(out, t->coef < 0 ? "-" : i ? "+" : "");
        uint64_t size = t->coef < 0 ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
        if (size != 1) str_printf(out, "%" PRIu64 "*", size);
        for (int j = 0; j < t->n; j++) {
            if (j) str_add(out, "*");
            atom_print(g, t->f[j], out);
        }
    }
    if (e->nterm == 0) str_printf(out, "%" PRId64, e->c);
    else if (e->c) str_printf(out, "%+" PRId64, e->c);
}

const char *ix_text(Graph *g, const Ix *e)
{
    Str s = {.arena = g->arena};
    ix_print(g, e, &s);
    return s.s;
}

static void extents(Graph *g, const Space *s, int from, int to, Str *out)
{
    str_add(out, "[");
    for (int i = from; i < to; i++) {
        if (i > from) str_add(out, ",");
        ix_print(g, s->ext[i], out);
    }
    str_add(out, "]");
}

/* ---- nodes ---- */

static void args_print(Graph *g, const Node *n, Str *out)
{
    for (int i = 0; i < n->nargs; i++) {
        str_add(out, i ? ", " : " ");
        edge_print(g, n->args[i], out);
    }
}

static void leaf_print(Graph *g, const Node *n, Str *out)
{
    str_add(out, " ");
    switch (n->op) {
    case OP_const:
        if (n->dt == DT_FLOAT) number(out, n->attr.value.f);
        else if (n->dt == DT_INT) str_printf(out, "%" PRId32, n->attr.value.i);
        else str_add(out, n->attr.value.i ? "true" : "false");
        break;
    case OP_idx: ix_print(g, n->attr.ix, out); break;
    case OP_rand: str_printf(out, "0x%016" PRIx64, n->attr.site); break;
    default: quote(out, n->attr.leaf.name, '"'); break;
    }
}

static void read_print(Graph *g, const Node *n, Str *out)
{
    str_add(out, " ");
    edge_print(g, n->args[0], out);
    for (int i = 0; i < n->attr.guard.n; i++) {
        str_add(out, i ? " and 0 <= " : " if 0 <= ");
        ix_print(g, n->attr.guard.g[i].ix, out);
        str_add(out, " < ");
        ix_print(g, n->attr.guard.g[i].ext, out);
    }
    str_add(out, " else ");
    edge_print(g, n->args[1], out);
}

static void keys_print(Graph *g, const Node *n, Str *out)
{
    str_add(out, " at [");
    for (int i = 0; i < n->rank; i++) {
        if (i) str_add(out, ",");
        if (n->attr.key[i]) ix_print(g, n->attr.key[i], out);
        else str_add(out, "-");
    }
    str_add(out, "]");
}

void node_print(Graph *g, const Node *n, Str *out)
{
    str_printf(out, "%%%d:%c", n->id, text_dtypes[n->dt]);
    if (n->rank) extents(g, n->space, 0, n->rank < n->space->n ? n->rank : n->space->n, out);
    str_printf(out, " = %s", op_info[n->op].name);
    if (n->space->n > n->rank) {
        str_add(out, " over ");
        extents(g, n->space, n->rank, n->space->n, out);
    }
    switch (op_info[n->op].cls) {
    case CLASS_LEAF: leaf_print(g, n, out); break;
    case CLASS_READ: read_print(g, n, out); break;
    case CLASS_SCAN:
        str_printf(out, " along i%d%s%s", n->attr.scan.axis,
                   n->attr.scan.exclusive ? " exclusive" : "",
                   n->attr.scan.reverse ? " reverse" : "");
        args_print(g, n, out);
        break;
    case CLASS_SCAT:
        args_print(g, n, out);
        keys_print(g, n, out);
        break;
    default: args_print(g, n, out); break;
    }
    if (n->replay) str_printf(out, " replay %d", n->replay);
    if (n->region) str_printf(out, " region %d", n->region);
}

/* ---- whole graphs ---- */

typedef struct {
    Graph *g;
    Str *out;
    VEC(uint32_t) files;     /* in order of first appearance: number in the text - 1 */
} Printer;

static void end_line(Printer *p, Loc loc)
{
    if (loc.file) {
        int i = 0;
        while (i < p->files.n && p->files.v[i] != loc.file) i++;
        if (i == p->files.n) vec_push(p->g->arena, &p->files, loc.file);
        str_printf(p->out, " @%d:%" PRIu32 "-%" PRIu32, i + 1, loc.begin, loc.end);
    }
    str_add(p->out, "\n");
}

static void regions_print(Printer *p)
{
    Graph *g = p->g;
    for (int i = 1; i < g->regions.n; i++) {
        const Region *r = &g->regions.v[i];
        str_printf(p->out, "region %d %s", i, text_region[r->kind]);
        if (r->parent) str_printf(p->out, " in %d", r->parent);
        if (r->kind == REGION_CHUNK) {
            str_add(p->out, " cut ");
            ix_print(g, r->chunk_extent, p->out);
            str_add(p->out, " pieces ");
            ix_print(g, r->chunks, p->out);
        }
        end_line(p, r->loc);
    }
}

static void steps_print(Printer *p)
{
    Graph *g = p->g;
    for (int i = 1; i < g->regions.n; i++) {
        const Region *r = &g->regions.v[i];
        if (r->kind != REGION_STEP || !r->old.node) continue;
        str_printf(p->out, "step %d ", i);
        edge_print(g, r->old, p->out);
        str_add(p->out, ", ");
        edge_print(g, r->delta, p->out);
        str_add(p->out, ", ");
        edge_print(g, r->next, p->out);
        str_add(p->out, " over ");
        extents(g, r->space, 0, r->space->n, p->out);
        str_add(p->out, "\n");
    }
}

static void named_print(Printer *p, const char *kind, const Named *v, int n)
{
    for (int i = 0; i < n; i++) {
        str_printf(p->out, "%s ", kind);
        quote(p->out, v[i].name, '"');
        str_printf(p->out, " %%%d", v[i].node->id);
        if (v[i].optional) {
            str_add(p->out, " optional ");
            number(p->out, v[i].fill);
        }
        end_line(p, v[i].loc);
    }
}

static void roots_print(Printer *p)
{
    for (int i = 0; i < p->g->roots.n; i++) {
        const Root *r = &p->g->roots.v[i];
        str_printf(p->out, "root %s ", text_root[r->kind]);
        quote(p->out, r->name, '"');
        str_add(p->out, " ");
        edge_print(p->g, r->e, p->out);
        str_add(p->out, " over ");
        extents(p->g, r->space, 0, r->space->n, p->out);
        end_line(p, r->loc);
    }
}

static void checks_print(Printer *p)
{
    Graph *g = p->g;
    for (int i = 0; i < g->checks.n; i++) {
        const Check *c = &g->checks.v[i];
        str_printf(p->out, "check %s ", text_check[c->kind]);
        if (c->kind == CHECK_RANGE || c->kind == CHECK_TRUE) edge_print(g, c->e, p->out);
        if (c->kind == CHECK_RANGE) {
            str_add(p->out, " over ");
            extents(g, c->space, 0, c->space->n, p->out);
            str_add(p->out, " < ");
        }
        if (c->kind != CHECK_TRUE) ix_print(g, c->ix, p->out);
        str_add(p->out, " ");
        quote(p->out, c->text, '"');
        end_line(p, c->loc);
    }
}

/* Facts about values are left out: they don't keep the values' nodes alive. */
static void fact_print(Printer *p, const char *kind, const Ix *e)
{
    if (e->loads) return;
    str_printf(p->out, "fact %s ", kind);
    ix_print(p->g, e, p->out);
    str_add(p->out, "\n");
}

static void facts_print(Printer *p)
{
    Graph *g = p->g;
    const struct Tables *t = g->tables;
    for (int i = 0; i < t->ranges.n; i++) {
        str_printf(p->out, "assume %%%d < ", t->ranges.v[i].node->id);
        ix_print(g, t->ranges.v[i].ext, p->out);
        str_add(p->out, "\n");
    }
    for (int i = 0; i < t->eq0.n; i++) fact_print(p, "eq0", t->eq0.v[i]);
    for (int i = 0; i < t->ge0.n; i++) fact_print(p, "ge0", t->ge0.v[i]);
}

void graph_print(Graph *g, Str *out)
{
    Str body = {.arena = out->arena};
    Printer p = {.g = g, .out = &body};
    str_add(&body, "");
    for (int i = 0; i < g->syms.n; i++) {
        str_add(&body, "sym ");
        symbol(&body, g->syms.v[i].name);
        end_line(&p, g->syms.v[i].loc);
    }
    regions_print(&p);
    for (int i = 0; i < g->nodes.n; i++) {
        node_print(g, g->nodes.v[i], &body);
        end_line(&p, g->nodes.v[i]->loc);
    }
    named_print(&p, "input", g->inputs.v, g->inputs.n);
    named_print(&p, "param", g->params.v, g->params.n);
    named_print(&p, "state", g->states.v, g->states.n);
    roots_print(&p);
    checks_print(&p);
    steps_print(&p);
    facts_print(&p);
    str_add(out, TEXT_MAGIC "\n");
    for (int i = 0; i < p.files.n; i++) {
        str_printf(out, "source %d ", i + 1);
        quote(out, diag_file(g->diag, (Loc){p.files.v[i], 0, 0}), '"');
        str_add(out, "\n");
    }
    if (g->contracted) str_add(out, "contracted\n");
    str_addn(out, body.s, body.n);
}
