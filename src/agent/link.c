/* link.c: see link.h. */
#include "agent/link.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OUT_BYTES_MAX = 1024 * 1024, /* lines of one turn */
    SENT_MAX = 1024,             /* senders remembered as sent, by serial */
    GRANTED_MAX = 64,
    GRANT_MS = 100, /* what the kernel tells late (libraries loaded) is that late in an answer */
};

struct sent {
    uint64_t serial; /* 0: none */
    unsigned revision;
    uint64_t history_ms,
        signature; /* when its history went over last (0: not yet), and what kinds were in it */
};

struct agent_link {
    struct agent_link *next;   /* owned by the agent's list */
    const struct agent *agent; /* borrowed until the link is freed */
    uint64_t number;
    int64_t peer_uid, peer_pid;
    struct buf out;
    bool failed; /* something did not fit */
    struct sent sent[SENT_MAX];
    struct process *granted[GRANTED_MAX]; /* counted, by serial; NULL: none */
};

struct agent_link *link_new(struct agent *a, uint64_t number, const struct packet_peer *peer,
                            struct agent_link *next)
{
    struct agent_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->next = next;
    link->agent = a;
    link->number = number;
    link->peer_uid = peer->uid;
    link->peer_pid = peer->pid;
    buf_init(&link->out, OUT_BYTES_MAX);
    link->failed = agent_hello_write(&link->out, agent_hello_now(a)) != 0;
    return link;
}

void link_free(struct agent_link *link)
{
    for (size_t i = 0; i < GRANTED_MAX; i++)
        if (link->granted[i])
            process_unref(link->granted[i]);
    buf_free(&link->out);
    free(link);
}

uint64_t link_number(const struct agent_link *link)
{
    return link->number;
}

int64_t link_peer_uid(const struct agent_link *link)
{
    return link->peer_uid;
}

int64_t link_peer_pid(const struct agent_link *link)
{
    return link->peer_pid;
}

struct agent_link *link_next(const struct agent_link *link)
{
    return link->next;
}

void link_unlist(struct agent_link **list, struct agent_link *link)
{
    while (*list && *list != link)
        list = &(*list)->next;
    if (*list)
        *list = link->next;
}

/* ---- out ---- */

int link_flush(struct agent_link *link, struct channel *c)
{
    struct packet p = {.kind = PACKET_LINES, .link = link->number};
    struct span text = buf_span(&link->out);
    while (text.len > 0 && !link->failed) {
        p.u.lines = span_of(text.data, text.len < PACKET_LINES_MAX ? text.len : PACKET_LINES_MAX);
        link->failed = channel_send(c, &p) != 0;
        text = span_from(text, p.u.lines.len);
    }
    buf_clear(&link->out);
    if (!link->failed)
        return 0;
    log_warning("link", "uid %" PRId64 " does not read its answers: closed", link->peer_uid);
    return -1;
}

static void append(struct agent_link *link, int result)
{
    link->failed = link->failed || result != 0;
}

static void add_sender(struct agent_link *link, struct agent_answer *answer, const struct process *process,
                       bool full)
{
    answer->sender = NULL;
    if (!process)
        return;
    struct sent *sent = &link->sent[process->serial % SENT_MAX];
    bool known = sent->serial == process->serial && sent->revision == process->revision;
    snprintf(answer->sender_ref, sizeof answer->sender_ref, "%s", process->sender->ref);
    answer->sender = known && !full ? NULL : process->sender;
    if (sent->serial != process->serial || full)
        sent->history_ms = 0;
    sent->serial = process->serial;
    sent->revision = process->revision;
}

/* A program that connects a thousand times a second did nothing new in between: its history goes over once a second, and at
 * once when there is something of another kind in it. */
static void shorten_history(struct agent_link *link, struct agent_answer *answer,
                            const struct process *process)
{
    struct sent *sent = &link->sent[process->serial % SENT_MAX];
    uint64_t now_ms = agent_now_ms(link->agent) + 1, signature = agent_history_signature(answer->history);
    answer->history_same = !answer->sender && sent->history_ms && sent->signature == signature &&
                           now_ms - sent->history_ms < AGENT_HISTORY_SAME_MS;
    if (answer->history_same)
        return;
    sent->history_ms = now_ms;
    sent->signature = signature;
}

void link_answer(struct agent_link *link, struct agent_answer *answer, const struct process *process,
                 bool full, bool brief)
{
    add_sender(link, answer, process, full);
    if (brief && process && answer->history)
        shorten_history(link, answer, process);
    append(link, agent_answer_write(&link->out, answer));
}

void link_changed(struct agent_link *link, struct agent_answer *changed, const struct process *process)
{
    add_sender(link, changed, process, false);
    append(link, agent_changed_write(&link->out, changed));
}

void link_losses(struct agent_link *link, const struct agent_losses *losses)
{
    append(link, agent_losses_write(&link->out, losses));
}

void link_around(struct agent_link *link, const struct agent_around *around)
{
    append(link, agent_around_message_write(&link->out, around));
}

void link_hello(struct agent_link *link, const struct agent_hello *hello)
{
    append(link, agent_hello_write(&link->out, hello));
}

void link_kept(struct agent_link *link, const struct agent_kept *kept)
{
    append(link, agent_kept_write(&link->out, kept));
}

/* ---- grants ---- */

static bool may_say_the_same(const struct agent_link *link, const struct process *p,
                             const struct agent_history *history)
{
    const struct sent *sent = &link->sent[p->serial % SENT_MAX];
    uint64_t now_ms = agent_now_ms(link->agent) + 1;
    if (sent->serial != p->serial || sent->revision != p->revision ||
        p->sender->hash_state == SENDER_HASH_PENDING)
        return false;
    return !history || (sent->history_ms && sent->signature == agent_history_signature(history) &&
                        now_ms - sent->history_ms + GRANT_MS < AGENT_HISTORY_SAME_MS);
}

static void remember(struct agent_link *link, struct process *p)
{
    struct process **place = &link->granted[p->serial % GRANTED_MAX];
    if (*place == p)
        return;
    if (*place)
        process_unref(*place);
    *place = p;
    p->refs++;
}

void link_grant(struct agent_link *link, struct channel *c, const struct attribution *said, uint64_t turn,
                const struct agent_history *history)
{
    struct process *p = said->process;
    struct packet packet = {.kind = PACKET_GRANT, .link = link->number};
    struct packet_grant *g = &packet.u.grant;
    if (link_flush(link, c) != 0 || !may_say_the_same(link, p, history))
        return;
    *g = (struct packet_grant){.caller = said->caller,
                               .proxy = said->proxy,
                               .serial = p->serial,
                               .turn = turn,
                               .until_ns = (int64_t)uv_hrtime() + GRANT_MS * 1000000,
                               .has_history = history != NULL};
    snprintf(g->ref, sizeof g->ref, "%s", p->sender->ref);
    remember(link, p);
    channel_send(c, &packet);
}

struct process *link_granted(const struct agent_link *link, uint64_t serial)
{
    struct process *p = link->granted[serial % GRANTED_MAX];
    return p && p->serial == serial ? p : NULL;
}
