/* simt_warp.c: what threads do together, and what hardware does for them. Contract: simt_machine.h.
 *
 * Every operation of a warp works alike: each lane leaves its arguments in its fiber and waits; the
 * last one to arrive computes for all. Shuffles, votes and tensor-core operations order no memory
 * accesses, as on the GPU; __syncthreads and
 * __syncwarp do.
 */
#include "runtime/simt_machine.h"

/* ---- block barriers ---- */

void barrier_release(Simt *s)
{
    int n = s->waiting, count = s->barrier_count;
    bool all = count == n;
    s->waiting = 0;
    check_barrier(s);
    for (int i = 0; i < s->nthread; i++) {
        Fiber *f = &s->fiber[i];
        if (f->state != FIBER_AT_BARRIER) continue;
        f->value = s->barrier_kind == SIMT_SYNC_AND  ? all
                   : s->barrier_kind == SIMT_SYNC_OR ? count > 0
                                                     : (uint64_t)count;
        if (f == s->cur)
            f->state = FIBER_READY;
        else
            fiber_ready(s, f);
    }
}

static int barrier(void *machine, SimtBarrier kind, int line, int predicate)
{
    Simt *s = machine;
    Fiber *f = s->cur;
    f->line = line;
    f->state = FIBER_AT_BARRIER;
    if (s->waiting == 0) {
        s->barrier_line = line;
        s->barrier_kind = kind;
        s->barrier_count = 0;
    } else if (line != s->barrier_line) {
        report_add(s, f, (Finding){.fault = SIMT_DIVERGENT, .line = line, .stop = true},
                   "waits at __syncthreads of line %d while %d threads wait at the one of line %d",
                   line, s->waiting, s->barrier_line);
    }
    s->waiting++;
    s->barrier_count += predicate;
    if (s->waiting == s->live) {
        if (s->live < s->nthread)
            report_add(s, f, (Finding){.fault = SIMT_DIVERGENT, .line = line},
                       "meets at __syncthreads only %d of %d threads: the others have returned",
                       s->live, s->nthread);
        barrier_release(s);
    } else {
        fiber_block(s);
    }
    return (int)f->value;
}

void warp_exit(Simt *s, Fiber *f)
{
    Warp *w = f->warp;
    w->exited |= 1u << f->here.lane;
    if (f->ncopy)
        report_add(s, f, (Finding){.fault = SIMT_IN_FLIGHT, .line = f->copy[0].line},
                   "returns without having waited for %d of its asynchronous copies", f->ncopy);
    for (int i = 0; i < 32; i++) {
        const Meeting *m = &w->meeting[i];
        if (m->arrived && m->mask >> f->here.lane & 1)
            report_add(s, f, (Finding){.fault = SIMT_DIVERGENT, .line = m->line, .stop = true},
                       "has returned while lanes %08x of its warp wait for it at line %d",
                       m->arrived, m->line);
    }
    if (s->waiting > 0 && s->waiting == s->live) {
        report_add(s, f, (Finding){.fault = SIMT_DIVERGENT, .line = s->barrier_line},
                   "has returned while %d threads wait at __syncthreads of line %d", s->waiting,
                   s->barrier_line);
        barrier_release(s);
    }
}

/* ---- operations on a value per lane ---- */

static void give_all(Fiber *lane, uint32_t mask, uint64_t value)
{
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) lane[i].value = value;
}

static void shuffle(Simt *s, Fiber *lane, const Meeting *m)
{
    uint64_t given[32];
    for (int i = 0; i < 32; i++) given[i] = m->mask >> i & 1 ? lane[i].value : 0;
    for (int i = 0; i < 32; i++) {
        if (!(m->mask >> i & 1)) continue;
        unsigned from = lane[i].source;
        if (!(m->mask >> from & 1))
            report_add(s, &lane[i], (Finding){.fault = SIMT_DIVERGENT, .line = m->line},
                       "shuffles from lane %u, which is not in the mask %08x", from, m->mask);
        lane[i].value = given[from];
    }
}

static uint32_t reduce(SimtWarpOp op, uint32_t x, uint32_t y)
{
    int32_t a = (int32_t)x, b = (int32_t)y;
    switch (op) {
    case SIMT_SUM:
        return x + y;
    case SIMT_MIN:
        return (uint32_t)(a < b ? a : b);
    case SIMT_MAX:
        return (uint32_t)(a > b ? a : b);
    case SIMT_UMIN:
        return x < y ? x : y;
    case SIMT_UMAX:
        return x > y ? x : y;
    case SIMT_AND:
        return x & y;
    case SIMT_OR:
        return x | y;
    default:
        return x ^ y;
    }
}

static void reduce_all(Fiber *lane, const Meeting *m)
{
    int first = __builtin_ctz(m->mask);
    uint32_t r = (uint32_t)lane[first].value;
    for (int i = first + 1; i < 32; i++)
        if (m->mask >> i & 1) r = reduce(m->op, r, (uint32_t)lane[i].value);
    give_all(lane, m->mask, r);
}

static void ballot(Fiber *lane, uint32_t mask)
{
    uint32_t votes = 0;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1 && lane[i].value) votes |= 1u << i;
    give_all(lane, mask, votes);
}

/* ---- tensor cores. Lane l holds row or column l / 4 and, of the other index, pairs or single ones
 * from l % 4 ---- */

static float bf16(uint32_t pair, int half)
{
    uint32_t u = half ? pair & 0xffff0000u : pair << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static float tf32(uint32_t u)
{
    u &= 0xffffe000u; /* the hardware doesn't look at the rest */
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* d[16][8] += a[16][k] b[k][8]; each sum of products is taken from 0 and then added. */
static void accumulate(Fiber *lane, int k, float a[16][16], float b[16][8])
{
    float sum[16][8] = {{0.0f}};
    for (int i = 0; i < 16; i++)
        for (int l = 0; l < k; l++)
            for (int j = 0; j < 8; j++) sum[i][j] += a[i][l] * b[l][j];
    for (int l = 0; l < 32; l++) {
        float d[4];
        memcpy(d, lane[l].d, sizeof d);
        for (int i = 0; i < 4; i++) d[i] += sum[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
        memcpy(lane[l].d, d, sizeof d);
    }
}

static void mma(Fiber *lane, SimtWarpOp op)
{
    float a[16][16], b[16][8];
    for (int l = 0; l < 32; l++) {
        uint32_t fa[4], fb[2];
        memcpy(fa, lane[l].a, sizeof fa);
        memcpy(fb, lane[l].b, sizeof fb);
        int row = l / 4, at = l % 4;
        for (int i = 0; i < 4; i++) {
            if (op == SIMT_MMA_TF32)
                a[row + i % 2 * 8][at + i / 2 * 4] = tf32(fa[i]);
            else
                for (int h = 0; h < 2; h++)
                    a[row + i % 2 * 8][at * 2 + h + i / 2 * 8] = bf16(fa[i], h);
        }
        for (int i = 0; i < 2; i++) {
            if (op == SIMT_MMA_TF32)
                b[at + i * 4][row] = tf32(fb[i]);
            else
                for (int h = 0; h < 2; h++) b[at * 2 + h + i * 8][row] = bf16(fb[i], h);
        }
    }
    accumulate(lane, op == SIMT_MMA_TF32 ? 8 : 16, a, b);
}

/* Instructions on shared memory take an address in it. */
static void must_be_shared(Simt *s, Fiber *f, uintptr_t p, int line)
{
    const Memory *r = memory_find(s, p);
    if (r && r->shared) return;
    Finding w = {.fault = SIMT_OUT_OF_BOUNDS, .line = line, .stop = true};
    w.variable = variable_at(s, p, &w.offset);
    report_add(s, f, w, "gives an address that is not in shared memory");
}

/* n matrices of 8 x 8 16-bit numbers; lanes 8 i .. 8 i + 7 give the addresses of the rows of matrix
 * i. */
static void load_matrices(Simt *s, Fiber *lane, const Meeting *m)
{
    bool transposed = m->op == SIMT_LDMATRIX2_T || m->op == SIMT_LDMATRIX4_T;
    int n = m->op == SIMT_LDMATRIX2 || m->op == SIMT_LDMATRIX2_T ? 2 : 4;
    uint16_t x[4][8][8];
    for (int i = 0; i < n * 8; i++) {
        uintptr_t row = (uintptr_t)lane[i].a;
        int64_t offset = 0;
        const char *name = variable_at(s, row, &offset);
        if (row & 15)
            report_add(s, &lane[i],
                       (Finding){.fault = SIMT_MISALIGNED,
                                 .variable = name,
                                 .offset = offset,
                                 .line = m->line,
                                 .stop = true},
                       "gives ldmatrix a row that is not aligned to 16 bytes");
        must_be_shared(s, &lane[i], row, m->line);
        check_access(s, &lane[i], row, 16, SIMT_READ, m->line, 0);
        memcpy(x[i / 8][i % 8], lane[i].a, 16);
    }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < n; i++) {
            int row = l / 4, at = l % 4 * 2;
            uint32_t low = transposed ? x[i][at][row] : x[i][row][at];
            uint32_t high = transposed ? x[i][at + 1][row] : x[i][row][at + 1];
            uint32_t pair = low | high << 16;
            memcpy((char *)lane[l].d + i * 4, &pair, 4);
        }
}

/* ---- meeting ---- */

static void carry_out(Simt *s, Warp *w, const Meeting *m)
{
    Fiber *lane = &s->fiber[(w - s->warp) * 32];
    switch (m->op) {
    case SIMT_ORDER:
        check_order(s, w, m->mask);
        break;
    case SIMT_SHUFFLE:
        shuffle(s, lane, m);
        break;
    case SIMT_BALLOT:
        ballot(lane, m->mask);
        break;
    case SIMT_MMA_BF16:
    case SIMT_MMA_TF32:
        mma(lane, m->op);
        break;
    case SIMT_LDMATRIX2:
    case SIMT_LDMATRIX4:
    case SIMT_LDMATRIX2_T:
    case SIMT_LDMATRIX4_T:
        load_matrices(s, lane, m);
        break;
    default:
        reduce_all(lane, m);
    }
}

/* The one that lanes of this mask wait in, or a free one: lanes wait in one at a time, so there is
 * one. */
static Meeting *meeting_of(Warp *w, uint32_t mask)
{
    Meeting *empty = NULL;
    for (int i = 0; i < 32; i++) {
        Meeting *m = &w->meeting[i];
        if (m->arrived && m->mask == mask) return m;
        if (!m->arrived && !empty) empty = m;
    }
    return empty;
}

static void meet(Simt *s, SimtWarpOp op, uint32_t mask, int line)
{
    Fiber *f = s->cur;
    Warp *w = f->warp;
    uint32_t me = 1u << f->here.lane;
    Finding wrong = {.fault = SIMT_DIVERGENT, .line = line, .stop = true};
    f->line = line;
    if (w->all != ~0u && mask == ~0u) mask = w->all; /* a block's last warp may be a part of one */
    if (!(mask & me))
        report_add(s, f, wrong, "is not in the mask %08x of its own warp operation", mask);
    if (mask & ~w->all)
        report_add(s, f, wrong, "names lanes %08x that its warp doesn't have", mask & ~w->all);
    if (mask & w->exited)
        report_add(s, f, wrong, "waits for lanes %08x, which have returned", mask & w->exited);
    Meeting *m = meeting_of(w, mask);
    if (!m->arrived)
        *m = (Meeting){.mask = mask, .op = op, .line = line};
    else if (m->mask != mask || m->op != op || m->line != line)
        report_add(s, f, wrong,
                   "is at a warp operation of line %d while lanes %08x wait at another of line %d",
                   line, m->arrived, m->line);
    m->arrived |= me;
    if (m->arrived != mask) {
        f->state = FIBER_AT_WARP_OP;
        fiber_block(s);
        return;
    }
    Meeting now = *m;
    m->arrived = 0;
    carry_out(s, w, &now);
    for (uint32_t rest = mask & ~me; rest; rest &= rest - 1)
        fiber_ready(s, &s->fiber[(w - s->warp) * 32 + __builtin_ctz(rest)]);
}

static uint64_t warp_op(void *machine, SimtWarpOp op, unsigned mask, int line, uint64_t value,
                        unsigned source)
{
    Simt *s = machine;
    Fiber *f = s->cur;
    f->value = value;
    f->source = source;
    meet(s, op, mask, line);
    return f->value;
}

static const char *second(const char *names) { return names + strlen(names) + 1; }

static void tile_op(void *machine, SimtWarpOp op, int line, void *d, const void *a, const void *b,
                    const char *names)
{
    Simt *s = machine;
    Fiber *f = s->cur;
    f->d = d, f->a = a, f->b = b;
    if (s->nthread & 31)
        report_add(s, f, (Finding){.fault = SIMT_DIVERGENT, .line = line, .stop = true},
                   "is at a tensor-core operation in a block whose last warp is not whole");
    if (op == SIMT_MMA_BF16 || op == SIMT_MMA_TF32) {
        check_operand(s, f, d, 16, SIMT_READ, line, names);
        check_operand(s, f, a, 16, SIMT_READ, line, second(names));
        check_operand(s, f, b, 8, SIMT_READ, line, second(second(names)));
        check_operand(s, f, d, 16, SIMT_WRITE, line, names);
    } else {
        check_operand(s, f, d, op == SIMT_LDMATRIX2 || op == SIMT_LDMATRIX2_T ? 8 : 16, SIMT_WRITE,
                      line, names);
    }
    meet(s, op, ~0u, line);
}

/* ---- atomics ---- */

static uint32_t updated(SimtAtomicOp op, uint32_t x, uint32_t y)
{
    float a, b;
    switch (op) {
    case SIMT_ADD_FLOAT:
        memcpy(&a, &x, 4);
        memcpy(&b, &y, 4);
        a += b;
        memcpy(&x, &a, 4);
        return x;
    case SIMT_ADD_INT:
        return x + y;
    case SIMT_MIN_INT:
        return reduce(SIMT_MIN, x, y);
    case SIMT_MAX_INT:
        return reduce(SIMT_MAX, x, y);
    case SIMT_MIN_UINT:
        return reduce(SIMT_UMIN, x, y);
    case SIMT_MAX_UINT:
        return reduce(SIMT_UMAX, x, y);
    case SIMT_AND_INT:
        return x & y;
    default:
        return x | y;
    }
}

static uint32_t atomic_op(void *machine, SimtAtomicOp op, int line, void *p, uint32_t value)
{
    Simt *s = machine;
    s->cur->line = line;
    check_access(s, s->cur, (uintptr_t)p, 4, SIMT_ATOMIC, line, 0);
    uint32_t old, new;
    memcpy(&old, p, 4);
    new = updated(op, old, value);
    memcpy(p, &new, 4);
    return old;
}

/* ---- asynchronous copies: done at their wait (late) or at once (early) ---- */

static void land(const Copy *c)
{
    if (c->fill)
        memset(c->to, 0, (size_t)c->bytes);
    else
        memcpy(c->to, c->from, (size_t)c->bytes);
}

static void copy(void *machine, int line, void *shared, const void *global, int bytes, int fill)
{
    Simt *s = machine;
    Fiber *f = s->cur;
    uintptr_t to = (uintptr_t)shared, from = (uintptr_t)global;
    f->line = line;
    Finding wrong = {.fault = SIMT_MISALIGNED, .line = line, .stop = true};
    uintptr_t bad = to & (uintptr_t)(bytes - 1)              ? to
                    : !fill && from & (uintptr_t)(bytes - 1) ? from
                                                             : 0;
    if (bad) {
        wrong.variable = variable_at(s, bad, &wrong.offset);
        report_add(s, f, wrong, "copies %d bytes %s an address that is not aligned to them", bytes,
                   bad == to ? "to" : "from");
    }
    if (f->ncopy == COPIES)
        report_add(s, f, (Finding){.fault = SIMT_IN_FLIGHT, .line = line, .stop = true},
                   "has %d asynchronous copies under way, more than the machine keeps", COPIES);
    must_be_shared(s, f, to, line);
    if (!fill) check_access(s, f, from, (size_t)bytes, SIMT_READ, line, 0);
    check_access(s, f, to, (size_t)bytes, SIMT_COPY_ISSUED, line, 0);
    Copy *c = &f->copy[f->ncopy++];
    *c = (Copy){shared, global, bytes, fill, f->group, line};
    if (s->order == SIMT_REVERSE) land(c);
}

static void copy_commit(void *machine) { ((Simt *)machine)->cur->group++; }

static void copy_wait(void *machine, int line, int pending)
{
    Simt *s = machine;
    Fiber *f = s->cur;
    int kept = 0;
    for (int i = 0; i < f->ncopy; i++) {
        Copy *c = &f->copy[i];
        if (c->group >= f->group - pending) {
            f->copy[kept++] = *c;
            continue;
        }
        f->line = c->line;
        if (s->order == SIMT_FORWARD) land(c);
        check_access(s, f, (uintptr_t)c->to, (size_t)c->bytes, SIMT_COPY_LANDED, c->line, 0);
    }
    f->ncopy = kept;
    f->line = line;
}

/* ---- the checked build's calls ---- */

static void enter(void *machine, const void *frame)
{
    Fiber *f = ((Simt *)machine)->cur;
    if (!f->frame) f->frame = frame;
}

static void access_from(void *machine, const void *p, size_t bytes, SimtAccess kind,
                        const void *from)
{
    Simt *s = machine;
    check_access(s, s->cur, (uintptr_t)p, bytes, kind, 0, (uintptr_t)from);
}

static void mistake(void *machine, SimtMistake what, int line, int column, uint64_t value)
{
    report_mistake(machine, what, line, column, value);
}

void warp_fill_table(Simt *s)
{
    s->table = (SimtTable){.machine = s,
                           .barrier = barrier,
                           .warp = warp_op,
                           .tile = tile_op,
                           .atomic = atomic_op,
                           .copy = copy,
                           .copy_commit = copy_commit,
                           .copy_wait = copy_wait,
                           .enter = enter,
                           .access = access_from,
                           .mistake = mistake};
}
