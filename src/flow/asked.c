/* asked.c: a server that asks for a client certificate, which whoever terminates TLS doesn't have. It must not end an inspection by
 * asking: only an entry of the baseline that names the sender and that destination (client_certificate: tunnel) lets the flow through.
 * Then our handshake is given up, the same address is dialled again, and gets the client's own hello, which is peeked at; servers that
 * asked are remembered for a while, so that the next flow goes there at once. Called by the steps; touches the flow and its facts. */
#include "flow/inside.h"
#include "flow/peek.h"

#include "base/must.h"
#include "tls/digest.h"

#include <stdlib.h>

enum { SETS = 64, WAYS = 4, LIFE_MS = 60 * 60 * 1000 };

/* A worker's: which servers asked. */
struct asked_room {
    struct asking_server {
        uint8_t key[DIGEST_SHA256_BYTES];
        uint64_t until_ms; /* 0: free */
    } kept[SETS][WAYS];
};

/* By address and names: what it asked under another name it needn't ask under this one. */
static int make_key(const struct flow *f, uint8_t ret[DIGEST_SHA256_BYTES])
{
    const struct exchange *x = f->x;
    const struct fact_value *sni = &x->facts.values[FACT_sni];
    const struct span parts[] = {
        span_of(x->server_ip.bytes, sizeof x->server_ip.bytes), span_of(&x->port, sizeof x->port),
        span_str(x->host.name), /* ends before an SNI begins: no name has a NUL */ span_of("", 1),
        sni->state == FACT_KNOWN ? span_of(sni->as.text, sni->count) : span_of("", 0)};
    return digest_sha256(parts, ARRAY_LEN(parts), ret);
}

static bool is_remembered(const struct flow *f)
{
    uint8_t key[DIGEST_SHA256_BYTES];
    const struct asked_room *room = f->env->asked;
    uint64_t now_ms = net_now_ms(f->env->net);
    if (!room || make_key(f, key) != 0)
        return false;
    const struct asking_server *set = room->kept[key[0] % SETS];
    for (size_t w = 0; w < WAYS; w++)
        if (set[w].until_ms > now_ms && memcmp(set[w].key, key, sizeof key) == 0)
            return true;
    return false;
}

/* In place of the one that ends first. */
static void remember(struct flow *f)
{
    uint8_t key[DIGEST_SHA256_BYTES];
    if (!f->env->asked)
        f->env->asked = calloc(1, sizeof *f->env->asked);
    if (!f->env->asked || make_key(f, key) != 0)
        return;
    struct asking_server *set = f->env->asked->kept[key[0] % SETS], *best = &set[0];
    for (size_t w = 1; w < WAYS; w++)
        if (set[w].until_ms < best->until_ms)
            best = &set[w];
    memcpy(best->key, key, sizeof key);
    best->until_ms = net_now_ms(f->env->net) + LIFE_MS;
}

bool asked_goes_without(const struct flow *f)
{
    return f->x->verdict.client_certificate == CLIENT_CERTIFICATE_UNSET &&
           flow_conf(f)->inspection.client_certificate == CONF_CLIENT_CERTIFICATE_WITHOUT;
}

bool asked_may_pass(const struct flow *f, const struct verdict *v)
{
    bool allowed = v->client_certificate == CLIENT_CERTIFICATE_TUNNEL || v->mode != MODE_ENFORCE;
    return allowed && !asked_goes_without(f) && !(v->needs_path && v->mode == MODE_ENFORCE);
}

/* Nobody was going to read the server's flight: what it will show is to come now. */
static void await_chain(struct flow *f)
{
    for (int i = 0; i < FACT_COUNT; i++)
        if (fact_table[i].phase == FACT_CHAIN)
            f->x->facts.values[i] = (struct fact_value){.state = FACT_PENDING};
    judgement_look_anew(f);
}

int asked_pass(struct flow *f)
{
    struct client_hello h;
    struct verdict *v = &f->x->verdict;
    if (f->peek || !(f->server_asked || (v->handling == HANDLING_TERMINATE && is_remembered(f))) ||
        !asked_may_pass(f, v) || !inside_read_hello(f, &h))
        return 0;
    v->handling = HANDLING_PEEK;
    fact_set_text(&f->x->facts, FACT_handling_why, "client_certificate");
    if (v->client_certificate != CLIENT_CERTIFICATE_TUNNEL) {
        v->reason = REASON_HANDLING_DOWNGRADE;
        v->would_block |= v->mode == MODE_REPORT;
        if (v->mode == MODE_REPORT && v->action == VERDICT_ALLOW)
            v->action = VERDICT_ALERT;
    }
    await_chain(f);
    conform_begin(f);
    return peek_begin(f, &h);
}

static enum step refuse(struct flow *f)
{
    struct verdict *v = &f->x->verdict;
    bool said = v->client_certificate == CLIENT_CERTIFICATE_REFUSE || asked_goes_without(f);
    v->action = VERDICT_BLOCK;
    v->reason = said ? REASON_CLIENT_CERTIFICATE : REASON_HANDLING_DOWNGRADE;
    return flow_fail(
        f, v->reason, "%s",
        said ? "" : "the server asks for a client certificate; no entry says client_certificate: tunnel");
}

enum step asked(struct flow *f)
{
    struct flow_setup *s = f->setup;
    if (f->server_asked || asked_goes_without(f)) /* it was let through once, and asks again */
        return refuse(f);
    f->server_asked = true;
    if (!asked_may_pass(f, &f->x->verdict))
        return refuse(f);
    remember(f);
    side_close(&f->server, NET_CLOSE_FIN);
    inside_end(f);
    if (!s->parent) { /* the address that was checked, and was the one that answered */
        s->addresses[0] = (struct endpoint){f->x->server_ip, f->x->port};
        s->address_count = 1;
    }
    s->asked_parent = false;
    s->interim = 0;
    return flow_goto(f, FLOW_DIAL);
}
