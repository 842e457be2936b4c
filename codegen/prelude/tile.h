/* tile.h: products of small matrices, in tiles of registers.
 *
 *     c[m, n] = alpha * sum over k of a[m, k] * b[k, n]
 *
 * A tile is up to RTC_ROWS rows m of c times one or two vectors of lanes n; its sums stay in
 * registers while k runs. Tables of offsets, in elements, say where rows, sums and lanes lie, so
 * strides, several axes in one, and gathers are one case; beside the multiplications of a tile the
 * two loads of offsets per k cost next to nothing.
 *
 * Sums are float32 over RTC_CHUNK values of k, double across those. The last tile of a row of lanes
 * overlaps the one before: both compute the same values.
 */

#if defined(__AVX512F__)
enum { RTC_VECTOR = 16, RTC_ROWS = 8 };
#elif defined(__AVX__)
enum { RTC_VECTOR = 8, RTC_ROWS = 6 };
#else
enum { RTC_VECTOR = 4, RTC_ROWS = 6 };
#endif
enum { RTC_CHUNK = 512, RTC_SOME_ROWS = 24, RTC_SOME_LANES = 64, RTC_MOST_LANES = 96 };
enum { RTC_LEAST_LANES = 16 };
#define RTC_CONTIGUOUS ((const int64_t *)0) /* for a table of lanes: 0, 1, 2, ... */

typedef float rtc_vector __attribute__((vector_size(4 * RTC_VECTOR), aligned(4), may_alias));
typedef float rtc_quad __attribute__((vector_size(16), aligned(4), may_alias));

typedef struct {
    float *c;
    const float *a, *b;
    const int64_t *c_row, *a_row, *a_sum, *b_sum;
    int sums;
    float alpha;
} rtc_matrices;

/* All that has R or N rounds: sums stay in registers. */
#define RTC_UNROLL _Pragma("GCC unroll 8")

/* Rows row .. row + R - 1 and N vectors of lanes from `lane` on. */
#define RTC_TILE(name, R, N)                                                                       \
    static __attribute__((noinline, unused)) void name(const rtc_matrices *m, int row, int lane)   \
    {                                                                                              \
        const float *const b = m->b + lane, *a[R];                                                 \
        rtc_vector s[R][N];                                                                        \
        RTC_UNROLL                                                                                 \
        for (int i = 0; i < R; i++) a[i] = m->a + m->a_row[row + i];                               \
        RTC_UNROLL                                                                                 \
        for (int i = 0; i < R; i++)                                                                \
            RTC_UNROLL                                                                             \
            for (int v = 0; v < N; v++) s[i][v] = (rtc_vector){0};                                 \
        for (int k = 0; k < m->sums; k++) {                                                        \
            const float *const bk = b + m->b_sum[k];                                               \
            const int64_t ak = m->a_sum[k];                                                        \
            rtc_vector x[N];                                                                       \
            RTC_UNROLL                                                                             \
            for (int v = 0; v < N; v++) x[v] = *(const rtc_vector *)(bk + v * RTC_VECTOR);         \
            RTC_UNROLL                                                                             \
            for (int i = 0; i < R; i++)                                                            \
                RTC_UNROLL                                                                         \
                for (int v = 0; v < N; v++) s[i][v] += a[i][ak] * x[v];                            \
        }                                                                                          \
        RTC_UNROLL                                                                                 \
        for (int i = 0; i < R; i++)                                                                \
            RTC_UNROLL                                                                             \
            for (int v = 0; v < N; v++)                                                            \
                *(rtc_vector *)(m->c + m->c_row[row + i] + lane + v * RTC_VECTOR) =                \
                    m->alpha * s[i][v];                                                            \
    }

/* All rows, N vectors of lanes. */
#define RTC_TILES(name, N)                                                                         \
    RTC_TILE(name##_full, RTC_ROWS, N)                                                             \
    RTC_TILE(name##_4, 4, N)                                                                       \
    RTC_TILE(name##_2, 2, N)                                                                       \
    RTC_TILE(name##_1, 1, N)                                                                       \
    static __attribute__((noinline, unused)) void name(const rtc_matrices *m, int rows, int lane)  \
    {                                                                                              \
        int i = 0;                                                                                 \
        for (; i + RTC_ROWS <= rows; i += RTC_ROWS) name##_full(m, i, lane);                       \
        for (; i + 4 <= rows; i += 4) name##_4(m, i, lane);                                        \
        for (; i + 2 <= rows; i += 2) name##_2(m, i, lane);                                        \
        for (; i < rows; i++) name##_1(m, i, lane);                                                \
    }

RTC_TILES(rtc_tiles_1, 1)
RTC_TILES(rtc_tiles_2, 2)

/* lanes >= RTC_VECTOR */
static __attribute__((noinline, unused)) void rtc_panels(const rtc_matrices *m, int rows, int lanes)
{
    enum { ONE = RTC_VECTOR, TWO = 2 * RTC_VECTOR };
    int l = 0;
    for (; l + TWO <= lanes; l += TWO) rtc_tiles_2(m, rows, l);
    if (lanes - l > ONE && l > 0) {
        rtc_tiles_2(m, rows, lanes - TWO);
    } else {
        if (lanes - l > ONE) rtc_tiles_1(m, rows, l);
        if (lanes > l) rtc_tiles_1(m, rows, lanes - ONE);
    }
}

/* ---- between rows and lanes ---- */

#ifdef __clang__
#define RTC_MIX(x, y, i, j, k, l) __builtin_shufflevector(x, y, i, j, k, l)
#else
typedef int rtc_picks __attribute__((vector_size(16)));
#define RTC_MIX(x, y, i, j, k, l) __builtin_shuffle(x, y, (rtc_picks){i, j, k, l})
#endif

/* to[0 .. 3][0 .. 3] = from[0 .. 3][0 .. 3], transposed */
RTC_FN void rtc_turn(float *const *to, const float *const *from)
{
    const rtc_quad a = *(const rtc_quad *)from[0], b = *(const rtc_quad *)from[1],
                   c = *(const rtc_quad *)from[2], d = *(const rtc_quad *)from[3];
    const rtc_quad ac = RTC_MIX(a, c, 0, 4, 1, 5), bd = RTC_MIX(b, d, 0, 4, 1, 5),
                   ca = RTC_MIX(a, c, 2, 6, 3, 7), db = RTC_MIX(b, d, 2, 6, 3, 7);
    *(rtc_quad *)to[0] = RTC_MIX(ac, bd, 0, 4, 1, 5);
    *(rtc_quad *)to[1] = RTC_MIX(ac, bd, 2, 6, 3, 7);
    *(rtc_quad *)to[2] = RTC_MIX(ca, db, 0, 4, 1, 5);
    *(rtc_quad *)to[3] = RTC_MIX(ca, db, 2, 6, 3, 7);
}

RTC_FN int rtc_neighbours(const int64_t *at)
{
    return at[1] == at[0] + 1 && at[2] == at[0] + 2 && at[3] == at[0] + 3;
}

/* to[k][l] = b[sum[k] + lane[l]], rows of `width`, 0 from `lanes` to a whole vector */
static __attribute__((noinline, unused)) void rtc_pack(float *restrict to, int width,
                                                       const float *restrict b, const int64_t *sum,
                                                       int sums, const int64_t *lane, int lanes)
{
    int k = 0;
    for (; k + 4 <= sums && rtc_neighbours(sum + k); k += 4) {
        float *const row = to + k * width;
        int l = 0;
        for (; l + 4 <= lanes; l += 4) {
            float *into[4];
            const float *from[4];
            for (int i = 0; i < 4; i++) {
                into[i] = row + i * width + l;
                from[i] = b + sum[k] + lane[l + i];
            }
            rtc_turn(into, from);
        }
        for (; l < lanes; l++)
            for (int i = 0; i < 4; i++) row[i * width + l] = b[sum[k + i] + lane[l]];
    }
    for (; k < sums; k++)
        for (int l = 0; l < lanes; l++) to[k * width + l] = b[sum[k] + lane[l]];
    for (k = 0; k < sums; k++)
        for (int l = lanes; l < RTC_VECTOR; l++) to[k * width + l] = 0.0f;
}

/* c[row[i] + lane[l]] = from[i][l], rows of RTC_MOST_LANES */
static __attribute__((noinline, unused)) void rtc_spread(float *restrict c, const int64_t *row,
                                                         int rows, const int64_t *lane, int lanes,
                                                         const float *restrict from)
{
    int i = 0;
    for (; i + 4 <= rows && rtc_neighbours(row + i); i += 4) {
        const float *const part = from + i * RTC_MOST_LANES;
        int l = 0;
        for (; l + 4 <= lanes; l += 4) {
            float *into[4];
            const float *lines[4];
            for (int j = 0; j < 4; j++) {
                into[j] = c + row[i] + lane[l + j];
                lines[j] = part + j * RTC_MOST_LANES + l;
            }
            rtc_turn(into, lines);
        }
        for (; l < lanes; l++)
            for (int j = 0; j < 4; j++) c[row[i + j] + lane[l]] = part[j * RTC_MOST_LANES + l];
    }
    for (; i < rows; i++)
        for (int l = 0; l < lanes; l++) c[row[i] + lane[l]] = from[i * RTC_MOST_LANES + l];
}

/* ---- the product ---- */

/* 0, step, 2 * step, ...: n offsets */
static __attribute__((noinline, unused)) void rtc_steps(int64_t *at, int64_t n, int64_t step)
{
    for (int64_t i = 0; i < n; i++) at[i] = i * step;
}

/* total = part, or, after the first chunk, total += part; part = total */
RTC_FN void rtc_add_up(double *restrict total, float *restrict part, int n, int first)
{
    for (int i = 0; i < n; i++) {
        total[i] = first ? (double)part[i] : total[i] + (double)part[i];
        part[i] = (float)total[i];
    }
}

/* c[c_row[i] + c_lane[l]] for up to RTC_MOST_LANES lanes, by way of a piece that is contiguous:
 * some rows after others, chunks of a long sum in double. m->b has whole vectors of lanes. */
static __attribute__((noinline, unused)) void rtc_pieces(const rtc_matrices *m, int rows, int lanes,
                                                         float *c, const int64_t *c_lane)
{
    float part[RTC_SOME_ROWS * RTC_MOST_LANES];
    double total[RTC_SOME_ROWS * RTC_MOST_LANES];
    int64_t part_row[RTC_SOME_ROWS];
    const int width = rtc_most(lanes, RTC_VECTOR);
    for (int i = 0; i < RTC_SOME_ROWS; i++) part_row[i] = i * RTC_MOST_LANES;
    for (int row = 0, some; row < rows; row += some) {
        some = rtc_least(rows - row, RTC_SOME_ROWS);
        for (int from = 0; from < m->sums; from += RTC_CHUNK) {
            const int sums = rtc_least(m->sums - from, RTC_CHUNK);
            const rtc_matrices p = {
                part, m->a,    m->b, part_row, m->a_row + row, m->a_sum + from, m->b_sum + from,
                sums, m->alpha};
            rtc_panels(&p, some, width);
            for (int i = 0; m->sums > RTC_CHUNK && i < some; i++)
                rtc_add_up(total + part_row[i], part + part_row[i], width, from == 0);
        }
        rtc_spread(c, m->c_row + row, some, c_lane, lanes, part);
    }
}

/* Row i, lane l of c lies at c[c_row[i] + c_lane[l]], and so on. room: for `sums` rows of b and
 * their offsets, RTC_MOST_LANES wide, or RTC_LEAST_LANES where b_lane is RTC_CONTIGUOUS. */
static __attribute__((noinline, unused)) void
rtc_product(int rows, int sums, int lanes, float alpha, float *c, const int64_t *c_row,
            const int64_t *c_lane, const float *a, const int64_t *a_row, const int64_t *a_sum,
            const float *b, const int64_t *b_sum, const int64_t *b_lane, float *room)
{
    const int narrow = lanes < RTC_VECTOR, pieces = c_lane || narrow || sums > RTC_CHUNK;
    const int width = narrow ? RTC_LEAST_LANES : RTC_MOST_LANES;
    rtc_matrices m = {c, a, b, c_row, a_row, a_sum, b_sum, sums, alpha};
    int64_t lane[RTC_MOST_LANES], *const step = (int64_t *)(room + sums * width);
    if (b_lane || narrow) {
        rtc_steps(step, sums, width);
        m.b_sum = step;
    } else if (!pieces) {
        rtc_panels(&m, rows, lanes);
        return;
    }
    rtc_steps(lane, RTC_MOST_LANES, 1);
    for (int l = 0, n; l < lanes; l += n) {
        n = lanes - l <= RTC_MOST_LANES ? lanes - l : RTC_SOME_LANES;
        m.b = b + l, m.c = c + l;
        if (m.b_sum == step) {
            m.b = room;
            rtc_pack(room, width, b_lane ? b : b + l, b_sum, sums, b_lane ? b_lane + l : lane, n);
        }
        if (!pieces)
            rtc_panels(&m, rows, n);
        else
            rtc_pieces(&m, rows, n, c_lane ? c : c + l, c_lane ? c_lane + l : lane);
    }
}
