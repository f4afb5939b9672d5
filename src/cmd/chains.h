/* chains.h: the certificates that servers showed, read from the history's database while exeatd may be writing it: what `exeat chains list`
 * and `exeat chains show` share. Touches the database. */
#ifndef EXEAT_CMD_CHAINS_H
#define EXEAT_CMD_CHAINS_H

#include "base/json.h"
#include "conf/conf.h"
#include "store/store.h"
#include "tls/chain.h"

enum { CHAINS_OUTPUT_BYTES_MAX = 256 * 1024 * 1024 };

struct chains_sender {
    char *name; /* owned: its stable name */
    int64_t first_s, last_s;
    uint64_t count;
};

/* One chain at one destination. */
struct chains_item {
    char *destination, *source, *class, *found; /* owned */
    uint8_t *sha256s;                           /* owned: of each certificate, leaf first */
    size_t certificate_count;
    int64_t first_s, last_s;
    uint64_t count;                /* of exchanges that were shown this leaf there */
    struct chains_sender *senders; /* owned: who was shown it */
    size_t sender_count;
    bool changed_issuer, changed_key, changed_class; /* from the one before it at this destination */
    bool first;                                      /* nothing else was seen there before */
};

struct chains {
    struct store *store; /* owned; open to read */
    struct chains_item *items;
    size_t count; /* sorted by destination, then by when it was first seen */
};

struct chains_arguments {
    const char *state, *config, *host, *class, *issuer, *since, *pem,
        *der; /* views into argv; NULL when not given */
    bool json;
    int64_t since_s;
    char **rest;
    int rest_count;
};

/* -1: go on; else the exit code: help was asked for, or the usage is wrong. */
int chains_arguments(int argc, char **argv, const char *words, const char *help,
                     struct chains_arguments *ret);

/* 0, or an exit code with reterr. */
int chains_read(const struct chains_arguments *a, struct chains *ret, struct err *reterr);
void chains_free(struct chains *c);

/* The certificates of it that are kept; others are malformed ones. NULL without memory. */
struct chain *chains_load(const struct chains *c, const struct chains_item *item);

/* Is it the chain of this host, or of this HOST:PORT? */
bool chains_is_at(const struct chains_item *item, const char *host);

/* The members of an open object that list and show have in common. `chain` is what chains_load() gave. */
void chains_write(struct json *j, const struct chains_item *item, const struct chain *chain);
/* For people: two lines or more. */
void chains_print(const struct chains_item *item, const struct chain *chain);

#endif
