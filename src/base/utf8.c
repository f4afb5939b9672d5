/* utf8.c: see utf8.h. Pure. */
#include "base/utf8.h"

/* Bytes that must follow a lead byte, or -1; `ret_low` and `ret_high` bound the first of them, which is how overlong
 * forms, surrogates and values past U+10FFFF are kept out. */
static int utf8_follow(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *ret_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0x80)
        return 0;
    if (lead < 0xc2 || lead > 0xf4)
        return -1;
    return lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
}

bool utf8_valid(struct span text)
{
    for (size_t i = 0; i < text.len;) {
        uint8_t low, high;
        int follow = utf8_follow(text.data[i++], &low, &high);
        if (follow < 0 || (size_t)follow > text.len - i)
            return false;
        for (; follow > 0; follow--, i++, low = 0x80, high = 0xbf)
            if (text.data[i] < low || text.data[i] > high)
                return false;
    }
    return true;
}
