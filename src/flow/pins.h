/* pins.h: programs that did not accept the inspection CA's certificate for a host, so that a person can decide whether that host is to be
 * terminated for them. Learned by what the program is and the host; forgotten after PIN_LIFE_S. In modes open and report a
 * pinned program is peeked at from then on; in enforce a pin is a proposal (`exeat baseline propose`) and changes nothing. All workers'
 * and the admin's, bounded; kept by store/ across restarts. */
#ifndef EXEAT_FLOW_PINS_H
#define EXEAT_FLOW_PINS_H

#include "base/json.h"
#include "rules/pin.h"
#include "wire/sender.h"

struct pins;
struct store; /* store/store.h */

/* Reads what `store` has (NULL: nothing is kept) and becomes its source: before store_start(). NULL without memory. */
struct pins *pins_new(struct store *store);
void pins_free(struct pins *take_p); /* after store_close() */

/* May this program be pinned at all? Not browsers, interpreters and tools that transfer anything anywhere: they do what others tell them,
 * and whoever tells them could teach us a pin. */
bool pins_may_learn(const struct sender *s);

/* It rejected our leaf for `host`: by an alert, whose name is `why`, or by closing ("closed"). Times are seconds since 1970. */
void pins_note(struct pins *p, const struct sender *s, const char *host, uint16_t port, const char *why,
               bool alert, int64_t now_s);
/* Has it often enough? */
bool pins_has(struct pins *p, const struct sender *s, const char *host, int64_t now_s);

/* Those that were learned, as objects of the open JSON array. */
void pins_describe(struct pins *p, struct json *out, int64_t now_s);

#endif
