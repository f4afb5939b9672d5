/* chain_oddities.c: what a chain alone shows besides its path: how it was sent, and what its leaf looks like (P ids). Nothing here
 * touches trust. Thresholds are the catalogue's; what is judged depends on the class, which is known by now. Pure. */
#include "tls/chain_private.h"

#include "base/must.h"
#include "base/rfc3339.h"

enum {
    DAY_S = 86400,
    CERTIFICATES_USUAL = 5,
    BYTES_USUAL = 64 * 1024,
    NAMES_USUAL = 100,
    SHORT_DAYS = 7,
    RECENT_DAYS = 7,
    BACKDATED_HOURS = 48,
    SERIAL_DIGITS_MIN = 16, /* 64 bits of a random source (Baseline Requirements, 7.1) */
    SERIAL_DIGITS_MAX = 40, /* 20 octets */
};

/* ---- how it was sent ---- */

static int index_of(const struct chain *c, const X509 *x)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->items[i].x509 == x)
            return (int)i;
    return -1;
}

static bool same_bytes(const struct chain *c, size_t i, size_t j)
{
    return strcmp(c->items[i].facts.sha256, c->items[j].facts.sha256) == 0;
}

static void find_order(const struct chain *c, const struct chain_path *p, struct chain_set *found)
{
    int before = -1;
    for (size_t i = 0; i < p->count; i++) {
        int at = index_of(c, p->certificates[i]);
        if (at >= 0 && at < before)
            chain_set_add(found, CHAIN_C19);
        before = at >= 0 ? at : before;
    }
}

static bool issued_by_name(X509 *x, X509 *issuer)
{
    return x && issuer && X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(issuer)) == 0;
}

/* Marks what names lead to from the leaf and from the path: each round adds the issuers of what is marked. */
static void find_unrelated(const struct chain *c, const struct chain_path *p, struct chain_set *found)
{
    bool related[CHAIN_CERTIFICATES_MAX] = {true}, grown = true;
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < p->count; j++)
            related[i] = related[i] || issued_by_name(p->certificates[j], c->items[i].x509);
    while (grown) {
        grown = false;
        for (size_t i = 0; i < c->count; i++)
            for (size_t j = 0; j < c->count; j++)
                if (related[i] && !related[j] && issued_by_name(c->items[i].x509, c->items[j].x509))
                    related[j] = grown = true;
    }
    for (size_t i = 0; i < c->count; i++)
        if (!related[i])
            chain_set_add(found, CHAIN_C21);
}

static void find_sending(const struct chain *c, const struct chain_path *p, struct chain_set *found)
{
    if (c->total_count > CERTIFICATES_USUAL || c->total_bytes > BYTES_USUAL)
        chain_set_add(found, CHAIN_C24);
    for (size_t i = 0; i < c->count; i++) {
        if (c->items[i].facts.malformed)
            chain_set_add(found, CHAIN_C25);
        if (i > 0 && c->items[i].facts.self_signed)
            chain_set_add(found, CHAIN_C22);
        for (size_t j = 0; j < i; j++)
            if (same_bytes(c, i, j))
                chain_set_add(found, CHAIN_C20);
    }
    find_order(c, p, found);
    find_unrelated(c, p, found);
}

/* ---- the leaf ---- */

struct leaf {
    const struct chain_certificate *facts;
    X509 *x509;
    enum chain_class class;
    int64_t sct_s;             /* when the earliest SCT that counts was made; 0: none */
    int64_t age_s, validity_s; /* inclusive; 0 when the times can't be read */
};

static bool is_too_long(const struct leaf *l)
{
    /* from which day of issue on, how many days */
    static const struct {
        const char *from;
        int days;
    } limits[] = {{"2029-03-15T00:00:00Z", 47},
                  {"2027-03-15T00:00:00Z", 100},
                  {"2026-03-15T00:00:00Z", 200},
                  {"2020-09-01T00:00:00Z", 398}};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        int64_t from_s = 0;
        must(rfc3339_parse(span_str(limits[i].from), &from_s));
        if (l->facts->not_before_s >= from_s)
            return l->validity_s > (int64_t)limits[i].days * DAY_S;
    }
    return false;
}

static void find_times(const struct leaf *l, struct chain_set *found)
{
    int64_t between_s = l->facts->not_after_s - l->facts->not_before_s, sct_s = l->sct_s;
    if (!l->facts->times_good)
        return;
    if (l->class == CHAIN_PUBLIC && is_too_long(l))
        chain_set_add(found, CHAIN_P01);
    if (l->class != CHAIN_PUBLIC && l->validity_s <= (int64_t)SHORT_DAYS * DAY_S)
        chain_set_add(found, CHAIN_P02);
    if (l->age_s >= 0 && l->age_s < (int64_t)RECENT_DAYS * DAY_S)
        chain_set_add(found, CHAIN_P03);
    if (sct_s && sct_s - l->facts->not_before_s > BACKDATED_HOURS * 3600)
        chain_set_add(found, CHAIN_P04);
    if (between_s == 365 * (int64_t)DAY_S || between_s == 3650 * (int64_t)DAY_S)
        chain_set_add(found, CHAIN_P05);
}

/* Fewer than four different digits in a serial that is long enough to have all sixteen. */
static bool serial_is_odd(const char *serial)
{
    size_t len = strlen(serial), kinds = 0;
    if (serial[0] == '-' || len < SERIAL_DIGITS_MIN || len > SERIAL_DIGITS_MAX ||
        (len == SERIAL_DIGITS_MAX && serial[0] > '7'))
        return true;
    for (const char *digit = "0123456789abcdef"; *digit; digit++)
        kinds += strchr(serial, *digit) != NULL;
    return kinds < 4;
}

static const char *const default_texts[] = {"Internet Widgits Pty Ltd",
                                            "Default Company Ltd",
                                            "O=Acme Co",
                                            "Some-State",
                                            "ST=Denial",
                                            "O=Dis,",
                                            "Snake Oil",
                                            "SnakeOil",
                                            "CN=localhost",
                                            "O=Internet Widgits"};

static struct span first_label(struct span host)
{
    const uint8_t *dot = host.len ? memchr(host.data, '.', host.len) : NULL;
    return span_of(host.data, dot ? (size_t)(dot - host.data) : host.len);
}

/* "www.LABEL.com": the LABEL, when drawn by lot; *ret_tld says whether .com or .net follows. */
static bool is_random_host(const char *common_name, bool *ret_tld)
{
    struct span s = span_str(common_name);
    if (s.len > 4 && strncasecmp(common_name, "www.", 4) == 0)
        s = span_from(s, 4);
    struct span label = first_label(s), rest = span_from(s, label.len);
    *ret_tld = span_is_nocase(rest, ".com") || span_is_nocase(rest, ".net");
    return chain_label_random(label);
}

static bool subject_is_odd(const struct leaf *l)
{
    const char *subject = l->facts->subject, *cn = l->facts->common_name;
    struct ip ip;
    bool tld;
    if (subject[0] == '\0')
        return l->class != CHAIN_PUBLIC; /* public CAs issue such ones */
    for (size_t i = 0; i < ARRAY_LEN(default_texts); i++)
        if (strcasestr(subject, default_texts[i]))
            return true;
    return cn && (ip_parse(span_str(cn), &ip) || is_random_host(cn, &tld));
}

static bool names_are_random(const struct leaf *l)
{
    const char *cn = l->facts->common_name;
    char issuer[256];
    bool subject_tld, issuer_tld;
    int len = X509_NAME_get_text_by_NID(X509_get_issuer_name(l->x509), NID_commonName, issuer, sizeof issuer);
    return cn && len > 0 && is_random_host(cn, &subject_tld) && is_random_host(issuer, &issuer_tld) &&
           subject_tld && issuer_tld;
}

static bool san_is_odd(const struct chain_certificate *f)
{
    bool only_addresses = true;
    for (size_t i = 0; i < f->name_listed; i++)
        only_addresses = only_addresses && f->names[i].kind == CHAIN_NAME_IP;
    return only_addresses || f->name_count > NAMES_USUAL; /* none: vacuously */
}

static bool key_is_rare(const struct chain_certificate *f)
{
    if (f->curve)
        return strcmp(f->curve, "P-256") != 0 && strcmp(f->curve, "P-384") != 0;
    return !f->key_type || strcmp(f->key_type, "RSA") != 0 ||
           (f->key_bits != 2048 && f->key_bits != 3072 && f->key_bits != 4096);
}

static void find_leaf(const struct leaf *l, struct chain_set *found)
{
    if (serial_is_odd(l->facts->serial))
        chain_set_add(found, CHAIN_P06);
    if (subject_is_odd(l))
        chain_set_add(found, CHAIN_P07);
    if (san_is_odd(l->facts))
        chain_set_add(found, CHAIN_P10);
    if (X509_get_key_usage(l->x509) == UINT32_MAX && X509_get_extended_key_usage(l->x509) == UINT32_MAX)
        chain_set_add(found, CHAIN_P11);
    if (key_is_rare(l->facts))
        chain_set_add(found, CHAIN_P12);
}

/* ---- what is known ---- */

static void find_known(const struct chain *c, const struct chain_known *known, const struct chain_path *p,
                       struct chain_report *r)
{
    for (size_t i = 0; i < c->count; i++) {
        r->kit = r->kit ? r->kit : chain_known_kit(known, &c->items[i].facts);
        r->interceptor = r->interceptor ? r->interceptor : chain_known_interceptor(known, &c->items[i].facts);
    }
    if (p->count && !r->interceptor) { /* a root that wasn't sent */
        struct chain_certificate facts = {0};
        struct arena a;
        arena_init(&a, 256 * 1024);
        if (chain_describe(p->certificates[p->count - 1], &a, &facts) == 0)
            r->interceptor = chain_known_interceptor(known, &facts);
        arena_reset(&a);
    }
    if (r->kit)
        chain_set_add(&r->found, CHAIN_P08);
    if (r->interceptor)
        chain_set_add(&r->found, CHAIN_C28);
}

void chain_find_oddities(const struct chain *c, const struct chain_question *q, const struct chain_path *p,
                         struct chain_report *r)
{
    static const char scts_since[] = "2018-05-01T00:00:00Z"; /* before, browsers didn't ask for them */
    int64_t since_s = 0;
    find_sending(c, p, &r->found);
    if (q->known)
        find_known(c, q->known, p, r);
    if (p->count == 0)
        return;
    struct leaf l = {.facts = &c->items[0].facts, .x509 = c->items[0].x509, .class = r->class};
    l.age_s = q->time_s - l.facts->not_before_s;
    l.validity_s = l.facts->not_after_s - l.facts->not_before_s + 1;
    r->scts = chain_check_scts(q, l.x509, p->count > 1 ? p->certificates[1] : NULL, &l.sct_s);
    find_times(&l, &r->found);
    find_leaf(&l, &r->found);
    if (names_are_random(&l))
        chain_set_add(&r->found, CHAIN_P09);
    must(rfc3339_parse(span_str(scts_since), &since_s));
    bool counts = r->scts == CT_VALID || r->scts == CT_NOT_CHECKED;
    if (l.class == CHAIN_PUBLIC && !counts && l.facts->not_before_s >= since_s)
        chain_set_add(&r->found, CHAIN_C27);
}
