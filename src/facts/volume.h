/* volume.h: how many bytes went each way in the last hour, day and month, of one sender to one destination: so that what is sent in many
 * small pieces adds up. Three rings of slots; a sum covers its window and at most one slot more, never less. Pure. */
#ifndef EXEAT_FACTS_VOLUME_H
#define EXEAT_FACTS_VOLUME_H

#include "base/buf.h"

enum volume_window { VOLUME_HOUR, VOLUME_DAY, VOLUME_MONTH, VOLUME_WINDOW_COUNT };

enum {
    VOLUME_HOUR_SLOTS = 7,   /* of 10 minutes: one is filling, six are whole */
    VOLUME_DAY_SLOTS = 13,   /* of 2 hours */
    VOLUME_MONTH_SLOTS = 31, /* of a day */
    VOLUME_SLOTS = VOLUME_HOUR_SLOTS + VOLUME_DAY_SLOTS + VOLUME_MONTH_SLOTS,
    VOLUME_ENCODED_BYTES = 3 * 4 + VOLUME_SLOTS * 8 + 2,
};

/* Zeroed is empty. */
struct volume {
    uint32_t latest[VOLUME_WINDOW_COUNT]; /* number of the slot that is filling: seconds / its length */
    uint32_t out[VOLUME_SLOTS],
        in[VOLUME_SLOTS];      /* in units of 64 bytes; slot n at n modulo the ring's length */
    uint8_t rest_out, rest_in; /* bytes under a unit */
};

/* `now_s` is wall time; one that goes back counts in the latest slot. A slot is full at 256 GiB. */
void volume_add(struct volume *v, uint64_t out, uint64_t in, int64_t now_s);

struct volume_sum {
    uint64_t out, in;
};
struct volume_sum volume_sum(const struct volume *v, enum volume_window window, int64_t now_s);

/* (out - in) / (out + in), the producer-consumer ratio: 1 only sends, -1 only receives. NaN when nothing moved. */
double volume_ratio(uint64_t out, uint64_t in);

/* Exactly VOLUME_ENCODED_BYTES. */
int volume_encode(const struct volume *v, struct buf *out);
enum parse volume_decode(struct span bytes, size_t *position, struct volume *ret);

#endif
