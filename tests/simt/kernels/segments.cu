/* segments.cu: sums of the rows that belong together, through a list of them: out[s] = sum of
 * x[list[i]] for first[s] <= i < first[s + 1]. Rows have d floats.
 *
 * A block takes a segment and 32 of its columns, a lane each. Eight warps take the segment's rows
 * in turn; their sums meet in shared memory and are added in a fixed order, so that two runs give
 * the same bits. The list is fetched 256 entries at a time.
 */
typedef struct { const float *x; const int *first, *list; float *out; int d; } SegmentsArgs;

KERNEL(segments, 256, 4, SegmentsArgs, p)
{
    __shared__ int rows[256];
    __shared__ float part[8][32];
    int t = (int)threadIdx.x, lane = t % 32, warp = t / 32;
    int column = (int)blockIdx.y * 32 + lane;
    int begin = p.first[blockIdx.x], end = p.first[blockIdx.x + 1];
    bool in = column < p.d;
    float sum = 0.0f;
    for (int from = begin; from < end; from += 256) {
        int n = end - from < 256 ? end - from : 256;
        if (t < n) rows[t] = p.list[from + t];
        __syncthreads();
        for (int i = warp; i < n; i += 8)
            if (in) sum += p.x[(size_t)rows[i] * p.d + column];
        __syncthreads();
    }
    part[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && in) {
        float total = 0.0f;
        for (int i = 0; i < 8; i++) total += part[i][lane];
        p.out[(size_t)blockIdx.x * p.d + column] = total;
    }
}
