/* group_pieces.c: which kept nodes run in a loop over pieces of an axis, so that what is only
 * needed between them never exists whole:
 *
 *   u[t,f] = product of x, w1      for every piece of t: u, a of the piece,
 *   a[t,f] = gelu(u)                                     y written at its place
 *   y[t,d] = product of a, w2      u, a: buffers for one piece
 *
 * A schedule, nothing else: any set of nodes may run so that reads each other's values only at the
 * own position of the axis, and sums over it in the end (a weight's gradient is added up piece by
 * piece). pieces_make finds the axis and the members among the nodes it is given; here these are
 * the nodes of a chunk region in one phase.
 *
 * Two members can't be in one loop if a third value lies between them that needs all of the first;
 * they get a *level* each, and every level is a loop.
 */
#include "passes/group.h"

typedef struct {
    Grouper *w;
    const Ix *extent;
    Ints nodes;  /* candidates, by rising id */
    int *class;  /* union-find over (node id, axis) */
    int8_t *cut; /* by node id: axis of its space in the class chosen; -1: none */
    int *level;  /* by node id */
} Finder;

/* ---- axes that are walked together ---- */

static int find(int *class, int x)
{
    while (class[x] != x) x = class[x] = class[class[x]];
    return x;
}

static bool of_extent(const Finder *f, const Ix *ext)
{
    return ix_proves_eq(f->w->g, ext, f->extent);
}

static void unite_axes(Finder *f)
{
    for (int i = 0; i < f->nodes.n; i++) {
        const Node *n = f->w->g->nodes.v[f->nodes.v[i]];
        const Reads *r = &f->w->reads[n->id];
        for (int k = 0; k < r->n; k++)
            for (int d = 0; d < r->v[k].map->n; d++) {
                int x = ix_bare_axis(r->v[k].map->ix[d]);
                const Node *from = r->v[k].node;
                if (x < 0 || !of_extent(f, n->space->ext[x]) || !of_extent(f, from->space->ext[d]))
                    continue;
                f->class[find(f->class, n->id * MAX_AXES + x)] =
                    find(f->class, from->id * MAX_AXES + d);
            }
    }
}

static void separate(int *class, int id)
{
    for (int x = 0; x < MAX_AXES; x++) class[id * MAX_AXES + x] = id * MAX_AXES + x;
}

static void separate_axes(Finder *f)
{
    for (int i = 0; i < f->nodes.n; i++) {
        const Reads *r = &f->w->reads[f->nodes.v[i]];
        separate(f->class, f->nodes.v[i]);
        for (int k = 0; k < r->n; k++) separate(f->class, r->v[k].node->id);
    }
}

/* May the loop compute n for some positions of the axis, or sum it up over them? Scatters walk all
 * that they sum, or lists of it. */
static bool can_cut(const Node *n, int axis)
{
    if (n->op == OP_scat) return false;
    return axis >= n->rank ? n->op == OP_sum : may_be_block(n, axis);
}

/* The axis of n in the class; -1 if it has none, or several. */
static int8_t axis_in(Finder *f, const Node *n, int root)
{
    int axis = -1;
    for (int x = 0; x < n->space->n; x++) {
        if (!of_extent(f, n->space->ext[x]) || find(f->class, n->id * MAX_AXES + x) != root)
            continue;
        if (axis >= 0) return -1;
        axis = x;
    }
    return (int8_t)(axis >= 0 && can_cut(n, axis) ? axis : -1);
}

/* Of the classes of axes that are out axes of the largest candidates: the one that cuts most. */
static int best_class(Finder *f)
{
    Graph *g = f->w->g;
    double most = 0;
    int best = -1;
    for (int i = 0; i < f->nodes.n; i++) {
        const Node *n = g->nodes.v[f->nodes.v[i]];
        for (int x = 0; x < n->rank; x++) {
            int root = find(f->class, n->id * MAX_AXES + x);
            double bytes = 0;
            if (root == best || !of_extent(f, n->space->ext[x])) continue;
            for (int k = 0; k < f->nodes.n; k++) {
                const Node *m = g->nodes.v[f->nodes.v[k]];
                int axis = axis_in(f, m, root);
                if (axis >= 0 && axis < m->rank) bytes += bytes_at(m, f->w->syms);
            }
            if (bytes <= most) continue;
            most = bytes;
            best = root;
        }
    }
    return best;
}

/* ---- levels ---- */

/* Does `reader` read r at the own position of the axis, of what the loop has computed by then? */
static bool own_position(const Finder *f, const Node *reader, const Read *r)
{
    int from = f->cut[r->node->id], to = f->cut[reader->id];
    return to >= 0 && from >= 0 && from < r->node->rank && ix_bare_axis(r->map->ix[from]) == to;
}

static void raise_levels(Finder *f)
{
    Grouper *w = f->w;
    for (int i = 0; i < w->g->nodes.n; i++) {
        if (!w->kept[i]) continue;
        const Node *n = w->g->nodes.v[i];
        for (int k = 0; k < w->reads[i].n; k++) {
            const Read *r = &w->reads[i].v[k];
            int from = f->level[r->node->id];
            if (f->cut[r->node->id] >= 0 && !own_position(f, n, r)) from++;
            if (from > f->level[i]) f->level[i] = from;
        }
    }
}

/* What another loop computes is there when all of that loop has run. */
static bool level_loops(Finder *f)
{
    Grouper *w = f->w;
    int *most = NEW_N(w->a, int, w->loops.n + 1);
    bool changed = false;
    for (int i = 0; i < w->g->nodes.n; i++)
        if (w->loop[i] >= 0 && f->level[i] > most[w->loop[i]]) most[w->loop[i]] = f->level[i];
    for (int i = 0; i < w->g->nodes.n; i++) {
        if (w->loop[i] < 0 || f->level[i] == most[w->loop[i]]) continue;
        f->level[i] = most[w->loop[i]];
        changed = true;
    }
    return changed;
}

static bool find_levels(Finder *f)
{
    enum { MOST_ROUNDS = 64 };
    for (int i = 0; i < MOST_ROUNDS; i++) {
        raise_levels(f);
        if (!level_loops(f)) return true;
    }
    return false;
}

/* ---- loops ---- */

static bool in_level(const Finder *f, int id, int level)
{
    return f->cut[id] >= 0 && f->level[id] == level;
}

/* Do only members of its level read the value? */
static bool stays_inside(const Finder *f, int id)
{
    const Grouper *w = f->w;
    bool inside =
        f->cut[id] >= 0 && f->cut[id] < w->g->nodes.v[id]->rank && !w->root[id] && w->readers[id].n;
    for (int k = 0; inside && k < w->readers[id].n; k++)
        inside = in_level(f, w->readers[id].v[k], f->level[id]);
    return inside;
}

/* Is there a value that only the level's members read? */
static bool saves_memory(const Finder *f, int level)
{
    for (int i = 0; i < f->nodes.n; i++)
        if (in_level(f, f->nodes.v[i], level) && stays_inside(f, f->nodes.v[i])) return true;
    return false;
}

static void add_loop(Finder *f, int level, const Ix *size)
{
    Grouper *w = f->w;
    vec_push(w->a, &w->loops, (Pieces){-1, -1, f->extent, size});
    for (int i = 0; i < f->nodes.n; i++) {
        int id = f->nodes.v[i];
        if (!in_level(f, id, level)) continue;
        w->loop[id] = w->loops.n - 1;
        w->cut[id] = f->cut[id];
    }
}

bool pieces_make(Grouper *w, Ints nodes, const Ix *extent, const Ix *size, int *class,
                 const Node *must)
{
    int n = w->g->nodes.n, most = 0;
    Finder f = {.w = w, .extent = extent, .nodes = nodes, .class = class};
    f.cut = NEW_N(w->a, int8_t, n);
    f.level = NEW_N(w->a, int, n);
    memset(f.cut, -1, (size_t)n);
    unite_axes(&f);
    int root = best_class(&f);
    for (int i = 0; i < nodes.n && root >= 0; i++)
        f.cut[nodes.v[i]] = axis_in(&f, w->g->nodes.v[nodes.v[i]], root);
    separate_axes(&f);
    if (root < 0 || !find_levels(&f)) return false;
    for (int i = 0; i < nodes.n; i++)
        if (f.cut[nodes.v[i]] >= 0 && f.level[nodes.v[i]] > most) most = f.level[nodes.v[i]];
    if (must && (most > 0 || !stays_inside(&f, must->id))) return false;
    for (int level = 0; level <= most; level++)
        if (saves_memory(&f, level)) add_loop(&f, level, size);
    return true;
}

/* ---- chunk regions ---- */

static void chunk_regions(Grouper *w, int *class)
{
    Graph *g = w->g;
    Ints *nodes = NEW_N(w->a, Ints, (size_t)g->regions.n * 2);
    for (int i = 0; i < g->nodes.n; i++) {
        int q = chunk_around(g, g->nodes.v[i]->region);
        if (!w->kept[i] || !q || w->phase[i] == PHASE_UPDATE) continue;
        vec_push(w->a, &nodes[2 * q + (w->phase[i] == PHASE_BACKWARD)], i);
    }
    for (int q = 1; q < g->regions.n; q++)
        for (int late = 0; late < 2; late++) {
            const Region *r = &g->regions.v[q];
            if (!nodes[2 * q + late].n) continue;
            const Ix *up = ix_add(g, r->chunk_extent, ix_sub(g, r->chunks, ix_const(g, 1)));
            pieces_make(w, nodes[2 * q + late], r->chunk_extent, ix_div(g, up, r->chunks, NULL),
                        class, NULL);
        }
}

void group_pieces(Grouper *w)
{
    Graph *g = w->g;
    w->loop = NEW_N(w->a, int, g->nodes.n);
    w->cut = NEW_N(w->a, int8_t, g->nodes.n);
    for (int i = 0; i < g->nodes.n; i++) w->loop[i] = w->cut[i] = -1;
    if (w->unfused) return;
    int *class = NEW_N(w->a, int, (size_t)g->nodes.n *MAX_AXES);
    for (int i = 0; i < g->nodes.n; i++) separate(class, i);
    chunk_regions(w, class);
    group_large(w, class);
}

void pieces_close(Grouper *w, int loop)
{
    int n = w->clusters.n, words = (n + 63) / 64;
    uint64_t *own = NEW_N(w->a, uint64_t, words), *reach = NEW_N(w->a, uint64_t, words);
    for (int i = 0; i < n; i++) {
        if (w->leader[i] != i || w->clusters.v[i].loop != loop) continue;
        set_bit(own, i);
        for (int j = 0; j < words; j++) reach[j] |= w->reach[i][j];
    }
    for (int j = 0; j < words; j++) reach[j] &= ~own[j];
    for (int i = 0; i < n; i++) {
        bool inside = w->clusters.v[i].loop == loop, before = false;
        for (int j = 0; j < words; j++) before |= (w->reach[i][j] & own[j]) != 0;
        for (int j = 0; j < words && (inside || before); j++)
            w->reach[i][j] = (inside ? 0 : w->reach[i][j] | own[j]) | reach[j];
    }
}
