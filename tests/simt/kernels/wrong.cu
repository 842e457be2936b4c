/* wrong.cu: kernels with one mistake each, for 2 blocks of 64 threads. `in` and `out` have 128
 * floats, `in` is written, `out` isn't; `one` is 1, unknown to the compiler; there are 256 bytes of
 * dynamic memory.
 *
 * A kernel's name begins with the fault it has. A line that may be reported is marked, with the
 * variable if it has a name, and block and thread where only one can be meant.
 */
typedef struct { const float *in; float *out; int n, one; } Args;
#define T ((int)threadIdx.x)
#define G ((int)(blockIdx.x * blockDim.x + threadIdx.x))
#define WRONG(name) KERNEL(name, 64, 1, Args, a)

WRONG(none)
{
    __shared__ float s[64];
    s[T] = a.in[G];
    __syncthreads();
    a.out[G] = s[63 - T];
}

/* ---- out of bounds ---- */

WRONG(bounds_read)
{
    a.out[G] = a.in[G + a.one]; /* wrong: in 1 63 */
}
WRONG(bounds_read_before)
{
    a.out[G] = a.in[G - a.one]; /* wrong: in 0 0 */
}
WRONG(bounds_write_far)
{
    a.out[G * 1000003] = a.in[G]; /* wrong: out 0 1 */
}
WRONG(bounds_vector)
{
    float4 v = *(const float4 *)(a.in + (T < 31 ? T * 4 : 128)); /* wrong: in 0 31 */
    a.out[G] = v.x;
}
WRONG(bounds_static)
{
    __shared__ float first[64];
    __shared__ float second[64];
    float *p = first;
    second[T] = 0.0f;
    p[T + a.one] = a.in[G]; /* wrong: first 0 63 */
    __syncthreads();
    a.out[G] = first[T] + second[T];
}
WRONG(bounds_index)
{
    __shared__ float tile[16][17];
    tile[T & 15][(T >> 4) + 16 * a.one] = a.in[G]; /* wrong: tile 0 16 */
    __syncthreads();
    a.out[G] = tile[0][0];
}
WRONG(bounds_local)
{
    float v[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    a.out[G] = v[(T & 3) + a.one]; /* wrong: v 0 3 */
}
WRONG(bounds_dynamic)
{
    DYNAMIC_SHARED(float, d);
    d[T + a.one] = a.in[G]; /* wrong: dynamic shared memory 0 63 */
    __syncthreads();
    a.out[G] = d[T];
}
WRONG(bounds_null)
{
    const float *p = a.one ? (const float *)0 : a.in;
    a.out[G] = p[T]; /* wrong */
}
WRONG(bounds_constant)
{
    float *p = (float *)a.in - a.n * 4096ll * 1024;
    a.out[G] = p[T]; /* wrong: in 0 0 */
}
WRONG(bounds_copy)
{
    __shared__ __align__(16) float s[64];
    const float *from = a.in + blockIdx.x * 64 + T * 4 + 4;
    if (T < 16) cp_async16(shared_address(&s[T * 4]), from); /* wrong: in 1 15 */
    cp_async_commit();
    cp_async_wait(0);
    __syncthreads();
    a.out[G] = s[T];
}
WRONG(bounds_copy_to)
{
    if (T < 16) cp_async16(shared_address(a.out + T * 4), a.in + T * 4); /* wrong: out 0 0 */
    cp_async_commit();
    cp_async_wait(0);
}
WRONG(bounds_stack)
{
    float big[20000]; /* wrong */
    for (int i = 0; i < a.n * 156; i += 100) big[i] = a.in[T]; /* wrong */
    a.out[G] = big[T * 100];
}

/* ---- races ---- */

WRONG(race_no_barrier)
{
    __shared__ float s[64];
    s[T] = a.in[G];
    a.out[G] = s[T ^ 1]; /* wrong: s */
}
WRONG(race_other_warp)
{
    __shared__ float s[64];
    s[T] = a.in[G];
    __syncwarp();
    float x = s[T ^ 1];
    __syncwarp();
    s[T] = x;
    a.out[G] = s[T ^ 32]; /* wrong: s */
}
WRONG(race_partial_warp)
{
    __shared__ float s[64];
    s[T] = a.in[G];
    if ((T & 31) < 16) __syncwarp(0xffffu);
    float x = (T & 31) < 16 ? s[T ^ 8] : 0.0f;
    float y = s[T ^ 16]; /* wrong: s */
    a.out[G] = x + y;
}
WRONG(race_shuffle)
{
    __shared__ float s[64];
    s[T] = a.in[G];
    float x = __shfl_xor_sync(~0u, a.in[G], 1);
    a.out[G] = s[T ^ 1] + x; /* wrong: s */
}
WRONG(race_overwrite)
{
    __shared__ float s[64];
    float sum = 0.0f;
    for (int i = 0; i < 2; i++) {
        s[T] = a.in[G]; /* wrong: s */
        __syncthreads();
        sum += s[63 - T]; /* wrong: s */
    }
    a.out[G] = sum;
}
WRONG(race_two_writers)
{
    __shared__ float s[64];
    s[T / 2] = a.in[G]; /* wrong: s 0 1 */
    __syncthreads();
    a.out[G] = s[T / 2];
}
WRONG(race_blocks)
{
    a.out[T] = a.in[G]; /* wrong: out 1 0 */
}
WRONG(race_blocks_read)
{
    float x = blockIdx.x ? 0.0f : a.in[T];
    if (blockIdx.x) ((float *)a.in)[T] = 1.0f; /* wrong: in 1 0 */
    a.out[G] = x;
}
WRONG(race_atomic)
{
    __shared__ int n;
    if (T == 0) n = 0;
    __syncthreads();
    atomicAdd(&n, 1); /* wrong: n */
    a.out[G] = (float)n; /* wrong: n */
}
WRONG(race_bytes)
{
    __shared__ unsigned char s[64];
    s[T] = (unsigned char)T;
    __syncthreads();
    if (T > 0) s[T - 1] = s[T]; /* wrong: s */
    __syncthreads();
    a.out[G] = s[T];
}

/* ---- barriers and warp operations ---- */

WRONG(divergent_places)
{
    if (T < 40) {
        __syncthreads(); /* wrong */
        a.out[G] = 1.0f;
    } else {
        __syncthreads(); /* wrong */
        a.out[G] = 2.0f;
    }
}
WRONG(divergent_count)
{
    for (int i = 0; i < T / 32 + 1; i++) __syncthreads(); /* wrong */
    a.out[G] = a.in[G];
}
WRONG(divergent_return)
{
    a.out[G] = a.in[G];
    if (T == 63) return;
    __syncthreads(); /* wrong */
}
WRONG(divergent_shuffle)
{
    float v = a.in[G];
    if (T & 1) v += __shfl_xor_sync(~0u, v, 2); /* wrong */
    a.out[G] = v;
}
WRONG(divergent_mask)
{
    float v = a.in[G];
    if ((T & 31) < 16) v += __shfl_xor_sync(0xffffu, v, 16); /* wrong */
    a.out[G] = v;
}
WRONG(divergent_outsider)
{
    a.out[G] = __ballot_sync(0xffffu, T & 1); /* wrong */
}
WRONG(deadlock_warp)
{
    if (T == 0) __syncthreads(); /* wrong */
    else __syncwarp(); /* wrong */
    a.out[G] = 1.0f;
}

/* ---- misaligned ---- */

WRONG(misaligned_global)
{
    float4 v = *(const float4 *)(a.in + T + a.one); /* wrong: in 0 0 */
    a.out[G] = v.x;
}
WRONG(misaligned_shared)
{
    __shared__ float s[64];
    s[T] = a.in[G];
    __syncthreads();
    float4 v = *(const float4 *)&s[T & 60]; /* wrong: s */
    a.out[G] = v.x;
}
WRONG(misaligned_copy)
{
    __shared__ __align__(16) float s[80];
    if (T < 16) cp_async16(shared_address(&s[T * 4 + a.one]), a.in + T * 4); /* wrong: s 0 0 */
    cp_async_commit();
    cp_async_wait(0);
    __syncthreads();
    a.out[G] = s[T + a.one];
}
WRONG(misaligned_rows)
{
    __shared__ __align__(16) bf16 rows[64][9];
    unsigned r[4];
    for (int i = 0; i < 9; i++) rows[T][i] = bf16_of_float(a.in[G]);
    __syncthreads();
    ldmatrix_x4(r, shared_address(&rows[T][0])); /* wrong: rows 0 1 */
    a.out[G] = low_bf16(r[0]);
}

/* ---- uninitialised ---- */

WRONG(unset_shared)
{
    __shared__ float s[64];
    if (T < 63) s[T] = a.in[G];
    __syncthreads();
    a.out[G] = s[T]; /* wrong: s 0 63 */
}
WRONG(unset_dynamic)
{
    DYNAMIC_SHARED(float, d);
    a.out[G] = d[T]; /* wrong: dynamic shared memory 0 0 */
}
WRONG(unset_global)
{
    a.out[G] += a.in[G]; /* wrong: out 0 0 */
}
WRONG(unset_local)
{
    float v[4];
    float *p = v + a.one;
    unsigned fa[4] = {0, 0, 0, 0}, fb[2] = {0, 0};
    for (int i = 0; i < 3; i++) v[i] = a.in[G];
    mma_bf16(v, fa, fb); /* wrong: v 0 0 */
    a.out[G] = *p;
}
WRONG(unset_element)
{
    float m[8];
    unsigned r[2] = {0, 0}, fa[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4; i++) m[i * a.one] = a.in[G];
    mma_bf16(m, fa, r);
    a.out[G] = m[4 + (T & 3)]; /* wrong: m */
}

/* ---- asynchronous copies ---- */

WRONG(flight_no_wait)
{
    __shared__ __align__(16) float s[64];
    if (T < 16) {
        cp_async16(shared_address(&s[T * 4]), a.in + blockIdx.x * 64 + T * 4); /* wrong */
        cp_async_commit();
        cp_async_wait(1);
    }
    __syncthreads();
    a.out[G] = s[T]; /* wrong: s */
}
WRONG(flight_left)
{
    __shared__ __align__(16) float s[64];
    if (T < 16) cp_async16(shared_address(&s[T * 4]), a.in + T * 4); /* wrong: 0 0 */
    cp_async_commit();
    a.out[G] = 0.0f;
}
WRONG(race_copy)
{
    __shared__ __align__(16) float s[64];
    if (T < 16) cp_async16(shared_address(&s[T * 4]), a.in + blockIdx.x * 64 + T * 4);
    cp_async_commit();
    cp_async_wait(0);
    a.out[G] = s[T]; /* wrong: s */
}

/* ---- what the two machines do differently ---- */

WRONG(arithmetic_shift)
{
    a.out[G] = (float)(1 << (T + 32 * a.one)); /* wrong */
}
WRONG(arithmetic_division)
{
    a.out[G] = (float)(T / (a.one - 1)); /* wrong */
}
WRONG(arithmetic_conversion)
{
    a.out[G] = (float)(int)(a.in[G] * 1e20f + 1e20f); /* wrong */
}
