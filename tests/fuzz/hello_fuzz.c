/* hello_fuzz.c: a client's first bytes: the reader must answer the same however they are cut, and what it finds must go
 * through everything that looks at a hello. */
#include "base/must.h"
#include "facts/anomaly.h"
#include "facts/ja3.h"
#include "facts/ja4.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_answer(const struct hello_reader *a, const struct hello_reader *b)
{
    must(a->fault == b->fault && a->position == b->position && a->records == b->records);
    must(a->have_bytes == b->have_bytes && a->message_bytes == b->message_bytes &&
         a->record_left == b->record_left);
    must(a->records_tiny == b->records_tiny && a->records_empty == b->records_empty &&
         a->version == b->version);
    must(a->odd_length == b->odd_length && a->odd_version == b->odd_version);
}

static void look(struct span message, struct anomaly_set *set)
{
    static const struct hello_context ctx = {"example.net", 443, false};
    struct client_hello h;
    struct hello_error error = {HELLO_FAULT_COUNT, (size_t)-1};
    char ja3[JA3_HASH_BYTES], ja4[JA4_BYTES];
    enum parse parse = client_hello_parse(message, &h, &error);
    must(parse != PARSE_MORE); /* the reader said that it is whole */
    if (parse == PARSE_BAD) {
        must(error.offset <= message.len);
        anomaly_from_fault(error.fault, set);
        return;
    }
    anomaly_from_hello(&h, &ctx, set);
    must(ja3_hash(&h, ja3) == 0 && ja4_hash(&h, ja4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = span_of(data, size);
    struct hello_reader whole = {0}, cut = {0};
    struct anomaly_set set = {0};
    enum parse parse = hello_reader_feed(&whole, all), piecewise = PARSE_MORE;
    for (size_t len = 1; len <= size && piecewise == PARSE_MORE; len++)
        piecewise = hello_reader_feed(&cut, span_of(data, len));
    must(parse == piecewise);
    same_answer(&whole, &cut);
    must(whole.position <= size);
    anomaly_from_reader(&whole, NULL, &set);
    if (parse == PARSE_BAD)
        must(whole.fault != HELLO_FAULT_NONE);
    if (parse != PARSE_OK)
        return 0;
    struct arena arena;
    arena_init(&arena, 2 * HELLO_BYTES_MAX);
    struct span message = hello_reader_message(&whole, all, &arena);
    must(message.data && message.len == whole.message_bytes);
    must(hello_reader_locate(&whole, all, message.len - 1) == whole.position - 1);
    look(message, &set);
    arena_reset(&arena);
    return 0;
}
