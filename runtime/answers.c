/* answers.c: see answers.h.
 *
 * An answer is exact if each of its tokens is the most likely one behind those before it, which
 * then are the target's own. So targets need not be generated: their beginnings are shown, one
 * token longer each time, to a model that says what comes next. Nothing is padded that would not
 * be if the source stood alone: the sources of a batch are equally long, and so are the beginnings.
 */
#include <stdlib.h>
#include "runtime/answers.h"
#include "runtime/sampler.h"

typedef struct {
    const Pair *pair;
    int32_t *source, *target;        /* tokens */
    bool right;                      /* so far */
} Question;

typedef struct {
    Session *s;
    Feed *feed;
    Sampler *sampler;                /* NULL before the first logits */
    Question *questions;             /* of the batch */
    int rows;
} Examiner;

static int by_length(const void *a, const void *b)
{
    const Pair *x = *(const Pair *const *)a, *y = *(const Pair *const *)b;
    if (x->nsource != y->nsource) return x->nsource < y->nsource ? -1 : 1;
    if (x->ntarget != y->ntarget) return x->ntarget < y->ntarget ? -1 : 1;
    return (x > y) - (x < y);
}

static const Pair **sorted(Arena *a, const DataPart *part)
{
    const Pair **order = NEW_N(a, const Pair *, part->n + 1);
    for (size_t i = 0; i < part->n; i++) order[i] = data_pair(part, i);
    qsort(order, part->n, sizeof *order, by_length);
    return order;
}

/* Shows the first n tokens of every target; whether any of them goes on right. */
static bool ask(Examiner *x, int64_t n)
{
    Session *s = x->s;
    bool more = false;
    feed_begin(x->feed, x->rows, pair_source_tokens(x->questions[0].pair), n + 1);
    for (int r = 0; r < x->rows; r++) {
        const Question *q = &x->questions[r];
        int64_t target = pair_target_tokens(q->pair);
        feed_row(x->feed, r, q->source, pair_source_tokens(q->pair), q->target,
                 n < target ? n : target);
    }
    Instance *in = feed_ready(x->feed, s->eval);
    exec_run(in, &(RunOptions){.seed = 0, .step = 0});
    for (int r = 0; r < x->rows; r++) {
        Question *q = &x->questions[r];
        int tokens;
        if (!q->right || n >= pair_target_tokens(q->pair)) continue;
        const float *logits = session_logits(s, in, r, n - 1, &tokens);
        if (!x->sampler)
            x->sampler = sampler_new(s->diag, x->feed->arena, (SamplerOptions){.top_p = 1}, tokens);
        q->right = sampler_pick(x->sampler, logits, 0) == q->target[n];
        more = more || (q->right && n + 1 < pair_target_tokens(q->pair));
    }
    return more;
}

/* How many of the next pairs are asked at once: their sources are equally long. */
static int take(Examiner *x, const Pair *const *order, size_t left)
{
    int rows = 0;
    while ((size_t)rows < left && rows < x->feed->batch &&
           order[rows]->nsource == order[0]->nsource) {
        Question *q = &x->questions[rows];
        q->pair = order[rows++];
        q->right = true;
        pair_source(q->pair, q->source);
        pair_target(q->pair, q->target);
    }
    return x->rows = rows;
}

static void free_arena(void *a) { arena_free(a); }

Answers answers_count(Session *s, const DataPart *part, const AnswersOptions *o)
{
    data_require(part, 1);
    Arena *a = arena_new();
    if (!a) diag_oom(s->diag);
    diag_defer(s->diag, free_arena, a);
    arena_on_oom(a, diag_oom, s->diag);
    Examiner x = {.s = s, .feed = feed_new(a, s, part, o->batch, 0),
                  .questions = NEW_N(a, Question, o->batch)};
    for (int64_t i = 0; i < o->batch; i++) {
        x.questions[i].source = NEW_N(a, int32_t, part->stream->source);
        x.questions[i].target = NEW_N(a, int32_t, part->stream->target);
    }
    const Pair **order = sorted(a, part);
    Answers all = {.complete = true};
    while ((size_t)all.pairs < part->n) {
        if (stop_asked(o->stop)) {
            all.complete = false;
            break;
        }
        size_t at = (size_t)all.pairs;
        int rows = take(&x, order + at, part->n - at);
        for (int64_t n = 1; ask(&x, n);) n++;
        for (int r = 0; r < rows; r++) all.exact += x.questions[r].right;
        all.pairs += rows;
        if (o->progress) o->progress(o->ctx, (size_t)all.pairs, part->n);
    }
    diag_undefer(s->diag);
    arena_free(a);
    return all;
}
