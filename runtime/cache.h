/* cache.h: compiled objects on disk, found again by everything that went into them.
 *
 * One file per entry: magic, the full key text, the payload, a checksum. It is written beside its
 * name and renamed, so a reader sees a whole entry or none; a damaged entry is removed and made
 * again. The directory is $RTC_CACHE_DIR, or $XDG_CACHE_HOME/rtc, or ~/.cache/rtc, made with mode
 * 0700; one that others could write to, or that can't be used, is not used: then things are
 * compiled each time, with one warning.
 */
#ifndef RTC_RUNTIME_CACHE_H
#define RTC_RUNTIME_CACHE_H

#include "ir/diag.h"

typedef struct {
    const char *dir; /* --cache; NULL: from the environment */
    bool off;        /* --no-cache */
} CacheOptions;

typedef struct Cache Cache;
/* Never fails: a cache that can't be used finds and keeps nothing, and says so once (diag_warn). */
Cache *cache_open(Diag *d, Arena *a, const CacheOptions *o);
const char *cache_dir(const Cache *c); /* NULL when it isn't used */
/* The payload of the entry whose key text is `key`, in the arena; NULL if there is none. */
void *cache_find(Cache *c, Arena *a, const char *key, size_t *bytes);
void cache_keep(Cache *c, const char *key, const void *payload, size_t bytes);

#endif
