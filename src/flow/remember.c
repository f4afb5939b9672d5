/* remember.c: see remember.h. Facts come from memory alone (flow/sightings.c, pairs.c, habits.c). What is rare or new is unknown until there
 * is enough history to tell. Only exchanges that were let out and answered leave a mark; bytes that left count whatever came of them. */
#include "flow/flow.h"

#include "facts/domain.h"
#include "facts/ja4_known.h"
#include "facts/stable_sender.h"
#include "flow/kinds.h"

#include <stdio.h>
#include <stdlib.h>

enum { DAY_S = 86400, USER_BYTES = 64, HOST_BYTES = 72 };

static int64_t now_s(const struct flow *f)
{
    return (int64_t)(net_wall_ms(f->env->net) / 1000);
}

static void set_unknown(struct facts *facts, enum fact which)
{
    facts->values[which].state = FACT_UNOBSERVABLE;
}

/* ---- who ---- */

/* The host that asks: this one, whether an agent named it or not; another by what its agent calls it, or by its address. */
static void write_host(const struct flow *f, char out[HOST_BYTES])
{
    const struct ip *ip = &f->client_endpoint.ip;
    const char *range = ip_special_range(ip);
    bool here = range && strcmp(range, "loopback") == 0;
    for (size_t i = 0; i < f->snapshot->own_count && !here; i++)
        here = ip_equal(ip, &f->snapshot->own_addresses[i]);
    if (here)
        snprintf(out, HOST_BYTES, "local");
    else if (f->attribution.host[0])
        snprintf(out, HOST_BYTES, "%s", f->attribution.host);
    else
        ip_format(ip, out);
}

static void write_user(const struct flow *f, char out[USER_BYTES])
{
    const struct sender *s = f->attribution.sender;
    if (s && s->user)
        snprintf(out, USER_BYTES, "%s", s->user);
    else if (s && s->uid >= 0)
        snprintf(out, USER_BYTES, "uid %lld", (long long)s->uid);
    else
        snprintf(out, USER_BYTES, "%s", f->x->user ? f->x->user : "");
}

static struct remembered *make(struct flow *f)
{
    char user[USER_BYTES], host[HOST_BYTES], sender[STABLE_SENDER_BYTES];
    struct span domain = domain_registrable(&f->x->host);
    write_user(f, user);
    write_host(f, host);
    stable_sender_name(f->attribution.sender, sender);
    size_t size = strlen(user) + strlen(host) + strlen(sender) + domain.len + 4;
    struct remembered *r = calloc(1, sizeof *r + size);
    if (!r)
        return NULL;
    r->len =
        (uint16_t)snprintf(r->pair, size, "%s\n%s\n%s\n%s", user, host, sender, (const char *)domain.data);
    r->host_at = (uint16_t)(strlen(user) + 1);
    r->sender_at = (uint16_t)(r->host_at + strlen(host) + 1);
    r->domain_at = (uint16_t)(r->sender_at + strlen(sender) + 1);
    r->by.host = sightings_hash(f->env->sightings, span_str(host));
    r->by.user = user[0] ? sightings_hash(f->env->sightings, span_str(user)) : 0;
    r->by.sender = f->attribution.sender ? sightings_hash(f->env->sightings, span_str(sender)) : 0;
    return r;
}

static struct span part(const struct remembered *r, unsigned from, unsigned to)
{
    return span_of(r->pair + from, to - from);
}

static struct span pair_of(const struct remembered *r)
{
    return part(r, 0, r->len);
}

static struct span own_of(const struct remembered *r)
{
    return part(r, r->host_at, r->domain_at - 1U);
}

static struct span sender_of(const struct remembered *r)
{
    return part(r, r->sender_at, r->domain_at - 1U);
}

static struct span domain_of(const struct remembered *r)
{
    return part(r, r->domain_at, r->len);
}

/* "sender\nJA4" and its like; cut where it is too long, which both sides do alike. */
static struct span with_sender(const struct remembered *r, struct span what, char out[1024])
{
    struct span sender = sender_of(r);
    int len = snprintf(out, 1024, "%.*s\n%.*s", (int)sender.len, (const char *)sender.data, (int)what.len,
                       (const char *)what.data);
    return span_of(out, len < 1024 ? (size_t)len : 1023);
}

/* ---- whether it is rare ---- */

/* How much history there is decides what can be said. */
struct history {
    bool days, hosts; /* enough of them */
};

static struct history set_known(struct flow *f)
{
    struct sighting all;
    const struct conf *c = flow_conf(f);
    sightings_look(f->env->sightings, SIGHTING_HISTORY, span_str("all"), NULL, now_s(f), &all);
    int64_t days = all.known ? (now_s(f) - all.first_s) / DAY_S : 0;
    fact_set_int(&f->x->facts, FACT_known_days, days);
    fact_set_int(&f->x->facts, FACT_known_hosts, all.hosts);
    return (struct history){days >= c->history.min_days,
                            days >= c->history.min_days && all.hosts >= c->history.min_hosts};
}

static struct history history_of(const struct facts *facts, const struct conf *c)
{
    const struct fact_value *days = &facts->values[FACT_known_days],
                            *hosts = &facts->values[FACT_known_hosts];
    bool enough = days->state == FACT_KNOWN && days->as.integer >= c->history.min_days;
    return (struct history){enough, enough && hosts->as.integer >= c->history.min_hosts};
}

static void set_count(struct facts *facts, enum fact which, bool can_tell, int64_t value)
{
    if (can_tell)
        fact_set_int(facts, which, value);
    else
        set_unknown(facts, which);
}

static void set_flag(struct facts *facts, enum fact which, bool can_tell, bool value)
{
    if (can_tell)
        fact_set_bool(facts, which, value);
    else
        set_unknown(facts, which);
}

static int64_t days_since(int64_t then_s, int64_t now)
{
    return now > then_s ? (now - then_s) / DAY_S : 0;
}

static void set_rarity(struct flow *f, struct facts *facts, enum sighting_kind kind, struct span name,
                       enum fact first_seen, enum fact hosts)
{
    struct sighting seen;
    struct history history = history_of(facts, flow_conf(f));
    sightings_look(f->env->sightings, kind, name, NULL, now_s(f), &seen);
    set_count(facts, first_seen, history.days, seen.known ? days_since(seen.first_s, now_s(f)) : 0);
    set_count(facts, hosts, history.hosts, seen.hosts);
}

static void set_destination(struct flow *f, struct history history)
{
    struct facts *facts = &f->x->facts;
    const struct remembered *r = f->x->remembered;
    struct sighting seen, by_sender;
    char text[1024];
    int64_t now = now_s(f);
    sightings_look(f->env->sightings, SIGHTING_DOMAIN, domain_of(r), &r->by, now, &seen);
    sightings_look(f->env->sightings, SIGHTING_SENDER_DOMAIN, with_sender(r, domain_of(r), text), NULL, now,
                   &by_sender);
    set_count(facts, FACT_dest_first_seen_days, history.days, seen.known ? days_since(seen.first_s, now) : 0);
    if (seen.known)
        set_count(facts, FACT_dest_last_seen_days, history.days, days_since(seen.last_s, now));
    set_count(facts, FACT_dest_senders, history.days, seen.senders);
    set_count(facts, FACT_dest_hosts, history.hosts, seen.hosts);
    set_count(facts, FACT_dest_users, history.days, seen.users);
    set_flag(facts, FACT_dest_new_for_sender, history.days && r->by.sender, !by_sender.known);
    set_count(facts, FACT_dest_sender_hosts, r->by.sender, by_sender.hosts);
    set_flag(facts, FACT_dest_new_for_host, history.days, !seen.by_host);
    set_flag(facts, FACT_dest_new_for_user, history.days && r->by.user, !seen.by_user);
}

static void set_popularity(struct flow *f)
{
    const struct popularity *list = f->snapshot->popularity;
    uint32_t rank = list ? popularity_rank(list, domain_of(f->x->remembered)) : 0;
    if (!list)
        set_unknown(&f->x->facts, FACT_dest_popularity);
    else if (rank > 0)
        fact_set_int(&f->x->facts, FACT_dest_popularity, rank);
}

/* ---- what the pair did ---- */

static void set_volumes(struct facts *facts, const struct pair_view *v)
{
    static const enum fact out[VOLUME_WINDOW_COUNT] = {
        [VOLUME_HOUR] = FACT_volume_out_1h,
        [VOLUME_DAY] = FACT_volume_out_24h,
        [VOLUME_MONTH] = FACT_volume_out_30d,
    };
    for (int w = 0; w < VOLUME_WINDOW_COUNT; w++)
        fact_set_int(facts, out[w], (int64_t)v->sums[w].out);
    fact_set_int(facts, FACT_volume_in_24h, (int64_t)v->sums[VOLUME_DAY].in);
    fact_set_real(facts, FACT_volume_ratio_24h,
                  volume_ratio(v->sums[VOLUME_DAY].out, v->sums[VOLUME_DAY].in));
}

static void set_pair(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    struct pair_view v;
    pairs_look(f->env->pairs, pair_of(f->x->remembered), true, (int64_t)net_wall_ms(f->env->net), &v);
    set_volumes(facts, &v);
    fact_set_int(facts, FACT_dest_names, v.names);
    if (!v.has_rhythm)
        return;
    fact_set_real(facts, FACT_beacon_score, v.rhythm.score);
    fact_set_real(facts, FACT_beacon_interval_s, v.rhythm.interval_s);
    fact_set_int(facts, FACT_beacon_flows, v.flows);
}

static void set_habit(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    struct remembered *r = f->x->remembered;
    struct habit_view v;
    habits_look(f->env->habits, own_of(r), sender_of(r), &v);
    if (!v.known)
        return;
    r->p99_bytes = v.p99_bytes ? v.p99_bytes : 1;
    r->ratio_mean = v.ratio_mean;
    fact_set_int(facts, FACT_habit_p99_bytes, (int64_t)v.p99_bytes);
    fact_set_text(facts, FACT_habit_of, v.of_peers ? "peers" : "own");
}

static void set_approval(struct flow *f)
{
    const struct verdict *v = &f->x->verdict;
    bool approved = v->entry && v->selector && v->reason == REASON_NONE;
    fact_set_bool(&f->x->facts, FACT_sender_approved, approved);
    if (approved)
        fact_set_text(&f->x->facts, FACT_sender_approved_by, v->entry_by);
}

static void set_kind(struct flow *f)
{
    const struct destination_row *row = destinations_find(f->snapshot->kinds, &f->x->host);
    char *kind = row ? arena_strdup(&f->x->arena, row->kind) : NULL; /* the record may outlive the policy */
    if (kind)
        fact_set_text(&f->x->facts, FACT_dest_kind, kind);
}

/* ---- its file ---- */

/* Under what the hashes of its file are kept: the sender, which a package's update doesn't change; where users can write the file, the file on its
 * host. */
static struct span program_of(const struct flow *f, char out[1024])
{
    const struct remembered *r = f->x->remembered;
    const struct sender *s = f->attribution.sender;
    struct span name = sender_of(r), host = part(r, r->host_at, r->sender_at - 1U);
    bool own = name.len > 5 && (memcmp(name.data, "packa", 5) == 0 || memcmp(name.data, "path ", 5) == 0);
    int len = own ? snprintf(out, 1024, "%.*s", (int)name.len, (const char *)name.data)
                  : snprintf(out, 1024, "file %.*s %s", (int)host.len, (const char *)host.data,
                             s->executable ? s->executable : "?");
    return span_of(out, len < 1024 ? (size_t)len : 1023);
}

static const char *hash_of(const struct flow *f)
{
    const struct sender *s = f->attribution.sender;
    return s && s->hash_state == SENDER_HASH_DONE && f->attribution.confidence == AGENT_CONFIDENCE_EXACT
               ? s->sha256
               : NULL;
}

static struct span program_and_hash(struct span program, const char *hash, char out[1152])
{
    int len = snprintf(out, 1152, "%.*s\n%s", (int)program.len, (const char *)program.data, hash);
    return span_of(out, (size_t)len);
}

static void set_hash(struct flow *f)
{
    char text[1024], both[1152];
    struct sighting program, with_hash;
    const char *hash = hash_of(f);
    if (!hash) {
        set_unknown(&f->x->facts, FACT_sender_hash_new);
        return;
    }
    struct span name = program_of(f, text);
    sightings_look(f->env->sightings, SIGHTING_PROGRAM, name, NULL, now_s(f), &program);
    sightings_look(f->env->sightings, SIGHTING_PROGRAM_HASH, program_and_hash(name, hash, both), NULL,
                   now_s(f), &with_hash);
    fact_set_bool(&f->x->facts, FACT_sender_hash_new, program.known && !with_hash.known);
}

void remember_connect(struct flow *f)
{
    struct exchange *x = f->x;
    set_kind(f);
    free(x->remembered);
    x->remembered = make(f);
    set_approval(f);
    kinds_set_destination(f);
    if (!x->remembered)
        return;
    const struct remembered *r = x->remembered;
    if (f->attribution.sender)
        fact_set_span(&x->facts, FACT_sender_stable, sender_of(r));
    fact_set_span(&x->facts, FACT_dest_domain, domain_of(r));
    set_destination(f, set_known(f));
    set_popularity(f);
    set_pair(f);
    set_habit(f);
    set_hash(f);
}

/* ---- later ---- */

void remember_address(struct flow *f, struct facts *facts, const struct ip *ip, uint32_t asn)
{
    char text[IP_TEXT_BYTES];
    set_rarity(f, facts, SIGHTING_ADDRESS, span_str(ip_format(ip, text)), FACT_address_first_seen_days,
               FACT_address_hosts);
    if (asn == 0)
        return;
    snprintf(text, sizeof text, "%u", asn);
    set_rarity(f, facts, SIGHTING_ASN, span_str(text), FACT_asn_first_seen_days, FACT_asn_hosts);
}

static struct span text_of(const struct facts *facts, enum fact which)
{
    const struct fact_value *v = &facts->values[which];
    return span_of(v->as.text, v->state == FACT_KNOWN ? v->count : 0);
}

/* What the sender is, is known from its agent; what its hello is like, from a table. */
static void set_contradiction(struct facts *facts, struct span ja4)
{
    const struct ja4_known *known = ja4_known_find(ja4);
    const struct fact_value *browser = &facts->values[FACT_sender_is_browser],
                            *alpn = &facts->values[FACT_alpn];
    bool h2 = false;
    if (known)
        fact_set_text(facts, FACT_ja4_application, known->name);
    if (browser->state != FACT_KNOWN)
        return;
    for (uint32_t i = 0; alpn->state == FACT_KNOWN && i < alpn->count; i++)
        h2 = h2 || span_is(alpn->as.items[i], "h2");
    fact_set_bool(facts, FACT_ja4_contradicts_sender,
                  ja4_contradicts(known, browser->as.integer != 0,
                                  facts->values[FACT_hello_grease].as.integer != 0, h2));
}

void remember_hello(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    const struct remembered *r = f->x->remembered;
    struct history history = history_of(facts, flow_conf(f));
    struct span ja4 = text_of(facts, FACT_ja4);
    struct sighting seen, by_sender;
    char text[1024];
    if (ja4.len == 0 || !r)
        return;
    set_contradiction(facts, ja4);
    set_rarity(f, facts, SIGHTING_JA4, ja4, FACT_ja4_first_seen_days, FACT_ja4_hosts);
    sightings_look(f->env->sightings, SIGHTING_JA4, ja4, NULL, now_s(f), &seen);
    set_count(facts, FACT_ja4_senders, history.days, seen.senders);
    sightings_look(f->env->sightings, SIGHTING_SENDER_JA4, with_sender(r, ja4, text), NULL, now_s(f),
                   &by_sender);
    set_flag(facts, FACT_ja4_new_for_sender, history.days && r->by.sender, !by_sender.known);
}

void remember_chain(struct flow *f)
{
    struct span issuer = text_of(&f->x->facts, FACT_chain_issuer);
    if (issuer.len > 0)
        set_rarity(f, &f->x->facts, SIGHTING_ISSUER, issuer, FACT_issuer_first_seen_days, FACT_issuer_hosts);
}

void remember_moved(struct flow *f)
{
    struct exchange *x = f->x;
    struct remembered *r = x->remembered;
    uint64_t out = x->bytes_out + relay_bytes_out(f), in = x->bytes_in + relay_bytes_in(f);
    struct pair_view v;
    const struct fact_value *archive = &x->facts.values[FACT_history_archive_bytes];
    fact_set_real(&x->facts, FACT_ratio, volume_ratio(out, in));
    if (archive->state == FACT_KNOWN)
        fact_set_real(&x->facts, FACT_upload_to_archive, (double)out / (double)archive->as.integer);
    if (!r)
        return;
    if (out > r->added_out || in > r->added_in) {
        pairs_add(f->env->pairs, pair_of(r), out > r->added_out ? out - r->added_out : 0,
                  in > r->added_in ? in - r->added_in : 0, now_s(f));
        r->added_out = out;
        r->added_in = in;
    }
    pairs_look(f->env->pairs, pair_of(r), false, (int64_t)net_wall_ms(f->env->net), &v);
    set_volumes(&x->facts, &v);
    if (r->p99_bytes == 0)
        return;
    fact_set_real(&x->facts, FACT_ratio_shift, volume_ratio(out, in) - r->ratio_mean);
    fact_set_real(&x->facts, FACT_upload_to_p99, (double)out / (double)r->p99_bytes);
}

static void note(struct flow *f, enum sighting_kind kind, struct span name)
{
    if (name.len > 0)
        sightings_note(f->env->sightings, kind, name, &f->x->remembered->by, span_of(NULL, 0), now_s(f),
                       NULL);
}

static void note_hash(struct flow *f)
{
    char text[1024], both[1152];
    const char *hash = hash_of(f);
    if (!hash)
        return;
    struct span name = program_of(f, text);
    note(f, SIGHTING_PROGRAM, name);
    note(f, SIGHTING_PROGRAM_HASH, program_and_hash(name, hash, both));
}

/* By name or address, and by what TLS showed. */
static void note_destination(struct flow *f)
{
    struct exchange *x = f->x;
    const struct remembered *r = x->remembered;
    char text[1024];
    note(f, SIGHTING_DOMAIN, domain_of(r));
    note(f, SIGHTING_SENDER_DOMAIN, with_sender(r, domain_of(r), text));
    if (x->server_ip.version)
        note(f, SIGHTING_ADDRESS, span_str(ip_format(&x->server_ip, text)));
    if (x->facts.values[FACT_server_asn].state == FACT_KNOWN) {
        snprintf(text, sizeof text, "%lld", (long long)x->facts.values[FACT_server_asn].as.integer);
        note(f, SIGHTING_ASN, span_str(text));
    }
    struct span ja4 = text_of(&x->facts, FACT_ja4);
    note(f, SIGHTING_JA4, ja4);
    if (ja4.len > 0)
        note(f, SIGHTING_SENDER_JA4, with_sender(r, ja4, text));
    note(f, SIGHTING_ISSUER, text_of(&x->facts, FACT_chain_issuer));
}

void remember_end(struct flow *f)
{
    struct exchange *x = f->x;
    const struct remembered *r = x->remembered;
    uint64_t out = x->bytes_out + relay_bytes_out(f), in = x->bytes_in + relay_bytes_in(f);
    bool let_out = x->decided && x->decision_recorded && x->verdict.action != VERDICT_BLOCK;
    if (!r || !let_out || in == 0)
        return;
    note(f, SIGHTING_HISTORY, span_str("all"));
    note_destination(f);
    note_hash(f);
    pairs_end(f->env->pairs, pair_of(r), (int64_t)x->begun_wall_ms, out, span_str(x->host.name), now_s(f));
    if (f->attribution.sender)
        habits_add(f->env->habits, own_of(r), sender_of(r), out, in, now_s(f));
}
