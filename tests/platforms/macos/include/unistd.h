/* unistd.h: the part of macOS' unistd.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_UNISTD_H
#define EXEAT_TESTS_MACOS_UNISTD_H

#include <sys/types.h>

int close(int fd);
int pipe(int ends[2]);
int unlink(const char *path);
int gethostname(char *name, size_t size);
int getpeereid(int fd, uid_t *uid, gid_t *gid);
ssize_t read(int fd, void *bytes, size_t size);
ssize_t write(int fd, const void *bytes, size_t size);
uid_t geteuid(void);

#endif
