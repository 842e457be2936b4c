/* utf8.h: text from a stream of bytes, a whole character at a time.
 *
 * A byte-level model makes the bytes of a character one by one; a terminal must see them together.
 * Bytes that can't be part of a character come out as U+FFFD, one per longest invalid run that
 * began well (the practice of the Unicode standard, section 3.9), so output is always UTF-8.
 */
#ifndef RTC_RUNTIME_UTF8_H
#define RTC_RUNTIME_UTF8_H

#include "ir/base.h"

/* Zero to begin. */
typedef struct {
    unsigned char held[4];   /* the character so far */
    int n;                   /* bytes held */
    int need;                /* bytes of the whole character */
} Utf8;

void utf8_put(Utf8 *u, unsigned char byte, Str *out);   /* adds what became whole */
void utf8_flush(Utf8 *u, Str *out);                     /* at the end: what is held is invalid */

#endif
