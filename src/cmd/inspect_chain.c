/* inspect_chain.c: see inspect_chain.h. Reads everything first, judges once, prints once. */
#include "cmd/inspect_chain.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/cmd.h"
#include "cmd/inspect_host.h"
#include "wire/host.h"

#include <errno.h>
#include <getopt.h>
#include <libpsl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILE_BYTES_MAX = 4 * 1024 * 1024, OUTPUT_BYTES_MAX = 64 * 1024 * 1024, FILES_MAX = 64 };

#define KNOWN_DEFAULT "/etc/exeat/chain/known.yaml"

static const char help[] =
    "usage: exeat inspect chain --name NAME [OPTION...] FILE.pem\n"
    "\n"
    "Judges the certificates in FILE (- is standard input), the server's own first, as a TLS client that "
    "wants NAME\n"
    "(a host name or an address) should, and says everything that is wrong (C ids) or odd (P ids) about "
    "them.\n"
    "\n"
    "      --name NAME      the server's name; without it names are not checked\n"
    "      --connect NAME   a second name to check: the host of CONNECT, where --name is the SNI\n"
    "      --time RFC3339   judge as of this time, e.g. 2026-03-15T12:00:00Z (default: now)\n"
    "      --trust FILE     roots (PEM) instead of the system's; may be given several times\n"
    "      --also-trust FILE  roots beside the system's\n"
    "      --intermediates FILE  certificates (PEM) known from elsewhere, to fill gaps\n"
    "      --crl FILE       certificate revocation lists (PEM or one in DER)\n"
    "      --ocsp FILE      the OCSP response stapled to it (DER)\n"
    "      --scts FILE      timestamps that came beside it in a TLS extension (the list, RFC 6962, 3.3)\n"
    "      --known FILE     known kits and interception roots (default: " KNOWN_DEFAULT ", if it is there)\n"
    "      --ct-logs FILE   list of CT logs (JSON, version 3) to check SCTs with; without it they are not "
    "checked\n"
    "  -h, --help           this text\n"
    "\n"
    "Writes one JSON object:\n"
    "  "
    "{\"class\",\"trusted\",\"errors\":[\"C04\",...],\"anomalies\":[\"P01\",...],\"refused_for\":[...],"
    "\"path\":[...],\"chain\":[...]}\n"
    "class      public: leads to a public root of the system; private_known: to a root of --trust, "
    "--also-trust, or one\n"
    "           that an administrator added to the system; self_signed: the server's own; private_unknown: "
    "else\n"
    "errors     all that was found, also what trust doesn't depend on; refused_for: those for which it isn't "
    "trusted\n"
    "scts       of the server's own, in it, in --scts and in --ocsp: none, valid, invalid, unknown_log, or "
    "not_checked\n"
    "path       SHA-256 of the certificates of the best path, its anchor last\n"
    "chain      the certificates as sent\n"
    "\n"
    "exit codes: 0 trusted   1 not trusted   2 wrong usage, or a file can't be read\n"
    "\n"
    "examples:\n"
    "  openssl s_client -connect example.com:443 -servername example.com -showcerts </dev/null |\n"
    "      exeat inspect chain --name example.com - | jq '{class,trusted,errors,anomalies}'\n"
    "  exeat inspect chain --name intranet.corp.example --trust corp-root.pem --time 2026-01-01T00:00:00Z "
    "chain.pem\n";

static const char host_help[] =
    "usage: exeat inspect host [OPTION...] NAME[:PORT]\n"
    "\n"
    "Connects to a server (port 443 unless said), lets it show its certificates, and judges them as\n"
    "`exeat inspect chain` does: the same JSON. Nothing is sent but the handshake.\n"
    "\n"
    "      --name NAME      judge for another name; NAME[:PORT] is still whom it asks\n"
    "      --connect NAME   a second name to check\n"
    "      --time RFC3339   judge as of this time (default: now)\n"
    "      --trust FILE     roots (PEM) instead of the system's; may be given several times\n"
    "      --also-trust FILE  roots beside the system's\n"
    "      --intermediates FILE  certificates (PEM) known from elsewhere, to fill gaps\n"
    "      --crl FILE       certificate revocation lists (PEM or one in DER)\n"
    "      --known FILE     known kits and interception roots (default: " KNOWN_DEFAULT ", if it is there)\n"
    "      --ct-logs FILE   list of CT logs (JSON, version 3) to check SCTs with; without it they are not "
    "checked\n"
    "  -h, --help           this text\n"
    "\n"
    "exit codes: 0 trusted   1 not trusted   2 wrong usage, nobody answers, or not with TLS\n"
    "\n"
    "examples:\n"
    "  exeat inspect host example.com | jq '{class,trusted,errors,anomalies}'\n"
    "  exeat inspect host --trust corp-root.pem intranet.corp.example:8443\n";

/* The two commands. */
struct wording {
    const char *words, *help, *wanted;
};
static const struct wording chain_wording = {"inspect chain", help, "name a file of certificates, or -"},
                            host_wording = {"inspect host", host_help, "name one server: NAME or NAME:PORT"};

/* What the arguments say, and what was read for it. */
struct inspection {
    const struct wording *wording;
    struct inspect_target target;   /* of `inspect host` */
    struct inspect_fetched fetched; /* its chain is `chain`, once taken; ocsp is owned */
    const char *name, *connect, *time, *known_file, *crl_file, *ct_file, *cached_file, *ocsp_file, *scts_file,
        *file;                          /* borrowed from argv; NULL: not given */
    const char *trust_files[FILES_MAX]; /* likewise */
    size_t trust_count;
    bool system_roots;
    struct host host, connect_host;
    struct chain_question question; /* its pointers are owned by free_inspection() */
    struct trust *trust;            /* owned */
    struct chain *chain, *cached;   /* owned */
    struct chain_crls *crls;        /* owned */
    struct chain_known *known;      /* owned */
    struct ct_logs *ct_logs;        /* owned */
};

bool inspect_chain_public_suffix(const char *domain)
{
    const psl_ctx_t *list = psl_builtin();
    return list && psl_is_public_suffix(list, domain);
}

/* ---- reading ---- */

/* All of a file into `ret`, which the caller frees. */
static int read_file(const char *path, struct buf *ret, struct err *reterr)
{
    bool from_stdin = strcmp(path, "-") == 0;
    FILE *f = from_stdin ? stdin : fopen(path, "re");
    uint8_t chunk[16384];
    int result = 0;
    buf_init(ret, FILE_BYTES_MAX);
    if (!f)
        return err_set(reterr, path, 0, 0, "cannot be read: %s", strerror(errno));
    for (size_t n; result == 0 && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        result = buf_append(ret, chunk, n);
    if (result != 0)
        err_set(reterr, path, 0, 0, "more than %d bytes", FILE_BYTES_MAX);
    else if (ferror(f))
        result = err_set(reterr, path, 0, 0, "cannot be read: %s", strerror(errno));
    if (!from_stdin)
        fclose(f);
    return result;
}

static struct chain *read_chain(const char *path, struct err *reterr)
{
    struct buf text;
    struct chain *c = read_file(path, &text, reterr) == 0 ? chain_parse_pem(buf_span(&text), reterr) : NULL;
    if (!c && reterr->file[0] == '\0')
        snprintf(reterr->file, sizeof reterr->file, "%s", path);
    buf_free(&text);
    return c;
}

static int read_crls(struct inspection *in, struct err *reterr)
{
    struct buf text;
    in->crls = read_file(in->crl_file, &text, reterr) == 0 ? chain_crls_parse(buf_span(&text), reterr) : NULL;
    if (!in->crls && reterr->file[0] == '\0')
        snprintf(reterr->file, sizeof reterr->file, "%s", in->crl_file);
    buf_free(&text);
    return in->crls ? 0 : -1;
}

/* The default file may be missing. */
static int read_known(struct inspection *in, struct err *reterr)
{
    struct buf text;
    const char *path = in->known_file ? in->known_file : KNOWN_DEFAULT;
    struct err ignored = {0};
    bool there = read_file(path, &text, in->known_file ? reterr : &ignored) == 0;
    in->known = there ? chain_known_parse(buf_span(&text), path, reterr) : NULL;
    buf_free(&text);
    return in->known || (!there && !in->known_file) ? 0 : -1;
}

static int read_ct_logs(struct inspection *in, struct err *reterr)
{
    struct buf text;
    if (!in->ct_file)
        return 0;
    if (read_file(in->ct_file, &text, reterr) == 0)
        in->ct_logs = ct_logs_parse(buf_span(&text), in->ct_file, reterr);
    buf_free(&text);
    return in->ct_logs ? 0 : -1;
}

static int read_inputs(struct inspection *in, struct err *reterr)
{
    if (in->wording == &host_wording && inspect_host_fetch(&in->target, &in->fetched, reterr) != 0)
        return -1;
    in->chain = in->wording == &host_wording ? in->fetched.chain : read_chain(in->file, reterr);
    if (!in->chain)
        return -1;
    in->trust = trust_new(in->system_roots, in->trust_files, in->trust_count, reterr);
    if (!in->trust || (in->crl_file && read_crls(in, reterr) != 0) || read_known(in, reterr) != 0 ||
        read_ct_logs(in, reterr) != 0)
        return -1;
    if (in->ocsp_file) {
        buf_free(&in->fetched.ocsp); /* instead of what the server stapled */
        if (read_file(in->ocsp_file, &in->fetched.ocsp, reterr) != 0)
            return -1;
    }
    in->question.ocsp = buf_span(&in->fetched.ocsp);
    if (in->scts_file) {
        buf_free(&in->fetched.scts);
        if (read_file(in->scts_file, &in->fetched.scts, reterr) != 0)
            return -1;
    }
    in->question.scts = buf_span(&in->fetched.scts);
    in->cached = in->cached_file ? read_chain(in->cached_file, reterr) : NULL;
    return in->cached_file && !in->cached ? -1 : 0;
}

static void free_inspection(struct inspection *in)
{
    chain_free(in->chain);
    buf_free(&in->fetched.ocsp);
    buf_free(&in->fetched.scts);
    chain_free(in->cached);
    trust_free(in->trust);
    chain_crls_free(in->crls);
    chain_known_free(in->known);
    ct_logs_free(in->ct_logs);
}

/* ---- writing ---- */

static void write_set(struct json *j, const char *key, struct chain_set set, char kind)
{
    json_array(j, key);
    for (enum chain_anomaly a = chain_set_next(set, 0); a != CHAIN_ANOMALY_NONE;
         a = chain_set_next(set, a + 1))
        if (!kind || chain_anomaly_table[a].id[0] == kind)
            json_str(j, NULL, chain_anomaly_table[a].id);
    json_end_array(j);
}

static void write_name(struct json *j, const struct chain_name *n)
{
    static const char *const prefixes[] = {[CHAIN_NAME_EMAIL] = "email:",
                                           [CHAIN_NAME_URI] = "URI:",
                                           [CHAIN_NAME_DIRECTORY] = "dirName:",
                                           [CHAIN_NAME_OTHER] = "other:"};
    if (n->kind == CHAIN_NAME_DNS || n->kind == CHAIN_NAME_IP) {
        json_span(j, NULL, n->text);
        return;
    }
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    buf_append_str(&text, prefixes[n->kind]);
    buf_append(&text, n->text.data, n->text.len);
    json_span(j, NULL, buf_span(&text));
    buf_free(&text);
}

static void write_key(struct json *j, const struct chain_certificate *f)
{
    json_object(j, "key");
    json_str(j, "type", f->key_type);
    json_int(j, "bits", f->key_bits);
    json_str(j, "curve", f->curve);
    json_str(j, "sha256", f->key_sha256[0] ? f->key_sha256 : NULL);
    json_end_object(j);
}

void inspect_chain_write_certificate(struct json *j, const struct chain_certificate *f)
{
    char time[RFC3339_TEXT_BYTES];
    json_object(j, NULL);
    json_str(j, "sha256", f->sha256);
    json_bool(j, "malformed", f->malformed);
    if (!f->malformed) {
        json_str(j, "subject", f->subject);
        json_str(j, "issuer", f->issuer);
        json_str(j, "common_name", f->common_name);
        json_array(j, "sans");
        for (size_t i = 0; i < f->name_listed; i++)
            write_name(j, &f->names[i]);
        json_end_array(j);
        json_str(j, "not_before", f->times_good ? rfc3339_format(f->not_before_s, time) : NULL);
        json_str(j, "not_after", f->times_good ? rfc3339_format(f->not_after_s, time) : NULL);
        write_key(j, f);
        json_str(j, "signature", f->signature);
        json_str(j, "serial", f->serial);
        json_int(j, "version", f->version);
        json_bool(j, "is_ca", f->is_ca);
        if (f->path_length >= 0)
            json_int(j, "path_length", f->path_length);
        json_bool(j, "self_signed", f->self_signed);
        json_bool(j, "has_scts", f->has_scts);
    }
    json_end_object(j);
}

static void write_report(struct json *j, const struct chain *c, const struct chain_report *r,
                         const struct chain_question *q)
{
    char time[RFC3339_TEXT_BYTES];
    json_object(j, NULL);
    json_str(j, "class", chain_class_name(r->class));
    json_bool(j, "trusted", r->trusted);
    write_set(j, "errors", r->found, 'C');
    write_set(j, "anomalies", r->found, 'P');
    write_set(j, "refused_for", r->refused, 0);
    json_str(j, "name", q->name);
    if (q->connect_name) {
        json_bool(j, "name_mismatch", r->name_mismatch);
        json_bool(j, "connect_mismatch", r->connect_mismatch);
    }
    json_str(j, "time", rfc3339_format(q->time_s, time));
    json_str(j, "scts", ct_result_name(r->scts));
    if (r->interceptor)
        json_str(j, "interceptor", r->interceptor);
    if (r->kit)
        json_str(j, "kit", r->kit);
    json_array(j, "path");
    for (size_t i = 0; i < r->path_count; i++)
        json_str(j, NULL, r->path_sha256[i]);
    json_end_array(j);
    json_array(j, "chain");
    for (size_t i = 0; i < chain_count(c); i++)
        inspect_chain_write_certificate(j, chain_certificate_at(c, i));
    json_end_array(j);
    json_end_object(j);
}

int inspect_chain_write(const struct chain *c, const struct chain_report *r, const struct chain_question *q,
                        FILE *out)
{
    struct buf text;
    struct json j;
    buf_init(&text, OUTPUT_BYTES_MAX);
    json_init(&j, &text);
    write_report(&j, c, r, q);
    buf_append(&text, "\n", 1);
    size_t len = buf_len(&text);
    bool good = !text.failed && fwrite(buf_span(&text).data, 1, len, out) == len && fflush(out) == 0;
    buf_free(&text);
    return good ? 0 : -1;
}

/* ---- arguments ---- */

static int read_host(const struct inspection *in, const char *text, struct host *ret, const char **ret_name)
{
    enum host_fault fault = host_canonical_bare(span_str(text), ret);
    if (fault != HOST_OK)
        return cmd_usage(in->wording->words, "%s: %s", text, host_fault_text(fault));
    *ret_name = ret->name;
    return CMD_OK;
}

/* The question's plain part. */
static int read_question(struct inspection *in)
{
    in->question = (struct chain_question){.time_s = (int64_t)time(NULL),
                                           .is_public_suffix = inspect_chain_public_suffix};
    if (in->time && !rfc3339_parse(span_str(in->time), &in->question.time_s))
        return cmd_usage(in->wording->words, "%s is not a time as in 2026-03-15T12:00:00Z", in->time);
    if (in->name && read_host(in, in->name, &in->host, &in->question.name) != CMD_OK)
        return CMD_USAGE;
    if (in->connect && read_host(in, in->connect, &in->connect_host, &in->question.connect_name) != CMD_OK)
        return CMD_USAGE;
    return CMD_OK;
}

/* NAME, NAME:PORT, an address, [IPv6]:PORT. */
static int read_target(struct inspection *in)
{
    enum { HTTPS = 443 };
    const char *name;
    struct inspect_target *t = &in->target;
    if (host_port_parse(span_str(in->file), HTTPS, &t->host, &t->port, NULL) != HOST_OK) {
        t->port = HTTPS; /* a bare IPv6 address */
        if (read_host(in, in->file, &t->host, &name) != CMD_OK)
            return CMD_USAGE;
    }
    in->name = in->name ? in->name : t->host.name;
    return CMD_OK;
}

static int add_trust(struct inspection *in, const char *file, bool with_system)
{
    if (in->trust_count == FILES_MAX)
        return cmd_usage(in->wording->words, "more than %d files of roots", FILES_MAX);
    in->trust_files[in->trust_count++] = file;
    in->system_roots = in->system_roots && with_system;
    return CMD_OK;
}

/* -1 to go on, else the exit code. */
static int read_arguments(struct inspection *in, int argc, char **argv)
{
    static const struct option options[] = {{"name", required_argument, NULL, 'n'},
                                            {"connect", required_argument, NULL, 'c'},
                                            {"time", required_argument, NULL, 't'},
                                            {"trust", required_argument, NULL, 'r'},
                                            {"also-trust", required_argument, NULL, 'a'},
                                            {"crl", required_argument, NULL, 'l'},
                                            {"ocsp", required_argument, NULL, 'o'},
                                            {"scts", required_argument, NULL, 'S'},
                                            {"known", required_argument, NULL, 'k'},
                                            {"ct-logs", required_argument, NULL, 's'},
                                            {"intermediates", required_argument, NULL, 'i'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char **const texts[128] = {
        ['n'] = &in->name,        ['c'] = &in->connect,    ['t'] = &in->time,
        ['l'] = &in->crl_file,    ['k'] = &in->known_file, ['s'] = &in->ct_file,
        ['i'] = &in->cached_file, ['o'] = &in->ocsp_file,  ['S'] = &in->scts_file};
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h')
            return fputs(in->wording->help, stdout) < 0 ? INSPECT_CHAIN_UNREADABLE : INSPECT_CHAIN_TRUSTED;
        if (o == 'r' || o == 'a') {
            if (add_trust(in, optarg, o == 'a') != CMD_OK)
                return CMD_USAGE;
        } else if (o > 0 && o < 128 && texts[o]) {
            *texts[o] = optarg;
        } else {
            return cmd_bad_option(in->wording->words, argc, argv);
        }
    }
    if (optind != argc - 1)
        return cmd_usage(in->wording->words, "%s", in->wording->wanted);
    in->file = argv[optind];
    if (in->wording == &host_wording && read_target(in) != CMD_OK)
        return CMD_USAGE;
    int result = read_question(in);
    return result == CMD_OK ? -1 : result;
}

static int inspect(struct inspection *in)
{
    struct err err = {0};
    struct chain_report report;
    if (read_inputs(in, &err) != 0)
        return cmd_fail(&err, INSPECT_CHAIN_UNREADABLE);
    struct chain_question *q = &in->question;
    q->trust = in->trust;
    q->cached = in->cached;
    q->crls = in->crls;
    q->known = in->known;
    q->ct_logs = in->ct_logs;
    if (chain_verify(in->chain, q, &report) != 0 || inspect_chain_write(in->chain, &report, q, stdout) != 0) {
        err_set(&err, NULL, 0, 0, "the answer can't be built or written");
        return cmd_fail(&err, INSPECT_CHAIN_UNREADABLE);
    }
    return report.trusted ? INSPECT_CHAIN_TRUSTED : INSPECT_CHAIN_UNTRUSTED;
}

static int run(const struct wording *wording, int argc, char **argv)
{
    struct inspection in = {.wording = wording, .system_roots = true};
    int result = read_arguments(&in, argc, argv);
    if (result >= 0)
        return result;
    must(in.file);
    result = inspect(&in);
    free_inspection(&in);
    return result;
}

int cmd_inspect_chain(int argc, char **argv)
{
    return run(&chain_wording, argc, argv);
}

int cmd_inspect_host(int argc, char **argv)
{
    return run(&host_wording, argc, argv);
}
