/* pin.c: see pin.h. Pure. */
#include <jansson.h>

#include "rules/pin.h"

#include "base/json.h"
#include "base/rfc3339.h"
#include "base/yaml.h"

#include <stdio.h>

/* ---- as bytes ---- */

int pin_write(struct buf *out, const struct pin *p)
{
    struct json j;
    json_init(&j, out);
    json_write_object(&j, NULL);
    json_str(&j, "sender", p->sender);
    json_str(&j, "executable", p->executable);
    json_str(&j, "package", p->package);
    json_str(&j, "sha256", p->sha256);
    json_str(&j, "host", p->host);
    json_str(&j, "why", p->why);
    json_bool(&j, "writable", p->writable);
    json_int(&j, "port", p->port);
    json_int(&j, "alerts", p->alerts);
    json_int(&j, "closes", p->closes);
    json_end_object(&j);
    return out->failed ? -1 : 0;
}

static bool read_text(const json_t *o, const char *key, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(o, key));
    if (!text || strlen(text) >= size)
        return false;
    snprintf(ret, size, "%s", text);
    return true;
}

static bool read_number(const json_t *o, const char *key, int64_t most, int64_t *ret)
{
    *ret = (int64_t)json_integer_value(json_object_get(o, key));
    return *ret >= 0 && *ret <= most;
}

static bool read_members(const json_t *o, struct pin *p)
{
    int64_t port, alerts, closes;
    if (!read_text(o, "sender", p->sender, sizeof p->sender) ||
        !read_text(o, "executable", p->executable, sizeof p->executable) ||
        !read_text(o, "package", p->package, sizeof p->package) ||
        !read_text(o, "sha256", p->sha256, sizeof p->sha256) ||
        !read_text(o, "host", p->host, sizeof p->host) || !read_text(o, "why", p->why, sizeof p->why) ||
        !read_number(o, "port", UINT16_MAX, &port) || !read_number(o, "alerts", UINT32_MAX, &alerts) ||
        !read_number(o, "closes", UINT32_MAX, &closes))
        return false;
    p->writable = !json_is_false(json_object_get(o, "writable"));
    p->port = (uint16_t)port;
    p->alerts = (uint32_t)alerts;
    p->closes = (uint32_t)closes;
    return p->executable[0] == '/' && p->host[0];
}

enum parse pin_read(struct span text, struct pin *ret)
{
    struct pin p = {0};
    json_t *o = text.len && text.len <= PIN_STATE_MAX_BYTES
                    ? json_loadb((const char *)text.data, text.len, 0, NULL)
                    : NULL;
    bool good = json_is_object(o) && read_members(o, &p);
    json_decref(o);
    if (!good)
        return PARSE_BAD;
    *ret = p;
    return PARSE_OK;
}

/* ---- as a proposal ---- */

static struct proposal_pair pair_of(const struct pin *p, const struct pin_seen *seen)
{
    return (struct proposal_pair){.sender = p->sender,
                                  .executable = p->executable,
                                  .package = p->package,
                                  .unit = "",
                                  .script = "",
                                  .sha256 = p->sha256,
                                  .script_sha256 = "",
                                  .host = p->host,
                                  .writable = p->writable,
                                  .port = p->port,
                                  .first_ms = seen->first_s * 1000,
                                  .last_ms = seen->last_s * 1000,
                                  .count = seen->count,
                                  .hosts = 1};
}

/* What the baseline does with it today. */
static void decide(const struct pin *p, const struct host *h, const struct proposal_options *options,
                   int64_t now_s, struct verdict *ret)
{
    struct sender_view s = {.confidence = AGENT_CONFIDENCE_EXACT,
                            .executable = p->executable,
                            .package = p->package[0] ? p->package : NULL,
                            .sha256 = p->sha256[0] ? p->sha256 : NULL,
                            .hash_state = p->sha256[0] ? SENDER_HASH_DONE : SENDER_HASH_PENDING,
                            .writable_by_user = p->writable};
    struct baseline_question q = {
        .sender = &s, .host = h, .port = p->port, .phase = BASELINE_CONNECT, .now_s = now_s};
    baseline_decide(options->baseline, &q, ret);
}

static void write_line(struct buf *out, const char *before, const char *key, const char *value,
                       const char *behind)
{
    buf_printf(out, "%s%s: ", before, key);
    yaml_write_text(out, value);
    buf_append_str(out, behind);
}

static void write_seen(struct buf *out, const struct pin *p, const struct pin_seen *seen)
{
    char first[RFC3339_TEXT_BYTES], last[RFC3339_TEXT_BYTES];
    buf_printf(out, "%llu times (%u alerts, last %s; %u without a word), %s to %s\n",
               (unsigned long long)seen->count, p->alerts, p->why, p->closes,
               rfc3339_format(seen->first_s, first), rfc3339_format(seen->last_s, last));
}

static void write_entry(struct buf *out, const struct pin *p, const struct pin_seen *seen,
                        const char *decided_by)
{
    char name[600];
    snprintf(name, sizeof name, "pin %s -> %s", p->sender, p->host);
    write_line(out, "  - ", "name", name, "\n");
    buf_append_str(out, "    owner: unassigned\n    purpose: \"it does not accept the inspection CA there\"\n"
                        "    adds: true # it decides what it allows, and no more");
    if (decided_by) {
        buf_append_str(out, "; without it: ");
        proposal_write_comment(out, decided_by);
    }
    const char *key = p->writable ? "sha256" : p->package[0] ? "package" : "executable";
    const char *value = p->writable ? p->sha256 : p->package[0] ? p->package : p->executable;
    write_line(out, "\n    match: {", key, value, "");
    if (!p->writable && p->package[0])
        write_line(out, ", ", "executable", p->executable, ""); /* one program of it has a pin */
    buf_append_str(out, "}\n    handling: peek\n    allow:\n");
    write_line(out, "      - {", "host", p->host, ", ");
    buf_printf(out, "ports: [%u]} # ", p->port);
    write_seen(out, p, seen);
}

/* How often and on how many hosts it was seen doesn't matter here: that it doesn't want us was seen often enough. */
static const char *object(const struct pin *p, const struct proposal_pair *pair, const struct verdict *v,
                          const struct proposal_options *options)
{
    struct proposal_options lax = *options;
    lax.min_hosts = 1;
    lax.min_count = 1;
    const char *why = proposal_objection(pair, &lax);
    if (!why && v->reason != REASON_NONE)
        why = "the baseline does not let it out there";
    if (!why && p->port == 0)
        why = "the port is not known";
    return why;
}

int pin_propose(struct buf *out, const struct pin *p, const struct pin_seen *seen,
                const struct proposal_options *options, int64_t now_s, struct proposal_stats *stats)
{
    struct host h;
    struct verdict v;
    if (!pin_is_learned(p) || now_s - seen->last_s >= PIN_LIFE_S ||
        host_canonical_bare(span_str(p->host), &h) != HOST_OK)
        return 0;
    decide(p, &h, options, now_s, &v);
    if (v.reason == REASON_NONE && (v.handling == HANDLING_PEEK || v.handling == HANDLING_TUNNEL)) {
        stats->known++;
        return 0;
    }
    struct proposal_pair pair = pair_of(p, seen);
    const char *why = object(p, &pair, &v, options);
    if (why) {
        proposal_write_objection(out, "pin ", &pair, why);
        stats->left_out++;
    } else {
        write_entry(out, p, seen, v.entry);
        stats->entries++;
        stats->destinations++;
    }
    return out->failed ? -1 : 0;
}
