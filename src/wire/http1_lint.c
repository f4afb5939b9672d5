/* http1_lint.c: see http1_lint.h. One state a byte class, one function a state; runs of plain bytes are skipped in
 * tight loops. A step looks at bytes[scan->pos], moves on, and says PARSE_MORE to go on. Pure. */
#include "wire/http1_lint.h"

#include "base/must.h"
#include "wire/http1_chars.h"
#include "wire/http1_field.h"
#include "wire/http1_target.h"

enum { METHOD_BYTES = 32, VERSION_BYTES = 8 };

enum state {
    AT_METHOD,
    AT_TARGET,
    AT_TARGET_LF,
    AT_VERSION,
    AT_STATUS,
    AT_REASON,
    AT_FIRST_LF,
    AT_LINE,
    AT_NAME,
    AT_VALUE,
    AT_VALUE_LF,
    AT_END_LF,
    AT_DONE,
    AT_BAD
};

enum parse http1_lint_bad(struct http1_scan *scan, enum http1_fault fault, size_t offset)
{
    scan->state = AT_BAD;
    scan->fault = (struct http1_fault_at){fault, offset};
    return PARSE_BAD;
}

static enum parse go(struct http1_scan *s, enum state state)
{
    s->state = (uint8_t)state;
    s->mark = ++s->pos;
    return PARSE_MORE;
}

/* A byte that the current part can't hold: line ends have their own names. */
static enum parse bad_byte(struct http1_scan *s, uint8_t c, enum http1_fault fault)
{
    return http1_lint_bad(s, c == '\n' ? HTTP1_BARE_LF : fault, s->pos);
}

static enum parse at_method(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    uint8_t c = bytes.data[s->pos];
    if (s->pos == 0 && (c == '\r' || c == '\n'))
        return http1_lint_bad(s, HTTP1_EMPTY_LINE_FIRST, 0);
    if (http1_is_token(c) && s->pos < METHOD_BYTES) {
        s->pos++;
        return PARSE_MORE;
    }
    if (c != ' ' || s->pos == 0)
        return bad_byte(s, c, HTTP1_METHOD_BYTE);
    s->method_end = s->pos;
    if (span_is(http1_cut(bytes, 0, s->pos), "PRI"))
        return http1_lint_bad(s, HTTP1_H2_PREFACE, 0);
    s->target = s->pos + 1;
    return go(s, AT_TARGET);
}

static enum parse target_end(struct http1_scan *s, struct span bytes)
{
    struct http1_target unused;
    size_t offset;
    s->target_end = s->pos;
    enum http1_fault fault = http1_target_parse(http1_cut(bytes, 0, s->method_end),
                                                http1_cut(bytes, s->target, s->pos), &unused, &offset);
    if (fault != HTTP1_NO_FAULT)
        return http1_lint_bad(s, fault, s->target + offset);
    return go(s, AT_VERSION);
}

static enum parse at_target(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    while (s->pos < bytes.len) {
        uint8_t c = bytes.data[s->pos];
        size_t len = s->pos - s->target;
        if (c == ' ' && len > 0)
            return target_end(s, bytes);
        if (c == ' ')
            return http1_lint_bad(s, HTTP1_LINE_SPACING, s->pos);
        if (c == '\r')
            return go(s, AT_TARGET_LF);
        if (c == '#')
            return http1_lint_bad(s, HTTP1_TARGET_FRAGMENT, s->pos);
        if (c < 0x21 || c > 0x7e)
            return bad_byte(s, c, HTTP1_TARGET_BYTE);
        if (len >= limits->target_bytes)
            return http1_lint_bad(s, HTTP1_TARGET_TOO_LONG, s->pos);
        s->pos++;
    }
    return PARSE_MORE;
}

static enum parse at_target_lf(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    bool lf = bytes.data[s->pos] == '\n';
    return http1_lint_bad(s, lf ? HTTP1_HTTP09 : HTTP1_BARE_CR, s->pos - 1);
}

/* The byte after the eight of "HTTP/1.1". */
static enum parse version_end(struct http1_scan *s, struct span bytes)
{
    const uint8_t *version = bytes.data + s->mark;
    uint8_t c = bytes.data[s->pos], wanted = s->kind == HTTP1_REQUEST ? '\r' : ' ';
    if (c != wanted)
        return bad_byte(s, c, c == ' ' ? HTTP1_LINE_SPACING : HTTP1_VERSION_MALFORMED);
    if (version[5] != '1' || version[7] > '1')
        return http1_lint_bad(s, HTTP1_VERSION_UNSUPPORTED, s->mark);
    s->minor = version[7] - '0';
    return go(s, s->kind == HTTP1_REQUEST ? AT_FIRST_LF : AT_STATUS);
}

static enum parse at_version(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    static const char SHAPE[VERSION_BYTES + 1] = "HTTP/0.0"; /* 0 stands for any digit */
    uint8_t c = bytes.data[s->pos];
    size_t i = s->pos - s->mark;
    if (i == VERSION_BYTES)
        return version_end(s, bytes);
    if (SHAPE[i] == '0' ? http1_is_digit(c) : c == (uint8_t)SHAPE[i]) {
        s->pos++;
        return PARSE_MORE;
    }
    if (s->kind == HTTP1_RESPONSE && i == 0 && (c == '\r' || c == '\n'))
        return http1_lint_bad(s, HTTP1_EMPTY_LINE_FIRST, 0);
    /* Another word where the version should begin: the target was followed by more than the version. */
    bool spacing = s->kind == HTTP1_REQUEST && i == 0 && (c | 0x20) != 'h' && c != '\r';
    return bad_byte(s, c, spacing ? HTTP1_LINE_SPACING : HTTP1_VERSION_MALFORMED);
}

static enum parse at_status(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    uint8_t c = bytes.data[s->pos];
    size_t i = s->pos - s->mark;
    if (i == 0 && c == ' ')
        return http1_lint_bad(s, HTTP1_LINE_SPACING, s->pos);
    bool first_ok = i > 0 || (c >= '1' && c <= '5');
    if (i < 3 && http1_is_digit(c) && first_ok) {
        s->status = s->status * 10 + (c - '0');
        s->pos++;
        return PARSE_MORE;
    }
    if (i != 3 || (c != ' ' && c != '\r'))
        return bad_byte(s, c, HTTP1_STATUS_MALFORMED);
    s->reason = s->pos + (c == ' '); /* "HTTP/1.1 200" without the space is common, and clear */
    s->reason_end = s->reason;
    return go(s, c == ' ' ? AT_REASON : AT_FIRST_LF);
}

static enum parse at_reason(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    while (s->pos < bytes.len && http1_is_text(bytes.data[s->pos]))
        s->pos++;
    if (s->pos == bytes.len)
        return PARSE_MORE;
    if (bytes.data[s->pos] != '\r')
        return bad_byte(s, bytes.data[s->pos], HTTP1_REASON_BYTE);
    s->reason_end = s->pos;
    return go(s, AT_FIRST_LF);
}

static enum parse at_first_lf(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    if (bytes.data[s->pos] != '\n')
        return http1_lint_bad(s, HTTP1_BARE_CR, s->pos - 1);
    s->fields = s->pos + 1;
    return go(s, AT_LINE);
}

static enum parse at_line(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    uint8_t c = bytes.data[s->pos];
    s->line = s->pos;
    if (c == '\r')
        return go(s, AT_END_LF);
    if (http1_is_ows(c))
        return http1_lint_bad(s, HTTP1_OBS_FOLD, s->pos);
    if (c == ':')
        return http1_lint_bad(s, HTTP1_NAME_EMPTY, s->pos);
    if (!http1_is_token(c))
        return bad_byte(s, c, HTTP1_NAME_BYTE);
    if (s->headers >= limits->headers)
        return http1_lint_bad(s, HTTP1_HEADERS_TOO_MANY, s->pos);
    s->headers++;
    return go(s, AT_NAME);
}

static enum parse at_name(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    while (s->pos < bytes.len && http1_is_token(bytes.data[s->pos]))
        s->pos++;
    if (s->pos == bytes.len)
        return PARSE_MORE;
    uint8_t c = bytes.data[s->pos];
    if (c != ':')
        return bad_byte(s, c, http1_is_ows(c) ? HTTP1_SPACE_BEFORE_COLON : HTTP1_NAME_BYTE);
    s->name_end = s->pos;
    return go(s, AT_VALUE);
}

static enum parse at_value(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    while (s->pos < bytes.len && http1_is_text(bytes.data[s->pos]))
        s->pos++;
    if (s->pos == bytes.len)
        return PARSE_MORE;
    if (bytes.data[s->pos] != '\r')
        return bad_byte(s, bytes.data[s->pos], HTTP1_VALUE_BYTE);
    s->pos++; /* mark stays at the value's start */
    s->state = AT_VALUE_LF;
    return PARSE_MORE;
}

static enum parse at_value_lf(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    if (bytes.data[s->pos] != '\n')
        return http1_lint_bad(s, HTTP1_BARE_CR, s->pos - 1);
    if (!s->trailers) {
        struct span name = http1_cut(bytes, s->line, s->name_end);
        struct span value = http1_trim(http1_cut(bytes, s->mark, s->pos - 1));
        enum http1_fault fault = http1_field_judge(s, bytes, name, value);
        if (fault != HTTP1_NO_FAULT)
            return http1_lint_bad(s, fault, s->line);
    }
    return go(s, AT_LINE);
}

static enum parse at_end_lf(struct http1_scan *s, struct span bytes, const struct http1_limits *limits)
{
    (void)limits;
    if (bytes.data[s->pos] != '\n')
        return http1_lint_bad(s, HTTP1_BARE_CR, s->pos - 1);
    enum http1_fault fault = s->trailers ? HTTP1_NO_FAULT : http1_field_judge_end(s, bytes);
    if (fault != HTTP1_NO_FAULT)
        return http1_lint_bad(s, fault, s->line);
    go(s, AT_DONE);
    return PARSE_OK;
}

static enum parse (*const STEPS[])(struct http1_scan *, struct span, const struct http1_limits *) = {
    [AT_METHOD] = at_method,     [AT_TARGET] = at_target,     [AT_TARGET_LF] = at_target_lf,
    [AT_VERSION] = at_version,   [AT_STATUS] = at_status,     [AT_REASON] = at_reason,
    [AT_FIRST_LF] = at_first_lf, [AT_LINE] = at_line,         [AT_NAME] = at_name,
    [AT_VALUE] = at_value,       [AT_VALUE_LF] = at_value_lf, [AT_END_LF] = at_end_lf,
};

void http1_scan_init(struct http1_scan *scan, enum http1_kind kind, struct http1_asked asked)
{
    *scan = (struct http1_scan){.kind = kind, .asked = asked, .content_length = -1};
    scan->state = kind == HTTP1_REQUEST ? AT_METHOD : AT_VERSION;
}

void http1_lint_init_trailers(struct http1_scan *scan)
{
    *scan = (struct http1_scan){.state = AT_LINE, .trailers = true, .content_length = -1};
}

enum parse http1_lint(struct http1_scan *scan, struct span bytes, const struct http1_limits *limits)
{
    if (scan->state == AT_DONE)
        return PARSE_OK;
    if (scan->state == AT_BAD)
        return PARSE_BAD;
    if (bytes.len > limits->head_bytes)
        bytes.len = limits->head_bytes;
    must(scan->pos <= bytes.len);
    enum parse answer = PARSE_MORE;
    while (answer == PARSE_MORE && scan->pos < bytes.len)
        answer = STEPS[scan->state](scan, bytes, limits);
    if (answer == PARSE_MORE && scan->pos >= limits->head_bytes)
        return http1_lint_bad(scan, HTTP1_HEAD_TOO_LARGE, scan->pos);
    return answer;
}
