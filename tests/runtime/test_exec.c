/* The executor: sizes, inputs, results, micro-steps, states, checks, absent inputs, and no
 * allocation. */
#include <stdatomic.h>
#include "exec_test.h"

/* ---- allocations counted: this program's malloc ---- */

#if defined(__SANITIZE_ADDRESS__)
#define COUNTED 0
static atomic_llong allocations;
#else
#define COUNTED 1
static atomic_llong allocations;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t a, size_t n);

void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t m)
{
    allocations++;
    return __libc_calloc(n, m);
}
void *realloc(void *p, size_t n)
{
    allocations++;
    return __libc_realloc(p, n);
}
int posix_memalign(void **p, size_t a, size_t n)
{
    allocations++;
    *p = __libc_memalign(a, n);
    return *p ? 0 : 12;
}
#endif

/* ---- one program with everything: branch, state, draws, gradient, gather ---- */

static void everything(Test *t, const void *arg)
{
    (void)arg;
    Graph *g = t->g;
    free_axis(t, 'b');
    axis(t, 'd', 20);
    axis(t, 'v', 7);
    const Space *none = space(t, ""), *b = space(t, "b"), *bd = space(t, "bd"), *d = space(t, "d");
    Edge x = graph_leaf(g, OP_input, "x", DT_INT, b);
    graph_assume_range(g, x.node, t->ext['v'], "x holds no row of the table", NO_LOC);
    Edge table = param(t, "table", "vd"), other = param(t, "other", "d");
    const Ix *row[] = {ix_load(g, at(t, x, "b", "bd"), bd), ix_axis(g, 1)};
    Edge h = edge_comp(g, table, map_make(g, 2, row), bd);
    Edge keep = graph_pw2(g, OP_le, bd, graph_float(g, 0.5), graph_rand(g, 3, bd));
    h = graph_select(g, bd, keep, h, graph_float(g, 0));
    Edge coin = graph_pw2(g, OP_lt, none, graph_rand(g, 4, none), graph_float(g, 0.5));
    Edge with = pw(t, OP_mul, "bd", h, "bd", other, "d");
    h = graph_branch(g, bd, coin, with, h);
    Edge mean = graph_leaf(g, OP_state, "mean", DT_FLOAT, d);
    Edge fresh = graph_leaf(g, OP_fresh, "mean", DT_BOOL, none);
    Edge sum = reduce(t, OP_sum, "d", "b", h, "bd");
    Edge start = graph_branch(g, d, fresh, graph_float(g, 0), mean);
    root(t, ROOT_UPDATE, "mean", graph_pw2(g, OP_add, d, start, sum), "d");
    root(t, ROOT_OUTPUT, "h", h, "bd");
    root(t, ROOT_OUTPUT, "loss", reduce(t, OP_sum, "", "bd", pw1(t, OP_tanh, "bd", h, "bd"), "bd"),
         "");
}

/* With the first seed that gives the coin this side. */
static Run compiled_with(const char *device, bool coin, uint64_t *seed)
{
    for (*seed = 0;; ++*seed) {
        How h = {.device = device,
                 .threads = 2,
                 .grad = true,
                 .dims = (int64_t[]){9},
                 .seed = *seed,
                 .ints = 7};
        Run r = run_program(everything, NULL, &h);
        if (store_param(r.s, "other")->reached == coin) return r;
        run_done(&r);
    }
}

static Run compiled(const char *device, bool coin)
{
    uint64_t seed;
    return compiled_with(device, coin, &seed);
}

static void expect_error(Run *r, const char *text)
{
    if (!strstr(diag_text(r->t.d), text))
        fail_msg("`%s` expected, found: %s", text, diag_text(r->t.d));
}

#define FAILS(r, text, ...)                                                                        \
    do {                                                                                           \
        volatile bool failed = false;                                                              \
        DIAG_TRY((r)->t.d) { __VA_ARGS__; }                                                        \
        DIAG_CATCH((r)->t.d) { failed = true; }                                                    \
        DIAG_END((r)->t.d)                                                                         \
        assert_true(failed);                                                                       \
        expect_error(r, text);                                                                     \
    } while (0)

static void inputs(void **state)
{
    (void)state;
    Run r = compiled("cpu", true);
    int32_t x[12] = {0};
    float f[12] = {0};
    FAILS(&r, "reads no input `y`", exec_input(r.in, "y", DT_INT, 1, (int64_t[]){9}, x));
    FAILS(&r, "has 2 axes", exec_input(r.in, "x", DT_INT, 2, (int64_t[]){3, 3}, x));
    FAILS(&r, "expected: [b] = [9]", exec_input(r.in, "x", DT_INT, 1, (int64_t[]){8}, x));
    FAILS(&r, "takes int values", exec_input(r.in, "x", DT_FLOAT, 1, (int64_t[]){9}, f));
    FAILS(&r, "sizes lie in", exec_instance(r.e, (int64_t[]){0}));
    Instance *other = exec_instance(r.e, (int64_t[]){4});
    FAILS(&r, "`x` [b] isn't given", exec_run(other, &(RunOptions){0}));
    int64_t dims[1];
    exec_solve(r.e, &(InputShape){"x", 1, (int64_t[]){33}}, 1, dims);
    assert_int_equal(dims[0], 33);
    FAILS(&r, "has 2 axes", exec_solve(r.e, &(InputShape){"x", 2, (int64_t[]){3, 3}}, 1, dims));
    assert_ptr_equal(exec_instance(r.e, (int64_t[]){4}), other);
    assert_ptr_equal(exec_instance(r.e, (int64_t[]){9}), r.in);
    assert_int_equal(exec_ndims(r.e), 1);
    assert_string_equal(exec_dim_name(r.e, 0), "b");
    assert_int_equal(exec_noutputs(r.e), 2);
    Value v;
    assert_false(exec_output(r.in, "nothing", &v));
    run_done(&r);
}

/* A value out of range is found before anything is computed. */
static void checked_values(void **state)
{
    (void)state;
    static const char *const device[] = {"cpu", "eval"};
    for (volatile int i = 0; i < 2; i++) {
        Run r = compiled(device[i], true);
        int32_t x[9] = {0, 1, 2, 3, 4, 5, 6, 7, 0};
        float before = r.s->grad[0];
        exec_input(r.in, "x", DT_INT, 1, (int64_t[]){9}, x);
        FAILS(&r, "x holds no row of the table", exec_run(r.in, &(RunOptions){0}));
        assert_true(r.s->grad[0] == before && r.s->micro_steps == 1);
        x[7] = 6;
        exec_input(r.in, "x", DT_INT, 1, (int64_t[]){9}, x);
        DIAG_TRY(r.t.d) { exec_run(r.in, &(RunOptions){0}); }
        DIAG_CATCH(r.t.d) { fail_msg("%s", diag_text(r.t.d)); }
        DIAG_END(r.t.d)
        run_done(&r);
    }
}

/* Gradients and updates over micro-steps; a parameter that no step reached. */
static void micro_steps(void **state)
{
    (void)state;
    static const char *const device[] = {"cpu", "eval"};
    for (int i = 0; i < 4; i++) {
        bool coin = i & 1;
        uint64_t seed;
        Run r = compiled_with(device[i / 2], coin, &seed);
        StoreEntry *table = store_param(r.s, "table"), *other = store_param(r.s, "other");
        StoreEntry *mean = store_state(r.s, "mean");
        float *g = r.s->grad + table->offset, *next = r.s->state_next + mean->offset;
        float *was = r.s->state_value + mean->offset, once = g[0];
        Value v;
        assert_true(exec_update(r.in, "mean", &v));
        float update = ((const float *)v.data)[3];
        assert_true(table->reached && other->reached == coin && mean->reached);
        assert_true(next[3] == update && r.s->micro_steps == 1);
        mean->fresh = false; /* not its first step: all proposals count */
        for (int k = 0; k < 3; k++) exec_run(r.in, &(RunOptions){.seed = seed, .step = 3});
        assert_int_equal(r.s->micro_steps, 4);
        assert_true(fabsf(g[0] - 4 * once) <= 1e-6f * fabsf(g[0]));
        store_commit(r.s);
        assert_true(fabsf(was[3] - update) <= 1e-6f * fabsf(update));
        for (int k = 0; k < other->count && !coin; k++)
            assert_true(r.s->grad[other->offset + k] == 0);
        store_begin(r.s);
        assert_false(table->reached || mean->reached);
        run_done(&r);
    }
}

/* Sums of gradients are the sum of the gradients. */
static void accumulated(void **state)
{
    (void)state;
    Run r = compiled("cpu", true);
    Store *s = r.s;
    float *one = NEW_N(r.t.u.arena, float, s->param_total),
          *two = NEW_N(r.t.u.arena, float, s->param_total);
    RunOptions a = {.seed = 5, .step = 1}, b = {.seed = 6, .step = 9};
    store_begin(s);
    exec_run(r.in, &a);
    memcpy(one, s->grad, sizeof *one * (size_t)s->param_total);
    store_begin(s);
    exec_run(r.in, &b);
    memcpy(two, s->grad, sizeof *two * (size_t)s->param_total);
    store_begin(s);
    exec_run(r.in, &a);
    exec_run(r.in, &b);
    for (int64_t i = 0; i < s->param_total; i++) assert_true(s->grad[i] == one[i] + two[i]);
    run_done(&r);
}

/* Growing to larger sizes and back changes nothing; every run of equal arguments gives equal bits.
 */
static void sizes_in_turn(void **state)
{
    (void)state;
    Run r = compiled("cpu", true);
    Value v;
    float h[180], loss;
    assert_true(exec_output(r.in, "h", &v));
    assert_int_equal(v.count, 180);
    RunOptions o = {.seed = 1, .step = 3};
    exec_run(r.in, &o);
    assert_true(exec_output(r.in, "h", &v));
    memcpy(h, v.data, sizeof h);
    exec_output(r.in, "loss", &v);
    loss = *(const float *)v.data;
    for (int64_t n = 5000; n > 100; n /= 7) {
        Instance *in = exec_instance(r.e, &n);
        fill_inputs(in, 7);
        exec_run(in, &o);
    }
    exec_run(r.in, &o);
    assert_true(exec_output(r.in, "h", &v));
    assert_memory_equal(h, v.data, sizeof h);
    exec_output(r.in, "loss", &v);
    assert_true(loss == *(const float *)v.data);
    run_done(&r);
}

/* After an instance's first run, neither rtc nor its kernels allocate. */
static void no_allocation(void **state)
{
    (void)state;
    Run r = compiled("cpu", true);
    RunOptions o = {.seed = 1, .step = 3};
    exec_run(r.in, &o);
    long long before = allocations, grown = exec_stats(r.in).allocations;
    for (int i = 0; i < 20; i++) {
        store_begin(r.s);
        exec_run(r.in, &o);
        store_commit(r.s);
    }
    if (COUNTED) assert_true(before > 0 && allocations == before);
    assert_int_equal(exec_stats(r.in).allocations, grown);
    ExecStats st = exec_stats(r.in);
    assert_true(st.kernels > 0 && st.launches >= st.kernels && st.arena_bytes >= st.arena_lower);
    assert_true(st.compile_seconds > 0);
    run_done(&r);
}

static void profile(void **state)
{
    (void)state;
    Run r = compiled("cpu", true);
    exec_run(r.in, &(RunOptions){.seed = 1, .step = 3, .profile = true});
    const StepProfile *p;
    int n = exec_profile(r.in, &p), ran = 0;
    for (int i = 0; i < n; i++) ran += p[i].runs;
    assert_true(ran > 0 && ran < n); /* host steps and the side not taken have none */
    run_done(&r);
}

/* ---- inputs that are not given ---- */

static Program *optional_inputs(Test *t)
{
    Graph *g = t->g;
    free_axis(t, 'b');
    Edge x = input(t, "x", "b"), scale = input(t, "scale", "b"), more = input(t, "more", "b");
    for (int i = 0; i < g->inputs.n; i++) {
        Named *n = &g->inputs.v[i];
        n->optional = strcmp(n->name, "x") != 0;
        n->fill = strcmp(n->name, "scale") ? NAN : 3;
    }
    root(t, ROOT_OUTPUT, "y", pw(t, OP_mul, "b", x, "b", scale, "b"), "b");
    root(t, ROOT_OUTPUT, "z", pw(t, OP_add, "b", x, "b", more, "b"), "b");
    Program *p = NEW(t->u.arena, Program);
    *p = (Program){.model = "test", .graph = g};
    return p;
}

static void absent(void **state)
{
    (void)state;
    const char *const names[] = {"scale", "more"}, *const z[] = {"z"};
    Run r = {.t = graph_test()};
    CompileOptions o = {.absent = names, .nabsent = 2, .threads = 1, .cache = {.off = true}};
    DIAG_TRY(r.t.d)
    {
        r.e = exec_compile(r.t.d, optional_inputs(&r.t), NULL, &o);
        r.in = exec_instance(r.e, (int64_t[]){3});
        exec_input(r.in, "x", DT_FLOAT, 1, (int64_t[]){3}, (float[]){1, 2, 3});
        exec_run(r.in, &(RunOptions){0});
    }
    DIAG_CATCH(r.t.d) { fail_msg("%s", diag_text(r.t.d)); }
    DIAG_END(r.t.d)
    Value v;
    assert_true(exec_output(r.in, "y", &v));
    assert_true(value_at(&v, 2) == 9);
    assert_false(exec_output(r.in, "z", &v));
    assert_int_equal(exec_ninputs(r.e), 1);
    exec_free(r.e);
    test_done(&r.t);
    Run again = {.t = graph_test()};
    o.outputs = z, o.noutputs = 1;
    Program *p = optional_inputs(&again.t);
    FAILS(&again, "output `z` needs the input `more`", exec_compile(again.t.d, p, NULL, &o));
    test_done(&again.t);
}

static void unknown_device(void **state)
{
    (void)state;
    Run r = {.t = graph_test()};
    Program *p = optional_inputs(&r.t);
    FAILS(&r, "did you mean `cpu`",
          exec_compile(r.t.d, p, NULL, &(CompileOptions){.device = "cpo"}));
    test_done(&r.t);
}

/* The row maxima live and die in the kernel that stores them moved by 2. Backward reads those moved
 * back by 2, where the guard is decided: it has to read what is stored all the same. */
static void moved_there_and_back(Test *t, const void *arg)
{
    (void)arg;
    free_axis(t, 'b');
    axis(t, 'h', 3);
    axis(t, 'w', 16);
    Graph *g = t->g;
    Edge zero = graph_float(g, 0), most = reduce(t, OP_rmax, "w", "h", param(t, "q", "hw"), "hw");
    const Ix *back[] = {ix_add(g, ix_axis(g, 0), ix_const(g, -2))};
    Edge moved = graph_access(g, space(t, "w"), space(t, "w"), most, map_make(g, 1, back), &zero);
    Edge sum = reduce(t, OP_sum, "", "w", pw1(t, OP_tanh, "w", moved, "w"), "w");
    Edge b = graph_cast(g, DT_FLOAT, space(t, "b"), graph_idx(g, ix_axis(g, 0), space(t, "b")));
    root(t, ROOT_OUTPUT, "moved", at(t, moved, "w", "bw"), "bw");
    root(t, ROOT_OUTPUT, "loss",
         reduce(t, OP_sum, "", "b", pw(t, OP_mul, "b", sum, "", b, "b"), "b"), "");
}

static void stored_reads(void **state)
{
    (void)state;
    check_program("stored reads", moved_there_and_back, NULL,
                  (How){.dims = (int64_t[]){5}, .grad = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs),        cmocka_unit_test(checked_values),
        cmocka_unit_test(micro_steps),   cmocka_unit_test(accumulated),
        cmocka_unit_test(sizes_in_turn), cmocka_unit_test(no_allocation),
        cmocka_unit_test(profile),       cmocka_unit_test(absent),
        cmocka_unit_test(stored_reads),  cmocka_unit_test(unknown_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
