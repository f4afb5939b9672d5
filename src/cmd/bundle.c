/* bundle.c: see bundle.h. */
#include "cmd/bundle.h"

#include "base/hex.h"
#include "base/md.h"
#include "base/must.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { TAR_BLOCK = 512, FOLDER_BYTES = 61, DIGEST_BYTES = 32, GZIP_CHUNK = 65536, GZIP_WINDOW = 15 + 16 };

struct file {
    char name[BUNDLE_NAME_BYTES];
    uint8_t *content; /* owned */
    size_t len;
};

struct bundle {
    char folder[FOLDER_BYTES];
    int64_t now_s;
    struct file *files; /* owned */
    size_t count, bytes;
};

struct bundle *bundle_new(const char *folder, int64_t now_s)
{
    struct bundle *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    snprintf(b->folder, sizeof b->folder, "%s", folder);
    b->now_s = now_s;
    return b;
}

void bundle_free(struct bundle *take_b)
{
    if (!take_b)
        return;
    for (size_t i = 0; i < take_b->count; i++)
        free(take_b->files[i].content);
    free(take_b->files);
    free(take_b);
}

static bool has_name(const struct bundle *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->files[i].name, name) == 0)
            return true;
    return false;
}

static void make_name(const struct bundle *b, const char *name, char ret[BUNDLE_NAME_BYTES])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    enum { NUMBER_BYTES = 8 };
    snprintf(ret, BUNDLE_NAME_BYTES - NUMBER_BYTES, "%s", name);
    for (char *at = ret; *at; at++)
        if (!strchr(allowed, *at))
            *at = '_';
    size_t len = strlen(ret);
    for (unsigned n = 2; has_name(b, ret); n++)
        snprintf(ret + len, NUMBER_BYTES, ".%u", n);
}

int bundle_add(struct bundle *b, const char *name, struct span content, struct err *reterr)
{
    if (b->count == BUNDLE_FILES_MAX || content.len > BUNDLE_BYTES_MAX - b->bytes)
        return err_set(reterr, name, 0, 0, "there is too much for one bundle");
    struct file *more = realloc(b->files, (b->count + 1) * sizeof *more);
    if (more)
        b->files = more;
    uint8_t *copy = more ? malloc(content.len + 1) : NULL;
    if (!copy)
        return err_set(reterr, name, 0, 0, "no memory");
    if (content.len > 0)
        memcpy(copy, content.data, content.len);
    struct file f = {.content = copy, .len = content.len};
    make_name(b, name, f.name);
    b->files[b->count++] = f;
    b->bytes += content.len;
    return 0;
}

int bundle_write_manifest(const struct bundle *b, struct buf *out)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char hex[2 * DIGEST_BYTES];
    for (size_t i = 0; i < b->count; i++) {
        const struct file *f = &b->files[i];
        if (EVP_Digest(f->content, f->len, digest, NULL, md_sha256(), NULL) != 1)
            return -1;
        hex_write(span_of(digest, DIGEST_BYTES), hex);
        if (buf_printf(out, "%.*s  %s\n", (int)sizeof hex, hex, f->name) != 0)
            return -1;
    }
    return 0;
}

/* ---- tar ---- */

static int write_header(const struct bundle *b, const struct file *f, struct buf *out)
{
    struct {
        char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[8],
            user[32], group[32], major[8], minor[8], prefix[155], rest[12];
    } h = {.mode = "0000644", .uid = "0000000", .gid = "0000000", .type = '0', .magic = "ustar"};
    _Static_assert(sizeof h == TAR_BLOCK, "a header is a block");
    unsigned sum = 0;
    memcpy(h.name, f->name, strlen(f->name));
    memcpy(h.prefix, b->folder, strlen(b->folder));
    memcpy(h.magic + 6, "00", 2);
    snprintf(h.size, sizeof h.size, "%011zo", f->len);
    snprintf(h.mtime, sizeof h.mtime, "%011llo", (unsigned long long)b->now_s);
    memset(h.checksum, ' ', sizeof h.checksum);
    for (size_t i = 0; i < sizeof h; i++)
        sum += ((const uint8_t *)&h)[i];
    snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
    return buf_append(out, &h, sizeof h);
}

static int write_tar(const struct bundle *b, struct buf *out)
{
    static const uint8_t zeros[2 * TAR_BLOCK];
    for (size_t i = 0; i < b->count; i++) {
        const struct file *f = &b->files[i];
        if (write_header(b, f, out) != 0 || buf_append(out, f->content, f->len) != 0 ||
            buf_append(out, zeros, (TAR_BLOCK - f->len % TAR_BLOCK) % TAR_BLOCK) != 0)
            return -1;
    }
    return buf_append(out, zeros, sizeof zeros);
}

/* ---- gzip ---- */

static int compress_into(struct span in, struct buf *out)
{
    z_stream z = {0};
    uint8_t chunk[GZIP_CHUNK];
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -1;
    z.next_in = (uint8_t *)(uintptr_t)in.data; /* zlib doesn't write there */
    z.avail_in = (unsigned)in.len;
    int state = Z_OK, result = 0;
    while (state == Z_OK && result == 0) {
        z.next_out = chunk;
        z.avail_out = sizeof chunk;
        state = deflate(&z, Z_FINISH);
        result = buf_append(out, chunk, sizeof chunk - z.avail_out);
    }
    deflateEnd(&z);
    return state == Z_STREAM_END ? result : -1;
}

int bundle_write(const struct bundle *b, struct buf *out, struct err *reterr)
{
    struct buf tar;
    buf_init(&tar, (size_t)BUNDLE_BYTES_MAX + (size_t)BUNDLE_FILES_MAX * 2 * TAR_BLOCK + 2 * TAR_BLOCK);
    int result = write_tar(b, &tar) == 0 ? compress_into(buf_span(&tar), out) : -1;
    buf_free(&tar);
    return result == 0 ? 0 : err_set(reterr, NULL, 0, 0, "no memory for the bundle");
}
