/* keeper.h: the parent of the agent's two processes. It binds nothing, reads nothing and answers nobody: it starts them, gives each one
 * end of a pair, waits, and starts again the one that a signal ended; to the other it says so. It keeps the rights it
 * was started with, because a new collector needs them. exeat_agent.c calls in. */
#ifndef EXEAT_AGENT_KEEPER_H
#define EXEAT_AGENT_KEEPER_H

#include "agent/packet.h"

struct keeper_part {
    const char *name; /* the process': at most 15 bytes */
    /* In the process of its own. Takes its end of the pair; `generation` counts from 0. The exit status. */
    int (*run)(void *context, int take_fd, uint32_t generation);
    enum packet_kind ended; /* what the other is told when this one is not there any more */
};

enum { KEEPER_COLLECTOR, KEEPER_ANSWERER, KEEPER_PARTS };

/* Until TERM or INT, or until one of them ends by itself: both are ended then. That one's exit status; 0 after a signal. */
int keeper_keep(const struct keeper_part parts[KEEPER_PARTS], void *context);

/* In a part's process, once it is who it will be: it ends with its keeper. */
void keeper_end_together(void);

#endif
