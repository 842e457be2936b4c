/* product.c: the strides of a library product. Contract: emit.h. */
#include "codegen/emit.h"

/* Stride of a list of axes, outermost first, as one axis; NULL if they don't follow each other. */
static const Ix *list_stride(Planner *pl, const Ix *at, const int8_t *axes, int n,
                             const Space *space)
{
    Graph *g = pl->g;
    const Ix *first = ix_const(g, 0), *next = NULL, *s, *rest;
    for (int i = n - 1; i >= 0; i--) {
        if (!ix_affine(g, at, axes[i], &s, &rest) || s->axes || s->loads) return NULL;
        if (next && !ix_proves_eq(g, s, next)) return NULL;
        if (!next) first = s;
        next = ix_mul(g, s, space->ext[axes[i]]);
    }
    return first;
}

static const Ix *list_extent(Planner *pl, const int8_t *axes, int n, const Space *space)
{
    const Ix *size = ix_const(pl->g, 1);
    for (int i = 0; i < n; i++) size = ix_mul(pl->g, size, space->ext[axes[i]]);
    return size;
}

/* What is left of an address when every axis is 0. */
static const Ix *constant_part(Planner *pl, const Ix *at, const Space *space)
{
    for (int i = 0; i < space->n; i++) {
        const Ix *coef, *rest;
        if (!ix_affine(pl->g, at, i, &coef, &rest)) return NULL;
        at = rest;
    }
    return at->loads ? NULL : at;
}

/* One of two strides must be 1; a stride of an axis of extent 1 doesn't matter. */
static bool has_unit(Planner *pl, const Ix *s, const Ix *t, const Ix *es, const Ix *et)
{
    (void)pl;
    return ix_is(s, 1) || ix_is(t, 1) || ix_is(es, 1) || ix_is(et, 1);
}

/* ---- pieces ---- */

/* The axes of a product, and where its operands lie, for all of it or for one piece. */
typedef struct {
    const Space *space;
    int8_t batch[2 * MAX_AXES], m[MAX_AXES], n[MAX_AXES], k[MAX_AXES], outer[MAX_AXES];
    int nbatch, nm, nn, nk, nouter;
    const Ix *at, *bt, *ct; /* element numbers over the space */
} Axes;

static void start_axes(Planner *pl, const Product *p, Node *n, const int *buf, Axes *x)
{
    *x = (Axes){.space = n->space, .nbatch = p->nbatch, .nm = p->nm, .nn = p->nn, .nk = p->nk};
    memcpy(x->batch, p->batch, sizeof p->batch);
    memcpy(x->m, p->m, sizeof p->m);
    memcpy(x->n, p->n, sizeof p->n);
    memcpy(x->k, p->k, sizeof p->k);
    x->ct = plan_address(pl, buf[0], map_identity(pl->g, n->rank));
    x->at = plan_address(pl, buf[1], p->a.map), x->bt = plan_address(pl, buf[2], p->b.map);
}

/* What stands outside the cut axis in a list no longer makes one axis with it. */
static void move_outside(int8_t *list, int *n, int cut, int8_t *to, int *nto)
{
    int at = *n - 1;
    while (at >= 0 && list[at] != cut) at--;
    for (int i = 0; i < at; i++) to[(*nto)++] = list[i];
    if (at <= 0) return;
    memmove(list, list + at, (size_t)(*n - at));
    *n -= at;
}

static void cut_axes(Planner *pl, int loop, int cut, Axes *x)
{
    Graph *g = pl->g;
    const Piece *p = &pl->piece[loop - 1];
    const Ix *ix[MAX_AXES];
    for (int i = 0; i < x->space->n; i++) ix[i] = ix_axis(g, i);
    ix[cut] = ix_add(g, ix[cut], p->off);
    const Space *to = space_with(g, x->space, cut, p->len);
    const Map *m = map_make(g, x->space->n, ix);
    x->at = ix_subst(g, x->at, m, to), x->bt = ix_subst(g, x->bt, m, to),
    x->ct = ix_subst(g, x->ct, m, to);
    x->space = to;
    move_outside(x->m, &x->nm, cut, x->batch, &x->nbatch);
    move_outside(x->n, &x->nn, cut, x->batch, &x->nbatch);
    move_outside(x->k, &x->nk, cut, x->outer, &x->nouter);
}

/* ---- the step ---- */

static bool batch_strides(Planner *pl, const Axes *x, PlanProduct *p)
{
    for (int i = 0; i < x->nbatch; i++) {
        const Ix *sa, *sb, *sc, *rest;
        int axis = x->batch[i];
        if (!ix_affine(pl->g, x->at, axis, &sa, &rest) ||
            !ix_affine(pl->g, x->bt, axis, &sb, &rest) ||
            !ix_affine(pl->g, x->ct, axis, &sc, &rest) || sa->axes || sb->axes)
            return false;
        p->batch[i] = plan_int(pl, x->space->ext[axis]);
        p->a_batch[i] = plan_int(pl, sa), p->b_batch[i] = plan_int(pl, sb),
        p->c_batch[i] = plan_int(pl, sc);
    }
    return true;
}

static bool product_strides(Planner *pl, const Axes *x, PlanProduct *p)
{
    const Space *sp = x->space;
    const Ix *a0 = constant_part(pl, x->at, sp), *b0 = constant_part(pl, x->bt, sp),
             *c0 = constant_part(pl, x->ct, sp);
    const Ix *am = list_stride(pl, x->at, x->m, x->nm, sp),
             *ak = list_stride(pl, x->at, x->k, x->nk, sp);
    const Ix *bk = list_stride(pl, x->bt, x->k, x->nk, sp),
             *bn = list_stride(pl, x->bt, x->n, x->nn, sp);
    const Ix *cm = list_stride(pl, x->ct, x->m, x->nm, sp),
             *cn = list_stride(pl, x->ct, x->n, x->nn, sp);
    const Ix *ao = list_stride(pl, x->at, x->outer, x->nouter, sp),
             *bo = list_stride(pl, x->bt, x->outer, x->nouter, sp);
    if (!a0 || !b0 || !c0 || !am || !ak || !bk || !bn || !cm || !cn || !ao || !bo) return false;
    const Ix *m = list_extent(pl, x->m, x->nm, sp), *n = list_extent(pl, x->n, x->nn, sp),
             *k = list_extent(pl, x->k, x->nk, sp), *o = list_extent(pl, x->outer, x->nouter, sp);
    if (!has_unit(pl, am, ak, m, k) || !has_unit(pl, bk, bn, k, n) || !has_unit(pl, cm, cn, m, n))
        return false;
    p->m = plan_int(pl, m), p->n = plan_int(pl, n), p->k = plan_int(pl, k);
    p->a_m = plan_int(pl, am), p->a_k = plan_int(pl, ak), p->b_k = plan_int(pl, bk);
    p->b_n = plan_int(pl, bn), p->c_m = plan_int(pl, cm), p->c_n = plan_int(pl, cn);
    p->a0 = plan_int(pl, a0), p->b0 = plan_int(pl, b0), p->c0 = plan_int(pl, c0);
    p->outer = x->nouter ? plan_int(pl, o) : -1;
    p->a_outer = plan_int(pl, ao), p->b_outer = plan_int(pl, bo);
    return true;
}

bool product_step(Planner *pl, const Group *gr, Step *out)
{
    const Product *pr = &gr->product;
    Node *n = gr->members.v[0].node;
    int cut = gr->members.v[0].cut, *buf = NEW_N(pl->a, int, 3);
    buf[0] = plan_buffer_of(pl, n), buf[1] = plan_buffer_of(pl, pr->a.node),
    buf[2] = plan_buffer_of(pl, pr->b.node);
    if (buf[0] < 0 || buf[1] < 0 || buf[2] < 0)
        diag_bug(pl->g->diag, "an operand of product %%%d isn't stored", n->id);
    Axes x;
    start_axes(pl, pr, n, buf, &x);
    if (gr->loop) cut_axes(pl, gr->loop, cut, &x);
    if (x.nbatch > MAX_BATCH) return false;
    *out = (Step){.kind = STEP_PRODUCT, .kernel = -1, .nwrite = 1, .nbuf = 3, .buf = buf};
    PlanProduct *p = &out->product;
    *p = (PlanProduct){.alpha = pr->alpha, .nbatch = x.nbatch, .more = -1};
    if (!product_strides(pl, &x, p) || !batch_strides(pl, &x, p)) return false;
    if (gr->loop && cut >= n->rank)
        p->more = plan_int(pl, ix_sub(pl->g, pl->piece[gr->loop - 1].counter, ix_const(pl->g, 1)));
    out->blocks = out->scratch = plan_int(pl, ix_const(pl->g, 0));
    out->cost = 2 * space_hint(pl, n->space);
    return true;
}
