/* https_record.c: see https_record.h. Aliases are followed by the resolver, so that every HTTPS record in the answer counts. */
#include "wire/https_record.h"

enum {
    HEADER_BYTES = 12,
    QUESTION_TAIL = 4, /* type, class */
    CLASS_IN = 1,
    KEY_ECH = 5,
    ECH_VERSION = 0xfe0d,
    LABEL_POINTER = 0xc0,
    NAME_BYTES_MAX = 255,
};

/* What is left to be read; `bad` once it was too short. */
struct reader {
    struct span left;
    bool bad;
};

static struct span take(struct reader *r, size_t bytes)
{
    if (bytes > r->left.len) {
        r->bad = true;
        bytes = 0;
    }
    struct span part = span_of(r->left.data, bytes);
    if (bytes > 0)
        r->left = span_of(r->left.data + bytes, r->left.len - bytes);
    return part;
}

static uint32_t take_number(struct reader *r, size_t bytes)
{
    struct span s = take(r, bytes);
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n = n << 8 | s.data[i];
    return n;
}

/* A name's end is at a root or at a pointer; where that leads isn't looked at. */
static void skip_name(struct reader *r)
{
    size_t bytes = 0;
    while (!r->bad && bytes <= NAME_BYTES_MAX) {
        uint32_t len = take_number(r, 1);
        if ((len & LABEL_POINTER) == LABEL_POINTER) {
            take(r, 1);
            return;
        }
        if (len == 0)
            return;
        if (len & LABEL_POINTER)
            break;
        take(r, len);
        bytes += 1 + len;
    }
    r->bad = true;
}

/* ECHConfigContents (RFC 9849, 4): the name is all that is wanted of it. */
static void read_contents(struct reader r, struct https_record *ret)
{
    struct host host;
    take(&r, 1 + 2);              /* config_id, kem_id */
    take(&r, take_number(&r, 2)); /* public_key */
    take(&r, take_number(&r, 2)); /* cipher_suites */
    take(&r, 1);                  /* maximum_name_length */
    struct span name = take(&r, take_number(&r, 1));
    if (r.bad || ret->count == HTTPS_NAMES_MAX || host_canonical_bare(name, &host) != HOST_OK || host.is_ip ||
        https_record_has(ret, &host))
        return;
    memcpy(ret->names[ret->count++], host.name, sizeof host.name);
}

static bool read_ech(struct span value, struct https_record *ret)
{
    struct reader r = {.left = value};
    if (take_number(&r, 2) != r.left.len)
        return false;
    while (!r.bad && r.left.len > 0) {
        uint32_t version = take_number(&r, 2);
        struct span contents = take(&r, take_number(&r, 2));
        if (version == ECH_VERSION && !r.bad)
            read_contents((struct reader){.left = contents}, ret);
    }
    return !r.bad;
}

/* Priority 0 is an alias: it has no parameters (RFC 9460, 2.4.2). */
static bool read_service(struct span data, struct https_record *ret)
{
    struct reader r = {.left = data};
    uint32_t priority = take_number(&r, 2);
    skip_name(&r);
    while (!r.bad && priority > 0 && r.left.len > 0) {
        uint32_t key = take_number(&r, 2);
        struct span value = take(&r, take_number(&r, 2));
        if (!r.bad && key == KEY_ECH && !read_ech(value, ret))
            return false;
    }
    return !r.bad;
}

enum parse https_record_parse(struct span message, struct https_record *ret)
{
    struct reader r = {.left = message};
    struct https_record found = {.ttl_s = UINT32_MAX};
    take(&r, 4); /* id, flags */
    uint32_t questions = take_number(&r, 2), answers = take_number(&r, 2);
    take(&r, HEADER_BYTES - 8);
    for (uint32_t i = 0; i < questions && !r.bad; i++) {
        skip_name(&r);
        take(&r, QUESTION_TAIL);
    }
    for (uint32_t i = 0; i < answers && !r.bad; i++) {
        skip_name(&r);
        uint32_t type = take_number(&r, 2), class = take_number(&r, 2), ttl_s = take_number(&r, 4);
        struct span data = take(&r, take_number(&r, 2));
        if (ttl_s < found.ttl_s)
            found.ttl_s = ttl_s;
        if (!r.bad && type == DNS_TYPE_HTTPS && class == CLASS_IN && !read_service(data, &found))
            return PARSE_BAD;
    }
    if (r.bad)
        return PARSE_BAD;
    if (answers == 0)
        found.ttl_s = 0;
    *ret = found;
    return PARSE_OK;
}

bool https_record_has(const struct https_record *r, const struct host *name)
{
    for (unsigned i = 0; i < r->count; i++)
        if (strcmp(r->names[i], name->name) == 0)
            return true;
    return false;
}
