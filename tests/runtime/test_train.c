/* Training: exact resumption, accumulation, steps that can't be applied, parameters that aren't
 * reached. */
#include "lab.h"

/* ---- whole runs ---- */

typedef struct {
    const char *dir, *text;
    int64_t steps, stop_at, accumulate, batch;
    bool resume;
    StopFlag stop;
} Run;

static void after_step(void *ctx, const TrainStep *s)
{
    Run *r = ctx;
    (void)s;
    if (--r->stop_at == 0) r->stop = 1;
}

static void run(Lab *l, Run *r)
{
    const Override set[] = {{"drop", "0.2"}};
    Session *s = lab_session(l, LAB_TINY, set, 1);
    int64_t batch = r->batch ? r->batch : 2;
    Data *data = data_open(l->d, l->a, &(DataOptions){.paths = &r->text, .npaths = 1,
                                                      .valid_share = 0.1, .num_tokens = 256});
    TrainSettings settings = train_settings(l->d, s->program);
    session_compile_tokens(s, true, batch, 16);
    session_compile_tokens(s, false, batch, 16);
    Trainer *t = trainer_new(s, &settings, 7, r->steps, r->accumulate ? r->accumulate : 1);
    file_make_directory(l->d, r->dir);
    if (r->resume)
        t->state = checkpoint_load(l->d, rundir_path(l->a, r->dir, RUN_CHECKPOINT), s, &t->moments);
    r->stop = 0;
    train(t, &(TrainOptions){.dir = r->dir, .data = data, .sizes = {.batch = batch, .time = 16},
                             .save_every = 7, .eval_every = 5, .log_every = 1, .resume = r->resume,
                             .stop = &r->stop, .after_step = after_step, .ctx = r});
    data_close(data);
    session_close(s);
}

static void assert_same_file(Lab *l, const char *a, const char *b, const char *name)
{
    size_t na, nb;
    const char *pa = lab_read(l, rundir_path(l->a, a, name), &na);
    const char *pb = lab_read(l, rundir_path(l->a, b, name), &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(pa, pb, na);
}

static void a_resumed_run_has_the_same_bytes(void **state)
{
    Lab *l = *state;
    const char *text = lab_text(l, 100), *a = lab_path(l, "a"), *b = lab_path(l, "b");
    run(l, &(Run){.dir = a, .text = text, .steps = 20});
    run(l, &(Run){.dir = b, .text = text, .steps = 20, .stop_at = 10});
    run(l, &(Run){.dir = b, .text = text, .steps = 20, .stop_at = 3, .resume = true});
    run(l, &(Run){.dir = b, .text = text, .steps = 20, .resume = true});
    assert_same_file(l, a, b, RUN_CHECKPOINT);
    assert_same_file(l, a, b, RUN_BEST);
    assert_true(rundir_has(l->a, a, RUN_PLOT));
}

static void another_seed_or_data_position_is_another_run(void **state)
{
    Lab *l = *state;
    const char *text = lab_text(l, 100), *a = lab_path(l, "a"), *b = lab_path(l, "b");
    run(l, &(Run){.dir = a, .text = text, .steps = 4, .batch = 2});
    run(l, &(Run){.dir = b, .text = text, .steps = 4, .batch = 1, .accumulate = 2});
    size_t na, nb;
    const char *pa = lab_read(l, rundir_path(l->a, a, RUN_CHECKPOINT), &na);
    const char *pb = lab_read(l, rundir_path(l->a, b, RUN_CHECKPOINT), &nb);
    assert_int_equal(na, nb);
    assert_memory_not_equal(pa, pb, na);         /* other dropout: the comparison above can fail */
}

/* ---- single steps ---- */

typedef struct {
    Session *session;
    Trainer *trainer;
    Instance *in;
    int32_t x[4 * 16], targets[4 * 16];
} Bench;

static Bench *bench(Lab *l, int64_t batch, int64_t accumulate, const Override *set, int nset)
{
    Bench *b = NEW(l->a, Bench);
    b->session = lab_session(l, LAB_TINY, set, nset);
    TrainSettings settings = train_settings(l->d, b->session->program);
    session_compile_tokens(b->session, true, batch, 16);
    b->trainer = trainer_new(b->session, &settings, 7, 100, accumulate);
    b->in = session_instance(b->session, b->session->train, batch, 16, true);
    for (int i = 0; i < 4 * 16; i++) {
        b->x[i] = (i * 37 + i / 5) % 256;
        b->targets[i] = (i * 91 + i / 3) % 256;
    }
    return b;
}

static void feed(Bench *b, int64_t from, int64_t batch)
{
    int64_t shape[] = {batch, 16};
    exec_input(b->in, "x", DT_INT, 2, shape, b->x + from * 16);
    exec_input(b->in, "targets", DT_INT, 2, shape, b->targets + from * 16);
    trainer_run(b->trainer, b->in);
}

static TrainStep whole_step(Bench *b)
{
    trainer_begin(b->trainer);
    feed(b, 0, 4);
    return trainer_end(b->trainer);
}

static void accumulated_parts_are_the_mean(void **state)
{
    Lab *l = *state;
    /* Adam makes much of rounding near 0 */
    const Override set[] = {{"optimizer", "sgd(lr = 0.1)"}};
    Bench *whole = bench(l, 4, 1, set, 1), *parts = bench(l, 2, 2, set, 1);
    TrainStep a = {0}, b = {0};
    store_state(whole->session->store, "centre")->fresh = false;     /* an `init` has no mean */
    store_state(parts->session->store, "centre")->fresh = false;
    for (int step = 0; step < 3; step++) {
        a = whole_step(whole);
        trainer_begin(parts->trainer);
        feed(parts, 0, 2);
        feed(parts, 2, 2);
        b = trainer_end(parts->trainer);
    }
    assert_float_equal(a.loss, b.loss, 1e-4);
    assert_float_equal(a.norm, b.norm, 1e-4 * a.norm);
    Store *p = whole->session->store, *q = parts->session->store;
    for (int64_t i = 0; i < p->param_total; i++) assert_float_equal(p->value[i], q->value[i], 1e-5);
    for (int64_t i = 0; i < p->state_total; i++)
        assert_float_equal(p->state_value[i], q->state_value[i], 1e-4);
    session_close(whole->session);
    session_close(parts->session);
}

static void states_take_their_init_in_the_first_step_only(void **state)
{
    Lab *l = *state;
    Bench *b = bench(l, 4, 1, NULL, 0);
    Store *s = b->session->store;
    StoreEntry *token = store_param(s, "token"), *centre = store_state(s, "centre");
    double mean = 0;                             /* of feature 0 over the batch, before the step */
    for (int i = 0; i < 4 * 16; i++) mean += s->value[token->offset + b->x[i] * 16] / (4 * 16);
    assert_true(centre->init && centre->fresh);
    whole_step(b);
    assert_false(centre->fresh);
    float first = s->state_value[centre->offset];
    assert_float_equal(first, mean, 1e-6);       /* init, and 0.9 + 0.1 of the same */
    whole_step(b);
    assert_float_equal(s->state_value[centre->offset], first, 0.1 * fabs(first) + 0.01);
    session_close(b->session);
}

static void *copy(Lab *l, const float *p, int64_t n)
{
    return arena_copy(l->a, p, (size_t)n * sizeof *p);
}

static void a_step_that_is_not_finite_changes_nothing(void **state)
{
    Lab *l = *state;
    Bench *b = bench(l, 4, 1, NULL, 0);
    Trainer *t = b->trainer;
    Store *s = b->session->store;
    for (int i = 0; i < 5; i++) assert_false(whole_step(b).skipped);
    float *value = copy(l, s->value, s->param_total), *m = copy(l, t->moments.m, s->param_total);
    float *states = copy(l, s->state_value, s->state_total);
    trainer_begin(t);
    feed(b, 0, 4);
    s->grad[store_param(s, "back")->offset + 3] = NAN;
    TrainStep step = trainer_end(t);
    assert_true(step.skipped);
    assert_string_equal(step.cause, "the gradient of `back` isn't finite");
    assert_int_equal(t->state.step, 6);
    assert_int_equal(t->state.skipped, 1);
    assert_memory_equal(value, s->value, (size_t)s->param_total * sizeof *value);
    assert_memory_equal(m, t->moments.m, (size_t)s->param_total * sizeof *m);
    assert_memory_equal(states, s->state_value, (size_t)s->state_total * sizeof *states);
    assert_false(whole_step(b).skipped);
    assert_int_equal(t->skipped_in_row, 0);
    session_close(b->session);
}

static void steps_until_it_fails(Lab *l, void *ctx)
{
    (void)l;
    for (int i = 0; i < 20; i++) whole_step(ctx);
}

static void ten_in_a_row_are_the_end(void **state)
{
    Lab *l = *state;
    const Override set[] = {{"explode", "1"}};
    Bench *b = bench(l, 4, 1, set, 1);
    lab_says(lab_error(l, steps_until_it_fails, b), "10 steps in a row, up to step 10");
    assert_int_equal(b->trainer->state.skipped, 10);
    session_close(b->session);
}

/* ---- never a broken file ---- */

static void poison(void *ctx, const TrainStep *s)
{
    Session **session = ctx;
    (void)s;
    Store *store = (*session)->store;
    store->value[store_param(store, "bias")->offset] = INFINITY;
}

static void drop_data(void *data) { data_close(data); }

static void train_poisoned(Lab *l, void *ctx)
{
    const char *text = lab_text(l, 100), *dir = ctx;
    Session *s = lab_session(l, LAB_TINY, NULL, 0);
    diag_defer(l->d, lab_drop_session, s);
    Data *data = data_open(l->d, l->a, &(DataOptions){.paths = &text, .npaths = 1,
                                                      .num_tokens = 256});
    diag_defer(l->d, drop_data, data);
    TrainSettings settings = train_settings(l->d, s->program);
    session_compile_tokens(s, true, 2, 16);
    Trainer *t = trainer_new(s, &settings, 7, 4, 1);
    checkpoint_save(l->d, rundir_path(l->a, dir, RUN_CHECKPOINT), s, &t->state, &t->moments);
    train(t, &(TrainOptions){.dir = dir, .data = data, .sizes = {.batch = 2, .time = 16},
                             .save_every = 2,
                             .eval_every = 100, .log_every = 1, .after_step = poison, .ctx = &s});
}

static void broken_parameters_are_not_saved(void **state)
{
    Lab *l = *state;
    const char *dir = lab_path(l, "run");
    file_make_directory(l->d, dir);
    lab_says(lab_error(l, train_poisoned, (void *)dir), "`bias` isn't finite after step 2");
    Session *s = lab_session(l, LAB_TINY, NULL, 0);
    checkpoint_load(l->d, rundir_path(l->a, dir, RUN_CHECKPOINT), s, NULL);
    assert_null(checkpoint_broken(s->store));
    assert_true(store_state(s->store, "centre")->fresh);
    session_close(s);
}

/* ---- parameters that a step doesn't reach ---- */

static const char dropping[] =
    "model dropping(num_tokens: int = 256) {\n"
    "  param token[num_tokens, 8] ~ normal(0, 1)\n"
    "  param layer[2, 8] ~ normal(0, 1)\n"
    "  param late[8] ~ normal(0, 1)\n"
    "  fn (x[batch,time]: int, targets[batch,time]: int = none) {\n"
    "    let dropped[l: 1] = training and bernoulli(0.5)\n"
    "    let h[b: len(batch),t: len(time),e] = token[x[b,t],e]\n"
    "    if not dropped[0] { h[b,t,e] = h[b,t,e] * late[e] }\n"
    "    let logits[b,t,v] = sum[e] h[b,t,e] * token[v,e]\n"
    "    let loss = mean[b,t] (log(sum[v] exp(logits[b,t,v] - 20)) - logits[b,t,targets[b,t]])\n"
    "    return logits, loss\n  }\n}\n"
    "train { optimizer = adamw(lr = 0.01) }\n";

static void what_is_not_reached_is_not_touched(void **state)
{
    Lab *l = *state;
    Session *s = lab_session(l, lab_write(l, "dropping.rt", dropping), NULL, 0);
    TrainSettings settings = train_settings(l->d, s->program);
    session_compile_tokens(s, true, 4, 16);
    Trainer *t = trainer_new(s, &settings, 3, 100, 1);
    Bench b = {.session = s, .trainer = t,
               .in = session_instance(s, s->train, 4, 16, true)};
    StoreEntry *late = store_param(s->store, "late");
    int index = (int)(late - s->store->param), reached = 0;
    for (int i = 0; i < 12; i++) {
        float *before = copy(l, s->store->value + late->offset, 8);
        whole_step(&b);
        bool same = !memcmp(before, s->store->value + late->offset, 8 * sizeof *before);
        assert_int_equal(same, !late->reached);
        reached += late->reached;
        assert_int_equal(t->moments.steps[index], reached);
    }
    assert_in_range(reached, 1, 11);
    session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_resumed_run_has_the_same_bytes, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(another_seed_or_data_position_is_another_run, lab_open,
                                        lab_close),
        cmocka_unit_test_setup_teardown(accumulated_parts_are_the_mean, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(states_take_their_init_in_the_first_step_only, lab_open,
                                        lab_close),
        cmocka_unit_test_setup_teardown(a_step_that_is_not_finite_changes_nothing, lab_open,
                                        lab_close),
        cmocka_unit_test_setup_teardown(ten_in_a_row_are_the_end, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(broken_parameters_are_not_saved, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(what_is_not_reached_is_not_touched, lab_open, lab_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
