/* time.h: the part of macOS' time.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_TIME_H
#define EXEAT_TESTS_MACOS_TIME_H

#include <sys/types.h>

struct timespec {
    time_t tv_sec;
    long tv_nsec;
};

typedef enum { CLOCK_MONOTONIC = 6 } clockid_t;

int clock_gettime(clockid_t clock, struct timespec *ret);
time_t time(time_t *ret);

#endif
