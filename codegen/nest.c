/* nest.c: the loops of one member, as text per depth. Contract: emit.h. */
#include "codegen/emit.h"

#include <stdio.h>

/* ---- the kernel's arguments and names ---- */

const char *emit_name(Emit *e, char kind) { return arena_printf(e->a, "%c%d", kind, e->names++); }

const char *emit_int_arg(Emit *e, const Ix *size)
{
    int i = 0;
    while (i < e->n.n && e->n.v[i] != size) i++;
    if (i == e->n.n) vec_push(e->a, &e->n, size);
    return arena_printf(e->a, "n%d", i);
}

static const char *literal_or_arg(Emit *e, const Ix *size, int64_t limit)
{
    if (ix_is_const(size) && size->c >= -limit && size->c <= limit)
        return arena_printf(e->a, "%d", (int)size->c);
    return emit_int_arg(e, size);
}

const char *emit_int(Emit *e, const Ix *size) { return literal_or_arg(e, size, 8); }
const char *emit_extent(Emit *e, const Ix *size) { return literal_or_arg(e, size, 256); }

const char *emit_buffer(Emit *e, int buf, bool write)
{
    int i = 0;
    while (i < e->buf.n && e->buf.v[i] != buf) i++;
    if (i == e->buf.n) {
        vec_push(e->a, &e->buf, buf);
        vec_push(e->a, &e->written, false);
    }
    if (write) e->written.v[i] = true;
    return arena_printf(e->a, "b%d", i);
}

const char *emit_scratch(Emit *e, const Ix *bytes)
{
    Graph *g = e->g;
    const char *at = emit_int(e, e->scratch);
    const Ix *lines = ix_div(g, ix_add(g, bytes, ix_const(g, 63)), ix_const(g, 64), NULL);
    e->scratch = ix_add(g, e->scratch, ix_scale(g, lines, 64));
    return arena_printf(e->a, "(scratch + %s)", at);
}

const char *c_type(DType dt) { return dt == DT_FLOAT ? "float" : "int"; }

const char *c_stored(DType dt)
{
    return dt == DT_FLOAT ? "float" : dt == DT_INT ? "int" : "unsigned char";
}

/* ---- opening loops ---- */

void nest_open(Nest *n, Emit *e, const Work *w)
{
    *n = (Nest){.e = e,
                .w = w,
                .space = w->space,
                .self = computed_by(w),
                .depth = 1,
                .lane_axis = -1,
                .lane_depth = -1};
    for (int d = 0; d < MAX_DEPTH; d++) n->code[d].arena = n->tail[d].arena = e->a;
    vec_push(e->a, &n->ctx, (Ctx){.parent = -1});
    for (int i = 0; i < w->space->n; i++) {
        int b = w->axis ? w->axis[i] : -1;
        if (b < 0) continue;
        const char *x = arena_printf(e->a, "x%d", b);
        if (b == e->tile)
            n->axis[i] = (AxisVar){.base = x, .base_depth = 1};
        else
            n->axis[i] = (AxisVar){.var = x, .depth = 1};
    }
}

static void open_loop(Nest *n, Loop loop)
{
    if (n->depth + 1 >= MAX_DEPTH)
        diag_bug(n->e->g->diag, "a kernel has more than %d loops", MAX_DEPTH);
    n->loop[++n->depth] = loop;
}

static void plain_loop(Nest *n, int axis, const char *var, const char *count)
{
    const char *head =
        arena_printf(n->e->a, "for (int %s = 0; %s < %s; %s++)", var, var, count, var);
    open_loop(n, (Loop){.head = head});
    if (axis >= 0) n->axis[axis].var = var, n->axis[axis].depth = n->depth;
}

void nest_loop(Nest *n, int axis, bool backwards)
{
    /* never a literal: the compiler would unroll what is inside, lane loops and all */
    const char *var = emit_name(n->e, 'i'), *ext = emit_int_arg(n->e, n->space->ext[axis]);
    n->axis[axis] = (AxisVar){0};
    plain_loop(n, axis, var, ext);
    if (backwards)
        n->loop[n->depth].head =
            arena_printf(n->e->a, "for (int %s = (int)%s - 1; %s >= 0; %s--)", var, ext, var, var);
}

const char *nest_chunks(Nest *n, int axis, int size)
{
    Arena *a = n->e->a;
    const Ix *whole = n->space->ext[axis];
    n->axis[axis] = (AxisVar){0};
    if (ix_is_const(whole) && whole->c <= size) return arena_printf(a, "%lld", (long long)whole->c);
    const char *var = emit_name(n->e, 'c'), *ext = emit_extent(n->e, whole);
    const char *count = emit_name(n->e, 'm');
    const char *head =
        arena_printf(a, "for (int %s = 0; %s < %s; %s += %d)", var, var, ext, var, size);
    open_loop(n, (Loop){.head = head});
    n->axis[axis] = (AxisVar){.base = var, .base_depth = n->depth};
    nest_code(n, n->depth, "const int %s = rtc_least((int)%s - %s, %d);\n", count, ext, var, size);
    return count;
}

void nest_head(Nest *n, const char *head) { open_loop(n, (Loop){.head = head}); }

void nest_bind(Nest *n, int axis, const char *var)
{
    n->axis[axis] = (AxisVar){.var = var, .depth = n->depth};
}

void nest_rows(Nest *n, int axis, const char *count)
{
    plain_loop(n, axis, emit_name(n->e, 'i'), count);
}

static void lane_loop(Nest *n, int axis, const char *count, const Ix *most, const char *clause)
{
    n->lane_count = count, n->most_lanes = most;
    open_loop(n,
              (Loop){.var = "l",
                     .count = count,
                     .pragma = arena_printf(n->e->a, "#pragma omp simd%s", clause ? clause : "")});
    if (axis >= 0) n->axis[axis].var = "l", n->axis[axis].depth = n->depth;
    n->lane_axis = axis, n->lane_depth = n->depth;
}

void nest_chunk_lanes(Nest *n, int axis, const char *count, int most, const char *clause)
{
    n->count_depth = n->axis[axis].base_depth;
    lane_loop(n, axis, count, ix_const(n->e->g, most), clause);
}

void nest_lanes(Nest *n, int axis, const char *clause)
{
    n->axis[axis] = (AxisVar){0};
    n->count_depth = 0;
    lane_loop(n, axis, emit_extent(n->e, n->space->ext[axis]), n->space->ext[axis], clause);
}

static int tile_axis(const Nest *n)
{
    for (int i = 0; i < n->space->n; i++)
        if (n->w->axis && n->w->axis[i] == n->e->tile) return i;
    return -1;
}

void nest_tile_lanes(Nest *n)
{
    n->count_depth = 1;
    lane_loop(n, tile_axis(n), "lanes", ix_const(n->e->g, n->e->tile_lanes), NULL);
    n->tile_var = "l", n->tile_depth = n->depth;
}

void nest_tile_plain(Nest *n)
{
    plain_loop(n, tile_axis(n), "t", "lanes");
    n->tile_var = "t", n->tile_depth = n->depth;
}

void nest_code(Nest *n, int depth, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(depth == 0 ? &n->e->top : &n->code[depth], fmt, ap);
    va_end(ap);
}

void nest_tail(Nest *n, int depth, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&n->tail[depth], fmt, ap);
    va_end(ap);
}

/* ---- assembly ---- */

/* Appends text line by line with the indentation of `depth` loops. */
static void indented(Str *out, const char *text, int depth)
{
    while (text && *text) {
        const char *end = strchr(text, '\n');
        size_t len = end ? (size_t)(end - text) : strlen(text);
        if (*text != '#') str_printf(out, "%*s", 4 * depth, "");
        str_addn(out, text, len);
        str_add(out, "\n");
        text += len + (end != NULL);
    }
}

static void close_depth(Nest *n, int d);

/* The lane loop from lane `from` to `to`. */
static void close_lanes(Nest *n, const char *from, const char *to, int indent)
{
    const Loop *p = &n->loop[n->lane_depth];
    Str *out = &n->e->body;
    indented(out, p->pragma, indent);
    indented(out, arena_printf(n->e->a, "for (int l = %s; l < %s; l++)", from, to), indent);
    indented(out, "{", indent);
    close_depth(n, n->lane_depth);
    indented(out, "}", indent);
}

/* One lane loop for every combination of the cuts' conditions, as literals: no lane is masked. */
static void close_cut(Nest *n, int k, int indent)
{
    Str *out = &n->e->body;
    if (k >= n->ncut || k >= MAX_CUTS) {
        close_lanes(n, "from", "to", indent);
        return;
    }
    const Cut *c = &n->cut[k];
    for (int holds = 1; holds >= 0; holds--) {
        const char *test = arena_printf(n->e->a, "if (from >= %s && from < %s) {", c->from, c->to);
        indented(out, holds ? test : "} else {", indent);
        indented(out, arena_printf(n->e->a, "enum { %s = %d };", c->name, holds), indent + 1);
        close_cut(n, k + 1, indent + 1);
    }
    indented(out, "}", indent);
}

static void close_cuts(Nest *n, int indent)
{
    Str *out = &n->e->body, list = {.arena = n->e->a};
    const char *count = n->loop[n->lane_depth].count;
    int borders = 2 * n->ncut + 2;
    for (int i = 0; i < n->ncut; i++) str_printf(&list, ", %s, %s", n->cut[i].from, n->cut[i].to);
    indented(out, "{", indent);
    indented(out, arena_printf(n->e->a, "int cut[] = {0, (int)%s%s};", count, list.s), indent + 1);
    indented(out, arena_printf(n->e->a, "rtc_cuts(cut, %d, (int)%s);", borders, count), indent + 1);
    indented(out, arena_printf(n->e->a, "for (int q = 0; q < %d; q++) {", borders - 1), indent + 1);
    indented(out, "const int from = cut[q], to = cut[q + 1];", indent + 2);
    indented(out, "if (from == to) continue;", indent + 2);
    close_cut(n, 0, indent + 2);
    indented(out, "}", indent + 1);
    indented(out, "}", indent);
}

static void close_depth(Nest *n, int d)
{
    Str *out = &n->e->body;
    indented(out, n->code[d].s, d + 1);
    if (d < n->depth && d + 1 == n->lane_depth) {
        if (n->ncut)
            close_cuts(n, d + 1);
        else
            close_lanes(n, "0", n->loop[d + 1].count, d + 1);
    } else if (d < n->depth) {
        indented(out, n->loop[d + 1].head, d + 1);
        indented(out, "{", d + 1);
        close_depth(n, d + 1);
        indented(out, "}", d + 1);
    }
    indented(out, n->tail[d].s, d + 1);
}

void nest_close(Nest *n)
{
    indented(&n->e->body, "{", 1);
    close_depth(n, 1);
    indented(&n->e->body, "}", 1);
}
