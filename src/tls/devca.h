/* devca.h: development certificates: a small CA and certificates signed by it, EC P-256, written as PEM files. For `exeat init`
 * and the tests; a production CA belongs elsewhere. Touches OpenSSL's random source, the clock (validity) and the files. */
#ifndef EXEAT_TLS_DEVCA_H
#define EXEAT_TLS_DEVCA_H

#include "base/err.h"

#include <stdbool.h>

struct devca;

/* Makes a CA and writes both files, which must not exist (the key 0600). NULL with reterr. */
struct devca *devca_create(const char *name, const char *certificate_file, const char *key_file,
                           struct err *reterr);
/* Reads one that was made before. */
struct devca *devca_open(const char *certificate_file, const char *key_file, struct err *reterr);
void devca_free(struct devca *take_ca);

struct devca_leaf {
    const char *common_name;
    const char *alt_names;               /* OpenSSL's form: "DNS:a.test,IP:127.0.0.1"; NULL = no SAN at all */
    int not_before_days, not_after_days; /* from now */
    bool self_signed;                    /* by its own key instead of the CA's */
};

/* Signs a server certificate with a fresh key; both files must not exist. 0, or -1 with reterr. */
int devca_issue(struct devca *ca, const struct devca_leaf *leaf, const char *certificate_file,
                const char *key_file, struct err *reterr);

#endif
