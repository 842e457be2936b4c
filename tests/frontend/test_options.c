/* Every option of every model: in each of some configurations another value changes the program,
 * or is refused because nothing reads it there; and each changes it in one of them at least. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "frontend/frontend.h"

enum { MOST_OPTIONS = 128 };
#define MODELS RTC_SOURCE_DIR "/models/"

typedef struct {
    const char *model, *name, *set; /* set: NAME=VALUE ... */
} Configuration;

/* What can't be another there: the layers' heads differ. */
static const Configuration fixed = {"routing_lm", "mixed", "weight_tie"};

/* An encoder has no context. */
static const char *const never[] = {"enc_context_window_size", "enc_context_shared_qk"};

/* What each option may become, best first; the rest by type. */
static const struct {
    const char *name, *values;
} others[] = {
    {"n_local_attn_heads", "1 2 0 4"},
    {"ff_activation", "silu relu"},
    {"act", "tanh relu"},
    {"pkm_layers", "[1] [2] []"},
    {"moe_layers", "[1] [2] []"},
    {"keep_layers", "[1] [2]"},
    {"hidden", "[8] []"},
    {"ignore_index", "3 4"},
    {"pad_value", "3"},
    {"max_seq_len", "64 16 128"},
    {"window_size", "4 16"},
    {"local_attn_window_size", "2 4"},
    {"dim", "32"},
    {"features", "32"},
    {"heads", "2 8"},
    {"depth", "2 3 1"},
    {"num_mem_kv", "2 0"},
    {"pkm_num_keys", "40"},
    {"shared_qk", "true false"},
};

typedef VEC(Override) Sets;
typedef struct {
    Arena *a;
    const Configuration *c;
    const char *said; /* the last message */
} Bench;

static Sets sets_of(Arena *a, const char *text)
{
    Sets sets = {0};
    char *rest = arena_strdup(a, text), *word;
    while ((word = strtok_r(rest, " ", &rest))) {
        char *equals = strchr(word, '=');
        *equals = 0;
        vec_push(a, &sets, (Override){word, equals + 1});
    }
    return sets;
}

static Sets without(Arena *a, const Sets *from, const char *name)
{
    Sets sets = {0};
    for (int i = 0; i < from->n; i++)
        if (strcmp(from->v[i].name, name)) vec_push(a, &sets, from->v[i]);
    return sets;
}

typedef struct {
    const char *text[2]; /* the programs of evaluation and training, and their starts */
    int n;
    struct {
        const char *name, *type, *value;
        bool fixed;
    } option[MOST_OPTIONS];
} Loaded;

static void keep_options(Arena *a, Loaded *l, const Program *p)
{
    for (l->n = 0; l->n < p->options.n; l->n++) {
        const OptionInfo *o = &p->options.v[l->n];
        Str value = {.arena = a};
        static_print(&o->value, &value);
        assert_true(l->n < MOST_OPTIONS);
        l->option[l->n].name = arena_strdup(a, o->name);
        l->option[l->n].type = arena_strdup(a, o->type);
        l->option[l->n].fixed = o->fixed;
        l->option[l->n].value = value.s ? value.s : "";
    }
}

static void load_one(Bench *b, Diag *d, const Sets *sets, bool training, Loaded *l)
{
    Str text = {.arena = b->a};
    Program *p =
        program_load(d, &(LoadOptions){.path = arena_printf(b->a, MODELS "%s.rt", b->c->model),
                                       .library = MODELS,
                                       .set = sets->v,
                                       .nset = sets->n,
                                       .reports = true,
                                       .training = training});
    graph_print(p->graph, &text);
    graph_print(p->init, &text);
    keep_options(b->a, l, p);
    program_free(p);
    l->text[training] = text.s;
}

/* NULL: refused, and b->said is why. other: as soon as a program differs from its, that's all. */
static Loaded *load(Bench *b, const Sets *sets, const Loaded *other)
{
    Loaded *l = NEW(b->a, Loaded);
    Diag *d = diag_new();
    b->said = NULL;
    DIAG_TRY(d)
    {
        load_one(b, d, sets, true, l);
        if (!other || !strcmp(l->text[1], other->text[1])) load_one(b, d, sets, false, l);
    }
    DIAG_CATCH(d) { b->said = arena_strdup(b->a, diag_text(d)); }
    DIAG_END(d)
    diag_free(d);
    return b->said ? NULL : l;
}

static bool same_programs(const Loaded *x, const Loaded *y)
{
    return !strcmp(x->text[1], y->text[1]) && !strcmp(x->text[0], y->text[0]);
}

/* ---- other values ---- */

static const char *plain_name(const char *name)
{
    return !strncmp(name, "enc_", 4) || !strncmp(name, "dec_", 4) ? name + 4 : name;
}

static const char *other_values(Bench *b, const Loaded *l, int i)
{
    const char *name = l->option[i].name, *type = l->option[i].type, *value = l->option[i].value;
    for (int k = 0; k < COUNT(others); k++)
        if (!strcmp(others[k].name, plain_name(name))) return others[k].values;
    if (!strcmp(type, "bool")) return "true false";
    if (!strcmp(type, "int")) return arena_printf(b->a, "%d %d", 2 * atoi(value), atoi(value) + 1);
    if (!strcmp(type, "float")) return "0.25";
    fail_msg("the test has no other value for `%s: %s`", name, type);
    return "";
}

typedef enum { INVALID, CHANGES, REFUSED, NOTHING } Effect;

/* The option that the message is about, where it begins with one. */
static const char *blamed(Bench *b)
{
    const char *at = strstr(b->said, "error: option `");
    if (!at) return NULL;
    at += strlen("error: option `");
    return arena_strndup(b->a, at, strcspn(at, "`"));
}

/* What the value does; other options of the configuration that it makes unread are left out. */
static Effect try_value(Bench *b, const Loaded *base, Sets sets, int i, const char *value)
{
    const char *name = base->option[i].name, *other;
    for (;;) {
        Sets with = without(b->a, &sets, name);
        vec_push(b->a, &with, (Override){name, value});
        const Loaded *l = load(b, &with, base);
        if (l && base && !strcmp(l->option[i].value, base->option[i].value)) return INVALID;
        if (l && base) return same_programs(l, base) ? NOTHING : CHANGES;
        if (l) (void)load(b, &sets, NULL);
        other = blamed(b);
        bool unread = other && !strcmp(other, name) && strstr(b->said, "nothing reads it");
        const char *useless = arena_printf(b->a, "%s keeps every layer", plain_name(name));
        if (!l && (unread || strstr(b->said, useless))) return REFUSED;
        Sets fewer = without(b->a, &sets, other ? other : "");
        if (fewer.n == sets.n) return INVALID;
        sets = fewer;
        base = load(b, &sets, NULL);
    }
}

static Effect effect_of(Bench *b, const Loaded *base, const Sets *sets, int i)
{
    Effect found = INVALID;
    char *rest = arena_strdup(b->a, other_values(b, base, i)), *value;
    const char *name = base->option[i].name, *why = "";
    while ((value = strtok_r(rest, " ", &rest)) && found == INVALID) {
        found = try_value(b, base, *sets, i, value);
        if (b->said) why = b->said;
        if (found == NOTHING)
            print_error("%s, %s: `%s=%s` changes nothing\n", b->c->model, b->c->name, name, value);
    }
    if (found != INVALID) return found;
    if (!strcmp(b->c->name, fixed.name) && !strcmp(b->c->model, fixed.model) &&
        !strcmp(name, fixed.set))
        return REFUSED;
    print_error("%s, %s: no other value for `%s`\n%s\n", b->c->model, b->c->name, name, why);
    return INVALID;
}

/* ---- the configurations ---- */

#define LM "num_tokens=20 dim=16 depth=1 heads=4 dim_head=4 max_seq_len=32 window_size=8 "
#define LOCAL                                                                                      \
    "num_tokens=20 dim=16 depth=1 heads=4 dim_head=4 "                                             \
    "max_seq_len=64 n_local_attn_heads=4 "
#define CORE "dim=16 depth=1 heads=4 max_seq_len=32 window_size=8 "
#define SIDE(p)                                                                                    \
    p "num_tokens=20 " p "depth=1 " p "heads=4 " p "dim_head=4 " p "max_seq_len=32 " p             \
      "window_size=8 "

static const Configuration all[] = {
    {"mlp", "plain", "features=6 hidden=[5,4] classes=3"},
    {"mlp", "linear", "features=6 hidden=[] classes=3"},
    {"routing_lm", "routed", LM},
    {"routing_lm", "causal", LM "causal=true"},
    {"routing_lm", "unshared", LM "causal=true shared_qk=false"},
    {"routing_lm", "shared", LM "shared_qk=true n_local_attn_heads=1"},
    {"routing_lm", "memory", LM "causal=true num_mem_kv=1"},
    {"routing_lm", "local", LM "causal=true n_local_attn_heads=4 max_seq_len=64"},
    {"routing_lm", "local both ways", LOCAL "local_attn_window_size=4"},
    {"routing_lm", "mixed", LM "depth=2 n_local_attn_heads=2,4 local_attn_window_size=4"},
    {"routing_lm", "one window", LM "causal=true window_size=32"},
    {"routing_lm", "embedding", LM "emb_dim=12 tie_embedding=true"},
    {"routing_lm", "projected", LM "emb_dim=12"},
    {"routing_lm", "features", LM "return_embeddings=true"},
    {"routing_lm", "narrow features", LM "emb_dim=12 return_embeddings=true"},
    {"routing_lm", "rezero", LM "use_rezero=true shift_tokens=true"},
    {"routing_lm", "scale norm", LM "use_scale_norm=true ff_glu=true ff_chunks=2"},
    {"routing_lm", "moe", LM "depth=2 moe_layers=[1]"},
    {"routing_lm", "pkm", LM "depth=2 pkm_layers=[1] pkm_num_keys=36"},
    {"routing_lm", "tied", LM "depth=2 weight_tie=true reversible=true"},
    {"routing_lm", "tied mixed", LM "depth=2 weight_tie=true pkm_layers=[2] pkm_num_keys=36"},
    {"routing_lm", "reversible", LM "depth=2 reversible=true layer_dropout=0.5 attn_dropout=0.1"},
    {"routing_lm", "dropped", LM "layer_dropout=1"},
    {"routing_lm", "context", LM "receives_context=true"},
    {"routing_lm", "causal context", LM "receives_context=true causal=true"},
    {"routing_lm", "shared context",
     LM "receives_context=true context_shared_qk=true "
        "context_window_size=4 n_local_attn_heads=4"},
    {"routing_transformer", "routed", CORE "max_seq_len=512"},
    {"routing_transformer", "local",
     "dim=16 depth=1 heads=4 max_seq_len=64 n_local_attn_heads=4 local_attn_window_size=8"},
    {"routing_transformer", "causal",
     CORE "causal=true n_local_attn_heads=2 local_attn_window_size=8"},
    {"routing_transformer", "wide",
     CORE "depth=2 max_seq_len=512 dim_head=6 pkm_layers=[1] pkm_num_keys=36"},
    {"routing_transformer", "tied",
     CORE "max_seq_len=512 depth=2 receives_context=true "
          "weight_tie=true moe_layers=[1]"},
    {"routing_encdec", "plain", "dim=16 " SIDE("enc_") SIDE("dec_")},
    {"routing_encdec", "mixed",
     "dim=16 " SIDE("enc_")
         SIDE("dec_") "enc_depth=2 enc_moe_layers=[1] dec_n_local_attn_heads=4 dec_emb_dim=12"},
    {"routing_encdec", "deep",
     "dim=16 " SIDE("enc_")
         SIDE("dec_") "enc_depth=2 enc_pkm_layers=[1] enc_pkm_num_keys=36 enc_n_local_attn_heads=2 "
                      "dec_depth=2 dec_pkm_layers=[1] dec_pkm_num_keys=36 dec_moe_layers=[2]"},
};

typedef struct {
    const char *model, *option;
    bool changes;
} Seen;
typedef VEC(Seen) SeenVec;

static void remember(Arena *a, SeenVec *seen, const char *model, const char *option, bool changes)
{
    for (int i = 0; i < seen->n; i++) {
        if (strcmp(seen->v[i].model, model) || strcmp(seen->v[i].option, option)) continue;
        seen->v[i].changes = seen->v[i].changes || changes;
        return;
    }
    vec_push(a, seen, (Seen){model, arena_strdup(a, option), changes});
}

static void every_option_has_an_effect(void **state)
{
    (void)state;
    Arena *names = arena_new();
    SeenVec seen = {0};
    int bad = 0;
    for (int i = 0; i < COUNT(all); i++) {
        Bench b = {.a = arena_new(), .c = &all[i]};
        Sets sets = sets_of(b.a, b.c->set);
        const Loaded *base = load(&b, &sets, NULL);
        if (!base) fail_msg("%s, %s: %s", b.c->model, b.c->name, b.said);
        for (int k = 0; k < base->n; k++) {
            if (base->option[k].fixed) continue;
            Effect e = effect_of(&b, base, &sets, k);
            bad += e == NOTHING || e == INVALID;
            remember(names, &seen, b.c->model, base->option[k].name, e == CHANGES);
        }
        arena_free(b.a);
    }
    for (int i = 0; i < seen.n; i++) {
        bool no = false;
        for (int k = 0; k < COUNT(never); k++) no = no || !strcmp(seen.v[i].option, never[k]);
        if (seen.v[i].changes || no) continue;
        print_error("%s: `%s` never changes anything\n", seen.v[i].model, seen.v[i].option);
        bad++;
    }
    assert_true(seen.n > 150);
    assert_int_equal(bad, 0);
    arena_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_has_an_effect)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
