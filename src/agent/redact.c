/* redact.c: see redact.h. Five tables, tried in this order: options whose next argument is the secret, whole tokens of
 * known shape, credentials in URLs, names that are followed by their secret, and short options with it attached. Pure. */
#include "agent/redact.h"

#include "base/must.h"

/* The next argument is secret as a whole. Compared without case; "-p" only when that is no port number. */
static const char *const secret_options[] = {
    "--password",
    "--passwd",
    "--pass",
    "--passphrase",
    "--token",
    "--secret",
    "--api-key",
    "--apikey",
    "--api-token",
    "--access-key",
    "--secret-key",
    "--auth",
    "--auth-token",
    "--oauth2-bearer",
    "--bearer",
    "--credentials",
    "--cookie",
    "-b",
    "-p",
    "--pw",
    "--pwd",
    "--private-key",
    "--client-secret",
    "--sasl-password",
    "-passwd",
    "-password",
    "-pass",
    "--http-password",
    "--ftp-password",
    "--proxy-password",
    "--proxy-passwd",
    "-storepass",
    "-keypass",
    "-passin",
    "-passout",
    "-k",
};

/* The next argument is USER:SECRET. */
static const char *const user_options[] = {"-u",     "-U", "--user",      "--proxy-user",
                                           "--cert", "-E", "--proxy-cert"};

/* A name that holds one of these words is followed by its secret: after "=" or ":". */
static const char *const secret_words[] = {
    "password",    "passwd",     "passphrase", "secret",        "token", "apikey", "api_key", "api-key",
    "access_key",  "access-key", "credential", "authorization", "auth",  "cookie", "session", "private_key",
    "private-key", "signature",  "x-amz-",     "pwd",           "pass",  "sig",
};

/* Tokens that show what they are by how they begin. */
static const char *const token_prefixes[] = {
    "ghp_",  "gho_",  "ghs_",  "ghr_",    "ghu_", "github_pat_", "glpat-",   "xoxb-",    "xoxp-",
    "xoxa-", "xoxs-", "AKIA",  "ASIA",    "eyJ",  "sk-",         "sk_live_", "rk_live_", "AIza",
    "ya29.", "npm_",  "pypi-", "dop_v1_", "hvs.", "bearer ",     "basic ",
};

enum { TOKEN_BYTES_MIN = 8 }; /* after the prefix */

static bool in_table(const char *const *table, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(table[i], text) == 0)
            return true;
    return false;
}

static bool all_digits(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == 0;
}

/* True when the argument was dealt with because of the one before it. */
static bool redact_after_option(const char *previous, const char *argument, struct buf *out)
{
    if (!previous || previous[0] != '-' || strchr(previous, '='))
        return false;
    /* Short options are told by case: -u is curl's user, -P is nobody's password. */
    bool is_long = previous[1] == '-';
    for (size_t i = 0; i < ARRAY_LEN(user_options); i++) {
        if ((is_long ? strcasecmp : strcmp)(user_options[i], previous) != 0)
            continue;
        const char *colon = strchr(argument, ':');
        buf_append(out, argument, colon ? (size_t)(colon - argument) + 1 : strlen(argument));
        buf_append_str(out, colon ? REDACTED : "");
        return true;
    }
    if (!in_table(secret_options, ARRAY_LEN(secret_options), previous))
        return false;
    if (!is_long &&
        (strchr("PKB", previous[1]) || (previous[2] == 0 && (all_digits(argument) || argument[0] == '-'))))
        return false;
    buf_append_str(out, REDACTED);
    return true;
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Length of a token of known shape at `at`, or 0. `begins` is true where a word can begin. */
static size_t token_len(const char *at, bool begins)
{
    for (size_t i = 0; begins && i < ARRAY_LEN(token_prefixes); i++) {
        size_t n = strlen(token_prefixes[i]);
        if (strncasecmp(at, token_prefixes[i], n) != 0)
            continue;
        size_t rest = strcspn(at + n, " \t\n&\"'<>,;@");
        if (rest >= TOKEN_BYTES_MIN || token_prefixes[i][n - 1] == ' ')
            return n + rest;
    }
    return 0;
}

/* Length of "user:password" between "://" and "@" at `at`, or 0. */
static size_t userinfo_len(const char *begin, const char *at)
{
    if (at - begin < 3 || memcmp(at - 3, "://", 3) != 0)
        return 0;
    size_t authority = strcspn(at, "/?# \t\n\"'");
    for (size_t i = authority; i > 0; i--)
        if (at[i - 1] == '@')
            return i - 1;
    return 0;
}

/* Length of "secret-looking name up to and with its = or :" at `at`, or 0. */
static size_t secret_name_len(const char *at, bool begins)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_words); i++) {
        const char *word = secret_words[i];
        size_t n = strlen(word);
        if ((n < 5 && !begins) || strncasecmp(at, word, n) != 0)
            continue; /* short words only where a name begins: "compass" is no pass */
        size_t rest =
            n < 5 ? strspn(at + n, "_-\"'] \t")
                  : strspn(at + n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-\"'] \t");
        if (at[n + rest] == '=' || at[n + rest] == ':' || strncasecmp(at + n + rest, "%3d", 3) == 0)
            return n + rest + (at[n + rest] == '%' ? 3 : 1);
    }
    return 0;
}

static const char *copy_secret_name(const char *at, size_t len, bool url, struct buf *out)
{
    buf_append(out, at, len);
    at += len;
    size_t space = strspn(at, " ");
    buf_append(out, at, space);
    at += space;
    buf_append_str(out, *at ? REDACTED : "");
    return at + (url ? strcspn(at, "&# \t\n") : strlen(at));
}

static void redact_inside(const char *argument, struct buf *out)
{
    bool url = strstr(argument, "://") != NULL || strchr(argument, '&') != NULL;
    for (const char *at = argument; *at;) {
        bool begins = at == argument || !is_word_char(at[-1]);
        size_t n = userinfo_len(argument, at);
        if (n == 0)
            n = token_len(at, begins);
        if (n > 0) {
            buf_append_str(out, REDACTED);
            at += n;
            continue;
        }
        n = secret_name_len(at, begins);
        if (n > 0) {
            at = copy_secret_name(at, n, url, out);
            continue;
        }
        buf_append(out, at++, 1);
    }
}

void redact_argument(const char *previous, const char *argument, struct buf *out)
{
    if (redact_after_option(previous, argument, out))
        return;
    bool attached = argument[0] == '-' && argument[1] == 'p' && argument[2] && argument[2] != '=' &&
                    !all_digits(argument + 2);
    bool user = argument[0] == '-' && (argument[1] == 'u' || argument[1] == 'U') && strchr(argument, ':');
    if (attached || user) { /* mysql -pSECRET, curl -uNAME:SECRET */
        buf_append(out, argument, user ? (size_t)(strchr(argument, ':') - argument) + 1 : 2);
        buf_append_str(out, REDACTED);
        return;
    }
    redact_inside(argument, out);
}
