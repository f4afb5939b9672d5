/* inside.h: a tunnel whose TLS ends here, so that the exchanges inside are seen: what the states from DECIDE_HELLO to REQUEST share.
 *
 * The CONNECT's own exchange (the tunnel's) lasts as long as the flow; each request inside is an exchange of its own, attributed and
 * decided on its own, exactly as a plain request is: it goes REQUEST ... INSPECT, with the tunnel's host. Private to flow/. */
#ifndef EXEAT_FLOW_INSIDE_H
#define EXEAT_FLOW_INSIDE_H

#include "flow/flow.h"
#include "tls/signer.h"
#include "wire/client_hello.h"

enum { INSIDE_ALPN_BYTES = 255, INSIDE_LEAF_BYTES = 32 };

struct inside {
    struct exchange *tunnel;   /* owned, from REQUEST on; before that it is flow.x */
    struct snapshot *snapshot; /* counted: the tunnel's policy, of which its verdict is a view */
    struct host sni;           /* len 0: none was sent, or none that is a host */
    bool sni_agrees;           /* none, or CONNECT's host */
    uint8_t alpn_len, alpn[INSIDE_ALPN_BYTES]; /* what the server is offered, as in the extension */
    bool h2_only;                /* the client doesn't offer HTTP/1.1; the server is offered it for it */
    struct net_job *job;         /* net destroys it; NULL when none is under way */
    struct chain_job *chain_job; /* likewise: before that one */
    bool judged;                 /* the server's chain was, and there is an answer for the client */
    bool trusted;                /* and it was found good */
    bool met;                    /* `leaf` is set */
    uint8_t
        leaf[INSIDE_LEAF_BYTES]; /* SHA-256 of the server's chain: a later connection must show the same */
    uint8_t resume_key[INSIDE_LEAF_BYTES]; /* who the server is, in everything that its session depends on */
    bool resumable;                        /* that is set */
    uint64_t whole_ms;                     /* when the handshake was made whole that its session began with */
    struct tls_session *client;            /* owned until CLIENT_TLS takes it */
    unsigned exchanges;                    /* the flow's, when the inside was entered */
    enum reason refusal;                   /* every exchange inside is answered with it; NONE */
    char refusal_detail[160];
};

/* Policy wants `v`'s flow to be terminated: TERMINATE, or PEEK where something speaks against it; facts say what. */
enum verdict_handling inside_handling(struct flow *f, const struct verdict *v);
/* DECIDE_HELLO's way for a flow that policy wants to be terminated. */
enum step inside_go(struct flow *f);
/* The client's TLS is open: what comes are exchanges of their own. 0, or -1 without memory. */
int inside_enter(struct flow *f);
/* Nothing was said inside. Some clients say nothing when they don't like a certificate: it could be that, and who reads the tunnel's record
 * should think of it. Where it has no detail yet. */
void client_tls_note_silence(const struct flow *f, struct exchange *tunnel);
/* DECIDE_CHAIN's way: on to the client, or to telling it why not. */
enum step inside_chain_known(struct flow *f);
/* A CONNECT was refused, before anything was dialled: is it accepted after all, to show a page that says so inside? Then there is an
 * inside, and the flow goes to ESTABLISHED. */
bool inside_shows_page(struct flow *f);
/* An exchange inside whose tunnel is only there to refuse it. */
enum step inside_refuse(struct flow *f);
/* A head inside was read: gives it the tunnel's host and port; WAIT, or MOVE when it names another. */
enum step inside_judge_target(struct flow *f);
/* The flow is done: the tunnel's close record, and everything back. Harmless without an inside. */
void inside_end(struct flow *f);

/* The TLS session with the server, as the client would have begun it. NULL without memory. */
struct tls_session *inside_greet(struct flow *f);
/* That handshake is through: goes on to MINT, or, for an exchange that needed a new connection, to INSPECT. */
enum step inside_met(struct flow *f);
/* It failed. */
enum step inside_not_met(struct flow *f);

/* Makes *ret of the hello that is in f's buffer, views into it and the exchange's arena; false where there is none that can be read. */
bool inside_read_hello(struct flow *f, struct client_hello *ret);

/* ---- asked.c ---- */

/* Is a server that asks for a client certificate to be asked to do without? */
bool asked_goes_without(const struct flow *f);
/* The server of a tunnel that was to be terminated asks for a client certificate: on to it anew, or the flow's end. */
enum step asked(struct flow *f);
/* May the flow that `v` is about be let through unterminated where the server asks? */
bool asked_may_pass(const struct flow *f, const struct verdict *v);
/* DECIDE_HELLO: where the server has asked, and may, handling becomes peek. -1 without memory. */
int asked_pass(struct flow *f);

/* ---- resume.c ---- */

/* A ticket for the server that i->resume_key names, or NULL; with it the time at which its handshake was made whole. */
struct tls_ticket *resume_find(struct flow *f, uint64_t *ret_born_ms);
/* Keeps what the server gave meanwhile. Harmless without an inside. */
void resume_keep(struct flow *f);
void resume_room_free(struct resume_room *take_room);

/* ---- mint.c ---- */
void mint_cancel(struct flow *f);
void mint_room_free(struct mint_room *take_room);

#endif
