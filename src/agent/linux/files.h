/* files.h: which files were opened and written: fanotify, two groups. OPENED: watched folders, each with a mark of its own,
 * for a look at their files (never for permission: nobody ever waits for us). WRITTEN: whole local file systems, for files
 * that were open for writing and are closed now; those that begin like an archive count. A watched file is known by what it is, not only by its
 * name (watched.h), and names that appear in watched folders are listened to (renames.h). observer.c calls in.
 *
 * Only file systems whose data lies here are looked at: on others (FUSE, NFS) opening a file can wait for whoever serves them. */
#ifndef EXEAT_AGENT_LINUX_FILES_H
#define EXEAT_AGENT_LINUX_FILES_H

#include "agent/history.h"
#include "agent/linux/globs.h"
#include "agent/linux/roots.h"

enum { FILES_WHY_BYTES = 160, FILES_FDS = 3 };

struct file_watch;

/* Needs CAP_SYS_ADMIN once (a marker of its own keeps it: marker.h). NULL: `why` says why not; else "", or what it can't do. The globs are
 * copied. */
struct file_watch *file_watch_new(const struct globs *globs, char why[FILES_WHY_BYTES]);
void file_watch_free(struct file_watch *w); /* NULL is fine */

/* Descriptors that become readable. */
void file_watch_fds(const struct file_watch *w, int ret[FILES_FDS]);

/* Handles at most `max` events of each group. True: there may be more. */
bool file_watch_turn(struct file_watch *w, struct history *h, unsigned max);

/* Marks what the globs name now. On any thread, one at a time: it walks folders, which takes as long as it takes. */
void file_watch_walk(struct file_watch *w, void (*on_root)(void *context, const struct rooted *root),
                     void *context);              /* hears of containers that are walked */
bool file_watch_wants_walk(struct file_watch *w); /* there is something new for it */

/* Is the file on a file system whose data lies here? The descriptor may be O_PATH. */
bool file_is_local(int fd);

/* Where it walks: who executes a program elsewhere is to be noted there. Lives as long as the watch. */
struct roots *file_watch_roots(const struct file_watch *w);

uint64_t file_watch_lost(const struct file_watch *w);
unsigned file_watch_marks(const struct file_watch *w); /* folders and files of the last walk */

#endif
