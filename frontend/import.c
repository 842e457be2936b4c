/* import.c: the files of a program: looked up beside the importing file, then in the library. */
#include "frontend/build.h"
#include "frontend/parse.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 16 << 20, MAX_CHAIN = 64 };

typedef struct Chain {
    const struct Chain *up;
    const char *shown, *real;
    int depth;
} Chain;

static void close_file(void *f) { fclose(f); }

RTC_NORETURN static void unreadable(Builder *b, const char *path, Loc loc, const char *why)
{
    if (loc.file) user_error(b->d, loc, "can't read %s: %s", path, why);
    diag_fail(b->d, "can't read %s: %s", path, why);
}

/* Without waiting for who might write a pipe. */
static FILE *open_text(Builder *b, const char *path, Loc loc)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!f) unreadable(b, path, loc, strerror(errno));
    diag_defer(b->d, close_file, f);
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        unreadable(b, path, loc, S_ISDIR(st.st_mode) ? "it is a directory" : "it is no file");
    return f;
}

static char *read_text(Builder *b, const char *path, Loc loc, size_t *bytes)
{
    FILE *f = open_text(b, path, loc);
    Str s = {.arena = b->a};
    char buffer[1 << 14];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;) {
        str_addn(&s, buffer, n);
        if (s.n > MAX_FILE) diag_fail(b->d, "%s is larger than 16 MiB: not a model", path);
    }
    if (ferror(f)) diag_fail(b->d, "can't read %s: %s", path, strerror(errno));
    diag_undefer(b->d);
    fclose(f);
    str_add(&s, "");
    if (s.n >= 2 && (!memcmp(s.s, "\xff\xfe", 2) || !memcmp(s.s, "\xfe\xff", 2)))
        unreadable(b, path, loc, "it is UTF-16; models are written in UTF-8");
    *bytes = s.n;
    return s.s;
}

static const char *folder_of(Builder *b, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? arena_strndup(b->a, path, (size_t)(slash - path + 1)) : "";
}

static bool climbs(const char *path)
{
    for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2])) return true;
    return false;
}

static bool in_library(Builder *b, const char *real)
{
    char lib[PATH_MAX];
    if (!b->o->library || !realpath(b->o->library, lib)) return false;
    size_t n = strlen(lib);
    return !strncmp(real, lib, n) && real[n] == '/';
}

static const char *find_import(Builder *b, const Chain *from, const Name *name)
{
    if (!name->s[0]) user_error(b->d, name->loc, "an import names a file");
    if (name->s[0] == '/')
        user_error(b->d, name->loc, "an import is a path from this file on, not from `/`\n"
                                    "hint: copy the file, or link it, beside this one");
    if (climbs(name->s) && in_library(b, from->real))
        user_error(b->d, name->loc,
                   "a file of the library imports only what lies beside or below it");
    const char *beside = arena_printf(b->a, "%s%s", folder_of(b, from->shown), name->s);
    const char *library = b->o->library && !climbs(name->s)
                              ? arena_printf(b->a, "%s/%s", b->o->library, name->s)
                              : NULL;
    if (access(beside, R_OK) == 0) return beside;
    if (library && access(library, R_OK) == 0) return library;
    size_t n = strlen(name->s);
    user_error(b->d, name->loc, "there is no file `%s`\nlooked for: %s%s%s%s", name->s, beside,
               library ? "\n        and: " : "", library ? library : "",
               n > 3 && !strcmp(name->s + n - 3, ".rt") ? "" : "\nhint: model files end in .rt");
}

RTC_NORETURN static void circle(Builder *b, const Chain *c, const char *real, Loc loc)
{
    Str s = {.arena = b->a};
    const Chain *first = c;
    while (strcmp(first->real, real) != 0) first = first->up;
    const char *names[MAX_CHAIN + 1];
    int n = 0;
    for (const Chain *x = c; x != first->up; x = x->up) names[n++] = x->shown;
    while (n--) str_printf(&s, "%s imports ", names[n]);
    user_error(b->d, loc, "these files import each other in a circle: %s%s", s.s, first->shown);
}

static void load_one(Builder *b, const char *path, const Chain *up, Loc loc)
{
    char real[PATH_MAX];
    size_t bytes;
    if (!realpath(path, real)) snprintf(real, sizeof real, "%s", path);
    for (const Chain *c = up; c; c = c->up)
        if (!strcmp(c->real, real)) circle(b, up, real, loc);
    if (strmap_get(&b->loaded, real)) return;
    Chain here = {up, path, arena_strdup(b->a, real), up ? up->depth + 1 : 0};
    if (here.depth >= MAX_CHAIN)
        user_error(b->d, loc, "imports are nested more than %d deep", MAX_CHAIN);
    strmap_put(b, &b->loaded, here.real, b);
    char *text = read_text(b, path, loc, &bytes);
    uint32_t source = diag_source(b->d, path, text, bytes);
    AstFile *file = rt_parse(b->d, b->a, source);
    for (int i = 0; i < file->items.n; i++) {
        const Item *it = file->items.v[i];
        if (it->kind == IT_IMPORT)
            load_one(b, find_import(b, &here, &it->import), &here, it->import.loc);
    }
    vec_push(b->a, &b->files, file);
    vec_push(b->a, &b->texts, text);
    vec_push(b->a, &b->paths, path);
}

static void register_item(Builder *b, const Item *it)
{
    Name name = it->kind == IT_MODULE ? it->module.name : it->fn->name;
    if (!name.s) user_error(b->d, it->loc, "a function of a file needs a name: `fn f(x) = ...`");
    const Item *old = strmap_get(&b->items, name.s);
    if (old) {
        diag_note(b->d, old->loc, "the first is here");
        user_error(b->d, name.loc, "`%s` is declared twice", name.s);
    }
    if (is_builtin(name.s))
        user_error(b->d, name.loc, "`%s` is a function that every file has; take another name",
                   name.s);
    strmap_put(b, &b->items, name.s, (void *)it);
}

void load_files(Builder *b, const char *path)
{
    load_one(b, path, NULL, NO_LOC);
    for (int i = 0; i < b->files.n; i++)
        for (int j = 0; j < b->files.v[i]->items.n; j++) {
            const Item *it = b->files.v[i]->items.v[j];
            if (it->kind == IT_MODULE || it->kind == IT_FN) register_item(b, it);
        }
}

const char *inline_text(Builder *b)
{
    Str s = {.arena = b->a};
    for (int i = 0; i < b->files.n; i++) {
        const char *slash = strrchr(b->paths.v[i], '/'), *text = b->texts.v[i];
        if (b->files.n > 1) str_printf(&s, "# ==== %s ====\n\n", slash ? slash + 1 : b->paths.v[i]);
        size_t at = 0;
        for (int j = 0; j < b->files.v[i]->items.n; j++) {
            const Item *it = b->files.v[i]->items.v[j];
            if (it->kind != IT_IMPORT) continue;
            str_addn(&s, text + at, it->loc.begin - at);
            at = it->loc.end + (text[it->loc.end] == '\n');
        }
        str_add(&s, text + at);
        if (s.n && s.s[s.n - 1] != '\n') str_add(&s, "\n");
    }
    return s.s ? s.s : "";
}
