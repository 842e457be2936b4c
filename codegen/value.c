/* value.c: what a member reads and computes, as named values at the depth where they are known.
 * Contract: emit.h.
 *
 * Light nodes are expanded where they are read, through the composed maps, once per (node, map).
 * Memory is touched only where the conditions of the enclosing reads hold (Ctx), unless the indices
 * are proved inside.
 */
#include "codegen/emit.h"

#include <math.h>

/* ---- conditions ---- */

static int ctx_add(Nest *n, int parent, Val cond, bool clamp)
{
    for (int i = 1; i < n->ctx.n; i++) {
        Ctx *c = &n->ctx.v[i];
        bool same = cond.s ? c->key && !strcmp(c->key, cond.s) : !c->key;
        if (c->parent == parent && same && c->clamp == (clamp || n->ctx.v[parent].clamp)) return i;
    }
    Val whole = cond, outer = n->ctx.v[parent].cond;
    if (outer.s && cond.s)
        whole = named(n, deeper(outer.depth, cond.depth), DT_BOOL, "%s & %s", outer.s, cond.s);
    else if (outer.s)
        whole = outer;
    vec_push(n->e->a, &n->ctx, (Ctx){parent, cond.s, whole, clamp || n->ctx.v[parent].clamp});
    return n->ctx.n - 1;
}

/* A guard that moves with the lane, 0 <= l + rest < ext, cuts the lane loop: its name, or NULL. */
static const char *cut_lanes(Nest *n, Guard gd)
{
    Emit *e = n->e;
    const Ix *coef, *rest;
    int axis = n->lane_axis;
    if (n->lane_depth < 0 || axis < 0 || gd.ix->loads || !(gd.ix->axes >> axis & 1)) return NULL;
    if (!ix_affine(e->g, gd.ix, axis, &coef, &rest) || !ix_is(coef, 1)) return NULL;
    Val r = ix_val(n, rest, 0, false);
    const char *start = n->axis[axis].base;
    const char *first = start ? arena_printf(e->a, "%s + %s", r.s, start) : r.s;
    const char *from = arena_printf(e->a, "-(%s)", first);
    const char *to = arena_printf(e->a, "(int)%s - (%s)", emit_int(e, gd.ext), first);
    for (int i = 0; i < n->ncut; i++)
        if (!strcmp(n->cut[i].from, from) && !strcmp(n->cut[i].to, to)) return n->cut[i].name;
    if (n->ncut == MAX_CUTS) return NULL;
    const char *name = emit_name(e, 'g');
    n->cut[n->ncut++] = (Cut){name, from, to};
    return name;
}

/* 0 <= ix < ext, loads inside clamped to their operands */
static Val guard_val(Nest *n, Guard gd, int ctx)
{
    if (gd.ix->loads) ctx = ctx_add(n, ctx, (Val){0}, true);
    int key = gd.ix->loads ? ctx : 0;
    Memo *m = memo_slot(n, gd.ix, gd.ext, key);
    if (m->v.s) return m->v;
    const char *cut = cut_lanes(n, gd);
    if (cut) return remember(n, gd.ix, gd.ext, key, (Val){cut, n->lane_depth, DT_BOOL});
    Val ix = ix_val(n, gd.ix, ctx, false);
    const char *ext = emit_int(n->e, gd.ext);
    return remember(n, gd.ix, gd.ext, key,
                    named(n, ix.depth, DT_BOOL, "(unsigned)%s < (unsigned)%s", ix.s, ext));
}

/* ---- memory ---- */

/* Where the guard of a context must be tested: the access isn't proved inside. */
static bool proved_inside(Nest *n, const Node *node, const Map *m)
{
    Graph *g = n->e->g;
    for (int i = 0; i < m->n; i++)
        if (!ix_proves_ge0(g, m->ix[i], n->space) ||
            !ix_proves_lt(g, m->ix[i], node->space->ext[i], n->space))
            return false;
    return true;
}

static Val loaded(Nest *n, Val at, DType dt, int ctx, bool inside, int min_depth)
{
    Ctx *c = &n->ctx.v[ctx];
    int depth = deeper(at.depth, min_depth);
    if (inside || !c->cond.s) return named(n, depth, dt, "%s", at.s);
    return named(n, deeper(depth, c->cond.depth), dt, "%s ? %s : 0", c->cond.s, at.s);
}

static Val buffer_load(Nest *n, Edge x, int buf, int ctx)
{
    Emit *e = n->e;
    bool inside = proved_inside(n, x.node, x.map);
    const char *pointer = emit_buffer(e, buf, false);
    int min_depth = 0;
    for (int i = 0; i < e->buf.n; i++)
        if (e->buf.v[i] == buf && e->written.v[i])
            min_depth = 1; /* not before this kernel wrote it */
    const Ix *at = plan_address(e->pl, buf, x.map);
    const char *ctype = arena_printf(e->a, min_depth ? "%s" : "const %s", c_stored(x.node->dt));
    Ctx *c = &n->ctx.v[ctx];
    bool clamp =
        c->clamp || !c->cond.s; /* nothing says where it is inside: it never leaves memory */
    if (!inside && (clamp || at->loads)) {
        Val k = ix_val(n, at, ctx, true);
        if (clamp) {
            const char *count = emit_int(e, e->pl->p->ints.v[e->pl->p->buffers.v[buf].count]);
            return named(n, deeper(k.depth, min_depth), x.node->dt, "%s[rtc_clamp(%s, %s)]",
                         pointer, k.s, count);
        }
        /* an unconditional gather, which the compiler can vectorise */
        return named(n, deeper(deeper(k.depth, c->cond.depth), min_depth), x.node->dt,
                     "%s[%s ? %s : 0]", pointer, c->cond.s, k.s);
    }
    return loaded(n, element(n, pointer, ctype, at, NULL, ctx), x.node->dt, ctx, inside, min_depth);
}

Private *find_private(Emit *e, const Node *node)
{
    for (int i = 0; i < e->priv.n; i++)
        if (e->priv.v[i].node == node) return &e->priv.v[i];
    return NULL;
}

const Ix *private_address(Graph *g, const Private *p, const Map *m)
{
    const Ix *at = ix_const(g, 0);
    for (int i = 0; i < m->n; i++)
        if (p->stride[i]) at = ix_add(g, at, ix_mul(g, m->ix[i], p->stride[i]));
    return p->start ? ix_sub(g, at, p->start) : at;
}

void check_own_block(Graph *g, const Work *w, const Private *p, const Map *m)
{
    for (int i = 0; i < m->n; i++)
        if (p->axis && p->axis[i] >= 0 && m->ix[i] != w->block_pos[p->axis[i]])
            diag_bug(g->diag, "a block reads %%%d outside itself, at %s", p->node->id,
                     ix_text(g, m->ix[i]));
}

static Val private_load(Nest *n, Edge x, const Private *p, int ctx)
{
    Emit *e = n->e;
    bool inside = proved_inside(n, x.node, x.map);
    const char *pointer = arena_printf(e->a, "s%d", p->number);
    check_own_block(e->g, n->w, p, x.map);
    if (p->scalar) return (Val){pointer, 1, x.node->dt};
    const Ix *at = private_address(e->g, p, x.map);
    if (!inside && (n->ctx.v[ctx].clamp || !n->ctx.v[ctx].cond.s)) {
        Val k = ix_val(n, at, ctx, true);
        return named(n, deeper(deeper(k.depth, n->tile_depth), 1), x.node->dt,
                     "%s[rtc_clamp(%s, %s)%s%s]", pointer, k.s, emit_int(e, p->count),
                     n->tile_var ? " + " : "", n->tile_var ? n->tile_var : "");
    }
    return loaded(n, element(n, pointer, c_type(x.node->dt), at, n->tile_var, ctx), x.node->dt, ctx,
                  inside, 1);
}

/* ---- ops ---- */

/* int arithmetic wraps; bools are 0 and 1 */
static const char *const int_text[OP_COUNT] = {
    [OP_neg] = "(int)(0u - (unsigned)$0)",
    [OP_add] = "(int)((unsigned)$0 + (unsigned)$1)",
    [OP_sub] = "(int)((unsigned)$0 - (unsigned)$1)",
    [OP_mul] = "(int)((unsigned)$0 * (unsigned)$1)",
    [OP_abs] = "rtc_iabs($0)",
    [OP_floordiv] = "rtc_ifloordiv($0, $1)",
    [OP_mod] = "rtc_imod($0, $1)",
    [OP_pow] = "rtc_ipow($0, $1)",
    [OP_min] = "rtc_least($0, $1)",
    [OP_max] = "rtc_most($0, $1)",
    [OP_and] = "$0 & $1",
    [OP_or] = "$0 | $1",
};

Val as_type(Nest *n, Val v, DType dt)
{
    if (dt == v.dt || (dt == DT_INT && v.dt == DT_BOOL))
        return v.dt == dt ? v : (Val){v.s, v.depth, dt};
    const char *fmt = dt == DT_FLOAT ? "(float)%s" : dt == DT_BOOL ? "(%s != 0)" : "rtc_toint(%s)";
    return (Val){arena_printf(n->e->a, fmt, v.s), v.depth, dt};
}

static Val filled(Nest *n, const char *text, const Val *arg, int depth, DType dt)
{
    Str s = {.arena = n->e->a};
    for (; *text; text++)
        if (*text == '$')
            str_add(&s, arg[*++text - '0'].s);
        else
            str_addn(&s, text, 1);
    return named(n, depth, dt, "%s", s.s);
}

static Val pointwise_val(Nest *n, const Node *node, const Map *m, int ctx)
{
    Graph *g = n->e->g;
    const OpInfo *info = &op_info[node->op];
    Val arg[MAX_ARGS];
    int depth = 0;
    bool any_float = info->dtype == RULE_FLOAT;
    for (int i = 0; i < node->nargs; i++) {
        arg[i] = edge_val(n, edge_comp(g, node->args[i], m, n->space), ctx);
        depth = deeper(depth, arg[i].depth);
        any_float |= arg[i].dt == DT_FLOAT && !(node->op == OP_select && i == 0);
    }
    if (node->op == OP_stop) return arg[0];
    if (node->op == OP_cast) {
        Val v = as_type(n, arg[0], node->dt);
        return v.s == arg[0].s ? v : named(n, depth, node->dt, "%s", v.s);
    }
    if (any_float)
        for (int i = node->op == OP_select; i < node->nargs; i++)
            arg[i] = as_type(n, arg[i], DT_FLOAT);
    const char *text = !any_float && int_text[node->op] ? int_text[node->op] : info->c_text;
    return filled(n, text, arg, depth, node->dt);
}

static Val read_val(Nest *n, const Node *node, const Map *m, int ctx)
{
    Graph *g = n->e->g;
    Val cond = {0};
    int inner = ctx;
    for (int i = 0; i < node->attr.guard.n; i++) {
        Guard gd = node->attr.guard.g[i];
        gd.ix = ix_subst(g, gd.ix, m, n->space);
        Val one = guard_val(n, gd, ctx);
        cond = cond.s ? named(n, deeper(cond.depth, one.depth), DT_BOOL, "%s & %s", cond.s, one.s)
                      : one;
    }
    if (!cond.s) return edge_val(n, edge_comp(g, node->args[0], m, n->space), ctx);
    inner = ctx_add(n, ctx, cond, false);
    Val yes = as_type(n, edge_val(n, edge_comp(g, node->args[0], m, n->space), inner), node->dt),
        no;
    Edge fill = edge_comp(g, node->args[1], m, n->space);
    if (fill.node->op == OP_const) {
        no = edge_val(n, fill, 0);
    } else {
        Val not = named(n, cond.depth, DT_BOOL, "!%s", cond.s);
        no = edge_val(n, fill, ctx_add(n, ctx, not, false));
    }
    no = as_type(n, no, node->dt);
    return named(n, deeper(cond.depth, deeper(yes.depth, no.depth)), node->dt, "%s ? %s : %s",
                 cond.s, yes.s, no.s);
}

static Val branch_val(Nest *n, const Node *node, const Map *m, int ctx)
{
    Graph *g = n->e->g;
    int buf = plan_host_value(n->e->pl, node->args[0]);
    Val c = named(n, 0, DT_BOOL, "%s[0]", emit_buffer(n->e, buf, false));
    Val not = named(n, 0, DT_BOOL, "!%s", c.s);
    Val yes = edge_val(n, edge_comp(g, node->args[1], m, n->space), ctx_add(n, ctx, c, false));
    Val no = edge_val(n, edge_comp(g, node->args[2], m, n->space), ctx_add(n, ctx, not, false));
    yes = as_type(n, yes, node->dt), no = as_type(n, no, node->dt);
    return named(n, deeper(yes.depth, no.depth), node->dt, "%s ? %s : %s", c.s, yes.s, no.s);
}

/* The draws of a whole row of lanes at once, where they are neighbours: the row's pointer, or NULL.
 */
static const char *rand_row(Nest *n, const Ix *at, const char *site)
{
    Emit *e = n->e;
    Graph *g = e->g;
    const Ix *coef, *rest;
    int axis = n->lane_axis;
    if (n->lane_depth < 0 || axis < 0 || at->loads || !(at->axes >> axis & 1)) return NULL;
    if (!ix_affine(g, at, axis, &coef, &rest) || !ix_is(coef, 1)) return NULL;
    Val first = ix_val(n, rest, 0, true);
    const char *base = n->axis[axis].base, *row = emit_name(e, 'r');
    int depth = deeper(first.depth, n->count_depth);
    if (base) depth = deeper(depth, n->axis[axis].base_depth);
    const char *room = emit_scratch(e, ix_scale(g, ix_add(g, n->most_lanes, ix_const(g, 8)), 4));
    nest_code(n, depth,
              "const float *const %s = rtc_uniform_row((float *)%s, args->seed, args->step, "
              "(uint64_t)%s, %s%s%s, (int)%s);\n",
              row, room, site, first.s, base ? " + " : "", base ? base : "", n->lane_count);
    return row;
}

static Val rand_val(Nest *n, const Node *node, const Map *m)
{
    Graph *g = n->e->g;
    const Ix *at = ix_subst(g, row_major(g, node->space), m, n->space);
    const char *site = emit_int_arg(n->e, ix_const(g, (int64_t)node->attr.site));
    const char *row = rand_row(n, at, site);
    if (row) return named(n, n->lane_depth, DT_FLOAT, "%s[l]", row);
    Val k = ix_val(n, at, 0, true);
    return named(n, k.depth, DT_FLOAT,
                 "rtc_uniform(args->seed, args->step, (uint64_t)%s, (uint64_t)%s)", site, k.s);
}

static Val const_val(Nest *n, const Node *node)
{
    Arena *a = n->e->a;
    const char *s;
    if (node->dt != DT_FLOAT) {
        int32_t v = node->attr.value.i;
        s = v == INT32_MIN ? "(-2147483647 - 1)" : arena_printf(a, v < 0 ? "(%d)" : "%d", v);
    } else {
        float f = (float)node->attr.value.f;
        if (isnan(f))
            s = "rtc_nan()";
        else if (isinf(f))
            s = f < 0 ? "(-rtc_inf())" : "rtc_inf()";
        else {
            char *t = arena_printf(a, "%.9g", (double)f);
            if (!strpbrk(t, ".e")) t = arena_printf(a, "%s.0", t);
            s = arena_printf(a, signbit(f) ? "(%sf)" : "%sf", t);
        }
    }
    return (Val){s, 0, node->dt};
}

static Val light_val(Nest *n, Edge x, int ctx)
{
    Node *node = x.node;
    switch (op_info[node->op].cls) {
    case CLASS_POINTWISE:
        return pointwise_val(n, node, x.map, ctx);
    case CLASS_READ:
        return read_val(n, node, x.map, ctx);
    case CLASS_BRANCH:
        return branch_val(n, node, x.map, ctx);
    default:
        break;
    }
    if (node->op == OP_idx) {
        Val v = ix_val(n, ix_subst(n->e->g, node->attr.ix, x.map, n->space), ctx, false);
        return is_word(v.s) ? v : named(n, v.depth, DT_INT, "%s", v.s);
    }
    if (node->op == OP_rand) return rand_val(n, node, x.map);
    diag_bug(n->e->g->diag, "%%%d (%s) is read by a kernel, but is neither stored nor a member",
             node->id, op_info[node->op].name);
}

Val edge_val(Nest *n, Edge x, int ctx)
{
    if (x.node->op == OP_const) return const_val(n, x.node);
    Memo *m = memo_slot(n, x.node, x.map, ctx);
    if (m->v.s) return m->v;
    Val v;
    Private *p;
    int buf = -1;
    if (x.node == n->self)
        v = light_val(n, x, ctx);
    else if ((p = find_private(n->e, x.node)))
        v = private_load(n, x, p, ctx);
    else if ((buf = plan_buffer_of(n->e->pl, x.node)) >= 0)
        v = buffer_load(n, x, buf, ctx);
    else
        v = light_val(n, x, ctx);
    return remember(n, x.node, x.map, ctx, v);
}
