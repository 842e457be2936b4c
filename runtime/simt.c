/* simt.c: the machine itself: buffers and launches. Contract: simt.h. */
#include "runtime/simt_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

Simt *simt_new(Diag *d)
{
    Arena *a = arena_new();
    if (!a) diag_oom(d);
    arena_on_oom(a, diag_oom, d);
    diag_defer(d, (void (*)(void *))arena_free, a);
    Simt *s = NEW(a, Simt);
    s->diag = d;
    s->arena = a;
    s->clock = 1;
    warp_fill_table(s);
    diag_defer(d, (void (*)(void *))fibers_drop, s);
    fibers_make(s);
    diag_undefer(d);
    diag_undefer(d);
    s->dynamic_shared = (Memory){.name = "dynamic shared memory", .shared = true, .shift = 2};
    return s;
}

/* ---- buffers ---- */

static const size_t slot_bytes = (size_t)1 << SLOT_BITS;

static void buffer_insert(Simt *s, Memory *r)
{
    for (unsigned i = (unsigned)(r->begin >> SLOT_BITS);; i++)
        if (!s->buffer[i % BUFFERS]) {
            s->buffer[i % BUFFERS] = r;
            return;
        }
}

/* Address space of one slot, aligned to its size, nothing of it mapped for use. */
static char *slot_reserve(void)
{
    char *p =
        mmap(NULL, 2 * slot_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = -(uintptr_t)p & (slot_bytes - 1);
    if (before) munmap(p, before);
    if (before < slot_bytes) munmap(p + before + slot_bytes, slot_bytes - before);
    return p + before;
}

static void buffer_free(Memory *r)
{
    memory_drop_cells(r);
    munmap((char *)(r->begin >> SLOT_BITS << SLOT_BITS), slot_bytes);
    free(r);
}

void *simt_alloc(Simt *s, const char *name, size_t bytes, bool written)
{
    size_t page = 4096, pages = (bytes + page) / page * page;
    if (s->nbuffer == BUFFERS - 1) diag_fail(s->diag, "simt: more than %d buffers", BUFFERS - 1);
    if (bytes > slot_bytes / 4)
        diag_fail(s->diag, "simt: a buffer of %zu bytes is too large", bytes);
    size_t length = strlen(name) + 1;
    Memory *r = calloc(1, sizeof *r + length);
    char *slot = r ? slot_reserve() : NULL;
    if (!slot || mprotect(slot + slot_bytes / 2, pages, PROT_READ | PROT_WRITE)) {
        if (slot) munmap(slot, slot_bytes);
        free(r);
        diag_fail(s->diag, "simt: no memory for `%s` (%zu bytes)", name, bytes);
    }
    r->pages = slot + slot_bytes / 2;
    r->page_bytes = pages;
    /* Its end is that of its last page, but for what aligning its begin takes. */
    r->begin = ((uintptr_t)r->pages + pages - bytes) & ~(uintptr_t)15;
    r->end = r->begin + bytes;
    r->shift = 2;
    r->written = written;
    r->name = memcpy((char *)(r + 1), name, length);
    if (!written) memset((void *)r->begin, 0xff, bytes);
    buffer_insert(s, r);
    s->nbuffer++;
    return (void *)r->begin;
}

static Memory *buffer_of(Simt *s, const void *p, const char *who)
{
    Memory *r = buffer_near(s, (uintptr_t)p);
    if (!r) diag_bug(s->diag, "%s: %p is not in a buffer of the machine", who, p);
    return r;
}

void simt_release(Simt *s, void *p)
{
    if (!p) return;
    Memory *r = buffer_of(s, p, "simt_release");
    Memory *kept[BUFFERS];
    int n = 0;
    for (int i = 0; i < BUFFERS; i++)
        if (s->buffer[i] && s->buffer[i] != r) kept[n++] = s->buffer[i];
    memset(s->buffer, 0, sizeof s->buffer);
    for (int i = 0; i < n; i++) buffer_insert(s, kept[i]);
    s->nbuffer = n;
    s->recent = NULL;
    buffer_free(r);
}

void simt_written(Simt *s, const void *p, size_t bytes)
{
    Memory *r = buffer_of(s, p, "simt_written");
    if (bytes > r->end - (uintptr_t)p)
        diag_bug(s->diag, "simt_written: %zu bytes at %zu of `%s`, which has %zu", bytes,
                 (size_t)((uintptr_t)p - r->begin), r->name, (size_t)(r->end - r->begin));
    check_written(s, r, (uintptr_t)p, bytes);
}

void simt_forget(Simt *s, void *p)
{
    Memory *r = buffer_of(s, p, "simt_forget");
    memory_drop_cells(r);
    r->written = false;
    r->shift = 2;
    memset((void *)r->begin, 0xff, r->end - r->begin);
}

void simt_free(Simt *s)
{
    if (!s) return;
    for (int i = 0; i < BUFFERS; i++)
        if (s->buffer[i]) buffer_free(s->buffer[i]);
    for (SimtModule *m = s->modules; m; m = m->next) module_close(m);
    memory_drop_cells(&s->dynamic_shared);
    fibers_drop(s);
    arena_free(s->arena);
}

/* ---- launches ---- */

static size_t threads_of(SimtDim d) { return (size_t)d.x * d.y * d.z; }

/* What cuLaunchKernel would refuse on every GPU. */
static void must_be_launchable(const Simt *s, const SimtKernel *k, const SimtLaunch *l)
{
    const SimtEntry *e = k->entry;
    Diag *d = s->diag;
    size_t threads = threads_of(l->block),
           fixed = k->module->object->shared_end - k->module->object->shared;
    if (l->bytes != e->bytes)
        diag_bug(d, "%s: %zu bytes of arguments, it has %zu", k->name, l->bytes, e->bytes);
    if (e->bytes > 4096) diag_bug(d, "%s: more than 4096 bytes of arguments", k->name);
    if (threads < 1 || threads > THREADS || threads > e->threads || l->block.z > 64)
        diag_bug(d, "%s: a block of %u x %u x %u threads, it is made for at most %u", k->name,
                 l->block.x, l->block.y, l->block.z, e->threads);
    if (threads_of(l->grid) < 1 || l->grid.x > 0x7fffffffu || l->grid.y > 65535 ||
        l->grid.z > 65535)
        diag_bug(d, "%s: a grid of %u x %u x %u blocks", k->name, l->grid.x, l->grid.y, l->grid.z);
    if (l->shared > 227 << 10)
        diag_bug(d, "%s: %zu bytes of dynamic shared memory beside %zu", k->name, l->shared, fixed);
}

static void run_blocks(Simt *s, SimtDim grid)
{
    const SimtObject *o = s->module->object;
    uint64_t n = threads_of(grid);
    for (uint64_t i = 0; i < n && !s->aborted; i++) {
        uint64_t b = s->order == SIMT_REVERSE ? n - 1 - i : i;
        s->block = s->table.block =
            (SimtDim){(unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                      (unsigned)(b / grid.x / grid.y)};
        if (o->shared) memset(o->shared, 0xff, (size_t)(o->shared_end - o->shared));
        memset((void *)s->dynamic_shared.begin, 0xff, s->dynamic_bytes);
        check_begin_block(s);
        fibers_run_block(s);
    }
}

int simt_launch(Simt *s, const SimtKernel *k, const SimtLaunch *l)
{
    _Alignas(64) char args[4096];
    must_be_launchable(s, k, l);
    memcpy(args, l->args, l->bytes);
    s->kernel = k;
    s->module = k->module;
    s->order = l->order;
    s->args = args;
    s->nthread = (int)threads_of(l->block);
    s->nwarp = (s->nthread + 31) / 32;
    s->dynamic_bytes = l->shared;
    s->dynamic_shared.begin = ((uintptr_t)s->dynamic + DYNAMIC - l->shared) & ~(uintptr_t)127;
    s->table.dynamic_shared = (void *)s->dynamic_shared.begin;
    s->table.block_dim = l->block;
    s->table.grid_dim = l->grid;
    s->aborted = false;
    s->nreport = 0;
    *s->module->object->table = &s->table;
    check_begin_launch(s);
    signals_take(s);
    run_blocks(s, l->grid);
    signals_give_back(s);
    s->args = NULL;
    if (s->aborted) check_reset(s);
    report_resolve(s);
    return s->nreport;
}

int simt_reports(const Simt *s) { return s->nreport; }
const SimtReport *simt_report(const Simt *s, int i)
{
    return i >= 0 && i < s->nreport ? &s->report[i] : NULL;
}
