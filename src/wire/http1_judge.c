/* http1_judge.c: see http1_judge.h. llhttp calls back with pieces of the very bytes it is fed, so that places can be
 * compared, not only contents. Pure. */
#include "wire/http1_judge.h"

#include "base/must.h"
#include "wire/http1_chars.h"

#include <llhttp.h>

struct judge {
    const struct http1_head *head; /* borrowed for the call */
    struct span target;            /* view into the bytes: what llhttp says so far */
    struct span name, value;       /* of the header that is being read */
    size_t count;                  /* headers agreed on */
    bool differs, complete;
};

/* Adds a piece that must follow the pieces before it. */
static void piece(struct judge *j, struct span *whole, const char *at, size_t len)
{
    if (whole->len == 0)
        *whole = span_of(at, len);
    else if (whole->data + whole->len == (const uint8_t *)at)
        whole->len += len;
    else
        j->differs = true;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct judge *j = parser->data;
    piece(j, &j->target, at, len);
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct judge *j = parser->data;
    piece(j, &j->name, at, len);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct judge *j = parser->data;
    piece(j, &j->value, at, len);
    return 0;
}

static bool same_place(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || a.data == b.data);
}

static int on_value_complete(llhttp_t *parser)
{
    struct judge *j = parser->data;
    if (j->count < j->head->header_count) {
        const struct http1_header *ours = &j->head->headers[j->count];
        if (!same_place(j->name, ours->name) || !same_place(http1_trim(j->value), ours->value))
            j->differs = true;
    }
    j->count++;
    j->name = j->value = (struct span){NULL, 0};
    return 0;
}

static bool framing_same(const struct http1_head *head, const llhttp_t *parser)
{
    bool chunked = (parser->flags & F_CHUNKED) != 0, te = (parser->flags & F_TRANSFER_ENCODING) != 0;
    bool length = (parser->flags & F_CONTENT_LENGTH) != 0;
    if (chunked != head->chunked || te != head->chunked || length != (head->content_length >= 0))
        return false;
    return !length || parser->content_length == (uint64_t)head->content_length;
}

/* llhttp fills its fields by here; later it may reset them. */
static int on_head(llhttp_t *parser)
{
    struct judge *j = parser->data;
    const struct http1_head *head = j->head;
    bool same = j->count == head->header_count && parser->http_major == 1 &&
                parser->http_minor == head->minor && framing_same(head, parser);
    if (head->kind == HTTP1_RESPONSE)
        same = same && parser->status_code == head->status;
    else
        same = same && same_place(j->target, head->raw_target);
    j->differs = j->differs || !same;
    j->complete = true;
    return 0;
}

/* The methods llhttp knows in HTTP; for all others a stand-in is fed in place of the method, because HTTP is open
 * to new ones. -1: not known. */
static int known_method(struct span method)
{
    static const char *const NAMES[] = {
#define X(number, name, text) [number] = #text,
        HTTP_METHOD_MAP(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (NAMES[i] && span_is(method, NAMES[i]))
            return (int)i;
    return -1;
}

static bool feed(llhttp_t *parser, struct span bytes)
{
    llhttp_errno_t error = llhttp_execute(parser, (const char *)bytes.data, bytes.len);
    return error == HPE_OK || error == HPE_PAUSED_UPGRADE;
}

bool http1_judge_agrees(const struct http1_head *head, struct span bytes)
{
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_value_complete;
    settings.on_headers_complete = on_head;
    struct judge j = {.head = head};
    llhttp_t parser;
    llhttp_init(&parser, head->kind == HTTP1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    parser.data = &j;

    size_t start = 0;
    int method = HTTP_POST;
    if (head->kind == HTTP1_REQUEST) {
        method = known_method(head->method);
        if (method < 0) {
            method = HTTP_POST;
            start = head->method.len;
            if (!feed(&parser, span_str("POST")))
                return false;
        }
    }
    /* Whole with the last byte, and not before it. */
    if (!feed(&parser, http1_cut(bytes, start, bytes.len - 1)) || j.complete)
        return false;
    if (!feed(&parser, http1_cut(bytes, bytes.len - 1, bytes.len)) || !j.complete || j.differs)
        return false;
    return head->kind == HTTP1_RESPONSE || parser.method == method;
}
