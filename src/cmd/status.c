/* status.c: `exeat status`: asks the admin socket and shows the answer to a tired person: what is wrong first and in colour. */
#include <jansson.h>

#include "cmd/admin_client.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "cmd/terminal.h"
#include "conf/conf.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: exeat status [--flows] [--json] [--state DIR | --config FILE | --socket PATH]\n"
    "\n"
    "Shows what a running proxy is doing: policy, agent, workers, counters, records; what needs attention is "
    "said first.\n"
    "\n"
    "  -f, --flows         the live flows too\n"
    "  -j, --json          one JSON object for machines: {\"status\":{...}} and with --flows "
    "\"flows\":[...]\n"
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then /etc/exeat)\n"
    "  -c, --config FILE   of the proxy with this configuration\n"
    "  -S, --socket PATH   this admin socket\n"
    "  -h, --help          this text\n"
    "\n"
    "NO_COLOR=1 turns colour off; where the output is no terminal there is none.\n"
    "exit codes: 0 running and well   1 not running, or no answer   2 wrong usage   3 running, but something "
    "needs attention\n"
    "examples: exeat status\n"
    "          exeat status --json | jq .status.totals.blocked\n";

enum { NEEDS_ATTENTION = 3, EXCEPTION_WARN_S = 2 * 86400 };

/* ---- small readers: what is not there is 0 or "" ---- */

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void pad(unsigned columns, unsigned width)
{
    while (columns++ < width)
        putchar(' ');
}

static void label(const char *name)
{
    fputs(terminal_colour(stdout, COLOUR_DIM), stdout);
    printf("%-10s", name);
    fputs(terminal_colour(stdout, COLOUR_NONE), stdout);
}

static void coloured(enum colour c, const char *what)
{
    fputs(terminal_colour(stdout, c), stdout);
    terminal_print(stdout, what);
    fputs(terminal_colour(stdout, COLOUR_NONE), stdout);
}

/* "3 d 4 h", "12 min", "5 s" */
static void print_duration(int64_t s)
{
    if (s >= 86400)
        printf("%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        printf("%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        printf("%" PRId64 " min", s / 60);
    else
        printf("%" PRId64 " s", s);
}

static const char *format_bytes(int64_t n, char ret[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)n;
    size_t unit = 0;
    for (; value >= 1024 && unit < 5; unit++)
        value /= 1024;
    snprintf(ret, 24, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return ret;
}

/* ---- what is wrong ---- */

static void warn(unsigned *count, enum colour c, const char *what, const char *detail)
{
    (*count)++;
    coloured(c, "! ");
    coloured(c, what);
    if (detail[0]) {
        fputs(": ", stdout);
        terminal_print(stdout, detail);
    }
    putchar('\n');
}

/* Whoever answers for it hears it before it ends, and that it is to be taken out afterwards. */
static void warn_of_exceptions(const json_t *s, unsigned *count)
{
    size_t i;
    const json_t *e;
    json_array_foreach(json_object_get(s, "exceptions"), i, e)
    {
        char detail[512];
        int64_t left_s = number(e, "left_s");
        if (left_s > EXCEPTION_WARN_S)
            continue;
        snprintf(detail, sizeof detail, "%.100s (%.60s, %.60s), %s", text(e, "name"), text(e, "ticket"),
                 text(e, "owner"), text(e, "expires"));
        warn(count, COLOUR_WARN,
             left_s > 0 ? "an exception in the baseline ends soon" : "an exception in the baseline has ended",
             detail);
    }
}

static unsigned print_warnings(const json_t *s)
{
    unsigned count = 0;
    size_t i;
    const json_t *w, *ledger = json_object_get(s, "ledger"), *totals = json_object_get(s, "totals");
    if (text(s, "reload_error")[0])
        warn(&count, COLOUR_BAD, "the last reload was refused, an older policy is in force",
             text(s, "reload_error"));
    if (text(ledger, "last_error")[0])
        warn(&count, COLOUR_BAD, "the records' file", text(ledger, "last_error"));
    if (text(json_object_get(s, "history"), "last_error")[0])
        warn(&count, COLOUR_BAD, "the database of what was seen before",
             text(json_object_get(s, "history"), "last_error"));
    if (number(totals, "records_refused") > 0)
        warn(&count, COLOUR_BAD, "records were refused because their queue was full", "see records_refused");
    json_array_foreach(json_object_get(s, "workers"), i, w)
    {
        char name[32];
        snprintf(name, sizeof name, "worker %" PRId64, number(w, "worker"));
        const json_t *agent = json_object_get(w, "agent");
        if (!json_is_true(json_object_get(w, "answered")))
            warn(&count, COLOUR_BAD, "it does not answer", name);
        else if (text(s, "agent_socket")[0] && !json_is_true(json_object_get(agent, "connected")))
            warn(&count, COLOUR_BAD, "no agent: senders are unknown", text(agent, "state"));
        if (number(json_object_get(w, "net"), "accept_paused") > 0)
            warn(&count, COLOUR_WARN, "it ran out of file descriptors at times", name);
    }
    warn_of_exceptions(s, &count);
    return count;
}

/* ---- the table ---- */

static void print_head(const json_t *s)
{
    const char *mode = text(s, "mode");
    size_t i;
    const json_t *l;
    label("proxy");
    printf("exeatd ");
    terminal_print(stdout, text(s, "version"));
    printf(", pid %" PRId64 ", up ", number(s, "pid"));
    print_duration((number(s, "now_ms") - number(s, "started_ms")) / 1000);
    fputs(", at", stdout);
    json_array_foreach(json_object_get(s, "listeners"), i, l)
    {
        putchar(' ');
        terminal_print(stdout, text(l, "address"));
        if (json_is_true(json_object_get(l, "tls")))
            fputs(" (TLS)", stdout);
    }
    putchar('\n');
    label("policy");
    coloured(strcmp(mode, "enforce") == 0 ? COLOUR_GOOD : COLOUR_WARN, mode);
    printf(", generation %" PRId64 ", ", number(s, "generation"));
    terminal_print(stdout, text(s, "baseline_file"));
    putchar('\n');
}

static void print_agent(const json_t *s)
{
    const json_t *agent = json_object_get(json_array_get(json_object_get(s, "workers"), 0), "agent");
    bool connected = json_is_true(json_object_get(agent, "connected"));
    label("agent");
    coloured(connected                    ? COLOUR_GOOD
             : text(s, "agent_socket")[0] ? COLOUR_BAD
                                          : COLOUR_WARN,
             text(agent, "state"));
    putchar('\n');
    size_t i;
    const json_t *sentence;
    json_array_foreach(json_object_get(agent, "degraded"), i, sentence)
    {
        label("");
        terminal_print(stdout, json_string_value(sentence));
        putchar('\n');
    }
}

/* "missed    120000 events of processes, 3 of files, 0 forgotten early: what senders did before is a lower bound" */
static void print_losses(const json_t *s)
{
    const json_t *agent = json_object_get(json_array_get(json_object_get(s, "workers"), 0), "agent");
    const json_t *l = json_object_get(agent, "losses");
    int64_t events = number(l, "events"), files = number(l, "files"), forgotten = number(l, "forgotten");
    char line[200];
    if (events + files + forgotten == 0)
        return;
    label("missed");
    snprintf(line, sizeof line,
             "%" PRId64 " events of processes, %" PRId64 " of files, %" PRId64
             " forgotten early: what senders did before is a lower bound",
             events, files, forgotten);
    coloured(COLOUR_WARN, line);
    putchar('\n');
}

enum { AROUND_SHOWN = 4 };

/* "around    no lock; tried: 12 tcp, 3 udp; latest: /home/ann/x (uid 1000) 2 tcp, 203.0.113.5:443" */
static void print_around(const json_t *s)
{
    const json_t *agent = json_object_get(json_array_get(json_object_get(s, "workers"), 0), "agent");
    const json_t *a = json_object_get(agent, "around"), *lock = json_object_get(a, "lock"), *sender;
    size_t i;
    if (!a)
        return;
    label("around");
    coloured(json_is_true(lock) ? COLOUR_GOOD : COLOUR_WARN,
             json_is_true(lock) ? "locked"
             : json_is_false(lock)
                 ? "no lock: programs can get out without the proxy (packaging/nftables has one)"
                 : "lock not known");
    if (json_is_true(json_object_get(a, "observed")))
        printf("; tried without the proxy: %" PRId64 " tcp, %" PRId64 " udp", number(a, "tcp"),
               number(a, "udp"));
    else
        terminal_print(stdout, "; who tries is not seen");
    putchar('\n');
    json_array_foreach(json_object_get(a, "senders"), i, sender)
    {
        const char *executable = text(sender, "executable");
        fputs("          ", stdout);
        terminal_print(stdout, executable[0] ? executable : text(sender, "name"));
        printf(" (uid %" PRId64 ") %" PRId64 " ", number(sender, "uid"), number(sender, "count"));
        terminal_print(stdout, text(sender, "transport"));
        fputs(", last ", stdout);
        terminal_print(stdout, text(sender, "last"));
        putchar('\n');
        if (i + 1 == AROUND_SHOWN)
            break;
    }
}

static void print_ledger(const json_t *s)
{
    const json_t *l = json_object_get(s, "ledger");
    label("records");
    printf("%" PRId64 " written, %" PRId64 " waiting, %" PRId64 " of %" PRId64 " places kept, ",
           number(l, "written"), number(l, "queued"), number(l, "reserved"), number(l, "slots"));
    terminal_print(stdout, text(l, "file"));
    putchar('\n');
}

static void print_history(const json_t *s)
{
    const json_t *h = json_object_get(s, "history");
    label("history");
    printf("%" PRId64 " names known, %" PRId64 " forgotten, %" PRId64 " rows written, %" PRId64 " dropped, ",
           number(h, "names"), number(h, "forgotten"), number(h, "written"), number(h, "dropped"));
    terminal_print(stdout, text(h, "database"));
    putchar('\n');
}

/* Programs that did not accept the inspection CA: whoever approves of one names it in the baseline. */
static void print_pins(const json_t *s)
{
    size_t i;
    const json_t *p;
    json_array_foreach(json_object_get(s, "pins"), i, p)
    {
        label(i == 0 ? "pins" : "");
        terminal_print(stdout, text(p, "executable"));
        fputs(" does not accept the inspection CA for ", stdout);
        terminal_print(stdout, text(p, "host"));
        printf(" (%s, %" PRId64 " times)\n", text(p, "why"), number(p, "times"));
    }
}

static void print_workers(const json_t *s)
{
    static const char *const columns[] = {"connections", "exchanges", "allowed", "blocked", "failed"};
    char out[24], in[24];
    size_t i;
    const json_t *w;
    coloured(
        COLOUR_BOLD,
        "worker  flows  connections  exchanges    allowed    blocked     failed   bytes out    bytes in");
    putchar('\n');
    json_array_foreach(json_object_get(s, "workers"), i, w)
    {
        const json_t *c = json_object_get(w, "counters");
        printf("%6" PRId64 "%7" PRId64, number(w, "worker"), number(w, "flows"));
        for (size_t k = 0; k < sizeof columns / sizeof columns[0]; k++)
            printf("%*" PRId64, k == 0 ? 13 : 11, number(c, columns[k]));
        printf("%12s%12s\n", format_bytes(number(c, "bytes_out"), out),
               format_bytes(number(c, "bytes_in"), in));
    }
}

/* All that is not zero, two a line. */
static void print_totals(const json_t *s)
{
    const char *name;
    const json_t *value;
    unsigned shown = 0;
    label("totals");
    json_object_foreach(json_object_get(s, "totals"), name, value)
    {
        char line[96];
        if (json_integer_value(value) == 0)
            continue;
        if (shown && shown % 3 == 0)
            fputs("\n          ", stdout);
        snprintf(line, sizeof line, "%s %" JSON_INTEGER_FORMAT, name, json_integer_value(value));
        pad(terminal_print(stdout, line), 28);
        shown++;
    }
    puts(shown ? "" : "nothing yet");
}

static void print_flows(const json_t *flows)
{
    char out[24], in[24];
    size_t i;
    const json_t *f;
    coloured(COLOUR_BOLD, "state        age s  sender                              destination               "
                          "     verdict  out / in");
    putchar('\n');
    json_array_foreach(flows, i, f)
    {
        char line[512];
        const char *executable = text(f, "executable");
        pad(terminal_print(stdout, text(f, "state")), 10);
        printf("%8" PRId64 "  ", number(f, "age_ms") / 1000);
        snprintf(line, sizeof line, "%.200s %s%" PRId64, executable[0] ? executable : text(f, "client"),
                 executable[0] ? "pid " : "", number(f, "pid"));
        if (!executable[0])
            snprintf(line, sizeof line, "%.100s (%.40s)", text(f, "client"), text(f, "confidence"));
        pad(terminal_print(stdout, line), 36);
        snprintf(line, sizeof line, "%.255s:%" PRId64, text(f, "host"), number(f, "port"));
        pad(terminal_print(stdout, text(f, "host")[0] ? line : "-"), 31);
        pad(terminal_print(stdout, text(f, "verdict")), 9);
        printf("%s / %s\n", format_bytes(number(f, "bytes_out"), out),
               format_bytes(number(f, "bytes_in"), in));
    }
    if (json_array_size(flows) == 0)
        puts("no live flows");
}

static int print_table(const json_t *s, const json_t *flows)
{
    unsigned warnings = print_warnings(s);
    print_head(s);
    print_agent(s);
    print_losses(s);
    print_around(s);
    print_ledger(s);
    print_history(s);
    print_pins(s);
    putchar('\n');
    print_workers(s);
    putchar('\n');
    print_totals(s);
    if (flows) {
        putchar('\n');
        print_flows(flows);
    }
    return warnings ? NEEDS_ATTENTION : CMD_OK;
}

/* ---- the command ---- */

struct request {
    const char *state, *config, *socket;
    bool flows, json;
};

static int show(const char *socket, const struct request *r)
{
    struct err err = {0};
    json_t *s = admin_client_ask("GET", socket, "/status", &err);
    json_t *f = s && r->flows ? admin_client_ask("GET", socket, "/flows?most=1000", &err) : NULL;
    int code;
    if (!s || (r->flows && !f)) {
        code = cmd_fail(&err, CMD_FAILED);
    } else if (r->json) {
        json_t *all = json_pack("{sO}", "status", s);
        if (f)
            json_object_set(all, "flows", json_object_get(f, "flows"));
        code = json_dumpf(all, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF ? CMD_OK : CMD_FAILED;
        json_decref(all);
    } else {
        code = print_table(s, json_object_get(f, "flows"));
    }
    json_decref(s);
    json_decref(f);
    return code;
}

static int find_and_show(const struct request *r)
{
    struct err err = {0};
    char path[PLACE_PATH_BYTES];
    if (r->socket)
        return show(r->socket, r);
    struct conf *conf = conf_load(place_config(r->config, r->state, path), &err);
    if (!conf)
        return cmd_fail(&err, CMD_USAGE);
    int code = show(conf->admin.socket, r);
    conf_free(conf);
    return code;
}

int cmd_status(int argc, char **argv)
{
    static const struct option options[] = {{"flows", no_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"state", required_argument, NULL, 's'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"socket", required_argument, NULL, 'S'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct request r = {0};
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "fjs:c:S:h", options, NULL)) != -1;) {
        if (o == 'h')
            return fputs(help, stdout), CMD_OK;
        if (o == 'f')
            r.flows = true;
        else if (o == 'j')
            r.json = true;
        else if (o == 's')
            r.state = optarg;
        else if (o == 'c')
            r.config = optarg;
        else if (o == 'S')
            r.socket = optarg;
        else
            return cmd_bad_option("status", argc, argv);
    }
    if (optind < argc)
        return cmd_usage("status", "%s is not understood", argv[optind]);
    if (!!r.state + !!r.config + !!r.socket > 1)
        return cmd_usage("status", "--state, --config and --socket exclude each other");
    return find_and_show(&r);
}
