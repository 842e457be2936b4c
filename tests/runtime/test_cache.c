/* The cache: entries found again, damage, directories that must not be used; and the compiler
 * behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "runtime/cc.h"

typedef struct {
    char dir[64];
    Diag *d;
    Arena *a;
} Place;

static int begin(void **state)
{
    Place *p = calloc(1, sizeof *p);
    strcpy(p->dir, "/tmp/rtc-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->d = diag_new();
    p->a = arena_new();
    *state = p;
    return 0;
}

static const char *in_dir(Place *p, const char *name)
{
    return arena_printf(p->a, "%s/%s", p->dir, name);
}

static int end(void **state)
{
    Place *p = *state;
    const char *rm = arena_printf(p->a, "chmod -R u+rwx %s; rm -rf %s", p->dir, p->dir);
    int rc = system(rm);
    diag_free(p->d);
    arena_free(p->a);
    free(p);
    return rc;
}

static Cache *open_at(Place *p, const char *name)
{
    return cache_open(p->d, p->a, &(CacheOptions){.dir = in_dir(p, name)});
}

/* The one entry of a directory. */
static const char *only_entry(Place *p, const char *name)
{
    const char *dir = in_dir(p, name), *found = NULL;
    DIR *h = opendir(dir);
    assert_non_null(h);
    for (struct dirent *e; (e = readdir(h));)
        if (e->d_name[0] != '.') {
            assert_null(found);
            found = arena_printf(p->a, "%s/%s", dir, e->d_name);
        }
    closedir(h);
    assert_non_null(found);
    return found;
}

static void found_again(void **state)
{
    Place *p = *state;
    Cache *c = open_at(p, "deep/er");
    size_t n;
    assert_null(cache_find(c, p->a, "key", &n));
    cache_keep(c, "key", "payload", 7);
    char *v = cache_find(open_at(p, "deep/er"), p->a, "key", &n);
    assert_int_equal(n, 7);
    assert_memory_equal(v, "payload", 7);
    assert_null(cache_find(c, p->a, "other", &n));
    struct stat st;
    assert_int_equal(stat(in_dir(p, "deep/er"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_string_equal(diag_warnings(p->d), "");
}

/* Every byte changed, every length cut: never loaded, the entry goes. */
static void damage(void **state)
{
    Place *p = *state;
    Cache *c = open_at(p, "c");
    cache_keep(c, "some key", "some payload", 12);
    const char *path = only_entry(p, "c");
    FILE *f = fopen(path, "rb");
    char whole[256];
    size_t size = fread(whole, 1, sizeof whole, f), n;
    fclose(f);
    for (size_t i = 0; i < 2 * size; i++) {
        f = fopen(path, "wb");
        char copy[256];
        memcpy(copy, whole, size);
        if (i < size) copy[i] ^= 0x20;
        fwrite(copy, 1, i < size ? size : i - size, f);
        fclose(f);
        assert_null(cache_find(c, p->a, "some key", &n));
    }
    cache_keep(c, "some key", "some payload", 12);
    assert_non_null(cache_find(c, p->a, "some key", &n));
    assert_non_null(strstr(diag_warnings(p->d), "damaged"));
}

static void not_used(Place *p, const char *name, const char *why)
{
    diag_clear_warnings(p->d);
    Cache *c = open_at(p, name);
    size_t n;
    assert_null(cache_dir(c));
    assert_non_null(strstr(diag_warnings(p->d), why));
    cache_keep(c, "key", "v", 1);
    assert_null(cache_find(c, p->a, "key", &n));
}

static void bad_directories(void **state)
{
    Place *p = *state;
    assert_int_equal(mkdir(in_dir(p, "open"), 0700), 0);
    assert_int_equal(chmod(in_dir(p, "open"), 0770), 0);
    not_used(p, "open", "can be written by others");
    assert_int_equal(symlink("/tmp", in_dir(p, "link")), 0);
    not_used(p, "link", "is no directory");
    fclose(fopen(in_dir(p, "file"), "w"));
    not_used(p, "file", "is no directory");
    not_used(p, "file/below", "can't be made");
    Cache *off = cache_open(p->d, p->a, &(CacheOptions){.off = true});
    assert_null(cache_dir(off));
}

/* ---- the compiler ---- */

static CcObjects compile(Place *p, const char *const *text, int n)
{
    CcObjects c = {0};
    DIAG_TRY(p->d)
    {
        c = cc_compile(p->d, p->a, &(CcOptions){.cache = {.dir = in_dir(p, "cc")}}, text, n);
    }
    DIAG_CATCH(p->d) {}
    DIAG_END(p->d)
    return c;
}

typedef int (*Number)(void);

static void compiles_once(void **state)
{
    Place *p = *state;
    const char *text[] = {"int one(void) { return 1; }\n", "int two(void) { return 2; }\n",
                          "int three(void) { return 3; }\n"};
    for (int round = 0; round < 3; round++) {
        CcObjects c = compile(p, text, 3);
        assert_int_equal(c.n, 3);
        assert_int_equal(c.compiled, round == 0 ? 3 : 0);
        static const char *const name[] = {"one", "two", "three"};
        for (int i = 0; i < 3; i++) {
            Number f;
            void *s = cc_symbol(&c, name[i]);
            assert_non_null(s);
            memcpy(&f, &s, sizeof f);
            assert_int_equal(f(), i + 1);
        }
        assert_null(cc_symbol(&c, "four"));
        cc_close(&c);
    }
}

static void refused_text(void **state)
{
    Place *p = *state;
    const char *text[] = {"int f(void) { return undeclared; }\n"};
    assert_int_equal(compile(p, text, 1).n, 0);
    assert_int_equal(diag_status(p->d), 70);
    assert_non_null(strstr(diag_text(p->d), "undeclared"));
}

static void no_compiler(void **state)
{
    Place *p = *state;
    char *path = arena_strdup(p->a, getenv("PATH")), *cc = getenv("CC");
    if (cc) cc = arena_strdup(p->a, cc);
    setenv("PATH", p->dir, 1);
    unsetenv("CC");
    const char *text[] = {"int f(void) { return 1; }\n"};
    assert_int_equal(compile(p, text, 1).n, 0);
    setenv("PATH", path, 1);
    if (cc) setenv("CC", cc, 1);
    assert_int_equal(diag_status(p->d), 1);
    assert_non_null(strstr(diag_text(p->d), "package gcc or clang"));
}

static void wrong_isa(void **state)
{
    Place *p = *state;
    const char *text[] = {"int f(void) { return 1; }\n"};
    DIAG_TRY(p->d)
    {
        cc_compile(p->d, p->a, &(CcOptions){.isa = "mmx", .cache = {.off = true}}, text, 1);
        fail_msg("accepted");
    }
    DIAG_CATCH(p->d) { assert_non_null(strstr(diag_text(p->d), "no instruction set `mmx`")); }
    DIAG_END(p->d)
}

/* Processes that start together on an empty cache: all get the right object. */
static void race(void **state)
{
    Place *p = *state;
    enum { PROCESSES = 6 };
    pid_t pid[PROCESSES];
    const char *text[] = {"int f(void) { return 42; }\n", "int g(void) { return 43; }\n"};
    for (int i = 0; i < PROCESSES; i++) {
        pid[i] = fork();
        if (pid[i]) continue;
        CcObjects c = compile(p, text, 2);
        Number f = NULL;
        void *s = c.n == 2 ? cc_symbol(&c, "g") : NULL;
        memcpy(&f, &s, sizeof f);
        _exit(s && f() == 43 && !*diag_warnings(p->d) ? 0 : 1);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_again, begin, end),
        cmocka_unit_test_setup_teardown(damage, begin, end),
        cmocka_unit_test_setup_teardown(bad_directories, begin, end),
        cmocka_unit_test_setup_teardown(compiles_once, begin, end),
        cmocka_unit_test_setup_teardown(refused_text, begin, end),
        cmocka_unit_test_setup_teardown(no_compiler, begin, end),
        cmocka_unit_test_setup_teardown(wrong_isa, begin, end),
        cmocka_unit_test_setup_teardown(race, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
