/* popularity.h: a list of well-known domains with their ranks, as published lists are: "1,google.com" or "google.com" a line, the most popular
 * first. What stands in it isn't rare, whoever asks. run/ reads the file, flow/ asks. Never changed after it was read: threads share it
 * without locks. Pure. */
#ifndef EXEAT_FACTS_POPULARITY_H
#define EXEAT_FACTS_POPULARITY_H

#include "base/err.h"
#include "base/siphash.h"

struct popularity;

enum { POPULARITY_LINES_MAX = 4 << 20 };

/* `name` is what places are told with; `key` random, so that nobody can make a name that passes for another. Empty lines and those that begin
 * with '#' are passed over; a line without a number has its own. NULL fills reterr. */
struct popularity *popularity_parse(struct span text, const uint8_t key[SIPHASH_KEY_BYTES], const char *name,
                                    struct err *reterr);
void popularity_free(struct popularity *take_p); /* NULL is fine */

/* 1 is the most popular; 0: not in the list. `domain` in lower case. */
uint32_t popularity_rank(const struct popularity *p, struct span domain);

#endif
