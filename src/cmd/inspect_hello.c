/* inspect_hello.c: see inspect_hello.h. One line of hexadecimal in, one JSON object out. Memory is bounded whatever comes in:
 * a line's bytes go into one fixed buffer, what is beyond it is skipped and said. */
#include "cmd/inspect_hello.h"

#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"
#include "facts/anomaly.h"
#include "facts/ja3.h"
#include "facts/ja4.h"

#include <errno.h>
#include <stdlib.h>

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

/* One line of input, decoded. */
struct line {
    uint8_t *bytes; /* owned by inspect_hello_stream(); LINE_BYTES_MAX long */
    size_t len;
    bool any;          /* a character that isn't white space was there */
    const char *error; /* NULL, or why the line can't be decoded; lives for ever */
};

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Reads to the end of the line; the first error stays. False at the end of the input when nothing was there. */
static bool line_read(struct line *l, FILE *in)
{
    int c, high = -1;
    *l = (struct line){.bytes = l->bytes};
    while ((c = getc_unlocked(in)) != EOF && c != '\n') {
        if (is_blank(c))
            continue;
        l->any = true;
        if (l->error)
            continue;
        int value = hex_value(c);
        if (value < 0)
            l->error = "not a hexadecimal digit";
        else if (high < 0)
            high = value;
        else if (l->len == LINE_BYTES_MAX)
            l->error = "line is too long";
        else {
            l->bytes[l->len++] = (uint8_t)(high << 4 | value);
            high = -1;
        }
    }
    if (high >= 0 && !l->error)
        l->error = "odd number of hexadecimal digits";
    return c != EOF || l->any;
}

static void write_error(struct json *j, const char *text, size_t offset)
{
    json_object(j, NULL);
    json_str(j, "error", text);
    json_int(j, "offset", (int64_t)offset);
    json_end_object(j);
}

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
static bool inspect_line(struct json *j, const struct line *l, struct arena *arena)
{
    struct hello_reader r = {0};
    struct anomaly_set anomalies = {0};
    struct client_hello h;
    struct hello_error error;
    struct span bytes = span_of(l->bytes, l->len), message;
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
    write_error(j, text, offset);
    return false;
}

/* One line's object; a line whose object can't be built (memory) gets an error object of its own. */
static bool answer_line(const struct line *l, FILE *out)
{
    struct arena arena;
    struct buf text;
    struct json j;
    arena_init(&arena, 2 * HELLO_BYTES_MAX);
    buf_init(&text, OUTPUT_BYTES_MAX);
    json_init(&j, &text);
    bool good = inspect_line(&j, l, &arena);
    if (text.failed) {
        buf_clear(&text);
        json_init(&j, &text);
        write_error(&j, "out of memory", l->len);
        good = false;
    }
    buf_append(&text, "\n", 1);
    fwrite(buf_span(&text).data, 1, buf_len(&text), out);
    buf_free(&text);
    arena_reset(&arena);
    return good;
}

int inspect_hello_stream(FILE *in, FILE *out)
{
    struct line line = {.bytes = malloc(LINE_BYTES_MAX)};
    int result = line.bytes ? INSPECT_OK : INSPECT_FAILED;
    while (result != INSPECT_FAILED && line_read(&line, in)) {
        if (line.any && !answer_line(&line, out))
            result = INSPECT_SOME_BAD;
        if (ferror(out))
            result = INSPECT_FAILED;
    }
    free(line.bytes);
    return ferror(in) || fflush(out) != 0 ? INSPECT_FAILED : result;
}

int cmd_inspect_hello(int argc, char **argv)
{
    const char *path = "-";
    bool options = true, named = false;
    for (int i = 1; i < argc; i++) {
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0))
            return fputs(help, stdout) < 0 ? INSPECT_FAILED : INSPECT_OK;
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (named || (options && argv[i][0] == '-' && argv[i][1] != '\0')) {
            fprintf(stderr, "exeat inspect hello: %s: not understood\n%s", argv[i], help);
            return INSPECT_FAILED;
        } else {
            path = argv[i];
            named = true;
        }
    }
    bool from_stdin = strcmp(path, "-") == 0;
    FILE *in = from_stdin ? stdin : fopen(path, "re");
    if (!in) {
        fprintf(stderr, "exeat inspect hello: %s: %s\n", path, strerror(errno));
        return INSPECT_FAILED;
    }
    int result = inspect_hello_stream(in, stdout);
    if (result == INSPECT_FAILED)
        fprintf(stderr, "exeat inspect hello: %s: %s\n", path, strerror(errno));
    if (!from_stdin)
        fclose(in);
    return result;
}
