/* senders.c: see senders.h. */
#include "senders.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096, ROOT = 0, PERSON = 1000 };

struct entry {
    struct entry *next; /* of the bucket */
    uint64_t key;
    struct sender *sender; /* counted */
};

struct senders {
    struct entry *buckets[BUCKETS]; /* owned */
};

const struct program_info *program_info(enum program p)
{
    static const struct program_info infos[] = {
#define X(id, package, executable, script, hello, runs, share, flags)                                        \
    {package, executable, script, HELLO_##hello, runs, share, flags},
        PROGRAMS(X)
#undef X
    };
    return &infos[p];
}

struct senders *senders_new(void)
{
    struct senders *s = calloc(1, sizeof *s);
    must(s);
    return s;
}

void senders_free(struct senders *take_s)
{
    for (int i = 0; i < BUCKETS; i++)
        for (struct entry *e = take_s->buckets[i], *next; e; e = next) {
            next = e->next;
            sender_unref(e->sender);
            free(e);
        }
    free(take_s);
}

void senders_host_name(unsigned host, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "ws-%03u", host);
}

/* "%u" in it is the variant. */
static const char *text(struct sender *s, const char *format, unsigned variant)
{
    char out[256];
    const char *at = strstr(format, "%u");
    if (!*format)
        return NULL;
    if (at)
        snprintf(out, sizeof out, "%.*s%u%s", (int)(at - format), format, variant, at + 2);
    return arena_strdup(&s->arena, at ? out : format);
}

static const char *hash_of(struct sender *s, const struct visit *v)
{
    char hex[65];
    struct rng r = rng_for(v->program, v->variant, v->version);
    for (int i = 0; i < 4; i++)
        snprintf(hex + 16 * i, 17, "%016llx", (unsigned long long)rng_next(&r));
    return arena_strdup(&s->arena, hex);
}

static uint32_t path_class(const struct program_info *p)
{
    if (p->flags & TEMPORARY)
        return 1u << SENDER_PATH_TEMPORARY;
    if (strstr(p->executable, "/home/"))
        return 1u << SENDER_PATH_HOME | (strstr(p->executable, "/.") ? 1u << SENDER_PATH_HIDDEN : 0);
    return 1u << (strncmp(p->executable, "/opt/", 5) == 0 ? SENDER_PATH_OPTIONAL : SENDER_PATH_SYSTEM);
}

static void add_parent(struct sender *s, const char *executable, const char *name)
{
    s->parents = arena_alloc(&s->arena, sizeof *s->parents);
    must(s->parents);
    *s->parents = (struct sender_parent){.pid = 900, .executable = executable, .name = name};
    s->parent_count = 1;
}

/* Whose files are of a package, nobody but root can write. */
static void fill_program(struct sender *s, const struct program_info *p, const struct visit *v)
{
    bool is_script = p->script[0], users = p->flags & USERS;
    s->executable = text(s, p->executable, v->variant);
    s->package_name = text(s, p->package, v->variant);
    s->package_verified = s->package_name ? 1 : -1;
    s->writable_by_user = users && !is_script;
    s->hash_state = SENDER_HASH_DONE;
    s->sha256 = hash_of(s, v);
    if (is_script) {
        s->script_kind = SENDER_SCRIPT_FILE;
        s->script = text(s, p->script, v->variant);
        s->script_sha256 = hash_of(s, v);
        s->script_writable_by_user = users;
    }
    if (p->flags & CI_UNIT)
        s->unit = "builder.service";
    if (v->program == PROGRAM_GO_TEST)
        add_parent(s, program_info(PROGRAM_GO)->executable, "go");
    if (v->program == PROGRAM_APPIMAGE) /* which mounts itself */
        add_parent(s, "/home/user/Downloads/notes.AppImage", "notes.AppImage");
    s->who.borrowed_known = true;
    s->who.path_class = path_class(p);
    s->who.browser = p->flags & BROWSER ? "chromium" : NULL;
    if (p->flags & DRIVEN) {
        s->who.not_browser = 1u << SENDER_NOT_BROWSER_HEADLESS | 1u << SENDER_NOT_BROWSER_DEBUGGING;
        s->who.borrowed = 1u << SENDER_BORROWED_AUTOMATED;
    }
}

static struct sender *make(const struct office *o, const struct visit *v)
{
    char name[NAME_BYTES];
    const struct program_info *p = program_info(v->program);
    struct sender *s = sender_new();
    bool person = o->hosts[v->host].role != ROLE_SERVER && o->hosts[v->host].role != ROLE_CI;
    must(s);
    fill_program(s, p, v);
    const char *slash = strrchr(s->executable, '/');
    s->name = slash + 1;
    s->ref = "4711.1.1";
    s->pid = 1000 + v->program + v->version * 100;
    s->start_ticks = 1 + v->variant;
    s->uid = person ? PERSON + v->host : ROOT;
    snprintf(name, sizeof name, "user%u", v->host);
    s->user = person ? arena_strdup(&s->arena, name) : "root";
    must(sender_who_name_all(&s->who, &s->arena) == 0 && sender_render(s) == 0);
    return s;
}

struct sender *senders_get(struct senders *s, const struct office *o, const struct visit *v)
{
    uint64_t key = (uint64_t)v->host << 48 | (uint64_t)v->program << 40 | (uint64_t)v->variant << 20 |
                   (uint64_t)v->version;
    struct entry **at = &s->buckets[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
    while (*at && (*at)->key != key)
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof **at);
        must(*at);
        (*at)->key = key;
        (*at)->sender = make(o, v);
    }
    return (*at)->sender;
}

/* ---- history ---- */

static void add(struct agent_history *h, enum agent_history_kind kind, int age_s, const char *class_name,
                int64_t bytes)
{
    if (age_s < 0)
        return;
    h->rows[h->row_count++] = (struct agent_history_row){.kind = kind,
                                                         .class_name = class_name,
                                                         .count = 1,
                                                         .first_s = age_s,
                                                         .last_s = age_s,
                                                         .pid = -1,
                                                         .bytes = bytes};
}

/* How often it has run on this host since the agent is there: a year before the month began, at most a thousand runs are remembered. */
static void count_runs(struct agent_history *h, const struct office *o, const struct visit *v)
{
    const struct program_info *p = program_info(v->program);
    double days = 60 + (double)v->at_ms / 1000 / DAY_S;
    h->has_usage = true;
    h->usage.executions = (int64_t)(p->runs_a_day * days);
    h->usage.connected_executions = p->share > 0 ? (int64_t)(p->share * (double)h->usage.executions)
                                                 : o->hosts[v->host].online[v->program];
    h->usage.connections = h->usage.connected_executions;
}

struct agent_history *senders_history(const struct office *o, const struct visit *v)
{
    struct agent_history *h = calloc(1, sizeof *h);
    must(h);
    atomic_init(&h->refs, 1);
    arena_init(&h->arena, AGENT_HISTORY_ARENA_BYTES);
    h->window_s = HOUR_S;
    /* calls that use keys are not watched */
    h->not_observable =
        1u << AGENT_HISTORY_SYMMETRIC_OUTSIDE_TLS | 1u << AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS;
    add(h, AGENT_HISTORY_ARCHIVE_WRITTEN, v->archive_age_s, "gzip", v->archive_bytes);
    add(h, AGENT_HISTORY_EXEC_ARCHIVER, v->archiver_age_s, NULL, -1);
    add(h, AGENT_HISTORY_SENSITIVE_ACCESS, v->sensitive_age_s, v->sensitive, -1);
    if (v->sensitive_age_s >= 0)
        h->sensitive[h->sensitive_count++] = span_str(v->sensitive);
    count_runs(h, o, v);
    return h;
}
