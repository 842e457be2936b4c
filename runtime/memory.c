/* memory.c: see memory.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "runtime/memory.h"

/* The number behind `key` in a file of lines; -1: none (a limit that is "max" has none). */
static double number_in(const char *path, const char *key)
{
    char line[256];
    double value = -1;
    size_t n = strlen(key);
    FILE *f = fopen(path, "r");
    while (f && value < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, key, n) && sscanf(line + n, "%lf", &value) != 1) value = -1;
    if (f) fclose(f);
    return value;
}

static double least(double a, double b) { return b >= 0 && b < a ? b : a; }

double memory_available(void)
{
    double kib = number_in("/proc/meminfo", "MemAvailable:");
    double most = number_in("/sys/fs/cgroup/memory.max", "");
    double used = number_in("/sys/fs/cgroup/memory.current", "");
    double space_kib = number_in("/proc/self/status", "VmSize:");
    double available = HUGE_VAL;
    struct rlimit limit;
    if (kib >= 0) available = 1024 * kib;
    if (most >= 0 && used >= 0) available = least(available, most > used ? most - used : 0);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && space_kib >= 0) {
        double left = (double)limit.rlim_cur - 1024 * space_kib;
        available = least(available, left > 0 ? left : 0);
    }
    return available;
}

void memory_require(Diag *d, double bytes, const char *what, const char *advice)
{
    double gib = 1024.0 * 1024 * 1024, have = memory_available();
    if (bytes <= have) return;
    diag_fail(d, "%s: %.1f GiB of memory are needed, %.1f GiB can be had\n%s", what, bytes / gib,
              have / gib, advice);
}
