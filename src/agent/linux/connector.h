/* connector.h: what the kernel's connector says of processes: where there is no BPF, forks, executions, ends and new sessions; beside BPF,
 * which doesn't hear of those, new sessions alone. observer.c calls in; the loop's thread. */
#ifndef EXEAT_AGENT_LINUX_CONNECTOR_H
#define EXEAT_AGENT_LINUX_CONNECTOR_H

#include "base/span.h"

enum { CONNECTOR_WHY_BYTES = 160 };

enum connector_what { CONNECTOR_FORK, CONNECTOR_EXEC, CONNECTOR_SESSION, CONNECTOR_EXIT };

/* Of processes, never of single threads. */
struct connector_event {
    enum connector_what what;
    int64_t pid, parent; /* parent: of a fork */
};

struct connector;

/* Needs CAP_NET_ADMIN once. NULL: `why` says why not. */
struct connector *connector_new(bool sessions_only, char why[CONNECTOR_WHY_BYTES]);
void connector_free(struct connector *c); /* NULL is fine */
int connector_fd(const struct connector *c);

/* At most `max` of those that wait. True: there may be more. */
bool connector_turn(struct connector *c, unsigned max,
                    void (*each)(void *context, const struct connector_event *e), void *context);
uint64_t connector_lost(const struct connector *c); /* times that there was no room */

/* One message of the kernel's. False: it is about something else. */
bool connector_read(struct span message, struct connector_event *ret);

#endif
