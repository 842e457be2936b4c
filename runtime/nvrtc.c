/* nvrtc.c: NVRTC by dlopen. Contract: nvrtc.h. */
#include "runtime/nvrtc.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* The library's functions: result, name, parameters. A result is an enum, 0 for success. */
typedef struct _nvrtcProgram *Program;
#define NVRTC_FUNCTIONS(F)                                                                         \
    F(int, Version, (int *major, int *minor))                                                      \
    F(const char *, GetErrorString, (int result))                                                  \
    F(int, GetNumSupportedArchs, (int *n))                                                         \
    F(int, GetSupportedArchs, (int *archs))                                                        \
    F(int, CreateProgram,                                                                          \
      (Program * p, const char *text, const char *name, int nheader, const char *const *header,    \
       const char *const *header_name))                                                            \
    F(int, DestroyProgram, (Program * p))                                                          \
    F(int, CompileProgram, (Program p, int noption, const char *const *option))                    \
    F(int, GetProgramLogSize, (Program p, size_t * bytes))                                         \
    F(int, GetProgramLog, (Program p, char *log))                                                  \
    F(int, GetCUBINSize, (Program p, size_t * bytes))                                              \
    F(int, GetCUBIN, (Program p, char *cubin))

struct Nvrtc {
    Diag *diag;
    Arena *arena;
    void *library;
    int major, minor, narch;
    int *archs;
#define DECLARE(result, name, parameters) result(*name) parameters;
    NVRTC_FUNCTIONS(DECLARE)
#undef DECLARE
};

/* ---- loading ---- */

/* Once loaded it stays: it keeps memory that only its own globals know. */
enum { HOW = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE };

static void *open_library(Arena *a, const char *library, const char **why)
{
    if (library) {
        void *h = dlopen(library, HOW);
        if (!h) *why = arena_strdup(a, dlerror());
        return h;
    }
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
    const char *cuda[] = {NULL, getenv("CUDA_PATH"), getenv("CUDA_HOME"), "/usr/local/cuda"};
    for (int i = 0; i < COUNT(cuda); i++)
        for (int k = 0; k < COUNT(names); k++) {
            if (i > 0 && !cuda[i]) continue;
            const char *path = i ? arena_printf(a, "%s/lib64/%s", cuda[i], names[k]) : names[k];
            void *h = dlopen(path, HOW);
            if (h) return h;
        }
    *why = "libnvrtc was found neither by the loader nor under $CUDA_PATH, $CUDA_HOME or "
           "/usr/local/cuda";
    return NULL;
}

/* Fills the functions; the name of the first that the library lacks, or NULL. */
static const char *find_functions(Nvrtc *n)
{
#define FIND(result, name, parameters)                                                             \
    *(void **)&n->name = dlsym(n->library, "nvrtc" #name);                                         \
    if (!n->name) return "nvrtc" #name;
    NVRTC_FUNCTIONS(FIND)
#undef FIND
    return NULL;
}

Nvrtc *nvrtc_open(Diag *d, Arena *a, const char *library, const char **why)
{
    Nvrtc *n = NEW(a, Nvrtc);
    n->diag = d;
    n->arena = a;
    n->library = open_library(a, library, why);
    if (!n->library) return NULL;
    const char *missing = find_functions(n);
    int bad = missing ? 0 : n->Version(&n->major, &n->minor);
    if (!missing && !bad) bad = n->GetNumSupportedArchs(&n->narch);
    if (!missing && !bad) {
        n->archs = NEW_N(a, int, n->narch + 1);
        bad = n->GetSupportedArchs(n->archs);
    }
    if (!missing && !bad) return n;
    *why = missing ? arena_printf(a, "libnvrtc has no function %s: too old", missing)
                   : arena_printf(a, "libnvrtc doesn't work: %s", n->GetErrorString(bad));
    dlclose(n->library);
    return NULL;
}

void nvrtc_close(Nvrtc *n)
{
    if (n) dlclose(n->library);
}

int nvrtc_version(const Nvrtc *n, int *minor)
{
    if (minor) *minor = n->minor;
    return n->major;
}

int nvrtc_archs(const Nvrtc *n, const int **archs)
{
    *archs = n->archs;
    return n->narch;
}

/* ---- what the log says ---- */

/* The text as its #line directives count it: lines of the part after the last `#line 1`. */
static const char *numbered_part(const char *text)
{
    const char *part = text, *p = text;
    while ((p = strstr(p, "#line 1 "))) {
        if (p == text || p[-1] == '\n') part = p + strcspn(p, "\n");
        p++;
    }
    return *part == '\n' ? part + 1 : part;
}

static void add_lines(Str *out, const char *text, int from, int to)
{
    for (int line = 1; *text && line <= to; line++) {
        int length = (int)strcspn(text, "\n");
        if (line >= from) str_printf(out, "%5d | %.*s\n", line, length, text);
        text += length + (text[length] == '\n');
    }
}

/* The lines around each `name(line): error`, at most four of them. */
static const char *around_errors(Arena *a, const char *name, const char *text, const char *log)
{
    Str out = {.arena = a};
    const char *part = numbered_part(text), *opening = arena_printf(a, "%s(", name);
    int shown = 0, last = 0;
    str_add(&out, "");
    for (const char *p = log; shown < 4 && (p = strstr(p, opening)); p++) {
        char *after;
        int line = (int)strtol(p + strlen(opening), &after, 10);
        if (strncmp(after, "): error", 8) || line == last) continue;
        if (shown++) str_add(&out, "      ...\n");
        add_lines(&out, part, line - 2, line + 2);
        last = line;
    }
    return out.s;
}

/* `<number> <what>` before `end`, 0 where there is none. */
static int amount(const char *p, const char *end, const char *what)
{
    const char *at = strstr(p, what);
    if (!at || at >= end) return 0;
    at--; /* the blank before */
    while (at > p && at[-1] >= '0' && at[-1] <= '9') at--;
    return atoi(at);
}

/* Sections of the assembler's report: "Compiling entry function 'name' for 'sm_80'", then
 * properties of this function and of functions that it calls, then what it uses. */
static void read_report(Arena *a, Cubin *c)
{
    static const char opening[] = "Compiling entry function '";
    VEC(CubinKernel) found = {0};
    for (const char *p = c->log; (p = strstr(p, opening));) {
        p += sizeof opening - 1;
        const char *end = strstr(p, opening);
        if (!end) end = p + strlen(p);
        CubinKernel k = {.name = arena_strndup(a, p, strcspn(p, "'"))};
        k.stack = amount(p, end, "bytes stack frame");
        k.spill_stores = amount(p, end, "bytes spill stores");
        k.spill_loads = amount(p, end, "bytes spill loads");
        k.registers = amount(p, end, "registers");
        k.shared = amount(p, end, "bytes smem");
        vec_push(a, &found, k);
    }
    c->kernel = found.v;
    c->nkernel = found.n;
}

/* ---- compiling ---- */

static void must_know(const Nvrtc *n, const char *arch)
{
    char *after = NULL;
    long number = strncmp(arch, "sm_", 3) ? 0 : strtol(arch + 3, &after, 10);
    Str list = {.arena = n->arena};
    for (int i = 0; i < n->narch; i++) {
        if (number == n->archs[i] && strlen(after) <= 1) return;
        str_printf(&list, "%ssm_%d", i ? ", " : "", n->archs[i]);
    }
    diag_fail(
        n->diag,
        "NVRTC of CUDA %d.%d doesn't compile for `%s`\nexpected: %s, with `a` where there is one",
        n->major, n->minor, arch, list.s);
}

typedef struct {
    Nvrtc *n;
    Program p;
} Job;

static void job_drop(void *job)
{
    Job *j = job;
    j->n->DestroyProgram(&j->p);
}

static void check(const Nvrtc *n, int result, const char *what)
{
    if (result) diag_bug(n->diag, "nvrtc%s: %s", what, n->GetErrorString(result));
}

static const char *job_log(Job *j, Arena *a)
{
    size_t bytes = 0;
    check(j->n, j->n->GetProgramLogSize(j->p, &bytes), "GetProgramLogSize");
    char *log = NEW_N(a, char, bytes + 1);
    check(j->n, j->n->GetProgramLog(j->p, log), "GetProgramLog");
    return log;
}

Cubin *nvrtc_compile(Nvrtc *n, Arena *a, const char *name, const char *text, const char *arch)
{
    must_know(n, arch);
    const char *const options[] = {
        arena_printf(a, "--gpu-architecture=%s", arch),
        "--std=c++17",
        "--fmad=false",
        "-default-device",
        "--ptxas-options=-v",
        "--diag-suppress=177"}; /* functions of the prelude that nobody calls */
    Job j = {n, NULL};
    Cubin *c = NEW(a, Cubin);
    check(n, n->CreateProgram(&j.p, text, name, 0, NULL, NULL), "CreateProgram");
    diag_defer(n->diag, job_drop, &j);
    int result = n->CompileProgram(j.p, COUNT(options), options);
    c->log = job_log(&j, a);
    if (result)
        diag_bug(n->diag, "NVRTC refuses %s for %s: %s\n%s%s", name, arch,
                 n->GetErrorString(result), c->log, around_errors(a, name, text, c->log));
    check(n, n->GetCUBINSize(j.p, &c->size), "GetCUBINSize");
    char *bytes = NEW_N(a, char, c->size);
    check(n, n->GetCUBIN(j.p, bytes), "GetCUBIN");
    c->bytes = bytes;
    diag_undefer(n->diag);
    job_drop(&j);
    read_report(a, c);
    return c;
}
