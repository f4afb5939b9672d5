/* sock_diag.c: see sock_diag.h. The kernel answers an exact question with the best match, which may be the listener
 * of a port whose connection is dead: addresses, ports and state of each answer are compared. */
#include "agent/linux/sock_diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int sock_diag_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct timeval wait = {.tv_usec =
                               100000}; /* the kernel answers inside send(); this is for the day it doesn't */
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

static void put_address(__be32 words[4], const struct ip *ip, bool mapped)
{
    uint8_t bytes[16] = {0};
    if (mapped && ip->version == 4) {
        bytes[10] = bytes[11] = 0xff;
        memcpy(bytes + 12, ip->bytes, 4);
    } else {
        memcpy(bytes, ip->bytes, ip->version == 4 ? 4 : 16);
    }
    memcpy(words, bytes, sizeof bytes);
}

static struct ip get_address(const struct inet_diag_msg *m, const __be32 words[4])
{
    uint8_t bytes[16];
    memcpy(bytes, words, sizeof bytes);
    return ip_from_bytes(bytes, m->idiag_family == AF_INET ? 4 : 16);
}

static void fill_question(struct question *q, uint8_t family, uint32_t sequence, const struct endpoint *local,
                          const struct endpoint *remote)
{
    memset(q, 0, sizeof *q);
    q->head.nlmsg_len = sizeof *q;
    q->head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    q->head.nlmsg_flags = NLM_F_REQUEST;
    q->head.nlmsg_seq = sequence;
    q->body.sdiag_family = family;
    q->body.sdiag_protocol = IPPROTO_TCP;
    q->body.idiag_states = ~0U;
    q->body.id.idiag_sport = htons(local->port);
    q->body.id.idiag_dport = htons(remote->port);
    put_address(q->body.id.idiag_src, &local->ip, family == AF_INET6);
    put_address(q->body.id.idiag_dst, &remote->ip, family == AF_INET6);
    q->body.id.idiag_cookie[0] = q->body.id.idiag_cookie[1] = (uint32_t)INET_DIAG_NOCOOKIE;
}

/* Receives the answer to `sequence`; late answers to earlier questions are dropped. */
static int receive(int fd, uint32_t sequence, struct inet_diag_msg *ret)
{
    union {
        struct nlmsghdr head;
        char bytes[8192];
    } reply;
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(fd, &reply, sizeof reply, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < (ssize_t)sizeof reply.head)
            return SOCK_DIAG_FAILED;
        if (reply.head.nlmsg_seq != sequence)
            continue;
        if (reply.head.nlmsg_type == NLMSG_ERROR) {
            struct nlmsgerr error;
            memcpy(&error, NLMSG_DATA(&reply.head), sizeof error);
            return error.error == -ENOENT ? SOCK_DIAG_NONE : SOCK_DIAG_FAILED;
        }
        if (reply.head.nlmsg_type != SOCK_DIAG_BY_FAMILY || n < (ssize_t)NLMSG_LENGTH(sizeof *ret))
            return SOCK_DIAG_FAILED;
        memcpy(ret, NLMSG_DATA(&reply.head), sizeof *ret);
        return SOCK_DIAG_FOUND;
    }
    return SOCK_DIAG_FAILED;
}

static int ask(int fd, uint8_t family, const struct endpoint *local, const struct endpoint *remote,
               struct inet_diag_msg *ret)
{
    static uint32_t sequence; /* the loop's thread only */
    struct question q;
    fill_question(&q, family, ++sequence, local, remote);
    ssize_t sent;
    while ((sent = send(fd, &q, sizeof q, 0)) < 0 && errno == EINTR)
        ;
    return sent == (ssize_t)sizeof q ? receive(fd, sequence, ret) : SOCK_DIAG_FAILED;
}

static void fill_seen(const struct inet_diag_msg *m, struct sock_seen *ret)
{
    ret->inode = m->idiag_inode;
    ret->uid = m->idiag_uid;
    ret->cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
}

static bool is_asked_for(const struct inet_diag_msg *m, const struct endpoint *local,
                         const struct endpoint *remote)
{
    struct ip own = get_address(m, m->id.idiag_src), other = get_address(m, m->id.idiag_dst);
    return m->idiag_state != TCP_LISTEN && m->idiag_state != TCP_TIME_WAIT && m->idiag_state != TCP_CLOSE &&
           ntohs(m->id.idiag_sport) == local->port && ntohs(m->id.idiag_dport) == remote->port &&
           ip_equal(&own, &local->ip) && ip_equal(&other, &remote->ip);
}

int sock_diag_connected(int fd, const struct endpoint *local, const struct endpoint *remote,
                        struct sock_seen *ret)
{
    struct inet_diag_msg m;
    if (local->ip.version != remote->ip.version)
        return SOCK_DIAG_NONE;
    bool v4 = local->ip.version == 4;
    int result = ask(fd, v4 ? AF_INET : AF_INET6, local, remote, &m);
    bool ours = result == SOCK_DIAG_FOUND && is_asked_for(&m, local, remote);
    if (!ours && v4 && result != SOCK_DIAG_FAILED) { /* an IPv6 socket on an IPv4-mapped address */
        result = ask(fd, AF_INET6, local, remote, &m);
        ours = result == SOCK_DIAG_FOUND && is_asked_for(&m, local, remote);
    }
    if (!ours)
        return result == SOCK_DIAG_FAILED ? SOCK_DIAG_FAILED : SOCK_DIAG_NONE;
    fill_seen(&m, ret);
    return SOCK_DIAG_FOUND;
}

int sock_diag_listener(int fd, const struct endpoint *local, struct sock_seen *ret)
{
    struct inet_diag_msg m;
    struct endpoint nobody = {.ip = {.version = local->ip.version}};
    int result = ask(fd, local->ip.version == 4 ? AF_INET : AF_INET6, local, &nobody, &m);
    if (result != SOCK_DIAG_FOUND)
        return result;
    if (m.idiag_state != TCP_LISTEN || ntohs(m.id.idiag_sport) != local->port)
        return SOCK_DIAG_NONE;
    fill_seen(&m, ret);
    return SOCK_DIAG_FOUND;
}
