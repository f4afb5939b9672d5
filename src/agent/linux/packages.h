/* packages.h: which Debian package owns a file, by path: /var/lib/dpkg/info/NAME.list, read once into an index of keyed
 * hashes (12 bytes a path) and confirmed in the package's own list at each hit, so that a made-up collision is no
 * way into a package. Knows that /bin, /sbin and /lib may be links into /usr. Diversions are not followed. */
#ifndef EXEAT_AGENT_LINUX_PACKAGES_H
#define EXEAT_AGENT_LINUX_PACKAGES_H

#include "base/arena.h"

#include <sys/stat.h>

struct package_path {
    uint64_t hash;
    uint32_t package; /* index into names */
};

struct packages {
    char folder[256]; /* "/var/lib/dpkg"; a test's own */
    uint64_t key;
    struct package_path *paths; /* owned; sorted by hash */
    size_t path_count, path_cap;
    char **names; /* owned, each owned: "curl", "libc6:amd64" */
    size_t name_count, name_cap;
    struct timespec info_changed; /* of the folder when it was read */
};

void packages_init(struct packages *p, const char *folder, uint64_t key);
void packages_free(struct packages *p);

/* Reads the index when there is none or the folder changed since. 0; -1 when there is no dpkg here. */
int packages_refresh(struct packages *p);

/* Fills name and version (from the arena; version may stay NULL). False when no package lists the path. */
bool packages_find(struct packages *p, const char *path, struct arena *arena, const char **ret_name,
                   const char **ret_version);

/* The MD5 (lower-case hex) that the owning package's list has for the file at this path; false when it has none
 * (configuration, no list). */
bool packages_digest(struct packages *p, const char *path, char ret_md5[33]);

#endif
