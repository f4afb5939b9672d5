/* resume.c: sessions with servers of terminated tunnels are taken up again: a handshake without certificates, and without the server's
 * signature. The chain is then that of the handshake that was made whole, and what was found about it holds: only sessions whose chain
 * was found good are kept, under one policy, for as long as such a finding is (mint.c). A worker's; called by inside.c and exchange.c. */
#include "flow/inside.h"

#include "base/must.h"
#include "tls/digest.h"

#include <stdlib.h>

enum {
    SETS = 64,
    WAYS = 4, /* servers kept a worker: 256 */
    TICKETS = 2,
    KEEP_MS = 30 * 60 * 1000,
};

struct resumable {
    uint8_t key[DIGEST_SHA256_BYTES];
    uint64_t whole_ms, until_ms;         /* 0: free */
    struct tls_ticket *tickets[TICKETS]; /* owned; the latest first, then NULL */
};

struct resume_room {
    struct resumable kept[SETS][WAYS];
};

static void forget(struct resumable *r)
{
    for (size_t i = 0; i < TICKETS; i++)
        tls_ticket_free(r->tickets[i]);
    *r = (struct resumable){0};
}

void resume_room_free(struct resume_room *take_room)
{
    if (!take_room)
        return;
    for (size_t s = 0; s < SETS; s++)
        for (size_t w = 0; w < WAYS; w++)
            forget(&take_room->kept[s][w]);
    free(take_room);
}

/* Where a parent leads only it knows: its name stands for the address, and who can take up the session is who had its secret. */
static bool make_key(struct flow *f)
{
    struct inside *i = f->inside;
    const struct exchange *x = f->x;
    const struct fact_value *parent = &x->facts.values[FACT_parent];
    bool through = x->server_ip.version == 0 && parent->state == FACT_KNOWN;
    bool without = asked_goes_without(f);
    const struct span parts[] = {span_of(x->server_ip.bytes, sizeof x->server_ip.bytes),
                                 span_of(&x->port, sizeof x->port),
                                 through ? span_of(parent->as.text, parent->count) : span_of("", 0),
                                 span_of(&without, sizeof without),
                                 span_of(&f->snapshot->generation, sizeof f->snapshot->generation),
                                 span_of(x->host.name, sizeof x->host.name),
                                 span_of(i->sni.name, sizeof i->sni.name),
                                 span_of(i->alpn, i->alpn_len)};
    i->resumable =
        (through || x->server_ip.version) && digest_sha256(parts, ARRAY_LEN(parts), i->resume_key) == 0;
    return i->resumable;
}

static struct resumable *find(struct resume_room *room, const uint8_t key[DIGEST_SHA256_BYTES])
{
    struct resumable *set = room->kept[key[0] % SETS];
    for (size_t w = 0; w < WAYS; w++)
        if (set[w].until_ms > 0 && memcmp(set[w].key, key, sizeof set[w].key) == 0)
            return &set[w];
    return NULL;
}

struct tls_ticket *resume_find(struct flow *f, uint64_t *ret_born_ms)
{
    struct resume_room *room = f->env->resume;
    if (!make_key(f) || !room)
        return NULL;
    struct resumable *r = find(room, f->inside->resume_key);
    if (r && r->until_ms <= net_now_ms(f->env->net)) {
        forget(r);
        r = NULL;
    }
    if (!r || !r->tickets[0])
        return NULL;
    *ret_born_ms = r->whole_ms;
    struct tls_ticket *t = r->tickets[0];
    if (!tls_ticket_is_single_use(t))
        return tls_ticket_ref(t);
    r->tickets[0] = r->tickets[1];
    r->tickets[1] = NULL;
    return t;
}

/* In place of the one that ends first. */
static struct resumable *make(struct resume_room *room, const struct inside *i)
{
    struct resumable *set = room->kept[i->resume_key[0] % SETS], *place = &set[0];
    for (size_t w = 1; w < WAYS; w++)
        if (set[w].until_ms < place->until_ms)
            place = &set[w];
    forget(place);
    memcpy(place->key, i->resume_key, sizeof place->key);
    return place;
}

static void put(struct flow *f, struct tls_ticket *take_ticket)
{
    const struct inside *i = f->inside;
    if (!f->env->resume)
        f->env->resume = calloc(1, sizeof *f->env->resume);
    struct resume_room *room = f->env->resume;
    uint64_t life_ms = tls_ticket_life_ms(take_ticket), now_ms = net_now_ms(f->env->net);
    if (!room || i->whole_ms + KEEP_MS <= now_ms) {
        tls_ticket_free(take_ticket);
        return;
    }
    struct resumable *r = find(room, i->resume_key);
    if (!r)
        r = make(room, i);
    if (!r->tickets[0] || i->whole_ms < r->whole_ms) /* the oldest of them counts for all */
        r->whole_ms = i->whole_ms;
    tls_ticket_free(r->tickets[TICKETS - 1]);
    r->tickets[1] = r->tickets[0];
    r->tickets[0] = take_ticket;
    r->until_ms = r->whole_ms + KEEP_MS;
    if (life_ms && now_ms + life_ms < r->until_ms)
        r->until_ms = now_ms + life_ms;
}

void resume_keep(struct flow *f)
{
    struct inside *i = f->inside;
    if (!i || !i->resumable || !i->trusted || !f->server.tls)
        return;
    for (struct tls_ticket *t; (t = tls_session_take_ticket(f->server.tls));)
        put(f, t);
}
