/* progress.c: see progress.h. */
#include <math.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "runtime/progress.h"

double progress_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_terminal(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && !(term && !strcmp(term, "dumb"));
}

Progress progress_begin(FILE *out, bool quiet, int64_t first, int64_t total, int64_t every)
{
    struct winsize size = {0};
    Progress p = {.out = out, .quiet = quiet, .terminal = is_terminal(out), .width = 80,
                  .first = first, .total = total, .every = every < 1 ? 1 : every,
                  .start = progress_seconds()};
    if (p.terminal && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        p.width = size.ws_col;
    }
    return p;
}

void progress_duration(double seconds, char *out, size_t bytes)
{
    if (!(seconds < 360000)) seconds = 360000;          /* 100 hours, also for what is no number */
    if (seconds < 0) seconds = 0;
    long s = (long)(seconds + 0.5);
    if (s >= 3600) {
        snprintf(out, bytes, "%ldh%02ldm", s / 3600, s / 60 % 60);
    } else if (s >= 60) {
        snprintf(out, bytes, "%ldm%02lds", s / 60, s % 60);
    } else {
        snprintf(out, bytes, "%lds", s);
    }
}

static bool is_due(const Progress *p, double now, int64_t done)
{
    if (p->quiet) return false;
    if (done >= p->total || !p->terminal) return done >= p->total || done % p->every == 0;
    return now - p->shown >= 0.1;
}

void progress_step(Progress *p, double now, int64_t done, const char *fmt, ...)
{
    char more[256], left[32], line[512];
    if (!is_due(p, now, done)) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(more, sizeof more, fmt, ap);
    va_end(ap);
    double rate = now > p->start ? (double)(done - p->first) / (now - p->start) : 0;
    progress_duration(rate > 0 ? (double)(p->total - done) / rate : 0, left, sizeof left);
    int n = snprintf(line, sizeof line, "step %lld/%lld  %s  %.3g steps/s  %s left",
                     (long long)done, (long long)p->total, more, rate, left);
    if (p->terminal) {
        if (n >= p->width) n = p->width - 1;            /* a line that wraps can't be rewritten */
        fprintf(p->out, "\r%.*s\x1b[K", n, line);
        p->open = true;
        if (done >= p->total) progress_pause(p);
    } else {
        fprintf(p->out, "%s\n", line);
    }
    fflush(p->out);
    p->shown = now;
}

void progress_say(Progress *p, double now, const char *fmt, ...)
{
    enum { PLAIN_SECONDS = 5 };
    char line[512];
    if (p->quiet || (!p->terminal && now - fmax(p->shown, p->start) < PLAIN_SECONDS)) return;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof line) n = (int)sizeof line - 1;
    if (p->terminal && n >= p->width) n = p->width - 1;
    fprintf(p->out, p->terminal ? "\r%.*s\x1b[K" : "%.*s\n", n, line);
    fflush(p->out);
    p->open = p->terminal;
    p->shown = now;
}

void progress_clear(Progress *p)
{
    if (p->open) fputs("\r\x1b[K", p->out);
    fflush(p->out);
    p->open = false;
}

void progress_pause(Progress *p)
{
    if (p->open) fputc('\n', p->out);
    fflush(p->out);
    p->open = false;
}
