/* proc.h: small readers of /proc, no policy. Every text read here was written by the process it is about, or by one
 * that wishes us ill: parsed with bounds, never trusted to end. */
#ifndef EXEAT_AGENT_LINUX_PROC_H
#define EXEAT_AGENT_LINUX_PROC_H

#include "base/span.h"

#include <sys/types.h>

/* /proc/PID/stat. The addresses are 0 for a process that we may not trace. */
struct proc_stat {
    char name[64]; /* comm; any bytes, NUL-terminated */
    char state;
    int64_t ppid, session, terminal, threads, start_ticks; /* terminal: 0 without */
    uint64_t start_code, end_code, start_stack, start_data, start_brk, arg_start, arg_end, env_start, env_end;
};

bool proc_stat_parse(struct span text, struct proc_stat *ret);

/* Reads at most size-1 bytes and adds a NUL; the length, or -1 with errno. */
ssize_t proc_read_at(int dirfd, const char *name, char *out, size_t size);
ssize_t proc_reread(int fd, char *out, size_t size); /* a kept descriptor, from its start */
ssize_t proc_link_at(int dirfd, const char *name, char *out, size_t size);

int proc_open_pid(int procfd,
                  int64_t pid); /* O_DIRECTORY: stays with this process even if the number is reused */

/* The number in "socket:[N]", or 0. */
uint32_t proc_socket_inode(const char *link, size_t len);

/* The most recent process or thread number given out (last field of /proc/loadavg), or -1. */
int64_t proc_last_pid(int loadavg_fd);

/* Calls `each` for every entry of the directory whose name is a number, until it returns false. 0, or -1 with errno.
 * The second form begins at *offset (0 at first) and moves it to the last entry that is <= `upto`: later numbers of
 * /proc are read from there without walking the earlier ones. */
int proc_each_number(int dirfd, bool (*each)(void *context, int64_t number), void *context);
int proc_each_number_from(int dirfd, off_t *offset, int64_t upto, bool (*each)(void *context, int64_t number),
                          void *context);

#endif
