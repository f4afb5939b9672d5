/* inspect_hello.c: see inspect_hello.h. One line of hexadecimal in, one JSON object out. Memory is bounded whatever comes in:
 * a line's bytes go into one fixed buffer, what is beyond it is skipped and said. */
#include "cmd/inspect_hello.h"

#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cmd/hex_lines.h"
#include "facts/anomaly.h"
#include "facts/ja3.h"
#include "facts/ja4.h"

enum {
    LINE_BYTES_MAX = 6 * HELLO_BYTES_MAX, /* the longest hello, in records of one byte each */
    OUTPUT_BYTES_MAX = 32 * HELLO_BYTES_MAX,
    HANDSHAKE_CLIENT_HELLO = 1,
};

static const char help[] =
    "usage: exeat inspect hello [FILE|-]\n"
    "\n"
    "Reads TLS ClientHellos as hexadecimal, one a line, from FILE or standard input: either the handshake "
    "message\n"
    "(01...) or TLS records (16 03...). White space in a line is ignored, empty lines are skipped. Writes "
    "one JSON\n"
    "object a line:\n"
    "  {\"ja3\",\"ja3_hash\",\"ja4\",\"ja4_r\",\"sni\",\"alpn\":[],\"version\",\"anomalies\":[\"H12\",...]}\n"
    "  {\"error\":\"...\",\"offset\":N}   N: how many bytes were right\n"
    "version is the highest offered (1.3 1.2 1.1 1.0 SSL3 SSL2, or null). Names that are not UTF-8 come as "
    "{\"hex\":\"...\"}.\n"
    "Anomalies that depend on the CONNECT request (host, port) are not looked for.\n"
    "\n"
    "exit status: 0 every line was a hello, 1 some line was not, 2 usage, or a file that can't be read or "
    "written\n"
    "\n"
    "examples:\n"
    "  exeat inspect hello hellos.txt | jq -r .ja4\n"
    "  xxd -p first-bytes.bin | tr -d '\\n' | exeat inspect hello\n";

/* A name as the client sent it: text, or its bytes when they aren't text. */
static void write_name(struct json *j, const char *key, struct span name)
{
    struct buf hex;
    if (utf8_valid(name)) {
        json_span(j, key, name);
        return;
    }
    buf_init(&hex, 2 * HELLO_BYTES_MAX);
    size_t room;
    uint8_t *at = buf_reserve(&hex, 2 * name.len, &room);
    if (at && room == 2 * name.len) {
        hex_write(name, (char *)at);
        buf_commit(&hex, room);
    }
    json_object(j, key);
    json_span(j, "hex", buf_span(&hex));
    json_end_object(j);
    buf_free(&hex);
}

static int write_fingerprints(struct json *j, const struct client_hello *h)
{
    struct buf text;
    char hash3[JA3_HASH_BYTES], hash4[JA4_BYTES];
    buf_init(&text, JA3_TEXT_BYTES_MAX);
    int result = ja3_write(h, &text);
    if (result == 0) {
        json_span(j, "ja3", buf_span(&text));
        json_str(j, "ja3_hash", ja3_hash_text(buf_span(&text), hash3) == 0 ? hash3 : NULL);
    }
    buf_clear(&text);
    if (result == 0)
        result = ja4_write_raw(h, &text);
    if (result == 0) {
        json_str(j, "ja4", ja4_hash(h, hash4) == 0 ? hash4 : NULL);
        json_span(j, "ja4_r", buf_span(&text));
    }
    buf_free(&text);
    return result;
}

static int write_hello(struct json *j, const struct client_hello *h, struct anomaly_set *anomalies)
{
    struct span name;
    size_t cursor = 0;
    json_object(j, NULL);
    if (write_fingerprints(j, h) != 0)
        return -1;
    if (h->server_name.len > 0)
        write_name(j, "sni", h->server_name);
    else
        json_null(j, "sni");
    json_array(j, "alpn");
    while (client_hello_next_alpn(h, &cursor, &name))
        write_name(j, NULL, name);
    json_end_array(j);
    json_str(j, "version", client_hello_version(h));
    anomaly_from_hello(h, NULL, anomalies);
    json_array(j, "anomalies");
    for (enum anomaly a = anomaly_set_next(anomalies, 0); a != ANOMALY_NONE;
         a = anomaly_set_next(anomalies, a + 1))
        json_str(j, NULL, anomaly_table[a].id);
    json_end_array(j);
    json_end_object(j);
    return 0;
}

/* Gets the handshake message out of what the line holds; *ret_offset says where it went wrong. NULL on success. */
static const char *find_message(struct hello_reader *r, struct span bytes, struct arena *arena,
                                struct span *ret, size_t *ret_offset)
{
    if (bytes.data[0] == HANDSHAKE_CLIENT_HELLO) {
        *ret = bytes;
        return NULL;
    }
    enum parse parse = hello_reader_feed(r, bytes);
    *ret_offset = parse == PARSE_MORE ? bytes.len : r->position;
    if (parse == PARSE_MORE)
        return "truncated";
    if (parse == PARSE_BAD)
        return hello_fault_text(r->fault);
    *ret = hello_reader_message(r, bytes, arena);
    return ret->data ? NULL : "out of memory";
}

/* True when the line was a hello. Either way one object was written, unless j->out failed. */
static bool inspect_line(struct json *j, const struct hex_line *l, struct arena *arena)
{
    struct hello_reader r = {0};
    struct anomaly_set anomalies = {0};
    struct client_hello h;
    struct hello_error error;
    struct span bytes = span_of(l->bytes, l->len), message = {0};
    size_t offset = l->len;
    const char *text = l->error;
    if (!text)
        text = find_message(&r, bytes, arena, &message, &offset);
    if (!text) {
        enum parse parse = client_hello_parse(message, &h, &error);
        if (parse == PARSE_OK) {
            if (message.data != bytes.data)
                anomaly_from_reader(&r, NULL, &anomalies);
            return write_hello(j, &h, &anomalies) == 0;
        }
        offset = parse == PARSE_MORE ? message.len : error.offset;
        if (message.data != bytes.data)
            offset = hello_reader_locate(&r, bytes, offset);
        text = parse == PARSE_MORE ? "truncated" : hello_fault_text(error.fault);
    }
    hex_lines_write_error(j, text, offset);
    return false;
}

static bool answer_hello(const struct hex_line *l, struct buf *out)
{
    struct arena arena;
    struct json j;
    arena_init(&arena, 2 * HELLO_BYTES_MAX);
    json_init(&j, out);
    bool good = inspect_line(&j, l, &arena);
    arena_reset(&arena);
    return good;
}

int inspect_hello_stream(FILE *in, FILE *out)
{
    return hex_lines_each(in, out, LINE_BYTES_MAX, OUTPUT_BYTES_MAX, answer_hello);
}

int cmd_inspect_hello(int argc, char **argv)
{
    return hex_lines_main(argc, argv, "inspect hello", help, inspect_hello_stream);
}
