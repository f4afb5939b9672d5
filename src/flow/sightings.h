/* sightings.h: what has been seen before, and by how many: of a registrable domain, an address, an AS number, an issuer, a JA4, of the
 * chain that a destination shows. Answered from memory, shared by all workers, kept by store/ across restarts. Bounded: what was seen
 * longest ago is forgotten first, so that whoever asks is told "new" too often rather than too seldom.
 *
 * The steps of a flow ask before they let something out, and note it when it was let out and has come to its end. Touches mutexes and
 * store/'s queue. */
#ifndef EXEAT_FLOW_SIGHTINGS_H
#define EXEAT_FLOW_SIGHTINGS_H

#include "flow/table.h"
#include "store/kinds.h"

struct sightings;
struct store; /* store/store.h */

/* X(NAME, number in the database, what the name is) */
#define SIGHTING_KINDS(X)                                                                                    \
    X(HISTORY, 1, "\"all\": everything that was seen")                                                       \
    X(DOMAIN, 2, "registrable domain")                                                                       \
    X(ADDRESS, 3, "address of a server, as text")                                                            \
    X(ASN, 4, "AS number, in decimal")                                                                       \
    X(ISSUER, 5, "issuer of a leaf certificate")                                                             \
    X(JA4, 6, "JA4 of a hello")                                                                              \
    X(SENDER_JA4, 7, "stable sender, a line feed, JA4")                                                      \
    X(SENDER_DOMAIN, 8, "stable sender, a line feed, registrable domain")                                    \
    X(CHAIN, STORE_KIND_CHAIN,                                                                               \
      "host:port, a line feed, hexadecimal SHA-256 of the leaf; the memo is when it was kept last")          \
    X(CHAIN_SENDER, STORE_KIND_CHAIN_SENDER, "the same, a line feed, stable sender")                         \
    X(DESTINATION_CHAIN, 10, "host:port; the memo is what the last chain was like")                          \
    X(DESTINATION_ISSUER, 11, "host:port, a line feed, issuer")                                              \
    X(HANDSHAKE, 13,                                                                                         \
      "stable sender, a line feed, host:port: a TLS session that began in full; the memo is the highest "    \
      "version")                                                                                             \
    X(ISSUER_DESTINATION, 16, "issuer of a leaf certificate; its senders are destinations, host:port")       \
    X(PROGRAM, 14,                                                                                           \
      "stable sender; or \"file\", host, path where users can write that: its file's hash was known")        \
    X(PROGRAM_HASH, 15, "the same, a line feed, hexadecimal SHA-256 of that file")                           \
    X(KEY, 12, "hexadecimal SHA-256 of a public key; the memo is a digest of the first name it stood for")
enum sighting_kind {
#define X(name, number, doc) SIGHTING_##name = number,
    SIGHTING_KINDS(X)
#undef X
};

enum { SIGHTING_MEMO_BYTES = 48, SIGHTINGS_WINDOW_DAYS = 30 };

/* By whom: good hashes (sightings_hash()); 0 is not known, and not counted. */
struct sighting_by {
    uint64_t sender, host, user;
};

struct sighting {
    bool known; /* it was noted before; else the rest is 0 */
    int64_t first_s, last_s;
    uint64_t count;
    unsigned senders, hosts,
        users; /* different ones within SIGHTINGS_WINDOW_DAYS: never too many, may be too few */
    bool by_sender, by_host, by_user;  /* the one who asks was among them */
    uint8_t memo[SIGHTING_MEMO_BYTES]; /* what the last note that had one said */
    unsigned memo_len;
};

/* Reads what `store` has (NULL: nothing is kept) and becomes its source: before store_start(). Room for `entries`. NULL without
 * memory. */
struct sightings *sightings_new(struct store *store, size_t entries);
void sightings_free(struct sightings *take_s); /* after store_close() */

/* Names are compared as bytes, the first KEPT_NAME_MAX_BYTES of them. `by` may be NULL. */
void sightings_look(struct sightings *s, enum sighting_kind kind, struct span name,
                    const struct sighting_by *by, int64_t now_s, struct sighting *ret);
/* `by` may be NULL; an empty memo leaves the old one; more than SIGHTING_MEMO_BYTES are cut. `ret_before` (may be NULL): as it was
 * before. */
void sightings_note(struct sightings *s, enum sighting_kind kind, struct span name,
                    const struct sighting_by *by, struct span memo, int64_t now_s,
                    struct sighting *ret_before);

/* Of a name of a sender, host or user: never 0. The same after a restart. */
uint64_t sightings_hash(const struct sightings *s, struct span name);

void sightings_stats(const struct sightings *s, struct table_stats *ret);

#endif
