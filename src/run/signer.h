/* signer.h: the signing process: it alone holds the inspection CA's key. exeatd starts it before it gives up its rights and before
 * any other thread is there; workers ask it over a socket pair, through tls/signer.h.
 *
 * Two processes: a keeper, which stays who exeatd was when it started (root, usually), reads nothing and only waits; and its child,
 * which reads the key, becomes exeatd's user, and signs. When the child dies the keeper makes another. Both end with exeatd: the
 * socket's other end closes. One request is one packet: 4 bytes of number, 32 of the CA's SHA-256, one
 * of enum signer_work, 8 of until_s, the certificate; one answer is 4 bytes of number, one of enum signer_result, then what was signed, or
 * a sentence. */
#ifndef EXEAT_RUN_SIGNER_H
#define EXEAT_RUN_SIGNER_H

#include "base/err.h"
#include "run/privileges.h"
#include "tls/signer.h"

struct signing; /* exeatd's end; signing.signer is for the workers */

/* Starts both by executing `program` (exeatd itself) with --signer. NULL with reterr. */
struct signing *signing_start(const char *certificate_file, const char *key, const struct identity *who,
                              struct err *reterr);
struct signer *signing_signer(struct signing *s);
/* The CA's files may have changed: the child reads them again. */
void signing_reload(struct signing *s);
void signing_stop(struct signing *take_s); /* NULL is fine */

/* What `exeatd --signer CERTIFICATE KEY USER` is: the keeper, on descriptor SIGNING_FD. Returns the exit code. */
enum { SIGNING_FD = 3 };
int signing_main(int argc, char **argv);

/* The child's work without the process: answers one packet. 0; 1: it was told to read its files again. For tests and fuzzing. */
struct ca;
int signing_answer(const struct ca *ca, struct span packet, int64_t now_s, struct buf *ret);

#endif
