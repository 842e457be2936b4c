/* wrong.h: programs that must be refused, each with what the message must say.
 *
 * A file holds cases divided by lines `# ---`; places count from the first line of the case. The
 * expectation stands in the last lines of a case, so that it moves nothing:
 *
 *     # error: 2:14 expected `,` or `]` before `=`
 *     # also: the `[` at 2:8 is open
 *
 * `error` gives line:col and what the first line of the message must hold; each `also` must stand
 * anywhere in the message.
 */
#ifndef RTC_TESTS_WRONG_H
#define RTC_TESTS_WRONG_H

#include "ir/diag.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    const char *name;  /* "syntax.rt" or "syntax.rt, case 3" */
    const char *text;  /* the program, expectation included */
    const char *place; /* "2:14" */
    const char *error;
    VEC(const char *) also;
} Wrong;
typedef VEC(Wrong) WrongVec;

/* The whole file, ended by a NUL; NULL if it can't be read. */
static inline char *wrong_read(Arena *a, const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    Str s = {.arena = a};
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) str_addn(&s, buffer, n);
    str_add(&s, "");
    fclose(f);
    if (bytes) *bytes = s.n;
    return s.s;
}

static inline Wrong wrong_case(Arena *a, const char *name, const char *text, size_t bytes)
{
    Wrong w = {.name = name, .text = arena_strndup(a, text, bytes)};
    char *copy = arena_strdup(a, w.text), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "# error: ", 9) == 0) {
            char *space = strchr(line + 9, ' ');
            if (!space) continue;
            *space = 0;
            w.place = line + 9;
            w.error = space + 1;
        } else if (strncmp(line, "# also: ", 8) == 0) {
            vec_push(a, &w.also, line + 8);
        }
    }
    return w;
}

/* The cases of a file; none if it can't be read. */
static inline WrongVec wrong_load(Arena *a, const char *path)
{
    WrongVec cases = {0};
    const char *text = wrong_read(a, path, NULL);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (int n = 1; text; n++) {
        const char *end = strstr(text, "# ---\n");
        size_t bytes = end ? (size_t)(end - text) : strlen(text);
        const char *called = end || n > 1 ? arena_printf(a, "%s, case %d", name, n) : name;
        vec_push(a, &cases, wrong_case(a, called, text, bytes));
        text = end ? end + 6 : NULL;
    }
    return cases;
}

/* NULL if the message (diag_text) is as expected, else what is wrong with it. */
static inline const char *wrong_check(Arena *a, const Wrong *w, const char *message)
{
    if (!w->place) return arena_printf(a, "%s: has no `# error: LINE:COL text`", w->name);
    const char *line = arena_strndup(a, message, strcspn(message, "\n"));
    const char *place = arena_printf(a, ":%s: error: ", w->place);
    const char *missing = !strstr(line, place) ? place : !strstr(line, w->error) ? w->error : NULL;
    for (int i = 0; i < w->also.n; i++)
        if (!strstr(message, w->also.v[i])) missing = w->also.v[i];
    if (!missing) return NULL;
    return arena_printf(a, "%s: expected\n  %s\nin\n%s", w->name, missing,
                        *message ? message : "  (no error)\n");
}

#endif
