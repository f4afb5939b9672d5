/* sock_diag.h: asks the kernel about one TCP socket by its exact addresses (never a dump: its cost is that of one
 * lookup however many sockets there are). Looks into the agent's own network namespace only: a tuple can be made anew by anyone
 * in a namespace of his own. */
#ifndef EXEAT_AGENT_LINUX_SOCK_DIAG_H
#define EXEAT_AGENT_LINUX_SOCK_DIAG_H

#include "base/ip.h"

struct sock_seen {
    uint32_t inode;  /* 0: no file refers to the socket any more */
    uint32_t uid;    /* of whoever made the socket; means nothing when inode is 0 */
    uint64_t cookie; /* unique until the next boot */
};

int sock_diag_open(void); /* a descriptor, or -1 */

enum { SOCK_DIAG_FOUND = 0, SOCK_DIAG_NONE = 1, SOCK_DIAG_FAILED = -1 };

/* The connected socket whose own end is `local`. */
int sock_diag_connected(int fd, const struct endpoint *local, const struct endpoint *remote,
                        struct sock_seen *ret);

/* A listening socket that would take connections to `local`. */
int sock_diag_listener(int fd, const struct endpoint *local, struct sock_seen *ret);

#endif
