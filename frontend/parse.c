/* parse.c: one file from text to tree, and its `##` comments to what they document. */
#include "frontend/parse.h"
#include "frontend/node.h"
#include "frontend/parser.h"

static void free_scratch(void *arena) { arena_free(arena); }

/* The texts of the comments [from, to), one per line. */
static const char *join_docs(Parse *p, int from, int to)
{
    if (from == to) return NULL;
    Str s = {.arena = p->a};
    for (int i = from; i < to; i++) str_printf(&s, "%s%s", i > from ? "\n" : "", p->docs.v[i].text);
    return s.s;
}

/* The index of the first comment on `line` or below it. */
static int doc_from(const Parse *p, int line)
{
    int low = 0, high = p->docs.n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (p->docs.v[middle].line < line) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The comment lines that stand alone right above `line`. */
static const char *doc_above(Parse *p, int line)
{
    int to = doc_from(p, line), from = to;
    for (; from > 0; from--) {
        const Doc *doc = &p->docs.v[from - 1];
        if (!doc->alone || doc->line != line - (to - from) - 1) break;
    }
    return join_docs(p, from, to);
}

/* A comment behind an option is of the last option that begins or ends on its line; else one above
 * is of the first option of the line. */
static void document_options(Parse *p, OptionVec options)
{
    for (int i = 0; i < options.n; i++) {
        Option *o = &options.v[i];
        Loc end = {o->loc.file, o->loc.end, o->loc.end};
        int first = diag_line(p->d, o->loc, NULL), last = diag_line(p->d, end, NULL);
        bool leads = i == 0 || diag_line(p->d, options.v[i - 1].loc, NULL) < first;
        bool trails = i + 1 == options.n || diag_line(p->d, options.v[i + 1].loc, NULL) > last;
        int at = doc_from(p, last);
        if (trails && at < p->docs.n && p->docs.v[at].line == last)
            o->doc = join_docs(p, at, at + 1);
        else if (leads)
            o->doc = doc_above(p, first);
    }
}

static void document(Parse *p)
{
    for (int i = 0; i < p->file->items.n; i++) {
        Item *item = p->file->items.v[i];
        int line = diag_line(p->d, item->loc, NULL);
        if (item->kind == IT_FN) item->fn->doc = doc_above(p, line);
        if (item->kind != IT_MODULE) continue;
        item->module.doc = doc_above(p, line);
        document_options(p, item->module.options);
        StmtVec body = item->module.body.list;
        for (int k = 0; k < body.n; k++)
            if (body.v[k]->kind == ST_FN)
                body.v[k]->fn->doc = doc_above(p, diag_line(p->d, body.v[k]->loc, NULL));
    }
}

/* Parses into p. */
static void parse(Parse *p, int first)
{
    size_t bytes;
    p->text = diag_source_text(p->d, p->source, &bytes);
    if (bytes > MOST_BYTES)
        diag_fail(p->d, "%s: a source of %zu bytes is too large: at most %zu",
                  diag_file(p->d, (Loc){p->source, 0, 0}), bytes, MOST_BYTES);
    p->bytes = (uint32_t)bytes;
    p->scratch = arena_new();
    if (!p->scratch) diag_oom(p->d);
    diag_defer(p->d, free_scratch, p->scratch);
    arena_on_oom(p->scratch, diag_oom, p->d);
    p->file = NEW(p->a, AstFile);
    p->file->source = p->source;
    tokens_scan(p, first);
    node_parse(p);
    document(p);
    diag_undefer(p->d);
    arena_free(p->scratch);
}

AstFile *rt_parse(Diag *d, Arena *a, uint32_t source)
{
    Parse p = {.d = d, .a = a, .source = source};
    parse(&p, 0);
    return p.file;
}

Expr *rt_parse_value(Diag *d, Arena *a, uint32_t source)
{
    Parse p = {.d = d, .a = a, .source = source};
    parse(&p, VALUE);
    return p.value;
}
