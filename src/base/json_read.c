/* json_read.c: see json_read.h. Pure. */
#include "base/json_read.h"

#include "base/hex.h"
#include "base/utf8.h"

struct reader {
    struct span text;
    size_t at, count, max;
    struct json_value *values; /* borrowed: the caller's */
    unsigned depth;
};

static int peek(const struct reader *r)
{
    return r->at < r->text.len ? r->text.data[r->at] : -1;
}

static void skip_space(struct reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\r' || peek(r) == '\n')
        r->at++;
}

static struct json_value *add(struct reader *r, enum json_type type)
{
    if (r->count == r->max)
        return NULL;
    struct json_value *v = &r->values[r->count++];
    *v = (struct json_value){.type = type, .start = (uint32_t)r->at, .end = (uint32_t)r->count};
    return v;
}

static bool read_digits(struct reader *r)
{
    size_t start = r->at;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at > start;
}

static bool read_number(struct reader *r)
{
    struct json_value *v = add(r, JSON_NUMBER);
    if (peek(r) == '-')
        r->at++;
    if (peek(r) == '0')
        r->at++;
    else if (!read_digits(r))
        return false;
    if (peek(r) == '.') {
        r->at++;
        if (!read_digits(r))
            return false;
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        if (!read_digits(r))
            return false;
    }
    if (v)
        v->len = (uint32_t)r->at - v->start;
    return v != NULL;
}

static bool read_word(struct reader *r, enum json_type type, const char *word)
{
    size_t len = strlen(word);
    if (r->text.len - r->at < len || memcmp(r->text.data + r->at, word, len) != 0 || !add(r, type))
        return false;
    r->at += len;
    return true;
}

/* The four digits at `at`; -1 without. */
static int hex4(struct span text, size_t at)
{
    int value = 0;
    if (text.len < at || text.len - at < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_value(text.data[at + i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Behind the backslash: how many bytes the escape has there; 0: it is none. */
static size_t escape_len(struct span text, size_t at)
{
    int c = at < text.len ? text.data[at] : -1;
    if (c > 0 && strchr("\"\\/bfnrt", c))
        return 1;
    int unit = c == 'u' ? hex4(text, at + 1) : -1;
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return 0;
    if (unit < 0xd800 || unit > 0xdbff)
        return 5;
    bool has_second = text.len - at > 10 && text.data[at + 5] == '\\' && text.data[at + 6] == 'u';
    int second = has_second ? hex4(text, at + 7) : -1;
    return second >= 0xdc00 && second <= 0xdfff ? 11 : 0;
}

static bool read_string(struct reader *r)
{
    if (peek(r) != '"')
        return false;
    r->at++;
    struct json_value *v = add(r, JSON_STRING);
    for (int c; v && (c = peek(r)) != '"'; r->at++) {
        size_t escape = c == '\\' ? escape_len(r->text, r->at + 1) : 0;
        if (c < ' ' || (c == '\\' && escape == 0))
            return false;
        r->at += escape;
    }
    if (v)
        v->len = (uint32_t)r->at++ - v->start;
    return v != NULL;
}

static bool read_value(struct reader *r);

/* Behind the opening bracket. A map's items are pairs. */
static bool read_items(struct reader *r, int close, bool is_map)
{
    skip_space(r);
    if (peek(r) == close) {
        r->at++;
        return true;
    }
    for (;;) {
        skip_space(r);
        if (is_map) {
            if (!read_string(r))
                return false;
            skip_space(r);
            if (peek(r) != ':')
                return false;
            r->at++;
        }
        if (!read_value(r))
            return false;
        skip_space(r);
        int c = peek(r);
        if (c != ',' && c != close)
            return false;
        r->at++;
        if (c == close)
            return true;
    }
}

static bool read_container(struct reader *r, bool is_map)
{
    struct json_value *v = add(r, is_map ? JSON_MAP : JSON_LIST);
    if (!v || r->depth == JSON_READ_DEPTH_MAX)
        return false;
    r->depth++;
    r->at++;
    bool good = read_items(r, is_map ? '}' : ']', is_map);
    r->depth--;
    v->end = (uint32_t)r->count;
    v->len = (uint32_t)r->at - v->start;
    return good;
}

/* Depth is bounded: read_container() counts. */
static bool read_value(struct reader *r)
{
    skip_space(r);
    switch (peek(r)) {
    case '{':
        return read_container(r, true);
    case '[':
        return read_container(r, false);
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, JSON_TRUE_VALUE, "true");
    case 'f':
        return read_word(r, JSON_FALSE_VALUE, "false");
    case 'n':
        return read_word(r, JSON_NULL_VALUE, "null");
    default:
        return read_number(r);
    }
}

bool json_read(struct span text, struct json_value *values, size_t max, struct json_text *ret)
{
    struct reader r = {.text = text, .values = values, .max = max};
    if (text.len > UINT32_MAX / 2 || !utf8_valid(text) || !read_value(&r))
        return false;
    skip_space(&r);
    if (r.at != text.len)
        return false;
    *ret = (struct json_text){.text = text, .values = values};
    return true;
}

static bool key_is(const struct json_text *t, const struct json_value *key, const char *wanted)
{
    char copy[JSON_KEY_BYTES];
    const uint8_t *bytes = t->text.data + key->start;
    if (!memchr(bytes, '\\', key->len))
        return span_is(span_of(bytes, key->len), wanted);
    return json_read_str(t, key, copy, sizeof copy) && strcmp(copy, wanted) == 0;
}

const struct json_value *json_member(struct json_text *t, const struct json_value *of, const char *key)
{
    const struct json_value *found = NULL;
    if (!of || of->type != JSON_MAP)
        return NULL;
    for (size_t i = (size_t)(of - t->values) + 1; i < of->end; i = t->values[i + 1].end) {
        if (!key_is(t, &t->values[i], key))
            continue;
        if (found)
            t->twice = true;
        found = &t->values[i + 1];
    }
    return found && found->type != JSON_NULL_VALUE ? found : NULL;
}

const struct json_value *json_first(const struct json_text *t, const struct json_value *list)
{
    if (!list || list->type != JSON_LIST || list->end == (size_t)(list - t->values) + 1)
        return NULL;
    return list + 1;
}

const struct json_value *json_next(const struct json_text *t, const struct json_value *list,
                                   const struct json_value *item)
{
    return item->end < list->end ? &t->values[item->end] : NULL;
}

static size_t write_utf8(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(lead[len] | point);
    return len;
}

/* One escape, behind its backslash, which json_read() has checked. */
static size_t unescape(struct span text, size_t at, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = text.data[at];
    if (c != 'u') {
        out[0] = to[strchr(from, c) - from];
        return 1;
    }
    uint32_t unit = (uint32_t)hex4(text, at + 1);
    if (unit >= 0xd800 && unit <= 0xdbff)
        unit = 0x10000 + ((unit - 0xd800) << 10) + ((uint32_t)hex4(text, at + 7) - 0xdc00);
    return write_utf8(unit, out);
}

bool json_read_str(const struct json_text *t, const struct json_value *v, char *ret, size_t size)
{
    size_t used = 0;
    if (!v || v->type != JSON_STRING)
        return false;
    struct span text = span_of(t->text.data + v->start, v->len);
    if (text.len < size && !memchr(text.data, '\\', text.len)) { /* most are; U+0000 would need an escape */
        memcpy(ret, text.data, text.len);
        ret[text.len] = '\0';
        return true;
    }
    for (size_t i = 0; i < text.len;) {
        char bytes[4] = {(char)text.data[i]};
        size_t len = 1;
        if (text.data[i] == '\\') {
            len = unescape(text, i + 1, bytes);
            i += escape_len(text, i + 1);
        }
        i++;
        if (bytes[0] == '\0' || size - used <= len)
            return false;
        memcpy(ret + used, bytes, len);
        used += len;
    }
    if (used >= size)
        return false;
    ret[used] = '\0';
    return true;
}

bool json_read_int(const struct json_text *t, const struct json_value *v, int64_t *ret)
{
    enum { DIGITS_MAX = 16 };
    int64_t n = 0;
    if (!v || v->type != JSON_NUMBER)
        return false;
    const uint8_t *text = t->text.data + v->start;
    size_t i = text[0] == '-';
    if (v->len - i > DIGITS_MAX)
        return false;
    for (; i < v->len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (text[i] - '0');
    }
    if (n > (int64_t)1 << 53)
        return false;
    *ret = text[0] == '-' ? -n : n;
    return true;
}

bool json_is_yes(const struct json_value *v)
{
    return v && v->type == JSON_TRUE_VALUE;
}
