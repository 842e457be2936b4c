/* One compilation serves every batch and length: training goes on over 50 random sizes while no
 * compiler can be found. */
#include "lab.h"

enum { ROUNDS = 50, MOST_ROWS = 3, MOST_TIME = 64 };

static uint32_t draw(uint32_t *s) { return *s = *s * 1664525u + 1013904223u, *s >> 8; }

static double step(Trainer *t, Session *s, int64_t batch, int64_t time, int start)
{
    static const char text[] = "to be, or not to be: that is the question. ";
    int32_t x[MOST_ROWS * MOST_TIME], targets[MOST_ROWS * MOST_TIME];
    int64_t shape[] = {batch, time};
    for (int64_t i = 0; i < batch * time; i++) {
        int64_t at = start + i / time * 5 + i % time;
        x[i] = text[at % (int)(sizeof text - 1)];
        targets[i] = text[(at + 1) % (int)(sizeof text - 1)];
    }
    Instance *in = session_instance(s, s->train, batch, time, true);
    exec_input(in, "x", DT_INT, 2, shape, x);
    exec_input(in, "targets", DT_INT, 2, shape, targets);
    trainer_begin(t);
    trainer_run(t, in);
    TrainStep r = trainer_end(t);
    assert_false(r.skipped);
    return r.loss;
}

static void one_compilation_serves_all_lengths(void **state)
{
    Lab *l = *state;
    const Override set[] = {{"dim", "16"}, {"depth", "1"}, {"heads", "2"}, {"dim_head", "8"},
                            {"max_seq_len", "64"}, {"window_size", "8"}, {"causal", "true"},
                            {"n_local_attn_heads", "1"}, {"optimizer.lr", "1e-2"},
                            {"schedule", "[]"}};
    Session *s = lab_session(l, RTC_SOURCE_DIR "/models/routing_lm.rt", set, COUNT(set));
    TrainSettings settings = train_settings(l->d, s->program);
    session_compile_tokens(s, true, 2, 32);
    const char *path = arena_strdup(l->a, getenv("PATH"));
    setenv("CC", "/nonexistent/cc", 1);
    setenv("PATH", "/nonexistent", 1);
    Trainer *t = trainer_new(s, &settings, 7, ROUNDS, 1);
    double first = step(t, s, 2, 48, 0), last = 0;
    uint32_t seed = 3;
    for (int i = 0; i < ROUNDS; i++) {                 /* also shorter than a window, and one position */
        int64_t batch = 1 + draw(&seed) % MOST_ROWS, time = i ? 1 + draw(&seed) % MOST_TIME : 1;
        assert_true(isfinite(step(t, s, batch, time, (int)(draw(&seed) % 40))));
    }
    last = step(t, s, 2, 48, 0);
    assert_true(last < 0.8 * first);
    session_close(s);
    setenv("PATH", path, 1);
    unsetenv("CC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_compilation_serves_all_lengths, lab_open, lab_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
