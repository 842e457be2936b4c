/* namemap.c: see namemap.h. An interpreter of lines: {names} are expanded as a line is met. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include "runtime/file.h"
#include "runtime/namemap.h"

enum { MAX_MAP_BYTES = 1 << 20, MAX_RULES = 1 << 20, MAX_DEPTH = 32 };

typedef struct {
    const char *text;                /* trimmed, without its comment; never empty */
    Loc loc;
    int end, otherwise;              /* of a block: the line of its `end`, of its `else` or -1 */
} Line;

typedef struct {
    const char *name, *value;
} Let;

typedef struct {
    Diag *d;
    Arena *a;
    NameMap *map;
    VEC(Line) lines;
    VEC(Let) lets;
    const char *ours, *theirs, *options; /* what the groups put before names */
    int depth;
} Reader;

static void run_lines(Reader *r, int from, int to);

/* ---- lines ---- */

/* The rest of the line after the word, if it begins with it. */
static const char *after(const char *text, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(text, word, n) || (text[n] && text[n] != ' ' && text[n] != '\t')) return NULL;
    text += n;
    while (*text == ' ' || *text == '\t') text++;
    return text;
}

static const char *trimmed(Arena *a, const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from)) from++;
    while (from < to && isspace((unsigned char)to[-1])) to--;
    return arena_strndup(a, from, (size_t)(to - from));
}

static void split_lines(Reader *r, const char *path)
{
    size_t bytes;
    const char *text = file_read(r->d, r->a, path, MAX_MAP_BYTES, &bytes);
    uint32_t source = diag_source(r->d, path, text, bytes);
    for (const char *p = text, *next; p < text + bytes; p = next) {
        const char *end = memchr(p, '\n', (size_t)(text + bytes - p));
        if (!end) end = text + bytes;
        next = end + 1;
        const char *comment = memchr(p, '#', (size_t)(end - p));
        const char *line = trimmed(r->a, p, comment ? comment : end);
        if (!*line) continue;
        Loc loc = {source, (uint32_t)(p - text), (uint32_t)(end - text)};
        vec_push(r->a, &r->lines, (Line){line, loc, -1, -1});
    }
}

static bool opens(const char *text)
{
    return after(text, "for") || after(text, "if") || after(text, "group") || after(text, "model");
}

static void match_blocks(Reader *r)
{
    int open[MAX_DEPTH], n = 0;
    for (int i = 0; i < r->lines.n; i++) {
        Line *l = &r->lines.v[i];
        if (opens(l->text)) {
            if (n == MAX_DEPTH) user_error(r->d, l->loc, "blocks are nested too deeply");
            open[n++] = i;
        } else if (!strcmp(l->text, "else")) {
            Line *of = n ? &r->lines.v[open[n - 1]] : NULL;
            if (!of || !after(of->text, "if") || of->otherwise >= 0)
                user_error(r->d, l->loc, "`else` without its `if`");
            of->otherwise = i;
        } else if (!strcmp(l->text, "end")) {
            if (!n) user_error(r->d, l->loc, "`end` without what it ends");
            r->lines.v[open[--n]].end = i;
        }
    }
    if (n) user_error(r->d, r->lines.v[open[n - 1]].loc, "this has no `end`");
}

/* ---- values ---- */

static const StaticValue *option_value(Reader *r, const Line *l, const char *name)
{
    const Program *p = r->map->program;
    const char *full = arena_printf(r->a, "%s%s", r->options, name);
    for (int i = 0; i < p->options.n; i++) {
        const OptionInfo *o = &p->options.v[i];
        if (!strcmp(o->name, full)) return o->value.kind == SV_NONE ? &o->def : &o->value;
    }
    user_error(r->d, l->loc, "model %s has no option `%s`", p->model, full);
}

static const char *let_value(const Reader *r, const char *name)
{
    for (int i = r->lets.n - 1; i >= 0; i--)
        if (!strcmp(r->lets.v[i].name, name)) return r->lets.v[i].value;
    return NULL;
}

/* A number, a `let` that is one, or an int option. */
static int64_t number(Reader *r, const Line *l, const char *word)
{
    const char *text = let_value(r, word);
    if (!text) text = word;
    char *end;
    long long v = strtoll(text, &end, 10);
    if (*text && !*end) return v;
    if (text == word) {
        const StaticValue *o = option_value(r, l, word);
        if (o->kind == SV_INT) return o->i;
    }
    user_error(r->d, l->loc, "`%s` is not a number", word);
}

/* A + B * C ..., from left to right. */
static int64_t count_up(Reader *r, const Line *l, const char *text)
{
    char *rest = arena_strdup(r->a, text), *word, op = '+';
    int64_t sum = 0;
    while ((word = strtok_r(rest, " \t", &rest))) {
        int64_t v = number(r, l, word);
        if (op == '+' ? __builtin_add_overflow(sum, v, &sum) : __builtin_mul_overflow(sum, v, &sum))
            user_error(r->d, l->loc, "`%s` is too large", text);
        word = strtok_r(rest, " \t", &rest);
        if (!word) return sum;
        if (strcmp(word, "+") && strcmp(word, "*"))
            user_error(r->d, l->loc, "expected `+` or `*`, found `%s`", word);
        op = word[0];
    }
    user_error(r->d, l->loc, "expected a number in `%s`", text);
}

/* The text with every {..} replaced. */
static const char *expand(Reader *r, const Line *l, const char *text)
{
    Str out = {.arena = r->a};
    str_add(&out, "");
    for (const char *p = text; *p;) {
        if (*p == '}') user_error(r->d, l->loc, "`}` without its `{`");
        if (*p != '{') {
            str_addn(&out, p++, 1);
            continue;
        }
        const char *close = strchr(p, '}');
        if (!close) user_error(r->d, l->loc, "`{` without its `}`");
        const char *inside = trimmed(r->a, p + 1, close);
        const char *value = let_value(r, inside);
        if (value) str_add(&out, value);
        else str_printf(&out, "%lld", (long long)count_up(r, l, inside));
        p = close + 1;
    }
    return out.s;
}

/* ---- conditions ---- */

/* The pattern fits the name; *rest is what its `*` stands for ("" without one). */
static bool fits(const char *pattern, const char *name, const char **rest)
{
    size_t n = strlen(pattern);
    if (n && pattern[n - 1] == '*') {
        *rest = name + n - 1;
        return !strncmp(pattern, name, n - 1);
    }
    *rest = "";
    return !strcmp(pattern, name);
}

static bool model_has(const Reader *r, const char *pattern)
{
    const char *rest;
    for (int i = 0; i < r->map->kept.n; i++)
        if (fits(pattern, r->map->kept.v[i].name, &rest)) return true;
    return false;
}

static bool is_in(Reader *r, const Line *l, int64_t value, const char *option)
{
    const StaticValue *list = option_value(r, l, option);
    if (list->kind == SV_INT) return list->i == value;
    if (list->kind != SV_LIST) user_error(r->d, l->loc, "option `%s` is not a list", option);
    for (int i = 0; i < list->n; i++)
        if (list->v[i].kind == SV_INT && list->v[i].i == value) return true;
    return false;
}

static bool holds(Reader *r, const Line *l, const char *text)
{
    const char *inner = after(text, "not");
    if (inner) return !holds(r, l, inner);
    inner = after(text, "has");
    if (inner)
        return model_has(r, arena_printf(r->a, "%s%s", r->ours, expand(r, l, inner)));
    inner = strstr(text, " in ");
    if (inner) {
        int64_t value = count_up(r, l, trimmed(r->a, text, inner));
        return is_in(r, l, value, after(inner + 1, "in"));
    }
    const StaticValue *v = option_value(r, l, text);
    if (v->kind != SV_BOOL) user_error(r->d, l->loc, "option `%s` is not a bool", text);
    return v->i != 0;
}

/* ---- running ---- */

static void check_pattern(Reader *r, const Line *l, const char *pattern)
{
    const char *star = strchr(pattern, '*');
    if (star && star[1]) user_error(r->d, l->loc, "`*` can only end a name: `%s`", pattern);
}

static void add_rule(Reader *r, const Line *l, int at, const char *ours, const char *theirs)
{
    NameRule rule = {.line = at};
    if (*ours) rule.ours = arena_printf(r->a, "%s%s", r->ours, ours);
    if (*theirs) rule.theirs = arena_printf(r->a, "%s%s", r->theirs, theirs);
    check_pattern(r, l, ours);
    check_pattern(r, l, theirs);
    if (*ours && *theirs && !strchr(ours, '*') != !strchr(theirs, '*'))
        user_error(r->d, l->loc, "`*` must end both names, or none");
    if (r->map->rules.n == MAX_RULES) user_error(r->d, l->loc, "the map has too many names");
    vec_push(r->a, &r->map->rules, rule);
}

static void run_rule(Reader *r, int at)
{
    const Line *l = &r->lines.v[at];
    const char *equals = strchr(l->text, '=');
    if (!equals) user_error(r->d, l->loc, "expected OURS = THEIRS");
    const char *ours = expand(r, l, trimmed(r->a, l->text, equals));
    char *rest = arena_strdup(r->a, expand(r, l, equals + 1)), *word = strtok_r(rest, " \t", &rest);
    if (!word && !*ours) user_error(r->d, l->loc, "expected a name on one side of `=`");
    if (!word) add_rule(r, l, at, ours, "");
    for (; word; word = strtok_r(rest, " \t", &rest)) add_rule(r, l, at, ours, word);
}

static int find_block(Reader *r, const Line *from, const char *word, const char *name)
{
    for (int i = 0; i < r->lines.n; i++) {
        const char *rest = after(r->lines.v[i].text, word);
        if (rest && !strcmp(rest, name)) return i;
    }
    if (from) user_error(r->d, from->loc, "there is no %s `%s`", word, name);
    diag_fail(r->d, "%s has no names for the model %s", r->map->path, name);
}

static void run_block(Reader *r, int at)
{
    run_lines(r, at + 1, r->lines.v[at].end);
}

/* NAME: OURS = THEIRS OPTIONS */
static void run_group(Reader *r, const Line *l, const char *colon)
{
    Reader saved = *r;
    const char *equals = strchr(colon, '=');
    if (!equals) user_error(r->d, l->loc, "expected GROUP: OURS = THEIRS");
    const char *ours = expand(r, l, trimmed(r->a, colon + 1, equals));
    char *rest = arena_strdup(r->a, expand(r, l, equals + 1));
    const char *theirs = strtok_r(rest, " \t", &rest), *options = strtok_r(rest, " \t", &rest);
    int at = find_block(r, l, "group", trimmed(r->a, l->text, colon));
    if (++r->depth > MAX_DEPTH) user_error(r->d, l->loc, "groups are nested too deeply");
    r->ours = arena_printf(r->a, "%s%s", saved.ours, ours);
    r->theirs = arena_printf(r->a, "%s%s", saved.theirs, theirs ? theirs : "");
    r->options = arena_printf(r->a, "%s%s", saved.options, options ? options : "");
    run_block(r, at);
    r->ours = saved.ours;
    r->theirs = saved.theirs;
    r->options = saved.options;
    r->lets.n = saved.lets.n;
    r->depth--;
}

static void run_let(Reader *r, const Line *l, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals) user_error(r->d, l->loc, "expected let NAME = TEXT");
    const char *value = expand(r, l, trimmed(r->a, equals + 1, equals + strlen(equals)));
    vec_push(r->a, &r->lets, (Let){trimmed(r->a, text, equals), value});
}

/* for NAME in 0..COUNT */
static void run_for(Reader *r, int at, const char *text)
{
    const Line *l = &r->lines.v[at];
    const char *in = strstr(text, " in "), *dots = in ? strstr(in, "..") : NULL;
    if (!dots) user_error(r->d, l->loc, "expected for NAME in 0..COUNT");
    int64_t i = count_up(r, l, trimmed(r->a, in + 4, dots));
    int64_t to = count_up(r, l, trimmed(r->a, dots + 2, dots + strlen(dots)));
    const char *name = trimmed(r->a, text, in);
    int outside = r->lets.n;
    for (; i < to; i++) {
        vec_push(r->a, &r->lets, (Let){name, arena_printf(r->a, "%lld", (long long)i)});
        run_block(r, at);
        r->lets.n = outside;
    }
}

static void run_if(Reader *r, int at, const char *text)
{
    Line l = r->lines.v[at];
    if (holds(r, &l, text)) run_lines(r, at + 1, l.otherwise >= 0 ? l.otherwise : l.end);
    else if (l.otherwise >= 0) run_lines(r, l.otherwise + 1, l.end);
}

static void run_lines(Reader *r, int from, int to)
{
    for (int i = from; i < to; i++) {
        const Line *l = &r->lines.v[i];
        const char *rest, *colon = strchr(l->text, ':');
        if (opens(l->text)) {
            if ((rest = after(l->text, "for"))) run_for(r, i, rest);
            else if ((rest = after(l->text, "if"))) run_if(r, i, rest);
            else user_error(r->d, l->loc, "this can't stand inside another block");
            i = l->end;
        } else if ((rest = after(l->text, "let"))) {
            run_let(r, l, rest);
        } else if (colon) {
            run_group(r, l, colon);
        } else {
            run_rule(r, i);
        }
    }
}

/* ---- what the model keeps ---- */

static void keep(NameMap *m, Graph *g, const Named *v, int n, bool state)
{
    for (int i = 0; i < n; i++) {
        const Space *shape = node_shape(g, v[i].node);
        KeptTensor k = {.name = v[i].name, .state = state, .dt = v[i].node->dt,
                        .rank = shape->n};
        for (int j = 0; j < shape->n; j++) {
            if (!ix_is_const(shape->ext[j])) diag_bug(g->diag, "`%s` has a free size", k.name);
            k.shape[j] = shape->ext[j]->c;
        }
        vec_push(m->arena, &m->kept, k);
    }
}

/* Layers that aren't kept: their tensors are in files of the whole model. */
static void keep_idle(NameMap *m)
{
    for (int i = 0; i < m->program->unread.n; i++) {
        const char *name = m->program->unread.v[i];
        const char *initted = arena_printf(m->arena, "%s.initted", name);
        vec_push(m->arena, &m->kept, (KeptTensor){.name = name, .idle = true});
        vec_push(m->arena, &m->kept, (KeptTensor){.name = initted, .state = true, .idle = true});
    }
}

static void keep_initted(NameMap *m, const Graph *g)
{
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.v[i];
        if (n->op != OP_fresh) continue;
        const char *name = arena_printf(m->arena, "%s.initted", n->attr.leaf.name);
        vec_push(m->arena, &m->kept, (KeptTensor){.name = name, .state = true, .dt = DT_BOOL});
    }
}

NameMap *namemap_read(Diag *d, Arena *a, const char *path, const Program *p)
{
    NameMap *m = NEW(a, NameMap);
    Reader r = {.d = d, .a = a, .map = m, .ours = "", .theirs = "", .options = ""};
    m->path = arena_strdup(a, path);
    m->program = p;
    m->arena = a;
    keep(m, p->graph, p->graph->params.v, p->graph->params.n, false);
    keep(m, p->graph, p->graph->states.v, p->graph->states.n, true);
    keep_initted(m, p->graph);
    keep_idle(m);
    split_lines(&r, path);
    match_blocks(&r);
    for (int i = 0; i < r.lines.n; i = r.lines.v[i].end + 1) {
        const char *text = r.lines.v[i].text;
        if (!after(text, "group") && !after(text, "model"))
            user_error(d, r.lines.v[i].loc, "expected `group NAME` or `model NAME`");
    }
    run_block(&r, find_block(&r, NULL, "model", p->model));
    return m;
}

/* ---- names ---- */

static bool translate(const NameMap *m, bool from, const char *name, NameList *out)
{
    int line = -1;
    const char *rest;
    out->n = 0;
    for (int i = 0; i < m->rules.n; i++) {
        const NameRule *u = &m->rules.v[i];
        const char *pattern = from ? u->theirs : u->ours, *other = from ? u->ours : u->theirs;
        if (!pattern || !fits(pattern, name, &rest) || (line >= 0 && u->line != line)) continue;
        line = u->line;
        if (!other) continue;
        size_t n = strlen(other) - (strchr(other, '*') != NULL);
        const char *made = arena_printf(m->arena, "%.*s%s", (int)n, other, rest);
        for (int k = 0; k < out->n && made; k++)
            if (!strcmp(out->v[k], made)) made = NULL;
        if (made) vec_push(m->arena, out, made);
    }
    return line >= 0;
}

bool namemap_theirs(const NameMap *m, const char *ours, NameList *out)
{
    return translate(m, false, ours, out);
}

bool namemap_ours(const NameMap *m, const char *theirs, NameList *out)
{
    return translate(m, true, theirs, out);
}

const KeptTensor *namemap_kept(const NameMap *m, const char *ours)
{
    for (int i = 0; i < m->kept.n; i++)
        if (!strcmp(m->kept.v[i].name, ours)) return &m->kept.v[i];
    return NULL;
}
