/* softmax.cu: y = softmax(x) of each row of n floats; a block of 128 threads takes a row.
 *
 * n is a multiple of 4, so that rows are read as vectors. Maximum and sum go from lanes to warps by
 * shuffles and from warps to the block through shared memory.
 */
typedef struct { const float *x; float *y; int n; } SoftmaxArgs;

RTC_FN float warp_max(float v)
{
    UNROLL
    for (int d = 16; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync(~0u, v, d));
    return v;
}

RTC_FN float warp_sum(float v)
{
    UNROLL
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
    return v;
}

KERNEL(softmax, 128, 8, SoftmaxArgs, p)
{
    __shared__ float part[2][4];
    int t = (int)threadIdx.x, lane = t % 32, warp = t / 32;
    const float *x = p.x + (size_t)blockIdx.x * p.n;
    float *y = p.y + (size_t)blockIdx.x * p.n;
    float most = -INFINITY, sum = 0.0f;
    for (int i = t * 4; i < p.n; i += 512) {
        float4 v = __ldg((const float4 *)(x + i));
        most = fmaxf(most, fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w)));
    }
    most = warp_max(most);
    if (lane == 0) part[0][warp] = most;
    __syncthreads();
    most = fmaxf(fmaxf(part[0][0], part[0][1]), fmaxf(part[0][2], part[0][3]));
    for (int i = t; i < p.n; i += 128) sum += fast_exp2((x[i] - most) * 1.44269504f);
    sum = warp_sum(sum);
    if (lane == 0) part[1][warp] = sum;
    __syncthreads();
    float scale = 1.0f / (part[1][0] + part[1][1] + part[1][2] + part[1][3]);
    for (int i = t; i < p.n; i += 128) y[i] = fast_exp2((x[i] - most) * 1.44269504f) * scale;
}
