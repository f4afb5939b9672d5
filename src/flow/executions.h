/* executions.h: how often a program is started and how often it connects, over hosts: what the agent of each host said of its own
 * when the program last connected there (agent_protocol.h, `usage`). "Normally doesn't connect" is a number of many hosts where three or more tell,
 * and else of the one host. Shared by all workers, kept by store/.
 *
 * Each host's word is of the time before the connection that it came with, so that a change that goes through many hosts at once is not what
 * is usual. Nothing is known of a host where the program has not connected within the days: its agent is not asked. flow/attribute.c calls in; touches mutexes and store/'s queue. */
#ifndef EXEAT_FLOW_EXECUTIONS_H
#define EXEAT_FLOW_EXECUTIONS_H

#include "flow/table.h"
#include "wire/agent_history.h"

struct executions;
struct flow;
struct store;

enum {
    EXECUTIONS_KIND = 23,
    EXECUTIONS_DAYS = 30,
    EXECUTIONS_HOSTS_MIN = 3, /* fewer are no "many hosts" */
    EXECUTIONS_HOSTS = 24,    /* of a program are remembered: those that told last */
};

/* As sightings_new(). An entry is about 800 bytes. */
struct executions *executions_new(struct store *store, size_t entries);
void executions_free(struct executions *take_e); /* NULL is fine */

struct executions_view {
    unsigned hosts, unknown_hosts; /* that told of those days; that told, but of a longer time in one sum */
    int64_t executions, connected; /* sums over `hosts` */
};

/* What `host` says of the program, as it connects: counts from now on for the others. `program`: what is the same one on any host. */
void executions_tell(struct executions *e, struct span program, struct span host,
                     const struct agent_usage *told, int64_t now_s, struct executions_view *ret);

/* The facts about what is usual for the flow's sender, from what its agent told. */
void executions_set_facts(struct flow *f);

#endif
