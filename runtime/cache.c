/* cache.c: one file per compiled object. Contract: cache.h.
 *
 *   magic  8 bytes   key length, payload length  u64 each   key   payload   XXH3-128 of all before
 *
 * The name is the XXH3-128 of the key, and the key is compared as well: two programs never share an
 * entry. The checksum guards against damage, the directory's owner and mode against others.
 */
#include "runtime/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static const char magic[8] = {'r', 't', 'c', 'c', 'a', 'c', 'h', '1'};

enum { HEADER = 24, CHECK = 16 };
static const size_t LARGEST = (size_t)1 << 30;

struct Cache {
    Diag *diag;
    Arena *arena;
    const char *dir; /* NULL: not used */
    bool damaged;    /* said that an entry is */
};

static void unusable(Cache *c, const char *why)
{
    diag_warn(c->diag, NO_LOC, "compiled kernels are not kept: %s %s", c->dir, why);
    c->dir = NULL;
}

static bool make_directories(Arena *a, const char *path)
{
    char *p = arena_strdup(a, path);
    for (char *s = strchr(p + 1, '/'); s; s = strchr(s + 1, '/')) {
        *s = 0;
        if (mkdir(p, 0700) != 0 && errno != EEXIST) return false;
        *s = '/';
    }
    return mkdir(p, 0700) == 0 || errno == EEXIST;
}

Cache *cache_open(Diag *d, Arena *a, const CacheOptions *o)
{
    Cache *c = NEW(a, Cache);
    *c = (Cache){.diag = d, .arena = a};
    if (o->off) return c;
    const char *env = getenv("RTC_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (o->dir)
        c->dir = arena_strdup(a, o->dir);
    else if (env && *env)
        c->dir = arena_strdup(a, env);
    else if (xdg && *xdg)
        c->dir = arena_printf(a, "%s/rtc", xdg);
    else if (home && *home)
        c->dir = arena_printf(a, "%s/.cache/rtc", home);
    else
        return c;
    struct stat st;
    if (!*c->dir || !make_directories(a, c->dir) || lstat(c->dir, &st) != 0)
        unusable(c, arena_printf(a, "can't be made: %s", strerror(errno)));
    else if (!S_ISDIR(st.st_mode))
        unusable(c, "is no directory");
    else if (st.st_uid != geteuid())
        unusable(c, "belongs to somebody else");
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        unusable(c, "can be written by others");
    return c;
}

const char *cache_dir(const Cache *c) { return c->dir; }

static const char *entry_path(Cache *c, Arena *a, const char *key)
{
    XXH128_hash_t h = XXH3_128bits(key, strlen(key));
    return arena_printf(a, "%s/%016llx%016llx", c->dir, (unsigned long long)h.high64,
                        (unsigned long long)h.low64);
}

static void checksum(const char *p, size_t n, unsigned char out[CHECK])
{
    XXH128_canonical_t k;
    XXH128_canonicalFromHash(&k, XXH3_128bits(p, n));
    memcpy(out, k.digest, CHECK);
}

/* The whole file, or NULL. */
static char *read_entry(Arena *a, const char *path, size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return NULL;
    struct stat st;
    char *p = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        st.st_size >= HEADER + CHECK && (size_t)st.st_size < LARGEST) {
        size_t n = (size_t)st.st_size, got = 0;
        p = arena_alloc(a, n);
        while (got < n) {
            ssize_t k = read(fd, p + got, n - got);
            if (k <= 0) break;
            got += (size_t)k;
        }
        if (got < n) p = NULL;
        *bytes = n;
    }
    close(fd);
    return p;
}

/* Payload of a whole, undamaged entry for this key; *damaged says why not. */
static char *payload(char *p, size_t n, const char *key, size_t *bytes, bool *damaged)
{
    unsigned char sum[CHECK];
    uint64_t nkey, npay;
    *damaged = true;
    memcpy(&nkey, p + 8, 8);
    memcpy(&npay, p + 16, 8);
    if (memcmp(p, magic, 8) || nkey > n || npay > n || HEADER + nkey + npay + CHECK != n)
        return NULL;
    checksum(p, n - CHECK, sum);
    if (memcmp(sum, p + n - CHECK, CHECK)) return NULL;
    *damaged = false;
    if (nkey != strlen(key) || memcmp(p + HEADER, key, nkey)) return NULL;
    *bytes = npay;
    return p + HEADER + nkey;
}

void *cache_find(Cache *c, Arena *a, const char *key, size_t *bytes)
{
    if (!c->dir) return NULL;
    const char *path = entry_path(c, a, key);
    size_t n;
    char *p = read_entry(a, path, &n);
    bool damaged = false;
    char *found = p ? payload(p, n, key, bytes, &damaged) : NULL;
    if (damaged) {
        if (!c->damaged)
            diag_warn(c->diag, NO_LOC, "the cache entry %s is damaged: made again", path);
        c->damaged = true;
        unlink(path);
    }
    return found;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k, n -= (size_t)k;
    }
    return true;
}

void cache_keep(Cache *c, const char *key, const void *data, size_t bytes)
{
    if (!c->dir) return;
    Arena *a = c->arena;
    uint64_t nkey = strlen(key), npay = bytes;
    size_t n = HEADER + nkey + npay;
    char *p = arena_alloc(a, n + CHECK);
    memcpy(p, magic, 8);
    memcpy(p + 8, &nkey, 8);
    memcpy(p + 16, &npay, 8);
    memcpy(p + HEADER, key, nkey);
    memcpy(p + HEADER + nkey, data, bytes);
    checksum(p, n, (unsigned char *)p + n);
    const char *path = entry_path(c, a, key);
    char *beside = arena_printf(a, "%s/tmp-XXXXXX", c->dir);
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0) {
        unusable(c, arena_printf(a, "can't be written: %s", strerror(errno)));
        return;
    }
    bool ok = write_all(fd, p, n + CHECK);
    ok = fsync(fd) == 0 && ok;
    ok = close(fd) == 0 && ok;
    if (ok && rename(beside, path) == 0) return;
    int why = errno;
    unlink(beside);
    unusable(c, arena_printf(a, "can't be written: %s", strerror(why)));
}
