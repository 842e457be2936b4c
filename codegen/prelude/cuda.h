/* cuda.h: what CUDA kernel text sees under NVRTC (C++17, no headers): the names of simt.h, as
 * instructions.
 *
 * README.md beside it says what a kernel may use. Everything that is not CUDA's own name is a
 * wrapper here of one or two PTX instructions, for sm_80 and later.
 */
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

#define RTC_FN static __device__ __forceinline__

/* ---- kernels, memory ---- */

#define KERNEL(name, max_threads, min_blocks, Args, a)                                             \
    extern "C" __global__ void __launch_bounds__(max_threads, min_blocks)                          \
        name(const __grid_constant__ Args a)
#define DYNAMIC_SHARED(T, name)                                                                    \
    extern __shared__ __align__(128) unsigned char rtc_dynamic_shared[];                           \
    T *name = (T *)rtc_dynamic_shared
#define CONSTANT_TABLE   static __device__ __constant__ const
#define RTC_PRAGMA(text) _Pragma(#text)
#define UNROLL           _Pragma("unroll")
#define UNROLL_BY(n)     RTC_PRAGMA(unroll n)

/* ---- bits and numbers ---- */

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

RTC_FN float fast_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
RTC_FN float fast_log2(float x)
{
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
RTC_FN float fast_reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
RTC_FN float fast_rsqrt(float x)
{
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
/* Bits 15 and 31, each over its half. */
RTC_FN unsigned spread_signs(unsigned x)
{
    unsigned y;
    asm("prmt.b32 %0, %1, 0, 0xBB99;" : "=r"(y) : "r"(x));
    return y;
}

typedef struct {
    uint16_t bits;
} bf16;
RTC_FN float float_of_bf16(bf16 v) { return __uint_as_float((unsigned)v.bits << 16); }
RTC_FN bf16 bf16_of_float(float x)
{
    bf16 v;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(v.bits) : "f"(x));
    return v;
}
RTC_FN unsigned pack_bf16(float low, float high)
{
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
RTC_FN float low_bf16(unsigned pair) { return __uint_as_float(pair << 16); }
RTC_FN float high_bf16(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }
RTC_FN unsigned tf32_of_float(float x)
{
    unsigned u;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
    return u;
}

/* ---- tensor cores: d += a b, fragments as the PTX manual lays them out ---- */

/* m16n8k16: d 4 floats, a 4 and b 2 pairs of bf16. */
RTC_FN void mma_bf16(float *d, const unsigned *a, const unsigned *b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/* m16n8k8: d 4 floats, a 4 and b 2 of tf32_of_float. */
RTC_FN void mma_tf32(float *d, const unsigned *a, const unsigned *b)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* ---- shared addresses as numbers: one conversion per array, offsets in bytes fold into the
 * instruction ---- */

typedef unsigned saddr;
RTC_FN saddr shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

#define RTC_LDMATRIX4(name, trans)                                                                 \
    RTC_FN void name(unsigned *r, saddr row)                                                       \
    {                                                                                              \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" trans ".shared.b16 {%0,%1,%2,%3}, [%4];"      \
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                              \
                     : "r"(row)                                                                    \
                     : "memory");                                                                  \
    }
#define RTC_LDMATRIX2(name, trans)                                                                 \
    RTC_FN void name(unsigned *r, saddr row)                                                       \
    {                                                                                              \
        asm volatile("ldmatrix.sync.aligned.m8n8.x2" trans ".shared.b16 {%0,%1}, [%2];"            \
                     : "=r"(r[0]), "=r"(r[1])                                                      \
                     : "r"(row)                                                                    \
                     : "memory");                                                                  \
    }
RTC_LDMATRIX2(ldmatrix_x2, "")
RTC_LDMATRIX4(ldmatrix_x4, "")
RTC_LDMATRIX2(ldmatrix_x2_trans, ".trans")
RTC_LDMATRIX4(ldmatrix_x4_trans, ".trans")

RTC_FN void cp_async4(saddr s, const void *g)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(s), "l"(g) : "memory");
}
RTC_FN void cp_async8(saddr s, const void *g)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(s), "l"(g) : "memory");
}
RTC_FN void cp_async16(saddr s, const void *g)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(s), "l"(g) : "memory");
}
/* Sixteen zero bytes, and nothing read, where !ok. */
RTC_FN void cp_async16_if(saddr s, const void *g, bool ok)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(s), "l"(g), "r"(ok ? 16 : 0)
                 : "memory");
}
RTC_FN void cp_async_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
#define cp_async_wait(n) asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory")
