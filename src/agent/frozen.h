/* frozen.h: histories of lineages that a finding is about: kept when history.h has long forgotten what was seen. Each is what was told of
 * the lineage when somebody asked to keep it, and what was seen since: looked at every now and then, before it ages. What cannot
 * be told to be another thing counts once, so that a count is a lower bound and says so. Bounded: how many, and how many bytes of
 * paths. The loop's thread only; touches malloc. Times as in history.h. */
#ifndef EXEAT_AGENT_FROZEN_H
#define EXEAT_AGENT_FROZEN_H

#include "agent/history.h"

enum { FROZEN_MAX = 64, FROZEN_BYTES_MAX = 1024 * 1024 };

struct frozen;

struct frozen *frozen_new(void); /* NULL without memory */
void frozen_free(struct frozen *f);

/* For the proxy's user `uid`, until then at least. False: there is no room for one more. */
bool frozen_keep(struct frozen *f, const struct history_id *id, int64_t uid, int64_t now_ms,
                 int64_t until_ms);

/* Until when it is kept for that user; 0: it isn't. */
int64_t frozen_until(const struct frozen *f, const struct history_id *id, int64_t uid, int64_t now_ms);

/* *io, the history as it is known now, becomes what is kept and what was seen since. Its strings are views until the next call of
 * anything here or in history.h. Nothing changes where nothing is kept. */
void frozen_add(struct frozen *f, const struct history_id *id, int64_t now_ms, struct agent_history *io);

/* Every now and then, before history_age(): what was seen since is taken in, what was kept long enough is given back. */
void frozen_turn(struct frozen *f, struct history *h, int64_t now_ms);

bool frozen_is_full(const struct frozen *f);

#endif
