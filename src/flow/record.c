/* record.c: what is written down about an exchange: one record when it is decided, one when it is over, as OCSF 1.9 Network
 * Activity (class 4001). Facts come from their table; the rest (verdict, times, traffic) is gathered here.
 * Called by the steps and the hub; touches the ledger. */
#include "flow/inside.h"

#include "audit/record.h"
#include "base/must.h"

#include <stdio.h>

enum {
    FIELDS_MAX = FACT_COUNT + 48,
    STRING_BYTES_MAX = 4096,
    JSON_SHORT_BYTES = 2048, /* what stays whole in a record that is too long */
    LINE_USUAL_BYTES = 4096,
    RULES_BYTES_MAX = 8192, /* of the rules that matched; one more may end behind it */
    RULE_TEXT_BYTES_MAX = 256,
    OCSF_OPEN = 1,
    OCSF_CLOSE = 2,
    OCSF_RESET = 3,
    OCSF_FAIL = 4,
    OCSF_REFUSE = 5,
};

#define RULES_PATH "unmapped.rules"

struct draft {
    bool http; /* HTTP Activity, else Network Activity */
    struct record_field fields[FIELDS_MAX];
    size_t count;
    char uid[56], timeline[FLOW_STATE_COUNT * 32], ip_text[4][IP_TEXT_BYTES];
    unsigned ips;
    struct buf rules;
    struct span not_evaluable[JUDGE_NOT_EVALUABLE_MAX], unseen[FACT_CLOSE + 1];
};

static struct record_field *add(struct draft *d, const char *path, enum record_field_type type)
{
    must(d->count < FIELDS_MAX);
    struct record_field *field = &d->fields[d->count++];
    *field = (struct record_field){.path = path, .type = type};
    return field;
}

static void add_text(struct draft *d, const char *path, const char *text)
{
    if (text && text[0])
        add(d, path, RECORD_STRING)->value.string = span_str(text);
}

static void add_int(struct draft *d, const char *path, int64_t value)
{
    add(d, path, RECORD_INT)->value.integer = value;
}

static void add_fact(struct draft *d, const struct fact_row *row, const struct fact_value *v)
{
    switch (row->type) {
    case FACT_BOOL:
        add(d, row->path, RECORD_BOOL)->value.integer = v->as.integer;
        break;
    case FACT_INT:
        add_int(d, row->path, v->as.integer);
        break;
    case FACT_REAL:
        add(d, row->path, RECORD_REAL)->value.real = v->as.real;
        break;
    case FACT_STRING:
        add(d, row->path, RECORD_STRING)->value.string = span_of(v->as.text, v->count);
        break;
    case FACT_JSON:
        add(d, row->path, RECORD_JSON)->value.string = span_of(v->as.text, v->count);
        break;
    case FACT_STRINGS: {
        struct record_field *field = add(d, row->path, RECORD_STRINGS);
        field->value.strings.items = v->as.items;
        field->value.strings.count = v->count;
        break;
    }
    case FACT_IP:
        must(d->ips < ARRAY_LEN(d->ip_text));
        add_text(d, row->path, ip_format(v->as.ip, d->ip_text[d->ips++]));
        break;
    }
}

/* In HTTP Activity the request is the event's own, not one that a proxy made of it. */
static const char *own_path(const char *path)
{
    static const char prefix[] = "proxy_http_";
    return strncmp(path, prefix, sizeof prefix - 1) == 0 ? path + sizeof "proxy_" - 1 : path;
}

static void add_facts(struct draft *d, const struct facts *facts)
{
    for (int i = 0; i < FACT_COUNT; i++)
        if (facts->values[i].state == FACT_KNOWN && fact_table[i].path[0]) {
            add_fact(d, &fact_table[i], &facts->values[i]);
            if (d->http)
                d->fields[d->count - 1].path = own_path(d->fields[d->count - 1].path);
        }
}

/* Milliseconds in each state that took any. */
static void add_timeline(struct draft *d, const struct exchange *x)
{
    size_t len = 0;
    d->timeline[len++] = '{';
    for (int i = 0; i < FLOW_STATE_COUNT; i++)
        if (x->state_ms[i])
            len += (size_t)snprintf(d->timeline + len, sizeof d->timeline - len, "%s\"%s\":%u",
                                    len > 1 ? "," : "", flow_state_name((enum flow_state)i), x->state_ms[i]);
    d->timeline[len++] = '}';
    add(d, "unmapped.timeline_ms", RECORD_JSON)->value.string = span_of(d->timeline, len);
}

/* ---- OCSF's enumerations ---- */

static void add_verdict(struct draft *d, const struct flow *f)
{
    enum { DISPOSITION_ALLOWED = 1, DISPOSITION_BLOCKED = 2, DISPOSITION_ALERT = 19, DISPOSITION_ERROR = 27 };
    static const struct {
        int action, disposition, severity;
        const char *action_text, *disposition_text;
    } rows[VERDICT_ACTION_COUNT] = {
        [VERDICT_ALLOW] = {1, DISPOSITION_ALLOWED, 1, "Allowed", "Allowed"},
        [VERDICT_ALERT] = {1, DISPOSITION_ALERT, 2, "Allowed", "Alert"},
        [VERDICT_BLOCK] = {2, DISPOSITION_BLOCKED, 3, "Denied", "Blocked"},
    };
    const struct exchange *x = f->x;
    if (!x->decided) {
        add_int(d, "severity_id", 1);
        add_int(d, "action_id", 2);
        add_text(d, "action", "Denied");
        add_int(d, "disposition_id", DISPOSITION_ERROR);
        add_text(d, "disposition", "Error");
        return;
    }
    const struct verdict *v = &x->verdict;
    add_int(d, "severity_id", rows[v->action].severity);
    add_int(d, "action_id", rows[v->action].action);
    add_text(d, "action", rows[v->action].action_text);
    add_int(d, "disposition_id", rows[v->action].disposition);
    add_text(d, "disposition", rows[v->action].disposition_text);
    if (x->judgement.decided_by && v->reason == REASON_RULE) {
        const struct sigma_document *rule =
            f->snapshot->rules->set->rules[x->judgement.decided_by - 1].document;
        add_text(d, "firewall_rule.name", rule->title);
        add_text(d, "firewall_rule.uid", rule->id);
        add_text(d, "firewall_rule.type", "sigma");
    } else {
        add_text(d, "firewall_rule.name", v->entry ? v->entry : "no baseline entry");
        add_text(d, "firewall_rule.type", "baseline");
        add_text(d, "firewall_rule.condition", v->selector);
    }
    add_text(d, "unmapped.verdict.action", verdict_action_name(v->action));
    add_text(d, "unmapped.verdict.mode", verdict_mode_name(v->mode));
    if (v->reason != REASON_NONE)
        add_text(d, "unmapped.verdict.reason", reason_table[v->reason].name);
    if (x->connect)
        add_text(d, "unmapped.verdict.handling", verdict_handling_name(v->handling));
    add(d, "unmapped.verdict.would_block", RECORD_BOOL)->value.integer = v->would_block;
    if (v->entry_line)
        add_int(d, "unmapped.verdict.baseline_line", v->entry_line);
    if (v->ticket) {
        add_text(d, "unmapped.verdict.exception", v->ticket);
        add_int(d, "unmapped.verdict.exception_expires", v->expires_s * 1000);
    }
}

/* ---- rules ---- */

static void write_short(struct json *j, const char *key, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len > 0)
        json_span(j, key, span_of(text, len < RULE_TEXT_BYTES_MAX ? len : RULE_TEXT_BYTES_MAX));
}

void record_write_match(struct json *j, const struct flow *f, const struct judge_match *m,
                        uint64_t generation)
{
    const struct sigma_document *d = f->snapshot->rules->set->rules[m->rule].document;
    json_object(j, NULL);
    write_short(j, "id", d->id);
    write_short(j, "title", d->title);
    write_short(j, "author", d->author);
    write_short(j, "license", d->license);
    write_short(j, "level", sigma_level_name(d->level));
    write_short(j, "status", sigma_status_name(d->status));
    json_str(j, "phase", logsource_phase_name(m->phase));
    json_str(j, "action", action_name(m->action));
    json_str(j, "outcome", judge_outcome_name(m->outcome));
    if (m->unknown)
        json_bool(j, "unknown", true);
    if (generation > 0)
        json_int(j, "generation", (int64_t)generation);
    json_end_object(j);
}

/* The one that decided stands first, what policies before said last: what doesn't fit is only counted. */
static void add_rules(struct draft *d, const struct flow *f)
{
    const struct judgement *own = &f->x->judgement;
    const struct judge_match *const all = own->matches;
    struct json j;
    size_t shown = 0;
    buf_init(&d->rules, RULES_BYTES_MAX + 4096 + JUDGE_PAST_BYTES_MAX);
    json_init(&j, &d->rules);
    json_array(&j, NULL);
    for (int decided = 1; decided >= 0; decided--)
        for (size_t i = 0; i < own->count; i++) {
            if (all[i].outcome == JUDGE_COUNTED || (all[i].rule + 1 == own->decided_by) != decided ||
                buf_len(&d->rules) > RULES_BYTES_MAX)
                continue;
            record_write_match(&j, f, &all[i], 0);
            shown++;
        }
    size_t counted = 0, before, before_shown;
    struct span past = judge_past_text(own, &before, &before_shown);
    if (before_shown > 0)
        json_raw(&j, NULL, past);
    shown += before_shown;
    json_end_array(&j);
    for (size_t i = 0; i < own->count; i++)
        counted += all[i].outcome == JUDGE_COUNTED;
    if (shown > 0)
        add(d, RULES_PATH, RECORD_JSON)->value.string = buf_span(&d->rules);
    if (own->count + before - counted > shown)
        add_int(d, "unmapped.rules_matched", (int64_t)(own->count + before - counted));
}

/* Phases of which this path shows nothing, or not all: without, a fact that is missing here could be taken for one that isn't there. */
static void add_unseen(struct draft *d, const struct flow *f)
{
    size_t count = 0;
    bool unseen[FACT_CLOSE + 1] = {false};
    if (!f->snapshot->rules)
        return;
    for (int i = 0; i < FACT_COUNT; i++)
        if (f->x->facts.values[i].state == FACT_UNOBSERVABLE)
            unseen[fact_table[i].phase] = true;
    for (int p = FACT_ADDRESS; p <= FACT_CLOSE; p++)
        if (unseen[p])
            d->unseen[count++] = span_str(logsource_phase_name((enum fact_phase)p));
    if (count == 0)
        return;
    struct record_field *field = add(d, "unmapped.phases_unseen", RECORD_STRINGS);
    field->value.strings.items = d->unseen;
    field->value.strings.count = count;
}

/* At the end: what could not be answered, of the rules that were looked at. */
static void add_not_evaluable(struct draft *d, const struct flow *f)
{
    const struct judgement *own = &f->x->judgement;
    size_t shown = own->not_evaluable_count < JUDGE_NOT_EVALUABLE_MAX ? own->not_evaluable_count
                                                                      : JUDGE_NOT_EVALUABLE_MAX;
    if (shown == 0)
        return;
    for (size_t i = 0; i < shown; i++)
        d->not_evaluable[i] =
            span_str(sigma_document_id(f->snapshot->rules->set->rules[own->not_evaluable[i]].document));
    struct record_field *field = add(d, "unmapped.rules_not_evaluable", RECORD_STRINGS);
    field->value.strings.items = d->not_evaluable;
    field->value.strings.count = shown;
}

static int close_activity(const struct flow *f)
{
    const struct exchange *x = f->x;
    if (x->decided && x->verdict.action == VERDICT_BLOCK)
        return OCSF_REFUSE;
    if (x->reason == REASON_CLIENT_RESET || x->reason == REASON_SERVER_RESET)
        return OCSF_RESET;
    return x->reason == REASON_COMPLETED ? OCSF_CLOSE : OCSF_FAIL;
}

/* Exchanges inside a terminated tunnel are HTTP Activity; its activities are the methods. */
static bool is_http_activity(const struct flow *f)
{
    return f->inside && !f->x->connect && f->x->facts.values[FACT_method].state == FACT_KNOWN;
}

static void add_http_activity(struct draft *d, const struct exchange *x)
{
    static const struct {
        const char *method, *name;
        int id;
    } rows[] = {{"DELETE", "Delete", 2},   {"GET", "Get", 3},        {"HEAD", "Head", 4},
                {"OPTIONS", "Options", 5}, {"POST", "Post", 6},      {"PUT", "Put", 7},
                {"TRACE", "Trace", 8},     {"PATCH", "Patch", 9},    {"PROPFIND", "Property Find", 28},
                {"REPORT", "Report", 32},  {"SEARCH", "Search", 33}, {"", "Other", 99}};
    const struct fact_value *method = &x->facts.values[FACT_method];
    size_t i = 0;
    while (i < ARRAY_LEN(rows) - 1 && !span_is(span_of(method->as.text, method->count), rows[i].method))
        i++;
    add_int(d, "class_uid", 4002);
    add_text(d, "class_name", "HTTP Activity");
    add_int(d, "activity_id", rows[i].id);
    add_text(d, "activity_name", rows[i].name);
    add_int(d, "type_uid", 400200 + rows[i].id);
}

static void add_network_activity(struct draft *d, int activity)
{
    static const char *const names[] = {[OCSF_OPEN] = "Open",
                                        [OCSF_CLOSE] = "Close",
                                        [OCSF_RESET] = "Reset",
                                        [OCSF_FAIL] = "Fail",
                                        [OCSF_REFUSE] = "Refuse"};
    add_int(d, "class_uid", 4001);
    add_text(d, "class_name", "Network Activity");
    add_int(d, "activity_id", activity);
    add_text(d, "activity_name", names[activity]);
    add_int(d, "type_uid", 400100 + activity);
}

static void add_common(struct draft *d, const struct flow *f, int activity, char kind)
{
    const struct exchange *x = f->x;
    static const struct span profiles[] = {{(const uint8_t *)"host", 4},
                                           {(const uint8_t *)"network_proxy", 13},
                                           {(const uint8_t *)"security_control", 16}};
    snprintf(d->uid, sizeof d->uid, "%s.%c", x->id, kind);
    add_text(d, "metadata.uid", d->uid);
    add_text(d, "metadata.correlation_uid", x->id);
    add_text(d, "metadata.version", "1.9.0");
    add_text(d, "metadata.product.name", "Exeat");
    add_text(d, "metadata.product.vendor_name", "Exeat");
    add_text(d, "metadata.product.version", EXEAT_VERSION);
    struct record_field *field = add(d, "metadata.profiles", RECORD_STRINGS);
    field->value.strings.items = profiles;
    field->value.strings.count = ARRAY_LEN(profiles);
    add_int(d, "category_uid", 4);
    add_text(d, "category_name", "Network Activity");
    d->http = is_http_activity(f);
    if (d->http)
        add_http_activity(d, x);
    else
        add_network_activity(d, activity);
    add_int(d, "connection_info.direction_id", 2); /* outbound */
    add_text(d, "connection_info.protocol_name", "tcp");
    add_int(d, "connection_info.protocol_num", 6);
    add_int(d, "start_time", (int64_t)x->begun_wall_ms);
    if (f->test)
        add(d, "unmapped.test", RECORD_BOOL)->value.integer = true;
    add_int(d, "unmapped.policy_generation", (int64_t)f->snapshot->generation);
    add_verdict(d, f);
    add_rules(d, f);
}

/* What a process can swell (its arguments, its paths) goes, who it is stays. */
static void shorten(struct draft *d, const struct flow *f)
{
    const struct sender *s = f->attribution.sender;
    bool named = false;
    for (size_t i = 0; i < d->count; i++)
        if (d->fields[i].type == RECORD_JSON && d->fields[i].value.string.len > JSON_SHORT_BYTES &&
            strcmp(d->fields[i].path, RULES_PATH) != 0) {
            named |= strcmp(d->fields[i].path, fact_table[FACT_sender_process].path) == 0;
            d->fields[i--] = d->fields[--d->count];
        }
    if (!named || !s)
        return;
    add_int(d, "actor.process.pid", s->pid);
    add_text(d, "actor.process.uid", s->ref);
    add_text(d, "actor.process.name", s->name);
    add_text(d, "actor.process.file.name", s->name);
    add_text(d, "actor.process.file.path", s->executable);
    add_int(d, "actor.process.file.type_id", 1);
}

static void write(struct flow *f, struct draft *d)
{
    static const size_t limits[] = {STRING_BYTES_MAX, 256,
                                    16}; /* the last always fits: lists are bounded, too */
    struct buf line;
    size_t room, i = 0;
    buf_init(&line, LEDGER_LINE_MAX_BYTES);
    buf_reserve(&line, LINE_USUAL_BYTES, &room); /* grows once, not five times */
    while (record_write(&line, d->fields, d->count, limits[i]) != 0) {
        must(++i < ARRAY_LEN(limits));
        if (i == 1)
            shorten(d, f);
        buf_clear(&line);
    }
    ledger_append(f->env->ledger, buf_span(&line));
    buf_free(&line);
    buf_free(&d->rules);
    f->x->reserved--;
    counter_add(&f->env->counters, COUNTER_records, 1);
}

/* ---- the two records ---- */

int record_reserve(struct flow *f)
{
    struct exchange *x = f->x;
    bool open = flow_conf(f)->audit.full == CONF_FULL_OPEN;
    if (x->reserved || x->decision_recorded || (x->unrecorded && open))
        return 0;
    if (ledger_reserve(f->env->ledger, 2) == 0) {
        x->reserved = 2;
        x->unrecorded = false;
        return 0;
    }
    counter_add(&f->env->counters, COUNTER_records_refused, 1);
    x->unrecorded = true;
    return open ? 0 : -1;
}

void record_decision(struct flow *f)
{
    struct exchange *x = f->x;
    if (x->decision_recorded || !x->decided)
        return;
    x->decision_recorded = true;
    if (x->reserved == 0)
        return;
    struct draft d = {0};
    bool blocked = x->verdict.action == VERDICT_BLOCK;
    add_common(&d, f, blocked ? OCSF_REFUSE : OCSF_OPEN, 'd');
    add_int(&d, "time", (int64_t)net_wall_ms(f->env->net));
    add_text(&d, "message", blocked ? reason_table[x->verdict.reason].text : "Let out");
    add_facts(&d, &x->facts);
    write(f, &d);
}

static void set_body_facts(struct exchange *x)
{
    if (x->whole && !x->connect)
        fact_set_int(&x->facts, FACT_request_body_bytes, (int64_t)x->body_bytes_out);
    if (x->facts.values[FACT_status].state == FACT_KNOWN)
        fact_set_int(&x->facts, FACT_response_body_bytes, (int64_t)x->body_bytes_in);
}

void record_close(struct flow *f)
{
    struct exchange *x = f->x;
    if (x->close_recorded)
        return;
    attribute_note(f);
    record_decision(f);
    x->close_recorded = true;
    judge_set_volume(f);
    set_body_facts(f->x);
    judge_close(f);
    if (x->reserved == 0 && record_reserve(f) != 0)
        return;
    if (x->reserved == 0)
        return;
    enum { STATUS_SUCCESS = 1, STATUS_FAILURE = 2 };
    struct draft d = {0};
    bool good = x->reason == REASON_COMPLETED;
    add_common(&d, f, close_activity(f), 'c');
    uint64_t now = net_wall_ms(f->env->net);
    add_int(&d, "time", (int64_t)now);
    add_int(&d, "end_time", (int64_t)now);
    add_int(&d, "status_id", good ? STATUS_SUCCESS : STATUS_FAILURE);
    add_text(&d, "status", good ? "Success" : "Failure");
    add_text(&d, "status_code", reason_table[x->reason].name);
    add_text(&d, "status_detail", x->detail);
    add_text(&d, "message", reason_table[x->reason].text);
    add_not_evaluable(&d, f);
    add_unseen(&d, f);
    add_timeline(&d, x);
    add_facts(&d, &x->facts);
    write(f, &d);
    if (x->reserved)
        ledger_release(f->env->ledger, x->reserved);
    x->reserved = 0;
}
