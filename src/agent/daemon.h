/* daemon.h: what exeat-agent does to the system before it serves: folder, privileges, lock, socket. In that order:
 * SO_PEERCRED names who listen()ed, so that must be the user we end as. Only the program's main and its test call in. */
#ifndef EXEAT_AGENT_DAEMON_H
#define EXEAT_AGENT_DAEMON_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct daemon_user {
    uid_t uid;
    gid_t gid;
};

int daemon_find_user(const char *name, struct daemon_user *ret, struct err *reterr);

/* Makes the socket's folder (0750, owned by `owner`, readable by `group`) or checks the one that is there: nobody else
 * may write in it. */
int daemon_make_folder(const char *socket_path, uid_t owner, gid_t group, struct err *reterr);

/* Makes the state folder (0700, owned by `owner`), or takes the one that is there: root's or his own. */
int daemon_make_state(const char *folder, uid_t owner, gid_t group, struct err *reterr);

/* Becomes `user`, keeping only CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. */
int daemon_drop_privileges(const char *name, const struct daemon_user *user, struct err *reterr);

/* Takes SOCKET.lock for the process' life (another holder is an error), replaces a dead agent's socket, binds.
 * The descriptor of the socket, not yet listening; or -1. `shared`: other users may connect, as far as the folder
 * lets them (who may speak is checked for each). *ret_lock stays open. */
int daemon_bind(const char *socket_path, bool shared, int *ret_lock, struct err *reterr);

#endif
