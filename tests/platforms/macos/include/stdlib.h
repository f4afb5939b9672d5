/* stdlib.h: the part of macOS' stdlib.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_STDLIB_H
#define EXEAT_TESTS_MACOS_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);
_Noreturn void abort(void);
_Noreturn void exit(int status);
double strtod(const char *s, char **end);
long strtol(const char *s, char **end, int base);

#endif
