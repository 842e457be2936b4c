/* device_eval.c: the reference evaluator behind the same interface: slow, unfused, the meaning. */
#include <stdlib.h>

#include "runtime/compile.h"
#include "runtime/memory.h"

/* By root: the condition under which it is reached (gradients, updates). */
static void prepare(Executable *e, const CompileOptions *o)
{
    (void)o;
    Graph *g = e->unit->graph;
    Reached *r = reached_new(g, e->arena);
    Edge *when = NEW_N(e->arena, Edge, g->roots.n + 1);
    for (int i = 0; i < g->roots.n; i++)
        when[i] = g->roots.v[i].kind == ROOT_UPDATE ? update_reached(g, e->arena, &g->roots.v[i])
                                                    : grad_reached(r, g->roots.v[i].e.node);
    e->dev = when;
}

static size_t bytes_of(DType dt) { return dt == DT_BOOL ? 1 : 4; }

static void place(Instance *in)
{
    for (int i = 0; i < exec_nroots(in->e); i++)
        in->root_data[i] =
            arena_alloc(in->e->arena, (size_t)in->root[i].count * bytes_of(in->root[i].dt) + 4);
}

/* Elements as they are stored, as the evaluator takes them. */
static Tensor widened(Arena *a, DType dt, int rank, const int64_t *shape, const void *data)
{
    Tensor t = {.dt = dt, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) t.shape[i] = shape[i], t.count *= shape[i];
    t.data = (void *)data;
    if (dt != DT_FLOAT) return t;
    double *v = NEW_N(a, double, t.count + 1);
    for (int64_t i = 0; i < t.count; i++) v[i] = ((const float *)data)[i];
    t.data = v;
    return t;
}

static void narrow(void *to, DType dt, const Tensor *t)
{
    for (int64_t i = 0; i < t->count; i++) {
        double v = t->dt == DT_FLOAT ? ((const double *)t->data)[i]
                   : t->dt == DT_INT ? ((const int32_t *)t->data)[i]
                                     : ((const uint8_t *)t->data)[i];
        if (dt == DT_FLOAT)
            ((float *)to)[i] = (float)v;
        else if (dt == DT_INT)
            ((int32_t *)to)[i] = (int32_t)v;
        else
            ((uint8_t *)to)[i] = v != 0;
    }
}

static void set_leaves(Instance *in, Eval *ev, Arena *a)
{
    Executable *e = in->e;
    Graph *g = e->unit->graph;
    Store *s = e->store;
    for (int i = 0; i < e->ninput; i++) {
        Tensor t =
            widened(a, e->input[i].dt, e->input[i].space->n, in->input[i].shape, in->input[i].data);
        eval_set(ev, e->input[i].node, &t);
    }
    if (!s && (g->params.n || g->states.n))
        diag_fail(e->diag, "the program has parameters, but there is no store of them");
    for (int i = 0; i < g->params.n; i++) {
        StoreEntry *p = store_param(s, g->params.v[i].name);
        Tensor t = widened(a, p->dt, p->rank, p->shape, s->value + p->offset);
        eval_set(ev, g->params.v[i].node, &t);
    }
    for (int i = 0; i < g->states.n; i++) {
        StoreEntry *p = store_state(s, g->states.v[i].name);
        Tensor t = widened(a, p->dt, p->rank, p->shape, s->state_value + p->offset);
        eval_set(ev, g->states.v[i].node, &t);
    }
}

/* `fresh` is asked state by state. */
static void set_fresh(const Executable *e, Eval *ev, const RunOptions *o)
{
    const Graph *g = e->unit->graph;
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.v[i];
        if (n->op != OP_fresh) continue;
        uint8_t fresh = store_is_fresh(e->store, n->attr.leaf.name, o);
        eval_set(ev, n, &(Tensor){.dt = DT_BOOL, .count = 1, .data = &fresh});
    }
}

static bool is_reached(const Executable *e, Eval *ev, int root)
{
    Edge when = ((const Edge *)e->dev)[root];
    Tensor t = eval_edge(ev, when, space_make(e->unit->graph, 0, NULL));
    return ((const uint8_t *)t.data)[0];
}

static void run(Instance *in, const RunOptions *o)
{
    Executable *e = in->e;
    Arena *a = diag_scratch(e->diag);
    Eval *ev = eval_new(e->unit->graph, in->dims, o->seed, o->step, false);
    diag_defer(e->diag, (void (*)(void *))eval_free, ev);
    eval_limit(ev, memory_available());
    set_leaves(in, ev, a);
    set_fresh(e, ev, o);
    eval_checks(ev);
    for (int i = 0; i < exec_nroots(e); i++) {
        const Root *r = &e->unit->graph->roots.v[i];
        Tensor t = eval_edge(ev, r->e, r->space);
        narrow(in->root_data[i], in->root[i].dt, &t);
    }
    for (int i = 0; i < exec_nroots(e); i++) {
        const Root *r = &e->unit->graph->roots.v[i];
        Value *v = &in->root[i];
        v->data = in->root_data[i];
        if (!e->store) continue;
        if (r->kind == ROOT_GRAD && store_param(e->store, r->name))
            store_add_grad(e->store, r->name, v->data, v->count, is_reached(e, ev, i));
        if (r->kind == ROOT_UPDATE)
            store_add_update(e->store, r->name, v->data, is_reached(e, ev, i));
    }
    diag_undefer(e->diag);
    eval_free(ev);
    diag_scratch_end(e->diag, a);
}

const Device device_eval = {.name = "eval",
                            .what = "the reference evaluator: slow, the meaning of every op",
                            .pipeline = "simplify,dce,grad,simplify,dce",
                            .prepare = prepare,
                            .place = place,
                            .run = run};
