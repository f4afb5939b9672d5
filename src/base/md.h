/* md.h: the digests that flows need, fetched from OpenSSL once: EVP_sha256() looks its implementation up again with each use, which costs
 * more than hashing a short text (OpenSSL 3, ossl-guide-libcrypto-introduction, "Performance"). Safe from any thread. */
#ifndef EXEAT_BASE_MD_H
#define EXEAT_BASE_MD_H

#include <openssl/types.h>

/* Lives as long as the process; NULL when OpenSSL has none (MD5 in FIPS mode), which EVP calls answer with failure. */
const EVP_MD *md_sha256(void);
const EVP_MD *md_md5(void);

#endif
