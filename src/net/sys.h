/* sys.h: the system calls that can fail in interesting ways, behind one table a worker, so that tests inject faults
 * on real sockets. Only net/ calls in; production uses sys_libc and nothing else. */
#ifndef EXEAT_NET_SYS_H
#define EXEAT_NET_SYS_H

#include <sys/socket.h>
#include <sys/types.h>

struct sys_table {
    int (*socket)(int family, int type, int protocol);
    int (*connect)(int fd, const struct sockaddr *address, socklen_t len);
    int (*accept4)(int fd, struct sockaddr *address, socklen_t *len, int flags);
    ssize_t (*recv)(int fd, void *data, size_t size, int flags);
    ssize_t (*send)(int fd, const void *data, size_t len, int flags);
    ssize_t (*splice)(int from, int to, size_t len, unsigned flags);
    int (*pipe2)(int fds[2], int flags);
};

extern const struct sys_table sys_libc;

#endif
