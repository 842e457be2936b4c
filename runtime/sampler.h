/* sampler.h: from a row of logits to the next token. */
#ifndef RTC_RUNTIME_SAMPLER_H
#define RTC_RUNTIME_SAMPLER_H

#include "ir/diag.h"

typedef struct {
    double temperature;   /* 0: always the most likely */
    int top_k;            /* only the k most likely; 0: all */
    double top_p;         /* only the fewest most likely that together reach p; 1: all */
    uint64_t seed;
} SamplerOptions;

typedef struct Sampler Sampler;

/* For rows of n logits. */
Sampler *sampler_new(Diag *d, Arena *a, SamplerOptions o, int n);

/* The token of draw number `position`: a function of the options, the logits and the position
 * only. Equal logits: the lower token first. Temperature, then top-k, then top-p. A logit that is
 * not finite is an error that names it. */
int sampler_pick(Sampler *s, const float *logits, uint64_t position);

#endif
