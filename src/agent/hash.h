/* hash.h: SHA-256 of executables and scripts, in libuv's threads, remembered by the file's key (device, inode, size, mtime,
 * ctime). The core calls in, from the loop's thread. Jobs are bounded: two run, some wait, more are refused for now. */
#ifndef EXEAT_AGENT_HASH_H
#define EXEAT_AGENT_HASH_H

#include "agent/platform.h"

#include <uv.h>

/* Of one reading. `md5` only to compare with what a package says; "" where this system's OpenSSL has none. */
struct hash_digests {
    char sha256[65], md5[33]; /* lower-case hex */
};

enum hash_answer { HASH_KNOWN, HASH_STARTED, HASH_BUSY, HASH_IMPOSSIBLE };

struct hasher;

/* `on_done` is told, in the loop's thread, that a key's hash is known or will not be (failed). */
typedef void (*hash_done)(void *context, const struct file_key *key,
                          const struct hash_digests *digests_or_null);

struct hasher *hasher_new(uv_loop_t *loop, hash_done on_done, void *context);
void hasher_free(struct hasher *h); /* waits for the jobs that run */

/* KNOWN fills *ret. STARTED: on_done will tell. Takes the descriptor in every case. */
enum hash_answer hasher_ask(struct hasher *h, const struct file_key *key, int take_fd,
                            struct hash_digests *ret);
/* The same without a descriptor: KNOWN, or STARTED when a job for this key is under way, or else BUSY. */
enum hash_answer hasher_look(struct hasher *h, const struct file_key *key, struct hash_digests *ret);

#endif
