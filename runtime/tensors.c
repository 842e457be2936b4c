/* tensors.c: see tensors.h. */
#include <math.h>
#include "runtime/tensors.h"

static StDtype dtype_of(DType dt)
{
    return dt == DT_FLOAT ? ST_F32 : dt == DT_INT ? ST_I32 : ST_BOOL;
}

static StEntry entry(Diag *d, const char *name, DType dt, int rank, const int64_t *shape,
                     const void *data)
{
    if (rank > ST_MAX_RANK)
        diag_fail(d, "%s has %d axes; a file's tensor has at most %d", name, rank, ST_MAX_RANK);
    StEntry t = {.name = name, .dtype = dtype_of(dt), .rank = rank, .data = data};
    memcpy(t.shape, shape, (size_t)rank * sizeof *shape);
    return t;
}

StEntry tensor_of_value(Diag *d, const char *name, const Value *v)
{
    return entry(d, name, v->dt, v->rank, v->shape, v->data);
}

StEntry tensor_of_param(Diag *d, const char *name, const StoreEntry *e, const float *flat)
{
    return entry(d, name, e->dt, e->rank, e->shape, flat + e->offset);
}

void *tensor_read(Arena *a, const StTensor *t, DType dt)
{
    if (dt == DT_FLOAT) {
        float *out = NEW_N(a, float, t->count + 1);
        st_read_f32(t, out);
        return out;
    }
    if (dt == DT_INT) {
        int32_t *out = NEW_N(a, int32_t, t->count + 1);
        st_read_i32(t, out);
        return out;
    }
    uint8_t *out = NEW_N(a, uint8_t, t->count + 1);
    st_read_bool(t, out);
    return out;
}

int64_t tensor_count(const StEntry *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

double tensor_element(const StEntry *t, int64_t i)
{
    switch (t->dtype) {
    case ST_F32:
        return ((const float *)t->data)[i];
    case ST_I32:
        return ((const int32_t *)t->data)[i];
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

/* NaN equals NaN only; an infinity equals itself only. */
static bool is_close(double got, double wanted, double rtol, double atol)
{
    if (isnan(got) || isnan(wanted)) return isnan(got) && isnan(wanted);
    if (isinf(got) || isinf(wanted)) return got == wanted;
    return fabs(got - wanted) <= atol + rtol * fabs(wanted);
}

Difference tensor_compare(const StEntry *got, const double *wanted, double rtol, double atol)
{
    Difference d = {.at = -1};
    double most = 0; /* in tolerances */
    int64_t n = tensor_count(got);
    for (int64_t i = 0; i < n; i++) {
        double g = tensor_element(got, i), w = wanted[i];
        bool close = is_close(g, w, rtol, atol);
        double difference = g == w || (isnan(g) && isnan(w)) ? 0 : fabs(g - w);
        if (isnan(difference)) difference = HUGE_VAL;
        double relative = difference == 0 ? 0 : difference / fabs(w),
               tolerance = atol + rtol * fabs(w);
        double excess = difference == 0 ? 0 : tolerance > 0 ? difference / tolerance : HUGE_VAL;
        d.beyond += !close;
        d.largest = fmax(d.largest, difference);
        d.relative = fmax(d.relative, relative);
        if (d.at >= 0 && !(excess > most)) continue;
        most = excess;
        d.at = i, d.got = g, d.wanted = w;
    }
    return d;
}
