/* cmd_doctor.c: `rtc doctor`: what can be used on this machine, and why not the rest. */
#include <dlfcn.h>
#include <dnnl.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include "runtime/cc.h"
#include "runtime/command.h"
#include "runtime/memory.h"

typedef struct {
    Command *c;
    json_t *root;                    /* NULL: print */
    bool healthy;
} Report;

static void report(Report *r, bool ok, const char *name, const char *text)
{
    if (!ok) r->healthy = false;
    if (r->root)
        json_object_set_new(r->root, name, json_pack("{sb ss}", "ok", (int)ok, "text", text));
    else
        printf("%-4s %-12s %s\n", ok ? "ok" : "BAD", name, text);
}

/* The first line that a command prints; NULL if it can't be run. */
static const char *first_line(Arena *a, const char *command)
{
    char line[256];
    FILE *p = popen(command, "r");
    if (!p) return NULL;
    bool got = fgets(line, sizeof line, p) != NULL;
    int status = pclose(p);
    if (!got || status != 0) return NULL;
    line[strcspn(line, "\n")] = 0;
    return arena_strdup(a, line);
}

static const char *processor(Arena *a)
{
    char line[512];
    const char *name = "unknown";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        line[strcspn(line, "\n")] = 0;
        name = arena_strdup(a, colon + 2);
        break;
    }
    if (f) fclose(f);
    Str s = {.arena = a};
    str_printf(&s, "%s, %d threads", name, omp_get_num_procs());
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) str_add(&s, ", AVX-512");
    else if (__builtin_cpu_supports("avx2")) str_add(&s, ", AVX2");
    if (__builtin_cpu_supports("fma")) str_add(&s, ", FMA");
#endif
    return s.s;
}

static void check_compiler(Report *r)
{
    Arena *a = r->c->arena;
    const char *cc = getenv("CC");
    cc = cc && *cc ? cc : "cc";
    const char *line = first_line(a, arena_printf(a, "%s --version 2>/dev/null", cc));
    report(r, line != NULL, "compiler",
           line ? arena_printf(a, "%s: %s", cc, line)
                : arena_printf(a, "`%s` can't be run, so no kernels can be made; install gcc "
                                  "(Debian: apt-get install gcc), or use --device eval", cc));
}

static void check_cache(Report *r)
{
    Arena *a = r->c->arena;
    CacheOptions o = command_cache(r->c);
    const char *dir = cache_dir(cache_open(r->c->diag, a, &o));
    struct statvfs fs;
    if (!dir) {
        report(r, false, "cache", "not used: kernels are compiled each time (see the warning)");
    } else if (statvfs(dir, &fs) == 0) {
        double left = (double)fs.f_bavail * (double)fs.f_frsize;
        report(r, left > 64e6, "cache", arena_printf(a, "%s, %s free", dir, bytes_text(a, left)));
    } else {
        report(r, true, "cache", dir);
    }
}

/* What rtc can't use, and does without. */
static void report_absent(Report *r, const char *name, const char *text)
{
    if (r->root) json_object_set_new(r->root, name, json_pack("{sb ss}", "ok", 0, "text", text));
    else printf("%-4s %-12s %s\n", "no", name, text);
}

/* Its driver is looked for, so that a bug report says what machine this is. */
static const char *gpu_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!driver) return "no NVIDIA driver (libcuda.so.1); this version runs on the CPU only";
    dlclose(driver);
    return "an NVIDIA driver is here; this version runs on the CPU only";
}

/* With -v: what this process may take, and the instructions its kernels use. */
static void report_limits(Report *r)
{
    Arena *a = r->c->arena;
    double memory = memory_available();
    cpu_set_t set;
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    report(r, true, "threads", arena_printf(a, "%d, as many as this process may use", cpus));
    report(r, true, "memory", isinf(memory) ? "not known"
                              : arena_printf(a, "%s available", bytes_text(a, memory)));
    report(r, true, "kernels", arena_printf(a, "use %s", cc_isa_here()));
}

int cmd_doctor(Command *c)
{
    Report r = {.c = c, .root = c->json ? json_object() : NULL, .healthy = true};
    Arena *a = c->arena;
    const dnnl_version_t *dnnl = dnnl_version();
    const char *library = command_library(a);
    report(&r, true, "rtc", RTC_VERSION);
    report(&r, true, "processor", processor(a));
    check_compiler(&r);
    report(&r, true, "oneDNN", arena_printf(a, "%d.%d.%d (matrix products)", dnnl->major,
                                            dnnl->minor, dnnl->patch));
    report(&r, true, "jansson", JANSSON_VERSION);
    report(&r, library != NULL, "models", library ? library : "the shipped models are missing");
    check_cache(&r);
    report_absent(&r, "gpu", gpu_driver());
    if (c->verbose) report_limits(&r);
    if (r.root) print_json(c, r.root);
    return r.healthy ? 0 : 1;
}
