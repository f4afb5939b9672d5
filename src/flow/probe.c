/* probe.c: see probe.h. A probe is: dial - the parent's answer, where there is a parent - TLS in memory (tls/probe.h) - a job that judges the chain - told to whoever waits, and kept.
 * It has one deadline for all of it. */
#include "flow/probe.h"

#include "base/must.h"
#include "flow/env.h"
#include "wire/http1.h"
#include "wire/server_flight.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PROBE_READ_BYTES = 16384,
    BUCKETS = 256,
    FAILED_LIFE_MS = 30000,
    PARENT_ANSWER_BYTES = 16384, /* with all interim ones */
    PARENT_FIELDS = 100,
};

enum probe_state { PROBE_DIALLING, PROBE_ASKING, PROBE_TALKING, PROBE_JUDGING, PROBE_KNOWN };

struct probe {
    struct probe *next;          /* of its bucket */
    struct probe *older, *newer; /* in the order of their making */
    struct flow_env *env;
    uint64_t hash, made_ms;
    uint64_t generation; /* of the policy whose roots judged */
    enum probe_state state;
    struct snapshot *snapshot; /* counted, until KNOWN */
    struct probe_wait waiting; /* anchor */
    struct net_deadline deadline;
    struct net_dialing dialing;
    struct net_stream *stream;   /* owned; NULL when not connected */
    struct tls_probe *tls;       /* owned, while TALKING */
    struct flight flight;        /* what the server answers, for its hello; while TALKING */
    struct chain_job *job;       /* net destroys it */
    struct buf out;              /* owned */
    struct buf in;               /* owned: what the parent answered; while ASKING */
    struct http1_scan scan;      /* of it */
    struct chain_record *record; /* counted */
    const char *why;
    char detail[96];
    uint8_t hello[PROBE_HELLO_BYTES];
    size_t hello_bytes;
    /* the question */
    struct endpoint server;
    uint16_t port;
    bool through; /* a parent */
    bool has_name;
    char name[256], host[256];
    uint8_t alpn[PROBE_ALPN_BYTES], suites[PROBE_LIST_BYTES], groups[PROBE_LIST_BYTES];
    size_t alpn_bytes, suite_bytes, group_bytes;
    uint16_t min_version, max_version;
};

struct probes {
    struct probe *buckets[BUCKETS];
    struct probe *oldest, *newest;
    unsigned count, under_way;
    uint64_t tokens_milli, filled_ms; /* the rate: thousandths of a probe */
};

/* ---- the key ---- */

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) *
               UINT64_C(1099511628211); /* FNV-1a: buckets only, keys are compared */
    return hash;
}

static uint64_t hash_of(const struct probe_question *q)
{
    uint64_t h = UINT64_C(14695981039346656037);
    char text[ENDPOINT_TEXT_BYTES];
    endpoint_format(&q->server, text);
    h = mix(h, text, strlen(text));
    h = mix(h, q->name ? q->name : "", q->name ? strlen(q->name) : 0);
    h = mix(h, q->host, strlen(q->host));
    h = mix(h, &q->port, sizeof q->port);
    return mix(h, q->alpn.data, q->alpn.len);
}

static bool is_about(const struct probe *p, const struct probe_question *q, uint64_t generation)
{
    return p->generation == generation && p->server.port == q->server.port && p->port == q->port &&
           p->through == (q->ask.len > 0) && ip_equal(&p->server.ip, &q->server.ip) &&
           p->has_name == (q->name != NULL) && strcmp(p->name, q->name ? q->name : "") == 0 &&
           strcmp(p->host, q->host) == 0 && span_equal(span_of(p->alpn, p->alpn_bytes), q->alpn);
}

/* ---- the table ---- */

static void unlink_probe(struct probes *t, struct probe *p)
{
    struct probe **at = &t->buckets[p->hash % BUCKETS];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    *(p->older ? &p->older->newer : &t->oldest) = p->newer;
    *(p->newer ? &p->newer->older : &t->newest) = p->older;
    t->count--;
}

static void link_probe(struct probes *t, struct probe *p)
{
    p->next = t->buckets[p->hash % BUCKETS];
    t->buckets[p->hash % BUCKETS] = p;
    p->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = p;
    t->newest = p;
    t->count++;
}

/* What talking needed is given back. */
static void hang_up(struct probe *p)
{
    net_dial_cancel(p->env->net, &p->dialing);
    if (p->stream)
        net_stream_close(p->stream, NET_CLOSE_FIN);
    p->stream = NULL;
    tls_probe_free(p->tls);
    p->tls = NULL;
    buf_free(&p->out);
    buf_free(&p->in);
    flight_free(&p->flight);
}

static void probe_free(struct probe *p)
{
    must(p->waiting.next == &p->waiting);
    if (p->state != PROBE_KNOWN)
        p->env->probes->under_way--;
    unlink_probe(p->env->probes, p);
    net_deadline_clear(&p->deadline);
    hang_up(p);
    if (p->job)
        chain_job_cancel(p->job);
    snapshot_unref(p->snapshot);
    chain_record_unref(p->record);
    free(p);
}

/* Those whose time is over, and the oldest when there are too many; not what is under way. */
static void make_room(struct flow_env *env)
{
    struct probes *t = env->probes;
    uint64_t now = net_now_ms(env->net), life_ms = (uint64_t)env->snapshot->conf->peek.probe_life_ms;
    for (struct probe *p = t->oldest, *newer; p; p = newer) {
        newer = p->newer;
        bool over = now - p->made_ms >= life_ms || t->count >= PROBES_KEPT;
        if (!over)
            break;
        if (p->state == PROBE_KNOWN)
            probe_free(p);
    }
}

static struct probe *find(struct flow_env *env, const struct probe_question *q, uint64_t hash)
{
    for (struct probe *p = env->probes->buckets[hash % BUCKETS]; p; p = p->next)
        if (p->hash == hash && is_about(p, q, env->snapshot->generation))
            return p;
    return NULL;
}

/* ---- its end ---- */

static void answer_of(const struct probe *p, struct probe_answer *ret)
{
    *ret = (struct probe_answer){.record = p->record,
                                 .why = p->record ? NULL : p->why,
                                 .detail = p->detail,
                                 .server_hello = span_of(p->hello, p->hello_bytes)};
}

static void finish(struct probe *p, const char *why, const char *detail)
{
    struct probe_answer answer;
    net_deadline_clear(&p->deadline);
    p->why = why;
    snprintf(p->detail, sizeof p->detail, "%s", detail); /* before the session goes whose words they may be */
    hang_up(p);
    p->env->probes->under_way--;
    snapshot_unref(p->snapshot);
    p->snapshot = NULL;
    answer_of(p, &answer);
    if (!p->record)
        counter_add(&p->env->counters, COUNTER_probes_failed, 1);
    while (p->waiting.next != &p->waiting) {
        struct probe_wait *w = p->waiting.next;
        probe_cancel(w);
        w->done(w, &answer);
    }
    p->state = PROBE_KNOWN; /* not before: what is known may be forgotten by whoever asks next */
}

static void on_expired(struct net_deadline *d)
{
    struct probe *p = (struct probe *)((char *)d - offsetof(struct probe, deadline));
    if (p->job)
        chain_job_cancel(p->job);
    p->job = NULL;
    finish(p, "probe_timeout", "");
}

static void on_judged(void *owner, struct chain_record *take_record)
{
    struct probe *p = owner;
    p->job = NULL;
    p->record = take_record;
    finish(p, take_record ? NULL : "no_memory", "");
}

/* ---- talking ---- */

static void judge(struct probe *p)
{
    struct span hello = buf_span(&p->flight.hello);
    p->hello_bytes = hello.len <= sizeof p->hello ? hello.len : 0;
    if (p->hello_bytes)
        memcpy(p->hello, hello.data, p->hello_bytes);
    struct chain_input input = {
        .take_chain = tls_probe_take_chain(p->tls),
        .ocsp = tls_probe_ocsp(p->tls),
        .scts = tls_probe_scts(p->tls),
        .name = p->has_name ? p->name : p->host,
        .connect_name = p->has_name && strcmp(p->name, p->host) != 0 ? p->host : NULL,
    };
    p->state = PROBE_JUDGING;
    if (input.take_chain)
        p->job = chain_job_start(p->env->net, p->snapshot, &input, p, on_judged);
    hang_up(p); /* nothing more is read: what the server still says must not wake us */
    if (!p->job)
        finish(p, "busy", "");
}

/* Writes what there is; -1: the connection is broken. */
static int flush(struct probe *p)
{
    uint8_t data[4096];
    for (size_t n; (n = tls_probe_send(p->tls, data, sizeof data)) > 0;)
        if (buf_append(&p->out, data, n) != 0)
            return -1;
    while (buf_len(&p->out) > 0) {
        struct span s = buf_span(&p->out);
        ssize_t n = net_stream_write(p->stream, s.data, s.len);
        if (n == NET_AGAIN)
            return 0;
        if (n < 0)
            return -1;
        buf_consume(&p->out, (size_t)n);
    }
    return 0;
}

/* Reads what there is. True: it goes on. */
static bool talk(struct probe *p)
{
    uint8_t data[PROBE_READ_BYTES];
    enum tls_probe_state state = tls_probe_receive(p->tls, (struct span){NULL, 0});
    for (int reads = 0; state == TLS_PROBE_TALKING && reads < 4; reads++) {
        if (flush(p) != 0)
            break;
        ssize_t n = net_stream_read(p->stream, data, sizeof data);
        if (n == NET_AGAIN)
            return true;
        if (n <= 0) {
            finish(p, "probe_failed", n == 0 ? "the server closed the connection" : "the connection broke");
            return false;
        }
        flight_feed(&p->flight, FLIGHT_SERVER, span_of(data, (size_t)n));
        state = tls_probe_receive(p->tls, span_of(data, (size_t)n));
    }
    flush(p);
    if (state == TLS_PROBE_DONE)
        judge(p);
    else if (state == TLS_PROBE_FAILED)
        finish(p, "probe_failed", tls_probe_error(p->tls));
    return state == TLS_PROBE_TALKING;
}

/* What the parent says to our CONNECT: how it failed, "" while the answer is to come, or NULL: the way is open. */
static const char *read_answer(struct probe *p)
{
    const struct http1_limits limits = {PARENT_ANSWER_BYTES, PARENT_FIELDS, PARENT_ANSWER_BYTES};
    const char *result = "";
    while (result && !result[0] && buf_len(&p->in) > 0) {
        struct arena arena;
        struct http1_head head;
        struct http1_fault_at fault;
        arena_init(&arena, 64 << 10);
        enum parse parsed = http1_head_parse(&p->scan, buf_span(&p->in), &limits, &arena, &head, &fault);
        arena_reset(&arena);
        if (parsed == PARSE_MORE)
            break;
        bool interim = parsed == PARSE_OK && head.status < 200;
        if (parsed == PARSE_BAD)
            result = "the parent's answer is malformed";
        else if (!interim && head.status > 299)
            result = "the parent refused";
        else if (!interim)
            result = buf_len(&p->in) > head.head_bytes ? "the parent said more than its answer" : NULL;
        if (interim) {
            buf_consume(&p->in, head.head_bytes);
            http1_scan_init(&p->scan, HTTP1_RESPONSE, (struct http1_asked){.connect = true});
        }
    }
    return result;
}

static void ask_parent(struct probe *p)
{
    uint8_t data[4096];
    const char *why = "";
    while (why && !why[0]) {
        if (flush(p) != 0) {
            why = "the connection to the parent broke";
            break;
        }
        ssize_t n = net_stream_read(p->stream, data, sizeof data);
        if (n == NET_AGAIN)
            return;
        if (n <= 0)
            why = "the parent closed the connection";
        else if (buf_append(&p->in, data, (size_t)n) != 0)
            why = "the parent's answer is too large";
        else
            why = read_answer(p);
    }
    if (why)
        finish(p, "probe_failed", why);
    else
        p->state = PROBE_TALKING;
}

static void go_on(struct probe *p)
{
    if (p->state == PROBE_ASKING)
        ask_parent(p);
    if ((p->state == PROBE_TALKING && talk(p)) || p->state == PROBE_ASKING)
        net_stream_want(p->stream, NET_READABLE | (buf_len(&p->out) ? NET_WRITABLE : 0));
}

static void on_ready(void *owner, struct net_stream *stream, unsigned ready)
{
    (void)stream, (void)ready;
    go_on(owner);
}

static void on_dialled(struct net_dialing *d)
{
    struct probe *p = d->owner;
    struct tls_offer offer = {
        .name = p->has_name ? p->name : NULL,
        .alpn = span_of(p->alpn, p->alpn_bytes),
        .min_version = p->min_version,
        .max_version = p->max_version,
        .suites = span_of(p->suites, p->suite_bytes),
        .groups = span_of(p->groups, p->group_bytes),
    };
    p->stream = d->stream;
    d->stream = NULL;
    if (!p->stream) {
        finish(p, "probe_failed", "the server can't be reached");
        return;
    }
    p->tls = tls_probe_new(p->snapshot->prober, &offer);
    if (!p->tls) {
        finish(p, "no_memory", "");
        return;
    }
    p->state = p->through ? PROBE_ASKING : PROBE_TALKING;
    net_stream_own(p->stream, p, on_ready);
    go_on(p);
}

/* ---- asking ---- */

static size_t keep(uint8_t *to, size_t room, struct span s)
{
    size_t len = s.len < room ? s.len : room;
    if (len)
        memcpy(to, s.data, len);
    return len;
}

static struct probe *probe_begin(struct flow_env *env, const struct probe_question *q, uint64_t hash)
{
    struct probe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->env = env;
    p->hash = hash;
    p->made_ms = net_now_ms(env->net);
    p->generation = env->snapshot->generation;
    p->snapshot = snapshot_ref(env->snapshot);
    p->waiting.next = p->waiting.prev = &p->waiting;
    p->server = q->server;
    p->port = q->port;
    p->through = q->ask.len > 0;
    p->has_name = q->name != NULL;
    snprintf(p->name, sizeof p->name, "%s", q->name ? q->name : "");
    snprintf(p->host, sizeof p->host, "%s", q->host);
    p->alpn_bytes = keep(p->alpn, sizeof p->alpn, q->alpn);
    p->suite_bytes = keep(p->suites, sizeof p->suites, q->suites);
    p->group_bytes = keep(p->groups, sizeof p->groups, q->groups);
    p->min_version = q->min_version;
    p->max_version = q->max_version;
    buf_init(&p->out, FLIGHT_OTHER_BYTES_MAX);
    buf_init(&p->in, PARENT_ANSWER_BYTES);
    http1_scan_init(&p->scan, HTTP1_RESPONSE, (struct http1_asked){.connect = true});
    flight_init(&p->flight);
    if (buf_append(&p->out, q->ask.data, q->ask.len) != 0) {
        snapshot_unref(p->snapshot);
        free(p);
        return NULL;
    }
    link_probe(env->probes, p);
    env->probes->under_way++;
    counter_add(&env->counters, COUNTER_probes, 1);
    p->deadline.expired = on_expired;
    net_deadline_set(env->net, &p->deadline, (uint64_t)env->snapshot->conf->peek.probe_timeout_ms);
    p->dialing = (struct net_dialing){.done = on_dialled, .owner = p};
    net_dial(env->net, &p->dialing, &p->server, 1);
    return p;
}

/* A bucket of tokens, one second deep. */
static bool may_begin(struct flow_env *env)
{
    struct probes *t = env->probes;
    uint64_t now = net_now_ms(env->net), rate = (uint64_t)env->snapshot->conf->peek.probes_per_second;
    uint64_t full = rate * 1000, more = (now - t->filled_ms) * rate;
    t->tokens_milli = t->tokens_milli + more < full ? t->tokens_milli + more : full;
    t->filled_ms = now;
    if (t->under_way >= PROBES_UNDER_WAY || t->count >= PROBES_KEPT || t->tokens_milli < 1000)
        return false;
    t->tokens_milli -= 1000;
    return true;
}

bool probe_ask(struct flow_env *env, const struct probe_question *q, struct probe_wait *w,
               struct probe_answer *ret)
{
    *ret = (struct probe_answer){.why = "no_memory", .detail = ""};
    if (!env->probes && !(env->probes = calloc(1, sizeof *env->probes)))
        return true;
    make_room(env);
    uint64_t hash = hash_of(q);
    struct probe *p = q->alpn.len <= PROBE_ALPN_BYTES ? find(env, q, hash) : NULL;
    if (p && p->state == PROBE_KNOWN && !p->record && net_now_ms(env->net) - p->made_ms >= FAILED_LIFE_MS) {
        probe_free(p);
        p = NULL;
    }
    if (!p && (q->alpn.len > PROBE_ALPN_BYTES || !may_begin(env))) {
        ret->why = "probe_limit";
        return true;
    }
    if (!p && !(p = probe_begin(env, q, hash)))
        return true;
    if (p->state == PROBE_KNOWN) {
        answer_of(p, ret);
        return true;
    }
    w->probe = p;
    w->next = &p->waiting;
    w->prev = p->waiting.prev;
    w->prev->next = w->next->prev = w;
    return false;
}

void probe_cancel(struct probe_wait *w)
{
    if (!w->next)
        return;
    w->next->prev = w->prev;
    w->prev->next = w->next;
    w->next = w->prev = NULL;
    w->probe = NULL;
}

void probes_free(struct flow_env *env)
{
    struct probes *t = env->probes;
    for (struct probe *p = t ? t->oldest : NULL, *newer; p; p = newer) {
        newer = p->newer;
        probe_free(p);
    }
    free(t);
    env->probes = NULL;
}
