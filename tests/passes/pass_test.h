/* pass_test.h: small graphs with axes named by letters, for the tests of passes/.
 *
 *     Test t = graph_test();  axis(&t, 'i', 64);  axis(&t, 'j', 64);
 *     Edge x = input(&t, "x", "ij");
 *     Edge m = reduce(&t, OP_rmax, "i", "j", x, "ij");        over [i] of x[i,j]
 *     Edge y = pw(&t, OP_sub, "ij", x, "ij", m, "i");
 */
#ifndef RTC_TESTS_PASS_TEST_H
#define RTC_TESTS_PASS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "passes/passes.h"

typedef struct {
    Diag *d;
    Graph *g;
    Unit u;
    const Ix *ext[128];
} Test;

static inline Test graph_test(void)
{
    Test t = {.d = diag_new()};
    t.g = graph_new(t.d);
    t.u = (Unit){.diag = t.d, .arena = arena_new(), .graph = t.g, .hint_default = 512};
    return t;
}

static inline void test_done(Test *t)
{
    graph_free(t->g);
    arena_free(t->u.arena);
    diag_free(t->d);
}

static inline void axis(Test *t, char name, int64_t extent)
{
    t->ext[(int)name] = ix_const(t->g, extent);
}

/* A free dimension. */
static inline void free_axis(Test *t, char name)
{
    t->ext[(int)name] = ix_sym(t->g, (char[]){name, 0}, NO_LOC);
}

static inline const Space *space(Test *t, const char *axes)
{
    const Ix *ext[MAX_AXES];
    int n = (int)strlen(axes);
    for (int i = 0; i < n; i++) ext[i] = t->ext[(int)axes[i]];
    return space_make(t->g, n, ext);
}

/* e, whose axes are called `own`, read over a space whose axes are called `over`. */
static inline Edge at(Test *t, Edge e, const char *own, const char *over)
{
    const Ix *ix[MAX_AXES];
    int n = (int)strlen(own);
    for (int i = 0; i < n; i++) {
        const char *p = strchr(over, own[i]);
        assert_non_null(p);
        ix[i] = ix_axis(t->g, (int)(p - over));
    }
    return edge_comp(t->g, e, map_make(t->g, n, ix), space(t, over));
}

static inline Edge leaf(Test *t, Op op, const char *name, const char *axes)
{
    return graph_leaf(t->g, op, name, DT_FLOAT, space(t, axes));
}
static inline Edge input(Test *t, const char *name, const char *axes)
{
    return leaf(t, OP_input, name, axes);
}
static inline Edge param(Test *t, const char *name, const char *axes)
{
    return leaf(t, OP_param, name, axes);
}

static inline Edge pw1(Test *t, Op op, const char *over, Edge a, const char *own)
{
    return graph_pw1(t->g, op, space(t, over), at(t, a, own, over));
}

static inline Edge pw(Test *t, Op op, const char *over, Edge a, const char *own_a, Edge b,
                      const char *own_b)
{
    return graph_pw2(t->g, op, space(t, over), at(t, a, own_a, over), at(t, b, own_b, over));
}

static inline Edge reduce(Test *t, Op op, const char *out, const char *red, Edge e, const char *own)
{
    char over[MAX_AXES * 2];
    snprintf(over, sizeof over, "%s%s", out, red);
    return graph_reduce(t->g, op, space(t, over), (int)strlen(out), at(t, e, own, over));
}

/* sum over k of a * b */
static inline Edge product(Test *t, const char *out, const char *red, Edge a, const char *own_a,
                           Edge b, const char *own_b)
{
    char over[MAX_AXES * 2];
    snprintf(over, sizeof over, "%s%s", out, red);
    return reduce(t, OP_sum, out, red, pw(t, OP_mul, over, a, own_a, b, own_b), over);
}

static inline void root(Test *t, RootKind kind, const char *name, Edge e, const char *axes)
{
    graph_root(t->g, kind, name, e, space(t, axes), NO_LOC);
}

/* Without the gradient: prepares products, groups, verifies. */
static inline Grouping *group(Test *t)
{
    DIAG_TRY(t->d)
    {
        pass_contract(&t->u);
        graph_verify(t->g, "contract");
        pass_group(&t->u);
        grouping_verify(&t->u);
    }
    DIAG_CATCH(t->d) { fail_msg("%s", diag_text(t->d)); }
    DIAG_END(t->d)
    return t->u.groups;
}

/* The whole pipeline, with the gradient of the output `loss`. */
static inline Grouping *differentiated(Test *t)
{
    t->u.want_grad = t->u.verify_each = true;
    DIAG_TRY(t->d) { pipeline_run(&t->u, pipeline_default); }
    DIAG_CATCH(t->d) { fail_msg("%s", diag_text(t->d)); }
    DIAG_END(t->d)
    return t->u.groups;
}

static inline int loops(const Grouping *gs)
{
    int n = 0;
    for (int i = 0; i < gs->groups.n; i++) n += gs->groups.v[i].kind == GROUP_LOOPS;
    return n;
}

static inline int products(const Grouping *gs) { return gs->groups.n - loops(gs); }

/* All that grouping decided. */
static inline void groups_print(const Unit *u, Str *out)
{
    const Grouping *gs = u->groups;
    for (int i = 0; i < gs->groups.n; i++) {
        const Group *gr = &gs->groups.v[i];
        str_printf(out, "group %d %s phase %d loop %d block [", i,
                   gr->kind == GROUP_PRODUCT ? "product" : "loops", gr->phase, gr->loop);
        for (int b = 0; b < gr->block->n; b++)
            str_printf(out, "%s%s", b ? "," : "", ix_text(u->graph, gr->block->ext[b]));
        str_add(out, "]");
        for (int m = 0; m < gr->members.n; m++)
            str_printf(out, " %%%d%s", gr->members.v[m].node->id,
                       gr->members.v[m].stored ? "*" : "");
        for (int k = 0; k < gr->when.n; k++)
            str_printf(out, " if %s%%%d", gr->when.v[k].value ? "" : "not ",
                       gr->when.v[k].cond.node->id);
        str_add(out, "\n");
    }
    for (int i = 0; i < gs->buffers.n; i++) {
        const Buffer *b = &gs->buffers.v[i];
        str_printf(out, "buffer %%%d groups %d to %d rows %d of %s order", b->node->id, b->first,
                   b->last, b->row, ix_text(u->graph, b->count));
        for (int k = 0; k < b->node->rank; k++) str_printf(out, " %d", b->order[k]);
        str_add(out, "\n");
    }
    for (int i = 0; i < gs->napart; i++)
        str_printf(out, "%%%d -> %%%d apart: %s\n", gs->apart[i].from, gs->apart[i].to,
                   gs->apart[i].reason);
}

/* For a look at them: RTC_SHOW=1. */
static inline void show(Test *t)
{
    if (!getenv("RTC_SHOW")) return;
    Str s = {.arena = t->u.arena};
    graph_print(t->g, &s);
    groups_print(&t->u, &s);
    fputs(s.s, stderr);
}

#endif
