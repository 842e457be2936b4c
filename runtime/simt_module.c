/* simt_module.c: kernel text to an object that the machine runs. Contract: simt.h.
 *
 * The checked build is compiled with the compiler's instrumentation for threads and its checks of
 * indices, alignment, shifts, divisions and conversions, but linked without their libraries: the
 * text's own prelude has the functions that they call. -O1 keeps lines exact; locals don't share
 * places on the stack, so that each is seen to be set before use.
 */
#include "runtime/simt_machine.h"

#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>

#include "codegen/codegen.h"
#include "runtime/cc.h"

/* Reproducible numbers: products and sums are fused where the text says fmaf, as under NVRTC with
 * --fmad=false. */
#define COMMON_FLAGS                                                                               \
    "-std=gnu11", "-fPIC", "-shared", "-g1", "-gdwarf-4", "-fno-strict-aliasing", "-fwrapv",       \
        "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden",       \
        "-Werror=implicit-function-declaration", "-Werror=incompatible-pointer-types",             \
        "-Werror=int-conversion", "-Werror=return-type", "-Werror=uninitialized",                  \
        "-Werror=maybe-uninitialized", "-Wl,--no-as-needed", "-lm"

static const char *const fast_flags[] = {COMMON_FLAGS, "-O2", NULL};
static const char *const checked_flags[] = {
    COMMON_FLAGS,
    "-O1",
    "-DSIMT_CHECKED",
    "-fno-omit-frame-pointer",
    "-fstack-reuse=none",
    "-fno-toplevel-reorder",
    "-ftrivial-auto-var-init=pattern",
    "-fsanitize=thread,bounds,alignment,shift,integer-divide-by-zero,float-cast-overflow",
    "-nodefaultlibs",
    NULL};

/* ---- names of shared arrays, from the object's symbols ---- */

/* The variable in a symbol of a static: `As.3` (gcc), `kernel.As.3` (clang). */
static const char *variable_name(Arena *a, const char *symbol)
{
    size_t n = strlen(symbol);
    const char *dot = strrchr(symbol, '.');
    if (dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1))
        n = (size_t)(dot - symbol);
    char *name = arena_strndup(a, symbol, n);
    dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static int by_address(const void *x, const void *y)
{
    uintptr_t a = ((const SharedArray *)x)->begin, b = ((const SharedArray *)y)->begin;
    return (a > b) - (a < b);
}

static void find_arrays(SimtModule *m)
{
    Arena *a = m->simt->arena;
    const ElfW(Ehdr) *e = (const void *)m->image;
    const ElfW(Shdr) *section = (const void *)(m->image + e->e_shoff);
    VEC(SharedArray) found = {0};
    for (int i = 0; i < e->e_shnum; i++) {
        if (section[i].sh_type != SHT_SYMTAB) continue;
        const ElfW(Sym) *symbol = (const void *)(m->image + section[i].sh_offset);
        const char *names = m->image + section[section[i].sh_link].sh_offset;
        for (size_t k = 0; k < section[i].sh_size / sizeof *symbol; k++) {
            uintptr_t at = m->base + symbol[k].st_value;
            const char *name = names + symbol[k].st_name;
            if (!symbol[k].st_size || at < m->statics.begin || at >= m->statics.end ||
                strstr(name, "simt_gap_"))
                continue;
            vec_push(a, &found, (SharedArray){at, at + symbol[k].st_size, variable_name(a, name)});
        }
    }
    if (found.n) qsort(found.v, (size_t)found.n, sizeof *found.v, by_address);
    m->array = found.v;
    m->narray = found.n;
}

/* ---- loading ---- */

static int find_range(struct dl_phdr_info *info, size_t size, void *module)
{
    SimtModule *m = module;
    (void)size;
    if (info->dlpi_addr != m->base) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        uintptr_t begin = m->base + info->dlpi_phdr[i].p_vaddr,
                  end = begin + info->dlpi_phdr[i].p_memsz;
        if (!m->begin || begin < m->begin) m->begin = begin;
        if (end > m->end) m->end = end;
    }
    return 1;
}

static void load(SimtModule *m, const CcObjects *o)
{
    struct link_map *map = NULL;
    m->handle = o->handle[0];
    m->image = o->image[0];
    m->image_bytes = o->image_bytes[0];
    m->object = cc_symbol(o, "simt_object");
    if (!m->object || dlinfo(m->handle, RTLD_DI_LINKMAP, &map))
        diag_bug(m->simt->diag, "simt: %s: no object", m->name);
    m->base = (uintptr_t)map->l_addr;
    dl_iterate_phdr(find_range, m);
    m->statics = (Memory){.begin = (uintptr_t)m->object->shared,
                          .end = (uintptr_t)m->object->shared_end,
                          .name = "shared memory",
                          .shared = true,
                          .shift = 2};
    find_arrays(m);
}

SimtModule *simt_compile(Simt *s, const char *name, const char *text, SimtBuild build,
                         const CacheOptions *cache)
{
    SimtModule *m = NEW(s->arena, SimtModule);
    m->simt = s;
    m->name = arena_strdup(s->arena, name);
    m->text = arena_strdup(s->arena, text);
    m->checked = build == SIMT_CHECKED_BUILD;
    Str all = {.arena = s->arena};
    str_printf(&all, "%s#line 1 \"%s\"\n%s\n", simt_prelude(), name, text);
    const char *unit = all.s;
    CcOptions o = {.flags = m->checked ? checked_flags : fast_flags, .keep_images = true};
    if (m->checked) o.compiler = "gcc"; /* others lack some of its options */
    if (cache) o.cache = *cache;
    CcObjects objects = cc_compile(s->diag, s->arena, &o, &unit, 1);
    load(m, &objects);
    m->next = s->modules;
    s->modules = m;
    return m;
}

const SimtKernel *simt_kernel(SimtModule *m, const char *name)
{
    for (SimtKernel *k = m->kernels; k; k = k->next)
        if (!strcmp(k->name, name)) return k;
    Arena *a = m->simt->arena;
    const SimtEntry *entry = dlsym(m->handle, arena_printf(a, "%s__simt", name));
    if (!entry) return NULL;
    SimtKernel *k = NEW(a, SimtKernel);
    *k = (SimtKernel){m, arena_strdup(a, name), entry, m->kernels};
    m->kernels = k;
    return k;
}

void module_close(SimtModule *m)
{
    memory_drop_cells(&m->statics);
    if (m->handle) dlclose(m->handle);
    m->handle = NULL;
}
