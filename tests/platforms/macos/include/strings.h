/* strings.h: the part of macOS' strings.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_STRINGS_H
#define EXEAT_TESTS_MACOS_STRINGS_H

#include <stddef.h>

int strcasecmp(const char *a, const char *b);
int strncasecmp(const char *a, const char *b, size_t n);

#endif
