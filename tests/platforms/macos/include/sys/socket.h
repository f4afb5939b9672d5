/* socket.h: the part of macOS' sys/socket.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_SYS_SOCKET_H
#define EXEAT_TESTS_MACOS_SYS_SOCKET_H

#include <sys/types.h>

#define AF_UNIX     1
#define SOCK_STREAM 1

typedef uint32_t socklen_t;

struct sockaddr {
    uint8_t sa_len, sa_family;
    char sa_data[14];
};

int socket(int family, int type, int protocol);
int bind(int fd, const struct sockaddr *address, socklen_t len);
int listen(int fd, int backlog);
int accept(int fd, struct sockaddr *address, socklen_t *len);

#endif
