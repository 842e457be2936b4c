/* exec_test.h: one program, built anew for every device, and its results compared with the
 * evaluator's. */
#ifndef RTC_TESTS_EXEC_TEST_H
#define RTC_TESTS_EXEC_TEST_H

#include <math.h>
#include "tests/passes/pass_test.h"
#include "runtime/device.h"

typedef void (*Builder)(Test *t, const void *arg);

typedef struct {
    const char *device, *pipeline, *isa;
    int threads;
    bool grad;
    const int64_t *dims; /* by free dimension */
    double rtol, atol;
    uint64_t seed;
    bool fresh;
    int ints; /* int inputs lie in [0, ints); 0: 5 */
    const PassRegistry *registry;
} How;

/* A run kept for comparison: every root by position. */
typedef struct {
    Test t;
    Program p;
    Store *s;
    Executable *e;
    Instance *in;
} Run;

static inline float test_number(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return (float)((int64_t)(*s >> 40) - (1 << 23)) / (float)(1 << 22); /* -2 .. 2 */
}

static inline void fill_store(Store *s)
{
    uint64_t r = 7;
    for (int i = 0; i < s->nparam; i++)
        for (int64_t k = 0; k < s->param[i].count; k++)
            s->value[s->param[i].offset + k] = test_number(&r);
    for (int i = 0; i < s->nstate; i++) {
        float *v = s->state_value + s->state[i].offset;
        for (int64_t k = 0; k < s->state[i].count; k++) {
            float x = test_number(&r);
            if (s->state[i].dt == DT_FLOAT)
                v[k] = x;
            else if (s->state[i].dt == DT_INT)
                ((int32_t *)(void *)v)[k] = (int32_t)(x * 100);
            else
                ((uint8_t *)(void *)v)[k] = x > 0;
        }
    }
}

static inline void fill_inputs(Instance *in, int ints)
{
    uint64_t r = 11;
    for (int i = 0; i < exec_ninputs(in->e); i++) {
        DType dt;
        bool optional;
        int64_t n;
        const char *name = exec_input_name(in->e, i, &dt, &optional);
        void *data = exec_input_data(in, name, &dt, &n);
        for (int64_t k = 0; k < n; k++) {
            float x = test_number(&r);
            if (dt == DT_FLOAT)
                ((float *)data)[k] = x;
            else if (dt == DT_INT)
                ((int32_t *)data)[k] = (int32_t)((x + 2) / 4 * (float)(ints ? ints : 5));
            else
                ((uint8_t *)data)[k] = x > 0;
        }
    }
}

static inline Run run_program(Builder build, const void *arg, const How *h)
{
    Run r = {.t = graph_test()};
    DIAG_TRY(r.t.d)
    {
        build(&r.t, arg);
        r.p = (Program){.model = "test", .graph = r.t.g};
        r.s = store_new(r.t.d, &r.p);
        fill_store(r.s);
        CompileOptions o = {.device = h->device,
                            .pipeline = h->pipeline,
                            .registry = h->registry,
                            .threads = h->threads,
                            .isa = h->isa ? h->isa : getenv("RTC_TEST_ISA"),
                            .want_grad = h->grad,
                            .hint_default = 64,
                            .cache = {.dir = RTC_BINARY_DIR "/test-cache"}};
        r.e = exec_compile(r.t.d, &r.p, r.s, &o);
        if (getenv("RTC_SHOW") && r.e->plan)
            plan_emit(r.e->plan, getenv("RTC_SHOW")); /* the last one stays */
        r.in = exec_instance(r.e, h->dims);
        fill_inputs(r.in, h->ints);
        store_begin(r.s);
        exec_run(r.in, &(RunOptions){.seed = h->seed, .step = 3, .fresh = h->fresh});
    }
    DIAG_CATCH(r.t.d) { fail_msg("%s", diag_text(r.t.d)); }
    DIAG_END(r.t.d)
    return r;
}

static inline void run_done(Run *r)
{
    exec_free(r->e);
    store_free(r->s);
    test_done(&r->t);
}

static inline double value_at(const Value *v, int64_t i)
{
    return v->dt == DT_FLOAT ? ((const float *)v->data)[i]
           : v->dt == DT_INT ? ((const int32_t *)v->data)[i]
                             : ((const uint8_t *)v->data)[i];
}

static inline bool root_value(Run *r, RootKind kind, const char *name, Value *v)
{
    return kind == ROOT_OUTPUT ? exec_output(r->in, name, v)
           : kind == ROOT_GRAD ? exec_grad(r->in, name, v)
                               : exec_update(r->in, name, v);
}

/* Sums of many numbers of size 1 differ in float32 by more than each alone: tolerances grow with
 * the largest value. */
static inline void compare_values(const char *what, const char *name, const Value *got,
                                  const Value *want, const How *h)
{
    double most = 0;
    assert_int_equal(got->count, want->count);
    for (int64_t i = 0; i < want->count; i++) {
        double w = fabs(value_at(want, i));
        if (w > most && w < 1e30) most = w;
    }
    for (int64_t i = 0; i < want->count; i++) {
        double g = value_at(got, i), w = value_at(want, i);
        if (isnan(w) && isnan(g)) continue;
        if (isinf(w) && g == w) continue;
        double near = want->dt == DT_FLOAT ? h->atol + h->rtol * (fabs(w) + 0.1 * most) : 0;
        if (!(fabs(g - w) <= near))
            fail_msg("%s: %s[%lld] is %.9g, not %.9g", what, name, (long long)i, g, w);
    }
}

static inline int compare_runs(const char *what, Run *got, Run *want, const How *h)
{
    int n = 0;
    for (int i = 0; i < exec_nroots(want->e); i++) {
        const char *name;
        const Space *s;
        DType dt;
        RootKind kind = exec_root(want->e, i, &name, &s, &dt);
        Value g, w;
        if (kind == ROOT_INIT) continue;
        assert_true(root_value(want, kind, name, &w));
        if (!root_value(got, kind, name, &g)) fail_msg("%s: no value of %s", what, name);
        compare_values(what, name, &g, &w, h);
        n++;
    }
    return n;
}

/* cpu against eval: unfused and fused, with one thread and two, whose bits must agree. */
static inline void check_program(const char *what, Builder build, const void *arg, How h)
{
    static const char *const unfused[] = {"dce,group-none",
                                          "simplify,dce,grad,simplify,dce,group-none"};
    if (h.rtol == 0) h.rtol = 2e-5;
    if (h.atol == 0) h.atol = 1e-6;
    How e = h;
    e.device = "eval";
    Run want = run_program(build, arg, &e);
    const char *const pipelines[] = {unfused[h.grad],
                                     h.grad ? NULL : "simplify,dce,split,contract,group"};
    for (int p = 0; p < 2; p++) {
        How one = h, two = h;
        one.pipeline = two.pipeline = pipelines[p];
        one.threads = 1, two.threads = 2;
        Run a = run_program(build, arg, &one), b = run_program(build, arg, &two);
        char name[128];
        snprintf(name, sizeof name, "%s, %s", what, p ? "fused" : "unfused");
        assert_true(compare_runs(name, &a, &want, &h) > 0);
        How same = {.rtol = 0};
        snprintf(name, sizeof name, "%s, 2 threads", what);
        compare_runs(name, &b, &a, &same);
        run_done(&a);
        run_done(&b);
    }
    run_done(&want);
}

#endif
