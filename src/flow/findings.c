/* findings.c: see findings.h. */
#include "flow/findings.h"

#include "audit/ledger.h"
#include "base/must.h"
#include "base/siphash.h"
#include "store/store.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUCKETS = 1024,
    RISKS = 8192, /* names; a power of two */
    RISK_PROBES = 8,
    BUDGETS = 1024, /* rules whose day is counted */
    DAY_MS = 24 * 3600 * 1000,
    UPDATE_EVERY_MS = 3600 * 1000,
    LINE_MAX_BYTES = 32768,
    RISK_MAX = 1000,
};

struct entry {
    struct entry *next; /* of the bucket */
    struct finding finding;
    char key[FINDINGS_KEY_BYTES];
    uint64_t said_count; /* in the last line about it */
    int64_t said_ms;
    bool unsaid, dirty;
    enum finding_activity due; /* of the line that is unsaid */
};

struct risk {
    uint64_t name; /* hash; 0: free */
    double score;
    int64_t at_ms;
};

struct budget {
    uint64_t rule; /* hash */
    int64_t day;
    unsigned used;
};

struct findings {
    struct findings_options options;
    char uid_prefix[17];
    uint64_t next_uid, next_line;
    uint8_t hash_key[SIPHASH_KEY_BYTES];
    pthread_mutex_t lock;           /* guards the rest */
    struct entry *buckets[BUCKETS]; /* owned */
    struct risk risks[RISKS];
    struct budget budgets[BUDGETS];
    struct findings_stats stats;
};

static uint64_t hash(const struct findings *f, struct span text)
{
    uint8_t digest[SIPHASH_BYTES];
    uint64_t h;
    siphash(f->hash_key, text, digest);
    memcpy(&h, digest, sizeof h);
    return h ? h : 1;
}

/* ---- the table ---- */

static void make_key(const struct finding *about, char key[FINDINGS_KEY_BYTES])
{
    snprintf(key, FINDINGS_KEY_BYTES, "%s\n%s\n%s\n%s", about->rule, about->host, about->sender,
             about->domain);
}

static struct entry **place_of(struct findings *f, const char *key)
{
    struct entry **at = &f->buckets[hash(f, span_str(key)) % BUCKETS];
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

static void unlink_entry(struct findings *f, struct entry **at)
{
    must(at && *at);
    struct entry *e = *at;
    *at = e->next;
    finding_clear(&e->finding);
    free(e);
    f->stats.open--;
}

/* ---- what is said ---- */

/* False: the ledger has no room now. */
static bool say(struct findings *f, struct entry *e, enum finding_activity activity, int64_t now_ms)
{
    char uid[64];
    struct buf line;
    e->due = activity;
    e->unsaid = true;
    if (ledger_reserve(f->options.ledger, 1) != 0) {
        f->stats.unsaid++;
        return false;
    }
    snprintf(uid, sizeof uid, "%s-f-%llx", f->uid_prefix, (unsigned long long)++f->next_line);
    buf_init(&line, LINE_MAX_BYTES);
    if (finding_write_record(&line, &e->finding, activity, uid, now_ms, f->options.version) == 0)
        ledger_append(f->options.ledger, buf_span(&line));
    else
        ledger_release(f->options.ledger, 1);
    buf_free(&line);
    e->unsaid = false;
    e->said_count = e->finding.count;
    e->said_ms = now_ms;
    return true;
}

/* ---- the store ---- */

/* One finding as it goes to the database, outside the lock: workers don't wait for the disk. */
struct row {
    struct row *next;
    struct store_sighting sighting;
    struct buf state; /* owned */
    char key[FINDINGS_KEY_BYTES];
};

/* NULL without memory: the next sweep of the store asks again. */
static struct row *row_new(const struct findings *f, const struct entry *e)
{
    struct row *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    memcpy(r->key, e->key, sizeof r->key);
    r->sighting = (struct store_sighting){.kind = FINDING_STORE_KIND,
                                          .name = span_str(r->key),
                                          .first_s = e->finding.first_ms / 1000,
                                          .last_s = e->finding.last_ms / 1000,
                                          .count = e->finding.count};
    siphash(f->hash_key, span_str(e->finding.uid), r->sighting.id);
    buf_init(&r->state, FINDING_STATE_MAX_BYTES);
    if (finding_write(&r->state, &e->finding) == 0)
        r->sighting.state = buf_span(&r->state);
    return r;
}

static void row_free(struct row *take_r)
{
    buf_free(&take_r->state);
    free(take_r);
}

static void on_store(void *owner, struct store *s, bool everything)
{
    struct findings *f = owner;
    for (int i = 0; i < BUCKETS; i++) {
        struct row *rows = NULL;
        pthread_mutex_lock(&f->lock);
        for (struct entry *e = f->buckets[i]; e; e = e->next) {
            struct row *r = e->dirty || everything ? row_new(f, e) : NULL;
            if (!r)
                continue;
            e->dirty = false;
            r->next = rows;
            rows = r;
        }
        pthread_mutex_unlock(&f->lock);
        while (rows) {
            struct row *r = rows;
            rows = r->next;
            store_write_sighting(s, &r->sighting);
            row_free(r);
        }
    }
}

/* True: its line is said, and it is gone from the table; else the next sweep tries again. */
static bool close_entry(struct findings *f, struct entry **at, int64_t now_ms)
{
    struct entry *e = *at;
    e->finding.status = FINDING_RESOLVED;
    if (!say(f, e, FINDING_CLOSE, now_ms))
        return false;
    f->stats.closed++;
    struct row *r = f->options.store ? row_new(f, e) : NULL;
    if (r) {
        store_put_sighting(f->options.store, &r->sighting);
        row_free(r);
    }
    unlink_entry(f, at);
    return true;
}

/* Closed ones stay in the store for people to read; here only open ones go on. */
static void on_row(void *owner, const struct store_sighting *row)
{
    struct findings *f = owner;
    struct finding found;
    if (finding_read(row->state, &found) != PARSE_OK)
        return;
    struct entry *e =
        found.status == FINDING_RESOLVED || f->stats.open >= FINDINGS_OPEN_MAX ? NULL : calloc(1, sizeof *e);
    if (!e) {
        finding_clear(&found);
        return;
    }
    make_key(&found, e->key);
    struct entry **at = place_of(f, e->key);
    if (*at) { /* twice: the one that was used last counts */
        finding_clear(&found);
        free(e);
        return;
    }
    e->finding = found;
    e->said_count = found.count;
    e->said_ms = found.last_ms;
    *at = e;
    f->stats.open++;
}

struct findings *findings_new(const struct findings_options *options)
{
    struct findings *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->options = *options;
    snprintf(f->uid_prefix, sizeof f->uid_prefix, "%s", options->uid_prefix);
    f->options.uid_prefix = f->uid_prefix;
    if (options->store)
        memcpy(f->hash_key, store_secret(options->store), sizeof f->hash_key);
    pthread_mutex_init(&f->lock, NULL);
    if (options->store) {
        store_each_sighting(options->store, FINDING_STORE_KIND, on_row, f);
        store_add_source(options->store, on_store, f);
    }
    return f;
}

void findings_free(struct findings *take_f)
{
    if (!take_f)
        return;
    for (int i = 0; i < BUCKETS; i++)
        while (take_f->buckets[i])
            unlink_entry(take_f, &take_f->buckets[i]);
    pthread_mutex_destroy(&take_f->lock);
    free(take_f);
}

/* ---- risk ---- */

/* The one of a name, or the least risky of where it may stand. */
static struct risk *risk_of(struct findings *f, struct span name, int64_t now_ms, bool *ret_found)
{
    uint64_t h = hash(f, name);
    struct risk *least = NULL;
    for (unsigned i = 0; i < RISK_PROBES; i++) {
        struct risk *r = &f->risks[(h + i) % RISKS];
        if (r->name == h) {
            *ret_found = true;
            r->score *= exp2(-(double)(now_ms - r->at_ms) / DAY_MS);
            r->at_ms = now_ms;
            return r;
        }
        if (!least || r->score < least->score)
            least = r;
    }
    *ret_found = false;
    return least;
}

static void add_risk(struct findings *f, const char *kind, const char *text, double points, int64_t now_ms)
{
    char name[320];
    bool found;
    if (!text[0])
        return;
    snprintf(name, sizeof name, "%s\n%s", kind, text);
    struct risk *r = risk_of(f, span_str(name), now_ms, &found);
    if (!found)
        *r = (struct risk){.name = hash(f, span_str(name)), .at_ms = now_ms};
    r->score = fmin(r->score + points, RISK_MAX);
}

unsigned findings_risk(struct findings *f, struct span name, int64_t now_ms)
{
    bool found;
    pthread_mutex_lock(&f->lock);
    const struct risk *r = risk_of(f, name, now_ms, &found);
    unsigned score = found ? (unsigned)r->score : 0;
    pthread_mutex_unlock(&f->lock);
    return score;
}

/* A new finding counts in full, each doubling of an old one a quarter. */
static void count_risk(struct findings *f, const struct finding *a, double share, int64_t now_ms)
{
    static const double points[] = {[SEVERITY_INFORMATIONAL] = 1,
                                    [SEVERITY_LOW] = 5,
                                    [SEVERITY_MEDIUM] = 15,
                                    [SEVERITY_HIGH] = 40,
                                    [SEVERITY_CRITICAL] = 80};
    if (a->status == FINDING_SUPPRESSED || a->test)
        return;
    add_risk(f, "sender", a->sender, share * points[a->severity], now_ms);
    add_risk(f, "host", a->host, share * points[a->severity], now_ms);
    add_risk(f, "user", a->user, share * points[a->severity], now_ms);
}

void findings_add_risk(struct findings *f, const struct finding *about, int64_t now_ms)
{
    pthread_mutex_lock(&f->lock);
    count_risk(f, about, 1, now_ms);
    pthread_mutex_unlock(&f->lock);
}

/* ---- noting ---- */

/* A rule that finds something new all day long is said once: the rest is one finding about everybody. */
static void spend_budget(struct findings *f, struct finding *about, int64_t now_ms)
{
    uint64_t rule = hash(f, span_str(about->rule));
    struct budget *b = &f->budgets[rule % BUDGETS];
    int64_t day = now_ms / DAY_MS;
    if (b->rule != rule || b->day != day)
        *b = (struct budget){.rule = rule, .day = day};
    if (b->used++ < f->options.daily_budget)
        return;
    strcpy(about->host, "*");
    strcpy(about->sender, "*");
    strcpy(about->domain, "*");
}

static void evict_quietest(struct findings *f, int64_t now_ms)
{
    struct entry **quietest = NULL;
    for (int i = 0; i < BUCKETS; i++)
        for (struct entry **at = &f->buckets[i]; *at; at = &(*at)->next)
            if (!quietest || (*at)->finding.last_ms < (*quietest)->finding.last_ms)
                quietest = at;
    if (!quietest)
        return;
    f->stats.evicted++;
    if (!close_entry(f, quietest,
                     now_ms)) /* the ledger is full: its end goes unsaid, its records are there */
        unlink_entry(f, quietest);
}

static struct entry *make_entry(struct findings *f, struct finding *take_about, const char *key,
                                int64_t now_ms)
{
    if (f->stats.open >= FINDINGS_OPEN_MAX)
        evict_quietest(f, now_ms);
    struct entry *e = calloc(1, sizeof *e);
    if (!e) {
        finding_clear(take_about);
        return NULL;
    }
    struct entry **at = place_of(f, key);
    e->finding = *take_about;
    *take_about = (struct finding){0};
    snprintf(e->key, sizeof e->key, "%s", key);
    snprintf(e->finding.uid, sizeof e->finding.uid, "%.16s%08llx", f->uid_prefix,
             (unsigned long long)++f->next_uid);
    if (e->finding.status != FINDING_SUPPRESSED)
        e->finding.status = FINDING_NEW;
    e->finding.first_ms = now_ms;
    e->finding.count = 0;
    e->finding.record_count = 0;
    *at = e;
    f->stats.open++;
    return e;
}

static void add_match(struct entry *e, const char *record_id, int64_t now_ms)
{
    struct finding *g = &e->finding;
    g->last_ms = now_ms > g->last_ms ? now_ms : g->last_ms;
    g->count++;
    if (g->record_count < FINDING_RECORDS_MAX)
        snprintf(g->records[g->record_count++], sizeof g->records[0], "%s", record_id);
    e->dirty = true;
}

/* What changed in a way that people should hear of: it got worse, it doubled, it goes on after an hour. */
static bool deserves_update(const struct entry *e, bool worse, int64_t now_ms)
{
    return worse || e->finding.count >= 2 * e->said_count || now_ms - e->said_ms >= UPDATE_EVERY_MS;
}

/* When it is made, and when it goes on with another process or the time is half over: a beacon asks once an hour at most. */
static bool wants_keep(struct entry *e, const char *sender_ref, int64_t now_ms, struct findings_keep *ret)
{
    struct finding *g = &e->finding;
    bool asked = g->kept_asked_ms > 0, other = strcmp(g->kept_ref, sender_ref) != 0;
    if (!sender_ref[0] || g->test || g->status == FINDING_SUPPRESSED)
        return false;
    if (asked && (now_ms - g->kept_asked_ms < UPDATE_EVERY_MS ||
                  (!other && g->kept_until_ms - now_ms > FINDINGS_KEEP_S * 1000LL / 2)))
        return false;
    g->kept_asked_ms = now_ms;
    e->dirty = true;
    snprintf(ret->uid, sizeof ret->uid, "%s", g->uid);
    snprintf(ret->sender_ref, sizeof ret->sender_ref, "%s", sender_ref);
    return true;
}

static void note_again(struct findings *f, struct entry *e, struct finding *take_about, const char *record_id,
                       int64_t now_ms)
{
    struct finding *g = &e->finding;
    /* another program under the same name is not what was suppressed or acknowledged */
    bool other = g->sha256[0] && take_about->sha256[0] && strcmp(g->sha256, take_about->sha256) != 0;
    bool worse = take_about->severity > g->severity || (take_about->blocked && !g->blocked) || other;
    bool suppressed = take_about->status == FINDING_SUPPRESSED;
    if (other)
        memcpy(g->sha256, take_about->sha256, sizeof g->sha256);
    if (suppressed && !other)
        g->status = FINDING_SUPPRESSED;
    else if (other || g->status == FINDING_SUPPRESSED)
        g->status = FINDING_NEW;
    if (take_about->severity > g->severity) {
        g->severity = take_about->severity;
        memcpy(g->corroborating, take_about->corroborating, sizeof g->corroborating);
        memcpy(g->not_observed, take_about->not_observed, sizeof g->not_observed);
        memcpy(g->confidence, take_about->confidence, sizeof g->confidence);
    }
    if (!g->history) { /* the first that is known: what came before it all began */
        g->history = take_about->history;
        take_about->history = NULL;
    }
    g->blocked |= take_about->blocked;
    g->would_block |= take_about->would_block;
    finding_clear(take_about);
    add_match(e, record_id, now_ms);
    if (g->status == FINDING_SUPPRESSED || !deserves_update(e, worse, now_ms))
        return;
    count_risk(f, g, 0.25, now_ms);
    if (say(f, e, FINDING_UPDATE, now_ms))
        f->stats.updated++;
}

void findings_note(struct findings *f, struct finding *take_about, const char *record_id, int64_t now_ms)
{
    struct findings_keep unused;
    take_about->kept_ref[0] = '\0';
    findings_note_and_keep(f, take_about, record_id, now_ms, &unused);
}

bool findings_note_and_keep(struct findings *f, struct finding *take_about, const char *record_id,
                            int64_t now_ms, struct findings_keep *ret)
{
    char key[FINDINGS_KEY_BYTES], sender_ref[sizeof take_about->kept_ref];
    memcpy(sender_ref, take_about->kept_ref, sizeof sender_ref);
    take_about->kept_ref[0] = '\0'; /* not kept yet */
    pthread_mutex_lock(&f->lock);
    make_key(take_about, key);
    struct entry **at = place_of(f, key);
    if (*at && now_ms - (*at)->finding.last_ms >= f->options.quiet_ms)
        close_entry(f, at, now_ms); /* it is over; this is a new one */
    at = place_of(f, key);
    if (!*at && take_about->status != FINDING_SUPPRESSED && !take_about->test) {
        spend_budget(f, take_about, now_ms);
        make_key(take_about, key);
        at = place_of(f, key);
    }
    if (*at) {
        note_again(f, *at, take_about, record_id, now_ms);
    } else {
        struct entry *e = make_entry(f, take_about, key, now_ms);
        if (e) {
            add_match(e, record_id, now_ms);
            count_risk(f, &e->finding, 1, now_ms);
            f->stats.created++;
            if (e->finding.status != FINDING_SUPPRESSED)
                say(f, e, FINDING_CREATE, now_ms);
        }
    }
    at = place_of(f, key);
    bool keep = *at && wants_keep(*at, sender_ref, now_ms, ret);
    pthread_mutex_unlock(&f->lock);
    return keep;
}

static struct entry *find_uid(struct findings *f, const char *uid)
{
    for (int i = 0; i < BUCKETS; i++)
        for (struct entry *e = f->buckets[i]; e; e = e->next)
            if (strcmp(e->finding.uid, uid) == 0)
                return e;
    return NULL;
}

/* What another process' history is kept for already is not given up for one that isn't. */
void findings_set_kept(struct findings *f, const struct findings_keep *asked, const char *outcome,
                       int64_t until_ms)
{
    pthread_mutex_lock(&f->lock);
    struct entry *e = find_uid(f, asked->uid);
    struct finding *g = e ? &e->finding : NULL;
    bool same = g && strcmp(g->kept_ref, asked->sender_ref) == 0;
    if (g && (until_ms > 0 || same || g->kept_until_ms == 0)) {
        snprintf(g->kept, sizeof g->kept, "%s", outcome);
        snprintf(g->kept_ref, sizeof g->kept_ref, "%s", asked->sender_ref);
        g->kept_until_ms = until_ms;
        e->dirty = true;
    }
    pthread_mutex_unlock(&f->lock);
}

/* ---- from time to time ---- */

void findings_sweep(struct findings *f, int64_t now_ms)
{
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < BUCKETS; i++) {
        struct entry **at = &f->buckets[i];
        while (*at) {
            struct entry *e = *at;
            bool over =
                e->finding.status == FINDING_RESOLVED || now_ms - e->finding.last_ms >= f->options.quiet_ms;
            if (over && close_entry(f, at, now_ms))
                continue;
            if (!over && e->unsaid)
                say(f, e, e->due, now_ms);
            at = &e->next;
        }
    }
    pthread_mutex_unlock(&f->lock);
}

int findings_set_status(struct findings *f, const char *uid, enum finding_status status, const char *by,
                        int64_t now_ms)
{
    int result = -1;
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < BUCKETS && result != 0; i++)
        for (struct entry **at = &f->buckets[i]; *at; at = &(*at)->next) {
            struct entry *e = *at;
            if (strcmp(e->finding.uid, uid) != 0)
                continue;
            snprintf(e->finding.by, sizeof e->finding.by, "%s", by);
            e->finding.status = status;
            e->dirty = true;
            if (status == FINDING_RESOLVED)
                close_entry(f, at, now_ms);
            else
                say(f, e, FINDING_UPDATE, now_ms);
            result = 0;
            break;
        }
    pthread_mutex_unlock(&f->lock);
    return result;
}

bool findings_end_test(struct findings *f, const char *rule, int64_t now_ms, struct finding *ret)
{
    bool found = false;
    if (!f)
        return false;
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < BUCKETS && !found; i++)
        for (struct entry **at = &f->buckets[i]; *at; at = &(*at)->next) {
            struct finding *g = &(*at)->finding;
            if (!g->test || g->status == FINDING_RESOLVED || strcmp(g->rule, rule) != 0)
                continue;
            *ret = *g;
            ret->evidence = ret->history = NULL; /* stay the entry's */
            if (g->status != FINDING_SUPPRESSED)
                snprintf(g->by, sizeof g->by, "selftest");
            close_entry(f, at, now_ms); /* without room in the ledger the next sweep says it */
            found = true;
            break;
        }
    pthread_mutex_unlock(&f->lock);
    return found;
}

void findings_stats(struct findings *f, struct findings_stats *ret)
{
    pthread_mutex_lock(&f->lock);
    *ret = f->stats;
    pthread_mutex_unlock(&f->lock);
}
