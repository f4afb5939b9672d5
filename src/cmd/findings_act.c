/* findings_act.c: `exeat findings ack|close|suppress`: what people say of a finding. The first two ask the running proxy; a suppression is an
 * entry in the policy's file, which a reload brings into force. */
#include <jansson.h>

#include "base/must.h"
#include "base/rfc3339.h"
#include "base/yaml.h"
#include "cmd/admin_client.h"
#include "cmd/cmd.h"
#include "cmd/findings.h"
#include "cmd/replace_file.h"
#include "conf/file.h"
#include "rules/suppression.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 16 * 1024 * 1024, DAYS_MAX = 365, DAY_S = 86400 };

#define PLACES                                                                                               \
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then "             \
    "/etc/exeat)\n"                                                                                          \
    "  -c, --config FILE   of the proxy with this configuration\n"                                           \
    "  -h, --help          this text\n"

static const char ack_help[] =
    "usage: exeat findings ack [--by NAME] [--state DIR | --config FILE] ID\n"
    "\n"
    "Says that somebody works on a finding (status In Progress); it goes on counting. The proxy must be "
    "running.\n"
    "\n"
    "      --by NAME       who (letters, digits and ._@-; default: $USER)\n" PLACES "\n"
    "exit codes: 0 done   1 no such open finding, or no proxy   2 wrong configuration or usage\n"
    "example: exeat findings ack --by alice 5a0d41\n";

static const char close_help[] =
    "usage: exeat findings close [--by NAME] [--state DIR | --config FILE] ID\n"
    "\n"
    "Closes a finding. Another match opens a new one. The proxy must be running.\n"
    "\n"
    "      --by NAME       who (letters, digits and ._@-; default: $USER)\n" PLACES "\n"
    "exit codes: 0 done   1 no such open finding, or no proxy   2 wrong configuration or usage\n"
    "example: exeat findings close --by alice 5a0d41\n";

static const char suppress_help[] =
    "usage: exeat findings suppress --owner NAME --ticket ID --expires DAYSd|TIME [--reason TEXT]\n"
    "                               [--state DIR | --config FILE] ID\n"
    "\n"
    "Adds an entry to the file of findings.suppressions: the same rule, sender, host and domain are counted "
    "and listed, but not\n"
    "said any more, until it expires. Where the program's hash is known it stands in the entry, and another "
    "program under the\n"
    "same name is said. Reload exeatd to bring it into force.\n"
    "\n"
    "      --owner NAME    who answers for it\n"
    "      --ticket ID     where that is written\n"
    "      --expires WHEN  30d, or 2026-12-31T00:00:00Z; at most 365 days from now\n"
    "      --reason TEXT   for whoever reads the file\n" PLACES "\n"
    "exit codes: 0 done   1 no such finding, or the file can't be written   2 wrong configuration or usage\n"
    "example: exeat findings suppress --owner alice --ticket SEC-12 --expires 30d 5a0d41\n";

/* ---- ack, close ---- */

static const char *person(const struct findings_arguments *a)
{
    const char *user = a->by ? a->by : getenv("USER");
    return user && user[0] ? user : "unknown";
}

static int tell(const struct conf *conf, const struct findings_arguments *a, const char *verb,
                struct err *reterr)
{
    struct findings_list list;
    char path[192];
    if (findings_list_read(conf, &list, reterr) != 0)
        return -1;
    const struct finding *f = findings_list_find(&list, a->id, reterr);
    int result = f ? 0 : -1;
    if (f &&
        snprintf(path, sizeof path, "/findings/%s/%s?by=%s", f->uid, verb, person(a)) >= (int)sizeof path)
        result = err_set(reterr, NULL, 0, 0, "the name is too long: %.32s...", person(a));
    if (result == 0) {
        json_t *answer = admin_client_ask("POST", conf->admin.socket, path, reterr);
        result = answer ? 0 : -1;
        json_decref(answer);
    }
    findings_list_free(&list);
    return result;
}

static int acknowledge(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    return tell(conf, a, "acknowledge", reterr);
}

static int close_finding(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    return tell(conf, a, "close", reterr);
}

int cmd_findings_ack(int argc, char **argv)
{
    static const struct findings_command command = {"findings ack", ack_help, "b", true, acknowledge};
    return findings_run(argc, argv, &command);
}

int cmd_findings_close(int argc, char **argv)
{
    static const struct findings_command command = {"findings close", close_help, "b", true, close_finding};
    return findings_run(argc, argv, &command);
}

/* ---- suppress ---- */

static int read_expiry(const char *text, int64_t *ret_s, struct err *reterr)
{
    int64_t now = (int64_t)time(NULL);
    char *end;
    long days = strtol(text, &end, 10);
    if (end != text && strcmp(end, "d") == 0 && days > 0)
        *ret_s = now + (int64_t)(days <= DAYS_MAX ? days : DAYS_MAX + 1) * DAY_S;
    else if (!rfc3339_parse(span_str(text), ret_s))
        return err_set(reterr, NULL, 0, 0, "--expires: 30d or a time as 2026-12-31T00:00:00Z is expected");
    if (*ret_s <= now || *ret_s > now + (int64_t)DAYS_MAX * DAY_S)
        return err_set(reterr, NULL, 0, 0, "--expires: within the next %d days is expected", DAYS_MAX);
    return 0;
}

static void write_text(struct buf *out, const char *key, const char *text)
{
    if (!text || !text[0])
        return;
    buf_printf(out, "    %s: ", key);
    yaml_write_text(out, text);
    buf_append(out, "\n", 1);
}

static void write_entry(struct buf *out, const struct finding *f, const struct findings_arguments *a,
                        int64_t expires_s)
{
    char when[RFC3339_TEXT_BYTES];
    buf_append_str(out, "  -\n");
    write_text(out, "rule", f->rule);
    write_text(out, "host", f->host);
    write_text(out, "sender", f->sender);
    write_text(out, "domain", f->domain);
    write_text(out, "sha256", f->sha256);
    write_text(out, "owner", a->owner);
    write_text(out, "ticket", a->ticket);
    write_text(out, "reason", a->reason);
    write_text(out, "expires", rfc3339_format(expires_s, when));
}

static int add_entry(const char *path, const struct finding *f, const struct findings_arguments *a,
                     int64_t expires_s, struct err *reterr)
{
    struct buf text;
    int result = 0;
    buf_init(&text, FILE_BYTES_MAX);
    if (access(path, F_OK) == 0)
        result = conf_file_read(path, false, &text, reterr);
    else
        buf_append_str(&text, SUPPRESSIONS_NONE);
    if (result == 0) {
        struct suppressions *before = suppressions_parse(buf_span(&text), path, reterr);
        result = before ? 0 : -1;
        suppressions_free(before);
    }
    if (result == 0) {
        write_entry(&text, f, a, expires_s);
        struct suppressions *after = suppressions_parse(buf_span(&text), path, reterr);
        result = after ? replace_file(path, buf_span(&text), reterr) : -1;
        suppressions_free(after);
    }
    buf_free(&text);
    return result;
}

static int suppress(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    struct findings_list list;
    int64_t expires_s;
    const char *path = conf->findings.suppressions;
    if (!a->owner || !a->ticket || !a->expires)
        return cmd_usage("findings suppress", "--owner, --ticket and --expires are needed");
    if (!path)
        return err_set(reterr, conf->file, 0, 0,
                       "findings.suppressions is not set: say which file suppressions stand in");
    if (read_expiry(a->expires, &expires_s, reterr) != 0 || findings_list_read(conf, &list, reterr) != 0)
        return -1;
    const struct finding *f = findings_list_find(&list, a->id, reterr);
    int result = f ? add_entry(path, f, a, expires_s, reterr) : -1;
    if (result == 0)
        printf("%s: added. Reload exeatd to bring it into force: systemctl reload exeatd, or kill -HUP\n",
               path);
    findings_list_free(&list);
    return result;
}

int cmd_findings_suppress(int argc, char **argv)
{
    static const struct findings_command command = {"findings suppress", suppress_help, "oter", true,
                                                    suppress};
    return findings_run(argc, argv, &command);
}
