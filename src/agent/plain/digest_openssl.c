/* digest_openssl.c: digest.h where there is OpenSSL: for the plain core's tests. */
#include "agent/plain/digest.h"

#include "base/hex.h"
#include "base/md.h"

#include <openssl/evp.h>

/* An EVP_MD_CTX by another name. */
struct digest *digest_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context && EVP_DigestInit_ex(context, md_sha256(), NULL) == 1)
        return (struct digest *)context;
    EVP_MD_CTX_free(context);
    return NULL;
}

bool digest_add(struct digest *d, struct span bytes)
{
    return EVP_DigestUpdate((EVP_MD_CTX *)d, bytes.data, bytes.len) == 1;
}

bool digest_finish(struct digest *take_d, char hex[DIGEST_HEX_BYTES])
{
    uint8_t bytes[DIGEST_BYTES];
    EVP_MD_CTX *context = (EVP_MD_CTX *)take_d;
    bool done = hex && EVP_DigestFinal_ex(context, bytes, NULL) == 1;
    if (done)
        *hex_write(span_of(bytes, sizeof bytes), hex) = '\0';
    EVP_MD_CTX_free(context);
    return done;
}
