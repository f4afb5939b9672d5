/* chain.c: see chain.h. Finds the certificates, keeps those within the bounds, has them described. OpenSSL parses; what it leaves
 * open (BER, bytes behind the value) is refused here. */
#include "tls/chain_private.h"

#include "base/base64.h"
#include "base/hex.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { ARENA_BYTES_MAX = 24 * 1024 * 1024, BASE64_BYTES_MAX = CHAIN_BYTES_MAX / 3 * 4 + 4096 };

static struct chain *chain_new(struct err *reterr)
{
    struct chain *c = calloc(1, sizeof *c);
    if (!c)
        err_set(reterr, NULL, 0, 0, "no memory for the certificates");
    else
        arena_init(&c->arena, ARENA_BYTES_MAX);
    return c;
}

void chain_free(struct chain *take_chain)
{
    if (!take_chain)
        return;
    for (size_t i = 0; i < take_chain->count; i++)
        X509_free(take_chain->items[i].x509);
    arena_reset(&take_chain->arena);
    free(take_chain);
}

/* The whole of `der` as a certificate, or NULL. */
static X509 *parse_certificate(struct span der)
{
    const unsigned char *at = der.data;
    if (der.len == 0 || !chain_der_valid(der))
        return NULL;
    X509 *x = d2i_X509(NULL, &at, (long)der.len);
    ERR_clear_error();
    if (x && at != der.data + der.len) {
        X509_free(x);
        return NULL;
    }
    if (x)
        X509_check_purpose(x, -1, 0); /* decodes the extensions once, before threads share it */
    ERR_clear_error();
    return x;
}

/* 0, or -1 without memory. */
static int add_certificate(struct chain *c, struct span der)
{
    c->total_count++;
    c->total_bytes += der.len;
    if (c->count == CHAIN_CERTIFICATES_MAX || c->total_bytes > CHAIN_BYTES_MAX)
        return 0;
    struct chain_item *item = &c->items[c->count];
    struct chain_certificate *facts = &item->facts;
    uint8_t digest[EVP_MAX_MD_SIZE];
    facts->path_length = -1;
    facts->der = arena_copy(&c->arena, der);
    if ((!facts->der.data && der.len > 0) ||
        EVP_Digest(der.data, der.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return -1;
    *hex_write(span_of(digest, 32), facts->sha256) = '\0';
    item->x509 = parse_certificate(facts->der);
    c->count++;
    facts->malformed = !item->x509;
    return item->x509 ? chain_describe(item->x509, &c->arena, facts) : 0;
}

struct chain *chain_parse_der(const struct span *certificates, size_t count, struct err *reterr)
{
    struct chain *c = chain_new(reterr);
    for (size_t i = 0; c && i < count; i++) {
        if (add_certificate(c, certificates[i]) == 0)
            continue;
        err_set(reterr, NULL, 0, 0, "no memory for the certificates");
        chain_free(c);
        return NULL;
    }
    return c;
}

/* ---- PEM (RFC 7468) ---- */

static const char begin_line[] = "-----BEGIN CERTIFICATE-----", end_line[] = "-----END CERTIFICATE-----";

/* Where `mark` begins in text at or after `from`; text.len when nowhere. */
static size_t find(struct span text, size_t from, const char *mark)
{
    struct span rest = span_from(text, from);
    const uint8_t *at = rest.len ? memmem(rest.data, rest.len, mark, strlen(mark)) : NULL;
    return at ? (size_t)(at - text.data) : text.len;
}

/* The body between the lines, decoded into `room` (text, then DER, in place); empty when it isn't base64. */
static struct span decode_body(struct span body, char *room)
{
    size_t len = 0;
    for (size_t i = 0; i < body.len; i++) {
        bool blank =
            body.data[i] == '\n' || body.data[i] == '\r' || body.data[i] == ' ' || body.data[i] == '\t';
        if (blank)
            continue;
        if (len == BASE64_BYTES_MAX)
            return span_of(NULL, 0);
        room[len++] = (char)body.data[i];
    }
    char *der = room + BASE64_BYTES_MAX;
    int decoded = base64_decode(span_of(room, len), der, BASE64_BYTES_MAX);
    return decoded > 0 ? span_of(der, (size_t)decoded) : span_of(NULL, 0);
}

static int add_blocks(struct chain *c, struct span pem, char *room)
{
    size_t begin_len = sizeof begin_line - 1, end_len = sizeof end_line - 1;
    for (size_t at = find(pem, 0, begin_line); at < pem.len; at = find(pem, at, begin_line)) {
        at += begin_len;
        size_t next = find(pem, at, begin_line), end = find(span_of(pem.data, next), at, end_line);
        bool whole = end < next;
        struct span body = span_of(pem.data + at, whole ? end - at : 0);
        if (add_certificate(c, decode_body(body, room)) != 0)
            return -1;
        at = whole ? end + end_len : next;
    }
    return 0;
}

struct chain *chain_parse_pem(struct span pem, struct err *reterr)
{
    if (find(pem, 0, begin_line) == pem.len) {
        err_set(reterr, NULL, 0, 0, "there is no PEM certificate (%s)", begin_line);
        return NULL;
    }
    char *room = malloc(2 * BASE64_BYTES_MAX);
    struct chain *c = room ? chain_new(reterr) : NULL;
    if (!c || add_blocks(c, pem, room) != 0) {
        err_set(reterr, NULL, 0, 0, "no memory for the certificates");
        chain_free(c);
        c = NULL;
    }
    free(room);
    return c;
}

/* ---- reading ---- */

size_t chain_count(const struct chain *c)
{
    return c->count;
}

const struct chain_certificate *chain_certificate_at(const struct chain *c, size_t i)
{
    return i < c->count ? &c->items[i].facts : NULL;
}

size_t chain_total_count(const struct chain *c)
{
    return c->total_count;
}

size_t chain_total_bytes(const struct chain *c)
{
    return c->total_bytes;
}
