/* baseline.c: the decision. See baseline.h for its rules, baseline_model.h for the tables it walks. Called by flow/ at every
 * DECIDE; pure, allocates nothing. */
#include "rules/baseline.h"

#include "base/must.h"
#include "rules/baseline_model.h"

enum match { MATCH_NO, MATCH_YES, MATCH_HASH_PENDING, MATCH_HASH_OTHER, MATCH_SUSPENDED };

/* Three-valued: MAYBE needs an address. */
enum hold { HOLD_NO, HOLD_MAYBE, HOLD_YES };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What may follow an interpreter's name: nothing, or a version and whatever follows that. */
static bool is_version(const char *rest)
{
    return rest[0] == '\0' || is_digit(rest[0]) || ((rest[0] == '-' || rest[0] == '.') && is_digit(rest[1]));
}

bool baseline_is_interpreter(const char *executable)
{
    static const char *const names[] = {
#define INTERPRETER(name) name,
#include "rules/interpreters.def"
#undef INTERPRETER
    };
    const char *slash = strrchr(executable, '/');
    const char *base = slash ? slash + 1 : executable;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t len = strlen(names[i]);
        if (strncmp(base, names[i], len) == 0 && is_version(base + len))
            return true;
    }
    return false;
}

bool baseline_is_transfer_tool(const char *executable, const char *package)
{
    static const char *const tools[] = {
#define TOOL(name) name,
#include "rules/transfer_tools.def"
#undef TOOL
    };
    const char *slash = executable ? strrchr(executable, '/') : NULL;
    const char *base = slash ? slash + 1 : executable;
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if ((base && strcmp(base, tools[i]) == 0) || (package && strcmp(package, tools[i]) == 0))
            return true;
    return false;
}

struct sender_view baseline_view_sender(const struct sender *s, enum agent_confidence confidence)
{
    if (!s)
        return (struct sender_view){
            .confidence = confidence, .writable_by_user = true, .script_writable = true};
    return (struct sender_view){
        .confidence = confidence,
        .signature = s->who.signature_valid ? s->who.signer : NULL,
        .executable = s->executable,
        .package = s->package_verified == 0 ? NULL : s->package_name, /* 0: its bytes are not the package's */
        .user = s->user,
        .unit = s->unit,
        .script = s->script_kind == SENDER_SCRIPT_FILE ? s->script : NULL,
        .parent = s->parent_count && s->parents[0].writable_by_user == 0 ? s->parents[0].executable : NULL,
        .sha256 = s->sha256,
        .script_sha256 = s->script_sha256,
        .hash_state = s->hash_state,
        .interpreter = s->script_kind != SENDER_SCRIPT_NONE,
        .writable_by_user = s->writable_by_user != 0,
        .script_writable = s->script_writable_by_user != 0,
        .borrowed = s->who.borrowed,
    };
}

static const char *view_text(const struct sender_view *v, enum condition c)
{
    static const size_t offsets[] = {
#define X(id, field) offsetof(struct sender_view, field),
        BASELINE_CONDITIONS(X)
#undef X
    };
    const char *text;
    memcpy(&text, (const char *)v + offsets[c], sizeof text);
    return text;
}

static bool is_hash(enum condition c)
{
    return c == CONDITION_SHA256 || c == CONDITION_SCRIPT_SHA256;
}

/* The entry says which program or script it means beside the hash: one with another hash is that one, changed. An interpreter alone is
 * no such word: every other script would be. */
static bool is_named_without(const struct entry *e, enum condition hash)
{
    return e->conditions[CONDITION_SCRIPT] ||
           (hash == CONDITION_SHA256 &&
            (e->conditions[CONDITION_EXECUTABLE] || e->conditions[CONDITION_PACKAGE]));
}

static enum match match_texts(const struct entry *e, const struct sender_view *v)
{
    bool pending = false, other = false, named = true;
    for (enum condition c = 0; c < CONDITION_COUNT; c++) {
        if (!e->conditions[c])
            continue;
        const char *have = view_text(v, c);
        if (is_hash(c) && v->hash_state == SENDER_HASH_PENDING && (c == CONDITION_SHA256 || !have))
            pending = true;
        else if (c == CONDITION_SHA256 && v->hash_state != SENDER_HASH_DONE)
            return MATCH_NO;
        else if (have && is_hash(c) && strcmp(e->conditions[c], have) != 0) {
            other = true;
            named = named && is_named_without(e, c);
        } else if (!have || strcmp(e->conditions[c], have) != 0)
            return MATCH_NO;
    }
    if (other)
        return named ? MATCH_HASH_OTHER : MATCH_NO;
    return pending ? MATCH_HASH_PENDING : MATCH_YES;
}

static bool is_interpreter(const struct sender_view *v)
{
    return v->interpreter || (v->executable && baseline_is_interpreter(v->executable));
}

static bool has_role(const struct baseline_question *q, const char *role)
{
    for (size_t i = 0; i < q->role_count; i++)
        if (span_is(q->roles[i], role))
            return true;
    return false;
}

static enum match match_entry(const struct entry *e, const struct baseline_question *q)
{
    static const struct sender_view nobody = {
        .confidence = AGENT_CONFIDENCE_UNKNOWN, .writable_by_user = true, .script_writable = true};
    const struct sender_view *v = q->sender ? q->sender : &nobody;
    if (e->has_client && !ip_in(&q->client, &e->client))
        return MATCH_NO;
    if (e->proxy_user && (!q->proxy_user || strcmp(e->proxy_user, q->proxy_user) != 0))
        return MATCH_NO;
    if (e->role && !has_role(q, e->role))
        return MATCH_NO;
    if (!(e->confidences & 1u << v->confidence))
        return MATCH_NO;
    if (!e->by_process)
        return MATCH_YES;
    if (e->wants_fixed_path && v->writable_by_user)
        return MATCH_NO;
    if (e->wants_no_interpreter && is_interpreter(v))
        return MATCH_NO;
    if (e->wants_no_transfer_tool &&
        (baseline_is_transfer_tool(v->executable, v->package) || baseline_is_transfer_tool(v->script, NULL)))
        return MATCH_NO;
    if (e->conditions[CONDITION_SCRIPT] && !e->conditions[CONDITION_SCRIPT_SHA256] && v->script_writable)
        return MATCH_NO;
    enum match match = match_texts(e, v);
    bool suspended = e->names_program && (v->borrowed & ~e->borrowed) != 0;
    return match == MATCH_YES && suspended ? MATCH_SUSPENDED : match;
}

static bool port_holds(const struct destination *d, uint16_t port)
{
    for (size_t i = 0; i < d->port_count; i++)
        if (d->ports[i] == port)
            return true;
    return d->port_count == 0;
}

static bool name_holds(const struct destination *d, const struct host *h)
{
    switch (d->name) {
    case DESTINATION_ANY:
        return true;
    case DESTINATION_HOST:
        return host_equal(&d->host, h);
    case DESTINATION_DOMAIN:
        return host_is_within(h, d->host.name);
    case DESTINATION_UNNAMED:
        break;
    }
    return h->is_ip || d->resolve;
}

bool destination_holds_name(const struct destination *d, const struct host *host, uint16_t port)
{
    return port_holds(d, port) && name_holds(d, host);
}

static enum hold address_holds(const struct destination *d, const struct baseline_question *q)
{
    bool final = q->phase == BASELINE_ADDRESS;
    const struct ip *address = final && q->address.version ? &q->address
                               : q->host->is_ip            ? &q->host->ip
                                                           : NULL;
    bool asn_known = final || (address && q->asn != 0);
    if (d->has_network && address && !ip_in(address, &d->network))
        return HOLD_NO;
    if (d->asn && asn_known && q->asn != d->asn)
        return HOLD_NO;
    if ((d->has_network && !address) || (d->asn && !asn_known))
        return final ? HOLD_NO : HOLD_MAYBE;
    return HOLD_YES;
}

/* Some servers read %2e as a dot, %2f and a backslash as a slash, and "..;" as "..": what could lead elsewhere is nowhere. */
static bool is_plain_path(struct span path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = (char)path.data[i], next = i + 1 < path.len ? (char)path.data[i + 1] : '\0';
        if (c == '\\' || (c == '/' && (next == '.' || next == '/')))
            return false;
        if (c == '%' && (next == '0' || next == '2' || next == '5'))
            return false;
    }
    return path.len > 0 && path.data[0] == '/';
}

static bool path_holds(const struct destination *d, struct span path)
{
    size_t len = d->path ? strlen(d->path) : 0;
    if (!d->path || !path.data)
        return true;
    if (path.len < len || memcmp(path.data, d->path, len) != 0 || !is_plain_path(path))
        return false;
    return path.len == len || d->path[len - 1] == '/' || path.data[len] == '/';
}

static enum hold destination_holds(const struct destination *d, const struct baseline_question *q)
{
    if (!port_holds(d, q->port) || !name_holds(d, q->host) || !path_holds(d, q->path))
        return HOLD_NO;
    return address_holds(d, q);
}

/* Which filters an item that holds for the host can have: one bit each. */
struct filter_set {
    uint64_t bits[4];
};

static void filter_add(struct filter_set *set, uint8_t filter)
{
    set->bits[filter / 64] |= (uint64_t)1 << filter % 64;
}

static bool filter_has(const struct filter_set *set, uint8_t filter)
{
    return set->bits[filter / 64] >> filter % 64 & 1;
}

/* Those of the name and of each domain it is below. */
static struct filter_set host_filters(const struct host *h)
{
    struct filter_set set = {0};
    uint32_t hash = FILTER_START;
    filter_add(&set, FILTER_NONE);
    for (size_t i = h->len; i > 0; i--) {
        if (h->name[i - 1] == '.')
            filter_add(&set, filter_end(hash));
        hash = filter_step(hash, h->name[i - 1]);
    }
    filter_add(&set, filter_end(hash));
    return set;
}

/* Everything, or any name that lies in a network: who says that says nothing about which tenant of a place he means. */
static bool is_wide(const struct destination *d, const struct host *h)
{
    return d->name == DESTINATION_ANY || (d->name == DESTINATION_UNNAMED && !h->is_ip);
}

/* Fills in what the entry says about the destination. */
static void decide_destination(const struct baseline *b, const struct entry *e,
                               const struct baseline_question *q, struct verdict *v)
{
    struct filter_set filters = host_filters(q->host);
    v->reason = REASON_BASELINE_DESTINATION;
    for (size_t i = 0; i < e->allow.count; i++) {
        if (!filter_has(&filters, e->allow.filters[i]))
            continue;
        const struct destination *d = e->allow.items[i];
        enum hold hold = destination_holds(d, q);
        bool needs_path = d->path && !q->path.data, sure = hold == HOLD_YES && !needs_path;
        if (hold == HOLD_NO || (!sure && v->selector))
            continue; /* something else may be sure */
        if (is_wide(d, q->host) && destinations_find(b->kinds, q->host)) {
            v->reason = v->selector ? v->reason : REASON_MANY_TENANTS;
            continue;
        }
        v->reason = REASON_NONE;
        v->selector = d->text;
        v->selector_line = d->line;
        v->handling = d->handling ? d->handling : e->handling;
        v->client_certificate = d->client_certificate;
        v->needs_address = hold == HOLD_MAYBE;
        v->needs_path = needs_path;
        if (sure)
            return;
    }
}

static void decide_unlisted(const struct baseline *b, const struct baseline_question *q, struct verdict *v)
{
    v->reason = REASON_BASELINE_SENDER;
    if (q->sender && q->sender->confidence == AGENT_CONFIDENCE_EXACT)
        return;
    v->mode = b->unknown_mode;
    v->reason = b->unknown_allowed ? REASON_NONE : REASON_SENDER_UNKNOWN;
    v->entry = b->unknown_allowed ? "unknown_sender" : NULL;
    v->entry_line = b->unknown_allowed ? b->unknown_line : 0;
}

/* The entry that would decide, were it not for the borrowed identity; its mode holds for that, too. */
static void decide_suspended(const struct baseline *b, const struct entry *e,
                             const struct sender_view *sender, struct verdict *v)
{
    v->reason = REASON_SENDER_BORROWED;
    v->entry = e->name;
    v->entry_line = e->line;
    v->mode = e->has_mode ? e->mode : b->mode;
    v->borrowed = sender->borrowed & ~e->borrowed;
}

static void apply_mode(struct verdict *v)
{
    static const enum verdict_action actions[MODE_COUNT] = {VERDICT_ALLOW, VERDICT_ALERT, VERDICT_BLOCK};
    if (v->reason == REASON_NONE)
        return;
    v->action = actions[v->mode];
    v->would_block = v->mode == MODE_REPORT;
}

/* By how hard it is for somebody else to have it. */
static const char *strongest_selector(const struct entry *e)
{
    static const struct {
        enum condition condition;
        const char *name;
    } order[] = {
        {CONDITION_SIGNATURE, "signature"},
        {CONDITION_SHA256, "sha256"},
        {CONDITION_SCRIPT_SHA256, "script_sha256"},
        {CONDITION_PACKAGE, "package"},
        {CONDITION_UNIT, "unit"},
        {CONDITION_SCRIPT, "script"},
        {CONDITION_EXECUTABLE, "executable"},
        {CONDITION_USER, "user"},
    };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (e->conditions[order[i].condition])
            return order[i].name;
    return e->role ? "role" : e->proxy_user ? "proxy_user" : e->has_client ? "client" : "confidence";
}

/* The entry that decides, and what else was met on the way to it. */
struct search {
    const struct entry *found, *suspended;
    const struct entry *changed; /* is about this program, but another file */
    const struct entry *expired; /* an exception that would have let it out, before or after its time */
    bool pending;
};

/* An exception, or what merely adds, decides only what it lets out. */
static void look_at_addition(const struct baseline *b, const struct entry *e, enum match match,
                             const struct baseline_question *q, struct search *s)
{
    struct verdict v = {0};
    decide_destination(b, e, q, &v);
    if (match == MATCH_NO || v.reason != REASON_NONE)
        return;
    if (!term_holds(&e->term, q->now_s))
        s->expired = s->expired || match != MATCH_YES || q->now_s < e->term.granted_s ? s->expired : e;
    else if (match == MATCH_YES)
        s->found = e;
    else if (match == MATCH_HASH_PENDING)
        s->pending = true;
    else if (match == MATCH_HASH_OTHER)
        s->changed = s->changed ? s->changed : e;
    else if (!s->suspended)
        s->suspended = e;
}

static void look_at_entry(const struct baseline *b, const struct entry *e, const struct baseline_question *q,
                          struct search *s)
{
    enum match match = match_entry(e, q);
    if (e->term.ticket || e->adds) {
        look_at_addition(b, e, match, q, s);
        return;
    }
    s->pending = s->pending || match == MATCH_HASH_PENDING;
    if (match == MATCH_YES)
        s->found = e;
    else if (match == MATCH_HASH_OTHER && !s->changed)
        s->changed = e;
    else if (match == MATCH_SUSPENDED && !s->suspended)
        s->suspended = e;
}

static void name_entry(const struct entry *e, struct verdict *v)
{
    v->entry = e->name;
    v->entry_line = e->line;
    v->ticket = e->term.ticket;
    v->expires_s = e->term.expires_s;
}

void baseline_decide(const struct baseline *b, const struct baseline_question *q, struct verdict *ret)
{
    struct verdict v = {.action = VERDICT_ALLOW, .mode = b->mode, .reason = REASON_NONE};
    struct search s = {0};
    uint8_t filter = q->sender && q->sender->executable ? filter_of(q->sender->executable) : FILTER_NONE;
    for (size_t i = 0; i < b->entry_count && !s.found; i++)
        if (b->filters[i] == FILTER_NONE || b->filters[i] == filter)
            look_at_entry(b, &b->entries[i], q, &s);
    if (s.found) {
        name_entry(s.found, &v);
        v.entry_by = strongest_selector(s.found);
        v.mode = s.found->has_mode ? s.found->mode : b->mode;
        v.handling = s.found->handling;
        v.probe = s.found->probe;
        decide_destination(b, s.found, q, &v);
    } else if (s.suspended) {
        decide_suspended(b, s.suspended, q->sender, &v);
    } else if (s.changed) {
        v.reason = REASON_HASH_CHANGED;
        name_entry(s.changed, &v);
    } else {
        decide_unlisted(b, q, &v);
    }
    if (v.reason != REASON_NONE && s.expired) {
        v.reason = REASON_EXCEPTION_EXPIRED;
        name_entry(s.expired, &v);
    }
    if (s.pending && v.reason != REASON_NONE)
        v.reason = REASON_HASH_PENDING;
    apply_mode(&v);
    *ret = v;
}

unsigned baseline_terminate_line(const struct baseline *b)
{
    return b->terminate_line;
}

unsigned baseline_role_line(const struct baseline *b)
{
    return b->role_line;
}

unsigned baseline_asn_line(const struct baseline *b)
{
    return b->asn_line;
}

bool baseline_needs_hash(const struct baseline *b)
{
    return b->needs_hash;
}

enum verdict_mode baseline_mode(const struct baseline *b)
{
    return b->mode;
}
