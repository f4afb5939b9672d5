/* spawn.h: the part of macOS' spawn.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_SPAWN_H
#define EXEAT_TESTS_MACOS_SPAWN_H

#include <sys/types.h>

#define POSIX_SPAWN_CLOEXEC_DEFAULT 0x4000

typedef void *posix_spawnattr_t, *posix_spawn_file_actions_t;

int posix_spawn(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const *argv, char *const *environment);
int posix_spawnattr_init(posix_spawnattr_t *a);
int posix_spawnattr_destroy(posix_spawnattr_t *a);
int posix_spawnattr_setflags(posix_spawnattr_t *a, short flags);
int posix_spawn_file_actions_init(posix_spawn_file_actions_t *a);
int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *a);
int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *a, int fd, int as);
int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *a, int fd, const char *path, int flags,
                                     mode_t mode);

#endif
