/* split.c: an axis that is read in pieces becomes two: i = size * q + r; two that everything walks
 * as one become one.
 *
 * Merged and split views read i / size and i % size, and gathers with a division per lane would be
 * the loop. With q and r as axes the quotient is q, the remainder r, and both are plain strides.
 * Where q and r only ever occur as size * q + r, one axis makes longer lane loops.
 */
#include "codegen/emit.h"

/* Position of every old axis over the new space, where `axis` is two. */
static const Map *split_map(Graph *g, int n, int axis, int64_t size)
{
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < n; i++) ix[i] = ix_axis(g, i < axis ? i : i + 1);
    ix[axis] = ix_add(g, ix_scale(g, ix_axis(g, axis), size), ix_axis(g, axis + 1));
    return map_make(g, n, ix);
}

static const Space *split_space(Graph *g, const Space *s, int axis, int64_t size)
{
    const Ix *ext[MAX_AXES];
    for (int i = 0; i < s->n; i++) ext[i < axis ? i : i + 1] = s->ext[i];
    ext[axis] = ix_div(g, s->ext[axis], ix_const(g, size), NULL);
    ext[axis + 1] = ix_const(g, size);
    return space_make(g, s->n + 1, ext);
}

/* w over another space; m: its axes over that. */
static void remap_work(Emit *e, Work *w, const Space *to, const Map *m)
{
    Graph *g = e->g;
    w->e = edge_comp(g, w->e, m, to);
    w->pos = map_subst(g, w->pos, m, to);
    if (w->key) {
        const Ix **key = NEW_N(e->a, const Ix *, w->out);
        for (int i = 0; i < w->out; i++) key[i] = w->key[i] ? ix_subst(g, w->key[i], m, to) : NULL;
        w->key = key;
    }
    for (int i = 0; i < MAX_AXES; i++)
        if (w->block_pos[i]) w->block_pos[i] = ix_subst(g, w->block_pos[i], m, to);
    w->space = to;
}

static void split_work(Emit *e, Work *w, int axis, int64_t size)
{
    const Space *from = w->space, *to = split_space(e->g, from, axis, size);
    remap_work(e, w, to, split_map(e->g, from->n, axis, size));
    if (w->axis) {
        int8_t *block = NEW_N(e->a, int8_t, to->n);
        for (int i = 0; i < from->n; i++) block[i < axis ? i : i + 1] = w->axis[i];
        block[axis] = block[axis + 1] = w->axis[axis];
        w->axis = block;
    }
    if (axis < w->rank) w->rank++;
}

/* The block axis b becomes b and b + 1 in every work. */
static bool split_block(Emit *e, WorkList *wl, int b, int64_t size)
{
    if (e->block->n + 1 >= MAX_AXES) return false;
    for (int i = 0; i < wl->n; i++) {
        Work *w = &wl->w[i];
        int at = -1;
        for (int k = 0; w->axis && k < w->space->n; k++)
            if (w->axis[k] == b) at = k;
        if (at >= 0) split_work(e, w, at, size);
        int8_t *block = NEW_N(e->a, int8_t, w->space->n + 1);
        for (int k = 0; k < w->space->n; k++)
            block[k] = (int8_t)(w->axis ? w->axis[k] + (w->axis[k] > b) : -1);
        if (at >= 0) block[at + 1]++;
        w->axis = block;
    }
    wl->block = e->block = split_space(e->g, wl->block, b, size);
    return true;
}

void split_axes(Emit *e, WorkList *wl)
{
    enum { ROUNDS = 4 };
    for (int i = 0; i < wl->n; i++)
        for (int round = 0; round < ROUNDS; round++) {
            Work *w = &wl->w[i];
            int axis;
            int64_t size;
            if (w->space->n + 1 >= MAX_AXES || !find_split(e, w, &axis, &size)) break;
            if (!w->axis || w->axis[axis] < 0)
                split_work(e, w, axis, size);
            else if (!split_block(e, wl, w->axis[axis], size))
                break;
        }
}

/* ---- two axes as one ---- */

/* Axes p and q as one of p's rows of q: j = ext(q) * p + q takes the place of the first of them. */
static Work joined(Emit *e, const Work *w, int p, int q)
{
    Graph *g = e->g;
    const Ix *ext[MAX_AXES], *ix[MAX_AXES], *size = w->space->ext[q];
    int first = p < q ? p : q, second = p < q ? q : p, n = 0;
    int8_t *block = NEW_N(e->a, int8_t, w->space->n);
    for (int i = 0; i < w->space->n; i++) {
        if (i == second) continue;
        block[n] = (int8_t)(w->axis ? w->axis[i] : -1);
        ext[n] = i == first ? ix_mul(g, w->space->ext[p], size) : w->space->ext[i];
        ix[i] = ix_axis(g, n++);
    }
    const Space *to = space_make(g, n, ext);
    const Ix *j = ix[first];
    ix[p] = ix_div(g, j, size, to), ix[q] = ix_mod(g, j, size, to);
    Work r = *w;
    remap_work(e, &r, to, map_make(g, w->space->n, ix));
    r.axis = block, r.rank--;
    return r;
}

/* False: what w stores to tells that the two are no one axis. */
static bool may_join(Emit *e, const Work *w, int p, int q)
{
    const Ix *at = store_address(e, w, -1, false), *sp, *sq, *rest, *size = w->space->ext[q];
    if (ix_is(size, 1) || ix_is(w->space->ext[p], 1)) return true;
    if (!ix_affine(e->g, at, p, &sp, &rest) || !ix_affine(e->g, at, q, &sq, &rest)) return true;
    return sp == ix_mul(e->g, sq, size);
}

static bool join_once(Emit *e, Work *w)
{
    for (int p = 0; p < w->rank; p++)
        for (int q = 0; q < w->rank; q++) {
            if (p == q || (w->axis && (w->axis[p] >= 0 || w->axis[q] >= 0))) continue;
            if (!ix_is_const(w->space->ext[q]) || !may_join(e, w, p, q)) continue;
            Work one = joined(e, w, p, q);
            if (reads_pieces(e, &one, p < q ? p : q)) continue;
            *w = one;
            return true;
        }
    return false;
}

void join_axes(Emit *e, WorkList *wl)
{
    for (int i = 0; i < wl->n; i++)
        if (wl->w[i].op == OP_stop || wl->w[i].list)
            while (join_once(e, &wl->w[i])) continue;
}
