/* mint_fuzz.c: what a hostile server shows is mimicked, what a hostile worker asks for is judged. The input is one certificate's DER: a
 * server's leaf for mint_request() and mint_distrusted(), and a request for mint_sign(). Whatever is signed must be a server's leaf. */
#include "base/must.h"
#include "tls/ca_private.h"
#include "tls/mint.h"
#include "tls/staple.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_S = 1750000000, DAY_S = 86400 }; /* June 2025 */

static struct ca *ca;
static struct mint_keys *keys;

static void make_ca(void)
{
    char folder[] = "/tmp/exeat-mint-fuzz-XXXXXX", certificate[64], key[64];
    const struct ca_plan plan = {.name = "fuzz", .days = 3650};
    must(mkdtemp(folder));
    snprintf(certificate, sizeof certificate, "%s/ca.pem", folder);
    snprintf(key, sizeof key, "%s/ca.key", folder);
    must(ca_create(&plan, certificate, key, NULL) == 0);
    ca = ca_read_with_key(certificate, key, NULL);
    must(ca);
    ca->not_before_s = NOW_S - DAY_S; /* so that the corpus doesn't age */
    keys = mint_keys_new();
    must(keys);
    unlink(certificate);
    unlink(key);
    rmdir(folder);
}

static void check_signed(const struct buf *signed_der)
{
    struct span one = buf_span(signed_der);
    struct chain *c = chain_parse_der(&one, 1, NULL);
    must(c);
    const struct chain_certificate *f = chain_certificate_at(c, 0);
    must(!f->malformed && !f->is_ca && f->version == 3 && f->name_count > 0 &&
         f->name_count <= MINT_NAMES_MAX);
    must(f->not_after_s - f->not_before_s < (int64_t)MINT_DAYS_MAX * DAY_S && f->not_after_s >= NOW_S);
    must(strcmp(f->issuer, "CN=fuzz") == 0 && f->curve && strcmp(f->curve, "P-256") == 0);
    chain_free(c);
}

static void sign(struct span request)
{
    struct buf out;
    const char *why = NULL;
    buf_init(&out, 1 << 16);
    if (mint_sign(ca, request, NOW_S, &out, &why) == 0)
        check_signed(&out);
    else
        must(why && buf_len(&out) == 0);
    buf_clear(&out);
    must(staple_sign(ca, request, NOW_S + DAY_S, NOW_S, &out, &why) != 0 &&
         buf_len(&out) == 0); /* not signed yet */
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!ca)
        make_ca();
    struct mint_order o = {.leaf = span_of(data, size), .name = "a.test", .now_s = NOW_S};
    struct buf out;
    buf_init(&out, 1 << 16);
    sign(o.leaf);
    if (size > 0 && mint_request(ca, keys, &o, &out, NULL) == 0)
        sign(buf_span(&out));
    buf_clear(&out);
    if (mint_distrusted(keys, &o, &out, NULL) == 0) {
        struct tls_context *t = mint_context(buf_span(&out), keys, NULL, NULL);
        must(t);
        tls_context_free(t);
    }
    buf_free(&out);
    return 0;
}
