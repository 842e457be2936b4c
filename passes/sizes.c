/* sizes.c: sizes at the hints. Contract: sizes.h. */
#include "passes/sizes.h"

enum { HINT_UNSAID = 1024 };

const int64_t *hint_syms(const Unit *u)
{
    int n = u->graph->syms.n, dims = graph_ndims(u->graph);
    int64_t *syms = NEW_N(u->arena, int64_t, n + 1);
    int64_t usual = u->hint_default > 0 ? u->hint_default : HINT_UNSAID;
    for (int i = 0; i < n; i++) syms[i] = 1;
    for (int i = 0; i < dims; i++) syms[i] = u->hint && u->hint[i] > 0 ? u->hint[i] : usual;
    return syms;
}

double size_at(const Ix *e, const int64_t *syms)
{
    if (ix_is_const(e)) return e->c > 1 ? (double)e->c : 1;
    int64_t v = ix_eval(e, &(IxEnv){.syms = syms});
    return v > 1 ? (double)v : 1;
}

double count_at(const Space *s, int from, int to, const int64_t *syms)
{
    double n = 1;
    for (int i = from; i < to; i++) n *= size_at(s->ext[i], syms);
    return n;
}

double axes_at(const Space *s, uint64_t axes, const int64_t *syms)
{
    double n = 1;
    for (int i = 0; i < s->n; i++)
        if (axes >> i & 1) n *= size_at(s->ext[i], syms);
    return n;
}

double space_at(const Space *s, const int64_t *syms) { return count_at(s, 0, s->n, syms); }

double elements_at(const Node *n, const int64_t *syms)
{
    return count_at(n->space, 0, n->rank, syms);
}

double bytes_at(const Node *n, const int64_t *syms)
{
    return elements_at(n, syms) * dtype_bytes(n->dt);
}

int chunk_around(const Graph *g, int region)
{
    while (region && g->regions.v[region].kind != REGION_CHUNK)
        region = g->regions.v[region].parent;
    return region;
}

bool maybe_cut(Graph *g, const Node *n, const Ix *ext)
{
    int q = chunk_around(g, n->region);
    return q && ix_proves_eq(g, ext, g->regions.v[q].chunk_extent);
}
