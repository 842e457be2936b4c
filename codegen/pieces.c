/* pieces.c: loops over pieces of an axis (passes.h, Pieces). Contract: emit.h.
 *
 * The axis of a member runs over one piece: position = off + axis, 0 <= axis < len, where off and
 * len are sizes that depend on the loop's counter. Kernels get them as integer arguments like any
 * size, so one text does for all pieces. A buffer for one piece is addressed without what lies
 * before: its `start` is subtracted.
 */
#include "codegen/emit.h"

void pieces_start(Planner *pl)
{
    Graph *g = pl->g;
    const Grouping *gs = pl->u->groups;
    Piece *p = NEW_N(pl->a, Piece, gs->loops.n + 1);
    for (int i = 0; i < gs->loops.n; i++) {
        const Ix *size = gs->loops.v[i].size, *one = ix_const(g, 1);
        p[i].counter = ix_counter(g, i);
        p[i].size = size;
        p[i].off = ix_mul(g, ix_sub(g, p[i].counter, one), size);
        p[i].len = ix_min(g, size, ix_sub(g, gs->loops.v[i].extent, p[i].off), NULL);
    }
    pl->piece = p;
}

void pieces_cut(Planner *pl, Work *w, int loop, int cut)
{
    Graph *g = pl->g;
    const Piece *p = &pl->piece[loop - 1];
    const Ix *ix[MAX_AXES];
    int n = w->space->n;
    for (int i = 0; i < n; i++) ix[i] = ix_axis(g, i);
    ix[cut] = ix_add(g, ix[cut], p->off);
    const Space *to = space_with(g, w->space, cut, p->len);
    const Map *m = map_make(g, n, ix);
    w->e = edge_comp(g, w->e, m, to);
    w->pos = map_make(g, w->rank, ix);
    w->space = to;
    w->piece = p, w->cut = cut;
    if (cut >= w->rank) w->more = ix_sub(g, p->counter, ix_const(g, 1));
    if (w->buf >= 0) w->start = pl->starts.v[w->buf];
}

const Space *pieces_block(Planner *pl, const Space *block, int loop, int b)
{
    return b < 0 ? block : space_with(pl->g, block, b, pl->piece[loop - 1].len);
}

/* ---- the plan's loops ---- */

static bool depends_on(const Ix *e, int sym)
{
    for (int i = 0; i < e->nterm; i++)
        for (int k = 0; k < e->t[i].n; k++) {
            const Atom *f = e->t[i].f[k];
            if (f->kind == AT_SYM && f->id == sym) return true;
            if (f->a && depends_on(f->a, sym)) return true;
            if (f->b && depends_on(f->b, sym)) return true;
        }
    return false;
}

/* What a loop comes back to lives through all of it; a piece is made anew each time. */
static void live_through(Plan *p, const PlanLoop *l)
{
    for (int i = 0; i < p->buffers.n; i++) {
        PlanBuffer *b = &p->buffers.v[i];
        if (b->piece) continue;
        if (l->first < b->first && b->first <= l->last) b->first = l->first;
        if (l->first <= b->last && b->last < l->last) b->last = l->last;
    }
}

void pieces_loops(Planner *pl)
{
    Graph *g = pl->g;
    Plan *p = pl->p;
    for (int i = 0; i < pl->u->groups->loops.n; i++) {
        const Pieces *q = &pl->u->groups->loops.v[i];
        PlanLoop l = {.first = -1, .counter = pl->piece[i].counter->t[0].f[0]->id};
        const Ix *up = ix_add(g, q->extent, ix_sub(g, q->size, ix_const(g, 1)));
        l.pieces = plan_int(pl, ix_div(g, up, q->size, NULL));
        for (int k = 0; k < p->steps.n; k++) {
            if (p->steps.v[k].loop != i + 1) continue;
            if (l.first < 0) l.first = k;
            l.last = k;
        }
        for (int k = 0; k < p->ints.n; k++)
            if (depends_on(p->ints.v[k], l.counter)) vec_push(pl->a, &l.ints, k);
        live_through(p, &l);
        vec_push(pl->a, &p->loops, l);
    }
}
