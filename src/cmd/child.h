/* child.h: a program that `exeat run` starts and looks after. Not for threads. */
#ifndef EXEAT_CMD_CHILD_H
#define EXEAT_CMD_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct child {
    const char *name; /* static: for people */
    pid_t pid;        /* 0: not running */
    int status;       /* of waitpid(), once it has ended */
    bool ended;
};

enum { CHILD_PATH_BYTES = 4096 };

/* Beside our own binary, else in PATH. -1 fills reterr. */
int child_find_program(const char *name, char ret[CHILD_PATH_BYTES], struct err *reterr);

/* Starts it in a process group of its own (a terminal's Ctrl-C reaches only us), with `environment` ("NAME=value", may be NULL)
 * added and all signals unblocked. It is sent TERM when we die. -1 fills reterr. */
int child_start(struct child *c, const char *path, char *const argv[], char *environment, struct err *reterr);

/* Takes note of an end without waiting; true when it has ended by now. */
bool child_has_ended(struct child *c);
void child_signal(const struct child *c, int number);
/* "exited with status 2", "was killed by signal 9 (Killed)"; a static buffer. */
const char *child_describe_end(const struct child *c);
/* TERM, then KILL after grace_ms; returns when it is gone. */
void child_end(struct child *c, unsigned grace_ms);

#endif
