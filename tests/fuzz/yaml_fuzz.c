/* yaml_fuzz.c: any bytes as a configuration and as a baseline. What is refused has a reason; a configuration that is accepted
 * shows itself so that it reads back to the same; a baseline that is accepted decides every question. */
#include "base/must.h"
#include "base/yaml.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "rules/baseline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tree(struct span text)
{
    struct arena arena;
    struct err err = {0};
    arena_init(&arena, 64 * 1024 * 1024);
    const struct yaml_node *n = yaml_read(&arena, text, "f.yaml", &err);
    must((n == NULL) == (err.text[0] != '\0'));
    arena_reset(&arena);
}

static struct conf *read_conf(struct span text)
{
    struct err err = {0};
    struct conf *c = conf_parse(text, "f.yaml", "/etc", &err);
    must((c == NULL) == (err.text[0] != '\0'));
    return c;
}

static void check_conf(struct span text)
{
    struct buf first, second;
    struct conf *c = read_conf(text);
    if (!c)
        return;
    buf_init(&first, 1 << 22);
    buf_init(&second, 1 << 22);
    conf_show(c, false, &first);
    struct conf *again = read_conf(buf_span(&first));
    must(again != NULL);
    conf_show(again, false, &second);
    must(span_equal(buf_span(&first), buf_span(&second)));
    must(!conf_restart_needed(c, again));
    buf_free(&first);
    buf_free(&second);
    conf_free(c);
    conf_free(again);
}

static void ask(const struct baseline *b, const struct sender_view *sender, const char *name,
                enum baseline_phase phase)
{
    struct host host;
    struct verdict v = {.action = VERDICT_ACTION_COUNT};
    must(host_canonical(span_str(name), &host) == HOST_OK);
    struct baseline_question q = {
        .sender = sender, .proxy_user = "u", .host = &host, .port = 443, .phase = phase};
    must(ip_parse(span_str("10.0.0.1"), &q.client));
    if (phase == BASELINE_ADDRESS)
        q.address = q.client;
    baseline_decide(b, &q, &v);
    must(v.action < VERDICT_ACTION_COUNT);
    must(v.action != VERDICT_BLOCK || (v.reason != REASON_NONE && v.mode == MODE_ENFORCE));
    must(!v.would_block || v.action == VERDICT_ALERT);
    must(!v.needs_address || (v.reason == REASON_NONE && phase == BASELINE_CONNECT));
}

static void check_baseline(struct span text)
{
    static const struct sender_view sender = {.confidence = AGENT_CONFIDENCE_EXACT,
                                              .executable = "/usr/bin/curl",
                                              .user = "alice",
                                              .hash_state = SENDER_HASH_PENDING};
    struct err err = {0};
    struct baseline *b = baseline_parse(text, "f.yaml", &err);
    must((b == NULL) == (err.text[0] != '\0'));
    if (!b)
        return;
    for (enum baseline_phase phase = BASELINE_CONNECT; phase <= BASELINE_ADDRESS; phase++) {
        ask(b, NULL, "a.example", phase);
        ask(b, &sender, "a.example", phase);
        ask(b, &sender, "[2001:db8::1]", phase);
    }
    baseline_free(b);
}

/* The content of a password file is people's text as well. */
static void check_users(struct span text)
{
    struct err err = {0};
    struct conf *c = read_conf(span_of(NULL, 0));
    must(c != NULL);
    if (users_read(text, "users", c, &err) == 0)
        for (size_t i = 0; i < c->user_count; i++)
            must(conf_find_user(c, span_str(c->users[i].name)) == c->users[i].hash);
    conf_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    check_tree(text);
    check_conf(text);
    check_baseline(text);
    check_users(text);
    return 0;
}
