/* opening.c: see opening.h. Pure. */
#include "wire/opening.h"

#include "base/must.h"

enum { FIRST_LINE_BYTES_MAX = 4096 };

static const char *const protocol_names[OPENING_COUNT] = {
#define PROTOCOL(id, name) [OPENING_##id] = name,
#define SIGNATURE(id, bytes)
#include "wire/openings.def"
#undef PROTOCOL
#undef SIGNATURE
};

struct signature {
    enum opening opening;
    uint8_t len;
    const char *bytes; /* view into the program */
};

static const struct signature signatures[] = {
#define PROTOCOL(id, name)
#define SIGNATURE(id, literal) {OPENING_##id, sizeof(literal) - 1, literal},
#include "wire/openings.def"
#undef PROTOCOL
#undef SIGNATURE
};

/* MQTT's CONNECT has its length before its name: 0x10, 1 to 4 length bytes, 00 04 "MQTT" (or 00 06 "MQIsdp"). */
static bool looks_mqtt(struct span first)
{
    size_t at = 1;
    while (at < first.len && at < 4 && first.data[at] & 0x80)
        at++;
    struct span name = span_from(first, at + 1);
    size_t len = name.len < 4 ? name.len : 4;
    return memcmp("\x00\x04MQ", len ? name.data : (const void *)"", len) == 0 ||
           memcmp("\x00\x06MQ", len ? name.data : (const void *)"", len) == 0;
}

/* A request line with a method of the client's own making is HTTP too: "X / HTTP/1.1". */
static bool looks_http_line(struct span first)
{
    size_t len = first.len < FIRST_LINE_BYTES_MAX ? first.len : FIRST_LINE_BYTES_MAX;
    const uint8_t *end = len ? memchr(first.data, '\n', len) : NULL;
    return end && memmem(first.data, (size_t)(end - first.data), " HTTP/1.", 8);
}

/* "220 " greets in SMTP (RFC 5321, 4.2) and in FTP (RFC 959, 5.4); what the server calls itself tells them apart. */
static enum opening classify_greeting(struct span first)
{
    size_t len = first.len < FIRST_LINE_BYTES_MAX ? first.len : FIRST_LINE_BYTES_MAX;
    if (len < 4 || memcmp(first.data, "220", 3) != 0 || (first.data[3] != ' ' && first.data[3] != '-'))
        return OPENING_UNKNOWN;
    const uint8_t *end = memchr(first.data, '\n', len);
    size_t line = end ? (size_t)(end - first.data) : len;
    if (memmem(first.data, line, "SMTP", 4))
        return OPENING_SMTP;
    return memmem(first.data, line, "FTP", 3) ? OPENING_FTP : OPENING_UNKNOWN;
}

enum opening opening_classify(struct span first)
{
    enum opening possible = OPENING_UNKNOWN;
    bool several = false;
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
        const struct signature *s = &signatures[i];
        size_t len = first.len < s->len ? first.len : s->len;
        if (len == 0 || memcmp(first.data, s->bytes, len) != 0)
            continue;
        if (s->opening == OPENING_MQTT && !looks_mqtt(first))
            continue;
        if (len == s->len)
            return s->opening;
        several = several || (possible != OPENING_UNKNOWN && possible != s->opening);
        possible = s->opening;
    }
    if (looks_http_line(first))
        return OPENING_HTTP;
    if (possible == OPENING_UNKNOWN)
        possible = classify_greeting(first);
    return several ? OPENING_UNKNOWN : possible;
}

const char *opening_name(enum opening opening)
{
    must((unsigned)opening < OPENING_COUNT);
    return protocol_names[opening];
}
