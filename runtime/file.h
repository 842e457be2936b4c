/* file.h: whole files in, whole files out.
 *
 * What rtc writes under a name is complete or not there: a FileWriter writes beside the name,
 * checks every call, and renames when all is on the disk. What it reads is a regular file within
 * a limit, and a wrong kind of file is named for what it is ("an HTML page").
 */
#ifndef RTC_RUNTIME_FILE_H
#define RTC_RUNTIME_FILE_H

#include "ir/diag.h"

/* ---- kinds, told from the first bytes ---- */

typedef enum {
    FILE_MISSING,      /* errno says why */
    FILE_DIRECTORY,
    FILE_SPECIAL,      /* a pipe, a device, a socket */
    FILE_EMPTY,
    FILE_HTML,
    FILE_LFS_POINTER,
    FILE_SAFETENSORS,
    FILE_ZIP,          /* also what torch.save writes */
    FILE_PICKLE,
    FILE_GZIP,
    FILE_LLMC_TOKENS,
    FILE_TEXT,         /* no control characters in the first bytes */
    FILE_BINARY,
} FileKind;

FileKind file_kind(const char *path);
const char *file_kind_name(FileKind kind);   /* with its article: "an HTML page" */

/* ---- reading ---- */

/* The whole of a regular file, with a NUL after it that *bytes doesn't count (bytes may be NULL).
 * Errors: cannot open or read, not a regular file, more than `limit` bytes. */
char *file_read(Diag *d, Arena *a, const char *path, size_t limit, size_t *bytes);

/* A regular file mapped for reading; p is NULL when it is empty. An error that unwinds unmaps it,
 * so maps are closed in the reverse order of opening (diag_defer). */
typedef struct {
    const unsigned char *p;
    size_t bytes;
    Diag *diag;
} FileMap;
FileMap *file_map(Diag *d, Arena *a, const char *path);
void file_unmap(FileMap *m);

/* ---- writing ---- */

/* Between create and commit (or discard) other things may be deferred only in pairs. An error
 * that unwinds removes the temporary file. A path that is a symbolic link is followed; a device
 * or a pipe is written as it is. Failures name the path and the system's reason. */
typedef struct FileWriter FileWriter;
FileWriter *file_create(Diag *d, const char *path);
void file_write(FileWriter *w, const void *p, size_t bytes);
void file_printf(FileWriter *w, const char *fmt, ...) RTC_PRINTF(2, 3);
void file_commit(FileWriter *w);             /* on the disk under its name; w is gone */
void file_discard(FileWriter *w);            /* as if never created; w is gone */

/* A whole small file at once. */
void file_save(Diag *d, const char *path, const void *p, size_t bytes);

/* Removes temporaries that killed writers of `path` left behind; for the owner of the name. */
void file_sweep(const char *path);

/* Makes a directory where there is none; errors: cannot, or something else has the name. */
void file_make_directory(Diag *d, const char *path);
/* Before long work: an error unless `path` is, or can become, a directory to write into. */
void file_require_place(Diag *d, const char *path);
/* Before long work: the error that file_create would give after it. Leaves nothing. */
void file_require_writable(Diag *d, const char *path);

#endif
