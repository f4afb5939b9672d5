/* inspect_payload.c: see inspect_payload.h. One line of hexadecimal in, one JSON object out. */
#include "cmd/inspect_payload.h"

#include "cmd/hex_lines.h"
#include "facts/payload.h"

enum { LINE_BYTES_MAX = 1024 * 1024, ANSWER_BYTES_MAX = 4096, DECIMALS = 6 };

static const char help[] =
    "usage: exeat inspect payload [FILE|-]\n"
    "\n"
    "Reads payloads as hexadecimal, one a line, from FILE or standard input. White space in a line is "
    "ignored, empty\n"
    "lines are skipped, 1 MiB is the most a line may hold. Writes one JSON object a line:\n"
    "  {\"fully_encrypted\":bool,\"exempt_by\":\"popcount\"|\"prefix\"|\"half\"|\"run\"|\"protocol\"|null,\n"
    "   \"entropy\",\"entropy_expected\",\"chi_square\",\"kind\":\"tls\"|\"http\"|\"ssh\"|...|\"unknown\"}\n"
    "  {\"error\":\"...\",\"offset\":N}   N: how many bytes were right\n"
    "entropy is in bits per byte, entropy_expected that of as many random bytes, chi_square has 255 degrees "
    "of freedom.\n"
    "fully_encrypted is the published test for a first client payload; exempt_by, the first of its "
    "exemptions that holds.\n"
    "\n"
    "exit status: 0 every line was read, 1 some line was not hexadecimal, 2 usage, or a file that can't be "
    "read or written\n"
    "\n"
    "examples:\n"
    "  exeat inspect payload payloads.txt | jq -r .kind\n"
    "  head -c 200 first-bytes.bin | xxd -p | tr -d '\\n' | exeat inspect payload\n";

static bool answer_payload(const struct hex_line *l, struct buf *out)
{
    struct payload p;
    struct json j;
    json_init(&j, out);
    if (l->error) {
        hex_lines_write_error(&j, l->error, l->len);
        return false;
    }
    payload_judge(span_of(l->bytes, l->len), &p);
    json_object(&j, NULL);
    json_bool(&j, "fully_encrypted", p.fully_encrypted);
    json_str(&j, "exempt_by", payload_exemption_name(p.exempt));
    json_double(&j, "entropy", p.entropy, DECIMALS);
    json_double(&j, "entropy_expected", p.entropy_expected, DECIMALS);
    json_double(&j, "chi_square", p.chi_square, DECIMALS);
    json_str(&j, "kind", p.kind);
    json_end_object(&j);
    return true;
}

int inspect_payload_stream(FILE *in, FILE *out)
{
    return hex_lines_each(in, out, LINE_BYTES_MAX, ANSWER_BYTES_MAX, answer_payload);
}

int cmd_inspect_payload(int argc, char **argv)
{
    return hex_lines_main(argc, argv, "inspect payload", help, inspect_payload_stream);
}
