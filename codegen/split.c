/* split.c: an axis that is read in pieces becomes two: i = size * q + r.
 *
 * Merged and split views read i / size and i % size, and gathers with a division per lane would be
 * the loop. With q and r as axes the quotient is q, the remainder r, and both are plain strides.
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

static void split_work(Emit *e, Work *w, int axis, int64_t size)
{
    Graph *g = e->g;
    const Space *to = split_space(g, w->space, axis, size);
    const Map *m = split_map(g, w->space->n, axis, size);
    w->e = edge_comp(g, w->e, m, to);
    w->pos = map_subst(g, w->pos, m, to);
    if (w->key) {
        const Ix **key = NEW_N(e->a, const Ix *, w->out);
        for (int i = 0; i < w->out; i++) key[i] = w->key[i] ? ix_subst(g, w->key[i], m, to) : NULL;
        w->key = key;
    }
    for (int i = 0; i < MAX_AXES; i++)
        if (w->block_pos[i]) w->block_pos[i] = ix_subst(g, w->block_pos[i], m, to);
    if (w->axis) {
        int8_t *block = NEW_N(e->a, int8_t, to->n);
        for (int i = 0; i < w->space->n; i++) block[i < axis ? i : i + 1] = w->axis[i];
        block[axis] = block[axis + 1] = w->axis[axis];
        w->axis = block;
    }
    if (axis < w->rank) w->rank++;
    w->space = to;
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
