/* features.cu: each thing that kernel text may use, in small kernels of known results. */
enum { LANES = 32, BLOCK = 64 };

/* ---- indices, arguments, tables, memory ---- */

typedef struct { int *out; int stride_y, stride_z; } IndexArgs;
KERNEL(index3, 64, 1, IndexArgs, a)
{
    int x = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    int y = (int)(blockIdx.y * blockDim.y + threadIdx.y);
    int z = (int)(blockIdx.z * blockDim.z + threadIdx.z);
    int grid = (int)(gridDim.x * 100 + gridDim.y * 10 + gridDim.z);
    a.out[z * a.stride_z + y * a.stride_y + x] = grid + x * 1000;
}

CONSTANT_TABLE int primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};
typedef struct { const float *in[4]; float *out; long long n; float scale[4]; } ArrayArgs;
KERNEL(array_arguments, 64, 1, ArrayArgs, a)
{
    int i = (int)threadIdx.x;
    if (i < a.n) a.out[i] = a.in[i % 4][i / 4] * a.scale[i % 4] + (float)primes[i % 8];
}

RTC_FN void swap(float *x, float *y)
{
    float z = *x;
    *x = *y;
    *y = z;
}

typedef struct { const float *in; float *out; } PairArgs;
KERNEL(local_array, 64, 1, PairArgs, a)
{
    float v[8];
    UNROLL_BY(4)
    for (int i = 0; i < 8; i++) v[i] = a.in[threadIdx.x * 8 + i];
    for (int i = 0; i < 7; i++) {
        for (int j = 0; j < 7 - i; j++)
            if (v[j] > v[j + 1]) swap(&v[j], &v[j + 1]);
    }
    switch (threadIdx.x % 3) {
    case 0: a.out[threadIdx.x] = v[0]; break;
    case 1: a.out[threadIdx.x] = v[7]; break;
    default: a.out[threadIdx.x] = v[(int)threadIdx.x % 8];
    }
}

KERNEL(shared_both, 64, 1, PairArgs, a)
{
    __shared__ float rows[2][33];
    DYNAMIC_SHARED(float, whole);
    int t = (int)threadIdx.x;
    rows[t / 32][t % 32] = a.in[t];
    whole[t] = a.in[t];
    __syncthreads();
    a.out[t] = rows[1 - t / 32][31 - t % 32] + whole[63 - t];
}

/* One word of bytes and of 16-bit numbers to each thread: narrow accesses side by side. */
KERNEL(narrow, 64, 1, PairArgs, a)
{
    __shared__ uint8_t bytes[64];
    __shared__ int16_t halves[64];
    int t = (int)threadIdx.x;
    bytes[t] = (uint8_t)(t * 3);
    halves[t] = (int16_t)(-t * 100);
    __syncthreads();
    a.out[t] = (float)bytes[63 - t] + (float)halves[63 - t] * 0.5f + a.in[t];
}

typedef struct { const float *f; const int *i; float *fo; int *io; unsigned *uo; } VectorArgs;
KERNEL(vectors, 32, 1, VectorArgs, a)
{
    int t = (int)threadIdx.x;
    float4 v = __ldg((const float4 *)a.f + t);
    float2 w = __ldcs((const float2 *)a.f + t);
    int4 x = *((const int4 *)a.i + t);
    int2 y = *((const int2 *)a.i + t);
    uint4 u = make_uint4((unsigned)x.x, (unsigned)x.y, (unsigned)y.x, 7u);
    uint2 s = make_uint2(u.x + u.y, u.z + u.w);
    __stcs((float4 *)a.fo + t, make_float4(v.w, v.z, v.y, v.x + w.x + w.y));
    *((int4 *)a.io + t) = make_int4(x.w, x.z, y.y, y.x);
    *((uint2 *)a.uo + t) = s;
}

/* ---- barriers, votes, shuffles ---- */

typedef struct { const int *in; int *out; } IntArgs;
KERNEL(block_votes, 96, 1, IntArgs, a)
{
    int t = (int)threadIdx.x, v = a.in[t];
    int count = __syncthreads_count(v > 3);
    int all = __syncthreads_and(v >= 0), any = __syncthreads_or(v == 77);
    a.out[t] = count + (all != 0) * 1000 + (any != 0) * 10000;
}

KERNEL(shuffles, 64, 1, IntArgs, a)
{
    int t = (int)threadIdx.x, v = a.in[t];
    double wide = (double)v * 0.5;
    long long far = (long long)v << 33;
    int *o = a.out + t * 8;
    o[0] = __shfl_sync(~0u, v, t * 7);
    o[1] = __shfl_xor_sync(~0u, v, 5);
    o[2] = __shfl_up_sync(~0u, v, 3);
    o[3] = __shfl_down_sync(~0u, v, 4);
    o[4] = (int)__shfl_sync(~0u, (float)v, 9);
    o[5] = (int)(__shfl_xor_sync(~0u, wide, 1) * 2.0);
    o[6] = (int)(__shfl_xor_sync(~0u, far, 2) >> 33);
    o[7] = -1;
    if (t % 32 < 16) o[7] = __shfl_xor_sync(0xffffu, v, 8);
    __syncwarp();
}

KERNEL(warp_votes, 32, 1, IntArgs, a)
{
    int t = (int)threadIdx.x, v = a.in[t];
    unsigned u = (unsigned)v;
    int *o = a.out + t * 12;
    o[0] = (int)__ballot_sync(~0u, v > 10);
    o[1] = __any_sync(~0u, v > 1000) != 0;
    o[2] = __all_sync(~0u, v > -1000) != 0;
    o[3] = __reduce_add_sync(~0u, v);
    o[4] = __reduce_min_sync(~0u, v);
    o[5] = __reduce_max_sync(~0u, v);
    o[6] = (int)__reduce_min_sync(~0u, u);
    o[7] = (int)__reduce_max_sync(~0u, u);
    o[8] = (int)__reduce_and_sync(~0u, u);
    o[9] = (int)__reduce_or_sync(~0u, u);
    o[10] = (int)__reduce_xor_sync(~0u, u);
    o[11] = t < 7 ? (int)__ballot_sync(0x7fu, t & 1) : 0;
}

/* A lane's value to its right neighbour through memory, in the halves of a warp each by itself. */
KERNEL(warp_order, 64, 1, IntArgs, a)
{
    __shared__ int s[64];
    int t = (int)threadIdx.x, half = t % 32 / 16;
    s[t] = a.in[t];
    if (half == 0) __syncwarp(0x0000ffffu);
    if (half == 1) __syncwarp(0xffff0000u);
    int v = s[t / 16 * 16 + (t + 1) % 16];
    __syncwarp();
    s[t] = v * 2;
    __syncwarp();
    a.out[t] = s[t ^ 31] + v;
}

/* More than one block barrier apart: a ring of warps, each adding to what the one before left. */
KERNEL(ring, 128, 1, IntArgs, a)
{
    __shared__ int s[32];
    int t = (int)threadIdx.x;
    for (int w = 0; w < 4; w++) {
        if (t / 32 == w) s[t % 32] = (w ? s[t % 32] : 0) + a.in[t];
        __syncthreads();
    }
    a.out[t] = s[t % 32];
}

/* A block whose last warp is a part of one. */
KERNEL(part_of_a_warp, 40, 1, IntArgs, a)
{
    int t = (int)threadIdx.x;
    unsigned mask = t < 32 ? ~0u : 0xffu;
    int sum = __reduce_add_sync(mask, a.in[t]);
    a.out[t] = sum + (int)__ballot_sync(mask, 1);
    __syncthreads();
}

/* ---- atomics ---- */

typedef struct { const int *in; int *i; unsigned *u; float *f; } AtomicArgs;
KERNEL(atomics, 64, 1, AtomicArgs, a)
{
    __shared__ int n;
    int t = (int)threadIdx.x, v = a.in[blockIdx.x * 64 + threadIdx.x];
    if (t == 0) n = 0;
    __syncthreads();
    int slot = atomicAdd(&n, 1);
    __syncthreads();
    if (slot < 0 || slot >= 64 || n != 64) atomicAdd(&a.i[7], 1);
    atomicAdd(&a.i[0], v);
    atomicMin(&a.i[1], v);
    atomicMax(&a.i[2], v);
    atomicAnd(&a.i[3], v);
    atomicOr(&a.i[4], v);
    atomicAdd(&a.u[0], (unsigned)v);
    atomicMin(&a.u[1], (unsigned)v);
    atomicMax(&a.u[2], (unsigned)v);
    atomicAdd(&a.f[0], (float)v);
}

/* ---- numbers ---- */

typedef struct { const float *x; const unsigned *u; float *f; unsigned *o; } NumberArgs;
KERNEL(numbers, 64, 1, NumberArgs, a)
{
    int t = (int)threadIdx.x;
    float x = a.x[t], y = fabsf(x) + 0.5f;
    unsigned u = a.u[t];
    float *f = a.f + t * 12;
    unsigned *o = a.o + t * 12;
    f[0] = fmaf(x, y, 1.25f);
    f[1] = __fmaf_rn(x, x, -y);
    f[2] = __fadd_rn(x, y) * __fmul_rn(x, y);
    f[3] = fminf(x, y) + fmaxf(x, 0.0f) + sqrtf(y) + floorf(x) + ceilf(x) + rintf(x);
    f[4] = rsqrtf(y);
    f[5] = fast_exp2(x);
    f[6] = fast_log2(y);
    f[7] = fast_reciprocal(y) + fast_rsqrt(y);
    f[8] = expf(x) + logf(y) + exp2f(x) + log2f(y);
    f[9] = sinf(x) + cosf(x) + tanhf(x) + erff(x);
    f[10] = __uint_as_float(__float_as_uint(x) ^ 0x80000000u) + __int_as_float(__float_as_int(y));
    f[11] = t == 0 ? INFINITY : powf(y, x);
    o[0] = (unsigned)__popc(u);
    o[1] = (unsigned)__clz((int)u);
    o[2] = (unsigned)__ffs((int)u);
    o[3] = __umulhi(u, 0xd2511f53u);
    o[4] = spread_signs(u);
    o[5] = bf16_of_float(__uint_as_float(u)).bits;
    o[6] = pack_bf16(x, y);
    o[7] = __float_as_uint(low_bf16(u)) ^ __float_as_uint(high_bf16(u));
    o[8] = tf32_of_float(x);
    bf16 b;
    b.bits = (uint16_t)u;
    o[9] = __float_as_uint(float_of_bf16(b));
    o[10] = (unsigned)((uint64_t)u * 0x9e3779b97f4a7c15ull >> 40);
    o[11] = (unsigned)((int64_t)(int)u >> 3);
}

typedef struct { float *out; uint64_t seed, step, site; } DrawArgs;
KERNEL(draws, 64, 1, DrawArgs, a)
{
    int i = (int)(blockIdx.x * 64 + threadIdx.x);
    float quad[4];
    rtc_uniform4(a.seed, a.step, a.site, (uint64_t)(i / 4), quad);
    a.out[i] = rtc_uniform(a.seed, a.step, a.site, (uint64_t)i) + quad[i % 4];
}

/* ---- tensor cores and matrix loads ---- */

typedef struct { const uint16_t *a, *b; const float *c; float *out; } MmaArgs;
KERNEL(mma16, 32, 1, MmaArgs, p)
{
    int l = (int)threadIdx.x, g = l / 4, q = l % 4;
    unsigned a[4], b[2];
    float d[4];
    for (int i = 0; i < 4; i++)
        a[i] = *(const unsigned *)&p.a[(g + i % 2 * 8) * 16 + q * 2 + i / 2 * 8];
    for (int i = 0; i < 2; i++) b[i] = *(const unsigned *)&p.b[g * 16 + q * 2 + i * 8];
    for (int i = 0; i < 4; i++) d[i] = p.c[(g + i / 2 * 8) * 8 + q * 2 + i % 2];
    mma_bf16(d, a, b);
    for (int i = 0; i < 4; i++) p.out[(g + i / 2 * 8) * 8 + q * 2 + i % 2] = d[i];
}

typedef struct { const float *a, *b, *c; float *out; } MmaFloatArgs;
KERNEL(mma8, 32, 1, MmaFloatArgs, p)
{
    int l = (int)threadIdx.x, g = l / 4, q = l % 4;
    unsigned a[4], b[2];
    float d[4];
    for (int i = 0; i < 4; i++) a[i] = tf32_of_float(p.a[(g + i % 2 * 8) * 8 + q + i / 2 * 4]);
    for (int i = 0; i < 2; i++) b[i] = tf32_of_float(p.b[g * 8 + q + i * 4]);
    for (int i = 0; i < 4; i++) d[i] = p.c[(g + i / 2 * 8) * 8 + q * 2 + i % 2];
    mma_tf32(d, a, b);
    for (int i = 0; i < 4; i++) p.out[(g + i / 2 * 8) * 8 + q * 2 + i % 2] = d[i];
}

/* 32 rows of 8 numbers in shared memory; every form leaves its registers. */
typedef struct { const uint16_t *in; unsigned *out; } MatrixArgs;
KERNEL(matrices, 32, 1, MatrixArgs, p)
{
    __shared__ __align__(16) uint16_t m[32][24];
    int l = (int)threadIdx.x;
    unsigned r[4];
    for (int i = 0; i < 8; i++) m[l][i] = p.in[l * 8 + i];
    __syncthreads();
    saddr row = shared_address(m) + (unsigned)l * 48;
    for (int i = 0; i < 4; i++) r[i] = 0;
    ldmatrix_x4(r, row);
    for (int i = 0; i < 4; i++) p.out[(0 + i) * 32 + l] = r[i];
    ldmatrix_x4_trans(r, row);
    for (int i = 0; i < 4; i++) p.out[(4 + i) * 32 + l] = r[i];
    ldmatrix_x2(r, row);
    for (int i = 0; i < 2; i++) p.out[(8 + i) * 32 + l] = r[i];
    ldmatrix_x2_trans(r, row);
    for (int i = 0; i < 2; i++) p.out[(10 + i) * 32 + l] = r[i];
}

/* ---- asynchronous copies: three groups, waited for one by one ---- */

KERNEL(copies, 32, 1, PairArgs, a)
{
    __shared__ __align__(16) float s[4][128];
    int l = (int)threadIdx.x;
    cp_async16(shared_address(&s[0][l * 4]), a.in + l * 4);
    cp_async_commit();
    cp_async8(shared_address(&s[1][l * 2]), a.in + 128 + l * 2);
    cp_async4(shared_address(&s[1][64 + l]), a.in + 192 + l);
    cp_async_commit();
    cp_async16_if(shared_address(&s[2][l * 4]), a.in + l * 4, l % 3 == 0);
    cp_async_commit();
    cp_async_wait(2);
    a.out[l] = s[0][l * 4] + s[0][l * 4 + 3];
    cp_async_wait(1);
    __syncthreads();
    a.out[32 + l] = s[1][63 - l] + s[1][64 + 31 - l];
    cp_async_wait(0);
    __syncthreads();
    for (int i = 0; i < 4; i++) a.out[64 + l * 4 + i] = s[2][127 - l * 4 - i];
}
