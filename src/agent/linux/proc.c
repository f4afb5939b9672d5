/* proc.c: see proc.h. */
#include "agent/linux/proc.h"

#include "base/must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The numbers of `stat` that we keep, by their place behind the name (proc(5) counts from 1; state is 3). */
enum {
    FIELD_PPID = 4,
    FIELD_SESSION = 6,
    FIELD_TERMINAL = 7,
    FIELD_THREADS = 20,
    FIELD_START = 22,
    FIELD_START_CODE = 26,
    FIELD_END_CODE = 27,
    FIELD_START_STACK = 28,
    FIELD_START_DATA = 45,
    FIELD_START_BRK = 47,
    FIELD_ARG_START = 48,
    FIELD_ARG_END = 49,
    FIELD_ENV_START = 50,
    FIELD_ENV_END = 51,
    FIELD_LAST = 52
};

bool proc_stat_parse(struct span text, struct proc_stat *ret)
{
    const char *begin = (const char *)text.data;
    const char *open = text.len ? memchr(begin, '(', text.len) : NULL, *close = NULL;
    for (size_t i = text.len; i > 0 && !close; i--) /* the name may hold parentheses, spaces and newlines */
        if (begin[i - 1] == ')')
            close = begin + i - 1;
    if (!open || !close || close < open || close + 3 >= begin + text.len)
        return false;
    struct proc_stat s = {.state = close[2]};
    size_t len = (size_t)(close - open - 1);
    memcpy(s.name, open + 1, len < sizeof s.name ? len : sizeof s.name - 1);
    uint64_t field[FIELD_LAST + 1] = {0};
    const char *at = close + 3;
    for (int i = FIELD_PPID; i <= FIELD_LAST; i++) {
        char *end;
        field[i] = strtoull(at, &end, 10); /* the text is NUL-terminated by proc_read_at */
        if (end == at)
            break;
        at = end;
    }
    s.ppid = (int64_t)field[FIELD_PPID];
    s.session = (int64_t)field[FIELD_SESSION];
    s.terminal = (int64_t)field[FIELD_TERMINAL];
    s.threads = (int64_t)field[FIELD_THREADS];
    s.start_ticks = (int64_t)field[FIELD_START];
    s.start_code = field[FIELD_START_CODE];
    s.end_code = field[FIELD_END_CODE];
    s.start_stack = field[FIELD_START_STACK];
    s.start_data = field[FIELD_START_DATA];
    s.start_brk = field[FIELD_START_BRK];
    s.arg_start = field[FIELD_ARG_START];
    s.arg_end = field[FIELD_ARG_END];
    s.env_start = field[FIELD_ENV_START];
    s.env_end = field[FIELD_ENV_END];
    *ret = s;
    return true;
}

ssize_t proc_reread(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len < size - 1) {
        ssize_t n = pread(fd, out + len, size - 1 - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
        if (len < 4096 && (size_t)n < 4096 && len < size - 1 && out[len - 1] == '\n')
            break; /* one short line is all there is: saves the read that says so */
    }
    out[len] = 0;
    return (ssize_t)len;
}

ssize_t proc_read_at(int dirfd, const char *name, char *out, size_t size)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t n = 0;
    while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    int error = errno;
    close(fd);
    out[len] = 0;
    errno = error;
    return n < 0 ? -1 : (ssize_t)len;
}

ssize_t proc_link_at(int dirfd, const char *name, char *out, size_t size)
{
    ssize_t n = readlinkat(dirfd, name, out, size - 1);
    if (n >= 0)
        out[n] = 0;
    return n;
}

int proc_open_pid(int procfd, int64_t pid)
{
    char name[24];
    snprintf(name, sizeof name, "%" PRId64, pid);
    return openat(procfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

uint32_t proc_socket_inode(const char *link, size_t len)
{
    if (len < 10 || memcmp(link, "socket:[", 8) != 0)
        return 0;
    uint64_t n = 0;
    for (size_t i = 8; i < len && link[i] >= '0' && link[i] <= '9' && n < UINT32_MAX; i++)
        n = n * 10 + (uint64_t)(link[i] - '0');
    return n <= UINT32_MAX ? (uint32_t)n : 0;
}

int64_t proc_last_pid(int loadavg_fd)
{
    char text[128];
    ssize_t n = pread(loadavg_fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return -1;
    text[n] = 0;
    const char *space = strrchr(text, ' ');
    return space ? strtoll(space + 1, NULL, 10) : -1;
}

struct dirent64_head {
    uint64_t inode;
    int64_t next;
    unsigned short length;
    unsigned char type;
};
enum { DIRENT_NAME = 19 }; /* bytes before the name; the kernel's struct has no padding there */

int proc_each_number_from(int dirfd, off_t *offset, int64_t upto, bool (*each)(void *context, int64_t number),
                          void *context)
{
    _Alignas(8) char block[8192];
    off_t begin = offset
                      ? *offset
                      : 0; /* where the entry at hand is read; `next` is that of its successor, or the end */
    if (lseek(dirfd, begin, SEEK_SET) < 0)
        return -1;
    for (;;) {
        long n = syscall(SYS_getdents64, dirfd, block, sizeof block);
        if (n <= 0)
            return (int)n;
        for (long at = 0; at < n;) {
            struct dirent64_head head;
            memcpy(&head, block + at, sizeof head); /* a record is at least as long */
            const char *name = block + at + DIRENT_NAME;
            int64_t number = name[0] >= '0' && name[0] <= '9' ? strtoll(name, NULL, 10) : -1;
            at += head.length;
            if (number >= 0 && offset && number <= upto)
                *offset = begin;
            begin = (off_t)head.next;
            if (number >= 0 && !each(context, number))
                return 0;
        }
    }
}

int proc_each_number(int dirfd, bool (*each)(void *context, int64_t number), void *context)
{
    return proc_each_number_from(dirfd, NULL, 0, each, context);
}
