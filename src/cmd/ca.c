/* ca.c: `exeat ca init|show|export|rotate`: the inspection CA's life, in the state folder's ca/. A key is made and moved here, and
 * never read or printed. Touches that folder and what --output names. */
#include "tls/ca.h"
#include "base/json.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "tls/keystore.h"
#include "tls/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = 86400, CONSTRAINTS_BYTES = 2000, FILE_BYTES_MAX = 4 << 20, SOON_DAYS = 30 };

static const char init_help[] =
    "usage: exeat ca init [--state DIR] [--name NAME] [--days N] [--permit DOMAIN]... [--exclude DOMAIN]... "
    "[--key URI]\n"
    "\n"
    "Makes the CA that signs certificates for clients where the proxy terminates TLS: ca/inspection-ca.pem "
    "and its key,\n"
    "ca/inspection-ca.key (0600), in the state folder. What is there already is never overwritten.\n"
    "\n"
    "  -s, --state DIR        default: /var/lib/exeat for root, ./exeat-state for others\n"
    "  -n, --name NAME        its common name, which users see; default: Exeat inspection CA, and this "
    "host's name\n"
    "  -d, --days N           how long it is valid; default 3650\n"
    "  -p, --permit DOMAIN    it may sign for this domain and those below it only (name constraints; then "
    "for no address)\n"
    "  -x, --exclude DOMAIN   but not for this one\n"
    "  -k, --key URI          with this existing key: a PEM file, or an OpenSSL provider's URI such as "
    "pkcs11:token=...\n"
    "  -h, --help             this text\n"
    "\n"
    "exit codes: 0 done   1 failed   2 wrong usage\n"
    "examples: exeat ca init\n"
    "          exeat ca init --permit corp.example --exclude bank.corp.example\n";

static const char show_help[] =
    "usage: exeat ca show [--state DIR] [--json]\n"
    "\n"
    "Says what the inspection CA is: subject, fingerprint, validity, constraints; and the next one, where\n"
    "`exeat ca rotate` has prepared it.\n"
    "\n"
    "  -s, --state DIR   default as for init\n"
    "  -j, --json        {\"current\":{...},\"next\":{...} or null}\n"
    "  -h, --help        this text\n"
    "\n"
    "exit codes: 0 valid for 30 days or more   1 not there, not valid, or not for long   2 wrong usage\n"
    "example: exeat ca show\n";

static const char export_help[] =
    "usage: exeat ca export [--state DIR] [--format pem|der|bundle|jks|env] [--output FILE] [--bundle FILE]\n"
    "\n"
    "Writes the inspection CA's certificate (the next one's, too, where it is prepared), never its key:\n"
    "  pem      for the system's store and NODE_EXTRA_CA_CERTS\n"
    "  der      for Windows, macOS and Android\n"
    "  bundle   the system's roots and the CA in one PEM file, for programs that take one file in their "
    "place\n"
    "  jks      the same as a Java keystore (password: " KEYSTORE_PASSWORD ")\n"
    "  env      lines for a shell: the variables of curl, openssl, python, node, git, cargo, aws and java, "
    "and the files they need\n"
    "\n"
    "  -s, --state DIR     default as for init\n"
    "  -f, --format NAME   default pem\n"
    "  -o, --output FILE   instead of the standard output; replaced when it is there\n"
    "  -b, --bundle FILE   where env's lines look for the bundle, java's beside it with .jks for .pem; "
    "default "
    "ca/inspection-bundle.pem of the state folder\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 done   1 failed   2 wrong usage\n"
    "examples: exeat ca export | sudo tee /usr/local/share/ca-certificates/exeat.crt && sudo "
    "update-ca-certificates\n"
    "          exeat ca export --format bundle --output ca/inspection-bundle.pem && eval \"$(exeat ca export "
    "--format env)\"\n";

static const char rotate_help[] =
    "usage: exeat ca rotate [--state DIR] [--now] [--name NAME] [--days N] [--permit DOMAIN]... [--exclude "
    "DOMAIN]...\n"
    "\n"
    "Two steps, so that clients know the next CA before it signs: without --now the next CA is made "
    "(ca/inspection-ca.next.*), and\n"
    "`exeat ca export` gives it to clients beside the current one; with --now it takes the current one's "
    "place: its certificate is\n"
    "kept as ca/inspection-ca.old.pem, its key is removed. Then HUP exeatd.\n"
    "\n"
    "      --now              the next CA, which must be there, takes the place of the current one\n"
    "  -s, --state DIR, -n, --name NAME, -d, --days N, -p, --permit DOMAIN, -x, --exclude DOMAIN   as for "
    "init\n"
    "  -h, --help             this text\n"
    "\n"
    "exit codes: 0 done   1 failed   2 wrong usage\n"
    "examples: exeat ca rotate\n"
    "          exeat ca rotate --now && systemctl reload exeatd\n";

struct ca_command {
    const char *words, *help;
    const char *state, *name, *key, *format, *output, *bundle; /* views into argv */
    int days;
    bool json, now;
    char constraints[CONSTRAINTS_BYTES];
    struct err err;
};

/* ---- arguments ---- */

static int add_constraint(struct ca_command *c, const char *kind, const char *domain)
{
    size_t len = strlen(c->constraints);
    if (domain[strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] ||
        !domain[0] || len + strlen(domain) + 128 > sizeof c->constraints)
        return cmd_usage(c->words, "%s is no domain", domain);
    if (!strstr(c->constraints, "permitted;") &&
        kind[0] == 'p') /* addresses are another kind of name: none of them either */
        len += (size_t)snprintf(c->constraints + len, sizeof c->constraints - len,
                                "%sexcluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::", len ? "," : "");
    snprintf(c->constraints + len, sizeof c->constraints - len, "%s%s;DNS:%s", len ? "," : "", kind, domain);
    return -1;
}

/* -1 to go on, else the exit code. `short_options` says which of all this command has. */
static int read_arguments(struct ca_command *c, int argc, char **argv, const char *short_options)
{
    static const struct option options[] = {{"state", required_argument, NULL, 's'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"days", required_argument, NULL, 'd'},
                                            {"permit", required_argument, NULL, 'p'},
                                            {"exclude", required_argument, NULL, 'x'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"bundle", required_argument, NULL, 'b'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"now", no_argument, NULL, 'w'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int result = -1;
    c->state = place_default_state();
    c->days = CA_DAYS_DEFAULT;
    optind = 1;
    for (int o; result < 0 && (o = getopt_long(argc, argv, short_options, options, NULL)) != -1;) {
        if (o == '?' || !strchr(short_options, o))
            return cmd_bad_option(c->words, argc, argv);
        const char **const texts[] = {['s'] = &c->state,  ['n'] = &c->name,   ['k'] = &c->key,
                                      ['f'] = &c->format, ['o'] = &c->output, ['b'] = &c->bundle};
        if (o == 'h')
            return fputs(c->help, stdout), CMD_OK;
        if (o == 'p' || o == 'x')
            result = add_constraint(c, o == 'p' ? "permitted" : "excluded", optarg);
        else if (o == 'd' && ((c->days = (int)strtol(optarg, NULL, 10)) < 1 || c->days > 36500))
            result = cmd_usage(c->words, "%s is no number of days from 1 to 36500", optarg);
        else if ((size_t)o < ARRAY_LEN(texts) && texts[o])
            *texts[o] = optarg;
        c->json |= o == 'j';
        c->now |= o == 'w';
    }
    if (result < 0 && optind < argc)
        return cmd_usage(c->words, "%s is not understood", argv[optind]);
    if (result < 0 && strlen(c->state) > PLACE_PATH_BYTES - 100)
        return cmd_usage(c->words, "the folder's name is too long");
    return result;
}

static char *path_of(const struct ca_command *c, const char *name, char ret[PLACE_PATH_BYTES])
{
    snprintf(ret, PLACE_PATH_BYTES, "%.3900s/ca%s%s", c->state, name[0] ? "/" : "", name);
    return ret;
}

static bool is_there(const struct ca_command *c, const char *name)
{
    char path[PLACE_PATH_BYTES];
    return access(path_of(c, name, path), F_OK) == 0;
}

/* ---- making ---- */

static int make_folders(struct ca_command *c)
{
    char path[PLACE_PATH_BYTES];
    if ((mkdir(c->state, 0750) != 0 && errno != EEXIST) ||
        (mkdir(path_of(c, "", path), 0750) != 0 && errno != EEXIST))
        return err_set(&c->err, c->state, 0, 0, "the folder ca cannot be made in it: %s", strerror(errno));
    return 0;
}

static int make(struct ca_command *c, const char *certificate, const char *key)
{
    char certificate_path[PLACE_PATH_BYTES], key_path[PLACE_PATH_BYTES], name[160] = "Exeat inspection CA ";
    gethostname(name + strlen(name), 64);
    const struct ca_plan plan = {.name = c->name ? c->name : name,
                                 .days = c->days,
                                 .constraints = c->constraints[0] ? c->constraints : NULL,
                                 .key = c->key};
    if (make_folders(c) != 0)
        return -1;
    path_of(c, key, key_path);
    if (ca_create(&plan, path_of(c, certificate, certificate_path), key_path, &c->err) != 0)
        return -1;
    printf("made  %s\n", certificate_path);
    if (!c->key)
        printf("made  %s  (0600; nobody else is to read it)\n", key_path);
    return 0;
}

int cmd_ca_init(int argc, char **argv)
{
    struct ca_command c = {.words = "ca init", .help = init_help};
    int result = read_arguments(&c, argc, argv, "s:n:d:p:x:k:h");
    if (result >= 0)
        return result;
    if (make(&c, "inspection-ca.pem", "inspection-ca.key") != 0)
        return cmd_fail(&c.err, CMD_FAILED);
    printf("\nin exeat.yaml:\n  inspection:\n    ca_certificate: ca/inspection-ca.pem\n    ca_key: %s\n"
           "then `handling: terminate` in policy, or of a sender or destination in the baseline, and a "
           "restart.\n"
           "next: exeat ca export, so that clients know it\n",
           c.key ? c.key : "ca/inspection-ca.key");
    return CMD_OK;
}

int cmd_ca_rotate(int argc, char **argv)
{
    static const char *const moves[][2] = {{"inspection-ca.pem", "inspection-ca.old.pem"},
                                           {"inspection-ca.next.key", "inspection-ca.key"},
                                           {"inspection-ca.next.pem", "inspection-ca.pem"}};
    struct ca_command c = {.words = "ca rotate", .help = rotate_help};
    char from[PLACE_PATH_BYTES], to[PLACE_PATH_BYTES];
    int result = read_arguments(&c, argc, argv, "s:n:d:p:x:wh");
    if (result >= 0)
        return result;
    bool next = is_there(&c, "inspection-ca.next.pem");
    if (!is_there(&c, "inspection-ca.pem"))
        err_set(&c.err, path_of(&c, "inspection-ca.pem", from), 0, 0,
                "there is no inspection CA: exeat ca init");
    else if (!c.now && make(&c, "inspection-ca.next.pem", "inspection-ca.next.key") == 0)
        return puts("next: exeat ca export, so that clients know it; then exeat ca rotate --now"), CMD_OK;
    else if (c.now && !next)
        err_set(&c.err, NULL, 0, 0, "no next CA is prepared: exeat ca rotate, without --now");
    if (!c.now || c.err.text[0])
        return cmd_fail(&c.err, CMD_FAILED);
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) /* an end in between is mended by running this again */
        if (is_there(&c, moves[i][0]) &&
            rename(path_of(&c, moves[i][0], from), path_of(&c, moves[i][1], to)) != 0) {
            err_set(&c.err, from, 0, 0, "cannot be renamed: %s", strerror(errno));
            return cmd_fail(&c.err, CMD_FAILED);
        }
    puts("the next CA is in place; next: HUP to exeatd");
    return CMD_OK;
}

/* ---- showing ---- */

/* A PEM file's first certificate; NULL with err. */
static struct chain *read_certificate(struct ca_command *c, const char *name)
{
    char path[PLACE_PATH_BYTES], *text = malloc(FILE_BYTES_MAX);
    FILE *f = fopen(path_of(c, name, path), "re");
    size_t len = f && text ? fread(text, 1, FILE_BYTES_MAX, f) : 0;
    struct chain *chain = NULL;
    if (!f)
        err_set(&c->err, path, 0, 0, "cannot be read: %s", strerror(errno));
    else
        chain = chain_parse_pem(span_of(text, len), &c->err);
    if (f)
        fclose(f);
    free(text);
    return chain;
}

/* "valid", "expires_soon", "expired", "not_yet_valid". */
static const char *state_of(const struct chain_certificate *f, int64_t now_s)
{
    return f->not_before_s > now_s                               ? "not_yet_valid"
           : f->not_after_s < now_s                              ? "expired"
           : f->not_after_s < now_s + (int64_t)SOON_DAYS * DAY_S ? "expires_soon"
                                                                 : "valid";
}

static void write_json(struct json *j, const char *key, const struct chain_certificate *f,
                       const char *constraints, int64_t now_s)
{
    char time_text[RFC3339_TEXT_BYTES];
    json_object(j, key);
    json_str(j, "subject", f->subject);
    json_str(j, "sha256", f->sha256);
    json_str(j, "not_before", rfc3339_format(f->not_before_s, time_text));
    json_str(j, "not_after", rfc3339_format(f->not_after_s, time_text));
    json_str(j, "key", f->curve ? f->curve : f->key_type);
    json_str(j, "constraints", constraints);
    json_str(j, "state", state_of(f, now_s));
    json_end_object(j);
}

static void write_text(const char *title, const struct chain_certificate *f, const char *constraints,
                       int64_t now_s)
{
    char from[RFC3339_TEXT_BYTES], until[RFC3339_TEXT_BYTES];
    printf("%s  %s\n  sha256       %s\n  valid        %s to %s: %s\n  key          %s\n", title, f->subject,
           f->sha256, rfc3339_format(f->not_before_s, from), rfc3339_format(f->not_after_s, until),
           state_of(f, now_s), f->curve ? f->curve : f->key_type);
    if (constraints)
        printf("  constraints  %s\n", constraints);
}

/* 1: there is none of that name; -1 with err. */
static int show_one(struct ca_command *c, const char *key, const char *file, struct json *j, bool *ret_good)
{
    char path[PLACE_PATH_BYTES];
    if (!is_there(c, file))
        return 1;
    struct chain *chain = read_certificate(c, file);
    struct ca *ca = chain ? ca_read(path_of(c, file, path), &c->err) : NULL;
    if (ca) {
        const struct chain_certificate *f = chain_certificate_at(chain, 0);
        int64_t now_s = (int64_t)time(NULL);
        *ret_good = strcmp(state_of(f, now_s), "valid") == 0;
        if (j)
            write_json(j, key, f, ca_constraints(ca), now_s);
        else
            write_text(key, f, ca_constraints(ca), now_s);
    }
    chain_free(chain);
    int result = ca ? 0 : -1;
    ca_free(ca);
    return result;
}

int cmd_ca_show(int argc, char **argv)
{
    struct ca_command c = {.words = "ca show", .help = show_help};
    struct buf text;
    struct json j;
    bool good = false, next_good = false;
    int result = read_arguments(&c, argc, argv, "s:jh");
    if (result >= 0)
        return result;
    buf_init(&text, FILE_BYTES_MAX);
    json_init(&j, &text);
    json_object(&j, NULL);
    int current = show_one(&c, "current", "inspection-ca.pem", c.json ? &j : NULL, &good);
    if (current > 0)
        err_set(&c.err, c.state, 0, 0, "there is no inspection CA here: exeat ca init");
    int next =
        current == 0 ? show_one(&c, "next", "inspection-ca.next.pem", c.json ? &j : NULL, &next_good) : -1;
    if (next > 0 && c.json)
        json_str(&j, "next", NULL);
    json_end_object(&j);
    if (c.json && next >= 0)
        printf("%.*s\n", (int)buf_len(&text), (const char *)buf_span(&text).data);
    buf_free(&text);
    return next < 0 ? cmd_fail(&c.err, CMD_FAILED) : good ? CMD_OK : CMD_FAILED;
}

/* ---- exporting ---- */

static int append_file(struct ca_command *c, const char *path, struct buf *out)
{
    uint8_t data[4096];
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(&c->err, path, 0, 0, "cannot be read: %s", strerror(errno));
    for (size_t n; (n = fread(data, 1, sizeof data, f)) > 0;)
        buf_append(out, data, n);
    fclose(f);
    return out->failed ? err_set(&c->err, path, 0, 0, "is too large") : 0;
}

static int write_pem(struct ca_command *c, struct buf *out)
{
    char path[PLACE_PATH_BYTES];
    if (append_file(c, path_of(c, "inspection-ca.pem", path), out) != 0)
        return -1;
    return is_there(c, "inspection-ca.next.pem")
               ? append_file(c, path_of(c, "inspection-ca.next.pem", path), out)
               : 0;
}

static int write_der(struct ca_command *c, struct buf *out)
{
    struct chain *chain = read_certificate(c, "inspection-ca.pem");
    if (!chain)
        return -1;
    struct span der = chain_certificate_at(chain, 0)->der;
    buf_append(out, der.data, der.len);
    chain_free(chain);
    return 0;
}

static int write_bundle(struct ca_command *c, struct buf *out)
{
    const char *system = trust_system_file();
    if (!system)
        return err_set(&c->err, NULL, 0, 0, "the system's root certificates are not to be found");
    return append_file(c, system, out) == 0 && buf_append_str(out, "\n") == 0 ? write_pem(c, out) : -1;
}

static int write_jks(struct ca_command *c, struct buf *out)
{
    struct buf pem;
    buf_init(&pem, FILE_BYTES_MAX);
    int result = write_bundle(c, &pem);
    if (result == 0 && keystore_write_jks(buf_span(&pem), (uint64_t)time(NULL) * 1000, out) <= 0)
        result = err_set(&c->err, NULL, 0, 0, "the certificates cannot be written as a Java keystore");
    buf_free(&pem);
    return result;
}

/* In single quotes, as a shell takes it. */
static void write_quoted(struct buf *out, const char *text)
{
    buf_append_str(out, "'");
    for (; *text; text++)
        buf_append_str(out, *text == '\'' ? "'\\''" : (char[]){*text, '\0'});
    buf_append_str(out, "'");
}

/* Without that file those programs would trust nobody. */
static void say_if_missing(struct buf *out, const char *file, const char *format)
{
    if (access(file, R_OK) != 0)
        buf_printf(out, "# %s is not there yet: exeat ca export --format %s --output it\n", file, format);
}

static int write_env(struct ca_command *c, struct buf *out)
{
    static const struct {
        const char *variable, *who;
        bool bundle; /* takes the place of the system's roots */
    } rows[] = {
        {"SSL_CERT_FILE", "openssl, python's ssl, ruby, go", true},
        {"CURL_CA_BUNDLE", "curl", true},
        {"REQUESTS_CA_BUNDLE", "python's requests", true},
        {"PIP_CERT", "pip", true},
        {"NODE_EXTRA_CA_CERTS", "node", false},
        {"npm_config_cafile", "npm, which asks no other where a cafile is configured", true},
        {"GIT_SSL_CAINFO", "git", true},
        {"CARGO_HTTP_CAINFO", "cargo", true},
        {"AWS_CA_BUNDLE", "aws", true},
    };
    char path[PLACE_PATH_BYTES], full[PLACE_PATH_BYTES], bundle[PLACE_PATH_BYTES],
        java[PLACE_PATH_BYTES + 64];
    if (!is_there(c, "inspection-ca.pem"))
        return err_set(&c->err, path_of(c, "inspection-ca.pem", path), 0, 0,
                       "there is no inspection CA: exeat ca init");
    must(realpath(path_of(c, "inspection-ca.pem", path), full));
    snprintf(bundle, sizeof bundle, "%.*s/inspection-bundle.pem", (int)(strrchr(full, '/') - full), full);
    const char *file = c->bundle ? c->bundle : bundle, *end = strrchr(file, '.');
    int stem = (int)(end && strcmp(end, ".pem") == 0 ? (size_t)(end - file) : strlen(file));
    snprintf(java, sizeof java, "-Djavax.net.ssl.trustStore=%.*s.jks", stem, file);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_printf(out, "export %s=", rows[i].variable);
        write_quoted(out, rows[i].bundle ? file : full);
        buf_printf(out, " # %s\n", rows[i].who);
    }
    buf_append_str(out, "export JAVA_TOOL_OPTIONS=");
    write_quoted(out, java);
    buf_append_str(out, " # java\n");
    buf_append_str(
        out,
        "# wget, as Debian builds it, reads no variable: ca_certificate in ~/.wgetrc, or --ca-certificate\n");
    say_if_missing(out, file, "bundle");
    say_if_missing(out, strchr(java, '=') + 1, "jks");
    return 0;
}

static int put_out(struct ca_command *c, const struct buf *out)
{
    struct span text = buf_span(out);
    FILE *file = c->output ? fopen(c->output, "we") : NULL, *f = c->output ? file : stdout;
    bool good = f && text.data && fwrite(text.data, 1, text.len, f) == text.len && fflush(f) == 0;
    if (!good)
        err_set(&c->err, c->output, 0, 0, "cannot be written: %s", strerror(errno));
    if (file && fclose(file) != 0)
        good = false;
    return good ? 0 : -1;
}

int cmd_ca_export(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*write)(struct ca_command *, struct buf *);
    } formats[] = {{"pem", write_pem},
                   {"der", write_der},
                   {"bundle", write_bundle},
                   {"jks", write_jks},
                   {"env", write_env}};
    struct ca_command c = {.words = "ca export", .help = export_help, .format = "pem"};
    int result = read_arguments(&c, argc, argv, "s:f:o:b:h");
    if (result >= 0)
        return result;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].name, c.format) != 0)
            continue;
        struct buf out;
        buf_init(&out, FILE_BYTES_MAX);
        result =
            formats[i].write(&c, &out) == 0 && put_out(&c, &out) == 0 ? CMD_OK : cmd_fail(&c.err, CMD_FAILED);
        buf_free(&out);
        return result;
    }
    return cmd_usage(c.words, "%s is no format: pem, der, bundle, jks or env", c.format);
}
