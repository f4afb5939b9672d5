/* sender.c: see sender.h. The two renderings of a sender: the member of an agent's answer, and the objects that
 * audit records carry (OCSF 1.9: process, file, fingerprint, user). The agent and the proxy's decoder call in. Pure. */
#include "wire/sender.h"

#include "base/json.h"
#include "base/must.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { RENDERED_BYTES = 192 * 1024, OCSF_PARENTS = 3, OCSF_FILE_REGULAR = 1, OCSF_SHA256 = 3 };

const char *const agent_provenance_names[AGENT_PROVENANCE_COUNT] = {
#define X(name, text) text,
    AGENT_PROVENANCES(X)
#undef X
};
const char *const sender_hash_state_names[SENDER_HASH_COUNT] = {
#define X(name, text) text,
    AGENT_HASH_STATES(X)
#undef X
};
const char *const sender_script_kind_names[SENDER_SCRIPT_COUNT] = {
#define X(name, text) text,
    AGENT_SCRIPT_KINDS(X)
#undef X
};
const char *const sender_field_names[SENDER_FIELD_COUNT] = {
#define X(name, text) text,
    AGENT_FIELDS(X)
#undef X
};

const char *agent_provenance_name(enum agent_provenance p)
{
    return agent_provenance_names[p];
}

const char *sender_hash_state_name(enum sender_hash_state s)
{
    return sender_hash_state_names[s];
}

const char *sender_script_kind_name(enum sender_script_kind k)
{
    return sender_script_kind_names[k];
}

struct sender *sender_new(void)
{
    struct sender *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, SENDER_ARENA_BYTES);
    s->pid = s->start_ticks = s->start_ms = s->uid = s->login_uid = -1;
    s->package_verified = s->writable_by_user = s->script_writable_by_user = -1;
    sender_who_init(&s->who);
    return s;
}

struct sender *sender_ref(struct sender *s)
{
    unsigned before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    must(before > 0);
    return s;
}

void sender_unref(struct sender *s)
{
    if (!s)
        return;
    unsigned before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
    must(before > 0);
    if (before > 1)
        return;
    arena_reset(&s->arena);
    free(s);
}

static void write_known_int(struct json *j, const char *key, int64_t value)
{
    if (value >= 0)
        json_int(j, key, value);
    else
        json_null(j, key);
}

static void write_tristate(struct json *j, const char *key, int value)
{
    if (value >= 0)
        json_bool(j, key, value != 0);
    else
        json_null(j, key);
}

static void write_package(const struct sender *s, struct json *j)
{
    if (!s->package_name) {
        json_null(j, "package");
        return;
    }
    json_object(j, "package");
    json_str(j, "name", s->package_name);
    json_str(j, "version", s->package_version);
    write_tristate(j, "verified", s->package_verified);
    json_end_object(j);
}

static void write_script(const struct sender *s, struct json *j)
{
    json_str(j, "script", s->script);
    json_str(j, "script_kind",
             s->script_kind == SENDER_SCRIPT_NONE ? NULL : sender_script_kind_name(s->script_kind));
    json_str(j, "script_sha256", s->script_sha256);
    write_tristate(j, "script_writable_by_user", s->script_writable_by_user);
}

static void write_provenance(const struct sender *s, struct json *j)
{
    json_object(j, "provenance");
    for (size_t i = 0; i < SENDER_FIELD_COUNT; i++)
        json_str(j, sender_field_names[i], agent_provenance_name(s->provenance[i]));
    json_end_object(j);
}

static void write_arguments(const struct sender *s, struct json *j)
{
    json_array(j, "arguments");
    for (size_t i = 0; i < s->argument_count; i++)
        json_str(j, NULL, s->arguments[i]);
    json_end_array(j);
    json_bool(j, "arguments_truncated", s->arguments_truncated);
}

static void write_parents(const struct sender *s, struct json *j)
{
    json_array(j, "parents");
    for (size_t i = 0; i < s->parent_count; i++) {
        json_object(j, NULL);
        json_int(j, "pid", s->parents[i].pid);
        json_str(j, "executable", s->parents[i].executable);
        json_str(j, "name", s->parents[i].name);
        if (s->parents[i].writable_by_user >= 0)
            json_bool(j, "writable_by_user", s->parents[i].writable_by_user != 0);
        json_end_object(j);
    }
    json_end_array(j);
}

void sender_write(const struct sender *s, struct json *j, const char *key)
{
    json_object(j, key);
    write_known_int(j, "pid", s->pid);
    write_known_int(j, "start_ticks", s->start_ticks);
    write_known_int(j, "start_ms", s->start_ms);
    json_str(j, "name", s->name);
    json_str(j, "executable", s->executable);
    json_bool(j, "executable_deleted", s->executable_deleted);
    json_str(j, "sha256", s->sha256);
    json_str(j, "hash_state", sender_hash_state_name(s->hash_state));
    write_package(s, j);
    write_script(s, j);
    write_arguments(s, j);
    json_str(j, "cwd", s->cwd);
    write_known_int(j, "uid", s->uid);
    json_str(j, "user", s->user);
    write_known_int(j, "login_uid", s->login_uid);
    json_str(j, "login_user", s->login_user);
    write_parents(s, j);
    json_str(j, "unit", s->unit);
    json_str(j, "container", s->container);
    write_tristate(j, "writable_by_user", s->writable_by_user);
    sender_who_write(&s->who, j);
    write_provenance(s, j);
    json_end_object(j);
}

static const char *base_name(const char *path)
{
    bool is_windows = path[0] && path[1] == ':'; /* everybody else's begin with a slash */
    const char *slash = strrchr(path, is_windows ? '\\' : '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* OCSF file; sha256 may be NULL. */
static void write_ocsf_file(struct json *j, const char *path, const char *sha256, bool deleted)
{
    if (!path)
        return;
    json_object(j, "file");
    json_str(j, "name", base_name(path));
    json_str(j, "path", path);
    json_int(j, "type_id", OCSF_FILE_REGULAR);
    if (deleted)
        json_bool(j, "is_deleted", true);
    if (sha256) {
        json_array(j, "hashes");
        json_object(j, NULL);
        json_str(j, "algorithm", "SHA-256");
        json_int(j, "algorithm_id", OCSF_SHA256);
        json_str(j, "value", sha256);
        json_end_object(j);
        json_end_array(j);
    }
    json_end_object(j);
}

static void write_ocsf_user(const struct sender *s, struct json *j)
{
    if (s->uid < 0 && !s->user)
        return;
    json_object(j, "user");
    if (s->user)
        json_str(j, "name", s->user);
    char uid[24];
    snprintf(uid, sizeof uid, "%" PRId64, s->uid);
    if (s->uid >= 0)
        json_str(j, "uid", uid);
    json_end_object(j);
}

/* A command line that a shell would read back: words that need it are put in single quotes. */
static void write_command_line(const struct sender *s, struct json *j)
{
    if (s->argument_count == 0)
        return;
    struct buf line;
    buf_init(&line, RENDERED_BYTES);
    for (size_t i = 0; i < s->argument_count; i++) {
        const char *word = s->arguments[i];
        bool plain = word[0] && !strpbrk(word, " \t\n\"'\\$`|&;<>()*?!#~");
        buf_append_str(&line, i ? " " : "");
        buf_append_str(&line, plain ? "" : "'");
        for (; !plain && *word; word++)
            buf_append(&line, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
        buf_append_str(&line, plain ? word : "'");
    }
    buf_append_str(&line, s->arguments_truncated ? " ..." : "");
    json_span(j, "cmd_line", buf_span(&line));
    buf_free(&line);
}

static const char *parent_name(const struct sender_parent *p)
{
    return p->executable ? base_name(p->executable) : p->name;
}

static void write_ocsf_parents(const struct sender *s, struct json *j)
{
    size_t count = s->parent_count < OCSF_PARENTS ? s->parent_count : OCSF_PARENTS;
    for (size_t i = 0; i < count; i++) {
        json_object(j, "parent_process");
        json_int(j, "pid", s->parents[i].pid);
        if (parent_name(&s->parents[i]))
            json_str(j, "name", parent_name(&s->parents[i]));
        write_ocsf_file(j, s->parents[i].executable, NULL, false);
    }
    for (size_t i = 0; i < count; i++)
        json_end_object(j);
}

static void write_ocsf(const struct sender *s, struct json *j)
{
    const char *name = s->executable ? base_name(s->executable) : s->name;
    json_object(j, NULL);
    if (name)
        json_str(j, "name", name);
    if (s->pid >= 0)
        json_int(j, "pid", s->pid);
    if (s->ref)
        json_str(j, "uid", s->ref);
    write_command_line(s, j);
    if (s->start_ms >= 0)
        json_int(j, "created_time", s->start_ms);
    write_ocsf_file(j, s->executable, s->sha256, s->executable_deleted);
    write_ocsf_user(s, j);
    if (s->cwd)
        json_str(j, "working_directory", s->cwd);
    write_ocsf_parents(s, j);
    json_end_object(j);
}

static void write_ocsf_unmapped(const struct sender *s, struct json *j)
{
    json_object(j, NULL);
    json_str(j, "comm", s->name);
    json_str(j, "hash_state", sender_hash_state_name(s->hash_state));
    write_package(s, j);
    write_script(s, j);
    write_known_int(j, "login_uid", s->login_uid);
    json_str(j, "login_user", s->login_user);
    json_str(j, "unit", s->unit);
    json_str(j, "container", s->container);
    write_tristate(j, "writable_by_user", s->writable_by_user);
    sender_who_write(&s->who, j);
    write_provenance(s, j);
    json_end_object(j);
}

static const char *render(struct sender *s, void (*write)(const struct sender *, struct json *))
{
    struct buf out;
    struct json j;
    buf_init(&out, RENDERED_BYTES);
    json_init(&j, &out);
    write(s, &j);
    struct span text = buf_span(&out);
    const char *copy = out.failed ? NULL : arena_strndup(&s->arena, (const char *)text.data, text.len);
    buf_free(&out);
    return copy;
}

int sender_render(struct sender *s)
{
    const char *ocsf = render(s, write_ocsf);
    const char *unmapped = render(s, write_ocsf_unmapped);
    if (!ocsf || !unmapped || sender_who_name_all(&s->who, &s->arena) != 0)
        return -1;
    s->ocsf_json = ocsf;
    s->ocsf_unmapped_json = unmapped;
    return 0;
}
