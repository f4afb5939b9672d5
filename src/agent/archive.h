/* archive.h: is this an archive, is this an archiver? Pure. */
#ifndef EXEAT_AGENT_ARCHIVE_H
#define EXEAT_AGENT_ARCHIVE_H

#include "base/span.h"

enum { ARCHIVE_HEAD_BYTES = 265 }; /* so much of a file's beginning tells */

/* "gzip", "zip", ...; NULL when the bytes begin like no archive or compressed file. Documents of office programs and Java
 * archives are zip files, too. */
const char *archive_kind(struct span head);

/* "tar", "7z", ...; NULL when the program is none. `path` of the executable, `arguments` as /proc/PID/cmdline has them. */
const char *archiver_kind(const char *path, struct span arguments);

#endif
