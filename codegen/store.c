/* store.c: a value that a reduction reads next, element by element, is stored in the reduction's
 * loops. Contract: emit.h.
 *
 *   for i: for l: y[i,l] = f(x[i,l])           for i: for l: v = f(x[i,l])
 *   for i: for l: sum[l] += y[i,l]        ->                 y[i,l] = v, sum[l] += v
 *
 * The value is read where it is made: one pass over memory, not two.
 */
#include "codegen/emit.h"

/* Which axis of the reduction walks each axis of the value; NULL: not one to one. */
static const Map *walked_by(Emit *e, const Work *value, const Work *red)
{
    Graph *g = e->g;
    int n = value->space->n;
    const Ix *by[MAX_AXES] = {0};
    uint64_t taken = 0;
    if (n != red->space->n) return NULL;
    for (int i = 0; i < value->out; i++) { /* in a loop over pieces: off + axis */
        const Ix *own = value->pos->ix[i], *read = red->e.map->ix[i], *step, *rest;
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n && own->axes >> a & 1 && !by[a]; b++) {
                if (!ix_affine(g, read, b, &step, &rest) || !ix_is(step, 1) || taken >> b & 1)
                    continue;
                by[a] = ix_axis(g, b), taken |= 1ull << b;
            }
    }
    for (int a = 0; a < n; a++)
        if (!by[a]) return NULL;
    return map_make(g, n, by);
}

static bool may_store(Emit *e, const Work *value, const Work *red)
{
    Graph *g = e->g;
    bool apt = value->op == OP_stop && value->buf >= 0 && is_light(value->node) && !value->list &&
               op_info[red->op].cls == CLASS_REDUCE && !red->list && !red->limit &&
               red->e.node == value->node && !find_tile(e, red, &(Tile){0});
    const Map *by = apt ? walked_by(e, value, red) : NULL;
    if (!by || map_subst(g, value->pos, by, red->space) != red->e.map) return false;
    for (int a = 0; a < by->n; a++) {
        int b = ix_bare_axis(by->ix[a]);
        int own = value->axis ? value->axis[a] : -1, other = red->axis ? red->axis[b] : -1;
        if (own != other || !ix_proves_eq(g, value->space->ext[a], red->space->ext[b]))
            return false;
    }
    return true;
}

bool join_store(Emit *e, const Work *value, Work *red)
{
    if (!may_store(e, value, red)) return false;
    double apart = least_cost(e, value) + least_cost(e, red);
    red->stores = value;
    if (least_cost(e, red) < apart) return true;
    red->stores = NULL;
    return false;
}

/* The value's member, over the reduction's axes. */
static Work within(const Work *red)
{
    Work to = *red->stores;
    to.space = red->space, to.pos = red->e.map;
    return to;
}

const Ix *stored_address(const Emit *e, const Work *red)
{
    Work to = within(red);
    return store_address(e, &to, -1, false);
}

void store_on_the_way(Nest *n, const Work *red, Val v)
{
    Work to = within(red);
    Val place = emit_target(n, &to);
    nest_code(n, n->depth, "%s = %s;\n", place.s, as_type(n, v, to.dt).s);
}
