/* conformance.c: see conformance.h. Pure. */
#include "facts/conformance.h"

#include "base/must.h"
#include "facts/registry.h"

enum { TLS12 = 0x0303, TLS13 = 0x0304, DH_BITS_MIN = 2048, RENEGOTIATION_SCSV = 0x00ff };

static const uint8_t fault_anomalies[FLIGHT_FAULT_COUNT] = {
#define FAULT(id, anomaly, text) [FLIGHT_FAULT_##id] = ANOMALY_##anomaly,
#include "wire/flight_faults.def"
#undef FAULT
};

/* ---- what was offered ---- */

static bool has_u16(struct span list, uint16_t value)
{
    for (size_t i = 0; i < hello_u16_count(list); i++)
        if (hello_u16_at(list, i) == value)
            return true;
    return false;
}

static bool offered_extension(const struct client_hello *c, uint16_t type)
{
    struct hello_extension e;
    size_t cursor = 0;
    if (type == HELLO_EXT_RENEGOTIATION_INFO && has_u16(c->cipher_suites, RENEGOTIATION_SCSV))
        return true;
    while (client_hello_next_extension(c, &cursor, &e))
        if (e.type == type)
            return true;
    return false;
}

static bool offered_alpn(const struct client_hello *c, struct span name)
{
    struct span offered;
    size_t cursor = 0;
    while (client_hello_next_alpn(c, &cursor, &offered))
        if (span_equal(offered, name))
            return true;
    return false;
}

/* Without supported_versions a client offers every version up to its own. */
static bool offered_version(const struct client_hello *c, uint16_t version)
{
    if (c->supported_versions.len > 0)
        return has_u16(c->supported_versions, version);
    return version <= c->legacy_version;
}

bool conformance_was_offered(const struct client_hello *client, const struct server_hello *server)
{
    struct hello_extension e;
    size_t cursor = 0;
    while (server_hello_next_extension(server, &cursor, &e))
        if (!offered_extension(client, e.type))
            return false;
    return has_u16(client->cipher_suites, server->cipher_suite) && offered_version(client, server->version) &&
           (server->alpn.len == 0 || offered_alpn(client, server->alpn)) &&
           (server->group == 0 || has_u16(client->groups, server->group)) &&
           memchr(client->compression.data ? client->compression.data : (const uint8_t *)"",
                  server->compression, client->compression.len) != NULL;
}

/* ---- what was chosen ---- */

static void judge_hello(const struct server_hello *h, const struct client_hello *client,
                        struct anomaly_set *set)
{
    enum suite_kind kind = registry_suite_kind(h->cipher_suite);
    if (h->version < TLS12)
        anomaly_set_add(set, ANOMALY_H18);
    if (kind == SUITE_WEAK_STATIC || kind == SUITE_WEAK_EPHEMERAL)
        anomaly_set_add(set, ANOMALY_H19);
    if (h->version < TLS13 && (kind == SUITE_STATIC || kind == SUITE_WEAK_STATIC))
        anomaly_set_add(set, ANOMALY_H20);
    if (h->duplicate_extension)
        anomaly_set_add(set, ANOMALY_H10);
    if (h->malformed_part)
        anomaly_set_add(set, ANOMALY_H07);
    if (server_hello_has(h, HELLO_EXT_HEARTBEAT))
        anomaly_set_add(set, ANOMALY_H24);
    if (!client)
        return;
    if (!conformance_was_offered(client, h))
        anomaly_set_add(set, ANOMALY_H22);
    if (h->version < client->highest_version && server_hello_has_sentinel(h))
        anomaly_set_add(set, ANOMALY_H21);
}

static void judge_exchange(const struct flight *f, const struct client_hello *client, struct anomaly_set *set)
{
    if (f->group && registry_group_is_weak(f->group))
        anomaly_set_add(set, ANOMALY_H20);
    if (f->dh_bits && f->dh_bits < DH_BITS_MIN)
        anomaly_set_add(set, ANOMALY_H20);
    if (client && f->group && client->groups.len > 0 && !has_u16(client->groups, f->group))
        anomaly_set_add(set, ANOMALY_H22);
}

void conformance_judge_flight(const struct flight *f, const struct client_hello *client,
                              struct anomaly_set *set)
{
    const struct {
        bool seen;
        enum anomaly anomaly;
    } rows[] = {
        {f->sides[0].odd_version || f->sides[1].odd_version, ANOMALY_H03},
        {f->sides[0].odd_length || f->sides[1].odd_length, ANOMALY_H05},
        {f->retries > 0, ANOMALY_H23},
        {f->heartbeat, ANOMALY_H24},
        {(f->alerts[0].seen && f->alerts[0].level == 2) || (f->alerts[1].seen && f->alerts[1].level == 2) ||
             f->client_alert_hidden,
         ANOMALY_H25},
        {f->early_data, ANOMALY_H29},
        {f->certificate_requested || f->certificate_sent, ANOMALY_H40},
    };
    struct server_hello h;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].seen)
            anomaly_set_add(set, rows[i].anomaly);
    if (f->fault)
        anomaly_set_add(set, (enum anomaly)fault_anomalies[f->fault]);
    if (buf_len(&f->hello) > 0 && server_hello_parse(buf_span(&f->hello), &h) == PARSE_OK)
        judge_hello(&h, client, set);
    judge_exchange(f, client, set);
}
