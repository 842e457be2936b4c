/* rtc.c: see rtc.h. */
#include <math.h>
#include <stdlib.h>
#include "runtime/rtc.h"
#include "runtime/trainer.h"

typedef struct {
    const char *name;
    DType dt;
    int rank;
    int64_t shape[MAX_AXES];
    void *data;                  /* malloced; NULL: not given */
    size_t bytes;
} Input;

/* A program for the inputs that are given, and its instance for their shapes. */
typedef struct {
    Executable *exec;
    Instance *instance;
    uint64_t inputs;             /* which were given when it was compiled: bit per input */
    int64_t *dims;
} Compiled;

struct Rtc {
    Diag *diag;
    Session *session;            /* NULL: opening failed */
    VEC(Input) inputs;
    Compiled eval, train;
    Instance *last;              /* that ran last */
    Trainer *trainer;            /* NULL before the first step */
    int64_t steps;
    uint64_t seed;
};

#define RTC_TRY(m)                                                                                 \
    if (!(m)) return 1;                                                                            \
    if (rtc_status(m)) return rtc_status(m);                                                       \
    DIAG_TRY((m)->diag)
#define RTC_END(m)                                                                                 \
    DIAG_CATCH((m)->diag) { return diag_status((m)->diag); }                                       \
    DIAG_END((m)->diag)                                                                            \
    return 0

const char *rtc_version(void) { return RTC_VERSION; }
int rtc_status(const Rtc *m) { return m ? diag_status(m->diag) : 1; }
const char *rtc_error(const Rtc *m) { return m ? diag_text(m->diag) : "error: out of memory\n"; }

void rtc_clear(Rtc *m)
{
    if (m && m->session) diag_reset(m->diag);
}

/* ---- opening ---- */

static const Override *overrides(Diag *d, const char *const *set, int *n)
{
    Arena *a = diag_arena(d);
    int count = 0;
    while (set && set[count]) count++;
    Override *out = NEW_N(a, Override, count + 1);
    for (*n = 0; *n < count; ++*n) {
        const char *equals = strchr(set[*n], '=');
        if (!equals) diag_fail(d, "set takes NAME=VALUE, got `%s`", set[*n]);
        out[*n] = (Override){arena_strndup(a, set[*n], (size_t)(equals - set[*n])),
                             arena_strdup(a, equals + 1)};
    }
    return out;
}

static void open_session(Rtc *m, const RtcOptions *o)
{
    Arena *a = diag_arena(m->diag);
    if (!o->file) diag_fail(m->diag, "there is no file to open");
    SessionOptions s = {.file = arena_strdup(a, o->file), .seed = o->seed,
                        .library = o->library ? arena_strdup(a, o->library) : NULL,
                        .compile = {.threads = o->threads,
                                    .device = o->device ? arena_strdup(a, o->device) : NULL}};
    s.set = overrides(m->diag, o->set, &s.nset);
    m->session = session_open(m->diag, &s);
    for (int i = 0; i < m->session->inputs.n; i++) {
        const ValueInfo *v = &m->session->inputs.v[i];
        vec_push(a, &m->inputs, (Input){.name = v->name, .dt = v->dt});
    }
    if (m->inputs.n > 64) diag_fail(m->diag, "a model with more than 64 inputs");
}

static void try_open(Rtc *m, const RtcOptions *o)
{
    DIAG_TRY(m->diag) { open_session(m, o); }
    DIAG_CATCH(m->diag) {}
    DIAG_END(m->diag)
}

Rtc *rtc_open(const RtcOptions *o)
{
    Rtc *m = calloc(1, sizeof *m);
    if (m) m->diag = diag_new();
    if (!m || !m->diag) {
        free(m);
        return NULL;
    }
    m->steps = o->steps > 0 ? o->steps : 1000;
    m->seed = o->seed;
    try_open(m, o);
    return m;
}

void rtc_close(Rtc *m)
{
    if (!m) return;
    for (int i = 0; i < m->inputs.n; i++) free(m->inputs.v[i].data);
    session_close(m->session);
    diag_free(m->diag);
    free(m);
}

/* ---- inputs ---- */

static Input *find_input(Rtc *m, const char *name)
{
    for (int i = 0; i < m->inputs.n; i++)
        if (!strcmp(m->inputs.v[i].name, name)) return &m->inputs.v[i];
    diag_fail(m->diag, "model %s has no input `%s`", m->session->program->model, name);
}

static void set_input(Rtc *m, const char *name, RtcType type, int rank, const int64_t *shape,
                      const void *data)
{
    Input *in = find_input(m, name);
    if (!shape) {
        free(in->data);
        in->data = NULL;
        return;
    }
    if (rank < 0 || rank > MAX_AXES) diag_fail(m->diag, "input `%s` of rank %d", name, rank);
    size_t bytes = type == RTC_BOOL ? 1 : 4;
    for (int i = 0; i < rank; i++)
        if (shape[i] < 1 || !size_mul(bytes, (size_t)shape[i], &bytes))
            diag_fail(m->diag, "axis %d of input `%s` has the size %lld", i, name,
                      (long long)shape[i]);
    void *copy = malloc(bytes);
    if (!copy) diag_oom(m->diag);
    memcpy(copy, data, bytes);
    free(in->data);
    in->data = copy;
    in->bytes = bytes;
    in->dt = (DType)type;
    in->rank = rank;
    memcpy(in->shape, shape, (size_t)rank * sizeof *shape);
}

int rtc_input(Rtc *m, const char *name, RtcType type, int rank, const int64_t *shape,
              const void *data)
{
    RTC_TRY(m) { set_input(m, name, type, rank, shape, data); }
    RTC_END(m);
}

/* ---- running ---- */

static uint64_t given_inputs(const Rtc *m)
{
    uint64_t bits = 0;
    for (int i = 0; i < m->inputs.n; i++)
        if (m->inputs.v[i].data) bits |= 1ull << i;
    return bits;
}

static void compile(Rtc *m, Compiled *c, bool training)
{
    Session *s = m->session;
    const char **given = NEW_N(s->arena, const char *, m->inputs.n + 1);
    int n = 0;
    for (int i = 0; i < m->inputs.n; i++)
        if (m->inputs.v[i].data) given[n++] = m->inputs.v[i].name;
    *c = (Compiled){.inputs = given_inputs(m)};
    c->exec = session_compile(s, &(SessionCompile){.training = training, .want_grad = training,
                                                   .given = given, .ngiven = n});
    c->dims = NEW_N(s->arena, int64_t, exec_ndims(c->exec) + 1);
}

/* The instance for the inputs as they are, with their values. */
static Instance *prepare(Rtc *m, Compiled *c, bool training)
{
    if (!c->exec || c->inputs != given_inputs(m)) compile(m, c, training);
    InputShape *shapes = malloc(sizeof *shapes * (size_t)(m->inputs.n + 1));
    if (!shapes) diag_oom(m->diag);
    diag_defer(m->diag, free, shapes);
    int n = 0;
    for (int i = 0; i < m->inputs.n; i++) {
        const Input *in = &m->inputs.v[i];
        if (in->data && exec_reads(c->exec, in->name))
            shapes[n++] = (InputShape){in->name, in->rank, in->shape};
    }
    exec_solve(c->exec, shapes, n, c->dims);
    diag_undefer(m->diag);
    free(shapes);
    c->instance = exec_instance(c->exec, c->dims);
    for (int i = 0; i < m->inputs.n; i++) {
        const Input *in = &m->inputs.v[i];
        if (in->data && exec_reads(c->exec, in->name))
            exec_input(c->instance, in->name, in->dt, in->rank, in->shape, in->data);
    }
    return c->instance;
}

int rtc_run(Rtc *m)
{
    RTC_TRY(m)
    {
        Instance *in = prepare(m, &m->eval, false);
        store_begin(m->session->store);
        exec_run(in, &(RunOptions){.seed = m->seed});
        m->last = in;
    }
    RTC_END(m);
}

static Trainer *get_trainer(Rtc *m)
{
    if (!m->trainer) {
        TrainSettings settings = train_settings(m->diag, m->session->program);
        m->trainer = trainer_new(m->session, &settings, m->seed, m->steps, 1);
    }
    return m->trainer;
}

int rtc_step(Rtc *m)
{
    RTC_TRY(m)
    {
        if (!session_has_output(m->session, "loss"))
            diag_fail(m->diag, "model %s returns no `loss`", m->session->program->model);
        Instance *in = prepare(m, &m->train, true);
        Trainer *t = get_trainer(m);
        trainer_begin(t);
        trainer_run(t, in);
        trainer_end(t);
        m->last = in;
    }
    RTC_END(m);
}

/* ---- values ---- */

int rtc_output(Rtc *m, const char *name, RtcTensor *out)
{
    RTC_TRY(m)
    {
        Value v;
        if (!m->last) diag_fail(m->diag, "nothing has run, so there is no output `%s`", name);
        if (!exec_output(m->last, name, &v))
            diag_fail(m->diag, "the last run computed no output `%s`", name);
        *out = (RtcTensor){.type = (RtcType)v.dt, .rank = v.rank, .count = v.count,
                           .data = (void *)v.data};
        memcpy(out->shape, v.shape, (size_t)v.rank * sizeof *v.shape);
    }
    RTC_END(m);
}

double rtc_scalar(Rtc *m, const char *name)
{
    RtcTensor t;
    if (rtc_output(m, name, &t) || t.count != 1) return NAN;
    return t.type == RTC_FLOAT  ? *(float *)t.data
           : t.type == RTC_INT ? *(int32_t *)t.data
                               : *(uint8_t *)t.data;
}

int rtc_param(Rtc *m, const char *name, RtcTensor *out)
{
    RTC_TRY(m)
    {
        Store *store = m->session->store;
        StoreEntry *e = store_param(store, name);
        float *flat = e ? store->value : store->state_value;
        if (!e) e = store_state(store, name);
        if (!e)
            diag_fail(m->diag, "model %s has no parameter `%s`", m->session->program->model, name);
        *out = (RtcTensor){.type = (RtcType)e->dt, .rank = e->rank, .count = e->count,
                           .data = flat + e->offset};
        memcpy(out->shape, e->shape, (size_t)e->rank * sizeof *e->shape);
    }
    RTC_END(m);
}

const char *rtc_param_name(const Rtc *m, int i)
{
    if (!m || !m->session || i < 0) return NULL;
    const Store *s = m->session->store;
    if (i < s->nparam) return s->param[i].name;
    return i - s->nparam < s->nstate ? s->state[i - s->nparam].name : NULL;
}

/* ---- files ---- */

int rtc_save(Rtc *m, const char *path)
{
    RTC_TRY(m)
    {
        Trainer *t = get_trainer(m);
        checkpoint_save(m->diag, path, m->session, &t->state, &t->moments);
    }
    RTC_END(m);
}

int rtc_load(Rtc *m, const char *path)
{
    RTC_TRY(m)
    {
        Trainer *t = get_trainer(m);
        bool whole = checkpoint_resumes(m->diag, path);
        t->state = checkpoint_load(m->diag, path, m->session, whole ? &t->moments : NULL);
    }
    RTC_END(m);
}
