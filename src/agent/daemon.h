/* daemon.h: what exeat-agent does to the system before it serves: folder, lock, socket, privileges. SO_PEERCRED names who listen()ed,
 * so that is done last, by the user we end as. Only the program's main and its test call in. */
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

/* Becomes `user` (`name` NULL: nobody else) for good. With `keep` root's rights CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH stay, else none. */
int daemon_drop_privileges(const char *name, const struct daemon_user *user, bool keep, struct err *reterr);

/* Files that are made meanwhile are `user`'s; then back to who we are. */
int daemon_borrow_user(const struct daemon_user *user, struct err *reterr);
void daemon_give_back_user(uid_t uid, gid_t gid);

/* Takes SOCKET.lock for the process' life (another holder is an error), replaces a dead agent's socket, binds.
 * The descriptor of the socket, not yet listening; or -1. `shared`: other users may connect, as far as the folder
 * lets them (who may speak is checked for each). *ret_lock stays open. */
int daemon_bind(const char *socket_path, bool shared, int *ret_lock, struct err *reterr);

#endif
