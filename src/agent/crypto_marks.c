/* crypto_marks.c: the half of crypto_names.h that looks into executables. */
#include "agent/crypto_names.h"

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
