/* http1_field.c: see http1_field.h. RFC 9112, 6 (framing) and 3.2 (Host); RFC 9110, 7.6.1 (Connection), 7.8
 * (Upgrade), 10.1.1 (Expect). Pure. */
#include "wire/http1_field.h"

#include "base/must.h"
#include "wire/http1_chars.h"
#include "wire/http1_target.h"

#define LENGTH_MAX (((int64_t)1 << 62) - 1)

static enum http1_fault on_content_length(struct http1_scan *s, struct span bytes, struct span value)
{
    (void)bytes;
    if (s->te)
        return HTTP1_CL_AND_TE;
    if (s->content_length >= 0)
        return HTTP1_CL_SEVERAL;
    if (value.len == 0 || (value.len > 1 && value.data[0] == '0'))
        return HTTP1_CL_MALFORMED;
    for (size_t i = 0; i < value.len; i++)
        if (!http1_is_digit(value.data[i]))
            return HTTP1_CL_MALFORMED;
    int64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        int digit = value.data[i] - '0';
        if (length > (LENGTH_MAX - digit) / 10)
            return HTTP1_CL_OVERFLOW;
        length = length * 10 + digit;
    }
    s->content_length = length;
    return HTTP1_NO_FAULT;
}

static enum http1_fault on_transfer_encoding(struct http1_scan *s, struct span bytes, struct span value)
{
    (void)bytes;
    if (s->content_length >= 0)
        return HTTP1_CL_AND_TE;
    if (s->te)
        return HTTP1_TE_SEVERAL;
    if (s->minor == 0)
        return HTTP1_TE_IN_HTTP10;
    if (!span_is_nocase(value, "chunked"))
        return HTTP1_TE_UNSUPPORTED;
    s->te = true;
    return HTTP1_NO_FAULT;
}

static enum http1_fault on_host(struct http1_scan *s, struct span bytes, struct span value)
{
    if (s->kind != HTTP1_REQUEST)
        return HTTP1_NO_FAULT;
    if (s->host)
        return HTTP1_HOST_SEVERAL;
    struct span host;
    uint16_t port;
    bool has_port;
    if (!http1_authority_parse(value, &host, &port, &has_port))
        return HTTP1_HOST_INVALID;
    s->host = (size_t)(value.data - bytes.data);
    s->host_len = value.len;
    return HTTP1_NO_FAULT;
}

static enum http1_fault on_connection(struct http1_scan *s, struct span bytes, struct span value)
{
    (void)bytes;
    struct span token;
    while (http1_list_next(&value, &token)) {
        for (size_t i = 0; i < token.len; i++)
            if (!http1_is_token(token.data[i]))
                return HTTP1_CONNECTION_MALFORMED;
        if (++s->connection_tokens > HTTP1_CONNECTION_TOKENS)
            return HTTP1_CONNECTION_MALFORMED;
        s->close = s->close || span_is_nocase(token, "close");
        s->keep_alive = s->keep_alive || span_is_nocase(token, "keep-alive");
        s->upgrade = s->upgrade || span_is_nocase(token, "upgrade");
    }
    return HTTP1_NO_FAULT;
}

static enum http1_fault on_upgrade(struct http1_scan *s, struct span bytes, struct span value)
{
    (void)bytes;
    struct span protocol;
    while (http1_list_next(&value, &protocol))
        s->websocket = s->websocket || span_is_nocase(protocol, "websocket");
    return HTTP1_NO_FAULT;
}

static enum http1_fault on_expect(struct http1_scan *s, struct span bytes, struct span value)
{
    (void)bytes;
    if (s->kind != HTTP1_REQUEST)
        return HTTP1_NO_FAULT;
    if (!span_is_nocase(value, "100-continue"))
        return HTTP1_EXPECT_UNSUPPORTED;
    s->expect_continue = true;
    return HTTP1_NO_FAULT;
}

static enum http1_fault on_proxy_authorization(struct http1_scan *s, struct span bytes, struct span value)
{
    if (s->kind != HTTP1_REQUEST)
        return HTTP1_NO_FAULT;
    if (s->proxy_auth)
        return HTTP1_PROXY_AUTH_SEVERAL;
    s->proxy_auth = (size_t)(value.data - bytes.data);
    s->proxy_auth_len = value.len;
    return HTTP1_NO_FAULT;
}

static const struct field {
    const char *name;
    size_t len;
    enum http1_fault (*judge)(struct http1_scan *, struct span bytes, struct span value);
} FIELDS[] = {
#define FIELD(name, judge)                                                                                   \
    {                                                                                                        \
        name, sizeof(name) - 1, judge                                                                        \
    }
    FIELD("content-length", on_content_length),
    FIELD("transfer-encoding", on_transfer_encoding),
    FIELD("host", on_host),
    FIELD("connection", on_connection),
    FIELD("upgrade", on_upgrade),
    FIELD("expect", on_expect),
    FIELD("proxy-authorization", on_proxy_authorization),
#undef FIELD
};

bool http1_field_is_lookalike(struct span name)
{
    char text[32];
    if (name.len >= sizeof text || !memchr(name.data, '_', name.len))
        return false;
    for (size_t i = 0; i < name.len; i++)
        text[i] = name.data[i] == '_' ? '-' : (char)name.data[i];
    struct span dashed = span_of(text, name.len);
    return span_is_nocase(dashed, "content-length") || span_is_nocase(dashed, "transfer-encoding");
}

enum http1_fault http1_field_judge(struct http1_scan *scan, struct span bytes, struct span name,
                                   struct span value)
{
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
        if (name.len == FIELDS[i].len && span_is_nocase(name, FIELDS[i].name))
            return FIELDS[i].judge(scan, bytes, value);
    return http1_field_is_lookalike(name) ? HTTP1_FRAMING_LOOKALIKE : HTTP1_NO_FAULT;
}

static enum http1_fault request_end(const struct http1_scan *s, struct span bytes)
{
    if (s->minor == 1 && !s->host)
        return HTTP1_HOST_MISSING;
    bool connect = span_is(http1_cut(bytes, 0, s->method_end), "CONNECT");
    if (connect && (s->te || s->content_length > 0))
        return HTTP1_CONNECT_WITH_BODY;
    return HTTP1_NO_FAULT;
}

static enum http1_fault response_end(const struct http1_scan *s)
{
    bool no_body = s->status < 200 || s->status == 204;
    if (no_body && (s->te || s->content_length > 0))
        return HTTP1_BODY_NOT_ALLOWED;
    if (s->status == 101 && !(s->asked.upgrade && s->upgrade && s->websocket))
        return HTTP1_UPGRADE_UNASKED;
    return HTTP1_NO_FAULT;
}

enum http1_fault http1_field_judge_end(const struct http1_scan *scan, struct span bytes)
{
    return scan->kind == HTTP1_REQUEST ? request_end(scan, bytes) : response_end(scan);
}
