/* around.h: keeps an eye on what goes around the proxy: waits for the platform to tell of somebody new, adds up after a moment, looks
 * at the lock once a minute, and says when something changed. agent.c owns it and tells the links. */
#ifndef EXEAT_AGENT_AROUND_H
#define EXEAT_AGENT_AROUND_H

#include "agent/platform.h"

#include <uv.h>

struct around;

/* `on_changed` is called in the loop's thread, at most every AROUND_PAUSE_MS. NULL without memory. */
enum { AROUND_PAUSE_MS = 5000 };
struct around *around_new(uv_loop_t *loop, struct platform *platform, void (*on_changed)(void *context),
                          void *context);
void around_stop(struct around *take_a); /* frees it once the loop has closed its handles; NULL is fine */

/* What is known, for whoever asks now: the lock is looked at again when that was a while ago. */
const struct agent_around *around_now(struct around *a);

#endif
