/* Generation and evaluation: what the model sees, what it says, and how losses are counted. */
#include "lab.h"
#include "runtime/evaluate.h"
#include "runtime/generate.h"

typedef struct {
    int32_t made[256];
    int n;
    int stop_after;
    StopFlag stop;
} Listener;

static void listen(void *ctx, int32_t token)
{
    Listener *l = ctx;
    l->made[l->n++] = token;
    if (l->n == l->stop_after) l->stop = 1;
}

static Listener say(Session *s, const char *prompt, int64_t tokens, int64_t context,
                    double temperature, uint64_t seed)
{
    Listener l = {.stop_after = -1};
    int32_t text[64];
    int64_t n = (int64_t)strlen(prompt);
    for (int64_t i = 0; i < n; i++) text[i] = (unsigned char)prompt[i];
    Generated r = generate(s, &(GenerateOptions){
        .prompt = text, .nprompt = n, .tokens = tokens, .context = context, .emit = listen,
        .ctx = &l,
        .sampler = {.temperature = temperature, .top_p = 1, .seed = seed}});
    assert_int_equal(r.made, tokens);
    assert_int_equal(l.n, tokens);
    return l;
}

/* Sure of itself: the next token is the successor, then one more, ... */
static const char counting[] =
    "model counting(num_tokens: int = 256) {\n"
    "  param unused[1] = 0\n"
    "  fn (x[batch,time]: int, targets[batch,time]: int = none) {\n"
    "    let logits[b,t: len(time),v: num_tokens] =\n"
    "      where((x[b,t] + 1) % num_tokens == v, 9, 0) + unused[0]\n"
    "    let loss = mean[b,t] (log(sum[v] exp(logits[b,t,v])) - logits[b,t,targets[b,t]])\n"
    "    return logits, loss\n  }\n}\n";

static void it_follows_the_logits(void **state)
{
    Lab *l = *state;
    Session *s = lab_session(l, lab_write(l, "counting.rt", counting), NULL, 0);
    session_compile_logits(s, 8);
    Listener a = say(s, "abc", 20, 8, 0, 1);
    for (int i = 0; i < 20; i++) assert_int_equal(a.made[i], 'd' + i);
    session_close(s);
}

static void the_seed_decides(void **state)
{
    Lab *l = *state;
    Session *s = lab_session(l, LAB_TINY, NULL, 0);
    session_compile_logits(s, 16);
    Listener a = say(s, "x", 40, 16, 1, 1), b = say(s, "x", 40, 16, 1, 1);
    Listener c = say(s, "x", 40, 16, 1, 2);
    assert_memory_equal(a.made, b.made, sizeof a.made);
    assert_memory_not_equal(a.made, c.made, sizeof a.made);
    session_close(s);
}

/* A context of 2 is all that `tiny` looks at, so a longer one changes nothing; a shorter one
 * does. */
static void the_context_is_what_it_sees(void **state)
{
    Lab *l = *state;
    Session *s = lab_session(l, LAB_TINY, NULL, 0);
    Store *store = s->store;
    for (int64_t i = 0; i < store->param_total; i++) store->value[i] *= 20;
    session_compile_logits(s, 16);
    Listener a = say(s, "hello", 40, 16, 0.5, 1), b = say(s, "hello", 40, 2, 0.5, 1);
    Listener c = say(s, "hello", 40, 1, 0.5, 1);
    assert_memory_equal(a.made, b.made, sizeof a.made);
    assert_memory_not_equal(a.made, c.made, sizeof a.made);
    session_close(s);
}

static void it_stops_when_asked(void **state)
{
    Lab *l = *state;
    Session *s = lab_session(l, LAB_TINY, NULL, 0);
    session_compile_logits(s, 16);
    Listener listener = {.stop_after = 5};
    int32_t prompt = 'a';
    Generated r = generate(s, &(GenerateOptions){
        .prompt = &prompt, .nprompt = 1, .tokens = 100, .context = 16, .emit = listen,
        .ctx = &listener, .stop = &listener.stop, .sampler = {.temperature = 1, .top_p = 1}});
    assert_int_equal(r.made, 5);
    session_close(s);
}

/* ---- evaluation ---- */

static double known_loss(bool successor) { return log(exp(9) + 255) - (successor ? 9 : 0); }

static void every_target_counts_once(void **state)
{
    Lab *l = *state;
    Session *s = lab_session(l, lab_write(l, "counting.rt", counting), NULL, 0);
    session_compile_tokens(s, false, 3, 8);
    /* 1 + 8 * 7 + 5 bytes: seven whole windows and a shorter one, all but three targets as
     * expected */
    char text[62];
    for (int i = 0; i < 62; i++) text[i] = (char)(33 + i);
    text[20] = '!';
    text[61] = '!';
    const char *path = lab_path(l, "t.txt");
    file_save(l->d, path, text, sizeof text);
    Data *data = data_open_all(l->d, l->a, &path, 1, 256);
    Evaluation e = evaluate(s, &data->valid, &(EvaluateOptions){.sizes = {.batch = 3, .time = 8}});
    assert_true(e.complete);
    assert_int_equal(e.tokens, 61);
    assert_float_equal(e.loss, (58 * known_loss(true) + 3 * known_loss(false)) / 61, 1e-5);
    /* a part of the windows: evenly spread, in whole batches */
    e = evaluate(s, &data->valid, &(EvaluateOptions){.sizes = {.batch = 1, .time = 8}, .most = 4});
    assert_int_equal(e.tokens, 32);
    /* stopped after the first batch */
    StopFlag stop = 1;
    e = evaluate(s, &data->valid, &(EvaluateOptions){.sizes = {.batch = 3, .time = 8}, .stop = &stop});
    assert_false(e.complete);
    assert_int_equal(e.tokens, 24);
    data_close(data);
    session_close(s);
}

static void a_length_that_the_model_refuses_is_left_out(void **state)
{
    Lab *l = *state;
    const char *body = strstr(counting, "    let logits");
    const char *text = arena_printf(l->a, "%.*s    require len(time) %% 8 == 0, \"eights only\"\n%s",
                                    (int)(body - counting), counting, body);
    Session *s = lab_session(l, lab_write(l, "eights.rt", text), NULL, 0);
    session_compile_tokens(s, false, 3, 8);
    char bytes[62];
    for (int i = 0; i < 62; i++) bytes[i] = (char)(33 + i);
    const char *path = lab_path(l, "t.txt");
    file_save(l->d, path, bytes, sizeof bytes);
    Data *data = data_open_all(l->d, l->a, &path, 1, 256);
    Evaluation e = evaluate(s, &data->valid, &(EvaluateOptions){.sizes = {.batch = 3, .time = 8}});
    assert_int_equal(e.tokens, 56);
    assert_int_equal(e.left_out, 5);
    assert_float_equal(e.loss, known_loss(true), 1e-5);
    data_close(data);
    session_close(s);
}

static void the_auxiliary_loss_is_apart(void **state)
{
    Lab *l = *state;
    Session *s = lab_session(l, LAB_TINY, NULL, 0);
    session_compile_tokens(s, false, 2, 8);
    const char *path = lab_text(l, 3);
    Data *data = data_open_all(l->d, l->a, &path, 1, 256);
    Evaluation e = evaluate(s, &data->valid, &(EvaluateOptions){.sizes = {.batch = 2, .time = 8}});
    assert_true(e.aux_loss > 0);
    assert_float_equal(e.loss, log(256), 0.05);
    data_close(data);
    session_close(s);
}

/* ---- models that can't be fed ---- */

static void require_tokens(Lab *l, void *file)
{
    Session *s = lab_session(l, file, NULL, 0);
    diag_defer(l->d, lab_drop_session, s);
    session_require_tokens(s, true);
    fail_msg("%s can be fed", s->program->model);
}

static void other_models_are_refused(void **state)
{
    Lab *l = *state;
    char *floats = arena_strdup(l->a, lab_write(l, "f.rt", "model f() {\n  param w[2] = 0\n"
        "  fn (x[batch,i: 2]) {\n    let loss = sum[batch,i] x[batch,i] * w[i]\n"
        "    return loss\n  }\n}\n"));
    char *silent = arena_strdup(l->a, lab_write(l, "s.rt", "model s() {\n  param w[256] = 0\n"
        "  fn (x[batch,time]: int, targets[batch,time]: int) {\n"
        "    let y[b,t] = w[x[b,t]] + w[targets[b,t]]\n    return y\n  }\n}\n"));
    const char *error = lab_error(l, require_tokens, floats);
    lab_says(error, "text can't be fed to model f");
    lab_says(error, "found: x[batch, 2]: float");
    lab_says(lab_error(l, require_tokens, silent), "returns no `loss`");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_follows_the_logits),
        TEST(the_seed_decides),
        TEST(the_context_is_what_it_sees),
        TEST(it_stops_when_asked),
        TEST(every_target_counts_once),
        TEST(a_length_that_the_model_refuses_is_left_out),
        TEST(the_auxiliary_loss_is_apart),
        TEST(other_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
