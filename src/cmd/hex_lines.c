/* hex_lines.c: see hex_lines.h. */
#include "cmd/hex_lines.h"

#include "base/hex.h"

#include <errno.h>
#include <stdlib.h>

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Reads to the end of the line; the first error stays. False at the end of the input when nothing was there. */
static bool line_read(struct hex_line *l, FILE *in)
{
    int c, high = -1;
    *l = (struct hex_line){.bytes = l->bytes, .max = l->max};
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
        else if (l->len == l->max)
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

void hex_lines_write_error(struct json *j, const char *text, size_t offset)
{
    json_object(j, NULL);
    json_str(j, "error", text);
    json_int(j, "offset", (int64_t)offset);
    json_end_object(j);
}

/* One line's object; a line whose object can't be built (memory) gets an error object of its own. */
static bool answer_line(const struct hex_line *l, FILE *out, size_t answer_bytes_max,
                        hex_lines_answer *answer)
{
    struct buf text;
    struct json j;
    buf_init(&text, answer_bytes_max);
    bool good = answer(l, &text);
    if (text.failed) {
        buf_free(&text);
        buf_init(&text, answer_bytes_max);
        json_init(&j, &text);
        hex_lines_write_error(&j, "out of memory", l->len);
        good = false;
    }
    buf_append(&text, "\n", 1);
    struct span all = buf_span(&text);
    if (all.data)
        fwrite(all.data, 1, all.len, out);
    buf_free(&text);
    return good;
}

int hex_lines_each(FILE *in, FILE *out, size_t line_bytes_max, size_t answer_bytes_max,
                   hex_lines_answer *answer)
{
    struct hex_line line = {.bytes = malloc(line_bytes_max), .max = line_bytes_max};
    int result = line.bytes ? HEX_LINES_OK : HEX_LINES_FAILED;
    while (result != HEX_LINES_FAILED && line_read(&line, in)) {
        if (line.any && !answer_line(&line, out, answer_bytes_max, answer))
            result = HEX_LINES_SOME_BAD;
        if (ferror(out))
            result = HEX_LINES_FAILED;
    }
    free(line.bytes);
    return ferror(in) || fflush(out) != 0 ? HEX_LINES_FAILED : result;
}

static int run_on(const char *path, const char *words, int (*run)(FILE *in, FILE *out))
{
    bool from_stdin = strcmp(path, "-") == 0;
    FILE *in = from_stdin ? stdin : fopen(path, "re");
    if (!in) {
        fprintf(stderr, "exeat %s: %s: %s\n", words, path, strerror(errno));
        return HEX_LINES_FAILED;
    }
    int result = run(in, stdout);
    if (result == HEX_LINES_FAILED)
        fprintf(stderr, "exeat %s: %s: %s\n", words, path, strerror(errno));
    if (!from_stdin)
        fclose(in);
    return result;
}

int hex_lines_main(int argc, char **argv, const char *words, const char *help,
                   int (*run)(FILE *in, FILE *out))
{
    const char *path = "-";
    bool options = true, named = false;
    for (int i = 1; i < argc; i++) {
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0))
            return fputs(help, stdout) < 0 ? HEX_LINES_FAILED : HEX_LINES_OK;
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (named || (options && argv[i][0] == '-' && argv[i][1] != '\0')) {
            fprintf(stderr, "exeat %s: %s: not understood\n%s", words, argv[i], help);
            return HEX_LINES_FAILED;
        } else {
            path = argv[i];
            named = true;
        }
    }
    return run_on(path, words, run);
}
