/* run.c: what a scenario's words mean. See run.h and scenarios/README.md. */
#include <jansson.h>

#include "run.h"

#include "base/must.h"
#include "base/rfc3339.h"
#include "flow/flow.h"
#include "sim_rules.h"
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CLIENTS_MAX = 8,
    RULES_MAX = 16,
    SECTIONS_MAX = 16,
    PATIENCE_MS = 3000,
    SHOWN_BYTES = 200,
    TEXT_BYTES = 8192
};

bool run_verbose;

struct dns_rule {
    struct span name;
    struct world_dns answer;
    const char *
        public_name; /* of its ECH: borrowed from the scenario; NULL: its HTTPS records are not answered for */
};

struct dial_rule {
    struct endpoint address;
    struct world_dial answer;
    bool never; /* times out */
};

struct section {
    char name[32], text[2048]; /* name "": lines of the top level */
};

struct run {
    struct sim *sim; /* first: world.c finds it here */
    struct sim storage;
    struct scenario *s; /* borrowed */
    struct line *line;  /* borrowed: being run */
    bool strict, failed, begun;
    struct section sections[SECTIONS_MAX];
    unsigned section_count, snapshots_used;
    char baseline[32], rules[32];
    struct world_agent agent;
    bool agent_absent, agent_silent;
    struct dns_rule dns[RULES_MAX];
    struct dial_rule dials[RULES_MAX];
    unsigned dns_count, dial_count;
    struct peer *clients[CLIENTS_MAX]; /* borrowed */
    unsigned next_port, record_at;
    bool used_tls;
};

static void complain(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct run *r, const char *format, ...)
{
    va_list args;
    if (r->failed || !r->strict)
        return;
    r->failed = true;
    fprintf(stderr, "%s:%u: ", r->s->name, r->line->number);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* What is wrong with the text itself, whatever is injected. */
static noreturn void give_up(const struct run *r, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", r->s->name, r->line->number, what);
    exit(1);
}

static struct span word(const struct run *r, unsigned i)
{
    return i < r->line->count ? r->line->words[i] : (struct span){(const uint8_t *)"", 0};
}

static const char *word_text(const struct run *r, unsigned i)
{
    return (const char *)word(r, i).data;
}

static bool word_is(const struct run *r, unsigned i, const char *text)
{
    return !(r->line->quoted & 1u << i) && span_is(word(r, i), text);
}

static uint64_t duration(const struct run *r, unsigned i)
{
    char *unit;
    unsigned long long n = strtoull(word_text(r, i), &unit, 10);
    if (strcmp(unit, "ms") == 0)
        return n;
    if (strcmp(unit, "s") == 0)
        return n * 1000;
    if (strcmp(unit, "min") == 0)
        return n * 60000;
    give_up(r, "a duration is 30ms, 5s or 2min");
}

/* ---- conf and baseline ---- */

static struct section *section(struct run *r, const char *name, size_t len)
{
    for (unsigned i = 0; i < r->section_count; i++)
        if (strlen(r->sections[i].name) == len && memcmp(r->sections[i].name, name, len) == 0)
            return &r->sections[i];
    if (r->section_count == SECTIONS_MAX || len >= sizeof r->sections[0].name)
        give_up(r, "too many sections");
    struct section *s = &r->sections[r->section_count++];
    memcpy(s->name, name, len);
    return s;
}

/* A later line of the same key replaces the earlier one. */
static void set_conf(struct run *r, const char *text)
{
    const char *dot = strchr(text, '.'), *colon = strchr(text, ':');
    if (!colon)
        give_up(r, "conf SECTION.KEY: VALUE");
    bool top = !dot || dot > colon;
    struct section *s = section(r, text, top ? 0 : (size_t)(dot - text));
    const char *key = top ? text : dot + 1;
    size_t key_len = (size_t)(colon - key) + 1;
    for (char *line = s->text, *end; *line; line = end) {
        end = strchr(line, '\n') + 1;
        if (strncmp(line + (top ? 0 : 2), key, key_len) == 0) {
            memmove(line, end, strlen(end) + 1);
            end = line;
        }
    }
    size_t used = strlen(s->text);
    int len = snprintf(s->text + used, sizeof s->text - used, "%s%s\n", top ? "" : "  ", key);
    if ((size_t)len >= sizeof s->text - used)
        give_up(r, "too much configuration");
}

/* conf SECTION.KEY: VALUE, or KEY: VALUE at the top level */
static void do_conf(struct run *r)
{
    set_conf(r, r->line->rest + strspn(r->line->rest, " "));
}

static void do_baseline(struct run *r)
{
    snprintf(r->baseline, sizeof r->baseline, "%s", word_text(r, 1));
}

static void do_rules(struct run *r)
{
    snprintf(r->rules, sizeof r->rules, "%s", word_text(r, 1));
}

static char *conf_text(const struct run *r)
{
    char *text = calloc(1, TEXT_BYTES);
    size_t len = 0;
    must(text);
    if (r->section_count == 0)
        strcpy(text, "{}\n");
    for (unsigned i = 0; i < r->section_count && len < TEXT_BYTES; i++) {
        const struct section *s = &r->sections[i];
        len += (size_t)snprintf(text + len, TEXT_BYTES - len, "%s%s%s", s->name, s->name[0] ? ":\n" : "",
                                s->text);
    }
    must(len < TEXT_BYTES);
    return text;
}

/* tests/sim/rules/NAME.yml, and what they do: NAME.actions.yaml, if there is one. */
static void add_rules(struct run *r, struct snapshot *s)
{
    char path[512];
    size_t len;
    if (!r->rules[0])
        return;
    snprintf(path, sizeof path, EXEAT_SOURCE_DIR "/tests/sim/rules/%s.actions.yaml", r->rules);
    char *actions = read_whole(path, &len);
    snprintf(path, sizeof path, EXEAT_SOURCE_DIR "/tests/sim/rules/%s.yml", r->rules);
    char *rules = read_whole(path, &len);
    if (!rules)
        give_up(r, "there are no such rules");
    world_add_rules(s, path, rules, actions);
    free(rules);
    free(actions);
}

/* "@+20": the simulation's start and 20 s, as a time. */
static char *with_times(const char *text)
{
    struct buf out;
    char time[RFC3339_TEXT_BYTES];
    buf_init(&out, 1 << 20);
    while (*text) {
        char *end = NULL;
        bool here = text[0] == '@' && (text[1] == '+' || text[1] == '-');
        long long after_s = here ? strtoll(text + 1, &end, 10) : 0;
        if (here)
            buf_append_str(&out, rfc3339_format(sim_wall_start_s() + after_s, time));
        else
            buf_append(&out, text, 1);
        text = here ? end : text + 1;
    }
    buf_append(&out, "", 1);
    must(!out.failed);
    char *result = strdup((const char *)buf_span(&out).data);
    buf_free(&out);
    return result;
}

static struct snapshot *make_snapshot(struct run *r, const char *baseline, uint64_t generation)
{
    char path[512];
    size_t len;
    snprintf(path, sizeof path, EXEAT_SOURCE_DIR "/tests/sim/baselines/%s.yaml", baseline);
    char *text = read_whole(path, &len), *conf = conf_text(r);
    if (!text)
        give_up(r, "there is no such baseline");
    char *timed = with_times(text);
    must(timed);
    struct snapshot *s = world_snapshot(path, conf, timed, generation);
    free(timed);
    free(text);
    free(conf);
    add_rules(r, s);
    return s;
}

/* The next policy of the scenario; made once, however often it is run. */
static struct snapshot *next_snapshot(struct run *r)
{
    unsigned i = r->snapshots_used++;
    if (i == SNAPSHOTS_MAX)
        give_up(r, "too many reloads");
    if (r->s->snapshots[i])
        return r->s->snapshots[i];
    struct snapshot *s = r->s->snapshots[i] = make_snapshot(r, r->baseline, i + 1);
    if (i > 0 && s->tally && r->s->snapshots[i - 1]->tally)
        tally_adopt(s->tally, r->s->snapshots[i - 1]->tally);
    return s;
}

/* ---- the world ---- */

static void world_dns(void *owner, const char *host, struct world_dns *ret)
{
    struct run *r = owner;
    for (unsigned i = 0; i < r->dns_count; i++)
        if (span_is(r->dns[i].name, host)) {
            *ret = r->dns[i].answer;
            return;
        }
    complain(r, "a query for %s, about which the scenario says nothing", host);
    *ret = (struct world_dns){.status = NET_DNS_NOT_FOUND};
}

static const char *world_https(void *owner, const char *host)
{
    const struct run *r = owner;
    for (unsigned i = 0; i < r->dns_count; i++)
        if (span_is(r->dns[i].name, host))
            return r->dns[i].public_name;
    return NULL;
}

static const struct dial_rule *dial_rule(const struct run *r, const struct endpoint *e)
{
    for (unsigned i = r->dial_count; i-- > 0;) /* the latest counts */
        if (ip_equal(&r->dials[i].address.ip, &e->ip) && r->dials[i].address.port == e->port)
            return &r->dials[i];
    return NULL;
}

static void world_dial(void *owner, const struct endpoint *addresses, unsigned count, struct world_dial *ret)
{
    struct run *r = owner;
    *ret = (struct world_dial){.error = ECONNREFUSED, .after_ms = 1};
    for (unsigned i = 0; i < count; i++) {
        const struct dial_rule *rule = dial_rule(r, &addresses[i]);
        if (!rule) {
            char text[ENDPOINT_TEXT_BYTES];
            complain(r, "%s is dialled, about which the scenario says nothing",
                     endpoint_format(&addresses[i], text));
            continue;
        }
        *ret = rule->answer;
        ret->index = i;
        if (rule->never)
            ret->after_ms = (uint64_t)r->sim->env.snapshot->conf->dial.timeout_ms;
        if (ret->error == 0)
            return;
    }
}

static void world_agent(void *owner, const struct endpoint *client, struct world_agent *ret)
{
    struct run *r = owner;
    (void)client;
    if (r->agent_absent) {
        *ret = (struct world_agent){.confidence = AGENT_CONFIDENCE_UNKNOWN, .reason = "agent_unavailable"};
        return;
    }
    *ret = r->agent;
    if (r->agent_silent) {
        ret->after_ms = (uint64_t)r->sim->env.snapshot->conf->agent.timeout_ms;
        ret->confidence = AGENT_CONFIDENCE_UNKNOWN;
        ret->reason = "agent_timeout";
        ret->sender = NULL;
    }
}

/* One argument of so many bytes, the most expensive there are in JSON. */
static void set_arguments(struct sender *s, size_t bytes)
{
    char *text = arena_alloc(&s->arena, bytes + 1);
    s->arguments = arena_alloc(&s->arena, sizeof *s->arguments);
    must(text && s->arguments);
    memset(text, 1, bytes);
    s->arguments[0] = text;
    s->argument_count = 1;
}

static void set_sender_field(const struct run *r, struct sender *s, const char *pair)
{
    const struct {
        const char *key;
        const char **field;
    } fields[] = {{"package", &s->package_name},
                  {"user", &s->user},
                  {"unit", &s->unit},
                  {"script", &s->script},
                  {"name", &s->name}};
    const char *value = strchr(pair, '=');
    if (value && strncmp(pair, "arguments", (size_t)(value - pair)) == 0) {
        set_arguments(s, (size_t)atoi(value + 1));
        return;
    }
    for (size_t i = 0; value && i < ARRAY_LEN(fields); i++)
        if (strncmp(pair, fields[i].key, (size_t)(value - pair)) == 0) {
            *fields[i].field = arena_strdup(&s->arena, value + 1);
            return;
        }
    give_up(r, "package=, user=, unit=, script=, name= or arguments=");
}

static struct sender *make_sender(const struct run *r, unsigned from)
{
    struct sender *s = sender_new();
    must(s);
    s->ref = "4711.1.1";
    s->pid = 4711;
    s->start_ticks = 1;
    s->name = "client";
    s->writable_by_user = 0;
    s->executable = arena_strdup(&s->arena, word_text(r, from));
    s->hash_state = SENDER_HASH_PENDING;
    s->uid = 1000;
    for (unsigned i = from + 1; i < r->line->count; i++)
        set_sender_field(r, s, word_text(r, i));
    if (s->script)
        s->script_kind = SENDER_SCRIPT_FILE;
    must(sender_render(s) == 0);
    return s;
}

/* agent [after T] exact PATH [KEY=VALUE]... | unknown REASON | silent | absent
 * agent changes after T REASON */
static void do_agent(struct run *r)
{
    unsigned at = 1;
    if (word_is(r, at, "changes") && word_is(r, at + 1, "after") && word(r, at + 3).len > 0) {
        r->agent.changes_after_ms = duration(r, at + 2);
        r->agent.change = word_text(r, at + 3);
        return;
    }
    r->agent = (struct world_agent){.after_ms = 1};
    r->agent_absent = r->agent_silent = false;
    if (word_is(r, at, "after")) {
        r->agent.after_ms = duration(r, at + 1);
        at += 2;
    }
    if (word_is(r, at, "exact") && word(r, at + 1).len > 0) {
        r->agent.confidence = AGENT_CONFIDENCE_EXACT;
        if (!r->line->sender)
            r->line->sender = make_sender(r, at + 1);
        r->agent.sender = r->line->sender;
    } else if (word_is(r, at, "unknown") && word(r, at + 1).len > 0) {
        r->agent.confidence = AGENT_CONFIDENCE_UNKNOWN;
        r->agent.reason = word_text(r, at + 1);
    } else if (word_is(r, at, "silent")) {
        r->agent_silent = true;
    } else if (word_is(r, at, "absent")) {
        r->agent_absent = true;
    } else {
        give_up(r,
                "agent [after T] exact PATH ... | unknown REASON | silent | absent | changes after T REASON");
    }
}

/* dns NAME [after T] = ADDRESS... [ech NAME] | dns NAME [after T] fails | not_found | times_out */
static void do_dns(struct run *r)
{
    unsigned at = 2;
    struct dns_rule rule = {.name = word(r, 1), .answer.after_ms = 2};
    if (word_is(r, at, "after")) {
        rule.answer.after_ms = duration(r, at + 1);
        at += 2;
    }
    if (word_is(r, at, "cached")) {
        rule.answer.after_ms = 0;
        at++;
    }
    if (word_is(r, at, "=")) {
        for (at++; at < r->line->count && !word_is(r, at, "ech"); at++)
            if (rule.answer.count == ARRAY_LEN(rule.answer.addresses) ||
                !ip_parse(word(r, at), &rule.answer.addresses[rule.answer.count++]))
                give_up(r, "not an address");
        if (at < r->line->count)
            rule.public_name = word_text(r, at + 1);
    } else if (word_is(r, at, "fails")) {
        rule.answer.status = NET_DNS_FAILED;
    } else if (word_is(r, at, "not_found")) {
        rule.answer.status = NET_DNS_NOT_FOUND;
    } else if (word_is(r, at, "times_out")) {
        rule.answer.status = NET_DNS_TIMEOUT;
        rule.answer.after_ms = 5000;
    } else {
        give_up(r, "dns NAME [after T | cached] = ADDRESS... | fails | not_found | times_out");
    }
    if (r->dns_count == RULES_MAX)
        give_up(r, "too many names");
    r->dns[r->dns_count++] = rule;
}

/* dial ENDPOINT [after T] accepts [tls [self_signed | wrong_name | old | asking | h2]] | refuses | unreachable | times_out */
static void do_dial(struct run *r)
{
    unsigned at = 2;
    struct dial_rule rule = {.answer.after_ms = 3};
    if (!endpoint_parse(word(r, 1), &rule.address))
        give_up(r, "not an address with a port");
    if (word_is(r, at, "after")) {
        rule.answer.after_ms = duration(r, at + 1);
        at += 2;
    }
    if (word_is(r, at, "accepts")) {
        enum fixture_certificate c = word_is(r, at + 2, "self_signed")  ? CERTIFICATE_SELF_SIGNED
                                     : word_is(r, at + 2, "wrong_name") ? CERTIFICATE_WRONG_NAME
                                     : word_is(r, at + 2, "old")        ? CERTIFICATE_OLD
                                     : word_is(r, at + 2, "asking")     ? CERTIFICATE_ASKING
                                                                        : CERTIFICATE_GOOD;
        if (word_is(r, at + 1, "tls")) {
            rule.answer.tls = fixture_get()->servers[c];
            rule.answer.h2 = word_is(r, at + 2, "h2");
            r->used_tls = true;
        }
    } else if (word_is(r, at, "refuses")) {
        rule.answer.error = ECONNREFUSED;
    } else if (word_is(r, at, "unreachable")) {
        rule.answer.error = ENETUNREACH;
    } else if (word_is(r, at, "times_out")) {
        rule.answer.error = ETIMEDOUT;
        rule.never = true;
    } else {
        give_up(r, "dial ENDPOINT [after T] accepts [tls ...] | refuses | unreachable | times_out");
    }
    if (r->dial_count == RULES_MAX)
        give_up(r, "too many addresses");
    r->dials[r->dial_count++] = rule;
}

/* ---- peers ---- */

static void begin(struct run *r)
{
    if (r->begun)
        return;
    r->begun = true;
    sim_reload(r->sim, next_snapshot(r)); /* the one it was opened with was a stand-in */
    if (!r->s->revoke_cut) {
        static struct section kept[SECTIONS_MAX];
        unsigned count = r->section_count;
        memcpy(kept, r->sections, sizeof kept);
        set_conf(r, "policy.on_revoke: cut");
        r->s->revoke_cut = make_snapshot(r, "nobody", 1000);
        set_conf(r, "policy.on_revoke: keep");
        r->s->revoke_keep = make_snapshot(r, "nobody", 1001);
        memcpy(r->sections, kept, sizeof kept);
        r->section_count = count;
    }
    r->sim->revoke_cut = r->s->revoke_cut;
    r->sim->revoke_keep = r->s->revoke_keep;
}

/* client begins tls NAME [distrusting | careless | h2 | h2_only]: in its tunnel. Trusts the inspection CA, does not, or anybody (and offers
 * no ALPN, or h2, alone or not). server begins tls: behind what a parent has opened, it is the good server. */
static void begin_tls(struct run *r, struct peer *p)
{
    const struct fixture *x = fixture_get();
    const char *name = word_text(r, 3);
    bool h2_only = word_is(r, 4, "h2_only"), h2 = h2_only || word_is(r, 4, "h2");
    const struct tls_greeting greeting = {.sni = name,
                                          .protocols = span_str(h2_only ? "\x02h2"
                                                                : h2    ? "\x02h2\x08http/1.1"
                                                                        : "")};
    if (!p->is_client && word_is(r, 2, "tls") && r->line->count == 3) {
        struct tls_session *tls = tls_session_accept(x->servers[CERTIFICATE_GOOD]);
        must(tls);
        peer_begin_tls(p, tls);
        r->used_tls = true;
        return;
    }
    if (!word_is(r, 2, "tls") || r->line->count < 4)
        give_up(r, "PEER begins tls NAME [distrusting | careless | h2 | h2_only]");
    p->tls = h2 || word_is(r, 4, "careless")
                 ? tls_session_greet(x->inspect, &greeting)
                 : tls_session_connect(word_is(r, 4, "distrusting") ? x->client : x->inspected, name, false);
    must(p->tls);
    r->used_tls = true;
    tls_session_handshake(p->tls);
    peer_send_handshake(p);
}

/* client[N] connects [from ENDPOINT] [tls | to_tls] */
static void connect_client(struct run *r, unsigned index)
{
    struct endpoint client = {{4, {192, 0, 2, 7}}, (uint16_t)r->next_port++},
                    proxy = {{4, {192, 0, 2, 1}}, 3128};
    unsigned at = 2;
    begin(r);
    if (word_is(r, at, "from")) {
        if (!endpoint_parse(word(r, at + 1), &client))
            give_up(r, "not an address with a port");
        at += 2;
    }
    bool tls = word_is(r, at, "tls");
    r->used_tls |= tls;
    r->clients[index] = sim_connect(r->sim, &client, &proxy, tls || word_is(r, at, "to_tls"), tls);
}

/* "client", "client2", "server", "server2": the latest server, when it has no number. NULL: not there (yet). */
static struct peer *find_peer(const struct run *r, bool *ret_client, unsigned *ret_index)
{
    const char *name = word_text(r, 0);
    *ret_client = name[0] == 'c';
    unsigned n = name[6] ? (unsigned)atoi(name + 6) : 0;
    *ret_index = n ? n - 1 : 0;
    if (*ret_client)
        return *ret_index < CLIENTS_MAX ? r->clients[*ret_index] : NULL;
    struct peer *found = NULL;
    unsigned seen = 0;
    for (unsigned i = 0; i < r->sim->net->peer_count; i++) {
        struct peer *p = r->sim->net->peers[i];
        if (!p->is_client && (++seen == n || n == 0))
            found = p;
    }
    return found;
}

static const char *escape(struct span data, char out[SHOWN_BYTES * 4 + 1])
{
    size_t at = 0;
    for (size_t i = 0; i < data.len && i < SHOWN_BYTES; i++) {
        uint8_t c = data.data[i];
        if (c == '\r' || c == '\n')
            at += (size_t)sprintf(out + at, c == '\r' ? "\\r" : "\\n");
        else if (c < 0x20 || c >= 0x7f)
            at += (size_t)sprintf(out + at, "\\x%02x", c);
        else
            out[at++] = (char)c;
    }
    out[at] = '\0';
    return out;
}

/* Time passes, event by event, until `test` holds. False: patience is over. */
static bool await(struct run *r, bool (*test)(struct run *, struct peer *))
{
    uint64_t until = r->sim->net->now_ms + PATIENCE_MS;
    bool client;
    unsigned index;
    for (;;) {
        fake_net_settle(r->sim->net);
        struct peer *p = find_peer(r, &client, &index);
        if (p && test(r, p))
            return true;
        uint64_t due = fake_net_next_due(r->sim->net);
        if (due > until)
            return false;
        fake_net_run_for(r->sim->net, due > r->sim->net->now_ms ? due - r->sim->net->now_ms : 0);
    }
}

static bool has_text(struct run *r, struct peer *p)
{
    struct buf *got = peer_received(p);
    struct span text = word(r, 2), data = buf_span(got);
    const uint8_t *at = data.len ? memmem(data.data, data.len, text.data, text.len) : NULL;
    if (at)
        buf_consume(got, (size_t)(at - data.data) + text.len);
    return at != NULL;
}

static bool has_exactly(struct run *r, struct peer *p)
{
    struct buf *got = peer_received(p);
    struct span text = word(r, 3), data = buf_span(got);
    if (data.len < text.len || memcmp(data.data, text.data, text.len) != 0)
        return false;
    buf_consume(got, text.len);
    return true;
}

static bool has_bytes(struct run *r, struct peer *p)
{
    struct buf *got = peer_received(p);
    size_t count = (size_t)strtoull(word_text(r, 3), NULL, 10);
    if (buf_len(got) < count)
        return false;
    buf_consume(got, count);
    return true;
}

static bool has_end(struct run *r, struct peer *p)
{
    (void)r;
    return p->got_fin && !p->got_rst;
}

static bool has_reset(struct run *r, struct peer *p)
{
    (void)r;
    return p->got_rst;
}

static bool has_connection(struct run *r, struct peer *p)
{
    (void)r;
    return p->stream != NULL;
}

/* PEER expects "TEXT" | exactly "TEXT" | bytes N | nothing | end | reset | connection */
static void expect_something(struct run *r)
{
    static const struct {
        const char *word;
        bool (*test)(struct run *, struct peer *);
    } tests[] = {{"exactly", has_exactly}, {"bytes", has_bytes},           {"end", has_end},
                 {"reset", has_reset},     {"connection", has_connection}, {NULL, has_text}};
    char shown[SHOWN_BYTES * 4 + 1];
    bool client;
    unsigned index;
    size_t i = 0;
    fake_net_settle(r->sim->net);
    struct peer *p = find_peer(r, &client, &index);
    if (word_is(r, 2, "nothing")) {
        if (p && buf_len(peer_received(p)) > 0)
            complain(r, "got: %s", escape(buf_span(peer_received(p)), shown));
        return;
    }
    while (tests[i].word && !word_is(r, 2, tests[i].word))
        i++;
    if (await(r, tests[i].test))
        return;
    p = find_peer(r, &client, &index);
    complain(r, "did not come; %s%s%s%s",
             !p ? "not connected" : "got: ", p ? escape(buf_span(peer_received(p)), shown) : "",
             p && p->got_fin ? " FIN" : "", p && p->got_rst ? " RST" : "");
}

static char *file_bytes(const struct run *r, const char *name, size_t *ret_len)
{
    char path[512];
    snprintf(path, sizeof path, EXEAT_SOURCE_DIR "/tests/%s", name);
    char *data = read_whole(path, ret_len);
    if (!data)
        give_up(r, "there is no such file");
    return data;
}

/* PEER sends "TEXT" | file NAME | bytes N */
static void send_something(struct run *r, struct peer *p)
{
    if (word_is(r, 2, "file")) {
        size_t len;
        char *data = file_bytes(r, word_text(r, 3), &len);
        peer_send(p, span_of(data, len));
        free(data);
    } else if (word_is(r, 2, "bytes")) {
        size_t len = (size_t)strtoull(word_text(r, 3), NULL, 10);
        char *data = malloc(len + 1);
        must(data);
        memset(data, 'b', len);
        peer_send(p, span_of(data, len));
        free(data);
    } else {
        peer_send(p, word(r, 2));
    }
}

/* CLIENT or SERVER does something */

static void do_peer(struct run *r)
{
    bool client;
    unsigned index;
    if (word_is(r, 1, "connects")) {
        find_peer(r, &client, &index);
        if (!client || index >= CLIENTS_MAX)
            give_up(r, "only clients connect");
        connect_client(r, index);
        return;
    }
    if (word_is(r, 1, "expects")) {
        expect_something(r);
        return;
    }
    struct peer *p = find_peer(r, &client, &index);
    if (!p) {
        complain(r, "not connected");
        return;
    }
    if (word_is(r, 1, "sends"))
        send_something(r, p);
    else if (word_is(r, 1, "begins"))
        begin_tls(r, p);
    else if (word_is(r, 1, "finishes"))
        peer_finish(p);
    else if (word_is(r, 1, "resets"))
        peer_reset(p);
    else if (word_is(r, 1, "stops") && word_is(r, 2, "reading"))
        peer_stop_reading(p);
    else if (word_is(r, 1, "reads") && word_is(r, 2, "again"))
        peer_read_again(p);
    else
        give_up(r, "sends, begins tls, expects, finishes, resets, stops reading, reads again");
}

/* ---- what happens to the proxy ---- */

static void do_wait(struct run *r)
{
    fake_net_run_for(r->sim->net, duration(r, 1));
}

/* reload [baseline NAME] [conf ...]: written as `reload baseline NAME`, or with conf lines before it */
static void do_reload(struct run *r)
{
    if (word_is(r, 1, "baseline"))
        snprintf(r->baseline, sizeof r->baseline, "%s", word_text(r, 2));
    if (word_is(r, 1, "rules"))
        snprintf(r->rules, sizeof r->rules, "%s", word_is(r, 2, "none") ? "" : word_text(r, 2));
    begin(r);
    sim_reload(r->sim, next_snapshot(r));
}

static void do_stop(struct run *r)
{
    flow_env_stop(&r->sim->env);
}

static void do_abort(struct run *r)
{
    flow_env_stop(&r->sim->env);
    flow_env_abort(&r->sim->env);
}

static void do_ledger(struct run *r)
{
    fake_ledger_fill(r->sim->ledger, word_is(r, 1, "full"));
}

/* signer signs | refuses | is_gone */
static void do_signer(struct run *r)
{
    begin(r);
    r->sim->signer.mood = word_is(r, 1, "refuses")   ? SIGNER_REFUSES
                          : word_is(r, 1, "is_gone") ? SIGNER_IS_GONE
                                                     : SIGNER_SIGNS;
}

static void do_no(struct run *r)
{
    const struct net *net = r->sim->net;
    bool dns = word_is(r, 1, "dns");
    unsigned count = dns                     ? net->queries
                     : word_is(r, 1, "dial") ? net->dials
                                             : fake_ledger_count(r->sim->ledger);
    if (count > 0)
        complain(r, "there were %u", count);
}

/* flows N: so many connections are alive */
static void do_flows(struct run *r)
{
    fake_net_settle(r->sim->net);
    if (r->sim->env.flow_count != (unsigned)atoi(word_text(r, 1)))
        complain(r, "there are %u", r->sim->env.flow_count);
}

static void do_counter(struct run *r)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (word_is(r, 1, counter_table[i].name)) {
            unsigned long long value = counter_get(&r->sim->env.counters, (enum counter)i);
            if (value != strtoull(word_text(r, 2), NULL, 10))
                complain(r, "it is %llu", value);
            return;
        }
    give_up(r, "no such counter");
}

/* ---- records ---- */

static const json_t *find_path(const json_t *root, const char *path)
{
    char key[128];
    while (root && *path) {
        size_t len = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)len, path);
        root =
            json_is_array(root) ? json_array_get(root, strtoul(key, NULL, 10)) : json_object_get(root, key);
        path += len + (path[len] == '.');
    }
    return root;
}

static const char *full_path(const char *key)
{
    static const char *const short_names[][2] = {
        {"reason", "unmapped.verdict.reason"},
        {"bytes_out", "traffic.bytes_out"},
        {"bytes_in", "traffic.bytes_in"},
        {"rule", "firewall_rule.name"},
        {"host", "dst_endpoint.hostname"},
        {"ip", "dst_endpoint.ip"},
        {"would_block", "unmapped.verdict.would_block"},
        {"status", "proxy_http_response.code"},
        {"method", "proxy_http_request.http_method"},
        {"url", "proxy_http_request.url.url_string"},
        {"sender", "actor.process.file.path"},
        {"detail", "status_detail"},
        {"activity", "activity_name"},
        {"protocol", "app_protocol_name"},
        {"sni", "tls.sni"},
        {"generation", "unmapped.policy_generation"},
    };
    for (size_t i = 0; i < ARRAY_LEN(short_names); i++)
        if (strcmp(short_names[i][0], key) == 0)
            return short_names[i][1];
    return key;
}

static void check_field(struct run *r, const json_t *record, const char *pair)
{
    char key[128], got[512] = "(absent)";
    const char *equal = strchr(pair, '=');
    if (!equal)
        give_up(r, "record decision|close KEY=VALUE...");
    snprintf(key, sizeof key, "%.*s", (int)(equal - pair), pair);
    const json_t *value = find_path(record, full_path(key));
    if (json_is_string(value))
        snprintf(got, sizeof got, "%s", json_string_value(value));
    else if (value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        snprintf(got, sizeof got, "%s", text ? text : "?");
        free(text);
    }
    if (strcmp(got, equal + 1) != 0)
        complain(r, "%s is %s", key, got);
}

/* record decision|close KEY=VALUE...: the next record of that kind, after those already named */
static void do_record(struct run *r)
{
    const char suffix = word_is(r, 1, "decision") ? 'd' : 'c';
    uint64_t until = r->sim->net->now_ms + PATIENCE_MS;
    if (!r->strict)
        return;
    for (;;) {
        fake_net_settle(r->sim->net);
        while (r->record_at < fake_ledger_count(r->sim->ledger)) {
            json_error_t e;
            json_t *record =
                json_loads(fake_ledger_line(r->sim->ledger, r->record_at++), JSON_REJECT_DUPLICATES, &e);
            if (!record) {
                complain(r, "the record is not JSON: %s", e.text);
                return;
            }
            const char *uid = json_string_value(find_path(record, "metadata.uid"));
            bool right = uid && uid[strlen(uid) - 1] == suffix;
            for (unsigned i = 2; right && i < r->line->count; i++)
                check_field(r, record, word_text(r, i));
            json_decref(record);
            if (right)
                return;
        }
        uint64_t due = fake_net_next_due(r->sim->net);
        if (due > until)
            break;
        fake_net_run_for(r->sim->net, due > r->sim->net->now_ms ? due - r->sim->net->now_ms : 0);
    }
    complain(r, "there is no such record");
}

/* ---- playing ---- */

static const struct {
    const char *word;
    void (*run)(struct run *);
} verbs[] = {
    {"conf", do_conf},     {"baseline", do_baseline}, {"agent", do_agent},     {"dns", do_dns},
    {"dial", do_dial},     {"client", do_peer},       {"server", do_peer},     {"wait", do_wait},
    {"reload", do_reload}, {"stop", do_stop},         {"abort", do_abort},     {"ledger", do_ledger},
    {"no", do_no},         {"flows", do_flows},       {"counter", do_counter}, {"record", do_record},
    {"rules", do_rules},   {"signer", do_signer},
};

/* `exeat status` may ask at any moment. */
static void check_status(struct run *r)
{
    enum { STATUS_BYTES_MAX = 1 << 20, FLOWS_MOST = 100 };
    struct buf text;
    struct json j;
    json_error_t e;
    buf_init(&text, STATUS_BYTES_MAX);
    json_init(&j, &text);
    json_write_array(&j, NULL);
    flow_env_describe(&r->sim->env, &j, FLOWS_MOST);
    json_end_array(&j);
    json_t *parsed =
        json_loadb((const char *)buf_span(&text).data, buf_len(&text), JSON_REJECT_DUPLICATES, &e);
    if (!parsed || json_array_size(parsed) != r->sim->env.flow_count)
        complain(r, "the status is not what it should be: %s", parsed ? "flows are missing" : e.text);
    json_decref(parsed);
    buf_free(&text);
}

static void play_line(struct run *r)
{
    const char *name = word_text(r, 0);
    size_t len = strcspn(name, "123456789");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strlen(verbs[i].word) == len && memcmp(verbs[i].word, name, len) == 0) {
            verbs[i].run(r);
            fake_net_settle(r->sim->net);
            if (r->strict)
                check_status(r);
            return;
        }
    give_up(r, "unknown word");
}

static struct snapshot *stand_in(void)
{
    static struct snapshot *s;
    if (!s)
        s = world_snapshot("stand-in", "{}\n",
                           "version: 1\nmode: enforce\nunknown_sender: {action: block}\nsenders: []\n", 0);
    return s;
}

static void check_references(const struct run *r)
{
    for (unsigned i = 0; i < SNAPSHOTS_MAX; i++)
        if (r->s->snapshots[i] && r->s->snapshots[i]->refs != 1)
            sim_abort("snapshot %u has %u references", i, r->s->snapshots[i]->refs);
    if ((r->s->revoke_cut && r->s->revoke_cut->refs != 1) ||
        (r->s->revoke_keep && r->s->revoke_keep->refs != 1))
        sim_abort("an injected snapshot is still referenced");
    for (size_t i = 0; i < r->s->count; i++)
        if (r->s->lines[i].sender && r->s->lines[i].sender->refs != 1)
            sim_abort("a sender is still referenced");
}

int run_scenario(struct scenario *s, enum injection injection, uint64_t at, struct run_result *ret)
{
    static struct run r; /* large */
    r = (struct run){.s = s, .strict = injection == INJECT_NOTHING, .next_port = 40000, .agent.after_ms = 1};
    r.sim = &r.storage;
    snprintf(r.baseline, sizeof r.baseline, "standard");
    snprintf(sim_context, sizeof sim_context, "%s: %s at step %llu", s->name, injection_name(injection),
             (unsigned long long)at);
    r.agent_absent = true;
    struct world world = {
        .owner = &r, .dns = world_dns, .https = world_https, .dial = world_dial, .agent = world_agent};
    sim_open(r.sim, stand_in(), &world);
    r.sim->net->injection = injection;
    r.sim->net->inject_at = at;
    for (size_t i = 0; i < s->count && !r.failed; i++) {
        r.line = &s->lines[i];
        play_line(&r);
    }
    ret->steps = r.sim->net->steps;
    ret->used_tls = r.used_tls;
    ret->bytes = 0;
    for (unsigned i = 0; i < r.sim->net->peer_count; i++)
        ret->bytes += r.sim->net->peers[i]->sent_bytes + r.sim->net->peers[i]->got_bytes;
    for (unsigned i = 0; run_verbose && i < fake_ledger_count(r.sim->ledger); i++)
        printf("%s\n", fake_ledger_line(r.sim->ledger, i));
    sim_close(r.sim);
    check_references(&r);
    return r.failed ? -1 : 0;
}
