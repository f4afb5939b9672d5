/* signal.h: the part of macOS' signal.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_SIGNAL_H
#define EXEAT_TESTS_MACOS_SIGNAL_H

#include <sys/types.h>

#define SIGINT  2
#define SIGKILL 9
#define SIGPIPE 13
#define SIGTERM 15
#define SIG_IGN ((void (*)(int))1)

typedef int sig_atomic_t;

int kill(pid_t pid, int number);
void (*signal(int number, void (*handler)(int)))(int);

#endif
