/* wait.h: the part of macOS' sys/wait.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_SYS_WAIT_H
#define EXEAT_TESTS_MACOS_SYS_WAIT_H

#include <sys/types.h>

pid_t waitpid(pid_t pid, int *status, int options);

#endif
