/* server_flight_fuzz.c: a conversation: the first byte of each piece says whose it is (its low bit) and how long the piece is. Whatever
 * comes, memory stays within its bound, answers stick, and every view lies inside the message. */
#include "base/must.h"
#include "facts/conformance.h"
#include "facts/ja3s.h"
#include "wire/record_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t held(const struct flight *f)
{
    return f->sides[0].message.cap + f->sides[1].message.cap + f->hello.cap + f->certificate.cap +
           f->ocsp.cap;
}

static void check_hello(const struct flight *f)
{
    struct server_hello h;
    char hash[JA3_HASH_BYTES];
    struct span message = buf_span(&f->hello), one;
    size_t cursor = 0, bytes = 0;
    bool malformed = false;
    if (message.len > 0) {
        must(server_hello_parse(message, &h) == PARSE_OK && h.random.len == 32 && h.session_id.len <= 32);
        must(ja3s_hash(&h, hash) == 0);
    }
    while (flight_next_certificate(buf_span(&f->certificate), &cursor, &one, &malformed))
        bytes += 3 + one.len;
    must(malformed || bytes + 3 == buf_len(&f->certificate));
}

/* However it is cut, the same is found. */
static void check_watch(const uint8_t *data, size_t size)
{
    struct record_watch whole = {0}, cut = {0};
    record_watch_feed(&whole, span_of(data, size));
    for (size_t at = 0; at < size;) {
        size_t skip = record_watch_skippable(&cut),
               len = skip && !cut.fault ? skip : 1 + (size_t)data[at] % 7;
        len = len < size - at ? len : size - at;
        if (skip && !cut.fault)
            record_watch_skip(&cut, len);
        else
            record_watch_feed(&cut, span_of(data + at, len));
        at += len;
    }
    must(whole.fault == cut.fault && whole.records == cut.records &&
         whole.renegotiation == cut.renegotiation);
    must(whole.fault || record_watch_is_cut(&whole) == record_watch_is_cut(&cut));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flight f;
    struct anomaly_set set = {0};
    enum parse last = PARSE_MORE;
    flight_init(&f);
    for (size_t at = 0; at < size;) {
        enum flight_side side = data[at] & 1 ? FLIGHT_SERVER : FLIGHT_CLIENT;
        size_t len = (size_t)(data[at] >> 1) * 4, left = size - at - 1;
        len = len == 0 || len > left ? left : len;
        enum parse answer = flight_feed(&f, side, span_of(data + at + 1, len));
        must(last == PARSE_MORE || answer == last);
        must((answer == PARSE_BAD) == (f.fault != FLIGHT_FAULT_NONE));
        must(held(&f) <= 2 * (size_t)FLIGHT_CERTIFICATE_BYTES_MAX + FLIGHT_KEPT_BYTES_MAX);
        must(strlen(f.history) < FLIGHT_HISTORY_BYTES);
        last = answer;
        at += 1 + len;
    }
    check_hello(&f);
    check_watch(data, size);
    conformance_judge_flight(&f, NULL, &set);
    flight_free(&f);
    return 0;
}
