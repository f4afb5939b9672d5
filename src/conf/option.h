/* option.h: the rows of options.def at run time, for the parser, `config show`, the reference and the reload. Private to
 * conf/. */
#ifndef EXEAT_CONF_OPTION_H
#define EXEAT_CONF_OPTION_H

#include "base/yaml.h"
#include "conf/conf.h"

/* The types of options.def. X(TYPE, "what is written, for people") */
#define CONF_TYPES(X)                                                                                        \
    X(BOOL, "true or false")                                                                                 \
    X(INT, "a whole number")                                                                                 \
    X(DURATION, "a time with its unit: 250ms, 10s, 5m, 1h, 1d")                                              \
    X(SIZE, "a size with its unit: 512B, 64KiB, 1MiB")                                                       \
    X(STRING, "a text")                                                                                      \
    X(PATH, "a path; relative to the folder of the configuration")                                           \
    X(ENDPOINTS, "a list of addresses with port: 127.0.0.1:3128, \"[::1]:3128\"")                            \
    X(SERVERS, "a list of addresses: 192.0.2.1, \"192.0.2.1:5353\", \"[2001:db8::1]:53\"")                   \
    X(NETWORKS, "a list of networks: 192.0.2.0/24, \"2001:db8::/32\"")                                       \
    X(PORTS, "a list of ports")                                                                              \
    X(PATHS, "a list of paths; relative to the folder of the configuration")                                 \
    X(UNAVAILABLE, "")                                                                                       \
    X(SNI_MISMATCH, "")                                                                                      \
    X(HANDLING, "")                                                                                          \
    X(CHAIN, "")                                                                                             \
    X(LEVEL, "")                                                                                             \
    X(BAD_CHAIN, "")                                                                                         \
    X(CLIENT_CERTIFICATE, "")                                                                                \
    X(ON_REVOKE, "")                                                                                         \
    X(FULL, "")                                                                                              \
    X(LOG_LEVEL, "")

enum conf_type {
#define X(id, text) CONF_TYPE_##id,
    CONF_TYPES(X)
#undef X
        CONF_TYPE_COUNT
};

struct option {
    const char *section, *name; /* static, like all texts here */
    enum conf_type type;
    size_t offset;      /* of the field in struct conf */
    const char *preset; /* YAML */
    int64_t min, max;
    bool restart;
    const char *doc;
};

extern const struct option option_table[];
extern const size_t option_count;

/* Sections in the order of the table. */
struct option_section {
    const char *name, *doc;
};
extern const struct option_section option_sections[];
extern const size_t option_section_count;

/* The words of an enum type; NULL for other types. */
const char *const *option_words(enum conf_type type, size_t *ret_count);
/* What is written for the option, for people: appended to `out`. */
void option_describe(const struct option *o, struct buf *out);

/* Reads a value into its field. 0, or -1 with reterr at the node. */
int option_read(const struct option *o, const struct yaml_node *n, struct conf *conf, struct err *reterr);
/* Appends the value as YAML on one line, as option_read() takes it. */
void option_show(const struct option *o, const struct conf *conf, struct buf *out);

/* A text in double quotes, as YAML (and JSON) read it. */
void option_quote(const char *text, struct buf *out);

/* A path as it is used: joined to the configuration's folder unless absolute. NULL without memory. */
const char *conf_join_path(struct conf *conf, const char *path);

/* `parents`; conf/parents.c. */
int parents_read(const struct yaml_node *n, struct conf *conf, struct err *reterr);
void parents_show(const struct conf *conf, struct buf *out);
int parents_load_passwords(struct conf *conf, struct err *reterr);

/* auth.password_file; conf/users.c. `text` is the file's content. */
int users_read(struct span text, const char *name, struct conf *conf, struct err *reterr);

/* What no single option shows to be wrong; conf/check.c. `top` is the file's tree, for places. */
int conf_check(const struct conf *conf, const struct yaml_node *top, struct err *reterr);

#endif
