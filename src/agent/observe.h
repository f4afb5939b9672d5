/* observe.h: the loop's part of the history: wakes the platform when processes did something, every second, and has folders
 * looked through on another thread. agent.c begins and ends it. */
#ifndef EXEAT_AGENT_OBSERVE_H
#define EXEAT_AGENT_OBSERVE_H

#include "agent/platform.h"

#include <uv.h>

struct observe;

/* `each_second` comes after what waited was taken in. NULL: the platform has no history (or there is no memory). The platform is
 * borrowed until the loop closed what observe_stop() closes. */
struct observe *observe_new(uv_loop_t *loop, struct platform *p, void (*each_second)(void *context),
                            void *context);
void observe_stop(struct observe *o); /* frees it later; NULL is fine */

#endif
