/* sender.h: a process identity as an agent attests it: built by the agent, or decoded from its answer, then never
 * changed. Reference-counted with an atomic count, so that workers, records and rules share it without locks. Flows,
 * facts and the audit read it. Pure: malloc and jansson-free; all its memory is one arena that goes with it. */
#ifndef EXEAT_WIRE_SENDER_H
#define EXEAT_WIRE_SENDER_H

#include "base/arena.h"
#include "exeat/agent_protocol.h"
#include "wire/sender_who.h"

#include <stdatomic.h>

struct json; /* base/json.h */

enum agent_provenance {
#define X(name, text) AGENT_PROVENANCE_##name,
    AGENT_PROVENANCES(X)
#undef X
        AGENT_PROVENANCE_COUNT
};

enum sender_hash_state {
#define X(name, text) SENDER_HASH_##name,
    AGENT_HASH_STATES(X)
#undef X
        SENDER_HASH_COUNT
};

enum sender_script_kind {
#define X(name, text) SENDER_SCRIPT_##name,
    AGENT_SCRIPT_KINDS(X)
#undef X
        SENDER_SCRIPT_COUNT
};

enum sender_field {
#define X(name, text) SENDER_FIELD_##name,
    AGENT_FIELDS(X)
#undef X
        SENDER_FIELD_COUNT
};

enum { SENDER_ARENA_BYTES = 512 * 1024 }; /* budget of one sender, rendered forms included */

struct sender_parent {
    int64_t pid;
    const char *executable; /* owned by the sender's arena; NULL when not known */
    const char *name;       /* likewise; comm */
    int writable_by_user;   /* as the sender's: -1 not known, 0, 1; of the nearest alone */
};

/* Every string is NUL-terminated UTF-8, owned by `arena`, or NULL when not known. */
struct sender {
    atomic_uint refs;
    struct arena arena;
    const char *ref;                    /* "pid.start_ticks.serial"; opaque, unique on one link */
    int64_t pid, start_ticks, start_ms; /* start_ms: Unix time */
    const char *name;                   /* comm */
    const char *executable;
    bool executable_deleted;
    const char *sha256; /* 64 lower-case hex digits when hash_state is DONE */
    enum sender_hash_state hash_state;
    const char *package_name, *package_version;
    int package_verified; /* -1 not checked, 0, 1 */
    const char *script;   /* absolute path, when script_kind is FILE */
    const char *script_sha256;
    enum sender_script_kind script_kind;
    const char **arguments; /* array owned by arena */
    size_t argument_count;
    bool arguments_truncated;
    const char *cwd;
    int64_t uid, login_uid; /* -1 when not known or unset */
    const char *user, *login_user;
    struct sender_parent *parents; /* array owned by arena; nearest first */
    size_t parent_count;
    const char *unit, *container;
    int writable_by_user;        /* -1 not known, 0, 1; anything but 0 means that the path is no identity */
    int script_writable_by_user; /* likewise the script's */
    struct sender_who who;
    enum agent_provenance provenance[SENDER_FIELD_COUNT];

    const char *ocsf_json; /* OCSF 1.9 `process` object (actor.process), rendered by sender_render() */
    const char *ocsf_unmapped_json; /* an object with what has no OCSF field */
};

/* One reference, empty (numbers -1, package_verified and the writable_by_user two -1); NULL without memory. Fill it, then
 * sender_render(), then it is immutable. */
struct sender *sender_new(void);
struct sender *sender_ref(struct sender *s); /* returns s */
void sender_unref(struct sender *s);         /* NULL is fine */

/* Makes ocsf_json and ocsf_unmapped_json. 0, or -1 when the arena's budget is spent. */
int sender_render(struct sender *s);

/* Writes the `sender` member of an answer (key may be NULL for the top value). */
void sender_write(const struct sender *s, struct json *j, const char *key);

/* On the wire, by enum: for those who read them, and for those who write them. */
extern const char *const agent_provenance_names[AGENT_PROVENANCE_COUNT];
extern const char *const sender_hash_state_names[SENDER_HASH_COUNT];
extern const char *const sender_script_kind_names[SENDER_SCRIPT_COUNT];
extern const char *const sender_field_names[SENDER_FIELD_COUNT];
const char *agent_provenance_name(enum agent_provenance p);
const char *sender_hash_state_name(enum sender_hash_state s);
const char *sender_script_kind_name(enum sender_script_kind k);

#endif
