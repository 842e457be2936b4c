/* generate.h: token after token from a model: the whole model over the growing text, then the
 * next token drawn. */
#ifndef RTC_RUNTIME_GENERATE_H
#define RTC_RUNTIME_GENERATE_H

#include "runtime/interrupt.h"
#include "runtime/sampler.h"
#include "runtime/session.h"

typedef struct {
    const int32_t *prompt;       /* at least one token */
    int64_t nprompt;
    int64_t tokens;              /* to make */
    int64_t context;             /* the last so many tokens are what the model sees */
    SamplerOptions sampler;
    StopFlag *stop;              /* may be NULL */
    void (*emit)(void *ctx, int32_t token);
    void *ctx;
} GenerateOptions;

/* s->eval must have been compiled by session_compile_logits. Returns how many tokens were made.
 * Errors: logits that aren't [batch, time, tokens] or aren't finite. */
int64_t generate(Session *s, const GenerateOptions *o);

#endif
