/* math.h: float32 functions without branches or calls, so that loops around them vectorise on any
 * CPU.
 *
 * Minimax polynomials (Remez, coefficients rounded one after another); errors over all floats
 * against double are in tests/codegen/test_math.c: at most 2 units in the last place, sin and cos
 * for |x| <= 1e5 (beyond, their absolute error grows with x / 1e16). Results below 1.2e-38 may be
 * 0.
 */

RTC_FN float rtc_abs(float x) { return rtc_float(rtc_bits(x) & 0x7fffffffu); }
RTC_FN float rtc_sqrt(float x) { return __builtin_sqrtf(x); }
RTC_FN float rtc_with_sign(float x, float s)
{
    return rtc_float((rtc_bits(x) & 0x7fffffffu) | (rtc_bits(s) & 0x80000000u));
}

/* Whole part downwards; from 2^23 on every float is whole. */
RTC_FN float rtc_floor(float x)
{
#ifdef __SSE4_1__
    return __builtin_floorf(x);
#else
    int small = rtc_abs(x) < 8388608.0f;
    float t = (float)(int)(small ? x : 0.0f);
    return small ? t - (t > x ? 1.0f : 0.0f) : x;
#endif
}

RTC_FN float rtc_floordiv(float a, float b) { return rtc_floor(a / b); }
RTC_FN float rtc_mod(float a, float b) { return a - b * rtc_floor(a / b); }

/* exp(x) = 2^n exp(r), |r| <= ln(2) / 2; 2^n in two halves so that it may pass the largest float or
 * underflow */
RTC_FN float rtc_exp(float x)
{
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float shifted = c * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: n in the low bits */
    float n = shifted - 12582912.0f;
    int i = (int)(rtc_bits(shifted) - 0x4b400000u);
    float r = c - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    float p = 0.00138389051f;
    p = p * r + 0.00836919248f;
    p = p * r + 0.0416681021f;
    p = p * r + 0.166665167f;
    p = p * r + 0.49999994f;
    p = (p * r) * r + r;
    int half = i >> 1;
    float s = rtc_float((uint32_t)(half + 127) << 23),
          t = rtc_float((uint32_t)(i - half + 127) << 23);
    return (p * s + s) * t;
}

/* log(x) = e ln(2) + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)) */
RTC_FN float rtc_log(float x)
{
    int tiny = x < 1.17549435e-38f;
    float y = tiny ? x * 8388608.0f : x;
    uint32_t u = rtc_bits(y) - 0x3f3504f3u; /* sqrt(1/2) */
    int e = ((int)u >> 23) - (tiny ? 23 : 0);
    float f = rtc_float((u & 0x007fffffu) + 0x3f3504f3u) - 1.0f, n = (float)e;
    float p = 0.0320435241f;
    p = p * f - 0.0975584686f;
    p = p * f + 0.124306172f;
    p = p * f - 0.127667442f;
    p = p * f + 0.141958371f;
    p = p * f - 0.166465104f;
    p = p * f + 0.200023755f;
    p = p * f - 0.250003964f;
    p = p * f + 0.333333135f;
    float ff = f * f;
    p = ff * (f * p - 0.5f) + n * 1.42860677e-6f;
    float v = n * 0.693145752f + (f + p);
    v = x > 0.0f ? v : x == 0.0f ? -rtc_inf() : rtc_nan();
    return x < rtc_inf() ? v : x; /* also NaN */
}

/* x - n pi/2 in double; quadrant n mod 4 */
RTC_FN float rtc_quarter(float x, int *quadrant)
{
    double d = (double)x, shifted = d * 0.63661977236758134 + 6755399441055744.0;
    double n = shifted - 6755399441055744.0;
    int64_t bits;
    __builtin_memcpy(&bits, &shifted, 8);
    *quadrant = (int)bits & 3;
    return (float)((d - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11);
}

RTC_FN float rtc_quarter_wave(float r, int odd)
{
    float z = r * r;
    float s = 2.83751319e-06f;
    s = s * z - 0.000198535112f;
    s = s * z + 0.00833338033f;
    s = s * z - 0.166666672f;
    s = (s * z) * r + r;
    float c = -2.89772998e-07f;
    c = c * z + 2.48229844e-05f;
    c = c * z - 0.00138889824f;
    c = c * z + 0.0416666679f;
    c = (c * z) * z + (1.0f - 0.5f * z);
    return odd ? c : s;
}

RTC_FN float rtc_sin(float x)
{
    int q;
    float r = rtc_quarter(x, &q), w = rtc_quarter_wave(r, q & 1);
    return rtc_float(rtc_bits(w) ^ ((uint32_t)(q & 2) << 30));
}

RTC_FN float rtc_cos(float x)
{
    int q;
    float r = rtc_quarter(x, &q), w = rtc_quarter_wave(r, ~q & 1);
    return rtc_float(rtc_bits(w) ^ ((uint32_t)((q + 1) & 2) << 30));
}

RTC_FN float rtc_tanh(float x)
{
    float a = rtc_abs(x), z = x * x;
    float p = 0.00215771445f;
    p = p * z - 0.00819513109f;
    p = p * z + 0.0217087548f;
    p = p * z - 0.053948462f;
    p = p * z + 0.133332223f;
    p = p * z - 0.333333313f;
    p = (p * z) * x + x;
    float far = 1.0f - 2.0f / (rtc_exp(2.0f * (a < 10.0f ? a : 10.0f)) + 1.0f);
    return a < 0.625f ? p : x != x ? x : rtc_with_sign(far, x);
}

RTC_FN float rtc_erf(float x)
{
    float a = rtc_abs(x), z = x * x;
    float p = 7.9647034e-05f;
    p = p * z - 0.000804290758f;
    p = p * z + 0.00519189099f;
    p = p * z - 0.0268555768f;
    p = p * z + 0.112836242f;
    p = p * z - 0.376126289f;
    p = p * z + 0.128379166f;
    p = p * x + x;
    float t = a < 4.0f ? a : 4.0f; /* erfc(4) < 2^-25 */
    float q = -4.67711789e-06f;
    q = q * t + 4.24132122e-05f;
    q = q * t + 6.56605334e-05f;
    q = q * t - 0.00297437282f;
    q = q * t + 0.0227453765f;
    q = q * t - 0.105329961f;
    q = q * t - 0.635590792f;
    q = q * t - 0.128559157f;
    float far = 1.0f - rtc_exp(q * t - t);
    return a < 0.9277f ? p : x != x ? x : rtc_with_sign(far, x);
}

/* a^b = exp(b log |a|) in double; a negative base takes whole exponents only */
RTC_FN float rtc_pow(float a, float b)
{
    double m = (double)rtc_abs(a);
    uint64_t u;
    __builtin_memcpy(&u, &m, 8);
    uint64_t v = u - 0x3fe6a09e667f3bcdull; /* sqrt(1/2) */
    double e = (double)((int)(v >> 32) >> 20);
    v = (v & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull;
    __builtin_memcpy(&m, &v, 8);
    double s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 0.098048491255582654;
    p = p * z + 0.1108706600133303;
    p = p * z + 0.14286084590885578;
    p = p * z + 0.1999999742996581;
    p = p * z + 0.3333333333984827;
    p = p * z + 0.99999999999997324;
    double y = (double)b * (e * 0.69314718055994531 + 2.0 * s * p);
    y = y < -110.0 ? -110.0 : y;
    y = y > 90.0 ? 90.0 : y;
    double shifted = y * 1.4426950408889634 + 6755399441055744.0, n = shifted - 6755399441055744.0;
    double r = y - n * 0.69314718055994531;
    double q = 2.4727241085021855e-05;
    q = q * r + 0.00019915421568716973;
    q = q * r + 0.0013889178590503178;
    q = q * r + 0.0083332670329449819;
    q = q * r + 0.041666664220401772;
    q = q * r + 0.16666666885441173;
    q = q * r + 0.50000000006181511;
    q = q * r + 0.99999999998062394;
    q = q * r + 0.99999999999976241;
    uint64_t k;
    __builtin_memcpy(&k, &shifted, 8);
    k = (k + 1023) << 52;
    double two;
    __builtin_memcpy(&two, &k, 8);
    float w = (float)(q * two);
    float whole = rtc_floor(b), half = 0.5f * b;
    int odd = rtc_floor(half) != half;
    w = a < 0.0f ? (whole != b ? rtc_nan() : odd ? -w : w) : w;
    w = a == 0.0f ? (b > 0.0f ? 0.0f : rtc_inf()) : w;
    w = a != a || b != b ? rtc_nan() : w;
    return b == 0.0f || a == 1.0f ? 1.0f : w;
}
