/* trainer.c: see trainer.h. */
#include <math.h>
#include "runtime/memory.h"
#include "runtime/trainer.h"

static float *zeros(Session *s, bool wanted)
{
    return wanted ? NEW_N(s->arena, float, s->store->param_total) : NULL;
}

Trainer *trainer_new(Session *s, const TrainSettings *settings, uint64_t seed, int64_t steps,
                     int64_t accumulate)
{
    Trainer *t = NEW(s->arena, Trainer);
    const Store *store = s->store;
    int moments = optimizer_moments(&settings->optimizer);
    memory_require(s->diag, 4.0 * moments * (double)store->param_total,
                   "the optimiser's moments of the parameters",
                   "hint: sgd has none; or a smaller model");
    *t = (Trainer){.session = s, .settings = *settings, .seed = seed, .steps = steps,
                   .accumulate = accumulate,
                   .state = {.best = HUGE_VAL},
                   .moments = {.m = zeros(s, moments > 0), .v = zeros(s, moments > 1),
                               .steps = NEW_N(s->arena, int64_t, store->nparam + 1)},
                   .ranges = NEW_N(s->arena, ParamRange, store->nparam + 1)};
    for (int i = 0; i < store->nparam; i++)
        t->ranges[i] = (ParamRange){store->param[i].offset, store->param[i].count, false};
    return t;
}

void trainer_begin(Trainer *t)
{
    store_begin(t->session->store);
    t->runs = 0;
    t->loss = t->aux_loss = 0;
}

void trainer_run(Trainer *t, Instance *in)
{
    uint64_t draw = (uint64_t)(t->state.step * t->accumulate + t->runs);
    exec_run(in, &(RunOptions){.seed = t->seed, .step = draw, .fresh = true});
    double aux = session_scalar(in, "aux_loss", 0);
    t->loss += session_scalar(in, "loss", NAN) - aux;
    t->aux_loss += aux;
    t->runs++;
}

/* Why a step can't be applied: only called when its loss or the norm of its gradient isn't
 * finite. */
static const char *cause_of(Trainer *t, const TrainStep *s)
{
    Arena *a = t->session->arena;
    const Store *store = t->session->store;
    if (!isfinite(s->loss) || !isfinite(s->aux_loss))
        return arena_printf(a, "the loss is %g", isfinite(s->loss) ? s->aux_loss : s->loss);
    for (int i = 0; i < store->nparam; i++) {
        const StoreEntry *p = &store->param[i];
        for (int64_t k = 0; p->reached && k < p->count; k++)
            if (!isfinite(store->grad[p->offset + k]))
                return arena_printf(a, "the gradient of `%s` isn't finite", p->name);
    }
    return "the norm of the gradient is too large for a number";
}

static void skip(Trainer *t, TrainStep *s)
{
    Store *store = t->session->store;
    s->skipped = true;
    s->cause = cause_of(t, s);
    t->state.skipped++;
    t->state.step++;
    if (++t->skipped_in_row < TRAINER_PATIENCE) return;
    const char *broken = checkpoint_broken(store);
    diag_fail(t->session->diag, "training has broken down: %d steps in a row, up to step %lld, "
                                "could not be applied\n%s%s%s%s\n"
                                "hint: a smaller learning rate, a longer warmup, or clip = 1",
              TRAINER_PATIENCE, (long long)t->state.step, s->cause,
              broken ? "; the parameter `" : "", broken ? broken : "",
              broken ? "` isn't finite any more" : "");
}

TrainStep trainer_end(Trainer *t)
{
    Store *store = t->session->store;
    const TrainSettings *settings = &t->settings;
    double share = 1.0 / t->runs;
    TrainStep s = {.loss = t->loss * share, .aux_loss = t->aux_loss * share,
              .rate = schedule_rate(settings->phases, settings->nphases, settings->rate,
                                    t->state.step, t->steps)};
    for (int i = 0; i < store->nparam; i++) t->ranges[i].skip = !store->param[i].reached;
    s.norm = share * optimizer_norm(t->ranges, store->nparam, store->grad);
    if (!isfinite(s.loss) || !isfinite(s.aux_loss) || !isfinite(s.norm)) {
        skip(t, &s);
        return s;
    }
    double scale = share * optimizer_clip(s.norm, settings->clip);
    optimizer_step(&settings->optimizer, s.rate, scale, t->ranges, store->nparam, store->grad,
                   store->value, &t->moments);
    store_commit(store);
    t->skipped_in_row = 0;
    t->state.step++;
    return s;
}
