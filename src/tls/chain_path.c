/* chain_path.c: paths from the leaf to an anchor, RFC 4158's way: every issuer of the right name whose key verifies the signature
 * is tried, anchors first, depth first, and each whole path is judged; the first without a fault wins, else the one with the least
 * wrong. Budgets end the search: certificates are sent by anybody. Pure. */
#include "tls/chain_private.h"

#include <openssl/err.h>

struct search {
    const struct chain *sent;
    const struct trust *trust;
    const struct chain_question *question;
    struct chain_path *best; /* of the caller */
    bool found;              /* *best is one */
    bool done;               /* trusted, or a budget is spent */
    unsigned paths, signatures;
};

/* A certificate that could have issued the last of the path. */
struct candidate {
    X509 *x509;
    const struct trust_anchor *anchor; /* NULL: sent or cached */
};

/* What an extension of the path came to. */
struct tried {
    bool any_verified;
    struct candidate unverified; /* the first of the right name; x509 NULL when none */
};

static bool is_trusted(const struct chain_path *p)
{
    return p->anchor && p->findings.fatal.bits == 0;
}

static int badness(const struct chain_path *p)
{
    return __builtin_popcountll(p->findings.fatal.bits) + (p->anchor ? 0 : CHAIN_ANOMALY_COUNT);
}

/* Judges a copy of the path as it is. */
static void complete(struct search *s, const struct chain_path *path)
{
    struct chain_path p = *path;
    if (chain_set_has(p.findings.fatal, CHAIN_C12))
        p.anchor = NULL; /* anybody can write an anchor's name */
    chain_judge_path(s->question, &p);
    chain_judge_constraints(&p);
    chain_judge_revocation(s->question, &p);
    chain_judge_ocsp(s->question, &p);
    if (is_trusted(&p))
        chain_judge_openssl(&p);
    if (!s->found || badness(&p) < badness(s->best))
        *s->best = p;
    s->found = true;
    s->done = s->done || is_trusted(&p) || ++s->paths == CHAIN_PATHS_MAX;
}

static bool is_in_path(const struct chain_path *p, X509 *x)
{
    for (size_t i = 0; i < p->count; i++) {
        X509 *other = p->certificates[i];
        EVP_PKEY *key = X509_get0_pubkey(x), *other_key = X509_get0_pubkey(other);
        if (X509_cmp(x, other) == 0 ||
            (X509_NAME_cmp(X509_get_subject_name(x), X509_get_subject_name(other)) == 0 && key && other_key &&
             EVP_PKEY_eq(key, other_key) == 1))
            return true; /* the same CA again leads nowhere new */
    }
    return false;
}

static bool is_self_signed(X509 *x)
{
    return X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0 &&
           chain_signature_verifies(x, X509_get0_pubkey(x));
}

static bool verifies(struct search *s, X509 *x, X509 *issuer)
{
    if (s->signatures == CHAIN_SIGNATURES_MAX) {
        s->done = true;
        return false;
    }
    s->signatures++;
    return chain_signature_verifies(x, X509_get0_pubkey(issuer));
}

/* False only when both identifiers are there and differ. */
static bool identifiers_agree(X509 *x, X509 *issuer)
{
    const ASN1_OCTET_STRING *authority = X509_get0_authority_key_id(x),
                            *subject = X509_get0_subject_key_id(issuer);
    return !authority || !subject || ASN1_OCTET_STRING_cmp(authority, subject) == 0;
}

static void extend(struct search *s, struct chain_path *p);

static void extend_with(struct search *s, struct chain_path *p, struct candidate c)
{
    p->certificates[p->count++] = c.x509;
    p->anchor = c.anchor;
    if (c.anchor)
        complete(s, p);
    else
        extend(s, p);
    p->anchor = NULL;
    p->count--;
}

static void try_candidate(struct search *s, struct chain_path *p, struct candidate c, struct tried *t)
{
    X509 *last = p->certificates[p->count - 1];
    if (s->done || is_in_path(p, c.x509))
        return;
    if (verifies(s, last, c.x509)) {
        t->any_verified = true;
        extend_with(s, p, c);
    } else if (!t->unverified.x509) {
        t->unverified = c;
    }
}

/* Those of one list whose subject is the last one's issuer, if their key identifier agrees as wanted. */
static void try_list(struct search *s, struct chain_path *p, const struct chain *list, bool agree,
                     struct tried *t)
{
    X509 *last = p->certificates[p->count - 1];
    for (size_t i = 0; list && i < list->count && !s->done; i++) {
        X509 *x = list->items[i].x509;
        if (x && X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(last)) == 0 &&
            identifiers_agree(last, x) == agree && !trust_find_exact(s->trust, x))
            try_candidate(s, p, (struct candidate){x, NULL}, t);
    }
}

static void try_anchors(struct search *s, struct chain_path *p, struct tried *t)
{
    X509 *last = p->certificates[p->count - 1];
    size_t count, first = trust_find(s->trust, X509_get_issuer_name(last), &count);
    for (size_t i = first; i < first + count && !s->done; i++)
        try_candidate(s, p, (struct candidate){trust_at(s->trust, i)->x509, trust_at(s->trust, i)}, t);
}

static void end_path(struct search *s, const struct chain_path *p, enum chain_anomaly why)
{
    struct chain_path ended = *p;
    chain_set_add(&ended.findings.fatal, why);
    complete(s, &ended);
}

/* Every way on from the last certificate. Recursion is as deep as a path is long. */
static void extend(struct search *s, struct chain_path *p)
{
    X509 *last = p->certificates[p->count - 1];
    struct tried t = {0};
    if (is_self_signed(last)) {
        end_path(s, p, p->count == 1 ? CHAIN_C01 : CHAIN_C02);
        return;
    }
    if (p->count == CHAIN_PATH_MAX) {
        end_path(s, p, CHAIN_C03);
        return;
    }
    try_anchors(s, p, &t);
    for (int agree = 1; agree >= 0 && !s->done; agree--) {
        try_list(s, p, s->sent, agree, &t);
        try_list(s, p, s->question->cached, agree, &t);
    }
    if (s->done || t.any_verified)
        return;
    if (!t.unverified.x509) {
        end_path(s, p, CHAIN_C03);
        return;
    }
    struct chain_path broken = *p;
    chain_set_add(&broken.findings.fatal, CHAIN_C12);
    extend_with(s, &broken, t.unverified);
}

void chain_path_find(const struct chain *c, const struct trust *t, const struct chain_question *q,
                     struct chain_path *ret)
{
    struct search s = {.sent = c, .trust = t, .question = q, .best = ret};
    struct chain_path p = {.certificates = {c->items[0].x509}, .count = 1};
    p.anchor = trust_find_exact(t, c->items[0].x509);
    if (p.anchor) {
        chain_set_add(&p.findings.told, CHAIN_C01);
        if (!is_self_signed(c->items[0].x509))
            p.findings.told.bits = 0;
        complete(&s, &p);
        p.anchor = NULL;
        p.findings.told.bits = 0;
    }
    if (!s.done)
        extend(&s, &p);
    if (!s.found)
        end_path(&s, &p, CHAIN_C03);
    ERR_clear_error();
}
