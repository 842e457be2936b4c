/* base.h: what every folder stands on: arenas, growable arrays, strings, hashing.
 *
 * Lifetimes, not frees: a thing that is built lives in an Arena and goes with it.
 * No function here exits or keeps a global; when memory runs out, they call the
 * arena's `oom` hook (diag.c installs one that unwinds to the API boundary).
 */
#ifndef RTC_IR_BASE_H
#define RTC_IR_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define RTC_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define RTC_NORETURN __attribute__((noreturn))
#else
#define RTC_PRINTF(f, a)
#define RTC_NORETURN
#endif

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- arenas: bump allocation, freed whole ---- */

typedef struct Arena Arena;

Arena *arena_new(void);                                /* NULL when there is no memory */
void arena_free(Arena *a);                             /* a may be NULL */
void arena_on_oom(Arena *a, void (*oom)(void *), void *ctx);
void *arena_alloc(Arena *a, size_t bytes);             /* zeroed, 16-byte aligned; never NULL */
void *arena_copy(Arena *a, const void *p, size_t bytes);
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) RTC_PRINTF(2, 3);
char *arena_vprintf(Arena *a, const char *fmt, va_list ap);
size_t arena_bytes(const Arena *a);                    /* handed out so far */
#define NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define NEW_N(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

/* ---- growable arrays in an arena: VEC(int) v = {0}; vec_push(a, &v, 3); v.v[0] ---- */

#define VEC(T)                                                                                     \
    struct {                                                                                       \
        T *v;                                                                                      \
        int n, cap;                                                                                \
    }
void *vec_grow_(Arena *a, void *v, int n, int *cap, size_t size);
#define vec_push(a, p, ...)                                                                        \
    ((p)->v = (p)->n < (p)->cap                                                                    \
                  ? (p)->v                                                                         \
                  : vec_grow_((a), (p)->v, (p)->n, &(p)->cap, sizeof *(p)->v),                     \
     (p)->v[(p)->n++] = (__VA_ARGS__))
#define vec_pop(p) ((p)->v[--(p)->n])

/* ---- strings that grow: Str s = {.arena = a}; str_printf(&s, "%d", 1); s.s ---- */

typedef struct {
    Arena *arena;
    char *s;       /* always terminated once something was added; NULL before */
    size_t n, cap;
} Str;
void str_printf(Str *s, const char *fmt, ...) RTC_PRINTF(2, 3);
void str_vprintf(Str *s, const char *fmt, va_list ap);
void str_add(Str *s, const char *text);
void str_addn(Str *s, const char *text, size_t n);

/* ---- hashing for tables in memory (cache keys on disk use XXH3) ---- */

static inline uint64_t hash_mix(uint64_t h, uint64_t x)
{
    h ^= x + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdull;
    return h ^ (h >> 32);
}
uint64_t hash_bytes(const void *p, size_t n);
static inline uint64_t hash_str(const char *s) { return hash_bytes(s, strlen(s)); }

/* ---- sizes that must not wrap: false when the result doesn't fit ---- */

static inline bool size_mul(size_t a, size_t b, size_t *r) { return !__builtin_mul_overflow(a, b, r); }
static inline bool size_add(size_t a, size_t b, size_t *r) { return !__builtin_add_overflow(a, b, r); }

/* ---- words that are nearly alike: for "did you mean" ---- */

/* The one of n names nearest to `word` by edit distance; NULL if none is near. */
const char *nearest_word(const char *word, const char *const *names, int n);

#endif
