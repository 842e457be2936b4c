/* loops.c: one kernel from the works of a group. Contract: emit.h. */
#include "codegen/emit.h"

/* Lanes per block: memory likes long runs, private arrays and their cache short ones. */
static const int tiles[] = {512, 256, 128, LANES, LANES / 2, LANES / 4};
enum { SHORT_TILES = 3 }; /* from here on: for blocks with private arrays */

static const double SCRATCH_LIMIT = 256e3, SPILL = 2, FEW_BLOCKS = 8, LAUNCH = 1 << 15,
                    TILED = 0.25; /* a multiplication in registers, in scalar operations */

/* ---- blocks ---- */

static const Ix *blocks_along(Emit *e, int b)
{
    Graph *g = e->g;
    const Ix *ext = e->block->ext[b];
    if (b != e->tile) return ext;
    return ix_div(g, ix_add(g, ext, ix_const(g, e->tile_lanes - 1)), ix_const(g, e->tile_lanes),
                  NULL);
}

static const Ix *block_count(Emit *e)
{
    const Ix *blocks = ix_const(e->g, 1);
    for (int b = 0; b < e->block->n; b++) blocks = ix_mul(e->g, blocks, blocks_along(e, b));
    return blocks;
}

/* ---- private arrays ---- */

static bool has_inner(const Work *w)
{
    for (int i = 0; i < w->space->n; i++)
        if (!w->axis || w->axis[i] < 0) return true;
    return false;
}

/* A scatter with its keyed axis in the block is a sum over lists. */
static void start_scat(Emit *e, Work *w)
{
    int keyed = scat_listed(w->node);
    if (keyed < 0 || !w->axis || w->axis[keyed] < 0) {
        w->key = w->node->attr.key;
        return;
    }
    w->op = OP_sum, w->list = plan_list(e->pl, w->node);
}

/* The works as they are before any axis is split. */
static void start_works(Emit *e, const WorkList *wl)
{
    for (int i = 0; i < wl->n; i++) {
        Work *w = &wl->w[i];
        w->out = w->rank, w->own_axis = w->axis, w->last = -1;
        if (!w->pos) w->pos = map_identity(e->g, w->rank);
        if (w->op == OP_scat) start_scat(e, w);
        for (int k = 0; w->axis && k < w->rank; k++)
            if (w->axis[k] >= 0) w->block_pos[w->axis[k]] = w->pos->ix[k];
    }
}

/* Strides of every private member for the current tile, over the node's own axes. */
static void lay_out_private(Emit *e, const WorkList *wl)
{
    Graph *g = e->g;
    e->priv.n = 0;
    const Ix *lanes = ix_const(g, e->tile >= 0 ? e->tile_lanes : 1);
    for (int i = 0; i < wl->n; i++) {
        Work *w = &wl->w[i];
        if (w->buf >= 0) continue;
        Private p = {.node = w->node, .axis = w->own_axis, .number = e->priv.n};
        const Ix *size = lanes;
        p.scalar = e->tile < 0;
        for (int k = w->out; k >= 0; k--) { /* w->last first, then the others from the last on */
            int axis = k == w->out ? w->last : k;
            if (axis < 0 || (k < w->out && k == w->last)) continue;
            if (w->own_axis && w->own_axis[axis] >= 0) continue;
            p.stride[axis] = size, p.scalar = false;
            bool cut = w->piece && axis == w->cut;
            if (cut) p.start = ix_mul(g, w->piece->off, size);
            size = ix_mul(g, size, cut ? w->piece->size : w->node->space->ext[axis]);
        }
        p.count = ix_add(g, ix_sub(g, size, lanes), ix_const(g, 1));
        p.bytes = ix_scale(g, size, 4);
        vec_push(e->a, &e->priv, p);
    }
    int k = 0;
    for (int i = 0; i < wl->n; i++)
        if (wl->w[i].buf < 0)
            wl->w[i].priv = &e->priv.v[k], wl->w[i].stride = e->priv.v[k].stride,
            wl->w[i].start = e->priv.v[k].start, k++;
}

/* ---- what members cost ---- */

typedef struct {
    int tile, lanes;
    const int8_t *last; /* by number of a private array; -1 where the member doesn't touch it */
    double cost;
} KnownCost;

/* A member's costs so far. They depend on the tile and on the layouts of the private arrays that it
 * makes or reads; the search below changes one of these at a time. */
typedef struct CostMemo {
    bool *touches; /* by number of a private array */
    VEC(KnownCost) known;
} CostMemo;

static void start_costs(Emit *e, const WorkList *wl)
{
    e->costs = NEW_N(e->a, CostMemo, wl->n + 1);
    for (int i = 0; i < wl->n; i++) {
        e->costs[i].touches = NEW_N(e->a, bool, e->priv.n + 1);
        private_reads(e, &wl->w[i], e->costs[i].touches);
        if (wl->w[i].buf < 0) e->costs[i].touches[wl->w[i].priv->number] = true;
    }
}

static double member_cost(Emit *e, const WorkList *wl, int at)
{
    CostMemo *m = &e->costs[at];
    int8_t *last = NEW_N(e->a, int8_t, e->priv.n + 1);
    memset(last, -1, (size_t)e->priv.n);
    for (int i = 0; i < wl->n; i++)
        if (wl->w[i].buf < 0 && m->touches[wl->w[i].priv->number])
            last[wl->w[i].priv->number] = (int8_t)wl->w[i].last;
    for (int i = 0; i < m->known.n; i++)
        if (m->known.v[i].tile == e->tile && m->known.v[i].lanes == e->tile_lanes &&
            !memcmp(m->known.v[i].last, last, (size_t)e->priv.n))
            return m->known.v[i].cost;
    double cost = least_cost(e, &wl->w[at]);
    vec_push(e->a, &m->known, (KnownCost){e->tile, e->tile_lanes, last, cost});
    return cost;
}

/* ---- which block axis is cut into lanes ---- */

static double whole_cost(Emit *e, const WorkList *wl)
{
    double cost = 0, scratch = 0;
    lay_out_private(e, wl);
    for (int i = 0; i < e->priv.n; i++) scratch += hinted(e->pl, e->priv.v[i].bytes);
    for (int i = 0; i < wl->n; i++) cost += member_cost(e, wl, i);
    if (cost > LAUNCH) { /* too few blocks leave cores idle */
        double blocks = hinted(e->pl, block_count(e));
        if (blocks < FEW_BLOCKS) cost *= FEW_BLOCKS / blocks;
    }
    return scratch > SCRATCH_LIMIT ? cost * SPILL : cost;
}

/* The one change of a private array's contiguous axis that gains most; false: none does. */
static bool improve_layout(Emit *e, const WorkList *wl, double *least)
{
    Work *best = NULL;
    int best_last = 0;
    for (int i = 0; i < wl->n; i++) {
        Work *w = &wl->w[i];
        const int last = w->last;
        for (int k = 0; w->buf < 0 && k < w->out; k++) {
            if (k == last || (w->own_axis && w->own_axis[k] >= 0)) continue;
            w->last = k;
            double cost = whole_cost(e, wl);
            if (cost < *least) *least = cost, best = w, best_last = k;
        }
        w->last = last;
    }
    if (best) best->last = best_last;
    return best;
}

/* Which axis of each private array is contiguous: what suits the member that makes it. Where there
 * are products, what suits all members: these pack operands that lie wrongly, and care little. */
static void choose_layouts(Emit *e, const WorkList *wl)
{
    bool products = false;
    for (int i = 0; i < wl->n; i++)
        if (wl->w[i].buf < 0) wl->w[i].last = best_layout(e, &wl->w[i]);
    double least = whole_cost(e, wl);
    for (int i = 0; i < wl->n; i++) products |= find_tile(e, &wl->w[i], &(Tile){0});
    for (int i = 0; products && i < wl->n && improve_layout(e, wl, &least); i++)
        ;
}

/* Lanes of a tile would have lists of their own. */
static bool has_list(const WorkList *wl)
{
    for (int i = 0; i < wl->n; i++)
        if (wl->w[i].list) return true;
    return false;
}

static void choose_tile(Emit *e, const WorkList *wl)
{
    bool inner = false, private = false;
    for (int i = 0; i < wl->n; i++) {
        inner |= has_inner(&wl->w[i]);
        private |= wl->w[i].buf < 0;
    }
    int first = private ? SHORT_TILES : 0, end = private || inner ? COUNT(tiles) : 1;
    int best = -1, best_lanes = tiles[first];
    e->tile = -1;
    double least = whole_cost(e, wl);
    for (int b = 0; b < e->block->n && !has_list(wl); b++)
        for (int k = first; k < end; k++) {
            e->tile = b, e->tile_lanes = tiles[k];
            double cost = whole_cost(e, wl);
            if (cost < least) least = cost, best = b, best_lanes = tiles[k];
        }
    e->tile = best, e->tile_lanes = best_lanes;
    lay_out_private(e, wl);
}

/* ---- the function around the members ---- */

/* Positions of the block, the last axis fastest. */
static void emit_positions(Emit *e, Str *out)
{
    int n = e->block->n;
    if (n > 1) str_add(out, "        int64_t at = block;\n");
    for (int b = n - 1; b >= 0; b--) {
        const char *from = n > 1 ? "at" : "block",
                   *ext = b ? emit_int_arg(e, blocks_along(e, b)) : NULL;
        const char *scale = b == e->tile ? arena_printf(e->a, " * %d", e->tile_lanes) : "";
        if (ext)
            str_printf(out, "        const int x%d = (int)(%s %% %s)%s;\n        at /= %s;\n", b,
                       from, ext, scale, ext);
        else
            str_printf(out, "        const int x%d = (int)%s%s;\n", b, from, scale);
        if (b == e->tile)
            str_printf(out, "        const int lanes = rtc_least((int)%s - x%d, %d);\n",
                       emit_int_arg(e, e->block->ext[b]), b, e->tile_lanes);
    }
}

static const char *whole_text(Emit *e, const Str *positions, const int *order)
{
    Str s = {.arena = e->a};
    str_add(&s, "void KERNEL(const rtc_args *restrict args, int64_t from, int64_t to, char "
                "*restrict scratch)\n{\n");
    for (int i = 0; i < e->buf.n; i++) {
        int k = order[i];
        const char *type = c_stored(e->pl->p->buffers.v[e->buf.v[k]].dt);
        str_printf(&s, "    %s%s *const restrict b%d = args->buf[%d];\n",
                   e->written.v[k] ? "" : "const ", type, k, i);
    }
    for (int i = 0; i < e->n.n; i++) str_printf(&s, "    const int64_t n%d = args->n[%d];\n", i, i);
    for (const char *line = e->top.s; line && *line;) {
        size_t len = strcspn(line, "\n");
        str_add(&s, "    ");
        str_addn(&s, line, len);
        str_add(&s, "\n");
        line += len + (line[len] != 0);
    }
    str_add(&s, "    (void)scratch;\n    for (int64_t block = from; block < to; block++) {\n");
    str_add(&s, positions->s ? positions->s : "");
    for (int i = 0; i < e->priv.n; i++)
        if (e->priv.v[i].scalar)
            str_printf(&s, "        %s s%d;\n", c_type(e->priv.v[i].node->dt), e->priv.v[i].number);
    str_add(&s, e->body.s ? e->body.s : "");
    str_add(&s, "    }\n}\n");
    return s.s;
}

/* ---- kernels of equal text are one ---- */

static int kernel_of(Planner *pl, const char *text, int nbuf, int nint, Loc loc)
{
    Plan *p = pl->p;
    uint64_t hash = hash_str(text);
    int k = pair_find(&pl->texts, (void *)(uintptr_t)hash, NULL, 0);
    if (k < 0 || strcmp(p->kernels.v[k].text, text)) {
        k = p->kernels.n;
        Kernel kn = {.name = arena_printf(pl->a, "k%d", k),
                     .text = arena_strdup(pl->a, text),
                     .hash = hash,
                     .nbuf = nbuf,
                     .nint = nint};
        vec_push(pl->a, &p->kernels, kn);
        pair_add(pl->a, &pl->texts, (void *)(uintptr_t)hash, NULL, 0, k);
    }
    Kernel *kn = &p->kernels.v[k];
    for (int i = 0; i < kn->lines.n; i++)
        if (!memcmp(&kn->lines.v[i], &loc, sizeof loc)) return k;
    if (loc.file) vec_push(pl->a, &kn->lines, loc);
    return k;
}

static double work_cost(Emit *e, const Work *w)
{
    Tile t;
    double c = find_tile(e, w, &t) ? TILED : op_info[w->op].cost + 1;
    return c * space_hint(e->pl, w->space);
}

/* Members one after another; returns scalar operations at the hinted sizes. */
static double emit_members(Emit *e, WorkList *wl)
{
    double cost = 0;
    start_works(e, wl);
    lay_out_private(e, wl);
    split_axes(e, wl);
    start_costs(e, wl);
    choose_layouts(e, wl);
    lay_out_private(e, wl);
    join_axes(e, wl);
    start_costs(e, wl);
    choose_tile(e, wl);
    for (int i = 0; i < e->priv.n; i++) {
        const Private *p = &e->priv.v[i];
        const char *type = c_type(p->node->dt);
        if (!p->scalar)
            str_printf(&e->top, "%s *const restrict s%d = (%s *)%s;\n", type, p->number, type,
                       emit_scratch(e, p->bytes));
    }
    for (int i = 0; i < wl->n; i++) {
        cost += work_cost(e, &wl->w[i]);
        if (i + 1 == wl->n || !join_store(e, &wl->w[i], &wl->w[i + 1])) emit_work(e, &wl->w[i]);
    }
    if (e->room)
        str_printf(&e->top, "float *const room = (float *)%s;\n", emit_scratch(e, e->room));
    return cost;
}

/* Buffers in the order of the kernel's arguments: the written ones first; how many those are. */
static int argument_order(const Emit *e, int *order)
{
    int k = 0, nwrite;
    for (int i = 0; i < e->buf.n; i++)
        if (e->written.v[i]) order[k++] = i;
    nwrite = k;
    for (int i = 0; i < e->buf.n; i++)
        if (!e->written.v[i]) order[k++] = i;
    return nwrite;
}

static Step step_of(Emit *e, double cost, Loc loc)
{
    Planner *pl = e->pl;
    Str positions = {.arena = e->a};
    emit_positions(e, &positions);
    int *order = NEW_N(e->a, int, e->buf.n + 1), nwrite = argument_order(e, order);
    int *buf = NEW_N(pl->a, int, e->buf.n + 1), *arg = NEW_N(pl->a, int, e->n.n + 1);
    for (int i = 0; i < e->buf.n; i++) buf[i] = e->buf.v[order[i]];
    for (int i = 0; i < e->n.n; i++) arg[i] = plan_int(pl, e->n.v[i]);
    const Ix *blocks = block_count(e);
    double nblocks = hinted(pl, blocks);
    const char *text = whole_text(e, &positions, order);
    return (Step){.kind = STEP_KERNEL,
                  .group = -1,
                  .nbuf = e->buf.n,
                  .nint = e->n.n,
                  .buf = buf,
                  .arg = arg,
                  .nwrite = nwrite,
                  .blocks = plan_int(pl, blocks),
                  .scratch = plan_int(pl, e->scratch),
                  .kernel = kernel_of(pl, text, e->buf.n, e->n.n, loc),
                  .cost = cost / (nblocks > 1 ? nblocks : 1),
                  .loc = loc};
}

Step loops_step(Planner *pl, const WorkList *given, Loc loc)
{
    Diag *d = pl->g->diag;
    Arena *work = diag_scratch(d); /* of this kernel alone */
    WorkList list = *given;
    Emit e = {.pl = pl, .g = pl->g, .a = work, .block = list.block, .tile = -1};
    e.scratch = ix_const(pl->g, 0);
    e.top.arena = e.body.arena = work;
    double cost = emit_members(&e, &list);
    Step s = step_of(&e, cost, loc);
    diag_scratch_end(d, work);
    return s;
}
