/* simt_fiber.c: the threads of a block as contexts with stacks of their own. Contract:
 * simt_machine.h.
 *
 * A thread runs until it waits at a barrier or a warp operation, or returns. Ready threads stand in
 * a queue that is served from its head (SIMT_FORWARD) or its tail (SIMT_REVERSE). The host is one
 * more context: it starts a block and is continued when all threads are done or the launch is given
 * up, whereupon the other contexts are simply dropped.
 */
#include "runtime/simt_machine.h"

#include <stdlib.h>
#include <sys/mman.h>

/* AddressSanitizer marks the frames of the machine's own functions, and dropped contexts never take
 * the marks away. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define forget_frames(p, bytes) __asan_unpoison_memory_region((p), (bytes))
#else
#define forget_frames(p, bytes) ((void)0)
#endif

/* Stacks 64 KiB apart would compete for the same cache sets: each begins a little lower than the
 * one before. */
static size_t colour(int index) { return (size_t)(index & 31) * 448; }

#ifdef SIMT_UCONTEXT
static void fiber_main(unsigned high, unsigned low);

static void context_make(Fiber *f)
{
    uintptr_t p = (uintptr_t)f;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack + 4096;
    f->context.uc_stack.ss_size = STACK - 4096 - colour(f->index);
    f->context.uc_link = NULL;
    makecontext(&f->context, (void (*)(void))fiber_main, 2, (unsigned)(p >> 32), (unsigned)p);
}

static void context_switch(Fiber *from, Fiber *to) { swapcontext(&from->context, &to->context); }

#else
/* Saves the registers that a call keeps on the stack, and takes those of another context from its
 * stack. A new context enters rtc_simt_start with its fiber in r12 and the function to call in r13.
 */
void rtc_simt_switch(void **save, void *to);
void rtc_simt_start(void);
__asm__(".text\n"
        ".hidden rtc_simt_switch\n.hidden rtc_simt_start\n"
        ".globl rtc_simt_switch\n.type rtc_simt_switch,@function\n"
        "rtc_simt_switch:\n"
        "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
        "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n"
        ".size rtc_simt_switch, .-rtc_simt_switch\n"
        ".globl rtc_simt_start\n.type rtc_simt_start,@function\n"
        "rtc_simt_start:\n"
        "movq %r12, %rdi\n callq *%r13\n ud2\n"
        ".size rtc_simt_start, .-rtc_simt_start\n");

static void fiber_main(Fiber *f);

static void context_make(Fiber *f)
{
    uintptr_t top = ((uintptr_t)f->stack + STACK - colour(f->index)) & ~(uintptr_t)63;
    void **sp = (void **)top - 9;          /* so that rtc_simt_start finds its stack aligned */
    sp[0] = sp[1] = NULL;                  /* r15, r14 */
    sp[2] = (void *)(uintptr_t)fiber_main; /* r13 */
    sp[3] = f;                             /* r12 */
    sp[4] = sp[5] = NULL;                  /* rbx, rbp: ends chains of frames */
    sp[6] = (void *)(uintptr_t)rtc_simt_start;
    sp[7] = sp[8] = NULL;
    f->sp = sp;
}

static void context_switch(Fiber *from, Fiber *to) { rtc_simt_switch(&from->sp, to->sp); }
#endif

static void switch_to(Simt *s, Fiber *to)
{
    Fiber *from = s->cur;
    if (from == to) return;
    s->cur = to;
    s->table.now = &to->here;
    context_switch(from, to);
}

void fiber_ready(Simt *s, Fiber *f)
{
    f->state = FIBER_READY;
    s->queue[s->last++ % COUNT(s->queue)] = f->index;
}

static Fiber *next_ready(Simt *s)
{
    if (s->first == s->last) return NULL;
    unsigned at = s->order == SIMT_REVERSE ? --s->last : s->first++;
    return &s->fiber[s->queue[at % COUNT(s->queue)]];
}

void fiber_abort(Simt *s)
{
    s->aborted = true;
    switch_to(s, s->host);
    abort(); /* nothing continues a dropped context */
}

static const char *waits_at(const Fiber *f)
{
    return f->state == FIBER_AT_BARRIER ? "__syncthreads" : "a warp operation";
}

/* No thread can go on, and some wait: names two places if there are two. */
static void deadlock(Simt *s)
{
    const Fiber *one = NULL, *other = NULL;
    int n = 0;
    for (int i = 0; i < s->nthread; i++) {
        const Fiber *f = &s->fiber[i];
        if (f->state != FIBER_AT_BARRIER && f->state != FIBER_AT_WARP_OP) continue;
        if (!one) one = f;
        if (!other && f->line != one->line) other = f;
        n++;
    }
    Finding found = {.fault = SIMT_DEADLOCK, .line = one->line, .stop = true};
    if (!other) other = one;
    report_add(s, one, found,
               "waits at %s, thread %d at %s of line %d, and no thread can go on (%d wait)",
               waits_at(one), other->index, waits_at(other), other->line, n);
}

void fiber_block(Simt *s)
{
    Fiber *next = next_ready(s);
    if (!next && s->live > 0) deadlock(s);
    switch_to(s, next ? next : s->host);
}

static void run(Fiber *f)
{
    Simt *s = f->simt;
    s->kernel->entry->run(s->args);
    f->state = FIBER_DONE;
    s->live--;
    warp_exit(s, f);
    fiber_block(s);
    abort();
}

#ifdef SIMT_UCONTEXT
static void fiber_main(unsigned high, unsigned low) { run((Fiber *)((uintptr_t)high << 32 | low)); }
#else
static void fiber_main(Fiber *f) { run(f); }
#endif

void fibers_run_block(Simt *s)
{
    unsigned bx = s->table.block_dim.x, by = s->table.block_dim.y;
    s->live = s->nthread;
    s->waiting = 0;
    s->first = s->last = 0;
    memset(s->warp, 0, sizeof *s->warp * (size_t)s->nwarp);
    forget_frames(s->stacks, (size_t)s->nthread * STACK);
    for (int i = 0; i < s->nthread; i++) {
        Fiber *f = &s->fiber[i];
        unsigned u = (unsigned)i;
        f->here = (SimtThread){{u % bx, u / bx % by, u / bx / by}, u & 31};
        f->warp = &s->warp[i >> 5];
        f->warp->all |= 1u << (i & 31);
        f->line = 0;
        f->ncopy = f->group = 0;
        f->stamp = s->block_stamp;
        f->frame = NULL;
        context_make(f);
        fiber_ready(s, f);
    }
    s->cur = s->host;
    fiber_block(s);
    s->cur = s->host;
}

/* ---- memory ---- */

static void *reserve(Simt *s, size_t bytes, int protection)
{
    void *p = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) diag_oom(s->diag);
    return p;
}

void fibers_make(Simt *s)
{
    s->host = NEW(s->arena, Fiber);
    s->host->index = -1;
    s->host->simt = s;
    s->cur = s->host;
    s->fiber = NEW_N(s->arena, Fiber, THREADS);
    s->warp = NEW_N(s->arena, Warp, WARPS);
    s->stacks = reserve(s, (size_t)THREADS * STACK, PROT_READ | PROT_WRITE);
    for (int i = 0; i < THREADS; i++) {
        Fiber *f = &s->fiber[i];
        f->simt = s;
        f->index = i;
        f->stack = s->stacks + (size_t)i * STACK;
        mprotect(f->stack, 4096, PROT_NONE);
    }
    s->stack_stamp = reserve(s, (size_t)THREADS * STACK, PROT_READ | PROT_WRITE);
    s->dynamic = (char *)reserve(s, DYNAMIC + 2 * 4096, PROT_NONE) + 4096;
    mprotect(s->dynamic, DYNAMIC, PROT_READ | PROT_WRITE);
    signals_make(s);
}

void fibers_drop(Simt *s)
{
    if (s->stacks) munmap(s->stacks, (size_t)THREADS * STACK);
    if (s->stack_stamp) munmap(s->stack_stamp, (size_t)THREADS * STACK);
    if (s->dynamic) munmap(s->dynamic - 4096, DYNAMIC + 2 * 4096);
    free(s->alternate);
}
