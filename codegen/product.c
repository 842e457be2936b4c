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

bool product_step(Planner *pl, const Group *gr, Step *out)
{
    const Product *pr = &gr->product;
    if (pr->nbatch > MAX_BATCH) return false;
    Node *n = gr->members.v[0].node;
    const Space *sp = n->space;
    int a = plan_buffer_of(pl, pr->a.node), b = plan_buffer_of(pl, pr->b.node),
        c = plan_buffer_of(pl, n);
    if (a < 0 || b < 0 || c < 0)
        diag_bug(pl->g->diag, "an operand of product %%%d isn't stored", n->id);
    const Ix *at = plan_address(pl, a, pr->a.map), *bt = plan_address(pl, b, pr->b.map);
    const Ix *ct = plan_address(pl, c, map_identity(pl->g, n->rank));
    const Ix *a0 = constant_part(pl, at, sp), *b0 = constant_part(pl, bt, sp);
    const Ix *am = list_stride(pl, at, pr->m, pr->nm, sp),
             *ak = list_stride(pl, at, pr->k, pr->nk, sp);
    const Ix *bk = list_stride(pl, bt, pr->k, pr->nk, sp),
             *bn = list_stride(pl, bt, pr->n, pr->nn, sp);
    const Ix *cm = list_stride(pl, ct, pr->m, pr->nm, sp),
             *cn = list_stride(pl, ct, pr->n, pr->nn, sp);
    if (!a0 || !b0 || !am || !ak || !bk || !bn || !cm || !cn) return false;
    const Ix *m = list_extent(pl, pr->m, pr->nm, sp), *nn = list_extent(pl, pr->n, pr->nn, sp);
    const Ix *k = list_extent(pl, pr->k, pr->nk, sp);
    if (!has_unit(pl, am, ak, m, k) || !has_unit(pl, bk, bn, k, nn) || !has_unit(pl, cm, cn, m, nn))
        return false;
    *out = (Step){.kind = STEP_PRODUCT, .kernel = -1, .nwrite = 1, .nbuf = 3};
    PlanProduct *p = &out->product;
    *p = (PlanProduct){.alpha = pr->alpha,
                       .nbatch = pr->nbatch,
                       .m = plan_int(pl, m),
                       .n = plan_int(pl, nn),
                       .k = plan_int(pl, k),
                       .a_m = plan_int(pl, am),
                       .a_k = plan_int(pl, ak),
                       .b_k = plan_int(pl, bk),
                       .b_n = plan_int(pl, bn),
                       .c_m = plan_int(pl, cm),
                       .c_n = plan_int(pl, cn),
                       .a0 = plan_int(pl, a0),
                       .b0 = plan_int(pl, b0)};
    for (int i = 0; i < pr->nbatch; i++) {
        const Ix *sa, *sb, *sc, *rest;
        int axis = pr->batch[i];
        if (!ix_affine(pl->g, at, axis, &sa, &rest) || !ix_affine(pl->g, bt, axis, &sb, &rest) ||
            !ix_affine(pl->g, ct, axis, &sc, &rest) || sa->axes || sb->axes)
            return false;
        p->batch[i] = plan_int(pl, sp->ext[axis]);
        p->a_batch[i] = plan_int(pl, sa), p->b_batch[i] = plan_int(pl, sb),
        p->c_batch[i] = plan_int(pl, sc);
    }
    int *buf = NEW_N(pl->a, int, 3);
    buf[0] = c, buf[1] = a, buf[2] = b;
    out->buf = buf, out->blocks = out->scratch = plan_int(pl, ix_const(pl->g, 0));
    out->cost = 2 * space_hint(pl, sp);
    return true;
}
