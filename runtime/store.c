/* store.c: parameters, gradients and states as flat arrays. Contract: exec.h. */
#include <stdlib.h>

#include "runtime/device.h"
#include "runtime/memory.h"

enum { ALIGN = 16 }; /* elements */

static float *zeros(Store *s, int64_t n)
{
    void *p = NULL;
    size_t bytes;
    if (!size_mul((size_t)(n > 0 ? n : 1), sizeof(float), &bytes)) diag_oom(s->diag);
    if (posix_memalign(&p, 64, (bytes + 63) / 64 * 64) != 0) diag_oom(s->diag);
    memset(p, 0, bytes);
    return p;
}

static int64_t fill_entry(Store *s, StoreEntry *e, const Named *n, int64_t at)
{
    const Space *shape = n->node->space;
    *e = (StoreEntry){.name = arena_strdup(s->arena, n->name),
                      .dt = n->node->dt,
                      .rank = shape->n,
                      .count = 1,
                      .offset = at};
    for (int i = 0; i < shape->n; i++) {
        if (!ix_is_const(shape->ext[i]))
            diag_bug(s->diag, "the size of %s isn't known at compile time", n->name);
        e->shape[i] = shape->ext[i]->c;
        if (__builtin_mul_overflow(e->count, e->shape[i], &e->count)) diag_oom(s->diag);
    }
    return at + (e->count + ALIGN - 1) / ALIGN * ALIGN;
}

static void find_inits(Store *s, const Graph *g)
{
    for (int i = 0; i < g->nodes.n; i++) {
        if (g->nodes.v[i]->op != OP_fresh) continue;
        StoreEntry *e = store_state(s, g->nodes.v[i]->attr.leaf.name);
        if (!e) diag_bug(s->diag, "`%s` isn't a state", g->nodes.v[i]->attr.leaf.name);
        e->init = e->fresh = true;
    }
}

/* The values as they are kept, and the largest of them while the evaluator draws it. */
static void require_room(Store *s, const Program *p)
{
    int64_t largest = 0;
    for (int i = 0; i < s->nparam; i++)
        if (s->param[i].count > largest) largest = s->param[i].count;
    double bytes = 4.0 * (double)(s->param_total + 2 * s->state_total) + 16.0 * (double)largest;
    memory_require(s->diag, bytes,
                   arena_printf(s->arena, "model %s has parameters and states of %.3g numbers",
                                p->model, (double)(s->param_total + s->state_total)),
                   "hint: smaller options make a smaller model (rtc check FILE.rt --options)");
}

Store *store_new(Diag *d, const Program *p)
{
    Arena *a = arena_new();
    if (!a) diag_oom(d);
    arena_on_oom(a, diag_oom, d);
    Store *s = NEW(a, Store);
    const Graph *g = p->graph;
    *s = (Store){.diag = d, .arena = a, .nparam = g->params.n, .nstate = g->states.n};
    diag_defer(d, (void (*)(void *))store_free, s);
    s->param = NEW_N(a, StoreEntry, s->nparam + 1);
    s->state = NEW_N(a, StoreEntry, s->nstate + 1);
    for (int i = 0; i < s->nparam; i++)
        s->param_total = fill_entry(s, &s->param[i], &g->params.v[i], s->param_total);
    for (int i = 0; i < s->nstate; i++)
        s->state_total = fill_entry(s, &s->state[i], &g->states.v[i], s->state_total);
    find_inits(s, g);
    require_room(s, p);
    s->value = zeros(s, s->param_total);
    s->state_value = zeros(s, s->state_total);
    s->state_next = zeros(s, s->state_total);
    diag_undefer(d);
    return s;
}

void store_free(Store *s)
{
    if (!s) return;
    free(s->value);
    free(s->grad);
    free(s->state_value);
    free(s->state_next);
    arena_free(s->arena);
}

void store_want_grad(Store *s)
{
    if (s->grad) return;
    memory_require(s->diag, 4.0 * (double)s->param_total, "the gradients of the parameters",
                   "hint: a smaller model");
    s->grad = zeros(s, s->param_total);
}

static StoreEntry *find(StoreEntry *e, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(e[i].name, name)) return &e[i];
    return NULL;
}

StoreEntry *store_param(Store *s, const char *name) { return find(s->param, s->nparam, name); }
StoreEntry *store_state(Store *s, const char *name) { return find(s->state, s->nstate, name); }

/* A tensor of the evaluator as elements of dt: float, int32 or bytes. */
static void convert(void *to, DType dt, const Tensor *t)
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

void store_init(Store *s, Program *p, uint64_t seed)
{
    for (int i = 0; i < p->init->roots.n; i++) {
        const Root *r = &p->init->roots.v[i];
        StoreEntry *e = store_param(s, r->name);
        float *base = s->value;
        if (!e) e = store_state(s, r->name), base = s->state_value;
        if (!e) continue; /* a parameter that nothing reads is not created */
        Eval *ev = eval_new(p->init, NULL, seed, 0, false);   /* keeps all that it computes */
        diag_defer(s->diag, (void (*)(void *))eval_free, ev);
        Tensor t = eval_edge(ev, r->e, r->space);
        if (t.count != e->count)
            diag_bug(s->diag, "the initial value of %s has %lld elements, not %lld", r->name,
                     (long long)t.count, (long long)e->count);
        convert(base + e->offset, e->dt, &t);
        diag_undefer(s->diag);
        eval_free(ev);
    }
}

void store_begin(Store *s)
{
    s->micro_steps = 0;
    for (int i = 0; i < s->nparam; i++) s->param[i].reached = false;
    for (int i = 0; i < s->nstate; i++) s->state[i].reached = false, s->state[i].proposals = 0;
}

static size_t element_bytes(DType dt) { return dt == DT_BOOL ? 1 : 4; }

void store_commit(Store *s)
{
    for (int k = 0; k < s->nstate; k++) {
        StoreEntry *e = &s->state[k];
        float *v = s->state_value + e->offset, *next = s->state_next + e->offset;
        if (!e->reached) continue;
        if (e->dt == DT_FLOAT)
            for (int64_t i = 0; i < e->count; i++) v[i] = next[i] / (float)e->proposals;
        else
            memcpy(v, next, (size_t)e->count * element_bytes(e->dt));
        e->fresh = false;
    }
}

void store_add_grad(Store *s, const char *name, const float *g, int64_t n, bool reached)
{
    StoreEntry *e = store_param(s, name);
    if (!e || e->count != n) diag_bug(s->diag, "the gradient of %s has no place", name);
    float *to = s->grad + e->offset;
    if (!reached && s->micro_steps == 0) memset(to, 0, (size_t)n * sizeof *to);
    if (!reached) return;
    e->reached = true;
    if (to == g) return;
    if (s->micro_steps == 0)
        memcpy(to, g, (size_t)n * sizeof *to);
    else
        for (int64_t i = 0; i < n; i++) to[i] += g[i];
}

bool store_is_fresh(Store *s, const char *name, const RunOptions *o)
{
    const StoreEntry *e = s ? store_state(s, name) : NULL;
    return e && e->fresh && o->fresh;
}

void store_add_update(Store *s, const char *name, const void *v, bool reached)
{
    StoreEntry *e = store_state(s, name);
    if (!e) diag_bug(s->diag, "the update of %s has no place", name);
    if (!reached || (e->fresh && e->proposals)) return;
    float *to = s->state_next + e->offset;
    const float *from = v;
    if (e->dt != DT_FLOAT || !e->reached)
        memcpy(to, v, (size_t)e->count * element_bytes(e->dt));
    else
        for (int64_t i = 0; i < e->count; i++) to[i] += from[i];
    e->reached = true, e->proposals++;
}
