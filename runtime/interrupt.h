/* interrupt.h: Ctrl-C and SIGTERM for the commands: the first asks, the second ends the process.
 *
 * Loops read the flag between steps, what loads and compiles polls it (diag_poll); nothing else
 * may be done in a handler. Only the `rtc` command installs it: the library takes a pointer to
 * any flag.
 */
#ifndef RTC_RUNTIME_INTERRUPT_H
#define RTC_RUNTIME_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

typedef volatile sig_atomic_t StopFlag;

/* 0 until asked; then the number of the signal. A file that reaches the limit on its size becomes
 * an error of writing, no signal. */
StopFlag *interrupt_install(void);
/* Streams that the caller has closed must not become files that are opened later: they get one
 * that fails. */
void streams_open(void);

static inline bool stop_asked(StopFlag *stop) { return stop && *stop; }

#endif
