/* sys.c: see sys.h. The plain calls; wrapped only where glibc's prototypes are no ordinary function types. */
#include "net/sys.h"

#include <fcntl.h>
#include <unistd.h>

static int plain_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return connect(fd, address, len);
}

static int plain_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return accept4(fd, address, len, flags);
}

static ssize_t plain_splice(int from, int to, size_t len, unsigned flags)
{
    return splice(from, NULL, to, NULL, len, flags);
}

const struct sys_table sys_libc = {
    .socket = socket,
    .connect = plain_connect,
    .accept4 = plain_accept4,
    .recv = recv,
    .send = send,
    .splice = plain_splice,
    .pipe2 = pipe2,
};
