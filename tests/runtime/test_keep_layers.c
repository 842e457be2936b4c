/* Layers chosen at inference: a checkpoint of all layers runs with some of them, and is then the
 * model that has no others. */
#include "lab.h"

#define LM                                                                                         \
    {"num_tokens", "20"}, {"dim", "12"}, {"heads", "2"}, {"dim_head", "6"}, {"max_seq_len", "16"}, \
        {"window_size", "4"},                                                                      \
    {                                                                                              \
        "causal", "true"                                                                           \
    }

static Session *session(Lab *l, const Override *set, int nset)
{
    return session_open(l->d, &(SessionOptions){.file = RTC_SOURCE_DIR "/models/routing_lm.rt",
                                                .library = RTC_SOURCE_DIR "/models",
                                                .set = set,
                                                .nset = nset,
                                                .seed = 4,
                                                .compile = {.device = "eval"}});
}

static const float *logits(Session *s, int64_t *n)
{
    int32_t x[2 * 8];
    for (int i = 0; i < 16; i++) x[i] = (7 * i + i / 3) % 20;
    Executable *e = session_compile_logits(s, 8);
    Instance *in = session_instance(s, e, 2, 8, false);
    exec_input(in, "x", DT_INT, 2, (int64_t[]){2, 8}, x);
    exec_run(in, &(RunOptions){0});
    Value v;
    assert_true(exec_output(in, "logits", &v));
    *n = v.count;
    return v.data;
}

/* The values of `from` under the names that layers have in `to`: its i-th is number kept[i]. */
static void take(Lab *l, const Store *from, StoreEntry *to, int n, float *flat, const float *values,
                 const int *kept)
{
    static const char layers[] = "net.layers.";
    for (int i = 0; i < n; i++) {
        const char *name = to[i].name;
        if (!strncmp(name, layers, strlen(layers))) {
            const char *rest = name + strlen(layers);
            name = arena_printf(l->a, "%s%d%s", layers, kept[*rest - '0'], rest + 1);
        }
        StoreEntry *e = values == from->value ? store_param((Store *)from, name)
                                              : store_state((Store *)from, name);
        if (!e) fail_msg("no `%s`", name);
        memcpy(flat + to[i].offset, values + e->offset, (size_t)e->count * sizeof *flat);
    }
}

static const char *whole(Lab *l, Session **s)
{
    static const Override set[] = {LM, {"depth", "4"}}; /* the session keeps them */
    const char *path = lab_path(l, "whole.safetensors");
    *s = session(l, set, COUNT(set));
    for (int64_t i = 0; i < (*s)->store->param_total; i++)
        (*s)->store->value[i] += 0.2f * sinf((float)i); /* norms and biases count as well */
    checkpoint_save(l->d, path, *s, &(TrainState){0}, NULL);
    return path;
}

static void some_layers_of_a_checkpoint(void **state)
{
    Lab *l = *state;
    Session *all;
    const char *path = whole(l, &all);
    const Override some[] = {LM, {"depth", "4"}, {"keep_layers", "[1,3]"}},
                   two[] = {LM, {"depth", "2"}};
    Session *kept = session(l, some, COUNT(some)), *small = session(l, two, COUNT(two));
    checkpoint_load(l->d, path, kept, NULL);
    lab_says(diag_warnings(l->d), "tensors of");
    lab_says(diag_warnings(l->d), "are of parts of routing_lm that don't run here");
    diag_clear_warnings(l->d);
    const int number[] = {0, 2};
    const Store *from = all->store;
    Store *to = small->store;
    take(l, from, to->param, to->nparam, to->value, from->value, number);
    take(l, from, to->state, to->nstate, to->state_value, from->state_value, number);
    assert_int_equal(kept->store->nparam, to->nparam);
    int64_t n, m, whole_n, differ = 0;
    const float *x = logits(kept, &n), *y = logits(small, &m), *z = logits(all, &whole_n);
    assert_int_equal(n, 2 * 8 * 20);
    assert_int_equal(m, n);
    for (int64_t i = 0; i < n; i++) {
        assert_float_equal(x[i], y[i], 1e-6);
        differ += fabsf(x[i] - z[i]) > 1e-3f;
    }
    assert_true(differ > n / 2);
    session_close(all), session_close(kept), session_close(small);
}

typedef struct {
    Session *s;
    OptimizerState *moments;
    const char *path;
} Loading;

static void load(Lab *l, void *ctx)
{
    Loading *k = ctx;
    checkpoint_load(l->d, k->path, k->s, k->moments);
}

/* Training goes on with all of it, and nothing that the model doesn't declare is let through. */
static void what_does_not_belong_is_refused(void **state)
{
    Lab *l = *state;
    Session *all;
    const char *path = whole(l, &all);
    const Override some[] = {LM, {"depth", "4"}, {"keep_layers", "[2]"}},
                   three[] = {LM, {"depth", "3"}};
    Session *kept = session(l, some, COUNT(some)), *smaller = session(l, three, COUNT(three));
    OptimizerState none = {0};
    lab_says(lab_error(l, load, &(Loading){kept, &none, path}), "net.layers.0.attn_in.norm.weight");
    lab_says(lab_error(l, load, &(Loading){smaller, NULL, path}),
             "net.layers.3.attn_in.norm.weight");
    assert_null(lab_error(l, load, &(Loading){kept, NULL, path}));
    session_close(all), session_close(kept), session_close(smaller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(some_layers_of_a_checkpoint, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(what_does_not_belong_is_refused, lab_open, lab_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
