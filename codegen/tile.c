/* tile.c: sums of products as products of small matrices, in tiles of registers. Contract: emit.h.
 *
 *     c[m, n] = scale * sum over k of a[m, k] * b[k, n]          for every position of other axes
 *
 * n is the lane: the block's tile, or an inner out axis; only b moves with it. m are the inner out
 * axes that only a has, k all reduced axes. rtc_product (prelude/tile.h) takes the places of rows,
 * sums and lanes as tables of offsets, so every address that is a sum of a part of m, a part of k
 * and a part of n will do: strides, several axes in one, gathers. A b that isn't contiguous along
 * the lane is packed first, a c that isn't is spread from a contiguous piece.
 */
#include "codegen/emit.h"

enum { LEAST_ROWS = 4, LEAST_PACKED_ROWS = 8, MOST_LANES = 96, LEAST_LANES = 16 };

/* per multiplication, in contiguous accesses (lanes.c); per element that is packed or spread */
static const double MULTIPLY = 0.15, MOVE = 1.5, PER_LANES = 8, PER_ROWS = 4, PER_SUMS = 4;

/* ---- sets of axes, the last one fastest ---- */

static double mask_hint(Emit *e, const Work *w, uint64_t mask)
{
    double n = 1;
    for (int i = 0; i < w->space->n; i++)
        if (mask >> i & 1) n *= hinted(e->pl, w->space->ext[i]);
    return n;
}

static const Ix *mask_count(Emit *e, const Space *s, uint64_t mask)
{
    const Ix *n = ix_const(e->g, 1);
    for (int i = 0; i < s->n; i++)
        if (mask >> i & 1) n = ix_mul(e->g, n, s->ext[i]);
    return n;
}

static const Ix *mask_number(Emit *e, const Space *s, uint64_t mask)
{
    const Ix *at = ix_const(e->g, 0);
    for (int i = 0; i < s->n; i++)
        if (mask >> i & 1) at = ix_add(e->g, ix_mul(e->g, at, s->ext[i]), ix_axis(e->g, i));
    return at;
}

static int last_axis(uint64_t mask) { return 63 - __builtin_clzll(mask); }

/* ---- operands ---- */

/* The two factors and the constant one of a sum's body; false if it isn't a product. */
static bool factors(Emit *e, const Work *w, Edge *x, Edge *y, Edge *scale)
{
    Edge body = w->e;
    *scale = (Edge){0};
    for (int level = 0; level < 2; level++) {
        if (body.node->op != OP_mul || find_private(e, body.node)) return false;
        if (plan_buffer_of(e->pl, body.node) >= 0) return false;
        Edge p = edge_arg(e->g, body, 0, w->space), q = edge_arg(e->g, body, 1, w->space);
        bool constant = p.node->op == OP_const;
        if (!constant && q.node->op != OP_const) {
            *x = p, *y = q;
            return true;
        }
        if (scale->node) return false;
        *scale = constant ? p : q;
        body = constant ? q : p;
    }
    return false;
}

/* Positions that nothing proves inside are moved inside: memory is never left. */
static const Map *inside(Emit *e, const Work *w, Edge x)
{
    Graph *g = e->g;
    const Ix *ix[MAX_AXES], *zero = ix_const(g, 0), *one = ix_const(g, 1);
    for (int i = 0; i < x.map->n; i++) {
        const Ix *ext = x.node->space->ext[i];
        ix[i] = x.map->ix[i];
        if (!ix_proves_lt(g, ix[i], ext, w->space))
            ix[i] = ix_min(g, ix[i], ix_sub(g, ext, one), w->space);
        if (!ix_proves_ge0(g, ix[i], w->space)) ix[i] = ix_max(g, ix[i], zero, w->space);
    }
    return map_make(g, x.map->n, ix);
}

static bool read_operand(Emit *e, const Work *w, Edge x, TileOperand *o)
{
    *o = (TileOperand){.priv = find_private(e, x.node), .buf = -1};
    if (x.node->dt != DT_FLOAT || x.node == w->node) return false;
    if (o->priv) {
        check_own_block(e->g, w, o->priv, x.map);
        if (o->priv->scalar) return false;
        o->at = private_address(e->g, o->priv, inside(e, w, x));
        return true;
    }
    if (x.node->op == OP_const) return false;
    o->buf = plan_buffer_of(e->pl, x.node);
    if (o->buf >= 0) o->at = plan_address(e->pl, o->buf, inside(e, w, x));
    return o->buf >= 0;
}

static void written_operand(Emit *e, const Work *w, TileOperand *o)
{
    *o = (TileOperand){.priv = w->buf < 0 ? w->priv : NULL, .buf = w->buf};
    o->at = store_address(e, w, -1, false);
}

/* ---- parts of an address ---- */

static const Ix *term_ix(Graph *g, const Term *t, const Space *s)
{
    const Ix *ix = ix_const(g, t->coef);
    for (int i = 0; i < t->n; i++) ix = ix_mul(g, ix, atom_ix(g, t->f[i], s));
    return ix;
}

/* o->at as base + row + sum + lane; false if a term moves with two of the three. */
static bool split_address(Emit *e, const Work *w, const Tile *t, TileOperand *o)
{
    Graph *g = e->g;
    const uint64_t mask[3] = {t->rows, t->sums, t->lanes};
    const Ix *part[3], *zero = ix_const(g, 0);
    for (int k = 0; k < 3; k++) part[k] = zero;
    for (int i = 0; i < o->at->nterm; i++) {
        uint64_t axes = 0;
        int in = -1;
        for (int k = 0; k < o->at->t[i].n; k++) axes |= o->at->t[i].f[k]->axes;
        for (int k = 0; k < 3; k++) {
            if (!(axes & mask[k])) continue;
            if (in >= 0) return false;
            in = k;
        }
        if (in >= 0) part[in] = ix_add(g, part[in], term_ix(g, &o->at->t[i], w->space));
    }
    o->row = part[0], o->sum = part[1], o->lane = part[2];
    o->base = ix_sub(g, ix_sub(g, ix_sub(g, o->at, o->row), o->sum), o->lane);
    bool own_lanes = o->priv && t->tile;
    if (own_lanes && o->lane != zero) return false;
    o->contiguous = own_lanes || o->lane == mask_number(e, w->space, t->lanes);
    return true;
}

static bool moves(const Tile *t, const TileOperand *o)
{
    return (t->tile && o->priv) || o->at->axes & t->lanes;
}

/* ---- which product ---- */

/* Tables are made where the tile's position is known as a whole: not inside a plain loop over it.
 */
static bool tables_known(const Emit *e, const Work *w, const Tile *t)
{
    const TileOperand *all[] = {&t->a, &t->b, &t->c};
    int tile = e->tile >= 0 && !t->tile ? tile_axis_of(e, w) : -1;
    for (int i = 0; i < 3 && tile >= 0; i++)
        if ((all[i]->row->axes | all[i]->sum->axes | all[i]->lane->axes) >> tile & 1) return false;
    return true;
}

static double tile_cost(Emit *e, const Work *w, const Tile *t)
{
    double rows = mask_hint(e, w, t->rows), sums = mask_hint(e, w, t->sums);
    double lanes = mask_hint(e, w, t->lanes);
    if (t->tile && lanes > e->tile_lanes) lanes = e->tile_lanes;
    double cost =
        MULTIPLY * (1 + PER_LANES / lanes) * (1 + PER_ROWS / rows) * (1 + PER_SUMS / sums);
    if (!t->b.contiguous) cost += MOVE / rows;
    if (!t->c.contiguous) cost += MOVE / sums;
    return cost * space_hint(e->pl, w->space);
}

static uint64_t inner_axes(const Work *w)
{
    uint64_t inner = 0;
    for (int i = 0; i < w->rank; i++)
        if (!in_block(w, i)) inner |= 1ull << i;
    return inner;
}

/* Makes the product along t->lanes from operands that have their addresses. */
static bool along(Emit *e, const Work *w, Tile *t)
{
    bool swap = moves(t, &t->a);
    if (swap == moves(t, &t->b)) return false;
    if (swap) {
        TileOperand a = t->a;
        t->a = t->b, t->b = a;
    }
    t->rows = inner_axes(w) & t->a.at->axes & ~t->b.at->axes;
    t->sums = ((1ull << w->space->n) - 1) & ~((1ull << w->rank) - 1);
    if (!split_address(e, w, t, &t->a) || !split_address(e, w, t, &t->b)) return false;
    if (!split_address(e, w, t, &t->c) || !tables_known(e, w, t)) return false;
    if (mask_hint(e, w, t->rows) < (t->b.contiguous ? LEAST_ROWS : LEAST_PACKED_ROWS)) return false;
    t->cost = tile_cost(e, w, t);
    return true;
}

/* The cheapest product: along the tile, an inner axis, or all those that only one operand has. */
static bool best_tile(Emit *e, const Work *w, Tile *best)
{
    enum { TILE_SET, A_SET, B_SET, SETS };
    Tile t = {0};
    Edge x, y;
    *best = t;
    if (w->list || w->op != OP_sum || w->dt != DT_FLOAT || w->rank == w->space->n) return false;
    if (w->limit || w->more) return false;
    if (w->buf < 0 && (!w->priv || w->priv->scalar)) return false;
    if (!factors(e, w, &x, &y, &t.scale)) return false;
    if (!read_operand(e, w, x, &t.a) || !read_operand(e, w, y, &t.b)) return false;
    written_operand(e, w, &t.c);
    const uint64_t inner = inner_axes(w);
    const int tile = tile_axis_of(e, w);
    const uint64_t sets[SETS] = {tile >= 0 ? 1ull << tile : 0, inner & t.a.at->axes & ~t.b.at->axes,
                                 inner & t.b.at->axes & ~t.a.at->axes};
    for (int i = 0; i < SETS + w->rank; i++) {
        Tile one = t;
        one.lanes = i < SETS ? sets[i] : inner & 1ull << (i - SETS);
        one.tile = i == TILE_SET;
        if (!one.lanes || !along(e, w, &one)) continue;
        if (!best->lanes || one.cost < best->cost) *best = one;
    }
    return best->lanes != 0;
}

bool find_tile(Emit *e, const Work *w, Tile *t)
{
    double loops;
    if (!best_tile(e, w, t)) return false;
    best_lane(e, w, &loops);
    return t->cost < loops;
}

double least_cost(Emit *e, const Work *w)
{
    Tile t;
    double loops;
    best_lane(e, w, &loops);
    return best_tile(e, w, &t) && t.cost < loops ? t.cost : loops;
}

/* ---- tables of offsets ---- */

static const char *new_table(Emit *e, const Ix *count)
{
    const char *name = emit_name(e, 'o');
    str_printf(&e->top, "int64_t *const %s = (int64_t *)%s;\n", name,
               emit_scratch(e, ix_scale(e->g, count, 8)));
    return name;
}

/* for all positions of the axes, and with `tile` of the block's tile: NAME[at] = value */
static void fill_table(Emit *e, const Work *w, const char *name, const Ix *value, uint64_t axes,
                       const Ix *at, bool tile)
{
    Nest n;
    nest_open(&n, e, w);
    for (int i = 0; i < w->space->n; i++)
        if (axes >> i & 1) nest_loop(&n, i, false);
    if (tile) nest_tile_plain(&n);
    Val v = ix_val(&n, value, 0, true), to = ix_val(&n, at, 0, true);
    if (tile) to.s = strcmp(to.s, "0") ? arena_printf(e->a, "%s + t", to.s) : "t";
    nest_code(&n, n.depth, "%s[%s] = %s;\n", name, to.s, v.s);
    nest_close(&n);
}

/* ... in front of the blocks */
static void fill_before(Emit *e, const Space *s, const char *name, const Ix *value)
{
    const uint64_t all = (1ull << s->n) - 1;
    Str body = e->body;
    e->body = (Str){.arena = e->a};
    fill_table(e, &(Work){.space = s}, name, value, all, mask_number(e, s, all), false);
    for (const char *line = e->body.s; *line;) { /* one level less than in a block */
        size_t n = strcspn(line, "\n") + 1;
        str_addn(&e->top, line + 4, n - 4);
        line += n;
    }
    e->body = body;
}

static const char *known_table(const Emit *e, const Space *s, const Ix *value)
{
    int i = pair_find(&e->table_of, value, s, 0);
    return i < 0 ? NULL : e->table.v[i];
}

static const char *add_table(Emit *e, const Space *s, const Ix *value)
{
    const char *name = new_table(e, space_count(e->g, s));
    pair_add(e->a, &e->table_of, value, s, 0, e->table.n);
    vec_push(e->a, &e->table, name);
    return name;
}

/* Offsets that depend on sizes only. */
static const char *size_table(Emit *e, const Space *s, const Ix *value)
{
    const Ix *step, *rest;
    const char *name = known_table(e, s, value);
    if (name) return name;
    name = add_table(e, s, value);
    if (s->n == 1 && ix_affine(e->g, value, 0, &step, &rest))
        str_printf(&e->top, "rtc_steps(%s, %s, %s);\n", name, emit_extent(e, s->ext[0]),
                   emit_int(e, step));
    else
        fill_before(e, s, name, value);
    return name;
}

/* value over the axes in `own`, then those of the block: the same for members that number their
 * axes otherwise. Other axes don't occur. *s: the axes in `own`. */
static const Ix *renumbered(Emit *e, const Work *w, const Ix *value, uint64_t own, const Space **s)
{
    Graph *g = e->g;
    const Ix *ix[MAX_AXES], *ext[MAX_AXES];
    int n = 0;
    for (int i = 0; i < w->space->n; i++) {
        ix[i] = ix_const(g, 0);
        if (!(own >> i & 1)) continue;
        ext[n] = w->space->ext[i];
        ix[i] = ix_axis(g, n++);
    }
    *s = space_make(g, n, ext);
    for (int i = 0; i < w->space->n; i++)
        if (in_block(w, i)) ix[i] = ix_axis(g, n + w->axis[i]);
    const Space *all = space_concat(g, *s, e->block);
    return ix_subst(g, value, map_make(g, w->space->n, ix), all);
}

/* ... that members of a block may share: what is loaded for them was stored before the first. */
static const char *shared_table(Emit *e, const Work *w, const Ix *value, uint64_t own)
{
    const Space *s;
    const Ix *same = renumbered(e, w, value, own, &s);
    if (!value->loads && !(value->axes & ~own)) return size_table(e, s, same);
    const char *name = known_table(e, s, same);
    if (name) return name;
    name = add_table(e, s, same);
    fill_table(e, w, name, value, own, mask_number(e, w->space, own), false);
    return name;
}

/* Offsets along the axes in `own`: a pointer. Those that move with other inner axes have a row for
 * each position of these. */
static const char *table(Emit *e, const Work *w, const Ix *value, uint64_t own, Nest *n)
{
    const uint64_t other = value->axes & ~own & inner_axes(w);
    if (!other) return shared_table(e, w, value, own);
    const Ix *count = mask_count(e, w->space, own);
    const Ix *row = ix_mul(e->g, mask_number(e, w->space, other), count);
    const Ix *at = ix_add(e->g, row, mask_number(e, w->space, own));
    const char *name = new_table(e, ix_mul(e->g, mask_count(e, w->space, other), count));
    fill_table(e, w, name, value, own | other, at, false);
    return arena_printf(e->a, "%s + %s", name, ix_val(n, row, 0, true).s);
}

/* ... along the block's tile. */
static const char *tile_table(Emit *e, const Work *w, const Ix *value, Nest *n)
{
    const uint64_t other = value->axes & inner_axes(w);
    const Ix *count = ix_const(e->g, e->tile_lanes);
    const Ix *row = ix_mul(e->g, mask_number(e, w->space, other), count);
    const char *name = new_table(e, ix_mul(e->g, mask_count(e, w->space, other), count));
    fill_table(e, w, name, value, other, row, true);
    return other ? arena_printf(e->a, "%s + %s", name, ix_val(n, row, 0, true).s) : name;
}

/* ... along the lane. *first: what is part of the base instead. */
static const char *lane_table(Emit *e, const Work *w, const Tile *t, const TileOperand *o, Nest *n,
                              const Ix **first)
{
    Graph *g = e->g;
    const Ix *step, *rest;
    *first = ix_const(g, 0);
    if (!t->tile) return o->contiguous ? "RTC_CONTIGUOUS" : table(e, w, o->lane, t->lanes, n);
    if (ix_affine(g, o->lane, last_axis(t->lanes), &step, &rest) && !step->axes && !step->loads) {
        const Space *s = space_make(g, 1, (const Ix *[]){ix_const(g, e->tile_lanes)});
        *first = o->lane;
        return o->contiguous ? "RTC_CONTIGUOUS" : size_table(e, s, ix_mul(g, step, ix_axis(g, 0)));
    }
    return tile_table(e, w, o->lane, n);
}

/* ---- text ---- */

/* pointer, offsets of rows or sums, offsets of the other two */
static const char *operand_text(Emit *e, const Work *w, const Tile *t, const TileOperand *o,
                                Nest *n)
{
    const bool is_a = o == &t->a, is_c = o == &t->c;
    const Ix *first = ix_const(e->g, 0);
    const char *one =
        is_a || is_c ? table(e, w, o->row, t->rows, n) : table(e, w, o->sum, t->sums, n);
    const char *two = is_a ? table(e, w, o->sum, t->sums, n) : lane_table(e, w, t, o, n, &first);
    const char *p =
        o->priv ? arena_printf(e->a, "s%d", o->priv->number) : emit_buffer(e, o->buf, is_c);
    Val base = ix_val(n, ix_add(e->g, o->base, first), 0, true);
    if (strcmp(base.s, "0")) p = arena_printf(e->a, "%s + %s", p, base.s);
    if (o->priv && n->tile_var) p = arena_printf(e->a, "%s + %s", p, n->tile_var);
    return arena_printf(e->a, "%s, %s, %s", p, one, two);
}

/* Room for a packed b: the largest of all products of the kernel. */
static void reserve_room(Emit *e, const Tile *t, const Ix *sums)
{
    int row = 4 * (t->b.contiguous ? LEAST_LANES : MOST_LANES) + 8;
    const Ix *bytes = ix_scale(e->g, sums, row);
    e->room = e->room ? ix_max(e->g, e->room, bytes, NULL) : bytes;
}

void emit_tile(Emit *e, const Work *w, const Tile *t)
{
    const uint64_t plain = inner_axes(w) & ~t->rows & ~t->lanes;
    Nest n;
    nest_open(&n, e, w);
    if (e->tile >= 0 && !t->tile) nest_tile_plain(&n);
    for (int i = 0; i < w->rank; i++)
        if (plain >> i & 1) nest_loop(&n, i, false);
    if (t->tile) /* bases are those of the first lane */
        n.axis[last_axis(t->lanes)] =
            (AxisVar){.var = arena_printf(e->a, "x%d", e->tile), .depth = 1};
    const Ix *rows = mask_count(e, w->space, t->rows), *sums = mask_count(e, w->space, t->sums);
    const char *lanes = t->tile ? "lanes" : emit_extent(e, mask_count(e, w->space, t->lanes));
    const char *scale = t->scale.node ? edge_val(&n, t->scale, 0).s : "1.0f";
    const char *c = operand_text(e, w, t, &t->c, &n), *a = operand_text(e, w, t, &t->a, &n),
               *b = operand_text(e, w, t, &t->b, &n);
    reserve_room(e, t, sums);
    nest_code(&n, n.depth,
              "rtc_product(%s, %s, %s, %s,\n            %s,\n            %s,\n            %s, "
              "room);\n",
              emit_extent(e, rows), emit_extent(e, sums), lanes, scale, c, a, b);
    nest_close(&n);
}
