/* answers.c: see answers.h.
 *
 * An answer is exact if each of its tokens is the most likely one behind those before it, which
 * then are the target's own. So targets need not be generated: their beginnings are shown, one
 * token longer each time, to a model that says what comes next.
 */
#include "runtime/answers.h"
#include "runtime/sampler.h"

typedef struct {
    int32_t *source, *target;        /* tokens */
    int64_t nsource, ntarget;
    bool right;                      /* so far */
} Question;

typedef struct {
    Session *s;
    Feed *feed;
    Sampler *sampler;                /* NULL before the first logits */
    Question *questions;             /* of the batch */
    int rows;
} Examiner;

/* Shows the first n tokens of every target; whether any of them is right and goes on. */
static bool ask(Examiner *x, int64_t n)
{
    Session *s = x->s;
    bool more = false;
    feed_begin(x->feed, x->rows, x->feed->most.time);
    for (int r = 0; r < x->rows; r++) {
        const Question *q = &x->questions[r];
        feed_row(x->feed, r, q->source, q->nsource, q->target, n < q->ntarget ? n : q->ntarget);
    }
    Instance *in = feed_ready(x->feed, s->eval);
    exec_run(in, &(RunOptions){.seed = 0, .step = 0});
    for (int r = 0; r < x->rows; r++) {
        Question *q = &x->questions[r];
        int tokens;
        if (!q->right || n >= q->ntarget) continue;
        const float *logits = session_logits(s, in, r, n - 1, &tokens);
        if (!x->sampler)
            x->sampler = sampler_new(s->diag, x->feed->arena, (SamplerOptions){.top_p = 1}, tokens);
        q->right = sampler_pick(x->sampler, logits, 0) == q->target[n];
        more = more || (q->right && n + 1 < q->ntarget);
    }
    return more;
}

/* The pairs from `first` on that are asked at once. */
static void take(Examiner *x, const DataPart *part, size_t first)
{
    size_t left = part->n - first, batch = (size_t)x->feed->most.batch;
    x->rows = (int)(left < batch ? left : batch);
    for (int r = 0; r < x->rows; r++) {
        const Pair *p = data_pair(part, first + (size_t)r);
        Question *q = &x->questions[r];
        q->right = true;
        q->nsource = pair_source_tokens(p);
        q->ntarget = pair_target_tokens(p);
        pair_source(p, q->source);
        pair_target(p, q->target);
    }
}

Answers answers_count(Session *s, const DataPart *part, const AnswersOptions *o)
{
    data_require(part, 1);
    Arena *a = diag_scratch(s->diag);
    Examiner x = {.s = s, .feed = feed_new(a, s, part, &o->sizes),
                  .questions = NEW_N(a, Question, o->sizes.batch)};
    for (int64_t i = 0; i < o->sizes.batch; i++) {
        x.questions[i].source = NEW_N(a, int32_t, part->stream->source);
        x.questions[i].target = NEW_N(a, int32_t, part->stream->target);
    }
    Answers all = {.complete = true};
    while ((size_t)all.pairs < part->n) {
        if (stop_asked(o->stop)) {
            all.complete = false;
            break;
        }
        take(&x, part, (size_t)all.pairs);
        for (int64_t n = 1; ask(&x, n);) n++;
        for (int r = 0; r < x.rows; r++) all.exact += x.questions[r].right;
        all.pairs += x.rows;
        if (o->progress) o->progress(o->ctx, (size_t)all.pairs, part->n);
    }
    diag_scratch_end(s->diag, a);
    return all;
}
