/* snapshot.c: see snapshot.h. */
#include "run/snapshot.h"

#include "conf/file.h"
#include "run/kinds_load.h"
#include "run/rules_policy.h"
#include "run/settings.h"
#include "tls/clients.h"

#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { BASELINE_MAX_BYTES = 8 * 1024 * 1024, POPULARITY_MAX_BYTES = 64 * 1024 * 1024 };

static void snapshot_destroy(struct snapshot *s)
{
    tls_context_free(s->proxy_tls);
    tls_context_free(s->server_tls);
    tls_context_free(s->inspect_tls);
    trust_free(s->trust);
    trust_free(s->pki);
    chain_known_free(s->known);
    ct_logs_free(s->ct_logs);
    ech_names_free(s->ech_names);
    tls_prober_free(s->prober);
    domains_free(s->spared);
    ca_free(s->ca);
    geo_close(s->geo);
    popularity_free(s->popularity);
    free(s->own_addresses);
    tally_free(s->tally);
    free(s->rule_counts);
    rulebook_free(s->rules);
    baseline_free(s->baseline);
    destinations_free(s->kinds);
    suppressions_free(s->suppressions);
    sender_kinds_free(s->sender_kinds);
    conf_free(s->conf);
    free(s);
}

static int load_baseline(struct snapshot *s, struct err *reterr)
{
    struct buf text;
    buf_init(&text, BASELINE_MAX_BYTES);
    s->kinds = kinds_load_destinations(s->conf, reterr);
    if (s->kinds && conf_file_read(s->conf->policy.baseline, false, &text, reterr) == 0)
        s->baseline = baseline_parse_with(buf_span(&text), s->conf->policy.baseline, s->kinds, reterr);
    buf_free(&text);
    if (!s->baseline)
        return -1;
    s->needs_hash = baseline_needs_hash(s->baseline);
    return 0;
}

static int load_suppressions(struct snapshot *s, struct err *reterr)
{
    const char *path = s->conf->findings.suppressions;
    struct buf text;
    if (!path)
        return 0;
    buf_init(&text, BASELINE_MAX_BYTES);
    if (conf_file_read(path, false, &text, reterr) == 0)
        s->suppressions = suppressions_parse(buf_span(&text), path, reterr);
    buf_free(&text);
    return s->suppressions ? 0 : -1;
}

static int load_rules(struct snapshot *s, struct err *reterr)
{
    if (rules_policy_load(s->conf, &s->rules, reterr) != 0)
        return -1;
    s->needs_hash = s->needs_hash || (s->rules && s->rules->uses[FACT_sender_sha256]);
    s->rule_counts = s->rules ? rule_counts_new(s->rules->set->rule_count) : NULL;
    if (!s->rules || s->rules->set->correlation_count == 0)
        return 0;
    s->tally = tally_new(s->rules);
    return s->tally ? 0 : err_set(reterr, NULL, 0, 0, "no memory");
}

static bool to_ip(const struct sockaddr *address, struct ip *ret)
{
    if (address && address->sa_family == AF_INET)
        *ret =
            ip_from_bytes((const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    else if (address && address->sa_family == AF_INET6)
        *ret = ip_from_bytes(
            (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    else
        return false;
    return true;
}

/* Which addresses are ours: connecting to them would make the proxy vouch for itself. Read again at each reload. */
static int load_own_addresses(struct snapshot *s, struct err *reterr)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return err_set(reterr, NULL, 0, 0, "this host's addresses cannot be read: %s", strerror(errno));
    size_t count = 0;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        count++;
    s->own_addresses = calloc(count ? count : 1, sizeof *s->own_addresses);
    for (const struct ifaddrs *i = all; i && s->own_addresses; i = i->ifa_next)
        s->own_count += to_ip(i->ifa_addr, &s->own_addresses[s->own_count]);
    freeifaddrs(all);
    return s->own_addresses ? 0 : err_set(reterr, NULL, 0, 0, "no memory");
}

static int load_geo(struct snapshot *s, struct err *reterr)
{
    const struct conf *c = s->conf;
    unsigned asn_line = baseline_asn_line(s->baseline);
    if (asn_line && !c->geoip.asn_db)
        return err_set(reterr, c->policy.baseline, asn_line, 0,
                       "asn can never hold: geoip.asn_db is not set");
    if (!c->geoip.country_db && !c->geoip.city_db && !c->geoip.asn_db)
        return 0;
    s->geo = geo_open(c->geoip.country_db, c->geoip.city_db, c->geoip.asn_db, reterr);
    return s->geo ? 0 : -1;
}

static int load_spared(struct snapshot *s, struct err *reterr)
{
    const struct conf *c = s->conf;
    for (const struct domains_file *f = domains_private; c->inspection.spare_private && f->name; f++)
        if (!(s->spared = domains_parse(s->spared, span_of(f->bytes, f->len), f->name, reterr)))
            return -1;
    for (size_t i = 0; i < c->inspection.spare.count; i++) {
        const char *path = c->inspection.spare.items[i];
        struct buf text;
        buf_init(&text, BASELINE_MAX_BYTES);
        int result = conf_file_read(path, false, &text, reterr);
        if (result == 0 && !(s->spared = domains_parse(s->spared, buf_span(&text), path, reterr)))
            result = -1;
        buf_free(&text);
        if (result != 0)
            return -1;
    }
    return 0;
}

static int load_inspection(struct snapshot *s, struct err *reterr)
{
    const struct conf *c = s->conf;
    unsigned line = baseline_terminate_line(s->baseline);
    if (line && !c->inspection.ca_certificate)
        return err_set(reterr, c->policy.baseline, line, 0,
                       "terminate needs inspection.ca_certificate and ca_key");
    if (!c->inspection.ca_certificate)
        return 0;
    if (load_spared(s, reterr) != 0)
        return -1;
    s->ca = ca_read(c->inspection.ca_certificate, reterr);
    s->inspect_tls = s->ca ? tls_context_new_unverified(reterr) : NULL;
    return s->inspect_tls ? 0 : -1;
}

static int load_popularity(struct snapshot *s, struct err *reterr)
{
    const char *path = s->conf->history.popularity_list;
    uint8_t key[SIPHASH_KEY_BYTES];
    struct buf text;
    if (!path)
        return 0;
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return err_set(reterr, path, 0, 0, "no randomness");
    buf_init(&text, POPULARITY_MAX_BYTES);
    if (conf_file_read(path, false, &text, reterr) == 0)
        s->popularity = popularity_parse(buf_span(&text), key, path, reterr);
    buf_free(&text);
    return s->popularity ? 0 : -1;
}

static int load_tls(struct snapshot *s, struct err *reterr)
{
    const struct conf *c = s->conf;
    s->server_tls = tls_context_new_client(c->tls_origin.ca_file, reterr);
    if (!s->server_tls || load_inspection(s, reterr) != 0)
        return -1;
    unsigned line = baseline_role_line(s->baseline);
    if (line && !c->listen.tls_client_ca)
        return err_set(reterr, c->policy.baseline, line, 0,
                       "role can never hold: listen.tls_client_ca is not set");
    if (c->listen.tls_addresses.count == 0)
        return 0;
    if (!c->listen.tls_certificate || !c->listen.tls_key)
        return err_set(reterr, c->file, 0, 0, "listen.tls_addresses needs tls_certificate and tls_key");
    s->proxy_tls = tls_context_new_server(c->listen.tls_certificate, c->listen.tls_key, reterr);
    if (!s->proxy_tls || !c->listen.tls_client_ca)
        return s->proxy_tls ? 0 : -1;
    const struct tls_client_rules rules = {.ca_file = c->listen.tls_client_ca,
                                           .crl_file = c->listen.tls_client_crl,
                                           .required = c->listen.tls_client_required};
    return tls_context_ask_clients(s->proxy_tls, &rules, reterr);
}

/* Appends the file that a `pki` entry of the baseline names; it must hold the certificate that the entry is about. */
static int read_pki(const struct conf *c, const struct baseline_pki *p, struct buf *all, struct err *reterr)
{
    char path[PATH_MAX];
    const char *file = c->policy.baseline, *slash = strrchr(file, '/');
    int folder = p->certificate[0] == '/' || !slash ? 0 : (int)(slash - file) + 1;
    struct buf text;
    bool found = false;
    if (snprintf(path, sizeof path, "%.*s%s", folder, file, p->certificate) >= (int)sizeof path)
        return err_set(reterr, file, p->line, 0, "the certificate's path is too long");
    buf_init(&text, BASELINE_MAX_BYTES);
    struct chain *chain =
        conf_file_read(path, false, &text, reterr) == 0 ? chain_parse_pem(buf_span(&text), reterr) : NULL;
    for (size_t i = 0; chain && i < chain_count(chain); i++)
        found = found || strcmp(chain_certificate_at(chain, i)->sha256, p->sha256) == 0;
    if (chain && !found)
        err_set(reterr, file, p->line, 0, "%s: %s has no certificate with this sha256", p->name, path);
    if (found &&
        (buf_append(all, buf_span(&text).data, buf_len(&text)) != 0 || buf_append(all, "\n", 1) != 0))
        found = err_set(reterr, file, p->line, 0, "the certificates of pki are too large") == 0;
    chain_free(chain);
    buf_free(&text);
    return found ? 0 : -1;
}

static int load_pki(struct snapshot *s, struct err *reterr)
{
    struct baseline_pki p;
    struct buf all;
    int result = 0;
    buf_init(&all, BASELINE_MAX_BYTES);
    for (size_t cursor = 0; result == 0 && baseline_next_pki(s->baseline, &cursor, &p);)
        if (p.certificate)
            result = read_pki(s->conf, &p, &all, reterr);
    struct chain *roots = result == 0 && buf_len(&all) ? chain_parse_pem(buf_span(&all), reterr) : NULL;
    if (roots)
        s->pki = trust_new_from(NULL, roots, reterr);
    if (buf_len(&all) && !s->pki)
        result = -1;
    chain_free(roots);
    buf_free(&all);
    return result;
}

static int load_ct_logs(struct snapshot *s, struct err *reterr)
{
    const char *path = s->conf->peek.ct_logs;
    struct buf text;
    buf_init(&text, CT_LOGS_BYTES_MAX);
    if (conf_file_read(path, false, &text, reterr) == 0)
        s->ct_logs = ct_logs_parse(buf_span(&text), path, reterr);
    buf_free(&text);
    return s->ct_logs ? 0 : -1;
}

static int load_ech_names(struct snapshot *s, struct err *reterr)
{
    const char *path = s->conf->policy.ech_names;
    struct buf text;
    if (!path)
        return 0;
    buf_init(&text, BASELINE_MAX_BYTES);
    if (conf_file_read(path, false, &text, reterr) == 0)
        s->ech_names = ech_names_parse(buf_span(&text), path, reterr);
    buf_free(&text);
    return s->ech_names ? 0 : -1;
}

/* What chains are judged by. */
static int load_trust(struct snapshot *s, struct err *reterr)
{
    static const char usual[] = "/etc/exeat/chain/known.yaml";
    const struct conf *c = s->conf;
    const char *path = c->peek.known ? c->peek.known : usual;
    const char *const files[] = {c->tls_origin.ca_file};
    s->trust = trust_new(true, files, c->tls_origin.ca_file ? 1 : 0, reterr);
    s->prober = s->trust ? tls_prober_new(reterr) : NULL;
    if (!s->prober)
        return -1;
    if (c->peek.ct_logs && load_ct_logs(s, reterr) != 0)
        return -1;
    if (!c->peek.known && access(usual, F_OK) != 0)
        return 0;
    struct buf text;
    buf_init(&text, BASELINE_MAX_BYTES);
    if (conf_file_read(path, false, &text, reterr) == 0)
        s->known = chain_known_parse(buf_span(&text), path, reterr);
    buf_free(&text);
    return s->known ? 0 : -1;
}

struct snapshot *snapshot_load(const char *config_file, uint64_t generation, struct err *reterr)
{
    struct net_settings settings;
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(reterr, config_file, 0, 0, "no memory"), NULL;
    s->refs = 1;
    s->destroy = snapshot_destroy;
    s->generation = generation;
    s->conf = conf_load(config_file, reterr);
    if (s->conf && load_baseline(s, reterr) == 0 && load_own_addresses(s, reterr) == 0 &&
        load_geo(s, reterr) == 0 && load_popularity(s, reterr) == 0 && load_tls(s, reterr) == 0 &&
        load_trust(s, reterr) == 0 && load_ech_names(s, reterr) == 0 && load_pki(s, reterr) == 0 &&
        load_rules(s, reterr) == 0 && load_suppressions(s, reterr) == 0 &&
        (s->sender_kinds = kinds_load_senders(s->conf, reterr)) &&
        settings_from_conf(s->conf, 1, &settings, reterr) == 0)
        return s;
    snapshot_unref(s);
    return NULL;
}
