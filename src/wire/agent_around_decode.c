/* agent_around_decode.c: the reading half of agent_around.h. Pure. */
#include <jansson.h>

#include "wire/agent_around.h"

#include <stdio.h>

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
