/* chain_fuzz.c: hostile certificates, from parsing to the printed answer. The input's first byte says what follows: '-' PEM, 'c' a
 * revocation list, 'k' a list of known certificates, 's' a list of timestamps and a stapled response, each behind two bytes of length, and then
 * certificates; else DER certificates, each behind two bytes of length. The last certificate is
 * the trust anchor, the one before it is cached, too. */
#include "base/must.h"
#include "cmd/inspect_chain.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNT_MAX = 80, TIME_S = 1750000000 }; /* June 2025, when the corpus is valid */

static size_t split(const uint8_t *data, size_t size, struct span ret[COUNT_MAX])
{
    size_t count = 0;
    while (size >= 2 && count < COUNT_MAX) {
        size_t len = (size_t)data[0] << 8 | data[1];
        data += 2, size -= 2;
        len = len < size ? len : size;
        ret[count++] = span_of(data, len);
        data += len, size -= len;
    }
    return count;
}

static void check_report(const struct chain *c, const struct chain_report *r)
{
    must(r->trusted ? r->refused.bits == 0 && r->path_count > 0 && chain_count(c) > 0 : true);
    must((r->refused.bits & ~r->found.bits) == 0);
    must(r->path_count <= CHAIN_PATH_MAX);
    for (size_t i = 0; i < r->path_count; i++)
        must(r->path[i] >= -1 && r->path[i] < (int)chain_count(c) && strlen(r->path_sha256[i]) == 64);
}

/* What came beside the certificates. */
static struct span scts, stapled;

static void verify(const struct chain *c, const struct chain *anchors, const struct chain *cached,
                   bool public)
{
    struct trust *t = trust_new_from(public ? anchors : NULL, public ? NULL : anchors, NULL);
    struct chain_question q = {.name = "a.test",
                               .connect_name = "192.0.2.1",
                               .time_s = TIME_S,
                               .trust = t,
                               .cached = cached,
                               .scts = scts,
                               .ocsp = stapled,
                               .is_public_suffix = inspect_chain_public_suffix};
    struct chain_report r;
    char *text = NULL;
    size_t len = 0;
    must(t && chain_verify(c, &q, &r) == 0);
    check_report(c, &r);
    q.connect_name = NULL;
    must(chain_verify(c, &q, &r) == 0);
    check_report(c, &r);
    FILE *out = open_memstream(&text, &len);
    must(out && inspect_chain_write(c, &r, &q, out) == 0);
    fclose(out);
    must(len > 2 && text[0] == '{' && text[len - 1] == '\n');
    free(text);
    trust_free(t);
}

static void try_certificates(const struct span *ders, size_t count)
{
    struct chain *c = chain_parse_der(ders, count, NULL);
    struct chain *anchors = chain_parse_der(count ? &ders[count - 1] : ders, count ? 1 : 0, NULL);
    struct chain *cached = chain_parse_der(count > 1 ? &ders[count - 2] : ders, count > 1 ? 1 : 0, NULL);
    must(c && anchors && cached);
    verify(c, anchors, cached, false);
    verify(c, anchors, NULL, true);
    chain_free(c), chain_free(anchors), chain_free(cached);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chain *c;
    struct span parts[COUNT_MAX + 2] = {{NULL, 0}};
    if (size == 0)
        return 0;
    scts = stapled = (struct span){NULL, 0};
    switch (data[0]) {
    case '-':
        c = chain_parse_pem(span_of(data, size), NULL);
        if (c)
            verify(c, c, NULL, false);
        chain_free(c);
        break;
    case 'c':
        chain_crls_free(chain_crls_parse(span_of(data + 1, size - 1), NULL));
        break;
    case 'k':
        chain_known_free(chain_known_parse(span_of(data + 1, size - 1), "fuzz", NULL));
        break;
    case 's':
        split(data + 1, size - 1, parts);
        scts = parts[0], stapled = parts[1];
        size_t rest = 1 + 2 + scts.len + 2 + stapled.len;
        if (rest < size)
            try_certificates(parts, split(data + rest, size - rest, parts));
        break;
    default:
        try_certificates(parts, split(data, size, parts));
    }
    return 0;
}
