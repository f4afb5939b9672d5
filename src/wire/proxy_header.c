/* proxy_header.c: see proxy_header.h. Pure. */
#include "wire/proxy_header.h"

#include <string.h>

enum { V1_BYTES_MAX = 107, V2_FIXED_BYTES = 16 };

static const uint8_t v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                         0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* The next word of a v1 line, up to one space; empty when there is none. */
static struct span next_word(struct span *line)
{
    size_t n = 0;
    while (n < line->len && line->data[n] != ' ')
        n++;
    struct span word = {line->data, n};
    *line = n < line->len ? span_from(*line, n + 1) : (struct span){NULL, 0};
    return word;
}

static bool parse_port(struct span text, uint16_t *ret)
{
    unsigned value = 0;
    if (text.len < 1 || text.len > 5 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    if (value > 65535)
        return false;
    *ret = (uint16_t)value;
    return true;
}

static bool parse_v1_addresses(struct span line, struct proxy_header *ret)
{
    struct span client = next_word(&line), proxy = next_word(&line), client_port = next_word(&line);
    struct span proxy_port = line; /* the rest: a further space makes it no port */
    return ip_parse(client, &ret->client.ip) && ip_parse(proxy, &ret->proxy.ip) &&
           parse_port(client_port, &ret->client.port) && parse_port(proxy_port, &ret->proxy.port);
}

static enum parse parse_v1(struct span bytes, struct proxy_header *ret)
{
    size_t end = 0;
    while (end < bytes.len && end < V1_BYTES_MAX && bytes.data[end] != '\n')
        end++;
    if (end == V1_BYTES_MAX)
        return PARSE_BAD;
    if (end == bytes.len)
        return PARSE_MORE;
    if (bytes.data[end - 1] != '\r')
        return PARSE_BAD;
    struct proxy_header header = {.bytes = end + 1};
    struct span line = {bytes.data, end - 1};
    next_word(&line); /* PROXY, seen by the caller */
    struct span family = next_word(&line);
    if (span_is(family, "UNKNOWN"))
        header.local = true;
    else if (!span_is(family, "TCP4") && !span_is(family, "TCP6"))
        return PARSE_BAD;
    else if (!parse_v1_addresses(line, &header))
        return PARSE_BAD;
    *ret = header;
    return PARSE_OK;
}

static enum parse parse_v2(struct span bytes, struct proxy_header *ret)
{
    if (bytes.len < V2_FIXED_BYTES)
        return PARSE_MORE;
    uint8_t version = bytes.data[12] >> 4, command = bytes.data[12] & 15, family = bytes.data[13];
    size_t length = (size_t)bytes.data[14] << 8 | bytes.data[15];
    size_t address_bytes = family == 0x11 ? 4 : family == 0x21 ? 16 : 0; /* TCP over IPv4, over IPv6 */
    if (version != 2 || command > 1 || V2_FIXED_BYTES + length > PROXY_HEADER_BYTES_MAX)
        return PARSE_BAD;
    struct proxy_header header = {.local = command == 0, .bytes = V2_FIXED_BYTES + length};
    if (!header.local && (address_bytes == 0 || length < 2 * address_bytes + 4))
        return PARSE_BAD; /* a proxied connection that isn't TCP, or says not from where */
    if (bytes.len < header.bytes)
        return PARSE_MORE;
    if (!header.local) {
        const uint8_t *a = bytes.data + V2_FIXED_BYTES;
        header.client.ip = ip_from_bytes(a, address_bytes);
        header.proxy.ip = ip_from_bytes(a + address_bytes, address_bytes);
        a += 2 * address_bytes;
        header.client.port = (uint16_t)(a[0] << 8 | a[1]);
        header.proxy.port = (uint16_t)(a[2] << 8 | a[3]);
    }
    *ret = header;
    return PARSE_OK;
}

enum parse proxy_header_parse(struct span bytes, struct proxy_header *ret)
{
    static const struct {
        const void *signature;
        size_t len;
        enum parse (*parse)(struct span, struct proxy_header *);
    } versions[] = {{"PROXY ", 6, parse_v1}, {v2_signature, sizeof v2_signature, parse_v2}};
    for (size_t i = 0; i < 2; i++) {
        size_t n = bytes.len < versions[i].len ? bytes.len : versions[i].len;
        if (n == 0)
            return PARSE_MORE;
        if (memcmp(bytes.data, versions[i].signature, n) == 0)
            return n < versions[i].len ? PARSE_MORE : versions[i].parse(bytes, ret);
    }
    return PARSE_BAD;
}
