/* h2_fuzz.c: wire/h2 with two peers that may send anything, and an owner that may judge anyhow.
 * Input: turns of one byte, what to do (low 3 bits), one byte of length (times 1 or, with bit 7 of the first, 64), and for bytes these. */
#include "base/must.h"
#include "h2_owner.h"
#include "wire/h2.h"

#include <stdlib.h>

enum {
    TURN_CLIENT,
    TURN_SERVER,
    TURN_JUDGE,
    TURN_PASS_HELD,
    TURN_LOST,
    TURN_EXPIRE,
    TURN_STOP,
    TURN_HOLD_OUTPUT
};
enum { HELD_MOST_BYTES = 2 * ((2 << 20) + (1 << 20) + (64 << 10)), OUT_BYTES = 64 << 10 };

struct world {
    struct h2_owner owner; /* the first member */
    struct h2_bridge *bridge;
    bool held[2];
};

static void on_request(void *owner, struct h2_stream *s, const struct http1_head *head, enum h2_fault fault)
{
    struct world *w = owner;
    w->owner.requests++;
    h2_stream_set_user(s, w);
    must(fault != H2_NO_FAULT || (head->method.len && head->host.len && head->target.path_query.len + 1));
    switch (fault != H2_NO_FAULT ? 2 : w->owner.judge % 5) {
    case 0:
        h2_pass(s, head->host);
        break;
    case 1:
        break;
    case 2:
        h2_answer(s, 403, NULL, 0, span_str("no"));
        break;
    case 3:
        h2_cut(s);
        break;
    default:
        h2_pass(s, span_str("example.com"));
    }
}

static void on_response(void *owner, struct h2_stream *s, const struct http1_head *head)
{
    must(h2_stream_user(s) == owner);
    h2_owner_on_response(owner, s, head);
}

static const struct h2_events events = {
    on_request, on_response, h2_owner_on_data, h2_owner_on_unanswered, NULL, h2_owner_on_closed};

/* Both sides' output is taken, unless it is held back. */
static void drain(struct world *w)
{
    for (int side = 0; side < 2; side++) {
        struct buf out;
        buf_init(&out, OUT_BYTES + (64 << 10));
        if (!w->held[side])
            h2_bridge_write(w->bridge, (enum h2_side)side, &out, OUT_BYTES);
        must(!out.failed);
        buf_free(&out);
    }
    must(h2_bridge_held(w->bridge) <= HELD_MOST_BYTES);
    must(h2_bridge_streams(w->bridge) <= 64);
    h2_bridge_done(w->bridge);
}

static void pass_held(struct world *w)
{
    for (struct h2_stream *s = h2_bridge_first(w->bridge); s; s = h2_stream_next(s))
        if (h2_stream_waits(s))
            h2_pass(s, span_str("example.com"));
}

static void turn(struct world *w, uint8_t what, uint8_t arg, struct span bytes, uint64_t now_ms)
{
    switch (what & 7) {
    case TURN_CLIENT:
    case TURN_SERVER:
        h2_bridge_receive(w->bridge, (what & 7) == TURN_CLIENT ? H2_CLIENT : H2_SERVER, bytes, now_ms);
        break;
    case TURN_JUDGE:
        w->owner.judge = arg;
        break;
    case TURN_PASS_HELD:
        pass_held(w);
        break;
    case TURN_LOST:
        h2_bridge_lost(w->bridge, arg & 1 ? H2_SERVER : H2_CLIENT, false);
        break;
    case TURN_EXPIRE:
        h2_bridge_expire(w->bridge, now_ms, arg * 10u, arg * 20u, arg * 30u);
        break;
    case TURN_STOP:
        h2_bridge_stop(w->bridge);
        break;
    default:
        w->held[arg & 1] = arg & 2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct h2_limits limits = {
        .head_bytes = 4096, .headers = 16, .target_bytes = 256, .streams = 32, .https = true, .via = "exeat"};
    struct world w = {.bridge = NULL};
    w.bridge = h2_bridge_new(&limits, &events, &w);
    if (!w.bridge)
        return 0;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
                      settings[] = "\0\0\0\4\0\0\0\0\0";
    h2_bridge_receive(w.bridge, H2_CLIENT, span_of(preface, sizeof preface - 1), 1);
    h2_bridge_receive(w.bridge, H2_SERVER, span_of(settings, sizeof settings - 1), 1);
    uint64_t now_ms = 1;
    for (size_t at = 0; at + 2 <= size; now_ms += 7) {
        uint8_t what = data[at], arg = data[at + 1];
        at += 2;
        size_t len = (what & 7) <= TURN_SERVER ? (size_t)arg * (what & 0x80 ? 64 : 1) : 0;
        if (len > size - at)
            len = size - at;
        turn(&w, what, arg, span_of(data + at, len), now_ms);
        at += len;
        drain(&w);
    }
    h2_bridge_free(w.bridge);
    must(w.owner.requests == w.owner.closed);
    return 0;
}
