/* agent_events_fuzz.c: what the kernel, /proc and a file of ours tell the host agent, as any bytes: no crash, no leak, bounded. The
 * first byte says which reader the rest goes to. */
#include "agent/archive.h"
#include "agent/crypto_names.h"
#include "agent/history.h"
#include "agent/linux/elf_symbols.h"
#include "agent/linux/exec.h"
#include "agent/linux/globs.h"
#include "agent/linux/keys.h"
#include "agent/linux/libraries.h"
#include "agent/usage.h"
#include "base/must.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_usage(struct span text)
{
    struct usage *first = usage_new(), *second = usage_new();
    struct buf out;
    must(first && second);
    buf_init(&out, USAGE_TEXT_BYTES);
    size_t count = usage_read(first, text);
    must(count <= text.len);
    if (usage_write(first, &out) == 0) /* what was written is read again, as many of them */
        must(usage_read(second, buf_span(&out)) <= count);
    buf_free(&out);
    usage_free(first);
    usage_free(second);
}

static void read_records(struct history *h, struct span bytes)
{
    char path[EXEC_PATH_BYTES];
    struct executed e;
    while (bytes.len >= 2) { /* a length, then the record */
        size_t len = (size_t)(bytes.data[0] | bytes.data[1] << 8);
        bytes = span_from(bytes, 2);
        len = len < bytes.len ? len : bytes.len;
        struct exec_record *copy = malloc(len ? len : 1); /* aligned, and its end is watched */
        must(copy);
        if (len)
            memcpy(copy, bytes.data, len);
        if (exec_record_take(h, -1, copy, len, &e, path)) {
            must(strlen(e.path) < EXEC_PATH_BYTES);
            archiver_kind(e.path, e.arguments);
        }
        free(copy);
        bytes = span_from(bytes, len);
    }
}

static void match(struct span bytes)
{
    char text[1024];
    bool in_folder;
    static struct globs globs;
    globs.count = 0;
    size_t len = bytes.len < sizeof text - 1 ? bytes.len : sizeof text - 1;
    if (len)
        memcpy(text, bytes.data, len);
    text[len] = 0;
    char *path = strchr(text, '\n');
    if (!path)
        return;
    *path++ = 0;
    globs_add_defaults(&globs);
    globs_add_text(&globs, text);
    if (path[0] == '/')
        globs_class(&globs, path, &in_folder);
}

static void on_symbol(void *context, const char *name, uint64_t offset)
{
    size_t *bytes = context;
    *bytes += strlen(name);
    must(offset != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t bytes = 0;
    if (size == 0)
        return 0;
    static struct agent_history told;
    struct span rest = span_of(data + 1, size - 1);
    struct history *h = history_new(4, 1000);
    must(h);
    struct history_process p = {.id = {1234, 1}, .session = 7, .name = "p"};
    history_tell(h, &p, 1);
    switch (data[0] % 8) {
    case 0:
        read_usage(rest);
        break;
    case 1:
        read_records(h, rest);
        break;
    case 2:
        library_note_take(h, rest);
        break;
    case 3:
        library_maps_take(h, 1234, rest);
        break;
    case 4:
        archive_kind(rest);
        crypto_mark_in(rest);
        break;
    case 5:
        match(rest);
        break;
    case 6:
        elf_symbols_each(rest, on_symbol, &bytes);
        break;
    default:
        key_record_take(h, rest.data, rest.len);
    }
    history_ask(h, &p.id, 2, &told);
    must(told.row_count <= AGENT_HISTORY_ROWS_MAX);
    history_free(h);
    return 0;
}
