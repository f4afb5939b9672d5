/* fcntl.h: the part of macOS' fcntl.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_FCNTL_H
#define EXEAT_TESTS_MACOS_FCNTL_H

#define O_RDONLY   0
#define O_NONBLOCK 4
#define O_CLOEXEC  0x1000000
#define O_WRONLY   1
#define O_NOFOLLOW 0x100
#define F_SETFD    2
#define F_SETFL    4
#define FD_CLOEXEC 1

int open(const char *path, int flags, ...);
int fcntl(int fd, int command, ...);

#endif
