/* simt.h: CUDA kernel text as C for the host: the names of cuda.h, carried out by the simt machine.
 *
 * Stands behind simt_table.h; README.md beside it says what a kernel may use. SIMT_CHECKED is
 * defined in the checked build, which is compiled with the compiler's thread and bounds
 * instrumentation but without its run-time libraries: the functions that the instrumentation calls
 * are at the end, and tell the machine of every access.
 */
#include <math.h>
#include <stdbool.h>

#define SIMT_HIDDEN __attribute__((visibility("hidden")))
#define SIMT_RAW    __attribute__((noinline, no_sanitize("thread"), no_sanitize("undefined")))
#define RTC_FN      static inline __attribute__((always_inline, unused))

static SimtTable *simt;

/* ---- kernels, threads, memory ---- */

/* The machine calls a function around the kernel, which gets its argument by value as on the GPU.
 */
#define KERNEL(name, max_threads, min_blocks, Args, a)                                             \
    static void name(const Args a);                                                                \
    SIMT_RAW static void name##__run(const void *p) { name(*(const Args *)p); }                    \
    __attribute__((visibility("default")))                                                         \
    const SimtEntry name##__simt = {name##__run, sizeof(Args), max_threads};                       \
    static __attribute__((noinline)) void name(const Args a)

/* Constant while a kernel runs in a thread: one call serves the whole kernel, over barriers too. */
#define SIMT_CONSTANT SIMT_RAW static __attribute__((const, unused))
SIMT_CONSTANT SimtDim simt_thread_index(void) { return simt->now->index; }
SIMT_CONSTANT SimtDim simt_block_index(void) { return simt->block; }
SIMT_CONSTANT SimtDim simt_block_dim(void) { return simt->block_dim; }
SIMT_CONSTANT SimtDim simt_grid_dim(void) { return simt->grid_dim; }
SIMT_CONSTANT unsigned simt_lane(void) { return simt->now->lane; }
SIMT_CONSTANT void *simt_dynamic_shared(void) { return simt->dynamic_shared; }
#define threadIdx (simt_thread_index())
#define blockIdx  (simt_block_index())
#define blockDim  (simt_block_dim())
#define gridDim   (simt_grid_dim())

/* A shared array is a static one in a section of its own, 8 bytes off a multiple of 16 unless
 * __align__ asks for more (the GPU gives it no more than its element's alignment); in the checked
 * build a gap that no array covers precedes it. */
#define SIMT_SECTION      __attribute__((section("simt_shared")))
#define SIMT_PASTE_(a, b) a##b
#define SIMT_PASTE(a, b)  SIMT_PASTE_(a, b)
#ifdef SIMT_CHECKED
#define __shared__                                                                                 \
    static char SIMT_PASTE(simt_gap_, __COUNTER__)[72] SIMT_SECTION                                \
        __attribute__((used, aligned(16)));                                                        \
    static SIMT_SECTION __attribute__((aligned(8)))
#else
#define __shared__ static SIMT_SECTION
#endif
#define DYNAMIC_SHARED(T, name) T *name = (T *)simt_dynamic_shared()
#define CONSTANT_TABLE          static const
#define __align__(n)            __attribute__((aligned(n)))
#define __restrict__ __restrict
#define UNROLL
#define UNROLL_BY(n)

/* ---- vectors ---- */

#define SIMT_VECTOR2(name, T)                                                                      \
    typedef struct __attribute__((aligned(2 * sizeof(T)))) {                                       \
        T x, y;                                                                                    \
    } name;                                                                                        \
    RTC_FN name make_##name(T x, T y)                                                              \
    {                                                                                              \
        name v;                                                                                    \
        v.x = x, v.y = y;                                                                          \
        return v;                                                                                  \
    }
#define SIMT_VECTOR4(name, T)                                                                      \
    typedef struct __attribute__((aligned(4 * sizeof(T)))) {                                       \
        T x, y, z, w;                                                                              \
    } name;                                                                                        \
    RTC_FN name make_##name(T x, T y, T z, T w)                                                    \
    {                                                                                              \
        name v;                                                                                    \
        v.x = x, v.y = y, v.z = z, v.w = w;                                                        \
        return v;                                                                                  \
    }
SIMT_VECTOR2(float2, float)
SIMT_VECTOR4(float4, float)
SIMT_VECTOR2(int2, int)
SIMT_VECTOR4(int4, int)
SIMT_VECTOR2(uint2, unsigned)
SIMT_VECTOR4(uint4, unsigned)
#define __ldg(p)     (*(p))
#define __ldcs(p)    (*(p))
#define __stcs(p, v) ((void)(*(p) = (v)))

/* ---- bits and numbers ---- */

RTC_FN unsigned __float_as_uint(float x)
{
    unsigned u;
    __builtin_memcpy(&u, &x, 4);
    return u;
}
RTC_FN float __uint_as_float(unsigned u)
{
    float x;
    __builtin_memcpy(&x, &u, 4);
    return x;
}
RTC_FN int __float_as_int(float x) { return (int)__float_as_uint(x); }
RTC_FN float __int_as_float(int i) { return __uint_as_float((unsigned)i); }
RTC_FN int __popc(unsigned x) { return __builtin_popcount(x); }
RTC_FN int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
RTC_FN int __ffs(int x) { return __builtin_ffs(x); }
RTC_FN unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
RTC_FN float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
RTC_FN float __fadd_rn(float a, float b) { return a + b; }
RTC_FN float __fmul_rn(float a, float b) { return a * b; }
RTC_FN float rsqrtf(float x) { return 1.0f / sqrtf(x); }
RTC_FN float fast_exp2(float x) { return exp2f(x); }
RTC_FN float fast_log2(float x) { return log2f(x); }
RTC_FN float fast_reciprocal(float x) { return 1.0f / x; }
RTC_FN float fast_rsqrt(float x) { return 1.0f / sqrtf(x); }
RTC_FN unsigned spread_signs(unsigned x)
{
    return (x >> 15 & 1) * 0xffffu | (x >> 31) * 0xffff0000u;
}

typedef struct {
    uint16_t bits;
} bf16;
RTC_FN float float_of_bf16(bf16 v) { return __uint_as_float((unsigned)v.bits << 16); }
RTC_FN bf16 bf16_of_float(float x)
{
    unsigned u = __float_as_uint(x);
    bf16 v;
    v.bits =
        (u & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
    return v;
}
RTC_FN unsigned pack_bf16(float low, float high)
{
    return bf16_of_float(low).bits | (unsigned)bf16_of_float(high).bits << 16;
}
RTC_FN float low_bf16(unsigned pair) { return __uint_as_float(pair << 16); }
RTC_FN float high_bf16(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }
RTC_FN unsigned tf32_of_float(float x)
{
    unsigned u = __float_as_uint(x);
    return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
}

/* ---- barriers and warp operations; the line names the place in reports ---- */

SIMT_RAW static __attribute__((unused)) int simt_barrier(SimtBarrier kind, int line, int predicate)
{
    return simt->barrier(simt->machine, kind, line, predicate);
}
SIMT_RAW static __attribute__((unused)) uint64_t simt_warp(SimtWarpOp op, unsigned mask, int line,
                                                           uint64_t value, unsigned source)
{
    return simt->warp(simt->machine, op, mask, line, value, source);
}
#define __syncthreads()        ((void)simt_barrier(SIMT_SYNC_ALL, __LINE__, 0))
#define __syncthreads_count(p) simt_barrier(SIMT_SYNC_COUNT, __LINE__, !!(p))
#define __syncthreads_and(p)   simt_barrier(SIMT_SYNC_AND, __LINE__, !!(p))
#define __syncthreads_or(p)    simt_barrier(SIMT_SYNC_OR, __LINE__, !!(p))
#define __syncwarp(...)                                                                            \
    ((void)simt_warp(SIMT_ORDER, sizeof #__VA_ARGS__ > 1 ? (unsigned)(__VA_ARGS__ + 0) : ~0u,      \
                     __LINE__, 0, 0))

/* Any scalar of at most 8 bytes; what is narrower than an int becomes one. */
#define SIMT_SHUFFLE_(mask, v, from)                                                               \
    __extension__({                                                                                \
        __typeof__((v) + 0) v_ = (v);                                                              \
        uint64_t w_ = 0;                                                                           \
        __builtin_memcpy(&w_, &v_, sizeof v_);                                                     \
        w_ = simt_warp(SIMT_SHUFFLE, (mask), __LINE__, w_, (from));                                \
        __builtin_memcpy(&v_, &w_, sizeof v_);                                                     \
        v_;                                                                                        \
    })
RTC_FN unsigned simt_lane_down(unsigned d)
{
    return simt_lane() + d > 31 ? simt_lane() : simt_lane() + d;
}
RTC_FN unsigned simt_lane_up(unsigned d) { return simt_lane() < d ? simt_lane() : simt_lane() - d; }
#define __shfl_sync(mask, v, lane)   SIMT_SHUFFLE_(mask, v, (unsigned)(lane)&31)
#define __shfl_xor_sync(mask, v, d)  SIMT_SHUFFLE_(mask, v, (simt_lane() ^ (unsigned)(d)) & 31)
#define __shfl_down_sync(mask, v, d) SIMT_SHUFFLE_(mask, v, simt_lane_down((unsigned)(d)))
#define __shfl_up_sync(mask, v, d)   SIMT_SHUFFLE_(mask, v, simt_lane_up((unsigned)(d)))
#define __ballot_sync(mask, p)       ((unsigned)simt_warp(SIMT_BALLOT, (mask), __LINE__, !!(p), 0))
#define __any_sync(mask, p)          (__ballot_sync(mask, p) != 0)
#define __all_sync(mask, p)          (__ballot_sync(mask, !(p)) == 0)
#define SIMT_REDUCE_(op, mask, v)                                                                  \
    ((__typeof__((v) + 0))simt_warp((op), (mask), __LINE__, (unsigned)(v), 0))
#define SIMT_UNSIGNED_(v)          ((__typeof__((v) + 0))-1 > 0)
#define __reduce_add_sync(mask, v) SIMT_REDUCE_(SIMT_SUM, mask, v)
#define __reduce_min_sync(mask, v) SIMT_REDUCE_(SIMT_UNSIGNED_(v) ? SIMT_UMIN : SIMT_MIN, mask, v)
#define __reduce_max_sync(mask, v) SIMT_REDUCE_(SIMT_UNSIGNED_(v) ? SIMT_UMAX : SIMT_MAX, mask, v)
#define __reduce_and_sync(mask, v) SIMT_REDUCE_(SIMT_AND, mask, v)
#define __reduce_or_sync(mask, v)  SIMT_REDUCE_(SIMT_OR, mask, v)
#define __reduce_xor_sync(mask, v) SIMT_REDUCE_(SIMT_XOR, mask, v)

/* ---- atomics ---- */

SIMT_RAW static __attribute__((unused)) uint32_t simt_atomic(SimtAtomicOp op, int line, void *p,
                                                             uint32_t value)
{
    return simt->atomic(simt->machine, op, line, p, value);
}
RTC_FN float simt_atomic_float(SimtAtomicOp op, int line, void *p, float v)
{
    return __uint_as_float(simt_atomic(op, line, p, __float_as_uint(v)));
}
RTC_FN int simt_atomic_int(SimtAtomicOp op, int line, void *p, int v)
{
    return (int)simt_atomic(op, line, p, (unsigned)v);
}
RTC_FN unsigned simt_atomic_uint(SimtAtomicOp op, int line, void *p, unsigned v)
{
    return simt_atomic(op, line, p, v);
}
#define SIMT_ATOMIC_FN_(p)                                                                         \
    _Generic((p),                                                                                  \
        float *: simt_atomic_float,                                                                \
        int *: simt_atomic_int,                                                                    \
        unsigned *: simt_atomic_uint)
#define atomicAdd(p, v)                                                                            \
    SIMT_ATOMIC_FN_(p)                                                                             \
    (_Generic((p), float * : SIMT_ADD_FLOAT, default : SIMT_ADD_INT), __LINE__, (p), (v))
/* Of ints and unsigned ints. */
#define SIMT_ATOMIC_(sop, uop, p, v)                                                               \
    SIMT_ATOMIC_FN_(p)(_Generic((p), int * : (sop), unsigned * : (uop)), __LINE__, (p), (v))
#define atomicMin(p, v) SIMT_ATOMIC_(SIMT_MIN_INT, SIMT_MIN_UINT, p, v)
#define atomicMax(p, v) SIMT_ATOMIC_(SIMT_MAX_INT, SIMT_MAX_UINT, p, v)
#define atomicAnd(p, v) SIMT_ATOMIC_(SIMT_AND_INT, SIMT_AND_INT, p, v)
#define atomicOr(p, v)  SIMT_ATOMIC_(SIMT_OR_INT, SIMT_OR_INT, p, v)

/* ---- tensor cores, matrix loads, asynchronous copies ---- */

SIMT_RAW static __attribute__((unused)) void
simt_tile(SimtWarpOp op, int line, void *d, const void *a, const void *b, const char *names)
{
    simt->tile(simt->machine, op, line, d, a, b, names);
}
SIMT_RAW static __attribute__((unused)) void simt_copy(int line, uint64_t shared,
                                                       const void *global, int bytes, int fill)
{
    simt->copy(simt->machine, line, (void *)(uintptr_t)shared, global, bytes, fill);
}
SIMT_RAW static __attribute__((unused)) void cp_async_commit(void)
{
    simt->copy_commit(simt->machine);
}
SIMT_RAW static __attribute__((unused)) void simt_copy_wait(int line, int pending)
{
    simt->copy_wait(simt->machine, line, pending);
}
#define mma_bf16(d, a, b) simt_tile(SIMT_MMA_BF16, __LINE__, d, a, b, #d "\0" #a "\0" #b)
#define mma_tf32(d, a, b) simt_tile(SIMT_MMA_TF32, __LINE__, d, a, b, #d "\0" #a "\0" #b)

typedef uint64_t saddr;
#define shared_address(p) ((saddr)(uintptr_t)(p))
#define SIMT_LDMATRIX_(op, r, s)                                                                   \
    simt_tile(op, __LINE__, r, (const void *)(uintptr_t)(s), 0, #r "\0" #s "\0")
#define ldmatrix_x2(r, s)       SIMT_LDMATRIX_(SIMT_LDMATRIX2, r, s)
#define ldmatrix_x4(r, s)       SIMT_LDMATRIX_(SIMT_LDMATRIX4, r, s)
#define ldmatrix_x2_trans(r, s) SIMT_LDMATRIX_(SIMT_LDMATRIX2_T, r, s)
#define ldmatrix_x4_trans(r, s) SIMT_LDMATRIX_(SIMT_LDMATRIX4_T, r, s)
#define cp_async4(s, g)         simt_copy(__LINE__, s, g, 4, 0)
#define cp_async8(s, g)         simt_copy(__LINE__, s, g, 8, 0)
#define cp_async16(s, g)        simt_copy(__LINE__, s, g, 16, 0)
#define cp_async16_if(s, g, ok) simt_copy(__LINE__, s, g, 16, !(ok))
#define cp_async_wait(n)        simt_copy_wait(__LINE__, n)

/* ---- what the machine asks of the object ---- */

extern char __start_simt_shared[] __attribute__((weak)) SIMT_HIDDEN;
extern char __stop_simt_shared[] __attribute__((weak)) SIMT_HIDDEN;
__attribute__((visibility("default")))
const SimtObject simt_object = {&simt, __start_simt_shared, __stop_simt_shared};

/* ---- what the compiler's instrumentation calls ---- */

#ifdef SIMT_CHECKED
#define SIMT_HOOK            SIMT_HIDDEN SIMT_RAW void
#define SIMT_SAY(p, n, kind) simt->access(simt->machine, p, n, kind, __builtin_return_address(0))
#define SIMT_HOOKS(n)                                                                              \
    SIMT_HOOK __tsan_read##n(void *p) { SIMT_SAY(p, n, SIMT_READ); }                               \
    SIMT_HOOK __tsan_write##n(void *p) { SIMT_SAY(p, n, SIMT_WRITE); }                             \
    SIMT_HOOK __tsan_unaligned_read##n(void *p) { SIMT_SAY(p, n, SIMT_READ); }                     \
    SIMT_HOOK __tsan_unaligned_write##n(void *p) { SIMT_SAY(p, n, SIMT_WRITE); }
SIMT_HOOKS(1)
SIMT_HOOKS(2)
SIMT_HOOKS(4)
SIMT_HOOKS(8)
SIMT_HOOKS(16)
SIMT_HOOK __tsan_read_range(void *p, unsigned long n) { SIMT_SAY(p, n, SIMT_READ); }
SIMT_HOOK __tsan_write_range(void *p, unsigned long n) { SIMT_SAY(p, n, SIMT_WRITE); }
SIMT_HOOK __tsan_init(void) {}
SIMT_HOOK __tsan_func_entry(void *p)
{
    (void)p;
    simt->enter(simt->machine, __builtin_frame_address(1));
}
SIMT_HOOK __tsan_func_exit(void *p) { (void)p; }

/* Compilers make calls of these from large assignments, which are accesses like others; with
 * another value than 0 from the pattern that locals have before they are set. */
SIMT_HIDDEN SIMT_RAW void *memset(void *p, int value, size_t n)
{
    SIMT_SAY(p, n, value ? SIMT_UNSET : SIMT_WRITE);
    for (size_t i = 0; i < n; i++) ((volatile unsigned char *)p)[i] = (unsigned char)value;
    return p;
}
SIMT_HIDDEN SIMT_RAW void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    SIMT_SAY(from, n, SIMT_READ);
    SIMT_SAY(to, n, SIMT_WRITE);
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    return to;
}

typedef struct {
    const char *file;
    unsigned line, column;
} SimtSourcePlace;
#define SIMT_MISTAKE(name, what)                                                                   \
    SIMT_HOOK __ubsan_handle_##name(void *place, void *value)                                      \
    {                                                                                              \
        const SimtSourcePlace *s = (const SimtSourcePlace *)place;                                 \
        simt->mistake(simt->machine, what, (int)s->line, (int)s->column,                           \
                      (uint64_t)(uintptr_t)value);                                                 \
    }
#define SIMT_MISTAKE2(name, what)                                                                  \
    SIMT_HOOK __ubsan_handle_##name(void *place, void *left, void *right)                          \
    {                                                                                              \
        const SimtSourcePlace *s = (const SimtSourcePlace *)place;                                 \
        (void)left;                                                                                \
        simt->mistake(simt->machine, what, (int)s->line, (int)s->column,                           \
                      (uint64_t)(uintptr_t)right);                                                 \
    }
SIMT_MISTAKE(out_of_bounds, SIMT_BAD_INDEX)
SIMT_MISTAKE(type_mismatch_v1, SIMT_BAD_ADDRESS)
SIMT_MISTAKE(float_cast_overflow, SIMT_BAD_CONVERSION)
SIMT_MISTAKE2(shift_out_of_bounds, SIMT_BAD_SHIFT)
SIMT_MISTAKE2(divrem_overflow, SIMT_BAD_DIVISION)
#endif
