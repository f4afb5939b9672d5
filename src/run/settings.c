/* settings.c: see settings.h. */
#include "run/settings.h"

#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DESCRIPTORS_A_FLOW = 2, /* its client and its server */
    DESCRIPTORS_A_PIPE = 2,
    DESCRIPTORS_A_WORKER = 48, /* epoll, wake-ups, DNS sockets, the agent's link, connections being tried */
    DESCRIPTORS_ELSE = 64,     /* files, admin clients, libraries */
};

unsigned settings_workers(const struct conf *conf)
{
    if (conf->listen.workers > 0)
        return (unsigned)conf->listen.workers;
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > SETTINGS_WORKERS_MAX ? SETTINGS_WORKERS_MAX : (unsigned)count;
}

/* c-ares' csv; at most 16 servers, which fit. */
static void write_servers(const struct conf_endpoints *servers, char *ret, size_t size)
{
    size_t at = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < servers->count && at < size; i++) {
        char text[ENDPOINT_TEXT_BYTES];
        at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? "," : "",
                               endpoint_format(&servers->items[i], text));
    }
}

int settings_from_conf(const struct conf *conf, unsigned workers, struct net_settings *ret,
                       struct err *reterr)
{
    long agent_uid = -1;
    if (conf->agent.user) {
        const struct passwd *user = getpwnam(conf->agent.user);
        if (!user)
            return err_set(reterr, conf->file, 0, 0, "agent.user: there is no user %s", conf->agent.user);
        agent_uid = (long)user->pw_uid;
    }
    write_servers(&conf->resolver.servers, ret->dns_servers, sizeof ret->dns_servers);
    ret->options = (struct net_options){
        .dns_servers = ret->dns_servers[0] ? ret->dns_servers : NULL,
        .dns_timeout_ms = (unsigned)conf->resolver.timeout_ms,
        .dns_cache_entries = (unsigned)conf->resolver.cache_entries,
        .dns_ttl_max_s = (unsigned)(conf->resolver.max_ttl_ms / 1000),
        .dial_timeout_ms = (unsigned)conf->dial.timeout_ms,
        .dial_attempt_delay_ms = (unsigned)conf->dial.attempt_delay_ms,
        .tcp_keepalive_s = (unsigned)(conf->timeouts.tcp_keepalive_ms / 1000),
        .write_timeout_ms = (unsigned)conf->timeouts.idle_ms,
        .agent_socket = conf->agent.socket,
        .agent_timeout_ms = (unsigned)conf->agent.timeout_ms,
        .hash_wait_ms = (unsigned)conf->agent.hash_wait_ms,
        .agent_uid = agent_uid,
        .splice_pipes = (unsigned)conf->limits.splice_pipes / workers,
    };
    return 0;
}

unsigned long settings_descriptors(const struct conf *conf, unsigned workers)
{
    unsigned long listeners = conf->listen.addresses.count + conf->listen.tls_addresses.count;
    return (unsigned long)conf->limits.flows * DESCRIPTORS_A_FLOW +
           (unsigned long)conf->limits.splice_pipes * DESCRIPTORS_A_PIPE +
           workers * (DESCRIPTORS_A_WORKER + listeners) + DESCRIPTORS_ELSE;
}
