/* Attention in many forms (attention.rt): each is fused as its first line says, no scores are
 * stored, and the values and gradients are the evaluator's. The compiler knows none of these
 * programs. */
#include "exec_test.h"
#include "passes/inner.h"

#define CASES RTC_SOURCE_DIR "/tests/runtime/attention.rt"

typedef struct {
    char name[64];
    int forward, backward; /* kernels with products in them */
} Case;

static Run run_case(const Case *c, const char *device, Program **owned)
{
    Run r = {.t = {.d = diag_new()}};
    DIAG_TRY(r.t.d)
    {
        LoadOptions load = {.path = CASES, .model = c->name, .training = true};
        Program *p = *owned = program_load(r.t.d, &load);
        r.s = store_new(r.t.d, p);
        fill_store(r.s);
        CompileOptions o = {.device = device,
                            .isa = getenv("RTC_TEST_ISA"),
                            .want_grad = true,
                            .threads = 2,
                            .cache = {.dir = RTC_BINARY_DIR "/test-cache"}};
        r.e = exec_compile(r.t.d, p, r.s, &o);
        r.in = exec_instance(r.e, NULL);
        fill_inputs(r.in, 5);
        store_begin(r.s);
        exec_run(r.in, &(RunOptions){.seed = 5, .step = 3});
    }
    DIAG_CATCH(r.t.d) { fail_msg("%s: %s", c->name, diag_text(r.t.d)); }
    DIAG_END(r.t.d)
    return r;
}

static void check_groups(const Case *c, Unit *u)
{
    int count[3] = {0};
    Inner in = inner_find(u->graph, hint_syms(u));
    for (int i = 0; i < u->groups->groups.n; i++) {
        const Group *gr = &u->groups->groups.v[i];
        bool products = false;
        for (int k = 0; k < gr->members.n; k++) products |= in.inner[gr->members.v[k].node->id];
        count[gr->phase] += products;
    }
    for (int i = 0; i < u->groups->buffers.n; i++) {
        const Node *n = u->groups->buffers.v[i].node;
        if (in.score[n->id] || in.over[n->id])
            fail_msg("%s: scores are stored (%%%d)", c->name, n->id);
    }
    if (count[PHASE_FORWARD] != c->forward || count[PHASE_BACKWARD] != c->backward)
        fail_msg("%s: %d and %d kernels with products, not %d and %d", c->name,
                 count[PHASE_FORWARD], count[PHASE_BACKWARD], c->forward, c->backward);
}

static void check_case(const Case *c)
{
    How near = {.rtol = 1e-4, .atol = 1e-5};
    Program *programs[2];
    Run want = run_case(c, "eval", &programs[0]), got = run_case(c, "cpu", &programs[1]);
    check_groups(c, exec_unit(got.e));
    assert_true(compare_runs(c->name, &got, &want, &near) >= 3);
    Run *both[] = {&want, &got};
    for (int i = 0; i < 2; i++) {
        exec_free(both[i]->e);
        store_free(both[i]->s);
        program_free(programs[i]);
        diag_free(both[i]->t.d);
    }
}

static void every_form_is_fused_and_right(void **state)
{
    (void)state;
    FILE *f = fopen(CASES, "r");
    assert_non_null(f);
    char line[256];
    Case c = {.forward = 0};
    int n = 0;
    while (fgets(line, sizeof line, f)) {
        sscanf(line, "# fused: %d %d", &c.forward, &c.backward);
        if (sscanf(line, "model %63[a-z_]", c.name) != 1) continue;
        check_case(&c);
        n++;
    }
    fclose(f);
    assert_true(n >= 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_form_is_fused_and_right)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
