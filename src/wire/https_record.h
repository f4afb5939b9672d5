/* https_record.h: what a DNS answer says about a host's HTTPS service (RFC 9460, type 65): the public names of its encrypted hello (ECH, RFC
 * 9849), which stand in the SNI instead of the host's own. net/ asks and calls in. Pure. */
#ifndef EXEAT_WIRE_HTTPS_RECORD_H
#define EXEAT_WIRE_HTTPS_RECORD_H

#include "base/span.h"
#include "wire/host.h"

enum { DNS_TYPE_HTTPS = 65, HTTPS_NAMES_MAX = 4 };

struct https_record {
    uint32_t ttl_s; /* the least of its records' */
    unsigned count;
    char names[HTTPS_NAMES_MAX]
              [HOST_NAME_BYTES]; /* canonical; more are left out, as is what is no host name */
};

/* `message` is the whole answer. PARSE_OK also when there is no such record (count 0), or PARSE_BAD: *ret is untouched. */
enum parse https_record_parse(struct span message, struct https_record *ret);

bool https_record_has(const struct https_record *r, const struct host *name);

#endif
