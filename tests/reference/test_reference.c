/* Every case of tests/reference/cases: the model with its options, parameters converted from the
 * names of the PyTorch package, one step, and each output, gradient and state compared with what
 * the package computed (make.py). Says which tensors of which case are off, and by how much.
 *
 *     test_reference [ROAD]               on one road (below), or on all
 *     RTC_CASES=moe,pkm test_reference    the cases whose names begin so
 *     RTC_SHOW=1 test_reference           prints how much of the tolerance is used
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "runtime/convert.h"
#include "runtime/exec.h"

#define CASES RTC_SOURCE_DIR "/tests/reference/cases"
#define CACHE RTC_BINARY_DIR "/reference-cache"
#define MODELS RTC_SOURCE_DIR "/models"

/* Largest difference, relative to the root mean square of the tensor. */
static const double value_tolerance = 1e-4, gradient_tolerance = 1e-3;
static const double least_scale = 1e-6;    /* of a tensor that is 0 */

typedef struct {
    const char *name;                /* out/loss, grad/PATH, grad/in/NAME, state/PATH */
    int64_t count;
    const double *v;
} Got;

typedef struct {
    const char *name, *set;
    bool training;
    Diag *d;
    Arena *a;
    StFile *file;
    Program *names;                  /* of training with all inputs: all that the model can have */
    Program *program;                /* what runs */
    ConvertedTensors tensors;        /* under our names */
    VEC(Got) got;
} Case;

/* ---- a case ---- */

static const StEntry *tensor_named(const Case *c, const char *name)
{
    for (int i = 0; i < c->tensors.n; i++)
        if (!strcmp(c->tensors.v[i].name, name)) return &c->tensors.v[i];
    return NULL;
}

static const StEntry *needed(const Case *c, const char *prefix, const char *name)
{
    const StEntry *e = tensor_named(c, arena_printf(c->a, "%s%s", prefix, name));
    if (!e) diag_fail(c->d, "the case has no %s%s", prefix, name);
    return e;
}

/* The elements as doubles. */
static double *elements(const Case *c, const StEntry *e, int64_t *count)
{
    *count = 1;
    for (int i = 0; i < e->rank; i++) *count *= e->shape[i];
    StTensor t = {.name = e->name, .dtype = e->dtype, .count = (size_t)*count, .data = e->data,
                  .file = c->file};
    double *v = NEW_N(c->a, double, *count + 1);
    st_read_f64(&t, v);
    return v;
}

static Override *options(Case *c, int *n)
{
    char *text = arena_strdup(c->a, st_meta(c->file, "set")), *word;
    Override *set = NEW_N(c->a, Override, strlen(text) + 1);
    for (*n = 0; (word = strtok_r(text, " ", &text)); (*n)++) {
        char *equals = strchr(word, '=');
        *equals = 0;
        set[*n] = (Override){word, equals + 1};
    }
    return set;
}

/* The inputs that the case doesn't give. */
static const char *const *absent_inputs(Case *c, int *n)
{
    const Graph *g = c->names->graph;
    const char **names = NEW_N(c->a, const char *, g->inputs.n + 1);
    for (int i = *n = 0; i < g->inputs.n; i++)
        if (!st_find(c->file, arena_printf(c->a, "in/%s", g->inputs.v[i].name)))
            names[(*n)++] = g->inputs.v[i].name;
    return names;
}

static void open_case(Case *c)
{
    c->file = st_open(c->d, c->a, arena_printf(c->a, CASES "/%s.safetensors", c->name));
    LoadOptions o = {.path = arena_printf(c->a, MODELS "/%s.rt", st_meta(c->file, "model")),
                     .library = MODELS, .training = true};
    o.set = options(c, &o.nset);
    c->names = program_load(c->d, &o);
    NameMap *m = namemap_read(c->d, c->a, MODELS "/routing_transformer.map", c->names);
    c->tensors = convert_tensors(c->d, m, true, c->file);
    o.training = !strcmp(st_meta(c->file, "training"), "true");
    o.absent = absent_inputs(c, &o.nabsent);
    c->program = program_load(c->d, &o);
}

static void put(Case *c, const char *prefix, const char *name, int64_t count, const double *v)
{
    vec_push(c->a, &c->got, (Got){arena_printf(c->a, "%s%s", prefix, name), count,
                                  arena_copy(c->a, v, sizeof *v * (size_t)count)});
}

/* ---- comparing ---- */

typedef struct {
    int off;                         /* tensors */
    double worst;                    /* largest difference over its tolerance */
    Str report;
} Verdict;

static void compare_tensor(Case *c, const Got *g, const StEntry *want, Verdict *v)
{
    int64_t count = g->count, at = 0;
    double *w = want ? elements(c, want, &count) : NULL, sum = 0, worst = 0;
    double tolerance = strncmp(g->name, "grad/", 5) ? value_tolerance : gradient_tolerance;
    if (count != g->count) {
        v->off++;
        str_printf(&v->report, "    %-60s %lld elements, expected %lld\n", g->name,
                   (long long)g->count, (long long)count);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double x = w ? w[i] : 0, difference = fabs(g->v[i] - x);
        sum += x * x;
        if (!(difference <= worst)) worst = difference, at = i;
    }
    double scale = fmax(sqrt(sum / fmax((double)count, 1)), least_scale);
    if (!(worst / scale / tolerance <= v->worst)) v->worst = worst / scale / tolerance;
    if (worst <= tolerance * scale) return;
    v->off++;
    str_printf(&v->report,
               "    %-60s off by %.2g of its scale %.2g: [%lld] is %.9g, expected %.9g\n", g->name,
               worst / scale, scale, (long long)at, g->v[at], w ? w[at] : 0);
}

static void compare(Case *c, Verdict *v)
{
    for (int i = 0; i < c->got.n; i++)
        compare_tensor(c, &c->got.v[i], tensor_named(c, c->got.v[i].name), v);
    for (int i = 0; i < c->tensors.n; i++) {
        const char *name = c->tensors.v[i].name;
        bool found = !strncmp(name, "in/", 3) || !strncmp(name, "param/", 6);
        for (int k = 0; k < c->got.n && !found; k++) found = !strcmp(c->got.v[k].name, name);
        if (found) continue;
        v->off++;
        str_printf(&v->report, "    %-60s not computed\n", name);
    }
}

/* ---- a step ---- */

typedef struct {
    const char *name, *device, *pipeline;
} Road;

static const Road roads[] = {
    {"graph", "eval", "grad"},       /* as the front end built it */
    {"eval", "eval", "simplify,dce,grad,simplify,dce,split"},
    {"cpu", "cpu", NULL},
    {"optimised", "cpu", NULL},      /* the same, for a run with the compiler as users have it */
    {"unfused", "cpu", "simplify,dce,grad,simplify,dce,split,contract,group-none"},
};

static void fill(Case *c, const char *name, StoreEntry *s, float *flat)
{
    const StEntry *e = needed(c, "param/", name);
    int64_t count;
    const double *v = elements(c, e, &count);
    if (count != s->count) diag_fail(c->d, "%s has another shape", name);
    for (int64_t i = 0; i < count; i++) flat[s->offset + i] = (float)v[i];
}

static void give_inputs(Case *c, Executable *e, Instance **in)
{
    InputShape *shapes = NEW_N(c->a, InputShape, exec_ninputs(e) + 1);
    int64_t *dims = NEW_N(c->a, int64_t, exec_ndims(e) + 1), count;
    for (int i = 0; i < exec_ninputs(e); i++) {
        DType dt;
        bool optional;
        const char *name = exec_input_name(e, i, &dt, &optional);
        const StEntry *t = needed(c, "in/", name);
        shapes[i] = (InputShape){name, t->rank, t->shape};
    }
    exec_solve(e, shapes, exec_ninputs(e), dims);
    *in = exec_instance(e, dims);
    for (int i = 0; i < exec_ninputs(e); i++) {
        DType dt;
        int64_t n;
        void *data = exec_input_data(*in, shapes[i].name, &dt, &n);
        const double *v = elements(c, needed(c, "in/", shapes[i].name), &count);
        for (int64_t k = 0; k < n; k++) {
            if (dt == DT_FLOAT) ((float *)data)[k] = (float)v[k];
            else if (dt == DT_INT) ((int32_t *)data)[k] = (int32_t)v[k];
            else ((uint8_t *)data)[k] = v[k] != 0;
        }
    }
}

static void put_value(Case *c, const char *prefix, const char *name, const Value *v)
{
    double *x = NEW_N(c->a, double, v->count + 1);
    for (int64_t i = 0; i < v->count; i++)
        x[i] = v->dt == DT_FLOAT ? ((const float *)v->data)[i]
               : v->dt == DT_INT ? ((const int32_t *)v->data)[i]
                                 : ((const uint8_t *)v->data)[i];
    put(c, prefix, name, v->count, x);
}

static void put_flat(Case *c, const char *prefix, const StoreEntry *s, const float *flat)
{
    double *x = NEW_N(c->a, double, s->count + 1);
    for (int64_t i = 0; i < s->count; i++) x[i] = flat[s->offset + i];
    put(c, prefix, s->name, s->count, x);
}

static void collect(Case *c, Executable *e, Instance *in, Store *s, bool training)
{
    Value v;
    for (int i = 0; i < exec_noutputs(e); i++)
        if (exec_output(in, exec_output_name(e, i), &v))
            put_value(c, "out/", exec_output_name(e, i), &v);
    for (int i = 0; i < s->nparam && s->grad; i++) put_flat(c, "grad/", &s->param[i], s->grad);
    for (int i = 0; i < exec_ninputs(e); i++) {
        DType dt;
        bool optional;
        const char *name = exec_input_name(e, i, &dt, &optional);
        if (s->grad && dt == DT_FLOAT && exec_grad(in, name, &v))
            put_value(c, "grad/in/", name, &v);
    }
    if (!training) return;
    store_commit(s);
    for (int i = 0; i < s->nstate; i++) put_flat(c, "state/", &s->state[i], s->state_value);
}

static void run_step(Case *c, const Road *road)
{
    Store *s = store_new(c->d, c->program);
    bool has_loss = graph_find_root(c->program->graph, ROOT_OUTPUT, "loss") != NULL;
    CompileOptions o = {.device = road->device, .pipeline = road->pipeline, .verify_each = true,
                        .want_grad = has_loss, .cache = {.dir = CACHE}, .hint_default = 32};
    Instance *in;
    for (int i = 0; i < s->nparam; i++) fill(c, s->param[i].name, &s->param[i], s->value);
    for (int i = 0; i < s->nstate; i++) fill(c, s->state[i].name, &s->state[i], s->state_value);
    Executable *e = exec_compile(c->d, c->program, s, &o);
    give_inputs(c, e, &in);
    store_begin(s);
    exec_run(in, &(RunOptions){.seed = 1, .step = 1});
    collect(c, e, in, s, !strcmp(st_meta(c->file, "training"), "true"));
    exec_free(e);
    store_free(s);
}

static const char *only_road;

static bool run_road(const char *name, int road)
{
    Case *c = &(Case){.name = name, .d = diag_new(), .a = arena_new()};
    Verdict v = {.report = {.arena = c->a}};
    bool volatile ok = false;
    DIAG_TRY(c->d)
    {
        open_case(c);
        run_step(c, &roads[road]);
        compare(c, &v);
        ok = v.off == 0;
        program_free(c->program);
        program_free(c->names);
        st_close(c->file);
    }
    DIAG_CATCH(c->d) { str_printf(&v.report, "    %s", diag_text(c->d)); }
    DIAG_END(c->d)
    if (!ok)
        print_error("%s on the road %s: %d tensors are off\n%s", name, roads[road].name, v.off,
                    v.report.s);
    else if (getenv("RTC_SHOW"))
        printf("%-28s %-10s %5.1f %% of the tolerance\n", name, roads[road].name, 100 * v.worst);
    arena_free(c->a);
    diag_free(c->d);
    return ok;
}

static void test_case(void **state)
{
    int failed = 0;
    for (int i = 0; i < COUNT(roads); i++)
        if (!only_road || !strcmp(only_road, roads[i].name)) failed += !run_road(*state, i);
    assert_int_equal(failed, 0);
}

/* ---- the list of cases ---- */

static bool is_wanted(const char *name)
{
    const char *p = getenv("RTC_CASES");
    for (; p && *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] != 0))
        if (!strncmp(p, name, strcspn(p, ","))) return true;
    return !getenv("RTC_CASES");
}

static int is_case(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');
    return dot && !strcmp(dot, ".safetensors");
}

int main(int argc, char **argv)
{
    struct dirent **files;
    int n = scandir(CASES, &files, is_case, alphasort), count = 0;
    bool known = argc < 2;
    if (argc > 1) only_road = argv[1];
    for (int i = 0; i < COUNT(roads) && !known; i++) known = !strcmp(only_road, roads[i].name);
    if (n < 1 || !known) {
        fprintf(stderr, n < 1 ? "no cases in %s\n" : "no road `%s`\n", n < 1 ? CASES : only_road);
        return 1;
    }
    struct CMUnitTest *tests = calloc((size_t)n, sizeof *tests);
    for (int i = 0; i < n; i++) {
        *strrchr(files[i]->d_name, '.') = 0;
        if (!is_wanted(files[i]->d_name)) continue;
        tests[count++] = (struct CMUnitTest){.name = files[i]->d_name, .test_func = test_case,
                                             .initial_state = files[i]->d_name};
    }
    if (!count) fprintf(stderr, "no case begins with one of %s\n", getenv("RTC_CASES"));
    int failed = !count || _cmocka_run_group_tests("reference", tests, (size_t)count, NULL, NULL);
    for (int i = 0; i < n; i++) free(files[i]);
    free(files);
    free(tests);
    return failed;
}
