/* archive.c: see archive.h. */
#include "agent/archive.h"

#define MAGIC(kind, at, bytes)                                                                               \
    {                                                                                                        \
        kind, at, sizeof bytes - 1, bytes                                                                    \
    }
static const struct {
    const char *kind;
    size_t at, len;
    const char *bytes;
} magics[] = {
    MAGIC("gzip", 0, "\x1f\x8b\x08"),
    MAGIC("zip", 0, "PK\3\4"),
    MAGIC("zip", 0, "PK\5\6"),
    MAGIC("xz", 0,
          "\xfd"
          "7zXZ\0"),
    MAGIC("zstd", 0, "\x28\xb5\x2f\xfd"),
    MAGIC("7z", 0, "7z\xbc\xaf\x27\x1c"),
    MAGIC("rar", 0, "Rar!\x1a\7"),
    MAGIC("tar", 257, "ustar"),
    MAGIC("lz4", 0, "\4\"M\x18"),
    MAGIC("lzip", 0, "LZIP\1"),
    MAGIC("cpio", 0, "07070"),
};

/* "BZh", a digit, and the first three bytes of pi */
static bool is_bzip2(struct span head)
{
    return head.len >= 7 && memcmp(head.data, "BZh", 3) == 0 && head.data[3] >= '1' && head.data[3] <= '9' &&
           memcmp(head.data + 4, "\x31\x41\x59", 3) == 0;
}

const char *archive_kind(struct span head)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (head.len >= magics[i].at + magics[i].len &&
            memcmp(head.data + magics[i].at, magics[i].bytes, magics[i].len) == 0)
            return magics[i].kind;
    return is_bzip2(head) ? "bzip2" : NULL;
}

static const char *const archivers[] = {
    "tar",    "bsdtar", "gzip",    "pigz",   "zip",   "7z",    "7za", "7zr",  "7zz",
    "rar",    "xz",     "pxz",     "pixz",   "zstd",  "bzip2", "lz4", "lzip", "lzma",
    "pbzip2", "cpio",   "bsdcpio", "brotli", "lrzip", "zpaq",  "arj", "lha",
};

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *by_name(struct span name)
{
    for (size_t i = 0; i < sizeof archivers / sizeof archivers[0]; i++)
        if (span_is(name, archivers[i]))
            return archivers[i];
    return NULL;
}

static struct span argument(struct span all, size_t which)
{
    struct span left = all, one = {NULL, 0};
    for (size_t i = 0; i <= which; i++) {
        const uint8_t *end = left.len ? memchr(left.data, 0, left.len) : NULL;
        one = span_of(left.data, end ? (size_t)(end - left.data) : left.len);
        left = span_from(left, one.len + 1);
    }
    return one;
}

static struct span name_in(struct span argument)
{
    for (size_t i = argument.len; i > 0; i--)
        if (argument.data[i - 1] == '/')
            return span_from(argument, i);
    return argument;
}

const char *archiver_kind(const char *path, struct span arguments)
{
    struct span name = span_str(last_part(path));
    if (!span_is(name, "busybox") && !span_is(name, "toybox"))
        return by_name(name);
    const char *applet = by_name(name_in(argument(arguments, 0)));
    return applet ? applet : by_name(name_in(argument(arguments, 1)));
}
