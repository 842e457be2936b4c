/* tensors.h: values of a run as tensors of a file, and back. */
#ifndef RTC_RUNTIME_TENSORS_H
#define RTC_RUNTIME_TENSORS_H

#include "runtime/exec.h"
#include "runtime/safetensors.h"

/* Errors: more than ST_MAX_RANK axes. The data stay where they are. */
StEntry tensor_of_value(Diag *d, const char *name, const Value *v);
StEntry tensor_of_param(Diag *d, const char *name, const StoreEntry *e, const float *flat);

/* The tensor's elements as dt: float, int32_t or uint8_t, in the arena. Errors: a value that
 * doesn't fit. */
void *tensor_read(Arena *a, const StTensor *t, DType dt);

/* How two tensors of equal shape differ: |got - wanted| at most atol + rtol * |wanted| holds, or
 * not. */
typedef struct {
    double largest, relative;        /* the largest absolute, and the largest relative difference */
    int64_t beyond, at;              /* elements beyond the tolerance; where it is missed by most */
    double got, wanted;              /* there */
} Difference;
Difference tensor_compare(const StEntry *got, const double *wanted, double rtol, double atol);
double tensor_element(const StEntry *t, int64_t i);
int64_t tensor_count(const StEntry *t);

#endif
