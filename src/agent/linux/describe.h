/* describe.h: everything that /proc and the file system tell about one process, as a sender. Slow (about 100 us and a
 * package look-up): done once for each image, never on the way of a process seen before. */
#ifndef EXEAT_AGENT_LINUX_DESCRIBE_H
#define EXEAT_AGENT_LINUX_DESCRIBE_H

#include "agent/linux/borrowed.h"
#include "agent/linux/job.h"
#include "agent/linux/owner_record.h"
#include "agent/linux/packages.h"
#include "agent/linux/process_table.h"

struct describer {
    int procfd; /* borrowed until the describer is freed */
    struct packages packages;
    struct knowledge know; /* borrowed until the describer is freed */
    struct job_finder jobs;
    struct borrowed_looker looker;
    int64_t boot_ms; /* Unix time of boot */
    uint64_t serial; /* last one used */
};

int describer_init(struct describer *d, int procfd, const struct knowledge *know); /* 0, or -1: no memory */
void describer_free(struct describer *d);

/* A new image of the entry's process with one reference, or NULL. `id` was read just before; the caller reads it again
 * afterwards and drops the image if they differ. `image`: what the kernel wrote down when it was executed, else NULL. */
struct process *describe(struct describer *d, const struct entry *e, const struct identity *id,
                         const struct owner_image *image);

/* The same from what was written down alone: for a process that is gone, or is another program by now. `image` NULL:
 * not recorded. `our_view`: it saw the files that we see. */
struct process *describe_recorded(struct describer *d, const struct owner_record *record,
                                  const struct owner_image *image, bool our_view);

/* The user and login user as they were at connect(). */
void describe_recorded_user(struct sender *s, const struct owner_record *record);

int64_t describe_ticks(uint64_t start_ns); /* as /proc/PID/stat counts them */

/* A path as the kernel's program writes it, its last part first, and back. The length, or 0: none, or too long. */
size_t recorded_path_read(const char *parts, size_t used, char *out, size_t size);
size_t recorded_path_write(const char *path, char *parts, size_t size);

/* May a user other than root replace what lies at this absolute path: the file itself or any folder above it? */
bool path_is_writable_by_user(const char *path);

/* argv of a NUL-separated text, in the arena: bounded, unredacted. The count; *ret_truncated when there was more. */
size_t arguments_split(struct arena *arena, const char *text, size_t len, const char *const **ret_argv,
                       bool *ret_truncated);

#endif
