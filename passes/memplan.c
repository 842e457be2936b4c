/* memplan.c: where in the arena each temporary tensor lies.
 *
 * Two tensors that are alive at one time must not overlap; the arena should be small. Greedy by
 * size: the largest first, each into a gap between those already placed that live at the same time,
 * or above them all. Three orders and two choices of gap are tried and the smallest arena is kept.
 *
 * memplan: any n; offsets are multiples of 64 bytes; cost O(n^2) comparisons per order.
 */
#include <stdlib.h>
#include "passes/passes.h"

#define LINE ((size_t)64)

static size_t rounded(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

typedef struct {
    double key; /* larger is placed first */
    int alive;  /* ... of equal ones what lives longer */
    int at;     /* position in the caller's array */
} Ranked;

static int by_key(const void *pa, const void *pb)
{
    const Ranked *a = pa, *b = pb;
    if (a->key != b->key) return a->key < b->key ? 1 : -1;
    return a->alive != b->alive ? b->alive - a->alive : a->at - b->at;
}

typedef struct {
    size_t begin, end;
    int first, last;
} Placed;

/* The lowest offset in the tightest gap, or in the lowest, among the n placed (by rising begin)
 * that meet x in time. */
static size_t find_gap(const Placed *p, int n, size_t bytes, const Extent *x, bool tightest)
{
    int first = x->first, last = x->last;
    size_t free_from = 0, best = SIZE_MAX, best_room = SIZE_MAX;
    for (int i = 0; i < n; i++) {
        if (p[i].last < first || last < p[i].first) continue;
        if (p[i].begin > free_from) {
            size_t room = p[i].begin - free_from;
            if (room >= bytes && room < best_room) {
                best = free_from;
                best_room = room;
                if (!tightest) return best;
            }
        }
        if (p[i].end > free_from) free_from = p[i].end;
    }
    return best == SIZE_MAX ? free_from : best;
}

static size_t place(const Extent *e, int n, const Ranked *rank, bool tightest, Placed *placed,
                    size_t *offset)
{
    size_t arena = 0;
    int np = 0;
    for (int r = 0; r < n; r++) {
        const Extent *x = &e[rank[r].at];
        size_t bytes = rounded(x->bytes);
        size_t at = bytes ? find_gap(placed, np, bytes, x, tightest) : 0;
        offset[rank[r].at] = at;
        if (!bytes) continue;
        if (at + bytes > arena) arena = at + bytes;
        int i = np++;
        for (; i > 0 && placed[i - 1].begin > at; i--) placed[i] = placed[i - 1];
        placed[i] = (Placed){at, at + bytes, x->first, x->last};
    }
    return arena;
}

static double order_key(int order, const Extent *e)
{
    double bytes = (double)e->bytes, alive = e->last - e->first + 1;
    switch (order) {
    case 0:
        return bytes;
    case 1:
        return bytes * alive;
    default:
        return alive;
    }
}

size_t memplan(Extent *e, int n, Arena *scratch)
{
    Ranked *rank = NEW_N(scratch, Ranked, n);
    Placed *placed = NEW_N(scratch, Placed, n);
    size_t *offset = NEW_N(scratch, size_t, n);
    size_t best = SIZE_MAX;
    for (int way = 0; way < 6; way++) {
        for (int i = 0; i < n; i++)
            rank[i] = (Ranked){order_key(way / 2, &e[i]), e[i].last - e[i].first, i};
        qsort(rank, (size_t)n, sizeof *rank, by_key);
        size_t arena = place(e, n, rank, way % 2, placed, offset);
        if (arena >= best) continue;
        best = arena;
        for (int i = 0; i < n; i++) e[i].offset = offset[i];
    }
    return n ? best : 0;
}

typedef struct {
    int time;
    bool begins;
    size_t bytes;
} Event;

static int by_time(const void *pa, const void *pb)
{
    const Event *a = pa, *b = pb;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return (int)b->begins - (int)a->begins; /* a tensor is alive through its last group */
}

size_t memplan_lower_bound(const Extent *e, int n, Arena *scratch)
{
    Event *events = NEW_N(scratch, Event, 2 * n);
    for (int i = 0; i < n; i++) {
        events[2 * i] = (Event){e[i].first, true, rounded(e[i].bytes)};
        events[2 * i + 1] = (Event){e[i].last, false, rounded(e[i].bytes)};
    }
    qsort(events, 2 * (size_t)n, sizeof *events, by_time);
    size_t alive = 0, most = 0;
    for (int i = 0; i < 2 * n; i++) {
        alive = events[i].begins ? alive + events[i].bytes : alive - events[i].bytes;
        if (alive > most) most = alive;
    }
    return most;
}
