/* inspect_host.c: see inspect_host.h. Blocking sockets with one deadline for all: a command has one server and one user. */
#include "cmd/inspect_host.h"

#include "tls/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, WIRE_BYTES = 16384 };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 when the descriptor is ready for it before the end; else -1. */
static int wait_for(int fd, short events, int64_t until_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = until_ms - now_ms();
    errno = ETIMEDOUT;
    return left > 0 && poll(&p, 1, (int)left) > 0 ? 0 : -1;
}

static int dial_one(const struct addrinfo *a, int64_t until_ms)
{
    int error = 0, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof error;
    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && wait_for(fd, POLLOUT, until_ms) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0)
        return fd;
    error = error ? error : errno;
    close(fd);
    errno = error;
    return -1;
}

/* A connected socket, or -1 with reterr. */
static int dial(const struct inspect_target *t, int64_t until_ms, struct err *reterr)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    char port[8];
    int fd = -1;
    snprintf(port, sizeof port, "%u", t->port);
    int result = getaddrinfo(t->host.name, port, &hints, &all);
    if (result != 0) {
        err_set(reterr, t->host.name, 0, 0, "cannot be resolved: %s", gai_strerror(result));
        return -1;
    }
    for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
        fd = dial_one(a, until_ms);
    if (fd < 0)
        err_set(reterr, t->host.name, 0, 0, "cannot be reached at port %u: %s", t->port, strerror(errno));
    freeaddrinfo(all);
    return fd;
}

static int send_all(struct tls_probe *p, int fd, int64_t until_ms)
{
    uint8_t data[WIRE_BYTES];
    for (size_t len; (len = tls_probe_send(p, data, sizeof data)) > 0;)
        for (size_t at = 0; at < len;) {
            ssize_t n = send(fd, data + at, len - at, MSG_NOSIGNAL);
            if (n < 0 && (errno != EAGAIN || wait_for(fd, POLLOUT, until_ms) != 0))
                return -1;
            at += n > 0 ? (size_t)n : 0;
        }
    return 0;
}

/* The handshake, to its end. 0, or -1 with reterr. */
static int talk(struct tls_probe *p, int fd, int64_t until_ms, const char *name, struct err *reterr)
{
    uint8_t data[WIRE_BYTES];
    enum tls_probe_state state = tls_probe_receive(p, (struct span){NULL, 0});
    while (state == TLS_PROBE_TALKING) {
        ssize_t n = send_all(p, fd, until_ms) == 0 && wait_for(fd, POLLIN, until_ms) == 0
                        ? recv(fd, data, sizeof data, 0)
                        : -1;
        if (n <= 0)
            return err_set(reterr, name, 0, 0, "TLS failed: %s",
                           n == 0 ? "the server closed" : strerror(errno));
        state = tls_probe_receive(p, span_of(data, (size_t)n));
    }
    send_all(p, fd, until_ms);
    return state == TLS_PROBE_DONE ? 0 : err_set(reterr, name, 0, 0, "TLS failed: %s", tls_probe_error(p));
}

int inspect_host_fetch(const struct inspect_target *t, struct inspect_fetched *ret, struct err *reterr)
{
    const struct tls_offer offer = {.name = t->host.is_ip ? NULL : t->host.name};
    int64_t until_ms = now_ms() + PATIENCE_MS;
    struct tls_prober *prober = tls_prober_new(reterr);
    struct tls_probe *p = prober ? tls_probe_new(prober, &offer) : NULL;
    int fd = p ? dial(t, until_ms, reterr) : -1, result = -1;
    struct inspect_fetched got = {0};
    if (fd >= 0 && talk(p, fd, until_ms, t->host.name, reterr) == 0) {
        got.chain = tls_probe_take_chain(p);
        buf_init(&got.ocsp, TLS_PROBE_BYTES_MAX);
        buf_init(&got.scts, TLS_PROBE_BYTES_MAX);
        struct span ocsp = tls_probe_ocsp(p), scts = tls_probe_scts(p);
        if (got.chain && (ocsp.len == 0 || buf_append(&got.ocsp, ocsp.data, ocsp.len) == 0) &&
            (scts.len == 0 || buf_append(&got.scts, scts.data, scts.len) == 0))
            result = 0;
    }
    if (result == 0)
        *ret = got;
    else
        chain_free(got.chain);
    if (fd >= 0)
        close(fd);
    tls_probe_free(p);
    tls_prober_free(prober);
    return result;
}
