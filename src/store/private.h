/* private.h: a store's insides, shared by store.c (queue and thread) and read.c. */
#ifndef EXEAT_STORE_PRIVATE_H
#define EXEAT_STORE_PRIVATE_H

#include "store/database.h"

#include <pthread.h>

enum { STORE_SOURCES_MAX = 8 };

/* One row that waits, in one block of memory with its bytes. */
struct store_item {
    struct store_item *next;
    enum database_statement what;
    struct store_sighting sighting; /* its spans: views into `bytes`, like all below */
    struct span key, text, blob;    /* certificate: sha256, -, der; chain: destination, source, sha256s */
    struct span class, found;       /* of a chain */
    int64_t now_s;
    size_t size;
    uint8_t bytes[];
};

struct store {
    struct database db; /* the thread's, once it runs */
    struct {
        store_source_fn *call;
        void *owner; /* borrowed until store_close() */
    } sources[STORE_SOURCES_MAX];
    unsigned source_count;
    bool everything; /* sources are asked for all they have: what was written last is lost */
    bool renew;      /* the file is damaged: a new one is begun */
    bool failed;     /* the transaction under way has failed; thread's */
    uint64_t rows;   /* of the transaction under way; thread's */
    int64_t purged_s;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t wake, ended;
    struct store_item *first, *last; /* owned */
    unsigned queued;
    size_t queued_bytes;
    bool closing, done, abandoned;
    struct store_stats stats;
};

#endif
