/* keystore.c: see keystore.h. A JKS file: magic, version, count, the entries, and a keyed digest of all that. Numbers are big-endian. */
#include "tls/keystore.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

enum { MAGIC = (int)0xfeedfeedU, VERSION = 2, TRUSTED = 2, DIGEST_BYTES = 20 };

static void put_number(struct buf *out, uint64_t value, unsigned bytes)
{
    while (bytes-- > 0) {
        uint8_t byte = (uint8_t)(value >> 8 * bytes);
        buf_append(out, &byte, 1);
    }
}

static void put_text(struct buf *out, const char *text)
{
    put_number(out, strlen(text), 2);
    buf_append_str(out, text);
}

static void put_certificate(struct buf *out, X509 *certificate, unsigned number, uint64_t made_ms)
{
    char alias[32];
    uint8_t *der = NULL;
    int len = i2d_X509(certificate, &der);
    snprintf(alias, sizeof alias, "root-%u", number);
    put_number(out, TRUSTED, 4);
    put_text(out, alias);
    put_number(out, made_ms, 8);
    put_text(out, "X.509");
    put_number(out, len > 0 ? (uint64_t)len : 0, 4);
    if (len <= 0 || buf_append(out, der, (size_t)len) != 0)
        out->failed = true;
    OPENSSL_free(der);
}

/* SHA-1 over the password as UTF-16, a phrase that is part of the format, and the store. */
static int put_digest(struct buf *out, struct span store)
{
    static const char phrase[] = "Mighty Aphrodite", password[] = KEYSTORE_PASSWORD;
    uint8_t wide[2 * (sizeof password - 1)] = {0}, digest[DIGEST_BYTES];
    for (size_t i = 0; i < sizeof password - 1; i++)
        wide[2 * i + 1] = (uint8_t)password[i];
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && EVP_DigestInit_ex(c, EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(c, wide, sizeof wide) == 1 &&
                EVP_DigestUpdate(c, phrase, sizeof phrase - 1) == 1 &&
                EVP_DigestUpdate(c, store.data, store.len) == 1 && EVP_DigestFinal_ex(c, digest, NULL) == 1;
    EVP_MD_CTX_free(c);
    return good ? buf_append(out, digest, sizeof digest) : -1;
}

int keystore_write_jks(struct span pem, uint64_t made_ms, struct buf *out)
{
    struct buf entries, store;
    unsigned count = 0;
    BIO *in = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    buf_init(&entries, out->limit);
    buf_init(&store, out->limit);
    for (X509 *c; in && (c = PEM_read_bio_X509(in, NULL, NULL, NULL)); X509_free(c))
        put_certificate(&entries, c, ++count, made_ms);
    ERR_clear_error(); /* the end of the file is an error of OpenSSL's */
    put_number(&store, (uint32_t)MAGIC, 4);
    put_number(&store, VERSION, 4);
    put_number(&store, count, 4);
    buf_append(&store, buf_span(&entries).data, buf_len(&entries));
    bool good = in && !entries.failed && !store.failed &&
                buf_append(out, buf_span(&store).data, buf_len(&store)) == 0 &&
                put_digest(out, buf_span(&store)) == 0;
    buf_free(&entries);
    buf_free(&store);
    BIO_free(in);
    return good ? (int)count : -1;
}
