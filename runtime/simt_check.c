/* simt_check.c: the checked build's look at every access. Contract: simt_machine.h.
 *
 * Each word of global and shared memory has a cell: who wrote it last, and two threads that read it
 * since. "When" is a stamp: one counter counts barriers, __syncwarps and blocks, and each thread
 * carries the value it had at its last one. What a thread did at a stamp before the block's last
 * barrier is before everything that comes now; what a lane of the same warp did is, if a __syncwarp
 * came between; anything else by another thread is at the same time, and then two accesses to one
 * word, not both reads and not both atomic, are a race. Two readers suffice: whoever writes differs
 * from one of them, and readers of two warps are preferred, so that a writer that one warp is
 * ordered before still meets the other. Blocks of one launch are never ordered, although the
 * machine runs them one by one.
 *
 * Cells stand for 4 bytes; a buffer or shared memory with narrower accesses gets narrower ones.
 */
#include "runtime/simt_machine.h"

#include <sys/mman.h>

/* ---- memory ---- */

static size_t cell_bytes(const Memory *r)
{
    return (((r->end - r->begin) >> r->shift) + 2) * sizeof(Cell);
}

static void memory_make_cells(Simt *s, Memory *r)
{
    void *p = mmap(NULL, cell_bytes(r), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    r->cell = p == MAP_FAILED ? NULL : p;
    if (!r->cell)
        report_add(s, s->cur,
                   (Finding){.fault = SIMT_OUT_OF_BOUNDS, .variable = r->name, .stop = true},
                   "can't be watched: no memory for the machine's notes on %s", r->name);
}

void memory_drop_cells(Memory *r)
{
    if (r->cell) munmap(r->cell, cell_bytes(r));
    r->cell = NULL;
}

/* Cells of 1 << shift bytes take over what the wider ones knew. */
static void memory_refine(Simt *s, Memory *r, int shift)
{
    Memory wide = *r;
    size_t each = (size_t)1 << (wide.shift - shift),
           cells = (r->end - r->begin + ((size_t)1 << shift) - 1) >> shift;
    r->shift = shift;
    r->cell = NULL;
    memory_make_cells(s, r);
    for (size_t i = 0; i < cells; i++) {
        const Cell *c = &wide.cell[i / each];
        if (c->write || c->read[0] || c->in_flight) r->cell[i] = *c;
    }
    memory_drop_cells(&wide);
}

Memory *buffer_near(Simt *s, uintptr_t p)
{
    uintptr_t slot = p >> SLOT_BITS;
    for (unsigned i = 0; i < BUFFERS; i++) {
        Memory *r = s->buffer[(slot + i) % BUFFERS];
        if (!r) return NULL;
        if (r->begin >> SLOT_BITS == slot) return r;
    }
    return NULL;
}

static bool within(const Memory *r, uintptr_t p) { return p - r->begin < r->end - r->begin; }

Memory *memory_find(Simt *s, uintptr_t p)
{
    if (s->recent && within(s->recent, p)) return s->recent;
    Memory *r = within(&s->dynamic_shared, p)                 ? &s->dynamic_shared
                : s->module && within(&s->module->statics, p) ? &s->module->statics
                                                              : buffer_near(s, p);
    if (!r || !within(r, p)) return NULL;
    s->recent = r;
    return r;
}

const SharedArray *array_near(const SimtModule *m, uintptr_t p)
{
    const SharedArray *best = NULL;
    uintptr_t distance = UINTPTR_MAX;
    for (int i = 0; i < m->narray; i++) {
        const SharedArray *v = &m->array[i];
        uintptr_t far = p < v->begin ? v->begin - p : p >= v->end ? p - v->end + 1 : 0;
        if (far < distance) best = v, distance = far;
        if (far == 0) break;
    }
    return best;
}

void check_written(Simt *s, Memory *r, uintptr_t p, size_t bytes)
{
    if (r->written || bytes == 0) return;
    if (!r->cell) memory_make_cells(s, r);
    if (p == r->begin && bytes == r->end - r->begin) {
        r->written = true;
        return;
    }
    if (r->shift > 0 && ((p - r->begin) | bytes) & 3) memory_refine(s, r, 0);
    for (size_t i = (p - r->begin) >> r->shift, n = bytes >> r->shift; n > 0; i++, n--)
        if (!r->cell[i].write) r->cell[i].write = 1;
}

/* ---- time ---- */

static uint32_t tick(Simt *s) { return ++s->clock; }

/* Before stamps run out: what happened so far is long ago. */
static void start_clock_again(Simt *s)
{
    check_reset(s);
    madvise(s->stack_stamp, (size_t)THREADS * STACK, MADV_DONTNEED);
    for (int i = 0; i < BUFFERS; i++) {
        Memory *r = s->buffer[i];
        for (size_t k = 0;
             r && r->cell && k < (r->end - r->begin + (1u << r->shift) - 1) >> r->shift; k++)
            r->cell[k] = (Cell){.write = r->cell[k].write != 0};
    }
    s->clock = 1;
}

void check_begin_launch(Simt *s)
{
    Memory *shared[] = {&s->dynamic_shared, &s->module->statics};
    if (s->clock > 0xf0000000u) start_clock_again(s);
    s->launch_stamp = tick(s);
    s->recent = NULL;
    s->recent_array = NULL;
    s->dynamic_shared.end = s->dynamic_shared.begin + s->dynamic_bytes;
    if (!s->module->checked) return;
    for (int i = 0; i < COUNT(shared); i++)
        if (!shared[i]->cell && shared[i]->end > shared[i]->begin) memory_make_cells(s, shared[i]);
    for (int i = 0; i < BUFFERS; i++)
        if (s->buffer[i] && !s->buffer[i]->cell) memory_make_cells(s, s->buffer[i]);
}

void check_begin_block(Simt *s) { s->block_stamp = s->barrier_stamp = tick(s); }

void check_barrier(Simt *s)
{
    s->barrier_stamp = tick(s);
    for (int i = 0; i < s->nthread; i++)
        if (s->fiber[i].state != FIBER_DONE) s->fiber[i].stamp = s->barrier_stamp;
}

/* Lanes of the mask are ordered after all that any of them did or knew to be done. */
void check_order(Simt *s, Warp *w, uint32_t mask)
{
    Fiber *lane = &s->fiber[(w - s->warp) * 32];
    uint32_t now = tick(s);
    if (mask == w->all) {
        w->stamp = now;
    } else {
        uint32_t known[32] = {0};
        for (int i = 0; i < 32; i++) {
            if (!(mask >> i & 1)) continue;
            for (int j = 0; j < 32; j++)
                if (w->known[i][j] > known[j]) known[j] = w->known[i][j];
            if (lane[i].stamp > known[i]) known[i] = lane[i].stamp;
        }
        for (int i = 0; i < 32; i++)
            if (mask >> i & 1) memcpy(w->known[i], known, sizeof known);
    }
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) lane[i].stamp = now;
}

void check_reset(Simt *s)
{
    memory_drop_cells(&s->dynamic_shared);
    for (SimtModule *m = s->modules; m; m = m->next) memory_drop_cells(&m->statics);
}

/* Did thread t, at `stamp`, act at the same time as f acts now? */
static inline bool at_once(const Simt *s, const Memory *r, const Fiber *f, uint32_t stamp,
                           unsigned t)
{
    if (stamp < s->block_stamp) return stamp >= s->launch_stamp && !r->shared;
    if (stamp < s->barrier_stamp || (int)t == f->index) return false;
    if ((int)(t >> 5) != f->index >> 5) return true;
    return stamp >= f->warp->stamp && stamp > f->warp->known[f->here.lane][t & 31];
}

/* ---- one access ---- */

typedef struct {
    Simt *s;
    Memory *r;
    Fiber *f;
    SimtAccess kind;
    int line;
    uintptr_t from;
} Access;

static Finding finding(const Access *a, SimtFault fault, uintptr_t p)
{
    Finding w = {.fault = fault, .line = a->line, .from = a->from};
    w.variable = variable_at(a->s, p, &w.offset);
    return w;
}

static const char *verb(SimtAccess kind)
{
    return kind == SIMT_READ     ? "reads"
           : kind == SIMT_ATOMIC ? "updates"
           : kind == SIMT_WRITE  ? "writes"
                                 : "copies to";
}

static void race(const Access *a, const Cell *c, uintptr_t p)
{
    const Simt *s = a->s;
    bool after_write = at_once(s, a->r, a->f, c->write, c->writer);
    int i = after_write ? 0 : !at_once(s, a->r, a->f, c->read[0], c->reader[0]);
    uint32_t stamp = after_write ? c->write : c->read[i];
    unsigned t = after_write ? c->writer : c->reader[i];
    report_add(a->s, a->f, finding(a, SIMT_RACE, p),
               "%s what thread %u%s %s, with no barrier between", verb(a->kind), t,
               stamp < s->block_stamp ? " of another block" : "", after_write ? "writes" : "reads");
}

static void check_writing(const Access *a, Cell *c, uintptr_t p)
{
    const Simt *s = a->s;
    bool both_atomic = a->kind == SIMT_ATOMIC && c->atomic;
    if ((!both_atomic && at_once(s, a->r, a->f, c->write, c->writer)) ||
        at_once(s, a->r, a->f, c->read[0], c->reader[0]) ||
        at_once(s, a->r, a->f, c->read[1], c->reader[1]))
        race(a, c, p);
    if (a->kind == SIMT_COPY_ISSUED) {
        c->in_flight = 1;
        return;
    }
    c->write = a->f->stamp;
    c->writer = (uint16_t)a->f->index;
    c->atomic = a->kind == SIMT_ATOMIC;
}

static void note_reader(const Access *a, Cell *c)
{
    uint16_t me = (uint16_t)a->f->index;
    uint32_t stamp = a->f->stamp;
    for (int i = 0; i < 2; i++)
        if ((c->reader[i] == me && c->read[i] >= a->s->block_stamp) ||
            !at_once(a->s, a->r, a->f, c->read[i], c->reader[i])) {
            c->read[i] = stamp, c->reader[i] = me;
            return;
        }
    bool same_warp = c->read[0] >= a->s->block_stamp && c->read[1] >= a->s->block_stamp &&
                     c->reader[0] >> 5 == c->reader[1] >> 5;
    if (same_warp) c->read[1] = stamp, c->reader[1] = me;
}

static void check_reading(const Access *a, Cell *c, uintptr_t p)
{
    if (c->write != a->f->stamp || c->writer != a->f->index) {
        if (at_once(a->s, a->r, a->f, c->write, c->writer)) race(a, c, p);
        bool never = a->r->shared ? c->write < a->s->block_stamp : !a->r->written && !c->write;
        if (never)
            report_add(a->s, a->f, finding(a, SIMT_UNINITIALISED, p),
                       "reads what was never written");
    }
    if (c->read[0] == a->f->stamp && c->reader[0] == a->f->index) return;
    note_reader(a, c);
}

static void outside(const Access *a, uintptr_t p, size_t bytes)
{
    Finding w = finding(a, SIMT_OUT_OF_BOUNDS, p);
    w.stop = true;
    if (a->kind == SIMT_UNSET)
        report_add(a->s, a->f, w, "needs more than %d bytes of local memory", STACK);
    report_add(a->s, a->f, w, "%s %zu bytes outside", verb(a->kind), bytes);
}

/* Words of a thread's own stack: written since the block began, and by this thread? */
static void check_stack(const Access *a, uintptr_t p, size_t bytes, const char *name)
{
    Simt *s = a->s;
    size_t word = (p - (uintptr_t)s->stacks) >> 2,
           end = (p + bytes - 1 - (uintptr_t)s->stacks) >> 2;
    if ((p - (uintptr_t)s->stacks) / STACK != (size_t)a->f->index) {
        Finding w = {.fault = SIMT_OUT_OF_BOUNDS,
                     .line = a->line,
                     .from = a->from,
                     .variable = name,
                     .stop = true};
        report_add(s, a->f, w, "%s local memory that isn't its own", verb(a->kind));
    }
    if (p >= (uintptr_t)a->f->frame) return; /* the kernel's arguments */
    for (; word <= end; word++) {
        if (a->kind != SIMT_READ)
            s->stack_stamp[word] = a->kind == SIMT_UNSET ? 0 : s->block_stamp;
        else if (s->stack_stamp[word] != s->block_stamp) {
            Finding w = {
                .fault = SIMT_UNINITIALISED, .line = a->line, .from = a->from, .variable = name};
            report_add(s, a->f, w, "reads a local variable that was never set");
            s->stack_stamp[word] = s->block_stamp;
        }
    }
}

static bool on_stacks(const Simt *s, uintptr_t p)
{
    return p - (uintptr_t)s->stacks < (size_t)THREADS * STACK;
}

void check_operand(Simt *s, Fiber *f, const void *p, size_t bytes, SimtAccess kind, int line,
                   const char *name)
{
    if (!s->module->checked || !on_stacks(s, (uintptr_t)p)) return;
    check_stack(&(Access){s, NULL, f, kind, line, 0}, (uintptr_t)p, bytes, name);
}

/* In static shared memory an access must also stay in one array. */
static bool in_one_array(Simt *s, uintptr_t p, size_t bytes)
{
    const SharedArray *v = s->recent_array;
    if (!v || p - v->begin >= v->end - v->begin) v = s->recent_array = array_near(s->module, p);
    return v && p - v->begin < v->end - v->begin && bytes <= v->end - p;
}

static void check_cells(const Access *a, uintptr_t p, size_t bytes)
{
    Memory *r = a->r;
    uintptr_t bits = (p - r->begin) | bytes;
    if (bits & (((uintptr_t)1 << r->shift) - 1)) memory_refine(a->s, r, bits & 1 ? 0 : 1);
    Cell *c = &r->cell[(p - r->begin) >> r->shift];
    for (size_t n = bytes >> r->shift; n > 0; n--, c++, p += (uintptr_t)1 << r->shift) {
        if (a->kind == SIMT_COPY_LANDED)
            c->in_flight = 0;
        else if (c->in_flight)
            report_add(a->s, a->f, finding(a, SIMT_IN_FLIGHT, p),
                       "%s while an asynchronous copy to it is under way", verb(a->kind));
        if (a->kind == SIMT_READ)
            check_reading(a, c, p);
        else
            check_writing(a, c, p);
    }
}

void check_access(Simt *s, Fiber *f, uintptr_t p, size_t bytes, SimtAccess kind, int line,
                  uintptr_t from)
{
    if (!s->module->checked || f == s->host || bytes == 0) return;
    Access a = {s, NULL, f, kind, line, from};
    if (on_stacks(s, p)) {
        check_stack(&a, p, bytes, NULL);
        return;
    }
    a.r = memory_find(s, p);
    if (!a.r) {
        bool constant = kind == SIMT_READ &&
                        p - s->module->begin < s->module->end - s->module->begin &&
                        bytes <= s->module->end - p;
        if (!constant) outside(&a, p, bytes);
        return;
    }
    if (bytes > a.r->end - p || (a.r == &s->module->statics && !in_one_array(s, p, bytes)))
        outside(&a, p, bytes);
    else
        check_cells(&a, p, bytes);
}
