/* http1_target.c: see http1_target.h. Strict where a second parser could find another host: user information,
 * backslashes and empty ports are refused. Pure. */
#include "wire/http1_target.h"

#include "wire/http1_chars.h"

enum { HOST_BYTES = 255, IPV6_BYTES = 47, PORT_DIGITS = 5 };

static bool host_bytes_ok(struct span host)
{
    if (host.len == 0 || host.len > HOST_BYTES)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.data[i];
        if (!http1_is_alnum(c) && c != '.' && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* "[...]" with hexadecimal digits, dots and at least one colon within. */
static bool ipv6_bytes_ok(struct span host)
{
    if (host.len < 4 || host.len > IPV6_BYTES || host.data[host.len - 1] != ']')
        return false;
    bool colon = false;
    for (size_t i = 1; i + 1 < host.len; i++) {
        uint8_t c = host.data[i];
        bool hex = http1_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
        if (!hex && c != ':' && c != '.')
            return false;
        colon = colon || c == ':';
    }
    return colon;
}

static bool port_parse(struct span text, uint16_t *ret)
{
    if (text.len == 0 || text.len > PORT_DIGITS || text.data[0] == '0')
        return false;
    unsigned port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!http1_is_digit(text.data[i]))
            return false;
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    if (port > 65535)
        return false;
    *ret = (uint16_t)port;
    return true;
}

bool http1_authority_parse(struct span text, struct span *ret_host, uint16_t *ret_port, bool *ret_has_port)
{
    bool bracket = text.len && text.data[0] == '[';
    const uint8_t *end = text.len ? memchr(text.data, bracket ? ']' : ':', text.len) : NULL;
    if (bracket && !end)
        return false;
    size_t len = end ? (size_t)(end - text.data) + bracket : text.len;
    struct span host = http1_cut(text, 0, len);
    if (bracket ? !ipv6_bytes_ok(host) : !host_bytes_ok(host))
        return false;
    bool has_port = len < text.len;
    if (has_port && (text.data[len] != ':' || !port_parse(http1_cut(text, len + 1, text.len), ret_port)))
        return false;
    *ret_host = host;
    *ret_has_port = has_port;
    return true;
}

static enum http1_fault authority_form(struct span raw, struct http1_target *t)
{
    if (memchr(raw.data, '@', raw.len))
        return HTTP1_TARGET_USERINFO;
    if (memchr(raw.data, '/', raw.len) || memchr(raw.data, '?', raw.len) || span_is(raw, "*"))
        return HTTP1_TARGET_FORM;
    t->form = HTTP1_AUTHORITY;
    t->authority = raw;
    bool ok = http1_authority_parse(raw, &t->host, &t->port, &t->has_port) && t->has_port;
    return ok ? HTTP1_NO_FAULT : HTTP1_TARGET_AUTHORITY;
}

/* A backslash in a path is a slash to some (WHATWG URL), a byte to others; in a query it is a byte to all. */
static enum http1_fault path_split(struct span path_query, struct http1_target *t, const uint8_t **ret_at)
{
    const uint8_t *mark = path_query.len ? memchr(path_query.data, '?', path_query.len) : NULL;
    size_t path_len = mark ? (size_t)(mark - path_query.data) : path_query.len;
    const uint8_t *backslash = path_len ? memchr(path_query.data, '\\', path_len) : NULL;
    if (backslash) {
        *ret_at = backslash;
        return HTTP1_TARGET_BYTE;
    }
    t->path_query = path_query;
    t->path = http1_cut(path_query, 0, path_len);
    if (mark)
        t->query = http1_cut(path_query, path_len + 1, path_query.len);
    return HTTP1_NO_FAULT;
}

static enum http1_fault absolute_form(struct span raw, struct http1_target *t, const uint8_t **ret_at)
{
    const uint8_t *colon = memchr(raw.data, ':', raw.len);
    size_t scheme_len = colon ? (size_t)(colon - raw.data) : 0;
    if (scheme_len == 0 || raw.len < scheme_len + 3 || memcmp(colon, "://", 3) != 0)
        return HTTP1_TARGET_FORM;
    t->form = HTTP1_ABSOLUTE;
    t->scheme = http1_cut(raw, 0, scheme_len);
    t->https = span_is_nocase(t->scheme, "https");
    if (!t->https && !span_is_nocase(t->scheme, "http"))
        return HTTP1_TARGET_SCHEME;
    size_t start = scheme_len + 3, end = start;
    while (end < raw.len && raw.data[end] != '/' && raw.data[end] != '?')
        end++;
    *ret_at = raw.data + start;
    t->authority = http1_cut(raw, start, end);
    if (t->authority.len && memchr(t->authority.data, '@', t->authority.len))
        return HTTP1_TARGET_USERINFO;
    t->port = t->https ? 443 : 80;
    if (!http1_authority_parse(t->authority, &t->host, &t->port, &t->has_port))
        return HTTP1_TARGET_AUTHORITY;
    return path_split(http1_cut(raw, end, raw.len), t, ret_at);
}

enum http1_fault http1_target_parse(struct span method, struct span raw, struct http1_target *ret,
                                    size_t *ret_offset)
{
    struct http1_target t = {.form = HTTP1_ORIGIN};
    const uint8_t *at = raw.data;
    enum http1_fault fault;
    if (span_is(method, "CONNECT")) {
        fault = authority_form(raw, &t);
    } else if (raw.data[0] == '/') {
        fault = path_split(raw, &t, &at);
    } else if (span_is(raw, "*")) {
        t.form = HTTP1_ASTERISK;
        fault = span_is(method, "OPTIONS") ? HTTP1_NO_FAULT : HTTP1_TARGET_FORM;
    } else {
        fault = absolute_form(raw, &t, &at);
    }
    if (fault == HTTP1_NO_FAULT)
        *ret = t;
    else
        *ret_offset = (size_t)(at - raw.data);
    return fault;
}
