/* digest_bcrypt.c: digest.h by BCrypt. */
#include "agent/plain/digest.h"

#include "base/hex.h"

#include <stdlib.h>
#include <windows.h>

#include <bcrypt.h>

struct digest {
    BCRYPT_ALG_HANDLE algorithm;
    BCRYPT_HASH_HANDLE hash;
};

struct digest *digest_new(void)
{
    struct digest *d = calloc(1, sizeof *d);
    if (d && BCryptOpenAlgorithmProvider(&d->algorithm, BCRYPT_SHA256_ALGORITHM, NULL, 0) == 0 &&
        BCryptCreateHash(d->algorithm, &d->hash, NULL, 0, NULL, 0, 0) == 0)
        return d;
    if (d && d->algorithm)
        BCryptCloseAlgorithmProvider(d->algorithm, 0);
    free(d);
    return NULL;
}

bool digest_add(struct digest *d, struct span bytes)
{
    return BCryptHashData(d->hash, (PUCHAR)(uintptr_t)bytes.data, (ULONG)bytes.len, 0) == 0;
}

bool digest_finish(struct digest *take_d, char hex[DIGEST_HEX_BYTES])
{
    uint8_t bytes[DIGEST_BYTES];
    bool done = hex && BCryptFinishHash(take_d->hash, bytes, sizeof bytes, 0) == 0;
    if (done)
        *hex_write(span_of(bytes, sizeof bytes), hex) = '\0';
    BCryptDestroyHash(take_d->hash);
    BCryptCloseAlgorithmProvider(take_d->algorithm, 0);
    free(take_d);
    return done;
}
