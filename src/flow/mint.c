/* mint.c: between the two handshakes of a terminated tunnel: the server's chain is judged and a certificate made for the client, on a
 * pool thread, because signatures cost and the CA's key lives in another process. What was made for a chain is kept for a while.
 * A step of the hub; touches net.h's jobs, tls/verify, tls/mint, the signer and the facts. */
#include "flow/inside.h"

#include "base/must.h"
#include "tls/digest.h"
#include "tls/mint.h"
#include "tls/verify.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SETS = 64,
    WAYS = 4,                         /* leaves kept a worker: 256 */
    KEEP_MS = 30 * 60 * 1000,         /* a chain is judged again after that */
    KEY_LIFE_MS = 6 * 60 * 60 * 1000, /* then new leaves get a new key */
};

/* What was found and made for one chain, name, CA and policy. */
struct minted {
    uint8_t key[DIGEST_SHA256_BYTES];
    uint64_t until_ms;           /* 0: free */
    struct tls_context *context; /* owned */
    bool trusted;
    struct chain_set refused;
};

/* A worker's. */
struct mint_room {
    struct mint_keys *keys; /* counted */
    uint64_t keys_until_ms;
    struct minted kept[SETS][WAYS];
};

struct mint_job {
    struct net_job job;
    struct snapshot *snapshot; /* counted: CA and trust */
    struct signer *signer;     /* borrowed: outlives the workers */
    struct mint_keys *keys;    /* counted */
    struct chain *chain;       /* owned; NULL: nothing to mimic, a page is to be shown */
    struct host name, connect;
    bool
        mimic; /* a chain that doesn't verify is shown as it is, else as if it were good: the exchanges are refused */
    int64_t now_s;
    struct minted made;
    enum reason reason; /* NONE: made.context is there */
    char why[160];
};

void mint_room_free(struct mint_room *take_room)
{
    if (!take_room)
        return;
    for (size_t s = 0; s < SETS; s++)
        for (size_t w = 0; w < WAYS; w++)
            tls_context_free(take_room->kept[s][w].context);
    mint_keys_unref(take_room->keys);
    free(take_room);
}

static struct mint_room *room_of(struct flow *f)
{
    struct flow_env *env = f->env;
    uint64_t now = net_now_ms(env->net);
    if (!env->mint)
        env->mint = calloc(1, sizeof *env->mint);
    struct mint_room *room = env->mint;
    if (room && (!room->keys || room->keys_until_ms <= now)) {
        struct mint_keys *fresh = mint_keys_new();
        if (fresh) {
            mint_keys_unref(room->keys);
            room->keys = fresh;
            room->keys_until_ms = now + KEY_LIFE_MS;
        }
    }
    return room && room->keys ? room : NULL;
}

static struct minted *find(struct mint_room *room, const uint8_t key[DIGEST_SHA256_BYTES], uint64_t now_ms)
{
    struct minted *set = room->kept[key[0] % SETS];
    for (size_t w = 0; w < WAYS; w++)
        if (set[w].until_ms > now_ms && memcmp(set[w].key, key, DIGEST_SHA256_BYTES) == 0)
            return &set[w];
    return NULL;
}

/* In place of the one that ends first. */
static struct minted *keep(struct mint_room *room, const struct minted *take_made, uint64_t now_ms)
{
    struct minted *set = room->kept[take_made->key[0] % SETS], *place = &set[0];
    for (size_t w = 1; w < WAYS; w++)
        if (set[w].until_ms < place->until_ms)
            place = &set[w];
    tls_context_free(place->context);
    *place = *take_made;
    place->until_ms = now_ms + KEEP_MS;
    return place;
}

/* ---- on the pool's thread ---- */

static int judge_chain(struct mint_job *j)
{
    struct chain_question q = {.name = j->name.name,
                               .connect_name = host_equal(&j->name, &j->connect) ? NULL : j->connect.name,
                               .time_s = j->now_s,
                               .trust = j->snapshot->trust};
    struct chain_report r;
    if (j->connect.is_ip && !j->name.is_ip)
        q.connect_name = NULL; /* CONNECT to an address: nobody puts that into a certificate */
    if (chain_verify(j->chain, &q, &r) != 0)
        return -1;
    j->made.trusted = r.trusted;
    j->made.refused = r.refused;
    return 0;
}

static enum reason sign(struct mint_job *j, const struct mint_order *o, struct buf *der)
{
    struct err err = {0};
    struct buf request;
    buf_init(&request, MINT_CERTIFICATE_MAX_BYTES);
    enum reason reason = REASON_MINT_FAILED;
    if (mint_request(j->snapshot->ca, j->keys, o, &request, &err) != 0) {
        snprintf(j->why, sizeof j->why, "%.150s", err.text);
    } else {
        enum signer_result result =
            j->signer->sign(j->signer, ca_sha256(j->snapshot->ca), buf_span(&request), der, j->why);
        reason = result == SIGNER_SIGNED ? REASON_NONE
                 : result == SIGNER_GONE ? REASON_SIGNER_UNAVAILABLE
                                         : REASON_MINT_FAILED;
    }
    buf_free(&request);
    return reason;
}

static void job_work(struct net_job *job)
{
    struct mint_job *j = (struct mint_job *)job;
    struct mint_order o = {.name = j->name.name, .name_is_ip = j->name.is_ip, .now_s = j->now_s};
    struct err err = {0};
    struct buf der;
    if (j->chain && judge_chain(j) != 0) {
        j->reason = REASON_NO_MEMORY;
        return;
    }
    bool shown = j->chain && chain_count(j->chain) > 0 && (j->made.trusted || j->mimic);
    if (shown)
        o.leaf = chain_certificate_at(j->chain, 0)->der;
    buf_init(&der, MINT_CERTIFICATE_MAX_BYTES);
    bool distrusted = shown && !j->made.trusted;
    if (!distrusted)
        j->reason = sign(j, &o, &der);
    else if (mint_distrusted(j->keys, &o, &der, &err) != 0)
        j->reason = REASON_MINT_FAILED;
    if (j->reason == REASON_NONE) {
        j->made.context = mint_context(buf_span(&der), j->keys, distrusted ? NULL : j->snapshot->ca, &err);
        if (!j->made.context)
            j->reason = REASON_MINT_FAILED;
    }
    if (err.text[0])
        snprintf(j->why, sizeof j->why, "%.150s", err.text);
    buf_free(&der);
}

/* ---- on the worker's ---- */

static void set_trust_facts(struct flow *f, const struct minted *m)
{
    struct exchange *x = f->x;
    struct span *ids = arena_alloc(&x->arena, CHAIN_ANOMALY_COUNT * sizeof *ids);
    size_t count = 0;
    fact_set_bool(&x->facts, FACT_chain_trusted, m->trusted);
    for (enum chain_anomaly a = chain_set_next(m->refused, 0); ids && a != CHAIN_ANOMALY_NONE;
         a = chain_set_next(m->refused, a + 1))
        ids[count++] = span_str(chain_anomaly_table[a].id);
    if (ids)
        fact_set_items(&x->facts, FACT_chain_errors, ids, count);
}

/* The client's session takes a reference: what is kept may go. */
static enum step take(struct flow *f, const struct minted *m)
{
    struct inside *i = f->inside;
    i->judged = true;
    i->trusted = m->trusted;
    if (i->met)
        set_trust_facts(f, m);
    i->client = tls_session_accept(m->context);
    if (!i->client)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    bool refused = !m->trusted && flow_conf(f)->inspection.bad_chain == CONF_BAD_CHAIN_REFUSE;
    if (f->server.tls && !(refused && span_is(tls_session_protocol(f->server.tls), "h2")))
        tls_session_offer(i->client, tls_session_protocol(f->server.tls));
    else
        tls_session_offer(i->client, span_str(i->alpn_len ? "http/1.1" : ""));
    return WAIT;
}

static void job_done(struct net_job *job)
{
    struct mint_job *j = (struct mint_job *)job;
    struct flow *f = j->job.owner;
    f->inside->job = NULL;
    if (j->reason == REASON_NONE) {
        struct minted *m = keep(f->env->mint, &j->made, net_now_ms(f->env->net));
        j->made.context = NULL;
        take(f, m);
    } else {
        flow_fail(f, j->reason, "%s", j->why);
    }
    flow_wake(f);
}

static void job_destroy(struct net_job *job)
{
    struct mint_job *j = (struct mint_job *)job;
    tls_context_free(j->made.context);
    chain_free(j->chain);
    mint_keys_unref(j->keys);
    snapshot_unref(j->snapshot);
    free(j);
}

void mint_cancel(struct flow *f)
{
    if (f->inside && f->inside->job) {
        net_job_cancel(f->inside->job);
        f->inside->job = NULL;
    }
}

/* Everything that the answer depends on. */
static int make_key(const struct flow *f, const struct mint_job *j, uint8_t ret[DIGEST_SHA256_BYTES])
{
    const struct inside *i = f->inside;
    uint8_t page = i->met ? 0 : 1;
    const struct span parts[] = {span_of(i->leaf, sizeof i->leaf), span_of(&page, 1), span_str(j->name.name),
                                 span_str(j->connect.name),
                                 span_of(&f->snapshot->generation, sizeof f->snapshot->generation)};
    return digest_sha256(parts, ARRAY_LEN(parts), ret);
}

static struct mint_job *job_new(struct flow *f, struct mint_room *room)
{
    struct inside *i = f->inside;
    struct mint_job *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->job = (struct net_job){.work = job_work, .done = job_done, .destroy = job_destroy, .owner = f};
    j->snapshot = snapshot_ref(f->snapshot);
    j->signer = f->env->signer;
    j->keys = mint_keys_ref(room->keys);
    j->connect = f->x->host;
    j->name = i->sni.len ? i->sni : f->x->host;
    j->mimic = flow_conf(f)->inspection.bad_chain == CONF_BAD_CHAIN_MIMIC;
    j->now_s = (int64_t)(net_wall_ms(f->env->net) / 1000);
    j->chain = i->met ? tls_session_chain(f->server.tls) : NULL;
    if ((j->chain || !i->met) && make_key(f, j, j->made.key) == 0)
        return j;
    job_destroy(&j->job);
    return NULL;
}

static void set_chain_facts(struct flow *f, const struct chain *c)
{
    struct exchange *x = f->x;
    struct facts *facts = &x->facts;
    fact_set_text(facts, FACT_chain_source, "terminated");
    fact_set_text(facts, FACT_chain_why, NULL);
    if (!c || chain_count(c) == 0)
        return;
    const struct chain_certificate *leaf = chain_certificate_at(c, 0);
    if (leaf->malformed)
        return;
    fact_set_text(facts, FACT_chain_subject, arena_strdup(&x->arena, leaf->subject));
    fact_set_text(facts, FACT_chain_issuer, arena_strdup(&x->arena, leaf->issuer));
    fact_set_text(facts, FACT_chain_serial, arena_strdup(&x->arena, leaf->serial));
}

static enum step start(struct flow *f)
{
    struct mint_room *room = room_of(f);
    struct mint_job *j = room ? job_new(f, room) : NULL;
    if (!j)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (f->inside->met)
        set_chain_facts(f, j->chain);
    const struct minted *m = find(room, j->made.key, net_now_ms(f->env->net));
    if (m) {
        enum step step = take(f, m);
        job_destroy(&j->job);
        return step;
    }
    f->inside->job = &j->job;
    if (net_job_start(f->env->net, &j->job))
        return WAIT;
    f->inside->job = NULL;
    return flow_fail(f, REASON_OVERLOADED, "too many certificates are being made");
}

enum step flow_mint(struct flow *f)
{
    struct inside *i = f->inside;
    if (!i->judged && !i->job && start(f) == MOVE)
        return MOVE;
    if (!i->judged)
        return WAIT;
    return flow_goto(f, FLOW_DECIDE_CHAIN);
}
