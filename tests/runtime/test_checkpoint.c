/* Checkpoints and run directories: all of it comes back, what doesn't fit is named, damage is
 * refused. */
#include "lab.h"
#include "runtime/safetensors.h"

static const char kinds[] =
    "model kinds(width: int = 3) {\n"
    "  param w[width, 2] ~ normal(0, 1)\n"
    "  state sums[width] ~ normal(0, 1)\n"
    "  state plain[2] ~ normal(0, 1)\n"
    "  fn (x[batch,i: width], targets[batch,o: 2] = none) {\n"
    "    let first[i] = mean[b: len(batch)] x[b,i]\n"
    "    init sums = first\n"
    "    update sums = sums\n"
    "    let y[b,o] = sum[i: width] (x[b,i] + sums[i]) * w[i,o] + plain[o]\n"
    "    let loss = mean[b,o] (y[b,o] - targets[b,o])^2\n"
    "    return y, loss\n  }\n}\n";

static Trainer *new_trainer(Lab *l, const Override *set, int nset)
{
    Session *s = lab_session(l, lab_write(l, "kinds.rt", kinds), set, nset);
    TrainSettings settings = train_settings(l->d, s->program);
    return trainer_new(s, &settings, 7, 100, 1);
}

static void fill(float *p, int64_t n, float from)
{
    for (int64_t i = 0; i < n; i++) p[i] = from + 0.1f * (float)i;
}

/* A trainer whose every value differs from a new one's, and its file. */
static Trainer *filled(Lab *l, const char **path)
{
    Trainer *t = new_trainer(l, NULL, 0);
    Store *s = t->session->store;
    t->state = (TrainState){.step = 12, .taken = 1ull << 40, .skipped = 3, .best = 0.1};
    store_state(s, "sums")->fresh = false;
    for (int i = 0; i < s->nparam; i++) {
        fill(s->value + s->param[i].offset, s->param[i].count, 1);
        fill(t->moments.m + s->param[i].offset, s->param[i].count, 2);
        fill(t->moments.v + s->param[i].offset, s->param[i].count, 3);
        t->moments.steps[i] = 9 + i;
    }
    for (int i = 0; i < s->nstate; i++)
        fill(s->state_value + s->state[i].offset, s->state[i].count, 4);
    *path = lab_path(l, "c.safetensors");
    checkpoint_save(l->d, *path, t->session, &t->state, &t->moments);
    return t;
}

static void everything_comes_back(void **state)
{
    Lab *l = *state;
    const char *path;
    Trainer *a = filled(l, &path), *b = new_trainer(l, NULL, 0);
    b->state = checkpoint_load(l->d, path, b->session, &b->moments);
    const Store *p = a->session->store, *q = b->session->store;
    size_t params = (size_t)p->param_total * sizeof(float);
    assert_memory_equal(p->value, q->value, params);
    assert_memory_equal(a->moments.m, b->moments.m, params);
    assert_memory_equal(a->moments.v, b->moments.v, params);
    assert_memory_equal(a->moments.steps, b->moments.steps, (size_t)p->nparam * sizeof(int64_t));
    assert_memory_equal(p->state_value, q->state_value, (size_t)p->state_total * sizeof(float));
    assert_int_equal(b->state.step, 12);
    assert_int_equal(b->state.taken, 1ull << 40);
    assert_int_equal(b->state.skipped, 3);
    assert_float_equal(b->state.best, 0.1, 0);
    assert_false(store_state(b->session->store, "sums")->fresh);
    const char *again = lab_path(l, "again.safetensors");
    checkpoint_save(l->d, again, b->session, &b->state, &b->moments);
    size_t na, nb;
    const char *pa = lab_read(l, path, &na), *pb = lab_read(l, again, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(pa, pb, na);
    session_close(a->session);
    session_close(b->session);
}

static void fresh_states_stay_fresh(void **state)
{
    Lab *l = *state;
    Trainer *t = new_trainer(l, NULL, 0);
    const char *path = lab_path(l, "fresh.safetensors");
    StoreEntry *sums = store_state(t->session->store, "sums");
    assert_true(sums->init && sums->fresh);
    assert_false(store_state(t->session->store, "plain")->init);
    checkpoint_save(l->d, path, t->session, &t->state, &t->moments);
    sums->fresh = false;
    checkpoint_load(l->d, path, t->session, &t->moments);
    assert_true(sums->fresh);
    StFile *f = st_open(l->d, l->a, path);
    assert_non_null(st_find(f, "sums.initted"));
    assert_null(st_find(f, "plain.initted"));
    st_close(f);
    session_close(t->session);
}

static void parameters_alone_are_enough_to_run(void **state)
{
    Lab *l = *state;
    Trainer *t = new_trainer(l, NULL, 0);
    float w[6] = {1, 2, 3, 4, 5, 6};
    StEntry entry = {.name = "w", .dtype = ST_F32, .rank = 2, .shape = {3, 2}, .data = w};
    const char *path = lab_path(l, "w.safetensors");
    st_write(l->d, path, &entry, 1, NULL, 0);
    assert_false(checkpoint_resumes(l->d, path));
    checkpoint_load(l->d, path, t->session, NULL);
    assert_true(store_state(t->session->store, "sums")->fresh);
    assert_memory_equal(t->session->store->value, w, sizeof w);
    session_close(t->session);
}

/* ---- what doesn't fit ---- */

typedef struct {
    Trainer *t;
    const char *path;
    bool training;
} Load;

static void load(Lab *l, void *ctx)
{
    Load *c = ctx;
    checkpoint_load(l->d, c->path, c->t->session, c->training ? &c->t->moments : NULL);
}

static void what_differs_is_in_a_table(void **state)
{
    Lab *l = *state;
    const char *path;
    session_close(filled(l, &path)->session);
    const Override set[] = {{"width", "5"}};
    Load c = {new_trainer(l, set, 1), path, false};
    const char *error = lab_error(l, load, &c);
    lab_says(error, "doesn't fit model kinds");
    lab_says(error, "w                                        [3, 2]               [5, 2]");
    lab_says(error, "sums                                     [3]                  [5]");
    session_close(c.t->session);
}

static void missing_and_unknown_tensors_are_named(void **state)
{
    Lab *l = *state;
    Load c = {new_trainer(l, NULL, 0), lab_path(l, "x.safetensors"), false};
    float v[2] = {0};
    StEntry entry = {.name = "ww", .dtype = ST_F32, .rank = 1, .shape = {2}, .data = v};
    st_write(l->d, c.path, &entry, 1, NULL, 0);
    const char *error = lab_error(l, load, &c);
    lab_says(error, "w                                        -                    [3, 2]");
    lab_says(error, "ww                                       [2]                  -");
    session_close(c.t->session);
}

static void parameters_alone_do_not_resume(void **state)
{
    Lab *l = *state;
    Load c = {new_trainer(l, NULL, 0), lab_path(l, "x.safetensors"), true};
    float w[6] = {0}, s[3] = {0}, p[2] = {0};
    StEntry entries[] = {{.name = "w", .dtype = ST_F32, .rank = 2, .shape = {3, 2}, .data = w},
                         {.name = "sums", .dtype = ST_F32, .rank = 1, .shape = {3}, .data = s},
                         {.name = "plain", .dtype = ST_F32, .rank = 1, .shape = {2}, .data = p}};
    st_write(l->d, c.path, entries, 3, NULL, 0);
    lab_says(lab_error(l, load, &c), "isn't a checkpoint of training");
    session_close(c.t->session);
}

static void a_cut_file_is_refused(void **state)
{
    Lab *l = *state;
    const char *path;
    session_close(filled(l, &path)->session);
    size_t n;
    const char *bytes = lab_read(l, path, &n);
    Load c = {new_trainer(l, NULL, 0), lab_path(l, "cut.safetensors"), true};
    for (int i = 1; i < 64; i++) {
        file_save(l->d, c.path, bytes, n * (size_t)i / 64);
        lab_says(lab_error(l, load, &c), "cut.safetensors");
    }
    session_close(c.t->session);
}

static void broken_values_are_found(void **state)
{
    Lab *l = *state;
    Trainer *t = new_trainer(l, NULL, 0);
    Store *s = t->session->store;
    assert_null(checkpoint_broken(s));
    s->state_value[s->state[1].offset + 1] = NAN;
    assert_string_equal(checkpoint_broken(s), s->state[1].name);
    s->value[5] = INFINITY;
    assert_string_equal(checkpoint_broken(s), "w");
    session_close(t->session);
}

/* ---- run directories ---- */

static RunConfig config(Lab *l)
{
    static const Override set[] = {{"width", "4"}};
    static const char *const data[] = {"/data/one.txt", "/data/t\303\274.txt"};
    return (RunConfig){.file = lab_path(l, "kinds.rt"), .model = "kinds", .set = set, .nset = 1,
                       .data = data, .ndata = 2, .seed = 1ull << 60, .steps = 10, .batch = 2,
                       .time = 3, .accumulate = 4, .command = "rtc train 'a b'"};
}

static void a_configuration_comes_back(void **state)
{
    Lab *l = *state;
    RunConfig c = config(l);
    Session *s = lab_session(l, lab_write(l, "kinds.rt", kinds), c.set, c.nset);
    const char *dir = lab_path(l, "run");
    assert_false(rundir_exists(l->a, dir));
    rundir_write(l->d, l->a, dir, s->program, &c);
    assert_true(rundir_exists(l->a, dir));
    RunConfig r = rundir_read(l->d, l->a, dir);
    assert_string_equal(r.model, "kinds");
    assert_string_equal(r.set[0].name, "width");
    assert_string_equal(r.set[0].value, "4");
    assert_string_equal(r.data[1], c.data[1]);
    assert_int_equal(r.ndata, 2);
    assert_int_equal(r.nvalid, 0);
    assert_true(r.seed == c.seed);
    assert_int_equal(r.accumulate, 4);
    assert_string_equal(r.command, c.command);
    rundir_check(l->d, l->a, dir, s->program, &c);
    session_close(s);
    Session *again = lab_session(l, rundir_path(l->a, dir, "model.rt"), r.set, r.nset);
    assert_int_equal(again->store->param[0].shape[0], 4);
    session_close(again);
}

typedef struct {
    const char *dir;
    Session *s;
    RunConfig config;
} CheckRun;

static void check_run(Lab *l, void *ctx)
{
    CheckRun *c = ctx;
    rundir_check(l->d, l->a, c->dir, c->s->program, &c->config);
}

static void another_configuration_is_not_resumed(void **state)
{
    Lab *l = *state;
    CheckRun c = {.dir = lab_path(l, "run"), .config = config(l)};
    c.s = lab_session(l, lab_write(l, "kinds.rt", kinds), c.config.set, c.config.nset);
    rundir_write(l->d, l->a, c.dir, c.s->program, &c.config);
    c.config.steps = 99;
    assert_null(lab_error(l, check_run, &c));        /* a run may become longer */
    c.config.batch = 5;
    lab_says(lab_error(l, check_run, &c), "--batch                  2                    5");
    c.config.batch = 2;
    session_close(c.s);
    c.s = lab_session(l, lab_write(l, "kinds.rt", kinds), NULL, 0);
    lab_says(lab_error(l, check_run, &c), "width                    4                    3");
    session_close(c.s);
    const char *changed = arena_printf(l->a, "%s# changed\n", kinds);
    c.s = lab_session(l, lab_write(l, "kinds.rt", changed), c.config.set, c.config.nset);
    lab_says(lab_error(l, check_run, &c), "has changed since");
    session_close(c.s);
}

static void read_run(Lab *l, void *dir) { rundir_read(l->d, l->a, dir); }

static void a_damaged_configuration_is_refused(void **state)
{
    Lab *l = *state;
    char *dir = arena_strdup(l->a, lab_path(l, "run"));
    lab_says(lab_error(l, read_run, dir), "there is no run directory");
    file_make_directory(l->d, dir);
    lab_says(lab_error(l, read_run, dir), "isn't a run directory");
    lab_write(l, "run/config.json", "{");
    lab_says(lab_error(l, read_run, dir), "config.json:1: not JSON");
    lab_write(l, "run/config.json", "[]");
    lab_says(lab_error(l, read_run, dir), "isn't what rtc train wrote");
    lab_write(l, "run/config.json", "{\"file\": \"a\", \"model\": 3}");
    lab_says(lab_error(l, read_run, dir), "`model` is not a string");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_comes_back),
        TEST(fresh_states_stay_fresh),
        TEST(parameters_alone_are_enough_to_run),
        TEST(what_differs_is_in_a_table),
        TEST(missing_and_unknown_tensors_are_named),
        TEST(parameters_alone_do_not_resume),
        TEST(a_cut_file_is_refused),
        TEST(broken_values_are_found),
        TEST(a_configuration_comes_back),
        TEST(another_configuration_is_not_resumed),
        TEST(a_damaged_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
