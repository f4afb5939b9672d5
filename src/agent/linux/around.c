/* around.c: see around.h. LINEAGE: those of the same session, those above, and those below. A login's programs talk to each other
 * as they please; what comes from another session, or from a service, came from outside. */
#include "agent/linux/around.h"

#include "agent/linux/proc.h"

#include <stdio.h>
#include <unistd.h>

enum { STAT_BYTES = 2048, STEPS_MAX = 16 };

static bool read_stat(int procfd, int64_t pid, struct proc_stat *ret)
{
    char text[STAT_BYTES];
    int dirfd = proc_open_pid(procfd, pid);
    if (dirfd < 0)
        return false;
    ssize_t n = proc_read_at(dirfd, "stat", text, sizeof text);
    close(dirfd);
    return n > 0 && proc_stat_parse(span_of(text, (size_t)n), ret);
}

static bool is_above(const struct sender *s, int64_t pid)
{
    for (size_t i = 0; i < s->parent_count; i++)
        if (s->parents[i].pid == pid)
            return true;
    return false;
}

static bool is_of_lineage(int procfd, const struct sender *s, int64_t pid)
{
    struct proc_stat own, other;
    if (is_above(s, pid))
        return true;
    if (!read_stat(procfd, s->pid, &own) || !read_stat(procfd, pid, &other))
        return true; /* gone: nothing can be said of it */
    bool below = own.session == other.session;
    for (int i = 0; i < STEPS_MAX && !below && other.ppid > 1; i++) {
        below = other.ppid == s->pid;
        if (!read_stat(procfd, other.ppid, &other))
            break;
    }
    return below;
}

static void add_peer(int procfd, struct agent_peers *peers, const struct owner_walked *found)
{
    struct agent_peer *peer = &peers->items[peers->count];
    *peer = (struct agent_peer){
        .pid = found->other, .via = found->kind == OWNER_WALKED_UNIX ? AGENT_PEER_UNIX : AGENT_PEER_LOOPBACK};
    int dirfd = proc_open_pid(procfd, peer->pid);
    if (dirfd < 0)
        return; /* gone meanwhile */
    if (proc_link_at(dirfd, "exe", peer->executable, sizeof peer->executable) <= 0)
        peer->executable[0] = 0;
    close(dirfd);
    peers->count++;
}

static void fill_peers(struct holders *h, int procfd, struct attribution *a)
{
    const struct sender *s = a->process->sender;
    const struct around *around = holders_peers_of(h, s->pid);
    struct agent_peers *peers = around ? agent_peers_new() : NULL;
    if (!peers)
        return;
    for (size_t i = 0; i < around->count && peers->count < AGENT_PEERS_MAX; i++)
        if (!is_of_lineage(procfd, s, around->found[i].other))
            add_peer(procfd, peers, &around->found[i]);
    a->peers = peers;
}

void around_fill(struct holders *h, int procfd, struct attribution *a)
{
    if (a->confidence != AGENT_CONFIDENCE_EXACT)
        return;
    fill_peers(h, procfd, a);
    if (a->connect.shared != -1)
        return;
    const struct around *around = holders_of_socket(h, a->cookie);
    if (!around)
        return;
    for (size_t i = 0; i < around->count && a->holder_count < AGENT_HOLDERS_MAX; i++)
        if (around->found[i].pid != (uint32_t)a->process->sender->pid)
            a->holders[a->holder_count++] = around->found[i].pid;
    a->connect.shared = a->holder_count > 0;
}
