/* build_report.c: `report`: values that people want to see and nothing else reads.
 *
 * Unless they are asked for they are not built at all, so they cost nothing and change nothing: not
 * a node, not a draw (build_draw.c numbers their calls apart), not a parameter.
 */
#include "frontend/build.h"

enum { MOST_ELEMENTS = 4096 }; /* of one report */

/* The path of the module that runs, then the name; calls after the first are told apart. */
static const char *name_of(const Frame *f, const char *name)
{
    Builder *b = f->b;
    while (f && !f->self) f = f->up;
    const char *full = arena_printf(b->a, "%s%s", f ? f->self->path : "", name);
    size_t n = strlen(full);
    int before = 0;
    for (int i = 0; i < b->reports.n; i++) {
        const char *old = b->reports.v[i].is.name;
        before += !strncmp(old, full, n) && (!old[n] || old[n] == '#');
    }
    return before ? arena_printf(b->a, "%s#%d", full, before + 1) : full;
}

static Value report_value(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    int region = b->g->region;
    bool outer = b->reporting;
    b->g->region = 0, b->reporting = true; /* whatever is cut or recomputed here, it isn't part */
    Value v = s->assign.lhs.is_indexed ? assign_indexed(f, &s->assign.lhs, s->assign.value, NULL)
                                       : eval_whole(f, s->assign.value);
    b->g->region = region, b->reporting = outer;
    return v;
}

static void check_value(Builder *b, const Stmt *s, Value v)
{
    Loc loc = s->assign.value->loc;
    bool holds = value_dtype(b, v, loc) == DT_BOOL;
    if (s->assign.text && !(holds && value_is_scalar(v)))
        user_error(b->d, loc, "a `report` with a text takes one condition\nfound: %s",
                   value_what(b, v));
    if (!s->assign.text && holds)
        user_error(
            b->d, loc,
            "a `report` shows numbers\nfound: %s\nhint: a share, `mean[b] where(c[b], 1, 0)`; "
            "or a text to say where it holds, `report NAME = c, \"...\"`",
            value_what(b, v));
}

static void take_shape(Builder *b, ReportInfo *r, const Space *shape)
{
    r->rank = shape->n, r->count = 1;
    for (int i = 0; i < shape->n; i++) {
        if (!ix_is_const(shape->ext[i]))
            user_error(b->d, r->loc,
                       "the sizes of a report must be known when the program is "
                       "compiled\nfound: %s\nhint: take the mean over the others",
                       shape_text(b, shape, NULL));
        r->shape[i] = shape->ext[i]->c;
        r->count = r->shape[i] > MOST_ELEMENTS ? MOST_ELEMENTS + 1 : r->count * r->shape[i];
        if (r->count > MOST_ELEMENTS)
            user_error(b->d, r->loc, "a report has at most %d elements\nfound: %s", MOST_ELEMENTS,
                       shape_text(b, shape, NULL));
    }
}

void run_report(Frame *f, const Stmt *s)
{
    Builder *b = f->b;
    Graph *g = b->g;
    Loc loc = s->assign.value->loc;
    if (!b->o->reports || b->reporting || b->lone) { /* alone, sizes aren't known */
        mark_reads(f, s->assign.value);
        return;
    }
    Value v = report_value(f, s);
    bool truth;
    Edge cond;
    if (v.kind == V_NONE) return; /* of an absent input */
    check_value(b, s, v);
    if (s->assign.text && value_known(b, v, &truth) && !truth) return;
    Reported r = {.is = {.text = s->assign.text, .loc = s->loc}};
    r.shape = v.kind == V_TENSOR ? v.tensor.shape : space_make(g, 0, NULL);
    take_shape(b, &r.is, r.shape);
    r.e = value_edge(b, v, DT_FLOAT, loc);
    if (!r.is.text) r.e = graph_cast(g, DT_FLOAT, r.shape, r.e);
    if (host_cond(b, &cond))
        r.e = graph_branch(g, r.shape, cond, r.e,
                           r.is.text ? graph_bool(g, false) : graph_float(g, LOWEST));
    r.is.name = name_of(f, s->assign.lhs.name.s);
    r.is.output = arena_printf(b->a, REPORT_PREFIX "%s", r.is.name);
    vec_push(b->a, &b->reports, r);
}

/* ---- all of them ---- */

static void mark(void *live, Edge e, bool as_index)
{
    (void)as_index;
    ((bool *)live)[e.node->id] = true;
}

/* A parameter that only reports read would have no gradient, and would not be there without them.
 */
static void refuse_own_params(Builder *b)
{
    Graph *g = b->g;
    bool *live = NEW_N(b->a, bool, g->nodes.n + 1), *shown = NEW_N(b->a, bool, g->nodes.n + 1);
    for (int i = 0; i < g->roots.n; i++) mark(live, g->roots.v[i].e, false);
    for (int i = 0; i < b->reports.n; i++) mark(shown, b->reports.v[i].e, false);
    for (int i = g->nodes.n; i-- > 0;) {
        const Node *n = g->nodes.v[i];
        if (live[i]) node_reads(n, mark, live);
        if (shown[i]) node_reads(n, mark, shown);
        if (n->op == OP_param && shown[i] && !live[i])
            user_error(b->d, n->loc, "only a `report` reads the parameter `%s`", n->attr.leaf.name);
    }
}

void finish_reports(Builder *b)
{
    if (!b->reports.n) return;
    refuse_own_params(b);
    for (int i = 0; i < b->reports.n; i++) {
        const Reported *r = &b->reports.v[i];
        graph_root(b->g, ROOT_OUTPUT, r->is.output, r->e, r->shape, r->is.loc);
        vec_push(b->a, &b->program->reports, r->is);
    }
}
