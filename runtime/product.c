/* product.c: one piece of a product. Contract: product.h. */
#include "runtime/product.h"

#include <dnnl.h>

static const double PIECE_FLOPS = 64e6, CHUNK_FLOPS = 1e6;
enum { MOST_PIECES = 32, M_UNIT = 16, N_UNIT = 48 };

/* The library copies its operands into panels, once per call: nanoseconds per element, by whether
 * k is the contiguous axis. A multiply-add takes MAC. Measured on oneDNN 2.6 with AVX-512. */
static const double COPY_A[] = {0.1, 0.38}, COPY_B[] = {0.2, 0.56}, MAC = 0.0185;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int64_t rounded(int64_t a, int64_t unit) { return ceil_div(a, unit) * unit; }

/* One piece of ms x ns and its share of the whole, in nanoseconds of one thread. */
static double whole_time(const ProductCall *p, int64_t ms, int64_t ns)
{
    double pieces = (double)(ceil_div(p->m, ms) * ceil_div(p->n, ns));
    double copies = (double)ms * COPY_A[p->a_k == 1] + (double)ns * COPY_B[p->b_k == 1];
    return pieces * (double)p->k * (copies + MAC * (double)ms * (double)rounded(ns, N_UNIT));
}

/* Enough pieces to share, and of those cuts the one with the least work. */
static void cut(ProductCall *p)
{
    double flops = 2.0 * (double)p->m * (double)p->n * (double)p->k, ideal = flops / PIECE_FLOPS;
    int64_t want = ideal > MOST_PIECES ? MOST_PIECES
                   : ideal > 2         ? (int64_t)ideal
                   : flops > 2e6       ? 2
                                       : 1;
    double best = -1;
    p->m_step = p->m, p->n_step = p->n;
    for (int64_t pm = 1; pm <= want; pm++) {
        int64_t pn = ceil_div(want, pm);
        int64_t ms = pm == 1 ? p->m : rounded(ceil_div(p->m, pm), M_UNIT);
        int64_t ns = pn == 1 ? p->n : rounded(ceil_div(p->n, pn), N_UNIT);
        double t = whole_time(p, ms, ns);
        if (ceil_div(p->m, ms) * ceil_div(p->n, ns) < want) t *= 2; /* it can't be cut so */
        if (best >= 0 && t >= best) continue;
        best = t, p->m_step = ms, p->n_step = ns;
    }
    p->m_pieces = ceil_div(p->m, p->m_step), p->n_pieces = ceil_div(p->n, p->n_step);
}

ProductCall product_call(const PlanProduct *pp, const int64_t *ints)
{
    ProductCall p = {.alpha = (float)pp->alpha,
                     .nbatch = pp->nbatch,
                     .m = ints[pp->m],
                     .n = ints[pp->n],
                     .k = ints[pp->k],
                     .a_m = ints[pp->a_m],
                     .a_k = ints[pp->a_k],
                     .b_k = ints[pp->b_k],
                     .b_n = ints[pp->b_n],
                     .c_m = ints[pp->c_m],
                     .c_n = ints[pp->c_n],
                     .a0 = ints[pp->a0],
                     .b0 = ints[pp->b0],
                     .c0 = ints[pp->c0],
                     .outer = pp->outer < 0 ? 1 : ints[pp->outer],
                     .a_outer = ints[pp->a_outer],
                     .b_outer = ints[pp->b_outer],
                     .more = pp->more >= 0 && ints[pp->more] != 0};
    cut(&p);
    p.pieces = p.m_pieces * p.n_pieces;
    for (int i = 0; i < p.nbatch; i++) {
        p.batch[i] = ints[pp->batch[i]];
        p.a_batch[i] = ints[pp->a_batch[i]], p.b_batch[i] = ints[pp->b_batch[i]],
        p.c_batch[i] = ints[pp->c_batch[i]];
        p.pieces *= p.batch[i];
    }
    return p;
}

int64_t product_chunk(const ProductCall *p)
{
    double flops = 2.0 * (double)p->m_step * (double)p->n_step * (double)p->k;
    return flops >= CHUNK_FLOPS ? 1 : (int64_t)(CHUNK_FLOPS / flops);
}

/* For strides that no library takes: rows of C along its contiguous side where there is one. */
static void plain(const ProductCall *p, const float *a, const float *b, float *c, int64_t m,
                  int64_t n, bool add)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t q = 0; q < p->k; q++)
                sum += (double)a[i * p->a_m + q * p->a_k] * b[q * p->b_k + j * p->b_n];
            float *to = &c[i * p->c_m + j * p->c_n];
            *to = (add ? *to : 0) + p->alpha * (float)sum;
        }
}

/* A matrix of rows x cols by strides, as the library wants it: 'N' row-major, 'T' column-major; 0:
 * neither. */
static char layout(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride, int64_t *ld)
{
    if ((col_stride == 1 || cols == 1) && (rows == 1 || row_stride >= cols)) {
        *ld = rows == 1 && row_stride < cols ? cols : row_stride;
        return 'N';
    }
    if ((row_stride == 1 || rows == 1) && (cols == 1 || col_stride >= rows)) {
        *ld = cols == 1 && col_stride < rows ? rows : col_stride;
        return 'T';
    }
    return 0;
}

/* c is m x n with unit column stride */
static bool library(const ProductCall *p, const float *a, const float *b, float *c, int64_t m,
                    int64_t n, bool add)
{
    int64_t lda, ldb, ldc;
    char ta = layout(m, p->k, p->a_m, p->a_k, &lda), tb = layout(p->k, n, p->b_k, p->b_n, &ldb);
    if (!ta || !tb || layout(m, n, p->c_m, p->c_n, &ldc) != 'N') return false;
    return dnnl_sgemm(ta, tb, m, n, p->k, p->alpha, a, lda, b, ldb, add ? 1.0f : 0.0f, c, ldc) ==
           dnnl_success;
}

/* C^T = B^T A^T */
static ProductCall transposed(const ProductCall *p)
{
    ProductCall t = *p;
    t.a_m = p->b_n, t.a_k = p->b_k, t.b_k = p->a_k, t.b_n = p->a_m, t.c_m = p->c_n, t.c_n = p->c_m;
    return t;
}

void product_piece(const ProductCall *p, const float *a, const float *b, float *c, int64_t piece)
{
    int64_t in = piece % p->n_pieces, im = piece / p->n_pieces % p->m_pieces,
            batch = piece / p->n_pieces / p->m_pieces;
    for (int i = p->nbatch - 1; i >= 0; i--) {
        int64_t at = batch % p->batch[i];
        batch /= p->batch[i];
        a += at * p->a_batch[i], b += at * p->b_batch[i], c += at * p->c_batch[i];
    }
    int64_t m0 = im * p->m_step, n0 = in * p->n_step;
    int64_t m = p->m - m0 < p->m_step ? p->m - m0 : p->m_step,
            n = p->n - n0 < p->n_step ? p->n - n0 : p->n_step;
    a += p->a0 + m0 * p->a_m, b += p->b0 + n0 * p->b_n, c += p->c0 + m0 * p->c_m + n0 * p->c_n;
    ProductCall t = transposed(p);
    for (int64_t i = 0; i < p->outer; i++, a += p->a_outer, b += p->b_outer) {
        bool add = p->more || i;
        if (!library(p, a, b, c, m, n, add) && !library(&t, b, a, c, n, m, add))
            plain(p, a, b, c, m, n, add);
    }
}
