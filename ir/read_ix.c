/* read_ix.c: index expressions, edges and spaces of IR text, by recursive descent:
 *
 *     ix      : ["-"] product {("+" | "-") product}
 *     product : factor {("*" | "//" | "%") factor}
 *     factor  : INT | axis | size | "(" ix ")" | ("min" | "max") "(" ix "," ix ")" | edge
 *     edge    : "%" INT ["[" ix {"," ix} "]"]
 */
#include "ir/read_lex.h"

static void deeper(Reader *r)
{
    if (++r->depth > MAX_NESTING) read_error(r, "more than %d levels of parentheses", MAX_NESTING);
}

/* ---- factors ---- */

static const Ix *axis(Reader *r, const Space *space)
{
    uint32_t from = r->at++; /* i */
    int64_t i = read_int(r, 0, MAX_AXES - 1);
    if (i >= space->n)
        user_error(r->d, read_loc(r, from), "i%lld is not one of the %d axes here", (long long)i,
                   space->n);
    return ix_axis(r->g, (int)i);
}

static const Ix *size(Reader *r)
{
    read_blank(r);
    uint32_t from = r->at;
    const char *name = read_peek(r, "'") ? read_string(r, '\'')
                                         : read_word(r, "an index: a number, an axis or a size");
    for (int i = 0; i < r->g->syms.n; i++)
        if (!strcmp(r->g->syms.v[i].name, name)) return ix_sym(r->g, name, NO_LOC);
    user_error(r->d, read_loc(r, from), "no `sym` line declares the size `%s`", name);
}

static const Ix *choice(Reader *r, const Space *space)
{
    bool min = read_accept(r, "min");
    if (!min) read_expect(r, "max");
    read_expect(r, "(");
    const Ix *a = read_ix(r, space);
    read_expect(r, ",");
    const Ix *b = read_ix(r, space);
    read_expect(r, ")");
    return min ? ix_min(r->g, a, b, space) : ix_max(r->g, a, b, space);
}

static const Ix *load(Reader *r, const Space *space)
{
    uint32_t from = r->at;
    Edge e = read_edge(r, space);
    if (e.node->dt != DT_INT)
        user_error(r->d, read_loc(r, from), "C5: an index reads a value that is not int");
    return ix_load(r->g, e, space);
}

static const Ix *factor(Reader *r, const Space *space)
{
    read_blank(r);
    uint32_t n = 0;
    while (r->at + n < r->n && text_is_word(r->s[r->at + n], n == 0)) n++;
    if (text_is_axis(r->s + r->at, n)) return axis(r, space);
    if (read_peek(r, "%")) return load(r, space);
    if (read_peek(r, "min") || read_peek(r, "max")) return choice(r, space);
    if (r->at < r->n && r->s[r->at] >= '0' && r->s[r->at] <= '9')
        return ix_const(r->g, read_int(r, 0, INT64_MAX));
    if (!read_accept(r, "(")) return size(r);
    const Ix *e = read_ix(r, space);
    read_expect(r, ")");
    return e;
}

/* ---- products and sums ---- */

/* What // and % can be by: for all we know, positive. */
static const Ix *divisor(Reader *r, const Space *space)
{
    uint32_t from = r->at;
    const Ix *b = factor(r, space);
    if (ix_is_const(b) && b->c <= 0)
        user_error(r->d, read_loc(r, from), "a divisor must be positive");
    return b;
}

static const Ix *product(Reader *r, const Space *space)
{
    const Ix *e = factor(r, space);
    for (;;) {
        if (read_accept(r, "*")) e = ix_mul(r->g, e, factor(r, space));
        else if (read_accept(r, "//")) e = ix_div(r->g, e, divisor(r, space), space);
        else if (read_accept(r, "%")) e = ix_mod(r->g, e, divisor(r, space), space);
        else return e;
    }
}

const Ix *read_ix(Reader *r, const Space *space)
{
    deeper(r);
    r->g->loc = read_loc(r, r->at);
    bool minus = read_accept(r, "-");
    const Ix *e = product(r, space);
    if (minus) e = ix_scale(r->g, e, -1);
    for (;;) {
        if (read_accept(r, "+")) e = ix_add(r->g, e, product(r, space));
        else if (read_accept(r, "-")) e = ix_sub(r->g, e, product(r, space));
        else break;
    }
    r->depth--;
    return e;
}

/* ---- edges and spaces ---- */

Node *read_node_name(Reader *r)
{
    read_blank(r);
    uint32_t from = r->at;
    read_expect(r, "%");
    int64_t number = read_int(r, 0, INT32_MAX);
    int low = 0, high = r->nodes.n - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        if (r->nodes.v[middle].number == number) return r->nodes.v[middle].node;
        if (r->nodes.v[middle].number < number) low = middle + 1;
        else high = middle - 1;
    }
    user_error(r->d, read_loc(r, from), "C1: no node %%%lld stands above", (long long)number);
}

Edge read_edge(Reader *r, const Space *space)
{
    const Ix *ix[MAX_AXES];
    int n = 0;
    read_blank(r);
    uint32_t from = r->at;
    Node *node = read_node_name(r);
    deeper(r);
    if (read_accept(r, "[")) {
        do {
            if (n == MAX_AXES) read_error(r, "more than %d indices", MAX_AXES);
            ix[n++] = read_ix(r, space);
        } while (read_accept(r, ","));
        read_expect(r, "]");
    }
    r->depth--;
    if (n != node->rank)
        user_error(r->d, read_loc(r, from), "C3: a value of rank %d is read at %d indices",
                   node->rank, n);
    return (Edge){node, map_make(r->g, n, ix)};
}

int read_extents(Reader *r, const Ix **ext, int from)
{
    const Space *none = space_make(r->g, 0, NULL);
    read_expect(r, "[");
    if (read_accept(r, "]")) return from;
    do {
        if (from == MAX_AXES) read_error(r, "more than %d axes", MAX_AXES);
        uint32_t at = r->at;
        ext[from] = read_ix(r, none);
        if (ext[from++]->loads)
            user_error(r->d, read_loc(r, at), "C2: a size reads a value");
    } while (read_accept(r, ","));
    read_expect(r, "]");
    return from;
}

const Space *read_over(Reader *r)
{
    const Ix *ext[MAX_AXES];
    read_expect(r, "over");
    int n = read_extents(r, ext, 0);
    return space_make(r->g, n, ext);
}
