/* agent_message.h: the messages of include/exeat/agent_protocol.h as structs, for both sides: the proxy's agent link
 * and exeat-agent encode with ..._write() and decode with agent_message_decode(). Pure: bytes in, structs out. */
#ifndef EXEAT_WIRE_AGENT_MESSAGE_H
#define EXEAT_WIRE_AGENT_MESSAGE_H

#include "base/buf.h"
#include "base/ip.h"
#include "wire/agent_around.h"
#include "wire/agent_history.h"
#include "wire/agent_peers.h"
#include "wire/sender.h"

enum agent_confidence {
#define X(name, text) AGENT_CONFIDENCE_##name,
    AGENT_CONFIDENCES(X)
#undef X
        AGENT_CONFIDENCE_COUNT
};

enum agent_reason {
#define X(name, wire, text) AGENT_REASON_##name,
    AGENT_REASONS(X)
#undef X
        AGENT_REASON_COUNT
};

enum agent_basis {
#define X(name, text) AGENT_BASIS_##name,
    AGENT_BASES(X)
#undef X
        AGENT_BASIS_COUNT
};

enum agent_error_code {
#define X(name, text) AGENT_ERROR_##name,
    AGENT_ERROR_CODES(X)
#undef X
        AGENT_ERROR_COUNT
};

enum agent_keep_outcome {
#define X(name, text, doc) AGENT_KEEP_##name,
    AGENT_KEEP_OUTCOMES(X)
#undef X
        AGENT_KEEP_OUTCOME_COUNT
};

enum {
    AGENT_NONCE_BYTES = 17,
    AGENT_NAME_BYTES = 256,
    AGENT_REF_BYTES = 64,
    AGENT_TEXT_BYTES = 160
}; /* NUL included */

struct agent_hello {
    int version; /* protocol */
    char program[AGENT_NAME_BYTES], program_version[AGENT_NAME_BYTES];
    char host_name[AGENT_NAME_BYTES], host_id[AGENT_NAME_BYTES]; /* "" when not told */
    char owner[AGENT_NAME_BYTES];                                /* "proc", "bpf"; "" from a proxy */
    bool bpf;
    char platform[16];       /* "linux"; "" when not told */
    bool tells_observable;   /* then: */
    unsigned not_observable; /* a bit for each enum agent_history_kind */
    unsigned keep;           /* lineages that it keeps at most; 0: it doesn't know the message */
    char degraded[AGENT_DEGRADED_MAX][AGENT_TEXT_BYTES];
    size_t degraded_count;
    struct endpoint proxies[AGENT_PROXIES_MAX];
    size_t proxy_count;
    bool has_around;
    struct agent_around around;
};

struct agent_ask {
    uint64_t id; /* below 2^53 */
    char nonce[AGENT_NONCE_BYTES];
    struct endpoint client, proxy;
    bool want_hash, full, watch, brief;
    unsigned hash_wait_ms;
    int64_t age_ms;        /* since the proxy accepted; -1: not told */
    uint64_t proxy_cookie; /* of the socket it accepted, below 2^53; 0: not told */
};

/* What is known with basis CONNECT: -1 not known, 0, 1. */
struct agent_connect {
    int exec_changed, handed_over, other_namespace, shared;
};

/* Both `answer` and `changed`. */
struct agent_answer {
    uint64_t id;
    char nonce[AGENT_NONCE_BYTES];
    char host[AGENT_NAME_BYTES];
    enum agent_confidence confidence;
    enum agent_basis basis;
    enum agent_reason reason;
    struct agent_connect connect;
    bool watched;
    struct agent_peers *peers; /* decoded: counted; to be written: borrowed for the call. NULL: not told */
    int64_t holders[AGENT_HOLDERS_MAX]; /* pids: when ambiguous all, else those beside the sender */
    size_t holder_count;
    char sender_ref[AGENT_REF_BYTES]; /* "" when there is no sender */
    struct sender
        *sender;       /* counted; NULL when the answer carries the ref alone. Decoded: already rendered */
    bool history_same; /* instead of `history`: the one that last came with this sender */
    struct agent_history *history; /* decoded: counted; to be written: borrowed for the call. NULL: none */
};

struct agent_keep {
    uint64_t id; /* below 2^53 */
    char nonce[AGENT_NONCE_BYTES];
    char sender_ref[AGENT_REF_BYTES];
    unsigned seconds; /* at most AGENT_KEEP_SECONDS_MAX */
};

struct agent_kept {
    uint64_t id;
    char nonce[AGENT_NONCE_BYTES];
    char host[AGENT_NAME_BYTES];
    char sender_ref[AGENT_REF_BYTES];
    enum agent_keep_outcome outcome;
    int64_t until_ms;              /* Unix time; 0 unless KEPT */
    struct agent_history *history; /* decoded: counted; to be written: borrowed for the call. NULL: none */
};

struct agent_error {
    bool has_id;
    uint64_t id;
    enum agent_error_code code;
    char text[AGENT_TEXT_BYTES]; /* for people */
};

enum agent_message_type {
    AGENT_MESSAGE_HELLO,
    AGENT_MESSAGE_ASK,
    AGENT_MESSAGE_ANSWER,
    AGENT_MESSAGE_CHANGED,
    AGENT_MESSAGE_DONE,
    AGENT_MESSAGE_ERROR,
    AGENT_MESSAGE_AROUND,
    AGENT_MESSAGE_KEEP,
    AGENT_MESSAGE_KEPT,
    AGENT_MESSAGE_LOSSES
};

struct agent_message {
    enum agent_message_type type;
    union {
        struct agent_hello hello;
        struct agent_ask ask;
        struct agent_answer answer; /* CHANGED, too */
        uint64_t done;              /* the ask's id */
        struct agent_error error;
        struct agent_around around;
        struct agent_keep keep;
        struct agent_kept kept;
        struct agent_losses losses;
    } u;
};

/* Finds the first line in what was received. PARSE_OK: *ret_line is a view into `received` without its LF, and
 * *ret_used bytes are to be dropped after use. PARSE_MORE: no whole line yet. PARSE_BAD: longer than
 * AGENT_LINE_BYTES: close the link. */
enum parse agent_line_next(struct span received, struct span *ret_line, size_t *ret_used);

/* One line without its LF. 0 fills *ret, which agent_message_free() must see. -1 fills *ret_error, ready to be
 * sent back with agent_error_write(); *ret is untouched then. */
int agent_message_decode(struct span line, struct agent_message *ret, struct agent_error *ret_error);
void agent_message_free(struct agent_message *m); /* drops an answer's (or a kept's) references */

/* Each appends one line with its LF. 0, or -1 (nothing appended) when it does not fit into `out` or AGENT_LINE_BYTES. */
int agent_hello_write(struct buf *out, const struct agent_hello *h);
int agent_ask_write(struct buf *out, const struct agent_ask *a);
int agent_answer_write(struct buf *out, const struct agent_answer *a); /* in full when a->sender is there */
int agent_changed_write(struct buf *out, const struct agent_answer *a);
int agent_done_write(struct buf *out, uint64_t id);
int agent_around_message_write(struct buf *out, const struct agent_around *a);
int agent_keep_write(struct buf *out, const struct agent_keep *k);
int agent_kept_write(struct buf *out, const struct agent_kept *k);
int agent_losses_write(struct buf *out, const struct agent_losses *l);
int agent_error_write(struct buf *out, const struct agent_error *e);

/* On the wire, by enum. */
extern const char *const agent_confidence_names[AGENT_CONFIDENCE_COUNT];
extern const char *const agent_reason_names[AGENT_REASON_COUNT];
extern const char *const agent_basis_names[AGENT_BASIS_COUNT];
extern const char *const agent_error_names[AGENT_ERROR_COUNT];
extern const char *const agent_keep_outcome_names[AGENT_KEEP_OUTCOME_COUNT];
const char *agent_confidence_name(enum agent_confidence c);
const char *agent_reason_name(enum agent_reason r);
const char *agent_reason_text(enum agent_reason r); /* for people; "" for NONE */
const char *agent_keep_outcome_name(enum agent_keep_outcome o);
const char *agent_keep_outcome_text(enum agent_keep_outcome o); /* for people */

#endif
