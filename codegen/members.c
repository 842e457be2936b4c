/* members.c: the loops of each kind of member. Contract: emit.h.
 *
 * Every output element is computed in one block and in one order, so results don't depend on
 * threads. Sums over a long axis are sums of sums: float inside chunks, double across them.
 */
#include "codegen/emit.h"

#include <stdio.h>

enum {
    CHUNK = 1024,
    ROWS = 256
}; /* summed in float before a double takes over: along lanes, along rows */

/* ---- where values go ---- */

static const char *target_pointer(Nest *n, const Work *w)
{
    if (w->buf >= 0) return emit_buffer(n->e, w->buf, true);
    return arena_printf(n->e->a, "s%d", w->priv->number);
}

static const char *target_type(const Work *w)
{
    return w->buf >= 0 ? c_stored(w->dt) : c_type(w->dt);
}

static const char *target_lane(const Nest *n, const Work *w)
{
    return w->buf >= 0 ? NULL : n->tile_var;
}

bool is_keyed(const Work *w, int axis)
{
    for (int i = 0; w->key && i < w->out; i++)
        if (w->key[i] && w->pos->ix[i]->axes >> axis & 1) return true;
    return false;
}

Val emit_target(Nest *n, const Work *w)
{
    if (w->priv && w->priv->scalar) return (Val){target_pointer(n, w), 1, w->dt};
    return element(n, target_pointer(n, w), target_type(w), store_address(n->e, w, -1, true),
                   target_lane(n, w), 0);
}

/* ---- opening the loops over out axes ---- */

/* The tile's lanes (unless they are the lane loop) and the inner out axes but `lane` and `skip`. */
void open_out(Nest *n, const Work *w, int lane, int skip)
{
    if (n->e->tile >= 0 && lane != TILE_LANE) nest_tile_plain(n);
    for (int i = 0; i < w->rank; i++)
        if (!in_block(w, i) && i != lane && i != skip) nest_loop(n, i, false);
}

static void open_lane(Nest *n, int lane)
{
    if (lane == TILE_LANE)
        nest_tile_lanes(n);
    else if (lane >= 0)
        nest_lanes(n, lane, NULL);
}

static Val argument(Nest *n, const Work *w)
{
    Val v = edge_val(n, w->e, 0);
    if (w->stores) store_on_the_way(n, w, v);
    if (!w->limit) return v;
    return named(n, v.depth, DT_BOOL, "(unsigned)%s >= (unsigned)%s", v.s,
                 emit_int(n->e, w->limit));
}

/* ---- values ---- */

static void emit_value(Emit *e, const Work *w)
{
    int lane = best_lane(e, w, NULL);
    Nest n;
    nest_open(&n, e, w);
    open_out(&n, w, lane, -1);
    open_lane(&n, lane);
    Val v = as_type(&n, argument(&n, w), w->dt);
    Val to = emit_target(&n, w);
    nest_code(&n, n.depth, "%s = %s;\n", to.s, v.s);
    nest_close(&n);
}

/* One side or the other, decided on the host. */
static void emit_branch(Emit *e, const Work *w)
{
    int buf = plan_host_value(e->pl, w->node->args[0]);
    str_printf(&e->body, "        if (%s[0])\n", emit_buffer(e, buf, false));
    for (int side = 1; side <= 2; side++) {
        Work one = *w;
        one.op = OP_stop, one.node = NULL;
        one.e = edge_comp(e->g, w->node->args[side], w->pos, w->space);
        if (side == 2) str_add(&e->body, "        else\n");
        emit_value(e, &one);
    }
}

/* ---- reductions ---- */

/* step: fn(acc, v), or acc + v where fn is NULL; clause: what the lanes' accumulators are combined
 * with */
typedef struct {
    const char *init, *fn, *clause;
} Reducer;

static Reducer reducer(Op op, DType dt)
{
    bool max = op == OP_rmax;
    if (op == OP_sum) return (Reducer){dt == DT_FLOAT ? "0.0f" : "0", NULL, "+"};
    if (dt == DT_FLOAT)
        return max ? (Reducer){"RTC_LOWEST", "rtc_rmax", "rtc_rmax"}
                   : (Reducer){"-RTC_LOWEST", "rtc_rmin", "rtc_rmin"};
    const char *init = dt == DT_BOOL ? (max ? "0" : "1") : max ? "(-2147483647 - 1)" : "2147483647";
    return max ? (Reducer){init, "rtc_most", "max"} : (Reducer){init, "rtc_least", "min"};
}

static const char *step_text(Emit *e, const Reducer *r, const char *acc, const char *v)
{
    if (!r->fn) return arena_printf(e->a, "%s += %s;\n", acc, v);
    return arena_printf(e->a, "%s = %s(%s, %s);\n", acc, r->fn, acc, v);
}

/* int sums wrap, so they are unsigned */
static const char *acc_type(Op op, DType dt)
{
    return dt == DT_FLOAT ? "float" : op == OP_sum ? "unsigned" : "int";
}

static bool longer_than(const Work *w, int from, int64_t limit)
{
    int64_t count = 1;
    for (int i = from; i < w->space->n; i++) {
        const Ix *x = w->space->ext[i];
        if (!ix_is_const(x) || (count *= x->c) > limit) return true;
    }
    return false;
}

/* What `value` is added to: what is there, if this isn't the first piece; else "". */
static const char *added_to(Nest *n, const Work *w, const char *target)
{
    if (!w->more) return "";
    return arena_printf(n->e->a, "(%s ? %s : 0) + ", emit_int_arg(n->e, w->more), target);
}

/* Reduced along the lanes (or with no lane at all): a scalar accumulator. */
static void reduce_along(Emit *e, const Work *w, int lane)
{
    Arena *a = e->a;
    Reducer r = reducer(w->op, w->dt);
    const char *type = acc_type(w->op, w->dt), *acc = emit_name(e, 'a'), *part = acc;
    bool wide = w->op == OP_sum && w->dt == DT_FLOAT && longer_than(w, w->rank, CHUNK);
    Nest n;
    nest_open(&n, e, w);
    open_out(&n, w, lane, -1);
    int outer = n.depth;
    nest_code(&n, outer, "%s %s = %s;\n", wide ? "double" : type, acc, r.init);
    for (int i = w->rank; i < w->space->n; i++)
        if (i != lane) nest_loop(&n, i, false);
    if (lane >= 0) {
        const char *clause = NULL;
        if (wide) {
            const char *count = nest_chunks(&n, lane, CHUNK);
            part = emit_name(e, 'a');
            nest_code(&n, n.depth, "float %s = 0.0f;\n", part);
            nest_tail(&n, n.depth, "%s += (double)%s;\n", acc, part);
            clause = arena_printf(a, " reduction(%s : %s)", r.clause, part);
            nest_chunk_lanes(&n, lane, count, CHUNK, clause);
        } else {
            clause = arena_printf(a, " reduction(%s : %s)", r.clause, part);
            nest_lanes(&n, lane, clause);
        }
    }
    Val v = argument(&n, w);
    nest_code(&n, n.depth, "%s", step_text(e, &r, part, v.s));
    Val to = emit_target(&n, w);
    const char *cast = wide ? "(float)" : w->dt != DT_FLOAT && w->op == OP_sum ? "(int)" : "";
    nest_tail(&n, outer, "%s = %s%s%s;\n", to.s, added_to(&n, w, to.s), cast, acc);
    nest_close(&n);
}

/* A loop over lanes of its own, for what happens before and after the reduced loops. */
const char *lanes_text(Emit *e, const char *count, const char *statement)
{
    return arena_printf(e->a, "#pragma omp simd\nfor (int l = 0; l < %s; l++) %s\n", count,
                        statement);
}

/* Opens the loop over lane chunks where the lane is an inner axis; returns their count. */
const char *open_chunks(Nest *n, int lane, int *size)
{
    *size = lane == TILE_LANE ? n->e->tile_lanes : LANES;
    return lane == TILE_LANE ? "lanes" : nest_chunks(n, lane, *size);
}

void inner_lanes(Nest *n, int lane, const char *count)
{
    if (lane == TILE_LANE)
        nest_tile_lanes(n);
    else
        nest_chunk_lanes(n, lane, count, LANES, NULL);
}

/* The lane is an out axis: an accumulator per lane, rows of lanes are added one after another. */
static void reduce_across(Emit *e, const Work *w, int lane)
{
    Arena *a = e->a;
    Reducer r = reducer(w->op, w->dt);
    const char *type = acc_type(w->op, w->dt), *acc = emit_name(e, 'a'), *total = NULL;
    bool wide = w->op == OP_sum && w->dt == DT_FLOAT && longer_than(w, w->rank, ROWS);
    Nest n;
    nest_open(&n, e, w);
    open_out(&n, w, lane, -1);
    int size, outer, last = w->space->n - 1;
    const char *count = open_chunks(&n, lane, &size);
    const char *zero = lanes_text(e, count, arena_printf(a, "%s[l] = %s;", acc, r.init));
    outer = n.depth;
    nest_code(&n, outer, "%s %s[%d];\n", type, acc, size);
    if (wide) {
        total = emit_name(e, 'a');
        nest_code(&n, outer, "double %s[%d];\n%s", total, size,
                  lanes_text(e, count, arena_printf(a, "%s[l] = 0.0;", total)));
    } else {
        nest_code(&n, outer, "%s", zero);
    }
    for (int i = w->rank; i < last; i++) nest_loop(&n, i, false);
    if (wide) {
        const char *rows = nest_chunks(&n, last, ROWS);
        nest_code(&n, n.depth, "%s", zero);
        nest_tail(&n, n.depth, "%s",
                  lanes_text(e, count, arena_printf(a, "%s[l] += (double)%s[l];", total, acc)));
        nest_rows(&n, last, rows);
    } else if (last >= w->rank) {
        nest_loop(&n, last, false);
    }
    inner_lanes(&n, lane, count);
    Val v = argument(&n, w);
    nest_code(&n, n.depth, "%s", step_text(e, &r, arena_printf(a, "%s[l]", acc), v.s));
    Val to = emit_target(&n, w);
    const char *result = wide ? arena_printf(a, "(float)%s[l]", total)
                         : w->dt != DT_FLOAT && w->op == OP_sum ? arena_printf(a, "(int)%s[l]", acc)
                                                                : arena_printf(a, "%s[l]", acc);
    nest_tail(
        &n, outer, "%s",
        lanes_text(e, count, arena_printf(a, "%s = %s%s;", to.s, added_to(&n, w, to.s), result)));
    nest_close(&n);
}

/* ---- top ---- */

static void emit_top(Emit *e, const Work *w)
{
    Graph *g = e->g;
    Arena *a = e->a;
    int rank_axis = w->rank - 1, row = w->rank, own = w->out - 1;
    const Ix *count = w->space->ext[row], *width = w->space->ext[rank_axis];
    Nest n;
    const char *key = emit_name(e, 'k'), *best = emit_name(e, 'k'), *work = emit_name(e, 'k');
    nest_code(
        &(Nest){.e = e}, 0,
        "unsigned *const %s = (unsigned *)%s;\nint *const %s = (int *)%s;\nchar *const %s = %s;\n",
        key, emit_scratch(e, ix_scale(g, count, 4)), best, emit_scratch(e, ix_scale(g, width, 4)),
        work, emit_scratch(e, ix_add(g, ix_scale(g, width, 16), ix_const(g, 3 * 2048 * 4))));
    nest_open(&n, e, w);
    open_out(&n, w, NO_LANE, rank_axis);
    int outer = n.depth;
    nest_lanes(&n, row, NULL);
    Val v = edge_val(&n, w->e, 0);
    nest_code(&n, n.depth, "%s[l] = %s(%s);\n", key, v.dt == DT_FLOAT ? "rtc_key" : "rtc_ikey",
              v.s);
    const char *m = emit_extent(e, width), *lane = target_lane(&n, w);
    nest_tail(&n, outer, "rtc_top(%s, (int)%s, (int)%s, %s, %s);\n", key, emit_extent(e, count), m,
              best, work);
    Val base = ix_val(&n, store_address(e, w, own, true), 0, true);
    const char *step = w->stride[own] ? emit_int(e, w->stride[own]) : "0";
    const char *to = w->priv && w->priv->scalar
                         ? target_pointer(&n, w)
                         : arena_printf(a, "%s[%s + %s * r%s%s]", target_pointer(&n, w), base.s,
                                        step, lane ? " + " : "", lane ? lane : "");
    nest_tail(&n, outer, "for (int r = 0; r < %s; r++) %s = %s[r];\n", m, to, best);
    nest_close(&n);
}

/* ---- scatter ---- */

static void emit_scat(Emit *e, const Work *w)
{
    Graph *g = e->g;
    Work zero = *w;
    zero.op = OP_stop, zero.node = NULL, zero.key = NULL;
    zero.e = w->dt == DT_FLOAT ? graph_float(g, 0) : graph_int(g, 0);
    zero.space = space_slice(g, w->space, 0, w->rank);
    emit_value(e, &zero);
    int lane = best_lane(e, w, NULL);
    Nest n;
    nest_open(&n, e, w);
    if (e->tile >= 0 && lane != TILE_LANE) nest_tile_plain(&n);
    for (int i = w->rank; i < w->space->n; i++) nest_loop(&n, i, false);
    for (int i = 0; i < w->rank; i++)
        if (!in_block(w, i) && !is_keyed(w, i) && i != lane) nest_loop(&n, i, false);
    open_lane(&n, lane);
    Val cond = {0};
    for (int i = 0; i < w->out; i++) {
        if (!w->key[i]) continue;
        Val k = ix_val(&n, w->key[i], 0, false);
        const char *ext = emit_int(e, w->node->space->ext[i]), *also = cond.s ? " & " : "";
        int depth = k.depth > cond.depth ? k.depth : cond.depth;
        cond = named(&n, depth, DT_BOOL, "%s%s((unsigned)%s < (unsigned)%s)", cond.s ? cond.s : "",
                     also, k.s, ext);
    }
    Val v = edge_val(&n, w->e, 0);
    Val to = emit_target(&n, w);
    const char *test = cond.s ? arena_printf(e->a, "if (%s) ", cond.s) : "";
    if (w->dt == DT_FLOAT)
        nest_code(&n, n.depth, "%s%s += %s;\n", test, to.s, v.s);
    else
        nest_code(&n, n.depth, "%s%s = (int)((unsigned)%s + (unsigned)%s);\n", test, to.s, to.s,
                  v.s);
    nest_close(&n);
}

/* ---- prefix sums ---- */

static void scan_step(Nest *n, const Work *w, const char *acc)
{
    bool exclusive = w->node->attr.scan.exclusive;
    Val v = edge_val(n, w->e, 0), to = emit_target(n, w);
    const char *cast = w->dt == DT_FLOAT ? "(float)" : "(int)";
    if (exclusive) nest_code(n, n->depth, "%s = %s%s;\n", to.s, cast, acc);
    nest_code(n, n->depth, "%s += %s;\n", acc, v.s);
    if (!exclusive) nest_code(n, n->depth, "%s = %s%s;\n", to.s, cast, acc);
}

static void emit_scan(Emit *e, const Work *w)
{
    int lane = best_lane(e, w, NULL), along = ix_bare_axis(w->pos->ix[w->node->attr.scan.axis]);
    const char *type = w->dt == DT_FLOAT ? "double" : "unsigned", *acc = emit_name(e, 'a');
    Nest n;
    nest_open(&n, e, w);
    open_out(&n, w, lane, along);
    if (lane == NO_LANE) {
        nest_code(&n, n.depth, "%s %s = 0;\n", type, acc);
        nest_loop(&n, along, w->node->attr.scan.reverse);
        scan_step(&n, w, acc);
    } else {
        int size;
        const char *count = open_chunks(&n, lane, &size);
        nest_code(&n, n.depth, "%s %s[%d];\n%s", type, acc, size,
                  lanes_text(e, count, arena_printf(e->a, "%s[l] = 0;", acc)));
        nest_loop(&n, along, w->node->attr.scan.reverse);
        inner_lanes(&n, lane, count);
        scan_step(&n, w, arena_printf(e->a, "%s[l]", acc));
    }
    nest_close(&n);
}

void emit_work(Emit *e, const Work *w)
{
    if (w->list) {
        (w->makes_list ? emit_list : emit_listed)(e, w);
        return;
    }
    switch (op_info[w->op].cls) {
    case CLASS_REDUCE: {
        Tile t;
        if (find_tile(e, w, &t)) {
            emit_tile(e, w, &t);
            break;
        }
        int lane = best_lane(e, w, NULL);
        if (lane == TILE_LANE || (lane >= 0 && lane < w->rank))
            reduce_across(e, w, lane);
        else
            reduce_along(e, w, lane);
        break;
    }
    case CLASS_TOP:
        emit_top(e, w);
        break;
    case CLASS_SCAT:
        emit_scat(e, w);
        break;
    case CLASS_SCAN:
        emit_scan(e, w);
        break;
    case CLASS_BRANCH:
        emit_branch(e, w);
        break;
    default:
        emit_value(e, w);
        break;
    }
}
