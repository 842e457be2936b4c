/* generate.h: token after token from a model: the whole model over the growing text, then the
 * next token drawn. A model of pairs (feed.h) answers a source. */
#ifndef RTC_RUNTIME_GENERATE_H
#define RTC_RUNTIME_GENERATE_H

#include "runtime/feed.h"
#include "runtime/interrupt.h"
#include "runtime/sampler.h"

typedef struct {
    const int32_t *prompt;       /* at least one token; an answer's is TOKEN_START */
    int64_t nprompt;
    const int32_t *source;       /* up to TOKEN_END; NULL: the model is one of texts */
    int64_t nsource;
    FeedSizes trained;           /* of pairs: shorter ones are padded, as they were in training */
    int64_t tokens;              /* to make */
    int64_t context;             /* the last so many tokens are what the model sees; of an answer
                                    all, so it ends there */
    SamplerOptions sampler;
    StopFlag *stop;              /* may be NULL */
    void (*emit)(void *ctx, int32_t token);
    void *ctx;
} GenerateOptions;

typedef struct {
    int64_t made;                /* tokens, TOKEN_END included, which isn't emitted */
    bool ended;                  /* an answer, by its TOKEN_END */
} Generated;

/* s->eval must have been compiled by session_compile_logits, or feed_compile_logits. Errors:
 * logits that aren't [batch, time, tokens] or aren't finite. */
Generated generate(Session *s, const GenerateOptions *o);

#endif
