/* owner_look.bpf.h: a part of owner.bpf.c: one call that answers what would else take the agent a dozen of system calls: whose is
 * the connection that a proxy accepted, does he run now what he ran then, and does he hold the socket, alone? Run by
 * owner_bpf_look() by way of BPF_PROG_RUN. Needs Linux 6.10 (kfuncs in programs of this type); without it those system calls
 * are made.
 *
 * The descriptor is looked at first, the tag after it: tags only ever rise, so who has the record's tag afterwards had it
 * then. The walk through the descriptors takes no locks: what it reads may be a moment old, or freed memory, which never
 * faults here and whose cookie would have to be this socket's; no cookie is given out twice. */

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

/* References to an open file: one for each descriptor, and others in passing. -1: this kernel keeps them elsewhere. */
static __s64 read_references(struct file *file)
{
    struct file___6_12 *old = (void *)file;
    if (bpf_core_field_exists(file->f_ref))
        return BPF_CORE_READ(file, f_ref.refcnt.counter) + 1;
    if (bpf_core_field_exists(old->f_count))
        return BPF_CORE_READ(old, f_count.counter);
    return -1;
}

/* The cookie of an open file that is a TCP or UDP socket and has one; 0. */
static __always_inline __u64 read_cookie(struct file *file)
{
    if ((BPF_CORE_READ(file, f_inode, i_mode) & MODE_FORMAT) != MODE_SOCKET)
        return 0;
    struct socket *socket = (void *)BPF_CORE_READ(file, private_data);
    if (BPF_CORE_READ(socket, file) != file)
        return 0;
    return (__u64)BPF_CORE_READ(socket, sk, __sk_common.skc_cookie.counter);
}

static __noinline __u32 look_at_descriptor(struct task_struct *task, __u32 descriptor, __u64 cookie)
{
    struct files_struct *files = BPF_CORE_READ(task, files);
    struct fdtable *table = BPF_CORE_READ(files, fdt);
    struct file **at = BPF_CORE_READ(table, fd), *file = NULL;
    if (descriptor >= BPF_CORE_READ(table, max_fds) ||
        bpf_probe_read_kernel(&file, sizeof file, at + descriptor) != 0 || !file ||
        read_cookie(file) != cookie)
        return LOOK_HOLD_UNSEEN;
    return read_references(file) == 1 ? LOOK_HOLD_ALONE : LOOK_HOLD;
}

/* Somebody else has it, too: most often a child of the first thread. (The context takes no index that varies.) */
static __always_inline void look_at_children(struct owner_look *look, struct task_struct *task)
{
    struct list_head *end = (void *)task + bpf_core_field_offset(struct task_struct, children);
    struct list_head *at = BPF_CORE_READ(end, next);
    __u32 count = 0, pids[LOOK_HOLDERS] = {0}, descriptor = look->record.descriptor;
    __u64 cookie = look->record.cookie;
    for (int i = 0; i < LOOK_CHILDREN && at != end; i++) {
        struct task_struct *child = (void *)at - bpf_core_field_offset(struct task_struct, sibling);
        if (count < LOOK_HOLDERS && look_at_descriptor(child, descriptor, cookie) != LOOK_HOLD_UNSEEN)
            pids[count++ & (LOOK_HOLDERS - 1)] = (__u32)BPF_CORE_READ(child, tgid);
        at = BPF_CORE_READ(at, next);
    }
    look->holder_count = count;
#pragma unroll
    for (int i = 0; i < LOOK_HOLDERS; i++)
        look->holders[i] = pids[i];
}

static void look_at_process(struct owner_look *look)
{
    struct task_struct *task = bpf_task_from_pid((__s32)look->record.pid);
    if (!task)
        return;
    look->hold = look_at_descriptor(task, look->record.descriptor, look->record.cookie);
    if (look->hold == LOOK_HOLD)
        look_at_children(look, task);
    struct owner_tag *tag = bpf_task_storage_get(&tags, task, 0, 0);
    if (tag) {
        look->image = tag->image;
        look->start_ns = tag->start_ns;
    }
    bpf_task_release(task);
}

/* In: accepted. Out: the rest, when found is 1. */
SEC("syscall")
int look(struct owner_look *look)
{
    __u64 cookie = look->accepted;
    look->found = 0;
    look->hold = LOOK_HOLD_UNSEEN;
    look->image = look->start_ns = 0;
    look->holder_count = 0;
    struct owner_accepted *have = bpf_map_lookup_elem(&accepted, &cookie);
    if (!have)
        return 0;
    __builtin_memcpy(&look->tuple, &have->tuple, sizeof look->tuple);
    struct owner_sockets *sockets = bpf_map_lookup_elem(&tuples, &have->numbers);
    if (!sockets || sockets->next != 1)
        return 0;
    cookie = sockets->cookie[0];
    struct owner_record *r = bpf_map_lookup_elem(&owners, &cookie);
    if (!r || r->cookie != cookie)
        return 0;
    __builtin_memcpy(&look->record, r, sizeof look->record);
    look_at_process(look);
    barrier_var(look); /* the verifier takes the context's own address only, not one with an offset in it */
    look->found = 1;
    return 0;
}

/* ---- a walk through everybody's descriptors ---- */

/* Cookies of sockets that are sought. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WANTED_MAX);
    __type(key, __u64);
    __type(value, __u32);
} wanted SEC(".maps");

/* Processes that are looked at: who connected to them? */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, WANTED_MAX);
    __type(key, __u32);
    __type(value, __u32);
} suspects SEC(".maps");

/* The process at the other end of a Unix socket that was connected to: one with a name, as the listener's. 0: none that lives. */
static __always_inline __u32 read_unix_peer(struct sock *sk)
{
    struct unix_sock *named = (void *)bpf_skc_to_unix_sock(sk);
    struct pid *peer = sk->sk_peer_pid;
    if (!named || !named->addr || !peer || !BPF_CORE_READ(peer, tasks[PIDTYPE_TGID].first))
        return 0;
    return (__u32)BPF_CORE_READ(peer, numbers[0].nr);
}

/* Who connected the other end, if that is on this host. */
static __always_inline __u32 read_loopback_peer(struct sock *sk)
{
    struct owner_tuple t = {.netns = 0};
    read_tuple(sk, false, &t);
    struct owner_sockets *sockets = bpf_map_lookup_elem(&tuples, &t);
    if (!sockets)
        return 0;
    __u64 cookie = sockets->cookie[(sockets->next - 1) & (OWNER_SOCKETS - 1)];
    struct owner_record *r = bpf_map_lookup_elem(&owners, &cookie);
    return r ? r->pid : 0;
}

static __always_inline void walk_peers(struct bpf_iter__task_file *at, struct sock *sk, __u32 pid)
{
    struct owner_walked found = {.pid = pid};
    if (sk->__sk_common.skc_state != ESTABLISHED || !bpf_map_lookup_elem(&suspects, &pid))
        return;
    bool local = sk->__sk_common.skc_family == FAMILY_UNIX;
    if (!local && sk->sk_protocol != PROTOCOL_TCP)
        return;
    found.kind = local ? OWNER_WALKED_UNIX : OWNER_WALKED_LOOPBACK;
    found.other = local ? read_unix_peer(sk) : read_loopback_peer(sk);
    if (found.other && found.other != pid)
        bpf_seq_write(at->meta->seq, &found, sizeof found);
}

SEC("iter/task_file")
int walk(struct bpf_iter__task_file *at)
{
    struct task_struct *task = at->task;
    struct file *file = at->file;
    struct socket *socket = file && task ? (void *)bpf_sock_from_file(file) : (void *)0;
    struct sock *sk = socket ? socket->sk : (void *)0;
    if (!sk)
        return 0;
    __u16 family = sk->__sk_common.skc_family;
    struct owner_walked found = {.pid = (__u32)task->tgid};
    if (family == FAMILY_UNIX || family == FAMILY_INET || family == FAMILY_INET6)
        walk_peers(at, sk, found.pid);
    found.cookie = (__u64)sk->__sk_common.skc_cookie.counter;
    if (!found.cookie || !bpf_map_lookup_elem(&wanted, &found.cookie))
        return 0;
    bpf_seq_write(at->meta->seq, &found, sizeof found);
    return 0;
}
