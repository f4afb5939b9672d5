/* replace_file.c: see replace_file.h. */
#include "cmd/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int replace_file(const char *path, struct span text, struct err *reterr)
{
    char beside[4096];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return err_set(reterr, path, 0, 0, "the path is too long");
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool good = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (good && rename(beside, path) == 0)
        return 0;
    unlink(beside);
    return err_set(reterr, path, 0, 0, "can't be written: %s", strerror(good ? errno : error));
}
