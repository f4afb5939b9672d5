/* keys.bpf.c: calls of functions that use ciphers and key pairs (key_calls.def), seen by uprobes: who calls, from which file's code.
 * Whether that is a TLS library's is for keys.c to say. Apache-2.0 or GPL-2.0, as owner.bpf.c says. x86-64 only. */
#include "owner_kernel.h"
#include "keys_record.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char kernel_license[] SEC("license") = "GPL";

/* As the kernel hands the registers to the program. */
struct registers {
    unsigned long others[19], stack, segment;
};

struct vm_area_struct {
    struct file *vm_file;
} KERNEL_STRUCT;

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, KEYS_CALLERS_MAX);
    __type(key, struct keys_caller);
    __type(value, struct keys_called);
} callers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, KEYS_RING_BYTES);
} ring SEC(".maps");

__u64 lost; /* records that did not fit, callers whose code could not be told */

static long read_caller(struct task_struct *task, struct vm_area_struct *vma, struct keys_record *r)
{
    struct file *file = BPF_CORE_READ(vma, vm_file);
    if (!file)
        return 0;
    r->has_file = 1;
    r->inode = BPF_CORE_READ(file, f_inode, i_ino);
    r->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
    bpf_probe_read_kernel_str(r->name, sizeof r->name, BPF_CORE_READ(file, f_path.dentry, d_name.name));
    return 0;
}

/* 0: nothing is to be told now. */
static __always_inline __u64 count_call(const struct keys_caller *caller, __u32 call)
{
    struct keys_called first = {.count = 1, .call = call}, *called = bpf_map_lookup_elem(&callers, caller);
    if (!called) {
        bpf_map_update_elem(&callers, caller, &first, BPF_NOEXIST);
        return 1;
    }
    if (called->call != call)
        return 0;
    __u64 now = __sync_fetch_and_add(&called->count, 1) + 1;
    return now & (now - 1) ? 0 : now / 2;
}

SEC("uprobe")
int on_call(struct registers *registers)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct keys_record r = {.has_file = 0};
    r.caller.pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
    r.call = (__u32)bpf_get_attach_cookie(registers);
    r.caller.start_ns = task->group_leader->start_boottime;
    bpf_probe_read_user(&r.caller.address, sizeof r.caller.address, (void *)registers->stack);
    r.count = count_call(&r.caller, r.call);
    if (r.count == 0)
        return 0;
    r.now_ns = bpf_ktime_get_ns();
    if (bpf_find_vma(task, r.caller.address, read_caller, &r, 0) != 0 ||
        bpf_ringbuf_output(&ring, &r, sizeof r, 0) != 0)
        __sync_fetch_and_add(&lost, 1);
    return 0;
}
