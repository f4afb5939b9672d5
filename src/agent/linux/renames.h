/* renames.h: names that appear and vanish in watched folders (inotify): files that are created, linked or renamed there. A renamed file
 * keeps its class, however often it is renamed before anybody looks: what is told is taken in the order in which it happened. files.c
 * calls in. */
#ifndef EXEAT_AGENT_LINUX_RENAMES_H
#define EXEAT_AGENT_LINUX_RENAMES_H

#include "agent/linux/globs.h"

#include <stdint.h>

enum { RENAMES_FOLDERS_MAX = 4096 };

struct renames;

/* A name that has appeared. Views for the call. */
struct name_appeared {
    const char *path;
    uint64_t root;          /* of the folder, as renames_add() was told */
    const char *class_name; /* by this name or by one before; NULL: none */
    bool is_folder;
};

struct renames *renames_new(const struct globs *globs); /* borrowed until freed. NULL: it cannot be had */
void renames_free(struct renames *n);                   /* NULL is fine */
int renames_fd(const struct renames *n);

/* A folder to be listened at: the descriptor may be O_PATH. Told again, its path is the new one. Any thread. False: there is no
 * room for it. */
bool renames_add(struct renames *n, int folder_fd, const char *path, uint64_t root);

/* At most `max_bytes` of what is waiting. True: there may be more. *ret_lost counts what the kernel had no room for. */
bool renames_turn(struct renames *n, unsigned max_bytes, uint64_t *ret_lost,
                  void (*each)(void *context, const struct name_appeared *a), void *context);

#endif
