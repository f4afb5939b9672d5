/* stdio.h: the part of macOS' stdio.h that the agent uses, for compiling where there is no Mac. */
#ifndef EXEAT_TESTS_MACOS_STDIO_H
#define EXEAT_TESTS_MACOS_STDIO_H

#include <stdarg.h>
#include <stddef.h>

typedef struct exeat_file FILE;
extern FILE *__stderrp, *__stdoutp;
#define stderr __stderrp
#define stdout __stdoutp

int fclose(FILE *f);
int fprintf(FILE *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fputs(const char *s, FILE *f);
int puts(const char *s);
int sprintf(char *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
int snprintf(char *s, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *s, size_t size, const char *format, va_list args);
char *fgets(char *s, int size, FILE *f);
FILE *popen(const char *command, const char *mode);
int pclose(FILE *f);

#endif
