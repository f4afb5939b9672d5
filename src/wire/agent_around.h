/* agent_around.h: what an agent tells of what goes around the proxy: is there a lock, who tried. A message of its own in
 * agent_message.h; the proxy keeps the last one for `exeat status`. Pure. */
#ifndef EXEAT_WIRE_AGENT_AROUND_H
#define EXEAT_WIRE_AGENT_AROUND_H

#include "base/ip.h"

struct json;   /* base/json.h */
struct json_t; /* jansson.h */

enum { AROUND_SENDERS_MAX = 16, AROUND_NAME_BYTES = 64, AROUND_PATH_BYTES = 256, AROUND_WHY_BYTES = 160 };

/* One program of one user, with the last place that it tried. Texts are cut to fit. */
struct around_sender {
    char name[AROUND_NAME_BYTES], executable[AROUND_PATH_BYTES]; /* "" when it was gone */
    int64_t pid, uid, last_ms;                                   /* Unix time */
    uint64_t count;                                              /* attempts */
    bool udp;
    struct endpoint last;
};

struct agent_around {
    int lock;      /* -1 not known, 0 no: programs here can get out without the proxy, 1 yes */
    bool observed; /* attempts are counted; else `why_not` says why not */
    char why_not[AROUND_WHY_BYTES];
    uint64_t tcp, udp;                                /* attempts since the agent began */
    struct around_sender senders[AROUND_SENDERS_MAX]; /* the latest first */
    size_t sender_count;
};

/* The members of the message, or of status. */
void agent_around_write(const struct agent_around *a, struct json *j);
int agent_around_read(const struct json_t *object,
                      struct agent_around *ret); /* 0, or -1: a member is of another type */

#endif
