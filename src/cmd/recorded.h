/* recorded.h: audit records read back as what the baseline was asked: for commands that learn from the past or try a policy on it. */
#ifndef EXEAT_CMD_RECORDED_H
#define EXEAT_CMD_RECORDED_H

#include <jansson.h>

#include "rules/baseline.h"

/* What stands in a record at a dotted path, as "dst_endpoint.port"; a number leads into a list. NULL: nothing. */
const json_t *recorded_find(const json_t *record, const char *path);

enum { RECORDED_ROLES_MAX = 64 };

enum recorded_kind { RECORDED_DECISION, RECORDED_CLOSE };

/* One record of network or HTTP activity. Every text is a view into the record, for the call. */
struct recorded {
    enum recorded_kind kind;
    const json_t *json;  /* the record itself */
    const char *id;      /* of the exchange */
    const char *on_host; /* the sender's host; "" not known */
    const char *stable;  /* the sender's stable name; "" not known */
    struct sender_view sender;
    const char *package_version, *proxy_user; /* NULL not known */
    struct span roles[RECORDED_ROLES_MAX];    /* of the client's certificate */
    size_t role_count;
    struct host host;
    uint16_t port;
    struct ip client, server; /* version 0: not known */
    uint32_t asn;
    bool blocked, completed; /* as it was decided; a close record: it ended well */
    int64_t time_ms, bytes_out;
    double beacon;      /* the score; 0 without */
    bool has_anomalies; /* of those that are high */
    size_t rules;       /* that matched */
};

/* Who it was, for people: the stable name, else the executable. */
const char *recorded_who(const struct recorded *r);

typedef int recorded_fn(void *owner, const struct recorded *r);

struct recorded_stats {
    uint64_t lines, unreadable; /* which are no record of ours */
};

/* Calls `each` for every record of a file, or of all files *.jsonl* of a folder in the order of their names; not 0 from it ends the reading
 * and is returned. -1 fills reterr. Lines that are no records are counted and skipped. */
int recorded_each(const char *path, recorded_fn *each, void *owner, struct recorded_stats *ret,
                  struct err *reterr);

#endif
