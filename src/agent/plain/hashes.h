/* hashes.h: SHA-256 of executables a piece at a time, between the loop's other work, and remembered by what names the bytes of a file.
 * plain.c calls in; touches files through platform.h. One thread. */
#ifndef EXEAT_AGENT_PLAIN_HASHES_H
#define EXEAT_AGENT_PLAIN_HASHES_H

#include "agent/platform.h"

struct hashes;

enum hashes_answer { HASHES_KNOWN, HASHES_FAILED, HASHES_BUSY };

struct hashes *hashes_new(void);
void hashes_free(struct hashes *h); /* NULL is fine */

/* *ret_hex is a view that lasts until the next call of anything here. Busy: it is being made, or will be; ask again. */
enum hashes_answer hashes_ask(struct hashes *h, struct process *process, const char **ret_hex);

void hashes_turn(struct hashes *h); /* reads a piece of the file that is being hashed */
bool hashes_are_busy(const struct hashes *h);

#endif
