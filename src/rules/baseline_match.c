/* baseline_match.c: which senders an entry of the baseline is about: its `match`. A part of the parser (baseline_parse.c). Pure. */
#include "rules/baseline_read.h"

#include "base/must.h"

/* As the kernel says it: absolute, every link resolved; so nothing else can ever be equal. */
static const char *check_path(const char *s)
{
    size_t len = strlen(s);
    if (s[0] != '/' || len < 2 || s[len - 1] == '/')
        return "an absolute path of a file is expected here";
    if (strstr(s, "//") || strstr(s, "/./") || strstr(s, "/../") || strcmp(s + len - 2, "/.") == 0 ||
        (len >= 3 && strcmp(s + len - 3, "/..") == 0))
        return "a path without //, /./ and /../ is expected here: nothing else is ever reported";
    if (strstr(s, "\xef\xbf\xbd"))
        return "U+FFFD stands for bytes that could not be read: such a path names no file for sure";
    return NULL;
}

const char *baseline_check_sha256(const char *s)
{
    bool fine = strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
    return fine ? NULL : "64 lower-case hex digits are expected here";
}

static const char *check_package(const char *s)
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._";
    return s[strspn(s, set)] == '\0' ? NULL : "a package's name without its architecture is expected here";
}

static const char *check_user(const char *s)
{
    const char *domain = strchr(s, '\\'); /* Windows: DOMAIN\NAME */
    return strpbrk(domain && domain != s ? domain + 1 : s, ": /\\") ? "a user's name is expected here" : NULL;
}

/* Only what root alone makes: a user names the units of his own manager as he likes, and a login's scope holds all that a
 * person runs. */
static const char *check_unit(const char *s)
{
    static const char end[] = ".service", launchd[] = "launchd/", windows[] = "windows/";
    size_t len = strlen(s), other = strncmp(s, launchd, sizeof launchd - 1) == 0   ? sizeof launchd - 1
                                    : strncmp(s, windows, sizeof windows - 1) == 0 ? sizeof windows - 1
                                                                                   : 0;
    if (other)
        return s[other] && !strchr(s + other, '/') ? NULL : "a service's name is expected behind the slash";
    if (len < sizeof end || strcmp(s + len - (sizeof end - 1), end) != 0 || strchr(s, '/') ||
        strncmp(s, "user@", 5) == 0)
        return "a system service is expected here, as cron.service: users make scopes and units of their own";
    return NULL;
}

/* One program of one signer: whoever signs one tool signs others. */
static const char *check_signature(const char *s)
{
    const char *slash = strchr(s, '/');
    return slash && slash != s && slash[1]
               ? NULL
               : "a signer and a program of his are expected here, as TEAM/IDENTIFIER";
}

static const char *(*const checks[CONDITION_COUNT])(const char *) = {
    [CONDITION_EXECUTABLE] = check_path,
    [CONDITION_PACKAGE] = check_package,
    [CONDITION_USER] = check_user,
    [CONDITION_UNIT] = check_unit,
    [CONDITION_SCRIPT] = check_path,
    [CONDITION_SHA256] = baseline_check_sha256,
    [CONDITION_SCRIPT_SHA256] = baseline_check_sha256,
    [CONDITION_PARENT] = check_path,
    [CONDITION_SIGNATURE] = check_signature};

static int read_confidences(struct baseline_reader *r, const struct yaml_node *n, struct entry *e)
{
    static const char *const names[] = {
#define X(id, name) name,
        AGENT_CONFIDENCES(X)
#undef X
    };
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0)
        return yaml_error(n, r->reterr, "an empty list matches nothing: leave it out");
    for (YAML_EACH(item, n)) {
        size_t which;
        if (yaml_get_enum(item, names, ARRAY_LEN(names), &which, r->reterr) != 0)
            return -1;
        if (e->confidences & 1u << which)
            return yaml_error(item, r->reterr, "%s is given twice", names[which]);
        e->confidences |= 1u << which;
    }
    return 0;
}

static int read_borrowed(struct baseline_reader *r, const struct yaml_node *n, struct entry *e)
{
    static const char *const names[] = {
#define X(id, name, text) name,
        AGENT_BORROWED(X)
#undef X
    };
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0)
        return yaml_error(n, r->reterr, "an empty list puts up with nothing: leave it out");
    for (YAML_EACH(item, n)) {
        size_t which;
        if (yaml_get_enum(item, names, ARRAY_LEN(names), &which, r->reterr) != 0)
            return -1;
        if (e->borrowed & 1u << which)
            return yaml_error(item, r->reterr, "%s is given twice", names[which]);
        e->borrowed |= 1u << which;
    }
    return 0;
}

static const char *const condition_keys[] = {
#define X(id, field) #field,
    BASELINE_CONDITIONS(X)
#undef X
        "client_network",
    "proxy_user", "role", "confidence", "borrowed"};

static int read_conditions(struct baseline_reader *r, const struct yaml_node *match, struct entry *e)
{
    for (int c = 0; c < CONDITION_COUNT; c++) {
        const struct yaml_node *n = yaml_find(match, condition_keys[c]);
        const char *text, *wrong;
        if (!n)
            continue;
        if (baseline_read_text(r, n, &text) != 0)
            return -1;
        if ((wrong = checks[c](text)) != NULL)
            return yaml_error(n, r->reterr, "%s", wrong);
        e->conditions[c] = baseline_keep(r, n, text);
        if (!e->conditions[c])
            return -1;
    }
    return 0;
}

/* The kind of name goes with it: what one CA may put into a common name, another may not into a DNS name. */
static const char *check_role(const char *s)
{
    static const char *const kinds[] = {"dns:", "email:", "uri:", "ip:", "cn:", "sha256:"};
    size_t k = 0;
    while (k < ARRAY_LEN(kinds) && strncmp(s, kinds[k], strlen(kinds[k])) != 0)
        k++;
    if (k == ARRAY_LEN(kinds) || !s[strlen(kinds[k])])
        return "dns:, email:, uri:, ip:, cn: or sha256: and a name is expected here, as the certificate has "
               "it";
    const char *name = s + strlen(kinds[k]);
    struct host host;
    if (k == ARRAY_LEN(kinds) - 1)
        return baseline_check_sha256(name);
    if (k == 3 && (host_canonical_bare(span_str(name), &host) != HOST_OK || !host.is_ip ||
                   strcmp(host.name, name) != 0))
        return "an address in its usual form is expected here";
    if (k == 0 && name[strcspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
        return "a DNS name in lower case is expected here";
    return NULL;
}

static int read_role(struct baseline_reader *r, const struct yaml_node *n, struct entry *e)
{
    const char *text, *wrong;
    if (baseline_read_text(r, n, &text) != 0)
        return -1;
    if ((wrong = check_role(text)) != NULL)
        return yaml_error(n, r->reterr, "%s", wrong);
    e->role = baseline_keep(r, n, text);
    if (!r->b->role_line)
        r->b->role_line = n->line;
    return e->role ? 0 : -1;
}

static int read_client(struct baseline_reader *r, const struct yaml_node *match, struct entry *e)
{
    const struct yaml_node *network = yaml_find(match, "client_network"),
                           *user = yaml_find(match, "proxy_user"), *role = yaml_find(match, "role");
    const char *text;
    e->has_client = network != NULL;
    if (network && baseline_read_network(r, network, &e->client) != 0)
        return -1;
    if (role && read_role(r, role, e) != 0)
        return -1;
    if (!user)
        return 0;
    if (baseline_read_text(r, user, &text) != 0)
        return -1;
    e->proxy_user = baseline_keep(r, user, text);
    return e->proxy_user ? 0 : -1;
}

/* What goes without saying in a match, and depends on what it says. See baseline.h. */
static void set_reservations(struct entry *e, bool names_confidence)
{
    const char *const *c = e->conditions;
    bool path =
        c[CONDITION_EXECUTABLE] || c[CONDITION_PACKAGE] || c[CONDITION_SCRIPT] || c[CONDITION_SCRIPT_SHA256];
    bool script = c[CONDITION_SCRIPT] || c[CONDITION_SCRIPT_SHA256];
    bool about_client = e->has_client || e->proxy_user || e->role;
    e->by_process = names_confidence && !about_client;
    for (int i = 0; i < CONDITION_COUNT; i++)
        e->by_process = e->by_process || c[i];
    e->names_program = path || c[CONDITION_SHA256] || c[CONDITION_SIGNATURE];
    e->wants_fixed_path = path && !c[CONDITION_SHA256] && !c[CONDITION_UNIT];
    e->wants_no_interpreter = e->by_process && !script && !c[CONDITION_UNIT];
    e->names_confidence = names_confidence;
    if (!names_confidence)
        e->confidences = 1u << AGENT_CONFIDENCE_EXACT;
}

static int check_interpreter(struct baseline_reader *r, const struct yaml_node *match, const struct entry *e)
{
    static const enum condition programs[] = {CONDITION_EXECUTABLE, CONDITION_PACKAGE};
    for (size_t i = 0; e->wants_no_interpreter && i < ARRAY_LEN(programs); i++) {
        const char *program = e->conditions[programs[i]];
        if (program && baseline_is_interpreter(program))
            return yaml_error(yaml_find(match, condition_keys[programs[i]]), r->reterr,
                              "%s runs whatever it is given, so it is not approved as a whole: add script, "
                              "script_sha256 or unit",
                              program);
    }
    return 0;
}

/* What tells the runs of a transfer tool apart: whose it is, or the script's bytes. */
static void set_tool_reservation(const struct baseline_reader *r, struct entry *e)
{
    const char *const *c = e->conditions;
    e->wants_no_transfer_tool = r->b->narrow_tools && e->by_process && !c[CONDITION_UNIT] &&
                                !c[CONDITION_PARENT] && !c[CONDITION_SCRIPT_SHA256];
}

/* The condition that names a transfer tool; CONDITION_COUNT: none does. pip and npm are scripts. */
static enum condition find_tool(const struct entry *e)
{
    static const enum condition paths[] = {CONDITION_EXECUTABLE, CONDITION_SCRIPT};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (baseline_is_transfer_tool(e->conditions[paths[i]], NULL))
            return paths[i];
    return baseline_is_transfer_tool(NULL, e->conditions[CONDITION_PACKAGE]) ? CONDITION_PACKAGE
                                                                             : CONDITION_COUNT;
}

static int check_tool(struct baseline_reader *r, const struct yaml_node *match, const struct entry *e)
{
    enum condition tool = find_tool(e);
    if (!e->wants_no_transfer_tool || tool == CONDITION_COUNT)
        return 0;
    return yaml_error(
        yaml_find(match, condition_keys[tool]), r->reterr,
        "%s moves data wherever it is told, so it is not approved as a whole: add script_sha256, unit or "
        "parent",
        e->conditions[tool]);
}

/* ... and toward one host at a time. */
int baseline_check_tool_allow(struct baseline_reader *r, const struct entry *e)
{
    bool tool = r->b->narrow_tools && find_tool(e) != CONDITION_COUNT;
    for (size_t i = 0; tool && i < e->allow.count; i++)
        if (e->allow.items[i]->name != DESTINATION_HOST)
            return err_set(r->reterr, r->file, e->allow.items[i]->line, 1,
                           "%s: a transfer tool is approved for exact hosts only", e->allow.items[i]->text);
    return 0;
}

/* Whatever a shell was told to do has the shell as its parent. */
static int check_parent(struct baseline_reader *r, const struct yaml_node *match, const struct entry *e)
{
    const char *parent = e->conditions[CONDITION_PARENT];
    if (!parent || !baseline_is_interpreter(parent))
        return 0;
    return yaml_error(yaml_find(match, "parent"), r->reterr,
                      "%s runs whatever it is given, so being its child says nothing", parent);
}

int baseline_read_match(struct baseline_reader *r, const struct yaml_node *match, struct entry *e)
{
    if (yaml_check_keys(match, condition_keys, ARRAY_LEN(condition_keys), r->reterr) != 0)
        return -1;
    if (match->count == 0)
        return yaml_error(match, r->reterr, "an empty match: say which senders are meant");
    const struct yaml_node *confidence = yaml_find(match, "confidence");
    if (read_conditions(r, match, e) != 0 || read_client(r, match, e) != 0)
        return -1;
    const struct yaml_node *borrowed = yaml_find(match, "borrowed");
    if ((confidence && read_confidences(r, confidence, e) != 0) ||
        (borrowed && read_borrowed(r, borrowed, e) != 0))
        return -1;
    set_reservations(e, confidence != NULL);
    set_tool_reservation(r, e);
    if (borrowed && !e->names_program)
        return yaml_error(borrowed, r->reterr,
                          "never counts: this match names no program whose identity could be borrowed");
    if (e->conditions[CONDITION_SHA256] || e->conditions[CONDITION_SCRIPT_SHA256])
        r->b->needs_hash = true;
    if (check_parent(r, match, e) != 0 || check_tool(r, match, e) != 0)
        return -1;
    return check_interpreter(r, match, e);
}
