/* optimizer.c: see optimizer.h. */
#include <math.h>
#include "runtime/optimizer.h"

static const char *const names[OPTIMIZER_KINDS] = {
    [OPTIMIZER_SGD] = "sgd", [OPTIMIZER_ADAM] = "adam", [OPTIMIZER_ADAMW] = "adamw",
};

const char *optimizer_name(OptimizerKind kind) { return names[kind]; }

int optimizer_named(const char *name)
{
    for (int i = 0; i < OPTIMIZER_KINDS; i++) {
        if (!strcmp(names[i], name)) return i;
    }
    return -1;
}

Optimizer optimizer_default(OptimizerKind kind)
{
    if (kind == OPTIMIZER_SGD) return (Optimizer){.kind = kind};
    return (Optimizer){.kind = kind, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                       .weight_decay = kind == OPTIMIZER_ADAMW ? 1e-2 : 0};
}

static bool not_negative(double x) { return x >= 0 && isfinite(x); }
static bool a_share(double x) { return x >= 0 && x < 1; }

const char *optimizer_error(const Optimizer *o, const char **argument)
{
    bool adam = o->kind != OPTIMIZER_SGD;
    *argument = "betas";
    if (adam && !(a_share(o->beta1) && a_share(o->beta2))) {
        return "must both be at least 0 and less than 1";
    }
    *argument = "eps";
    if (adam && !not_negative(o->eps)) return "must be 0 or more";
    *argument = "momentum";
    if (!a_share(o->momentum)) return "must be at least 0 and less than 1";
    *argument = "weight_decay";
    if (!not_negative(o->weight_decay)) return "must be 0 or more";
    *argument = "nesterov";
    if (o->nesterov && o->momentum == 0) return "needs a momentum";
    return NULL;
}

int optimizer_moments(const Optimizer *o)
{
    return o->kind == OPTIMIZER_SGD ? o->momentum != 0 : 2;
}

enum { BLOCK = 8192, LANES = 64 };       /* elements; partial sums of the norm */

static int64_t blocks_of(const ParamRange *r)
{
    return r->skip ? 0 : (r->count + BLOCK - 1) / BLOCK;
}

static int64_t block_size(const ParamRange *r, int64_t block)
{
    int64_t rest = r->count - block * BLOCK;
    return rest < BLOCK ? rest : BLOCK;
}

/* ---- the norm ---- */

static double sum_of_squares(const float *x, int64_t n)
{
    double part[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; j++) part[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (; i < n; i++) sum += (double)x[i] * (double)x[i];
    for (int j = 0; j < 8; j++) sum += part[j];
    return sum;
}

double optimizer_norm(const ParamRange *ranges, int n, const float *grad)
{
    double lanes[LANES], sum = 0;
#pragma omp parallel for schedule(static)
    for (int lane = 0; lane < LANES; lane++) {       /* takes every LANES-th block of all */
        int64_t first = lane;                        /* its next block, counted in this range */
        lanes[lane] = 0;
        for (int r = 0; r < n; r++) {
            int64_t blocks = blocks_of(&ranges[r]);
            for (; first < blocks; first += LANES) {
                lanes[lane] += sum_of_squares(grad + ranges[r].begin + first * BLOCK,
                                              block_size(&ranges[r], first));
            }
            first -= blocks;
        }
    }
    for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
    return sqrt(sum);
}

double optimizer_clip(double norm, double most)
{
    double factor = most / (norm + 1e-6);
    return most > 0 && factor < 1 ? factor : 1;
}

/* ---- the steps, on one block ---- */

/* What a formula needs, in the precision it is computed in. */
typedef struct {
    float scale, decay;          /* of the gradient; weight decay added to it */
    float momentum;
    float shrink;                /* AdamW: 1 - rate * weight_decay */
    float rise1, beta2, rise2;   /* 1 - beta1, beta2, 1 - beta2 */
    float root2, eps;            /* sqrt(1 - beta2^t) */
    float rate;                  /* Adam: rate / (1 - beta1^t) */
} Numbers;

static void sgd_plain(const Numbers *k, int64_t n, const float *restrict grad,
                      float *restrict value)
{
    float scale = k->scale, decay = k->decay, rate = k->rate;
    for (int64_t i = 0; i < n; i++) value[i] -= rate * (grad[i] * scale + decay * value[i]);
}

static void sgd_momentum(const Numbers *k, bool nesterov, int64_t n, const float *restrict grad,
                         float *restrict value, float *restrict m)
{
    float scale = k->scale, decay = k->decay, rate = k->rate, momentum = k->momentum;
    float own = nesterov ? 1.0f : 0.0f, past = nesterov ? momentum : 1.0f;
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * scale + decay * value[i];
        m[i] = momentum * m[i] + g;
        value[i] -= rate * (own * g + past * m[i]);
    }
}

static void adam(const Numbers *k, int64_t n, const float *restrict grad, float *restrict value,
                 float *restrict m, float *restrict v)
{
    float scale = k->scale, decay = k->decay, shrink = k->shrink, rate = k->rate;
    float rise1 = k->rise1, beta2 = k->beta2, rise2 = k->rise2, root2 = k->root2, eps = k->eps;
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * scale + decay * value[i];
        m[i] += rise1 * (g - m[i]);
        v[i] = v[i] * beta2 + rise2 * g * g;
        value[i] = value[i] * shrink - rate * m[i] / (sqrtf(v[i]) / root2 + eps);
    }
}

static Numbers numbers(const Optimizer *o, double rate, double scale, int64_t step)
{
    bool adamw = o->kind == OPTIMIZER_ADAMW;
    Numbers k = {.scale = (float)scale, .rate = (float)rate, .momentum = (float)o->momentum,
                 .decay = adamw ? 0 : (float)o->weight_decay,
                 .shrink = adamw ? (float)(1 - rate * o->weight_decay) : 1};
    if (o->kind != OPTIMIZER_SGD) {
        k.rise1 = (float)(1 - o->beta1);
        k.beta2 = (float)o->beta2;
        k.rise2 = (float)(1 - o->beta2);
        k.root2 = (float)sqrt(1 - pow(o->beta2, (double)step));
        k.eps = (float)o->eps;
        k.rate = (float)(rate / (1 - pow(o->beta1, (double)step)));
    }
    return k;
}

void optimizer_step(const Optimizer *o, double rate, double scale, const ParamRange *ranges, int n,
                    const float *grad, float *value, OptimizerState *state)
{
    for (int r = 0; r < n; r++) state->steps[r] += !ranges[r].skip;
#pragma omp parallel
    for (int r = 0; r < n; r++) {
        Numbers k = numbers(o, rate, scale, state->steps[r]);
        int64_t blocks = blocks_of(&ranges[r]);
#pragma omp for schedule(static) nowait
        for (int64_t b = 0; b < blocks; b++) {
            int64_t at = ranges[r].begin + b * BLOCK, size = block_size(&ranges[r], b);
            if (o->kind != OPTIMIZER_SGD) {
                adam(&k, size, grad + at, value + at, state->m + at, state->v + at);
            } else if (o->momentum != 0) {
                sgd_momentum(&k, o->nesterov, size, grad + at, value + at, state->m + at);
            } else {
                sgd_plain(&k, size, grad + at, value + at);
            }
        }
    }
}
