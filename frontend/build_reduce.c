/* build_reduce.c: sum, mean, max, min, any, all, argmax, argmin, softmax.
 *
 * What stands after `|` decides the form:
 *   sum[b,t | near[b,h,t] == c] x     c bound outside: a scatter, keyed by `near`
 *   sum[m | m < n] x[m]               a prefix sum
 *   anything else                     the body where it holds, else the value that changes nothing
 */
#include "frontend/build.h"

typedef struct {
    Frame *f;
    const Expr *e;
    AxisSet over; /* reduced axes */
    int outside;  /* index[visible .. outside) are bound outside */
    bool guarded;
    Value cond; /* V_NONE: nothing left to test */
    int nkeys;
    struct {
        Axis *axis;
        Value at;
        Loc loc;
    } key[MAX_AXES];
} Reduce;

static bool takes_keys(ReduceKind k) { return k == RED_SUM || k == RED_MEAN; }

static Value and_with(Builder *b, Value cond, Value c, Loc loc)
{
    return cond.kind == V_NONE ? c : value_binary(b, BIN_AND, cond, c, loc);
}

static bool varies(Value v, const Axis *a)
{
    for (int i = 0; v.kind == V_ELEM && i < v.elem.n; i++)
        if (v.elem.axis[i] == a) return true;
    return false;
}

static bool varies_over(Value v, const AxisSet *s)
{
    for (int i = 0; i < s->n; i++)
        if (varies(v, s->v[i])) return true;
    return false;
}

/* ---- finishing: the element v, reduced over r->over ---- */

static Op reduce_op(ReduceKind k)
{
    static const Op ops[] = {
        [RED_SUM] = OP_sum,  [RED_MEAN] = OP_sum, [RED_MAX] = OP_rmax,    [RED_MIN] = OP_rmin,
        [RED_ANY] = OP_rmax, [RED_ALL] = OP_rmin, [RED_SOFTMAX] = OP_rmax};
    return ops[k];
}

/* The value that changes nothing. */
static Value neutral(ReduceKind k, DType dt)
{
    bool low = k == RED_MAX || k == RED_ARGMAX || k == RED_SOFTMAX;
    switch (k) {
    case RED_SUM:
    case RED_MEAN:
        return dt == DT_FLOAT ? value_float(0) : value_int(0);
    case RED_ANY:
        return value_bool(false);
    case RED_ALL:
        return value_bool(true);
    default:
        if (dt == DT_INT) return value_int(low ? INT32_MIN : INT32_MAX);
        return value_float(low ? LOWEST : -LOWEST);
    }
}

/* v over the axes it varies over outside (returned), then the reduced ones. */
static AxisSet split_axes(const Reduce *r, Value v, int *nout)
{
    Builder *b = r->f->b;
    AxisSet all = {0}, mine = {0};
    axes_of(b, &mine, v);
    for (int i = 0; i < mine.n; i++)
        if (axes_find(&r->over, mine.v[i]) < 0) axes_add(b, &all, mine.v[i]);
    *nout = all.n;
    for (int i = 0; i < r->over.n; i++) axes_add(b, &all, r->over.v[i]);
    return all;
}

static AxisSet first_axes(const AxisSet *s, int n)
{
    AxisSet r = *s;
    r.n = n;
    return r;
}

static Value finish_plain(const Reduce *r, ReduceKind k, Value v)
{
    Builder *b = r->f->b;
    int nout;
    AxisSet all = split_axes(r, v, &nout), out = first_axes(&all, nout);
    const Space *space = axes_space(b, &all);
    Edge e = value_onto(b, v, &all, space, DT_INT, r->e->loc);
    return value_elem(b, graph_reduce(b->g, reduce_op(k), space, nout, e), &out);
}

static Value finish_keyed(const Reduce *r, Value v)
{
    Builder *b = r->f->b;
    Graph *g = b->g;
    AxisSet all = {0}, mine = {0};
    axes_of(b, &mine, v);
    for (int i = 0; i < r->nkeys; i++)
        axes_of(b, &mine, r->key[i].at), axes_add(b, &all, r->key[i].axis);
    for (int i = 0; i < mine.n; i++)
        if (axes_find(&r->over, mine.v[i]) < 0) axes_add(b, &all, mine.v[i]);
    axes_sort(&all);
    AxisSet out = all;
    for (int i = 0; i < r->over.n; i++) axes_add(b, &all, r->over.v[i]);
    const Space *space = axes_space(b, &all);
    const Ix *key[MAX_AXES] = {NULL}, *sub[MAX_AXES];
    for (int i = 0; i < r->nkeys; i++) {
        Edge at = value_onto(b, r->key[i].at, &all, space, DT_INT, r->key[i].loc);
        key[axes_find(&all, r->key[i].axis)] = ix_load(g, at, space);
    }
    for (int i = 0; i < all.n; i++)
        sub[i] = key[i] ? key[i] : ix_axis(g, i); /* in the body t is the key */
    Edge e = edge_comp(g, value_onto(b, v, &all, space, DT_INT, r->e->loc), map_make(g, all.n, sub),
                       space);
    return value_elem(b, graph_scat(g, space, out.n, e, key), &out);
}

static Value finish(const Reduce *r, ReduceKind k, Value v)
{
    Builder *b = r->f->b;
    if (r->cond.kind != V_NONE)
        v = value_where(b, r->cond, v, neutral(k, value_dtype(b, v, r->e->loc)), r->e->loc);
    return r->nkeys ? finish_keyed(r, v) : finish_plain(r, k, v);
}

/* ---- the condition ---- */

/* `x == t` with t an index bound outside and x varying inside: a key. */
static bool take_key(Reduce *r, const Expr *name, const Expr *other)
{
    Frame *f = r->f;
    if (name->kind != EX_NAME || r->nkeys == MAX_AXES) return false;
    IndexVar *t = index_find(f, name->s);
    if (!t || !t->axis || t - f->index.v >= r->outside) return false;
    Axis *axis = t->axis;
    for (int i = 0; i < r->nkeys; i++)
        if (r->key[i].axis == axis) return false;
    Value x = eval(f, other);
    if (x.kind != V_ELEM || x.elem.e.node->dt != DT_INT || !varies_over(x, &r->over) ||
        varies(x, axis))
        return false;
    r->key[r->nkeys].axis = axis, r->key[r->nkeys].at = x, r->key[r->nkeys++].loc = other->loc;
    return true;
}

static void read_guard(Reduce *r, const Expr *e)
{
    Builder *b = r->f->b;
    if (e->kind == EX_BINARY && e->binary.op == BIN_AND) {
        read_guard(r, e->binary.a), read_guard(r, e->binary.b);
        return;
    }
    if (e->kind == EX_BINARY && e->binary.op == BIN_EQ && takes_keys(r->e->reduce.kind))
        if (take_key(r, e->binary.a, e->binary.b) || take_key(r, e->binary.b, e->binary.a)) return;
    Value c = eval(r->f, e);
    if (c.kind == V_NONE) none_error(b, c, e->loc);
    if (value_dtype(b, c, e->loc) != DT_BOOL)
        user_error(b->d, e->loc, "a condition after `|` is a bool\nfound: %s", value_what(b, c));
    if (c.kind == V_BOOL && c.b) return;
    r->cond = and_with(b, r->cond, c, e->loc);
}

/* A body that reads the keyed axis reads it at the key, which must then lie inside. */
static void drop_unsafe_keys(Reduce *r, Value v)
{
    Builder *b = r->f->b;
    for (int i = 0; i < r->nkeys; i++) {
        Axis *a = r->key[i].axis;
        if (!varies(v, a) && !(r->cond.kind == V_ELEM && varies(r->cond, a))) {
            bool other = false;
            for (int j = 0; j < r->nkeys; j++) other = other || varies(r->key[j].at, a);
            if (!other) continue;
        }
        AxisSet s = {0};
        bool low, high;
        axes_of(b, &s, r->key[i].at);
        const Ix *at = ix_load(b->g, r->key[i].at.elem.e, axes_space(b, &s));
        bool crossed = false;
        for (int j = 0; j < r->nkeys; j++) crossed = crossed || varies(r->key[j].at, a);
        if (!crossed && prove_inside(r->f, at, &s, a->ext, &low, &high)) continue;
        Value eq = value_binary(b, BIN_EQ, r->key[i].at, axis_value(r->f, a), r->key[i].loc);
        r->cond = and_with(b, r->cond, eq, r->key[i].loc);
        r->key[i--] = r->key[--r->nkeys];
    }
}

/* ---- prefix sums ---- */

/* m < n, m <= n, m > n, m >= n with m reduced and n bound outside, of equal extent. */
static Axis *scan_bound(const Reduce *r, const Expr *e, bool *exclusive, bool *reverse)
{
    Frame *f = r->f;
    if (r->over.n != 1 || e->kind != EX_BINARY || e->binary.op < BIN_LT || e->binary.op > BIN_GE)
        return NULL;
    if (e->binary.a->kind != EX_NAME || e->binary.b->kind != EX_NAME) return NULL;
    IndexVar *a = index_find(f, e->binary.a->s), *c = index_find(f, e->binary.b->s);
    if (!a || !c || !a->axis || !c->axis) return NULL;
    bool less = e->binary.op == BIN_LT || e->binary.op == BIN_LE, swapped = c->axis == r->over.v[0];
    *exclusive = e->binary.op == BIN_LT || e->binary.op == BIN_GT;
    *reverse = less == swapped;
    Axis *m = swapped ? c->axis : a->axis, *n = swapped ? a->axis : c->axis;
    if (m != r->over.v[0] || m == n || !ix_proves_eq(f->b->g, m->ext, n->ext)) return NULL;
    return n;
}

/* How many m there are for n. */
static Value scan_count(Frame *f, Axis *n, bool exclusive, bool reverse, Loc loc)
{
    Builder *b = f->b;
    Value at = axis_value(f, n);
    if (reverse)
        at = value_binary(b, BIN_SUB, value_size(ix_sub(b->g, n->ext, ix_const(b->g, 1))), at, loc);
    return exclusive ? at : value_binary(b, BIN_ADD, at, value_int(1), loc);
}

static bool try_scan(Reduce *r, Value v, Value *out)
{
    Frame *f = r->f;
    Builder *b = f->b;
    const Expr *e = r->e;
    bool exclusive, reverse;
    if (!takes_keys(e->reduce.kind) || !e->reduce.guard) return false;
    Axis *n = scan_bound(r, e->reduce.guard, &exclusive, &reverse);
    if (!n || varies(v, n)) return false;
    Value count = scan_count(f, n, exclusive, reverse, e->loc);
    if (!varies_over(v, &r->over)) {
        *out = value_binary(b, BIN_MUL, v, count, e->loc);
    } else {
        AxisSet s = {0};
        axes_of(b, &s, v);
        int axis = axes_find(&s, r->over.v[0]);
        Edge in = v.elem.e;
        s.v[axis] = n;
        const Space *space = axes_space(b, &s);
        *out = value_elem(b, graph_scan(b->g, space, axis, exclusive, reverse, in), &s);
    }
    if (e->reduce.kind == RED_MEAN)
        *out = value_binary(b, BIN_DIV, *out, value_minmax(b, true, count, value_int(1), e->loc),
                            e->loc);
    return true;
}

/* ---- mean, softmax ---- */

static Value count_of(const Reduce *r)
{
    Builder *b = r->f->b;
    Graph *g = b->g;
    if (r->guarded) {
        Value n = finish(r, RED_SUM, value_float(1));
        return value_minmax(b, true, n, value_float(1), r->e->loc);
    }
    const Ix *n = space_count(g, axes_space(b, &r->over));
    if (!ix_proves_ge0(g, ix_sub(g, n, ix_const(g, 1)), NULL))
        n = ix_max(g, n, ix_const(g, 1), NULL);
    return value_size(n);
}

static Value softmax(Reduce *r, Value v)
{
    Builder *b = r->f->b;
    Loc loc = r->e->loc;
    Value cond = r->cond, m = finish(r, RED_SOFTMAX, v), x = v;
    if (cond.kind != V_NONE) x = value_where(b, cond, v, value_float(LOWEST), loc);
    Value d = value_binary(b, BIN_SUB, x, m, loc);
    Value e = value_op(b, OP_exp, 1, &d, loc);
    if (cond.kind != V_NONE) e = value_where(b, cond, e, value_float(0), loc);
    r->cond.kind = V_NONE;
    Value z = finish(r, RED_SUM, e);
    if (cond.kind != V_NONE) { /* nothing to choose from: all 0, and so are the gradients */
        Value some = value_binary(b, BIN_GT, z, value_float(0), loc);
        Value one = value_where(b, some, value_float(0), value_float(1), loc);
        z = value_binary(b, BIN_ADD, z, one, loc);
    }
    return value_binary(b, BIN_DIV, e, z, loc);
}

/* ---- ranks ---- */

static void check_width(Frame *f, const Ix *width, const Axis *over, Loc loc)
{
    Graph *g = f->b->g;
    const Ix *room = ix_sub(g, over->ext, width);
    if (ix_proves_ge0(g, room, NULL)) return;
    if (ix_is_const(room))
        user_error(f->b->d, loc, "the %s best of `%s`, which has only %s", ix_text(g, width),
                   over->name, ix_text(g, over->ext));
    graph_check(
        g, (Check){.kind = CHECK_GE0,
                   .ix = room,
                   .loc = loc,
                   .text = arena_printf(g->arena, "the %s best of `%s`, which has only %s",
                                        ix_text(g, width), over->name, ix_text(g, over->ext))});
    graph_fact_ge0(g, room);
}

/* The rank after `;`: an index bound outside (its axis), or a number. */
static Axis *read_rank(const Reduce *r, int64_t *number)
{
    Frame *f = r->f;
    Builder *b = f->b;
    const Expr *e = r->e->reduce.rank;
    *number = 0;
    if (!e) return NULL;
    IndexVar *i = e->kind == EX_NAME ? index_find(f, e->s) : NULL;
    if (i && i->axis && axes_find(&r->over, i->axis) < 0) return i->axis;
    Value n = eval_static(f, e, "a rank that is no index");
    if (n.kind != V_INT || n.i < 0)
        user_error(b->d, e->loc, "a rank is an index bound outside, or an int from 0\nfound: %s",
                   value_what(b, n));
    *number = n.i;
    return NULL;
}

/* Positions of the largest along the one reduced axis, and, for max and min, what stands there. */
static Value ranked(Reduce *r, Value v, bool positions, bool least)
{
    Frame *f = r->f;
    Builder *b = f->b;
    Graph *g = b->g;
    Loc loc = r->e->loc;
    int64_t number;
    Axis *rank = read_rank(r, &number);
    if (r->over.n != 1)
        user_error(b->d, loc, "`%s` takes the best along one index\nfound: %d",
                   reduce_name(r->e->reduce.kind), r->over.n);
    if (rank && varies(v, rank))
        user_error(b->d, loc, "what is ranked can't read the rank `%s`", rank->name);
    const Ix *width = rank ? rank->ext : ix_const(g, number + 1);
    check_width(f, width, r->over.v[0], r->e->reduce.rank ? r->e->reduce.rank->loc : loc);
    if (r->cond.kind != V_NONE)
        v = value_where(b, r->cond, v, neutral(least ? RED_MIN : RED_MAX, value_dtype(b, v, loc)),
                        loc);
    int nout;
    AxisSet all = split_axes(r, v, &nout), out = first_axes(&all, nout);
    const Space *space = axes_space(b, &all);
    Edge e = value_onto(b, v, &all, space, DT_INT, loc);
    Edge top = graph_top(g, space, nout, least ? graph_pw1(g, OP_neg, space, e) : e, width);
    const Ix *m[MAX_AXES];
    for (int i = 0; i < nout; i++) m[i] = ix_axis(g, i);
    m[nout] = rank ? ix_axis(g, nout) : ix_const(g, number);
    if (rank) axes_add(b, &out, rank);
    const Space *to = axes_space(b, &out);
    top = edge_comp(g, top, map_make(g, nout + 1, m), to);
    if (positions) return value_elem(b, top, &out);
    m[nout] = ix_load(g, top, to);
    return value_elem(b, edge_comp(g, e, map_make(g, nout + 1, m), to), &out);
}

/* ---- over a static list ---- */

RTC_NORETURN static void not_bool(Frame *f, const Expr *e, Value v)
{
    Builder *b = f->b;
    const char *name = reduce_name(e->reduce.kind), *body = expr_text(b, e->reduce.body);
    const char *kind = v.kind == V_NONE                      ? "none"
                       : value_dtype(b, v, e->loc) == DT_INT ? "an int"
                                                             : "a float";
    user_error(
        b->d, e->loc,
        "`%s` reaches as far as a product, so it got %s: `%s[%s] (%s > 0)`\nexpected: a bool", name,
        kind, name, e->reduce.over.v[0].is_dots ? ".." : e->reduce.over.v[0].name.s, body);
}

static Value join(Builder *b, ReduceKind k, Value x, Value y, Loc loc)
{
    switch (k) {
    case RED_SUM:
        return value_binary(b, BIN_ADD, x, y, loc);
    case RED_MAX:
    case RED_MIN:
        return value_minmax(b, k == RED_MAX, x, y, loc);
    default:
        return value_binary(b, k == RED_ANY ? BIN_OR : BIN_AND, x, y, loc);
    }
}

static bool over_list(Frame *f, const Expr *e, Value *out)
{
    Builder *b = f->b;
    ReduceKind k = e->reduce.kind;
    const Expr *in[2] = {e->reduce.body, e->reduce.guard};
    int64_t n;
    bool joins = k == RED_SUM || k == RED_MAX || k == RED_MIN || k == RED_ANY || k == RED_ALL;
    if (!joins || e->reduce.over.n != 1 || e->reduce.rank) return false;
    if (!index_over_list(f, &e->reduce.over.v[0], in, e->reduce.guard ? 2 : 1, &n)) return false;
    Scope *outer = f->scope;
    uint64_t site = f->site;
    int cached = f->cache.n;
    bool any = k == RED_ANY || k == RED_ALL;
    *out = any ? neutral(k, DT_BOOL) : k == RED_SUM ? value_int(0) : neutral(k, DT_FLOAT);
    for (int64_t i = 0; i < n; i++, f->cache.n = cached) {
        f->scope = scope_new(b, outer), f->site = hash_mix(site, (uint64_t)i);
        scope_add(b, f->scope, VAR_LOOP, e->reduce.over.v[0].name, value_int(i));
        Value v = eval(f, e->reduce.body);
        if (any && value_dtype(b, v, e->loc) != DT_BOOL) not_bool(f, e, v);
        if (e->reduce.guard) {
            Value none = any            ? neutral(k, DT_BOOL)
                         : k == RED_SUM ? value_int(0)
                                        : neutral(k, DT_FLOAT);
            v = value_where(b, eval(f, e->reduce.guard), v, none, e->loc);
        }
        *out = i || any ? join(b, k, *out, v, e->loc) : v;
    }
    f->scope = outer, f->site = site;
    return true;
}

/* ---- all together ---- */

static void bind_over(Reduce *r)
{
    Frame *f = r->f;
    Builder *b = f->b;
    const RangeVec *over = &r->e->reduce.over;
    for (int i = 0; i < over->n; i++) {
        const Range *p = &over->v[i];
        const Ix *ext = NULL;
        if (p->extent)
            ext = extent_of(b, eval_whole(f, p->extent), p->extent->loc, "the extent of an index");
        int at = index_push(f, p->is_dots ? (Name){"..", p->loc} : p->name, p->is_dots);
        if (ext)
            f->index.v[at].axis =
                axis_new(b, p->name.s, ext, true, p->extent->loc, expr_text(b, p->extent));
    }
}

static void collect_over(Reduce *r)
{
    Frame *f = r->f;
    for (int i = r->outside; i < f->index.n; i++) {
        const IndexVar *v = &f->index.v[i];
        if (!v->dots) axes_add(f->b, &r->over, v->axis);
        for (int j = 0; v->dots && j < v->nmany; j++) axes_add(f->b, &r->over, v->many[j]);
    }
}

/* softmax keeps its indices: they are bound outside. */
static void softmax_over(Reduce *r)
{
    Frame *f = r->f;
    Builder *b = f->b;
    for (int i = 0; i < r->e->reduce.over.n; i++) {
        const Range *p = &r->e->reduce.over.v[i];
        IndexVar *v = index_find(f, p->is_dots ? ".." : p->name.s);
        if (!v)
            user_error(
                b->d, p->loc,
                "`softmax[%s]` keeps `%s`, so `%s` must be bound outside: `let p[%s] = softmax[%s] "
                "...`",
                p->name.s, p->name.s, p->name.s, p->name.s, p->name.s);
        if (p->extent &&
            !ix_proves_eq(b->g, extent_of(b, eval_whole(f, p->extent), p->loc, "an extent"),
                          v->axis->ext))
            user_error(b->d, p->loc, "`%s` goes to %s outside", p->name.s,
                       ix_text(b->g, v->axis->ext));
        if (!v->dots) axes_add(b, &r->over, v->axis);
        for (int j = 0; v->dots && j < v->nmany; j++) axes_add(b, &r->over, v->many[j]);
    }
}

static Value reduce_body(Reduce *r)
{
    Frame *f = r->f;
    Builder *b = f->b;
    const Expr *e = r->e;
    ReduceKind k = e->reduce.kind;
    Value v = eval(f, e->reduce.body), out;
    bool any = k == RED_ANY || k == RED_ALL;
    if (v.kind == V_NONE) return v;
    if (any != (value_dtype(b, v, e->reduce.body->loc) == DT_BOOL)) {
        if (any) not_bool(f, e, v);
        user_error(b->d, e->reduce.body->loc,
                   "`%s` takes numbers\nfound: %s\nhint: `where(c, 1, 0)`", reduce_name(k),
                   value_what(b, v));
    }
    bool to_float = k == RED_MEAN || k == RED_SOFTMAX;
    if (to_float && value_dtype(b, v, e->loc) == DT_INT)
        v = value_binary(b, BIN_DIV, v, value_int(1), e->loc);
    if (try_scan(r, v, &out)) return out;
    if (r->guarded) read_guard(r, e->reduce.guard);
    drop_unsafe_keys(r, v);
    if (k == RED_SOFTMAX) return softmax(r, v);
    if (k == RED_ARGMAX || k == RED_ARGMIN) return ranked(r, v, true, k == RED_ARGMIN);
    if (e->reduce.rank && (k == RED_MAX || k == RED_MIN)) return ranked(r, v, false, k == RED_MIN);
    if (e->reduce.rank)
        user_error(b->d, e->reduce.rank->loc, "`%s` takes no rank; `argmax argmin max min` do",
                   reduce_name(k));
    out = finish(r, k, v);
    if (k != RED_MEAN) return out;
    return value_binary(b, BIN_DIV, out, count_of(r), e->loc);
}

Value eval_reduce(Frame *f, const Expr *e)
{
    Reduce r = {.f = f, .e = e, .outside = f->index.n, .guarded = e->reduce.guard != NULL};
    r.cond.kind = V_NONE;
    Value out, none;
    if (over_list(f, e, &out)) return out;
    bool element = f->element;
    const Expr *in[2] = {e->reduce.body, e->reduce.guard};
    if (e->reduce.kind == RED_SOFTMAX) {
        softmax_over(&r);
    } else {
        bind_over(&r);
        f->element = true;
        index_resolve(f, r.outside, in, r.guarded ? 2 : 1, &none);
        if (none.kind == V_NONE) {
            f->index.n = r.outside, f->element = element;
            return none;
        }
        collect_over(&r);
    }
    f->element = true;
    out = reduce_body(&r);
    f->index.n = r.outside, f->element = element;
    return out;
}
