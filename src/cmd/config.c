/* config.c: `exeat config check|show|reference`. Reads what exeatd would read, in the same way. */
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "base/json.h"
#include "run/snapshot.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_BYTES = 64 * 1024 * 1024 };

static const char check_help[] =
    "usage: exeat config check [--json] [FILE]\n"
    "\n"
    "Reads FILE (default: exeat.yaml of the state folder, else /etc/exeat/exeat.yaml) and everything it "
    "names, as exeatd\n"
    "would: baseline, passwords, certificates, GeoIP databases. Prints ok, with notes about entries of the "
    "baseline "
    "that hold for\n"
    "less than they may seem to, or the first error with file, line and column.\n"
    "\n"
    "      --json   {\"ok\":true,\"file\":...} or "
    "{\"ok\":false,\"file\":...,\"line\":N,\"column\":N,\"error\":...}\n"
    "  -h, --help   this text\n"
    "\n"
    "exit codes: 0 ok   2 wrong configuration or usage\n"
    "example: exeat config check /etc/exeat/exeat.yaml && systemctl reload exeatd\n";

static const char show_help[] =
    "usage: exeat config show [--changed] [FILE]\n"
    "\n"
    "Prints the configuration in effect as YAML: every option, defaults included, without secrets.\n"
    "\n"
    "      --changed   only what differs from the defaults\n"
    "  -h, --help      this text\n"
    "\n"
    "exit codes: 0 done   2 wrong configuration or usage\n"
    "example: exeat config show --changed\n";

static const char reference_help[] =
    "usage: exeat config reference [--man]\n"
    "\n"
    "Prints what every option means, its values and its default, as Markdown.\n"
    "\n"
    "      --man    as the body of a manual page (roff)\n"
    "  -h, --help   this text\n"
    "\n"
    "exit codes: 0 done   2 wrong usage\n"
    "example: exeat config reference | less\n";

/* The arguments that the three share: one flag and --help. -1 to go on, else the exit code. */
static int read_arguments(int argc, char **argv, const char *words, const char *help, const char *flag,
                          bool *ret_flag, const char **ret_file)
{
    const struct option options[] = {{"help", no_argument, NULL, 'h'}, {flag, no_argument, NULL, 'f'}, {0}};
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h')
            return fputs(help, stdout), CMD_OK;
        if (o != 'f')
            return cmd_bad_option(words, argc, argv);
        *ret_flag = true;
    }
    if (argc - optind > (ret_file ? 1 : 0))
        return cmd_usage(words, "there is one argument too many: %s", argv[argc - 1]);
    if (ret_file && optind < argc)
        *ret_file = argv[optind];
    return -1;
}

static int print_out(struct buf *take_out)
{
    struct span text = buf_span(take_out);
    bool ok = text.data && !take_out->failed && fwrite(text.data, 1, text.len, stdout) == text.len &&
              fflush(stdout) == 0;
    buf_free(take_out);
    return ok ? CMD_OK : CMD_FAILED;
}

static int print_json(const char *file, const struct err *err)
{
    struct buf out;
    struct json j;
    buf_init(&out, OUTPUT_BYTES);
    json_init(&j, &out);
    json_object(&j, NULL);
    json_bool(&j, "ok", err == NULL);
    json_str(&j, "file", err && err->file[0] ? err->file : file);
    if (err) {
        json_int(&j, "line", err->line);
        json_int(&j, "column", err->column);
        json_str(&j, "error", err->text);
    }
    json_end_object(&j);
    buf_append_str(&out, "\n");
    int code = print_out(&out);
    return err ? CMD_USAGE : code;
}

/* What is right and may mean less than it says. */
static void print_hints(const struct snapshot *s)
{
    struct baseline_hint h;
    for (size_t cursor = 0; baseline_next_hint(s->baseline, &cursor, &h);)
        printf("%s:%u: note: \"%s\" %s\n", s->conf->policy.baseline, h.line, h.name, h.text);
}

int cmd_config_check(int argc, char **argv)
{
    struct err err = {0};
    char path[PLACE_PATH_BYTES];
    const char *file = NULL;
    bool json = false;
    int code = read_arguments(argc, argv, "config check", check_help, "json", &json, &file);
    if (code >= 0)
        return code;
    place_config(file, NULL, path);
    struct snapshot *s = snapshot_load(path, 1, &err);
    if (json)
        code = print_json(path, s ? NULL : &err);
    else
        code = s ? (print_hints(s), printf("%s: ok\n", path), CMD_OK) : cmd_fail(&err, CMD_USAGE);
    snapshot_unref(s);
    return code;
}

int cmd_config_show(int argc, char **argv)
{
    struct err err = {0};
    struct buf out;
    char path[PLACE_PATH_BYTES];
    const char *file = NULL;
    bool changed = false;
    int code = read_arguments(argc, argv, "config show", show_help, "changed", &changed, &file);
    if (code >= 0)
        return code;
    struct conf *conf = conf_load(place_config(file, NULL, path), &err);
    if (!conf)
        return cmd_fail(&err, CMD_USAGE);
    buf_init(&out, OUTPUT_BYTES);
    conf_show(conf, changed, &out);
    conf_free(conf);
    return print_out(&out);
}

int cmd_config_reference(int argc, char **argv)
{
    struct buf out;
    bool man = false;
    int code = read_arguments(argc, argv, "config reference", reference_help, "man", &man, NULL);
    if (code >= 0)
        return code;
    buf_init(&out, OUTPUT_BYTES);
    if (man)
        conf_reference_man(&out);
    else
        conf_reference_markdown(&out);
    return print_out(&out);
}
