/* agent_request.c: see agent_request.h. Pure. */
#include "wire/agent_request.h"

#include "base/json_read.h"

#include <stdio.h>

enum { VALUES_MAX = 512 };

static int fail(struct agent_error *e, enum agent_error_code code, const char *text)
{
    e->code = code;
    snprintf(e->text, sizeof e->text, "%s", text);
    return -1;
}

/* 0..2^53-1 or so; `absent` without. */
static int number(struct json_text *t, const char *key, int64_t absent, int64_t *ret)
{
    const struct json_value *v = json_member(t, t->values, key);
    int64_t n = absent;
    if (v && (!json_read_int(t, v, &n) || n < 0))
        return -1;
    *ret = n;
    return 0;
}

static bool flag(struct json_text *t, const char *key)
{
    return json_is_yes(json_member(t, t->values, key));
}

static int endpoint_of(struct json_text *t, const struct json_value *v, struct endpoint *ret)
{
    char text[ENDPOINT_TEXT_BYTES];
    return json_read_str(t, v, text, sizeof text) && endpoint_parse(span_str(text), ret) ? 0 : -1;
}

static int text_of(struct json_text *t, const char *key, char *ret, size_t size)
{
    const struct json_value *v = json_member(t, t->values, key);
    return !v || json_read_str(t, v, ret, size) ? 0 : -1;
}

static int read_hello(struct json_text *t, struct agent_hello *h, struct agent_error *e)
{
    const struct json_value *list = json_member(t, t->values, "proxies");
    if (text_of(t, "program", h->program, sizeof h->program) != 0 ||
        text_of(t, "version", h->program_version, sizeof h->program_version) != 0)
        return fail(e, AGENT_ERROR_BAD_HELLO, "a name is not a string or too long");
    for (const struct json_value *v = json_first(t, list); v; v = json_next(t, list, v))
        if (h->proxy_count == AGENT_PROXIES_MAX || endpoint_of(t, v, &h->proxies[h->proxy_count++]) != 0)
            return fail(e, AGENT_ERROR_BAD_HELLO, "proxies: not a list of endpoints, or too long");
    return 0;
}

static int read_ids(struct json_text *t, uint64_t *ret_id, char nonce[AGENT_NONCE_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    int64_t id;
    if (number(t, "id", -1, &id) != 0 || id < 0 || text_of(t, "nonce", nonce, AGENT_NONCE_BYTES) != 0 ||
        strlen(nonce) != AGENT_NONCE_BYTES - 1 || strspn(nonce, digits) != AGENT_NONCE_BYTES - 1)
        return -1;
    *ret_id = (uint64_t)id;
    return 0;
}

static int read_ask(struct json_text *t, struct agent_ask *a, struct agent_error *e)
{
    char proto[8] = "";
    int64_t wait_ms, cookie;
    if (read_ids(t, &a->id, a->nonce) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "id or nonce: missing or malformed");
    if (text_of(t, "proto", proto, sizeof proto) != 0 || strcmp(proto, "tcp") != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "proto: only tcp");
    if (endpoint_of(t, json_member(t, t->values, "client"), &a->client) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "client: not an endpoint");
    if (endpoint_of(t, json_member(t, t->values, "proxy"), &a->proxy) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "proxy: not an endpoint");
    if (number(t, "hash_wait_ms", 0, &wait_ms) != 0 || number(t, "age_ms", -1, &a->age_ms) != 0 ||
        number(t, "proxy_cookie", 0, &cookie) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "hash_wait_ms, age_ms or proxy_cookie: not a number");
    a->hash_wait_ms = (unsigned)(wait_ms < AGENT_HASH_WAIT_MAX_MS ? wait_ms : AGENT_HASH_WAIT_MAX_MS);
    a->proxy_cookie = (uint64_t)cookie;
    a->want_hash = flag(t, "want_hash");
    a->full = flag(t, "full");
    a->watch = flag(t, "watch");
    a->brief = flag(t, "brief");
    return 0;
}

static int read_keep(struct json_text *t, struct agent_keep *k, struct agent_error *e)
{
    int64_t seconds;
    if (read_ids(t, &k->id, k->nonce) != 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "id or nonce: missing or malformed");
    if (text_of(t, "sender_ref", k->sender_ref, sizeof k->sender_ref) != 0 || !k->sender_ref[0])
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "sender_ref: missing or too long");
    if (number(t, "seconds", 0, &seconds) != 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "seconds: not a number");
    k->seconds = (unsigned)(seconds < AGENT_KEEP_SECONDS_MAX ? seconds : AGENT_KEEP_SECONDS_MAX);
    return 0;
}

static int read_typed(struct json_text *t, const char *type, struct agent_message *m, struct agent_error *e)
{
    int64_t id;
    if (strcmp(type, "ask") == 0) {
        m->type = AGENT_MESSAGE_ASK;
        m->u.ask = (struct agent_ask){.id = 0};
        return read_ask(t, &m->u.ask, e);
    }
    if (strcmp(type, "hello") == 0) {
        m->type = AGENT_MESSAGE_HELLO;
        memset(&m->u.hello, 0, sizeof m->u.hello);
        return read_hello(t, &m->u.hello, e);
    }
    if (strcmp(type, "keep") == 0) {
        m->type = AGENT_MESSAGE_KEEP;
        m->u.keep = (struct agent_keep){.id = 0};
        return read_keep(t, &m->u.keep, e);
    }
    if (strcmp(type, "error") == 0)
        return m->type = AGENT_MESSAGE_ERROR, 0;
    if (strcmp(type, "done") != 0)
        return fail(e, AGENT_ERROR_UNKNOWN_TYPE, "no such type of message");
    if (number(t, "id", -1, &id) != 0 || id < 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "id: missing or not a number");
    m->type = AGENT_MESSAGE_DONE;
    m->u.done = (uint64_t)id;
    return 0;
}

static int read_message(struct json_text *t, struct agent_message *m, struct agent_error *e)
{
    int64_t version, id;
    char type[16] = "";
    if (number(t, "id", -1, &id) == 0 && id >= 0) {
        e->has_id = true;
        e->id = (uint64_t)id;
    }
    if (!json_member(t, t->values, "type") || number(t, "v", -1, &version) != 0 || version < 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "v or type: missing or malformed");
    if (version < 1)
        return fail(e, AGENT_ERROR_VERSION, "this side speaks a later version");
    if (text_of(t, "type", type, sizeof type) != 0)
        return fail(e, AGENT_ERROR_UNKNOWN_TYPE, "no such type of message");
    if (read_typed(t, type, m, e) != 0)
        return -1;
    if (m->type == AGENT_MESSAGE_HELLO)
        m->u.hello.version = version < AGENT_PROTOCOL_VERSION ? (int)version : AGENT_PROTOCOL_VERSION;
    return 0;
}

int agent_request_read(struct span line, struct agent_message *ret, struct agent_error *ret_error)
{
    struct json_value values[VALUES_MAX];
    struct json_text t;
    struct agent_message m;
    *ret_error = (struct agent_error){.code = AGENT_ERROR_BAD_JSON};
    if (line.len >= AGENT_LINE_BYTES || !json_read(line, values, VALUES_MAX, &t) ||
        values[0].type != JSON_MAP)
        return fail(ret_error, AGENT_ERROR_BAD_JSON, "not one JSON object");
    if (read_message(&t, &m, ret_error) != 0)
        return -1;
    if (t.twice)
        return fail(ret_error, AGENT_ERROR_BAD_JSON, "a member is given twice");
    ret->type = m.type; /* a message is large, and an ask a small part of it */
    if (m.type == AGENT_MESSAGE_ASK)
        ret->u.ask = m.u.ask;
    else if (m.type == AGENT_MESSAGE_HELLO)
        ret->u.hello = m.u.hello;
    else if (m.type == AGENT_MESSAGE_KEEP)
        ret->u.keep = m.u.keep;
    else if (m.type == AGENT_MESSAGE_DONE)
        ret->u.done = m.u.done;
    else
        memset(&ret->u.error, 0, sizeof ret->u.error);
    return 0;
}
