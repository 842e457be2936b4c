/* Whole files: atomic writing under injected faults, reading with limits, kinds of file.
 *
 * write, fsync, close and rename are defined here and so replace the C library's within this
 * program: call number `fail_at` fails with EIO, or kills. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "runtime/file.h"

static int calls, fail_at;
static bool die;                             /* be killed there instead */

static bool fault(void)
{
    if (++calls != fail_at) return false;
    if (die) raise(SIGKILL);
    errno = EIO;
    return true;
}

ssize_t write(int fd, const void *p, size_t n)
{
    return fault() ? -1 : (ssize_t)syscall(SYS_write, fd, p, n);
}
int fsync(int fd) { return fault() ? -1 : (int)syscall(SYS_fsync, fd); }
int close(int fd)
{
    int failed = fault();
    int r = (int)syscall(SYS_close, fd);
    if (failed) errno = EIO;
    return failed ? -1 : r;
}
int rename(const char *a, const char *b)
{
    return fault() ? -1 : (int)syscall(SYS_renameat2, -100, a, -100, b, 0);
}

typedef struct {
    Diag *d;
    Arena *a;
    char dir[64];
} World;

static int setup(void **state)
{
    World *w = calloc(1, sizeof *w);
    w->d = diag_new();
    w->a = arena_new();
    strcpy(w->dir, "/tmp/rtc-file-XXXXXX");
    *state = w;
    return mkdtemp(w->dir) ? 0 : -1;
}

static int teardown(void **state)
{
    World *w = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
    int r = system(command);
    diag_free(w->d);
    arena_free(w->a);
    free(w);
    return r;
}

static char *in(World *w, const char *name) { return arena_printf(w->a, "%s/%s", w->dir, name); }

static int entries(World *w)
{
    int n = 0;
    DIR *dir = opendir(w->dir);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static bool save(World *w, const char *path, const char *text, size_t n)
{
    DIAG_TRY(w->d) { file_save(w->d, path, text, n); }
    DIAG_CATCH(w->d) { return false; }
    DIAG_END(w->d)
    return true;
}

static const char *load(World *w, const char *path, size_t limit)
{
    const char *volatile text = NULL;
    DIAG_TRY(w->d) { text = file_read(w->d, w->a, path, limit, NULL); }
    DIAG_CATCH(w->d) { return NULL; }
    DIAG_END(w->d)
    return text;
}

static void round_trip(void **state)
{
    World *w = *state;
    size_t bytes = 0, n = 700001;            /* more than two buffers */
    char *big = arena_alloc(w->a, n);
    for (size_t i = 0; i < n; i++) big[i] = (char)(i * 7);
    FileWriter *f = file_create(w->d, in(w, "big"));
    for (size_t i = 0; i < n; i += 1000) file_write(f, big + i, n - i < 1000 ? n - i : 1000);
    file_printf(f, "%d!", 42);
    file_commit(f);
    char *back = file_read(w->d, w->a, in(w, "big"), 1 << 20, &bytes);
    assert_int_equal(bytes, n + 3);
    assert_memory_equal(back, big, n);
    assert_string_equal(back + n, "42!");
    FileMap *m = file_map(w->d, w->a, in(w, "big"));
    assert_int_equal(m->bytes, n + 3);
    assert_memory_equal(m->p, big, n);
    file_unmap(m);
    file_save(w->d, in(w, "none"), "", 0);
    m = file_map(w->d, w->a, in(w, "none"));
    assert_null(m->p);
    file_unmap(m);
    assert_int_equal(entries(w), 2);
}

/* Whatever call fails: the old content or the new one, whole; no other file; an error said. */
static void every_fault_leaves_old_or_new(void **state)
{
    World *w = *state;
    char *path = in(w, "state"), *text = arena_alloc(w->a, 600000);
    memset(text, 'n', 600000);
    bool done = false;
    int at = 1;
    for (; !done; at++) {
        assert_true(save(w, path, "old", 3));
        calls = 0;
        fail_at = at;
        done = save(w, path, text, 600000);
        done = done && calls < at;           /* the fault came after the last call */
        fail_at = 0;
        const char *now = load(w, path, 1 << 20);
        assert_non_null(now);
        assert_true(!strcmp(now, "old") || !memcmp(now, text, 600000));
        assert_int_equal(entries(w), 1);
        if (!done) assert_non_null(strstr(diag_text(w->d), "state"));
        assert_true(at < 50);
    }
    assert_true(at > 6);
}

/* Killed at any call: the old content or the new one, whole; the next writer sweeps the rest. */
static void every_kill_leaves_old_or_new(void **state)
{
    World *w = *state;
    char *path = in(w, "state"), *text = arena_alloc(w->a, 600000);
    memset(text, 'n', 600000);
    int killed = 0, swept = 0;
    for (int at = 1; at <= killed + 1; at++) {
        assert_true(save(w, path, "old", 3));
        pid_t child = fork();
        if (child == 0) {
            calls = 0;
            fail_at = at;
            die = true;
            save(w, path, text, 600000);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status);
        const char *now = load(w, path, 1 << 20);
        assert_true(!strcmp(now, "old") || !memcmp(now, text, 600000));
        swept += entries(w) == 2;
        file_sweep(path);
        assert_int_equal(entries(w), 1);
    }
    assert_true(killed >= 6);
    assert_true(swept >= 3);
}

/* A fault before the rename keeps the old content. */
static void failed_write_keeps_the_old_file(void **state)
{
    World *w = *state;
    assert_true(save(w, in(w, "a"), "old", 3));
    calls = 0;
    fail_at = 1;
    assert_false(save(w, in(w, "a"), "new", 3));
    fail_at = 0;
    assert_string_equal(load(w, in(w, "a"), 99), "old");
    assert_int_equal(diag_status(w->d), 1);
    assert_non_null(strstr(diag_text(w->d), "Input/output error"));
}

static void error_between_create_and_commit(void **state)
{
    World *w = *state;
    DIAG_TRY(w->d)
    {
        file_write(file_create(w->d, in(w, "half")), "x", 1);
        diag_fail(w->d, "something else");
    }
    DIAG_CATCH(w->d) {}
    DIAG_END(w->d)
    file_discard(file_create(w->d, in(w, "gone")));
    assert_int_equal(entries(w), 0);
}

static void links_and_devices(void **state)
{
    World *w = *state;
    struct stat s;
    assert_true(save(w, in(w, "target"), "1", 1));
    assert_int_equal(symlink(in(w, "target"), in(w, "link")), 0);
    assert_true(save(w, in(w, "link"), "22", 2));
    assert_string_equal(load(w, in(w, "target"), 9), "22");
    assert_int_equal(lstat(in(w, "link"), &s), 0);
    assert_true(S_ISLNK(s.st_mode));
    assert_true(save(w, "/dev/null", "x", 1));
    assert_false(save(w, "/dev/full", "x", 1));
    assert_non_null(strstr(diag_text(w->d), "No space left"));
    assert_false(save(w, w->dir, "x", 1));
    assert_false(save(w, in(w, "no/such"), "x", 1));
    assert_non_null(strstr(diag_text(w->d), "No such file"));
}

static void sweep_takes_only_temporaries(void **state)
{
    World *w = *state;
    const char *names[] = {"c", "c.tmp.123.0", "c.tmp.9.12", "c.tmp.x", "d.tmp.1.0"};
    for (int i = 0; i < COUNT(names); i++) assert_true(save(w, in(w, names[i]), "x", 1));
    file_sweep(in(w, "c"));
    assert_int_equal(entries(w), 3);
    assert_non_null(load(w, in(w, "c.tmp.x"), 9));
}

static void reading_refuses(void **state)
{
    World *w = *state;
    assert_null(load(w, "no-such-file", 9));
    assert_non_null(strstr(diag_text(w->d), "looked for in /"));
    assert_null(load(w, w->dir, 9));
    assert_non_null(strstr(diag_text(w->d), "this is a directory"));
    assert_int_equal(mkfifo(in(w, "pipe"), 0600), 0);
    assert_null(load(w, in(w, "pipe"), 9));
    assert_non_null(strstr(diag_text(w->d), "a device or pipe"));
    assert_null(load(w, "/dev/zero", 9));
    assert_true(save(w, in(w, "ten"), "0123456789", 10));
    assert_null(load(w, in(w, "ten"), 9));
    assert_non_null(strstr(diag_text(w->d), "has 10 bytes; at most 9"));
    assert_non_null(load(w, in(w, "ten"), 10));
}

static void kinds(void **state)
{
    World *w = *state;
    static const struct {
        const char *bytes;
        size_t n;
        FileKind kind;
    } files[] = {
        {"", 0, FILE_EMPTY},
        {"\n <!DOCTYPE html><p>", 20, FILE_HTML},
        {"<HTML lang=en>", 14, FILE_HTML},
        {"version https://git-lfs.github.com/spec/v1\n", 43, FILE_LFS_POINTER},
        {"\x02\0\0\0\0\0\0\0{}", 10, FILE_SAFETENSORS},
        {"PK\x03\x04zzzz", 8, FILE_ZIP},
        {"\x80\x02}q", 4, FILE_PICKLE},
        {"\x1f\x8b\x08\0", 4, FILE_GZIP},
        {"\x88\xd8\x34\x01\x01\0\0\0", 8, FILE_LLMC_TOKENS},
        {"To be", 5, FILE_TEXT},
        {"a\0b", 3, FILE_BINARY},
    };
    for (int i = 0; i < COUNT(files); i++) {
        assert_true(save(w, in(w, "k"), files[i].bytes, files[i].n));
        assert_int_equal(file_kind(in(w, "k")), files[i].kind);
        assert_non_null(file_kind_name(files[i].kind));
    }
    assert_int_equal(file_kind(w->dir), FILE_DIRECTORY);
    assert_int_equal(file_kind("/dev/null"), FILE_SPECIAL);
    assert_int_equal(file_kind(in(w, "absent")), FILE_MISSING);
}

static void directories(void **state)
{
    World *w = *state;
    file_make_directory(w->d, in(w, "run"));
    file_make_directory(w->d, in(w, "run"));
    assert_int_equal(file_kind(in(w, "run")), FILE_DIRECTORY);
    assert_true(save(w, in(w, "file"), "", 0));
    bool failed = false;
    DIAG_TRY(w->d) { file_make_directory(w->d, in(w, "file")); }
    DIAG_CATCH(w->d) { failed = true; }
    DIAG_END(w->d)
    assert_true(failed);
}

static bool writable(World *w, const char *path)
{
    volatile bool yes = true;
    DIAG_TRY(w->d) { file_require_writable(w->d, path); }
    DIAG_CATCH(w->d) { yes = false; }
    DIAG_END(w->d)
    return yes;
}

static void asked_before_writing(void **state)
{
    World *w = *state;
    assert_true(writable(w, in(w, "new")));
    assert_int_equal(file_kind(in(w, "new")), FILE_MISSING);
    assert_true(save(w, in(w, "old"), "kept", 4));
    assert_true(writable(w, in(w, "old")));
    assert_int_equal(file_kind(in(w, "old")), FILE_TEXT);
    assert_true(writable(w, "/dev/null"));
    assert_false(writable(w, w->dir));
    assert_false(writable(w, in(w, "absent/new")));
    assert_false(writable(w, in(w, "old/new")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(every_fault_leaves_old_or_new, setup, teardown),
        cmocka_unit_test_setup_teardown(every_kill_leaves_old_or_new, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_write_keeps_the_old_file, setup, teardown),
        cmocka_unit_test_setup_teardown(error_between_create_and_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(links_and_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep_takes_only_temporaries, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(directories, setup, teardown),
        cmocka_unit_test_setup_teardown(asked_before_writing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
