/* net_help.h: what the tests of net/ share: a worker's loop with short times, raw peers on loopback, and waiting for a
 * condition instead of sleeping. The loop and the raw peers run on one thread, step by step. */
#ifndef NET_HELP_H
#define NET_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/must.h"
#include "net/internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

/* The time that this thread has worked: what waits here spins, and on a busy machine the clock on the wall says nothing about it. */
static inline uint64_t help_worked_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline struct net_options help_options(void)
{
    return (struct net_options){
        .dns_servers = "127.0.0.1:9",
        .dns_timeout_ms = 3000,
        .dns_cache_entries = 64,
        .dns_ttl_max_s = 60,
        .dial_timeout_ms = 3000,
        .dial_attempt_delay_ms = 100,
        .tcp_keepalive_s = 60,
        .write_timeout_ms = 30000,
        .agent_timeout_ms = 500,
        .agent_uid = -1,
        .splice_pipes = 16,
    };
}

static inline struct net *help_net(const struct net_options *options)
{
    struct net_options plain = help_options();
    const char *error = NULL;
    struct net *net = net_new(options ? options : &plain, &error);
    if (!net)
        fail_msg("net_new: %s", error);
    return net;
}

/* One step of the loop that does not wait. */
static inline void help_step(struct net *net)
{
    uv_run(&net->loop, UV_RUN_NOWAIT);
}

/* Steps until `condition`; gives up loudly. The condition may have effects (a raw peer's step). */
#define help_until(net, condition)                                                                           \
    do {                                                                                                     \
        uint64_t help_start = help_worked_ns();                                                              \
        while (!(condition)) {                                                                               \
            if (help_worked_ns() - help_start > (uint64_t)PATIENCE_MS * 1000000)                             \
                fail_msg("never came true: %s", #condition);                                                 \
            help_step(net);                                                                                  \
        }                                                                                                    \
    } while (0)

struct help_alarm {
    struct net_deadline deadline;
    bool rang;
};

static inline void help_ring(struct net_deadline *d)
{
    ((struct help_alarm *)d)->rang = true;
}

/* Runs the loop as in production, sleeping when there is nothing to do, for `ms`; how many turns it took. */
static inline uint64_t help_turns(struct net *net, uint64_t ms)
{
    struct help_alarm alarm = {.deadline.expired = help_ring};
    help_step(net);
    uint64_t before = net->turns;
    net_deadline_set(net, &alarm.deadline, ms);
    while (!alarm.rang)
        uv_run(&net->loop, UV_RUN_ONCE);
    return net->turns - before;
}

static inline unsigned help_open_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static inline struct endpoint help_endpoint(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse(span_str(text), &e));
    return e;
}

/* An address and any port: the kernel picks one at bind. */
static inline struct endpoint help_any_port(const char *address)
{
    struct endpoint e = {0};
    assert_true(ip_parse(span_str(address), &e.ip));
    return e;
}

static inline struct endpoint help_local(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return endpoint_from_sockaddr(&address);
}

/* A raw listening socket on loopback; `backlog` as in listen(2). */
static inline int help_listen(const char *address, int backlog, struct endpoint *ret)
{
    struct endpoint e = help_any_port(address);
    const char *error = NULL;
    int fd = net_bind(&e, &error);
    if (fd < 0)
        return -1;
    assert_int_equal(listen(fd, backlog), 0);
    *ret = help_local(fd);
    return fd;
}

/* A raw non-blocking client, connected (loopback: at once when there is room in the backlog). */
static inline int help_connect(const struct endpoint *to)
{
    struct sockaddr_storage address;
    socklen_t len = endpoint_to_sockaddr(to, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline void help_reset(int fd)
{
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

/* ---- a listener of net's, and what it accepted last ---- */

struct help_accept {
    struct net *net;
    struct net_listener *listener;
    struct endpoint at;
    struct net_stream *stream; /* the last one; the test's to close */
    struct net_stream *all[64];
    unsigned count;
};

static inline void help_accepted(void *owner, struct net_stream *s, void *tag)
{
    struct help_accept *a = owner;
    assert_ptr_equal(tag, a->net);
    a->stream = s;
    a->all[a->count++ % 64] = s;
}

static inline void help_accept_start(struct help_accept *a, struct net *net, const char *address)
{
    struct endpoint e = help_any_port(address);
    const char *error = NULL;
    int fd = net_bind(&e, &error);
    assert_true(fd >= 0);
    *a = (struct help_accept){.net = net, .at = help_local(fd)};
    a->listener = net_listen(net, fd, 128, help_accepted, a, net, &error);
    assert_non_null(a->listener);
}

/* A connection: the raw end is returned, net's end is in *ret. */
static inline int help_pair(struct help_accept *a, struct net_stream **ret)
{
    int fd = help_connect(&a->at);
    a->stream = NULL;
    help_until(a->net, a->stream);
    *ret = a->stream;
    return fd;
}

#endif
