/* inttypes.h: the part of macOS' inttypes.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_INTTYPES_H
#define EXEAT_TESTS_MACOS_INTTYPES_H

#include <stdint.h>

#define PRId64 "lld"
#define PRIu64 "llu"

#endif
