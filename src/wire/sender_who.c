/* sender_who.c: see sender_who.h. Names that a newer agent may use fall to what approves least. Pure. */
#include <jansson.h>

#include "wire/sender_who.h"

#include "base/json.h"
#include "base/must.h"

static const char *const borrowed_names[] = {
#define X(name, wire, text) wire,
    AGENT_BORROWED(X)
#undef X
};
static const char *const borrowed_texts[] = {
#define X(name, wire, text) text,
    AGENT_BORROWED(X)
#undef X
};
static const char *const path_names[] = {
#define X(name, wire) wire,
    AGENT_PATH_CLASSES(X)
#undef X
};
static const char *const not_browser_names[] = {
#define X(name, wire, text) wire,
    AGENT_NOT_BROWSER(X)
#undef X
};
static const char *const job_names[] = {
#define X(name, wire) wire,
    AGENT_JOB_KINDS(X)
#undef X
};

const char *sender_borrowed_name(enum sender_borrowed b)
{
    return borrowed_names[b];
}

const char *sender_borrowed_text(enum sender_borrowed b)
{
    return borrowed_texts[b];
}

void sender_who_init(struct sender_who *w)
{
    *w = (struct sender_who){.first_seen_ms = -1, .first_seen_by_user_ms = -1};
    w->job.owner_uid = w->job.changed_ms = w->job.first_seen_ms = -1;
}

/* ---- writing ---- */

static void write_set(struct json *j, const char *key, uint32_t set, const char *const *names, size_t count)
{
    json_array(j, key);
    for (size_t i = 0; i < count; i++)
        if (set & 1u << i)
            json_str(j, NULL, names[i]);
    json_end_array(j);
}

static void write_known_int(struct json *j, const char *key, int64_t value)
{
    if (value >= 0)
        json_int(j, key, value);
    else
        json_null(j, key);
}

static void write_browser(const struct sender_who *w, struct json *j)
{
    if (!w->browser) {
        json_null(j, "browser");
        return;
    }
    json_object(j, "browser");
    json_str(j, "name", w->browser);
    json_bool(j, "genuine", w->not_browser == 0);
    write_set(j, "why", w->not_browser, not_browser_names, ARRAY_LEN(not_browser_names));
    json_end_object(j);
}

static void write_job(const struct sender_job *job, struct json *j)
{
    if (job->kind == SENDER_JOB_NONE) {
        json_null(j, "job");
        return;
    }
    json_object(j, "job");
    json_str(j, "kind", job_names[job->kind]);
    json_str(j, "name", job->name);
    json_str(j, "file", job->file);
    json_str(j, "sha256", job->sha256);
    json_str(j, "owner", job->owner);
    write_known_int(j, "owner_uid", job->owner_uid);
    write_known_int(j, "changed_ms", job->changed_ms);
    write_known_int(j, "first_seen_ms", job->first_seen_ms);
    json_str(j, "trigger", job->trigger);
    json_str(j, "trigger_file", job->trigger_file);
    json_end_object(j);
}

void sender_who_write(const struct sender_who *w, struct json *j)
{
    if (w->borrowed_known)
        write_set(j, "borrowed", w->borrowed, borrowed_names, ARRAY_LEN(borrowed_names));
    else
        json_null(j, "borrowed");
    json_str(j, "borrowed_why", w->borrowed_why);
    write_set(j, "path_class", w->path_class, path_names, ARRAY_LEN(path_names));
    write_set(j, "script_path_class", w->script_path_class, path_names, ARRAY_LEN(path_names));
    write_known_int(j, "first_seen_ms", w->first_seen_ms);
    write_known_int(j, "first_seen_by_user_ms", w->first_seen_by_user_ms);
    write_browser(w, j);
    write_job(&w->job, j);
}

/* ---- reading ---- */

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static int index_of(const char *const *names, size_t count, const json_t *value)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text && i < count; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -1;
}

/* A name that is in no table counts as `unknown`. */
static uint32_t read_set(const json_t *list, const char *const *names, size_t count, uint32_t unknown,
                         bool *bad)
{
    uint32_t set = 0;
    size_t i;
    const json_t *value;
    if (list && !json_is_array(list))
        *bad = true;
    json_array_foreach(list, i, value)
    {
        int which = index_of(names, count, value);
        set |= which < 0 ? unknown : 1u << which;
    }
    return set;
}

static const char *read_text(struct arena *arena, const json_t *object, const char *key, bool *bad)
{
    const json_t *value = member(object, key);
    if (!value)
        return NULL;
    size_t len = json_string_length(value);
    const char *copy = NULL;
    if (json_is_string(value) && len < AGENT_PATH_BYTES)
        copy = arena_strndup(arena, json_string_value(value), len);
    if (!copy)
        *bad = true;
    return copy;
}

static int64_t read_int(const json_t *object, const char *key, bool *bad)
{
    const json_t *value = member(object, key);
    json_int_t n = json_integer_value(value);
    if (!value)
        return -1;
    if (!json_is_integer(value) || n < 0 || n > (json_int_t)1 << 53)
        *bad = true;
    return n;
}

static void read_browser(struct sender_who *w, struct arena *arena, const json_t *browser, bool *bad)
{
    if (!browser)
        return;
    const uint32_t unknown = 1u << SENDER_NOT_BROWSER_HEADLESS;
    w->browser = read_text(arena, browser, "name", bad);
    w->not_browser =
        read_set(member(browser, "why"), not_browser_names, ARRAY_LEN(not_browser_names), unknown, bad);
    if (!w->browser)
        *bad = true;
}

static void read_job(struct sender_job *job, struct arena *arena, const json_t *object, bool *bad)
{
    int kind = object ? index_of(job_names, ARRAY_LEN(job_names), member(object, "kind")) : -1;
    if (kind <= SENDER_JOB_NONE)
        return;
    job->kind = (enum sender_job_kind)kind;
    job->name = read_text(arena, object, "name", bad);
    job->file = read_text(arena, object, "file", bad);
    job->sha256 = read_text(arena, object, "sha256", bad);
    job->owner = read_text(arena, object, "owner", bad);
    job->trigger = read_text(arena, object, "trigger", bad);
    job->trigger_file = read_text(arena, object, "trigger_file", bad);
    job->owner_uid = read_int(object, "owner_uid", bad);
    job->changed_ms = read_int(object, "changed_ms", bad);
    job->first_seen_ms = read_int(object, "first_seen_ms", bad);
}

void sender_who_read(struct sender_who *w, struct arena *arena, const struct json_t *object, bool *bad)
{
    const json_t *borrowed = member(object, "borrowed");
    const uint32_t unobserved = 1u << SENDER_BORROWED_UNOBSERVED, other = 1u << SENDER_PATH_OTHER;
    w->borrowed_known = borrowed != NULL;
    w->borrowed = read_set(borrowed, borrowed_names, ARRAY_LEN(borrowed_names), unobserved, bad);
    w->borrowed_why = read_text(arena, object, "borrowed_why", bad);
    w->path_class = read_set(member(object, "path_class"), path_names, ARRAY_LEN(path_names), other, bad);
    w->script_path_class =
        read_set(member(object, "script_path_class"), path_names, ARRAY_LEN(path_names), other, bad);
    w->first_seen_ms = read_int(object, "first_seen_ms", bad);
    w->first_seen_by_user_ms = read_int(object, "first_seen_by_user_ms", bad);
    read_browser(w, arena, member(object, "browser"), bad);
    read_job(&w->job, arena, member(object, "job"), bad);
}

/* ---- names of sets ---- */

static int name_set(struct sender_names *names, uint32_t set, const char *const *texts, struct arena *arena)
{
    size_t count = 0;
    struct span *items = set ? arena_alloc(arena, (size_t)__builtin_popcount(set) * sizeof *items) : NULL;
    if (set && !items)
        return -1;
    for (uint32_t left = set; left; left &= left - 1)
        items[count++] = span_str(texts[__builtin_ctz(left)]);
    *names = (struct sender_names){items, count};
    return 0;
}

int sender_who_name_all(struct sender_who *w, struct arena *arena)
{
    if (name_set(&w->borrowed_names, w->borrowed, borrowed_names, arena) != 0 ||
        name_set(&w->path_class_names, w->path_class, path_names, arena) != 0)
        return -1;
    return name_set(&w->not_browser_names, w->not_browser, not_browser_names, arena);
}
