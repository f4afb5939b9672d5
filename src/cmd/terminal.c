/* terminal.c: see terminal.h. */
#include "cmd/terminal.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *terminal_colour(FILE *out, enum colour c)
{
    static const char *const sequences[] = {"\033[0m",  "\033[32m", "\033[33m",
                                            "\033[31m", "\033[2m",  "\033[1m"};
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    bool plain = (no_colour && *no_colour) || !term || strcmp(term, "dumb") == 0 || !isatty(fileno(out));
    return plain ? "" : sequences[c];
}

/* U+0080-9F, U+200E-F, U+202A-E, U+2066-9, U+FEFF, U+2028-9. */
static bool is_hostile(const unsigned char *s, size_t n)
{
    if (n == 1)
        return s[0] < 0x20 || s[0] == 0x7f;
    if (n == 2)
        return s[0] == 0xc2 && s[1] < 0xa0;
    if (n != 3)
        return false;
    unsigned c = (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    return c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0xfeff;
}

/* Bytes of the character at s, 0 when it is none. */
static size_t character_len(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    return n <= left && utf8_valid(span_of(s, n)) ? n : 0;
}

unsigned terminal_print(FILE *out, const char *text)
{
    unsigned columns = 0;
    const unsigned char *s = (const unsigned char *)text;
    for (size_t left = strlen(text); left > 0;) {
        size_t n = character_len(s, left);
        if (n > 0 && !is_hostile(s, n)) {
            fwrite(s, 1, n, out);
            columns++;
        } else {
            n = n ? n : 1;
            for (size_t i = 0; i < n; i++)
                columns += (unsigned)fprintf(out, "\\x%02x", s[i]);
        }
        s += n;
        left -= n;
    }
    return columns;
}
