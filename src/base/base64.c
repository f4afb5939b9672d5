/* base64.c: see base64.h. Pure. */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(struct span data, char *ret, size_t size)
{
    if ((data.len + 2) / 3 * 4 + 1 > size)
        return -1;
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t bits = (uint32_t)data.data[i] << 16 | (left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0) |
                        (left > 2 ? data.data[i + 2] : 0);
        *ret++ = alphabet[bits >> 18];
        *ret++ = alphabet[bits >> 12 & 63];
        *ret++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *ret++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    *ret = '\0';
    return 0;
}

int base64_decode(struct span text, char *ret, size_t size)
{
    size_t pad = 0, len = 0;
    while (pad < 2 && pad < text.len && text.data[text.len - 1 - pad] == '=')
        pad++;
    if (text.len % 4 != 0 || text.len / 4 * 3 + 1 > size + pad)
        return -1;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len - pad; i++) {
        const char *at = text.data[i] ? strchr(alphabet, text.data[i]) : NULL;
        if (!at)
            return -1;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (i % 4 == 3) {
            ret[len++] = (char)(bits >> 16);
            ret[len++] = (char)(bits >> 8);
            ret[len++] = (char)bits;
            bits = 0;
        }
    }
    if (pad == 1) {
        ret[len++] = (char)(bits >> 10);
        ret[len++] = (char)(bits >> 2);
    } else if (pad == 2) {
        ret[len++] = (char)(bits >> 4);
    }
    ret[len] = '\0';
    return (int)len;
}
