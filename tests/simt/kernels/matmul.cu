/* matmul.cu: C = A B^T on tensor cores. A is m x k, B is n x k, C is m x n, all row-major.
 *
 * A block of 4 warps makes 64 x 64 of C, a warp 16 rows of it; tiles of 32 columns of A and B are
 * copied ahead into two stages. k is a multiple of 8 (bf16) or 4 (tf32): rows begin at multiples of
 * 16 bytes. What lies outside the matrices counts as 0.
 */
typedef struct { const bf16 *a, *b; float *c; int m, n, k; } MatmulArgs;
typedef struct { const float *a, *b; float *c; int m, n, k; } MatmulTf32Args;
enum { TILE = 64, DEPTH = 32, PITCH = DEPTH + 8, DEPTH32 = 16, PITCH32 = DEPTH32 + 4 };

/* Rows row0.., columns k0.. of x (rows x k) to a stage: 256 pieces of 16 bytes, 2 a thread. */
RTC_FN void copy_tile(saddr stage, const bf16 *x, int row0, int rows, int k0, int k)
{
    UNROLL
    for (int i = 0; i < 2; i++) {
        int piece = (int)threadIdx.x + i * 128, row = piece / 4, column = piece % 4 * 8;
        bool ok = row0 + row < rows && k0 + column < k;
        const bf16 *from = x + (size_t)(row0 + row) * k + k0 + column;
        cp_async16_if(stage + (unsigned)(row * PITCH + column) * 2, from, ok);
    }
}

RTC_FN void store_tile(float *c, const float *acc, int row, int column, int m, int n)
{
    UNROLL
    for (int i = 0; i < 4; i++) {
        int r = row + i / 2 * 8, j = column + i % 2;
        if (r < m && j < n) c[(size_t)r * n + j] = acc[i];
    }
}

KERNEL(matmul, 128, 4, MatmulArgs, p)
{
    __shared__ __align__(16) bf16 as[2][TILE][PITCH];
    __shared__ __align__(16) bf16 bs[2][TILE][PITCH];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int row0 = (int)blockIdx.y * TILE, column0 = (int)blockIdx.x * TILE;
    int steps = (p.k + DEPTH - 1) / DEPTH;
    saddr stage_a = shared_address(as), stage_b = shared_address(bs);
    unsigned stage = TILE * PITCH * 2;
    unsigned row_a = (unsigned)((warp * 16 + lane % 16) * PITCH + lane / 16 * 8) * 2;
    unsigned row_b = (unsigned)((lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 8) * 2;
    float acc[8][4];
    UNROLL
    for (int j = 0; j < 8; j++)
        UNROLL
        for (int i = 0; i < 4; i++) acc[j][i] = 0.0f;
    copy_tile(stage_a, p.a, row0, p.m, 0, p.k);
    copy_tile(stage_b, p.b, column0, p.n, 0, p.k);
    cp_async_commit();
    for (int step = 0; step < steps; step++) {
        unsigned now = (unsigned)(step % 2) * stage, next = stage - now;
        if (step + 1 < steps) {
            copy_tile(stage_a + next, p.a, row0, p.m, (step + 1) * DEPTH, p.k);
            copy_tile(stage_b + next, p.b, column0, p.n, (step + 1) * DEPTH, p.k);
        }
        cp_async_commit();
        cp_async_wait(1);
        __syncthreads();
        UNROLL
        for (int half = 0; half < 2; half++) {
            unsigned a[4], b[4];
            ldmatrix_x4(a, stage_a + now + row_a + (unsigned)half * 32);
            UNROLL
            for (int j = 0; j < 8; j += 2) {
                ldmatrix_x4(b, stage_b + now + row_b + (unsigned)(j * 8 * PITCH + half * 16) * 2);
                mma_bf16(acc[j], a, b);
                mma_bf16(acc[j + 1], a, b + 2);
            }
        }
        __syncthreads();
    }
    UNROLL
    for (int j = 0; j < 8; j++)
        store_tile(p.c, acc[j], row0 + warp * 16 + lane / 4, column0 + j * 8 + lane % 4 * 2, p.m,
                   p.n);
}

/* The same for floats, rounded to tf32 on their way to the tensor cores: tiles of 16 columns,
 * loaded as vectors into registers before the barrier and stored behind it. */
RTC_FN float4 load4(const float *x, int row, int rows, int column, int k)
{
    if (row < rows && column < k) return *(const float4 *)(x + (size_t)row * k + column);
    return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
}

KERNEL(matmul_tf32, 128, 4, MatmulTf32Args, p)
{
    __shared__ __align__(16) float as[TILE][PITCH32];
    __shared__ __align__(16) float bs[TILE][PITCH32];
    int t = (int)threadIdx.x, lane = t % 32, warp = t / 32, g = lane / 4, q = lane % 4;
    int row0 = (int)blockIdx.y * TILE, column0 = (int)blockIdx.x * TILE;
    float acc[8][4];
    UNROLL
    for (int j = 0; j < 8; j++)
        UNROLL
        for (int i = 0; i < 4; i++) acc[j][i] = 0.0f;
    for (int k0 = 0; k0 < p.k; k0 += DEPTH32) {
        __syncthreads();
        UNROLL
        for (int i = 0; i < 2; i++) {
            int row = t / 4 + i * 32, column = t % 4 * 4;
            *(float4 *)&as[row][column] = load4(p.a, row0 + row, p.m, k0 + column, p.k);
            *(float4 *)&bs[row][column] = load4(p.b, column0 + row, p.n, k0 + column, p.k);
        }
        __syncthreads();
        UNROLL
        for (int k = 0; k < DEPTH32; k += 8) {
            unsigned a[4], b[2];
            UNROLL
            for (int i = 0; i < 4; i++)
                a[i] = tf32_of_float(as[warp * 16 + g + i % 2 * 8][k + q + i / 2 * 4]);
            UNROLL
            for (int j = 0; j < 8; j++) {
                b[0] = tf32_of_float(bs[j * 8 + g][k + q]);
                b[1] = tf32_of_float(bs[j * 8 + g][k + q + 4]);
                mma_tf32(acc[j], a, b);
            }
        }
    }
    UNROLL
    for (int j = 0; j < 8; j++)
        store_tile(p.c, acc[j], row0 + warp * 16 + g, column0 + j * 8 + q * 2, p.m, p.n);
}
