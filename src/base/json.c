/* json.c: see json.h. Pure. */
#include "base/json.h"

#include <math.h>

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){.out = out};
}

/* Length of the valid UTF-8 sequence at s (RFC 3629: no overlongs, no surrogates, at most U+10FFFF), or 0. */
static size_t utf8_len(const uint8_t *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
               : (s[0] & 0xf0) == 0xe0        ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool odd = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
               (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return odd ? 0 : n;
}

static void write_escape(struct buf *out, uint8_t c)
{
    static const char short_form[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (c == '"' || c == '\\')
        buf_append(out, (char[]){'\\', (char)c}, 2);
    else if (c < sizeof short_form && short_form[c])
        buf_append(out, (char[]){'\\', short_form[c]}, 2);
    else
        buf_printf(out, "\\u%04x", c);
}

/* Nearly all of what is written: printable ASCII that needs no escape. */
static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_run(struct span text)
{
    size_t i = 0;
    while (i < text.len && is_plain(text.data[i]))
        i++;
    return i;
}

/* Quotes around what needs no change, and `after` behind them, in one piece: nearly all that is written. False: not done. */
static bool write_plain(struct buf *out, struct span text, struct span after)
{
    size_t bytes = text.len + after.len + 2, room = 0;
    if (out->failed || plain_run(text) != text.len)
        return false;
    uint8_t *to = buf_reserve(out, bytes, &room);
    if (!to || room < bytes)
        return false;
    to[0] = '"';
    if (text.len > 0)
        memcpy(to + 1, text.data, text.len);
    to[text.len + 1] = '"';
    for (size_t i = 0; i < after.len; i++)
        to[text.len + 2 + i] = after.data[i];
    buf_commit(out, bytes);
    return true;
}

static void write_string(struct buf *out, struct span text)
{
    if (write_plain(out, text, (struct span){NULL, 0}))
        return;
    buf_append(out, "\"", 1);
    size_t plain = 0; /* start of the run that needs no change */
    for (size_t i = 0; i < text.len;) {
        uint8_t c = text.data[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
        size_t n = utf8_len(text.data + i, text.len - i);
        bool c1_control = n == 2 && c == 0xc2 && text.data[i + 1] < 0xa0;
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && !c1_control) {
            i += n;
            continue;
        }
        buf_append(out, text.data + plain, i - plain);
        if (n == 0)
            buf_append_str(out, "\xef\xbf\xbd");
        else
            write_escape(out, c1_control ? text.data[i + 1] : c);
        i += n ? n : 1;
        plain = i;
    }
    buf_append(out, text.data ? text.data + plain : NULL, text.len - plain);
    buf_append(out, "\"", 1);
}

static void begin_value(struct json *j, const char *key)
{
    if (j->need_comma)
        buf_append(j->out, ",", 1);
    if (key && !write_plain(j->out, span_str(key), span_str(":"))) {
        write_string(j->out, span_str(key));
        buf_append(j->out, ":", 1);
    }
    j->need_comma = true;
}

static void open_scope(struct json *j, const char *key, const char *bracket)
{
    begin_value(j, key);
    buf_append(j->out, bracket, 1);
    j->need_comma = false;
    j->depth++;
}

static void close_scope(struct json *j, const char *bracket)
{
    buf_append(j->out, bracket, 1);
    j->need_comma = true;
    j->depth--;
}

void json_object(struct json *j, const char *key)
{
    open_scope(j, key, "{");
}

void json_end_object(struct json *j)
{
    close_scope(j, "}");
}

void json_array(struct json *j, const char *key)
{
    open_scope(j, key, "[");
}

void json_end_array(struct json *j)
{
    close_scope(j, "]");
}

void json_str(struct json *j, const char *key, const char *text)
{
    if (text)
        json_span(j, key, span_str(text));
    else
        json_null(j, key);
}

void json_span(struct json *j, const char *key, struct span text)
{
    begin_value(j, key);
    write_string(j->out, text);
}

void json_int(struct json *j, const char *key, int64_t value)
{
    begin_value(j, key);
    if (value < 0)
        buf_append(j->out, "-", 1);
    buf_append_uint(j->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    begin_value(j, key);
    buf_append_str(j->out, value ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
    begin_value(j, key);
    buf_append_str(j->out, "null");
}

/* What records have: small numbers with few decimals, without printf's arbitrary precision. False: nothing was written. */
static bool write_fixed(struct buf *out, double value, int decimals)
{
    static const unsigned powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    if (decimals < 0 || decimals >= (int)(sizeof powers / sizeof powers[0]) || fabs(value) > 1e9)
        return false;
    unsigned power = powers[decimals];
    uint64_t scaled = (uint64_t)llround(fabs(value) * power), fraction = scaled % power;
    if (value < 0 && scaled > 0)
        buf_append(out, "-", 1);
    buf_append_uint(out, scaled / power);
    if (decimals == 0)
        return true;
    buf_append(out, ".", 1);
    for (unsigned below = power / 10; below > 1 && fraction < below; below /= 10)
        buf_append(out, "0", 1);
    buf_append_uint(out, fraction);
    return true;
}

void json_double(struct json *j, const char *key, double value, int decimals)
{
    if (!isfinite(value)) {
        json_null(j, key);
        return;
    }
    begin_value(j, key);
    if (!write_fixed(j->out, value, decimals))
        buf_printf(j->out, "%.*f", decimals, value);
}

void json_raw(struct json *j, const char *key, struct span text)
{
    begin_value(j, key);
    buf_append(j->out, text.data, text.len);
}
