/* finding.h: one finding: that an analytic (a rule) has been true of one sender on one host toward one domain, how often, since when. As bytes
 * for the store and back, and as an OCSF 1.9 Detection Finding (class 2004) for the ledger. flow/findings.c keeps findings, `exeat findings`
 * shows them. Pure. */
#ifndef EXEAT_AUDIT_FINDING_H
#define EXEAT_AUDIT_FINDING_H

#include "base/buf.h"

#include <stdint.h>

enum {
    FINDING_RECORDS_MAX = 20, /* of how many exchanges the record ids are kept: the first ones */
    FINDING_RECORD_ID_BYTES = 48,
    FINDING_ATTACKS_MAX = 8,
    FINDING_EVIDENCE_MAX_BYTES = 4096,
    FINDING_HISTORY_MAX_BYTES = 16384,
    FINDING_STATE_MAX_BYTES = 40960,
    FINDING_STORE_KIND = 64, /* of its row among the sightings in store/ */
};

/* OCSF's status_id of a finding. */
enum finding_status {
    FINDING_NEW = 1,
    FINDING_IN_PROGRESS = 2,
    FINDING_SUPPRESSED = 3,
    FINDING_RESOLVED = 4
};
const char *finding_status_name(enum finding_status s);

/* OCSF's severity_id; a rule's level is one of them, too. */
enum finding_severity {
    SEVERITY_INFORMATIONAL = 1,
    SEVERITY_LOW,
    SEVERITY_MEDIUM,
    SEVERITY_HIGH,
    SEVERITY_CRITICAL
};
const char *finding_severity_name(enum finding_severity s);
/* A Sigma level; an unknown one is medium. */
enum finding_severity finding_severity_of_level(const char *level);

/* Every string is cut at its room, at a character. */
struct finding {
    char uid[33];
    char rule[72], title[160], analytic[24]; /* the rule's id and title; the analytic's id, as AN0761 */
    char attacks[FINDING_ATTACKS_MAX][16];   /* techniques, as T1071.001 */
    unsigned attack_count;
    char host[65], sender[256], user[64],
        domain[256]; /* what it is about; "*" where the day's budget is used up */
    char sha256[65]; /* of the sender's executable when it was opened; "" not known */
    enum finding_severity level, severity;
    char confidence[12];     /* of the attribution: why severity is lower than level */
    char corroborating[256]; /* names of facts, comma-separated: why it is higher */
    char not_observed
        [256]; /* likewise: what the rule would have looked at and this sender's platform, or path, does not show */
    enum finding_status status;
    char by[64];               /* who acknowledged or closed it, or the suppression's ticket */
    int64_t first_ms, last_ms; /* Unix time */
    /* What the sender's agent was asked to keep of its lineage: of the process with this ref, since when it was last asked; what it said to
     * that (AGENT_KEEP_OUTCOMES; "" no answer), and, where it keeps it, until when. */
    char kept[12], kept_ref[64];
    int64_t kept_asked_ms, kept_until_ms;
    uint64_t count;
    bool blocked, would_block, test;
    char records[FINDING_RECORDS_MAX][FINDING_RECORD_ID_BYTES];
    unsigned record_count;
    char *evidence; /* owned: an OCSF evidence object as JSON; NULL: none */
    char *
        history; /* owned: what the sender's lineage did before, as its agent told when the finding was made, as JSON; kept here when the agent
                      has long forgotten. NULL: none */
};

void finding_clear(struct finding *f); /* frees what it owns; zeroed */

/* level, lowered by one when the sender is not exact, raised by one when two or more facts corroborate; within 1 to 5. */
enum finding_severity finding_weigh(enum finding_severity level, const char *confidence,
                                    unsigned corroborating);

enum finding_activity { FINDING_CREATE = 1, FINDING_UPDATE = 2, FINDING_CLOSE = 3 };

/* One line for the ledger, with its newline. `record_uid` is the line's own id, `version` the program's. -1: `out` is full. */
int finding_write_record(struct buf *out, const struct finding *f, enum finding_activity activity,
                         const char *record_uid, int64_t now_ms, const char *version);

/* As a JSON object, all of it; and back: PARSE_BAD when it is none of ours. `ret` is the caller's to finding_clear(). */
int finding_write(struct buf *out, const struct finding *f);
enum parse finding_read(struct span text, struct finding *ret);

#endif
