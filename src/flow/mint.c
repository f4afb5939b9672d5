/* mint.c: between the two handshakes of a terminated tunnel: the server's chain is judged (chain.c), then a certificate made for the
 * client on a pool thread, because the CA's key lives in another process. What was made for a chain is kept for a while.
 * A step of the hub; touches net.h's jobs, tls/mint, the signer and the facts. */
#include "flow/inside.h"

#include "base/must.h"
#include "tls/digest.h"
#include "tls/mint.h"
#include "tls/staple.h"

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
    uint64_t until_ms;                   /* 0: free */
    struct tls_context *context;         /* owned */
    struct chain_record *record;         /* counted; NULL: a page's */
    uint8_t staple[DIGEST_SHA256_BYTES]; /* of what the server had stapled; zeros: nothing */
    uint64_t end_ms;                     /* of the response that clients are given; 0: there is none */
    bool expected;                       /* the chain is good, or the house's own: chain_past_expects() */
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
    struct host name;
    bool show; /* the server's own, in made.record; else only its name: a page is to be shown */
    int64_t now_s;
    uint64_t now_ms;
    struct minted made;
    enum reason reason; /* NONE: made.context is there */
    char why[160];
};

static void forget(struct minted *m)
{
    tls_context_free(m->context);
    chain_record_unref(m->record);
    *m = (struct minted){0};
}

void mint_room_free(struct mint_room *take_room)
{
    if (!take_room)
        return;
    for (size_t s = 0; s < SETS; s++)
        for (size_t w = 0; w < WAYS; w++)
            forget(&take_room->kept[s][w]);
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
    forget(place);
    *place = *take_made;
    place->until_ms = now_ms + KEEP_MS;
    if (place->end_ms && place->end_ms < place->until_ms)
        place->until_ms = place->end_ms;
    return place;
}

/* ---- on the pool's thread ---- */

static enum reason ask_signer(struct mint_job *j, const struct signer_request *r, struct buf *ret)
{
    static const enum reason reasons[] = {[SIGNER_SIGNED] = REASON_NONE,
                                          [SIGNER_REFUSED] = REASON_MINT_FAILED,
                                          [SIGNER_GONE] = REASON_SIGNER_UNAVAILABLE};
    return reasons[j->signer->sign(j->signer, ca_sha256(j->snapshot->ca), r, ret, j->why)];
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
        const struct signer_request r = {.work = SIGNER_LEAF, .certificate = buf_span(&request)};
        reason = ask_signer(j, &r, der);
    }
    buf_free(&request);
    return reason;
}

/* Where the server stapled a good response about its leaf, clients get one about ours. */
static enum reason show_staple(struct mint_job *j, int64_t until_s, struct span leaf)
{
    struct err err = {0};
    struct buf response;
    const struct signer_request r = {.work = SIGNER_STATUS, .until_s = until_s, .certificate = leaf};
    buf_init(&response, STAPLE_MAX_BYTES);
    enum reason reason = ask_signer(j, &r, &response);
    if (reason == REASON_NONE &&
        staple_show(j->made.context, buf_span(&response), j->snapshot->ca, &err) != 0)
        reason = REASON_MINT_FAILED;
    if (err.text[0])
        snprintf(j->why, sizeof j->why, "%.150s", err.text);
    buf_free(&response);
    return reason;
}

static void job_work(struct net_job *job)
{
    struct mint_job *j = (struct mint_job *)job;
    struct mint_order o = {.name = j->name.name, .name_is_ip = j->name.is_ip, .now_s = j->now_s};
    struct err err = {0};
    struct buf der;
    const struct chain_record *r = j->made.record;
    must(!j->show || r);
    bool distrusted = j->show && !j->made.expected;
    int64_t until_s = r && r->report.trusted ? r->report.staple_until_s : 0;
    if (j->show)
        o.leaf = chain_certificate_at(r->chain, 0)->der;
    o.must_staple = until_s > j->now_s;
    buf_init(&der, MINT_CERTIFICATE_MAX_BYTES);
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
    if (j->reason == REASON_NONE && o.must_staple) {
        j->reason = show_staple(j, until_s, buf_span(&der));
        int64_t life_s = until_s - j->now_s < STAPLE_LIFE_MAX_S ? until_s - j->now_s : STAPLE_LIFE_MAX_S;
        j->made.end_ms = j->now_ms + (uint64_t)life_s * 1000;
    }
    buf_free(&der);
}

/* ---- on the worker's ---- */

/* What the client is told: what the server took, or, of a client that knows nothing else, HTTP/2 in its place. Without a server it is shown a
 * page, as simply as it can read it. */
static struct span protocol_for_client(const struct flow *f, bool refused)
{
    const struct inside *i = f->inside;
    struct span servers = f->server.tls ? tls_session_protocol(f->server.tls) : span_str("http/1.1");
    if (refused && span_is(servers, "h2"))
        servers = span_str("http/1.1");
    if (i->h2_only && (servers.len == 0 || span_is(servers, "http/1.1")))
        return span_str("h2");
    return i->alpn_len ? servers : (struct span){NULL, 0};
}

/* The client's session takes a reference: what is kept may go. */
static enum step take(struct flow *f, const struct minted *m)
{
    struct inside *i = f->inside;
    i->judged = true;
    i->trusted = m->record && m->expected;
    if (m->record)
        chain_past_take(f, chain_record_ref(m->record), "terminated", (struct chain_set){0});
    i->client = tls_session_accept(m->context);
    if (!i->client)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    bool refused = !i->trusted && flow_conf(f)->inspection.bad_chain == CONF_BAD_CHAIN_REFUSE;
    tls_session_offer(i->client, protocol_for_client(f, refused));
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
        j->made.record = NULL;
        take(f, m);
    } else {
        flow_fail(f, j->reason, "%s", j->why);
    }
    flow_wake(f);
}

static void job_destroy(struct net_job *job)
{
    struct mint_job *j = (struct mint_job *)job;
    forget(&j->made);
    mint_keys_unref(j->keys);
    snapshot_unref(j->snapshot);
    free(j);
}

void mint_cancel(struct flow *f)
{
    if (f->inside && f->inside->chain_job) {
        chain_job_cancel(f->inside->chain_job);
        f->inside->chain_job = NULL;
    }
    if (f->inside && f->inside->job) {
        net_job_cancel(f->inside->job);
        f->inside->job = NULL;
    }
}

/* Everything that the answer depends on. */
static int make_key(const struct flow *f, uint8_t ret[DIGEST_SHA256_BYTES])
{
    const struct inside *i = f->inside;
    uint8_t page = i->met ? 0 : 1;
    const struct span parts[] = {span_of(i->leaf, sizeof i->leaf), span_of(&page, 1), span_str(i->sni.name),
                                 span_str(f->x->host.name),
                                 span_of(&f->snapshot->generation, sizeof f->snapshot->generation)};
    return digest_sha256(parts, ARRAY_LEN(parts), ret);
}

/* Zeros: nothing was stapled, or it is a session that was taken up. */
static int digest_staple(const struct flow *f, uint8_t ret[DIGEST_SHA256_BYTES])
{
    const struct span staple = f->server.tls ? tls_session_staple(f->server.tls) : span_of(NULL, 0);
    memset(ret, 0, DIGEST_SHA256_BYTES);
    return staple.len ? digest_sha256(&staple, 1, ret) : 0;
}

/* `record` NULL: there is no server. */
static struct mint_job *job_new(struct flow *f, const struct mint_room *room, struct chain_record *record)
{
    struct inside *i = f->inside;
    struct mint_job *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->job = (struct net_job){.work = job_work, .done = job_done, .destroy = job_destroy, .owner = f};
    j->snapshot = snapshot_ref(f->snapshot);
    j->signer = f->env->signer;
    j->keys = mint_keys_ref(room->keys);
    j->name = i->sni.len ? i->sni : f->x->host;
    j->now_ms = net_now_ms(f->env->net);
    j->now_s = (int64_t)(net_wall_ms(f->env->net) / 1000);
    j->made.record = chain_record_ref(record);
    bool mimic = flow_conf(f)->inspection.bad_chain == CONF_BAD_CHAIN_MIMIC;
    j->made.expected = record && chain_past_expects(f, record);
    j->show = record && chain_count(record->chain) > 0 && (j->made.expected || mimic);
    if (make_key(f, j->made.key) == 0 && digest_staple(f, j->made.staple) == 0)
        return j;
    job_destroy(&j->job);
    return NULL;
}

static enum step make(struct flow *f, struct chain_record *record)
{
    struct mint_room *room = room_of(f);
    struct mint_job *j = room ? job_new(f, room, record) : NULL;
    if (!j)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    f->inside->job = &j->job;
    if (net_job_start(f->env->net, &j->job))
        return WAIT;
    f->inside->job = NULL;
    return flow_fail(f, REASON_OVERLOADED, "too many certificates are being made");
}

static void on_judged(void *owner, struct chain_record *take_record)
{
    struct flow *f = owner;
    f->inside->chain_job = NULL;
    if (take_record) {
        chain_past_take(f, chain_record_ref(take_record), "terminated",
                        (struct chain_set){0}); /* also when no certificate can be made then */
        make(f, take_record);
    } else {
        flow_fail(f, REASON_NO_MEMORY, NULL);
    }
    chain_record_unref(take_record);
    flow_wake(f);
}

static enum step judge_server(struct flow *f)
{
    struct inside *i = f->inside;
    struct chain *c = tls_session_chain(f->server.tls);
    if (!c)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    const struct host *connect = &f->x->host, *name = i->sni.len ? &i->sni : connect;
    /* CONNECT to an address: nobody puts that into a certificate */
    bool both = !host_equal(name, connect) && !connect->is_ip;
    const struct chain_input input = {
        .take_chain = c,
        .ocsp = tls_session_staple(f->server.tls),
        .scts = tls_session_scts(f->server.tls),
        .staple_counts = true, /* clients don't see it: what the strictest would make of it counts */
        .name = name->name,
        .connect_name = both ? connect->name : NULL,
    };
    i->chain_job = chain_job_start(f->env->net, f->snapshot, &input, f, on_judged);
    return i->chain_job ? WAIT : flow_fail(f, REASON_OVERLOADED, "too many chains are being judged");
}

static enum step start(struct flow *f)
{
    static const uint8_t nothing[DIGEST_SHA256_BYTES];
    uint8_t key[DIGEST_SHA256_BYTES], staple[DIGEST_SHA256_BYTES];
    struct mint_room *room = room_of(f);
    if (!room || make_key(f, key) != 0 || digest_staple(f, staple) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    struct minted *m = find(room, key, net_now_ms(f->env->net));
    if (m && memcmp(staple, nothing, sizeof staple) != 0 && memcmp(staple, m->staple, sizeof staple) != 0) {
        forget(m); /* the server says something new */
        m = NULL;
    }
    if (m && m->record && m->expected != chain_past_expects(f, m->record)) {
        forget(m); /* an entry of the house's own certificates began or ended, or is about another port */
        m = NULL;
    }
    if (m)
        return take(f, m);
    return f->inside->met ? judge_server(f) : make(f, NULL);
}

enum step flow_mint(struct flow *f)
{
    struct inside *i = f->inside;
    if (!i->judged && !i->job && !i->chain_job && start(f) == MOVE)
        return MOVE;
    if (!i->judged)
        return WAIT;
    return flow_goto(f, FLOW_DECIDE_CHAIN);
}
