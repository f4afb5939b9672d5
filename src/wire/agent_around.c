/* agent_around.c: see agent_around.h. Pure. */
#include <jansson.h>

#include "wire/agent_around.h"

#include "base/json.h"

#include <stdio.h>

static void write_sender(const struct around_sender *s, struct json *j)
{
    char place[ENDPOINT_TEXT_BYTES];
    json_object(j, NULL);
    json_str(j, "name", s->name);
    json_str(j, "executable", s->executable[0] ? s->executable : NULL);
    json_int(j, "pid", s->pid);
    json_int(j, "uid", s->uid);
    json_str(j, "transport", s->udp ? "udp" : "tcp");
    json_int(j, "count", (int64_t)s->count);
    json_int(j, "last_ms", s->last_ms);
    json_str(j, "last", endpoint_format(&s->last, place));
    json_end_object(j);
}

void agent_around_write(const struct agent_around *a, struct json *j)
{
    if (a->lock < 0)
        json_null(j, "lock");
    else
        json_bool(j, "lock", a->lock == 1);
    json_bool(j, "observed", a->observed);
    json_str(j, "why_not", a->why_not[0] ? a->why_not : NULL);
    json_int(j, "tcp", (int64_t)a->tcp);
    json_int(j, "udp", (int64_t)a->udp);
    json_array(j, "senders");
    for (size_t i = 0; i < a->sender_count; i++)
        write_sender(&a->senders[i], j);
    json_end_array(j);
}

/* ---- reading ---- */

static int read_int(const json_t *object, const char *key, int64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || n > (json_int_t)1 << 53)
        return -1;
    *ret = n;
    return 0;
}

static void read_text(const json_t *object, const char *key, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(ret, size, "%s", text ? text : "");
}

static int read_sender(const json_t *object, struct around_sender *ret)
{
    int64_t count;
    const char *transport = json_string_value(json_object_get(object, "transport"));
    const char *last = json_string_value(json_object_get(object, "last"));
    if (!transport || !last || !endpoint_parse(span_str(last), &ret->last) ||
        read_int(object, "count", &count) != 0 || read_int(object, "pid", &ret->pid) != 0 ||
        read_int(object, "uid", &ret->uid) != 0 || read_int(object, "last_ms", &ret->last_ms) != 0)
        return -1;
    read_text(object, "name", ret->name, sizeof ret->name);
    read_text(object, "executable", ret->executable, sizeof ret->executable);
    ret->udp = strcmp(transport, "udp") == 0;
    ret->count = (uint64_t)count;
    return 0;
}

int agent_around_read(const struct json_t *object, struct agent_around *ret)
{
    const json_t *lock = json_object_get(object, "lock"), *list = json_object_get(object, "senders"), *item;
    int64_t tcp, udp;
    size_t i;
    struct agent_around a = {.lock = json_is_boolean(lock) ? json_is_true(lock) : -1};
    a.observed = json_is_true(json_object_get(object, "observed"));
    read_text(object, "why_not", a.why_not, sizeof a.why_not);
    if (read_int(object, "tcp", &tcp) != 0 || read_int(object, "udp", &udp) != 0)
        return -1;
    a.tcp = (uint64_t)tcp;
    a.udp = (uint64_t)udp;
    json_array_foreach(list, i, item)
    {
        if (i == AROUND_SENDERS_MAX)
            break;
        if (read_sender(item, &a.senders[i]) != 0)
            return -1;
        a.sender_count = i + 1;
    }
    *ret = a;
    return 0;
}
