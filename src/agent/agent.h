/* agent.h: the agent's core: links bring asks, the platform attributes those that wait at one moment together, hashes
 * are waited for as long as an ask allows, links take the answers. One loop, one thread (and libuv's for hashing).
 * Everything is bounded: links, asks, answers not yet read. exeat_agent.c and the tests call in. */
#ifndef EXEAT_AGENT_AGENT_H
#define EXEAT_AGENT_AGENT_H

#include "agent/hash.h"
#include "agent/platform.h"
#include "agent/programs.h"
#include "agent/seen.h"

enum { AGENT_ALLOWED_MAX = 16, AGENT_LINKS_MAX = 64, AGENT_ASKS_MAX = 1024 };

struct agent_options {
    int64_t allowed_uids[AGENT_ALLOWED_MAX]; /* beside root and the agent's own */
    size_t allowed_count;
    struct platform_early *take_early; /* passes to agent_new(), also when it fails; NULL: none */
    struct programs *take_programs;    /* likewise; NULL: what is built in */
    struct seen *take_seen;            /* likewise; NULL: nothing is kept over the end */
};

struct agent;
struct agent_link;

/* NULL and *ret_error when something cannot be had. Options are copied. */
struct agent *agent_new(uv_loop_t *loop, const struct agent_options *options, const char **ret_error);

/* Takes a bound Unix socket, listens on it and serves. 0, or -1 (the descriptor is closed). */
int agent_serve(struct agent *a, int take_fd);

/* Closes everything; the loop then runs dry. After that agent_free(). */
void agent_stop(struct agent *a);
void agent_free(struct agent *a);

/* ---- what links call ---- */
void agent_take_ask(struct agent *a, struct agent_link *link, const struct agent_ask *ask);
void agent_take_done(struct agent *a, struct agent_link *link, uint64_t id);
void agent_expect(struct agent *a, const struct endpoint *proxy); /* a listener that a hello named */
void agent_forget_link(struct agent *a, struct agent_link *link); /* it is closing: its asks are dropped */
const struct agent_hello *agent_hello(const struct agent *a);
const struct agent_hello *agent_hello_now(struct agent *a); /* with what goes around, as of now */

#endif
