/* chain_past.c: a chain beside those that were seen before: of this destination (P14), this key (P13), this issuer (P15); and whether a
 * session that is taken up was ever seen to begin (H28). What was seen leaves its mark in flow/sightings.h, certificates go to store/.
 * Called by peek.c and at an exchange's end; touches the shared tables and store/'s queue. */
#include "flow/flow.h"

#include "base/hex.h"
#include "base/must.h"
#include "facts/stable_sender.h"
#include "store/store.h"

#include <stdio.h>

enum {
    STORE_AGAIN_S = 600,
    NAME_BYTES = 512,
    FOUND_BYTES_MAX = 4096,
    DIGEST_BYTES = 8,
    ISSUER_COMMON = 3, /* destinations that make an issuer one that isn't rare */
    VERSION_LIFE_S = SIGHTINGS_WINDOW_DAYS * 86400,
};

/* The memo of SIGHTING_HANDSHAKE: the highest version that both spoke, and when they did last. */
struct spoken {
    uint16_t version;
    int64_t last_s;
};

/* The memo of SIGHTING_DESTINATION_CHAIN: what the last chain was like. */
struct past {
    uint8_t class, issuer[DIGEST_BYTES], key[DIGEST_BYTES];
};

static int64_t now_s(const struct flow *f)
{
    return (int64_t)(net_wall_ms(f->env->net) / 1000);
}

static void digest(const struct flow *f, const char *text, uint8_t ret[DIGEST_BYTES])
{
    uint64_t hash = sightings_hash(f->env->sightings, span_str(text));
    memcpy(ret, &hash, DIGEST_BYTES);
}

static const struct chain_certificate *leaf_of(const struct chain_record *r)
{
    const struct chain_certificate *leaf =
        r && chain_count(r->chain) ? chain_certificate_at(r->chain, 0) : NULL;
    return leaf && !leaf->malformed ? leaf : NULL;
}

static struct past describe(const struct flow *f, const struct chain_record *r,
                            const struct chain_certificate *leaf)
{
    struct past p = {.class = (uint8_t)r->report.class};
    digest(f, leaf->issuer, p.issuer);
    digest(f, leaf->key_sha256, p.key);
    return p;
}

/* Under which name the key is used: renewals keep it. */
static const char *name_of(const struct chain_certificate *leaf)
{
    if (leaf->common_name && leaf->common_name[0])
        return leaf->common_name;
    return leaf->name_listed && leaf->names[0].text.len ? (const char *)leaf->names[0].text.data
                                                        : leaf->subject;
}

static struct span destination(const struct flow *f, const char *more, char out[NAME_BYTES])
{
    int len = snprintf(out, NAME_BYTES, "%s:%u%s%s", f->x->host.name, f->x->port, more ? "\n" : "",
                       more ? more : "");
    return span_of(out, len < NAME_BYTES ? (size_t)len : NAME_BYTES - 1);
}

static struct sighting_by by_destination(const struct flow *f)
{
    char name[NAME_BYTES];
    return (struct sighting_by){.sender = sightings_hash(f->env->sightings, destination(f, NULL, name))};
}

/* ---- looking ---- */

static void look_at_destination(const struct flow *f, const struct chain_record *r,
                                const struct chain_certificate *leaf, struct chain_set *found,
                                const char **ret_changed)
{
    char name[NAME_BYTES];
    struct sighting before, same;
    struct past now = describe(f, r, leaf), past;
    sightings_look(f->env->sightings, SIGHTING_CHAIN, destination(f, leaf->sha256, name), NULL, now_s(f),
                   &same);
    sightings_look(f->env->sightings, SIGHTING_DESTINATION_CHAIN, destination(f, NULL, name), NULL, now_s(f),
                   &before);
    if (same.known || !before.known || before.memo_len != sizeof past)
        return; /* several machines behind one name may each have their own */
    memcpy(&past, before.memo, sizeof past);
    *ret_changed = past.class == CHAIN_PUBLIC && now.class != CHAIN_PUBLIC   ? "class"
                   : memcmp(past.issuer, now.issuer, sizeof now.issuer) != 0 ? "issuer"
                   : memcmp(past.key, now.key, sizeof now.key) != 0          ? "key"
                                                                             : NULL;
    if (*ret_changed)
        chain_set_add(found, CHAIN_P14);
}

static struct chain_set chain_past_look(struct flow *f, const struct chain_record *r)
{
    struct chain_set found = {0};
    struct facts *facts = &f->x->facts;
    const struct chain_certificate *leaf = leaf_of(r);
    const char *changed = NULL;
    struct sighting seen;
    uint8_t name[DIGEST_BYTES];
    if (!leaf || !f->env->sightings)
        return found;
    look_at_destination(f, r, leaf, &found, &changed);
    fact_set_text(facts, FACT_chain_changed, changed);
    digest(f, name_of(leaf), name);
    sightings_look(f->env->sightings, SIGHTING_KEY, span_str(leaf->key_sha256), NULL, now_s(f), &seen);
    if (seen.known && seen.memo_len == sizeof name && memcmp(seen.memo, name, sizeof name) != 0)
        chain_set_add(&found, CHAIN_P13);
    const struct fact_value *days = &facts->values[FACT_known_days];
    struct sighting_by here = by_destination(f);
    sightings_look(f->env->sightings, SIGHTING_ISSUER_DESTINATION, span_str(leaf->issuer), &here, now_s(f),
                   &seen);
    if (seen.senders - seen.by_sender < ISSUER_COMMON && days->state == FACT_KNOWN &&
        days->as.integer >= flow_conf(f)->history.min_days)
        chain_set_add(&found, CHAIN_P15);
    return found;
}

/* ---- taking ---- */

/* What history and a probe's hello show joins what the chain itself shows. */
static void add_anomalies_of_chain(struct flow *f, struct chain_set more)
{
    struct exchange *x = f->x;
    struct chain_set all = x->chain->report.found;
    size_t count = 0;
    if (more.bits == 0)
        return;
    chain_set_merge(&all, more);
    for (enum chain_anomaly i = chain_set_next(all, 0); i != CHAIN_ANOMALY_NONE;
         i = chain_set_next(all, i + 1))
        if (chain_anomaly_table[i].id[0] == 'P' && count < ARRAY_LEN(x->chain_anomalies))
            x->chain_anomalies[count++] = span_str(chain_anomaly_table[i].id);
    fact_set_items(&x->facts, FACT_chain_anomalies, x->chain_anomalies, count);
}

/* Each certificate of a path is signed by the next: whoever is named in the baseline vouches for what is below. */
static const char *find_own(const struct flow *f, const struct chain_report *r)
{
    const char *name = NULL;
    for (size_t i = 0; !name && i < r->path_count; i++)
        name = baseline_find_pki(f->snapshot->baseline, r->path_sha256[i], &f->x->host, f->x->port, now_s(f));
    return name;
}

/* The `pki` entry by which the chain is the house's own, here and now; NULL: none. */
static const char *own_entry(const struct flow *f, const struct chain_record *r)
{
    bool unknown = r->report.class == CHAIN_PRIVATE_UNKNOWN || r->report.class == CHAIN_SELF_SIGNED;
    const char *name = unknown ? find_own(f, &r->report) : NULL;
    return unknown && !name ? find_own(f, &r->own) : name;
}

/* An entry that names the very certificate of the server says all that a chain could: whose it is, where, until when. */
static bool is_named_itself(const struct flow *f, const struct chain_record *r)
{
    return chain_count(r->chain) > 0 &&
           baseline_find_pki(f->snapshot->baseline, chain_certificate_at(r->chain, 0)->sha256, &f->x->host,
                             f->x->port, now_s(f));
}

bool chain_past_expects(const struct flow *f, const struct chain_record *r)
{
    return r->report.trusted || (r->own.trusted && own_entry(f, r)) || is_named_itself(f, r);
}

static void set_own(struct flow *f, const struct chain_record *r)
{
    struct facts *facts = &f->x->facts;
    const char *name = own_entry(f, r);
    char *kept = name ? arena_strdup(&f->x->arena, name) : NULL; /* the record may outlive the policy */
    fact_set_text(facts, FACT_chain_exception, kept);
    if (kept)
        fact_set_text(facts, FACT_chain_class, chain_class_name(CHAIN_PRIVATE_KNOWN));
}

void chain_past_take(struct flow *f, struct chain_record *take_record, const char *source,
                     struct chain_set more)
{
    chain_record_unref(f->x->chain);
    f->x->chain = take_record;
    chain_record_set_facts(take_record, &f->x->facts);
    set_own(f, take_record);
    fact_set_text(&f->x->facts, FACT_chain_source, source);
    fact_set_text(&f->x->facts, FACT_chain_why, NULL);
    chain_set_merge(&more, chain_past_look(f, take_record));
    add_anomalies_of_chain(f, more);
}

/* ---- noting ---- */

static void read_sha256(const char *hex, uint8_t ret[STORE_SHA256_BYTES])
{
    for (size_t i = 0; i < STORE_SHA256_BYTES; i++)
        ret[i] = (uint8_t)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
}

/* Ids of a fact, each with a blank behind it. */
static void list_found(const struct flow *f, enum fact fact, struct buf *out)
{
    const struct fact_value *v = &f->x->facts.values[fact];
    for (uint32_t i = 0; v->state == FACT_KNOWN && i < v->count; i++)
        buf_printf(out, "%s%.*s", buf_len(out) ? " " : "", (int)v->as.items[i].len,
                   (const char *)v->as.items[i].data);
}

static void put_chain(const struct flow *f, struct span sha256s)
{
    char name[NAME_BYTES], source[16], class[32];
    const struct fact_value *from = &f->x->facts.values[FACT_chain_source];
    const struct fact_value *is = &f->x->facts.values[FACT_chain_class];
    struct buf found;
    buf_init(&found, FOUND_BYTES_MAX);
    list_found(f, FACT_chain_errors, &found);
    list_found(f, FACT_chain_anomalies, &found);
    buf_append(&found, "", 1);
    destination(f, NULL, name);
    snprintf(source, sizeof source, "%.*s", (int)from->count, from->state == FACT_KNOWN ? from->as.text : "");
    snprintf(class, sizeof class, "%.*s", (int)is->count, is->state == FACT_KNOWN ? is->as.text : "");
    const struct store_chain chain = {.destination = name,
                                      .source = source,
                                      .class = class,
                                      .found = found.failed ? "" : (const char *)buf_span(&found).data,
                                      .sha256 = sha256s};
    store_put_chain(f->env->store, &chain, now_s(f));
    buf_free(&found);
}

static void keep(const struct flow *f, const struct chain_record *r)
{
    uint8_t all[STORE_CHAIN_MAX * STORE_SHA256_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < chain_count(r->chain) && count < STORE_CHAIN_MAX; i++) {
        const struct chain_certificate *c = chain_certificate_at(r->chain, i);
        uint8_t *sha256 = all + count * STORE_SHA256_BYTES;
        read_sha256(c->sha256, sha256);
        count++;
        if (c->der.len <= STORE_DER_MAX_BYTES)
            store_put_certificate(f->env->store, sha256, c->der, now_s(f));
    }
    put_chain(f, span_of(all, count * STORE_SHA256_BYTES));
}

/* The chain and whoever was shown it; what the disk has to know of the chain itself, now and then. */
static void note_chain(struct flow *f, const struct chain_record *r, const struct chain_certificate *leaf)
{
    char name[NAME_BYTES], sender[STABLE_SENDER_BYTES], more[CHAIN_SHA256_TEXT_BYTES + STABLE_SENDER_BYTES];
    struct sightings *s = f->env->sightings;
    struct sighting before;
    int64_t now = now_s(f), kept_s = 0;
    struct span what = destination(f, leaf->sha256, name);
    sightings_look(s, SIGHTING_CHAIN, what, NULL, now, &before);
    if (before.memo_len == sizeof kept_s)
        memcpy(&kept_s, before.memo, sizeof kept_s);
    bool keep_now = f->env->store && (kept_s == 0 || now - kept_s >= STORE_AGAIN_S);
    sightings_note(s, SIGHTING_CHAIN, what, NULL, span_of(&now, keep_now ? sizeof now : 0), now, NULL);
    stable_sender_name(f->attribution.sender, sender);
    snprintf(more, sizeof more, "%s\n%s", leaf->sha256, sender);
    sightings_note(s, SIGHTING_CHAIN_SENDER, destination(f, more, name), NULL, span_of(NULL, 0), now, NULL);
    if (keep_now)
        keep(f, r);
}

void chain_past_note(struct flow *f)
{
    struct exchange *x = f->x;
    const struct chain_record *r = x->chain;
    const struct chain_certificate *leaf = leaf_of(r);
    struct sightings *s = f->env->sightings;
    char name[NAME_BYTES];
    uint8_t known_as[DIGEST_BYTES];
    if (!leaf || !s || !x->decision_recorded || x->verdict.action == VERDICT_BLOCK)
        return;
    struct past now = describe(f, r, leaf);
    note_chain(f, r, leaf);
    sightings_note(s, SIGHTING_DESTINATION_CHAIN, destination(f, NULL, name), NULL, span_of(&now, sizeof now),
                   now_s(f), NULL);
    sightings_note(s, SIGHTING_DESTINATION_ISSUER, destination(f, leaf->issuer, name), NULL, span_of(NULL, 0),
                   now_s(f), NULL);
    struct sighting_by here = by_destination(f);
    sightings_note(s, SIGHTING_ISSUER_DESTINATION, span_str(leaf->issuer), &here, span_of(NULL, 0), now_s(f),
                   NULL);
    if (leaf->key_sha256[0]) {
        struct sighting key;
        sightings_look(s, SIGHTING_KEY, span_str(leaf->key_sha256), NULL, now_s(f), &key);
        digest(f, name_of(leaf), known_as);
        sightings_note(s, SIGHTING_KEY, span_str(leaf->key_sha256), NULL,
                       key.known ? span_of(NULL, 0) : span_of(known_as, sizeof known_as), now_s(f), NULL);
    }
}

/* ---- sessions ---- */

/* Both spoke a higher version lately. A record without a memo is of a time when versions weren't noted. */
static bool is_lower(const struct sighting *seen, uint16_t version, int64_t now, struct spoken *ret)
{
    *ret = (struct spoken){.version = version, .last_s = now};
    struct spoken before;
    if (!seen->known || seen->memo_len != sizeof before)
        return false;
    memcpy(&before, seen->memo, sizeof before);
    if (before.version <= version || now - before.last_s > VERSION_LIFE_S)
        return false;
    *ret = before;
    return true;
}

struct session_past chain_past_session(struct flow *f, bool resumed, uint16_t version)
{
    char sender[STABLE_SENDER_BYTES], name[NAME_BYTES], where[NAME_BYTES];
    struct sightings *s = f->env->sightings;
    struct sighting seen;
    struct spoken spoken;
    if (!s)
        return (struct session_past){.known = true};
    stable_sender_name(f->attribution.sender, sender);
    struct span to = destination(f, NULL, where);
    int len = snprintf(name, sizeof name, "%s\n%.*s", sender, (int)to.len, (const char *)to.data);
    struct span key = span_of(name, len < NAME_BYTES ? (size_t)len : NAME_BYTES - 1);
    sightings_look(s, SIGHTING_HANDSHAKE, key, NULL, now_s(f), &seen);
    bool lower = is_lower(&seen, version, now_s(f), &spoken);
    if (!resumed)
        sightings_note(s, SIGHTING_HANDSHAKE, key, NULL, span_of(&spoken, sizeof spoken), now_s(f), NULL);
    return (struct session_past){.known = !resumed || seen.known, .lower = lower};
}
