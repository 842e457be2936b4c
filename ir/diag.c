/* diag.c: composes messages and unwinds. Contract: diag.h.
 *
 *     model.rt:2:14: error: expected `,` or `]` before `=`
 *       let y[b, i = x[b, i] + 1
 *                  ^
 *     the `[` at 2:8 is open
 *
 * A message is built in an arena of its own, and the previous one is freed only afterwards, because
 * an error may quote the one it replaces. Out of memory while building: a constant text instead.
 */
#include "ir/diag.h"
#include <stdio.h>
#include <stdlib.h>

#define TAB_STOP 4
#define WIDTH 120 /* columns of a source line that are shown */

typedef struct {
    const char *name, *text;
    uint32_t bytes;
    uint32_t *lines; /* [nlines] byte at which each line begins */
    int nlines;
} Source;

typedef struct {
    void (*fn)(void *);
    void *p;
} Deferred;

struct Diag {
    Arena *arena;
    Arena *message, *building; /* of the last message, and of the one under way */
    const char *text;
    int status;
    VEC(Source) sources; /* file number - 1 */
    VEC(Deferred) deferred;
    Str notes, warnings;
    DiagFrame *top;
    const volatile sig_atomic_t *stop; /* NULL: nobody asks */
};

/* ---- unwinding ---- */

RTC_NORETURN static void unwind(Diag *d)
{
    DiagFrame *frame = d->top;
    if (!frame) {
        fputs(d->text, stderr);
        abort();
    }
    while (d->deferred.n > frame->ndefer) {
        Deferred last = vec_pop(&d->deferred);
        last.fn(last.p);
    }
    d->top = frame->up;
    longjmp(frame->jump, 1);
}

RTC_NORETURN static void unwind_with(Diag *d, int status, const char *text)
{
    arena_free(d->message);
    d->message = d->building;
    d->building = NULL;
    d->text = text;
    d->status = status;
    d->notes.n = 0;
    unwind(d);
}

void diag_oom(void *diag)
{
    unwind_with(diag, 1, "error: out of memory\n");
}

const volatile sig_atomic_t *diag_on_stop(Diag *d, const volatile sig_atomic_t *asked)
{
    const volatile sig_atomic_t *before = d->stop;
    d->stop = asked;
    return before;
}

void diag_poll(Diag *d)
{
    if (d->stop && *d->stop) unwind_with(d, 130, "interrupted\n");
}

void diag_push_(Diag *d, DiagFrame *f)
{
    f->up = d->top;
    f->ndefer = d->deferred.n;
    d->top = f;
}

void diag_pop_(Diag *d, DiagFrame *f) { d->top = f->up; }

void diag_defer(Diag *d, void (*fn)(void *), void *p)
{
    vec_push(d->arena, &d->deferred, (Deferred){fn, p});
}

void diag_undefer(Diag *d) { d->deferred.n--; }

/* ---- life ---- */

Diag *diag_new(void)
{
    Diag *d = calloc(1, sizeof *d);
    Arena *a = d ? arena_new() : NULL;
    if (!a) {
        free(d);
        return NULL;
    }
    arena_on_oom(a, diag_oom, d);
    d->arena = d->notes.arena = d->warnings.arena = a;
    d->text = "";
    return d;
}

static void free_arena(void *a) { arena_free(a); }

Arena *diag_scratch(Diag *d)
{
    Arena *a = arena_new();
    if (!a) diag_oom(d);
    arena_on_oom(a, diag_oom, d);
    diag_defer(d, free_arena, a);
    return a;
}

void diag_scratch_end(Diag *d, Arena *a)
{
    diag_undefer(d);
    arena_free(a);
}

void diag_free(Diag *d)
{
    if (!d) return;
    arena_free(d->message);
    arena_free(d->building);
    arena_free(d->arena);
    free(d);
}

Arena *diag_arena(Diag *d) { return d->arena; }
const char *diag_text(const Diag *d) { return d->text; }
int diag_status(const Diag *d) { return d->status; }
const char *diag_warnings(const Diag *d) { return d->warnings.n ? d->warnings.s : ""; }
void diag_clear_warnings(Diag *d) { d->warnings.n = 0; }

void diag_reset(Diag *d)
{
    arena_free(d->message);
    d->message = NULL;
    d->text = "";
    d->status = 0;
    d->notes.n = 0;
}

/* ---- places ---- */

uint32_t diag_source(Diag *d, const char *name, const char *text, size_t bytes)
{
    if (bytes >= UINT32_MAX) diag_fail(d, "%s: a source of %zu bytes is too large", name, bytes);
    Source s = {.name = arena_strdup(d->arena, name),
                .text = arena_strndup(d->arena, text, bytes),
                .bytes = (uint32_t)bytes,
                .nlines = 1};
    for (uint32_t i = 0; i < s.bytes; i++) s.nlines += s.text[i] == '\n';
    s.lines = NEW_N(d->arena, uint32_t, s.nlines);
    for (uint32_t i = 0, n = 1; i < s.bytes; i++)
        if (s.text[i] == '\n') s.lines[n++] = i + 1;
    vec_push(d->arena, &d->sources, s);
    return (uint32_t)d->sources.n;
}

static const Source *source_of(const Diag *d, Loc loc)
{
    return loc.file && loc.file <= (uint32_t)d->sources.n ? &d->sources.v[loc.file - 1] : NULL;
}

const char *diag_source_text(const Diag *d, uint32_t file, size_t *bytes)
{
    const Source *s = source_of(d, (Loc){file, 0, 0});
    *bytes = s ? s->bytes : 0;
    return s ? s->text : "";
}

const char *diag_file(const Diag *d, Loc loc)
{
    const Source *s = source_of(d, loc);
    return s ? s->name : "";
}

/* The line that holds a byte, from 0. */
static int line_at(const Source *s, uint32_t byte)
{
    int low = 0, high = s->nlines - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (s->lines[middle] <= byte) low = middle;
        else high = middle - 1;
    }
    return low;
}

static uint32_t line_begin(const Source *s, int line)
{
    uint32_t begin = s->lines[line];
    bool bom = begin == 0 && s->bytes >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0;
    return bom ? 3 : begin;
}

static uint32_t line_end(const Source *s, int line)
{
    uint32_t begin = line_begin(s, line);
    uint32_t end = line + 1 < s->nlines ? s->lines[line + 1] - 1 : s->bytes;
    return end > begin && s->text[end - 1] == '\r' ? end - 1 : end;
}

static bool continues_char(char c) { return (c & 0xc0) == 0x80; }

/* Is it the whole of a character of UTF-8, and one that is seen? (0x80 to 0x9f are controls.) */
static bool is_shown(const char *text, uint32_t length)
{
    unsigned char c = (unsigned char)text[0];
    uint32_t whole = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (length != whole) return false;
    return c >= 0x80 ? c != 0xc2 || (unsigned char)text[1] >= 0xa0 : c >= 32 && c != 127;
}

int diag_line(const Diag *d, Loc loc, int *col)
{
    const Source *s = source_of(d, loc);
    if (col) *col = 0;
    if (!s) return 0;
    uint32_t at = loc.begin < s->bytes ? loc.begin : s->bytes;
    int line = line_at(s, at);
    if (col) {
        *col = 1;
        for (uint32_t i = line_begin(s, line); i < at; i++) *col += !continues_char(s->text[i]);
    }
    return line + 1;
}

const char *diag_slice(Diag *d, Loc loc)
{
    const Source *s = source_of(d, loc);
    if (!s) return "";
    uint32_t end = loc.end < s->bytes ? loc.end : s->bytes;
    uint32_t begin = loc.begin < end ? loc.begin : end;
    return arena_strndup(d->arena, s->text + begin, end - begin);
}

Loc loc_join(Loc a, Loc b)
{
    if (!a.file) return b;
    if (a.file != b.file) return a;
    return (Loc){a.file, a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

/* ---- composing ---- */

/* Writes the columns [from, to) of a line, tabs as spaces and what doesn't print as `?`; returns
 * how many columns the whole line has. With out NULL it only counts. */
static int put_columns(Str *out, const char *text, uint32_t n, int from, int to)
{
    int column = 0;
    for (uint32_t i = 0; i < n;) {
        uint32_t length = 1;
        while (i + length < n && length < 4 && continues_char(text[i + length])) length++;
        unsigned char c = (unsigned char)text[i];
        int wide = c == '\t' ? TAB_STOP - column % TAB_STOP : 1;
        for (int k = 0; k < wide; k++, column++) {
            if (!out || column < from || column >= to) continue;
            if (c == '\t') str_add(out, " ");
            else if (!is_shown(text + i, length)) str_add(out, "?");
            else str_addn(out, text + i, length);
        }
        i += length;
    }
    return column;
}

/* The line of loc's begin and `^~~~` under the part of the range on that line. */
static void put_excerpt(Str *out, const Source *s, Loc loc)
{
    uint32_t at = loc.begin < s->bytes ? loc.begin : s->bytes;
    int line = line_at(s, at);
    uint32_t begin = line_begin(s, line), end = line_end(s, line);
    if (at < begin) at = begin;
    if (at > end) at = end;
    uint32_t stop = loc.end < at ? at : loc.end < end ? loc.end : end;
    const char *text = s->text + begin;
    int columns = put_columns(NULL, text, end - begin, 0, 0);
    int first = put_columns(NULL, text, at - begin, 0, 0);
    int last = put_columns(NULL, text, stop - begin, 0, 0);

    int from = 0, to = columns;
    if (columns > WIDTH) {
        from = first < WIDTH / 2 ? 0 : first - WIDTH / 3;
        to = from + WIDTH < columns ? from + WIDTH : columns;
    }
    const char *cut = from > 0 ? "..." : "";
    str_printf(out, "  %s", cut);
    put_columns(out, text, end - begin, from, to);
    str_printf(out, "%s\n  %*s^", to < columns ? "..." : "",
               first - from + (int)strlen(cut), "");
    for (int i = first + 1; i < last && i < to; i++) str_add(out, "~");
    str_add(out, "\n");
}

/* `where: kind: first line`, the excerpt, then the other lines of the text. */
static void put_message(Diag *d, Str *out, Loc loc, const char *kind, const char *text)
{
    const Source *s = source_of(d, loc);
    const char *rest = strchr(text, '\n');
    int first = rest ? (int)(rest - text) : (int)strlen(text);
    if (s) {
        int col, line = diag_line(d, loc, &col);
        str_printf(out, "%s:%d:%d: ", s->name, line, col);
    }
    str_printf(out, "%s: %.*s\n", kind, first, text);
    if (s) put_excerpt(out, s, loc);
    if (rest) str_add(out, rest + 1);
    if (out->s[out->n - 1] != '\n') str_add(out, "\n");
}

static void begin_message(Diag *d)
{
    arena_free(d->building); /* left by a message that an out-of-memory cut short */
    d->building = arena_new();
    if (!d->building) diag_oom(d);
    arena_on_oom(d->building, diag_oom, d);
}

RTC_NORETURN static void fail(Diag *d, Loc loc, int status, const char *text)
{
    Str out = {.arena = d->building};
    put_message(d, &out, loc, "error", text);
    if (d->notes.n) str_addn(&out, d->notes.s, d->notes.n);
    unwind_with(d, status, out.s);
}

void user_error(Diag *d, Loc loc, const char *fmt, ...)
{
    va_list ap;
    begin_message(d);
    va_start(ap, fmt);
    const char *text = arena_vprintf(d->building, fmt, ap);
    va_end(ap);
    fail(d, loc, 1, text);
}

void diag_fail(Diag *d, const char *fmt, ...)
{
    va_list ap;
    begin_message(d);
    va_start(ap, fmt);
    const char *text = arena_vprintf(d->building, fmt, ap);
    va_end(ap);
    fail(d, NO_LOC, 1, text);
}

void diag_fail_status(Diag *d, int status, const char *fmt, ...)
{
    va_list ap;
    begin_message(d);
    va_start(ap, fmt);
    const char *text = arena_vprintf(d->building, fmt, ap);
    va_end(ap);
    fail(d, NO_LOC, status, text);
}

/* "ir/graph.c" of "/somewhere/ir/graph.c": where the tree lies says nothing. */
static const char *short_path(const char *path)
{
    const char *p = path + strlen(path);
    for (int slashes = 0; p > path; p--)
        if (p[-1] == '/' && ++slashes == 2) break;
    return p;
}

void diag_bug_(Diag *d, const char *where, int line, const char *fmt, ...)
{
    begin_message(d);
    Str out = {.arena = d->building};
    va_list ap;
    va_start(ap, fmt);
    str_printf(&out, "internal error at %s:%d: ", short_path(where), line);
    str_vprintf(&out, fmt, ap);
    va_end(ap);
    str_add(&out, "\nThis is a mistake in rtc, not in your program: please report this message,\n"
                  "the command, and the program that shows it.\n");
    if (d->notes.n) str_addn(&out, d->notes.s, d->notes.n);
    unwind_with(d, 70, out.s);
}

void diag_again(Diag *d) { unwind(d); }

static void put_extra(Diag *d, Str *out, Loc loc, const char *kind, const char *fmt, va_list ap)
{
    Arena *scratch = arena_new();
    if (!scratch) diag_oom(d);
    put_message(d, out, loc, kind, arena_vprintf(scratch, fmt, ap));
    arena_free(scratch);
}

void diag_note(Diag *d, Loc loc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_extra(d, &d->notes, loc, "note", fmt, ap);
    va_end(ap);
}

void diag_warn(Diag *d, Loc loc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_extra(d, &d->warnings, loc, "warning", fmt, ap);
    va_end(ap);
}
