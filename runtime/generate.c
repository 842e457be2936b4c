/* generate.c: see generate.h.
 *
 * Each length of the text is an instance of its own, exactly as long as the text, because
 * padding changes what a model with routing computes. There are at most `context` of them; once
 * the text is longer, it is one.
 */
#include "runtime/generate.h"

static const float *last_logits(Session *s, Instance *in, int64_t n, int *tokens)
{
    Value v;
    if (!exec_output(in, "logits", &v))
        diag_fail(s->diag, "model %s returns no `logits`", s->program->model);
    if (v.dt != DT_FLOAT || v.rank != 3 || v.shape[0] != 1 || v.shape[1] != n)
        diag_fail(s->diag, "`logits` of model %s isn't [batch, time, tokens]: float",
                  s->program->model);
    *tokens = (int)v.shape[2];
    return (const float *)v.data + (n - 1) * v.shape[2];
}

int64_t generate(Session *s, const GenerateOptions *o)
{
    int64_t context = o->context, made = 0;
    int32_t *text = NEW_N(s->arena, int32_t, o->nprompt + o->tokens);
    memcpy(text, o->prompt, (size_t)o->nprompt * sizeof *text);
    Sampler *sampler = NULL;
    Instance *in = NULL;
    for (int64_t length = 0; made < o->tokens && !stop_asked(o->stop); made++) {
        int64_t total = o->nprompt + made, n = total < context ? total : context;
        if (n != length) in = session_instance(s, s->eval, 1, n, false);
        length = n;
        exec_input(in, "x", DT_INT, 2, (int64_t[]){1, n}, text + total - n);
        exec_run(in, &(RunOptions){.seed = 0, .step = 0});
        int tokens;
        const float *logits = last_logits(s, in, n, &tokens);
        if (!sampler) sampler = sampler_new(s->diag, s->arena, o->sampler, tokens);
        text[total] = sampler_pick(sampler, logits, (uint64_t)made);
        o->emit(o->ctx, text[total]);
    }
    return made;
}
