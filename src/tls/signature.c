/* signature.c: see signature.h. */
#include "tls/signature.h"

#include "base/hex.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct signature_key {
    EVP_PKEY *key; /* owned */
};

static EVP_PKEY *read_key(int fd, const char *path, struct err *reterr)
{
    struct stat st;
    char group[32] = "";
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
        err_set(reterr, path, 0, 0, "is to be a file that its owner alone may read (0600)");
        return NULL;
    }
    int copy = dup(fd);
    FILE *in = copy >= 0 ? fdopen(copy, "r") : NULL;
    EVP_PKEY *key = in ? PEM_read_PrivateKey(in, NULL, NULL, NULL) : NULL;
    if (in)
        fclose(in);
    else if (copy >= 0)
        close(copy);
    if (key && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
        strcmp(group, "prime256v1") == 0)
        return key;
    EVP_PKEY_free(key);
    err_set(reterr, path, 0, 0, "is no private key of P-256");
    return NULL;
}

/* The file is there under its name once it is whole; somebody else's that came first is not overwritten. */
static int write_key(EVP_PKEY *key, const char *path, struct err *reterr)
{
    char unfinished[4096];
    if (snprintf(unfinished, sizeof unfinished, "%s.%ld", path, (long)getpid()) >= (int)sizeof unfinished)
        return err_set(reterr, path, 0, 0, "the name is too long");
    int fd = open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    int result = out && PEM_write_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                         fflush(out) == 0 && fsync(fd) == 0
                     ? 0
                     : -1;
    if (out)
        fclose(out);
    else if (fd >= 0)
        close(fd);
    if (result == 0)
        result = link(unfinished, path);
    if (result != 0)
        err_set(reterr, path, 0, 0, "a key cannot be written: %s", strerror(errno));
    if (fd >= 0)
        unlink(unfinished);
    return result;
}

static EVP_PKEY *make_key(const char *path, struct err *reterr)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key) {
        err_set(reterr, path, 0, 0, "a key cannot be made");
        return NULL;
    }
    if (write_key(key, path, reterr) == 0)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

struct signature_key *signature_key_open(const char *path, bool *ret_made, struct err *reterr)
{
    struct signature_key *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(reterr, path, 0, 0, "no memory"), NULL;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool absent = fd < 0 && errno == ENOENT;
    if (fd >= 0)
        k->key = read_key(fd, path, reterr);
    else if (absent)
        k->key = make_key(path, reterr);
    else
        err_set(reterr, path, 0, 0, "cannot be opened: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!k->key) {
        free(k);
        return NULL;
    }
    *ret_made = absent;
    return k;
}

void signature_key_free(struct signature_key *take_k)
{
    if (!take_k)
        return;
    EVP_PKEY_free(take_k->key);
    free(take_k);
}

int signature_key_public(const struct signature_key *k, struct buf *ret_pem,
                         char ret_fingerprint[SIGNATURE_FINGERPRINT_BYTES], struct err *reterr)
{
    uint8_t digest[EVP_MAX_MD_SIZE], *der = NULL;
    unsigned digest_len = 0;
    char *text;
    BIO *out = BIO_new(BIO_s_mem());
    int len = i2d_PUBKEY(k->key, &der), result = -1;
    if (out && len > 0 && PEM_write_bio_PUBKEY(out, k->key) == 1 &&
        EVP_Digest(der, (size_t)len, digest, &digest_len, EVP_sha256(), NULL) == 1) {
        long size = BIO_get_mem_data(out, &text);
        result = buf_append(ret_pem, text, (size_t)size);
        *hex_write(span_of(digest, digest_len), ret_fingerprint) = '\0';
    }
    BIO_free(out);
    OPENSSL_free(der);
    return result == 0 ? 0 : err_set(reterr, NULL, 0, 0, "the public key cannot be written");
}

int signature_make(const struct signature_key *k, struct span data, struct buf *ret, struct err *reterr)
{
    uint8_t bytes[SIGNATURE_MAX_BYTES];
    size_t len = sizeof bytes;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    int result = -1;
    if (c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, k->key) == 1 &&
        EVP_DigestSign(c, bytes, &len, data.data, data.len) == 1)
        result = buf_append(ret, bytes, len);
    EVP_MD_CTX_free(c);
    return result == 0 ? 0 : err_set(reterr, NULL, 0, 0, "it cannot be signed");
}
