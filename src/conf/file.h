/* file.h: reads a small file whole, as conf/ and run/ (the baseline) need it: a regular file, bounded, errors that name
 * it. Touches files. */
#ifndef EXEAT_CONF_FILE_H
#define EXEAT_CONF_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* 0 appends the content to `ret` (whose limit bounds it); -1 fills reterr. `secret`: a file that others can read or write
 * is refused. */
int conf_file_read(const char *path, bool secret, struct buf *ret, struct err *reterr);

#endif
