/* diag.h: two error paths, and where in the text a thing came from.
 *
 *   user_error   the input is wrong:  file:line:col, the line, the range underlined, what was
 *                expected, what was found, a hint.            status 1
 *   diag_fail    the same without a place in a source text.   status 1
 *   diag_bug     rtc is wrong: says what to report.           status 70
 *
 * All three write the message to the Diag's text and unwind (longjmp) to the nearest DIAG_TRY,
 * so nothing in the library exits and callers between need no error codes. Code between a
 * DIAG_TRY and an error must keep its memory in arenas, and files behind diag_defer().
 *
 *     DIAG_TRY(d) { ...may fail... } DIAG_CATCH(d) { fputs(diag_text(d), stderr); return diag_status(d); } DIAG_END(d);
 *
 * Leave the body of a DIAG_TRY only by its end (no return, break or goto out of it).
 */
#ifndef RTC_IR_DIAG_H
#define RTC_IR_DIAG_H

#include <setjmp.h>
#include <signal.h>
#include "ir/base.h"

/* A byte range of a source file; file 0 is "no place". */
typedef struct {
    uint32_t file;         /* index that diag_source returned */
    uint32_t begin, end;   /* bytes, end exclusive */
} Loc;
#define NO_LOC ((Loc){0, 0, 0})

typedef struct Diag Diag;
typedef struct DiagFrame {
    jmp_buf jump;
    struct DiagFrame *up;
    int ndefer;            /* deferred actions registered before this frame */
} DiagFrame;

Diag *diag_new(void);
void diag_free(Diag *d);
Arena *diag_arena(Diag *d);                       /* lives as long as the Diag */

/* Registers a source text (copied) under the name shown in messages; returns its file number. */
uint32_t diag_source(Diag *d, const char *name, const char *text, size_t bytes);
const char *diag_source_text(const Diag *d, uint32_t file, size_t *bytes); /* NUL-terminated */
const char *diag_file(const Diag *d, Loc loc);    /* its name; "" for NO_LOC */
int diag_line(const Diag *d, Loc loc, int *col);  /* 1-based; 0 for NO_LOC; columns count characters */
const char *diag_slice(Diag *d, Loc loc);         /* the text of the range, copied */
Loc loc_join(Loc a, Loc b);                       /* from the begin of a to the end of b */

/* `found`, `expected` and `hint` lines may be part of fmt after '\n': they print under the excerpt. */
RTC_NORETURN void user_error(Diag *d, Loc loc, const char *fmt, ...) RTC_PRINTF(3, 4);
RTC_NORETURN void diag_fail(Diag *d, const char *fmt, ...) RTC_PRINTF(2, 3);
RTC_NORETURN void diag_fail_status(Diag *d, int status, const char *fmt, ...) RTC_PRINTF(3, 4);
RTC_NORETURN void diag_bug_(Diag *d, const char *where, int line, const char *fmt, ...) RTC_PRINTF(4, 5);
#define diag_bug(d, ...) diag_bug_((d), __FILE__, __LINE__, __VA_ARGS__)
/* Unwinds once more with the last message, to the next DIAG_TRY: for a catcher that can't help. */
RTC_NORETURN void diag_again(Diag *d);
/* A second place that explains the coming error ("`w` is declared here"); printed after it. */
void diag_note(Diag *d, Loc loc, const char *fmt, ...) RTC_PRINTF(3, 4);
/* Collected and printed once by the command (stderr); never unwinds. */
void diag_warn(Diag *d, Loc loc, const char *fmt, ...) RTC_PRINTF(3, 4);
const char *diag_warnings(const Diag *d);         /* "" if none */
void diag_clear_warnings(Diag *d);

/* Runs fn(p) when an error unwinds past the frame that is innermost now; diag_undefer drops the last one (after normal use). */
void diag_defer(Diag *d, void (*fn)(void *), void *p);
void diag_undefer(Diag *d);
/* An arena that is freed when an error unwinds past that frame; diag_scratch_end frees it after normal use, in the
 * order of diag_undefer. */
Arena *diag_scratch(Diag *d);
void diag_scratch_end(Diag *d, Arena *a);

/* A flag that a signal sets: while it is known here, diag_poll unwinds with status 130 once it is set. NULL: never.
 * Returns what was known before. */
const volatile sig_atomic_t *diag_on_stop(Diag *d, const volatile sig_atomic_t *asked);
/* For loops that may take long and where nothing is lost: loading, compiling, the evaluator. */
void diag_poll(Diag *d);

const char *diag_text(const Diag *d);             /* the whole last message, ends in '\n' */
int diag_status(const Diag *d);                   /* 0 if none, 1, 2, 70 or 130 */
void diag_reset(Diag *d);
/* For arena_on_oom(a, diag_oom, d): unwinds with "out of memory". */
void diag_oom(void *diag);

void diag_push_(Diag *d, DiagFrame *f);
void diag_pop_(Diag *d, DiagFrame *f);
#define DIAG_TRY(d)                                                                                \
    {                                                                                              \
        DiagFrame frame_;                                                                          \
        Diag *diag_ = (d);                                                                         \
        diag_push_(diag_, &frame_);                                                                \
        if (setjmp(frame_.jump) == 0) {
#define DIAG_CATCH(d)                                                                              \
        diag_pop_(diag_, &frame_);                                                                 \
        } else {
#define DIAG_END(d) } }

#endif
