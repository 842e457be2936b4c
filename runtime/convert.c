/* convert.c: see convert.h. */
#include "runtime/convert.h"

typedef struct {
    const char *what, *name;
    const char *shape, *more;
} Misfit;

typedef struct {
    Diag *d;
    Arena *a;
    const NameMap *map;
    bool from;
    const StFile *in;
    ConvertedTensors out;
    VEC(const StTensor *) source;    /* of out, in its order */
    VEC(Misfit) misfits;
    NameList seen;                   /* of ours that the file has without a prefix */
} Work;

/* ---- what doesn't fit ---- */

static void misfit(Work *w, const char *what, const char *name, int rank, const int64_t *shape,
                   const char *more)
{
    vec_push(w->a, &w->misfits, (Misfit){what, name, st_shape_text(w->a, rank, shape), more});
}

static void fail_table(Work *w)
{
    enum { MOST = 40 };
    Str text = {.arena = w->a};
    int wide = 0, n = w->misfits.n < MOST ? w->misfits.n : MOST;
    for (int i = 0; i < n; i++) {
        int length = (int)strlen(w->misfits.v[i].name);
        if (length > wide) wide = length;
    }
    for (int i = 0; i < n; i++) {
        const Misfit *m = &w->misfits.v[i];
        str_printf(&text, "\n  %-8s %-*s  %s%s%s", m->what, wide, m->name, m->shape,
                   *m->more ? "  " : "", m->more);
    }
    if (n < w->misfits.n) str_printf(&text, "\n  and %d more", w->misfits.n - n);
    diag_fail(w->d,
              "%s does not fit the model %s (names by %s); nothing was written%s\n"
              "hint: --set takes the options that the tensors were made with", w->in->path,
              w->map->program->model, w->map->path, text.s);
}

/* ---- one tensor ---- */

/* An input or an output: its name is the same everywhere. */
static bool is_value(const Work *w, const char *name)
{
    const Graph *g = w->map->program->graph;
    for (int i = 0; i < g->inputs.n; i++)
        if (!strcmp(g->inputs.v[i].name, name)) return true;
    return graph_find_root(g, ROOT_OUTPUT, name) != NULL;
}

static bool same_shape(const KeptTensor *k, const StTensor *t)
{
    if (k->rank != t->rank) return false;
    for (int i = 0; i < k->rank; i++)
        if (k->shape[i] != t->shape[i]) return false;
    return true;
}

static bool same_tensor(const StTensor *x, const StTensor *y)
{
    if (x->dtype != y->dtype || x->rank != y->rank) return false;
    for (int i = 0; i < x->rank; i++)
        if (x->shape[i] != y->shape[i]) return false;
    return !memcmp(x->data, y->data, x->bytes);
}

static void emit(Work *w, const StTensor *t, const char *name)
{
    for (int i = 0; i < w->out.n; i++) {
        if (strcmp(w->out.v[i].name, name)) continue;
        if (!same_tensor(t, w->source.v[i])) {
            const char *other = w->source.v[i]->name;
            misfit(w, "differs", t->name, t->rank, t->shape,
                   arena_printf(w->a, "from %s, which is the same tensor", other));
        }
        return;
    }
    StEntry e = {.name = name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
    memcpy(e.shape, t->shape, sizeof e.shape);
    vec_push(w->a, &w->out, e);
    vec_push(w->a, &w->source, t);
}

/* The tensor is `ours` in the model: is it there, and of this shape? */
static bool check_kept(Work *w, const StTensor *t, const char *ours, bool whole_name)
{
    const KeptTensor *k = namemap_kept(w->map, ours);
    if (!k) {
        if (t->count) {
            misfit(w, "unknown", t->name, t->rank, t->shape,
                   w->from ? arena_printf(w->a, "the model has no %s", ours) : "");
        }
        return false;
    }
    if (whole_name) vec_push(w->a, &w->seen, ours);
    if (k->idle) return true;
    if (same_shape(k, t) && k->dt == DT_FLOAT && !st_is_float(t->dtype)) {
        misfit(w, "dtype", t->name, t->rank, t->shape,
               arena_printf(w->a, "of %s; the model's has floats", st_dtype_name(t->dtype)));
        return false;
    }
    if (same_shape(k, t)) return true;
    misfit(w, "shape", t->name, t->rank, t->shape,
           arena_printf(w->a, "the model's is %s", st_shape_text(w->a, k->rank, k->shape)));
    return false;
}

static void convert_tensor(Work *w, const StTensor *t)
{
    NameList names = {0};
    const char *slash = strrchr(t->name, '/'), *base = slash ? slash + 1 : t->name;
    bool known = w->from ? namemap_ours(w->map, t->name, &names)
                         : namemap_theirs(w->map, t->name, &names);
    if (known) base = t->name;
    else if (slash) known = w->from ? namemap_ours(w->map, base, &names)
                                    : namemap_theirs(w->map, base, &names);
    if (!known) {
        if (is_value(w, base)) emit(w, t, t->name);
        else misfit(w, "unknown", t->name, t->rank, t->shape, "");
        return;
    }
    for (int i = 0; i < names.n; i++) {
        const char *ours = w->from ? names.v[i] : base;
        if (!check_kept(w, t, ours, base == t->name)) return;
        emit(w, t, arena_printf(w->a, "%.*s%s", (int)(base - t->name), t->name, names.v[i]));
    }
}

/* ---- a file ---- */

static bool was_seen(const Work *w, const char *name)
{
    for (int i = 0; i < w->seen.n; i++)
        if (!strcmp(w->seen.v[i], name)) return true;
    return false;
}

static void check_complete(Work *w)
{
    for (int i = 0; i < w->map->kept.n && w->seen.n; i++) {
        const KeptTensor *k = &w->map->kept.v[i];
        NameList names = {0};
        if (k->state || k->idle || was_seen(w, k->name)) continue;
        const char *name = k->name, *more = "";
        if (w->from && namemap_theirs(w->map, k->name, &names) && names.n) {
            name = names.v[0];
            more = arena_printf(w->a, "the model's %s", k->name);
        }
        misfit(w, "missing", name, k->rank, k->shape, more);
    }
}

ConvertedTensors convert_tensors(Diag *d, const NameMap *m, bool from, const StFile *in)
{
    Work w = {.d = d, .a = m->arena, .map = m, .from = from, .in = in};
    for (int i = 0; i < in->n; i++) convert_tensor(&w, &in->tensors[i]);
    check_complete(&w);
    if (w.misfits.n) fail_table(&w);
    return w.out;
}

void convert_file(Diag *d, const NameMap *m, bool from, const char *in, const char *out)
{
    StFile *file = st_open(d, m->arena, in);
    ConvertedTensors all = convert_tensors(d, m, from, file);
    st_write(d, out, all.v, all.n, file->meta, file->nmeta);
    st_close(file);
}

void convert_list(const NameMap *m, Str *out)
{
    int wide = 0, sizes = 0;
    for (int i = 0; i < m->kept.n; i++) {
        const KeptTensor *k = &m->kept.v[i];
        if (k->idle) continue;
        const char *shape = st_shape_text(m->arena, k->rank, k->shape);
        int n = (int)strlen(k->name), size = (int)strlen(shape);
        if (n > wide) wide = n;
        if (size > sizes) sizes = size;
    }
    for (int i = 0; i < m->kept.n; i++) {
        const KeptTensor *k = &m->kept.v[i];
        NameList names = {0};
        if (k->idle) continue;
        namemap_theirs(m, k->name, &names);
        const char *shape = st_shape_text(m->arena, k->rank, k->shape);
        str_printf(out, "%-*s  %-*s  %s\n", wide, k->name, sizes, shape,
                   names.n ? names.v[0] : "-");
        for (int j = 1; j < names.n; j++)
            str_printf(out, "%-*s  %-*s  %s\n", wide, "", sizes, "", names.v[j]);
    }
}
