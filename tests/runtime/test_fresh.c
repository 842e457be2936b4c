/* States take their `init` one by one: each in the first step that gets to it. */
#include "lab.h"
#include "runtime/safetensors.h"

enum { DEPTH = 3, DIM = 2, ROWS = 2, SEED = 5 }; /* the first step leaves layers out */

static const char layers[] =
    "module follower(dim: int) {\n  state centre[dim] ~ normal(0, 1)\n  state begin[dim] = 7\n"
    "  fn (x[b,e: dim]) {\n    let m[e] = mean[b] x[b,e]\n    init centre = m\n"
    "    init begin = m * 2\n    update centre = 0.9 * centre + 0.1 * m\n"
    "    let y[b,e] = 0.5 * x[b,e] - centre[e] + begin[e]\n    return y\n  }\n}\n"
    "model m(dim: int = 2, depth: int = 3) {\n"
    "  for i in 0..depth { use f[i] = follower(dim) }\n  fn (x[b,e: dim]) {\n"
    "    let dropped[l: depth] = training and bernoulli(0.6)\n    let y = x\n"
    "    for i in 0..depth {\n      if not dropped[i] { y = f[i](y) }\n    }\n"
    "    let ran[l] = where(dropped[l], 0, 1)\n    return y, ran\n  }\n}\n";

/* What the model above does. */
typedef struct {
    double centre[DEPTH][DIM], begin[DEPTH][DIM];
    bool fresh[DEPTH];
} Expected;

typedef struct {
    Session *s;
    Executable *e;
    Instance *in;
} Bench;

static StoreEntry *state_of(Lab *l, const Bench *b, int layer, const char *name)
{
    return store_state(b->s->store, arena_printf(l->a, "f.%d.%s", layer, name));
}

static Bench open_bench(Lab *l, const char *device)
{
    Bench b;
    static const char *const given[] = {"x"};
    b.s = session_open(
        l->d, &(SessionOptions){
                  .file = lab_write(l, "layers.rt", layers),
                  .library = RTC_SOURCE_DIR "/models",
                  .seed = 3,
                  .compile = {.device = device, .threads = 1, .cache = {.dir = LAB_CACHE}}});
    b.e = session_compile(b.s, &(SessionCompile){.training = true, .given = given, .ngiven = 1});
    b.in = exec_instance(b.e, (int64_t[]){ROWS});
    return b;
}

static Expected expected_start(Lab *l, const Bench *b)
{
    Expected x;
    for (int i = 0; i < DEPTH; i++) {
        const StoreEntry *e = state_of(l, b, i, "centre");
        assert_true(e->init && e->fresh);
        x.fresh[i] = true;
        for (int k = 0; k < DIM; k++)
            x.centre[i][k] = b->s->store->state_value[e->offset + k], x.begin[i][k] = 7;
    }
    return x;
}

/* A run on numbers of its own: what each layer that ran proposes, in `out`. Returns which ran. */
static unsigned run(Bench *b, const Expected *x, uint64_t draw, Expected *out)
{
    float in[ROWS * DIM];
    double y[ROWS][DIM];
    for (int i = 0; i < ROWS * DIM; i++)
        y[i / DIM][i % DIM] = in[i] = (float)((draw * 7 + (uint64_t)(i * i)) % 5);
    exec_input(b->in, "x", DT_FLOAT, 2, (int64_t[]){ROWS, DIM}, in);
    exec_run(b->in, &(RunOptions){.seed = SEED, .step = draw, .fresh = true});
    Value ran, got;
    unsigned which = 0;
    assert_true(exec_output(b->in, "ran", &ran) && exec_output(b->in, "y", &got));
    for (int i = 0; i < DEPTH; i++) {
        if (!((const int32_t *)ran.data)[i]) continue;
        which |= 1u << i;
        for (int k = 0; k < DIM; k++) {
            double m = (y[0][k] + y[1][k]) / 2, c = x->fresh[i] ? m : x->centre[i][k];
            out->begin[i][k] = x->fresh[i] ? 2 * m : x->begin[i][k];
            out->centre[i][k] = 0.9 * c + 0.1 * m;
            for (int r = 0; r < ROWS; r++) y[r][k] = 0.5 * y[r][k] - c + out->begin[i][k];
        }
    }
    for (int i = 0; i < ROWS * DIM; i++)
        assert_float_equal(((const float *)got.data)[i], y[i / DIM][i % DIM], 1e-4);
    return which;
}

static void check_states(Lab *l, const Bench *b, const Expected *x)
{
    const float *v = b->s->store->state_value;
    for (int i = 0; i < DEPTH; i++) {
        const StoreEntry *centre = state_of(l, b, i, "centre"), *begin = state_of(l, b, i, "begin");
        assert_int_equal(centre->fresh, x->fresh[i]);
        assert_int_equal(begin->fresh, x->fresh[i]);
        for (int k = 0; k < DIM; k++) {
            assert_float_equal(v[centre->offset + k], x->centre[i][k], 1e-4);
            assert_float_equal(v[begin->offset + k], x->begin[i][k], 1e-4);
        }
    }
}

/* One step of some runs: their mean, over those that got there; of a fresh state the first. */
static void step(Lab *l, Bench *b, Expected *x, uint64_t at, int runs)
{
    Expected each, sum = *x;
    int count[DEPTH] = {0};
    store_begin(b->s->store);
    for (int r = 0; r < runs; r++) {
        unsigned ran = run(b, x, at * 10 + (uint64_t)r, &each);
        for (int i = 0; i < DEPTH; i++) {
            if (!(ran >> i & 1) || (x->fresh[i] && count[i])) continue;
            count[i]++;
            for (int k = 0; k < DIM; k++) {
                sum.centre[i][k] = (count[i] > 1 ? sum.centre[i][k] : 0) + each.centre[i][k];
                sum.begin[i][k] = each.begin[i][k];
            }
        }
    }
    store_commit(b->s->store);
    for (int i = 0; i < DEPTH; i++) {
        for (int k = 0; k < DIM && count[i]; k++)
            x->centre[i][k] = sum.centre[i][k] / count[i], x->begin[i][k] = sum.begin[i][k];
        x->fresh[i] = x->fresh[i] && !count[i];
    }
    check_states(l, b, x);
}

static int fresh_layers(const Expected *x)
{
    int n = 0;
    for (int i = 0; i < DEPTH; i++) n += x->fresh[i];
    return n;
}

static void check_device(Lab *l, const char *device)
{
    Bench b = open_bench(l, device);
    bool late = false;
    for (int runs = 1; runs < 4; runs++) {
        store_init(b.s->store, b.s->program, 3);
        for (int i = 0; i < b.s->store->nstate; i++) b.s->store->state[i].fresh = true;
        Expected x = expected_start(l, &b);
        for (uint64_t at = 0; at < 12; at++) {
            step(l, &b, &x, at, runs);
            late = late || (at == 0 && fresh_layers(&x));
        }
        assert_int_equal(fresh_layers(&x), 0);
    }
    assert_true(late); /* some layer was left out of the first step */
    session_close(b.s);
}

static void each_in_the_first_step_that_gets_there(void **state)
{
    check_device(*state, "eval");
    check_device(*state, "cpu");
}

static void a_checkpoint_knows_which(void **state)
{
    Lab *l = *state;
    Bench b = open_bench(l, "eval"), c = open_bench(l, "eval");
    Expected x = expected_start(l, &b);
    uint64_t at = 0;
    while (fresh_layers(&x) == DEPTH) step(l, &b, &x, at++, 1);
    assert_in_range(fresh_layers(&x), 1, DEPTH - 1);
    const char *path = lab_path(l, "c.safetensors");
    checkpoint_save(l->d, path, b.s, &(TrainState){0}, NULL);
    StFile *f = st_open(l->d, l->a, path);
    for (int i = 0; i < DEPTH; i++) {
        uint8_t taken;
        st_read_bool(st_find(f, arena_printf(l->a, "f.%d.centre.initted", i)), &taken);
        assert_int_equal(taken, !x.fresh[i]);
    }
    st_close(f);
    checkpoint_load(l->d, path, c.s, NULL);
    check_states(l, &c, &x);
    for (int k = 0; k < 12; k++) step(l, &c, &x, at++, 1);
    assert_int_equal(fresh_layers(&x), 0);
    session_close(b.s), session_close(c.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_in_the_first_step_that_gets_there, lab_open,
                                        lab_close),
        cmocka_unit_test_setup_teardown(a_checkpoint_knows_which, lab_open, lab_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
