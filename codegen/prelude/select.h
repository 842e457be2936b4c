/* select.h: the positions of the largest values of a row, best first, ties to the lower position.
 *
 * Values become unsigned keys of the same order (NaN largest, -0 equal to 0), so one routine serves
 * all types.
 */

RTC_FN uint32_t rtc_key(float x)
{
    uint32_t u = rtc_bits(x + 0.0f);
    return x != x ? 0xffffffffu : u ^ ((uint32_t)((int32_t)u >> 31) | 0x80000000u);
}

RTC_FN uint32_t rtc_ikey(int x) { return (uint32_t)x ^ 0x80000000u; }

static __attribute__((unused)) int rtc_largest(const uint32_t *key, int n)
{
    uint32_t m = 0;
#pragma omp simd reduction(max : m)
    for (int i = 0; i < n; i++) m = key[i] > m ? key[i] : m;
    int at = 0;
    while (key[at] != m) at++;
    return at;
}

/* Best first: key, then the lower position. Merges runs of 8 sorted by insertion; two arrays of w.
 */
static __attribute__((unused)) void rtc_order(uint64_t *x, uint64_t *y, int w)
{
    for (int lo = 0; lo < w; lo += 8)
        for (int i = lo + 1; i < w && i < lo + 8; i++) {
            uint64_t v = x[i];
            int k = i;
            for (; k > lo && x[k - 1] < v; k--) x[k] = x[k - 1];
            x[k] = v;
        }
    for (int run = 8; run < w; run *= 2) {
        for (int lo = 0; lo < w; lo += 2 * run) {
            int mid = lo + run < w ? lo + run : w, hi = lo + 2 * run < w ? lo + 2 * run : w;
            for (int a = lo, b = mid, k = lo; k < hi; k++)
                y[k] = b == hi || (a < mid && x[a] > x[b]) ? x[a++] : x[b++];
        }
        for (int k = 0; k < w; k++) x[k] = y[k];
    }
}

/* The w-th largest key: radix, 11, 11 and 10 bits from the top. *above: how many are larger. */
static __attribute__((unused)) uint32_t rtc_threshold(const uint32_t *key, int n, int w, int *hist,
                                                      int *above)
{
    uint32_t prefix = 0;
    int left = w;
    for (int pass = 0; pass < 3; pass++) {
        int shift = pass == 0   ? 21
                    : pass == 1 ? 10
                                : 0,
            bits = pass == 2 ? 10 : 11, size = 1 << bits;
        for (int i = 0; i < size; i++) hist[i] = 0;
        if (pass == 0) {
            for (int i = 0; i < n; i++) hist[key[i] >> shift]++;
        } else {
            for (int i = 0; i < n; i++)
                if (key[i] >> (shift + bits) == prefix >> (shift + bits))
                    hist[key[i] >> shift & (uint32_t)(size - 1)]++;
        }
        int d = size - 1;
        while (hist[d] < left) left -= hist[d--];
        prefix |= (uint32_t)d << shift;
    }
    *above = w - left;
    return prefix;
}

/* best[0..w): positions of the w <= n largest keys. work: 3 * 2048 ints, then 2 w uint64. */
static __attribute__((unused)) void rtc_top(const uint32_t *key, int n, int w, int *best,
                                            char *work)
{
    if (w == 1) {
        best[0] = rtc_largest(key, n);
        return;
    }
    uint64_t *found = (uint64_t *)(void *)(work + 3 * 2048 * sizeof(int));
    int above, k = 0;
    uint32_t least = rtc_threshold(key, n, w, (int *)(void *)work, &above);
    int ties = w - above;
    for (int i = 0; i < n; i++)
        if (key[i] > least || (key[i] == least && ties-- > 0))
            found[k++] = (uint64_t)key[i] << 32 | (uint32_t) ~(uint32_t)i;
    rtc_order(found, found + w, w);
    for (int i = 0; i < w; i++) best[i] = (int)~(uint32_t)found[i];
}
