/* macos_events_fuzz.c: any bytes as lines of eslogger, of the unified log and of launchctl: no crash, texts that end, counts that never
 * fall. */
#include "agent/macos/eslogger_parse.h"
#include "agent/macos/launchctl_parse.h"
#include "agent/macos/log_parse.h"
#include "base/must.h"

static void check_event(const struct eslogger_event *e)
{
    must(e->kind < ESLOGGER_EVENT_COUNT && e->process.pid >= 0);
    must(e->path[0] && strnlen(e->path, sizeof e->path) < sizeof e->path);
    must(strnlen(e->process.signing_id, ESLOGGER_NAME_BYTES) < ESLOGGER_NAME_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct eslogger_reader reader;
    struct eslogger_event event;
    struct log_event use;
    struct span left = span_of(data, size), label;
    int64_t pid;
    reader.next_seq = 0;
    reader.lost = 0;
    while (left.len > 0) {
        const uint8_t *end = memchr(left.data, '\n', left.len);
        struct span line = span_of(left.data, end ? (size_t)(end - left.data) : left.len);
        uint64_t lost = reader.lost;
        if (eslogger_parse(&reader, line, &event) == PARSE_OK)
            check_event(&event);
        must(reader.lost >= lost);
        if (log_parse(line, &use) == PARSE_OK)
            must(use.function && use.pid > 0);
        if (launchctl_parse(line, &pid, &label) == PARSE_OK)
            must(pid >= 0 && label.len > 0 && label.data + label.len == line.data + line.len);
        left = span_from(left, line.len + 1);
    }
    return 0;
}
