/* admin_client.h: asks a running exeatd on its admin socket. */
#ifndef EXEAT_CMD_ADMIN_CLIENT_H
#define EXEAT_CMD_ADMIN_CLIENT_H

#include <jansson.h>

#include "base/err.h"

/* The JSON object that a 200 answer to `method path` carries; the caller's. NULL fills reterr: nobody listens there, or what does answers
 * otherwise. Requests have no body. */
json_t *admin_client_ask(const char *method, const char *socket_path, const char *path, struct err *reterr);

#endif
