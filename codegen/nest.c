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

void nest_open(Nest *n, Emit *e, const Space *space, const int8_t *block_axis, const Node *self)
{
    *n = (Nest){.e = e,
                .space = space,
                .block_axis = block_axis,
                .self = self,
                .depth = 1,
                .lane_axis = -1,
                .lane_depth = -1};
    for (int d = 0; d < MAX_DEPTH; d++) n->code[d].arena = n->tail[d].arena = e->a;
    vec_push(e->a, &n->ctx, (Ctx){.parent = -1});
    for (int i = 0; i < space->n; i++) {
        int b = block_axis ? block_axis[i] : -1;
        if (b < 0) continue;
        const char *x = arena_printf(e->a, "x%d", b);
        if (b == e->tile)
            n->axis[i] = (AxisVar){.base = x, .base_depth = 1};
        else
            n->axis[i] = (AxisVar){.var = x, .depth = 1};
    }
}

static void open_loop(Nest *n, bool simd, const char *head)
{
    if (n->depth + 1 >= MAX_DEPTH)
        diag_bug(n->e->g->diag, "a kernel has more than %d loops", MAX_DEPTH);
    n->depth++;
    n->loop[n->depth] = (Loop){.head = head, .simd = simd};
}

void nest_loop(Nest *n, int axis, bool backwards)
{
    Arena *a = n->e->a;
    const char *var = emit_name(n->e, 'i'), *ext = emit_extent(n->e, n->space->ext[axis]);
    open_loop(n, false,
              backwards
                  ? arena_printf(a, "for (int %s = (int)%s - 1; %s >= 0; %s--)", var, ext, var, var)
                  : arena_printf(a, "for (int %s = 0; %s < %s; %s++)", var, var, ext, var));
    n->axis[axis] = (AxisVar){.var = var, .depth = n->depth};
}

const char *nest_chunks(Nest *n, int axis, int size)
{
    Arena *a = n->e->a;
    const char *var = emit_name(n->e, 'c'), *ext = emit_extent(n->e, n->space->ext[axis]);
    const char *count = emit_name(n->e, 'm');
    open_loop(n, false,
              arena_printf(a, "for (int %s = 0; %s < %s; %s += %d)", var, var, ext, var, size));
    n->axis[axis] = (AxisVar){.base = var, .base_depth = n->depth};
    nest_code(n, n->depth, "const int %s = rtc_least((int)%s - %s, %d);\n", count, ext, var, size);
    return count;
}

static void lane_loop(Nest *n, int axis, const char *var, const char *count, bool simd,
                      const char *clause)
{
    Arena *a = n->e->a;
    const char *pragma = simd ? arena_printf(a, "#pragma omp simd%s\n", clause ? clause : "") : "";
    open_loop(n, simd,
              arena_printf(a, "%sfor (int %s = 0; %s < %s; %s++)", pragma, var, var, count, var));
    if (axis >= 0) n->axis[axis].var = var, n->axis[axis].depth = n->depth;
    if (simd) n->lane_axis = axis, n->lane_depth = n->depth;
}

void nest_inner(Nest *n, int axis, const char *count, bool simd, const char *clause)
{
    lane_loop(n, axis, simd ? "l" : emit_name(n->e, 'i'), count, simd, clause);
}

void nest_lanes(Nest *n, int axis, const char *clause)
{
    n->axis[axis] = (AxisVar){0};
    lane_loop(n, axis, "l", emit_extent(n->e, n->space->ext[axis]), true, clause);
}

void nest_tile_lanes(Nest *n, bool simd)
{
    int axis = -1;
    for (int i = 0; i < n->space->n; i++)
        if (n->block_axis && n->block_axis[i] == n->e->tile) axis = i;
    n->tile_var = simd ? "l" : "t";
    lane_loop(n, axis, n->tile_var, "lanes", simd, NULL);
    n->tile_depth = n->depth;
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

static void close_depth(Nest *n, int d)
{
    Str *out = &n->e->body;
    indented(out, n->code[d].s, d + 1);
    if (d < n->depth) {
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
