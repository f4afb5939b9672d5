/* agent_around.c: see agent_around.h. The writing half, without jansson; agent_around_decode.c reads. Pure. */
#include "wire/agent_around.h"

#include "base/json.h"

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
