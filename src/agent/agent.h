/* agent.h: the collector, the agent's process that looks at other processes: the answerer (answerer.h) brings asks, the platform
 * attributes those that wait at one moment together, hashes are waited for as long as an ask allows, the answerer takes the
 * answers. One loop, one thread (and libuv's for hashing). Everything is bounded: links, asks, answers not yet taken.
 * exeat_agent.c and the tests call in. */
#ifndef EXEAT_AGENT_AGENT_H
#define EXEAT_AGENT_AGENT_H

#include "agent/hash.h"
#include "agent/platform.h"
#include "agent/programs.h"
#include "agent/seen.h"

enum { AGENT_LINKS_MAX = 128, AGENT_ASKS_MAX = 1024 }; /* links: twice the answerer's */

struct agent_options {
    struct platform_early *take_early; /* passes to agent_new(), also when it fails; NULL: none */
    struct programs *take_programs;    /* likewise; NULL: what is built in */
    _Atomic uint64_t *turns;           /* as the history's; NULL: the answerer asks each time */
    struct seen *take_seen;            /* likewise; NULL: nothing is kept over the end */
};

struct agent;
struct agent_link;

/* NULL and *ret_error when something cannot be had. Options are copied. */
struct agent *agent_new(uv_loop_t *loop, const struct agent_options *options, const char **ret_error);

/* Takes our end of the pair with the answerer, and serves. 0, or -1 (the descriptor is closed). */
int agent_serve(struct agent *a, int take_fd);

/* Closes everything; the loop then runs dry. After that agent_free(). */
void agent_stop(struct agent *a);
void agent_free(struct agent *a);

/* ---- what links call ---- */
const struct agent_hello *agent_hello_now(struct agent *a); /* with what goes around, as of now */
uint64_t agent_now_ms(const struct agent *a);               /* of the loop's clock */

#endif
