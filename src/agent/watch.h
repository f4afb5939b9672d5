/* watch.h: the connections that proxies want to be told about while they live: what was asked, and what was said last. Bounded. The
 * core (agent.c, plain/plain.c) asks the platform again for those that are due and says what has changed. The loop's thread only.
 *
 * DUE is who was told to be (its process executed something), and everybody in turn, once in WATCH_ROUND_MS. */
#ifndef EXEAT_AGENT_WATCH_H
#define EXEAT_AGENT_WATCH_H

#include "agent/platform.h"

enum { WATCH_ROUND_MS = 2000, WATCH_BATCH = 64 };

struct watches;

struct watched {
    struct watched *next_same;     /* in its bucket */
    struct watched *next, *before; /* in the order of the round */
    void *link; /* the core's; borrowed until watches_forget_link(); NULL then, during a walk */
    uint64_t id;
    char nonce[AGENT_NONCE_BYTES];
    struct attribution said; /* as asked, and as answered last; without a process, with its peers counted */
    uint64_t serial;         /* of the process that was named; 0: none */
    int64_t pid;             /* likewise */
    uint64_t did;            /* agent_history_signature() of what was said of its history */
    uint64_t due_ms;         /* to be looked at then, out of turn; 0: in its turn */
};

struct watches *watches_new(size_t most);
void watches_free(struct watches *w);
size_t watches_count(const struct watches *w);

/* Goes on with what `said` answered; its process is borrowed for the call. False: there are too many. */
bool watches_add(struct watches *w, void *link, const struct agent_ask *ask, const struct attribution *said);
void watches_done(struct watches *w, const void *link, uint64_t id);
void watches_forget_link(struct watches *w, const void *link);

/* Connections of this process are due at `due_ms` of the loop's clock. */
void watches_hasten(struct watches *w, int64_t pid, uint64_t due_ms);

/* Those that are due, at most WATCH_BATCH: views until watches_walked(), which must follow. `turns`: so many in turn, too. */
size_t watches_walk(struct watches *w, uint64_t now_ms, size_t turns, struct watched *ret[WATCH_BATCH]);
void watches_walked(struct watches *w);

/* Is `now` worth saying after what was said? Then it is noted. That a socket is gone is not, nor that nobody could look; what
 * is not known now is taken from what was said. */
bool watched_note(struct watched *watched, struct attribution *now);

#endif
