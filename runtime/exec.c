/* exec.c: sizes, inputs and results of compiled programs; the devices do the rest. Contract:
 * exec.h. */
#include <inttypes.h>
#include <time.h>

#include "runtime/device.h"
#include "runtime/memory.h"
#include "runtime/shapes.h"

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what there is ---- */

int exec_ndims(const Executable *e) { return graph_ndims(e->unit->graph); }
const char *exec_dim_name(const Executable *e, int i) { return e->unit->graph->syms.v[i].name; }
int exec_ninputs(const Executable *e) { return e->ninput; }

const char *exec_input_name(const Executable *e, int i, DType *dt, bool *optional)
{
    *dt = e->input[i].dt, *optional = e->input[i].optional;
    return e->input[i].name;
}

int exec_nroots(const Executable *e)
{
    return e->plan ? e->plan->roots.n : e->unit->graph->roots.n;
}

RootKind exec_root(const Executable *e, int i, const char **name, const Space **space, DType *dt)
{
    if (e->plan) {
        const PlanRoot *r = &e->plan->roots.v[i];
        *name = r->name, *space = r->space, *dt = r->dt;
        return r->kind;
    }
    const Root *r = &e->unit->graph->roots.v[i];
    *name = r->name, *space = r->space, *dt = r->e.node->dt;
    return r->kind;
}

/* The i-th root of a kind, or the one of that name; -1: none. */
static int find_root(const Executable *e, RootKind kind, int nth, const char *name)
{
    const char *n;
    const Space *s;
    DType dt;
    for (int i = 0; i < exec_nroots(e); i++)
        if (exec_root(e, i, &n, &s, &dt) == kind && (name ? !strcmp(n, name) : nth-- == 0))
            return i;
    return -1;
}

int exec_noutputs(const Executable *e)
{
    int n = 0;
    while (find_root(e, ROOT_OUTPUT, n, NULL) >= 0) n++;
    return n;
}

const char *exec_output_name(const Executable *e, int i)
{
    const char *name;
    const Space *s;
    DType dt;
    exec_root(e, find_root(e, ROOT_OUTPUT, i, NULL), &name, &s, &dt);
    return name;
}

const Program *exec_program(const Executable *e) { return e->program; }
Unit *exec_unit(Executable *e) { return e->unit; }
const Plan *exec_plan(const Executable *e) { return e->plan; }

/* ---- sizes ---- */

static int input_find(const Executable *e, const char *name)
{
    for (int i = 0; i < e->ninput; i++)
        if (!strcmp(e->input[i].name, name)) return i;
    return -1;
}

static int input_named(const Executable *e, const char *name)
{
    int i = input_find(e, name);
    if (i >= 0) return i;
    const char **names = NEW_N(e->arena, const char *, e->ninput + 1);
    for (int k = 0; k < e->ninput; k++) names[k] = e->input[k].name;
    const char *near = nearest_word(name, names, e->ninput);
    if (near)
        diag_fail(e->diag, "the program reads no input `%s`\nhint: did you mean `%s`?", name, near);
    diag_fail(e->diag, "the program reads no input `%s`", name);
}

bool exec_reads(const Executable *e, const char *name) { return input_find(e, name) >= 0; }

static GivenShape given_shape(const Executable *e, const InputShape *in)
{
    return (GivenShape){in->name, e->input[input_named(e, in->name)].space, in->rank, in->shape};
}

void exec_solve(Executable *e, const InputShape *in, int n, int64_t *dims)
{
    GivenShape *given = NEW_N(e->arena, GivenShape, n + 1);
    for (int i = 0; i < n; i++) given[i] = given_shape(e, &in[i]);
    shapes_solve(e->unit->graph, e->arena, given, n, dims);
    for (int i = 0; i < exec_ndims(e); i++)
        if (!dims[i]) dims[i] = 1; /* of an absent input: nothing that runs has it */
}

/* ---- instances ---- */

static size_t input_bytes(const Executable *e, const Instance *in, int i)
{
    return (size_t)in->input[i].count * (e->input[i].dt == DT_BOOL ? 1 : 4);
}

static void measure_inputs(Instance *in)
{
    Executable *e = in->e;
    in->input = NEW_N(e->arena, InputData, e->ninput + 1);
    for (int i = 0; i < e->ninput; i++) {
        InputData *d = &in->input[i];
        const Space *sp = e->input[i].space;
        d->count = 1;
        for (int k = 0; k < sp->n; k++) {
            d->shape[k] = ix_eval(sp->ext[k], &(IxEnv){.syms = in->dims});
            if (__builtin_mul_overflow(d->count, d->shape[k], &d->count) ||
                d->count > INT64_MAX / 4)
                diag_fail(e->diag, "input `%s` is too large", e->input[i].name);
        }
    }
}

static void place_inputs(Instance *in)
{
    enum { LARGE = 64 << 20 };
    Executable *e = in->e;
    for (int i = 0; i < e->ninput; i++) {
        size_t bytes = input_bytes(e, in, i);
        if (bytes > LARGE)
            memory_require(e->diag, (double)bytes,
                           arena_printf(e->arena, "input `%s` is large", e->input[i].name), "");
        in->input[i].data = arena_alloc(e->arena, bytes);
    }
}

static void describe_roots(Instance *in)
{
    Executable *e = in->e;
    int n = exec_nroots(e);
    in->root = NEW_N(e->arena, Value, n + 1);
    in->root_data = NEW_N(e->arena, void *, n + 1);
    for (int i = 0; i < n; i++) {
        const char *name;
        const Space *sp;
        Value *v = &in->root[i];
        exec_root(e, i, &name, &sp, &v->dt);
        v->rank = sp->n, v->count = 1;
        for (int k = 0; k < sp->n; k++) {
            v->shape[k] = ix_eval(sp->ext[k], &(IxEnv){.syms = in->dims});
            v->count *= v->shape[k];
        }
    }
}

/* Everything that takes no more memory for larger sizes. */
static Instance *instance_new(Executable *e, const int64_t *dims)
{
    shapes_check(e->unit->graph, e->arena, dims);
    Instance *in = NEW(e->arena, Instance);
    in->e = e, in->arena = e->arena;
    in->dims = arena_copy(e->arena, dims, sizeof *dims * (size_t)exec_ndims(e));
    measure_inputs(in);
    describe_roots(in);
    return in;
}

double exec_needs(Executable *e, const int64_t *dims)
{
    Instance *in = instance_new(e, dims);
    double bytes = e->device->needs ? e->device->needs(in) : 0;
    for (int i = 0; i < e->ninput; i++) bytes += (double)input_bytes(e, in, i);
    return bytes;
}

Instance *exec_instance(Executable *e, const int64_t *dims)
{
    double begin = seconds_now();
    size_t bytes = sizeof *dims * (size_t)exec_ndims(e);
    for (Instance *in = e->instances; in; in = in->next)
        if (!memcmp(in->dims, dims, bytes)) return in;
    Instance *in = instance_new(e, dims);
    place_inputs(in);
    e->device->place(in);
    in->next = e->instances, e->instances = in;
    in->seconds = seconds_now() - begin;
    return in;
}

/* ---- inputs ---- */

static const char *const type_name[] = {"float", "int", "bool"};

static void input_convert(void *to, DType dt, const void *from, DType given, int64_t n)
{
    if (dt == given) {
        memcpy(to, from, (size_t)n * (dt == DT_BOOL ? 1 : 4));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int32_t v = given == DT_INT ? ((const int32_t *)from)[i] : ((const uint8_t *)from)[i];
        if (dt == DT_FLOAT)
            ((float *)to)[i] = (float)v;
        else if (dt == DT_INT)
            ((int32_t *)to)[i] = v;
        else
            ((uint8_t *)to)[i] = v != 0;
    }
}

void exec_input(Instance *in, const char *name, DType dt, int rank, const int64_t *shape,
                const void *data)
{
    Executable *e = in->e;
    int i = input_named(e, name);
    InputInfo *info = &e->input[i];
    InputData *d = &in->input[i];
    Graph *g = e->unit->graph;
    shapes_require_rank(g, e->arena, &(GivenShape){name, info->space, rank, shape});
    for (int k = 0; k < rank; k++)
        if (shape[k] != d->shape[k])
            diag_fail(e->diag,
                      "input `%s` has the wrong size along axis %d\nexpected: %s = %s\nfound: %s",
                      name, k, shapes_space_text(g, e->arena, info->space),
                      shapes_text(e->arena, rank, d->shape), shapes_text(e->arena, rank, shape));
    if (dt == DT_FLOAT && info->dt != DT_FLOAT)
        diag_fail(e->diag, "input `%s` takes %s values\nfound: float", name, type_name[info->dt]);
    input_convert(d->data, info->dt, data, dt, d->count);
    d->set = true;
}

void *exec_input_data(Instance *in, const char *name, DType *dt, int64_t *count)
{
    int i = input_named(in->e, name);
    *dt = in->e->input[i].dt, *count = in->input[i].count;
    in->input[i].set = true;
    return in->input[i].data;
}

/* ---- running ---- */

/* What lies outside, if the check is one of an input's range; else "". */
static const char *outside(Instance *in, const Check *c)
{
    Executable *e = in->e;
    if (c->kind != CHECK_RANGE || c->e.node->op != OP_input) return "";
    int i = input_find(e, c->e.node->attr.leaf.name);
    if (i < 0 || e->input[i].dt != DT_INT) return "";
    const InputData *d = &in->input[i];
    return shapes_outside(e->arena, e->input[i].name, d->data, e->input[i].space->n, d->shape,
                          ix_eval(c->ix, &(IxEnv){.syms = in->dims}));
}

void check_failed(Instance *in, const Check *c)
{
    user_error(in->e->diag, c->loc, "%s%s", c->text, outside(in, c));
}

void exec_run(Instance *in, const RunOptions *o)
{
    Executable *e = in->e;
    for (int i = 0; i < e->ninput; i++)
        if (!in->input[i].set)
            diag_fail(e->diag, "input `%s` %s isn't given", e->input[i].name,
                      shapes_space_text(e->unit->graph, e->arena, e->input[i].space));
    e->device->run(in, o);
    if (e->store) e->store->micro_steps++;
    in->runs++;
}

static bool value_of(Instance *in, RootKind kind, const char *name, Value *v)
{
    int i = find_root(in->e, kind, 0, name);
    if (i < 0 || !in->root[i].data) return false;
    *v = in->root[i];
    return true;
}

bool exec_output(Instance *in, const char *name, Value *v)
{
    return value_of(in, ROOT_OUTPUT, name, v);
}
bool exec_grad(Instance *in, const char *name, Value *v)
{
    return value_of(in, ROOT_GRAD, name, v);
}
bool exec_update(Instance *in, const char *name, Value *v)
{
    return value_of(in, ROOT_UPDATE, name, v);
}

ExecStats exec_stats(const Instance *in)
{
    const Executable *e = in->e;
    return (ExecStats){.kernels = e->kernels,
                       .launches = in->launches,
                       .library_calls = in->library_calls,
                       .arena_bytes = in->arena_bytes,
                       .arena_lower = in->arena_lower,
                       .compile_seconds = e->compile_seconds,
                       .instance_seconds = in->seconds,
                       .cached = e->cached,
                       .allocations = in->late};
}

int exec_profile(const Instance *in, const StepProfile **p)
{
    *p = in->profile;
    return in->nprofile;
}
