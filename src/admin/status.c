/* status.c: see status.h. Called on admin's thread; reads what the daemon lets any thread read. */
#include "admin/status.h"

#include "base/rfc3339.h"
#include "flow/pins.h"
#include "store/store.h"

#include <time.h>
#include <unistd.h>

static bool has_answered(const struct gather_slot *slot)
{
    return atomic_load_explicit(&slot->answered, memory_order_acquire);
}

static void write_counters(struct json *j, const char *key, const uint64_t counters[COUNTER_COUNT])
{
    json_object(j, key);
    for (int i = 0; i < COUNTER_COUNT; i++)
        json_int(j, counter_table[i].name, (int64_t)counters[i]);
    json_end_object(j);
}

static void write_net(struct json *j, const struct net_stats *n)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"accepted", n->accepted},
        {"accept_paused", n->accept_paused},
        {"streams", n->streams},
        {"pipes", n->pipes},
        {"dns_queries", n->dns_queries},
        {"dns_cache_hits", n->dns_cache_hits},
        {"dials", n->dials},
        {"dial_failures", n->dial_failures},
        {"asks", n->asks},
        {"ask_timeouts", n->ask_timeouts},
    };
    json_object(j, "agent");
    json_bool(j, "connected", n->agent_connected != 0);
    json_str(j, "state", n->agent_state);
    json_str(j, "platform", n->agent.platform[0] ? n->agent.platform : NULL);
    if (n->agent.tells_observable)
        agent_history_write_kinds(n->agent.not_observable, j, "not_observable");
    json_object(j, "losses");
    json_int(j, "events", n->agent.losses.events);
    json_int(j, "files", n->agent.losses.files);
    json_int(j, "forgotten", n->agent.losses.forgotten);
    json_end_object(j);
    json_array(j, "degraded");
    for (size_t i = 0; i < n->agent.degraded_count; i++)
        json_str(j, NULL, n->agent.degraded[i]);
    json_end_array(j);
    if (n->has_around) {
        json_object(j, "around");
        agent_around_write(&n->around, j);
        json_end_object(j);
    }
    json_end_object(j);
    json_object(j, "net");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        json_int(j, rows[i].name, (int64_t)rows[i].value);
    json_end_object(j);
}

static void write_workers(struct json *j, const struct gather *g)
{
    uint64_t totals[COUNTER_COUNT] = {0};
    int64_t flows = 0;
    json_array(j, "workers");
    for (unsigned i = 0; i < g->count; i++) {
        const struct gather_slot *slot = &g->slots[i];
        bool answered = has_answered(slot);
        json_object(j, NULL);
        json_int(j, "worker", i);
        json_bool(j, "answered", answered);
        if (answered) {
            json_int(j, "flows", slot->flows);
            write_counters(j, "counters", slot->counters);
            write_net(j, &slot->net);
            flows += slot->flows;
            for (int k = 0; k < COUNTER_COUNT; k++)
                totals[k] += slot->counters[k];
        }
        json_end_object(j);
    }
    json_end_array(j);
    json_int(j, "flows", flows);
    write_counters(j, "totals", totals);
}

static void write_ledger(struct json *j, struct daemon *d, const struct conf *conf)
{
    struct ledger_stats stats;
    ledger_stats(daemon_ledger(d), &stats);
    json_object(j, "ledger");
    json_str(j, "file", conf->audit.file);
    json_int(j, "written", (int64_t)stats.written);
    json_int(j, "write_errors", (int64_t)stats.write_errors);
    json_int(j, "queued", stats.queued);
    json_int(j, "reserved", stats.reserved);
    json_int(j, "slots", stats.slots);
    json_str(j, "last_error", stats.last_error[0] ? stats.last_error : NULL);
    json_end_object(j);
}

static void write_history(struct json *j, struct daemon *d, const struct conf *conf)
{
    struct store_stats store;
    struct table_stats memory;
    store_stats(daemon_store(d), &store);
    sightings_stats(daemon_sightings(d), &memory);
    json_object(j, "history");
    json_str(j, "database", conf->history.database);
    json_bool(j, "available", store.available);
    json_int(j, "written", (int64_t)store.written);
    json_int(j, "queued", store.queued);
    json_int(j, "dropped", (int64_t)store.dropped);
    json_int(j, "failures", (int64_t)store.failures);
    json_str(j, "last_error", store.last_error[0] ? store.last_error : NULL);
    json_int(j, "names", (int64_t)memory.used);
    json_int(j, "room", (int64_t)memory.entries);
    json_int(j, "forgotten", (int64_t)memory.evicted);
    json_end_object(j);
}

static void write_pins(struct json *j, struct daemon *d)
{
    json_array(j, "pins");
    pins_describe(daemon_pins(d), j, (int64_t)time(NULL));
    json_end_array(j);
}

/* Rules that matched or could not be answered, in their order: as many as fit on a screen or two. */
static void write_rules(struct json *j, const struct snapshot *s)
{
    enum { SHOWN_MAX = 100 };
    const struct rule_counts *c = s->rule_counts;
    size_t shown = 0;
    if (!s->rules || !c)
        return;
    json_object(j, "rules");
    json_int(j, "loaded", (int64_t)s->rules->set->rule_count);
    json_int(j, "correlations", (int64_t)s->rules->set->correlation_count);
    json_int(j, "looked_at", (int64_t)atomic_load_explicit(&c->looked, memory_order_relaxed));
    json_array(j, "counts");
    for (size_t i = 0; i < c->count && shown < SHOWN_MAX; i++) {
        unsigned matched = atomic_load_explicit(&c->rules[i].matched, memory_order_relaxed),
                 unknown = atomic_load_explicit(&c->rules[i].unknown, memory_order_relaxed);
        const struct sigma_document *d = s->rules->set->rules[i].document;
        if (matched == 0 && unknown == 0)
            continue;
        json_object(j, NULL);
        json_str(j, "rule", sigma_document_id(d));
        json_str(j, "title", d->title);
        json_int(j, "matched", matched);
        json_int(j, "not_evaluable", unknown);
        json_end_object(j);
        shown++;
    }
    json_end_array(j);
    json_end_object(j);
}

static void write_exceptions(struct json *j, const struct baseline *b, int64_t now_s)
{
    struct baseline_exception e;
    char text[RFC3339_TEXT_BYTES];
    json_array(j, "exceptions");
    for (size_t cursor = 0; baseline_next_exception(b, &cursor, &e);) {
        json_object(j, NULL);
        json_str(j, "name", e.name);
        json_str(j, "owner", e.owner);
        json_str(j, "ticket", e.ticket ? e.ticket : "pki");
        json_str(j, "reason", e.reason);
        json_int(j, "line", e.line);
        json_str(j, "expires", rfc3339_format(e.expires_s, text));
        json_int(j, "left_s", e.expires_s > now_s ? e.expires_s - now_s : 0);
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_listeners(struct json *j, const struct daemon *d)
{
    unsigned count;
    const struct flow_listener *listeners = daemon_listeners(d, &count);
    json_array(j, "listeners");
    for (unsigned i = 0; i < count; i++) {
        char text[ENDPOINT_TEXT_BYTES];
        json_object(j, NULL);
        json_str(j, "address", endpoint_format(&listeners[i].endpoint, text));
        json_bool(j, "tls", listeners[i].tls);
        json_end_object(j);
    }
    json_end_array(j);
}

void status_write(struct daemon *d, const struct gather *g, struct buf *out)
{
    struct json j;
    struct timespec now;
    char error[512];
    struct snapshot *s = daemon_snapshot(d);
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    json_init(&j, out);
    json_object(&j, NULL);
    json_str(&j, "program", "exeatd");
    json_str(&j, "version", EXEAT_VERSION);
    json_int(&j, "pid", getpid());
    json_int(&j, "started_ms", (int64_t)daemon_started_ms(d));
    json_int(&j, "now_ms", now_ms);
    json_str(&j, "config_file", daemon_config_file(d));
    json_str(&j, "baseline_file", s->conf->policy.baseline);
    json_str(&j, "mode", verdict_mode_name(baseline_mode(s->baseline)));
    json_int(&j, "generation", (int64_t)s->generation);
    daemon_last_reload(d, error);
    json_str(&j, "reload_error", error[0] ? error : NULL);
    json_str(&j, "agent_socket", s->conf->agent.socket);
    write_listeners(&j, d);
    write_workers(&j, g);
    write_ledger(&j, d, s->conf);
    write_history(&j, d, s->conf);
    write_pins(&j, d);
    write_rules(&j, s);
    write_exceptions(&j, s->baseline, now_ms / 1000);
    json_end_object(&j);
    buf_append(out, "\n", 1);
    snapshot_unref(s);
}

void status_write_flows(const struct gather *g, struct buf *out)
{
    struct json j;
    json_init(&j, out);
    json_object(&j, NULL);
    json_array(&j, "flows");
    for (unsigned i = 0; i < g->count; i++)
        if (has_answered(&g->slots[i]) && buf_len(&g->slots[i].flows_json) > 0 &&
            !g->slots[i].flows_json.failed)
            json_raw(&j, NULL, buf_span(&g->slots[i].flows_json));
    json_end_array(&j);
    json_array(&j, "silent_workers");
    for (unsigned i = 0; i < g->count; i++)
        if (!has_answered(&g->slots[i]) || g->slots[i].flows_json.failed)
            json_int(&j, NULL, i);
    json_end_array(&j);
    json_end_object(&j);
    buf_append(out, "\n", 1);
}
