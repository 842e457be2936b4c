/* Plans: equal groups share a kernel, texts tell nothing but structure, steps and roots are in
 * order. */
#include <sys/stat.h>
#include <unistd.h>
#include "tests/passes/pass_test.h"
#include "codegen/codegen.h"

/* x + up(down(x)) with weights of layer l, the shape of a feed-forward with its norm. */
static Edge layer(Test *t, Edge x, int l)
{
    char up[24], gain[24];
    snprintf(up, sizeof up, "%d.up", l), snprintf(gain, sizeof gain, "%d.gain", l);
    Edge sq = reduce(t, OP_sum, "bt", "d", pw(t, OP_mul, "btd", x, "btd", x, "btd"), "btd");
    Edge y = pw(t, OP_div, "btd", x, "btd", pw1(t, OP_sqrt, "bt", sq, "bt"), "bt");
    y = pw(t, OP_mul, "btd", y, "btd", param(t, gain, "d"), "d");
    Edge h = product(t, "bte", "d", y, "btd", param(t, up, "ed"), "ed");
    h = pw1(t, OP_tanh, "bte", h, "bte");
    return pw(t, OP_add, "btd", x, "btd",
              product(t, "btd", "e", h, "bte", param(t, up, "ed"), "ed"), "btd");
}

static Test layers(int n)
{
    Test t = graph_test();
    free_axis(&t, 'b');
    free_axis(&t, 't');
    axis(&t, 'd', 64);
    axis(&t, 'e', 128);
    Edge x = input(&t, "x", "btd");
    for (int l = 0; l < n; l++) x = layer(&t, x, l);
    root(&t, ROOT_OUTPUT, "loss", reduce(&t, OP_sum, "", "btd", x, "btd"), "");
    return t;
}

static Plan *plan_of(Test *t)
{
    Plan *volatile p = NULL;
    differentiated(t);
    DIAG_TRY(t->d) { p = plan_make(&t->u); }
    DIAG_CATCH(t->d) { fail_msg("%s", diag_text(t->d)); }
    DIAG_END(t->d)
    return p;
}

static void equal_layers_share_kernels(void **state)
{
    (void)state;
    Test few = layers(4), many = layers(12);
    Plan *p = plan_of(&few), *q = plan_of(&many);
    assert_int_equal(p->kernels.n, q->kernels.n);
    assert_true(q->steps.n > 2 * p->steps.n);
    assert_true(q->library_calls > 0);
    for (int i = 0; i < p->kernels.n; i++) /* also between programs: the cache finds them */
        assert_string_equal(p->kernels.v[i].text, q->kernels.v[i].text);
    test_done(&few);
    test_done(&many);
}

static void steps_are_in_order(void **state)
{
    (void)state;
    Test t = layers(2);
    Plan *p = plan_of(&t);
    bool *written = NEW_N(p->arena, bool, p->buffers.n);
    for (int i = 0; i < p->steps.n; i++) {
        const Step *s = &p->steps.v[i];
        for (int k = s->nwrite; k < s->nbuf; k++) {
            const PlanBuffer *b = &p->buffers.v[s->buf[k]];
            assert_true(b->cls != PB_TEMP || written[s->buf[k]]);
            assert_true(b->first <= i && i <= b->last);
        }
        for (int k = 0; k < s->nwrite; k++) written[s->buf[k]] = true;
        if (s->kind == STEP_KERNEL) {
            assert_int_equal(s->nbuf, p->kernels.v[s->kernel].nbuf);
            assert_int_equal(s->nint, p->kernels.v[s->kernel].nint);
        }
    }
    int grads = 0;
    for (int i = 0; i < p->roots.n; i++) {
        const PlanRoot *r = &p->roots.v[i];
        grads += r->kind == ROOT_GRAD;
        assert_int_equal(r->reached, -1);
        assert_true(p->buffers.v[r->buf].cls != PB_TEMP || p->buffers.v[r->buf].last == p->steps.n);
    }
    assert_int_equal(grads, 5); /* two parameters per layer, and x */
    test_done(&t);
}

/* A gradient behind a branch is reached if the branch is taken. */
static void reached_gradients(void **state)
{
    (void)state;
    Test t = graph_test();
    axis(&t, 'd', 8);
    Graph *g = t.g;
    const Space *none = space(&t, ""), *d = space(&t, "d");
    Edge coin = graph_pw2(g, OP_lt, none, graph_rand(g, 9, none), graph_float(g, 0.5));
    Edge a = param(&t, "a", "d"), b = param(&t, "b", "d");
    Edge y = graph_branch(g, d, coin, pw1(&t, OP_sin, "d", a, "d"), pw1(&t, OP_tanh, "d", b, "d"));
    root(&t, ROOT_OUTPUT, "loss", reduce(&t, OP_sum, "", "d", y, "d"), "");
    Plan *p = plan_of(&t);
    int flag[2] = {-1, -1};
    for (int i = 0; i < p->roots.n; i++)
        if (p->roots.v[i].kind == ROOT_GRAD)
            flag[*p->roots.v[i].name == 'b'] = p->roots.v[i].reached;
    assert_true(flag[0] >= 0 && flag[1] >= 0 && flag[0] != flag[1]);
    assert_true(p->host_steps >= 2);
    assert_int_equal(p->buffers.v[flag[0]].cls, PB_HOST);
    test_done(&t);
}

static void emits_readable_files(void **state)
{
    (void)state;
    Test t = layers(2);
    const char *text = "let y = x * norm(x)\nlet z = up(y)\n";
    uint32_t file = diag_source(t.d, "layer.rt", text, strlen(text));
    for (int i = 0; i < t.g->nodes.n; i++) t.g->nodes.v[i]->loc = (Loc){file, 20, 33};
    Plan *p = plan_of(&t);
    char dir[] = "/tmp/rtc-plan-XXXXXX";
    assert_non_null(mkdtemp(dir));
    plan_emit(p, dir);
    static const char *const want[][2] = {
        {"kernels.c", "// layer.rt:2: let z = up(y)"},
        {"kernels.c", "void k0(const rtc_args"},
        {"prelude.h", "rtc_exp"},
        {"plan.txt", "product [b*t, 128] over 64"},
    };
    for (int i = 0; i < COUNT(want); i++) {
        char path[64];
        static char data[1 << 20];
        snprintf(path, sizeof path, "%s/%s", dir, want[i][0]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        data[fread(data, 1, sizeof data - 1, f)] = 0;
        fclose(f);
        if (!strstr(data, want[i][1])) fail_msg("%s has no `%s`", want[i][0], want[i][1]);
    }
    static const char *const files[] = {"kernels.c", "prelude.h", "plan.txt"};
    for (int i = 0; i < COUNT(files); i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
    test_done(&t);
}

static void sources_hold_every_kernel(void **state)
{
    (void)state;
    Test t = layers(2);
    Plan *p = plan_of(&t);
    for (int units = 1; units <= 16; units++) {
        const char *text[16];
        int n = plan_sources(p, units, text), found = 0;
        assert_in_range(n, 1, units);
        for (int k = 0; k < p->kernels.n; k++) {
            char head[32];
            snprintf(head, sizeof head, "void %s(", p->kernels.v[k].name);
            for (int i = 0; i < n; i++) found += strstr(text[i], head) != NULL;
        }
        assert_int_equal(found, p->kernels.n);
    }
    test_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_layers_share_kernels), cmocka_unit_test(steps_are_in_order),
        cmocka_unit_test(reached_gradients),          cmocka_unit_test(emits_readable_files),
        cmocka_unit_test(sources_hold_every_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
