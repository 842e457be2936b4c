/* plan.c: groups become steps, stored nodes become buffers, roots get their places. Contract:
 * codegen.h.
 *
 * Values that decide what runs (conditions of branches, checks on inputs, whether a gradient is
 * reached) are computed by host steps before anything else: small kernels with one block, written
 * to PB_HOST buffers.
 */
#include "codegen/emit.h"

/* ---- table of pairs ---- */

static PairSlot *pair_slot(const PairTable *t, const void *a, const void *b, int c)
{
    uint64_t h = hash_mix(hash_mix((uintptr_t)a, (uintptr_t)b), (uint64_t)c);
    for (uint64_t i = h & (uint64_t)(t->cap - 1);; i = (i + 1) & (uint64_t)(t->cap - 1)) {
        PairSlot *s = &t->slot[i];
        if (!s->a || (s->a == a && s->b == b && s->c == c)) return s;
    }
}

int pair_find(const PairTable *t, const void *a, const void *b, int c)
{
    if (!t->cap) return -1;
    PairSlot *s = pair_slot(t, a, b, c);
    return s->a ? s->value : -1;
}

void pair_add(Arena *arena, PairTable *t, const void *p, const void *q, int c, int value)
{
    if (2 * (t->n + 1) > t->cap) {
        PairTable big = {.cap = t->cap ? 2 * t->cap : 64, .n = t->n};
        big.slot = NEW_N(arena, PairSlot, big.cap);
        for (int i = 0; i < t->cap; i++)
            if (t->slot[i].a)
                *pair_slot(&big, t->slot[i].a, t->slot[i].b, t->slot[i].c) = t->slot[i];
        *t = big;
    }
    PairSlot *s = pair_slot(t, p, q, c);
    if (!s->a) t->n++;
    *s = (PairSlot){p, q, c, value};
}

/* ---- sizes ---- */

int plan_int(Planner *pl, const Ix *e)
{
    int i = pair_find(&pl->ints, e, NULL, 0);
    if (i >= 0) return i;
    i = pl->p->ints.n;
    vec_push(pl->a, &pl->p->ints, e);
    pair_add(pl->a, &pl->ints, e, NULL, 0, i);
    return i;
}

double hinted(Planner *pl, const Ix *e)
{
    if (ix_is_const(e)) return (double)e->c;
    return (double)ix_eval(e, &(IxEnv){.syms = pl->hint});
}

double space_hint(Planner *pl, const Space *s)
{
    double n = 1;
    for (int i = 0; i < s->n; i++) n *= hinted(pl, s->ext[i]);
    return n;
}

const Ix *row_major(Graph *g, const Space *s)
{
    const Ix *at = ix_const(g, 0);
    for (int i = 0; i < s->n; i++) at = ix_add(g, ix_mul(g, at, s->ext[i]), ix_axis(g, i));
    return at;
}

/* ---- buffers ---- */

/* from: the order of its axes in memory, and padding of rows; NULL: as they come, none. */
static int add_buffer(Planner *pl, PlanBuffer b, const Space *shape, const Buffer *from)
{
    Graph *g = pl->g;
    b.first = b.last = -1;
    const Ix **stride = NEW_N(pl->a, const Ix *, shape->n + 1), *size = ix_const(g, 1);
    for (int i = shape->n - 1; i >= 0; i--) {
        int axis = from ? from->order[i] : i;
        stride[axis] = size;
        size = ix_mul(g, size, shape->ext[axis]);
        if (from && from->row && from->row == shape->n - i)
            size = ix_add(g, size, ix_const(g, ROW_PAD));
    }
    b.count = plan_int(pl, size);
    vec_push(pl->a, &pl->p->buffers, b);
    vec_push(pl->a, &pl->strides, stride);
    vec_push(pl->a, &pl->starts, NULL);
    return pl->p->buffers.n - 1;
}

int plan_add_buffer(Planner *pl, PlanBuffer b, const Space *shape)
{
    return add_buffer(pl, b, shape, NULL);
}

/* A buffer for what the loop is at along axis `cut`. */
static int add_piece(Planner *pl, PlanBuffer b, const Space *shape, const Buffer *from)
{
    const Piece *p = &pl->piece[from->loop - 1];
    b.piece = true;
    int id = add_buffer(pl, b, space_with(pl->g, shape, from->cut, p->size), from);
    pl->starts.v[id] = ix_mul(pl->g, p->off, pl->strides.v[id][from->cut]);
    return id;
}

const Ix *plan_address(Planner *pl, int b, const Map *m)
{
    Graph *g = pl->g;
    const Ix *at = ix_const(g, 0);
    for (int i = 0; i < m->n; i++) at = ix_add(g, at, ix_mul(g, m->ix[i], pl->strides.v[b][i]));
    return pl->starts.v[b] ? ix_sub(g, at, pl->starts.v[b]) : at;
}

bool is_light(const Node *n)
{
    OpClass c = op_info[n->op].cls;
    return c == CLASS_POINTWISE || c == CLASS_READ || c == CLASS_BRANCH || n->op == OP_idx ||
           n->op == OP_rand || n->op == OP_const;
}

static const char *leaf_name(const Node *n) { return n->attr.leaf.name; }

static bool is_named_leaf(const Node *n)
{
    return n->op == OP_param || n->op == OP_state || n->op == OP_input || n->op == OP_fresh;
}

static int new_buffer_of(Planner *pl, Node *n);
static int host_node(Planner *pl, Node *n);

/* Host steps run before all groups, so they compute for themselves what groups store. */
int plan_buffer_of(Planner *pl, Node *n)
{
    if (pl->host_now && !is_named_leaf(n)) return is_light(n) ? -1 : host_node(pl, n);
    while (pl->buf_of.n <= n->id) vec_push(pl->a, &pl->buf_of, 0);
    if (!pl->buf_of.v[n->id]) {
        int b = new_buffer_of(pl, n);
        while (pl->buf_of.n <= n->id) vec_push(pl->a, &pl->buf_of, 0);
        pl->buf_of.v[n->id] = b + 1;
    }
    return pl->buf_of.v[n->id] - 1;
}

/* ---- works ---- */

static Work work_of(Planner *pl, Node *n, const int8_t *axis, int buf)
{
    bool own = is_light(n);
    return (Work){.op = own && n->op != OP_branch ? OP_stop : n->op,
                  .space = n->space,
                  .rank = n->rank,
                  .e = own ? edge_identity(pl->g, n) : n->args[0],
                  .node = n,
                  .axis = axis,
                  .dt = n->dt,
                  .buf = buf,
                  .stride = buf >= 0 ? pl->strides.v[buf] : NULL};
}

static int host_buffer(Planner *pl, Node *node, DType dt, const Space *shape)
{
    return add_buffer(pl, (PlanBuffer){.cls = PB_HOST, .node = node, .dt = dt}, shape, NULL);
}

static void host_step(Planner *pl, Work w, const char *what, Loc loc)
{
    const Space *none = space_make(pl->g, 0, NULL);
    bool before = pl->host_now;
    pl->host_now = true;
    Step s = loops_step(pl, &(WorkList){1, &w, none}, loc);
    pl->host_now = before;
    s.what = what;
    vec_push(pl->a, &pl->host_steps, s);
}

int plan_host_value(Planner *pl, Edge e)
{
    int b = pair_find(&pl->host, e.node, e.map,
                      0); /* one element of a node with axes is a condition too */
    if (b >= 0) return b;
    if (is_named_leaf(e.node) && e.node->rank == 0) {
        b = plan_buffer_of(pl, e.node);
    } else {
        const Space *none = space_make(pl->g, 0, NULL);
        b = host_buffer(pl, NULL, e.node->dt, none);
        Work w = {.op = OP_stop,
                  .space = none,
                  .e = e,
                  .dt = e.node->dt,
                  .buf = b,
                  .stride = pl->strides.v[b]};
        host_step(pl, w, "host value", e.node->loc);
    }
    pair_add(pl->a, &pl->host, e.node, e.map, 0, b);
    return b;
}

/* All values of a reduction or selection that is known before launch. */
static int host_node(Planner *pl, Node *n)
{
    int b = pair_find(&pl->host, n, NULL, 1);
    if (b >= 0) return b;
    b = host_buffer(pl, n, n->dt, node_shape(pl->g, n));
    host_step(pl, work_of(pl, n, NULL, b), "host value", n->loc);
    pair_add(pl->a, &pl->host, n, NULL, 1, b);
    return b;
}

static int new_buffer_of(Planner *pl, Node *n)
{
    Grouping *gr = pl->u->groups;
    PlanBuffer b = {.node = n, .dt = n->dt};
    switch (n->op) {
    case OP_param:
        b.cls = PB_PARAM, b.name = leaf_name(n);
        return add_buffer(pl, b, n->space, NULL);
    case OP_state:
        b.cls = PB_STATE, b.name = leaf_name(n);
        return add_buffer(pl, b, n->space, NULL);
    case OP_input:
        b.cls = PB_INPUT, b.name = leaf_name(n);
        return add_buffer(pl, b, n->space, NULL);
    case OP_fresh:
        b.cls = PB_FRESH, b.name = leaf_name(n);
        return add_buffer(pl, b, n->space, NULL);
    default:
        break;
    }
    bool known = n->id < pl->known;
    const Space *shape = node_shape(pl->g, n);
    if (known && gr->buffer_of[n->id] >= 0) {
        const Buffer *from = &gr->buffers.v[gr->buffer_of[n->id]];
        b.cls = PB_TEMP;
        return from->loop ? add_piece(pl, b, shape, from) : add_buffer(pl, b, shape, from);
    }
    return is_light(n) || !known || !gr->host[n->id] ? -1 : host_node(pl, n);
}

/* ---- groups ---- */

static void add_when(Planner *pl, Step *s, const When *when, int n)
{
    StepWhen *w = NEW_N(pl->a, StepWhen, n + 1);
    for (int i = 0; i < n; i++) w[i] = (StepWhen){plan_host_value(pl, when[i].cond), when[i].value};
    s->when = w, s->nwhen = n;
}

static const char *describe(Planner *pl, const Group *gr)
{
    Str s = {.arena = pl->a};
    for (int i = 0; i < gr->members.n; i++) {
        const Member *m = &gr->members.v[i];
        str_printf(&s, "%s%s%s", i ? " " : "", m->stored ? "*" : "", op_info[m->node->op].name);
    }
    return s.s ? s.s : "";
}

/* A product whose strides no library takes, as loops over its out axes. */
static Step product_as_loops(Planner *pl, const Group *gr)
{
    Node *n = gr->members.v[0].node;
    int8_t *axis = NEW_N(pl->a, int8_t, n->space->n + 1);
    for (int i = 0; i < n->space->n; i++) axis[i] = i < n->rank ? (int8_t)i : -1;
    Work w = work_of(pl, n, axis, plan_buffer_of(pl, n));
    const Space *block = node_shape(pl->g, n);
    int cut = gr->members.v[0].cut;
    if (gr->loop) {
        pieces_cut(pl, &w, gr->loop, cut);
        block = pieces_block(pl, block, gr->loop, axis[cut]);
    }
    return loops_step(pl, &(WorkList){1, &w, block}, gr->loc);
}

static Step group_as_loops(Planner *pl, const Group *gr)
{
    Work *w = NEW_N(pl->a, Work, gr->members.n + 1);
    int cut_block = -1;
    for (int i = 0; i < gr->members.n; i++) {
        const Member *m = &gr->members.v[i];
        int buf = m->stored ? plan_buffer_of(pl, m->node) : -1;
        if (m->stored && buf < 0)
            diag_bug(pl->g->diag, "%%%d is stored, but has no buffer", m->node->id);
        for (int k = m->node->rank; k < m->node->space->n; k++)
            if (m->axis[k] >= 0)
                diag_bug(pl->g->diag, "%%%d reduces over a block axis", m->node->id);
        w[i] = work_of(pl, m->node, m->axis, buf);
        if (!gr->loop) continue;
        pieces_cut(pl, &w[i], gr->loop, m->cut);
        if (m->axis[m->cut] >= 0) cut_block = m->axis[m->cut];
    }
    const Space *block = pieces_block(pl, gr->block, gr->loop, cut_block);
    return loops_step(pl, &(WorkList){gr->members.n, w, block}, gr->loc);
}

void plan_step(Planner *pl, const WorkList *wl, const char *what)
{
    const Group *gr = pl->group;
    Step s = loops_step(pl, wl, gr->loc);
    s.phase = gr->phase, s.what = what;
    add_when(pl, &s, gr->when.v, gr->when.n);
    vec_push(pl->a, &pl->p->steps, s);
}

static void add_group(Planner *pl, const Group *gr)
{
    Step s;
    pl->group = gr;
    if (gr->kind == GROUP_PRODUCT) {
        if (product_step(pl, gr, &s))
            pl->p->library_calls++;
        else
            s = product_as_loops(pl, gr);
    } else {
        s = group_as_loops(pl, gr);
    }
    s.group = gr->id, s.loop = gr->loop, s.phase = gr->phase, s.loc = gr->loc;
    s.what = describe(pl, gr);
    add_when(pl, &s, gr->when.v, gr->when.n);
    vec_push(pl->a, &pl->p->steps, s);
    pl->group = NULL;
}

/* ---- roots ---- */

static const Group *producer(const Planner *pl, const Node *n)
{
    for (int i = 0; i < pl->u->groups->groups.n; i++) {
        const Group *gr = &pl->u->groups->groups.v[i];
        for (int k = 0; k < gr->members.n; k++)
            if (gr->members.v[k].node == n &&
                (gr->members.v[k].stored || gr->kind == GROUP_PRODUCT))
                return gr;
    }
    return NULL;
}

static int reached_flag(Planner *pl, Reached *r, Node *n)
{
    Graph *g = pl->g;
    const Space *none = space_make(g, 0, NULL);
    Edge e = grad_reached(r, n);
    const Group *gr = producer(pl, n);
    for (int i = 0; gr && i < gr->when.n; i++) {
        Edge c = gr->when.v[i].cond;
        if (!gr->when.v[i].value) c = graph_pw1(g, OP_not, none, c);
        e = graph_pw2(g, OP_and, none, e, c);
    }
    return is_true(e) ? -1 : plan_host_value(pl, e);
}

static int update_flag(Planner *pl, const Root *r)
{
    Edge e = update_reached(pl->g, pl->a, r);
    return is_true(e) ? -1 : plan_host_value(pl, e);
}

static int copy_root(Planner *pl, const Root *r, int reached)
{
    PlanBuffer b = {.cls = PB_TEMP, .dt = r->e.node->dt, .root = true};
    int buf = add_buffer(pl, b, r->space, NULL);
    int8_t *axis = NEW_N(pl->a, int8_t, r->space->n + 1);
    for (int i = 0; i < r->space->n; i++) axis[i] = (int8_t)i;
    Work w = {.op = OP_stop,
              .space = r->space,
              .rank = r->space->n,
              .e = r->e,
              .axis = axis,
              .dt = b.dt,
              .buf = buf,
              .stride = pl->strides.v[buf]};
    Step s = loops_step(pl, &(WorkList){1, &w, r->space}, r->loc);
    s.phase = r->kind == ROOT_OUTPUT ? PHASE_FORWARD
              : r->kind == ROOT_GRAD ? PHASE_BACKWARD
                                     : PHASE_UPDATE;
    s.what = arena_printf(pl->a, "copy to %s", r->name);
    if (reached >= 0) {
        StepWhen *w1 = NEW(pl->a, StepWhen);
        *w1 = (StepWhen){reached, true};
        s.when = w1, s.nwhen = 1;
    }
    vec_push(pl->a, &pl->p->steps, s);
    return buf;
}

static void place_roots(Planner *pl)
{
    Graph *g = pl->g;
    Reached *reach = reached_new(g, pl->a);
    for (int i = 0; i < g->roots.n; i++) {
        const Root *r = &g->roots.v[i];
        if (r->kind == ROOT_INIT) continue;
        int flag = r->kind == ROOT_GRAD     ? reached_flag(pl, reach, r->e.node)
                   : r->kind == ROOT_UPDATE ? update_flag(pl, r)
                                            : -1;
        int buf = r->e.node->op == OP_const ? -1 : plan_buffer_of(pl, r->e.node);
        if (buf < 0 || plan_address(pl, buf, r->e.map) != row_major(g, r->space))
            buf = copy_root(pl, r, flag);
        pl->p->buffers.v[buf].root = true;
        PlanRoot pr = {r->kind, r->name, r->e.node->dt, buf, r->space, flag};
        vec_push(pl->a, &pl->p->roots, pr);
    }
}

/* ---- checks ---- */

static void place_checks(Planner *pl)
{
    Graph *g = pl->g;
    for (int i = 0; i < g->checks.n; i++) {
        const Check *c = &g->checks.v[i];
        PlanCheck pc = {c, -1, -1};
        if (c->kind == CHECK_EQ0 || c->kind == CHECK_GE0) {
            pc.ix = plan_int(pl, c->ix);
        } else {
            const Space *none = space_make(g, 0, NULL);
            Edge e = c->kind == CHECK_TRUE ? graph_pw1(g, OP_not, none, c->e) : c->e;
            pc.flag = host_buffer(pl, NULL, DT_BOOL, none);
            Work w = {.op = OP_rmax,
                      .space = c->space,
                      .e = e,
                      .dt = DT_BOOL,
                      .buf = pc.flag,
                      .stride = pl->strides.v[pc.flag],
                      .limit = c->kind == CHECK_RANGE ? c->ix : NULL};
            if (c->kind == CHECK_TRUE) w.op = OP_stop, w.space = none;
            host_step(pl, w, "check", c->loc);
        }
        vec_push(pl->a, &pl->p->checks, pc);
    }
}

/* ---- the whole ---- */

static void find_lifetimes(Plan *p)
{
    for (int i = 0; i < p->steps.n; i++)
        for (int k = 0; k < p->steps.v[i].nbuf; k++) {
            PlanBuffer *b = &p->buffers.v[p->steps.v[i].buf[k]];
            if (b->first < 0) b->first = i;
            b->last = i;
        }
    for (int i = 0; i < p->buffers.n; i++)
        if (p->buffers.v[i].root) p->buffers.v[i].last = p->steps.n;
}

/* Kernels read stored values where they are: what these were made of may be private to a group. */
static void seal_stored(Unit *u)
{
    int n = u->graph->nodes.n;
    bool *stored = NEW_N(u->arena, bool, n + 1);
    for (int i = 0; i < n; i++) stored[i] = u->groups->buffer_of[i] >= 0;
    graph_seal(u->graph, n, stored);
}

Plan *plan_make(Unit *u)
{
    Planner pl = {
        .p = NEW(u->arena, Plan), .u = u, .g = u->graph, .a = u->arena, .known = u->graph->nodes.n};
    if (!u->groups) diag_bug(u->diag, "a plan needs groups");
    seal_stored(u);
    pieces_start(&pl);
    int64_t *hint = NEW_N(u->arena, int64_t, u->graph->syms.n + 1);
    for (int i = 0; i < u->graph->syms.n; i++) hint[i] = 1;
    for (int i = 0; i < graph_ndims(u->graph); i++)
        hint[i] = u->hint && u->hint[i] ? u->hint[i] : u->hint_default > 0 ? u->hint_default : 1024;
    pl.hint = hint;
    pl.p->unit = u, pl.p->arena = u->arena;
    place_checks(&pl);
    for (int i = 0; i < u->groups->groups.n; i++) add_group(&pl, &u->groups->groups.v[i]);
    place_roots(&pl);
    VEC(Step) main = {0};
    main.v = pl.p->steps.v, main.n = pl.p->steps.n;
    pl.p->steps.v = NULL, pl.p->steps.n = pl.p->steps.cap = 0;
    for (int i = 0; i < pl.host_steps.n; i++) vec_push(u->arena, &pl.p->steps, pl.host_steps.v[i]);
    for (int i = 0; i < main.n; i++) vec_push(u->arena, &pl.p->steps, main.v[i]);
    pl.p->host_steps = pl.host_steps.n;
    find_lifetimes(pl.p);
    pieces_loops(&pl);
    return pl.p;
}
