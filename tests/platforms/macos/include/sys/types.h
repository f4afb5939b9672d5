/* types.h: the part of macOS' sys/types.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_SYS_TYPES_H
#define EXEAT_TESTS_MACOS_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int64_t off_t;
typedef uint64_t ino_t;
typedef int32_t dev_t, pid_t;
typedef uint32_t uid_t, gid_t;
typedef uint16_t mode_t, nlink_t;
typedef long ssize_t, time_t;

#endif
