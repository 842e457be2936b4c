/* reached.c: which gradients and updates a run computes at all. Contract: codegen.h.
 *
 * A parameter of a layer that is dropped gets branch(dropped, 0, g) as its gradient: 0 for sure if
 * `dropped` holds. The optimiser must not touch such a parameter, and a 0 that was computed must
 * count as a gradient. A state of such a layer gets branch(dropped, state, new) as its update.
 */
#include "codegen/emit.h"

struct Reached {
    Graph *g;
    Arena *a;
    const Space *none;
    PairTable memo; /* node -> index into seen */
    VEC(Edge) seen;
};

Reached *reached_new(Graph *g, Arena *a)
{
    Reached *r = NEW(a, Reached);
    *r = (Reached){.g = g, .a = a, .none = space_make(g, 0, NULL)};
    return r;
}

bool is_true(Edge e) { return e.node->op == OP_const && e.node->attr.value.i != 0; }

static Edge either(Reached *r, const Node *n, int i, int k)
{
    return graph_pw2(r->g, OP_or, r->none, grad_reached(r, n->args[i].node),
                     grad_reached(r, n->args[k].node));
}

static Edge chosen(Reached *r, Edge c, Edge a, Edge b)
{
    Graph *g = r->g;
    if (is_true(a) && is_true(b)) return a;
    Edge not = graph_pw1(g, OP_not, r->none, c);
    return graph_pw2(g, OP_or, r->none, graph_pw2(g, OP_and, r->none, c, a),
                     graph_pw2(g, OP_and, r->none, not, b));
}

static Edge reached_by(Reached *r, Node *n)
{
    switch (n->op) {
    case OP_const:
        return graph_bool(r->g, n->attr.value.f != 0 || n->attr.value.i != 0);
    case OP_neg:
    case OP_cast:
    case OP_stop:
    case OP_sum:
    case OP_scat:
    case OP_scan:
    case OP_div:
        return grad_reached(r, n->args[0].node);
    case OP_add:
    case OP_sub:
    case OP_read:
        return either(r, n, 0, 1);
    case OP_select:
        return either(r, n, 1, 2);
    case OP_mul:
        return graph_pw2(r->g, OP_and, r->none, grad_reached(r, n->args[0].node),
                         grad_reached(r, n->args[1].node));
    case OP_branch:
        return chosen(r, n->args[0], grad_reached(r, n->args[1].node),
                      grad_reached(r, n->args[2].node));
    default:
        return graph_bool(r->g, true);
    }
}

Edge grad_reached(Reached *r, Node *n)
{
    int k = pair_find(&r->memo, n, NULL, 0);
    if (k >= 0) return r->seen.v[k];
    Edge e = reached_by(r, n);
    pair_add(r->a, &r->memo, n, NULL, 0, r->seen.n);
    vec_push(r->a, &r->seen, e);
    return e;
}

/* ---- updates ---- */

static bool reads_in_place(const Edge e)
{
    for (int i = 0; i < e.node->rank; i++)
        if (ix_bare_axis(e.map->ix[i]) != i &&
            !(ix_is(e.node->space->ext[i], 1) && ix_is(e.map->ix[i], 0)))
            return false;
    return true;
}

static Edge changed(Reached *r, Edge e, const char *state)
{
    const Node *n = e.node;
    if (!reads_in_place(e)) return graph_bool(r->g, true);
    if (n->op == OP_stop) return changed(r, n->args[0], state);
    if (n->op == OP_state) return graph_bool(r->g, strcmp(n->attr.leaf.name, state) != 0);
    if (n->op != OP_branch) return graph_bool(r->g, true);
    int k = pair_find(&r->memo, n, NULL, 0);
    if (k >= 0) return r->seen.v[k];
    Edge c = chosen(r, n->args[0], changed(r, n->args[1], state), changed(r, n->args[2], state));
    pair_add(r->a, &r->memo, n, NULL, 0, r->seen.n);
    vec_push(r->a, &r->seen, c);
    return c;
}

Edge update_reached(Graph *g, Arena *a, const Root *update)
{
    return changed(reached_new(g, a), update->e, update->name);
}
