/* agent_packet_fuzz.c: any bytes as a packet between the agent's two processes: no crash; what is read as one can be written
 * again, and reads back the same. */
#include "agent/packet.h"
#include "base/must.h"

static bool same_ask(const struct agent_ask *a, const struct agent_ask *b)
{
    return a->id == b->id && strcmp(a->nonce, b->nonce) == 0 && ip_equal(&a->client.ip, &b->client.ip) &&
           a->client.port == b->client.port && ip_equal(&a->proxy.ip, &b->proxy.ip) &&
           a->want_hash == b->want_hash && a->full == b->full && a->watch == b->watch &&
           a->brief == b->brief && a->hash_wait_ms == b->hash_wait_ms && a->age_ms == b->age_ms &&
           a->proxy_cookie == b->proxy_cookie;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packet first, second;
    struct buf out;
    if (!packet_read(span_of(data, size), &first))
        return 0;
    buf_init(&out, PACKET_BYTES_MAX);
    must(packet_write(&out, &first) == 0 && packet_read(buf_span(&out), &second));
    must(second.kind == first.kind && second.link == first.link);
    if (first.kind == PACKET_ASK)
        must(same_ask(&first.u.ask, &second.u.ask));
    else if (first.kind == PACKET_HELLO)
        must(first.u.proxies.count == second.u.proxies.count);
    else if (first.kind == PACKET_LINES)
        must(first.u.lines.len == second.u.lines.len &&
             memcmp(first.u.lines.data, second.u.lines.data, first.u.lines.len) == 0);
    else if (first.kind == PACKET_DONE)
        must(first.u.done == second.u.done);
    else if (first.kind == PACKET_KEEP)
        must(first.u.keep.id == second.u.keep.id && first.u.keep.seconds == second.u.keep.seconds &&
             strcmp(first.u.keep.nonce, second.u.keep.nonce) == 0 &&
             strcmp(first.u.keep.sender_ref, second.u.keep.sender_ref) == 0);
    buf_free(&out);
    return 0;
}
