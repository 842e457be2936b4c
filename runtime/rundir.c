/* rundir.c: see rundir.h. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/file.h"
#include "runtime/rundir.h"

enum { LARGEST_CONFIG = 16 << 20 };

/* ---- names ---- */

const char *rundir_path(Arena *a, const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return arena_printf(a, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

bool rundir_has(Arena *a, const char *dir, const char *name)
{
    struct stat st;
    return stat(rundir_path(a, dir, name), &st) == 0;
}

bool rundir_exists(Arena *a, const char *dir)
{
    return rundir_has(a, dir, "config.json") || rundir_has(a, dir, RUN_CHECKPOINT);
}

const char *rundir_absolute(Arena *a, const char *path)
{
    char *real = realpath(path, NULL);
    if (!real) return path;
    const char *copy = arena_strdup(a, real);
    free(real);
    return copy;
}

/* ---- taking a directory ---- */

void rundir_require_free(Diag *d, Arena *a, const char *dir)
{
    static const char *const others[] = {"model.rt", RUN_LOG, RUN_PLOT};
    if (rundir_has(a, dir, RUN_CHECKPOINT) || rundir_has(a, dir, RUN_BEST))
        diag_fail(d, "%s holds a run already\nhint: --resume goes on with it; another --out "
                     "begins a new one", dir);
    if (rundir_has(a, dir, "config.json")) {
        rundir_read(d, a, dir);              /* of a run that had not saved anything yet */
        return;
    }
    for (int i = 0; i < COUNT(others); i++)
        if (rundir_has(a, dir, others[i]))
            diag_fail(d, "%s is there already, and %s is no run directory\n"
                         "hint: another --out begins a run without overwriting it",
                      rundir_path(a, dir, others[i]), dir);
}

/* What a process that was killed left half written. */
static void sweep(Arena *a, const char *dir)
{
    static const char *const names[] = {"model.rt", "config.json", RUN_CHECKPOINT,
                                        RUN_BEST,   RUN_LOG,       RUN_PLOT};
    for (int i = 0; i < COUNT(names); i++) file_sweep(rundir_path(a, dir, names[i]));
}

int rundir_lock(Diag *d, const char *dir)
{
    file_make_directory(d, dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) diag_fail(d, "%s: %s", dir, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(fd);
        diag_fail(d, "another rtc is training in %s\n"
                     "hint: wait for its end, or give another --out", dir);
    }
    sweep(diag_arena(d), dir);
    return fd;
}

/* ---- writing ---- */

static json_t *text(const char *s)
{
    json_t *v = json_string(s);
    return v ? v : json_string_nocheck(s);      /* a path need not be UTF-8 */
}

static json_t *strings(const char *const *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, text(v[i]));
    return list;
}

static json_t *overrides(const Override *set, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_pack("[oo]", text(set[i].name), text(set[i].value)));
    return list;
}

static const char *value_text(Arena *a, const StaticValue *v)
{
    Str s = {.arena = a};
    static_print(v, &s);
    return s.s ? s.s : "";
}

static json_t *options(Arena *a, const Program *p)
{
    json_t *all = json_object();
    for (int i = 0; i < p->options.n; i++) {
        const OptionInfo *o = &p->options.v[i];
        json_object_set_new(all, o->name, text(value_text(a, &o->value)));
    }
    return all;
}

static json_t *settings(Arena *a, const Program *p)
{
    json_t *all = json_object();
    for (int i = 0; i < p->train.n; i++)
        json_object_set_new(all, p->train.v[i].name, text(value_text(a, &p->train.v[i].value)));
    return all;
}

static void free_json(void *json) { json_decref(json); }

void rundir_write(Diag *d, Arena *a, const char *dir, const Program *p, const RunConfig *c)
{
    file_make_directory(d, dir);
    file_save(d, rundir_path(a, dir, "model.rt"), p->text, strlen(p->text));
    json_t *root = json_pack("{so so so so so so so so}", "file", text(c->file), "model",
                             text(p->model), "set", overrides(c->set, c->nset), "options",
                             options(a, p), "train", settings(a, p), "data",
                             strings(c->data, c->ndata), "valid", strings(c->valid, c->nvalid),
                             "command", text(c->command));
    json_t *sizes = json_pack("{sI sI sI sI sI sI ss}", "seed", (json_int_t)c->seed, "steps",
                              (json_int_t)c->steps, "batch", (json_int_t)c->batch, "time",
                              (json_int_t)c->time, "source", (json_int_t)c->source,
                              "accumulate", (json_int_t)c->accumulate,
                              "version", RTC_VERSION);
    if (!root || !sizes || json_object_update(root, sizes))
        diag_bug(d, "config.json can't be composed");
    json_decref(sizes);
    diag_defer(d, free_json, root);
    char *out = json_dumps(root, JSON_INDENT(2));
    if (!out) diag_fail(d, "out of memory");
    const char *copy = arena_printf(a, "%s\n", out);
    free(out);
    file_save(d, rundir_path(a, dir, "config.json"), copy, strlen(copy));
    diag_undefer(d);
    json_decref(root);
}

/* ---- reading ---- */

typedef struct {
    Diag *d;
    Arena *a;
    const char *path;
    json_t *root;
} Reader;

RTC_NORETURN static void malformed(const Reader *r, const char *key, const char *what)
{
    diag_fail(r->d, "%s: `%s` is not %s; the file isn't what rtc train wrote", r->path, key, what);
}

static const char *get_text(const Reader *r, const char *key)
{
    const char *s = json_string_value(json_object_get(r->root, key));
    if (!s) malformed(r, key, "a string");
    return arena_strdup(r->a, s);
}

static int64_t get_int(const Reader *r, const char *key, int64_t least)
{
    json_t *v = json_object_get(r->root, key);
    if (!json_is_integer(v) || json_integer_value(v) < least) malformed(r, key, "a number");
    return json_integer_value(v);
}

static const char *const *get_strings(const Reader *r, const char *key, int *n)
{
    json_t *list = json_object_get(r->root, key), *v;
    size_t i;
    if (!json_is_array(list)) malformed(r, key, "a list");
    const char **out = NEW_N(r->a, const char *, json_array_size(list) + 1);
    json_array_foreach(list, i, v) {
        if (!json_is_string(v)) malformed(r, key, "a list of strings");
        out[i] = arena_strdup(r->a, json_string_value(v));
    }
    *n = (int)json_array_size(list);
    return out;
}

static const Override *get_overrides(const Reader *r, int *n)
{
    json_t *list = json_object_get(r->root, "set"), *v;
    size_t i;
    if (!json_is_array(list)) malformed(r, "set", "a list");
    Override *out = NEW_N(r->a, Override, json_array_size(list) + 1);
    json_array_foreach(list, i, v) {
        const char *name = json_string_value(json_array_get(v, 0));
        const char *value = json_string_value(json_array_get(v, 1));
        if (!name || !value) malformed(r, "set", "a list of names and values");
        out[i] = (Override){arena_strdup(r->a, name), arena_strdup(r->a, value)};
    }
    *n = (int)json_array_size(list);
    return out;
}

static Reader open_config(Diag *d, Arena *a, const char *dir)
{
    struct stat st;
    Reader r = {d, a, rundir_path(a, dir, "config.json"), NULL};
    if (stat(dir, &st) != 0)
        diag_fail(d, "there is no run directory %s\nhint: `rtc train MODEL.rt --data FILE --out %s`"
                     " makes one", dir, dir);
    if (!S_ISDIR(st.st_mode))
        diag_fail(d, "%s is %s; a run directory of rtc train is needed", dir,
                  file_kind_name(file_kind(dir)));
    if (stat(r.path, &st) != 0)
        diag_fail(d, "%s has no config.json: it isn't a run directory of rtc train", dir);
    size_t bytes;
    json_error_t error;
    const char *content = file_read(d, a, r.path, LARGEST_CONFIG, &bytes);
    r.root = json_loadb(content, bytes, JSON_REJECT_DUPLICATES, &error);
    if (!r.root)
        diag_fail(d, "%s:%d: not JSON, so it is damaged: %s\n"
                     "hint: model.rt and checkpoint.safetensors beside it hold the trained model",
                  r.path, error.line, error.text);
    return r;
}

RunConfig rundir_read(Diag *d, Arena *a, const char *dir)
{
    Reader r = open_config(d, a, dir);
    diag_defer(d, free_json, r.root);
    if (!json_is_object(r.root)) diag_fail(d, "%s: the file isn't what rtc train wrote", r.path);
    RunConfig c = {.file = get_text(&r, "file"), .model = get_text(&r, "model"),
                   .command = get_text(&r, "command"), .seed = (uint64_t)get_int(&r, "seed", 0),
                   .steps = get_int(&r, "steps", 1), .batch = get_int(&r, "batch", 1),
                   .time = get_int(&r, "time", 1), .accumulate = get_int(&r, "accumulate", 1)};
    if (json_object_get(r.root, "source")) c.source = get_int(&r, "source", 0);
    c.set = get_overrides(&r, &c.nset);
    c.data = get_strings(&r, "data", &c.ndata);
    c.valid = get_strings(&r, "valid", &c.nvalid);
    diag_undefer(d);
    json_decref(r.root);
    return c;
}

/* ---- comparing ---- */

typedef struct {
    Arena *a;
    Str rows;
    int n;
} Table;

static void differ(Table *t, const char *what, const char *then, const char *now)
{
    if (!strcmp(then, now)) return;
    if (t->n++ < 20) str_printf(&t->rows, "  %-24s %-20s %s\n", what, then, now);
}

static void differ_int(Table *t, const char *what, int64_t then, int64_t now)
{
    differ(t, what, arena_printf(t->a, "%lld", (long long)then),
           arena_printf(t->a, "%lld", (long long)now));
}

static void differ_object(Table *t, const char *kind, json_t *then, json_t *now)
{
    const char *key;
    json_t *v;
    json_object_foreach(then, key, v) {
        const char *other = json_string_value(json_object_get(now, key));
        const char *mine = json_string_value(v);
        differ(t, arena_printf(t->a, "%s%s", kind, key), mine ? mine : "?", other ? other : "-");
    }
    json_object_foreach(now, key, v) {
        if (!json_object_get(then, key))
            differ(t, arena_printf(t->a, "%s%s", kind, key), "-", json_string_value(v));
    }
}

static const char *joined(Arena *a, const char *const *v, int n)
{
    Str s = {.arena = a};
    for (int i = 0; i < n; i++) str_printf(&s, "%s%s", i ? " " : "", v[i]);
    return n ? s.s : "-";
}

static void differ_options(Table *t, const Reader *r, const Program *p)
{
    json_t *now = options(t->a, p), *set = settings(t->a, p);
    differ_object(t, "", json_object_get(r->root, "options"), now);
    differ_object(t, "train: ", json_object_get(r->root, "train"), set);
    json_decref(now);
    json_decref(set);
}

void rundir_check(Diag *d, Arena *a, const char *dir, const Program *p, const RunConfig *c)
{
    RunConfig old = rundir_read(d, a, dir);
    Table t = {.a = a, .rows = {.arena = a}};
    Reader r = open_config(d, a, dir);
    diag_defer(d, free_json, r.root);
    differ_options(&t, &r, p);
    diag_undefer(d);
    json_decref(r.root);
    differ_int(&t, "--seed", (int64_t)old.seed, (int64_t)c->seed);
    differ_int(&t, "--batch", old.batch, c->batch);
    differ_int(&t, "--time", old.time, c->time);
    differ_int(&t, "--accumulate", old.accumulate, c->accumulate);
    differ(&t, "--data", joined(a, old.data, old.ndata), joined(a, c->data, c->ndata));
    differ(&t, "--valid", joined(a, old.valid, old.nvalid), joined(a, c->valid, c->nvalid));
    if (t.n)
        diag_fail(d, "%s can't be resumed as something else\n  %-24s %-20s %s\n%s"
                     "hint: leave these out of the command to go on with the run as it was, or "
                     "give another --out",
                  dir, "", "the run", "now", t.rows.s);
    const char *path = rundir_path(a, dir, "model.rt");
    const char *model = file_read(d, a, path, LARGEST_CONFIG, NULL);
    if (strcmp(model, p->text) != 0)
        diag_fail(d, "%s has changed since the run in %s began\n"
                     "hint: give %s to go on with the model as it was",
                  c->file, dir, path);
}
