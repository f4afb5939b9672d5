/* replay_rules.c: see replay_rules.h. A close record says all that was known at an exchange's end: a rule that is true of it would have been true at
 * the latest then, and a rule that only the end can tell blocks nobody. What neither the path showed nor the record holds is unknown, and
 * counted. Correlations count over the records' own times. */
#include <jansson.h>

#include "cmd/replay_rules.h"

#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/recorded_facts.h"
#include "cmd/terminal.h"
#include "rules/correlate.h"
#include "rules/evaluate.h"
#include "run/rules_policy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    KEY_BYTES = 1024,
    SHOWN_MAX = 50,
    UNKNOWN_SHOWN_MAX = 20,
    KEYS_BYTES_MAX = 256 << 20
};

/* What would come of a match, as it is listed; GONE: a rule matched then, and doesn't now. */
#define OUTCOMES(X)                                                                                          \
    X(BLOCK, "block", "would be blocked", COLOUR_BAD)                                                        \
    X(TERMINATE, "terminate", "would be terminated", COLOUR_BAD)                                             \
    X(ALERT, "alert", "would be alerted", COLOUR_NONE)                                                       \
    X(GONE, "gone", "matched then, and would not now", COLOUR_GOOD)
enum outcome {
#define X(id, word, text, colour) OUTCOME_##id,
    OUTCOMES(X)
#undef X
        OUTCOME_COUNT
};
static const struct {
    const char *word, *text;
    enum colour colour;
} outcomes[OUTCOME_COUNT] = {
#define X(id, word, text, colour) {word, text, colour},
    OUTCOMES(X)
#undef X
};

/* One rule, sender and destination. */
struct row {
    enum outcome outcome;
    uint64_t count, before; /* exchanges; those whose record names the rule already */
    int64_t first_ms, last_ms;
};

struct replay_rules {
    struct rulebook *book;       /* owned */
    struct evaluator *evaluator; /* owned */
    struct correlate *correlate; /* owned */
    struct recorded_facts past;
    struct arena arena;
    struct names keys; /* "outcome\nrule\ntitle\nsender\ndestination" */
    struct row *rows;  /* owned: by key */
    size_t room;
    uint64_t *unknown; /* owned: by rule, the exchanges in which it could not be told */
    uint64_t exchanges, counts[OUTCOME_COUNT];
    bool differs;
};

/* ---- the policy ---- */

static const char *if_there(const char *folder, const char *name, char path[static PATH_BYTES])
{
    int len = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return len > 0 && len < PATH_BYTES && access(path, F_OK) == 0 ? path : NULL;
}

int replay_rules_open(const char *folder, struct replay_rules **ret, struct err *reterr)
{
    char rules[PATH_BYTES], actions[PATH_BYTES], placeholders[PATH_BYTES];
    const char *paths[] = {if_there(folder, "rules", rules)};
    const struct rules_sources sources = {paths, 1, if_there(folder, "actions.yaml", actions),
                                          if_there(folder, "placeholders.yaml", placeholders)};
    if (!paths[0])
        return 0;
    struct replay_rules *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(reterr, folder, 0, 0, "out of memory");
    arena_init(&p->arena, KEYS_BYTES_MAX);
    names_init(&p->keys, &p->arena);
    recorded_facts_init(&p->past);
    if (rules_policy_read(&sources, &p->book, reterr) != 0) {
        replay_rules_free(p);
        return -1;
    }
    p->evaluator = evaluator_new(p->book);
    p->correlate = correlate_new(p->book->set, CORRELATE_BYTES_DEFAULT);
    p->unknown = calloc(p->book->set->rule_count + 1, sizeof *p->unknown);
    if (p->evaluator && p->correlate && p->unknown)
        return *ret = p, 0;
    replay_rules_free(p);
    return err_set(reterr, folder, 0, 0, "out of memory");
}

void replay_rules_free(struct replay_rules *take_p)
{
    if (!take_p)
        return;
    correlate_free(take_p->correlate);
    evaluator_free(take_p->evaluator);
    rulebook_free(take_p->book);
    recorded_facts_free(&take_p->past);
    names_free(&take_p->keys);
    arena_reset(&take_p->arena);
    free(take_p->rows);
    free(take_p->unknown);
    free(take_p);
}

/* ---- asking ---- */

static struct row *row_of(struct replay_rules *p, enum outcome o, const char *rule, const char *title,
                          const struct recorded *r)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%d\n%.100s\n%.200s\n%.400s\n%s:%u", (int)o, rule, title, recorded_who(r),
             r->host.name, r->port);
    uint32_t at = names_add(&p->keys, span_str(key));
    if (at == NAMES_NONE)
        return NULL;
    if (at >= p->room) {
        size_t room = 2 * p->room + 64;
        struct row *more = realloc(p->rows, room * sizeof *more);
        if (!more)
            return NULL;
        memset(more + p->room, 0, (room - p->room) * sizeof *more);
        p->rows = more;
        p->room = room;
    }
    return &p->rows[at];
}

static int note(struct replay_rules *p, enum outcome o, const char *rule, const char *title,
                const struct recorded *r, bool before)
{
    struct row *row = row_of(p, o, rule, title, r);
    if (!row)
        return -1;
    row->outcome = o;
    if (row->count++ == 0)
        row->first_ms = r->time_ms;
    row->last_ms = r->time_ms > row->last_ms ? r->time_ms : row->last_ms;
    row->before += before;
    p->differs = p->differs || !before || o == OUTCOME_GONE;
    return 0;
}

/* What the record says of a rule: NULL when it isn't named, or was only not known. */
static const json_t *recorded_match(const struct recorded *r, const char *rule)
{
    size_t i;
    const json_t *one;
    json_array_foreach(recorded_find(r->json, "unmapped.rules"), i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id")),
                   *title = json_string_value(json_object_get(one, "title"));
        if (((id && strcmp(id, rule) == 0) || (!id && title && strcmp(title, rule) == 0)) &&
            !json_is_true(json_object_get(one, "unknown")))
            return one;
    }
    return NULL;
}

static enum outcome outcome_of(const struct replay_rules *p, uint32_t rule)
{
    const struct action *a = &p->book->actions[rule];
    if (a->simulate || a->kind == ACTION_ALERT || p->book->phases[rule] == FACT_CLOSE)
        return OUTCOME_ALERT;
    return a->kind == ACTION_TERMINATE ? OUTCOME_TERMINATE : OUTCOME_BLOCK;
}

static int note_rule(struct replay_rules *p, uint32_t rule, const struct recorded *r, enum outcome *worst)
{
    const struct sigma_document *d = p->book->set->rules[rule].document;
    if (p->book->set->rules[rule].silent)
        return 0;
    enum outcome o = outcome_of(p, rule);
    *worst = o < *worst ? o : *worst;
    const json_t *then = recorded_match(r, sigma_document_id(d));
    const char *action = json_string_value(json_object_get(then, "action"));
    return note(p, o, sigma_document_id(d), d->title, r,
                action && strcmp(action, action_name(p->book->actions[rule].kind)) == 0);
}

/* The policy has the rule, and what the record holds is not enough to tell. */
static bool is_unknown(const struct replay_rules *p, const char *id)
{
    const struct ruleset *s = p->book->set;
    for (uint32_t i = 0; i < s->rule_count; i++)
        if (s->rules[i].code_words > 0 && strcmp(sigma_document_id(s->rules[i].document), id) == 0)
            return match_rule(evaluator_match(p->evaluator), i) == TRUTH_UNKNOWN;
    return false;
}

static bool is_among(const struct replay_rules *p, const char *id, const uint32_t *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(sigma_document_id(p->book->set->rules[rules[i]].document), id) == 0)
            return true;
    return false;
}

/* Rules that the record names and that are false now, or aren't there. */
static int note_gone(struct replay_rules *p, const struct recorded *r, const uint32_t *rules, size_t count,
                     const uint32_t *fired, size_t fired_count)
{
    size_t i;
    const json_t *one;
    json_array_foreach(recorded_find(r->json, "unmapped.rules"), i, one)
    {
        const char *title = json_string_value(json_object_get(one, "title")),
                   *id = json_string_value(json_object_get(one, "id"));
        id = id ? id : title;
        if (!id || json_is_true(json_object_get(one, "unknown")) || is_among(p, id, rules, count) ||
            is_among(p, id, fired, fired_count) || is_unknown(p, id))
            continue;
        p->counts[OUTCOME_GONE]++;
        if (note(p, OUTCOME_GONE, id, title ? title : id, r, true) != 0)
            return -1;
    }
    return 0;
}

static void count_unknown(struct replay_rules *p)
{
    const struct ruleset *s = p->book->set;
    for (uint32_t i = 0; i < s->rule_count; i++)
        if (s->rules[i].code_words > 0 && match_rule(evaluator_match(p->evaluator), i) == TRUTH_UNKNOWN)
            p->unknown[i]++;
}

int replay_rules_ask(struct replay_rules *p, const struct recorded *r)
{
    struct evaluation x = {0};
    const uint32_t *rules, *fired;
    size_t count, fired_count;
    enum outcome worst = OUTCOME_COUNT;
    if (r->kind != RECORDED_CLOSE)
        return 0;
    recorded_facts_read(&p->past, r->json);
    int result =
        evaluate(p->evaluator, &x, &p->past.facts,
                 (struct evaluate_how){.phase = FACT_CLOSE, .always = true, .partial = p->past.partial},
                 &rules, &count);
    evaluation_free(&x);
    if (result != 0)
        return -1;
    p->exchanges++;
    fired =
        correlate_event(p->correlate, evaluator_match(p->evaluator), r->time_ms, rules, count, &fired_count);
    for (size_t i = 0; i < count && result == 0; i++)
        result = note_rule(p, rules[i], r, &worst);
    for (size_t i = 0; i < fired_count && result == 0; i++)
        result = note_rule(p, fired[i], r, &worst);
    if (result == 0)
        result = note_gone(p, r, rules, count, fired, fired_count);
    if (worst < OUTCOME_COUNT)
        p->counts[worst]++;
    count_unknown(p);
    return result;
}

bool replay_rules_differ(const struct replay_rules *p)
{
    return p->differs;
}

/* ---- saying it ---- */

/* A key's parts, each a view into `copy`. */
static void split(const char *key, char copy[static KEY_BYTES], const char *ret[static 4])
{
    snprintf(copy, KEY_BYTES, "%s", key);
    char *at = copy;
    for (int i = 0; i < 4; i++) {
        char *end = strchr(at, '\n');
        must(end);
        *end = '\0';
        at = end + 1;
        ret[i] = at;
    }
}

static void print_row(const struct replay_rules *p, uint32_t i)
{
    const struct row *row = &p->rows[i];
    char copy[KEY_BYTES], last[RFC3339_TEXT_BYTES];
    const char *parts[4];
    split(p->keys.texts[i], copy, parts);
    printf("%s%8" PRIu64 "x%s  ", terminal_colour(stdout, outcomes[row->outcome].colour), row->count,
           terminal_colour(stdout, COLOUR_NONE));
    terminal_print(stdout, parts[1]);
    fputs(": ", stdout);
    terminal_print(stdout, parts[2]);
    fputs(" -> ", stdout);
    terminal_print(stdout, parts[3]);
    printf("  (%s", row->outcome == OUTCOME_GONE ? ""
                    : row->before == row->count  ? "as recorded; "
                    : row->before > 0            ? "partly as recorded; "
                                                 : "new; ");
    printf("last %s)\n", rfc3339_format(row->last_ms / 1000, last));
}

static void print_unknown(const struct replay_rules *p)
{
    unsigned shown = 0;
    for (size_t i = 0; i < p->book->set->rule_count; i++) {
        if (p->unknown[i] == 0)
            continue;
        if (shown++ == 0)
            puts("\nnot known, because the path did not show it or records don't hold it:");
        if (shown > UNKNOWN_SHOWN_MAX)
            continue;
        printf("%8" PRIu64 "x  ", p->unknown[i]);
        terminal_print(stdout, p->book->set->rules[i].document->title);
        putchar('\n');
    }
    if (shown > UNKNOWN_SHOWN_MAX)
        printf("  ... and %u more rules (--json has all)\n", shown - UNKNOWN_SHOWN_MAX);
}

void replay_rules_print(const struct replay_rules *p)
{
    printf("\nrules: %zu over %" PRIu64 " exchanges", p->book->set->rule_count, p->exchanges);
    for (int o = 0; o < OUTCOME_COUNT; o++)
        printf("%s %" PRIu64 " %s", o ? "," : ":", p->counts[o], outcomes[o].text);
    putchar('\n');
    for (int o = 0; o < OUTCOME_COUNT; o++) {
        unsigned shown = 0;
        for (uint32_t i = 0; i < p->keys.count; i++) {
            if ((int)p->rows[i].outcome != o)
                continue;
            if (shown++ == 0)
                printf("\n%s:\n", outcomes[o].text);
            if (shown <= SHOWN_MAX)
                print_row(p, i);
        }
        if (shown > SHOWN_MAX)
            printf("  ... and %u more (--json has all)\n", shown - SHOWN_MAX);
    }
    print_unknown(p);
}

json_t *replay_rules_json(const struct replay_rules *p)
{
    json_t *matches = json_array(), *unknown = json_array();
    for (uint32_t i = 0; i < p->keys.count; i++) {
        const struct row *row = &p->rows[i];
        char copy[KEY_BYTES];
        const char *parts[4];
        split(p->keys.texts[i], copy, parts);
        json_array_append_new(
            matches, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "would",
                               outcomes[row->outcome].word, "rule", parts[0], "title", parts[1], "sender",
                               parts[2], "destination", parts[3], "count", (json_int_t)row->count,
                               "as_recorded", (json_int_t)(row->outcome == OUTCOME_GONE ? 0 : row->before),
                               "first_ms", (json_int_t)row->first_ms, "last_ms", (json_int_t)row->last_ms));
    }
    for (size_t i = 0; i < p->book->set->rule_count; i++)
        if (p->unknown[i] > 0)
            json_array_append_new(unknown, json_pack("{s:s, s:I}", "rule",
                                                     sigma_document_id(p->book->set->rules[i].document),
                                                     "exchanges", (json_int_t)p->unknown[i]));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "rules",
                     (json_int_t)p->book->set->rule_count, "exchanges", (json_int_t)p->exchanges, "block",
                     (json_int_t)p->counts[OUTCOME_BLOCK], "terminate",
                     (json_int_t)p->counts[OUTCOME_TERMINATE], "alert", (json_int_t)p->counts[OUTCOME_ALERT],
                     "gone", (json_int_t)p->counts[OUTCOME_GONE], "matches", matches, "not_known", unknown);
}
