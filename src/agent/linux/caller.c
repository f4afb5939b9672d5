/* caller.c: see caller.h.
 *
 * WHO is the process' tag: a serial number that its every exec renews and that fork hands down, kept by the kernel with the
 * process itself. While a process has the tag of the record it is the program that connected, and /proc tells about it; that
 * is checked before and after reading. Later what was written down must do: at exec the file, its path, the folder and the
 * arguments; at connect() the user and the parents.
 *
 * WHAT BECAME OF IT: another tag is another program on the same connection, and a socket that the process does not hold
 * while somebody does was handed over. Then the answer is stale: right about who connected, not about who speaks. */
#include "agent/linux/caller.h"

#include "agent/linux/owner.h"
#include "agent/linux/quick.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIBED_FOR_MS = 60000, SEEDED_MAX = IMAGES_MAX / 2 };

void caller_init(struct caller *c, struct owner_bpf *take_bpf, struct describer *d, struct process_table *t,
                 int diagfd)
{
    *c = (struct caller){.bpf = take_bpf, .describer = d, .table = t, .diagfd = diagfd};
}

void caller_free(struct caller *c)
{
    for (size_t i = 0; i < CALLER_SETS; i++)
        for (size_t j = 0; j < CALLER_WAYS; j++)
            if (c->known[i][j].process)
                process_unref(c->known[i][j].process);
    owner_bpf_free(c->bpf);
}

/* ---- descriptions that are kept ---- */

static struct caller_key key_of(const struct owner_record *r)
{
    return (struct caller_key){
        .image = r->tag.image, .start_ticks = describe_ticks(r->tag.start_ns), .pid = r->pid, .uid = r->uid};
}

static bool key_equal(const struct caller_key *a, const struct caller_key *b)
{
    return a->image == b->image && a->start_ticks == b->start_ticks && a->pid == b->pid && a->uid == b->uid;
}

static struct caller_known *set_of(struct caller *c, const struct caller_key *key)
{
    uint64_t hash = (key->image ^ (uint64_t)key->pid << 32) * 0x9e3779b97f4a7c15u;
    return c->known[hash >> 32 & (CALLER_SETS - 1)];
}

static struct caller_known *find_known(struct caller *c, const struct caller_key *key)
{
    struct caller_known *set = set_of(c, key);
    for (size_t i = 0; i < CALLER_WAYS; i++)
        if (set[i].process && key_equal(&set[i].key, key))
            return &set[i];
    return NULL;
}

/* The one that it replaces is the set's least recently used. Takes the process. */
static struct caller_known *keep_known(struct caller *c, const struct caller_key *key, struct process *take)
{
    struct caller_known *set = set_of(c, key), *place = find_known(c, key);
    for (size_t i = 0; i < CALLER_WAYS && !place; i++)
        if (!set[i].process)
            place = &set[i];
    for (size_t i = 0; i < CALLER_WAYS; i++)
        if (!place || (place->process && !key_equal(&place->key, key) && set[i].used_ms < place->used_ms))
            place = &set[i];
    if (place->process)
        process_unref(place->process);
    int64_t now = owner_now_ms();
    *place = (struct caller_known){.key = *key, .process = take, .described_ms = now, .used_ms = now};
    return place;
}

/* ---- who ---- */

enum now { NOW_UNKNOWN, NOW_GONE, NOW_SAME, NOW_OTHER_PROGRAM };

static enum now look_now(const struct caller *c, const struct owner_record *r)
{
    struct owner_tag tag;
    enum owner_bpf_tagged tagged = owner_bpf_tag(c->bpf, r->pid, &tag);
    if (tagged == OWNER_BPF_GONE)
        return NOW_GONE;
    if (tagged == OWNER_BPF_UNTAGGED || r->tag.image == 0)
        return NOW_UNKNOWN;
    if (describe_ticks(tag.start_ns) != describe_ticks(r->tag.start_ns))
        return NOW_GONE; /* the number is another's */
    return tag.image == r->tag.image ? NOW_SAME : NOW_OTHER_PROGRAM;
}

/* PR_SET_MM_EXE_FILE makes a process name another file than the one it executes. */
static bool names_itself(const struct owner_image *image, const struct identity *id)
{
    const struct owner_file *file = &image->executable;
    uint64_t device = (uint64_t)(file->device >> 20) << 32 | (file->device & 0xfffff);
    return device != id->executable.device || file->inode == id->executable.inode;
}

/* From /proc, if the process is now what it was; NULL otherwise. */
static struct process *describe_alive(struct caller *c, const struct owner_record *r,
                                      const struct owner_image *image)
{
    struct identity before, after;
    struct entry *e = look_now(c, r) == NOW_SAME ? process_table_get(c->table, r->pid) : NULL;
    if (!e || !identity_read(e, &before) || before.stat.start_ticks != describe_ticks(r->tag.start_ns) ||
        (image && !names_itself(image, &before)))
        return NULL;
    struct process *process = describe(c->describer, e, &before, image);
    if (!process)
        return NULL;
    if (!identity_read(e, &after) || !identity_equal(&before, &after) || look_now(c, r) != NOW_SAME) {
        process_unref(process);
        return NULL;
    }
    e->identity = after;
    describe_recorded_user(process->sender, r);
    c->described++;
    return process;
}

static struct process *describe_gone(struct caller *c, const struct owner_record *r,
                                     const struct owner_image *image)
{
    bool our_view = owner_bpf_is_our_root(c->bpf, &r->executable);
    c->recorded++;
    return describe_recorded(c->describer, r, image, our_view);
}

/* ---- what was executed ---- */

static bool is_our_view(const struct entry *e)
{
    struct stat ours, theirs, our_mounts, their_mounts;
    return stat("/", &ours) == 0 && fstatat(e->dirfd, "root/", &theirs, 0) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino &&
           stat("/proc/self/ns/mnt", &our_mounts) == 0 &&
           fstatat(e->dirfd, "ns/mnt", &their_mounts, 0) == 0 && our_mounts.st_ino == their_mounts.st_ino;
}

static bool read_image(const struct entry *e, const struct identity *id, struct owner_image *image)
{
    char path[AGENT_PATH_BYTES];
    const struct file_key *key = &id->executable;
    memset(image, 0, sizeof *image);
    image->from_proc = 1;
    image->executable =
        (struct owner_file){.inode = key->inode,
                            .size = key->size,
                            .ctime_ns = key->ctime_ns,
                            .device = (uint32_t)(key->device >> 32 << 20 | (key->device & 0xfffff)),
                            .links = (uint32_t)id->links};
    if (proc_link_at(e->dirfd, "exe", path, sizeof path) <= 0)
        return false;
    image->path_bytes = (uint32_t)recorded_path_write(path, image->path, sizeof image->path);
    if (is_our_view(e) && proc_link_at(e->dirfd, "cwd", path, sizeof path) > 0)
        image->cwd_bytes = (uint32_t)recorded_path_write(path, image->cwd, sizeof image->cwd);
    ssize_t n = proc_read_at(e->dirfd, "cmdline", image->arguments, sizeof image->arguments);
    image->arguments_bytes = n > 0 ? (uint32_t)n : 0;
    image->arguments_whole =
        image->arguments_bytes + (n == sizeof image->arguments - 1); /* there may be more */
    return true;
}

/* The kernel's note of what was executed can have made room for others'. A parent that was forked from still runs it. */
static bool restore_image(struct caller *c, const struct owner_record *r, struct owner_image *ret)
{
    struct owner_tag tag;
    struct identity before, after;
    for (size_t i = 0; i < OWNER_PARENTS && r->parents[i].pid != 0; i++) {
        int64_t pid = r->parents[i].pid;
        if (owner_bpf_tag(c->bpf, pid, &tag) != OWNER_BPF_TAGGED || tag.image != r->tag.image)
            continue;
        struct entry *e = process_table_get(c->table, pid);
        if (!e || !identity_read(e, &before) || !read_image(e, &before, ret) || !identity_read(e, &after) ||
            !identity_equal(&before, &after) || owner_bpf_tag(c->bpf, pid, &tag) != OWNER_BPF_TAGGED ||
            tag.image != r->tag.image)
            continue;
        ret->cwd_bytes = 0; /* where it is now is not where it began */
        owner_bpf_put_image(c->bpf, r->tag.image, ret);
        return true;
    }
    return false;
}

/* A view, or NULL without memory. */
static struct process *get_process(struct caller *c, const struct owner_record *r)
{
    struct caller_key key = key_of(r);
    struct caller_known *known = find_known(c, &key);
    int64_t now = owner_now_ms();
    if (known)
        known->used_ms = now;
    if (known && now - known->described_ms < DESCRIBED_FOR_MS)
        return known->process;
    struct owner_image image;
    bool has_image =
        r->tag.image != 0 && (owner_bpf_image(c->bpf, r->tag.image, &image) || restore_image(c, r, &image));
    struct process *process = describe_alive(c, r, has_image ? &image : NULL);
    if (!process && known) { /* what was seen while it lived is more than what was written down */
        known->described_ms = now;
        return known->process;
    }
    if (!process)
        process = describe_gone(c, r, has_image ? &image : NULL);
    return process ? keep_known(c, &key, process)->process : NULL;
}

/* ---- what became of it ---- */

/* Does the process hold the socket? -1: it may not be looked into. */
static int holds(struct caller *c, const struct owner_record *r, uint32_t inode)
{
    int64_t start = describe_ticks(r->tag.start_ns);
    struct entry *e = process_table_get(c->table, r->pid);
    if (e && e->identity.stat.start_ticks != start) {
        process_table_drop(c->table, e); /* the number was given to another meanwhile */
        e = process_table_get(c->table, r->pid);
    }
    if (!e)
        return errno == EACCES || errno == EPERM ? -1 : 0;
    if (e->identity.stat.start_ticks != start)
        return 0;
    if (r->descriptor <= INT_MAX)
        e->hint_fd = (int)r->descriptor;
    errno = 0;
    if (entry_holds_anywhere(e, inode))
        return 1;
    return errno == EACCES || errno == EPERM ? -1 : 0;
}

static int is_handed_over(struct caller *c, const struct attribution *a, const struct owner_record *r,
                          const struct sock_seen *seen, enum now now)
{
    struct sock_seen again;
    if (!seen || seen->cookie != r->cookie)
        return r->netns == owner_bpf_netns(c->bpf) ? 0 : -1; /* gone: nobody has it. Elsewhere: not seen */
    if (seen->inode == 0)
        return 0;
    int held = now == NOW_GONE ? 0 : holds(c, r, seen->inode);
    if (held != 0)
        return held < 0 ? -1 : 0;
    bool open = sock_diag_connected(c->diagfd, &a->client, &a->proxy, &again) == SOCK_DIAG_FOUND &&
                again.cookie == r->cookie && again.inode != 0;
    return open; /* else it was closed just now */
}

static void conclude(struct attribution *a, struct process *process)
{
    a->reason = a->connect.exec_changed == 1  ? AGENT_REASON_EXEC_CHANGED
                : a->connect.handed_over == 1 ? AGENT_REASON_HANDED_OVER
                                              : AGENT_REASON_NONE;
    a->confidence = a->reason == AGENT_REASON_NONE ? AGENT_CONFIDENCE_EXACT : AGENT_CONFIDENCE_STALE;
    a->process = process;
    process->refs++;
}

static void take_holders(struct attribution *a, const struct owner_look *look)
{
    for (uint32_t i = 0; i < look->holder_count && i < LOOK_HOLDERS; i++)
        a->holders[a->holder_count++] = look->holders[i];
    if (a->holder_count > 0)
        a->connect.shared = 1;
}

/* The usual case in one call: the process runs what it ran at connect() and holds the socket where it opened it. */
bool caller_attribute_at_once(struct caller *c, struct attribution *a)
{
    struct owner_look look;
    struct owner_tuple asked;
    recorded_tuple(c->bpf, a, &asked);
    if (!a->accepted_cookie || !owner_bpf_look(c->bpf, a->accepted_cookie, &look) ||
        look.hold == LOOK_HOLD_UNSEEN || look.record.flags & OWNER_KERNEL || look.record.tag.image == 0 ||
        look.image != look.record.tag.image ||
        describe_ticks(look.start_ns) != describe_ticks(look.record.tag.start_ns) ||
        memcmp(&look.tuple, &asked, sizeof asked) != 0)
        return false;
    struct process *process = get_process(c, &look.record);
    if (!process)
        return false;
    a->basis = AGENT_BASIS_CONNECT;
    bool elsewhere = look.record.netns != owner_bpf_netns(c->bpf);
    a->connect = (struct agent_connect){0, 0, elsewhere, look.hold == LOOK_HOLD_ALONE ? 0 : -1};
    a->cookie = look.record.cookie;
    if (look.hold != LOOK_HOLD_ALONE)
        take_holders(a, &look);
    else if (!elsewhere)
        a->caller = quick_caller(&look);
    conclude(a, process);
    return true;
}

static void refuse(struct attribution *a, enum agent_confidence confidence, enum agent_reason reason)
{
    a->confidence = confidence;
    a->reason = reason;
}

/* Only while it is the program that connected: what borrows another one is not its affair. */
static void look_again(struct caller *c, const struct owner_record *r, struct process *process)
{
    struct entry *e = process_table_get(c->table, r->pid);
    if (e && e->identity.stat.start_ticks == describe_ticks(r->tag.start_ns))
        borrowed_look_again(&c->describer->looker, e, process, owner_now_ms());
}

bool caller_attribute(struct caller *c, struct attribution *a, const struct sock_seen *seen)
{
    struct owner_record r;
    struct sock_seen proxy_end;
    struct recorded_live live = {.client = seen ? seen->cookie : 0};
    if (!a->accepted_cookie &&
        sock_diag_connected(c->diagfd, &a->proxy, &a->client, &proxy_end) == SOCK_DIAG_FOUND)
        live.proxy = proxy_end.cookie;
    enum recorded_found found = recorded_find(c->bpf, a, &live, &r);
    if (found == RECORDED_NONE)
        return false;
    a->basis = AGENT_BASIS_CONNECT;
    a->connect = (struct agent_connect){-1, -1, -1, -1};
    if (found != RECORDED_ONE) {
        bool several = found == RECORDED_SEVERAL;
        refuse(a, several ? AGENT_CONFIDENCE_AMBIGUOUS : AGENT_CONFIDENCE_UNKNOWN,
               several ? AGENT_REASON_SEVERAL_SOCKETS : AGENT_REASON_NO_SUCH_SOCKET);
        return true;
    }
    a->cookie = r.cookie;
    struct process *process = r.flags & OWNER_KERNEL ? NULL : get_process(c, &r);
    if (!process) {
        refuse(a, AGENT_CONFIDENCE_UNKNOWN,
               r.flags & OWNER_KERNEL ? AGENT_REASON_KERNEL : AGENT_REASON_FAILED);
        return true;
    }
    enum now now = look_now(c, &r);
    a->connect.exec_changed = now == NOW_UNKNOWN ? -1 : now == NOW_OTHER_PROGRAM;
    a->connect.handed_over = is_handed_over(c, a, &r, seen, now);
    if (now == NOW_SAME)
        look_again(c, &r, process);
    a->connect.other_namespace = r.netns != owner_bpf_netns(c->bpf);
    conclude(a, process);
    return true;
}

/* ---- ahead of the question ---- */

static void on_event(void *context, const struct owner_event *e)
{
    struct caller *c = context;
    if (e->kind != OWNER_EVENT_CONNECT)
        c->on_process(c->process_context, e->pid, e->kind == OWNER_EVENT_EXIT);
    else if (c->pending_count < CALLER_PENDING) /* more: they are described when they are asked about */
        c->pending[c->pending_count++] = e->cookie;
}

void caller_look_ahead(struct caller *c, void (*on_process)(void *context, int64_t pid, bool ended),
                       void *context)
{
    struct owner_record r;
    c->on_process = on_process;
    c->process_context = context;
    owner_bpf_each_event(c->bpf, on_event, c);
    for (size_t i = 0; i < c->pending_count; i++)
        if (owner_bpf_record(c->bpf, c->pending[i], &r) && !(r.flags & OWNER_KERNEL))
            get_process(c, &r);
    c->pending_count = 0;
}

/* ---- those that were there before ---- */

struct seeding {
    struct caller *caller;
    size_t count;
};

static bool on_pid(void *context, int64_t pid)
{
    struct seeding *s = context;
    struct caller *c = s->caller;
    struct owner_tag tag;
    struct identity before, after;
    struct owner_image image;
    struct entry *e =
        owner_bpf_tag(c->bpf, pid, &tag) == OWNER_BPF_UNTAGGED ? process_table_get(c->table, pid) : NULL;
    bool steady = e && identity_read(e, &before) && read_image(e, &before, &image) &&
                  identity_read(e, &after) && identity_equal(&before, &after);
    if (e)
        process_table_drop(c->table, e); /* most of them will never be asked about */
    if (!steady)
        return true;
    /* An exec between reading and now has tagged it: then this is refused. */
    uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    if (owner_bpf_seed(c->bpf, pid, (uint64_t)before.stat.start_ticks * tick_ns, &image))
        s->count++;
    return s->count < SEEDED_MAX;
}

void caller_seed(struct caller *c)
{
    struct seeding s = {.caller = c};
    proc_each_number(c->table->procfd, on_pid, &s);
}

/* ---- losses ---- */

void caller_say_losses(struct caller *c)
{
    uint64_t l[OWNER_LOSS_COUNT + 1], sum = 0;
    owner_bpf_losses(c->bpf, l);
    for (size_t i = 0; i <= OWNER_LOSS_COUNT; i++)
        sum += i == OWNER_LOSS_EVENT ? 0 : l[i];
    if (sum > c->lost)
        log_warning("bpf",
                    "the kernel could not write down all: owners %" PRIu64 ", addresses %" PRIu64
                    ", programs %" PRIu64 ", processes %" PRIu64 ", skipped %" PRIu64,
                    l[OWNER_LOSS_OWNER], l[OWNER_LOSS_TUPLE], l[OWNER_LOSS_IMAGE], l[OWNER_LOSS_TAG],
                    l[OWNER_LOSS_COUNT]);
    c->lost = sum;
}
