/* admin_client.c: see admin_client.h. HTTP/1.0 over a Unix socket: one request, the answer until its end. */
#include "cmd/admin_client.h"

#include "base/buf.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 5000, ANSWER_BYTES = 16 * 1024 * 1024 };

static int open_socket(const char *path, struct err *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(reterr, path, 0, 0, "a Unix socket's path cannot be that long");
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    bool absent = error == ENOENT || error == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return err_set(reterr, path, 0, 0, "%s: %s", absent ? "no exeatd is running here" : "cannot be asked",
                   strerror(error));
}

static int receive_all(int fd, struct buf *b)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        size_t room;
        uint8_t *at = buf_reserve(b, 65536, &room);
        int ready = at ? poll(&p, 1, WAIT_MS) : 0;
        if (ready <= 0)
            return errno = at ? ETIMEDOUT : EMSGSIZE, -1;
        ssize_t n = recv(fd, at, room, 0);
        if (n <= 0)
            return (int)n;
        buf_commit(b, (size_t)n);
    }
}

/* Leaves the body of a 200 in b. */
static int take_body(struct buf *b, const char *socket_path, struct err *reterr)
{
    struct span all = buf_span(b);
    const uint8_t *end = all.len ? memmem(all.data, all.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return err_set(reterr, socket_path, 0, 0,
                       "what answers here is no exeatd, or it has too many askers");
    bool fine = all.len > 12 && memcmp(all.data, "HTTP/1.0 200", 12) == 0;
    buf_consume(b, (size_t)(end - all.data) + 4);
    struct span body = buf_span(b);
    return fine ? 0
                : err_set(reterr, socket_path, 0, 0, "refused: %.*s", (int)body.len, (const char *)body.data);
}

/* The answer's body, in b. */
static int exchange(const char *method, const char *socket_path, const char *path, struct buf *b,
                    struct err *reterr)
{
    char request[256];
    int fd = open_socket(socket_path, reterr);
    if (fd < 0)
        return -1;
    int len = snprintf(request, sizeof request, "%s %s HTTP/1.0\r\n\r\n", method, path), result = -1;
    if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len || receive_all(fd, b) != 0)
        err_set(reterr, socket_path, 0, 0, "no answer: %s", strerror(errno));
    else
        result = take_body(b, socket_path, reterr);
    close(fd);
    return result;
}

json_t *admin_client_ask(const char *method, const char *socket_path, const char *path, struct err *reterr)
{
    struct buf body;
    json_t *o = NULL;
    buf_init(&body, ANSWER_BYTES);
    if (exchange(method, socket_path, path, &body, reterr) == 0) {
        o = json_loadb((const char *)buf_span(&body).data, buf_len(&body), 0, NULL);
        if (!json_is_object(o)) {
            err_set(reterr, socket_path, 0, 0, "the answer is not understood");
            json_decref(o);
            o = NULL;
        }
    }
    buf_free(&body);
    return o;
}
