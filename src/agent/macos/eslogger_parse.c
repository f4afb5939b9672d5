/* eslogger_parse.c: see eslogger_parse.h. Pure. */
#include "agent/macos/eslogger_parse.h"

#include "base/rfc3339.h"

enum { TOKEN_EUID = 1, TOKEN_PID = 5, TOKEN_VERSION = 7, TOKEN_NUMBERS = 8 };

static const char *const event_names[] = {
#define X(name, member) member,
    ESLOGGER_EVENTS(X)
#undef X
};

static int64_t number(struct json_text *t, const struct json_value *of, const char *key)
{
    int64_t n = -1;
    return json_read_int(t, json_member(t, of, key), &n) ? n : -1;
}

/* False: it is there and no string that fits. */
static bool text(struct json_text *t, const struct json_value *of, const char *key, char *ret, size_t size)
{
    const struct json_value *v = json_member(t, of, key);
    ret[0] = '\0';
    return !v || json_read_str(t, v, ret, size);
}

/* macOS 26: eight numbers, as the kernel has them. */
static bool read_token_list(const struct json_text *t, const struct json_value *token,
                            struct eslogger_process *p)
{
    int64_t numbers[TOKEN_NUMBERS];
    size_t count = 0;
    for (const struct json_value *v = json_first(t, token); v; v = json_next(t, token, v))
        if (count == TOKEN_NUMBERS || !json_read_int(t, v, &numbers[count++]))
            return false;
    if (count != TOKEN_NUMBERS)
        return false;
    p->euid = numbers[TOKEN_EUID];
    p->pid = numbers[TOKEN_PID];
    p->pid_version = numbers[TOKEN_VERSION];
    return true;
}

static bool read_token(struct json_text *t, const struct json_value *token, struct eslogger_process *p)
{
    if (token && token->type == JSON_LIST)
        return read_token_list(t, token, p) && p->pid >= 0;
    p->euid = number(t, token, "euid");
    p->pid = number(t, token, "pid");
    p->pid_version = number(t, token, "pidversion");
    return p->pid >= 0;
}

static bool read_process(struct json_text *t, const struct json_value *of, struct eslogger_process *p)
{
    char time[64];
    if (!read_token(t, json_member(t, of, "audit_token"), p))
        return false;
    p->parent = number(t, of, "original_ppid");
    p->session = number(t, of, "session_id");
    p->start_s = -1;
    if (json_read_str(t, json_member(t, of, "start_time"), time, sizeof time))
        rfc3339_parse(span_str(time), &p->start_s);
    p->is_platform_binary = json_is_yes(json_member(t, of, "is_platform_binary"));
    const struct json_value *file = json_member(t, of, "executable");
    return file && text(t, file, "path", p->executable, sizeof p->executable) && p->executable[0] &&
           text(t, of, "signing_id", p->signing_id, sizeof p->signing_id) &&
           text(t, of, "team_id", p->team_id, sizeof p->team_id);
}

/* A file that was there, or a folder and a name in it. */
static bool read_destination(struct json_text *t, const struct json_value *of, char path[ESLOGGER_PATH_BYTES])
{
    char name[ESLOGGER_NAME_BYTES];
    const struct json_value *there = json_member(t, of, "existing_file"),
                            *made = json_member(t, of, "new_path");
    if (there)
        return text(t, there, "path", path, ESLOGGER_PATH_BYTES) && path[0];
    if (!text(t, json_member(t, made, "dir"), "path", path, ESLOGGER_PATH_BYTES) || !path[0] ||
        !text(t, made, "filename", name, sizeof name))
        return false;
    size_t len = strlen(path), more = strlen(name);
    if (len + 1 + more >= ESLOGGER_PATH_BYTES)
        return false;
    path[len] = '/';
    memcpy(path + len + 1, name, more + 1);
    return true;
}

/* Those that fit; the first ones say what a program was started as. */
static void read_arguments(struct json_text *t, const struct json_value *list, struct eslogger_event *e)
{
    for (const struct json_value *v = json_first(t, list); v; v = json_next(t, list, v)) {
        char *at = e->arguments + e->arguments_len;
        if (!json_read_str(t, v, at, sizeof e->arguments - e->arguments_len))
            return;
        e->arguments_len += strlen(at) + 1;
    }
}

static bool read_event(struct json_text *t, const struct json_value *of, struct eslogger_event *e)
{
    const char *member = e->kind == ESLOGGER_OPEN ? "file" : e->kind == ESLOGGER_CLOSE ? "target" : "source";
    const char *whom = e->kind == ESLOGGER_EXEC ? "target" : "child";
    bool of_process = e->kind == ESLOGGER_FORK || e->kind == ESLOGGER_EXEC || e->kind == ESLOGGER_EXIT;
    if (of_process && e->kind != ESLOGGER_EXIT && !read_process(t, json_member(t, of, whom), &e->process))
        return false;
    if (of_process) {
        read_arguments(t, json_member(t, of, "args"), e);
        memcpy(e->path, e->process.executable, sizeof e->path);
        return true;
    }
    if (e->kind == ESLOGGER_CREATE || e->kind == ESLOGGER_RENAME)
        return read_destination(t, json_member(t, of, "destination"), e->path);
    e->modified = json_is_yes(json_member(t, of, "modified"));
    return text(t, json_member(t, of, member), "path", e->path, sizeof e->path) && e->path[0];
}

static const struct json_value *find_event(struct json_text *t, struct eslogger_event *e)
{
    const struct json_value *events = json_member(t, t->values, "event"), *found = NULL;
    for (int i = 0; i < ESLOGGER_EVENT_COUNT && !found; i++) {
        found = json_member(t, events, event_names[i]);
        e->kind = (enum eslogger_event_kind)i;
    }
    return found;
}

/* What came twice or earlier is no loss. */
static void count_lost(struct eslogger_reader *r, int64_t seq)
{
    if (seq < 0)
        return;
    if (r->next_seq > 0 && seq > r->next_seq)
        r->lost += (uint64_t)(seq - r->next_seq);
    if (seq >= r->next_seq)
        r->next_seq = seq + 1;
}

enum parse eslogger_parse(struct eslogger_reader *r, struct span line, struct eslogger_event *ret)
{
    struct json_text t;
    struct eslogger_event e;
    memset(&e, 0, sizeof e);
    if (!json_read(line, r->values, ESLOGGER_VALUES_MAX, &t) || t.values[0].type != JSON_MAP)
        return PARSE_BAD;
    count_lost(r, number(&t, t.values, "global_seq_num"));
    const struct json_value *event = find_event(&t, &e);
    if (!event || !read_process(&t, json_member(&t, t.values, "process"), &e.process) ||
        !read_event(&t, event, &e) || t.twice)
        return PARSE_BAD;
    *ret = e;
    return PARSE_OK;
}
