/* verify.c: see verify.h. Finds the best path, checks the names, puts the answer together. Pure. */
#include "tls/chain_private.h"

#include "base/hex.h"
#include "base/must.h"

#include <openssl/err.h>
#include <openssl/evp.h>

const char *chain_class_name(enum chain_class c)
{
    static const char *const names[] = {"public", "private_known", "private_unknown", "self_signed"};
    must((unsigned)c < ARRAY_LEN(names));
    return names[c];
}

/* ---- names ---- */

static bool name_matches(const struct chain_certificate *leaf, const struct chain_question *q,
                         const char *name)
{
    struct ip ip;
    char text[IP_TEXT_BYTES];
    bool is_ip = ip_parse(span_str(name), &ip);
    for (size_t i = 0; i < leaf->name_listed; i++) {
        const struct chain_name *n = &leaf->names[i];
        if (is_ip ? n->kind == CHAIN_NAME_IP && span_is(n->text, ip_format(&ip, text))
                  : n->kind == CHAIN_NAME_DNS && chain_dns_matches(n->text, name, q->is_public_suffix))
            return true;
    }
    return false;
}

static void judge_names(const struct chain_certificate *leaf, const struct chain_question *q,
                        struct chain_report *r)
{
    r->name_mismatch = q->name && !name_matches(leaf, q, q->name);
    r->connect_mismatch = q->connect_name && !name_matches(leaf, q, q->connect_name);
    if (r->name_mismatch || r->connect_mismatch)
        chain_set_add(&r->refused, CHAIN_C07);
    if (leaf->common_name && chain_common_name_stands_alone(span_str(leaf->common_name), leaf))
        chain_set_add(&r->refused, CHAIN_C08);
    for (size_t i = 0; i < leaf->name_listed; i++)
        if (leaf->names[i].kind == CHAIN_NAME_DNS &&
            chain_dns_bad_wildcard(leaf->names[i].text, q->is_public_suffix))
            chain_set_add(&r->found, CHAIN_C09);
}

/* ---- the answer ---- */

static enum chain_class classify(const struct chain *c, const struct chain_path *p)
{
    if (p->anchor)
        return p->anchor->is_public ? CHAIN_PUBLIC : CHAIN_PRIVATE_KNOWN;
    return c->count && c->items[0].facts.self_signed ? CHAIN_SELF_SIGNED : CHAIN_PRIVATE_UNKNOWN;
}

static int describe_path(const struct chain *c, const struct chain_path *p, struct chain_report *r)
{
    r->path_count = p->count;
    for (size_t i = 0; i < p->count; i++) {
        uint8_t digest[EVP_MAX_MD_SIZE];
        if (X509_digest(p->certificates[i], EVP_sha256(), digest, NULL) != 1)
            return -1;
        *hex_write(span_of(digest, 32), r->path_sha256[i]) = '\0';
        r->path[i] = -1;
        for (size_t j = 0; r->path[i] < 0 && j < c->count; j++)
            if (strcmp(c->items[j].facts.sha256, r->path_sha256[i]) == 0)
                r->path[i] = (int)j;
    }
    return 0;
}

int chain_verify(const struct chain *c, const struct chain_question *q, struct chain_report *ret)
{
    struct chain_report r = {0};
    struct chain_path p = {0};
    struct trust *nothing = q->trust ? NULL : trust_new_from(NULL, NULL, NULL);
    const struct trust *t = q->trust ? q->trust : nothing;
    if (!t)
        return -1;
    if (c->total_count == 0)
        chain_set_add(&r.refused, CHAIN_C23);
    else if (c->count == 0 || !c->items[0].x509)
        chain_set_add(&r.refused, CHAIN_C25);
    else
        chain_path_find(c, t, q, &p);
    r.class = classify(c, &p);
    chain_set_merge(&r.refused, p.findings.fatal);
    if (p.count)
        judge_names(&c->items[0].facts, q, &r);
    chain_set_merge(&r.found, r.refused);
    chain_set_merge(&r.found, p.findings.told);
    chain_find_oddities(c, q, &p, &r);
    r.staple_until_s = p.staple_until_s;
    r.trusted = p.anchor && r.refused.bits == 0;
    int result = describe_path(c, &p, &r);
    trust_free(nothing);
    ERR_clear_error();
    if (result == 0)
        *ret = r;
    return result;
}
