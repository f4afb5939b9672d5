/* findings.h: findings, not floods: what rules match becomes one open finding for each (rule, host, stable sender, registrable domain),
 * created once, updated as it goes on, closed after a quiet day. And the risk that adds up for a sender, a host, a user.
 *
 * Shared by all workers: matches are rare, one lock does. Bounded: the finding that was quiet longest gives way, and says so as it closes.
 * Each change that people should hear of is a line in the ledger (OCSF 2004); a line for which the ledger has no room is said later. Kept
 * in store/ across restarts; `exeat findings` reads it there. flow/notice.c notes, run/ sweeps, admin/ sets states. */
#ifndef EXEAT_FLOW_FINDINGS_H
#define EXEAT_FLOW_FINDINGS_H

#include "audit/finding.h"

struct findings;
struct ledger; /* audit/ledger.h */
struct store;  /* store/store.h */

enum {
    FINDINGS_OPEN_MAX = 4096,
    FINDINGS_KEY_BYTES = 656,
    FINDINGS_KEEP_S =
        7 * 24 * 3600, /* how long an agent is asked to keep what it knows of a finding's sender */
};

struct findings_options {
    struct store *store;    /* borrowed until findings_free(); NULL: nothing is kept */
    struct ledger *ledger;  /* borrowed likewise */
    const char *uid_prefix; /* 16 characters, of this run: makes ids unique; copied */
    const char *version;    /* of the program; static */
    int64_t quiet_ms;       /* a finding that long without a match is closed */
    unsigned daily_budget;  /* new findings of a rule a day (UTC); beyond, they are one */
};

/* Reads what the store has: before store_start(). NULL without memory. */
struct findings *findings_new(const struct findings_options *options);
void findings_free(struct findings *take_f); /* after store_close() */

/* A match. `about` has what identifies it and what is shown (uid, status, times and counts are not looked at); its evidence and history are taken.
 * `record_id` is the exchange's. */
void findings_note(struct findings *f, struct finding *take_about, const char *record_id, int64_t now_ms);

/* What an agent should be asked to keep, because a finding was made or goes on. */
struct findings_keep {
    char uid[33];        /* of the finding */
    char sender_ref[64]; /* the agent's name of the process, of take_about->kept_ref */
};

/* Likewise. True: there is such a thing, and it counts as asked: not again within the hour. */
bool findings_note_and_keep(struct findings *f, struct finding *take_about, const char *record_id,
                            int64_t now_ms, struct findings_keep *ret);

/* What the agent answered: a name of AGENT_KEEP_OUTCOMES, or "" for no answer; 0 where it keeps nothing. Stands in the finding's next line. */
void findings_set_kept(struct findings *f, const struct findings_keep *asked, const char *outcome,
                       int64_t until_ms);

/* A match that makes no finding, but adds to the risk of whom it is about. */
void findings_add_risk(struct findings *f, const struct finding *about, int64_t now_ms);

/* From time to time: closes what was quiet, says what could not be said. */
void findings_sweep(struct findings *f, int64_t now_ms);

/* People's word. 0, or -1: there is no open finding of that id. `by` stands in the record. */
int findings_set_status(struct findings *f, const char *uid, enum finding_status status, const char *by,
                        int64_t now_ms);

/* The open finding of that rule that a test made (flow/selftest.c) is closed. False: there is none, as of a level below findings.level.
 * *ret: as it was open, without its evidence. */
bool findings_end_test(struct findings *f, const char *rule, int64_t now_ms, struct finding *ret);

/* What added up for a name ("host\nNAME", "sender\nNAME", "user\nNAME"), halved each day; 0 for one that nothing was found about. */
unsigned findings_risk(struct findings *f, struct span name, int64_t now_ms);

struct findings_stats {
    unsigned open;
    uint64_t created, updated, closed, unsaid, evicted;
};
void findings_stats(struct findings *f, struct findings_stats *ret);

#endif
