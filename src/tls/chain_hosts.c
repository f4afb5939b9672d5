/* chain_hosts.c: names in certificates as hosts: who matches whom, and what only looks like a host. RFC 9525 (names), RFC 5280
 * 4.2.1.6 (dNSName). Pure. */
#include "tls/chain_private.h"

#include <ctype.h>

static bool is_host_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_wildcard(struct span name)
{
    return name.len >= 2 && name.data[0] == '*' && name.data[1] == '.';
}

static bool has(struct span s, int c)
{
    return s.len > 0 && memchr(s.data, c, s.len) != NULL;
}

bool chain_dns_well_formed(struct span name)
{
    size_t label = 0;
    if (is_wildcard(name))
        name = span_from(name, 2);
    if (name.len == 0 || name.len > 253)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        bool dot = name.data[i] == '.';
        if (dot ? label == 0 : !is_host_char(name.data[i]) || label == 63)
            return false;
        label = dot ? 0 : label + 1;
    }
    return label > 0;
}

static bool covers_suffix(struct span below, bool (*is_public_suffix)(const char *domain))
{
    char domain[256];
    if (!has(below, '.'))
        return true;
    if (!is_public_suffix)
        return false;
    memcpy(domain, below.data, below.len);
    domain[below.len] = '\0';
    for (size_t i = 0; i < below.len; i++)
        domain[i] = (char)tolower((unsigned char)domain[i]);
    return is_public_suffix(domain);
}

bool chain_dns_bad_wildcard(struct span pattern, bool (*is_public_suffix)(const char *domain))
{
    if (!has(pattern, '*'))
        return false;
    return !is_wildcard(pattern) || !chain_dns_well_formed(pattern) ||
           covers_suffix(span_from(pattern, 2), is_public_suffix);
}

bool chain_dns_matches(struct span pattern, const char *name, bool (*is_public_suffix)(const char *domain))
{
    if (!chain_dns_well_formed(pattern) || chain_dns_bad_wildcard(pattern, is_public_suffix))
        return false;
    if (!is_wildcard(
            pattern)) /* an underscore may be in what a wildcard stands for, never in a name itself */
        return !has(pattern, '_') && span_is_nocase(pattern, name);
    const char *dot = strchr(name, '.');
    return dot && dot > name && span_is_nocase(span_from(pattern, 1), dot);
}

/* ---- common names ---- */

/* "192.168.001.001", "0xC0A80101", "2001:DB8::1": what some reader takes for an address. */
static bool looks_like_address(struct span s)
{
    bool hex = s.len > 2 && s.data[0] == '0' && (s.data[1] | 0x20) == 'x';
    bool colons = has(s, ':'), digits = true, letters = true;
    for (size_t i = hex ? 2 : 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool digit = (c >= '0' && c <= '9') || c == '.';
        digits = digits && digit;
        letters = letters && (digit || c == ':' || isxdigit(c));
    }
    return letters && (hex || colons || (digits && has(s, '.')));
}

static bool looks_like_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < 0x80 && s.data[i] != '.' && s.data[i] != '*' && !is_host_char(s.data[i]))
            return false;
    return has(s, '.') && s.data[0] != '.' && s.data[s.len - 1] != '.';
}

static bool is_below(struct span name, struct span parent)
{
    return name.len > parent.len && name.data[name.len - parent.len - 1] == '.' &&
           strncasecmp((const char *)name.data + name.len - parent.len, (const char *)parent.data,
                       parent.len) == 0;
}

static bool wildcard_covers(struct span pattern, struct span name)
{
    const uint8_t *dot = name.len ? memchr(name.data, '.', name.len) : NULL;
    return is_wildcard(pattern) && dot &&
           span_equal(span_from(pattern, 1), span_from(name, (size_t)(dot - name.data)));
}

/* The Baseline Requirements (7.1.4.3) want the common name to be one of the names, character for character. Clients ignore it, so
 * three habits are let through: the domain above a name listed, a name that a wildcard covers, a host name beside addresses only. */
bool chain_common_name_stands_alone(struct span cn, const struct chain_certificate *facts)
{
    bool address = looks_like_address(cn), any_dns = false;
    if (!address && !looks_like_name(cn))
        return false;
    for (size_t i = 0; i < facts->name_listed; i++) {
        const struct chain_name *n = &facts->names[i];
        bool dns = n->kind == CHAIN_NAME_DNS;
        any_dns = any_dns || dns;
        if (span_equal(cn, n->text) ||
            (dns && !address && (is_below(n->text, cn) || wildcard_covers(n->text, cn))))
            return false;
    }
    return address || any_dns || facts->name_count == 0;
}

/* At least eight letters and digits that no language would set in a row: a run of six without a vowel, digits between letters in
 * two places, or hardly a vowel at all. */
bool chain_label_random(struct span label)
{
    size_t vowels = 0, letters = 0, run = 0, longest = 0, changes = 0;
    for (size_t i = 0; i < label.len; i++) {
        int c = tolower(label.data[i]);
        bool letter = c >= 'a' && c <= 'z', vowel = letter && strchr("aeiouy", c);
        if (!letter && !(c >= '0' && c <= '9'))
            return false;
        letters += letter;
        vowels += vowel;
        run = vowel ? 0 : run + 1;
        longest = run > longest ? run : longest;
        changes += i > 0 && letter != (isalpha(label.data[i - 1]) != 0);
    }
    return label.len >= 8 && letters >= 3 && (longest >= 6 || changes >= 4 || vowels * 7 < letters);
}
