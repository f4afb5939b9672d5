/* sender_who.h: who a sender is beyond its file: what borrows its identity, where its files lie, since when it is known here,
 * whether it is a browser, which job keeps starting it, who signed it. A part of struct sender, written and read with it. Pure. */
#ifndef EXEAT_WIRE_SENDER_WHO_H
#define EXEAT_WIRE_SENDER_WHO_H

#include "base/arena.h"
#include "exeat/agent_protocol.h"

struct json;   /* base/json.h */
struct json_t; /* jansson.h */

enum sender_borrowed {
#define X(name, wire, text) SENDER_BORROWED_##name,
    AGENT_BORROWED(X)
#undef X
        SENDER_BORROWED_COUNT
};

enum sender_path_class {
#define X(name, wire) SENDER_PATH_##name,
    AGENT_PATH_CLASSES(X)
#undef X
        SENDER_PATH_COUNT
};

enum sender_not_browser {
#define X(name, wire, text) SENDER_NOT_BROWSER_##name,
    AGENT_NOT_BROWSER(X)
#undef X
        SENDER_NOT_BROWSER_COUNT
};

enum sender_job_kind {
#define X(name, wire) SENDER_JOB_##name,
    AGENT_JOB_KINDS(X)
#undef X
        SENDER_JOB_COUNT
};

/* Strings: NUL-terminated, in the sender's arena, or NULL. */
struct sender_job {
    enum sender_job_kind kind;
    const char *name, *file, *sha256, *owner, *trigger, *trigger_file;
    int64_t owner_uid, changed_ms, first_seen_ms; /* Unix time; -1 not known */
};

/* The names of a set's bits, for facts. */
struct sender_names {
    const struct span *items; /* in the sender's arena, of literals */
    size_t count;
};

/* Sets have the bit 1 << enum. Strings as in sender_job. */
struct sender_who {
    bool borrowed_known; /* false: the agent cannot look, and `borrowed` is empty */
    uint32_t borrowed;   /* of enum sender_borrowed */
    const char *borrowed_why;
    uint32_t path_class, script_path_class;       /* of enum sender_path_class */
    int64_t first_seen_ms, first_seen_by_user_ms; /* Unix time; -1 not known */
    const char *browser;                          /* its name; NULL: it is none */
    uint32_t not_browser; /* of enum sender_not_browser: why it is not a genuine one */
    struct sender_job job;
    const char *signer;           /* "TEAM/IDENTIFIER"; NULL: not signed, or the agent cannot look */
    bool signature_valid;         /* as the system checked it; only with `signer` */
    int64_t responsible_pid;      /* -1: none known */
    const char *responsible_path; /* of that process */
    struct sender_names borrowed_names, path_class_names, not_browser_names; /* by sender_who_name_all() */
};

void sender_who_init(struct sender_who *w);
void sender_who_write(const struct sender_who *w, struct json *j);
/* Members of the wrong type set *bad; absent ones are not known. */
void sender_who_read(struct sender_who *w, struct arena *arena, const struct json_t *object, bool *bad);
int sender_who_name_all(struct sender_who *w, struct arena *arena); /* 0, or -1 without memory */

/* NULL when no such name is known. */
/* The words of the protocol, by enum: what sender_who_decode.c reads is what sender_who.c writes. */
extern const char *const sender_who_borrowed_names[SENDER_BORROWED_COUNT];
extern const char *const sender_who_path_names[SENDER_PATH_COUNT];
extern const char *const sender_who_not_browser_names[SENDER_NOT_BROWSER_COUNT];
extern const char *const sender_who_job_names[SENDER_JOB_COUNT];
const char *sender_borrowed_name(enum sender_borrowed b);
const char *sender_borrowed_text(enum sender_borrowed b); /* for people */

#endif
