/* flow_fuzz.c: the fuzzer's bytes are what happens to the flow: who sends what, what the resolver, the servers and the agent
 * answer, time, closes, reloads, stopping. What must hold at the end of every run (world.h) must hold here too.
 *
 * The first byte picks a configuration. Then operations: one byte picks the row of `ops`, the next is its argument; those
 * that send have as many bytes behind it. flow_corpus.py makes seeds of the scenarios. */
#include "sim_rules.h"
#include "world.h"

#include "base/must.h"
#include "flow/flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPS_MAX = 400, CLIENTS_MAX = 4, BULK_BYTES = 1024, BULKS_MAX = 600 };

struct fuzz {
    struct sim *sim; /* first: world.c finds it here */
    struct sim storage;
    struct peer *clients[CLIENTS_MAX];     /* borrowed */
    unsigned client_count, client, server; /* the ones operations are about; server 0: the latest */
    uint8_t dns, dial, agent;
    uint16_t next_port;
    unsigned bulks;
};

/* ---- what there is to choose from; made once ---- */

static const char standard[] = "version: 1\nmode: enforce\nunknown_sender: {action: block}\nsenders:\n"
                               "  - name: curl\n    match: {executable: /usr/bin/curl}\n    allow:\n"
                               "      - {domain: example.com}\n      - {domain: example.net}\n"
                               "      - {network: 93.184.216.0/24}\n"
                               "  - name: git\n    match: {executable: /usr/bin/git}\n    allow:\n"
                               "      - {domain: example.com, network: 93.184.216.0/24}\n";
static const char nobody[] = "version: 1\nmode: enforce\nunknown_sender: {action: block}\nsenders: []\n";
static const char report[] =
    "version: 1\nmode: report\nunknown_sender: {action: block, mode: report}\nsenders: []\n";

/* Each way in which a rule can be asked and answered. */
static const char rules[] = "title: volume\nid: volume\nlogsource: {category: proxy}\n"
                            "detection: {a: {cs-bytes|gte: 200, cs-host: example.com}, condition: a}\n---\n"
                            "title: age\nid: age\nlogsource: {category: proxy}\ndetection: {a: "
                            "{time-taken|gt: 5000}, condition: a}\n---\n"
                            "title: address\nid: address\nlogsource: {category: firewall}\n"
                            "detection: {a: {dst_ip|cidr: 93.184.216.64/26}, condition: a}\n---\n"
                            "title: page\nid: page\nlogsource: {category: proxy}\ndetection: {a: "
                            "{c-uri|contains: 'b'}, condition: not a}\n---\n"
                            "title: status\nid: status\nlogsource: {category: proxy}\ndetection: {a: "
                            "{sc-status|gt: 299}, condition: a}\n---\n"
                            "title: any\nname: any\nid: any\nlogsource: {category: proxy}\ndetection: {a: "
                            "{cs-method|exists: true}, condition: a}\n---\n"
                            "title: many\nid: many\ncorrelation: {type: event_count, rules: [any], group-by: "
                            "[r-ip], timespan: 1m, condition: {gte: 3}}\n";
static const char actions[] = "version: 1\nactions:\n  - {rule: age, action: cut}\n"
                              "  - {rule: page, action: block, on_unknown: hold, on_unevaluable: refuse}\n"
                              "  - {rule: [volume, address, status, many], action: block}\n";

static const struct {
    const char *conf, *baseline;
    bool has_rules;
} policies[] = {
    {"{}\n", standard, false},
    {"audit:\n  full: open\npolicy:\n  sni_mismatch: refuse\n  handling: peek\n  chain: wait\nguard:\n  "
     "allow_networks: [10.0.0.0/8]\n",
     report, true},
    {"parents: [{match: [any], proxies: [\"proxy.example.net:3128\", \"10.9.9.9:3128\"], user: us, "
     "password_file: parent.password}]\n",
     standard, false},
    {"auth:\n  password_file: users\n  required: true\n", standard, false},
    {"listen:\n  proxy_protocol_from: [192.0.2.8]\nlimits:\n  flows: 3\n  flows_per_client: 1\n  "
     "requests_per_client: 3\n"
     "  exchanges_per_sender: 1\n  head: 1KiB\n  target: 256B\n  hello: 4KiB\n",
     standard, false},
    {"policy:\n  on_revoke: keep\n  handling: peek\n", nobody, false},
    {"{}\n", standard, true},
    {"policy:\n  on_revoke: cut\n", nobody, false},
};
enum { POLICIES = sizeof policies / sizeof policies[0] };

static struct snapshot *snapshots[POLICIES];
static struct sender *senders[3];

static struct sender *make_sender(const char *executable)
{
    struct sender *s = sender_new();
    must(s);
    s->ref = "4711.1.1";
    s->pid = 4711;
    s->writable_by_user = 0;
    s->executable = executable;
    s->uid = 1000;
    must(sender_render(s) == 0);
    return s;
}

static void forget(void)
{
    for (int i = 0; i < POLICIES; i++)
        snapshot_unref(snapshots[i]);
    for (int i = 0; i < 3; i++)
        sender_unref(senders[i]);
}

static void make_everything(void)
{
    for (unsigned i = 0; i < POLICIES; i++) {
        snapshots[i] = world_snapshot("fuzz", policies[i].conf, policies[i].baseline, i + 1);
        if (policies[i].has_rules)
            world_add_rules(snapshots[i], "fuzz", rules, actions);
    }
    senders[0] = make_sender("/usr/bin/curl");
    senders[1] = make_sender("/usr/bin/git");
    senders[2] = make_sender("/usr/bin/nc");
    atexit(forget);
}

/* ---- the world ---- */

static void world_dns(void *owner, const char *host, struct world_dns *ret)
{
    static const struct ip ours = {4, {10, 1, 2, 3}}, theirs = {4, {93, 184, 216, 34}},
                           six = {6, {0x20, 1, 0x0d, 0xb8}};
    const struct fuzz *z = owner;
    (void)host;
    *ret = (struct world_dns){.after_ms = z->dns & 0x80 ? 0 : 2, .count = 1, .addresses = {theirs}};
    switch (z->dns & 7) {
    case 1:
        ret->addresses[0] = ours;
        break;
    case 2:
        ret->count = 3;
        ret->addresses[1] = ours;
        ret->addresses[2] = six;
        break;
    case 3:
        *ret = (struct world_dns){.status = NET_DNS_NOT_FOUND, .after_ms = 2};
        break;
    case 4:
        *ret = (struct world_dns){.status = NET_DNS_FAILED, .after_ms = 2};
        break;
    case 5:
        *ret = (struct world_dns){.status = NET_DNS_TIMEOUT, .after_ms = 5000};
        break;
    case 6:
        ret->count = 0;
        break;
    default:
        break;
    }
}

static void world_dial(void *owner, const struct endpoint *addresses, unsigned count, struct world_dial *ret)
{
    static const int errors[] = {0, ECONNREFUSED, ENETUNREACH, ETIMEDOUT, EMFILE, 0, 0, 0};
    const struct fuzz *z = owner;
    (void)addresses;
    *ret = (struct world_dial){.error = errors[z->dial & 7], .index = z->dial >> 3 & 3, .after_ms = 3};
    ret->index = ret->index < count ? ret->index : 0;
    if (ret->error == ETIMEDOUT)
        ret->after_ms = 10000;
}

static void world_agent(void *owner, const struct endpoint *client, struct world_agent *ret)
{
    const struct fuzz *z = owner;
    unsigned which = z->agent & 7;
    (void)client;
    *ret = (struct world_agent){.confidence = AGENT_CONFIDENCE_UNKNOWN, .reason = "vanished", .after_ms = 1};
    if (which < 3) {
        ret->confidence = z->agent & 8 ? AGENT_CONFIDENCE_AMBIGUOUS : AGENT_CONFIDENCE_EXACT;
        ret->sender = senders[which];
    } else if (which == 3) {
        ret->after_ms = 50;
    } else if (which == 4) {
        ret->after_ms = 0;
        ret->reason = "agent_unavailable";
    }
}

/* ---- operations ---- */

static struct peer *the_client(const struct fuzz *z)
{
    return z->client < z->client_count ? z->clients[z->client] : NULL;
}

static struct peer *the_server(const struct fuzz *z)
{
    struct peer *found = NULL;
    unsigned seen = 0;
    for (unsigned i = 0; i < z->sim->net->peer_count; i++) {
        struct peer *p = z->sim->net->peers[i];
        if (!p->is_client && (++seen == z->server || z->server == 0))
            found = p;
    }
    return found;
}

static void send_to(struct peer *p, struct span data)
{
    if (p)
        peer_send(p, data);
}

static void send_bulk(struct fuzz *z, struct peer *p, uint8_t count)
{
    static const uint8_t bulk[BULK_BYTES] = {'b', 'u', 'l', 'k'};
    for (unsigned i = 0; p && i < count && z->bulks < BULKS_MAX; i++, z->bulks++)
        peer_send(p, span_of(bulk, sizeof bulk));
}

static void act(struct peer *p, uint8_t what)
{
    static void (*const acts[])(struct peer *) = {peer_finish, peer_reset, peer_stop_reading,
                                                  peer_read_again};
    if (p)
        acts[what & 3](p);
}

static void op_client_sends(struct fuzz *z, uint8_t n, struct span data)
{
    (void)n;
    send_to(the_client(z), data);
}

static void op_server_sends(struct fuzz *z, uint8_t n, struct span data)
{
    (void)n;
    send_to(the_server(z), data);
}

static void op_client_bulk(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    send_bulk(z, the_client(z), n);
}

static void op_server_bulk(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    send_bulk(z, the_server(z), n);
}

static void op_wait(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    fake_net_run_for(z->sim->net, n < 128 ? n : (uint64_t)(n - 127) * 500);
}

static void op_client_acts(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    act(the_client(z), n);
}

static void op_server_acts(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    act(the_server(z), n);
}

static void op_dns(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    z->dns = n;
}

static void op_dial(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    z->dial = n;
}

static void op_agent(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    z->agent = n;
}

static void op_policy(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    sim_reload(z->sim, snapshots[n % POLICIES]);
}

static void op_stop(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    flow_env_stop(&z->sim->env);
    if (n & 1)
        flow_env_abort(&z->sim->env);
}

static void op_ledger(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    fake_ledger_fill(z->sim->ledger, n & 1);
}

static void op_connect(struct fuzz *z, uint8_t n, struct span data)
{
    struct endpoint client = {{4, {192, 0, 2, n & 2 ? 8 : 7}}, z->next_port++},
                    proxy = {{4, {192, 0, 2, 1}}, 3128};
    (void)data;
    if (z->client_count == CLIENTS_MAX)
        return;
    z->client = z->client_count;
    z->clients[z->client_count++] = sim_connect(z->sim, &client, &proxy, n & 1, false);
}

static void op_pick(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    z->client = n & 3;
    z->server = n >> 4;
}

/* What injections do to all reads and writes, or at the next step. */
static void op_trouble(struct fuzz *z, uint8_t n, struct span data)
{
    (void)data;
    z->sim->net->injection = (enum injection)(n % INJECT_COUNT);
    z->sim->net->inject_at = z->sim->net->steps + (n >> 5);
}

static const struct {
    void (*run)(struct fuzz *, uint8_t argument, struct span data);
    bool has_data; /* as many bytes as the argument says */
} ops[] = {
    {op_client_sends, true}, {op_server_sends, true}, {op_client_bulk, false}, {op_server_bulk, false},
    {op_wait, false},        {op_client_acts, false}, {op_server_acts, false}, {op_dns, false},
    {op_dial, false},        {op_agent, false},       {op_policy, false},      {op_stop, false},
    {op_ledger, false},      {op_connect, false},     {op_pick, false},        {op_trouble, false},
};

/* ---- playing ---- */

static void play(struct fuzz *z, struct span input)
{
    for (unsigned count = 0; input.len >= 2 && count < OPS_MAX; count++) {
        size_t row = input.data[0] % ARRAY_LEN(ops);
        uint8_t argument = input.data[1];
        struct span data = {NULL, 0};
        input = span_from(input, 2);
        if (ops[row].has_data) {
            data = span_of(input.data, argument < input.len ? argument : input.len);
            input = span_from(input, data.len);
        }
        ops[row].run(z, argument, data);
        fake_net_settle(z->sim->net);
    }
}

static void check_references(void)
{
    for (unsigned i = 0; i < POLICIES; i++)
        if (snapshots[i]->refs != 1)
            sim_abort("snapshot %u has %u references", i, snapshots[i]->refs);
    for (unsigned i = 0; i < 3; i++)
        if (senders[i]->refs != 1)
            sim_abort("sender %u has %u references", i, senders[i]->refs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz z;
    if (!snapshots[0])
        make_everything();
    if (size == 0)
        return 0;
    snprintf(sim_context, sizeof sim_context, "flow_fuzz");
    z = (struct fuzz){.next_port = 40000};
    z.sim = &z.storage;
    struct world world = {.owner = &z, .dns = world_dns, .dial = world_dial, .agent = world_agent};
    sim_open(z.sim, snapshots[data[0] % POLICIES], &world);
    z.sim->revoke_keep = snapshots[5];
    z.sim->revoke_cut = snapshots[6];
    play(&z, span_from(span_of(data, size), 1));
    sim_close(z.sim);
    check_references();
    return 0;
}
