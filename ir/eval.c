/* eval.c: the reference evaluator: what a graph means for concrete sizes and inputs.
 *
 * Nodes are computed whole, one after another, in the order of their ids, and kept. Asking for a
 * value first marks what it needs, from the node downwards; a `branch` computes its condition at
 * once and marks only the side that is taken. eval_ops.c has the ops, eval_rows.c the loops.
 *
 * A node is computed over its whole space, also at positions that its readers only reach behind a
 * guard. Reads outside an operand at such positions give 0 and a mark that travels with the value;
 * a marked value that arrives at eval_edge was reached without a guard, which is a mistake of a
 * pass.
 */
#include <inttypes.h>
#include "ir/eval_rows.h"

static const char *sizes_text(Eval *ev)
{
    Str s = {.arena = ev->arena};
    str_add(&s, "");
    for (int i = 0; i < ev->g->syms.n; i++)
        str_printf(&s, "%s%s = %" PRId64, i ? ", " : "", ev->g->syms.v[i].name, ev->syms[i]);
    return s.s;
}

/* ---- life ---- */

static Arena *eval_arena(Graph *g)
{
    Arena *a = arena_new();
    if (!a) diag_oom(g->diag);
    arena_on_oom(a, diag_oom, g->diag);
    return a;
}

Eval *eval_new(Graph *g, const int64_t *syms, uint64_t seed, uint64_t step, bool fresh)
{
    for (int i = 0; i < g->syms.n; i++)
        if (syms[i] < 1 || syms[i] > INT32_MAX)
            diag_fail(g->diag, "the size `%s` is %" PRId64 "; sizes lie in 1..%d",
                      g->syms.v[i].name, syms[i], INT32_MAX);
    Arena *a = eval_arena(g);
    Eval *ev = NEW(a, Eval);
    *ev = (Eval){.g = g, .arena = a, .seed = seed, .step = step, .fresh = fresh};
    ev->syms = arena_copy(a, syms, sizeof *syms * (size_t)g->syms.n);
    return ev;
}

void eval_free(Eval *ev)
{
    if (!ev) return;
    arena_free(ev->scratch);
    arena_free(ev->arena);
}

void eval_limit(Eval *ev, double bytes) { ev->limit = bytes; }

static void *grown(Eval *ev, const void *old, size_t size, int n)
{
    void *p = arena_alloc(ev->arena, size * (size_t)n);
    if (ev->n) memcpy(p, old, size * (size_t)ev->n);
    return p;
}

/* Room for nodes that were added since the last call. */
static void eval_reach(Eval *ev)
{
    int n = ev->g->nodes.n;
    if (n <= ev->n) return;
    n += n / 2;
    ev->value = grown(ev, ev->value, sizeof *ev->value, n);
    ev->bad = grown(ev, ev->bad, sizeof *ev->bad, n);
    ev->done = grown(ev, ev->done, sizeof *ev->done, n);
    ev->want = grown(ev, ev->want, sizeof *ev->want, n);
    ev->moved = grown(ev, ev->moved, sizeof *ev->moved, n);
    ev->set = grown(ev, ev->set, sizeof *ev->set, n);
    ev->n = n;
}

static size_t element_size(DType dt)
{
    return dt == DT_FLOAT ? sizeof(double) : dt == DT_INT ? sizeof(int32_t) : 1;
}

void tensor_alloc(Eval *ev, Tensor *t, DType dt, int rank, const int64_t *shape)
{
    size_t bytes = element_size(dt);
    *t = (Tensor){.dt = dt, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        t->shape[i] = shape[i];
        if (shape[i] < 0 || !size_mul(bytes, (size_t)shape[i], &bytes) || bytes > PTRDIFF_MAX / 4)
            diag_fail(ev->g->diag, "an intermediate value has too large a shape (%s)",
                      sizes_text(ev));
    }
    for (int i = 0; i < rank; i++) t->count *= shape[i];
    double all = (double)arena_bytes(ev->arena) + (double)bytes, gib = 1024.0 * 1024 * 1024;
    if (ev->limit > 0 && all > ev->limit)
        diag_fail(ev->g->diag, "the evaluator keeps every value: more than %.1f GiB are needed, "
                               "%.1f GiB can be had\nwith %s", all / gib, ev->limit / gib,
                  sizes_text(ev));
    t->data = arena_alloc(ev->arena, bytes);
}

static void space_sizes(Eval *ev, const Space *s, int rank, int64_t *shape)
{
    IxEnv env = {.syms = ev->syms};
    for (int i = 0; i < rank; i++) shape[i] = ix_eval(s->ext[i], &env);
}

/* The node's tensor, allocated on first use. */
static Tensor *node_tensor(Eval *ev, const Node *n)
{
    eval_reach(ev);
    if (!ev->value[n->id]) {
        int64_t shape[MAX_AXES];
        space_sizes(ev, n->space, n->rank, shape);
        Tensor *t = NEW(ev->arena, Tensor);
        tensor_alloc(ev, t, n->dt, n->rank, shape);
        ev->value[n->id] = t;
    }
    return ev->value[n->id];
}

/* ---- inputs ---- */

static const char *shape_text(Eval *ev, int rank, const int64_t *shape)
{
    Str s = {.arena = ev->arena};
    str_add(&s, "[");
    for (int i = 0; i < rank; i++) str_printf(&s, "%s%" PRId64, i ? "," : "", shape[i]);
    str_add(&s, "]");
    return s.s;
}

static void tensor_put(Tensor *t, int64_t at, double v)
{
    if (t->dt == DT_FLOAT) ((double *)t->data)[at] = v;
    else if (t->dt == DT_INT) ((int32_t *)t->data)[at] = (int32_t)v;
    else ((uint8_t *)t->data)[at] = v != 0;
}

static bool is_given(const Node *n)
{
    return n->op == OP_param || n->op == OP_state || n->op == OP_input;
}

static const char *given_text(Eval *ev, const Node *n)
{
    if (!is_given(n)) return arena_printf(ev->arena, "%%%d", n->id);
    return arena_printf(ev->arena, "%s `%s`", op_info[n->op].name, n->attr.leaf.name);
}

typedef struct {
    const bool *moved;
    bool any;
} Moved;

static void see_moved(void *ctx, Edge e, bool as_index)
{
    Moved *m = ctx;
    (void)as_index;
    m->any = m->any || m->moved[e.node->id];
}

/* What was computed from the value of n is not current any more. */
static void forget_dependents(Eval *ev, const Node *n)
{
    if (!ev->computed) return;
    memset(ev->moved, 0, sizeof *ev->moved * (size_t)ev->n);
    ev->moved[n->id] = true;
    for (int i = n->id + 1; i < ev->g->nodes.n; i++) {
        Moved m = {.moved = ev->moved};
        if (ev->set[i]) continue;
        node_reads(ev->g->nodes.v[i], see_moved, &m);
        ev->moved[i] = m.any;
        if (m.any) ev->done[i] = false;
    }
}

void eval_set(Eval *ev, const Node *n, const Tensor *t)
{
    Tensor *to = node_tensor(ev, n);
    bool same = to->rank == t->rank;
    for (int i = 0; same && i < t->rank; i++) same = to->shape[i] == t->shape[i];
    if (!same)
        diag_fail(ev->g->diag, "%s has shape %s; %s was given", given_text(ev, n),
                  shape_text(ev, to->rank, to->shape), shape_text(ev, t->rank, t->shape));
    for (int64_t i = 0; i < t->count; i++) {
        double v = tensor_get(t, i);
        if (to->dt == DT_INT && !(v >= INT32_MIN && v <= INT32_MAX))
            diag_fail(ev->g->diag, "%s is int; %g was given", given_text(ev, n), v);
        tensor_put(to, i, v);
    }
    ev->bad[n->id] = NULL;
    ev->done[n->id] = ev->set[n->id] = true;
    forget_dependents(ev, n);
}

/* A leaf that was not set: an optional input takes its fill. */
static void set_absent(Eval *ev, const Node *n)
{
    for (int i = 0; n->op == OP_input && i < ev->g->inputs.n; i++) {
        const Named *in = &ev->g->inputs.v[i];
        if (in->node != n || !in->optional) continue;
        Tensor *t = node_tensor(ev, n);
        for (int64_t k = 0; k < t->count; k++) tensor_put(t, k, in->fill);
        return;
    }
    diag_fail(ev->g->diag, "%s has no value", given_text(ev, n));
}

/* ---- computing what is wanted ---- */

static void want(void *ctx, Edge e, bool as_index)
{
    Eval *ev = ctx;
    (void)as_index;
    ev->want[e.node->id] = true;
}

static void want_edge(Eval *ev, Edge e)
{
    want(ev, e, false);
    for (int i = 0; i < e.map->n; i++) ix_loads(e.map->ix[i], want, ev);
}

bool eval_truth(Eval *ev, Edge host)
{
    const Tensor *t = eval_node(ev, host.node);
    IxEnv env = {.syms = ev->syms};
    int64_t at = 0;
    for (int i = 0; i < t->rank; i++) at = at * t->shape[i] + ix_eval(host.map->ix[i], &env);
    return at >= 0 && at < t->count && tensor_get(t, at) != 0;
}

static void want_operands(Eval *ev, const Node *n)
{
    Edge factor[2];
    if (n->op == OP_branch) {
        want_edge(ev, n->args[eval_truth(ev, n->args[0]) ? 1 : 2]);
    } else if (eval_product(ev, n, factor) && !ev->want[n->args[0].node->id]) {
        want_edge(ev, factor[0]);
        want_edge(ev, factor[1]);
    } else {
        node_reads(n, want, ev);
    }
}

static void compute(Eval *ev, Node *n)
{
    Tensor *t = node_tensor(ev, n);
    arena_free(ev->scratch);
    ev->scratch = NULL;
    ev->scratch = eval_arena(ev->g);
    ev->bad[n->id] = NULL;
    ev->computed = true;
    eval_compute(ev, n, t);
    arena_free(ev->scratch);
    ev->scratch = NULL;
}

/* Computes every wanted node with an id up to `last`. Nested for the conditions of branches: what
 * was marked below by then is wanted anyway. */
static void compute_wanted(Eval *ev, int last)
{
    for (int i = last; i >= 0; i--)
        if (ev->want[i] && !ev->done[i]) want_operands(ev, ev->g->nodes.v[i]);
    for (int i = 0; i <= last; i++) {
        if (!ev->want[i]) continue;
        ev->want[i] = false;
        if (ev->done[i]) continue;
        Node *n = ev->g->nodes.v[i];
        if (is_given(n)) set_absent(ev, n);
        else compute(ev, n);
        ev->done[i] = true;
    }
}

const Tensor *eval_node(Eval *ev, Node *n)
{
    eval_reach(ev);
    if (!ev->done[n->id]) {
        ev->want[n->id] = true;
        compute_wanted(ev, n->id);
    }
    return ev->value[n->id];
}

Tensor eval_edge(Eval *ev, Edge e, const Space *space)
{
    Tensor t;
    int64_t shape[MAX_AXES];
    uint8_t *bad = NULL;
    eval_reach(ev);
    want_edge(ev, e);
    compute_wanted(ev, ev->g->nodes.n - 1);
    space_sizes(ev, space, space->n, shape);
    tensor_alloc(ev, &t, e.node->dt, space->n, shape);
    arena_free(ev->scratch);
    ev->scratch = NULL;
    ev->scratch = eval_arena(ev->g);
    eval_gather(ev, e, space, &t, &bad);
    if (!bad) return t;
    Str text = {.arena = ev->arena};
    str_add(&text, "the edge itself");
    for (int i = 0; i < ev->g->nodes.n; i++) {
        if (!ev->done[i] || !ev->bad[i]) continue;
        text.n = 0;
        node_print(ev->g, ev->g->nodes.v[i], &text);
        break;
    }
    diag_bug(ev->g->diag, "a value depends on a read outside its operand, with %s; first in\n%s",
             sizes_text(ev), text.s);
}

/* ---- checks ---- */

static void check_size(Eval *ev, const Check *c)
{
    int64_t v = ix_eval(c->ix, &(IxEnv){.syms = ev->syms});
    if (c->kind == CHECK_EQ0 ? v == 0 : v >= 0) return;
    user_error(ev->g->diag, c->loc, "%s\nwith %s, `%s` is %" PRId64 "; it must be %s", c->text,
               sizes_text(ev), ix_text(ev->g, c->ix), v,
               c->kind == CHECK_EQ0 ? "0" : "at least 0");
}

static void check_range(Eval *ev, const Check *c)
{
    Tensor t = eval_edge(ev, c->e, c->space);
    int64_t limit = ix_eval(c->ix, &(IxEnv){.syms = ev->syms}), pos[MAX_AXES];
    for (int64_t i = 0; i < t.count; i++) {
        double v = tensor_get(&t, i);
        if (v >= 0 && v < (double)limit) continue;
        int64_t rest = i;
        for (int d = t.rank - 1; d >= 0; d--) {
            pos[d] = rest % t.shape[d];
            rest /= t.shape[d];
        }
        const Node *n = c->e.node;
        const char *what = is_given(n) ? given_text(ev, n) : "the value";
        user_error(ev->g->diag, c->loc, "%s\n%s holds %g at %s, outside 0..%" PRId64, c->text, what,
                   v, shape_text(ev, t.rank, pos), limit - 1);
    }
}

void eval_checks(Eval *ev)
{
    for (int i = 0; i < ev->g->checks.n; i++) {
        const Check *c = &ev->g->checks.v[i];
        switch (c->kind) {
        case CHECK_EQ0:
        case CHECK_GE0: check_size(ev, c); break;
        case CHECK_RANGE: check_range(ev, c); break;
        case CHECK_TRUE:
            if (!eval_truth(ev, c->e))
                user_error(ev->g->diag, c->loc, "%s\nwith %s", c->text, sizes_text(ev));
            break;
        }
    }
}
