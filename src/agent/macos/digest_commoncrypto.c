/* digest_commoncrypto.c: digest.h by CommonCrypto. */
#include "agent/plain/digest.h"

#include "agent/macos/declarations.h"
#include "base/hex.h"

#include <stdlib.h>

struct digest {
    struct mac_sha256 sha256;
};

struct digest *digest_new(void)
{
    struct digest *d = malloc(sizeof *d);
    if (d)
        CC_SHA256_Init(&d->sha256);
    return d;
}

bool digest_add(struct digest *d, struct span bytes)
{
    return bytes.len <= UINT32_MAX && CC_SHA256_Update(&d->sha256, bytes.data, (uint32_t)bytes.len) == 1;
}

bool digest_finish(struct digest *take_d, char hex[DIGEST_HEX_BYTES])
{
    uint8_t bytes[DIGEST_BYTES];
    bool done = hex && CC_SHA256_Final(bytes, &take_d->sha256) == 1;
    if (done)
        *hex_write(span_of(bytes, sizeof bytes), hex) = '\0';
    free(take_d);
    return done;
}
