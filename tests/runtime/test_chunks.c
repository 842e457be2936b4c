/* @chunk runs its region piece by piece: the same values and gradients as in one piece, dropout
 * included, whatever the length; less memory. */
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
    Program *p;
    Store *s;
    Executable *e;
    Instance *in;
} Run;

typedef struct {
    const char *device;
    int threads;
    int chunks;
    bool grad;
    int64_t hint; /* of every dimension; 0: 64 */
} How;

/* One training step of the program, whose option `chunks` says how many pieces. */
static Run *run(const char *text, const int64_t *dims, How h)
{
    char path[] = "/tmp/rtc-chunks-XXXXXX", chunks[16];
    Diag *d = diag_new();
    Run *r = NEW(diag_arena(d), Run);
    snprintf(chunks, sizeof chunks, "%d", h.chunks);
    Override set = {"chunks", chunks};
    LoadOptions o = {.path = path, .library = RTC_SOURCE_DIR "/models", .training = true};
    o.set = &set, o.nset = 1;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    r->d = d;
    DIAG_TRY(d)
    {
        r->p = program_load(d, &o);
        r->s = store_new(d, r->p);
        store_init(r->s, r->p, 1);
        r->e = exec_compile(d, r->p, r->s,
                            &(CompileOptions){.device = h.device,
                                              .want_grad = h.grad,
                                              .threads = h.threads,
                                              .hint_default = h.hint ? h.hint : 64,
                                              .verify_each = true,
                                              .cache = {.dir = RTC_BINARY_DIR "/test-cache"}});
        if (getenv("RTC_SHOW") && exec_plan(r->e)) plan_emit(exec_plan(r->e), getenv("RTC_SHOW"));
        r->in = exec_instance(r->e, dims);
        for (int i = 0; i < exec_ninputs(r->e); i++) {
            DType dt;
            bool optional;
            int64_t n;
            float *x = exec_input_data(r->in, exec_input_name(r->e, i, &dt, &optional), &dt, &n);
            for (int64_t k = 0; k < n; k++) {
                if (dt == DT_FLOAT) x[k] = sinf(1.7f * (float)k + (float)i);
                if (dt == DT_INT) ((int32_t *)(void *)x)[k] = (int32_t)(k * 7 % 5);
            }
        }
        store_begin(r->s);
        exec_run(r->in, &(RunOptions){.seed = 5, .step = 3});
    }
    DIAG_CATCH(d) { fail_msg("%s", diag_text(d)); }
    DIAG_END(d)
    unlink(path);
    return r;
}

static void run_free(Run *r)
{
    exec_free(r->e);
    store_free(r->s);
    program_free(r->p);
    diag_free(r->d);
}

static double largest(const float *x, int64_t n)
{
    double most = 1e-9;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i]));
    return most;
}

static double worst(const float *x, const float *y, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        assert_false(isnan(x[i]));
        most = fmax(most, fabs((double)x[i] - y[i]));
    }
    return most;
}

/* Gradients relative to the largest of all: some are 0 but for rounding. */
static void expect_equal(Run *a, Run *b, double tolerance)
{
    for (int i = 0; i < exec_noutputs(b->e); i++) {
        Value x, y;
        assert_true(exec_output(a->in, exec_output_name(b->e, i), &x));
        assert_true(exec_output(b->in, exec_output_name(b->e, i), &y));
        assert_int_equal(x.count, y.count);
        assert_true(worst(x.data, y.data, y.count) <= tolerance * largest(y.data, y.count));
    }
    if (!a->s->grad) return;
    double size = largest(b->s->grad, b->s->param_total);
    for (int i = 0; i < a->s->nparam; i++) {
        const StoreEntry *p = &a->s->param[i];
        double off = worst(a->s->grad + p->offset, b->s->grad + p->offset, p->count);
        if (off > tolerance * size) fail_msg("%s is off by %g of %g", p->name, off, size);
    }
}

static size_t arena_of(const Run *r) { return exec_stats(r->in).arena_bytes; }

/* Against the evaluator, and against one piece; the bits of two threads are those of one. */
static void check(const char *text, const int64_t *dims, int chunks, bool grad)
{
    Run *eval = run(text, dims, (How){"eval", 1, chunks, grad, 0}),
        *whole = run(text, dims, (How){"cpu", 1, 1, grad, 0}),
        *one = run(text, dims, (How){"cpu", 1, chunks, grad, 0}),
        *two = run(text, dims, (How){"cpu", 2, chunks, grad, 0});
    expect_equal(whole, eval, 2e-5);
    expect_equal(one, eval, 2e-5);
    expect_equal(two, one, 0);
    assert_true(arena_of(one) < arena_of(whole));
    assert_true(exec_stats(one->in).launches > exec_stats(whole->in).launches);
    run_free(eval), run_free(whole), run_free(one), run_free(two);
}

/* Feed-forward layers with dropout on a residual stream. */
#define STACK                                                                                      \
    "import \"nn.rt\"\nmodel stack(dim: int = 20, depth: int = 2, chunks: int = 1) {\n"            \
    "  for i in 0..depth {\n    use norm[i] = layer_norm(dim)\n"                                   \
    "    use ff[i] = feed_forward(dim, 4, glu = true, drop = 0.3)\n  }\n"                          \
    "  fn (x[batch,time,e: dim]) {\n    let y = x\n    for i in 0..depth {\n"                      \
    "      let h = norm[i](y)\n      let z = h\n      @chunk(time, chunks) z = ff[i](h)\n"         \
    "      y = y + z\n    }\n"                                                                     \
    "    let loss = mean[batch,time,e] y[batch,time,e]^2\n    return y, loss\n  }\n}\n"

static void feed_forwards(void **state)
{
    (void)state;
    check(STACK, (int64_t[]){1, 64}, 4, true);
    check(STACK, (int64_t[]){3, 64}, 8, true);
    check(STACK, (int64_t[]){2, 48}, 3, false);
}

static void lengths_that_do_not_divide(void **state)
{
    (void)state;
    check(STACK, (int64_t[]){2, 61}, 4, true);
    check(STACK, (int64_t[]){1, 50}, 7, true);
    check(STACK, (int64_t[]){2, 5}, 8, true); /* fewer positions than pieces */
}

/* Logits that never exist whole. */
#define HEAD                                                                                       \
    "import \"nn.rt\"\nmodel head(dim: int = 12, words: int = 90, chunks: int = 1) {\n"            \
    "  use out = linear(dim, words)\n"                                                             \
    "  fn (x[batch,time,e: dim], target[batch,time]: int) {\n"                                     \
    "    let nll[b,t] = 0 * x[b,t,0]\n    @chunk(time, chunks) {\n"                                \
    "      let y = dropout(out(x), 0.1)\n      let top[b,t] = max[v] y[b,t,v]\n"                   \
    "      let z[b,t] = sum[v] exp(y[b,t,v] - top[b,t])\n"                                         \
    "      nll = loss_of(y, top, z, target)\n    }\n"                                              \
    "    let loss = mean[b,t] nll[b,t]\n    return nll, loss\n  }\n"                               \
    "  fn loss_of(y[b,t,v], top[b,t], z[b,t], target[b,t]: int) {\n"                               \
    "    let n[b,t] = log(z[b,t]) + top[b,t] - (y[b,t,target[b,t]] else 0)\n    return n\n  "      \
    "}\n}\n"

static void a_head(void **state)
{
    (void)state;
    check(HEAD, (int64_t[]){2, 64}, 4, true);
    check(HEAD, (int64_t[]){3, 21}, 4, true);
}

/* Without a region: logits that would take gigabytes at the sizes that the compiler is told run in
 * pieces, at any size: forward and backward in one loop. */
#define WIDE                                                                                       \
    "import \"nn.rt\"\nmodel wide(chunks: int = 1, dim: int = 64, words: int = 65536 * chunks) "   \
    "{\n"                                                                                          \
    "  use out = linear(dim, words)\n"                                                             \
    "  fn (x[batch,time,e: dim], target[batch,time]: int) {\n"                                     \
    "    let loss = cross_entropy(out(x), target, -1)\n    return loss\n  }\n}\n"

static void too_large_to_store(void **state)
{
    (void)state;
    const int64_t dims[] = {8, 75}, bytes = dims[0] * dims[1] * 65536 * 4;
    for (int grad = 0; grad < 2; grad++) {
        Run *whole = run(WIDE, dims, (How){"cpu", 2, 1, grad, 8}),
            *pieces = run(WIDE, dims, (How){"cpu", 2, 1, grad, 1000});
        expect_equal(pieces, whole, 2e-5);
        assert_true(arena_of(whole) >= (size_t)bytes);
        assert_true(arena_of(pieces) < (size_t)bytes / 3);
        run_free(whole), run_free(pieces);
    }
}

/* Attention over all of time, for some rows of the batch after others. */
#define ROWS                                                                                       \
    "import \"nn.rt\"\nmodel rows(dim: int = 12, chunks: int = 1) {\n"                             \
    "  use q = linear(dim, dim)\n  use k = linear(dim, dim)\n  use norm = layer_norm(dim)\n"       \
    "  fn (x[batch,time,e: dim]) {\n    let y = x\n    @chunk(batch, chunks) {\n"                  \
    "      let a = q(x)\n      let c = k(x)\n      y = norm(look(a, c, x))\n    }\n"               \
    "    let loss = mean[batch,time,e] y[batch,time,e]^2\n    return y, loss\n  }\n"               \
    "  fn look(a[b,t,d], c[b,t,d], x[b,t,d]) {\n"                                                  \
    "    let p[b,i,j] = softmax[j | i >= j] sum[d] a[b,i,d] * c[b,j,d]\n"                          \
    "    let o[b,i,d] = sum[j] dropout(p[b,i,j], 0.2) * x[b,j,d]\n    return o\n  }\n}\n"

static void rows_of_a_batch(void **state)
{
    (void)state;
    check(ROWS, (int64_t[]){8, 40}, 4, true);
    check(ROWS, (int64_t[]){5, 33}, 2, true);
}

/* In a reversible stack, whose replays the loop takes in, with layers left out. */
#define STREAMS                                                                                    \
    "import \"nn.rt\"\nmodel streams(dim: int = 12, depth: int = 3, chunks: int = 1) {\n"          \
    "  for i in 0..depth {\n    use f[i] = feed_forward(dim, 4, drop = 0.3)\n"                     \
    "    use g[i] = feed_forward(dim, 4, drop = 0.2)\n  }\n"                                       \
    "  fn (x[batch,time,e: dim]) {\n    let dropped[l: depth] = training and bernoulli(0.3)\n"     \
    "    let a = x\n    let c = x\n    @reversible for i in 0..depth {\n"                          \
    "      if not dropped[i] {\n        a = a + first(i, c)\n        c = c + second(i, a)\n"       \
    "      }\n    }\n"                                                                             \
    "    let loss = mean[batch,time,e] (a[batch,time,e] + c[batch,time,e])^2\n"                    \
    "    return a, c, loss\n  }\n"                                                                 \
    "  fn first(i: int, x[b,t,e]) {\n    @chunk(t, chunks) let y = f[i](x)\n    return y\n  }\n"   \
    "  fn second(i: int, x[b,t,e]) {\n    @chunk(t, chunks) let y = g[i](x)\n    return y\n  "     \
    "}\n}\n"

static void reversible_streams(void **state)
{
    (void)state;
    check(STREAMS, (int64_t[]){2, 50}, 4, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed_forwards),   cmocka_unit_test(lengths_that_do_not_divide),
        cmocka_unit_test(a_head),          cmocka_unit_test(too_large_to_store),
        cmocka_unit_test(rows_of_a_batch), cmocka_unit_test(reversible_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
