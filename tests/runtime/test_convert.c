/* Names of another program: the lines of a map and their mistakes, files there and back, the table of
 * what doesn't fit. The models are stand-ins: a few leaves and options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "runtime/convert.h"

typedef struct {
    Diag *d;
    Arena *a;
    Program p;
    char map[64], in[64], out[64];
} World;

static int setup(void **state)
{
    World *w = calloc(1, sizeof *w);
    w->d = diag_new();
    w->a = arena_new();
    w->p = (Program){.model = "m", .graph = graph_new(w->d), .arena = w->a};
    snprintf(w->map, sizeof w->map, "/tmp/rtc-convert-%ld.map", (long)getpid());
    snprintf(w->in, sizeof w->in, "/tmp/rtc-convert-%ld.in", (long)getpid());
    snprintf(w->out, sizeof w->out, "/tmp/rtc-convert-%ld.out", (long)getpid());
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    World *w = *state;
    unlink(w->map);
    unlink(w->in);
    unlink(w->out);
    graph_free(w->p.graph);
    diag_free(w->d);
    arena_free(w->a);
    free(w);
    return 0;
}

/* ---- the model ---- */

static void leaf(World *w, Op op, const char *name, int64_t rows, int64_t columns)
{
    const Ix *ext[] = {ix_const(w->p.graph, rows), ix_const(w->p.graph, columns)};
    const Space *shape = space_make(w->p.graph, 2, ext);
    graph_leaf(w->p.graph, op, name, DT_FLOAT, shape);
}

static void option(World *w, const char *name, StaticValue value)
{
    vec_push(w->a, &w->p.options, (OptionInfo){.name = name, .value = value});
}

static StaticValue number(int64_t i) { return (StaticValue){.kind = SV_INT, .i = i}; }
static StaticValue truth(bool b) { return (StaticValue){.kind = SV_BOOL, .i = b}; }

/* A list of one number. */
static StaticValue list(World *w, int64_t i)
{
    StaticValue v = {.kind = SV_LIST, .n = 1, .v = NEW(w->a, StaticValue)};
    v.v[0] = number(i);
    return v;
}

/* ---- maps ---- */

static NameMap *read_map(World *w, const char *text)
{
    NameMap *volatile m = NULL;
    file_save(w->d, w->map, text, strlen(text));
    DIAG_TRY(w->d) { m = namemap_read(w->d, w->a, w->map, &w->p); }
    DIAG_CATCH(w->d) { m = NULL; }
    DIAG_END(w->d)
    return m;
}

static NameMap *good_map(World *w, const char *text)
{
    NameMap *m = read_map(w, text);
    if (!m) fail_msg("%s", diag_text(w->d));
    return m;
}

/* All names, one after the other; "?" where no line fits. */
static const char *theirs(World *w, const NameMap *m, const char *ours)
{
    NameList names = {0};
    Str text = {.arena = w->a};
    str_add(&text, namemap_theirs(m, ours, &names) ? "" : "?");
    for (int i = 0; i < names.n; i++) str_printf(&text, "%s%s", i ? " " : "", names.v[i]);
    return text.s;
}

static const char *ours(World *w, const NameMap *m, const char *theirs)
{
    NameList names = {0};
    Str text = {.arena = w->a};
    str_add(&text, namemap_ours(m, theirs, &names) ? "" : "?");
    for (int i = 0; i < names.n; i++) str_printf(&text, "%s%s", i ? " " : "", names.v[i]);
    return text.s;
}

static void test_lines(void **state)
{
    World *w = *state;
    leaf(w, OP_param, "net.0.w", 2, 2);
    option(w, "depth", number(3));
    option(w, "wide", truth(true));
    option(w, "extra", list(w, 2));
    NameMap *m = good_map(w,
        "# a comment\n"
        "group net\n"
        "  let fn = fn.     # and here\n"
        "  for i in 0..depth\n"
        "    let at = {i * 2 + 1}\n"
        "    {i}.special = l{at}.{fn}other\n"
        "    if i + 1 in extra\n"
        "      {i}.* = extra{i}.*\n"
        "    else\n"
        "      {i}.* = l{at}.{fn}*\n"
        "    end\n"
        "  end\n"
        "end\n"
        "model other\n"
        "end\n"
        "model m\n"
        "  if not wide\n"
        "    narrow = narrow\n"
        "  end\n"
        "  if has net.0.*\n"
        "    x = y z\n"
        "  end\n"
        "  if has net.1.*\n"
        "    q = q\n"
        "  end\n"
        "  gone =\n"
        "  = constant.*\n"
        "  net: net. = a.\n"
        "  net: net. = b.\n"
        "end\n");
    assert_string_equal(theirs(w, m, "net.0.w"), "a.l1.fn.w b.l1.fn.w");
    assert_string_equal(theirs(w, m, "net.1.w"), "a.extra1.w b.extra1.w");
    assert_string_equal(theirs(w, m, "net.2.special"), "a.l5.fn.other b.l5.fn.other");
    assert_string_equal(theirs(w, m, "net.3.w"), "?");
    assert_string_equal(theirs(w, m, "narrow"), "?");
    assert_string_equal(theirs(w, m, "x"), "y z");
    assert_string_equal(theirs(w, m, "q"), "?");
    assert_string_equal(theirs(w, m, "gone"), "");
    assert_string_equal(ours(w, m, "b.l3.fn.other"), "net.1.special");
    assert_string_equal(ours(w, m, "b.l5.fn.w.x"), "net.2.w.x");
    assert_string_equal(ours(w, m, "z"), "x");
    assert_string_equal(ours(w, m, "constant.of.theirs"), "");
    assert_string_equal(ours(w, m, "constant"), "?");
}

/* One name of ours for all turns, as weights that layers share have. */
static void test_shared(void **state)
{
    World *w = *state;
    option(w, "enc_depth", number(2));
    NameMap *m = good_map(w, "group g\nfor i in 0..depth\nl0.* = layers.{i}.*\nend\nend\n"
                             "model m\ng: = enc. enc_\nend\n");
    assert_string_equal(theirs(w, m, "l0.w"), "enc.layers.0.w enc.layers.1.w");
    assert_string_equal(ours(w, m, "enc.layers.1.w"), "l0.w");
}

static const struct {
    const char *text, *why;
    int line;
} mistakes[] = {
    {"model m\nx\nend\n", "expected OURS = THEIRS", 2},
    {"model m\n=\nend\n", "expected a name", 2},
    {"model m\na.* = b\nend\n", "`*` must end both names", 2},
    {"model m\na.*.c = b\nend\n", "`*` can only end a name", 2},
    {"model m\nif wide\nend\n", "no `end`", 1},
    {"model m\nend\nend\n", "`end` without", 3},
    {"model m\nelse\nend\n", "`else` without", 2},
    {"model m\nif tall\nend\nend\n", "no option `tall`", 2},
    {"model m\nif depth\nend\nend\n", "`depth` is not a bool", 2},
    {"model m\nfor i in 0..wide\nend\nend\n", "`wide` is not a number", 2},
    {"model m\nfor i in depth\nend\nend\n", "expected for NAME in 0..COUNT", 2},
    {"model m\nif 1 in wide\nend\nend\n", "`wide` is not a list", 2},
    {"model m\na = {1 - 1}\nend\n", "expected `+` or `*`", 2},
    {"model m\na = {\nend\n", "`{` without", 2},
    {"model m\na = }\nend\n", "`}` without", 2},
    {"model m\na = {9223372036854775807 + 1}\nend\n", "too large", 2},
    {"model m\nh: a = b\nend\n", "there is no group `h`", 2},
    {"group g\ng: =\nend\nmodel m\ng: =\nend\n", "nested too deeply", 2},
    {"x = y\n", "expected `group NAME` or `model NAME`", 1},
    {"model other\nend\n", "no names for the model m", 0},
};

static void test_mistakes(void **state)
{
    World *w = *state;
    option(w, "depth", number(2));
    option(w, "wide", truth(true));
    for (int i = 0; i < COUNT(mistakes); i++) {
        if (read_map(w, mistakes[i].text)) fail_msg("accepted: %s", mistakes[i].text);
        const char *text = diag_text(w->d), *place = arena_printf(w->a, ":%d:", mistakes[i].line);
        if (!strstr(text, mistakes[i].why) || (mistakes[i].line && !strstr(text, place)))
            fail_msg("expected `%s` at line %d, got: %s", mistakes[i].why, mistakes[i].line, text);
        assert_non_null(strstr(text, w->map));
        diag_reset(w->d);
    }
}

/* ---- files ---- */

static const float data[] = {1, 2, 3, 4, 5, 6};
static const uint16_t half[] = {0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0};

static const char two_names[] = "model m\n"
                                "emb = emb out.tensor\n"
                                "means = kmeans.means\n"
                                "means.initted = kmeans.initted\n"
                                "w.* = fn.w.*\n"
                                "steps =\n"
                                "= inv_freq\n"
                                "end\n";

static NameMap *two_names_model(World *w)
{
    leaf(w, OP_param, "emb", 2, 3);
    leaf(w, OP_param, "w.a", 3, 2);
    leaf(w, OP_state, "means", 1, 2);
    leaf(w, OP_input, "x", 1, 2);
    graph_leaf(w->p.graph, OP_fresh, "means", DT_BOOL, space_make(w->p.graph, 0, NULL));
    return good_map(w, two_names);
}

static void save(World *w, const char *path, const StEntry *t, int n)
{
    st_write(w->d, path, t, n, &(StMeta){"k", "v"}, 1);
}

/* NULL, or the message; then there must be no output. */
static const char *convert(World *w, const NameMap *m, bool from, const char *in, const char *out)
{
    unlink(out);
    DIAG_TRY(w->d) { convert_file(w->d, m, from, in, out); }
    DIAG_CATCH(w->d)
    {
        assert_int_equal(diag_status(w->d), 1);
        assert_int_equal(access(out, F_OK), -1);
        return diag_text(w->d);
    }
    DIAG_END(w->d)
    return NULL;
}

static void test_there_and_back(void **state)
{
    World *w = *state;
    static const uint8_t yes = 1;
    const StEntry all[] = {
        {"fn.w.a", ST_BF16, 2, {3, 2}, half},    {"emb", ST_F32, 2, {2, 3}, data},
        {"out.tensor", ST_F32, 2, {2, 3}, data}, {"inv_freq", ST_F32, 1, {3}, data},
        {"kmeans.means", ST_F32, 2, {1, 2}, data}, {"fn.w.empty", ST_F32, 2, {0, 4}, data},
        {"grad/emb", ST_F32, 2, {2, 3}, data},   {"grad/x", ST_F32, 2, {7, 1}, (float[7]){1}},
        {"state/kmeans.means", ST_F64, 2, {1, 2}, (double[2]){1, 2}},
        {"kmeans.initted", ST_BOOL, 0, {0}, &yes},
    };
    NameMap *m = two_names_model(w);
    save(w, w->in, all, COUNT(all));
    assert_null(convert(w, m, true, w->in, w->out));
    StFile *f = st_open(w->d, w->a, w->out);
    static const char *const names[] = {"w.a", "emb", "means", "grad/emb", "grad/x", "state/means",
                                        "means.initted"};
    assert_int_equal(f->n, COUNT(names));
    for (int i = 0; i < COUNT(names); i++) assert_non_null(st_find(f, names[i]));
    assert_int_equal(st_find(f, "w.a")->dtype, ST_BF16);
    assert_memory_equal(st_find(f, "w.a")->data, half, sizeof half);
    assert_string_equal(st_meta(f, "k"), "v");
    st_close(f);

    assert_null(convert(w, m, false, w->out, w->in));
    f = st_open(w->d, w->a, w->in);
    for (int i = 0; i < COUNT(all); i++) {
        const StEntry *e = &all[i];
        const StTensor *t = st_find(f, e->name);
        if (!strcmp(e->name, "inv_freq") || !strcmp(e->name, "fn.w.empty")) {
            assert_null(t);
            continue;
        }
        if (!t) fail_msg("no %s", e->name);
        assert_int_equal(t->dtype, e->dtype);
        assert_int_equal(t->rank, e->rank);
        assert_memory_equal(t->data, e->data, t->bytes);
    }
    assert_int_equal(f->n, COUNT(all) - 2 + 1);      /* and grad/out.tensor, the same as grad/emb */
    st_close(f);
}

static void test_misfits(void **state)
{
    World *w = *state;
    const float other[6] = {0};
    const StEntry all[] = {
        {"emb", ST_F32, 2, {2, 3}, data},
        {"out.tensor", ST_F32, 2, {2, 3}, other},
        {"stranger", ST_F32, 1, {4}, data},
        {"fn.w.b", ST_F32, 1, {5}, data},
        {"kmeans.means", ST_F32, 2, {2, 2}, data},
    };
    NameMap *m = two_names_model(w);
    save(w, w->in, all, COUNT(all));
    const char *text = convert(w, m, true, w->in, w->out);
    assert_non_null(text);
    const char *const rows[] = {"missing  fn.w.a", "[3, 2]  the model's w.a",
                                "unknown  stranger", "unknown  fn.w.b", "the model has no w.b",
                                "shape    kmeans.means", "[2, 2]  the model's is [1, 2]",
                                "differs  out.tensor", w->in, w->map};
    for (int i = 0; i < COUNT(rows); i++)
        if (!strstr(text, rows[i])) fail_msg("expected `%s` in: %s", rows[i], text);
}

/* What is only ours goes, parameters are all there, and a file of gradients alone is complete. */
static void test_to(void **state)
{
    World *w = *state;
    const StEntry all[] = {{"steps", ST_I64, 1, {1}, (int64_t[1]){3}},
                           {"emb", ST_F32, 2, {2, 3}, data},
                           {"w.a", ST_F32, 2, {3, 2}, data}};
    NameMap *m = two_names_model(w);
    save(w, w->in, all, 3);
    assert_null(convert(w, m, false, w->in, w->out));
    StFile *f = st_open(w->d, w->a, w->out);
    assert_int_equal(f->n, 3);
    assert_non_null(st_find(f, "out.tensor"));
    st_close(f);
    save(w, w->in, all, 2);
    const char *text = convert(w, m, false, w->in, w->out);
    assert_non_null(text);
    assert_non_null(strstr(text, "missing  w.a"));
    const StEntry grad = {"grad/emb", ST_F32, 2, {2, 3}, data};
    save(w, w->in, &grad, 1);
    assert_null(convert(w, m, false, w->in, w->out));
}

static void test_list(void **state)
{
    World *w = *state;
    NameMap *m = two_names_model(w);
    Str text = {.arena = w->a};
    convert_list(m, &text);
    assert_string_equal(text.s, "emb            [2, 3]  emb\n"
                                "                       out.tensor\n"
                                "w.a            [3, 2]  fn.w.a\n"
                                "means          [1, 2]  kmeans.means\n"
                                "means.initted  []      kmeans.initted\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misfits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
