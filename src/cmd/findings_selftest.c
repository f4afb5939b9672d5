/* findings_selftest.c: `exeat findings selftest`: has the running proxy pretend what each analytic looks for, and says which fired. */
#include <jansson.h>

#include "cmd/admin_client.h"
#include "cmd/cmd.h"
#include "cmd/findings.h"
#include "cmd/terminal.h"

#include <string.h>

static const char help[] =
    "usage: exeat findings selftest [--json] [--state DIR | --config FILE]\n"
    "\n"
    "Has the running proxy pretend, for each rule of the five analytics, an exchange that it must find: "
    "through the baseline, "
    "rules, actions\n"
    "and suppressions that are in force. Nothing leaves. The records and findings say that they are tests, "
    "add to no risk, "
    "teach nothing,\n"
    "and the findings are closed at once. What this proxy could never know, as what a process did before "
    "where no agent "
    "sees that, is\n"
    "not pretended: its rule is told as not fired, and an analytic none of whose rules can fire fails.\n"
    "\n"
    "  -j, --json          the proxy's whole answer, for machines\n"
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then /etc/exeat)\n"
    "  -c, --config FILE   of the proxy with this configuration\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 each rule that can be answered here was true   1 one was not, or there is no proxy   2 "
    "wrong configuration or usage\n"
    "example: exeat findings selftest --json | jq '.analytics[] | select(.fired | not)'\n";

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void print_rules(const json_t *rules)
{
    size_t i;
    const json_t *r;
    json_array_foreach(rules, i, r)
    {
        fputs("    ", stdout);
        terminal_print(stdout, text(r, "title"));
        printf(": %s", text(r, "state"));
        if (text(r, "severity")[0])
            printf(", %s", text(r, "severity"));
        if (text(r, "outcome")[0])
            printf(", action %s %s", text(r, "action"), text(r, "outcome"));
        if (text(r, "ticket")[0]) {
            fputs(", by ", stdout);
            terminal_print(stdout, text(r, "ticket"));
        }
        putchar('\n');
    }
}

static void print_sentences(const json_t *list, const char *mark, enum colour colour)
{
    size_t i;
    const json_t *s;
    json_array_foreach(list, i, s)
    {
        printf("    %s%s%s", terminal_colour(stdout, colour), mark, terminal_colour(stdout, COLOUR_NONE));
        terminal_print(stdout, json_is_string(s) ? json_string_value(s) : "");
        putchar('\n');
    }
}

static void print_report(const json_t *o)
{
    size_t i;
    const json_t *a;
    json_array_foreach(json_object_get(o, "analytics"), i, a)
    {
        bool fired = json_is_true(json_object_get(a, "fired")),
             whole = json_is_true(json_object_get(a, "whole"));
        printf("%s  %s%-7s%s  %s\n", text(a, "analytic"),
               terminal_colour(stdout, whole ? COLOUR_GOOD : COLOUR_BAD),
               whole   ? "fired"
               : fired ? "IN PART"
                       : "MISSING",
               terminal_colour(stdout, COLOUR_NONE), text(a, "what"));
        print_rules(json_object_get(a, "rules"));
        print_sentences(json_object_get(a, "missing"), "missing: ", COLOUR_BAD);
        print_sentences(json_object_get(a, "notes"), "note: ", COLOUR_DIM);
    }
}

static int selftest(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    json_t *o = admin_client_ask("POST", conf->admin.socket, "/findings/selftest", reterr);
    if (!o)
        return -1;
    int code = json_is_true(json_object_get(o, "passed")) ? CMD_OK : CMD_FAILED;
    if (!a->json)
        print_report(o);
    else if (json_dumpf(o, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
        code = CMD_FAILED;
    json_decref(o);
    return code;
}

int cmd_findings_selftest(int argc, char **argv)
{
    static const struct findings_command command = {"findings selftest", help, "j", false, selftest};
    return findings_run(argc, argv, &command);
}
