/* conformance.h: what a handshake that was read as it passed shows: the anomalies that need the server's side. Called by flow's CHAIN
 * step when the flight is over. Pure. */
#ifndef EXEAT_FACTS_CONFORMANCE_H
#define EXEAT_FACTS_CONFORMANCE_H

#include "facts/anomaly.h"
#include "wire/server_flight.h"

/* Adds to `set`. `client` is the hello that was answered; NULL: what was offered isn't known and not compared. A handshake that did not
 * finish (H27) is the caller's to say: only it knows when nothing more comes. */
void conformance_judge_flight(const struct flight *f, const struct client_hello *client,
                              struct anomaly_set *set);

/* Did the server pick something that `client` had not offered (H22)? */
bool conformance_was_offered(const struct client_hello *client, const struct server_hello *server);

#endif
