/* refuse.c: saying no: an HTTP answer that names the reason, the sender and the record, as JSON for tools and as a page for
 * people; after the 200 a TLS alert. (Browsers never show the body of a refused CONNECT; tools and this page's readers do.)
 * A step of the hub; touches the client's side. */
#include "flow/flow.h"

#include "base/json.h"

#include <stdio.h>

enum { BODY_BYTES_MAX = 16384, RETRY_AFTER_S = 10 };

/* ---- the body ---- */

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {400, "Bad Request"},           {403, "Forbidden"},
        {405, "Method Not Allowed"},    {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},       {414, "URI Too Long"},
        {417, "Expectation Failed"},    {421, "Misdirected Request"},
        {429, "Too Many Requests"},     {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"},
        {502, "Bad Gateway"},           {503, "Service Unavailable"},
        {504, "Gateway Timeout"},       {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Error";
}

static const char *sender_text(const struct flow *f, char *out, size_t size)
{
    const struct sender *s = f->attribution.sender;
    const char *confidence = agent_confidence_name(f->attribution.confidence);
    if (s)
        snprintf(out, size, "%s (pid %lld%s%s)", s->executable ? s->executable : "?", (long long)s->pid,
                 s->user ? ", user " : "", s->user ? s->user : "");
    else
        snprintf(out, size, "%s%s%s", confidence, f->attribution.reason[0] ? ": " : "",
                 f->attribution.reason);
    return out;
}

static void write_json_body(const struct flow *f, struct buf *body)
{
    const struct exchange *x = f->x;
    const struct reason_row *row = &reason_table[x->reason];
    struct json j;
    char text[512];
    json_init(&j, body);
    json_object(&j, NULL);
    json_str(&j, "error", row->name);
    json_str(&j, "message", row->text);
    json_str(&j, "detail", x->detail[0] ? x->detail : NULL);
    json_str(&j, "sender", sender_text(f, text, sizeof text));
    if (x->port)
        json_str(&j, "destination", host_port_format(&x->host, x->port, 0, text));
    json_str(&j, "record", x->id);
    json_end_object(&j);
    buf_append_str(body, "\n");
}

/* Everything from outside goes through here: a path or a host is no markup. */
static void write_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity)
            buf_append_str(out, entity);
        else
            buf_append(out, (unsigned char)*text < 0x20 ? "?" : text, 1);
    }
}

static void write_row(struct buf *out, const char *label, const char *text)
{
    if (!text || !text[0])
        return;
    buf_printf(out, "<tr><th>%s</th><td>", label);
    write_escaped(out, text);
    buf_append_str(out, "</td></tr>\n");
}

static void write_html_body(const struct flow *f, struct buf *body)
{
    const struct exchange *x = f->x;
    const struct reason_row *row = &reason_table[x->reason];
    char sender[512], destination[AUTHORITY_TEXT_BYTES] = "";
    if (x->port)
        host_port_format(&x->host, x->port, 0, destination);
    buf_append_str(body,
                   "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Not let out</title>\n"
                   "<style>body{font:16px/1.5 sans-serif;max-width:44em;margin:3em auto;padding:0 1em}"
                   "th{text-align:left;padding-right:1.5em;vertical-align:top}</style>\n<h1>");
    write_escaped(body, row->text);
    buf_append_str(body, "</h1>\n<p>The egress proxy did not let this request out.</p>\n<table>\n");
    write_row(body, "Destination", destination);
    write_row(body, "Sender", sender_text(f, sender, sizeof sender));
    write_row(body, "Reason", row->name);
    write_row(body, "Detail", x->detail);
    write_row(body, "Record", x->id);
    buf_append_str(body, "</table>\n<p>Whoever runs the proxy finds the record by its id.</p>\n</html>\n");
}

static void write_body(const struct flow *f, struct buf *body)
{
    if (f->x->wants_html)
        write_html_body(f, body);
    else
        write_json_body(f, body);
}

static const char *body_type(const struct exchange *x)
{
    return x->wants_html ? "text/html; charset=utf-8" : "application/json";
}

/* ---- the answer ---- */

int refuse_status(const struct exchange *x)
{
    return x->fault_status ? x->fault_status : reason_table[x->reason].http_status;
}

/* RFC 9209. The error type is registered; `details` is an sf-string: printable ASCII, quotes and backslashes escaped. */
static void write_proxy_status(const struct flow *f, struct buf *out)
{
    const struct reason_row *row = &reason_table[f->x->reason];
    buf_append_str(out, flow_conf(f)->http.via);
    if (row->proxy_status_error[0])
        buf_printf(out, "; error=%s", row->proxy_status_error);
    buf_printf(out, "; details=\"%s", row->name);
    if (f->x->detail[0])
        buf_append_str(out, ": ");
    for (const char *c = f->x->detail; *c; c++)
        buf_printf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    buf_append_str(out, "\"");
}

/* A plain request without a body that was read whole leaves the connection fit for the next one. */
static bool may_keep(const struct flow *f)
{
    const struct exchange *x = f->x;
    return x->whole && !x->connect && !x->head_consumed && x->client_keep_alive &&
           x->request.framing == HTTP1_NO_BODY && !f->env->stopping && !f->client.eof;
}

static void write_http(struct flow *f, bool keep)
{
    const struct exchange *x = f->x;
    struct buf body, *out = &f->client.out;
    int status = refuse_status(x);
    buf_init(&body, BODY_BYTES_MAX);
    write_body(f, &body);
    /* what stands in `out` already are whole interim responses */
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    buf_append_str(out, "Proxy-Status: ");
    write_proxy_status(f, out);
    buf_append_str(out, "\r\n");
    if (status == 407)
        buf_printf(out, "Proxy-Authenticate: Basic realm=\"%s\", charset=\"UTF-8\"\r\n",
                   flow_conf(f)->auth.realm);
    if (status == 405)
        buf_append_str(out, "Allow: CONNECT, GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    if (status == 429 || status == 503)
        buf_printf(out, "Retry-After: %d\r\n", RETRY_AFTER_S);
    buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s\r\n",
               body_type(x), buf_len(&body), keep ? "" : "Connection: close\r\n");
    if (!x->head)
        buf_append(out, buf_span(&body).data, buf_len(&body));
    buf_free(&body);
}

static struct http1_header field_of(struct arena *arena, const char *name, struct span value)
{
    return (struct http1_header){span_str(name), arena_copy(arena, value)};
}

int refuse_compose(const struct flow *f, struct arena *arena, struct buf *body,
                   struct http1_header ret_fields[REFUSE_FIELDS], size_t *ret_count)
{
    const struct exchange *x = f->x;
    int status = refuse_status(x);
    struct buf text;
    size_t n = 0;
    char digits[24];
    write_body(f, body);
    buf_init(&text, 4096);
    write_proxy_status(f, &text);
    ret_fields[n++] = field_of(arena, "proxy-status", buf_span(&text));
    snprintf(digits, sizeof digits, "%zu", buf_len(body));
    ret_fields[n++] = field_of(arena, "content-type", span_str(body_type(x)));
    ret_fields[n++] = field_of(arena, "content-length", span_str(digits));
    ret_fields[n++] = field_of(arena, "cache-control", span_str("no-store"));
    snprintf(digits, sizeof digits, "%d", RETRY_AFTER_S);
    if (status == 429 || status == 503)
        ret_fields[n++] = field_of(arena, "retry-after", span_str(digits));
    bool good = !text.failed && !body->failed;
    for (size_t i = 0; i < n; i++)
        good = good && ret_fields[i].value.data;
    buf_free(&text);
    *ret_count = n;
    return good ? 0 : -1;
}

/* RFC 8446, 6: a fatal alert in a plaintext record. access_denied when policy says no. */
static void write_alert(struct flow *f)
{
    enum { ACCESS_DENIED = 49, INTERNAL_ERROR = 80 };
    bool policy = f->x->decided && f->x->verdict.action == VERDICT_BLOCK;
    const uint8_t alert[] = {21, 3, 3, 0, 2, 2, policy ? ACCESS_DENIED : INTERNAL_ERROR};
    buf_append(&f->client.out, alert, sizeof alert);
}

enum step flow_refuse(struct flow *f)
{
    struct exchange *x = f->x;
    bool http = f->answer == ANSWER_HTTP, keep = http && may_keep(f);
    if (!x->refusal_written) {
        x->refusal_written = true;
        side_close(&f->server, NET_CLOSE_RST); /* it got nothing, or half a request */
        if (http)
            write_http(f, keep);
        else
            write_alert(f);
        if (f->client.out.failed)
            return flow_fail(f, REASON_NO_MEMORY, NULL);
    }
    enum side_io io = side_flush(&f->client);
    if (io == SIDE_AGAIN)
        return WAIT;
    if (io == SIDE_FAILED)
        return flow_client_ended(f, io);
    if (!keep)
        return flow_goto(f, FLOW_CLOSING);
    buf_consume(&f->client.in, x->request.head_bytes);
    f->reason = REASON_NONE; /* one refused exchange doesn't poison the next */
    flow_goto(f, FLOW_REQUEST);
    exchange_end(f);
    return MOVE;
}
