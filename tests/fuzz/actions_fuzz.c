/* actions_fuzz.c: actions.yaml from anybody, and what it says of a rule with everything and of one with nothing. */
#include "base/must.h"
#include "rules/action.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const tags[] = {"attack.exfiltration"};
    struct err err = {0};
    struct sigma_document full = {.id = "a",
                                  .name = "b",
                                  .title = "c",
                                  .level = SIGMA_CRITICAL,
                                  .status = SIGMA_STABLE,
                                  .tags = {.items = tags, .count = 1}},
                          bare = {.title = "c"};
    struct actions *a = actions_parse(span_of(data, size), "fuzz", &err);
    must(a || err.text[0]);
    struct action one = actions_find(a, &full), other = actions_find(a, &bare);
    must(one.kind < ACTION_KIND_COUNT && other.kind < ACTION_KIND_COUNT);
    must(one.kind >= ACTION_BLOCK ||
         (one.on_unknown == ACTION_PASS && one.on_unevaluable != UNEVALUABLE_REFUSE));
    actions_free(a);
    return 0;
}
