/* store.h: what must survive a restart, in one SQLite database: sightings (what was seen of names, senders, chains: flow/ keeps them in
 * memory and gives them state), certificates, chains. One thread writes; nobody else waits for the disk.
 *
 * Workers put into a bounded queue, which drops and counts what it has no room for. Whoever holds much that changes often is a source
 * instead: the thread asks it every few seconds for what has changed. A file that is damaged is set aside and begun anew; a disk that
 * is full, or a file that can't be opened, is said in store_stats() and in the log, and nothing is kept until that changes.
 *
 * flow/ and run/ call in; `exeat` reads. Touches its files, a mutex, a condition and its thread. */
#ifndef EXEAT_STORE_STORE_H
#define EXEAT_STORE_STORE_H

#include "base/err.h"
#include "base/span.h"

struct store;

enum {
    STORE_ID_BYTES = 16,
    STORE_SECRET_BYTES = 16,
    STORE_SHA256_BYTES = 32,
    STORE_CHAIN_MAX = 32,        /* certificates of a chain that are kept */
    STORE_DER_MAX_BYTES = 65536, /* of one certificate */
};

/* ---- open, start, close ---- */

/* Opens or makes the database, 0640. Never fails but for memory (NULL): without a database it is a store that keeps nothing and says
 * why. No thread yet. */
struct store *store_open(const char *path);
/* For looking only, while exeatd may be writing. NULL fills reterr. */
struct store *store_open_to_read(const char *path, struct err *reterr);
/* From here on the thread writes. -1 fills reterr. */
int store_start(struct store *s, struct err *reterr);
/* Asks the sources a last time and writes what is queued. False: after `deadline_ms` the disk still didn't answer, and the thread is
 * left behind: sources must not be freed. */
bool store_close(struct store *take_s, unsigned deadline_ms);

/* Random, made with the database: the key of digests that serve as ids in it. */
const uint8_t *store_secret(const struct store *s);

/* ---- sightings ---- */

/* What was seen of one name. The `kind`s and what is in `state` are the sources' business (flow/sightings.h). */
struct store_sighting {
    unsigned kind;
    uint8_t id[STORE_ID_BYTES];
    struct span name; /* for people; empty: leaves the one that is there */
    int64_t first_s, last_s;
    uint64_t count;
    struct span state;
};

/* Calls `each` for every one of a kind; views last for the call. Before store_start(), or of a store to read. 0, or -1: not all of
 * them could be read (which is logged). */
typedef void store_each_fn(void *owner, const struct store_sighting *row);
int store_each_sighting(struct store *s, unsigned kind, store_each_fn *each, void *owner);

/* A source, before store_start(). On the thread, within a transaction: calls store_write_sighting() for what has changed since the
 * last call - for all it has when `everything`, because what was written last is lost. */
typedef void store_source_fn(void *owner, struct store *s, bool everything);
void store_add_source(struct store *s, store_source_fn *source, void *owner);
void store_write_sighting(struct store *s, const struct store_sighting *row);

/* From any thread: one row that can't wait for its source, because it is leaving memory. */
void store_put_sighting(struct store *s, const struct store_sighting *row);

/* ---- certificates and chains: from any thread, copied, never waiting ---- */

void store_put_certificate(struct store *s, const uint8_t sha256[STORE_SHA256_BYTES], struct span der,
                           int64_t now_s);

struct store_chain {
    const char *destination, *source; /* "host:port"; as in the record */
    const char *class, *found; /* what was last thought of it: as in the record; ids, separated by blanks */
    struct span sha256;        /* of each certificate, leaf first, STORE_SHA256_BYTES each */
    int64_t first_s, last_s;
    uint64_t count;
};
/* At most STORE_CHAIN_MAX certificates of it are kept; times and count are looked after here. */
void store_put_chain(struct store *s, const struct store_chain *chain, int64_t now_s);

struct store_certificate {
    struct span der;
    int64_t first_s, last_s;
};
/* Of a store to read, or before store_start(). The view lasts until the next call. False: it isn't there. */
bool store_find_certificate(struct store *s, const uint8_t sha256[STORE_SHA256_BYTES],
                            struct store_certificate *ret);

/* Every chain of a destination (NULL: of all), the latest first. */
typedef void store_each_chain_fn(void *owner, const struct store_chain *chain);
int store_each_chain(struct store *s, const char *destination, store_each_chain_fn *each, void *owner);

/* ---- how it is ---- */

struct store_stats {
    uint64_t written, dropped, failures; /* rows; rows that found the queue full; transactions */
    unsigned queued;                     /* rows */
    bool available;                      /* there is a database */
    char last_error[160];                /* of the last transaction; "" when all is well */
};
void store_stats(struct store *s, struct store_stats *ret);

#endif
