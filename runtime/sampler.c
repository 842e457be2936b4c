/* sampler.c: see sampler.h. */
#include <math.h>
#include <stdlib.h>
#include "ir/philox.h"
#include "runtime/sampler.h"

typedef struct {
    float logit;
    int token;
    double weight;            /* exp((logit - greatest) / temperature) */
} Candidate;

struct Sampler {
    Diag *diag;
    SamplerOptions o;
    int n;
    Candidate *candidates;    /* n */
};

Sampler *sampler_new(Diag *d, Arena *a, SamplerOptions o, int n)
{
    Sampler *s = NEW(a, Sampler);
    if (!(o.temperature >= 0 && isfinite(o.temperature))) {
        diag_fail(d, "the temperature is %g; it must be 0 or more", o.temperature);
    }
    if (!(o.top_p >= 0 && o.top_p <= 1)) {
        diag_fail(d, "top-p is %g; it must be from 0 to 1", o.top_p);
    }
    if (o.top_k < 0) diag_fail(d, "top-k is %d; it must be 0 (all) or more", o.top_k);
    if (n < 1) diag_bug(d, "a sampler of %d tokens", n);
    *s = (Sampler){d, o, n, NEW_N(a, Candidate, n)};
    return s;
}

static int most_likely(const Sampler *s, const float *logits)
{
    int best = 0;
    for (int i = 0; i < s->n; i++) {
        if (!isfinite(logits[i])) {
            diag_fail(s->diag, "the logit of token %d is %g: the model's numbers have broken down",
                      i, (double)logits[i]);
        }
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

static int by_logit(const void *a, const void *b)
{
    const Candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

/* How many of the sorted candidates top-k and top-p keep; at least one. */
static int keep(const Sampler *s)
{
    int n = s->o.top_k > 0 && s->o.top_k < s->n ? s->o.top_k : s->n;
    double sum = 0, reached = 0;
    for (int i = 0; i < n; i++) sum += s->candidates[i].weight;
    for (int i = 0; i < n; i++) {
        reached += s->candidates[i].weight;
        if (s->o.top_p < 1 && reached >= s->o.top_p * sum) return i + 1;
    }
    return n;
}

int sampler_pick(Sampler *s, const float *logits, uint64_t position)
{
    int best = most_likely(s, logits), n = s->n;
    if (s->o.temperature == 0) return best;
    for (int i = 0; i < n; i++) {
        double weight = exp(((double)logits[i] - (double)logits[best]) / s->o.temperature);
        s->candidates[i] = (Candidate){logits[i], i, weight};
    }
    if (s->o.top_k > 0 || s->o.top_p < 1) {
        qsort(s->candidates, (size_t)n, sizeof *s->candidates, by_logit);
        n = keep(s);
    }
    double sum = 0, at = 0;
    for (int i = 0; i < n; i++) sum += s->candidates[i].weight;
    Philox x = philox(s->o.seed, (uint32_t)position, (uint32_t)(position >> 32), 0, 0x706963u);
    double u = ((double)(x.w[0] >> 5) * 0x1p26 + (x.w[1] >> 6)) * 0x1p-53 * sum;
    for (int i = 0; i < n; i++) {
        at += s->candidates[i].weight;
        if (u < at) return s->candidates[i].token;
    }
    return s->candidates[n - 1].token;       /* rounding of the sum */
}
