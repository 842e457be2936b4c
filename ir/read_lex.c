/* read_lex.c: the characters of IR text: words, numbers, strings, ends of lines. */
#include <stdlib.h>
#include "ir/read_lex.h"

void read_blank(Reader *r)
{
    while (r->at < r->n && (r->s[r->at] == ' ' || r->s[r->at] == '\t')) r->at++;
    if (r->at < r->n && r->s[r->at] == '#')
        while (r->at < r->n && r->s[r->at] != '\n') r->at++;
}

Loc read_loc(const Reader *r, uint32_t from) { return (Loc){r->file, from, r->at}; }

/* What stands here: a word, a run of other characters, or the end. */
static const char *found(Reader *r)
{
    read_blank(r);
    uint32_t n = 0;
    const char *s = r->s + r->at;
    if (r->at >= r->n) return "the end of the text";
    if (*s == '\n') return "the end of the line";
    while (r->at + n < r->n && n < 40 && text_is_word(s[n], false)) n++;
    return arena_printf(r->g->arena, "`%.*s`", n ? (int)n : 1, s);
}

void read_error(Reader *r, const char *fmt, ...)
{
    va_list ap;
    const char *here = found(r);
    va_start(ap, fmt);
    const char *text = arena_vprintf(r->g->arena, fmt, ap);
    va_end(ap);
    uint32_t end = r->at < r->n ? r->at + 1 : r->at;
    user_error(r->d, (Loc){r->file, r->at, end}, "%s\nfound: %s", text, here);
}

bool read_at_end_of_line(Reader *r)
{
    read_blank(r);
    return r->at >= r->n || r->s[r->at] == '\n';
}

bool read_peek(Reader *r, const char *token)
{
    size_t n = strlen(token);
    read_blank(r);
    if (r->n - r->at < n || memcmp(r->s + r->at, token, n) != 0) return false;
    bool word = text_is_word(token[n - 1], false);
    return !word || r->at + n >= r->n || !text_is_word(r->s[r->at + n], false);
}

bool read_accept(Reader *r, const char *token)
{
    if (!read_peek(r, token)) return false;
    r->at += (uint32_t)strlen(token);
    return true;
}

void read_expect(Reader *r, const char *token)
{
    if (!read_accept(r, token)) read_error(r, "expected `%s`", token);
}

const char *read_word(Reader *r, const char *what)
{
    read_blank(r);
    uint32_t from = r->at;
    while (r->at < r->n && text_is_word(r->s[r->at], r->at == from)) r->at++;
    if (r->at == from) read_error(r, "expected %s", what);
    return arena_strndup(r->g->arena, r->s + from, r->at - from);
}

int read_choice(Reader *r, const char *const *words, int n, const char *what)
{
    read_blank(r);
    uint32_t from = r->at;
    const char *word = read_word(r, what);
    for (int i = 0; i < n; i++)
        if (!strcmp(word, words[i])) return i;
    const char *near = nearest_word(word, words, n);
    user_error(r->d, read_loc(r, from), "`%s` is not %s%s%s%s", word, what,
               near ? "\nhint: `" : "", near ? near : "", near ? "`" : "");
}

int64_t read_int(Reader *r, int64_t lowest, int64_t highest)
{
    read_blank(r);
    uint32_t from = r->at;
    bool minus = r->at < r->n && r->s[r->at] == '-';
    uint64_t size = 0;
    bool fits = true;
    r->at += minus;
    uint32_t digits = r->at;
    for (; r->at < r->n && r->s[r->at] >= '0' && r->s[r->at] <= '9'; r->at++) {
        fits = fits && !__builtin_mul_overflow(size, (uint64_t)10, &size);
        fits = fits && !__builtin_add_overflow(size, (uint64_t)(r->s[r->at] - '0'), &size);
    }
    if (r->at == digits) {
        r->at = from;
        read_error(r, "expected a whole number");
    }
    if (size > (uint64_t)INT64_MAX + minus) fits = false;
    int64_t v = minus ? (int64_t)(0 - size) : (int64_t)size;
    if (!fits || v < lowest || v > highest)
        user_error(r->d, read_loc(r, from), "this number must lie in %lld..%lld",
                   (long long)lowest, (long long)highest);
    return v;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t read_hex(Reader *r)
{
    read_blank(r);
    if (r->n - r->at < 2 || memcmp(r->s + r->at, "0x", 2) != 0) read_error(r, "expected `0x`");
    r->at += 2;
    uint64_t v = 0;
    uint32_t from = r->at;
    for (; r->at < r->n && hex_digit(r->s[r->at]) >= 0; r->at++)
        v = v * 16 + (uint64_t)hex_digit(r->s[r->at]);
    if (r->at == from || r->at - from > 16) read_error(r, "expected 1 to 16 hexadecimal digits");
    return v;
}

double read_float(Reader *r)
{
    read_blank(r);
    uint32_t from = r->at;
    while (r->at < r->n && (text_is_word(r->s[r->at], false) || r->s[r->at] == '.' ||
                            r->s[r->at] == '-' || r->s[r->at] == '+'))
        r->at++;
    const char *text = arena_strndup(r->g->arena, r->s + from, r->at - from);
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end) {
        r->at = from;
        read_error(r, "expected a number");
    }
    return v;
}

/* One character of a string; escapes are \n \xHH \\ and the quotes. */
static char string_char(Reader *r)
{
    char c = r->s[r->at++];
    if (c != '\\') return c;
    char e = r->at < r->n ? r->s[r->at++] : 0;
    if (e == '\\' || e == '"' || e == '\'') return e;
    if (e == 'n') return '\n';
    if (e == 'x' && r->n - r->at >= 2) {
        int high = hex_digit(r->s[r->at]), low = hex_digit(r->s[r->at + 1]);
        r->at += 2;
        if (high >= 0 && low >= 0 && high + low > 0) return (char)(high * 16 + low);
    }
    r->at--;
    read_error(r, "expected `n`, `xHH`, `\\` or a quote after `\\`");
}

const char *read_string(Reader *r, char quote)
{
    Str s = {.arena = r->g->arena};
    read_blank(r);
    if (r->at >= r->n || r->s[r->at] != quote) read_error(r, "expected a string in %c", quote);
    uint32_t from = r->at++;
    str_add(&s, "");
    while (r->at < r->n && r->s[r->at] != quote && r->s[r->at] != '\n') {
        if (!r->s[r->at]) read_error(r, "a string can't hold the character 0");
        char c = string_char(r);
        str_addn(&s, &c, 1);
    }
    if (r->at >= r->n || r->s[r->at] != quote)
        user_error(r->d, (Loc){r->file, from, from + 1}, "this string does not end on its line");
    r->at++;
    return s.s;
}

void read_end_of_line(Reader *r)
{
    if (!read_at_end_of_line(r)) read_error(r, "expected the end of the line");
    if (r->at < r->n) r->at++;
}
