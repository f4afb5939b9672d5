/* baseline.h: what the commands about the baseline share. */
#ifndef EXEAT_CMD_BASELINE_H
#define EXEAT_CMD_BASELINE_H

#include <jansson.h>

#include "conf/conf.h"
#include "rules/baseline.h"
#include "store/learned.h"

#define BASELINE_PLACES                                                                                      \
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then "             \
    "/etc/exeat)\n"                                                                                          \
    "  -c, --config FILE   of the proxy with this configuration\n"                                           \
    "  -h, --help          this text\n"

struct baseline_arguments {
    const char *audit, *state, *config, *owner; /* views into argv; NULL when not given */
    bool json;
    unsigned days, hosts, count, subdomains;
    char **rest;
    int rest_count;
};

/* -1: go on; else the exit code: help was asked for, or the usage is wrong. */
int baseline_arguments(int argc, char **argv, const char *words, const char *help,
                       struct baseline_arguments *ret);

/* The configuration they name, and what was learned there. CMD_OK, or the exit code with reterr. */
int baseline_open(const struct baseline_arguments *a, struct conf **ret_conf, struct learned **ret_learned,
                  struct err *reterr);

/* Under what the hashes of a program's file are learned: its stable name, or the file where users can write that. Returns ret. */
enum { BASELINE_PROGRAM_BYTES = 512 };
const char *baseline_program(const char *stable, const char *executable, char ret[BASELINE_PROGRAM_BYTES]);

/* The configuration's baseline as text and parsed. -1 fills reterr. */
int baseline_read(const struct conf *conf, struct buf *ret_text, struct baseline **ret, struct err *reterr);

/* Where in the baseline's text the first item of `senders` would stand: behind that line; 0: there is none. */
size_t baseline_begin_of_senders(struct span text);

#endif
