/* crypto_names.h: which files are libraries of TLS or of ciphers, and what shows that an executable carries one inside. Pure. */
#ifndef EXEAT_AGENT_CRYPTO_NAMES_H
#define EXEAT_AGENT_CRYPTO_NAMES_H

#include "base/span.h"

struct crypto_name {
    const char *family; /* "openssl", "gnutls", ...; NULL: neither */
    bool is_tls, is_cipher;
};

/* By the last part of a library's path. */
struct crypto_name crypto_name_of(const char *path);

/* The family that these bytes of an executable show; NULL: none. A mark may be cut by the edge of a block: let blocks overlap
 * by CRYPTO_MARK_BYTES. */
enum { CRYPTO_MARK_BYTES = 64 };
const char *crypto_mark_in(struct span block);

#endif
