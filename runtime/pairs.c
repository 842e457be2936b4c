/* pairs.c: see pairs.h. */
#include "runtime/pairs.h"

size_t pairs_count(const unsigned char *p, size_t bytes)
{
    size_t n = 0;
    const unsigned char *end = p + bytes;
    for (const unsigned char *q = p; q < end; n++) {
        q = memchr(q, '\n', (size_t)(end - q));
        q = q ? q + 1 : end;
    }
    return n;
}

/* ---- what is no side of a pair ---- */

/* Where a side stands, for messages. */
typedef struct {
    Diag *diag;
    const char *path;                /* NULL: not in a file */
    size_t line;
    const char *what;
} Place;

static const char *place_text(const Place *at)
{
    if (!at->path) return at->what;
    return arena_printf(diag_arena(at->diag), "%s:%zu: %s", at->path, at->line, at->what);
}

static const char *meaning(const PairRules *r, unsigned byte)
{
    if (byte == TOKEN_START) return "the start of a target";
    if (byte == TOKEN_END) return "the end";
    return byte == (unsigned)r->pad ? "padding" : NULL;
}

static void check(const Place *at, const PairRules *r, const PairSide *side,
                  const unsigned char *p, size_t n)
{
    Diag *d = at->diag;
    if (!n) diag_fail(d, "%s is empty; it needs at least one byte", place_text(at));
    if (n > (uint64_t)side->most)
        diag_fail(d, "%s has %zu bytes, and the model takes %lld\n"
                     "hint: a larger %s (one place in it is for a token that isn't text)",
                  place_text(at), n, (long long)side->most, side->option);
    for (size_t i = 0; i < n; i++) {
        const char *other = meaning(r, p[i]);
        if (other)
            diag_fail(d, "%s has the byte %d at place %zu, and that stands for %s",
                      place_text(at), p[i], i + 1, other);
        if (p[i] >= side->tokens)
            diag_fail(d, "%s has the byte %d at place %zu, and the model has %lld tokens",
                      place_text(at), p[i], i + 1, (long long)side->tokens);
    }
}

void pairs_check(Diag *d, const PairRules *rules, const PairSide *side, const char *what,
                 const char *text, size_t n)
{
    check(&(Place){.diag = d, .what = what}, rules, side, (const unsigned char *)text, n);
}

/* ---- lines ---- */

static Pair split(const Place *at, const unsigned char *p, size_t n)
{
    static const char expected[] = "expected: the source, a tab, the target";
    Diag *d = at->diag;
    const unsigned char *tab = memchr(p, '\t', n);
    if (!tab)
        diag_fail(d, "%s:%zu: no tab in this line\n%s", at->path, at->line, expected);
    size_t source = (size_t)(tab - p), target = n - source - 1;
    if (memchr(tab + 1, '\t', target))
        diag_fail(d, "%s:%zu: more than one tab in this line\n%s", at->path, at->line, expected);
    if (n > INT32_MAX)
        diag_fail(d, "%s:%zu: the line is too long: %zu bytes", at->path, at->line, n);
    return (Pair){p, tab + 1, (int32_t)source, (int32_t)target};
}

void pairs_split(Diag *d, const char *path, const unsigned char *p, size_t bytes,
                 const PairRules *rules, Pair *out)
{
    const unsigned char *end = p + bytes;
    for (size_t line = 1; p < end; line++) {
        const unsigned char *stop = memchr(p, '\n', (size_t)(end - p));
        const unsigned char *next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > p && stop[-1] == '\r') stop--;
        Place at = {d, path, line, "the source"};
        Pair pair = split(&at, p, (size_t)(stop - p));
        check(&at, rules, &rules->source, pair.source, (size_t)pair.nsource);
        at.what = "the target";
        check(&at, rules, &rules->target, pair.target, (size_t)pair.ntarget);
        *out++ = pair;
        p = next;
    }
}

/* ---- tokens ---- */

static void copy(const unsigned char *p, int32_t n, int32_t *out)
{
    for (int32_t i = 0; i < n; i++) out[i] = p[i];
    out[n] = TOKEN_END;
}

void pair_source(const Pair *p, int32_t *out) { copy(p->source, p->nsource, out); }

void pair_target(const Pair *p, int32_t *out)
{
    *out = TOKEN_START;
    copy(p->target, p->ntarget, out + 1);
}
