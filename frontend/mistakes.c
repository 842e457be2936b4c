/* mistakes.c: says what could have stood where the parser can't go on. Contract: mistakes.h. */
#include "frontend/mistakes.h"

int mistake_kind(const Mistake *m, int i)
{
    return i >= 0 && i < m->p->tokens.n ? m->t[i].kind : 0;
}

const char *mistake_word(const Mistake *m, int i)
{
    enum { MOST = 40 };
    if (!mistake_kind(m, i)) return "the end of the file";
    const char *text = token_text(m->p, i, i);
    bool long_ = strlen(text) > MOST;
    return arena_printf(m->p->scratch, "`%.*s%s`", MOST, text, long_ ? "..." : "");
}

bool mistake_ends_value(const Mistake *m, int i)
{
    switch (mistake_kind(m, i)) {
    case NAME: case INT: case FLOAT: case STRING: case TRUE: case FALSE: case ')': case ']':
        return true;
    default:
        return false;
    }
}

bool mistake_same_line(const Mistake *m, int a, int b)
{
    return mistake_kind(m, a) && token_line(m->p, a) == token_line(m->p, b);
}

void mistake_say(const Mistake *m, int i, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(m->p->scratch, fmt, ap);
    va_end(ap);
    user_error(m->p->d, token_loc(m->p, i), "%s", text);
}

/* ---- brackets ---- */

/* The token that the construct of a `{` or `(` begins with (`fn`, `module`, `if`), or itself. */
static int bracket_head(const Mistake *m, int open)
{
    int i = open - 1;
    if (m->t[open].kind == '{' && mistake_kind(m, i) == ')' && m->t[i].match > 0)
        i = m->t[i].match - 1;
    if (mistake_kind(m, i) == NAME) i--;
    int kind = mistake_kind(m, i);
    static const int heads[] = {FN, MODULE, MODEL, TRAIN, ELSE, '@'};
    for (int k = 0; k < COUNT(heads); k++)
        if (kind == heads[k]) return i;
    if (m->t[open].kind != '{') return open;
    for (i = open - 1; i >= 0 && !kind_in(m->t[i].kind, "([{"); i--) {
        if (m->t[i].kind == IF || m->t[i].kind == FOR) return i;
        if (m->t[i].match >= 0) i = m->t[i].match;
    }
    return open;
}

const char *mistake_bracket(const Mistake *m, int open, int *head)
{
    Arena *a = m->p->scratch;
    int i = bracket_head(m, open), kind = m->t[i].kind, col;
    int line = diag_line(m->p->d, token_loc(m->p, open), &col);
    const char *of = "", *word = token_text(m->p, i, i);
    bool is_named = mistake_kind(m, i + 1) == NAME;
    if (i != open && is_named && kind == '@')
        of = arena_printf(a, " of `%s`", token_text(m->p, i, i + 1));
    else if (i != open && is_named && (kind == FN || kind == MODULE || kind == MODEL))
        of = arena_printf(a, " of %s %s", word, mistake_word(m, i + 1));
    else if (i != open)
        of = arena_printf(a, " of `%s`", word);
    if (head) *head = i;
    return arena_printf(a, "the `%c`%s at %d:%d", m->t[open].kind, of, line, col);
}

/* The column of the first token on the line of token i. */
static int indent_of(const Mistake *m, int i)
{
    int col;
    while (i > 0 && mistake_same_line(m, i - 1, i)) i--;
    diag_line(m->p->d, token_loc(m->p, i), &col);
    return col;
}

const char *mistake_indent(const Mistake *m)
{
    for (int i = 1; i < m->at; i++) {
        if (m->t[i].kind != '}' || m->t[i].match < 0 || mistake_same_line(m, i - 1, i)) continue;
        int head, col;
        const char *bracket = mistake_bracket(m, m->t[i].match, &head);
        if (indent_of(m, i) == indent_of(m, head)) continue;
        int line = diag_line(m->p->d, token_loc(m->p, i), &col);
        return arena_printf(m->p->scratch, "\nhint: the `}` at %d:%d closes %s, which is indented "
                                           "otherwise", line, col, bracket);
    }
    return "";
}

/* ---- what could have stood there ---- */

typedef struct {
    const char *words[32];
    int n;
} Wanted;

static void want(Wanted *w, const char *word)
{
    if (w->n < COUNT(w->words)) w->words[w->n++] = word;
}

static void want_chars(const Mistake *m, Wanted *w, const char *chars)
{
    for (; *chars; chars++)
        if (m->can[(unsigned char)*chars])
            want(w, arena_printf(m->p->scratch, "`%c`", *chars));
}

/* In the words of a reader: "a value" for its 12 beginnings, no operators behind a whole value. */
static Wanted wanted(const Mistake *m)
{
    static const struct {
        int kind;
        const char *word;
    } others[] = {{IN, "`in`"}, {ELSE, "`else`"}, {DOTS, "`..`"}, {FN, "`fn`"}};
    const bool *can = m->can;
    Wanted w = {.n = 0};
    bool value = can[INT], statement = can[RETURN], whole = can['+'], closes = can[')'] || can[']'];

    if (value) want(&w, "a value");
    else if (statement) want(&w, "a statement");
    else if (can[IMPORT]) want(&w, "`module`, `model`, `fn`, `let`, `import` or `train`");
    else if (can[NAME]) want(&w, mistake_kind(m, m->at - 1) == ':' ? "a type" : "a name");
    if (can[STRING] && !value) want(&w, "a string");
    want_chars(m, &w, whole ? ",=" : value ? "" : can['='] || can[','] ? ",=" : ",([");
    want_chars(m, &w, value ? ")]" : "~)]{}");
    if (!closes && !value) want_chars(m, &w, ":");
    for (int i = 0; i < COUNT(others); i++)
        if (can[others[i].kind] && !value && !statement && !whole && !can[IMPORT])
            want(&w, others[i].word);
    return w;
}

static const char *join(const Mistake *m, const Wanted *w)
{
    Str s = {.arena = m->p->scratch};
    for (int i = 0; i < w->n; i++)
        str_printf(&s, "%s%s", i == 0 ? "" : i + 1 == w->n ? " or " : ", ", w->words[i]);
    return s.s;
}

void mistake_report(Parse *p, const bool *expected)
{
    Mistake m = {p, p->tokens.v, p->at, token_open(p, p->at), expected};
    mistake_known(&m);
    Wanted w = wanted(&m);
    const char *open = "", *word = mistake_word(&m, m.at);
    if (m.open >= 0 && m.t[m.open].kind != '{')
        open = arena_printf(p->scratch, "; %s is open", mistake_bracket(&m, m.open, NULL));
    if (w.n == 0) mistake_say(&m, m.at, "%s can't stand here%s", word, open);
    mistake_say(&m, m.at, "expected %s before %s%s", join(&m, &w), word, open);
}
