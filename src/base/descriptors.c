/* descriptors.c: see descriptors.h. */
#include "base/descriptors.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

void descriptors_reserve(unsigned long count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && count > limit.rlim_cur)
        count = limit.rlim_cur;
    int any = count > 1 && count <= INT_MAX ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    if (any < 0)
        return;
    int last = fcntl(any, F_DUPFD_CLOEXEC, (int)count - 1);
    if (last >= 0)
        close(last);
    close(any);
}
