/* proposal.c: see proposal.h. Pure. */
#include "rules/proposal.h"

#include "base/must.h"
#include "base/rfc3339.h"
#include "base/yaml.h"
#include "facts/domain.h"

#include <stdio.h>

static const double beacon_most = 0.8;

static bool is_interpreter(const struct proposal_pair *p)
{
    return p->interpreter || baseline_is_interpreter(p->executable);
}

static bool is_tool(const struct proposal_pair *p)
{
    return baseline_is_transfer_tool(p->executable, p->package) || baseline_is_transfer_tool(p->script, NULL);
}

/* What tells one run of an interpreter or tool from another. */
static bool has_narrow_identity(const struct proposal_pair *p)
{
    return p->unit[0] || p->script_sha256[0] || (p->script[0] && !p->script_writable);
}

static bool is_printable(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return true;
}

static bool is_shared(const struct proposal_pair *p, const struct proposal_options *options)
{
    struct host h;
    const struct destination_row *row =
        host_canonical_bare(span_str(p->host), &h) == HOST_OK ? destinations_find(options->kinds, &h) : NULL;
    return row && row->shared;
}

const char *proposal_objection(const struct proposal_pair *p, const struct proposal_options *options)
{
    if (!p->executable[0] || p->inexact > 0)
        return "the sender was not always known exactly";
    if (!is_printable(p->sender) || !is_printable(p->executable) || !is_printable(p->script) ||
        !is_printable(p->unit))
        return "its name holds characters that cannot be printed";
    if (p->borrowed > 0)
        return "its identity was borrowed (preload, tracer, loader, ...)";
    if (is_interpreter(p) && !has_narrow_identity(p))
        return "an interpreter or shell without a script that can be told apart";
    if (is_tool(p) && !p->unit[0] && !p->script_sha256[0])
        return "a transfer tool: it goes wherever it is told";
    if (p->writable && !p->sha256[0])
        return "its user can write the file, and no hash is known";
    if (p->hosts < options->min_hosts)
        return "too few hosts show it";
    if (p->count < options->min_count)
        return "seen too seldom";
    if (p->beacon >= beacon_most)
        return "it comes back like a beacon";
    if (p->anomalies > 0)
        return "with highly anomalous handshakes";
    if (is_shared(p, options))
        return "anybody can have a place there (policy.destinations): only a path of it can be approved";
    return NULL;
}

/* ---- writing ---- */

void proposal_write_comment(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++)
        buf_append(out, (unsigned char)*c < 0x20 || *c == 0x7f ? "?" : c, 1);
}

void proposal_write_objection(struct buf *out, const char *what, const struct proposal_pair *p,
                              const char *why)
{
    buf_printf(out, "  # not proposed: %s", what);
    proposal_write_comment(out, p->sender);
    buf_append_str(out, " -> ");
    proposal_write_comment(out, p->host);
    buf_printf(out, ":%u: %s\n", p->port, why);
}

static void write_selector(struct buf *out, const char *key, const char *value, bool *first)
{
    if (!value[0])
        return;
    buf_printf(out, "%s%s: ", *first ? "" : ", ", key);
    yaml_write_text(out, value);
    *first = false;
}

/* Package over path, path over hash; with the script or the unit where that is what tells it apart. */
static void write_match(struct buf *out, const struct proposal_pair *p)
{
    bool first = true, narrow = is_interpreter(p) || is_tool(p);
    buf_append_str(out, "    match: {");
    if (p->writable)
        write_selector(out, "sha256", p->sha256, &first);
    else if (p->package[0] && !narrow)
        write_selector(out, "package", p->package, &first);
    else
        write_selector(out, "executable", p->executable, &first);
    if (narrow && p->unit[0])
        write_selector(out, "unit", p->unit, &first);
    else if (narrow && p->script[0] && !p->script_writable && !is_tool(p))
        write_selector(out, "script", p->script, &first);
    else if (narrow)
        write_selector(out, "script_sha256", p->script_sha256, &first);
    buf_append_str(out, "}\n");
}

static void write_seen(struct buf *out, const struct proposal_pair *p)
{
    char first[RFC3339_TEXT_BYTES], last[RFC3339_TEXT_BYTES];
    buf_printf(out, "%llu times, %u hosts, %u users, %.10s to %.10s", (unsigned long long)p->count, p->hosts,
               p->users, rfc3339_format(p->first_ms / 1000, first), rfc3339_format(p->last_ms / 1000, last));
    if (p->rules > 0)
        buf_printf(out, ", %llu matches of rules", (unsigned long long)p->rules);
    buf_append_str(out, "\n");
}

static struct span domain_of(const struct proposal_pair *p, struct host *h)
{
    return host_canonical_bare(span_str(p->host), h) == HOST_OK && !h->is_ip ? domain_registrable(h)
                                                                             : (struct span){NULL, 0};
}

static bool same_domain(const struct proposal_pair *a, const struct proposal_pair *b)
{
    struct host x, y;
    struct span dx = domain_of(a, &x), dy = domain_of(b, &y);
    return dx.len > 0 && dx.len == dy.len && memcmp(dx.data, dy.data, dx.len) == 0;
}

/* Hosts of the group below the same domain as `p`, at the same port. */
static unsigned count_below(const struct proposal_pair *group, size_t count, const struct proposal_pair *p,
                            const struct proposal_options *options, bool *ret_first)
{
    unsigned below = 0;
    *ret_first = false;
    for (size_t i = 0; i < count; i++) {
        if (group[i].port != p->port || proposal_objection(&group[i], options) || !same_domain(&group[i], p))
            continue;
        *ret_first |= below == 0 && &group[i] == p;
        below++;
    }
    return below;
}

/* Below it anybody can have a place: host by host, then. */
static bool holds_places(struct span domain, const struct proposal_options *options)
{
    struct host h;
    return host_canonical_bare(domain, &h) == HOST_OK && destinations_find_within(options->kinds, &h);
}

static void write_destination(struct buf *out, const struct proposal_pair *group, size_t count,
                              const struct proposal_pair *p, const struct proposal_options *options,
                              struct proposal_stats *stats)
{
    struct host h;
    bool first = false, wide = !is_interpreter(p) && !is_tool(p);
    unsigned below = wide ? count_below(group, count, p, options, &first) : 0;
    struct span domain = domain_of(p, &h);
    if (below >= options->min_subdomains && !holds_places(domain, options)) {
        if (!first)
            return; /* its domain stands there already */
        buf_printf(out, "      - {domain: \"%.*s\", ports: [%u]} # %u hosts below it; one: ", (int)domain.len,
                   (const char *)domain.data, p->port, below);
    } else {
        buf_append_str(out, "      - {host: ");
        yaml_write_text(out, p->host);
        buf_printf(out, ", ports: [%u]} # ", p->port);
    }
    write_seen(out, p);
    stats->destinations++;
}

const char *proposal_known_by(const struct proposal_pair *p, const struct baseline *baseline)
{
    struct sender_view s = {.confidence = AGENT_CONFIDENCE_EXACT,
                            .executable = p->executable,
                            .package = p->package[0] ? p->package : NULL,
                            .unit = p->unit[0] ? p->unit : NULL,
                            .script = p->script[0] ? p->script : NULL,
                            .sha256 = p->sha256[0] ? p->sha256 : NULL,
                            .script_sha256 = p->script_sha256[0] ? p->script_sha256 : NULL,
                            .hash_state = p->sha256[0] ? SENDER_HASH_DONE : SENDER_HASH_PENDING,
                            .interpreter = p->interpreter,
                            .writable_by_user = p->writable,
                            .script_writable = p->script_writable};
    struct host h;
    struct verdict v;
    if (!baseline || host_canonical_bare(span_str(p->host), &h) != HOST_OK)
        return NULL;
    struct baseline_question q = {.sender = &s, .host = &h, .port = p->port, .phase = BASELINE_CONNECT};
    baseline_decide(baseline, &q, &v);
    return v.reason == REASON_NONE ? v.entry : NULL;
}

static void write_group(struct buf *out, const struct proposal_pair *group, size_t count,
                        const struct proposal_options *options, struct proposal_stats *stats)
{
    bool begun = false;
    for (size_t i = 0; i < count; i++) {
        const struct proposal_pair *p = &group[i];
        const char *why = proposal_objection(p, options);
        if (proposal_known_by(p, options->baseline)) {
            stats->known++;
            continue;
        }
        if (why) {
            proposal_write_objection(out, "", p, why);
            stats->left_out++;
            continue;
        }
        if (!begun) {
            buf_append_str(out, "  - name: ");
            yaml_write_text(out, p->sender);
            buf_append_str(out, "\n    owner: unassigned\n    purpose: \"proposed from what was learned\"\n");
            write_match(out, p);
            buf_append_str(out, "    allow:\n");
            begun = true;
            stats->entries++;
        }
        write_destination(out, group, count, p, options, stats);
    }
}

int proposal_write(struct buf *out, const struct proposal_pair *pairs, size_t count,
                   const struct proposal_options *options, struct proposal_stats *ret)
{
    struct proposal_stats stats = {0};
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && strcmp(pairs[to].sender, pairs[from].sender) == 0;)
            to++;
        write_group(out, pairs + from, to - from, options, &stats);
    }
    *ret = stats;
    return out->failed ? -1 : 0;
}
