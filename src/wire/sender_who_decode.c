/* sender_who_decode.c: the reading half of sender_who.h. Names that a newer agent may use fall to what approves least. Pure. */
#include "wire/member.h"

#include "wire/sender_who.h"

#include "base/must.h"

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
        int which = member_index(names, count, value);
        set |= which < 0 ? unknown : 1u << which;
    }
    return set;
}

static const char *read_text(struct arena *arena, const json_t *object, const char *key, bool *bad)
{
    const json_t *value = member_get(object, key);
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
    const json_t *value = member_get(object, key);
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
    w->not_browser = read_set(member_get(browser, "why"), sender_who_not_browser_names,
                              ARRAY_LEN(sender_who_not_browser_names), unknown, bad);
    if (!w->browser)
        *bad = true;
}

static void read_job(struct sender_job *job, struct arena *arena, const json_t *object, bool *bad)
{
    int kind = object ? member_index(sender_who_job_names, ARRAY_LEN(sender_who_job_names),
                                     member_get(object, "kind"))
                      : -1;
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

static void read_signature(struct sender_who *w, struct arena *arena, const json_t *object, bool *bad)
{
    const json_t *signature = member_get(object, "signature"),
                 *responsible = member_get(object, "responsible");
    w->signer = signature ? read_text(arena, signature, "signer", bad) : NULL;
    w->signature_valid = w->signer && json_is_true(member_get(signature, "valid"));
    w->responsible_pid = responsible ? read_int(responsible, "pid", bad) : -1;
    w->responsible_path = responsible ? read_text(arena, responsible, "executable", bad) : NULL;
}

void sender_who_read(struct sender_who *w, struct arena *arena, const struct json_t *object, bool *bad)
{
    const json_t *borrowed = member_get(object, "borrowed");
    const uint32_t unobserved = 1u << SENDER_BORROWED_UNOBSERVED, other = 1u << SENDER_PATH_OTHER;
    w->borrowed_known = borrowed != NULL;
    w->borrowed =
        read_set(borrowed, sender_who_borrowed_names, ARRAY_LEN(sender_who_borrowed_names), unobserved, bad);
    w->borrowed_why = read_text(arena, object, "borrowed_why", bad);
    w->path_class = read_set(member_get(object, "path_class"), sender_who_path_names,
                             ARRAY_LEN(sender_who_path_names), other, bad);
    w->script_path_class = read_set(member_get(object, "script_path_class"), sender_who_path_names,
                                    ARRAY_LEN(sender_who_path_names), other, bad);
    w->first_seen_ms = read_int(object, "first_seen_ms", bad);
    w->first_seen_by_user_ms = read_int(object, "first_seen_by_user_ms", bad);
    read_browser(w, arena, member_get(object, "browser"), bad);
    read_job(&w->job, arena, member_get(object, "job"), bad);
    read_signature(w, arena, object, bad);
}
