/* baseline_model.h: what a baseline is in memory. Private to rules/baseline*.c: baseline_parse.c fills it,
 * baseline_check.c looks for what can never count, baseline.c decides. Everything lives in the baseline's arena. */
#ifndef EXEAT_RULES_BASELINE_MODEL_H
#define EXEAT_RULES_BASELINE_MODEL_H

#include "base/arena.h"
#include "rules/baseline.h"

/* X(ID, key in the file and field of struct sender_view). Conditions that compare texts. */
#define BASELINE_CONDITIONS(X)                                                                               \
    X(EXECUTABLE, executable)                                                                                \
    X(PACKAGE, package)                                                                                      \
    X(USER, user)                                                                                            \
    X(UNIT, unit)                                                                                            \
    X(SCRIPT, script)                                                                                        \
    X(SHA256, sha256)                                                                                        \
    X(SCRIPT_SHA256, script_sha256)                                                                          \
    X(PARENT, parent)                                                                                        \
    X(SIGNATURE, signature)

enum condition {
#define X(id, field) CONDITION_##id,
    BASELINE_CONDITIONS(X)
#undef X
        CONDITION_COUNT
};

enum destination_name { DESTINATION_UNNAMED, DESTINATION_ANY, DESTINATION_HOST, DESTINATION_DOMAIN };

struct destination {
    enum destination_name name;
    struct host host; /* HOST; DOMAIN: a name */
    bool many;        /* of these: a place among those of many tenants, which nothing wider covers */
    bool has_network;
    bool resolve; /* UNNAMED: names may be resolved to see whether they lie in network or asn */
    struct ip_network network;
    uint32_t asn;                   /* 0: any */
    const char *path;               /* NULL: any; else this one and what is below it, of an exact host */
    const uint16_t *ports;          /* view into the arena; sorted */
    size_t port_count;              /* 0: any */
    enum verdict_handling handling; /* UNSET: the sender's */
    enum verdict_client_certificate client_certificate;
    const char *text; /* view into the arena: for people */
    unsigned line;
};

struct destination_list {
    const struct destination **items; /* array and items: views into the arena */
    uint8_t *filters;                 /* view into the arena: the items' filter_of(), read before the items */
    size_t count;
};

/* For how long something is put up with, and who answers for it. */
struct term {
    const char *owner, *ticket,
        *reason; /* views into the arena; ticket NULL: there is no term, it holds until it is changed */
    int64_t granted_s, expires_s;
};

struct entry {
    const char *name; /* view into the arena, like all texts here */
    unsigned line;
    struct term term; /* of an exception */
    bool adds;        /* decides only what it lets out, as an exception does */
    bool has_mode;
    enum verdict_mode mode;
    const char *conditions[CONDITION_COUNT]; /* NULL: not looked at */
    const char *proxy_user;                  /* NULL: not looked at */
    const char *role;                        /* NULL: not looked at */
    bool has_client;
    struct ip_network client;
    unsigned confidences;        /* bits 1 << enum agent_confidence */
    bool names_confidence;       /* else they are what goes without saying: exact */
    uint32_t borrowed;           /* set of enum sender_borrowed that it puts up with */
    bool names_program;          /* by file, package or script: a borrowed identity suspends it */
    bool by_process;             /* some condition is about the process */
    bool wants_fixed_path;       /* the path is the identity, so it must not be writable by users */
    bool wants_no_interpreter;   /* it does not say what an interpreter has to run */
    bool wants_no_transfer_tool; /* transfer_tools: narrow, and it does not say whose tool it is */
    struct destination_list allow;
    enum verdict_handling handling; /* UNSET: the configuration's, as is the probe */
    enum verdict_probe probe;
};

/* Certificates of the house's own that no configured root vouches for. */
struct pki_entry {
    const char *name, *owner, *purpose, *sha256;
    const char *certificate; /* NULL: the servers send it */
    int64_t expires_s;
    unsigned line;
    struct destination_list where;
};

struct baseline {
    struct arena arena;         /* owned: all of it, this struct too */
    struct destinations *kinds; /* counted: what is never approved whole */
    enum verdict_mode mode;
    enum verdict_mode unknown_mode;
    bool unknown_allowed;
    unsigned unknown_line;
    bool needs_hash;
    bool narrow_tools;       /* transfer_tools: narrow */
    unsigned asn_line;       /* of the first destination that looks at asn; 0: none */
    unsigned role_line;      /* of the first sender with a role; 0: none */
    unsigned terminate_line; /* of the first handling: terminate; 0: none */
    struct entry *entries;   /* view into the arena */
    uint8_t *filters;        /* view into the arena: filter_of() the entries' executables */
    size_t entry_count;
    struct pki_entry *pki; /* view into the arena */
    size_t pki_count;
};

/* A long list is mostly what doesn't hold; one byte an item says so without touching the item. FILTER_NONE always
 * has to be looked at. From the text's end, so that the filters of a name's parents fall out on the way. */
enum { FILTER_NONE = 0 };
#define FILTER_START 2166136261u

static inline uint32_t filter_step(uint32_t hash, char c)
{
    return (hash ^ (uint8_t)c) * 16777619u; /* FNV-1a */
}

static inline uint8_t filter_end(uint32_t hash)
{
    return (uint8_t)(1 + (hash ^ hash >> 16) % 255);
}

static inline uint8_t filter_of(const char *text)
{
    uint32_t hash = FILTER_START;
    for (size_t i = strlen(text); i > 0; i--)
        hash = filter_step(hash, text[i - 1]);
    return filter_end(hash);
}

static inline bool term_holds(const struct term *t, int64_t now_s)
{
    return !t->ticket || (now_s >= t->granted_s && now_s < t->expires_s);
}

/* Does the name, and the port, hold? Items for names only. */
bool destination_holds_name(const struct destination *d, const struct host *host, uint16_t port);

/* Is every sender that `later` would match already matched by `earlier`? */
bool entry_shadows(const struct entry *earlier, const struct entry *later);

/* Does `wide` hold wherever `narrow` does? */
bool destination_covers(const struct destination *wide, const struct destination *narrow);

/* The first of `count` items that covers `d`, or NULL. */
const struct destination *destination_find_cover(const struct destination *const *items, size_t count,
                                                 const struct destination *d);

#endif
