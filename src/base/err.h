/* err.h: the error family for human input (config, baseline, rules, certificates): what is wrong, and where.
 * Parsers of network bytes answer enum parse; operations answer 0 or a negative code. Pure. */
#ifndef EXEAT_BASE_ERR_H
#define EXEAT_BASE_ERR_H

#include <stddef.h>

struct err {
    char file[256];        /* as the person named it; "" when there is none */
    unsigned line, column; /* from 1; 0 when unknown */
    char text[512];        /* one sentence, no newline, printable */
};

/* Fills `reterr` (which may be NULL) and returns -1, so that `return err_set(...)` reads well. The first
 * error stays: later calls on the same struct change nothing. Unprintable bytes become '?'. */
int err_set(struct err *reterr, const char *file, unsigned line, unsigned column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* "file:line:column: text", or what of it is known; returns `out`. */
char *err_format(const struct err *e, char *out, size_t size);

#endif
