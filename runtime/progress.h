/* progress.h: how far a long command is.
 *
 * On a terminal one line, rewritten at most ten times a second; anywhere else one plain line every
 * `every` steps, so that logs stay readable. TERM=dumb counts as no terminal.
 */
#ifndef RTC_RUNTIME_PROGRESS_H
#define RTC_RUNTIME_PROGRESS_H

#include <stdio.h>
#include "ir/base.h"

typedef struct {
    FILE *out;
    bool quiet, terminal;
    int width;               /* columns of the terminal */
    int64_t first, total;    /* steps done before this run; steps in all */
    int64_t every;           /* steps between plain lines */
    double start, shown;     /* seconds; when it began, when a line was last shown */
    bool open;               /* a line without its end is on the terminal */
} Progress;

double progress_seconds(void);               /* a clock that only goes forward */

Progress progress_begin(FILE *out, bool quiet, int64_t first, int64_t total, int64_t every);

/* `done` steps of the total are done; `fmt` says more ("loss 1.234"). Steps per second and the
 * time left are added. `now` is progress_seconds(). */
void progress_step(Progress *p, double now, int64_t done, const char *fmt, ...) RTC_PRINTF(4, 5);

/* Something that takes long and has no steps is going on: on a terminal a line that is rewritten,
 * elsewhere a plain one every few seconds. */
void progress_say(Progress *p, double now, const char *fmt, ...) RTC_PRINTF(3, 4);
/* It is done: the terminal's line goes away. */
void progress_clear(Progress *p);

/* Call before anything else is written to the same place: ends the open line. */
void progress_pause(Progress *p);

/* "1h02m", "3m20s", "12s"; at least 24 bytes. */
void progress_duration(double seconds, char *out, size_t bytes);

#endif
