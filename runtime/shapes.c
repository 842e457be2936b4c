/* shapes.c: see shapes.h. */
#include <inttypes.h>
#include "runtime/shapes.h"

/* ---- text ---- */

const char *shapes_text(Arena *a, int rank, const int64_t *shape)
{
    Str s = {.arena = a};
    str_add(&s, "[");
    for (int i = 0; i < rank; i++) str_printf(&s, "%s%" PRId64, i ? ", " : "", shape[i]);
    str_add(&s, "]");
    return s.s;
}

const char *shapes_space_text(Graph *g, Arena *a, const Space *sp)
{
    Str s = {.arena = a};
    str_add(&s, "[");
    for (int i = 0; i < sp->n; i++)
        str_printf(&s, "%s%s", i ? ", " : "", ix_text(g, sp->ext[i]));
    str_add(&s, "]");
    return s.s;
}

/* ", with batch = 8, time = 65" */
static const char *sizes_text(Graph *g, Arena *a, const int64_t *dims)
{
    Str s = {.arena = a};
    str_add(&s, "");
    for (int i = 0; i < graph_ndims(g); i++)
        str_printf(&s, "%s%s = %" PRId64, i ? ", " : "\nwith ", g->syms.v[i].name, dims[i]);
    return s.s;
}

/* ---- solving ---- */

/* Does every free dimension in `ext` but at most one have a size? That one, or -1; -2: more. */
static int one_unknown(const Ix *ext, const int64_t *dims)
{
    int unknown = -1;
    for (int i = 0; i < ext->nterm; i++)
        for (int k = 0; k < ext->t[i].n; k++) {
            const Atom *f = ext->t[i].f[k];
            if (f->kind != AT_SYM) return -2;
            if (dims[f->id]) continue;
            if (unknown >= 0 && unknown != f->id) return -2;
            unknown = f->id;
        }
    return unknown;
}

/* The value of the unknown for which ext is `size`, by trying: ext is linear in it if two steps are
 * equal. */
static int64_t solve_linear(const Ix *ext, int unknown, int64_t *dims, int64_t size)
{
    int64_t at[3], save = dims[unknown];
    for (int k = 0; k < 3; k++) {
        dims[unknown] = k + 1;
        at[k] = ix_eval(ext, &(IxEnv){.syms = dims});
    }
    dims[unknown] = save;
    int64_t step = at[1] - at[0];
    if (step == 0 || at[2] - at[1] != step || (size - at[0]) % step != 0) return 0;
    return (size - at[0]) / step + 1;
}

void shapes_require_rank(Graph *g, Arena *a, const GivenShape *in)
{
    if (in->rank != in->space->n)
        diag_fail(g->diag, "input `%s` has %d axes\nexpected: %s\nfound: %s", in->name, in->rank,
                  shapes_space_text(g, a, in->space), shapes_text(a, in->rank, in->shape));
    for (int k = 0; k < in->rank; k++)
        if (in->shape[k] < 1)
            diag_fail(g->diag, "input `%s` is empty: its axis %d has no positions\n"
                               "expected: %s, each at least 1\nfound: %s",
                      in->name, k, shapes_space_text(g, a, in->space),
                      shapes_text(a, in->rank, in->shape));
}

/* Sizes that earlier inputs have told, as "`batch` is 2 by `x`"; "" if none explains axis k. */
static const char *explain(Graph *g, Arena *a, const GivenShape *in, const char *const *by,
                           const int64_t *dims, int k)
{
    const Ix *ext = in->space->ext[k];
    Str s = {.arena = a};
    str_add(&s, "");
    for (int i = 0; i < ext->nterm; i++)
        for (int j = 0; j < ext->t[i].n; j++) {
            int id = ext->t[i].f[j]->id;
            if (ext->t[i].f[j]->kind == AT_SYM && by[id])
                str_printf(&s, "\n`%s` is %" PRId64 " by input `%s`", g->syms.v[id].name, dims[id],
                           by[id]);
        }
    return s.s;
}

void shapes_solve(Graph *g, Arena *a, const GivenShape *in, int n, int64_t *dims)
{
    const char **by = NEW_N(a, const char *, g->syms.n + 1);
    memset(dims, 0, sizeof *dims * (size_t)graph_ndims(g));
    for (int i = 0; i < n; i++) shapes_require_rank(g, a, &in[i]);
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < in[i].rank; k++) {
                const Ix *ext = in[i].space->ext[k];
                int unknown = one_unknown(ext, dims);
                int64_t v = unknown < 0 ? 0 : solve_linear(ext, unknown, dims, in[i].shape[k]);
                if (v > 0) dims[unknown] = v, by[unknown] = in[i].name, again = true;
            }
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < in[i].rank; k++) {
            const Ix *ext = in[i].space->ext[k];
            if (one_unknown(ext, dims) != -1) continue;
            if (ix_eval(ext, &(IxEnv){.syms = dims}) == in[i].shape[k]) continue;
            diag_fail(g->diag, "input `%s` has the wrong size along axis %d\n"
                               "expected: %s\nfound: %s%s", in[i].name, k,
                      shapes_space_text(g, a, in[i].space), shapes_text(a, in[i].rank, in[i].shape),
                      explain(g, a, &in[i], by, dims, k));
        }
}

/* ---- checking ---- */

const char *shapes_outside(Arena *a, const char *input, const int32_t *v, int rank,
                           const int64_t *shape, int64_t limit)
{
    int64_t count = 1, at = 0, pos[MAX_AXES];
    for (int k = 0; k < rank; k++) count *= shape[k];
    while (at < count && v[at] >= 0 && v[at] < limit) at++;
    if (at == count) return "";
    for (int64_t k = rank - 1, rest = at; k >= 0; rest /= shape[k--]) pos[k] = rest % shape[k];
    return arena_printf(a, "\ninput `%s` holds %d at %s, outside 0..%" PRId64, input, v[at],
                        shapes_text(a, rank, pos), limit - 1);
}

void shapes_check(Graph *g, Arena *a, const int64_t *dims)
{
    for (int i = 0; i < graph_ndims(g); i++)
        if (dims[i] < 1 || dims[i] > INT32_MAX)
            diag_fail(g->diag, "the size `%s` is %" PRId64 "; sizes lie in 1..%d",
                      g->syms.v[i].name, dims[i], INT32_MAX);
    for (int i = 0; i < g->checks.n; i++) {
        const Check *c = &g->checks.v[i];
        if (c->kind != CHECK_EQ0 && c->kind != CHECK_GE0) continue;
        int64_t v = ix_eval(c->ix, &(IxEnv){.syms = dims});
        if (c->kind == CHECK_EQ0 ? v != 0 : v < 0)
            user_error(g->diag, c->loc, "%s%s", c->text, sizes_text(g, a, dims));
    }
}
