/* string.h: the part of macOS' string.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_STRING_H
#define EXEAT_TESTS_MACOS_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
void *memchr(const void *s, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t n);
size_t strspn(const char *s, const char *set);
size_t strcspn(const char *s, const char *set);
int strcmp(const char *a, const char *b);
char *strndup(const char *s, size_t n);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *part);
char *strpbrk(const char *s, const char *set);
char *strcpy(char *to, const char *from);

#endif
