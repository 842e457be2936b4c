/* file.c: reading and atomic writing of whole files; see file.h. */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/file.h"

/* ---- kinds ---- */

enum { SNIFF = 512 };

static bool starts(const unsigned char *p, size_t n, const char *with)
{
    size_t k = strlen(with);
    return n >= k && memcmp(p, with, k) == 0;
}

static bool looks_like_html(const unsigned char *p, size_t n)
{
    while (n > 0 && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
        n--;
    }
    char low[16] = {0};
    for (size_t i = 0; i < n && i < sizeof low - 1; i++) {
        low[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
    }
    return !strncmp(low, "<!doctype html", 14) || !strncmp(low, "<html", 5);
}

/* What UTF-8 texts hold: no control characters but white space, backspace and escape. */
static bool looks_like_text(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool control = p[i] < 32 && !(p[i] >= 8 && p[i] <= 13) && p[i] != 27;
        if (control || p[i] >= 0xfe) return false;
    }
    return true;
}

static FileKind sniff(const unsigned char *p, size_t n)
{
    if (n == 0) return FILE_EMPTY;
    if (starts(p, n, "version https://git-lfs")) return FILE_LFS_POINTER;
    if (looks_like_html(p, n)) return FILE_HTML;
    if (n >= 10 && !memcmp(p + 4, "\0\0\0\0{", 5) && memchr("\"} \n", p[9], 4)) {
        return FILE_SAFETENSORS;
    }
    if (starts(p, n, "PK\x03\x04")) return FILE_ZIP;
    if (n > 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5) return FILE_PICKLE;
    if (starts(p, n, "\x1f\x8b")) return FILE_GZIP;
    if (starts(p, n, "\x88\xd8\x34\x01") || starts(p, n, "\xa1\xd9\x34\x01")) {
        return FILE_LLMC_TOKENS;             /* 20240520 and 20240801, little-endian */
    }
    return looks_like_text(p, n) ? FILE_TEXT : FILE_BINARY;
}

static FileKind kind_of_mode(const struct stat *s)
{
    return S_ISDIR(s->st_mode) ? FILE_DIRECTORY : FILE_SPECIAL;
}

static bool read_fully(int fd, void *p, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t k = read(fd, (char *)p + *got, n - *got);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return false;
        if (k == 0) break;
        *got += (size_t)k;
    }
    return true;
}

/* O_NONBLOCK: opening a pipe that nobody writes must not hang. */
static int open_to_read(const char *path) { return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); }

FileKind file_kind(const char *path)
{
    unsigned char head[SNIFF];
    size_t n = 0;
    struct stat s;
    int fd = open_to_read(path);
    if (fd < 0) return FILE_MISSING;
    FileKind kind = FILE_MISSING;
    if (fstat(fd, &s) == 0) {
        if (!S_ISREG(s.st_mode)) {
            kind = kind_of_mode(&s);
        } else if (read_fully(fd, head, sizeof head, &n)) {
            kind = sniff(head, n);
        }
    }
    int why = errno;
    close(fd);
    errno = why;
    return kind;
}

const char *file_kind_name(FileKind kind)
{
    static const char *const names[] = {
        [FILE_MISSING] = "no file",
        [FILE_DIRECTORY] = "a directory",
        [FILE_SPECIAL] = "a device or pipe",
        [FILE_EMPTY] = "an empty file",
        [FILE_HTML] = "an HTML page",
        [FILE_LFS_POINTER] = "a git-lfs pointer (the file itself was not downloaded)",
        [FILE_SAFETENSORS] = "a safetensors file",
        [FILE_ZIP] = "a zip archive, or a PyTorch file (.pt)",
        [FILE_PICKLE] = "a Python pickle",
        [FILE_GZIP] = "a gzip file",
        [FILE_LLMC_TOKENS] = "a token file of llm.c",
        [FILE_TEXT] = "a text",
        [FILE_BINARY] = "a binary file",
    };
    return names[kind];
}

/* ---- reading ---- */

static void close_fd(void *fd) { close(*(int *)fd); }

RTC_NORETURN static void fail_open(Diag *d, const char *path, int why)
{
    char cwd[4096];
    if (why == ENOENT && path[0] != '/' && getcwd(cwd, sizeof cwd)) {
        diag_fail(d, "%s: %s\nlooked for in %s", path, strerror(why), cwd);
    }
    diag_fail(d, "%s: %s", path, strerror(why));
}

/* Opens a regular file; *bytes is its size. The caller closes the descriptor. */
static int open_regular(Diag *d, const char *path, size_t *bytes)
{
    struct stat s;
    int fd = open_to_read(path);
    if (fd < 0) fail_open(d, path, errno);
    if (fstat(fd, &s) != 0) {
        int why = errno;
        close(fd);
        fail_open(d, path, why);
    }
    if (!S_ISREG(s.st_mode)) {
        close(fd);
        diag_fail(d, "%s: this is %s, not a file", path, file_kind_name(kind_of_mode(&s)));
    }
    *bytes = (size_t)s.st_size;
    return fd;
}

char *file_read(Diag *d, Arena *a, const char *path, size_t limit, size_t *bytes)
{
    size_t size, got;
    int fd = open_regular(d, path, &size);
    diag_defer(d, close_fd, &fd);
    if (size > limit) {
        diag_fail(d, "%s: has %zu bytes; at most %zu are read here", path, size, limit);
    }
    char *text = arena_alloc(a, size + 1);
    if (!read_fully(fd, text, size, &got)) diag_fail(d, "%s: %s", path, strerror(errno));
    if (got < size) diag_fail(d, "%s: became shorter while it was read", path);
    diag_undefer(d);
    close(fd);
    if (bytes) *bytes = size;
    return text;
}

static void unmap(void *map)
{
    FileMap *m = map;
    if (m->p) munmap((void *)(uintptr_t)m->p, m->bytes);
    m->p = NULL;
}

FileMap *file_map(Diag *d, Arena *a, const char *path)
{
    FileMap *m = NEW(a, FileMap);
    int fd = open_regular(d, path, &m->bytes);
    m->diag = d;
    if (m->bytes > 0) {
        void *p = mmap(NULL, m->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        int why = errno;
        close(fd);
        if (p == MAP_FAILED) diag_fail(d, "%s: cannot map: %s", path, strerror(why));
        m->p = p;
    } else {
        close(fd);
    }
    diag_defer(d, unmap, m);
    return m;
}

void file_unmap(FileMap *m)
{
    diag_undefer(m->diag);
    unmap(m);
}

/* ---- writing ---- */

enum { BUFFER = 1 << 18 };

struct FileWriter {
    Diag *diag;
    char *path;          /* the final name, links resolved */
    char *temporary;     /* NULL when the path is a device: written as it is */
    int fd;
    size_t used;         /* bytes in buffer */
    char buffer[BUFFER];
};

static void writer_free(FileWriter *w)
{
    free(w->path);
    free(w->temporary);
    free(w);
}

static void abandon(void *writer)
{
    FileWriter *w = writer;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary) unlink(w->temporary);
    writer_free(w);
}

RTC_NORETURN static void fail_write(FileWriter *w, int why, const char *doing)
{
    struct stat s;
    bool kept = w->temporary && stat(w->path, &s) == 0;
    diag_fail(w->diag, "%s: cannot %s: %s%s", w->path, doing, strerror(why),
              kept ? "\nthe file that was there is as it was" : "");
}

/* What the writer's temporaries are called; file_sweep looks for the same. */
#define TEMPORARY ".tmp."

static void open_temporary(FileWriter *w)
{
    size_t room = strlen(w->path) + 64;
    char *name = malloc(room);
    if (!name) fail_write(w, ENOMEM, "create");
    for (int n = 0; w->fd < 0; n++) {
        snprintf(name, room, "%s" TEMPORARY "%ld.%d", w->path, (long)getpid(), n);
        w->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd < 0 && errno != EEXIST) {
            int why = errno;
            free(name);
            fail_write(w, why, "create");
        }
    }
    w->temporary = name;
}

FileWriter *file_create(Diag *d, const char *path)
{
    struct stat s;
    FileWriter *w = malloc(sizeof *w);
    if (w) { *w = (FileWriter){.diag = d, .fd = -1, .path = realpath(path, NULL)}; }
    if (w && !w->path) w->path = strdup(path);
    if (!w || !w->path) {
        free(w);
        diag_fail(d, "%s: out of memory", path);
    }
    diag_defer(d, abandon, w);
    if (stat(w->path, &s) == 0 && !S_ISREG(s.st_mode)) {
        if (S_ISDIR(s.st_mode)) fail_write(w, EISDIR, "write");
        w->fd = open(w->path, O_WRONLY | O_CLOEXEC);
        if (w->fd < 0) fail_write(w, errno, "write");
    } else {
        open_temporary(w);
    }
    return w;
}

static void put(FileWriter *w, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(w->fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) fail_write(w, errno, "write");
        p += k;
        n -= (size_t)k;
    }
}

static void flush(FileWriter *w)
{
    size_t n = w->used;
    w->used = 0;
    put(w, w->buffer, n);
}

void file_write(FileWriter *w, const void *p, size_t bytes)
{
    if (bytes > BUFFER - w->used) flush(w);
    if (bytes >= BUFFER) {
        put(w, p, bytes);
    } else if (bytes > 0) {
        memcpy(w->buffer + w->used, p, bytes);
        w->used += bytes;
    }
}

void file_printf(FileWriter *w, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text) {
        diag_bug(w->diag, "a line of %d bytes is too long for file_printf", n);
    }
    file_write(w, text, (size_t)n);
}

/* The rename itself must survive a power failure: the directory holds it. */
static void sync_directory(FileWriter *w)
{
    char *slash = strrchr(w->path, '/');
    int fd;
    if (!slash) {
        fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } else if (slash == w->path) {
        fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } else {
        *slash = 0;
        fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *slash = '/';
    }
    if (fd < 0) { return; }                  /* a directory that can't be read can't be synced */
    int failed = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    close(fd);
    if (failed) fail_write(w, failed, "sync the directory of");
}

void file_commit(FileWriter *w)
{
    flush(w);
    if (w->temporary && fsync(w->fd) != 0) fail_write(w, errno, "write to the disk");
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0) fail_write(w, errno, "close");
    if (w->temporary) {
        if (rename(w->temporary, w->path) != 0) fail_write(w, errno, "rename to");
        free(w->temporary);
        w->temporary = NULL;
        sync_directory(w);
    }
    diag_undefer(w->diag);
    writer_free(w);
}

void file_discard(FileWriter *w)
{
    diag_undefer(w->diag);
    abandon(w);
}

void file_require_writable(Diag *d, const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0 || S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) {
        file_discard(file_create(d, path));
    } else if (access(path, W_OK) != 0) {    /* not opened: whoever reads a pipe would see its end */
        diag_fail(d, "%s: cannot write: %s", path, strerror(errno));
    }
}

void file_save(Diag *d, const char *path, const void *p, size_t bytes)
{
    FileWriter *w = file_create(d, path);
    file_write(w, p, bytes);
    file_commit(w);
}

void file_sweep(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t room = strlen(path) + 2;
    char *dir = malloc(room);
    if (!dir) return;
    snprintf(dir, room, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    DIR *list = opendir(dir);
    size_t n = strlen(base), m = strlen(TEMPORARY);
    for (struct dirent *e; list && (e = readdir(list));) {
        bool ours = !strncmp(e->d_name, base, n) && !strncmp(e->d_name + n, TEMPORARY, m) &&
                    strspn(e->d_name + n + m, "0123456789.") == strlen(e->d_name + n + m);
        if (ours) unlinkat(dirfd(list), e->d_name, 0);
    }
    if (list) closedir(list);
    free(dir);
}

void file_require_place(Diag *d, const char *path)
{
    struct stat s;
    if (stat(path, &s) == 0) {
        if (!S_ISDIR(s.st_mode)) diag_fail(d, "%s: exists and is not a directory", path);
        if (access(path, W_OK | X_OK) != 0)
            diag_fail(d, "%s: cannot write there: %s", path, strerror(errno));
        return;
    }
    const char *parent = dirname(arena_strdup(diag_arena(d), path));
    int why = 0;
    if (stat(parent, &s) != 0) why = errno;
    else if (!S_ISDIR(s.st_mode)) why = ENOTDIR;
    else if (access(parent, W_OK | X_OK) != 0) why = errno;
    if (why) diag_fail(d, "%s: cannot create the directory: %s", path, strerror(why));
}

void file_make_directory(Diag *d, const char *path)
{
    struct stat s;
    if (mkdir(path, 0777) == 0) return;
    int why = errno;
    if (why != EEXIST) diag_fail(d, "%s: cannot create the directory: %s", path, strerror(why));
    if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode)) {
        diag_fail(d, "%s: exists and is not a directory", path);
    }
}
