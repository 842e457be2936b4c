/* The shipped models through the whole pipeline, at sizes where nothing is cut into pieces: groups
 * are legal, and not more of them than when this was written. Numbers may only go down. */
#include "pass_test.h"
#include "frontend/frontend.h"

typedef struct {
    const char *file, *set; /* one option, NAME=VALUE, or NULL */
    bool training, grad;
    int products, loops; /* at most; conditional ones not counted */
} Case;

static int unconditional_loops(const Grouping *gs)
{
    int n = 0;
    for (int i = 0; i < gs->groups.n; i++)
        n += gs->groups.v[i].kind == GROUP_LOOPS && !gs->groups.v[i].when.n;
    return n;
}

static void check_case(const Case *c)
{
    Diag *d = diag_new();
    Arena *arena = arena_new();
    char path[512], name[64] = "";
    snprintf(path, sizeof path, "%s/models/%s", RTC_SOURCE_DIR, c->file);
    Override set = {name, ""};
    if (c->set) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(c->set, "="), c->set);
        set.value = strchr(c->set, '=') + 1;
    }
    DIAG_TRY(d)
    {
        LoadOptions o = {.path = path,
                         .library = RTC_SOURCE_DIR "/models",
                         .set = &set,
                         .nset = c->set ? 1 : 0,
                         .training = c->training};
        Program *p = program_load(d, &o);
        Unit u = {.diag = d, .arena = arena, .graph = p->graph, .want_grad = c->grad};
        const int64_t hint[MAX_AXES] = {16}; /* rows; with more, logits would be cut into pieces */
        u.hint = hint, u.hint_default = 1024;
        u.verify_each = true;
        pipeline_run(&u, pipeline_default);
        int np = products(u.groups), nl = unconditional_loops(u.groups);
        if (getenv("RTC_SHOW")) fprintf(stderr, "%s: %d products, %d loops\n", c->file, np, nl);
        assert_true(np <= c->products);
        assert_true(nl <= c->loops);
        program_free(p);
    }
    DIAG_CATCH(d) { fail_msg("%s: %s", c->file, diag_text(d)); }
    DIAG_END(d)
    arena_free(arena);
    diag_free(d);
}

static void models(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"routing_lm.rt", "depth=2", false, false, 15, 22},
        {"routing_lm.rt", "depth=2", false, true, 41, 48},
        {"routing_lm.rt", "depth=2", true, true, 61, 54},
        {"routing_lm.rt", "reversible=true", true, true, 211, 175},
        {"routing_transformer.rt", "depth=2", true, true, 58, 45},
        {"routing_encdec.rt", NULL, true, true, 507, 409},
    };
    for (int i = 0; i < COUNT(cases); i++) check_case(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
