/* flow.h: one client connection's life in the proxy: its state, its two sides, the exchange under way. Private to flow/:
 * the steps (one file each) share it; run/ sees env.h only.
 *
 * A step looks at the flow, does what can be done now, and answers WAIT (an event will call it again) or goes on with
 * flow_goto(). Steps never call each other and never free the flow. */
#ifndef EXEAT_FLOW_FLOW_H
#define EXEAT_FLOW_FLOW_H

#include "exeat/reasons.h"
#include "facts/anomaly.h"
#include "facts/facts.h"
#include "flow/chain.h"
#include "flow/env.h"
#include "flow/judge.h"
#include "flow/remember.h"
#include "flow/frames.h"
#include "flow/sample.h"
#include "flow/side.h"
#include "flow/steps.h"
#include "wire/host.h"
#include "wire/http1_body.h"
#include "wire/record.h"

enum {
    FLOW_IN_LIMIT_BYTES = 1 << 20 | 1 << 16, /* the largest limits.head, and something pipelined behind it */
    FLOW_OUT_LIMIT_BYTES = 4 << 20,          /* never reached: writers stop at FLOW_OUT_HIGH_BYTES */
    FLOW_OUT_HIGH_BYTES = 64 << 10,
    FLOW_READ_BYTES = 16 << 10,
    EXCHANGE_ARENA_BYTES = 4 << 20, /* bounded by limits.head long before */
    FLOW_ADDRESSES = 16,
};

enum step { WAIT, MOVE };

/* How a refusal can still be said. */
enum flow_answer {
    ANSWER_NONE,
    ANSWER_HTTP,
    ANSWER_TLS_ALERT,
    ANSWER_CLOSE, /* a TLS handshake says it, or nobody has heard anything yet: no reset */
};

/* Operations under way for an exchange; freed at RELAY and at the end. */
struct flow_setup {
    struct net_resolution resolution;
    struct net_dialing dialing;
    struct endpoint addresses[FLOW_ADDRESSES]; /* judged, in the order of the resolver */
    unsigned address_count;
    bool resolving, resolved, dialling, dialled;
    const struct conf_parent *parent; /* view into the snapshot's conf; NULL = direct */
    size_t parent_index;              /* which of its proxies is being tried */
    bool parent_named;                /* its name is resolved, not the destination's */
    struct http1_scan scan;           /* of the parent's answer */
    bool asked_parent;
    unsigned interim; /* answers of the parent before its answer */
    struct hello_reader hello;
    bool client_spoke, server_spoke;
    struct net_https https;
    bool https_asked, https_known;
};

/* INSPECT's own state. */
struct inspect {
    struct http1_body request_body, response_body;
    struct http1_scan scan; /* of the response's head */
    struct http1_asked asked;
    enum http1_framing request_framing, client_framing, server_framing;
    bool begun, sent, request_done, response_begun, response_done, upgraded, server_keep, server_spoke;
    struct span head; /* the request head as it was sent: a copy in the arena, for one repetition */
    bool reused;      /* the server connection served an exchange before */
    uint64_t request_done_ms;
};

struct exchange {
    struct arena arena; /* everything here that is a pointer lives in it, unless said otherwise */
    char id[48];        /* stands in the answer and in both records */
    uint64_t begun_ms, begun_wall_ms;
    bool connect, https, head,
        whole;                 /* head: no answer to it has a body; whole: its head was read to the end */
    struct http1_head request; /* views into client.in until the head is consumed */
    bool head_consumed;
    int client_minor; /* the request's HTTP/1.x */
    bool client_keep_alive, wants_html;
    struct host host;
    uint16_t port;
    char *user;               /* owned (malloc): authenticated, or about to be; NULL */
    struct net_job *auth_job; /* net destroys it; NULL when none is under way */
    bool auth_done, auth_good;
    uint8_t sender_key[LIMITS_SENDER_BYTES];
    bool sender_counted; /* in limits, as sender_key */
    struct ip server_ip; /* version 0: not connected, or by a parent */
    struct geo_place place;
    struct verdict verdict;
    struct judgement judgement;
    bool decided; /* there is a verdict */
    bool decision_recorded, close_recorded, refusal_written;
    unsigned reserved;  /* slots of the ledger that are ours */
    bool unrecorded;    /* the ledger was full and policy says open */
    enum reason reason; /* why it ended */
    int fault_status;   /* the answer to a malformed head (http1_faults.def); 0: the reason's own */
    char detail[160];   /* for people: which fault where; printable */
    struct facts facts;
    struct sender *told_sender;             /* counted: of which the facts are views; NULL */
    struct agent_history *told_history;     /* likewise */
    struct agent_peers *told_peers;         /* likewise */
    struct frames *frames;                  /* owned (malloc); NULL unless it became a WebSocket */
    struct samples *samples;                /* owned (malloc); NULL where nothing is sampled */
    struct remembered *remembered;          /* owned (malloc); NULL before DECIDE_CONNECT */
    void *compacted;                        /* owned (malloc): the facts' texts once the arena is gone */
    uint64_t body_bytes_out, body_bytes_in; /* of the request, of the response */
    uint64_t bytes_out, bytes_in;           /* payload moved outside the lanes */
    uint32_t state_ms[FLOW_STATE_COUNT];    /* the timeline */
    struct chain_record *chain;             /* counted: the server's certificates; NULL when not known */
    char chain_detail[96];                  /* why a probe failed */
    char conform_text[64];                  /* where the tunnel stopped being TLS */
    struct span conform_ids[8];             /* what its records showed */
    struct span chain_anomalies[64];        /* where P17 joins the record's */
    struct inspect inspect;
};

struct inside;

struct flow {
    struct flow_env *env;                 /* borrowed for life */
    struct flow *next, *prev;             /* of env->flows */
    const struct flow_listener *listener; /* borrowed for life */
    struct snapshot *snapshot;            /* counted */
    enum flow_state state;
    bool running, woken, timed_out, aborting;
    enum flow_answer answer;
    struct side client, server;
    struct bursts bursts;           /* what both watches are shown: a handshake inside? */
    struct record_watch watches[2]; /* of a tunnel that began as TLS: the client's records, the server's */
    bool watched;
    uint8_t watch_told;                      /* what of them is a fact already */
    struct net_lane out_lane, in_lane;       /* client to server, server to client */
    enum net_lane_state out_state, in_state; /* what each lane waited for last */
    struct net_deadline deadline, judge_point;
    bool test;               /* nobody's: selftest.c pretends it; nothing learns from it */
    bool judge_due;          /* judge_point has passed */
    struct streams *streams; /* owned (malloc): streams.h; NULL unless HTTP/2 is spoken */
    bool in_stream;          /* x is that of one stream: what fails now is that stream, not the flow */
    uint64_t state_since_ms, active_ms, accepted_ms;
    struct endpoint client_endpoint, proxy_endpoint; /* as the PROXY header says, where there is one */
    struct ip behind;                                /* the balancer; version 0 without one */
    bool counted;                                    /* in limits, as limit_ip */
    struct ip limit_ip;
    bool remote_sender;                 /* a PROXY header: no process of ours */
    bool header_read;                   /* that header, LOCAL or not */
    struct net_attribution attribution; /* the flow's sender; asked again for each exchange */
    bool asked, attributed;
    bool server_asked; /* asked.c: for a client certificate, so that the tunnel is not terminated */
    uint64_t asked_ms;
    struct http1_scan scan; /* of the request's head */
    bool spoke;             /* the client sent something, ever */
    unsigned exchanges;
    uint64_t decided_generation; /* the policy that last looked at this flow */
    enum reason reason;          /* why the flow ends */
    /* where the server connection of a plain flow leads, so that the next exchange may use it */
    struct host server_host;
    uint16_t server_port;
    bool server_https;
    struct ip server_ip;
    struct role *role;        /* owned (malloc): role.h; NULL: the client showed no certificate */
    struct inside *inside;    /* owned (malloc): inside.h; NULL unless the tunnel's TLS ends here */
    struct flow_setup *setup; /* owned (malloc); NULL when nothing of it is needed */
    struct exchange *x;       /* owned (malloc); NULL between exchanges */
    struct peek *peek;        /* owned (malloc): peek.h; NULL when no handshake is read */
};

static inline const struct conf *flow_conf(const struct flow *f)
{
    return f->snapshot->conf;
}

/* ---- flow.c: the hub ---- */

/* The only writer of f->state. Returns MOVE. */
enum step flow_goto(struct flow *f, enum flow_state state);

/* Ends the exchange and the flow for `reason`: an HTTP answer, a TLS alert or a reset, whatever can still be said.
 * Returns MOVE. The formatted detail (may be NULL) goes into answer and record. */
enum step flow_fail(struct flow *f, enum reason reason, const char *detail_format, ...)
    __attribute__((format(printf, 3, 4)));

/* A side ended or broke while `f`'s step was reading it. */
enum step flow_client_ended(struct flow *f, enum side_io how);
enum step flow_server_ended(struct flow *f, enum side_io how);

/* Counts the client in. False: it is over a limit, and the flow is on its way to say so. */
bool flow_admit(struct flow *f);

/* Sets the deadline anew, within a state. */
void flow_set_deadline(struct flow *f, uint64_t after_ms);
static inline void flow_note_activity(struct flow *f)
{
    f->active_ms = net_now_ms(f->env->net);
}
/* Runs it: something it waited for has happened. */
void flow_wake(struct flow *f);
void flow_ready(void *owner, struct net_stream *stream, unsigned ready); /* net_ready_fn */
const char *flow_state_name(enum flow_state state);

/* ---- the steps ---- */
#define T(name)
#define STATE(name, run, deadline, timeout, client_eof, server_eof, successors, doc)                         \
    enum step run(struct flow *f);
FLOW_STATES(STATE, T)
#undef STATE
#undef T

/* ---- exchange.c ---- */

/* Begins an exchange with the first byte of a request. NULL without memory. */
struct exchange *exchange_begin(struct flow *f);
/* Its last record, then gives everything back; f->x is NULL afterwards. */
void exchange_end(struct flow *f);
/* Entering RELAY: what only the set-up needed is given back, the facts are compacted. */
int exchange_compact(struct flow *f);
/* The part of it that concerns one exchange: its facts stand alone, its arena is given back. */
int exchange_compact_facts(struct exchange *x);
struct flow_setup *flow_setup_get(struct flow *f); /* made at first use; NULL without memory */
void flow_setup_drop(struct flow *f);              /* cancels what is under way */

/* ---- decide.c ---- */

/* The verdict of the baseline for a phase, tightened into x->verdict. `address` for the ADDRESS phase, else NULL. */
struct verdict decide_by_baseline(struct flow *f, const struct ip *address);
/* A new policy was published: decides a live flow again and ends it when it must. Not from a step. */
void decide_again(struct flow *f);
/* The agent says that the sender is not what it was: likewise. Not from a step. */
void decide_sender_again(struct flow *f);
/* The same without the flow: for x as it stands. MOVE: it fails. */
enum step decide_sender_now(struct flow *f);
/* The same for a step about to let payload out: MOVE when the flow is on its way to its end. */
enum step decide_catch_up(struct flow *f);
/* An exception that let the flow out has ended meanwhile: it is decided again. True: that ended something. `now`: of the exchange in flow.x. */
bool decide_in_time(struct flow *f);
enum step decide_in_time_now(struct flow *f);

/* Country and autonomous system of an address, as facts; *ret_place is what they are views into. */
void decide_set_place(struct flow *f, struct facts *facts, const struct ip *ip, struct geo_place *ret_place);

/* ---- judge.c ---- */

/* More is known: asks the rules; `phase` is what the record calls it. At CONNECT facts that come later are not looked at yet; CLOSE is
 * judge_close()'s. MOVE when a rule ends the flow. Call it wherever facts were set, before what they are about goes on. */
enum step judge(struct flow *f, enum fact_phase phase);
/* The same without ending the flow: the verdict is tightened, the caller looks at it. -1 without memory. */
int judge_note(struct flow *f, enum fact_phase phase);
/* Ends it for the rule that decided. */
enum step judge_fail(struct flow *f);
/* The last gate before payload leaves: rules that are unknown and must not be. */
enum step judge_gate(struct flow *f);
/* Would a rule block the flow if it went to this address? Nothing is remembered. */
bool judge_refuses_address(struct flow *f, const struct ip *ip);
/* While bytes move: asks again when they have come to a volume or an age that rules ask about. Costs a comparison otherwise. */
enum step judge_moving(struct flow *f);
/* Volume and age so far, as facts. */
/* ---- judge_past.c ---- */

/* The matches under the policy that the flow is about to leave. */
void judge_past_add(struct flow *f);
/* Did the same rule match under a policy before (`tallied`: and was counted)? */
bool judge_past_has(const struct flow *f, uint32_t rule, bool tallied);
/* JSON objects with commas between, `shown` of `count` matches: a view as long as the judgement. */
struct span judge_past_text(const struct judgement *j, size_t *ret_count, size_t *ret_shown);
void judge_past_free(struct judge_past *take_p); /* NULL is fine */

/* ---- notice.c ---- */

/* A rule matched: it becomes a finding, or one more match of an open one. */
void notice_match(struct flow *f, const struct judge_match *m);
/* What was found before about the sender, its host and its user, as facts. */
void notice_set_risk(struct flow *f);

void judge_set_volume(struct flow *f);
/* The hello was judged, nothing has left: tunnels are terminated about which a rule would be unsure, and says that then they are to be. */
void judge_raise(struct flow *f);
/* Before the gate: does a rule want the certificates known before payload leaves? */
bool judge_holds(struct flow *f);
/* The exchange is over: nothing can change any more. Before its last record. */
void judge_close(struct flow *f);
/* The exchange ends. */
void judgement_forget(struct flow *f);
/* Before the flow's policy becomes another: what its rules said is kept for the record, and not mixed in; everything is asked anew. */
void judgement_leave_policy(struct flow *f);
/* Facts that were known are others now (the sender): all is looked at again; what matched stays. */
void judgement_look_anew(struct flow *f);
/* Drops a worker's machinery for all policies but one (NULL: for all). */
void judges_keep(struct flow_env *env, const struct snapshot *only);
/* DECIDE(chain): what is known of the server's certificates now. MOVE when the flow is on its way to its end. */
enum step decide_by_chain(struct flow *f);

/* ---- hello.c ---- */

/* The anomalies known so far, as a fact; before RELAY. */
void hello_set_anomalies(struct flow *f, const struct anomaly_set *set);
/* One more. */
void hello_add_anomaly(struct flow *f, enum anomaly which);

/* The gates of a request over the server connection that is there already, all in one, and its decision's record. MOVE: it is refused. */
enum step decide_over_connection(struct flow *f);

/* ---- request.c ---- */

/* A head is in x->request, whoever read it: what it shows by itself, its facts. MOVE: it is refused. */
enum step request_judge(struct flow *f);

/* ---- ech.c ---- */

/* Does the destination's own HTTPS record say whether the hello's name may be another? */
bool ech_is_wanted(const struct flow *f);

/* ---- dial.c ---- */

/* A CONNECT's way to the server is open. */
enum step dial_opened(struct flow *f);

/* ---- refuse.c ---- */

/* The answer of a refusal as fields and body, for whoever has another way to send them. The fields are views into `arena`. 0, or -1. */
enum { REFUSE_FIELDS = 5 };
int refuse_compose(const struct flow *f, struct arena *arena, struct buf *body,
                   struct http1_header ret_fields[REFUSE_FIELDS], size_t *ret_count);
int refuse_status(const struct exchange *x);

/* ---- guard.c ---- */

/* Why `ip` must not be dialled ("loopback", "own", ...), or NULL. */
const char *guard_refuses(const struct flow *f, const struct ip *ip, uint16_t port);

/* ---- attribute.c ---- */
void attribute_ask(struct flow *f);
/* What ended before ATTRIBUTE names its sender as well, where the answer has come meanwhile. */
void attribute_note(struct flow *f);
/* The agent says otherwise now: what of the facts needs no memory is set anew. */
void attribute_change(struct flow *f);
/* The answer is there: its facts, and what it alone forbids. MOVE: it is refused. */
enum step attribute_judge(struct flow *f);
void attribute_forget(struct exchange *x); /* its facts are no longer needed */
void attribute_refresh(struct flow *f);    /* for a further exchange: asks again unless the answer is fresh */

/* ---- auth.c ---- */
void auth_cancel(struct flow *f);
void auth_cache_free(struct auth_cache *take_cache);

/* ---- record.c ---- */

/* Reserves room for both records of the exchange. 0, or -1: full, and policy says closed. */
int record_reserve(struct flow *f);
void record_decision(struct flow *f); /* once; later calls do nothing */
/* A match as records have it; `generation`: of its policy, 0 for the one that the record names. */
void record_write_match(struct json *j, const struct flow *f, const struct judge_match *m,
                        uint64_t generation);
void record_close(struct flow *f); /* once; writes the decision first if there was one and it isn't written */

/* ---- chain_past.c ---- */

/* The server's certificates are known: the exchange's chain and all facts of it, with what is odd beside those seen before (P13, P14,
 * P15) and `more` that only the caller can know. `source` as in the record. */
/* The chain is good, or the house's own by the baseline's `pki`, here and now: it leads to what an entry names, and nothing else is wrong with
 * it, or the entry names the server's certificate itself. Policy takes it for no bad one then. */
bool chain_past_expects(const struct flow *f, const struct chain_record *r);
void chain_past_take(struct flow *f, struct chain_record *take_record, const char *source,
                     struct chain_set more);
/* The exchange is over: its chain leaves its mark, and is kept. */
void chain_past_note(struct flow *f);
/* A handshake is through, in `version` as on the wire: a full one is noted. */
struct session_past {
    bool known; /* of a resumed session: this sender began one there */
    bool lower; /* both spoke a higher version before */
};
struct session_past chain_past_session(struct flow *f, bool resumed, uint16_t version);

/* ---- conform.c ---- */

void conform_begin(struct flow *f); /* a TLS hello: its records are watched from here on */
/* What `from` gave is about to be forwarded (before RELAY). */
void conform_note(struct flow *f, const struct side *from);
void conform_enter_relay(struct flow *f);
/* In RELAY: what the records show by now. MOVE when a rule ends the flow. */
enum step conform_check(struct flow *f);

/* ---- relay.c ---- */
/* `to` is sent what `from` gave; -1 without memory. */
int relay_hand_over(struct side *from, struct side *to, uint64_t *count);
enum step relay_enter(struct flow *f); /* what only the set-up needed is given back, then RELAY */
uint64_t relay_bytes_out(const struct flow *f);
uint64_t relay_bytes_in(const struct flow *f);

#endif
