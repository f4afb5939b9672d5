/* file.c: see file.h. Touches files. */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_file(int fd, const char *path, bool secret, struct err *reterr)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set(reterr, path, 0, 0, "cannot be looked at: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(reterr, path, 0, 0, "is not a regular file");
    if (secret && (st.st_mode & (S_IROTH | S_IWOTH)) != 0)
        return err_set(reterr, path, 0, 0, "holds secrets, and others can read or write it: chmod o= it");
    return 0;
}

static int read_all(int fd, const char *path, struct buf *ret, struct err *reterr)
{
    for (;;) {
        size_t room;
        uint8_t extra;
        uint8_t *at = buf_reserve(ret, 65536, &room);
        ssize_t n = at ? read(fd, at, room) : read(fd, &extra, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(reterr, path, 0, 0, "cannot be read: %s", strerror(errno));
        if (n == 0)
            return 0;
        if (!at)
            return err_set(reterr, path, 0, 0, "is larger than %zu bytes", ret->limit);
        buf_commit(ret, (size_t)n);
    }
}

int conf_file_read(const char *path, bool secret, struct buf *ret, struct err *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set(reterr, path, 0, 0, "cannot be opened: %s", strerror(errno));
    int result = check_file(fd, path, secret, reterr) == 0 ? read_all(fd, path, ret, reterr) : -1;
    close(fd);
    return result;
}
