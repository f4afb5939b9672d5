/* case_export.c: `exeat case export`: all that is known about one finding as a signed bundle that tar, jq, sha256sum and openssl open. Touches the
 * history's database, the ledger, the policy's files, the admin socket, the signing key beside the configuration, and the bundle. */
#include <jansson.h>

#include "base/hex.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/admin_client.h"
#include "cmd/bundle.h"
#include "cmd/case_records.h"
#include "cmd/cmd.h"
#include "cmd/findings.h"
#include "cmd/pem.h"
#include "cmd/recorded.h"
#include "conf/file.h"
#include "store/store.h"
#include "tls/signature.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 16 * 1024 * 1024, PATH_BYTES = 4096, SHA256_BYTES = 32 };

#define KEY_NAME    "case.key"
#define PUBLIC_NAME "case.pub"

static const char help[] =
    "usage: exeat case export [--out FILE] [--state DIR | --config FILE] ID\n"
    "\n"
    "Writes all that is known about a finding into a bundle (tar.gz) that tar, jq, sha256sum and openssl "
    "open: its records as "
    "they\n"
    "stand in the ledger, the server's certificates, hello, process tree, job, history, the policy's files, "
    "coverage and "
    "losses, and a\n"
    "manifest, signed by the key " KEY_NAME
    " beside the configuration, which is made when there is none. README.txt in it says "
    "how to\n"
    "check it. No key and no password is in it; command lines and paths of your users are. ID may be its "
    "beginning.\n"
    "\n"
    "  -O, --out FILE      the bundle, which may not exist (default: ./case-ID.tar.gz)\n"
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then /etc/exeat)\n"
    "  -c, --config FILE   of the proxy with this configuration\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 done   1 there is no such finding, or it can't be read or written   2 wrong configuration "
    "or usage\n"
    "example: exeat case export 5a0d41 && tar tzf case-5a0d41*.tar.gz\n";

static const char readme[] =
    "A case of Exeat: all that was known about one finding when this was written.\n"
    "\n"
    "Check it, with openssl and sha256sum alone, in this folder:\n"
    "  openssl dgst -sha256 -verify " PUBLIC_NAME " -signature MANIFEST.sig MANIFEST.sha256\n"
    "  sha256sum --check --strict MANIFEST.sha256\n"
    "The first says that the manifest was signed by the key whose public half is " PUBLIC_NAME
    ". That this is the proxy's key you have to know from\n"
    "elsewhere: compare its fingerprint with what `exeat case export` printed, or with " PUBLIC_NAME
    " beside the proxy's configuration:\n"
    "  openssl pkey -pubin -in " PUBLIC_NAME " -outform DER | sha256sum\n"
    "Every file but MANIFEST.sha256 and MANIFEST.sig is in the manifest.\n"
    "\n"
    "finding.json        the finding: what it is about, why it weighs what it weighs, the first 20 "
    "exchanges\n"
    "records.jsonl       the lines of the ledger about those exchanges and about the finding, byte for byte\n"
    "records-where.json  where each of them stands: file, offset, SHA-256 of the line. The ledger makes no "
    "proofs of inclusion\n"
    "process-tree.json   who: the process, those above it, what agents know of it\n"
    "job.json            what keeps starting it: the job, its file and that file's SHA-256\n"
    "frozen-history.json what its lineage had done when the finding was made, kept with it since\n"
    "agent-history.json  what the agent knew of it when this was written, and until when it keeps that "
    "(until_ms)\n"
    "history.json        what its lineage did before, and what the agent had lost by then\n"
    "hello.json          the TLS hello's fingerprints and names, the server's answer\n"
    "chains.json         the server's certificates by SHA-256, what was wrong with them\n"
    "chains/*.pem        those certificates, as far as they are kept: openssl x509 -in FILE -text\n"
    "policy/             the policy's files as they are now; versions.json says which changed since\n"
    "coverage.json       what the analytics' rules could see of which hosts, where the proxy was running\n"
    "losses.json         what is missing here, and why\n";

struct export
{
    const struct conf *conf;
    const struct finding *finding; /* borrowed */
    struct bundle *bundle;
    struct case_records records;
    json_t *status; /* owned: the proxy's; NULL: it is not running */
    json_t *losses; /* owned */
    json_t *files;  /* owned: of the policy */
    struct err *err;
};

/* ---- adding ---- */

static int add_json(struct export *e, const char *name, json_t *take_o)
{
    char *text = take_o ? json_dumps(take_o, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    json_decref(take_o);
    if (!text)
        return err_set(e->err, name, 0, 0, "no memory");
    int result = bundle_add(e->bundle, name, span_str(text), e->err);
    free(text);
    return result;
}

static void lose(struct export *e, const char *format, const char *what)
{
    json_array_append_new(e->losses, json_sprintf(format, what));
}

static int add_finding(struct export *e)
{
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    int result = finding_write(&text, e->finding) == 0
                     ? bundle_add(e->bundle, "finding.json", buf_span(&text), e->err)
                     : err_set(e->err, NULL, 0, 0, "no memory");
    buf_free(&text);
    if (result == 0 && e->finding->history)
        return bundle_add(e->bundle, "frozen-history.json", span_str(e->finding->history), e->err);
    if (result == 0)
        lose(e, "%s", "no agent told what the sender's lineage had done: nothing was frozen");
    return result;
}

static int add_records(struct export *e)
{
    static const char *const process[] = {"actor.process",
                                          "unmapped.sender.details",
                                          "unmapped.sender.relaying_for",
                                          "unmapped.sender.confidence",
                                          "unmapped.sender.reason",
                                          "device"};
    static const char *const job[] = {"unmapped.sender.details.job"};
    static const char *const history[] = {"unmapped.sender.history"};
    static const char *const hello[] = {"tls",          "unmapped.hello",     "unmapped.server_hello",
                                        "unmapped.ja4", "unmapped.anomalies", "unmapped.tls_history"};
    static const char *const chain[] = {"unmapped.chain", "unmapped.issuer"};
    static const struct {
        const char *name;
        const char *const *paths;
        size_t count;
    } subjects[] = {{"process-tree.json", process, ARRAY_LEN(process)},
                    {"job.json", job, ARRAY_LEN(job)},
                    {"history.json", history, ARRAY_LEN(history)},
                    {"hello.json", hello, ARRAY_LEN(hello)},
                    {"chains.json", chain, ARRAY_LEN(chain)}};
    if (bundle_add(e->bundle, "records.jsonl", buf_span(&e->records.lines), e->err) != 0 ||
        add_json(e, "records-where.json",
                 json_pack("{sOsO}", "lines", e->records.places, "looked_through", e->records.files)) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
        if (add_json(e, subjects[i].name,
                     case_records_extract(&e->records, subjects[i].paths, subjects[i].count)) != 0)
            return -1;
    return 0;
}

/* ---- certificates ---- */

static bool read_digest(const char *hex, uint8_t ret[SHA256_BYTES])
{
    if (strlen(hex) != (size_t)2 * SHA256_BYTES)
        return false;
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int add_certificate(struct export *e, struct store *s, const char *hex)
{
    uint8_t digest[SHA256_BYTES];
    struct store_certificate found;
    struct buf pem;
    char name[96];
    if (!read_digest(hex, digest))
        return 0;
    if (!store_find_certificate(s, digest, &found)) {
        lose(e, "the certificate %s is not kept (any more)", hex);
        return 0;
    }
    buf_init(&pem, FILE_BYTES_MAX);
    snprintf(name, sizeof name, "chains/%.40s.pem", hex);
    int result = pem_write(&pem, found.der) == 0 ? bundle_add(e->bundle, name, buf_span(&pem), e->err)
                                                 : err_set(e->err, name, 0, 0, "no memory");
    buf_free(&pem);
    return result;
}

/* Each of them once. */
static int add_certificates(struct export *e)
{
    struct store *s = store_open_to_read(e->conf->history.database, e->err);
    json_t *seen = s ? json_object() : NULL;
    const json_t *record, *one;
    size_t i, n;
    int result = seen ? 0 : -1; /* without a database: why not stands in the error */
    json_array_foreach(e->records.records, i, record)
    {
        json_array_foreach(recorded_find(record, "unmapped.chain.certificates"), n, one)
        {
            const char *hex = json_string_value(one);
            if (result != 0 || !hex || json_object_get(seen, hex))
                continue;
            json_object_set_new(seen, hex, json_true());
            result = add_certificate(e, s, hex);
        }
    }
    json_decref(seen);
    if (s)
        store_close(s, 0);
    return result;
}

/* ---- policy ---- */

/* A file that is gone or too large is a loss, not the end of it. */
static int add_file(struct export *e, const char *path, const char *folder)
{
    struct buf text;
    struct err why = {0};
    struct stat st;
    char name[PATH_BYTES], time_text[RFC3339_TEXT_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(name, sizeof name, "%s%s", folder, slash ? slash + 1 : path);
    buf_init(&text, FILE_BYTES_MAX);
    if (stat(path, &st) != 0 || conf_file_read(path, false, &text, &why) != 0) {
        lose(e, "%s cannot be read", path);
        buf_free(&text);
        return 0;
    }
    json_array_append_new(e->files, json_pack("{ssssss sb}", "name", name, "path", path, "changed",
                                              rfc3339_format(st.st_mtime, time_text), "changed_since",
                                              (int64_t)st.st_mtime * 1000 > e->finding->last_ms));
    int result = bundle_add(e->bundle, name, buf_span(&text), e->err);
    buf_free(&text);
    return result;
}

static int is_rule_file(const struct dirent *d)
{
    size_t len = strlen(d->d_name);
    return d->d_name[0] != '.' &&
           ((len > 4 && strcmp(d->d_name + len - 4, ".yml") == 0) ||
            (len > 5 && strcmp(d->d_name + len - 5, ".yaml") == 0) || d->d_type == DT_DIR);
}

/* A file, or all rule files below a folder. */
static int add_rules(struct export *e, const char *path, unsigned depth)
{
    struct dirent **names;
    struct stat st;
    char below[PATH_BYTES];
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return add_file(e, path, "policy/rules/");
    int count = depth > 0 ? scandir(path, &names, is_rule_file, alphasort) : -1, result = 0;
    if (count < 0)
        return lose(e, "%s cannot be read", path), 0;
    for (int i = 0; i < count; i++) {
        if (result == 0 && snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name) < (int)sizeof below)
            result = add_rules(e, below, depth - 1);
        free(names[i]);
    }
    free(names);
    return result;
}

static int add_policy(struct export *e)
{
    const struct conf *c = e->conf;
    const char *const files[] = {c->policy.baseline, c->policy.actions,      c->policy.placeholders,
                                 c->policy.senders,  c->policy.destinations, c->findings.suppressions};
    struct buf shown;
    buf_init(&shown, FILE_BYTES_MAX);
    conf_show(c, false, &shown); /* without secrets; the file itself stays where it is */
    int result = bundle_add(e->bundle, "policy/config-in-effect.yaml", buf_span(&shown), e->err);
    buf_free(&shown);
    for (size_t i = 0; i < ARRAY_LEN(files) && result == 0; i++)
        if (files[i])
            result = add_file(e, files[i], "policy/");
    for (size_t i = 0; i < c->policy.rules.count && result == 0; i++)
        result = add_rules(e, c->policy.rules.items[i], 8);
    return result;
}

static int add_versions(struct export *e)
{
    static const char *const version[] = {"metadata.product.version", "unmapped.policy_generation",
                                          "unmapped.rules"};
    json_t *running = e->status ? json_incref(json_object_get(e->status, "generation")) : json_null();
    return add_json(e, "policy/versions.json",
                    json_pack("{sssssoso?sO}", "exeat", EXEAT_VERSION, "rule", e->finding->rule, "records",
                              case_records_extract(&e->records, version, ARRAY_LEN(version)),
                              "generation_running", running, "files", e->files));
}

/* ---- the proxy's word ---- */

/* NULL: it is not running, or does not answer. */
static json_t *ask(const struct export *e, const char *path)
{
    struct err why = {0};
    return admin_client_ask("GET", e->conf->admin.socket, path, &why);
}

/* What the agent knows by now of the lineage, kept or not: asked for, not what it once said. */
static int add_agent_history(struct export *e)
{
    char path[128];
    if (!e->finding->kept_ref[0])
        return lose(e, "%s", "no agent was asked to keep the history: it keeps none, or was not there"), 0;
    snprintf(path, sizeof path, "/history?sender=%s", e->finding->kept_ref);
    json_t *told = ask(e, path);
    const char *text = json_string_value(json_object_get(told, "text"));
    if (!told || !json_object_get(told, "history"))
        lose(e, "the agent's history of the lineage since then cannot be had: %s",
             text ? text : "the proxy does not answer");
    return told ? add_json(e, "agent-history.json", told) : 0;
}

static int add_coverage(struct export *e)
{
    json_t *coverage = ask(e, "/coverage");
    if (!coverage)
        lose(e, "the proxy does not answer at %s: no coverage, no losses of its own", e->conf->admin.socket);
    return add_json(e, "coverage.json", coverage ? coverage : json_object());
}

static int add_losses(struct export *e)
{
    static const char *const lost[] = {"unmapped.sender.history.losses",
                                       "unmapped.sender.history.not_observable"};
    const json_t *ledger = json_object_get(e->status, "ledger"),
                 *database = json_object_get(e->status, "history");
    if (e->finding->count > e->finding->record_count)
        lose(e, "%s", "there were more matches than the 20 whose records a finding names");
    return add_json(e, "losses.json",
                    json_pack("{sOsOsIsosO?sO?}", "missing", e->losses, "records_not_found",
                              e->records.not_found, "unreadable_lines", (json_int_t)e->records.unreadable,
                              "agent", case_records_extract(&e->records, lost, ARRAY_LEN(lost)), "ledger",
                              ledger, "history_database", database));
}

/* ---- the bundle ---- */

static int sign(struct export *e, char ret_fingerprint[SIGNATURE_FINGERPRINT_BYTES])
{
    char path[PATH_BYTES];
    struct buf manifest, signature, pem;
    bool made = false;
    snprintf(path, sizeof path, "%.4000s/" KEY_NAME, e->conf->folder);
    struct signature_key *key = signature_key_open(path, &made, e->err);
    buf_init(&manifest, FILE_BYTES_MAX);
    buf_init(&signature, SIGNATURE_MAX_BYTES);
    buf_init(&pem, SIGNATURE_PUBLIC_MAX_BYTES);
    int result = key ? signature_key_public(key, &pem, ret_fingerprint, e->err) : -1;
    if (result == 0)
        result = bundle_add(e->bundle, PUBLIC_NAME, buf_span(&pem), e->err);
    if (result == 0 && bundle_write_manifest(e->bundle, &manifest) != 0)
        result = err_set(e->err, NULL, 0, 0, "no memory");
    if (result == 0)
        result = signature_make(key, buf_span(&manifest), &signature, e->err);
    if (result == 0)
        result = bundle_add(e->bundle, "MANIFEST.sha256", buf_span(&manifest), e->err);
    if (result == 0)
        result = bundle_add(e->bundle, "MANIFEST.sig", buf_span(&signature), e->err);
    if (result == 0 && made)
        printf("%s: made; whoever has it can sign cases as this proxy\n", path);
    signature_key_free(key);
    buf_free(&manifest);
    buf_free(&signature);
    buf_free(&pem);
    return result;
}

static int write_bundle(const struct export *e, const char *path)
{
    struct buf out;
    buf_init(&out, BUNDLE_BYTES_MAX);
    int result = bundle_write(e->bundle, &out, e->err);
    int fd = result == 0 ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (result == 0 && fd < 0)
        result = err_set(e->err, path, 0, 0, "cannot be made: %s", strerror(errno));
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && !file)
        close(fd);
    if (file) {
        struct span all = buf_span(&out);
        bool fine = all.data && fwrite(all.data, 1, all.len, file) == all.len;
        if (fclose(file) != 0 || !fine)
            result = err_set(e->err, path, 0, 0, "cannot be written: %s", strerror(errno));
    } else {
        result = -1;
    }
    buf_free(&out);
    return result;
}

static int fill(struct export *e)
{
    typedef int add_fn(struct export * e);
    static add_fn *const parts[] = {add_finding,  add_records,       add_certificates, add_policy,
                                    add_versions, add_agent_history, add_coverage,     add_losses};
    if (bundle_add(e->bundle, "README.txt", span_str(readme), e->err) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i](e) != 0)
            return -1;
    return 0;
}

static int export_finding(const struct conf *conf, const struct finding *f, const char *out,
                          struct err *reterr)
{
    char folder[64], path[PATH_BYTES], fingerprint[SIGNATURE_FINGERPRINT_BYTES];
    struct export e = {.conf = conf, .finding = f, .err = reterr};
    snprintf(folder, sizeof folder, "case-%s", f->uid);
    if (!out)
        snprintf(path, sizeof path, "%s.tar.gz", folder);
    if (case_records_find(conf->audit.file, f, &e.records, reterr) != 0)
        return -1;
    e.bundle = bundle_new(folder, (int64_t)time(NULL));
    e.losses = json_array();
    e.files = json_array();
    e.status = ask(&e, "/status");
    int result = e.bundle && e.losses && e.files ? fill(&e) : err_set(reterr, NULL, 0, 0, "no memory");
    if (result == 0)
        result = sign(&e, fingerprint);
    if (result == 0)
        result = write_bundle(&e, out ? out : path);
    if (result == 0)
        printf("%s: written; its key's fingerprint is %s\n", out ? out : path, fingerprint);
    json_decref(e.losses);
    json_decref(e.files);
    json_decref(e.status);
    bundle_free(e.bundle);
    case_records_free(&e.records);
    return result;
}

static int export(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    struct findings_list list;
    if (findings_list_read(conf, &list, reterr) != 0)
        return -1;
    const struct finding *f = findings_list_find(&list, a->id, reterr);
    int result = f ? export_finding(conf, f, a->out, reterr) : -1;
    findings_list_free(&list);
    return result;
}

int cmd_case_export(int argc, char **argv)
{
    static const struct findings_command command = {"case export", help, "O", true, export};
    return findings_run(argc, argv, &command);
}
