/* admin_client.h: asks a running exeatd on its admin socket. */
#ifndef EXEAT_CMD_ADMIN_CLIENT_H
#define EXEAT_CMD_ADMIN_CLIENT_H

#include "base/buf.h"
#include "base/err.h"

enum { ADMIN_CLIENT_WAIT_MS = 5000, ADMIN_CLIENT_ANSWER_BYTES = 16 * 1024 * 1024 };

/* The body of a 200 answer to `GET path`, appended to ret. -1 fills reterr; *ret_absent says that nobody listens there. */
int admin_client_get(const char *socket_path, const char *path, struct buf *ret, bool *ret_absent,
                     struct err *reterr);
/* The same for `POST path`, which has no body. */
int admin_client_post(const char *socket_path, const char *path, struct buf *ret, bool *ret_absent,
                      struct err *reterr);

#endif
