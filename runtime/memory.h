/* memory.h: how much memory this process may still take. */
#ifndef RTC_RUNTIME_MEMORY_H
#define RTC_RUNTIME_MEMORY_H

#include "ir/diag.h"

/* Bytes: what the system says is available, or what is left of this process's control group or
 * of its limit on address space, whichever is least. HUGE_VAL where nothing is known. Linux
 * grants more than there is and ends a process later, so whoever needs much asks first. */
double memory_available(void);
/* Errors: `what` needs more bytes than that. `advice`: further lines of the message, or "". */
void memory_require(Diag *d, double bytes, const char *what, const char *advice);

#endif
