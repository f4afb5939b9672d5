/* probe.h: a handshake whose only end is to be shown the server's certificates: OpenSSL over memory BIOs as bytes in, bytes out. It
 * offers what another client offered, as far as OpenSSL can, trusts nothing, checks nothing (verify.h judges the chain), sends no
 * certificate, resumes no session. flow/probe.c and `exeat inspect host` call in with a connection. No OpenSSL type shows. */
#ifndef EXEAT_TLS_PROBE_H
#define EXEAT_TLS_PROBE_H

#include "tls/chain.h"

struct
    tls_prober; /* what all probes share: immutable, may be used by several threads; counted by its probes */
struct tls_probe;

/* NULL with reterr. */
struct tls_prober *tls_prober_new(struct err *reterr);
void tls_prober_free(struct tls_prober *take_p);

struct tls_offer {
    const char *name;                  /* sent as SNI; NULL: none */
    struct span alpn;                  /* length-prefixed names, as in the extension; empty: none */
    uint16_t min_version, max_version; /* 0x0301 to 0x0304; 0: whatever OpenSSL can */
    struct span suites,
        groups; /* 16-bit values; those that OpenSSL doesn't have are left out; empty: OpenSSL's own */
};

/* Everything in `offer` is copied. NULL without memory. */
struct tls_probe *tls_probe_new(struct tls_prober *p, const struct tls_offer *offer);
void tls_probe_free(struct tls_probe *take_p);

enum tls_probe_state { TLS_PROBE_TALKING, TLS_PROBE_DONE, TLS_PROBE_FAILED };
enum { TLS_PROBE_BYTES_MAX = 512 << 10 }; /* of the server's, then it fails */

/* Takes bytes of the server's (none at first) and goes on. After DONE, what is outgoing ends the session politely. */
enum tls_probe_state tls_probe_receive(struct tls_probe *p, struct span wire_bytes);
/* What must be written to the wire next: copied out, at most `size` bytes; how many. */
size_t tls_probe_send(struct tls_probe *p, void *ret_data, size_t size);

/* After DONE: the certificates as sent, the caller's; NULL without memory. */
struct chain *tls_probe_take_chain(struct tls_probe *p);
struct span
tls_probe_ocsp(const struct tls_probe *p); /* the stapled response, a view into the probe; may be empty */
struct span tls_probe_scts(struct tls_probe *p); /* the list that came in a TLS extension; likewise */
const char *tls_probe_version(const struct tls_probe *p); /* "1.3", ... */
const char *tls_probe_cipher(const struct tls_probe *p);  /* IANA's name */
struct span tls_probe_alpn(const struct tls_probe *p);    /* chosen, a view; empty without */
const char *tls_probe_error(const struct tls_probe *p);   /* why it FAILED: one sentence */

#endif
