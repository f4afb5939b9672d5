/* agent_message.c: see agent_message.h. Lines, names, and the writing half; agent_message_decode.c reads. Pure. */
#include "wire/agent_message.h"

#include "base/json.h"
#include "base/must.h"

const char *const agent_confidence_names[AGENT_CONFIDENCE_COUNT] = {
#define X(name, text) text,
    AGENT_CONFIDENCES(X)
#undef X
};
const char *const agent_reason_names[AGENT_REASON_COUNT] = {
#define X(name, wire, text) wire,
    AGENT_REASONS(X)
#undef X
};
static const char *const reason_texts[] = {
#define X(name, wire, text) text,
    AGENT_REASONS(X)
#undef X
};
const char *const agent_basis_names[AGENT_BASIS_COUNT] = {
#define X(name, text) text,
    AGENT_BASES(X)
#undef X
};
const char *const agent_error_names[AGENT_ERROR_COUNT] = {
#define X(name, text) text,
    AGENT_ERROR_CODES(X)
#undef X
};

const char *const agent_keep_outcome_names[AGENT_KEEP_OUTCOME_COUNT] = {
#define X(name, text, doc) text,
    AGENT_KEEP_OUTCOMES(X)
#undef X
};
static const char *const outcome_texts[] = {
#define X(name, text, doc) doc,
    AGENT_KEEP_OUTCOMES(X)
#undef X
};

const char *agent_keep_outcome_name(enum agent_keep_outcome o)
{
    return agent_keep_outcome_names[o];
}

const char *agent_keep_outcome_text(enum agent_keep_outcome o)
{
    return outcome_texts[o];
}

const char *agent_confidence_name(enum agent_confidence c)
{
    return agent_confidence_names[c];
}

const char *agent_reason_name(enum agent_reason r)
{
    return agent_reason_names[r];
}

const char *agent_reason_text(enum agent_reason r)
{
    return reason_texts[r];
}

enum parse agent_line_next(struct span received, struct span *ret_line, size_t *ret_used)
{
    size_t look = received.len < AGENT_LINE_BYTES ? received.len : AGENT_LINE_BYTES;
    const uint8_t *end = look ? memchr(received.data, '\n', look) : NULL;
    if (!end)
        return look == AGENT_LINE_BYTES ? PARSE_BAD : PARSE_MORE;
    *ret_line = span_of(received.data, (size_t)(end - received.data));
    *ret_used = ret_line->len + 1;
    return PARSE_OK;
}

/* Every message is written into a buffer of its own first, so that one that does not fit leaves nothing behind. */
static void begin(struct buf *line, struct json *j, const char *type)
{
    buf_init(line, AGENT_LINE_BYTES);
    json_init(j, line);
    json_object(j, NULL);
    json_int(j, "v", AGENT_PROTOCOL_VERSION);
    json_str(j, "type", type);
}

static int finish(struct buf *line, struct json *j, struct buf *out)
{
    json_end_object(j);
    buf_append(line, "\n", 1);
    struct span text = buf_span(line);
    int result = -1;
    if (!line->failed && !out->failed && text.len <= out->limit - buf_len(out))
        result = buf_append(out, text.data, text.len);
    buf_free(line);
    return result;
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static void write_capabilities(struct json *j, const struct agent_hello *h)
{
    json_object(j, "capabilities");
    json_str(j, "owner", h->owner);
    json_bool(j, "bpf", h->bpf);
    json_array(j, "degraded");
    for (size_t i = 0; i < h->degraded_count; i++)
        json_str(j, NULL, h->degraded[i]);
    json_end_array(j);
    if (h->platform[0])
        json_str(j, "platform", h->platform);
    if (h->tells_observable)
        agent_history_write_kinds(h->not_observable, j, "not_observable");
    if (h->keep > 0)
        json_int(j, "keep", h->keep);
    json_end_object(j);
}

int agent_hello_write(struct buf *out, const struct agent_hello *h)
{
    struct buf line;
    struct json j;
    char text[ENDPOINT_TEXT_BYTES];
    must(h->degraded_count <= AGENT_DEGRADED_MAX && h->proxy_count <= AGENT_PROXIES_MAX);
    begin(&line, &j, "hello");
    json_str(&j, "program", h->program);
    json_str(&j, "version", h->program_version);
    if (h->host_name[0]) {
        json_object(&j, "host");
        json_str(&j, "name", h->host_name);
        json_str(&j, "id", or_null(h->host_id));
        json_end_object(&j);
    }
    if (h->owner[0])
        write_capabilities(&j, h);
    if (h->has_around) {
        json_object(&j, "around");
        agent_around_write(&h->around, &j);
        json_end_object(&j);
    }
    if (h->proxy_count > 0) {
        json_array(&j, "proxies");
        for (size_t i = 0; i < h->proxy_count; i++)
            json_str(&j, NULL, endpoint_format(&h->proxies[i], text));
        json_end_array(&j);
    }
    return finish(&line, &j, out);
}

int agent_ask_write(struct buf *out, const struct agent_ask *a)
{
    struct buf line;
    struct json j;
    char text[ENDPOINT_TEXT_BYTES];
    begin(&line, &j, "ask");
    json_int(&j, "id", (int64_t)a->id);
    json_str(&j, "nonce", a->nonce);
    json_str(&j, "proto", "tcp");
    json_str(&j, "client", endpoint_format(&a->client, text));
    json_str(&j, "proxy", endpoint_format(&a->proxy, text));
    json_bool(&j, "want_hash", a->want_hash);
    json_int(&j, "hash_wait_ms", a->hash_wait_ms);
    if (a->full)
        json_bool(&j, "full", true);
    if (a->watch)
        json_bool(&j, "watch", true);
    if (a->brief)
        json_bool(&j, "brief", true);
    if (a->age_ms >= 0)
        json_int(&j, "age_ms", a->age_ms);
    if (a->proxy_cookie > 0)
        json_int(&j, "proxy_cookie", (int64_t)a->proxy_cookie);
    return finish(&line, &j, out);
}

static void write_connect(struct json *j, const struct agent_connect *c)
{
    const struct {
        const char *name;
        int value;
    } facts[] = {{"exec_changed", c->exec_changed},
                 {"handed_over", c->handed_over},
                 {"other_namespace", c->other_namespace},
                 {"shared", c->shared}};
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        if (facts[i].value < 0)
            json_null(j, facts[i].name);
        else
            json_bool(j, facts[i].name, facts[i].value != 0);
    }
}

static int write_answer(struct buf *out, const struct agent_answer *a, const char *type)
{
    struct buf line;
    struct json j;
    must(a->holder_count <= AGENT_HOLDERS_MAX);
    begin(&line, &j, type);
    json_int(&j, "id", (int64_t)a->id);
    json_str(&j, "nonce", a->nonce);
    json_str(&j, "host", a->host);
    json_str(&j, "confidence", agent_confidence_name(a->confidence));
    json_str(&j, "basis", agent_basis_names[a->basis]);
    json_str(&j, "reason", a->reason == AGENT_REASON_NONE ? NULL : agent_reason_name(a->reason));
    if (a->basis == AGENT_BASIS_CONNECT)
        write_connect(&j, &a->connect);
    if (a->watched)
        json_bool(&j, "watched", true);
    if (a->peers)
        agent_peers_write(a->peers, &j, "relaying_for");
    json_array(&j, "holders");
    for (size_t i = 0; i < a->holder_count; i++)
        json_int(&j, NULL, a->holders[i]);
    json_end_array(&j);
    json_str(&j, "sender_ref", or_null(a->sender_ref));
    if (a->sender)
        sender_write(a->sender, &j, "sender");
    if (a->history_same)
        json_str(&j, "history", "same");
    else if (a->history)
        agent_history_write(a->history, &j, "history");
    return finish(&line, &j, out);
}

int agent_answer_write(struct buf *out, const struct agent_answer *a)
{
    return write_answer(out, a, "answer");
}

int agent_changed_write(struct buf *out, const struct agent_answer *a)
{
    return write_answer(out, a, "changed");
}

int agent_done_write(struct buf *out, uint64_t id)
{
    struct buf line;
    struct json j;
    begin(&line, &j, "done");
    json_int(&j, "id", (int64_t)id);
    return finish(&line, &j, out);
}

int agent_around_message_write(struct buf *out, const struct agent_around *a)
{
    struct buf line;
    struct json j;
    begin(&line, &j, "around");
    agent_around_write(a, &j);
    return finish(&line, &j, out);
}

int agent_keep_write(struct buf *out, const struct agent_keep *k)
{
    struct buf line;
    struct json j;
    begin(&line, &j, "keep");
    json_int(&j, "id", (int64_t)k->id);
    json_str(&j, "nonce", k->nonce);
    json_str(&j, "sender_ref", k->sender_ref);
    json_int(&j, "seconds", k->seconds);
    return finish(&line, &j, out);
}

int agent_kept_write(struct buf *out, const struct agent_kept *k)
{
    struct buf line;
    struct json j;
    begin(&line, &j, "kept");
    json_int(&j, "id", (int64_t)k->id);
    json_str(&j, "nonce", k->nonce);
    json_str(&j, "host", k->host);
    json_str(&j, "sender_ref", k->sender_ref);
    json_str(&j, "outcome", agent_keep_outcome_name(k->outcome));
    if (k->outcome == AGENT_KEEP_KEPT)
        json_int(&j, "until_ms", k->until_ms);
    if (k->history)
        agent_history_write(k->history, &j, "history");
    return finish(&line, &j, out);
}

int agent_losses_write(struct buf *out, const struct agent_losses *l)
{
    struct buf line;
    struct json j;
    begin(&line, &j, "losses");
    json_int(&j, "events", l->events);
    json_int(&j, "files", l->files);
    json_int(&j, "forgotten", l->forgotten);
    return finish(&line, &j, out);
}

int agent_error_write(struct buf *out, const struct agent_error *e)
{
    struct buf line;
    struct json j;
    begin(&line, &j, "error");
    if (e->has_id)
        json_int(&j, "id", (int64_t)e->id);
    else
        json_null(&j, "id");
    json_str(&j, "code", agent_error_names[e->code]);
    json_str(&j, "text", e->text);
    return finish(&line, &j, out);
}
