/* internal.h: what the files of net/ share with each other, and with the tests that inject faults. Nobody else
 * includes it. One `struct net` is one worker: everything here runs on its thread, net_post() apart. */
#ifndef EXEAT_NET_INTERNAL_H
#define EXEAT_NET_INTERNAL_H

#include "net/loop.h"
#include "net/sys.h"

#include <netinet/in.h>
#include <pthread.h>
#include <uv.h>

/* ---- soon: callbacks that must not be made from inside a call of net.h run in this turn's check phase ---- */

struct soon {
    struct soon *next, *prev; /* net's list; NULL when not waiting */
    void (*call)(struct soon *);
};

void net_soon_set(struct net *net, struct soon *s); /* harmless when already waiting */
void net_soon_clear(struct soon *s);

/* ---- deadline.c ---- */

enum { WHEEL_SLOTS = 512, WHEEL_TICK_MS = 16 };

struct wheel {
    uv_timer_t timer;
    uint64_t timer_tick; /* for which the timer is set; UINT64_MAX when it sleeps */
    struct {
        struct net_deadline head; /* its list's anchor */
        uint64_t earliest_tick;   /* lower bound over the list */
    } slots[WHEEL_SLOTS];
};

void wheel_start(struct net *net);
void wheel_stop(struct net *net);

/* ---- stream.c ---- */

struct net_stream {
    struct net *net;     /* borrowed: outlives every stream */
    void *owner;         /* borrowed until close */
    net_ready_fn *ready; /* NULL: nobody listens */
    struct net_stream
        *dirty_next; /* net's list of streams whose registration must be looked at before the next poll */
    struct net_stream *dirty_prev;
    struct endpoint peer, local;
    int fd, error;
    uint32_t armed; /* EPOLL...: what the kernel was asked for */
    uint8_t want;   /* NET_... */
    bool dirty, closing;
    bool noisy;       /* readable, registered for it, and reading isn't wanted */
    bool hangup_told; /* or EOF was read: RDHUP is level-triggered, looking again would spin */
};

/* Takes a connected or connecting non-blocking socket; NULL (and fd closed, errno set) when it cannot be watched. It is watched
 * for `events` (EPOLL...), what the caller will want first. */
struct net_stream *stream_new(struct net *net, int take_fd, uint32_t events);
/* What the kernel said of it: EPOLL... */
void stream_ready(struct net_stream *s, uint32_t events);
/* NODELAY, keepalive, user timeout, urgent bytes inline. Best effort; listeners hand theirs on to what they accept. */
void stream_tune(const struct net *net, int fd);
void stream_arm_dirty(struct net *net); /* before each poll */
void stream_fail(struct net_stream *s, int error);
void stream_read_eof(struct net_stream *s);

struct endpoint endpoint_from_sockaddr(const struct sockaddr_storage *address);
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret);

/* ---- watch.c ---- */

struct watch {
    uv_poll_t poll;
    struct net_stream *removed; /* owned: freed when what was told has been told, linked by dirty_next */
    int fd;                     /* of the epoll set */
    bool telling;
};

int watch_start(struct net *net); /* 0, or libuv's negative error */
void watch_stop(struct net *net);
int watch_add(struct net_stream *s, uint32_t events); /* 0, or -1 with errno */
void watch_change(struct net_stream *s, uint32_t events);
void watch_remove(struct net_stream *take_s); /* frees it, at once or when the turn's events were told */

/* ---- listener.c ---- */

void listeners_tune(struct net *net);
void listeners_close(struct net *net);

/* ---- relay.c ---- */

struct net_pipe {
    struct net_pipe *next; /* the pool's list while it is free */
    int read_fd, write_fd; /* -1: `bytes` follow instead */
    size_t held_bytes;     /* on their way */
    size_t offset;         /* of the first held byte in bytes[] */
    uint8_t bytes[];
};

struct pipe_pool {
    struct net_pipe *free; /* owned, all empty */
    unsigned count;        /* in use and free */
    uint64_t retry_ms;     /* not before: the kernel refused one */
    uint8_t *copy;         /* owned: the one copying buffer, nothing stays in it */
    bool no_peek;          /* this kernel can't peek at an offset of a TCP queue (before Linux 6.9) */
};

enum { LANE_COPY_BYTES = 64 * 1024, LANE_BUDGET_BYTES = 1024 * 1024 };

int pipe_pool_start(struct net *net);
void pipe_pool_stop(struct net *net);

/* ---- resolver.c, agent_link.c, job.c ---- */

struct resolver;
struct resolver *resolver_new(struct net *net, const char **ret_error);
void resolver_reconfigure(struct net *net);
void resolver_free(struct resolver *take_r);

struct agent_link;
struct agent_link *agent_link_new(struct net *net);
void agent_link_reconfigure(struct agent_link *link);
void agent_link_free(struct agent_link *take_link);
bool agent_link_around(const struct agent_link *link, struct agent_around *ret); /* false: it said nothing */
void agent_link_sees(const struct agent_link *link, struct net_agent *ret);
void agent_link_state(const struct agent_link *link, char *ret_text, size_t size, unsigned *ret_connected);

struct job_run;
void jobs_stop(struct net *net);

/* ---- loop.c ---- */

enum { POSTS_MAX = 1024, JOBS_MAX = 64 };

struct post {
    void (*call)(void *argument);
    void *argument; /* borrowed until called */
};

struct net {
    uv_loop_t loop;
    uv_async_t posted;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t awake;  /* running while `soon` has entries: the poll must not block */
    struct soon soon; /* anchor */
    struct wheel wheel;
    const struct sys_table *sys; /* borrowed for the life of the process */
    struct net_options options;  /* its strings and array are owned */
    struct net_stats stats;
    uint64_t wall_ms, wall_at_ms; /* the clock, and for which net_now_ms() it was read */

    struct watch watch;
    struct net_stream *dirty;       /* borrowed: owners close them */
    struct net_listener *listeners; /* borrowed likewise */
    struct pipe_pool pipes;
    struct resolver *resolver;    /* owned */
    struct dns_channel *channels; /* owned: the resolver's, and retired ones with queries under way */
    struct https_room *https;     /* owned; NULL before its first use */
    struct agent_link *agent;     /* owned */
    struct job_run *jobs;         /* owned: running or waiting */
    unsigned jobs_count;
    unsigned dials;
    uint64_t turns; /* of the loop, for the tests that look for spinning */

    const char *resolv_conf, *hosts_file; /* borrowed; tests put others here */
    uint16_t dns_port;                    /* of the servers in resolv_conf; likewise */

    pthread_mutex_t post_lock; /* guards what follows */
    struct post *posts;        /* owned: a ring of POSTS_MAX */
    unsigned posts_head, posts_count;
};

uint64_t net_random(void);

#endif
