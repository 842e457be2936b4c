/* The compiler knows no model: with every module, function, option, parameter, axis and local
 * renamed, a model of models/ gives the same kernels in the same order. */
#include <ctype.h>
#include "tests/passes/pass_test.h"
#include "codegen/codegen.h"
#include "frontend/frontend.h"

/* Names that the language itself gives a meaning; `loss` is what is differentiated. */
static const char *const own[] = {
#define KEYWORD(spelling, token)  spelling,
#define REDUCTION(spelling, kind) spelling,
#define TYPE(spelling, kind)      spelling,
#define PREDECLARED(spelling)     spelling,
#include "frontend/keywords.def"
    "exp",       "log",        "sqrt",       "sin",   "cos",   "tanh",    "erf",
    "floor",     "abs",        "stop",       "len",   "where", "uniform", "normal",
    "bernoulli", "reversible", "checkpoint", "chunk", "loss",
};

static bool is_own(const char *s, size_t n)
{
    for (int i = 0; i < COUNT(own); i++)
        if (strlen(own[i]) == n && !strncmp(own[i], s, n)) return true;
    return false;
}

/* Every other name gets an ending; strings, comments and numbers stay. */
static const char *rename_all(Arena *a, const char *s)
{
    Str out = {.arena = a};
    while (*s) {
        size_t n = 1;
        if (*s == '#')
            n = strcspn(s, "\n");
        else if (*s == '"')
            n = 2 + strcspn(s + 1, "\"");
        else if (isdigit((unsigned char)*s))
            while (isalnum((unsigned char)s[n]) ||
                   (s[n] == '.' && isdigit((unsigned char)s[n + 1])))
                n++;
        else if (isalpha((unsigned char)*s) || *s == '_') {
            while (isalnum((unsigned char)s[n]) || s[n] == '_') n++;
            str_addn(&out, s, n);
            if (!is_own(s, n)) str_add(&out, "_other");
            s += n;
            continue;
        }
        str_addn(&out, s, n);
        s += n;
    }
    return out.s;
}

typedef struct {
    Plan *plan;
    Program *program;
} Made;

static Made make(Diag *d, Arena *a, const char *path, const char *library, const Override *set,
                 int nset)
{
    LoadOptions o = {.path = path, .library = library, .set = set, .nset = nset, .training = true};
    Program *p = program_load(d, &o);
    Unit *u = NEW(a, Unit);
    *u = (Unit){.diag = d, .arena = a, .graph = p->graph, .want_grad = true, .hint_default = 512};
    pipeline_run(u, pipeline_default);
    return (Made){plan_make(u), p};
}

static void compare(const char *model, const Plan *x, const Plan *y)
{
    if (x->kernels.n != y->kernels.n || x->steps.n != y->steps.n)
        fail_msg("%s: %d kernels in %d steps, renamed %d in %d", model, x->kernels.n, x->steps.n,
                 y->kernels.n, y->steps.n);
    for (int i = 0; i < x->kernels.n; i++)
        if (strcmp(x->kernels.v[i].text, y->kernels.v[i].text))
            fail_msg("%s: kernel %d differs", model, i);
    for (int i = 0; i < x->steps.n; i++)
        if (x->steps.v[i].kind != y->steps.v[i].kind ||
            x->steps.v[i].kernel != y->steps.v[i].kernel)
            fail_msg("%s: step %d differs", model, i);
}

/* The path is a template of mkstemps. */
static void check_model(Diag *d, Arena *a, const char *model, const Override *set, int nset,
                        char *path)
{
    const char *library = RTC_SOURCE_DIR "/models";
    Made plain = make(d, a, arena_printf(a, "%s/%s", library, model), library, set, nset);
    const char *other = rename_all(a, plain.program->text);
    int fd = mkstemps(path, 3);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, other, strlen(other)), (ssize_t)strlen(other));
    close(fd);
    Override renamed = {nset ? rename_all(a, set->name) : NULL, nset ? set->value : NULL};
    Made again = make(d, a, path, NULL, &renamed, nset);
    compare(model, plain.plan, again.plan);
    program_free(again.program);
    program_free(plain.program);
    unlink(path);
}

static void names_mean_nothing(void **state)
{
    (void)state;
    static const char *const models[] = {"mlp.rt", "routing_lm.rt", "routing_transformer.rt"};
    static const Override depth = {"depth", "2"};
    for (volatile int i = 0; i < COUNT(models); i++) {
        Diag *d = diag_new();
        Arena *a = arena_new();
        char path[] = "/tmp/rtc-names-XXXXXX.rt";
        DIAG_TRY(d) { check_model(d, a, models[i], &depth, i > 0, path); }
        DIAG_CATCH(d) { fail_msg("%s", diag_text(d)); }
        DIAG_END(d)
        arena_free(a);
        diag_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_mean_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
