/* lab.h: what the tests of training share: a folder of their own, a session over a small model. */
#ifndef RTC_TESTS_RUNTIME_LAB_H
#define RTC_TESTS_RUNTIME_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "runtime/rundir.h"
#include "runtime/train.h"

typedef struct {
    Diag *d;
    Arena *a;
    char dir[64];
} Lab;

static inline int lab_open(void **state)
{
    Lab *l = calloc(1, sizeof *l);
    l->d = diag_new();
    l->a = arena_new();
    strcpy(l->dir, "/tmp/rtc-lab-XXXXXX");
    *state = l;
    return mkdtemp(l->dir) ? 0 : -1;
}

static inline int lab_close(void **state)
{
    Lab *l = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", l->dir);
    int r = system(command);
    diag_free(l->d);
    arena_free(l->a);
    free(l);
    return r;
}

static inline const char *lab_path(Lab *l, const char *name)
{
    return arena_printf(l->a, "%s/%s", l->dir, name);
}

static inline const char *lab_write(Lab *l, const char *name, const char *text)
{
    const char *path = lab_path(l, name);
    file_save(l->d, path, text, strlen(text));
    return path;
}

static inline const char *lab_read(Lab *l, const char *path, size_t *bytes)
{
    return file_read(l->d, l->a, path, 1 << 26, bytes);
}

/* n lines with something to learn in them. */
static inline const char *lab_text(Lab *l, int n)
{
    Str s = {.arena = l->a};
    for (int i = 0; i < n; i++)
        str_printf(&s, "line %d: the quick brown fox jumps over the lazy dog %d\n", i % 10, i % 7);
    return lab_write(l, "text.txt", s.s);
}

#define LAB_TINY RTC_SOURCE_DIR "/tests/runtime/tiny.rt"
#define LAB_CACHE RTC_BINARY_DIR "/test-cache"

static inline void lab_drop_session(void *s) { session_close(s); }

static inline Session *lab_session(Lab *l, const char *file, const Override *set, int nset)
{
    return session_open(l->d, &(SessionOptions){
        .file = file, .library = RTC_SOURCE_DIR "/models", .set = set, .nset = nset, .seed = 1,
        .compile = {.threads = 1, .cache = {.dir = LAB_CACHE}}});
}

/* fn may fail: its message, else NULL. */
static inline const char *lab_error(Lab *l, void (*fn)(Lab *, void *), void *ctx)
{
    const char *volatile text = NULL;
    DIAG_TRY(l->d) { fn(l, ctx); }
    DIAG_CATCH(l->d) { text = arena_strdup(l->a, diag_text(l->d)); }
    DIAG_END(l->d)
    return text;
}

static inline void lab_says(const char *error, const char *part)
{
    if (!error) fail_msg("no error, so no `%s`", part);
    else if (!strstr(error, part)) fail_msg("no `%s` in:\n%s", part, error);
}

#endif
