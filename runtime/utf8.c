/* utf8.c: see utf8.h. */
#include "runtime/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Bytes of the character that begins with b; 0 if none does. */
static int length_of(unsigned char b)
{
    if (b < 0x80) return 1;
    if (b >= 0xc2 && b <= 0xdf) return 2;
    if (b >= 0xe0 && b <= 0xef) return 3;
    if (b >= 0xf0 && b <= 0xf4) return 4;
    return 0;
}

/* The second byte also keeps out overlong forms, surrogates and what is above U+10FFFF. */
static bool continues(const Utf8 *u, unsigned char b)
{
    unsigned char low = 0x80, high = 0xbf;
    if (u->n == 1) {
        if (u->held[0] == 0xe0) low = 0xa0;
        if (u->held[0] == 0xed) high = 0x9f;
        if (u->held[0] == 0xf0) low = 0x90;
        if (u->held[0] == 0xf4) high = 0x8f;
    }
    return b >= low && b <= high;
}

void utf8_flush(Utf8 *u, Str *out)
{
    if (u->n) str_add(out, REPLACEMENT);
    u->n = 0;
}

void utf8_put(Utf8 *u, unsigned char byte, Str *out)
{
    if (u->n && !continues(u, byte)) utf8_flush(u, out);
    if (u->n == 0) u->need = length_of(byte);
    if (u->need == 0) {
        str_add(out, REPLACEMENT);
        return;
    }
    u->held[u->n++] = byte;
    if (u->n == u->need) {
        str_addn(out, (const char *)u->held, (size_t)u->n);
        u->n = 0;
    }
}
