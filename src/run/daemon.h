/* daemon.h: exeatd as a whole: start in the right order, signals, reload, drain. The mains call in; admin/ asks. One main
 * thread; what is said to be anybody's may be called from any. */
#ifndef EXEAT_RUN_DAEMON_H
#define EXEAT_RUN_DAEMON_H

#include "run/worker.h"

enum daemon_exit { DAEMON_OK = 0, DAEMON_FAILED = 1, DAEMON_MISCONFIGURED = 2 };

struct pins;
struct daemon;

/* Reads the configuration, binds, becomes its user, locks, opens the ledger and makes the workers, which don't accept yet. NULL
 * fills reterr and *ret_exit. */
struct daemon *daemon_new(const char *config_file, struct err *reterr, enum daemon_exit *ret_exit);
/* Workers accept; the service manager hears that we are ready. */
int daemon_start(struct daemon *d, struct err *reterr);
/* Serves signals until TERM or INT and the drain that follows. */
enum daemon_exit daemon_run(struct daemon *d);
/* 0, or DAEMON_FAILED when records were lost. */
enum daemon_exit daemon_free(struct daemon *take_d);

/* ---- for admin/, from any thread ---- */
struct snapshot *daemon_snapshot(struct daemon *d); /* a reference for the caller */
unsigned daemon_workers(const struct daemon *d);
struct worker *daemon_worker(const struct daemon *d, unsigned index);
struct ledger *daemon_ledger(const struct daemon *d);
struct store *daemon_store(const struct daemon *d);
struct findings *daemon_findings(const struct daemon *d);
struct observed *daemon_observed(const struct daemon *d);
struct sightings *daemon_sightings(const struct daemon *d);
struct pins *daemon_pins(const struct daemon *d);
uint64_t daemon_started_ms(const struct daemon *d); /* since 1970 */
const char *daemon_config_file(const struct daemon *d);
const char *daemon_last_reload(struct daemon *d, char ret[512]); /* "" when the last one went well */
const struct flow_listener *daemon_listeners(const struct daemon *d, unsigned *ret_count);

#endif
