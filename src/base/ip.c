/* ip.c: addresses as values: strict reading, canonical writing, and the table of special-purpose ranges. See ip.h.
 * Everyone calls in; touches nothing. */
#include "base/ip.h"

#include "base/must.h"

#include <stdio.h>

/* Digits only, no leading zero, at most `max`; advances *pos past them. */
static bool read_decimal(struct span text, size_t *pos, unsigned max, unsigned *ret)
{
    size_t start = *pos;
    unsigned value = 0;
    while (*pos < text.len && text.data[*pos] >= '0' && text.data[*pos] <= '9') {
        value = value * 10 + (unsigned)(text.data[*pos] - '0');
        if (value > max)
            return false;
        ++*pos;
    }
    size_t digits = *pos - start;
    if (digits == 0 || (digits > 1 && text.data[start] == '0'))
        return false;
    *ret = value;
    return true;
}

static bool parse_v4(struct span text, uint8_t ret[4])
{
    uint8_t bytes[4];
    size_t pos = 0;
    for (int i = 0; i < 4; i++) {
        unsigned value;
        if (i > 0 && (pos >= text.len || text.data[pos++] != '.'))
            return false;
        if (!read_decimal(text, &pos, 255, &value))
            return false;
        bytes[i] = (uint8_t)value;
    }
    if (pos != text.len)
        return false;
    memcpy(ret, bytes, 4);
    return true;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One group of 1 to 4 hex digits; advances *pos. */
static bool read_group(struct span text, size_t *pos, uint8_t ret[2])
{
    unsigned value = 0;
    int digits = 0;
    for (; *pos < text.len && hex_value(text.data[*pos]) >= 0; ++*pos, digits++) {
        if (digits == 4)
            return false;
        value = value << 4 | (unsigned)hex_value(text.data[*pos]);
    }
    if (digits == 0)
        return false;
    ret[0] = (uint8_t)(value >> 8);
    ret[1] = (uint8_t)value;
    return true;
}

/* Groups separated by ':' up to the end of `text`, the last of which may be dotted IPv4. Returns the bytes written, at
 * most 16, or -1. */
static int read_groups(struct span text, bool may_be_v4, uint8_t out[16])
{
    int len = 0;
    for (size_t pos = 0; pos < text.len;) {
        if (may_be_v4 && len <= 12 && parse_v4(span_from(text, pos), out + len))
            return len + 4;
        if (len == 16 || !read_group(text, &pos, out + len))
            return -1;
        len += 2;
        if (pos == text.len)
            return len;
        if (text.data[pos++] != ':' || pos == text.len)
            return -1;
    }
    return len;
}

static size_t find_double_colon(struct span text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == ':' && text.data[i + 1] == ':')
            return i;
    return text.len;
}

static bool parse_v6(struct span text, uint8_t ret[16])
{
    uint8_t head[16], tail[16];
    size_t gap = find_double_colon(text);
    if (gap == text.len) {
        if (read_groups(text, true, head) != 16)
            return false;
        memcpy(ret, head, 16);
        return true;
    }
    int head_len = read_groups(span_of(text.data, gap), false, head);
    int tail_len = read_groups(span_from(text, gap + 2), true, tail);
    if (head_len < 0 || tail_len < 0 || head_len + tail_len > 14) /* "::" stands for one group at least */
        return false;
    memset(ret, 0, 16);
    memcpy(ret, head, (size_t)head_len);
    memcpy(ret + 16 - tail_len, tail, (size_t)tail_len);
    return true;
}

struct ip ip_from_bytes(const uint8_t *bytes, size_t len)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct ip ip = {0};
    must(len == 4 || len == 16);
    if (len == 16 && memcmp(bytes, mapped, sizeof mapped) == 0) {
        bytes += 12;
        len = 4;
    }
    ip.version = len == 4 ? 4 : 6;
    memcpy(ip.bytes, bytes, len);
    return ip;
}

bool ip_parse(struct span text, struct ip *ret)
{
    uint8_t bytes[16];
    if (parse_v4(text, bytes))
        *ret = ip_from_bytes(bytes, 4);
    else if (parse_v6(text, bytes))
        *ret = ip_from_bytes(bytes, 16);
    else
        return false;
    return true;
}

static bool host_bits_are_zero(const struct ip *ip, unsigned prefix)
{
    unsigned bits = ip->version == 4 ? 32 : 128;
    for (unsigned i = prefix; i < bits; i++)
        if (ip->bytes[i / 8] >> (7 - i % 8) & 1)
            return false;
    return true;
}

static bool has_colon(struct span s)
{
    return s.len > 0 && memchr(s.data, ':', s.len) != NULL;
}

bool ip_network_parse(struct span text, struct ip_network *ret)
{
    const uint8_t *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    struct span address = slash ? span_of(text.data, (size_t)(slash - text.data)) : text;
    struct ip ip;
    if (!ip_parse(address, &ip))
        return false;
    unsigned width = has_colon(address) ? 128 : 32, prefix = width; /* as written: may be IPv4-mapped */
    size_t pos = address.len + 1;
    if (slash && (!read_decimal(text, &pos, width, &prefix) || pos != text.len))
        return false;
    if (width == 128 && ip.version == 4) {
        if (prefix < 96)
            return false;
        prefix -= 96;
    }
    if (!host_bits_are_zero(&ip, prefix))
        return false;
    *ret = (struct ip_network){.ip = ip, .prefix = (uint8_t)prefix};
    return true;
}

bool endpoint_parse(struct span text, struct endpoint *ret)
{
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct span address = span_of(text.data, colon - 1);
    bool brackets = address.len >= 2 && address.data[0] == '[' && address.data[address.len - 1] == ']';
    if (brackets)
        address = span_of(address.data + 1, address.len - 2);
    unsigned port;
    struct ip ip;
    if (brackets != has_colon(address) || !ip_parse(address, &ip))
        return false;
    if (!read_decimal(text, &colon, 65535, &port) || colon != text.len || port == 0)
        return false;
    *ret = (struct endpoint){.ip = ip, .port = (uint16_t)port};
    return true;
}

/* The longest run of two zero groups or more, the first of equals (RFC 5952, 4.2). */
static void find_zero_run(const uint8_t bytes[16], int *ret_start, int *ret_len)
{
    int best = -1, best_len = 1;
    for (int i = 0; i < 8;) {
        int n = 0;
        while (i + n < 8 && bytes[2 * (i + n)] == 0 && bytes[2 * (i + n) + 1] == 0)
            n++;
        if (n > best_len) {
            best = i;
            best_len = n;
        }
        i += n ? n : 1;
    }
    *ret_start = best;
    *ret_len = best_len;
}

static void format_v6(const uint8_t bytes[16], char out[IP_TEXT_BYTES])
{
    int run, run_len;
    char *p = out;
    find_zero_run(bytes, &run, &run_len);
    for (int i = 0; i < 8;) {
        if (i == run) {
            p += sprintf(p, "::");
            i += run_len;
            continue;
        }
        bool colon = i > 0 && i != run + run_len;
        p += sprintf(p, "%s%x", colon || (i > 0 && run < 0) ? ":" : "",
                     (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1]);
        i++;
    }
}

char *ip_format(const struct ip *ip, char out[IP_TEXT_BYTES])
{
    const uint8_t *b = ip->bytes;
    out[0] = '\0';
    if (ip->version == 4)
        snprintf(out, IP_TEXT_BYTES, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else if (ip->version == 6)
        format_v6(b, out);
    return out;
}

char *endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_BYTES])
{
    char text[IP_TEXT_BYTES];
    ip_format(&e->ip, text);
    snprintf(out, ENDPOINT_TEXT_BYTES, e->ip.version == 6 ? "[%s]:%u" : "%s:%u", text, e->port);
    return out;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->version == b->version && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned prefix)
{
    unsigned whole = prefix / 8, rest = prefix % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool ip_in(const struct ip *ip, const struct ip_network *net)
{
    return ip->version != 0 && ip->version == net->ip.version &&
           prefix_equal(ip->bytes, net->ip.bytes, net->prefix);
}

struct range {
    uint8_t bytes[16];
    uint8_t prefix;
    const char *name; /* NULL: ordinary, and no later row counts */
};

/* https://www.iana.org/assignments/iana-ipv4-special-registry; the first row that holds counts. Rows of the registry that are
 * globally reachable and routed like any other (AS112, AMT) are left out. */
static const struct range v4_ranges[] = {
    {{0}, 8, "unspecified"},
    {{10}, 8, "private"},
    {{100, 64}, 10, "cgnat"},
    {{127}, 8, "loopback"},
    {{169, 254}, 16, "link_local"},
    {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "ietf_protocol"},
    {{192, 0, 2}, 24, "documentation"},
    {{192, 88, 99}, 24, "6to4"},
    {{192, 168}, 16, "private"},
    {{198, 18}, 15, "benchmark"},
    {{198, 51, 100}, 24, "documentation"},
    {{203, 0, 113}, 24, "documentation"},
    {{224}, 4, "multicast"},
    {{255, 255, 255, 255}, 32, "broadcast"},
    {{240}, 4, "reserved"},
};

/* https://www.iana.org/assignments/iana-ipv6-special-registry; what lies outside 2000::/3 is not global unicast. */
static const struct range v6_ranges[] = {
    {{[15] = 0}, 128, "unspecified"},
    {{[15] = 1}, 128, "loopback"},
    {{0}, 96, "ipv4_compatible"},
    {{0x01}, 64, "discard"},
    {{0x20, 0x01}, 32, "teredo"},
    {{0x20, 0x01, 0, 2}, 48, "benchmark"},
    {{0x20, 0x01, 0, 0x10}, 28, "orchid"},
    {{0x20, 0x01, 0, 0x20}, 28, "orchid"},
    {{0x20, 0x01}, 23, "ietf_protocol"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
    {{0x20, 0x02}, 16, "6to4"},
    {{0x3f, 0xff}, 20, "documentation"},
    {{0x20}, 3, NULL},
    {{0xfc}, 7, "private"},
    {{0xfe, 0x80}, 10, "link_local"},
    {{0xfe, 0xc0}, 10, "site_local"},
    {{0xff}, 8, "multicast"},
    {{0}, 0, "reserved"},
};

static const char *range_name(const struct range *ranges, size_t count, const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++)
        if (prefix_equal(bytes, ranges[i].bytes, ranges[i].prefix))
            return ranges[i].name;
    return NULL;
}

static const char *v4_range_name(const uint8_t *bytes)
{
    return range_name(v4_ranges, ARRAY_LEN(v4_ranges), bytes);
}

/* 64:ff9b:1::/48 (RFC 8215) may be cut into NAT64 prefixes of any length of RFC 6052, 2.2, and which one the network uses
 * can't be seen: every IPv4 that the address may hold counts. Places that read as 0.0.0.0/8 are taken for padding,
 * unless all do. */
static const char *local_nat64_range_name(const uint8_t b[16])
{
    const uint8_t places[4][4] = {{b[6], b[7], b[9], b[10]},
                                  {b[7], b[9], b[10], b[11]},
                                  {b[9], b[10], b[11], b[12]},
                                  {b[12], b[13], b[14], b[15]}};
    bool all_padding = true;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (places[i][0] == 0)
            continue;
        all_padding = false;
        const char *name = v4_range_name(places[i]);
        if (name)
            return name;
    }
    return all_padding ? "unspecified" : NULL;
}

const char *ip_special_range(const struct ip *ip)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b}, local_nat64[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
    if (ip->version == 0)
        return "unspecified";
    if (ip->version == 4)
        return v4_range_name(ip->bytes);
    if (memcmp(ip->bytes, nat64, sizeof nat64) == 0)
        return v4_range_name(ip->bytes + 12);
    if (memcmp(ip->bytes, local_nat64, sizeof local_nat64) == 0)
        return local_nat64_range_name(ip->bytes);
    return range_name(v6_ranges, ARRAY_LEN(v6_ranges), ip->bytes);
}
