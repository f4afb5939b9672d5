/* websocket_fuzz.c: any bytes as one direction of a WebSocket: read alike whole and byte by byte, and counts that add up. */
#include "base/must.h"
#include "wire/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bool client = data[0] & 1;
    struct websocket whole, bytes;
    websocket_init(&whole, client);
    websocket_init(&bytes, client);
    enum parse last = websocket_feed(&whole, span_of(data + 1, size - 1)), one = PARSE_MORE;
    for (size_t i = 1; i < size; i++)
        one = websocket_feed(&bytes, span_of(data + i, 1));
    must(last == one && whole.fault == bytes.fault && whole.frames == bytes.frames);
    must(whole.messages == bytes.messages && whole.payload_bytes == bytes.payload_bytes);
    must(whole.sample_len == bytes.sample_len && memcmp(whole.sample, bytes.sample, whole.sample_len) == 0);
    must(whole.payload_bytes < size && whole.messages <= whole.frames &&
         whole.close_code == bytes.close_code);
    must(websocket_fault_text(whole.fault)[0] && (last == PARSE_BAD) == (whole.fault != WEBSOCKET_NONE));
    return 0;
}
