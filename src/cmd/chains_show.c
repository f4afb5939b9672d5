/* chains_show.c: `exeat chains show`: the certificates of a destination, or one certificate and where it was shown, with all that is in them;
 * and written to a file for other programs. */
#include "cmd/chains.h"

#include "base/hex.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/cmd.h"
#include "cmd/inspect_chain.h"
#include "cmd/pem.h"
#include "cmd/replace_file.h"
#include "cmd/terminal.h"

#include <stdio.h>
#include <string.h>

enum { SHA256_DIGITS = 2 * STORE_SHA256_BYTES, DIGITS_MIN = 8, NAMES_SHOWN = 20 };

static const char help[] =
    "usage: exeat chains show [--json] [--pem FILE] [--der FILE] [--state DIR | --config FILE] HOST[:PORT] | "
    "SHA256\n"
    "\n"
    "Shows the chains of a destination, the latest last, with each certificate's fields and what changed "
    "from one to "
    "the next; or the\n"
    "certificate with this SHA-256 (its first 8 digits or more), in which chains it was shown, and to whom.\n"
    "\n"
    "  -j, --json          one JSON object for each chain\n"
    "      --pem FILE      writes the certificates there: the latest chain's of the destination, or this "
    "one\n"
    "      --der FILE      writes one certificate there: the latest leaf of the destination, or this one\n"
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then /etc/exeat)\n"
    "  -c, --config FILE   of the proxy with this configuration\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 done   1 nothing of it is kept, or it can't be written   2 wrong configuration or usage\n"
    "example: exeat chains show --pem chain.pem files.example && openssl verify -untrusted chain.pem "
    "chain.pem\n";

/* What is asked for: a destination, or a certificate by the first digits of its hash. */
struct wanted {
    const char *text;
    bool by_hash;
};

static bool begins_with(const uint8_t *sha256, const char *hex)
{
    char digits[SHA256_DIGITS];
    size_t len = strlen(hex);
    hex_write(span_of(sha256, STORE_SHA256_BYTES), digits);
    for (size_t i = 0; i < len; i++)
        if (len > SHA256_DIGITS || hex_value(hex[i]) != hex_value(digits[i]))
            return false;
    return true;
}

/* Which certificate of it is wanted; certificate_count: none. */
static size_t find_certificate(const struct chains_item *i, const char *hex)
{
    size_t n = 0;
    while (n < i->certificate_count && !begins_with(i->sha256s + n * STORE_SHA256_BYTES, hex))
        n++;
    return n;
}

static bool is_hash(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (hex_value(text[i]) < 0)
            return false;
    return len >= DIGITS_MIN && len <= SHA256_DIGITS;
}

static bool is_wanted(const struct chains_item *i, const struct wanted *w)
{
    return w->by_hash ? find_certificate(i, w->text) < i->certificate_count : chains_is_at(i, w->text);
}

/* ---- for people ---- */

static void print_row(const char *label, const char *text)
{
    if (!text || !text[0])
        return;
    printf("      %s%-12s%s", terminal_colour(stdout, COLOUR_DIM), label,
           terminal_colour(stdout, COLOUR_NONE));
    terminal_print(stdout, text);
    putchar('\n');
}

static void print_names(const struct chain_certificate *c)
{
    char text[512];
    for (size_t i = 0; i < c->name_listed && i < NAMES_SHOWN; i++) {
        snprintf(text, sizeof text, "%.*s", (int)c->names[i].text.len, (const char *)c->names[i].text.data);
        print_row(i ? "" : "names", text);
    }
    if (c->name_count > NAMES_SHOWN) {
        snprintf(text, sizeof text, "and %zu more", c->name_count - NAMES_SHOWN);
        print_row("", text);
    }
}

static void print_certificate(const struct chain_certificate *c, size_t number)
{
    char text[256], from[RFC3339_TEXT_BYTES], until[RFC3339_TEXT_BYTES];
    printf("    certificate %zu\n", number + 1);
    print_row("sha256", c->sha256);
    if (c->malformed) {
        print_row("", c->der.len ? "it cannot be read" : "it is not kept any more");
        return;
    }
    print_row("subject", c->subject);
    print_row("issuer", c->issuer);
    print_names(c);
    if (c->times_good)
        snprintf(text, sizeof text, "%s to %s", rfc3339_format(c->not_before_s, from),
                 rfc3339_format(c->not_after_s, until));
    print_row("valid", c->times_good ? text : "times that cannot be read");
    snprintf(text, sizeof text, "%s%s%s, %u bits", c->key_type ? c->key_type : "unreadable",
             c->curve ? " " : "", c->curve ? c->curve : "", c->key_bits);
    print_row("key", text);
    print_row("key sha256", c->key_sha256);
    print_row("signature", c->signature);
    print_row("serial", c->serial);
    snprintf(text, sizeof text, "version %u%s%s%s", c->version, c->is_ca ? ", CA" : "",
             c->self_signed ? ", self-signed" : "", c->has_scts ? ", with SCTs" : "");
    print_row("", text);
}

static void print_senders(const struct chains_item *i)
{
    char last[RFC3339_TEXT_BYTES], text[512];
    for (size_t n = 0; n < i->sender_count; n++) {
        snprintf(text, sizeof text, "%s, %llux, until %s", i->senders[n].name,
                 (unsigned long long)i->senders[n].count, rfc3339_format(i->senders[n].last_s, last));
        print_row(n ? "" : "shown to", text);
    }
}

static void print_whole(const struct chains_item *i, const struct chain *chain, const struct wanted *w)
{
    size_t only = w->by_hash ? find_certificate(i, w->text) : 0;
    chains_print(i, chain);
    for (size_t n = 0; n < chain_count(chain); n++)
        if (!w->by_hash || n == only)
            print_certificate(chain_certificate_at(chain, n), n);
    print_senders(i);
}

/* ---- for programs ---- */

static int write_whole(const struct chains_item *i, const struct chain *chain)
{
    struct buf text;
    struct json j;
    buf_init(&text, CHAINS_OUTPUT_BYTES_MAX);
    json_init(&j, &text);
    json_object(&j, NULL);
    chains_write(&j, i, chain);
    json_array(&j, "chain");
    for (size_t n = 0; n < chain_count(chain); n++)
        inspect_chain_write_certificate(&j, chain_certificate_at(chain, n));
    json_end_array(&j);
    json_end_object(&j);
    int result = text.failed ? -1 : printf("%.*s\n", (int)buf_len(&text), (const char *)buf_span(&text).data);
    buf_free(&text);
    return result < 0 ? -1 : 0;
}

static int write_pem_file(const char *path, const struct chain *chain, size_t from, size_t to,
                          struct err *reterr)
{
    struct buf text;
    buf_init(&text, CHAINS_OUTPUT_BYTES_MAX);
    for (size_t n = from; n < to && n < chain_count(chain); n++)
        if (chain_certificate_at(chain, n)->der.len)
            pem_write(&text, chain_certificate_at(chain, n)->der);
    int result = !buf_len(&text) ? err_set(reterr, path, 0, 0, "no certificate is kept")
                 : text.failed   ? err_set(reterr, path, 0, 0, "no memory")
                                 : replace_file(path, buf_span(&text), reterr);
    buf_free(&text);
    return result;
}

/* Of the one that was seen last. */
static int write_files(const struct chains_arguments *a, const struct chains_item *i,
                       const struct chain *chain, const struct wanted *w, struct err *reterr)
{
    size_t at = w->by_hash ? find_certificate(i, w->text) : 0;
    if (a->pem && write_pem_file(a->pem, chain, at, w->by_hash ? at + 1 : chain_count(chain), reterr) != 0)
        return -1;
    if (!a->der)
        return 0;
    struct span der = at < chain_count(chain) ? chain_certificate_at(chain, at)->der : span_of(NULL, 0);
    return der.len ? replace_file(a->der, der, reterr)
                   : err_set(reterr, a->der, 0, 0, "no certificate is kept");
}

/* How many were shown; -1 with reterr. */
static int show(const struct chains *all, const struct chains_arguments *a, const struct wanted *w,
                struct err *reterr)
{
    const struct chains_item *latest = NULL;
    int shown = 0, result = 0;
    for (size_t n = 0; n < all->count && result == 0; n++) {
        const struct chains_item *i = &all->items[n];
        if (!is_wanted(i, w))
            continue;
        struct chain *chain = chains_load(all, i);
        latest = !latest || i->last_s >= latest->last_s ? i : latest;
        if (!chain)
            result = err_set(reterr, NULL, 0, 0, "no memory");
        else if (a->json)
            result = write_whole(i, chain) == 0 ? 0 : err_set(reterr, NULL, 0, 0, "it can't be written");
        else
            print_whole(i, chain, w);
        chain_free(chain);
        shown++;
    }
    struct chain *chain = latest && result == 0 ? chains_load(all, latest) : NULL;
    if (chain)
        result = write_files(a, latest, chain, w, reterr);
    chain_free(chain);
    return result == 0 ? shown : -1;
}

int cmd_chains_show(int argc, char **argv)
{
    static const char words[] = "chains show";
    struct chains_arguments a;
    struct chains all;
    struct err err = {0};
    int code = chains_arguments(argc, argv, words, help, &a);
    if (code >= 0)
        return code;
    if (a.rest_count != 1)
        return cmd_usage(words, "one HOST[:PORT] or SHA256 is expected");
    if (a.host || a.class || a.issuer || a.since)
        return cmd_usage(words, "--host, --class, --issuer and --since are for exeat chains list");
    code = chains_read(&a, &all, &err);
    if (code != CMD_OK)
        return cmd_fail(&err, code);
    struct wanted w = {.text = a.rest[0], .by_hash = is_hash(a.rest[0])};
    int shown = show(&all, &a, &w, &err);
    chains_free(&all);
    if (shown == 0)
        err_set(&err, NULL, 0, 0, "no chain of %s is kept; exeat chains list shows all", a.rest[0]);
    return shown > 0 ? CMD_OK : cmd_fail(&err, CMD_FAILED);
}
