/* packet.c: see packet.h. Both ends are one machine's and one program's: numbers go as they lie in memory. */
#include "agent/packet.h"

#include "base/must.h"

struct head {
    uint32_t kind, zero;
    uint64_t link;
};

struct peer_body {
    int64_t uid, pid;
    uint64_t unconfined;
};

struct address {
    uint8_t version, zero, bytes[16];
    uint16_t port;
};

struct proxies_body {
    uint32_t count;
    struct address items[AGENT_PROXIES_MAX];
};

enum { ASK_WANT_HASH = 1, ASK_FULL = 2, ASK_WATCH = 4, ASK_BRIEF = 8 };
static const int64_t AGE_MAX_MS = INT32_MAX; /* what is older is as good as that old */

struct ask_body {
    uint64_t id, proxy_cookie;
    int64_t age_ms;
    uint32_t flags, hash_wait_ms;
    struct address client, proxy;
    char nonce[AGENT_NONCE_BYTES + 7];
};

struct grant_body {
    uint64_t image, serial, turn;
    int64_t start_ticks, until_ns;
    uint32_t pid, uid, netns, has_history;
    struct address proxy;
    char ref[AGENT_REF_BYTES + 4];
};

struct counted_body {
    uint64_t count;
    struct packet_count items[PACKET_COUNTED_MAX];
};

struct keep_body {
    uint64_t id;
    uint32_t seconds, zero;
    char nonce[AGENT_NONCE_BYTES + 7];
    char ref[AGENT_REF_BYTES];
};

_Static_assert(sizeof(struct head) == PACKET_HEAD_BYTES, "as packet.h says");

/* ---- out ---- */

static struct address address_of(const struct endpoint *e)
{
    struct address a = {.version = e->ip.version, .port = e->port};
    memcpy(a.bytes, e->ip.bytes, sizeof a.bytes);
    return a;
}

static int write_proxies(struct buf *out, const struct packet_proxies *p)
{
    struct proxies_body body = {.count = (uint32_t)p->count};
    for (size_t i = 0; i < p->count; i++)
        body.items[i] = address_of(&p->items[i]);
    return buf_append(out, &body, sizeof body);
}

static int write_ask(struct buf *out, const struct agent_ask *a)
{
    struct ask_body body = {.id = a->id,
                            .proxy_cookie = a->proxy_cookie,
                            .age_ms = a->age_ms < AGE_MAX_MS ? a->age_ms : AGE_MAX_MS,
                            .flags = (a->want_hash ? ASK_WANT_HASH : 0u) | (a->full ? ASK_FULL : 0u) |
                                     (a->watch ? ASK_WATCH : 0u) | (a->brief ? ASK_BRIEF : 0u),
                            .hash_wait_ms = a->hash_wait_ms,
                            .client = address_of(&a->client),
                            .proxy = address_of(&a->proxy)};
    memcpy(body.nonce, a->nonce, sizeof a->nonce);
    return buf_append(out, &body, sizeof body);
}

static int write_peer(struct buf *out, const struct packet_peer *p)
{
    struct peer_body body = {p->uid, p->pid, p->unconfined};
    return buf_append(out, &body, sizeof body);
}

static int write_grant(struct buf *out, const struct packet_grant *g)
{
    struct grant_body body = {.image = g->caller.image,
                              .serial = g->serial,
                              .turn = g->turn,
                              .start_ticks = g->caller.start_ticks,
                              .until_ns = g->until_ns,
                              .pid = g->caller.pid,
                              .uid = g->caller.uid,
                              .netns = g->caller.netns,
                              .has_history = g->has_history,
                              .proxy = address_of(&g->proxy)};
    memcpy(body.ref, g->ref, sizeof g->ref);
    return buf_append(out, &body, sizeof body);
}

static int write_counted(struct buf *out, const struct packet_counted *c)
{
    struct counted_body body = {.count = c->count};
    memcpy(body.items, c->items, c->count * sizeof *c->items);
    return buf_append(out, &body, sizeof body);
}

static int write_keep(struct buf *out, const struct agent_keep *k)
{
    struct keep_body body = {.id = k->id, .seconds = k->seconds};
    memcpy(body.nonce, k->nonce, sizeof k->nonce);
    memcpy(body.ref, k->sender_ref, sizeof body.ref);
    return buf_append(out, &body, sizeof body);
}

int packet_write(struct buf *out, const struct packet *p)
{
    struct head head = {.kind = p->kind, .link = p->link};
    buf_append(out, &head, sizeof head);
    if (p->kind == PACKET_LINK)
        write_peer(out, &p->u.peer);
    else if (p->kind == PACKET_HELLO)
        write_proxies(out, &p->u.proxies);
    else if (p->kind == PACKET_ASK)
        write_ask(out, &p->u.ask);
    else if (p->kind == PACKET_GRANT)
        write_grant(out, &p->u.grant);
    else if (p->kind == PACKET_COUNTED)
        write_counted(out, &p->u.counted);
    else if (p->kind == PACKET_KEEP)
        write_keep(out, &p->u.keep);
    else if (p->kind == PACKET_DONE)
        buf_append(out, &p->u.done, sizeof p->u.done);
    else if (p->kind == PACKET_LINES)
        buf_append(out, p->u.lines.data, p->u.lines.len);
    return out->failed ? -1 : 0;
}

/* ---- in ---- */

static bool read_address(const struct address *a, struct endpoint *ret)
{
    static const uint8_t zero[16];
    size_t used = a->version == 4 ? 4 : sizeof a->bytes;
    if ((a->version != 4 && a->version != 6) || memcmp(a->bytes + used, zero, sizeof zero - used) != 0)
        return false;
    *ret = (struct endpoint){.ip.version = a->version, .port = a->port};
    memcpy(ret->ip.bytes, a->bytes, sizeof a->bytes);
    return true;
}

static bool read_proxies(struct span bytes, struct packet_proxies *ret)
{
    struct proxies_body body;
    if (bytes.len != sizeof body)
        return false;
    memcpy(&body, bytes.data, sizeof body);
    if (body.count > AGENT_PROXIES_MAX)
        return false;
    for (ret->count = 0; ret->count < body.count; ret->count++)
        if (!read_address(&body.items[ret->count], &ret->items[ret->count]))
            return false;
    return true;
}

static bool nonce_is_valid(const char *nonce)
{
    return nonce[AGENT_NONCE_BYTES - 1] == 0 && strspn(nonce, "0123456789abcdef") == AGENT_NONCE_BYTES - 1;
}

static bool read_ask(struct span bytes, struct agent_ask *ret)
{
    struct ask_body body;
    if (bytes.len != sizeof body)
        return false;
    memcpy(&body, bytes.data, sizeof body);
    *ret = (struct agent_ask){.id = body.id,
                              .proxy_cookie = body.proxy_cookie,
                              .age_ms = body.age_ms,
                              .want_hash = (body.flags & ASK_WANT_HASH) != 0,
                              .full = (body.flags & ASK_FULL) != 0,
                              .watch = (body.flags & ASK_WATCH) != 0,
                              .brief = (body.flags & ASK_BRIEF) != 0,
                              .hash_wait_ms = body.hash_wait_ms};
    memcpy(ret->nonce, body.nonce, sizeof ret->nonce);
    return nonce_is_valid(body.nonce) && body.hash_wait_ms <= AGENT_HASH_WAIT_MAX_MS && body.age_ms >= -1 &&
           body.age_ms <= AGE_MAX_MS && read_address(&body.client, &ret->client) &&
           read_address(&body.proxy, &ret->proxy);
}

static bool read_peer(struct span bytes, struct packet_peer *ret)
{
    struct peer_body body;
    if (bytes.len != sizeof body)
        return false;
    memcpy(&body, bytes.data, sizeof body);
    *ret = (struct packet_peer){body.uid, body.pid, body.unconfined != 0};
    return body.uid >= -1 && body.pid >= 0 && body.pid <= INT32_MAX;
}

static bool read_done(struct span bytes, uint64_t *ret)
{
    if (bytes.len != sizeof *ret)
        return false;
    memcpy(ret, bytes.data, sizeof *ret);
    return true;
}

static bool read_grant(struct span bytes, struct packet_grant *ret)
{
    struct grant_body body;
    if (bytes.len != sizeof body)
        return false;
    memcpy(&body, bytes.data, sizeof body);
    *ret = (struct packet_grant){
        .caller = {.image = body.image,
                   .start_ticks = body.start_ticks,
                   .pid = body.pid,
                   .uid = body.uid,
                   .netns = body.netns},
        .serial = body.serial,
        .turn = body.turn,
        .until_ns = body.until_ns,
        .has_history = body.has_history != 0,
    };
    memcpy(ret->ref, body.ref, sizeof ret->ref);
    return body.image != 0 && body.ref[0] && body.ref[AGENT_REF_BYTES - 1] == 0 &&
           read_address(&body.proxy, &ret->proxy);
}

static bool read_counted(struct span bytes, struct packet_counted *ret)
{
    struct counted_body body;
    if (bytes.len != sizeof body)
        return false;
    memcpy(&body, bytes.data, sizeof body);
    if (body.count > PACKET_COUNTED_MAX)
        return false;
    ret->count = body.count;
    memcpy(ret->items, body.items, sizeof ret->items);
    return true;
}

static bool read_keep(struct span bytes, struct agent_keep *ret)
{
    struct keep_body body;
    if (bytes.len != sizeof body)
        return false;
    memcpy(&body, bytes.data, sizeof body);
    *ret = (struct agent_keep){.id = body.id, .seconds = body.seconds};
    memcpy(ret->nonce, body.nonce, sizeof ret->nonce);
    memcpy(ret->sender_ref, body.ref, sizeof ret->sender_ref);
    return nonce_is_valid(body.nonce) && body.ref[0] && memchr(body.ref, 0, sizeof body.ref) &&
           body.seconds <= AGENT_KEEP_SECONDS_MAX;
}

static bool read_body(struct span bytes, struct packet *p)
{
    switch (p->kind) {
    case PACKET_LINK:
        return read_peer(bytes, &p->u.peer);
    case PACKET_HELLO:
        return read_proxies(bytes, &p->u.proxies);
    case PACKET_ASK:
        return read_ask(bytes, &p->u.ask);
    case PACKET_DONE:
        return read_done(bytes, &p->u.done);
    case PACKET_GRANT:
        return read_grant(bytes, &p->u.grant);
    case PACKET_COUNTED:
        return read_counted(bytes, &p->u.counted);
    case PACKET_KEEP:
        return read_keep(bytes, &p->u.keep);
    case PACKET_LINES:
        p->u.lines = bytes;
        return bytes.len > 0 && bytes.len <= PACKET_LINES_MAX;
    default:
        return bytes.len == 0;
    }
}

bool packet_read(struct span bytes, struct packet *ret)
{
    struct head head;
    if (bytes.len < sizeof head)
        return false;
    memcpy(&head, bytes.data, sizeof head);
    if (head.kind < PACKET_RESET || head.kind >= PACKET_KINDS || head.zero != 0)
        return false;
    ret->kind = (enum packet_kind)head.kind;
    ret->link = head.link;
    return read_body(span_from(bytes, sizeof head), ret);
}
