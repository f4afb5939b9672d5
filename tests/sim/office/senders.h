/* senders.h: what the agent of a host of the office says of a visit's sender: made once for each program, host and build. For play.c. */
#ifndef EXEAT_TESTS_SIM_OFFICE_SENDERS_H
#define EXEAT_TESTS_SIM_OFFICE_SENDERS_H

#include "office.h"
#include "wire/agent_history.h"
#include "wire/sender.h"

struct senders;
struct senders *senders_new(void);
void senders_free(struct senders *take_s);

struct program_info {
    const char *package, *executable, *script;
    enum hello_kind hello;
    double runs_a_day, share;
    unsigned flags;
};
const struct program_info *program_info(enum program p);

/* Borrowed until senders_free(). */
struct sender *senders_get(struct senders *s, const struct office *o, const struct visit *v);
/* What it did lately, how often it runs: a reference, the caller's. */
struct agent_history *senders_history(const struct office *o, const struct visit *v);
void senders_host_name(unsigned host, char out[NAME_BYTES]);

#endif
