/* dial.c: connections to servers by RFC 8305: families take turns, IPv6 first; a new attempt each attempt_delay_ms and at
 * each failure; the first to connect wins. Called by flow/. An attempt is an ordinary net_stream waiting to be writable, so
 * that the winner needs nothing more. The addresses are those that were judged: nothing is resolved here. */
#include "net/internal.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 32 };

struct dial {
    struct net *net;             /* borrowed: outlives it */
    struct net_dialing *dialing; /* borrowed until done or cancel */
    struct soon start;
    struct net_deadline next_attempt, overall;
    struct endpoint addresses[ADDRESSES_MAX];
    struct net_stream *attempts[ADDRESSES_MAX]; /* owned while connecting; NULL before and after */
    unsigned count, started, pending;
    int error;              /* the most telling so far; 0 = none */
    struct endpoint failed; /* whose */
};

/* How much an error tells a person about the destination; a local lack of descriptors tells least. */
static int error_rank(int error)
{
    static const struct {
        int error, rank;
    } ranks[] = {
        {ECONNREFUSED, 4},
        {ENETUNREACH, 3},
        {EHOSTUNREACH, 3},
        {ETIMEDOUT, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(ranks); i++) {
        if (ranks[i].error == error)
            return ranks[i].rank;
    }
    return error ? 1 : 0;
}

static void note_error(struct dial *d, int error, const struct endpoint *whose)
{
    if (error_rank(error) <= error_rank(d->error))
        return;
    d->error = error;
    d->failed = *whose;
}

/* Ends the attempts and the waiting; the operation's memory goes too. */
static void dial_free(struct dial *d)
{
    for (unsigned i = 0; i < d->started; i++) {
        if (d->attempts[i])
            net_stream_close(d->attempts[i], NET_CLOSE_RST);
    }
    net_soon_clear(&d->start);
    net_deadline_clear(&d->next_attempt);
    net_deadline_clear(&d->overall);
    d->net->dials--;
    free(d);
}

static void dial_finish(struct dial *d, struct net_stream *take_winner)
{
    struct net_dialing *dialing = d->dialing;
    dialing->operation = NULL;
    dialing->stream = take_winner;
    dialing->error = take_winner ? 0 : d->error;
    dialing->failed = take_winner ? (struct endpoint){0} : d->failed;
    if (!take_winner)
        d->net->stats.dial_failures++;
    dial_free(d);
    dialing->done(dialing);
}

/* 0, or why the socket is not connected to somebody else. A dial to a closed port of this host can meet itself
 * (TCP simultaneous open, when the kernel picks that very port as ours): nobody is there. */
static int connected_error(struct net_stream *s)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    if (error)
        return error;
    struct sockaddr_storage local;
    socklen_t local_len = sizeof(local);
    if (getsockname(s->fd, (struct sockaddr *)&local, &local_len) != 0)
        return errno;
    s->local = endpoint_from_sockaddr(&local);
    bool itself = s->peer.port == s->local.port && ip_equal(&s->peer.ip, &s->local.ip);
    return itself ? ECONNREFUSED : 0;
}

static void start_next(struct dial *d);

static void on_attempt_ready(void *owner, struct net_stream *s, unsigned ready)
{
    struct dial *d = owner;
    unsigned i = 0;
    (void)ready;
    while (d->attempts[i] != s)
        i++;
    d->attempts[i] = NULL;
    d->pending--;
    int error = connected_error(s);
    if (!error) {
        net_stream_own(s, NULL, NULL);
        net_stream_want(s, 0);
        dial_finish(d, s);
        return;
    }
    net_stream_close(s, NET_CLOSE_RST);
    note_error(d, error, &d->addresses[i]);
    start_next(d);
}

/* 0 with the attempt under way, or an errno. */
static int start_attempt(struct dial *d, unsigned i)
{
    struct sockaddr_storage address;
    socklen_t len = endpoint_to_sockaddr(&d->addresses[i], &address);
    int fd = d->net->sys->socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    stream_tune(d->net, fd);
    /* EINTR leaves a non-blocking connect under way, as EINPROGRESS does (POSIX). */
    if (d->net->sys->connect(fd, (struct sockaddr *)&address, len) != 0 && errno != EINPROGRESS &&
        errno != EINTR) {
        int error = errno;
        close(fd);
        return error;
    }
    struct net_stream *s = stream_new(d->net, fd, EPOLLOUT | EPOLLRDHUP);
    if (!s)
        return errno;
    s->peer = d->addresses[i];
    net_stream_own(s, d, on_attempt_ready);
    net_stream_want(s, NET_WRITABLE);
    d->attempts[i] = s;
    d->pending++;
    return 0;
}

/* Starts the next attempt that can be started; finishes when none is left. May free d. */
static void start_next(struct dial *d)
{
    while (d->started < d->count) {
        unsigned i = d->started++;
        int error = start_attempt(d, i);
        if (!error) {
            if (d->started < d->count)
                net_deadline_set(d->net, &d->next_attempt, d->net->options.dial_attempt_delay_ms);
            return;
        }
        note_error(d, error, &d->addresses[i]);
    }
    if (d->pending == 0)
        dial_finish(d, NULL);
}

static void on_start(struct soon *soon)
{
    struct dial *d = (struct dial *)((char *)soon - offsetof(struct dial, start));
    net_deadline_set(d->net, &d->overall, d->net->options.dial_timeout_ms);
    if (d->count == 0)
        d->error = EDESTADDRREQ;
    start_next(d);
}

static void on_next_attempt(struct net_deadline *deadline)
{
    start_next((struct dial *)((char *)deadline - offsetof(struct dial, next_attempt)));
}

static void on_overall(struct net_deadline *deadline)
{
    struct dial *d = (struct dial *)((char *)deadline - offsetof(struct dial, overall));
    for (unsigned i = 0; i < d->started; i++) {
        if (d->attempts[i])
            note_error(d, ETIMEDOUT, &d->addresses[i]);
    }
    dial_finish(d, NULL);
}

/* IPv6, IPv4, IPv6 ... each family in the order given. */
static void interleave(struct dial *d, const struct endpoint *addresses, unsigned count)
{
    unsigned at[2] = {0, 0}, family = 0; /* 0: IPv6, 1: IPv4 */
    const uint8_t version[2] = {6, 4};
    while (d->count < ADDRESSES_MAX && (at[0] < count || at[1] < count)) {
        while (at[family] < count && addresses[at[family]].ip.version != version[family])
            at[family]++;
        if (at[family] < count)
            d->addresses[d->count++] = addresses[at[family]++];
        family ^= 1;
    }
}

void net_dial(struct net *net, struct net_dialing *dialing, const struct endpoint *addresses, unsigned count)
{
    struct dial *d = calloc(1, sizeof(*d));
    must(
        d); /* always asynchronous: there is no way to say no, and 2 KiB are always had or the process is lost */
    d->net = net;
    d->dialing = dialing;
    d->start.call = on_start;
    d->next_attempt.expired = on_next_attempt;
    d->overall.expired = on_overall;
    interleave(d, addresses, count);
    dialing->operation = d;
    dialing->stream = NULL;
    net->stats.dials++;
    net->dials++;
    net_soon_set(net, &d->start);
}

void net_dial_cancel(struct net *net, struct net_dialing *dialing)
{
    (void)net;
    struct dial *d = dialing->operation;
    if (d)
        dial_free(d);
    dialing->operation = NULL;
}
