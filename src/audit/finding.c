/* finding.c: see finding.h. */
#include "audit/finding.h"

#include "base/json.h"

#include <stdlib.h>

/* ---- words ---- */

static const char *const status_names[] = {
    [FINDING_NEW] = "New",
    [FINDING_IN_PROGRESS] = "In Progress",
    [FINDING_SUPPRESSED] = "Suppressed",
    [FINDING_RESOLVED] = "Resolved",
};

const char *finding_status_name(enum finding_status s)
{
    return s >= FINDING_NEW && s <= FINDING_RESOLVED ? status_names[s] : "Unknown";
}

static const struct {
    const char *name, *level;
} severities[] = {
    [SEVERITY_INFORMATIONAL] = {"Informational", "informational"},
    [SEVERITY_LOW] = {"Low", "low"},
    [SEVERITY_MEDIUM] = {"Medium", "medium"},
    [SEVERITY_HIGH] = {"High", "high"},
    [SEVERITY_CRITICAL] = {"Critical", "critical"},
};

const char *finding_severity_name(enum finding_severity s)
{
    return s >= SEVERITY_INFORMATIONAL && s <= SEVERITY_CRITICAL ? severities[s].name : "Unknown";
}

enum finding_severity finding_severity_of_level(const char *level)
{
    for (enum finding_severity s = SEVERITY_INFORMATIONAL; level && s <= SEVERITY_CRITICAL; s++)
        if (strcmp(level, severities[s].level) == 0)
            return s;
    return SEVERITY_MEDIUM;
}

enum finding_severity finding_weigh(enum finding_severity level, const char *confidence,
                                    unsigned corroborating)
{
    int weight = (int)level - (strcmp(confidence, "exact") != 0) + (corroborating >= 2);
    return weight < SEVERITY_INFORMATIONAL ? SEVERITY_INFORMATIONAL
           : weight > SEVERITY_CRITICAL    ? SEVERITY_CRITICAL
                                           : (enum finding_severity)weight;
}

void finding_clear(struct finding *f)
{
    free(f->evidence);
    free(f->history);
    *f = (struct finding){0};
}

/* ---- the record ---- */

static void write_metadata(struct json *j, const struct finding *f, const char *record_uid,
                           const char *version)
{
    json_object(j, "metadata");
    json_str(j, "uid", record_uid);
    json_str(j, "correlation_uid", f->uid);
    json_str(j, "version", "1.9.0");
    json_object(j, "product");
    json_str(j, "name", "Exeat");
    json_str(j, "vendor_name", "Exeat");
    json_str(j, "version", version);
    json_end_object(j);
    json_array(j, "profiles");
    json_str(j, NULL, "host");
    json_str(j, NULL, "security_control");
    json_end_array(j);
    json_end_object(j);
}

static void write_attacks(struct json *j, const struct finding *f)
{
    if (f->attack_count == 0)
        return;
    json_array(j, "attacks");
    for (unsigned i = 0; i < f->attack_count; i++) {
        json_object(j, NULL);
        json_object(j, "technique");
        json_str(j, "uid", f->attacks[i]);
        json_end_object(j);
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_info(struct json *j, const struct finding *f, enum finding_activity activity,
                       int64_t now_ms)
{
    json_object(j, "finding_info");
    json_str(j, "uid", f->uid);
    json_str(j, "title", f->title);
    json_object(j, "analytic");
    json_int(j, "type_id", 1);
    json_str(j, "type", "Rule");
    json_str(j, "uid", f->rule);
    json_str(j, "name", f->title);
    if (f->analytic[0])
        json_str(j, "category", f->analytic);
    json_end_object(j);
    write_attacks(j, f);
    json_int(j, "created_time", f->first_ms);
    json_int(j, "first_seen_time", f->first_ms);
    json_int(j, "last_seen_time", f->last_ms);
    if (activity != FINDING_CREATE)
        json_int(j, "modified_time", now_ms);
    json_int(j, "related_events_count", (int64_t)f->count);
    if (f->record_count > 0)
        json_array(j, "related_events");
    for (unsigned i = 0; i < f->record_count; i++) {
        json_object(j, NULL);
        json_str(j, "uid", f->records[i]);
        json_end_object(j);
    }
    if (f->record_count > 0)
        json_end_array(j);
    json_end_object(j);
}

static void write_disposition(struct json *j, const struct finding *f)
{
    enum { BLOCKED = 2, ALERT = 19 };
    json_int(j, "action_id", f->blocked ? 2 : 1);
    json_str(j, "action", f->blocked ? "Denied" : "Allowed");
    json_int(j, "disposition_id", f->blocked ? BLOCKED : ALERT);
    json_str(j, "disposition", f->blocked ? "Blocked" : "Alert");
    json_bool(j, "is_alert", f->status != FINDING_SUPPRESSED);
}

/* In the lines that come after the agent's answer. */
static void write_kept(struct json *j, const struct finding *f)
{
    if (!f->kept[0])
        return;
    json_object(j, "agent_history");
    json_str(j, "outcome", f->kept);
    if (f->kept_until_ms > 0)
        json_int(j, "until", f->kept_until_ms);
    json_str(j, "sender_ref", f->kept_ref);
    json_end_object(j);
}

/* What it is about and how its severity came to be: OCSF has no fields for that. */
static void write_unmapped(struct json *j, const struct finding *f)
{
    json_object(j, "unmapped");
    json_object(j, "finding");
    json_str(j, "sender", f->sender);
    json_str(j, "user", f->user[0] ? f->user : NULL);
    json_str(j, "domain", f->domain);
    json_str(j, "level", severities[f->level].level);
    json_str(j, "confidence", f->confidence);
    json_str(j, "corroborating", f->corroborating);
    json_str(j, "not_observed", f->not_observed);
    json_bool(j, "would_block", f->would_block);
    json_bool(j, "test", f->test);
    if (f->by[0])
        json_str(j, "by", f->by);
    write_kept(j, f);
    json_end_object(j);
    json_end_object(j);
}

static void write_class(struct json *j, const struct finding *f, enum finding_activity activity,
                        int64_t now_ms)
{
    static const char *const names[] = {
        [FINDING_CREATE] = "Create", [FINDING_UPDATE] = "Update", [FINDING_CLOSE] = "Close"};
    json_int(j, "class_uid", 2004);
    json_str(j, "class_name", "Detection Finding");
    json_int(j, "category_uid", 2);
    json_str(j, "category_name", "Findings");
    json_int(j, "activity_id", activity);
    json_str(j, "activity_name", names[activity]);
    json_int(j, "type_uid", 200400 + (int64_t)activity);
    json_int(j, "time", now_ms);
    json_int(j, "start_time", f->first_ms);
    json_int(j, "end_time", f->last_ms);
    json_int(j, "count", (int64_t)f->count);
    json_int(j, "severity_id", f->severity);
    json_str(j, "severity", finding_severity_name(f->severity));
    json_int(j, "status_id", f->status);
    json_str(j, "status", finding_status_name(f->status));
    json_str(j, "message", f->title);
}

int finding_write_record(struct buf *out, const struct finding *f, enum finding_activity activity,
                         const char *record_uid, int64_t now_ms, const char *version)
{
    struct json j;
    json_init(&j, out);
    json_object(&j, NULL);
    write_metadata(&j, f, record_uid, version);
    write_class(&j, f, activity, now_ms);
    write_info(&j, f, activity, now_ms);
    write_disposition(&j, f);
    if (f->host[0] && strcmp(f->host, "*") != 0) {
        json_object(&j, "device");
        json_str(&j, "hostname", f->host);
        json_int(&j, "type_id", 0);
        json_end_object(&j);
    }
    if (f->evidence) {
        json_array(&j, "evidences");
        json_raw(&j, NULL, span_str(f->evidence));
        json_end_array(&j);
    }
    write_unmapped(&j, f);
    json_end_object(&j);
    return buf_append(out, "\n", 1);
}

/* ---- for the store ---- */

static void write_texts(struct json *j, const char *key, const char *texts, size_t stride, unsigned count)
{
    json_array(j, key);
    for (unsigned i = 0; i < count; i++)
        json_str(j, NULL, texts + i * stride);
    json_end_array(j);
}

int finding_write(struct buf *out, const struct finding *f)
{
    struct json j;
    json_init(&j, out);
    json_object(&j, NULL);
#define TEXT(name)   json_str(&j, #name, f->name);
#define NUMBER(name) json_int(&j, #name, (int64_t)f->name);
#define FLAG(name)   json_bool(&j, #name, f->name);
#include "audit/finding_fields.def"
#undef TEXT
#undef NUMBER
#undef FLAG
    write_texts(&j, "attacks", f->attacks[0], sizeof f->attacks[0], f->attack_count);
    write_texts(&j, "records", f->records[0], sizeof f->records[0], f->record_count);
    if (f->evidence)
        json_raw(&j, "evidence", span_str(f->evidence));
    if (f->history)
        json_raw(&j, "history", span_str(f->history));
    json_end_object(&j);
    return out->failed ? -1 : 0;
}
