/* watched.h: which files are watched, by what they are and not by their names: each has the class of the name that it was found under
 * first. A file that is renamed or linked elsewhere is still known. Bounded: where there is no room, the one that was found longest
 * ago makes room. Any thread. */
#ifndef EXEAT_AGENT_LINUX_WATCHED_H
#define EXEAT_AGENT_LINUX_WATCHED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { WATCHED_FILES_MAX = 16384 };

/* Numbers of files are used again: with the time of its birth one is never taken for another. */
struct watched_file {
    uint64_t device, inode;
    int64_t born_ns; /* 0: the file system does not keep it */
    uint64_t size;   /* these two are not compared */
    mode_t mode;
};

bool watched_file_of(int fd, struct watched_file *ret); /* the descriptor may be O_PATH */

struct watched;

struct watched *watched_new(void); /* NULL without memory */
void watched_free(struct watched *w);

/* `class_name` must live as long as this does. True: it was not known. */
bool watched_add(struct watched *w, const struct watched_file *file, const char *class_name);

/* The class it was found under; NULL: it never was. */
const char *watched_class(struct watched *w, const struct watched_file *file);

#endif
