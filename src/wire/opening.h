/* opening.h: what a client that doesn't speak TLS speaks instead, told from its first bytes. Called by wire/record when
 * the first byte can't be TLS, and by whoever has more of the same bytes later and wants a better answer. Pure. */
#ifndef EXEAT_WIRE_OPENING_H
#define EXEAT_WIRE_OPENING_H

#include "base/span.h"

enum opening {
#define PROTOCOL(id, name) OPENING_##id,
#define SIGNATURE(id, bytes)
#include "wire/openings.def"
#undef PROTOCOL
#undef SIGNATURE
    OPENING_COUNT
};

/* The protocol whose opening `first` begins with; when `first` is still too short for that, the only protocol that it
 * could become; else OPENING_UNKNOWN. Reads at most the first 4 KiB. */
enum opening opening_classify(struct span first);

/* "http", "ssh", ... "unknown"; lives for ever. */
const char *opening_name(enum opening opening);

#endif
