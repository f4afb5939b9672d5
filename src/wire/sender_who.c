/* sender_who.c: see sender_who.h. The writing half, without jansson; sender_who_decode.c reads. Pure. */
#include "wire/sender_who.h"

#include "base/json.h"
#include "base/must.h"

const char *const sender_who_borrowed_names[SENDER_BORROWED_COUNT] = {
#define X(name, wire, text) wire,
    AGENT_BORROWED(X)
#undef X
};
static const char *const borrowed_texts[] = {
#define X(name, wire, text) text,
    AGENT_BORROWED(X)
#undef X
};
const char *const sender_who_path_names[SENDER_PATH_COUNT] = {
#define X(name, wire) wire,
    AGENT_PATH_CLASSES(X)
#undef X
};
const char *const sender_who_not_browser_names[SENDER_NOT_BROWSER_COUNT] = {
#define X(name, wire, text) wire,
    AGENT_NOT_BROWSER(X)
#undef X
};
const char *const sender_who_job_names[SENDER_JOB_COUNT] = {
#define X(name, wire) wire,
    AGENT_JOB_KINDS(X)
#undef X
};

const char *sender_borrowed_name(enum sender_borrowed b)
{
    return sender_who_borrowed_names[b];
}

const char *sender_borrowed_text(enum sender_borrowed b)
{
    return borrowed_texts[b];
}

void sender_who_init(struct sender_who *w)
{
    *w = (struct sender_who){.first_seen_ms = -1, .first_seen_by_user_ms = -1, .responsible_pid = -1};
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
    write_set(j, "why", w->not_browser, sender_who_not_browser_names,
              ARRAY_LEN(sender_who_not_browser_names));
    json_end_object(j);
}

static void write_job(const struct sender_job *job, struct json *j)
{
    if (job->kind == SENDER_JOB_NONE) {
        json_null(j, "job");
        return;
    }
    json_object(j, "job");
    json_str(j, "kind", sender_who_job_names[job->kind]);
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

static void write_signature(const struct sender_who *w, struct json *j)
{
    if (!w->signer) {
        json_null(j, "signature");
        return;
    }
    json_object(j, "signature");
    json_str(j, "signer", w->signer);
    json_bool(j, "valid", w->signature_valid);
    json_end_object(j);
}

static void write_responsible(const struct sender_who *w, struct json *j)
{
    if (w->responsible_pid < 0)
        return; /* of one system only */
    json_object(j, "responsible");
    json_int(j, "pid", w->responsible_pid);
    json_str(j, "executable", w->responsible_path);
    json_end_object(j);
}

void sender_who_write(const struct sender_who *w, struct json *j)
{
    if (w->borrowed_known)
        write_set(j, "borrowed", w->borrowed, sender_who_borrowed_names,
                  ARRAY_LEN(sender_who_borrowed_names));
    else
        json_null(j, "borrowed");
    json_str(j, "borrowed_why", w->borrowed_why);
    write_set(j, "path_class", w->path_class, sender_who_path_names, ARRAY_LEN(sender_who_path_names));
    write_set(j, "script_path_class", w->script_path_class, sender_who_path_names,
              ARRAY_LEN(sender_who_path_names));
    write_known_int(j, "first_seen_ms", w->first_seen_ms);
    write_known_int(j, "first_seen_by_user_ms", w->first_seen_by_user_ms);
    write_browser(w, j);
    write_job(&w->job, j);
    write_signature(w, j);
    write_responsible(w, j);
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
    if (name_set(&w->borrowed_names, w->borrowed, sender_who_borrowed_names, arena) != 0 ||
        name_set(&w->path_class_names, w->path_class, sender_who_path_names, arena) != 0)
        return -1;
    return name_set(&w->not_browser_names, w->not_browser, sender_who_not_browser_names, arena);
}
