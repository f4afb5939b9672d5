/* replace_file.h: a file that people and programs read gets new content, all or nothing. */
#ifndef EXEAT_CMD_REPLACE_FILE_H
#define EXEAT_CMD_REPLACE_FILE_H

#include "base/err.h"
#include "base/span.h"

/* Written beside it, synced, then put in its place with the mode 0644. 0, or -1 with reterr and the old content untouched. */
int replace_file(const char *path, struct span text, struct err *reterr);

#endif
