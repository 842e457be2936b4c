/* base.c: arenas, growable arrays and strings, hashing, nearest words. Contract: base.h.
 *
 * An arena is a chain of blocks, newest first; blocks double up to 1 MiB, and what is larger than
 * a block gets one of its own behind the newest, so that the space left there isn't lost.
 */
#include "ir/base.h"
#include <stdio.h>
#include <stdlib.h>

#define FIRST_BLOCK ((size_t)16 << 10)
#define LARGEST_BLOCK ((size_t)1 << 20)
#define ALIGN ((size_t)16)

typedef struct Block {
    struct Block *older;
    size_t used, size;
    _Alignas(16) unsigned char bytes[];
} Block;

struct Arena {
    Block *blocks;
    size_t handed_out, next_size;
    void (*oom)(void *);
    void *oom_ctx;
};

Arena *arena_new(void)
{
    Arena *a = calloc(1, sizeof *a);
    if (a) a->next_size = FIRST_BLOCK;
    return a;
}

void arena_free(Arena *a)
{
    if (!a) return;
    for (Block *b = a->blocks, *older; b; b = older) {
        older = b->older;
        free(b);
    }
    free(a);
}

void arena_on_oom(Arena *a, void (*oom)(void *), void *ctx)
{
    a->oom = oom;
    a->oom_ctx = ctx;
}

RTC_NORETURN static void out_of_memory(Arena *a)
{
    if (a->oom) a->oom(a->oom_ctx);
    fputs("rtc: out of memory\n", stderr);
    abort(); /* a hook that returns, or none: nobody can go on without the memory */
}

static Block *block_new(Arena *a, size_t size)
{
    size_t whole;
    Block *b = size_add(sizeof(Block), size, &whole) ? calloc(1, whole) : NULL;
    if (!b) out_of_memory(a);
    b->size = size;
    return b;
}

void *arena_alloc(Arena *a, size_t bytes)
{
    size_t size = (bytes + ALIGN - 1) & ~(ALIGN - 1);
    if (size < bytes || size > PTRDIFF_MAX) out_of_memory(a);
    if (size == 0) size = ALIGN;
    Block *b = a->blocks;
    if (!b || b->size - b->used < size) {
        if (size > a->next_size / 2) {
            b = block_new(a, size);
            b->older = a->blocks ? a->blocks->older : NULL;
            if (a->blocks) a->blocks->older = b;
            else a->blocks = b;
        } else {
            b = block_new(a, a->next_size);
            b->older = a->blocks;
            a->blocks = b;
            if (a->next_size < LARGEST_BLOCK) a->next_size *= 2;
        }
    }
    void *p = b->bytes + b->used;
    b->used += size;
    a->handed_out += size;
    return p;
}

void *arena_copy(Arena *a, const void *p, size_t bytes)
{
    void *copy = arena_alloc(a, bytes);
    if (bytes) memcpy(copy, p, bytes);
    return copy;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    if (n) memcpy(copy, s, n);
    return copy;
}

char *arena_strdup(Arena *a, const char *s) { return arena_strndup(a, s, strlen(s)); }

char *arena_vprintf(Arena *a, const char *fmt, va_list ap)
{
    Str s = {.arena = a};
    str_vprintf(&s, fmt, ap);
    return s.s;
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

size_t arena_bytes(const Arena *a) { return a->handed_out; }

/* ---- growable arrays and strings ---- */

void *vec_grow_(Arena *a, void *v, int n, int *cap, size_t size)
{
    size_t bytes;
    if (*cap > INT32_MAX / 2) out_of_memory(a);
    int larger = *cap ? *cap * 2 : 8;
    if (!size_mul((size_t)larger, size, &bytes)) out_of_memory(a);
    void *grown = arena_alloc(a, bytes);
    if (n) memcpy(grown, v, (size_t)n * size);
    *cap = larger;
    return grown;
}

static void str_reserve(Str *s, size_t more)
{
    size_t need;
    if (!size_add(s->n, more, &need) || !size_add(need, 1, &need)) out_of_memory(s->arena);
    if (need <= s->cap) return;
    size_t cap = s->cap ? s->cap : 64;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *grown = arena_alloc(s->arena, cap);
    if (s->n) memcpy(grown, s->s, s->n);
    s->s = grown;
    s->cap = cap;
}

void str_addn(Str *s, const char *text, size_t n)
{
    str_reserve(s, n);
    if (n) memcpy(s->s + s->n, text, n);
    s->n += n;
    s->s[s->n] = 0;
}

void str_add(Str *s, const char *text) { str_addn(s, text, strlen(text)); }

void str_vprintf(Str *s, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    str_reserve(s, 63);
    int n = vsnprintf(s->s + s->n, s->cap - s->n, fmt, ap);
    if (n > 0 && (size_t)n >= s->cap - s->n) {
        str_reserve(s, (size_t)n);
        vsnprintf(s->s + s->n, s->cap - s->n, fmt, again);
    }
    va_end(again);
    if (n > 0) s->n += (size_t)n;
    s->s[s->n] = 0;
}

void str_printf(Str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(s, fmt, ap);
    va_end(ap);
}

/* ---- hashing and nearest words ---- */

uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *c = p;
    uint64_t h = 0x9e3779b97f4a7c15ull ^ n;
    for (; n >= 8; n -= 8, c += 8) {
        uint64_t word;
        memcpy(&word, c, 8);
        h = hash_mix(h, word);
    }
    uint64_t rest = 0;
    if (n) memcpy(&rest, c, n);
    return hash_mix(h, rest);
}

#define LONGEST_WORD 64

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b; both <= LONGEST_WORD. */
static int edit_distance(const char *a, int na, const char *b, int nb)
{
    int rows[3][LONGEST_WORD + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= nb; j++) last[j] = j;
    for (int i = 1; i <= na; i++) {
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            now[j] = best;
        }
        int *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

const char *nearest_word(const char *word, const char *const *names, int n)
{
    size_t length = strlen(word);
    if (length < 2 || length > LONGEST_WORD) return NULL;
    int best = length < 5 ? 1 : (int)(length + 1) / 3; /* more edits than this is another word */
    const char *nearest = NULL;
    for (int i = 0; i < n; i++) {
        size_t other = names[i] ? strlen(names[i]) : 0;
        if (other == 0 || other > LONGEST_WORD) continue;
        int edits = edit_distance(word, (int)length, names[i], (int)other);
        if (edits < best || (edits == best && !nearest)) {
            nearest = names[i];
            best = edits;
        }
    }
    return nearest;
}
