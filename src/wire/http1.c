/* http1.c: builds the head from what the lint accepted. See http1.h. Pure: touches the caller's arena only. */
#include "wire/http1.h"

#include "base/must.h"
#include "wire/http1_chars.h"
#include "wire/http1_judge.h"
#include "wire/http1_lint.h"
#include "wire/http1_target.h"

static const struct {
    const char *name, *text;
    int status;
} FAULTS[] = {
    {"none", "nothing is wrong", 200},
#define X(NAME, name, status, text) {name, text, status},
#include "wire/http1_faults.def"
#undef X
};

const char *http1_fault_name(enum http1_fault fault)
{
    must((size_t)fault < ARRAY_LEN(FAULTS));
    return FAULTS[fault].name;
}

const char *http1_fault_text(enum http1_fault fault)
{
    must((size_t)fault < ARRAY_LEN(FAULTS));
    return FAULTS[fault].text;
}

int http1_fault_status(enum http1_fault fault)
{
    must((size_t)fault < ARRAY_LEN(FAULTS));
    return FAULTS[fault].status;
}

struct span http1_field_line(struct span rest, struct http1_header *ret)
{
    const uint8_t *colon = memchr(rest.data, ':', rest.len);
    must(colon);
    size_t name_len = (size_t)(colon - rest.data);
    const uint8_t *cr = memchr(colon, '\r', rest.len - name_len);
    must(cr);
    size_t end = (size_t)(cr - rest.data);
    ret->name = http1_cut(rest, 0, name_len);
    ret->value = http1_trim(http1_cut(rest, name_len + 1, end));
    return http1_cut(rest, end + 2, rest.len);
}

/* The lint's first pass counted; this one fills. -1 when the arena is spent. */
static int fill_headers(const struct http1_scan *scan, struct span bytes, struct arena *arena,
                        struct http1_head *head)
{
    struct http1_header *headers = arena_alloc(arena, scan->headers * sizeof *headers);
    struct span *tokens = arena_alloc(arena, scan->connection_tokens * sizeof *tokens);
    if (!headers || !tokens)
        return -1;
    size_t token_count = 0;
    struct span rest = http1_cut(bytes, scan->fields, bytes.len);
    for (unsigned i = 0; i < scan->headers; i++) {
        rest = http1_field_line(rest, &headers[i]);
        if (!span_is_nocase(headers[i].name, "connection"))
            continue;
        struct span value = headers[i].value, token;
        while (http1_list_next(&value, &token)) {
            must(token_count < scan->connection_tokens);
            tokens[token_count++] = token;
        }
    }
    head->headers = headers;
    head->header_count = scan->headers;
    head->connection = tokens;
    head->connection_count = token_count;
    return 0;
}

/* RFC 9112, 6.3. */
static enum http1_framing framing_of(const struct http1_scan *s)
{
    if (s->kind == HTTP1_RESPONSE) {
        if (s->status == 101 || (s->asked.connect && s->status / 100 == 2))
            return HTTP1_TUNNEL;
        if (s->asked.head || s->status < 200 || s->status == 204 || s->status == 304)
            return HTTP1_NO_BODY;
    }
    if (s->te)
        return HTTP1_CHUNKED;
    if (s->content_length > 0)
        return HTTP1_LENGTH;
    return s->content_length == 0 || s->kind == HTTP1_REQUEST ? HTTP1_NO_BODY : HTTP1_UNTIL_CLOSE;
}

static void fill_request(const struct http1_scan *s, struct span bytes, struct http1_head *head)
{
    size_t offset;
    head->method = http1_cut(bytes, 0, s->method_end);
    head->raw_target = http1_cut(bytes, s->target, s->target_end);
    enum http1_fault fault = http1_target_parse(head->method, head->raw_target, &head->target, &offset);
    must(fault == HTTP1_NO_FAULT); /* the lint asked before */
    if (s->host)
        head->host = http1_cut(bytes, s->host, s->host + s->host_len);
    if (s->proxy_auth)
        head->proxy_authorization = http1_cut(bytes, s->proxy_auth, s->proxy_auth + s->proxy_auth_len);
    head->expect_continue = s->expect_continue && s->minor == 1 && head->framing != HTTP1_NO_BODY;
    head->upgrade_websocket = s->upgrade && s->websocket && s->minor == 1 && head->framing == HTTP1_NO_BODY &&
                              span_is(head->method, "GET");
}

static void fill_response(const struct http1_scan *s, struct span bytes, struct http1_head *head)
{
    head->status = s->status;
    head->reason = http1_cut(bytes, s->reason, s->reason_end);
    head->upgrade_websocket = s->status == 101; /* no other 101 passes the lint */
}

enum parse http1_head_parse(struct http1_scan *scan, struct span bytes, const struct http1_limits *limits,
                            struct arena *arena, struct http1_head *ret, struct http1_fault_at *ret_fault)
{
    enum parse answer = http1_lint(scan, bytes, limits);
    struct http1_head head = {.kind = scan->kind, .head_bytes = scan->pos, .minor = scan->minor};
    if (answer == PARSE_OK) {
        bytes.len = scan->pos;
        head.content_length = scan->content_length;
        head.chunked = scan->te;
        head.framing = framing_of(scan);
        head.keep_alive = !scan->close && (scan->minor == 1 || scan->keep_alive);
        if (scan->kind == HTTP1_REQUEST)
            fill_request(scan, bytes, &head);
        else
            fill_response(scan, bytes, &head);
        if (fill_headers(scan, bytes, arena, &head) != 0)
            answer = http1_lint_bad(scan, HTTP1_HEAD_NO_MEMORY, 0);
        else if (!http1_judge_agrees(&head, bytes))
            answer = http1_lint_bad(scan, HTTP1_PARSERS_DISAGREE, 0);
    }
    if (answer == PARSE_BAD)
        *ret_fault = scan->fault;
    if (answer == PARSE_OK)
        *ret = head;
    return answer;
}

struct http1_asked http1_asked_of(const struct http1_head *request)
{
    return (struct http1_asked){.head = span_is(request->method, "HEAD"),
                                .connect = span_is(request->method, "CONNECT"),
                                .upgrade = request->upgrade_websocket};
}

const struct http1_header *http1_header_find(const struct http1_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++)
        if (span_is_nocase(head->headers[i].name, name))
            return &head->headers[i];
    return NULL;
}

/* The end of a list element, where commas within a comment don't count. */
static size_t via_element(struct span s)
{
    unsigned depth = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c == '\\' && depth)
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (c == ',' && !depth)
            return i;
    }
    return s.len;
}

/* `element` is: protocol, white space, received-by, and maybe a comment. */
static bool via_element_is(struct span element, const char *pseudonym)
{
    element = http1_trim(element);
    size_t i = 0;
    while (i < element.len && !http1_is_ows(element.data[i]))
        i++;
    struct span by = http1_trim(http1_cut(element, i, element.len));
    i = 0;
    while (i < by.len && !http1_is_ows(by.data[i]) && by.data[i] != '(')
        i++;
    return span_is_nocase(http1_cut(by, 0, i), pseudonym);
}

bool http1_via_has(const struct http1_head *head, const char *pseudonym)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (!span_is_nocase(head->headers[i].name, "via"))
            continue;
        struct span rest = head->headers[i].value;
        while (rest.len) {
            size_t len = via_element(rest);
            if (via_element_is(http1_cut(rest, 0, len), pseudonym))
                return true;
            rest = span_from(rest, len + 1);
        }
    }
    return false;
}
