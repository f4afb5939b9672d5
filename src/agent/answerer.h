/* answerer.h: the agent's process that proxies talk to. It listens, looks who is there, reads their lines and hands what they ask to the
 * collector as packets; the collector's lines go back unread. It needs no rights and no files: exeat_agent.c takes all
 * of them away before it listens (linux/confine.h). While there is no collector, links are closed and new ones wait. One loop, one thread;
 * links and what they have not read are bounded. exeat_agent.c and the tests call in. */
#ifndef EXEAT_AGENT_ANSWERER_H
#define EXEAT_AGENT_ANSWERER_H

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWERER_ALLOWED_MAX = 16 };

struct answerer_options {
    int64_t allowed_uids[ANSWERER_ALLOWED_MAX]; /* beside root and our own */
    size_t allowed_count;
    _Atomic uint64_t *turns;         /* the collector's (platform.h); borrowed. NULL: each ask is handed on */
    uint32_t generation;             /* another one for each answerer of a collector: makes links' numbers */
    void (*on_ready)(void *context); /* a collector is there; NULL: nobody wants to know */
    void *context;
};

struct answerer;

/* `take_fd`: our end of the pair. Options are copied. NULL when something cannot be had. */
struct answerer *answerer_new(uv_loop_t *loop, int take_fd, const struct answerer_options *options);

/* Takes a bound Unix socket and listens on it. Not `confined`: rights could not be given up, the collector's hello is to say
 * so. 0, or -1 (the descriptor is closed). */
int answerer_serve(struct answerer *a, int take_fd, bool confined);

/* Closes everything; the loop then runs dry. After that answerer_free(). */
void answerer_stop(struct answerer *a);
void answerer_free(struct answerer *a);

#endif
