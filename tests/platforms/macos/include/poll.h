/* poll.h: the part of macOS' poll.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_POLL_H
#define EXEAT_TESTS_MACOS_POLL_H

#define POLLIN  1
#define POLLOUT 4
#define POLLERR 8
#define POLLHUP 16

struct pollfd {
    int fd;
    short events, revents;
};

int poll(struct pollfd *fds, unsigned count, int wait_ms);

#endif
