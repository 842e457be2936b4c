/* list.c: scatters turned round: which positions add to an element, as lists.
 *
 *     out[b,h,t] = sum over c, i where key[b,h,c,i] == t of body      (scat)
 *
 * A kernel that walks c, i and adds to out[key] can be cut only along axes that the key doesn't
 * replace, and nothing can be computed with out before all of it is there. With a list of positions
 * per (b, h, t), made once per key by a counting sort, t is an axis like others: an element is the
 * sum over its list, in rising order of positions.
 *
 *     first[u, t]   where t's positions begin in slot[u]; u: the axes that the key reads and keeps
 *     slot[u, p]    positions as row-major numbers of the summed axes, for t = 0, 1, ... in turn
 */
#include "codegen/emit.h"

enum { ROWS = 256 }; /* summed in float before a double takes over */

/* ---- the list of a key ---- */

/* Axes of the scatter in the order in which the key's tensor has them, so that scatters by one
 * tensor share a list: those it keeps, then those that are summed. */
static int order_axes(const Node *n, const Ix *key, int8_t *axis, int *nkept)
{
    uint64_t left = key->axes | (((1ull << n->space->n) - 1) & ~((1ull << n->rank) - 1));
    int8_t seen[MAX_AXES];
    int k = 0, m = 0;
    for (int i = 0; i < key->nterm; i++)
        for (int j = 0; j < key->t[i].n; j++) {
            const Atom *f = key->t[i].f[j];
            for (int d = 0; f->kind == AT_LOAD && d < f->load.map->n; d++) {
                int x = ix_bare_axis(f->load.map->ix[d]);
                if (x >= 0 && left >> x & 1) seen[m++] = (int8_t)x, left &= ~(1ull << x);
            }
        }
    for (int x = 0; x < n->space->n; x++)
        if (left >> x & 1) seen[m++] = (int8_t)x;
    for (int i = 0; i < m; i++)
        if (seen[i] < n->rank) axis[k++] = seen[i];
    *nkept = k;
    for (int i = 0; i < m; i++)
        if (seen[i] >= n->rank) axis[k++] = seen[i];
    return k;
}

static bool same_when(const List *l, const When *when, int n)
{
    bool same = l->nwhen == n;
    for (int i = 0; same && i < n; i++)
        same = edge_eq(l->when[i].cond, when[i].cond) && l->when[i].value == when[i].value;
    return same;
}

/* Positions that a list is over: those of the summed axes. */
static const Ix *positions_of(Graph *g, const List *l)
{
    return space_count(g, space_slice(g, l->space, l->nkept, l->space->n));
}

static int int_buffer(Planner *pl, const Space *shape)
{
    return plan_add_buffer(pl, (PlanBuffer){.cls = PB_TEMP, .dt = DT_INT}, shape);
}

static List *new_list(Planner *pl, const List *like)
{
    Graph *g = pl->g;
    List *l = arena_copy(pl->a, like, sizeof *like);
    const Ix *ext[MAX_AXES];
    for (int i = 0; i < l->nkept; i++) ext[i] = l->space->ext[i];
    ext[l->nkept] = ix_add(g, l->ext, ix_const(g, 1));
    l->first = int_buffer(pl, space_make(g, l->nkept + 1, ext));
    ext[l->nkept] = positions_of(g, l);
    l->slot = int_buffer(pl, space_make(g, l->nkept + 1, ext));
    int8_t *block = NEW_N(pl->a, int8_t, l->space->n + 1);
    for (int i = 0; i < l->space->n; i++) block[i] = (int8_t)(i < l->nkept ? i : -1);
    Work w = {.op = OP_stop,
              .space = l->space,
              .rank = l->nkept,
              .e = graph_int(g, 0),
              .axis = block,
              .dt = DT_INT,
              .buf = l->first,
              .list = l,
              .makes_list = true};
    plan_step(pl, &(WorkList){1, &w, space_slice(g, l->space, 0, l->nkept)}, "positions by key");
    vec_push(pl->a, &pl->lists, l);
    return l;
}

const List *plan_list(Planner *pl, const Node *scat)
{
    Graph *g = pl->g;
    int keyed = scat_listed(scat);
    const Ix *key = scat->attr.key[keyed], *ext[MAX_AXES], *ix[MAX_AXES];
    List l = {.ext = scat->space->ext[keyed]};
    int8_t axis[MAX_AXES];
    int n = order_axes(scat, key, axis, &l.nkept);
    for (int i = 0; i < scat->space->n; i++) ix[i] = ix_const(g, 0);
    for (int i = 0; i < n; i++) ext[i] = scat->space->ext[axis[i]], ix[axis[i]] = ix_axis(g, i);
    l.space = space_make(g, n, ext);
    l.key = ix_subst(g, key, map_make(g, scat->space->n, ix), l.space);
    l.when = pl->group ? pl->group->when.v : NULL, l.nwhen = pl->group ? pl->group->when.n : 0;
    memcpy(l.axis, axis, sizeof l.axis);
    for (int i = 0; i < pl->lists.n; i++) {
        List *o = pl->lists.v[i];
        if (o->key != l.key || o->space != l.space || o->ext != l.ext || o->nkept != l.nkept)
            continue;
        if (!same_when(o, l.when, l.nwhen)) continue;
        List *own = arena_copy(pl->a, o, sizeof *o);
        memcpy(own->axis, axis, sizeof own->axis);
        return own;
    }
    return new_list(pl, &l);
}

/* A counting sort: numbers per key, where each begins, positions in rising order. */
void emit_list(Emit *e, const Work *w)
{
    Graph *g = e->g;
    const List *l = w->list;
    const char *ext = emit_int(e, l->ext), *first = emit_buffer(e, l->first, true),
               *slot = emit_buffer(e, l->slot, true);
    const Space *kept = space_slice(g, l->space, 0, l->nkept);
    const Ix *count = positions_of(g, l), *row = row_major(g, kept);
    for (int pass = 0; pass < 2; pass++) {
        Nest n;
        nest_open(&n, e, w);
        Val f = ix_val(&n, ix_mul(g, row, ix_add(g, l->ext, ix_const(g, 1))), 0, true);
        nest_code(&n, 1, "int *const first = %s + %s;\n", first, f.s);
        if (pass == 0) {
            nest_code(&n, 1, "for (int t = 0; t <= %s; t++) first[t] = 0;\n", ext);
            nest_tail(&n, 1, "for (int t = 0; t < %s; t++) first[t + 1] += first[t];\n", ext);
        } else {
            Val s = ix_val(&n, ix_mul(g, row, count), 0, true);
            nest_code(&n, 1, "int *const slot = %s + %s;\nint r = 0;\n", slot, s.s);
            nest_tail(&n, 1, "for (int t = (int)%s; t > 0; t--) first[t] = first[t - 1];\n", ext);
            nest_tail(&n, 1, "first[0] = 0;\n");
        }
        for (int i = l->nkept; i < l->space->n; i++) nest_loop(&n, i, false);
        Val k = ix_val(&n, l->key, 0, false);
        if (pass == 0)
            nest_code(&n, n.depth, "if ((unsigned)%s < (unsigned)%s) first[%s + 1]++;\n", k.s, ext,
                      k.s);
        else
            nest_code(&n, n.depth,
                      "if ((unsigned)%s < (unsigned)%s) slot[first[%s]++] = r;\nr++;\n", k.s, ext,
                      k.s);
        nest_close(&n);
    }
}

/* ---- sums over lists ---- */

/* The element's list, as names at the innermost depth so far: slot[from] .. slot[end - 1]. */
typedef struct {
    const char *from, *end, *slot;
} Bounds;

static Bounds bounds(Nest *n, const Work *w)
{
    Emit *e = n->e;
    Graph *g = e->g;
    const List *l = w->list;
    const Ix *at = ix_const(g, 0);
    for (int i = 0; i < l->nkept; i++)
        at = ix_add(g, ix_mul(g, at, l->space->ext[i]), w->pos->ix[l->axis[i]]);
    const Ix *first = ix_add(g, ix_mul(g, at, ix_add(g, l->ext, ix_const(g, 1))),
                             w->pos->ix[scat_listed(w->node)]);
    Val f = ix_val(n, first, 0, true), s = ix_val(n, ix_mul(g, at, positions_of(g, l)), 0, true);
    Bounds r = {.from = emit_name(e, 'q')};
    r.slot = emit_name(e, 'q'), r.end = emit_name(e, 'q');
    const char *b = emit_buffer(e, l->first, false);
    nest_code(n, n->depth, "const int %s = %s[%s], %s = %s[%s + 1];\n", r.from, b, f.s, r.end, b,
              f.s);
    nest_code(n, n->depth, "const int *const %s = %s + %s;\n", r.slot,
              emit_buffer(e, l->slot, false), s.s);
    return r;
}

/* Positions of the summed axes from the row-major number r, the last axis fastest. */
static void positions(Nest *n, const Work *w, const char *r)
{
    const List *l = w->list;
    for (int i = l->space->n - 1; i >= l->nkept; i--) {
        const char *x = emit_name(n->e, 'i'), *ext = emit_int_arg(n->e, l->space->ext[i]);
        if (i == l->nkept) {
            nest_code(n, n->depth, "const int %s = %s;\n", x, r);
        } else {
            const char *rest = emit_name(n->e, 'q');
            nest_code(n, n->depth, "const int %s = %s %% (int)%s, %s = %s / (int)%s;\n", x, r, ext,
                      rest, r, ext);
            r = rest;
        }
        nest_bind(n, l->axis[i] + w->rank - w->out, x); /* out axes may have been split */
    }
}

/* for q in from .. end by ROWS: for p in q .. : position p of the list */
static void open_list(Nest *n, const Work *w, const Bounds *b, const char *before,
                      const char *after)
{
    Arena *a = n->e->a;
    const char *q = emit_name(n->e, 'q'), *p = emit_name(n->e, 'q'), *r = emit_name(n->e, 'q');
    nest_head(
        n, arena_printf(a, "for (int %s = %s; %s < %s; %s += %d)", q, b->from, q, b->end, q, ROWS));
    nest_code(n, n->depth, "%s", before);
    nest_tail(n, n->depth, "%s", after);
    nest_head(n, arena_printf(a, "for (int %s = %s; %s < rtc_least(%s, %s + %d); %s++)", p, q, p,
                              b->end, q, ROWS, p));
    nest_code(n, n->depth, "const int %s = %s[%s];\n", r, b->slot, p);
    positions(n, w, r);
}

static void listed_scalar(Emit *e, const Work *w)
{
    Arena *a = e->a;
    bool real = w->dt == DT_FLOAT;
    const char *acc = emit_name(e, 'a'), *total = emit_name(e, 'a');
    Nest n;
    nest_open(&n, e, w);
    open_out(&n, w, NO_LANE, -1);
    int outer = n.depth;
    Bounds list = bounds(&n, w);
    nest_code(&n, outer, "%s %s = 0;\n", real ? "double" : "unsigned", total);
    open_list(&n, w, &list, arena_printf(a, "%s %s = 0;\n", real ? "float" : "unsigned", acc),
              arena_printf(a, "%s += %s;\n", total, acc));
    Val v = edge_val(&n, w->e, 0);
    nest_code(&n, n.depth, "%s += %s;\n", acc, v.s);
    Val to = emit_target(&n, w);
    nest_tail(&n, outer, "%s = %s%s;\n", to.s, real ? "(float)" : "(int)", total);
    nest_close(&n);
}

static void listed_lanes(Emit *e, const Work *w, int lane)
{
    Arena *a = e->a;
    bool real = w->dt == DT_FLOAT;
    const char *type = real ? "float" : "unsigned", *wide = real ? "double" : "unsigned";
    const char *acc = emit_name(e, 'a'), *total = emit_name(e, 'a');
    Nest n;
    nest_open(&n, e, w);
    open_out(&n, w, lane, -1);
    Bounds list = bounds(&n, w);
    int size;
    const char *count = open_chunks(&n, lane, &size);
    int outer = n.depth;
    nest_code(&n, outer, "%s %s[%d];\n%s %s[%d];\n%s", type, acc, size, wide, total, size,
              lanes_text(e, count, arena_printf(a, "%s[l] = 0;", total)));
    open_list(&n, w, &list, lanes_text(e, count, arena_printf(a, "%s[l] = 0;", acc)),
              lanes_text(e, count, arena_printf(a, "%s[l] += %s[l];", total, acc)));
    inner_lanes(&n, lane, count);
    Val v = edge_val(&n, w->e, 0);
    nest_code(&n, n.depth, "%s[l] += %s;\n", acc, v.s);
    Val to = emit_target(&n, w);
    const char *result = arena_printf(a, "%s = (%s)%s[l];", to.s, real ? "float" : "int", total);
    nest_tail(&n, outer, "%s", lanes_text(e, count, result));
    nest_close(&n);
}

void emit_listed(Emit *e, const Work *w)
{
    int lane = best_lane(e, w, NULL);
    if (lane >= 0)
        listed_lanes(e, w, lane);
    else
        listed_scalar(e, w);
}
