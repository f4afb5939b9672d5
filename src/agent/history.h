/* history.h: what processes did lately, by lineage: a bounded memory that knows nothing of an operating system. The platform
 * tells of forks, programs, ends and of what was seen; the core asks what a sender's lineage did within the window.
 * Times are milliseconds of one steady clock, given by the caller. The loop's thread only; touches malloc.
 *
 * LINEAGE. What a process does counts for itself and for those above it, at most `depth` steps up, and below the session's
 * leader: curl started by a script that ran tar, not everything a login shell ever did. A service's first process leads
 * a session, too, and counts. Who started a process is remembered from the fork: an orphan keeps its lineage.
 *
 * BOUNDS. Processes and things seen have a maximum. What is forgotten first: processes that ended and did nothing, then those
 * that ended, then those that were quiet longest; whoever floods the memory to hide something makes `forgotten` rise. */
#ifndef EXEAT_AGENT_HISTORY_H
#define EXEAT_AGENT_HISTORY_H

#include "wire/agent_history.h"

struct history;

enum {
    HISTORY_PROCESSES_MAX = 8192,
    HISTORY_SEEN_MAX = 16384,
    HISTORY_DEPTH_MAX = 8,
    HISTORY_NAME_BYTES = 16
};

/* One process: a number, and when it began (in clock ticks since boot, as /proc/PID/stat says it). */
struct history_id {
    int64_t pid, start_ticks;
};

struct history_process {
    struct history_id id, parent;
    int64_t session;  /* its leader's pid */
    bool is_service;  /* a leader that is a service's first process */
    const char *name; /* a view for the call */
};

/* Strings are views for the call; NULL: none. `class_name` must live as long as the history. */
struct history_seen {
    enum agent_history_kind kind;
    const char *class_name, *path;
    int64_t bytes;  /* -1: none */
    uint64_t times; /* 0 is once */
};

struct history *history_new(unsigned depth, int64_t window_ms);
void history_free(struct history *h);

/* A process is there (fork, exec, or found): made, or told anew. NULL parent pid 0: not known. */
void history_tell(struct history *h, const struct history_process *p, int64_t now_ms);
/* That of a child that was gone before anybody could look: it is what its parent was. */
void history_fork(struct history *h, int64_t parent, int64_t child, int64_t now_ms);

/* The latest process with that number leads a session of its own now. */
void history_lead(struct history *h, int64_t pid);

/* The latest one with that number. False: none is known. */
bool history_latest(const struct history *h, int64_t pid, struct history_id *ret);

void history_end(struct history *h, const struct history_id *id, int64_t now_ms);
bool history_knows(const struct history *h, int64_t pid); /* a process with that number that has not ended */

/* Is that the latest process with its number? */
bool history_is_latest(const struct history *h, const struct history_id *id);

/* `each` hears of what is seen of that kind, after it was; one listener. */
void history_listen(struct history *h, enum agent_history_kind kind,
                    void (*each)(void *context, const struct history_id *who,
                                 const struct history_seen *seen),
                    void *context);

/* `learn` is called when a process did something of which nobody told yet: it may tell now. It is not called from within itself. */
void history_learn_by(struct history *h, void (*learn)(void *context, int64_t pid), void *context);

/* The process that has this number now did something. False: nobody knows it. */
bool history_see(struct history *h, int64_t pid, const struct history_seen *seen, int64_t now_ms);

/* A sender asks for the proxy of user `uid`. True: for the first time of this process. */
bool history_connect(struct history *h, const struct history_id *id, int64_t uid);

/* Did it ask for that user's proxy (for another's not since)? */
bool history_has_connected(const struct history *h, const struct history_id *id, int64_t uid);

void history_lose(struct history *h, uint64_t events, uint64_t files); /* totals since the beginning */
void history_losses(const struct history *h, struct agent_losses *ret);
void history_cannot_see(struct history *h, enum agent_history_kind kind);
unsigned history_not_observable(const struct history *h); /* a bit for each kind */

/* What the lineage did within the window. *ret's strings are views until the next call of anything here. An unknown process
 * has nothing. */
void history_ask(struct history *h, const struct history_id *id, int64_t now_ms, struct agent_history *ret);

void history_age(struct history *h, int64_t now_ms); /* every now and then: gives back what is too old */

#endif
