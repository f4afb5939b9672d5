/* confine.c: see confine.h. A seccomp filter, written by hand: the list is short, and the answerer then needs no library for it. */
#include "agent/linux/confine.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { MACHINE = 1, X32_BIT = 0x40000000 };
#define MACHINE_NUMBER AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
enum { MACHINE = 1, X32_BIT = 0x40000000 };
#define MACHINE_NUMBER AUDIT_ARCH_AARCH64
#else
enum { MACHINE = 0, X32_BIT = 0 };
#define MACHINE_NUMBER 0
#endif

struct call {
    long number;
    uint32_t answer;
};

static const struct call calls[] = {
#define X(name)         {__NR_##name, SECCOMP_RET_ALLOW},
#define NO(name, error) {__NR_##name, SECCOMP_RET_ERRNO | (error)},
#include "agent/linux/calls.def"
#undef X
#undef NO
};

/* The marker's: to read what a process has mounted, and to mark it. */
static const struct call marker_calls[] = {
#define X(name) {__NR_##name, SECCOMP_RET_ALLOW},
    X(fanotify_mark) X(statx) X(fstat) X(getdents64) X(readlinkat) X(read) X(close) X(recvfrom) X(sendto)
        X(brk) X(munmap) X(mremap) X(madvise) X(futex) X(rt_sigaction) X(rt_sigprocmask) X(rt_sigreturn)
            X(sigaltstack) X(sched_yield) X(getpid) X(gettid) X(tgkill) X(restart_syscall) X(exit)
                X(exit_group)
#ifdef __NR_newfstatat
                    X(newfstatat)
#endif
#undef X
};

enum { CALLS = ARRAY_LEN(calls), FILTER_MAX = CALLS * 2 + 64 };

struct filter {
    struct sock_filter steps[FILTER_MAX];
    unsigned short count;
};

static void add(struct filter *f, struct sock_filter step)
{
    must(f->count < FILTER_MAX);
    f->steps[f->count++] = step;
}

static void load(struct filter *f, size_t offset)
{
    add(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void answer(struct filter *f, uint32_t value)
{
    add(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

/* Memory that could be executed is no use of theirs: only without PROT_EXEC. */
static void add_memory_call(struct filter *f, long number)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4));
    load(f, offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t)); /* its lower half: little-endian */
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
    answer(f, SECCOMP_RET_ALLOW);
    answer(f, SECCOMP_RET_KILL_PROCESS);
}

/* Only to run a program of the kernel's that is loaded, by its descriptor: nothing is made, nothing is changed. */
static void add_bpf_call(struct filter *f)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bpf, 0, 4));
    load(f, offsetof(struct seccomp_data, args));
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_PROG_RUN, 0, 1));
    answer(f, SECCOMP_RET_ALLOW);
    answer(f, SECCOMP_RET_KILL_PROCESS);
}

/* Only to read. */
static void add_open_call(struct filter *f)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 4));
    load(f, offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t));
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_ACCMODE | O_CREAT | O_TRUNC, 1, 0));
    answer(f, SECCOMP_RET_ALLOW);
    answer(f, SECCOMP_RET_ERRNO | EACCES);
}

static void begin(struct filter *f)
{
    load(f, offsetof(struct seccomp_data, arch));
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE_NUMBER, 1, 0));
    answer(f, SECCOMP_RET_KILL_PROCESS);
    load(f, offsetof(struct seccomp_data, nr));
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    answer(f, SECCOMP_RET_KILL_PROCESS);
}

static void add_calls(struct filter *f, const struct call *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)list[i].number, 0, 1));
        answer(f, list[i].answer);
    }
}

static int end(struct filter *f)
{
    add_memory_call(f, __NR_mmap);
    add_memory_call(f, __NR_mprotect);
    answer(f, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {.len = f->count, .filter = f->steps};
    if (MACHINE)
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    errno = ENOSYS;
    return -1;
}

int confine_answerer(void)
{
    struct filter f = {.count = 0};
    begin(&f);
    add_calls(&f, calls, CALLS);
    add_bpf_call(&f);
    return end(&f);
}

int confine_marker(void)
{
    struct filter f = {.count = 0};
    begin(&f);
    add_calls(&f, marker_calls, ARRAY_LEN(marker_calls));
    add_open_call(&f);
    return end(&f);
}
