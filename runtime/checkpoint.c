/* checkpoint.c: see checkpoint.h. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "runtime/checkpoint.h"
#include "runtime/tensors.h"

static const char m_prefix[] = "optimizer.m/", v_prefix[] = "optimizer.v/";
static const char steps_name[] = "optimizer.steps", initted[] = ".initted";

/* ---- saving ---- */

typedef VEC(StEntry) Entries;

static void add_all(Diag *d, Arena *a, Entries *out, const char *prefix, const StoreEntry *e, int n,
                    const float *flat)
{
    for (int i = 0; i < n; i++) {
        const char *name = *prefix ? arena_printf(a, "%s%s", prefix, e[i].name) : e[i].name;
        vec_push(a, out, tensor_of_param(d, name, &e[i], flat));
    }
}

static Entries entries_of(Diag *d, Arena *a, const Session *s, const OptimizerState *o)
{
    static const uint8_t yes = 1, no = 0;
    const Store *store = s->store;
    Entries all = {0};
    add_all(d, a, &all, "", store->param, store->nparam, store->value);
    add_all(d, a, &all, "", store->state, store->nstate, store->state_value);
    for (int i = 0; i < store->nstate; i++) {
        const StoreEntry *e = &store->state[i];
        const char *name = arena_printf(a, "%s%s", e->name, initted);
        if (!e->init) continue;
        vec_push(a, &all, (StEntry){.name = name, .dtype = ST_BOOL, .data = e->fresh ? &no : &yes});
    }
    if (!o) return all;
    if (o->m) add_all(d, a, &all, m_prefix, store->param, store->nparam, o->m);
    if (o->v) add_all(d, a, &all, v_prefix, store->param, store->nparam, o->v);
    vec_push(a, &all, (StEntry){.name = steps_name, .dtype = ST_I64, .rank = 1,
                                .shape = {store->nparam}, .data = o->steps});
    return all;
}

/* One line per option: "dim = 64". */
static const char *option_lines(Arena *a, const Program *p)
{
    Str text = {.arena = a};
    for (int i = 0; i < p->options.n; i++) {
        str_printf(&text, "%s%s = ", i ? "\n" : "", p->options.v[i].name);
        static_print(&p->options.v[i].value, &text);
    }
    return text.s ? text.s : "";
}

void checkpoint_save(Diag *d, const char *path, const Session *s, const TrainState *t,
                     const OptimizerState *o)
{
    Arena *a = diag_scratch(d);
    Entries all = entries_of(d, a, s, o);
    StMeta meta[] = {
        {"rtc.model", s->program->model},
        {"rtc.options", option_lines(a, s->program)},
        {"rtc.seed", arena_printf(a, "%llu", (unsigned long long)s->options.seed)},
        {"rtc.version", RTC_VERSION},
        {"rtc.step", arena_printf(a, "%lld", (long long)t->step)},
        {"rtc.taken", arena_printf(a, "%llu", (unsigned long long)t->taken)},
        {"rtc.skipped", arena_printf(a, "%lld", (long long)t->skipped)},
        {"rtc.best", arena_printf(a, "%a", t->best)},
    };
    st_write(d, path, all.v, all.n, meta, COUNT(meta));
    diag_scratch_end(d, a);
}

const char *checkpoint_broken(const Store *s)
{
    for (int i = 0; i < s->nparam; i++)
        for (int64_t k = 0; k < s->param[i].count; k++)
            if (!isfinite(s->value[s->param[i].offset + k])) return s->param[i].name;
    for (int i = 0; i < s->nstate; i++)
        for (int64_t k = 0; s->state[i].dt == DT_FLOAT && k < s->state[i].count; k++)
            if (!isfinite(s->state_value[s->state[i].offset + k])) return s->state[i].name;
    return NULL;
}

void checkpoint_require_finite(Diag *d, const char *path, const Store *s)
{
    const char *broken = checkpoint_broken(s);
    if (broken)
        diag_fail(d, "%s: `%s` has values that are not finite (NaN or infinity)\n"
                     "rtc writes no such checkpoint: the file is damaged or was made by something "
                     "else", path, broken);
}

/* ---- loading ---- */

typedef struct {
    Diag *d;
    Arena *a;
    const StFile *file;
    Session *s;
    Str rows;                        /* what doesn't fit */
    int bad;
} Loader;

static void complain(Loader *l, const char *name, const char *in_file, const char *in_model)
{
    if (l->bad++ < 20) str_printf(&l->rows, "  %-40s %-20s %s\n", name, in_file, in_model);
}

/* The tensor for an entry; NULL, with a row, where it is missing (unless it may be) or of
 * another shape or kind. */
static const StTensor *fitting(Loader *l, const char *name, DType dt, int rank,
                               const int64_t *shape, bool optional)
{
    const StTensor *t = st_find(l->file, name);
    const char *want = st_shape_text(l->a, rank, shape);
    if (!t) {
        if (!optional) complain(l, name, "-", want);
        return NULL;
    }
    const char *got = st_shape_text(l->a, t->rank, t->shape);
    bool same = t->rank == rank && !memcmp(t->shape, shape, (size_t)rank * sizeof *shape);
    if (same && (dt != DT_FLOAT || st_is_float(t->dtype))) return t;
    if (same)
        complain(l, name, arena_printf(l->a, "%s of %s", got, st_dtype_name(t->dtype)),
                 arena_printf(l->a, "%s of floats", want));
    else complain(l, name, got, want);
    return NULL;
}

static void load_into(Loader *l, const char *prefix, const StoreEntry *e, int n, float *flat,
                      bool optional)
{
    for (int i = 0; i < n; i++) {
        const char *name = *prefix ? arena_printf(l->a, "%s%s", prefix, e[i].name) : e[i].name;
        const StTensor *t = fitting(l, name, e[i].dt, e[i].rank, e[i].shape, optional);
        if (!t) continue;
        if (e[i].dt == DT_FLOAT) st_read_f32(t, flat + e[i].offset);
        else if (e[i].dt == DT_INT) st_read_i32(t, (int32_t *)(flat + e[i].offset));
        else st_read_bool(t, (uint8_t *)(flat + e[i].offset));
    }
}

static bool has_suffix(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* A parameter of the model that nothing reads in this configuration: a layer that isn't kept. */
static bool is_unread(const Loader *l, const char *name)
{
    const Program *p = l->s->program;
    for (int i = 0; i < p->unread.n; i++)
        if (!strcmp(p->unread.v[i], name)) return true;
    return false;
}

/* training: then what isn't read would be lost with the next checkpoint, so it may not be there. */
static void refuse_unknown(Loader *l, bool training)
{
    int left = 0;
    const char *one = "";
    for (int i = 0; i < l->file->n; i++) {
        const StTensor *t = &l->file->tensors[i];
        if (!strncmp(t->name, "optimizer.", 10) || has_suffix(t->name, initted)) continue;
        if (store_param(l->s->store, t->name) || store_state(l->s->store, t->name)) continue;
        if (!training && is_unread(l, t->name)) left++, one = t->name;
        else complain(l, t->name, st_shape_text(l->a, t->rank, t->shape), "-");
    }
    if (left)
        diag_warn(l->d, NO_LOC, "%d tensors of %s are of parts of %s that don't run here (%s, ...)",
                  left, l->file->path, l->s->program->model, one);
}

/* A state has taken its `init` if the file says so, or has its value and says nothing. */
static void load_fresh(Loader *l)
{
    Store *store = l->s->store;
    for (int i = 0; i < store->nstate; i++) {
        StoreEntry *e = &store->state[i];
        const StTensor *t = st_find(l->file, arena_printf(l->a, "%s%s", e->name, initted));
        uint8_t taken = st_find(l->file, e->name) != NULL;
        if (t && t->count == 1) st_read_bool(t, &taken);
        e->fresh = e->init && !taken;
    }
}

static const char *meta(const Loader *l, const char *key)
{
    const char *text = st_meta(l->file, key);
    if (!text)
        diag_fail(l->d, "%s isn't a checkpoint of training: it has no `%s`", l->file->path, key);
    return text;
}

static int64_t meta_count(const Loader *l, const char *key)
{
    char *end;
    errno = 0;
    int64_t n = strtoll(meta(l, key), &end, 10);
    if (errno || *end || n < 0)
        diag_fail(l->d, "%s: its `%s` is `%.40s`, not a number of steps", l->file->path, key,
                  meta(l, key));
    return n;
}

static void load_training(Loader *l, TrainState *t, OptimizerState *o)
{
    const Store *store = l->s->store;
    if (o->m) load_into(l, m_prefix, store->param, store->nparam, o->m, false);
    if (o->v) load_into(l, v_prefix, store->param, store->nparam, o->v, false);
    int64_t n = store->nparam;
    const StTensor *steps = fitting(l, steps_name, DT_INT, 1, &n, false);
    if (steps) st_read_i64(steps, o->steps);
    t->step = meta_count(l, "rtc.step");
    t->taken = (uint64_t)meta_count(l, "rtc.taken");
    t->skipped = meta_count(l, "rtc.skipped");
    t->best = strtod(meta(l, "rtc.best"), NULL);
}

static void close_file(void *file) { st_close(file); }

bool checkpoint_resumes(Diag *d, const char *path)
{
    Arena *a = diag_scratch(d);
    StFile *file = st_open(d, a, path);
    bool resumes = st_meta(file, "rtc.step") != NULL;
    st_close(file);
    diag_scratch_end(d, a);
    return resumes;
}

TrainState checkpoint_load(Diag *d, const char *path, Session *s, OptimizerState *o)
{
    Arena *a = diag_scratch(d);
    StFile *file = st_open(d, a, path);
    diag_defer(d, close_file, file);
    Loader l = {.d = d, .a = a, .file = file, .s = s, .rows = {.arena = a}};
    Store *store = s->store;
    TrainState t = {.best = HUGE_VAL};
    load_into(&l, "", store->param, store->nparam, store->value, false);
    load_into(&l, "", store->state, store->nstate, store->state_value, !o);
    refuse_unknown(&l, o != NULL);
    if (o && !l.bad) load_training(&l, &t, o);
    if (l.bad)
        diag_fail(d, "%s doesn't fit model %s\n  %-40s %-20s %s\n%s%shint: the options must be "
                     "those that it was made with",
                  path, s->program->model, "tensor", "in the file", "in the model", l.rows.s,
                  l.bad > 20 ? arena_printf(a, "  and %d more\n", l.bad - 20) : "");
    load_fresh(&l);
    diag_undefer(d);
    st_close(file);
    diag_scratch_end(d, a);
    return t;
}
