/* exec.bpf.c: forks, executions and ends of processes as they happen, into a ring that exec.c reads. Apache-2.0 or GPL-2.0,
 * as owner.bpf.c says. What does not fit into the ring is counted. */
#include "owner_kernel.h"
#include "owner_record.h"
#include "exec_record.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_path.bpf.h"

char kernel_license[] SEC("license") = "GPL";

struct upid___exec {
    int nr;
} KERNEL_STRUCT;

struct pid___exec {
    struct upid___exec numbers[1];
} KERNEL_STRUCT;

struct tty_struct;

enum pid_type___exec { PIDTYPE_SID___exec = 3 };

typedef struct {
    int counter;
} KERNEL_STRUCT atomic_t___exec;

struct signal_struct___exec {
    atomic_t___exec live;
    struct pid___exec *pids[4];
    struct tty_struct *tty;
} KERNEL_STRUCT;

struct mnt_namespace___exec {
    struct ns_common ns;
    __u64 event;
} KERNEL_STRUCT;

struct nsproxy___exec {
    struct mnt_namespace___exec *mnt_ns;
} KERNEL_STRUCT;

struct path___exec {
    struct dentry *dentry;
} KERNEL_STRUCT;

struct fs_struct___exec {
    struct path___exec root;
} KERNEL_STRUCT;

struct dentry___exec {
    struct inode *d_inode;
} KERNEL_STRUCT;

struct task_struct___exec {
    struct signal_struct___exec *signal;
    struct nsproxy___exec *nsproxy;
    struct fs_struct___exec *fs;
} KERNEL_STRUCT;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, EXEC_RING_BYTES);
} ring SEC(".maps");

/* enum exec_said */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, EXEC_FILES_MAX);
    __type(key, struct exec_file);
    __type(value, __u8);
} files SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, EXEC_PLACES_MAX);
    __type(key, struct exec_place);
    __type(value, __u8);
} places SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct exec_record);
} scratches SEC(".maps");

__u64 lost; /* records that did not fit */

static __always_inline struct exec_record *get_scratch(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&scratches, &zero);
}

static __always_inline void send(const struct exec_record *r, __u64 bytes, bool at_once)
{
    at_once |= bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > EXEC_WAKE_BYTES;
    __u64 flags = at_once ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
    if (bpf_ringbuf_output(&ring, (void *)r, bytes, flags) != 0)
        __sync_fetch_and_add(&lost, 1);
}

static __always_inline void fill(struct exec_record *r, __u32 type, struct task_struct *task,
                                 struct task_struct *parent)
{
    struct task_struct___exec *t = (void *)task;
    struct signal_struct___exec *signal = BPF_CORE_READ(t, signal);
    struct pid___exec *session = BPF_CORE_READ(signal, pids[PIDTYPE_SID___exec]);
    r->type = type;
    r->pid = (__u32)task->tgid;
    r->start_ns = task->group_leader->start_boottime;
    r->parent = (__u32)BPF_CORE_READ(parent, tgid);
    r->parent_start_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
    r->now_ns = bpf_ktime_get_ns();
    r->session = (__u32)BPF_CORE_READ(session, numbers[0].nr);
    r->has_terminal = BPF_CORE_READ(signal, tty) != NULL;
    r->device = 0;
    r->inode = r->size = 0;
    r->ctime_ns = 0;
    r->path_bytes = r->arguments_bytes = 0;
    bpf_probe_read_kernel_str(r->name, sizeof r->name, task->comm);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(tell_fork, struct task_struct *parent, struct task_struct *child)
{
    struct exec_record *r = child->pid == child->tgid ? get_scratch() : NULL;
    if (!r)
        return 0;
    fill(r, EXEC_FORK, child, parent);
    send(r, EXEC_SHORT_BYTES, false);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tell_exit, struct task_struct *task)
{
    struct task_struct___exec *t = (void *)task;
    struct exec_record *r = BPF_CORE_READ(t, signal, live.counter) == 0 ? get_scratch() : NULL;
    if (!r)
        return 0; /* a thread: others go on */
    fill(r, EXEC_EXIT, task, BPF_CORE_READ(task, real_parent));
    send(r, EXEC_SHORT_BYTES, false);
    return 0;
}

static __always_inline void read_arguments(struct task_struct *task, struct exec_record *r)
{
    struct mm_struct *mm = BPF_CORE_READ(task, mm);
    unsigned long begin = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
    __u64 len = end - begin;
    if (len > EXEC_ARGUMENTS_BYTES - 1)
        len = EXEC_ARGUMENTS_BYTES - 1;
    r->arguments_bytes = (__u32)len;
    barrier_var(len); /* the verifier wants to see the bound just before its use */
    len &= EXEC_ARGUMENTS_BYTES - 1;
    if (bpf_probe_read_user(r->arguments, (__u32)len, (void *)begin) != 0)
        r->arguments_bytes = 0;
}

/* True: nobody was told of it yet. */
static __always_inline bool read_place(struct task_struct *task, struct exec_place *place)
{
    struct task_struct___exec *t = (void *)task;
    struct mnt_namespace___exec *mounts = BPF_CORE_READ(t, nsproxy, mnt_ns);
    struct dentry___exec *root = (void *)BPF_CORE_READ(t, fs, root.dentry);
    __u8 told = 1;
    place->mounts = BPF_CORE_READ(mounts, ns.inum);
    place->mounts_changed = bpf_core_field_exists(mounts->event) ? BPF_CORE_READ(mounts, event) : 0;
    place->root_inode = BPF_CORE_READ(root, d_inode, i_ino);
    place->pad = 0;
    return bpf_map_update_elem(&places, place, &told, BPF_NOEXIST) == 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(tell_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
    struct exec_record *r = get_scratch();
    if (!r)
        return 0;
    struct file *file = BPF_CORE_READ(program, file);
    fill(r, EXEC_EXEC, task, BPF_CORE_READ(task, real_parent));
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    r->inode = BPF_CORE_READ(inode, i_ino);
    r->size = (__u64)BPF_CORE_READ(inode, i_size);
    r->ctime_ns = read_ctime(inode);
    r->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
    bool is_new = read_place(task, &r->place);
    read_arguments(task, r);
    r->path_bytes = read_path(BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt), r->path);
    __u64 bytes = r->path_bytes;
    if (bytes > sizeof r->path)
        bytes = sizeof r->path;
    barrier_var(bytes);
    bytes &= 2047;
    bytes += __builtin_offsetof(struct exec_record, path);
    struct exec_file key = {.inode = r->inode, .device = r->device};
    __u8 *said = bpf_map_lookup_elem(&files, &key);
    if (bytes <= sizeof *r)
        send(r, bytes, is_new || (said ? *said == EXEC_SAID_URGENT : r->size >= EXEC_LARGE_BYTES));
    return 0;
}
