/* learned.h: which sender reached which destination, learned from records: the database of `exeat baseline`, a file of its own beside the
 * history. One process at a time writes it. Touches its file. */
#ifndef EXEAT_STORE_LEARNED_H
#define EXEAT_STORE_LEARNED_H

#include "base/err.h"
#include "base/span.h"

enum { LEARNED_TEXT_BYTES = 512 };

/* One sender and one destination. Texts are NUL-terminated, "" where not known. */
struct learned_pair {
    char sender[LEARNED_TEXT_BYTES]; /* its stable name */
    char executable[LEARNED_TEXT_BYTES], package[128], unit[256], user[128], script[LEARNED_TEXT_BYTES],
        sha256[65], script_sha256[65];
    bool interpreter, writable, script_writable;
    char host[256];
    uint16_t port;
    int64_t first_ms, last_ms, bytes_out;
    uint64_t count, inexact, borrowed, anomalies,
        rules;             /* exchanges; of them: the sender not exact, borrowed, ... */
    double beacon;         /* the highest score */
    unsigned hosts, users; /* different ones; learned_note(): not looked at */
};

struct learned;

/* Opens or makes it, 0640. NULL fills reterr. */
struct learned *learned_open(const char *path, struct err *reterr);
void learned_close(struct learned *take_l);

/* Between begin and end: all or nothing. 0, or -1 with reterr. */
int learned_begin(struct learned *l, struct err *reterr);
int learned_end(struct learned *l, struct err *reterr);

/* One exchange: counts are added, first and last moved, the rest replaced. `on_host` and `user` are counted once each. */
int learned_note(struct learned *l, const struct learned_pair *p, const char *on_host, struct err *reterr);

/* A file was seen with this hash: `program` is its sender's stable name, or "file PATH" where users can write that. */
int learned_note_hash(struct learned *l, const char *program, const char *sha256, int64_t time_ms,
                      struct err *reterr);

struct learned_hash {
    char sha256[65];
    int64_t first_ms;
};
/* The two that this program was seen with last, the newest first. How many there are, 2 at most. */
unsigned learned_hashes(struct learned *l, const char *program, struct learned_hash ret[2]);

/* Up to when records of `source` were learned from; 0: nothing yet. */
int64_t learned_until(struct learned *l, const char *source);
int learned_set_until(struct learned *l, const char *source, int64_t time_ms, struct err *reterr);

/* Every pair, by sender, then host. Not 0 from `each` ends it and is returned. */
typedef int learned_fn(void *owner, const struct learned_pair *p);
int learned_each(struct learned *l, learned_fn *each, void *owner, struct err *reterr);
/* Different hosts in all. */
unsigned learned_hosts(struct learned *l);
/* Forgets pairs not used since; how many, or -1. */
int64_t learned_expire(struct learned *l, int64_t before_ms, struct err *reterr);

#endif
