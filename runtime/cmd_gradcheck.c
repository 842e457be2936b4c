/* cmd_gradcheck.c: `rtc gradcheck`: gradients against finite differences on the evaluator, and
 * the device's gradients against the evaluator's. */
#include <jansson.h>
#include <math.h>
#include "passes/grad.h"
#include "runtime/command.h"
#include "runtime/trial.h"

/* Bounds for a pass: differences in double precision, and a device that stores floats. */
static const double bound_differences = 1e-4, bound_device = 1e-3;
enum { SMALL = 16, PROBES = 4 };

static void release_program(void *p) { program_free(p); }

static GradError *by_differences(Command *c, const SessionOptions *o, int *n)
{
    Program *p = program_load(c->diag, &(LoadOptions){.path = o->file, .library = o->library,
                                                      .set = o->set, .nset = o->nset,
                                                      .training = true});
    command_keep(c, release_program, p);
    OptionValues given = options_values(c->options, OPTION_size);
    int64_t *sizes = trial_sizes(c->diag, c->arena, p->graph, given, SMALL);
    if (!graph_find_root(p->graph, ROOT_OUTPUT, "loss"))
        diag_fail(c->diag, "model %s returns no `loss`, so there is no gradient", p->model);
    graph_grad(p->graph);
    return graph_gradcheck(p->graph, sizes, command_seed(c), PROBES, c->arena, n);
}

/* ---- the device ---- */

typedef struct {
    Session *s;
    Instance *in;
} Side;

static Side run_on(Command *c, SessionOptions o, const char *device)
{
    o.compile.device = device;
    Session *s = command_open_session(c, &o);
    const char **given = NEW_N(c->arena, const char *, s->inputs.n + 1);
    int n = 0;
    for (int i = 0; i < s->inputs.n; i++)
        if (session_reads(s, s->inputs.v[i].name)) given[n++] = s->inputs.v[i].name;
    Executable *e = session_compile(s, &(SessionCompile){.training = true, .want_grad = true,
                                                         .given = given, .ngiven = n});
    Instance *in = trial_instance(s, e, options_values(c->options, OPTION_size), SMALL,
                                  command_seed(c));
    store_begin(s->store);
    say_compiled(c, e, in);
    exec_run(in, &(RunOptions){.seed = command_seed(c), .step = 0, .fresh = false});
    return (Side){s, in};
}

/* Largest difference over the largest value of the tensor. */
static double distance(const float *a, const float *b, int64_t n)
{
    double worst = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        scale = fmax(scale, fabs((double)b[i]));
        if (isnan(a[i]) != isnan(b[i])) return HUGE_VAL;
    }
    return scale > 0 ? worst / scale : worst;
}

static double device_distance(const Side *dev, const Side *ref, const char *name)
{
    StoreEntry *p = store_param(ref->s->store, name);
    if (p)
        return distance(dev->s->store->grad + p->offset, ref->s->store->grad + p->offset, p->count);
    Value a, b;
    if (!exec_grad(dev->in, name, &a) || !exec_grad(ref->in, name, &b)) return 0;
    return distance(a.data, b.data, b.count);
}

int cmd_gradcheck(Command *c)
{
    SessionOptions o = command_session(c, command_model(c, c->options->arguments[0]));
    int n, bad = 0;
    GradError *rows = by_differences(c, &o, &n);
    const char *device = options_text(c->options, OPTION_device);
    bool compare = strcmp(device, "eval") != 0;
    Side dev = {0}, ref = {0};
    if (compare) {
        ref = run_on(c, o, "eval");
        dev = run_on(c, o, device);
    }
    say_warnings(c);
    json_t *list = json_array();
    if (!c->json) printf("%-44s %-12s %s\n", "gradient of", "differences", compare ? device : "");
    for (int i = 0; i < n; i++) {
        double far = compare ? device_distance(&dev, &ref, rows[i].name) : 0;
        bool ok = rows[i].max_rel <= bound_differences && far <= bound_device;
        bad += !ok;
        if (c->json)
            json_array_append_new(list, json_pack("{ss sb sf sf}", "name", rows[i].name, "ok",
                                                  (int)ok, "differences", rows[i].max_rel, "device",
                                                  far));
        else if (compare)
            printf("%-44s %-12.2e %-12.2e%s\n", rows[i].name, rows[i].max_rel, far,
                   ok ? "" : " BAD");
        else
            printf("%-44s %-12.2e%s\n", rows[i].name, rows[i].max_rel, ok ? "" : " BAD");
    }
    if (c->json) print_json(c, json_pack("{sb so}", "ok", (int)!bad, "gradients", list));
    else json_decref(list);
    if (bad) fprintf(stderr, "error: %d of %d gradients are wrong\n", bad, n);
    return bad != 0;
}
