/* build_scope.c: names: scopes without shadowing, and what an unknown name might have meant. */
#include "frontend/build.h"

/* ---- maps from strings ---- */

void *strmap_get(const StrMap *m, const char *key)
{
    if (!m->cap) return NULL;
    uint64_t h = hash_str(key);
    for (uint64_t i = h & (uint64_t)(m->cap - 1); m->slot[i].key;
         i = (i + 1) & (uint64_t)(m->cap - 1))
        if (m->slot[i].hash == h && !strcmp(m->slot[i].key, key)) return m->slot[i].value;
    return NULL;
}

static void strmap_place(StrMap *m, StrSlot s)
{
    uint64_t i = s.hash & (uint64_t)(m->cap - 1);
    while (m->slot[i].key && strcmp(m->slot[i].key, s.key)) i = (i + 1) & (uint64_t)(m->cap - 1);
    m->n += !m->slot[i].key;
    m->slot[i] = s;
}

void strmap_put(Builder *b, StrMap *m, const char *key, void *value)
{
    if (2 * (m->n + 1) > m->cap) {
        StrMap big = {.cap = m->cap ? 2 * m->cap : 64};
        big.slot = NEW_N(b->a, StrSlot, big.cap);
        for (int i = 0; i < m->cap; i++)
            if (m->slot[i].key) strmap_place(&big, m->slot[i]);
        *m = big;
    }
    strmap_place(m, (StrSlot){hash_str(key), key, value});
}

uint64_t ptrmap_get(const PtrMap *m, const void *key)
{
    if (!m->cap) return 0;
    uint64_t i = hash_mix(1, (uintptr_t)key);
    for (i &= (uint64_t)(m->cap - 1); m->slot[i].key; i = (i + 1) & (uint64_t)(m->cap - 1))
        if (m->slot[i].key == key) return m->slot[i].value;
    return 0;
}

static void ptrmap_place(PtrMap *m, PtrSlot s)
{
    uint64_t i = hash_mix(1, (uintptr_t)s.key) & (uint64_t)(m->cap - 1);
    while (m->slot[i].key && m->slot[i].key != s.key) i = (i + 1) & (uint64_t)(m->cap - 1);
    m->n += !m->slot[i].key;
    m->slot[i] = s;
}

void ptrmap_put(Builder *b, PtrMap *m, const void *key, uint64_t value)
{
    if (2 * (m->n + 1) > m->cap) {
        PtrMap big = {.cap = m->cap ? 2 * m->cap : 64};
        big.slot = NEW_N(b->a, PtrSlot, big.cap);
        for (int i = 0; i < m->cap; i++)
            if (m->slot[i].key) ptrmap_place(&big, m->slot[i]);
        *m = big;
    }
    ptrmap_place(m, (PtrSlot){key, value});
}

/* ---- scopes ---- */

Scope *scope_new(Builder *b, Scope *up)
{
    Scope *s = NEW(b->a, Scope);
    s->up = up;
    return s;
}

Var *scope_find(Scope *s, const char *name)
{
    uint64_t hash = hash_str(name);
    for (; s; s = s->up)
        for (int i = s->vars.n; i-- > 0;)
            if (s->hashes.v[i] == hash && !strcmp(s->vars.v[i]->name, name)) return s->vars.v[i];
    return NULL;
}

void scope_put(Builder *b, Scope *s, Var *v)
{
    vec_push(b->a, &s->vars, v);
    vec_push(b->a, &s->hashes, hash_str(v->name));
}

static const char *const predeclared[] = {
#define PREDECLARED(spelling) spelling,
#include "frontend/keywords.def"
};

Var *scope_add(Builder *b, Scope *s, VarKind kind, Name name, Value v)
{
    Var *old = scope_find(s, name.s);
    if (old) {
        if (old->loc.file) diag_note(b->d, old->loc, "`%s` is declared here", name.s);
        user_error(b->d, name.loc,
                   "`%s` is already a name here\nhint: to replace its value write `%s = ...`; "
                   "otherwise take another name",
                   name.s, name.s);
    }
    for (int i = 0; i < COUNT(predeclared); i++)
        if (!strcmp(predeclared[i], name.s))
            user_error(b->d, name.loc, "`%s` is a name that every file has; take another", name.s);
    Var *n = NEW(b->a, Var);
    *n = (Var){.name = name.s, .kind = kind, .value = v, .loc = name.loc};
    scope_put(b, s, n);
    return n;
}

/* ---- what was meant ---- */

const char *suggest(Builder *b, const char *word, const char *const *names, int n)
{
    const char *near = nearest_word(word, names, n);
    return near ? arena_printf(b->a, "\nhint: did you mean `%s`?", near) : "";
}

const char *suggest_or_list(Builder *b, const char *what, const char *word,
                            const char *const *names, int n)
{
    enum { MOST = 12 };
    const char *near = suggest(b, word, names, n);
    if (*near || !n) return near;
    Str s = {.arena = b->a};
    for (int i = 0; i < n && i < MOST; i++)
        str_printf(&s, "%s%s", i ? ", " : arena_printf(b->a, "\n%s: ", what), names[i]);
    if (n > MOST) str_add(&s, ", ...");
    return s.s;
}

void unknown_name(Frame *f, Name name, const char *what)
{
    Builder *b = f->b;
    VEC(const char *) names = {0};
    for (int i = f->visible; i < f->index.n; i++) vec_push(b->a, &names, f->index.v[i].name);
    for (int i = 0; i < f->axes.n; i++) vec_push(b->a, &names, f->axes.v[i].name);
    for (Scope *s = f->scope; s; s = s->up)
        for (int i = 0; i < s->vars.n; i++) vec_push(b->a, &names, s->vars.v[i]->name);
    for (int i = 0; i < COUNT(predeclared); i++) vec_push(b->a, &names, predeclared[i]);
    if (f->self)
        for (int i = 0; i < f->self->fns.n; i++)
            if (f->self->fns.v[i]->name.s) vec_push(b->a, &names, f->self->fns.v[i]->name.s);
    for (int i = 0; i < b->items.cap; i++)
        if (b->items.slot[i].key) vec_push(b->a, &names, b->items.slot[i].key);
    for (int i = 0; i < f->axes.n; i++)
        if (!strcmp(f->axes.v[i].name, name.s))
            user_error(b->d, name.loc,
                       "`%s` is the name of an axis, not a value\n"
                       "hint: its size is `len(%s)`; its position is known only where an index "
                       "`%s` is bound, "
                       "as in `let y[%s] = ...` or `sum[%s] ...`",
                       name.s, name.s, name.s, name.s, name.s);
    for (int i = 0; i < f->index.n; i++)
        if (!strcmp(f->index.v[i].name, name.s))
            user_error(b->d, name.loc,
                       "the index `%s` can't be used here: this is a whole value, the same for "
                       "every `%s`",
                       name.s, name.s);
    user_error(b->d, name.loc, "%s `%s` is not declared%s", what, name.s,
               suggest(b, name.s, names.v, names.n));
}
