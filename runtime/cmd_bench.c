/* cmd_bench.c: `rtc bench`: how fast a model runs here, and how fast it could.
 *
 * The ceiling is the rate of a large matrix product of the library that runs the program's own
 * products, measured right before and after, because machines are shared and clocks change.
 */
#include <dnnl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "runtime/command.h"
#include "runtime/progress.h"
#include "runtime/trainer.h"
#include "runtime/trial.h"

typedef enum { FORWARD, BACKWARD, TRAINING } Mode;

typedef struct {
    /* seconds; FLOP; FLOP/s; warm NaN: no cache */
    double least, median, flops, ceiling, cold, warm;
    ExecStats stats;
    int64_t parameters;
    json_t *profile; /* NULL: not wanted */
} Measured;

/* ---- the ceiling ---- */

static double product_rate(Command *c, int repeats)
{
    enum { N = 1024 };
    static const char no = 'N';
    float *a = NEW_N(c->arena, float, N *N), *b = NEW_N(c->arena, float, N *N);
    float *r = NEW_N(c->arena, float, N *N);
    trial_fill("a", DT_FLOAT, 0, 1, N * N, a);
    trial_fill("b", DT_FLOAT, 0, 1, N * N, b);
    double best = HUGE_VAL;
    for (int i = 0; i < repeats; i++) {
        double start = progress_seconds();
        if (dnnl_sgemm(no, no, N, N, N, 1, a, N, b, N, 0, r, N) != dnnl_success)
            diag_bug(c->diag, "a %d x %d matrix product failed", N, N);
        best = fmin(best, progress_seconds() - start);
    }
    return 2.0 * N * N * N / best;
}

/* ---- the program ---- */

/* A free dimension that isn't given, where the model says no less. */
static int64_t default_size(const Session *s)
{
    int64_t most = session_option(s, "max_seq_len", 256);
    return most < 256 ? most : 256;
}

/* For the sizes that are timed, with the inputs that it can't do without: masks and the like are
 * left out. */
static Executable *compile(Session *s, Mode mode, OptionValues given_sizes)
{
    int n;
    const char *const *given = session_needed(s, mode == FORWARD ? "" : "loss", &n);
    const Graph *g = s->program->graph;
    const char **names = NEW_N(s->arena, const char *, g->syms.n + 1);
    for (int i = 0; i < g->syms.n; i++) names[i] = g->syms.v[i].name;
    const int64_t *sizes =
        trial_sizes(s->diag, s->arena, s->program->graph, given_sizes, default_size(s));
    return session_compile(s, &(SessionCompile){.training = mode == TRAINING,
                                                .want_grad = mode != FORWARD,
                                                .given = given,
                                                .ngiven = n,
                                                .sizes = sizes,
                                                .size_names = names,
                                                .nsizes = g->syms.n});
}

static double compile_seconds(Command *c, Session *s, Mode mode, ExecStats *stats)
{
    OptionValues sizes = options_values(c->options, OPTION_size);
    Executable *e = compile(s, mode, sizes);
    *stats = exec_stats(trial_instance(s, e, sizes, default_size(s), command_seed(c)));
    return stats->compile_seconds;
}

/* The free dimensions, by symbol of the compiled graph. */
static int64_t *sizes_of(Session *s, const Unit *u, const OptionValues *given)
{
    int64_t *by_name = trial_sizes(s->diag, s->arena, s->program->graph, *given, default_size(s));
    int64_t *syms = NEW_N(s->arena, int64_t, u->graph->syms.n + 1);
    for (int i = 0; i < u->graph->syms.n; i++) {
        syms[i] = 1;
        for (int k = 0; k < s->program->graph->syms.n; k++)
            if (!strcmp(s->program->graph->syms.v[k].name, u->graph->syms.v[i].name))
                syms[i] = by_name[k];
    }
    return syms;
}

static double flops_of(Session *s, Executable *e, const OptionValues *given)
{
    Unit *u = exec_unit(e);
    if (!u || !u->groups) return 0;
    const int64_t *syms = sizes_of(s, u, given);
    double flops = 0;
    for (int i = 0; i < u->groups->groups.n; i++)
        flops += group_cost(u, &u->groups->groups.v[i], syms).flops;
    return flops;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void time_runs(Command *c, Session *s, Mode mode, Instance *in, Measured *m)
{
    int n = (int)options_integer(c->options, OPTION_bench_steps);
    double *seconds = NEW_N(c->arena, double, n);
    Trainer *t = NULL;
    if (mode == TRAINING) {
        TrainSettings settings = train_settings(c->diag, s->program);
        t = trainer_new(s, &settings, command_seed(c), n + 2, 1);
    }
    int done = 0;
    /* two to warm up: the first k-means, the pages */
    for (int i = -2; i < n && !stop_asked(c->stop); i++) {
        double start = progress_seconds();
        if (t) {
            trainer_begin(t);
            trainer_run(t, in);
            trainer_end(t);
        } else {
            store_begin(s->store);
            exec_run(in, &(RunOptions){.seed = command_seed(c), .step = 0});
        }
        if (i >= 0) seconds[done++] = progress_seconds() - start;
    }
    if (!done) diag_fail_status(c->diag, 130, "interrupted before anything was timed");
    qsort(seconds, (size_t)done, sizeof *seconds, by_value);
    m->least = seconds[0];
    m->median = seconds[done / 2];
}

/* ---- where the time goes ---- */

static int by_seconds(const void *a, const void *b)
{
    const StepProfile *x = *(const StepProfile *const *)a, *y = *(const StepProfile *const *)b;
    if (x->seconds != y->seconds) return x->seconds < y->seconds ? 1 : -1;
    return x < y ? -1 : 1;
}

/* Runs of the program alone, without the optimizer, as a list with the slowest steps first. */
static json_t *profile(Command *c, Session *s, Executable *e, Instance *in, const int64_t *syms)
{
    enum { RUNS = 5 };
    const StepProfile *p;
    for (int i = 0; i < RUNS; i++) {
        store_begin(s->store);
        exec_run(in, &(RunOptions){.seed = command_seed(c), .step = 0, .profile = true});
    }
    int n = exec_profile(in, &p);
    const StepProfile **order = NEW_N(c->arena, const StepProfile *, n + 1);
    for (int i = 0; i < n; i++) order[i] = &p[i];
    qsort(order, (size_t)n, sizeof *order, by_seconds);
    json_t *rows = json_array();
    Unit *u = exec_unit(e);
    for (int i = 0; i < n; i++) {
        const StepProfile *r = order[i];
        Cost cost = {0};
        if (!r->runs) continue;
        if (r->group >= 0) cost = group_cost(u, &u->groups->groups.v[r->group], syms);
        json_array_append_new(
            rows, json_pack("{sf sf sf si ss ss si}", "seconds", r->seconds / r->runs, "flops",
                            cost.flops, "bytes", cost.bytes_read + cost.bytes_written, "group",
                            r->group, "what", r->what ? r->what : "", "file",
                            diag_file(c->diag, r->loc), "line", diag_line(c->diag, r->loc, NULL)));
    }
    return rows;
}

/* Bytes of memory that the process has had at once. */
static double most_resident(void)
{
    struct rusage use = {0};
    getrusage(RUSAGE_SELF, &use);
    return 1024 * (double)use.ru_maxrss;
}

static void print_profile(const json_t *rows)
{
    double total = 0, seen = 0;
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) total += json_real_value(json_object_get(row, "seconds"));
    printf("\n      us     %%  sum %%  GFLOP/s   GB/s  group\n");
    json_array_foreach(rows, i, row)
    {
        double t = json_real_value(json_object_get(row, "seconds"));
        seen += t;
        printf("%8.0f %5.1f  %5.1f %8.1f %6.1f  g%lld %s  %s:%lld\n", 1e6 * t, 100 * t / total,
               100 * seen / total, json_real_value(json_object_get(row, "flops")) / t / 1e9,
               json_real_value(json_object_get(row, "bytes")) / t / 1e9,
               json_integer_value(json_object_get(row, "group")),
               json_string_value(json_object_get(row, "what")),
               json_string_value(json_object_get(row, "file")),
               json_integer_value(json_object_get(row, "line")));
    }
}

/* ---- printing ---- */

static void print(Command *c, const Measured *m, Mode mode)
{
    static const char *const names[] = {"forward", "forward and backward", "training step"};
    double rate = m->flops / m->least;
    if (c->json) {
        json_t *compile = json_pack("{sf}", "cold", m->cold);
        json_object_set_new(compile, "warm", isnan(m->warm) ? json_null() : json_real(m->warm));
        json_t *all = json_pack(
            "{ss s{sf sf} sf sf sf si si si sI sI sI sI so sI}", "what", names[mode], "seconds", "min",
            m->least, "median", m->median, "flops", m->flops, "gemm_ceiling", m->ceiling, "ratio",
            rate / m->ceiling, "kernels", m->stats.kernels, "launches", m->stats.launches,
            "library_calls", m->stats.library_calls, "arena_bytes",
            (json_int_t)m->stats.arena_bytes, "arena_lower_bound", (json_int_t)m->stats.arena_lower,
            "resident_bytes", (json_int_t)most_resident(),
            "parameters", (json_int_t)m->parameters, "compile", compile, "allocations",
            (json_int_t)m->stats.allocations);
        if (m->profile) json_object_set(all, "profile", m->profile);
        print_json(c, all);
        return;
    }
    printf("%-14s %.4g s (least), %.4g s (median)\n", names[mode], m->least, m->median);
    printf("work           %.3g GFLOP, %.3g GFLOP/s\n", m->flops / 1e9, rate / 1e9);
    printf("ceiling        %.3g GFLOP/s: a large matrix product here; reached %.0f %%\n",
           m->ceiling / 1e9, 100 * rate / m->ceiling);
    printf("kernels        %d, launched %d times, and %d library calls\n", m->stats.kernels,
           m->stats.launches, m->stats.library_calls);
    printf("arena          %s, at least %s\n", bytes_text(c->arena, (double)m->stats.arena_bytes),
           bytes_text(c->arena, (double)m->stats.arena_lower));
    printf("resident       %s at most\n", bytes_text(c->arena, most_resident()));
    printf("compiling      %.2f s cold", m->cold);
    if (isnan(m->warm))
        printf("\n");
    else
        printf(", %.2f s from the cache\n", m->warm);
    if (m->profile) print_profile(m->profile);
}

int cmd_bench(Command *c)
{
    const Options *o = c->options;
    Mode mode = options_given(o, OPTION_bench_train) ? TRAINING
                : options_given(o, OPTION_with_grad) ? BACKWARD
                                                     : FORWARD;
    Session *s = command_open(c, o->arguments[0]);
    if (mode != FORWARD && !session_has_output(s, "loss"))
        diag_fail(c->diag, "model %s returns no `loss`, so there is no gradient",
                  s->program->model);
    Measured m = {.warm = NAN};
    for (int i = 0; i < s->store->nparam; i++) m.parameters += s->store->param[i].count;
    CacheOptions cache = s->options.compile.cache;
    s->options.compile.cache.off = true;
    m.cold = compile_seconds(c, s, mode, &m.stats);
    s->options.compile.cache = cache;
    if (!cache.off) {
        m.warm = compile_seconds(c, s, mode, &m.stats);
        if (!m.stats.cached) m.warm = compile_seconds(c, s, mode, &m.stats);
        if (!m.stats.cached) m.warm = NAN;
    }
    say_warnings(c);
    Executable *e = mode == TRAINING ? s->train : s->eval;
    OptionValues sizes = options_values(o, OPTION_size);
    Instance *in = trial_instance(s, e, sizes, default_size(s), command_seed(c));
    say_compiled(c, e, in);
    m.flops = flops_of(s, e, &sizes);
    m.ceiling = product_rate(c, 5);
    time_runs(c, s, mode, in, &m);
    m.ceiling = fmax(m.ceiling, product_rate(c, 5));
    m.stats = exec_stats(in);
    if (options_given(o, OPTION_bench_profile) && exec_unit(e))
        m.profile = profile(c, s, e, in, sizes_of(s, exec_unit(e), &sizes));
    print(c, &m, mode);
    return 0;
}
