/* crypto_names.c: see crypto_names.h. Windows and macOS, too: the endings of their libraries differ, the beginnings hardly. */
#include "agent/crypto_names.h"

enum { TLS = 1, CIPHER = 2 };

/* What a library's file name begins with; a digit, a dot or a dash follows. */
static const struct {
    const char *begin, *family;
    int is;
} libraries[] = {
    {"libssl", "openssl", TLS},
    {"libcrypto", "openssl", CIPHER},
    {"libgnutls", "gnutls", TLS},
    {"libnettle", "nettle", CIPHER},
    {"libhogweed", "nettle", CIPHER},
    {"libgcrypt", "gcrypt", CIPHER},
    {"libnss3", "nss", TLS},
    {"libsoftokn3", "nss", CIPHER},
    {"libfreebl3", "nss", CIPHER},
    {"libfreeblpriv3", "nss", CIPHER},
    {"libmbedtls", "mbedtls", TLS},
    {"libmbedcrypto", "mbedtls", CIPHER},
    {"libwolfssl", "wolfssl", TLS | CIPHER},
    {"libbearssl", "bearssl", TLS | CIPHER},
    {"libtls", "libretls", TLS},
    {"librustls", "rustls", TLS},
    {"libs2n", "s2n", TLS},
    {"libsodium", "sodium", CIPHER},
    {"libtomcrypt", "tomcrypt", CIPHER},
    {"libmcrypt", "mcrypt", CIPHER},
    {"libcrypto++", "crypto++", CIPHER},
    {"libcryptopp", "crypto++", CIPHER},
    {"libbotan", "botan", TLS | CIPHER},
    {"libgpgme", "gpgme", CIPHER},
    {"ssleay32", "openssl", TLS}, /* on Windows, without "lib" */
    {"libeay32", "openssl", CIPHER},
    {"nss3", "nss", TLS},
    {"softokn3", "nss", CIPHER},
    {"freebl3", "nss", CIPHER},
    {"schannel", "schannel", TLS},
};

static bool is_library(const char *rest)
{
    size_t len = strlen(rest);
    bool version = *rest == '.' || *rest == '-' || (*rest >= '0' && *rest <= '9');
    return version && (strstr(rest, ".so") || (len >= 4 && strcasecmp(rest + len - 4, ".dll") == 0) ||
                       (len >= 6 && strcmp(rest + len - 6, ".dylib") == 0));
}

struct crypto_name crypto_name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        size_t len = strlen(libraries[i].begin);
        if (strncasecmp(name, libraries[i].begin, len) == 0 && is_library(name + len))
            return (struct crypto_name){libraries[i].family, (libraries[i].is & TLS) != 0,
                                        (libraries[i].is & CIPHER) != 0};
    }
    return (struct crypto_name){NULL, false, false};
}
