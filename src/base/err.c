/* err.c: see err.h. Pure. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

int err_set(struct err *reterr, const char *file, unsigned line, unsigned column, const char *format, ...)
{
    if (!reterr || reterr->text[0])
        return -1;
    snprintf(reterr->file, sizeof reterr->file, "%s", file ? file : "");
    reterr->line = line;
    reterr->column = column;
    va_list args;
    va_start(args, format);
    vsnprintf(reterr->text, sizeof reterr->text, format, args);
    va_end(args);
    make_printable(reterr->file);
    make_printable(reterr->text);
    return -1;
}

char *err_format(const struct err *e, char *out, size_t size)
{
    if (e->file[0] && e->line)
        snprintf(out, size, "%s:%u:%u: %s", e->file, e->line, e->column, e->text);
    else if (e->file[0])
        snprintf(out, size, "%s: %s", e->file, e->text);
    else
        snprintf(out, size, "%s", e->text);
    return out;
}
