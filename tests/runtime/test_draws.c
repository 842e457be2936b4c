/* Draws by their statistics (dropout, layers left out), and that they repeat: on every device, and
 * where values are computed again for the gradient. Bounds are 5 standard deviations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/exec.h"

typedef struct {
    Diag *d;
    Arena *a;
    Program *p;
    Store *s;
    Executable *e;
    Instance *in;
} Bench;

/* A text, or with `set` a shipped model, compiled for training with gradients of `loss`, if any. */
static Bench *bench(const char *device, const char *text, const Override *set, const int64_t *dims)
{
    char path[] = "/tmp/rtc-draws-XXXXXX";
    Diag *d = diag_new();
    Arena *a = diag_arena(d);
    Bench *b = NEW(a, Bench);
    *b = (Bench){.d = d, .a = a};
    LoadOptions o = {
        .path = path, .library = RTC_SOURCE_DIR "/models", .training = true, .set = set};
    while (set && set[o.nset].name) o.nset++;
    static const char *const absent[] = {"input_mask", "context", "context_mask"};
    if (strstr(text, "import \"routing")) o.absent = absent, o.nabsent = COUNT(absent);
    volatile bool ok = false;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    DIAG_TRY(d)
    {
        b->p = program_load(d, &o);
        b->s = store_new(d, b->p);
        store_init(b->s, b->p, 1);
        bool loss = graph_find_root(b->p->graph, ROOT_OUTPUT, "loss") != NULL;
        b->e = exec_compile(d, b->p, b->s,
                            &(CompileOptions){.device = device,
                                              .want_grad = loss,
                                              .threads = 2,
                                              .hint_default = 32,
                                              .verify_each = true,
                                              .cache = {.dir = RTC_BINARY_DIR "/test-cache"}});
        b->in = exec_instance(b->e, dims);
        ok = true;
    }
    DIAG_CATCH(d) { print_error("%s", diag_text(d)); }
    DIAG_END(d)
    unlink(path);
    assert_true(ok);
    return b;
}

static void bench_free(Bench *b)
{
    exec_free(b->e);
    store_free(b->s);
    program_free(b->p);
    diag_free(b->d);
}

static void set_input(Bench *b, const char *name, double (*value)(int64_t))
{
    DType dt;
    int64_t n;
    float *x = exec_input_data(b->in, name, &dt, &n);
    for (int64_t i = 0; i < n; i++) x[i] = (float)value(i);
}

static void run(Bench *b, uint64_t seed, uint64_t step)
{
    volatile bool ok = false;
    store_begin(b->s);
    DIAG_TRY(b->d) { exec_run(b->in, &(RunOptions){.seed = seed, .step = step}), ok = true; }
    DIAG_CATCH(b->d) { print_error("%s", diag_text(b->d)); }
    DIAG_END(b->d)
    assert_true(ok);
}

static const float *output(Bench *b, const char *name, int64_t *n)
{
    Value v;
    if (!exec_output(b->in, name, &v)) fail_msg("no output `%s`", name);
    assert_int_equal(v.dt, DT_FLOAT);
    if (n) *n = v.count;
    return v.data;
}

static double one(int64_t i)
{
    (void)i;
    return 1;
}
static double uneven(int64_t i) { return sin(1.3 * (double)i) + 0.2; }

/* Is `hits` of n what the probability p gives? */
static void expect_rate(const char *what, double hits, double n, double p)
{
    double bound = 5 * sqrt(n * p * (1 - p)) + 1;
    if (fabs(hits - n * p) > bound)
        fail_msg("%s: %.0f of %.0f, expected %.0f +- %.0f", what, hits, n, n * p, bound);
}

/* ---- dropout ---- */

enum { ROWS = 24, COLUMNS = 50, ELEMENTS = ROWS * COLUMNS, STEPS = 60 };

static const char two_sites[] =
    "import \"nn.rt\"\nmodel m(p: float) {\n  fn (x[b,t]) {\n    let first = dropout(x, p)\n"
    "    let second = dropout(x, p)\n    return first, second\n  }\n}\n";

typedef struct {
    double dropped, sum, both_sites, both_steps, both_columns, both_rows, steps_pairs;
    double by_element[ELEMENTS];
} Counts;

static void count_step(Counts *c, const float *v, const float *other, const uint8_t *before,
                       double p)
{
    for (int i = 0; i < ELEMENTS; i++) {
        bool zero = v[i] == 0;
        if (!zero) assert_float_equal(v[i], 1 / (1 - p), 1e-5);
        c->dropped += zero, c->sum += v[i], c->by_element[i] += zero;
        c->both_sites += zero && other[i] == 0;
        c->both_columns += zero && i % COLUMNS && v[i - 1] == 0;
        c->both_rows += zero && i >= COLUMNS && v[i - COLUMNS] == 0;
        c->both_steps += zero && before[i];
    }
}

static void check_dropout(double p)
{
    const int64_t dims[] = {ROWS, COLUMNS};
    char text[16];
    snprintf(text, sizeof text, "%g", p);
    Bench *b = bench("cpu", two_sites, (Override[]){{"p", text}, {NULL, NULL}}, dims);
    Counts *c = NEW(b->a, Counts);
    uint8_t before[ELEMENTS] = {0};
    set_input(b, "x", one);
    for (uint64_t step = 0; step < STEPS; step++) {
        run(b, 3, step);
        const float *v = output(b, "first", NULL);
        count_step(c, v, output(b, "second", NULL), before, p);
        for (int i = 0; i < ELEMENTS; i++) before[i] = v[i] == 0;
    }
    const double n = ELEMENTS * STEPS, both = p * p;
    expect_rate("dropped", c->dropped, n, p);
    expect_rate("dropped at two sites", c->both_sites, n, both);
    expect_rate("dropped in two steps", c->both_steps, n - ELEMENTS, both);
    expect_rate("dropped in neighbouring columns", c->both_columns,
                (double)ROWS * (COLUMNS - 1) * STEPS, both);
    expect_rate("dropped in neighbouring rows", c->both_rows, (double)(ROWS - 1) * COLUMNS * STEPS,
                both);
    assert_true(fabs(c->sum / n - 1) < 5 * sqrt(p / (1 - p) / n));
    double chi = 0; /* by element: neither stuck nor spread more evenly than chance */
    for (int i = 0; i < ELEMENTS; i++)
        chi += pow(c->by_element[i] - STEPS * p, 2) / (STEPS * p * (1 - p));
    assert_true(fabs(chi - ELEMENTS) < 5 * sqrt(2 * ELEMENTS));
    bench_free(b);
}

static void dropout_by_its_statistics(void **state)
{
    (void)state;
    static const double rates[] = {0.1, 0.5, 0.8};
    for (int i = 0; i < COUNT(rates); i++) check_dropout(rates[i]);
}

/* Bit by bit, whatever computes it; other seeds and steps are other draws. */
static void devices_draw_the_same(void **state)
{
    (void)state;
    const int64_t dims[] = {7, 33};
    const Override set[] = {{"p", "0.4"}, {NULL, NULL}};
    Bench *cpu = bench("cpu", two_sites, set, dims), *eval = bench("eval", two_sites, set, dims);
    set_input(cpu, "x", uneven), set_input(eval, "x", uneven);
    float last[7 * 33] = {0};
    for (uint64_t k = 0; k < 12; k++) {
        uint64_t seed = k / 4 * 0x9e3779b97f4a7c15ull, step = k % 4 * 1000000007;
        int64_t n;
        run(cpu, seed, step), run(eval, seed, step);
        const float *x = output(cpu, "first", &n), *y = output(eval, "first", NULL);
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(x[i] == 0, y[i] == 0);
            assert_float_equal(x[i], y[i], 1e-6);
        }
        assert_memory_not_equal(x, last, sizeof last);
        memcpy(last, x, sizeof last);
    }
    bench_free(cpu), bench_free(eval);
}

/* ---- layers left out ---- */

static const Override dropping[] = {
    {"dim", "8"},         {"depth", "3"},           {"heads", "2"},         {"max_seq_len", "8"},
    {"window_size", "4"}, {"layer_dropout", "0.5"}, {"ff_dropout", "0.25"}, {NULL, NULL}};
static const char stack[] = "import \"routing_transformer.rt\"\n";

/* Bit i: layer i was part of the step. */
static unsigned layers_kept(Bench *b)
{
    unsigned kept = 0;
    for (int i = 0; i < b->s->nparam; i++) {
        const StoreEntry *p = &b->s->param[i];
        if (p->reached) kept |= 1u << (p->name[strlen("net.layers.")] - '0');
    }
    return kept;
}

static void layers_are_left_out_by_chance(void **state)
{
    (void)state;
    const int64_t dims[] = {1, 8, 1}; /* batch, time, and of a context that isn't there */
    enum { RUNS = 600 };
    Bench *b = bench("eval", stack, dropping, dims);
    set_input(b, "x", uneven), set_input(b, "dy", uneven);
    double kept[8] = {0}, again = 0;
    unsigned before = 0;
    for (uint64_t step = 0; step < RUNS; step++) {
        run(b, 11, step);
        unsigned now = layers_kept(b);
        assert_in_range(now, 1, 7);
        kept[now]++, again += step && (now & before & 4);
        before = now;
    }
    for (unsigned k = 2; k < 8; k++) expect_rate("these layers kept", kept[k], RUNS, 0.125);
    expect_rate("the first layer alone", kept[1], RUNS, 0.25); /* also where all would go */
    expect_rate("the last layer kept twice in a row", again, RUNS - 1, 0.25);
    bench_free(b);
}

/* With every layer likely to go, one of `among` (a bit per layer) is there, and no other. */
static void check_some_layer(const char *keep, unsigned among)
{
    const int64_t dims[] = {1, 8, 1}; /* batch, time, and of a context that isn't there */
    Override set[COUNT(dropping) + 1];
    memcpy(set, dropping, sizeof dropping);
    for (int i = 0; i + 1 < COUNT(dropping); i++)
        if (!strcmp(set[i].name, "layer_dropout")) set[i].value = "0.95";
    if (keep) set[COUNT(dropping) - 1] = (Override){"keep_layers", keep};
    set[COUNT(dropping)] = (Override){NULL, NULL};
    Bench *b = bench("eval", stack, set, dims);
    unsigned seen = 0;
    set_input(b, "x", uneven), set_input(b, "dy", uneven);
    for (uint64_t step = 0; step < 100; step++) {
        run(b, 5, step);
        unsigned kept = layers_kept(b);
        assert_true(kept && !(kept & ~among));
        seen |= kept;
    }
    assert_int_equal(seen, among);
    bench_free(b);
}

static void all_layers_never(void **state)
{
    (void)state;
    check_some_layer(NULL, 7);
    check_some_layer("[2,3]", 6);
}

static void devices_leave_out_the_same(void **state)
{
    (void)state;
    const int64_t dims[] = {1, 8, 1}; /* batch, time, and of a context that isn't there */
    Bench *cpu = bench("cpu", stack, dropping, dims), *eval = bench("eval", stack, dropping, dims);
    set_input(cpu, "x", uneven), set_input(cpu, "dy", uneven);
    set_input(eval, "x", uneven), set_input(eval, "dy", uneven);
    unsigned seen = 0;
    for (uint64_t step = 0; step < 20; step++) {
        run(cpu, 2, step), run(eval, 2, step);
        assert_int_equal(layers_kept(cpu), layers_kept(eval));
        assert_float_equal(output(cpu, "loss", NULL)[0], output(eval, "loss", NULL)[0], 1e-3);
        seen |= 1u << layers_kept(cpu);
    }
    assert_true(__builtin_popcount(seen) > 3);
    bench_free(cpu), bench_free(eval);
}

/* ---- the gradient sees the draws of the forward pass ---- */

/* %s: an annotation, or nothing. Dropout everywhere, also of attention; layers are left out. */
#define BLOCKS                                                                                     \
    "import \"nn.rt\"\nmodule mixer(dim: int) {\n  use q = linear(dim, dim)\n"                     \
    "  fn (x[b,t,e: dim]) {\n    let k = q(x)\n"                                                   \
    "    let p[b,i,j] = softmax[j] sum[e] k[b,i,e] * x[b,j,e]\n"                                   \
    "    let y[b,i,e] = sum[j] dropout(p[b,i,j], 0.3) * x[b,j,e]\n    return dropout(y, 0.2)\n"    \
    "  }\n}\nmodel m(dim: int = 6, depth: int = 3) {\n  for i in 0..depth {\n"                     \
    "    use f[i] = mixer(dim)\n    use g[i] = feed_forward(dim, drop = 0.4)\n  }\n"               \
    "  fn (x[b,t,e: dim], w[b,t,e]) {\n    let dropped[l: depth] = training and bernoulli(0.3)\n"  \
    "    let a = x\n    let c = x\n    %s for i in 0..depth {\n"                                   \
    "      if not dropped[i] {\n        a = a + f[i](c)\n        c = c + g[i](a)\n      }\n"       \
    "    }\n    let loss = sum[b,t,e] (a[b,t,e] + c[b,t,e]) * w[b,t,e]\n"                          \
    "    return a, c, loss\n  }\n}\n"

static Bench *blocks(const char *device, const char *annotation)
{
    const int64_t dims[] = {2, 5};
    char text[2048];
    snprintf(text, sizeof text, BLOCKS, annotation);
    Bench *b = bench(device, text, NULL, dims);
    set_input(b, "x", uneven), set_input(b, "w", uneven);
    return b;
}

/* Largest difference of values and gradients, relative to the largest gradient. */
static double difference(Bench *x, Bench *y)
{
    double worst = fabs(output(x, "loss", NULL)[0] - output(y, "loss", NULL)[0]), largest = 1;
    for (int i = 0; i < x->s->nparam; i++) {
        const StoreEntry *p = &x->s->param[i];
        const StoreEntry *q = store_param(y->s, p->name);
        assert_int_equal(p->reached, q->reached);
        for (int64_t k = 0; p->reached && k < p->count; k++) {
            double u = x->s->grad[p->offset + k], v = y->s->grad[q->offset + k];
            largest = fmax(largest, fabs(u)), worst = fmax(worst, fabs(u - v));
        }
    }
    return worst / largest;
}

static void check_replay(const char *device, const char *annotation, double tolerance)
{
    Bench *kept = blocks(device, ""), *again = blocks(device, annotation);
    double other = 0;
    for (uint64_t step = 0; step < 12; step++) {
        run(kept, 7, step), run(again, 7, step);
        double by = difference(kept, again);
        if (!(by <= tolerance)) fail_msg("%s on %s is off by %g", annotation, device, by);
        run(again, 8, step);
        other = fmax(other, fabs(output(kept, "loss", NULL)[0] - output(again, "loss", NULL)[0]));
    }
    assert_true(other > 0.1); /* with other draws it is something else */
    bench_free(kept), bench_free(again);
}

static void recomputed_values_draw_the_same(void **state)
{
    (void)state;
    check_replay("eval", "@checkpoint", 1e-6); /* float is what the store keeps of the gradient */
    check_replay("eval", "@reversible", 1e-6);
    check_replay("cpu", "@checkpoint", 1e-5);
    check_replay("cpu", "@reversible", 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropout_by_its_statistics),
        cmocka_unit_test(devices_draw_the_same),
        cmocka_unit_test(layers_are_left_out_by_chance),
        cmocka_unit_test(all_layers_never),
        cmocka_unit_test(devices_leave_out_the_same),
        cmocka_unit_test(recomputed_values_draw_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
