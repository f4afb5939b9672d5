/* play.c: makes a flow of each visit: the flow code itself from accept to its last record, over fake_net.h's streams. Each is played whole at
 * the moment it begins; what is moved beyond the first bytes is counted, not carried. See office.h. */
#include "office.h"
#include "answers.h"
#include "senders.h"
#include "wire.h"

#include "../fake_net.h"
#include "../sim_rules.h"
#include "audit/ledger.h"
#include "base/must.h"
#include "flow/env.h"
#include "flow/findings.h"
#include "tls/digest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    MONTH_BEGINS_S = 1748822400, /* Monday, 2025-06-02 */
    TEXT_BYTES_MAX = 1 << 20,
    SWEEP_EVERY_MS = 600 * 1000,
    FIRST_BYTES = 2048, /* carried; a sample of what isn't TLS is taken of them */
    SETTLE_MS = 5,
};

/* Stands in for audit/ledger.c: counts records, and hands those of findings on. */
struct ledger {
    player_found_fn *found;
    void *owner; /* borrowed */
    uint64_t records;
    unsigned reserved;
};

struct player {
    struct office *office; /* borrowed */
    struct ledger ledger;
    struct senders *senders; /* owned, like the next four */
    struct authorities *authorities;
    struct net *net;
    struct chain_known *known;
    struct snapshot *snapshot;
    struct findings *findings; /* owned */
    struct answers *answers;   /* owned; NULL: nobody answers */
    struct flow_env env;
    struct flow_listener listener;
    struct rng rng;
    const struct visit *visit; /* borrowed: being played */
    int64_t swept_ms;
    uint64_t flows, refused;
    uint16_t port;
};

int ledger_reserve(struct ledger *l, unsigned count)
{
    l->reserved += count;
    return 0;
}

void ledger_release(struct ledger *l, unsigned count)
{
    must(l->reserved >= count);
    l->reserved -= count;
}

void ledger_append(struct ledger *l, struct span line)
{
    ledger_release(l, 1);
    l->records++;
    if (memmem(line.data, line.len < 256 ? line.len : 256, "\"class_uid\":2004", 16)) {
        json_t *record = json_loadb((const char *)line.data, line.len, 0, NULL);
        must(record);
        l->found(l->owner, record);
        json_decref(record);
    }
}

/* In place of the kernel's, so that a run is the same each time: where entries of tables fall depends on it. */
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
    (void)flags;
    memset(buf, 0x5a, len);
    return (ssize_t)len;
}

/* ---- the policy: what is shipped, and the office's baseline ---- */

static void read_file(const char *path, struct buf *text)
{
    char bytes[65536];
    size_t n;
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(1);
    }
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0)
        must(buf_append(text, bytes, n) == 0);
    fclose(f);
}

static int is_rule(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return len > 4 && strcmp(e->d_name + len - 4, ".yml") == 0;
}

static void read_rules(const char *folder, struct buf *text)
{
    struct dirent **names;
    int count = scandir(folder, &names, is_rule, alphasort);
    must(count > 0);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (buf_len(text) > 0)
            must(buf_append_str(text, "\n---\n") == 0);
        read_file(path, text);
        free(names[i]);
    }
    free(names);
}

static struct conf *make_conf(void)
{
    static const char text[] = "policy: {handling: peek, chain: never}\n"
                               "guard: {allow_networks: [10.20.0.0/16]}\n";
    char path[] = "/tmp/exeat-office-XXXXXX";
    struct err e = {0};
    int fd = mkstemp(path);
    must(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1 && close(fd) == 0);
    struct conf *c = conf_load(path, &e);
    unlink(path);
    if (!c)
        sim_stop_for(&e);
    return c;
}

static void destroy(struct snapshot *s)
{
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

/* IT has entered the devices that are there when the month begins, whose certificates nobody else vouches for. */
static void add_devices(struct authorities *a, struct buf *text)
{
    must(buf_append_str(text, "pki:\n") == 0);
    for (unsigned i = 0; i < OFFICE_DEVICES; i++) {
        char name[NAME_BYTES], hex[2 * DIGEST_SHA256_BYTES + 1];
        uint8_t digest[DIGEST_SHA256_BYTES];
        struct span certificate[2];
        snprintf(name, sizeof name, "device%u.corp.example", i);
        authorities_chain(a, VISIT_SELF_SIGNED, name, certificate);
        must(digest_sha256(certificate, 1, digest) == 0);
        for (size_t n = 0; n < sizeof digest; n++)
            snprintf(hex + 2 * n, 3, "%02x", digest[n]);
        must(
            buf_printf(text,
                       "  - {name: %s, owner: it, purpose: a device, sha256: %s, destinations: [{host: %s}], "
                       "expires: 2025-12-31}\n",
                       name, hex, name) == 0);
    }
}

static void make_snapshot(struct player *p)
{
    struct buf text;
    struct err e = {0};
    struct snapshot *s = calloc(1, sizeof *s);
    must(s);
    atomic_init(&s->refs, 1);
    s->destroy = destroy;
    s->generation = 1;
    s->conf = make_conf();
    buf_init(&text, TEXT_BYTES_MAX);
    read_file(EXEAT_SOURCE_DIR "/tests/sim/office/baseline.yaml", &text);
    add_devices(p->authorities, &text);
    s->kinds = destinations_new(&e);
    s->sender_kinds = sender_kinds_parse(sender_kinds_builtin(), SENDER_KINDS_BUILTIN_NAME, &e);
    if (!s->kinds || !s->sender_kinds)
        sim_stop_for(&e);
    s->baseline = baseline_parse_with(buf_span(&text), "baseline.yaml", s->kinds, &e);
    buf_clear(&text);
    read_file(EXEAT_SOURCE_DIR "/policy/chain/known.yaml", &text);
    p->known = chain_known_parse(buf_span(&text), "known.yaml", &e);
    if (!s->baseline || !p->known)
        sim_stop_for(&e);
    buf_clear(&text);
    read_rules(EXEAT_SOURCE_DIR "/policy/rules", &text);
    read_rules(EXEAT_SOURCE_DIR "/policy/rules/attack", &text);
    must(buf_append(&text, "", 1) == 0);
    world_add_rules(s, "policy/rules", (const char *)buf_span(&text).data, NULL);
    buf_free(&text);
    s->known = p->known;
    s->trust = (struct trust *)(uintptr_t)authorities_trust(p->authorities);
    p->snapshot = s;
}

/* ---- the world ---- */

static void on_dns(void *owner, const char *host, struct world_dns *ret)
{
    uint32_t h = 2166136261u;
    (void)owner;
    for (const char *at = host; *at; at++)
        h = (h ^ (uint8_t)*at) * 16777619u;
    bool inside = strstr(host, ".corp.example") != NULL;
    *ret = (struct world_dns){.status = NET_DNS_OK, .count = 1};
    ret->addresses[0] = (struct ip){4,
                                    {(uint8_t)(inside ? 10 : 20 + h % 20), (uint8_t)(inside ? 20 : h >> 24),
                                     (uint8_t)(h >> 16), (uint8_t)(h >> 8)}};
}

static void on_dial(void *owner, const struct endpoint *addresses, unsigned count, struct world_dial *ret)
{
    (void)owner;
    (void)addresses;
    (void)count;
    *ret = (struct world_dial){0};
}

static void on_agent(void *owner, const struct endpoint *client, struct world_agent *ret)
{
    static char host[NAME_BYTES];
    static struct agent_history *history;
    const struct player *p = owner;
    const struct visit *v = p->visit;
    (void)client;
    agent_history_unref(history);
    history = NULL;
    if (!v) /* the end */
        return;
    senders_host_name(v->host, host);
    *ret = (struct world_agent){.confidence = AGENT_CONFIDENCE_UNKNOWN, .reason = "agent_unavailable"};
    if (program_info(v->program)->flags & NO_AGENT)
        return;
    ret->host = host;
    ret->reason = "vanished";
    if (v->unknown)
        return;
    history = senders_history(p->office, v);
    ret->reason = NULL;
    ret->confidence = AGENT_CONFIDENCE_EXACT;
    ret->sender = senders_get(p->senders, p->office, v);
    ret->history = history;
}

struct player *player_new(struct office *o, bool people, player_found_fn *found, void *owner)
{
    struct player *p = calloc(1, sizeof *p);
    must(p);
    p->office = o;
    p->ledger = (struct ledger){.found = found, .owner = owner};
    p->answers = people ? answers_new() : NULL;
    p->senders = senders_new();
    p->authorities = authorities_new();
    make_snapshot(p);
    const struct conf *c = p->snapshot->conf;
    const struct findings_options options = {.ledger = &p->ledger,
                                             .uid_prefix = "officeofficeoffi",
                                             .version = "office",
                                             .quiet_ms = c->findings.quiet_ms,
                                             .daily_budget = (unsigned)c->findings.daily_budget};
    p->findings = findings_new(&options);
    const struct world world = {.owner = p, .dns = on_dns, .dial = on_dial, .agent = on_agent};
    p->net = fake_net_new(&world);
    p->net->inject_at = UINT64_MAX;
    p->net->wall_ms = (uint64_t)MONTH_BEGINS_S * 1000;
    p->net->now_ms = 1000;
    size_t entries = (size_t)c->history.entries;
    p->env = (struct flow_env){.net = p->net,
                               .ledger = &p->ledger,
                               .limits = limits_new(1000),
                               .sightings = sightings_new(NULL, entries),
                               .pairs = pairs_new(NULL, entries),
                               .habits = habits_new(NULL, entries),
                               .findings = p->findings,
                               .snapshot = snapshot_ref(p->snapshot),
                               .uid_prefix = "office"};
    flow_env_init(&p->env);
    p->listener = (struct flow_listener){{{4, {10, 0, 0, 1}}, 3128}, false};
    p->rng = rng_for(o->seed, 99, 99);
    return p;
}

void player_stats(const struct player *p, struct player_stats *ret)
{
    struct table_stats pairs, sightings;
    pairs_stats(p->env.pairs, &pairs);
    sightings_stats(p->env.sightings, &sightings);
    *ret = (struct player_stats){p->flows, p->ledger.records, p->refused, pairs.evicted + sightings.evicted,
                                 p->answers ? answers_suppressed(p->answers) : 0};
}

const char *player_rule_name(const struct player *p, const char *id)
{
    const struct ruleset *set = p->snapshot->rules->set;
    for (size_t i = 0; i < set->rule_count; i++) {
        const struct sigma_document *d = set->rules[i].document;
        if (d->name && strcmp(sigma_document_id(d), id) == 0)
            return d->name;
    }
    return id;
}

void player_free(struct player *take_p)
{
    struct player *p = take_p;
    struct world_agent none;
    p->visit = NULL;
    on_agent(p, NULL, &none);
    if (p->env.flow_count || p->ledger.reserved)
        sim_abort("%u flows and %u reserved records are left", p->env.flow_count, p->ledger.reserved);
    flow_env_close(&p->env);
    fake_net_free(p->net);
    limits_free(p->env.limits);
    sightings_free(p->env.sightings);
    pairs_free(p->env.pairs);
    habits_free(p->env.habits);
    findings_free(p->findings);
    snapshot_unref(p->snapshot);
    chain_known_free(p->known);
    authorities_free(p->authorities);
    senders_free(p->senders);
    if (p->answers)
        answers_free(p->answers);
    free(p);
}

/* ---- one flow ---- */

static void say(struct player *p, struct peer *who, struct buf *text)
{
    if (buf_len(text) > 0)
        peer_send(who, buf_span(text));
    buf_clear(text);
    fake_net_settle(p->net);
}

/* The server's end of the flow under way; NULL: the proxy has none. */
static struct peer *server_of(const struct player *p)
{
    for (unsigned i = 0; i < p->net->peer_count; i++)
        if (!p->net->peers[i]->is_client && p->net->peers[i]->stream)
            return p->net->peers[i];
    return NULL;
}

/* Until both sides could begin with their application data. */
static void shake_hands(struct player *p, const struct visit *v, struct peer *client, struct peer *server)
{
    struct buf text;
    struct span chain[2];
    const struct program_info *info = program_info(v->program);
    bool old = v->kind == VISIT_COMPANY || v->kind == VISIT_INSPECTED || v->kind == VISIT_SELF_SIGNED;
    buf_init(&text, 1 << 20);
    wire_hello(&text, info->hello, v->program, v->kind == VISIT_FRONTED ? "img.hidden-front.net" : v->name,
               &p->rng);
    say(p, client, &text);
    if (old)
        wire_server_hello12(&text, chain,
                            authorities_chain(p->authorities, (enum visit_kind)v->kind, v->name, chain),
                            &p->rng);
    else
        wire_server_hello13(&text, &p->rng);
    say(p, server, &text);
    if (old)
        wire_client_end12(&text, &p->rng);
    else
        must(buf_append(&text, "\x14\x03\x03\x00\x01\x01", 6) == 0);
    wire_data(&text, 52, &p->rng);
    say(p, client, &text);
    if (old)
        wire_server_end12(&text, &p->rng);
    wire_data(&text, 120, &p->rng);
    say(p, server, &text);
    buf_free(&text);
    fake_net_run_for(p->net, SETTLE_MS); /* certificates are judged beside the loop */
}

/* What isn't TLS: the first bytes of each side. */
static void begin_otherwise(struct player *p, const struct visit *v, struct peer *client, struct peer *server)
{
    static const char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
                      allocate[] = "\x00\x03\x00\x08\x21\x12\xa4\x42";
    static const char request[] = "\x00\x19\x00\x04\x11\x00\x00\x00";
    struct buf text;
    buf_init(&text, 1 << 20);
    if (v->kind == VISIT_SSH)
        must(buf_append(&text, ssh, sizeof ssh - 1) == 0);
    if (v->kind == VISIT_TURN) { /* STUN's head, its transaction's number, what is wanted: UDP */
        must(buf_append(&text, allocate, sizeof allocate - 1) == 0);
        wire_noise(&text, 12, &p->rng);
        must(buf_append(&text, request, sizeof request - 1) == 0);
    }
    if (v->kind == VISIT_RANDOM)
        wire_noise(&text, 64 + rng_below(&p->rng, 200), &p->rng);
    say(p, client, &text);
    wire_noise(&text, FIRST_BYTES, &p->rng);
    say(p, server, &text);
    wire_noise(&text, FIRST_BYTES, &p->rng);
    say(p, client, &text);
    buf_free(&text);
}

static struct peer *connect_client(struct player *p, const struct visit *v)
{
    struct peer *client;
    char request[2 * NAME_BYTES + 64];
    const struct endpoint from = {{4, {10, 1, (uint8_t)(v->host >> 8), (uint8_t)v->host}},
                                  (uint16_t)(20000 + p->port++ % 40000)};
    struct net_stream *stream = fake_net_connect(p->net, &from, &p->listener.endpoint, &client);
    must(stream);
    flow_accept(&p->env, stream, &p->listener);
    snprintf(request, sizeof request, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", v->name, v->name);
    peer_send(client, span_str(request));
    fake_net_settle(p->net);
    return client;
}

static void move_bulk(struct player *p, const struct visit *v, struct peer *client, struct peer *server)
{
    if (client->stream && v->out > client->sent_bytes)
        client->bulk_bytes = v->out - client->sent_bytes;
    if (server->stream && v->in > server->sent_bytes)
        server->bulk_bytes = v->in - server->sent_bytes;
    fake_net_settle(p->net);
}

void player_answer(struct player *p, json_t *record, bool attack)
{
    if (p->answers)
        answers_note(p->answers, record, attack);
}

/* Between flows: nobody reads the snapshot. */
static void answer(struct player *p, const struct visit *v)
{
    if (!p->answers || !answers_give(p->answers, p->findings, v->at_ms, (int64_t)p->net->wall_ms))
        return;
    suppressions_free(p->snapshot->suppressions);
    p->snapshot->suppressions = answers_suppressions(p->answers);
}

void player_play(struct player *p, const struct visit *v)
{
    int64_t now_ms = (int64_t)p->net->wall_ms - MONTH_BEGINS_S * INT64_C(1000);
    if (v->at_ms > now_ms)
        fake_net_run_for(p->net, (uint64_t)(v->at_ms - now_ms));
    if (v->at_ms - p->swept_ms >= SWEEP_EVERY_MS) {
        findings_sweep(p->findings, (int64_t)p->net->wall_ms);
        p->swept_ms = v->at_ms;
    }
    answer(p, v);
    p->visit = v;
    struct peer *client = connect_client(p, v), *server = server_of(p);
    if (server && (v->kind == VISIT_RANDOM || v->kind == VISIT_SSH || v->kind == VISIT_TURN))
        begin_otherwise(p, v, client, server);
    else if (server)
        shake_hands(p, v, client, server);
    if (server)
        move_bulk(p, v, client, server);
    peer_finish(client);
    if (server)
        peer_finish(server);
    fake_net_settle(p->net);
    if (p->env.flow_count)
        fake_net_run_for(p->net, SETTLE_MS);
    if (p->env.flow_count)
        sim_abort("the flow to %s does not end", v->name);
    fake_net_forget_closed(p->net);
    p->flows++;
    p->refused += !server;
    p->office->hosts[v->host].online[v->program]++;
}
