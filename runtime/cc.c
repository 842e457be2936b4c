/* cc.c: running the system's C compiler. Contract: cc.h.
 *
 * Each unit becomes a shared object of its own, kept in the cache by text, compiler, options and
 * instruction set, and is loaded from memory (memfd), so that neither the cache nor a temporary
 * directory has to allow execution.
 */
#include "runtime/cc.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

extern char **environ;

/* ---- instruction sets ---- */

typedef struct {
    const char *name;
    const char *flags[12];
} Isa;

static const Isa isas[] = {
    {"avx512",
     {"-mavx512f", "-mavx512cd", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma",
      "-mbmi", "-mbmi2", "-mprefer-vector-width=512"}},
    {"avx2", {"-mavx2", "-mfma", "-mbmi", "-mbmi2"}},
    {"baseline", {NULL}},
};

static int isa_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                __builtin_cpu_supports("bmi2");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
    return avx512 ? 0 : avx2 ? 1 : 2;
#else
    return 2;
#endif
}

const char *cc_isa_here(void) { return isas[isa_level()].name; }

static const Isa *isa_find(Diag *d, const char *name)
{
    int here = isa_level();
    if (!name) return &isas[here];
    for (int i = 0; i < COUNT(isas); i++) {
        if (strcmp(isas[i].name, name)) continue;
        if (i < here) diag_fail(d, "this CPU has no %s\nfound: %s", name, isas[here].name);
        return &isas[i];
    }
    diag_fail(d, "no instruction set `%s`\nexpected: avx512, avx2 or baseline", name);
}

/* ---- the compiler ---- */

/* What -O3 has above these takes a quarter of the compiler's time and gives nothing here. Nor does
 * choosing induction variables, another third: pointers and strides are already laid out per loop. */
static const char *const options[] = {
    "-std=gnu11",
    "-O2",
    "-ftree-vectorize",
    "-funswitch-loops",
    "-fvect-cost-model=dynamic",
    "-fno-ivopts",
    "-fPIC",
    "-shared",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-w",
    NULL,
};

/* A program on PATH, or NULL. */
static const char *on_path(Arena *a, const char *name)
{
    if (strchr(name, '/')) return access(name, X_OK) == 0 ? name : NULL;
    const char *path = getenv("PATH");
    for (const char *p = path ? path : ""; *p;) {
        size_t n = strcspn(p, ":");
        const char *full = arena_printf(a, "%.*s/%s", (int)n, p, name);
        struct stat st;
        if (n && stat(full, &st) == 0 && S_ISREG(st.st_mode) && access(full, X_OK) == 0)
            return full;
        p += n + (p[n] == ':');
    }
    return NULL;
}

static const char *compiler(Arena *a, const char *wanted)
{
    const char *cc = getenv("CC");
    if (wanted) return on_path(a, wanted);
    if (cc && *cc) return on_path(a, cc);
    static const char *const names[] = {"cc", "gcc", "clang"};
    for (int i = 0; i < COUNT(names); i++) {
        const char *p = on_path(a, names[i]);
        if (p) return p;
    }
    return NULL;
}

RTC_NORETURN static void no_compiler(Diag *d, const char *wanted)
{
    const char *cc = getenv("CC");
    if (wanted) diag_fail(d, "no compiler `%s` found on PATH", wanted);
    if (cc && *cc)
        diag_fail(d, "CC is `%s`, and there is no such program that can be run\n"
                     "hint: CC is the name or path of a C compiler, without options", cc);
    diag_fail(d, "no C compiler found\nrtc compiles its kernels with the system's C compiler\n"
                 "hint: install one (package gcc or clang), or name it in CC");
}

/* Starts argv with stdout and stderr to the file `out`, as the leader of a process group; -1:
 * can't, and errno says why. */
static pid_t start(char *const *argv, const char *out)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    pid_t pid = -1;
    if (posix_spawn_file_actions_init(&fa) != 0) return -1;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&fa);
        return -1;
    }
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    bool ok =
        posix_spawn_file_actions_addopen(&fa, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600) == 0 &&
        posix_spawn_file_actions_adddup2(&fa, 1, 2) == 0 &&
        posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0) == 0;
    int rc = ok ? posix_spawn(&pid, argv[0], &fa, &attr, argv, environ) : EIO;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    errno = rc;
    return rc == 0 ? pid : -1;
}

/* Its status as of waitpid, -1 if there is none; may be interrupted (diag_poll). */
static int wait_for(Diag *d, pid_t pid)
{
    int status;
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) return status;
        if (got < 0 && errno != EINTR) return -1;
        diag_poll(d);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static char *slurp(Arena *a, const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    Str s = {.arena = a};
    char chunk[65536];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) str_addn(&s, chunk, n);
    fclose(f);
    if (bytes) *bytes = s.n;
    return s.s ? s.s : arena_strdup(a, "");
}

/* ---- temporary files, removed also when an error unwinds ---- */

typedef struct {
    char *dir;
    int n;
    Arena *a;
} Temp;

static const char *temp_path(const Temp *t, int unit, const char *ext)
{
    return arena_printf(t->a, "%s/u%d%s", t->dir, unit, ext);
}

static void temp_remove(void *p)
{
    Temp *t = p;
    static const char *const ext[] = {".c", ".so", ".log"};
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < COUNT(ext); k++) unlink(temp_path(t, i, ext[k]));
    rmdir(t->dir);
}

static Temp *temp_make(Diag *d, Arena *a, int n)
{
    const char *tmp = getenv("TMPDIR");
    Temp *t = NEW(a, Temp);
    *t = (Temp){arena_printf(a, "%s/rtc-XXXXXX", tmp && *tmp ? tmp : "/tmp"), n, a};
    if (!mkdtemp(t->dir))
        diag_fail(d, "no temporary directory %s: %s\nhint: TMPDIR names another place for it",
                  t->dir, strerror(errno));
    diag_defer(d, temp_remove, t);
    return t;
}

/* ---- version ---- */

static char *version_of(Diag *d, Arena *a, const char *cc)
{
    Temp *t = temp_make(d, a, 1);
    const char *log = temp_path(t, 0, ".log");
    char *argv[] = {arena_strdup(a, cc), "--version", NULL};
    pid_t pid = start(argv, log);
    char *text = pid > 0 && wait_for(d, pid) == 0 ? slurp(a, log, NULL) : NULL;
    diag_undefer(d);
    temp_remove(t);
    if (text) text[strcspn(text, "\n")] = 0;
    return text;
}

const char *cc_version(Diag *d, Arena *a, const char **path)
{
    const char *cc = compiler(a, NULL);
    if (path) *path = cc;
    return cc ? version_of(d, a, cc) : NULL;
}

/* ---- one build ---- */

typedef struct {
    Diag *d;
    Arena *a;
    const Isa *isa;
    const char *cc;
    const char *const *flags;
    const char *id; /* of compiler and options, for keys */
    Cache *cache;
    Temp *temp;
} Build;

static char **arguments(const Build *b, int unit)
{
    VEC(char *) v = {0};
    Arena *a = b->a;
    vec_push(a, &v, arena_strdup(a, b->cc));
    for (int i = 0; b->flags[i]; i++) vec_push(a, &v, arena_strdup(a, b->flags[i]));
    for (int i = 0; b->isa->flags[i]; i++) vec_push(a, &v, arena_strdup(a, b->isa->flags[i]));
    vec_push(a, &v, arena_strdup(a, "-o"));
    vec_push(a, &v, arena_strdup(a, temp_path(b->temp, unit, ".so")));
    vec_push(a, &v, arena_strdup(a, temp_path(b->temp, unit, ".c")));
    vec_push(a, &v, NULL);
    return v.v;
}

/* Compiler and options, as they go into every key. The version is asked once per compiler file. */
static const char *identity(Build *b)
{
    struct stat st = {0};
    stat(b->cc, &st);
    const char *key = arena_printf(b->a, "compiler version\n%s\n%lld\n%lld\n", b->cc,
                                   (long long)st.st_mtime, (long long)st.st_size);
    size_t n;
    char *version = cache_find(b->cache, b->a, key, &n);
    if (version) {
        version = arena_strndup(b->a, version, n);
    } else {
        version = version_of(b->d, b->a, b->cc);
        if (!version)
            diag_fail(b->d, "the C compiler %s doesn't run: `%s --version` fails\n"
                            "hint: CC names another", b->cc, b->cc);
        cache_keep(b->cache, key, version, strlen(version));
    }
    Str s = {.arena = b->a};
    str_printf(&s, "rtc kernels\n%s\n%s\n", version, b->isa->name);
    for (int i = 0; b->flags[i]; i++) str_printf(&s, "%s ", b->flags[i]);
    for (int i = 0; b->isa->flags[i]; i++) str_printf(&s, "%s ", b->isa->flags[i]);
    str_add(&s, "\n");
    return s.s;
}

/* dlopen takes objects of equal path for one, and descriptors are reused: the content's hash is
 * spelled into the path as `/` and `./`. */
static const char *memory_path(Arena *a, int fd, const char *object, size_t bytes)
{
    Str s = {.arena = a};
    str_add(&s, "/proc/self/fd/");
    for (uint64_t h = XXH3_64bits(object, bytes), i = 0; i < 64; i++)
        str_add(&s, h >> i & 1 ? "./" : "/");
    str_printf(&s, "%d", fd);
    return s.s;
}

/* NULL: it isn't a shared object that can be loaded. */
static void *load(Build *b, const char *object, size_t bytes)
{
    int fd = memfd_create("rtc-kernels", MFD_CLOEXEC);
    if (fd < 0) diag_fail(b->d, "no memory for compiled kernels: %s", strerror(errno));
    for (size_t done = 0; done < bytes;) {
        ssize_t k = write(fd, object + done, bytes - done);
        if (k <= 0) {
            close(fd);
            diag_fail(b->d, "no memory for compiled kernels: %s", strerror(errno));
        }
        done += (size_t)k;
    }
    void *h = dlopen(memory_path(b->a, fd, object, bytes), RTLD_NOW | RTLD_LOCAL);
    close(fd);
    return h;
}

/* ---- running the compiler ---- */

typedef struct {
    int n;
    pid_t *pid; /* [n], 0 where none runs */
    int bad;    /* the first unit that failed; -1: none */
    int status; /* of its compiler */
    int why;    /* errno where it didn't even start */
} Jobs;

static void jobs_end(void *p)
{
    enum { PATIENCE = 500 }; /* milliseconds in which a compiler may remove its temporary files */
    Jobs *j = p;
    for (int i = 0; i < j->n; i++)
        if (j->pid[i] > 0) kill(-j->pid[i], SIGTERM);
    for (int i = 0, slept = 0; i < j->n; i++)
        while (j->pid[i] > 0 && waitpid(j->pid[i], NULL, WNOHANG) == 0) {
            if (slept++ >= PATIENCE) kill(-j->pid[i], SIGKILL);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
}

static void job_failed(Jobs *j, int unit, int status, int why)
{
    if (j->bad < 0) *j = (Jobs){j->n, j->pid, unit, status, why};
}

/* Only a compiler that runs well and refuses the text shows a fault of ours. */
RTC_NORETURN static void compile_failed(Build *b, const Jobs *j)
{
    static const char *const theirs[] = {"No space left", "File too large", "out of memory",
                                         "annot allocate memory", "memory exhausted"};
    const char *source = temp_path(b->temp, j->bad, ".c");
    char *log = slurp(b->a, temp_path(b->temp, j->bad, ".log"), NULL);
    if (log && strlen(log) > 4000) log[4000] = 0;
    if (j->why)
        diag_fail(b->d, "the C compiler can't be started: %s with %s\n"
                        "hint: is there space in that folder? TMPDIR names another",
                  strerror(j->why), source);
    if (WIFSIGNALED(j->status))
        diag_fail(b->d, "the C compiler %s was ended by signal %d (%s)\n"
                        "hint: it may have run out of memory; --threads 1 runs one at a time",
                  b->cc, WTERMSIG(j->status), strsignal(WTERMSIG(j->status)));
    bool ours = j->status != 0 && log && *log;
    for (int i = 0; i < COUNT(theirs); i++) ours = ours && !strstr(log, theirs[i]);
    if (!ours)
        diag_fail(b->d, "the C compiler %s made no object in %s\n%s"
                        "hint: is there space in that folder? TMPDIR names another one, and CC "
                        "another compiler",
                  b->cc, b->temp->dir, log ? log : "");
    const char *kept = arena_printf(b->a, "%s.c", b->temp->dir);
    if (rename(source, kept) != 0) kept = "(lost)";
    diag_bug(b->d, "%s refuses an emitted kernel, kept as %s:\n%s", b->cc, kept, log);
}

/* Runs the compiler on the units whose object is NULL, `missing` of n. */
static void compile_missing(Build *b, const CcOptions *o, const char *const *text, char **object,
                            size_t *bytes, int n, int missing)
{
    Jobs j = {.n = n, .pid = NEW_N(b->a, pid_t, n), .bad = -1};
    int next = 0, oldest = 0, running = 0, done = 0, jobs = o->jobs > 0 ? o->jobs : 2;
    diag_defer(b->d, jobs_end, &j);
    if (o->progress) o->progress(o->progress_ctx, 0, missing);
    while (j.bad < 0 && (next < n || running)) {
        if (next < n && running < jobs) {
            int i = next++;
            if (object[i]) continue;
            FILE *f = fopen(temp_path(b->temp, i, ".c"), "w");
            bool ok = f && fputs(text[i], f) >= 0;
            if (f) ok = fclose(f) == 0 && ok;
            j.pid[i] = ok ? start(arguments(b, i), temp_path(b->temp, i, ".log")) : -1;
            if (j.pid[i] > 0) running++;
            else job_failed(&j, i, 0, errno ? errno : EIO);
            continue;
        }
        while (j.pid[oldest] <= 0) oldest++;
        int status = wait_for(b->d, j.pid[oldest]);
        j.pid[oldest] = 0, running--;
        if (status == 0)
            object[oldest] = slurp(b->a, temp_path(b->temp, oldest, ".so"), &bytes[oldest]);
        if (!object[oldest]) job_failed(&j, oldest, status, 0);
        else if (o->progress) o->progress(o->progress_ctx, ++done, missing);
        oldest++;
    }
    if (j.bad >= 0) compile_failed(b, &j);
    diag_undefer(b->d);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

CcObjects cc_compile(Diag *d, Arena *a, const CcOptions *o, const char *const *text, int n)
{
    double begin = seconds_now();
    Arena *work = diag_scratch(d);
    Build b = {.d = d, .a = work, .isa = isa_find(d, o->isa), .cc = compiler(work, o->compiler)};
    b.flags = o->flags ? o->flags : options;
    if (!b.cc) no_compiler(d, o->compiler);
    b.cache = cache_open(d, work, &o->cache);
    b.id = identity(&b);
    CcObjects c = {.handle = NEW_N(a, void *, n + 1), .n = n};
    char **object = NEW_N(work, char *, n + 1);
    const char **key = NEW_N(work, const char *, n + 1);
    size_t *bytes = NEW_N(work, size_t, n + 1);
    for (int i = 0; i < n; i++) {
        key[i] = arena_printf(work, "%s%s", b.id, text[i]);
        object[i] = cache_find(b.cache, work, key[i], &bytes[i]);
        if (object[i]) c.handle[i] = load(&b, object[i], bytes[i]);
        if (c.handle[i]) continue;
        object[i] = NULL;                    /* one that can't be loaded is made again */
        c.compiled++;
    }
    if (c.compiled) {
        b.temp = temp_make(d, work, n);
        compile_missing(&b, o, text, object, bytes, n, c.compiled);
        diag_undefer(d);
        temp_remove(b.temp);
    }
    if (o->keep_images) {
        c.image = NEW_N(a, char *, n + 1);
        c.image_bytes = arena_copy(a, bytes, sizeof *bytes * (size_t)(n + 1));
    }
    for (int i = 0; i < n; i++) {
        if (o->keep_images) c.image[i] = arena_copy(a, object[i], bytes[i]);
        if (c.handle[i]) continue;
        c.handle[i] = load(&b, object[i], bytes[i]);
        if (!c.handle[i])
            diag_fail(d, "what the C compiler %s made isn't a shared object that can be loaded\n"
                         "hint: CC names another", b.cc);
        cache_keep(b.cache, key[i], object[i], bytes[i]);
    }
    diag_scratch_end(d, work);
    c.seconds = seconds_now() - begin;
    return c;
}

void *cc_symbol(const CcObjects *c, const char *name)
{
    for (int i = 0; i < c->n; i++) {
        void *p = dlsym(c->handle[i], name);
        if (p) return p;
    }
    return NULL;
}

void cc_close(CcObjects *c)
{
    for (int i = 0; i < c->n; i++) dlclose(c->handle[i]);
    c->n = 0;
}
