/* The parser: trees against goldens, places of every node, messages about wrong programs.
 * RTC_ACCEPT=1 writes the goldens anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include "frontend/parse.h"
#include "tests/frontend/wrong.h"

#define HERE RTC_SOURCE_DIR "/tests/frontend/"

/* The tree of a text as printed, or its message. */
static const char *tree(Diag *d, Arena *a, const char *text, size_t bytes)
{
    Str s = {.arena = a};
    DIAG_TRY(d)
    {
        AstFile *file = rt_parse(d, a, diag_source(d, "a.rt", text, bytes));
        ast_print(&s, file);
    }
    DIAG_CATCH(d) { return arena_strdup(a, diag_text(d)); }
    DIAG_END(d)
    return s.s;
}

static void check_text(const char *text, size_t bytes, const char *expected)
{
    Diag *d = diag_new();
    Arena *a = arena_new();
    assert_string_equal(tree(d, a, text, bytes), expected);
    arena_free(a);
    diag_free(d);
}
#define CHECK_TEXT(text, expected) check_text((text), sizeof(text) - 1, (expected))

static void goldens(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(HERE "golden/*.rt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        Diag *d = diag_new();
        Arena *a = arena_new();
        size_t bytes;
        const char *text = wrong_read(a, found.gl_pathv[i], &bytes), *got = tree(d, a, text, bytes);
        const char *path = found.gl_pathv[i];
        const char *golden = arena_printf(a, "%.*s.ast", (int)strlen(path) - 3, path);
        if (getenv("RTC_ACCEPT")) {
            FILE *f = fopen(golden, "w");
            assert_non_null(f);
            fputs(got, f);
            fclose(f);
        }
        const char *expected = wrong_read(a, golden, NULL);
        assert_non_null(expected);
        assert_string_equal(got, expected);
        arena_free(a);
        diag_free(d);
    }
    globfree(&found);
}

/* ---- the text of an expression's range parses to the same expression ---- */

static int places_checked;

static void check_place(Diag *d, Arena *a, const Expr *e)
{
    const char *text = diag_slice(d, e->loc);
    Str from_tree = {.arena = a}, from_text = {.arena = a};
    ast_print_expr(&from_tree, e);
    DIAG_TRY(d)
    {
        ast_print_expr(&from_text, rt_parse_value(d, a, diag_source(d, "s", text, strlen(text))));
    }
    DIAG_CATCH(d) { fail_msg("`%s`: %s", text, diag_text(d)); }
    DIAG_END(d)
    assert_string_equal(from_tree.s, from_text.s);
    places_checked++;
}

static void walk(Diag *d, Arena *a, const Expr *e);

static void walk_ranges(Diag *d, Arena *a, RangeVec ranges)
{
    for (int i = 0; i < ranges.n; i++) walk(d, a, ranges.v[i].extent);
}

static void walk_args(Diag *d, Arena *a, ArgVec args)
{
    for (int i = 0; i < args.n; i++) walk(d, a, args.v[i].value);
}

static void walk_indices(Diag *d, Arena *a, IndexVec indices)
{
    for (int i = 0; i < indices.n; i++) {
        walk(d, a, indices.v[i].expr);
        walk_ranges(d, a, indices.v[i].parts);
    }
}

static void walk(Diag *d, Arena *a, const Expr *e)
{
    if (!e) return;
    check_place(d, a, e);
    switch (e->kind) {
    case EX_LIST:
        for (int i = 0; i < e->list.n; i++) walk(d, a, e->list.v[i]);
        break;
    case EX_UNARY: walk(d, a, e->unary.x); break;
    case EX_BINARY:
        walk(d, a, e->binary.a);
        walk(d, a, e->binary.b);
        break;
    case EX_ACCESS:
        walk(d, a, e->access.base);
        walk_indices(d, a, e->access.indices);
        walk(d, a, e->access.fill);
        break;
    case EX_REDUCE:
        walk_ranges(d, a, e->reduce.over);
        walk(d, a, e->reduce.rank);
        walk(d, a, e->reduce.guard);
        walk(d, a, e->reduce.body);
        break;
    case EX_REDUCE_CALL: walk_args(d, a, e->reduce_call.args); break;
    case EX_MEMBER: walk(d, a, e->member.base); break;
    case EX_CALL:
        walk(d, a, e->call.callee);
        walk_args(d, a, e->call.args);
        break;
    case EX_CHOICE:
        walk(d, a, e->choice.cond);
        walk(d, a, e->choice.then);
        walk(d, a, e->choice.otherwise);
        break;
    default: break;
    }
}

static void walk_block(Diag *d, Arena *a, const Block *block)
{
    for (int i = 0; i < block->list.n; i++) {
        const Stmt *s = block->list.v[i];
        if (s->kind == ST_LET) walk(d, a, s->let.value);
        if (s->kind == ST_FN) walk_block(d, a, &s->fn->body);
        if (s->kind == ST_USE) walk(d, a, s->use.value);
        if (s->kind == ST_AUX) walk(d, a, s->aux);
        if (s->kind == ST_ASSIGN || s->kind == ST_INIT) walk(d, a, s->assign.value);
    }
}

static void places(void **state)
{
    (void)state;
    Diag *d = diag_new();
    Arena *a = arena_new();
    size_t bytes;
    const char *text = wrong_read(a, HERE "golden/forms.rt", &bytes);
    DIAG_TRY(d)
    {
        AstFile *file = rt_parse(d, a, diag_source(d, "forms.rt", text, bytes));
        for (int i = 0; i < file->items.n; i++) {
            const Item *item = file->items.v[i];
            if (item->kind == IT_MODULE) walk_block(d, a, &item->module.body);
            if (item->kind == IT_FN) walk(d, a, item->fn->value);
        }
    }
    DIAG_CATCH(d) { fail_msg("%s", diag_text(d)); }
    DIAG_END(d)
    assert_true(places_checked > 100);
    arena_free(a);
    diag_free(d);
}

/* ---- wrong programs ---- */

static const char *wrong_message(Diag *d, Arena *a, const Wrong *w)
{
    DIAG_TRY(d) { rt_parse(d, a, diag_source(d, w->name, w->text, strlen(w->text))); }
    DIAG_CATCH(d) { return diag_text(d); }
    DIAG_END(d)
    return "";
}

static int check_wrong(const char *path)
{
    Arena *a = arena_new();
    WrongVec cases = wrong_load(a, path);
    int failed = cases.n == 0;
    for (int i = 0; i < cases.n; i++) {
        Diag *d = diag_new();
        const char *why = wrong_check(a, &cases.v[i], wrong_message(d, a, &cases.v[i]));
        if (why) print_error("%s", why);
        failed += why != NULL;
        diag_free(d);
    }
    arena_free(a);
    return failed;
}

static void wrong_programs(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(HERE "wrong/0[1-8]_*.rt", 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 8);
    for (size_t i = 0; i < found.gl_pathc; i++)
        assert_int_equal(check_wrong(found.gl_pathv[i]), 0);
    globfree(&found);
}

static void what_newcomers_write(void **state)
{
    (void)state;
    assert_int_equal(check_wrong(HERE "syntax.rt"), 0);
}

/* ---- texts from other editors ---- */

static void accepted(void **state)
{
    (void)state;
    CHECK_TEXT("", "");
    CHECK_TEXT(" \n\t# only a comment", "");
    CHECK_TEXT("\xef\xbb\xbflet a = 1", "(let a 1)\n");
    CHECK_TEXT("let a = 1 # one\r\nlet\tb = 2\r\n", "(let a 1)\n(let b 2)\n");
    CHECK_TEXT("let a = 1 # \xff\0 bytes\nlet b = \"\xc3\xa9\"",
               "(let a 1)\n(let b \"\xc3\xa9\")\n");
    CHECK_TEXT("let a = 9223372036854775807 + 0.1 + 1e-5",
               "(let a (+ (+ 9223372036854775807 0.1) 1e-05))\n");
}

static void refused_bytes(void **state)
{
    (void)state;
    CHECK_TEXT("let a\0 = 1", "a.rt:1:6: error: a NUL byte: is this file text?\n"
                              "  let a? = 1\n       ^\n");
    CHECK_TEXT("let \xff = 1", "a.rt:1:5: error: the byte 0xff: the file isn't UTF-8\n"
                               "  let ? = 1\n      ^\n");
    CHECK_TEXT("let a = \"\0\"", "a.rt:1:9: error: this string holds a NUL byte\n"
                                 "  let a = \"?\"\n          ^~~\n");
    CHECK_TEXT("let a = \"\xc3\"", "a.rt:1:9: error: this string isn't UTF-8\n"
                                   "  let a = \"?\"\n          ^~~\n");
    CHECK_TEXT("let a = \x01", "a.rt:1:9: error: the control character 0x01 can't stand here\n"
                               "  let a = ?\n          ^\n");
}

/* A value as printed, or its message. */
static const char *value(Diag *d, Arena *a, const char *text)
{
    Str s = {.arena = a};
    uint32_t source = diag_source(d, "v", text, strlen(text));
    DIAG_TRY(d) { ast_print_expr(&s, rt_parse_value(d, a, source)); }
    DIAG_CATCH(d) { return diag_text(d); }
    DIAG_END(d)
    return s.s;
}

static void values(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"4", "4"},
        {"gelu", "gelu"},
        {"[a, 1]", "(list a 1)"},
        {"4,4, 2", "(list 4 4 2)"},
        {"adamw(lr=1e-3)", "(call adamw (= lr 0.001))"},
        {"4 5", "v:1:3: error: expected `,` before `5`\n  4 5\n    ^\n"},
        {"", "v:1:1: error: expected a value before the end of the file\n  \n  ^\n"},
    };
    for (int i = 0; i < COUNT(pairs); i++) {
        Diag *d = diag_new();
        Arena *a = arena_new();
        assert_string_equal(value(d, a, pairs[i][0]), pairs[i][1]);
        arena_free(a);
        diag_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),        cmocka_unit_test(places),
        cmocka_unit_test(wrong_programs), cmocka_unit_test(what_newcomers_write),
        cmocka_unit_test(accepted),       cmocka_unit_test(refused_bytes),
        cmocka_unit_test(values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
