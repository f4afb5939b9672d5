/* sender_kinds_fuzz.c: senders.yaml from anybody, and what it says of a program with every name and of one with none. */
#include "base/must.h"
#include "rules/sender_kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sender_view nobody = {.confidence = AGENT_CONFIDENCE_EXACT},
                             named = {.confidence = AGENT_CONFIDENCE_EXACT,
                                      .package = "a",
                                      .executable = "/a",
                                      .unit = "a.service"};
    struct host host;
    struct err err = {.line = 0};
    must(host_canonical_bare(span_str("a.example"), &host) == HOST_OK);
    struct sender_kinds *k = sender_kinds_parse(span_of(data, size), "fuzz", &err);
    must(k || err.text[0]);
    must(!sender_kinds_find(k, &nobody));
    const struct sender_kind *kind = sender_kinds_find(k, &named);
    if (kind) {
        must(sender_kind_name(kind)[0] != 0);
        sender_kind_is_home(kind, &host);
        sender_kind_expects(kind, span_str("archive"));
        sender_kind_has_plain_port(kind, 22);
    }
    sender_kinds_free(k);
    return 0;
}
