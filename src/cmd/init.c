/* init.c: `exeat init`: a state folder from which `exeat run` can start at once. Nothing that is there is ever overwritten: a second
 * init fills in what is missing. Touches the folder only. */
#include "base/ip.h"
#include "base/must.h"
#include "cmd/cmd.h"
#include "cmd/init_files.h"
#include "cmd/place.h"
#include "rules/suppression.h"
#include "tls/devca.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CERTIFICATE_DAYS = 365, CONFIG_BYTES = 4096 };

static const char help[] =
    "usage: exeat init [--state DIR] [--listen ADDRESS:PORT]\n"
    "\n"
    "Makes a state folder from which `exeat run` can start at once:\n"
    "  exeat.yaml      the configuration\n"
    "  baseline.yaml   a starting baseline: who may reach what\n"
    "  rules/          Sigma rules: the five ATT&CK analytics; actions.yaml says what a match does\n"
    "  suppressions.yaml  findings that somebody answers for; none yet\n"
    "  ca/             a development CA, and a certificate for the proxy signed by it; keys are 0600\n"
    "  agent/          for the agent's socket\n"
    "  data/           the only one exeatd writes to: records, pid file, admin socket\n"
    "What is there already is kept, never overwritten.\n"
    "\n"
    "  -s, --state DIR             default: /var/lib/exeat for root, ./exeat-state for others\n"
    "  -l, --listen ADDRESS:PORT   where clients connect; default 127.0.0.1:3128 and [::1]:3128\n"
    "  -h, --help                  this text\n"
    "\n"
    "As root, exeatd is configured to become the user exeat, or nobody when there is no such user.\n"
    "\n"
    "exit codes: 0 done   1 failed   2 wrong usage\n"
    "examples: exeat init\n"
    "          exeat init --state /tmp/try --listen 127.0.0.1:8888\n";

struct init {
    char state[PLACE_PATH_BYTES];
    const char *listen;        /* YAML list; static, or owned by cmd_init()'s frame */
    const struct passwd *user; /* whom exeatd becomes; NULL: whoever we are */
    struct err err;
};

static char *in_state(const struct init *s, const char *name, char ret[PLACE_PATH_BYTES])
{
    snprintf(ret, PLACE_PATH_BYTES, "%.3900s%s%s", s->state, name[0] ? "/" : "", name);
    return ret;
}

static bool is_there(const struct init *s, const char *name)
{
    char path[PLACE_PATH_BYTES];
    struct stat st;
    return lstat(in_state(s, name, path), &st) == 0;
}

static void say(const struct init *s, bool made, const char *name, const char *what)
{
    char path[PLACE_PATH_BYTES];
    printf("  %s  %s%s%s\n", made ? "made" : "kept", in_state(s, name, path), what[0] ? "  " : "", what);
}

/* Owned by exeatd's user where that is another than we are; `group_only`: ours, but its group may enter. */
static int hand_over(struct init *s, const char *path, bool group_only)
{
    if (!s->user || lchown(path, group_only ? (uid_t)-1 : s->user->pw_uid, s->user->pw_gid) == 0)
        return 0;
    return err_set(&s->err, path, 0, 0, "cannot be given to %s: %s", s->user->pw_name, strerror(errno));
}

static int make_folder(struct init *s, const char *name, bool group_only)
{
    char path[PLACE_PATH_BYTES];
    in_state(s, name, path);
    if (mkdir(path, 0750) != 0) {
        if (errno != EEXIST)
            return err_set(&s->err, path, 0, 0, "this folder cannot be made: %s", strerror(errno));
        say(s, false, name, "");
        return 0;
    }
    say(s, true, name, "");
    return hand_over(s, path, group_only);
}

static int make_text(struct init *s, const char *name, const char *what, struct span text)
{
    char path[PLACE_PATH_BYTES];
    int fd = open(in_state(s, name, path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0 && errno == EEXIST)
        return say(s, false, name, what), 0;
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f)
        return err_set(&s->err, path, 0, 0, "cannot be made: %s", strerror(errno));
    bool failed = fwrite(text.data, 1, text.len, f) != text.len;
    if (fclose(f) != 0 || failed)
        return err_set(&s->err, path, 0, 0, "cannot be written");
    say(s, true, name, what);
    return hand_over(s, path, true);
}

static int make_config(struct init *s)
{
    char user[128] = "", text[CONFIG_BYTES];
    if (s->user)
        snprintf(user, sizeof user, "  user: %.64s\n", s->user->pw_name);
    int len = snprintf(text, sizeof text, INIT_CONFIG_FORMAT, s->listen, user);
    must(len > 0 && len < CONFIG_BYTES);
    return make_text(s, "exeat.yaml", "the proxy's configuration",
                     span_of((const uint8_t *)text, (size_t)len));
}

static int make_policy(struct init *s)
{
    if (make_text(s, "baseline.yaml", "who may reach what: edit this", span_str(init_baseline_text)) != 0 ||
        make_text(s, "suppressions.yaml", "findings that somebody answers for",
                  span_str(SUPPRESSIONS_NONE)) != 0 ||
        make_folder(s, "rules", true) != 0)
        return -1;
    for (const struct init_file *f = init_policy; f->name; f++)
        if (make_text(s, f->name, "", span_of(f->text, f->len)) != 0)
            return -1;
    return 0;
}

static int make_certificates(struct init *s)
{
    static const char ca[] = "ca/development-ca.pem", ca_key[] = "ca/development-ca.key";
    static const char proxy[] = "ca/proxy.pem", proxy_key[] = "ca/proxy.key";
    char path[PLACE_PATH_BYTES], key_path[PLACE_PATH_BYTES], name[128] = "Exeat development CA ";
    bool have_ca = is_there(s, ca) || is_there(s, ca_key),
         have_proxy = is_there(s, proxy) || is_there(s, proxy_key);
    gethostname(name + strlen(name), sizeof name - strlen(name) - 1);
    in_state(s, ca, path);
    in_state(s, ca_key, key_path);
    struct devca *made = NULL;
    if (!have_ca)
        made = devca_create(name, path, key_path, &s->err);
    else if (!have_proxy)
        made = devca_open(path, key_path, &s->err);
    if (!made && !(have_ca && have_proxy))
        return -1;
    say(s, !have_ca, ca, "for development only; clients that speak TLS to the proxy must trust it");
    struct devca_leaf leaf = {.common_name = "exeat development proxy",
                              .alt_names = "DNS:localhost,IP:127.0.0.1,IP:::1",
                              .not_after_days = CERTIFICATE_DAYS};
    in_state(s, proxy, path);
    in_state(s, proxy_key, key_path);
    int result = have_proxy ? 0 : devca_issue(made, &leaf, path, key_path, &s->err);
    devca_free(made);
    if (result == 0)
        say(s, !have_proxy, proxy, "for listen.tls_certificate, with proxy.key");
    if (result == 0 && !have_proxy)
        result = hand_over(s, key_path, false); /* exeatd reads it again at each reload */
    return result;
}

static int make_all(struct init *s)
{
    printf("state folder %s\n", s->state);
    if (make_folder(s, "", true) != 0 || make_folder(s, "data", false) != 0 ||
        make_folder(s, "agent", true) != 0 || make_folder(s, "ca", true) != 0 || make_policy(s) != 0 ||
        make_config(s) != 0 || make_certificates(s) != 0)
        return cmd_fail(&s->err, CMD_FAILED);
    printf("next: exeat run --state %s\n", s->state);
    return CMD_OK;
}

static const struct passwd *find_user(void)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam("exeat") : NULL;
    return user || geteuid() != 0 ? user : getpwnam("nobody");
}

int cmd_init(int argc, char **argv)
{
    static const struct option options[] = {{"state", required_argument, NULL, 's'},
                                            {"listen", required_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    char list[ENDPOINT_TEXT_BYTES + 8], text[ENDPOINT_TEXT_BYTES];
    struct endpoint endpoint;
    struct init s = {.listen = "\"127.0.0.1:3128\", \"[::1]:3128\""};
    const char *state = place_default_state();
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "s:l:h", options, NULL)) != -1;) {
        if (o == 'h')
            return fputs(help, stdout), CMD_OK;
        if (o == 's') {
            state = optarg;
        } else if (o == 'l') {
            if (!endpoint_parse(span_str(optarg), &endpoint))
                return cmd_usage("init", "%s is no ADDRESS:PORT such as 127.0.0.1:3128 or [::1]:3128",
                                 optarg);
            snprintf(list, sizeof list, "\"%s\"", endpoint_format(&endpoint, text));
            s.listen = list;
        } else {
            return cmd_bad_option("init", argc, argv);
        }
    }
    if (optind < argc)
        return cmd_usage("init", "%s is not understood", argv[optind]);
    if (strlen(state) > 3900)
        return cmd_usage("init", "the folder's name is too long");
    snprintf(s.state, sizeof s.state, "%s", state);
    s.user = find_user();
    return make_all(&s);
}
