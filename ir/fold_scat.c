/* fold_scat.c: identities of rules.def under a scat.
 *
 *     %9:f[e] = scat over [t,d] %8[i1,i2] {%2[i1]}
 * becomes
 *     %9:f[t] = sum over [d] %8[i0,i1]
 *     %10:f[e] = scat over [t] %9[i1] {%2[i1]}
 */
#include "ir/fold.h"

typedef struct {
    Graph *g;
    const Space *space;
    int nout;
    uint64_t red; /* the summed axes */
    Edge e;
    const Ix *const *key;
    Edge *out;
} Scat;

static bool becomes(Scat *s, Edge e)
{
    *s->out = e;
    return true;
}
static bool may(const Scat *s, Rewrite r) { return graph_rule(s->g, r); }
static const Space *outer(const Scat *s) { return space_slice(s->g, s->space, 0, s->nout); }
static Edge again(const Scat *s, Edge e) { return graph_scat(s->g, s->space, s->nout, e, s->key); }

static uint64_t key_axes(const Scat *s)
{
    uint64_t axes = 0;
    for (int i = 0; i < s->nout; i++)
        if (s->key[i]) axes |= s->key[i]->axes;
    return axes;
}

/* The scat of e with its keys through m, over another space whose out axes are the same. */
static Edge moved(const Scat *s, Edge e, const Map *m, const Space *to)
{
    const Ix *key[MAX_AXES];
    for (int i = 0; i < s->nout; i++) key[i] = s->key[i] ? ix_subst(s->g, s->key[i], m, to) : NULL;
    return graph_scat(s->g, to, s->nout, e, key);
}

/* ---- scat_unkeyed ---- */

static bool scat_unkeyed(Scat *s)
{
    uint64_t idle = s->red & ~key_axes(s);
    if (!idle || !may(s, RW_scat_unkeyed)) return false;
    Graph *g = s->g;
    Narrow kept = narrow(g, s->space, idle);
    const Ix *ext[MAX_AXES], *ix[MAX_AXES];
    int n = kept.space->n;
    memcpy(ext, kept.space->ext, sizeof(Ix *) * (size_t)n);
    for (int i = 0; i < s->space->n; i++) {
        bool gone = idle >> i & 1;
        ix[i] = gone ? ix_axis(g, n) : kept.map->ix[i];
        if (gone) ext[n++] = s->space->ext[i];
    }
    const Space *to = space_make(g, n, ext);
    Edge e = edge_comp(g, s->e, map_make(g, s->space->n, ix), to);
    Edge sum = graph_reduce(g, OP_sum, to, kept.space->n, e);
    return becomes(s, moved(s, sum, kept.map, kept.space));
}

/* ---- scat_keyless ---- */

static Edge index_value(const Scat *s, const Ix *ix)
{
    bool lone = ix->c == 0 && ix->nterm == 1 && ix->t[0].coef == 1 && ix->t[0].n == 1;
    if (lone && ix->t[0].f[0]->kind == AT_LOAD) return ix->t[0].f[0]->load;
    return graph_idx(s->g, ix, s->space);
}

static bool scat_keyless(Scat *s)
{
    if (s->red || !may(s, RW_scat_keyless)) return false;
    Edge all = graph_bool(s->g, true);
    for (int i = 0; i < s->nout; i++) {
        if (!s->key[i]) continue;
        Edge at = graph_idx(s->g, ix_axis(s->g, i), s->space);
        Edge hit = graph_pw2(s->g, OP_eq, s->space, at, index_value(s, s->key[i]));
        all = graph_pw2(s->g, OP_and, s->space, all, hit);
    }
    return becomes(s, fold_mask(s->g, s->space, all, s->e, true));
}

/* ---- scat_shift ---- */

/* e is 0 unless summed axis a lies in [from, from + len). */
static bool only_within(const Scat *s, int *a, const Ix **from, const Ix **len)
{
    Graph *g = s->g;
    if (!edge_op(s->e, OP_read)) return false;
    const Node *n = s->e.node;
    bool zero_in = edge_is_const(n->args[0], 0), zero_out = edge_is_const(n->args[1], 0);
    if (!zero_out && !(zero_in && n->attr.guard.n == 1)) return false;
    for (int i = 0; i < n->attr.guard.n; i++) {
        const Ix *ix = ix_subst(g, n->attr.guard.g[i].ix, s->e.map, s->space),
                 *z = n->attr.guard.g[i].ext;
        const Ix *coef, *rest;
        if (ix->loads || ix->nterm == 0) continue;
        for (*a = s->nout; *a < s->space->n; ++*a) {
            const Ix *ext = s->space->ext[*a];
            if (!ix_affine(g, ix, *a, &coef, &rest) || !ix_is(coef, 1) || rest->axes) continue;
            const Ix *start = ix_scale(g, rest, -1);
            if (!zero_out) { /* 0 for the first z positions */
                if (!ix_is(start, 0) || !ix_proves_ge0(g, ix_sub(g, ext, z), NULL)) continue;
                *from = z, *len = ix_sub(g, ext, z);
            } else {
                const Ix *end = ix_add(g, start, z);
                if (!ix_proves_ge0(g, start, NULL) || !ix_proves_ge0(g, ix_sub(g, ext, end), NULL))
                    continue;
                *from = start, *len = z;
            }
            if (*len != ext) return true;
        }
    }
    return false;
}

static bool scat_shift(Scat *s)
{
    int a;
    const Ix *from, *len, *ext[MAX_AXES], *ix[MAX_AXES];
    if (!only_within(s, &a, &from, &len) || !may(s, RW_scat_shift)) return false;
    for (int i = 0; i < s->space->n; i++) {
        ix[i] = i == a ? ix_add(s->g, ix_axis(s->g, i), from) : ix_axis(s->g, i);
        ext[i] = i == a ? len : s->space->ext[i];
    }
    const Space *to = space_make(s->g, s->space->n, ext);
    const Map *m = map_make(s->g, s->space->n, ix);
    return becomes(s, moved(s, edge_comp(s->g, s->e, m, to), m, to));
}

/* ---- sum_hoist, the same under a scat ---- */

static bool hoist(Scat *s)
{
    Graph *g = s->g;
    Edge f[MAX_FACTORS], body;
    if (edge_op(s->e, OP_neg)) {
        if (!may(s, RW_sum_hoist)) return false;
        return becomes(s, graph_pw1(g, OP_neg, outer(s), again(s, edge_arg(g, s->e, 0, s->space))));
    }
    if (edge_op(s->e, OP_div)) {
        Edge z = edge_arg(g, s->e, 1, s->space);
        if (edge_axes(z) & s->red || !may(s, RW_sum_hoist)) return false;
        return becomes(s,
                       graph_pw2(g, OP_div, outer(s), again(s, edge_arg(g, s->e, 0, s->space)), z));
    }
    int n = fold_factors(g, s->space, s->e, f), m = part_factors(f, n, s->red);
    if (m == 0 || m == n || !may(s, RW_sum_hoist)) return false;
    grouped_product(g, s->space, f, m, &body);
    Edge r = again(s, body);
    for (int i = m; i < n; i++) r = graph_pw2(g, OP_mul, outer(s), r, f[i]);
    return becomes(s, r);
}

bool fold_scat(Graph *g, const Space *space, int nout, Edge e, const Ix *const *key, Edge *out)
{
    Scat s = {g, space, nout, fold_red(space, nout), e, key, out};
    return scat_unkeyed(&s) || scat_keyless(&s) || scat_shift(&s) || hoist(&s);
}
