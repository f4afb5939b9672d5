/* bursts.h: is there a TLS handshake inside a tunnel's TLS (H42)? Encryption hides what is said, not how much of it goes which way: a ClientHello,
 * the server's flight with its certificates, and then a record as long as a Finished is and hardly anything else. Only the first few bursts
 * are looked at, so that what an application says later can't be mistaken for it: at once, or after one short exchange (the way that a
 * proxy inside is asked). wire/record_watch.h shows it the records of both directions. Pure. After Xue et al., "Fingerprinting Obfuscated
 * Proxy Traffic with Encapsulated TLS Handshakes" (USENIX Security 2024); strict where that one weighs, because nobody looks at what
 * it says before a rule acts on it. */
#ifndef EXEAT_WIRE_BURSTS_H
#define EXEAT_WIRE_BURSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records of one direction with none of the other between them. Sizes are of what was encrypted. */
struct burst {
    uint32_t first_bytes, bytes;
    uint16_t records;
};

/* Zeroed before its first use. */
struct bursts {
    struct burst last[4]; /* the newest last */
    uint8_t count;        /* begun so far; the last one's direction is out when it is odd */
    bool asked;           /* the first two were short: the handshake may begin behind them */
    bool finished_13;     /* TLS 1.3: the tunnel's own Finished has passed */
    bool done;            /* nothing more is looked at */
    bool found;
};

/* A record of application data begins: `payload` bytes of it, `out` from the client. `sealed`: the tunnel's TLS is 1.3. */
void bursts_add(struct bursts *b, bool out, bool sealed, size_t payload);

#endif
