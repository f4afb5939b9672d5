/* baseline_except.c: `exeat baseline except`: puts an exception in front of the baseline's entries: somebody answers for it, and it ends by itself. */
#include "cmd/baseline.h"

#include "base/must.h"
#include "base/rfc3339.h"
#include "base/yaml.h"
#include "cmd/cmd.h"
#include "cmd/replace_file.h"
#include "run/kinds_load.h"

#include <getopt.h>
#include <stdlib.h>
#include <time.h>

enum { FILE_BYTES_MAX = 8 * 1024 * 1024, LIST_MAX = 16, DAY_S = 86400 };

static const char help[] =
    "usage: exeat baseline except --owner NAME --ticket ID --reason TEXT --match KEY=VALUE --host "
    "HOST[:PORT]\n"
    "                             [--days N] [--name NAME] [--state DIR | --config FILE]\n"
    "\n"
    "Lets a sender out to a host for a while: an entry in front of the baseline's others, with an end that "
    "nobody\n"
    "has to remember. Live flows that it let out are ended with it. Reload exeatd to bring it into force.\n"
    "\n"
    "      --owner NAME       who answers for it\n"
    "      --ticket ID        where that is written\n"
    "      --reason TEXT      why\n"
    "  -m, --match KEY=VALUE  the sender: executable, package, sha256, user, unit, script, parent, ... as in "
    "the\n"
    "                         baseline's match; several must all hold\n"
    "  -H, --host HOST:PORT   where to; port 443 unless given; several are let out all\n"
    "      --days N           until then: 7 unless given, 90 at most\n"
    "      --name NAME        of the entry (default: exception ID)\n" BASELINE_PLACES "\n"
    "exit codes: 0 done   1 the baseline can't be written   2 wrong configuration or usage\n"
    "example: exeat baseline except --owner alice --ticket OPS-17 --reason \"vendor upload\" \\\n"
    "             --match executable=/opt/vendor/upload --host files.vendor.example && systemctl reload "
    "exeatd\n";

struct request {
    const char *owner, *ticket, *reason, *name, *state, *config; /* views into argv; NULL: not given */
    const char *matches[LIST_MAX], *hosts[LIST_MAX];
    size_t match_count, host_count;
    unsigned days;
};

static int read_days(const char *text, unsigned *ret)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || end == text || text[0] == '-' || value < 1 || value > BASELINE_EXCEPTION_DAYS_MAX)
        return -1;
    *ret = (unsigned)value;
    return 0;
}

static const char **text_of(struct request *r, int option)
{
    switch (option) {
    case 'o':
        return &r->owner;
    case 't':
        return &r->ticket;
    case 'r':
        return &r->reason;
    case 'n':
        return &r->name;
    case 's':
        return &r->state;
    case 'c':
        return &r->config;
    case 'm':
        return r->match_count < LIST_MAX ? &r->matches[r->match_count++] : NULL;
    case 'H':
        return r->host_count < LIST_MAX ? &r->hosts[r->host_count++] : NULL;
    default:
        return NULL;
    }
}

/* -1: go on; else the exit code. */
static int read_arguments(int argc, char **argv, const char *words, struct request *ret)
{
    static const struct option options[] = {{"owner", required_argument, NULL, 'o'},
                                            {"ticket", required_argument, NULL, 't'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"match", required_argument, NULL, 'm'},
                                            {"host", required_argument, NULL, 'H'},
                                            {"days", required_argument, NULL, 'd'},
                                            {"state", required_argument, NULL, 's'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    *ret = (struct request){.days = BASELINE_EXCEPTION_DAYS};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "m:H:s:c:h", options, NULL)) != -1;) {
        const char **text = text_of(ret, c);
        if (c == 'h')
            return fputs(help, stdout), CMD_OK;
        if (c == '?')
            return cmd_bad_option(words, argc, argv);
        if (c == 'd' && read_days(optarg, &ret->days) != 0)
            return cmd_usage(words, "1 to %d days are expected: %s", BASELINE_EXCEPTION_DAYS_MAX, optarg);
        if (c != 'd' && !text)
            return cmd_usage(words, "%d of these at most", LIST_MAX);
        if (text)
            *text = optarg;
    }
    if (optind < argc)
        return cmd_usage(words, "unexpected: %s", argv[optind]);
    if (!ret->owner || !ret->ticket || !ret->reason)
        return cmd_usage(words, "--owner, --ticket and --reason are needed: who answers for it, and why?");
    if (ret->match_count == 0 || ret->host_count == 0)
        return cmd_usage(words, "--match and --host are needed: who, and where to?");
    return -1;
}

/* ---- the entry ---- */

static void write_pair(struct buf *out, const char *key, const char *value)
{
    buf_append_str(out, key);
    buf_append_str(out, ": ");
    yaml_write_text(out, value);
}

static int write_match(struct buf *out, const struct request *r, struct err *reterr)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    buf_append_str(out, "    match: {");
    for (size_t i = 0; i < r->match_count; i++) {
        const char *text = r->matches[i];
        size_t len = strspn(text, letters);
        if (len == 0 || text[len] != '=')
            return err_set(reterr, NULL, 0, 0, "KEY=VALUE is expected, as executable=/usr/bin/rsync: %s",
                           text);
        buf_append_str(out, i ? ", " : "");
        buf_append(out, text, len);
        buf_append_str(out, ": ");
        yaml_write_text(out, text + len + 1);
    }
    buf_append_str(out, "}\n");
    return 0;
}

static int write_hosts(struct buf *out, const struct request *r, struct err *reterr)
{
    buf_append_str(out, "    allow:\n");
    for (size_t i = 0; i < r->host_count; i++) {
        struct host host;
        uint16_t port;
        enum host_fault fault = host_port_parse(span_str(r->hosts[i]), 443, &host, &port, NULL);
        if (fault != HOST_OK)
            return err_set(reterr, NULL, 0, 0, "%s: %s", r->hosts[i], host_fault_text(fault));
        buf_append_str(out, "      - {");
        write_pair(out, "host", host.name);
        buf_printf(out, ", ports: [%u]}\n", port);
    }
    return 0;
}

static int write_entry(struct buf *out, const struct request *r, int64_t now_s, struct err *reterr)
{
    char from[RFC3339_TEXT_BYTES], until[RFC3339_TEXT_BYTES], name[300];
    snprintf(name, sizeof name, "exception %.256s", r->ticket);
    buf_append_str(out, "  - ");
    write_pair(out, "name", r->name ? r->name : name);
    buf_append_str(out, "\n    ");
    write_pair(out, "owner", r->owner);
    buf_append_str(out, "\n    exception: {");
    write_pair(out, "ticket", r->ticket);
    buf_append_str(out, ", ");
    write_pair(out, "reason", r->reason);
    buf_printf(out, ", granted: \"%s\", expires: \"%s\"}\n", rfc3339_format(now_s, from),
               rfc3339_format(now_s + (int64_t)r->days * DAY_S, until));
    return write_match(out, r, reterr) != 0 ? -1 : write_hosts(out, r, reterr);
}

/* ---- into the baseline ---- */

size_t baseline_begin_of_senders(struct span text)
{
    static const char key[] = "senders:";
    for (size_t at = 0; at < text.len;) {
        const uint8_t *lf = memchr(text.data + at, '\n', text.len - at);
        size_t next = lf ? (size_t)(lf - text.data) + 1 : text.len;
        if (text.len - at >= sizeof key - 1 && memcmp(text.data + at, key, sizeof key - 1) == 0)
            return next;
        at = next;
    }
    return 0;
}

static int except(const struct conf *conf, const struct request *r, struct err *reterr)
{
    struct buf text, changed;
    struct baseline *b = NULL;
    buf_init(&text, FILE_BYTES_MAX);
    buf_init(&changed, FILE_BYTES_MAX);
    int result = baseline_read(conf, &text, &b, reterr) == 0 ? CMD_OK : CMD_USAGE;
    baseline_free(b);
    b = NULL;
    struct span whole = buf_span(&text);
    size_t at = result == CMD_OK ? baseline_begin_of_senders(whole) : 0;
    if (result == CMD_OK && at == 0)
        err_set(reterr, conf->policy.baseline, 0, 0, "there is no top-level list `senders:` to add to");
    if (at > 0) {
        buf_append(&changed, whole.data, at);
        if (write_entry(&changed, r, (int64_t)time(NULL), reterr) == 0) {
            buf_append(&changed, whole.data + at, whole.len - at);
            b = kinds_load_baseline(conf, buf_span(&changed), conf->policy.baseline, reterr);
        }
    }
    if (!b)
        result = CMD_USAGE;
    else if (replace_file(conf->policy.baseline, buf_span(&changed), reterr) != 0)
        result = CMD_FAILED;
    baseline_free(b);
    buf_free(&text);
    buf_free(&changed);
    return result;
}

int cmd_baseline_except(int argc, char **argv)
{
    struct request r;
    struct err err = {0};
    struct conf *conf;
    struct learned *l;
    int code = read_arguments(argc, argv, "baseline except", &r);
    if (code >= 0)
        return code;
    struct baseline_arguments places = {.state = r.state, .config = r.config};
    code = baseline_open(&places, &conf, &l, &err);
    if (code != CMD_OK)
        return cmd_fail(&err, code);
    learned_close(l);
    code = except(conf, &r, &err);
    if (code != CMD_OK)
        cmd_fail(&err, code);
    else
        printf("%s: for %u days. Reload exeatd to bring it into force\n", conf->policy.baseline, r.days);
    conf_free(conf);
    return code;
}
