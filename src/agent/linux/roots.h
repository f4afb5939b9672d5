/* roots.h: which other roots processes have (containers: mount namespaces and root folders of their own), each by one process in it. Kept
 * are numbers only: nothing of a container is held open. Any thread, but roots_walk() one at a time. */
#ifndef EXEAT_AGENT_LINUX_ROOTS_H
#define EXEAT_AGENT_LINUX_ROOTS_H

#include "agent/linux/exec_record.h"
#include "agent/linux/rooted.h"

enum { ROOTS_MAX = 64 };

struct roots;

struct roots *roots_new(void); /* NULL without memory */
void roots_free(struct roots *r);

/* A process was executed there, or found (then what was mounted is not known: 0). */
void roots_note(struct roots *r, int64_t pid, const struct exec_place *place);

bool roots_wants_walk(struct roots *r); /* something there is new */

/* Those that are new or were mounted anew; all, and what else /proc knows of: `each`. Those in which no process is left are forgotten. */
void roots_walk(struct roots *r, bool all, void (*each)(void *context, const struct rooted *root),
                void *context);

/* A root that was walked, by its mount namespace. False: nobody is there. */
bool roots_open(struct roots *r, uint64_t mounts, struct rooted *ret);
bool roots_has(struct roots *r, uint64_t mounts);

/* The path as it is seen in a root of which ours is a part (chroot): a view into `path`, which is it when it isn't in one. */
const char *roots_seen_path(struct roots *r, const char *path);

#endif
