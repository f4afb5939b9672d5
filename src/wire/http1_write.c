/* http1_write.c: see http1_write.h. Pure: appends to the caller's buffer. */
#include "wire/http1_write.h"

#include "base/must.h"
#include "wire/http1_chars.h"

#include <inttypes.h>

/* Never copied: hop-by-hop fields (RFC 9110, 7.6.1), those that are made anew (Host, framing), and the proxy's own
 * credentials. Trailer goes with chunked only. */
static bool is_dropped(struct span name, const struct http1_head *head)
{
    static const char *const DROPPED[] = {
        "connection",
        "content-length",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-connection",
        "te",
        "proxy-authorization",
        "sec-websocket-extensions", /* what is agreed on there could not be looked into */
        "transfer-encoding",
        "upgrade",
    };
    for (size_t i = 0; i < ARRAY_LEN(DROPPED); i++)
        if (span_is_nocase(name, DROPPED[i]))
            return true;
    return head->kind == HTTP1_REQUEST && span_is_nocase(name, "host");
}

/* What a Connection field can't name away: fields meant for every recipient. A client that lists them wants the
 * server to see a request other than the one decided on. */
static bool is_end_to_end(struct span name)
{
    static const char *const KEPT[] = {
        "accept-encoding",
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "etag",
        "expires",
        "forwarded",
        "host",
        "last-modified",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "referer",
        "set-cookie",
        "strict-transport-security",
        "trailer",
        "user-agent",
        "vary",
        "via",
        "www-authenticate",
        "x-forwarded-for",
    };
    for (size_t i = 0; i < ARRAY_LEN(KEPT); i++)
        if (span_is_nocase(name, KEPT[i]))
            return true;
    return false;
}

static bool is_named_by_connection(struct span name, const struct http1_head *head)
{
    for (size_t i = 0; i < head->connection_count; i++) {
        struct span token = head->connection[i];
        if (token.len == name.len &&
            strncasecmp((const char *)token.data, (const char *)name.data, name.len) == 0)
            return !is_end_to_end(name);
    }
    return false;
}

bool http1_is_alternative(const struct http1_header *field)
{
    return span_is_nocase(field->name, "alt-svc") && !span_is(field->value, "clear");
}

bool http1_is_sent_on(const struct http1_header *field, const struct http1_head *head)
{
    return !is_dropped(field->name, head) && !is_named_by_connection(field->name, head) &&
           !http1_is_alternative(field);
}

static void put(struct buf *out, struct span s)
{
    buf_append(out, s.data, s.len);
}

static void put_field(struct buf *out, const struct http1_header *field)
{
    put(out, field->name);
    buf_append(out, ": ", 2);
    put(out, field->value);
    buf_append(out, "\r\n", 2);
}

static void put_fields(struct buf *out, const struct http1_head *head, const struct http1_forward *forward)
{
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http1_header *field = &head->headers[i];
        if (!http1_is_sent_on(field, head))
            continue;
        if (forward->framing != HTTP1_CHUNKED && span_is_nocase(field->name, "trailer"))
            continue;
        if (!head->expect_continue && head->kind == HTTP1_REQUEST && span_is_nocase(field->name, "expect"))
            continue;
        put_field(out, field);
    }
}

/* The fields that are ours, and the empty line. */
static int put_end(struct buf *out, const struct http1_head *head, const struct http1_forward *forward)
{
    bool no_length = head->kind == HTTP1_RESPONSE && (head->status < 200 || head->status == 204);
    bool length = forward->framing == HTTP1_LENGTH || forward->framing == HTTP1_NO_BODY;
    if (forward->via)
        buf_printf(out, "Via: 1.%d %s\r\n", head->minor, forward->via);
    if (forward->framing == HTTP1_CHUNKED)
        buf_append_str(out, "Transfer-Encoding: chunked\r\n");
    else if (length && forward->content_length >= 0 && !no_length)
        buf_printf(out, "Content-Length: %" PRId64 "\r\n", forward->content_length);
    if (forward->upgrade_websocket)
        buf_append_str(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    else if (forward->close || forward->framing == HTTP1_UNTIL_CLOSE)
        buf_append_str(out, "Connection: close\r\n");
    else if (forward->keep_alive)
        buf_append_str(out, "Connection: keep-alive\r\n");
    buf_append(out, "\r\n", 2);
    return out->failed ? -1 : 0;
}

struct http1_forward http1_forward_of(const struct http1_head *head)
{
    return (struct http1_forward){.framing = head->framing,
                                  .content_length = head->content_length,
                                  .upgrade_websocket = head->upgrade_websocket};
}

enum http1_framing http1_framing_to(const struct http1_head *response, int client_minor)
{
    if (response->framing == HTTP1_CHUNKED && client_minor == 0)
        return HTTP1_UNTIL_CLOSE;
    if (response->framing == HTTP1_UNTIL_CLOSE && client_minor > 0)
        return HTTP1_CHUNKED;
    return response->framing;
}

static void put_target(struct buf *out, const struct http1_head *head)
{
    const struct http1_target *t = &head->target;
    bool options = span_is(head->method, "OPTIONS");
    if (t->form == HTTP1_ASTERISK || (t->path_query.len == 0 && options)) {
        buf_append(out, "*", 1);
        return;
    }
    if (t->path.len == 0)
        buf_append(out, "/", 1);
    put(out, t->path_query);
}

int http1_request_write(struct buf *out, const struct http1_head *head, const struct http1_forward *forward)
{
    must(head->kind == HTTP1_REQUEST && head->target.form != HTTP1_AUTHORITY);
    must(forward->framing != HTTP1_UNTIL_CLOSE && forward->framing != HTTP1_TUNNEL);
    struct span host = forward->authority;
    if (host.len == 0)
        host = head->target.form == HTTP1_ABSOLUTE ? head->target.authority : head->host;
    put(out, head->method);
    buf_append(out, " ", 1);
    put_target(out, head);
    buf_append_str(out, " HTTP/1.1\r\n");
    if (host.len)
        put_field(out, &(struct http1_header){span_str("Host"), host});
    put_fields(out, head, forward);
    return put_end(out, head, forward);
}

int http1_response_write(struct buf *out, const struct http1_head *head, const struct http1_forward *forward)
{
    must(head->kind == HTTP1_RESPONSE);
    buf_printf(out, "HTTP/1.1 %d ", head->status);
    put(out, head->reason);
    buf_append(out, "\r\n", 2);
    put_fields(out, head, forward);
    return put_end(out, head, forward);
}

int http1_chunk_begin_write(struct buf *out, size_t len)
{
    must(len > 0);
    return buf_printf(out, "%zx\r\n", len);
}

int http1_chunk_end_write(struct buf *out)
{
    return buf_append(out, "\r\n", 2);
}

int http1_chunk_write(struct buf *out, struct span data)
{
    if (data.len == 0)
        return out->failed ? -1 : 0;
    http1_chunk_begin_write(out, data.len);
    put(out, data);
    return http1_chunk_end_write(out);
}

int http1_last_chunk_write(struct buf *out, const struct http1_header *trailers, size_t count)
{
    buf_append(out, "0\r\n", 3);
    for (size_t i = 0; i < count; i++)
        put_field(out, &trailers[i]);
    return buf_append(out, "\r\n", 2);
}
