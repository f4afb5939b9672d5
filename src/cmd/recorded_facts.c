/* recorded_facts.c: see recorded_facts.h. */
#include <jansson.h>

#include "cmd/recorded_facts.h"

#include "base/must.h"
#include "rules/logsource.h"

enum { RECORD_BYTES = 4 << 20 };

void recorded_facts_init(struct recorded_facts *p)
{
    *p = (struct recorded_facts){0};
    arena_init(&p->arena, RECORD_BYTES);
}

void recorded_facts_free(struct recorded_facts *p)
{
    arena_reset(&p->arena);
}

bool recorded_is_close(const json_t *record)
{
    const char *uid = json_string_value(recorded_find(record, "metadata.uid"));
    return uid && strlen(uid) > 2 && strcmp(uid + strlen(uid) - 2, ".c") == 0;
}

/* Where else than at their own path facts stand. */
static const struct {
    enum fact fact;
    const char *path;
} other_paths[] = {
    {FACT_sender_image, "actor.process.file.path"},
    {FACT_sender_command_line, "actor.process.cmd_line"},
    {FACT_sender_user, "actor.process.user.name"},
    {FACT_sender_pid, "actor.process.pid"},
    {FACT_sender_sha256, "actor.process.file.hashes.0.value"},
    {FACT_sender_directory, "actor.process.working_directory"},
    {FACT_sender_parent_image, "actor.process.parent_process.file.path"},
    {FACT_request_host, "dst_endpoint.hostname"},
    {FACT_request_method, "proxy_http_request.http_method"},
    {FACT_url_whole, "proxy_http_request.url.url_string"},
};

static const char *path_of(enum fact which)
{
    for (size_t i = 0; i < sizeof other_paths / sizeof other_paths[0]; i++)
        if (other_paths[i].fact == which)
            return other_paths[i].path;
    return fact_table[which].path;
}

static struct span text_of(struct recorded_facts *p, const json_t *v)
{
    return arena_copy(&p->arena, span_of(json_string_value(v), json_string_length(v)));
}

static void set_items(struct recorded_facts *p, enum fact which, const json_t *v)
{
    struct span *items = arena_alloc(&p->arena, (json_array_size(v) + 1) * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; items && i < json_array_size(v); i++)
        if (json_is_string(json_array_get(v, i)))
            items[count++] = text_of(p, json_array_get(v, i));
    if (items)
        fact_set_items(&p->facts, which, items, count);
}

static void set_fact(struct recorded_facts *p, enum fact which, const json_t *v)
{
    switch (fact_table[which].type) {
    case FACT_BOOL:
        fact_set_bool(&p->facts, which, json_is_true(v));
        break;
    case FACT_INT:
        fact_set_int(&p->facts, which, json_integer_value(v));
        break;
    case FACT_REAL:
        fact_set_real(&p->facts, which, json_number_value(v));
        break;
    case FACT_STRING:
        if (json_is_string(v))
            fact_set_span(&p->facts, which, text_of(p, v));
        break;
    case FACT_STRINGS:
        set_items(p, which, v);
        break;
    case FACT_IP:
        if (json_is_string(v) && ip_parse(span_str(json_string_value(v)), &p->ips[which]))
            fact_set_ip(&p->facts, which, &p->ips[which]);
        break;
    case FACT_JSON:
        break;
    }
}

static bool phase_was_unseen(const json_t *record, enum fact_phase phase)
{
    const json_t *list = recorded_find(record, "unmapped.phases_unseen");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && strcmp(name, logsource_phase_name(phase)) == 0)
            return true;
    }
    return false;
}

/* Path and query of the URL that stands in the record. */
static void set_url_parts(struct recorded_facts *p)
{
    const struct fact_value *whole = &p->facts.values[FACT_url_whole];
    if (whole->state != FACT_KNOWN)
        return;
    const char *text = whole->as.text, *host = strstr(text, "://"),
               *target = host ? strchr(host + 3, '/') : NULL, *query = target ? strchr(target, '?') : NULL;
    if (!target)
        return;
    fact_set_text(&p->facts, FACT_url_target, target);
    fact_set_span(&p->facts, FACT_url_path,
                  span_of(target, query ? (size_t)(query - target) : strlen(target)));
    if (query)
        fact_set_text(&p->facts, FACT_url_query, query + 1);
    p->partial[FACT_url_whole] = p->partial[FACT_url_target] = !query; /* which records may leave out */
}

void recorded_facts_read(struct recorded_facts *p, const json_t *record)
{
    arena_reset(&p->arena);
    p->facts = (struct facts){0};
    memset(p->partial, 0, sizeof p->partial);
    memset(p->not_recorded, 0, sizeof p->not_recorded);
    bool process = recorded_find(record, "actor.process.pid") != NULL;
    fact_set_text(&p->facts, FACT_transport, "tcp");
    fact_set_bool(&p->facts, FACT_initiated, true);
    for (int i = 0; i < FACT_COUNT; i++) {
        const char *path = path_of((enum fact)i);
        const json_t *v = path[0] ? recorded_find(record, path) : NULL;
        if (v)
            set_fact(p, (enum fact)i, v);
    }
    set_url_parts(p);
    for (int i = 0; i < FACT_COUNT; i++) {
        struct fact_value *v = &p->facts.values[i];
        bool of_process = strncmp(path_of((enum fact)i), "actor.process", 13) == 0;
        if (v->state == FACT_KNOWN)
            continue;
        p->not_recorded[i] = !path_of((enum fact)i)[0];
        bool unseen =
            p->not_recorded[i] || phase_was_unseen(record, fact_table[i].phase) || (of_process && !process);
        v->state = unseen ? FACT_UNOBSERVABLE : recorded_is_close(record) ? FACT_ABSENT : FACT_PENDING;
    }
}
