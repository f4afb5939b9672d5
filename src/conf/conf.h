/* conf.h: the configuration as one immutable value. exeatd and `exeat config` load it; everyone else reads fields: as
 * conf->timeouts.head_ms or conf->listen.addresses.items[0]. Its fields, parser and reference come from options.def.
 * Reads files (the configuration and the password files it names); nothing else. Threads share it without locks. */
#ifndef EXEAT_CONF_CONF_H
#define EXEAT_CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/log.h"
#include "wire/host.h"

/* X(ENUM, field type, prefix), values: X(ID, "word in the file") */
#define CONF_UNAVAILABLE_VALUES(X)  X(UNKNOWN, "unknown") X(REFUSE, "refuse")
#define CONF_SNI_MISMATCH_VALUES(X) X(RECORD, "record") X(REFUSE, "refuse")
/* in the order of enum verdict_handling and enum verdict_probe (rules/verdict.h), which begin with UNSET */
#define CONF_HANDLING_VALUES(X) X(TUNNEL, "tunnel") X(PEEK, "peek") X(TERMINATE, "terminate")
#define CONF_CHAIN_VALUES(X)    X(NEVER, "never") X(BACKGROUND, "background") X(WAIT, "wait")
/* in the order of Sigma's levels */
#define CONF_LEVEL_VALUES(X)                                                                                 \
    X(INFORMATIONAL, "informational")                                                                        \
    X(LOW, "low") X(MEDIUM, "medium") X(HIGH, "high") X(CRITICAL, "critical")
#define CONF_BAD_CHAIN_VALUES(X)          X(REFUSE, "refuse") X(MIMIC, "mimic")
#define CONF_CLIENT_CERTIFICATE_VALUES(X) X(REFUSE, "refuse") X(WITHOUT, "without")
#define CONF_ON_REVOKE_VALUES(X)          X(CUT, "cut") X(KEEP, "keep")
#define CONF_FULL_VALUES(X)               X(CLOSED, "closed") X(OPEN, "open")
/* in the order of enum log_level */
#define CONF_LOG_LEVEL_VALUES(X)                                                                             \
    X(ERROR, "error") X(WARNING, "warning") X(NOTICE, "notice") X(INFO, "info") X(DEBUG, "debug")

#define X(id, word) CONF_UNAVAILABLE_##id,
enum conf_unavailable { CONF_UNAVAILABLE_VALUES(X) };
#undef X
#define X(id, word) CONF_SNI_MISMATCH_##id,
enum conf_sni_mismatch { CONF_SNI_MISMATCH_VALUES(X) };
#undef X
#define X(id, word) CONF_HANDLING_##id,
enum conf_handling { CONF_HANDLING_VALUES(X) };
#undef X
#define X(id, word) CONF_CHAIN_##id,
enum conf_chain { CONF_CHAIN_VALUES(X) };
#undef X
#define X(id, word) CONF_LEVEL_##id,
enum conf_level { CONF_LEVEL_VALUES(X) };
#undef X
#define X(id, word) CONF_BAD_CHAIN_##id,
enum conf_bad_chain { CONF_BAD_CHAIN_VALUES(X) };
#undef X
#define X(id, word) CONF_CLIENT_CERTIFICATE_##id,
enum conf_client_certificate { CONF_CLIENT_CERTIFICATE_VALUES(X) };
#undef X
#define X(id, word) CONF_ON_REVOKE_##id,
enum conf_on_revoke { CONF_ON_REVOKE_VALUES(X) };
#undef X
#define X(id, word) CONF_FULL_##id,
enum conf_full { CONF_FULL_VALUES(X) };
#undef X

/* Lists; `items` are owned by the conf's arena. SERVERS without a port get 53. */
struct conf_endpoints {
    struct endpoint *items;
    size_t count;
};
struct conf_networks {
    struct ip_network *items;
    size_t count;
};
struct conf_ports {
    uint16_t *items;
    size_t count;
};
struct conf_paths {
    const char **items; /* each owned by the arena; relative ones are joined to the config file's folder */
    size_t count;
};

/* One entry of `parents`: flows to what `match` holds for go through the first of `proxies` that works. */
struct conf_destination {
    enum { CONF_ANY, CONF_DOMAIN, CONF_NETWORK } kind;
    const char *domain;        /* owned by the arena; canonical: that name and everything below */
    struct ip_network network; /* holds for addresses written as such: names are not resolved here */
};
struct conf_proxy {
    struct host host;
    uint16_t port;
};
struct conf_parent {
    struct conf_destination *match; /* owned by the arena, like all below */
    size_t match_count;
    struct conf_proxy *proxies; /* none: `direct: true`, the proxy connects itself */
    size_t proxy_count;
    const char *user;          /* NULL: no credentials */
    const char *password_file; /* NULL with user NULL */
    const char *password;      /* secret; never shown. NULL until conf_load() read the file */
    unsigned line;
};

/* One line of auth.password_file. */
struct conf_user {
    const char *name, *hash; /* owned by the arena; hash is secret, for crypt(3) */
};

#define CONF_FIELD_BOOL(n)               bool n;
#define CONF_FIELD_INT(n)                int64_t n;
#define CONF_FIELD_DURATION(n)           int64_t n##_ms;
#define CONF_FIELD_SIZE(n)               size_t n##_bytes;
#define CONF_FIELD_STRING(n)             const char *n; /* owned by the arena; NULL when unset */
#define CONF_FIELD_PATH(n)               const char *n; /* likewise; relative ones are joined to the config file's folder */
#define CONF_FIELD_ENDPOINTS(n)          struct conf_endpoints n;
#define CONF_FIELD_SERVERS(n)            struct conf_endpoints n;
#define CONF_FIELD_NETWORKS(n)           struct conf_networks n;
#define CONF_FIELD_PORTS(n)              struct conf_ports n;
#define CONF_FIELD_PATHS(n)              struct conf_paths n;
#define CONF_FIELD_UNAVAILABLE(n)        enum conf_unavailable n;
#define CONF_FIELD_SNI_MISMATCH(n)       enum conf_sni_mismatch n;
#define CONF_FIELD_HANDLING(n)           enum conf_handling n;
#define CONF_FIELD_CHAIN(n)              enum conf_chain n;
#define CONF_FIELD_LEVEL(n)              enum conf_level n;
#define CONF_FIELD_BAD_CHAIN(n)          enum conf_bad_chain n;
#define CONF_FIELD_CLIENT_CERTIFICATE(n) enum conf_client_certificate n;
#define CONF_FIELD_ON_REVOKE(n)          enum conf_on_revoke n;
#define CONF_FIELD_FULL(n)               enum conf_full n;
#define CONF_FIELD_LOG_LEVEL(n)          enum log_level n;

struct conf {
    struct arena *arena; /* owned: everything here, this struct too, lives in it */
    const char *file;    /* as named at the load */
    const char *folder;  /* of the file; relative paths start there */
#define SECTION(name, doc)                                                struct {
#define OPTION(section, name, type, preset, min, max, apply, reader, doc) CONF_FIELD_##type(name)
#define SECTION_END(name)                                                                                    \
    }                                                                                                        \
    name;
#include "conf/options.def"
#undef SECTION
#undef OPTION
#undef SECTION_END
    struct conf_parent *parents; /* in the file's order: the first that matches is taken */
    size_t parent_count;
    struct conf_user *users; /* sorted by name */
    size_t user_count;
};

/* Reads the file, the password files it names, and checks all. NULL fills reterr. */
struct conf *conf_load(const char *path, struct err *reterr);

/* The same from memory and without opening any file: no users, no passwords. `folder` for relative paths. */
struct conf *conf_parse(struct span text, const char *name, const char *folder, struct err *reterr);

void conf_free(struct conf *take_conf); /* NULL is fine; secrets are overwritten */

/* The effective configuration as YAML that conf_parse() reads back to the same; secrets are not in it, only
 * the files that hold them. With `only_changed`, what differs from the defaults. */
void conf_show(const struct conf *conf, bool only_changed, struct buf *out);

/* The name ("listen.workers") of the first option that differs and needs a restart; NULL: a reload will do. */
const char *conf_restart_needed(const struct conf *running, const struct conf *wanted);

/* The parent for a destination; NULL or one with proxy_count 0: connect directly. */
const struct conf_parent *conf_find_parent(const struct conf *conf, const struct host *host);

/* The hash of a user, or NULL. */
const char *conf_find_user(const struct conf *conf, struct span name);

bool conf_network_has(const struct conf_networks *networks, const struct ip *ip);
bool conf_port_has(const struct conf_ports *ports, uint16_t port);

/* Reference of all options, generated from the table. */
void conf_reference_markdown(struct buf *out);
void conf_reference_man(struct buf *out); /* roff, the body of a man page's OPTIONS section */

#endif
