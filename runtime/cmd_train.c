/* cmd_train.c: `rtc train`: a new run directory, or one that goes on. */
#include <math.h>
#include <signal.h>
#include <unistd.h>
#include "runtime/memory.h"
#include "runtime/progress.h"
#include "runtime/training.h"

/* tokens per window, for models that don't say how many they take */
enum { OTHERWISE_TIME = 256 };

static const char *const *absolute(Command *c, OptionValues files)
{
    const char **out = NEW_N(c->arena, const char *, files.n + 1);
    for (int i = 0; i < files.n; i++) out[i] = rundir_absolute(c->arena, files.v[i]);
    return out;
}

/* The option, or what the run that goes on had. */
static int64_t size_option(Command *c, OptionId id, const RunConfig *old, int64_t then)
{
    return old && !options_given(c->options, id) ? then : options_integer(c->options, id);
}

/* What is asked for now. old: the run that goes on, or NULL. */
static RunConfig configure(Command *c, const RunConfig *old)
{
    const Options *o = c->options;
    OptionValues data = options_values(o, OPTION_data);
    const char *valid = options_text(o, OPTION_valid);
    OptionValues valids = {&valid, valid != NULL};
    RunConfig r = {.file = rundir_absolute(c->arena, command_model(c, o->arguments[0])),
                   .data = absolute(c, data), .ndata = data.n,
                   .valid = absolute(c, valids), .nvalid = valids.n,
                   .seed = (uint64_t)size_option(c, OPTION_seed, old, old ? (int64_t)old->seed : 0),
                   .steps = size_option(c, OPTION_train_steps, old, old ? old->steps : 0),
                   .batch = size_option(c, OPTION_batch, old, old ? old->batch : 0),
                   .time = size_option(c, OPTION_time, old, old ? old->time : 0),
                   .accumulate = size_option(c, OPTION_accumulate, old, old ? old->accumulate : 0),
                   .source = old ? old->source : 0,
                   .command = command_line(c, NULL)};
    if (old && !valid) {
        r.valid = old->valid;
        r.nvalid = old->nvalid;
    }
    return r;
}

static void describe(Command *c, const Session *s, const RunConfig *r, const Data *data,
                     const Feed *f)
{
    int64_t numbers = 0;
    for (int i = 0; i < s->store->nparam; i++) numbers += s->store->param[i].count;
    say(c, "model       %s, %s parameters\n", s->program->model, count_text(c->arena, numbers));
    say(c, "data        %s %s to train on, %s to validate\n",
        count_text(c->arena, (int64_t)data->train.n), f->pairs ? "pairs" : "tokens",
        count_text(c->arena, (int64_t)data->valid.n));
    const char *parts = arena_printf(c->arena, " in %lld parts", (long long)r->accumulate);
    const char *what = "windows of", *source = "";
    if (f->pairs) {
        what = "pairs of at most";
        source = arena_printf(c->arena, "%lld and ", (long long)r->source);
    }
    say(c, "step        %lld %s %s%lld tokens%s\n", (long long)(r->batch * r->accumulate), what,
        source, (long long)r->time, r->accumulate > 1 ? parts : "");
}

typedef struct {
    Arena *arena;
    const Feed *feed;
    int64_t accumulate;
} Sizes;

/* The fewest parts of a batch for which there is memory. */
static const char *smaller_batches(void *ctx, Executable *e)
{
    const Sizes *s = ctx;
    int64_t batch = s->feed->most.batch;
    double have = memory_available(), whole = feed_needs(s->feed, e, batch);
    int64_t parts = whole / have < (double)batch ? (int64_t)(whole / have) : batch;
    if (parts < 2) parts = 2;
    while (parts <= batch && (batch % parts || feed_needs(s->feed, e, batch / parts) > have))
        parts++;
    if (parts > batch)
        return s->feed->pairs ? "hint: a smaller model, or shorter pairs"
                              : "hint: a smaller model, or a shorter --time";
    return arena_printf(s->arena, "hint: --batch %lld --accumulate %lld makes the same steps in "
                        "smaller parts", (long long)(batch / parts),
                        (long long)(s->accumulate * parts));
}

/* Says how long it took. */
static void compile(Command *c, Session *s, Feed *f, bool validation)
{
    double start = progress_seconds();
    feed_compile(f, true);
    if (validation && !stop_asked(c->stop)) feed_compile(f, false);
    const Instance *in = feed_instance(f, s->train);
    ExecStats stats = exec_stats(in);
    say_compiled(c, s->train, in);
    double fixed = 4 * (double)(s->store->param_total * 4 + s->store->state_total * 2);
    say(c, "compiled    in %.1f s%s; memory %s and %s for parameters\n",
        progress_seconds() - start, stats.cached ? " (kernels from the cache)" : "",
        bytes_text(c->arena, (double)stats.arena_bytes), bytes_text(c->arena, fixed));
}

/* How many steps fit into the seconds, by a few trial steps that leave no trace; at most `most`. */
static int64_t steps_in(Session *s, const Data *data, Feed *f, const RunConfig *r, double seconds,
                        int64_t most)
{
    enum { TRIALS = 4, LEAST = 50 };
    feed_sample(f, &data->train, r->seed, 0);
    Instance *in = feed_ready(f, s->train);
    double best = seconds;
    for (int i = 0; i < TRIALS; i++) {
        double start = progress_seconds();
        store_begin(s->store);
        exec_run(in, &(RunOptions){.seed = r->seed});
        best = fmin(best, progress_seconds() - start);
    }
    double validation = 1.2;             /* what validations and the optimiser add */
    int64_t steps = (int64_t)(seconds / (validation * (double)r->accumulate * best));
    return steps > most ? most : steps < LEAST ? LEAST : steps;
}

/* The directory, as a new run or the old one; returns whether it goes on. */
static bool check_directory(Command *c, const char *dir)
{
    bool resume = options_given(c->options, OPTION_resume);
    if (resume && !rundir_has(c->arena, dir, RUN_CHECKPOINT))
        diag_fail(c->diag, "%s has no %s to go on from\nhint: leave out --resume to begin", dir,
                  RUN_CHECKPOINT);
    if (!resume) rundir_require_free(c->diag, c->arena, dir);
    return resume;
}

static void finish(Command *c, const Training *done, const char *dir)
{
    const Trainer *t = done->trainer;
    const TrainResult *result = &done->result;
    char took[16];
    progress_duration(result->seconds, took, sizeof took);
    if (result->stopped) {
        say(c, "stopped after step %lld and saved; go on with\n  %s\n", (long long)t->state.step,
            command_line(c, "--resume"));
        return;
    }
    say(c, "%lld steps in %s", (long long)t->state.step, took);
    if (t->state.skipped) say(c, ", %lld skipped", (long long)t->state.skipped);
    if (!isnan(result->valid_after))
        say(c, "; validation loss %.4f, before %.4f", result->valid_after, result->valid_before);
    say(c, "\n%s has the model, the log and the curves; see what it writes:\n  %s sample %s%s\n",
        dir, command_program(c), dir, done->data->train.stream->pairs ? " --source TEXT" : "");
}

static void release_lock(void *fd) { close(*(int *)fd); }

/* For the command's life. Whoever waited for it may find that something was saved meanwhile. */
static void lock(Command *c, const TrainingPlan *plan)
{
    int *fd = NEW(c->arena, int);
    *fd = rundir_lock(c->diag, plan->dir);
    command_keep(c, release_lock, fd);
    if (!plan->resume && !plan->replace) rundir_require_free(c->diag, c->arena, plan->dir);
}

static void load_checkpoint(Command *c, const TrainingPlan *plan, Trainer *t)
{
    const char *path = rundir_path(c->arena, plan->dir, RUN_CHECKPOINT);
    t->state = checkpoint_load(c->diag, path, t->session, &t->moments);
    checkpoint_require_finite(c->diag, path, t->session->store);
    if (t->state.step >= t->steps)
        diag_fail(c->diag, "%s is at step %lld of %lld\nhint: --steps %lld goes on", plan->dir,
                  (long long)t->state.step, (long long)t->steps, (long long)(2 * t->steps));
}

/* The longest window that the model takes; errors: --time is longer. */
static int64_t window_time(Session *s, int64_t time)
{
    if (time < 0) time = session_option(s, "max_seq_len", OTHERWISE_TIME);
    int64_t most = session_option(s, "max_seq_len", time);
    if (time > most)
        diag_fail(s->diag, "--time %lld: the sequence is longer than max_seq_len, which is %lld\n"
                           "hint: --set max_seq_len=%lld, or a shorter --time",
                  (long long)time, (long long)most, (long long)time);
    return time;
}

Training command_train(Command *c, const TrainingPlan *plan)
{
    signal(SIGPIPE, SIG_IGN);                /* who reads the progress may leave */
    if (plan->resume) lock(c, plan);
    else file_require_place(c->diag, plan->dir);
    RunConfig r = plan->config;
    SessionOptions o = plan->session;
    Sizes *sizes = NEW(c->arena, Sizes);
    o.compile.advice = smaller_batches;
    o.compile.advice_ctx = sizes;
    Session *s = command_open_session(c, &o);
    r.model = s->program->model;
    TrainSettings settings = train_settings(c->diag, s->program);
    bool pairs = feed_takes_pairs(s);
    if (pairs && options_given(c->options, OPTION_time))
        diag_fail(c->diag, "--time is for texts: model %s takes pairs, as long as they are",
                  s->program->model);
    if (!pairs) r.time = window_time(s, r.time);
    else if (r.time < 0) r.time = 0;
    if (plan->resume) rundir_check(c->diag, c->arena, plan->dir, s->program, &r);
    Data *data = command_data(c, s, &(DataOptions){
        .paths = r.data, .npaths = r.ndata, .valid_paths = r.valid, .nvalid_paths = r.nvalid,
        .valid_share = HELD_OUT});
    data_require(&data->train, r.time);
    Feed *feed = feed_new(c->arena, s, &data->train, &(FeedSizes){r.batch, r.time, r.source});
    r.time = feed->most.time;
    r.source = feed->most.source;
    say_warnings(c);
    describe(c, s, &r, data, feed);
    Trainer *t = trainer_new(s, &settings, r.seed, r.steps, r.accumulate);
    if (plan->resume) load_checkpoint(c, plan, t);
    *sizes = (Sizes){c->arena, feed, r.accumulate};
    compile(c, s, feed, data_windows(&data->valid, r.time) > 0);
    if (plan->seconds > 0) t->steps = r.steps = steps_in(s, data, feed, &r, plan->seconds, r.steps);
    if (!plan->resume) lock(c, plan);
    rundir_write(c->diag, c->arena, plan->dir, s->program, &r);
    TrainResult result = train(t, &(TrainOptions){
        .dir = plan->dir, .data = data, .sizes = feed->most, .resume = plan->resume,
        .save_every = plan->save_every, .eval_every = plan->eval_every,
        .log_every = plan->log_every, .seconds = 1.5 * plan->seconds,
        .out = c->quiet ? NULL : stderr, .stop = c->stop});
    return (Training){s, t, data, result};
}

int cmd_train(Command *c)
{
    const Options *o = c->options;
    TrainingPlan plan = {.dir = options_text(o, OPTION_train_out),
                         .save_every = options_integer(o, OPTION_save_every),
                         .eval_every = options_integer(o, OPTION_eval_every),
                         .log_every = options_integer(o, OPTION_log_every)};
    plan.resume = check_directory(c, plan.dir);
    RunConfig old = {0};
    if (plan.resume) old = rundir_read(c->diag, c->arena, plan.dir);
    plan.config = configure(c, plan.resume ? &old : NULL);
    plan.session = command_session(c, plan.config.file);
    plan.session.seed = plan.config.seed;
    if (plan.resume && !plan.session.nset) {
        plan.session.set = old.set;
        plan.session.nset = old.nset;
    }
    plan.config.set = plan.session.set;
    plan.config.nset = plan.session.nset;
    Training t = command_train(c, &plan);
    finish(c, &t, plan.dir);
    return t.result.stopped ? 130 : 0;
}
