/* packet.h: what the agent's two processes say to each other over a SOCK_SEQPACKET pair: packets of a fixed size each way, but
 * for the lines of text that the collector has written and the answerer passes on unread. The answerer, who reads what
 * proxies send, may be somebody else's tool one day: what he sends is checked here like anything that comes from outside.
 * Pure: bytes in, structs out; channel.c moves them, agent.c (the collector) and answerer.c make and take them. */
#ifndef EXEAT_AGENT_PACKET_H
#define EXEAT_AGENT_PACKET_H

#include "agent/platform.h"
#include "wire/agent_message.h"

enum packet_kind {
    /* to the collector */
    PACKET_RESET = 1, /* another answerer begins (said by their keeper): its predecessor's links are over */
    PACKET_LINK,      /* a proxy connected */
    PACKET_HELLO,     /* its listeners */
    PACKET_ASK,
    PACKET_DONE,    /* a watched connection is over */
    PACKET_CLOSED,  /* the link is */
    PACKET_COUNTED, /* connections that were answered for by grants */
    PACKET_KEEP,    /* a finding is about a sender */
    /* to the answerer */
    PACKET_READY, /* the collector takes links from here on; channel.h: with two descriptors */
    PACKET_GRANT, /* whose connections the answerer may answer for himself, for a moment */
    PACKET_GONE,  /* the collector ended (said by their keeper) */
    PACKET_LINES, /* text for the link's proxy */
    PACKET_CLOSE, /* the link is to be closed, or is not known */
    PACKET_KINDS
};

enum {
    PACKET_HEAD_BYTES = 16,
    PACKET_COUNTED_MAX = 32,
    PACKET_LINES_MAX = AGENT_LINE_BYTES,
    PACKET_BYTES_MAX = PACKET_HEAD_BYTES + PACKET_LINES_MAX
};

/* The collector answered for this caller's connection just now, and would say the same about another one of his: on this link, to
 * this end of the proxy's, while no turn was begun (platform.h) and nothing waits to be taken in. */
struct packet_grant {
    struct known_caller caller;
    struct endpoint proxy;
    uint64_t serial, turn;
    int64_t until_ns; /* monotonic */
    bool has_history; /* then only to who asks briefly */
    char ref[AGENT_REF_BYTES];
};

struct packet {
    enum packet_kind kind;
    uint64_t link; /* never used twice while a keeper lives */
    union {
        struct packet_peer {
            int64_t uid, pid; /* of the proxy; -1, 0: not known */
            bool unconfined;  /* the answerer could not give up its rights */
        } peer;
        struct packet_proxies {
            struct endpoint items[AGENT_PROXIES_MAX];
            size_t count;
        } proxies;
        struct agent_ask ask;
        struct agent_keep keep;
        uint64_t done;
        struct packet_grant grant;
        struct packet_counted {
            size_t count;
            struct packet_count {
                uint64_t serial, proxy_cookie; /* the grant's; the proxy's end of the connection */
            } items[PACKET_COUNTED_MAX];
        } counted;
        struct span lines; /* a view */
    } u;
};

/* 0, or -1 when it does not fit. */
int packet_write(struct buf *out, const struct packet *p);

/* False: no packet. *ret's lines are a view of `bytes`. */
bool packet_read(struct span bytes, struct packet *ret);

#endif
