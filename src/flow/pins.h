/* pins.h: programs that did not accept the inspection CA's certificate for a host, so that a person can decide whether that host is to be
 * terminated for them. Learned by what the program is and the host; forgotten after PINS_LIFE_MS. In modes open and report a
 * pinned program is peeked at from then on; in enforce a pin is a proposal and changes nothing. All workers' and the admin's: one
 * lock, a fixed size. */
#ifndef EXEAT_FLOW_PINS_H
#define EXEAT_FLOW_PINS_H

#include "base/json.h"
#include "wire/sender.h"

enum {
    PINS_LIFE_MS = 7 * 24 * 3600 * 1000,
    PINS_ALERTS = 2, /* that many say the certificate isn't wanted */
    PINS_CLOSES = 3, /* or end the handshake without a word */
};

struct pins;

struct pins *pins_new(void); /* NULL without memory */
void pins_free(struct pins *take_p);

/* May this program be pinned at all? Not browsers, interpreters and tools that transfer anything anywhere: they do what others tell them,
 * and whoever tells them could teach us a pin. */
bool pins_may_learn(const struct sender *s);

/* It rejected our leaf for `host`: by an alert, whose name is `why`, or by closing ("closed"). `now_ms` is any monotonic time. */
void pins_note(struct pins *p, const struct sender *s, const char *host, const char *why, bool alert,
               uint64_t now_ms);
/* Has it often enough? */
bool pins_has(struct pins *p, const struct sender *s, const char *host, uint64_t now_ms);

/* Those that were learned, as objects of the open JSON array. */
void pins_describe(struct pins *p, struct json *out, uint64_t now_ms);

#endif
