/* A program written as text after any pass of the usual pipeline goes on from there to the same
 * program and the same groups. */
#include "frontend/frontend.h"
#include "pass_test.h"

typedef struct {
    const char *file;
    Override set[4];
    int nset;
} Case;

/* From u's graph on; all that the pipeline left, or only the graph. */
static char *run(Unit *u, const char *pipeline)
{
    Str s = {.arena = u->arena};
    pipeline_run(u, pipeline);
    graph_print(u->graph, &s);
    if (u->groups) groups_print(u, &s);
    return s.s;
}

static Unit unit(Diag *d, Arena *a, Graph *g)
{
    return (Unit){.diag = d, .arena = a, .graph = g, .want_grad = true, .hint_default = 64};
}

/* The model after the pipeline. */
static char *from_model(Diag *d, Arena *a, const Case *c, const char *pipeline)
{
    LoadOptions o = {.path = arena_printf(a, "%s/%s", RTC_SOURCE_DIR, c->file),
                     .library = RTC_SOURCE_DIR "/models",
                     .set = c->set,
                     .nset = c->nset,
                     .training = true};
    Program *p = program_load(d, &o);
    Unit u = unit(d, a, p->graph);
    char *text = run(&u, pipeline);
    program_free(p);
    return text;
}

static char *from_text(Diag *d, Arena *a, const char *text, const char *pipeline)
{
    Graph *g = graph_parse(d, diag_source(d, "stage.ir", text, strlen(text)));
    Unit u = unit(d, a, g);
    char *end = run(&u, pipeline);
    graph_free(g);
    return end;
}

static void check_case(const Case *c)
{
    Diag *d = diag_new();
    Arena *a = arena_new();
    DIAG_TRY(d)
    {
        char *whole = from_model(d, a, c, pipeline_default);
        for (const char *rest = pipeline_default; (rest = strchr(rest, ','));) {
            char *begun = arena_strndup(a, pipeline_default, (size_t)(rest++ - pipeline_default));
            char *text = from_model(d, a, c, begun);
            if (strcmp(from_text(d, a, text, rest), whole) != 0)
                fail_msg("%s: %s, written and read, then %s gives something else", c->file, begun,
                         rest);
        }
    }
    DIAG_CATCH(d) { fail_msg("%s: %s", c->file, diag_text(d)); }
    DIAG_END(d)
    arena_free(a);
    diag_free(d);
}

static void every_stage(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"models/mlp.rt", {{0}}, 0},
        {"tests/runtime/tiny.rt", {{0}}, 0},
        {"models/routing_lm.rt", {{"depth", "2"}, {"causal", "true"}}, 2},
        {"models/routing_lm.rt", {{"depth", "2"}, {"reversible", "true"}}, 2},
        {"models/routing_transformer.rt", {{"depth", "1"}}, 1},
    };
    for (int i = 0; i < COUNT(cases); i++) check_case(&cases[i]);
}

/* What can't run on contractions can't after they were read either. */
static void contractions_are_remembered(void **state)
{
    (void)state;
    static const Case mlp = {"models/mlp.rt", {{0}}, 0};
    Diag *d = diag_new();
    Arena *a = arena_new();
    volatile bool refused = false;
    DIAG_TRY(d) { from_text(d, a, from_model(d, a, &mlp, "simplify,contract"), "simplify"); }
    DIAG_CATCH(d) { refused = strstr(diag_text(d), "a graph that has contractions"); }
    DIAG_END(d)
    assert_true(refused);
    arena_free(a);
    diag_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_stage),
                                       cmocka_unit_test(contractions_are_remembered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
