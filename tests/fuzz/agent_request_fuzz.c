/* agent_request_fuzz.c: the agents' small reader of the protocol and the one that jansson does: what both take means the same, and what
 * the small one takes is never something else than an object without doubles. */
#include "base/must.h"
#include "wire/agent_request.h"

static void compare_asks(const struct agent_ask *a, const struct agent_ask *b)
{
    char one[ENDPOINT_TEXT_BYTES], other[ENDPOINT_TEXT_BYTES];
    must(a->id == b->id && strcmp(a->nonce, b->nonce) == 0 && a->hash_wait_ms == b->hash_wait_ms);
    must(a->want_hash == b->want_hash && a->full == b->full && a->watch == b->watch && a->brief == b->brief);
    must(a->age_ms == b->age_ms && a->proxy_cookie == b->proxy_cookie);
    must(strcmp(endpoint_format(&a->client, one), endpoint_format(&b->client, other)) == 0);
    must(strcmp(endpoint_format(&a->proxy, one), endpoint_format(&b->proxy, other)) == 0);
}

static void compare(const struct agent_message *small, const struct agent_message *big)
{
    must(small->type == big->type);
    if (small->type == AGENT_MESSAGE_ASK)
        compare_asks(&small->u.ask, &big->u.ask);
    if (small->type == AGENT_MESSAGE_DONE)
        must(small->u.done == big->u.done);
    if (small->type == AGENT_MESSAGE_KEEP)
        must(small->u.keep.id == big->u.keep.id && small->u.keep.seconds == big->u.keep.seconds &&
             strcmp(small->u.keep.nonce, big->u.keep.nonce) == 0 &&
             strcmp(small->u.keep.sender_ref, big->u.keep.sender_ref) == 0);
    if (small->type != AGENT_MESSAGE_HELLO)
        return;
    const struct agent_hello *a = &small->u.hello, *b = &big->u.hello;
    must(a->version == b->version && a->proxy_count == b->proxy_count);
    must(strcmp(a->program, b->program) == 0 && strcmp(a->program_version, b->program_version) == 0);
    for (size_t i = 0; i < a->proxy_count; i++)
        must(a->proxies[i].port == b->proxies[i].port && ip_equal(&a->proxies[i].ip, &b->proxies[i].ip));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct agent_message small, big;
    struct agent_error e;
    struct span line = span_of(data, size);
    bool taken = agent_request_read(line, &small, &e) == 0;
    if (agent_message_decode(line, &big, &e) != 0)
        return 0;
    if (taken)
        compare(&small, &big);
    agent_message_free(&big);
    return 0;
}
