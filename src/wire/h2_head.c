/* h2_head.c: see h2_head.h. nghttp2 judges the order of pseudo-header fields, connection-specific fields and the length of bodies; what is
 * judged here is what an HTTP/1.1 parser behind the server could read otherwise. Pure. */
#include "wire/h2_head.h"

#include "base/must.h"
#include "wire/host.h"
#include "wire/http1_body.h"
#include "wire/http1_chars.h"
#include "wire/http1_field.h"
#include "wire/http1_target.h"
#include "wire/http1_write.h"

enum {
    FIELD_OVERHEAD_BYTES = 32, /* RFC 9113, 6.5.2 */
    METHOD_BYTES = 32,
    PSEUDO_FIELDS = 6, /* that we write, with Via */
    LENGTH_DIGITS = 18,
};

/* ---- faults ---- */

static const struct {
    const char *name, *text;
    int status;
} FAULTS[H2_FAULTS] = {
    [H2_NO_FAULT] = {"none", "no fault", 0},
#define X(NAME, name, status, text) [H2_##NAME] = {name, text, status},
#include "wire/h2_faults.def"
#undef X
};

const char *h2_fault_name(enum h2_fault fault)
{
    return FAULTS[fault].name;
}

const char *h2_fault_text(enum h2_fault fault)
{
    return FAULTS[fault].text;
}

int h2_fault_status(enum h2_fault fault)
{
    return FAULTS[fault].status;
}

/* ---- gathering ---- */

void h2_head_free(struct h2_head *h)
{
    arena_reset(&h->arena);
    h->fields = NULL;
    h->count = 0;
}

void h2_head_begin(struct h2_head *h, const struct h2_limits *limits)
{
    h2_head_free(h);
    *h = (struct h2_head){.content_length = -1};
    size_t field = sizeof(struct http1_header) + sizeof(nghttp2_nv) + 2 * FIELD_OVERHEAD_BYTES;
    arena_init(&h->arena, 2 * limits->head_bytes + (limits->headers + PSEUDO_FIELDS) * field + 4096);
    h->fields = arena_alloc(&h->arena, limits->headers * sizeof *h->fields);
    h->flags = arena_alloc(&h->arena, limits->headers);
    if (!h->fields || !h->flags)
        h->fault = H2_HEAD_TOO_LARGE;
}

void h2_head_move(struct h2_head *h, struct h2_head *ret_to)
{
    *ret_to = *h;
    *h = (struct h2_head){.content_length = -1};
}

static void note_fault(struct h2_head *h, enum h2_fault fault)
{
    if (h->fault == H2_NO_FAULT)
        h->fault = fault;
}

/* "0", or digits that don't begin with one. nghttp2 compares the sum with the body. */
static void note_length(struct h2_head *h, struct span value)
{
    int64_t length = 0;
    bool good = value.len > 0 && value.len <= LENGTH_DIGITS && !(value.len > 1 && value.data[0] == '0');
    for (size_t i = 0; good && i < value.len; i++) {
        good = http1_is_digit(value.data[i]);
        length = length * 10 + (value.data[i] - '0');
    }
    if (good)
        h->content_length = length;
    else
        note_fault(h, H2_LENGTH_MALFORMED);
}

static bool add_pseudo(struct h2_head *h, struct span name, struct span value)
{
    const struct {
        const char *name;
        struct span *to;
    } pseudo[] = {{":method", &h->method}, {":scheme", &h->scheme},     {":authority", &h->authority},
                  {":path", &h->path},     {":protocol", &h->protocol}, {":status", &h->status}};
    for (size_t i = 0; i < ARRAY_LEN(pseudo); i++)
        if (span_is(name, pseudo[i].name)) {
            *pseudo[i].to = arena_copy(&h->arena, value);
            return pseudo[i].to->data != NULL;
        }
    note_fault(h, H2_MALFORMED);
    return true;
}

static void judge_field(struct h2_head *h, const struct http1_header *field)
{
    for (size_t i = 0; i < field->value.len; i++)
        if (!http1_is_text(field->value.data[i]))
            note_fault(h, H2_FIELD_BYTE);
    if (span_is(field->name, "content-length"))
        note_length(h, field->value);
    else if (span_is(field->name, "host") && h->host.data)
        note_fault(h, H2_AUTHORITY);
    else if (span_is(field->name, "host"))
        h->host = field->value;
    else if (span_is(field->name, "expect") && !span_is_nocase(field->value, "100-continue"))
        note_fault(h, H2_EXPECT);
    else if (http1_field_is_lookalike(field->name))
        note_fault(h, H2_FRAMING_LOOKALIKE);
}

bool h2_head_add(struct h2_head *h, const struct h2_limits *limits, struct span name, struct span value,
                 uint8_t flags)
{
    h->bytes += name.len + value.len + FIELD_OVERHEAD_BYTES;
    bool pseudo = name.len > 0 && name.data[0] == ':', good = h->fields && h->bytes <= limits->head_bytes;
    if (good && pseudo) {
        good = add_pseudo(h, name, value);
    } else if (good) {
        good = h->count < limits->headers;
        struct http1_header field = {.name = {NULL, 0}};
        if (good)
            field = (struct http1_header){arena_copy(&h->arena, name), arena_copy(&h->arena, value)};
        good = good && field.name.data && field.value.data;
        if (good) {
            h->flags[h->count] = flags & NGHTTP2_NV_FLAG_NO_INDEX;
            h->fields[h->count++] = field;
            judge_field(h, &field);
        }
    }
    if (!good)
        note_fault(h, H2_HEAD_TOO_LARGE);
    return good;
}

/* ---- judging ---- */

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http1_is_token(s.data[i]))
            return false;
    return s.len > 0;
}

static enum h2_fault judge_target(const struct h2_head *h, const struct h2_limits *limits,
                                  struct http1_head *head)
{
    size_t offset;
    struct span method = h->protocol.data ? span_str("GET") : h->method; /* RFC 8441, 4: it has a path */
    if (h->path.len > limits->target_bytes)
        return H2_TARGET_TOO_LONG;
    if (h->path.len == 0)
        return H2_TARGET_MALFORMED;
    for (size_t i = 0; i < h->path.len; i++)
        if (h->path.data[i] <= 0x20 || h->path.data[i] >= 0x7f || h->path.data[i] == '#')
            return H2_TARGET_MALFORMED;
    if (http1_target_parse(method, h->path, &head->target, &offset) != HTTP1_NO_FAULT)
        return H2_TARGET_MALFORMED;
    bool good = head->target.form == HTTP1_ORIGIN || head->target.form == HTTP1_ASTERISK;
    return good ? H2_NO_FAULT : H2_TARGET_MALFORMED;
}

/* RFC 9113, 8.3.1: Host, where it is there too, says the same. */
static enum h2_fault judge_authority(const struct h2_head *h, const struct h2_limits *limits,
                                     struct http1_head *head)
{
    struct host named, written;
    uint16_t usual = limits->https ? 443 : 80, port, written_port;
    struct span authority = h->authority.data ? h->authority : h->host;
    if (host_port_parse(authority, usual, &named, &port, NULL) != HOST_OK)
        return H2_AUTHORITY;
    if (h->host.data && h->authority.data &&
        (host_port_parse(h->host, usual, &written, &written_port, NULL) != HOST_OK || written_port != port ||
         !host_equal(&named, &written)))
        return H2_AUTHORITY;
    struct http1_target *t = &head->target;
    t->scheme = h->scheme;
    t->https = limits->https;
    t->authority = head->host = authority;
    t->port = port;
    http1_authority_parse(authority, &t->host, &t->port, &t->has_port);
    return H2_NO_FAULT;
}

static void fill(const struct h2_head *h, bool ended, struct http1_head *ret)
{
    ret->head_bytes = h->bytes;
    ret->minor = 1;
    ret->headers = h->fields;
    ret->header_count = h->count;
    ret->content_length = h->content_length;
    ret->keep_alive = true;
    ret->framing = ended ? HTTP1_NO_BODY : h->content_length >= 0 ? HTTP1_LENGTH : HTTP1_CHUNKED;
}

enum h2_fault h2_head_judge_request(struct h2_head *h, const struct h2_limits *limits, bool websockets,
                                    bool ended, struct http1_head *ret)
{
    *ret = (struct http1_head){.kind = HTTP1_REQUEST, .method = h->method, .raw_target = h->path};
    bool websocket = h->protocol.data && span_is(h->protocol, "websocket");
    fill(h, ended, ret);
    ret->upgrade_websocket = websocket;
    if (h->method.len > METHOD_BYTES || !is_token(h->method))
        note_fault(h, H2_METHOD_BYTE);
    if (span_is(h->method, "CONNECT") && !(websocket && websockets))
        note_fault(h, H2_CONNECT);
    else if (h->protocol.data && !span_is(h->method, "CONNECT"))
        note_fault(h, H2_MALFORMED);
    enum h2_fault fault = judge_authority(h, limits, ret);
    note_fault(h, fault);
    if (!span_is(h->method, "CONNECT") || websocket) {
        if (!span_is(h->scheme, limits->https ? "https" : "http"))
            note_fault(h, H2_SCHEME);
        struct http1_target named = ret->target;
        fault = judge_target(h, limits, ret);
        note_fault(h, fault);
        ret->target.scheme = named.scheme;
        ret->target.https = named.https;
        ret->target.authority = named.authority;
        ret->target.host = named.host;
        ret->target.port = named.port;
        ret->target.has_port = named.has_port;
    }
    return h->fault;
}

enum h2_fault h2_head_judge_response(struct h2_head *h, bool ended, struct http1_head *ret)
{
    *ret = (struct http1_head){.kind = HTTP1_RESPONSE};
    fill(h, ended, ret);
    for (size_t i = 0; i < h->status.len && i < 3; i++)
        ret->status = ret->status * 10 + (http1_is_digit(h->status.data[i]) ? h->status.data[i] - '0' : 1000);
    if (h->status.len != 3 || ret->status < 100 || ret->status > 599)
        note_fault(h, H2_MALFORMED);
    return h->fault;
}

/* ---- sending on ---- */

static nghttp2_nv nv_of(struct span name, struct span value, uint8_t flags)
{
    /* nghttp2 only reads them, and copies */
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.data, (uint8_t *)(uintptr_t)value.data, name.len,
                        value.len, flags};
}

/* Ours to say, or nothing that another recipient should act on. Alt-Svc would lead the client past the proxy; `clear` only forgets. */
static bool is_dropped(const struct http1_header *f)
{
    static const char *const DROPPED[] = {
        "connection",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "proxy-authentication-info",
        "sec-websocket-extensions",
        "transfer-encoding",
        "upgrade",
    };
    for (size_t i = 0; i < ARRAY_LEN(DROPPED); i++)
        if (span_is(f->name, DROPPED[i]))
            return true;
    return http1_is_alternative(f);
}

static nghttp2_nv *begin_nv(struct h2_head *h, size_t extra)
{
    return arena_alloc(&h->arena, (h->count + extra) * sizeof(nghttp2_nv));
}

static size_t put_fields(struct h2_head *h, nghttp2_nv *nv, size_t n)
{
    for (unsigned i = 0; i < h->count; i++)
        if (!is_dropped(&h->fields[i]))
            nv[n++] = nv_of(h->fields[i].name, h->fields[i].value, h->flags[i]);
    return n;
}

static size_t put_via(struct h2_head *h, const struct h2_limits *limits, nghttp2_nv *nv, size_t n)
{
    if (!limits->via)
        return n;
    size_t len = strlen(limits->via);
    char *text = arena_alloc(&h->arena, len + 3);
    if (!text)
        return n;
    text[0] = '2';
    text[1] = ' ';
    memcpy(text + 2, limits->via, len + 1);
    nv[n] = nv_of(span_str("via"), span_of(text, len + 2), NGHTTP2_NV_FLAG_NONE);
    return n + 1;
}

int h2_head_request_nv(struct h2_head *h, const struct h2_limits *limits, struct span authority,
                       nghttp2_nv **ret, size_t *ret_count)
{
    nghttp2_nv *nv = begin_nv(h, PSEUDO_FIELDS);
    size_t n = 0;
    if (!nv)
        return -1;
    nv[n++] = nv_of(span_str(":method"), h->method, NGHTTP2_NV_FLAG_NONE);
    nv[n++] = nv_of(span_str(":scheme"), h->scheme, NGHTTP2_NV_FLAG_NONE);
    nv[n++] = nv_of(span_str(":authority"), authority, NGHTTP2_NV_FLAG_NONE);
    nv[n++] = nv_of(span_str(":path"), h->path, NGHTTP2_NV_FLAG_NONE);
    if (h->protocol.data)
        nv[n++] = nv_of(span_str(":protocol"), h->protocol, NGHTTP2_NV_FLAG_NONE);
    n = put_fields(h, nv, n);
    *ret_count = put_via(h, limits, nv, n);
    *ret = nv;
    return 0;
}

int h2_head_response_nv(struct h2_head *h, const struct h2_limits *limits, nghttp2_nv **ret,
                        size_t *ret_count)
{
    nghttp2_nv *nv = begin_nv(h, PSEUDO_FIELDS);
    if (!nv)
        return -1;
    nv[0] = nv_of(span_str(":status"), h->status, NGHTTP2_NV_FLAG_NONE);
    *ret_count = put_via(h, limits, nv, put_fields(h, nv, 1));
    *ret = nv;
    return 0;
}

int h2_head_trailers_nv(struct h2_head *h, nghttp2_nv **ret, size_t *ret_count)
{
    nghttp2_nv *nv = begin_nv(h, 1);
    size_t n = 0;
    if (!nv)
        return -1;
    for (unsigned i = 0; i < h->count; i++)
        if (http1_may_be_trailer(h->fields[i].name))
            nv[n++] = nv_of(h->fields[i].name, h->fields[i].value, h->flags[i]);
    *ret = nv;
    *ret_count = n;
    return 0;
}
