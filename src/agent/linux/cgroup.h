/* cgroup.h: the systemd unit and the container that a /proc/PID/cgroup text shows. Pure. */
#ifndef EXEAT_AGENT_LINUX_CGROUP_H
#define EXEAT_AGENT_LINUX_CGROUP_H

#include "base/span.h"

enum { CGROUP_NAME_BYTES = 256 };

struct cgroup {
    char unit[CGROUP_NAME_BYTES];      /* "" when there is none */
    char container[CGROUP_NAME_BYTES]; /* id; "" when there is none */
};

/* The unit is the outermost component that names one: what lies below a delegated unit was named by whoever it was
 * delegated to. Below a user's manager the innermost is added: "user@1000.service/app.service". */
void cgroup_parse(struct span text, struct cgroup *ret);

#endif
