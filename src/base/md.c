/* md.c: see md.h. Touches libcrypto only. */
#include "base/md.h"

#include <openssl/evp.h>
#include <stdatomic.h>

typedef _Atomic(EVP_MD *) kept;

/* Two threads may both be the first: one of the two copies is given back. */
static const EVP_MD *fetch(kept *place, const char *name)
{
    EVP_MD *md = atomic_load_explicit(place, memory_order_acquire);
    if (md)
        return md;
    EVP_MD *fetched = EVP_MD_fetch(NULL, name, NULL);
    if (atomic_compare_exchange_strong(place, &md, fetched))
        return fetched;
    EVP_MD_free(fetched);
    return md;
}

const EVP_MD *md_sha256(void)
{
    static kept sha256;
    return fetch(&sha256, "SHA256");
}

const EVP_MD *md_md5(void)
{
    static kept md5;
    return fetch(&md5, "MD5");
}
