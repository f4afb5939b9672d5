/* executions.c: see executions.h. */
#include "flow/executions.h"

#include "flow/flow.h"
#include "flow/kept.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STATE_VERSION = 1,
    DAY_S = 86400,
    HOST_STATE_BYTES = 8 + 4 + 4 + 4,
    STATE_BYTES_MAX = 1 + EXECUTIONS_HOSTS * HOST_STATE_BYTES,
    NAME_BYTES = KEPT_NAME_MAX_BYTES,
};
static const uint32_t NOT_KNOWN = UINT32_MAX;

/* What one host said last, of the days before. */
struct told {
    uint64_t host;                        /* hash; 0: free */
    uint32_t at_s, executions, connected; /* executions NOT_KNOWN: not of those days alone */
};

struct entry {
    struct kept_entry kept;
    struct told hosts[EXECUTIONS_HOSTS];
};

struct executions {
    struct kept *kept; /* owned */
};

static struct entry *entry_of(struct kept_entry *e)
{
    return (struct entry *)(void *)e;
}

/* ---- the store ---- */

static void write_number(struct buf *out, uint64_t n, unsigned bytes)
{
    uint8_t text[8];
    for (unsigned i = 0; i < bytes; i++)
        text[i] = (uint8_t)(n >> 8 * i);
    buf_append(out, text, bytes);
}

static uint64_t read_number(const uint8_t **at, unsigned bytes)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < bytes; i++)
        n |= (uint64_t)(*at)[i] << 8 * i;
    *at += bytes;
    return n;
}

static void write_state(const struct kept_entry *kept, struct buf *state)
{
    const struct entry *e = (const struct entry *)(const void *)kept;
    write_number(state, STATE_VERSION, 1);
    for (unsigned i = 0; i < EXECUTIONS_HOSTS; i++) {
        const struct told *t = &e->hosts[i];
        if (t->host == 0)
            continue;
        write_number(state, t->host, 8);
        write_number(state, t->at_s, 4);
        write_number(state, t->executions, 4);
        write_number(state, t->connected, 4);
    }
}

static enum parse read_state(struct span state, struct kept_entry *kept)
{
    struct entry *e = entry_of(kept);
    size_t count = state.len > 0 ? (state.len - 1) / HOST_STATE_BYTES : 0;
    if (state.len == 0 || state.data[0] != STATE_VERSION || state.len != 1 + count * HOST_STATE_BYTES ||
        count > EXECUTIONS_HOSTS)
        return PARSE_BAD;
    const uint8_t *at = state.data + 1;
    for (size_t i = 0; i < count; i++) {
        e->hosts[i].host = read_number(&at, 8);
        e->hosts[i].at_s = (uint32_t)read_number(&at, 4);
        e->hosts[i].executions = (uint32_t)read_number(&at, 4);
        e->hosts[i].connected = (uint32_t)read_number(&at, 4);
    }
    return PARSE_OK;
}

static void clear(struct kept_entry *kept)
{
    memset(entry_of(kept)->hosts, 0, sizeof entry_of(kept)->hosts);
}

static const struct kept_type type = {sizeof(struct entry), STATE_BYTES_MAX, write_state, read_state, clear};

struct executions *executions_new(struct store *store, size_t entries)
{
    static const unsigned kind = EXECUTIONS_KIND;
    struct executions *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->kept = kept_new(&type, &kind, 1, store, entries);
    if (e->kept)
        return e;
    free(e);
    return NULL;
}

void executions_free(struct executions *take_e)
{
    if (!take_e)
        return;
    kept_free(take_e->kept);
    free(take_e);
}

/* ---- telling ---- */

/* Its own place, a free one, or that of who told longest ago. */
static struct told *place_of(struct entry *e, uint64_t host)
{
    struct told *place = &e->hosts[0];
    for (unsigned i = 0; i < EXECUTIONS_HOSTS; i++) {
        struct told *t = &e->hosts[i];
        if (t->host == host)
            return t;
        if (place->host != 0 && (t->host == 0 || t->at_s < place->at_s))
            place = t;
    }
    return place;
}

static uint32_t cut(int64_t n)
{
    return n < 0 ? 0 : n < INT32_MAX ? (uint32_t)n : (uint32_t)INT32_MAX;
}

/* An agent that doesn't tell of the days apart may know no longer time than those. */
static struct told told_of(uint64_t host, const struct agent_usage *u, int64_t now_s)
{
    struct told t = {.host = host, .at_s = (uint32_t)now_s, .executions = NOT_KNOWN};
    int64_t begin_ms = (now_s - EXECUTIONS_DAYS * DAY_S) * 1000;
    if (u->recent_days > 0 && u->recent_days <= EXECUTIONS_DAYS) {
        t.executions = cut(u->recent_executions);
        t.connected = cut(u->recent_connected);
    } else if (u->executions_first_ms >= begin_ms) {
        t.executions = cut(u->executions);
        t.connected = cut(u->connected_executions);
    }
    return t;
}

static void add_up(const struct entry *e, int64_t now_s, struct executions_view *ret)
{
    *ret = (struct executions_view){0};
    for (unsigned i = 0; i < EXECUTIONS_HOSTS; i++) {
        const struct told *t = &e->hosts[i];
        if (t->host == 0 || t->at_s + (int64_t)EXECUTIONS_DAYS * DAY_S <= now_s)
            continue;
        if (t->executions == NOT_KNOWN) {
            ret->unknown_hosts++;
            continue;
        }
        ret->hosts++;
        ret->executions += t->executions;
        ret->connected += t->connected;
    }
}

void executions_tell(struct executions *e, struct span program, struct span host,
                     const struct agent_usage *told, int64_t now_s, struct executions_view *ret)
{
    uint64_t self = kept_hash(e->kept, host);
    struct entry *entry = entry_of(kept_make(e->kept, EXECUTIONS_KIND, program, now_s));
    entry->kept.count++;
    *place_of(entry, self) = told_of(self, told, now_s);
    add_up(entry, now_s, ret);
    kept_release(e->kept, &entry->kept, true);
}

/* ---- the facts ---- */

/* A file that users can write is another program on each host, maybe. */
static bool write_program(const struct flow *f, char ret[NAME_BYTES])
{
    const struct net_attribution *a = &f->attribution;
    const struct sender *s = a->sender;
    bool same_everywhere = s->writable_by_user == 0 && (!s->script || s->script_writable_by_user == 0);
    int len = snprintf(ret, NAME_BYTES, "%s\t%s\t%s", s->executable, s->script ? s->script : "",
                       same_everywhere ? "" : a->host);
    return len > 0 && len < NAME_BYTES;
}

static void set_usual(struct facts *facts, int64_t executions, int64_t connected, bool of_hosts)
{
    fact_set_int(facts, FACT_sender_usual_executions, executions);
    if (executions > 0)
        fact_set_real(facts, FACT_sender_usual_connected_share, (double)connected / (double)executions);
    fact_set_text(facts, FACT_sender_usage_basis, of_hosts ? "hosts" : "host");
}

void executions_set_facts(struct flow *f)
{
    const struct net_attribution *a = &f->attribution;
    const struct agent_usage *own = a->history && a->history->has_usage ? &a->history->usage : NULL;
    struct facts *facts = &f->x->facts;
    struct executions_view all = {0};
    char program[NAME_BYTES];
    if (!own || a->confidence != AGENT_CONFIDENCE_EXACT || !a->sender || !a->sender->executable)
        return;
    if (f->env->executions && write_program(f, program))
        executions_tell(f->env->executions, span_str(program), span_str(a->host), own,
                        (int64_t)(net_wall_ms(f->env->net) / 1000), &all);
    fact_set_int(facts, FACT_sender_usage_hosts, all.hosts);
    fact_set_int(facts, FACT_sender_usage_unknown_hosts, all.unknown_hosts);
    if (all.hosts >= EXECUTIONS_HOSTS_MIN)
        set_usual(facts, all.executions, all.connected, true);
    else
        set_usual(facts, own->executions, own->connected_executions, false);
}
