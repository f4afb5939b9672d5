/* clock.h: deadlines of threads that wait on a condition. Touches the clock only. */
#ifndef EXEAT_BASE_CLOCK_H
#define EXEAT_BASE_CLOCK_H

#include <time.h>

/* `ms` from now on CLOCK_MONOTONIC, for pthread_cond_timedwait() on a condition of that clock. */
struct timespec clock_after_ms(unsigned ms);

#endif
