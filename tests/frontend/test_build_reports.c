/* `report`: names and values, what is missing, and that nothing else is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/frontend/run.h"

static Run with_reports(const char *text, const Override *set, bool training, const char *absent)
{
    Run r = {.d = diag_new()};
    LoadOptions o = {.training = training, .reports = true, .absent = &absent};
    o.nabsent = absent != NULL;
    r.p = run_load(r.d, text, set, o);
    return r;
}

static const ReportInfo *report(const Run *r, const char *name)
{
    for (int i = 0; i < r->p->reports.n; i++)
        if (!strcmp(r->p->reports.v[i].name, name)) return &r->p->reports.v[i];
    return NULL;
}

static const double *shown(Run *r, const char *name, int64_t count)
{
    const ReportInfo *is = report(r, name);
    int64_t n;
    if (!is) fail_msg("no report `%s`", name);
    assert_int_equal(is->count, count);
    const double *v = run_output(r, is->output, &n);
    assert_int_equal(n, count);
    return v;
}

#define GATE                                                                                       \
    "module gate(width: int = 3) {\n"                                                              \
    "  fn (x[b,t], extra[b] = none) {\n"                                                           \
    "    report total = sum[b,t] x[b,t]\n"                                                         \
    "    report each[i: width] = i * sum[b,t] x[b,t]\n"                                            \
    "    report extras = sum[b] extra[b]\n"                                                        \
    "    report wide = width > 2, \"is wide\"\n"                                                   \
    "    report short = len(t) < 4, \"is short\"\n"                                                \
    "    report low = any[b,t] (x[b,t] < 0), \"is low\"\n"                                         \
    "    let y[b,t] = x[b,t] + 1\n    return y\n  }\n}\n"

static void names_and_values(void **state)
{
    (void)state;
    const char *text = GATE "model m(width: int = 3) {\n  use up.gates[1] = gate(width)\n"
                            "  fn (x[b: 1,t], extra[b] = none) {\n"
                            "    return up.gates[1](up.gates[1](x, extra))\n  }\n}\n";
    Run r = with_reports(text, NULL, false, "extra");
    run_size(&r, "t", 2);
    run_begin(&r, 1, false);
    run_set(&r, "x", (double[]){-3, 2.5});
    same(shown(&r, "up.gates.1.total", 1), (double[]){-0.5}, 1, "total");
    same(shown(&r, "up.gates.1.total#2", 1), (double[]){1.5}, 1, "total#2");
    same(shown(&r, "up.gates.1.each", 3), (double[]){0, -0.5, -1}, 3, "each");
    same(shown(&r, "up.gates.1.each#2", 3), (double[]){0, 1.5, 3}, 3, "each#2");
    assert_null(report(&r, "up.gates.1.extras"));
    assert_string_equal(report(&r, "up.gates.1.wide")->text, "is wide");
    same(shown(&r, "up.gates.1.wide", 1), (double[]){1}, 1, "wide");
    same(shown(&r, "up.gates.1.short#2", 1), (double[]){1}, 1, "short");
    same(shown(&r, "up.gates.1.low", 1), (double[]){1}, 1, "low");
    same(shown(&r, "up.gates.1.low#2", 1), (double[]){1}, 1, "low#2");
    run_size(&r, "t", 4);
    run_begin(&r, 1, false);
    run_set(&r, "x", (double[]){0, 1, 2, 3});
    same(shown(&r, "up.gates.1.short", 1), (double[]){0}, 1, "short");
    same(shown(&r, "up.gates.1.low", 1), (double[]){0}, 1, "low");
    run_free(&r);
    r = with_reports(text, (Override[]){{"width", "2"}, {NULL, NULL}}, false, NULL);
    assert_null(report(&r, "up.gates.1.wide"));
    assert_non_null(report(&r, "up.gates.1.extras"));
    assert_null(report(&r, "up.gates.1.extras")->text);
    run_free(&r);
}

static void what_the_host_leaves_out_is_missing(void **state)
{
    (void)state;
    const char *text = GATE "model m() {\n  use g = gate()\n  fn (x[b: 1,t: 2]) {\n"
                            "    let skip[l: 1] = bernoulli(0.5)\n    let y = x\n"
                            "    if not skip[0] { y = g(x) }\n"
                            "    let k[l] = where(skip[l], 1, 0)\n    return y, k\n  }\n}\n";
    Run r = with_reports(text, NULL, true, NULL);
    int skipped = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        run_begin(&r, seed, false);
        run_set(&r, "x", (double[]){-1, 0.5});
        double skip = run_output(&r, "k", NULL)[0], lost = LOWEST;
        skipped += (int)skip;
        same(shown(&r, "g.total", 1), skip ? &lost : (double[]){-0.5}, 1, "total");
        same(shown(&r, "g.low", 1), (double[]){skip ? 0 : 1}, 1, "low");
    }
    assert_in_range(skipped, 1, 19);
    run_free(&r);
}

/* A model that draws, with cuts and recomputation; %s: a report in each function. */
#define DRAWS                                                                                      \
    "import \"nn.rt\"\nmodel m(depth: int = 2) {\n"                                                \
    "  for i in 0..depth { use f[i] = feed_forward(4, drop = 0.5) }\n"                             \
    "  param w[2, 3] ~ normal(0, 1)\n"                                                             \
    "  fn half(x[b,t,e]) {\n    %s\n    return dropout(x, 0.5)\n  }\n"                             \
    "  fn (x[b: 1,t: 4,e: 4]) {\n    let a = x\n    let c = x\n"                                   \
    "    @reversible for i in 0..depth { a = a + f[i](c)   c = c + half(a) }\n"                    \
    "    @chunk(t, 2) { %s let z = half(a) }\n"                                                    \
    "    %s\n    let y[b,t,e] = z[b,t,e] + c[b,t,e] + uniform(0, 1) + w[0,0]\n"                    \
    "    let loss = sum[b,t,e] y[b,t,e]^2\n    return y, loss\n  }\n}\n"

static const char *drawing(Arena *a, bool reporting)
{
    if (!reporting) return arena_printf(a, DRAWS, "", "", "");
    return arena_printf(a, DRAWS, "report mid = mean[b,t,e] dropout(x[b,t,e], 0.25)",
                        "report noise = sum[t] dropout(half(a), 0.5)[0,t,0]",
                        "report both[i: 2] = uniform(0, 1) + sum[b,t,e] half(a)[b,t,e]");
}

static void nothing_else_changes(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    double x[16], w[6], first[17];
    fill(x, 16, 3), fill(w, 6, 5);
    for (int how = 0; how < 3; how++) { /* without the statements, with them, and asked for */
        const char *text = drawing(arena, how > 0);
        Run r = how == 2 ? with_reports(text, NULL, true, NULL) : run_new(text, NULL, true);
        assert_int_equal(r.p->reports.n, how == 2 ? 5 : 0);
        run_begin(&r, 9, false);
        run_set(&r, "x", x), run_set(&r, "w", w);
        for (int i = 0; i < r.p->graph->params.n; i++) {
            double v[64];
            fill(v, 64, (unsigned)i);
            if (strcmp(r.p->graph->params.v[i].name, "w") != 0)
                run_set(&r, r.p->graph->params.v[i].name, v);
        }
        double *y = run_output(&r, "y", NULL), loss = run_output(&r, "loss", NULL)[0];
        if (how) same(y, first, 16, "y"), same(&loss, first + 16, 1, "loss");
        memcpy(first, y, sizeof *y * 16), first[16] = loss;
        run_free(&r);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values),
        cmocka_unit_test(what_the_host_leaves_out_is_missing),
        cmocka_unit_test(nothing_else_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
