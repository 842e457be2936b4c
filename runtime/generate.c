/* generate.c: see generate.h.
 *
 * Each length of the text is an instance of its own, exactly as long as the text, because
 * padding changes what a model with routing computes. There are at most `context` of them; once
 * the text is longer, it is one. A model of pairs learnt from sources and targets with padding, so
 * it is shown them so. It looks at all of a target but its last token, which here is padding.
 */
#include "runtime/generate.h"

typedef struct {
    Session *s;
    const GenerateOptions *o;
    Instance *in;                /* text: for `length` tokens */
    int64_t length;
    Feed *feed;                  /* of pairs; else NULL */
} Generator;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* The logits behind the n tokens of the text. */
static const float *logits_after(Generator *g, const int32_t *text, int64_t n, int *tokens)
{
    Session *s = g->s;
    if (g->feed) {
        feed_begin(g->feed, 1, larger(g->o->trained.time, n + 1));
        feed_row(g->feed, 0, g->o->source, g->o->nsource, text, n);
        g->in = feed_ready(g->feed, s->eval);
    } else {
        if (n != g->length) g->in = session_instance(s, s->eval, 1, n, false);
        g->length = n;
        exec_input(g->in, "x", DT_INT, 2, (int64_t[]){1, n}, text);
    }
    exec_run(g->in, &(RunOptions){.seed = 0, .step = 0});
    return session_logits(s, g->in, 0, n - 1, tokens);
}

Generated generate(Session *s, const GenerateOptions *o)
{
    Generator g = {.s = s, .o = o};
    Generated r = {0};
    int64_t room = o->source ? o->context - o->nprompt + 1 : o->tokens;
    int64_t most = room < o->tokens ? room : o->tokens;
    int32_t *text = NEW_N(s->arena, int32_t, o->nprompt + most);
    memcpy(text, o->prompt, (size_t)o->nprompt * sizeof *text);
    if (o->source)
        g.feed = feed_new_pairs(s->arena, s, &(FeedSizes){
            .batch = 1, .source = larger(o->trained.source, o->nsource),
            .time = larger(o->trained.time, o->nprompt + most)});
    Sampler *sampler = NULL;
    while (r.made < most && !r.ended && !stop_asked(o->stop)) {
        int64_t total = o->nprompt + r.made, n = total < o->context ? total : o->context;
        int tokens;
        const float *logits = logits_after(&g, text + total - n, n, &tokens);
        if (!sampler) sampler = sampler_new(s->diag, s->arena, o->sampler, tokens);
        text[total] = sampler_pick(sampler, logits, (uint64_t)r.made++);
        r.ended = o->source && text[total] == TOKEN_END;
        if (!r.ended) o->emit(o->ctx, text[total]);
    }
    return r;
}
