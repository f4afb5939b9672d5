/* owner.bpf.c: who called connect(), written down by the kernel itself while it happens. owner_bpf.c loads this program
 * (libbpf, CO-RE) and reads its maps. Apache-2.0 or GPL-2.0: the kernel lends its readers of kernel memory only to
 * programs that may be used under the latter.
 *
 * EXEC gives the process a new tag (a serial number) and writes down what is executed, where its memory still is as
 * the kernel made it: nobody could rewrite the arguments yet. FORK hands the tag down. CONNECT runs in the caller's own
 * context (SYN_SENT) and notes him under the socket's cookie, which no other socket ever has. ESTABLISHED runs wherever
 * the answer was received; by then the port is known, and the cookie is filed under the 4-tuple in its network namespace,
 * for sockets that are gone when somebody asks, and under the sequence numbers that both ends began with. ACCEPTED is the
 * other end, at a proxy's port: the same numbers there mean the same connection, whatever addresses lie in between.
 *
 * Everything is bounded: the maps drop what was used least recently. What is missing is missing, never another's. */
#include "owner_kernel.h"
#include "owner_record.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_path.bpf.h"

#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD */

#define MODE_FORMAT   0xf000u /* S_IFMT */
#define MODE_SOCKET   0xc000u /* S_IFSOCK */

enum {
    ESTABLISHED = 1,
    SYN_SENT = 2,
    SYN_RECV = 3,
    PROTOCOL_TCP = 6,
    FAMILY_UNIX = 1,
    FAMILY_INET = 2,
    FAMILY_INET6 = 10
};
enum { PIDTYPE_TGID = 1 };

char kernel_license[] SEC("license") = "GPL";

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, OWNERS_MAX);
    __type(key, __u64);
    __type(value, struct owner_record);
} owners SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, TUPLES_MAX);
    __type(key, struct owner_tuple);
    __type(value, struct owner_sockets);
} tuples SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, ACCEPTED_MAX);
    __type(key, __u64);
    __type(value, struct owner_accepted);
} accepted SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, IMAGES_MAX);
    __type(key, __u64);
    __type(value, struct owner_image);
} images SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct owner_tag);
} tags SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, EVENTS_BYTES);
} events SEC(".maps");

/* A bit for each port that a proxy said it listens on: only their clients are told about at once. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PORTS_WORDS);
    __type(key, __u32);
    __type(value, __u64);
} ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, OWNER_LOSS_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} losses SEC(".maps");

struct scratch {
    struct owner_image image;
    struct owner_record record;
};

/* Used by EXEC and CONNECT, which run in a process' context and not inside each other. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} scratches SEC(".maps");

__u64 last_image;

static struct scratch *get_scratch(void)
{
    __u32 zero = 0;
    return bpf_map_lookup_elem(&scratches, &zero);
}

static void lose(__u32 what)
{
    __u64 *count = bpf_map_lookup_elem(&losses, &what);
    if (count)
        (*count)++;
}

static __always_inline void tell(__u32 kind, __u32 pid, __u64 cookie)
{
    struct owner_event event = {.kind = kind, .pid = pid, .cookie = cookie};
    if (bpf_ringbuf_output(&events, &event, sizeof event, 0) != 0)
        lose(OWNER_LOSS_EVENT);
}

static __u64 new_image(void)
{
    return __sync_fetch_and_add(&last_image, 1) + 1;
}

/* ---- files ---- */

static void read_file(struct task_struct *task, struct file *file, struct owner_file *out)
{
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    out->inode = BPF_CORE_READ(inode, i_ino);
    out->size = (__u64)BPF_CORE_READ(inode, i_size);
    out->links = BPF_CORE_READ(inode, i_nlink);
    out->device = BPF_CORE_READ(inode, i_sb, s_dev);
    out->ctime_ns = read_ctime(inode);
    out->mount = (__u64)BPF_CORE_READ(task, fs, root.mnt);
    out->dentry = (__u64)BPF_CORE_READ(task, fs, root.dentry);
}

/* ---- exec and fork ---- */

static void read_arguments(struct task_struct *task, struct owner_image *image)
{
    struct mm_struct *mm = BPF_CORE_READ(task, mm);
    unsigned long begin = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
    __u64 len = end - begin;
    image->arguments_whole = (__u32)len;
    if (len > OWNER_ARGUMENTS_BYTES - 1)
        len = OWNER_ARGUMENTS_BYTES - 1;
    image->arguments_bytes = (__u32)len;
    barrier_var(len); /* the verifier wants to see the bound just before its use */
    len &= OWNER_ARGUMENTS_BYTES - 1;
    if (bpf_probe_read_user(image->arguments, (__u32)len, (void *)begin) != 0)
        image->arguments_bytes = 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
    struct scratch *s = get_scratch();
    struct owner_tag *tag = bpf_task_storage_get(&tags, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!tag || !s) {
        lose(OWNER_LOSS_TAG);
        return 0;
    }
    __u64 serial = new_image();
    tag->start_ns = task->group_leader->start_boottime;
    tag->image = serial;
    tag->memory = (__u64)task->mm;
    if (tag->told)
        tell(OWNER_EVENT_EXEC, (__u32)task->tgid, 0);
    tag->told = 0;
    struct file *file = BPF_CORE_READ(program, file);
    struct fs_struct *fs = BPF_CORE_READ(task, fs);
    struct owner_image *image = &s->image;
    image->exec_ns = bpf_ktime_get_ns();
    image->from_proc = image->pad = 0;
    read_file(task, file, &image->executable);
    image->path_bytes =
        read_path(BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt), image->path);
    image->cwd_bytes = read_path(BPF_CORE_READ(fs, pwd.dentry), BPF_CORE_READ(fs, pwd.mnt), image->cwd);
    read_arguments(task, image);
    if (bpf_map_update_elem(&images, &serial, image, BPF_ANY) != 0)
        lose(OWNER_LOSS_IMAGE);
    return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    if (child->pid != child->tgid)
        return 0; /* a thread: its process has the tag */
    struct owner_tag *from = bpf_task_storage_get(&tags, parent->group_leader, 0, 0);
    if (!from)
        return 0;
    struct owner_tag *to = bpf_task_storage_get(&tags, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!to) {
        lose(OWNER_LOSS_TAG);
        return 0;
    }
    to->start_ns = child->start_boottime;
    to->image = from->image;
    to->memory = (__u64)child->mm;
    to->told = 0;
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    struct owner_tag *tag =
        task->pid == task->tgid ? bpf_task_storage_get(&tags, task, 0, 0) : (struct owner_tag *)0;
    if (tag && tag->told)
        tell(OWNER_EVENT_EXIT, (__u32)task->tgid, 0);
    return 0;
}

/* ---- connect ---- */

static void read_parents(struct task_struct *leader, struct owner_record *r)
{
    struct task_struct *task = leader;
    for (int i = 0; i < OWNER_PARENTS; i++) {
        task = BPF_CORE_READ(task, real_parent, group_leader);
        r->parents[i].pid = (__u32)BPF_CORE_READ(task, tgid);
        r->parents[i].start_ns = BPF_CORE_READ(task, start_boottime);
        r->parents[i].pad = 0;
        if (r->parents[i].pid == 0)
            task = leader; /* the chain has ended: what follows is not looked at */
    }
}

static __always_inline bool is_told(__u16 port)
{
    __u32 word = port / 64;
    __u64 *bits = bpf_map_lookup_elem(&ports, &word);
    return bits && (*bits >> (port % 64) & 1);
}

static __always_inline void on_connect(struct sock *sk)
{
    struct scratch *s = get_scratch();
    struct task_struct *task = bpf_get_current_task_btf();
    struct task_struct *leader = task->group_leader;
    if (!s)
        return;
    struct owner_record *r = &s->record;
    r->cookie = bpf_get_socket_cookie(sk);
    r->connect_ns = bpf_ktime_get_ns();
    r->established_ns = 0;
    r->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
    r->tid = (__u32)bpf_get_current_pid_tgid();
    r->uid = (__u32)bpf_get_current_uid_gid();
    r->login_uid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : ~0u;
    r->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
    r->flags = task->flags & KERNEL_THREAD ? OWNER_KERNEL : 0;
    struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
    r->descriptor = bpf_core_field_exists(regs->di) ? (__u32)BPF_CORE_READ(regs, di) : 0;
    r->pad = 0;
    r->cgroup = bpf_get_current_cgroup_id();
    bpf_probe_read_kernel_str(r->name, sizeof r->name, leader->comm);
    read_file(task, BPF_CORE_READ(task, mm, exe_file), &r->executable);
    read_parents(leader, r);
    struct owner_tag *tag = bpf_task_storage_get(&tags, leader, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    __u64 memory = (__u64)BPF_CORE_READ(task, mm);
    if (tag && tag->memory == 0)
        tag->memory = memory;
    /* Began before us: from here on it can be told whether it goes on as it is. Or an exec was skipped. */
    if (tag && (tag->image == 0 || tag->memory != memory)) {
        tag->start_ns = leader->start_boottime;
        tag->image = new_image();
        tag->memory = memory;
        tag->told = 0;
    }
    if (!tag)
        lose(OWNER_LOSS_TAG);
    else
        bpf_map_lookup_elem(&images, &tag->image); /* used: others make room first */
    r->tag.image = tag ? tag->image : 0;
    r->tag.start_ns = leader->start_boottime;
    r->tag.memory = r->tag.told = 0;
    if (bpf_map_update_elem(&owners, &r->cookie, r, BPF_ANY) != 0) {
        lose(OWNER_LOSS_OWNER);
        return;
    }
    if (!tag || tag->told || !is_told(bpf_ntohs(sk->__sk_common.skc_dport)))
        return;
    tag->told = 1;
    tell(OWNER_EVENT_CONNECT, r->pid, r->cookie);
}

/* ---- established ---- */

/* ::ffff:a.b.c.d */
static __always_inline bool is_mapped(const __u8 address[16])
{
    __u8 other = 0;
    for (int i = 0; i < 10; i++)
        other |= address[i];
    return other == 0 && address[10] == 0xff && address[11] == 0xff;
}

static __always_inline void put_words(struct owner_tuple *t, __u32 client, __u32 proxy)
{
    __builtin_memset(t->client, 0, 16);
    __builtin_memset(t->proxy, 0, 16);
    __builtin_memcpy(t->client, &client, 4);
    __builtin_memcpy(t->proxy, &proxy, 4);
}

/* `client`: the socket is the client's end. The tuple is all zero. */
static __always_inline void read_tuple(struct sock *sk, bool client, struct owner_tuple *t)
{
    __u16 own = sk->__sk_common.skc_num, other = bpf_ntohs(sk->__sk_common.skc_dport);
    t->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
    t->client_port = client ? own : other;
    t->proxy_port = client ? other : own;
    t->version = 6;
    if (sk->__sk_common.skc_family == FAMILY_INET6) {
        __u8 *at = client ? t->client : t->proxy, *to = client ? t->proxy : t->client;
        bpf_probe_read_kernel(at, 16, &sk->__sk_common.skc_v6_rcv_saddr);
        bpf_probe_read_kernel(to, 16, &sk->__sk_common.skc_v6_daddr);
    }
    if (sk->__sk_common.skc_family == FAMILY_INET || is_mapped(t->proxy)) {
        __be32 at = sk->__sk_common.skc_rcv_saddr, to = sk->__sk_common.skc_daddr;
        t->version = 4;
        put_words(t, client ? at : to, client ? to : at);
    }
}

static __always_inline void read_numbers(struct sock *sk, bool client, struct owner_tuple *t)
{
    struct tcp_sock *tcp = (void *)sk;
    __u32 own = BPF_CORE_READ(tcp, snd_una), other = BPF_CORE_READ(tcp, rcv_nxt);
    t->version = OWNER_NUMBERS;
    put_words(t, client ? own : other, client ? other : own);
}

/* Each writer takes a place of its own, so that of two at the same moment both are seen. */
static __noinline int file_socket(struct owner_tuple *t, __u64 cookie, __u64 now)
{
    struct owner_sockets first = {.next = 1};
    first.cookie[0] = cookie;
    first.established_ns[0] = now;
    if (!t)
        return 0;
    struct owner_sockets *have = bpf_map_lookup_elem(&tuples, t);
    if (!have && bpf_map_update_elem(&tuples, t, &first, BPF_NOEXIST) == 0)
        return 0;
    if (!have)
        have = bpf_map_lookup_elem(&tuples, t);
    if (!have) {
        lose(OWNER_LOSS_TUPLE);
        return 0;
    }
    __u64 place = __sync_fetch_and_add(&have->next, 1) & (OWNER_SOCKETS - 1);
    have->established_ns[place] = now;
    have->cookie[place] = cookie;
    return 0;
}

static __always_inline void on_established(struct sock *sk)
{
    __u64 cookie = bpf_get_socket_cookie(sk), now = bpf_ktime_get_ns();
    struct owner_tuple t = {.netns = 0};
    struct owner_record *r = bpf_map_lookup_elem(&owners, &cookie);
    if (r)
        r->established_ns = now;
    read_numbers(sk, true, &t);
    file_socket(&t, cookie, now);
    __builtin_memset(&t, 0, sizeof t);
    read_tuple(sk, true, &t);
    file_socket(&t, cookie, now);
}

static __always_inline void on_accepted(struct sock *sk)
{
    __u64 cookie = bpf_get_socket_cookie(sk);
    struct owner_accepted a = {.tuple = {.netns = 0}};
    read_tuple(sk, false, &a.tuple);
    read_numbers(sk, false, &a.numbers);
    if (bpf_map_update_elem(&accepted, &cookie, &a, BPF_ANY) != 0)
        lose(OWNER_LOSS_TUPLE);
}

/* Two programs: one that is interrupted by its own occasion does not run again meanwhile, and the answers of other
 * connections come in just while somebody connects. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_syn_sent, struct sock *sk, int before, int after)
{
    if (after == SYN_SENT && sk->sk_protocol == PROTOCOL_TCP)
        on_connect(sk);
    return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_answered, struct sock *sk, int before, int after)
{
    if (after != ESTABLISHED || sk->sk_protocol != PROTOCOL_TCP)
        return 0;
    if (before == SYN_SENT)
        on_established(sk);
    else if (before == SYN_RECV && is_told(sk->__sk_common.skc_num))
        on_accepted(sk);
    return 0;
}

/* ---- asked by the agent ---- */

#include "owner_look.bpf.h"
