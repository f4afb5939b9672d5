/* client_hello_fuzz.c: a handshake message: every view lies inside it, every iteration ends, and the texts made of it fit. */
#include "base/must.h"
#include "cmd/inspect_hello.h"
#include "facts/anomaly.h"
#include "facts/ja3.h"
#include "facts/ja4.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span part, struct span message)
{
    must(part.len <= message.len);
    must(part.len == 0 || (part.data >= message.data && part.data + part.len <= message.data + message.len));
}

static void check_views(const struct client_hello *h)
{
    const struct span views[] = {h->random,     h->session_id,    h->cipher_suites, h->compression,
                                 h->extensions, h->alpn,          h->server_name,   h->supported_versions,
                                 h->groups,     h->key_shares,    h->point_formats, h->signature_algorithms,
                                 h->psk_modes,  h->renegotiation, h->session_ticket};
    for (size_t i = 0; i < ARRAY_LEN(views); i++)
        inside(views[i], h->message);
    must(h->random.len == 32 && h->session_id.len <= 32 && h->cipher_suites.len % 2 == 0);
    must(h->part_fault == HELLO_FAULT_NONE || h->part_fault_offset <= h->message.len);
    must((h->sni != HELLO_SNI_ONE && h->sni != HELLO_SNI_SEVERAL) || h->server_name.len > 0);
}

static void check_iterations(const struct client_hello *h)
{
    struct hello_extension e;
    struct hello_key_share share;
    struct span name;
    size_t cursor = 0, count = 0, bytes = 0;
    while (client_hello_next_extension(h, &cursor, &e))
        count++, inside(e.body, h->extensions);
    must(count == h->extension_count && cursor == h->extensions.len);
    for (cursor = 0; client_hello_next_alpn(h, &cursor, &name); bytes += 1 + name.len)
        must(name.len > 0);
    must(bytes == h->alpn.len);
    cursor = 0;
    while (client_hello_next_key_share(h, &cursor, &share))
        inside(share.key, h->key_shares);
    must(cursor == h->key_shares.len);
}

static void check_texts(const struct client_hello *h)
{
    char hash[JA3_HASH_BYTES], ja4[JA4_BYTES];
    struct buf text;
    buf_init(&text, JA3_TEXT_BYTES_MAX);
    must(ja3_write(h, &text) == 0 && ja3_hash_text(buf_span(&text), hash) == 0 && strlen(hash) == 32);
    buf_free(&text);
    buf_init(&text, JA4_RAW_BYTES_MAX);
    must(ja4_write_raw(h, &text) == 0 && ja4_hash(h, ja4) == 0 && strlen(ja4) == JA4_BYTES - 1);
    must(memcmp(buf_span(&text).data, ja4, 11) == 0);
    buf_free(&text);
}

/* The same bytes as text, and the text that they are, through the command. */
static void check_command(const uint8_t *data, size_t size)
{
    char *answer = NULL;
    size_t len = 0;
    FILE *in = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL,
         *out = open_memstream(&answer, &len);
    must(out);
    if (in) {
        must(inspect_hello_stream(in, out) != INSPECT_FAILED);
        fclose(in);
    }
    fclose(out);
    free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hello_context contexts[] = {
        {"a.example", 443, false}, {"192.0.2.1", 25, true}, {NULL, 0, false}};
    struct client_hello h;
    struct hello_error error = {HELLO_FAULT_NONE, 0};
    struct anomaly_set set = {0};
    enum parse parse = client_hello_parse(span_of(data, size), &h, &error);
    check_command(data, size);
    if (parse == PARSE_BAD)
        must(error.fault != HELLO_FAULT_NONE && error.offset <= size);
    if (parse != PARSE_OK)
        return 0;
    check_views(&h);
    check_iterations(&h);
    check_texts(&h);
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++)
        anomaly_from_hello(&h, &contexts[i], &set);
    return 0;
}
