/* run.h: a program from a text, evaluated: for tests that compare its outputs with numbers computed
 * by hand. */
#ifndef RTC_TESTS_RUN_H
#define RTC_TESTS_RUN_H

#include "frontend/frontend.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    Diag *d;
    Program *p;
    Eval *ev;
    int64_t syms[8];
} Run;

/* Loads; fails the test with the message if that fails. `set` ends with a NULL name; NULL: none. */
static inline Program *run_load(Diag *d, const char *text, const Override *set, LoadOptions o)
{
    char path[] = "/tmp/rtc-run-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    Program *volatile p = NULL;
    o.path = path, o.library = RTC_SOURCE_DIR "/models", o.set = set;
    for (o.nset = 0; set && set[o.nset].name; o.nset++) {
    }
    DIAG_TRY(d)
    {
        p = program_load(d, &o);
        graph_verify(p->graph, "the front end");
        graph_verify(p->init, "the front end");
    }
    DIAG_CATCH(d) { print_error("%s", diag_text(d)); }
    DIAG_END(d)
    unlink(path);
    assert_non_null(p);
    return p;
}

/* Ready to set inputs; sizes by name: run_size. */
static inline Run run_new(const char *text, const Override *set, bool training)
{
    Run r = {.d = diag_new()};
    r.p = run_load(r.d, text, set, (LoadOptions){.training = training});
    return r;
}

static inline void run_size(Run *r, const char *name, int64_t n)
{
    for (int i = 0; i < r->p->graph->syms.n; i++)
        if (!strcmp(r->p->graph->syms.v[i].name, name)) r->syms[i] = n;
}

static inline void run_begin(Run *r, uint64_t seed, bool fresh)
{
    if (r->ev) eval_free(r->ev);
    r->ev = eval_new(r->p->graph, r->syms, seed, 0, fresh);
}

static inline const Named *run_leaf(const Run *r, const char *name)
{
    const Graph *g = r->p->graph;
    for (int i = 0; i < g->inputs.n; i++)
        if (!strcmp(g->inputs.v[i].name, name)) return &g->inputs.v[i];
    for (int i = 0; i < g->params.n; i++)
        if (!strcmp(g->params.v[i].name, name)) return &g->params.v[i];
    for (int i = 0; i < g->states.n; i++)
        if (!strcmp(g->states.v[i].name, name)) return &g->states.v[i];
    fail_msg("no leaf `%s`", name);
    return NULL;
}

/* Sets a leaf from values in row-major order; its shape follows from the sizes. */
static inline void run_set(Run *r, const char *name, const double *v)
{
    const Named *n = run_leaf(r, name);
    const Space *s = n->node->space;
    Tensor t = {.dt = DT_FLOAT, .rank = s->n, .count = 1};
    for (int i = 0; i < s->n; i++) {
        t.shape[i] = ix_eval(s->ext[i], &(IxEnv){.syms = r->syms});
        t.count *= t.shape[i];
    }
    double *copy = malloc(sizeof *v * (size_t)(t.count + 1));
    memcpy(copy, v, sizeof *v * (size_t)t.count);
    t.data = copy;
    eval_set(r->ev, n->node, &t);
    free(copy);
}

/* The value of a root as doubles, in the Diag's arena. */
static inline double *run_root(Run *r, RootKind kind, const char *name, int64_t *count)
{
    const Root *root = graph_find_root(r->p->graph, kind, name);
    if (!root) fail_msg("no root `%s`", name);
    Tensor t = {0};
    DIAG_TRY(r->d) { t = eval_edge(r->ev, root->e, root->space); }
    DIAG_CATCH(r->d) { fail_msg("%s", diag_text(r->d)); }
    DIAG_END(r->d)
    double *v = NEW_N(diag_arena(r->d), double, t.count + 1);
    for (int64_t i = 0; i < t.count; i++)
        v[i] = t.dt == DT_FLOAT ? ((double *)t.data)[i]
               : t.dt == DT_INT ? ((int32_t *)t.data)[i]
                                : ((uint8_t *)t.data)[i];
    if (count) *count = t.count;
    return v;
}

static inline double *run_output(Run *r, const char *name, int64_t *count)
{
    return run_root(r, ROOT_OUTPUT, name, count);
}

static inline void run_free(Run *r)
{
    eval_free(r->ev);
    program_free(r->p);
    diag_free(r->d);
}

static inline void same(const double *got, const double *want, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-9 * (1 + fabs(want[i]))))
            fail_msg("%s[%lld] is %.12g, expected %.12g", what, (long long)i, got[i], want[i]);
}

/* Numbers without pattern. */
static inline void fill(double *v, int64_t n, unsigned seed)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = sin(1.7 * (double)i + seed) + 0.3 * cos(0.9 * (double)(i * i));
}

#endif
