/* intake.c: see intake.h. */
#include "agent/macos/intake.h"

#include "agent/archive.h"
#include "agent/crypto_names.h"
#include "agent/linux/globs.h" /* knows no Linux but in its defaults, which are not used here */
#include "agent/macos/eslogger_parse.h"
#include "agent/macos/log_parse.h"

#include <stdlib.h>

enum { DEPTH = 4, WINDOW_MS = 3600 * 1000, KNOWN_MAX = 8192, LAUNCHD = 1, START_SLACK_S = 1 };

/* Which process has a number now, and how many chains were judged for it that no signature was excused by. */
struct known {
    int64_t pid, start_s;
    uint32_t judged;
};

struct intake {
    struct history *history; /* owned */
    intake_read_head *read_head;
    struct globs globs;
    struct eslogger_reader reader;
    struct known known[KNOWN_MAX]; /* by pid: the latest of a place */
    uint64_t lost;
    bool runs[INTAKE_STREAMS];
};

static void add_watches(struct globs *g)
{
#define WATCH(class_name, glob) globs_add(g, class_name, glob);
#include "agent/macos/watches.def"
#undef WATCH
}

struct intake *intake_new(intake_read_head *read_head)
{
    struct intake *in = calloc(1, sizeof *in);
    struct history *history = in ? history_new(DEPTH, WINDOW_MS) : NULL;
    if (!history) {
        free(in);
        return NULL;
    }
    in->history = history;
    in->read_head = read_head;
    add_watches(&in->globs);
    return in;
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    history_free(in->history);
    free(in);
}

void intake_lose(struct intake *in, uint64_t lines)
{
    in->lost += lines;
}

void intake_running(struct intake *in, enum intake_stream stream, bool runs)
{
    in->runs[stream] = runs;
}

void intake_age(struct intake *in, int64_t now_ms)
{
    history_age(in->history, now_ms);
}

/* ---- who there is ---- */

static struct known *place_of(struct intake *in, int64_t pid)
{
    return &in->known[(uint64_t)pid % KNOWN_MAX];
}

static const struct known *find_known(struct intake *in, int64_t pid)
{
    const struct known *k = place_of(in, pid);
    return pid > 0 && k->pid == pid ? k : NULL;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What launchd started leads a lineage that counts; a login shell's session does not, as on other systems. */
static void tell(struct intake *in, const struct eslogger_process *p, int64_t now_ms)
{
    struct known *k = place_of(in, p->pid);
    const struct known *up = find_known(in, p->parent);
    if (k->pid != p->pid || k->start_s != p->start_s)
        *k = (struct known){.pid = p->pid, .start_s = p->start_s};
    struct history_process told = {.id = {p->pid, p->start_s},
                                   .parent = {up ? up->pid : 0, up ? up->start_s : 0},
                                   .session = p->session,
                                   .is_service = p->session == p->pid && p->parent == LAUNCHD,
                                   .name = last_part(p->executable)};
    history_tell(in->history, &told, now_ms);
}

/* ---- what they did ---- */

static void see(struct intake *in, int64_t pid, enum agent_history_kind kind, const char *class_name,
                const char *path, int64_t bytes, int64_t now_ms)
{
    const struct history_seen seen = {.kind = kind, .class_name = class_name, .path = path, .bytes = bytes};
    if (class_name)
        history_see(in->history, pid, &seen, now_ms);
}

static void see_written(struct intake *in, const struct eslogger_event *e, int64_t now_ms)
{
    uint8_t head[ARCHIVE_HEAD_BYTES];
    int64_t bytes = -1, n = in->read_head(e->path, head, sizeof head, &bytes);
    if (n > 0)
        see(in, e->process.pid, AGENT_HISTORY_ARCHIVE_WRITTEN, archive_kind(span_of(head, (size_t)n)),
            e->path, bytes, now_ms);
}

static void see_mapped(struct intake *in, const struct eslogger_event *e, int64_t now_ms)
{
    struct crypto_name name = crypto_name_of(e->path);
    if (name.is_tls)
        see(in, e->process.pid, AGENT_HISTORY_TLS_LIBRARY, name.family, e->path, -1, now_ms);
    if (name.is_cipher)
        see(in, e->process.pid, AGENT_HISTORY_CRYPTO_LIBRARY, name.family, e->path, -1, now_ms);
}

static void take_event(struct intake *in, const struct eslogger_event *e, int64_t now_ms)
{
    const struct history_id id = {e->process.pid, e->process.start_s};
    const struct known *k = find_known(in, id.pid);
    bool in_folder;
    if (e->kind == ESLOGGER_FORK || e->kind == ESLOGGER_EXEC || !k || k->start_s != id.start_ticks)
        tell(in, &e->process, now_ms);
    switch (e->kind) {
    case ESLOGGER_EXEC:
        see(in, id.pid, AGENT_HISTORY_EXEC_ARCHIVER,
            archiver_kind(e->path, span_of(e->arguments, e->arguments_len)), e->path, -1, now_ms);
        break;
    case ESLOGGER_EXIT:
        history_end(in->history, &id, now_ms);
        break;
    case ESLOGGER_OPEN:
        see(in, id.pid, AGENT_HISTORY_SENSITIVE_ACCESS, globs_class(&in->globs, e->path, &in_folder), e->path,
            -1, now_ms);
        break;
    case ESLOGGER_CLOSE:
        if (e->modified)
            see_written(in, e, now_ms);
        break;
    case ESLOGGER_RENAME:
        see_written(in, e, now_ms);
        break;
    case ESLOGGER_MMAP:
        see_mapped(in, e, now_ms);
        break;
    case ESLOGGER_FORK:
    case ESLOGGER_CREATE: /* empty still */
    case ESLOGGER_EVENT_COUNT:
        break;
    }
}

/* In the name of a process that no event told of, nothing can be said. */
static void take_use(struct intake *in, const struct log_event *use, int64_t now_ms)
{
    struct known *k = place_of(in, use->pid);
    if (k->pid != use->pid || use->use == LOG_VERIFY)
        return;
    if (use->use == LOG_TRUST)
        k->judged++;
    else if (use->use == LOG_SIGN && k->judged > 0)
        k->judged--;
    else
        see(in, use->pid, AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS, use->function, NULL, -1, now_ms);
}

static bool is_loss(struct span line)
{
    static const char mark[] = "\"eventType\":\"lossEvent\"";
    for (size_t i = 0; i + sizeof mark - 1 <= line.len; i++)
        if (line.data[i] == '"' && memcmp(line.data + i, mark, sizeof mark - 1) == 0)
            return true;
    return false;
}

void intake_take(struct intake *in, enum intake_stream stream, struct span line, int64_t now_ms)
{
    struct eslogger_event event;
    struct log_event use;
    if (stream == INTAKE_EVENTS) {
        if (eslogger_parse(&in->reader, line, &event) == PARSE_OK)
            take_event(in, &event, now_ms);
        return;
    }
    enum parse parse = log_parse(line, &use);
    if (parse == PARSE_OK)
        take_use(in, &use, now_ms);
    else if (parse == PARSE_MORE && is_loss(line))
        in->lost++;
}

/* ---- what is told ---- */

static const unsigned events = 1u << AGENT_HISTORY_EXEC_ARCHIVER | 1u << AGENT_HISTORY_ARCHIVE_WRITTEN |
                               1u << AGENT_HISTORY_SENSITIVE_ACCESS | 1u << AGENT_HISTORY_TLS_LIBRARY |
                               1u << AGENT_HISTORY_CRYPTO_LIBRARY,
                      keys = 1u << AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS,
                      all = (1u << AGENT_HISTORY_KIND_COUNT) - 1;

unsigned intake_never(bool any)
{
    return any ? all & ~(events | keys) : all;
}

static unsigned not_observable(const struct intake *in)
{
    unsigned none = all;
    if (in->runs[INTAKE_EVENTS])
        none &= ~events;
    if (in->runs[INTAKE_EVENTS] && in->runs[INTAKE_LOG]) /* who did it is told by the events */
        none &= ~keys;
    return none;
}

void intake_losses(struct intake *in, struct agent_losses *ret)
{
    history_lose(in->history, in->lost + in->reader.lost, 0);
    history_losses(in->history, ret);
}

void intake_ask(struct intake *in, int64_t pid, int64_t start_s, int64_t now_ms, struct agent_history *ret)
{
    const struct known *k = find_known(in, pid);
    bool same = k && k->start_s - start_s <= START_SLACK_S && start_s - k->start_s <= START_SLACK_S;
    const struct history_id id = {same ? pid : -1, same ? k->start_s : 0};
    history_lose(in->history, in->lost + in->reader.lost, 0);
    history_ask(in->history, &id, now_ms, ret);
    ret->not_observable = not_observable(in);
}
