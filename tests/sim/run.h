/* run.h: plays a scenario once: strictly, or with something going wrong at a step. */
#ifndef EXEAT_TESTS_SIM_RUN_H
#define EXEAT_TESTS_SIM_RUN_H

#include "fake_net.h"
#include "scenario.h"

struct run_result {
    uint64_t steps; /* calls and callbacks */
    uint64_t bytes; /* moved, both ways */
    bool used_tls;
};

/* With INJECT_NOTHING the scenario's expectations count: -1 and a message on stderr when one fails. Otherwise only what always
 * holds (world.h) does. */
int run_scenario(struct scenario *s, enum injection injection, uint64_t at, struct run_result *ret);

extern bool run_verbose; /* prints the records */

#endif
