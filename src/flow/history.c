/* history.c: see history.h. What the agent cannot see is unobservable, what it looked for in vain is absent. Pure. */
#include "flow/history.h"

static const struct {
    enum fact count, age_s;
} facts_of[AGENT_HISTORY_KIND_COUNT] = {
#define KIND(name, fact) [AGENT_HISTORY_##name] = {FACT_history_##fact, FACT_history_##fact##_age_s}
    KIND(EXEC_ARCHIVER, exec_archiver),
    KIND(ARCHIVE_WRITTEN, archive_written),
    KIND(SENSITIVE_ACCESS, sensitive_access),
    KIND(TLS_LIBRARY, tls_library),
    KIND(TLS_LIBRARY_UNEXPECTED, tls_library_unexpected),
    KIND(CRYPTO_LIBRARY, crypto_library),
    KIND(SYMMETRIC_OUTSIDE_TLS, symmetric_outside_tls),
    KIND(PUBLIC_KEY_OUTSIDE_TLS, public_key_outside_tls),
#undef KIND
};

static void set_state(struct facts *facts, enum agent_history_kind kind, enum fact_state state)
{
    facts->values[facts_of[kind].count].state = facts->values[facts_of[kind].age_s].state = state;
}

static void set_kind(struct facts *facts, const struct agent_history *h, enum agent_history_kind kind)
{
    uint64_t count = 0;
    int64_t age_s = INT64_MAX;
    for (size_t i = 0; i < h->row_count; i++) {
        if (h->rows[i].kind != kind)
            continue;
        count += h->rows[i].count;
        age_s = h->rows[i].last_s < age_s ? h->rows[i].last_s : age_s;
    }
    if (count > 0) {
        fact_set_int(facts, facts_of[kind].count, count < INT64_MAX ? (int64_t)count : INT64_MAX);
        fact_set_int(facts, facts_of[kind].age_s, age_s);
    } else {
        set_state(facts, kind, h->not_observable >> kind & 1 ? FACT_UNOBSERVABLE : FACT_ABSENT);
    }
}

/* Where no size was told nobody knows of an archive to compare with: absent, not unknown. */
static void set_archive_bytes(struct facts *facts, const struct agent_history *h)
{
    int64_t most = 0;
    for (size_t i = 0; i < h->row_count; i++)
        if (h->rows[i].kind == AGENT_HISTORY_ARCHIVE_WRITTEN && h->rows[i].bytes > most)
            most = h->rows[i].bytes;
    facts->values[FACT_history_archive_bytes].state = FACT_ABSENT;
    if (most > 0)
        fact_set_int(facts, FACT_history_archive_bytes, most);
}

void history_set_facts(struct facts *facts, const struct agent_history *history)
{
    for (enum agent_history_kind kind = 0; kind < AGENT_HISTORY_KIND_COUNT; kind++) {
        if (history)
            set_kind(facts, history, kind);
        else
            set_state(facts, kind, FACT_UNOBSERVABLE);
    }
    if (!history) {
        facts->values[FACT_history_archive_bytes].state = FACT_UNOBSERVABLE;
        return;
    }
    set_archive_bytes(facts, history);
    fact_set_items(facts, FACT_history_sensitive_classes, history->sensitive, history->sensitive_count);
    fact_set_text(facts, FACT_history, history->json);
    fact_set_int(facts, FACT_history_lost, history->lost_events + history->lost_files + history->forgotten);
    if (!history->has_usage)
        return;
    fact_set_int(facts, FACT_sender_executions, history->usage.executions);
    fact_set_int(facts, FACT_sender_connections, history->usage.connections);
    fact_set_int(facts, FACT_sender_connected_executions, history->usage.connected_executions);
    if (history->usage.executions > 0)
        fact_set_real(facts, FACT_sender_connected_share,
                      (double)history->usage.connected_executions / (double)history->usage.executions);
}
