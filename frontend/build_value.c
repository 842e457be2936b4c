/* build_value.c: what a name stands for: static values, sizes, elements over axes, whole tensors.
 */
#include "frontend/build.h"
#include <float.h>
#include <math.h>

Value value_int(int64_t i) { return (Value){.kind = V_INT, .i = i}; }
Value value_float(double f) { return (Value){.kind = V_FLOAT, .f = f}; }
Value value_bool(bool t) { return (Value){.kind = V_BOOL, .b = t}; }
Value value_string(const char *s) { return (Value){.kind = V_STRING, .s = s}; }

Value value_size(const Ix *num)
{
    if (ix_is_const(num)) return value_int(num->c);
    return (Value){.kind = V_SIZE, .size = {num, 0}};
}

Value value_ratio(const Ix *num, int64_t den)
{
    if (ix_is_const(num)) return value_float((double)num->c / (double)den);
    return (Value){.kind = V_SIZE, .size = {num, den}};
}

bool value_is_static(Value v) { return v.kind >= V_INT && v.kind <= V_LIST; }
bool value_is_graph(Value v) { return v.kind == V_ELEM || v.kind == V_TENSOR; }

bool value_is_scalar(Value v)
{
    return v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_BOOL || v.kind == V_SIZE ||
           (v.kind == V_ELEM && v.elem.n == 0);
}

DType value_dtype(Builder *b, Value v, Loc loc)
{
    switch (v.kind) {
    case V_INT:
        return DT_INT;
    case V_FLOAT:
        return DT_FLOAT;
    case V_BOOL:
        return DT_BOOL;
    case V_SIZE:
        return v.size.den ? DT_FLOAT : DT_INT;
    case V_ELEM:
        return v.elem.e.node->dt;
    case V_TENSOR:
        return v.tensor.e.node->dt;
    default:
        user_error(b->d, loc, "a number is needed here\nfound: %s", value_what(b, v));
    }
}

bool value_known(Builder *b, Value v, bool *truth)
{
    (void)b;
    if (v.kind == V_BOOL) return *truth = v.b, true;
    if (!value_is_graph(v)) return false;
    Edge e = v.kind == V_ELEM ? v.elem.e : v.tensor.e;
    if (e.node->dt != DT_BOOL || !node_is(e.node, OP_const)) return false;
    return *truth = e.node->attr.value.i != 0, true;
}

/* ---- text ---- */

const char *shape_text(Builder *b, const Space *shape, const char *const *dim)
{
    Str s = {.arena = b->a};
    str_add(&s, "[");
    for (int i = 0; i < shape->n; i++) {
        const char *ext = ix_text(b->g, shape->ext[i]);
        if (i) str_add(&s, ", ");
        if (dim && dim[i] && strcmp(dim[i], ext))
            str_printf(&s, "%s: %s", dim[i], ext);
        else
            str_add(&s, ext);
    }
    str_add(&s, "]");
    return s.s;
}

const char *indexed_text(Builder *b, const char *name, Value v)
{
    Str s = {.arena = b->a};
    str_printf(&s, "%s[", name);
    for (int i = 0; i < v.tensor.shape->n; i++) {
        const char *dim = v.tensor.dim && v.tensor.dim[i] ? v.tensor.dim[i] : "_";
        str_printf(&s, "%s%s", i ? ", " : "", dim);
    }
    str_add(&s, "]");
    return s.s;
}

const char *axes_text(Builder *b, int n, Axis *const *axis)
{
    Str s = {.arena = b->a};
    str_add(&s, "[");
    for (int i = 0; i < n; i++) str_printf(&s, "%s%s", i ? ", " : "", axis[i]->name);
    str_add(&s, "]");
    return s.s;
}

const char *value_what(Builder *b, Value v)
{
    static const char *const type[] = {"float", "int", "bool"};
    switch (v.kind) {
    case V_NONE:
        return "none";
    case V_INT:
        return arena_printf(b->a, "the int %lld", (long long)v.i);
    case V_FLOAT:
        return arena_printf(b->a, "the float %.9g", v.f);
    case V_BOOL:
        return v.b ? "the bool true" : "the bool false";
    case V_STRING:
        return arena_printf(b->a, "the string \"%s\"", v.s);
    case V_LIST:
        return arena_printf(b->a, "a list of %d", v.list.n);
    case V_TUPLE:
        return arena_printf(b->a, "%d values", v.list.n);
    case V_SIZE:
        return arena_printf(b->a, "the size %s%s", ix_text(b->g, v.size.num),
                            v.size.den ? " over a number" : "");
    case V_ELEM:
        if (!v.elem.n)
            return arena_printf(b->a, "one %s, computed from tensors", type[v.elem.e.node->dt]);
        return arena_printf(b->a, "an element (%s over %s)", type[v.elem.e.node->dt],
                            axes_text(b, v.elem.n, v.elem.axis));
    case V_TENSOR:
        return arena_printf(b->a, "a whole %s tensor %s", type[v.tensor.e.node->dt],
                            shape_text(b, v.tensor.shape, v.tensor.dim));
    }
    return "?";
}

/* ---- axes ---- */

Axis *axis_new(Builder *b, const char *name, const Ix *ext, bool written, Loc loc, const char *from)
{
    Axis *a = NEW(b->a, Axis);
    *a = (Axis){b->next_axis++, name, ext, written, loc, from};
    return a;
}

int axes_find(const AxisSet *s, const Axis *a)
{
    for (int i = 0; i < s->n; i++)
        if (s->v[i] == a) return i;
    return -1;
}

void axes_add(Builder *b, AxisSet *s, Axis *a)
{
    if (axes_find(s, a) >= 0) return;
    if (s->n == MAX_AXES)
        user_error(b->d, b->g->loc, "this expression varies over more than %d indices", MAX_AXES);
    s->v[s->n++] = a;
}

void axes_sort(AxisSet *s)
{
    for (int i = 1; i < s->n; i++)
        for (int j = i; j > 0 && s->v[j]->id < s->v[j - 1]->id; j--) {
            Axis *a = s->v[j];
            s->v[j] = s->v[j - 1], s->v[j - 1] = a;
        }
}

void axes_of(Builder *b, AxisSet *s, Value v)
{
    if (v.kind != V_ELEM) return;
    for (int i = 0; i < v.elem.n; i++) axes_add(b, s, v.elem.axis[i]);
}

const Space *axes_space(Builder *b, const AxisSet *s)
{
    const Ix *ext[MAX_AXES];
    for (int i = 0; i < s->n; i++) ext[i] = s->v[i]->ext;
    return space_make(b->g, s->n, ext);
}

/* ---- elements and tensors ---- */

Value value_elem(Builder *b, Edge e, const AxisSet *axes)
{
    AxisSet used = {0};
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < axes->n; i++) {
        bool uses = edge_axes(e) >> i & 1;
        ix[i] = uses ? ix_axis(b->g, used.n) : ix_const(b->g, 0);
        if (uses) used.v[used.n++] = axes->v[i];
    }
    if (used.n < axes->n) e = edge_comp(b->g, e, map_make(b->g, axes->n, ix), axes_space(b, &used));
    Value v = {.kind = V_ELEM, .elem = {e, used.n, NULL}};
    v.elem.axis = arena_copy(b->a, used.v, sizeof(Axis *) * (size_t)(used.n + 1));
    return v;
}

Value value_tensor(Builder *b, Edge e, const Space *shape, const char *const *dim)
{
    if (!shape->n) return value_elem(b, e, &(AxisSet){0});
    return (Value){.kind = V_TENSOR, .tensor = {e, shape, dim}};
}

static Edge int_edge(Builder *b, int64_t i, DType like, Loc loc)
{
    if (like == DT_FLOAT) return graph_float(b->g, (double)i);
    if (i < INT32_MIN || i > INT32_MAX)
        user_error(b->d, loc, "%lld does not fit an int of a tensor (32 bits)", (long long)i);
    return graph_int(b->g, (int32_t)i);
}

Edge value_edge(Builder *b, Value v, DType like, Loc loc)
{
    Graph *g = b->g;
    const Space *point = space_make(g, 0, NULL);
    switch (v.kind) {
    case V_INT:
        return int_edge(b, v.i, like, loc);
    case V_FLOAT:
        if (fabs(v.f) > FLT_MAX && !isinf(v.f))
            user_error(b->d, loc,
                       "%g does not fit a float of a tensor (32 bits)\nexpected: at most %g", v.f,
                       (double)FLT_MAX);
        return graph_float(g, v.f);
    case V_BOOL:
        return graph_bool(g, v.b);
    case V_SIZE: {
        Edge e = graph_idx(g, v.size.num, point);
        if (!v.size.den) return e;
        return graph_pw2(g, OP_div, point, graph_cast(g, DT_FLOAT, point, e),
                         graph_float(g, (double)v.size.den));
    }
    case V_ELEM:
        return v.elem.e;
    case V_TENSOR:
        return v.tensor.e;
    default:
        user_error(b->d, loc, "a number is needed here\nfound: %s", value_what(b, v));
    }
}

Edge value_onto(Builder *b, Value v, const AxisSet *s, const Space *space, DType like, Loc loc)
{
    Edge e = value_edge(b, v, like, loc);
    if (v.kind != V_ELEM) return e; /* constants: a map of no entries suits every space */
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < v.elem.n; i++) ix[i] = ix_axis(b->g, axes_find(s, v.elem.axis[i]));
    return edge_comp(b->g, e, map_make(b->g, v.elem.n, ix), space);
}

/* ---- sizes ---- */

const Ix *size_of(Builder *b, Value v, Loc loc, const char *what)
{
    if (v.kind == V_INT) return ix_const(b->g, v.i);
    if (v.kind == V_SIZE && !v.size.den) return v.size.num;
    if (v.kind == V_FLOAT || v.kind == V_SIZE)
        user_error(b->d, loc,
                   "%s must be an int\nfound: %s\nhint: `int(...)` cuts off the fraction, `//` "
                   "divides ints",
                   what, value_what(b, v));
    if (value_is_graph(v))
        user_error(b->d, loc, "%s must be known before the step runs\nfound: %s", what,
                   value_what(b, v));
    user_error(b->d, loc, "%s must be an int\nfound: %s", what, value_what(b, v));
}

const Ix *extent_of(Builder *b, Value v, Loc loc, const char *what)
{
    const Ix *ix = size_of(b, v, loc, what);
    if (ix_is_const(ix) && (ix->c < 0 || ix->c > INT32_MAX))
        user_error(b->d, loc, "%s is %lld\nexpected: 0 to 2147483647", what, (long long)ix->c);
    return ix;
}
