/* dns.h: what resolver.c is made of: the hosts file, and c-ares channels on the worker's loop. Private to net/. */
#ifndef EXEAT_NET_DNS_H
#define EXEAT_NET_DNS_H

#include "net/internal.h"

/* ---- hosts.c ---- */

enum { DNS_ADDRESSES_MAX = 16 };

/* Which file it was when it was last looked at; zeroed before its first use. */
struct file_id {
    uint64_t device, inode, size;
    int64_t changed_ns;
};

/* True when the file is another one, or has changed (or came, or went), since *id was last filled. */
bool file_id_update(struct file_id *id, const char *path);

struct hosts_line {
    const char *name; /* view into the text */
    struct ip ip;
    unsigned order; /* in the file */
};

struct hosts {
    char *text;               /* owned */
    struct hosts_line *lines; /* owned; sorted by name, then order */
    size_t count;
};

/* Reads the file anew; a file that can't be read is an empty one. */
void hosts_load(struct hosts *h, const char *path);
void hosts_free(struct hosts *h);
/* How many addresses (at most DNS_ADDRESSES_MAX) were put in ret. `name` is canonical. */
unsigned hosts_find(const struct hosts *h, const char *name, struct ip ret[DNS_ADDRESSES_MAX]);

/* ---- resolver.c ---- */

/* Where names are asked for now; NULL: this one is known here, and not asked for. */
struct dns_channel *resolver_channel(struct net *net, const char *host);

/* ---- https_lookup.c ---- */

void https_room_free(struct net *net); /* when no query is under way any more */

/* ---- dns_channel.c ---- */

struct dns_channel;

/* Lives in its owner until `done`, which may come from inside dns_channel_query(). */
struct dns_query {
    struct dns_channel *channel; /* borrowed: outlives its queries */
    /* owner's; `answer` is a view until it returns, NULL without one; status is c-ares' (ARES_...) */
    void (*done)(struct dns_query *, int status, const uint8_t *answer, int len);
};

/* From net->options.dns_servers, or the system's. */
struct dns_channel *dns_channel_new(struct net *net, const char **ret_error);
/* type: 1 A, 28 AAAA. The name is asked for as it is: no search domains. */
void dns_channel_query(struct dns_channel *c, struct dns_query *q, const char *name, int type);
/* Queries under way finish on it, then it frees itself. */
void dns_channel_retire(struct dns_channel *take_c);
/* Frees retired and other channels at once; each query under way ends with ARES_EDESTRUCTION. */
void dns_channel_free(struct dns_channel *take_c);

#endif
