/* digest.c: see digest.h. Pure. */
#include "tls/digest.h"

#include "base/md.h"

#include <openssl/evp.h>

int digest_sha256(const struct span *parts, size_t count, uint8_t ret[DIGEST_SHA256_BYTES])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, md_sha256(), NULL) == 1;
    for (size_t i = 0; good && i < count; i++) {
        uint64_t len = parts[i].len;
        good = EVP_DigestUpdate(md, &len, sizeof len) == 1 &&
               EVP_DigestUpdate(md, parts[i].data, parts[i].len) == 1;
    }
    good = good && EVP_DigestFinal_ex(md, ret, NULL) == 1;
    EVP_MD_CTX_free(md);
    return good ? 0 : -1;
}
