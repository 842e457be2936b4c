/* known.c: mistakes that newcomers make, each told with what to write instead. mistakes.h.
 *
 * One function per kind of mistake: it looks at the tokens around and reports, or returns.
 * mistake_known asks them in order; the more special ones come first.
 */
#include "frontend/mistakes.h"

#define KIND(i) mistake_kind(m, (i))
#define WORD(i) mistake_word(m, (i))

static const char *text_of(const Mistake *m, int first, int last)
{
    return token_text(m->p, first, last);
}

/* "2:9" */
static const char *place_of(const Mistake *m, int i)
{
    int col, line = diag_line(m->p->d, token_loc(m->p, i), &col);
    return arena_printf(m->p->scratch, "%d:%d", line, col);
}

static bool is_comparison(int kind)
{
    return kind == EQ || kind == NE || kind == '<' || kind == '>' || kind == LE || kind == GE ||
           kind == IN;
}

/* Only a name could stand there. */
static bool wants_name(const Mistake *m) { return m->can[NAME] && !m->can[INT] && !m->can[LET]; }

/* ---- brackets and ends ---- */

static void bracket_left_open(const Mistake *m)
{
    if (KIND(m->at) || m->open < 0) return;
    mistake_say(m, m->at, "end of file, but %s is open%s", mistake_bracket(m, m->open, NULL),
                mistake_indent(m));
}

static void bracket_closes_nothing(const Mistake *m)
{
    int kind = KIND(m->at), around = KIND(m->open);
    if (kind != ')' && kind != ']' && kind != '}') return;
    if (m->open >= 0 && (kind == '}' || around != '{')) return;
    mistake_say(m, m->at, "this `%c` closes nothing%s", kind, kind == '}' ? mistake_indent(m) : "");
}

/* `y[b, (h, d)]` */
static void comma_in_merge(const Mistake *m)
{
    if (KIND(m->at) != ',' || m->open < 1 || KIND(m->open) != '(') return;
    int before = KIND(m->open - 1), around = token_open(m->p, m->open);
    if (around < 0 || KIND(around) != '[' || (before != '[' && before != ',')) return;
    Str s = {.arena = m->p->scratch};
    int end = m->t[m->open].match;
    for (int i = m->open + 1; i < end; i++)
        if (KIND(i) != ',') str_printf(&s, "%s%s", KIND(i - 1) == ',' ? " " : "", text_of(m, i, i));
    mistake_say(m, m->at, "merged axes are written without a comma: `(%s)`", s.n ? s.s : "h d");
}

static void comma_at_end(const Mistake *m)
{
    int kind = KIND(m->at);
    if (KIND(m->at - 1) != ',' || (kind != ')' && kind != ']') || kind == '}') return;
    mistake_say(m, m->at, "expected one more after the `,`, before `%c`", kind);
}

/* ---- names ---- */

static const char *what_is_named(const Mistake *m)
{
    int before = KIND(m->at - 1), around = KIND(m->open), head = -1;
    if (m->open >= 0) mistake_bracket(m, m->open, &head);
    int owner = KIND(head);
    if (before == MODULE || before == MODEL) return "a module";
    if (before == FN) return "a function";
    if (before == PARAM || before == STATE) return "a parameter";
    if (before == FOR) return "a loop variable";
    if (before == '@') return "an annotation";
    if (before == '.') return "a part";
    if (before == ':') return "a type";
    if (around == '(' && (owner == MODULE || owner == MODEL)) return "an option";
    if (around == '(' && owner == FN) return "a parameter";
    if (around == '[') return "an index";
    if (around == '{' && owner == TRAIN) return "a setting";
    return "a value";
}

/* `let in = 1`; also `let y = state + 1`, where any value could stand. */
static void keyword_as_name(const Mistake *m)
{
    int kind = KIND(m->at);
    bool same_line = mistake_same_line(m, m->at - 1, m->at);
    bool in_list = KIND(m->at - 1) == ',' || KIND(m->at - 1) == '(';
    if (!token_is_keyword(kind) || (!same_line && !in_list)) return;
    if (!wants_name(m) && !m->can[INT]) return;
    mistake_say(m, m->at, "%s is a %s and can't name %s", WORD(m->at),
                kind == REDUCE ? "reduction" : "keyword", what_is_named(m));
}

static const struct {
    int kind;
    const char *form;
} forms[] = {
    {IMPORT, "import \"nn.rt\""},
    {MODULE, "module NAME(dim: int) { ... }"},
    {MODEL, "model NAME(dim: int = 64) { ... }"},
    {TRAIN, "train { optimizer = adamw(lr = 3e-4) }"},
    {LET, "let NAME = ..."},
    {PARAM, "param NAME[dim] ~ normal(0, 1)"},
    {STATE, "state NAME[dim] = 0"},
    {USE, "use NAME = linear(...)"},
    {INIT, "init NAME = ..."},
    {UPDATE, "update NAME = ..."},
    {REPORT, "report NAME = mean[b] x[b]"},
    {FN, "fn NAME(x[b, d]) { ... }"},
    {FOR, "for i in 0..n { ... }"},
    {REQUIRE, "require n > 0, \"why\""},
    {'@', "@checkpoint { ... }"},
};

/* `let = 3`, `import nn`, `for (i in ...)` */
static void form_broken(const Mistake *m)
{
    for (int i = 0; i < COUNT(forms); i++) {
        if (KIND(m->at - 1) != forms[i].kind || m->can[INT]) continue;
        const char *need = forms[i].kind == IMPORT ? "a file in quotes"
                           : forms[i].kind == TRAIN ? "its settings" : "a name";
        bool as_name = token_is_keyword(forms[i].kind) && kind_in(KIND(m->at), "=[.,):~");
        mistake_say(m, m->at, "`%s` needs %s: `%s`%s%s%s", text_of(m, m->at - 1, m->at - 1), need,
                    forms[i].form, as_name ? "\n`" : "",
                    as_name ? text_of(m, m->at - 1, m->at - 1) : "",
                    as_name ? "` is a keyword and can't be a name itself" : "");
    }
}

static const struct {
    const char *word, *hint;
} foreign[] = {
    {"elif", "write `else if`"},
    {"elseif", "write `else if`"},
    {"then", "write `if c { a } else { b }`"},
    {"while", "there is no `while`: `for i in 0..n { ... }` is unrolled"},
    {"var", "write `let`"},
    {"const", "write `let`"},
    {"val", "write `let`"},
    {"def", "write `fn`"},
    {"func", "write `fn`"},
    {"function", "write `fn`"},
    {"class", "write `module`"},
    {"struct", "write `module`"},
    {"from", "write `import \"file.rt\"`"},
    {"include", "write `import \"file.rt\"`"},
    {"lambda", "write `fn NAME(x) = ...`"},
    {"assert", "write `require cond, \"why\"`"},
};

static void foreign_word(const Mistake *m)
{
    for (int i = m->at; i >= m->at - 1; i--) {
        if (KIND(i) != NAME) continue;
        for (int k = 0; k < COUNT(foreign); k++)
            if (strcmp(m->t[i].value.s, foreign[k].word) == 0)
                mistake_say(m, i, "`%s` is not a word of the language: %s", foreign[k].word,
                            foreign[k].hint);
    }
}

/* ---- declarations ---- */

/* The `param` or `state` whose declaration ends right before m->at, with `]` or its name; or -1. */
static int declaration_before(const Mistake *m)
{
    int i = m->at - 1;
    if (KIND(i) == ']' && m->t[i].match > 1) i = m->t[i].match - 1;
    return KIND(i) == NAME && (KIND(i - 1) == PARAM || KIND(i - 1) == STATE) ? i - 1 : -1;
}

static void param_unfinished(const Mistake *m)
{
    int i = declaration_before(m);
    if (i < 0) return;
    const char *kind = text_of(m, i, i), *name = text_of(m, i + 1, i + 1);
    if (KIND(m->at - 1) == ']')
        mistake_say(m, m->at, "%s `%s` (%s) needs a start: `~ normal(0, 1)` or `= 0`", kind, name,
                    place_of(m, i + 1));
    mistake_say(m, m->at, "%s `%s` needs its sizes: `%s %s[dim]`; a single number is `%s[1]`", kind,
                name, kind, name, name);
}

/* `use linear(dim, dim)` */
static void use_without_name(const Mistake *m)
{
    int i = m->at - 1;
    if (KIND(m->at) != '(' || !m->can['=']) return;
    while (i >= 0 && (KIND(i) == NAME || KIND(i) == '.' || KIND(i) == ']'))
        i = KIND(i) == ']' ? m->t[i].match - 1 : i - 1;
    if (KIND(i) == USE)
        mistake_say(m, m->at, "`use` gives a name: `use NAME = %s(...)`",
                    text_of(m, i + 1, m->at - 1));
}

/* `module m(dim = 512)`, `module m(int dim)` */
static void option_without_type(const Mistake *m)
{
    if (!m->can[':'] || !m->can[DOTS] || KIND(m->at - 1) != NAME || KIND(m->open) != '(') return;
    const char *name = text_of(m, m->at - 1, m->at - 1);
    if (KIND(m->at) == NAME)
        mistake_say(m, m->at, "an option is written with its name first: `%s: %s`",
                    text_of(m, m->at, m->at), name);
    mistake_say(m, m->at, "option `%s` needs a type: `%s: int`", name, name);
}

/* `module m { ... }` */
static void options_missing(const Mistake *m)
{
    int kind = KIND(m->at - 2);
    if (KIND(m->at - 1) == NAME && (kind == MODULE || kind == MODEL))
        mistake_say(m, m->at, "expected `(` before %s: `%s()` has no options", WORD(m->at),
                    text_of(m, m->at - 2, m->at - 1));
}

/* `train { a: 1, b: 2 }` */
static void setting_like_json(const Mistake *m)
{
    int head = -1;
    if (KIND(m->open) == '{') mistake_bracket(m, m->open, &head);
    if (KIND(head) != TRAIN) return;
    if (KIND(m->at) == ',' || KIND(m->at) == ':')
        mistake_say(m, m->at, "settings are written `name = value`, one after the other");
}

static void let_with_type(const Mistake *m)
{
    int i = m->at - 1;
    if (KIND(m->at) != ':') return;
    if (KIND(i) == ']' && m->t[i].match > 0) i = m->t[i].match - 1;
    if (KIND(i) == NAME && KIND(i - 1) == LET)
        mistake_say(m, m->at, "`let` takes no type: its value has one");
}

/* ---- reductions and operators ---- */

/* The last name in the brackets behind the name at token i: the likely index of a sum over it. */
static const char *likely_index(const Mistake *m, int i)
{
    if (KIND(i) != NAME || KIND(i + 1) != '[' || m->t[i + 1].match < 0) return NULL;
    for (int k = m->t[i + 1].match - 1; k > i + 1; k--)
        if (KIND(k) == NAME) return text_of(m, k, k);
    return NULL;
}

static void reduction_without_index(const Mistake *m)
{
    if (KIND(m->at - 1) != REDUCE || KIND(m->at) == '(') return;
    const char *word = text_of(m, m->at - 1, m->at - 1);
    if (KIND(m->at) == '[')
        mistake_say(m, m->at - 1, "a reduction here needs parentheses: `(%s[...] ...)`", word);
    const char *index = likely_index(m, m->at);
    if (index)
        mistake_say(m, m->at, "`%s` needs its indices: `%s[%s] %s`", word, word, index,
                    text_of(m, m->at, m->t[m->at + 1].match));
    mistake_say(m, m->at, "`%s` needs its indices: `%s[i] x[i]`\n"
                          "`%s` is a reduction and can't be the name of a value", word, word, word);
}

static bool ends_operand(int kind)
{
    bool is_mark = kind == 0 || kind_in(kind, "([{}]),=;|:~@");
    bool is_word = token_is_keyword(kind) && kind != REDUCE && kind != TRUE && kind != FALSE;
    return is_mark || is_word || is_comparison(kind) || kind == DOTS || kind == BAD;
}

/* The first (step -1) or last (step 1) token of the operand of a comparison next to token i. */
static int operand_end(const Mistake *m, int i, int step)
{
    for (int k = i + step;; k += step) {
        int kind = KIND(k);
        bool goes_in = kind_in(kind, step < 0 ? ")]" : "([");
        if (goes_in ? m->t[k].match < 0 : ends_operand(kind)) return k - step;
        if (goes_in) k = m->t[k].match;
    }
}

static void chained_comparison(const Mistake *m)
{
    if (!is_comparison(KIND(m->at)) || !mistake_ends_value(m, m->at - 1)) return;
    int middle = operand_end(m, m->at, -1), op = middle - 1;
    if (!is_comparison(KIND(op))) return;
    int first = operand_end(m, op, -1), last = operand_end(m, m->at, 1);
    if (last <= m->at || first >= op)
        mistake_say(m, m->at, "comparisons don't chain: write `a < b and b < c`");
    mistake_say(m, m->at, "comparisons don't chain: write `%s and %s`",
                text_of(m, first, m->at - 1), text_of(m, middle, last));
}

/* `if n = 3 { ... }` */
static void assign_for_compare(const Mistake *m)
{
    if (KIND(m->at) != '=' || !m->can[EQ]) return;
    if (KIND(m->open) == '[' && KIND(m->open - 1) != REDUCE) return;
    mistake_say(m, m->at, "to compare write `==`; `=` gives a name its value");
}

static const struct {
    const char *pair, *hint;
} pairs[] = {
    {"||", "write `or`"},        {"**", "a power is written `^`"},
    {":=", "write `=`"},         {"=<", "write `<=`"},
    {"=>", "write `>=`"},        {"->", "there are no arrows: a function is `fn f(x) = ...`"},
    {"<>", "write `!=`"},        {"+=", "write `a = a + b`"},
    {"-=", "write `a = a - b`"}, {"*=", "write `a = a * b`"},
    {"/=", "write `a = a / b`"}, {"++", "write `a = a + 1`"},
    {"/*", "a comment begins with `#`"}, {"===", "write `==`"},
    {"!==", "write `!=`"},
};

/* Two tokens that are one operator elsewhere. */
static void foreign_operator(const Mistake *m)
{
    for (int last = m->at; last <= m->at + 1; last++) {
        if (last < 1 || !KIND(last) || m->t[last - 1].end != m->t[last].begin) continue;
        const char *both = text_of(m, last - 1, last);
        for (int i = 0; i < COUNT(pairs); i++)
            if (strcmp(both, pairs[i].pair) == 0)
                mistake_say(m, last - 1, "`%s` is not part of the language: %s", both,
                            pairs[i].hint);
    }
    if (KIND(m->at) == FLOORDIV && !mistake_same_line(m, m->at - 1, m->at))
        mistake_say(m, m->at, "a comment begins with `#`");
}

static void dots(const Mistake *m)
{
    if (KIND(m->at) != '.') return;
    if (KIND(m->at - 1) == DOTS)
        mistake_say(m, m->at, "a range is written with two dots: `0..n`");
    if (KIND(m->at - 1) == INT && KIND(m->at + 1) != NAME)
        mistake_say(m, m->at, "a number needs digits behind the point: `%s.0`",
                    text_of(m, m->at - 1, m->at - 1));
    if (KIND(m->at + 1) == INT && m->can[INT])
        mistake_say(m, m->at, "a number needs a digit before the point: `0.%s`",
                    text_of(m, m->at + 1, m->at + 1));
}

/* `x[0:3]` */
static void slice(const Mistake *m)
{
    if (KIND(m->at) == ':' && KIND(m->open) == '[' && mistake_ends_value(m, m->open - 1))
        mistake_say(m, m->at, "there are no slices: the index says how far it goes, "
                              "`let y[i: 3] = x[i]`; all of an axis is `x[..]`");
}

static void not_inside(const Mistake *m)
{
    if (KIND(m->at) == NOT && m->can[INT])
        mistake_say(m, m->at, "`not` here needs parentheses: `(not ...)`");
}

/* ---- statements ---- */

static void semicolon(const Mistake *m)
{
    if (KIND(m->at) == ';' && (m->open < 0 || KIND(m->open) == '{'))
        mistake_say(m, m->at, "a statement ends without `;`");
}

static void colon_for_block(const Mistake *m)
{
    if (KIND(m->at) == ':' && m->can['{'])
        mistake_say(m, m->at, "a block stands in braces: `{ ... }`");
}

static bool is_if_behind_value(const Mistake *m, int i)
{
    return KIND(i) == IF && mistake_ends_value(m, i - 1) && mistake_same_line(m, i - 1, i);
}

/* `x if c else y` */
static void value_before_if(const Mistake *m)
{
    int i = m->at;
    if (KIND(i) == ELSE)
        while (i > 0 && mistake_same_line(m, i - 1, m->at) && KIND(i) != IF) i--;
    if (is_if_behind_value(m, i))
        mistake_say(m, i, "the condition comes first: `if c { a } else { b }`");
}

static void misplaced_else(const Mistake *m)
{
    if (KIND(m->at) != ELSE) return;
    if (KIND(m->at + 1) == '{' || KIND(m->at + 1) == IF || KIND(m->at - 1) == '}')
        mistake_say(m, m->at, "this `else` has no `if` before it");
    mistake_say(m, m->at, "`else` stands behind brackets: `x[i] else 0` is 0 outside `x`");
}

static void choice_without_else(const Mistake *m)
{
    if (KIND(m->at - 1) == '}' && m->can[ELSE] && !m->can[LET])
        mistake_say(m, m->at, "an `if` that gives a value needs an `else`: "
                              "`if c { a } else { b }`");
}

static void require_without_message(const Mistake *m)
{
    if (m->can[','] && m->can['+'] && !m->can[RETURN] && KIND(m->open) == '{')
        mistake_say(m, m->at, "`require` needs a message: `require n > 0, \"n is a count\"`");
}

static void aux_with_name(const Mistake *m)
{
    if (KIND(m->at - 1) == AUX && KIND(m->at) == '=')
        mistake_say(m, m->at, "`aux` takes a value without `=`: `aux 0.1 * x`");
}

static void return_without_value(const Mistake *m)
{
    if (KIND(m->at - 1) == RETURN)
        mistake_say(m, m->at, "`return` needs a value");
}

/* The name with which the unfinished left-hand side before m->at begins; or -1. */
static int lhs_before(const Mistake *m)
{
    int i = m->at - 1;
    if (!m->can['='] || m->can[EQ] || m->can[',']) return -1;
    if (KIND(i) == ']' && m->t[i].match > 0) i = m->t[i].match - 1;
    int before = KIND(i - 1);
    return KIND(i) == NAME && before != INIT && before != UPDATE && before != USE ? i : -1;
}

/* `let y = 2 x`: what looks like the next statement is a factor. */
static void values_side_by_side(const Mistake *m)
{
    int i = lhs_before(m);
    if (i < 1 || !mistake_ends_value(m, i - 1) || !mistake_same_line(m, i - 1, i)) return;
    mistake_say(m, i, "an operator is missing between %s and %s: a product is `a * b`", WORD(i - 1),
                WORD(i));
}

/* `f(x)` alone */
static void call_as_statement(const Mistake *m)
{
    int i = lhs_before(m);
    if (i < 0 || (KIND(m->at) != '(' && !(KIND(m->at) == '.' && KIND(m->at + 1) == NAME))) return;
    if (KIND(m->open) != '{') return;
    int last = m->at;
    while (KIND(last) == '.' || KIND(last) == NAME) last++;
    if (KIND(last) == '(' && m->t[last].match > 0) last = m->t[last].match;
    mistake_say(m, i, "a call alone has no effect: `let y = %s`", text_of(m, i, last));
}

static void wrong_level(const Mistake *m)
{
    int kind = KIND(m->at);
    bool is_item = kind == MODULE || kind == MODEL || kind == IMPORT || kind == TRAIN;
    if (m->can[IMPORT] && (token_is_keyword(kind) || kind == '@' || kind == NAME))
        mistake_say(m, m->at, "%s can't stand at the top of a file, only "
                              "`import`, `module`, `model`, `fn`, `let`, `train`%s",
                    WORD(m->at), mistake_indent(m));
    if (m->can[RETURN] && is_item)
        mistake_say(m, m->at, "%s stands at the top of a file, but %s is open%s", WORD(m->at),
                    mistake_bracket(m, m->open, NULL), mistake_indent(m));
}

void mistake_known(const Mistake *m)
{
    static void (*const rules[])(const Mistake *) = {
        bracket_left_open,  bracket_closes_nothing,  comma_in_merge,       setting_like_json,
        foreign_word,       foreign_operator,        dots,                 param_unfinished,
        use_without_name,   option_without_type,     options_missing,      let_with_type,
        chained_comparison, not_inside,              assign_for_compare,   slice,
        aux_with_name,      reduction_without_index, return_without_value, value_before_if,
        keyword_as_name,    form_broken,             comma_at_end,         semicolon,
        colon_for_block,    misplaced_else,          choice_without_else,  values_side_by_side,
        call_as_statement,  wrong_level,             require_without_message,
    };
    for (int i = 0; i < COUNT(rules); i++) rules[i](m);
}
