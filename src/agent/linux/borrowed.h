/* borrowed.h: is the program that a process runs its own master? Its environment (libraries to load first, options, start-up
 * files), its arguments (orders from elsewhere), how it was started (through the loader), and what can change while it runs:
 * a tracer, code that is in no file or in a file that users can write. describe.c and the answering paths call in.
 *
 * The environment is the process' own memory: it can wipe it after the start. What was loaded by it stays mapped, and that
 * is looked at too. A file is counted only where users can write: what root installed and a package replaced since (the
 * mapping says "deleted") is nobody's tool.
 *
 * Cost: environment and mappings once for each execution; then the tracer for each answer (at most every 10 ms), the
 * mappings at most once a second. What was mapped and is gone again within that second is not seen. */
#ifndef EXEAT_AGENT_LINUX_BORROWED_H
#define EXEAT_AGENT_LINUX_BORROWED_H

#include "agent/linux/process_table.h"
#include "agent/programs.h"

enum { BORROWED_WHY_BYTES = PROCESS_WHY_BYTES, WRITABLE_KNOWN = 512, ENVIRONMENT_BYTES = 256 * 1024 };

/* What was found: the set, and text for the first finding. */
struct borrowed {
    uint32_t set; /* of enum sender_borrowed */
    char why[BORROWED_WHY_BYTES];
};

/* Of files that are mapped by many: can users write them? */
struct writable_known {
    uint64_t key;
    int64_t checked_ms; /* monotonic */
    bool writable;
};

struct borrowed_looker {
    struct writable_known known[WRITABLE_KNOWN];
    uint64_t our_mounts; /* inode of the agent's mount namespace */
    char *text;          /* owned: ENVIRONMENT_BYTES, for environments and mappings */
};

int borrowed_looker_init(struct borrowed_looker *l); /* 0, or -1 without memory */
void borrowed_looker_free(struct borrowed_looker *l);

/* Is this the dynamic loader's file, by its name? */
bool borrowed_is_loader(const char *executable);

/* Variables "NAME=value", NUL after each, of a program with this executable. */
void borrowed_by_environment(struct span text, const char *executable, struct borrowed *b);

/* The process' environment and start, which stay as they are until it executes something else. */
void borrowed_look_fixed(struct borrowed_looker *l, const struct entry *e, const struct sender *s,
                         struct borrowed *b);

/* The text of /proc/PID/maps. A process that is_jit makes code in memory. */
void borrowed_by_maps(struct borrowed_looker *l, const struct entry *e, const struct process *p,
                      struct span text, struct borrowed *b);

/* Looks again at what can change, as often as it says above; the sender's set, evidence and the process' revision follow.
 * What cannot be read (it is gone) stays as it was. */
void borrowed_look_again(struct borrowed_looker *l, const struct entry *e, struct process *p, int64_t now_ms);

#endif
