/* world.c: see world.h. */
#include "world.h"
#include "sim_rules.h"

#include "base/must.h"
#include "flow/inside.h"
#include "flow/pins.h"
#include "tls/devca.h"
#include "tls/mint.h"
#include "tls/session_private.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FLOWS_MOST = 64, HOURS_MOST = 30, HOUR_MS = 3600 * 1000 };

/* ---- the fixture ---- */

static struct fixture fixture;
static const char *const fixture_files[] = {
    "ca.pem",    "ca.key", "good.pem",        "good.key",   "self.pem",       "self.key",      "wrong.pem",
    "wrong.key", "users",  "parent.password", "exeat.yaml", "inspection.pem", "inspection.key"};

static char *path_of(const char *file, char out[128])
{
    snprintf(out, 128, "%s/%s", fixture.folder, file);
    return out;
}

static void remove_fixture(void)
{
    char path[128];
    for (size_t i = 0; i < CERTIFICATE_COUNT; i++)
        tls_context_free(fixture.servers[i]);
    tls_context_free(fixture.client);
    tls_context_free(fixture.inspected);
    tls_context_free(fixture.inspect);
    ca_free(fixture.ca);
    trust_free(fixture.trust);
    tls_prober_free(fixture.prober);
    for (size_t i = 0; i < ARRAY_LEN(fixture_files); i++)
        unlink(path_of(fixture_files[i], path));
    rmdir(fixture.folder);
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *f = fopen(path_of(name, path), "w");
    must(f && fputs(text, f) >= 0);
    must(fclose(f) == 0 && chmod(path, 0600) == 0);
}

static void issue(struct devca *ca, enum fixture_certificate which, const char *name, struct devca_leaf leaf)
{
    char pem[128], key[128], file[32];
    struct err e = {0};
    leaf.not_before_days = -1;
    leaf.not_after_days = 30;
    snprintf(file, sizeof file, "%s.pem", name);
    path_of(file, pem);
    snprintf(file, sizeof file, "%s.key", name);
    path_of(file, key);
    if (devca_issue(ca, &leaf, pem, key, &e) != 0 ||
        !(fixture.servers[which] = tls_context_new_server(pem, key, &e)))
        sim_stop_for(&e);
}

static void make_inspection(const char *roots)
{
    char pem[128], key[128];
    struct err e = {0};
    const struct ca_plan plan = {.name = "Exeat inspection", .days = 30};
    path_of("inspection.pem", pem);
    path_of("inspection.key", key);
    if (ca_create(&plan, pem, key, &e) != 0 || !(fixture.ca = ca_read_with_key(pem, key, &e)) ||
        !(fixture.trust = trust_new(false, &roots, 1, &e)) || !(fixture.prober = tls_prober_new(&e)) ||
        !(fixture.inspected = tls_context_new_client(pem, &e)) ||
        !(fixture.inspect = tls_context_new_unverified(&e)))
        sim_stop_for(&e);
}

const struct fixture *fixture_get(void)
{
    if (fixture.folder[0])
        return &fixture;
    char pem[128], key[128], users[256];
    struct err e = {0};
    strcpy(fixture.folder, "/tmp/exeat-sim-XXXXXX");
    must(mkdtemp(fixture.folder));
    atexit(remove_fixture);
    struct devca *ca =
        devca_create("Exeat simulation CA", path_of("ca.pem", pem), path_of("ca.key", key), &e);
    if (!ca)
        sim_stop_for(&e);
    static const char names[] = "DNS:example.com,DNS:example.net,DNS:proxy.example";
    issue(ca, CERTIFICATE_GOOD, "good",
          (struct devca_leaf){.common_name = "example.com", .alt_names = names});
    issue(ca, CERTIFICATE_SELF_SIGNED, "self",
          (struct devca_leaf){.common_name = "example.com", .alt_names = names, .self_signed = true});
    issue(ca, CERTIFICATE_WRONG_NAME, "wrong",
          (struct devca_leaf){.common_name = "example.com", .alt_names = "DNS:other.test"});
    issue(ca, CERTIFICATE_OLD, "old", (struct devca_leaf){.common_name = "example.com", .alt_names = names});
    SSL_CTX_set_max_proto_version(fixture.servers[CERTIFICATE_OLD]->ctx, TLS1_2_VERSION);
    issue(ca, CERTIFICATE_ASKING, "asking",
          (struct devca_leaf){.common_name = "example.com", .alt_names = names});
    SSL_CTX_set_verify(fixture.servers[CERTIFICATE_ASKING]->ctx, SSL_VERIFY_PEER, NULL);
    devca_free(ca);
    fixture.client = tls_context_new_client(pem, &e);
    if (!fixture.client)
        sim_stop_for(&e);
    make_inspection(pem);
    struct crypt_data data = {0};
    snprintf(users, sizeof users, "alice:%s\n", crypt_r("secret", "$1$exeat", &data));
    write_file("users", users);
    write_file("parent.password", "parent-secret\n");
    return &fixture;
}

/* ---- snapshots ---- */

static void destroy(struct snapshot *s)
{
    tally_free(s->tally);
    free(s->rule_counts);
    rulebook_free(s->rules);
    baseline_free(s->baseline);
    conf_free(s->conf);
    free(s->own_addresses);
    free(s);
}

struct snapshot *world_snapshot(const char *name, const char *conf, const char *baseline, uint64_t generation)
{
    char path[128];
    struct err e = {0};
    const struct fixture *x = fixture_get();
    struct snapshot *s = calloc(1, sizeof *s);
    must(s);
    write_file("exeat.yaml", conf);
    atomic_init(&s->refs, 1);
    s->destroy = destroy;
    s->generation = generation;
    s->conf = conf_load(path_of("exeat.yaml", path), &e);
    s->baseline = s->conf ? baseline_parse(span_str(baseline), name, &e) : NULL;
    if (!s->baseline)
        sim_stop_for(&e);
    s->needs_hash = baseline_needs_hash(s->baseline);
    s->own_addresses = calloc(1, sizeof *s->own_addresses); /* what the scenarios take for this host */
    must(s->own_addresses && ip_parse(span_str("192.0.2.1"), &s->own_addresses[0]));
    s->own_count = 1;
    s->prober = x->prober;
    s->proxy_tls = x->servers[CERTIFICATE_GOOD];
    s->server_tls = x->client;
    s->trust = x->trust;
    s->ca = x->ca;
    s->inspect_tls = x->inspect;
    return s;
}

/* ---- invariants while it runs ---- */

/* Every byte for a server comes through here first: what the client sent may leave only once the decision is recorded. A
 * parent is asked before, and TLS says hello before. */
static void check_to_server(void *owner, void *flow, struct peer *server, struct span data)
{
    struct sim *s = *(struct sim **)owner;
    const struct flow *f = flow;
    char uid[64];
    bool ours = false;
    (void)server;
    (void)data;
    for (const struct flow *each = s->env.flows; each && !ours; each = each->next)
        ours = each == f;
    if (!ours) /* a probe's: none of a client's bytes */
        return;
    if (f->state == FLOW_PARENT || f->state == FLOW_SERVER_TLS)
        return;
    /* HTTP/2's own frames, between those of streams: under the tunnel's decision */
    const struct exchange *x = f->state == FLOW_STREAMS ? f->inside->tunnel : f->x;
    if (!x)
        sim_abort("bytes for a server outside an exchange, in %s", flow_state_name(f->state));
    if (x->decided && x->verdict.action == VERDICT_BLOCK)
        sim_abort("bytes for a server in a blocked exchange, in %s", flow_state_name(f->state));
    snprintf(uid, sizeof uid, "%s.d", x->id);
    /* under audit.full: open, when it was decided */
    bool unrecorded = x->unrecorded && fake_ledger_refused(s->ledger) > 0;
    if (fake_ledger_find(s->ledger, uid) != 1 && !unrecorded)
        sim_abort("bytes for a server without a decision record, in %s", flow_state_name(f->state));
}

void sim_reload(struct sim *s, struct snapshot *snapshot)
{
    flow_env_publish(&s->env, snapshot_ref(snapshot));
    while (flow_env_redecide(&s->env, 1))
        ;
}

static void inject(void *owner, enum injection what)
{
    struct sim *s = *(struct sim **)owner;
    if (what == INJECT_RELOAD_CUT && s->revoke_cut)
        sim_reload(s, s->revoke_cut);
    if (what == INJECT_RELOAD_KEEP && s->revoke_keep)
        sim_reload(s, s->revoke_keep);
    if (what == INJECT_STOP || what == INJECT_ABORT)
        flow_env_stop(&s->env);
    if (what == INJECT_ABORT)
        flow_env_abort(&s->env);
    if (what == INJECT_LEDGER_FULL)
        fake_ledger_fill(s->ledger, true);
}

/* ---- the signing process ---- */

/* From jobs, which the simulation runs on its one thread; its time is the simulation's wall time, which is today's. */
static enum signer_result sign(struct signer *signer, const uint8_t ca_sha256_wanted[32],
                               const struct signer_request *r, struct buf *ret,
                               char ret_why[SIGNER_WHY_BYTES])
{
    const struct fake_signer *s = (const struct fake_signer *)signer;
    const char *why = "the simulation says no";
    must(memcmp(ca_sha256_wanted, ca_sha256(fixture.ca), CA_SHA256_BYTES) == 0);
    if (s->mood == SIGNER_IS_GONE)
        return SIGNER_GONE;
    if (s->mood == SIGNER_SIGNS && r->work == SIGNER_LEAF &&
        mint_sign(fixture.ca, r->certificate, (int64_t)time(NULL), ret, &why) == 0)
        return SIGNER_SIGNED;
    snprintf(ret_why, SIGNER_WHY_BYTES, "%s", why);
    return SIGNER_REFUSED;
}

/* ---- one run ---- */

/* Certificates are made, and judged by OpenSSL, today; one start for all runs, since policies are made once. */
int64_t sim_wall_start_s(void)
{
    static int64_t start_s;
    if (start_s == 0)
        start_s = (int64_t)time(NULL);
    return start_s;
}

/* `world->owner` points to a struct that begins with a `struct sim *`: both this file and the test find their way. */
void sim_open(struct sim *s, struct snapshot *snapshot, struct world *world)
{
    world->to_server = check_to_server;
    world->inject = inject;
    s->net = fake_net_new(world);
    s->net->wall_ms = (uint64_t)sim_wall_start_s() * 1000;
    s->ledger = fake_ledger_new();
    s->limits = limits_new(FLOWS_MOST);
    s->signer = (struct fake_signer){{sign}, SIGNER_SIGNS};
    s->pins = pins_new(NULL);
    must(s->pins);
    must(s->limits);
    s->sightings = sightings_new(NULL, 1024);
    s->pairs = pairs_new(NULL, 1024);
    s->habits = habits_new(NULL, 1024);
    must(s->sightings && s->pairs && s->habits);
    s->env = (struct flow_env){.net = s->net,
                               .ledger = s->ledger,
                               .limits = s->limits,
                               .sightings = s->sightings,
                               .signer = &s->signer.signer,
                               .pins = s->pins,
                               .pairs = s->pairs,
                               .habits = s->habits,
                               .snapshot = snapshot_ref(snapshot),
                               .uid_prefix = "sim"};
    s->plain = s->tls = (struct flow_listener){{{4, {192, 0, 2, 1}}, 3128}, false};
    s->tls.tls = true;
    s->expectations = expect_failures();
    flow_env_init(&s->env);
}

struct peer *sim_connect(struct sim *s, const struct endpoint *client, const struct endpoint *proxy,
                         bool tls_listener, bool speaks_tls)
{
    struct peer *p = NULL;
    struct net_stream *stream = fake_net_connect(s->net, client, proxy, &p);
    if (!stream)
        return NULL;
    flow_accept(&s->env, stream, tls_listener ? &s->tls : &s->plain);
    if (speaks_tls) {
        p->tls = tls_session_connect(fixture_get()->client, "proxy.example", false);
        must(p->tls);
        tls_session_handshake(p->tls);
        peer_send_handshake(p);
    }
    return p;
}

static void let_end(struct sim *s)
{
    uint64_t begun = s->net->now_ms;
    fake_net_settle(s->net);
    while (s->env.flow_count > 0) {
        uint64_t due = fake_net_next_due(s->net);
        if (due == UINT64_MAX)
            sim_abort("a flow in %s waits without a deadline", flow_state_name(s->env.flows->state));
        if (due > begun + (uint64_t)HOURS_MOST * HOUR_MS)
            sim_abort("a flow in %s does not end", flow_state_name(s->env.flows->state));
        fake_net_run_for(s->net, due > s->net->now_ms ? due - s->net->now_ms : 0);
    }
    while (s->net->ops) /* jobs nobody waits for any more */
        fake_net_run_for(s->net, 1);
}

static void check_records(const struct sim *s)
{
    bool all = fake_ledger_refused(s->ledger) == 0;
    for (uint64_t n = 1; n <= s->env.next_uid; n++) {
        char uid[64];
        snprintf(uid, sizeof uid, "%s-%u-%llx.c", s->env.uid_prefix, s->env.worker, (unsigned long long)n);
        unsigned closes = fake_ledger_find(s->ledger, uid);
        uid[strlen(uid) - 1] = 'd';
        unsigned decisions = fake_ledger_find(s->ledger, uid);
        if (closes > 1 || decisions > 1 || (all && closes != 1))
            sim_abort("%s: %u decision and %u close records", uid, decisions, closes);
    }
    if (counter_get(&s->env.counters, COUNTER_exchanges) != s->env.next_uid)
        sim_abort("exchanges are not counted right");
}

void sim_close(struct sim *s)
{
    static const struct ip probe = {4, {192, 0, 2, 7}};
    let_end(s);
    check_records(s);
    if (expect_failures() != s->expectations)
        sim_abort("an expectation about a flow was broken");
    if (limits_client_enter(s->limits, &probe, 1, 1) != LIMITS_ADMITTED)
        sim_abort("connections are still counted in limits");
    flow_env_close(&s->env);
    fake_net_free(s->net);
    fake_ledger_free(s->ledger);
    limits_free(s->limits);
    pins_free(s->pins);
    sightings_free(s->sightings);
    pairs_free(s->pairs);
    habits_free(s->habits);
}
