/* baseline_propose.c: `exeat baseline propose|diff|shadow|approve`: from what was learned to entries of the baseline, by way of somebody who reviews
 * them. */
#include "cmd/baseline.h"

#include "base/must.h"
#include "base/rfc3339.h"
#include "base/yaml.h"
#include "cmd/cmd.h"
#include "cmd/replace_file.h"
#include "cmd/replay.h"
#include "cmd/terminal.h"
#include "conf/file.h"
#include "rules/pin.h"
#include "run/kinds_load.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 * 1024 * 1024, PAIRS_MAX = 1000000 };

static const char propose_help[] =
    "usage: exeat baseline propose [--hosts N] [--count N] [--subdomains N] [--state DIR | --config FILE]\n"
    "\n"
    "Writes what was learned and is not in the baseline yet as entries for it: by package rather than by "
    "path, by hash only where nothing is\n"
    "better; exact hosts, unless many lie below one registrable domain. Never as a whole: interpreters, "
    "shells, transfer tools, files that\n"
    "their user can write. Never: pairs that too few hosts show, that beacon, whose sender was not exact or "
    "had a borrowed identity, or with\n"
    "highly anomalous handshakes; those stand as comments, with the reason.\n"
    "Programs that did not accept the inspection CA for a host (pins, exeat status) are proposed to be "
    "peeked at there: an entry with\n"
    "`adds: true`, which approve puts in front of the others, and which changes nothing about their other "
    "destinations.\n"
    "\n"
    "      --hosts N       pairs that fewer hosts show are left out (default 2; on a single host say 1)\n"
    "      --count N       likewise those seen less often (default 3)\n"
    "      --subdomains N  that many hosts below a registrable domain become the domain (default "
    "5)\n" BASELINE_PLACES "\n"
    "exit codes: 0 done   1 the database can't be used   2 wrong configuration or usage\n"
    "example: exeat baseline propose > proposal.yaml\n";

static const char diff_help[] =
    "usage: exeat baseline diff [--hosts N] [--count N] [--state DIR | --config FILE]\n"
    "\n"
    "How the baseline and what was learned differ: pairs that it does not let out, entries that nothing "
    "learned has used, and programs whose\n"
    "file has another hash than before: an entry by package or path carries over, one by hash does not.\n"
    "\n"
    "      --hosts N, --count N   as for exeat baseline propose (default 1)\n" BASELINE_PLACES "\n"
    "exit codes: 0 they don't differ   1 they do   2 wrong configuration or usage, or a database that can't "
    "be used\n"
    "example: exeat baseline diff\n";

static const char shadow_help[] =
    "usage: exeat baseline shadow [--audit PATH] [--json] [--state DIR | --config FILE] [PROPOSAL]\n"
    "\n"
    "Shows what enforcing the baseline, together with a proposal, would have blocked of what the records "
    "show.\n"
    "\n"
    "  -a, --audit PATH    the records (default: of the configuration)\n"
    "  -j, --json          as exeat replay --json\n" BASELINE_PLACES "\n"
    "exit codes: 0 nothing would be different   1 something would   2 wrong configuration or usage\n"
    "example: exeat baseline shadow proposal.yaml\n";

static const char approve_help[] =
    "usage: exeat baseline approve --owner NAME [--state DIR | --config FILE] PROPOSAL\n"
    "\n"
    "Adds a reviewed proposal's entries to the end of the baseline's senders (those with `adds: true` to "
    "their beginning), with NAME as their owner. "
    "Entries of a name that is there\n"
    "already are an error. Reload exeatd to bring them into force.\n"
    "\n"
    "      --owner NAME    who answers for them\n" BASELINE_PLACES "\n"
    "exit codes: 0 done   1 the baseline can't be written   2 wrong configuration, proposal or usage\n"
    "example: exeat baseline approve --owner alice proposal.yaml && systemctl reload exeatd\n";

/* ---- what was learned, as the pure part wants it ---- */

struct pairs {
    struct learned_pair *learned; /* owned */
    struct proposal_pair *items;  /* owned: views into `learned` */
    size_t count, room;
};

static int take_pair(void *owner, const struct learned_pair *p)
{
    struct pairs *all = owner;
    if (all->count == all->room) {
        size_t room = 2 * all->room + 256;
        struct learned_pair *more = room <= 2 * PAIRS_MAX ? realloc(all->learned, room * sizeof *more) : NULL;
        if (!more)
            return 1;
        all->learned = more;
        all->room = room;
    }
    all->learned[all->count++] = *p;
    return 0;
}

static int read_pairs(struct learned *l, struct pairs *ret, struct err *reterr)
{
    int result = learned_each(l, take_pair, ret, reterr);
    ret->items = calloc(ret->count + 1, sizeof *ret->items);
    if (result > 0 || !ret->items)
        return err_set(reterr, NULL, 0, 0, "too much was learned; exeat baseline expire forgets");
    for (size_t i = 0; result == 0 && i < ret->count; i++) {
        const struct learned_pair *p = &ret->learned[i];
        ret->items[i] = (struct proposal_pair){
            p->sender,        p->executable, p->package,     p->unit,     p->script,          p->sha256,
            p->script_sha256, p->host,       p->interpreter, p->writable, p->script_writable, p->port,
            p->first_ms,      p->last_ms,    p->count,       p->inexact,  p->borrowed,        p->anomalies,
            p->rules,         p->beacon,     p->hosts,       p->users};
    }
    return result;
}

static void free_pairs(struct pairs *p)
{
    free(p->learned);
    free(p->items);
}

/* ---- pins: programs that did not accept the inspection CA ---- */

struct pins {
    struct buf *out; /* borrowed */
    const struct proposal_options *options;
    struct proposal_stats stats;
    int64_t now_s;
};

static void on_pin(void *owner, const struct store_sighting *row)
{
    struct pins *all = owner;
    struct pin pin;
    const struct pin_seen seen = {row->first_s, row->last_s, row->count};
    if (pin_read(row->state, &pin) == PARSE_OK)
        pin_propose(all->out, &pin, &seen, all->options, all->now_s, &all->stats);
}

/* Where the history can't be read the rest of the proposal is as good as ever. */
static void propose_pins(const struct conf *conf, const struct proposal_options *options, struct buf *out,
                         struct proposal_stats *ret)
{
    struct err err = {0};
    struct pins all = {.out = out, .options = options, .now_s = (int64_t)time(NULL)};
    struct store *s =
        access(conf->history.database, F_OK) == 0 ? store_open_to_read(conf->history.database, &err) : NULL;
    if (!s && err.text[0]) {
        buf_append_str(out, "  # pins are not known: ");
        proposal_write_comment(out, err.text);
        buf_append_str(out, "\n");
    }
    if (s && store_each_sighting(s, PIN_STORE_KIND, on_pin, &all) != 0)
        buf_append_str(out, "  # not all pins can be read\n");
    store_close(s, 0);
    *ret = all.stats;
}

/* ---- propose, diff ---- */

int baseline_read(const struct conf *conf, struct buf *ret_text, struct baseline **ret, struct err *reterr)
{
    if (conf_file_read(conf->policy.baseline, false, ret_text, reterr) != 0)
        return -1;
    *ret = kinds_load_baseline(conf, buf_span(ret_text), conf->policy.baseline, reterr);
    return *ret ? 0 : -1;
}

static int propose(const struct conf *conf, struct learned *l, const struct baseline_arguments *a,
                   struct err *reterr)
{
    struct pairs pairs = {0};
    struct buf text, out;
    struct proposal_options options = {
        .min_hosts = a->hosts, .min_subdomains = a->subdomains, .min_count = a->count};
    struct proposal_stats stats, pins = {0};
    struct baseline *baseline = NULL;
    buf_init(&text, FILE_BYTES_MAX);
    buf_init(&out, FILE_BYTES_MAX);
    struct destinations *kinds = kinds_load_destinations(conf, reterr);
    int result = kinds ? baseline_read(conf, &text, &baseline, reterr) : -1;
    options.baseline = baseline;
    options.kinds = kinds;
    if (result == 0)
        result = read_pairs(l, &pairs, reterr);
    if (result == 0 && proposal_write(&out, pairs.items, pairs.count, &options, &stats) != 0)
        result = err_set(reterr, NULL, 0, 0, "the proposal is too large");
    if (result == 0)
        propose_pins(conf, &options, &out, &pins);
    if (result == 0) {
        printf("# A proposal for %s: review it, then exeat baseline approve --owner NAME FILE\n"
               "# %u entries, %u destinations; %u pairs are left out, %u are let out already; learned on %u "
               "hosts\n# %u pins, to be peeked at; %u are left out, %u are approved already\nsenders:\n",
               conf->policy.baseline, stats.entries, stats.destinations, stats.left_out, stats.known,
               learned_hosts(l), pins.entries, pins.left_out, pins.known);
        printf("%.*s", (int)buf_len(&out), buf_len(&out) ? (const char *)buf_span(&out).data : "");
    }
    baseline_free(baseline);
    destinations_free(kinds);
    free_pairs(&pairs);
    buf_free(&text);
    buf_free(&out);
    return result;
}

/* Does anything that was learned end at this entry of the baseline? */
static bool is_used(const struct baseline *b, const struct pairs *pairs, const char *entry)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *by = proposal_known_by(&pairs->items[i], b);
        if (by && strcmp(by, entry) == 0)
            return true;
    }
    return false;
}

static unsigned list_unused(const struct conf *conf, const struct buf *text, const struct baseline *b,
                            const struct pairs *pairs)
{
    struct arena arena;
    struct err err;
    unsigned unused = 0;
    arena_init(&arena, FILE_BYTES_MAX);
    const struct yaml_node *top = yaml_read(&arena, buf_span(text), conf->policy.baseline, &err);
    const struct yaml_node *senders = top ? yaml_find(top, "senders") : NULL;
    for (const struct yaml_node *n = senders ? senders->items : NULL; n; n = n->next) {
        const struct yaml_node *name = yaml_find(n, "name");
        if (!name || is_used(b, pairs, name->text))
            continue;
        if (unused++ == 0)
            puts("entries that nothing learned has used:");
        printf("  %s:%u: ", conf->policy.baseline, n->line);
        terminal_print(stdout, name->text);
        putchar('\n');
    }
    arena_reset(&arena);
    return unused;
}

static unsigned list_unknown(const struct baseline *b, const struct pairs *pairs,
                             const struct baseline_arguments *a)
{
    unsigned unknown = 0;
    for (size_t i = 0; i < pairs->count; i++) {
        const struct proposal_pair *p = &pairs->items[i];
        if (p->hosts < a->hosts || p->count < a->count || proposal_known_by(p, b))
            continue;
        if (unknown++ == 0)
            puts("pairs that the baseline does not let out:");
        fputs("  ", stdout);
        terminal_print(stdout, p->sender);
        fputs(" -> ", stdout);
        terminal_print(stdout, p->host);
        printf(":%u (%llu times, %u hosts)\n", p->port, (unsigned long long)p->count, p->hosts);
    }
    return unknown;
}

/* Does the entry let the pair out by the hash of its file, and by nothing else? */
static bool is_by_hash(const struct proposal_pair *p, const struct baseline *b)
{
    struct proposal_pair without = *p;
    without.sha256 = "";
    return !proposal_known_by(&without, b);
}

static void print_hashes(const struct learned_hash hashes[2], const char *program, const char *entry,
                         bool holds)
{
    char since[RFC3339_TEXT_BYTES];
    fputs("  ", stdout);
    terminal_print(stdout, program);
    printf(": %.12s... since %.10s, was %.12s...; the entry ", hashes[0].sha256,
           rfc3339_format(hashes[0].first_ms / 1000, since), hashes[1].sha256);
    terminal_print(stdout, entry);
    puts(holds ? " carries over" : " names the old one and does not hold any more");
}

/* Programs whose file has another hash by now: what names the package or the path goes on holding, what names the hash doesn't. */
static unsigned list_hashes(struct learned *l, const struct baseline *b, const struct pairs *pairs)
{
    unsigned shown = 0;
    const char *last = "";
    for (size_t i = 0; i < pairs->count; i++) {
        const struct proposal_pair *p = &pairs->items[i];
        char program[BASELINE_PROGRAM_BYTES];
        struct learned_hash hashes[2];
        const char *entry = p->sender && strcmp(p->sender, last) != 0 ? proposal_known_by(p, b) : NULL;
        if (!entry || learned_hashes(l, baseline_program(p->sender, p->executable, program), hashes) < 2)
            continue;
        last = p->sender;
        bool by_hash = is_by_hash(p, b);
        if (by_hash && strcmp(p->sha256, hashes[0].sha256) == 0)
            continue; /* approved anew */
        if (shown++ == 0)
            puts("programs whose file has another hash by now:");
        print_hashes(hashes, program, entry, !by_hash);
    }
    return shown;
}

/* 0: no difference, 1: some; -1 fills reterr. */
static int diff(const struct conf *conf, struct learned *l, const struct baseline_arguments *a,
                struct err *reterr)
{
    struct pairs pairs = {0};
    struct buf text;
    struct baseline *b = NULL;
    buf_init(&text, FILE_BYTES_MAX);
    int result = baseline_read(conf, &text, &b, reterr);
    if (result == 0)
        result = read_pairs(l, &pairs, reterr);
    if (result == 0)
        result = (list_unknown(b, &pairs, a) + list_unused(conf, &text, b, &pairs) +
                  list_hashes(l, b, &pairs)) > 0;
    baseline_free(b);
    free_pairs(&pairs);
    buf_free(&text);
    return result;
}

static int with_learned(int argc, char **argv, const char *words, const char *help,
                        int (*act)(const struct conf *, struct learned *, const struct baseline_arguments *,
                                   struct err *),
                        bool is_diff)
{
    struct baseline_arguments a;
    struct conf *conf;
    struct learned *l;
    struct err err = {0};
    int code = baseline_arguments(argc, argv, words, help, &a);
    if (code >= 0)
        return code;
    if (a.rest_count > 0)
        return cmd_usage(words, "unexpected: %s", a.rest[0]);
    code = baseline_open(&a, &conf, &l, &err);
    if (code != CMD_OK)
        return cmd_fail(&err, is_diff ? CMD_USAGE : code);
    int result = act(conf, l, &a, &err);
    code = result < 0 ? cmd_fail(&err, is_diff ? CMD_USAGE : CMD_FAILED) : result;
    learned_close(l);
    conf_free(conf);
    return code;
}

int cmd_baseline_propose(int argc, char **argv)
{
    return with_learned(argc, argv, "baseline propose", propose_help, propose, false);
}

int cmd_baseline_diff(int argc, char **argv)
{
    return with_learned(argc, argv, "baseline diff", diff_help, diff, true);
}

/* ---- a proposal put into the baseline's text ---- */

/* Where the items of the top-level list `senders` end: before the next line that begins a top-level key, else at the end. 0: there is no
 * such list. */
static size_t end_of_senders(struct span text)
{
    static const char key[] = "senders:";
    bool inside = false;
    for (size_t at = 0, next; at < text.len; at = next) {
        const uint8_t *lf = memchr(text.data + at, '\n', text.len - at);
        next = lf ? (size_t)(lf - text.data) + 1 : text.len;
        uint8_t first = text.data[at];
        bool top =
            first != ' ' && first != '#' && first != '\n' && first != '\r' && first != '-' && first != '\t';
        if (inside && top)
            return at;
        inside =
            inside || (text.len - at >= sizeof key - 1 && memcmp(text.data + at, key, sizeof key - 1) == 0);
    }
    return inside ? text.len : 0;
}

static size_t end_of_line(struct span text, size_t at)
{
    const uint8_t *lf = memchr(text.data + at, '\n', text.len - at);
    return lf ? (size_t)(lf - text.data) + 1 : text.len;
}

static bool line_begins(struct span text, size_t at, const char *with)
{
    size_t len = strlen(with);
    return text.len - at >= len && memcmp(text.data + at, with, len) == 0;
}

/* The end of the item, or of the comment beside the items, that begins here; *ret_adds: it is an item that merely adds. */
static size_t end_of_item(struct span text, size_t at, bool *ret_adds)
{
    *ret_adds = false;
    for (at = end_of_line(text, at); at < text.len; at = end_of_line(text, at)) {
        if (line_begins(text, at, "  - ") || line_begins(text, at, "  #"))
            break;
        *ret_adds |= line_begins(text, at, "    adds: true");
    }
    return at;
}

/* Each line "owner: unassigned" becomes `owner`. */
static void append_item(struct buf *out, struct span item, const char *owner)
{
    for (size_t at = 0, next; at < item.len; at = next) {
        next = end_of_line(item, at);
        if (owner && line_begins(item, at, "    owner: unassigned\n")) {
            buf_append_str(out, "    owner: ");
            yaml_write_text(out, owner);
            buf_append_str(out, "\n");
        } else {
            buf_append(out, item.data + at, next - at);
        }
    }
}

/* The items of the proposal's list, which begin behind its line `senders:`: those that merely add, or the others. */
static int append_items(struct buf *out, struct span proposal, const char *owner, bool adds)
{
    static const char key[] = "senders:\n";
    const uint8_t *begin = proposal.len ? memmem(proposal.data, proposal.len, key, sizeof key - 1) : NULL;
    if (!begin)
        return -1;
    struct span items = span_from(proposal, (size_t)(begin - proposal.data) + sizeof key - 1);
    for (size_t at = 0, next; at < items.len; at = next) {
        bool item_adds;
        next = end_of_item(items, at, &item_adds);
        if (item_adds == adds)
            append_item(out, span_of(items.data + at, next - at), owner);
    }
    return out->failed ? -1 : 0;
}

/* What merely adds stands in front of the baseline's own entries, the rest behind them: -1 where the proposal is none. */
static int weave(struct buf *out, struct span whole, size_t end, struct span proposal, const char *owner)
{
    size_t begin = baseline_begin_of_senders(whole);
    must(begin <= end);
    buf_append(out, whole.data, begin);
    if (append_items(out, proposal, owner, true) != 0)
        return -1;
    buf_append(out, whole.data + begin, end - begin);
    if (end > 0 && whole.data[end - 1] != '\n')
        buf_append_str(out, "\n");
    int result = append_items(out, proposal, owner, false);
    buf_append(out, whole.data + end, whole.len - end);
    return result;
}

/* The baseline with the proposal's entries, and checked. -1 fills reterr. */
static int merge(const struct conf *conf, const char *proposal, const char *owner, struct buf *ret,
                 struct err *reterr)
{
    struct buf text, added;
    buf_init(&text, FILE_BYTES_MAX);
    buf_init(&added, FILE_BYTES_MAX);
    int result = conf_file_read(conf->policy.baseline, false, &text, reterr);
    if (result == 0 && proposal)
        result = conf_file_read(proposal, false, &added, reterr);
    size_t end = result == 0 && proposal ? end_of_senders(buf_span(&text)) : buf_len(&text);
    if (result == 0 && proposal && end == 0)
        result =
            err_set(reterr, conf->policy.baseline, 0, 0, "there is no top-level list `senders:` to add to");
    struct span whole = buf_span(&text);
    if (result == 0 && !proposal && whole.len)
        buf_append(ret, whole.data, whole.len);
    if (result == 0 && proposal && weave(ret, whole, end, buf_span(&added), owner) != 0)
        result = err_set(reterr, proposal, 0, 0, "there is no list `senders:` in it");
    struct baseline *b =
        result == 0 ? kinds_load_baseline(conf, buf_span(ret), conf->policy.baseline, reterr) : NULL;
    baseline_free(b);
    buf_free(&text);
    buf_free(&added);
    return result == 0 && !b ? -1 : result;
}

static struct conf *conf_of(const struct baseline_arguments *a, struct err *reterr)
{
    struct conf *conf;
    struct learned *l;
    if (baseline_open(a, &conf, &l, reterr) != CMD_OK)
        return NULL;
    learned_close(l);
    return conf;
}

int cmd_baseline_shadow(int argc, char **argv)
{
    struct baseline_arguments a;
    struct err err = {0};
    struct buf merged;
    int code = baseline_arguments(argc, argv, "baseline shadow", shadow_help, &a);
    if (code >= 0)
        return code;
    if (a.rest_count > 1)
        return cmd_usage("baseline shadow", "one proposal is expected");
    struct conf *conf = conf_of(&a, &err);
    if (!conf)
        return cmd_fail(&err, CMD_USAGE);
    buf_init(&merged, FILE_BYTES_MAX);
    code = merge(conf, a.rest_count ? a.rest[0] : NULL, NULL, &merged, &err) == 0
               ? replay_baseline(buf_span(&merged), conf->policy.baseline, conf->policy.destinations,
                                 a.audit ? a.audit : conf->audit.file, a.json)
               : cmd_fail(&err, CMD_USAGE);
    buf_free(&merged);
    conf_free(conf);
    return code;
}

int cmd_baseline_approve(int argc, char **argv)
{
    static const char words[] = "baseline approve";
    struct baseline_arguments a;
    struct err err = {0};
    struct buf merged;
    int code = baseline_arguments(argc, argv, words, approve_help, &a);
    if (code >= 0)
        return code;
    if (a.rest_count != 1 || !a.owner)
        return cmd_usage(words, a.owner ? "one proposal is expected"
                                        : "--owner is needed: who answers for the entries?");
    if (a.owner[strcspn(a.owner, "\"\\\n\r\t")])
        return cmd_usage(words, "a name without quotes and backslashes is expected: %s", a.owner);
    struct conf *conf = conf_of(&a, &err);
    if (!conf)
        return cmd_fail(&err, CMD_USAGE);
    buf_init(&merged, FILE_BYTES_MAX);
    if (merge(conf, a.rest[0], a.owner, &merged, &err) != 0)
        code = cmd_fail(&err, CMD_USAGE);
    else if (replace_file(conf->policy.baseline, buf_span(&merged), &err) != 0)
        code = cmd_fail(&err, CMD_FAILED);
    else
        code = printf("%s: the entries were added. Reload exeatd to bring them into force\n",
                      conf->policy.baseline) < 0;
    buf_free(&merged);
    conf_free(conf);
    return code;
}
