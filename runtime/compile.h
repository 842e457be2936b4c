/* compile.h: private to runtime/: the road from a Program to an Executable. exec.h has
 * exec_compile. */
#ifndef RTC_RUNTIME_COMPILE_H
#define RTC_RUNTIME_COMPILE_H

#include "runtime/device.h"

/* Makes s->grad, zeroed, if it isn't there yet. */
void store_want_grad(Store *s);

#endif
