/* chain_constraints.c: name constraints (RFC 5280, 4.2.1.10) over a path. OpenSSL compares names with subtrees; ours is what it
 * leaves open: constraints of a bad form, wildcard names that reach into an excluded subtree, names no client would match. Pure. */
#include "tls/chain_private.h"

#include <openssl/err.h>

enum { COMPARISONS_MAX = 1 << 18 }; /* a certificate's names times an issuer's constraints */

static struct span string_span(const ASN1_STRING *s)
{
    return span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* An address and a mask whose ones come first. */
static bool network_is_good(struct span s)
{
    bool ended = false;
    if (s.len != 8 && s.len != 32)
        return false;
    for (size_t i = s.len / 2; i < s.len; i++)
        for (int bit = 7; bit >= 0; bit--) {
            bool one = s.data[i] >> bit & 1;
            if (one && ended)
                return false;
            ended = !one;
        }
    return true;
}

static bool subtree_is_good(const GENERAL_SUBTREE *t)
{
    if (t->maximum || (t->minimum && ASN1_INTEGER_get(t->minimum) != 0))
        return false;
    if (t->base->type == GEN_IPADD)
        return network_is_good(string_span(t->base->d.iPAddress));
    if (t->base->type != GEN_DNS)
        return true;
    struct span dns = string_span(t->base->d.dNSName);
    return dns.len == 0 || (dns.data[0] != '*' && chain_dns_well_formed(dns));
}

static int tree_count(const STACK_OF(GENERAL_SUBTREE) * trees)
{
    return trees ? sk_GENERAL_SUBTREE_num(trees) : 0;
}

static bool trees_are_good(const STACK_OF(GENERAL_SUBTREE) * trees)
{
    for (int i = 0; i < tree_count(trees); i++)
        if (!subtree_is_good(sk_GENERAL_SUBTREE_value(trees, i)))
            return false;
    return true;
}

static bool constrains_dns(const STACK_OF(GENERAL_SUBTREE) * trees)
{
    for (int i = 0; i < tree_count(trees); i++)
        if (sk_GENERAL_SUBTREE_value(trees, i)->base->type == GEN_DNS)
            return true;
    return false;
}

/* Some name that "*.below" stands for lies in the excluded subtree `base`: base is one label in front of ".below". (A subtree that
 * holds all of them is found by comparing text; one deeper holds none.) */
static bool wildcard_reaches(struct span wildcard, struct span base)
{
    size_t below_len = wildcard.len - 1; /* with its dot */
    const char *below = (const char *)wildcard.data + 1, *text = (const char *)base.data;
    if (base.len <= below_len || strncasecmp(text + base.len - below_len, below, below_len) != 0)
        return false;
    return !memchr(text, '.', base.len - below_len);
}

static bool wildcard_excluded(struct span name, const STACK_OF(GENERAL_SUBTREE) * excluded)
{
    for (int i = 0; name.len > 2 && name.data[0] == '*' && i < tree_count(excluded); i++) {
        const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(excluded, i)->base;
        if (base->type == GEN_DNS && wildcard_reaches(name, string_span(base->d.dNSName)))
            return true;
    }
    return false;
}

/* Names of one certificate against the constraints, OpenSSL's comparison apart. */
static bool names_keep(const GENERAL_NAMES *names, const NAME_CONSTRAINTS *nc)
{
    bool any = constrains_dns(nc->permittedSubtrees) || constrains_dns(nc->excludedSubtrees);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        struct span dns = string_span(name->d.dNSName);
        if ((any && !chain_dns_well_formed(dns)) || wildcard_excluded(dns, nc->excludedSubtrees))
            return false;
    }
    return true;
}

static bool certificate_keeps(X509 *x, NAME_CONSTRAINTS *nc)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    long count = (names ? sk_GENERAL_NAME_num(names) : 0) + X509_NAME_entry_count(X509_get_subject_name(x));
    long trees = tree_count(nc->permittedSubtrees) + tree_count(nc->excludedSubtrees);
    bool keeps = count * trees <= COMPARISONS_MAX && (!names || names_keep(names, nc)) &&
                 NAME_CONSTRAINTS_check(x, nc) == X509_V_OK;
    GENERAL_NAMES_free(names);
    return keeps;
}

/* Applies one issuer's constraints to all below it; self-issued ones only when they are the leaf (6.1.3 b, c). */
static bool constraints_hold(const struct chain_path *p, size_t issuer, NAME_CONSTRAINTS *nc)
{
    if (tree_count(nc->permittedSubtrees) + tree_count(nc->excludedSubtrees) == 0 ||
        !trees_are_good(nc->permittedSubtrees) || !trees_are_good(nc->excludedSubtrees))
        return false;
    for (size_t i = 0; i < issuer; i++) {
        X509 *x = p->certificates[i];
        bool self_issued = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
        if ((i == 0 || !self_issued) && !certificate_keeps(x, nc))
            return false;
    }
    return true;
}

void chain_judge_constraints(struct chain_path *p)
{
    for (size_t i = 1; i < p->count; i++) {
        int found = -1;
        NAME_CONSTRAINTS *nc = X509_get_ext_d2i(p->certificates[i], NID_name_constraints, &found, NULL);
        if (found != -1 && (!nc || !constraints_hold(p, i, nc)))
            chain_set_add(&p->findings.fatal, CHAIN_C17);
        NAME_CONSTRAINTS_free(nc);
    }
    ERR_clear_error();
}
