/* Kernels with a mistake each: found, with the right name, place, thread and variable. */
#include "simt_test.h"
#include <string.h>

typedef struct {
    const float *in;
    float *out;
    int n, one;
} Args;

static Bench bench;
static char *text;

static int open_bench(void **state)
{
    (void)state;
    bench = bench_open("wrong.cu");
    text = read_kernels(bench.d, "wrong.cu");
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    bench_close(&bench);
    return 0;
}

static int launch(Mode mode, const char *kernel)
{
    float *in = simt_alloc(bench.s, "in", 512, true), *out = simt_alloc(bench.s, "out", 512, false);
    Args a = {in, out, 128, 1};
    for (int i = 0; i < 128; i++) in[i] = (float)i;
    int n = run(&bench, mode, kernel, (SimtDim){2, 1, 1}, (SimtDim){64, 1, 1}, 256, &a, sizeof a);
    simt_release(bench.s, in);
    simt_release(bench.s, out);
    return n;
}

/* ---- what a line says is wrong with it ---- */

typedef struct {
    char variable[64];
    int block, thread;
} Mark; /* block, thread: -1 if any */

static bool marked(int line, Mark *m)
{
    const char *p = text;
    for (int i = 1; i < line && p; i++) p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL;
    if (!p || line < 1) return false;
    size_t length = strcspn(p, "\n");
    const char *mark = strstr(p, "/* wrong");
    *m = (Mark){"", -1, -1};
    if (!mark || mark > p + length) return false;
    if (mark[8] != ':') return true;
    int n = (int)(strstr(mark, " */") - (mark + 10));
    snprintf(m->variable, sizeof m->variable, "%.*s", n, mark + 10);
    char *end = m->variable + strlen(m->variable), *thread = strrchr(m->variable, ' ');
    if (!thread || end[-1] < '0' || end[-1] > '9') return true;
    m->thread = atoi(thread + 1);
    *thread = 0;
    char *block = strrchr(m->variable, ' ');
    m->block = atoi(block ? block + 1 : m->variable);
    if (!block) block = m->variable;
    *block = 0;
    return true;
}

static bool as_marked(const SimtReport *r, SimtFault fault)
{
    Mark m;
    if (r->fault != fault || !marked(r->line, &m)) return false;
    if (strcmp(r->variable, m.variable)) return false;
    return m.block < 0 || ((int)r->block.x == m.block && (int)r->thread.x == m.thread);
}

static SimtFault fault_of(const char *kernel)
{
    static const struct {
        const char *prefix;
        SimtFault fault;
    } table[] = {{"bounds", SIMT_OUT_OF_BOUNDS},  {"race", SIMT_RACE},
                 {"divergent", SIMT_DIVERGENT},   {"deadlock", SIMT_DEADLOCK},
                 {"misaligned", SIMT_MISALIGNED}, {"unset", SIMT_UNINITIALISED},
                 {"flight", SIMT_IN_FLIGHT},      {"arithmetic", SIMT_ARITHMETIC}};
    for (int i = 0; i < COUNT(table); i++)
        if (!strncmp(kernel, table[i].prefix, strlen(table[i].prefix))) return table[i].fault;
    fail_msg("%s: no such fault", kernel);
    return 0;
}

/* ---- tests ---- */

static void each_is_found(void **state)
{
    (void)state;
    int kernels = 0;
    for (const char *p = text; (p = strstr(p, "\nWRONG(")); p++) {
        char kernel[64];
        assert_int_equal(sscanf(p, "\nWRONG(%63[a-z_])", kernel), 1);
        int n = launch(CHECKED, kernel);
        kernels++;
        if (!strcmp(kernel, "none")) {
            assert_int_equal(n, 0);
            continue;
        }
        bool found = false;
        for (int i = 0; i < n; i++) found |= as_marked(simt_report(bench.s, i), fault_of(kernel));
        if (!found)
            fail_msg("%s: %d reports; the first: %s", kernel, n,
                     n ? simt_report(bench.s, 0)->text : "");
        /* The machine is as good as new afterwards. */
        assert_int_equal(launch(CHECKED, "none"), 0);
    }
    assert_true(kernels >= 45);
}

/* What needs no look at every access is found in the fast build too, in both orders. */
static void the_machine_itself_sees(void **state)
{
    (void)state;
    static const char *const kernels[] = {
        "bounds_read",        "bounds_write_far",   "bounds_vector",     "bounds_dynamic",
        "bounds_null",        "bounds_constant",    "bounds_copy",       "bounds_copy_to",
        "bounds_stack",       "divergent_places",   "divergent_count",   "divergent_return",
        "divergent_mask",     "divergent_outsider", "divergent_shuffle", "deadlock_warp",
        "misaligned_copy",    "misaligned_rows",    "flight_left",       "flight_no_wait",
        "arithmetic_division"};
    for (int i = 0; i < COUNT(kernels); i++)
        for (Mode m = FORWARD; m <= REVERSE; m++) {
            assert_true(launch(m, kernels[i]) > 0);
            const SimtReport *r = simt_report(bench.s, 0);
            Mark mark;
            if (r->fault != fault_of(kernels[i]) || !marked(r->line, &mark))
                fail_msg("%s: %s", kernels[i], r->text);
            assert_int_equal(launch(m, "none"), 0);
        }
}

static void a_report_says_everything(void **state)
{
    (void)state;
    assert_int_equal(launch(CHECKED, "bounds_index"), 1);
    const SimtReport *r = simt_report(bench.s, 0);
    assert_non_null(
        strstr(r->text, "out of bounds: bounds_index, block (0,0,0) thread (16,0,0): "));
    assert_non_null(strstr(r->text, "index 17"));
    assert_non_null(strstr(r->text, "`tile`"));
    assert_non_null(strstr(r->text, "wrong.cu:"));
    assert_non_null(strstr(r->text, "tile[T & 15]"));
    assert_null(simt_report(bench.s, 1));
    assert_string_equal(simt_fault_name(r->fault), "out of bounds");
    launch(CHECKED, "race_two_writers");
    r = simt_report(bench.s, 0);
    assert_non_null(strstr(r->text, "with no barrier between: `s`, byte 0 of 256"));
}

/* ---- refused before it runs ---- */

static void refuses(const char *kernel, SimtBuild build, const char *first, const char *second)
{
    volatile bool refused = true;
    DIAG_TRY(bench.d)
    {
        simt_compile(bench.s, "refused.cu", kernel, build, &(CacheOptions){.off = true});
        refused = false;
    }
    DIAG_CATCH(bench.d)
    {
        const char *message = diag_text(bench.d);
        if (!strstr(message, first) || !strstr(message, second)) fail_msg("%s", message);
    }
    DIAG_END(bench.d)
    assert_true(refused);
    diag_reset(bench.d);
}

#define HEAD "typedef struct { float *out; int n; } A;\nKERNEL(k, 32, 1, A, a)\n{\n"
static void what_the_compiler_refuses(void **state)
{
    (void)state;
    refuses(HEAD "float x;\na.out[0] = x;\n}\n", SIMT_FAST, "refused.cu:5", "uninitialized");
    refuses(HEAD "float x;\nif (a.n > 3) x = a.out[1];\na.out[0] = x;\n}\n", SIMT_CHECKED_BUILD,
            "refused.cu:6", "uninitialized");
    refuses(HEAD "float x[2];\nx[0] = 1.0f;\na.out[0] = x[0] + x[1];\n}\n", SIMT_CHECKED_BUILD,
            "refused.cu:6", "uninitialized");
    refuses(HEAD "a.out[0] = tensor(1);\n}\n", SIMT_FAST, "refused.cu:4", "tensor");
    refuses(HEAD "int *p = a.out;\na.out[0] = (float)*p;\n}\n", SIMT_FAST, "refused.cu:4",
            "incompatible");
}

/* ---- wrong use of the machine ---- */

static void launch_is_refused(SimtLaunch l, const char *why)
{
    volatile bool refused = true;
    DIAG_TRY(bench.d)
    {
        simt_launch(bench.s, simt_kernel(bench.fast, "none"), &l);
        refused = false;
    }
    DIAG_CATCH(bench.d)
    {
        if (!strstr(diag_text(bench.d), why)) fail_msg("%s", diag_text(bench.d));
    }
    DIAG_END(bench.d)
    assert_true(refused);
    diag_reset(bench.d);
}

static void launches_that_no_gpu_takes(void **state)
{
    (void)state;
    Args a = {0};
    SimtLaunch good = {{1, 1, 1}, {64, 1, 1}, 0, &a, sizeof a, SIMT_FORWARD}, l = good;
    l.bytes = sizeof a - 8;
    launch_is_refused(l, "bytes of arguments");
    l = good, l.block.x = 65;
    launch_is_refused(l, "at most 64");
    l = good, l.block.y = 0;
    launch_is_refused(l, "at most 64");
    l = good, l.grid.y = 65536;
    launch_is_refused(l, "a grid of");
    l = good, l.grid.z = 0;
    launch_is_refused(l, "a grid of");
    l = good, l.shared = 228 << 10;
    launch_is_refused(l, "dynamic shared memory");
    assert_null(simt_kernel(bench.fast, "nonesuch"));
}

static void buffers(void **state)
{
    (void)state;
    void *p[300];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 300; i++) {
            p[i] = simt_alloc(bench.s, "many", (size_t)i * 7, false);
            assert_int_equal((uintptr_t)p[i] % 16, 0);
            memset(p[i], i, (size_t)i * 7);
        }
        for (int i = 299; i >= 0; i -= 2) simt_release(bench.s, p[i]);
        for (int i = 0; i < 300; i += 2) {
            for (int k = 0; k < i * 7; k++) assert_int_equal(((unsigned char *)p[i])[k], i & 255);
            simt_release(bench.s, p[i]);
        }
    }
    simt_release(bench.s, NULL);
}

/* What the host says it wrote may be read, and nothing else, until the buffer is forgotten. */
static void written_by_the_host(void **state)
{
    (void)state;
    float *in = simt_alloc(bench.s, "in", 512, false),
          *out = simt_alloc(bench.s, "out", 512, false);
    Args a = {in, out, 128, 1};
#define NONE()                                                                                     \
    run(&bench, CHECKED, "none", (SimtDim){2, 1, 1}, (SimtDim){64, 1, 1}, 0, &a, sizeof a)
    memset(in, 0, 512);
    assert_true(NONE() > 0);
    simt_written(bench.s, in, 256);
    assert_true(NONE() > 0);
    assert_int_equal(simt_report(bench.s, 0)->offset, 256);
    assert_int_equal(simt_report(bench.s, 0)->block.x, 1);
    simt_written(bench.s, in + 64, 255);
    assert_true(NONE() > 0);
    assert_int_equal(simt_report(bench.s, 0)->offset, 511);
    simt_written(bench.s, (char *)in + 511, 1);
    assert_int_equal(NONE(), 0);
    /* What a kernel wrote may be read by the next. */
    a = (Args){out, in, 128, 1};
    assert_int_equal(NONE(), 0);
    simt_forget(bench.s, out);
    assert_true(isnan(out[5]));
    assert_true(NONE() > 0);
    simt_release(bench.s, in);
    simt_release(bench.s, out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found),
        cmocka_unit_test(the_machine_itself_sees),
        cmocka_unit_test(a_report_says_everything),
        cmocka_unit_test(what_the_compiler_refuses),
        cmocka_unit_test(launches_that_no_gpu_takes),
        cmocka_unit_test(buffers),
        cmocka_unit_test(written_by_the_host),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
