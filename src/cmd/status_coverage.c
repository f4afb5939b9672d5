/* status_coverage.c: `exeat status coverage`: what the rules of each analytic ask about, and of what share of the hosts that was observed. */
#include <jansson.h>

#include "cmd/admin_client.h"
#include "cmd/cmd.h"
#include "cmd/findings.h"
#include "cmd/terminal.h"

#include <inttypes.h>
#include <string.h>

static const char help[] =
    "usage: exeat status coverage [--all] [--json] [--state DIR | --config FILE]\n"
    "\n"
    "Says what the analytics can see here: for each, each of its rules and each fact that they ask about, of "
    "how many of the "
    "hosts\n"
    "that connected within 24 hours it was observed, by platform. A fact counts as observed where it was "
    "looked for, "
    "whether there\n"
    "was something or not. Facts that were observed of every host are named in one line, unless --all. A "
    "restart of the proxy\n"
    "forgets nothing but the last minutes.\n"
    "\n"
    "  -a, --all           each fact in a line of its own\n"
    "  -j, --json          the proxy's whole answer, for machines\n"
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then /etc/exeat)\n"
    "  -c, --config FILE   of the proxy with this configuration\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 done   1 there is no proxy, or no answer   2 wrong configuration or usage\n"
    "example: exeat status coverage --json | jq '.analytics[].facts[] | select(any(.platforms[]; .share < "
    "1)) | .fact'\n";

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* "linux 3 of 4 hosts (75 %), no agent 0 of 1" */
static void print_shares(const json_t *platforms)
{
    size_t i;
    const json_t *p;
    json_array_foreach(platforms, i, p)
    {
        int64_t hosts = number(p, "hosts"), seen = number(p, "observed");
        const char *name = text(p, "platform");
        fputs(i ? ", " : "", stdout);
        fputs(terminal_colour(stdout, seen == hosts ? COLOUR_GOOD : seen ? COLOUR_WARN : COLOUR_BAD), stdout);
        terminal_print(stdout, name[0] ? name : "no agent");
        printf(" %" PRId64 " of %" PRId64 " (%" PRId64 " %%)%s", seen, hosts, hosts ? 100 * seen / hosts : 0,
               terminal_colour(stdout, COLOUR_NONE));
    }
    puts(json_array_size(platforms) ? "" : "no host was seen yet");
}

static bool is_whole(const json_t *platforms)
{
    size_t i;
    const json_t *p;
    json_array_foreach(platforms, i, p)
    {
        if (number(p, "observed") < number(p, "hosts"))
            return false;
    }
    return json_array_size(platforms) > 0;
}

static void print_facts(const json_t *facts, bool all)
{
    size_t i;
    const json_t *f;
    unsigned whole = 0;
    json_array_foreach(facts, i, f)
    {
        if (all || !is_whole(json_object_get(f, "platforms"))) {
            printf("    %-32s ", text(f, "fact"));
            print_shares(json_object_get(f, "platforms"));
        }
    }
    json_array_foreach(facts, i, f)
    {
        if (!all && is_whole(json_object_get(f, "platforms")))
            printf("%s%s", whole++ ? ", " : "    of every host: ", text(f, "fact"));
    }
    if (whole)
        putchar('\n');
}

static void print_analytic(const json_t *a, bool all)
{
    size_t i;
    const json_t *r, *rules = json_object_get(a, "rules");
    printf("%s%s%s  ", terminal_colour(stdout, COLOUR_BOLD), text(a, "analytic"),
           terminal_colour(stdout, COLOUR_NONE));
    if (json_array_size(rules) == 0) {
        puts("no rule of it is loaded");
        return;
    }
    print_shares(json_object_get(a, "platforms"));
    json_array_foreach(rules, i, r)
    {
        fputs("  ", stdout);
        terminal_print(stdout, text(r, "title"));
        fputs(": ", stdout);
        print_shares(json_object_get(r, "platforms"));
    }
    print_facts(json_object_get(a, "facts"), all);
}

static void print_agents(const json_t *agents)
{
    size_t i, k;
    const json_t *a, *kind;
    json_array_foreach(agents, i, a)
    {
        fputs("agent on ", stdout);
        terminal_print(stdout, text(a, "host"));
        fputs(" (", stdout);
        terminal_print(stdout, text(a, "platform"));
        fputs(")", stdout);
        json_array_foreach(json_object_get(a, "not_observable"), k, kind)
        {
            fputs(k ? ", " : ": does not see ", stdout);
            terminal_print(stdout, json_is_string(kind) ? json_string_value(kind) : "");
        }
        putchar('\n');
    }
}

static void print_report(const json_t *o, bool all)
{
    size_t i;
    const json_t *a;
    print_agents(json_object_get(o, "agents"));
    json_array_foreach(json_object_get(o, "analytics"), i, a)
    {
        print_analytic(a, all);
    }
    if (number(o, "hosts_left_out"))
        printf("there were more hosts than can be counted: %" PRId64 " exchanges of others are left out\n",
               number(o, "hosts_left_out"));
    printf("what is rare or new is unknown before %" PRId64 " days and %" PRId64 " hosts of history\n",
           number(o, "min_days"), number(o, "min_hosts"));
}

static int show(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    int code = CMD_OK;
    json_t *o = admin_client_ask("GET", conf->admin.socket, "/coverage", reterr);
    if (!o)
        return -1;
    if (!a->json)
        print_report(o, a->all);
    else if (json_dumpf(o, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
        code = CMD_FAILED;
    json_decref(o);
    return code;
}

int cmd_status_coverage(int argc, char **argv)
{
    static const struct findings_command command = {"status coverage", help, "aj", false, show};
    return findings_run(argc, argv, &command);
}
