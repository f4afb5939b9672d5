/* crypto_names.c: see crypto_names.h. */
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
};

struct crypto_name crypto_name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        size_t len = strlen(libraries[i].begin);
        if (strncmp(name, libraries[i].begin, len) != 0)
            continue;
        const char *rest = name + len;
        if ((*rest == '.' || *rest == '-' || (*rest >= '0' && *rest <= '9')) && strstr(rest, ".so"))
            return (struct crypto_name){libraries[i].family, (libraries[i].is & TLS) != 0,
                                        (libraries[i].is & CIPHER) != 0};
    }
    return (struct crypto_name){NULL, false, false};
}

/* Texts that the code of a TLS library carries with it and its users don't: names of functions that Go keeps for its traces,
 * source files that errors and panics name. */
static const struct {
    const char *mark, *family;
} marks[] = {
    {"crypto/tls.(*Conn)", "go"},
    {"statem_clnt.c", "openssl"},
    {"boringssl/src/ssl/", "boringssl"},
    {"boringssl/ssl/", "boringssl"},
    {"/rustls-0.", "rustls"},
    {"rustls::client", "rustls"},
    {"mbedtls/library/ssl_", "mbedtls"},
    {"library/ssl_tls12_client.c", "mbedtls"},
};

const char *crypto_mark_in(struct span block)
{
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (block.len && memmem(block.data, block.len, marks[i].mark, strlen(marks[i].mark)))
            return marks[i].family;
    return NULL;
}
