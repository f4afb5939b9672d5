/* host.c: hosts and authorities, read once and strictly. See host.h. Everyone who compares hosts calls in; pure. */
#include "wire/host.h"

#include <stdio.h>

#include "base/must.h"

static const char *const names[] = {
#define X(id, name, text) name,
    HOST_FAULTS(X)
#undef X
};

static const char *const texts[] = {
#define X(id, name, text) text,
    HOST_FAULTS(X)
#undef X
};

const char *host_fault_name(enum host_fault f)
{
    return names[f];
}

const char *host_fault_text(enum host_fault f)
{
    return texts[f];
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_label_char(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static enum host_fault check_label(struct span label)
{
    if (label.len == 0)
        return HOST_LABEL_EMPTY;
    for (size_t i = 0; i < label.len; i++) {
        if (label.data[i] >= 0x80)
            return HOST_NOT_ASCII;
        if (!is_label_char(label.data[i]))
            return HOST_CHARACTER;
    }
    if (label.len > 63)
        return HOST_LABEL_TOO_LONG;
    return label.data[0] == '-' || label.data[label.len - 1] == '-' ? HOST_HYPHEN : HOST_OK;
}

/* Would somebody's inet_aton() take a name that ends in this label for an address? (WHATWG URL, "ends in a number".) */
static bool is_numeric_label(struct span label)
{
    bool hex = label.len >= 2 && label.data[0] == '0' && (label.data[1] | 0x20) == 'x';
    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        uint8_t c = label.data[i] | 0x20;
        if (!is_digit(label.data[i]) && !(hex && c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

static enum host_fault check_name(struct span name)
{
    struct span label = {NULL, 0};
    for (size_t start = 0; start <= name.len; start += label.len + 1) {
        struct span rest = span_of(name.data + start, name.len - start);
        const uint8_t *dot = rest.len ? memchr(rest.data, '.', rest.len) : NULL;
        label = dot ? span_of(rest.data, (size_t)(dot - rest.data)) : rest;
        enum host_fault fault = check_label(label);
        if (fault != HOST_OK)
            return fault;
    }
    if (name.len >= HOST_NAME_BYTES)
        return HOST_TOO_LONG;
    return is_numeric_label(label) ? HOST_IPV4_FORM : HOST_OK;
}

static enum host_fault set_ip(struct ip ip, struct host *ret)
{
    struct host h = {.is_ip = true, .ip = ip};
    char text[IP_TEXT_BYTES];
    h.len = (uint8_t)strlen(ip_format(&ip, text));
    memcpy(h.name, text, h.len);
    *ret = h;
    return HOST_OK;
}

static enum host_fault read_v6(struct span text, struct host *ret)
{
    struct ip ip;
    if (text.len > 0 && memchr(text.data, '%', text.len))
        return HOST_IPV6_ZONE;
    if (!memchr(text.data, ':', text.len) || !ip_parse(text, &ip))
        return HOST_IPV6_FORM;
    return set_ip(ip, ret);
}

static enum host_fault read_name_or_v4(struct span text, struct host *ret)
{
    struct ip ip;
    if (ip_parse(text, &ip) && ip.version == 4)
        return set_ip(ip, ret);
    if (text.len > 1 && text.data[text.len - 1] == '.')
        text.len--;
    enum host_fault fault = check_name(text);
    if (fault != HOST_OK)
        return fault;
    struct host h = {.len = (uint8_t)text.len};
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        h.name[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    *ret = h;
    return HOST_OK;
}

static bool has(struct span text, int c)
{
    return text.len > 0 && memchr(text.data, c, text.len) != NULL;
}

enum host_fault host_canonical(struct span text, struct host *ret)
{
    if (text.len == 0)
        return HOST_EMPTY;
    if (text.data[0] == '[') {
        if (text.len < 3 || text.data[text.len - 1] != ']')
            return HOST_IPV6_FORM;
        return read_v6(span_of(text.data + 1, text.len - 2), ret);
    }
    return has(text, ':') ? HOST_IPV6_BRACKETS : read_name_or_v4(text, ret);
}

enum host_fault host_canonical_bare(struct span text, struct host *ret)
{
    if (text.len == 0)
        return HOST_EMPTY;
    return has(text, ':') ? read_v6(text, ret) : read_name_or_v4(text, ret);
}

static enum host_fault read_port(struct span text, uint16_t *ret)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5 || text.data[0] == '0')
        return HOST_PORT;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return HOST_PORT;
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    if (value > 65535)
        return HOST_PORT;
    *ret = (uint16_t)value;
    return HOST_OK;
}

/* Where the host ends: behind the bracket, or at the first colon. */
static size_t host_length(struct span authority)
{
    int end = authority.len > 0 && authority.data[0] == '[' ? ']' : ':';
    const uint8_t *at = authority.len ? memchr(authority.data, end, authority.len) : NULL;
    if (!at)
        return authority.len;
    return (size_t)(at - authority.data) + (end == ']');
}

enum host_fault host_port_parse(struct span authority, uint16_t default_port, struct host *ret_host,
                                uint16_t *ret_port, bool *ret_had_port)
{
    struct host host;
    uint16_t port = default_port;
    struct span name = span_of(authority.data, host_length(authority));
    struct span rest = span_from(authority, name.len);
    if (rest.len > 0 && rest.data[0] == ':' && has(span_from(rest, 1), ':') && name.len > 0 &&
        name.data[0] != '[')
        return HOST_IPV6_BRACKETS;
    enum host_fault fault = host_canonical(name, &host);
    if (fault != HOST_OK)
        return fault;
    if (rest.len > 0 && rest.data[0] != ':')
        return HOST_CHARACTER;
    if (rest.len > 0)
        fault = read_port(span_from(rest, 1), &port);
    else if (default_port == 0)
        fault = HOST_PORT_MISSING;
    if (fault != HOST_OK)
        return fault;
    *ret_host = host;
    *ret_port = port;
    if (ret_had_port)
        *ret_had_port = rest.len > 0;
    return HOST_OK;
}

bool host_equal(const struct host *a, const struct host *b)
{
    return a->is_ip == b->is_ip && a->len == b->len && memcmp(a->name, b->name, a->len) == 0;
}

bool host_is_within(const struct host *h, const char *domain)
{
    size_t len = strlen(domain);
    if (h->is_ip || len == 0 || h->len < len || memcmp(h->name + h->len - len, domain, len) != 0)
        return false;
    return h->len == len || h->name[h->len - len - 1] == '.';
}

char *host_port_format(const struct host *h, uint16_t port, uint16_t default_port,
                       char out[AUTHORITY_TEXT_BYTES])
{
    bool v6 = h->is_ip && h->ip.version == 6;
    int len = snprintf(out, AUTHORITY_TEXT_BYTES, "%s%s%s", v6 ? "[" : "", h->name, v6 ? "]" : "");
    if (port != default_port)
        snprintf(out + len, AUTHORITY_TEXT_BYTES - (size_t)len, ":%u", port);
    return out;
}
