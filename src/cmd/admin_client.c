/* admin_client.c: see admin_client.h. HTTP/1.0 over a Unix socket: one request, the answer until its end. */
#include "cmd/admin_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_socket(const char *path, bool *ret_absent, struct err *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *ret_absent = false;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(reterr, path, 0, 0, "a Unix socket's path cannot be that long");
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    *ret_absent = error == ENOENT || error == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return err_set(reterr, path, 0, 0, "%s: %s",
                   *ret_absent ? "no exeatd is running here" : "cannot be asked", strerror(error));
}

static int receive_all(int fd, struct buf *b)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        size_t room;
        uint8_t *at = buf_reserve(b, 65536, &room);
        int ready = at ? poll(&p, 1, ADMIN_CLIENT_WAIT_MS) : 0;
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

static int ask(const char *socket_path, const char *method, const char *path, struct buf *ret,
               bool *ret_absent, struct err *reterr)
{
    struct buf answer;
    char request[256];
    int fd = open_socket(socket_path, ret_absent, reterr);
    if (fd < 0)
        return -1;
    buf_init(&answer, ADMIN_CLIENT_ANSWER_BYTES);
    int len = snprintf(request, sizeof request, "%s %s HTTP/1.0\r\n\r\n", method, path), result = -1;
    if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len || receive_all(fd, &answer) != 0)
        err_set(reterr, socket_path, 0, 0, "no answer: %s", strerror(errno));
    else if (take_body(&answer, socket_path, reterr) == 0)
        result = buf_append(ret, buf_span(&answer).data, buf_len(&answer));
    close(fd);
    buf_free(&answer);
    return result;
}

int admin_client_get(const char *socket_path, const char *path, struct buf *ret, bool *ret_absent,
                     struct err *reterr)
{
    return ask(socket_path, "GET", path, ret, ret_absent, reterr);
}

int admin_client_post(const char *socket_path, const char *path, struct buf *ret, bool *ret_absent,
                      struct err *reterr)
{
    return ask(socket_path, "POST", path, ret, ret_absent, reterr);
}
