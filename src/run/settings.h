/* settings.h: what the configuration means to the parts that don't read it: net/'s options, the number of workers,
 * how many descriptors are needed. Pure but for the user database (agent.user). */
#ifndef EXEAT_RUN_SETTINGS_H
#define EXEAT_RUN_SETTINGS_H

#include "conf/conf.h"
#include "net/loop.h"

enum { SETTINGS_WORKERS_MAX = 256 };

/* listen.workers, or one for each CPU that we may use. */
unsigned settings_workers(const struct conf *conf);

struct net_settings {
    struct net_options
        options; /* borrows from this struct and from the conf; proxies are the caller's to set */
    char dns_servers[1024];
};
/* For one of `workers` workers. -1 fills reterr (agent.user is no user here). */
int settings_from_conf(const struct conf *conf, unsigned workers, struct net_settings *ret,
                       struct err *reterr);

/* Descriptors that limits.flows and all the rest can need at most. */
unsigned long settings_descriptors(const struct conf *conf, unsigned workers);

#endif
