/* train.c: see train.h.
 *
 * What a step computes is a function of the seed, the step and what the checkpoint holds, so
 * that a resumed run makes the very steps that it would have made. Time only decides when the
 * loop ends, never what a step does.
 */
#include <math.h>
#include <stdio.h>
#include "runtime/csvlog.h"
#include "runtime/evaluate.h"
#include "runtime/progress.h"
#include "runtime/rundir.h"
#include "runtime/svg.h"
#include "runtime/train.h"

enum { EVAL_TOKENS = 32768 };        /* about how many a validation looks at */

/* Behind these stand the numbers that the model reports. */
static const char *const columns[] = {"step", "loss", "aux_loss", "lr", "grad_norm",
                                      "tokens_per_second", "valid_loss", "skipped"};

typedef struct {
    Trainer *t;
    const TrainOptions *o;
    Feed *feed;
    CsvLog *log;                     /* NULL without a run directory */
    Reports *reports;                /* of the last validation; NULL where none is possible */
    double *cells;                   /* of a row of the log */
    Progress line;
    double begin, eval_seconds;      /* when it began; spent in validation since */
    int64_t first;                   /* step it began at */
    double tokens;                   /* trained on since */
    int64_t saved;                   /* step of the last checkpoint; -1: none */
    TrainResult result;
} Loop;

static Arena *scratch_arena(Diag *d)
{
    Arena *a = arena_new();
    if (!a) diag_oom(d);
    arena_on_oom(a, diag_oom, d);
    return a;
}

static void note(Loop *l, const char *fmt, ...)
{
    if (!l->o->out) return;
    progress_pause(&l->line);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(l->o->out, fmt, ap);
    va_end(ap);
}

/* ---- files ---- */

static void save(Loop *l, const char *name)
{
    Session *s = l->t->session;
    if (!l->o->dir) return;
    const char *path = rundir_path(s->arena, l->o->dir, name);
    const char *broken = checkpoint_broken(s->store);
    if (broken)
        diag_fail(s->diag, "the parameter `%s` isn't finite after step %lld, so nothing was saved\n"
                           "%s is as it was%s", broken, (long long)l->t->state.step, path,
                  l->saved >= 0 ? "" : " before this run");
    checkpoint_save(s->diag, path, s, &l->t->state, &l->t->moments);
}

static void save_checkpoint(Loop *l)
{
    if (l->saved == l->t->state.step) return;
    save(l, RUN_CHECKPOINT);
    l->saved = l->t->state.step;
}

static void free_arena(void *a) { arena_free(a); }

static void plot(Loop *l)
{
    Session *s = l->t->session;
    if (!l->o->dir) return;
    Arena *a = scratch_arena(s->diag);
    diag_defer(s->diag, free_arena, a);
    CsvTable table = csvlog_read(s->diag, a, rundir_path(a, l->o->dir, RUN_LOG));
    SvgCurve curves[] = {{.name = "training"}, {.name = "validation"}};
    const char *const from[] = {"loss", "valid_loss"};
    int step = csvlog_column(&table, "step");
    for (int c = 0; c < COUNT(curves); c++) {
        int column = csvlog_column(&table, from[c]);
        double *x = NEW_N(a, double, table.nrows + 1), *y = NEW_N(a, double, table.nrows + 1);
        for (int i = 0; i < table.nrows; i++) {
            double v = table.values[i * table.ncolumns + column];
            if (v == CSVLOG_NONE) continue;
            x[curves[c].n] = table.values[i * table.ncolumns + step];
            y[curves[c].n++] = v;
        }
        curves[c].x = x;
        curves[c].y = y;
    }
    svg_plot(s->diag, rundir_path(a, l->o->dir, RUN_PLOT), s->program->model, "step",
             "loss (nats per token)", false, curves, COUNT(curves));
    diag_undefer(s->diag);
    arena_free(a);
}

/* ---- one step ---- */

/* False: stopped between its batches, and nothing was changed. */
static bool step(Loop *l, TrainStep *done)
{
    const TrainOptions *o = l->o;
    Trainer *t = l->t;
    uint64_t taken = t->state.taken;
    trainer_begin(t);
    for (int64_t i = 0; i < t->accumulate; i++) {
        if (i > 0 && stop_asked(o->stop)) return false;
        feed_sample(l->feed, &o->data->train, t->seed, taken);
        taken += (uint64_t)o->sizes.batch;
        trainer_run(t, feed_ready(l->feed, t->session->train));
        l->tokens += (double)l->feed->targets;
    }
    *done = trainer_end(t);
    t->state.taken = taken;
    return true;
}

static double tokens_per_second(const Loop *l, double now)
{
    double seconds = now - l->begin - l->eval_seconds;
    return seconds > 0 ? l->tokens / seconds : 0;
}

/* The validation loss; NaN where there is nothing to validate on, or it was stopped. */
static double validate(Loop *l)
{
    const TrainOptions *o = l->o;
    const FeedSizes *sizes = &l->feed->most;
    if (!data_windows(&o->data->valid, sizes->time) || stop_asked(o->stop)) return NAN;
    double start = progress_seconds();
    int64_t most = EVAL_TOKENS / sizes->time > 4 ? EVAL_TOKENS / sizes->time : 4;
    Evaluation e = evaluate(l->t->session, &o->data->valid,
                            &(EvaluateOptions){.sizes = *sizes, .most = most,
                                               .reports = l->reports, .stop = o->stop});
    l->eval_seconds += progress_seconds() - start;
    return e.complete ? e.loss : NAN;
}

static double cell(double x) { return isfinite(x) ? x : CSVLOG_NONE; }

static void log_row(Loop *l, const TrainStep *s, double valid)
{
    if (!l->log) return;
    const int fixed = COUNT(columns) - 1, reported = l->reports ? l->reports->numbers : 0;
    double *cells = l->cells;
    for (int i = 0; i < fixed + reported; i++) cells[i] = CSVLOG_NONE;
    cells[5] = cell(valid);
    cells[6] = (double)l->t->state.skipped;
    if (reported && !isnan(valid)) reports_cells(l->reports, cells + fixed);
    for (int i = fixed; i < fixed + reported; i++) cells[i] = cell(cells[i]);
    if (s) {
        cells[0] = cell(s->loss);
        cells[1] = cell(s->aux_loss);
        cells[2] = s->rate;
        cells[3] = cell(s->norm);
        cells[4] = tokens_per_second(l, progress_seconds());
    }
    csvlog_row(l->log, l->t->state.step, cells);
}

static void show(Loop *l, const TrainStep *s)
{
    double now = progress_seconds();
    bool bytes = data_is_text(&l->o->data->train);
    if (l->o->out)
        progress_step(&l->line, now, l->t->state.step, "loss %.4f  %.3f bits/%s  %.3g tokens/s",
                      s->loss, bits_per_token(s->loss), bytes ? "byte" : "token",
                      tokens_per_second(l, now));
    if (s->skipped)
        note(l, "step %lld was skipped: %s\n", (long long)l->t->state.step, s->cause);
}

static void keep_best(Loop *l, double valid)
{
    TrainState *state = &l->t->state;
    if (!(valid < state->best)) return;
    state->best = valid;
    save(l, RUN_BEST);
}

/* What is due after a step. */
static void after(Loop *l, const TrainStep *s)
{
    const TrainOptions *o = l->o;
    int64_t n = l->t->state.step;
    bool last = n >= l->t->steps;
    double valid = NAN;
    show(l, s);
    if (n % o->eval_every == 0 || last) valid = validate(l);
    if (!isnan(valid)) {
        l->result.valid_after = valid;
        note(l, "step %lld: validation loss %.4f, %.3f bits/%s\n", (long long)n, valid,
             bits_per_token(valid), data_is_text(&o->data->train) ? "byte" : "token");
        keep_best(l, valid);
    }
    if (n % o->log_every == 0 || last || !isnan(valid) || s->skipped) log_row(l, s, valid);
    if (n % o->eval_every == 0 && !last) plot(l);
    if (n % o->save_every == 0 || last) save_checkpoint(l);
    if (o->after_step) o->after_step(o->ctx, s);
}

/* ---- the loop ---- */

static void begin(Loop *l)
{
    const TrainOptions *o = l->o;
    Session *s = l->t->session;
    data_require(&o->data->train, o->sizes.time);
    l->feed = feed_new(s->arena, s, &o->data->train, &o->sizes);
    l->line = progress_begin(o->out ? o->out : stderr, !o->out, l->first, l->t->steps,
                             o->log_every);
    l->result.valid_before = l->result.valid_after = validate(l);
    if (!isnan(l->result.valid_before)) {
        note(l, "before: validation loss %.4f\n", l->result.valid_before);
        if (l->reports) note(l, "%s", reports_notes(s->arena, l->reports));
    }
    l->begin = progress_seconds();
    l->eval_seconds = 0;
    if (l->log && !o->resume) log_row(l, NULL, l->result.valid_before);
}

static void close_log(void *log) { csvlog_close(log); }

static void open_log(Loop *l)
{
    const TrainOptions *o = l->o;
    Session *s = l->t->session;
    int fixed = COUNT(columns), n = fixed + (l->reports ? l->reports->numbers : 0);
    const char **names = NEW_N(s->arena, const char *, n);
    const char *const *reported = l->reports ? reports_columns(s->arena, l->reports) : NULL;
    for (int i = 0; i < n; i++) names[i] = i < fixed ? columns[i] : reported[i - fixed];
    l->cells = NEW_N(s->arena, double, n);
    l->log = csvlog_open(s->diag, s->arena, rundir_path(s->arena, o->dir, RUN_LOG), names, n,
                         o->resume ? l->t->state.step : -1);
    diag_defer(s->diag, close_log, l->log);
}

TrainResult train(Trainer *t, const TrainOptions *o)
{
    Session *s = t->session;
    Loop l = {.t = t, .o = o, .first = t->state.step, .saved = o->resume ? t->state.step : -1};
    if (s->eval) l.reports = reports_new(s->arena, exec_program(s->eval));
    if (o->dir) open_log(&l);
    /* from here on something would be lost */
    const StopFlag *flag = diag_on_stop(s->diag, NULL);
    begin(&l);
    bool in_time = true;
    while (t->state.step < t->steps && !stop_asked(o->stop) && in_time) {
        TrainStep done;
        if (!step(&l, &done)) break;
        after(&l, &done);
        in_time = o->seconds <= 0 || progress_seconds() - l.begin < o->seconds;
    }
    progress_pause(&l.line);
    l.result.stopped = t->state.step < t->steps && stop_asked(o->stop);
    if (!in_time && t->state.step < t->steps) l.result.valid_after = validate(&l);
    if (t->state.step > l.first || !o->resume) save_checkpoint(&l);
    plot(&l);
    l.result.seconds = progress_seconds() - l.begin;
    if (o->dir) {
        diag_undefer(s->diag);
        csvlog_close(l.log);
    }
    diag_on_stop(s->diag, flag);
    return l.result;
}
