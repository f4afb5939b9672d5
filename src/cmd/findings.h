/* findings.h: what the commands about findings share: their arguments, and the findings as they stand in the history. */
#ifndef EXEAT_CMD_FINDINGS_H
#define EXEAT_CMD_FINDINGS_H

#include "audit/finding.h"
#include "conf/conf.h"

struct findings_arguments {
    const char *state, *config, *by, *owner, *ticket, *expires, *reason,
        *out; /* views into argv; NULL when not given */
    bool all, json;
    const char *id; /* likewise; there where the command wants one */
};

/* One of the commands about findings, as findings_run() leads it in. */
struct findings_command {
    const char *words, *help;
    const char *options; /* letters of the options that it reads, beside s, c and h: others are refused */
    bool wants_id;
    /* An exit code, or -1 with reterr filled: that is said, and CMD_FAILED. */
    int (*run)(const struct conf *conf, const struct findings_arguments *a, struct err *reterr);
};
/* Reads the arguments and the configuration that they name, and runs it. The exit code. */
int findings_run(int argc, char **argv, const struct findings_command *c);

struct findings_list {
    struct finding *items; /* owned, the latest first */
    size_t count;
};
int findings_list_read(const struct conf *conf, struct findings_list *ret, struct err *reterr);
void findings_list_free(struct findings_list *l);
/* The one whose id begins with `id`; NULL fills reterr: none, or several. */
const struct finding *findings_list_find(const struct findings_list *l, const char *id, struct err *reterr);

#endif
