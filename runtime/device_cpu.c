/* device_cpu.c: plans on the host: kernels by the C compiler, products by oneDNN, a team of
 * threads.
 *
 * One parallel region per run. Every thread walks through the steps; the work of a step is handed
 * out in pieces from a counter, and a barrier ends it. Which thread does a piece changes nothing: a
 * piece's result doesn't depend on others.
 */
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "runtime/cc.h"
#include "runtime/compile.h"
#include "runtime/memory.h"
#include "runtime/product.h"

/* ---- memory: one block, grown to the largest instance, touched once ---- */

typedef struct {
    char *p;
    size_t bytes;
} Block;

static void block_free(Block *b)
{
    if (b->p) munmap(b->p, b->bytes);
    *b = (Block){0};
}

/* Filled with bytes that are NaN as floats: what a program reads before it wrote it shows. */
static void block_grow(Diag *d, Block *b, size_t bytes, const char *what)
{
    if (bytes <= b->bytes) return;
    block_free(b);
    if (!size_add(bytes, 4095, &bytes)) diag_oom(d);
    bytes = bytes / 4096 * 4096;
    memory_require(d, (double)bytes, what, "");
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) diag_oom(d);
    memset(p, 0xff, bytes);
    *b = (Block){p, bytes};
}

/* ---- what the device keeps ---- */

typedef struct {
    CcObjects objects;
    KernelFn *fn;                /* by kernel */
    Block arena, scratch, stage; /* temporaries; per thread; gradients of later micro-steps */
    int64_t late;                /* allocations after an instance's first run */
} Cpu;

typedef struct {
    const float *a, *b;
    float *c;
} Operands;

/* A step, or in a loop one for each piece. */
typedef struct {
    int step;
    int64_t *arg;          /* integer arguments */
    int64_t pieces, chunk; /* units of work, and how many are taken at once */
    ProductCall *product;
    atomic_llong next; /* first unit not taken */
} Launch;

typedef struct {
    int64_t *n;        /* values of the plan's ints */
    size_t *offset;    /* by buffer, in the arena */
    void **home;       /* by buffer: where it lies for good, or NULL */
    StoreEntry **grad; /* by buffer: the parameter whose gradient it is, alone; or NULL */
    size_t *stage;     /* ... and its offset in the stage */
    size_t stage_bytes, scratch_bytes;
    void **ptr;              /* by buffer: where it lies in this run */
    void ***table; /* by step: pointers of its buffers */
    Launch *launch; /* in order */
    int nlaunch;
} Placed;

/* ---- preparing ---- */

typedef struct {
    const CompileOptions *o;
    int kernels;
} Telling;

static void tell(void *ctx, int done, int units)
{
    const Telling *t = ctx;
    if (done < units) t->o->progress(t->o->progress_ctx, done, units, t->kernels);
}

static void prepare(Executable *e, const CompileOptions *o)
{
    Cpu *c = NEW(e->arena, Cpu);
    Plan *p = e->plan;
    e->dev = c;
    enum { UNITS = 16 };
    const char *text[UNITS];
    int n = plan_sources(p, UNITS, text);
    Telling telling = {o, p->kernels.n};
    CcOptions cc = {.isa = o->isa, .cache = o->cache, .jobs = e->threads,
                    .progress = o->progress ? tell : NULL, .progress_ctx = &telling};
    c->objects = cc_compile(e->diag, e->arena, &cc, text, n);
    e->cached = c->objects.compiled == 0;
    c->fn = NEW_N(e->arena, KernelFn, p->kernels.n + 1);
    for (int i = 0; i < p->kernels.n; i++) {
        void *f = cc_symbol(&c->objects, p->kernels.v[i].name);
        if (!f) diag_bug(e->diag, "kernel %s isn't in the compiled objects", p->kernels.v[i].name);
        memcpy(&c->fn[i], &f, sizeof f);
    }
}

static void drop(Executable *e)
{
    Cpu *c = e->dev;
    if (!c) return;
    cc_close(&c->objects);
    block_free(&c->arena);
    block_free(&c->scratch);
    block_free(&c->stage);
}

/* ---- placing ---- */

static size_t buffer_bytes(const Plan *p, const Placed *pl, int i)
{
    const PlanBuffer *b = &p->buffers.v[i];
    return (size_t)pl->n[b->count] * (b->dt == DT_BOOL ? 1 : 4);
}

static void check_counts(Instance *in, const Placed *pl)
{
    const Plan *p = in->e->plan;
    for (int i = 0; i < p->buffers.n; i++)
        if (pl->n[p->buffers.v[i].count] < 0 || pl->n[p->buffers.v[i].count] > (int64_t)1 << 40)
            diag_fail(in->e->diag, "at these sizes a tensor has more than 2^40 elements");
}

static void *leaf_home(Instance *in, const PlanBuffer *b)
{
    Executable *e = in->e;
    if (b->cls == PB_INPUT) {
        for (int i = 0; i < e->ninput; i++)
            if (!strcmp(e->input[i].name, b->name)) return in->input[i].data;
        diag_bug(e->diag, "input `%s` has no place", b->name);
    }
    if (!e->store) diag_fail(e->diag, "the program has parameters, but there is no store of them");
    StoreEntry *s =
        b->cls == PB_PARAM ? store_param(e->store, b->name) : store_state(e->store, b->name);
    if (!s) diag_bug(e->diag, "`%s` isn't in the store", b->name);
    return (b->cls == PB_PARAM ? e->store->value : e->store->state_value) + s->offset;
}

/* Gradients of parameters that are computed into buffers of their own go straight to the store. */
static void find_grads(Instance *in, Placed *pl)
{
    Executable *e = in->e;
    const Plan *p = e->plan;
    int *users = NEW_N(e->arena, int, p->buffers.n + 1);
    for (int i = 0; i < p->roots.n; i++) users[p->roots.v[i].buf]++;
    for (int i = 0; i < p->roots.n; i++) {
        const PlanRoot *r = &p->roots.v[i];
        StoreEntry *s = r->kind == ROOT_GRAD && e->store ? store_param(e->store, r->name) : NULL;
        if (!s || users[r->buf] != 1 || p->buffers.v[r->buf].cls != PB_TEMP) continue;
        pl->grad[r->buf] = s;
        pl->stage[r->buf] = pl->stage_bytes;
        pl->stage_bytes += (buffer_bytes(p, pl, r->buf) + 63) / 64 * 64;
    }
}

static void place_buffers(Instance *in, Placed *pl)
{
    Executable *e = in->e;
    const Plan *p = e->plan;
    int n = p->buffers.n, k = 0;
    Extent *ext = NEW_N(e->arena, Extent, n + 1);
    int *which = NEW_N(e->arena, int, n + 1);
    for (int i = 0; i < n; i++) {
        const PlanBuffer *b = &p->buffers.v[i];
        size_t bytes = buffer_bytes(p, pl, i);
        if (b->cls == PB_HOST)
            pl->home[i] = arena_alloc(e->arena, bytes + 64);
        else if (b->cls == PB_FRESH)
            pl->home[i] = NEW(e->arena, bool);
        else if (b->cls != PB_TEMP)
            pl->home[i] = leaf_home(in, b);
        if (b->cls != PB_TEMP || b->first < 0 || pl->grad[i]) continue;
        which[k] = i;
        ext[k++] = (Extent){.bytes = bytes, .first = b->first, .last = b->last};
    }
    in->arena_bytes = memplan(ext, k, e->arena);
    in->arena_lower = memplan_lower_bound(ext, k, e->arena);
    for (int i = 0; i < k; i++) pl->offset[which[i]] = ext[i].offset;
}

/* Enough work per piece that handing it out costs nothing, and enough pieces to share. */
static int64_t chunk_of(const Step *s, int64_t blocks, int threads)
{
    double least = 20000 / (s->cost > 1 ? s->cost : 1);
    int64_t share = blocks / (threads * 8), chunk = least < 1 ? 1 : (int64_t)least + 1;
    return chunk > share ? chunk : share;
}

static void place_step(Instance *in, Placed *pl, int step, const int64_t *n)
{
    Executable *e = in->e;
    const Step *s = &e->plan->steps.v[step];
    Launch *l = &pl->launch[pl->nlaunch++];
    l->step = step;
    if (s->kind == STEP_PRODUCT) {
        l->product = NEW(e->arena, ProductCall);
        *l->product = product_call(&s->product, n);
        l->pieces = l->product->pieces, l->chunk = product_chunk(l->product);
        in->library_calls++;
        return;
    }
    l->arg = NEW_N(e->arena, int64_t, s->nint + 1);
    for (int k = 0; k < s->nint; k++) l->arg[k] = n[s->arg[k]];
    l->pieces = n[s->blocks];
    l->chunk = chunk_of(s, l->pieces, e->threads);
    if ((size_t)n[s->scratch] > pl->scratch_bytes) pl->scratch_bytes = (size_t)n[s->scratch];
    in->launches++;
}

/* The loop's steps, for every piece. */
static void place_loop(Instance *in, Placed *pl, const PlanLoop *loop, int64_t *syms)
{
    const Plan *p = in->e->plan;
    int64_t *n = arena_copy(in->arena, pl->n, sizeof *n * (size_t)p->ints.n);
    for (int64_t i = 1; i <= pl->n[loop->pieces]; i++) {
        syms[loop->counter] = i;
        for (int k = 0; k < loop->ints.n; k++)
            n[loop->ints.v[k]] = ix_eval(p->ints.v[loop->ints.v[k]], &(IxEnv){.syms = syms});
        for (int k = loop->first; k <= loop->last; k++) place_step(in, pl, k, n);
    }
    syms[loop->counter] = 1;
}

static void place_steps(Instance *in, Placed *pl, int64_t *syms)
{
    const Plan *p = in->e->plan;
    size_t most = (size_t)p->steps.n + 1;
    for (int i = 0; i < p->loops.n; i++)
        most += (size_t)pl->n[p->loops.v[i].pieces] *
                (size_t)(p->loops.v[i].last - p->loops.v[i].first + 1);
    pl->launch = NEW_N(in->arena, Launch, most);
    in->launches = in->library_calls = 0;
    for (int i = 0; i < p->steps.n; i++) {
        pl->table[i] = NEW_N(in->arena, void *, p->steps.v[i].nbuf + 1);
        int loop = p->steps.v[i].loop;
        if (!loop)
            place_step(in, pl, i, pl->n);
        else if (p->loops.v[loop - 1].first == i)
            place_loop(in, pl, &p->loops.v[loop - 1], syms);
    }
}

/* Free dimensions, and counters of loops at their first piece, which is the largest. */
static int64_t *symbols_of(Instance *in)
{
    const Graph *g = in->e->unit->graph;
    int64_t *syms = NEW_N(in->arena, int64_t, g->syms.n + 1);
    for (int i = 0; i < g->syms.n; i++) syms[i] = i < graph_ndims(g) ? in->dims[i] : 1;
    return syms;
}

static Placed *lay_out(Instance *in)
{
    Executable *e = in->e;
    const Plan *p = e->plan;
    Arena *a = e->arena;
    int nb = p->buffers.n + 1, ns = p->steps.n + 1;
    Placed *pl = NEW(a, Placed);
    *pl = (Placed){.n = NEW_N(a, int64_t, p->ints.n + 1),
                   .offset = NEW_N(a, size_t, nb),
                   .home = NEW_N(a, void *, nb),
                   .grad = NEW_N(a, StoreEntry *, nb),
                   .stage = NEW_N(a, size_t, nb),
                   .ptr = NEW_N(a, void *, nb),
                   .table = NEW_N(a, void **, ns)};
    int64_t *syms = symbols_of(in);
    for (int i = 0; i < p->ints.n; i++) pl->n[i] = ix_eval(p->ints.v[i], &(IxEnv){.syms = syms});
    check_counts(in, pl);
    find_grads(in, pl);
    place_buffers(in, pl);
    place_steps(in, pl, syms);
    in->nprofile = p->steps.n;
    in->profile = NEW_N(a, StepProfile, ns);
    for (int i = 0; i < p->steps.n; i++) {
        const Step *s = &p->steps.v[i];
        in->profile[i] =
            (StepProfile){.what = s->what, .group = s->group, .phase = s->phase, .loc = s->loc};
    }
    pl->scratch_bytes = (pl->scratch_bytes + 4095 + 128) / 4096 * 4096;
    return pl;
}

static double needs(Instance *in)
{
    const Placed *pl = lay_out(in);
    return (double)in->arena_bytes + (double)pl->scratch_bytes * in->e->threads;
}

static void place(Instance *in)
{
    Executable *e = in->e;
    Cpu *c = e->dev;
    Placed *pl = in->dev = lay_out(in);
    block_grow(e->diag, &c->arena, in->arena_bytes, "the values of a run");
    block_grow(e->diag, &c->scratch, pl->scratch_bytes * (size_t)e->threads,
               "the scratch memory of threads");
}

/* ---- running ---- */

/* Where every buffer lies now: gradients in the store, or beside it when they are to be added. */
static void bind(Instance *in, Placed *pl)
{
    Executable *e = in->e;
    const Plan *p = e->plan;
    Cpu *c = e->dev;
    bool add = e->store && e->store->micro_steps > 0 && pl->stage_bytes;
    if (add && pl->stage_bytes > c->stage.bytes) {
        block_grow(e->diag, &c->stage, pl->stage_bytes, "the sum of gradients");
        c->late++;
    }
    for (int i = 0; i < p->buffers.n; i++) {
        if (pl->home[i])
            pl->ptr[i] = pl->home[i];
        else if (pl->grad[i])
            pl->ptr[i] =
                add ? (void *)(c->stage.p + pl->stage[i]) : e->store->grad + pl->grad[i]->offset;
        else
            pl->ptr[i] = c->arena.p + pl->offset[i];
    }
    for (int i = 0; i < p->steps.n; i++) {
        const Step *s = &p->steps.v[i];
        for (int k = 0; k < s->nbuf; k++) pl->table[i][k] = pl->ptr[s->buf[k]];
    }
    for (int i = 0; i < pl->nlaunch; i++)
        atomic_store_explicit(&pl->launch[i].next, 0, memory_order_relaxed);
}

static bool flag_of(const Placed *pl, int buf) { return *(const unsigned char *)pl->ptr[buf] != 0; }

static bool runs(const Placed *pl, const Step *s)
{
    for (int i = 0; i < s->nwhen; i++)
        if (flag_of(pl, s->when[i].buf) != s->when[i].value) return false;
    return true;
}

typedef struct {
    Instance *in;
    Placed *pl;
    const RunOptions *o;
    atomic_int arrived, turn;
    int threads;
} Team;

/* Waits for the team: a short spin, then the core is given away. */
static void team_wait(Team *t)
{
    if (t->threads == 1) return;
    int turn = atomic_load_explicit(&t->turn, memory_order_acquire);
    if (atomic_fetch_add_explicit(&t->arrived, 1, memory_order_acq_rel) == t->threads - 1) {
        atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&t->turn, turn + 1, memory_order_release);
        return;
    }
    for (int i = 0; atomic_load_explicit(&t->turn, memory_order_acquire) == turn; i++) {
        if (i >= 4000) sched_yield();
#if defined(__SSE2__)
        else
            _mm_pause();
#endif
    }
}

static void do_launch(Team *t, Launch *l, char *scratch)
{
    Placed *pl = t->pl;
    Cpu *c = t->in->e->dev;
    const Step *s = &t->in->e->plan->steps.v[l->step];
    void **table = pl->table[l->step];
    int64_t n = l->pieces, chunk = l->chunk;
    KernelArgs args = {table, l->arg, t->o->seed, t->o->step};
    for (;;) {
        int64_t from = atomic_fetch_add_explicit(&l->next, chunk, memory_order_relaxed);
        if (from >= n) return;
        int64_t to = from + chunk < n ? from + chunk : n;
        if (s->kind == STEP_KERNEL)
            c->fn[s->kernel](&args, from, to, scratch);
        else
            for (int64_t k = from; k < to; k++)
                product_piece(l->product, table[1], table[2], table[0], k);
    }
}

static void walk(Team *t, int me)
{
    Executable *e = t->in->e;
    Cpu *c = e->dev;
    const Plan *p = e->plan;
    char *scratch = c->scratch.p + t->pl->scratch_bytes * (size_t)me;
    double begin = t->o->profile ? seconds_now() : 0;
    for (int i = p->host_steps; i < t->pl->nlaunch; i++) {
        Launch *l = &t->pl->launch[i];
        if (!runs(t->pl, &p->steps.v[l->step])) continue;
        do_launch(t, l, scratch);
        team_wait(t);
        if (!t->o->profile || me) continue;
        double now = seconds_now();
        t->in->profile[l->step].seconds += now - begin, t->in->profile[l->step].runs++;
        begin = now;
    }
}

/* Small numbers are 0 in kernels: denormals cost a hundred times as much. */
static unsigned flush_denormals(void)
{
#if defined(__SSE2__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
#else
    return 0;
#endif
}

static void restore_denormals(unsigned before)
{
#if defined(__SSE2__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

static void run_team(Team *t)
{
    int want = t->in->e->threads;
#pragma omp parallel num_threads(want)
    {
        unsigned before = flush_denormals();
        int nested = omp_get_max_threads();
#pragma omp single
        t->threads = omp_get_num_threads();
        omp_set_num_threads(1); /* the library's calls inside */
        walk(t, omp_get_thread_num());
        omp_set_num_threads(nested);
        restore_denormals(before);
    }
}

static void check_values(Instance *in, const Placed *pl)
{
    const Plan *p = in->e->plan;
    for (int i = 0; i < p->checks.n; i++)
        if (p->checks.v[i].flag >= 0 && flag_of(pl, p->checks.v[i].flag))
            check_failed(in, p->checks.v[i].check);
}

static void collect(Instance *in, const Placed *pl)
{
    Executable *e = in->e;
    const Plan *p = e->plan;
    for (int i = 0; i < p->roots.n; i++) {
        const PlanRoot *r = &p->roots.v[i];
        void *at = pl->ptr[r->buf];
        in->root[i].data = at;
        if (!e->store) continue;
        if (r->kind == ROOT_GRAD && store_param(e->store, r->name))
            store_add_grad(e->store, r->name, at, in->root[i].count,
                           r->reached < 0 || flag_of(pl, r->reached));
        if (r->kind == ROOT_UPDATE)
            store_add_update(e->store, r->name, at, r->reached < 0 || flag_of(pl, r->reached));
    }
}

static void run(Instance *in, const RunOptions *o)
{
    Placed *pl = in->dev;
    const Plan *p = in->e->plan;
    Cpu *c = in->e->dev;
    bind(in, pl);
    for (int i = 0; i < p->buffers.n; i++)
        if (p->buffers.v[i].cls == PB_FRESH)
            *(bool *)pl->home[i] = store_is_fresh(in->e->store, p->buffers.v[i].name, o);
    Team t = {.in = in, .pl = pl, .o = o, .threads = 1};
    for (int i = 0; i < p->host_steps; i++)
        if (runs(pl, &p->steps.v[i])) do_launch(&t, &pl->launch[i], c->scratch.p);
    check_values(in, pl);
    run_team(&t);
    collect(in, pl);
    in->late = c->late;
}

const Device device_cpu = {.name = "cpu",
                           .what = "C kernels for this CPU, oneDNN for products",
                           .planned = true,
                           .prepare = prepare,
                           .place = place,
                           .needs = needs,
                           .run = run,
                           .drop = drop};
