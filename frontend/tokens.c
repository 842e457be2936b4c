/* tokens.c: the vector of tokens, its limits, and where brackets match. Contract: tokens.h. */
#define YYSTYPE TokenValue
#define YYLTYPE Loc
#include "frontend/tokens.h"
#include "frontend/parser.h"
#include "frontend/lexer.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

/* ---- words ---- */

static const struct {
    const char *word;
    int token, reduce;
} words[] = {
#define KEYWORD(spelling, token) {spelling, token, 0},
#define REDUCTION(spelling, kind) {spelling, REDUCE, kind},
#include "frontend/keywords.def"
};

int token_word(Parse *p, const char *text, size_t n, TokenValue *value)
{
    for (int i = 0; i < COUNT(words); i++) {
        if (strncmp(words[i].word, text, n) != 0 || words[i].word[n]) continue;
        value->reduce = (ReduceKind)words[i].reduce;
        return words[i].token;
    }
    value->s = arena_strndup(p->a, text, n);
    return NAME;
}

bool token_is_keyword(int kind)
{
    for (int i = 0; i < COUNT(words); i++)
        if (words[i].token == kind) return true;
    return false;
}

int token_bad(Parse *p, TokenValue *value, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    value->s = arena_vprintf(p->scratch, fmt, ap);
    va_end(ap);
    return BAD;
}

int token_int(Parse *p, const char *text, size_t n, TokenValue *value)
{
    value->i = 0;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(value->i, 10, &value->i) ||
            __builtin_add_overflow(value->i, text[i] - '0', &value->i))
            return token_bad(p, value, "this integer is too large: at most 9223372036854775807");
    return INT;
}

int token_float(Parse *p, const char *text, size_t n, TokenValue *value)
{
    const char *copy = arena_strndup(p->scratch, text, n);
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the user's may write 0,5 */
    errno = 0;
    value->f = c ? strtod_l(copy, NULL, c) : strtod(copy, NULL);
    if (c) freelocale(c);
    if (!isfinite(value->f)) return token_bad(p, value, "this number is too large");
    if (errno == ERANGE && fabs(value->f) < 1e-300)
        return token_bad(p, value, "this number is too close to 0");
    return FLOAT;
}

/* The first byte of text that isn't UTF-8, or n. */
static size_t utf8_prefix(const char *text, size_t n)
{
    const unsigned char *c = (const unsigned char *)text;
    for (size_t i = 0; i < n;) {
        size_t more = c[i] < 0x80 ? 0 : c[i] < 0xc2 ? 4 : c[i] < 0xe0 ? 1 : c[i] < 0xf0 ? 2
                      : c[i] < 0xf5 ? 3 : 4;
        if (more == 4 || more >= n - i) return i;
        for (size_t k = 1; k <= more; k++)
            if ((c[i + k] & 0xc0) != 0x80) return i;
        bool overlong = (c[i] == 0xe0 && c[i + 1] < 0xa0) || (c[i] == 0xf0 && c[i + 1] < 0x90);
        bool surrogate = c[i] == 0xed && c[i + 1] > 0x9f;
        bool beyond = c[i] == 0xf4 && c[i + 1] > 0x8f;
        if (overlong || surrogate || beyond) return i;
        i += more + 1;
    }
    return n;
}

int token_string(Parse *p, const char *text, size_t n, TokenValue *value)
{
    if (memchr(text, 0, n)) return token_bad(p, value, "this string holds a NUL byte");
    if (utf8_prefix(text, n) < n) return token_bad(p, value, "this string isn't UTF-8");
    value->s = arena_strndup(p->a, text + 1, n - 2);
    return STRING;
}

/* ---- what is no token ---- */

int token_open_string(Parse *p, const char *text, size_t n, TokenValue *value)
{
    (void)text, (void)n;
    return token_bad(p, value, "this string has no closing quote");
}

int token_bad_number(Parse *p, const char *text, size_t n, TokenValue *value)
{
    size_t digits = strspn(text, "0123456789");
    if (text[0] == '0' && n > 1 && strchr("xXbBoO", text[1]))
        return token_bad(p, value, "integers are written in decimal");
    if (strspn(text, "0123456789_") == n)
        return token_bad(p, value, "digits are written without `_` between them");
    if (strchr("eE", text[digits]) && (n == digits + 1 || text[digits + 1] == '_'))
        return token_bad(p, value, "an exponent needs digits: `1e-5`");
    return token_bad(p, value, "a name can't start with a digit; for a product write `%.*s * %.*s`",
                     (int)digits, text, (int)(n - digits), text + digits);
}

static const struct {
    const char *chars, *hint;
} hints[] = {
    {"&", "write `and`"},
    {"!", "write `not`"},
    {"'", "strings stand in `\"`"},
    {"`", "strings stand in `\"`"},
    {"\\", "a statement may go on in the next line without a mark"},
    {"?", "write `if c { a } else { b }`"},
    {"\xe2\x89\xa4", "write `<=`"},
    {"\xe2\x89\xa5", "write `>=`"},
    {"\xe2\x89\xa0", "write `!=`"},
    {"\xc3\x97", "write `*`"},
    {"\xc2\xb7", "write `*`"},
    {"\xe2\x8b\x85", "write `*`"},
    {"\xc3\xb7", "write `/`"},
    {"\xe2\x88\x92", "this minus sign isn't the `-` of the keyboard"},
    {"\xe2\x80\x93", "this dash isn't the `-` of the keyboard"},
    {"\xe2\x80\x94", "this dash isn't the `-` of the keyboard"},
    {"\xe2\x80\x9c", "strings stand in `\"`, not in curly quotes"},
    {"\xe2\x80\x9d", "strings stand in `\"`, not in curly quotes"},
    {"\xe2\x80\xa6", "a range is written with two dots: `0..n`"},
    {"\xe2\x88\x91", "write `sum[i]`"},
    {"\xcf\x80", "write `pi`"},
    {"\xc2\xa0", "this is a no-break space: write a plain one"},
};

int token_bad_char(Parse *p, const char *text, size_t n, TokenValue *value, Loc *loc)
{
    size_t length = 1;
    while (length < n && (text[length] & 0xc0) == 0x80) length++;
    loc->end = loc->begin + (uint32_t)length;
    if (text[0] == 0)
        return token_bad(p, value, "a NUL byte: is this file text?");
    if ((unsigned char)text[0] < 32 || text[0] == 127)
        return token_bad(p, value, "the control character 0x%02x can't stand here", text[0]);
    if (utf8_prefix(text, length) < length)
        return token_bad(p, value, "the byte 0x%02x: the file isn't UTF-8", (unsigned char)text[0]);
    for (int i = 0; i < COUNT(hints); i++)
        if (strncmp(hints[i].chars, text, length) == 0 && !hints[i].chars[length])
            return token_bad(p, value, "`%.*s` is not part of the language: %s", (int)length, text,
                             hints[i].hint);
    return token_bad(p, value, "`%.*s` is not part of the language%s", (int)length, text,
                     length > 1 ? ": names are made of A-Z a-z 0-9 _" : "");
}

/* ---- comments that document ---- */

void token_doc(Parse *p, Loc loc)
{
    const char *begin = p->text + loc.begin + 2, *end = p->text + loc.end;
    while (begin < end && strchr(" \t#", *begin)) begin++;
    while (end > begin && strchr(" \t\r", end[-1])) end--;
    uint32_t before = loc.begin;
    while (before > 0 && strchr(" \t", p->text[before - 1])) before--;
    Doc doc = {.text = arena_strndup(p->a, begin, (size_t)(end - begin)),
               .line = diag_line(p->d, loc, NULL),
               .alone = before == 0 || p->text[before - 1] == '\n'};
    vec_push(p->scratch, &p->docs, doc);
}

/* ---- the vector ---- */

static int closer_of(int kind) { return kind == '(' ? ')' : kind == '[' ? ']' : '}'; }

/* Pairs a bracket with its partner; open[0 .. *depth) are those still open. */
static void match_bracket(Parse *p, Token *t, int i, int *open, int *depth)
{
    if (t->kind == '(' || t->kind == '[' || t->kind == '{') {
        if (*depth == MOST_NESTED)
            t->kind = token_bad(p, &t->value, "nested too deeply: %d brackets are open here",
                                MOST_NESTED);
        else
            open[(*depth)++] = i;
    } else if ((t->kind == ')' || t->kind == ']' || t->kind == '}') && *depth > 0 &&
               closer_of(p->tokens.v[open[*depth - 1]].kind) == t->kind) {
        t->match = open[--*depth];
        p->tokens.v[t->match].match = i;
    }
}

/* Splits the file up to the first BAD token or its end, which stands right behind the last word. */
void tokens_scan(Parse *p, int first)
{
    yyscan_t scanner;
    if (rt_yylex_init_extra(p, &scanner) != 0) diag_oom(p->d);
    p->offset = p->bytes >= 3 && memcmp(p->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    rt_yy_scan_bytes(p->text + p->offset, (int)(p->bytes - p->offset), scanner);

    int open[MOST_NESTED], depth = 0;
    Token t = {.kind = first, .match = -1, .begin = p->offset, .end = p->offset};
    if (first) vec_push(p->scratch, &p->tokens, t);
    do {
        Loc loc = {p->source, 0, 0};
        t = (Token){.match = -1};
        t.kind = rt_yylex(&t.value, &loc, scanner);
        t.begin = loc.begin;
        t.end = loc.end;
        if (t.kind && p->tokens.n == MOST_TOKENS)
            t.kind = token_bad(p, &t.value, "this file has more than %d words", MOST_TOKENS);
        if (!t.kind) t.begin = t.end = p->tokens.n ? p->tokens.v[p->tokens.n - 1].end : 0;
        match_bracket(p, &t, p->tokens.n, open, &depth);
        vec_push(p->scratch, &p->tokens, t);
    } while (t.kind && t.kind != BAD);
}

int token_line(const Parse *p, int i) { return diag_line(p->d, token_loc(p, i), NULL); }

const char *token_text(Parse *p, int first, int last)
{
    const Token *t = p->tokens.v;
    return arena_strndup(p->scratch, p->text + t[first].begin, t[last].end - t[first].begin);
}

int token_open(const Parse *p, int i)
{
    const Token *t = p->tokens.v;
    for (i--; i >= 0; i--) {
        if (t[i].kind == ')' || t[i].kind == ']' || t[i].kind == '}') {
            if (t[i].match >= 0) i = t[i].match;
        } else if (t[i].kind == '(' || t[i].kind == '[' || t[i].kind == '{') {
            return i;
        }
    }
    return -1;
}
