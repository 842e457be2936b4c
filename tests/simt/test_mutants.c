/* Real kernels, each changed in one place: a barrier or a wait removed, a comparison off by one, an
 * index moved, a guard dropped. Whatever changes what a kernel does must be noticed: by a report or
 * wrong values in the checked build, or by wrong values in one of the two orders of the fast one.
 *
 * All mutants of a text are compiled as one, their names told apart by a suffix.
 */
#include "kernels.h"
#include <ctype.h>
#include <string.h>

typedef struct {
    const char *from, *to;
} Edit;
enum { MUTANTS = 80 };

typedef struct {
    const char *file;
    bool (*good[2])(Bench *, Mode, char *);
    const char *names[14]; /* of everything at the top level of the text */
    Edit edits[24];
    Edit same[8]; /* mutants that do the same: a piece of their text, and why */
} Subject;

static const Subject matmul = {
    "matmul.cu",
    {matmul_good, matmul_tf32_good},
    {"MatmulArgs", "MatmulTf32Args", "TILE", "DEPTH", "PITCH", "DEPTH32", "PITCH32", "copy_tile",
     "store_tile", "load4", "matmul", "matmul_tf32", NULL},
    {{"row0 + row < rows && k0", "k0"},
     {"rows && k0 + column < k", "rows"},
     {"(row0 + row) * k + k0 + column;", "(row0 + row) * k + k0;"},
     {"i % 2 * 8][k", "i % 2 * 8 + 1][k"},
     {"r < m && j < n", "r < m"},
     {"r < m && j < n", "j < n"},
     {"step % 2", "step % 1"},
     {"next = stage - now", "next = now"},
     {"lane / 16 * 8) * 2", "lane / 16 * 4) * 2"},
     {"lane % 16) * PITCH", "lane % 8) * PITCH"},
     {"a, b + 2", "a, b"},
     {"b + 2)", "a)"},
     {"(unsigned)half * 32", "(unsigned)half * 16"},
     {"warp * 16 + g, column0", "warp * 8 + g, column0"},
     {"bs[j * 8 + g][k + q + 4]", "bs[j * 8 + g][k + q + 3]"},
     {"row < rows && column < k", "row < rows"},
     {"row < rows && column < k", "column < k"},
     {"(step + 1) * DEPTH, p.k);\n            copy", "step * DEPTH, p.k);\n            copy"},
     {"acc[j][i] = 0.0f", "acc[j][i] = 1.0f"},
     {NULL, NULL}},
    {{"k0 <= p.k", "one more step adds zeros"}, {NULL, NULL}},
};

static const Subject softmax = {
    "softmax.cu",
    {softmax_good, NULL},
    {"SoftmaxArgs", "warp_max", "warp_sum", "softmax", NULL},
    {{"if (lane == 0) part[0]", "part[0]"},
     {"if (lane == 0) part[1]", "if (lane == 1) part[1]"},
     {"part[0][warp]", "part[0][lane]"},
     {"part[1][warp]", "part[0][warp]"},
     {"part[2][4]", "part[2][3]"},
     {"part[1][3])", "part[1][2])"},
     {"i = t * 4", "i = t * 4 + 1"},
     {"d > 0; d /= 2) v = fmaxf", "d > 1; d /= 2) v = fmaxf"},
     {"d > 0; d /= 2) v +=", "d > 1; d /= 2) v +="},
     {"i += 512", "i += 1024"},
     {"most = -INFINITY", "most = 0.0f"},
     {"fmaxf(v.z, v.w)", "fmaxf(v.z, v.z)"},
     {"blockIdx.x * p.n;\n    float *y", "blockIdx.x * p.n + 4;\n    float *y"},
     {"sum += fast_exp2((x[i] - most)", "sum += fast_exp2((x[i])"},
     {NULL, NULL}},
    {{"if (lane == 1) part", "every lane has the sum"}, {NULL, NULL}},
};

static const Subject segments = {
    "segments.cu",
    {segments_good, NULL},
    {"SegmentsArgs", "segments", NULL},
    {{"if (t < n) rows", "rows"},
     {"if (in) sum", "sum"},
     {"if (warp == 0 && in)", "if (in)"},
     {"if (warp == 0 && in)", "if (warp == 0)"},
     {"list[from + t]", "list[begin + t]"},
     {"int i = warp", "int i = 0"},
     {"part[warp][lane]", "part[lane][warp]"},
     {"part[i][lane]", "part[0][lane]"},
     {"rows[256]", "rows[255]"},
     {"first[blockIdx.x + 1]", "first[blockIdx.x] + 1"},
     {"blockIdx.y * 32", "blockIdx.y * 16"},
     {"from += 256", "from += 128"},
     {"p.d + column] = total", "p.d + lane] = total"},
     {NULL, NULL}},
    {{"from <= end", "one more step with nothing in it"},
     {"from <= 256", "256 either way"},
     {NULL, NULL}},
};

/* ---- making mutants ---- */

typedef struct {
    const char *text, *what;
} Mutant;
typedef struct {
    Arena *a;
    Mutant m[MUTANTS];
    int n;
} Mutants;

/* The text with `length` bytes at `at` replaced. */
static void add(Mutants *all, const char *text, const char *at, size_t length, const char *to)
{
    assert_true(all->n < MUTANTS);
    const char *begin = at, *end = at + length;
    while (begin > text && begin[-1] != '\n') begin--;
    end += strcspn(end, "\n");
    while (*begin == ' ') begin++;
    int before = (int)(at - begin);
    Mutant *m = &all->m[all->n++];
    m->text = arena_printf(all->a, "%.*s%s%s", (int)(at - text), text, to, at + length);
    m->what = arena_printf(all->a, "%.*s%s%.*s", before, begin, to,
                           (int)(end - at - (ptrdiff_t)length), at + length);
}

static void make_mutants(Mutants *all, const Subject *s, const char *text)
{
    static const Edit everywhere[] = {{"__syncthreads();", ";"},
                                      {"cp_async_wait(1);", ";"},
                                      {"cp_async_wait(1);", "cp_async_wait(2);"},
                                      {"cp_async_commit();", ";"},
                                      {" < ", " <= "}};
    const char *body = strstr(text, "*/");
    for (int i = 0; i < COUNT(everywhere); i++)
        for (const char *p = body; (p = strstr(p, everywhere[i].from)); p++)
            add(all, text, p, strlen(everywhere[i].from), everywhere[i].to);
    for (const Edit *e = s->edits; e->from; e++) {
        const char *p = strstr(text, e->from);
        if (!p) fail_msg("%s has no `%s`", s->file, e->from);
        add(all, text, p, strlen(e->from), e->to);
    }
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static bool renamed(const Subject *s, const char *word, int n)
{
    for (int i = 0; s->names[i]; i++)
        if ((int)strlen(s->names[i]) == n && !strncmp(s->names[i], word, (size_t)n)) return true;
    return false;
}

static void add_renamed(Str *out, const Subject *s, const char *text, int number)
{
    while (*text) {
        int n = 0;
        while (is_word(text[n])) n++;
        if (n == 0) {
            str_addn(out, text++, 1);
            continue;
        }
        str_addn(out, text, (size_t)n);
        if (renamed(s, text, n)) str_printf(out, "_%d", number);
        text += n;
    }
    str_add(out, "\n");
}

/* ---- running them ---- */

static bool noticed(Bench *b, const Subject *s, int number, Mode from, Mode to)
{
    char suffix[16], why[WHY];
    snprintf(suffix, sizeof suffix, "_%d", number);
    kernel_suffix = suffix;
    bool good = true;
    for (Mode m = from; good && m <= to; m++)
        for (int k = 0; good && k < 2 && s->good[k]; k++) good = s->good[k](b, m, why);
    kernel_suffix = "";
    return !good;
}

static void compile(Bench *b, const Subject *s, const Mutants *all, const bool *left_out,
                    SimtBuild build)
{
    Str text = {.arena = all->a};
    SimtModule **to = build == SIMT_FAST ? &b->fast : &b->checked;
    for (int i = 0; i < all->n; i++)
        if (!left_out[i]) add_renamed(&text, s, all->m[i].text, i);
    DIAG_TRY(b->d)
    {
        *to = simt_compile(b->s, s->file, text.s, build, &(CacheOptions){.off = true});
    }
    DIAG_CATCH(b->d) { fail_msg("%s", diag_text(b->d)); }
    DIAG_END(b->d)
}

static bool does_the_same(const Subject *s, const Mutant *m)
{
    for (const Edit *e = s->same; e->from; e++)
        if (strstr(m->what, e->from)) return true;
    return false;
}

static void check(const Subject *s)
{
    Bench b = bench_open(NULL);
    Mutants *all = calloc(1, sizeof *all);
    bool caught[MUTANTS] = {false};
    int by_reports = 0, by_values = 0, by_order = 0, same = 0, missed = 0;
    all->a = diag_arena(b.d);
    make_mutants(all, s, read_kernels(b.d, s->file));
    compile(&b, s, all, caught, SIMT_CHECKED_BUILD);
    for (int i = 0; i < all->n; i++) {
        caught[i] = noticed(&b, s, i, CHECKED, CHECKED);
        by_reports += caught[i] && simt_reports(b.s) > 0;
        by_values += caught[i] && simt_reports(b.s) == 0;
    }
    compile(&b, s, all, caught, SIMT_FAST);
    for (int i = 0; i < all->n; i++) {
        if (caught[i]) continue;
        if (noticed(&b, s, i, FORWARD, REVERSE))
            by_order++;
        else if (does_the_same(s, &all->m[i]))
            same++;
        else {
            missed++;
            print_message("not noticed: %s\n", all->m[i].what);
        }
    }
    print_message("%s: %d mutants; caught by reports %d, by values %d, by values of the fast build "
                  "%d; %d do the same\n",
                  s->file, all->n, by_reports, by_values, by_order, same);
    free(all);
    bench_close(&b);
    assert_int_equal(missed, 0);
}

static void of_the_product(void **state)
{
    (void)state;
    check(&matmul);
}

static void of_the_softmax(void **state)
{
    (void)state;
    check(&softmax);
}

static void of_the_sums(void **state)
{
    (void)state;
    check(&segments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_product),
        cmocka_unit_test(of_the_softmax),
        cmocka_unit_test(of_the_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
