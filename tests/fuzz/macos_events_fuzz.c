/* macos_events_fuzz.c: any bytes as lines of eslogger, of the unified log and of launchctl: no crash, texts that end, counts that never
 * fall; and the same lines into a history, which is asked about each process that they name. */
#include "agent/macos/eslogger_parse.h"
#include "agent/macos/intake.h"
#include "agent/macos/launchctl_parse.h"
#include "agent/macos/log_parse.h"
#include "base/must.h"

static void check_event(const struct eslogger_event *e)
{
    must(e->kind < ESLOGGER_EVENT_COUNT && e->process.pid >= 0);
    must(e->path[0] && strnlen(e->path, sizeof e->path) < sizeof e->path);
    must(strnlen(e->process.signing_id, ESLOGGER_NAME_BYTES) < ESLOGGER_NAME_BYTES);
    must(e->arguments_len <= sizeof e->arguments);
    must(e->arguments_len == 0 || e->arguments[e->arguments_len - 1] == '\0');
}

/* What was written is a gzip file, whatever it is. */
static int64_t read_head(const char *path, uint8_t *head, size_t size, int64_t *ret_size)
{
    static const uint8_t gzip[] = {0x1f, 0x8b, 8};
    must(path[0] && size >= sizeof gzip);
    memcpy(head, gzip, sizeof gzip);
    *ret_size = 1;
    return sizeof gzip;
}

static void ask(struct intake *in, const struct eslogger_event *e, int64_t now_ms)
{
    static struct agent_history history;
    intake_ask(in, e->process.pid, e->process.start_s, now_ms, &history);
    must(history.row_count <= AGENT_HISTORY_ROWS_MAX && history.lost_events >= 0);
    for (size_t i = 0; i < history.row_count; i++)
        must(history.rows[i].class_name && history.rows[i].count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct eslogger_reader reader;
    struct eslogger_event event;
    struct log_event use;
    struct span left = span_of(data, size), label;
    int64_t pid, now_ms = 0;
    struct intake *in = intake_new(read_head);
    must(in);
    reader.next_seq = 0;
    reader.lost = 0;
    while (left.len > 0) {
        const uint8_t *end = memchr(left.data, '\n', left.len);
        struct span line = span_of(left.data, end ? (size_t)(end - left.data) : left.len);
        uint64_t lost = reader.lost;
        bool is_event = eslogger_parse(&reader, line, &event) == PARSE_OK;
        if (is_event)
            check_event(&event);
        intake_take(in, INTAKE_EVENTS, line, ++now_ms);
        intake_take(in, INTAKE_LOG, line, now_ms);
        if (is_event)
            ask(in, &event, now_ms);
        must(reader.lost >= lost);
        if (log_parse(line, &use) == PARSE_OK)
            must(use.function && use.pid > 0);
        if (launchctl_parse(line, &pid, &label) == PARSE_OK)
            must(pid >= 0 && label.len > 0 && label.data + label.len == line.data + line.len);
        left = span_from(left, line.len + 1);
    }
    intake_free(in);
    return 0;
}
