/* exeatd.c: the proxy's main: arguments, then run/ and admin/ in their order. Exit codes: 0 ended as asked, 1 a failure while starting
 * or running, 2 wrong usage or configuration. */
#include "admin/admin.h"
#include "base/log.h"
#include "run/signer.h"
#include "run/rules_child.h"
#include "run/snapshot.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "exeatd " EXEAT_VERSION ": an egress proxy that knows who is asking\n"
    "\n"
    "usage: exeatd --config FILE [--check]\n"
    "\n"
    "  -c, --config FILE   the configuration (see exeat.yaml(5))\n"
    "      --check         read it and everything it names, say what is wrong, and end\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n"
    "\n"
    "signals: TERM, INT  stop: flows have timeouts.drain to end; a second one cuts them at once\n"
    "         HUP        read the configuration again; a bad one is reported and the old stays in force\n"
    "         USR1       open the records' file again (after rotation)\n"
    "exit:    0 ended as asked   1 failed   2 wrong usage or configuration\n"
    "example: exeatd --config /etc/exeat/exeat.yaml\n";

static void complain(const struct err *err)
{
    char text[1024];
    log_error("exeatd", "%s", err_format(err, text, sizeof text));
}

static int check(const char *config_file)
{
    struct err err = {0};
    struct snapshot *s = snapshot_load(config_file, 1, &err);
    if (!s) {
        complain(&err);
        return DAEMON_MISCONFIGURED;
    }
    snapshot_unref(s);
    printf("%s: ok\n", config_file);
    return DAEMON_OK;
}

static int serve(const char *config_file)
{
    struct err err = {0};
    enum daemon_exit result;
    struct daemon *d = daemon_new(config_file, &err, &result);
    if (!d) {
        complain(&err);
        return (int)result;
    }
    struct admin *a = admin_start(d, &err);
    if (a && daemon_start(d, &err) == 0) {
        result = daemon_run(d);
    } else {
        complain(&err);
        result = DAEMON_FAILED;
    }
    admin_stop(a);
    enum daemon_exit end = daemon_free(d);
    return (int)(result != DAEMON_OK ? result : end);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {0}};
    const char *config_file = NULL;
    int only_check = 0;
    if (argc > 1 && strcmp(argv[1], "--signer") == 0)
        return signing_main(argc, argv); /* how exeatd starts its signing process; for nobody else */
    int child = rules_child_main(argc, argv);
    if (child >= 0)
        return child;
    log_init("exeatd", LOG_LEVEL_NOTICE);
    for (int o; (o = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
        if (o == 'c')
            config_file = optarg;
        else if (o == 'k')
            only_check = 1;
        else if (o == 'h')
            return fputs(help, stdout), DAEMON_OK;
        else if (o == 'V')
            return puts("exeatd " EXEAT_VERSION), DAEMON_OK;
        else
            return fputs("exeatd: see exeatd --help\n", stderr), DAEMON_MISCONFIGURED;
    }
    if (optind < argc || !config_file) {
        fprintf(stderr, "exeatd: %s; see exeatd --help\n",
                config_file ? "there are no other arguments" : "--config FILE is missing");
        return DAEMON_MISCONFIGURED;
    }
    return only_check ? check(config_file) : serve(config_file);
}
