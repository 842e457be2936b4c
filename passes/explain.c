/* explain.c: what grouping decided, as data. Contract: explain.h. */
#include <stdlib.h>
#include "passes/explain.h"
#include "passes/group.h"

const char *phase_name(Phase p)
{
    static const char *const name[] = {"forward", "backward", "update"};
    return name[p];
}

const char *buffer_class_name(BufferClass c)
{
    static const char *const name[] = {"param",    "state",  "input",    "output",
                                       "gradient", "update", "temporary"};
    return name[c];
}

/* ---- lines ---- */

typedef VEC(LineRange) Lines;

static int by_line(const void *pa, const void *pb)
{
    const LineRange *a = pa, *b = pb;
    int c = strcmp(a->file, b->file);
    return c ? c : a->first != b->first ? a->first - b->first : a->last - b->last;
}

static LineRange line_of(Unit *u, Loc loc)
{
    if (!loc.file) return (LineRange){NULL, 0, 0};
    int first = diag_line(u->diag, loc, NULL);
    Loc end = {loc.file, loc.end > loc.begin ? loc.end - 1 : loc.end, loc.end};
    int last = diag_line(u->diag, end, NULL);
    return (LineRange){diag_file(u->diag, loc), first, last > first ? last : first};
}

typedef struct {
    Unit *u;
    const Group *group;
    Lines lines;
    bool *seen; /* by node id */
    Ints marked;
} Collect;

static void collect(void *ctx, Edge e, bool as_index);

static void collect_node(Collect *c, const Node *n)
{
    if (c->seen[n->id]) return;
    c->seen[n->id] = true;
    vec_push(c->u->arena, &c->marked, n->id);
    LineRange r = line_of(c->u, n->loc);
    if (r.file && op_info[n->op].cls != CLASS_LEAF) vec_push(c->u->arena, &c->lines, r);
    device_reads(n, collect, c);
}

static void collect(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Collect *c = ctx;
    if (c->u->groups->buffer_of[e.node->id] < 0 && is_light(e.node)) collect_node(c, e.node);
}

/* Ranges that touch become one. */
static void merge_lines(Lines *l)
{
    if (!l->n) return;
    qsort(l->v, (size_t)l->n, sizeof *l->v, by_line);
    int n = 1;
    for (int i = 1; i < l->n; i++) {
        LineRange *last = &l->v[n - 1], x = l->v[i];
        if (!strcmp(last->file, x.file) && x.first <= last->last + 1) {
            if (x.last > last->last) last->last = x.last;
        } else {
            l->v[n++] = x;
        }
    }
    l->n = n;
}

static void group_lines(Collect *c, const Group *gr, ExplainKernel *k)
{
    c->group = gr;
    c->lines = (Lines){0};
    c->marked.n = 0;
    for (int i = 0; i < gr->members.n; i++) {
        const Node *n = gr->members.v[i].node;
        LineRange r = line_of(c->u, n->loc);
        if (gr->kind == GROUP_PRODUCT) {
            if (r.file) vec_push(c->u->arena, &c->lines, r);
        } else {
            collect_node(c, n);
        }
    }
    for (int i = 0; i < c->marked.n; i++) c->seen[c->marked.v[i]] = false;
    merge_lines(&c->lines);
    for (int i = 0; i < c->lines.n; i++) vec_push(c->u->arena, &k->lines, c->lines.v[i]);
}

/* ---- kernels ---- */

static const char *extents_text(Unit *u, const Space *s, const int8_t *axes, int n)
{
    Str t = {.arena = u->arena};
    str_add(&t, "[");
    for (int i = 0; i < n; i++)
        str_printf(&t, "%s%s", i ? "," : "", ix_text(u->graph, s->ext[axes ? axes[i] : i]));
    str_add(&t, "]");
    return t.s;
}

static const char *members_text(Unit *u, const Group *gr)
{
    Str t = {.arena = u->arena};
    for (int i = 0; i < gr->members.n; i++)
        str_printf(&t, "%s%s", i ? " " : "", op_info[gr->members.v[i].node->op].name);
    return t.s;
}

static const char *product_text(Unit *u, const Group *gr)
{
    const Product *p = &gr->product;
    const Space *s = gr->members.v[0].node->space;
    Str t = {.arena = u->arena};
    str_printf(&t, "%s x %s x %s", extents_text(u, s, p->m, p->nm), extents_text(u, s, p->n, p->nn),
               extents_text(u, s, p->k, p->nk));
    if (p->nbatch) str_printf(&t, " for each of %s", extents_text(u, s, p->batch, p->nbatch));
    return t.s;
}

static void make_kernels(Unit *u, const int64_t *syms, Explain *x)
{
    Collect c = {.u = u, .seen = NEW_N(u->arena, bool, u->graph->nodes.n)};
    int loops = 0, products = 0;
    for (int i = 0; i < u->groups->groups.n; i++) {
        const Group *gr = &u->groups->groups.v[i];
        ExplainKernel k = {.group = i, .product = gr->kind == GROUP_PRODUCT, .phase = gr->phase};
        k.name = k.product ? arena_printf(u->arena, "p%d", products++)
                           : arena_printf(u->arena, "k%d", loops++);
        k.what = members_text(u, gr);
        k.block = k.product ? product_text(u, gr) : extents_text(u, gr->block, NULL, gr->block->n);
        k.blocks = space_at(gr->block, syms);
        k.cost = group_cost(u, gr, syms);
        k.conditional = gr->when.n > 0;
        k.loop = gr->loop;
        group_lines(&c, gr, &k);
        x->flops += k.cost.flops;
        x->bytes += k.cost.bytes_read + k.cost.bytes_written;
        vec_push(u->arena, &x->kernels, k);
    }
}

/* ---- stored tensors ---- */

static int by_bytes(const void *pa, const void *pb)
{
    const ExplainTensor *a = pa, *b = pb;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return strcmp(a->name, b->name);
}

/* The first group during which the most bytes of temporaries are alive. */
static int peak_group(const Unit *u, const Extent *e, int n)
{
    int groups = u->groups->groups.n, peak = 0;
    double *change = NEW_N(u->arena, double, groups + 1), alive = 0, most = 0;
    for (int i = 0; i < n; i++) {
        change[e[i].first] += (double)e[i].bytes;
        change[e[i].last + 1] -= (double)e[i].bytes;
    }
    for (int i = 0; i < groups; i++) {
        alive += change[i];
        if (alive <= most) continue;
        most = alive, peak = i;
    }
    return peak;
}

/* What there is room for. */
static const Space *buffer_space(Unit *u, const Buffer *b)
{
    if (!b->loop) return b->node->space;
    const Space *shape = node_shape(u->graph, b->node);
    return space_with(u->graph, shape, b->cut, u->groups->loops.v[b->loop - 1].size);
}

static void make_tensors(Unit *u, const int64_t *syms, Explain *x)
{
    VEC(Extent) temps = {0};
    for (int i = 0; i < u->groups->buffers.n; i++) {
        const Buffer *b = &u->groups->buffers.v[i];
        ExplainTensor t = {.cls = b->cls};
        t.bytes = size_at(b->count, syms) * dtype_bytes(b->node->dt);
        t.name = b->name ? b->name : arena_printf(u->arena, "%%%d", b->node->id);
        t.shape = extents_text(u, buffer_space(u, b), b->order, b->node->rank);
        t.line = line_of(u, b->node->loc);
        t.first = b->first, t.last = b->last;
        vec_push(u->arena, &x->stored, t);
        x->class_bytes[t.cls] += t.bytes;
        Extent e = {.bytes = (size_t)t.bytes, .first = b->first, .last = b->last};
        if (b->cls == BUF_TEMP) vec_push(u->arena, &temps, e);
    }
    if (x->stored.n) qsort(x->stored.v, (size_t)x->stored.n, sizeof *x->stored.v, by_bytes);
    x->temp_bytes = (double)memplan(temps.v, temps.n, u->arena);
    x->temp_bound = (double)memplan_lower_bound(temps.v, temps.n, u->arena);
    x->peak = peak_group(u, temps.v, temps.n);
}

/* ---- pairs ---- */

static const char *node_text(Unit *u, const Node *n)
{
    LineRange r = line_of(u, n->loc);
    if (!r.file) return arena_printf(u->arena, "%%%d %s", n->id, op_info[n->op].name);
    return arena_printf(u->arena, "%s:%d %s", r.file, r.first, op_info[n->op].name);
}

static void add_pair(Unit *u, Explain *x, int from, int to, const char *reason)
{
    const Node *a = u->graph->nodes.v[from], *b = u->graph->nodes.v[to];
    ExplainPair p = {from, to, node_text(u, a), node_text(u, b), reason == NULL, reason};
    vec_push(u->arena, &x->pairs, p);
}

typedef struct {
    Unit *u;
    Explain *x;
    const Group *group;
    const Node *reader;
    Ints seen;
} Inside;

/* A member that reads another of its group. */
static void inside(void *ctx, Edge e, bool as_index)
{
    (void)as_index;
    Inside *in = ctx;
    for (int i = 0; i < in->seen.n; i++)
        if (in->seen.v[i] == e.node->id) return;
    vec_push(in->u->arena, &in->seen, e.node->id);
    for (int i = 0; i < in->group->members.n; i++)
        if (in->group->members.v[i].node == e.node) {
            add_pair(in->u, in->x, e.node->id, in->reader->id, NULL);
            return;
        }
    if (in->u->groups->buffer_of[e.node->id] < 0) device_reads(e.node, inside, in);
}

static void make_pairs(Unit *u, Explain *x)
{
    for (int i = 0; i < u->groups->groups.n; i++) {
        const Group *gr = &u->groups->groups.v[i];
        for (int m = 0; m < gr->members.n && gr->kind == GROUP_LOOPS; m++) {
            Inside in = {.u = u, .x = x, .group = gr, .reader = gr->members.v[m].node};
            device_reads(in.reader, inside, &in);
        }
    }
    for (int i = 0; i < u->groups->napart; i++)
        add_pair(u, x, u->groups->apart[i].from, u->groups->apart[i].to,
                 u->groups->apart[i].reason);
}

Explain *explain_make(Unit *u, const int64_t *syms)
{
    Explain *x = NEW(u->arena, Explain);
    if (!syms) syms = hint_syms(u);
    make_kernels(u, syms, x);
    make_tensors(u, syms, x);
    make_pairs(u, x);
    return x;
}
