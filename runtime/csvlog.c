/* csvlog.c: see csvlog.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "runtime/csvlog.h"
#include "runtime/file.h"

struct CsvLog {
    Diag *diag;
    const char *path;
    int ncolumns, fd;
    Str row;
};

enum { LONGEST_LOG = 1 << 30 };      /* bytes: hundreds of millions of steps */

static char *header_line(Arena *a, const char *const *columns, int n)
{
    Str s = {.arena = a};
    for (int i = 0; i < n; i++) str_printf(&s, "%s%s", i ? "," : "", columns[i]);
    str_add(&s, "\n");
    return s.s;
}

/* Bytes of `text` up to and without the first row of a step after `last`, or the cut last row. */
static size_t kept_bytes(const char *text, size_t header, int64_t last)
{
    const char *at = text + header;
    for (const char *end; (end = strchr(at, '\n')); at = end + 1) {
        char *after;
        long long step = strtoll(at, &after, 10);
        if (after == at || *after != ',' || step > last) break;
    }
    return (size_t)(at - text);
}

/* Prepares the file to be appended to: its header, and the rows that stay. */
static void prepare(Diag *d, const char *path, const char *header, int64_t resume_step)
{
    size_t n = strlen(header);
    if (resume_step >= 0 && file_kind(path) == FILE_MISSING && errno == ENOENT) {
        diag_warn(d, NO_LOC, "%s is missing; a new log begins at step %lld", path,
                  (long long)resume_step);
        resume_step = -1;
    }
    if (resume_step < 0) {
        file_save(d, path, header, n);
        return;
    }
    Arena *a = diag_arena(d);
    size_t bytes;
    char *text = file_read(d, a, path, LONGEST_LOG, &bytes);
    if (strncmp(text, header, n) != 0) {
        diag_fail(d, "%s has other columns than this run\nthis run: %sthe file: %.*s\n"
                     "move the file away to begin a new log",
                  path, header, (int)strcspn(text, "\n"), text);
    }
    csvlog_read(d, a, path);                 /* whole, or an error that says where it isn't */
    size_t keep = kept_bytes(text, n, resume_step);
    if (keep < bytes) file_save(d, path, text, keep);
}

static void close_log(void *p)
{
    CsvLog *log = p;
    if (log->fd >= 0) close(log->fd);
    log->fd = -1;
}

CsvLog *csvlog_open(Diag *d, Arena *a, const char *path, const char *const *columns, int ncolumns,
                    int64_t resume_step)
{
    CsvLog *log = NEW(a, CsvLog);
    *log = (CsvLog){d, arena_strdup(a, path), ncolumns, -1, {.arena = a}};
    prepare(d, path, header_line(a, columns, ncolumns), resume_step);
    log->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (log->fd < 0) diag_fail(d, "%s: %s", path, strerror(errno));
    diag_defer(d, close_log, log);
    return log;
}

void csvlog_row(CsvLog *log, int64_t step, const double *values)
{
    Str *row = &log->row;
    row->n = 0;
    str_printf(row, "%lld", (long long)step);
    for (int i = 0; i < log->ncolumns - 1; i++) {
        if (values[i] == CSVLOG_NONE) {
            str_add(row, ",");
        } else {
            str_printf(row, ",%.9g", values[i]);
        }
    }
    str_add(row, "\n");
    for (size_t at = 0; at < row->n;) {      /* one write, but where the disk is nearly full */
        ssize_t k = write(log->fd, row->s + at, row->n - at);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) diag_fail(log->diag, "%s: cannot write: %s", log->path, strerror(errno));
        at += (size_t)k;
    }
}

void csvlog_close(CsvLog *log)
{
    diag_undefer(log->diag);
    int fd = log->fd;
    log->fd = -1;
    if (close(fd) != 0) diag_fail(log->diag, "%s: cannot close: %s", log->path, strerror(errno));
}

/* ---- reading ---- */

/* The next cell of a line, terminated in place; NULL at the end of the line. */
static char *next_cell(char **at)
{
    char *cell = *at;
    if (!cell) return NULL;
    char *comma = strchr(cell, ',');
    if (comma) *comma = 0;
    *at = comma ? comma + 1 : NULL;
    return cell;
}

static void read_header(Arena *a, CsvTable *t, char *line)
{
    int n = 1;
    for (char *c = line; *c; c++) n += *c == ',';
    t->columns = NEW_N(a, const char *, n);
    for (char *cell; (cell = next_cell(&line));) t->columns[t->ncolumns++] = cell;
}

CsvTable csvlog_read(Diag *d, Arena *a, const char *path)
{
    static const char away[] = "move the file away to begin a new log";
    CsvTable t = {0};
    int lines = 0;
    char *text = file_read(d, a, path, LONGEST_LOG, NULL), *at = text;
    for (char *c = text; *c; c++) lines += *c == '\n';
    for (char *end; (end = strchr(at, '\n')); at = end + 1) {
        *end = 0;
        if (!t.ncolumns) {
            read_header(a, &t, at);
            t.values = NEW_N(a, double, (size_t)lines * (size_t)t.ncolumns);
            continue;
        }
        double *row = t.values + (size_t)t.nrows++ * (size_t)t.ncolumns;
        int n = 0;
        for (char *cell, *after; (cell = next_cell(&at)); n++) {
            double x = strtod(cell, &after);
            if (*after || n >= t.ncolumns) {
                diag_fail(d, "%s:%d: `%.40s` is not expected here\n%s", path, t.nrows + 1, cell,
                          away);
            }
            row[n] = *cell ? x : CSVLOG_NONE;
        }
        if (n < t.ncolumns) {
            diag_fail(d, "%s:%d: %d of %d cells\n%s", path, t.nrows + 1, n, t.ncolumns, away);
        }
    }
    return t;
}

int csvlog_column(const CsvTable *t, const char *name)
{
    for (int i = 0; i < t->ncolumns; i++) {
        if (!strcmp(t->columns[i], name)) return i;
    }
    return -1;
}
