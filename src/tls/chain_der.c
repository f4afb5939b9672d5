/* chain_der.c: is this DER? OpenSSL reads BER, too, and two readers of one BER text may differ about what was signed. Pure. */
#include "tls/chain_private.h"

enum { DEPTH_MAX = 32, TAG_CONSTRUCTED = 0x20, TAG_HIGH = 0x1f };

struct frame {
    size_t end; /* offset behind the value */
};

/* Tag and length at *at; false unless both are minimal and the value lies before `end`. */
static bool take_header(struct span s, size_t *at, size_t end, bool *ret_constructed, size_t *ret_len)
{
    if (*at >= end)
        return false;
    uint8_t tag = s.data[(*at)++];
    if ((tag & TAG_HIGH) == TAG_HIGH || *at >= end) /* no certificate has a tag above 30 */
        return false;
    size_t len = s.data[(*at)++];
    if (len >= 0x80) {
        size_t octets = len & 0x7f;
        if (octets == 0 || octets > 4 || octets > end - *at || s.data[*at] == 0)
            return false;
        for (len = 0; octets > 0; octets--)
            len = len << 8 | s.data[(*at)++];
        if (len < 0x80)
            return false;
    }
    *ret_constructed = tag & TAG_CONSTRUCTED;
    *ret_len = len;
    return len <= end - *at;
}

bool chain_der_valid(struct span bytes)
{
    struct frame stack[DEPTH_MAX];
    size_t depth = 0, at = 0, len;
    bool constructed;
    if (!take_header(bytes, &at, bytes.len, &constructed, &len) || !constructed || len != bytes.len - at)
        return false;
    stack[depth++].end = bytes.len;
    while (depth > 0) {
        size_t end = stack[depth - 1].end;
        if (at == end) {
            depth--;
        } else if (!take_header(bytes, &at, end, &constructed, &len)) {
            return false;
        } else if (!constructed) {
            at += len;
        } else if (depth == DEPTH_MAX) {
            return false;
        } else {
            stack[depth++].end = at + len;
        }
    }
    return true;
}
