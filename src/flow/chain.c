/* chain.c: see chain.h. The work itself runs on a thread of the pool and touches its job only; certificates that were sent by whoever
 * are parsed and judged there. */
#include "flow/chain.h"

#include "base/json.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "wire/server_flight.h"

#include <libpsl.h>
#include <stdlib.h>

enum {
    RECORD_ARENA_BYTES = 256 << 10,
    NAMES_SHOWN = 100, /* of the leaf, in records */
    JSON_BYTES_MAX = 64 << 10,
};

struct chain_job {
    struct net_job job;                  /* first: net's pointer is ours */
    struct snapshot *snapshot;           /* counted */
    struct buf certificates, ocsp, scts; /* owned */
    struct chain *chain;                 /* owned; or NULL: `certificates` are to be parsed */
    char name[256], connect_name[256];   /* "": none */
    int64_t time_s;
    bool staple_counts;
    struct chain_record *record; /* owned until it is handed over */
    chain_done_fn *done;
};

void chain_record_unref(struct chain_record *take_r)
{
    if (!take_r || --take_r->refs > 0)
        return;
    chain_free(take_r->chain);
    arena_reset(&take_r->arena);
    free(take_r);
}

/* ---- words ---- */

static bool is_public_suffix(const char *domain)
{
    const psl_ctx_t *list = psl_builtin();
    return list && psl_is_public_suffix(list, domain);
}

static struct span *list_ids(struct arena *a, struct chain_set set, char kind, size_t *ret_count)
{
    struct span *items = arena_alloc(a, CHAIN_ANOMALY_COUNT * sizeof *items);
    size_t count = 0;
    for (enum chain_anomaly i = chain_set_next(set, 0); items && i != CHAIN_ANOMALY_NONE;
         i = chain_set_next(set, i + 1))
        if (chain_anomaly_table[i].id[0] == kind)
            items[count++] = span_str(chain_anomaly_table[i].id);
    *ret_count = count;
    return items;
}

static void list_names(struct chain_record *r, const struct chain_certificate *leaf)
{
    r->sans = arena_alloc(&r->arena, NAMES_SHOWN * sizeof *r->sans);
    for (size_t i = 0; r->sans && i < leaf->name_listed && r->san_count < NAMES_SHOWN; i++)
        if (leaf->names[i].kind == CHAIN_NAME_DNS || leaf->names[i].kind == CHAIN_NAME_IP)
            r->sans[r->san_count++] = leaf->names[i].text;
}

static const char *format_time(struct arena *a, const struct chain_certificate *leaf, int64_t time_s)
{
    char text[RFC3339_TEXT_BYTES];
    return leaf->times_good ? arena_strdup(a, rfc3339_format(time_s, text)) : NULL;
}

static void write_names(struct json *j, const struct chain_certificate *leaf)
{
    static const char *const kinds[] = {[CHAIN_NAME_DNS] = "dNSName",
                                        [CHAIN_NAME_IP] = "iPAddress",
                                        [CHAIN_NAME_EMAIL] = "rfc822Name",
                                        [CHAIN_NAME_URI] = "uniformResourceIdentifier",
                                        [CHAIN_NAME_DIRECTORY] = "directoryName",
                                        [CHAIN_NAME_OTHER] = "otherName"};
    json_array(j, "sans");
    for (size_t i = 0; i < leaf->name_listed && i < NAMES_SHOWN; i++) {
        json_object(j, NULL);
        json_span(j, "name", leaf->names[i].text);
        json_str(j, "type", kinds[leaf->names[i].kind]);
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_fingerprint(struct json *j, const char *sha256)
{
    enum { ALGORITHM_SHA256 = 3 };
    json_array(j, "fingerprints");
    json_object(j, NULL);
    json_int(j, "algorithm_id", ALGORITHM_SHA256);
    json_str(j, "algorithm", "SHA-256");
    json_str(j, "value", sha256);
    json_end_object(j);
    json_end_array(j);
}

/* OCSF's certificate object. */
static struct span write_certificate(struct arena *a, const struct chain_certificate *leaf)
{
    struct buf text;
    struct json j;
    char version[8];
    buf_init(&text, JSON_BYTES_MAX);
    json_init(&j, &text);
    json_object(&j, NULL);
    json_str(&j, "subject", leaf->subject);
    json_str(&j, "issuer", leaf->issuer);
    json_str(&j, "serial_number", leaf->serial);
    snprintf(version, sizeof version, "%u", leaf->version);
    json_str(&j, "version", version);
    json_bool(&j, "is_self_signed", leaf->self_signed);
    if (leaf->times_good) {
        json_int(&j, "created_time", leaf->not_before_s * 1000);
        json_int(&j, "expiration_time", leaf->not_after_s * 1000);
    }
    write_fingerprint(&j, leaf->sha256);
    if (leaf->name_listed > 0)
        write_names(&j, leaf);
    json_end_object(&j);
    struct span kept = text.failed ? (struct span){NULL, 0} : arena_copy(a, buf_span(&text));
    buf_free(&text);
    return kept;
}

static void describe(struct chain_record *r)
{
    struct arena *a = &r->arena;
    size_t count = chain_count(r->chain);
    r->errors = list_ids(a, r->report.found, 'C', &r->error_count);
    r->anomalies = list_ids(a, r->report.found, 'P', &r->anomaly_count);
    r->fingerprints = arena_alloc(a, (count ? count : 1) * sizeof *r->fingerprints);
    for (size_t i = 0; r->fingerprints && i < count; i++)
        r->fingerprints[r->fingerprint_count++] = span_str(chain_certificate_at(r->chain, i)->sha256);
    const struct chain_certificate *leaf = count ? chain_certificate_at(r->chain, 0) : NULL;
    if (!leaf || leaf->malformed)
        return;
    list_names(r, leaf);
    r->not_before = format_time(a, leaf, leaf->not_before_s);
    r->not_after = format_time(a, leaf, leaf->not_after_s);
    r->certificate = write_certificate(a, leaf);
}

/* ---- the job ---- */

static struct chain *parse(struct span body)
{
    struct span der[CHAIN_CERTIFICATES_MAX + 1]; /* one more than is kept: so that more is noticed */
    size_t count = 0, cursor = 0;
    bool malformed = false;
    struct err err = {0};
    while (count < ARRAY_LEN(der) && flight_next_certificate(body, &cursor, &der[count], &malformed))
        count++;
    return chain_parse_der(der, count, &err);
}

/* Those of the certificates sent that an entry names and has no file of; NULL: none. */
static struct trust *own_as_sent(const struct snapshot *s, const struct chain *sent)
{
    struct span der[CHAIN_CERTIFICATES_MAX];
    struct baseline_pki p;
    struct err err = {0};
    size_t found = 0;
    for (size_t cursor = 0; baseline_next_pki(s->baseline, &cursor, &p);)
        for (size_t i = 0; !p.certificate && i < chain_count(sent) && found < ARRAY_LEN(der); i++)
            if (strcmp(chain_certificate_at(sent, i)->sha256, p.sha256) == 0)
                der[found++] = chain_certificate_at(sent, i)->der;
    struct chain *roots = found ? chain_parse_der(der, found, &err) : NULL;
    struct trust *t = roots ? trust_new_from(NULL, roots, &err) : NULL;
    chain_free(roots);
    return t;
}

/* The house's own roots vouch for their own destinations only, so they are asked apart; which of them it is, the baseline says. */
static void look_for_own(const struct chain_job *j, const struct chain_question *q, struct chain_record *r)
{
    struct chain_question own = *q;
    if (r->report.class != CHAIN_PRIVATE_UNKNOWN && r->report.class != CHAIN_SELF_SIGNED)
        return;
    own.trust = j->snapshot->pki;
    if (own.trust && chain_verify(r->chain, &own, &r->own) != 0)
        r->own = (struct chain_report){0};
    struct trust *sent = r->own.trusted ? NULL : own_as_sent(j->snapshot, r->chain);
    own.trust = sent;
    if (sent && chain_verify(r->chain, &own, &r->own) != 0)
        r->own = (struct chain_report){0};
    trust_free(sent);
}

static void on_work(struct net_job *job)
{
    struct chain_job *j = (struct chain_job *)job;
    struct chain_record *r = calloc(1, sizeof *r);
    if (!r)
        return;
    r->refs = 1;
    arena_init(&r->arena, RECORD_ARENA_BYTES);
    r->chain = j->chain ? j->chain : parse(buf_span(&j->certificates));
    j->chain = NULL;
    const struct chain_question q = {
        .name = j->name[0] ? j->name : NULL,
        .connect_name = j->connect_name[0] ? j->connect_name : NULL,
        .time_s = j->time_s,
        .trust = j->snapshot->trust,
        .known = j->snapshot->known,
        .ct_logs = j->snapshot->ct_logs,
        .ocsp = buf_span(&j->ocsp),
        .scts = buf_span(&j->scts),
        .staple_counts = j->staple_counts,
        .is_public_suffix = is_public_suffix,
    };
    if (!r->chain || chain_verify(r->chain, &q, &r->report) != 0) {
        chain_record_unref(r);
        return;
    }
    look_for_own(j, &q, r);
    describe(r);
    j->record = r;
}

static void on_done(struct net_job *job)
{
    struct chain_job *j = (struct chain_job *)job;
    struct chain_record *record = j->record;
    j->record = NULL;
    j->done(job->owner, record);
}

static void on_destroy(struct net_job *job)
{
    struct chain_job *j = (struct chain_job *)job;
    chain_record_unref(j->record);
    chain_free(j->chain);
    buf_free(&j->certificates);
    buf_free(&j->ocsp);
    buf_free(&j->scts);
    snapshot_unref(j->snapshot);
    free(j);
}

static int fill(struct chain_job *j, const struct chain_input *input)
{
    buf_init(&j->certificates, FLIGHT_CERTIFICATE_BYTES_MAX);
    buf_init(&j->ocsp, FLIGHT_OTHER_BYTES_MAX);
    buf_init(&j->scts, FLIGHT_OTHER_BYTES_MAX);
    j->staple_counts = input->staple_counts;
    snprintf(j->name, sizeof j->name, "%s", input->name ? input->name : "");
    snprintf(j->connect_name, sizeof j->connect_name, "%s", input->connect_name ? input->connect_name : "");
    if ((input->ocsp.len && buf_append(&j->ocsp, input->ocsp.data, input->ocsp.len) != 0) ||
        (input->scts.len && buf_append(&j->scts, input->scts.data, input->scts.len) != 0))
        return -1;
    return j->chain ? 0 : buf_append(&j->certificates, input->certificates.data, input->certificates.len);
}

struct chain_job *chain_job_start(struct net *net, struct snapshot *snapshot, const struct chain_input *input,
                                  void *owner, chain_done_fn *done)
{
    struct chain_job *j = calloc(1, sizeof *j);
    if (!j) {
        chain_free(input->take_chain);
        return NULL;
    }
    j->job = (struct net_job){.work = on_work, .done = on_done, .destroy = on_destroy, .owner = owner};
    j->chain = input->take_chain;
    j->snapshot = snapshot_ref(snapshot);
    j->done = done;
    j->time_s = (int64_t)(net_wall_ms(net) / 1000);
    if (fill(j, input) != 0) {
        on_destroy(&j->job);
        return NULL;
    }
    return net_job_start(net, &j->job) ? j : NULL;
}

void chain_job_cancel(struct chain_job *job)
{
    net_job_cancel(&job->job);
}

/* ---- facts ---- */

void chain_record_set_facts(const struct chain_record *r, struct facts *facts)
{
    const struct chain_certificate *leaf = chain_count(r->chain) ? chain_certificate_at(r->chain, 0) : NULL;
    fact_set_text(facts, FACT_chain_class, chain_class_name(r->report.class));
    fact_set_bool(facts, FACT_chain_trusted, r->report.trusted);
    fact_set_items(facts, FACT_chain_errors, r->errors, r->error_count);
    fact_set_items(facts, FACT_chain_anomalies, r->anomalies, r->anomaly_count);
    fact_set_items(facts, FACT_chain_certificates, r->fingerprints, r->fingerprint_count);
    fact_set_int(facts, FACT_chain_length, (int64_t)chain_total_count(r->chain));
    fact_set_text(facts, FACT_chain_interceptor, r->report.interceptor);
    fact_set_text(facts, FACT_chain_scts, ct_result_name(r->report.scts));
    fact_set_text(facts, FACT_chain_kit, r->report.kit);
    static const struct chain_certificate nobody = {0};
    if (!leaf || leaf->malformed)
        leaf = &nobody; /* what an earlier record said must not stay */
    fact_set_text(facts, FACT_chain_subject, leaf->subject);
    fact_set_text(facts, FACT_chain_issuer, leaf->issuer);
    fact_set_text(facts, FACT_chain_serial, leaf->serial);
    fact_set_items(facts, FACT_chain_sans, r->sans, r->san_count);
    fact_set_text(facts, FACT_chain_not_before, r->not_before);
    fact_set_text(facts, FACT_chain_not_after, r->not_after);
    fact_set_text(facts, FACT_chain_key_type, leaf->key_type);
    fact_set_int(facts, FACT_chain_key_bits, leaf->key_bits);
    fact_set_text(facts, FACT_chain_key_sha256, leaf->key_sha256);
    fact_set_text(facts, FACT_chain_sha256, leaf->sha256);
    fact_set_span(facts, FACT_chain_certificate, r->certificate);
}
