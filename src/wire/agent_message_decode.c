/* agent_message_decode.c: one line of the agent protocol into a struct, with every bound and type checked; what the
 * line says is never trusted to be consistent (an exact answer without a ref is refused, not repaired). exeatd's
 * agent link, exeat-agent and the fuzzer call in. Pure: jansson parses, all copies live in the result. */
#include "wire/member.h"

#include "wire/agent_message.h"

#include <stdarg.h>
#include <stdio.h>

static int fail(struct agent_error *e, enum agent_error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct agent_error *e, enum agent_error_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    e->code = code;
    return -1;
}

/* Copies a string member into a fixed array; -1 when it has another type or does not fit; absent leaves "". */
static int text_member(const json_t *object, const char *key, char *ret, size_t size)
{
    const json_t *value = member_get(object, key);
    if (!value)
        return 0;
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len >= size)
        return -1;
    memcpy(ret, json_string_value(value), len + 1);
    return 0;
}

static bool bool_member(const json_t *object, const char *key)
{
    return json_is_true(member_get(object, key));
}

/* 0..2^53-1; absent is `absent`. */
static int int_member(const json_t *object, const char *key, int64_t absent, int64_t *ret)
{
    const json_t *value = member_get(object, key);
    json_int_t n = json_integer_value(value);
    if (value && (!json_is_integer(value) || n < 0 || n > (json_int_t)1 << 53))
        return -1;
    *ret = value ? n : absent;
    return 0;
}

static int endpoint_member(const json_t *value, struct endpoint *ret)
{
    const char *text = json_string_value(value);
    return text && endpoint_parse(span_of(text, json_string_length(value)), ret) ? 0 : -1;
}

/* ---- hello ---- */

static int decode_degraded(const json_t *list, struct agent_hello *h)
{
    size_t i;
    const json_t *value;
    json_array_foreach(list, i, value)
    {
        if (i == AGENT_DEGRADED_MAX)
            break;
        snprintf(h->degraded[i], sizeof h->degraded[i], "%s",
                 json_is_string(value) ? json_string_value(value) : "");
        h->degraded_count = i + 1;
    }
    return 0;
}

static int decode_proxies(const json_t *list, struct agent_hello *h)
{
    size_t i;
    const json_t *value;
    if (json_array_size(list) > AGENT_PROXIES_MAX)
        return -1;
    json_array_foreach(list, i, value)
    {
        if (endpoint_member(value, &h->proxies[i]) != 0)
            return -1;
        h->proxy_count = i + 1;
    }
    return 0;
}

static int decode_hello(const json_t *object, struct agent_hello *h, struct agent_error *e)
{
    const json_t *host = member_get(object, "host"), *capabilities = member_get(object, "capabilities");
    if (text_member(object, "program", h->program, sizeof h->program) != 0 ||
        text_member(object, "version", h->program_version, sizeof h->program_version) != 0 ||
        text_member(host, "name", h->host_name, sizeof h->host_name) != 0 ||
        text_member(host, "id", h->host_id, sizeof h->host_id) != 0 ||
        text_member(capabilities, "owner", h->owner, sizeof h->owner) != 0)
        return fail(e, AGENT_ERROR_BAD_HELLO, "a name is not a string or too long");
    h->bpf = bool_member(capabilities, "bpf");
    decode_degraded(member_get(capabilities, "degraded"), h);
    if (text_member(capabilities, "platform", h->platform, sizeof h->platform) != 0)
        h->platform[0] = '\0'; /* one that we don't know */
    h->tells_observable = json_is_array(member_get(capabilities, "not_observable"));
    h->not_observable = agent_history_decode_kinds(member_get(capabilities, "not_observable"));
    int64_t keep;
    h->keep = int_member(capabilities, "keep", 0, &keep) == 0 && keep <= INT32_MAX ? (unsigned)keep : 0;
    const json_t *around = member_get(object, "around");
    h->has_around = around && agent_around_read(around, &h->around) == 0;
    if (decode_proxies(member_get(object, "proxies"), h) != 0)
        return fail(e, AGENT_ERROR_BAD_HELLO, "proxies: not a list of at most %d endpoints",
                    AGENT_PROXIES_MAX);
    return 0;
}

/* ---- ask ---- */

static bool nonce_is_valid(const char *nonce)
{
    return strlen(nonce) == AGENT_NONCE_BYTES - 1 &&
           strspn(nonce, "0123456789abcdef") == AGENT_NONCE_BYTES - 1;
}

static int decode_ids(const json_t *object, uint64_t *ret_id, char nonce[AGENT_NONCE_BYTES])
{
    int64_t id;
    if (int_member(object, "id", -1, &id) != 0 || id < 0)
        return -1;
    if (text_member(object, "nonce", nonce, AGENT_NONCE_BYTES) != 0 || !nonce_is_valid(nonce))
        return -1;
    *ret_id = (uint64_t)id;
    return 0;
}

static int decode_ask(const json_t *object, struct agent_ask *a, struct agent_error *e)
{
    int64_t wait_ms, cookie;
    const char *proto = json_string_value(member_get(object, "proto"));
    if (decode_ids(object, &a->id, a->nonce) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "id or nonce: missing or malformed");
    if (!proto || strcmp(proto, "tcp") != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "proto: only tcp");
    if (endpoint_member(member_get(object, "client"), &a->client) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "client: not an endpoint");
    if (endpoint_member(member_get(object, "proxy"), &a->proxy) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "proxy: not an endpoint");
    if (int_member(object, "hash_wait_ms", 0, &wait_ms) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "hash_wait_ms: not a number of milliseconds");
    a->hash_wait_ms = (unsigned)(wait_ms < AGENT_HASH_WAIT_MAX_MS ? wait_ms : AGENT_HASH_WAIT_MAX_MS);
    if (int_member(object, "age_ms", -1, &a->age_ms) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "age_ms: not a number of milliseconds");
    if (int_member(object, "proxy_cookie", 0, &cookie) != 0)
        return fail(e, AGENT_ERROR_BAD_ASK, "proxy_cookie: not a number");
    a->proxy_cookie = (uint64_t)cookie;
    a->want_hash = bool_member(object, "want_hash");
    a->full = bool_member(object, "full");
    a->watch = bool_member(object, "watch");
    a->brief = bool_member(object, "brief");
    return 0;
}

/* ---- the sender in an answer ---- */

/* A copy in the sender's arena, or NULL: absent, too long, or not a string. *bad is set for the latter two. */
static const char *sender_text(struct sender *s, const json_t *object, const char *key, bool *bad)
{
    const json_t *value = member_get(object, key);
    if (!value)
        return NULL;
    size_t len = json_string_length(value);
    const char *copy = NULL;
    if (json_is_string(value) && len < AGENT_PATH_BYTES)
        copy = arena_strndup(&s->arena, json_string_value(value), len);
    if (!copy)
        *bad = true;
    return copy;
}

static int64_t sender_int(const json_t *object, const char *key, bool *bad)
{
    int64_t value = -1;
    if (int_member(object, key, -1, &value) != 0)
        *bad = true;
    return value;
}

static int tristate(const json_t *object, const char *key)
{
    const json_t *value = member_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : -1;
}

static bool is_sha256(const char *text)
{
    return !text || (strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64);
}

static void decode_arguments(struct sender *s, const json_t *list, bool *bad)
{
    size_t i, count = json_array_size(list), bytes = 0;
    const json_t *value;
    if (count > AGENT_ARGUMENTS_MAX)
        count = AGENT_ARGUMENTS_MAX, s->arguments_truncated = true;
    s->arguments = count ? arena_alloc(&s->arena, count * sizeof *s->arguments) : NULL;
    if (count && !s->arguments)
        *bad = true;
    json_array_foreach(list, i, value)
    {
        bytes += json_string_length(value);
        if (i == count || !s->arguments)
            return;
        if (json_is_string(value) && bytes <= AGENT_LINE_BYTES)
            s->arguments[i] = arena_strndup(&s->arena, json_string_value(value), json_string_length(value));
        if (!s->arguments[i]) {
            *bad = true;
            return;
        }
        s->argument_count = i + 1;
    }
}

static void decode_parents(struct sender *s, const json_t *list, bool *bad)
{
    size_t i, count = json_array_size(list);
    const json_t *value;
    if (count > AGENT_PARENTS_MAX)
        count = AGENT_PARENTS_MAX;
    s->parents = count ? arena_alloc(&s->arena, count * sizeof *s->parents) : NULL;
    if (count && !s->parents)
        *bad = true;
    json_array_foreach(list, i, value)
    {
        if (i == count || *bad)
            return;
        s->parents[i].pid = sender_int(value, "pid", bad);
        s->parents[i].executable = sender_text(s, value, "executable", bad);
        s->parents[i].name = sender_text(s, value, "name", bad);
        s->parents[i].writable_by_user = tristate(value, "writable_by_user");
        if (s->parents[i].pid < 0)
            *bad = true;
        else
            s->parent_count = i + 1;
    }
}

/* Names that a newer agent may use fall to the value that approves least. */
static void decode_enums(struct sender *s, const json_t *object)
{
    const json_t *provenance = member_get(object, "provenance"), *kind = member_get(object, "script_kind");
    for (int i = 0; i < SENDER_FIELD_COUNT; i++) {
        int p = member_index(agent_provenance_names, AGENT_PROVENANCE_COUNT,
                             member_get(provenance, sender_field_names[i]));
        s->provenance[i] = p < 0 ? AGENT_PROVENANCE_UNAVAILABLE : (enum agent_provenance)p;
    }
    int state = member_index(sender_hash_state_names, SENDER_HASH_COUNT, member_get(object, "hash_state"));
    s->hash_state = state < 0 ? SENDER_HASH_FAILED : (enum sender_hash_state)state;
    int k = member_index(sender_script_kind_names, SENDER_SCRIPT_COUNT, kind);
    s->script_kind = !kind ? SENDER_SCRIPT_NONE : k < 0 ? SENDER_SCRIPT_UNCLEAR : (enum sender_script_kind)k;
}

static void decode_identity(struct sender *s, const json_t *object, bool *bad)
{
    const json_t *package = member_get(object, "package");
    s->pid = sender_int(object, "pid", bad);
    s->start_ticks = sender_int(object, "start_ticks", bad);
    s->start_ms = sender_int(object, "start_ms", bad);
    s->uid = sender_int(object, "uid", bad);
    s->login_uid = sender_int(object, "login_uid", bad);
    s->name = sender_text(s, object, "name", bad);
    s->executable = sender_text(s, object, "executable", bad);
    s->executable_deleted = bool_member(object, "executable_deleted");
    s->sha256 = sender_text(s, object, "sha256", bad);
    s->package_name = sender_text(s, package, "name", bad);
    s->package_version = sender_text(s, package, "version", bad);
    s->package_verified = tristate(package, "verified");
    s->script = sender_text(s, object, "script", bad);
    s->script_sha256 = sender_text(s, object, "script_sha256", bad);
    s->cwd = sender_text(s, object, "cwd", bad);
    s->user = sender_text(s, object, "user", bad);
    s->login_user = sender_text(s, object, "login_user", bad);
    s->unit = sender_text(s, object, "unit", bad);
    s->container = sender_text(s, object, "container", bad);
    s->writable_by_user = tristate(object, "writable_by_user");
    s->script_writable_by_user = tristate(object, "script_writable_by_user");
    s->arguments_truncated = bool_member(object, "arguments_truncated");
}

/* One reference, rendered; NULL when the object breaks the protocol or its budget. */
static struct sender *decode_sender(const json_t *object, const char *ref)
{
    struct sender *s = sender_new();
    bool bad = !s || !json_is_object(object);
    if (!bad) {
        decode_identity(s, object, &bad);
        decode_enums(s, object);
        sender_who_read(&s->who, &s->arena, object, &bad);
        decode_arguments(s, member_get(object, "arguments"), &bad);
        decode_parents(s, member_get(object, "parents"), &bad);
        s->ref = arena_strdup(&s->arena, ref);
    }
    if (bad || !s->ref || s->pid < 0 || !is_sha256(s->sha256) || !is_sha256(s->script_sha256) ||
        (s->hash_state == SENDER_HASH_DONE) != (s->sha256 != NULL) || sender_render(s) != 0) {
        sender_unref(s);
        return NULL;
    }
    return s;
}

/* ---- answer ---- */

static int decode_holders(const json_t *list, struct agent_answer *a)
{
    size_t i;
    const json_t *value;
    json_array_foreach(list, i, value)
    {
        if (i == AGENT_HOLDERS_MAX)
            break;
        if (!json_is_integer(value) || json_integer_value(value) <= 0)
            return -1;
        a->holders[i] = json_integer_value(value);
        a->holder_count = i + 1;
    }
    return 0;
}

/* Only exact and stale answers have a sender; those always have. */
static int check_answer(const struct agent_answer *a, bool has_sender)
{
    bool named = a->confidence == AGENT_CONFIDENCE_EXACT || a->confidence == AGENT_CONFIDENCE_STALE;
    if (named != (a->sender_ref[0] != 0) || (has_sender && !named))
        return -1;
    return a->confidence == AGENT_CONFIDENCE_EXACT && a->reason != AGENT_REASON_NONE ? -1 : 0;
}

static int decode_answer(const json_t *object, struct agent_answer *a, struct agent_error *e)
{
    const json_t *reason = member_get(object, "reason"), *sender = member_get(object, "sender");
    int confidence =
        member_index(agent_confidence_names, AGENT_CONFIDENCE_COUNT, member_get(object, "confidence"));
    int basis = member_index(agent_basis_names, AGENT_BASIS_COUNT, member_get(object, "basis"));
    int why = member_index(agent_reason_names, AGENT_REASON_COUNT, reason);
    if (decode_ids(object, &a->id, a->nonce) != 0)
        return fail(e, AGENT_ERROR_BAD_ANSWER, "id or nonce: missing or malformed");
    if (confidence < 0 || basis < 0)
        return fail(e, AGENT_ERROR_BAD_ANSWER, "confidence or basis: not a known name");
    if (text_member(object, "host", a->host, sizeof a->host) != 0 ||
        text_member(object, "sender_ref", a->sender_ref, sizeof a->sender_ref) != 0)
        return fail(e, AGENT_ERROR_BAD_ANSWER, "host or sender_ref: not a string or too long");
    a->confidence = (enum agent_confidence)confidence;
    a->basis = (enum agent_basis)basis;
    a->connect = (struct agent_connect){.exec_changed = tristate(object, "exec_changed"),
                                        .handed_over = tristate(object, "handed_over"),
                                        .other_namespace = tristate(object, "other_namespace"),
                                        .shared = tristate(object, "shared")};
    a->watched = bool_member(object, "watched");
    a->reason = !reason ? AGENT_REASON_NONE : why < 0 ? AGENT_REASON_UNKNOWN : (enum agent_reason)why;
    if (decode_holders(member_get(object, "holders"), a) != 0 || check_answer(a, sender != NULL) != 0)
        return fail(e, AGENT_ERROR_BAD_ANSWER,
                    "confidence, reason, holders and sender_ref don't fit together");
    if (sender && !(a->sender = decode_sender(sender, a->sender_ref)))
        return fail(e, AGENT_ERROR_BAD_ANSWER, "sender: a member has a wrong type or is too long");
    const json_t *peers = member_get(object, "relaying_for");
    if (peers && !(a->peers = agent_peers_decode(peers))) {
        sender_unref(a->sender);
        return fail(e, AGENT_ERROR_BAD_ANSWER, "relaying_for: not a list of at most %d processes",
                    AGENT_PEERS_MAX);
    }
    const json_t *history = a->sender_ref[0] ? member_get(object, "history") : NULL;
    a->history_same = json_is_string(history) && strcmp(json_string_value(history), "same") == 0;
    a->history = history && !a->history_same ? agent_history_decode(history) : NULL;
    if (history && !a->history && !a->history_same) {
        sender_unref(a->sender);
        agent_peers_unref(a->peers);
        return fail(e, AGENT_ERROR_BAD_ANSWER, "history: a member has a wrong type or is too long");
    }
    return 0;
}

static int decode_done(const json_t *object, uint64_t *ret, struct agent_error *e)
{
    int64_t id;
    if (int_member(object, "id", -1, &id) != 0 || id < 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "id: missing or not a number");
    *ret = (uint64_t)id;
    return 0;
}

static int decode_error(const json_t *object, struct agent_error *error, struct agent_error *e)
{
    int64_t id;
    int code = member_index(agent_error_names, AGENT_ERROR_COUNT, member_get(object, "code"));
    if (int_member(object, "id", -1, &id) != 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "id: not a number");
    error->has_id = id >= 0;
    error->id = id >= 0 ? (uint64_t)id : 0;
    error->code = code < 0 ? AGENT_ERROR_BAD_MESSAGE : (enum agent_error_code)code;
    const char *text = json_string_value(member_get(object, "text"));
    snprintf(error->text, sizeof error->text, "%s", text ? text : "");
    return 0;
}

/* ---- keep, kept ---- */

static int decode_keep(const json_t *object, struct agent_keep *k, struct agent_error *e)
{
    int64_t seconds;
    if (decode_ids(object, &k->id, k->nonce) != 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "id or nonce: missing or malformed");
    if (text_member(object, "sender_ref", k->sender_ref, sizeof k->sender_ref) != 0 || !k->sender_ref[0])
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "sender_ref: missing or too long");
    if (int_member(object, "seconds", 0, &seconds) != 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "seconds: not a number");
    k->seconds = (unsigned)(seconds < AGENT_KEEP_SECONDS_MAX ? seconds : AGENT_KEEP_SECONDS_MAX);
    return 0;
}

static int decode_kept(const json_t *object, struct agent_kept *k, struct agent_error *e)
{
    const json_t *history = member_get(object, "history");
    int outcome =
        member_index(agent_keep_outcome_names, AGENT_KEEP_OUTCOME_COUNT, member_get(object, "outcome"));
    if (decode_ids(object, &k->id, k->nonce) != 0)
        return fail(e, AGENT_ERROR_BAD_ANSWER, "id or nonce: missing or malformed");
    if (text_member(object, "host", k->host, sizeof k->host) != 0 ||
        text_member(object, "sender_ref", k->sender_ref, sizeof k->sender_ref) != 0)
        return fail(e, AGENT_ERROR_BAD_ANSWER, "host or sender_ref: not a string or too long");
    k->outcome = outcome < 0 ? AGENT_KEEP_UNKNOWN : (enum agent_keep_outcome)outcome;
    if (int_member(object, "until_ms", 0, &k->until_ms) != 0 ||
        (k->outcome == AGENT_KEEP_KEPT) != (k->until_ms > 0))
        return fail(e, AGENT_ERROR_BAD_ANSWER, "until_ms: there with what is kept, and only then");
    k->history = history ? agent_history_decode(history) : NULL;
    if (history && !k->history)
        return fail(e, AGENT_ERROR_BAD_ANSWER, "history: a member has a wrong type or is too long");
    return 0;
}

static int decode_losses(const json_t *object, struct agent_losses *l, struct agent_error *e)
{
    if (int_member(object, "events", 0, &l->events) != 0 || int_member(object, "files", 0, &l->files) != 0 ||
        int_member(object, "forgotten", 0, &l->forgotten) != 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "losses: not numbers");
    return 0;
}

/* ---- any message ---- */

static int decode_typed(const json_t *object, const char *type, struct agent_message *m,
                        struct agent_error *e)
{
    if (strcmp(type, "ask") == 0)
        return m->type = AGENT_MESSAGE_ASK, decode_ask(object, &m->u.ask, e);
    if (strcmp(type, "answer") == 0)
        return m->type = AGENT_MESSAGE_ANSWER, decode_answer(object, &m->u.answer, e);
    if (strcmp(type, "changed") == 0)
        return m->type = AGENT_MESSAGE_CHANGED, decode_answer(object, &m->u.answer, e);
    if (strcmp(type, "done") == 0)
        return m->type = AGENT_MESSAGE_DONE, decode_done(object, &m->u.done, e);
    if (strcmp(type, "hello") == 0)
        return m->type = AGENT_MESSAGE_HELLO, decode_hello(object, &m->u.hello, e);
    if (strcmp(type, "around") == 0)
        return m->type = AGENT_MESSAGE_AROUND,
               agent_around_read(object, &m->u.around) == 0
                   ? 0
                   : fail(e, AGENT_ERROR_BAD_MESSAGE, "around: a member is missing or malformed");
    if (strcmp(type, "keep") == 0)
        return m->type = AGENT_MESSAGE_KEEP, decode_keep(object, &m->u.keep, e);
    if (strcmp(type, "kept") == 0)
        return m->type = AGENT_MESSAGE_KEPT, decode_kept(object, &m->u.kept, e);
    if (strcmp(type, "losses") == 0)
        return m->type = AGENT_MESSAGE_LOSSES, decode_losses(object, &m->u.losses, e);
    if (strcmp(type, "error") == 0)
        return m->type = AGENT_MESSAGE_ERROR, decode_error(object, &m->u.error, e);
    return fail(e, AGENT_ERROR_UNKNOWN_TYPE, "no such type of message");
}

static int decode_object(const json_t *object, struct agent_message *ret, struct agent_error *e)
{
    struct agent_message m;
    memset(&m, 0, sizeof m);
    int64_t version, id;
    const char *type = json_string_value(member_get(object, "type"));
    if (int_member(object, "id", -1, &id) == 0 && id >= 0) {
        e->has_id = true;
        e->id = (uint64_t)id;
    }
    if (!type || int_member(object, "v", -1, &version) != 0 || version < 0)
        return fail(e, AGENT_ERROR_BAD_MESSAGE, "v or type: missing or malformed");
    if (version < 1)
        return fail(e, AGENT_ERROR_VERSION, "this side speaks version %d", AGENT_PROTOCOL_VERSION);
    if (decode_typed(object, type, &m, e) != 0)
        return -1;
    if (m.type == AGENT_MESSAGE_HELLO)
        m.u.hello.version = version < AGENT_PROTOCOL_VERSION ? (int)version : AGENT_PROTOCOL_VERSION;
    *ret = m;
    return 0;
}

int agent_message_decode(struct span line, struct agent_message *ret, struct agent_error *ret_error)
{
    *ret_error = (struct agent_error){.code = AGENT_ERROR_BAD_JSON};
    json_error_t where;
    json_t *root = line.len < AGENT_LINE_BYTES
                       ? json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &where)
                       : NULL;
    if (!json_is_object(root)) {
        json_decref(root);
        return fail(ret_error, AGENT_ERROR_BAD_JSON, "not one JSON object");
    }
    int result = decode_object(root, ret, ret_error);
    json_decref(root);
    return result;
}

void agent_message_free(struct agent_message *m)
{
    if (m->type == AGENT_MESSAGE_KEPT) {
        agent_history_unref(m->u.kept.history);
        m->u.kept.history = NULL;
    }
    if (m->type != AGENT_MESSAGE_ANSWER && m->type != AGENT_MESSAGE_CHANGED)
        return;
    sender_unref(m->u.answer.sender);
    m->u.answer.sender = NULL;
    agent_history_unref(m->u.answer.history);
    m->u.answer.history = NULL;
    agent_peers_unref(m->u.answer.peers);
    m->u.answer.peers = NULL;
}
