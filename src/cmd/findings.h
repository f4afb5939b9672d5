/* findings.h: what the commands about findings share: their arguments, and the findings as they stand in the history. */
#ifndef EXEAT_CMD_FINDINGS_H
#define EXEAT_CMD_FINDINGS_H

#include "audit/finding.h"
#include "conf/conf.h"

struct findings_arguments {
    const char *state, *config, *by, *owner, *ticket, *expires, *reason,
        *out; /* views into argv; NULL when not given */
    bool all, json;
    char **rest;
    int rest_count;
};

/* -1: go on; else the exit code: help was asked for, or the usage is wrong. */
int findings_arguments(int argc, char **argv, const char *words, const char *help,
                       struct findings_arguments *ret);
/* The configuration they name; NULL fills reterr. */
struct conf *findings_conf(const struct findings_arguments *a, struct err *reterr);

struct findings_list {
    struct finding *items; /* owned, the latest first */
    size_t count;
};
int findings_list_read(const struct conf *conf, struct findings_list *ret, struct err *reterr);
void findings_list_free(struct findings_list *l);
/* The one whose id begins with `id`; NULL fills reterr: none, or several. */
const struct finding *findings_list_find(const struct findings_list *l, const char *id, struct err *reterr);

#endif
