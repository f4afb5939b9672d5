/* https_record_fuzz.c: a DNS answer: names that are found are canonical, different, and no more than there is room for. */
#include "base/must.h"
#include "wire/https_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct https_record r = {0};
    if (https_record_parse(span_of(data, size), &r) != PARSE_OK)
        return 0;
    must(r.count <= HTTPS_NAMES_MAX);
    for (unsigned i = 0; i < r.count; i++) {
        struct host host;
        must(host_canonical_bare(span_str(r.names[i]), &host) == HOST_OK && !host.is_ip);
        must(strcmp(host.name, r.names[i]) == 0 && https_record_has(&r, &host));
        for (unsigned j = 0; j < i; j++)
            must(strcmp(r.names[i], r.names[j]) != 0);
    }
    return 0;
}
