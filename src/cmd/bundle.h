/* bundle.h: files gathered in memory, their manifest, and all of it as a tar.gz that any tar reads (POSIX.1-2001 ustar, RFC 1952). Bounded.
 * case_export.c calls in; pure but for malloc and zlib. */
#ifndef EXEAT_CMD_BUNDLE_H
#define EXEAT_CMD_BUNDLE_H

#include "base/buf.h"
#include "base/err.h"

enum {
    BUNDLE_NAME_BYTES = 80, /* of a file in it; its folder comes before that */
    BUNDLE_FILES_MAX = 4096,
    BUNDLE_BYTES_MAX = 256 * 1024 * 1024,
};

struct bundle;

/* Everything in it is below `folder`, a name without slashes (copied, at most 60 bytes). NULL without memory. */
struct bundle *bundle_new(const char *folder, int64_t now_s);
void bundle_free(struct bundle *take_b); /* NULL is fine */

/* A file's content is copied. Bytes of a name other than letters, digits and "._-/" become '_'; one that is there already gets a number, one that
 * is too long is cut. 0, or -1 with reterr: too much. */
int bundle_add(struct bundle *b, const char *name, struct span content, struct err *reterr);

/* Appends a line for each file so far as `sha256sum --check` reads it: digest, two spaces, name. 0, or -1. */
int bundle_write_manifest(const struct bundle *b, struct buf *out);

/* Appends the whole as tar.gz. 0, or -1 with reterr. */
int bundle_write(const struct bundle *b, struct buf *out, struct err *reterr);

#endif
