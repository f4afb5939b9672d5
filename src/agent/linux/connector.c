/* connector.c: see connector.h. */
#include "agent/linux/connector.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 512, QUEUE_BYTES = 4 << 20, ACK_MS = 1000 };

/* What is asked of the kernel, after two heads. The second number is Linux 6.6's: without it everything is told. */
struct wanted {
    uint32_t operation, kinds;
};

struct connector {
    int fd; /* owned */
    uint64_t lost;
};

/* ---- what a message says ---- */

static bool read_event(const struct proc_event *e, struct connector_event *ret)
{
    struct connector_event out = {.pid = 0};
    bool is_process = false;
    switch ((unsigned)e->what) {
    case PROC_EVENT_FORK:
        out = (struct connector_event){CONNECTOR_FORK, e->event_data.fork.child_tgid,
                                       e->event_data.fork.parent_tgid};
        is_process = e->event_data.fork.child_pid == e->event_data.fork.child_tgid;
        break;
    case PROC_EVENT_EXEC:
        out = (struct connector_event){CONNECTOR_EXEC, e->event_data.exec.process_tgid, 0};
        is_process = true;
        break;
    case PROC_EVENT_SID:
        out = (struct connector_event){CONNECTOR_SESSION, e->event_data.sid.process_tgid, 0};
        is_process = true;
        break;
    case PROC_EVENT_EXIT:
        out = (struct connector_event){CONNECTOR_EXIT, e->event_data.exit.process_tgid, 0};
        is_process = e->event_data.exit.process_pid == e->event_data.exit.process_tgid;
        break;
    default:
        break;
    }
    if (!is_process || out.pid <= 0)
        return false;
    *ret = out;
    return true;
}

/* The event of a message that is the connector's; its members may not lie where they should: copied. */
static bool read_message(struct span message, struct proc_event *ret)
{
    struct nlmsghdr head;
    struct cn_msg about;
    if (message.len < sizeof head + sizeof about)
        return false;
    memcpy(&head, message.data, sizeof head);
    memcpy(&about, message.data + sizeof head, sizeof about);
    struct span rest = span_from(message, sizeof head + sizeof about);
    if (!rest.data || head.nlmsg_len > message.len || about.id.idx != CN_IDX_PROC ||
        about.id.val != CN_VAL_PROC || about.len < offsetof(struct proc_event, event_data) ||
        about.len > rest.len)
        return false;
    *ret = (struct proc_event){.what = PROC_EVENT_NONE};
    memcpy(ret, rest.data, about.len < sizeof *ret ? about.len : sizeof *ret);
    return true;
}

bool connector_read(struct span message, struct connector_event *ret)
{
    struct proc_event e;
    return read_message(message, &e) && read_event(&e, ret);
}

/* ---- the socket ---- */

/* Only the kernel's own: others may send here, too. */
static ssize_t receive(int fd, uint8_t out[MESSAGE_BYTES])
{
    struct sockaddr_nl from = {.nl_pid = 1};
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(fd, out, MESSAGE_BYTES, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
    return n > 0 && (len < sizeof from || from.nl_pid != 0) ? 0 : n;
}

static int ask(int fd, bool sessions_only)
{
    uint8_t message[sizeof(struct nlmsghdr) + sizeof(struct cn_msg) + sizeof(struct wanted)];
    const struct wanted wanted = {PROC_CN_MCAST_LISTEN, PROC_EVENT_SID};
    size_t len = sessions_only ? sizeof wanted : sizeof wanted.operation;
    const struct cn_msg about = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = (uint16_t)len};
    const struct nlmsghdr head = {.nlmsg_len = (uint32_t)(sizeof head + sizeof about + len),
                                  .nlmsg_type = NLMSG_DONE};
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, &about, sizeof about);
    memcpy(message + sizeof head + sizeof about, &wanted, len);
    return send(fd, message, head.nlmsg_len, 0) == (ssize_t)head.nlmsg_len ? 0 : -errno;
}

static int join(int fd)
{
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    return bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
}

/* The first message says whether it was understood, and allowed. */
static int wait_ack(int fd)
{
    uint8_t message[MESSAGE_BYTES];
    struct proc_event e;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, ACK_MS) == 1) {
        ssize_t n = receive(fd, message);
        if (n > 0 && read_message(span_of(message, (size_t)n), &e) && e.what == PROC_EVENT_NONE)
            return -(int)e.event_data.ack.err;
    }
    return -ENOSYS;
}

struct connector *connector_new(bool sessions_only, char why[CONNECTOR_WHY_BYTES])
{
    struct connector *c = calloc(1, sizeof *c);
    int room = QUEUE_BYTES;
    if (!c)
        return NULL;
    c->fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    int result = c->fd < 0 ? -errno : 0;
    if (result == 0 && setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (result == 0)
        result = join(c->fd);
    if (result == 0)
        result = ask(c->fd, false);
    if (result == 0)
        result = wait_ack(c->fd);
    if (result == 0 && sessions_only)
        result = ask(c->fd, true); /* has no answer; an older kernel goes on telling everything */
    if (result == 0)
        return c;
    snprintf(why, CONNECTOR_WHY_BYTES, "%s",
             result == -EPERM    ? "CAP_NET_ADMIN is needed at the start"
             : result == -ENOSYS ? "this kernel does not tell"
                                 : strerror(-result));
    connector_free(c);
    return NULL;
}

void connector_free(struct connector *c)
{
    if (c && c->fd >= 0)
        close(c->fd);
    free(c);
}

int connector_fd(const struct connector *c)
{
    return c->fd;
}

uint64_t connector_lost(const struct connector *c)
{
    return c->lost;
}

bool connector_turn(struct connector *c, unsigned max,
                    void (*each)(void *context, const struct connector_event *e), void *context)
{
    uint8_t message[MESSAGE_BYTES];
    struct connector_event e;
    for (unsigned i = 0; i < max; i++) {
        ssize_t n = receive(c->fd, message);
        if (n < 0 && errno != ENOBUFS)
            return false;
        if (n < 0)
            c->lost++;
        else if (connector_read(span_of(message, (size_t)n), &e))
            each(context, &e);
    }
    return true;
}
